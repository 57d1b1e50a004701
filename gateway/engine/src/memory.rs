//! What of zones and programs must survive a restart. Plain public fields: the gateway keeps them as it likes.
//!
//! Civil times in here are used only in ways that a wrong clock cannot make unsafe: a time that lies ahead, or that cannot
//! be compared because the clock is unset, means waiting the whole span again. Whether a valve is open is never taken from
//! here: after a restart every valve is unknown.

use std::collections::BTreeMap;

use giot_shared::ids::CommandId;
use giot_shared::time::UnixMs;

use crate::ids::{ProgramId, SourceId, ZoneId};
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
    /// That run was one of a person's set of runs: the next one of the set rests after it.
    pub last_was_set: bool,
    /// The last Open that may still be in force.
    pub open: Option<OpenMemory>,
    /// The runs that programs want and that have not begun, by their moments.
    pub errands: Vec<Errand>,
    /// The run of a program that is under way: what an interruption leaves of it is made up for.
    pub run: Option<RunMemory>,
    /// How long its node keeps the valve open at the most, seconds, as the node itself has shown; `None`: it has not yet.
    pub node_run_s: Option<u32>,
}

/// A program's run that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunMemory {
    /// What began it.
    pub errand: Errand,
    /// When it began, by the clock of that moment.
    pub started_at: UnixMs,
}

/// What of one source's pump or master valve must survive a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMemory {
    /// The fault that waits for a person.
    pub fault: Option<Reason>,
    /// Failures in a row.
    pub failures: u32,
    /// The last Open that may still be in force.
    pub open: Option<OpenMemory>,
    /// Starts within the hour before the last one, for the limit of starts an hour.
    pub starts: Vec<UnixMs>,
    /// What its node showed of its own longest run.
    pub node_run: Option<NodeRun>,
}

/// A node's longest run of an output, as its closing showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeRun {
    /// So long it was on, seconds.
    pub seen_s: u32,
    /// What the plan stated then, seconds: under another statement it is to be seen anew.
    pub stated_s: u32,
}

/// What of the guards beside the soil must survive a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardMemory {
    /// Flow of each zone's last good runs, L/h.
    pub learned: BTreeMap<ZoneId, Vec<u32>>,
    /// The flow that each zone's first good runs had, L/h.
    pub references: BTreeMap<ZoneId, u32>,
    /// Faults of sources that wait for a person.
    pub faults: BTreeMap<SourceId, Reason>,
    /// Sources whose tank is too low, with the level at which it became so, in thousandths of its gauge's unit.
    pub low_tanks: BTreeMap<SourceId, i64>,
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
    /// Of each source with a pump or master valve.
    pub sources: BTreeMap<SourceId, SourceMemory>,
    /// Of the guards beside the soil.
    pub guards: GuardMemory,
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
