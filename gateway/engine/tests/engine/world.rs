//! An engine, its nodes and the network between them, in simulated time; after each event the promises are checked.

use std::collections::{BTreeMap, VecDeque};

use giot_engine::{
    Action, Age, By, Engine, Event, Input, Level, Memory, Now, Pause, Plan, PumpAction, PumpKind, Reason,
    SourceId, ValveRef, ZoneId, ZonePlan, ZoneState,
};
use giot_shared::ids::{CommandId, NodeId, ValveId};
use giot_shared::time::{MonoMs, UnixMs};
use giot_shared::units::Millilitres;
use giot_shared::valve::CloseReason;

use crate::farm::metric;
use crate::node::{Node, Order, Word};
use crate::op::{Network, Op, Told};
use crate::plans::{PlanChange, nodes_of, outputs};

/// From a valve's failure to the last moment at which a pump that knew nothing of it can have been given a lease: the way of
/// the news, and of an Open.
const NEWS_MS_MAX: u64 = 45_000 + 15_000;

const WALL_MS: i64 = 1_767_225_600_000;

/// What the test itself knows of a zone, to judge the engine by.
#[derive(Debug, Default)]
struct Known {
    is_locked: bool,
    has_fault: bool,
    is_manual: bool,
    /// A program began the run.
    is_program: bool,
    /// Good readings: when the sample was taken, and its value.
    samples: Vec<(u64, u16)>,
    /// Since when the probe is in doubt.
    doubt_ms: Option<u64>,
    n_confirmed: u32,
    is_started: bool,
    /// Opens since the run before ended.
    n_opens: u32,
}

/// The world.
pub(crate) struct World {
    /// The plan in force, the one that is to be, and the one that all are made from.
    plan: Plan,
    next: Option<Plan>,
    whole: Plan,
    n_plans: u32,
    zones: Vec<(ZoneId, ZonePlan)>,
    /// Until when a valve that failed unseen excuses pumps.
    excused_until_ms: u64,
    /// Of each node: how often it was reported open under a command.
    n_confirmed: Vec<u32>,
    engine: Engine,
    memory: Memory,
    /// Those of the zones, those of the pumps, those to spare.
    nodes: Vec<Node>,
    node_ids: Vec<NodeId>,
    /// Of each node: the gateway was told that it is gone.
    is_offline: Vec<bool>,
    known: Vec<Known>,
    mono_ms: u64,
    clock_offset_ms: Option<i64>,
    /// Nothing opens before.
    paused_until_ms: u64,
    random: u64,
    network: Network,
    /// Orders by arrival; words of each node in order.
    orders: BTreeMap<(u64, u64), (usize, Order)>,
    words: Vec<VecDeque<(u64, Word)>>,
    outbox: Vec<Vec<Word>>,
    n_sent: u64,
    last_command: u64,
    heard_ms: u64,
    told_ms: u64,
    n_timeouts: u64,
    pub(crate) log: Vec<String>,
}

impl World {
    pub(crate) fn new(plan: Plan, seed: u64) -> Self {
        let zones: Vec<_> = plan.zones.iter().map(|(id, zone)| (id.clone(), zone.clone())).collect();
        let now = Now { mono: MonoMs(1_000_000), wall: Some(UnixMs(WALL_MS)) };
        let node_ids = nodes_of(&plan);
        let n_nodes = node_ids.len();
        let mut world = Self {
            engine: Engine::new(plan.clone(), Memory::default(), CommandId(1), now),
            memory: Memory::default(),
            nodes: (0..n_nodes).map(|_| Node::default()).collect(),
            node_ids,
            is_offline: vec![false; n_nodes],
            excused_until_ms: 0,
            n_confirmed: vec![0; n_nodes],
            known: zones.iter().map(|_| Known::default()).collect(),
            mono_ms: 1_000_000,
            clock_offset_ms: Some(WALL_MS - 1_000_000),
            paused_until_ms: 0,
            random: seed | 1,
            network: Network::default(),
            orders: BTreeMap::new(),
            words: (0..n_nodes).map(|_| VecDeque::new()).collect(),
            outbox: (0..n_nodes).map(|_| Vec::new()).collect(),
            n_sent: 0,
            last_command: 0,
            heard_ms: 0,
            told_ms: 0,
            n_timeouts: 0,
            log: Vec::new(),
            next: None,
            whole: plan.clone(),
            n_plans: 1,
            plan,
            zones,
        };
        for node in 0..world.nodes.len() {
            world.nodes[node].skew_ms = i64::try_from(world.roll(4001)).unwrap() - 2000;
        }
        world.drain();
        world
    }

    fn roll(&mut self, below: u64) -> u64 {
        // xorshift64: repeatable, and random enough for delays.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below.max(1)
    }

    fn now(&self) -> Now {
        let mono = i64::try_from(self.mono_ms).unwrap();
        Now { mono: MonoMs(self.mono_ms), wall: self.clock_offset_ms.map(|offset| UnixMs(mono + offset)) }
    }

    fn feed(&mut self, input: Input<'_>) {
        self.engine.handle(self.now(), input);
        self.drain();
        self.check();
    }

    pub(crate) fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    fn node_of(&self, valve: &ValveRef) -> usize {
        self.node_ids.iter().position(|id| *id == valve.node).expect("a node of the farm")
    }

    fn is_commanded(&self, valve: &ValveRef) -> bool {
        self.nodes[self.node_of(valve)].run.is_some_and(|run| run.commanded_ms.is_some())
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        match *op {
            Op::Wait { ms } => self.wait(ms),
            Op::Read { zone, value, age_s, told } => self.read(zone, value, age_s, told),
            Op::Connect { zone } => self.connect(zone),
            Op::Disconnect { zone } => self.disconnect(zone),
            Op::Reboot { zone } => {
                let mut say = Vec::new();
                if self.nodes[zone].run.is_some() {
                    let pumps = self.plan.sources.values().filter_map(|source| source.pump.as_ref());
                    let lease_s = pumps.map(|pump| pump.lease_s).max().unwrap_or(0);
                    self.excused_until_ms = self.mono_ms + NEWS_MS_MAX + u64::from(lease_s) * 1000;
                }
                self.nodes[zone].close(self.mono_ms, CloseReason::Boot, &mut say);
                self.say(zone, say);
                self.disconnect(zone);
                self.connect(zone);
            }
            Op::Button { zone, run_s } => {
                let mut say = Vec::new();
                self.nodes[zone].open_at_the_button(self.mono_ms, run_s, &mut say);
                self.say(zone, say);
            }
            Op::RefuseNext { zone, refusal } => self.nodes[zone].refuse_next = Some(refusal),
            Op::Start { zone, run_s } => {
                let id = self.zones[zone].0.clone();
                self.feed(Input::ManualStart { zone: &id, run_s, by: "Lan" });
            }
            Op::Stop { zone } => {
                let id = self.zones[zone].0.clone();
                self.feed(Input::ManualStop { zone: &id, by: "Lan" });
            }
            Op::Lock { zone } => {
                let id = self.zones[zone].0.clone();
                self.known[zone].is_locked |= self.plan.zones.contains_key(&id);
                self.feed(Input::Lock { zone: &id, by: "Lan", note: "" });
            }
            Op::Unlock { zone } => {
                let id = self.zones[zone].0.clone();
                self.known[zone].is_locked &= !self.plan.zones.contains_key(&id);
                self.feed(Input::Unlock { zone: &id, by: "Lan" });
            }
            Op::Clear { zone } => {
                self.known[zone].has_fault = false;
                let id = self.zones[zone].0.clone();
                self.feed(Input::ClearFault { zone: &id, by: "Lan" });
            }
            Op::Program(wish) => {
                self.feed(Input::Program { program: &"night".parse().unwrap(), wish, by: "Lan" });
            }
            Op::StopAll => self.feed(Input::StopAll { by: "Lan" }),
            Op::Pause { span_s } => self.pause(span_s),
            Op::Clock { offset_s } => {
                self.clock_offset_ms = offset_s.map(|offset_s| WALL_MS - 1_000_000 + offset_s * 1000);
                self.feed(Input::Timeout);
            }
            Op::Network(network) => self.network = network,
            Op::Plan(ref change) => self.change_plan(change),
            Op::Restart { forgets_open, reconnects } => self.restart(forgets_open, reconnects),
        }
        self.check_views();
    }

    fn read(&mut self, zone: usize, value: Option<u16>, age_s: u64, told: Told) {
        // A device cannot date by a clock that shows nothing. One that dates by its own, to a gateway whose clock is unset and
        // then set behind by as much as the reading is old, is believed: the changelog says so.
        if told == Told::Dated && self.now().wall.is_none() {
            return;
        }
        let probe = self.zones[zone].1.probes[0].clone();
        let shown_ms = self.now().wall.map_or(WALL_MS, |wall| wall.0);
        let true_ms = WALL_MS - 1_000_000 + i64::try_from(self.mono_ms).unwrap();
        let before = |now_ms: i64, age_s: u64| now_ms - i64::try_from(age_s).unwrap() * 1000;
        let (at_ms, age) = match told {
            Told::Counted { off_s } => (before(true_ms, age_s) + off_s * 1000, Age::Counted(age_s * 1000)),
            Told::Dated => (before(shown_ms, age_s), Age::Dated),
            Told::DatedRightly => (before(true_ms, age_s), Age::Dated),
            Told::Unknown { dated_s } => (before(shown_ms, dated_s), Age::Unknown),
        };
        // Told an age that nobody knows, a probe is in doubt until a reading comes that was surely taken later.
        let taken_ms = self.mono_ms.saturating_sub(age_s * 1000);
        // The engine has no ears for the probes of a zone that is not in its plan.
        let is_heard = self.plan.zones.contains_key(&self.zones[zone].0);
        match (told, self.known[zone].doubt_ms) {
            (Told::Unknown { .. }, _) if !is_heard => {}
            (Told::Unknown { .. }, _) => self.known[zone].doubt_ms = Some(self.mono_ms),
            (Told::Counted { .. }, _) => self.known[zone].doubt_ms = None,
            (Told::Dated, Some(doubt_ms)) if taken_ms >= doubt_ms => self.known[zone].doubt_ms = None,
            (Told::Dated | Told::DatedRightly, _) => {}
        }
        if let Some(value) = value {
            self.known[zone].samples.push((self.mono_ms.saturating_sub(age_s * 1000), value));
        }
        let level = value.and_then(|value| Level::new(u32::from(value)));
        let at = UnixMs(at_ms);
        let (device, good) = (probe.device, value.is_some());
        self.feed(Input::Reading { device: &device, metric: &metric(), at, age, level, good });
    }

    fn connect(&mut self, zone: usize) {
        if !self.nodes[zone].is_connected {
            self.nodes[zone].is_connected = true;
            let hello = self.nodes[zone].hello();
            let mut words = vec![hello];
            words.append(&mut self.outbox[zone]);
            self.say(zone, words);
        }
    }

    fn disconnect(&mut self, zone: usize) {
        if self.nodes[zone].is_connected {
            self.say(zone, vec![Word::Gone]);
            self.nodes[zone].is_connected = false;
        }
    }

    fn pause(&mut self, span_s: Option<u64>) {
        let (wall, span_ms) = (self.now().wall, span_s.map(|span_s| span_s * 1000));
        let until = span_ms.map(|span_ms| wall.unwrap_or(UnixMs(WALL_MS)).plus_ms(span_ms));
        if span_ms.is_none() || wall.is_some() {
            self.paused_until_ms = span_ms.map_or(0, |span_ms| self.mono_ms + span_ms);
        }
        self.feed(Input::Pause { kind: Pause::Water, until, by: "Lan" });
    }

    fn restart(&mut self, forgets_open: bool, reconnects: bool) {
        if forgets_open {
            self.memory.zones.values_mut().for_each(|memory| memory.open = None);
        }
        let next = CommandId(self.last_command + 1 + self.roll(50));
        // From here on it goes by the clock, which may be any.
        self.paused_until_ms = 0;
        self.engine = Engine::new(self.plan.clone(), self.memory.clone(), next, self.now());
        for known in &mut self.known {
            known.is_started = false;
            known.doubt_ms = None;
        }
        self.is_offline.fill(false);
        self.log.push("restart".to_owned());
        self.drain();
        self.check();
        self.feed_plan();
        if reconnects {
            for zone in 0..self.nodes.len() {
                self.nodes[zone].is_connected = false;
                self.connect(zone);
            }
        }
    }

    fn change_plan(&mut self, change: &PlanChange) {
        let plan = change.of(&self.whole, &self.node_ids);
        self.n_plans += 1;
        if plan.check().is_empty() {
            self.next = Some(plan);
            self.feed_plan();
        } else {
            // It is refused, and what was to be before still is.
            self.feed(Input::Plan { version: self.n_plans, plan: &plan });
        }
    }

    /// Tells the engine what plan is to be; again after a start.
    fn feed_plan(&mut self) {
        if let Some(plan) = self.next.clone() {
            self.feed(Input::Plan { version: self.n_plans, plan: &plan });
        }
    }

    /// The plan that was to be is in force: what it has no place for, or another one, is closed for certain.
    fn take_plan(&mut self) {
        let plan = self.next.take().expect("a plan that was asked for");
        for (idx, (id, own)) in self.zones.iter_mut().enumerate() {
            let Some(before) = self.plan.zones.get(id) else {
                plan.zones.get(id).into_iter().for_each(|zone| *own = zone.clone());
                continue;
            };
            let node = &self.nodes[self.node_ids.iter().position(|id| *id == before.valve.node).unwrap()];
            let is_open = node.run.is_some_and(|run| run.commanded_ms.is_some());
            let after = plan.zones.get(id);
            let stays = after.is_some_and(|after| {
                after.valve == before.valve && way(&plan, after) == way(&self.plan, before)
            });
            assert!(stays || !is_open, "P3: {id} has no place and its valve is open");
            if after.is_none_or(|after| after.valve != before.valve) {
                // A zone that comes back waits for its probes anew, as after a start.
                self.known[idx].doubt_ms = None;
            }
            after.into_iter().for_each(|zone| *own = zone.clone());
        }
        for (id, source) in &self.plan.sources {
            let Some(pump) = &source.pump else { continue };
            let stays = plan.sources.get(id).is_some_and(|source| source.pump.as_ref() == Some(pump));
            assert!(stays || !self.is_commanded(&pump.valve), "P5: the pump of {id} has no place and is on");
        }
        self.plan = plan;
    }

    /// A node's words leave: changes of the valve surely, answers perhaps.
    fn say(&mut self, zone: usize, words: Vec<Word>) {
        for word in words {
            let is_answer = matches!(word, Word::Answer { .. });
            if is_answer && (!self.nodes[zone].is_connected || self.roll(100) < self.network.loss_percent) {
                continue;
            }
            if !self.nodes[zone].is_connected {
                self.outbox[zone].push(word);
                continue;
            }
            let late_ms = self.roll(self.network.late_ms_max + 1);
            let before = self.words[zone].back().map_or(0, |(at_ms, _)| *at_ms);
            self.words[zone].push_back((before.max(self.mono_ms + late_ms), word));
        }
    }

    fn send(&mut self, zone: usize, order: Order) {
        let mut n_copies = u64::from(self.roll(100) >= self.network.loss_percent);
        n_copies += u64::from(self.roll(100) < self.network.double_percent);
        for _ in 0..n_copies {
            let at_ms = self.mono_ms + self.roll(self.network.late_ms_max + 1);
            self.n_sent += 1;
            self.orders.insert((at_ms, self.n_sent), (zone, order));
        }
    }

    /// Lets time pass, event by event.
    pub(crate) fn wait(&mut self, ms: u64) {
        let end_ms = self.mono_ms + ms;
        let n_before = self.n_timeouts;
        loop {
            let order_ms = self.orders.keys().next().map(|(at_ms, _)| *at_ms);
            let words = self.words.iter().enumerate();
            let word = words.filter_map(|(zone, queue)| Some((queue.front()?.0, zone))).min();
            let nodes = self.nodes.iter().enumerate();
            let lease = nodes.filter_map(|(zone, node)| Some((node.until_ms()?, zone))).min();
            let engine_ms = self.engine.poll_timeout().map(|at| at.0);
            let of = [order_ms, word.map(|w| w.0), lease.map(|l| l.0), engine_ms];
            let Some(next_ms) = of.into_iter().flatten().min().filter(|next_ms| *next_ms <= end_ms) else {
                break;
            };
            self.mono_ms = self.mono_ms.max(next_ms);
            if let Some((_, zone)) = lease.filter(|(at_ms, _)| *at_ms <= self.mono_ms) {
                let mut say = Vec::new();
                self.nodes[zone].close(self.mono_ms, CloseReason::LeaseEnded, &mut say);
                self.say(zone, say);
            } else if order_ms.is_some_and(|at_ms| at_ms <= self.mono_ms) {
                let Some((_, (zone, order))) = self.orders.pop_first() else { continue };
                if self.nodes[zone].is_connected {
                    self.log.push(format!("{} z{} gets {order:?}", self.mono_ms, zone + 1));
                    let mut say = Vec::new();
                    self.nodes[zone].obey(self.mono_ms, order, &mut say);
                    self.say(zone, say);
                    self.check();
                }
            } else if let Some((_, zone)) = word.filter(|(at_ms, _)| *at_ms <= self.mono_ms) {
                let Some((_, word)) = self.words[zone].pop_front() else { continue };
                self.hear(zone, word);
            } else {
                self.n_timeouts += 1;
                self.feed(Input::Timeout);
            }
        }
        self.mono_ms = end_ms;
        assert!(self.n_timeouts < 200_000, "the engine's timeouts do not end");
        let n_timeouts = self.n_timeouts - n_before;
        assert!(n_timeouts < 1000 + ms / 100, "{n_timeouts} timeouts in {ms} ms\n{}", self.trail());
    }

    fn hear(&mut self, zone: usize, word: Word) {
        self.log.push(format!("{} z{} says {word:?}", self.mono_ms, zone + 1));
        let valve = &ValveRef { node: self.node_ids[zone].clone(), valve: ValveId(0) };
        // Older than a minute counts as backlog.
        let is_live = |at_ms: u64, now_ms: u64| now_ms - at_ms <= 60_000;
        match word {
            Word::Answer { command, refused } => self.feed(Input::Answer { command, refused }),
            Word::Opened { command, at_ms } => {
                let live = is_live(at_ms, self.mono_ms);
                self.n_confirmed[zone] += u32::from(command.is_some());
                let (closed_by, volume) = (None, None);
                self.feed(Input::ValveState {
                    valve,
                    open: true,
                    command,
                    closed_by,
                    run_ms: 0,
                    volume,
                    live,
                });
            }
            Word::Closed { command, at_ms, run_ms, by } => {
                self.heard_ms += run_ms;
                let live = is_live(at_ms, self.mono_ms);
                let volume = Some(Millilitres(u32::try_from(run_ms).unwrap()));
                let closed_by = Some(by);
                self.feed(Input::ValveState { valve, open: false, command, closed_by, run_ms, volume, live });
            }
            Word::Hello { open, command } => {
                self.is_offline[zone] = false;
                self.feed(Input::NodeOnline { node: &valve.node, valves: &[(ValveId(0), open, command)] });
            }
            Word::Gone => {
                self.is_offline[zone] = true;
                self.feed(Input::NodeOffline { node: &valve.node });
            }
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            self.log.push(format!("{} {action:?}", self.mono_ms));
            match action {
                Action::Open { command, zone, valve, run_s, ttl_s, reason, .. } => {
                    let zone = self.index(&zone);
                    let node = self.node_of(&valve);
                    assert!(self.mono_ms >= self.paused_until_ms, "opened in a pause of water");
                    self.check_open(zone, command, run_s, ttl_s, &reason);
                    self.known[zone].n_opens += 1;
                    let issued_ms = self.mono_ms;
                    self.send(node, Order { command, run_s: Some(run_s), issued_ms, ttl_s });
                }
                Action::Close { command, valve, .. } => {
                    self.check_command(command);
                    let node = self.node_of(&valve);
                    let issued_ms = self.mono_ms;
                    self.send(node, Order { command, run_s: None, issued_ms, ttl_s: 60 });
                }
                Action::Diary(entry) => {
                    self.told_ms += entry.run_ms.unwrap_or(0);
                    if matches!(entry.reason, Reason::FarmInForce { .. }) {
                        self.take_plan();
                    }
                    let Some(zone) = entry.zone.map(|zone| self.index(&zone)) else { continue };
                    let known = &mut self.known[zone];
                    match entry.event {
                        Event::Started => {
                            known.is_manual = matches!(entry.by, By::Person(_));
                            known.is_program = matches!(entry.by, By::Program(_))
                                || matches!(entry.reason, Reason::RunOnce { .. });
                            assert!(!known.is_started, "two starts without a stop");
                            known.is_started = true;
                        }
                        Event::Stopped => (known.is_started, known.n_opens) = (false, 0),
                        Event::Confirmed => known.n_confirmed += 1,
                        Event::Stopping
                        | Event::Reported
                        | Event::Scheduled
                        | Event::Adjusted
                        | Event::Notified
                        | Event::Skipped
                        | Event::Refused
                        | Event::Fault
                        | Event::Cleared
                        | Event::Node
                        | Event::Locked
                        | Event::Unlocked => {}
                    }
                }
                Action::Remember { zone, memory } => {
                    let idx = self.index(&zone);
                    self.known[idx].has_fault = memory.fault.is_some();
                    self.memory.zones.insert(zone, *memory);
                }
                Action::RememberProgram { program, control } => {
                    self.memory.programs.insert(program, control);
                }
                Action::RememberFarm { farm } => self.memory.farm = *farm,
                Action::Pump(action) => self.obey_for_pump(action),
                Action::RememberGuards { memory } => self.memory.guards = memory,
            }
        }
    }

    fn obey_for_pump(&mut self, action: PumpAction) {
        match action {
            PumpAction::Open { command, source, valve, run_s, ttl_s, .. } => {
                let node = self.node_of(&valve);
                self.check_command(command);
                let plan = self.plan.sources[&source].pump.as_ref().expect("a pump of the plan");
                assert!((1..=plan.lease_s).contains(&run_s) && ttl_s > 0, "P3: every Open has a lease");
                let issued_ms = self.mono_ms;
                self.send(node, Order { command, run_s: Some(run_s), issued_ms, ttl_s });
            }
            PumpAction::Close { command, valve, .. } => {
                let node = self.node_of(&valve);
                self.check_command(command);
                let issued_ms = self.mono_ms;
                self.send(node, Order { command, run_s: None, issued_ms, ttl_s: 60 });
            }
            PumpAction::Remember { source, memory } => {
                self.memory.sources.insert(source, memory);
            }
        }
    }

    fn index(&self, zone: &ZoneId) -> usize {
        self.zones.iter().position(|(id, _)| id == zone).unwrap()
    }

    fn check_command(&mut self, command: CommandId) {
        assert!(command.0 > self.last_command, "P4: command numbers only rise");
        self.last_command = command.0;
    }

    /// P4 and P6 at the moment of an Open, from what the test itself knows.
    fn check_open(&mut self, zone: usize, command: CommandId, run_s: u32, ttl_s: u32, reason: &Reason) {
        self.check_command(command);
        let (id, plan) = &self.zones[zone];
        let known = &self.known[zone];
        assert!((1..=plan.lease_s).contains(&run_s) && ttl_s > 0, "P3: every Open has a lease");
        assert!(!known.is_locked, "P6: {id} is locked");
        assert!(!self.is_offline[self.node_of(&plan.valve)], "P6: {id} is offline");
        assert!(!known.has_fault, "P6: {id} has a fault");
        let is_first = reason.is_dryness();
        let is_by_person = matches!(reason, Reason::ManualStart { .. }) || (!is_first && known.is_manual);
        if is_by_person {
            return;
        }
        // The rest of a run by hand that was paused goes on like a run of a program.
        let is_by_program = matches!(reason, Reason::ProgramRun { .. } | Reason::RunOnce { .. });
        if !is_first && !is_by_program && known.is_program {
            return;
        }
        assert!(self.clock_offset_ms.is_some(), "P6: the clock is unset");
        if is_by_program {
            return;
        }
        let in_doubt = known.doubt_ms.is_some();
        assert!(!in_doubt, "P6: {id} is opened for {} on a probe in doubt\n{}", reason.code(), self.trail());
        let oldest_ms = self.mono_ms.saturating_sub(u64::from(plan.fresh_s) * 1000);
        // An Open that is given again carries the reason of its run, whose soil may have come above the start since.
        let is_beginning = is_first && known.n_opens == 0;
        let (start, stop) = (plan.soil.start().get(), plan.soil.stop().get());
        let wanted = match (plan.soil.is_tension(), is_beginning) {
            (false, true) => 0..start,
            (false, false) => 0..stop + 1,
            (true, true) => start + 1..u32::MAX,
            (true, false) => stop..u32::MAX,
        };
        let is_plausible = |value: u32| (plan.plausible.0.get()..=plan.plausible.1.get()).contains(&value);
        let mut samples = known.samples.iter().rev().map(|(at_ms, value)| (*at_ms, u32::from(*value)));
        let is_founded = samples
            .any(|(at_ms, value)| at_ms >= oldest_ms && wanted.contains(&value) && is_plausible(value));
        assert!(is_founded, "P6: {id} is opened without a fresh reading for {}", reason.code());
    }

    /// How often a valve was to be opened.
    pub(crate) fn n_opens(&self) -> usize {
        self.log.iter().filter(|line| line.contains(" Open {")).count()
    }

    /// The end of the story, for a failure's message.
    pub(crate) fn trail(&self) -> String {
        let told = self.log.iter().filter(|line| !line.contains("Remember"));
        let lines: Vec<&str> = told.map(String::as_str).collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// What must hold at any moment, from the nodes' own view.
    fn check(&self) {
        let mut open: Vec<(&ZoneId, &ZonePlan)> = Vec::new();
        for (node_id, node) in self.node_ids.iter().zip(&self.nodes) {
            let Some(since_ms) = node.run.and_then(|run| run.commanded_ms) else { continue };
            let owner = outputs(&self.plan).find(|valve| valve.node == *node_id);
            assert!(owner.is_some(), "P3: {node_id} is open and nobody's\n{}", self.trail());
            let Some((id, plan)) = self.plan.zones.iter().find(|(_, zone)| zone.valve.node == *node_id)
            else {
                continue;
            };
            let open_ms = self.mono_ms - since_ms;
            let is_short = open_ms <= u64::from(plan.run_max_s) * 1000;
            assert!(is_short, "P3: {id} is open for {open_ms} ms\n{}", self.trail());
            open.push((id, plan));
        }
        self.check_pumps();
        for (source, source_plan) in &self.plan.sources {
            let fed: Vec<_> = open.iter().filter(|(_, zone)| self.is_fed_by(&zone.source, source)).collect();
            let taken = fed.iter().map(|(_, zone)| zone.flow.map(|flow| flow.0)).sum::<Option<u32>>();
            let is_carried = match (taken, source_plan.capacity) {
                (Some(taken), Some(capacity)) => taken <= capacity.0,
                (None, _) | (_, None) => fed.len() <= 1,
            };
            assert!(is_carried, "P5: {source} does not carry {fed:?}\n{}", self.trail());
        }
    }

    /// P5: whatever a pump gives finds a way out, through an open zone and every master valve before it.
    fn check_pumps(&self) {
        for (source, plan) in &self.plan.sources {
            let Some(plan) = plan.pump.as_ref().filter(|pump| pump.kind == PumpKind::Pump) else { continue };
            if !self.is_commanded(&plan.valve) || self.mono_ms <= self.excused_until_ms {
                continue;
            }
            let is_open = |valve: &ValveRef| self.nodes[self.node_of(valve)].run.is_some();
            let is_passed = |master: &SourceId| {
                let pump = self.plan.sources[master].pump.as_ref();
                pump.is_none_or(|pump| pump.kind != PumpKind::Master || is_open(&pump.valve))
            };
            let has_way = self.plan.zones.values().any(|zone| {
                let mut on_way = self.plan.sources.keys().filter(|other| self.is_fed_by(&zone.source, other));
                is_open(&zone.valve) && self.is_fed_by(&zone.source, source) && on_way.all(is_passed)
            });
            assert!(has_way, "P5: the pump of {source} runs against closed valves\n{}", self.trail());
        }
    }

    fn is_fed_by(&self, source: &SourceId, feeder: &SourceId) -> bool {
        let plan = &self.plan.sources[source];
        source == feeder || plan.fed_by.as_ref().is_some_and(|fed_by| self.is_fed_by(fed_by, feeder))
    }

    /// P6: what does not flow has its reason on the page. An engine that has been drained leaves no zone that is dry, free
    /// to start and idle.
    fn check_views(&self) {
        for (id, _) in &self.zones {
            let view = self.engine.zone_view(id, self.now());
            assert_eq!(view.is_some(), self.plan.zones.contains_key(id), "{id}");
            let Some(view) = view else { continue };
            if let ZoneState::Waiting { why } | ZoneState::Idle { why } = view.state {
                assert!(
                    !matches!(why, Reason::SoilDry { .. }),
                    "P6: {id} is dry and nothing keeps it from starting"
                );
            }
        }
    }

    /// P7: what the nodes measured and told stands in the diary, once.
    pub(crate) fn check_diary(&self) {
        assert_eq!(self.told_ms, self.heard_ms, "P7: the diary tells what the nodes measured");
    }

    fn clear_sources(&mut self) {
        let sources: Vec<SourceId> = self.plan.sources.keys().cloned().collect();
        for source in sources {
            self.feed(Input::ClearSource { source: &source, by: "Lan" });
        }
    }

    /// When everything works again, every dry zone is watered in its turn.
    pub(crate) fn check_recovery(&mut self) {
        self.network = Network::default();
        self.apply(&Op::Clock { offset_s: Some(0) });
        self.apply(&Op::Pause { span_s: None });
        self.apply(&Op::Plan(PlanChange::default()));
        for node in 0..self.nodes.len() {
            self.disconnect(node);
            self.connect(node);
            self.nodes[node].refuse_next = None;
        }
        for zone in 0..self.zones.len() {
            self.apply(&Op::Unlock { zone });
            self.apply(&Op::Clear { zone });
        }
        self.clear_sources();
        // Its nodes are those of the zones, and then those of the pumps.
        let pumps = self.zones.len()..outputs(&self.whole).count();
        let n_pumped_before = self.n_confirmed.clone();
        let n_before: Vec<u32> = self.known.iter().map(|known| known.n_confirmed).collect();
        for round in 0..160_u16 {
            for (zone, before) in n_before.iter().enumerate() {
                let is_done = self.known[zone].n_confirmed > *before;
                let wet = if self.zones[zone].1.soil.is_tension() { 300 } else { 3200 };
                let value = if is_done { wet } else { 1500 } + round % 7;
                self.apply(&Op::Read {
                    zone,
                    value: Some(value),
                    age_s: 0,
                    told: Told::Counted { off_s: 0 },
                });
                if round == 60 {
                    // What failed while it was recovering has had its pauses; a person looks once more.
                    self.apply(&Op::Clear { zone });
                    self.clear_sources();
                }
            }
            self.wait(150_000);
            let is_watered =
                self.known.iter().zip(&n_before).all(|(known, before)| known.n_confirmed > *before);
            let is_pumped = pumps.clone().all(|node| self.n_confirmed[node] > n_pumped_before[node]);
            if is_watered && is_pumped {
                break;
            }
        }
        for node in pumps {
            let is_pumped = self.n_confirmed[node] > n_pumped_before[node];
            assert!(is_pumped, "zones are watered and a pump stands still\n{}", self.trail());
        }
        for (zone, before) in n_before.into_iter().enumerate() {
            let view = self.engine.zone_view(&self.zones[zone].0, self.now()).unwrap();
            let is_watered = self.known[zone].n_confirmed > before;
            assert!(is_watered, "never watered again: {view:#?}\n{}", self.trail());
        }
    }
}

/// The way of a zone's water: what it draws, and what each source on the way carries and switches.
fn way(plan: &Plan, zone: &ZonePlan) -> impl PartialEq {
    let mut branches = Vec::new();
    let mut here = Some(&zone.source);
    while let Some(id) = here {
        let source = &plan.sources[id];
        branches.push((id.clone(), source.capacity, source.pump.clone()));
        here = source.fed_by.as_ref();
    }
    (zone.flow, branches)
}
