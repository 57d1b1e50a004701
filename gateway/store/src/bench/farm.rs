//! A made-up farm for measurements: what its probes read at any minute.
//!
//! Each device has four probes: soil moisture that falls for days and rises when it is watered, temperatures of soil and air with
//! their days and weather, a battery. Numbers have the decimals that real probes send and their noise (about one step of the last
//! decimal), because noise is what a history's size is made of.
//!
//! Must not read a clock or random numbers. Invariant: whole numbers only until the last step, so that every machine makes the same
//! farm from the same seed.

use std::sync::Arc;

use super::super::types::MetricSample;

/// 2026-02-01T00:00:00Z.
pub(super) const FROM_US: i64 = 1_769_904_000_000_000;

/// Between two readings of a probe.
pub(super) const MINUTE_US: i64 = 60_000_000;

/// Probes of a device.
const METRICS: [&str; 4] = ["soil_moisture", "soil_temperature", "air_temperature", "battery"];

/// Largest delay of a reading behind its minute, when there is any (ms).
const JITTER_MS: u64 = 1_000;

const DAY_MIN: i64 = 1_440;

/// All devices of the farm.
#[derive(Debug)]
pub(super) struct Farm {
    jitter: bool,
    fields: Vec<Field>,
}

/// Where one device stands.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) device: Arc<str>,
    /// Its own copies: names that all devices share would be counted up and down by two threads at once all the time.
    metrics: Vec<Arc<str>>,
    seed: u64,
    /// Minutes between two waterings, and where in between the history begins.
    cycle_min: i64,
    phase_min: i64,
    /// Soil moisture before and after watering, thousandths of a per cent.
    dry: i64,
    wet: i64,
    /// Standard deviation of the moisture probe's noise, thousandths of a per cent.
    noise: i64,
}

impl Farm {
    /// `n_series` probes on as many devices as they need.
    pub(super) fn new(seed: u64, n_series: u32, jitter: bool) -> Self {
        let n_devices = n_series.div_ceil(4);
        let fields = (0..n_devices).map(|n| {
            let n_metrics = n_series.saturating_sub(n * 4).min(4);
            Field::new(mix(seed ^ mix(u64::from(n))), n, usize::try_from(n_metrics).unwrap_or(4))
        });
        Self { jitter, fields: fields.collect() }
    }

    /// Its devices.
    pub(super) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Device and metric of a probe, counted from 0.
    pub(super) fn name(&self, series: u32) -> Option<(&str, &str)> {
        let field = self.fields.get(usize::try_from(series / 4).ok()?)?;
        let metric = field.metrics.get(usize::try_from(series % 4).ok()?)?;
        Some((&field.device, metric))
    }

    /// Every reading of a probe: time and value.
    pub(super) fn series(&self, series: u32, n_minutes: i64) -> Vec<(i64, f64)> {
        let field = usize::try_from(series / 4).ok().and_then(|idx| self.fields.get(idx));
        let probe = usize::try_from(series % 4).unwrap_or_default();
        let readings = field.into_iter().flat_map(|field| {
            (0..n_minutes).map(move |minute| (self.at_us(field, minute), field.value(probe, minute)))
        });
        readings.collect()
    }

    /// When `field` took its readings of a minute.
    pub(super) fn at_us(&self, field: &Field, minute: i64) -> i64 {
        let late_ms = if self.jitter { field.chance(9, minute) % JITTER_MS } else { 0 };
        FROM_US + minute * MINUTE_US + late_ms.cast_signed() * 1_000
    }

    /// Everything `field` read in a minute.
    pub(super) fn readings(&self, field: &Field, minute: i64) -> Vec<MetricSample> {
        let at_us = self.at_us(field, minute);
        let value = |probe| Some(field.value(probe, minute));
        let metrics = field.metrics.iter().enumerate();
        metrics
            .map(|(probe, metric)| MetricSample {
                metric: Arc::clone(metric),
                at_us,
                value: value(probe),
                quality: 0,
            })
            .collect()
    }
}

impl Field {
    fn new(seed: u64, number: u32, n_metrics: usize) -> Self {
        let pick = |salt, n: i64| (mix(seed ^ salt) >> 33).cast_signed() % n;
        let dry = 18_000 + pick(1, 6_000);
        Self {
            device: format!("bench-{number:05}").into(),
            metrics: METRICS.iter().take(n_metrics).map(|metric| Arc::from(*metric)).collect(),
            seed,
            cycle_min: 2 * DAY_MIN + pick(2, 4 * DAY_MIN),
            phase_min: pick(3, 6 * DAY_MIN),
            dry,
            wet: dry + 8_000 + pick(4, 6_000),
            noise: 50 + pick(5, 50),
        }
    }

    /// What a probe of this device reads in a minute.
    fn value(&self, probe: usize, minute: i64) -> f64 {
        match probe {
            0 => decimal(self.moisture(minute) + self.noise(0, minute, self.noise), 100, 10.0),
            1 => decimal(
                24_000
                    + 2_500 * wave(minute - 300) / 1_000
                    + self.weather(1, minute, 720)
                    + self.noise(1, minute, 30),
                100,
                10.0,
            ),
            2 => decimal(
                26_000
                    + 5_000 * wave(minute - 120) / 1_000
                    + 2 * self.weather(2, minute, 360)
                    + self.weather(3, minute, 20) / 4
                    + self.noise(2, minute, 60),
                100,
                10.0,
            ),
            _ => decimal(3_750 + 120 * wave(minute) / 1_000 + self.noise(3, minute, 5), 10, 100.0),
        }
    }

    /// Soil moisture without noise: up within 20 minutes, then down, slower and slower.
    fn moisture(&self, minute: i64) -> i64 {
        const WATERING_MIN: i64 = 20;
        let since = (minute + self.phase_min) % self.cycle_min;
        let gain = self.wet - self.dry;
        if since < WATERING_MIN {
            return self.dry + gain * since / WATERING_MIN;
        }
        let (left, all) = (self.cycle_min - since, self.cycle_min - WATERING_MIN);
        self.dry + gain * left * left / (all * all)
    }

    /// Something between -1000 and 1000 that changes within `span_min` minutes.
    fn weather(&self, salt: u64, minute: i64, span_min: i64) -> i64 {
        let (knot, part) = (minute.div_euclid(span_min), minute.rem_euclid(span_min));
        let at = |knot| (self.chance(salt, knot) % 2_001).cast_signed() - 1_000;
        (at(knot) * (span_min - part) + at(knot + 1) * part) / span_min
    }

    /// Noise of about normal distribution.
    fn noise(&self, salt: u64, minute: i64, deviation: i64) -> i64 {
        // The sum of four even distributions over 16 bits: mean 131,070, standard deviation 37,837.
        let bits = self.chance(salt + 16, minute);
        let sum: u64 = [0, 16, 32, 48].iter().map(|shift| bits >> shift & 0xffff).sum();
        (sum.cast_signed() - 131_070) * deviation / 37_837
    }

    fn chance(&self, salt: u64, minute: i64) -> u64 {
        mix(self.seed ^ salt.rotate_left(56) ^ minute.cast_unsigned())
    }
}

/// The day as a wave, from -1000 to 1000; two parabolas.
fn wave(minute: i64) -> i64 {
    const HALF: i64 = DAY_MIN / 2;
    let of_day = minute.rem_euclid(DAY_MIN);
    let of_half = of_day % HALF;
    let height = 4_000 * of_half * (HALF - of_half) / (HALF * HALF);
    if of_day < HALF { height } else { -height }
}

/// Thousandths, rounded to whole steps of `step`, as the decimal a probe sends; `per_unit` steps make a unit.
fn decimal(thousandths: i64, step: i64, per_unit: f64) -> f64 {
    let steps = (thousandths + step / 2).div_euclid(step);
    i32::try_from(steps).map_or(0.0, |steps| f64::from(steps) / per_unit)
}

/// Scrambles 64 bits (the finaliser of SplitMix64, Steele et al. 2014).
pub(super) fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farm_is_plausible_and_always_the_same() {
        let (farm, again) = (Farm::new(7, 10, true), Farm::new(7, 10, true));
        assert_eq!(farm.fields().len(), 3);
        assert_eq!(farm.name(9), Some(("bench-00002", "soil_temperature")));
        assert_eq!(farm.name(12), None);
        let bounds = [(15.0, 42.0), (18.0, 31.0), (17.0, 36.0), (3.5, 4.0)];
        let mut n_readings = 0;
        for (field, other) in farm.fields().iter().zip(again.fields()) {
            for minute in 0..4 * DAY_MIN {
                let readings = farm.readings(field, minute);
                assert_eq!(readings, again.readings(other, minute));
                let late_us = readings[0].at_us - (FROM_US + minute * MINUTE_US);
                assert!((0..1_000_000).contains(&late_us), "{late_us}");
                for (reading, (low, high)) in readings.iter().zip(bounds) {
                    let value = reading.value.unwrap();
                    assert!(low < value && value < high, "{} {value}", reading.metric);
                    n_readings += 1;
                }
            }
        }
        assert_eq!(n_readings, 10 * 4 * DAY_MIN);
    }

    #[test]
    fn another_seed_is_another_farm() {
        let first = |seed| {
            let farm = Farm::new(seed, 1, false);
            (0..100).map(|minute| farm.fields()[0].value(0, minute).to_bits()).collect::<Vec<_>>()
        };
        assert_ne!(first(1), first(2));
    }
}
