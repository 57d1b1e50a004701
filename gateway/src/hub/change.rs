//! Settings on their way to a node: said at its next Hello, answered, tried, kept or given up. One change a node; pure.
//!
//! | state | means |
//! |---|---|
//! | waiting | the node was not there, or its answer has not come: said again at its next Hello |
//! | accepted | the node restarts with them |
//! | confirmed | it reached the gateway with them and keeps them |
//! | refused | it did not take them; why |
//! | given_back | it took them, and went back to what it had; why: `unknown` where it says nothing, as one whose settings a person erased |
//!
//! Kept as JSON in the row `settings/NODE` beside what zones must not forget. The text is forgotten as soon as it is not
//! needed: a password may be in it.

use giot_firmware::settings::rekey;
use giot_shared::ids::{CommandId, NodeId};
use giot_shared::time::UnixMs;
use giot_shared::valve::RefusalReason;
use giot_shared::wire::{SettingsEvent, SettingsOutcome, SettingsText};
use serde_json::{Value, json};

const ROW: &str = "settings/";
/// Longest trial, s: of settings that were accepted before their time was kept.
const WITHIN_S_MAX: u32 = 3600;
/// How much longer than their trial nothing may be heard of settings, ms: two boots and the records that are told before.
const SLACK_MS: u64 = 600_000;

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

/// The last settings that were sent to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The command that carries them.
    pub command: CommandId,
    /// The words that change, without their values.
    pub words: String,
    /// When the state was reached.
    pub at: UnixMs,
    /// Where they are.
    pub state: State,
}

/// Where settings are on their way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// To be said, or said and not answered.
    Waiting {
        /// What is to change.
        text: SettingsText,
        /// In how many seconds the node must be back.
        within_s: u32,
    },
    /// The node tries them.
    Accepted {
        /// In how many seconds it must be back.
        within_s: u32,
    },
    /// The node keeps them.
    Confirmed,
    /// The node did not take them.
    Refused(RefusalReason),
    /// The node went back to what it had.
    GivenBack(SettingsOutcome),
}

impl State {
    /// The word of the state, and why.
    #[must_use]
    pub const fn code(&self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Waiting { .. } => ("waiting", None),
            Self::Accepted { .. } => ("accepted", None),
            Self::Confirmed => ("confirmed", None),
            Self::Refused(why) => ("refused", Some(why.code())),
            Self::GivenBack(why) => ("given_back", Some(why.code())),
        }
    }
}

impl Change {
    /// New settings.
    #[must_use]
    pub fn new(command: CommandId, text: SettingsText, within_s: u32, at: UnixMs) -> Self {
        let words: Vec<&str> =
            text.as_str().lines().filter_map(|line| line.split_once('=')).map(|(word, _)| word).collect();
        Self { command, words: words.join(" "), at, state: State::Waiting { text, within_s } }
    }

    /// Whether what becomes of these is still to be told.
    #[must_use]
    pub fn is_open(&self, now: UnixMs) -> bool {
        match self.state {
            State::Waiting { .. } => true,
            State::Accepted { .. } => !self.is_overdue(now),
            State::Confirmed | State::Refused(_) | State::GivenBack(_) => false,
        }
    }

    /// Whether other settings at this moment would take the place of these before anybody knows what becomes of them. A turn of the
    /// key is the gateway's own, and it makes it again.
    #[must_use]
    pub fn is_under_way(&self, now: UnixMs) -> bool {
        self.is_open(now) && self.words != rekey::WORD
    }

    /// Whether the node took them so long ago that it tries them no more.
    fn is_overdue(&self, now: UnixMs) -> bool {
        let State::Accepted { within_s } = self.state else { return false };
        now > self.at.plus_ms(u64::from(within_s) * 1000).plus_ms(SLACK_MS)
    }

    /// The node says Hello; true when it has forgotten them. What it tells later of them counts all the same.
    pub fn handle_hello(&mut self, at: UnixMs) -> bool {
        let is_forgotten = self.is_overdue(at);
        if is_forgotten {
            (self.state, self.at) = (State::GivenBack(SettingsOutcome::Unknown), at);
        }
        is_forgotten
    }

    /// The node answered a command; true when it was this one, and the answer is news.
    pub fn handle_answer(&mut self, command: CommandId, refused: Option<RefusalReason>, at: UnixMs) -> bool {
        let State::Waiting { within_s, .. } = self.state else { return false };
        if command != self.command {
            return false;
        }
        self.state = match refused {
            None => State::Accepted { within_s },
            // Later, at the next Hello: a valve is open, the time is not known yet, or the order was too old.
            Some(RefusalReason::Busy | RefusalReason::NotAnchored | RefusalReason::Expired) => return false,
            Some(why) => State::Refused(why),
        };
        self.at = at;
        true
    }

    /// The node told what became of them; true when that is news.
    pub fn handle_event(&mut self, event: SettingsEvent, at: UnixMs) -> bool {
        let state = match event.outcome {
            SettingsOutcome::Confirmed => State::Confirmed,
            why @ (SettingsOutcome::Unreachable
            | SettingsOutcome::Reset
            | SettingsOutcome::NotKept
            | SettingsOutcome::Unknown) => State::GivenBack(why),
        };
        let is_news = event.command == self.command && self.state != state;
        if is_news {
            (self.state, self.at) = (state, at);
        }
        is_news
    }

    /// As the store keeps it.
    #[must_use]
    pub fn to_json(&self) -> String {
        let (state, why) = self.state.code();
        let mut value = json!({
            "command": self.command.0, "words": self.words, "at": self.at.0, "state": state, "why": why,
        });
        let (text, within_s) = match &self.state {
            State::Waiting { text, within_s } => (Some(text), Some(within_s)),
            State::Accepted { within_s } => (None, Some(within_s)),
            State::Confirmed | State::Refused(_) | State::GivenBack(_) => (None, None),
        };
        if let Some(object) = value.as_object_mut() {
            object.extend(text.map(|text| ("text".to_owned(), json!(text.as_str()))));
            object.extend(within_s.map(|within_s| ("within_s".to_owned(), json!(within_s))));
        }
        value.to_string()
    }

    /// What [`Self::to_json`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let word = |key: &str| value.get(key).and_then(Value::as_str);
        let within_s =
            value.get("within_s").and_then(Value::as_u64).and_then(|secs| u32::try_from(secs).ok());
        let state = match (word("state")?, word("why")) {
            ("waiting", _) => State::Waiting { text: SettingsText::new(word("text")?)?, within_s: within_s? },
            ("accepted", _) => State::Accepted { within_s: within_s.unwrap_or(WITHIN_S_MAX) },
            ("confirmed", _) => State::Confirmed,
            ("refused", Some(why)) => State::Refused(RefusalReason::from_code(why)?),
            ("given_back", Some(why)) => State::GivenBack(SettingsOutcome::from_code(why)?),
            _ => return None,
        };
        Some(Self {
            command: CommandId(value.get("command")?.as_u64()?),
            words: word("words")?.to_owned(),
            at: UnixMs(value.get("at")?.as_i64()?),
            state,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use giot_shared::wire::{KEY_LEN, NodeKey, SALT_LEN};

    fn change() -> Change {
        let text = SettingsText::new("broker=10.0.0.1:1883\nhealth_s=60").expect("short");
        Change::new(CommandId(7), text, 300, UnixMs(5))
    }

    #[test]
    fn a_change_comes_back_whole_and_forgets_its_text() {
        let mut change = change();
        assert_eq!(change.words, "broker health_s");
        assert_eq!(Change::from_json(&change.to_json()).as_ref(), Some(&change));
        for state in [
            State::Accepted { within_s: 60 },
            State::Confirmed,
            State::Refused(RefusalReason::BadSetting),
            State::GivenBack(SettingsOutcome::Unreachable),
            State::GivenBack(SettingsOutcome::Unknown),
        ] {
            change.state = state;
            assert_eq!(Change::from_json(&change.to_json()).as_ref(), Some(&change));
            assert!(!change.to_json().contains("10.0.0.1"), "{}", change.to_json());
        }
        for bad in ["", "{}", r#"{"command":1,"words":"","at":0,"state":"refused","why":"tired"}"#] {
            assert_eq!(Change::from_json(bad), None, "{bad}");
        }
        let node: NodeId = "n01".parse().expect("an id");
        assert_eq!(node_of(&row(&node)), Some(node));
        assert_eq!(node_of("zone-a"), None);
    }

    #[test]
    fn answers_and_outcomes_move_it_once() {
        let mut change = change();
        let (ours, other) = (CommandId(7), CommandId(8));
        assert!(!change.handle_answer(other, None, UnixMs(6)));
        assert!(!change.handle_answer(ours, Some(RefusalReason::Busy), UnixMs(6)), "it is said again");
        assert!(change.handle_answer(ours, None, UnixMs(7)));
        assert!(!change.handle_answer(ours, Some(RefusalReason::Replayed), UnixMs(8)), "a late echo");
        let event = |outcome| SettingsEvent { command: ours, outcome };
        assert!(change.handle_event(event(SettingsOutcome::Unreachable), UnixMs(9)));
        assert!(!change.handle_event(event(SettingsOutcome::Unreachable), UnixMs(10)), "told twice");
        assert_eq!(
            (change.state.clone(), change.at),
            (State::GivenBack(SettingsOutcome::Unreachable), UnixMs(9))
        );
        let mut refused = self::change();
        let now = UnixMs(9);
        assert!(refused.is_under_way(now) && !change.is_under_way(now));
        assert!(refused.handle_answer(ours, Some(RefusalReason::BadSetting), UnixMs(7)));
        assert_eq!(refused.state.code(), ("refused", Some("bad_setting")));
        assert!(!refused.is_under_way(now));
        let key = SettingsText::new(&rekey::line(&NodeKey([1; KEY_LEN]), &[2; SALT_LEN])).expect("short");
        assert!(!Change::new(ours, key, 300, UnixMs(5)).is_under_way(now), "the gateway's own");
    }

    /// The node was erased right after it had answered, and was never heard of them: no further ones could be sent.
    #[test]
    fn settings_of_which_the_node_says_nothing_do_not_hold_up_others_for_ever() {
        let mut change = change();
        assert!(!change.handle_hello(UnixMs(i64::MAX)), "they are said at each Hello");
        assert!(change.handle_answer(CommandId(7), None, UnixMs(1000)));
        // 300 s for the trial, ten minutes beside.
        let (still, late) = (UnixMs(901_000), UnixMs(901_001));
        assert!(change.is_under_way(still) && !change.handle_hello(still), "it may be trying them");
        assert!(!change.is_under_way(late));
        assert!(change.handle_hello(late) && !change.handle_hello(late), "told once");
        assert_eq!(change.state.code(), ("given_back", Some("unknown")));
        let event = SettingsEvent { command: CommandId(7), outcome: SettingsOutcome::Confirmed };
        assert!(change.handle_event(event, late), "it had been away, and tells late");
        assert_eq!(change.state, State::Confirmed);
        // Accepted before the time was kept.
        let earlier = r#"{"command":1,"words":"baud","at":0,"state":"accepted","why":null}"#;
        let earlier = Change::from_json(earlier).expect("a change");
        assert!(earlier.is_under_way(UnixMs(4_200_000)) && !earlier.is_under_way(UnixMs(4_200_001)));
    }
}
