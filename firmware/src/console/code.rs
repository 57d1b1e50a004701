//! A node's id and key in one code that can be typed, pasted or read from a QR picture: `GIOT1-…`.
//!
//! | bytes | content |
//! |---|---|
//! | 0..32 | key |
//! | 32..n−2 | id |
//! | n−2..n | CRC-16 of all before it (Modbus's polynomial), little endian |
//!
//! Written in base 32 of Crockford's alphabet (no I, L, O, U), so that a QR picture is small and a typing mistake is
//! noticed. It is the node's first key, for one use: at its first contact a node gets another one
//! ([`rekey`](crate::settings::rekey)).

use core::fmt;
use giot_shared::ids::{NODE_ID_LEN_MAX, NodeId};
use giot_shared::wire::{KEY_LEN, NodeKey};

const PREFIX: &str = "GIOT1-";
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BYTES_MAX: usize = KEY_LEN + NODE_ID_LEN_MAX + 2;

/// Longest code, bytes: of an id of 32.
pub const CODE_LEN_MAX: usize = PREFIX.len() + (BYTES_MAX * 8).div_ceil(5);

/// Why a text is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeError {
    /// It does not begin as one, or has other characters or another length.
    NotOne,
    /// A digit is wrong or two are exchanged.
    Mistyped,
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOne => "this is no code of a node: it begins with GIOT1-",
            Self::Mistyped => "the code is mistyped: its check does not fit",
        })
    }
}

impl core::error::Error for CodeError {}

/// The code of a node; `None` for an id that does not fit, which none does.
#[must_use]
pub fn to_code(id: &NodeId, key: &NodeKey) -> Option<heapless::String<CODE_LEN_MAX>> {
    let mut bytes = heapless::Vec::<u8, BYTES_MAX>::new();
    bytes.extend_from_slice(&key.0).ok()?;
    bytes.extend_from_slice(id.as_str().as_bytes()).ok()?;
    let check = crc16(&bytes).to_le_bytes();
    bytes.extend_from_slice(&check).ok()?;
    let mut code = heapless::String::try_from(PREFIX).ok()?;
    let (mut bits, mut n_bits) = (0_u32, 0_u32);
    for byte in bytes {
        bits = bits << 8 | u32::from(byte);
        n_bits += 8;
        while n_bits >= 5 {
            n_bits -= 5;
            code.push(digit(bits >> n_bits)?).ok()?;
        }
    }
    if n_bits > 0 {
        code.push(digit(bits << (5 - n_bits))?).ok()?;
    }
    Some(code)
}

/// Id and key of a code; small letters count as large ones, spaces and hyphens after the beginning as nothing.
///
/// # Errors
/// [`CodeError`].
pub fn from_code(text: &str) -> Result<(NodeId, NodeKey), CodeError> {
    let (start, rest) = text.trim().split_at_checked(PREFIX.len()).ok_or(CodeError::NotOne)?;
    if !start.eq_ignore_ascii_case(PREFIX) {
        return Err(CodeError::NotOne);
    }
    let mut bytes = heapless::Vec::<u8, BYTES_MAX>::new();
    let (mut bits, mut n_bits) = (0_u32, 0_u32);
    for letter in rest.bytes().filter(|byte| !matches!(byte, b' ' | b'-')) {
        let letter = letter.to_ascii_uppercase();
        let value = ALPHABET.iter().position(|known| *known == letter).ok_or(CodeError::NotOne)?;
        bits = (bits << 5 | u32::try_from(value).map_err(|_| CodeError::NotOne)?) & 0xfff;
        n_bits += 5;
        if n_bits >= 8 {
            n_bits -= 8;
            let [.., byte] = (bits >> n_bits).to_be_bytes();
            bytes.push(byte).map_err(|_| CodeError::NotOne)?;
        }
    }
    // What is left of the last digit says nothing.
    if bits & ((1 << n_bits) - 1) != 0 {
        return Err(CodeError::Mistyped);
    }
    let (content, check) = bytes.split_last_chunk::<2>().ok_or(CodeError::NotOne)?;
    if crc16(content) != u16::from_le_bytes(*check) {
        return Err(CodeError::Mistyped);
    }
    let (key, id) = content.split_first_chunk::<KEY_LEN>().ok_or(CodeError::NotOne)?;
    let id = core::str::from_utf8(id).ok().and_then(|id| id.parse().ok()).ok_or(CodeError::NotOne)?;
    Ok((id, NodeKey(*key)))
}

fn digit(value: u32) -> Option<char> {
    ALPHABET.get(usize::try_from(value & 31).ok()?).map(|byte| char::from(*byte))
}

fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = u16::MAX;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 };
        }
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn the_check_is_that_of_modbus() {
        assert_eq!(crc16(b"123456789"), 0x4b37, "its published check value");
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let key = NodeKey([0x5a; KEY_LEN]);
        let code = to_code(&"v01".parse().expect("an id"), &key).expect("fits");
        let read = |text: &str| from_code(text).map(|(id, key)| (id.to_string(), key.0));
        assert_eq!(read(&code), Ok(("v01".to_string(), key.0)));
        let spaced = code.to_lowercase().replace('m', " m-");
        assert_eq!(read(&spaced), Ok(("v01".to_string(), key.0)), "as people type");
        for bad in ["", "GIOT", "GIOT1-", "GIOT1-00", "GIOT2-000000", "GIOT1-U0", "GIOT1-đ"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(read(&std::format!("{code}{code}")), Err(CodeError::NotOne));
    }

    proptest! {
        #[test]
        fn codes_come_back_and_one_wrong_digit_is_noticed(
            id in "[a-z0-9_-]{1,32}", key: [u8; KEY_LEN], at: prop::sample::Index, wrong in 0..32_usize,
        ) {
            let id: NodeId = id.parse().expect("an id");
            let code = to_code(&id, &NodeKey(key)).expect("fits");
            let (id_again, key_again) = from_code(&code).expect("a code");
            prop_assert_eq!((id_again, key_again.0), (id, key));
            let mut bytes = code.as_bytes().to_vec();
            let at = PREFIX.len() + at.index(bytes.len() - PREFIX.len());
            if bytes[at] != ALPHABET[wrong] {
                bytes[at] = ALPHABET[wrong];
                prop_assert!(from_code(core::str::from_utf8(&bytes).expect("ASCII")).is_err());
            }
        }

        #[test]
        fn any_text_is_read_without_harm(text in "(GIOT1-)?\\PC{0,140}") {
            if let Ok((id, key)) = from_code(&text) {
                prop_assert!(to_code(&id, &key).is_some());
            }
        }
    }
}
