//! What people, and the tasks beside the hub, want of it.

use giot_engine::program::Lack;
use giot_engine::{Outlook, Pause, ProgramId, ProgramWish, RunSet, SourceId, ZoneId};
use giot_shared::ids::NodeId;
use giot_shared::time::UnixMs;
use giot_shared::wire::SettingsText;
use tokio::sync::mpsc;

use super::farm::Saving;

/// What a person wants.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Water a zone for a bounded time.
    Start {
        /// Which zone.
        zone: ZoneId,
        /// For how long.
        run_s: u32,
    },
    /// Make the run of a zone longer.
    Extend {
        /// Which zone.
        zone: ZoneId,
        /// By how much.
        by_s: u32,
    },
    /// Note that a zone was watered otherwise.
    Irrigated {
        /// Which zone.
        zone: ZoneId,
        /// For how long.
        run_s: u32,
        /// How much.
        litres: u32,
    },
    /// Stop a zone.
    Stop {
        /// Which zone.
        zone: ZoneId,
    },
    /// Stop everything.
    StopAll,
    /// Lock a zone.
    Lock {
        /// Which zone.
        zone: ZoneId,
        /// Why.
        note: String,
    },
    /// Take a lock away.
    Unlock {
        /// Which zone.
        zone: ZoneId,
    },
    /// Clear a fault.
    ClearFault {
        /// Which zone.
        zone: ZoneId,
    },
    /// Water a set of zones, or test their valves.
    Runs {
        /// What for.
        set: RunSet,
        /// Zones and seconds.
        runs: Vec<(ZoneId, u32)>,
    },
    /// Clear the fault of a source's pump.
    ClearSource {
        /// Which source.
        source: SourceId,
    },
    /// Have programs leave a zone out until a moment.
    SuspendZone {
        /// Which zone.
        zone: ZoneId,
        /// Until when; `None`: no longer.
        until: Option<UnixMs>,
    },
    /// Something of a program.
    Program {
        /// Which program.
        program: ProgramId,
        /// What.
        wish: ProgramWish,
    },
    /// Pause all programs, or go on with them.
    Pause {
        /// Rain, or anything else.
        kind: Pause,
        /// Until when; `None`: no longer.
        until: Option<UnixMs>,
    },
    /// Change a node's settings over the air.
    Settings {
        /// Which node.
        node: NodeId,
        /// Lines of `KEY=VALUE`.
        text: SettingsText,
        /// In how many seconds it must be back.
        within_s: u32,
    },
    /// No wish of a person: what soils lack, as it was counted so many milliseconds ago, or the code of what keeps a zone from
    /// being counted.
    Lacks {
        /// Age of the counts.
        age_ms: u64,
        /// By zone.
        lacks: Vec<(ZoneId, Result<Lack, &'static str>)>,
    },
    /// No wish of a person: what the next days depend on at this moment; nothing is told while the clock is not set.
    Outlook {
        /// Where it is told.
        tell: mpsc::Sender<Outlook>,
    },
    /// Keep another version of the farm and run by it.
    Farm(Box<Saving>),
    /// The gateway stops: close what it opened.
    Shutdown,
}
