//! Numbers as JSON, quickly: answers about the history are little else.
//!
//! A probe's reading is a decimal of few digits; its digits are written as they are, where the general way looks for the shortest digits
//! of any double. Must write what `serde_json` writes, digit for digit.

use std::io;

use crate::store::decimal;

/// Longest number: a whole one of 20 characters; with a point, fewer.
const ROW_BYTES: usize = 24;

/// Decimals beyond this are left to `serde_json`: it writes such with an exponent.
const MANTISSA_MAX: u64 = 1_000_000_000_000_000;

/// A sample's time has its last so many digits written anew, its others mostly are those of the sample before.
const LAST_DIGITS: i64 = 100_000_000;

/// Writes numbers one behind the other; remembers of the last one what the next one mostly has as well: how many decimals, and the first
/// digits of a time.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    scale: u8,
    /// A time without its last digits, and as text.
    first: i64,
    first_text: Vec<u8>,
}

impl Numbers {
    /// Appends `opening`, a time, a comma, a value and `closing`: a sample.
    pub(super) fn put_sample(
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
        let (first, last) = (at / LAST_DIGITS, u32::try_from(at % LAST_DIGITS));
        let (1.., Ok(last)) = (first, last) else { return put_whole(out, b"", at) };
        if first != self.first {
            self.first = first;
            self.first_text.clear();
            put_whole(&mut self.first_text, b"", first);
        }
        out.extend_from_slice(&self.first_text);
        out.extend_from_slice(&eight_digits(last));
    }

    /// Appends `opening` and a value.
    pub(super) fn put_value(&mut self, out: &mut Vec<u8>, opening: &[u8], value: f64) -> io::Result<()> {
        out.extend_from_slice(opening);
        let mut row = Row::new();
        if self.put_decimal(&mut row, value) {
            out.extend_from_slice(row.text());
            return Ok(());
        }
        Ok(serde_json::to_writer(out, &value)?)
    }

    /// False, and nothing written, when the value is no short decimal.
    fn put_decimal(&mut self, row: &mut Row, value: f64) -> bool {
        let as_before = decimal::mantissa_at(value, self.scale).map(|mantissa| (mantissa, self.scale));
        let Some((mut mantissa, mut scale)) = as_before.or_else(|| decimal::split(value)) else {
            return false;
        };
        if mantissa.unsigned_abs() >= MANTISSA_MAX {
            return false;
        }
        self.scale = scale;
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
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
        true
    }
}

/// Appends `opening` and a whole number.
pub(super) fn put_whole(out: &mut Vec<u8>, opening: &[u8], number: i64) {
    out.extend_from_slice(opening);
    let mut row = Row::new();
    row.put_signed(number);
    out.extend_from_slice(row.text());
}

/// The digits of a number below 10^8, all at once: fours, then twos, then ones side by side in one word, each divided by multiplying.
fn eight_digits(number: u32) -> [u8; 8] {
    let fours = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = (fours - 100 * hundreds) << 16 | hundreds;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = (twos - 10 * tens) << 8 | tens;
    (ones | 0x3030_3030_3030_3030).to_le_bytes()
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
        let mut numbers = Numbers::default();
        for (at, value) in samples {
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
    fn eight_digits_are_those_of_the_number() {
        // Every two and every four digits at each place, and all over.
        let fours = (0..10_000_u32).flat_map(|n| [n, n * 10_000, n * 10_000 + 9_999, 99_990_000 + n]);
        for number in fours.chain((0..100_000_000).step_by(9_973)) {
            assert_eq!(String::from_utf8_lossy(&eight_digits(number)), format!("{number:08}"));
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
