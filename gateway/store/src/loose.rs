//! A value as it lies in its row: text need not be any.
//!
//! SQLite keeps whatever bytes a text has. A changed bit makes text of it that cannot be read as such, but can be copied and set right.
//!
//! Must not know tables.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Loose {
    Null,
    Whole(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Loose {
    pub(super) fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Whole(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(text.to_vec()),
            ValueRef::Blob(blob) => Self::Blob(blob.to_vec()),
        }
    }

    pub(super) fn value(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Whole(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(blob) => ValueRef::Blob(blob),
        }
    }

    /// The value with one bit of its bytes changed; numbers are little-endian.
    pub(super) fn with_flipped(&self, byte: usize, mask: u8) -> Option<Self> {
        let flip = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            *bytes.get_mut(byte)? ^= mask;
            Some(bytes)
        };
        let flip_number = |bytes: [u8; 8]| flip(&bytes)?.try_into().ok();
        Some(match self {
            Self::Null => return None,
            Self::Whole(number) => Self::Whole(i64::from_le_bytes(flip_number(number.to_le_bytes())?)),
            Self::Real(number) => Self::Real(f64::from_le_bytes(flip_number(number.to_le_bytes())?)),
            Self::Text(text) => Self::Text(flip(text)?),
            Self::Blob(blob) => Self::Blob(flip(blob)?),
        })
    }

    /// What a whole number may have been before the highest bit changed of the 1, 2, 3, 4 or 6 bytes that it lies in (SQLite file format,
    /// section 2.1): the sign goes through all bits above.
    pub(super) fn with_other_signs(&self) -> impl Iterator<Item = Self> {
        let number = if let Self::Whole(number) = self { Some(*number) } else { None };
        let signed = |number: i64| {
            let lies_in = move |bit: &u32| matches!(number >> bit, 0 | -1);
            [7, 15, 23, 31, 47].into_iter().filter(lies_in).map(move |bit| Self::Whole(number ^ (-1 << bit)))
        };
        number.into_iter().flat_map(signed)
    }

    /// How many bytes it has.
    pub(super) fn n_bytes(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Whole(_) | Self::Real(_) => 8,
            Self::Text(bytes) | Self::Blob(bytes) => bytes.len(),
        }
    }

    /// The value with a mark in the place of what is no text.
    pub(super) fn readable(&self) -> Self {
        match self {
            Self::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned().into_bytes()),
            Self::Null | Self::Whole(_) | Self::Real(_) | Self::Blob(_) => self.clone(),
        }
    }
}

impl ToSql for Loose {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.value()))
    }
}

/// A text that is only shown: what is none in it is marked.
pub(super) fn shown(row: &Row<'_>, idx: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(row.get_ref(idx)?.as_bytes()?).into_owned())
}
