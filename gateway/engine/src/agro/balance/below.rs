//! The soil between the roots and their greatest depth, where layers are known: water that leaves the roots waits here for them.
//!
//! Kept as the depletion of the whole profile down to that depth, as pyfao56 does; what is below the roots is the difference.
//! Invariant: after every day 0 ≤ depletion ≤ available water, for the whole and for the part below.

use super::plan::DayOrder;
use super::profile::Profile;
use super::root_zone::{Reservoir, RootZone, Settled};

/// The whole profile and its part below the roots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Below {
    whole_taw_mm: f64,
    whole_dr_mm: f64,
    part_taw_mm: f64,
    part_dr_mm: f64,
}

/// The profile on a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BelowRow {
    /// Depletion of the whole profile in the evening, mm.
    pub whole_dr_mm: f64,
    /// Water that ran below the greatest depth of the roots, mm.
    pub percolation_mm: f64,
}

impl Below {
    /// `None` without layers. `share` of the ground holds water for roots; `lacking_mm` is what the whole lacks at the start.
    pub(super) fn new(
        profile: &Profile,
        root_m_max: f64,
        share: f64,
        lacking_mm: f64,
        root_zone: &RootZone,
    ) -> Option<Self> {
        let Profile::Layers(_) = profile else { return None };
        let whole_taw_mm = profile.available_mm(root_m_max) * share;
        Some(Self {
            whole_taw_mm,
            whole_dr_mm: lacking_mm,
            part_taw_mm: whole_taw_mm - root_zone.taw_mm,
            part_dr_mm: lacking_mm - root_zone.dr_mm,
        })
    }

    /// Roots grew until the root zone holds `root_taw_mm`: the depletion of the soil that they reached.
    pub(super) fn give(&mut self, root_taw_mm: f64) -> f64 {
        let before_mm = self.part_taw_mm;
        self.part_taw_mm = self.whole_taw_mm - root_taw_mm;
        if before_mm > 0.0 { self.part_dr_mm * (1.0 - self.part_taw_mm / before_mm) } else { 0.0 }
    }

    /// A measurement of the root zone changed its depletion.
    pub(super) fn reset(&mut self, change_mm: f64) {
        self.whole_dr_mm += change_mm;
    }

    /// Lets a day pass over the whole profile.
    pub(super) fn pass(&mut self, order: DayOrder, water_mm: f64, et_mm: f64, root_dr_mm: f64) -> BelowRow {
        let soil = Reservoir { before_mm: self.whole_dr_mm, taw_mm: self.whole_taw_mm };
        let settled = Settled::new(order, soil, water_mm, et_mm);
        self.whole_dr_mm = settled.evening_mm;
        self.part_dr_mm = (self.whole_dr_mm - root_dr_mm).clamp(0.0, self.part_taw_mm.max(0.0));
        BelowRow { whole_dr_mm: self.whole_dr_mm, percolation_mm: settled.percolation_mm }
    }
}
