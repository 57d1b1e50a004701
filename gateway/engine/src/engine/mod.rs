//! Dispatch: inputs to zones, timers, the queue before each source. What concerns programs is in `programs`.
//!
//! The engine looks only at zones that an input concerns; a zone's rules are its own (`zone`), the choice between zones is
//! made here. Everything is ordered by zone name, so that equal inputs give equal actions (P10).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use giot_shared::ids::{CommandId, NodeId, ValveId};
use giot_shared::time::MonoMs;

use crate::Now;
use crate::diary::{Action, By, Entry, Event};
use crate::ids::{MetricName, ValveRef, ZoneId};
use crate::input::Input;
use crate::memory::Memory;
use crate::network::{Barrier, Network};
use crate::plan::{Plan, ProblemKind, Timing};
use crate::probe::News;
use crate::program::Group;
use crate::reason::Reason;
use crate::rules::Rules;
use crate::schedule::Schedule;
use crate::turns::Turns;
use crate::view::ZoneView;
use change::{Before, Next, Way};
use guards::Guards;
use pumps::Pumps;

use crate::zone::{Measured, Phase, RunKind, Turn, ValveWord, Verdict, Zone};

/// Civil and monotonic time may drift apart by so much before everything is looked at anew: clocks are slewed, not only
/// stepped, and two seconds matter to no window.
const CLOCK_STEP_MS: u64 = 2000;

mod change;
mod day;
mod guards;
mod programs;
mod pumps;
mod rules;
mod sets;

pub use rules::ZoneSigns;

/// The irrigation engine of one farm.
#[derive(Debug)]
pub struct Engine {
    out: Out,
    /// In the order of their names.
    zones: Vec<Zone>,
    zone_idx: BTreeMap<ZoneId, usize>,
    /// By device and metric: zone and probe within it.
    probes: BTreeMap<NodeId, BTreeMap<MetricName, Vec<(usize, usize)>>>,
    valves: BTreeMap<NodeId, BTreeMap<ValveId, usize>>,
    network: Network,
    turns: Turns,
    pumps: Pumps,
    guards: Guards,
    schedule: Schedule,
    /// When the next program starts.
    schedule_at: Option<MonoMs>,
    /// When the next day begins.
    day_at: Option<MonoMs>,
    /// The gateway stops: nothing starts any more.
    is_stopping: bool,
    /// The way of each zone's water, in the order of the zones.
    ways: Vec<Way>,
    /// The plan that takes over as soon as what it has no place for is closed.
    next: Option<Next>,
    /// What is remembered of zones, programs and sources that the plan does not name.
    attic: Memory,
    /// What is known of the sessions of nodes, also of those that no zone has.
    sessions: BTreeMap<NodeId, bool>,
    timers: BTreeSet<(MonoMs, usize)>,
    last_mono: MonoMs,
    /// Civil minus monotonic time when everything was last looked at.
    clock_offset_ms: Option<i64>,
    /// The same as it last was known: what a person asked for goes by the time that passes.
    clock_known_ms: Option<i64>,
    /// The furthest ahead that this difference ever was.
    clock_ahead_max_ms: Option<i64>,
    /// Kept to save an allocation per input.
    touched: Vec<usize>,
}

/// What leaves the engine.
#[derive(Debug)]
struct Out {
    started_at: MonoMs,
    timing: Timing,
    rules: Rules,
    next_command: CommandId,
    actions: VecDeque<Action>,
    owners: BTreeMap<CommandId, usize>,
}

impl Out {
    fn turn(&mut self, now: Now) -> Turn<'_> {
        Turn {
            now,
            started_at: self.started_at,
            timing: &self.timing,
            rules: &self.rules,
            next_command: &mut self.next_command,
            actions: &mut self.actions,
            owners: &mut self.owners,
        }
    }
}

impl Engine {
    /// An engine at the start of the gateway.
    ///
    /// Every valve is unknown until its node confirms it closed (a Close is sent for that) or its longest possible lease
    /// has passed; an unknown valve holds its source. `next_command` must be above every number ever given out, also
    /// before a crash: reserve numbers in blocks. Zones that [`Plan::check`] objects to are kept but never opened.
    #[must_use]
    pub fn new(plan: Plan, memory: Memory, next_command: CommandId, now: Now) -> Self {
        let of_zones = memory.zones.values().map(|kept| kept.open);
        let opens = of_zones.chain(memory.sources.values().map(|kept| kept.open));
        let last_remembered = opens.flatten().map(|open| open.command.0).max();
        let next_command =
            CommandId(next_command.0.max(last_remembered.map_or(0, |last| last.saturating_add(1))));
        Self::assemble(plan, memory, next_command, now, None)
    }

    /// An engine for a plan, at the start of the gateway or in place of the one `before`: zones that keep their valve and
    /// pumps that keep their plan are taken over as they stand, whatever else there is begins as after a start.
    fn assemble(
        plan: Plan,
        mut memory: Memory,
        next_command: CommandId,
        now: Now,
        before: Option<Before>,
    ) -> Self {
        let mut problems = plan.problems_by_zone();
        let rules = Rules::new(&plan);
        let farm = std::mem::take(&mut memory.farm);
        let schedule = Schedule::new(&rules, &mut memory.programs, farm, &plan.problems_by_program());
        let pumps = Pumps::new(&plan, &mut memory.sources, now, next_command);
        let guards = Guards::new(&plan, std::mem::take(&mut memory.guards), now);
        let mut engine = Self {
            out: Out {
                started_at: now.mono,
                timing: plan.timing,
                rules,
                next_command,
                actions: VecDeque::new(),
                owners: BTreeMap::new(),
            },
            zones: Vec::with_capacity(plan.zones.len()),
            zone_idx: BTreeMap::new(),
            probes: BTreeMap::new(),
            valves: BTreeMap::new(),
            network: Network::new(&plan),
            turns: Turns::default(),
            pumps,
            guards,
            schedule,
            schedule_at: None,
            day_at: None,
            is_stopping: false,
            ways: plan.zones.values().map(|zone| plan.way(zone)).collect(),
            next: None,
            attic: Memory::default(),
            sessions: BTreeMap::new(),
            timers: BTreeSet::new(),
            last_mono: now.mono,
            clock_offset_ms: clock_offset_ms(now),
            clock_known_ms: clock_offset_ms(now),
            clock_ahead_max_ms: clock_offset_ms(now),
            touched: Vec::new(),
        };
        engine.guards.take_pause(&engine.schedule.farm, now);
        let is_new_plan = before.is_some();
        let mut kept = before.map(|before| engine.take_over(before)).unwrap_or_default();
        for (idx, (id, zone_plan)) in plan.zones.into_iter().enumerate() {
            let own = problems.remove(&id).unwrap_or_default();
            let invalid = own.first().map(ProblemKind::code);
            let is_shared = own.iter().any(|kind| matches!(kind, ProblemKind::ValveShared(_)));
            for (probe_idx, probe) in zone_plan.probes.iter().enumerate() {
                let metrics = engine.probes.entry(probe.device.clone()).or_default();
                metrics.entry(probe.metric.clone()).or_default().push((idx, probe_idx));
            }
            if !is_shared {
                let valves = engine.valves.entry(zone_plan.valve.node.clone()).or_default();
                valves.insert(zone_plan.valve.valve, idx);
            }
            engine.zone_idx.insert(id.clone(), idx);
            let remembered = memory.zones.remove(&id).unwrap_or_default();
            let mut zone = engine.zone_for(idx, id, (zone_plan, invalid), remembered, &mut kept, now);
            if is_shared {
                zone.mute();
            }
            zone.heed_pauses(&engine.schedule.farm);
            zone.set_slack_s(engine.pumps.slack_s(idx, zone.plan.lease_s, &engine.out.timing));
            engine.zones.push(zone);
        }
        engine.attic = memory;
        engine.hold_closes(&kept.zone_idxs, &kept.pump_idxs);
        for idx in 0..engine.zones.len() {
            engine.hold(idx);
        }
        for idx in 0..engine.zones.len() {
            engine.settle(idx, now);
        }
        engine.run_guards(now);
        engine.begin_day(now, is_new_plan);
        engine.run_programs(now);
        engine.run_pumps(now);
        engine
    }

    /// Takes in what happened. The monotonic line never goes back: an earlier moment counts as the last one.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        let now = Now { mono: now.mono.max(self.last_mono), wall: now.wall };
        self.last_mono = now.mono;
        self.clock_ahead_max_ms = self.clock_ahead_max_ms.max(clock_offset_ms(now));
        self.keep_wishes(now);
        let mut touched = std::mem::take(&mut self.touched);
        // What is due comes first, so that an input meets the state of its moment.
        while let Some((at, idx)) = self.timers.first().copied().filter(|(at, _)| *at <= now.mono) {
            self.timers.remove(&(at, idx));
            if let Some(zone) = self.zones.get_mut(idx) {
                zone.timer = None;
            }
            touched.push(idx);
        }
        self.settle_all(&mut touched, now);
        self.apply(now, input, &mut touched);
        self.run_guards(now);
        if self.is_clock_stepped(now) {
            self.schedule.forget_starts();
            self.guards.clock_set(&self.schedule.farm, now);
            let doubt_ms = self.clock_doubt_ms(now);
            self.zones.iter_mut().for_each(|zone| zone.date_readings(now, doubt_ms));
            touched.clear();
            touched.extend(0..self.zones.len());
        }
        self.settle_all(&mut touched, now);
        self.touched = touched;
        self.begin_day(now, false);
        self.run_programs(now);
        self.run_pumps(now);
        self.call_staggered(now);
        self.call_turns(now);
        self.run_guards(now);
        self.run_pumps(now);
        if self.guards.is_gate_changed {
            // A pump has failed just now, or works again.
            self.run_guards(now);
            self.run_pumps(now);
        }
        self.take_next_plan(now);
    }

    /// The next thing to do; drain after each [`Self::handle`] and after [`Self::new`].
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.actions.pop_front()
    }

    /// The earliest moment at which [`Input::Timeout`] is wanted.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<MonoMs> {
        let zone_at = self.timers.first().map(|(at, _)| *at);
        let pump_at = self.pumps.wake_at(self.last_mono);
        let stagger_at = self.network.stagger_over_at();
        let turn_at = self.turns.wake_at();
        [zone_at, self.schedule_at, self.day_at, pump_at, stagger_at, turn_at, self.guards.wake_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The number that the next command will have.
    #[must_use]
    pub fn next_command(&self) -> CommandId {
        self.out.next_command
    }

    /// The zones, in the order of their names.
    pub fn zone_ids(&self) -> impl Iterator<Item = &ZoneId> {
        self.zone_idx.keys()
    }

    /// What a page shows of a zone, `None` for an unknown one.
    #[must_use]
    pub fn zone_view(&self, zone: &ZoneId, now: Now) -> Option<ZoneView> {
        let idx = *self.zone_idx.get(zone)?;
        let zone = self.zones.get(idx)?;
        let verdict = zone.verdict(now, &self.out.rules);
        let no_room = self.no_room(idx, now).or_else(|| Some(self.other_turn(idx, now, verdict.kind()?)?.0));
        Some(zone.view(now, &self.out.rules, no_room))
    }

    /// What a node told of a valve, for its zone, its pump and the count of what the soil lacks.
    fn valve_state(
        &mut self,
        now: Now,
        valve: &ValveRef,
        word: ValveWord,
        run_ms: u64,
        touched: &mut Vec<usize>,
    ) {
        let idx = self.valves.get(&valve.node).and_then(|valves| valves.get(&valve.valve)).copied();
        let is_over = !word.is_open;
        let word = match idx {
            Some(idx) if is_over => self.by_stated_meter(idx, word),
            _ => word,
        };
        if let Some(zone) = idx.filter(|_| is_over).and_then(|idx| self.zones.get_mut(idx)) {
            zone.note_water(now, run_ms, word.measured.volume);
        }
        if let Some(idx) = idx.filter(|_| word.is_live && is_over) {
            // Who opened it by hand may have left its pump off.
            let may_be_dry = word.command.is_none() && self.pumps.feed(idx);
            self.whole_run(now, idx, run_ms, (word.measured.volume, may_be_dry));
        }
        if let Some(idx) = idx.filter(|_| !word.is_live) {
            self.heard_late(now, idx);
        }
        self.with(now, idx, touched, |zone, turn| zone.valve_word(turn, word));
        if let Some(idx) = self.pumps.by_valve(&valve.node, valve.valve) {
            self.with_pump(now, idx, |pump, turn| pump.valve_word(turn, word));
        } else if idx.is_none() && is_over {
            self.tell_of_no_zone(now, valve, word);
        }
    }

    fn apply(&mut self, now: Now, input: Input<'_>, touched: &mut Vec<usize>) {
        match input {
            Input::Reading { device, metric, at, age, level, good } => {
                let news =
                    News { at, age, value: level.filter(|_| good), doubt_ms: self.clock_doubt_ms(now) };
                let slots = self.probes.get(device).and_then(|metrics| metrics.get(metric));
                for (zone_idx, probe_idx) in slots.into_iter().flatten().copied() {
                    let Some(zone) = self.zones.get_mut(zone_idx) else { continue };
                    if zone.accept_reading(now, probe_idx, news) {
                        touched.push(zone_idx);
                    }
                }
            }
            Input::Lack { zone, age_ms, lack } => {
                self.take_lack(now, zone, age_ms, lack.map_err(str::to_owned))
            }
            Input::Gauge { device, metric, at, age, milli } => {
                self.gauge(now, device, metric, (at, age), milli);
            }
            Input::ValveState { valve, open, command, closed_by, run_ms, volume, live } => {
                // Of a run that a reset cut the node does not know how long it was.
                let measured =
                    Measured { run_ms: Some(run_ms).filter(|run_ms| !open && *run_ms > 0), volume };
                let word = ValveWord { is_open: open, command, closed_by, measured, is_live: live };
                self.valve_state(now, valve, word, run_ms, touched);
            }
            Input::Answer { command, refused } => {
                let idx = self.out.owners.get(&command).copied();
                self.with(now, idx, touched, |zone, turn| zone.answer(turn, command, refused));
                if let Some(idx) = self.pumps.owners.get(&command).copied() {
                    self.with_pump(now, idx, |pump, turn| pump.answer(turn, command, refused));
                }
            }
            Input::NodeOnline { node, valves } => self.node_online(now, node, valves, touched),
            Input::NodeOffline { node } => {
                self.sessions.insert(node.clone(), false);
                for (_, idx) in self.pumps.node_valves(node) {
                    self.with_pump(now, idx, |pump, turn| pump.node_offline(turn));
                }
                for idx in self.valves.get(node).cloned().unwrap_or_default().into_values() {
                    self.with(now, Some(idx), touched, |zone, turn| zone.node_offline(turn));
                }
            }
            Input::ManualStart { zone, run_s, by } => self.manual_start(now, zone, run_s, by, touched),
            Input::Extend { zone, by_s, by } => {
                self.wish(now, zone, by, touched, |zone, turn| zone.extend(turn, by_s, by));
            }
            Input::Irrigated { zone, run_s, litres, by } => {
                self.note_hand_water(now, zone, run_s, litres);
                self.wish(now, zone, by, touched, |zone, turn| zone.irrigated(turn, run_s, litres, by));
            }
            Input::ManualStop { zone, by } => self.wish(now, zone, by, touched, |zone, turn| {
                zone.manual_stop(turn, Reason::ManualStop {}, by);
            }),
            Input::Lock { zone, by, note } => {
                self.wish(now, zone, by, touched, |zone, turn| zone.set_lock(turn, by, note));
            }
            Input::Unlock { zone, by } => {
                self.wish(now, zone, by, touched, |zone, turn| zone.unlock(turn, by))
            }
            Input::ClearFault { zone, by } => {
                if let Some(idx) = self.zone_idx.get(zone)
                    && self.zones.get(*idx).is_some_and(Zone::is_flow_in_question)
                {
                    self.guards.forget_flow(*idx);
                }
                self.wish(now, zone, by, touched, |zone, turn| zone.clear_fault(turn, by));
            }
            Input::Runs { set, runs, by } => self.run_set(now, set, runs, by),
            Input::ClearSource { source, by } => self.clear_source(now, source, by),
            Input::Program { program, wish, by } => self.program_wish(now, program, wish, by, touched),
            Input::Rule { rule, wish, values } => self.rule_wish(now, rule, wish, values, touched),
            Input::Pause { kind, until, by } => self.pause(now, kind, until, by),
            Input::SuspendZone { zone, until, by } => self.suspend_zone(now, zone, until, by),
            Input::StopAll { by } => self.stop_all(now, by, touched),
            Input::Plan { version, plan } => self.plan_changed(now, version, plan, touched),
            Input::Shutdown => self.shut_down(now, touched),
            Input::Timeout => {}
        }
    }

    fn node_online(
        &mut self,
        now: Now,
        node: &NodeId,
        valves: &[(ValveId, bool, Option<CommandId>)],
        touched: &mut Vec<usize>,
    ) {
        self.sessions.insert(node.clone(), true);
        let state_of = |valve: ValveId| {
            let state = valves.iter().find(|(id, _, _)| *id == valve);
            state.map(|(_, open, command)| (*open, *command))
        };
        for (valve, idx) in self.pumps.node_valves(node) {
            self.with_pump(now, idx, |pump, turn| pump.node_online(turn, state_of(valve)));
        }
        for (valve, idx) in self.valves.get(node).cloned().unwrap_or_default() {
            let state = state_of(valve);
            self.with(now, Some(idx), touched, |zone, turn| zone.node_online(turn, state));
        }
    }

    /// Lets a zone act and notes that it must be settled.
    fn with(
        &mut self,
        now: Now,
        idx: Option<usize>,
        touched: &mut Vec<usize>,
        act: impl FnOnce(&mut Zone, &mut Turn<'_>),
    ) {
        let Some((idx, zone)) = idx.and_then(|idx| Some((idx, self.zones.get_mut(idx)?))) else { return };
        act(zone, &mut self.out.turn(now));
        touched.push(idx);
    }

    /// Lets a zone act for a person; a zone that does not exist is told of.
    fn wish(
        &mut self,
        now: Now,
        zone: &ZoneId,
        by: &str,
        touched: &mut Vec<usize>,
        act: impl FnOnce(&mut Zone, &mut Turn<'_>),
    ) {
        let idx = self.zone_idx.get(zone).copied();
        if idx.is_none() {
            let reason = Reason::UnknownZone { zone: zone.clone() };
            self.tell_farm(now, Event::Refused, reason, by);
        }
        self.with(now, idx, touched, act);
    }

    fn manual_start(&mut self, now: Now, id: &ZoneId, run_s: u32, by: &str, touched: &mut Vec<usize>) {
        let no_room = self.no_room_at_once(id, now);
        let mut is_started = false;
        self.wish(now, id, by, touched, |zone, turn| match zone.manual_bar(turn).or(no_room) {
            Some(reason) => zone.refuse(turn, reason, by),
            None => {
                zone.manual_start(turn, run_s, by);
                is_started = true;
            }
        });
        if let Some(idx) = self.zone_idx.get(id).filter(|_| is_started) {
            self.network.note_start(*idx, now.mono);
        }
    }

    /// Why the network has no water for a zone that is to start at once or not at all. It waits for no master valve, which
    /// opens together with the zone's.
    fn no_room_at_once(&self, zone: &ZoneId, now: Now) -> Option<Reason> {
        let no_room = self.zone_idx.get(zone).and_then(|idx| self.no_room(*idx, now));
        let no_room = no_room.filter(|reason| !matches!(reason, Reason::PumpLead { .. }));
        no_room.or_else(|| self.is_stopping.then_some(Reason::GatewayStopping {}))
    }

    /// Whether every Close is on its way that [`Input::Shutdown`] calls for; those of valves that a pump relies on follow
    /// once it is off.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.is_stopping && self.zones.iter().all(|zone| !zone.is_running() && !zone.is_close_owed())
    }

    fn shut_down(&mut self, now: Now, touched: &mut Vec<usize>) {
        self.is_stopping = true;
        for idx in 0..self.zones.len() {
            let is_running = self.zones.get(idx).is_some_and(Zone::is_running);
            self.with(now, Some(idx).filter(|_| is_running), touched, |zone, turn| {
                zone.stop_for(turn, Reason::GatewayStopping {});
            });
        }
    }

    fn stop_all(&mut self, now: Now, by: &str, touched: &mut Vec<usize>) {
        self.tell_farm(now, Event::Stopping, Reason::StopAll {}, by);
        self.end_starts();
        // All stop before any is settled: a source that becomes free must not start the next zone.
        for idx in 0..self.zones.len() {
            self.with(now, Some(idx), touched, |zone, turn| zone.manual_stop(turn, Reason::StopAll {}, by));
        }
    }

    fn tell_farm(&mut self, now: Now, event: Event, reason: Reason, by: &str) {
        self.tell(now, None, event, By::Person(by.to_owned()), reason);
    }

    fn tell(&mut self, now: Now, zone: Option<ZoneId>, event: Event, by: By, reason: Reason) {
        self.out.actions.push_back(Action::Diary(Entry {
            at: now.wall,
            mono: now.mono,
            zone,
            event,
            command: None,
            by,
            reason,
            run_ms: None,
            volume: None,
        }));
    }

    fn is_clock_stepped(&mut self, now: Now) -> bool {
        let offset_ms = clock_offset_ms(now);
        let is_stepped = match (self.clock_offset_ms, offset_ms) {
            (None, None) => false,
            (Some(before), Some(after)) => before.abs_diff(after) > CLOCK_STEP_MS,
            (None, Some(_)) | (Some(_), None) => true,
        };
        if is_stepped {
            self.clock_offset_ms = offset_ms;
        }
        is_stepped
    }

    /// How far the clock has been set back since the start: by so much a date may look younger than it is.
    fn clock_doubt_ms(&self, now: Now) -> u64 {
        let back_ms =
            self.clock_ahead_max_ms.zip(clock_offset_ms(now)).map(|(max, now)| max.saturating_sub(now));
        back_ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0)
    }

    fn settle_all(&mut self, touched: &mut Vec<usize>, now: Now) {
        for idx in touched.drain(..) {
            self.settle(idx, now);
        }
    }

    /// Brings a zone, the network and its timer in line with what has become of it.
    fn settle(&mut self, idx: usize, now: Now) {
        let Some(zone) = self.zones.get_mut(idx) else { return };
        zone.tick(&mut self.out.turn(now));
        if matches!(zone.phase, Phase::Local(_)) {
            self.yield_to_local(idx, now);
        }
        self.guards.touch_zone(idx);
        self.hold(idx);
        self.queue(idx, now);
        self.dispatch(idx, now);
        self.keep_books(idx, now);
        self.tell_pumps(idx, now);
        self.call_turns(now);
    }

    /// Zones that waited for the end of another's run are called when that has come.
    fn call_turns(&mut self, now: Now) {
        for waiting in self.turns.called(now.mono) {
            self.network.poke(waiting);
            self.settle(waiting, now);
        }
    }

    /// Zones that waited because another one had just started are called when that is over.
    fn call_staggered(&mut self, now: Now) {
        if self.network.stagger_over_at().is_none_or(|at| at > now.mono) {
            return;
        }
        self.network.forget_staggers(now.mono);
        for idx in self.network.first_waiting() {
            self.network.poke(idx);
            self.settle(idx, now);
        }
        self.run_pumps(now);
    }

    /// Water that someone draws at a node cannot be refused: as many other runs end, the youngest first, as the network
    /// cannot carry beside it.
    fn yield_to_local(&mut self, idx: usize, now: Now) {
        self.hold(idx);
        let Some(by) = self.zones.get(idx).map(|zone| zone.desk.id.clone()) else { return };
        let flows_on = |zone: &Zone| zone.is_running() || matches!(zone.phase, Phase::Local(_));
        loop {
            let zones = &self.zones;
            let overdrawn = self.network.overdrawn(idx, |other| zones.get(other).is_some_and(flows_on));
            let running = overdrawn.into_iter().flatten();
            let running = running.filter_map(|other| Some((zones.get(other)?, other)));
            let youngest = running
                .filter(|(zone, _)| zone.is_running())
                .max_by_key(|(zone, other)| (zone.since, *other));
            let Some(other) = youngest.map(|(_, other)| other) else { return };
            if let Some(zone) = self.zones.get_mut(other) {
                zone.yield_to(&mut self.out.turn(now), by.clone());
            }
            self.pumps.touch_zone(other);
            self.hold(other);
            self.keep_books(other, now);
        }
    }

    /// Notes in the network whether the zone holds its branches.
    fn hold(&mut self, idx: usize) {
        let Some(zone) = self.zones.get(idx) else { return };
        self.network.set_held(idx, zone.holds_source());
        match zone.run() {
            Some(_) => self.turns.begin(idx, zone.start_of_run()),
            None => self.turns.end(idx, self.last_mono),
        }
    }

    /// Why the network has no water for a zone, in words for the diary.
    fn no_room(&self, idx: usize, now: Now) -> Option<Reason> {
        let name = |idx: usize| self.zones.get(idx).map(|zone| zone.desk.id.clone());
        let Some(barrier) = self.network.barrier(idx, now.mono) else {
            return self.pumps.barrier(idx, now).or_else(|| self.pumps.lead(idx, now));
        };
        match barrier {
            Barrier::Staggered { source, remaining_ms } => {
                Some(Reason::Staggered { source, remaining_s: remaining_ms.div_ceil(1000) })
            }
            Barrier::Busy { zone_idx } => Some(Reason::SourceBusy { zone: name(zone_idx)? }),
            Barrier::Kept { zone_idx } => Some(Reason::CapacityKept { zone: name(zone_idx)? }),
            Barrier::Full { source, in_use, wanted, capacity } => Some(Reason::CapacityFull {
                source,
                in_use_l_per_h: in_use,
                wanted_l_per_h: wanted,
                capacity_l_per_h: capacity,
            }),
        }
    }

    /// Whose turn it still is, and until when, where a program waters the zones of one group one after another: pumps, pipes and
    /// pauses may make a run later than its program has planned it. Runs that are meant to overlap do so at its end, and those
    /// of one start that are meant to be apart wait for as long after it.
    fn other_turn(&self, idx: usize, now: Now, kind: &RunKind) -> Option<(Reason, MonoMs)> {
        let id = kind.program()?;
        let sequence = &self.out.rules.programs.get(id)?.sequence;
        let overlap_ms = sequence.overlap_ms();
        let facts = |idx: usize| self.out.rules.site.zones.get(&self.zones.get(idx)?.desk.id);
        let group_of = |idx: usize| Some(facts(idx)?.group).filter(Group::is_in_turn);
        let group = group_of(idx)?;
        let is_other = |other: usize| other != idx && group_of(other) == Some(group);
        let others = self.turns.running().filter(|other| is_other(*other));
        let running = others.filter_map(|other| self.zones.get(other)).filter(|zone| zone.is_run_of(id));
        let early = |at: MonoMs| MonoMs(at.0.saturating_sub(overlap_ms));
        let until_end = running.filter_map(|zone| Some((zone, early(zone.run()?.ends_at()))));
        // What overlaps goes on at its moment; what runs on beyond its end is waited for all the same.
        let is_awaited = |until: MonoMs| overlap_ms == 0 || until > now.mono;
        let until_end = until_end.filter(|(_, until)| is_awaited(*until));
        let start_at = self.zones.get(idx)?.start_waiting(id);
        let ended = start_at.into_iter().flat_map(|start_at| self.turns.ended(id, start_at));
        let ended = ended.filter(|(other, _)| is_other(*other));
        let until_delay = ended.filter_map(|(other, at)| {
            let zone = self.zones.get(other)?;
            Some((zone, at.plus_ms(sequence.delay_after_ms(&zone.desk.id))))
        });
        let turns = until_end.chain(until_delay.filter(|(_, until)| *until > now.mono));
        let (zone, until) = turns.max_by_key(|(_, until)| *until)?;
        Some((Reason::ProgramTurn { zone: zone.desk.id.clone() }, until))
    }

    /// Puts a closed zone into the queue, or says why not.
    fn queue(&mut self, idx: usize, now: Now) {
        if self.zones.get(idx).is_none_or(Zone::holds_source) {
            return;
        }
        let no_room = self.no_room(idx, now);
        let Some(zone) = self.zones.get(idx) else { return };
        let verdict = zone.verdict(now, &self.out.rules);
        let is_ready = matches!(verdict, Verdict::Ready { .. });
        let kind = verdict.kind();
        let other_turn = kind.and_then(|kind| self.other_turn(idx, now, kind));
        let waits_test = kind.is_some_and(RunKind::is_test) && self.is_testing_beside(idx);
        if other_turn.is_none() && !waits_test && self.turns.leave(idx) {
            // What it wants now may begin at once: nothing else on its pipes has changed.
            self.network.poke(idx);
        }
        let no_room = no_room.or(other_turn.map(|(reason, _)| reason));
        let Some(zone) = self.zones.get_mut(idx) else { return };
        match (verdict, no_room) {
            (Verdict::Content(_), _) => zone.unskip(),
            (Verdict::Ready { .. }, Some(_)) if zone.is_handing_over(now) => {}
            (Verdict::Blocked(reason), _) | (Verdict::Ready { .. }, Some(reason)) => {
                zone.skip(&mut self.out.turn(now), reason);
            }
            (Verdict::Ready { .. }, None) => {}
        }
        self.network.set_waiting(idx, is_ready.then_some(now.mono));
    }

    /// Starts every waiting zone that the network has room for: what programs want first, then the driest, by name among
    /// equals. One that finds no room is overtaken by smaller ones until its patience ends; then its branch is kept for it.
    /// The others hear why they wait.
    fn dispatch(&mut self, of_zone: usize, now: Now) {
        if self.is_stopping {
            return;
        }
        let waiting = self.network.take_waiting(of_zone);
        let mut ranked = Vec::with_capacity(waiting.len());
        for (idx, since) in &waiting {
            let verdict = self.zones.get(*idx).map(|zone| zone.verdict(now, &self.out.rules));
            if let Some(Verdict::Ready { need, reason, kind, run_s }) = verdict {
                ranked.push((need, *idx, *since, (reason, kind, run_s)));
            }
        }
        ranked.sort_by_key(|(need, idx, ..)| (Reverse(*need), *idx));
        let patience_ms = u64::from(self.out.timing.patience_s) * 1000;
        for (_, idx, since, (reason, kind, run_s)) in ranked {
            if kind.is_test() && self.is_testing_beside(idx) {
                self.turns.wait(idx, now.mono, now.mono);
                continue;
            }
            if let Some((_, until)) = self.other_turn(idx, now, &kind) {
                self.turns.wait(idx, until, now.mono);
                continue;
            }
            if self.no_room(idx, now).is_some() {
                if now.mono.since_ms(since) >= patience_ms {
                    self.network.keep_for(idx);
                }
                continue;
            }
            let least = self.pumps.least_s(idx, now).filter(|(least_s, _)| *least_s > run_s);
            let least = least.map(|(least_s, source)| (least_s, source.clone()));
            self.network.note_start(idx, now.mono);
            self.pumps.touch_zone(idx);
            if let Some(zone) = self.zones.get_mut(idx) {
                let by = match &kind {
                    RunKind::Program(_) | RunKind::ByHand(_) => zone.take_errand(now),
                    RunKind::Soil | RunKind::Manual | RunKind::Rule => None,
                };
                let ((by, late), turn) = (by.unwrap_or((By::Engine, None)), &mut self.out.turn(now));
                let given_s = least.as_ref().map_or(run_s, |(least_s, _)| *least_s);
                zone.start(turn, kind, by.clone(), reason, given_s);
                if let Some(late) = late {
                    zone.tell_of_run(turn, by.clone(), late);
                }
                if let Some((_, source)) = least {
                    zone.tell_longer(turn, by, source, run_s);
                }
            }
            self.hold(idx);
            self.keep_books(idx, now);
        }
        for (idx, _) in waiting {
            self.queue(idx, now);
            self.keep_books(idx, now);
            self.tell_pumps(idx, now);
        }
    }

    /// Hands out changed memory and sets the zone's timer; an earlier one may stay, it is harmless.
    fn keep_books(&mut self, idx: usize, now: Now) {
        let Some(zone) = self.zones.get_mut(idx) else { return };
        if let Some(memory) = zone.take_memory() {
            let (zone, memory) = (zone.desk.id.clone(), Box::new(memory));
            self.out.actions.push_back(Action::Remember { zone, memory });
        }
        let Some(at) = zone.deadline(&self.out.turn(now)) else { return };
        if zone.timer.is_some_and(|timer| timer <= at) {
            return;
        }
        if let Some(timer) = zone.timer.replace(at) {
            self.timers.remove(&(timer, idx));
        }
        self.timers.insert((at, idx));
    }
}

fn clock_offset_ms(now: Now) -> Option<i64> {
    let mono = i64::try_from(now.mono.0).unwrap_or(i64::MAX);
    now.wall.map(|wall| wall.0.saturating_sub(mono))
}
