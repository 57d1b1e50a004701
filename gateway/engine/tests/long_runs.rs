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

use giot_engine::program::{Crossing, Window, Windows};
use giot_engine::{DayWindow, Input, Plan, PumpKind, PumpPlan, ValveRef};
use giot_shared::ids::ValveId;

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
    field.check(&["z1 adjusted by Lan: run_extended", "z1 scheduled: run_split", "open v1"]);
    assert!(!field.has("z1 stopped: closed_by_node"), "the pump goes off before its valve: {:?}", field.log);
    let total_s: u64 = runs_s(&field).iter().sum();
    assert!((9000 - 60..=9000 + 120).contains(&total_s), "{:?}", field.log);
}

#[test]
fn a_person_gets_what_they_asked_for_too() {
    let mut plan = five_hours();
    plan.programs.clear();
    let mut field = field(plan);
    field.start("z1", 150 * 60);
    field.wait_s(3 * 3600);
    field.check(&["open v1", "z1 stopped: closed_by_node", "z1 scheduled: run_split", "open v1"]);
    let total_s: u64 = runs_s(&field).iter().sum();
    assert!((9000 - 60..=9000 + 60).contains(&total_s), "{:?}", field.log);
}
