//! The root zone (82–88): how much water it lacks, what stress that is, and what a day changes.
//!
//! Invariant: after every day 0 ≤ Dr ≤ TAW, and the day's terms add up to the change of Dr. Evaporation may dry the surface
//! below the wilting point, where Dr ends; that water is told apart as [`RootRow::below_wilting_mm`].

use super::plan::{DayOrder, StressCurve};
use crate::agro::kc;

/// What the root zone lacks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RootZone {
    /// Depletion, mm; below 0 only until surplus water of the start has drained.
    pub dr_mm: f64,
    /// Water between field capacity and wilting point, mm.
    pub taw_mm: f64,
}

/// What meets it in a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RootInput {
    /// Rain and irrigation that soak in, mm.
    pub water_mm: f64,
    /// Transpiration of an unstressed plant, mm.
    pub transpiration_mm: f64,
    /// Evaporation from the soil, mm; 0 with a single coefficient.
    pub evaporation_mm: f64,
    /// Depletion of the soil that roots grow into, mm.
    pub growth_mm: f64,
    /// Share of the available water that roots take without stress.
    pub p: f64,
}

/// What a day did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RootRow {
    /// Available water, mm (82).
    pub taw_mm: f64,
    /// Share of it that roots take without stress.
    pub p: f64,
    /// Readily available water, mm (83).
    pub raw_mm: f64,
    /// Stress coefficient that the plant met (84).
    pub ks: f64,
    /// Stress coefficient in the evening.
    pub ks_evening: f64,
    /// Transpiration, with stress, mm.
    pub transpiration_mm: f64,
    /// Evapotranspiration, with stress, mm.
    pub et_mm: f64,
    /// Water that ran below the roots, mm (88).
    pub percolation_mm: f64,
    /// Evaporation that came from below the wilting point, mm.
    pub below_wilting_mm: f64,
    /// Depletion in the evening, mm (85, 86).
    pub dr_mm: f64,
}

impl RootZone {
    /// Lets a day pass.
    pub fn pass(&mut self, order: DayOrder, curve: StressCurve, day: &RootInput) -> RootRow {
        let raw_mm = day.p * self.taw_mm;
        let stress = |dr_mm: f64| match curve {
            StressCurve::Fao56 => kc::stress(dr_mm, self.taw_mm, raw_mm),
            StressCurve::AquaCrop => kc::stress_aquacrop(dr_mm, self.taw_mm, day.p),
        };
        let refilled_mm = match order {
            DayOrder::DrainAfterEt => self.dr_mm,
            DayOrder::RefillFirst => (self.dr_mm - day.water_mm).max(0.0),
        };
        let ks = stress(refilled_mm);
        let taken_mm = ks * day.transpiration_mm;
        let et_mm = taken_mm + day.evaporation_mm;
        let (before_mm, taw_mm) = (self.dr_mm + day.growth_mm, self.taw_mm);
        let settled = Settled::new(order, Reservoir { before_mm, taw_mm }, day.water_mm, et_mm);
        self.dr_mm = settled.evening_mm;
        RootRow {
            taw_mm: self.taw_mm,
            p: day.p,
            raw_mm,
            ks,
            ks_evening: stress(self.dr_mm),
            transpiration_mm: taken_mm,
            et_mm,
            percolation_mm: settled.percolation_mm,
            below_wilting_mm: settled.below_wilting_mm,
            dr_mm: self.dr_mm,
        }
    }
}

/// Soil that lacks water, and how much it can lack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reservoir {
    pub(super) before_mm: f64,
    pub(super) taw_mm: f64,
}

/// Where the water of a day went (85–88).
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    /// Ran out below, mm.
    pub(super) percolation_mm: f64,
    /// Came from below the wilting point, mm.
    pub(super) below_wilting_mm: f64,
    /// What is lacking in the evening, mm.
    pub(super) evening_mm: f64,
}

impl Settled {
    pub(super) fn new(order: DayOrder, soil: Reservoir, water_mm: f64, et_mm: f64) -> Self {
        let lacking_mm = match order {
            DayOrder::DrainAfterEt => soil.before_mm - water_mm + et_mm,
            DayOrder::RefillFirst => (soil.before_mm - water_mm).max(0.0) + et_mm,
        };
        let drained_before_mm = match order {
            DayOrder::DrainAfterEt => 0.0,
            DayOrder::RefillFirst => (water_mm - soil.before_mm).max(0.0),
        };
        // Dew on a full soil drains as well.
        let percolation_mm = drained_before_mm + (-lacking_mm).max(0.0);
        let below_wilting_mm = (lacking_mm - soil.taw_mm).max(0.0);
        Self { percolation_mm, below_wilting_mm, evening_mm: lacking_mm.clamp(0.0, soil.taw_mm) }
    }
}
