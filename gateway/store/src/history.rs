//! Thinning for charts: many samples become few columns that still show every extreme.
//!
//! Must not interpolate or invent: a span without values gives no point, and a missing reading is no value. Invariant: the
//! smallest and largest value of the range are in the result.

use std::ops::Range;

use super::types::{ChartPoint, Sample};

/// Most columns of a chart: more than any screen has.
pub const CHART_POINTS_MAX: u32 = 10_000;

/// Collects samples in time order into columns of equal span.
#[derive(Debug)]
pub(super) struct Thinner {
    from_us: i64,
    /// Span of a column.
    step_us: u64,
    column: u64,
    sum: f64,
    points: Vec<ChartPoint>,
}

impl Thinner {
    /// At most `n_points` columns over `range`.
    pub(super) fn new(range: &Range<i64>, n_points: u32) -> Self {
        let span_us = range.end.wrapping_sub(range.start).cast_unsigned();
        let n_points = u64::from(n_points.clamp(1, CHART_POINTS_MAX));
        Self {
            from_us: range.start,
            step_us: span_us.div_ceil(n_points).max(1),
            column: 0,
            sum: 0.0,
            points: Vec::new(),
        }
    }

    /// Takes the next sample; one without a number is passed by.
    pub(super) fn add(&mut self, sample: Sample) {
        let Some(value) = sample.value else { return };
        let column = sample.at_us.wrapping_sub(self.from_us).cast_unsigned() / self.step_us;
        match self.points.last_mut().filter(|_| column == self.column) {
            Some(point) => {
                point.min = point.min.min(value);
                point.max = point.max.max(value);
                point.last = value;
                point.n_values = point.n_values.saturating_add(1);
                self.sum += value;
                point.mean = (self.sum / f64::from(point.n_values)).clamp(point.min, point.max);
            }
            None => {
                self.column = column;
                self.sum = value;
                let at_us = sample.at_us;
                self.points.push(ChartPoint {
                    at_us,
                    min: value,
                    max: value,
                    mean: value,
                    last: value,
                    n_values: 1,
                });
            }
        }
    }

    /// The columns that hold a value.
    pub(super) fn finish(self) -> Vec<ChartPoint> {
        self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thin(range: Range<i64>, n_points: u32, samples: &[(i64, Option<f64>)]) -> Vec<ChartPoint> {
        let mut thinner = Thinner::new(&range, n_points);
        for (at_us, value) in samples {
            thinner.add(Sample { at_us: *at_us, value: *value, quality: 0 });
        }
        thinner.finish()
    }

    #[test]
    fn extremes_and_last_values_stay() {
        let points = thin(
            0..100,
            2,
            &[(0, Some(5.0)), (10, Some(-7.0)), (20, None), (49, Some(2.0)), (50, Some(9.0))],
        );
        let first = ChartPoint { at_us: 0, min: -7.0, max: 5.0, mean: 0.0, last: 2.0, n_values: 3 };
        let second = ChartPoint { at_us: 50, min: 9.0, max: 9.0, mean: 9.0, last: 9.0, n_values: 1 };
        assert_eq!(points, [first, second]);
    }

    #[test]
    fn never_more_columns_than_asked_for() {
        for n_points in 1..40 {
            let samples: Vec<_> = (0..101).map(|at_us| (at_us, Some(1.0))).collect();
            let points = thin(0..101, n_points, &samples);
            assert!(points.len() <= usize::try_from(n_points).unwrap(), "{n_points} {}", points.len());
            assert_eq!(points.iter().map(|point| point.n_values).sum::<u32>(), 101);
        }
    }

    #[test]
    fn the_widest_range_and_huge_values_do_not_overflow() {
        let points =
            thin(i64::MIN..i64::MAX, 0, &[(i64::MIN, Some(f64::MAX)), (i64::MAX - 1, Some(f64::MAX))]);
        assert_eq!(points.len(), 1);
        assert_eq!(points[0].mean.to_bits(), f64::MAX.to_bits());
    }
}
