//! A capacitive analog probe: soil moisture in, millivolts out, with the faults such probes have.
//!
//! The output falls as soil gets wetter, steeper in dry soil than in wet, and every probe has its own curve. The
//! curve is made of straight pieces between the points of [`ProbeModel::calibration`], so that a node with this
//! calibration reads the true moisture but for noise and whole millivolts. Voltages are typical of 3.3 V boards, not
//! of one product.

use giot_shared::calibration::{Calibration, CalibrationError, Point};
use giot_shared::units::{Millivolts, MoisturePermyriad};

use crate::field::rng::FieldSeed;
use crate::field::{DAY_MS, whole_i64, whole_u16};

/// Supply of the probe: what an input pulled up reads when the probe's wire is off.
pub const SUPPLY_MV: u16 = 3_300;

/// Points of a curve, evenly from 0 to 50 % of volume.
const N_POINTS: usize = 6;

/// Moisture between two points, 1/10 000 of volume.
const POINT_STEP_PERMYRIAD: u16 = 1_000;

/// Noise of one conversion of a healthy probe, mV (standard deviation): about 0.05 % of volume.
const NOISE_SD_MV: f64 = 1.5;

/// One point of a probe's curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurvePoint {
    /// Output, mV.
    pub voltage_mv: u16,
    /// Water content, 1/10 000 of volume.
    pub moisture_permyriad: u16,
}

/// What is wrong with a probe.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum ProbeFault {
    /// Nothing.
    #[default]
    None,
    /// Always the same voltage.
    Stuck {
        /// The voltage, mV.
        voltage_mv: u16,
    },
    /// The wire is off: the input lies at the supply or at ground.
    Disconnected {
        /// Whether the input is pulled up.
        pulled_up: bool,
    },
    /// The voltage creeps away, as when water gets behind the sealing.
    Drift {
        /// Creep, mV a day.
        mv_per_day: f64,
        /// When it began, Unix milliseconds.
        since_ms: i64,
    },
    /// A loose contact: much noise.
    Noisy {
        /// Standard deviation of the noise, mV.
        sd_mv: f64,
    },
}

/// A probe with its own curve, noise and fault.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeModel {
    curve: [CurvePoint; N_POINTS],
    noise_seed: FieldSeed,
    fault: ProbeFault,
    last_read_ms: i64,
    n_reads_at_last: i64,
}

impl ProbeModel {
    /// A healthy probe; the seed chooses its curve.
    #[must_use]
    pub fn new(seed: FieldSeed) -> Self {
        // Typical 3.3 V boards give 2.5–2.9 V in air and 1.0–1.4 V in water; soil at 50 % of volume is close to water.
        let dry_mv = 2_650.0 + 300.0 * (seed.unit(1) - 0.5);
        let wet_mv = 1_250.0 + 200.0 * (seed.unit(2) - 0.5);
        let bend = 0.3 + 0.4 * seed.unit(3);
        let mut curve = [CurvePoint { voltage_mv: 0, moisture_permyriad: 0 }; N_POINTS];
        for (point, step) in curve.iter_mut().zip(0_u16..) {
            let share = f64::from(step) / (N_POINTS - 1) as f64;
            let bent = (1.0 + bend) * share / (1.0 + bend * share);
            *point = CurvePoint {
                voltage_mv: whole_u16(dry_mv - (dry_mv - wet_mv) * bent),
                moisture_permyriad: step * POINT_STEP_PERMYRIAD,
            };
        }
        Self {
            curve,
            noise_seed: seed.stream(4),
            fault: ProbeFault::None,
            last_read_ms: i64::MIN,
            n_reads_at_last: 0,
        }
    }

    /// The probe's curve, driest point first.
    #[must_use]
    pub fn curve(&self) -> &[CurvePoint] {
        &self.curve
    }

    /// The calibration that undoes the probe's curve.
    ///
    /// # Errors
    /// [`CalibrationError`] never comes up for a curve made by [`ProbeModel::new`].
    pub fn calibration(&self) -> Result<Calibration, CalibrationError> {
        let points: Vec<Point> = self
            .curve
            .iter()
            .filter_map(|point| {
                let moisture = MoisturePermyriad::new(point.moisture_permyriad)?;
                Some(Point { voltage: Millivolts(point.voltage_mv), moisture })
            })
            .collect();
        Calibration::new(&points)
    }

    /// Breaks or repairs the probe.
    pub fn set_fault(&mut self, fault: ProbeFault) {
        self.fault = fault;
    }

    /// What is wrong with the probe.
    #[must_use]
    pub fn fault(&self) -> ProbeFault {
        self.fault
    }

    /// One conversion at a moment (Unix milliseconds) in soil of water content `theta`, m³/m³.
    ///
    /// Further conversions at the same moment have noise of their own.
    pub fn read_mv(&mut self, theta: f64, at_ms: i64) -> u16 {
        self.n_reads_at_last =
            if at_ms == self.last_read_ms { self.n_reads_at_last.wrapping_add(1) } else { 0 };
        self.last_read_ms = at_ms;
        self.convert(theta, at_ms, self.n_reads_at_last)
    }

    /// The median of `n_conversions` (at least one, odd numbers best), as a node takes it at a moment.
    #[must_use]
    pub fn median_mv(&self, theta: f64, at_ms: i64, n_conversions: u8) -> u16 {
        let n_conversions = i64::from(n_conversions.max(1));
        let mut voltages_mv: Vec<u16> = (0..n_conversions).map(|n| self.convert(theta, at_ms, n)).collect();
        voltages_mv.sort_unstable();
        voltages_mv.get(voltages_mv.len() / 2).copied().unwrap_or(0)
    }

    fn convert(&self, theta: f64, at_ms: i64, nth: i64) -> u16 {
        let noise = self.noise_seed.stream(u64::try_from(nth).unwrap_or(0)).bell(at_ms);
        let healthy_mv = self.clean_mv(theta);
        let voltage_mv = match self.fault {
            ProbeFault::None => healthy_mv + NOISE_SD_MV * noise,
            ProbeFault::Stuck { voltage_mv } => return voltage_mv.min(SUPPLY_MV),
            ProbeFault::Disconnected { pulled_up } => return if pulled_up { SUPPLY_MV } else { 0 },
            ProbeFault::Drift { mv_per_day, since_ms } => {
                let days = at_ms.saturating_sub(since_ms).max(0) as f64 / DAY_MS as f64;
                healthy_mv + mv_per_day * days + NOISE_SD_MV * noise
            }
            ProbeFault::Noisy { sd_mv } => healthy_mv + sd_mv * noise,
        };
        whole_u16(voltage_mv).min(SUPPLY_MV)
    }

    /// The curve without noise, mV.
    fn clean_mv(&self, theta: f64) -> f64 {
        let steps = (theta * 10_000.0 / f64::from(POINT_STEP_PERMYRIAD)).clamp(0.0, (N_POINTS - 1) as f64);
        let below = usize::try_from(whole_i64(steps.floor())).unwrap_or(0).min(N_POINTS - 2);
        let share = steps - below as f64;
        match self.curve.get(below..below + 2) {
            Some([dry, wet]) => f64::from(dry.voltage_mv) * (1.0 - share) + f64::from(wet.voltage_mv) * share,
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;
    use proptest::prop_assert;

    use super::*;

    proptest! {
        #[test]
        fn calibration_undoes_the_curve(seed: u64, permyriad in 0_u16..=5_000, at_ms in 0_i64..2_000_000_000_000) {
            let probe = ProbeModel::new(FieldSeed(seed));
            let calibration = probe.calibration().expect("a curve from new");
            let voltage_mv = probe.median_mv(f64::from(permyriad) / 10_000.0, at_ms, 9);
            let moisture = calibration.moisture(Millivolts(voltage_mv)).expect("inside the curve");
            // Nine conversions of 1.5 mV: the median stays within 4 mV, 0.3 % of volume where the curve is flattest.
            prop_assert!(moisture.get().abs_diff(permyriad) <= 30, "{permyriad} became {}", moisture.get());
        }

        #[test]
        fn voltage_is_always_one_an_input_can_have(seed: u64, theta in -1.0..2.0_f64, at_ms: i64, mv_per_day in -500.0..500.0_f64) {
            let mut probe = ProbeModel::new(FieldSeed(seed));
            for fault in [
                ProbeFault::None,
                ProbeFault::Stuck { voltage_mv: u16::MAX },
                ProbeFault::Drift { mv_per_day, since_ms: 0 },
                ProbeFault::Noisy { sd_mv: 5_000.0 },
            ] {
                probe.set_fault(fault);
                prop_assert!(probe.read_mv(theta, at_ms) <= SUPPLY_MV);
            }
        }
    }

    #[test]
    fn voltages_fall_with_moisture_and_probes_differ() {
        let curves: Vec<Vec<u16>> = (0..100)
            .map(|seed| {
                ProbeModel::new(FieldSeed(seed)).curve().iter().map(|point| point.voltage_mv).collect()
            })
            .collect();
        for curve in &curves {
            assert!(curve.windows(2).all(|pair| pair[0] > pair[1] + 100), "{curve:?}");
        }
        assert_ne!(curves[0], curves[1]);
    }

    #[test]
    fn faults_show_as_they_do_in_the_field() {
        let mut probe = ProbeModel::new(FieldSeed(1));
        let calibration = probe.calibration().expect("a curve from new");
        let healthy_mv = probe.median_mv(0.25, 0, 9);
        probe.set_fault(ProbeFault::Disconnected { pulled_up: true });
        assert_eq!(probe.read_mv(0.25, 0), SUPPLY_MV);
        assert_eq!(calibration.moisture(Millivolts(SUPPLY_MV)), None);
        probe.set_fault(ProbeFault::Disconnected { pulled_up: false });
        assert_eq!(calibration.moisture(Millivolts(probe.read_mv(0.25, 0))), None);
        probe.set_fault(ProbeFault::Stuck { voltage_mv: 1_900 });
        assert!((0..50).all(|n| probe.read_mv(0.1 + f64::from(n) / 200.0, i64::from(n)) == 1_900));
        probe.set_fault(ProbeFault::Drift { mv_per_day: 20.0, since_ms: 0 });
        assert!(probe.median_mv(0.25, 10 * DAY_MS, 9).abs_diff(healthy_mv + 200) < 8);
        probe.set_fault(ProbeFault::Noisy { sd_mv: 80.0 });
        let noisy: Vec<u16> = (0..50).map(|at| probe.read_mv(0.25, at)).collect();
        assert!(noisy.iter().max().expect("fifty") - noisy.iter().min().expect("fifty") > 150);
    }

    #[test]
    fn conversions_of_one_moment_differ_but_repeat() {
        let read = || {
            let mut probe = ProbeModel::new(FieldSeed(5));
            (0..9).map(|_| probe.read_mv(0.25, 1_000)).collect::<Vec<u16>>()
        };
        let first = read();
        assert_eq!(first, read());
        assert!(first.iter().any(|voltage_mv| *voltage_mv != first[0]));
    }
}
