//! A script of inputs with the actions that must follow, as text.
//!
//! `T verb …` is an input at second T; before it the engine gets every timeout up to T at its exact moment. `> @T …` is an
//! action that must have come since the line before, in order. Remember actions are kept for `restart` and not listed.
//! `ready` brings all nodes online with closed valves and answers the Closes of the start, listing nothing.

use std::collections::BTreeMap;
use std::fmt::Write;

use giot_engine::program::{Lack, Millimetres, Percent};
use giot_engine::{
    Action, Age, By, Engine, Input, Memory, Now, Pause, Plan, ProgramWish, PumpAction, RuleWish, ValveRef,
    ZoneId,
};
use giot_shared::ids::{CommandId, NodeId, ValveId};
use giot_shared::time::{MonoMs, UnixMs};
use giot_shared::units::Millilitres;
use giot_shared::valve::{CloseReason, RefusalReason};

use crate::farm::{metric, node, permyriad, zone};

/// 2026-01-01T00:00:00Z.
const WALL_START_MS: i64 = 1_767_225_600_000;

/// The moment that a script calls `at_s`, with its clock set.
pub(crate) fn now_at(at_s: u64) -> Now {
    let wall_ms = WALL_START_MS + i64::try_from(at_s).unwrap() * 1000;
    Now { mono: MonoMs(1_000_000 + at_s * 1000), wall: Some(UnixMs(wall_ms)) }
}

struct Stage {
    plan: Plan,
    /// Plans that `plan NAME` changes to, by their names.
    plans: BTreeMap<&'static str, Plan>,
    n_plans: u32,
    engine: Engine,
    memory: Memory,
    mono_ms: u64,
    wall_offset_ms: Option<i64>,
    lines: Vec<String>,
    n_timeouts: u32,
}

/// Plays a script; panics with the difference when the actions are others.
pub(crate) fn play(plan: Plan, script: &str) -> Engine {
    play_plans(plan, [], script)
}

/// As [`play`], with other plans that the script changes to.
pub(crate) fn play_plans<const N: usize>(
    plan: Plan,
    plans: [(&'static str, Plan); N],
    script: &str,
) -> Engine {
    let mono_ms = 1_000_000;
    let offset_ms = WALL_START_MS - 1_000_000;
    let now = Now { mono: MonoMs(mono_ms), wall: Some(UnixMs(WALL_START_MS)) };
    let engine = Engine::new(plan.clone(), Memory::default(), CommandId(1), now);
    let mut stage = Stage {
        plan,
        plans: plans.into(),
        n_plans: 1,
        engine,
        memory: Memory::default(),
        mono_ms,
        wall_offset_ms: Some(offset_ms),
        lines: Vec::new(),
        n_timeouts: 0,
    };
    let (mut want, mut got) = (String::new(), String::new());
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")) {
        writeln!(want, "{line}").unwrap();
        if line.starts_with('>') {
            continue;
        }
        for action in std::mem::take(&mut stage.lines) {
            writeln!(got, "{action}").unwrap();
        }
        writeln!(got, "{line}").unwrap();
        stage.step(line);
    }
    for action in std::mem::take(&mut stage.lines) {
        writeln!(got, "{action}").unwrap();
    }
    // `step` runs what is due before its input, so actions of a wait stand below the line that waited.
    assert_eq!(got, want, "\n--- got\n{got}\n--- want\n{want}");
    assert!(stage.n_timeouts < 1000, "{} timeouts", stage.n_timeouts);
    stage.engine
}

impl Stage {
    fn now(&self) -> Now {
        let wall = self.wall_offset_ms.map(|offset| UnixMs(i64::try_from(self.mono_ms).unwrap() + offset));
        Now { mono: MonoMs(self.mono_ms), wall }
    }

    fn feed(&mut self, input: Input<'_>) {
        self.engine.handle(self.now(), input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            match action {
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
                Action::Open { .. } | Action::Close { .. } | Action::Diary(_) | Action::Pump(_) => {
                    self.lines.push(format!("> @{} {}", (self.mono_ms - 1_000_000) / 1000, show(&action)));
                }
            }
        }
    }

    fn wait_until(&mut self, at_ms: u64) {
        while let Some(due) = self.engine.poll_timeout().filter(|due| due.0 <= at_ms) {
            assert!(due.0 > self.mono_ms || self.n_timeouts == 0, "a timeout that stands still");
            self.mono_ms = self.mono_ms.max(due.0);
            self.n_timeouts += 1;
            self.feed(Input::Timeout);
        }
        self.mono_ms = at_ms;
    }

    fn step(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at_s: u64 = words[0].parse().unwrap();
        self.wait_until(1_000_000 + at_s * 1000);
        match words[1..] {
            ["wait"] => {}
            ["ready"] => self.ready(),
            ["restart"] => self.restart(),
            ["clock", "none"] => self.clock(None),
            ["clock", step] => {
                let step_s: i64 = step.parse().unwrap();
                self.clock(Some(WALL_START_MS - 1_000_000 + step_s * 1000));
            }
            ["read", device, value] => self.read(device, value, 0, Age::Dated),
            ["read", device, value, age_s] => self.read(device, value, age_s.parse().unwrap(), Age::Dated),
            ["backlog", device, value, age_s] => {
                let age_s: u32 = age_s.parse().unwrap();
                self.read(device, value, age_s.into(), Age::Counted(u64::from(age_s) * 1000));
            }
            ["recall", device, value, age_s] => {
                self.read(device, value, age_s.parse().unwrap(), Age::Unknown)
            }
            ["undated", device, value] => {
                // A device's own date that is no good, by a clock that shows anything.
                self.read(device, value, 2_000_000_000, Age::Unknown);
            }
            ["online", name, state] => {
                let (open, command) = match state {
                    "closed" => (false, None),
                    "local" => (true, None),
                    command => (true, Some(number(command))),
                };
                self.feed(Input::NodeOnline { node: &node(name), valves: &[(ValveId(0), open, command)] });
            }
            ["offline", name] => self.feed(Input::NodeOffline { node: &node(name) }),
            ["answer", command, answer] => {
                let refused = RefusalReason::from_code(answer);
                assert!(refused.is_some() || answer == "ok", "{line}");
                self.feed(Input::Answer { command: number(command), refused });
            }
            ["opened", name, command] => self.valve(name, true, command, None, 0, true),
            ["closed", name, command, reason, run_s] => {
                self.valve(name, false, command, Some(reason), run_s.parse().unwrap(), true)
            }
            ["closed", name, command, reason, run_s, "old"] => {
                self.valve(name, false, command, Some(reason), run_s.parse().unwrap(), false);
            }
            _ => self.wish(&words),
        }
    }

    fn wish(&mut self, words: &[&str]) {
        match words[1..] {
            ["start", name, run_s] => {
                self.feed(Input::ManualStart { zone: &zone(name), run_s: run_s.parse().unwrap(), by: "Lan" });
            }
            ["stop", name] => self.feed(Input::ManualStop { zone: &zone(name), by: "Lan" }),
            ["lock", name] => self.feed(Input::Lock { zone: &zone(name), by: "Lan", note: "pipe" }),
            ["unlock", name] => self.feed(Input::Unlock { zone: &zone(name), by: "Lan" }),
            ["clear-source", name] => {
                self.feed(Input::ClearSource { source: &name.parse().unwrap(), by: "Lan" });
            }
            ["clear", name] => self.feed(Input::ClearFault { zone: &zone(name), by: "Lan" }),
            ["program", name, wish] => self.program(name, wish),
            ["lack", name, "none"] => {
                self.feed(Input::Lack { zone: &zone(name), age_ms: 0, lack: Err("no_weather") });
            }
            ["lack", name, mm] => self.lack(name, mm, 6 * 3600),
            ["lack", name, mm, "old"] => self.lack(name, mm, 60),
            ["rule", "notify"] => self.rule(RuleWish::Notify { note: "tank low" }),
            ["rule", "start", name, run_s] => {
                self.rule(RuleWish::Start { zone: &zone(name), run_s: run_s.parse().unwrap() });
            }
            ["rule", "stop", name] => self.rule(RuleWish::Stop { zone: &zone(name) }),
            ["rule", "lock", name] => self.rule(RuleWish::Lock { zone: &zone(name) }),
            ["rule", "adjust", name, percent] => {
                let percent = Percent::new(percent.parse().unwrap()).unwrap();
                self.rule(RuleWish::Adjust { program: &name.parse().unwrap(), percent });
            }
            ["rain", until_s] => {
                let now = self.now().wall.unwrap();
                let until = Some(now.plus_ms(until_s.parse::<u64>().unwrap() * 1000));
                self.feed(Input::Pause { kind: Pause::Rain, until, by: "Lan" });
            }
            ["water", until_s] => {
                let wall = self.now().wall.unwrap_or(UnixMs(WALL_START_MS));
                let until = Some(wall.plus_ms(until_s.parse::<u64>().unwrap() * 1000));
                self.feed(Input::Pause { kind: Pause::Water, until, by: "Lan" });
            }
            ["plan", name] => {
                self.n_plans += 1;
                let plan = self.plans.get(name).unwrap_or_else(|| panic!("no plan {name}")).clone();
                self.feed(Input::Plan { version: self.n_plans, plan: &plan });
                self.plan = plan;
            }
            ["stopall"] => self.feed(Input::StopAll { by: "Lan" }),
            _ => panic!("no such step: {words:?}"),
        }
    }

    fn program(&mut self, name: &str, wish: &str) {
        let program = name.parse().unwrap();
        let wish = match wish.split_once('=') {
            None if wish == "start" => ProgramWish::Start,
            None if wish == "stop" => ProgramWish::Stop,
            None if wish == "off" => ProgramWish::Enable(false),
            None if wish == "on" => ProgramWish::Enable(true),
            Some(("skip", n)) => ProgramWish::SkipNext(n.parse().unwrap()),
            Some(("adjust", percent)) => ProgramWish::Adjust(Percent::new(percent.parse().unwrap()).unwrap()),
            _ => panic!("no such wish: {wish}"),
        };
        self.feed(Input::Program { program: &program, wish, by: "Lan" });
    }

    /// Of 60 mm, at an efficiency of 90 %.
    fn lack(&mut self, name: &str, mm: &str, holds_s: u64) {
        let counted_at = self.now().wall.unwrap();
        let lack = Lack {
            counted_at,
            until: counted_at.plus_ms(holds_s * 1000),
            lack: Millimetres::nearest(mm.parse().unwrap()),
            available: Millimetres::nearest(60.0),
            efficiency: 9000,
            n_guessed: 0,
        };
        self.feed(Input::Lack { zone: &zone(name), age_ms: 0, lack: Ok(lack) });
    }

    fn rule(&mut self, wish: RuleWish<'_>) {
        self.feed(Input::Rule { rule: &"heat".parse().unwrap(), wish, values: "n9/air = 41" });
    }

    fn clock(&mut self, offset_ms: Option<i64>) {
        self.wall_offset_ms = offset_ms;
        self.feed(Input::Timeout);
    }

    fn read(&mut self, device: &str, value: &str, age_s: i64, age: Age) {
        let wall = self.now().wall.map_or(WALL_START_MS, |wall| wall.0);
        let level = if value == "bad" { None } else { Some(permyriad(value.parse().unwrap()).into()) };
        let at = UnixMs(wall - age_s * 1000);
        self.feed(Input::Reading {
            device: &node(device),
            metric: &metric(),
            at,
            age,
            level,
            good: level.is_some(),
        });
    }

    fn valve(&mut self, name: &str, open: bool, command: &str, reason: Option<&str>, run_s: u64, live: bool) {
        let valve = ValveRef { node: node(name), valve: ValveId(0) };
        let command = (command != "local").then(|| number(command));
        let closed_by = reason.map(|reason| CloseReason::from_code(reason).expect(reason));
        let volume = (!open).then(|| Millilitres(u32::try_from(run_s).unwrap() * 1000));
        let run_ms = run_s * 1000;
        self.feed(Input::ValveState { valve: &valve, open, command, closed_by, run_ms, volume, live });
    }

    fn ready(&mut self) {
        let of_pumps = self.plan.sources.values().filter_map(|source| source.pump.as_ref());
        let of_pumps = of_pumps.map(|pump| pump.valve.node.clone());
        let of_zones = self.plan.zones.values().map(|zone| zone.valve.node.clone());
        let nodes: Vec<NodeId> = of_zones.chain(of_pumps).collect();
        for name in nodes {
            self.feed(Input::NodeOnline { node: &name, valves: &[(ValveId(0), false, None)] });
        }
        for command in 1..self.engine.next_command().0 {
            self.feed(Input::Answer { command: CommandId(command), refused: None });
        }
        self.lines.clear();
    }

    fn restart(&mut self) {
        let next = self.engine.next_command();
        self.engine = Engine::new(self.plan.clone(), self.memory.clone(), next, self.now());
        self.n_timeouts = 0;
        self.drain();
    }
}

fn number(text: &str) -> CommandId {
    CommandId(text.strip_prefix('#').unwrap().parse().unwrap())
}

fn show(action: &Action) -> String {
    match action {
        Action::Open { command, zone, run_s, ttl_s, reason, .. } => {
            format!("open {zone} #{command} {run_s}s ttl {ttl_s}s {}", reason.code())
        }
        Action::Close { command, zone, reason, .. } => format!("close {zone} #{command} {}", reason.code()),
        Action::Diary(entry) => {
            let zone = entry.zone.as_ref().map_or("farm", ZoneId::as_str);
            let by = match &entry.by {
                By::Engine => "engine".to_owned(),
                By::Person(name) => name.clone(),
                By::Node => "node".to_owned(),
                By::Program(program) => format!("program {program}"),
                By::Rule(rule) => format!("rule {rule}"),
            };
            let command = entry.command.map(|command| format!(" #{command}")).unwrap_or_default();
            let run = entry.run_ms.map(|ms| format!(" {}s", ms / 1000)).unwrap_or_default();
            let volume = entry.volume.map(|volume| format!(" {}L", volume.0 / 1000)).unwrap_or_default();
            format!("{zone} {} by {by}: {}{command}{run}{volume}", entry.event.code(), entry.reason.code())
        }
        Action::Pump(PumpAction::Open { command, source, run_s, ttl_s, reason, .. }) => {
            format!("pump {source} #{command} {run_s}s ttl {ttl_s}s {}", reason.code())
        }
        Action::Pump(PumpAction::Close { command, source, reason, .. }) => {
            format!("pump off {source} #{command} {}", reason.code())
        }
        Action::Pump(PumpAction::Remember { .. })
        | Action::RememberGuards { .. }
        | Action::Remember { .. }
        | Action::RememberProgram { .. }
        | Action::RememberFarm { .. } => String::new(),
    }
}
