//! Several series in the same spans, row by row.
//!
//! Spans are read in windows: however long the table, only a window of it is in memory. A span without a value is an empty cell.

use std::ops::ControlFlow;

use super::series::{self, SeriesName};
use super::timezone::TimeZone;
use giot_store::{Bucket, Gap, ReadError, Reader, join_ranges};

/// Cells that are in memory at once (about 90 bytes each). Small in tests, so that they meet the bound.
const WINDOW_CELLS: usize = if cfg!(test) { 12 } else { 16_384 };

/// What all series did in one span.
#[derive(Debug, Clone, Copy)]
pub struct Row<'r> {
    /// Beginning of the span.
    pub from_us: i64,
    /// Its end.
    pub to_us: i64,
    /// One cell a series, in the order asked for.
    pub cells: &'r [Option<Bucket>],
}

/// Damaged parts that are named one by one; all are counted.
const NAMED_MAX: usize = 100;

/// A damaged part of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedPart {
    /// Whose readings are missing.
    pub series: SeriesName,
    /// From when to when.
    pub gap: Gap,
}

impl DamagedPart {
    /// As people read it, by a clock.
    #[must_use]
    pub fn text(&self, zone: TimeZone) -> String {
        format!("{} from {} to {}", self.series, zone.rfc3339(self.gap.from_us), zone.rfc3339(self.gap.to_us))
    }
}

/// What of the history is in no row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// Damaged parts that were met.
    pub n_damaged: u64,
    /// The first of them.
    pub damaged: Vec<DamagedPart>,
    /// Of them, those that were found and set aside before.
    pub n_set_aside: u64,
    /// Hours or days that stand for readings given up and lie across the edges: from the first to the end of the last.
    pub cut_us: Option<(i64, i64)>,
    /// Where single readings were asked for: before this only hours and days are kept of some.
    pub coarse_until_us: Option<i64>,
}

impl Missing {
    /// Counts damaged parts of a series and names the first.
    pub fn note(&mut self, series: &SeriesName, n_damaged: u64, n_set_aside: u64, gaps: &[Gap]) {
        self.n_damaged = self.n_damaged.saturating_add(n_damaged);
        self.n_set_aside = self.n_set_aside.saturating_add(n_set_aside);
        let room = NAMED_MAX.saturating_sub(self.damaged.len());
        let parts = gaps.iter().take(room).map(|gap| DamagedPart { series: series.clone(), gap: *gap });
        self.damaged.extend(parts);
    }
}

/// Hands over one row for each span between neighbours of `edges_us`, until `each` breaks. With `rises` also what counters counted.
/// Returns what of the history could not be had.
///
/// # Errors
/// The history cannot be read.
pub fn rows(
    reader: &Reader,
    series: &[SeriesName],
    edges_us: &[i64],
    rises: bool,
    each: &mut dyn FnMut(Row<'_>) -> ControlFlow<()>,
) -> Result<Missing, ReadError> {
    let n_spans = (WINDOW_CELLS / series.len().max(1)).max(1);
    let mut damaged: Vec<Vec<Gap>> = vec![Vec::new(); series.len()];
    let mut missing = Missing::default();
    let mut rest = edges_us;
    while let [_, _, ..] = rest {
        let window = rest.get(..=n_spans).unwrap_or(rest);
        rest = rest.get(window.len() - 1..).unwrap_or_default();
        let mut columns = Vec::with_capacity(series.len());
        for (name, met) in series.iter().zip(&mut damaged) {
            let (mut buckets, summary) = reader.buckets(&name.device, &name.metric, window, rises)?;
            if rises {
                series::count(&name.metric, &mut buckets);
            }
            // A damaged part may reach over several windows.
            let new: Vec<Gap> = summary.gaps.into_iter().filter(|gap| !met.contains(gap)).collect();
            let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
            let n_set_aside = new.iter().filter(|gap| gap.is_set_aside).count();
            missing.note(name, count(new.len()), count(n_set_aside), &new);
            met.extend(new);
            missing.cut_us = join_ranges(missing.cut_us, summary.cut_us);
            columns.push(buckets.into_iter().peekable());
        }
        let mut cells = Vec::with_capacity(series.len());
        for pair in window.windows(2) {
            let [from_us, to_us] = *pair else { continue };
            cells.clear();
            let of_span = |bucket: &Bucket| bucket.from_us == from_us;
            cells.extend(columns.iter_mut().map(|column| column.next_if(of_span)));
            if each(Row { from_us, to_us, cells: &cells }).is_break() {
                return Ok(missing);
            }
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use giot_store::{Batch, DeviceSamples, MetricSample, Store};

    const MINUTE: i64 = 60_000_000;

    #[test]
    fn rows_do_not_depend_on_windows_and_holes_are_empty_cells() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let device = |device: &str, minutes: &[i64]| DeviceSamples {
            device: device.into(),
            samples: minutes
                .iter()
                .map(|minute| MetricSample {
                    metric: "x".into(),
                    at_us: minute * MINUTE,
                    value: Some(1.0),
                    quality: 0,
                })
                .collect(),
        };
        let all: Vec<i64> = (0..100).collect();
        let samples = vec![device("a", &all), device("b", &[7, 8, 40])];
        store.writer().commit_blocking(Batch { samples, ..Batch::default() }).unwrap();
        let series: Vec<SeriesName> = ["a/x", "b/x", "none/x"].map(|name| name.parse().unwrap()).into();
        let edges: Vec<i64> = (0..=20).map(|n| n * 5 * MINUTE).collect();
        let mut got = Vec::new();
        let mut each = |row: Row<'_>| {
            let n = row.cells.iter().map(|cell| cell.map_or(0, |bucket| bucket.n_values)).collect::<Vec<_>>();
            assert_eq!(row.to_us - row.from_us, 5 * MINUTE);
            got.push((row.from_us / MINUTE, n));
            if got.len() == 19 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        assert_eq!(rows(&store.reader(), &series, &edges, true, &mut each).unwrap(), Missing::default());
        let want: Vec<_> =
            (0..19_i64).map(|n| (n * 5, vec![5, if n == 1 { 2 } else { u64::from(n == 8) }, 0])).collect();
        assert_eq!(got, want);
        assert_eq!(
            rows(&store.reader(), &series, &[], false, &mut |_| panic!("no row")).unwrap(),
            Missing::default()
        );
    }

    #[test]
    fn rain_is_summed_and_counters_are_taken_apart() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let series = |metric: &str, values: [f64; 5]| {
            let sample = |(minute, value)| MetricSample {
                metric: metric.into(),
                at_us: minute * MINUTE,
                value: Some(value),
                quality: 0,
            };
            (0..).zip(values).map(sample).collect::<Vec<_>>()
        };
        let samples =
            [series("rain", [0.0, 2.0, 2.0, 0.4, 0.0]), series("pulses", [7.0, 9.0, 11.0, 11.0, 12.0])];
        let samples = vec![DeviceSamples { device: "st".into(), samples: samples.concat() }];
        store.writer().commit_blocking(Batch { samples, ..Batch::default() }).unwrap();
        let names: Vec<SeriesName> = ["st/rain", "st/pulses"].map(|name| name.parse().unwrap()).into();
        let mut got = Vec::new();
        let mut each = |row: Row<'_>| {
            got.extend(row.cells.iter().map(|cell| cell.and_then(|bucket| bucket.rise)));
            ControlFlow::Continue(())
        };
        rows(&store.reader(), &names, &[0, 10 * MINUTE], true, &mut each).unwrap();
        assert!(got[0].is_some_and(|mm| (mm - 4.4).abs() < 1e-9) && got[1] == Some(5.0), "{got:?}");
    }
}
