//! Topics: `{prefix}/{node}/{channel}`; a node owns the subtree of its id and nothing else.

use crate::ids::NodeId;

/// The prefix when nobody sets another.
pub const PREFIX_DEFAULT: &str = "giot/v1";

/// Longest topic: a prefix of 64 bytes, a node id of 32, the longest channel.
pub const TOPIC_LEN_MAX: usize = 64 + 1 + 32 + 1 + 6;

/// The last level of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Node → gateway: [`super::Uplink`].
    Up,
    /// Gateway → node: [`super::Downlink`] under COSE_Mac0.
    Down,
    /// Retained `online` / `offline`, the latter as the will.
    Status,
    /// Any device → gateway: one flat JSON object of numbers.
    Json,
}

/// A prefix so long that the topic does not fit [`TOPIC_LEN_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicError;

/// Whether topics can begin with it: at most 64 bytes, levels of letters, digits, `-` and `_`, so that no wildcard is among them.
#[must_use]
pub fn is_prefix(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() <= 64 && text.split('/').all(|level| !level.is_empty() && level.bytes().all(is_good))
}

impl Topic {
    /// The level as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Status => "status",
            Self::Json => "json",
        }
    }

    /// Splits a topic under `prefix` into its node and channel; `None` when it is not one of ours.
    #[must_use]
    pub fn parse(prefix: &str, topic: &str) -> Option<(NodeId, Self)> {
        let rest = topic.strip_prefix(prefix)?.strip_prefix('/')?;
        let (node, level) = rest.split_once('/')?;
        let channel = match level {
            "up" => Self::Up,
            "down" => Self::Down,
            "status" => Self::Status,
            "json" => Self::Json,
            _ => return None,
        };
        Some((node.parse().ok()?, channel))
    }
}

/// The full topic of a node's channel.
///
/// # Errors
/// [`TopicError`] when `prefix` is longer than 64 bytes.
pub fn topic(
    prefix: &str,
    node: &NodeId,
    channel: Topic,
) -> Result<heapless::String<TOPIC_LEN_MAX>, TopicError> {
    let mut text = heapless::String::new();
    for part in [prefix, "/", node.as_str(), "/", channel.as_str()] {
        text.push_str(part).map_err(|_| TopicError)?;
    }
    Ok(text)
}
