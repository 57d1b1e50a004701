//! From millimetres to minutes: what a drip zone has to run to give a net depth.
//!
//! Depths count over the zone's whole area, as FAO-56 counts them, except where the name says "wetted".

use super::error::{InputError, within};

/// A zone of equal emitters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DripZone {
    /// Area, m².
    pub area_m2: f64,
    /// Plants.
    pub n_plants: u32,
    /// Emitters of each plant.
    pub emitters_per_plant: u32,
    /// Flow of one emitter, L/h.
    pub emitter_l_h: f64,
    /// Share of the water that reaches the roots, above 0, at most 1: drip 0.85–0.95.
    pub efficiency: f64,
    /// Share of the area that the emitters wet, above 0, at most 1.
    pub wetted_share: f64,
    /// Share of the water that is to wash salt down, below 1; usually 0.
    pub leaching: f64,
}

/// One run of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DripRun {
    /// Depth to give, mm.
    pub gross_mm: f64,
    /// Water to give, m³.
    pub volume_m3: f64,
    /// Flow of all emitters, m³/h.
    pub flow_m3_h: f64,
    /// Depth an hour, mm/h.
    pub rate_mm_h: f64,
    /// Depth an hour where the soil gets wet, mm/h.
    pub rate_wetted_mm_h: f64,
    /// How long, min.
    pub minutes: f64,
    /// Water for one plant, L.
    pub litres_per_plant: f64,
    /// Net depth where the soil gets wet, mm.
    pub net_wetted_mm: f64,
}

impl DripZone {
    /// What a run must give for `net_mm` to reach the roots.
    ///
    /// # Errors
    /// [`InputError::OutOfRange`] names the number that no zone has.
    pub fn run(&self, net_mm: f64) -> Result<DripRun, InputError> {
        const TINY: f64 = 1e-6;
        let net_mm = within("net_mm", net_mm, 0.0, 1000.0)?;
        let area_m2 = within("area_m2", self.area_m2, TINY, 1e9)?;
        let emitter_l_h = within("emitter_l_h", self.emitter_l_h, TINY, 1e6)?;
        let efficiency = within("efficiency", self.efficiency, TINY, 1.0)?;
        let wetted_share = within("wetted_share", self.wetted_share, TINY, 1.0)?;
        let leaching = within("leaching", self.leaching, 0.0, 0.9)?;
        let n_plants = within("n_plants", f64::from(self.n_plants), 1.0, 1e9)?;
        let n_emitters =
            within("emitters_per_plant", f64::from(self.emitters_per_plant), 1.0, 1e6)? * n_plants;
        let gross_mm = net_mm / efficiency / (1.0 - leaching);
        let volume_l = gross_mm * area_m2;
        let flow_l_h = n_emitters * emitter_l_h;
        let rate_mm_h = flow_l_h / area_m2;
        Ok(DripRun {
            gross_mm,
            volume_m3: volume_l / 1000.0,
            flow_m3_h: flow_l_h / 1000.0,
            rate_mm_h,
            rate_wetted_mm_h: rate_mm_h / wetted_share,
            minutes: volume_l / flow_l_h * 60.0,
            litres_per_plant: volume_l / n_plants,
            net_wetted_mm: net_mm / wetted_share,
        })
    }
}
