//! What of zones and programs must survive a restart. Plain public fields: the gateway keeps them as it likes.
//!
//! Civil times in here are used only in ways that a wrong clock cannot make unsafe: a time that lies ahead, or that cannot
//! be compared because the clock is unset, means waiting the whole span again. Whether a valve is open is never taken from
//! here: after a restart every valve is unknown.

use std::collections::BTreeMap;

use giot_shared::ids::CommandId;
use giot_shared::time::UnixMs;

use crate::ids::{ProgramId, ZoneId};
use crate::program::{Control, FarmState};
use crate::reason::Reason;
use crate::zone::Errand;

/// What of one zone must survive a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneMemory {
    /// The lock that a person set.
    pub lock: Option<Lock>,
    /// The fault that waits for a person.
    pub fault: Option<Reason>,
    /// Failed cycles in a row.
    pub failures: u32,
    /// When the pause after the last failure ends; `None`: no pause, or failed while the clock was unset.
    pub paused_until: Option<UnixMs>,
    /// The rest of automatic watering that a person's stop began.
    pub rest: Option<Rest>,
    /// When the valve last closed after a run; `None`: never, or while the clock was unset.
    pub last_closed_at: Option<UnixMs>,
    /// The last Open that may still be in force.
    pub open: Option<OpenMemory>,
    /// The runs that programs want and that have not begun, by their moments.
    pub errands: Vec<Errand>,
}

/// What of the whole farm must survive a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Of each zone.
    pub zones: BTreeMap<ZoneId, ZoneMemory>,
    /// Settings and memory of each program.
    pub programs: BTreeMap<ProgramId, Control>,
    /// Pauses of the whole farm.
    pub farm: FarmState,
}

/// A person's lock on a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Who set it.
    pub by: String,
    /// Why, in that person's words.
    pub note: String,
}

impl Lock {
    pub(crate) fn reason(&self) -> Reason {
        Reason::Locked { by: self.by.clone(), note: self.note.clone() }
    }
}

/// A pause of automatic watering after a person's stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Who stopped.
    pub by: String,
    /// When it ends; `None` when the clock was unset.
    pub until: Option<UnixMs>,
}

/// An Open that may be in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenMemory {
    /// Its number.
    pub command: CommandId,
    /// Its lease.
    pub run_s: u32,
    /// When it cannot be in force any more, by the clock of its sending; for people, never for decisions.
    pub until: Option<UnixMs>,
    /// Whether a person started the run.
    pub manual: bool,
}
