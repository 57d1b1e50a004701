//! What other irrigation controllers' programs do over a day, lived through by the engine with nodes that obey; what a program
//! wishes is `peers_calendar`'s. Each feature is a test named after its controller.
//!
//! OpenSprinkler and Irrigation Unlimited are meant by their documents; nothing of their code is used.
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

use giot_engine::program::{Anchor, Program, Repeat, StartRule, Weekday, Weekdays};
use giot_engine::{Plan, SourcePlan};
use giot_shared::units::LitresPerHour;

use farm::{at_hour, farm, program, zone_of};
use field::Field;

const HOUR_S: u64 = 3600;

/// A test begins at seven in the morning.
fn at_s(day: u64, hour: u64, minute: u64) -> u64 {
    day * 24 * HOUR_S + hour * HOUR_S + minute * 60 - 7 * HOUR_S
}

/// Three zones that only programs start, on pipes for two at once, and a program.
fn three(program: Program) -> Plan {
    let mut plan = farm(3);
    for name in ["z1", "z2", "z3"] {
        let zone = zone_of(&mut plan, name);
        (zone.automatic, zone.flow) = (false, Some(LitresPerHour(1000)));
        zone.min_off_s = 60;
    }
    let source = SourcePlan { capacity: Some(LitresPerHour(2000)), ..SourcePlan::default() };
    plan.sources.insert("pump".parse().unwrap(), source);
    plan.programs.insert("p".parse().unwrap(), program);
    plan
}

/// When the valves open and close within a time; nodes and the engine's look at the clock take seconds.
#[track_caller]
fn check_lived(plan: Plan, span_s: u64, want: &[(&str, u64)]) {
    let mut field = Field::new(plan);
    field.wait_s(span_s);
    let events = (1..=3).flat_map(|n| {
        let ended = format!("z{n} stopped: run_time_reached");
        [(format!("open v{n}"), format!("open v{n}")), (format!("close v{n}"), ended)]
    });
    let mut lived: Vec<(String, u64)> = events
        .flat_map(|(name, line)| field.seconds(&line).into_iter().map(move |at| (name.clone(), at)))
        .collect();
    lived.sort_by_key(|(_, at)| *at);
    let is_kept = lived.len() == want.len()
        && lived.iter().zip(want).all(|(lived, want)| lived.0 == want.0 && lived.1.abs_diff(want.1) <= 10);
    assert!(is_kept, "{lived:?}\n{want:?}\n{:?}", field.log);
}

#[test]
fn opensprinkler_station_delay() {
    let steps = [("z1", 10), ("z2", 10), ("z3", 10)];
    let mut delayed = program(&steps);
    delayed.sequence.delay_s = 180;
    let minute = |minutes: u64| at_s(0, 7, 10) + minutes * 60;
    let want = [
        ("open v1", minute(0)),
        ("close v1", minute(10)),
        ("open v2", minute(13)),
        ("close v2", minute(23)),
        ("open v3", minute(26)),
        ("close v3", minute(36)),
    ];
    check_lived(three(delayed), 2 * HOUR_S, &want);
    // A negative one lets the next begin before the end.
    let mut overlapping = program(&steps);
    overlapping.sequence.delay_s = -120;
    let want = [
        ("open v1", minute(0)),
        ("open v2", minute(8)),
        ("close v1", minute(10)),
        ("open v3", minute(16)),
        ("close v2", minute(18)),
        ("close v3", minute(26)),
    ];
    check_lived(three(overlapping), 2 * HOUR_S, &want);
}

#[test]
fn opensprinkler_repeats_across_midnight() {
    // The first day of a test is a Thursday; what begins on Friday by repetition is Thursday's.
    let mut program = program(&[("z1", 5)]);
    program.days.weekdays = Weekdays::of([Weekday::Thursday]);
    program.starts = vec![StartRule { repeat: Repeat::new(45, 4), ..at_hour(22, 0) }];
    let starts = [at_s(0, 22, 0), at_s(0, 22, 45), at_s(0, 23, 30), at_s(1, 0, 15), at_s(1, 1, 0)];
    let want: Vec<_> = starts.into_iter().flat_map(|at| [("open v1", at), ("close v1", at + 300)]).collect();
    check_lived(three(program), 3 * 24 * HOUR_S, &want);
}

#[test]
fn irrigation_unlimited_finish_anchor() {
    let mut program = program(&[("z1", 20), ("z2", 25)]);
    program.sequence.delay_s = 300;
    program.starts = vec![StartRule { anchor: Anchor::Finish, ..at_hour(9, 0) }];
    let of_day = |day: u64| {
        [
            ("open v1", at_s(day, 8, 10)),
            ("close v1", at_s(day, 8, 30)),
            ("open v2", at_s(day, 8, 35)),
            ("close v2", at_s(day, 9, 0)),
        ]
    };
    check_lived(three(program), 25 * HOUR_S + 3 * HOUR_S, &[of_day(0), of_day(1)].concat());
}
