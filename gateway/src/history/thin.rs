//! Few points that draw many: the largest-triangle choice for the shape, and every column's true minimum and maximum beside it.
//!
//! Source to read first: S. Steinarsson, "Downsampling Time Series for Visual Representation" (2013), the three-bucket algorithm. It
//! alone drops extremes that lie beside a larger triangle; a chart must never hide one, so each column also keeps its smallest and
//! largest value. Candidates are collected in cells, four a column, each with its first, last, smallest and largest reading, so that
//! memory is bounded by what is asked for and not by the range (as in J. Van der Donckt et al., "MinMaxLTTB", 2023).
//!
//! | word | meaning |
//! |---|---|
//! | hole | a stretch without values longer than is usual for the series, or a reading without a number |
//! | break | a point without a number: the line must not go over it |
//!
//! Must not interpolate or invent a value: each point with a number is a reading of the series.

use std::ops::Range;

use giot_store::Sample;

/// Points of one series at most: two per pixel of a large screen.
pub const POINTS_MAX: u32 = 4_000;

/// Fewer points than this draw nothing.
pub const POINTS_MIN: u32 = 16;

/// Points of a column: smallest, largest, and the one of the largest triangle; the fourth leaves room for the ends.
const POINTS_PER_COLUMN: u32 = 4;

const CELLS_PER_COLUMN: usize = 4;

/// A stretch this many times longer than the usual step is a hole.
const HOLE_STEPS: i64 = 4;

/// A stretch that is no hole in any case: a node's usual step is ten minutes.
const HOLE_US_MIN: i64 = 45 * 60_000_000;

/// Collects the readings of one series in order of time.
#[derive(Debug)]
pub struct Thinner {
    range_us: Range<i64>,
    n_points: usize,
    hole_us: Option<i64>,
    /// Readings as they came, until they are too many.
    few: Vec<Sample>,
    many: Option<Cells>,
    n_values: u64,
    n_flagged: u64,
}

/// What is left of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Thinned {
    /// Readings in order of time; one without a value breaks the line. At most what was asked for, and three for each hole.
    pub points: Vec<Sample>,
    /// How many readings had a value.
    pub n_values: u64,
    /// How many of them have a quality other than good.
    pub n_flagged: u64,
    /// False when every reading is in `points`.
    pub is_thinned: bool,
}

impl Thinner {
    /// Thins to about `n_points` over `range_us`. Stretches longer than `hole_us` without a value break the line; without one, what is
    /// usual for the series decides.
    #[must_use]
    pub fn new(range_us: Range<i64>, n_points: u32, hole_us: Option<i64>) -> Self {
        let n_points = n_points.clamp(POINTS_MIN, POINTS_MAX);
        Self {
            range_us,
            n_points: usize::try_from(n_points).unwrap_or(usize::MAX),
            hole_us,
            few: Vec::new(),
            many: None,
            n_values: 0,
            n_flagged: 0,
        }
    }

    /// The next reading, later than all before.
    pub fn add(&mut self, sample: Sample) {
        if sample.value.is_some() {
            self.n_values += 1;
            self.n_flagged += u64::from(sample.quality != 0);
        }
        if let Some(cells) = &mut self.many {
            cells.add(sample);
            return;
        }
        self.few.push(sample);
        if self.few.len() > self.n_points {
            let hole_us = self.hole_us.unwrap_or_else(|| usual_hole_us(&self.few));
            let n_columns = self.n_points / POINTS_PER_COLUMN as usize;
            let mut cells = Cells::new(&self.range_us, n_columns * CELLS_PER_COLUMN, hole_us);
            std::mem::take(&mut self.few).into_iter().for_each(|sample| cells.add(sample));
            self.many = Some(cells);
        }
    }

    /// The points.
    #[must_use]
    pub fn finish(self) -> Thinned {
        let is_thinned = self.many.is_some();
        let points = match self.many {
            Some(cells) => cells.thin(),
            None => {
                let hole_us = self.hole_us.unwrap_or_else(|| usual_hole_us(&self.few));
                with_breaks(self.few, hole_us)
            }
        };
        Thinned { points, n_values: self.n_values, n_flagged: self.n_flagged, is_thinned }
    }
}

/// From which length on a stretch without values is a hole, judged by the median step.
fn usual_hole_us(samples: &[Sample]) -> i64 {
    let times: Vec<i64> =
        samples.iter().filter(|sample| sample.value.is_some()).map(|sample| sample.at_us).collect();
    let steps = times.windows(2).filter_map(|pair| match pair {
        [a, b] => Some(b.saturating_sub(*a)),
        _ => None,
    });
    let mut steps: Vec<i64> = steps.collect();
    steps.sort_unstable();
    let median = steps.get(steps.len() / 2).copied().unwrap_or(0);
    median.saturating_mul(HOLE_STEPS).max(HOLE_US_MIN)
}

/// A break in the middle of a hole.
fn break_between(a_us: i64, b_us: i64) -> Sample {
    Sample { at_us: a_us.saturating_add(b_us.saturating_sub(a_us) / 2), value: None, quality: 0 }
}

fn with_breaks(samples: Vec<Sample>, hole_us: i64) -> Vec<Sample> {
    let mut points: Vec<Sample> = Vec::with_capacity(samples.len());
    for sample in samples {
        if let Some(before) = points.last()
            && before.value.is_some()
            && sample.value.is_some()
            && sample.at_us.saturating_sub(before.at_us) > hole_us
        {
            points.push(break_between(before.at_us, sample.at_us));
        }
        points.push(sample);
    }
    points
}

/// A part of a column.
#[derive(Debug, Clone, Copy)]
struct Cell {
    idx: u64,
    /// The line must not come from the cell before.
    is_after_hole: bool,
    first: Sample,
    last: Sample,
    min: (f64, Sample),
    max: (f64, Sample),
}

impl Cell {
    /// Candidates in order of time; the same reading may stand in it more than once.
    fn candidates(&self) -> [Sample; 4] {
        let mut all = [self.first, self.min.1, self.max.1, self.last];
        all.sort_by_key(|sample| sample.at_us);
        all
    }
}

#[derive(Debug)]
struct Cells {
    from_us: i64,
    step_us: u64,
    hole_us: i64,
    /// Since the latest value a reading came without a number.
    is_broken: bool,
    cells: Vec<Cell>,
}

impl Cells {
    fn new(range_us: &Range<i64>, n_cells: usize, hole_us: i64) -> Self {
        let span_us = range_us.end.wrapping_sub(range_us.start).cast_unsigned();
        let n_cells = u64::try_from(n_cells.max(1)).unwrap_or(u64::MAX);
        let step_us = span_us.div_ceil(n_cells).max(1);
        Self { from_us: range_us.start, step_us, hole_us, is_broken: false, cells: Vec::new() }
    }

    fn add(&mut self, sample: Sample) {
        let Some(value) = sample.value else {
            self.is_broken = true;
            return;
        };
        let idx = sample.at_us.wrapping_sub(self.from_us).cast_unsigned() / self.step_us;
        match self.cells.last_mut() {
            Some(cell) if cell.idx == idx => {
                if value < cell.min.0 {
                    cell.min = (value, sample);
                }
                if value > cell.max.0 {
                    cell.max = (value, sample);
                }
                cell.last = sample;
            }
            before => {
                let is_far =
                    before.is_some_and(|cell| sample.at_us.saturating_sub(cell.last.at_us) > self.hole_us);
                let (extreme, is_after_hole) = ((value, sample), is_far || self.is_broken);
                let cell =
                    Cell { idx, is_after_hole, first: sample, last: sample, min: extreme, max: extreme };
                self.cells.push(cell);
            }
        }
        self.is_broken = false;
    }

    fn thin(self) -> Vec<Sample> {
        let columns: Vec<&[Cell]> =
            self.cells.chunk_by(|a, b| a.idx / COLUMN_CELLS == b.idx / COLUMN_CELLS).collect();
        let mut points = Vec::with_capacity(columns.len() * 3 + 2);
        let mut chosen = self.cells.first().map(|cell| cell.first);
        for (idx, column) in columns.iter().enumerate() {
            let after = columns.get(idx + 1).map(|next| middle(next));
            let shape = chosen.and_then(|a| self.largest_triangle(a, column, after));
            chosen = shape.or(chosen);
            points.extend(smallest(column));
            points.extend(largest(column));
            points.extend(shape);
        }
        points.extend(self.cells.first().map(|cell| cell.first));
        points.extend(self.cells.last().map(|cell| cell.last));
        let pairs = self.cells.windows(2).filter_map(|pair| match pair {
            [before, after] if after.is_after_hole => Some((before.last, after.first)),
            _ => None,
        });
        for (before, after) in pairs {
            points.extend([before, break_between(before.at_us, after.at_us), after]);
        }
        points.sort_by_key(|point| point.at_us);
        points.dedup_by_key(|point| point.at_us);
        points
    }

    /// Of a column the reading that spans the largest triangle with the one chosen before and the middle of the next column.
    fn largest_triangle(&self, a: Sample, column: &[Cell], after: Option<(f64, f64)>) -> Option<Sample> {
        let x = |at_us: i64| at_us.wrapping_sub(self.from_us).cast_unsigned() as f64;
        let (ax, ay) = (x(a.at_us), a.value?);
        let (cx, cy) = after.map_or((ax, ay), |(at, value)| (at - self.from_us as f64, value));
        let area = |b: &Sample| {
            let (bx, by) = (x(b.at_us), b.value.unwrap_or(ay));
            ((ax - cx) * (by - ay) - (ax - bx) * (cy - ay)).abs()
        };
        let candidates = column.iter().flat_map(Cell::candidates);
        candidates.max_by(|a, b| area(a).total_cmp(&area(b)))
    }
}

const COLUMN_CELLS: u64 = CELLS_PER_COLUMN as u64;

/// Mean time and value of a column's candidates.
fn middle(column: &[Cell]) -> (f64, f64) {
    let (mut at, mut value, mut n) = (0.0, 0.0, 0.0);
    for sample in column.iter().flat_map(Cell::candidates) {
        at += sample.at_us as f64;
        value += sample.value.unwrap_or(0.0);
        n += 1.0;
    }
    (at / n, value / n)
}

fn smallest(column: &[Cell]) -> Option<Sample> {
    column.iter().map(|cell| cell.min).min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, sample)| sample)
}

fn largest(column: &[Cell]) -> Option<Sample> {
    // Of equal ones the first, as with the smallest.
    column.iter().rev().map(|cell| cell.max).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, sample)| sample)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIN_US: i64 = 60_000_000;

    fn thin(n_points: u32, samples: &[(i64, Option<f64>)]) -> Thinned {
        let end = samples.last().map_or(0, |(minute, _)| minute + 1) * MIN_US;
        let mut thinner = Thinner::new(0..end, n_points, None);
        for (minute, value) in samples {
            thinner.add(Sample { at_us: minute * MIN_US, value: *value, quality: 0 });
        }
        thinner.finish()
    }

    /// Minutes of the breaks.
    fn breaks(thinned: &Thinned) -> Vec<i64> {
        let breaks = thinned.points.iter().filter(|point| point.value.is_none());
        breaks.map(|point| point.at_us / MIN_US).collect()
    }

    #[test]
    fn a_single_spike_among_a_million_stays() {
        let mut samples: Vec<_> = (0..1_000_000)
            .map(|n| (n, Some(20.0 + f64::from(i32::try_from(n % 1440).unwrap()) / 1440.0)))
            .collect();
        samples[123_456].1 = Some(61.0);
        samples[654_321].1 = Some(-3.0);
        let thinned = thin(600, &samples);
        assert!(thinned.is_thinned && thinned.points.len() <= 600, "{}", thinned.points.len());
        for (minute, value) in [(123_456, 61.0), (654_321, -3.0), (0, 20.0)] {
            let point = thinned.points.iter().find(|point| point.at_us == minute * MIN_US);
            assert_eq!(point.and_then(|point| point.value), Some(value));
        }
        assert_eq!(thinned.points.last().map(|point| point.at_us), Some(999_999 * MIN_US));
        assert_eq!(thinned.n_values, 1_000_000);
    }

    #[test]
    fn few_readings_stay_as_they_are_and_holes_break_the_line() {
        let samples = [(0, Some(1.0)), (10, Some(2.0)), (20, Some(3.0)), (90, Some(4.0)), (100, Some(5.0))];
        let thinned = thin(100, &samples);
        assert_eq!((thinned.points.len(), breaks(&thinned)), (6, vec![55]));
        assert!(!thinned.is_thinned);
        let missing = thin(100, &[(0, Some(1.0)), (10, None), (20, Some(3.0))]);
        assert_eq!(breaks(&missing), [10]);
    }

    #[test]
    fn holes_stay_holes_in_a_thinned_series() {
        let samples: Vec<_> = (0..10_000)
            .filter(|minute| !(3_000..4_000).contains(minute))
            .map(|minute| (minute, (minute != 7_010).then_some(1.0)))
            .collect();
        let thinned = thin(400, &samples);
        assert_eq!(breaks(&thinned).len(), 1, "one reading without a value is narrower than a cell");
        let at = thinned.points.iter().position(|point| point.value.is_none()).unwrap();
        let around = [thinned.points[at - 1].at_us / MIN_US, thinned.points[at + 1].at_us / MIN_US];
        assert_eq!(around, [2_999, 4_000], "the line ends and begins where the readings do");
    }

    #[test]
    fn a_corner_is_chosen_for_its_triangle() {
        // A roof: the column's smallest and largest are its ends, the corner in the middle is what draws it.
        let roof =
            |minute: i64| f64::from(i32::try_from(if minute < 640 { 0 } else { minute - 640 }).unwrap());
        let samples: Vec<_> = (0..1_280).map(|minute| (minute, Some(roof(minute)))).collect();
        let thinned = thin(16, &samples);
        let nearest = thinned.points.iter().map(|point| (point.at_us / MIN_US - 640).abs()).min();
        assert!(nearest.is_some_and(|far| far <= 80), "{nearest:?} {:?}", thinned.points);
    }

    proptest! {
        #[test]
        fn extremes_of_every_column_stay(
            values in prop::collection::vec(prop::option::weighted(0.9, -50_i32..50), 1..1_500),
            n_points in 0_u32..300,
            every in 1_i64..90,
        ) {
            let samples: Vec<_> = (0..).map(|n: i64| n * every).zip(values.iter().map(|v| v.map(f64::from))).collect();
            let thinned = thin(n_points, &samples);
            let n_points = usize::try_from(n_points.max(POINTS_MIN)).unwrap();
            let numbers: Vec<_> = thinned.points.iter().filter(|point| point.value.is_some()).collect();
            prop_assert!(thinned.points.len() <= 4 * n_points);
            prop_assert!(thinned.points.windows(2).all(|pair| pair[0].at_us < pair[1].at_us));
            // Every point is a reading, and no reading of a column lies outside its points.
            for point in &numbers {
                let minute = point.at_us / MIN_US;
                prop_assert_eq!(samples[usize::try_from(minute / every).unwrap()], (minute, point.value));
            }
            let n_columns = i64::try_from(n_points / 4).unwrap();
            let end_us = samples.last().map_or(0, |(minute, _)| minute + 1) * MIN_US;
            let column = |at_us: i64| at_us / ((end_us + 4 * n_columns - 1) / (4 * n_columns)) / 4;
            for idx in 0..n_columns {
                let all: Vec<f64> = samples.iter().filter(|s| column(s.0 * MIN_US) == idx).filter_map(|s| s.1).collect();
                let kept: Vec<f64> = numbers.iter().filter(|p| column(p.at_us) == idx).filter_map(|p| p.value).collect();
                let ends = |of: &[f64]| {
                    of.iter().fold(None, |ends: Option<(f64, f64)>, v| Some(ends.map_or((*v, *v), |(a, b)| (a.min(*v), b.max(*v)))))
                };
                prop_assert_eq!(ends(&all), ends(&kept));
            }
        }
    }
}
