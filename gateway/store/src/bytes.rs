//! Little helpers for the store's own binary formats: variable-length integers and a reader that cannot run past its end.
//!
//! Must not know any format. Invariant: reading outside the bytes is an error value, never a panic.

/// The bytes ended early or hold a number no writer of ours produces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadBytes;

/// Appends `value` in groups of seven bits, lowest first (LEB128).
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value));
}

/// Appends a signed number, small magnitudes first in length (zigzag).
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, zigzag(value));
}

fn low_byte(value: u64) -> u8 {
    (value & 0x7f) as u8
}

/// Signed as unsigned, small magnitudes first.
pub(super) fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

/// The inverse of [`zigzag`].
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// A position in a slice of bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// True when every byte has been read.
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that was not read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Result<u8, BadBytes> {
        let (first, rest) = self.rest.split_first().ok_or(BadBytes)?;
        self.rest = rest;
        Ok(*first)
    }

    /// The next `n` bytes.
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], BadBytes> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(BadBytes)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next eight bytes as a little-endian number.
    pub(super) fn u64_le(&mut self) -> Result<u64, BadBytes> {
        let (taken, rest) = self.rest.split_first_chunk::<8>().ok_or(BadBytes)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*taken))
    }

    /// The next variable-length number.
    pub(super) fn varint(&mut self) -> Result<u64, BadBytes> {
        let mut value = 0_u64;
        let mut shift = 0_u32;
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(BadBytes);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
            if shift > 63 {
                return Err(BadBytes);
            }
        }
    }

    /// The next signed variable-length number.
    pub(super) fn signed(&mut self) -> Result<i64, BadBytes> {
        self.varint().map(unzigzag)
    }

    /// The next variable-length number as a length or count.
    pub(super) fn len(&mut self) -> Result<usize, BadBytes> {
        usize::try_from(self.varint()?).map_err(|_| BadBytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_cut_ones_are_refused() {
        let values = [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN, 1_700_000_000_000_000];
        for value in values {
            let mut out = Vec::new();
            put_signed(&mut out, value);
            let mut cursor = Cursor::new(&out);
            assert_eq!(cursor.signed(), Ok(value));
            assert!(cursor.is_at_end());
            assert_eq!(Cursor::new(&out[..out.len() - 1]).signed(), Err(BadBytes));
        }
    }

    #[test]
    fn numbers_longer_than_sixty_four_bits_are_refused() {
        assert_eq!(Cursor::new(&[0xff; 11]).varint(), Err(BadBytes));
        let mut too_big = vec![0xff; 9];
        too_big.push(2);
        assert_eq!(Cursor::new(&too_big).varint(), Err(BadBytes));
        too_big[9] = 1;
        assert_eq!(Cursor::new(&too_big).varint(), Ok(u64::MAX));
    }
}
