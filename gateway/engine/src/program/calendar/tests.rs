//! Cases of starts: days, midnights, anchors, what is due after an absence or a jump of the clock.

use super::super::control::{Percent, Season};
use super::super::day_rule::DayRule;
use super::super::fixtures::{MINUTE_MS, OFFSET_MIN, at, at_hour, date, program, site, zone, zone_facts};
use super::super::sequence::{Direction, Order};
use super::super::site::Cycle;
use super::super::start::{Clock, Repeat, StartRule, SunOffset};
use super::super::timeline::PlannedRun;
use super::super::windows::{Crossing, Window, Windows};
use super::super::{MonthDays, Program, Weekday, Weekdays};
use super::*;
use crate::plan::DayWindow;

/// A program and all that it needs, so that tests can change one thing at a time.
struct Farm {
    program: Program,
    control: Control,
    site: Site,
    state: FarmState,
}

impl Farm {
    fn new(program: Program) -> Self {
        Self { program, control: Control::default(), site: site(), state: FarmState::default() }
    }

    fn calendar(&self) -> Calendar<'_> {
        Calendar { program: &self.program, control: &self.control, site: &self.site, farm: &self.state }
    }

    /// Asks at a moment and keeps what is remembered; the start, and the codes of what is skipped.
    fn due(&mut self, now: UnixMs) -> (Option<String>, Vec<&'static str>) {
        let due = self.calendar().due(now);
        self.control = due.control;
        let codes = due.skipped.iter().map(|skip| skip.reason.code()).collect();
        (due.start.map(|start| written(start.at)), codes)
    }
}

/// A moment as day of the month and local time.
fn written(at: UnixMs) -> String {
    let day = Date::of(at, OFFSET_MIN);
    let minutes = at.since_ms(day.begins_at(OFFSET_MIN)) / MINUTE_MS;
    format!("{} {:02}:{:02}", day.day(), minutes / 60, minutes % 60)
}

fn starts(farm: &Farm, from: UnixMs, to: UnixMs) -> Vec<String> {
    farm.calendar().starts(from, to).map(|start| written(start.at)).collect()
}

fn none(codes: &[&'static str]) -> (Option<String>, Vec<&'static str>) {
    (None, codes.to_vec())
}

fn started(at: &str) -> (Option<String>, Vec<&'static str>) {
    (Some(at.to_owned()), vec![])
}

#[test]
fn starts_of_several_rules_are_merged_in_order() {
    let mut farm = Farm::new(program(&[("a", 10)]));
    farm.program.starts = vec![at_hour(18, 0), at_hour(6, 0), at_hour(18, 0)];
    assert_eq!(starts(&farm, at(24, 0, 0), at(26, 0, 0)), ["24 06:00", "24 18:00", "25 06:00", "25 18:00"]);
    assert_eq!(starts(&farm, at(24, 6, 0), at(24, 18, 0)), ["24 06:00"], "from is included, to is not");
    assert_eq!(starts(&farm, at(25, 0, 0), at(24, 0, 0)), [""; 0]);
}

#[test]
fn a_start_belongs_to_its_day_over_midnight() {
    let mut farm = Farm::new(program(&[("a", 10)]));
    farm.program.days.weekdays = Weekdays::of([Weekday::Tuesday]);
    farm.program.starts = vec![StartRule { repeat: Repeat::new(60, 3), ..at_hour(22, 30) }];
    // 24 November 2026 is a Tuesday.
    let want = ["24 22:30", "24 23:30", "25 00:30", "25 01:30"];
    assert_eq!(starts(&farm, at(20, 0, 0), at(30, 0, 0)), want);
    assert_eq!(starts(&farm, at(25, 0, 0), at(30, 0, 0)), want[2..]);
    assert!(farm.calendar().starts(at(25, 0, 0), at(26, 0, 0)).all(|start| start.day == date(2026, 11, 24)));
}

#[test]
fn a_finish_anchor_starts_by_the_length_earlier() {
    let mut farm = Farm::new(program(&[("a", 60), ("b", 30)]));
    farm.program.starts = vec![StartRule { anchor: Anchor::Finish, ..at_hour(1, 0) }];
    assert_eq!(starts(&farm, at(24, 0, 0), at(25, 0, 0)), ["24 23:30"]);
    farm.control.adjust = Percent::new(200).unwrap();
    assert_eq!(starts(&farm, at(24, 0, 0), at(25, 0, 0)), ["24 22:00"]);
    let mut months = [Percent::FULL; 12];
    months[10] = Percent::new(50).unwrap();
    farm.program.season = Season::ByMonth(months);
    assert_eq!(starts(&farm, at(24, 0, 0), at(25, 0, 0)), ["24 23:30"]);
    // The last start of November is for 1 December, at December's scale.
    assert_eq!(starts(&farm, at(30, 0, 0), at(30, 24, 0)), ["30 22:00"]);
    // Finished by sunrise (06:17 at Sơn La on that day, by PyEphem).
    farm.program.season = Season::NONE;
    farm.control.adjust = Percent::FULL;
    let sunrise = Clock::Sunrise(SunOffset::default());
    farm.program.starts = vec![StartRule { clock: sunrise, anchor: Anchor::Finish, repeat: None }];
    let found = farm.calendar().next_start(at(24, 0, 0)).unwrap();
    assert!(found.finish_at.unwrap().0.abs_diff(at(24, 6, 20).0) <= 3 * MINUTE_MS, "{}", written(found.at));
    assert_eq!(found.finish_at.unwrap().since_ms(found.at), 90 * MINUTE_MS);
}

#[test]
fn an_alternating_order_finishes_at_its_longer_side() {
    let mut farm = Farm::new(program(&[("a", 60), ("b", 30)]));
    farm.program.sequence.order = Order { direction: Direction::Alternating, ..Order::default() };
    farm.program.sequence.steps[1].delay_s = -1800;
    // b then a overlap, a then b do not.
    assert_eq!(farm.calendar().span_ms(date(2026, 11, 24)), 90 * MINUTE_MS);
}

#[test]
fn the_next_start_may_be_years_away() {
    let mut farm = Farm::new(program(&[("a", 10)]));
    farm.program.days = DayRule {
        months: super::super::Months::of([2]).unwrap(),
        month_days: MonthDays::of([29]).unwrap(),
        ..DayRule::EVERY_DAY
    };
    let next = farm.calendar().next_start(at(24, 0, 0)).unwrap();
    assert_eq!(next.day, date(2028, 2, 29));
    farm.program.days.once = Some(date(2020, 1, 1));
    assert_eq!(farm.calendar().next_start(at(24, 0, 0)), None);
}

#[test]
fn a_start_is_due_once() {
    let mut farm = Farm::new(program(&[("a", 10)]));
    assert_eq!(farm.due(at(24, 5, 0)), none(&[]));
    assert_eq!(farm.due(at(24, 5, 59)), none(&[]));
    assert_eq!(farm.due(at(24, 6, 0)), started("24 06:00"));
    assert_eq!(farm.due(at(24, 6, 0)), none(&[]));
    assert_eq!(farm.due(at(24, 6, 1)), none(&[]));
    assert_eq!(farm.due(at(25, 6, 10)), started("25 06:00"));
    assert_eq!(farm.due(at(26, 6, 11)), none(&["missed_start"]));
}

#[test]
fn after_an_absence_there_is_one_start_at_most() {
    let mut farm = Farm::new(program(&[("a", 10)]));
    farm.program.starts = vec![StartRule { repeat: Repeat::new(5, 3), ..at_hour(6, 0) }];
    farm.due(at(20, 0, 0));
    // 20 to 23 whole, and today 06:00, 06:05; 06:10 is made up for.
    let due = farm.calendar().due(at(24, 6, 12));
    assert_eq!(due.start.map(|start| written(start.at)), Some("24 06:10".to_owned()));
    assert_eq!(due.skipped.len(), 4 * 4 + 2);
    let last = Reason::MissedStart { late_s: 7 * 60, catch_up_s: 600 };
    assert_eq!(due.skipped.last().unwrap().reason, last, "late by less, but a newer one took its place");
    // An absence of a year is told for a week.
    farm.control.handled_until = Some(UnixMs(at(24, 12, 0).0 - 365 * DAY_MS));
    assert_eq!(farm.calendar().due(at(24, 12, 0)).skipped.len(), 7 * 4);
}

#[test]
fn a_clock_that_steps_back_starts_nothing_twice() {
    let mut farm = Farm::new(program(&[("a", 10)]));
    farm.due(at(24, 5, 0));
    assert_eq!(farm.due(at(24, 6, 0)), started("24 06:00"));
    assert_eq!(farm.due(at(24, 5, 30)), none(&[]));
    assert_eq!(farm.due(at(24, 6, 0)), none(&[]));
    assert_eq!(farm.due(at(25, 6, 0)), started("25 06:00"));
    // The clock was a year ahead, and is mended: the memory of that year does not hold the program up.
    farm.due(UnixMs(at(25, 6, 30).0 + 365 * DAY_MS));
    assert_eq!(farm.due(at(25, 7, 0)), none(&[]));
    assert_eq!(farm.due(at(26, 6, 0)), started("26 06:00"));
}

#[test]
fn a_leap_ahead_and_back_loses_no_start() {
    let mut farm = Farm::new(program(&[("a", 10)]));
    farm.program.starts = vec![at_hour(6, 0), StartRule { anchor: Anchor::Finish, ..at_hour(12, 10) }];
    farm.due(at(24, 5, 0));
    assert_eq!(farm.due(at(25, 5, 0)), none(&["missed_start", "missed_start"]));
    assert_eq!(farm.due(at(24, 5, 1)), none(&[]));
    assert_eq!(farm.due(at(24, 6, 0)), started("24 06:00"));
    assert_eq!(farm.due(at(24, 12, 0)), started("24 12:00"));
    // A skip that was used up is not given back.
    farm.control.skip_next = 1;
    assert_eq!(farm.due(at(25, 6, 0)), none(&["skipped_by_person"]));
    assert_eq!(farm.due(at(25, 5, 59)), none(&[]));
    assert_eq!(farm.due(at(25, 6, 0)), none(&[]));
    assert_eq!(farm.due(at(25, 12, 0)), started("25 12:00"));
    // A whole day lived ahead is another day's: the true one has its starts.
    assert_eq!(farm.due(at(26, 6, 0)), started("26 06:00"));
    assert_eq!(farm.due(at(25, 5, 0)), none(&[]));
    assert_eq!(farm.due(at(25, 6, 0)), started("25 06:00"));
}

#[test]
fn a_finish_that_moves_starts_neither_twice_nor_never_without_a_word() {
    let mut farm = Farm::new(program(&[("a", 60), ("b", 60)]));
    farm.program.starts = vec![StartRule { anchor: Anchor::Finish, ..at_hour(6, 0) }];
    farm.due(at(24, 0, 0));
    assert_eq!(farm.due(at(24, 4, 0)), started("24 04:00"));
    // Shorter: its start would be at 05:00 now, but it is under way.
    farm.control.adjust = Percent::new(50).unwrap();
    let next = farm.calendar().next_start(at(24, 4, 30)).unwrap();
    assert_eq!(written(next.at), "25 05:00", "nobody waits for the one that is served");
    assert_eq!(farm.due(at(24, 5, 0)), none(&[]));
    // Longer on the next day, an hour too late for that: it waits for the day after, and says so, once.
    farm.control.adjust = Percent::FULL;
    assert_eq!(farm.due(at(25, 3, 0)), none(&[]));
    farm.control.adjust = Percent::new(200).unwrap();
    let due = farm.calendar().due(at(25, 3, 1));
    assert_eq!(due.start, None);
    // handled until 03:00 and a millisecond
    assert_eq!(due.skipped[0].reason, Reason::FinishTooNear { needed_s: 4 * 3600, left_s: 3 * 3600 - 1 });
    farm.control = due.control;
    assert_eq!(farm.due(at(25, 3, 2)), none(&[]));
    // Short enough again before its start: the night is not lost.
    farm.control.adjust = Percent::FULL;
    assert_eq!(farm.due(at(25, 3, 59)), none(&[]));
    assert_eq!(farm.due(at(25, 4, 0)), started("25 04:00"));
    // Or too late for it: the next one.
    farm.control.adjust = Percent::new(200).unwrap();
    assert_eq!(farm.due(at(26, 2, 0)), started("26 02:00"));
}

#[test]
fn a_new_program_that_cannot_finish_in_time_waits_for_tomorrow() {
    let mut farm = Farm::new(program(&[("a", 60), ("b", 60)]));
    farm.program.starts = vec![StartRule { anchor: Anchor::Finish, ..at_hour(6, 0) }];
    assert_eq!(farm.due(at(24, 5, 0)), none(&["finish_too_near"]));
    assert_eq!(farm.due(at(25, 4, 0)), started("25 04:00"));
}

#[test]
fn a_program_that_grew_longer_than_a_day_is_told_once_for_each_finish() {
    let mut farm = Farm::new(program(&[("a", 400), ("b", 400)]));
    farm.site.zones.values_mut().for_each(|zone| zone.limits.run_ms_max = 24 * 60 * MINUTE_MS);
    farm.program.starts = vec![StartRule { anchor: Anchor::Finish, ..at_hour(6, 0) }];
    farm.due(at(24, 6, 1));
    farm.control.adjust = Percent::new(250).unwrap();
    // It is told when it would start as planned, 13 h 20 min before.
    let next = farm.calendar().next_start(at(24, 6, 1)).unwrap();
    assert_eq!((written(next.at), next.finish_at), ("24 16:40".to_owned(), Some(at(25, 6, 0))));
    assert_eq!(farm.due(at(24, 16, 39)), none(&[]));
    let due = farm.calendar().due(at(24, 16, 40));
    assert_eq!(due.start, None);
    assert_eq!(due.skipped[0].reason, Reason::FinishTooLong { needed_s: 2000 * 60 });
    farm.control = due.control;
    assert_eq!(farm.due(at(24, 16, 41)), none(&[]));
    // It is set while the start as planned is past: told at once, and once.
    assert_eq!(farm.due(at(25, 16, 40)), none(&["finish_too_long"]));
    farm.control.adjust = Percent::FULL;
    assert_eq!(farm.due(at(25, 20, 0)), none(&[]));
    assert_eq!(farm.due(at(26, 16, 40)), started("26 16:40"));
}

/// Hours from and to, minutes of the day.
type Spans = &'static [(u16, u16)];

/// Minutes of each step in zones `a`, `b`, `c`, `d`, `e`, `f`, and when a program with these hours starts and ends that is to
/// be finished at 06:00.
fn finished(minutes: u32, (allowed, no_water): (Spans, Spans), crossing: Crossing) -> (String, Vec<String>) {
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut farm = Farm::new(program(&names.map(|name| (name, minutes))));
    for name in &names[4..] {
        farm.site.zones.insert(zone(name), zone_facts("pump"));
    }
    let windows = |list: Spans| -> Vec<Window> {
        list.iter().map(|(from, to)| Window::daily(DayWindow::new(*from, *to).unwrap())).collect()
    };
    farm.program.windows = Windows { allowed: windows(allowed), no_water: windows(no_water) };
    farm.program.crossing = crossing;
    farm.program.starts = vec![StartRule { anchor: Anchor::Finish, ..at_hour(6, 0) }];
    let start = farm.calendar().next_start(at(24, 6, 1)).unwrap();
    let timeline = farm.calendar().timeline(&start, start.at);
    let run = |run: &PlannedRun| {
        let day = Date::of(run.from, OFFSET_MIN).begins_at(OFFSET_MIN);
        let minute = run.from.since_ms(day) / MINUTE_MS;
        format!("{} {:02}:{:02} {}", run.zone, minute / 60, minute % 60, run.run_ms() / MINUTE_MS)
    };
    let skips = timeline.skips.iter().map(|skip| {
        assert!(skip.short_ms > 0);
        format!("{} {}", skip.zone, skip.reason.code())
    });
    (written(start.at), timeline.runs.iter().map(run).chain(skips).collect())
}

#[test]
fn a_finish_within_hours_begins_when_they_open_at_the_earliest() {
    let night: Spans = &[(20 * 60, 6 * 60)];
    let (start, runs) = finished(115, (night, &[]), Crossing::Cut);
    assert_eq!(start, "24 20:00", "eleven and a half hours do not fit into ten");
    let want = ["a 20:00 115", "b 21:55 115", "c 23:50 115", "d 01:45 115", "e 03:40 115", "f 05:35 25"];
    assert_eq!(runs, want);
    let (start, runs) = finished(115, (night, &[]), Crossing::Skip);
    assert_eq!((start.as_str(), runs.len()), ("24 20:00", 6));
    assert_eq!(runs[5], "f outside_window");
    // What fits is over in time.
    assert_eq!(finished(90, (night, &[]), Crossing::Cut).0, "24 21:00");
    // Hours that closed before the finish.
    assert_eq!(finished(60, (&[(20 * 60, 5 * 60)], &[]), Crossing::Cut).0, "24 23:00");
    // Hours that go on after it do not make the program later.
    assert_eq!(finished(60, (&[(20 * 60, 9 * 60)], &[]), Crossing::Cut).0, "25 00:00");
}

#[test]
fn a_finish_begins_earlier_by_the_hours_without_water() {
    let gap: Spans = &[(2 * 60, 3 * 60)];
    let want = ["a 23:00 60", "b 00:00 60", "c 01:00 60", "d 03:00 60", "e 04:00 60", "f 05:00 60"];
    for crossing in [Crossing::Cut, Crossing::Move, Crossing::Skip] {
        let (start, runs) = finished(60, (&[], gap), crossing);
        assert_eq!((start.as_str(), runs), ("24 23:00", want.map(str::to_owned).to_vec()), "{crossing:?}");
    }
    // Where runs would meet the closing, it begins so much earlier that none is cut.
    let (start, runs) = finished(50, (&[], &[(2 * 60, 2 * 60 + 20)]), Crossing::Cut);
    assert_eq!((start.as_str(), runs[1].as_str()), ("25 00:20", "b 01:10 50"));
    assert_eq!(runs[5], "f 04:50 50");
}

#[test]
fn a_finish_begins_at_the_latest_moment_from_which_all_is_given() {
    let hours = |from_min, to_min| vec![Window::daily(DayWindow::new(from_min, to_min).unwrap())];
    let starts = |steps: &[(&str, u32)], finish: (u16, u16), set: &dyn Fn(&mut Farm)| {
        let mut farm = Farm::new(program(steps));
        farm.program.starts = vec![StartRule { anchor: Anchor::Finish, ..at_hour(finish.0, finish.1) }];
        set(&mut farm);
        [Crossing::Cut, Crossing::Move, Crossing::Skip].map(|crossing| {
            farm.program.crossing = crossing;
            let start = farm.calendar().next_start(at(24, 0, 0)).unwrap();
            let timeline = farm.calendar().timeline(&start, start.at);
            assert!(timeline.until().unwrap() <= start.finish_at.unwrap(), "{crossing:?} {timeline:?}");
            assert_eq!(timeline.skips, [], "{crossing:?}");
            let wanted_ms: u64 = steps.iter().map(|(_, minutes)| u64::from(*minutes) * MINUTE_MS).sum();
            assert_eq!(timeline.run_ms(), wanted_ms, "{crossing:?}");
            let later = farm.calendar().timeline(&start, start.at.plus_ms(5 * MINUTE_MS));
            let is_all = later.run_ms() == wanted_ms && later.until().unwrap() <= start.finish_at.unwrap();
            assert!(!is_all, "{crossing:?}: no later than needed than {}", written(start.at));
            written(start.at)
        })
    };
    // Five minutes too much for the time after the closing: before it, though that is three hours long.
    let closed = |farm: &mut Farm| farm.program.windows.no_water = hours(17 * 60, 20 * 60 + 10);
    assert_eq!(starts(&[("a", 40)], (20, 45), &closed), ["24 16:20"; 3]);
    assert_eq!(starts(&[("a", 35)], (20, 45), &closed), ["24 20:10"; 3]);
    // Hours of the second zone that close an hour before the end: no more than the two need.
    let second = |farm: &mut Farm| {
        farm.site.zones.get_mut(&zone("b")).unwrap().windows.no_water = hours(17 * 60, 22 * 60);
    };
    assert_eq!(starts(&[("a", 40), ("b", 9)], (18, 0), &second), ["24 16:11"; 3]);
    // The first zone may run after its closing or before it, the second in one gap only.
    let gaps = |farm: &mut Farm| {
        farm.site.zones.get_mut(&zone("b")).unwrap().windows.allowed = hours(15 * 60, 15 * 60 + 30);
    };
    assert_eq!(starts(&[("a", 40), ("b", 30), ("c", 5)], (18, 0), &gaps)[1], "24 14:20");
    // More portions than tries: no five minutes later would do.
    let many = |farm: &mut Farm| {
        farm.program.windows.no_water = hours(10 * 60, 15 * 60);
        farm.site.zones.get_mut(&zone("a")).unwrap().cycle = Cycle::new(MINUTE_MS, 0);
    };
    let found = starts(&[("b", 119), ("c", 119), ("a", 119)], (15, 5), &many);
    assert!(
        found.iter().all(|start| start.as_str() > "24 04:00" && start.as_str() < "24 04:10"),
        "{found:?}"
    );
}

#[test]
fn pauses_and_skips_are_told_at_the_start() {
    let mut farm = Farm::new(program(&[("a", 10)]));
    farm.due(at(23, 0, 0));
    farm.state.rain_delay_until = Some(at(24, 0, 0));
    assert_eq!(farm.due(at(23, 6, 0)), none(&["rain_delay"]));
    farm.control.skip_next = 1;
    assert_eq!(farm.due(at(24, 6, 0)), none(&["skipped_by_person"]));
    farm.control.suspended_until = Some(at(25, 6, 1));
    assert_eq!(farm.due(at(25, 6, 0)), none(&["suspended"]));
    farm.control.busy_until = Some(at(26, 7, 0));
    assert_eq!(farm.due(at(26, 6, 0)), none(&["program_busy"]));
    farm.control.is_enabled = false;
    assert_eq!(farm.due(at(27, 6, 0)), none(&["program_disabled"]));
    farm.control.is_enabled = true;
    assert_eq!(farm.due(at(28, 6, 0)), started("28 06:00"));
    assert_eq!(farm.control.n_runs, 1);
}

#[test]
fn the_ends_of_time_are_ordinary() {
    let farm = Farm::new(program(&[("a", 10)]));
    for now in [UnixMs(i64::MIN), UnixMs(0), UnixMs(i64::MAX)] {
        let due = farm.calendar().due(now);
        assert_eq!(due.start, None, "{now:?}");
    }
    assert_eq!(farm.calendar().starts(UnixMs(i64::MIN), UnixMs(i64::MAX)).take(2).count(), 2);
}
