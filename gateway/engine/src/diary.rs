//! What the engine tells: actions for its shell, and the diary's entries.
//!
//! Plain data. An [`Action`] is complete in itself: the shell does it and decides nothing. Each run of a valve that a node
//! measured appears with its numbers in exactly one entry, so that the sum over the diary is the sum over the nodes (P7).

use giot_shared::ids::CommandId;
use giot_shared::time::{MonoMs, UnixMs};
use giot_shared::units::Millilitres;

use crate::ids::{ProgramId, RuleId, SourceId, ValveRef, ZoneId};
use crate::memory::{GuardMemory, SourceMemory, ZoneMemory};
use crate::program::{Control, FarmState};
use crate::reason::Reason;

/// What the shell must do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an Open; an Open of an open valve starts its lease anew.
    Open {
        /// Number of the command, higher than every one before.
        command: CommandId,
        /// The zone that it waters.
        zone: ZoneId,
        /// The valve.
        valve: ValveRef,
        /// Lease: the node closes by itself this many seconds after it accepts.
        run_s: u32,
        /// The node closes by itself when that much has flowed from its acceptance on; `None`: no limit.
        volume: Option<Millilitres>,
        /// The node must refuse when it sees the command later than this many seconds after this action.
        ttl_s: u32,
        /// Why.
        reason: Reason,
    },
    /// Send a Close.
    Close {
        /// Number of the command, higher than every one before.
        command: CommandId,
        /// The zone.
        zone: ZoneId,
        /// The valve.
        valve: ValveRef,
        /// Why.
        reason: Reason,
    },
    /// Write an entry to the diary.
    Diary(Entry),
    /// Keep this over a restart, in place of what was kept of this zone. An Open need not wait for it: after a restart every
    /// valve is unknown anyway. Locks and faults hold over a crash only once they are kept.
    Remember {
        /// The zone.
        zone: ZoneId,
        /// All of it.
        memory: Box<ZoneMemory>,
    },
    /// Keep this over a restart, in place of what was kept of this program.
    RememberProgram {
        /// The program.
        program: ProgramId,
        /// Its settings and memory.
        control: Control,
    },
    /// Keep this over a restart, in place of what was kept of the farm.
    RememberFarm {
        /// Pauses of the whole farm.
        farm: Box<FarmState>,
    },
    /// Something about a pump or master valve.
    Pump(PumpAction),
    /// Keep this over a restart, in place of what was kept of the guards.
    RememberGuards {
        /// All of it.
        memory: GuardMemory,
    },
}

/// What the shell must do about a pump or master valve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PumpAction {
    /// Send an Open, as for a zone's valve.
    Open {
        /// Number of the command, higher than every one before.
        command: CommandId,
        /// The source that it gives water.
        source: SourceId,
        /// The output.
        valve: ValveRef,
        /// Lease: the node switches off by itself this many seconds after it accepts.
        run_s: u32,
        /// The node must refuse when it sees the command later than this many seconds after this action.
        ttl_s: u32,
        /// Why.
        reason: Reason,
    },
    /// Send a Close.
    Close {
        /// Number of the command, higher than every one before.
        command: CommandId,
        /// The source.
        source: SourceId,
        /// The output.
        valve: ValveRef,
        /// Why.
        reason: Reason,
    },
    /// Keep this over a restart, in place of what was kept of this source.
    Remember {
        /// The source.
        source: SourceId,
        /// All of it.
        memory: SourceMemory,
    },
}

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The engine itself.
    Engine,
    /// A person, by name.
    Person(String),
    /// The node, or someone at it.
    Node,
    /// A program, at its time.
    Program(ProgramId),
    /// A rule that came true.
    Rule(RuleId),
}

/// Declares the events with their stable codes.
macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// What an entry of the diary is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Event { $($(#[$doc])* $name,)* }

        impl Event {
            /// Every event.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable code: snake_case, the key of the catalogue.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The event of a code.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

events! {
    /// A run was decided and its Open sent; or a person opened the valve at the node.
    Started = "started",
    /// The node reported the valve open.
    Confirmed = "confirmed",
    /// The end of a run was decided and its Close sent.
    Stopping = "stopping",
    /// The run is over: the node reported the valve closed, or its last possible lease has passed.
    Stopped = "stopped",
    /// The node's measurement of a run that was over here before it arrived.
    Reported = "reported",
    /// A program's start was taken up: its runs wait their turn.
    Scheduled = "scheduled",
    /// A person or a rule changed how programs run.
    Adjusted = "adjusted",
    /// A rule, or the look at the day ahead, tells people something.
    Notified = "notified",
    /// Water was wanted, or could not be judged, and was not given.
    Skipped = "skipped",
    /// The node refused a command, or the engine a person's wish.
    Refused = "refused",
    /// Something failed.
    Fault = "fault",
    /// A person cleared the fault.
    Cleared = "cleared",
    /// A node told something of itself: that it began anew, or that it lost readings.
    Node = "node",
    /// A person or a rule locked the zone.
    Locked = "locked",
    /// A person took the lock away.
    Unlocked = "unlocked",
}

/// One entry of the diary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, `None` while the gateway's clock is unset.
    pub at: Option<UnixMs>,
    /// When, on the monotonic line.
    pub mono: MonoMs,
    /// Which zone; `None` for the whole farm, or a source that its reason or command names.
    pub zone: Option<ZoneId>,
    /// What.
    pub event: Event,
    /// The command that it belongs to.
    pub command: Option<CommandId>,
    /// Who.
    pub by: By,
    /// Why.
    pub reason: Reason,
    /// How long the valve was open as the node measured it, ms.
    pub run_ms: Option<u64>,
    /// What flowed as the node measured it.
    pub volume: Option<Millilitres>,
}
