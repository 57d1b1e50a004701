//! Air: pressure, vapour and wind (FAO-56 equations 7–19 and 47). Plain functions of checked numbers; they check nothing.

use libm::{exp, log, pow};

/// Mean air pressure at an elevation, kPa (7).
#[must_use]
pub fn pressure_kpa(elevation_m: f64) -> f64 {
    101.3 * pow((293.0 - 0.0065 * elevation_m) / 293.0, 5.26)
}

/// The psychrometric constant, kPa/°C (8).
#[must_use]
pub fn psychrometric_kpa_per_c(pressure_kpa: f64) -> f64 {
    0.665e-3 * pressure_kpa
}

/// The most vapour that air of a temperature holds, kPa (11); of the dew point, the vapour there is (14).
#[must_use]
pub fn saturation_kpa(t_c: f64) -> f64 {
    0.6108 * exp(17.27 * t_c / (t_c + 237.3))
}

/// Mean saturation of a day, kPa (12): of the extremes, because the curve bends.
#[must_use]
pub fn saturation_mean_kpa(tmin_c: f64, tmax_c: f64) -> f64 {
    (saturation_kpa(tmax_c) + saturation_kpa(tmin_c)) / 2.0
}

/// Slope of the saturation curve at a temperature, kPa/°C (13).
#[must_use]
pub fn slope_kpa_per_c(t_c: f64) -> f64 {
    let from_pole_c = t_c + 237.3;
    4098.0 * saturation_kpa(t_c) / (from_pole_c * from_pole_c)
}

/// Vapour pressure by wet and dry bulb, kPa (15, 16); `per_c` is the instrument's: 0.000662 for an aspirated one.
#[must_use]
pub fn vapour_by_psychrometer_kpa(twet_c: f64, tdry_c: f64, pressure_kpa: f64, per_c: f64) -> f64 {
    saturation_kpa(twet_c) - per_c * pressure_kpa * (tdry_c - twet_c)
}

/// Vapour pressure by both extremes of relative humidity, kPa (17).
#[must_use]
pub fn vapour_by_rh_extremes_kpa(tmin_c: f64, tmax_c: f64, rhmax: f64, rhmin: f64) -> f64 {
    (saturation_kpa(tmin_c) * rhmax + saturation_kpa(tmax_c) * rhmin) / 200.0
}

/// Wind at 2 m from wind measured at a height over short grass, m/s (47).
#[must_use]
pub fn wind_at_2m_ms(wind_ms: f64, height_m: f64) -> f64 {
    wind_ms * 4.87 / log(67.8 * height_m - 5.42)
}
