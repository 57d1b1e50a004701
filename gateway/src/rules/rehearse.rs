//! The same rules over a history: when they would have fired.
//!
//! Zones are judged by the engine itself, with all its own watering switched off, so that a moisture in a rehearsal is the
//! moisture that a rule would have seen; valves, locks and faults follow what really happened. Readings are taken at the time
//! that they were read: on the farm some come later. What the firings would have changed is not simulated.

use std::collections::{BTreeMap, BTreeSet};

use giot_engine::{
    Age, Engine, Input, Level, Memory, MetricName, Now, Plan, ProbeRef, RuleId, ValveRef, ZoneId,
};
use giot_shared::ids::{CommandId, NodeId};
use giot_shared::time::{MonoMs, UnixMs};

use super::book::{Firing, Output, RuleBook};
use super::{Effect, Rule};

/// Most firings that are told; the rest is counted.
pub const FIRINGS_MAX: usize = 10_000;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    /// A series was read.
    Reading {
        /// Which.
        series: ProbeRef,
        /// The value as the rules see it, `None` where it was not good.
        value: Option<f64>,
        /// The same as a soil probe's level, % of volume or kPa.
        percent: Option<f64>,
    },
    /// A valve opened or closed.
    Valve {
        /// Which.
        valve: ValveRef,
        /// Opened.
        open: bool,
    },
    /// A zone was locked or unlocked.
    Lock {
        /// Which.
        zone: ZoneId,
        /// Locked.
        locked: bool,
    },
    /// A zone had a fault, or it was cleared.
    Fault {
        /// Which.
        zone: ZoneId,
        /// It has one.
        fault: bool,
    },
}

/// When rules would have fired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rehearsal {
    /// In the order of time; at most [`FIRINGS_MAX`].
    pub firings: Vec<(UnixMs, Firing)>,
    /// All of them.
    pub n_firings: u64,
    /// Things that happened.
    pub n_happened: u64,
    /// Zones and how often a start was wanted there.
    pub starts: BTreeMap<ZoneId, u64>,
    /// Rules that held from the beginning to the end: when they would have fired lies before.
    pub held_throughout: Vec<RuleId>,
}

/// Plays what happened, in the order of time, from `from` to `to`.
pub fn rehearse(
    rules: &[Rule],
    plan: &Plan,
    happened: &[(UnixMs, Happened)],
    (from, to): (UnixMs, UnixMs),
) -> Rehearsal {
    let mut stage = Stage::new(rules, plan, from);
    happened.iter().for_each(|(at, what)| stage.play(*at, what));
    stage.end(from, to)
}

/// The plan with nothing that waters by itself.
fn quiet(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    plan.programs.clear();
    plan.zones.values_mut().for_each(|zone| zone.automatic = false);
    plan
}

/// A rehearsal that is played piece by piece, so that a long history needs not be in memory at once.
#[derive(Debug)]
pub struct Stage {
    book: RuleBook,
    engine: Engine,
    /// Zones with a fault, as the diary tells.
    faulty: BTreeSet<ZoneId>,
    valves: BTreeMap<ValveRef, ZoneId>,
    /// Zones that rules read, by their probes.
    probes: BTreeMap<ProbeRef, Vec<ZoneId>>,
    from: UnixMs,
    rehearsal: Rehearsal,
}

impl Stage {
    /// Before anything happened.
    #[must_use]
    pub fn new(rules: &[Rule], plan: &Plan, from: UnixMs) -> Self {
        let now = Now { mono: MonoMs(0), wall: Some(from) };
        let mut stage = Self {
            book: RuleBook::new(rules, &BTreeMap::new(), plan.utc_offset_min, now),
            engine: Engine::new(quiet(plan), Memory::default(), CommandId(1), now),
            faulty: BTreeSet::new(),
            valves: plan.zones.iter().map(|(id, zone)| (zone.valve.clone(), id.clone())).collect(),
            probes: BTreeMap::new(),
            from,
            rehearsal: Rehearsal::default(),
        };
        let read: BTreeSet<ZoneId> = stage.book.zones().cloned().collect();
        for (id, zone) in plan.zones.iter().filter(|(id, _)| read.contains(*id)) {
            for probe in &zone.probes {
                stage.probes.entry(probe.clone()).or_default().push(id.clone());
            }
        }
        stage.begin(&read, now);
        stage
    }

    /// What happened next; never before what was played already.
    pub fn play(&mut self, at: UnixMs, what: &Happened) {
        self.wait_until(at);
        self.take(self.moment(at), at, what);
        self.rehearsal.n_happened += 1;
    }

    /// Lets the rest of the time pass. What was before `from` only set the scene.
    #[must_use]
    pub fn end(mut self, from: UnixMs, to: UnixMs) -> Rehearsal {
        self.wait_until(to);
        let n_before = self.rehearsal.firings.len();
        self.rehearsal.firings.retain(|(at, _)| *at >= from);
        let n_left_out = n_before - self.rehearsal.firings.len();
        self.rehearsal.n_firings -= u64::try_from(n_left_out).unwrap_or(0);
        let fired: BTreeSet<&RuleId> =
            self.rehearsal.firings.iter().map(|(_, firing)| &firing.rule).collect();
        let states = self.book.states(self.moment(to));
        let held = states.filter(|state| state.is_active && state.holds == Some(true));
        let held = held.map(|state| state.rule).filter(|rule| !fired.contains(rule)).collect();
        self.rehearsal.held_throughout = held;
        self.rehearsal
    }

    fn moment(&self, at: UnixMs) -> Now {
        Now { mono: MonoMs(at.since_ms(self.from)), wall: Some(at) }
    }

    fn begin(&mut self, zones: &BTreeSet<ZoneId>, now: Now) {
        // Every valve is heard of as closed, or it would count as unknown.
        let nodes: BTreeSet<NodeId> = self.valves.keys().map(|valve| valve.node.clone()).collect();
        for node in nodes {
            let valves: Vec<_> = self.valves.keys().filter(|valve| valve.node == node).collect();
            let valves: Vec<_> = valves.iter().map(|valve| (valve.valve, false, None)).collect();
            self.engine.handle(now, Input::NodeOnline { node: &node, valves: &valves });
        }
        for command in 1..self.engine.next_command().0 {
            self.engine.handle(now, Input::Answer { command: CommandId(command), refused: None });
        }
        while self.engine.poll_action().is_some() {}
        for zone in zones {
            self.show(zone, now);
        }
    }

    /// Lets time pass for both, each at its exact moments.
    fn wait_until(&mut self, until: UnixMs) {
        let until_mono = MonoMs(until.since_ms(self.from));
        loop {
            let of_engine = self.engine.poll_timeout();
            let next = of_engine.into_iter().chain(self.book.poll_timeout()).min();
            let Some(at) = next.filter(|at| *at < until_mono) else { return };
            let at = self.from.plus_ms(at.0);
            let now = self.moment(at);
            self.engine.handle(now, Input::Timeout);
            while self.engine.poll_action().is_some() {}
            self.book.handle_timeout(now);
            self.drain(at);
        }
    }

    fn take(&mut self, now: Now, at: UnixMs, what: &Happened) {
        match what {
            Happened::Reading { series, value, percent } => {
                let level = percent.and_then(Level::from_unit);
                let good = level.is_some();
                let (device, metric): (&NodeId, &MetricName) = (&series.device, &series.metric);
                self.engine.handle(now, Input::Reading { device, metric, at, age: Age::Dated, level, good });
                self.book.handle_reading(now, (device.as_str(), metric.as_str()), (at, Age::Dated), *value);
                for zone in self.probes.get(series).cloned().unwrap_or_default() {
                    self.show(&zone, now);
                }
            }
            Happened::Valve { valve, open } => {
                let input = Input::ValveState {
                    valve,
                    open: *open,
                    command: None,
                    closed_by: None,
                    run_ms: 0,
                    volume: None,
                    live: true,
                };
                self.engine.handle(now, input);
                if let Some(zone) = self.valves.get(valve).cloned() {
                    self.show(&zone, now);
                }
            }
            Happened::Lock { zone, locked } => {
                let input = if *locked {
                    Input::Lock { zone, by: "", note: "" }
                } else {
                    Input::Unlock { zone, by: "" }
                };
                self.engine.handle(now, input);
                self.show(zone, now);
            }
            Happened::Fault { zone, fault } => {
                if *fault {
                    self.faulty.insert(zone.clone());
                } else {
                    self.faulty.remove(zone);
                }
                self.show(zone, now);
            }
        }
        while self.engine.poll_action().is_some() {}
        self.drain(at);
    }

    fn show(&mut self, zone: &ZoneId, now: Now) {
        let Some(mut signs) = self.engine.zone_signs(zone, now) else { return };
        signs.has_fault = self.faulty.contains(zone);
        self.book.handle_zone(now, zone, signs);
    }

    fn drain(&mut self, at: UnixMs) {
        while let Some(output) = self.book.poll_output() {
            match output {
                Output::Fired(firing) => {
                    self.rehearsal.n_firings += 1;
                    for effect in &firing.then {
                        if let Effect::Start { zone, .. } = effect {
                            *self.rehearsal.starts.entry(zone.clone()).or_default() += 1;
                        }
                    }
                    if self.rehearsal.firings.len() < FIRINGS_MAX {
                        self.rehearsal.firings.push((at, firing));
                    }
                }
                Output::Tired { .. } | Output::Remember { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Settings, compile};

    const FARM: &str = r#"
[[source]]
id = "pump-1"
[[zone]]
id = "a"
source = "pump-1"
valve = { node = "v01" }
probes = [{ device = "n01", metric = "soil_moisture" }]
start_below_percent = 22
stop_above_percent = 30
[weather]
air_c = "tram/air_temperature"
[[rule]]
id = "dry"
when = 'zone["a"].moisture < 20 && !zone["a"].watering && !zone["a"].locked && !zone["a"].fault'
cooldown_min = 30
then = [{ start = "a", minutes = 10 }]
[[rule]]
id = "hot"
when = "weather.air_c > 35 && time.hour >= 12"
then = [{ notify = "hot" }]
"#;

    fn farm() -> Settings {
        compile("farm.toml", FARM).unwrap()
    }

    fn reading(text: &str, value: f64) -> Happened {
        let (device, metric) = text.split_once('/').unwrap();
        let series = ProbeRef { device: device.parse().unwrap(), metric: metric.parse().unwrap() };
        Happened::Reading { series, value: Some(value), percent: Some(value) }
    }

    /// Minutes after midnight on the farm, of 2026-03-02.
    fn at(minute: i64) -> UnixMs {
        UnixMs(1_772_409_600_000 - 7 * 3_600_000 + minute * 60_000)
    }

    fn check(happened: &[(i64, Happened)], want: &[(i64, &str)]) {
        let settings = farm();
        let happened: Vec<_> = happened.iter().map(|(minute, what)| (at(*minute), what.clone())).collect();
        let span = (at(0), at(1440));
        let first = rehearse(&settings.rules, &settings.plan, &happened, span);
        let told: Vec<(i64, &str)> = first
            .firings
            .iter()
            .map(|(when, firing)| ((when.0 - at(0).0) / 60_000, firing.rule.as_str()))
            .collect();
        assert_eq!(told, want);
        assert_eq!(rehearse(&settings.rules, &settings.plan, &happened, span), first, "P10");
    }

    #[test]
    fn a_rule_that_holds_from_beginning_to_end_is_named() {
        let settings = farm();
        let always: Vec<_> =
            (0..24).map(|hour| (at(60 * hour), reading("tram/air_temperature", 40.0))).collect();
        let rules: Vec<Rule> =
            settings.rules.iter().filter(|rule| rule.id.as_str() == "hot").cloned().collect();
        let mut stage = Stage::new(&rules, &settings.plan, at(0));
        always.iter().for_each(|(at, what)| stage.play(*at, what));
        let afternoon = stage.end(at(13 * 60), at(1400));
        assert_eq!((afternoon.n_firings, afternoon.held_throughout), (0, vec!["hot".parse().unwrap()]));
        let day = rehearse(&rules, &settings.plan, &always, (at(0), at(1440)));
        assert_eq!((day.n_firings, day.held_throughout), (1, Vec::new()), "it begins at noon");
    }

    #[test]
    fn a_history_tells_when_rules_would_have_fired() {
        let (dry, air) = ("n01/soil_moisture", "tram/air_temperature");
        let valve = |open| Happened::Valve {
            valve: ValveRef { node: "v01".parse().unwrap(), valve: giot_shared::ids::ValveId(0) },
            open,
        };
        let zone: ZoneId = "a".parse().unwrap();
        // Dry from 6:00 on; watered from 6:05 to 6:20, dry again at 6:40, then locked; hot at 11:50, so told at 12:00.
        let mut happened = vec![
            (350, reading(dry, 24.0)),
            (360, reading(dry, 19.5)),
            (365, valve(true)),
            (370, reading(dry, 21.0)),
            (380, valve(false)),
            (390, reading(dry, 20.5)),
            (400, reading(dry, 19.0)),
            (410, Happened::Lock { zone: zone.clone(), locked: true }),
            (420, reading(dry, 18.5)),
            (430, Happened::Lock { zone: zone.clone(), locked: false }),
            (431, Happened::Fault { zone: zone.clone(), fault: true }),
            (440, Happened::Fault { zone, fault: false }),
            (710, reading(air, 36.0)),
        ];
        check(&happened, &[(360, "dry"), (400, "dry"), (430, "dry"), (720, "hot")]);
        // A probe that jumped is no reason, as in the engine.
        happened.truncate(1);
        happened.push((352, reading(dry, 5.0)));
        check(&happened, &[]);
    }
}
