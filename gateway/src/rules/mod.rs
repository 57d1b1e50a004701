//! Rules: when a condition over readings, zones, weather and time holds, something follows.
//!
//! This is a core of its own beside the engine and not a part of it: the engine stays free of a parser and an expression
//! language, and gets what rules want as an input that it judges like everything automatic (`Input::Rule`), so no guard is
//! passed over. Like the engine it has no clock, no I/O and no async: the same inputs give the same firings, in `serve`, in a
//! rehearsal over stored history and in a measurement.
//!
//! | file | holds |
//! |---|---|
//! | [`expr`] | the language: text → checked condition |
//! | `inputs` | what conditions read: newest values, their age, who reads them |
//! | [`book`] | the rules at work: for, until, cooldown, repeats, bounds |
//! | [`rehearse()`] | the same rules over a history |
//! | `past` | that history, read from the store |
//! | [`mod@bench`] | a made-up farm that measures engine and rules |
//! | `nearest` | names that were meant |
//!
//! Promises: a rule is looked at only when something that it reads has changed, or its time has come; a condition with an input that is missing or too old
//! is neither true nor false, and nothing fires on it; what a rule does to zones is seen by rules a second later, never within the same moment, and
//! each rule fires at most so many times a day, so rules cannot loop.

pub mod bench;
pub mod book;
pub mod expr;
mod inputs;
mod nearest;
mod past;
pub mod rehearse;

use std::fmt;

use giot_engine::program::Percent;
use giot_engine::{ProgramId, RuleId, ZoneId};

pub(crate) use expr::hint as did_you_mean;
pub(crate) use nearest::nearest as nearest_name;

pub use book::{Firing, Output, RuleBook, RuleMemory, RuleState};
pub use past::{
    DAYS_MAX, READINGS_MAX, READINGS_MAX_AT_LENGTH, chosen, parse_span_ms, rehearse_store, span_of,
};
pub use rehearse::{Rehearsal, rehearse};

use expr::Condition;

/// Most rules of a farm: each zone of a large one may have several.
pub const RULES_MAX: usize = 5000;

/// What follows when a rule comes true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// People are told.
    Notify {
        /// What.
        note: String,
    },
    /// A zone is watered, if nothing bars it.
    Start {
        /// The zone.
        zone: ZoneId,
        /// For how long, seconds.
        run_s: u32,
    },
    /// A zone is stopped.
    Stop {
        /// The zone.
        zone: ZoneId,
    },
    /// A zone is locked until a person unlocks it.
    Lock {
        /// The zone.
        zone: ZoneId,
    },
    /// A program gives this share of its amounts.
    Adjust {
        /// The program.
        program: ProgramId,
        /// The share.
        percent: Percent,
    },
}

/// A rule, compiled.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub id: RuleId,
    /// What people call it.
    pub name: String,
    /// The text of the condition, for people.
    pub when_text: String,
    /// The condition.
    pub when: Condition,
    /// What ends it; without, that the condition is false.
    pub until: Option<Condition>,
    /// How long the condition must hold without a break, ms.
    pub for_ms: u64,
    /// From one firing to the next at least, ms.
    pub cooldown_ms: u64,
    /// While it goes on, fire again after so long, ms.
    pub repeat_ms: Option<u64>,
    /// Older readings count as missing, ms.
    pub fresh_ms: u64,
    /// Firings within a day at most.
    pub times_max: u32,
    /// What follows, in this order.
    pub then: Vec<Effect>,
    /// Whether it is at work.
    pub is_enabled: bool,
}

impl Rule {
    /// Whether another rule of the same name waits for the same and does the same.
    fn is_same(&self, other: &Self) -> bool {
        let key =
            |rule: &Self| (rule.for_ms, rule.cooldown_ms, rule.repeat_ms, rule.fresh_ms, rule.times_max);
        self.id == other.id
            && self.when_text == other.when_text
            && self.when.inputs == other.when.inputs
            && self.until.is_some() == other.until.is_some()
            && key(self) == key(other)
            && self.then == other.then
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notify { note } => write!(f, "notify: {note}"),
            Self::Start { zone, run_s } => write!(f, "start {zone} for {run_s} s"),
            Self::Stop { zone } => write!(f, "stop {zone}"),
            Self::Lock { zone } => write!(f, "lock {zone}"),
            Self::Adjust { program, percent } => write!(f, "adjust {program} to {} %", percent.get()),
        }
    }
}
