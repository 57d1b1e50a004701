//! The blob of one sealed chunk: consecutive samples of one series, ascending, no two with one time.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | flags: 1 some values missing, 2 some qualities not 0; others 0 |
//! | varint | number of samples |
//! | 8 | first time, µs, little-endian two's complement |
//! | 1 + … | times: kind, then 0: the step between all neighbours (varint, µs); 1 to 3: grid (varint, µs), section of steps in units of the grid: 1 varints, 2 pco u32, 3 pco u64 |
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

use pco::ChunkConfig;
use pco::data_types::Number;
use pco::standalone::{simple_compress, simple_decompress_into};

use super::bytes::{BadBytes, Cursor, put_signed, put_varint};
use super::decimal;
use super::types::Point;

/// Most samples of a chunk: bounds what one read decodes at once to well under a megabyte.
pub(super) const N_MAX: usize = 16_384;

const VERSION: u8 = 1;
const FLAG_MISSING: u8 = 1;
const FLAG_QUALITY: u8 = 2;

/// Below this count plain varints are smaller than pco's own header, and far quicker.
const PCO_MIN: usize = 48;

/// From this count on pco may search for the best form.
const SEARCH_MIN: usize = 2_048;

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

/// Unpacks the blob of a row after checking that row and blob belong together and are whole.
pub(super) fn open(
    series: u32,
    from_us: i64,
    to_us: i64,
    n_samples: u32,
    crc: u32,
    blob: &[u8],
) -> Result<Vec<Point>, BadBytes> {
    if checksum(series, from_us, to_us, n_samples, blob) != crc {
        return Err(BadBytes);
    }
    decode(blob)
}

/// Packs `points`: ascending, no two with one time, at most [`N_MAX`].
pub(super) fn encode(points: &[Point]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + points.len());
    let has_missing = points.iter().any(Point::is_missing);
    let has_quality = points.iter().any(|point| point.quality != 0);
    out.push(VERSION);
    out.push(if has_missing { FLAG_MISSING } else { 0 } | if has_quality { FLAG_QUALITY } else { 0 });
    put_len(&mut out, points.len());
    out.extend_from_slice(&points.first().map_or(0, |point| point.at_us).to_le_bytes());
    put_times(&mut out, points);
    let values: Vec<f64> =
        points.iter().filter(|point| !point.is_missing()).map(|point| point.value).collect();
    put_values(&mut out, &values);
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

/// Unpacks a blob.
pub(super) fn decode(blob: &[u8]) -> Result<Vec<Point>, BadBytes> {
    let mut cursor = Cursor::new(blob);
    if cursor.byte()? != VERSION {
        return Err(BadBytes);
    }
    let flags = cursor.byte()?;
    let n = cursor.len()?;
    if n == 0 || n > N_MAX || flags & !(FLAG_MISSING | FLAG_QUALITY) != 0 {
        return Err(BadBytes);
    }
    let from_us = cursor.u64_le()?.cast_signed();
    let times = take_times(&mut cursor, from_us, n)?;
    let value_kind = cursor.byte()?;
    let value_scale = if value_kind >= VALUES_VARINT { cursor.byte()? } else { 0 };
    let value_bytes = take_section(&mut cursor)?;
    let bitmap = if flags & FLAG_MISSING == 0 { &[] } else { cursor.take(n.div_ceil(8))? };
    let is_missing = |idx: usize| bitmap.get(idx / 8).is_some_and(|bits| bits >> (idx % 8) & 1 == 1);
    let n_values = n - (0..n).filter(|idx| is_missing(*idx)).count();
    let values = unpack_values(value_kind, value_scale, value_bytes, n_values)?;
    let mut qualities =
        QualityRuns::new(if flags & FLAG_QUALITY == 0 { None } else { Some(take_section(&mut cursor)?) });
    let mut values = values.into_iter();
    let mut points = Vec::with_capacity(n);
    for (idx, at_us) in times.into_iter().enumerate() {
        let value = if is_missing(idx) { f64::NAN } else { values.next().ok_or(BadBytes)? };
        points.push(Point { at_us, value, quality: qualities.next()? });
    }
    if cursor.is_at_end() { Ok(points) } else { Err(BadBytes) }
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

const TIMES_EVEN: u8 = 0;
const TIMES_VARINT: u8 = 1;
const TIMES_PCO_32: u8 = 2;
const TIMES_PCO_64: u8 = 3;

fn put_times(out: &mut Vec<u8>, points: &[Point]) {
    let pairs = points.iter().zip(points.iter().skip(1));
    let steps: Vec<u64> =
        pairs.map(|(earlier, later)| later.at_us.wrapping_sub(earlier.at_us).cast_unsigned()).collect();
    let first = steps.first().copied().unwrap_or(0);
    if steps.iter().all(|step| *step == first) {
        out.push(TIMES_EVEN);
        put_varint(out, first);
        return;
    }
    let grid = steps.iter().fold(0, |grid, step| greatest_common_divisor(grid, *step)).max(1);
    let steps: Vec<u64> = steps.into_iter().map(|step| step / grid).collect();
    let config =
        ChunkConfig::default().with_delta_spec(pco::DeltaSpec::NoOp).with_mode_spec(pco::ModeSpec::Classic);
    let narrow: Option<Vec<u32>> = steps.iter().map(|step| u32::try_from(*step).ok()).collect();
    let packed = match narrow {
        _ if steps.len() < PCO_MIN => None,
        Some(narrow) => pack(&narrow, &config).map(|bytes| (TIMES_PCO_32, bytes)),
        None => pack(&steps, &config).map(|bytes| (TIMES_PCO_64, bytes)),
    };
    let (kind, bytes) = packed.unwrap_or_else(|| {
        let mut bytes = Vec::new();
        for step in &steps {
            put_varint(&mut bytes, *step);
        }
        (TIMES_VARINT, bytes)
    });
    out.push(kind);
    put_varint(out, grid);
    put_section(out, &bytes);
}

fn take_times(cursor: &mut Cursor<'_>, from_us: i64, n: usize) -> Result<Vec<i64>, BadBytes> {
    let kind = cursor.byte()?;
    let n_steps = n - 1;
    let (unit, steps) = match kind {
        TIMES_EVEN => (cursor.varint()?, vec![1; n_steps]),
        TIMES_VARINT | TIMES_PCO_32 | TIMES_PCO_64 => {
            let grid = cursor.varint()?;
            let section = take_section(cursor)?;
            let steps = match kind {
                TIMES_PCO_32 => unpack::<u32>(section, n_steps)?.into_iter().map(u64::from).collect(),
                TIMES_PCO_64 => unpack::<u64>(section, n_steps)?,
                _ => {
                    let mut numbers = Cursor::new(section);
                    let steps =
                        (0..n_steps).map(|_| numbers.varint()).collect::<Result<Vec<u64>, BadBytes>>()?;
                    if !numbers.is_at_end() {
                        return Err(BadBytes);
                    }
                    steps
                }
            };
            (grid, steps)
        }
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
    Ok(times)
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

const VALUES_PLAIN: u8 = 0;
const VALUES_PCO_FLOAT: u8 = 1;
const VALUES_VARINT: u8 = 2;
const VALUES_PCO_16: u8 = 3;
const VALUES_PCO_32: u8 = 4;
const VALUES_PCO_64: u8 = 5;

fn put_values(out: &mut Vec<u8>, values: &[f64]) {
    if let Some((mantissas, scale)) = as_decimals(values) {
        let (kind, bytes) = pack_mantissas(&mantissas);
        out.push(kind);
        out.push(scale);
        put_section(out, &bytes);
        return;
    }
    let packed = (values.len() >= PCO_MIN).then(|| pack_floats(values)).flatten();
    out.push(if packed.is_some() { VALUES_PCO_FLOAT } else { VALUES_PLAIN });
    let bytes = packed.unwrap_or_else(|| values.iter().flat_map(|value| value.to_le_bytes()).collect());
    put_section(out, &bytes);
}

/// All values as mantissas with one number of decimals, if every one is such a number.
fn as_decimals(values: &[f64]) -> Option<(Vec<i64>, u8)> {
    let mut scale = 0;
    let mut mantissas = Vec::with_capacity(values.len());
    for value in values {
        let mantissa = loop {
            if let Some(mantissa) = decimal::mantissa_at(*value, scale) {
                break mantissa;
            }
            if scale == decimal::SCALE_MAX {
                return None;
            }
            scale += 1;
        };
        mantissas.push(mantissa);
    }
    // The first ones may have been found with fewer decimals.
    if scale > 0 {
        mantissas.clear();
        for value in values {
            mantissas.push(decimal::mantissa_at(*value, scale)?);
        }
    }
    Some((mantissas, scale))
}

fn pack_mantissas(mantissas: &[i64]) -> (u8, Vec<u8>) {
    let config = value_config(mantissas.len());
    let narrow_16: Option<Vec<i16>> =
        mantissas.iter().map(|mantissa| i16::try_from(*mantissa).ok()).collect();
    let packed = if mantissas.len() < PCO_MIN {
        None
    } else if let Some(narrow) = narrow_16 {
        pack(&narrow, &config).map(|bytes| (VALUES_PCO_16, bytes))
    } else if let Some(narrow) =
        mantissas.iter().map(|mantissa| i32::try_from(*mantissa).ok()).collect::<Option<Vec<i32>>>()
    {
        pack(&narrow, &config).map(|bytes| (VALUES_PCO_32, bytes))
    } else {
        pack(mantissas, &config).map(|bytes| (VALUES_PCO_64, bytes))
    };
    packed.unwrap_or_else(|| {
        let mut bytes = Vec::new();
        let mut before = 0_i64;
        for mantissa in mantissas {
            put_signed(&mut bytes, mantissa.wrapping_sub(before));
            before = *mantissa;
        }
        (VALUES_VARINT, bytes)
    })
}

/// How hard pco tries. A small chunk will probably be joined with others soon: first differences suit what changes slowly, and
/// looking for better costs several times as much.
fn value_config(n: usize) -> ChunkConfig {
    if n >= SEARCH_MIN {
        ChunkConfig::default()
    } else {
        ChunkConfig::default().with_delta_spec(pco::DeltaSpec::TryConsecutive(1))
    }
}

fn unpack_values(kind: u8, scale: u8, bytes: &[u8], n: usize) -> Result<Vec<f64>, BadBytes> {
    let mantissas: Vec<i64> = match kind {
        VALUES_PLAIN => {
            let mut cursor = Cursor::new(bytes);
            let values = (0..n)
                .map(|_| cursor.u64_le().map(f64::from_bits))
                .collect::<Result<Vec<f64>, BadBytes>>()?;
            return if cursor.is_at_end() { Ok(values) } else { Err(BadBytes) };
        }
        VALUES_PCO_FLOAT => return unpack::<f64>(bytes, n),
        VALUES_VARINT => {
            let mut cursor = Cursor::new(bytes);
            let mut mantissa = 0_i64;
            let mut mantissas = Vec::with_capacity(n);
            for _ in 0..n {
                mantissa = mantissa.wrapping_add(cursor.signed()?);
                mantissas.push(mantissa);
            }
            if !cursor.is_at_end() {
                return Err(BadBytes);
            }
            mantissas
        }
        VALUES_PCO_16 => unpack::<i16>(bytes, n)?.into_iter().map(i64::from).collect(),
        VALUES_PCO_32 => unpack::<i32>(bytes, n)?.into_iter().map(i64::from).collect(),
        VALUES_PCO_64 => unpack::<i64>(bytes, n)?,
        _ => return Err(BadBytes),
    };
    mantissas.into_iter().map(|mantissa| decimal::join(mantissa, scale).ok_or(BadBytes)).collect()
}

/// Packs with pco and proves that the same numbers come back; `None` leaves the caller its plain form.
fn pack<T: Number + Default + PartialEq>(numbers: &[T], config: &ChunkConfig) -> Option<Vec<u8>> {
    let bytes = simple_compress(numbers, config).ok()?;
    (unpack::<T>(&bytes, numbers.len()).ok()? == numbers).then_some(bytes)
}

/// As [`pack`]; floats are compared by their bits, so that -0.0 is not 0.0.
fn pack_floats(values: &[f64]) -> Option<Vec<u8>> {
    let bytes = simple_compress(values, &value_config(values.len())).ok()?;
    let back = unpack::<f64>(&bytes, values.len()).ok()?;
    back.iter().map(|value| value.to_bits()).eq(values.iter().map(|value| value.to_bits())).then_some(bytes)
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
mod tests;
