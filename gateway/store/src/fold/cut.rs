//! Cutting a run of points into chunks that fill database pages.
//!
//! SQLite keeps a row that fits into a page within it; two rows of little more than half a page take two pages. So the size of a chunk is
//! not a number of samples but what fills a page: a week of usual readings. What is left over becomes a small chunk that later ones
//! join.
//!
//! Must not read or write rows. Invariant: the pieces together are the points, in order, none above [`N_MAX`].

use super::super::chunk::{Effort, Learnt, N_MAX, encode, encode_learning, encode_to_size};
use super::super::types::Point;

/// Largest blob that fits into a page of 4 KiB with its row: SQLite keeps at most 4,061 bytes of a row in its page, and the other columns
/// take up to 44 of them.
const PAGE_BLOB: usize = 4_016;

/// A full page of what overflows into further pages leaves 489 bytes in the first (SQLite file format, "B-tree cell"); less than half of
/// them are other columns.
const OVERFLOW_BLOB: usize = 440;

/// What an overflow page holds.
const OVERFLOW_PAGE: usize = 4_092;

/// Fewer samples are not worth a chunk of their own: each has a head of about a hundred bytes.
const N_MIN: usize = 2_048;

/// A chunk within this share of its target is full.
const FULL_PERCENT: usize = 92;

/// Tries to meet the target; each packs the whole piece.
const TRIES_MAX: usize = 4;

/// A piece and its blob.
#[derive(Debug)]
pub(super) struct Piece<'p> {
    pub(super) points: &'p [Point],
    pub(super) blob: Vec<u8>,
}

/// True for a chunk that nothing is to be joined to.
pub(super) fn is_full(n_samples: usize, n_bytes: usize) -> bool {
    n_samples * 100 >= N_MAX * FULL_PERCENT
        || n_samples >= N_MIN && n_bytes * 100 >= target(n_samples, n_bytes) * FULL_PERCENT
}

/// True for a chunk that leaves room in its page for another.
pub(super) fn shares_page(n_bytes: usize) -> bool {
    n_bytes <= PAGE_BLOB / 2
}

/// How many pieces a rest of so many bytes is cut into at most, packed thoroughly: pieces are filled to nine tenths and more.
pub(super) fn n_pieces_max(n_bytes: usize) -> usize {
    (n_bytes * 10).div_ceil(PAGE_BLOB / 2 * 9)
}

/// The size at which samples that take as much room as these make a full chunk.
fn target(n_samples: usize, n_bytes: usize) -> usize {
    if n_samples * PAGE_BLOB >= N_MIN * n_bytes {
        return PAGE_BLOB;
    }
    let wanted = N_MIN * n_bytes / n_samples.max(1);
    OVERFLOW_BLOB + wanted.div_ceil(OVERFLOW_PAGE) * OVERFLOW_PAGE
}

/// Cuts `points` into full chunks and a rest. `rest` is how hard the rest is packed: thoroughly, it is also cut so that two such pieces
/// share a page.
pub(super) fn cut(mut points: &[Point], rest: Effort) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    while !points.is_empty() {
        let piece = first_piece(points, rest);
        points = points.get(piece.points.len()..).unwrap_or_default();
        pieces.push(piece);
    }
    pieces
}

/// The first full chunk of `points`, or all of them if they do not fill one.
fn first_piece(points: &[Point], rest: Effort) -> Piece<'_> {
    let all = points.get(..N_MAX).unwrap_or(points);
    let (quick, rest_of) = match rest {
        Effort::Quick => (encode(all, Effort::Quick), None),
        Effort::Thorough => (encode_to_size(all), Some(|n, n_bytes| target(n, n_bytes) / 2)),
    };
    // Packed thoroughly they take less: if they do not fill a page in a hurry, they do not at all.
    if is_full(all.len(), quick.len()) || quick.len() >= target(all.len(), quick.len()) {
        return fitted(all, quick.len(), target);
    }
    match rest_of {
        None => Piece { points: all, blob: quick },
        Some(half) => fitted(all, quick.len(), half),
    }
}

/// As many of the first points as meet a target, all if they stay below it. All of them, packed quickly, take `n_quick` bytes.
fn fitted(all: &[Point], n_quick: usize, target: impl Fn(usize, usize) -> usize) -> Piece<'_> {
    // Thoroughly they take less, hours not counted: the first try is near the target.
    let mut n = (all.len() * target(all.len(), n_quick) / n_quick.max(1)).clamp(1, all.len());
    let mut n_too_many = all.len() + 1;
    let mut best: Option<Piece<'_>> = None;
    let mut learnt = Learnt::default();
    for _ in 0..TRIES_MAX {
        let tried = all.get(..n).unwrap_or(all);
        let blob = encode_learning(tried, Effort::Thorough, &mut learnt);
        let target = target(n, blob.len());
        let next = n.saturating_mul(target) / blob.len().max(1);
        let fits = blob.len() <= target;
        let is_last = n == all.len() || blob.len() * 100 >= target * 98;
        if !fits {
            n_too_many = n;
        } else if best.as_ref().is_none_or(|best| best.points.len() < n) {
            best = Some(Piece { points: tried, blob });
        }
        if fits && is_last {
            break;
        }
        // A little less than what would just fit, so that the next try does.
        n = (next - next / 200).clamp(1, n_too_many - 1);
    }
    best.unwrap_or_else(|| {
        let few = all.get(..N_MIN).unwrap_or(all);
        Piece { points: few, blob: encode(few, Effort::Thorough) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(n: i64, value: impl Fn(i64) -> f64) -> Vec<Point> {
        (0..n)
            .map(|i| Point { at_us: 1_700_000_000_000_000 + i * 60_000_000, value: value(i), quality: 0 })
            .collect()
    }

    fn noise(i: i64) -> i64 {
        (i * 7_919 + 13) * 104_729 % 1_000_003
    }

    fn check(points: &[Point]) -> Vec<(usize, usize)> {
        let pieces = cut(points, Effort::Quick);
        let joined: Vec<i64> =
            pieces.iter().flat_map(|piece| piece.points).map(|point| point.at_us).collect();
        assert_eq!(joined, points.iter().map(|point| point.at_us).collect::<Vec<_>>());
        for piece in pieces.split_last().map_or(&[][..], |(_, full)| full) {
            assert!(
                is_full(piece.points.len(), piece.blob.len()),
                "{} {}",
                piece.points.len(),
                piece.blob.len()
            );
        }
        pieces.iter().map(|piece| (piece.points.len(), piece.blob.len())).collect()
    }

    #[test]
    fn noisy_readings_fill_pages() {
        let sizes = check(&series(40_000, |i| (250 + noise(i) % 5) as f64 / 10.0));
        assert!(sizes.len() >= 3, "{sizes:?}");
        assert!(sizes.iter().all(|(_, n_bytes)| *n_bytes <= PAGE_BLOB), "{sizes:?}");
    }

    #[test]
    fn a_constant_is_cut_by_count_only() {
        assert_eq!(
            check(&series(90_000, |_| 1.5)).iter().map(|size| size.0).collect::<Vec<_>>(),
            [N_MAX, N_MAX, 90_000 - 2 * N_MAX]
        );
    }

    #[test]
    fn incompressible_values_fill_several_pages() {
        let sizes = check(&series(10_000, |i| (i as f64).sin()));
        let full = sizes.split_last().unwrap().1;
        assert!(full.iter().all(|(_, n_bytes)| n_bytes % OVERFLOW_PAGE <= OVERFLOW_BLOB), "{sizes:?}");
        assert!(sizes[0].0 >= N_MIN, "{sizes:?}");
    }

    #[test]
    fn a_few_points_are_one_piece() {
        assert_eq!(check(&series(10, |i| i as f64)).len(), 1);
        assert!(cut(&[], Effort::Thorough).is_empty());
        let points = series(12_000, |i| (250 + noise(i) % 5) as f64 / 10.0);
        let halves = cut(&points, Effort::Thorough);
        assert_eq!(halves.iter().map(|piece| piece.points.len()).sum::<usize>(), 12_000);
        assert!(halves.iter().all(|piece| piece.blob.len() <= PAGE_BLOB / 2 && !piece.points.is_empty()));
    }

    #[test]
    fn what_fills_a_page_with_its_hours_is_not_cut_into_halves() {
        // A rest is two halves at most, however far beyond a page it reaches.
        let points = series(16_000, |i| (250 + noise(i) % 5) as f64 / 10.0);
        for n in (9_000..16_000).step_by(125) {
            let pieces = cut(&points[..n], Effort::Thorough);
            let is_small = |piece: &&Piece<'_>| !is_full(piece.points.len(), piece.blob.len());
            let sizes: Vec<usize> = pieces.iter().map(|piece| piece.blob.len()).collect();
            assert!(pieces.iter().filter(is_small).count() <= 2, "{n}: {sizes:?}");
        }
    }
}
