//! The values of a chunk: decimals as whole numbers, everything else as doubles.
//!
//! The byte table is in the module doc of `chunk`. Must not know times. Invariant: values come back bit for bit.

use std::ops::Range;

use pco::data_types::Number;
use pco::standalone::simple_compress;
use pco::{ChunkConfig, DeltaSpec};

use super::super::bytes::{BadBytes, Cursor, put_signed};
use super::super::decimal;
use super::{Effort, PCO_MIN, is_proven, pack, put_section, take_section, unpack};

/// Neighbours from which pco foretells a value; its fastest number.
const NEIGHBOURS: usize = 6;

/// pco 1.1 foretells in batches of this size and panics when the last one is shorter than the neighbours (delta/conv1.rs).
const FORETELLING_BATCH: usize = 512;

/// True when pco can foretell `n` numbers.
fn can_foretell(n: usize) -> bool {
    n.is_multiple_of(FORETELLING_BATCH) || n % FORETELLING_BATCH >= NEIGHBOURS
}

const VALUES_PLAIN: u8 = 0;
const VALUES_PCO_FLOAT: u8 = 1;
const VALUES_VARINT: u8 = 2;
const VALUES_PCO_16: u8 = 3;
const VALUES_PCO_32: u8 = 4;
const VALUES_PCO_64: u8 = 5;

/// Appends the values; `decimals` are their mantissas and number of decimals, if they have such.
pub(super) fn put_values(
    out: &mut Vec<u8>,
    values: &[f64],
    decimals: Option<(Vec<i64>, u8)>,
    effort: Effort,
    learnt: &mut Learnt,
) {
    if let Some((mantissas, scale)) = decimals {
        let (kind, bytes) = pack_mantissas(&mantissas, effort, learnt);
        out.push(kind);
        out.push(scale);
        put_section(out, &bytes);
        return;
    }
    let packed = (values.len() >= PCO_MIN).then(|| pack_floats(values, effort)).flatten();
    out.push(if packed.is_some() { VALUES_PCO_FLOAT } else { VALUES_PLAIN });
    let bytes = packed.unwrap_or_else(|| values.iter().flat_map(|value| value.to_le_bytes()).collect());
    put_section(out, &bytes);
}

/// All values as mantissas with one number of decimals, if every one is such a number.
pub(super) fn as_decimals(values: &[f64]) -> Option<(Vec<i64>, u8)> {
    let mut scale = 0;
    let mut mantissas = Vec::with_capacity(values.len());
    // The first ones may have been found with fewer decimals.
    let mut n_coarser = 0;
    for value in values {
        let mantissa = loop {
            if let Some(mantissa) = decimal::mantissa_at(*value, scale) {
                break mantissa;
            }
            if scale == decimal::SCALE_MAX {
                return None;
            }
            scale += 1;
            n_coarser = mantissas.len();
        };
        mantissas.push(mantissa);
    }
    for (mantissa, value) in mantissas.iter_mut().zip(values).take(n_coarser) {
        *mantissa = decimal::mantissa_at(*value, scale)?;
    }
    Some((mantissas, scale))
}

fn pack_mantissas(mantissas: &[i64], effort: Effort, learnt: &mut Learnt) -> (u8, Vec<u8>) {
    let packed = if mantissas.len() < PCO_MIN {
        None
    } else if let Some(narrow) = narrowed::<i16>(mantissas) {
        pack_smallest(&narrow, effort, true, learnt).map(|bytes| (VALUES_PCO_16, bytes))
    } else if let Some(narrow) = narrowed::<i32>(mantissas) {
        pack_smallest(&narrow, effort, true, learnt).map(|bytes| (VALUES_PCO_32, bytes))
    } else {
        pack_smallest(mantissas, effort, false, learnt).map(|bytes| (VALUES_PCO_64, bytes))
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

fn narrowed<T: TryFrom<i64>>(mantissas: &[i64]) -> Option<Vec<T>> {
    mantissas.iter().map(|mantissa| T::try_from(*mantissa).ok()).collect()
}

/// How pco is told to look at values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Differences of neighbours.
    Differences,
    /// As pco thinks best.
    Pcos,
    /// Foretold from several neighbours, which gets below the noise that first differences double; for narrow numbers only.
    Foretold,
}

impl Form {
    const ALL: [Self; 3] = [Self::Differences, Self::Pcos, Self::Foretold];

    fn config(self) -> ChunkConfig {
        match self {
            Self::Differences => first_differences(),
            Self::Pcos => ChunkConfig::default(),
            Self::Foretold => first_differences().with_delta_spec(DeltaSpec::TryConv1(NEIGHBOURS)),
        }
    }
}

/// What packing one stretch of a series has taught about the next: which form is the shortest.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Learnt(Option<Form>);

/// The shortest form that `effort` finds.
fn pack_smallest<T: Number + Default + PartialEq>(
    numbers: &[T],
    effort: Effort,
    is_narrow: bool,
    learnt: &mut Learnt,
) -> Option<Vec<u8>> {
    if effort == Effort::Quick {
        return pack(numbers, &first_differences());
    }
    let may_be_foretold = is_narrow && can_foretell(numbers.len());
    let is_tried = |form: &Form| {
        learnt.0.is_none_or(|known| known == *form) && (*form != Form::Foretold || may_be_foretold)
    };
    let tried = Form::ALL.into_iter().filter(is_tried);
    let packed = tried.filter_map(|form| Some((form, simple_compress(numbers, &form.config()).ok()?)));
    // Only the shortest must be proven; what cannot be takes the way that is always tried.
    match packed.min_by_key(|(_, bytes)| bytes.len()) {
        Some((form, bytes)) if is_proven(&bytes, numbers) => {
            *learnt = Learnt(Some(form));
            Some(bytes)
        }
        _ => pack(numbers, &first_differences()),
    }
}

/// What suits readings that change slowly, and is found at once.
fn first_differences() -> ChunkConfig {
    ChunkConfig::default().with_delta_spec(DeltaSpec::TryConsecutive(1))
}

/// Whole numbers, as narrow as they were packed.
#[derive(Debug)]
pub(super) enum Mantissas {
    Narrow(Vec<i16>),
    Middle(Vec<i32>),
    Wide(Vec<i64>),
}

impl Mantissas {
    /// Appends some of them.
    pub(super) fn put(&self, some: Range<usize>, out: &mut Vec<i64>) {
        match self {
            Self::Narrow(numbers) => {
                out.extend(numbers.get(some).unwrap_or_default().iter().map(|number| i64::from(*number)));
            }
            Self::Middle(numbers) => {
                out.extend(numbers.get(some).unwrap_or_default().iter().map(|number| i64::from(*number)));
            }
            Self::Wide(numbers) => out.extend_from_slice(numbers.get(some).unwrap_or_default()),
        }
    }

    /// All of them.
    pub(super) fn each(&self, mut each: impl FnMut(i64)) {
        match self {
            Self::Narrow(numbers) => numbers.iter().for_each(|number| each((*number).into())),
            Self::Middle(numbers) => numbers.iter().for_each(|number| each((*number).into())),
            Self::Wide(numbers) => numbers.iter().for_each(|number| each(*number)),
        }
    }
}

/// Values as they lie in a blob.
pub(super) struct Packed<'a> {
    kind: u8,
    scale: u8,
    bytes: &'a [u8],
}

/// Takes the values, still packed.
pub(super) fn take_packed<'a>(cursor: &mut Cursor<'a>) -> Result<Packed<'a>, BadBytes> {
    let kind = cursor.byte()?;
    let scale = if kind >= VALUES_VARINT { cursor.byte()? } else { 0 };
    Ok(Packed { kind, scale, bytes: take_section(cursor)? })
}

impl Packed<'_> {
    /// The `n` values.
    pub(super) fn unpack(self, n: usize) -> Result<Vec<f64>, BadBytes> {
        if let Some(mantissas) = self.mantissas(n)? {
            let join = decimal::joiner(self.scale).ok_or(BadBytes)?;
            let mut values = Vec::with_capacity(n);
            mantissas.each(|mantissa| values.push(join(mantissa)));
            return Ok(values);
        }
        let Self { kind, bytes, .. } = self;
        if kind == VALUES_PCO_FLOAT {
            return unpack::<f64>(bytes, n);
        }
        let mut cursor = Cursor::new(bytes);
        let values = (0..n).map(|_| cursor.u64_le().map(f64::from_bits)).collect::<Result<_, BadBytes>>()?;
        if cursor.is_at_end() { Ok(values) } else { Err(BadBytes) }
    }

    /// The `n` values as whole numbers of 10^-`scale`, where they lie as such.
    pub(super) fn mantissas(&self, n: usize) -> Result<Option<Mantissas>, BadBytes> {
        let Self { kind, scale, bytes } = *self;
        if scale > decimal::SCALE_MAX {
            return Err(BadBytes);
        }
        Ok(Some(match kind {
            VALUES_PLAIN | VALUES_PCO_FLOAT => return Ok(None),
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
                Mantissas::Wide(mantissas)
            }
            VALUES_PCO_16 => Mantissas::Narrow(unpack::<i16>(bytes, n)?),
            VALUES_PCO_32 => Mantissas::Middle(unpack::<i32>(bytes, n)?),
            VALUES_PCO_64 => Mantissas::Wide(unpack::<i64>(bytes, n)?),
            _ => return Err(BadBytes),
        }))
    }

    /// How many decimals its whole numbers have.
    pub(super) fn scale(&self) -> u8 {
        self.scale
    }
}

/// As [`pack`]; floats are compared by their bits, so that -0.0 is not 0.0.
fn pack_floats(values: &[f64], effort: Effort) -> Option<Vec<u8>> {
    let config = if effort == Effort::Quick { first_differences() } else { ChunkConfig::default() };
    let bytes = simple_compress(values, &config).ok()?;
    let back = unpack::<f64>(&bytes, values.len()).ok()?;
    back.iter().map(|value| value.to_bits()).eq(values.iter().map(|value| value.to_bits())).then_some(bytes)
}
