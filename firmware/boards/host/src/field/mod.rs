//! A simulated orchard behind the simulated boards: weather, soil water, pipes and the probes that look at them.
//!
//! Responsible for answering "what would this probe, flow meter or battery show at this moment" when valves were
//! opened and closed at given moments. Pure: no I/O, no clock, no hidden randomness. Time is an argument, in
//! milliseconds since 1970 (UTC); equal seeds and equal calls give equal answers, and how often a caller asks does
//! not change what happens in the field.
//!
//! It must not decide anything about watering a live field: that is the gateway's work. Only [`history`] holds a
//! plain start-below/stop-above rule, to make up the past of a demonstration.
//!
//! | part | what it knows |
//! |---|---|
//! | [`rng`] | seeded numbers by key |
//! | [`weather`] | temperature, humidity, rain, reference evapotranspiration at any moment |
//! | [`soil`] | a column of soil layers in the wetted bulb, with a closed water balance |
//! | [`zone`] | valve, emitters and soil of one irrigation zone |
//! | [`site`] | zones that share a pump and a tank; the only place where time advances |
//! | [`probe`] | moisture → millivolts of a capacitive probe, with its faults |
//! | [`battery`] | cell voltage of a node with a small solar panel |
//! | [`farm`] | a described cooperative: names, nodes, thresholds over a site |
//! | [`history`] | the past weeks of that cooperative |

pub mod battery;
mod demo;
pub mod farm;
pub mod history;
pub mod probe;
pub mod rng;
pub mod site;
pub mod soil;
pub mod weather;
pub mod zone;

#[cfg(test)]
mod tests;

pub use self::battery::Battery;
pub use self::farm::{Farm, FieldError, NodeSpec, SourceSpec, ZoneSpec};
pub use self::history::{History, PastRun, PastSample, RunEnd};
pub use self::probe::{CurvePoint, ProbeFault, ProbeModel};
pub use self::rng::FieldSeed;
pub use self::site::{Site, WaterSource};
pub use self::soil::{Soil, SoilKind, WaterFlux};
pub use self::weather::{Climate, Weather, WeatherDay, WeatherSample};
pub use self::zone::{CropCurve, FieldZone, HydraulicFault, ZoneLayout};

/// Milliseconds of a minute: the grid on which soil water moves.
pub const MINUTE_MS: i64 = 60_000;
/// Milliseconds of an hour.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Milliseconds of a day.
pub const DAY_MS: i64 = 24 * HOUR_MS;
/// Local time of Sơn La is UTC+7 all year; Viet Nam has no daylight saving.
pub const UTC_OFFSET_MS: i64 = 7 * HOUR_MS;

/// Days since 1970 of the local calendar, with the time of day as fraction.
pub(crate) fn local_days(unix_ms: i64) -> f64 {
    unix_ms.saturating_add(UTC_OFFSET_MS) as f64 / DAY_MS as f64
}

/// Share of the year that has passed (0.0 ≤ x < 1.0, 0 = first of January), good to about a day.
pub(crate) fn year_share(unix_ms: i64) -> f64 {
    // Mean length of a Gregorian year; 1970 began at zero.
    (local_days(unix_ms) / 365.2425).rem_euclid(1.0)
}

/// A float rounded to the nearest whole number, held within i64; not-a-number becomes 0.
pub(crate) fn whole_i64(value: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a float-to-integer cast saturates, as wanted here")]
    let whole = value.round() as i64;
    whole
}

/// A float rounded to the nearest whole number, held within u64; negative or not-a-number becomes 0.
pub(crate) fn whole_u64(value: f64) -> u64 {
    u64::try_from(whole_i64(value)).unwrap_or(0)
}

/// A float rounded to the nearest whole number, held within u16; negative or not-a-number becomes 0.
pub(crate) fn whole_u16(value: f64) -> u16 {
    u16::try_from(whole_u64(value)).unwrap_or(u16::MAX)
}
