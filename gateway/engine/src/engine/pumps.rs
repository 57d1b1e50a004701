//! Pumps and master valves at work: who wants them on, what is open for them for certain, and which valve may close when.
//!
//! A zone's valve, and a master valve, may close only when every pump above is off for certain, or another way out stays
//! open for certain beyond the last possible moment of that pump (P5). So every valve below a pump that is not off has its
//! Close held back from the start, and gets leave one by one when it wants to close: one leave may be what the next one
//! would have relied on. What nobody is asked for (a node that fails, a lease that ends) is covered by the pump's own
//! lease, which is never longer than what is open for certain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use giot_shared::ids::{CommandId, NodeId, ValveId};
use giot_shared::time::{MonoMs, UnixMs};

use super::Engine;
use crate::Now;
use crate::diary::{Action, Event, PumpAction};
use crate::ids::SourceId;
use crate::memory::SourceMemory;
use crate::network::{Output, Rests};
use crate::plan::{Plan, ProblemKind, PumpKind, PumpProblem, Timing};
use crate::pump::{Demand, Pump, PumpTurn, lag_ms};
use crate::reason::Reason;
use crate::view::PumpView;
use crate::zone::{Gate, Phase, Zone};

/// Never: a Close waits for the pump's word.
const NEVER: MonoMs = MonoMs(u64::MAX);

/// A zone whose run is complete stays open for so long at most, until the next one has its pump: an Open and its repetition.
const HANDOVER_MS: u64 = 30_000;

const HOUR_MS: u64 = 3_600_000;

/// Looks at one pump for each input; more would mean that two pumps cannot agree, and the next input goes on from there.
const ROUNDS_PER_PUMP: usize = 16;

/// The pumps and master valves of a farm.
#[derive(Debug, Default)]
pub(super) struct Pumps {
    list: Vec<Pump>,
    /// Of each pump: the zones that it feeds. What never changes is shared, so that looking at it costs no copy.
    zones: Vec<Arc<[usize]>>,
    /// Of each zone: the pumps and master valves on its way.
    of_zone: Vec<Arc<[usize]>>,
    /// Of each pump: those that share a zone with it, itself included, in order.
    sharing: Vec<Arc<[usize]>>,
    valves: BTreeMap<NodeId, BTreeMap<ValveId, usize>>,
    by_source: BTreeMap<SourceId, usize>,
    pub(super) owners: BTreeMap<CommandId, usize>,
    dirty: BTreeSet<usize>,
    /// The first moment at which some pump wants to be looked at by itself.
    next_wake: Option<MonoMs>,
    /// Of each zone: what its pumps knew of it when they were last told.
    signs: Vec<Option<Sign>>,
    /// Of each pump: the number of changes of the network when it was last looked at.
    n_changes_seen: Vec<u64>,
    /// Of each pump: whether a zone uses it, and when one last did.
    last_used: Vec<(bool, Option<MonoMs>)>,
    /// Of each pump: what kept its zones from starting when it was last looked at.
    barred: Vec<Option<&'static str>>,
}

/// All that pumps go by of one zone. While it stays the same, and the network too, nothing of theirs changes but by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sign {
    is_running: bool,
    is_local: bool,
    is_waiting: bool,
    waits_turn: bool,
    since: MonoMs,
    certain: Option<(MonoMs, MonoMs)>,
    is_opening: bool,
    lingers_until: Option<MonoMs>,
    /// While it is closing: whether its Close is held, and from when it may go out.
    closing: Option<(bool, MonoMs)>,
}

impl Pumps {
    pub(super) fn new(
        plan: &Plan,
        memory: &mut BTreeMap<SourceId, SourceMemory>,
        now: Now,
        next_command: CommandId,
    ) -> Self {
        let mut pumps = Self::default();
        let problems = plan.check();
        for (source, pump_plan) in plan.pumps() {
            let own: Vec<_> =
                problems.iter().filter(|problem| problem.source.as_ref() == Some(source)).collect();
            let is_shared =
                own.iter().any(|problem| problem.kind == ProblemKind::Pump(PumpProblem::OutputShared));
            let idx = pumps.list.len();
            let kept = memory.remove(source).unwrap_or_default();
            let mut pump = Pump::after_start(
                idx,
                source.clone(),
                pump_plan.clone(),
                kept,
                now,
                &plan.timing,
                next_command,
            );
            if !own.is_empty() {
                pump.invalidate();
            }
            if is_shared {
                pump.mute();
            } else {
                let valves = pumps.valves.entry(pump_plan.valve.node.clone()).or_default();
                valves.insert(pump_plan.valve.valve, idx);
            }
            pumps.list.push(pump);
            pumps.by_source.insert(source.clone(), idx);
            pumps.last_used.push((false, None));
            pumps.barred.push(None);
            pumps.n_changes_seen.push(0);
            pumps.dirty.insert(idx);
        }
        pumps.lay_out(plan);
        pumps
    }

    /// Notes who stands on whose way.
    fn lay_out(&mut self, plan: &Plan) {
        self.of_zone = plan.pumps_of_zones();
        let is_fed = |idx: usize, zone_idx: &usize| {
            self.of_zone.get(*zone_idx).is_some_and(|of_zone| of_zone.contains(&idx))
        };
        let zones_of = |idx| (0..self.of_zone.len()).filter(|zone_idx| is_fed(idx, zone_idx)).collect();
        self.zones = (0..self.list.len()).map(zones_of).collect();
        let above = |zone_idx: &usize| self.of_zone.get(*zone_idx).into_iter().flat_map(|above| above.iter());
        let sharing = |(idx, zones): (usize, &Arc<[usize]>)| {
            let shared: BTreeSet<usize> = zones.iter().flat_map(above).copied().chain([idx]).collect();
            shared.into_iter().collect()
        };
        self.sharing = self.zones.iter().enumerate().map(sharing).collect();
        self.signs = vec![None; plan.zones.len()];
    }

    /// The zones that a pump feeds.
    fn zones_of(&self, idx: usize) -> Arc<[usize]> {
        self.zones.get(idx).cloned().unwrap_or_default()
    }

    /// The pumps and master valves on a zone's way.
    pub(super) fn above(&self, zone_idx: usize) -> Arc<[usize]> {
        self.of_zone.get(zone_idx).cloned().unwrap_or_default()
    }

    /// Those on the way of any of these zones.
    pub(super) fn above_any(&self, zone_idxs: &[usize]) -> BTreeSet<usize> {
        let above = zone_idxs.iter().filter_map(|zone_idx| self.of_zone.get(*zone_idx));
        above.flat_map(|above| above.iter()).copied().collect()
    }

    /// The pumps and master valves that share a zone with one, itself included.
    fn sharing(&self, idx: usize) -> Arc<[usize]> {
        self.sharing.get(idx).cloned().unwrap_or_default()
    }

    /// Takes over the pumps of the plan before that this one has just so; returns which.
    pub(super) fn take_over(&mut self, before: Self) -> BTreeSet<usize> {
        let mut moved = BTreeMap::new();
        for (old_idx, mut pump) in before.list.into_iter().enumerate() {
            let Some(idx) = self.by_source.get(&pump.source).copied() else { continue };
            let Some(place) = self.list.get_mut(idx).filter(|place| place.plan == pump.plan) else {
                continue;
            };
            pump.move_to(idx);
            *place = pump;
            if let (Some(to), Some(from)) = (self.last_used.get_mut(idx), before.last_used.get(old_idx)) {
                *to = *from;
            }
            if let (Some(to), Some(from)) = (self.barred.get_mut(idx), before.barred.get(old_idx)) {
                *to = *from;
            }
            moved.insert(old_idx, idx);
        }
        let owners = before.owners.into_iter();
        self.owners = owners.filter_map(|(command, idx)| Some((command, *moved.get(&idx)?))).collect();
        moved.into_values().collect()
    }

    /// Those that a plan does not have just so, in words for the page: they must be off before it takes over.
    pub(super) fn leaving(&self, plan: &Plan) -> Vec<usize> {
        let stays = |pump: &Pump| {
            let source = plan.sources.get(&pump.source);
            source.and_then(|source| source.pump.as_ref()).is_some_and(|other| *other == pump.plan)
        };
        self.list.iter().enumerate().filter(|(_, pump)| !stays(pump)).map(|(idx, _)| idx).collect()
    }

    /// New pumps learn what is known of their nodes.
    pub(super) fn hear_sessions(&mut self, sessions: &BTreeMap<NodeId, bool>) {
        for pump in &mut self.list {
            pump.hear_session(sessions.get(&pump.plan.valve.node).copied());
        }
    }

    pub(super) fn all(&self) -> &[Pump] {
        &self.list
    }

    /// The moment at which some pump wants to be looked at.
    pub(super) fn wake_at(&self, last_mono: MonoMs) -> Option<MonoMs> {
        if !self.dirty.is_empty() {
            return Some(last_mono.plus_ms(1));
        }
        self.next_wake
    }

    /// Something changed at a zone.
    pub(super) fn touch_zone(&mut self, zone_idx: usize) {
        if let Some(of_zone) = self.of_zone.get(zone_idx) {
            self.dirty.extend(of_zone.iter());
        }
    }

    /// A zone was looked at: its pumps are concerned where what they go by has changed.
    fn note_zone(&mut self, zone_idx: usize, sign: Sign, n_changes: u64) {
        let Some(known) = self.signs.get_mut(zone_idx) else { return };
        let is_same = known.replace(sign) == Some(sign);
        let Some(above) = self.of_zone.get(zone_idx) else { return };
        let is_concerned = |idx: &&usize| !is_same || self.n_changes_seen.get(**idx) != Some(&n_changes);
        self.dirty.extend(above.iter().filter(is_concerned));
    }

    /// Something changed at a pump: those that share zones with it are concerned too.
    fn touch(&mut self, idx: usize) {
        self.dirty.insert(idx);
        if let Some(sharing) = self.sharing.get(idx) {
            self.dirty.extend(sharing.iter());
        }
    }

    fn of_zone(&self, zone_idx: usize) -> impl Iterator<Item = &Pump> {
        let indices = self.of_zone.get(zone_idx).into_iter().flat_map(|of_zone| of_zone.iter());
        indices.filter_map(|idx| self.list.get(*idx))
    }

    /// How far apart two starts of the pumps on a zone's way are, ms.
    pub(super) fn start_gap_ms(&self, zone_idx: usize) -> u64 {
        let gap_ms = |pump: &Pump| {
            let by_hour_ms = HOUR_MS.checked_div(pump.plan.starts_per_hour_max.into()).unwrap_or(0);
            by_hour_ms.max(u64::from(pump.plan.off_s_min) * 1000)
        };
        self.of_zone(zone_idx).map(gap_ms).max().unwrap_or(0)
    }

    /// Whether a zone has its water from a pump.
    pub(super) fn feed(&self, zone_idx: usize) -> bool {
        self.of_zone(zone_idx).next().is_some()
    }

    /// Why a zone must not open, apart from a master valve that opens first.
    pub(super) fn barrier(&self, zone_idx: usize, now: Now) -> Option<Reason> {
        self.of_zone(zone_idx).find_map(|pump| pump.bar(now).or_else(|| pump.rest(now)))
    }

    /// The fault that shuts a pump or master valve on a zone's way until a person clears it.
    pub(super) fn gate(&self, zone_idx: usize) -> Option<Gate> {
        let pump = self.of_zone(zone_idx).find(|pump| pump.fault().is_some())?;
        let fault = pump.fault()?.code().to_owned();
        let reason = Reason::SourceFault { source: pump.source.clone(), fault };
        Some(Gate { reason, is_safety: true, until: None })
    }

    /// Whether zones wait for it to be on.
    fn leads(&self, idx: usize) -> bool {
        self.list.get(idx).is_some_and(|pump| pump.plan.on_adjust_s < 0)
    }

    /// Why a zone waits for a master valve that opens first.
    pub(super) fn lead(&self, zone_idx: usize, now: Now) -> Option<Reason> {
        self.of_zone(zone_idx).find_map(|pump| pump.lead(now))
    }

    /// What they have run and rested at a moment, for a preview.
    pub(super) fn rests(&self, now: Now, wall: UnixMs) -> Rests {
        let dated = |at: MonoMs| wall.minus_ms(now.mono.since_ms(at));
        let output = |pump: &Pump| {
            let starts = pump.starts().map(dated).collect();
            Output::new(&pump.plan, pump.is_off().then(|| dated(pump.off_since())), starts)
        };
        Rests::new(self.list.iter().map(output).collect(), self.of_zone.clone())
    }

    /// How long a run must be so that a pump that it starts has its minimum run, seconds, and for whose sake.
    pub(super) fn least_s(&self, zone_idx: usize, now: Now) -> Option<(u32, &SourceId)> {
        let least_s = |pump: &Pump| match pump.least_until() {
            Some(until) => u32::try_from(until.since_ms(now.mono).div_ceil(1000)).unwrap_or(u32::MAX),
            None => pump.plan.run_s_min.saturating_add(pump.plan.on_adjust_s.max(0).unsigned_abs()),
        };
        self.of_zone(zone_idx).map(|pump| (least_s(pump), &pump.source)).max_by_key(|(least_s, _)| *least_s)
    }

    /// How much longer than its run a zone's lease must be, so that its pump can go off first, seconds.
    pub(super) fn slack_s(&self, zone_idx: usize, lease_s: u32, timing: &Timing) -> u32 {
        let guarded = self.of_zone(zone_idx).filter(|pump| pump.plan.is_guarded());
        let slack = guarded.map(|pump| {
            let way_s = pump.plan.lease_s.saturating_add(pump.plan.spare_s(timing));
            way_s.saturating_add(pump.plan.off_lead_s()).saturating_add(lease_s / 50)
        });
        slack.max().unwrap_or(0)
    }

    /// How long mains fill on a zone's way, seconds.
    pub(super) fn fill_s(&self, zone_idx: Option<usize>) -> u32 {
        let pumps = zone_idx.into_iter().flat_map(|idx| self.of_zone(idx));
        pumps.map(|pump| pump.plan.fill_s).max().unwrap_or(0)
    }

    /// Since when the pumps on a zone's way are on and their mains filled; `Ok(None)`: there are none; `Err`: some is not.
    pub(super) fn water_since(&self, zone_idx: usize) -> Result<Option<MonoMs>, ()> {
        let mut since = None;
        for pump in self.of_zone(zone_idx) {
            let filled_at = pump.on_since().ok_or(())?.plus_ms(u64::from(pump.plan.fill_s) * 1000);
            since = since.max(Some(filled_at));
        }
        Ok(since)
    }

    pub(super) fn node_valves(&self, node: &NodeId) -> Vec<(ValveId, usize)> {
        self.valves.get(node).into_iter().flatten().map(|(valve, idx)| (*valve, *idx)).collect()
    }

    pub(super) fn by_valve(&self, node: &NodeId, valve: ValveId) -> Option<usize> {
        self.valves.get(node)?.get(&valve).copied()
    }
}

impl Engine {
    /// What a page shows of a source's pump or master valve; `None` where none is switched from here.
    #[must_use]
    pub fn pump_view(&self, source: &SourceId, now: Now) -> Option<PumpView> {
        Some(self.pumps.list.get(*self.pumps.by_source.get(source)?)?.view(now))
    }

    /// Tells a zone's pumps where something has changed that they go by.
    pub(super) fn tell_pumps(&mut self, zone_idx: usize, now: Now) {
        let has_pumps = self.pumps.feed(zone_idx);
        let Some(zone) = self.zones.get(zone_idx).filter(|_| has_pumps) else { return };
        let is_waiting = self.network.is_waiting(zone_idx);
        let sign = Sign {
            is_running: zone.is_running(),
            is_local: matches!(zone.phase, Phase::Local(_)),
            is_waiting,
            waits_turn: is_waiting && self.waits_turn(zone_idx, now),
            since: zone.since,
            certain: zone.certain(),
            is_opening: zone.is_opening(),
            lingers_until: zone.lingers_until(),
            closing: zone.is_closing().then(|| (zone.is_close_held(), zone.close_from())),
        };
        self.pumps.note_zone(zone_idx, sign, self.network.n_changes());
    }

    /// Lets a pump act; those that share zones with it are looked at too.
    pub(super) fn with_pump(&mut self, now: Now, idx: usize, act: impl FnOnce(&mut Pump, &mut PumpTurn<'_>)) {
        self.act_pump(now, idx, act);
        self.pumps.touch(idx);
    }

    fn act_pump(&mut self, now: Now, idx: usize, act: impl FnOnce(&mut Pump, &mut PumpTurn<'_>)) {
        let Some(pump) = self.pumps.list.get_mut(idx) else { return };
        let (was_on_since, had_fault) = (pump.on_since(), pump.fault().is_some());
        let mut turn = PumpTurn {
            now,
            timing: &self.out.timing,
            next_command: &mut self.out.next_command,
            actions: &mut self.out.actions,
            owners: &mut self.pumps.owners,
        };
        act(pump, &mut turn);
        self.guards.is_gate_changed |= pump.fault().is_some() != had_fault;
        if pump.on_since() != was_on_since {
            // Water begins or ends at all that it feeds, although no valve of theirs moves.
            let fed = self.pumps.zones.get(idx).into_iter().flat_map(|zones| zones.iter());
            fed.for_each(|zone_idx| self.guards.touch_zone(*zone_idx));
        }
    }

    /// A person clears the fault of a source's pump.
    pub(super) fn clear_source(&mut self, now: Now, source: &SourceId, by: &str) {
        let had_fault = self.clear_source_guards(source);
        if had_fault {
            self.tell_farm(now, Event::Cleared, Reason::SourceCleared { source: source.clone() }, by);
        }
        let Some(idx) = self.pumps.by_source.get(source).copied() else {
            if !self.has_source(source) {
                let reason = Reason::UnknownSource { source: source.clone() };
                self.tell_farm(now, Event::Refused, reason, by);
            }
            return;
        };
        self.with_pump(now, idx, |pump, turn| pump.clear_fault(turn, by, !had_fault));
    }

    /// Holds back the Closes of every valve below a pump: after a start each may be on, and on any of them. What was taken over
    /// and is closing has its Close held, or its leave, already; what rests must not keep what a pump of the plan before asked.
    pub(super) fn hold_closes(&mut self, kept_zones: &BTreeSet<usize>, kept_pumps: &BTreeSet<usize>) {
        for zone_idx in 0..self.zones.len() {
            if kept_zones.contains(&zone_idx) {
                self.hold_zone(zone_idx);
                continue;
            }
            let is_bound = self.is_bound(zone_idx, |_| true);
            if let Some(zone) = self.zones.get_mut(zone_idx).filter(|_| is_bound) {
                zone.hold_close(NEVER);
            }
        }
        for idx in 0..self.pumps.list.len() {
            if kept_pumps.contains(&idx) {
                self.hold_master(idx);
                continue;
            }
            let is_bound = self.is_master_bound(idx);
            if let Some(pump) = self.pumps.list.get_mut(idx).filter(|_| is_bound) {
                pump.hold_close(NEVER);
            }
        }
    }

    /// Brings every pump that something may have changed for in line with its zones.
    pub(super) fn run_pumps(&mut self, now: Now) {
        let pumps = &mut self.pumps;
        if pumps.next_wake.is_some_and(|at| at <= now.mono) {
            let due = pumps.list.iter().enumerate();
            let due = due.filter(|(_, pump)| pump.wake_at.is_some_and(|at| at <= now.mono));
            pumps.dirty.extend(due.map(|(idx, _)| idx));
        }
        if pumps.dirty.is_empty() {
            return;
        }
        let mut n_rounds = pumps.list.len() * ROUNDS_PER_PUMP;
        while n_rounds > 0
            && let Some(idx) = self.pumps.dirty.pop_first()
        {
            self.run_pump(idx, now);
            n_rounds -= 1;
        }
        self.pumps.next_wake = self.pumps.list.iter().filter_map(|pump| pump.wake_at).min();
    }

    fn run_pump(&mut self, idx: usize, now: Now) {
        if let Some(seen) = self.pumps.n_changes_seen.get_mut(idx) {
            *seen = self.network.n_changes();
        }
        self.note_use(idx, now);
        let demand = self.demand(idx, now);
        let sign = |pump: &Pump| (pump.is_off(), pump.certain(), pump.over_at());
        let before = self.pumps.list.get(idx).map(sign);
        self.act_pump(now, idx, |pump, turn| pump.drive(turn, &demand));
        if before != self.pumps.list.get(idx).map(sign) {
            self.pumps.touch(idx);
            self.pumps.dirty.remove(&idx);
        }
        let Some(pump) = self.pumps.list.get_mut(idx) else { return };
        if let Some(memory) = pump.take_memory() {
            let source = pump.source.clone();
            self.out.actions.push_back(Action::Pump(PumpAction::Remember { source, memory }));
        }
        if let Some(reason) = pump.bar(now) {
            self.stop_below(idx, now, &reason);
        }
        self.note_water(idx, now);
        self.hold_below(idx);
        self.give_leave(idx, now);
        self.call_waiting(idx, now);
        let demand = self.demand(idx, now);
        if let Some(pump) = self.pumps.list.get_mut(idx) {
            pump.wake_at = pump.deadline(now, &demand);
        }
    }

    /// Whether a zone wants a master valve open: it draws water, is kept open for its pump although its run is complete, or waits
    /// only for that valve, where it `leads`.
    fn wants_master(&self, zone_idx: usize, leads: bool, now: Now) -> bool {
        let Some(zone) = self.zones.get(zone_idx) else { return false };
        let has_pump_on =
            || self.pumps.of_zone(zone_idx).any(|pump| pump.kind() == PumpKind::Pump && !pump.is_off());
        let is_kept_open = zone.lingers_until().is_some_and(|until| now.mono < until) && has_pump_on();
        let is_drawing = zone.is_running() || is_kept_open || matches!(zone.phase, Phase::Local(_));
        let has_room = || self.network.barrier(zone_idx, now.mono).is_none();
        is_drawing
            || (leads
                && self.network.is_waiting(zone_idx)
                && has_room()
                && self.pumps.barrier(zone_idx, now).is_none()
                && !self.waits_turn(zone_idx, now))
    }

    /// Whether a zone waits for others to end before it, though there may be room for both.
    fn waits_turn(&self, zone_idx: usize, now: Now) -> bool {
        let Some(verdict) = self.zones.get(zone_idx).map(|zone| zone.verdict(now, &self.out.rules)) else {
            return false;
        };
        verdict.kind().is_some_and(|kind| {
            (kind.is_test() && self.is_testing_beside(zone_idx))
                || self.other_turn(zone_idx, now, kind).is_some()
        })
    }

    fn note_use(&mut self, idx: usize, now: Now) {
        let leads = self.pumps.leads(idx);
        let is_used =
            self.pumps.zones_of(idx).iter().any(|zone_idx| self.wants_master(*zone_idx, leads, now));
        if let Some(last) = self.pumps.last_used.get_mut(idx) {
            let was_used = std::mem::replace(&mut last.0, is_used);
            if is_used || was_used {
                last.1 = Some(now.mono);
            }
        }
    }

    /// What the zones want of a pump at a moment.
    fn demand(&self, idx: usize, now: Now) -> Demand {
        let zones = self.pumps.zones_of(idx);
        let Some((source, plan)) = self.pumps.list.get(idx).map(|pump| (pump.source.clone(), &pump.plan))
        else {
            let end = Reason::StopAll {};
            return Demand { start_at: None, open_until: None, look_at: None, end };
        };
        // What is open for certain and no longer for long enough is at the end of its run.
        let is_unsure = |zone: &Zone| zone.is_running() && zone.certain().is_none();
        let end = if zones.iter().filter_map(|zone_idx| self.zones.get(*zone_idx)).any(is_unsure) {
            Reason::PumpUncovered { source }
        } else {
            Reason::PumpNotNeeded { source }
        };
        match plan.kind {
            PumpKind::Pump => {
                let ways = zones.iter().filter_map(|zone_idx| self.way_out(idx, *zone_idx));
                let (mut first, mut open_until): (Option<MonoMs>, Option<MonoMs>) = (None, None);
                for (since, until) in ways {
                    first = Some(first.map_or(since, |first| first.min(since)));
                    open_until = open_until.max(Some(until));
                }
                let start_at = first.map(|since| since.plus_ms(lag_ms(plan.on_adjust_s)));
                let (lingers_until, look_at) = self.handover(idx, &zones, now).unzip();
                Demand { start_at, open_until: open_until.max(lingers_until), look_at, end }
            }
            PumpKind::Master => {
                let leads = self.pumps.leads(idx);
                let used = zones.iter().filter(|zone_idx| self.wants_master(**zone_idx, leads, now));
                let opened_at = |zone_idx: &usize| {
                    let zone = self.zones.get(*zone_idx)?;
                    match plan.on_adjust_s {
                        ..=0 => Some(now.mono),
                        1.. if matches!(zone.phase, Phase::Open(_) | Phase::Local(_)) => {
                            Some(zone.since.plus_ms(lag_ms(plan.on_adjust_s)))
                        }
                        1.. => None,
                    }
                };
                let start_at = used.filter_map(opened_at).min();
                let (is_used, last) = self.pumps.last_used.get(idx).copied().unwrap_or_default();
                let lag_end = last.map(|last| last.plus_ms(lag_ms(plan.off_adjust_s)));
                let is_open = is_used || lag_end.is_some_and(|end| end > now.mono);
                Demand { start_at, open_until: is_open.then_some(NEVER), look_at: lag_end, end }
            }
        }
    }

    /// Until when water can leave for certain through a zone whose run is complete, while the next one opens: the pump is
    /// handed over instead of going off and on. What opens next has its room in the pipes besides. And until when that is
    /// waited for.
    fn handover(&self, idx: usize, zones: &[usize], now: Now) -> Option<(MonoMs, MonoMs)> {
        let zone_of = |zone_idx: &usize| self.zones.get(*zone_idx);
        // Its valve opens, or a master valve on its way does.
        let is_coming = |zone_idx: &usize| {
            zone_of(zone_idx).is_some_and(|zone| {
                zone.is_opening() || (zone.certain().is_some() && self.way_out(idx, *zone_idx).is_none())
            })
        };
        if !zones.iter().any(is_coming) {
            return None;
        }
        let until = |zone_idx: &usize| {
            let zone = zone_of(zone_idx)?;
            let patience_end = zone.since.plus_ms(HANDOVER_MS);
            let until = zone.lingers_until().filter(|_| now.mono < patience_end)?;
            Some((self.through_masters(idx, *zone_idx, (MonoMs(0), until))?.1, patience_end))
        };
        zones.iter().filter_map(until).max()
    }

    /// Since when, and until when, water that a pump gives can leave for certain through a zone: its valve, and every
    /// master valve on its way.
    fn way_out(&self, idx: usize, zone_idx: usize) -> Option<(MonoMs, MonoMs)> {
        self.through_masters(idx, zone_idx, self.zones.get(zone_idx)?.certain()?)
    }

    fn through_masters(
        &self,
        idx: usize,
        zone_idx: usize,
        mut way: (MonoMs, MonoMs),
    ) -> Option<(MonoMs, MonoMs)> {
        for other_idx in self.pumps.of_zone.get(zone_idx)?.iter() {
            let other = self.pumps.list.get(*other_idx)?;
            if *other_idx != idx && other.kind() == PumpKind::Master {
                let (since, until) = other.certain()?;
                way = (way.0.max(since), way.1.min(until));
            }
        }
        Some(way)
    }

    /// A pump that is not to be relied on: what runs below it ends.
    fn stop_below(&mut self, idx: usize, now: Now, reason: &Reason) {
        for zone_idx in self.pumps.zones_of(idx).iter().copied() {
            let is_running = self.zones.get(zone_idx).is_some_and(Zone::is_running);
            if is_running {
                let reason = reason.clone();
                self.with(now, Some(zone_idx), &mut Vec::new(), |zone, turn| zone.stop_for(turn, reason));
                self.settle(zone_idx, now);
            }
        }
    }

    /// Tells the zones below a pump whether they have water.
    fn note_water(&mut self, idx: usize, now: Now) {
        for zone_idx in self.pumps.zones_of(idx).iter().copied() {
            let is_on = self.pumps.water_since(zone_idx).is_ok();
            let lag_ms = self.pumps.of_zone(zone_idx).map(Pump::on_lag_ms).sum();
            if let Some(zone) = self.zones.get_mut(zone_idx) {
                zone.note_pumps(now.mono, is_on, lag_ms);
            }
        }
    }

    /// Holds the Closes of all valves below a pump that is not off, and lets its zones go on until it has its minimum run.
    /// Valves that have their leave to close keep it.
    fn hold_below(&mut self, idx: usize) {
        for zone_idx in self.pumps.zones_of(idx).iter() {
            self.hold_zone(*zone_idx);
        }
        for master_idx in self.pumps.sharing(idx).iter() {
            self.hold_master(*master_idx);
        }
    }

    fn hold_zone(&mut self, zone_idx: usize) {
        let is_bound = self.is_bound(zone_idx, |_| true);
        let keep_until = self.pumps.of_zone(zone_idx).map(Pump::keep_until).max();
        let Some(zone) = self.zones.get_mut(zone_idx) else { return };
        zone.keep_until(keep_until.unwrap_or(MonoMs(0)));
        if !zone.is_closing() {
            zone.hold_close(if is_bound { NEVER } else { MonoMs(0) });
        }
    }

    fn hold_master(&mut self, idx: usize) {
        let is_bound = self.is_master_bound(idx);
        if let Some(pump) = self.pumps.list.get_mut(idx).filter(|pump| !pump.is_stopping()) {
            pump.hold_close(if is_bound { NEVER } else { MonoMs(0) });
        }
    }

    /// Whether a pump that must not lose a master valve is, or may be, on.
    fn is_master_bound(&self, idx: usize) -> bool {
        let is_master = self.pumps.list.get(idx).is_some_and(|pump| pump.kind() == PumpKind::Master);
        is_master
            && self.pumps.zones_of(idx).iter().any(|zone_idx| self.is_bound(*zone_idx, |above| above != idx))
    }

    /// Whether a pump that must not lose a zone's valve is, or may be, on.
    fn is_bound(&self, zone_idx: usize, counts: impl Fn(usize) -> bool) -> bool {
        let above = self.pumps.of_zone.get(zone_idx).into_iter().flat_map(|of_zone| of_zone.iter());
        let mut above = above.filter(|idx| counts(**idx)).filter_map(|idx| self.pumps.list.get(*idx));
        above.any(|pump| pump.plan.is_guarded() && !pump.is_off())
    }

    /// Lets the valves below a pump close that may, one after another.
    fn give_leave(&mut self, idx: usize, now: Now) {
        for zone_idx in self.pumps.zones_of(idx).iter().copied() {
            if !self.zones.get(zone_idx).is_some_and(Zone::is_close_held) {
                continue;
            }
            let above = self.pumps.above(zone_idx);
            let leave_at = above.iter().map(|pump_idx| self.leave_at(*pump_idx, |other| other == zone_idx));
            let Some(leave_at) = leave_at.collect::<Option<Vec<_>>>() else { continue };
            let leave_at = leave_at.into_iter().max().unwrap_or(now.mono);
            if self.zones.get(zone_idx).is_some_and(|zone| zone.close_from() == leave_at) {
                // It has its leave and cannot use it yet: nothing changes by looking again.
                continue;
            }
            self.with(now, Some(zone_idx), &mut Vec::new(), |zone, _| zone.hold_close(leave_at));
            self.settle(zone_idx, now);
        }
        for master_idx in self.pumps.sharing(idx).iter().copied() {
            let Some(master) = self.pumps.list.get(master_idx) else { continue };
            if master.kind() != PumpKind::Master || !master.is_close_held() {
                continue;
            }
            let (below, sharing) = (self.pumps.zones_of(master_idx), self.pumps.sharing(master_idx));
            let above = sharing.iter().filter(|pump_idx| **pump_idx != master_idx);
            let is_below = |zone_idx: usize| below.binary_search(&zone_idx).is_ok();
            let leave_at: Option<Vec<_>> = above.map(|pump_idx| self.leave_at(*pump_idx, is_below)).collect();
            let Some(leave_at) = leave_at else { continue };
            let leave_at = leave_at.into_iter().max().unwrap_or(now.mono);
            if self.pumps.list.get(master_idx).is_some_and(|master| master.close_from() == leave_at) {
                continue;
            }
            let none = Demand { start_at: None, open_until: None, look_at: None, end: Reason::StopAll {} };
            self.act_pump(now, master_idx, |master, turn| {
                master.hold_close(leave_at);
                master.drive(turn, &none);
            });
            self.pumps.dirty.insert(master_idx);
        }
    }

    /// From when valves may close as far as one pump is concerned: once it is off, with its lead, or at once while another
    /// way out, none of `without`, stays open for longer than it can be on. `None`: not yet.
    fn leave_at(&self, pump_idx: usize, without: impl Fn(usize) -> bool) -> Option<MonoMs> {
        let pump = self.pumps.list.get(pump_idx)?;
        if !pump.plan.is_guarded() {
            return Some(MonoMs(0));
        }
        if pump.is_off() {
            return Some(pump.off_since().plus_ms(u64::from(pump.plan.off_lead_s()) * 1000));
        }
        let zones = self.pumps.zones_of(pump_idx);
        let others = zones.iter().filter(|zone_idx| !without(**zone_idx));
        let open_until =
            others.filter_map(|zone_idx| self.way_out(pump_idx, *zone_idx)).map(|(_, until)| until);
        open_until.max().filter(|until| *until >= pump.over_at()).map(|_| MonoMs(0))
    }

    /// Zones that waited for a pump are called when nothing of it keeps them any more.
    fn call_waiting(&mut self, idx: usize, now: Now) {
        let Some(pump) = self.pumps.list.get(idx) else { return };
        let barred = pump.bar(now).or_else(|| pump.rest(now)).or_else(|| pump.lead(now));
        let barred = barred.map(|reason| reason.code());
        let Some(before) = self.pumps.barred.get_mut(idx) else { return };
        if std::mem::replace(before, barred) == barred {
            return;
        }
        let zones = self.pumps.zones_of(idx);
        let waiting = zones.iter().copied().find(|zone_idx| self.network.is_waiting(*zone_idx));
        if let Some(zone_idx) = waiting {
            self.network.poke(zone_idx);
            self.settle(zone_idx, now);
        }
    }
}
