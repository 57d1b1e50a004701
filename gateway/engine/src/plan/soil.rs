//! By which number a zone is dry or wet: % of the soil's volume, the share of its available water that is used up, or the
//! tension with which the soil holds its water.
//!
//! Each is compared in the unit that a person configured, so that a reason names exactly the number that decided. Dry is a
//! low moisture, a high depletion and a high tension.

use std::fmt;

use giot_shared::units::MoisturePermyriad;

use super::{HYSTERESIS_PERMYRIAD_MIN, ProblemKind, ZonePlan};
use crate::reason::Reason;

/// Smallest distance of both thresholds in tension, 2 kPa: the resolution of a gypsum sensor in moist soil.
pub const HYSTERESIS_CENTIKPA_MIN: u32 = 200;

/// The whole of something, in 1/10 000.
const WHOLE: u32 = 10_000;

/// What a soil probe says, in hundredths of its unit: % of the soil's volume, or kPa of tension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u32);

impl Level {
    /// 10 000 kPa: air-dry soil; nothing that measures soil says more.
    const HUNDREDTHS_MAX: u32 = 1_000_000;

    /// So many hundredths of the unit, `None` above what any soil has.
    #[must_use]
    pub const fn new(hundredths: u32) -> Option<Self> {
        if hundredths <= Self::HUNDREDTHS_MAX { Some(Self(hundredths)) } else { None }
    }

    /// The nearest level to a number in the probe's unit; `None` for a negative or too large one, and for what is no number.
    #[must_use]
    pub fn from_unit(value: f64) -> Option<Self> {
        if !(0.0..=10_000.0).contains(&value) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range checked above")]
        Self::new((value * 100.0 + 0.5) as u32)
    }

    /// Hundredths of the unit.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number in the probe's unit.
    #[must_use]
    pub fn in_unit(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// The same as moisture, `None` above 100 %: it was no moisture.
    #[must_use]
    pub fn moisture(self) -> Option<MoisturePermyriad> {
        u16::try_from(self.0).ok().and_then(MoisturePermyriad::new)
    }
}

impl From<MoisturePermyriad> for Level {
    fn from(moisture: MoisturePermyriad) -> Self {
        Self(u32::from(moisture.get()))
    }
}

/// Share of the soil's available water that is used up, 1/10 000: 0 at field capacity, all at the wilting point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Depletion(u16);

impl Depletion {
    /// So many 1/10 000, `None` above the whole.
    #[must_use]
    pub const fn new(permyriad: u16) -> Option<Self> {
        if permyriad <= 10_000 { Some(Self(permyriad)) } else { None }
    }

    /// The nearest to a percentage, `None` outside 0–100 %.
    #[must_use]
    pub fn from_percent(percent: f64) -> Option<Self> {
        MoisturePermyriad::from_percent(percent).and_then(|permyriad| Self::new(permyriad.get()))
    }

    /// The share in 1/10 000.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The share in per cent.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

/// What a soil holds for plants: between field capacity and wilting point, both as moisture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldWater {
    /// What stays after the rest has drained away.
    pub field_capacity: MoisturePermyriad,
    /// What no root can take.
    pub wilting_point: MoisturePermyriad,
}

impl HeldWater {
    /// Available water, 1/10 000 of the soil's volume.
    fn available(self) -> u32 {
        u32::from(self.field_capacity.get().saturating_sub(self.wilting_point.get()))
    }

    /// How much of the available water is used up at a moisture; wetter than field capacity is nothing, drier than the
    /// wilting point is all.
    #[must_use]
    pub fn depletion(self, moisture: MoisturePermyriad) -> Depletion {
        let gone = u32::from(self.field_capacity.get().saturating_sub(moisture.get()));
        let available = self.available().max(1);
        // Rounded to nearest.
        let share = (gone * WHOLE + available / 2) / available;
        Depletion(u16::try_from(share.min(WHOLE)).unwrap_or(u16::MAX))
    }

    /// The moisture at which so much of the available water is used up.
    #[must_use]
    pub fn moisture_at(self, depletion: Depletion) -> MoisturePermyriad {
        let gone = (u32::from(depletion.get()) * self.available() + WHOLE / 2) / WHOLE;
        let left = u32::from(self.field_capacity.get()).saturating_sub(gone);
        u16::try_from(left).ok().and_then(MoisturePermyriad::new).unwrap_or_default()
    }
}

/// When a zone is dry enough to start, and wet enough to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoilRule {
    /// By water content; probes read % of the soil's volume.
    Moisture {
        /// Start below.
        start_below: MoisturePermyriad,
        /// Stop above.
        stop_above: MoisturePermyriad,
    },
    /// By the share of available water that is used up (management-allowed depletion); probes read % of the soil's volume.
    Depletion {
        /// What the soil holds.
        soil: HeldWater,
        /// Start when more is used up.
        start_above: Depletion,
        /// The refill point: stop when less is used up.
        stop_below: Depletion,
    },
    /// By tension; probes read kPa.
    Tension {
        /// Start above.
        start_above: Level,
        /// Stop below.
        stop_below: Level,
    },
}

impl SoilRule {
    /// Whether water is wanted at a level.
    #[must_use]
    pub fn is_dry(&self, level: Level) -> bool {
        match *self {
            Self::Moisture { start_below, .. } => level < start_below.into(),
            Self::Depletion { soil, start_above, .. } => depletion(soil, level) > start_above,
            Self::Tension { start_above, .. } => level > start_above,
        }
    }

    /// Whether a run has given enough at a level.
    pub(crate) fn is_wet(&self, level: Level) -> bool {
        match *self {
            Self::Moisture { stop_above, .. } => level > stop_above.into(),
            Self::Depletion { soil, stop_below, .. } => depletion(soil, level) < stop_below,
            Self::Tension { stop_below, .. } => level < stop_below,
        }
    }

    /// How far a level is beyond the start threshold, in 1/10 000 of the distance from stop to start, so that zones in
    /// different soils and units can be compared; `None` for one that is not dry.
    pub(crate) fn need(&self, level: Level) -> Option<u32> {
        let (start, stop) = (self.start().get(), self.stop().get());
        let beyond = u64::from(level.get().abs_diff(start));
        let band = u64::from(start.abs_diff(stop)).max(1);
        self.is_dry(level).then(|| u32::try_from(beyond * u64::from(WHOLE) / band).unwrap_or(u32::MAX))
    }

    /// How dry a level is, wet or dry, for the order among zones: more is drier, and 2³¹ is the start threshold. Counted like
    /// [`Self::need`], so that zones in different soils and units can be compared.
    pub(crate) fn dryness(&self, level: Level) -> u32 {
        let (start, stop) = (i64::from(self.start().get()), i64::from(self.stop().get()));
        let beyond = (start - i64::from(level.get())) * (stop - start).signum();
        let share = beyond.saturating_mul(i64::from(WHOLE)) / (stop - start).abs().max(1);
        u32::try_from((1_i64 << 31).saturating_add(share).max(1)).unwrap_or(u32::MAX)
    }

    /// The start threshold as probes read it.
    #[must_use]
    pub fn start(&self) -> Level {
        match *self {
            Self::Moisture { start_below, .. } => start_below.into(),
            Self::Depletion { soil, start_above, .. } => soil.moisture_at(start_above).into(),
            Self::Tension { start_above, .. } => start_above,
        }
    }

    /// The stop threshold as probes read it.
    #[must_use]
    pub fn stop(&self) -> Level {
        match *self {
            Self::Moisture { stop_above, .. } => stop_above.into(),
            Self::Depletion { soil, stop_below, .. } => soil.moisture_at(stop_below).into(),
            Self::Tension { stop_below, .. } => stop_below,
        }
    }

    /// Whether probes read kPa; otherwise % of the soil's volume.
    #[must_use]
    pub const fn is_tension(&self) -> bool {
        matches!(self, Self::Tension { .. })
    }

    /// Why water is wanted at a level.
    pub(crate) fn dry(&self, level: Level) -> Reason {
        match *self {
            Self::Moisture { start_below, .. } => Reason::SoilDry { moisture: shown(level), start_below },
            Self::Depletion { soil, start_above, .. } => Reason::SoilDepleted {
                depleted: depletion(soil, level),
                start_depleted: start_above,
                moisture: shown(level),
            },
            Self::Tension { start_above, .. } => {
                Reason::SoilTense { tension_kpa: level, start_above_kpa: start_above }
            }
        }
    }

    /// Why no water is wanted at a level that is not dry.
    pub(crate) fn content(&self, level: Level) -> Reason {
        if self.is_wet(level) {
            return self.wet(level);
        }
        match *self {
            Self::Moisture { start_below, .. } => Reason::SoilMoist { moisture: shown(level), start_below },
            Self::Depletion { soil, start_above, .. } => Reason::SoilNotDepleted {
                depleted: depletion(soil, level),
                start_depleted: start_above,
                moisture: shown(level),
            },
            Self::Tension { start_above, .. } => {
                Reason::SoilNotTense { tension_kpa: level, start_above_kpa: start_above }
            }
        }
    }

    /// Why a run has given enough at a level.
    pub(crate) fn wet(&self, level: Level) -> Reason {
        match *self {
            Self::Moisture { stop_above, .. } => Reason::SoilWet { moisture: shown(level), stop_above },
            Self::Depletion { soil, stop_below, .. } => Reason::SoilRefilled {
                depleted: depletion(soil, level),
                stop_depleted: stop_below,
                moisture: shown(level),
            },
            Self::Tension { stop_below, .. } => {
                Reason::SoilRelaxed { tension_kpa: level, stop_below_kpa: stop_below }
            }
        }
    }

    /// What cannot be right; `plausible`: what probes can say.
    pub(super) fn check(&self, plausible: (Level, Level)) -> Vec<ProblemKind> {
        let (start, stop) = (self.start(), self.stop());
        let span = start.get().abs_diff(stop.get());
        let mut found = Vec::new();
        if let Self::Depletion { soil, .. } = self
            && soil.wilting_point >= soil.field_capacity
        {
            return vec![ProblemKind::HoldsNoWater];
        }
        let is_crossed = match *self {
            Self::Moisture { .. } => start >= stop,
            Self::Depletion { start_above, stop_below, .. } => start_above <= stop_below,
            Self::Tension { .. } => start <= stop,
        };
        let least =
            if self.is_tension() { HYSTERESIS_CENTIKPA_MIN } else { u32::from(HYSTERESIS_PERMYRIAD_MIN) };
        if is_crossed {
            found.push(ProblemKind::ThresholdsCrossed);
        } else if span < least {
            let small = Level::new(span).unwrap_or_default();
            found.push(if self.is_tension() {
                ProblemKind::TensionsTooClose(small)
            } else {
                ProblemKind::HysteresisTooSmall(u16::try_from(span).unwrap_or(u16::MAX))
            });
        }
        let (min, max) = plausible;
        if start.min(stop) <= min || start.max(stop) >= max {
            found.push(ProblemKind::ThresholdImplausible);
        }
        found
    }
}

fn depletion(soil: HeldWater, level: Level) -> Depletion {
    soil.depletion(shown(level))
}

/// A level of a probe that reads moisture; what is more than water is water.
fn shown(level: Level) -> MoisturePermyriad {
    level.moisture().unwrap_or(MoisturePermyriad::MAX)
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl ZonePlan {
    /// Whether a level can be real in this soil.
    pub(crate) fn is_plausible(&self, level: Level) -> bool {
        (self.plausible.0..=self.plausible.1).contains(&level)
    }

    /// What the good probes say together: the mean by the plan's weights, or without weights their median. `None` unless
    /// more than half of them, by weight, are good. `good`: place in the plan and level.
    pub(crate) fn together(&self, good: &[(usize, Level)]) -> (Option<Level>, bool) {
        if self.weights.is_empty() {
            let mut levels: Vec<Level> = good.iter().map(|(_, level)| *level).collect();
            let has_quorum = !levels.is_empty() && levels.len() * 2 > self.probes.len();
            return (median(&mut levels), has_quorum);
        }
        let weight = |idx: usize| u64::from(self.weights.get(idx).copied().unwrap_or(0));
        let whole: u64 = (0..self.probes.len()).map(weight).sum();
        let heard: u64 = good.iter().map(|(idx, _)| weight(*idx)).sum();
        let sum: u64 = good.iter().map(|(idx, level)| weight(*idx) * u64::from(level.get())).sum();
        let mean = sum.checked_div(heard).and_then(|mean| u32::try_from(mean).ok()).and_then(Level::new);
        (mean, heard > 0 && heard * 2 > whole)
    }
}

/// The middle value; of an even number the mean of both middle ones, rounded down.
fn median(levels: &mut [Level]) -> Option<Level> {
    levels.sort_unstable();
    let upper = levels.get(levels.len() / 2)?;
    let lower = levels.get((levels.len() - 1) / 2)?;
    Level::new(lower.get().midpoint(upper.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moisture(permyriad: u16) -> MoisturePermyriad {
        MoisturePermyriad::new(permyriad).unwrap()
    }

    /// Loam: 25 % at field capacity, 12 % at the wilting point; start at half, refill to a tenth.
    fn loam() -> SoilRule {
        let soil = HeldWater { field_capacity: moisture(2500), wilting_point: moisture(1200) };
        let [start_above, stop_below] = [5000, 1000].map(|share| Depletion::new(share).unwrap());
        SoilRule::Depletion { soil, start_above, stop_below }
    }

    /// By tension: start above 40 kPa, stop below 15.
    fn tension() -> SoilRule {
        let [start_above, stop_below] = [4000, 1500].map(|kpa| Level::new(kpa).unwrap());
        SoilRule::Tension { start_above, stop_below }
    }

    /// The code of what follows for a closed zone, and whether a run would end.
    fn check(rule: &SoilRule, hundredths: u32, code: &str, is_wet: bool) {
        let level = Level::new(hundredths).unwrap();
        let reason = if rule.is_dry(level) { rule.dry(level) } else { rule.content(level) };
        assert_eq!((reason.code(), rule.is_wet(level)), (code, is_wet), "{hundredths}");
    }

    #[test]
    fn dry_is_a_low_moisture_a_high_depletion_and_a_high_tension() {
        let by_moisture = SoilRule::Moisture { start_below: moisture(2000), stop_above: moisture(3000) };
        check(&by_moisture, 1999, "soil_dry", false);
        check(&by_moisture, 2000, "soil_moist", false);
        check(&by_moisture, 3001, "soil_wet", true);
        // Half of 13 % is gone at 18.5 %, a tenth at 23.7 %.
        check(&loam(), 1849, "soil_depleted", false);
        check(&loam(), 1850, "soil_not_depleted", false);
        check(&loam(), 2370, "soil_not_depleted", false);
        check(&loam(), 2371, "soil_refilled", true);
        check(&loam(), 300, "soil_depleted", false);
        check(&tension(), 4001, "soil_tense", false);
        check(&tension(), 4000, "soil_not_tense", false);
        check(&tension(), 1499, "soil_relaxed", true);
        assert_eq!(loam().start().get(), 1850);
        assert_eq!(loam().stop().get(), 2370);
    }

    #[test]
    fn a_reason_names_the_number_that_was_configured() {
        let args = |reason: &Reason| format!("{:?}", reason.args());
        let depleted = args(&loam().dry(Level::new(1700).unwrap()));
        assert!(depleted.contains("6154") && depleted.contains("5000"), "{depleted}");
        let tense = args(&tension().dry(Level::new(5230).unwrap()));
        assert!(tense.contains("5230") && tense.contains("4000"), "{tense}");
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        for (values, want) in [
            (&[][..], None),
            (&[2000], Some(2000)),
            (&[2000, 2200], Some(2100)),
            (&[2000, 2201], Some(2100)),
            (&[3000, 1000, 2000], Some(2000)),
            (&[9000, 2000, 2200, 1000], Some(2100)),
        ] {
            let mut levels: Vec<Level> = values.iter().map(|value| Level(*value)).collect();
            assert_eq!(median(&mut levels).map(Level::get), want, "{values:?}");
        }
    }

    #[test]
    fn weights_make_a_mean_and_a_quorum() {
        let mut zone = crate::plan::tests::sound_zone("v1");
        zone.probes = ["p1", "p2", "p3"].map(crate::plan::tests::probe).to_vec();
        zone.weights = vec![5, 3, 2];
        let [a, b, c] = [Level(2000), Level(2400), Level(3000)];
        assert_eq!(zone.together(&[(0, a), (1, b), (2, c)]), (Some(Level(2320)), true));
        assert_eq!(zone.together(&[(0, a), (2, c)]), (Some(Level(2285)), true), "7 of 10");
        assert!(!zone.together(&[(1, b), (2, c)]).1, "half is no quorum");
        assert_eq!(zone.together(&[]), (None, false));
        zone.weights = vec![1, 0, 0];
        assert_eq!(zone.together(&[(1, b), (2, c)]), (None, false), "what has no weight says nothing");
    }

    #[test]
    fn need_grows_with_dryness_in_every_unit() {
        for (rule, slight, strong) in [(loam(), 1800, 1500), (tension(), 4100, 7000)] {
            // The order among zones goes on where nobody is dry.
            let between = Level::new(rule.start().get().midpoint(rule.stop().get())).unwrap();
            let levels = [strong, slight].map(|level| Level::new(level).unwrap());
            let order: Vec<u32> = levels
                .into_iter()
                .chain([rule.start(), between, rule.stop()])
                .map(|level| rule.dryness(level))
                .collect();
            assert!(order.windows(2).all(|pair| pair[0] > pair[1]), "{order:?}");
            assert_eq!(order[2], 1 << 31);
            let [slight, strong] = [slight, strong].map(|level| rule.need(Level::new(level).unwrap()));
            assert!(slight.is_some() && slight < strong, "{rule:?}");
            assert_eq!(rule.need(rule.stop()), None);
        }
    }

    #[test]
    fn what_cannot_be_right_is_found() {
        let [wide, dry_air] = [(100, 6000), (0, 20_000)]
            .map(|(low, high)| (Level::new(low).unwrap(), Level::new(high).unwrap()));
        let codes = |rule: SoilRule, plausible| -> Vec<&str> {
            rule.check(plausible).iter().map(ProblemKind::code).collect()
        };
        assert!(codes(loam(), wide).is_empty() && codes(tension(), dry_air).is_empty());
        let soil = HeldWater { field_capacity: moisture(1200), wilting_point: moisture(1200) };
        let half = Depletion::new(5000).unwrap();
        let rule = SoilRule::Depletion { soil, start_above: half, stop_below: Depletion::default() };
        assert_eq!(codes(rule, wide), ["holds_no_water"]);
        let soil = HeldWater { field_capacity: moisture(1500), wilting_point: moisture(1200) };
        let rule = SoilRule::Depletion { soil, start_above: half, stop_below: Depletion::default() };
        assert_eq!(codes(rule, wide), ["hysteresis_too_small"], "half of 3 % is 1.5 %");
        let [low, high] = [1500, 1650].map(|kpa| Level::new(kpa).unwrap());
        let close = SoilRule::Tension { start_above: high, stop_below: low };
        assert_eq!(codes(close, dry_air), ["tensions_too_close"]);
        let crossed = SoilRule::Tension { start_above: low, stop_below: high };
        assert_eq!(codes(crossed, dry_air), ["thresholds_crossed"]);
    }
}
