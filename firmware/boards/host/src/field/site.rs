//! Zones that share a pump, a tank and a sky: the only place where time advances.
//!
//! Time goes forward only. Valves act at the millisecond; soil, tank and weather act at whole minutes. The state at a
//! moment depends on when valves moved and faults came, never on how often [`Site::advance_to`] was called between.

use crate::field::weather::{Weather, WeatherDay};
use crate::field::zone::{FLOW_UNITS_PER_ML, FieldZone};
use crate::field::{MINUTE_MS, year_share};

/// A pump on a tank that a spring fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaterSource {
    /// Most that the pump gives, mL/h; open zones share it.
    pub pump_ml_h: u64,
    /// What the spring brings, mL/h.
    pub refill_ml_h: u64,
    /// Full tank, mL.
    pub tank_ml: u64,
    /// The float switch stops the pump below this, mL, and lets it go again at twice this.
    pub reserve_ml: u64,
}

/// A field with its water.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    weather: Weather,
    today: Option<WeatherDay>,
    source: WaterSource,
    tank_units: u64,
    pump_dry: bool,
    zones: Vec<FieldZone>,
    now_ms: i64,
}

impl Site {
    /// A site at a moment (Unix milliseconds) with a full tank and the zones as given.
    #[must_use]
    pub fn new(weather: Weather, source: WaterSource, zones: Vec<FieldZone>, now_ms: i64) -> Self {
        let tank_units = source.tank_ml.saturating_mul(FLOW_UNITS_PER_ML);
        let mut site = Self { weather, today: None, source, tank_units, pump_dry: false, zones, now_ms };
        site.share_flow();
        site
    }

    /// The moment up to which the site has lived, Unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// The weather over the site.
    #[must_use]
    pub fn weather(&self) -> &Weather {
        &self.weather
    }

    /// The pump and the tank.
    #[must_use]
    pub fn source(&self) -> &WaterSource {
        &self.source
    }

    /// Water in the tank, mL.
    #[must_use]
    pub fn tank_ml(&self) -> u64 {
        self.tank_units / FLOW_UNITS_PER_ML
    }

    /// Whether the float switch holds the pump off.
    #[must_use]
    pub fn pump_dry(&self) -> bool {
        self.pump_dry
    }

    /// The zones.
    #[must_use]
    pub fn zones(&self) -> &[FieldZone] {
        &self.zones
    }

    /// One zone, to break or repair it.
    pub fn zone_mut(&mut self, zone_idx: usize) -> Option<&mut FieldZone> {
        self.zones.get_mut(zone_idx)
    }

    /// Moves a valve at a moment (Unix milliseconds; the present one if that is past). Says whether the zone exists.
    pub fn set_valve(&mut self, zone_idx: usize, open: bool, at_ms: i64) -> bool {
        self.advance_to(at_ms);
        let Some(zone) = self.zones.get_mut(zone_idx) else {
            return false;
        };
        zone.set_valve(open);
        self.share_flow();
        true
    }

    /// Lets time pass up to a moment (Unix milliseconds); does nothing when that is past. Costs about half a
    /// microsecond a minute and zone.
    pub fn advance_to(&mut self, at_ms: i64) {
        while self.now_ms < at_ms {
            let minute_ends_ms =
                self.now_ms.div_euclid(MINUTE_MS).saturating_add(1).saturating_mul(MINUTE_MS);
            let to_ms = minute_ends_ms.min(at_ms);
            self.run(to_ms.saturating_sub(self.now_ms).unsigned_abs());
            self.now_ms = to_ms;
            if to_ms == minute_ends_ms {
                self.end_minute();
            }
        }
    }

    /// A copy with one zone only, for trying out what a dose of water would do.
    pub(crate) fn with_one_zone(&self, zone_idx: usize) -> Self {
        let zones = self.zones.get(zone_idx).cloned().into_iter().collect();
        Self {
            weather: self.weather.clone(),
            today: self.today,
            source: self.source.clone(),
            tank_units: self.tank_units,
            pump_dry: self.pump_dry,
            zones,
            now_ms: self.now_ms,
        }
    }

    fn run(&mut self, span_ms: u64) {
        let mut taken_units = 0_u64;
        for zone in &mut self.zones {
            zone.run(span_ms);
            taken_units = taken_units.saturating_add(zone.flow_ml_h().saturating_mul(span_ms));
        }
        let full_units = self.source.tank_ml.saturating_mul(FLOW_UNITS_PER_ML);
        self.tank_units = self
            .tank_units
            .saturating_add(self.source.refill_ml_h.saturating_mul(span_ms))
            .saturating_sub(taken_units)
            .min(full_units);
    }

    fn end_minute(&mut self) {
        let middle_ms = self.now_ms.saturating_sub(MINUTE_MS / 2);
        let today = match self.today {
            Some(today) if today.holds(middle_ms) => today,
            Some(_) | None => self.weather.day_at(middle_ms),
        };
        self.today = Some(today);
        let weather = today.at(middle_ms);
        let year_share = year_share(middle_ms);
        for zone in &mut self.zones {
            zone.end_minute(&weather, year_share);
        }
        let tank_ml = self.tank_ml();
        let reserve_ml = self.source.reserve_ml;
        self.pump_dry = tank_ml < if self.pump_dry { reserve_ml.saturating_mul(2) } else { reserve_ml };
        self.share_flow();
    }

    /// Splits what the pump gives among the zones that want water, in proportion.
    fn share_flow(&mut self) {
        let now_ms = self.now_ms;
        let wanted_ml_h: u64 = self.zones.iter().map(|zone| zone.wanted_ml_h(now_ms)).sum();
        let given_ml_h = if self.pump_dry { 0 } else { self.source.pump_ml_h.min(wanted_ml_h) };
        for zone in &mut self.zones {
            let share = zone.wanted_ml_h(now_ms).saturating_mul(given_ml_h);
            zone.set_flow_ml_h(share.checked_div(wanted_ml_h).unwrap_or(0));
        }
    }
}
