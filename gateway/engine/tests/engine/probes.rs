//! Freshness, plausibility, jumps and stuck values, seen through a zone with one probe.

use giot_engine::{Age, Engine, Input, Level, Memory, Now, ProbeQuality};
use giot_shared::ids::CommandId;
use giot_shared::time::{MonoMs, UnixMs};

use crate::farm::{farm, metric, node, permyriad, zone};

const WALL_MS: i64 = 1_767_225_600_000;

/// A reading: seconds of the monotonic line and of the civil one, seconds of its date, value.
type Step = (u64, Option<i64>, i64, Option<u16>);

fn now(mono_s: u64, wall_s: Option<i64>) -> Now {
    Now { mono: MonoMs(mono_s * 1000), wall: wall_s.map(|wall_s| UnixMs(WALL_MS + wall_s * 1000)) }
}

/// The quality's code after the steps, at a moment.
fn quality(steps: &[Step], mono_s: u64, wall_s: Option<i64>) -> &'static str {
    let mut engine = Engine::new(farm(1), Memory::default(), CommandId(1), now(0, Some(0)));
    // Off the start, so that no watering before it explains fast changes.
    engine.handle(now(0, Some(0)), Input::NodeOnline { node: &node("v1"), valves: &[] });
    engine.handle(now(20_000, Some(20_000)), Input::Timeout);
    for (mono_s, wall_s, at_s, value) in steps {
        let level = value.map(permyriad).map(Level::from);
        let at = UnixMs(WALL_MS + at_s * 1000);
        let (device, metric) = (node("p1"), metric());
        let input =
            Input::Reading { device: &device, metric: &metric, at, age: Age::Dated, level, good: true };
        engine.handle(now(*mono_s, *wall_s), input);
    }
    engine.zone_view(&zone("z1"), now(mono_s, wall_s)).unwrap().probes[0].quality.code()
}

/// Readings from second 30 000 on, `step_s` apart, on clocks that agree; judged at the last one.
fn series(step_s: u64, values: &[Option<u16>]) -> &'static str {
    let mut steps = Vec::new();
    let mut at_s = 30_000;
    for value in values {
        let civil_s = i64::try_from(at_s).unwrap();
        steps.push((at_s, Some(civil_s), civil_s, *value));
        at_s += step_s;
    }
    let last = steps.last().unwrap();
    quality(&steps, last.0, last.1)
}

#[test]
fn a_reading_is_good_while_it_is_fresh() {
    let steps: &[Step] = &[(30_000, Some(30_000), 29_900, Some(2500))];
    assert_eq!(quality(&[], 30_000, Some(30_000)), "missing");
    assert_eq!(quality(steps, 33_500, Some(33_500)), "good");
    assert_eq!(quality(steps, 33_501, Some(33_501)), "stale");
    // A clock that went back makes nothing younger, one that leapt ahead makes it old.
    assert_eq!(quality(steps, 33_501, Some(30_000)), "stale");
    assert_eq!(quality(steps, 30_001, Some(90_000)), "stale");
    assert_eq!(quality(steps, 33_500, None), "good");
    assert_eq!(quality(steps, 33_501, None), "stale");
}

#[test]
fn a_reading_taken_without_a_clock_is_dated_when_the_clock_is_known() {
    let steps: &[Step] = &[(30_000, None, 25_000, Some(2500))];
    assert_eq!(quality(steps, 30_001, None), "good");
    assert_eq!(quality(steps, 30_001, Some(30_001)), "stale");
    assert_eq!(quality(steps, 30_001, Some(25_010)), "good");
    assert_eq!(quality(steps, 30_001, Some(20_000)), "ahead");
}

#[test]
fn a_late_reading_changes_nothing_and_the_newest_fault_counts() {
    let good = (30_000, Some(30_000), 30_000, Some(2500));
    let late_fault = (30_010, Some(30_010), 29_990, None);
    let fault = (30_010, Some(30_010), 30_010, None);
    let late_good = (30_020, Some(30_020), 30_005, Some(2500));
    assert_eq!(quality(&[good, late_fault], 30_020, Some(30_020)), "good");
    assert_eq!(quality(&[good, fault, late_good], 30_020, Some(30_020)), "faulty");
    assert_eq!(
        quality(&[good, fault, (30_020, Some(30_020), 30_020, Some(2500))], 30_020, Some(30_020)),
        "good"
    );
}

#[test]
fn a_date_in_the_future_is_refused_and_does_not_silence_the_probe() {
    let ahead = (30_000, Some(30_000), 40_000, Some(2500));
    let nearly = (30_000, Some(30_000), 30_300, Some(2500));
    assert_eq!(quality(&[nearly], 30_000, Some(30_000)), "good");
    assert_eq!(quality(&[ahead], 30_000, Some(30_000)), "ahead");
    assert_eq!(quality(&[ahead], 31_000, Some(41_000)), "ahead", "time passing does not make it true");
    assert_eq!(quality(&[ahead, (30_600, Some(30_600), 30_600, Some(2500))], 30_600, Some(30_600)), "good");
}

#[test]
fn the_range_is_checked() {
    for (value, want) in [(99, "out_of_range"), (100, "good"), (6000, "good"), (6001, "out_of_range")] {
        assert_eq!(series(600, &[Some(value)]), want, "{value}");
    }
}

#[test]
fn a_jump_needs_three_readings_that_agree() {
    let level = [Some(4000), Some(4000)];
    let after = |values: &[Option<u16>]| series(300, &[&level, values].concat());
    assert_eq!(after(&[Some(3000)]), "good", "as fast as allowed");
    assert_eq!(after(&[Some(2999)]), "jump");
    assert_eq!(after(&[Some(2500), Some(2500)]), "jump");
    assert_eq!(after(&[Some(2500), Some(2500), Some(2480), Some(2470)]), "good");
    assert_eq!(after(&[Some(2500), Some(2500), Some(4000), Some(4000), Some(4000)]), "jump");
    assert_eq!(after(&[Some(2500), None, Some(2500), Some(2500), Some(2500)]), "good");
    // What is far apart in time may be far apart in value.
    assert_eq!(series(900, &[Some(4000), Some(1000)]), "good");
    assert_eq!(
        series(60, &[Some(4000), Some(2999)]),
        "jump",
        "the allowance is never below that of five minutes"
    );
}

#[test]
fn an_identical_value_is_stuck_after_a_while() {
    let same = |n: usize| vec![Some(2500); n];
    assert_eq!(series(3600, &same(25)), "good");
    assert_eq!(series(3600, &same(26)), "stuck");
    assert_eq!(series(3600, &[same(26), vec![Some(2501)]].concat()), "good");
    assert_eq!(ProbeQuality::Stuck { same_s: 1 }.code(), "stuck");
}

/// Readings by their arrival and wall clock in seconds and their own dates, each of them dry and dated by its device.
fn dated(steps: &[(u64, i64, i64)]) -> &'static str {
    let steps: Vec<Step> = steps
        .iter()
        .zip(2000_u16..)
        .map(|((mono_s, wall_s, at_s), value)| (*mono_s, Some(*wall_s), *at_s, Some(value)))
        .collect();
    let last = steps.last().unwrap();
    quality(&steps, last.0, last.1)
}

#[test]
fn after_the_clock_was_set_back_a_date_counts_only_in_step() {
    // Set back by three hours: a backlog of three hours is dated now, and comes in faster than it was taken.
    assert_eq!(dated(&[(30_000, 30_000, 30_000), (30_600, 19_800, 19_800)]), "stale");
    let backlog = [(30_600, 19_800, 18_600), (30_601, 19_801, 19_200), (30_602, 19_802, 19_800)];
    assert_eq!(dated(&[&[(30_000, 30_000, 18_000)], &backlog[..]].concat()), "stale");
    // Set right: it had been ahead. The device goes on in step, and is believed from its third reading after the first.
    let live = |n: i64| (30_000 + 600 * n.unsigned_abs(), 30_000 + 600 * n, 30_000 + 600 * n);
    let before = [(30_000, 40_800, 30_000)];
    assert_eq!(dated(&before), "stale");
    for (n, quality) in [(1, "stale"), (2, "stale"), (3, "good"), (9, "good")] {
        let after: Vec<_> = (1..=n).map(live).collect();
        assert_eq!(dated(&[&before[..], &after[..]].concat()), quality, "{n} readings after the first");
    }
    // One that has been heard for a while is believed at once.
    let before: Vec<_> = (0..3_u64)
        .map(|n| (28_200 + 600 * n, 39_000 + 600 * n.cast_signed(), 28_200 + 600 * n.cast_signed()))
        .collect();
    assert_eq!(dated(&[&before[..], &[live(0)][..]].concat()), "good");
    // In step by chance, once: a reading of three hours, and one that came 50 s later and is dated 56 s later.
    let by_chance = [(30_000, 30_000, 19_200), (30_050, 19_250, 19_256)];
    assert_eq!(dated(&by_chance), "stale");
    // A correction by seconds is no jump.
    assert_eq!(dated(&[(30_000, 30_030, 30_000), (30_600, 30_600, 29_000)]), "good");
}

/// What a device told that dates its own readings: second of arrival, its date or nothing that can be believed, value.
type Word = (u64, Option<i64>, Option<u16>);

/// The quality's code after words that came in while the clock was right, except between the seconds of `unset`.
fn quality_of_words(words: &[Word], unset: std::ops::Range<u64>, judged_s: u64) -> &'static str {
    let moment =
        |mono_s: u64| now(mono_s, (!unset.contains(&mono_s)).then(|| i64::try_from(mono_s).unwrap()));
    let mut engine = Engine::new(farm(1), Memory::default(), CommandId(1), moment(0));
    for (mono_s, dated_s, value) in words {
        // Without a date that can be believed the arrival counts, by a clock that may show anything.
        let (at_s, age) = dated_s.map_or((-2_000_000_000, Age::Unknown), |dated_s| (dated_s, Age::Dated));
        let (device, metric) = (node("p1"), metric());
        let (at, level) = (UnixMs(WALL_MS + at_s * 1000), value.map(|value| permyriad(value).into()));
        let good = level.is_some();
        let input = Input::Reading { device: &device, metric: &metric, at, age, level, good };
        engine.handle(moment(*mono_s), input);
    }
    engine.handle(moment(judged_s), Input::Timeout);
    engine.zone_view(&zone("z1"), moment(judged_s)).unwrap().probes[0].quality.code()
}

#[test]
fn a_reading_without_a_place_in_the_order_speaks_against_what_was_before_it() {
    let good = (30_000, Some(30_000), Some(1500));
    let check = |more: &[Word], judged_s, want| {
        assert_eq!(quality_of_words(&[&[good], more].concat(), 30_300..31_000, judged_s), want, "{more:?}");
    };
    check(&[], 31_200, "good");
    // Faulty, or unknown, while the gateway had no clock; and after it has one.
    check(&[(30_600, None, None)], 30_700, "faulty");
    check(&[(30_600, None, None)], 31_200, "faulty");
    check(&[(30_600, None, Some(1500))], 31_200, "stale");
    check(&[(30_600, None, None), (31_200, Some(31_200), Some(1500))], 31_200, "good");
    // A copy of what was before, and what was on its way meanwhile, clear no doubt.
    check(&[(30_600, None, None), (31_100, Some(30_000), Some(1500))], 31_200, "faulty");
    check(&[(30_600, None, None), (31_100, Some(30_500), Some(1500))], 31_200, "faulty");
    // Dated while the clock was unset: judged when it is known.
    check(&[(30_600, None, None), (30_700, Some(30_550), Some(1500))], 31_200, "faulty");
    check(&[(30_600, None, None), (30_700, Some(30_700), Some(1500))], 31_200, "good");
    // With the clock set, a date that nobody can believe is no better.
    check(&[(31_100, None, None), (31_150, Some(31_090), Some(1500))], 31_200, "faulty");
    check(&[(31_100, None, None), (31_150, Some(31_150), Some(1500))], 31_200, "good");
}

#[test]
fn a_date_from_the_future_does_not_let_an_old_reading_pass_for_the_newest() {
    let wet = (30_000, Some(30_000), Some(3200));
    let ahead = (30_600, Some(40_000), Some(3200));
    let old = (30_700, Some(29_400), Some(1500));
    let check = |words: &[Word], want| assert_eq!(quality_of_words(words, 0..0, 31_000), want, "{words:?}");
    check(&[wet, ahead], "ahead");
    check(&[wet, ahead, old], "ahead");
    check(&[wet, ahead, old, (30_900, Some(30_900), Some(3100))], "good");
}

#[test]
fn an_age_that_was_counted_needs_no_clock() {
    let now = now(30_000, Some(30_000));
    let quality = |wall_s: Option<i64>, at_s: i64, age: Age| {
        let mut engine = Engine::new(farm(1), Memory::default(), CommandId(1), now);
        let at = UnixMs(WALL_MS + at_s * 1000);
        let (device, metric) = (node("p1"), metric());
        let level = Some(permyriad(2500).into());
        let input = Input::Reading { device: &device, metric: &metric, at, age, level, good: true };
        let wall = wall_s.map(|wall_s| UnixMs(WALL_MS + wall_s * 1000));
        engine.handle(Now { wall, ..now }, input);
        engine.zone_view(&zone("z1"), Now { wall, ..now }).unwrap().probes[0].quality.code()
    };
    for wall_s in [Some(30_000), Some(-500_000), Some(500_000), None] {
        for at_s in [30_000, -90_000, 90_000] {
            assert_eq!(quality(wall_s, at_s, Age::Counted(3_600_000)), "good", "{wall_s:?} {at_s}");
            assert_eq!(quality(wall_s, at_s, Age::Counted(3_600_001)), "stale", "{wall_s:?} {at_s}");
        }
    }
    assert_eq!(quality(Some(30_000), 30_000, Age::Unknown), "age_unknown");
    assert_eq!(quality(Some(30_000), 20_000, Age::Unknown), "stale", "its date says why it is not used");
    assert_eq!(quality(None, 30_000, Age::Unknown), "age_unknown");
}
