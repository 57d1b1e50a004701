//! From what a probe gave to a reading: calibration, plausibility and the flaw that says what is wrong.
//!
//! Nothing is invented: a missing or impossible value travels with its flaw, and the raw value is kept beside the
//! calibrated one. When to read is decided by [`crate::node`]; how a converter is wired by the board.

mod analog;
mod battery;
mod contact;
pub mod modbus;
mod pulse;
mod supply;

pub use analog::{Adc, Analog, AnalogPlan, SAMPLES_MAX};
pub use battery::{BatteryPlan, Chemistry};
pub use contact::{Contacts, Debounce};
pub use pulse::{PULSE_US_MIN, PulseFilter, PulsePin, Tips, Wrapping};
pub use supply::{Feed, Stuck, Supply};

use crate::settings::ProbePlan;
use giot_shared::ids::ProbeId;
use giot_shared::metric::Metric;
use giot_shared::units::Millivolts;
use giot_shared::wire::{Flaw, Reading};

/// Spread of the samples of one reading above which it is called unstable, mV: half of the least span that a calibration
/// may have ([`giot_shared::calibration::SPAN_MIN`]), so that such a reading says nothing about the soil.
pub const SPREAD_MV_MAX: u16 = 100;

/// What one read of a probe gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// A voltage: median of several samples, and the distance between the extreme ones.
    Analog {
        /// The median.
        raw: Millivolts,
        /// Largest minus smallest sample, mV.
        spread_mv: u16,
    },
    /// A ready value in the metric's decimal steps, as a digital probe or a station gives it.
    Value {
        /// The value.
        value: i32,
        /// What the device itself gave, where that is something else.
        raw: Option<i32>,
    },
    /// A word that such a probe cannot mean, as it gives one for what it has no electrode for, or when that has failed.
    Impossible {
        /// What it would stand for.
        value: i32,
        /// The word.
        raw: i32,
    },
}

/// Why a read gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeFault {
    /// No usable answer, a broken line, a converter fault.
    NoAnswer,
    /// The device said nothing at all, however often it was asked: there is nothing to be had from it at the moment.
    Silent,
}

/// The reading of a planned probe.
#[must_use]
pub fn reading(plan: &ProbePlan, result: Result<Sample, ProbeFault>) -> Reading {
    match result {
        Ok(Sample::Value { value, raw }) => {
            let mut reading = direct(plan.probe, plan.metric, Some(value));
            reading.raw = raw;
            reading
        }
        Ok(Sample::Impossible { value, raw }) => Reading {
            probe: plan.probe.0,
            metric: plan.metric.wire(),
            value: Some(value),
            raw: Some(raw),
            flaw: Some(Flaw::OutOfRange),
        },
        Ok(Sample::Analog { raw, spread_mv }) => analog_reading(plan, raw, spread_mv),
        Err(ProbeFault::NoAnswer | ProbeFault::Silent) => direct(plan.probe, plan.metric, None),
    }
}

/// The reading of a ready value: a missing one is [`Flaw::NoAnswer`], one that nature cannot give is kept and marked
/// [`Flaw::OutOfRange`].
#[must_use]
pub const fn direct(probe: ProbeId, metric: Metric, value: Option<i32>) -> Reading {
    let flaw = match value {
        None => Some(Flaw::NoAnswer),
        Some(value) if !metric.is_possible(value) => Some(Flaw::OutOfRange),
        Some(_) => None,
    };
    Reading { probe: probe.0, metric: metric.wire(), value, raw: None, flaw }
}

fn analog_reading(plan: &ProbePlan, raw: Millivolts, spread_mv: u16) -> Reading {
    let calibrated = match (&plan.calibration, plan.metric) {
        // A supply behind a divider is a voltage already: its metric counts tenths of a millivolt.
        (None, Metric::Battery) => Ok(i32::from(raw.0) * 10),
        (None, _) => Err(Flaw::Uncalibrated),
        (Some(curve), _) => {
            curve.moisture(raw).map(|moisture| i32::from(moisture.get())).ok_or(Flaw::OutOfRange)
        }
    };
    let unstable = (spread_mv > SPREAD_MV_MAX).then_some(Flaw::Unstable);
    Reading {
        probe: plan.probe.0,
        metric: plan.metric.wire(),
        value: calibrated.ok(),
        raw: Some(i32::from(raw.0)),
        flaw: calibrated.err().or(unstable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use giot_shared::calibration::Calibration;

    fn plan(calibrated: bool) -> ProbePlan {
        let mut plan = ProbePlan::new(ProbeId(3), Metric::SoilMoisture);
        plan.calibration =
            calibrated.then(|| Calibration::two_point(Millivolts(2700), Millivolts(1200)).expect("a curve"));
        plan
    }

    fn check(plan: &ProbePlan, sample: Result<Sample, ProbeFault>, value: Option<i32>, flaw: Option<Flaw>) {
        let reading = reading(plan, sample);
        assert_eq!((reading.probe, reading.value, reading.flaw), (3, value, flaw), "{sample:?}");
        if let Ok(Sample::Analog { raw, .. }) = sample {
            assert_eq!(reading.raw, Some(i32::from(raw.0)), "the raw value is kept");
        }
    }

    #[test]
    fn voltages_become_moisture_with_their_flaw() {
        let at = |mv, spread_mv| Ok(Sample::Analog { raw: Millivolts(mv), spread_mv });
        check(&plan(true), at(1950, 12), Some(5000), None);
        check(&plan(true), at(1950, 101), Some(5000), Some(Flaw::Unstable));
        check(&plan(true), at(3300, 0), None, Some(Flaw::OutOfRange));
        check(&plan(true), at(0, 500), None, Some(Flaw::OutOfRange));
        check(&plan(false), at(1950, 0), None, Some(Flaw::Uncalibrated));
        check(&plan(true), Err(ProbeFault::NoAnswer), None, Some(Flaw::NoAnswer));
        check(&plan(true), Err(ProbeFault::Silent), None, Some(Flaw::NoAnswer));
    }

    #[test]
    fn ready_values_pass_unchanged() {
        let value = |value| Ok(Sample::Value { value, raw: None });
        check(&plan(true), value(2345), Some(2345), None);
        check(&plan(true), value(-1), Some(-1), Some(Flaw::OutOfRange));
        check(&plan(true), value(10_001), Some(10_001), Some(Flaw::OutOfRange));
        check(&plan(true), Ok(Sample::Impossible { value: 20, raw: 2 }), Some(20), Some(Flaw::OutOfRange));
    }
}
