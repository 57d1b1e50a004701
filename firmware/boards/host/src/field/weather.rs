//! Weather at any moment, made from a seed and a table of monthly normals.
//!
//! Each value depends on the seed and the moment alone, never on what was asked before: the past of a demonstration
//! and its live part see the same sky. Local days (UTC+7) carry one rain event at most; it may run past midnight.
//!
//! Reference evapotranspiration is Hargreaves (FAO-56 eq. 52) over the simulated temperatures, spread over the
//! daylight hours as half a sine. That is enough for a believable field; it is not a forecast and not a station.
//! Read first: FAO-56 (Allen et al. 1998) eq. 21–25, 34 and 52.

use std::f64::consts::PI;

use crate::field::rng::FieldSeed;
use crate::field::{DAY_MS, UTC_OFFSET_MS, local_days, whole_i64, year_share};

/// Monthly normals of a place; each table starts with January.
#[derive(Debug, Clone, PartialEq)]
pub struct Climate {
    /// Mean air temperature, °C.
    pub temp_mean_c: [f64; 12],
    /// Daily maximum minus daily minimum on a dry day, °C.
    pub temp_range_c: [f64; 12],
    /// Mean relative humidity, %.
    pub rh_mean_percent: [f64; 12],
    /// Rain of the month, mm.
    pub rain_mm: [f64; 12],
    /// Latitude north of the equator, degrees.
    pub latitude_deg: f64,
}

impl Climate {
    /// Sơn La town: a cool dry winter from October to March and a wet summer.
    ///
    /// Shaped to the published whole-year figures (mean 21.4 °C, humidity 81 %, 1 200–1 600 mm of rain, four fifths
    /// of it from May to September); the single months are believable, not measured.
    #[must_use]
    pub fn son_la() -> Self {
        Self {
            temp_mean_c: [15.0, 17.1, 20.7, 23.8, 25.2, 25.4, 25.2, 24.8, 23.8, 21.8, 18.5, 15.5],
            temp_range_c: [11.5, 12.5, 13.0, 12.5, 10.5, 8.5, 8.0, 8.5, 9.5, 10.0, 10.5, 11.0],
            rh_mean_percent: [79.0, 75.0, 71.0, 73.0, 78.0, 85.0, 87.0, 88.0, 86.0, 84.0, 83.0, 81.0],
            rain_mm: [12.0, 18.0, 35.0, 85.0, 195.0, 250.0, 285.0, 280.0, 150.0, 55.0, 25.0, 12.0],
            latitude_deg: 21.3,
        }
    }
}

/// What the sky does at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeatherSample {
    /// Air temperature, °C.
    pub temp_c: f64,
    /// Relative humidity, %.
    pub rh_percent: f64,
    /// Rain rate, mm/h.
    pub rain_mm_h: f64,
    /// Reference evapotranspiration rate, mm/h.
    pub et0_mm_h: f64,
}

/// A deterministic weather generator.
#[derive(Debug, Clone, PartialEq)]
pub struct Weather {
    climate: Climate,
    temp_seed: FieldSeed,
    rain_seed: FieldSeed,
    dry_spell_ms: Option<(i64, i64)>,
}

/// The weather of one local day; pairs hold the value at the beginning of the day and of the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeatherDay {
    day: i64,
    mean_c: [f64; 2],
    range_c: [f64; 2],
    rh_mean_percent: [f64; 2],
    et0_mm: f64,
    daylight_h: f64,
    rain: [Option<RainEvent>; 2],
}

/// Rain of one event, as a smooth hump.
#[derive(Debug, Clone, Copy, PartialEq)]
struct RainEvent {
    start_ms: i64,
    duration_ms: i64,
    amount_mm: f64,
}

impl Weather {
    /// Weather of a climate; the seed chooses the single days.
    #[must_use]
    pub fn new(seed: FieldSeed, climate: Climate) -> Self {
        Self { climate, temp_seed: seed.stream(1), rain_seed: seed.stream(2), dry_spell_ms: None }
    }

    /// The same weather without any rain event that begins from `from_ms` up to `to_ms` (Unix milliseconds).
    #[must_use]
    pub fn with_dry_spell(mut self, from_ms: i64, to_ms: i64) -> Self {
        self.dry_spell_ms = Some((from_ms, to_ms));
        self
    }

    /// The weather at a moment (Unix milliseconds).
    #[must_use]
    pub fn at(&self, unix_ms: i64) -> WeatherSample {
        self.day_at(unix_ms).at(unix_ms)
    }

    /// The weather of the local day that holds a moment (Unix milliseconds), to ask for many moments of it.
    #[must_use]
    pub fn day_at(&self, unix_ms: i64) -> WeatherDay {
        let day = local_day(unix_ms);
        let next_day = day.saturating_add(1);
        let (noon_ms, next_noon_ms) = (local_noon_ms(day), local_noon_ms(next_day));
        let (_, daylight_h) = sun(self.climate.latitude_deg, year_share(noon_ms));
        WeatherDay {
            day,
            mean_c: [self.temp_mean_c(day), self.temp_mean_c(next_day)],
            range_c: [self.temp_range_c(day), self.temp_range_c(next_day)],
            rh_mean_percent: [noon_ms, next_noon_ms]
                .map(|at_ms| monthly(&self.climate.rh_mean_percent, year_share(at_ms))),
            et0_mm: self.day_et0_mm(day),
            daylight_h,
            // An event begins in the afternoon or evening and may last past midnight.
            rain: [self.rain_event(day.saturating_sub(1)), self.rain_event(day)],
        }
    }

    /// Rain of a local day, mm, counted where its event begins; `day` is days since 1970 of the local calendar.
    #[must_use]
    pub fn day_rain_mm(&self, day: i64) -> f64 {
        self.rain_event(day).map_or(0.0, |event| event.amount_mm)
    }

    /// Reference evapotranspiration of a local day, mm; `day` is days since 1970 of the local calendar.
    #[must_use]
    pub fn day_et0_mm(&self, day: i64) -> f64 {
        let noon_ms = local_noon_ms(day);
        let temp_c = 0.5 * (self.temp_mean_c(day) + self.temp_mean_c(day.saturating_add(1)));
        let (extraterrestrial_mm, _) = sun(self.climate.latitude_deg, year_share(noon_ms));
        // FAO-56 eq. 52.
        (0.0023 * (temp_c + 17.8) * self.temp_range_c(day).sqrt() * extraterrestrial_mm).max(0.0)
    }

    /// Mean temperature at the beginning of a day; between days it moves in a straight line.
    fn temp_mean_c(&self, day: i64) -> f64 {
        // Warm and cool spells of a few days: a deviation of about 2 °C.
        let spell = self.temp_seed.smooth_bell(day as f64 / 2.0);
        monthly(&self.climate.temp_mean_c, year_share(local_noon_ms(day))) + 2.2 * spell
    }

    fn temp_range_c(&self, day: i64) -> f64 {
        let dry_c = monthly(&self.climate.temp_range_c, year_share(local_noon_ms(day)));
        let cloud = if self.rain_event(day).is_some() { 0.65 } else { 1.0 };
        let spread = 1.0 + 0.12 * self.temp_seed.stream(9).bell(day);
        (dry_c * cloud * spread).max(2.0)
    }

    fn rain_event(&self, day: i64) -> Option<RainEvent> {
        let midnight_ms = local_noon_ms(day).saturating_sub(DAY_MS / 2);
        let mean_mm = monthly(&self.climate.rain_mm, year_share(local_noon_ms(day))) / 30.4;
        // About one day in twelve in January, more than every second day in July.
        let chance = (0.06 + 0.055 * mean_mm).min(0.65);
        if self.rain_seed.unit(day) >= chance {
            return None;
        }
        // Amounts of single rains are close to exponential: many small, few large.
        let amount_mm = -(1.0 - self.rain_seed.stream(1).unit(day)).ln() * mean_mm / chance;
        let start_h = 13.0 + 11.0 * self.rain_seed.stream(2).unit(day);
        let duration_h = 0.5 + 4.5 * self.rain_seed.stream(3).unit(day);
        let start_ms = midnight_ms.saturating_add(hours_ms(start_h));
        if self.dry_spell_ms.is_some_and(|(from_ms, to_ms)| (from_ms..to_ms).contains(&start_ms)) {
            return None;
        }
        Some(RainEvent { start_ms, duration_ms: hours_ms(duration_h), amount_mm })
    }
}

impl WeatherDay {
    /// The weather at a moment of this day (Unix milliseconds).
    #[must_use]
    pub fn at(&self, unix_ms: i64) -> WeatherSample {
        let share = (local_days(unix_ms) - self.day as f64).clamp(0.0, 1.0);
        let hour = share * 24.0;
        let between = |[begin, end]: [f64; 2]| begin * (1.0 - share) + end * share;
        let rain_mm_h: f64 = self.rain.iter().flatten().map(|event| event.rate_mm_h(unix_ms)).sum();
        // Warmest about two hours after noon, coolest before dawn.
        let swing_c = 0.5 * between(self.range_c) * (2.0 * PI * (hour - 14.0) / 24.0).cos();
        let temp_c = (between(self.mean_c) + swing_c).clamp(1.0, 41.0);
        let wet_air = if rain_mm_h > 0.0 { 12.0 } else { 0.0 };
        // With a steady dew point, humidity falls about 3 % for each degree of warming.
        let rh_percent = (between(self.rh_mean_percent) - 3.0 * swing_c + wet_air).clamp(20.0, 100.0);
        WeatherSample { temp_c, rh_percent, rain_mm_h, et0_mm_h: self.et0_mm_h(hour) }
    }

    /// Whether a moment (Unix milliseconds) lies in this day.
    #[must_use]
    pub fn holds(&self, unix_ms: i64) -> bool {
        local_day(unix_ms) == self.day
    }

    fn et0_mm_h(&self, hour: f64) -> f64 {
        // A little water leaves at night too (wind, warm ground): 4 % of the day's sum, spread evenly.
        const NIGHT_SHARE: f64 = 0.04;
        let since_sunrise_h = hour - (12.0 - self.daylight_h / 2.0);
        let sunshine = if since_sunrise_h > 0.0 && since_sunrise_h < self.daylight_h {
            (PI * since_sunrise_h / self.daylight_h).sin() * PI / (2.0 * self.daylight_h)
        } else {
            0.0
        };
        self.et0_mm * ((1.0 - NIGHT_SHARE) * sunshine + NIGHT_SHARE / 24.0)
    }
}

impl RainEvent {
    fn rate_mm_h(&self, unix_ms: i64) -> f64 {
        let share = unix_ms.saturating_sub(self.start_ms) as f64 / self.duration_ms as f64;
        if !(0.0..=1.0).contains(&share) {
            return 0.0;
        }
        // A parabola whose integral over the event is one.
        let duration_h = self.duration_ms as f64 / hours_ms(1.0) as f64;
        6.0 * share * (1.0 - share) * self.amount_mm / duration_h
    }
}

/// A table of twelve monthly values read at a share of the year, straight between the middles of the months.
fn monthly(table: &[f64; 12], year_share: f64) -> f64 {
    let position = (year_share * 12.0 - 0.5).rem_euclid(12.0);
    let before = whole_i64(position.floor());
    let share = position - position.floor();
    let pick = |month: i64| {
        let idx = usize::try_from(month.rem_euclid(12)).unwrap_or(0);
        table.get(idx).copied().unwrap_or(0.0)
    };
    pick(before) * (1.0 - share) + pick(before.saturating_add(1)) * share
}

/// Extraterrestrial radiation as mm of water a day (FAO-56 eq. 21, × 0.408) and hours of daylight (eq. 34).
fn sun(latitude_deg: f64, year_share: f64) -> (f64, f64) {
    let latitude = latitude_deg.to_radians();
    let angle = 2.0 * PI * year_share;
    let distance = 1.0 + 0.033 * angle.cos(); // eq. 23
    let declination = 0.409 * (angle - 1.39).sin(); // eq. 24
    let sunset = (-latitude.tan() * declination.tan()).clamp(-1.0, 1.0).acos(); // eq. 25
    let geometry =
        sunset * latitude.sin() * declination.sin() + latitude.cos() * declination.cos() * sunset.sin();
    let radiation_mj = 24.0 * 60.0 / PI * 0.0820 * distance * geometry;
    (0.408 * radiation_mj, 24.0 / PI * sunset)
}

/// Unix milliseconds of noon of a local day.
fn local_noon_ms(day: i64) -> i64 {
    day.saturating_mul(DAY_MS).saturating_add(DAY_MS / 2).saturating_sub(UTC_OFFSET_MS)
}

/// Days since 1970 of the local calendar.
fn local_day(unix_ms: i64) -> i64 {
    unix_ms.saturating_add(UTC_OFFSET_MS).div_euclid(DAY_MS)
}

fn hours_ms(hours: f64) -> i64 {
    whole_i64(hours * 3_600_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{HOUR_MS, MINUTE_MS};

    fn son_la(seed: u64) -> Weather {
        Weather::new(FieldSeed(seed), Climate::son_la())
    }

    #[test]
    fn normals_add_up_to_the_published_year() {
        let climate = Climate::son_la();
        let temp_c = climate.temp_mean_c.iter().sum::<f64>() / 12.0;
        let rain_mm = climate.rain_mm.iter().sum::<f64>();
        let summer_mm = climate.rain_mm[4..9].iter().sum::<f64>();
        let rh_percent = climate.rh_mean_percent.iter().sum::<f64>() / 12.0;
        assert!((temp_c - 21.4).abs() < 0.1, "{temp_c}");
        assert!((rh_percent - 81.0).abs() < 0.5, "{rh_percent}");
        assert!((1_200.0..1_600.0).contains(&rain_mm));
        assert!((0.80..0.85).contains(&(summer_mm / rain_mm)));
    }

    #[test]
    fn made_up_years_keep_the_normals() {
        let weather = son_la(11);
        let days = 365 * 40;
        let rain_mm = (0..days).map(|day| weather.day_rain_mm(day)).sum::<f64>() / 40.0;
        assert!((1_200.0..1_600.0).contains(&rain_mm), "{rain_mm} mm a year");
        let et0_mm = (0..days).map(|day| weather.day_et0_mm(day)).sum::<f64>() / 40.0;
        assert!((1_000.0..1_600.0).contains(&et0_mm), "{et0_mm} mm a year");
    }

    #[test]
    fn rates_integrate_to_the_sums_of_the_day() {
        let weather = son_la(5);
        for day in 19_900..19_960 {
            let midnight_ms = local_noon_ms(day) - DAY_MS / 2;
            let minutes = |from: i64, n: i64| (0..n).map(move |m| from + m * MINUTE_MS + MINUTE_MS / 2);
            let et0_mm: f64 = minutes(midnight_ms, 1_440).map(|at| weather.at(at).et0_mm_h / 60.0).sum();
            assert!((et0_mm - weather.day_et0_mm(day)).abs() < 0.01, "day {day}: {et0_mm}");
            if let Some(event) = weather.rain_event(day) {
                let n_minutes = event.duration_ms / MINUTE_MS + 2;
                let rain_mm: f64 =
                    minutes(event.start_ms, n_minutes).map(|at| event.rate_mm_h(at) / 60.0).sum();
                assert!((rain_mm - event.amount_mm).abs() < 0.01 + 0.01 * event.amount_mm);
            }
        }
    }

    #[test]
    fn sun_agrees_with_fao_example_8() {
        // FAO-56 example 8: 3 September at 20° south, Ra = 32.2 MJ/m²/day; example 9: 11.7 h of daylight.
        let (radiation_mm, daylight_h) = sun(-20.0, 246.0 / 365.0);
        assert!((radiation_mm / 0.408 - 32.2).abs() < 0.1, "{radiation_mm}");
        assert!((daylight_h - 11.7).abs() < 0.05, "{daylight_h}");
    }

    #[test]
    fn values_stay_in_range_and_do_not_depend_on_order() {
        let weather = son_la(3);
        let moments: Vec<i64> = (0..3_000).map(|n| 1_700_000_000_000 + n * 7 * HOUR_MS + n * 977).collect();
        let forward: Vec<WeatherSample> = moments.iter().map(|at| weather.at(*at)).collect();
        let mut backward: Vec<WeatherSample> = moments.iter().rev().map(|at| weather.at(*at)).collect();
        backward.reverse();
        assert_eq!(forward, backward);
        for sample in forward {
            assert!((1.0..=41.0).contains(&sample.temp_c));
            assert!((20.0..=100.0).contains(&sample.rh_percent));
            assert!((0.0..=250.0).contains(&sample.rain_mm_h));
            assert!((0.0..=1.5).contains(&sample.et0_mm_h));
        }
    }

    #[test]
    fn a_dry_spell_has_no_rain() {
        let from_ms = 1_720_000_000_000;
        let weather = son_la(3).with_dry_spell(from_ms, from_ms + 30 * DAY_MS);
        let rain: f64 = (0..29 * 24).map(|h| weather.at(from_ms + DAY_MS + h * HOUR_MS).rain_mm_h).sum();
        assert!(rain.abs() < 1e-12);
        let usual: f64 = (0..29 * 24).map(|h| son_la(3).at(from_ms + DAY_MS + h * HOUR_MS).rain_mm_h).sum();
        assert!(usual > 1.0, "July is wet in Sơn La");
    }

    #[test]
    fn extreme_moments_do_not_panic() {
        for at in [i64::MIN, -1, 0, i64::MAX] {
            assert!(son_la(1).at(at).temp_c.is_finite());
        }
    }
}
