//! A day of the balance: what goes in, what came out. Data; the only rule here is what no day can be.

use super::below::BelowRow;
use super::profile::Profile;
use super::root_zone::RootRow;
use super::surface::SurfaceRow;
use crate::agro::error::{InputError, within};
use crate::agro::stages::Stage;

/// More water in a day is a typing error, mm.
const DEPTH_MAX_MM: f64 = 2000.0;

/// An irrigation of a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Watering {
    /// Depth over the zone's area, mm gross.
    pub depth_mm: f64,
    /// Share of the ground that it wets (table 20).
    pub wetted: f64,
    /// Share of it that reaches the soil.
    pub efficiency: f64,
}

/// What somebody saw or measured of the crop on a day; it goes before what the curves say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Observed {
    /// Basal coefficient.
    pub kcb: Option<f64>,
    /// Height, m.
    pub height_m: Option<f64>,
    /// Share of the ground under the canopy.
    pub cover: Option<f64>,
}

/// One day as the balance meets it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DayInput {
    /// Reference evapotranspiration, mm.
    pub et0_mm: f64,
    /// Rain, mm.
    pub rain_mm: f64,
    /// Wind at 2 m, m/s; 2 where it is missing.
    pub u2_ms: Option<f64>,
    /// Lowest relative humidity, %; 45 where it is missing.
    pub rhmin: Option<f64>,
    /// Lowest and highest temperature, °C: needed where stages count degree days.
    pub extremes_c: Option<(f64, f64)>,
    /// The day's irrigation.
    pub watering: Option<Watering>,
    /// Water content of the root zone in the morning, m³/m³, as probes measured it: resets the balance (87).
    pub water_content: Option<f64>,
    /// What was seen of the crop.
    pub observed: Observed,
}

impl DayInput {
    /// Whether every number can be.
    ///
    /// # Errors
    /// [`InputError`] names the first that cannot.
    pub fn check(&self) -> Result<(), InputError> {
        let optional = |field, value: Option<f64>, low, high| {
            value.map_or(Ok(low), |value| within(field, value, low, high))
        };
        within("et0_mm", self.et0_mm, -10.0, 50.0)?;
        within("rain_mm", self.rain_mm, 0.0, DEPTH_MAX_MM)?;
        optional("u_ms", self.u2_ms, 0.0, 150.0)?;
        optional("rhmin", self.rhmin, 0.0, 100.0)?;
        optional("water_content", self.water_content, 0.0, 1.0)?;
        optional("kcb", self.observed.kcb, 0.0, 2.0)?;
        optional("height_m", self.observed.height_m, 0.0, 60.0)?;
        optional("canopy_cover", self.observed.cover, 0.0, 0.99)?;
        if let Some(watering) = &self.watering {
            within("irrigation_mm", watering.depth_mm, 0.0, DEPTH_MAX_MM)?;
            within("wetted", watering.wetted, 0.01, 1.0)?;
            within("efficiency", watering.efficiency, 0.01, 1.0)?;
        }
        Ok(())
    }

    /// The same, and whether a soil can hold what was measured in it.
    ///
    /// # Errors
    /// [`InputError`] names the first number that cannot be.
    pub fn check_in(&self, profile: &Profile) -> Result<(), InputError> {
        self.check()?;
        let most = profile.water_content_max();
        match self.water_content.filter(|value| *value > most) {
            Some(value) => Err(InputError::AboveSaturation { field: "water_content", value, most }),
            None => Ok(()),
        }
    }
}

/// The crop on a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CropRow {
    /// Stage.
    pub stage: Stage,
    /// Single coefficient (58), where the crop has one.
    pub kc_single: Option<f64>,
    /// Basal coefficient.
    pub kcb: f64,
    /// Height, m.
    pub height_m: f64,
    /// Depth of the roots, m.
    pub root_m: f64,
    /// The most that plant and soil take (72).
    pub kc_max: f64,
    /// Share of the ground under the canopy (76).
    pub cover: f64,
}

/// The water of a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WaterRow {
    /// Irrigation, mm gross.
    pub irrigation_mm: f64,
    /// Part of it that did not reach the soil, mm.
    pub loss_mm: f64,
    /// Rain, mm.
    pub rain_mm: f64,
    /// Rain too little to count, mm.
    pub ignored_mm: f64,
    /// Rain that ran off, mm.
    pub runoff_mm: f64,
    /// Share of the ground that was wetted last (table 20).
    pub wetted: f64,
    /// Share that is wetted and in the sun (75).
    pub exposed_wetted: f64,
}

impl WaterRow {
    /// Rain that soaks in, mm.
    #[must_use]
    pub fn rain_soaked_mm(&self) -> f64 {
        self.rain_mm - self.ignored_mm - self.runoff_mm
    }

    /// Irrigation that soaks in, mm over the whole area.
    #[must_use]
    pub fn irrigation_soaked_mm(&self) -> f64 {
        self.irrigation_mm - self.loss_mm
    }
}

/// Everything that happened in a day. Names follow FAO-56; "(n)" is its equation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DayRow {
    /// Reference evapotranspiration, mm.
    pub et0_mm: f64,
    /// The crop.
    pub crop: CropRow,
    /// The water.
    pub water: WaterRow,
    /// The surface layer; `None` with single coefficients.
    pub surface: Option<SurfaceRow>,
    /// Coefficient of the unstressed crop: (69), or (58) with single coefficients.
    pub kc: f64,
    /// Evapotranspiration of the unstressed crop, mm.
    pub etc_mm: f64,
    /// Coefficient of the crop with its stress (80, 81).
    pub kc_actual: f64,
    /// The root zone.
    pub root: RootRow,
    /// The whole profile, where layers are known.
    pub below: Option<BelowRow>,
    /// What a measured water content changed the depletion by in the morning, mm.
    pub reset_mm: f64,
    /// Depletion of the soil that roots grew into, mm.
    pub growth_mm: f64,
}

impl DayRow {
    /// Water that no root of this crop will reach, mm (88).
    #[must_use]
    pub fn lost_mm(&self) -> f64 {
        self.below.map_or(self.root.percolation_mm, |below| below.percolation_mm)
    }
}
