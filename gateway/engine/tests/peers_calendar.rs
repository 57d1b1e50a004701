//! What other irrigation controllers can do by the calendar, each feature a test named after its controller.
//!
//! OpenSprinkler, Irrigation Unlimited, NeverDry and Hunter are meant by their documents; nothing of their code is used.
//! Local time is UTC+7; 24 November 2026 is a Tuesday. Runs are written as `zone from-until` in minutes after the start.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

use std::collections::BTreeMap;

use giot_engine::program::{
    Anchor, Calendar, Clock, Conditions, Control, Crossing, Cycle, Date, DayRule, Direction, EveryDays,
    FarmState, Group, Level, MinuteOfDay, MonthDays, Months, Order, OrderBy, Outcome, Parity, Percent, Place,
    Program, Repeat, RunLimits, Scale, Season, Sequence, Site, Start, StartRule, Step, SunOffset, Target,
    Timeline, Weekday, Weekdays, Window, Windows, YearSpan, ZoneFacts, check_programs, next_days, timeline,
};
use giot_engine::{DayWindow, ProgramId, Reason, ZoneId};
use giot_shared::time::UnixMs;

const OFFSET_MIN: i32 = 420;
const MINUTE_MS: u64 = 60_000;

static NO_NEEDS: BTreeMap<ZoneId, u32> = BTreeMap::new();

#[test]
fn opensprinkler_forty_programs_and_more() {
    let site = site();
    let programs: BTreeMap<ProgramId, Program> = (0..48_u16)
        .map(|n| {
            let mut program = daily(&[("a", 5)]);
            program.starts = vec![at_time(n / 2, n % 2 * 30)];
            (format!("p{n:02}").parse().unwrap(), program)
        })
        .collect();
    assert_eq!(check_programs(&programs, &site), []);
    let preview =
        next_days(&programs, &BTreeMap::new(), &site, &FarmState::default(), at((2026, 11, 24), 0, 0), 7);
    assert_eq!(preview.starts.len(), 48 * 7);
    assert!(preview.starts.windows(2).all(|pair| pair[0].start.at <= pair[1].start.at));
}

#[test]
fn opensprinkler_weekly() {
    let weekdays = Weekdays::of([Weekday::Monday, Weekday::Thursday]);
    check_days(DayRule { weekdays, ..DayRule::EVERY_DAY }, (2026, 11, 24), 9, &["11-26", "11-30"]);
}

#[test]
fn opensprinkler_single_run() {
    let rule = DayRule { once: Some(date((2026, 12, 1))), ..DayRule::EVERY_DAY };
    check_days(rule, (2026, 11, 24), 800, &["12-01"]);
}

#[test]
fn opensprinkler_monthly_and_last_day() {
    let month_days = MonthDays::of([15]).unwrap();
    check_days(DayRule { month_days, ..DayRule::EVERY_DAY }, (2026, 1, 1), 70, &["01-15", "02-15"]);
    let month_days = MonthDays::LAST;
    let last = DayRule { month_days, ..DayRule::EVERY_DAY };
    check_days(last, (2026, 1, 1), 120, &["01-31", "02-28", "03-31", "04-30"]);
    check_days(last, (2028, 2, 1), 29, &["02-29"]);
}

#[test]
fn opensprinkler_interval_days() {
    let every = EveryDays::new(5, date((2026, 11, 26)));
    check_days(DayRule { every, ..DayRule::EVERY_DAY }, (2026, 11, 24), 14, &["11-26", "12-01", "12-06"]);
}

#[test]
fn opensprinkler_odd_even_days() {
    let parity = |parity| DayRule { parity: Some(parity), ..DayRule::EVERY_DAY };
    check_days(parity(Parity::Even), (2026, 12, 28), 7, &["12-28", "12-30", "01-02"]);
    // The 31st is odd and left out, because the 1st follows; so is 29 February.
    check_days(parity(Parity::Odd), (2026, 12, 28), 7, &["12-29", "01-01", "01-03"]);
    check_days(parity(Parity::Odd), (2028, 2, 26), 5, &["02-27", "03-01"]);
    // It restricts whatever else the rule says.
    let weekdays = Weekdays::of([Weekday::Saturday, Weekday::Sunday]);
    check_days(DayRule { weekdays, ..parity(Parity::Odd) }, (2026, 11, 24), 14, &["11-29", "12-05"]);
}

#[test]
fn opensprinkler_date_range_over_new_year() {
    let season = YearSpan::new((12, 30), (1, 2));
    let rule = DayRule { season, ..DayRule::EVERY_DAY };
    check_days(rule, (2026, 12, 1), 60, &["12-30", "12-31", "01-01", "01-02"]);
}

#[test]
fn opensprinkler_four_fixed_starts() {
    let mut program = daily(&[("a", 5)]);
    program.starts = vec![at_time(5, 0), at_time(9, 30), at_time(16, 0), at_time(21, 15)];
    check_starts(&program, (2026, 11, 24), 1, &["24 05:00", "24 09:30", "24 16:00", "24 21:15"]);
}

#[test]
fn opensprinkler_repeats_across_midnight() {
    let mut program = daily(&[("a", 5)]);
    program.days.weekdays = Weekdays::of([Weekday::Tuesday]);
    program.starts = vec![StartRule { repeat: Repeat::new(45, 4), ..at_time(22, 0) }];
    let want = ["24 22:00", "24 22:45", "24 23:30", "25 00:15", "25 01:00"];
    check_starts(&program, (2026, 11, 24), 3, &want);
    check_starts(&program, (2026, 11, 25), 1, &want[3..]);
}

#[test]
fn opensprinkler_sunrise_and_sunset_starts() {
    let mut program = daily(&[("a", 5)]);
    let offset = |offset_min| SunOffset::new(offset_min).unwrap();
    let by = |clock| StartRule { clock, anchor: Anchor::Start, repeat: None };
    program.starts = vec![by(Clock::Sunrise(offset(30))), by(Clock::Sunset(offset(-60)))];
    // Sơn La on that day: 06:20 and 17:21 (PyEphem 4.2.1: 06:20:33 and 17:21:06).
    check_starts(&program, (2026, 11, 24), 1, &["24 06:51", "24 16:21"]);
}

#[test]
fn opensprinkler_station_order() {
    let order = |by, direction, n_runs| {
        let mut sequence = minutes(&[("c", 1), ("a", 2), ("b", 3)]);
        sequence.order = Order { by, direction };
        let site = site();
        let runs = timeline(&sequence, &Conditions { n_runs, ..conditions(&site) }, start()).runs;
        runs.iter().map(|run| run.zone.to_string()).collect::<Vec<_>>().join("")
    };
    assert_eq!(order(OrderBy::Listed, Direction::Forward, 0), "cab");
    assert_eq!(order(OrderBy::Listed, Direction::Reversed, 0), "bac");
    assert_eq!(order(OrderBy::Name, Direction::Forward, 0), "abc");
    assert_eq!(order(OrderBy::Name, Direction::Reversed, 0), "cba");
    let alternating: Vec<_> = (0..4).map(|n| order(OrderBy::Listed, Direction::Alternating, n)).collect();
    assert_eq!(alternating, ["cab", "bac", "cab", "bac"]);
}

#[test]
fn opensprinkler_sequential_groups_and_parallel() {
    let mut site = site();
    facts(&mut site, "c").group = Group::Sequential(1);
    facts(&mut site, "d").group = Group::Parallel;
    let sequence = minutes(&[("a", 10), ("b", 10), ("c", 15), ("d", 25)]);
    check_runs(&site, &sequence, &["a 0-10", "c 0-15", "d 0-25", "b 10-20"]);
}

#[test]
fn opensprinkler_station_delay() {
    let mut sequence = minutes(&[("a", 10), ("b", 10), ("c", 10)]);
    sequence.delay_s = 180;
    check_runs(&site(), &sequence, &["a 0-10", "b 13-23", "c 26-36"]);
    sequence.delay_s = -120;
    check_runs(&site(), &sequence, &["a 0-10", "b 8-18", "c 16-26"]);
}

#[test]
fn opensprinkler_water_level() {
    let run_ms = |percent| {
        let program = daily(&[("a", 20)]);
        let control = Control { adjust: Percent::new(percent).unwrap(), ..Control::default() };
        lived(&program, &control).run_ms()
    };
    let levels = [0, 1, 50, 100, 250].map(run_ms);
    assert_eq!(levels, [0, 12_000, 10 * MINUTE_MS, 20 * MINUTE_MS, 50 * MINUTE_MS]);
    assert_eq!(Percent::new(251), None);
}

#[test]
fn opensprinkler_run_once() {
    // A set of zones and times that belongs to no program, by a person, outside every hour.
    let mut site = site();
    facts(&mut site, "a").windows.no_water = vec![Window::daily(DayWindow::ALWAYS)];
    check_runs(&site, &minutes(&[("a", 3), ("d", 4)]), &["a 0-3", "d 3-7"]);
    // A program at once, with its own season and adjustment: a person's word goes before its hours.
    let mut program = daily(&[("a", 3), ("d", 4)]);
    program.windows.no_water = vec![Window::daily(DayWindow::ALWAYS)];
    let (control, farm) =
        (Control { adjust: Percent::new(200).unwrap(), ..Control::default() }, FarmState::default());
    let calendar = Calendar { program: &program, control: &control, site: &site, farm: &farm };
    let runs = calendar.timeline_by_hand(&Start::by_hand(start(), date((2026, 11, 24))), start());
    assert_eq!(written(&runs), ["a 0-6", "d 6-14"]);
}

#[test]
fn opensprinkler_rain_delay() {
    let program = daily(&[("a", 20)]);
    let (control, now) = (handled((2026, 11, 24)), at((2026, 11, 24), 6, 0));
    let farm = FarmState { rain_delay_until: Some(now.plus_ms(24 * 60 * MINUTE_MS)), ..FarmState::default() };
    let site = site();
    let calendar = Calendar { program: &program, control: &control, site: &site, farm: &farm };
    let due = calendar.due(now);
    assert_eq!(due.start, None);
    assert_eq!(due.skipped[0].reason, Reason::RainDelay { remaining_s: 24 * 3600 });
    let next = Calendar { control: &due.control, ..calendar }.due(at((2026, 11, 25), 6, 0));
    assert_eq!(next.start.map(|start| start.at), Some(at((2026, 11, 25), 6, 0)));
}

#[test]
fn irrigation_unlimited_cron_like_schedule() {
    // `30 5,17 1-7 3-4 1`: at 05:30 and 17:30 on the first Monday of March and April.
    let mut program = daily(&[("a", 5)]);
    program.days.weekdays = Weekdays::of([Weekday::Monday]);
    program.days.month_days = MonthDays::of(1..=7).unwrap();
    program.days.months = Months::of(3..=4).unwrap();
    program.starts = vec![at_time(5, 30), at_time(17, 30)];
    check_starts(&program, (2026, 1, 1), 365, &["2 05:30", "2 17:30", "6 05:30", "6 17:30"]);
}

#[test]
fn irrigation_unlimited_finish_anchor() {
    let mut program = daily(&[("a", 20), ("b", 40)]);
    program.sequence.delay_s = 300;
    program.starts = vec![StartRule { anchor: Anchor::Finish, ..at_time(6, 0) }];
    check_starts(&program, (2026, 11, 24), 2, &["24 04:55", "25 04:55"]);
    let runs = lived(&program, &Control::default());
    assert_eq!(runs.until(), Some(at((2026, 11, 24), 6, 0)));
}

#[test]
fn irrigation_unlimited_finish_anchor_moves_to_the_next_day() {
    let mut program = daily(&[("a", 120)]);
    program.starts = vec![StartRule { anchor: Anchor::Finish, ..at_time(6, 0) }];
    let site = site();
    let (control, farm) = (Control::default(), FarmState::default());
    let calendar = Calendar { program: &program, control: &control, site: &site, farm: &farm };
    // Made at five in the morning: one hour is left, two are needed.
    let due = calendar.due(at((2026, 11, 24), 5, 0));
    assert_eq!(due.start, None);
    assert_eq!(due.skipped[0].reason, Reason::FinishTooNear { needed_s: 7200, left_s: 3600 });
    let next = Calendar { control: &due.control, ..calendar }.next_start(at((2026, 11, 24), 5, 0));
    assert_eq!(next.map(|start| start.at), Some(at((2026, 11, 25), 4, 0)));
}

#[test]
fn irrigation_unlimited_day_filters() {
    // Weekdays, odd days, months and a part of the year at once.
    let rule = DayRule {
        weekdays: Weekdays::of([Weekday::Tuesday, Weekday::Saturday]),
        parity: Some(Parity::Odd),
        months: Months::of([12, 1]).unwrap(),
        season: YearSpan::new((12, 10), (1, 20)),
        ..DayRule::EVERY_DAY
    };
    check_days(rule, (2026, 12, 1), 62, &["12-15", "12-19", "12-29", "01-05", "01-09", "01-19"]);
}

#[test]
fn irrigation_unlimited_zone_minimum_maximum_threshold() {
    let mut site = site();
    for name in ["a", "b", "c", "d"] {
        let (skip_below_ms, run_ms_min, run_ms_max) = (2 * MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS);
        facts(&mut site, name).limits = RunLimits { skip_below_ms, run_ms_min, run_ms_max };
    }
    let runs = timeline(&minutes(&[("a", 1), ("b", 3), ("c", 10), ("d", 20)]), &conditions(&site), start());
    assert_eq!(written(&runs), ["b 0-5", "c 5-15", "d 15-30"]);
    assert_eq!(runs.skips[0].reason, Reason::BelowThreshold { wanted_s: 60, least_s: 120 });
    assert_eq!(runs.runs[0].notes, [Reason::RunLimited { wanted_s: 180, run_s: 300 }]);
    assert_eq!(runs.runs[1].notes, []);
    assert_eq!(runs.runs[2].notes, [Reason::RunLimited { wanted_s: 1200, run_s: 900 }]);
}

#[test]
fn irrigation_unlimited_sequence_negative_delay() {
    let mut sequence = minutes(&[("a", 10), ("b", 10), ("c", 10)]);
    sequence.steps[0].delay_s = -180;
    sequence.steps[1].delay_s = 60;
    check_runs(&site(), &sequence, &["a 0-10", "b 7-17", "c 18-28"]);
}

#[test]
fn irrigation_unlimited_sequence_and_step_repeats() {
    let mut sequence = minutes(&[("a", 2), ("b", 5)]);
    sequence.steps[0].repeats = 2;
    sequence.steps[0].delay_s = 60;
    sequence.rounds = 2;
    let want = ["a 0-2", "a 3-5", "b 6-11", "a 11-13", "a 14-16", "b 17-22"];
    check_runs(&site(), &sequence, &want);
}

#[test]
fn irrigation_unlimited_same_zone_twice() {
    check_runs(&site(), &minutes(&[("a", 5), ("b", 3), ("a", 4)]), &["a 0-5", "b 5-8", "a 8-12"]);
}

#[test]
fn irrigation_unlimited_disabled_step() {
    let mut sequence = minutes(&[("a", 5), ("b", 3), ("c", 4)]);
    sequence.steps[1].is_enabled = false;
    check_runs(&site(), &sequence, &["a 0-5", "c 5-9"]);
}

#[test]
fn irrigation_unlimited_proportional_rescale() {
    let site = site();
    let sequence = minutes(&[("a", 10), ("b", 20), ("c", 30)]);
    let scale = Scale::TotalMs(30 * MINUTE_MS);
    let runs = timeline(&sequence, &Conditions { scale, ..conditions(&site) }, start());
    assert_eq!(written(&runs), ["a 0-5", "b 5-15", "c 15-30"]);
    let scale = Scale::TotalMs(100_000);
    let runs = timeline(&sequence, &Conditions { scale, ..conditions(&site) }, start());
    let shares: Vec<u64> = runs.runs.iter().map(|run| run.run_ms()).collect();
    assert_eq!(shares, [16_666, 33_334, 50_000], "together what was asked for, to the millisecond");
}

#[test]
fn irrigation_unlimited_suspend() {
    let program = daily(&[("a", 20), ("b", 20)]);
    let site = site();
    let mut farm = FarmState::default();
    let mut control = handled((2026, 11, 24));
    control.suspended_until = Some(at((2026, 11, 24), 12, 0));
    farm.zones_suspended_until.insert(zone("a"), at((2026, 11, 26), 0, 0));
    // The program until Tuesday noon, zone a until Thursday.
    let told = told(&program, &control, &site, &farm, (2026, 11, 24), 3);
    assert_eq!(told, ["24 06:00 suspended", "25 06:00 b 0-20", "26 06:00 a 0-20, b 20-40"]);
}

#[test]
fn irrigation_unlimited_skip() {
    let (program, site, farm) = (daily(&[("a", 20)]), site(), FarmState::default());
    let control = Control { skip_next: 2, ..handled((2026, 11, 24)) };
    let told = told(&program, &control, &site, &farm, (2026, 11, 24), 3);
    assert_eq!(told, ["24 06:00 skipped_by_person", "25 06:00 skipped_by_person", "26 06:00 a 0-20"]);
}

#[test]
fn irrigation_unlimited_adjust() {
    let mut program = daily(&[("a", 20)]);
    let mut months = [Percent::FULL; 12];
    months[11] = Percent::new(50).unwrap();
    program.season = Season::ByMonth(months);
    let (site, farm) = (site(), FarmState::default());
    let mut control = handled((2026, 11, 30));
    // Set twice: the second replaces the first; December is on top, from its first day on.
    control.adjust = Percent::new(80).unwrap();
    control.adjust = Percent::new(150).unwrap();
    let told = told(&program, &control, &site, &farm, (2026, 11, 30), 2);
    assert_eq!(told, ["30 06:00 a 0-30", "1 06:00 a 0-15"]);
    // A start that has its runs keeps them.
    let before = lived(&program, &control);
    control.adjust = Percent::FULL;
    assert_eq!((before.run_ms(), lived(&program, &control).run_ms()), (30 * MINUTE_MS, 20 * MINUTE_MS));
}

#[test]
fn irrigation_unlimited_enable_and_disable() {
    let (program, site, farm) = (daily(&[("a", 20)]), site(), FarmState::default());
    let control = Control { is_enabled: false, ..handled((2026, 11, 24)) };
    let told = told(&program, &control, &site, &farm, (2026, 11, 24), 1);
    assert_eq!(told, ["24 06:00 program_disabled"]);
}

#[test]
fn irrigation_unlimited_load_schedule() {
    // A program is replaced between two starts; what it remembers stays, so that the old start does not come again.
    let (site, farm) = (site(), FarmState::default());
    let old = daily(&[("a", 20)]);
    let control = handled((2026, 11, 24));
    let calendar = Calendar { program: &old, control: &control, site: &site, farm: &farm };
    let due = calendar.due(at((2026, 11, 24), 6, 0));
    assert!(due.start.is_some());
    let mut new = daily(&[("b", 10)]);
    new.starts = vec![at_time(5, 30), at_time(6, 30)];
    let told = told(&new, &due.control, &site, &farm, (2026, 11, 24), 2);
    assert_eq!(told, ["24 06:30 b 0-10", "25 05:30 b 0-10", "25 06:30 b 0-10"]);
}

#[test]
fn irrigation_unlimited_replay_with_expected_results() {
    let mut program = daily(&[("a", 30), ("b", 20), ("c", 10)]);
    program.days.every = EveryDays::new(2, date((2026, 11, 25)));
    program.starts = vec![at_time(5, 0), StartRule { anchor: Anchor::Finish, ..at_time(19, 0) }];
    program.sequence.order.direction = Direction::Alternating;
    program.windows.allowed = vec![window(4, 6), window(16, 20)];
    let (mut site, farm) = (site(), FarmState::default());
    facts(&mut site, "a").cycle = Cycle::new(15 * MINUTE_MS, 20 * MINUTE_MS);
    let control = Control { skip_next: 1, ..handled((2026, 11, 24)) };
    let want = [
        "25 05:00 skipped_by_person",
        "25 17:40 a 0-15, b 15-35, c 35-45, a 45-60",
        // The second portion of a would begin at 06:05, when the hours are over.
        "27 05:00 c 0-10, b 10-30, a 30-45",
        "27 17:40 a 0-15, b 15-35, c 35-45, a 45-60",
    ];
    let told = told(&program, &control, &site, &farm, (2026, 11, 24), 5);
    // Forward takes 60 minutes, reversed 80: the anchor is kept on the longer side.
    assert_eq!(told, want);
}

#[test]
fn neverdry_eco_cycles() {
    let mut site = site();
    for name in ["a", "b"] {
        facts(&mut site, name).cycle = Cycle::new(8 * MINUTE_MS, 10 * MINUTE_MS);
    }
    let sequence = minutes(&[("a", 24), ("b", 16), ("c", 5)]);
    let want = ["a 0-8", "b 8-16", "c 16-21", "a 21-29", "b 29-37", "a 39-47"];
    check_runs(&site, &sequence, &want);
}

#[test]
fn hunter_no_water_windows() {
    let mut program = daily(&[("a", 60), ("b", 60)]);
    program.windows.no_water = vec![window(7, 9)];
    let runs = |crossing| {
        let program = Program { crossing, ..program.clone() };
        let runs = lived(&program, &Control::default());
        let told =
            runs.runs.iter().flat_map(|run| &run.notes).chain(runs.skips.iter().map(|skip| &skip.reason));
        (written(&runs), told.map(Reason::code).collect::<Vec<_>>())
    };
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    // What follows goes on when they are over.
    for crossing in [Crossing::Cut, Crossing::Skip, Crossing::Move] {
        assert_eq!(runs(crossing), (texts(&["a 0-60", "b 180-240"]), vec!["run_moved"]));
    }
    program.windows.no_water =
        vec![Window { span: DayWindow::new(390, 540).unwrap(), weekdays: Weekdays::of([Weekday::Tuesday]) }];
    let program = Program { crossing: Crossing::Cut, ..program };
    let cut = lived(&program, &Control::default());
    assert_eq!(written(&cut), ["a 0-30", "b 180-240"]);
    assert_eq!(cut.runs[0].notes, [Reason::RunCut { wanted_s: 3600, run_s: 1800 }]);
}

fn zone(name: &str) -> ZoneId {
    name.parse().unwrap()
}

fn date((year, month, day): (i32, u8, u8)) -> Date {
    Date::new(year, month, day).unwrap()
}

fn at(day: (i32, u8, u8), hour: u64, minute: u64) -> UnixMs {
    date(day).begins_at(OFFSET_MIN).plus_ms((hour * 60 + minute) * MINUTE_MS)
}

/// The start of runs: a Tuesday, 06:00.
fn start() -> UnixMs {
    at((2026, 11, 24), 6, 0)
}

fn at_time(hour: u16, minute: u16) -> StartRule {
    StartRule::at(MinuteOfDay::new(hour, minute).unwrap())
}

fn window(from_hour: u16, to_hour: u16) -> Window {
    Window::daily(DayWindow::new(from_hour * 60, to_hour * 60).unwrap())
}

/// Zones `a` to `d` near Sơn La: 100 l/h on 10 m² with 10 plants.
fn site() -> Site {
    let facts = ZoneFacts {
        source: "pump".parse().unwrap(),
        flow_ml_h: Some(100_000),
        area_dm2: Some(1000),
        n_plants: Some(10),
        limits: RunLimits { skip_below_ms: 0, run_ms_min: 0, run_ms_max: 120 * MINUTE_MS },
        rest_ms: 0,
        cycle: None,
        group: Group::default(),
        windows: Windows::default(),
        ignores_rain_delay: false,
    };
    Site {
        utc_offset_min: OFFSET_MIN,
        place: Place::new(21.33, 103.92),
        zones: ["a", "b", "c", "d"].map(|name| (zone(name), facts.clone())).into(),
        ..Site::default()
    }
}

fn facts<'a>(site: &'a mut Site, name: &str) -> &'a mut ZoneFacts {
    site.zones.get_mut(&zone(name)).unwrap()
}

fn minutes(steps: &[(&str, u32)]) -> Sequence {
    Sequence::of(
        steps.iter().map(|(name, minutes)| Step::of(zone(name), Target::minutes(*minutes))).collect(),
    )
}

/// Every day at 06:00.
fn daily(steps: &[(&str, u32)]) -> Program {
    Program {
        days: DayRule::EVERY_DAY,
        starts: vec![at_time(6, 0)],
        sequence: minutes(steps),
        total_ms: None,
        season: Season::NONE,
        windows: Windows::default(),
        crossing: Crossing::Cut,
        catch_up_min: 10,
    }
}

/// A control that has dealt with everything before a day.
fn handled(day: (i32, u8, u8)) -> Control {
    Control { handled_until: Some(at(day, 0, 0)), ..Control::default() }
}

fn conditions(site: &Site) -> Conditions<'_> {
    Conditions {
        site,
        needs: &NO_NEEDS,
        lacks: None,
        scale: Scale::Level(Level::FULL),
        n_runs: 0,
        bars: None,
    }
}

fn written(timeline: &Timeline) -> Vec<String> {
    let Some(first) = timeline.runs.first().map(|run| run.from) else { return Vec::new() };
    let minute = |moment: UnixMs| moment.since_ms(first) / MINUTE_MS;
    let runs = timeline.runs.iter();
    runs.map(|run| format!("{} {}-{}", run.zone, minute(run.from), minute(run.until))).collect()
}

/// The runs of a program's next start from 24 November on.
fn lived(program: &Program, control: &Control) -> Timeline {
    let (site, farm) = (site(), FarmState::default());
    let calendar = Calendar { program, control, site: &site, farm: &farm };
    let start = calendar.next_start(at((2026, 11, 24), 0, 0)).unwrap();
    calendar.timeline(&start, start.at)
}

fn moment(at: UnixMs) -> String {
    let day = Date::of(at, OFFSET_MIN);
    let minutes = at.since_ms(day.begins_at(OFFSET_MIN)) / MINUTE_MS;
    format!("{} {:02}:{:02}", day.day(), minutes / 60, minutes % 60)
}

/// A preview as text: each start with its runs, or with the code of the reason.
fn told(
    program: &Program,
    control: &Control,
    site: &Site,
    farm: &FarmState,
    from: (i32, u8, u8),
    n_days: u16,
) -> Vec<String> {
    let id: ProgramId = "p".parse().unwrap();
    let programs = BTreeMap::from([(id.clone(), program.clone())]);
    let controls = BTreeMap::from([(id, control.clone())]);
    let preview = next_days(&programs, &controls, site, farm, at(from, 0, 0), n_days);
    let told = preview.starts.iter().map(|planned| {
        let outcome = match &planned.outcome {
            Outcome::Runs(timeline) => written(timeline).join(", "),
            Outcome::Skipped(reason) => reason.code().to_owned(),
        };
        format!("{} {outcome}", moment(planned.start.at))
    });
    told.collect()
}

/// The days, as month and day, on which a rule starts a program within `n_days` days.
fn check_days(days: DayRule, from: (i32, u8, u8), n_days: u64, want: &[&str]) {
    let program = Program { days, ..daily(&[("a", 5)]) };
    let (control, site, farm) = (Control::default(), site(), FarmState::default());
    let calendar = Calendar { program: &program, control: &control, site: &site, farm: &farm };
    let begin = at(from, 0, 0);
    let starts = calendar.starts(begin, begin.plus_ms(n_days * 24 * 60 * MINUTE_MS));
    let found: Vec<_> =
        starts.map(|start| format!("{:02}-{:02}", start.day.month(), start.day.day())).collect();
    assert_eq!(found, want);
}

/// The starts of a program within `n_days` days.
fn check_starts(program: &Program, from: (i32, u8, u8), n_days: u64, want: &[&str]) {
    let (control, site, farm) = (Control::default(), site(), FarmState::default());
    let calendar = Calendar { program, control: &control, site: &site, farm: &farm };
    let begin = at(from, 0, 0);
    let starts = calendar.starts(begin, begin.plus_ms(n_days * 24 * 60 * MINUTE_MS));
    assert_eq!(starts.map(|start| moment(start.at)).collect::<Vec<_>>(), want);
}

fn check_runs(site: &Site, sequence: &Sequence, want: &[&str]) {
    let timeline = timeline(sequence, &conditions(site), start());
    assert_eq!(written(&timeline), want);
    assert!(timeline.runs.first().is_none_or(|run| run.from == start()));
}
