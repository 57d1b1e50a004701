//! The farm's weather day by day, from what its station has in the store.
//!
//! A day counts where enough of its hours have sound readings; what is missing is missing, never made up here.

use std::collections::BTreeMap;

use giot_engine::agro::{Et0Choice, Method, Site, TemperatureOnly, Weather, et0_day};
use giot_engine::program::Date;
use giot_shared::ids::NodeId;
use giot_shared::metric::Metric;

use giot_store::{Bucket, Reader};

const HOUR_US: i64 = 3_600_000_000;
/// Hours of a day that must have sound readings: a daily extreme or mean is then not far off.
const HOURS_MIN: usize = 20;
/// The same of sums of radiation: each missing hour of daylight is missing in the sum.
const HOURS_OF_SUM_MIN: usize = 23;

/// No more rain falls in an hour, mm: the most that was ever measured in 42 minutes is 305 mm (Holt, Missouri, 22 June 1947; WMO
/// archive of extremes), and no tipping bucket follows that. More is a glitch of the gauge or of its line.
const RAIN_HOUR_MM_MAX: f64 = 300.0;

/// The station that a balance goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Station {
    /// The device; its metrics have the names that nodes give them.
    pub device: NodeId,
    /// Where it stands.
    pub site: Site,
}

/// How a day's reference evapotranspiration came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Et0From {
    /// Penman–Monteith, with at least one measurement beside temperature.
    PenmanMonteith,
    /// Hargreaves: only temperature was measured.
    Hargreaves,
    /// The mean of the days before: the station was silent.
    Guessed,
}

impl Et0From {
    /// The stable code: snake_case.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::PenmanMonteith => "penman_monteith",
            Self::Hargreaves => "hargreaves",
            Self::Guessed => "guessed",
        }
    }
}

/// What is known of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Day {
    /// Reference evapotranspiration, mm, and how it came about; `None`: the temperatures are missing.
    pub et0: Option<(f64, bool)>,
    /// Lowest and highest temperature of the air, °C.
    pub extremes_c: Option<(f64, f64)>,
    /// Wind at 2 m, m/s.
    pub u2_ms: Option<f64>,
    /// Lowest relative humidity, %.
    pub rhmin: Option<f64>,
    /// Rain of each hour of the local day, mm; `None`: nothing was heard in that hour.
    pub rain_mm: [Option<f64>; 24],
    /// An hour had more rain than can fall: it is left out.
    pub is_rain_doubted: bool,
}

impl Day {
    /// Rain from an hour of the day on, mm.
    #[must_use]
    pub fn rain_from(&self, hour: usize) -> f64 {
        // From 0: a sum of nothing would be −0.
        self.rain_mm.iter().skip(hour).flatten().fold(0.0, |sum, hour_mm| sum + hour_mm)
    }

    /// Whether the gauge was heard in most hours.
    #[must_use]
    pub fn has_rain(&self) -> bool {
        self.rain_mm.iter().flatten().count() >= HOURS_MIN
    }
}

/// The hours of one day of one series.
type Hours = [Option<Bucket>; 24];

/// The days from `first` to `last`, both included; a day without any reading is left out.
///
/// # Errors
/// When the store cannot be read.
pub fn days(
    reader: &Reader,
    station: &Station,
    first: Date,
    last: Date,
    utc_offset_min: i32,
) -> anyhow::Result<BTreeMap<Date, Day>> {
    let read = |metric: Metric| hours(reader, station, metric, first, last, utc_offset_min);
    let temperature = read(Metric::AirTemperature)?;
    let humidity = read(Metric::RelativeHumidity)?;
    let wind = read(Metric::WindSpeed)?;
    let radiation = read(Metric::SolarRadiation)?;
    let rain = read(Metric::Rain)?;
    let mut days = BTreeMap::new();
    for nth in 0..=last.days_since(first) {
        let date = first.plus_days(nth);
        let of = |series: &BTreeMap<Date, Hours>| series.get(&date).copied().unwrap_or_default();
        let parts = [&temperature, &humidity, &wind, &radiation, &rain].map(of);
        if parts.iter().any(|hours| hours.iter().any(Option::is_some)) {
            days.insert(date, day(date, &station.site, &parts));
        }
    }
    Ok(days)
}

fn hours(
    reader: &Reader,
    station: &Station,
    metric: Metric,
    first: Date,
    last: Date,
    utc_offset_min: i32,
) -> anyhow::Result<BTreeMap<Date, Hours>> {
    let from_us = first.begins_at(utc_offset_min).0.saturating_mul(1000);
    let to_us = last.plus_days(1).begins_at(utc_offset_min).0.saturating_mul(1000);
    let n_hours = (to_us - from_us).max(0) / HOUR_US;
    let edges: Vec<i64> = (0..=n_hours).map(|hour| from_us + hour * HOUR_US).collect();
    let mut by_day: BTreeMap<Date, Hours> = BTreeMap::new();
    for bucket in reader.buckets(station.device.as_str(), metric.name(), &edges, false)?.0 {
        // A reading that something is wrong with spoils its hour.
        if bucket.n_flagged > 0 {
            continue;
        }
        let nth = (bucket.from_us - from_us).div_euclid(HOUR_US);
        let date = first.plus_days(i32::try_from(nth / 24).unwrap_or(i32::MAX));
        let place =
            usize::try_from(nth % 24).ok().and_then(|hour| by_day.entry(date).or_default().get_mut(hour));
        if let Some(place) = place {
            *place = Some(bucket);
        }
    }
    Ok(by_day)
}

fn day(date: Date, site: &Site, [temperature, humidity, wind, radiation, rain]: &[Hours; 5]) -> Day {
    let enough = |hours: &Hours, least: usize| {
        let there: Vec<Bucket> = hours.iter().flatten().copied().collect();
        (there.len() >= least).then_some(there)
    };
    let lowest = |hours: &[Bucket]| hours.iter().map(|hour| hour.min).reduce(f64::min);
    let highest = |hours: &[Bucket]| hours.iter().map(|hour| hour.max).reduce(f64::max);
    let humidity = enough(humidity, HOURS_MIN);
    let wind = enough(wind, HOURS_MIN);
    let mut weather = Weather { doy: day_of_year(date), ..Weather::default() };
    weather.rhmax = humidity.as_deref().and_then(highest);
    weather.rhmin = humidity.as_deref().and_then(lowest);
    weather.u_ms = wind.map(|hours| mean(hours.iter().map(|hour| hour.time_mean)));
    weather.rs_mj = enough(radiation, HOURS_OF_SUM_MIN).map(|hours| hours.iter().map(sum).sum());
    let temperature = enough(temperature, HOURS_MIN);
    let extremes = temperature.as_deref().and_then(|hours| Some((lowest(hours)?, highest(hours)?)));
    let choice = Et0Choice { temperature_only: TemperatureOnly::Hargreaves, ..Et0Choice::default() };
    let et0 = extremes.and_then(|(tmin_c, tmax_c)| {
        let weather = Weather { tmin_c, tmax_c, ..weather };
        // A number that cannot be (a broken instrument) counts as none: temperature alone still gives Hargreaves.
        let alone = Weather { doy: weather.doy, tmin_c, tmax_c, ..Weather::default() };
        let et0 = et0_day(site, &weather, &choice).or_else(|_| et0_day(site, &alone, &choice)).ok()?;
        Some((et0.et0_mm.max(0.0), matches!(et0.method, Method::Hargreaves)))
    });
    let rain = rain.map(|hour| hour.map(|hour| sum(&hour).max(0.0)));
    let can_be = |hour_mm: &f64| *hour_mm <= RAIN_HOUR_MM_MAX;
    Day {
        et0,
        extremes_c: extremes.filter(|_| et0.is_some()),
        u2_ms: site.wind(weather.u_ms).ok().filter(|_| weather.u_ms.is_some()).map(|(u2_ms, _)| u2_ms),
        rhmin: weather.rhmin.filter(|rh| (0.0..=100.0).contains(rh)),
        rain_mm: rain.map(|hour| hour.filter(can_be)),
        is_rain_doubted: rain.iter().flatten().any(|hour_mm| !can_be(hour_mm)),
    }
}

fn day_of_year(date: Date) -> u16 {
    let first = Date::new(date.year(), 1, 1).unwrap_or(date);
    u16::try_from(date.days_since(first) + 1).unwrap_or(1)
}

/// The sum of an hour's readings.
#[expect(clippy::cast_precision_loss, reason = "readings of an hour are far below 2^53")]
fn sum(hour: &Bucket) -> f64 {
    hour.mean * hour.n_values as f64
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0_u32), |(sum, n), value| (sum + value, n + 1));
    sum / f64::from(n.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(value: f64, n_values: u64) -> Option<Bucket> {
        Some(Bucket {
            from_us: 0,
            n_values,
            n_flagged: 0,
            min: value,
            max: value,
            mean: value,
            last: value,
            time_mean: value,
            rise: None,
        })
    }

    /// FAO-56 example 17's place: Bangkok in April.
    fn bangkok() -> (Date, Site) {
        (Date::new(2026, 4, 15).expect("a date"), Site::new(13.73, 2.0, 2.0).expect("a site"))
    }

    #[test]
    fn temperature_alone_is_hargreaves_and_anything_more_is_penman_monteith() {
        let (date, site) = bangkok();
        let mut temperature: Hours = [bucket(30.0, 6); 24];
        (temperature[5], temperature[14]) = (bucket(25.6, 6), bucket(34.8, 6));
        let none = Hours::default();
        let alone = day(date, &site, &[temperature, none, none, none, none]);
        let (et0_mm, is_hargreaves) = alone.et0.expect("a number");
        assert!(is_hargreaves && (4.0..7.0).contains(&et0_mm), "{et0_mm}");
        let humidity: Hours = [bucket(75.0, 6); 24];
        let more = day(date, &site, &[temperature, humidity, none, none, none]);
        assert!(more.et0.is_some_and(|(_, is_hargreaves)| !is_hargreaves));
    }

    #[test]
    fn a_day_with_too_few_hours_has_no_number() {
        let (date, site) = bangkok();
        let mut temperature: Hours = [bucket(30.0, 6); 24];
        (temperature[5], temperature[14]) = (bucket(25.6, 6), bucket(34.8, 6));
        temperature[..5].fill(None);
        let none = Hours::default();
        let found = day(date, &site, &[temperature, none, none, none, none]);
        assert_eq!(found.et0, None, "19 hours may miss the coldest");
        // A broken radiation sensor does not spoil what the thermometer gives.
        let whole: Hours = [bucket(30.0, 6), bucket(24.0, 6)].repeat(12).try_into().expect("24 hours");
        let wild: Hours = [bucket(90.0, 6); 24];
        let found = day(date, &site, &[whole, none, none, wild, none]);
        assert!(found.et0.is_some_and(|(_, is_hargreaves)| is_hargreaves));
    }

    #[test]
    fn rain_adds_up_by_the_hour() {
        let (date, site) = bangkok();
        let none = Hours::default();
        let mut rain: Hours = [bucket(0.0, 6); 24];
        (rain[3], rain[20]) = (bucket(0.5, 6), bucket(1.0, 4));
        let found = day(date, &site, &[none, none, none, none, rain]);
        assert!((found.rain_from(0) - 7.0).abs() < 1e-9 && (found.rain_from(4) - 4.0).abs() < 1e-9);
        assert!(found.has_rain() && !day(date, &site, &[none; 5]).has_rain());
        assert!(!found.is_rain_doubted && found.rain_from(24).is_sign_positive(), "no −0 in any answer");
    }

    /// 0x3333 in a register of a gauge, and a flood that no hour holds, though a day might.
    #[test]
    fn an_hour_with_more_rain_than_can_fall_is_left_out() {
        let (date, site) = bangkok();
        let none = Hours::default();
        let rain_of = |of_hour: f64| {
            let mut rain: Hours = [bucket(0.5, 1); 24];
            rain[14] = bucket(of_hour, 1);
            day(date, &site, &[none, none, none, none, rain])
        };
        for glitch in [13_107.0, 1_500.0, 301.0] {
            let found = rain_of(glitch);
            assert!(found.is_rain_doubted && (found.rain_from(0) - 11.5).abs() < 1e-9, "{found:?}");
        }
        let cloudburst = rain_of(180.0);
        assert!(!cloudburst.is_rain_doubted && cloudburst.rain_from(0) > 190.0);
    }
}
