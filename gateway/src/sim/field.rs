//! Sky, soil and pipes of a season: what a probe would see and a meter count at a moment.
//!
//! Weather, soils, crops and kinds of broken pipes are those of the simulated board's field. Soil water is one bucket a
//! zone instead of that field's column by the minute, which would take most of a season's computing time: a season asks
//! for months of believable drying and wetting, not for a front's way through layers (FAO-56 eq. 84 and 85, one layer).
//! Water through a valve is counted in whole units, whenever somebody looks.

use giot_board_host::field::{Climate, FieldSeed, HydraulicFault, Weather, WeatherDay, WeatherSample};
use giot_shared::time::UnixMs;
use giot_shared::units::Millilitres;

use super::farm::Ground;

/// Depth that roots draw from, mm.
const ROOT_MM: f64 = 400.0;

/// Water drawn from a square metre of wetted ground, relative to the mean of the field.
const BULB_DRAW: f64 = 2.0;

/// Longest step of the balance: weather changes little within.
const STEP_MS: u64 = 30 * 60_000;

/// Steps whose weather is kept.
const STEPS_KEPT: usize = 8;

/// Millilitres per hour times milliseconds in one millilitre.
const UNITS_PER_ML: u64 = 3_600_000;

/// The field of all zones.
#[derive(Debug)]
pub(super) struct Field {
    weather: Weather,
    today: Option<WeatherDay>,
    /// The weather of the steps that were asked for last, by their numbers: zones that are measured at different times ask
    /// for the same few in turn.
    steps: [Option<(u64, WeatherSample)>; STEPS_KEPT],
    start: UnixMs,
    plots: Vec<Plot>,
}

#[derive(Debug)]
struct Plot {
    ground: Ground,
    storage_mm: f64,
    fault: HydraulicFault,
    is_open: bool,
    /// Pumps and master valves on its way are on.
    is_fed: bool,
    units: u64,
    soaked_units: u64,
    at_ms: u64,
}

impl Field {
    /// A field that begins moist.
    pub(super) fn new(seed: u64, start: UnixMs, grounds: &[Ground]) -> Self {
        let plot = |ground: &Ground| Plot {
            storage_mm: ground.soil.at_depletion(0.3) * ROOT_MM,
            ground: ground.clone(),
            fault: HydraulicFault::None,
            is_open: false,
            is_fed: false,
            units: 0,
            soaked_units: 0,
            at_ms: 0,
        };
        Self {
            weather: Weather::new(FieldSeed(seed).stream(1), Climate::son_la()),
            today: None,
            steps: [None; STEPS_KEPT],
            start,
            plots: grounds.iter().map(plot).collect(),
        }
    }

    /// Lets a zone live up to a moment of the season.
    pub(super) fn advance(&mut self, zone_idx: usize, now_ms: u64) {
        while let Some(from_ms) = self.plots.get(zone_idx).map(|plot| plot.at_ms).filter(|at| *at < now_ms) {
            let to_ms = (from_ms / STEP_MS + 1).saturating_mul(STEP_MS).min(now_ms);
            let (weather, kc_at_ms) = self.weather_of(from_ms / STEP_MS);
            if let Some(plot) = self.plots.get_mut(zone_idx) {
                plot.live(to_ms, &weather, year_share(kc_at_ms));
            }
        }
    }

    /// Opens or closes a valve, or so the node believes.
    pub(super) fn set_valve(&mut self, zone_idx: usize, is_open: bool, now_ms: u64) {
        self.advance(zone_idx, now_ms);
        if let Some(plot) = self.plots.get_mut(zone_idx) {
            plot.is_open = is_open;
        }
    }

    /// Water comes to a zone's valve, or stays away.
    pub(super) fn set_supply(&mut self, zone_idx: usize, is_fed: bool, now_ms: u64) {
        self.advance(zone_idx, now_ms);
        if let Some(plot) = self.plots.get_mut(zone_idx) {
            plot.is_fed = is_fed;
        }
    }

    /// Breaks or mends valve and pipes.
    pub(super) fn set_fault(&mut self, zone_idx: usize, fault: HydraulicFault, now_ms: u64) {
        self.advance(zone_idx, now_ms);
        if let Some(plot) = self.plots.get_mut(zone_idx) {
            plot.fault = fault;
        }
    }

    /// All water that ever went through a zone's valve.
    pub(super) fn given_ml(&self, zone_idx: usize) -> u64 {
        self.plots.get(zone_idx).map_or(0, |plot| plot.units / UNITS_PER_ML)
    }

    /// What a zone's meter has counted of it, in whole pulses.
    pub(super) fn metered_ml(&self, zone_idx: usize) -> u64 {
        self.plots.get(zone_idx).map_or(0, |plot| {
            let pulse_ml = plot.pulse_ml();
            plot.units / UNITS_PER_ML / pulse_ml * pulse_ml
        })
    }

    /// How long it takes until a zone's meter shows so much; `None`: never, as it flows at this moment.
    pub(super) fn reaches_in_ms(&self, zone_idx: usize, meter_ml: u64) -> Option<u64> {
        let plot = self.plots.get(zone_idx)?;
        let pulses_ml = meter_ml.div_ceil(plot.pulse_ml()) * plot.pulse_ml();
        let left_units = (pulses_ml * UNITS_PER_ML).saturating_sub(plot.units);
        let flow = plot.flow_ml_h();
        (flow > 0).then(|| left_units.div_ceil(flow))
    }

    /// Water content of a zone's root zone, m³/m³.
    pub(super) fn theta(&self, zone_idx: usize) -> f64 {
        self.plots.get(zone_idx).map_or(0.0, |plot| plot.storage_mm / ROOT_MM)
    }

    /// Whether the crop of a zone lacks water: half of what it can draw is gone (FAO-56 table 22, p = 0.5).
    pub(super) fn is_stressed(&self, zone_idx: usize) -> bool {
        self.plots
            .get(zone_idx)
            .is_some_and(|plot| plot.storage_mm < plot.ground.soil.at_depletion(0.5) * ROOT_MM)
    }

    fn weather_of(&mut self, step: u64) -> (WeatherSample, i64) {
        let at_ms = self.start.plus_ms(step.saturating_mul(STEP_MS) + STEP_MS / 2).0;
        let place = usize::try_from(step).unwrap_or(0) % STEPS_KEPT;
        let known = self.steps.get(place).copied().flatten();
        if let Some((_, weather)) = known.filter(|(known, _)| *known == step) {
            return (weather, at_ms);
        }
        let today = match self.today.filter(|today| today.holds(at_ms)) {
            Some(today) => today,
            None => self.weather.day_at(at_ms),
        };
        self.today = Some(today);
        let weather = today.at(at_ms);
        if let Some(kept) = self.steps.get_mut(place) {
            *kept = Some((step, weather));
        }
        (weather, at_ms)
    }
}

impl Plot {
    fn pulse_ml(&self) -> u64 {
        self.ground.pulse_ml.map_or(1, u64::from).max(1)
    }

    fn flow_ml_h(&self) -> u64 {
        let nominal = u64::from(self.ground.flow_l_h) * 1000;
        if !self.is_fed {
            return 0;
        }
        match self.fault {
            HydraulicFault::None if self.is_open => nominal,
            HydraulicFault::Passes { percent } if self.is_open => nominal * u64::from(percent) / 100,
            HydraulicFault::StuckOpen => nominal,
            HydraulicFault::None | HydraulicFault::Passes { .. } | HydraulicFault::StuckClosed => 0,
        }
    }

    fn live(&mut self, to_ms: u64, weather: &WeatherSample, year_share: f64) {
        let span_ms = to_ms.saturating_sub(self.at_ms);
        self.at_ms = to_ms;
        self.units = self.units.saturating_add(self.flow_ml_h().saturating_mul(span_ms));
        let fresh_ml = (self.units - self.soaked_units) / UNITS_PER_ML;
        self.soaked_units += fresh_ml * UNITS_PER_ML;
        let hours = span_ms as f64 / 3_600_000.0;
        let drip_mm = fresh_ml as f64 / 1000.0 / f64::from(self.ground.wetted_m2.max(1));
        let soil = &self.ground.soil;
        let (full_mm, dry_mm) = (soil.field_capacity * ROOT_MM, soil.wilting_point * ROOT_MM);
        let stress = ((self.storage_mm - dry_mm) / (0.5 * (full_mm - dry_mm))).clamp(0.0, 1.0);
        let demand_mm = weather.et0_mm_h * self.ground.crop.kc(year_share) * BULB_DRAW * stress * hours;
        self.storage_mm += weather.rain_mm_h * hours + drip_mm - demand_mm;
        // What is above field capacity drains within about a day.
        let excess_mm = (self.storage_mm - full_mm).max(0.0);
        self.storage_mm -= excess_mm * (hours / 24.0).min(1.0);
        self.storage_mm = self.storage_mm.clamp(dry_mm, soil.saturation * ROOT_MM);
    }
}

/// Water in whole millilitres as the wire carries it.
pub(super) fn millilitres(ml: u64) -> Millilitres {
    Millilitres(u32::try_from(ml).unwrap_or(u32::MAX))
}

/// Share of the year that has passed, good to a day.
fn year_share(unix_ms: i64) -> f64 {
    (unix_ms as f64 / 86_400_000.0 / 365.2425).rem_euclid(1.0)
}
