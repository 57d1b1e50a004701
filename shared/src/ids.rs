//! Names of things that both ends speak of. Text ids are checked once, where they enter, and are safe in topics, file
//! names and SQL afterwards.

use core::fmt;
use core::str::FromStr;

/// Longest text of a [`NodeId`] in bytes: fits an MQTT 3.1 client id (23) with room for a prefix in newer ones.
pub const NODE_ID_LEN_MAX: usize = 32;

/// Name of a node or other device: 1–32 characters of `a–z`, `0–9`, `-`, `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(heapless::String<NODE_ID_LEN_MAX>);

/// Why a text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdError {
    /// Nothing, or more than 32 bytes.
    Length,
    /// Something else than `a–z`, `0–9`, `-`, `_`.
    Character,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "an id has 1 to 32 characters",
            Self::Character => "an id consists of a-z, 0-9, '-' and '_'",
        })
    }
}

impl core::error::Error for IdError {}

impl NodeId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Length);
        }
        let id = heapless::String::try_from(text).map_err(|_| IdError::Length)?;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if text.chars().all(allowed) { Ok(Self(id)) } else { Err(IdError::Character) }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One of a node's valves, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValveId(pub u8);

impl fmt::Display for ValveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One of a node's probes, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u8);

impl fmt::Display for ProbeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A command of one gateway, counted up for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Position of a record in a node's life: boot counter, then count within that boot. Ordered as the records were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The node's boot counter, kept in its flash, never used twice.
    pub epoch: u32,
    /// Count of records within the epoch, from 1; 0 stands for "before the first".
    pub seq: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_are_checked() {
        fn check(text: &str, want: Result<(), IdError>) {
            assert_eq!(text.parse::<NodeId>().map(|_| ()), want, "{text:?}");
        }
        check("n01", Ok(()));
        check("a-b_c-9", Ok(()));
        check("", Err(IdError::Length));
        check("abcdefghijklmnopqrstuvwxyz0123456", Err(IdError::Length));
        check("N01", Err(IdError::Character));
        check("a/b", Err(IdError::Character));
        check("a+", Err(IdError::Character));
        check("ổi", Err(IdError::Character));
    }

    #[test]
    fn positions_order_by_epoch_first() {
        assert!(Position { epoch: 1, seq: 900 } < Position { epoch: 2, seq: 1 });
    }
}
