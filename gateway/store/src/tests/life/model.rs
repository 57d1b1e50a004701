//! What the store should hold, as plain maps; nothing here uses the store's own code but to ask it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};

use super::super::*;

pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;
/// The farm's distance from UTC.
const OFFSET: i64 = 7 * HOUR;
pub(super) const N_SERIES: usize = 6;

/// Value and quality of a reading, the value as bits so that every one can be compared.
pub(super) type Kept = (Option<u64>, u8);

/// Beginning of the farm's day that holds a moment.
pub(super) fn day_of(at_us: i64) -> i64 {
    (at_us + OFFSET).div_euclid(DAY) * DAY - OFFSET
}

/// The bits of a value, of either zero the same.
fn plain_zero(bits: u64) -> u64 {
    if f64::from_bits(bits) == 0.0 { 0 } else { bits }
}

fn hour_of(at_us: i64) -> i64 {
    at_us.div_euclid(HOUR) * HOUR
}

pub(super) fn metric(idx: usize) -> String {
    format!("m{idx}")
}

/// One series.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// Every reading that is still to be had one by one.
    pub(super) raw: BTreeMap<i64, Kept>,
    /// Every reading that counts in spans, also where only sums of it are left.
    counted: BTreeMap<i64, Kept>,
    /// Times written since the last folding.
    journal: BTreeSet<i64>,
    /// Days that were given up: what comes late into their hours counts no more.
    summed_days: BTreeSet<i64>,
    /// The latest reading, whatever became of it.
    last: Option<(i64, Kept)>,
    /// Hours before may be gone; their days stay.
    hours_from_us: i64,
    /// Before this, holds and rises depend on what came late, and when.
    blurred_us: i64,
}

impl Series {
    fn is_summed(&self, at_us: i64) -> bool {
        self.summed_days.contains(&day_of(at_us))
    }

    /// True when it is settled what becomes of a reading: one in a day that was given up is dropped if its hour had values; in an
    /// hour without, it depends on what held into it.
    pub(super) fn is_plain(&self, at_us: i64) -> bool {
        let mut hour = self.counted.range(hour_of(at_us)..hour_of(at_us) + HOUR);
        !self.is_summed(at_us) || hour.any(|(_, kept)| kept.0.is_some())
    }

    pub(super) fn write(&mut self, at_us: i64, kept: Kept) {
        self.raw.insert(at_us, kept);
        self.journal.insert(at_us);
        if self.last.is_none_or(|last| last.0 <= at_us) {
            self.last = Some((at_us, kept));
        }
        if self.is_summed(at_us) {
            return;
        }
        self.counted.insert(at_us, kept);
        // What was summed up before does not know of it: what held into the day after, and from where the next value rose.
        let next =
            self.counted.range(at_us + 1..).find(|(_, kept)| kept.0.is_some()).map(|(next_us, _)| *next_us);
        if let Some(next_us) = next.filter(|next_us| self.is_summed(*next_us)) {
            self.blurred_us = self.blurred_us.max(day_of(next_us) + 2 * DAY);
        }
        if self.summed_days.contains(&day_of(at_us - HOUR)) {
            self.blurred_us = self.blurred_us.max(day_of(at_us) + 2 * DAY);
        }
    }

    pub(super) fn fold(&mut self) {
        self.journal.clear();
    }

    /// True when a day that may be given up holds readings of the journal only: whether it goes depends on the chunks around it.
    pub(super) fn is_unclear(&self, limit_us: i64) -> bool {
        let mut late = self.journal.range(..day_of(limit_us));
        late.any(|at_us| {
            let day = day_of(*at_us);
            self.raw.range(day..day + DAY).all(|(at_us, _)| self.journal.contains(at_us))
        })
    }

    /// Takes note of what was given up: whole days before the limit, nothing else.
    pub(super) fn give_up(&mut self, left: &BTreeMap<i64, Kept>, limit_us: i64) {
        assert!(left.iter().all(|(at_us, kept)| self.raw.get(at_us) == Some(kept)), "nothing else is there");
        let gone: Vec<i64> = self.raw.keys().filter(|at_us| !left.contains_key(at_us)).copied().collect();
        let mut days = BTreeSet::new();
        for at_us in gone {
            assert!(at_us < day_of(limit_us), "{at_us} is given up, although it is younger than {limit_us}");
            assert!(!self.journal.contains(&at_us), "what is in no chunk stays");
            self.raw.remove(&at_us);
            days.insert(day_of(at_us));
        }
        for day in days.difference(&self.summed_days) {
            let mut rest = self.raw.range(day..&(day + DAY)).map(|(at_us, _)| at_us);
            assert!(rest.all(|at_us| self.journal.contains(at_us)), "half of a day is given up");
        }
        self.summed_days.extend(days);
    }

    pub(super) fn forget_hours(&mut self, before_us: i64) {
        self.hours_from_us = self.hours_from_us.max(before_us);
    }
}

fn read(reader: &Reader, idx: usize, range: Range<i64>) -> BTreeMap<i64, Kept> {
    let mut found = BTreeMap::new();
    let summary = reader.samples("n01", &metric(idx), range.clone(), &mut |sample| {
        assert!(range.contains(&sample.at_us));
        assert!(found.last_key_value().is_none_or(|(last, _)| *last < sample.at_us), "in order of time");
        found.insert(sample.at_us, (sample.value.map(f64::to_bits), sample.quality));
        ControlFlow::Continue(())
    });
    let summary = summary.unwrap();
    assert_eq!((summary.n_samples, summary.n_damaged()), (u64::try_from(found.len()).unwrap(), 0));
    found
}

/// Every reading of a series.
pub(super) fn read_all(reader: &Reader, idx: usize) -> BTreeMap<i64, Kept> {
    read(reader, idx, i64::MIN..i64::MAX)
}

/// Holds every reading and every latest value against the model.
pub(super) fn assert_whole(reader: &Reader, model: &[Series]) {
    let last = reader.last_values(Some("n01")).unwrap();
    let infos = reader.series().unwrap();
    for (idx, series) in model.iter().enumerate() {
        let found = read_all(reader, idx);
        assert!(found == series.raw, "{}", difference(&found, &series.raw));
        let of_series = last.iter().find(|last| *last.metric == *metric(idx)).map(|last| last.sample);
        let of_series = of_series.map(|last| (last.at_us, (last.value.map(f64::to_bits), last.quality)));
        // Of the two zeros a column of SQLite keeps one.
        let plain = |last: (i64, Kept)| (last.0, (last.1.0.map(plain_zero), last.1.1));
        assert_eq!(of_series.map(plain), series.last.map(plain), "last of series {idx}");
        let Some(info) = infos.iter().find(|info| *info.metric == *metric(idx)) else { continue };
        let (first, last) = (series.raw.keys().next().copied(), series.raw.keys().next_back().copied());
        assert!(first.is_none() || info.first_us <= first && info.last_us >= last, "{info:?}");
        if series.journal.is_empty() {
            assert_eq!(info.n_samples, u64::try_from(series.raw.len()).unwrap(), "series {idx}");
        }
    }
}

fn difference(found: &BTreeMap<i64, Kept>, expected: &BTreeMap<i64, Kept>) -> String {
    let extra = found.iter().find(|(at_us, kept)| expected.get(at_us) != Some(kept));
    let missing = expected.iter().find(|(at_us, kept)| found.get(at_us) != Some(kept));
    format!("{} readings, {} expected; first {extra:?}, {missing:?}", found.len(), expected.len())
}

/// Asks for a range, raw and as a chart.
pub(super) fn assert_range(reader: &Reader, model: &[Series], idx: usize, range: Range<i64>, n_points: u32) {
    let Some(series) = model.get(idx) else { return };
    let expected: BTreeMap<i64, Kept> =
        series.raw.range(range.clone()).map(|(at_us, kept)| (*at_us, *kept)).collect();
    let found = read(reader, idx, range.clone());
    assert!(found == expected, "{}", difference(&found, &expected));
    let points = reader.chart("n01", &metric(idx), range, n_points).unwrap();
    assert!(points.len() <= usize::try_from(n_points).unwrap());
    let values: Vec<f64> = expected.values().filter_map(|kept| kept.0.map(f64::from_bits)).collect();
    assert_eq!(
        points.iter().map(|point| usize::try_from(point.n_values).unwrap()).sum::<usize>(),
        values.len()
    );
    let min = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min).to_bits();
    let max = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NEG_INFINITY, f64::max).to_bits();
    // Either zero is the smallest of both.
    let plain = plain_zero;
    assert_eq!(
        plain(min(&mut points.iter().map(|point| point.min))),
        plain(min(&mut values.iter().copied()))
    );
    assert_eq!(
        plain(max(&mut points.iter().map(|point| point.max))),
        plain(max(&mut values.iter().copied()))
    );
}

/// What a span holds, computed from the points; `None` without a value.
fn expected(series: &Series, span: Range<i64>) -> Option<Bucket> {
    let within: Vec<(i64, f64, u8)> = series
        .counted
        .range(span.clone())
        .filter_map(|(at_us, (bits, quality))| bits.map(|bits| (*at_us, f64::from_bits(bits), *quality)))
        .collect();
    let last = within.last()?.1;
    let mut rise = 0.0;
    let before = series.counted.range(..span.start).rev().find_map(|(_, kept)| kept.0.map(f64::from_bits));
    let mut before = before.unwrap_or(within.first()?.1);
    for (_, value, _) in &within {
        rise += spans::rise_of(before, *value);
        before = *value;
    }
    let around: Vec<spans::ModelPoint> = series
        .counted
        .range(span.start - HOUR..span.end + HOUR)
        .map(|(at_us, (bits, quality))| (*at_us, bits.map(f64::from_bits), *quality))
        .collect();
    let n_values = within.len();
    let mean = within.iter().map(|point| point.1).sum::<f64>() / n_values as f64;
    Some(Bucket {
        from_us: span.start,
        n_values: u64::try_from(n_values).unwrap(),
        n_flagged: u64::try_from(within.iter().filter(|point| point.2 != 0).count()).unwrap(),
        min: within.iter().map(|point| point.1).fold(f64::INFINITY, f64::min),
        max: within.iter().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max),
        mean,
        last,
        time_mean: spans::time_mean(&around, &[span.start, span.end]).unwrap_or(mean),
        rise: Some(rise),
    })
}

/// Asks for spans; edges lie on the farm's hours, or on its days where hours may be gone.
pub(super) fn assert_spans(reader: &Reader, model: &[Series], edges: &[i64]) {
    for (idx, series) in model.iter().enumerate() {
        let (buckets, summary) = reader.buckets("n01", &metric(idx), edges, true).unwrap();
        assert_eq!(summary.n_damaged(), 0);
        let mut buckets = buckets.iter().peekable();
        for (from_us, to_us) in edges.iter().zip(edges.iter().skip(1)).map(|(from, to)| (*from, *to)) {
            let found = buckets.next_if(|bucket| bucket.from_us == from_us);
            let is_day = from_us == day_of(from_us) && to_us == day_of(to_us);
            if !is_day && from_us < series.hours_from_us {
                continue;
            }
            let wanted = expected(series, from_us..to_us);
            let what = || format!("series {idx} from {from_us} to {to_us}: {found:?}, {wanted:?}");
            let (Some(found), Some(wanted)) = (found, &wanted) else {
                assert!(found.is_none() && wanted.is_none(), "{}", what());
                continue;
            };
            assert_eq!((found.n_values, found.n_flagged), (wanted.n_values, wanted.n_flagged), "{}", what());
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.abs().max(1.0);
            assert!(near(found.min, wanted.min) && near(found.max, wanted.max), "{}", what());
            assert!(near(found.last, wanted.last) && near(found.mean, wanted.mean), "{}", what());
            if from_us >= series.blurred_us {
                let rise = found.rise.zip(wanted.rise);
                assert!(near(found.time_mean, wanted.time_mean), "{}", what());
                assert!(rise.is_some_and(|(a, b)| near(a, b)), "{}", what());
            }
        }
        assert!(buckets.next().is_none(), "series {idx}: a span that nobody asked for");
    }
}
