//! What is wrong with a number of weather, site or zone: the operator's or the station's to mend, so every error names it.

use core::fmt;

/// A number that no weather, site or zone has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InputError {
    /// Not a number, or outside what instruments and nature allow.
    OutOfRange {
        /// Name with unit, as a column of a file would have it.
        field: &'static str,
        /// What was given.
        value: f64,
        /// Lowest possible value.
        low: f64,
        /// Highest possible value.
        high: f64,
    },
    /// The day's lowest temperature is above its highest.
    TmaxBelowTmin {
        /// Lowest, °C.
        tmin_c: f64,
        /// Highest, °C.
        tmax_c: f64,
    },
    /// The air holds more vapour than it could at its warmest.
    Supersaturated {
        /// The humidity that was given: its field.
        field: &'static str,
        /// Vapour pressure that it means, kPa.
        ea_kpa: f64,
        /// The most that air of the day's highest temperature holds, kPa.
        saturation_kpa: f64,
    },
    /// A soil is said to hold more water than it has pores.
    AboveSaturation {
        /// Name with unit.
        field: &'static str,
        /// What was given, m³/m³.
        value: f64,
        /// The most that such a soil holds, m³/m³.
        most: f64,
    },
    /// A value that is needed is missing.
    Missing {
        /// Name with unit.
        field: &'static str,
    },
    /// The highest relative humidity of a day is below its lowest.
    RhmaxBelowRhmin {
        /// Lowest, %.
        rhmin: f64,
        /// Highest, %.
        rhmax: f64,
    },
    /// The sun does not rise on this day at this latitude and nothing but temperature is known: no estimate of FAO-56 holds.
    PolarNight,
}

impl InputError {
    /// The number to blame: its name with unit, as a column has it.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::OutOfRange { field, .. }
            | Self::Supersaturated { field, .. }
            | Self::AboveSaturation { field, .. }
            | Self::Missing { field } => field,
            Self::TmaxBelowTmin { .. } => "tmax_c",
            Self::RhmaxBelowRhmin { .. } => "rhmax",
            Self::PolarNight => "latitude_deg",
        }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { value, low, high, .. } => write!(f, "{value} is not between {low} and {high}"),
            Self::TmaxBelowTmin { tmin_c, tmax_c } => {
                write!(f, "{tmax_c} °C is below the lowest temperature of the day, {tmin_c} °C")
            }
            Self::RhmaxBelowRhmin { rhmin, rhmax } => {
                write!(f, "{rhmax} % is below the lowest relative humidity of the day, {rhmin} %")
            }
            Self::Supersaturated { ea_kpa, saturation_kpa, .. } => write!(
                f,
                "means {ea_kpa:.3} kPa of vapour; air of the day's highest temperature holds {saturation_kpa:.3} kPa"
            ),
            Self::AboveSaturation { value, most, .. } => write!(
                f,
                "{value} m³/m³ is more than the pores of such a soil hold, {most}: give water by the soil's volume (not by its weight, nor as a share of saturation), or the field capacity of an organic soil"
            ),
            Self::Missing { .. } => f.write_str("is needed"),
            Self::PolarNight => {
                f.write_str("the sun does not rise on this day: there is no reference evapotranspiration")
            }
        }
    }
}

impl core::error::Error for InputError {}

/// `value` when it lies within `low..=high`; NaN does not.
pub(super) fn within(field: &'static str, value: f64, low: f64, high: f64) -> Result<f64, InputError> {
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(InputError::OutOfRange { field, value, low, high })
    }
}
