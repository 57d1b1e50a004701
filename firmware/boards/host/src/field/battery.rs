//! Voltage of a node's lithium cell that a small solar panel charges by day.
//!
//! A picture of a healthy cell for charts and alarms, not a model of its chemistry: depends on the seed and the
//! moment alone.

use crate::field::rng::FieldSeed;
use crate::field::{local_days, whole_u16};

/// Voltage of an empty cell, mV; a lithium-ion cell is cut off near it.
const EMPTY_MV: f64 = 3_000.0;

/// Voltage of a full cell, mV.
const FULL_MV: f64 = 4_200.0;

/// A node's battery.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Battery {
    seed: FieldSeed,
    weak_mv: u16,
}

impl Battery {
    /// A healthy battery.
    #[must_use]
    pub fn new(seed: FieldSeed) -> Self {
        Self { seed, weak_mv: 0 }
    }

    /// Lowers every voltage by `weak_mv`: a shaded panel or an old cell.
    pub fn set_weak_mv(&mut self, weak_mv: u16) {
        self.weak_mv = weak_mv;
    }

    /// Voltage at a moment (Unix milliseconds), mV.
    #[must_use]
    pub fn voltage_mv(&self, at_ms: i64) -> u16 {
        let days = local_days(at_ms);
        let hour = (days - days.floor()) * 24.0;
        // Charged from 8 to 15 o'clock, spent slowly through evening and night.
        let swing = if (8.0..15.0).contains(&hour) {
            (hour - 8.0) / 7.0
        } else {
            1.0 - (hour - 15.0).rem_euclid(24.0) / 17.0
        };
        let node_mv = 40.0 * (self.seed.unit(0) - 0.5);
        let sunshine_mv = 35.0 * self.seed.stream(1).smooth_bell(days);
        let voltage_mv = 3_880.0 + 190.0 * swing + node_mv + sunshine_mv - f64::from(self.weak_mv);
        whole_u16(voltage_mv.clamp(EMPTY_MV, FULL_MV))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{DAY_MS, HOUR_MS, MINUTE_MS};

    #[test]
    fn voltage_stays_in_range_and_moves_without_leaps() {
        let battery = Battery::new(FieldSeed(2));
        let voltages: Vec<u16> = (0..3_000).map(|n| battery.voltage_mv(n * 10 * MINUTE_MS)).collect();
        assert!(voltages.iter().all(|mv| (3_700..=4_200).contains(mv)));
        assert!(voltages.windows(2).all(|pair| pair[0].abs_diff(pair[1]) < 12));
    }

    #[test]
    fn fuller_in_the_afternoon_than_before_dawn() {
        let battery = Battery::new(FieldSeed(2));
        let (dawn_ms, afternoon_ms) = (22 * HOUR_MS, DAY_MS + 8 * HOUR_MS); // 5 and 15 o'clock in UTC+7
        assert!(battery.voltage_mv(afternoon_ms) > battery.voltage_mv(dawn_ms) + 50);
    }

    #[test]
    fn a_weak_cell_reads_lower() {
        let mut battery = Battery::new(FieldSeed(2));
        let healthy_mv = battery.voltage_mv(0);
        battery.set_weak_mv(500);
        assert_eq!(battery.voltage_mv(0), healthy_mv - 500);
        battery.set_weak_mv(u16::MAX);
        assert_eq!(battery.voltage_mv(0), 3_000);
    }
}
