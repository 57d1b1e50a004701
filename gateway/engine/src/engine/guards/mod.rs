//! Guards at work: which reading is whose, what its finding leads to, and what holds a zone's water back at a moment.
//!
//! Findings of a zone's meter are its zone's; those of a source's meter, its tank and its pressure are its source's, and
//! hold for everything that it feeds. What of that must survive a restart (learned flows, faults of sources) is kept as one.

use std::collections::{BTreeMap, BTreeSet};

use giot_shared::ids::NodeId;
use giot_shared::time::{MonoMs, UnixMs};
use giot_shared::units::LitresPerHour;

use super::Engine;
use crate::Now;
use crate::diary::Action;
use crate::guard::{
    Contact, Expected, Frost, Line, Pressure, Rain, Signature, Tank, Watch, Water, line_of, mono_of,
};
use crate::ids::{MetricName, ProbeRef, SourceId, ZoneId};
use crate::input::Age;
use crate::memory::GuardMemory;
use crate::plan::{ContactGuard, FarmGuards, Plan, SourceGuards, ZoneGuards};
use crate::program::FarmState;
use crate::reason::{Reason, Thousandths, unit_of};
use crate::view::FlowView;
use crate::zone::Gate;

mod flow;
mod silence;

use silence::Silence;

/// A valve that leaks after it closed is closed again so often before it counts as stuck.
const RECLOSES_MAX: u32 = 2;

/// A second zone that is blamed within a day, without a good run of their source in between, clears both: two lines seldom burst
/// on one day.
const SUSPECT_MS: u64 = 24 * 3_600_000;

/// A meter may report so much later.
const CHECK_SLACK_MS: u64 = 120_000;

/// Others wait no longer for what the meter says after a zone was blamed.
const CHECK_MS_MAX: u64 = 900_000;

/// Whose a reading is.
#[derive(Clone, Copy, Debug)]
enum Role {
    ZoneMeter(usize),
    SourceMeter(usize),
    Tank(usize),
    Pressure(usize),
    Rain,
    RainContact,
    SoilContact,
    Frost,
}

/// What is watched of one zone.
#[derive(Debug)]
struct ZoneWatch {
    id: ZoneId,
    guards: ZoneGuards,
    nominal: Option<u32>,
    watch: Watch,
    signature: Signature,
    /// Whether water flowed, rested or neither when it was last looked at.
    kind: WaterKind,
    /// When its node told last what its valve had done long before, out of reach: what the meter counted until then may be of
    /// that.
    told_late: Option<MonoMs>,
    n_recloses: u32,
    /// What its run has taken as far as readings tell, mL.
    run_ml: u64,
    /// When the valve of that run opened.
    run_since: Option<MonoMs>,
    /// When the meter was last read in that run.
    run_read_at: Option<MonoMs>,
    /// The sources on its way.
    sources: Vec<usize>,
}

/// What is watched of one source.
#[derive(Debug)]
struct SourceWatch {
    id: SourceId,
    guards: SourceGuards,
    watch: Watch,
    /// What flowed when it was last looked at.
    water: Water,
    tank: Tank,
    pressure: Pressure,
    fault: Option<Reason>,
    zones: Vec<usize>,
    diagnosis: Option<Diagnosis>,
    /// So often every valve was closed again because water flowed. Runs in between prove nothing: only a rest without flow does.
    n_recloses: u32,
    /// Which zone was blamed last, until the source has had a good run.
    suspect: Option<Suspect>,
    /// No longer than until then it is looked at whether the flow has ended with the blamed zone; nothing opens before.
    check_until: Option<MonoMs>,
}

impl SourceWatch {
    /// For how long it is looked at whether nothing flows after a zone was blamed, ms.
    fn check_ms(&self) -> u64 {
        let limits = &self.guards.flow;
        let leak_s = u64::from(limits.leak_ignore_s) + u64::from(limits.leak_delay_s);
        (leak_s * 1000).saturating_add(CHECK_SLACK_MS).min(CHECK_MS_MAX)
    }

    fn is_checked(&self, now: MonoMs) -> bool {
        self.check_until.is_some_and(|until| now < until)
    }

    /// Whether another zone than this one was blamed lately, and no good run has shown since that the main is whole.
    fn suspects_other(&self, zone: &ZoneId, now: MonoMs) -> bool {
        let suspect = self.suspect.as_ref();
        suspect.is_some_and(|other| other.zone != *zone && now.since_ms(other.at) <= SUSPECT_MS)
    }

    /// What flowed together has ended; `flow`: what it had, if nothing was found wrong with it. As much as it should be shows
    /// that the main is whole.
    fn note_run(&mut self, before: Water, flow: Option<u32>) {
        let Water::Flows { expected: Some(expected), .. } = before else { return };
        let most = u64::from(expected.full) * u64::from(self.guards.flow.high_percent) / 100;
        if flow.is_some_and(|flow| u64::from(flow) <= most) {
            (self.suspect, self.check_until) = (None, None);
        }
    }

    /// Whether a flow that held from `from` on shows that nothing flows while every valve is closed and the lines have drained.
    fn is_at_rest(&self, from: MonoMs, flow: u32, water: Water) -> bool {
        let limits = &self.guards.flow;
        let drained_ms = u64::from(limits.leak_ignore_s) * 1000;
        matches!(water, Water::Rests { since } if from >= since.plus_ms(drained_ms))
            && flow <= limits.leak_l_per_h.0
    }

    /// Whether a leak is first answered by closing every valve again.
    /// Not where a fault is known, or where the flow did not end with the zone that was blamed.
    fn closes_again(&self) -> bool {
        self.fault.is_none() && self.check_until.is_none() && self.n_recloses < RECLOSES_MAX
    }
}

/// Zones that are tested one after another because their source gave too much.
#[derive(Debug)]
struct Diagnosis {
    zones: Vec<usize>,
    /// What the source gave too much.
    reason: Reason,
    has_found: bool,
}

/// A zone that was blamed by its source's meter alone: what burst may as well be the main before it.
#[derive(Debug)]
struct Suspect {
    zone: ZoneId,
    at: MonoMs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum WaterKind {
    #[default]
    Changes,
    Rests,
    Flows,
}

/// All guards of a farm.
#[derive(Debug, Default)]
pub(super) struct Guards {
    started_at: MonoMs,
    farm: FarmGuards,
    zones: Vec<ZoneWatch>,
    sources: Vec<SourceWatch>,
    by_source: BTreeMap<SourceId, usize>,
    roles: BTreeMap<NodeId, BTreeMap<MetricName, Vec<Role>>>,
    rain: Rain,
    rain_holds: Option<i64>,
    rain_contact: Contact,
    soil_contact: Contact,
    frost: Frost,
    silence: Silence,
    /// Zones whose water may have changed.
    dirty: BTreeSet<usize>,
    wake_at: Option<MonoMs>,
    /// A person's pause of water. It was set by the clock and counts on without it, so that a clock that is put right neither
    /// ends it nor makes it longer.
    paused_until: Option<MonoMs>,
    /// There was no clock when it was remembered.
    is_pause_guessed: bool,
    /// What is remembered of zones and sources that the plan does not name.
    others: GuardMemory,
    is_memory_changed: bool,
    /// Something that holds water back may have changed.
    pub(super) is_gate_changed: bool,
}

impl Guards {
    pub(super) fn new(plan: &Plan, memory: GuardMemory, now: Now) -> Self {
        let mut guards = Self {
            started_at: now.mono,
            farm: plan.guards.clone(),
            silence: Silence::new(plan, now.mono),
            is_gate_changed: true,
            ..Self::default()
        };
        let GuardMemory { mut learned, mut references, mut faults, mut low_tanks } = memory;
        for (idx, (id, source)) in plan.sources.iter().enumerate() {
            let own = &source.guards;
            guards.role(own.meter.as_ref().map(|meter| &meter.gauge), Role::SourceMeter(idx));
            guards.role(own.tank.as_ref().map(|tank| &tank.gauge), Role::Tank(idx));
            guards.role(own.pressure.as_ref().map(|pressure| &pressure.gauge), Role::Pressure(idx));
            guards.by_source.insert(id.clone(), idx);
            guards.sources.push(SourceWatch {
                id: id.clone(),
                guards: own.clone(),
                watch: Watch::default(),
                water: Water::Changes,
                tank: Tank::remembered(low_tanks.remove(id)),
                pressure: Pressure::default(),
                fault: faults.remove(id),
                zones: Vec::new(),
                diagnosis: None,
                n_recloses: 0,
                suspect: None,
                check_until: None,
            });
        }
        for (idx, (id, zone)) in plan.zones.iter().enumerate() {
            guards.role(zone.guards.meter.as_ref().map(|meter| &meter.gauge), Role::ZoneMeter(idx));
            let way = plan.path(&zone.source).into_iter();
            let sources: Vec<_> = way.filter_map(|source| guards.by_source.get(source).copied()).collect();
            for source_idx in &sources {
                if let Some(source) = guards.sources.get_mut(*source_idx) {
                    source.zones.push(idx);
                }
            }
            let nominal = zone.flow.map(|flow| flow.0);
            let (runs, reference) = (learned.remove(id).unwrap_or_default(), references.remove(id));
            guards.zones.push(ZoneWatch {
                id: id.clone(),
                guards: zone.guards.clone(),
                nominal,
                watch: Watch::default(),
                signature: Signature::remembered(runs, reference, nominal, &zone.guards.flow),
                kind: WaterKind::default(),
                told_late: None,
                n_recloses: 0,
                run_ml: 0,
                run_since: None,
                run_read_at: None,
                sources,
            });
        }
        guards.others = GuardMemory { learned, references, faults, low_tanks };
        guards.role(plan.guards.rain.as_ref().map(|rain| &rain.gauge), Role::Rain);
        guards.role(plan.guards.rain_contact.as_ref().map(|contact| &contact.gauge), Role::RainContact);
        guards.role(plan.guards.soil_contact.as_ref().map(|contact| &contact.gauge), Role::SoilContact);
        guards.role(plan.guards.frost.as_ref().map(|frost| &frost.gauge), Role::Frost);
        guards
    }

    /// Takes over what the guards of the plan before have seen, where this plan guards the same in the same way.
    pub(super) fn take_over(&mut self, before: Self) {
        let names: Vec<ZoneId> = before.zones.iter().map(|zone| zone.id.clone()).collect();
        let idx_of: BTreeMap<ZoneId, usize> =
            self.zones.iter().enumerate().map(|(idx, zone)| (zone.id.clone(), idx)).collect();
        for old in before.zones {
            let Some(zone) = idx_of.get(&old.id).and_then(|idx| self.zones.get_mut(*idx)) else { continue };
            if zone.guards == old.guards && zone.nominal == old.nominal {
                (zone.watch, zone.signature, zone.kind) = (old.watch, old.signature, old.kind);
                zone.told_late = old.told_late;
                (zone.n_recloses, zone.run_ml, zone.run_since) = (old.n_recloses, old.run_ml, old.run_since);
            } else if zone.guards.meter != old.guards.meter || zone.nominal != old.nominal {
                // What was learned is another flow's, or another meter's.
                zone.signature = Signature::default();
                self.is_memory_changed = true;
            }
        }
        (self.paused_until, self.is_pause_guessed) = (before.paused_until, before.is_pause_guessed);
        for old in before.sources {
            let idx = self.by_source.get(&old.id);
            let Some(source) = idx.and_then(|idx| self.sources.get_mut(*idx)) else { continue };
            let diagnosis = old.diagnosis.map(|diagnosis| {
                let zones = diagnosis.zones.iter().filter_map(|idx| idx_of.get(names.get(*idx)?).copied());
                Diagnosis { zones: zones.collect(), ..diagnosis }
            });
            // Without a zone of its own left it would find the pipes guilty for want of a test.
            source.diagnosis = diagnosis.filter(|diagnosis| !diagnosis.zones.is_empty());
            if source.guards == old.guards {
                (source.watch, source.water) = (old.watch, old.water);
                source.pressure = old.pressure;
                source.n_recloses = old.n_recloses;
                (source.suspect, source.check_until) = (old.suspect, old.check_until);
            }
            let tanks = source.guards.tank.as_ref().zip(old.guards.tank.as_ref());
            if let Some((guard, _)) = tanks.filter(|(guard, before)| guard.gauge == before.gauge) {
                // The same water under other marks.
                source.tank = old.tank;
                self.is_memory_changed |= source.tank.judge(guard);
            }
        }
        self.take_over_weather(
            before.farm,
            (before.rain, before.rain_contact, before.soil_contact, before.frost),
        );
        self.silence.take_over(&before.silence);
        self.started_at = before.started_at;
        self.is_memory_changed |= before.is_memory_changed;
    }

    /// What a gauge has told stays true when only the guard's limits are others.
    fn take_over_weather(
        &mut self,
        before: FarmGuards,
        (rain, rain_contact, soil_contact, frost): (Rain, Contact, Contact, Frost),
    ) {
        let gauge = |contact: &Option<ContactGuard>| contact.as_ref().map(|contact| contact.gauge.clone());
        if self.farm.rain.as_ref().map(|rain| &rain.gauge) == before.rain.as_ref().map(|rain| &rain.gauge) {
            self.rain = rain;
        }
        if gauge(&self.farm.rain_contact) == gauge(&before.rain_contact) {
            self.rain_contact = rain_contact;
        }
        if gauge(&self.farm.soil_contact) == gauge(&before.soil_contact) {
            self.soil_contact = soil_contact;
        }
        if let Some((guard, before)) = self.farm.frost.as_ref().zip(before.frost)
            && guard.gauge == before.gauge
        {
            self.frost = frost;
            self.frost.judge(guard);
        }
    }

    fn role(&mut self, gauge: Option<&ProbeRef>, role: Role) {
        let Some(gauge) = gauge else { return };
        let metrics = self.roles.entry(gauge.device.clone()).or_default();
        metrics.entry(gauge.metric.clone()).or_default().push(role);
    }

    /// A zone's valve may have changed: its water, and that of its sources, must be looked at.
    pub(super) fn touch_zone(&mut self, zone_idx: usize) {
        let Some(zone) = self.zones.get(zone_idx) else { return };
        let is_source_watched = |idx: &usize| {
            let guards = self.sources.get(*idx).map(|source| &source.guards);
            guards.is_some_and(|guards| guards.meter.is_some() || guards.pressure.is_some())
        };
        if zone.guards.meter.is_some() || zone.sources.iter().any(is_source_watched) {
            self.dirty.insert(zone_idx);
        }
    }

    /// Takes the farm's pause of water, one that was just set or one that was remembered over a start. Without a clock it goes on
    /// as long as one can.
    pub(super) fn take_pause(&mut self, farm: &FarmState, now: Now) {
        let rest_ms = farm.water_paused_ms(now.wall);
        self.paused_until = (rest_ms > 0).then(|| now.mono.plus_ms(rest_ms));
        self.is_pause_guessed = now.wall.is_none();
        self.is_gate_changed = true;
    }

    /// The clock was set: what was guessed is known.
    pub(super) fn clock_set(&mut self, farm: &FarmState, now: Now) {
        if self.is_pause_guessed && now.wall.is_some() {
            let guessed = self.paused_until;
            self.take_pause(farm, now);
            self.paused_until = self.paused_until.min(guessed);
        }
    }

    pub(super) fn wake_at(&self) -> Option<MonoMs> {
        self.wake_at.into_iter().chain(self.silence.next_at()).min()
    }

    fn expected(&self, zone_idx: usize) -> Option<Expected> {
        let zone = self.zones.get(zone_idx)?;
        zone.signature.expected(zone.nominal)
    }

    /// A person says that what flows in a zone is right: its next good runs set the reference anew.
    pub(super) fn forget_flow(&mut self, zone_idx: usize) {
        let Some(zone) = self.zones.get_mut(zone_idx) else { return };
        if !zone.signature.runs().is_empty() || zone.signature.reference().is_some() {
            zone.signature = Signature::default();
            self.is_memory_changed = true;
        }
    }

    pub(super) fn memory(&self) -> GuardMemory {
        let learned = self.zones.iter().filter(|zone| !zone.signature.runs().is_empty());
        let faults =
            self.sources.iter().filter_map(|source| Some((source.id.clone(), source.fault.clone()?)));
        let mut memory = self.others.clone();
        memory.learned.extend(learned.map(|zone| (zone.id.clone(), zone.signature.runs().to_vec())));
        memory.faults.extend(faults);
        let references =
            self.zones.iter().filter_map(|zone| Some((zone.id.clone(), zone.signature.reference()?)));
        memory.references.extend(references);
        let low_tanks =
            self.sources.iter().filter_map(|source| Some((source.id.clone(), source.tank.low()?)));
        memory.low_tanks.extend(low_tanks);
        memory
    }

    /// When the rain that holds water back will have passed out of its span if none follows.
    pub(super) fn rain_until(&self) -> Option<MonoMs> {
        let guard = self.farm.rain.as_ref().filter(|_| self.rain_holds.is_some())?;
        self.rain.holds_until(guard).and_then(Line::mono)
    }

    /// What holds a zone's water back at a moment: first what holds for people too.
    fn gate(&self, zone_idx: usize, now: Now) -> Option<Gate> {
        let zone = self.zones.get(zone_idx)?;
        let sources = || zone.sources.iter().filter_map(move |idx| self.sources.get(*idx));
        let of_source = sources().find_map(|source| self.source_gate(source, now));
        of_source
            .map(|reason| Gate { reason, is_safety: true, until: None })
            .or_else(|| {
                let diagnosed =
                    sources().find(|source| source.diagnosis.is_some() || source.is_checked(now.mono));
                let reason = Reason::Diagnosing { source: diagnosed?.id.clone() };
                Some(Gate { reason, is_safety: false, until: None })
            })
            .or_else(|| {
                let ignores = zone.guards.ignores;
                let rain = self.farm.rain.as_ref().filter(|_| !ignores.rain);
                let rained = rain.zip(self.rain_holds).map(|(guard, milli)| Reason::Rained {
                    rain_mm: Thousandths(milli),
                    limit_mm: Thousandths(guard.limit_milli),
                    hours: guard.hours,
                });
                let contact = || {
                    let rains = self.rain_contact.holds && !ignores.rain_contact;
                    let is_wet = self.soil_contact.holds && !ignores.soil_contact;
                    rains.then_some(Reason::RainContact {}).or(is_wet.then_some(Reason::SoilContact {}))
                };
                let frost = || {
                    let guard = self.farm.frost.as_ref().filter(|_| !ignores.frost)?;
                    let milli = self.frost.look(guard, now.mono.into())?;
                    Some(Reason::Frost {
                        temperature_c: Thousandths(milli),
                        below_c: Thousandths(guard.below_milli),
                        clear_c: Thousandths(guard.clear_milli),
                    })
                };
                rained.or_else(contact).or_else(frost).map(|reason| Gate {
                    reason,
                    is_safety: false,
                    until: None,
                })
            })
    }

    fn source_gate(&self, source: &SourceWatch, now: Now) -> Option<Reason> {
        let id = source.id.clone();
        if let Some(fault) = &source.fault {
            return Some(Reason::SourceFault { source: id, fault: fault.code().to_owned() });
        }
        let guard = source.guards.tank.as_ref()?;
        if let Some(level) = source.tank.low() {
            return Some(Reason::TankLow {
                source: id,
                level: Thousandths(level),
                least: Thousandths(guard.min_milli),
                resume: Thousandths(guard.resume_milli),
                unit: unit_of(&guard.gauge.metric),
            });
        }
        let is_unknown = source.tank.is_unknown(guard, now.mono);
        is_unknown.then_some(Reason::TankUnknown { source: id })
    }

    /// A reading of what only holds back.
    fn weather(&mut self, role: Role, at: Line, taken: UnixMs, milli: i64) {
        match role {
            Role::Rain => self.rain.read(at, taken, milli),
            Role::RainContact => {
                if let Some(guard) = &self.farm.rain_contact {
                    self.rain_contact.read(guard, at, milli != 0);
                }
            }
            Role::SoilContact => {
                if let Some(guard) = &self.farm.soil_contact {
                    self.soil_contact.read(guard, at, milli != 0);
                }
            }
            Role::Frost => {
                if let Some(guard) = &self.farm.frost {
                    self.frost.read(guard, at, milli);
                }
            }
            Role::ZoneMeter(_) | Role::SourceMeter(_) | Role::Tank(_) | Role::Pressure(_) => {}
        }
    }

    /// A level of known age.
    fn tank(&mut self, source_idx: usize, at: MonoMs, milli: i64) {
        if let Some(source) = self.sources.get_mut(source_idx)
            && let Some(guard) = &source.guards.tank
        {
            self.is_memory_changed |= source.tank.read(guard, at, milli);
        }
    }

    /// Brings rain and contact up to a moment, and notes when time alone may change what is held back.
    fn look_at_weather(&mut self, now: Now) {
        let line = Line::from(now.mono);
        let mut wakes: Vec<Line> = Vec::new();
        if let Some(guard) = &self.farm.rain {
            let (sum, change_at) = self.rain.sum(guard, line);
            self.rain_holds = (sum >= guard.limit_milli).then_some(sum);
            wakes.extend(change_at.filter(|_| self.rain_holds.is_some()));
        }
        let rain_contact = self.farm.rain_contact.as_ref();
        wakes.extend(rain_contact.and_then(|guard| self.rain_contact.look(guard, line)));
        let soil_contact = self.farm.soil_contact.as_ref();
        wakes.extend(soil_contact.and_then(|guard| self.soil_contact.look(guard, line)));
        wakes.extend(self.farm.frost.as_ref().and_then(|guard| self.frost.stale_at(guard)));
        for source in &self.sources {
            let tank = source.guards.tank.as_ref();
            wakes.extend(tank.and_then(|guard| source.tank.stale_at(guard)).map(Line::from));
            wakes.extend(source.check_until.map(Line::from));
        }
        self.wake_at = wakes.into_iter().filter_map(Line::mono).filter(|at| *at > now.mono).min();
    }
}

/// Thousandths as whole units, rounded; below zero is zero.
fn whole(milli: i64) -> u32 {
    u32::try_from(milli.saturating_add(500).div_euclid(1000)).unwrap_or(0)
}

impl Engine {
    /// What a page shows of a zone's flow; `None` where nothing measures it.
    #[must_use]
    pub fn flow_view(&self, zone: &ZoneId) -> Option<FlowView> {
        let zone_idx = *self.zone_idx.get(zone)?;
        let watch = &self.guards.zones.get(zone_idx)?.watch;
        let (at, flow) = watch.last?;
        let expected = self.guards.expected(zone_idx).map(|expected| LitresPerHour(expected.usual));
        Some(FlowView { flow: LitresPerHour(flow), at, expected, is_confirmed: watch.is_confirmed })
    }

    /// The fault of a source that its guards found.
    #[must_use]
    pub fn source_fault(&self, source: &SourceId) -> Option<&Reason> {
        self.guards.sources.get(*self.guards.by_source.get(source)?)?.fault.as_ref()
    }

    /// A gauge was read; `milli`: thousandths of its unit, `None` where it gave nothing good.
    pub(super) fn gauge(
        &mut self,
        now: Now,
        device: &NodeId,
        metric: &MetricName,
        (taken, age): (UnixMs, Age),
        milli: Option<i64>,
    ) {
        let roles = self.guards.roles.get(device).and_then(|metrics| metrics.get(metric)).cloned();
        let (Some(roles), Some(milli)) = (roles, milli) else { return };
        let line = line_of(now, taken, age);
        self.hear_gauge(now, device, metric, line);
        let known = mono_of(now, taken, age, self.clock_doubt_ms(now));
        for role in roles {
            let holds_back = matches!(role, Role::Rain | Role::RainContact | Role::SoilContact | Role::Frost);
            if holds_back {
                self.guards.weather(role, line, taken, milli);
            } else if let Some(at) = known {
                match role {
                    Role::ZoneMeter(idx) => self.zone_meter(now, idx, at, milli),
                    Role::SourceMeter(idx) => self.source_meter(now, idx, at, milli),
                    Role::Tank(idx) => self.guards.tank(idx, at, milli),
                    Role::Pressure(idx) => self.pressure(now, idx, at, milli),
                    Role::Rain | Role::RainContact | Role::SoilContact | Role::Frost => {}
                }
            }
            self.guards.is_gate_changed |= holds_back || matches!(role, Role::Tank(_));
        }
    }

    /// Brings what guards hold back in line with the moment.
    pub(super) fn run_guards(&mut self, now: Now) {
        self.note_waters();
        self.end_diagnoses(now);
        self.tell_silence(now);
        let is_due = self.guards.wake_at.is_some_and(|at| at <= now.mono);
        if std::mem::take(&mut self.guards.is_gate_changed) || is_due {
            self.guards.look_at_weather(now);
            let paused_until = self.guards.paused_until.filter(|until| *until > now.mono);
            self.guards.wake_at = self.guards.wake_at.into_iter().chain(paused_until).min();
            for idx in self.set_gates(now) {
                self.settle(idx, now);
            }
        }
        self.note_waters();
        self.keep_guards();
    }

    /// Lets every zone know what holds it back, before any of them is settled: a zone that ends gives its water to the next one
    /// at once. Returns those for which it is another cause than before.
    fn set_gates(&mut self, now: Now) -> Vec<usize> {
        let paused_until = self.guards.paused_until.filter(|until| *until > now.mono);
        let mut changed = Vec::new();
        for (idx, zone) in self.zones.iter_mut().enumerate() {
            // Whoever waters by hand ends the pause first: it is what keeps everything shut for the moment.
            let gate = paused_until.map(Gate::pause);
            let gate = gate.or_else(|| self.pumps.gate(idx)).or_else(|| self.guards.gate(idx, now));
            if zone.set_gate(gate) {
                changed.push(idx);
            }
        }
        changed
    }

    fn keep_guards(&mut self) {
        if std::mem::take(&mut self.guards.is_memory_changed) {
            let memory = self.guards.memory();
            self.out.actions.push_back(Action::RememberGuards { memory });
        }
    }
}
