//! The times of a chunk: nothing on an even grid, the noise alone around one, steps otherwise.
//!
//! The byte table is in the module doc of `chunk`. Must not know values. Invariant: times that come out ascend strictly, or it is an
//! error value.

use std::ops::Range;

use pco::{ChunkConfig, DeltaSpec, ModeSpec};

use super::super::bytes::{BadBytes, Cursor, put_varint};
use super::super::types::Point;
use super::{PCO_MIN, pack, put_len, put_section, take_section, unpack};

const TIMES_EVEN: u8 = 0;
const TIMES_VARINT: u8 = 1;
const TIMES_PCO_32: u8 = 2;
const TIMES_PCO_64: u8 = 3;
const TIMES_AROUND_GRID: u8 = 4;

/// What the steps between neighbours have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rhythm {
    /// Every step is a multiple of this (µs), at least 1.
    pub(super) unit_us: u64,
    /// The step when all are the same (µs).
    pub(super) even_us: Option<u64>,
}

/// Steps between neighbours.
fn steps(points: &[Point]) -> impl Iterator<Item = u64> {
    let pairs = points.iter().zip(points.iter().skip(1));
    pairs.map(|(earlier, later)| later.at_us.wrapping_sub(earlier.at_us).cast_unsigned())
}

/// The rhythm of ascending points.
pub(super) fn rhythm(points: &[Point]) -> Rhythm {
    let first = steps(points).next().unwrap_or(0);
    let unit_us = steps(points).fold(0, greatest_common_divisor).max(1);
    Rhythm { unit_us, even_us: steps(points).all(|step| step == first).then_some(first) }
}

/// Appends the times but the first.
pub(super) fn put_times(out: &mut Vec<u8>, points: &[Point], rhythm: Rhythm) {
    if let Some(step) = rhythm.even_us {
        out.push(TIMES_EVEN);
        put_varint(out, step);
        return;
    }
    let steps: Vec<u64> = steps(points).map(|step| step / rhythm.unit_us).collect();
    let grid = (steps.len() >= PCO_MIN).then(|| AroundGrid::new(&steps)).flatten();
    if let Some(packed) = grid.and_then(|grid| grid.pack()) {
        out.push(TIMES_AROUND_GRID);
        put_varint(out, rhythm.unit_us);
        put_section(out, &packed);
        return;
    }
    let narrow: Option<Vec<u32>> = steps.iter().map(|step| u32::try_from(*step).ok()).collect();
    let packed = match narrow {
        _ if steps.len() < PCO_MIN => None,
        Some(narrow) => pack(&narrow, &plain()).map(|bytes| (TIMES_PCO_32, bytes)),
        None => pack(&steps, &plain()).map(|bytes| (TIMES_PCO_64, bytes)),
    };
    let (kind, bytes) = packed.unwrap_or_else(|| {
        let mut bytes = Vec::new();
        for step in &steps {
            put_varint(&mut bytes, *step);
        }
        (TIMES_VARINT, bytes)
    });
    out.push(kind);
    put_varint(out, rhythm.unit_us);
    put_section(out, &bytes);
}

/// Numbers without order: no differences, no common factor.
fn plain() -> ChunkConfig {
    ChunkConfig::default().with_delta_spec(DeltaSpec::NoOp).with_mode_spec(ModeSpec::Classic)
}

/// Times of points, ascending.
#[derive(Debug)]
pub(super) enum Times {
    /// With one step between all neighbours; the last one can be told.
    Even { from_us: i64, step_us: u64, n: usize },
    /// Any others.
    Listed(Vec<i64>),
}

impl Times {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Even { n, .. } => *n,
            Self::Listed(times) => times.len(),
        }
    }

    /// How many are before a moment.
    pub(super) fn n_before(&self, at_us: i64) -> usize {
        match self {
            Self::Even { from_us, n, .. } if at_us <= *from_us || *n == 0 => 0,
            Self::Even { from_us, step_us, n } => {
                let behind_us = at_us.wrapping_sub(*from_us).cast_unsigned();
                usize::try_from(behind_us.div_ceil((*step_us).max(1))).unwrap_or(*n).min(*n)
            }
            Self::Listed(times) => times.partition_point(|time| *time < at_us),
        }
    }

    /// Appends some of them.
    pub(super) fn put(&self, some: Range<usize>, out: &mut Vec<i64>) {
        match self {
            Self::Even { from_us, step_us, n } => {
                let some = some.start..some.end.min(*n);
                out.extend(some.map(|idx| from_us.wrapping_add_unsigned(step_us.wrapping_mul(idx as u64))));
            }
            Self::Listed(times) => out.extend_from_slice(times.get(some).unwrap_or_default()),
        }
    }

    /// All of them.
    pub(super) fn listed(self) -> Vec<i64> {
        match self {
            Self::Even { n, .. } => {
                let mut times = Vec::with_capacity(n);
                self.put(0..n, &mut times);
                times
            }
            Self::Listed(times) => times,
        }
    }
}

/// Reads the times of `n` points, the first of which is `from_us`.
pub(super) fn take_times(cursor: &mut Cursor<'_>, from_us: i64, n: usize) -> Result<Times, BadBytes> {
    let kind = cursor.byte()?;
    let n_steps = n - 1;
    let unit = cursor.varint()?;
    let steps = match kind {
        TIMES_EVEN => return even(from_us, unit, n_steps),
        TIMES_VARINT => {
            let mut numbers = Cursor::new(take_section(cursor)?);
            let steps = (0..n_steps).map(|_| numbers.varint()).collect::<Result<Vec<u64>, BadBytes>>()?;
            if !numbers.is_at_end() {
                return Err(BadBytes);
            }
            steps
        }
        TIMES_PCO_32 => unpack::<u32>(take_section(cursor)?, n_steps)?.into_iter().map(u64::from).collect(),
        TIMES_PCO_64 => unpack::<u64>(take_section(cursor)?, n_steps)?,
        TIMES_AROUND_GRID => AroundGrid::unpack(take_section(cursor)?, n)?.steps()?,
        _ => return Err(BadBytes),
    };
    let mut at_us = from_us;
    let mut times = Vec::with_capacity(n);
    times.push(at_us);
    for step in steps {
        let step_us = step.checked_mul(unit).filter(|step_us| *step_us > 0).ok_or(BadBytes)?;
        at_us = at_us.checked_add_unsigned(step_us).ok_or(BadBytes)?;
        times.push(at_us);
    }
    Ok(Times::Listed(times))
}

/// Times with one step between all neighbours.
fn even(from_us: i64, step_us: u64, n_steps: usize) -> Result<Times, BadBytes> {
    let n = n_steps + 1;
    if n_steps == 0 {
        return Ok(Times::Even { from_us, step_us: 0, n });
    }
    let n_steps = u64::try_from(n_steps).map_err(|_| BadBytes)?;
    // The last one bounds the others.
    step_us.checked_mul(n_steps).and_then(|span_us| from_us.checked_add_unsigned(span_us)).ok_or(BadBytes)?;
    if step_us == 0 {
        return Err(BadBytes);
    }
    Ok(Times::Even { from_us, step_us, n })
}

/// Times as places on a grid that leaves some out, and how far behind its place each is. Differences between neighbours would carry
/// the noise of both.
struct AroundGrid {
    /// Between two places.
    step: u64,
    /// Where places were left out: (neighbours since the last such, places ahead).
    skips: Vec<(u64, u64)>,
    /// Behind the place, one a point.
    late: Vec<u32>,
}

impl AroundGrid {
    /// The grid under `steps`; `None` where there is none worth its bits.
    fn new(steps: &[u64]) -> Option<Self> {
        let step = usual_step(steps)?;
        let half = i64::try_from(step / 2).ok()?;
        let whole = i64::try_from(step).ok()?;
        let (mut offset, mut since) = (0_i64, 0);
        let (mut offsets, mut skips) = (vec![0_i64], Vec::new());
        for ahead in steps {
            let from_place = offset.checked_add(i64::try_from(*ahead).ok()?)?;
            let places = from_place.checked_add(half)?.div_euclid(whole);
            offset = from_place - places.checked_mul(whole)?;
            offsets.push(offset);
            if places == 1 {
                since += 1;
            } else {
                skips.push((since, places.try_into().ok()?));
                since = 0;
            }
        }
        let (low, high) = (*offsets.iter().min()?, *offsets.iter().max()?);
        // Noise as wide as the grid, or hardly a grid: the steps themselves are as short.
        if high - low > whole / 4 || skips.len() > steps.len() / 16 {
            return None;
        }
        let late = offsets.iter().map(|offset| u32::try_from(offset - low)).collect::<Result<_, _>>();
        Some(Self { step, skips, late: late.ok()? })
    }

    fn pack(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        put_varint(&mut out, self.step);
        put_len(&mut out, self.skips.len());
        for (since, places) in &self.skips {
            put_varint(&mut out, *since);
            put_varint(&mut out, *places);
        }
        out.append(&mut pack(&self.late, &plain())?);
        Some(out)
    }

    fn unpack(section: &[u8], n: usize) -> Result<Self, BadBytes> {
        let mut cursor = Cursor::new(section);
        let step = cursor.varint()?;
        let n_skips = cursor.len()?;
        if n_skips > n {
            return Err(BadBytes);
        }
        let skips =
            (0..n_skips).map(|_| Ok((cursor.varint()?, cursor.varint()?))).collect::<Result<_, _>>()?;
        Ok(Self { step, skips, late: unpack(cursor.rest(), n)? })
    }

    /// The steps between neighbours.
    fn steps(&self) -> Result<Vec<u64>, BadBytes> {
        let mut skips = self.skips.iter();
        let mut skip = skips.next();
        let mut since = 0;
        let pairs = self.late.iter().zip(self.late.iter().skip(1));
        let steps = pairs.map(|(before, after)| {
            let places = match skip {
                Some((at, places)) if *at == since => {
                    (skip, since) = (skips.next(), 0);
                    *places
                }
                _ => {
                    since += 1;
                    1
                }
            };
            let ahead = places.checked_mul(self.step).and_then(|ahead| ahead.checked_add(u64::from(*after)));
            ahead.and_then(|ahead| ahead.checked_sub(u64::from(*before))).ok_or(BadBytes)
        });
        steps.collect()
    }
}

/// The step that a person would call the rhythm: the middle one, on a round number where one is near enough.
fn usual_step(steps: &[u64]) -> Option<u64> {
    let mut sorted = steps.to_vec();
    let middle = sorted.len() / 2;
    let (below, median, above) = sorted.select_nth_unstable(middle);
    let median = *median;
    // Half of the steps differ from the middle one by less than this.
    let quarter = |part: &mut [u64]| part.len().checked_div(2).map(|idx| *part.select_nth_unstable(idx).1);
    let spread = match (below.is_empty(), above.is_empty()) {
        (false, false) => quarter(above)?.saturating_sub(quarter(below)?),
        _ => 0,
    };
    // The mean of the steps near the middle one is far nearer to the rhythm than any single step.
    let near = || steps.iter().filter(|step| step.abs_diff(median) <= 2 * spread);
    let n_near = u64::try_from(near().count()).ok()?;
    let sum = near().try_fold(0_u64, |sum, step| sum.checked_add(*step))?;
    let mean = (sum + n_near / 2) / n_near.max(1);
    let error = spread / n_near.isqrt().max(1) + 1;
    let round = [60_000_000, 1_000_000, 60_000, 10_000, 1_000, 100, 10, 1].into_iter().find_map(|round| {
        let nearest = (mean + round / 2) / round * round;
        (nearest > 0 && nearest.abs_diff(mean) <= error).then_some(nearest)
    });
    round.filter(|step| *step > 1)
}

/// Of two numbers one of which is not 0.
pub(super) fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
