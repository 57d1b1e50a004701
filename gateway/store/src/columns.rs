//! Good samples as text, many at once: what most answers about the history consist of.
//!
//! Samples that follow each other have much in common: the first digits of their times, and values that were there some samples ago.
//! Both are kept as text, so that a sample is three writes of fixed length one over the end of the other. Must write what `Digits`
//! writes, character for character.

use std::io;

use super::digits::{Line, Short, eight_digits, first_digits, put_decimal, put_whole};

/// What a sample behind another one begins with.
const NEXT: &[u8; 2] = b",[";

/// A sample's time has its last so many digits written anew, in µs; its others are those of the stem.
const STEM_US: i64 = 100_000_000 * 1_000;

/// A sample of 18 and 13 characters; the last write may reach further.
const ROW_BYTES: usize = 40;

/// Samples that are written before they are copied to where they belong: few enough to stay where a processor writes fastest.
const ROWS_AT_ONCE: usize = 64;

/// Values whose text is kept, a power of two: a probe's readings of some days, in 16 KB.
const N_KNOWN: usize = 512;

/// Writes samples one behind the other; keeps texts from one call to the next.
#[derive(Debug, Default)]
pub struct Columns {
    stem: Stem,
    known: Known,
}

impl Columns {
    /// Appends good samples as lists of time (ms) and value; `opening` is what the first one begins with, a comma and a bracket the
    /// others. The values are `mantissas`, whole numbers of 10^-`scale`, the times are in µs.
    ///
    /// # Errors
    /// Writing to memory does not fail; `serde_json` says it could.
    // Not for whoever is compiled to be small.
    #[inline(never)]
    pub fn put(
        &mut self,
        out: &mut Vec<u8>,
        opening: &[u8],
        at_us: &[i64],
        mantissas: &[i64],
        scale: u8,
    ) -> io::Result<()> {
        let texts = self.known.texts_of(scale);
        let mut stem = self.stem;
        let mut rows = [0; ROWS_AT_ONCE * ROW_BYTES];
        out.extend_from_slice(if at_us.is_empty() { b"" } else { opening });
        // Of the first one, what it begins with is there already.
        let mut n_there = NEXT.len();
        for (at_us, mantissas) in at_us.chunks(ROWS_AT_ONCE).zip(mantissas.chunks(ROWS_AT_ONCE)) {
            let mut len = 0;
            for (at_us, mantissa) in at_us.iter().copied().zip(mantissas.iter().copied()) {
                if !stem.holds(at_us) {
                    stem = Stem::of(at_us).unwrap_or_default();
                }
                let row = rows.get_mut(len..).and_then(|rest| rest.first_chunk_mut());
                if stem.holds(at_us)
                    && let Some(text) = text_of(texts, mantissa, scale)
                    && let Some(row) = row
                {
                    len += put_row(row, &stem, at_us, text);
                    continue;
                }
                out.extend_from_slice(rows.get(n_there..len).unwrap_or_default());
                n_there = if len > 0 { 0 } else { n_there };
                out.extend_from_slice(NEXT.get(n_there..).unwrap_or_default());
                put_long(out, at_us, mantissa, scale)?;
                (len, n_there) = (0, 0);
            }
            out.extend_from_slice(rows.get(n_there..len).unwrap_or_default());
            n_there = 0;
        }
        self.stem = stem;
        Ok(())
    }
}

/// A sample that is none of the short ones, without what it begins with.
#[cold]
#[inline(never)]
fn put_long(out: &mut Vec<u8>, at_us: i64, mantissa: i64, scale: u8) -> io::Result<()> {
    put_whole(out, b"", at_us.div_euclid(1_000));
    out.push(b',');
    put_decimal(out, mantissa, scale)?;
    out.push(b']');
    Ok(())
}

/// Writes a sample whose time the stem holds; returns its length.
#[inline(always)]
fn put_row(row: &mut [u8; ROW_BYTES], stem: &Stem, at_us: i64, text: &Text) -> usize {
    let n = stem.n % 16;
    let last = stem.behind_us(at_us) / 1_000;
    put_at(row, 0, stem.characters.to_le_bytes());
    #[expect(clippy::cast_possible_truncation, reason = "below 10^8: the stem holds the time")]
    put_at(row, n, eight_digits(last as u32).to_le_bytes());
    put_at(row, n + 8, text.characters);
    n + 8 + text.n
}

#[inline(always)]
fn put_at<const N: usize>(row: &mut [u8; ROW_BYTES], at: usize, characters: [u8; N]) {
    if let Some(free) = row.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>()) {
        *free = characters;
    }
}

/// What a sample begins with, up to the last eight digits of its time.
#[derive(Debug, Clone, Copy, Default)]
struct Stem {
    from_us: i64,
    /// 0: holds no time.
    length_us: u64,
    /// The first in the lowest byte.
    characters: u128,
    n: usize,
}

impl Stem {
    /// That of a time; `None`: too short a time.
    #[cold]
    fn of(at_us: i64) -> Option<Self> {
        let first = at_us.div_euclid(STEM_US);
        let number = u32::try_from(first).ok().filter(|number| (1..100_000_000).contains(number))?;
        let (digits, n) = first_digits(number);
        Some(Self {
            from_us: first * STEM_US,
            length_us: STEM_US.unsigned_abs(),
            characters: u128::from(digits) << 16 | u128::from(u16::from_le_bytes(*NEXT)),
            n: n + NEXT.len(),
        })
    }

    #[inline(always)]
    fn behind_us(&self, at_us: i64) -> u64 {
        at_us.wrapping_sub(self.from_us).cast_unsigned()
    }

    #[inline(always)]
    fn holds(&self, at_us: i64) -> bool {
        self.behind_us(at_us) < self.length_us
    }
}

/// A comma, a value and a bracket.
#[derive(Debug, Clone, Copy, Default)]
struct Text {
    mantissa: i64,
    /// 0: none yet.
    n: usize,
    characters: [u8; 16],
}

/// Texts of values that were written lately: the next one mostly is among them.
#[derive(Debug, Default)]
struct Known {
    scale: u8,
    /// Each at the place that the lowest bits of its mantissa name.
    texts: Option<Box<[Text; N_KNOWN]>>,
}

impl Known {
    /// Those of one number of decimals; others are forgotten.
    fn texts_of(&mut self, scale: u8) -> &mut [Text; N_KNOWN] {
        if self.scale != scale {
            (self.scale, self.texts) = (scale, None);
        }
        self.texts.get_or_insert_with(|| Box::new([Text::default(); N_KNOWN]))
    }
}

/// The text of a value; `None`: too long a value.
#[inline(always)]
fn text_of(texts: &mut [Text; N_KNOWN], mantissa: i64, scale: u8) -> Option<&Text> {
    let place = usize::try_from(mantissa.cast_unsigned() % N_KNOWN as u64).ok()?;
    let text = texts.get_mut(place)?;
    if text.mantissa != mantissa || text.n == 0 {
        *text = Text::of(mantissa, scale)?;
    }
    Some(text)
}

impl Text {
    #[inline(always)]
    fn of(mantissa: i64, scale: u8) -> Option<Self> {
        let value = Short::new(mantissa, scale)?;
        let mut bytes = [0; 24];
        let mut line = Line { bytes: &mut bytes, len: 0 };
        line.put(b','.into(), 1);
        line.put_short(&value);
        line.put(b']'.into(), 1);
        let n = line.len;
        Some(Self { mantissa, n, characters: *bytes.first_chunk()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{decimal, digits::Digits};
    use super::*;

    /// Written at once, in two parts and one by one.
    fn check(samples: &[(i64, i64)], scale: u8) {
        let (at_us, mantissas): (Vec<i64>, Vec<i64>) = samples.iter().copied().unzip();
        let mut digits = Digits::default();
        let mut expected = Vec::new();
        for (n, (at_us, mantissa)) in samples.iter().enumerate() {
            let opening = if n == 0 { &b"["[..] } else { b",[" };
            let value = decimal::join(*mantissa, scale);
            digits.put_sample(&mut expected, opening, at_us.div_euclid(1_000), value, b']').unwrap();
        }
        let expected = String::from_utf8(expected).unwrap();
        for n_first in [samples.len(), samples.len() / 2] {
            let mut columns = Columns::default();
            let mut out = Vec::new();
            columns.put(&mut out, b"[", &at_us[..n_first], &mantissas[..n_first], scale).unwrap();
            let opening = if n_first == 0 { &b"["[..] } else { b",[" };
            columns.put(&mut out, opening, &at_us[n_first..], &mantissas[n_first..], scale).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn odd_samples_are_written_as_alone() {
        let times = [
            i64::MIN,
            -1,
            0,
            1,
            99_999_999_999,
            100_000_000_000,
            1_769_904_000_000_000,
            i64::MAX - 1,
            i64::MAX,
        ];
        let mantissas =
            [0, 1, -1, 10, 512, 1_024, 99_999_999, 100_000_000, -99_999_999, -100_000_000, 1 << 52];
        for scale in 0..=decimal::SCALE_MAX {
            let samples: Vec<_> =
                times.iter().flat_map(|at_us| mantissas.map(|mantissa| (*at_us, mantissa))).collect();
            check(&samples, scale);
            samples.iter().for_each(|sample| check(&[*sample], scale));
        }
        check(&[], 0);
    }

    #[test]
    fn a_month_is_written_as_one_by_one() {
        let month = (0..43_200).map(|n| (1_769_904_000_000_000 + n * 60_000_000, n * n % 3_001 - 400));
        check(&month.collect::<Vec<_>>(), 2);
    }

    proptest! {
        #[test]
        fn samples_are_written_as_alone(
            samples in prop::collection::vec((
                prop_oneof![any::<i64>(), 1_700_000_000_000_000..1_700_001_000_000_000_i64],
                prop_oneof![-9_007_199_254_740_991..9_007_199_254_740_991_i64, -2_000..2_000_i64],
            ), 0..200),
            scale in 0..=decimal::SCALE_MAX,
        ) {
            check(&samples, scale);
        }
    }
}
