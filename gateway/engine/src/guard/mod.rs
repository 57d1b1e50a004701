//! Guards beside the soil: flow, tanks, pressure, rain, frost. Each takes readings and moments, and says what it found.
//!
//! Pure state machines: what follows from a finding is the engine's (`engine::guards`), what their limits are is the plan's.
//! A reading is placed on the monotonic line by its age. What nobody knows the age of says nothing about the present: it is
//! good enough to hold water back (rain, frost), never to let it flow (tanks, meters, pressure).

mod gate;
mod watch;

pub(crate) use gate::{Contact, Frost, Pressure, Rain, Tank};
pub(crate) use watch::{Finding, Signature, Watch, Water};

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

/// The moment of a reading by its date alone, for what only holds back.
pub(crate) fn mono_by_date(now: Now, at: UnixMs) -> MonoMs {
    MonoMs(now.mono.0.saturating_sub(now.wall.map_or(0, |wall| wall.since_ms(at))))
}
