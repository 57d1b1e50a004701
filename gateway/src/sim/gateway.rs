//! The gateway's side: ingest, engine, and a store whose commits come a little later, so that a kill loses what was not
//! committed. The order is that of the hub: records and what follows from them are one batch, an Ack follows its commit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use giot_engine::program::{Control, FarmState};
use giot_engine::{
    Action, Age, By, Engine, Entry, Event, GuardMemory, Input, Level, Memory, MetricName, Now, ProgramId,
    Reason, SourceId, SourceMemory, ValveRef, ZoneId, ZoneMemory, ZoneState,
};
use giot_shared::ids::{CommandId, Position};
use giot_shared::time::{MonoMs, UnixMs, UptimeMs};
use giot_shared::units::{Millilitres, MoisturePermyriad};
use giot_shared::valve::RefusalReason;
use giot_shared::wire::{Hello, Record, Records};

use super::hours;
use super::node::Order;
use super::season::{DAY_MS, Down, Happening, START, Up, World};
use crate::ingest::node::{DatedValve, Dating, Greeting, Heard, NodeState, Taken, Verdict};
use crate::ingest::{Sample, as_moisture_percent};
use crate::quality::Quality;

/// The program whose run begins.
fn in_turn(entry: &Entry) -> Option<ProgramId> {
    if let Reason::ProgramRun { program, .. } = &entry.reason { Some(program.clone()) } else { None }
}

/// From the first change to the commit that keeps it, ms.
const COMMIT_MS: u64 = 300;

/// Numbers that are reserved beyond the last one given, and so skipped by a restart.
const RESERVED: u64 = 1000;

/// How far dates may be off without a wrong clock: the way of the Hello that dated the epoch, and drift.
pub(super) const DATE_MS_MAX: u64 = 150_000;

/// What the store holds.
#[derive(Debug, Default)]
pub(super) struct Kept {
    memory: Memory,
    pub(super) marks: BTreeMap<usize, Position>,
    datings: BTreeMap<(usize, u32), Dating>,
    pub(super) n_records: u64,
    /// By zone: what nodes measured and told, what the diary tells, ml.
    pub(super) heard_ml: BTreeMap<usize, u64>,
    pub(super) told_ml: BTreeMap<usize, u64>,
    /// By node and probe: the newest reading, as a restart shows it to the engine.
    newest: BTreeMap<(usize, MetricName), Newest>,
}

/// The newest reading of a probe in the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newest {
    pub(super) at: UnixMs,
    pub(super) level: Option<Level>,
    pub(super) good: bool,
    /// Of a gauge: thousandths of its unit.
    pub(super) milli: Option<i64>,
}

/// A change on its way to the store.
#[derive(Debug)]
pub(super) enum Row {
    Zone(ZoneId, Box<ZoneMemory>),
    Program(ProgramId, Control),
    Source(SourceId, Box<SourceMemory>),
    Farm(FarmState),
    Guards(Box<GuardMemory>),
    Mark { node_idx: usize, after: Position, last: Position, n_records: u64 },
    Dating { node_idx: usize, epoch: u32, dating: Dating },
    Heard { zone_idx: usize, ml: u64 },
    Told { zone_idx: usize, ml: u64 },
    Newest { node_idx: usize, metric: MetricName, newest: Newest },
}

/// What the simulation knows of a zone, to judge the engine by.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) is_locked: bool,
    pub(super) has_fault: bool,
    is_manual: bool,
    is_program: bool,
    /// The program whose run is under way.
    turn: Option<ProgramId>,
    /// The diary has the beginning of a run and not its end.
    is_started: bool,
    /// By probe: when its newest delivered reading was really taken, and its value where it was good.
    probes: BTreeMap<String, (u64, Option<u16>)>,
}

/// The gateway.
#[derive(Debug, Default)]
pub(super) struct Gateway {
    pub(super) engine: Option<Engine>,
    sessions: Vec<NodeState>,
    pub(super) kept: Kept,
    pending: Vec<Row>,
    /// What the clock shows beyond true time; `None`: unset.
    pub(super) offset_ms: Option<i64>,
    /// When it last ended.
    pub(super) down_since_ms: u64,
    next_command: u64,
    next_counter: u64,
    pub(super) known: Vec<Known>,
    /// The pauses that hold, and the programs that are switched off, as this run of it has them.
    paused: FarmState,
    switched_off: BTreeSet<ProgramId>,
    /// When a person last started a program: its runs go by no hours then, and portions and what was interrupted may follow until
    /// the day after.
    pub(super) by_hand_ms: BTreeMap<ProgramId, u64>,
    is_offline: BTreeMap<usize, bool>,
    /// Whether the first clock that this run of the gateway saw was right: dates of devices are believed by it.
    is_first_clock_right: Option<bool>,
    /// Epochs that were dated while the clock was right.
    is_dated_well: BTreeMap<(usize, u32), bool>,
}

impl Gateway {
    /// A gateway that has not started, for so many zones.
    pub(super) fn new(n_zones: usize) -> Self {
        let known = (0..n_zones).map(|_| Known::default()).collect();
        Self { offset_ms: Some(0), known, ..Self::default() }
    }

    /// Notes the first clock of a run.
    pub(super) fn look_at_clock(&mut self) {
        let is_right = self.offset_ms.map(|offset_ms| offset_ms == 0);
        self.is_first_clock_right = self.is_first_clock_right.or(is_right);
    }
}

impl World {
    pub(super) fn is_gateway_up(&self) -> bool {
        self.gateway.engine.is_some()
    }

    pub(super) fn now(&self) -> Now {
        let wall = self.gateway.offset_ms.map(|offset| UnixMs(self.true_unix().0.saturating_add(offset)));
        Now { mono: MonoMs(self.now_ms), wall }
    }

    fn true_unix(&self) -> UnixMs {
        START.plus_ms(self.now_ms)
    }

    pub(super) fn engine_timeout_ms(&self) -> Option<u64> {
        self.gateway.engine.as_ref().and_then(Engine::poll_timeout).map(|at| at.0)
    }

    /// The gateway starts with what was kept.
    pub(super) fn start_gateway(&mut self) {
        if self.is_gateway_up() {
            return;
        }
        let kept = &self.gateway.kept;
        let mut sessions = Vec::new();
        for node_idx in 0..self.nodes.len() {
            let mut session = NodeState::default();
            session.registered_at = START;
            session.stored = kept.marks.get(&node_idx).copied();
            session.received = session.stored;
            for ((_, epoch), dating) in kept.datings.range((node_idx, 0)..=(node_idx, u32::MAX)) {
                session.restore_dating(*epoch, *dating);
            }
            sessions.push(session);
        }
        for (zone_idx, id) in self.farm.zone_ids.iter().enumerate() {
            let memory = kept.memory.zones.get(id);
            let Some(known) = self.gateway.known.get_mut(zone_idx) else { continue };
            *known = Known {
                is_locked: memory.is_some_and(|memory| memory.lock.is_some()),
                has_fault: memory.is_some_and(|memory| memory.fault.is_some()),
                ..Known::default()
            };
        }
        let sources = kept.memory.sources.iter();
        let faults = sources.filter(|(_, memory)| memory.fault.is_some()).map(|(source, _)| source.clone());
        let faults = faults.collect();
        let next = CommandId(self.gateway.next_command + RESERVED);
        self.gateway.next_counter += RESERVED;
        let memory = kept.memory.clone();
        self.gateway.paused = memory.farm.clone();
        let off = memory.programs.iter().filter(|(_, control)| !control.is_enabled);
        self.gateway.switched_off = off.map(|(program, _)| program.clone()).collect();
        self.gateway.is_first_clock_right = None;
        self.gateway.look_at_clock();
        self.gateway.sessions = sessions;
        self.gateway.is_offline.clear();
        self.restart_pumps(faults);
        self.meters.restart(&memory.guards);
        self.gateway.engine = Some(Engine::new(self.farm.plan.clone(), memory, next, self.now()));
        self.recall();
        self.drain();
        for node_idx in 0..self.nodes.len() {
            self.connect_soon(node_idx);
        }
    }

    /// Shows the engine the newest readings of the store, as the hub does.
    fn recall(&mut self) {
        let now = self.now();
        let Some(engine) = self.gateway.engine.as_mut() else { return };
        for ((node_idx, metric), newest) in &self.gateway.kept.newest {
            let Some(device) = self.farm.node_ids.get(*node_idx) else { continue };
            let (Newest { at, level, good, milli }, age) = (*newest, Age::Unknown);
            let input = if milli.is_some() {
                Input::Gauge { device, metric, at, age, milli }
            } else {
                Input::Reading { device, metric, at, age, level, good }
            };
            engine.handle(now, input);
        }
    }

    /// The gateway ends; a kill loses what was not committed.
    pub(super) fn end_gateway(&mut self, is_kill: bool) {
        if !is_kill {
            self.commit();
        }
        self.gateway.pending.clear();
        if self.gateway.engine.take().is_some() {
            self.gateway.down_since_ms = self.now_ms;
        }
        for node in &mut self.nodes {
            node.session = None;
        }
    }

    pub(super) fn feed(&mut self, input: Input<'_>) {
        let now = self.now();
        let Some(engine) = self.gateway.engine.as_mut() else { return };
        engine.handle(now, input);
        self.drain();
    }

    pub(super) fn keep(&mut self, row: Row) {
        if self.gateway.pending.is_empty() {
            self.plan(COMMIT_MS, Happening::Commit);
        }
        self.gateway.pending.push(row);
    }

    fn drain(&mut self) {
        while let Some(action) = self.gateway.engine.as_mut().and_then(Engine::poll_action) {
            let now_ms = self.now_ms;
            // Writing to a hash cannot fail.
            write!(self.hash, "{now_ms} {action:?}").ok();
            if !matches!(action, Action::Remember { .. } | Action::RememberProgram { .. }) {
                self.checks.note(now_ms, || format!("{action:?}"));
            }
            match action {
                Action::Open { command, zone, valve, run_s, volume, ttl_s, reason } => {
                    let Some(zone_idx) = self.zone_idx(&zone) else { continue };
                    self.check_open(zone_idx, command, (run_s, ttl_s), &reason);
                    self.note_dose(zone_idx, volume);
                    let open = Some((run_s, self.issued_at(), ttl_s));
                    let place = (self.node_of_zone(zone_idx), usize::from(valve.valve.0));
                    self.order(place, command, open, volume);
                }
                Action::Close { command, zone, valve, .. } => {
                    let Some(zone_idx) = self.zone_idx(&zone) else { continue };
                    self.check_command(command);
                    let place = (self.node_of_zone(zone_idx), usize::from(valve.valve.0));
                    self.order(place, command, None, None);
                }
                Action::Diary(entry) => self.take_entry(&entry),
                Action::Remember { zone, memory } => {
                    let known = self.zone_idx(&zone).and_then(|idx| self.gateway.known.get_mut(idx));
                    let is_new = known.is_some_and(|known| {
                        let had_fault = std::mem::replace(&mut known.has_fault, memory.fault.is_some());
                        known.has_fault && !had_fault
                    });
                    if is_new {
                        self.call_for_zone(&zone);
                    }
                    self.keep(Row::Zone(zone, memory));
                }
                Action::RememberProgram { program, control } => {
                    if control.is_enabled {
                        self.gateway.switched_off.remove(&program);
                    } else {
                        self.gateway.switched_off.insert(program.clone());
                    }
                    self.keep(Row::Program(program, control));
                }
                Action::RememberFarm { farm } => {
                    self.gateway.paused = (*farm).clone();
                    self.keep(Row::Farm(*farm));
                }
                Action::RememberGuards { memory } => {
                    self.call_for_sources(&memory);
                    self.keep(Row::Guards(Box::new(memory)));
                }
                Action::Pump(action) => self.act_for_pump(action),
            }
        }
    }

    /// What the clock shows as an order is issued; an unset one shows its year of manufacture.
    pub(super) fn issued_at(&self) -> UnixMs {
        UnixMs(self.true_unix().0.saturating_add(self.gateway.offset_ms.unwrap_or(-3_456_000_000)))
    }

    fn node_of_zone(&self, zone_idx: usize) -> usize {
        self.farm.grounds.get(zone_idx).map_or(0, |ground| ground.node_idx)
    }

    /// Whether the gateway was told that a node is gone.
    pub(super) fn is_offline(&self, node_idx: usize) -> bool {
        self.gateway.is_offline.get(&node_idx).copied().unwrap_or(false)
    }

    pub(super) fn order(
        &mut self,
        (node_idx, line_idx): (usize, usize),
        command: CommandId,
        open: Option<(u32, UnixMs, u32)>,
        volume: Option<Millilitres>,
    ) {
        self.gateway.next_counter += 1;
        let counter = self.gateway.next_counter;
        let is_clock_right = self.gateway.offset_ms == Some(0);
        let volume_ml = volume.map(|volume| u64::from(volume.0));
        let order =
            Order { command, counter, line_idx, open, volume_ml, sent_ms: self.now_ms, is_clock_right };
        self.send_down(node_idx, Down::Order(order));
    }

    /// A program waters the zones of its group one after another, however late some are; none here is meant to overlap.
    fn check_turn(&mut self, zone_idx: usize) {
        let group =
            |idx: usize| self.farm.plan.zones.get(self.farm.zone_ids.get(idx)?).map(|zone| zone.group);
        let turn = |idx: usize| self.gateway.known.get(idx)?.turn.clone();
        let (Some(program), Some(group_here)) = (turn(zone_idx), group(zone_idx)) else { return };
        let mut others = (0..self.farm.zone_ids.len()).filter(|other| *other != zone_idx);
        let other = others
            .find(|other| group(*other) == Some(group_here) && turn(*other).is_some_and(|of| of == program));
        let is_alone = group_here == giot_engine::program::Group::Parallel || other.is_none();
        self.checks.demand(is_alone, self.now_ms, || {
            format!("P5: {program} waters zone {zone_idx} beside zone {other:?} of the same group")
        });
    }

    fn take_entry(&mut self, entry: &Entry) {
        #[cfg(test)]
        if let Some(told) = &mut self.told {
            told.entries.push((START.plus_ms(self.now_ms), entry.clone()));
        }
        if matches!(entry.event, Event::Skipped | Event::Refused) {
            *self.report.skips.entry(entry.reason.code()).or_default() += 1;
        }
        self.note_pump_entry(entry.event, &entry.reason);
        self.note_meter_entry(entry);
        let Some(zone_idx) = entry.zone.as_ref().and_then(|zone| self.zone_idx(zone)) else { return };
        if let Some(known) = self.gateway.known.get_mut(zone_idx) {
            if entry.event == Event::Started {
                known.is_started = true;
                known.turn = in_turn(entry);
                // What a pause left of a person's run goes on as a run once, by the engine.
                known.is_manual =
                    matches!(entry.by, By::Person(_)) || matches!(entry.reason, Reason::RunOnce { .. });
                known.is_program = matches!(entry.by, By::Program(_));
            } else if entry.event == Event::Stopped {
                known.is_started = false;
            }
            if matches!(entry.event, Event::Stopping | Event::Stopped) {
                known.turn = None;
            }
        }
        if entry.event == Event::Started {
            self.check_turn(zone_idx);
        }
        if let Some(volume) = entry.volume {
            self.keep(Row::Told { zone_idx, ml: volume.0.into() });
        }
    }

    pub(super) fn check_command(&mut self, command: CommandId) {
        let is_risen = command.0 > self.gateway.next_command;
        self.checks.demand(is_risen, self.now_ms, || format!("P4: command {} does not rise", command.0));
        self.gateway.next_command = self.gateway.next_command.max(command.0);
    }

    /// P3, P4 and P6 at the moment of an Open.
    fn check_open(
        &mut self,
        zone_idx: usize,
        command: CommandId,
        (run_s, ttl_s): (u32, u32),
        reason: &Reason,
    ) {
        self.check_command(command);
        let now_ms = self.now_ms;
        let Some(id) = self.farm.zone_ids.get(zone_idx) else { return };
        let (Some(plan), Some(known)) = (self.farm.plan.zones.get(id), self.gateway.known.get(zone_idx))
        else {
            return;
        };
        let is_offline = self.is_offline(self.node_of_zone(zone_idx));
        let is_source_in_order = self.is_source_in_order(zone_idx);
        let is_kept = matches!(reason, Reason::LeaseRenewed { .. }) && self.is_kept_by_pump(zone_idx);
        let code = reason.code();
        let paused = &self.gateway.paused;
        let of_zone = paused.zones_suspended_until.get(id).copied();
        let paused_until = paused.rain_delay_until.max(paused.suspended_until).max(of_zone);
        let wall = self.now().wall;
        let is_paused = wall.is_some_and(|wall| Some(wall) < paused_until);
        let offset_min = self.farm.plan.utc_offset_min;
        let is_open = wall.is_none_or(|wall| {
            hours::is_within(plan.window, wall, offset_min)
                && !hours::is_without_water(&self.farm.plan, plan, wall)
        });
        let is_by_hour = |program: &ProgramId| {
            let plan = self.farm.plan.programs.get(program);
            let by_hand_ms = self.gateway.by_hand_ms.get(program);
            let is_by_hand = by_hand_ms.is_some_and(|began_ms| now_ms.saturating_sub(*began_ms) < 2 * DAY_MS);
            let may_begin =
                plan.zip(wall).is_some_and(|(plan, wall)| hours::may_begin(&plan.windows, wall, offset_min));
            let may_begin = may_begin && is_open;
            is_by_hand || (may_begin && !is_paused && !self.gateway.switched_off.contains(program))
        };
        let is_in_hours =
            if let Reason::ProgramRun { program, .. } = reason { is_by_hour(program) } else { is_open };
        let checks = &mut self.checks;
        let mut demand = |is_kept, what: &str| {
            checks.demand(is_kept, now_ms, || format!("{what}: {id} is opened for {code}"));
        };
        demand((1..=plan.lease_s).contains(&run_s), "P3 lease");
        demand((1..=self.farm.plan.timing.ttl_s).contains(&ttl_s), "P4 time to live");
        demand(!known.is_locked, "P6 lock");
        demand(!is_offline, "P6 offline");
        demand(!known.has_fault, "P6 fault");
        demand(is_source_in_order, "P6 fault of the source");
        let is_first = reason.is_dryness();
        let is_by_program = matches!(reason, Reason::ProgramRun { .. });
        let is_by_hand = matches!(reason, Reason::ManualStart { .. } | Reason::RunOnce { .. });
        if is_by_hand || (!is_first && !is_by_program && known.is_manual) {
            return;
        }
        demand(self.gateway.offset_ms.is_some(), "P6 clock");
        demand(!is_paused || !is_first || known.is_started, "P6 pause");
        demand(is_in_hours || !(is_first || is_by_program) || known.is_started, "P6 hours");
        if is_by_program || (!is_first && known.is_program) {
            return;
        }
        // A device that dates its own readings is believed by the clock, and the first one of a run stands against nothing.
        if self.farm.stations.get(&zone_idx).copied().unwrap_or(false)
            && self.gateway.is_first_clock_right == Some(false)
        {
            return;
        }
        let oldest_ms = now_ms.saturating_sub(u64::from(plan.fresh_s) * 1000 + DATE_MS_MAX);
        let plausible = plan.plausible.0.get()..=plan.plausible.1.get();
        let is_good = |(at_ms, value): &&(u64, Option<u16>)| {
            *at_ms >= oldest_ms && value.is_some_and(|value| plausible.contains(&u32::from(value)))
        };
        let good = known.probes.values().filter(is_good);
        let mut values: Vec<u16> = good.filter_map(|(_, value)| *value).collect();
        values.sort_unstable();
        demand(values.len() * 2 > plan.probes.len(), "P6 reading");
        // An Open that is repeated carries the reason of its run, whose soil may have come a little above since.
        let limit = if is_first && !known.is_started { plan.soil.start() } else { plan.soil.stop() };
        let is_dry = values.first().is_some_and(|value| u32::from(*value) <= limit.get());
        demand(is_dry || is_kept, "P6 dry");
    }

    /// A message from a node.
    pub(super) fn hear(&mut self, node_idx: usize, up: Up) {
        let Some(node_id) = self.farm.node_ids.get(node_idx).cloned() else { return };
        if !self.is_gateway_up() {
            return;
        }
        match up {
            Up::Hello(hello) => self.greet(node_idx, &hello),
            Up::Records(records) => self.take_records(node_idx, &records),
            Up::Answer(command, refused) => {
                self.checks.note(self.now_ms, || format!("{node_id} answers {} {refused:?}", command.0));
                self.feed(Input::Answer { command, refused });
            }
            Up::Gone => {
                self.gateway.is_offline.insert(node_idx, true);
                self.hears_of(node_idx, None);
                self.checks.note(self.now_ms, || format!("{node_id} is gone"));
                self.feed(Input::NodeOffline { node: &node_id });
            }
        }
    }

    fn greet(&mut self, node_idx: usize, hello: &Hello) {
        let now = self.now();
        let Some(node_id) = self.farm.node_ids.get(node_idx).cloned() else { return };
        self.gateway.is_offline.insert(node_idx, false);
        self.hears_of(node_idx, Some(Position { epoch: hello.epoch, seq: 0 }));
        let is_clock_right = self.gateway.offset_ms == Some(0);
        let Some(session) = self.gateway.sessions.get_mut(node_idx) else { return };
        let Greeting::Welcome { stored, dating, missing } =
            session.handle_hello(hello, Heard { wall: now.wall, mono: now.mono })
        else {
            self.checks.demand(false, self.now_ms, || format!("P1: {node_id} counts from anew"));
            return;
        };
        self.checks.demand(!missing, self.now_ms, || {
            format!("P1: {node_id} released up to {:?}, stored is less", hello.released)
        });
        if let Some(dating) = dating {
            let key = (node_idx, hello.epoch);
            self.gateway.is_dated_well.insert(key, is_clock_right);
            self.keep(Row::Dating { node_idx, epoch: hello.epoch, dating });
        }
        self.gateway.next_counter = self.gateway.next_counter.max(hello.counter);
        let valves: Vec<_> =
            hello.valves.iter().map(|valve| (valve.valve, valve.open, valve.command)).collect();
        self.checks.note(self.now_ms, || format!("{node_id} says hello {valves:?}"));
        self.send_down(
            node_idx,
            Down::Welcome { nonce: hello.nonce, unix: now.wall, stored, is_clock_right },
        );
        self.feed(Input::NodeOnline { node: &node_id, valves: &valves });
    }

    fn take_records(&mut self, node_idx: usize, records: &Records) {
        let Now { mono, wall } = self.now();
        let Some(session) = self.gateway.sessions.get_mut(node_idx) else { return };
        match session.handle_records(records, Heard { wall, mono }) {
            Verdict::Take(taken) => self.take(node_idx, records, &taken),
            Verdict::Repeat | Verdict::Gap => {
                let stored = session.stored.unwrap_or_default();
                self.send_down(node_idx, Down::Ack(stored));
            }
            // They wait on the node until the clock is set.
            Verdict::Undated => {}
            Verdict::Malformed => {
                self.checks.demand(false, self.now_ms, || "P2: a run of records is malformed".to_owned());
            }
        }
    }

    fn take(&mut self, node_idx: usize, records: &Records, taken: &Taken) {
        let now_ms = self.now_ms;
        let is_new =
            |record: &&Record| Position { epoch: records.epoch, seq: record.last_seq() } > taken.after;
        let n_new = records.records.iter().filter(is_new).count();
        let n_taken = taken.samples.len() + taken.valves.len() + taken.lost.len();
        self.checks.demand(n_new == n_taken, now_ms, || format!("P2: {n_taken} of {n_new} records taken"));
        if let Some(dating) = taken.new_dating {
            self.keep(Row::Dating { node_idx, epoch: records.epoch, dating });
        }
        self.hears_of(node_idx, Some(taken.last));
        let n_records = u64::try_from(n_new).unwrap_or(0);
        self.keep(Row::Mark { node_idx, after: taken.after, last: taken.last, n_records });
        self.check_dates(node_idx, records, taken);
        let readings = records.records.iter().filter(|record| {
            matches!(record.body, giot_shared::wire::Body::Reading(_))
                && Position { epoch: records.epoch, seq: record.seq } > taken.after
        });
        let mut uptimes = readings.map(|record| record.uptime);
        for (samples, valve) in taken.in_order() {
            for (sample, uptime) in samples.iter().zip(&mut uptimes) {
                self.feed_sample(node_idx, (records.epoch, uptime), sample);
            }
            if let Some(event) = valve {
                self.feed_valve(node_idx, event);
            }
        }
    }

    /// P2: what was dated while the clock was right has its true time.
    fn check_dates(&mut self, node_idx: usize, records: &Records, taken: &Taken) {
        let is_well = self.gateway.is_dated_well.get(&(node_idx, records.epoch)).copied().unwrap_or(false);
        let Some(node) = self.nodes.get(node_idx).filter(|node| is_well && node.epoch == records.epoch)
        else {
            return;
        };
        let (Some(record), Some(sample)) = (records.records.last(), taken.samples.last()) else { return };
        let true_at = START.plus_ms(node.true_ms(record.uptime));
        let off_ms = true_at.0.abs_diff(sample.at_us.div_euclid(1000));
        // The last sample may stand before valve events of the same run of records.
        let is_last = taken.valves.is_empty();
        self.checks.demand(!is_last || off_ms <= DATE_MS_MAX, self.now_ms, || {
            format!("P2: a reading of node {node_idx} is dated {off_ms} ms off")
        });
    }

    fn feed_sample(&mut self, node_idx: usize, (epoch, uptime): (u32, UptimeMs), sample: &Sample) {
        if self.take_gauge(node_idx, (epoch, uptime), sample) {
            return;
        }
        let Some(node_id) = self.farm.node_ids.get(node_idx).cloned() else { return };
        let at = UnixMs(sample.at_us.div_euclid(1000));
        let percent = sample.value.map(|value| as_moisture_percent(&sample.metric, value));
        let moisture = percent.and_then(MoisturePermyriad::from_percent);
        let level = moisture.map(Level::from);
        let good = sample.quality == Quality::Good && moisture.is_some();
        let Ok(metric) = sample.metric.parse() else { return };
        let line_idx =
            sample.metric.rsplit_once('_').and_then(|(_, n)| n.parse::<usize>().ok()).unwrap_or(0) / 4;
        let zone_idx = self.farm.zones_of(node_idx).nth(line_idx);
        // Epochs of the past have no true time here; they are older than what is fresh.
        let node = self.nodes.get(node_idx).filter(|node| node.epoch == epoch);
        let true_ms = node.map_or(0, |node| node.true_ms(uptime));
        // A station's zone does not ask the probes that its node has.
        if let Some(zone_idx) = zone_idx.filter(|idx| !self.farm.stations.contains_key(idx)) {
            self.know(zone_idx, &sample.metric, true_ms, moisture.filter(|_| good));
        }
        let age = sample.age;
        self.check_age(node_idx, (epoch, uptime), age);
        self.feed(Input::Reading { device: &node_id, metric: &metric, at, age, level, good });
        let newest = Newest { at, level, good, milli: None };
        self.keep(Row::Newest { node_idx, metric, newest });
    }

    /// P6: no reading of a node counts as younger than it is, whatever the clock does meanwhile.
    pub(super) fn check_age(&mut self, node_idx: usize, (epoch, uptime): (u32, UptimeMs), age: Age) {
        let Some(node) = self.nodes.get(node_idx) else { return };
        // Of an epoch that is over it is only known that it ended before the present one began.
        let taken_ms = if node.epoch == epoch { node.true_ms(uptime) } else { node.boot_ms };
        let true_ms = self.now_ms.saturating_sub(taken_ms);
        let is_true = match age {
            Age::Counted(age_ms) => age_ms.saturating_add(DATE_MS_MAX) >= true_ms,
            Age::Dated => false,
            Age::Unknown => true,
        };
        self.checks.demand(is_true, self.now_ms, || {
            format!("P6: a reading of node {node_idx} is {true_ms} ms old and counts as {age:?}")
        });
    }

    /// Notes what was delivered of a zone's probe, and when that was really measured.
    pub(super) fn know(
        &mut self,
        zone_idx: usize,
        metric: &str,
        taken_ms: u64,
        moisture: Option<MoisturePermyriad>,
    ) {
        let Some(known) = self.gateway.known.get_mut(zone_idx) else { return };
        let place = known.probes.entry(metric.to_owned()).or_default();
        if taken_ms >= place.0 {
            *place = (taken_ms, moisture.map(MoisturePermyriad::get));
        }
    }

    fn feed_valve(&mut self, node_idx: usize, event: &DatedValve) {
        let Some(node_id) = self.farm.node_ids.get(node_idx).cloned() else { return };
        let valve = ValveRef { node: node_id.clone(), valve: event.valve };
        let zone_idx = self.farm.zones_of(node_idx).nth(usize::from(event.valve.0));
        if let (Some(zone_idx), Some(volume)) = (zone_idx, event.volume) {
            self.keep(Row::Heard { zone_idx, ml: volume.0.into() });
        }
        self.checks.note(self.now_ms, || format!("{node_id} tells {event:?}"));
        if let Some(zone_idx) = zone_idx.filter(|_| !event.live) {
            self.note_late(zone_idx);
        }
        let look = zone_idx
            .filter(|_| event.live && !event.open)
            .map(|zone_idx| (zone_idx, event.run_ms, event.volume));
        self.feed(event.input(&valve));
        if let Some((zone_idx, run_ms, Some(volume))) = look {
            self.check_whole_run(zone_idx, run_ms, volume, event.command.is_none());
        }
    }

    /// The store keeps what is pending, all at once; then acknowledgements go out.
    pub(super) fn commit(&mut self) {
        self.check_owed();
        let now_ms = self.now_ms;
        let mut acks = BTreeMap::new();
        let mut is_about_water = false;
        let kept = &mut self.gateway.kept;
        for row in self.gateway.pending.drain(..) {
            is_about_water |= matches!(row, Row::Heard { .. } | Row::Told { .. });
            match row {
                Row::Zone(zone, memory) => {
                    kept.memory.zones.insert(zone, *memory);
                }
                Row::Source(source, memory) => {
                    kept.memory.sources.insert(source, *memory);
                }
                Row::Program(program, control) => {
                    kept.memory.programs.insert(program, control);
                }
                Row::Farm(farm) => kept.memory.farm = farm,
                Row::Guards(guards) => kept.memory.guards = *guards,
                Row::Mark { node_idx, after, last, n_records } => {
                    let mark = kept.marks.insert(node_idx, last).unwrap_or_default();
                    self.checks.demand(mark == after && after < last, now_ms, || {
                        format!("P2: node {node_idx}: {after:?}–{last:?} is stored behind {mark:?}")
                    });
                    kept.n_records += n_records;
                    acks.insert(node_idx, last);
                }
                Row::Dating { node_idx, epoch, dating } => {
                    kept.datings.insert((node_idx, epoch), dating);
                }
                Row::Heard { zone_idx, ml } => *kept.heard_ml.entry(zone_idx).or_default() += ml,
                Row::Newest { node_idx, metric, newest } => {
                    kept.newest.insert((node_idx, metric), newest);
                }
                Row::Told { zone_idx, ml } => *kept.told_ml.entry(zone_idx).or_default() += ml,
            }
        }
        let is_even = !is_about_water || kept.heard_ml == kept.told_ml;
        self.checks.demand(is_even, now_ms, || "P7: the diary tells other litres than the nodes".to_owned());
        for (node_idx, last) in acks {
            if let Some(session) = self.gateway.sessions.get_mut(node_idx) {
                session.handle_stored(last);
            }
            self.send_down(node_idx, Down::Ack(last));
        }
    }

    /// P6: what does not flow has its reason. A drained engine leaves no zone that is dry, free to start and idle.
    pub(super) fn check_views(&mut self) {
        let now = self.now();
        let Some(engine) = &self.gateway.engine else { return };
        for id in &self.farm.zone_ids {
            let Some(view) = engine.zone_view(id, now) else { continue };
            if let ZoneState::Idle { why } | ZoneState::Waiting { why } = view.state {
                let is_explained = !why.is_dryness();
                self.checks
                    .demand(is_explained, now.mono.0, || format!("P6: {id} is dry and idle for no reason"));
            }
        }
    }

    /// Keeps how every zone stands, for a test.
    #[cfg(test)]
    pub(super) fn tell_views(&mut self) {
        let (now, at) = (self.now(), self.true_unix());
        let (Some(engine), Some(told)) = (&self.gateway.engine, &mut self.told) else { return };
        let views = self.farm.zone_ids.iter().filter_map(|id| engine.zone_view(id, now));
        told.views.extend(views.map(|view| (at, view)));
    }

    /// A person clears the fault of a zone; whether there was one.
    pub(super) fn forget_fault(&mut self, zone_idx: usize) -> bool {
        let is_up = self.is_gateway_up();
        let known = self.gateway.known.get_mut(zone_idx).filter(|_| is_up);
        known.is_some_and(|known| std::mem::take(&mut known.has_fault))
    }

    pub(super) fn count_refusal(&mut self, refusal: RefusalReason) {
        *self.report.refusals.entry(refusal.code()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use giot_engine::Pause;

    use super::super::dice::Dice;
    use super::super::farm::Farm;
    use super::super::season::MINUTE_MS;
    use super::*;

    /// Season 4, day 177: somebody watered a wet zone, and somebody paused all water; what was left went on afterwards, and
    /// the season took that for a run by the soil.
    #[test]
    fn the_rest_of_a_paused_run_by_hand_is_judged_as_one_by_hand() {
        let mut world = World::new(Farm::new(6, &mut Dice::new(4, 1)).unwrap(), 4, false);
        world.begin();
        world.forget_troubles();
        let zone = world.farm.zone_ids[0].clone();
        let mut minutes = 0;
        let mut wait = |world: &mut World, n: u64| {
            minutes += n;
            world.run_until(minutes * MINUTE_MS);
        };
        wait(&mut world, 120);
        // Wet beyond the stop threshold, which ends no run by hand.
        for _ in 0..2 {
            world.feed(Input::ManualStart { zone: &zone, run_s: 7200, by: "Minh" });
            wait(&mut world, 150);
        }
        let n_runs = world.report.n_runs;
        world.feed(Input::ManualStart { zone: &zone, run_s: 7200, by: "Minh" });
        wait(&mut world, 5);
        let until = Some(START.plus_ms(world.now_ms + 10 * MINUTE_MS));
        world.feed(Input::Pause { kind: Pause::Water, until, by: "Lan" });
        wait(&mut world, 150);
        assert!(world.report.n_runs >= n_runs + 2, "what was left goes on");
        let view = world.gateway.engine.as_ref().unwrap().zone_view(&zone, world.now()).unwrap();
        let stop = world.farm.plan.zones[&zone].soil.stop();
        assert!(view.level.unwrap() > stop, "{:?} is not above {stop:?}", view.level);
        assert_eq!(world.checks.first, None);
    }
}
