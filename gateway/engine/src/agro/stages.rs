//! The crop's development: four stages, by days or by warmth, and the coefficient curves that follow them (66).
//!
//! A stage's progress is counted at the start of a day: the first day of the season stands at 0. Curves are level in the first
//! and third stage and straight in the second and fourth; after the last stage they stay at their end.

/// A value at the three corners of the curve: first stage, third stage, end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curve {
    /// In the initial stage.
    pub ini: f64,
    /// In the mid-season stage.
    pub mid: f64,
    /// At the end of the late stage.
    pub end: f64,
}

impl Curve {
    /// The three corners.
    #[must_use]
    pub const fn new(ini: f64, mid: f64, end: f64) -> Self {
        Self { ini, mid, end }
    }
}

/// What the lengths of stages are counted in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clock {
    /// Days.
    Days,
    /// Growing degree days, °C·d, of [`degree_days`] with these limits.
    DegreeDays {
        /// Below it the crop stands still, °C.
        base_c: f64,
        /// Above it more warmth does not help, °C.
        upper_c: f64,
    },
}

impl Clock {
    /// How far a day of such lowest and highest temperatures brings the crop, in this clock's units; `None`: temperatures are
    /// needed.
    #[must_use]
    pub fn growth(&self, extremes_c: Option<(f64, f64)>) -> Option<f64> {
        match *self {
            Self::Days => Some(1.0),
            Self::DegreeDays { base_c, upper_c } => {
                extremes_c.map(|(tmin_c, tmax_c)| degree_days(tmin_c, tmax_c, base_c, upper_c))
            }
        }
    }
}

/// A part of the season (FAO-56 chapter 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Up to about a tenth of the ground covered.
    Initial,
    /// Up to full cover.
    Development,
    /// Up to the first signs of age.
    Mid,
    /// Up to harvest or leaf fall.
    Late,
    /// After the last stage.
    Over,
}

/// Lengths of the four stages in the units of the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stages {
    /// Initial, development, mid-season, late.
    pub lengths: [f64; 4],
    /// What the lengths are counted in.
    pub clock: Clock,
}

impl Stages {
    /// Stages by days.
    #[must_use]
    pub const fn days(lengths: [f64; 4]) -> Self {
        Self { lengths, clock: Clock::Days }
    }

    /// The ends of the four stages.
    fn ends(&self) -> [f64; 4] {
        let [initial, development, mid, late] = self.lengths;
        let (a, b, c) = (initial, initial + development, initial + development + mid);
        [a, b, c, c + late]
    }

    /// The stage in which a progress lies.
    #[must_use]
    pub fn stage(&self, progress: f64) -> Stage {
        let [a, b, c, d] = self.ends();
        match progress {
            x if x <= a => Stage::Initial,
            x if x <= b => Stage::Development,
            x if x <= c => Stage::Mid,
            x if x <= d => Stage::Late,
            _ => Stage::Over,
        }
    }

    /// The value of a curve at a progress (66).
    #[must_use]
    pub fn value(&self, curve: Curve, progress: f64) -> f64 {
        let [a, b, c, d] = self.ends();
        match self.stage(progress) {
            Stage::Initial => curve.ini,
            Stage::Development => curve.ini + (progress - a) / (b - a) * (curve.mid - curve.ini),
            Stage::Mid => curve.mid,
            Stage::Late => curve.mid + (progress - c) / (d - c) * (curve.end - curve.mid),
            Stage::Over => curve.end,
        }
    }

    /// The value of a curve a day after it was `before`. Days are summed as pyfao56 sums them: where roots reach a whole
    /// millimetre of a layered soil, the last bit decides. Warmth does not come in equal steps and is not summed.
    #[must_use]
    pub fn next_value(&self, curve: Curve, before: f64, progress: f64) -> f64 {
        let [_, development, _, late] = self.lengths;
        match (self.clock, self.stage(progress)) {
            (Clock::Days, Stage::Development) => before + (curve.mid - curve.ini) / development,
            (Clock::Days, Stage::Late) => before + (curve.end - curve.mid) / late,
            _ => self.value(curve, progress),
        }
    }

    /// How far the plant is grown, 0 to 1: 1 from the mid-season on.
    #[must_use]
    pub fn growth(&self, progress: f64) -> f64 {
        match self.stage(progress) {
            Stage::Late | Stage::Over => 1.0,
            Stage::Initial | Stage::Development | Stage::Mid => {
                self.value(Curve::new(0.0, 1.0, 1.0), progress)
            }
        }
    }
}

/// Warmth of a day that counts for growth, °C·d: both extremes are brought into the limits before the mean is taken
/// (method 2 of McMaster and Wilhelm 1997).
#[must_use]
pub fn degree_days(tmin_c: f64, tmax_c: f64, base_c: f64, upper_c: f64) -> f64 {
    let limited = |t_c: f64| t_c.min(upper_c).max(base_c);
    (limited(tmin_c) + limited(tmax_c)) / 2.0 - base_c
}
