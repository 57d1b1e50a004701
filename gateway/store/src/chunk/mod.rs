//! The blob of one sealed chunk: consecutive samples of one series, ascending, no two with one time.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 2; 1 is the same without hours and without times of kind 4 |
//! | 1 | flags: 1 some values missing, 2 some qualities not 0, 4 hours; others 0 |
//! | varint | number of samples |
//! | 8 | first time, µs, little-endian two's complement |
//! | … | if flag 4: section of hours (see `hours`) |
//! | 1 + … | times: kind, then 0: the step between all neighbours (varint, µs); 1 to 4: unit (varint, µs), section in units: 1 to 3 the steps as 1 varints, 2 pco u32, 3 pco u64; 4 a grid: its step (varint), number of places left out (varint), for each the neighbours since the last one and the places ahead (varints), then pco u32 of how far each time is behind its place |
//! | 1 + … | values that are there: kind, then 0: section of little-endian f64; 1: section, pco f64; 2 to 5: number of decimals (1 byte), section of mantissas: 2 differences as signed varints, 3 pco i16, 4 pco i32, 5 pco i64 |
//! | … | if flag 1: bitmap of missing values, lowest bit first |
//! | … | if flag 2: section of runs: quality (1 byte), length (varint) |
//!
//! A section is its length in bytes (varint) and its bytes. The CRC-32 of the blob together with its row's series, range
//! and count lies beside it in the table, so that a row that points at the wrong blob is found as well.
//!
//! A new layout takes the next version number; readers know all versions so far. Must not know SQLite.
//! Invariants: values come back bit for bit (every pco section is decoded and compared before it is used); a damaged blob
//! is an error value, never a panic.

mod bits;
pub(super) mod hours;
pub(super) mod spans;
mod times;
mod values;

use std::ops::{ControlFlow, Range};

use pco::ChunkConfig;
use pco::data_types::Number;
use pco::standalone::{simple_compress, simple_decompress_into};

use self::hours::Hours;
use self::times::Times;
pub(super) use self::values::Learnt;
use self::values::Mantissas;
use super::bytes::{BadBytes, Cursor, put_varint};
use super::decimal;
use super::types::Point;

/// Most samples of a chunk: three weeks of one-minute readings. Bounds what one read decodes at once to under a megabyte.
pub(super) const N_MAX: usize = 32_768;

const VERSION: u8 = 2;
const VERSION_WITHOUT_HOURS: u8 = 1;
const FLAG_MISSING: u8 = 1;
const FLAG_QUALITY: u8 = 2;
const FLAG_HOURS: u8 = 4;

/// Samples of a chunk that are spread out at once: as little as a processor keeps at hand.
const SPREAD_MAX: usize = 1_024;

/// Below this count plain varints are smaller than pco's own header, and far quicker.
const PCO_MIN: usize = 48;

const WRONG_HOURS: &str = "its hours are not those of its readings";

/// How hard packing tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// For what will probably be joined with more soon: no hours.
    Quick,
    /// For what stays: several times the work, some tenths less space.
    Thorough,
}

/// CRC-32 that ties a blob to its row.
pub(super) fn checksum(series: u32, from_us: i64, to_us: i64, n_samples: u32, blob: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&series.to_le_bytes());
    hasher.update(&from_us.to_le_bytes());
    hasher.update(&to_us.to_le_bytes());
    hasher.update(&n_samples.to_le_bytes());
    hasher.update(blob);
    hasher.finalize()
}

/// A row of chunks, its content still packed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealed<'a> {
    pub(super) series: u32,
    pub(super) from_us: i64,
    pub(super) to_us: i64,
    pub(super) n_samples: u32,
    pub(super) crc: u32,
    pub(super) blob: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// The blob, after checking that row and blob belong together and are whole.
    fn checked(&self) -> Result<&'a [u8], BadBytes> {
        let Self { series, from_us, to_us, n_samples, crc, blob } = *self;
        if checksum(series, from_us, to_us, n_samples, blob) == crc { Ok(blob) } else { Err(BadBytes) }
    }

    /// The points.
    pub(super) fn points(&self) -> Result<Vec<Point>, BadBytes> {
        decode(self.checked()?)
    }

    /// What it holds, as whole numbers where it lies as such.
    pub(super) fn content(&self) -> Result<Content, BadBytes> {
        decode_content(self.checked()?)
    }

    /// The hours, if the chunk has any.
    pub(super) fn hours(&self) -> Result<Option<Hours>, BadBytes> {
        decode_hours(self.checked()?)
    }

    /// True when only its hours are wrong.
    pub(super) fn has_wrong_hours(&self) -> bool {
        self.flaw() == Some(WRONG_HOURS)
    }

    /// What is wrong with the chunk, if anything: unpacks it and sums its hours up anew.
    pub(super) fn flaw(&self) -> Option<&'static str> {
        let Ok(blob) = self.checked() else { return Some("its checksum does not hold") };
        let (Ok(points), Ok(hours)) = (decode(blob), decode_hours(blob)) else {
            return Some("its readings cannot be unpacked");
        };
        let ends = points.first().zip(points.last()).map(|(first, last)| (first.at_us, last.at_us));
        if ends != Some((self.from_us, self.to_us)) || u32::try_from(points.len()) != Ok(self.n_samples) {
            return Some("its readings are not what its row says");
        }
        if !points.is_sorted_by(|a, b| a.at_us < b.at_us) {
            return Some("its readings are not in order");
        }
        let are_same = |hours: &Hours| hours::sum_up(&points, hours.scale).as_ref() == Some(hours);
        (!hours.as_ref().is_none_or(are_same)).then_some(WRONG_HOURS)
    }
}

/// Packs `points`: ascending, no two with one time, at most [`N_MAX`].
pub(super) fn encode(points: &[Point], effort: Effort) -> Vec<u8> {
    encode_learning(points, effort, &mut Learnt::default())
}

/// As [`encode`]; what was learnt from a stretch that is much the same saves trying, and is learnt from this one.
pub(super) fn encode_learning(points: &[Point], effort: Effort, learnt: &mut Learnt) -> Vec<u8> {
    // Summing up takes as long as packing, and few readings are unpacked as quickly.
    encode_with(points, effort, effort == Effort::Thorough, learnt)
}

/// Packed quickly, but with the hours that thorough packing would add: what they will take, about.
pub(super) fn encode_to_size(points: &[Point]) -> Vec<u8> {
    encode_with(points, Effort::Quick, true, &mut Learnt::default())
}

fn encode_with(points: &[Point], effort: Effort, has_hours: bool, learnt: &mut Learnt) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + points.len());
    let has_missing = points.iter().any(Point::is_missing);
    let has_quality = points.iter().any(|point| point.quality != 0);
    let values: Vec<f64> =
        points.iter().filter(|point| !point.is_missing()).map(|point| point.value).collect();
    let decimals = values::as_decimals(&values);
    let rhythm = times::rhythm(points);
    let decimals_of_hours = decimals.as_ref().filter(|_| has_hours);
    let hours = decimals_of_hours.and_then(|(_, scale)| hours::sum_up(points, *scale));
    let hours = hours.and_then(|hours| hours::encode(&hours, rhythm));
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    out.push(VERSION);
    out.push(
        flag(has_missing, FLAG_MISSING) | flag(has_quality, FLAG_QUALITY) | flag(hours.is_some(), FLAG_HOURS),
    );
    put_len(&mut out, points.len());
    out.extend_from_slice(&points.first().map_or(0, |point| point.at_us).to_le_bytes());
    if let Some(hours) = hours {
        put_section(&mut out, &hours);
    }
    times::put_times(&mut out, points, rhythm);
    values::put_values(&mut out, &values, decimals, effort, learnt);
    if has_missing {
        for eight in points.chunks(8) {
            out.push(eight.iter().rev().fold(0, |bits, point| bits << 1 | u8::from(point.is_missing())));
        }
    }
    if has_quality {
        let mut runs = Vec::new();
        for run in points.chunk_by(|a, b| a.quality == b.quality) {
            runs.push(run.first().map_or(0, |point| point.quality));
            put_len(&mut runs, run.len());
        }
        put_section(&mut out, &runs);
    }
    out
}

/// What every blob begins with.
struct Header<'a> {
    flags: u8,
    n: usize,
    from_us: i64,
    hours: Option<&'a [u8]>,
}

fn take_header<'a>(cursor: &mut Cursor<'a>) -> Result<Header<'a>, BadBytes> {
    let known = match cursor.byte()? {
        VERSION => FLAG_MISSING | FLAG_QUALITY | FLAG_HOURS,
        VERSION_WITHOUT_HOURS => FLAG_MISSING | FLAG_QUALITY,
        _ => return Err(BadBytes),
    };
    let flags = cursor.byte()?;
    let n = cursor.len()?;
    if n == 0 || n > N_MAX || flags & !known != 0 {
        return Err(BadBytes);
    }
    let from_us = cursor.u64_le()?.cast_signed();
    let hours = if flags & FLAG_HOURS == 0 { None } else { Some(take_section(cursor)?) };
    Ok(Header { flags, n, from_us, hours })
}

/// The hours of a blob, if it has any.
fn decode_hours(blob: &[u8]) -> Result<Option<Hours>, BadBytes> {
    let header = take_header(&mut Cursor::new(blob))?;
    header.hours.map(|section| hours::decode(section, header.from_us)).transpose()
}

/// What a chunk holds.
#[derive(Debug)]
pub(super) enum Content {
    /// The usual chunk: every value there, good and a decimal.
    Decimals(Decimals),
    /// Any other.
    Points(Vec<Point>),
}

/// Good values with one number of decimals, as columns that take little room: they are spread out a part at a time.
#[derive(Debug)]
pub(super) struct Decimals {
    times: Times,
    mantissas: Mantissas,
    /// At most [`decimal::SCALE_MAX`].
    pub(super) scale: u8,
}

impl Decimals {
    /// Hands over the times (µs) and whole numbers of the samples in a range, at most [`SPREAD_MAX`] at once.
    pub(super) fn each_part(
        &self,
        range_us: &Range<i64>,
        mut each: impl FnMut(&[i64], &[i64]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let n_max = self.times.len().min(SPREAD_MAX);
        let (mut at_us, mut mantissas) = (Vec::with_capacity(n_max), Vec::with_capacity(n_max));
        let (mut from, end) = (self.times.n_before(range_us.start), self.times.n_before(range_us.end));
        while from < end {
            let part = from..end.min(from + SPREAD_MAX);
            from = part.end;
            at_us.clear();
            mantissas.clear();
            self.times.put(part.clone(), &mut at_us);
            self.mantissas.put(part, &mut mantissas);
            each(&at_us, &mantissas)?;
        }
        ControlFlow::Continue(())
    }

    /// As points.
    fn points(self) -> Result<Vec<Point>, BadBytes> {
        let join = decimal::joiner(self.scale).ok_or(BadBytes)?;
        let mut times = self.times.listed().into_iter();
        let mut points = Vec::with_capacity(times.len());
        self.mantissas.each(|mantissa| {
            points.extend(times.next().map(|at_us| Point { at_us, value: join(mantissa), quality: 0 }));
        });
        Ok(points)
    }
}

/// Unpacks a blob.
fn decode(blob: &[u8]) -> Result<Vec<Point>, BadBytes> {
    match decode_content(blob)? {
        Content::Points(points) => Ok(points),
        Content::Decimals(decimals) => decimals.points(),
    }
}

fn decode_content(blob: &[u8]) -> Result<Content, BadBytes> {
    let mut cursor = Cursor::new(blob);
    let Header { flags, n, from_us, .. } = take_header(&mut cursor)?;
    let times = times::take_times(&mut cursor, from_us, n)?;
    let packed = values::take_packed(&mut cursor)?;
    if flags & (FLAG_MISSING | FLAG_QUALITY) == 0
        && let Some(mantissas) = packed.mantissas(n)?
    {
        let decimals = Decimals { times, mantissas, scale: packed.scale() };
        return if cursor.is_at_end() { Ok(Content::Decimals(decimals)) } else { Err(BadBytes) };
    }
    let bitmap = if flags & FLAG_MISSING == 0 { &[] } else { cursor.take(n.div_ceil(8))? };
    let is_missing = |idx: usize| bitmap.get(idx / 8).is_some_and(|bits| bits >> (idx % 8) & 1 == 1);
    let n_values = n - (0..n).filter(|idx| is_missing(*idx)).count();
    let values = packed.unpack(n_values)?;
    let mut qualities =
        QualityRuns::new(if flags & FLAG_QUALITY == 0 { None } else { Some(take_section(&mut cursor)?) });
    let mut values = values.into_iter();
    let mut points = Vec::with_capacity(n);
    for (idx, at_us) in times.listed().into_iter().enumerate() {
        let value = if is_missing(idx) { f64::NAN } else { values.next().ok_or(BadBytes)? };
        points.push(Point { at_us, value, quality: qualities.next()? });
    }
    if cursor.is_at_end() { Ok(Content::Points(points)) } else { Err(BadBytes) }
}

fn put_len(out: &mut Vec<u8>, n: usize) {
    put_varint(out, u64::try_from(n).unwrap_or(u64::MAX));
}

fn put_section(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn take_section<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], BadBytes> {
    let n_bytes = cursor.len()?;
    cursor.take(n_bytes)
}

/// Packs with pco and proves that the same numbers come back; `None` leaves the caller its plain form.
fn pack<T: Number + Default + PartialEq>(numbers: &[T], config: &ChunkConfig) -> Option<Vec<u8>> {
    simple_compress(numbers, config).ok().filter(|bytes| is_proven(bytes, numbers))
}

/// True when the very same numbers come back.
fn is_proven<T: Number + Default + PartialEq>(bytes: &[u8], numbers: &[T]) -> bool {
    unpack::<T>(bytes, numbers.len()).is_ok_and(|back| back == numbers)
}

fn unpack<T: Number + Default>(bytes: &[u8], n: usize) -> Result<Vec<T>, BadBytes> {
    let mut numbers = vec![T::default(); n];
    let progress = simple_decompress_into(bytes, &mut numbers).map_err(|_| BadBytes)?;
    if progress.finished && progress.n_processed == n { Ok(numbers) } else { Err(BadBytes) }
}

/// Qualities one by one; without runs all are good.
struct QualityRuns<'a> {
    runs: Option<Cursor<'a>>,
    quality: u8,
    n_left: u64,
}

impl<'a> QualityRuns<'a> {
    fn new(section: Option<&'a [u8]>) -> Self {
        Self { runs: section.map(Cursor::new), quality: 0, n_left: 0 }
    }

    fn next(&mut self) -> Result<u8, BadBytes> {
        let Some(runs) = &mut self.runs else { return Ok(0) };
        if self.n_left == 0 {
            self.quality = runs.byte()?;
            self.n_left = runs.varint()?;
        }
        self.n_left = self.n_left.checked_sub(1).ok_or(BadBytes)?;
        Ok(self.quality)
    }
}

#[cfg(test)]
pub(super) mod tests;
