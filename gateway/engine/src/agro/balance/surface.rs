//! The surface layer that dries by evaporation (71–79): how much it lacks, and what a day takes from it or adds.
//!
//! Invariant: after every day 0 ≤ De ≤ TEW.

use super::plan::DayOrder;
use crate::agro::kc;

/// The layer and what it lacks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surface {
    /// Water that can evaporate from it, mm.
    pub tew_mm: f64,
    /// Water that evaporates unhindered, mm.
    pub rew_mm: f64,
    /// What it lacks, mm.
    pub de_mm: f64,
}

/// What meets it in a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SurfaceInput {
    /// Water on the wetted part, mm: rain that soaks in, and irrigation over its share of the ground.
    pub water_mm: f64,
    /// Reference evapotranspiration, mm.
    pub et0_mm: f64,
    /// Basal coefficient.
    pub kcb: f64,
    /// The most that plant and soil take together.
    pub kc_max: f64,
    /// Share of the ground that is wetted and in the sun.
    pub exposed_wetted: f64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SurfaceRow {
    /// Reduction of the evaporation.
    pub kr: f64,
    /// Evaporation coefficient.
    pub ke: f64,
    /// Evaporation over the whole ground, mm.
    pub e_mm: f64,
    /// What ran through the layer, mm.
    pub percolation_mm: f64,
    /// What the layer lacks in the evening, mm.
    pub de_mm: f64,
}

impl Surface {
    /// Lets a day pass.
    pub fn pass(&mut self, order: DayOrder, day: &SurfaceInput) -> SurfaceRow {
        let morning_mm = match order {
            DayOrder::DrainAfterEt => self.de_mm,
            DayOrder::RefillFirst => (self.de_mm - day.water_mm).max(0.0),
        };
        let percolation_mm = (day.water_mm - self.de_mm).max(0.0);
        let kr = kc::reduction(morning_mm, self.tew_mm, self.rew_mm);
        let ke = kc::evaporation(kr, day.kc_max, day.kcb, day.exposed_wetted);
        let e_mm = ke * day.et0_mm;
        let taken_mm = e_mm / day.exposed_wetted;
        let evening_mm = match order {
            DayOrder::DrainAfterEt => self.de_mm - day.water_mm + taken_mm + percolation_mm,
            DayOrder::RefillFirst => morning_mm + taken_mm,
        };
        self.de_mm = evening_mm.clamp(0.0, self.tew_mm);
        SurfaceRow { kr, ke, e_mm, percolation_mm, de_mm: self.de_mm }
    }
}
