//! What other irrigation controllers let people do with runs that are under way or to come, each feature a test named after
//! its controller: pause, resume, cancel, by hand, once, test, extend.
//!
//! OpenSprinkler and Irrigation Unlimited are meant by their documents; nothing of their code is used. Zones are those of
//! `engine/farm.rs`: soil below 20 % starts them, above 30 % stops them.
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

use giot_engine::program::{Program, Window, Windows};
use giot_engine::{
    DayWindow, Input, Pause, Plan, ProgramWish, PumpKind, PumpPlan, Reason, RuleWish, RunSet, SourcePlan,
    ValveRef,
};
use giot_shared::ids::ValveId;
use giot_shared::units::{LitresPerHour, Millilitres};

use farm::{at_hour, farm, node, program, zone, zone_of};
use field::Field;

#[test]
fn opensprinkler_every_station_is_tested_in_turn() {
    let mut field = Field::new(pumped(3));
    let runs: Vec<_> = ["z1", "z2", "z3"].map(|name| (zone(name), 20)).into();
    field.feed(Input::Runs { set: RunSet::Test, runs: &runs, by: "Lan" });
    field.wait_s(1200);
    field.check(&[
        "farm scheduled by Lan: test_started",
        "z1 started by Lan: valve_test",
        "close v1",
        "open v2",
        "close v2",
        "open v3",
        "close v3",
    ]);
}

#[test]
fn opensprinkler_run_once_program() {
    let mut field = Field::new(farm(2));
    let runs = [(zone("z1"), 60), (zone("z2"), 90)];
    field.feed(Input::Runs { set: RunSet::Once, runs: &runs, by: "Lan" });
    field.wait_s(600);
    // Who asked stands on each run, not only on the wish.
    field.check(&["z1 started by Lan: run_once", "z2 started by Lan: run_once"]);
    assert_eq!(field.seconds("z1 stopped: run_time_reached"), [60]);
    assert_eq!(field.seconds("z2 stopped: run_time_reached"), [150]);
    let unknown = [(zone("z9"), 60)];
    field.feed(Input::Runs { set: RunSet::Once, runs: &unknown, by: "Lan" });
    field.check(&["farm refused by Lan: unknown_zone"]);
}

#[test]
fn a_run_that_its_pump_makes_longer_says_so() {
    let mut plan = pumped(1);
    let pump = plan.sources.get_mut(&"pump".parse().unwrap()).unwrap().pump.as_mut().unwrap();
    pump.run_s_min = 300;
    let mut field = Field::new(plan);
    let runs = [(zone("z1"), 60)];
    field.feed(Input::Runs { set: RunSet::Once, runs: &runs, by: "Lan" });
    field.wait_s(900);
    field.check(&["z1 started by Lan: run_once", "z1 scheduled by Lan: pump_least_run"]);
    let source = "pump".parse().unwrap();
    // The least run, and the seconds that the pump comes after the valve.
    let told = Reason::PumpLeastRun { source, wanted_s: 60, run_s: 305 };
    assert!(field.reasons.contains(&told), "{:?}", field.reasons);
    // One that is long enough needs no word.
    let runs = [(zone("z1"), 600)];
    let n_told = field.reasons.len();
    field.feed(Input::Runs { set: RunSet::Once, runs: &runs, by: "Lan" });
    field.wait_s(1200);
    assert!(field.reasons[n_told..].iter().all(|reason| reason.code() != "pump_least_run"));
}

#[test]
fn a_start_of_a_program_by_hand_tells_the_time_that_zones_will_have() {
    let mut plan = farm(3);
    plan.zones.values_mut().for_each(|zone| zone.automatic = false);
    plan.programs.insert("evening".parse().unwrap(), program(&[("z1", 20), ("z2", 10), ("z3", 10)]));
    let mut field = Field::new(plan);
    let start = |field: &mut Field| {
        let program = "evening".parse().unwrap();
        field.feed(Input::Program { program: &program, wish: ProgramWish::Start, by: "Lan" });
    };
    field.feed(Input::Lock { zone: &zone("z1"), by: "Lan", note: "" });
    start(&mut field);
    let told = Reason::ProgramStart { program: "evening".parse().unwrap(), run_s: 1200 };
    assert!(field.reasons.contains(&told), "{:?}", field.reasons);
    field.check(&["farm scheduled by Lan: program_start", "z1 skipped: locked"]);
    // A refused one says of which program it is told.
    start(&mut field);
    field.check(&["farm refused by Lan: program_not_started", "farm refused by Lan: program_busy"]);
    let named = Reason::ProgramNotStarted { program: "evening".parse().unwrap() };
    assert!(field.reasons.contains(&named), "{:?}", field.reasons);
}

#[test]
fn a_changed_setting_of_a_program_tells_what_it_was() {
    let mut plan = farm(1);
    let id = "evening".parse::<giot_engine::ProgramId>().unwrap();
    plan.programs.insert(id.clone(), program(&[("z1", 20)]));
    let mut field = Field::new(plan);
    let from = field.now().wall.unwrap();
    let percent = |share| ProgramWish::Adjust(giot_engine::program::Percent::new(share).unwrap());
    let until = |hours: u64| ProgramWish::SuspendUntil(Some(from.plus_ms(hours * 3_600_000)));
    let wishes = [percent(80), percent(80), percent(60), ProgramWish::SkipNext(2), ProgramWish::SkipNext(0)];
    for wish in wishes.into_iter().chain([until(2), until(5), ProgramWish::SuspendUntil(None)]) {
        field.feed(Input::Program { program: &id, wish, by: "Lan" });
    }
    let told: Vec<_> = field.reasons.iter().filter(|reason| reason.code().starts_with("program_")).collect();
    let program = || id.clone();
    let want = [
        Reason::ProgramAdjustedFrom { program: program(), percent: 80, was_percent: 100 },
        Reason::ProgramAdjusted { program: program(), percent: 80 },
        Reason::ProgramAdjustedFrom { program: program(), percent: 60, was_percent: 80 },
        Reason::ProgramSkippingFrom { program: program(), left: 2, was_left: 0 },
        Reason::ProgramSkippingFrom { program: program(), left: 0, was_left: 2 },
        Reason::ProgramPaused { program: program(), remaining_s: 7200 },
        Reason::ProgramPausedFrom { program: program(), remaining_s: 18_000, was_s: 7200 },
        Reason::ProgramResumedFrom { program: program(), was_s: 18_000 },
    ];
    assert_eq!(told, want.iter().collect::<Vec<_>>());
}

#[test]
fn what_a_power_cut_takes_from_a_program_is_made_up_for() {
    let mut plan = farm(1);
    zone_of(&mut plan, "z1").automatic = false;
    plan.programs.insert("morning".parse().unwrap(), program(&[("z1", 20)]));
    let mut cut_at_the_node = Field::new(plan.clone());
    cut_at_the_node.wait_s(900);
    cut_at_the_node.reboot("v1");
    let mut cut_at_the_gateway = Field::new(plan);
    cut_at_the_gateway.wait_s(900);
    cut_at_the_gateway.restart();
    for mut field in [cut_at_the_node, cut_at_the_gateway] {
        field.wait_s(3600);
        field.check(&["z1 started: program_run", "z1 scheduled: run_resumed", "z1 started: program_run"]);
        assert_eq!(field.seconds("open v1"), [600, 1500], "five minutes of twenty, ten to soak, fifteen");
        assert_eq!(field.seconds("z1 stopped: run_time_reached"), [2400]);
    }
}

#[test]
fn what_a_person_stopped_is_not_made_up_for() {
    let mut plan = farm(1);
    zone_of(&mut plan, "z1").automatic = false;
    plan.programs.insert("morning".parse().unwrap(), program(&[("z1", 20)]));
    let mut field = Field::new(plan);
    field.wait_s(900);
    field.stop("z1");
    field.restart();
    field.wait_s(7200);
    assert_eq!(field.seconds("open v1"), [600]);
}

#[test]
fn opensprinkler_pause_keeps_the_rest_of_a_program() {
    let mut plan = farm(2);
    zone_of(&mut plan, "z1").automatic = false;
    plan.programs.insert("morning".parse().unwrap(), program(&[("z1", 20)]));
    let mut field = Field::new(plan);
    field.wait_s(900);
    pause_water(&mut field, Some(600));
    field.wait_s(10);
    assert!(!field.is_open("v1"));
    field.read(2, 1900);
    field.start("z2", 300);
    field.check(&[
        "z1 scheduled: run_resumed",
        "z2 skipped: water_paused",
        "z2 refused by Lan: water_paused",
    ]);
    field.wait_s(290);
    pause_water(&mut field, Some(900));
    field.wait_s(600);
    field.restart();
    field.wait_s(290);
    assert!(!field.is_open("v1") && !field.is_open("v2"), "the second word counts, also after a restart");
    field.wait_s(2000);
    assert_eq!(field.seconds("open v1"), [600, 2100], "no time to soak: it is the same run");
    assert_eq!(field.seconds("z1 stopped: run_time_reached"), [3000], "five minutes of twenty, and fifteen");
}

#[test]
fn opensprinkler_a_pause_is_ended_and_a_run_by_hand_goes_on() {
    let mut field = Field::new(farm(1));
    field.start("z1", 600);
    field.wait_s(120);
    pause_water(&mut field, Some(7200));
    field.wait_s(600);
    assert!(!field.is_open("v1"));
    pause_water(&mut field, None);
    field.wait_s(1200);
    field.check(&[
        "z1 started by Lan: manual_start",
        "z1 stopped: water_paused",
        "z1 started by Lan: run_once",
    ]);
    assert_eq!(field.seconds("open v1"), [0, 720]);
    assert_eq!(field.seconds("z1 stopped: run_time_reached"), [1200], "two minutes of ten, and eight");
}

/// A pause replaces the one that is under way: by a longer one, by a shorter one, by one that lies further ahead again, and
/// by none.
#[test]
fn opensprinkler_a_new_pause_replaces_the_one_before() {
    let check = |pauses: &[(u64, Option<u64>)], resumed_s: u64| {
        let mut field = Field::new(farm(1));
        field.start("z1", 600);
        field.wait_s(120);
        for (wait_s, span_s) in pauses {
            pause_water(&mut field, *span_s);
            assert!(span_s.is_none() || !field.is_open("v1"));
            field.wait_s(*wait_s);
        }
        field.wait_s(4 * 3600);
        assert_eq!(field.seconds("open v1"), [0, resumed_s], "{pauses:?}");
        let ended = field.seconds("z1 stopped: run_time_reached");
        assert_eq!(ended, [resumed_s + 480], "two minutes of ten were over");
    };
    check(&[(0, Some(600))], 720);
    check(&[(300, Some(600)), (0, Some(1800))], 120 + 300 + 1800);
    check(&[(300, Some(1800)), (0, Some(60))], 120 + 300 + 60);
    // Extended: what is left of it, and ten minutes more.
    check(&[(300, Some(600)), (0, Some(300 + 600))], 120 + 600 + 600);
    check(&[(300, Some(600)), (100, Some(1800)), (0, None)], 120 + 300 + 100);
}

/// Pause and resume of a sequence: what ran has its rest, what waited comes after it.
#[test]
fn irrigation_unlimited_pause_and_resume() {
    let mut plan = farm(2);
    for name in ["z1", "z2"] {
        zone_of(&mut plan, name).automatic = false;
    }
    plan.programs.insert("morning".parse().unwrap(), program(&[("z1", 20), ("z2", 10)]));
    let mut field = Field::new(plan);
    field.wait_s(900);
    pause_water(&mut field, Some(7200));
    field.wait_s(1200);
    assert!(!field.is_open("v1") && !field.is_open("v2"));
    pause_water(&mut field, None);
    field.wait_s(3 * 3600);
    assert_eq!(field.seconds("open v1"), [600, 2100]);
    assert_eq!(field.seconds("z1 stopped: run_time_reached"), [3000], "five minutes of twenty, and fifteen");
    assert_eq!(field.seconds("open v2"), [3000]);
    assert_eq!(field.seconds("z2 stopped: run_time_reached"), [3600]);
}

/// Cancel ends what runs of a program and drops what waits; its next start comes as if nothing had been.
#[test]
fn irrigation_unlimited_cancel() {
    let mut plan = farm(3);
    for name in ["z1", "z2", "z3"] {
        zone_of(&mut plan, name).automatic = false;
    }
    plan.programs.insert("morning".parse().unwrap(), program(&[("z1", 20), ("z2", 10)]));
    plan.programs.insert("other".parse().unwrap(), program(&[("z3", 5)]));
    let mut field = Field::new(plan);
    field.wait_s(900);
    assert!(field.is_open("v1"));
    let morning = "morning".parse().unwrap();
    field.feed(Input::Program { program: &morning, wish: ProgramWish::Stop, by: "Lan" });
    field.wait_s(3600);
    field.check(&["z1 stopping by Lan: program_stop", "z1 stopped by Lan: program_stop"]);
    assert!(!field.has("open v2") && field.has("z3 stopped: run_time_reached"), "{:?}", field.log);
    field.wait_s(24 * 3600);
    assert_eq!(field.seconds("open v1"), [600, 600 + 86_400]);
    assert_eq!(
        field.seconds("z2 stopped: run_time_reached"),
        [600 + 86_400 + 2100],
        "behind the other's five minutes"
    );
}

/// Manual runs: of one zone for a time, and of a program as a whole, outside of its hours and again at its time.
#[test]
fn irrigation_unlimited_manual_run() {
    let mut plan = farm(2);
    for name in ["z1", "z2"] {
        zone_of(&mut plan, name).automatic = false;
    }
    let mut morning = program(&[("z1", 10), ("z2", 5)]);
    morning.windows = Windows {
        no_water: vec![Window::daily(DayWindow::new(7 * 60, 8 * 60).unwrap())],
        ..Windows::default()
    };
    morning.starts = vec![at_hour(9, 0)];
    plan.programs.insert("morning".parse().unwrap(), morning);
    let mut field = Field::new(plan);
    field.start("z2", 120);
    field.wait_s(120);
    assert_eq!(field.seconds("z2 stopped: run_time_reached"), [120]);
    // Never without an end: a run is at most as long as the zone allows.
    field.start("z1", u32::MAX);
    field.wait_s(1800);
    let ended = field.seconds("z1 stopped: run_time_reached");
    assert!(ended.len() == 1 && ended[0] > 1800 && ended[0] <= 1920, "{ended:?}");
    field.wait_s(600);
    let morning = "morning".parse().unwrap();
    field.feed(Input::Program { program: &morning, wish: ProgramWish::Start, by: "Lan" });
    field.wait_s(1200);
    assert_eq!(field.seconds("open v1"), [120, 2520], "{:?}", field.log);
    assert_eq!(field.seconds("z2 stopped: run_time_reached"), [120, 2520 + 900]);
    field.wait_s(2 * 3600);
    assert_eq!(field.seconds("open v1")[2], 7200, "and at its time");
}

#[test]
fn a_run_by_soil_that_was_paused_goes_on_until_it_is_wet_enough() {
    let mut field = Field::new(farm(1));
    field.read(1, 1900);
    field.wait_s(120);
    field.read(1, 2300);
    pause_water(&mut field, Some(600));
    field.wait_s(660);
    assert_eq!(
        field.seconds("open v1"),
        [0, 720],
        "as soon as the pause is over, although it is above the start"
    );
    assert_eq!(field.seconds("z1 started: soil_goes_on"), [720]);
    field.read(1, 3100);
    assert_eq!(field.seconds("z1 stopped: soil_wet"), [780]);
    field.wait_s(1200);
    field.read(1, 2500);
    assert_eq!(field.seconds("open v1"), [0, 720], "it has been wet: the start threshold counts again");
}

#[test]
fn rain_in_a_pause_ends_a_run_by_soil_and_so_does_a_person() {
    for (value, is_stopped) in [(3100, false), (2300, true)] {
        let mut field = Field::new(farm(1));
        field.read(1, 1900);
        field.wait_s(120);
        pause_water(&mut field, Some(600));
        field.wait_s(60);
        field.read(1, value);
        if is_stopped {
            field.stop("z1");
        }
        field.wait_s(7200);
        assert_eq!(field.seconds("open v1"), [0], "{value} {is_stopped}");
    }
}

#[test]
fn a_pause_of_water_ends_after_three_hours() {
    let mut plan = farm(1);
    zone_of(&mut plan, "z1").automatic = false;
    plan.programs.insert("morning".parse().unwrap(), program(&[("z1", 20)]));
    let mut field = Field::new(plan);
    field.wait_s(900);
    pause_water(&mut field, Some(30 * 24 * 3600));
    field.wait_s(4 * 3600);
    assert_eq!(field.seconds("open v1"), [600, 900 + 3 * 3600], "the rest has its turn within six hours");
}

#[test]
fn opensprinkler_a_run_is_extended() {
    let mut plan = farm(1);
    zone_of(&mut plan, "z1").run_max_s = 1800;
    let mut field = Field::new(plan);
    field.start("z1", 600);
    field.wait_s(100);
    field.feed(Input::Extend { zone: &zone("z1"), by_s: 3600, by: "Lan" });
    let given = Reason::RunExtended { by_s: 1200, run_s: 1800 };
    assert_eq!(field.last_reason, Some(given), "what the zone's longest run leaves of it");
    field.wait_s(3600);
    field.log.clear();
    field.start("z1", 300);
    field.wait_s(100);
    field.feed(Input::Extend { zone: &zone("z1"), by_s: 300, by: "Lan" });
    field.wait_s(1000);
    assert_eq!(field.seconds("z1 stopped: run_time_reached"), [3700 + 600]);
    field.feed(Input::Extend { zone: &zone("z1"), by_s: 300, by: "Lan" });
    field.check(&["z1 adjusted by Lan: run_extended", "z1 refused by Lan: not_running"]);
}

#[test]
fn opensprinkler_ignore_rain_delay_per_zone() {
    let mut plan = farm(4);
    plan.sources.entry("pump".parse().unwrap()).or_default().capacity = Some(LitresPerHour(9000));
    for name in ["z1", "z2", "z3", "z4"] {
        zone_of(&mut plan, name).flow = Some(LitresPerHour(1000));
    }
    for name in ["z2", "z4"] {
        zone_of(&mut plan, name).guards.ignores.rain_delay = true;
    }
    for name in ["z3", "z4"] {
        zone_of(&mut plan, name).automatic = false;
    }
    plan.programs.insert("both".parse().unwrap(), program(&[("z4", 5), ("z3", 5)]));
    plan.programs.insert("outside".parse().unwrap(), program(&[("z3", 5)]));
    let mut field = Field::new(plan);
    let until = field.now().wall.map(|wall| wall.plus_ms(20 * 3_600_000));
    field.feed(Input::Pause { kind: Pause::Rain, until, by: "Lan" });
    field.restart();
    field.read(1, 1900);
    field.read(2, 1900);
    assert!(!field.is_open("v1") && field.is_open("v2"), "the soil starts only what is under a roof");
    field.log.clear();
    field.wait_s(1200);
    field.check(&["z3 skipped: rain_delay", "farm skipped: rain_delay"]);
    assert!(field.has("open v4") && !field.has("open v3"), "{:?}", field.log);
}

#[test]
fn opensprinkler_a_rain_delay_stops_what_runs_by_itself() {
    type Wish = fn(&mut Field, giot_shared::time::UnixMs);
    let pauses: [(&str, Wish); 3] = [
        ("rain_delay", |field, until| {
            field.feed(Input::Pause { kind: Pause::Rain, until: Some(until), by: "Lan" });
        }),
        ("suspended", |field, until| {
            field.feed(Input::Pause { kind: Pause::Farm, until: Some(until), by: "Lan" });
        }),
        ("suspended", |field, until| {
            field.feed(Input::SuspendZone { zone: &zone("z1"), until: Some(until), by: "Lan" });
        }),
    ];
    for (reason, pause) in pauses {
        let mut plan = farm(2);
        plan.programs.insert("p".parse().unwrap(), program(&[("z1", 20), ("z2", 20)]));
        plan.sources.insert("well".parse().unwrap(), SourcePlan::default());
        zone_of(&mut plan, "z2").source = "well".parse().unwrap();
        let mut field = Field::new(plan);
        field.start("z2", 1200);
        field.wait_s(900);
        assert!(field.is_open("v1") && field.is_open("v2"), "{:?}", field.log);
        let until = field.now().wall.unwrap().plus_ms(7_200_000);
        pause(&mut field, until);
        assert!(field.has(&format!("z1 stopping: {reason}")), "{:?}", field.log);
        assert!(!field.is_open("v1") && field.is_open("v2"), "by hand goes on: {:?}", field.log);
        field.wait_s(3600);
        assert!(!field.is_open("v1") && !field.has("z1 scheduled: run_resumed"), "{:?}", field.log);
    }
}

#[test]
fn opensprinkler_run_once_does_not_wait_for_the_least_time_off() {
    let mut plan = farm(1);
    zone_of(&mut plan, "z1").automatic = false;
    zone_of(&mut plan, "z1").min_off_s = 1800;
    let mut field = Field::new(plan);
    let once = |field: &mut Field| {
        let runs = [(zone("z1"), 60), (zone("z1"), 60)];
        field.feed(Input::Runs { set: RunSet::Once, runs: &runs, by: "Lan" });
    };
    once(&mut field);
    field.wait_s(2400);
    field.log.clear();
    once(&mut field);
    field.wait_s(10);
    assert!(field.is_open("v1"), "{:?}", field.log);
    field.wait_s(600);
    assert!(!field.is_open("v1"), "within one set it rests: {:?}", field.log);
}

#[test]
fn what_a_person_asked_for_goes_by_the_time_that_passes_whatever_the_clock_does() {
    let day_ms = 86_400_000;
    for shift_ms in [-2 * day_ms, -3_600_000, 3_600_000, 2 * day_ms] {
        let mut plan = farm(2);
        plan.zones.values_mut().for_each(|zone| zone.automatic = false);
        plan.programs.insert(
            "p".parse().unwrap(),
            Program { starts: vec![at_hour(23, 0)], ..program(&[("z1", 20), ("z2", 20)]) },
        );
        let mut field = Field::new(plan);
        field.feed(Input::Program { program: &"p".parse().unwrap(), wish: ProgramWish::Start, by: "Lan" });
        field.wait_s(600);
        assert!(field.is_open("v1"), "{:?}", field.log);
        field.set_clock(shift_ms);
        field.wait_s(650);
        assert!(field.is_open("v2"), "{shift_ms}: {:?}", field.log);
        field.wait_s(3600);
        assert!(!field.is_open("v1") && !field.is_open("v2"), "{shift_ms}: {:?}", field.log);
    }
}

#[test]
fn valves_are_tested_one_at_a_time_whatever_has_delayed_them() {
    let mut plan = farm(3);
    for n in 1..=3 {
        let zone = zone_of(&mut plan, &format!("z{n}"));
        (zone.automatic, zone.flow) = (false, Some(LitresPerHour(1000)));
    }
    plan.sources.get_mut(&"pump".parse().unwrap()).unwrap().capacity = Some(LitresPerHour(3000));
    let mut field = Field::new(plan);
    field.start("z1", 1000);
    field.start("z2", 1000);
    let runs = [(zone("z1"), 60), (zone("z2"), 60), (zone("z3"), 60)];
    field.feed(Input::Runs { set: RunSet::Test, runs: &runs, by: "Lan" });
    let mut n_tested = 0;
    for _ in 0..1500 {
        field.wait_s(1);
        if field
            .log
            .iter()
            .any(|line| line.contains("stopped: run_time_reached") && line.starts_with("1000 "))
        {
            let n_open = ["v1", "v2", "v3"].iter().filter(|valve| field.is_open(valve)).count();
            assert!(n_open <= 1, "{:?}", field.log);
            n_tested += n_open;
        }
    }
    assert!((100..=180).contains(&n_tested), "{n_tested}: {:?}", field.log);
}

#[test]
fn a_zone_that_was_watered_by_hand_rests() {
    let mut field = Field::new(farm(1));
    field.feed(Input::Irrigated { zone: &zone("z1"), run_s: 600, litres: 200, by: "Lan" });
    assert_eq!(
        field.last_measured,
        (Some(600_000), Some(Millilitres(200_000))),
        "it counts as water of the zone"
    );
    field.read(1, 1900);
    field.wait_s(599);
    assert!(!field.is_open("v1"));
    field.wait_s(2);
    assert!(field.is_open("v1"));
    field.check(&["z1 reported by Lan: irrigated_by_hand", "z1 skipped: minimum_off"]);
}

/// Pauses all water for so long from now; `None`: goes on.
fn pause_water(field: &mut Field, span_s: Option<u64>) {
    let until = span_s.map(|span_s| field.now().wall.unwrap().plus_ms(span_s * 1000));
    field.feed(Input::Pause { kind: Pause::Water, until, by: "Lan" });
}

/// Zones that one pump feeds.
fn pumped(n_zones: usize) -> Plan {
    let mut plan = farm(n_zones);
    let motor = ValveRef { node: node("motor"), valve: ValveId(0) };
    let source = plan.sources.entry("pump".parse().unwrap()).or_default();
    source.pump = Some(PumpPlan::new(PumpKind::Pump, motor));
    plan
}

/// A pause for rain, of the farm and of one zone: neither soil nor rule starts a zone, people do; it outlives a restart, and
/// what was dry all the while starts when it is over.
#[test]
fn opensprinkler_rain_delay_and_irrigation_unlimited_suspend_hold_back_all_that_starts_by_itself() {
    for pause in [Some(Pause::Rain), Some(Pause::Farm), None] {
        let mut field = Field::new(farm(2));
        let until = field.now().wall.map(|wall| wall.plus_ms(1200 * 1000));
        match pause {
            Some(kind) => field.feed(Input::Pause { kind, until, by: "Lan" }),
            None => field.feed(Input::SuspendZone { zone: &zone("z1"), until, by: "Lan" }),
        }
        let told = if pause == Some(Pause::Rain) { "rain_delay" } else { "suspended" };
        field.read(1, 1900);
        field.check(&[&format!("z1 skipped: {told}")]);
        let wish = RuleWish::Start { zone: &zone("z1"), run_s: 60 };
        let rule = "dry".parse().unwrap();
        field.feed(Input::Rule { rule: &rule, wish, values: "" });
        field.restart();
        field.wait_s(300);
        field.read(1, 1900);
        field.wait_s(300);
        assert_eq!(field.seconds("open v1"), [], "{:?}", field.log);
        assert_eq!(
            field.seconds(&format!("z1 skipped: {told}")).len(),
            3,
            "soil, rule, soil: {:?}",
            field.log
        );
        field.start("z1", 60);
        field.wait_s(120);
        assert_eq!(field.seconds("open v1").len(), 1, "a person may: {:?}", field.log);
        field.read(1, 1900);
        field.wait_s(800);
        assert_eq!(field.seconds("open v1").get(1), Some(&1260), "ten minutes off: {:?}", field.log);
    }
    // Another zone is not concerned by a pause of one.
    let mut field = Field::new(farm(2));
    let until = field.now().wall.map(|wall| wall.plus_ms(1200 * 1000));
    field.feed(Input::SuspendZone { zone: &zone("z1"), until, by: "Lan" });
    field.read(2, 1900);
    assert_eq!(field.seconds("open v2").len(), 1, "{:?}", field.log);
}
