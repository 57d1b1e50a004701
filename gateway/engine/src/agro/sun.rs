//! Sun and sky: what arrives above the air, through it, and what the ground keeps (FAO-56 equations 21–44 and 50).
//!
//! Radiation is in MJ per square metre and day, or hour where the name says so.

use core::f64::consts::PI;
use libm::{acos, asin, cos, sin, sqrt, tan};

use super::hourly::NIGHT_RATIO_DEFAULT;

/// Solar constant, MJ/m²/min.
const SOLAR_MJ_PER_MIN: f64 = 0.0820;
/// Share of the radiation that the grass of the reference keeps (38): an albedo of 0.23.
const ABSORBED: f64 = 0.77;
/// Where the sky is all cloud (FAO-56 p. 75); keeps the loss to the sky positive.
const CLEARNESS_MIN: f64 = 0.3;

/// The sun over a latitude on a day of the year.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sun {
    /// Inverse relative distance to the sun (23).
    pub distance: f64,
    /// Declination, rad (24).
    pub declination_rad: f64,
    /// Hour angle of the sunset, rad (25): 0 in the polar night, π in the polar day.
    pub sunset_rad: f64,
    latitude_rad: f64,
    doy: f64,
}

impl Sun {
    /// The sun over `latitude_deg` (north positive) on day `doy` of the year, from 1.
    #[must_use]
    pub fn new(latitude_deg: f64, doy: u16) -> Self {
        let doy = f64::from(doy);
        let year_rad = 2.0 * PI / 365.0 * doy;
        let latitude_rad = PI / 180.0 * latitude_deg;
        let declination_rad = 0.409 * sin(year_rad - 1.39);
        Self {
            distance: 1.0 + 0.033 * cos(year_rad),
            declination_rad,
            sunset_rad: acos((-tan(latitude_rad) * tan(declination_rad)).clamp(-1.0, 1.0)),
            latitude_rad,
            doy,
        }
    }

    /// Radiation above the air in a day, MJ/m² (21).
    #[must_use]
    pub fn extraterrestrial_mj(&self) -> f64 {
        let (level, swing) = self.height_parts();
        24.0 * 60.0 / PI
            * SOLAR_MJ_PER_MIN
            * self.distance
            * (self.sunset_rad * level + swing * sin(self.sunset_rad))
    }

    /// Hours between sunrise and sunset (34).
    #[must_use]
    pub fn daylight_hours(&self) -> f64 {
        24.0 / PI * self.sunset_rad
    }

    /// Hour angle at a moment, rad in −π..π (31–33): 0 when the sun is highest. `longitude_deg` counts eastwards.
    #[must_use]
    pub fn hour_angle_rad(&self, utc_hours: f64, longitude_deg: f64) -> f64 {
        let season_rad = 2.0 * PI * (self.doy - 81.0) / 364.0;
        let correction_h =
            0.1645 * sin(2.0 * season_rad) - 0.1255 * cos(season_rad) - 0.025 * sin(season_rad);
        let angle_rad = PI / 12.0 * (utc_hours + longitude_deg / 15.0 + correction_h - 12.0);
        angle_rad - 2.0 * PI * libm::floor((angle_rad + PI) / (2.0 * PI))
    }

    /// Radiation above the air in the hour around an hour angle, MJ/m² (28), cut at sunrise and sunset (ASCE-EWRI 2005).
    #[must_use]
    pub fn extraterrestrial_hour_mj(&self, mid_rad: f64) -> f64 {
        let from_rad = (mid_rad - PI / 24.0).clamp(-self.sunset_rad, self.sunset_rad);
        let to_rad = (mid_rad + PI / 24.0).clamp(-self.sunset_rad, self.sunset_rad);
        let (level, swing) = self.height_parts();
        let path = (to_rad - from_rad) * level + swing * (sin(to_rad) - sin(from_rad));
        (12.0 * 60.0 / PI * SOLAR_MJ_PER_MIN * self.distance * path).max(0.0)
    }

    /// Height of the sun above the horizon at an hour angle, rad; below zero by night (ASCE-EWRI 2005, from the FAO's sine).
    #[must_use]
    pub fn height_rad(&self, angle_rad: f64) -> f64 {
        let (level, swing) = self.height_parts();
        asin((level + swing * cos(angle_rad)).clamp(-1.0, 1.0))
    }

    /// The parts of the sine of the sun's height that the hour leaves alone and that it moves.
    fn height_parts(&self) -> (f64, f64) {
        (
            sin(self.latitude_rad) * sin(self.declination_rad),
            cos(self.latitude_rad) * cos(self.declination_rad),
        )
    }
}

/// Radiation on the ground under a clear sky (37).
#[must_use]
pub fn clear_sky_mj(elevation_m: f64, extraterrestrial_mj: f64) -> f64 {
    (0.75 + 2e-5 * elevation_m) * extraterrestrial_mj
}

/// Radiation on the ground by hours of bright sunshine (35).
#[must_use]
pub fn shortwave_by_sunshine_mj(n_hours: f64, daylight_hours: f64, extraterrestrial_mj: f64) -> f64 {
    (0.25 + 0.50 * n_hours / daylight_hours) * extraterrestrial_mj
}

/// Radiation on the ground by the day's range of temperature (50); `k_rs` 0.16 inland, 0.19 at the coast.
#[must_use]
pub fn shortwave_by_temperature_mj(k_rs: f64, tmin_c: f64, tmax_c: f64, extraterrestrial_mj: f64) -> f64 {
    k_rs * sqrt(tmax_c - tmin_c) * extraterrestrial_mj
}

/// Radiation that the grass keeps of what reaches it (38).
#[must_use]
pub fn net_shortwave_mj(shortwave_mj: f64) -> f64 {
    ABSORBED * shortwave_mj
}

/// Share of a clear sky's radiation that arrived, 0.3 to 1.
///
/// Without light above the air there is no share, and nothing measured tells of the sky: it is that which FAO-56 (chapter 3,
/// p. 75) takes for a night whose afternoon is not known, [`NIGHT_RATIO_DEFAULT`].
#[must_use]
pub fn clearness(shortwave_mj: f64, clear_sky_mj: f64) -> f64 {
    if clear_sky_mj > 0.0 {
        (shortwave_mj / clear_sky_mj).clamp(CLEARNESS_MIN, 1.0)
    } else {
        NIGHT_RATIO_DEFAULT
    }
}

/// Radiation that the ground loses to the sky (39), with the constant `sigma` of Stefan and Boltzmann for the period.
#[must_use]
pub fn net_longwave_mj(sigma: f64, tmin_c: f64, tmax_c: f64, ea_kpa: f64, clearness: f64) -> f64 {
    let fourth = |t_c: f64| {
        let squared = (t_c + 273.16) * (t_c + 273.16);
        squared * squared
    };
    sigma * (fourth(tmax_c) + fourth(tmin_c)) / 2.0 * (0.34 - 0.14 * sqrt(ea_kpa)) * (1.35 * clearness - 0.35)
}

/// Heat that goes into the ground in a month, MJ/m²/day (43), by the mean temperatures of the months before and after.
#[must_use]
pub fn soil_heat_month_mj(before_c: f64, after_c: f64) -> f64 {
    0.07 * (after_c - before_c)
}

/// The same while the month after is not known (44).
#[must_use]
pub fn soil_heat_month_so_far_mj(before_c: f64, this_c: f64) -> f64 {
    0.14 * (this_c - before_c)
}
