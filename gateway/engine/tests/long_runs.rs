//! Runs that are longer than their node keeps a valve open at a time: nothing of what was asked for is lost without a word.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    reason = "a test stops at what it did not expect; helpers are shared with other tests"
)]

#[path = "engine/farm.rs"]
mod farm;
#[path = "engine/field.rs"]
mod field;

use std::collections::BTreeSet;

use giot_engine::program::{Crossing, Window, Windows};
use giot_engine::{DayWindow, Input, Plan, PumpKind, PumpPlan, SourcePlan, ValveRef};
use giot_shared::ids::ValveId;
use giot_shared::units::LitresPerHour;

use farm::{farm, node, program, zone, zone_of};
use field::Field;

/// What the firmware's settings have where nobody says otherwise.
const NODE_RUN_S: u64 = 7200;

/// One zone of a program that waters 300 minutes from 07:10 on, ten minutes after the test begins.
fn five_hours() -> Plan {
    let mut plan = farm(1);
    let z1 = zone_of(&mut plan, "z1");
    z1.automatic = false;
    z1.run_max_s = 400 * 60;
    // No lease of it ends in the second in which the node closes.
    z1.lease_s = 840;
    plan.programs.insert("night".parse().unwrap(), program(&[("z1", 300)]));
    plan
}

fn field(plan: Plan) -> Field {
    let mut field = Field::new(plan);
    field.hard_max_s = NODE_RUN_S;
    field
}

/// How long `v1` was open in each of its runs, seconds: from each opening to the end that follows.
fn runs_s(field: &Field) -> Vec<u64> {
    let mut ends: Vec<u64> = ["closed_by_node", "run_time_reached"]
        .iter()
        .flat_map(|code| field.seconds(&format!("z1 stopped: {code}")))
        .collect();
    ends.sort_unstable();
    field.seconds("open v1").iter().zip(&ends).map(|(open, end)| end - open).collect()
}

#[test]
fn a_run_that_the_node_ends_goes_on_after_the_minimum_time_off() {
    let mut field = field(five_hours());
    field.wait_s(8 * 3600);
    field.check(&["open v1", "z1 stopped: closed_by_node", "z1 scheduled: run_split", "open v1"]);
    let runs_s = runs_s(&field);
    assert_eq!(runs_s.len(), 3, "{:?}", field.log);
    assert_eq!(runs_s[0], NODE_RUN_S);
    let total_s: u64 = runs_s.iter().sum();
    assert!((18_000 - 60..=18_000 + 60).contains(&total_s), "{runs_s:?}");
    let opened = field.seconds("open v1");
    assert!(opened[1] >= opened[0] + NODE_RUN_S + 600, "ten minutes off: {opened:?}");
}

#[test]
fn what_a_node_has_shown_is_known_the_next_day() {
    let mut field = field(five_hours());
    field.wait_s(8 * 3600);
    field.restart();
    field.log.clear();
    field.wait_s(24 * 3600);
    assert!(!field.has("z1 stopped: closed_by_node"), "the engine ends each run itself: {:?}", field.log);
    let total_s: u64 = runs_s(&field).iter().sum();
    assert!((18_000 - 60..=18_000 + 60).contains(&total_s), "{:?}", field.log);
}

#[test]
fn the_rest_of_a_long_run_stays_within_the_hours() {
    let mut plan = five_hours();
    let night = plan.programs.values_mut().next().unwrap();
    night.crossing = Crossing::Cut;
    let hours = Window::daily(DayWindow::new(7 * 60, 10 * 60).unwrap());
    night.windows = Windows { allowed: vec![hours], no_water: Vec::new() };
    let mut field = field(plan);
    field.wait_s(8 * 3600);
    assert!(!field.is_open("v1"));
    let total_s: u64 = runs_s(&field).iter().sum();
    assert!(total_s <= 170 * 60, "07:10 to 10:00: {:?}", field.log);
    field.check(&["z1 scheduled: run_split", "z1 stopped: run_time_reached"]);
}

#[test]
fn a_run_that_is_made_longer_than_its_node_gives_goes_on_too() {
    let mut plan = five_hours();
    plan.programs.clear();
    let source = plan.sources.entry("pump".parse().unwrap()).or_default();
    let motor = ValveRef { node: node("motor"), valve: ValveId(0) };
    source.pump = Some(PumpPlan::new(PumpKind::Pump, motor));
    let mut field = field(plan);
    field.start("z1", 100 * 60);
    field.wait_s(600);
    field.feed(Input::Extend { zone: &zone("z1"), by_s: 50 * 60, by: "Lan" });
    field.wait_s(4 * 3600);
    field.check(&["z1 adjusted by Lan: run_extended", "z1 scheduled by Lan: run_split", "open v1"]);
    assert!(!field.has("z1 stopped: closed_by_node"), "the pump goes off before its valve: {:?}", field.log);
    let total_s: u64 = runs_s(&field).iter().sum();
    assert!((9000 - 60..=9000 + 120).contains(&total_s), "{:?}", field.log);
}

#[test]
fn what_a_run_missed_while_its_pump_rested_follows() {
    let mut plan = five_hours();
    plan.programs.insert("night".parse().unwrap(), program(&[("z1", 60)]));
    let source = plan.sources.entry("pump".parse().unwrap()).or_default();
    let motor = ValveRef { node: node("motor"), valve: ValveId(0) };
    // Half an hour at a time, and ten minutes of rest: the valve of an hour's run is open for ten of them without water.
    source.pump =
        Some(PumpPlan { run_s_max: 30 * 60, off_s_min: 600, ..PumpPlan::new(PumpKind::Pump, motor) });
    let mut field = field(plan);
    field.wait_s(6 * 3600);
    field.check(&["open v1", "z1 stopped: run_time_reached", "z1 scheduled: run_resumed", "open v1"]);
    let total_s: u64 = runs_s(&field).iter().sum();
    assert!((3600 + 540..=3600 + 900).contains(&total_s), "{:?}", field.log);
}

#[test]
fn a_person_gets_what_they_asked_for_too() {
    let mut plan = five_hours();
    plan.programs.clear();
    let mut field = field(plan);
    field.start("z1", 150 * 60);
    field.wait_s(3 * 3600);
    field.check(&["open v1", "z1 stopped: closed_by_node", "z1 scheduled by Lan: run_split", "open v1"]);
    let total_s: u64 = runs_s(&field).iter().sum();
    assert!((9000 - 60..=9000 + 60).contains(&total_s), "{:?}", field.log);
}

/// Three zones behind a pump and a master valve; both rest for a minute between two starts.
fn behind_a_pump() -> Plan {
    let mut plan = farm(3);
    let output = |name| ValveRef { node: node(name), valve: ValveId(0) };
    let pump = plan.sources.entry("pump".parse().unwrap()).or_default();
    pump.pump = Some(PumpPlan::new(PumpKind::Pump, output("motor")));
    let master = PumpPlan { off_s_min: 60, ..PumpPlan::new(PumpKind::Master, output("master")) };
    let main =
        SourcePlan { fed_by: Some("pump".parse().unwrap()), pump: Some(master), ..SourcePlan::default() };
    plan.sources.insert("main".parse().unwrap(), main);
    for zone in plan.zones.values_mut() {
        (zone.automatic, zone.source) = (false, "main".parse().unwrap());
        (zone.flow, zone.run_max_s, zone.lease_s) = (Some(LitresPerHour(1000)), 400 * 60, 840);
    }
    for source in plan.sources.values_mut() {
        source.capacity = Some(LitresPerHour(3000));
    }
    assert_eq!(plan.check(), []);
    plan
}

/// Zones follow each other for 200 minutes, each with half of its run beside the one before: the pump is wanted all the time.
fn water_for_200_min(field: &mut Field) {
    for name in ["z1", "z2", "z3"] {
        field.start(name, 100 * 60);
        field.wait_s(50 * 60);
    }
    field.wait_s(90 * 60);
}

/// How often a valve closed and left the motor running without the master valve, or without any zone.
fn n_uncovered(field: &Field) -> usize {
    let is_uncovered = |open: &BTreeSet<String>| {
        let has_way = open.contains("master") && open.iter().any(|name| name.starts_with('v'));
        open.contains("motor") && !has_way
    };
    field.left_open.iter().filter(|open| is_uncovered(open)).count()
}

#[test]
fn a_pump_and_its_master_valve_rest_before_their_nodes_would_end_them() {
    let mut field = field(behind_a_pump());
    water_for_200_min(&mut field);
    field.check(&[
        "open master",
        "open motor",
        "farm stopping: pump_longest_run",
        "close motor",
        "close master",
        "open master",
        "open motor",
    ]);
    assert!(!field.has("farm stopped: closed_by_node"), "{:?}", field.log);
    assert_eq!(n_uncovered(&field), 0, "{:?}", field.log);
    let (on, off) = (field.seconds("open motor"), field.seconds("close motor"));
    assert_eq!((on.len(), off.len()), (2, 2), "{:?}", field.log);
    assert!((60..300).contains(&(on[1] - off[0])), "it goes on after its rest: {:?}", field.log);
    assert!(on[1] < 7200 + 300 && off[1] >= 200 * 60 - 60, "until the last zone closes: {:?}", field.log);
}

#[test]
fn what_the_node_of_a_pump_is_stated_to_allow_counts() {
    let mut plan = behind_a_pump();
    for source in plan.sources.values_mut() {
        source.pump.as_mut().unwrap().run_s_max = 86_400;
    }
    let mut field = field(plan);
    field.hard_max_s_of = [("motor", 86_400), ("master", 86_400)].map(|(name, s)| (node(name), s)).into();
    water_for_200_min(&mut field);
    let starts = (field.seconds("open motor").len(), field.seconds("open master").len());
    assert_eq!(starts, (1, 1), "{:?}", field.log);
    assert_eq!(n_uncovered(&field), 0, "{:?}", field.log);
}

#[test]
fn a_master_valve_whose_node_gives_less_is_known_from_then_on() {
    let mut field = field(behind_a_pump());
    field.hard_max_s_of = [(node("master"), 3600)].into();
    water_for_200_min(&mut field);
    assert_eq!(field.seconds("farm stopped: closed_by_node").len(), 1, "once: {:?}", field.log);
    assert_eq!(n_uncovered(&field), 1, "until it was told: {:?}", field.log);
    field.restart();
    field.wait_s(3600);
    field.log.clear();
    field.left_open.clear();
    water_for_200_min(&mut field);
    assert!(!field.has("farm stopped: closed_by_node"), "{:?}", field.log);
    assert!(field.seconds("open master").len() >= 4, "it rests within each hour: {:?}", field.log);
    assert_eq!(n_uncovered(&field), 0, "{:?}", field.log);
}

/// A run that is as long as its zone's longest leaves its pump no time to go off first: the pump's end is planned, and told.
#[test]
fn a_run_as_long_as_the_longest_keeps_its_pump_to_its_end() {
    let mut plan = five_hours();
    plan.programs.clear();
    (zone_of(&mut plan, "z1").run_max_s, zone_of(&mut plan, "z1").lease_s) = (3600, 600);
    let source = plan.sources.entry("pump".parse().unwrap()).or_default();
    let motor = ValveRef { node: node("motor"), valve: ValveId(0) };
    source.pump = Some(PumpPlan { off_s_min: 60, ..PumpPlan::new(PumpKind::Pump, motor) });
    let mut field = field(plan);
    field.start("z1", 3600);
    field.wait_s(3 * 3600);
    field.check(&[
        "open motor",
        "z1 stopping: run_time_reached",
        "z1 scheduled by Lan: run_split_by_plan",
        "open v1",
    ]);
    let (on, off) = (field.seconds("open motor"), field.seconds("close motor"));
    let watered_s: u64 = on.iter().zip(&off).map(|(on, off)| off - on).sum();
    assert!((3540..=3660).contains(&watered_s), "{watered_s} s\n{:?}", field.log);
    assert_eq!((on.len(), n_uncovered_by_zones(&field)), (2, 0), "{:?}", field.log);
}

/// How often a valve closed and left the motor running without any zone.
fn n_uncovered_by_zones(field: &Field) -> usize {
    let is_uncovered =
        |open: &BTreeSet<String>| open.contains("motor") && !open.iter().any(|name| name.starts_with('v'));
    field.left_open.iter().filter(|open| is_uncovered(open)).count()
}
