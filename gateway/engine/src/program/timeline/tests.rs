//! Cases of placing runs: lines, delays, soaks, rounds, scales, hours.

use super::super::amount::Target;
use super::super::control::Percent;
use super::super::fixtures::{MINUTE_MS, at, minutes_of, site, zone};
use super::super::site::{Cycle, RunLimits};
use super::super::windows::Window;
use super::*;
use crate::plan::DayWindow;

const NEVER: UnixMs = UnixMs(i64::MAX);

static NO_NEEDS: BTreeMap<ZoneId, u32> = BTreeMap::new();

fn by_hand(site: &Site) -> Conditions<'_> {
    Conditions {
        site,
        needs: &NO_NEEDS,
        lacks: None,
        scale: Scale::Level(Level::FULL),
        n_runs: 0,
        bars: None,
    }
}

fn start() -> UnixMs {
    at(24, 6, 0)
}

/// The runs as `zone from-until`, in minutes after the start.
fn written(timeline: &Timeline) -> Vec<String> {
    let minute = |moment: UnixMs| moment.since_ms(start()) / MINUTE_MS;
    let run = |run: &PlannedRun| format!("{} {}-{}", run.zone, minute(run.from), minute(run.until));
    timeline.runs.iter().map(run).collect()
}

fn codes(timeline: &Timeline) -> Vec<(usize, &'static str)> {
    timeline.skips.iter().map(|skip| (skip.step_idx, skip.reason.code())).collect()
}

fn check(site: &Site, sequence: &Sequence, want: &[&str]) {
    assert_eq!(written(&timeline(sequence, &by_hand(site), start())), want);
}

#[test]
fn steps_follow_each_other_with_their_delays() {
    let site = site();
    let mut sequence = minutes_of(&[("a", 10), ("b", 5), ("c", 20)]);
    check(&site, &sequence, &["a 0-10", "b 10-15", "c 15-35"]);
    sequence.delay_s = 120;
    check(&site, &sequence, &["a 0-10", "b 12-17", "c 19-39"]);
    sequence.steps[0].delay_s = 180;
    check(&site, &sequence, &["a 0-10", "b 15-20", "c 22-42"]);
    sequence.delay_s = 0;
    sequence.steps[0].delay_s = -240;
    check(&site, &sequence, &["a 0-10", "b 6-11", "c 11-31"]);
    // No overlap is longer than the run: order stays.
    sequence.steps[0].delay_s = -3600;
    check(&site, &sequence, &["a 0-10", "b 0-5", "c 10-30"]);
}

#[test]
fn groups_run_beside_each_other() {
    let mut site = site();
    site.zones.get_mut(&zone("b")).unwrap().group = Group::Sequential(1);
    site.zones.get_mut(&zone("d")).unwrap().group = Group::Parallel;
    let mut sequence = minutes_of(&[("a", 10), ("b", 5), ("c", 20), ("d", 7), ("b", 1)]);
    // The second run of b waits a second, so that its valve closes.
    check(&site, &sequence, &["a 0-10", "b 0-5", "d 0-7", "b 5-6", "c 10-30"]);
    sequence.rounds = 2;
    let runs = timeline(&sequence, &by_hand(&site), start()).runs;
    assert_eq!(runs.len(), 10);
    assert!(
        runs[5..].iter().all(|run| run.from >= start().plus_ms(30 * MINUTE_MS)),
        "rounds wait for each other"
    );
}

#[test]
fn others_run_while_a_zone_soaks() {
    let mut site = site();
    for name in ["a", "b"] {
        site.zones.get_mut(&zone(name)).unwrap().cycle = Cycle::new(5 * MINUTE_MS, 12 * MINUTE_MS);
    }
    check(&site, &minutes_of(&[("a", 10)]), &["a 0-5", "a 17-22"]);
    check(&site, &minutes_of(&[("a", 11)]), &["a 0-3", "a 15-19", "a 31-35"]);
    check(
        &site,
        &minutes_of(&[("a", 10), ("b", 10), ("c", 3)]),
        &["a 0-5", "b 5-10", "c 10-13", "a 17-22", "b 22-27"],
    );
    check(&site, &minutes_of(&[("a", 10), ("c", 30)]), &["a 0-5", "c 5-35", "a 35-40"]);
    // Turns of a zone do not mix, and it soaks between them too.
    let mut twice = minutes_of(&[("a", 10), ("c", 3), ("d", 20)]);
    twice.steps[0].repeats = 2;
    check(&site, &twice, &["a 0-5", "c 5-8", "d 8-28", "a 28-33", "a 45-50", "a 62-67"]);
    let runs = timeline(&minutes_of(&[("a", 11)]), &by_hand(&site), start()).runs;
    let cycles: Vec<_> = runs.iter().map(|run| (run.cycle, run.n_cycles, run.run_ms())).collect();
    assert_eq!(cycles, [(1, 3, 220_000), (2, 3, 220_000), (3, 3, 220_000)]);
}

#[test]
fn portions_of_one_run_wait_for_their_soak_alone() {
    let mut site = site();
    let a = site.zones.get_mut(&zone("a")).unwrap();
    (a.rest_ms, a.cycle) = (30 * MINUTE_MS, Cycle::new(10 * MINUTE_MS, 5 * MINUTE_MS));
    check(&site, &minutes_of(&[("a", 30)]), &["a 0-10", "a 15-25", "a 30-40"]);
    // Another run of the zone waits for its rest.
    check(&site, &minutes_of(&[("a", 20), ("a", 20)]), &["a 0-10", "a 15-25", "a 55-65", "a 70-80"]);
    site.zones.get_mut(&zone("a")).unwrap().cycle = Cycle::new(10 * MINUTE_MS, 40 * MINUTE_MS);
    check(&site, &minutes_of(&[("a", 20)]), &["a 0-10", "a 50-60"]);
}

#[test]
fn a_zone_rests_between_its_runs_and_the_line_is_kept() {
    let mut site = site();
    site.zones.get_mut(&zone("a")).unwrap().rest_ms = 10 * MINUTE_MS;
    let mut sequence = minutes_of(&[("a", 5), ("a", 5), ("b", 5)]);
    check(&site, &sequence, &["a 0-5", "a 15-20", "b 20-25"]);
    sequence.steps.swap(1, 2);
    check(&site, &sequence, &["a 0-5", "b 5-10", "a 15-20"]);
    sequence.steps[0].repeats = 2;
    sequence.steps.truncate(2);
    check(&site, &sequence, &["a 0-5", "a 15-20", "b 20-25"]);
}

#[test]
fn a_total_is_shared_out_to_the_millisecond() {
    let site = site();
    let mut sequence = minutes_of(&[("a", 10), ("b", 20), ("c", 40)]);
    sequence.steps[0].repeats = 2;
    sequence.rounds = 3;
    for total_ms in [1_000_003, 7, 3_600_001] {
        let timeline =
            timeline(&sequence, &Conditions { scale: Scale::TotalMs(total_ms), ..by_hand(&site) }, start());
        assert_eq!(timeline.run_ms(), total_ms);
    }
}

#[test]
fn what_cannot_run_says_why_once() {
    let mut site = site();
    site.zones.get_mut(&zone("b")).unwrap().flow_ml_h = None;
    site.zones.get_mut(&zone("c")).unwrap().limits =
        RunLimits { skip_below_ms: 2 * MINUTE_MS, run_ms_min: 0, run_ms_max: 3 * MINUTE_MS };
    let mut sequence = minutes_of(&[("a", 5), ("b", 5), ("c", 1), ("c", 5), ("x", 5)]);
    sequence.rounds = 3;
    sequence.steps[0].is_enabled = false;
    sequence.steps[1].target = Target::litres(10);
    let timeline = timeline(&sequence, &by_hand(&site), start());
    assert_eq!(
        codes(&timeline),
        [(0, "step_disabled"), (1, "invalid_plan"), (4, "unknown_zone"), (2, "below_threshold")]
    );
    assert_eq!(timeline.runs.len(), 3);
    for run in &timeline.runs {
        assert_eq!(run.run_ms(), 3 * MINUTE_MS);
        assert_eq!(run.notes, [Reason::RunLimited { wanted_s: 300, run_s: 180 }]);
    }
}

#[test]
fn levels_scale_what_was_planned() {
    let site = site();
    let sequence = minutes_of(&[("a", 10), ("b", 1)]);
    let at_level = |season, adjust| {
        let level = Level::new(Percent::new(season).unwrap(), Percent::new(adjust).unwrap());
        timeline(&sequence, &Conditions { scale: Scale::Level(level), ..by_hand(&site) }, start())
    };
    assert_eq!(at_level(120, 50).run_ms(), 11 * MINUTE_MS * 6 / 10);
    let nothing = at_level(120, 0);
    assert_eq!(nothing.until(), None);
    assert_eq!(codes(&nothing), [(0, "adjusted_to_nothing"), (1, "adjusted_to_nothing")]);
}

#[test]
fn hours_of_program_zone_and_source_and_pauses_count() {
    let mut site = site();
    let hours = |from_min, to_min| vec![Window::daily(DayWindow::new(from_min, to_min).unwrap())];
    site.zones.get_mut(&zone("b")).unwrap().windows.no_water = hours(365, 375);
    site.sources.insert("pump".parse().unwrap(), Windows { allowed: vec![], no_water: hours(420, 430) });
    let program = Windows { allowed: hours(360, 450), no_water: vec![] };
    let mut farm = FarmState::default();
    farm.zones_suspended_until.insert(zone("d"), start().plus_ms(1));
    let sequence = minutes_of(&[("d", 1), ("a", 10), ("b", 10), ("c", 50), ("d", 10)]);
    let with = |crossing| {
        let bars =
            Some(Bars { windows: &program, crossing, farm: &farm, opens_before: NEVER, ends_by: NEVER });
        timeline(&sequence, &Conditions { bars, ..by_hand(&site) }, start())
    };
    let moved = with(Crossing::Move);
    // c has no room before the source closes at 60, and the program at 90: the next morning.
    assert_eq!(written(&moved), ["a 0-10", "b 15-25", "c 1440-1490", "d 1490-1500"]);
    assert_eq!(codes(&moved), [(0, "suspended")]);
    assert_eq!(moved.runs[1].notes, [Reason::RunMoved { late_s: 300 }]);
    // Zones whose hours are open go on while b waits for its own, and all wait while the source is closed.
    for crossing in [Crossing::Cut, Crossing::Skip] {
        let timeline = with(crossing);
        assert_eq!(written(&timeline), ["a 0-10", "c 10-60", "b 70-80", "d 80-90"]);
        assert_eq!(codes(&timeline), [(0, "suspended")]);
        assert_eq!(timeline.runs[2].notes, [Reason::RunMoved { late_s: 600 }]);
    }
    let by_hand = timeline(&sequence, &by_hand(&site), start());
    assert_eq!(written(&by_hand), ["d 0-1", "a 1-11", "b 11-21", "c 21-71", "d 71-81"]);
}

#[test]
fn a_run_that_is_cut_too_short_is_left_out() {
    let mut site = site();
    site.zones.get_mut(&zone("b")).unwrap().limits.skip_below_ms = 5 * MINUTE_MS;
    let until_half_past = vec![Window::daily(DayWindow::new(300, 390).unwrap())];
    let program = Windows { allowed: until_half_past, no_water: vec![] };
    let farm = FarmState::default();
    let with = |steps: &[(&str, u32)]| {
        let bars = Some(Bars {
            windows: &program,
            crossing: Crossing::Cut,
            farm: &farm,
            opens_before: NEVER,
            ends_by: NEVER,
        });
        timeline(&minutes_of(steps), &Conditions { bars, ..by_hand(&site) }, start())
    };
    assert_eq!(written(&with(&[("a", 25), ("b", 10)])), ["a 0-25", "b 25-30"]);
    let short = with(&[("a", 26), ("b", 10)]);
    assert_eq!(written(&short), ["a 0-26"]);
    assert_eq!(short.skips[0].reason, Reason::BelowThreshold { wanted_s: 240, least_s: 300 });
}

#[test]
fn what_follows_closed_hours_goes_on_when_they_reopen() {
    let site = site();
    let hours = |from_min, to_min| vec![Window::daily(DayWindow::new(from_min, to_min).unwrap())];
    // Twenty minutes without water, from 07:00.
    let program = Windows { allowed: vec![], no_water: hours(420, 440) };
    let farm = FarmState::default();
    let steps = minutes_of(&[("a", 40), ("b", 40), ("c", 30), ("d", 30)]);
    let with = |windows: &Windows, crossing, begin: UnixMs, until_min: u64| {
        let until = start().plus_ms(until_min * MINUTE_MS);
        let bars = Some(Bars { windows, crossing, farm: &farm, opens_before: until, ends_by: until });
        timeline(&steps, &Conditions { bars, ..by_hand(&site) }, begin)
    };
    let cut = with(&program, Crossing::Cut, start(), 1440);
    assert_eq!(written(&cut), ["a 0-40", "b 40-60", "c 80-110", "d 110-140"]);
    assert_eq!((codes(&cut), cut.runs[1].short_ms), (vec![], 20 * MINUTE_MS));
    // One run is left out for one closing, and those after it wait.
    let skip = with(&program, Crossing::Skip, start(), 1440);
    assert_eq!(written(&skip), ["a 0-40", "c 80-110", "d 110-140"]);
    assert_eq!(codes(&skip), [(1, "no_water_window")]);
    assert_eq!(skip.skips[0].short_ms, 40 * MINUTE_MS);
    // What would have half a minute waits for the whole.
    let late = with(&program, Crossing::Cut, start().plus_ms(19 * MINUTE_MS + 30_000), 1440);
    assert_eq!((late.runs[1].run_ms(), late.runs[1].from), (40 * MINUTE_MS, at(24, 7, 20)));
    // The next start ends what has waited, and hours that open no earlier are not waited for.
    let cut = with(&program, Crossing::Cut, start(), 120);
    assert_eq!(written(&cut), ["a 0-40", "b 40-60", "c 80-110", "d 110-120"]);
    assert_eq!(cut.runs[3].short_ms, 20 * MINUTE_MS);
    let cut = with(&program, Crossing::Cut, start(), 80);
    assert_eq!(written(&cut), ["a 0-40", "b 40-60"]);
    assert_eq!(codes(&cut), [(2, "no_water_window"), (3, "no_water_window")]);
    // Hours that open after the start are waited for.
    let program = Windows { allowed: hours(420, 600), no_water: vec![] };
    assert_eq!(written(&with(&program, Crossing::Cut, start(), 1440))[0], "a 60-100");
}

#[test]
fn runs_are_bounded() {
    let mut site = site();
    site.zones.get_mut(&zone("a")).unwrap().cycle = Cycle::new(MINUTE_MS, 0);
    let mut sequence = minutes_of(&[("a", 120), ("b", 1)]);
    sequence.rounds = 255;
    sequence.steps[1].repeats = 255;
    let timeline = timeline(&sequence, &by_hand(&site), start());
    assert_eq!(timeline.runs.len(), RUNS_MAX);
    assert!(codes(&timeline).contains(&(0, "invalid_plan")));
}
