//! Bounds-checked reading of MQTT's primitive types (section 1.5). A read that does not fit is [`MALFORMED`].

use super::{Fault, MALFORMED};

/// The unread rest of some bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, n_bytes: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(n_bytes).ok_or(MALFORMED)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        let (byte, rest) = self.rest.split_first().ok_or(MALFORMED)?;
        self.rest = rest;
        Ok(*byte)
    }

    /// A byte that is 0 or 1.
    pub(super) fn flag(&mut self) -> Result<bool, Fault> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(super::PROTOCOL),
        }
    }

    pub(super) fn two(&mut self) -> Result<u16, Fault> {
        let (bytes, rest) = self.rest.split_first_chunk::<2>().ok_or(MALFORMED)?;
        self.rest = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    pub(super) fn four(&mut self) -> Result<u32, Fault> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>().ok_or(MALFORMED)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    /// One to four bytes of seven bits each, in the shortest form or not.
    pub(super) fn varint(&mut self) -> Result<u32, Fault> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(MALFORMED)
    }

    pub(super) fn binary(&mut self) -> Result<&'a [u8], Fault> {
        let len = self.two()?;
        self.take(usize::from(len))
    }

    /// UTF-8 without U+0000 (section 1.5.4).
    pub(super) fn text(&mut self) -> Result<&'a str, Fault> {
        let text = std::str::from_utf8(self.binary()?).map_err(|_| MALFORMED)?;
        if text.contains('\0') { Err(MALFORMED) } else { Ok(text) }
    }

    /// A reader over a list with its length before it.
    pub(super) fn list(&mut self) -> Result<Self, Fault> {
        let len = self.varint()?;
        Ok(Self::new(self.take(usize::try_from(len).map_err(|_| MALFORMED)?)?))
    }
}
