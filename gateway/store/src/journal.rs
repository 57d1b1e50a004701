//! The blob of one journal row: all samples of one commit, grouped by series.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 8 | base time, µs, little-endian two's complement |
//! | varint | number of groups, ascending by series |
//! | … | groups |
//! | 4 | CRC-32 (IEEE) of everything before, little-endian |
//!
//! Group: series id as difference to the group before (varint), number of samples (varint), length of what follows in
//! bytes (varint), samples. Sample: time as difference to the sample before or, for the first, to the base (signed
//! varint, zigzag), tag byte, value, quality byte if the tag has its top bit. Tag without the top bit: 0 no value, 1 eight
//! bytes of a little-endian f64, 2 to 6 a decimal with 0 to 4 decimals, its mantissa as a signed varint.
//!
//! A new layout takes the next version number; readers know all versions so far. Must not know SQLite.
//! Invariants: a damaged blob is an error value, never a panic or a wrong number; order within a series is kept, since of
//! two samples with one time the later counts.

use super::bytes::{BadBytes, Cursor, put_signed, put_varint};
use super::decimal;
use super::types::Point;

const VERSION: u8 = 1;
const TAG_MISSING: u8 = 0;
const TAG_RAW: u8 = 1;
const TAG_DECIMAL: u8 = 2;
const HAS_QUALITY: u8 = 0x80;

/// Larger mantissas take as many bytes as the plain double.
const MANTISSA_MAX: u64 = 1 << 48;

/// A sample with its series, as a commit collects them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keyed {
    pub(super) series: u32,
    pub(super) point: Point,
}

/// Sorts `samples` by series, keeping the order within each, and appends their blob to `out`.
pub(super) fn encode(samples: &mut [Keyed], out: &mut Vec<u8>) {
    samples.sort_by_key(|keyed| keyed.series);
    let start = out.len();
    let base_us = samples.first().map_or(0, |keyed| keyed.point.at_us);
    out.push(VERSION);
    out.extend_from_slice(&base_us.to_le_bytes());
    let n_groups = samples.chunk_by(|a, b| a.series == b.series).count();
    put_varint(out, as_u64(n_groups));
    let mut series_before = 0_u32;
    let mut body = Vec::new();
    for group in samples.chunk_by(|a, b| a.series == b.series) {
        let series = group.first().map_or(0, |keyed| keyed.series);
        body.clear();
        let mut before_us = base_us;
        for keyed in group {
            put_signed(&mut body, keyed.point.at_us.wrapping_sub(before_us));
            before_us = keyed.point.at_us;
            put_value(&mut body, &keyed.point);
        }
        put_varint(out, u64::from(series - series_before));
        series_before = series;
        put_varint(out, as_u64(group.len()));
        put_varint(out, as_u64(body.len()));
        out.extend_from_slice(&body);
    }
    let crc = crc32fast::hash(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&crc.to_le_bytes());
}

fn as_u64(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn put_value(out: &mut Vec<u8>, point: &Point) {
    let flag = if point.quality == 0 { 0 } else { HAS_QUALITY };
    if point.is_missing() {
        out.push(TAG_MISSING | flag);
    } else if let Some((mantissa, scale)) =
        decimal::split(point.value).filter(|(mantissa, _)| mantissa.unsigned_abs() < MANTISSA_MAX)
    {
        out.push((TAG_DECIMAL + scale) | flag);
        put_signed(out, mantissa);
    } else {
        out.push(TAG_RAW | flag);
        out.extend_from_slice(&point.value.to_le_bytes());
    }
    if point.quality != 0 {
        out.push(point.quality);
    }
}

/// A blob whose checksum holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Journal<'a> {
    base_us: i64,
    n_groups: usize,
    groups: Cursor<'a>,
}

/// Samples of one series within a blob, still packed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group<'a> {
    pub(super) series: u32,
    pub(super) n_samples: usize,
    base_us: i64,
    body: &'a [u8],
}

impl<'a> Journal<'a> {
    /// Checks version and checksum.
    pub(super) fn open(blob: &'a [u8]) -> Result<Self, BadBytes> {
        let (content, crc) = blob.split_last_chunk::<4>().ok_or(BadBytes)?;
        if crc32fast::hash(content) != u32::from_le_bytes(*crc) {
            return Err(BadBytes);
        }
        let mut groups = Cursor::new(content);
        if groups.byte()? != VERSION {
            return Err(BadBytes);
        }
        let base_us = groups.u64_le()?.cast_signed();
        let n_groups = groups.len()?;
        Ok(Self { base_us, n_groups, groups })
    }

    /// Hands over each group; bodies are not looked at.
    pub(super) fn groups(&self, mut each: impl FnMut(Group<'a>)) -> Result<(), BadBytes> {
        let mut cursor = self.groups;
        let mut series = 0_u32;
        for _ in 0..self.n_groups {
            let step = u32::try_from(cursor.varint()?).map_err(|_| BadBytes)?;
            series = series.checked_add(step).ok_or(BadBytes)?;
            let n_samples = cursor.len()?;
            let n_bytes = cursor.len()?;
            let body = cursor.take(n_bytes)?;
            each(Group { series, n_samples, base_us: self.base_us, body });
        }
        if cursor.is_at_end() { Ok(()) } else { Err(BadBytes) }
    }
}

impl Group<'_> {
    /// Hands over the samples in the order they were written.
    pub(super) fn points(&self, mut each: impl FnMut(Point)) -> Result<(), BadBytes> {
        let mut cursor = Cursor::new(self.body);
        let mut at_us = self.base_us;
        for _ in 0..self.n_samples {
            at_us = at_us.wrapping_add(cursor.signed()?);
            let tag = cursor.byte()?;
            let value = match tag & !HAS_QUALITY {
                TAG_MISSING => f64::NAN,
                TAG_RAW => f64::from_bits(cursor.u64_le()?),
                decimal => decimal::join(cursor.signed()?, decimal - TAG_DECIMAL).ok_or(BadBytes)?,
            };
            let quality = if tag & HAS_QUALITY == 0 { 0 } else { cursor.byte()? };
            each(Point { at_us, value, quality });
        }
        if cursor.is_at_end() { Ok(()) } else { Err(BadBytes) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(blob: &[u8]) -> Result<Vec<Keyed>, BadBytes> {
        let journal = Journal::open(blob)?;
        let mut out = Vec::new();
        let mut result = Ok(());
        journal.groups(|group| {
            let done = group.points(|point| out.push(Keyed { series: group.series, point }));
            result = result.and(done);
        })?;
        result.map(|()| out)
    }

    fn keyed() -> impl Strategy<Value = Keyed> {
        let value = prop_oneof![
            Just(f64::NAN),
            any::<f64>(),
            Just(-0.0),
            (-100_000_i32..100_000, 0..5).prop_map(|(m, scale)| f64::from(m) / 10_f64.powi(scale)),
        ];
        let at_us = prop_oneof![any::<i64>(), 1_700_000_000_000_000_i64..1_700_000_100_000_000];
        (0_u32..9, at_us, value, prop_oneof![Just(0_u8), any::<u8>()]).prop_map(
            |(series, at_us, value, quality)| Keyed { series, point: Point { at_us, value, quality } },
        )
    }

    proptest! {
        #[test]
        fn every_sample_comes_back_in_order(mut samples in prop::collection::vec(keyed(), 0..200)) {
            let mut blob = Vec::new();
            encode(&mut samples, &mut blob);
            let back = read(&blob).unwrap();
            prop_assert_eq!(back.len(), samples.len());
            for (a, b) in back.iter().zip(&samples) {
                prop_assert!(a.series == b.series && a.point.is_same(&b.point), "{:?} {:?}", a, b);
            }
        }

        #[test]
        fn damage_is_an_error_not_a_panic(mut samples in prop::collection::vec(keyed(), 1..20), at in any::<prop::sample::Index>(), bit in 0_u32..8) {
            let mut blob = Vec::new();
            encode(&mut samples, &mut blob);
            for n in 0..blob.len() {
                prop_assert!(read(&blob[..n]).is_err());
            }
            let at = at.index(blob.len());
            blob[at] ^= 1_u8 << bit;
            prop_assert!(read(&blob).is_err());
            // The same with a checksum that fits: bounded work and no panic.
            let content = blob.len() - 4;
            let crc = crc32fast::hash(&blob[..content]);
            blob[content..].copy_from_slice(&crc.to_le_bytes());
            prop_assert!(read(&blob).map_or(0, |back| back.len()) <= blob.len());
        }
    }

    /// The bytes were made from the module doc by a program of its own.
    #[test]
    fn version_one_stays_what_it_is() {
        let golden = "0100401e18240a06000203020a0004d224809c9c39800404010a0101555555555555d53fe112fbb4";
        let keyed = |series, at_us, value, quality| Keyed { series, point: Point { at_us, value, quality } };
        let t0 = 1_700_000_000_000_000;
        let mut samples =
            [keyed(3, t0, 23.45, 0), keyed(3, t0 + 60_000_000, f64::NAN, 4), keyed(7, t0 - 1, 1.0 / 3.0, 0)];
        let mut blob = Vec::new();
        encode(&mut samples, &mut blob);
        assert_eq!(blob.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), golden);
        assert_eq!(read(&blob).unwrap().len(), 3);
    }

    #[test]
    fn a_usual_sample_takes_few_bytes() {
        let mut samples: Vec<Keyed> = (0..600_u32)
            .map(|i| Keyed {
                series: i / 10,
                point: Point {
                    at_us: 1_700_000_000_000_000 + i64::from(i % 10) * 60_000_000,
                    value: f64::from(2000 + i % 7) / 100.0,
                    quality: 0,
                },
            })
            .collect();
        let mut blob = Vec::new();
        encode(&mut samples, &mut blob);
        assert!(blob.len() < 600 * 9, "{} bytes", blob.len());
    }
}
