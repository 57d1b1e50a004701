//! What the forecast of the next days promises is what the engine then does, and what finds no room is told before the day.
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

use std::collections::{BTreeMap, BTreeSet};

use giot_engine::program::{
    Anchor, Control, Crossing, FarmState, Group, Outcome, Percent, Program, Window, Windows,
};
use giot_engine::{
    DayWindow, Input, Pause, Plan, ProgramId, PumpKind, PumpPlan, Reason, SourcePlan, ValveRef, ZonePlan,
    forecast, shortfalls,
};
use giot_shared::ids::ValveId;
use giot_shared::time::UnixMs;
use giot_shared::units::LitresPerHour;

use farm::{at_hour, farm, program, zone_of};
use field::Field;

const HOUR_S: u64 = 3600;

/// Six zones of 5000 L/h each on a source of so many L/h, that run so long when nothing cuts them.
fn six_zones(capacity_l_h: u32, minutes: u32) -> Plan {
    let mut plan = farm(6);
    let source = SourcePlan { capacity: Some(LitresPerHour(capacity_l_h)), ..SourcePlan::default() };
    plan.sources.insert("pump".parse().unwrap(), source);
    for n in 1..=6 {
        let name = format!("z{n}");
        let zone = zone_of(&mut plan, &name);
        zone.automatic = false;
        zone.flow = Some(LitresPerHour(5000));
        zone.run_max_s = 400 * 60;
        plan.programs.insert(format!("p{n}").parse().unwrap(), program(&[(&name, minutes)]));
    }
    plan
}

fn hours(program: &mut Program, from_hour: u16, to_hour: u16) {
    let span = DayWindow::new(from_hour * 60, to_hour * 60).unwrap();
    program.windows = Windows { allowed: vec![Window::daily(span)], no_water: Vec::new() };
}

/// Zones with their runs, and those that get none with the reason.
type Promise = (Vec<(String, u64, u64)>, Vec<(String, &'static str)>);

/// Runs as (zone, begin, end) and skips as (zone, reason), by the forecast for one day; seconds after the test's beginning.
fn promised(plan: &Plan, field: &Field) -> Promise {
    let from = field.now().wall.unwrap();
    let preview = forecast(plan, &BTreeMap::new(), &FarmState::default(), from, 1);
    let (mut runs, mut skips) = (Vec::new(), Vec::new());
    for start in &preview.starts {
        let Outcome::Runs(timeline) = &start.outcome else { continue };
        let s = |at: UnixMs| at.since_ms(from) / 1000;
        runs.extend(timeline.runs.iter().map(|run| (run.zone.to_string(), s(run.from), s(run.until))));
        skips.extend(timeline.skips.iter().map(|skip| (skip.zone.to_string(), skip.reason.code())));
    }
    runs.sort_by_key(|(zone, from, _)| (*from, zone.clone()));
    (runs, skips)
}

/// Runs of the engine: each opening with its zone.
fn openings(field: &Field) -> Vec<(String, u64)> {
    let mut openings: Vec<_> = (1..=6)
        .flat_map(|n| field.seconds(&format!("open v{n}")).into_iter().map(move |at| (format!("z{n}"), at)))
        .collect();
    openings.sort_by_key(|(zone, at)| (*at, zone.clone()));
    openings
}

#[track_caller]
fn check_kept(plan: Plan, span_s: u64) -> (Field, Vec<(String, &'static str)>) {
    let mut field = Field::new(plan.clone());
    let (runs, skips) = promised(&plan, &field);
    field.wait_s(span_s);
    let openings = openings(&field);
    assert_eq!(runs.len(), openings.len(), "{runs:?}\n{openings:?}\n{:?}", field.log);
    for ((zone, from, _), (opened, at)) in runs.iter().zip(&openings) {
        assert!(zone == opened && from.abs_diff(*at) <= 120, "{runs:?}\n{openings:?}");
    }
    (field, skips)
}

#[test]
fn runs_wait_for_their_pipes_as_the_engine_lets_them() {
    // One at a time: an hour each, one after another.
    let (_, skips) = check_kept(six_zones(7500, 60), 12 * HOUR_S);
    assert_eq!(skips, []);
    // Two at a time.
    let (_, skips) = check_kept(six_zones(10_000, 60), 12 * HOUR_S);
    assert_eq!(skips, []);
}

/// Twelve runs of five minutes one after another, behind a pump that may start six times an hour.
fn twelve_short_runs(capacity_l_h: u32) -> Plan {
    let mut plan = six_zones(capacity_l_h, 5);
    plan.programs.clear();
    let steps = ["z1", "z2", "z3", "z4", "z5", "z6"].map(|zone| (zone, 5));
    plan.programs.insert("night".parse().unwrap(), program(&[steps, steps].concat()));
    let motor = ValveRef { node: farm::node("motor"), valve: ValveId(0) };
    let source = plan.sources.entry("pump".parse().unwrap()).or_default();
    source.pump = Some(PumpPlan::new(PumpKind::Pump, motor));
    plan
}

#[test]
fn a_pump_rests_and_starts_as_often_as_the_engine_lets_it() {
    // One at a time: a minute of rest after each run, and six starts an hour.
    let (field, skips) = check_kept(twelve_short_runs(7500), 12 * HOUR_S);
    assert_eq!(skips, []);
    assert_eq!(field.seconds("open motor").len(), 12);
    // Two would have room: it runs through.
    let (field, skips) = check_kept(twelve_short_runs(10_000), 12 * HOUR_S);
    assert_eq!(skips, []);
    assert_eq!(field.seconds("open motor").len(), 1, "{:?}", field.log);
}

#[test]
fn a_run_that_waits_for_its_pump_is_told_although_nothing_else_happens() {
    let mut plan = twelve_short_runs(7500);
    plan.programs.insert("night".parse().unwrap(), program(&[("z1", 5), ("z2", 5)]));
    let source = plan.sources.entry("pump".parse().unwrap()).or_default();
    source.pump.as_mut().unwrap().starts_per_hour_max = 1;
    let (field, _) = check_kept(plan, 2 * HOUR_S);
    assert_eq!(field.seconds("z2 skipped: pump_starts_used"), [1200], "five minutes after its moment");
}

#[test]
fn what_hours_leave_no_room_for_is_promised_to_nobody_and_told_with_the_right_reason() {
    let mut plan = six_zones(7500, 300);
    plan.programs.values_mut().for_each(|program| hours(program, 7, 17));
    let before = Field::new(plan.clone()).now().wall.unwrap();
    let short =
        shortfalls(&forecast(&plan, &BTreeMap::new(), &FarmState::default(), before, 1), &plan.site());
    // Four have nothing of 300 minutes at 5000 L/h, the second one loses its last ten minutes at 17:00.
    let short: Vec<_> = short.iter().map(|one| (one.zone.as_str(), one.short_s, one.short_l)).collect();
    let all = (18_000, Some(25_000));
    assert_eq!(short[0], ("z2", 600, Some(833)), "{short:?}");
    assert!(short.len() == 5 && short[1..].iter().all(|one| (one.1, one.2) == all), "{short:?}");
    let (field, skips) = check_kept(plan, 12 * HOUR_S);
    assert_eq!(skips.len(), 4, "{skips:?}");
    assert!(skips.iter().all(|(_, reason)| *reason == "window_over"), "{skips:?}");
    for (zone, _) in skips {
        assert_eq!(field.seconds(&format!("{zone} skipped: window_over")).len(), 1, "{:?}", field.log);
        assert!(!field.has(&format!("{zone} skipped: missed_start")));
    }
}

#[test]
fn a_run_waits_as_long_as_its_hours_allow() {
    // Nine and a half hours of the others go first, then the last one has its turn.
    let mut plan = six_zones(7500, 110);
    plan.programs.values_mut().for_each(|program| hours(program, 7, 20));
    let (field, skips) = check_kept(plan, 14 * HOUR_S);
    assert_eq!(skips, []);
    assert!(openings(&field)[5].1 > 9 * HOUR_S, "{:?}", openings(&field));
}

#[test]
fn whose_hours_or_finish_come_first_goes_first() {
    let mut plan = six_zones(7500, 60);
    hours(plan.programs.get_mut(&"p5".parse().unwrap()).unwrap(), 7, 9);
    plan.programs.get_mut(&"p6".parse().unwrap()).unwrap().starts =
        vec![giot_engine::program::StartRule { anchor: Anchor::Finish, ..at_hour(8, 10) }];
    let (field, _) = check_kept(plan, 12 * HOUR_S);
    let order: Vec<_> = openings(&field).into_iter().map(|(zone, _)| zone).collect();
    assert_eq!(order[..2], ["z6", "z5"], "finished by 08:10, hours over at 09:00: {order:?}");
}

#[test]
fn a_day_without_room_is_told_before_it_begins() {
    let mut plan = six_zones(7500, 300);
    for program in plan.programs.values_mut() {
        program.starts = vec![at_hour(20, 0)];
        hours(program, 20, 6);
        program.crossing = Crossing::Cut;
    }
    let mut field = Field::new(plan.clone());
    // Seven in the morning to just after midnight.
    field.wait_s(17 * HOUR_S + 60);
    let told: Vec<u64> =
        (1..=6).flat_map(|n| field.seconds(&format!("z{n} notified: cannot_fit_today"))).collect();
    assert_eq!(told, [17 * HOUR_S; 4], "{:?}", field.log);
    field.wait_s(3 * HOUR_S);
    let told: Vec<u64> =
        (1..=6).flat_map(|n| field.seconds(&format!("z{n} notified: cannot_fit_today"))).collect();
    assert_eq!(told.len(), 4, "once a day");
    // A gateway that starts anew on that day has told of it; one that was off at midnight tells of the next day when it is back.
    field.restart();
    field.wait_s(600);
    let n_told = |field: &Field| field.log.iter().filter(|line| line.contains("cannot_fit_today")).count();
    assert_eq!(n_told(&field), 4, "{:?}", field.log);
    field.wait_s(8 * HOUR_S);
    field.off_for_s(15 * HOUR_S);
    field.wait_s(600);
    assert_eq!(n_told(&field), 8, "{:?}", field.log);
    // A plan that has room says nothing; one that has none says so at once.
    field.log.clear();
    let mut roomy = plan.clone();
    roomy.sources.values_mut().for_each(|source| source.capacity = Some(LitresPerHour(30_000)));
    field.feed(Input::Plan { version: 2, plan: &roomy });
    field.wait_s(600);
    assert!(!field.log.iter().any(|line| line.contains("cannot_fit_today")), "{:?}", field.log);
    field.wait_s(10 * HOUR_S);
    field.log.clear();
    field.feed(Input::Plan { version: 3, plan: &plan });
    field.wait_s(600);
    assert_eq!(n_told(&field), 4, "{:?}", field.log);
    // The next one that lacks the same has nothing new to say, whatever else it changes.
    let mut renamed = plan.clone();
    zone_of(&mut renamed, "z1").min_off_s += 1;
    field.feed(Input::Plan { version: 4, plan: &renamed });
    field.wait_s(600);
    assert_eq!(n_told(&field), 4, "{:?}", field.log);
}

/// Zones of which nothing is known yet, after a start or of a new plan, take no room: their nodes answer within seconds.
#[test]
fn zones_that_are_not_heard_of_yet_take_no_room() {
    let mut plan = six_zones(7500, 8);
    plan.programs.values_mut().for_each(|program| hours(program, 7, 8));
    plan.zones.values_mut().for_each(|zone| zone.lease_s = 6000);
    let mut field = Field::new(plan.clone());
    let shorts = |field: &Field| {
        let preview = field.engine().outlook(field.now()).unwrap().forecast(&plan, 1);
        shortfalls(&preview, &plan.site()).len()
    };
    let nodes: Vec<_> = (1..=6).map(|n| farm::node(&format!("v{n}"))).collect();
    field.deaf.extend(nodes);
    field.restart();
    assert_eq!(shorts(&field), 0, "before anybody has answered: {:?}", field.log);
    field.wait_s(20);
    field.deaf.clear();
    field.wait_s(2 * HOUR_S);
    assert!(!field.log.iter().any(|line| line.contains("cannot_fit_today")), "{:?}", field.log);
    assert_eq!(openings(&field).len(), 6, "{:?}", field.log);
}

/// What is too long for its hours is not moved into the next night, whose start it would cost: it is left out, and told that day.
#[test]
fn what_its_hours_do_not_hold_costs_no_other_night() {
    let mut plan = six_zones(30_000, 20);
    plan.programs.clear();
    let mut night =
        Program { starts: vec![at_hour(22, 0)], ..program(&[("z1", 20), ("z2", 20), ("z3", 25)]) };
    night.crossing = Crossing::Move;
    hours(&mut night, 22, 23);
    plan.programs.insert("night".parse().unwrap(), night);
    let mut field = Field::new(plan.clone());
    let (runs, skips) = promised(&plan, &field);
    assert_eq!(runs.iter().map(|(zone, ..)| zone.as_str()).collect::<Vec<_>>(), ["z1", "z2"], "{runs:?}");
    assert_eq!(skips, [("z3".to_owned(), "window_too_short")]);
    field.wait_s(3 * 24 * HOUR_S);
    let n_opened = |n: u32| field.seconds(&format!("open v{n}")).len();
    assert_eq!([n_opened(1), n_opened(2), n_opened(3)], [3, 3, 0], "{:?}", field.log);
    assert!(!field.has("farm skipped: program_busy"), "{:?}", field.log);
    // At each midnight.
    assert_eq!(field.seconds("z3 notified: cannot_fit_today").len(), 3, "{:?}", field.log);
    assert!(!field.has("z1 notified: cannot_fit_today"), "{:?}", field.log);
}

/// Late runs keep the time between them, in the preview as in the field.
#[test]
fn late_runs_keep_their_delay_in_the_forecast_too() {
    let mut plan = a_turn_that_is_late(0);
    plan.programs.values_mut().for_each(|program| program.sequence.delay_s = 480);
    let (field, skips) = check_kept(plan.clone(), 2 * HOUR_S);
    assert_eq!(skips, []);
    let apart_s = field.seconds("open v2")[0] - field.seconds("open v1")[0] - 20 * 60;
    assert!((360..=490).contains(&apart_s), "{apart_s} s: {:?}", field.log);
    // Also when it is asked between the two.
    let mut field = Field::new(plan.clone());
    field.wait_s(41 * 60);
    let preview = field.engine().outlook(field.now()).unwrap().forecast(&plan, 1);
    let second = preview.under_way.iter().flat_map(|rest| &rest.runs).find(|run| run.zone.as_str() == "z2");
    let ahead_s = second.unwrap().from.since_ms(field.now().wall.unwrap()) / 1000;
    field.wait_s(HOUR_S);
    assert!((field.seconds("open v2")[0] - 41 * 60).abs_diff(ahead_s) <= 10, "{ahead_s}: {:?}", field.log);
}

/// Zone, seconds and litres that find no room in the first day, and the codes of all notes of its runs.
fn short_of(
    plan: &Plan,
    controls: &BTreeMap<ProgramId, Control>,
) -> (Vec<(String, u64, u32)>, BTreeSet<&'static str>) {
    let from = Field::new(plan.clone()).now().wall.unwrap();
    let preview = forecast(plan, controls, &FarmState::default(), from, 1);
    let runs = preview.starts.iter().filter_map(|start| match &start.outcome {
        Outcome::Runs(timeline) => Some(&timeline.runs),
        Outcome::Skipped(_) => None,
    });
    let notes = runs.flatten().flat_map(|run| &run.notes).map(Reason::code).collect();
    let short = shortfalls(&preview, &plan.site()).into_iter();
    let short = short.filter(|one| one.day <= from);
    (short.map(|one| (one.zone.to_string(), one.short_s, one.short_l.unwrap())).collect(), notes)
}

/// Six zones of one program, one after another from 07:00.
fn one_program(minutes: u32) -> Plan {
    let mut plan = six_zones(7500, minutes);
    let steps: Vec<_> =
        plan.programs.values_mut().flat_map(|program| std::mem::take(&mut program.sequence.steps)).collect();
    plan.programs.retain(|id, _| id.as_str() == "p1");
    let program = plan.programs.values_mut().next().unwrap();
    program.sequence.steps = steps;
    plan
}

fn only(plan: &mut Plan) -> &mut Program {
    plan.programs.values_mut().next().unwrap()
}

#[test]
fn one_sequence_that_its_hours_do_not_hold_is_told_before_the_day() {
    let mut plan = one_program(120);
    hours(only(&mut plan), 7, 16);
    only(&mut plan).starts = vec![at_hour(7, 0)];
    let want = |list: &[(&str, u64, u32)]| -> Vec<(String, u64, u32)> {
        list.iter().map(|(zone, s, l)| ((*zone).to_owned(), *s, *l)).collect()
    };
    // The fifth zone is cut after an hour, the sixth has nothing.
    let (short, _) = short_of(&plan, &BTreeMap::new());
    assert_eq!(short, want(&[("z5", 3600, 5000), ("z6", 7200, 10_000)]));
    // The engine tells the same at midnight.
    let mut field = Field::new(plan.clone());
    field.wait_s(17 * HOUR_S + 60);
    assert_eq!(field.seconds("z5 notified: cannot_fit_today").len(), 1, "{:?}", field.log);
    assert_eq!(field.seconds("z6 notified: cannot_fit_today").len(), 1);
    // The longest run of a zone.
    let mut limited = one_program(60);
    zone_of(&mut limited, "z2").run_max_s = 45 * 60;
    assert_eq!(short_of(&limited, &BTreeMap::new()).0, want(&[("z2", 900, 1250)]));
    // A start that falls into the program's own runs.
    let mut busy = one_program(60);
    only(&mut busy).starts.push(at_hour(12, 0));
    let all = (1..=6).map(|n| (format!("z{n}"), 3600, 5000)).collect::<Vec<_>>();
    assert_eq!(short_of(&busy, &BTreeMap::new()).0, all);
    // What a person makes longer than a day before its finish.
    let mut long = one_program(200);
    plan_finish(only(&mut long), 6);
    let twice = Control { adjust: Percent::new(150).unwrap(), ..Control::default() };
    let (short, _) = short_of(&long, &BTreeMap::from([("p1".parse().unwrap(), twice)]));
    assert_eq!(short.len(), 6, "{short:?}");
}

fn plan_finish(program: &mut Program, hour: u16) {
    program.starts = vec![at_hour(hour, 0)];
    program.starts[0].anchor = Anchor::Finish;
}

#[test]
fn a_finish_that_shared_pipes_make_late_is_told() {
    let mut plan = six_zones(7500, 60);
    plan.programs.values_mut().for_each(|program| plan_finish(program, 12));
    let (short, notes) = short_of(&plan, &BTreeMap::new());
    assert_eq!(short, []);
    assert!(notes.contains("finish_late"), "{notes:?}");
    plan.sources.values_mut().for_each(|source| source.capacity = Some(LitresPerHour(60_000)));
    assert_eq!(short_of(&plan, &BTreeMap::new()).1, BTreeSet::new());
}

/// A program that is to be finished by noon begins earlier by what its own pump and pipes take, in the preview as in the field.
#[track_caller]
fn check_finished_at_noon(mut plan: Plan, starts_after_s: u64) {
    plan.programs.values_mut().for_each(|program| plan_finish(program, 12));
    let (short, notes) = short_of(&plan, &BTreeMap::new());
    assert_eq!(short, []);
    assert!(!notes.contains("finish_late"), "{notes:?}");
    let (field, skips) = check_kept(plan, 12 * HOUR_S);
    assert_eq!(skips, []);
    let openings = openings(&field);
    let (first, last) = (openings.first().unwrap().1, openings.last().unwrap().1);
    assert!(first.abs_diff(starts_after_s) <= 120, "{openings:?}");
    assert!(last.abs_diff(5 * HOUR_S - 5 * 60) <= 120, "five minutes before noon: {openings:?}");
}

#[test]
fn a_finish_begins_earlier_by_the_rests_and_starts_of_its_own_pump() {
    // Twelve times five minutes one at a time: six starts an hour and eleven rests of a minute, of which the sixth lasts till an
    // hour after the first start.
    let seventh_s = HOUR_S;
    check_finished_at_noon(twelve_short_runs(7500), 5 * HOUR_S - (seventh_s + 5 * 360 + 5 * 60));
    // Two at a time: the pump runs through.
    check_finished_at_noon(twelve_short_runs(10_000), 4 * HOUR_S);
}

#[test]
fn a_finish_begins_earlier_by_what_its_own_pipes_carry() {
    // Six zones that may run beside each other, where two have room.
    let mut plan = six_zones(10_000, 5);
    let steps = ["z1", "z2", "z3", "z4", "z5", "z6"].map(|zone| (zone, 5));
    for zone in plan.zones.values_mut() {
        zone.group = Group::Parallel;
    }
    plan.programs = [("night".parse().unwrap(), program(&steps))].into();
    check_finished_at_noon(plan.clone(), 5 * HOUR_S - 3 * 300);
    // Beside hours that end at noon.
    hours(plan.programs.values_mut().next().unwrap(), 6, 12);
    check_finished_at_noon(plan, 5 * HOUR_S - 3 * 300);
}

/// Zones of an hour each that may run beside each other, so many at a time as `capacity_l_h` has room for 5000 L/h, to be finished by six.
fn hours_beside(n_zones: usize, capacity_l_h: u32, set: impl Fn(&mut Program, &mut ZonePlan)) -> Plan {
    let mut plan = farm(n_zones);
    let source = SourcePlan { capacity: Some(LitresPerHour(capacity_l_h)), ..SourcePlan::default() };
    plan.sources.insert("pump".parse().unwrap(), source);
    let names: Vec<String> = (1..=n_zones).map(|n| format!("z{n}")).collect();
    let steps: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 60)).collect();
    let mut night = program(&steps);
    plan_finish(&mut night, 6);
    for zone in plan.zones.values_mut() {
        (zone.automatic, zone.flow, zone.group) = (false, Some(LitresPerHour(5000)), Group::Parallel);
        zone.run_max_s = 400 * 60;
        set(&mut night, zone);
    }
    plan.programs.insert("night".parse().unwrap(), night);
    plan
}

/// When the first start of a program begins that is to be finished by six of the second day, how many of its runs are given whole, and
/// when the last is over; hours of the first day.
fn first_night(plan: &Plan) -> (f64, usize, f64) {
    let field = Field::new(plan.clone());
    let from = field.now().wall.unwrap();
    let preview = forecast(plan, &BTreeMap::new(), &FarmState::default(), from, 2);
    // Seven in the morning is when a test begins.
    let hour = |at: UnixMs| 7.0 + (at.0 - from.0) as f64 / 3.6e6;
    let is_first = |start: &&giot_engine::program::PlannedStart| {
        start.start.finish_at.is_some_and(|at| (hour(at) - 30.0).abs() < 1e-9)
    };
    let start = preview.starts.iter().find(is_first).unwrap_or_else(|| panic!("{:?}", preview.starts));
    let Outcome::Runs(timeline) = &start.outcome else { panic!("{start:?}") };
    let n_whole = timeline.runs.iter().filter(|run| run.run_ms() == 3_600_000).count();
    (hour(start.start.at), n_whole, hour(timeline.until().unwrap()))
}

#[test]
fn a_finish_beside_hours_begins_in_the_right_ones_and_early_enough_for_its_pipes() {
    let night = |_: &mut Program, zone: &mut ZonePlan| {
        zone.window = DayWindow::new(18 * 60, 8 * 60).unwrap();
    };
    assert_eq!(first_night(&hours_beside(12, 5000, night)), (18.0, 12, 30.0));
    // One too many: it is late, but within the same night.
    assert_eq!(first_night(&hours_beside(13, 5000, night)), (18.0, 13, 31.0));
    let four = |program: &mut Program, _: &mut ZonePlan| hours(program, 2, 6);
    assert_eq!(first_night(&hours_beside(8, 10_000, four)), (26.0, 8, 30.0));
    assert_eq!(first_night(&hours_beside(9, 10_000, four)), (26.0, 8, 30.0), "what has no room is left out");
    // What lies across a gap in the hours begins earlier by it.
    let spans = |spans: &[(u16, u16)]| -> Vec<Window> {
        spans.iter().map(|(from, to)| Window::daily(DayWindow::new(*from, *to).unwrap())).collect()
    };
    let allowed = |program: &mut Program, _: &mut ZonePlan| {
        program.windows.allowed = spans(&[(20 * 60, 22 * 60), (2 * 60, 6 * 60)]);
    };
    assert_eq!(first_night(&hours_beside(6, 5000, allowed)), (20.0, 6, 30.0));
    let early_gap = |program: &mut Program, _: &mut ZonePlan| {
        program.windows.no_water = spans(&[(4 * 60 + 30, 5 * 60 + 30)]);
    };
    let (start, n_whole, until) = first_night(&hours_beside(4, 5000, early_gap));
    assert!(n_whole == 4 && until <= 30.0 && start > 24.49, "{start} {n_whole} {until}");
    let late_gap = |program: &mut Program, _: &mut ZonePlan| {
        program.windows.no_water = spans(&[(23 * 60 + 30, 2 * 60 + 30)]);
    };
    let (start, n_whole, until) = first_night(&hours_beside(6, 5000, late_gap));
    assert!(n_whole == 6 && until <= 30.0 && start > 20.49, "{start} {n_whole} {until}");
}

/// What waits for its hours on narrow pipes, or behind a pump that rests, costs none of the program's next starts.
#[test]
fn what_pipes_put_off_costs_no_other_night() {
    let mut plan = hours_beside(6, 5000, |program, _| {
        program.starts = vec![at_hour(2, 0)];
        program.crossing = Crossing::Move;
        hours(program, 2, 6);
    });
    for finish in [false, true] {
        if finish {
            plan.programs.values_mut().for_each(|program| plan_finish(program, 6));
        }
        let mut field = Field::new(plan.clone());
        field.wait_s(4 * 24 * HOUR_S);
        let n_of_night = |night: u64| {
            let (from, until) = (night * 24 * HOUR_S + 19 * HOUR_S - 600, night * 24 * HOUR_S + 23 * HOUR_S);
            (1..=6)
                .flat_map(|n| field.seconds(&format!("open v{n}")))
                .filter(|at| (from..until).contains(at))
                .count()
        };
        let nights = [0, 1, 2, 3].map(n_of_night);
        assert!(nights.iter().all(|n| *n >= 4), "{finish} {nights:?}: {:?}", field.log);
    }
}

#[test]
fn what_runs_and_waits_at_the_moment_counts() {
    // One at a time: z1 runs till ten past eight, z2 waits since a quarter past seven, z3 comes at half past.
    let mut plan = six_zones(7500, 60);
    for (name, minute) in [("p2", 15), ("p3", 30)] {
        let program = plan.programs.get_mut(&name.parse::<ProgramId>().unwrap()).unwrap();
        program.starts = vec![at_hour(7, minute)];
    }
    plan.programs.retain(|id, _| ["p1", "p2", "p3"].contains(&id.as_str()));
    let mut field = Field::new(plan.clone());
    field.wait_s(1200 + 120);
    let now = field.now();
    let preview = field.engine().outlook(now).unwrap().forecast(&plan, 1);
    let first = preview.starts.first().unwrap();
    let Outcome::Runs(timeline) = &first.outcome else { panic!("{first:?}") };
    assert_eq!(first.program.as_str(), "p3");
    let late_min = timeline.runs[0].from.since_ms(first.start.at) / 60_000;
    assert!((100..=102).contains(&late_min), "after z1 and z2: {late_min} min\n{:?}", field.log);
    assert_eq!(timeline.runs[0].notes.last().map(Reason::code), Some("turn_awaited"));
    field.wait_s(3 * HOUR_S);
    let opened_at = field.seconds("open v3")[0];
    let promised_s = timeline.runs[0].from.since_ms(now.wall.unwrap()) / 1000 + 1200 + 120;
    assert!(opened_at.abs_diff(promised_s) <= 120, "{opened_at} {promised_s}");
}

#[test]
fn what_is_left_of_a_start_that_is_under_way_is_placed_from_now() {
    // z1 for twenty minutes, then z2, then z3; looked at in the middle of z2.
    let mut plan = six_zones(7500, 60);
    plan.programs.clear();
    plan.programs.insert("row".parse().unwrap(), program(&[("z1", 20), ("z2", 20), ("z3", 20)]));
    let mut field = Field::new(plan.clone());
    field.wait_s(600 + 1800);
    let now = field.now();
    let wall = now.wall.unwrap();
    let preview = field.engine().outlook(now).unwrap().forecast(&plan, 1);
    let [rest] = preview.under_way.as_slice() else { panic!("{:?}\n{:?}", preview.under_way, field.log) };
    let min = |at: UnixMs| (at.0 - wall.0 + 30_000).div_euclid(60_000);
    let runs: Vec<_> =
        rest.runs.iter().map(|run| (run.zone.as_str(), min(run.from), min(run.until))).collect();
    assert_eq!((rest.program.as_str(), runs), ("row", vec![("z2", -10, 10), ("z3", 10, 30)]));
    assert_eq!(rest.skips, []);
    field.wait_s(HOUR_S);
    let opened_at = field.seconds("open v3")[0];
    let promised_s = rest.runs[1].from.since_ms(wall) / 1000 + 2400;
    assert!(opened_at.abs_diff(promised_s) <= 60, "{opened_at} {promised_s}");
    // Once it is through, nothing is left.
    let now = field.now();
    assert_eq!(field.engine().outlook(now).unwrap().forecast(&plan, 1).under_way, []);
}

#[test]
fn what_of_a_start_under_way_finds_no_room_says_so() {
    // The same rest by other hours: those that close at eight cut z2 and leave nothing for z3.
    let mut plan = six_zones(7500, 60);
    plan.programs.clear();
    let mut row = program(&[("z1", 40), ("z2", 40), ("z3", 40)]);
    hours(&mut row, 7, 10);
    plan.programs.insert("row".parse().unwrap(), row);
    let mut field = Field::new(plan.clone());
    field.wait_s(600 + 60);
    let preview = field.engine().outlook(field.now()).unwrap().forecast(&plan, 1);
    let [rest] = preview.under_way.as_slice() else { panic!("{preview:?}") };
    assert_eq!(rest.runs.len(), 3, "{rest:?}");
    let mut closed = plan.clone();
    hours(closed.programs.get_mut(&"row".parse::<ProgramId>().unwrap()).unwrap(), 7, 8);
    let preview = field.engine().outlook(field.now()).unwrap().forecast(&closed, 1);
    let [rest] = preview.under_way.as_slice() else { panic!("{preview:?}") };
    let notes: Vec<_> = rest.runs.iter().flat_map(|run| &run.notes).map(Reason::code).collect();
    let skips: Vec<_> = rest.skips.iter().map(|(zone, why)| (zone.as_str(), why.code())).collect();
    assert_eq!((rest.runs.len(), notes, skips.len()), (2, vec!["run_cut"], 1), "{rest:?}");
    assert_eq!(skips[0].0, "z3");
}

/// Three zones: z1 on a pipe of its own together with z3, which another program waters first; z2 elsewhere.
fn a_turn_that_is_late(overlap_s: i32) -> Plan {
    let mut plan = farm(3);
    for (name, source) in [("z1", "east"), ("z2", "west"), ("z3", "east")] {
        plan.sources.insert(source.parse().unwrap(), SourcePlan::default());
        let zone = zone_of(&mut plan, name);
        (zone.source, zone.automatic) = (source.parse().unwrap(), false);
    }
    plan.programs
        .insert("first".parse().unwrap(), Program { starts: vec![at_hour(7, 5)], ..program(&[("z3", 15)]) });
    let mut second = program(&[("z1", 20), ("z2", 20)]);
    second.sequence.delay_s = -overlap_s;
    plan.programs.insert("second".parse().unwrap(), second);
    assert_eq!(plan.check(), []);
    plan
}

/// The pipe lets z1 begin 10 minutes late: z2, although its water comes from elsewhere, begins when z1 is done.
#[test]
fn zones_of_one_group_keep_their_turns_when_a_run_is_late() {
    let plan = a_turn_that_is_late(0);
    let mut field = Field::new(plan.clone());
    let (runs, skips) = promised(&plan, &field);
    let (min, run) = (60, |zone: &str, from: u64, until: u64| (zone.to_owned(), from, until));
    let wanted = [run("z3", 5 * min, 20 * min), run("z1", 20 * min, 40 * min), run("z2", 40 * min, 60 * min)];
    assert_eq!((runs, skips), (wanted.to_vec(), Vec::new()));
    field.wait_s(2 * HOUR_S);
    assert_eq!(openings(&field), wanted.map(|(zone, from, _)| (zone, from)));
    assert!(field.has("z2 skipped: program_turn"), "{:?}", field.log);
}

/// Runs that are to overlap do so, also where the first one is late.
#[test]
fn runs_that_are_to_overlap_do_so_when_a_run_is_late() {
    let plan = a_turn_that_is_late(300);
    let mut field = Field::new(plan.clone());
    let (runs, _) = promised(&plan, &field);
    field.wait_s(2 * HOUR_S);
    assert_eq!(openings(&field), runs.into_iter().map(|(zone, from, _)| (zone, from)).collect::<Vec<_>>());
    // Twenty minutes from 20 on, less five.
    assert_eq!(field.seconds("open v2"), [35 * 60], "{:?}", field.log);
}

/// A pause of all water leaves a rest of z1; that of z2 follows it, also after a restart.
#[test]
fn what_a_pause_left_keeps_its_turn() {
    for restarts in [false, true] {
        let mut field = Field::new(a_turn_that_is_late(0));
        field.wait_s(35 * 60);
        let until = Some(field.now().wall.unwrap().plus_ms(20 * 60_000));
        field.feed(Input::Pause { kind: Pause::Water, until, by: "Lan" });
        if restarts {
            field.restart();
        }
        field.wait_s(2 * HOUR_S);
        assert_eq!(field.seconds("open v1"), [1200, 3300], "{:?}", field.log);
        assert_eq!(field.seconds("open v2"), [3600], "{:?}", field.log);
    }
}

/// What holds at the moment holds in the preview too: each of these is what the engine then does.
#[test]
fn the_outlook_knows_locks_pauses_and_rests() {
    let day = || {
        let mut plan = six_zones(30_000, 30);
        plan.zones.values_mut().for_each(|zone| zone.min_off_s = 1800);
        plan
    };
    // Every program starts at 07:10, ten minutes after the test begins.
    let mut field = Field::new(day());
    field.feed(Input::Lock { zone: &"z1".parse().unwrap(), by: "Lan", note: "pipe" });
    field.start("z2", 300);
    field.wait_s(330);
    let (runs, skips) = ahead(&field, &day());
    assert_eq!(skips, [("z1".to_owned(), "locked")]);
    field.wait_s(2 * HOUR_S);
    let opened: Vec<_> = openings(&field).into_iter().filter(|(_, at)| *at > 300).collect();
    assert_eq!(runs.len(), 5, "{runs:?}");
    for (zone, from) in &opened {
        let promise = runs.iter().find(|(of, _)| of == zone).unwrap();
        assert!(promise.1.abs_diff(*from) <= 60, "{zone}: {promise:?} {from} {:?}", field.log);
    }
    assert!(runs.iter().any(|(zone, from)| zone == "z2" && *from > 2000), "{runs:?}");

    let mut field = Field::new(day());
    field.feed(Input::Pause {
        kind: Pause::Water,
        until: field.now().wall.map(|at| at.plus_ms(3_600_000)),
        by: "Lan",
    });
    let (runs, skips) = ahead(&field, &day());
    assert_eq!((runs.len(), skips.len()), (6, 0));
    assert!(runs.iter().all(|(_, from)| *from >= 3600), "{runs:?}");
    field.wait_s(2 * HOUR_S);
    let opened = openings(&field);
    assert!(opened.len() == 6 && opened.iter().all(|(_, from)| (3600..3660).contains(from)), "{opened:?}");
}

/// Zones with the begin of their runs, and those that get none with the reason.
type Ahead = (Vec<(String, u64)>, Vec<(String, &'static str)>);

/// Runs of the next day as (zone, begin) in seconds after the test's beginning, and skips.
fn ahead(field: &Field, plan: &Plan) -> Ahead {
    let preview = field.engine().outlook(field.now()).unwrap().forecast(plan, 1);
    let passed_s = field.now().mono.since_ms(Field::new(plan.clone()).now().mono) / 1000;
    let from = field.now().wall.unwrap();
    let (mut runs, mut skips) = (Vec::new(), Vec::new());
    for start in &preview.starts {
        let Outcome::Runs(timeline) = &start.outcome else { continue };
        let s = |at: UnixMs| at.since_ms(from) / 1000 + passed_s;
        runs.extend(timeline.runs.iter().map(|run| (run.zone.to_string(), s(run.from))));
        skips.extend(timeline.skips.iter().map(|skip| (skip.zone.to_string(), skip.reason.code())));
    }
    (runs, skips)
}
