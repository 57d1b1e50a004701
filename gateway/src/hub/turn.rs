//! A node's first key is on paper and screens: at its first contact the node is given one that nobody has seen. Pure.
//!
//! | state | means |
//! |---|---|
//! | due | the node has the key that was printed; or the second one, and this data folder is an older copy |
//! | offered | a salt is on its way; until the node has told that it kept the new key |
//! | done | the printed key means nothing any more |
//!
//! Until it is done both may log in. Kept as JSON in the row `key/NODE` beside what zones must not forget; a device without one
//! keeps its key. The new key itself is nowhere but in the node and, once the node has it, in the registry.

use giot_firmware::settings::{rekey, words};
use giot_shared::ids::{CommandId, NodeId};
use giot_shared::time::UnixMs;
use giot_shared::wire::{NodeKey, SALT_LEN, SettingsOutcome, SettingsText, next_key};
use serde_json::{Value, json};

const ROW: &str = "key/";
/// A node that did not keep the new key is asked again at its first Hello after so long: it restarts for it.
const AGAIN_MS: i64 = 24 * 3_600_000;
/// In how many seconds the node must be back, s: a start with a slow radio and a broker that is busy.
pub const WITHIN_S: u32 = 300;

/// The row of a node.
#[must_use]
pub fn row(node: &NodeId) -> String {
    format!("{ROW}{node}")
}

/// The node of a row; `None` for rows of something else.
#[must_use]
pub fn node_of(row: &str) -> Option<NodeId> {
    row.strip_prefix(ROW)?.parse().ok()
}

/// Where a node's key is on its way from the first to the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The node has the printed one.
    Due {
        /// What makes the second one. Kept before anything is sent: whoever has the first must find the way to the second.
        salt: [u8; SALT_LEN],
    },
    /// The salt was sent.
    Offered {
        /// The same, however often it is sent.
        salt: [u8; SALT_LEN],
        /// The command that carried it last.
        command: CommandId,
        /// When.
        at: UnixMs,
    },
    /// The node has the second one.
    Done,
}

impl Turn {
    /// The key that follows `key`; `None`: it is the last.
    #[must_use]
    pub fn next(&self, key: &NodeKey) -> Option<NodeKey> {
        match self {
            Self::Due { salt } | Self::Offered { salt, .. } => Some(next_key(key, salt)),
            Self::Done => None,
        }
    }

    /// Whether a node that uses the second key surely keeps it: nobody offered it lately, so it is on no trial.
    #[must_use]
    pub fn is_proven_by_use(&self, now: UnixMs) -> bool {
        match self {
            Self::Due { .. } => true,
            Self::Offered { at, .. } => now.0.saturating_sub(at.0) >= AGAIN_MS,
            Self::Done => false,
        }
    }

    /// The salt to send now, if it is time. A clock that went back does not keep a node waiting.
    #[must_use]
    pub fn salt_to_send(&self, now: UnixMs) -> Option<[u8; SALT_LEN]> {
        match self {
            Self::Due { salt } => Some(*salt),
            Self::Offered { salt, at, .. } => {
                let waited_ms = now.0.saturating_sub(at.0);
                (!(0..AGAIN_MS).contains(&waited_ms)).then_some(*salt)
            }
            Self::Done => None,
        }
    }

    /// Whether an outcome says that the node keeps the second key.
    #[must_use]
    pub fn is_kept(&self, command: CommandId, outcome: SettingsOutcome) -> bool {
        let is_ours = matches!(self, Self::Offered { command: ours, .. } if *ours == command);
        is_ours && outcome == SettingsOutcome::Confirmed
    }

    /// As the store keeps it.
    #[must_use]
    pub fn to_json(&self) -> String {
        let value = match self {
            Self::Due { salt } => json!({ "state": "due", "salt": crate::hex(salt) }),
            Self::Offered { salt, command, at } => {
                json!({ "state": "offered", "salt": crate::hex(salt), "command": command.0, "at": at.0 })
            }
            Self::Done => json!({ "state": "done" }),
        };
        value.to_string()
    }

    /// What [`Self::to_json`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let salt = || words::bytes_of(value.get("salt")?.as_str()?);
        Some(match value.get("state")?.as_str()? {
            "due" => Self::Due { salt: salt()? },
            "offered" => Self::Offered {
                salt: salt()?,
                command: CommandId(value.get("command")?.as_u64()?),
                at: UnixMs(value.get("at")?.as_i64()?),
            },
            "done" => Self::Done,
            _ => return None,
        })
    }
}

/// The settings that turn a node's key.
#[must_use]
pub fn settings(key: &NodeKey, salt: &[u8; SALT_LEN]) -> Option<SettingsText> {
    SettingsText::new(&rekey::line(key, salt))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: [u8; SALT_LEN] = [5; SALT_LEN];
    const DUE: Turn = Turn::Due { salt: SALT };
    const OURS: CommandId = CommandId(7);

    fn offered() -> Turn {
        Turn::Offered { salt: SALT, command: OURS, at: UnixMs(1_000) }
    }

    #[test]
    fn the_store_gives_back_what_it_was_given() {
        for turn in [DUE, offered(), Turn::Done] {
            assert_eq!(Turn::from_json(&turn.to_json()), Some(turn));
        }
        for bad in ["", "{}", r#"{"state":"due"}"#, r#"{"state":"offered","salt":"05","command":7,"at":1}"#] {
            assert_eq!(Turn::from_json(bad), None, "{bad}");
        }
        let node: NodeId = "n01".parse().expect("an id");
        assert_eq!(node_of(&row(&node)), Some(node));
        assert_eq!(node_of("settings/n01"), None);
    }

    #[test]
    fn a_salt_stays_and_is_sent_again_after_a_day() {
        assert_eq!(DUE.salt_to_send(UnixMs(0)), Some(SALT));
        assert_eq!(offered().salt_to_send(UnixMs(1_000 + AGAIN_MS - 1)), None);
        assert_eq!(offered().salt_to_send(UnixMs(1_000 + AGAIN_MS)), Some(SALT));
        assert_eq!(offered().salt_to_send(UnixMs(999)), Some(SALT));
        assert_eq!(Turn::Done.salt_to_send(UnixMs(i64::MAX)), None);
    }

    #[test]
    fn only_the_nodes_own_word_ends_the_first_key() {
        assert!(offered().is_kept(OURS, SettingsOutcome::Confirmed));
        assert!(!offered().is_kept(OURS, SettingsOutcome::Unreachable));
        assert!(!offered().is_kept(CommandId(8), SettingsOutcome::Confirmed));
        assert!(!DUE.is_kept(OURS, SettingsOutcome::Confirmed));
        let key = NodeKey([1; 32]);
        assert_eq!(offered().next(&key), Some(next_key(&key, &SALT)));
        assert_eq!((DUE.next(&key), Turn::Done.next(&key)), (Some(next_key(&key, &SALT)), None));
    }

    #[test]
    fn a_key_that_is_used_after_any_trial_is_kept() {
        assert!(DUE.is_proven_by_use(UnixMs(0)));
        assert!(!offered().is_proven_by_use(UnixMs(1_000 + AGAIN_MS - 1)));
        assert!(offered().is_proven_by_use(UnixMs(1_000 + AGAIN_MS)));
        assert!(!Turn::Done.is_proven_by_use(UnixMs(i64::MAX)));
    }
}
