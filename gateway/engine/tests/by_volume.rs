//! Runs that are asked for as a volume: the zone's meter ends them, the node's own meter too, and what comes short says so.
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

use giot_engine::program::{Program, Step, Target, Window, Windows};
use giot_engine::{DayWindow, Input, Meter, MeterKind, Plan, ProbeRef, PumpKind, PumpPlan, ValveRef};
use giot_shared::ids::ValveId;
use giot_shared::units::{LitresPerHour, Millilitres};

use farm::{farm, node, program, zone, zone_of};
use field::Field;

/// 200 L at 1000 L/h.
const PLANNED_S: u64 = 720;

fn meter(n: usize) -> Meter {
    let gauge = ProbeRef { device: node(&format!("v{n}")), metric: "water_volume".parse().unwrap() };
    Meter { gauge, kind: MeterKind::Volume }
}

/// Zones of 1000 L/h with a meter each at the valve's own node.
fn metered(n_zones: usize) -> Plan {
    let mut plan = farm(n_zones);
    for n in 1..=n_zones {
        let zone = zone_of(&mut plan, &format!("z{n}"));
        zone.automatic = false;
        zone.flow = Some(LitresPerHour(1000));
        zone.guards.meter = Some(meter(n));
        zone.guards.flow.low_percent = 30;
        zone.guards.flow.high_percent = 300;
    }
    plan
}

fn litres(litres: u32) -> Program {
    let mut program = program(&[("z1", 1)]);
    program.sequence.steps[0].target = Target::litres(litres);
    program
}

/// 200 L for zone `z1` at 07:10, ten minutes after the test begins.
fn two_hundred_litres() -> Plan {
    let mut plan = metered(1);
    plan.programs.insert("night".parse().unwrap(), litres(200));
    plan
}

/// Lets so much water flow whenever `v1` is open, and reads its meter every 30 seconds, for a time.
fn water(field: &mut Field, ml_per_s: u64, span_s: u64) {
    field.ml_per_s = ml_per_s;
    let mut counted_ml = 0;
    for _ in 0..span_s / 30 {
        let was_open = field.is_open("v1");
        field.wait_s(30);
        if was_open {
            counted_ml += i64::try_from(ml_per_s).unwrap() * 30;
        }
        field.gauge("v1", "water_volume", counted_ml * 1000);
    }
}

/// How long `v1` was open, seconds: from its first opening to the line that follows it.
#[track_caller]
fn open_s(field: &Field, end: &str) -> u64 {
    let (open, end) = (field.seconds("open v1"), field.seconds(end));
    assert!(!open.is_empty() && !end.is_empty(), "{:?}", field.log);
    end[0] - open[0]
}

#[test]
fn the_meter_ends_a_run_that_gives_more_than_stated() {
    let mut field = Field::new(two_hundred_litres());
    water(&mut field, 347, 1800);
    let ran_s = open_s(&field, "z1 stopping: volume_reached");
    assert!((576..=576 + 60).contains(&ran_s), "1250 L/h: {ran_s} s\n{:?}", field.log);
    assert!(!field.has("z1 fault: volume_short"), "{:?}", field.log);
}

#[test]
fn slow_water_gets_the_time_that_it_needs() {
    let mut field = Field::new(two_hundred_litres());
    water(&mut field, 194, 3600);
    let ran_s = open_s(&field, "z1 stopping: volume_reached");
    assert!((1029..=1080).contains(&ran_s), "700 L/h: {ran_s} s\n{:?}", field.log);
    assert!(!field.has("z1 fault: volume_short"), "{:?}", field.log);
}

#[test]
fn readings_that_come_seldom_make_no_run_too_long() {
    let mut field = Field::new(two_hundred_litres());
    field.wait_s(600);
    field.gauge("v1", "water_volume", 0);
    field.wait_s(600);
    field.gauge("v1", "water_volume", 600 * 278 * 1000);
    field.wait_s(1800);
    let ran_s = open_s(&field, "z1 stopped: run_time_reached");
    assert!((PLANNED_S..=PLANNED_S + 5).contains(&ran_s), "{:?}", field.log);
}

#[test]
fn a_run_without_a_reading_has_the_time_that_its_flow_is_stated_for() {
    let mut field = Field::new(two_hundred_litres());
    field.wait_s(3600);
    let ran_s = open_s(&field, "z1 stopped: run_time_reached");
    assert!((PLANNED_S..=PLANNED_S + 5).contains(&ran_s), "{:?}", field.log);
}

#[test]
fn a_zone_without_a_meter_goes_by_time() {
    let mut plan = two_hundred_litres();
    zone_of(&mut plan, "z1").guards.meter = None;
    let mut field = Field::new(plan);
    field.ends_by_volume = true;
    water(&mut field, 139, 3600);
    assert_eq!(open_s(&field, "z1 stopped: run_time_reached"), PLANNED_S);
    assert!(field.limits.iter().all(|(_, limit)| limit.is_none()), "{:?}", field.limits);
}

#[test]
fn each_open_carries_what_is_left() {
    let mut plan = two_hundred_litres();
    zone_of(&mut plan, "z1").lease_s = 240;
    let mut field = Field::new(plan);
    water(&mut field, 278, 1800);
    assert_eq!(field.limits[0].1, Some(200_000));
    assert!(field.limits.len() >= 3, "{:?}", field.limits);
    for (at_s, limit) in &field.limits {
        let flowed_ml = (at_s - 600) * 278;
        let left_ml = 200_000_u64.saturating_sub(flowed_ml);
        let limit_ml = u64::from(limit.unwrap());
        // As of the last reading, which is at most half a minute old.
        assert!((left_ml..=left_ml + 31 * 278).contains(&limit_ml), "{at_s} {limit:?} {left_ml}");
    }
}

#[test]
fn the_most_that_a_zone_may_take_is_never_passed() {
    let mut plan = two_hundred_litres();
    let z1 = zone_of(&mut plan, "z1");
    z1.guards.volume_max = Some(Millilitres(150_000));
    z1.lease_s = 240;
    let mut field = Field::new(plan);
    field.ends_by_volume = true;
    water(&mut field, 278, 1800);
    assert_eq!(field.limits[0].1, Some(150_000));
    assert!(field.limits.iter().all(|(_, limit)| limit.is_some_and(|ml| ml <= 150_000)));
    let ran_s = open_s(&field, "z1 stopped: closed_by_node");
    assert!(ran_s * 278 <= 150_000 + 31 * 278, "{ran_s} {:?}", field.log);
}

#[test]
fn the_nodes_own_meter_ends_a_run_too() {
    let mut field = Field::new(two_hundred_litres());
    field.ends_by_volume = true;
    field.ml_per_s = 347;
    field.wait_s(3600);
    let ran_s = open_s(&field, "z1 stopped: closed_by_node");
    // No reading says what had flowed when the lease was renewed: the stated flow is taken for it.
    assert!((576..PLANNED_S).contains(&ran_s), "{:?}", field.log);
}

#[test]
fn more_time_ends_with_the_hours() {
    let mut plan = two_hundred_litres();
    let night = plan.programs.values_mut().next().unwrap();
    let hours = Window::daily(DayWindow::new(7 * 60, 7 * 60 + 25).unwrap());
    night.windows = Windows { allowed: vec![hours], no_water: Vec::new() };
    let mut field = Field::new(plan);
    water(&mut field, 139, 3600);
    let ran_s = open_s(&field, "z1 stopped: run_time_reached");
    assert!((895..=905).contains(&ran_s), "07:10 to 07:25: {ran_s} s\n{:?}", field.log);
    field.check(&["z1 fault: volume_short"]);
}

#[test]
fn what_a_power_cut_leaves_is_given_as_a_volume() {
    let mut field = Field::new(two_hundred_litres());
    field.ml_per_s = 278;
    field.wait_s(600 + 360);
    field.reboot("v1");
    field.wait_s(3600);
    field.check(&["z1 scheduled: run_resumed", "open v1"]);
    let (second_s, rest_ml) = *field.limits.iter().rfind(|(at_s, _)| *at_s > 1000).unwrap();
    assert!(second_s > 1500, "{:?}", field.limits);
    assert!(rest_ml.is_some_and(|ml| (99_000..=101_000).contains(&ml)), "{:?}", field.limits);
}

/// Steps in litres, litres per plant and millimetres: each Open carries its step's volume, and each step ends with it.
#[test]
fn irrigation_unlimited_volume_by_step() {
    let mut plan = metered(3);
    zone_of(&mut plan, "z2").n_plants = Some(20);
    zone_of(&mut plan, "z3").area_dm2 = Some(10_000);
    let mut by_volume = program(&[("z1", 1)]);
    by_volume.sequence.steps = vec![
        Step::of(zone("z1"), Target::litres(250)),
        Step::of(zone("z2"), Target::litres_per_plant(15)),
        Step::of(zone("z3"), Target::millimetres(2)),
    ];
    plan.programs.insert("night".parse().unwrap(), by_volume);
    let mut field = Field::new(plan);
    field.ends_by_volume = true;
    field.ml_per_s = 347;
    field.wait_s(3 * 3600);
    let volumes: Vec<_> = field.limits.iter().filter_map(|(_, limit)| *limit).collect();
    for (n, ml) in [(1, 250_000), (2, 300_000), (3, 200_000)] {
        assert!(volumes.contains(&ml), "{n}: {volumes:?}");
        let open = field.seconds(&format!("open v{n}"))[0];
        let ended = field.seconds(&format!("z{n} stopped: closed_by_node"));
        let ran_s = ended.first().unwrap_or_else(|| panic!("{n}: {:?}", field.log)) - open;
        assert!(
            ran_s < u64::from(ml) * 3600 / 1_000_000,
            "{n}: {ran_s} s, sooner than the stated flow needs"
        );
    }
}

#[test]
fn a_run_by_litres_that_is_extended_gives_as_much_more() {
    let mut field = Field::new(two_hundred_litres());
    field.wait_s(600);
    field.feed(Input::Extend { zone: &zone("z1"), by_s: 360, by: "Lan" });
    water(&mut field, 278, 1500);
    let ended = field.seconds("z1 stopping: volume_reached");
    assert_eq!(ended.len(), 1, "{:?}", field.log);
    assert!((1080..=1140).contains(&(ended[0] - 600)), "300 L take 18 min: {:?}", field.log);
    assert!(!field.has("z1 fault: volume_short"), "{:?}", field.log);
}

#[test]
fn the_most_that_a_zone_may_take_cuts_a_larger_dose_and_that_is_told() {
    for ends_by_volume in [false, true] {
        let mut plan = two_hundred_litres();
        zone_of(&mut plan, "z1").guards.volume_max = Some(Millilitres(100_000));
        let mut field = Field::new(plan);
        field.ends_by_volume = ends_by_volume;
        field.wait_s(600);
        water(&mut field, 278, 1500);
        field.check(&["open v1", "z1 fault: volume_short"]);
    }
}

/// Simulated season 1, day 24: a pump rested in the middle of a run by litres, and the count of the run began anew.
#[test]
fn a_pump_that_rests_meanwhile_makes_no_run_give_more() {
    let mut plan = metered(1);
    plan.programs.insert("night".parse().unwrap(), litres(500));
    let pump = PumpPlan {
        run_s_max: 600,
        off_s_min: 60,
        ..PumpPlan::new(PumpKind::Pump, ValveRef { node: node("motor"), valve: ValveId(0) })
    };
    plan.sources.get_mut(&plan.zones.values().next().unwrap().source.clone()).unwrap().pump = Some(pump);
    assert_eq!(plan.check(), []);
    let mut field = Field::new(plan);
    let mut counted_ml = 0;
    // Twice what the plan states: the time of the run does not end it.
    for _ in 0..7200 / 30 {
        let is_flowing = field.is_open("v1") && field.is_open("motor");
        field.wait_s(30);
        counted_ml += if is_flowing { 30 * 556 } else { 0 };
        field.gauge("v1", "water_volume", counted_ml * 1000);
        // Whatever is heard of the zone while its pump is off makes the engine look at its water.
        field.read(1, 2500);
    }
    assert!(field.seconds("open motor").len() > 1, "{:?}", field.log);
    assert!((450_000..=500_000 + 61 * 556).contains(&counted_ml), "{counted_ml} ml\n{:?}", field.log);
}

/// Simulated season 38, day 3: below a pump the watch did not see a run begin, and what was told of one run was told of no other.
#[test]
fn a_run_below_a_pump_that_gave_nothing_is_told_each_time() {
    let mut field = Field::new(below_a_pump());
    // Too little to be called a flow, and something that the node measures.
    field.ml_per_s = 1;
    field.start("z1", 1200);
    for _ in 0..20 {
        field.wait_s(30);
        field.gauge("v1", "water_volume", 0);
    }
    assert_eq!(n_told(&field, "no_flow"), 1, "{:?}", field.log);
    field.wait_s(7200);
    // Over before its lease is renewed: nothing else makes the engine look at the zone.
    field.start("z1", 420);
    field.wait_s(1200);
    assert_eq!(field.seconds("open v1").len(), 2, "{:?}", field.log);
    assert_eq!(n_told(&field, "no_flow"), 2, "its node measured nothing: {:?}", field.log);
}

/// Simulated season 7, day 94: what the stated flow would have given since a refused Open was taken off the next one.
#[test]
fn what_a_node_refused_is_not_taken_off_the_volume() {
    let mut field = Field::new(two_hundred_litres());
    field.refuses.insert(node("v1"));
    field.wait_s(900);
    let limits: Vec<_> = field.limits.iter().map(|(_, limit)| *limit).collect();
    assert_eq!(limits, [Some(200_000), Some(200_000)], "{:?}", field.log);
}

/// A zone below a pump has water only when that is on, though no valve of its own moves then.
#[test]
fn runs_below_a_pump_teach_their_flow() {
    let mut field = Field::new(below_a_pump());
    let mut counted_ml = 0;
    for _ in 0..3 {
        // Over before its lease is renewed: nothing else makes the engine look at the zone.
        field.start("z1", 420);
        for _ in 0..30 {
            counted_ml += if field.is_open("v1") && field.is_open("motor") { 30 * 278 } else { 0 };
            field.wait_s(30);
            field.gauge("v1", "water_volume", counted_ml * 1000);
        }
    }
    assert_eq!(field.learned("z1"), [1000; 3], "{:?}", field.log);
}

/// A zone whose meter is another device's than its valve's.
fn metered_by_another() -> Plan {
    let mut plan = two_hundred_litres();
    let own = meter(1);
    let other = Meter { gauge: ProbeRef { device: node("m1"), ..own.gauge }, ..own };
    zone_of(&mut plan, "z1").guards.meter = Some(other);
    plan
}

fn below_a_pump() -> Plan {
    let mut plan = metered(1);
    let source = plan.zones.values().next().unwrap().source.clone();
    let pump = PumpPlan::new(PumpKind::Pump, ValveRef { node: node("motor"), valve: ValveId(0) });
    plan.sources.get_mut(&source).unwrap().pump = Some(pump);
    plan
}

/// A valve opened and closed at its button.
fn by_hand(field: &mut Field, run_s: u64, ml: u32, live: bool) {
    let valve = ValveRef { node: node("v1"), valve: ValveId(0) };
    let word = |open, run_ms, volume| Input::ValveState {
        valve: &valve,
        open,
        command: None,
        closed_by: None,
        run_ms,
        volume,
        live,
    };
    field.feed(word(true, 0, None));
    if live {
        field.wait_s(run_s);
    } else {
        field.gauge_of("v1", "water_volume", 50_000_000, 4000);
    }
    field.feed(word(false, run_s * 1000, Some(Millilitres(ml))));
}

fn n_told(field: &Field, code: &str) -> usize {
    field.log.iter().filter(|line| line.contains(&format!("fault: {code}"))).count()
}

/// Nobody switched the pump on: that a run at the button had no water says nothing. Where water comes by itself, each such run
/// is told.
#[test]
fn a_dry_run_at_the_button_is_a_fault_only_where_no_pump_is_needed() {
    for (plan, n_wanted) in [(below_a_pump(), 1), (metered(1), 3)] {
        let mut field = Field::new(plan);
        // Told while it goes on: what is told of a run is told once.
        field.ml_per_s = 0;
        field.start("z1", 600);
        for _ in 0..30 {
            field.wait_s(30);
            field.gauge("v1", "water_volume", 0);
        }
        assert_eq!(n_told(&field, "no_flow"), 1, "{:?}", field.log);
        for _ in 0..2 {
            by_hand(&mut field, 900, 0, true);
            field.wait_s(1800);
        }
        assert_eq!(n_told(&field, "no_flow"), n_wanted, "{:?}", field.log);
    }
}

/// Seasons 89 and 155: a node out of reach for hours tells afterwards what its meter counted while somebody watered at the button.
#[test]
fn what_a_button_let_through_out_of_reach_is_no_leak() {
    for is_told in [true, false] {
        let mut field = Field::new(metered(1));
        field.wait_s(3 * 3600);
        for age_s in [9000, 7200, 5400] {
            field.gauge_of("v1", "water_volume", 0, age_s);
        }
        if is_told {
            by_hand(&mut field, 900, 260_000, false);
            // Taken while it was open, and at its end.
            field.gauge_of("v1", "water_volume", 200_000_000, 3600);
            field.gauge_of("v1", "water_volume", 260_000_000, 1800);
        } else {
            field.gauge_of("v1", "water_volume", 50_000_000, 4000);
        }
        let wanted = usize::from(!is_told);
        assert_eq!(field.seconds("close v1").len(), wanted, "{:?}", field.log);
        // What flows from now on is a leak.
        for n in 0..3 {
            field.wait_s(900);
            field.gauge("v1", "water_volume", 260_000_000 + n * 100_000_000);
        }
        assert!(field.has("close v1"), "{:?}", field.log);
    }
}

/// The meter that is stated for a zone is believed; another one at its valve's node counts other water.
#[test]
fn the_meter_that_is_stated_for_a_zone_is_believed() {
    for (mut plan, device, n_wanted) in [(metered_by_another(), "m1", 0), (metered(1), "v1", 1)] {
        plan.programs.clear();
        let mut field = Field::new(plan);
        // What the node counts; the readings say 1000 L/h.
        (field.ml_per_s, field.ends_by_volume) = (1000, false);
        field.start("z1", 900);
        for n in 1..=30 {
            field.wait_s(30);
            field.gauge(device, "water_volume", n * 30 * 278 * 1000);
        }
        field.wait_s(120);
        assert_eq!(n_told(&field, "high_flow"), n_wanted, "{:?}", field.log);
        let litres = field.last_measured.1.map(|volume| volume.0 / 1000);
        let wanted = if n_wanted == 0 { 240..=260 } else { 0..=1000 };
        assert!(
            litres.is_some_and(|litres| wanted.contains(&litres)),
            "{litres:?} L in 15 min\n{:?}",
            field.log
        );
    }
}

/// Litres are given by the meter that is stated, and what comes short goes by it too.
#[test]
fn a_run_by_litres_goes_by_the_meter_that_is_stated() {
    for (ml_per_s, is_short) in [(278, false), (100, true)] {
        let mut field = Field::new(metered_by_another());
        (field.ml_per_s, field.ends_by_volume) = (1000, true);
        for n in 0..3600 / 30 {
            field.wait_s(30);
            let flowed_s = (n * 30_i64 - 600).max(0);
            if field.is_open("v1") {
                field.gauge("m1", "water_volume", flowed_s * ml_per_s * 1000);
            }
        }
        assert!(field.limits.iter().all(|(_, limit)| limit.is_none()), "{:?}", field.limits);
        assert_eq!(field.has("z1 fault: volume_short"), is_short, "{:?}", field.log);
    }
}
