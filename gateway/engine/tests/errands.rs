//! What programs and people ask of zones that cannot have it at its moment: it is given soon, or not at all and told, but
//! never at whatever moment the obstacle ends.
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

use giot_engine::program::{Cycle, Percent};
use giot_engine::{Input, Pause, Plan, ProgramWish, RainGuard, RunSet};
use giot_shared::time::UnixMs;
use giot_shared::units::LitresPerHour;

use farm::{at_hour, farm, node, probe, program, zone, zone_of};
use field::Field;

const HOUR_S: u64 = 3600;

/// Zones that only programs water; `day` waters them one after another from 07:10 on, ten minutes after the test begins.
fn by_program(steps: &[(&str, u32)]) -> Plan {
    let mut plan = farm(steps.len().max(1));
    plan.zones.values_mut().for_each(|zone| zone.automatic = false);
    plan.programs.insert("day".parse().unwrap(), program(steps));
    plan
}

/// The same at ten past each of these hours.
fn hourly(minutes: u32, hours: std::ops::Range<u16>) -> Plan {
    let mut plan = by_program(&[("z1", minutes)]);
    let day = plan.programs.values_mut().next().unwrap();
    day.starts = hours.map(|hour| at_hour(hour, 10)).collect();
    plan
}

fn lock(field: &mut Field, name: &str) {
    field.feed(Input::Lock { zone: &zone(name), by: "Lan", note: "pipe" });
}

fn unlock(field: &mut Field, name: &str) {
    field.feed(Input::Unlock { zone: &zone(name), by: "Lan" });
}

fn wish(field: &mut Field, wish: ProgramWish) {
    field.feed(Input::Program { program: &"day".parse().unwrap(), wish, by: "Lan" });
}

fn run_set(field: &mut Field, set: RunSet, names: &[&str]) {
    let runs: Vec<_> = names.iter().map(|name| (zone(name), 300)).collect();
    field.feed(Input::Runs { set, runs: &runs, by: "Lan" });
}

fn after_s(field: &Field, span_s: u64) -> Option<UnixMs> {
    field.now().wall.map(|wall| wall.plus_ms(span_s * 1000))
}

/// Somebody mends a dripper before its zone's turn has come.
#[test]
fn a_lock_that_is_over_before_its_zones_turn_takes_nothing_away() {
    let mut field = Field::new(by_program(&[("z1", 20), ("z2", 20), ("z3", 20)]));
    field.wait_s(720);
    lock(&mut field, "z3");
    field.wait_s(180);
    unlock(&mut field, "z3");
    field.wait_s(3 * HOUR_S);
    assert_eq!(field.seconds("open v3"), [600 + 40 * 60], "{:?}", field.log);
    assert!(!field.has("z3 skipped: locked"), "{:?}", field.log);
    // A portion is one that comes later too: of three the one under way is lost.
    let mut plan = by_program(&[("z1", 30)]);
    zone_of(&mut plan, "z1").cycle = Cycle::new(600_000, 600_000);
    let mut field = Field::new(plan);
    field.wait_s(600 + 300);
    lock(&mut field, "z1");
    field.wait_s(180);
    unlock(&mut field, "z1");
    field.wait_s(3 * HOUR_S);
    assert_eq!(field.seconds("open v1"), [600, 1800, 3000], "{:?}", field.log);
}

#[test]
fn unlocking_a_zone_lets_out_nothing_that_has_queued() {
    let mut field = Field::new(hourly(20, 7..15));
    lock(&mut field, "z1");
    for set in [RunSet::Once, RunSet::Test] {
        run_set(&mut field, set, &["z1"]);
    }
    wish(&mut field, ProgramWish::Start);
    assert_eq!(field.seconds("z1 refused by Lan: locked").len(), 2, "{:?}", field.log);
    assert_eq!(field.seconds("farm refused by Lan: locked").len(), 1, "{:?}", field.log);
    field.wait_s(5 * HOUR_S + 1800);
    assert_eq!(field.seconds("z1 skipped: locked").len(), 6, "each start is told: {:?}", field.log);
    unlock(&mut field, "z1");
    field.wait_s(600);
    assert!(!field.has("open v1"), "{:?}", field.log);
    field.wait_s(3 * HOUR_S);
    assert_eq!(field.seconds("open v1"), [6, 7].map(|n| n * HOUR_S + 600), "the next starts hold");
}

#[test]
fn a_node_that_was_away_is_given_the_last_start_and_not_all_of_them() {
    let mut field = Field::new(hourly(20, 7..10));
    field.feed(Input::NodeOffline { node: &node("v1") });
    field.wait_s(2 * HOUR_S + 2400);
    assert_eq!(field.seconds("z1 skipped: waited_too_long"), [1, 2].map(|n| n * HOUR_S + 600).to_vec());
    field.connect_all();
    field.wait_s(6 * HOUR_S);
    assert_eq!(field.seconds("open v1"), [2 * HOUR_S + 2400], "{:?}", field.log);
}

#[test]
fn clearing_a_fault_lets_out_nothing_that_is_hours_old() {
    let mut plan = hourly(20, 8..9);
    plan.programs.values_mut().for_each(|program| program.catch_up_min = 60);
    // The start is seventy minutes after the test begins.
    for (cleared_s, n_runs) in [(5000, 1), (70 * 60 + 2 * HOUR_S, 0)] {
        let mut field = Field::new(plan.clone());
        field.deaf.insert(node("v1"));
        for wait_s in [600, 1000, 1000] {
            field.start("z1", 60);
            field.wait_s(wait_s);
        }
        field.deaf.clear();
        let fault = field.engine().zone_view(&zone("z1"), field.now()).unwrap().fault;
        assert!(fault.is_some(), "three attempts that nobody answered: {:?}", field.log);
        field.wait_s(cleared_s - 2600);
        field.feed(Input::ClearFault { zone: &zone("z1"), by: "Lan" });
        field.wait_s(60);
        assert_eq!(field.seconds("z1 started: program_run").len(), n_runs, "{cleared_s}: {:?}", field.log);
        let given_up = field.seconds("z1 skipped: unresolved_fault");
        assert_eq!(given_up.contains(&(70 * 60 + HOUR_S)), n_runs == 0, "{:?}", field.log);
    }
}

/// Each of these in the twelfth minute of three zones of twenty.
#[test]
fn what_a_person_pauses_or_switches_off_in_the_middle_of_a_program_stays_closed() {
    type Wish = fn(&mut Field);
    let wishes: [(&str, Wish); 5] = [
        ("rain_delay", |field| {
            let until = after_s(field, 24 * HOUR_S);
            field.feed(Input::Pause { kind: Pause::Rain, until, by: "Lan" });
        }),
        ("suspended", |field| {
            let until = after_s(field, 24 * HOUR_S);
            field.feed(Input::Pause { kind: Pause::Farm, until, by: "Lan" });
        }),
        ("program_paused", |field| {
            let until = after_s(field, 24 * HOUR_S);
            wish(field, ProgramWish::SuspendUntil(until));
        }),
        ("program_switched_off", |field| wish(field, ProgramWish::Enable(false))),
        ("locked", |field| {
            lock(field, "z2");
            lock(field, "z3");
        }),
    ];
    for (told, act) in wishes {
        let mut field = Field::new(by_program(&[("z1", 20), ("z2", 20), ("z3", 20)]));
        field.wait_s(600 + 720);
        act(&mut field);
        field.wait_s(3 * HOUR_S);
        // A pause of the farm ends what runs by itself; who pauses a program lets its run be finished.
        let is_of_farm = ["rain_delay", "suspended"].contains(&told);
        let (end, end_s) = if is_of_farm { (told, 1320) } else { ("run_time_reached", 1800) };
        assert_eq!(field.seconds(&format!("z1 stopped: {end}")), [end_s], "{told}: {:?}", field.log);
        assert!(!field.has("open v2") && !field.has("open v3"), "{told}: {:?}", field.log);
        for name in ["z2", "z3"] {
            assert_eq!(field.seconds(&format!("{name} skipped: {told}")).len(), 1, "{told}: {:?}", field.log);
        }
    }
    let mut field = Field::new(by_program(&[("z1", 20), ("z2", 20), ("z3", 20)]));
    field.wait_s(600 + 720);
    let until = after_s(&field, 24 * HOUR_S);
    field.feed(Input::SuspendZone { zone: &zone("z2"), until, by: "Lan" });
    field.wait_s(3 * HOUR_S);
    assert!(!field.has("open v2") && field.has("open v3"), "one zone's pause is its own: {:?}", field.log);
}

/// Season 22, day 5: a run that was interrupted came back although its program had been switched off meanwhile.
#[test]
fn what_is_interrupted_after_its_program_was_switched_off_does_not_come_back() {
    for (wish_of, n_runs) in [(ProgramWish::Enable(false), 1), (ProgramWish::Enable(true), 2)] {
        let mut field = Field::new(by_program(&[("z1", 20)]));
        field.wait_s(900);
        wish(&mut field, wish_of);
        field.reboot("v1");
        field.wait_s(3 * HOUR_S);
        assert_eq!(field.seconds("open v1").len(), n_runs, "{wish_of:?}: {:?}", field.log);
    }
}

#[test]
fn rain_in_the_middle_of_a_program_ends_it_for_good() {
    let mut plan = by_program(&[("z1", 20), ("z2", 20)]);
    let gauge = probe("st");
    plan.guards.rain = Some(RainGuard { gauge, limit_milli: 5000, hours: 1 });
    let mut field = Field::new(plan);
    field.wait_s(600 + 720);
    field.gauge("st", "soil_moisture", 9000);
    field.wait_s(10 * HOUR_S);
    field.check(&["z1 stopping: rained", "z2 skipped: rained"]);
    assert!(!field.has("open v2"), "{:?}", field.log);
}

#[test]
fn a_soak_is_kept_however_late_a_portion_was() {
    let mut plan = by_program(&[("z1", 30), ("z2", 30)]);
    zone_of(&mut plan, "z1").cycle = Cycle::new(600_000, 1_800_000);
    zone_of(&mut plan, "z1").min_off_s = 300;
    plan.programs
        .values_mut()
        .for_each(|program| program.sequence.steps.retain(|step| step.zone == zone("z1")));
    let mut other = program(&[("z2", 30)]);
    other.starts = vec![at_hour(7, 5)];
    plan.programs.insert("other".parse().unwrap(), other);
    let mut field = Field::new(plan);
    field.wait_s(6 * HOUR_S);
    let (opened, ended) = (field.seconds("open v1"), field.seconds("z1 stopped: run_time_reached"));
    assert!(opened.len() == 3 && opened[0] > 2000, "behind the other's half hour: {:?}", field.log);
    for (end, next) in ended.iter().zip(&opened[1..]) {
        assert!(next - end >= 1800 - 30, "{opened:?} {ended:?}");
    }
}

#[test]
fn what_is_stopped_with_everything_does_not_keep_its_program_busy() {
    let mut plan = by_program(&[("z1", 30), ("z2", 30), ("z3", 30)]);
    plan.programs.values_mut().for_each(|program| program.starts = vec![at_hour(8, 20)]);
    let mut field = Field::new(plan);
    wish(&mut field, ProgramWish::Start);
    field.wait_s(300);
    field.feed(Input::StopAll { by: "Lan" });
    field.wait_s(2 * HOUR_S);
    assert!(!field.has("farm skipped: program_busy"), "{:?}", field.log);
    assert_eq!(field.seconds("open v1"), [0, 80 * 60], "{:?}", field.log);
}

#[test]
fn a_pause_of_water_refuses_sets_and_programs_by_hand() {
    let mut field = Field::new(by_program(&[("z1", 20), ("z2", 20)]));
    let until = after_s(&field, HOUR_S / 2);
    field.feed(Input::Pause { kind: Pause::Water, until, by: "Lan" });
    run_set(&mut field, RunSet::Once, &["z1", "z2"]);
    wish(&mut field, ProgramWish::Start);
    field.check(&["z1 refused by Lan: water_paused", "z2 refused by Lan: water_paused"]);
    assert_eq!(field.seconds("farm refused by Lan: water_paused").len(), 1, "{:?}", field.log);
    // One locked zone leaves the others theirs.
    let mut field = Field::new(by_program(&[("z1", 20), ("z2", 20)]));
    lock(&mut field, "z1");
    run_set(&mut field, RunSet::Once, &["z1", "z2"]);
    field.check(&["z1 skipped by Lan: locked", "farm scheduled by Lan: once_started", "open v2"]);
}

#[test]
fn the_end_of_a_pause_says_which_pause_and_what_still_holds() {
    let mut field = Field::new(by_program(&[("z1", 5)]));
    let until = after_s(&field, 2 * HOUR_S);
    let kinds = [Pause::Rain, Pause::Farm, Pause::Water];
    // Nothing was paused: nothing is told.
    for kind in kinds {
        field.feed(Input::Pause { kind, until: None, by: "Lan" });
    }
    field.feed(Input::SuspendZone { zone: &zone("z1"), until: None, by: "Lan" });
    let is_told = |field: &Field| field.log.iter().any(|line| line.contains("ended"));
    assert!(!is_told(&field), "{:?}", field.log);
    for kind in kinds {
        field.feed(Input::Pause { kind, until, by: "Lan" });
    }
    field.feed(Input::SuspendZone { zone: &zone("z1"), until, by: "Lan" });
    field.log.clear();
    field.feed(Input::Pause { kind: Pause::Farm, until: None, by: "Lan" });
    field.check(&[
        "farm adjusted by Lan: pause_ended",
        "farm notified: rain_delay",
        "farm notified: water_paused",
    ]);
    field.log.clear();
    field.feed(Input::Pause { kind: Pause::Water, until: None, by: "Lan" });
    field.check(&["farm adjusted by Lan: water_pause_ended", "farm notified: rain_delay"]);
    field.log.clear();
    field.feed(Input::SuspendZone { zone: &zone("z1"), until: None, by: "Lan" });
    field.check(&["z1 adjusted by Lan: zone_pause_ended", "z1 notified: rain_delay"]);
    field.log.clear();
    // What is over by itself is not ended by a person.
    field.wait_s(2 * HOUR_S + 60);
    field.feed(Input::Pause { kind: Pause::Rain, until: None, by: "Lan" });
    assert!(!field.has("farm adjusted by Lan: rain_delay_ended"), "{:?}", field.log);
}

#[test]
fn a_soak_shorter_than_the_rest_between_runs_is_kept_within_a_run() {
    let mut plan = by_program(&[("z1", 30)]);
    zone_of(&mut plan, "z1").cycle = Cycle::new(600_000, 300_000);
    zone_of(&mut plan, "z1").min_off_s = 1800;
    let day = plan.programs.values_mut().next().unwrap();
    day.sequence.steps[0].repeats = 2;
    let mut field = Field::new(plan);
    field.wait_s(4 * HOUR_S);
    let opened = field.seconds("open v1");
    let waits: Vec<u64> = opened.windows(2).map(|pair| (pair[1] - pair[0]) / 60).collect();
    // Ten minutes and five, within each run; ten and thirty between the two.
    assert_eq!(waits, [15, 15, 40, 15, 15], "{opened:?} {:?}", field.log);
}

/// A person's run ends shortly before a program's, which then waits for the zone's time off: longer than a few minutes is told.
#[test]
fn a_run_that_waits_for_the_time_off_says_so() {
    let mut plan = by_program(&[("z1", 20)]);
    zone_of(&mut plan, "z1").min_off_s = 1800;
    let mut field = Field::new(plan);
    field.start("z1", 540);
    field.wait_s(2 * HOUR_S);
    assert_eq!(field.seconds("z1 skipped: minimum_off"), [900], "{:?}", field.log);
    assert_eq!(field.seconds("open v1"), [0, 2340], "{:?}", field.log);
}

/// The same, and the farm's new plan wants a shorter time off.
#[test]
fn a_shorter_time_off_holds_at_once() {
    let mut plan = by_program(&[("z1", 20)]);
    zone_of(&mut plan, "z1").min_off_s = 1800;
    let mut field = Field::new(plan.clone());
    field.start("z1", 540);
    field.wait_s(1000);
    zone_of(&mut plan, "z1").min_off_s = 900;
    field.feed(Input::Plan { version: 2, plan: &plan });
    field.wait_s(2 * HOUR_S);
    assert_eq!(field.seconds("open v1"), [0, 1440], "{:?}", field.log);
}

/// A valve is tested while a run waits for its moment's pipes: that run begins after the test, without another time off.
#[test]
fn a_test_is_no_run_that_others_rest_after() {
    let mut plan = by_program(&[("z1", 20)]);
    zone_of(&mut plan, "z1").min_off_s = 1800;
    let mut field = Field::new(plan);
    field.wait_s(400);
    run_set(&mut field, RunSet::Test, &["z1"]);
    field.wait_s(2 * HOUR_S);
    let opened = field.seconds("open v1");
    assert!(opened.len() == 2 && (700..=710).contains(&opened[1]), "{opened:?} {:?}", field.log);
}

/// Runs of one group are late because a person waters: they keep the seconds between them.
#[test]
fn late_runs_keep_their_delay() {
    let mut plan = by_program(&[("z1", 10), ("z2", 10)]);
    plan.programs.values_mut().for_each(|program| program.sequence.delay_s = 240);
    zone_of(&mut plan, "z1").min_off_s = 60;
    let mut field = Field::new(plan);
    field.start("z1", 1200);
    field.wait_s(2 * HOUR_S);
    let (first, second) = (field.seconds("open v1")[1], field.seconds("open v2")[0]);
    assert!((1200..1300).contains(&first), "{:?}", field.log);
    let apart_s = second - first - 600;
    assert!((180..=250).contains(&apart_s), "{apart_s} s apart: {:?}", field.log);
}

/// A pause of water may last three hours: what a person has asked for, and what was left of it, goes on all the same.
#[test]
fn a_long_pause_of_water_loses_nothing_that_a_person_asked_for() {
    let mut plan = by_program(&[("z1", 10), ("z2", 10)]);
    plan.programs.values_mut().for_each(|program| program.starts = vec![at_hour(20, 0)]);
    plan.sources.entry("pump".parse().unwrap()).or_default().capacity = Some(LitresPerHour(1000));
    plan.zones.values_mut().for_each(|zone| (zone.flow, zone.min_off_s) = (Some(LitresPerHour(1000)), 1800));
    let mut field = Field::new(plan);
    let runs = [("z1", 600), ("z1", 300), ("z2", 600)].map(|(name, run_s)| (zone(name), run_s));
    field.feed(Input::Runs { set: RunSet::Once, runs: &runs, by: "Lan" });
    wish(&mut field, ProgramWish::Start);
    field.wait_s(240);
    let until = after_s(&field, 170 * 60);
    field.feed(Input::Pause { kind: Pause::Water, until, by: "Lan" });
    field.wait_s(5 * HOUR_S);
    assert!(!field.has("z1 skipped: waited_too_long"), "{:?}", field.log);
    assert!(!field.has("z2 skipped: waited_too_long"), "{:?}", field.log);
    let begun: Vec<u64> = field.seconds("open v1").into_iter().filter(|at| *at > 300).collect();
    assert!(begun[0] <= 240 + 170 * 60 + 10, "the rest at once, without a time off: {:?}", field.log);
    assert_eq!(
        (begun.len(), field.seconds("open v2").len()),
        (3, 2),
        "rest, second run, program: {:?}",
        field.log
    );
    assert!(field.log.iter().any(|line| line.contains("z1 scheduled by Lan: run_rest")), "{:?}", field.log);
    assert!(field.has("z1 scheduled by Lan: started_late"), "{:?}", field.log);
}

/// A program that gives nothing, because a person has set it to 0 %, is not started.
#[test]
fn a_program_that_gives_nothing_is_refused() {
    let mut field = Field::new(by_program(&[("z1", 10)]));
    wish(&mut field, ProgramWish::Adjust(Percent::new(0).unwrap()));
    wish(&mut field, ProgramWish::Start);
    assert!(field.has("farm refused by Lan: program_not_started"), "{:?}", field.log);
}

/// A set that is asked for while its zone waters begins when that run is over; the runs of one set rest between each other.
#[test]
fn a_set_does_not_rest_after_another_run() {
    let mut plan = by_program(&[("z2", 10)]);
    zone_of(&mut plan, "z1").min_off_s = 1800;
    let mut field = Field::new(plan);
    field.start("z1", 600);
    field.wait_s(60);
    let runs = [(zone("z1"), 300), (zone("z1"), 300)];
    field.feed(Input::Runs { set: RunSet::Once, runs: &runs, by: "Lan" });
    field.wait_s(2 * HOUR_S);
    let opened = field.seconds("open v1");
    assert!(opened.len() == 3 && opened[1] < 620, "{opened:?} {:?}", field.log);
    assert!((1800..1900).contains(&(opened[2] - opened[1] - 300)), "{opened:?} {:?}", field.log);
}

/// What begins a quarter of an hour later than planned says so, however long its zone rests between runs.
#[test]
fn a_late_run_says_so_whatever_its_zone_s_rest() {
    let mut plan = by_program(&[("z1", 20)]);
    zone_of(&mut plan, "z1").min_off_s = 3600;
    let mut field = Field::new(plan);
    field.start("z1", 300);
    field.wait_s(2 * HOUR_S);
    assert!(field.has("z1 scheduled: started_late"), "{:?}", field.log);
}

#[test]
fn the_end_of_a_pause_that_was_none_is_not_told() {
    let mut field = Field::new(by_program(&[("z1", 20)]));
    wish(&mut field, ProgramWish::SuspendUntil(None));
    assert!(!field.has("farm adjusted by Lan: program_resumed"), "{:?}", field.log);
    let until = after_s(&field, 600);
    wish(&mut field, ProgramWish::SuspendUntil(until));
    wish(&mut field, ProgramWish::SuspendUntil(None));
    assert!(field.log.iter().any(|line| line.contains("program_resumed")), "{:?}", field.log);
}

/// The delay after a start's last run is none before the next start: here twenty minutes later, and its first run keeps its moment.
#[test]
fn a_delay_lies_between_the_runs_of_one_start() {
    let mut plan = by_program(&[("z1", 5), ("z2", 5)]);
    let program = plan.programs.values_mut().next().unwrap();
    program.starts = [10, 30].map(|minute| at_hour(7, minute)).to_vec();
    program.sequence.delay_s = 480;
    plan.zones.values_mut().for_each(|zone| zone.min_off_s = 60);
    let mut field = Field::new(plan);
    field.wait_s(2 * HOUR_S);
    let near = |opened: Vec<u64>, wanted: [u64; 2]| {
        opened.len() == 2 && opened.iter().zip(wanted).all(|(at, wanted)| at.abs_diff(wanted) <= 10)
    };
    // The first start is over at 07:28.
    assert!(near(field.seconds("open v1"), [600, 1800]), "{:?}", field.log);
    assert!(near(field.seconds("open v2"), [600 + 780, 1800 + 780]), "{:?}", field.log);
}

/// A pause of a program is over before the second portions come: they are given.
#[test]
fn what_comes_after_the_pause_of_a_program_is_given() {
    let mut plan = by_program(&[("z1", 30), ("z2", 10)]);
    zone_of(&mut plan, "z1").cycle = Cycle::new(600_000, 1_800_000);
    let mut field = Field::new(plan);
    field.wait_s(600 + 120);
    let until = after_s(&field, 900);
    wish(&mut field, ProgramWish::SuspendUntil(until));
    field.wait_s(4 * HOUR_S);
    // The portion under way is finished, z2 would have begun in the pause.
    assert_eq!(field.seconds("open v1").len(), 3, "{:?}", field.log);
    assert!(!field.has("open v2"), "{:?}", field.log);
    assert_eq!(field.seconds("z2 skipped: program_paused").len(), 1, "{:?}", field.log);
    assert!(!field.has("z1 skipped: program_paused"), "{:?}", field.log);
}

/// A zone that was given a valve which its node does not have: the node says so, and nothing waits for a lease that nobody holds.
#[test]
fn a_valve_that_its_node_does_not_have_holds_nothing() {
    let mut plan = by_program(&[("z2", 10), ("z1", 5)]);
    plan.sources.entry("pump".parse().unwrap()).or_default().capacity = Some(LitresPerHour(1000));
    for zone in plan.zones.values_mut() {
        (zone.flow, zone.lease_s, zone.run_max_s) = (Some(LitresPerHour(1000)), 6000, 7200);
    }
    let mut wrong = plan.clone();
    zone_of(&mut wrong, "z1").valve.node = node("elsewhere");
    assert_eq!(wrong.check(), []);
    let mut field = Field::new(plan.clone());
    field.wait_s(60);
    field.unknown.insert(node("elsewhere"));
    field.feed(Input::Plan { version: 2, plan: &wrong });
    field.wait_s(2 * HOUR_S);
    assert!(field.has("z1 refused: command_refused"), "{:?}", field.log);
    assert_eq!(field.seconds("open v2"), [600], "{:?}", field.log);
    // The zone itself has a fault that names it, and the correction is in force at once.
    assert_eq!(field.seconds("z1 fault: command_refused").len(), 1, "{:?}", field.log);
    field.feed(Input::Plan { version: 3, plan: &plan });
    assert_eq!(field.seconds("farm adjusted: farm_in_force").len(), 2, "{:?}", field.log);
    field.feed(Input::ClearFault { zone: &zone("z1"), by: "Lan" });
    field.wait_s(60);
    field.start("z1", 600);
    field.wait_s(30);
    assert!(field.has("open v1"), "{:?}", field.log);
}
