//! Another plan for a running engine: what has no place in it is closed first, then it takes over as a whole.
//!
//! A zone leaves when it is gone from the plan, has another valve, or its water has another way (source, capacity, flow,
//! pump); a pump or master valve when its own plan is another. Everything else goes on as it stands, runs included. Until all
//! that leaves is closed for certain, by its node's word or because its last possible lease is over, the plan before holds
//! and what leaves does not start. So no valve that may be open is ever without a zone (P3), and what the sources carry is
//! counted by one plan at a time (P5).

use std::collections::{BTreeMap, BTreeSet};

use giot_shared::ids::NodeId;
use giot_shared::units::LitresPerHour;

use super::{Engine, Out};
use crate::Now;
use crate::diary::{Action, By, Entry, Event};
use crate::ids::{ProgramId, SourceId, ValveRef, ZoneId};
use crate::memory::{Memory, ZoneMemory};
use crate::network::Network;
use crate::plan::{Plan, PumpPlan, ZonePlan};
use crate::program::Program;
use crate::reason::Reason;
use crate::zone::{ValveWord, Zone};

use super::guards::Guards;
use super::pumps::Pumps;

/// The way of a zone's water: what it draws, and each branch from its source to the root with what that carries and
/// switches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    flow: Option<LitresPerHour>,
    branches: Vec<(SourceId, Option<LitresPerHour>, Option<PumpPlan>)>,
}

/// A plan that is to take over.
#[derive(Debug)]
pub(super) struct Next {
    version: u32,
    plan: Plan,
    /// Zones and pumps that must be closed first.
    zones: Vec<usize>,
    pumps: Vec<usize>,
}

/// What an engine leaves to the one in its place.
#[derive(Debug)]
pub(super) struct Before {
    zones: BTreeMap<ZoneId, Zone>,
    pumps: Pumps,
    guards: Guards,
    network: Network,
    out: Out,
    sessions: BTreeMap<NodeId, bool>,
    last: Last,
}

/// How far time has come.
#[derive(Debug)]
struct Last {
    mono: giot_shared::time::MonoMs,
    clock_offset_ms: Option<i64>,
    clock_known_ms: Option<i64>,
    clock_ahead_max_ms: Option<i64>,
}

/// What was taken over.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Zones that the new plan may have a place for.
    pub(super) zones: BTreeMap<ZoneId, Zone>,
    /// The zones and pumps, by their new numbers, that go on as they stood.
    pub(super) zone_idxs: BTreeSet<usize>,
    pub(super) pump_idxs: BTreeSet<usize>,
}

impl Plan {
    /// The way of a zone's water.
    pub(super) fn way(&self, zone: &ZonePlan) -> Way {
        let branch = |id: &SourceId| {
            let source = self.sources.get(id);
            let capacity = source.and_then(|source| source.capacity);
            (id.clone(), capacity, source.and_then(|source| source.pump.clone()))
        };
        Way { flow: zone.flow, branches: self.path(&zone.source).into_iter().map(branch).collect() }
    }
}

impl Engine {
    /// What a plan that is to take over waits for: zones and sources whose valves and pumps are not closed for certain;
    /// `None` when none is to.
    #[must_use]
    pub fn awaited(&self) -> Option<(Vec<ZoneId>, Vec<SourceId>)> {
        let next = self.next.as_ref()?;
        let zones = next.zones.iter().filter_map(|idx| self.zones.get(*idx));
        let zones = zones.filter(|zone| zone.holds_source()).map(|zone| zone.desk.id.clone());
        let pumps = next.pumps.iter().filter_map(|idx| self.pumps.all().get(*idx));
        let pumps = pumps.filter(|pump| !pump.is_off()).map(|pump| pump.source.clone());
        Some((zones.collect(), pumps.collect()))
    }

    /// Another plan is to take over: what it has no place for is closed.
    pub(super) fn plan_changed(&mut self, now: Now, version: u32, plan: &Plan, touched: &mut Vec<usize>) {
        if let Some(problem) = plan.check().first() {
            let reason = Reason::InvalidPlan { problem: problem.kind.code().to_owned() };
            self.tell(now, None, Event::Refused, By::Engine, reason);
            return;
        }
        let mut next =
            Next { version, plan: plan.clone(), zones: Vec::new(), pumps: self.pumps.leaving(plan) };
        let gone: Vec<ProgramId> = {
            let programs = self.out.rules.programs.keys();
            programs.filter(|id| !plan.programs.contains_key(*id)).cloned().collect()
        };
        for idx in 0..self.zones.len() {
            let Some((zone, way)) = self.zones.get(idx).zip(self.ways.get(idx)) else { continue };
            let other = plan.zones.get(&zone.desk.id);
            let stays = other.is_some_and(|other| other.valve == zone.plan.valve && plan.way(other) == *way);
            let is_gone = other.is_none();
            if !stays {
                next.zones.push(idx);
            }
            self.with(now, Some(idx), touched, |zone, turn| {
                zone.leave(turn, (!stays).then_some(version), is_gone);
                for program in &gone {
                    zone.leave_program(turn, program, version);
                }
            });
        }
        self.next = Some(next);
    }

    /// Lets the next plan take over once all that it has no place for is closed.
    pub(super) fn take_next_plan(&mut self, now: Now) {
        let is_free = self.awaited().is_some_and(|(zones, pumps)| zones.is_empty() && pumps.is_empty());
        let Some(Next { version, plan, .. }) = self.next.take_if(|_| is_free && !self.is_stopping) else {
            return;
        };
        self.tell(now, None, Event::Adjusted, By::Engine, Reason::FarmInForce { version });
        let next_command = self.out.next_command;
        let empty = Self::assemble(Plan::default(), Memory::default(), next_command, now, None);
        let before = std::mem::replace(self, empty);
        let (memory, before) = before.taken_apart(&plan, now);
        *self = Self::assemble(plan, memory, next_command, now, Some(before));
    }

    /// A node measured a run of a valve that is no zone's, or not any more: no litre is left out (P7).
    pub(super) fn tell_of_no_zone(&mut self, now: Now, valve: &ValveRef, word: ValveWord) {
        let reason = Reason::ValveOfNoZone { node: valve.node.clone(), valve: valve.valve.0.into() };
        self.out.actions.push_back(Action::Diary(Entry {
            at: now.wall,
            mono: now.mono,
            zone: None,
            event: Event::Reported,
            command: word.command,
            by: By::Node,
            reason,
            run_ms: word.measured.run_ms,
            volume: word.measured.volume,
        }));
    }

    /// The zone for a place in the plan: the one that had its valve before, or one that is as after a start.
    pub(super) fn zone_for(
        &mut self,
        idx: usize,
        id: ZoneId,
        (plan, invalid): (ZonePlan, Option<&'static str>),
        remembered: ZoneMemory,
        kept: &mut Kept,
        now: Now,
    ) -> Zone {
        if let Some(mut zone) = kept.zones.remove(&id).filter(|zone| zone.plan.valve == plan.valve) {
            kept.zone_idxs.insert(idx);
            zone.take_plan(idx, plan, invalid, &mut self.out.turn(now));
            return zone;
        }
        let is_online = self.sessions.get(&plan.valve.node).copied();
        let mut zone = Zone::after_start(idx, id, plan, invalid, remembered, &self.out.turn(now));
        zone.is_online = is_online;
        zone
    }

    /// Everything that another engine needs to go on, and what it must remember of the rest.
    fn taken_apart(mut self, plan: &Plan, now: Now) -> (Memory, Before) {
        for zone in &mut self.zones {
            if let Some(memory) = zone.take_memory() {
                let (zone, memory) = (zone.desk.id.clone(), Box::new(memory));
                self.out.actions.push_back(Action::Remember { zone, memory });
            }
        }
        let (mut programs, farm) = self.schedule.into_memory();
        for (id, control) in &mut programs {
            let is_same = |program: &Program| self.out.rules.programs.get(id) == Some(program);
            if plan.programs.get(id).is_some_and(|program| !is_same(program)) {
                // What the program of before did not do, the one of now has not missed.
                control.handled_until = control.handled_until.max(now.wall);
                let (program, control) = (id.clone(), control.clone());
                self.out.actions.push_back(Action::RememberProgram { program, control });
            }
        }
        let mut memory = self.attic;
        let of_zone = |zone: &Zone| (zone.desk.id.clone(), ZoneMemory { open: None, ..zone.memory.clone() });
        memory.zones.extend(self.zones.iter().map(of_zone));
        memory.programs.extend(programs);
        memory
            .sources
            .extend(self.pumps.all().iter().map(|pump| (pump.source.clone(), pump.memory().clone())));
        memory.farm = farm;
        memory.guards = self.guards.memory();
        let zones = self.zones.into_iter().map(|zone| (zone.desk.id.clone(), zone)).collect();
        let last = Last {
            mono: self.last_mono,
            clock_offset_ms: self.clock_offset_ms,
            clock_known_ms: self.clock_known_ms,
            clock_ahead_max_ms: self.clock_ahead_max_ms,
        };
        let (pumps, guards, network, out) = (self.pumps, self.guards, self.network, self.out);
        (memory, Before { zones, pumps, guards, network, out, sessions: self.sessions, last })
    }

    /// Takes over everything but the zones, which find their places one by one.
    pub(super) fn take_over(&mut self, before: Before) -> Kept {
        let Before { zones, pumps, guards, network, out, sessions, last } = before;
        self.sessions = sessions;
        self.pumps.hear_sessions(&self.sessions);
        let pump_idxs = self.pumps.take_over(pumps);
        self.guards.take_over(guards);
        self.network.take_over(network);
        self.out.started_at = out.started_at;
        self.out.actions = out.actions;
        self.last_mono = last.mono;
        self.clock_offset_ms = last.clock_offset_ms;
        self.clock_known_ms = last.clock_known_ms;
        self.clock_ahead_max_ms = last.clock_ahead_max_ms;
        Kept { zones, zone_idxs: BTreeSet::new(), pump_idxs }
    }
}
