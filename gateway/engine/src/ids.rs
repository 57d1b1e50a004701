//! Names that only the gateway uses: zones, sources, programs, metrics; and where a valve or a probe is found.
//!
//! Text is checked once, where it enters; afterwards a name is cheap to clone and safe in paths, topics and SQL.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use giot_shared::ids::{NodeId, ValveId};

/// Longest text of a [`ZoneId`], [`SourceId`], [`ProgramId`] or [`RuleId`], as that of a node.
pub const SLUG_LEN_MAX: usize = 32;

/// Longest text of a [`MetricName`]: the names that third-party decoders give are longer than ours.
pub const METRIC_LEN_MAX: usize = 48;

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Nothing, or more bytes than allowed.
    Length,
    /// A character that the kind of name does not have.
    Character,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "a zone or source name has 1 to 32 characters, a metric name 1 to 48",
            Self::Character => {
                "zone and source names consist of a-z, 0-9, '-' and '_'; metric names of letters, digits, '_', '.' and '-'"
            }
        })
    }
}

impl std::error::Error for NameError {}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $len_max:expr, $allowed:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if text.is_empty() || text.len() > $len_max {
                    return Err(NameError::Length);
                }
                let allowed: fn(char) -> bool = $allowed;
                if text.chars().all(allowed) { Ok(Self(Arc::from(text))) } else { Err(NameError::Character) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// Name of a zone, the smallest area with a valve of its own: 1–32 of `a–z`, `0–9`, `-`, `_`.
    ZoneId, SLUG_LEN_MAX, is_slug;
    /// Name of a water source, a pump or tap that several zones share: 1–32 of `a–z`, `0–9`, `-`, `_`.
    SourceId, SLUG_LEN_MAX, is_slug;
    /// Name of a program, what is watered when: 1–32 of `a–z`, `0–9`, `-`, `_`.
    ProgramId, SLUG_LEN_MAX, is_slug;
    /// Name of a rule, what follows when: 1–32 of `a–z`, `0–9`, `-`, `_`.
    RuleId, SLUG_LEN_MAX, is_slug;
    /// Name of one of a device's measured values: 1–48 of letters, digits, `_`, `.`, `-`.
    MetricName, METRIC_LEN_MAX, is_metric;
}

impl ProgramId {
    /// A name that the engine itself gives; it begins with '_'.
    pub(crate) fn reserved(name: &'static str) -> Self {
        Self(Arc::from(name))
    }
}

fn is_slug(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_'
}

fn is_metric(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.'
}

/// A valve: its node and its number there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValveRef {
    /// The node that drives it.
    pub node: NodeId,
    /// Which of the node's valves.
    pub valve: ValveId,
}

impl fmt::Display for ValveRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.valve)
    }
}

/// A probe: its device and the metric that carries it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeRef {
    /// The device that reports it.
    pub device: NodeId,
    /// The metric that holds its moisture.
    pub metric: MetricName,
}

impl fmt::Display for ProbeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.device, self.metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        fn check<T: FromStr<Err = NameError>>(text: &str, want: Result<(), NameError>) {
            assert_eq!(text.parse::<T>().map(|_| ()), want, "{text:?}");
        }
        check::<ZoneId>("man-1", Ok(()));
        check::<ZoneId>("", Err(NameError::Length));
        check::<ZoneId>(&"z".repeat(33), Err(NameError::Length));
        check::<ZoneId>("Man", Err(NameError::Character));
        check::<SourceId>("a/b", Err(NameError::Character));
        check::<MetricName>("Soil.Moisture_1-a", Ok(()));
        check::<MetricName>(&"m".repeat(49), Err(NameError::Length));
        check::<MetricName>("độ ẩm", Err(NameError::Character));
    }
}
