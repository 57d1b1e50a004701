//! Numbers as text, quickly: answers about the history are little else.
//!
//! A probe's reading is a decimal of few digits; its digits are written as they are, where the general way looks for the shortest digits
//! of any double. Must write what `serde_json` writes, digit for digit. What most numbers go through is inlined, so that its parts stay
//! in registers: passed in memory they cost more than all digits.

use std::io;

use super::decimal;

/// Longest number: a whole one of 20 characters; with a point, fewer.
const ROW_BYTES: usize = 24;

/// Decimals beyond this are left to `serde_json`: it writes such with an exponent.
const MANTISSA_MAX: u64 = 1_000_000_000_000_000;

/// A time has its last so many digits written anew, its others mostly are those of the one before.
const LAST_DIGITS: i64 = 100_000_000;

const MINUS: u64 = b'-' as u64;
const POINT: u64 = b'.' as u64;

/// A time of 16 characters; the last write may reach eight further.
const LINE_BYTES: usize = 24;

/// Writes numbers one behind the other; remembers of the last one what the next one mostly has as well: how many decimals, and the first
/// digits of a time.
#[derive(Debug, Default)]
pub struct Digits {
    scale: u8,
    /// A time without its last digits.
    first: i64,
    /// The same as text: characters, lowest byte first, and how many.
    first_text: (u64, usize),
}

impl Digits {
    /// Appends `opening`, a time (ms), a comma, a value and `closing`: a sample.
    ///
    /// # Errors
    /// Writing to memory does not fail; `serde_json` says it could.
    pub fn put_sample(
        &mut self,
        out: &mut Vec<u8>,
        opening: &[u8],
        at: i64,
        value: Option<f64>,
        closing: u8,
    ) -> io::Result<()> {
        out.extend_from_slice(opening);
        self.put_time(out, at);
        match value {
            Some(value) => self.put_value(out, b",", value)?,
            None => out.extend_from_slice(b",null"),
        }
        out.push(closing);
        Ok(())
    }

    fn put_time(&mut self, out: &mut Vec<u8>, at: i64) {
        match self.last_of(at) {
            Some(last) => put_line(out, |line| self.put_known_time(line, last)),
            None => put_whole(out, b"", at),
        }
    }

    /// A time by its last digits, after [`Self::last_of`].
    #[inline(always)]
    fn put_known_time(&self, line: &mut Line<'_>, last: u32) {
        let (first, n_first) = self.first_text;
        line.put(first, n_first);
        line.put(eight_digits(last), 8);
    }

    /// The last eight digits of a time whose first ones are known then; `None`: too short or too long a time for that.
    #[inline(always)]
    fn last_of(&mut self, at: i64) -> Option<u32> {
        let first = at.div_euclid(LAST_DIGITS);
        if first != self.first || first == 0 {
            let number = u32::try_from(first).ok().filter(|number| (1..100_000_000).contains(number))?;
            (self.first, self.first_text) = (first, first_digits(number));
        }
        u32::try_from(at - first * LAST_DIGITS).ok()
    }

    /// Appends `opening` and a value.
    ///
    /// # Errors
    /// As [`Self::put_sample`].
    #[inline]
    pub fn put_value(&mut self, out: &mut Vec<u8>, opening: &[u8], value: f64) -> io::Result<()> {
        out.extend_from_slice(opening);
        self.put_number(out, value)
    }

    fn put_number(&mut self, out: &mut Vec<u8>, value: f64) -> io::Result<()> {
        let as_before = decimal::mantissa_at(value, self.scale).map(|mantissa| (mantissa, self.scale));
        let Some((mantissa, scale)) = as_before.or_else(|| decimal::split(value)) else {
            return Ok(serde_json::to_writer(out, &value)?);
        };
        self.scale = scale;
        put_decimal(out, mantissa, scale)
    }
}

/// Appends `opening` and a whole number.
#[inline]
pub fn put_whole(out: &mut Vec<u8>, opening: &[u8], number: i64) {
    out.extend_from_slice(opening);
    put_whole_number(out, number);
}

fn put_whole_number(out: &mut Vec<u8>, number: i64) {
    if let Ok(small) = u32::try_from(number)
        && (1..100_000_000).contains(&small)
    {
        let (digits, n) = first_digits(small);
        return put_line(out, |line| line.put(digits, n));
    }
    let parts = (u32::try_from(number / LAST_DIGITS), u32::try_from(number % LAST_DIGITS));
    if let (Ok(first @ 1..100_000_000), Ok(last)) = parts {
        let (digits, n) = first_digits(first);
        return put_line(out, |line| {
            line.put(digits, n);
            line.put(eight_digits(last), 8);
        });
    }
    let mut row = Row::new();
    row.put_signed(number);
    out.extend_from_slice(row.text());
}

/// Appends `mantissa` · 10^-`scale`.
pub(super) fn put_decimal(out: &mut Vec<u8>, mut mantissa: i64, mut scale: u8) -> io::Result<()> {
    if let Some(short) = Short::new(mantissa, scale) {
        put_line(out, |line| line.put_short(&short));
        return Ok(());
    }
    if mantissa.unsigned_abs() >= MANTISSA_MAX {
        return Ok(serde_json::to_writer(out, &decimal::join(mantissa, scale))?);
    }
    while scale > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    let mut row = Row::new();
    let mut rest = mantissa.unsigned_abs();
    if scale == 0 {
        b"0.".iter().for_each(|byte| row.put(*byte));
    } else {
        for _ in 0..scale {
            rest = row.put_digit(rest);
        }
        row.put(b'.');
    }
    row.put_unsigned(rest);
    if mantissa < 0 {
        row.put(b'-');
    }
    out.extend_from_slice(row.text());
    Ok(())
}

/// The digits of a number below 10^8, the first one in the lowest byte, all at once: fours, then twos, then ones side by side in one
/// word, each divided by multiplying. No sum reaches into its neighbour, so none has to be checked.
#[inline(always)]
pub(super) fn eight_digits(number: u32) -> u64 {
    let fours = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    let hundreds = (fours.wrapping_mul(10_486) >> 20) & 0x7f_0000_007f;
    let twos = fours.wrapping_sub(hundreds.wrapping_mul(100)) << 16 | hundreds;
    let tens = (twos.wrapping_mul(103) >> 10) & 0x000f_000f_000f_000f;
    let ones = twos.wrapping_sub(tens.wrapping_mul(10)) << 8 | tens;
    ones | ZEROS
}

/// The digits of a number from 1 to 99,999,999 without zeros before, the first one in the lowest byte, and how many.
pub(super) fn first_digits(number: u32) -> (u64, usize) {
    let digits = eight_digits(number);
    let n_zeros = ((digits ^ ZEROS).trailing_zeros() / 8).min(7);
    (digits >> (8 * n_zeros), 8 - n_zeros as usize)
}

/// Eight digits 0.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// A decimal of eight digits at most.
pub(super) struct Short {
    digits: u64,
    scale: usize,
    is_negative: bool,
    n_whole: usize,
    n_decimals: usize,
}

impl Short {
    #[inline(always)]
    pub(super) fn new(mantissa: i64, scale: u8) -> Option<Self> {
        let number = u32::try_from(mantissa.unsigned_abs()).ok().filter(|number| *number < 100_000_000)?;
        let scale = usize::from(scale.min(decimal::SCALE_MAX));
        let digits = eight_digits(number);
        let ones = digits ^ ZEROS;
        let n_leading = (ones.trailing_zeros() / 8) as usize;
        let n_trailing = (ones.leading_zeros() / 8) as usize;
        let n_whole = 8 - scale - n_leading.min(7 - scale);
        let n_decimals = scale.saturating_sub(n_trailing);
        Some(Self { digits, scale, is_negative: mantissa < 0, n_whole, n_decimals })
    }
}

/// A few characters, written eight at a time where they are to stand: what is written past the end is written over.
pub(super) struct Line<'o> {
    pub(super) bytes: &'o mut [u8],
    pub(super) len: usize,
}

/// Appends what `write` writes.
#[inline(always)]
fn put_line(out: &mut Vec<u8>, write: impl FnOnce(&mut Line<'_>)) {
    let start = out.len();
    out.extend_from_slice(&[0; LINE_BYTES]);
    let mut line = Line { bytes: out.get_mut(start..).unwrap_or_default(), len: 0 };
    write(&mut line);
    let len = line.len;
    out.truncate(start.saturating_add(len));
}

impl Line<'_> {
    /// The first `n` of eight characters, lowest byte first.
    #[inline(always)]
    pub(super) fn put(&mut self, eight: u64, n: usize) {
        if let Some(free) = self.bytes.get_mut(self.len..).and_then(|rest| rest.first_chunk_mut::<8>()) {
            *free = eight.to_le_bytes();
            self.len += n;
        }
    }

    #[inline(always)]
    pub(super) fn put_short(&mut self, value: &Short) {
        let Short { digits, scale, is_negative, n_whole, n_decimals } = *value;
        self.put(MINUS, usize::from(is_negative));
        self.put(digits >> (8 * (8 - scale - n_whole)), n_whole);
        self.put(POINT, 1);
        if n_decimals == 0 {
            self.put(ZEROS, 1);
        } else {
            self.put(digits >> (8 * (8 - scale)), n_decimals);
        }
    }
}

/// A few characters, written from the last to the first.
struct Row {
    bytes: [u8; ROW_BYTES],
    start: usize,
}

impl Row {
    fn new() -> Self {
        Self { bytes: [0; ROW_BYTES], start: ROW_BYTES }
    }

    fn text(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    fn put(&mut self, byte: u8) {
        let at = self.start.wrapping_sub(1);
        if let Some(free) = self.bytes.get_mut(at) {
            *free = byte;
            self.start = at;
        }
    }

    /// The last digit; returns the others.
    fn put_digit(&mut self, number: u64) -> u64 {
        self.put(b'0' + (number % 10) as u8);
        number / 10
    }

    fn put_unsigned(&mut self, mut number: u64) {
        number = self.put_digit(number);
        while number > 0 {
            number = self.put_digit(number);
        }
    }

    fn put_signed(&mut self, number: i64) {
        self.put_unsigned(number.unsigned_abs());
        if number < 0 {
            self.put(b'-');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(samples: &[(i64, Option<f64>)]) {
        let mut numbers = Digits::default();
        for (at, value) in samples {
            let mut out = Vec::new();
            put_whole(&mut out, b"", *at);
            assert_eq!(String::from_utf8(out).unwrap(), at.to_string());
            let mut out = Vec::new();
            numbers.put_sample(&mut out, b"[", *at, *value, b']').unwrap();
            let expected = serde_json::to_string(&(at, value)).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
            if let Some(value) = value {
                let mut out = Vec::new();
                numbers.put_value(&mut out, b"", *value).unwrap();
                assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(value).unwrap());
            }
        }
    }

    #[test]
    fn odd_numbers_are_written_as_serde_writes_them() {
        let values =
            [0.0, -0.0, 23.0, 23.4, -0.5, 0.0001, 0.00001, 100.0, 1e15, 1e16, 1e300, 5e-324, f64::MAX];
        let whole = [999_999_999_999_999.0, 1_000_000_000_000_000.0, -99_999_999_999.999_9, 0.1 + 0.2];
        let samples = values.iter().chain(&whole).map(|value| (1_769_904_000_000, Some(*value)));
        check(
            &samples
                .chain([(i64::MIN, None), (i64::MAX, Some(1.5)), (0, None), (-7, None)])
                .collect::<Vec<_>>(),
        );
    }

    #[test]
    fn decimals_are_written_without_their_zeros_however_many_decimals_they_have() {
        let mantissas =
            [0, 1, -1, 9, 10, 23_400, 99_999_999, 100_000_000, -99_999_999, 999_999_999_999_999, 1 << 52];
        for scale in 0..=decimal::SCALE_MAX {
            for mantissa in mantissas.into_iter().chain((0..1_000_000).step_by(977)) {
                let mut out = Vec::new();
                put_decimal(&mut out, mantissa, scale).unwrap();
                let value = decimal::join(mantissa, scale).unwrap();
                assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&value).unwrap());
            }
        }
    }

    #[test]
    fn eight_digits_are_those_of_the_number() {
        // Every two and every four digits at each place, and all over.
        let fours = (0..10_000_u32).flat_map(|n| [n, n * 10_000, n * 10_000 + 9_999, 99_990_000 + n]);
        for number in fours.chain((0..100_000_000).step_by(9_973)) {
            assert_eq!(String::from_utf8_lossy(&eight_digits(number).to_le_bytes()), format!("{number:08}"));
        }
    }

    #[test]
    fn a_time_is_written_as_it_is_whatever_came_before() {
        let times = [
            99_999_999,
            100_000_000,
            100_000_001,
            1,
            1_769_904_000_000,
            1_769_900_000_000,
            1_769_904_000_001,
        ];
        check(
            &times
                .into_iter()
                .chain([-100_000_000_000, 0, i64::MAX])
                .map(|at| (at, Some(0.5)))
                .collect::<Vec<_>>(),
        );
    }

    proptest! {
        #[test]
        fn every_number_is_written_as_serde_writes_it(samples in prop::collection::vec((any::<i64>(), prop_oneof![
            Just(None),
            any::<f64>().prop_map(|value| value.is_finite().then_some(value)),
            (-100_000_000_i32..100_000_000, 0..6).prop_map(|(m, scale)| Some(f64::from(m) / 10_f64.powi(scale))),
        ]), 1..60)) {
            check(&samples);
        }
    }
}
