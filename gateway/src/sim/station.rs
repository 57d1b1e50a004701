//! Devices that are no nodes: each sends its zone's moisture as flat JSON, with a time of its own or without one. Theirs are
//! decoded by the real decoder. A station with a clock keeps what it cannot send and delivers it in one burst; one without
//! loses it.

use std::fmt::Write;

use giot_engine::{Input, Level};
use giot_shared::ids::NodeId;
use giot_shared::time::UnixMs;
use giot_shared::units::MoisturePermyriad;

use super::season::{Happening, MINUTE_MS, START, World};
use super::trouble::seen;
use crate::ingest::json;
use crate::quality::Quality;

/// From one reading to the next.
const SAMPLE_MS: u64 = 10 * MINUTE_MS;

/// Readings that a station keeps while it cannot send.
const BACKLOG_MAX: usize = 500;

/// One station.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) id: NodeId,
    pub(super) zone_idx: usize,
    /// Whether it dates its readings, by a clock that is right.
    pub(super) has_clock: bool,
    pub(super) is_linked: bool,
    /// Percent of volume, and when it was measured.
    backlog: Vec<(u64, Option<f64>)>,
}

impl Station {
    pub(super) const fn new(id: NodeId, zone_idx: usize, has_clock: bool) -> Self {
        Self { id, zone_idx, has_clock, is_linked: true, backlog: Vec::new() }
    }
}

impl World {
    /// A station measures, and sends what it has.
    pub(super) fn station_samples(&mut self, station_idx: usize) {
        self.plan(SAMPLE_MS, Happening::Station { station_idx });
        let now_ms = self.now_ms;
        let Some(zone_idx) = self.stations.get(station_idx).map(|station| station.zone_idx) else { return };
        self.field.advance(zone_idx, now_ms);
        let theta = self.field.theta(zone_idx) + 0.0015 * self.probe_dice.bell();
        let chance = self.probe_dice.below(10_000);
        let trouble = self.station_troubles.get(&station_idx).copied();
        let Some((permyriad, _)) = seen(theta, trouble, chance) else { return };
        let is_up = self.is_gateway_up();
        let Some(station) = self.stations.get_mut(station_idx) else { return };
        station.backlog.push((now_ms, permyriad.map(|permyriad| f64::from(permyriad) / 100.0)));
        if !station.has_clock {
            // Undated, it is worth something at this moment only.
            station.backlog.drain(..station.backlog.len().saturating_sub(1));
        }
        if station.backlog.len() > BACKLOG_MAX {
            station.backlog.remove(0);
        }
        if !is_up || !station.is_linked {
            return;
        }
        let mut in_ms = 0;
        for (taken_ms, percent) in std::mem::take(&mut station.backlog) {
            in_ms += self.link_dice.between(5, 300);
            self.plan(in_ms, Happening::Json { station_idx, taken_ms, percent });
            if self.link_dice.permille(10) {
                let again_ms = in_ms + self.link_dice.below(60_000);
                self.plan(again_ms, Happening::Json { station_idx, taken_ms, percent });
            }
        }
    }

    /// A station's message arrives.
    pub(super) fn take_json(&mut self, station_idx: usize, taken_ms: u64, percent: Option<f64>) {
        let Some(station) = self.stations.get(station_idx).filter(|_| self.is_gateway_up()) else { return };
        let (id, zone_idx) = (station.id.clone(), station.zone_idx);
        let mut text = String::from("{");
        if station.has_clock {
            // Writing to a text cannot fail.
            write!(text, "\"ts\":{},", START.plus_ms(taken_ms).0).ok();
        }
        match percent {
            Some(percent) => write!(text, "\"soil_moisture\":{percent}}}").ok(),
            None => write!(text, "\"soil_moisture\":null}}").ok(),
        };
        // An unset clock still shows something: the middle of the century before.
        let shown_us = self.now().wall.map_or(-600_000_000_000_000, |wall| wall.0.saturating_mul(1000));
        let Ok(decoded) = json::decode(text.as_bytes(), shown_us, &mut self.names) else {
            self.checks.demand(false, self.now_ms, || format!("P2: {text} is not taken"));
            return;
        };
        for sample in decoded.samples {
            let Ok(metric) = sample.metric.parse() else { continue };
            let moisture = sample.value.and_then(MoisturePermyriad::from_percent);
            let good = sample.quality == Quality::Good && moisture.is_some();
            self.know(zone_idx, &sample.metric, taken_ms, moisture.filter(|_| good));
            let (at, age) = (UnixMs(sample.at_us.div_euclid(1000)), sample.age);
            self.feed(Input::Reading {
                device: &id,
                metric: &metric,
                at,
                age,
                level: moisture.map(Level::from),
                good,
            });
        }
    }
}
