//! Guards beside the soil: flow, tanks, pressure, rain, frost. Each takes readings and moments, and says what it found.
//!
//! Pure state machines: what follows from a finding is the engine's (`engine::guards`), what their limits are is the plan's.
//! A reading is placed on the monotonic line by its age. What nobody knows the age of says nothing about the present: it is
//! good enough to hold water back (rain, frost), never to let it flow (tanks, meters, pressure).

mod gate;
mod watch;

pub(crate) use gate::{Contact, Frost, Pressure, Rain, Tank};
pub(crate) use watch::{Expected, Finding, Signature, Watch, Water};

use giot_shared::time::{MonoMs, UnixMs};

use crate::Now;
use crate::input::Age;

/// The moment of a reading on the monotonic line; `doubt_ms`: by so much a date may look younger than it is. `None`: nobody
/// knows it.
pub(crate) fn mono_of(now: Now, at: UnixMs, age: Age, doubt_ms: u64) -> Option<MonoMs> {
    let age_ms = match age {
        Age::Counted(age_ms) => age_ms,
        Age::Dated => now.wall?.since_ms(at).saturating_add(doubt_ms),
        Age::Unknown => return None,
    };
    Some(MonoMs(now.mono.0.saturating_sub(age_ms)))
}

/// A moment on the monotonic line, ms: negative before the start of the gateway, where that line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line(pub(crate) i64);

impl Line {
    pub(crate) fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add_unsigned(ms))
    }

    /// The same for a timer, `None` where it lies before the start.
    pub(crate) fn mono(self) -> Option<MonoMs> {
        u64::try_from(self.0).ok().map(MonoMs)
    }
}

impl From<MonoMs> for Line {
    fn from(at: MonoMs) -> Self {
        Self(i64::try_from(at.0).unwrap_or(i64::MAX))
    }
}

/// The moment of a reading of what only holds back: what was not counted is believed by its date.
pub(crate) fn line_of(now: Now, at: UnixMs, age: Age) -> Line {
    let age_ms = match age {
        Age::Counted(age_ms) => age_ms,
        Age::Dated | Age::Unknown => now.wall.map_or(0, |wall| wall.since_ms(at)),
    };
    Line(Line::from(now.mono).0.saturating_sub_unsigned(age_ms))
}
