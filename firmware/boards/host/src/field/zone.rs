//! One irrigation zone: a valve, the emitters behind it, and the soil they wet.
//!
//! Water is counted in whole units, millilitres per hour times milliseconds, so that the sum does not depend on how
//! often somebody looks. The soil takes what was delivered in a minute at the end of that minute. A zone does not
//! know the time or the pump: [`crate::field::Site`] tells it how much flows and when a minute is over.

use crate::field::rng::FieldSeed;
use crate::field::soil::{N_LAYERS, Soil, SoilKind, WaterFlux};
use crate::field::weather::WeatherSample;
use crate::field::{MINUTE_MS, whole_u64};

/// Millilitres per hour times milliseconds in one millilitre.
pub(crate) const FLOW_UNITS_PER_ML: u64 = 3_600_000;

/// What is wrong with a zone's pipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HydraulicFault {
    /// Nothing.
    #[default]
    None,
    /// The valve does not open, whatever its coil gets.
    StuckClosed,
    /// The valve does not close.
    StuckOpen,
    /// Emitters or filter let only this share through, % (over 100: a broken pipe).
    Passes {
        /// Flow in percent of the nominal one.
        percent: u16,
    },
}

/// How a crop's water use changes through the year (FAO-56 single crop coefficient).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CropCurve {
    /// Coefficient after leaf-out.
    pub kc_ini: f64,
    /// Coefficient at full canopy.
    pub kc_mid: f64,
    /// Coefficient at the end and during rest.
    pub kc_end: f64,
    /// Day of the year on which the first stage begins (0 = first of January).
    pub begins_day: f64,
    /// Lengths of the four stages, days.
    pub stage_days: [f64; 4],
}

impl CropCurve {
    /// The coefficient at a share of the year; straight lines between the stages (FAO-56 eq. 66).
    #[must_use]
    pub fn kc(&self, year_share: f64) -> f64 {
        let [ini_days, dev_days, mid_days, late_days] = self.stage_days;
        let day = (year_share * 365.2425 - self.begins_day).rem_euclid(365.2425);
        let between = |from: f64, to: f64, share: f64| from + (to - from) * share.clamp(0.0, 1.0);
        if day < ini_days + dev_days {
            between(self.kc_ini, self.kc_mid, (day - ini_days) / dev_days)
        } else if day < ini_days + dev_days + mid_days + late_days {
            between(self.kc_mid, self.kc_end, (day - ini_days - dev_days - mid_days) / late_days)
        } else {
            // Leafless or resting: from the end value towards the first stage of the next year.
            let rest_days = 365.2425 - self.stage_days.iter().sum::<f64>();
            between(self.kc_end, self.kc_ini, (day - self.stage_days.iter().sum::<f64>()) / rest_days)
        }
    }
}

/// How a zone is planted and watered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ZoneLayout {
    /// Planted area, m².
    pub area_m2: u32,
    /// Trees or pillars.
    pub n_plants: u32,
    /// Emitters at each plant.
    pub emitters_per_plant: u32,
    /// Flow of an emitter, mL/h.
    pub emitter_ml_h: u32,
    /// Share of the area that the emitters wet, % (FAO-56 table 20 gives 30–40 for trickle; young trees with one
    /// ring of emitters have less).
    pub wetted_percent: u32,
    /// Water drawn from a square metre of bulb, relative to the mean of the field: in the dry season the trees live
    /// on the bulb while the soil between the rows rests.
    pub bulb_draw: f64,
    /// Water use of the crop through the year.
    pub crop: CropCurve,
    /// Soil of the zone.
    pub soil: SoilKind,
    /// Which part of its water the crop takes from each layer.
    pub root_share: [f64; N_LAYERS],
}

impl ZoneLayout {
    /// Flow of all emitters at working pressure, mL/h.
    #[must_use]
    pub fn nominal_ml_h(&self) -> u64 {
        u64::from(self.n_plants)
            .saturating_mul(u64::from(self.emitters_per_plant))
            .saturating_mul(u64::from(self.emitter_ml_h))
    }

    /// Area that the emitters wet, m².
    #[must_use]
    pub fn wetted_m2(&self) -> f64 {
        f64::from(self.area_m2) * f64::from(self.wetted_percent) / 100.0
    }

    /// Drip rate on the wetted area, mm/h.
    #[must_use]
    pub fn drip_mm_h(&self) -> f64 {
        self.nominal_ml_h() as f64 / 1_000.0 / self.wetted_m2()
    }
}

/// A zone as it stands in the field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldZone {
    layout: ZoneLayout,
    soil: Soil,
    flow_seed: FieldSeed,
    valve_open: bool,
    fault: HydraulicFault,
    flow_ml_h: u64,
    delivered_units: u64,
    soaked_units: u64,
    pulse_ml: u32,
}

impl FieldZone {
    /// A zone with its valve closed and soil of one water content, m³/m³; the meter gives a pulse each `pulse_ml` mL.
    #[must_use]
    pub fn new(seed: FieldSeed, layout: ZoneLayout, theta: f64, pulse_ml: u32) -> Self {
        Self {
            layout,
            soil: Soil::new(layout.soil, layout.root_share, theta),
            flow_seed: seed,
            valve_open: false,
            fault: HydraulicFault::None,
            flow_ml_h: 0,
            delivered_units: 0,
            soaked_units: 0,
            pulse_ml: pulse_ml.max(1),
        }
    }

    /// How the zone is planted and watered.
    #[must_use]
    pub fn layout(&self) -> &ZoneLayout {
        &self.layout
    }

    /// The zone's soil.
    #[must_use]
    pub fn soil(&self) -> &Soil {
        &self.soil
    }

    /// Whether the valve was last told to open.
    #[must_use]
    pub fn valve_open(&self) -> bool {
        self.valve_open
    }

    /// Flow through the valve at this moment, mL/h.
    #[must_use]
    pub fn flow_ml_h(&self) -> u64 {
        self.flow_ml_h
    }

    /// All water that ever went through the valve, mL.
    #[must_use]
    pub fn delivered_ml(&self) -> u64 {
        self.delivered_units / FLOW_UNITS_PER_ML
    }

    /// All pulses that the water meter ever gave.
    #[must_use]
    pub fn flow_pulses(&self) -> u64 {
        self.delivered_ml() / u64::from(self.pulse_ml)
    }

    /// Water of one pulse of the meter, mL.
    #[must_use]
    pub fn pulse_ml(&self) -> u32 {
        self.pulse_ml
    }

    /// Breaks or repairs valve and pipes; flows change with the next move of a valve or the next minute.
    pub fn set_fault(&mut self, fault: HydraulicFault) {
        self.fault = fault;
    }

    pub(crate) fn set_valve(&mut self, open: bool) {
        self.valve_open = open;
    }

    /// Flow that the zone would take from an unlimited source, mL/h; it wavers by a percent or two as pressure does.
    pub(crate) fn wanted_ml_h(&self, at_ms: i64) -> u64 {
        let (passes, percent) = match self.fault {
            HydraulicFault::None => (self.valve_open, 100),
            HydraulicFault::StuckClosed => (false, 0),
            HydraulicFault::StuckOpen => (true, 100),
            HydraulicFault::Passes { percent } => (self.valve_open, percent),
        };
        if !passes {
            return 0;
        }
        // A new pressure level about every ten minutes, the same for every look at one minute.
        let minutes = at_ms.div_euclid(MINUTE_MS) as f64;
        let pressure = 1.0 + 0.012 * self.flow_seed.smooth_bell(minutes / 10.0);
        whole_u64(self.layout.nominal_ml_h() as f64 * f64::from(percent) / 100.0 * pressure)
    }

    pub(crate) fn set_flow_ml_h(&mut self, flow_ml_h: u64) {
        self.flow_ml_h = flow_ml_h;
    }

    /// Lets water run for a span of milliseconds at the present flow.
    pub(crate) fn run(&mut self, span_ms: u64) {
        self.delivered_units = self.delivered_units.saturating_add(self.flow_ml_h.saturating_mul(span_ms));
    }

    /// Ends a minute: the soil gets the water of that minute and lives through its weather.
    pub(crate) fn end_minute(&mut self, weather: &WeatherSample, year_share: f64) -> WaterFlux {
        let fresh_units = self.delivered_units - self.soaked_units;
        self.soaked_units = self.delivered_units;
        let fresh_litres = fresh_units as f64 / (FLOW_UNITS_PER_ML * 1_000) as f64;
        let drip_mm_h = fresh_litres / self.layout.wetted_m2() * 60.0;
        let kc = self.layout.crop.kc(year_share) * self.layout.bulb_draw;
        self.soil.step(60.0, weather.rain_mm_h, weather.et0_mm_h, kc, drip_mm_h)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLUM: CropCurve = CropCurve {
        kc_ini: 0.55,
        kc_mid: 0.90,
        kc_end: 0.65,
        begins_day: 31.0,
        stage_days: [20.0, 70.0, 120.0, 60.0],
    };

    #[test]
    fn crop_curve_goes_through_its_stages() {
        fn check(day: f64, want: f64) {
            let kc = PLUM.kc(day / 365.2425);
            assert!((kc - want).abs() < 0.005, "day {day}: {kc}, not {want}");
        }
        check(31.0, 0.55);
        check(51.0, 0.55);
        check(86.0, 0.725);
        check(121.0, 0.90);
        check(240.0, 0.90);
        check(271.0, 0.775);
        check(301.0, 0.65);
        check(30.9, 0.55);
    }

    #[test]
    fn faults_change_the_flow() {
        let layout = ZoneLayout {
            area_m2: 2_000,
            n_plants: 125,
            emitters_per_plant: 10,
            emitter_ml_h: 4_000,
            wetted_percent: 20,
            bulb_draw: 2.0,
            crop: PLUM,
            soil: SoilKind::LOAM,
            root_share: [0.2; N_LAYERS],
        };
        let mut zone = FieldZone::new(FieldSeed(1), layout, 0.25, 100);
        assert_eq!(layout.nominal_ml_h(), 5_000_000);
        assert!((layout.drip_mm_h() - 12.5).abs() < 1e-9);
        let mut wanted = |open: bool, fault: HydraulicFault| {
            zone.set_valve(open);
            zone.set_fault(fault);
            zone.wanted_ml_h(0)
        };
        let normal_ml_h = wanted(true, HydraulicFault::None);
        assert!(normal_ml_h.abs_diff(5_000_000) < 250_000);
        assert_eq!(wanted(false, HydraulicFault::None), 0);
        assert_eq!(wanted(true, HydraulicFault::StuckClosed), 0);
        assert_eq!(wanted(false, HydraulicFault::StuckOpen), normal_ml_h);
        assert!(wanted(true, HydraulicFault::Passes { percent: 40 }).abs_diff(normal_ml_h * 2 / 5) <= 1);
        assert_eq!(wanted(false, HydraulicFault::Passes { percent: 40 }), 0);
    }
}
