//! What the guards of a source do to everything that it feeds: tests of its zones one by one, closing again, and what follows
//! where no zone is to blame.
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
    Input, Meter, MeterKind, Plan, ProbeRef, PumpKind, PumpPlan, RunSet, SourcePlan, TankGuard, ValveRef,
};
use giot_shared::ids::ValveId;
use giot_shared::units::LitresPerHour;

use farm::{farm, node, zone, zone_of};
use field::Field;

fn gauge(device: &str, metric: &str) -> ProbeRef {
    ProbeRef { device: node(device), metric: metric.parse().unwrap() }
}

fn source<'a>(plan: &'a mut Plan, name: &str) -> &'a mut SourcePlan {
    plan.sources.entry(name.parse().unwrap()).or_default()
}

/// Three zones of 1000 L/h of which the source carries two at a time, and a meter at it.
fn two_of_three() -> Plan {
    let mut plan = farm(3);
    let pump = source(&mut plan, "pump");
    pump.capacity = Some(LitresPerHour(2000));
    pump.guards.meter = Some(Meter { gauge: gauge("m0", "flow"), kind: MeterKind::Flow });
    for name in ["z1", "z2", "z3"] {
        let zone = zone_of(&mut plan, name);
        (zone.flow, zone.automatic, zone.min_off_s) = (Some(LitresPerHour(1000)), false, 300);
    }
    plan
}

/// Lets time pass; the source's meter says every half a minute what the open zones take and what is lost before them.
fn with_meter(field: &mut Field, span_s: u64, of_zone: impl Fn(&str) -> i64, lost: impl Fn(&Field) -> i64) {
    for _ in 0..span_s / 30 {
        field.wait_s(30);
        let taken: i64 =
            ["v1", "v2", "v3"].into_iter().filter(|name| field.is_open(name)).map(&of_zone).sum();
        let lost = lost(field);
        field.gauge("m0", "flow", (taken + lost) * 1000);
    }
}

/// Season 8: what waited by hand opened in the instant in which the diagnosis began, beside the first valve under test. The test
/// read both, found nobody, and the whole source was out.
#[test]
fn nothing_opens_beside_a_valve_under_test() {
    let mut field = Field::new(two_of_three());
    let runs = ["z1", "z2", "z3"].map(|name| (zone(name), 1500));
    field.feed(Input::Runs { set: RunSet::Once, runs: &runs, by: "Lan" });
    let burst = |name: &str| if name == "v2" { 2000 } else { 1000 };
    let mut n_tried = 0;
    for _ in 0..200 {
        with_meter(&mut field, 30, burst, |_| 0);
        let is_testing = field.has("farm scheduled: diagnosis_started") && !field.has("z2 fault: high_flow");
        if is_testing {
            let open = ["v1", "v2", "v3"].into_iter().filter(|name| field.is_open(name)).count();
            assert!(open <= 1 && !field.is_open("v3"), "{:?}", field.log);
            field.start("z3", 600);
            n_tried += 1;
        }
    }
    assert!(n_tried > 5, "{:?}", field.log);
    assert_eq!(field.seconds("z3 refused by Lan: diagnosing").len(), n_tried);
    field.check(&["farm scheduled: diagnosis_started", "z1 started: valve_test", "z2 fault: high_flow"]);
    assert!(!field.has("farm fault: source_high_flow") && !field.has("z1 fault: high_flow"));
    // What waited follows, and so does the rest of the zone that was proven good.
    field.check(&["z2 fault: high_flow", "z3 started by Lan: run_once", "z3 stopped: run_time_reached"]);
    field.check(&["z1 scheduled by Lan: run_rest", "z2 fault: high_flow", "z1 started by Lan: run_once"]);
    // That of the zone at fault is dropped, and told.
    field.check(&[
        "z2 scheduled by Lan: run_rest",
        "z2 fault: high_flow",
        "z2 skipped by Lan: unresolved_fault",
    ]);
}

/// A tank that ran low ends what a person asked for; once it has filled the rest follows, as a program's does.
#[test]
fn the_rest_of_a_set_follows_when_the_tank_has_filled() {
    let mut plan = two_of_three();
    source(&mut plan, "pump").guards.tank = Some(TankGuard {
        gauge: gauge("tank", "tank_level"),
        min_milli: 20_000,
        resume_milli: 40_000,
        fresh_s: 1800,
    });
    let mut field = Field::new(plan);
    field.gauge("tank", "tank_level", 50_000);
    field.feed(Input::Runs { set: RunSet::Once, runs: &[(zone("z1"), 1200)], by: "Lan" });
    field.wait_s(600);
    field.gauge("tank", "tank_level", 19_000);
    field.wait_s(600);
    assert!(!field.is_open("v1"));
    field.check(&["z1 stopping: tank_low", "z1 scheduled by Lan: run_rest", "z1 skipped: tank_low"]);
    field.gauge("tank", "tank_level", 41_000);
    field.wait_s(30);
    assert!(field.is_open("v1"), "{:?}", field.log);
    field.wait_s(900);
    assert_eq!(field.seconds("z1 stopped: run_time_reached"), [1800], "ten minutes were left");
}

/// Flow with every valve closed: a valve may only have said that it closed. Each is closed twice more, that of a lower source
/// too, before the source is out; a run in between is no proof.
#[test]
fn every_valve_is_closed_again_before_a_leak_stops_the_source() {
    let mut plan = two_of_three();
    source(&mut plan, "branch").fed_by = Some("pump".parse().unwrap());
    zone_of(&mut plan, "z3").source = "branch".parse().unwrap();
    let mut field = Field::new(plan);
    with_meter(&mut field, 540, |_| 1000, |_| 300);
    field.check(&["farm fault: source_closed_again", "close v1", "close v2", "close v3"]);
    field.start("z1", 300);
    with_meter(&mut field, 600 + 420, |_| 1000, |_| 300);
    assert!(field.has("z1 stopped: run_time_reached"), "{:?}", field.log);
    assert!(!field.has("farm fault: unscheduled_flow"), "{:?}", field.log);
    with_meter(&mut field, 600, |_| 1000, |_| 300);
    assert_eq!(field.seconds("farm fault: source_closed_again").len(), 2, "{:?}", field.log);
    assert_eq!(field.seconds("farm fault: unscheduled_flow").len(), 1, "{:?}", field.log);
    assert_eq!(field.seconds("close v3").len(), 2, "{:?}", field.log);
    field.start("z2", 300);
    field.check(&["z2 refused by Lan: source_fault"]);
}

/// A relay that only said so: the pump is switched off once more with the valves, and waters again afterwards.
#[test]
fn a_pump_that_is_off_is_closed_again_with_its_valves() {
    let mut plan = two_of_three();
    let pump = PumpPlan::new(PumpKind::Pump, ValveRef { node: node("motor"), valve: ValveId(0) });
    source(&mut plan, "pump").pump = Some(pump);
    let mut field = Field::new(plan);
    let lost = |field: &Field| if field.has("close motor") { 0 } else { 300 };
    with_meter(&mut field, 3600, |_| 1000, lost);
    assert_eq!(field.seconds("close motor").len(), 1, "{:?}", field.log);
    assert!(!field.has("farm fault: unscheduled_flow"), "{:?}", field.log);
    field.start("z1", 300);
    with_meter(&mut field, 600, |_| 1000, |_| 0);
    field.check(&[
        "z1 started by Lan: manual_start",
        "open motor",
        "close motor",
        "z1 stopped: run_time_reached",
    ]);
}

/// The valve that was stuck closes with the second Close: nothing is out.
#[test]
fn a_valve_that_closes_at_last_stops_nothing() {
    let mut field = Field::new(two_of_three());
    let lost = |field: &Field| if field.has("close v2") { 0 } else { 800 };
    with_meter(&mut field, 3600, |_| 1000, lost);
    assert_eq!(field.seconds("farm fault: source_closed_again").len(), 1, "{:?}", field.log);
    assert!(!field.has("farm fault: unscheduled_flow"), "{:?}", field.log);
    // The next leak is a new one.
    with_meter(&mut field, 540, |_| 1000, |_| 800);
    with_meter(&mut field, 480, |_| 1000, |_| 800);
    assert_eq!(field.seconds("farm fault: source_closed_again").len(), 3, "{:?}", field.log);
    assert!(!field.has("farm fault: unscheduled_flow"), "{:?}", field.log);
}

/// A main that has burst before a pumpless source: the flow stays when the blamed zone has closed. No other zone opens into it.
#[test]
fn flow_that_does_not_end_with_the_blamed_zone_puts_the_source_out() {
    let mut plan = two_of_three();
    source(&mut plan, "pump").capacity = None;
    let mut field = Field::new(plan);
    field.start("z1", 1200);
    field.feed(Input::Runs { set: RunSet::Once, runs: &[(zone("z2"), 1200)], by: "Lan" });
    with_meter(&mut field, 1800, |_| 1000, |_| 900);
    field.check(&["z1 fault: high_flow", "farm fault: unscheduled_flow", "z2 skipped by Lan: source_fault"]);
    assert!(!field.has("open v2") && !field.has("farm fault: source_closed_again"), "{:?}", field.log);
}

/// A main that loses water only while some is drawn, as behind a pump: the second zone that is found so is not to blame.
#[test]
fn a_second_zone_with_too_much_flow_puts_the_source_out() {
    let mut plan = two_of_three();
    source(&mut plan, "pump").capacity = None;
    let mut field = Field::new(plan);
    let drawn =
        |field: &Field| if ["v1", "v2", "v3"].iter().any(|name| field.is_open(name)) { 900 } else { 0 };
    let runs = ["z1", "z2", "z3"].map(|name| (zone(name), 1200));
    field.feed(Input::Runs { set: RunSet::Once, runs: &runs, by: "Lan" });
    with_meter(&mut field, 3 * 3600, |_| 1000, drawn);
    field.check(&["z1 fault: high_flow", "open v2", "farm fault: source_high_flow", "close v2"]);
    assert!(!field.has("z2 fault: high_flow") && !field.has("open v3"), "{:?}", field.log);
    // Nothing opens before the meter has shown that the flow ended with the first.
    assert!(field.seconds("open v2")[0] >= field.seconds("close v1")[0] + 120, "{:?}", field.log);
}

/// One zone that has burst: the others go on, and a good run between clears the main.
#[test]
fn a_zone_that_has_burst_is_out_alone() {
    let mut plan = two_of_three();
    source(&mut plan, "pump").capacity = None;
    let mut field = Field::new(plan);
    let runs = ["z1", "z2", "z3"].map(|name| (zone(name), 1200));
    field.feed(Input::Runs { set: RunSet::Once, runs: &runs, by: "Lan" });
    let burst = |name: &str| if name == "v2" { 1000 } else { 1900 };
    with_meter(&mut field, 3 * 3600, burst, |_| 0);
    field.check(&["z1 fault: high_flow", "z2 stopped: run_time_reached", "z3 fault: high_flow"]);
    assert!(
        !field.has("farm fault: source_high_flow") && !field.has("z2 fault: high_flow"),
        "{:?}",
        field.log
    );
}

/// The source gives too much while the one zone that waters has a meter of its own that is in order: the main has burst.
#[test]
fn a_zone_whose_own_meter_is_in_order_is_not_blamed() {
    for is_read in [true, false] {
        let mut plan = two_of_three();
        let own = Meter { gauge: gauge("v1", "flow"), kind: MeterKind::Flow };
        zone_of(&mut plan, "z1").guards.meter = Some(own);
        let mut field = Field::new(plan);
        field.start("z1", 1800);
        for _ in 0..40 {
            field.wait_s(30);
            if is_read && field.is_open("v1") {
                field.gauge("v1", "flow", 1_000_000);
            }
            let flow = if field.is_open("v1") { 2500 } else { 1500 };
            field.gauge("m0", "flow", flow * 1000);
        }
        assert_eq!(field.has("z1 fault: high_flow"), !is_read, "{:?}", field.log);
        assert_eq!(field.has("farm fault: source_high_flow"), is_read, "{:?}", field.log);
    }
}
