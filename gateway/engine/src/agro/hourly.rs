//! Reference evapotranspiration of an hour: FAO-56 equation 53, which keeps 0.34 by day and by night, or ASCE-EWRI 2005
//! equation 1 with table 1, which takes 0.24 by day and 0.96 by night for grass; sums of a day then differ by several percent.
//!
//! The sky of the night cannot be seen: its clearness is carried over from the afternoon, by the caller, from hour to hour.

use super::air;
use super::error::{InputError, within};
use super::et0::{Combination, Standard};
use super::sun::{self, Sun};
use super::weather::{Site, WindFrom};

/// Clearness of a night whose afternoon is not known: the middle of what FAO-56 (p. 75) gives for humid regions, 0.4–0.6.
pub const NIGHT_RATIO_DEFAULT: f64 = 0.5;
/// Below this clear-sky radiation, MJ/m²/h, the sun stands so low that measured over possible says nothing of the sky.
const LOW_SUN_MJ: f64 = 0.1;
/// ASCE-EWRI 2005: where the sun stands lower at the middle of the hour, rad, the sky is that of the last hour in which it stood higher.
const LOW_SUN_RAD: f64 = 0.3;
/// The afternoon hour that shows the night's sky: so far before sunset, rad (FAO-56 p. 75).
const BEFORE_SUNSET_RAD: (f64, f64) = (0.52, 0.79);

/// One hour as a station gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HourWeather {
    /// Day of the year, from 1, on the station's clock.
    pub doy: u16,
    /// Middle of the hour in UTC, counted from the midnight of that day; below 0 or above 24 across the date line of UTC.
    pub mid_utc_hours: f64,
    /// Longitude, east positive, °.
    pub longitude_deg: f64,
    /// Mean temperature, °C.
    pub t_c: f64,
    /// Mean relative humidity, %.
    pub rh: Option<f64>,
    /// Mean vapour pressure, kPa; goes before `rh`.
    pub ea_kpa: Option<f64>,
    /// Solar radiation on the ground in the hour, MJ/m².
    pub rs_mj: f64,
    /// Mean wind at the anemometer's height, m/s; 2 m/s where it is missing.
    pub u_ms: Option<f64>,
}

/// Reference evapotranspiration of an hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HourEt0 {
    /// Depth of water, mm/h; slightly below zero in a humid night.
    pub et0_mm: f64,
    /// Net radiation, MJ/m²/h.
    pub net_mj: f64,
    /// What the wind was taken from.
    pub wind: WindFrom,
    /// The clearness to use in the hours that follow: this hour's when it is the one that shows the night's sky.
    pub night_ratio: f64,
}

/// What the equation takes in an hour of the day, or of the night.
struct Constants {
    numerator: f64,
    denominator: f64,
    /// Heat into the ground as a share of net radiation.
    into_soil: f64,
}

impl Constants {
    /// Of FAO-56 (45), (46) and (53); of ASCE-EWRI 2005 table 1 and (65).
    const fn new(standard: Standard, is_day: bool) -> Self {
        let (numerator, denominator, into_soil) = match (standard, is_day) {
            (Standard::Fao56, true) => (37.0, 0.34, 0.1),
            (Standard::Fao56, false) => (37.0, 0.34, 0.5),
            (Standard::AsceShort, true) => (37.0, 0.24, 0.1),
            (Standard::AsceShort, false) => (37.0, 0.96, 0.5),
            (Standard::AsceTall, true) => (66.0, 0.25, 0.04),
            (Standard::AsceTall, false) => (66.0, 1.7, 0.2),
        };
        Self { numerator, denominator, into_soil }
    }
}

/// Reference evapotranspiration of an hour; `night_ratio` is the last hour's [`HourEt0::night_ratio`], at first
/// [`NIGHT_RATIO_DEFAULT`].
///
/// # Errors
/// [`InputError`] names the measurement that cannot be or is missing.
pub fn et0_hour(
    site: &Site,
    weather: &HourWeather,
    standard: Standard,
    night_ratio: f64,
) -> Result<HourEt0, InputError> {
    let night_ratio = within("night_ratio", night_ratio, 0.0, 1.0)?;
    let t_c = within("t_c", weather.t_c, -90.0, 65.0)?;
    let sky = Sky::new(site, weather, standard, night_ratio)?;
    let saturation_kpa = air::saturation_kpa(t_c);
    let ea_kpa = match (weather.ea_kpa, weather.rh) {
        (Some(ea_kpa), _) => within("ea_kpa", ea_kpa, 0.0, saturation_kpa * 1.05)?,
        (None, Some(rh)) => saturation_kpa * within("rh", rh, 0.0, 105.0)? / 100.0,
        (None, None) => return Err(InputError::Missing { field: "rh" }),
    }
    .min(saturation_kpa);
    let (u2_ms, wind) = site.wind(weather.u_ms)?;
    let sigma_hour = standard.sigma_day() / 24.0;
    let net_mj = sun::net_shortwave_mj(weather.rs_mj)
        - sun::net_longwave_mj(sigma_hour, t_c, t_c, ea_kpa, sky.clearness);
    let is_day = match standard {
        Standard::Fao56 => sky.is_day,
        // ASCE-EWRI 2005, p. 5: it is day while the ground gains heat.
        Standard::AsceShort | Standard::AsceTall => net_mj >= 0.0,
    };
    let Constants { numerator, denominator, into_soil } = Constants::new(standard, is_day);
    let combination = Combination {
        slope: standard.slope_kpa_per_c(t_c),
        psychrometric: site.psychrometric_kpa_per_c(),
        t_c,
        available_mj: net_mj * (1.0 - into_soil),
        u2_ms,
        deficit_kpa: saturation_kpa - ea_kpa,
        numerator,
        denominator,
    };
    Ok(HourEt0 { et0_mm: combination.et_mm(), net_mj, wind, night_ratio: sky.night_ratio })
}

/// What an hour's radiation says about the clouds.
struct Sky {
    is_day: bool,
    clearness: f64,
    night_ratio: f64,
}

impl Sky {
    fn new(
        site: &Site,
        weather: &HourWeather,
        standard: Standard,
        night_ratio: f64,
    ) -> Result<Self, InputError> {
        let longitude_deg = within("longitude_deg", weather.longitude_deg, -180.0, 180.0)?;
        let hours = within("mid_utc_hours", weather.mid_utc_hours, -24.0, 48.0)?;
        let sun: Sun = site.sun(weather.doy)?;
        let angle_rad = sun.hour_angle_rad(hours, longitude_deg);
        let above_mj = sun.extraterrestrial_hour_mj(angle_rad);
        // Twilight lights a pyranometer a little before the hour counts as day: half a megajoule is a lamp or a wrong unit.
        let rs_mj = within("rs_mj", weather.rs_mj, 0.0, above_mj * 1.2 + 0.5)?;
        let clear_sky_mj = sun::clear_sky_mj(site.elevation_m(), above_mj);
        let is_day = clear_sky_mj > LOW_SUN_MJ;
        let before_sunset_rad = sun.sunset_rad - angle_rad;
        let (shows_sky, shows_night) = match standard {
            Standard::Fao56 => {
                (is_day, is_day && (BEFORE_SUNSET_RAD.0..=BEFORE_SUNSET_RAD.1).contains(&before_sunset_rad))
            }
            Standard::AsceShort | Standard::AsceTall => {
                let is_high = sun.height_rad(angle_rad) >= LOW_SUN_RAD;
                (is_high, is_high)
            }
        };
        let clearness = if shows_sky { sun::clearness(rs_mj, clear_sky_mj) } else { night_ratio };
        Ok(Self { is_day, clearness, night_ratio: if shows_night { clearness } else { night_ratio } })
    }
}
