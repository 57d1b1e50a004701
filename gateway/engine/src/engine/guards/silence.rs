//! Gauges that fall silent: a guard that hears nothing is off, and people must learn that, once.
//!
//! What holds water back by a reading that is missing (tanks, probes) says so itself and is not looked at here.

use std::collections::BTreeMap;

use giot_shared::ids::NodeId;
use giot_shared::time::MonoMs;

use super::super::Engine;
use crate::Now;
use crate::diary::{By, Event};
use crate::guard::Line;
use crate::ids::{MetricName, ProbeRef, ZoneId};
use crate::plan::Plan;
use crate::reason::Reason;

const HOUR_MS: u64 = 3_600_000;

/// A meter or a pressure gauge may be silent for so long after water began to flow: two reports of an hourly one.
const FLOWING_MS: u64 = 2 * HOUR_MS;

/// A rain gauge or a contact may be silent for so long: those that speak only when something changes still say once a day that
/// they live.
const WEATHER_MS: u64 = 25 * HOUR_MS;

/// One gauge.
#[derive(Clone, Debug)]
struct Ear {
    /// The zone whose meter it is.
    zone: Option<ZoneId>,
    is_meter: bool,
    /// It speaks at all times; otherwise it need only do so when water flows.
    is_steady: bool,
    span_ms: u64,
    heard_at: Option<Line>,
    /// Since when a word of it is awaited.
    awaited_since: Option<MonoMs>,
    is_told: bool,
}

impl Ear {
    /// When its silence is told.
    fn due_at(&self) -> Option<MonoMs> {
        self.awaited_since.filter(|_| !self.is_told).map(|since| since.plus_ms(self.span_ms))
    }
}

/// All gauges without which a guard is off.
#[derive(Debug, Default)]
pub(super) struct Silence {
    ears: BTreeMap<NodeId, BTreeMap<MetricName, Ear>>,
    /// Nothing is due before.
    next_at: Option<MonoMs>,
}

impl Silence {
    pub(super) fn new(plan: &Plan, started_at: MonoMs) -> Self {
        let mut silence = Self::default();
        let flowing = Ear {
            zone: None,
            is_meter: false,
            is_steady: false,
            span_ms: FLOWING_MS,
            heard_at: None,
            awaited_since: None,
            is_told: false,
        };
        for (id, zone) in &plan.zones {
            let meter = zone.guards.meter.as_ref().map(|meter| &meter.gauge);
            silence.listen(meter, Ear { zone: Some(id.clone()), is_meter: true, ..flowing.clone() });
        }
        for source in plan.sources.values() {
            let meter = source.guards.meter.as_ref().map(|meter| &meter.gauge);
            silence.listen(meter, Ear { is_meter: true, ..flowing.clone() });
            let pressure = source.guards.pressure.as_ref().map(|pressure| &pressure.gauge);
            silence.listen(pressure, flowing.clone());
        }
        let steady =
            |span_ms| Ear { is_steady: true, span_ms, awaited_since: Some(started_at), ..flowing.clone() };
        let farm = &plan.guards;
        silence.listen(farm.rain.as_ref().map(|rain| &rain.gauge), steady(WEATHER_MS));
        for contact in farm.rain_contact.iter().chain(&farm.soil_contact) {
            silence.listen(Some(&contact.gauge), steady(WEATHER_MS));
        }
        if let Some(frost) = &farm.frost {
            silence.listen(Some(&frost.gauge), steady(u64::from(frost.fresh_s) * 1000));
        }
        silence.look_ahead();
        silence
    }

    fn listen(&mut self, gauge: Option<&ProbeRef>, ear: Ear) {
        let Some(gauge) = gauge else { return };
        self.ears.entry(gauge.device.clone()).or_default().entry(gauge.metric.clone()).or_insert(ear);
    }

    /// What was heard stays heard under another plan.
    pub(super) fn take_over(&mut self, before: &Self) {
        for (device, metrics) in &mut self.ears {
            let Some(before) = before.ears.get(device) else { continue };
            for (metric, ear) in metrics {
                let Some(old) = before.get(metric).filter(|old| old.is_steady == ear.is_steady) else {
                    continue;
                };
                (ear.heard_at, ear.awaited_since, ear.is_told) =
                    (old.heard_at, old.awaited_since, old.is_told);
            }
        }
        self.look_ahead();
    }

    /// A gauge gave something good that was taken at a moment; whether its silence had been told.
    pub(super) fn hear(&mut self, device: &NodeId, metric: &MetricName, at: Line) -> bool {
        let ear = self.ears.get_mut(device).and_then(|metrics| metrics.get_mut(metric));
        let Some(ear) = ear else { return false };
        ear.heard_at = ear.heard_at.max(Some(at));
        let Some(since) = ear.awaited_since.filter(|since| at >= Line::from(*since)) else { return false };
        ear.awaited_since = if ear.is_steady { at.mono().or(Some(since)) } else { None };
        let was_told = std::mem::take(&mut ear.is_told);
        let due_at = ear.due_at();
        self.next_at = self.next_at.into_iter().chain(due_at).min();
        was_told
    }

    /// Water flows, so a gauge is to speak.
    pub(super) fn expect(&mut self, gauge: &ProbeRef, since: MonoMs) {
        let ear = self.ears.get_mut(&gauge.device).and_then(|metrics| metrics.get_mut(&gauge.metric));
        if let Some(ear) = ear.filter(|ear| ear.awaited_since.is_none()) {
            ear.awaited_since = Some(since);
            let due_at = ear.due_at();
            self.next_at = self.next_at.into_iter().chain(due_at).min();
        }
    }

    pub(super) const fn next_at(&self) -> Option<MonoMs> {
        self.next_at
    }

    fn look_ahead(&mut self) {
        self.next_at = self.ears.values().flat_map(BTreeMap::values).filter_map(Ear::due_at).min();
    }

    /// Those whose silence is to be told.
    fn fall_due(&mut self, now: MonoMs) -> Vec<(Option<ZoneId>, Reason)> {
        if self.next_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let mut due = Vec::new();
        for (device, metrics) in &mut self.ears {
            for (metric, ear) in metrics {
                if ear.due_at().is_none_or(|at| at > now) {
                    continue;
                }
                ear.is_told = true;
                let since = ear.heard_at.or(ear.awaited_since.map(Line::from)).map_or(0, |since| since.0);
                let silent_ms = Line::from(now).0.saturating_sub(since);
                let hours = u32::try_from(silent_ms.unsigned_abs() / HOUR_MS).unwrap_or(u32::MAX);
                let (device, metric) = (device.clone(), metric.clone());
                let reason = if ear.is_meter {
                    Reason::MeterSilent { device, metric, hours }
                } else {
                    Reason::GaugeSilent { device, metric, hours }
                };
                due.push((ear.zone.clone(), reason));
            }
        }
        self.look_ahead();
        due
    }
}

impl Engine {
    /// Tells of gauges that have been silent for too long.
    pub(super) fn tell_silence(&mut self, now: Now) {
        for (zone, reason) in self.guards.silence.fall_due(now.mono) {
            self.tell(now, zone, Event::Fault, By::Engine, reason);
        }
    }

    /// A gauge gave something good; one whose silence was told is told to speak again.
    pub(super) fn hear_gauge(&mut self, now: Now, device: &NodeId, metric: &MetricName, at: Line) {
        if self.guards.silence.hear(device, metric, at) {
            let reason = Reason::GaugeSpeaks { device: device.clone(), metric: metric.clone() };
            self.tell(now, None, Event::Notified, By::Engine, reason);
        }
    }
}
