//! What other irrigation controllers do about pumps, flow, sensors and faults, each feature a test named after its
//! controller; what they let people do is in `peers_people`.
//!
//! OpenSprinkler, Irrigation Unlimited, NeverDry, Irrigation-V5, Hunter and Tucor are meant by their documents; nothing of
//! their code is used. Zones are those of `engine/farm.rs`: soil below 20 % starts them, above 30 % stops them.
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

use giot_engine::program::{Target, Windows};
use giot_engine::{
    ContactGuard, DayWindow, FrostGuard, Input, Meter, MeterKind, Pause, Plan, PressureGuard, ProbeRef,
    PumpKind, PumpPlan, RainGuard, SourcePlan, TankGuard, ValveRef,
};
use giot_shared::ids::ValveId;
use giot_shared::units::{LitresPerHour, Millilitres};

use farm::{farm, node, program, zone, zone_of};
use field::Field;

fn gauge(device: &str, metric: &str) -> ProbeRef {
    ProbeRef { device: node(device), metric: metric.parse().unwrap() }
}

fn output(name: &str) -> ValveRef {
    ValveRef { node: node(name), valve: ValveId(0) }
}

fn source<'a>(plan: &'a mut Plan, name: &str) -> &'a mut SourcePlan {
    plan.sources.entry(name.parse().unwrap()).or_default()
}

/// Zones that one pump feeds.
fn pumped(n_zones: usize) -> Plan {
    let mut plan = farm(n_zones);
    source(&mut plan, "pump").pump = Some(PumpPlan::new(PumpKind::Pump, output("motor")));
    assert_eq!(plan.check(), []);
    plan
}

/// One zone of 1000 L/h with a flow meter.
fn metered() -> Plan {
    let mut plan = farm(1);
    let z1 = zone_of(&mut plan, "z1");
    z1.flow = Some(LitresPerHour(1000));
    z1.guards.meter = Some(Meter { gauge: gauge("m1", "flow"), kind: MeterKind::Flow });
    plan
}

#[test]
fn opensprinkler_master_station_on_and_off_adjust() {
    let mut plan = farm(1);
    let master = PumpPlan::new(PumpKind::Master, output("master"));
    source(&mut plan, "pump").pump = Some(PumpPlan { on_adjust_s: -20, off_adjust_s: 10, ..master });
    let mut field = Field::new(plan);
    field.read(1, 1900);
    field.wait_s(600);
    field.read(1, 3100);
    field.wait_s(60);
    field.check(&["open master", "open v1", "close v1", "close master"]);
    assert_eq!(field.seconds("open v1"), [20], "the master valve opens twenty seconds before");
    assert_eq!(field.seconds("close v1"), [600]);
    assert_eq!(field.seconds("close master"), [610], "and closes ten seconds after");
}

/// Both adjustments over their whole range, in steps of five minutes and at its ends; one more second is a problem.
#[test]
fn opensprinkler_master_adjust_from_minus_600_to_600_s() {
    let farm_with = |on_adjust_s, off_adjust_s| {
        let mut plan = farm(1);
        let z1 = zone_of(&mut plan, "z1");
        // A master that closes ten minutes before the zone wants its valve open for so long on one lease.
        (z1.automatic, z1.lease_s, z1.run_max_s) = (false, 3600, 3600);
        plan.programs.insert("morning".parse().unwrap(), program(&[("z1", 20)]));
        let master = PumpPlan::new(PumpKind::Master, output("master"));
        source(&mut plan, "pump").pump = Some(PumpPlan { on_adjust_s, off_adjust_s, ..master });
        plan
    };
    for on_adjust_s in [-600, -300, -1, 0, 1, 300, 600] {
        for off_adjust_s in [-600, -300, -1, 0, 1, 300, 600] {
            let mut field = Field::new(farm_with(on_adjust_s, off_adjust_s));
            field.wait_s(3 * 3600);
            let last = |line| match field.seconds(line).last() {
                Some(at) => i64::try_from(*at).unwrap(),
                None => panic!("{on_adjust_s} {off_adjust_s}: no {line} in {:?}", field.log),
            };
            let (opened, closed) = (last("open v1"), last("z1 stopped: run_time_reached"));
            let found = (last("open master") - opened, last("close master") - closed);
            assert_eq!(found, (on_adjust_s.into(), off_adjust_s.into()), "{:?}", field.log);
            assert_eq!(
                last("close master").min(closed) - opened,
                1200,
                "twenty minutes before either closes"
            );
            assert!(!field.is_open("v1") && !field.is_open("master"));
        }
    }
    for (on_adjust_s, off_adjust_s) in [(-601, 0), (601, 0), (0, -601), (0, 601)] {
        assert_eq!(farm_with(on_adjust_s, off_adjust_s).check().len(), 1, "{on_adjust_s} {off_adjust_s}");
    }
    let mut short = farm_with(0, -600);
    zone_of(&mut short, "z1").lease_s = 600;
    assert_eq!(short.check().len(), 1, "its lease would end before");
}

/// Season 4, day 151: another section's zone ended, and the master valve before the one that waited opened only with the next
/// reading below it.
#[test]
fn a_master_valve_opens_as_soon_as_another_section_leaves_water() {
    let mut plan = farm(2);
    source(&mut plan, "pump").capacity = Some(LitresPerHour(1500));
    let master = PumpPlan::new(PumpKind::Master, output("master"));
    for name in ["a", "b"] {
        source(&mut plan, name).fed_by = Some("pump".parse().unwrap());
    }
    source(&mut plan, "a").pump = Some(PumpPlan { on_adjust_s: -20, ..master });
    for (name, section) in [("z1", "a"), ("z2", "b")] {
        let zone = zone_of(&mut plan, name);
        (zone.source, zone.flow) = (section.parse().unwrap(), Some(LitresPerHour(1000)));
    }
    assert_eq!(plan.check(), []);
    let mut field = Field::new(plan);
    field.start("z2", 600);
    field.wait_s(60);
    field.read(1, 1900);
    field.wait_s(900);
    assert_eq!(field.seconds("z2 stopped: run_time_reached"), [600]);
    assert_eq!((field.seconds("open master"), field.seconds("open v1")), (vec![600], vec![620]));
}

#[test]
fn opensprinkler_pump_start_with_delay() {
    let mut field = Field::new(pumped(1));
    field.start("z1", 300);
    field.wait_s(600);
    field.check(&["open v1", "open motor", "renew motor", "close motor", "close v1"]);
    assert_eq!(field.seconds("open motor"), [5], "the pump follows the valve");
    assert_eq!(field.seconds("close v1"), [300], "the valve closes when the pump is off");
}

#[test]
fn opensprinkler_station_delay_on_one_source() {
    let mut plan = farm(3);
    source(&mut plan, "pump").capacity = Some(LitresPerHour(9000));
    source(&mut plan, "pump").stagger_s = 30;
    for name in ["z1", "z2", "z3"] {
        zone_of(&mut plan, name).flow = Some(LitresPerHour(1000));
    }
    let mut field = Field::new(plan);
    (1..=3).for_each(|n| field.read(n, 1900));
    field.wait_s(120);
    let opened = ["open v1", "open v2", "open v3"].map(|line| field.seconds(line));
    assert_eq!(opened, [[0], [30], [60]]);
}

#[test]
fn opensprinkler_flow_of_the_first_90_seconds_is_ignored() {
    let mut field = Field::new(metered());
    field.start("z1", 1200);
    field.flow("m1", 0, 60);
    field.flow("m1", 1000, 240);
    assert!(!field.has("z1 fault: no_flow"));
    assert_eq!(field.seconds("z1 confirmed: flow_confirmed"), [90]);
}

#[test]
fn opensprinkler_flow_pulses_are_counted_per_zone() {
    let mut plan = metered();
    zone_of(&mut plan, "z1").guards.meter =
        Some(Meter { gauge: gauge("m1", "water_volume"), kind: MeterKind::Volume });
    let mut field = Field::new(plan);
    field.start("z1", 1200);
    for n in 0..10 {
        field.gauge("m1", "water_volume", n * 10_000 * 1000);
        field.wait_s(36);
    }
    let view = field.engine().flow_view(&zone("z1")).unwrap();
    assert_eq!((view.flow, view.is_confirmed), (LitresPerHour(1000), true), "10 L in 36 s");
}

#[test]
fn opensprinkler_rain_sensor_with_on_and_off_delay() {
    let mut plan = farm(1);
    plan.guards.rain_contact =
        Some(ContactGuard { gauge: gauge("st", "rain_contact"), on_delay_s: 300, off_delay_s: 3600 });
    let mut field = Field::new(plan);
    field.gauge("st", "rain_contact", 1000);
    field.wait_s(60);
    field.read(1, 1900);
    field.wait_s(10);
    assert!(field.is_open("v1"), "not wet for five minutes yet");
    field.wait_s(300);
    assert!(!field.is_open("v1"));
    field.check(&["z1 stopping: rain_contact"]);
    field.gauge("st", "rain_contact", 0);
    field.read(1, 1900);
    field.wait_s(1800);
    field.read(1, 1899);
    assert!(!field.is_open("v1"), "dry again, for half an hour");
    field.wait_s(1801);
    field.read(1, 1898);
    assert!(field.is_open("v1"));
}

#[test]
fn opensprinkler_soil_sensor_with_on_and_off_delay() {
    let mut plan = farm(2);
    plan.guards.soil_contact =
        Some(ContactGuard { gauge: gauge("st", "soil_contact"), on_delay_s: 300, off_delay_s: 900 });
    source(&mut plan, "pump").capacity = Some(LitresPerHour(9000));
    for name in ["z1", "z2"] {
        zone_of(&mut plan, name).flow = Some(LitresPerHour(1000));
    }
    zone_of(&mut plan, "z2").guards.ignores.soil_contact = true;
    let mut field = Field::new(plan);
    field.gauge("st", "soil_contact", 1000);
    field.wait_s(60);
    field.read(1, 1900);
    field.read(2, 1900);
    field.wait_s(239);
    assert!(field.is_open("v1"), "not wet for five minutes yet");
    field.wait_s(1);
    assert!(!field.is_open("v1") && field.is_open("v2"), "one of them does not heed the contact");
    assert_eq!(field.seconds("z1 stopping: soil_contact"), [300]);
    field.stop("z2");
    field.read(1, 1900);
    field.wait_s(900);
    field.check(&["z1 stopped: soil_contact", "z1 skipped: soil_contact"]);
    field.start("z1", 60);
    assert!(field.is_open("v1"), "a person may");
    field.wait_s(900);
    field.gauge("st", "soil_contact", 0);
    field.wait_s(600);
    // Wet again for a moment that is shorter than the on-delay: the off-delay begins anew.
    field.gauge("st", "soil_contact", 1000);
    field.wait_s(100);
    field.gauge("st", "soil_contact", 0);
    field.read(1, 1890);
    field.wait_s(899);
    assert!(!field.is_open("v1"), "dry, but not for a quarter of an hour");
    field.wait_s(1);
    assert!(field.is_open("v1"));
}

#[test]
fn opensprinkler_rain_delay() {
    let mut plan = farm(1);
    plan.programs.insert("night".parse().unwrap(), program(&[("z1", 5)]));
    zone_of(&mut plan, "z1").automatic = false;
    let mut field = Field::new(plan);
    let until = field.now().wall.map(|wall| wall.plus_ms(3_600_000));
    field.feed(Input::Pause { kind: Pause::Rain, until, by: "Lan" });
    field.restart();
    field.wait_s(1200);
    field.check(&["farm skipped: rain_delay"]);
    assert!(!field.has("open v1"));
    field.wait_s(24 * 3600);
    assert!(field.has("open v1"), "the next morning");
}

#[test]
fn opensprinkler_ignore_sensor_bits_per_zone() {
    let mut plan = farm(2);
    plan.guards.rain = Some(RainGuard { gauge: gauge("st", "rain"), limit_milli: 5000, hours: 24 });
    source(&mut plan, "pump").capacity = Some(LitresPerHour(9000));
    for name in ["z1", "z2"] {
        zone_of(&mut plan, name).flow = Some(LitresPerHour(1000));
    }
    zone_of(&mut plan, "z2").guards.ignores.rain = true;
    let mut field = Field::new(plan);
    field.gauge("st", "rain", 3000);
    field.wait_s(600);
    field.gauge("st", "rain", 2500);
    field.read(1, 1900);
    field.read(2, 1900);
    assert!(!field.is_open("v1") && field.is_open("v2"));
    field.check(&["z1 skipped: rained"]);
    field.start("z1", 60);
    assert!(field.is_open("v1"), "a person may");
    field.wait_s(24 * 3600);
    field.read(1, 1890);
    assert!(field.is_open("v1"), "a day later");
}

#[test]
fn opensprinkler_everything_is_off_at_boot() {
    let mut field = Field::new(pumped(2));
    field.start("z1", 1200);
    field.wait_s(60);
    assert!(field.is_open("v1") && field.is_open("motor"));
    field.log.clear();
    field.restart();
    field.wait_s(5);
    assert!(!field.is_open("v1") && !field.is_open("motor"));
    field.check(&["close motor", "close v1"]);
    field.check(&["z1 stopped: gateway_restarted"]);
}

#[test]
fn irrigation_unlimited_check_back_with_retries_and_resync() {
    let mut field = Field::new(farm(1));
    field.deaf.insert(node("v1"));
    field.start("z1", 600);
    field.wait_s(60);
    assert_eq!(field.seconds("open v1"), [0, 10, 20], "the state is checked and the command repeated");
    field.check(&["z1 fault: command_unanswered"]);
    field.deaf.clear();
    field.wait_s(600);
    assert!(!field.is_open("v1"), "the close is repeated until both agree");
    field.feed(Input::ClearFault { zone: &zone("z1"), by: "Lan" });
    field.start("z1", 60);
    assert!(field.is_open("v1"));
}

#[test]
fn irrigation_unlimited_volume_cut_off() {
    let mut plan = metered();
    zone_of(&mut plan, "z1").guards.volume_max = Some(Millilitres(100_000));
    zone_of(&mut plan, "z1").guards.meter =
        Some(Meter { gauge: gauge("m1", "water_volume"), kind: MeterKind::Volume });
    let mut field = Field::new(plan);
    field.start("z1", 1200);
    for n in 0..20 {
        field.gauge("m1", "water_volume", n * 10_000 * 1000);
        field.wait_s(36);
    }
    field.check(&["z1 stopping: volume_reached", "close v1"]);
    assert_eq!(field.seconds("close v1"), [360], "100 L at 1000 L/h");
}

#[test]
fn neverdry_close_is_verified_with_retry() {
    let mut field = Field::new(farm(1));
    field.start("z1", 1200);
    field.wait_s(60);
    field.deaf.insert(node("v1"));
    field.stop("z1");
    field.wait_s(100);
    assert!(field.seconds("close v1").len() >= 3, "{:?}", field.log);
    assert!(!field.has("z1 stopped by Lan: manual_stop"), "nobody has said that it is closed");
    field.deaf.clear();
    field.wait_s(60);
    field.check(&["z1 stopped by Lan: manual_stop"]);
}

#[test]
fn neverdry_leak_after_close() {
    let mut plan = metered();
    plan.sources.insert("pump".parse().unwrap(), SourcePlan::default());
    let mut field = Field::new(plan);
    field.start("z1", 60);
    field.wait_s(120);
    field.log.clear();
    field.flow("m1", 400, 3600);
    field.check(&[
        "z1 fault: leak_after_close",
        "close v1",
        "z1 fault: leak_after_close",
        "close v1",
        "z1 fault: valve_stuck_open",
        "farm fault: valve_stuck_open",
    ]);
    field.log.clear();
    field.start("z1", 60);
    field.check(&["z1 refused by Lan: source_fault"]);
    field.feed(Input::ClearSource { source: &"pump".parse().unwrap(), by: "Lan" });
    field.feed(Input::ClearFault { zone: &zone("z1"), by: "Lan" });
    field.start("z1", 60);
    assert!(field.is_open("v1"));
}

#[test]
fn neverdry_run_ends_by_time_whatever_is_lost() {
    let mut field = Field::new(farm(1));
    field.start("z1", 600);
    field.wait_s(1);
    field.deaf.insert(node("v1"));
    field.wait_s(660);
    assert!(!field.is_open("v1"), "within 1.1 times its length");
}

/// Nothing of a run is heard any more, no answer, no report: it is over after 1.1 times its length at the latest, for the
/// valve and for the diary.
#[test]
fn neverdry_timeout_of_1_1_times_the_run() {
    for run_s in [120, 600, 1800] {
        let mut field = Field::new(farm(1));
        field.start("z1", run_s);
        field.wait_s(1);
        field.mute.insert(node("v1"));
        field.deaf.insert(node("v1"));
        let latest_s = u64::from(run_s) * 11 / 10;
        field.wait_s(latest_s.saturating_sub(1));
        assert!(!field.is_open("v1"), "{run_s}: the node closes by itself");
        let told = field.seconds("z1 stopping: run_time_reached");
        let told = told.into_iter().chain(field.seconds("z1 fault: command_unanswered")).min();
        assert!(told.is_some_and(|at| at <= latest_s), "{run_s}: {:?}", field.log);
    }
}

/// A run by volume whose water comes at half its flow ends after half as much time again, and says what is missing. What a
/// farm writes as litres goes this way: `long_runs` and `by_volume` have the rest of it.
#[test]
fn neverdry_timeout_of_a_run_by_volume() {
    let mut plan = metered();
    let z1 = zone_of(&mut plan, "z1");
    z1.automatic = false;
    z1.guards.meter = Some(Meter { gauge: gauge("m1", "water_volume"), kind: MeterKind::Volume });
    z1.guards.flow.low_percent = 40;
    let mut by_volume = program(&[("z1", 1)]);
    by_volume.sequence.steps[0].target = Target::litres(200);
    plan.programs.insert("morning".parse().unwrap(), by_volume);
    let mut field = Field::new(plan);
    field.ml_per_s = 139;
    field.wait_s(600);
    for n in 0..40 {
        field.gauge("m1", "water_volume", n * 5_000 * 1000);
        field.wait_s(36);
    }
    assert_eq!(field.seconds("open v1"), [600]);
    let ended = field.seconds("z1 stopped: run_time_reached");
    let latest = 600 + 720 * 3 / 2;
    assert!(
        ended.len() == 1 && (latest..=latest + 10).contains(&ended[0]),
        "200 L at 1000 L/h: {:?}",
        field.log
    );
    field.check(&["z1 stopped: run_time_reached", "z1 fault: volume_short"]);
}

#[test]
fn irrigation_v5_maintenance_quarantine() {
    let mut field = Field::new(farm(1));
    field.read(1, 1900);
    field.feed(Input::Lock { zone: &zone("z1"), by: "Lan", note: "bảo trì" });
    assert!(!field.is_open("v1"));
    field.restart();
    field.read(1, 1890);
    field.wait_s(3600);
    field.start("z1", 60);
    assert!(!field.is_open("v1"), "not by hand either, and over a restart");
    field.feed(Input::Unlock { zone: &zone("z1"), by: "Lan" });
    field.read(1, 1880);
    assert!(field.is_open("v1"));
}

#[test]
fn irrigation_v5_water_source_gate() {
    let mut plan = pumped(1);
    source(&mut plan, "pump").guards.tank = Some(TankGuard {
        gauge: gauge("tank", "tank_level"),
        min_milli: 20_000,
        resume_milli: 40_000,
        fresh_s: 1800,
    });
    let mut field = Field::new(plan);
    field.gauge("tank", "tank_level", 50_000);
    field.read(1, 1900);
    field.wait_s(60);
    assert!(field.is_open("v1") && field.is_open("motor"));
    field.gauge("tank", "tank_level", 19_000);
    field.wait_s(5);
    assert!(!field.is_open("v1") && !field.is_open("motor"));
    field.check(&["z1 stopping: tank_low", "close motor", "close v1"]);
    field.start("z1", 60);
    field.check(&["z1 refused by Lan: tank_low"]);
    field.gauge("tank", "tank_level", 41_000);
    field.wait_s(1200);
    field.read(1, 1900);
    assert!(field.is_open("v1"), "filled again");
    field.wait_s(1800);
    assert!(!field.is_open("v1"));
    field.check(&["z1 stopping: tank_unknown"]);
}

#[test]
fn hunter_no_water_windows_are_logged() {
    let mut plan = farm(2);
    for name in ["z1", "z2"] {
        zone_of(&mut plan, name).automatic = false;
    }
    let no_water = |from_min, to_min| Windows {
        no_water: vec![giot_engine::program::Window::daily(DayWindow::new(from_min, to_min).unwrap())],
        ..Windows::default()
    };
    let (mut waits, mut never) = (program(&[("z1", 5)]), program(&[("z2", 5)]));
    waits.windows = no_water(7 * 60, 8 * 60);
    never.windows = no_water(0, 0);
    plan.programs.insert("waits".parse().unwrap(), waits);
    plan.programs.insert("never".parse().unwrap(), never);
    let mut field = Field::new(plan);
    field.wait_s(2 * 3600);
    // From 07:00 on; the hour without water is over at 08:00, and for the other one it never is.
    assert_eq!(field.seconds("open v1"), [3600], "{:?}", field.log);
    assert_eq!(field.seconds("z1 scheduled: run_moved").len(), 1);
    assert!(!field.has("open v2"));
    assert_eq!(field.seconds("z2 skipped: no_water_window").len(), 1, "{:?}", field.log);
}

#[test]
fn hunter_flow_is_learned_and_overflow_stops_the_zone() {
    let mut field = Field::new(metered());
    field.ml_per_s = 194;
    for _ in 0..3 {
        field.start("z1", 600);
        field.flow("m1", 700, 570);
        field.wait_s(30);
        field.wait_s(900);
    }
    let expected = field.engine().flow_view(&zone("z1")).unwrap().expected;
    assert_eq!(expected, Some(LitresPerHour(700)), "what it has, not what the plan says");
    field.log.clear();
    field.start("z1", 600);
    field.flow("m1", 950, 600);
    field.check(&["z1 fault: high_flow", "close v1"]);
    field.log.clear();
    field.start("z1", 600);
    field.check(&["z1 refused by Lan: unresolved_fault"]);
}

#[test]
fn hunter_low_flow_is_told_and_no_flow_stops() {
    let mut field = Field::new(metered());
    field.start("z1", 1200);
    field.flow("m1", 450, 600);
    field.check(&["z1 fault: low_flow"]);
    assert!(field.is_open("v1"), "little water is better than none");
    field.flow("m1", 20, 120);
    field.check(&["z1 fault: no_flow", "close v1"]);
    assert!(!field.is_open("v1"));
}

#[test]
fn hunter_unscheduled_flow_shuts_the_source() {
    let mut plan = pumped(2);
    source(&mut plan, "pump").guards.meter =
        Some(Meter { gauge: gauge("m0", "flow"), kind: MeterKind::Flow });
    let mut field = Field::new(plan);
    field.wait_s(600);
    field.flow("m0", 900, 1500);
    field.check(&["farm fault: unscheduled_flow"]);
    field.read(1, 1900);
    assert!(!field.is_open("v1"));
    field.check(&["z1 skipped: source_fault"]);
    field.restart();
    field.read(1, 1890);
    field.wait_s(600);
    assert!(!field.is_open("v1"), "until a person clears it");
    field.feed(Input::ClearSource { source: &"pump".parse().unwrap(), by: "Lan" });
    field.read(1, 1880);
    assert!(field.is_open("v1"));
}

#[test]
fn hunter_overflow_diagnosis_tests_the_stations_one_by_one() {
    for bad in [Some("v2"), None] {
        let mut plan = farm(2);
        let pump = source(&mut plan, "pump");
        pump.capacity = Some(LitresPerHour(9000));
        pump.guards.meter = Some(Meter { gauge: gauge("m0", "flow"), kind: MeterKind::Flow });
        for name in ["z1", "z2"] {
            zone_of(&mut plan, name).flow = Some(LitresPerHour(1000));
            zone_of(&mut plan, name).automatic = false;
        }
        plan.programs.insert("morning".parse().unwrap(), program(&[("z1", 25), ("z2", 25)]));
        for zone in plan.zones.values_mut() {
            zone.group = giot_engine::program::Group::Parallel;
        }
        let mut field = Field::new(plan);
        for _ in 0..240 {
            field.wait_s(30);
            let flow = |name: &str| match (field.is_open(name), bad) {
                (false, _) => 0,
                (true, Some(burst)) => {
                    if burst == name {
                        2000
                    } else {
                        1000
                    }
                }
                // The main before them loses what the zones do not.
                (true, None) => 1000,
            };
            let both = flow("v1") + flow("v2");
            let is_lost = bad.is_none() && field.is_open("v1") && field.is_open("v2");
            field.gauge("m0", "flow", (both + if is_lost { 1000 } else { 0 }) * 1000);
        }
        field.check(&[
            "z1 stopping: source_high_flow",
            "farm scheduled: diagnosis_started",
            "z1 started: valve_test",
        ]);
        let tests = ["z1 started: valve_test", "z2 started: valve_test"].map(|line| field.seconds(line));
        assert!(tests[0].len() == 1 && tests[1].len() == 1 && tests[1][0] > tests[0][0] + 270, "{tests:?}");
        match bad {
            Some(_) => {
                field.check(&["z2 fault: high_flow", "z1 started: program_run"]);
                assert!(!field.has("farm fault: source_high_flow") && !field.has("z1 fault: high_flow"));
            }
            None => field.check(&["farm fault: source_high_flow"]),
        }
    }
}

#[test]
fn tucor_points_of_connection_fail_alone() {
    let mut plan = farm(2);
    source(&mut plan, "well").guards.meter =
        Some(Meter { gauge: gauge("m0", "flow"), kind: MeterKind::Flow });
    zone_of(&mut plan, "z2").source = "well".parse().unwrap();
    let mut field = Field::new(plan);
    field.wait_s(600);
    field.flow("m0", 900, 1500);
    field.read(1, 1900);
    field.read(2, 1900);
    assert!(field.is_open("v1") && !field.is_open("v2"));
}

#[test]
fn a_pump_is_handed_from_zone_to_zone_where_pipes_have_room_for_both() {
    let sequence = |capacity: Option<u32>| {
        let mut plan = pumped(4);
        for n in 1..=4 {
            let zone = zone_of(&mut plan, &format!("z{n}"));
            (zone.automatic, zone.flow) = (false, Some(LitresPerHour(1000)));
        }
        plan.sources.get_mut(&"pump".parse().unwrap()).unwrap().capacity = capacity.map(LitresPerHour);
        let steps = [("z1", 20), ("z2", 20), ("z3", 20), ("z4", 20)];
        plan.programs.insert("night".parse().unwrap(), program(&steps));
        assert_eq!(plan.check(), []);
        let mut field = Field::new(plan);
        field.wait_s(2 * 3600);
        field
    };
    let field = sequence(Some(2000));
    assert_eq!(field.seconds("open motor").len(), 1, "{:?}", field.log);
    for n in 1..=4 {
        assert!(field.has(&format!("z{n} stopped: run_time_reached")), "{:?}", field.log);
    }
    // Where the source carries one zone at a time the pump rests in between.
    let field = sequence(None);
    assert_eq!(field.seconds("open motor").len(), 4, "{:?}", field.log);
}

#[test]
fn a_pump_waits_for_the_next_zone_no_longer_than_it_may() {
    let mut plan = pumped(2);
    for n in ["z1", "z2"] {
        let zone = zone_of(&mut plan, n);
        (zone.automatic, zone.flow) = (false, Some(LitresPerHour(1000)));
    }
    plan.sources.get_mut(&"pump".parse().unwrap()).unwrap().capacity = Some(LitresPerHour(2000));
    plan.programs.insert("night".parse().unwrap(), program(&[("z1", 20), ("z2", 20)]));
    let mut field = Field::new(plan);
    field.deaf.insert(node("v2"));
    field.wait_s(3600);
    let (ends, off) = (field.seconds("z1 stopping: run_time_reached"), field.seconds("close motor"));
    let (Some(end), Some(off)) = (ends.first(), off.first()) else { panic!("{:?}", field.log) };
    assert!((*end..=end + 30).contains(off), "{end} {off}: {:?}", field.log);
    assert!(!field.is_open("v1") && !field.is_open("motor"));
}

#[test]
fn a_pump_at_the_end_of_the_longest_run_is_not_needed_any_more() {
    let mut field = Field::new(pumped(1));
    field.read(1, 1900);
    for _ in 0..6 {
        field.wait_s(300);
        field.read(1, 1900);
    }
    field.wait_s(60);
    assert!(field.has("farm stopping: pump_not_needed"), "{:?}", field.log);
    assert!(!field.has("farm stopping: pump_uncovered"), "{:?}", field.log);
}

#[test]
fn a_pump_without_pressure_is_shut_off() {
    let mut plan = pumped(1);
    source(&mut plan, "pump").guards.pressure = Some(PressureGuard {
        gauge: gauge("motor", "pressure"),
        min_milli: Some(70_000),
        max_milli: None,
        delay_s: 30,
    });
    let mut field = Field::new(plan);
    field.start("z1", 1200);
    for _ in 0..12 {
        field.wait_s(15);
        field.gauge("motor", "pressure", 40_000);
    }
    field.check(&["farm fault: pressure_low", "close motor", "close v1"]);
    assert!(!field.is_open("motor") && !field.is_open("v1"));
}

#[test]
fn frost_holds_automatic_water_back_until_it_is_warmer() {
    let mut plan = farm(1);
    plan.guards.frost = Some(FrostGuard {
        gauge: gauge("st", "air_temperature"),
        below_milli: 2000,
        clear_milli: 4000,
        fresh_s: 3600,
    });
    let mut field = Field::new(plan);
    field.gauge("st", "air_temperature", 1500);
    field.read(1, 1900);
    assert!(!field.is_open("v1"));
    field.check(&["z1 skipped: frost"]);
    field.gauge("st", "air_temperature", 3900);
    assert!(!field.is_open("v1"));
    field.gauge("st", "air_temperature", 4100);
    assert!(field.is_open("v1"));
}

/// Pauses all water for so long from now; `None`: goes on.
fn pause_water(field: &mut Field, span_s: Option<u64>) {
    let until = span_s.map(|span_s| field.now().wall.unwrap().plus_ms(span_s * 1000));
    field.feed(Input::Pause { kind: Pause::Water, until, by: "Lan" });
}

#[test]
fn a_pause_of_water_ends_a_diagnosis_without_a_finding() {
    let mut plan = farm(2);
    let pump = source(&mut plan, "pump");
    pump.capacity = Some(LitresPerHour(9000));
    pump.guards.meter = Some(Meter { gauge: gauge("m0", "flow"), kind: MeterKind::Flow });
    for name in ["z1", "z2"] {
        let zone = zone_of(&mut plan, name);
        (zone.flow, zone.automatic) = (Some(LitresPerHour(1000)), false);
        zone.group = giot_engine::program::Group::Parallel;
    }
    plan.programs.insert("morning".parse().unwrap(), program(&[("z1", 25), ("z2", 25)]));
    let mut field = Field::new(plan);
    let flows = |field: &mut Field| {
        let n_open: i64 = ["v1", "v2"].iter().map(|name| i64::from(field.is_open(name))).sum();
        field.gauge("m0", "flow", n_open * 2_000_000);
    };
    while !field.has("z1 started: valve_test") {
        field.wait_s(30);
        flows(&mut field);
    }
    pause_water(&mut field, Some(600));
    for _ in 0..20 {
        field.wait_s(30);
        flows(&mut field);
    }
    assert!(!field.has("farm fault: source_high_flow"), "{:?}", field.log);
    field.check(&["z1 stopped: water_paused"]);
}

#[test]
fn a_zone_that_got_water_of_its_own_is_closed_without_the_pump_of_before() {
    let plan = pumped(2);
    let mut field = Field::new(plan.clone());
    field.start("z2", 1200);
    field.wait_s(60);
    let mut moved = plan;
    source(&mut moved, "spring").capacity = None;
    zone_of(&mut moved, "z1").source = "spring".parse().unwrap();
    field.feed(Input::Plan { version: 2, plan: &moved });
    field.wait_s(5);
    field.start("z1", 600);
    field.wait_s(60);
    assert!(field.is_open("v1") && field.is_open("v2") && field.is_open("motor"));
    field.stop("z1");
    field.wait_s(5);
    assert!(!field.is_open("v1"), "closed at once");
    assert!(field.is_open("v2") && field.is_open("motor"), "the others go on");
}
