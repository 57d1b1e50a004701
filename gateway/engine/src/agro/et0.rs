//! Reference evapotranspiration of a day: Penman–Monteith (6), or Hargreaves (52) where the caller asks for it.
//!
//! Invariants: finite for every input that is not refused; a result says how each of its inputs came about. It may be a
//! little below zero on a cold, humid day: dew.

use core::fmt;

use libm::sqrt;

use super::air;
use super::error::InputError;
use super::sun;
use super::weather::{HumidityFrom, RadiationFrom, Site, Weather, WindFrom};

/// Heat that evaporates one millimetre, inverted: mm per MJ/m² (FAO-56 p. 11).
const MM_PER_MJ: f64 = 0.408;

/// Which constants the combination equation takes. They differ by less than 0.001 mm a day between the first two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standard {
    /// FAO-56 (6): grass 0.12 m high.
    #[default]
    Fao56,
    /// ASCE-EWRI 2005 for the short reference: the same equation with other roundings; published seasons often use it.
    AsceShort,
    /// ASCE-EWRI 2005 for the tall reference, alfalfa 0.5 m high: needs crop coefficients made for it.
    AsceTall,
}

impl Standard {
    /// Stefan–Boltzmann constant, MJ/K⁴/m²/day.
    pub(super) const fn sigma_day(self) -> f64 {
        match self {
            Self::Fao56 => 4.903e-9,
            Self::AsceShort | Self::AsceTall => 4.901e-9,
        }
    }

    pub(super) fn slope_kpa_per_c(self, t_c: f64) -> f64 {
        let slope = air::slope_kpa_per_c(t_c);
        match self {
            Self::Fao56 => slope,
            // ASCE-EWRI 2005 (5) rounds the product 4098 · 0.6108.
            Self::AsceShort | Self::AsceTall => slope * (2503.0 / (4098.0 * 0.6108)),
        }
    }

    /// Numerator and denominator constants of a day.
    const fn day_constants(self) -> (f64, f64) {
        match self {
            Self::Fao56 | Self::AsceShort => (900.0, 0.34),
            Self::AsceTall => (1600.0, 0.38),
        }
    }
}

/// What is done with a day of which only the extremes of temperature are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TemperatureOnly {
    /// Penman–Monteith with radiation by (50), vapour by (48) and 2 m/s of wind: what FAO-56 (p. 65) recommends, because the
    /// estimates can be replaced one by one as sensors come.
    #[default]
    PenmanMonteith,
    /// Hargreaves (52): no estimate of wind or vapour goes in. Too high in humid air, too low in wind above 3 m/s.
    Hargreaves,
}

/// How a day is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Et0Choice {
    /// The equation's constants.
    pub standard: Standard,
    /// What is done without anything but temperature.
    pub temperature_only: TemperatureOnly,
    /// Least wind at 2 m, m/s. FAO-56 p. 63 recommends 0.5 because still air over warm ground mixes by itself; 0 takes the wind
    /// as it was measured, which reference computations do.
    pub wind_min_ms: f64,
    /// Coefficient of (50): 0.16 inland, 0.19 at the coast.
    pub k_rs: f64,
}

impl Default for Et0Choice {
    fn default() -> Self {
        Self {
            standard: Standard::Fao56,
            temperature_only: TemperatureOnly::PenmanMonteith,
            wind_min_ms: 0.0,
            k_rs: 0.16,
        }
    }
}

/// How a result came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Penman–Monteith with inputs of these origins.
    PenmanMonteith {
        /// Of the vapour pressure.
        humidity: HumidityFrom,
        /// Of the radiation.
        radiation: RadiationFrom,
        /// Of the wind.
        wind: WindFrom,
    },
    /// Hargreaves.
    Hargreaves,
}

impl fmt::Display for Method {
    /// As one word of a table: `penman-monteith humidity=dew_point radiation=measured wind=default`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::PenmanMonteith { humidity, radiation, wind } = self else {
            return f.write_str("hargreaves");
        };
        let humidity = match humidity {
            HumidityFrom::Vapour => "vapour_pressure",
            HumidityFrom::DewPoint => "dew_point",
            HumidityFrom::RhExtremes => "rhmax+rhmin",
            HumidityFrom::RhMax => "rhmax",
            HumidityFrom::RhMean => "rhmean",
            HumidityFrom::RhMin => "rhmin",
            HumidityFrom::LowestTemperature => "estimated_from_tmin",
        };
        let radiation = match radiation {
            RadiationFrom::Measured => "measured",
            RadiationFrom::Sunshine => "sunshine_hours",
            RadiationFrom::TemperatureRange => "estimated_from_temperature",
        };
        let wind = match wind {
            WindFrom::Measured => "measured",
            WindFrom::Default => "assumed_2_m/s",
        };
        write!(f, "penman-monteith humidity={humidity} radiation={radiation} wind={wind}")
    }
}

/// Reference evapotranspiration of a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Et0 {
    /// Depth of water, mm/day.
    pub et0_mm: f64,
    /// How it came about.
    pub method: Method,
}

/// Reference evapotranspiration of a day.
///
/// # Errors
/// [`InputError`] names the measurement that cannot be.
pub fn et0_day(site: &Site, weather: &Weather, choice: &Et0Choice) -> Result<Et0, InputError> {
    let (tmin_c, tmax_c) = weather.extremes_c()?;
    let ra_mj = site.sun(weather.doy)?.extraterrestrial_mj();
    let (rs_mj, radiation) = weather.radiation(site, choice.k_rs)?;
    if ra_mj <= 0.0 && weather.is_temperature_only() {
        return Err(InputError::PolarNight);
    }
    if weather.is_temperature_only() && choice.temperature_only == TemperatureOnly::Hargreaves {
        return Ok(Et0 { et0_mm: hargreaves_mm(tmin_c, tmax_c, ra_mj), method: Method::Hargreaves });
    }
    let (ea_kpa, humidity) = weather.vapour()?;
    let (u2_ms, wind) = site.wind(weather.u_ms)?;
    let clearness = sun::clearness(rs_mj, sun::clear_sky_mj(site.elevation_m(), ra_mj));
    let longwave_mj = sun::net_longwave_mj(choice.standard.sigma_day(), tmin_c, tmax_c, ea_kpa, clearness);
    let net_mj = sun::net_shortwave_mj(rs_mj) - longwave_mj - weather.soil_heat_mj;
    let t_c = (tmin_c + tmax_c) / 2.0;
    let (numerator, denominator) = choice.standard.day_constants();
    let combination = Combination {
        slope: choice.standard.slope_kpa_per_c(t_c),
        psychrometric: site.psychrometric_kpa_per_c(),
        t_c,
        available_mj: net_mj,
        u2_ms: u2_ms.max(choice.wind_min_ms),
        deficit_kpa: air::saturation_mean_kpa(tmin_c, tmax_c) - ea_kpa,
        numerator,
        denominator,
    };
    Ok(Et0 { et0_mm: combination.et_mm(), method: Method::PenmanMonteith { humidity, radiation, wind } })
}

/// Reference evapotranspiration of a day by temperature and the sun's height alone, mm (52).
#[must_use]
pub fn hargreaves_mm(tmin_c: f64, tmax_c: f64, extraterrestrial_mj: f64) -> f64 {
    let t_c = (tmin_c + tmax_c) / 2.0;
    0.0023 * (t_c + 17.8) * sqrt(tmax_c - tmin_c) * MM_PER_MJ * extraterrestrial_mj
}

/// The terms of the combination equation, of a day (6) or an hour (53).
#[derive(Clone, Copy, Debug)]
pub(super) struct Combination {
    /// Slope of the saturation curve, kPa/°C.
    pub(super) slope: f64,
    /// Psychrometric constant, kPa/°C.
    pub(super) psychrometric: f64,
    /// Mean temperature, °C.
    pub(super) t_c: f64,
    /// Net radiation less the heat into the ground, MJ/m².
    pub(super) available_mj: f64,
    /// Wind at 2 m, m/s.
    pub(super) u2_ms: f64,
    /// What the air lacks of saturation, kPa.
    pub(super) deficit_kpa: f64,
    /// 900 for a day of grass, 37 for an hour.
    pub(super) numerator: f64,
    /// 0.34 for grass.
    pub(super) denominator: f64,
}

impl Combination {
    /// Depth of water, mm in the period.
    pub(super) fn et_mm(&self) -> f64 {
        let radiation = MM_PER_MJ * self.slope * self.available_mj;
        let wind = self.psychrometric * self.numerator / (self.t_c + 273.0) * self.u2_ms * self.deficit_kpa;
        (radiation + wind) / (self.slope + self.psychrometric * (1.0 + self.denominator * self.u2_ms))
    }
}
