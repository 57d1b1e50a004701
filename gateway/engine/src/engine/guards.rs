//! Guards at work: which reading is whose, what its finding leads to, and what holds a zone's water back at a moment.
//!
//! Findings of a zone's meter are its zone's; those of a source's meter, its tank and its pressure are its source's, and
//! hold for everything that it feeds. What of that must survive a restart (learned flows, faults of sources) is kept as one.

use std::collections::{BTreeMap, BTreeSet};

use giot_shared::ids::NodeId;
use giot_shared::time::{MonoMs, UnixMs};
use giot_shared::units::{LitresPerHour, Millilitres};

use super::Engine;
use crate::Now;
use crate::diary::{Action, By, Event};
use crate::guard::{
    Contact, Finding, Frost, Pressure, Rain, Signature, Tank, Watch, Water, mono_by_date, mono_of,
};
use crate::ids::{MetricName, ProbeRef, SourceId, ZoneId};
use crate::input::{Age, RunSet};
use crate::memory::GuardMemory;
use crate::plan::{FarmGuards, GuardAction, MeterKind, Plan, SourceGuards, ZoneGuards};
use crate::program::FarmState;
use crate::reason::Reason;
use crate::view::FlowView;
use crate::zone::{Gate, Phase, ad_hoc};

/// A valve that leaks after it closed is closed again so often before it counts as stuck.
const RECLOSES_MAX: u32 = 2;

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
    n_recloses: u32,
    /// What its run has taken as far as readings tell, mL.
    run_ml: u64,
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
}

/// Zones that are tested one after another because their source gave too much.
#[derive(Debug)]
struct Diagnosis {
    zones: Vec<usize>,
    /// What the source gave too much.
    reason: Reason,
    has_found: bool,
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
    is_gate_changed: bool,
}

impl Guards {
    pub(super) fn new(plan: &Plan, memory: GuardMemory, now: Now) -> Self {
        let mut guards = Self {
            started_at: now.mono,
            farm: plan.guards.clone(),
            is_gate_changed: true,
            ..Self::default()
        };
        let GuardMemory { mut learned, mut faults } = memory;
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
                tank: Tank::default(),
                pressure: Pressure::default(),
                fault: faults.remove(id),
                zones: Vec::new(),
                diagnosis: None,
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
            guards.zones.push(ZoneWatch {
                id: id.clone(),
                guards: zone.guards.clone(),
                nominal: zone.flow.map(|flow| flow.0),
                watch: Watch::default(),
                signature: Signature::from_runs(learned.remove(id).unwrap_or_default()),
                kind: WaterKind::default(),
                n_recloses: 0,
                run_ml: 0,
                sources,
            });
        }
        guards.others = GuardMemory { learned, faults };
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
                (zone.n_recloses, zone.run_ml) = (old.n_recloses, old.run_ml);
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
                (source.tank, source.pressure) = (old.tank, old.pressure);
            }
        }
        if self.farm.rain == before.farm.rain {
            self.rain = before.rain;
        }
        if self.farm.rain_contact == before.farm.rain_contact {
            self.rain_contact = before.rain_contact;
        }
        if self.farm.soil_contact == before.farm.soil_contact {
            self.soil_contact = before.soil_contact;
        }
        if self.farm.frost == before.farm.frost {
            self.frost = before.frost;
        }
        self.started_at = before.started_at;
        self.is_memory_changed |= before.is_memory_changed;
    }

    fn role(&mut self, gauge: Option<&ProbeRef>, role: Role) {
        let Some(gauge) = gauge else { return };
        let metrics = self.roles.entry(gauge.device.clone()).or_default();
        metrics.entry(gauge.metric.clone()).or_default().push(role);
    }

    /// A zone's valve may have changed: its water, and that of its sources, must be looked at.
    pub(super) fn touch_zone(&mut self, zone_idx: usize) {
        let Some(zone) = self.zones.get(zone_idx) else { return };
        let is_source_watched =
            |idx: &usize| self.sources.get(*idx).is_some_and(|source| source.guards.meter.is_some());
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
        self.wake_at
    }

    fn expected(&self, zone_idx: usize) -> Option<u32> {
        let zone = self.zones.get(zone_idx)?;
        zone.signature.expected().or(zone.nominal)
    }

    pub(super) fn memory(&self) -> GuardMemory {
        let learned = self.zones.iter().filter(|zone| !zone.signature.runs().is_empty());
        let faults =
            self.sources.iter().filter_map(|source| Some((source.id.clone(), source.fault.clone()?)));
        let mut memory = self.others.clone();
        memory.learned.extend(learned.map(|zone| (zone.id.clone(), zone.signature.runs().to_vec())));
        memory.faults.extend(faults);
        memory
    }

    /// What holds a zone's water back at a moment: first what holds for people too.
    fn gate(&self, zone_idx: usize, now: Now) -> Option<Gate> {
        let zone = self.zones.get(zone_idx)?;
        let sources = || zone.sources.iter().filter_map(move |idx| self.sources.get(*idx));
        let of_source = sources().find_map(|source| self.source_gate(source, now));
        of_source
            .map(|reason| Gate { reason, is_safety: true, until: None })
            .or_else(|| {
                let diagnosed = sources().find(|source| source.diagnosis.is_some());
                let reason = Reason::Diagnosing { source: diagnosed?.id.clone() };
                Some(Gate { reason, is_safety: false, until: None })
            })
            .or_else(|| {
                let ignores = zone.guards.ignores;
                let rain = self.farm.rain.as_ref().filter(|_| !ignores.rain);
                let rained = rain.zip(self.rain_holds).map(|(guard, milli)| Reason::Rained {
                    rain_mm: whole(milli),
                    limit_mm: whole(guard.limit_milli),
                    hours: guard.hours,
                });
                let contact = || {
                    let rains = self.rain_contact.holds && !ignores.rain_contact;
                    let is_wet = self.soil_contact.holds && !ignores.soil_contact;
                    rains.then_some(Reason::RainContact {}).or(is_wet.then_some(Reason::SoilContact {}))
                };
                let frost = || {
                    let guard = self.farm.frost.as_ref().filter(|_| !ignores.frost)?;
                    let milli = self.frost.look(guard, now.mono)?;
                    Some(Reason::Frost {
                        temperature_c: whole_signed(milli),
                        clear_c: whole_signed(guard.clear_milli),
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
                level: whole(level),
                resume: whole(guard.resume_milli),
            });
        }
        let is_unknown = source.tank.is_unknown(guard, now.mono, self.started_at);
        is_unknown.then_some(Reason::TankUnknown { source: id })
    }

    /// Brings rain and contact up to a moment, and notes when time alone may change what is held back.
    fn look_at_weather(&mut self, now: Now) {
        let mut wakes: Vec<MonoMs> = Vec::new();
        if let Some(guard) = &self.farm.rain {
            let (sum, change_at) = self.rain.sum(guard, now.mono);
            self.rain_holds = (sum >= guard.limit_milli).then_some(sum);
            wakes.extend(change_at.filter(|_| self.rain_holds.is_some()));
        }
        let rain_contact = self.farm.rain_contact.as_ref();
        wakes.extend(rain_contact.and_then(|guard| self.rain_contact.look(guard, now.mono)));
        let soil_contact = self.farm.soil_contact.as_ref();
        wakes.extend(soil_contact.and_then(|guard| self.soil_contact.look(guard, now.mono)));
        wakes.extend(self.farm.frost.as_ref().and_then(|guard| self.frost.stale_at(guard)));
        for source in &self.sources {
            wakes.extend(
                source.guards.tank.as_ref().map(|guard| source.tank.stale_at(guard, self.started_at)),
            );
        }
        self.wake_at = wakes.into_iter().filter(|at| *at > now.mono).min();
    }
}

/// Thousandths as whole units, rounded; below zero is zero.
fn whole(milli: i64) -> u32 {
    u32::try_from(milli.saturating_add(500).div_euclid(1000)).unwrap_or(0)
}

/// Thousandths as whole units, rounded.
fn whole_signed(milli: i64) -> i32 {
    i32::try_from(milli.saturating_add(500).div_euclid(1000)).unwrap_or(i32::MIN)
}

impl Engine {
    /// What a page shows of a zone's flow; `None` where nothing measures it.
    #[must_use]
    pub fn flow_view(&self, zone: &ZoneId) -> Option<FlowView> {
        let zone_idx = *self.zone_idx.get(zone)?;
        let watch = &self.guards.zones.get(zone_idx)?.watch;
        let (at, flow) = watch.last?;
        let expected = self.guards.expected(zone_idx).map(LitresPerHour);
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
        let by_date = mono_by_date(now, taken);
        let known = mono_of(now, taken, age, self.clock_doubt_ms(now));
        for role in roles {
            let holds_back = matches!(role, Role::Rain | Role::RainContact | Role::SoilContact | Role::Frost);
            let Some(at) = known.or(Some(by_date).filter(|_| holds_back)) else { continue };
            match role {
                Role::ZoneMeter(idx) => self.zone_meter(now, idx, at, milli),
                Role::SourceMeter(idx) => self.source_meter(now, idx, at, milli),
                Role::Tank(idx) => {
                    if let Some(source) = self.guards.sources.get_mut(idx)
                        && let Some(guard) = &source.guards.tank
                    {
                        source.tank.read(guard, at, milli);
                    }
                }
                Role::Pressure(idx) => self.pressure(now, idx, at, milli),
                Role::Rain => self.guards.rain.read(at, milli),
                Role::RainContact => self.guards.rain_contact.read(at, milli != 0),
                Role::SoilContact => self.guards.soil_contact.read(at, milli != 0),
                Role::Frost => {
                    if let Some(guard) = &self.guards.farm.frost {
                        self.guards.frost.read(guard, at, milli);
                    }
                }
            }
            self.guards.is_gate_changed |= holds_back || matches!(role, Role::Tank(_));
        }
    }

    /// Brings what guards hold back in line with the moment.
    pub(super) fn run_guards(&mut self, now: Now) {
        self.note_waters();
        self.end_diagnoses(now);
        let is_due = self.guards.wake_at.is_some_and(|at| at <= now.mono);
        if std::mem::take(&mut self.guards.is_gate_changed) || is_due {
            self.guards.look_at_weather(now);
            let paused_until = self.guards.paused_until.filter(|until| *until > now.mono);
            self.guards.wake_at = self.guards.wake_at.into_iter().chain(paused_until).min();
            for idx in 0..self.zones.len() {
                // Whoever waters by hand ends the pause first: it is what keeps everything shut for the moment.
                let gate = paused_until.map(Gate::pause).or_else(|| self.guards.gate(idx, now));
                let is_changed = self.zones.get_mut(idx).is_some_and(|zone| zone.set_gate(gate));
                if is_changed {
                    self.settle(idx, now);
                }
            }
        }
        self.note_waters();
        self.keep_guards();
    }

    fn keep_guards(&mut self) {
        if std::mem::take(&mut self.guards.is_memory_changed) {
            let memory = self.guards.memory();
            self.out.actions.push_back(Action::RememberGuards { memory });
        }
    }

    /// What the valves say about a zone's water.
    fn water_of(&self, zone_idx: usize) -> Water {
        let Some(zone) = self.zones.get(zone_idx) else { return Water::Changes };
        match &zone.phase {
            Phase::Closed => Water::Rests { since: zone.since },
            Phase::Open(_) => match self.pumps.water_since(zone_idx) {
                Ok(since) => {
                    let expected = self.guards.expected(zone_idx);
                    Water::Flows { since: since.unwrap_or(zone.since).max(zone.since), expected }
                }
                Err(()) => Water::Changes,
            },
            Phase::Opening(_) | Phase::Closing(_) | Phase::Local(_) => Water::Changes,
        }
    }

    /// What the valves say about a source's water: all rest, or some flow and none is between.
    fn water_of_source(&self, source_idx: usize) -> Water {
        let Some(source) = self.guards.sources.get(source_idx) else { return Water::Changes };
        let mut rests_since = self.guards.started_at;
        let mut flows: Option<(MonoMs, Option<u32>)> = None;
        for zone_idx in &source.zones {
            match self.water_of(*zone_idx) {
                Water::Changes => return Water::Changes,
                Water::Rests { since } => rests_since = rests_since.max(since),
                Water::Flows { since, expected } => {
                    let (before, sum) = flows.unwrap_or((since, Some(0)));
                    let sum = sum.zip(expected).map(|(sum, expected)| sum.saturating_add(expected));
                    flows = Some((before.max(since), sum));
                }
            }
        }
        match flows {
            // A valve that just closed beside others changes the flow too.
            Some((since, expected)) => Water::Flows { since: since.max(rests_since), expected },
            None => Water::Rests { since: rests_since },
        }
    }

    /// Notices where water began to flow or to rest.
    fn note_waters(&mut self) {
        if self.guards.dirty.is_empty() {
            return;
        }
        let dirty = std::mem::take(&mut self.guards.dirty);
        let mut sources = BTreeSet::new();
        for zone_idx in dirty {
            let kind = kind_of(self.water_of(zone_idx));
            let Some(zone) = self.guards.zones.get_mut(zone_idx) else { continue };
            sources.extend(zone.sources.iter().copied());
            let before = std::mem::replace(&mut zone.kind, kind);
            if before == kind {
                continue;
            }
            let learned = zone.watch.turn();
            match (before, kind) {
                (WaterKind::Flows, _) => {
                    if let Some(flow) = learned {
                        zone.signature.learn(flow);
                        self.guards.is_memory_changed = true;
                    }
                }
                (_, WaterKind::Flows) => {
                    zone.run_ml = 0;
                    zone.n_recloses = 0;
                }
                (WaterKind::Changes | WaterKind::Rests, WaterKind::Changes | WaterKind::Rests) => {}
            }
        }
        for source_idx in sources {
            let water = self.water_of_source(source_idx);
            let Some(source) = self.guards.sources.get_mut(source_idx) else { continue };
            // Each change of what flows together makes another sum to expect.
            if std::mem::replace(&mut source.water, water) != water {
                source.watch.turn();
            }
        }
    }

    fn zone_meter(&mut self, now: Now, zone_idx: usize, at: MonoMs, milli: i64) {
        self.note_waters();
        let water = self.water_of(zone_idx);
        let Some(zone) = self.guards.zones.get_mut(zone_idx) else { return };
        let Some(meter) = &zone.guards.meter else { return };
        let Some((from, flow)) = flow_of(&mut zone.watch, meter.kind, at, milli) else { return };
        if let (WaterKind::Flows, Water::Flows { since, .. }) = (zone.kind, water) {
            // A flow of the moment holds since the one before.
            let before = zone.watch.last.map_or(since, |(before_at, _)| before_at);
            let from = if meter.kind == MeterKind::Flow { before.max(since).min(at) } else { from };
            let ml = LitresPerHour(flow).volume_in_ms(at.since_ms(from)).0;
            zone.run_ml = zone.run_ml.saturating_add(u64::from(ml));
        }
        let (run_ml, is_flowing) = (zone.run_ml, zone.kind == WaterKind::Flows);
        let finding = zone.watch.flow(from, at, flow, water, &zone.guards.flow);
        if let Some(finding) = finding {
            self.found_at_zone(now, zone_idx, finding);
        }
        let mut is_changed = false;
        self.with(now, Some(zone_idx).filter(|_| is_flowing), &mut Vec::new(), |zone, turn| {
            is_changed = zone.measured(turn, run_ml);
        });
        if is_changed {
            self.settle(zone_idx, now);
        }
    }

    /// What the node measured of a whole run.
    pub(super) fn whole_run(&mut self, now: Now, zone_idx: usize, run_ms: u64, volume: Option<Millilitres>) {
        let expected = self.guards.expected(zone_idx);
        let Some(zone) = self.guards.zones.get_mut(zone_idx) else { return };
        let (Some(volume), true) = (volume, zone.guards.meter.is_some()) else { return };
        let limits = zone.guards.flow;
        let Some(finding) = zone.watch.whole_run(run_ms, u64::from(volume.0), expected, &limits) else {
            return;
        };
        if let Finding::Confirmed { flow } = finding {
            // A run without a reading in between still teaches its mean.
            if !zone.watch.has_samples() {
                zone.signature.learn(flow);
                self.guards.is_memory_changed = true;
            }
            return;
        }
        if !zone.watch.is_told(finding) {
            self.found_at_zone(now, zone_idx, finding);
        }
    }

    fn found_at_zone(&mut self, now: Now, zone_idx: usize, finding: Finding) {
        let Some(watched) = self.guards.zones.get_mut(zone_idx) else { return };
        let limits = watched.guards.flow;
        let source = watched.sources.first().copied();
        let l_h = LitresPerHour;
        let (reason, action) = match finding {
            Finding::Confirmed { flow } => {
                let reason = Reason::FlowConfirmed { flow_l_per_h: l_h(flow) };
                return self.with(now, Some(zone_idx), &mut Vec::new(), |zone, turn| {
                    zone.confirm_flow(turn, reason);
                });
            }
            Finding::High { flow, expected } => {
                let reason = Reason::HighFlow { flow_l_per_h: l_h(flow), expected_l_per_h: l_h(expected) };
                (reason, limits.high)
            }
            Finding::Low { flow, expected } => {
                let reason = Reason::LowFlow { flow_l_per_h: l_h(flow), expected_l_per_h: l_h(expected) };
                (reason, limits.low)
            }
            Finding::None { flow, expected } => {
                let expected_l_per_h = l_h(expected.unwrap_or_default());
                (Reason::NoFlow { flow_l_per_h: l_h(flow), expected_l_per_h }, limits.none)
            }
            Finding::Leak { flow } if watched.n_recloses < RECLOSES_MAX => {
                watched.n_recloses += 1;
                watched.watch.forget_leak();
                let reason = Reason::LeakAfterClose { flow_l_per_h: l_h(flow), attempts: watched.n_recloses };
                self.with(now, Some(zone_idx), &mut Vec::new(), |zone, turn| zone.close_again(turn, reason));
                return self.settle(zone_idx, now);
            }
            Finding::Leak { flow } => (Reason::ValveStuckOpen { flow_l_per_h: l_h(flow) }, limits.leak),
        };
        let is_fatal = matches!(finding, Finding::High { .. } | Finding::Leak { .. });
        self.with(now, Some(zone_idx), &mut Vec::new(), |zone, turn| match action {
            GuardAction::Alert => zone.alert(turn, reason.clone()),
            GuardAction::StopZone | GuardAction::StopSource => zone.trouble(turn, reason.clone(), is_fatal),
        });
        if let (GuardAction::StopSource, Some(source_idx)) = (action, source) {
            self.shut_source(now, source_idx, reason);
        }
        self.settle(zone_idx, now);
    }

    fn source_meter(&mut self, now: Now, source_idx: usize, at: MonoMs, milli: i64) {
        self.note_waters();
        let water = self.water_of_source(source_idx);
        let Some(watched) = self.guards.sources.get_mut(source_idx) else { return };
        let Some(meter) = &watched.guards.meter else { return };
        let Some((from, flow)) = flow_of(&mut watched.watch, meter.kind, at, milli) else { return };
        let limits = watched.guards.flow;
        let Some(finding) = watched.watch.flow(from, at, flow, water, &limits) else { return };
        let source = watched.id.clone();
        let l_h = LitresPerHour;
        let (reason, action) = match finding {
            Finding::Confirmed { .. } => return,
            Finding::High { flow, expected } => {
                let (flow_l_per_h, expected_l_per_h) = (l_h(flow), l_h(expected));
                let reason = Reason::HighFlow { flow_l_per_h, expected_l_per_h };
                let too_much =
                    Reason::SourceHighFlow { source: source.clone(), flow_l_per_h, expected_l_per_h };
                if limits.high != GuardAction::Alert && self.blame(now, source_idx, reason, &too_much) {
                    return;
                }
                (Reason::SourceHighFlow { source, flow_l_per_h, expected_l_per_h }, limits.high)
            }
            Finding::Low { flow, expected } => {
                let (flow_l_per_h, expected_l_per_h) = (l_h(flow), l_h(expected));
                (Reason::SourceLowFlow { source, flow_l_per_h, expected_l_per_h }, limits.low)
            }
            Finding::None { flow, expected } => {
                let (flow_l_per_h, expected_l_per_h) = (l_h(flow), l_h(expected.unwrap_or_default()));
                (Reason::SourceNoFlow { source, flow_l_per_h, expected_l_per_h }, limits.none)
            }
            Finding::Leak { flow } => {
                (Reason::UnscheduledFlow { source, flow_l_per_h: l_h(flow) }, limits.leak)
            }
        };
        match action {
            GuardAction::Alert => self.tell(now, None, Event::Fault, By::Engine, reason),
            GuardAction::StopZone | GuardAction::StopSource => self.shut_source(now, source_idx, reason),
        }
    }

    /// A source gives too much. One zone that draws alone is to blame for it; of several, each is tested alone. False: neither
    /// can be done.
    fn blame(&mut self, now: Now, source_idx: usize, reason: Reason, too_much: &Reason) -> bool {
        let Some(watched) = self.guards.sources.get(source_idx) else { return false };
        let is_flowing = |idx: &&usize| matches!(self.water_of(**idx), Water::Flows { .. });
        let flowing: Vec<usize> = watched.zones.iter().filter(is_flowing).copied().collect();
        if let [zone_idx] = flowing.as_slice() {
            if let Some(diagnosis) =
                self.guards.sources.get_mut(source_idx).and_then(|s| s.diagnosis.as_mut())
            {
                diagnosis.has_found = true;
            }
            self.with(now, Some(*zone_idx), &mut Vec::new(), |zone, turn| zone.trouble(turn, reason, true));
            self.settle(*zone_idx, now);
            return true;
        }
        if watched.diagnosis.is_some() {
            return false;
        }
        let limits = watched.guards.flow;
        let fill_s = self.pumps.fill_s(flowing.first().copied());
        let run_s =
            limits.ignore_s.saturating_add(fill_s).saturating_add(limits.high_delay_s).saturating_add(60);
        let (source, n_zones) = (watched.id.clone(), u32::try_from(flowing.len()).unwrap_or(u32::MAX));
        let Some(watched) = self.guards.sources.get_mut(source_idx) else { return false };
        watched.diagnosis =
            Some(Diagnosis { zones: flowing.clone(), reason: too_much.clone(), has_found: false });
        self.guards.is_gate_changed = true;
        for zone_idx in &flowing {
            let reason = too_much.clone();
            self.with(now, Some(*zone_idx), &mut Vec::new(), |zone, turn| zone.stop_for(turn, reason));
        }
        let reason = Reason::DiagnosisStarted { source, n_zones };
        if !self.diagnose(now, reason, &flowing, run_s)
            && let Some(watched) = self.guards.sources.get_mut(source_idx)
        {
            watched.diagnosis = None;
            return false;
        }
        for zone_idx in flowing {
            self.settle(zone_idx, now);
        }
        true
    }

    /// A pause of water ends what is tested, without a finding: what gives too much will do so again afterwards.
    pub(super) fn end_tests(&mut self) {
        for source in &mut self.guards.sources {
            source.diagnosis = None;
        }
        for zone in &mut self.zones {
            zone.drop_errands(Some(&ad_hoc(RunSet::Test)));
        }
    }

    /// A diagnosis is over when every zone was tested; one that found no zone blames the pipes before them.
    fn end_diagnoses(&mut self, now: Now) {
        for source_idx in 0..self.guards.sources.len() {
            let Some(source) = self.guards.sources.get_mut(source_idx) else { continue };
            let Some(diagnosis) = &source.diagnosis else { continue };
            let is_tested = |idx: &usize| self.zones.get(*idx).is_some_and(crate::zone::Zone::is_tested);
            if diagnosis.zones.iter().any(is_tested) {
                continue;
            }
            let Some(diagnosis) = source.diagnosis.take() else { continue };
            self.guards.is_gate_changed = true;
            if !diagnosis.has_found {
                self.shut_source(now, source_idx, diagnosis.reason);
            }
        }
    }

    fn pressure(&mut self, now: Now, source_idx: usize, at: MonoMs, milli: i64) {
        let since = match self.water_of_source(source_idx) {
            Water::Flows { since, .. } => Some(since),
            Water::Changes | Water::Rests { .. } => None,
        };
        let Some(watched) = self.guards.sources.get_mut(source_idx) else { return };
        let Some(guard) = &watched.guards.pressure else { return };
        let (is_low, is_high) = watched.pressure.read(guard, since, at, milli);
        let source = watched.id.clone();
        let pressure_kpa = whole(milli);
        let reason = if is_low {
            Reason::PressureLow { source, pressure_kpa, min_kpa: whole(guard.min_milli.unwrap_or_default()) }
        } else if is_high {
            Reason::PressureHigh { source, pressure_kpa, max_kpa: whole(guard.max_milli.unwrap_or_default()) }
        } else {
            return;
        };
        self.shut_source(now, source_idx, reason);
    }

    /// Latches a fault of a source: what it feeds ends, its pump or master valve goes off, nothing starts before a person
    /// clears it.
    fn shut_source(&mut self, now: Now, source_idx: usize, reason: Reason) {
        let Some(watched) = self.guards.sources.get_mut(source_idx) else { return };
        if watched.fault.is_some() {
            return;
        }
        watched.fault = Some(reason.clone());
        self.guards.is_memory_changed = true;
        self.guards.is_gate_changed = true;
        self.tell(now, None, Event::Fault, By::Engine, reason);
    }

    pub(super) fn has_source(&self, source: &SourceId) -> bool {
        self.guards.by_source.contains_key(source)
    }

    /// A person clears what the guards of a source found; whether there was anything.
    pub(super) fn clear_source_guards(&mut self, source: &SourceId) -> bool {
        let Some(idx) = self.guards.by_source.get(source) else { return false };
        let Some(watched) = self.guards.sources.get_mut(*idx) else { return false };
        let is_changed = watched.fault.take().is_some();
        watched.watch.turn();
        self.guards.is_memory_changed |= is_changed;
        self.guards.is_gate_changed |= is_changed;
        is_changed
    }
}

fn kind_of(water: Water) -> WaterKind {
    match water {
        Water::Changes => WaterKind::Changes,
        Water::Rests { .. } => WaterKind::Rests,
        Water::Flows { .. } => WaterKind::Flows,
    }
}

/// The flow that a reading tells, and from when on it held; a negative one is none.
fn flow_of(watch: &mut Watch, kind: MeterKind, at: MonoMs, milli: i64) -> Option<(MonoMs, u32)> {
    match kind {
        MeterKind::Flow => Some((at, u32::try_from(milli / 1000).ok()?)),
        MeterKind::Volume => watch.volume(at, milli / 1000),
    }
}
