//! Columns of small whole numbers, packed bit by bit: what hours differ by.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | 0: all numbers are the same; 1 + k: Rice code with parameter k |
//! | signed varint | the number; else the middle one, which is subtracted from all |
//! | … | if not 0: bits, lowest of a byte first, padded with zeros |
//!
//! A Rice code is the zigzagged difference's upper part in unary (ones, then a zero) and its lower k bits. An upper part of
//! [`UNARY_MAX`] or more is [`UNARY_MAX`] ones and all 64 bits. pco would need a longer header than such a column has bits.
//!
//! Must not know what the numbers mean. Invariant: as many numbers come out as went in, or an error value.

use super::super::bytes::{BadBytes, Cursor, put_signed, unzigzag, zigzag};

/// Longest unary part: beyond, plain bits are shorter.
const UNARY_MAX: u32 = 24;

/// Largest Rice parameter.
const K_MAX: u8 = 56;

/// Appends `numbers`.
pub(super) fn put_column(out: &mut Vec<u8>, numbers: &[i64]) {
    let first = numbers.first().copied().unwrap_or(0);
    if numbers.iter().all(|number| *number == first) {
        out.push(0);
        put_signed(out, first);
        return;
    }
    let middle = middle(numbers);
    let (k, _) = best(numbers, middle);
    out.push(1 + k);
    put_signed(out, middle);
    let mut bits = Bits::default();
    for number in numbers {
        let code = zigzag(number.wrapping_sub(middle));
        let upper = code >> k;
        if upper >= u64::from(UNARY_MAX) {
            bits.put(low_bits(UNARY_MAX), UNARY_MAX);
            bits.put(code & 0xffff_ffff, 32);
            bits.put(code >> 32, 32);
        } else {
            let ones = u32::try_from(upper).unwrap_or(UNARY_MAX);
            bits.put(low_bits(ones), ones + 1);
            bits.put(code & low_bits(k.into()), k.into());
        }
    }
    out.append(&mut bits.finish());
}

/// Bits that [`put_column`] would take, about.
pub(super) fn cost(numbers: &[i64]) -> u64 {
    best(numbers, middle(numbers)).1
}

fn middle(numbers: &[i64]) -> i64 {
    let mut sorted = numbers.to_vec();
    let idx = sorted.len() / 2;
    if sorted.is_empty() { 0 } else { *sorted.select_nth_unstable(idx).1 }
}

/// The Rice parameter with which `numbers` take the fewest bits, and how many.
fn best(numbers: &[i64], middle: i64) -> (u8, u64) {
    let codes = || numbers.iter().map(|number| zigzag(number.wrapping_sub(middle)));
    let bits_with = |k: u8| -> u64 {
        let bits = codes().map(|code| match code >> k {
            upper if upper >= u64::from(UNARY_MAX) => u64::from(UNARY_MAX) + 64,
            upper => upper + 1 + u64::from(k),
        });
        bits.sum()
    };
    // The mean's magnitude is near the best parameter; its neighbours are tried.
    let total: u128 = codes().map(u128::from).sum();
    let mean = total / u128::try_from(numbers.len().max(1)).unwrap_or(1);
    let guess = u8::try_from(128 - mean.leading_zeros()).unwrap_or(0).min(K_MAX);
    let candidates = guess.saturating_sub(3)..=(guess + 1).min(K_MAX);
    let candidates = std::iter::once(0).chain(candidates);
    candidates.map(|k| (k, bits_with(k))).min_by_key(|(_, bits)| *bits).unwrap_or((0, 0))
}

/// Reads `n` numbers.
pub(super) fn take_column(cursor: &mut Cursor<'_>, n: usize) -> Result<Vec<i64>, BadBytes> {
    let kind = cursor.byte()?;
    let Some(k) = kind.checked_sub(1) else { return Ok(vec![cursor.signed()?; n]) };
    if k > K_MAX {
        return Err(BadBytes);
    }
    let middle = cursor.signed()?;
    let mut bits = BitCursor { cursor, buffer: 0, n_buffered: 0 };
    let numbers = (0..n).map(|_| {
        let ones = bits.take_ones()?;
        let code = if ones == UNARY_MAX {
            bits.take(32)? | bits.take(32)? << 32
        } else {
            u64::from(ones) << k | bits.take(k.into())?
        };
        Ok(middle.wrapping_add(unzigzag(code)))
    });
    let numbers = numbers.collect::<Result<Vec<i64>, BadBytes>>()?;
    // Padding of the last byte.
    if bits.buffer == 0 { Ok(numbers) } else { Err(BadBytes) }
}

fn low_bits(n: u32) -> u64 {
    (1_u64 << n) - 1
}

/// Bits on their way into bytes.
#[derive(Default)]
struct Bits {
    out: Vec<u8>,
    buffer: u64,
    n_buffered: u32,
}

impl Bits {
    /// Appends the lowest `n` bits, at most 56, of which no others may be set.
    fn put(&mut self, bits: u64, n: u32) {
        self.buffer |= bits << self.n_buffered;
        self.n_buffered += n;
        while self.n_buffered >= 8 {
            self.out.push((self.buffer & 0xff) as u8);
            self.buffer >>= 8;
            self.n_buffered -= 8;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.n_buffered > 0 {
            self.out.push((self.buffer & 0xff) as u8);
        }
        self.out
    }
}

/// Bytes on their way into bits.
struct BitCursor<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    buffer: u64,
    n_buffered: u32,
}

impl BitCursor<'_, '_> {
    /// How many ones come next, at most [`UNARY_MAX`]; takes the zero behind fewer as well.
    fn take_ones(&mut self) -> Result<u32, BadBytes> {
        let mut n_ones = 0;
        loop {
            let n_next = self.buffer.trailing_ones().min(UNARY_MAX - n_ones);
            n_ones += n_next;
            self.buffer >>= n_next;
            self.n_buffered -= n_next;
            if n_ones == UNARY_MAX {
                return Ok(n_ones);
            }
            if self.n_buffered > 0 {
                self.take(1)?;
                return Ok(n_ones);
            }
            self.buffer = self.cursor.byte()?.into();
            self.n_buffered = 8;
        }
    }

    /// The next `n` bits, at most 56.
    fn take(&mut self, n: u32) -> Result<u64, BadBytes> {
        while self.n_buffered < n {
            self.buffer |= u64::from(self.cursor.byte()?) << self.n_buffered;
            self.n_buffered += 8;
        }
        let bits = self.buffer & low_bits(n);
        self.buffer >>= n;
        self.n_buffered -= n;
        Ok(bits)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(numbers: &[i64]) -> usize {
        let mut out = Vec::new();
        put_column(&mut out, numbers);
        let mut cursor = Cursor::new(&out);
        assert_eq!(take_column(&mut cursor, numbers.len()).as_deref(), Ok(numbers));
        assert!(cursor.is_at_end());
        out.len()
    }

    proptest! {
        #[test]
        fn columns_come_back(
            small in prop::collection::vec(-40_i64..40, 0..200),
            wide in prop::collection::vec(prop_oneof![9 => -3_i64..3, 1 => any::<i64>()], 0..200),
            bytes in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            check(&small);
            check(&wide);
            // Foreign bytes: a bounded number of numbers or an error, no panic.
            let read = take_column(&mut Cursor::new(&bytes), 50);
            prop_assert!(read.is_err() || read.is_ok_and(|numbers| numbers.len() == 50));
        }
    }

    #[test]
    fn columns_are_as_small_as_their_noise() {
        assert_eq!(check(&[0; 500]), 2);
        assert!(check(&[i64::MIN, i64::MAX]) <= 1 + 10 + 12);
        let noise: Vec<i64> = (0..720_i64).map(|i| (i * 7_919 + 13) * 104_729 % 1_000_003 % 7 - 3).collect();
        assert!(check(&noise) < 720 * 4 / 8, "{}", check(&noise));
    }
}
