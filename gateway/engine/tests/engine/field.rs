//! A farm whose nodes obey at once, unless a test says otherwise: what the engine does is kept as lines `second what`.

use std::collections::{BTreeMap, BTreeSet};

use giot_engine::{Action, Age, By, Engine, Input, Memory, Now, Plan, PumpAction, Reason, ValveRef, ZoneId};
use giot_shared::ids::{CommandId, NodeId};
use giot_shared::time::{MonoMs, UnixMs};
use giot_shared::units::Millilitres;
use giot_shared::valve::{CloseReason, RefusalReason};

use crate::farm::{metric, node, permyriad, zone};

/// 2026-01-01T00:00:00Z: seven in the morning on the farm, when a test begins.
const WALL_START_MS: i64 = 1_767_225_600_000;

/// The gateway started so long before, so that no pump rests from that any more.
const BEFORE_MS: u64 = 120_000;

/// An open valve at its node.
#[derive(Clone, Copy, Debug)]
struct Run {
    command: CommandId,
    opened_ms: u64,
    until_ms: u64,
    /// When the volume of its last Open has flowed.
    enough_ms: Option<u64>,
}

pub(crate) struct Field {
    plan: Plan,
    engine: Engine,
    memory: Memory,
    now_ms: u64,
    /// How far the clock is from the right time.
    clock_ms: i64,
    runs: BTreeMap<ValveRef, Run>,
    /// Nodes that hear nothing.
    pub(crate) deaf: BTreeSet<NodeId>,
    /// Nodes that refuse the next Open.
    pub(crate) refuses: BTreeSet<NodeId>,
    /// Nodes that do not have the output that they are to switch.
    pub(crate) unknown: BTreeSet<NodeId>,
    /// Nodes that say nothing, whatever they do.
    pub(crate) mute: BTreeSet<NodeId>,
    /// What the newest entry says of water.
    pub(crate) last_measured: (Option<u64>, Option<Millilitres>),
    /// The reason of the newest entry.
    pub(crate) last_reason: Option<Reason>,
    /// The reasons of all entries.
    pub(crate) reasons: Vec<Reason>,
    /// What flows through each open valve, mL/s, as its node's meter counts it: 1000 L/h.
    pub(crate) ml_per_s: u64,
    /// How long a node keeps a valve open at the most, whatever it is asked for, seconds.
    pub(crate) hard_max_s: u64,
    /// Nodes that keep their valves open for less.
    pub(crate) hard_max_s_of: BTreeMap<NodeId, u64>,
    /// Whether nodes measure what flows.
    pub(crate) volume_is_measured: bool,
    /// Whether the nodes' meters end a run by themselves when its volume has flowed.
    pub(crate) ends_by_volume: bool,
    /// What each Open of a zone was limited to, ml, and when it was sent, seconds.
    pub(crate) limits: Vec<(u64, Option<u32>)>,
    /// What was still open when a valve had closed, by their nodes.
    pub(crate) left_open: Vec<BTreeSet<String>>,
    pub(crate) log: Vec<String>,
}

impl Field {
    /// A gateway that has started, with every node online and every valve known to be closed.
    pub(crate) fn new(plan: Plan) -> Self {
        let before_ms = i64::try_from(BEFORE_MS).unwrap();
        let now = Now { mono: MonoMs(0), wall: Some(UnixMs(WALL_START_MS - before_ms)) };
        let engine = Engine::new(plan.clone(), Memory::default(), CommandId(1), now);
        let mut field = Self {
            plan,
            engine,
            memory: Memory::default(),
            now_ms: 0,
            runs: BTreeMap::new(),
            deaf: BTreeSet::new(),
            refuses: BTreeSet::new(),
            unknown: BTreeSet::new(),
            mute: BTreeSet::new(),
            last_measured: (None, None),
            last_reason: None,
            reasons: Vec::new(),
            clock_ms: 0,
            ml_per_s: 278,
            hard_max_s: 8 * 3600,
            hard_max_s_of: BTreeMap::new(),
            volume_is_measured: true,
            ends_by_volume: false,
            limits: Vec::new(),
            left_open: Vec::new(),
            log: Vec::new(),
        };
        field.drain();
        field.connect_all();
        field.wait_s(BEFORE_MS / 1000);
        field.log.clear();
        field
    }

    pub(crate) fn now(&self) -> Now {
        let wall = WALL_START_MS + i64::try_from(self.now_ms).unwrap() - i64::try_from(BEFORE_MS).unwrap();
        Now { mono: MonoMs(self.now_ms), wall: Some(UnixMs(wall + self.clock_ms)) }
    }

    /// Sets the gateway's clock: so far from the right time, ms.
    pub(crate) fn set_clock(&mut self, clock_ms: i64) {
        self.clock_ms = clock_ms;
        self.feed(Input::Timeout);
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    fn valves(&self) -> Vec<ValveRef> {
        let of_zones = self.plan.zones.values().map(|zone| zone.valve.clone());
        let pumps = self.plan.sources.values().filter_map(|source| Some(source.pump.as_ref()?.valve.clone()));
        of_zones.chain(pumps).collect()
    }

    pub(crate) fn connect_all(&mut self) {
        for valve in self.valves() {
            let run = self.runs.get(&valve).copied();
            let state = [(valve.valve, run.is_some(), run.map(|run| run.command))];
            self.feed(Input::NodeOnline { node: &valve.node, valves: &state });
        }
    }

    pub(crate) fn feed(&mut self, input: Input<'_>) {
        self.engine.handle(self.now(), input);
        self.drain();
    }

    /// The gateway starts anew; its nodes went on.
    pub(crate) fn restart(&mut self) {
        let next = CommandId(self.engine.next_command().0 + 100);
        self.engine = Engine::new(self.plan.clone(), self.memory.clone(), next, self.now());
        self.drain();
        self.connect_all();
    }

    /// The gateway is off for a while, with every valve closed, and starts anew.
    pub(crate) fn off_for_s(&mut self, span_s: u64) {
        assert!(self.runs.is_empty(), "a valve is open");
        self.now_ms += span_s * 1000;
        self.restart();
    }

    /// A node loses its power for a moment: its valves close.
    pub(crate) fn reboot(&mut self, name: &str) {
        let closed: Vec<_> = self.runs.keys().filter(|valve| valve.node == node(name)).cloned().collect();
        for valve in closed {
            self.close(&valve, CloseReason::Boot);
        }
        self.feed(Input::NodeOffline { node: &node(name) });
        self.connect_all();
    }

    pub(crate) fn wait_s(&mut self, span_s: u64) {
        let end_ms = self.now_ms + span_s * 1000;
        let mut n_steps = 0;
        loop {
            let end_of = |valve: &ValveRef, run: &Run| {
                let hard_max_s = self.hard_max_s_of.get(&valve.node).unwrap_or(&self.hard_max_s);
                let by_time_ms = run.until_ms.min(run.opened_ms + hard_max_s * 1000);
                run.enough_ms.map_or(by_time_ms, |enough_ms| enough_ms.min(by_time_ms))
            };
            let lease = self.runs.iter().map(|(valve, run)| (end_of(valve, run), valve.clone())).min();
            let engine_ms = self.engine.poll_timeout().map(|at| at.0);
            let next_ms = lease.as_ref().map(|(at_ms, _)| *at_ms).into_iter().chain(engine_ms).min();
            let Some(next_ms) = next_ms.filter(|next_ms| *next_ms <= end_ms) else { break };
            self.now_ms = self.now_ms.max(next_ms);
            match lease.filter(|(at_ms, _)| *at_ms <= self.now_ms) {
                Some((at_ms, valve)) => {
                    let run = self.runs[&valve];
                    let reason = if run.enough_ms == Some(at_ms) {
                        CloseReason::VolumeReached
                    } else if at_ms < run.until_ms {
                        CloseReason::HardMaximum
                    } else {
                        CloseReason::LeaseEnded
                    };
                    self.close(&valve, reason);
                }
                None => self.feed(Input::Timeout),
            }
            n_steps += 1;
            assert!(n_steps < 100_000, "timeouts that stand still\n{}", self.log.join("\n"));
        }
        self.now_ms = end_ms;
    }

    fn note(&mut self, what: &str) {
        self.log.push(format!("{} {what}", self.now_ms.saturating_sub(BEFORE_MS) / 1000));
    }

    fn drain(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Open { command, valve, run_s, volume, .. } => {
                    let limit = volume.map(|volume| volume.0);
                    self.limits.push((self.now_ms.saturating_sub(BEFORE_MS) / 1000, limit));
                    self.open(&valve, command, run_s, limit.filter(|_| self.ends_by_volume));
                }
                Action::Pump(PumpAction::Open { command, valve, run_s, .. }) => {
                    self.open(&valve, command, run_s, None)
                }
                Action::Close { command, valve, .. }
                | Action::Pump(PumpAction::Close { command, valve, .. }) => {
                    self.note(&format!("close {}", valve.node));
                    if !self.deaf.contains(&valve.node) {
                        self.close(&valve, CloseReason::Commanded);
                        self.answer(&valve, command);
                    }
                }
                Action::Diary(entry) => {
                    let zone = entry.zone.as_ref().map_or("farm", ZoneId::as_str);
                    let by = match entry.by {
                        By::Person(name) => format!(" by {name}"),
                        By::Engine | By::Node | By::Program(_) | By::Rule(_) => String::new(),
                    };
                    self.note(&format!("{zone} {}{by}: {}", entry.event.code(), entry.reason.code()));
                    self.last_measured = (entry.run_ms, entry.volume);
                    self.reasons.push(entry.reason.clone());
                    self.last_reason = Some(entry.reason);
                }
                Action::Remember { zone, memory } => {
                    self.memory.zones.insert(zone, *memory);
                }
                Action::RememberProgram { program, control } => {
                    self.memory.programs.insert(program, control);
                }
                Action::RememberFarm { farm } => self.memory.farm = *farm,
                Action::RememberGuards { memory } => self.memory.guards = memory,
                Action::Pump(PumpAction::Remember { source, memory }) => {
                    self.memory.sources.insert(source, memory);
                }
            }
        }
    }

    fn open(&mut self, valve: &ValveRef, command: CommandId, run_s: u32, limit_ml: Option<u32>) {
        let is_new = !self.runs.contains_key(valve);
        self.note(&format!("{} {}", if is_new { "open" } else { "renew" }, valve.node));
        if self.deaf.contains(&valve.node) {
            return;
        }
        if self.refuses.remove(&valve.node) {
            let refused = Some(RefusalReason::Expired);
            self.engine.handle(self.now(), Input::Answer { command, refused });
            return;
        }
        let now_ms = self.now_ms;
        let run = self.runs.entry(valve.clone()).or_insert(Run {
            command,
            opened_ms: now_ms,
            until_ms: 0,
            enough_ms: None,
        });
        run.command = command;
        run.enough_ms = limit_ml.map(|ml| now_ms + u64::from(ml) * 1000 / self.ml_per_s.max(1));
        run.until_ms = now_ms + u64::from(run_s) * 1000;
        self.answer(valve, command);
        if is_new && !self.mute.contains(&valve.node) {
            let (closed_by, volume) = (None, None);
            let state = Input::ValveState {
                valve,
                open: true,
                command: Some(command),
                closed_by,
                run_ms: 0,
                volume,
                live: true,
            };
            self.engine.handle(self.now(), state);
        }
    }

    fn answer(&mut self, valve: &ValveRef, command: CommandId) {
        if self.unknown.contains(&valve.node) {
            let refused = Some(RefusalReason::UnknownValve);
            return self.engine.handle(self.now(), Input::Answer { command, refused });
        }
        if !self.mute.contains(&valve.node) {
            self.engine.handle(self.now(), Input::Answer { command, refused: None });
        }
    }

    fn close(&mut self, valve: &ValveRef, reason: CloseReason) {
        let run = self.runs.remove(valve);
        self.left_open.push(self.runs.keys().map(|open| open.node.to_string()).collect());
        let Some(run) = run.filter(|_| !self.mute.contains(&valve.node)) else { return };
        let run_ms = self.now_ms - run.opened_ms;
        let measured = Millilitres(u32::try_from(run_ms * self.ml_per_s / 1000).unwrap());
        let volume = Some(measured).filter(|_| self.volume_is_measured);
        self.feed(Input::ValveState {
            valve,
            open: false,
            command: Some(run.command),
            closed_by: Some(reason),
            run_ms,
            volume,
            live: true,
        });
    }

    pub(crate) fn read(&mut self, n: usize, value: u16) {
        let at = self.now().wall.unwrap();
        let level = Some(permyriad(value).into());
        let device = node(&format!("p{n}"));
        self.feed(Input::Reading {
            device: &device,
            metric: &metric(),
            at,
            age: Age::Counted(0),
            level,
            good: true,
        });
    }

    pub(crate) fn gauge(&mut self, device: &str, name: &str, milli: i64) {
        self.gauge_of(device, name, milli, 0);
    }

    /// A reading that comes so much later than it was taken.
    pub(crate) fn gauge_of(&mut self, device: &str, name: &str, milli: i64, age_s: u64) {
        let now = self.now().wall.unwrap();
        self.feed(Input::Gauge {
            device: &node(device),
            metric: &name.parse().unwrap(),
            at: now.minus_ms(age_s * 1000),
            age: Age::Counted(age_s * 1000),
            milli: Some(milli),
        });
    }

    /// What is remembered of the flow of a zone's good runs, L/h.
    pub(crate) fn learned(&self, name: &str) -> Vec<u32> {
        self.memory.guards.learned.get(&zone(name)).cloned().unwrap_or_default()
    }

    /// A flow meter that is read every 30 seconds.
    pub(crate) fn flow(&mut self, device: &str, l_per_h: i64, span_s: u64) {
        for _ in 0..span_s / 30 {
            self.wait_s(30);
            self.gauge(device, "flow", l_per_h * 1000);
        }
    }

    pub(crate) fn start(&mut self, name: &str, run_s: u32) {
        self.feed(Input::ManualStart { zone: &zone(name), run_s, by: "Lan" });
    }

    pub(crate) fn stop(&mut self, name: &str) {
        self.feed(Input::ManualStop { zone: &zone(name), by: "Lan" });
    }

    pub(crate) fn is_open(&self, name: &str) -> bool {
        self.runs.keys().any(|valve| valve.node == node(name))
    }

    /// The seconds at which a line occurs.
    pub(crate) fn seconds(&self, what: &str) -> Vec<u64> {
        let of = |line: &String| {
            let (second, text) = line.split_once(' ')?;
            (text == what).then(|| second.parse().unwrap())
        };
        self.log.iter().filter_map(of).collect()
    }

    pub(crate) fn has(&self, what: &str) -> bool {
        !self.seconds(what).is_empty()
    }

    /// Lines that must occur in this order, others between them.
    #[track_caller]
    pub(crate) fn check(&self, want: &[&str]) {
        let mut lines = self.log.iter().map(|line| line.split_once(' ').unwrap().1);
        for want in want {
            assert!(lines.any(|line| line == *want), "{want} is missing in\n{}", self.log.join("\n"));
        }
    }
}
