//! What the store knows from before this start, shown to engine and page: newest readings, the weather of the last hours, each
//! zone's last entry of the diary.
//!
//! Water never flows by what is recalled: probes, tanks, meters and pressure wait for a reading of this start. What only holds
//! water back (rain, contacts, frost) goes by its dates, so that a restart forgets no rain.

use super::{Gauges, Hub, Watched};
use crate::quality::Quality;
use giot_engine::{Age, FarmGuards, Input, ProbeRef, ZoneId};
use giot_shared::time::UnixMs;
use giot_store::{DiaryFilter, Sample};
use std::collections::VecDeque;
use std::ops::ControlFlow;

const HOUR_MS: u64 = 3_600_000;

/// Cold that began before what is recalled would be taken for cool: a night is recalled.
const FROST_HOURS: u64 = 24;

/// Readings that are recalled of one gauge: rain of every minute for a fortnight. Of more the newest.
const READINGS_MAX: usize = 20_160;

/// Which readings of a gauge matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Those that are above zero.
    Rain,
    /// Those at which it changed.
    Contact,
    /// All.
    Frost,
}

/// A gauge of the weather whose past is to be recalled.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Past {
    gauge: ProbeRef,
    kind: Kind,
    span_ms: u64,
}

/// What the guards of a farm go by, and how long ago it may matter.
fn pasts(guards: &FarmGuards) -> Vec<Past> {
    let seconds = |span_s: u32| u64::from(span_s) * 1000;
    let rain = guards.rain.iter().map(|rain| Past {
        gauge: rain.gauge.clone(),
        kind: Kind::Rain,
        span_ms: u64::from(rain.hours) * HOUR_MS,
    });
    // Closed long enough to count, and open for not quite long enough since.
    let contacts = guards.rain_contact.iter().chain(&guards.soil_contact).map(|contact| Past {
        gauge: contact.gauge.clone(),
        kind: Kind::Contact,
        span_ms: seconds(contact.on_delay_s) + seconds(contact.off_delay_s) + HOUR_MS,
    });
    let frost = guards.frost.iter().map(|frost| Past {
        gauge: frost.gauge.clone(),
        kind: Kind::Frost,
        span_ms: seconds(frost.fresh_s).max(FROST_HOURS * HOUR_MS),
    });
    rain.chain(contacts).chain(frost).collect()
}

/// The readings that matter, in time order: date in ms and thousandths.
#[derive(Debug)]
struct Kept {
    kind: Kind,
    readings: VecDeque<(UnixMs, i64)>,
}

impl Kept {
    fn take(&mut self, sample: Sample) {
        let is_good = Quality::from_byte(sample.quality) == Quality::Good;
        let milli = sample.value.filter(|_| is_good).and_then(crate::config::to_milli);
        let Some(milli) = milli else { return };
        let before = self.readings.back().map(|(_, before)| *before);
        let matters = match self.kind {
            Kind::Rain => milli > 0,
            Kind::Contact => before.is_none_or(|before| (before != 0) != (milli != 0)),
            Kind::Frost => true,
        };
        if !matters {
            return;
        }
        if self.readings.len() >= READINGS_MAX {
            self.readings.pop_front();
        }
        self.readings.push_back((UnixMs(sample.at_us.div_euclid(1000)), milli));
    }
}

impl Hub {
    /// Shows the engine, and through it the page, the newest readings that the store has, and the page each zone's last entry
    /// of the diary. No irrigation starts on a reading from before the start: each probe is waited for.
    pub(super) fn recall(&mut self) -> anyhow::Result<()> {
        let (watched, gauges) = (self.watched.clone(), self.gauges.clone());
        self.recall_weather()?;
        self.recall_series(watched, gauges)?;
        let zones: Vec<ZoneId> = self.settings.plan.zones.keys().cloned().collect();
        self.recall_entries(zones)
    }

    pub(super) fn recall_series(&mut self, watched: Watched, gauges: Gauges) -> anyhow::Result<()> {
        for (device, probes) in watched {
            for last in self.reader.last_values(Some(device.as_str()))? {
                if let Some(probe) = probes.iter().find(|probe| probe.metric.as_str() == &*last.metric) {
                    self.recall_one(probe, &last);
                }
            }
        }
        for (device, metrics) in gauges {
            for last in self.reader.last_values(Some(device.as_str()))? {
                if let Some(metric) = metrics.iter().find(|metric| metric.as_str() == &*last.metric) {
                    let sample = last.sample;
                    let quality = Quality::from_byte(sample.quality);
                    self.feed_gauge(&device, metric, (sample.at_us, Age::Unknown), sample.value, quality);
                }
            }
        }
        Ok(())
    }

    pub(super) fn recall_entries(&mut self, zones: Vec<ZoneId>) -> anyhow::Result<()> {
        for zone in zones {
            let filter = DiaryFilter { zone: Some(zone.to_string()), limit: 1, ..DiaryFilter::default() };
            let row = self.reader.diary(&filter)?.into_iter().next();
            self.earlier.extend(row.map(|row| (zone, row.entry)));
        }
        Ok(())
    }

    /// Tells the guards what rained, froze or closed a contact in the hours that still count. Without a clock the newest
    /// reading counts as of this moment: rain then holds water back for longer, never for less.
    pub(super) fn recall_weather(&mut self) -> anyhow::Result<()> {
        let now = self.now();
        let is_elsewhere = |past: &Past| {
            let sources = self.settings.plan.sources.values();
            sources
                .filter_map(|source| Some(&source.guards.tank.as_ref()?.gauge))
                .any(|gauge| *gauge == past.gauge)
        };
        let pasts: Vec<Past> =
            pasts(&self.settings.plan.guards).into_iter().filter(|past| !is_elsewhere(past)).collect();
        for Past { gauge, kind, span_ms } in pasts {
            let (device, metric) = (gauge.device.as_str(), gauge.metric.as_str());
            let last =
                self.reader.last_values(Some(device))?.into_iter().find(|last| &*last.metric == metric);
            let Some(last) = last else { continue };
            let last_at = UnixMs(last.sample.at_us.div_euclid(1000));
            let from = now.wall.unwrap_or(last_at).minus_ms(span_ms);
            let mut kept = Kept { kind, readings: VecDeque::new() };
            let range_us = from.0.saturating_mul(1000)..i64::MAX;
            self.reader.samples(device, metric, range_us, &mut |sample| {
                kept.take(sample);
                ControlFlow::Continue(())
            })?;
            for (at, milli) in kept.readings {
                let age = if now.wall.is_some() { Age::Dated } else { Age::Counted(last_at.since_ms(at)) };
                let input = Input::Gauge {
                    device: &gauge.device,
                    metric: &gauge.metric,
                    at,
                    age,
                    milli: Some(milli),
                };
                self.engine.handle(self.now(), input);
            }
        }
        Ok(())
    }
}
