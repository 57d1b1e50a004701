//! What pumps and master valves mean for the runs that programs want of the zones below them.
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

use giot_engine::{
    Input, Meter, MeterKind, Plan, ProbeRef, ProgramWish, PumpKind, PumpPlan, RunSet, SourcePlan, ValveRef,
};
use giot_shared::ids::ValveId;
use giot_shared::units::LitresPerHour;

use farm::{at_hour, farm, node, program, zone, zone_of};
use field::Field;

const HOUR_S: u64 = 3600;

fn output(name: &str) -> ValveRef {
    ValveRef { node: node(name), valve: ValveId(0) }
}

/// Two zones of 1000 L/h that `day` waters one after another, ten minutes each, from 07:10 on, ten minutes after the test begins;
/// the second one lies behind a master valve.
fn behind_a_master() -> Plan {
    let mut plan = farm(2);
    plan.zones.values_mut().for_each(|zone| (zone.automatic, zone.flow) = (false, Some(LitresPerHour(1000))));
    let master = PumpPlan::new(PumpKind::Master, output("master"));
    let main =
        SourcePlan { fed_by: Some("pump".parse().unwrap()), pump: Some(master), ..SourcePlan::default() };
    plan.sources.insert("main".parse().unwrap(), main);
    plan.sources.entry("pump".parse().unwrap()).or_default().capacity = Some(LitresPerHour(2000));
    plan.sources.get_mut(&"main".parse().unwrap()).unwrap().capacity = Some(LitresPerHour(2000));
    zone_of(&mut plan, "z2").source = "main".parse().unwrap();
    plan.programs.insert("day".parse().unwrap(), program(&[("z1", 10), ("z2", 10)]));
    assert_eq!(plan.check(), []);
    plan
}

/// The first zone is made longer by a person: the second one waits for its turn, and its master valve with it.
#[test]
fn a_master_valve_stays_shut_while_its_zone_waits_for_its_turn() {
    for lead_s in [0, -10] {
        let mut plan = behind_a_master();
        let main = plan.sources.get_mut(&"main".parse().unwrap()).unwrap();
        main.pump.as_mut().unwrap().on_adjust_s = lead_s;
        let mut field = Field::new(plan);
        field.wait_s(700);
        field.feed(Input::Extend { zone: &zone("z1"), by_s: 1200, by: "Lan" });
        field.wait_s(2 * HOUR_S);
        let (second, master) = (field.seconds("open v2"), field.seconds("open master"));
        assert!(second.len() == 1 && (2300..2500).contains(&second[0]), "{:?}", field.log);
        assert!(master.len() == 1 && master[0] + 30 >= second[0], "{lead_s}: {master:?} {:?}", field.log);
    }
}

/// A pump that a person must clear is as a fault of its source: what is due is made up for within the program's time, no later.
#[test]
fn a_latched_pump_gives_up_what_is_due() {
    let mut plan = farm(1);
    zone_of(&mut plan, "z1").automatic = false;
    let source = plan.sources.entry("pump".parse().unwrap()).or_default();
    source.pump = Some(PumpPlan::new(PumpKind::Pump, output("motor")));
    let mut day = program(&[("z1", 10)]);
    (day.starts, day.catch_up_min) = (vec![at_hour(10, 0), at_hour(14, 0)], 30);
    plan.programs.insert("day".parse().unwrap(), day);
    let mut field = Field::new(plan.clone());
    field.deaf.insert(node("motor"));
    for _ in 0..6 {
        field.start("z1", 300);
        field.wait_s(1200);
    }
    let day = "day".parse().unwrap();
    assert!(field.has("z1 refused by Lan: source_fault"), "{:?}", field.log);
    field.feed(Input::Program { program: &day, wish: ProgramWish::Start, by: "Lan" });
    assert!(field.has("farm refused by Lan: source_fault"), "{:?}", field.log);
    let preview = field.engine().outlook(field.now()).unwrap().forecast(&plan, 1);
    let skips = format!("{:?}", preview.starts[0].outcome);
    assert!(skips.contains("SourceFault"), "{skips}");
    field.log.clear();
    // 10:00 is three hours after the test begins; at noon somebody clears the pump.
    field.wait_s(3 * HOUR_S);
    assert!(field.has("z1 skipped: source_fault"), "{:?}", field.log);
    field.deaf.clear();
    field.feed(Input::ClearSource { source: &"pump".parse().unwrap(), by: "Lan" });
    field.wait_s(1800);
    assert!(!field.has("open v1"), "{:?}", field.log);
    field.wait_s(3 * HOUR_S);
    field.check(&["farm cleared by Lan: source_cleared", "open v1", "open motor"]);
}

/// Valves are tested one after another, and their pump runs through where the pipes have room for both.
#[test]
fn valves_below_a_pump_are_tested_with_one_start() {
    let mut plan = farm(4);
    plan.zones.values_mut().for_each(|zone| (zone.automatic, zone.flow) = (false, Some(LitresPerHour(1000))));
    let source = plan.sources.entry("pump".parse().unwrap()).or_default();
    source.capacity = Some(LitresPerHour(4000));
    source.pump = Some(PumpPlan { starts_per_hour_max: 1, ..PumpPlan::new(PumpKind::Pump, output("motor")) });
    let mut field = Field::new(plan);
    let runs: Vec<_> = (1..=4).map(|n| (zone(&format!("z{n}")), 60)).collect();
    field.feed(Input::Runs { set: RunSet::Test, runs: &runs, by: "Lan" });
    field.wait_s(1200);
    assert_eq!(field.seconds("open motor").len(), 1, "{:?}", field.log);
    for n in 1..=4 {
        let opened = field.seconds(&format!("open v{n}"));
        assert!(opened.len() == 1 && opened[0] < 600, "{n}: {opened:?} {:?}", field.log);
    }
    let n_open =
        |open: &std::collections::BTreeSet<String>| open.iter().filter(|name| name.starts_with('v')).count();
    assert!(field.left_open.iter().all(|open| n_open(open) <= 1), "{:?}", field.left_open);
}

/// An output that the node does not have is refused at the first Close, and latched before anybody wants water.
#[test]
fn an_output_that_the_node_does_not_have_is_a_fault_at_once() {
    let mut field = Field::new(behind_a_master());
    field.unknown.insert(node("master"));
    field.restart();
    field.wait_s(1200);
    assert_eq!(field.seconds("farm fault: pump_refused").len(), 1, "{:?}", field.log);
    assert_eq!(field.seconds("farm refused: pump_refused").len(), 1, "{:?}", field.log);
    assert!(!field.has("open v2"), "{:?}", field.log);
}

/// A master valve opens long before its zone, and its main fills: that is no leak, and what flows on after it has closed is.
#[test]
fn a_main_that_fills_is_no_leak() {
    let mut plan = behind_a_master();
    let gauge = ProbeRef { device: node("m0"), metric: "flow".parse().unwrap() };
    let pump = plan.sources.get_mut(&"pump".parse().unwrap()).unwrap();
    pump.guards.meter = Some(Meter { gauge, kind: MeterKind::Flow });
    plan.programs.insert("day".parse().unwrap(), program(&[("z2", 10)]));
    let main = plan.sources.get_mut(&"main".parse().unwrap()).unwrap().pump.as_mut().unwrap();
    (main.on_adjust_s, main.fill_s) = (-600, 600);
    let mut field = Field::new(plan);
    for _ in 0..2 * 120 {
        field.wait_s(30);
        let flow = if field.is_open("master") { 900 } else { 0 };
        field.gauge("m0", "flow", flow * 1000);
    }
    assert!(!field.has("farm fault: source_closed_again"), "{:?}", field.log);
    assert_eq!(field.seconds("open v2").len(), 1, "{:?}", field.log);
    field.flow("m0", 900, 1800);
    assert!(field.has("farm fault: source_closed_again"), "{:?}", field.log);
}

/// The gateway itself ends a run behind a pump, before its node would: a valve test is no run that others rest after then either.
#[test]
fn a_test_behind_a_pump_is_no_run_that_others_rest_after() {
    let mut plan = behind_a_master();
    plan.sources.get_mut(&"pump".parse().unwrap()).unwrap().pump =
        Some(PumpPlan::new(PumpKind::Pump, output("motor")));
    zone_of(&mut plan, "z2").min_off_s = 1800;
    plan.programs.insert("day".parse().unwrap(), program(&[("z2", 10)]));
    let mut field = Field::new(plan);
    field.wait_s(400);
    field.feed(Input::Runs { set: RunSet::Test, runs: &[(zone("z2"), 300)], by: "Lan" });
    field.wait_s(HOUR_S);
    let opened = field.seconds("open v2");
    assert!(opened.len() == 2 && (700..860).contains(&opened[1]), "{opened:?} {:?}", field.log);
}

/// A pump on the root source that then rests for ten minutes.
fn with_a_pump(mut plan: Plan) -> Plan {
    let motor = PumpPlan { off_s_min: 600, ..PumpPlan::new(PumpKind::Pump, output("motor")) };
    plan.sources.get_mut(&"pump".parse().unwrap()).unwrap().pump = Some(motor);
    assert_eq!(plan.check(), []);
    plan
}

/// The next zone is open and its master valve is still on its way: the pump is handed over all the same.
#[test]
fn a_pump_is_handed_over_while_a_master_valve_opens() {
    let mut field = Field::new(with_a_pump(behind_a_master()));
    field.wait_s(1100);
    // Its first command is lost.
    field.deaf.insert(node("master"));
    field.wait_s(105);
    field.deaf.clear();
    field.wait_s(2 * HOUR_S);
    let (motor, off) = (field.seconds("open motor"), field.seconds("close motor"));
    assert!(motor.len() == 1 && off[0] >= 1800, "{:?}", field.log);
    assert_eq!(field.seconds("open v2").len(), 1, "{:?}", field.log);
}

/// The other way round: the master valve stays open while its zone is complete and waits for the next one to open.
#[test]
fn a_master_valve_stays_open_until_the_pump_is_handed_over() {
    let mut plan = with_a_pump(behind_a_master());
    plan.programs.insert("day".parse().unwrap(), program(&[("z2", 10), ("z1", 10)]));
    let mut field = Field::new(plan);
    field.wait_s(1100);
    field.deaf.insert(node("v1"));
    field.wait_s(105);
    field.deaf.clear();
    field.wait_s(2 * HOUR_S);
    let (motor, off) = (field.seconds("open motor"), field.seconds("close motor"));
    assert!(motor.len() == 1 && off[0] >= 1800, "{:?}", field.log);
}

/// A master valve that opens a minute after its zone's valve: the pump has gone off by then and rests. What the zone misses follows.
#[test]
fn what_a_zone_misses_before_its_pump_comes_follows_too() {
    let mut plan = with_a_pump(behind_a_master());
    let main = plan.sources.get_mut(&"main".parse().unwrap()).unwrap();
    main.pump.as_mut().unwrap().on_adjust_s = 60;
    let mut field = Field::new(plan);
    field.wait_s(3 * HOUR_S);
    let (second, motor) = (field.seconds("open v2"), field.seconds("open motor"));
    assert!(second.len() == 2 && motor.len() == 2, "{:?}", field.log);
    assert!(
        second[1] >= second[0] + 600 && second[1] <= motor[1],
        "not before it has rested: {:?}",
        field.log
    );
    // A lag that the plan wants is no loss: nothing follows for ever.
    let first = Field::new({
        let mut plan = behind_a_master();
        plan.sources.get_mut(&"main".parse().unwrap()).unwrap().pump.as_mut().unwrap().on_adjust_s = 300;
        plan
    });
    let mut field = first;
    field.wait_s(3 * HOUR_S);
    assert_eq!(field.seconds("open v2").len(), 1, "{:?}", field.log);
}
