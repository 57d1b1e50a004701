//! What is given up, what stays of it, and what is never given up.

use super::check::report;
use super::spans::bits;
use super::*;

const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Midnight in Vietnam, a little after T0.
const MIDNIGHT: i64 = (T0 / DAY + 1) * DAY - 7 * HOUR;

fn keeps(raw_days: u32) -> Retention {
    Retention { raw_days: Some(raw_days), utc_offset_min: 420, ..Retention::default() }
}

/// Forty days of a probe, a counter that wraps and resets, and a station that reports when it likes, with holes.
fn fill(store: &Store) -> i64 {
    let minutes = || (0..40 * 1_440_i64).step_by(5).filter(|n| !(9_000..20_000).contains(n));
    let noise = |n: i64| (n * 7_919 + 13) * 104_729 % 1_000_003 % 300;
    let soil = |n: i64| (MIDNIGHT + n * MINUTE, (n % 35 > 0).then_some(noise(n) as f64 / 10.0));
    let flow = |n: i64| {
        let count = if n < 30_000 { 60_000 + 3 * n } else { 3 * (n - 30_000) };
        (MIDNIGHT + n * MINUTE, Some((count % 65_536) as f64))
    };
    let odd = |n: i64| (MIDNIGHT + n * n * 4 * MINUTE / 60 + n * 7 * MINUTE, Some((n as f64).sqrt()));
    // In two parts, the second so small that folding leaves it apart: chunks go only as a whole.
    let cut = 30 * 1_440;
    for range in [0..cut, cut..40 * 1_440] {
        let within = |n: &i64| range.contains(n);
        store.writer().commit_blocking(readings("n01", "soil", minutes().filter(within).map(soil))).unwrap();
        store.writer().commit_blocking(readings("n01", "flow", minutes().filter(within).map(flow))).unwrap();
        store.fold().unwrap();
    }
    for range in [0..600, 600..900_i64] {
        store.writer().commit_blocking(readings("n02", "odd", range.map(odd))).unwrap();
        store.fold().unwrap();
    }
    MIDNIGHT + 40 * DAY
}

/// Hours, the farm's days and its weeks, each series, as numbers that can be compared bit for bit.
fn drawn(reader: &Reader, steps: &[i64]) -> Vec<[u64; 9]> {
    let mut all = Vec::new();
    for (device, metric) in [("n01", "soil"), ("n01", "flow"), ("n02", "odd")] {
        for step in steps {
            let edges: Vec<i64> = (0..=41 * DAY / step).map(|n| MIDNIGHT + n * step).collect();
            let (buckets, summary) = reader.buckets(device, metric, &edges, true).unwrap();
            assert!(summary.gaps.is_empty());
            all.extend(buckets.iter().map(|bucket| rounded(bits(bucket, true), metric)));
        }
    }
    all
}

/// Sums of numbers that are no decimals depend on their order in the last bits.
fn rounded(mut bits: [u64; 9], metric: &str) -> [u64; 9] {
    if metric == "odd" {
        for at in [5, 7, 8] {
            bits[at] = (bits[at] + (1 << 28)) >> 29;
        }
    }
    bits
}

#[test]
fn hours_and_days_are_the_same_when_their_readings_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let now_us = fill(&store);
    let steps = [HOUR, DAY, 7 * DAY];
    let before = drawn(&store.reader(), &steps);
    let n_before = samples(&store.reader(), "n01", "soil").len();
    for raw_days in [30, 12, 10] {
        tend(&store, now_us, Some(&keeps(raw_days)));
        assert!(drawn(&store.reader(), &steps) == before, "{raw_days} days");
        assert!(report(dir.path()).is_clean());
    }
    let kept = samples(&store.reader(), "n01", "soil");
    assert!(kept.len() < n_before / 2 && kept.len() >= 10 * 288, "{} of {n_before}", kept.len());
    // Whole days of the farm went, and none that is to be kept.
    let first_us = kept[0].at_us;
    assert_eq!((first_us - MIDNIGHT) % DAY, 0);
    assert!(first_us <= now_us - 10 * DAY);
    let summary = store.reader().samples("n01", "soil", 0..i64::MAX, &mut |_| ControlFlow::Continue(()));
    assert_eq!(summary.unwrap().coarse_until_us, Some(first_us));
    // The same again changes nothing, nor does a restart.
    tend(&store, now_us, Some(&keeps(10)));
    store.close().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(drawn(&store.reader(), &steps) == before);
    // Hours go, days stay.
    let days_before = drawn(&store.reader(), &steps[1..]);
    tend(&store, now_us, Some(&Retention { hourly_days: Some(15), ..keeps(10) }));
    assert!(drawn(&store.reader(), &steps[1..]) == days_before);
    assert!(drawn(&store.reader(), &steps).len() < before.len());
    assert!(report(dir.path()).is_clean());
    // Days that lie across the edges asked for are told, and a series begins with its days.
    let cut = |offset: i64| {
        let edges: Vec<i64> = (0..=41).map(|n| MIDNIGHT + offset + n * DAY).collect();
        store.reader().buckets("n01", "soil", &edges, false).unwrap().1.cut_us
    };
    assert_eq!(cut(0), None);
    let (from_us, to_us) = cut(7 * HOUR).unwrap();
    assert!(from_us == MIDNIGHT && to_us < first_us && (to_us - MIDNIGHT) % DAY == 0, "{from_us} {to_us}");
    let series = store.reader().series().unwrap();
    assert_eq!(series.iter().find(|info| &*info.metric == "soil").unwrap().first_us, Some(MIDNIGHT));
}

#[test]
fn a_late_reading_counts_once_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let now_us = fill(&store);
    tend(&store, now_us, Some(&keeps(10)));
    let hours = |from: i64| {
        let edges = [from, from + HOUR];
        store.reader().buckets("n01", "soil", &edges, false).unwrap().0.first().map(|b| (b.n_values, b.max))
    };
    let day = |from: i64| {
        store
            .reader()
            .buckets("n01", "soil", &[from, from + DAY], false)
            .unwrap()
            .0
            .first()
            .map(|b| b.n_values)
    };
    // An hour that was summed up: sent again, and a value that was never there.
    let (summed, empty) = (MIDNIGHT + DAY, MIDNIGHT + 8 * DAY + 3 * HOUR);
    let (before, day_before) = (hours(summed), day(empty - 3 * HOUR));
    assert_eq!((hours(empty), day_before), (None, None), "a hole");
    let late = [
        (summed, Some(900.0)),
        (summed + 30_000_000, Some(950.0)),
        (empty, Some(7.5)),
        (empty + 1, Some(8.5)),
    ];
    for round in 0..2 {
        store.writer().commit_blocking(readings("n01", "soil", late)).unwrap();
        for folds in [false, true] {
            if folds {
                store.fold().unwrap();
                tend(&store, now_us, Some(&keeps(10)));
            }
            assert_eq!(hours(summed), before, "{round} {folds}");
            assert_eq!(hours(empty), Some((2, 8.5)), "{round} {folds}");
            assert_eq!(day(empty - 3 * HOUR), Some(2), "{round} {folds}");
        }
    }
    assert!(report(dir.path()).is_clean());
}

#[test]
fn a_counter_rises_from_what_came_late_into_the_journal_behind_its_sums() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let old = (0..2_000).map(|n| (MIDNIGHT + n * MINUTE, Some(n as f64)));
    let new = (0..200).map(|n| (MIDNIGHT + 20 * DAY + n * HOUR, Some(5_000.0 + n as f64)));
    for part in [old.collect::<Vec<_>>(), new.collect()] {
        store.writer().commit_blocking(readings("n01", "flow", part)).unwrap();
        store.fold().unwrap();
    }
    tend(&store, MIDNIGHT + 29 * DAY, Some(&keeps(10)));
    assert_eq!(samples(&store.reader(), "n01", "flow").len(), 200, "only sums are left of the old");
    store.writer().commit_blocking(readings("n01", "flow", [(MIDNIGHT + 10 * DAY, Some(4_000.0))])).unwrap();
    for folds in [false, true] {
        if folds {
            store.fold().unwrap();
        }
        let edges = [MIDNIGHT + 19 * DAY, MIDNIGHT + 21 * DAY];
        let rise = store.reader().buckets("n01", "flow", &edges, true).unwrap().0[0].rise;
        assert_eq!(rise, Some(1_023.0), "{folds}");
    }
}

#[test]
fn room_is_made_by_the_oldest_readings_then_hours_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let now_us = fill(&store);
    store.writer().commit_blocking(full_batch()).unwrap();
    // Incompressible, so that there is something to give up.
    for n in 0..30 {
        let noise = (0..1_440)
            .map(|at| (MIDNIGHT + (n * 1_440 + at) * MINUTE, Some((at as f64 * 1.7 + n as f64).sin())));
        store.writer().commit_blocking(readings("n04", "noise", noise)).unwrap();
        store.fold().unwrap();
    }
    store.compact().unwrap();
    let used = || measure(dir.path()).map(|sizes| sizes.file_bytes - sizes.free_bytes).unwrap();
    let full = used();
    let room = |bytes_max: u64| Retention {
        bytes_max: Some(bytes_max),
        utc_offset_min: 420,
        ..Retention::default()
    };
    tend(&store, now_us, Some(&room(full + 1)));
    assert_eq!(store.reader().room().unwrap(), None, "nothing is told while there is room");
    let raw_from = || samples(&store.reader(), "n04", "noise").first().map(|sample| sample.at_us);
    let mut before = raw_from();
    for share in [80, 60] {
        tend(&store, now_us, Some(&room(full * share / 100)));
        assert!(used() <= full * share / 100, "{} of {full}", used());
        let note = store.reader().room().unwrap().unwrap();
        assert!(
            !note.is_over && note.readings_before_us.is_some() && note.hours_before_us.is_none(),
            "{note:?}"
        );
        assert!(raw_from() > before, "the oldest first");
        before = raw_from();
    }
    let file = std::fs::metadata(dir.path().join("giot.sqlite")).unwrap().len();
    assert!(file <= full, "the file itself became smaller: {file} of {full}");
    // Less than can be had: hours go too, the last week and all days stay, and it is told.
    tend(&store, now_us, Some(&room(64 << 10)));
    let note = store.reader().room().unwrap().unwrap();
    assert!(note.is_over && note.readings_before_us.is_some() && note.hours_before_us.is_some(), "{note:?}");
    let soil = samples(&store.reader(), "n01", "soil");
    assert!(soil[0].at_us <= now_us - 7 * DAY && soil.len() >= 7 * 288, "{}", soil.len());
    let edges: Vec<i64> = (0..=40).map(|n| MIDNIGHT + n * DAY).collect();
    let days = store.reader().buckets("n01", "soil", &edges, false).unwrap().0;
    // But for the days of the hole.
    assert_eq!(days.len(), 40 - 6);
    assert!(matches!(store.reader().verify_diary().unwrap(), DiaryProof::Whole { n_rows: 2, .. }));
    assert_eq!(
        store
            .reader()
            .valve_events(&ValveEventFilter { limit: 9, ..ValveEventFilter::default() })
            .unwrap()
            .len(),
        1
    );
    assert!(report(dir.path()).is_clean());
    // Room again: it is told that it is over.
    tend(&store, now_us, Some(&room(full)));
    assert!(store.reader().room().unwrap().is_some_and(|note| !note.is_over));
}

#[test]
fn a_wrong_clock_gives_nothing_up_and_exceptions_hold() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let now_us = fill(&store);
    let n = |metric: &str| samples(&store.reader(), "n01", metric).len();
    let before = n("soil");
    tend(&store, now_us + 3_650 * DAY, Some(&keeps(60)));
    assert_eq!(n("soil"), before, "ages count from the newest reading");
    tend(&store, now_us, None);
    let keep = vec![Keep { metric: "fl*".to_owned(), raw_days: None, hourly_days: None }];
    tend(&store, now_us, Some(&Retention { keep, ..keeps(10) }));
    assert!(n("soil") < before);
    assert_eq!(n("flow"), before);
}

#[test]
fn valve_events_go_by_age_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let now_us = fill(&store);
    let event =
        |seq: u64| ValveEventRow { seq, at_us: now_us - i64::try_from(seq).unwrap() * HOUR, ..valve_event() };
    let valve_events: Vec<_> = (0..3_000).map(event).collect();
    store.writer().commit_blocking(Batch { valve_events, ..Batch::default() }).unwrap();
    let left = || {
        store
            .reader()
            .valve_events(&ValveEventFilter { limit: 9_000, ..ValveEventFilter::default() })
            .unwrap()
    };
    tend(&store, now_us, Some(&Retention { bytes_max: Some(1), ..Retention::default() }));
    assert_eq!(left().len(), 3_000);
    // Ages count from the newest reading, a few minutes before.
    let newest_us =
        store.reader().last_values(None).unwrap().iter().map(|last| last.sample.at_us).max().unwrap();
    tend(&store, now_us, Some(&Retention { valve_events_days: Some(20), ..Retention::default() }));
    let limit_us = newest_us.min(now_us) - 20 * DAY;
    assert!(left().iter().all(|event| event.at_us >= limit_us) && left().len() >= 480, "{}", left().len());
}
