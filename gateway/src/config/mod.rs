//! Configuration: text of a TOML file → checked [`Settings`], every problem reported at once with its line.
//!
//! `raw` mirrors the file and knows no rule; [`compile()`] knows the rules and no syntax. Nothing here touches a disk:
//! the caller reads the file. `reference.toml` shows every key with its default and is checked by a test.

mod balance;
mod compile;
mod guard;
mod keys;
mod masks;
mod message;
mod program;
mod pump;
mod raw;
mod rule;
mod sense;
mod shape;
mod sink;
mod soil;
mod store;
mod whole;
mod zone;

use crate::balance::{BalancePlan, Station};
use crate::history::timezone::TimeZone;
use giot_engine::{HeldWater, Plan, ProbeRef, ProgramId, SourceId, ZoneId};
use giot_store::Retention;
use std::collections::BTreeMap;
use std::fmt;

use crate::rules::Rule;

pub use compile::{compile, compile_for, plain};
pub(crate) use compile::{line_of, parse_utc_offset};
pub(crate) use guard::to_milli;
pub use masks::{MASK, Secrets, masked, unmasked};
pub(crate) use message::check_message_url;
pub use message::{MessageFormat, MessagePlan};
pub(crate) use sink::check_token;
pub use sink::{SinkPlan, Token};

/// A file with every key, its default and its meaning.
pub const REFERENCE: &str = include_str!("reference.toml");

/// What the gateway runs by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the cooperative, as the page shows it.
    pub cooperative: String,
    /// First levels of every topic.
    pub topic_prefix: String,
    /// `None`: the embedded broker.
    pub broker: Option<ExternalBroker>,
    /// What the engine decides by.
    pub plan: Plan,
    /// The clock of the history: days of tables and times of exports.
    pub time_zone: TimeZone,
    /// What the page says about a zone beyond the plan.
    pub zone_labels: BTreeMap<ZoneId, ZoneLabel>,
    /// Names of the water sources.
    pub source_names: BTreeMap<SourceId, String>,
    /// Names of the programs.
    pub program_names: BTreeMap<ProgramId, String>,
    /// Rules, in the order of their names.
    pub rules: Vec<Rule>,
    /// Time-series stores that get the history.
    pub sinks: Vec<SinkPlan>,
    /// Addresses that are told what the diary says.
    pub messages: Vec<MessagePlan>,
    /// How long the history is kept.
    pub retention: Retention,
    /// The weather station that water balances go by.
    pub station: Option<Station>,
    /// Zones whose water is counted, for programs that refill them.
    pub balances: BTreeMap<ZoneId, BalancePlan>,
    /// What the soil of a zone holds, where the farm says it.
    pub soils: BTreeMap<ZoneId, HeldWater>,
}

/// An MQTT broker outside this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalBroker {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User name, where the broker wants one.
    pub user: Option<String>,
    /// File whose first line is the password, so that it never stands in the configuration.
    pub password_file: Option<String>,
}

/// How a zone is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneLabel {
    /// Name for people.
    pub name: String,
    /// Household that owns it.
    pub household: String,
    /// Crop, a key of the crop list.
    pub crop: Option<String>,
    /// The crop's variety.
    pub variety: Option<String>,
    /// The plot that the zone lies in, as the farm's books call it.
    pub plot: Option<String>,
    /// The code of the planting area that the authority gave (mã số vùng trồng).
    pub planting_area_code: Option<String>,
    /// Depth of each probe, cm.
    pub depth_cm: BTreeMap<ProbeRef, u16>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cooperative: "Giọt".to_owned(),
            topic_prefix: giot_shared::wire::PREFIX_DEFAULT.to_owned(),
            broker: None,
            plan: Plan { utc_offset_min: compile::UTC_OFFSET_MIN_DEFAULT, ..Plan::default() },
            time_zone: TimeZone::fixed(compile::UTC_OFFSET_MIN_DEFAULT),
            zone_labels: BTreeMap::new(),
            source_names: BTreeMap::new(),
            program_names: BTreeMap::new(),
            rules: Vec::new(),
            sinks: Vec::new(),
            messages: Vec::new(),
            retention: store::default_retention(compile::UTC_OFFSET_MIN_DEFAULT),
            station: None,
            balances: BTreeMap::new(),
            soils: BTreeMap::new(),
        }
    }
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1; `None` where no single line is to blame.
    pub line: Option<usize>,
    /// Place in that line, in characters from 1; `None`: the line as a whole.
    pub column: Option<usize>,
    /// The key, as a path such as `zone[2].window`.
    pub field: String,
    /// What is wrong and what would be right.
    pub what: String,
}

/// Everything that is wrong with a configuration (the operator's to mend).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file's name, as the operator gave it.
    pub file: String,
    /// At least one, in the order of the file.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, problem) in self.problems.iter().enumerate() {
            if idx > 0 {
                writeln!(f)?;
            }
            match problem.line {
                Some(line) => write!(f, "{}:{line}: ", self.file)?,
                None => write!(f, "{}: ", self.file)?,
            }
            if problem.field.is_empty() {
                f.write_str(&problem.what)?;
            } else {
                write!(f, "{}: {}", problem.field, problem.what)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod faults;
#[cfg(test)]
pub(crate) mod tests;
