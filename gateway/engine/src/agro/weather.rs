//! One day's weather as a station gives it: required extremes of temperature, and whatever else there is.
//!
//! Decides which measurement is used (in FAO-56's order of preference) and what stands in for a missing one, and says so, so
//! that the diary can. Checks every number before it is used.

use super::air;
use super::error::{InputError, within};
use super::sun::{self, Sun};

/// Rises above the coldest and the hottest day on record.
const T_C: (f64, f64) = (-90.0, 65.0);
/// A saturated sensor reads a little above 100 %.
const RH: (f64, f64) = (0.0, 105.0);
/// Above every gust that an anemometer outlives.
const WIND_MS: (f64, f64) = (0.0, 100.0);
/// Measured radiation may pass what arrives above the air by an instrument's error: a tenth, and a little in the dark.
const RADIATION_SLACK: (f64, f64) = (1.1, 1.0);
/// A sunshine recorder may pass the day's length by its reading error.
const SUNSHINE_SLACK_H: f64 = 1.0;
/// Mean wind where none is measured, m/s (FAO-56 p. 63).
pub(super) const WIND_DEFAULT_MS: f64 = 2.0;

/// Where a station stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Site {
    latitude_deg: f64,
    elevation_m: f64,
    wind_height_m: f64,
}

impl Site {
    /// A site by latitude (north positive), elevation above the sea, and height of the anemometer over the ground.
    ///
    /// # Errors
    /// [`InputError::OutOfRange`] for what no site on land has.
    pub fn new(latitude_deg: f64, elevation_m: f64, wind_height_m: f64) -> Result<Self, InputError> {
        Ok(Self {
            latitude_deg: within("latitude_deg", latitude_deg, -90.0, 90.0)?,
            elevation_m: within("elevation_m", elevation_m, -500.0, 9000.0)?,
            wind_height_m: within("wind_height_m", wind_height_m, 0.5, 200.0)?,
        })
    }

    /// Elevation, m.
    #[must_use]
    pub const fn elevation_m(&self) -> f64 {
        self.elevation_m
    }

    /// The sun over this site.
    ///
    /// # Errors
    /// [`InputError::OutOfRange`] for a day that no year has.
    pub fn sun(&self, doy: u16) -> Result<Sun, InputError> {
        within("doy", f64::from(doy), 1.0, 366.0)?;
        Ok(Sun::new(self.latitude_deg, doy))
    }

    /// The psychrometric constant here, kPa/°C.
    #[must_use]
    pub fn psychrometric_kpa_per_c(&self) -> f64 {
        air::psychrometric_kpa_per_c(air::pressure_kpa(self.elevation_m))
    }

    /// Wind at 2 m by what the anemometer says; 2 m/s where it says nothing.
    ///
    /// # Errors
    /// [`InputError::OutOfRange`] for negative wind or a broken instrument.
    pub fn wind(&self, wind_ms: Option<f64>) -> Result<(f64, WindFrom), InputError> {
        match wind_ms {
            None => Ok((WIND_DEFAULT_MS, WindFrom::Default)),
            Some(wind_ms) => {
                let wind_ms = within("u_ms", wind_ms, WIND_MS.0, WIND_MS.1)?;
                Ok((air::wind_at_2m_ms(wind_ms, self.wind_height_m), WindFrom::Measured))
            }
        }
    }
}

/// One day as a station gives it. Units are in the names; relative humidity is in %.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weather {
    /// Day of the year, from 1.
    pub doy: u16,
    /// Lowest temperature, °C.
    pub tmin_c: f64,
    /// Highest temperature, °C.
    pub tmax_c: f64,
    /// Mean dew point, °C.
    pub tdew_c: Option<f64>,
    /// Mean vapour pressure, kPa.
    pub ea_kpa: Option<f64>,
    /// Highest relative humidity.
    pub rhmax: Option<f64>,
    /// Lowest relative humidity.
    pub rhmin: Option<f64>,
    /// Mean relative humidity.
    pub rhmean: Option<f64>,
    /// Solar radiation on the ground, MJ/m².
    pub rs_mj: Option<f64>,
    /// Hours of bright sunshine.
    pub n_hours: Option<f64>,
    /// Mean wind at the anemometer's height, m/s.
    pub u_ms: Option<f64>,
    /// Heat into the ground, MJ/m²: 0 for a day (42).
    pub soil_heat_mj: f64,
}

/// What the vapour pressure was taken from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HumidityFrom {
    /// Measured vapour pressure.
    Vapour,
    /// Dew point (14).
    DewPoint,
    /// Both extremes of relative humidity (17).
    RhExtremes,
    /// Highest relative humidity alone (18).
    RhMax,
    /// Mean relative humidity (19).
    RhMean,
    /// Lowest relative humidity alone, at the highest temperature (ASCE-EWRI 2005; FAO-56 names no such case).
    RhMin,
    /// Nothing: the air is taken to be saturated at the lowest temperature (48).
    LowestTemperature,
}

/// What the solar radiation was taken from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RadiationFrom {
    /// Measured.
    Measured,
    /// Hours of sunshine (35).
    Sunshine,
    /// The day's range of temperature (50).
    TemperatureRange,
}

/// What the wind was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindFrom {
    /// Measured, brought to 2 m (47).
    Measured,
    /// Nothing: 2 m/s (FAO-56 p. 63).
    Default,
}

impl Weather {
    /// Whether there is nothing but the extremes of temperature.
    #[must_use]
    pub const fn is_temperature_only(&self) -> bool {
        let no_humidity = self.tdew_c.is_none()
            && self.ea_kpa.is_none()
            && self.rhmax.is_none()
            && self.rhmin.is_none()
            && self.rhmean.is_none();
        no_humidity && self.rs_mj.is_none() && self.n_hours.is_none() && self.u_ms.is_none()
    }

    /// The extremes of temperature, °C, in order.
    ///
    /// # Errors
    /// [`InputError`] when they are no temperatures or in the wrong order.
    pub fn extremes_c(&self) -> Result<(f64, f64), InputError> {
        let tmin_c = within("tmin_c", self.tmin_c, T_C.0, T_C.1)?;
        let tmax_c = within("tmax_c", self.tmax_c, T_C.0, T_C.1)?;
        if tmax_c < tmin_c { Err(InputError::TmaxBelowTmin { tmin_c, tmax_c }) } else { Ok((tmin_c, tmax_c)) }
    }

    /// Mean vapour pressure, kPa, never above the day's mean saturation, and what it was taken from.
    ///
    /// # Errors
    /// [`InputError`] for values that cannot be, also of those that are not used: a broken sensor is not passed over.
    pub fn vapour(&self) -> Result<(f64, HumidityFrom), InputError> {
        let (tmin_c, tmax_c) = self.extremes_c()?;
        let percent = |field, value: Option<f64>| {
            value.map(|rh| within(field, rh, RH.0, RH.1).map(|rh| rh.min(100.0))).transpose()
        };
        let rhmax = percent("rhmax", self.rhmax)?;
        let rhmin = percent("rhmin", self.rhmin)?;
        let rhmean = percent("rhmean", self.rhmean)?;
        if let (Some(rhmax), Some(rhmin)) = (rhmax, rhmin)
            && rhmax < rhmin
        {
            return Err(InputError::RhmaxBelowRhmin { rhmin, rhmax });
        }
        let at_tmin_kpa = air::saturation_kpa(tmin_c);
        let at_tmax_kpa = air::saturation_kpa(tmax_c);
        let mean_kpa = air::saturation_mean_kpa(tmin_c, tmax_c);
        let possible = |field, ea_kpa: f64| {
            if ea_kpa > at_tmax_kpa {
                Err(InputError::Supersaturated { field, ea_kpa, saturation_kpa: at_tmax_kpa })
            } else {
                Ok(ea_kpa)
            }
        };
        let dew = self
            .tdew_c
            .map(|tdew_c| possible("tdew_c", air::saturation_kpa(within("tdew_c", tdew_c, T_C.0, T_C.1)?)));
        let dew = dew.transpose()?;
        let vapour =
            self.ea_kpa.map(|ea_kpa| possible("ea_kpa", within("ea_kpa", ea_kpa, 0.0, 20.0)?)).transpose()?;
        let (ea_kpa, from) = match (vapour, dew, rhmax, rhmin, rhmean) {
            (Some(ea_kpa), ..) => (ea_kpa, HumidityFrom::Vapour),
            (None, Some(ea_kpa), ..) => (ea_kpa, HumidityFrom::DewPoint),
            (None, None, Some(rhmax), Some(rhmin), _) => {
                (air::vapour_by_rh_extremes_kpa(tmin_c, tmax_c, rhmax, rhmin), HumidityFrom::RhExtremes)
            }
            (None, None, Some(rhmax), None, _) => (at_tmin_kpa * rhmax / 100.0, HumidityFrom::RhMax),
            (None, None, None, _, Some(rhmean)) => (mean_kpa * rhmean / 100.0, HumidityFrom::RhMean),
            (None, None, None, Some(rhmin), None) => (at_tmax_kpa * rhmin / 100.0, HumidityFrom::RhMin),
            (None, None, None, None, None) => (at_tmin_kpa, HumidityFrom::LowestTemperature),
        };
        Ok((ea_kpa.min(mean_kpa), from))
    }

    /// Lowest relative humidity, %: measured, or that of the day's vapour at the highest temperature (63, 64).
    ///
    /// # Errors
    /// As [`Weather::vapour`].
    pub fn rhmin_percent(&self) -> Result<f64, InputError> {
        let (ea_kpa, _) = self.vapour()?;
        Ok(self
            .rhmin
            .map_or_else(|| ea_kpa / air::saturation_kpa(self.tmax_c) * 100.0, |rhmin| rhmin.min(100.0)))
    }

    /// Solar radiation on the ground, MJ/m², and what it was taken from; an estimate never passes a clear sky, and is 0 where the
    /// sun does not rise.
    ///
    /// # Errors
    /// [`InputError`] for values that cannot be.
    pub fn radiation(&self, site: &Site, k_rs: f64) -> Result<(f64, RadiationFrom), InputError> {
        let (tmin_c, tmax_c) = self.extremes_c()?;
        let sun = site.sun(self.doy)?;
        let (ra_mj, daylight_hours) = (sun.extraterrestrial_mj(), sun.daylight_hours());
        // Rounded up, because the limit is shown to people.
        let tenths = |limit: f64| libm::ceil(limit * 10.0) / 10.0;
        let rs_max_mj = tenths(ra_mj * RADIATION_SLACK.0 + RADIATION_SLACK.1);
        let n_max_hours = tenths(daylight_hours + SUNSHINE_SLACK_H);
        let measured = self.rs_mj.map(|rs_mj| within("rs_mj", rs_mj, 0.0, rs_max_mj)).transpose()?;
        let sunshine =
            self.n_hours.map(|n_hours| within("n_hours", n_hours, 0.0, n_max_hours)).transpose()?;
        if let Some(rs_mj) = measured {
            return Ok((rs_mj, RadiationFrom::Measured));
        }
        if let Some(n_hours) = sunshine {
            // Without daylight the share of it that was bright, n/N of (35), is 0/0.
            let rs_mj = if daylight_hours > 0.0 {
                sun::shortwave_by_sunshine_mj(n_hours.min(daylight_hours), daylight_hours, ra_mj)
            } else {
                0.0
            };
            return Ok((rs_mj, RadiationFrom::Sunshine));
        }
        let rs_mj = sun::shortwave_by_temperature_mj(k_rs, tmin_c, tmax_c, ra_mj);
        Ok((rs_mj.min(sun::clear_sky_mj(site.elevation_m, ra_mj)), RadiationFrom::TemperatureRange))
    }
}
