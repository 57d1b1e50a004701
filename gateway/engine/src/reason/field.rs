//! What may stand in a reason, as an argument and back from one.

use std::str::FromStr;

use giot_shared::ids::{CommandId, NodeId};
use giot_shared::time::UnixMs;
use giot_shared::units::{LitresPerHour, MoisturePermyriad};
use giot_shared::valve::{CloseReason, RefusalReason};
use giot_shared::wire::ResetCause;

use super::{ArgValue, Thousandths};
use crate::ids::{MetricName, ProgramId, RuleId, SourceId, ZoneId};
use crate::plan::{Depletion, Level};
use crate::program::Millimetres;

/// What may stand in a reason: a value that becomes an argument and comes back from one.
pub(super) trait Field: Sized {
    fn to_value(&self) -> ArgValue;
    fn from_value(value: &ArgValue) -> Option<Self>;
}

impl Field for u64 {
    fn to_value(&self) -> ArgValue {
        ArgValue::Seconds(*self)
    }
    fn from_value(value: &ArgValue) -> Option<Self> {
        if let ArgValue::Seconds(seconds) = value { Some(*seconds) } else { None }
    }
}

impl Field for u32 {
    fn to_value(&self) -> ArgValue {
        ArgValue::Int(i64::from(*self))
    }
    fn from_value(value: &ArgValue) -> Option<Self> {
        if let ArgValue::Int(int) = value { Self::try_from(*int).ok() } else { None }
    }
}

impl Field for i32 {
    fn to_value(&self) -> ArgValue {
        ArgValue::Int(i64::from(*self))
    }
    fn from_value(value: &ArgValue) -> Option<Self> {
        if let ArgValue::Int(int) = value { Self::try_from(*int).ok() } else { None }
    }
}

impl Field for LitresPerHour {
    fn to_value(&self) -> ArgValue {
        ArgValue::Int(i64::from(self.0))
    }
    fn from_value(value: &ArgValue) -> Option<Self> {
        u32::from_value(value).map(Self)
    }
}

impl Field for CommandId {
    fn to_value(&self) -> ArgValue {
        ArgValue::Int(i64::try_from(self.0).unwrap_or(i64::MAX))
    }
    fn from_value(value: &ArgValue) -> Option<Self> {
        if let ArgValue::Int(int) = value { u64::try_from(*int).ok().map(Self) } else { None }
    }
}

impl Field for UnixMs {
    fn to_value(&self) -> ArgValue {
        ArgValue::Int(self.0)
    }
    fn from_value(value: &ArgValue) -> Option<Self> {
        if let ArgValue::Int(int) = value { Some(Self(*int)) } else { None }
    }
}

impl Field for MoisturePermyriad {
    fn to_value(&self) -> ArgValue {
        ArgValue::Permyriad(self.get())
    }
    fn from_value(value: &ArgValue) -> Option<Self> {
        if let ArgValue::Permyriad(permyriad) = value { Self::new(*permyriad) } else { None }
    }
}

impl Field for Depletion {
    fn to_value(&self) -> ArgValue {
        ArgValue::Permyriad(self.get())
    }
    fn from_value(value: &ArgValue) -> Option<Self> {
        if let ArgValue::Permyriad(permyriad) = value { Self::new(*permyriad) } else { None }
    }
}

impl Field for Level {
    fn to_value(&self) -> ArgValue {
        ArgValue::Hundredths(self.get())
    }
    fn from_value(value: &ArgValue) -> Option<Self> {
        if let ArgValue::Hundredths(hundredths) = value { Self::new(*hundredths) } else { None }
    }
}

impl Field for Millimetres {
    fn to_value(&self) -> ArgValue {
        ArgValue::Hundredths(self.get())
    }
    fn from_value(value: &ArgValue) -> Option<Self> {
        if let ArgValue::Hundredths(hundredths) = value { Some(Self::hundredths(*hundredths)) } else { None }
    }
}

impl Field for Thousandths {
    fn to_value(&self) -> ArgValue {
        ArgValue::Thousandths(self.0)
    }
    fn from_value(value: &ArgValue) -> Option<Self> {
        if let ArgValue::Thousandths(thousandths) = value { Some(Self(*thousandths)) } else { None }
    }
}

/// Fields that are texts: how each is written and read.
macro_rules! text_fields {
    ($($type:ty: $to:expr, $from:expr;)*) => {$(
        impl Field for $type {
            fn to_value(&self) -> ArgValue {
                let to: fn(&$type) -> String = $to;
                ArgValue::Text(to(self))
            }
            fn from_value(value: &ArgValue) -> Option<Self> {
                let from: fn(&str) -> Option<$type> = $from;
                if let ArgValue::Text(text) = value { from(text) } else { None }
            }
        }
    )*};
}

text_fields! {
    String: Self::clone, |text| Some(text.to_owned());
    ZoneId: ToString::to_string, |text| ZoneId::from_str(text).ok();
    SourceId: ToString::to_string, |text| SourceId::from_str(text).ok();
    ProgramId: ToString::to_string, |text| ProgramId::from_str(text).ok();
    RuleId: ToString::to_string, |text| RuleId::from_str(text).ok();
    NodeId: ToString::to_string, |text| NodeId::from_str(text).ok();
    MetricName: ToString::to_string, |text| MetricName::from_str(text).ok();
    CloseReason: |close| close.code().to_owned(), CloseReason::from_code;
    RefusalReason: |refusal| refusal.code().to_owned(), RefusalReason::from_code;
    ResetCause: |restart| restart.code().to_owned(), ResetCause::from_code;
}
