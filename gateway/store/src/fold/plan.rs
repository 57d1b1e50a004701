//! Which chunks of a series are rewritten when new samples arrive.
//!
//! Glossary: a *head* is a chunk without its content; a *segment* is what is written together, cut into full chunks and a rest: heads
//! that are neighbours, new samples, or both; it is *dirty* when it differs from what is on disk.
//!
//! New samples inside the range of a chunk go into that chunk. New samples between chunks make a segment of their own, and
//! neighbours are joined while that is cheap: a clean chunk is rewritten only if it is not full and at most twice as large as what it
//! is joined with, so that each sample is rewritten a logarithmic number of times however little arrives at once, and the
//! number of small chunks stays logarithmic too. Making compact joins them at any price. Chunks do not cross a window of 128 days, which
//! bounds what retention keeps too long and lets a reading every ten minutes fill a chunk.
//!
//! Must not read or write anything. Invariant: segments are in time order and do not overlap.

use std::ops::Range;

use super::super::chunk::N_MAX;
use super::super::types::Point;
use super::cut::{is_full, n_pieces_max, shares_page};

/// Samples rewritten together at most, so that memory is bounded; late data may touch every chunk of a year.
const N_TOGETHER_MAX: usize = 4 * N_MAX;

/// No chunk crosses a multiple of this (128 days in µs).
const WINDOW_US: i64 = 128 * 86_400 * 1_000_000;

/// A chunk on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Head {
    pub(in super::super) id: i64,
    pub(in super::super) from_us: i64,
    pub(in super::super) to_us: i64,
    pub(in super::super) n_samples: usize,
    pub(in super::super) n_bytes: usize,
}

impl Head {
    /// From a row of id, first time, last time, samples, bytes.
    pub(in super::super) fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let number = |idx| row.get::<_, u32>(idx).map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        Ok(Self {
            id: row.get(0)?,
            from_us: row.get(1)?,
            to_us: row.get(2)?,
            n_samples: number(3)?,
            n_bytes: number(4)?,
        })
    }

    fn is_full(&self) -> bool {
        is_full(self.n_samples, self.n_bytes)
    }

    fn window(&self) -> i64 {
        self.from_us.div_euclid(WINDOW_US)
    }
}

/// Heads and new samples, by position, that become one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) heads: Range<usize>,
    pub(super) points: Range<usize>,
    n_samples: usize,
    window: i64,
    /// Clean and full: rewriting it gains nothing.
    is_full: bool,
    /// Written although nothing of it changes, so that it shares a page with others.
    moves: bool,
}

impl Segment {
    /// True when it must be written.
    pub(super) fn is_dirty(&self) -> bool {
        !self.points.is_empty() || self.heads.len() > 1 || self.moves
    }

    /// True when joining its heads makes them fewer, so that what was joined is not joined again.
    pub(super) fn pays(&self, heads: &[Head]) -> bool {
        let heads = heads.get(self.heads.clone()).unwrap_or_default();
        heads.len() > n_pieces_max(heads.iter().map(|head| head.n_bytes).sum())
    }

    fn joins(&self, next: &Self) -> bool {
        let is_cheap = match (self.is_dirty(), next.is_dirty()) {
            (true, true) => true,
            (true, false) => next.n_samples <= 2 * self.n_samples,
            (false, true) => self.n_samples <= 2 * next.n_samples,
            (false, false) => false,
        };
        is_cheap && self.may_join(next)
    }

    fn may_join(&self, next: &Self) -> bool {
        let n_samples = self.n_samples + next.n_samples;
        self.window == next.window && !self.is_full && !next.is_full && n_samples <= N_TOGETHER_MAX
    }
}

/// Segments for `heads` (ascending) and `points` (ascending, no two with one time).
pub(super) fn segments(heads: &[Head], points: &[Point]) -> Vec<Segment> {
    let mut out = Vec::new();
    let mut at = 0;
    for (idx, head) in heads.iter().enumerate() {
        let before = at + count_while(points, at, |point| point.at_us < head.from_us);
        push_gap(&mut out, idx, at..before, points);
        let after = before + count_while(points, before, |point| point.at_us <= head.to_us);
        push(
            &mut out,
            Segment {
                heads: idx..idx + 1,
                points: before..after,
                n_samples: head.n_samples + (after - before),
                window: head.window(),
                is_full: head.is_full() && before == after,
                moves: false,
            },
        );
        at = after;
    }
    push_gap(&mut out, heads.len(), at..points.len(), points);
    out
}

/// Segments that join all neighbours that are not full, and move what does not fill a page: written one after the other, such chunks
/// share pages.
pub(super) fn compact_segments(heads: &[Head]) -> Vec<Segment> {
    let mut out: Vec<Segment> = Vec::new();
    for (idx, head) in heads.iter().enumerate() {
        let mut segment = Segment {
            heads: idx..idx + 1,
            points: 0..0,
            n_samples: head.n_samples,
            window: head.window(),
            is_full: head.is_full(),
            moves: !head.is_full() || shares_page(head.n_bytes),
        };
        if let Some(last) = out.pop_if(|last| last.may_join(&segment)) {
            segment.heads.start = last.heads.start;
            segment.n_samples += last.n_samples;
        }
        out.push(segment);
    }
    out
}

fn count_while(points: &[Point], from: usize, wanted: impl Fn(&Point) -> bool) -> usize {
    points.get(from..).unwrap_or_default().partition_point(wanted)
}

/// Adds samples that lie in no chunk, cut at windows.
fn push_gap(out: &mut Vec<Segment>, head_idx: usize, range: Range<usize>, points: &[Point]) {
    let window = |point: &Point| point.at_us.div_euclid(WINDOW_US);
    let mut from = range.start;
    for part in points.get(range).unwrap_or_default().chunk_by(|a, b| window(a) == window(b)) {
        let points = from..from + part.len();
        from = points.end;
        let window = part.first().map_or(0, window);
        push(
            out,
            Segment {
                heads: head_idx..head_idx,
                points,
                n_samples: part.len(),
                window,
                is_full: false,
                moves: false,
            },
        );
    }
}

/// Adds a segment and joins the last ones while that is cheap.
fn push(out: &mut Vec<Segment>, mut segment: Segment) {
    while let Some(last) = out.pop_if(|last| last.joins(&segment)) {
        segment = Segment {
            heads: last.heads.start..segment.heads.end,
            points: last.points.start..segment.points.end,
            n_samples: last.n_samples + segment.n_samples,
            window: segment.window,
            is_full: false,
            moves: false,
        };
    }
    out.push(segment);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(from_us: i64, to_us: i64, n_samples: usize) -> Head {
        Head { id: from_us, from_us, to_us, n_samples, n_bytes: n_samples / 4 }
    }

    fn points(times: impl IntoIterator<Item = i64>) -> Vec<Point> {
        times.into_iter().map(|at_us| Point { at_us, value: 0.0, quality: 0 }).collect()
    }

    /// (heads, points, dirty) of each segment.
    fn check(
        heads: &[Head],
        times: impl IntoIterator<Item = i64>,
        expected: &[(Range<usize>, Range<usize>, bool)],
    ) {
        let got: Vec<_> = segments(heads, &points(times))
            .into_iter()
            .map(|segment| (segment.heads.clone(), segment.points.clone(), segment.is_dirty()))
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn first_samples_make_one_chunk() {
        check(&[], 0..10, &[(0..0, 0..10, true)]);
    }

    #[test]
    fn few_samples_after_a_large_chunk_stay_apart_and_many_join_it() {
        check(&[head(0, 99, 100)], 100..110, &[(0..1, 0..0, false), (1..1, 0..10, true)]);
        check(&[head(0, 99, 100)], 100..150, &[(0..1, 0..50, true)]);
    }

    #[test]
    fn full_chunks_stay_and_compacting_joins_the_others() {
        let heads = [head(0, 99, 31_000), head(100, 199, 3_000), head(200, 299, 100), head(300, 399, 31_000)];
        check(
            &heads,
            400..440,
            &[
                (0..1, 0..0, false),
                (1..2, 0..0, false),
                (2..3, 0..0, false),
                (3..4, 0..0, false),
                (4..4, 0..40, true),
            ],
        );
        let joined: Vec<_> = compact_segments(&heads)
            .into_iter()
            .map(|segment| (segment.heads.clone(), segment.is_dirty()))
            .collect();
        assert_eq!(joined, [(0..1, false), (1..3, true), (3..4, false)]);
        let small = Head { n_bytes: 60, ..heads[0] };
        assert!(compact_segments(&[small]).iter().all(Segment::is_dirty));
    }

    #[test]
    fn a_late_sample_goes_into_its_chunk_and_leaves_full_ones_alone() {
        let heads = [head(0, 99, 31_000), head(100, 5_000, 31_000), head(5_001, 9_000, 31_000)];
        check(&heads, [300], &[(0..1, 0..0, false), (1..2, 0..1, true), (2..3, 1..1, false)]);
    }

    #[test]
    fn samples_spanning_several_chunks_are_written_with_them() {
        let heads = [head(100, 199, 3_000), head(300, 399, 3_000), head(500, 599, 3_000)];
        check(&heads, [0, 150, 250, 350, 450], &[(0..3, 0..5, true)]);
        let many = [head(0, 9, 70_000), head(10, 19, 70_000)];
        check(&many, [5, 15], &[(0..1, 0..1, true), (1..2, 1..2, true)]);
    }

    #[test]
    fn nothing_crosses_a_window() {
        check(
            &[head(0, 10, 5)],
            [20, WINDOW_US],
            &[(0..1, 0..0, false), (1..1, 0..1, true), (1..1, 1..2, true)],
        );
        check(&[], [-1, 0], &[(0..0, 0..1, true), (0..0, 1..2, true)]);
    }

    #[test]
    fn a_sample_at_a_time_leaves_few_chunks_and_little_rewriting() {
        let mut heads: Vec<Head> = Vec::new();
        let mut n_written = 0;
        for at_us in 0..4_000 {
            let segments = segments(&heads, &points([at_us]));
            heads = segments
                .iter()
                .map(|segment| {
                    let old: usize = heads[segment.heads.clone()].iter().map(|head| head.n_samples).sum();
                    let n_samples = old + segment.points.len();
                    n_written += if segment.is_dirty() { n_samples } else { 0 };
                    head(heads.get(segment.heads.start).map_or(at_us, |head| head.from_us), at_us, n_samples)
                })
                .collect();
        }
        assert!(heads.len() <= 14, "{} chunks", heads.len());
        assert!(n_written <= 4_000 * 24, "{n_written} samples written");
    }
}
