//! Spans of time against a plain computation over all points, and against themselves before and after folding.

use super::super::tally::{Spans, Tallier};
use super::super::types::Point;
use super::*;

const HOUR: i64 = 60 * MINUTE;

/// A point of the model: time, value, quality.
pub(super) type ModelPoint = (i64, Option<f64>, u8);

/// Edges of different kinds that cover what the model tests write.
fn edge_sets() -> Vec<Vec<i64>> {
    let hour = T0.div_euclid(HOUR) * HOUR;
    vec![
        // Hours; days of Vietnam (UTC+7), one of them of 23 hours; odd spans across chunks; a single one in the middle.
        (-1..200).map(|n| hour + n * HOUR).collect(),
        (-1..45).map(|n| hour + 17 * HOUR + n * 24 * HOUR - i64::from(n > 3) * HOUR).collect(),
        (0..300).map(|n| T0 + 3 * MINUTE + n * 211 * MINUTE / 2).collect(),
        vec![hour + 30 * HOUR, hour + 31 * HOUR],
        vec![i64::MIN, i64::MAX],
        vec![],
    ]
}

/// Holds every set of edges against the points of one series.
pub(super) fn assert_same_spans(reader: &Reader, device: &str, metric: &str, points: &[ModelPoint]) {
    for edges in edge_sets() {
        let mut tallier = Tallier::new(Spans::Edges(&edges));
        points.iter().for_each(|(at_us, value, quality)| tallier.add(&Point::new(*at_us, *value, *quality)));
        let expected = tallier.finish();
        for rises in [true, false] {
            let (found, summary) = reader.buckets(device, metric, &edges, rises).unwrap();
            assert_eq!(summary.n_samples, found.iter().map(|bucket| bucket.n_values).sum::<u64>());
            assert_eq!(found.len(), expected.len(), "{metric} {rises}");
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(bits(found, rises), bits(expected, rises), "{metric} {found:?} {expected:?}");
            }
        }
        assert_plain(&expected, points, &edges);
    }
}

pub(super) fn bits(bucket: &Bucket, rises: bool) -> [u64; 9] {
    let Bucket { from_us, n_values, n_flagged, min, max, mean, last, time_mean, rise } = *bucket;
    let rise = if rises { rise.unwrap().to_bits() } else { 0 };
    let [min, max, mean, last, time_mean] = [min, max, mean, last, time_mean].map(f64::to_bits);
    [from_us.cast_unsigned(), n_values, n_flagged, min, max, mean, last, time_mean, rise]
}

/// What the words mean, computed without any of the store's code; only for numbers that double arithmetic can add.
fn assert_plain(found: &[Bucket], points: &[ModelPoint], edges: &[i64]) {
    if points.iter().any(|(_, value, _)| value.is_some_and(|value| !value.is_finite() || value.abs() > 1e9)) {
        return;
    }
    let mut found = found.iter();
    for edge in edges.windows(2) {
        let within: Vec<(usize, f64)> = points
            .iter()
            .enumerate()
            .filter(|(_, (at_us, _, _))| (edge[0]..edge[1]).contains(at_us))
            .filter_map(|(idx, (_, value, _))| value.map(|value| (idx, value)))
            .collect();
        if within.is_empty() {
            continue;
        }
        let bucket = found.next().unwrap();
        let values: Vec<f64> = within.iter().map(|(_, value)| *value).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert_eq!(bucket.n_values, u64::try_from(values.len()).unwrap());
        assert_near(bucket.mean, mean);
        assert_near(bucket.min, values.iter().copied().fold(f64::INFINITY, f64::min));
        assert_near(bucket.max, values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        assert_near(bucket.last, *values.last().unwrap());
        assert_near(bucket.time_mean, time_mean(points, edge).unwrap_or(mean));
        let rise: f64 = within.iter().map(|(idx, value)| rise(points, *idx, *value)).sum();
        assert_near(bucket.rise.unwrap(), rise);
    }
    assert!(found.next().is_none());
}

fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{found} {expected}");
}

pub(super) fn time_mean(points: &[ModelPoint], edge: &[i64]) -> Option<f64> {
    let (mut area, mut held_us) = (0.0, 0.0);
    for pair in points.windows(2) {
        let (Some(value), to_us) = (pair[0].1, pair[1].0) else { continue };
        if to_us - pair[0].0 <= HOUR {
            let span_us = (to_us.min(edge[1]) - pair[0].0.max(edge[0])).max(0) as f64;
            (area, held_us) = (area + value * span_us, held_us + span_us);
        }
    }
    (held_us > 0.0).then(|| area / held_us)
}

fn rise(points: &[ModelPoint], idx: usize, value: f64) -> f64 {
    let before = points[..idx].iter().rev().find_map(|(_, value, _)| *value);
    before.map_or(0.0, |before| rise_of(before, value))
}

/// By how much a counter rose from one value to the next.
pub(super) fn rise_of(before: f64, value: f64) -> f64 {
    if value >= before {
        return value - before;
    }
    for size in [65_536.0, 4_294_967_296.0] {
        if before >= 0.75 * size && before < size && value >= 0.0 && value <= 0.25 * size {
            return size - before + value;
        }
    }
    value
}

#[test]
fn a_counter_that_resets_and_wraps_is_added_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    // Up by 3 a minute, wrapping at 65,536, and reset once.
    let count = |n: i64| (if n < 6_000 { 60_000 + 3 * n } else { 3 * (n - 6_000) } % 65_536) as f64;
    let points: Vec<ModelPoint> = (0..9_000).map(|n| (T0 + n * MINUTE, Some(count(n)), 0)).collect();
    let values = points.iter().map(|(at_us, value, _)| (*at_us, *value));
    store.writer().commit_blocking(readings("n01", "flow", values)).unwrap();
    for folds in [false, true] {
        if folds {
            store.fold().unwrap();
        }
        assert_same_spans(&store.reader(), "n01", "flow", &points);
        let all = store.reader().buckets("n01", "flow", &[i64::MIN, i64::MAX], true).unwrap().0;
        // Every minute but the one of the reset, which counts from zero.
        assert_eq!(all[0].rise, Some(f64::from(3 * (9_000 - 2))));
    }
}

#[test]
fn a_series_that_sleeps_for_a_month_has_a_gap_and_no_hold_over_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let value = |n: i64| Some((n % 7) as f64 / 10.0);
    let minutes = (0..2_000).chain(45_200..47_200);
    let points: Vec<ModelPoint> =
        minutes.map(|n| (T0 + n * MINUTE, value(n), u8::from(n % 100 == 0))).collect();
    for (at_us, value, quality) in &points {
        let sample = MetricSample { metric: "soil".into(), at_us: *at_us, value: *value, quality: *quality };
        let samples = vec![DeviceSamples { device: "n01".into(), samples: vec![sample] }];
        store.writer().try_submit(Batch { samples, ..Batch::default() }, Done::Ignore).unwrap();
    }
    store.compact().unwrap();
    assert_same_spans(&store.reader(), "n01", "soil", &points);
    let edges: Vec<i64> = (0..33).map(|day| T0.div_euclid(HOUR) * HOUR + day * 24 * HOUR).collect();
    let days = store.reader().buckets("n01", "soil", &edges, false).unwrap().0;
    assert_eq!(days.len(), 2 + 1, "days without a value are left out");
    assert!(days.iter().all(|day| day.rise.is_none() && day.n_flagged > 0));
}
