//! Coefficients between reference and crop: climate, cover, evaporation, stress (FAO-56 equations 62–84). Plain functions.

use libm::pow;

/// Wind that the climate term is made for, m/s at 2 m (FAO-56 p. 123).
const WIND_MS: (f64, f64) = (1.0, 6.0);
/// Lowest humidity that it is made for, %.
const RHMIN: (f64, f64) = (20.0, 80.0);
/// Least exposed and wetted share of the ground (FAO-56 p. 147): keeps the depth on it finite.
const EXPOSED_WETTED_MIN: f64 = 0.01;
/// Most ground that a canopy covers.
const COVER_MAX: f64 = 0.99;
/// Evapotranspiration that the tabled fraction p is made for, mm/day (FAO-56 p. 162).
const P_ETC_MM: f64 = 5.0;
/// Range of the fraction p (FAO-56 p. 162).
const P: (f64, f64) = (0.1, 0.8);

/// What a climate other than the sub-humid, calm one of the tables adds to a coefficient (62, 65, 70, 72).
#[must_use]
pub fn climate_term(u2_ms: f64, rhmin_percent: f64, height_m: f64) -> f64 {
    let u2_ms = u2_ms.clamp(WIND_MS.0, WIND_MS.1);
    let rhmin = rhmin_percent.clamp(RHMIN.0, RHMIN.1);
    (0.04 * (u2_ms - 2.0) - 0.004 * (rhmin - 45.0)) * pow(height_m / 3.0, 0.3)
}

/// The most that a cropped, wet surface takes (72). `base` is 1.2, or 1.1 where it is wetted every day or two.
#[must_use]
pub fn maximum(base: f64, climate_term: f64, kcb: f64) -> f64 {
    (base + climate_term).max(kcb + 0.05)
}

/// Share of the ground under the canopy, 0 to 0.99 (76).
#[must_use]
pub fn canopy_cover(kcb: f64, kc_min: f64, kc_max: f64, height_m: f64) -> f64 {
    if kcb <= kc_min {
        return 0.0;
    }
    pow((kcb - kc_min) / (kc_max - kc_min), 1.0 + 0.5 * height_m).min(COVER_MAX)
}

/// Share of the ground that is both wetted and in the sun (75).
#[must_use]
pub fn exposed_wetted(cover: f64, wetted: f64) -> f64 {
    (1.0 - cover).min(wetted).clamp(EXPOSED_WETTED_MIN, 1.0)
}

/// The same where drippers stand under the canopy, which shades two thirds of its share of what they wet (FAO-56 p. 147).
#[must_use]
pub fn exposed_wetted_under_canopy(cover: f64, wetted: f64) -> f64 {
    exposed_wetted(cover, wetted * (1.0 - 2.0 / 3.0 * cover))
}

/// Water that can evaporate from the surface layer, mm (73): down to half the wilting point.
#[must_use]
pub fn evaporable_mm(field_capacity: f64, wilting_point: f64, layer_m: f64) -> f64 {
    1000.0 * (field_capacity - 0.5 * wilting_point) * layer_m
}

/// How far evaporation is slowed by a drying surface, 1 to 0 (74).
#[must_use]
pub fn reduction(de_mm: f64, tew_mm: f64, rew_mm: f64) -> f64 {
    ((tew_mm - de_mm) / (tew_mm - rew_mm)).clamp(0.0, 1.0)
}

/// Evaporation coefficient (71).
#[must_use]
pub fn evaporation(reduction: f64, kc_max: f64, kcb: f64, exposed_wetted: f64) -> f64 {
    (reduction * (kc_max - kcb)).min(exposed_wetted * kc_max)
}

/// Water between field capacity and wilting point in the root zone, mm (82).
#[must_use]
pub fn available_mm(field_capacity: f64, wilting_point: f64, root_m: f64) -> f64 {
    1000.0 * (field_capacity - wilting_point) * root_m
}

/// The share of the available water that roots take without stress on a day of so much evapotranspiration (FAO-56 p. 162).
#[must_use]
pub fn depletion_fraction(p_table: f64, etc_mm: f64) -> f64 {
    (p_table + 0.04 * (P_ETC_MM - etc_mm)).clamp(P.0, P.1)
}

/// Stress coefficient, 1 without stress, 0 at the wilting point (84).
#[must_use]
pub fn stress(dr_mm: f64, taw_mm: f64, raw_mm: f64) -> f64 {
    ((taw_mm - dr_mm) / (taw_mm - raw_mm)).clamp(0.0, 1.0)
}

/// Stress coefficient with the bent curve of AquaCrop (Raes et al. 2009), shape 1.5.
#[must_use]
pub fn stress_aquacrop(dr_mm: f64, taw_mm: f64, p: f64) -> f64 {
    const SHAPE: f64 = 1.5;
    let relative = (dr_mm / taw_mm - p) / (1.0 - p);
    (1.0 - (libm::exp(SHAPE * relative) - 1.0) / (libm::exp(SHAPE) - 1.0)).clamp(0.0, 1.0)
}
