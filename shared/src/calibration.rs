//! Millivolts of an analog probe → soil moisture, by a curve of measured points; integers only.
//!
//! Boards sold under one name differ, so no fixed constants exist: every probe has its own curve of two to eight points
//! (dry in air, wet in water, more in the soil where somebody took samples). Between points the curve is straight;
//! outside them it ends, and a reading far outside is a fault, not a moisture.

use crate::units::{Millivolts, MoisturePermyriad};

/// Most points of a curve: a laboratory series in steps of about 5 % of volume.
pub const POINTS_MAX: usize = 8;

/// Least difference between the driest and the wettest point: below it noise is mistaken for water.
pub const SPAN_MIN: Millivolts = Millivolts(200);

/// How far beyond its ends, as a share of the span (1/8), a curve still answers with its end value.
const OVERSHOOT_SHARE: u16 = 8;

/// One measured point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// What the probe gave.
    pub voltage: Millivolts,
    /// The moisture it stood in.
    pub moisture: MoisturePermyriad,
}

/// A probe's curve; its voltages rise strictly and its moistures run one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calibration {
    points: heapless::Vec<Point, POINTS_MAX>,
}

/// Why points make no curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalibrationError {
    /// Fewer than two points, or more than [`POINTS_MAX`].
    Count,
    /// The ends are closer than [`SPAN_MIN`].
    Span,
    /// Two points at one voltage, or moistures that rise and fall.
    Order,
}

impl core::fmt::Display for CalibrationError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Count => "a calibration has 2 to 8 points",
            Self::Span => "the dry and the wet point of a calibration differ by at least 200 mV",
            Self::Order => "the moisture of a calibration runs one way over rising voltage",
        })
    }
}

impl core::error::Error for CalibrationError {}

impl Calibration {
    /// A curve through `points`, given in any order.
    ///
    /// # Errors
    /// [`CalibrationError`] when the points make no one-to-one curve.
    pub fn new(points: &[Point]) -> Result<Self, CalibrationError> {
        if points.len() < 2 {
            return Err(CalibrationError::Count);
        }
        // The library's sort takes 6 KB of a node's flash, for eight points.
        let mut sorted: heapless::Vec<Point, POINTS_MAX> = heapless::Vec::new();
        for point in points {
            let at = sorted.iter().take_while(|before| before.voltage < point.voltage).count();
            sorted.insert(at, *point).map_err(|_| CalibrationError::Count)?;
        }
        let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
            return Err(CalibrationError::Count);
        };
        if last.voltage.0.saturating_sub(first.voltage.0) < SPAN_MIN.0 {
            return Err(CalibrationError::Span);
        }
        let falling = first.moisture > last.moisture;
        let one_way = sorted.windows(2).all(|pair| match pair {
            [a, b] => {
                a.voltage < b.voltage && a.moisture != b.moisture && (a.moisture > b.moisture) == falling
            }
            _ => true,
        });
        if one_way { Ok(Self { points: sorted }) } else { Err(CalibrationError::Order) }
    }

    /// The usual two points of a capacitive probe, dry and wet.
    ///
    /// # Errors
    /// [`CalibrationError::Span`] when the two are closer than [`SPAN_MIN`].
    pub fn two_point(dry: Millivolts, wet: Millivolts) -> Result<Self, CalibrationError> {
        Self::new(&[
            Point { voltage: dry, moisture: MoisturePermyriad::MIN },
            Point { voltage: wet, moisture: MoisturePermyriad::MAX },
        ])
    }

    /// The measured points, by rising voltage.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The moisture at a voltage; `None` where the voltage is further outside the curve than an eighth of its span, as a
    /// broken wire or a short gives it.
    #[must_use]
    pub fn moisture(&self, voltage: Millivolts) -> Option<MoisturePermyriad> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        let overshoot = last.voltage.0.saturating_sub(first.voltage.0) / OVERSHOOT_SHARE;
        if voltage <= first.voltage {
            let near = first.voltage.0 - voltage.0 <= overshoot;
            return near.then_some(first.moisture);
        }
        if voltage >= last.voltage {
            let near = voltage.0 - last.voltage.0 <= overshoot;
            return near.then_some(last.moisture);
        }
        self.points.windows(2).find_map(|pair| match pair {
            [a, b] if voltage <= b.voltage => Some(interpolate(*a, *b, voltage)),
            _ => None,
        })
    }
}

/// The straight line between two points, rounded to nearest; `voltage` lies between theirs.
fn interpolate(a: Point, b: Point, voltage: Millivolts) -> MoisturePermyriad {
    let run = i64::from(b.voltage.0) - i64::from(a.voltage.0);
    let rise = i64::from(b.moisture.get()) - i64::from(a.moisture.get());
    let along = i64::from(voltage.0) - i64::from(a.voltage.0);
    let doubled = 2 * rise * along;
    let rounded = (doubled + if doubled < 0 { -run } else { run }) / (2 * run);
    let value = i64::from(a.moisture.get()) + rounded;
    u16::try_from(value).ok().and_then(MoisturePermyriad::new).unwrap_or(a.moisture)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(voltage: u16, moisture: u16) -> Point {
        Point {
            voltage: Millivolts(voltage),
            moisture: MoisturePermyriad::new(moisture).expect("moisture of a test"),
        }
    }

    #[test]
    fn two_points_are_a_line() {
        let curve = Calibration::two_point(Millivolts(2700), Millivolts(1200)).expect("a curve");
        for (voltage, want) in [
            (2700, Some(0)),
            (1200, Some(10_000)),
            (1950, Some(5000)),
            (2699, Some(7)),
            (2800, Some(0)),
            (1050, Some(10_000)),
            (3300, None),
            (0, None),
        ] {
            let got = curve.moisture(Millivolts(voltage)).map(MoisturePermyriad::get);
            assert_eq!(got, want, "{voltage} mV");
        }
    }

    #[test]
    fn more_points_bend_the_line() {
        let curve =
            Calibration::new(&[point(1200, 4500), point(2700, 0), point(1800, 3000)]).expect("a curve");
        assert_eq!(curve.moisture(Millivolts(1500)).map(MoisturePermyriad::get), Some(3750));
        assert_eq!(curve.moisture(Millivolts(2250)).map(MoisturePermyriad::get), Some(1500));
    }

    #[test]
    fn what_is_no_curve_is_refused() {
        fn check(points: &[Point], want: CalibrationError) {
            assert_eq!(Calibration::new(points), Err(want));
        }
        check(&[point(2700, 0)], CalibrationError::Count);
        check(&[point(2700, 0), point(2550, 10_000)], CalibrationError::Span);
        check(&[point(2700, 0), point(2700, 10), point(1200, 10_000)], CalibrationError::Order);
        check(
            &[point(2700, 0), point(2000, 5000), point(1900, 4000), point(1200, 9000)],
            CalibrationError::Order,
        );
    }
}
