//! Why: every start, stop, skip, refusal and fault carries one of these reasons with its numbers.
//!
//! A reason has a stable code (the key of the page's catalogue) and named arguments; [`Reason::from_parts`] builds it again
//! from what a store kept. It holds no words for people: those are the catalogue's. A code is never given a second meaning.

mod field;

use giot_shared::metric::Metric;

use crate::ids::MetricName;

/// One named argument of a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// Stable name, unique within its reason.
    pub name: &'static str,
    /// The value with its kind.
    pub value: ArgValue,
}

/// A value of an argument; the kind says how it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgValue {
    /// A count, a number of a command, a minute of the day where the name ends in `_min`, or a moment in ms since 1970 where
    /// it ends in `_at`.
    Int(i64),
    /// Moisture in 1/10 000 of the soil's volume, or another share in 1/10 000 of its whole.
    Permyriad(u16),
    /// Hundredths of the unit that the name ends in.
    Hundredths(u32),
    /// Thousandths of the unit that the name ends in, or that another argument names; below zero for cold.
    Thousandths(i64),
    /// A span in seconds.
    Seconds(u64),
    /// A name, or the code of a valve word.
    Text(String),
}

/// A number in thousandths of its unit, so that no limit is told rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thousandths(pub i64);

/// The unit of a metric; empty for one that has none, or that is not known. The second gauge of a kind on one node is called
/// `tank_level_1`.
pub(crate) fn unit_of(metric: &MetricName) -> String {
    let name = metric.as_str();
    let numbered = name.rsplit_once('_').filter(|(_, n)| n.bytes().all(|byte| byte.is_ascii_digit()));
    let kind = Metric::from_name(name).or_else(|| Metric::from_name(numbered?.0));
    kind.map(Metric::unit).filter(|unit| *unit != "0/1").unwrap_or_default().to_owned()
}

/// Declares the reasons: variant, code, fields with what they are; and both directions of their arguments.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal { $($field:ident: $type:ty = $fdoc:literal),* $(,)? })*) => {
        /// Why something was done, left undone, or went wrong.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Reason { $($(#[$doc])* $variant { $(#[doc = $fdoc] $field: $type),* },)* }

        impl Reason {
            /// Every code, in the order of declaration.
            pub const ALL_CODES: &'static [&'static str] = &[$($code),*];

            /// The stable code: snake_case, the key of the catalogue.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $code,)* }
            }

            /// The numbers and names of this reason.
            #[must_use]
            pub fn args(&self) -> Vec<Arg> {
                match self {
                    $(Self::$variant { $($field),* } => {
                        vec![$(Arg { name: stringify!($field), value: $field.to_value() }),*]
                    })*
                }
            }

            /// The names of the arguments of a code, `None` for an unknown code.
            #[must_use]
            pub fn arg_names(code: &str) -> Option<&'static [&'static str]> {
                match code { $($code => Some(&[$(stringify!($field)),*]),)* _ => None }
            }

            /// The reason that [`Self::code`] and [`Self::args`] describe; `None` for an unknown code, or when an argument
            /// is missing or of another kind. `arg` gives the value of a name.
            #[must_use]
            pub fn from_parts(code: &str, arg: impl Fn(&str) -> Option<ArgValue>) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant {
                        $($field: <$type as Field>::from_value(&arg(stringify!($field))?)?),*
                    }),)*
                    _ => None,
                }
            }
        }
    };
}

mod list;
mod same;

pub use list::Reason;

impl Reason {
    /// Whether it says that the soil is dry enough to start, in whichever unit.
    #[must_use]
    pub const fn is_dryness(&self) -> bool {
        matches!(self, Self::SoilDry { .. } | Self::SoilDepleted { .. } | Self::SoilTense { .. })
    }
}

#[cfg(test)]
mod tests;
