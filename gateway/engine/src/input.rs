//! What the engine is told: readings, words of nodes, wishes of people. Plain data, borrowed for the call.

use giot_shared::ids::{CommandId, NodeId, ValveId};
use giot_shared::time::UnixMs;
use giot_shared::units::Millilitres;
use giot_shared::valve::{CloseReason, RefusalReason};

use crate::ids::{MetricName, ProgramId, RuleId, SourceId, ValveRef, ZoneId};
use crate::plan::{Level, Plan};
use crate::program::{Lack, Percent};

/// What a person wants of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramWish {
    /// Start it once, at once. Hours and rests are not looked at; locks, faults, pipes and unreachable nodes are.
    Start,
    /// End what runs of it and forget what waits.
    Stop,
    /// Leave out so many of its next starts; 0 takes that back.
    SkipNext(u16),
    /// Let it start, or not.
    Enable(bool),
    /// Give this share of its amounts from the next start on.
    Adjust(Percent),
    /// No start before; `None`: go on.
    SuspendUntil(Option<UnixMs>),
}

/// What a rule wants when it comes true. It is judged like everything automatic, never like a person's wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleWish<'a> {
    /// Tell people.
    Notify {
        /// What.
        note: &'a str,
    },
    /// Water a zone, at once or not at all: whatever bars automatic watering bars this too.
    Start {
        /// The zone.
        zone: &'a ZoneId,
        /// For how long, seconds; brought into 1 … the zone's longest run.
        run_s: u32,
    },
    /// Stop a zone, whoever started it.
    Stop {
        /// The zone.
        zone: &'a ZoneId,
    },
    /// Lock a zone until a person unlocks it.
    Lock {
        /// The zone.
        zone: &'a ZoneId,
    },
    /// Give this share of a program's amounts from its next start on.
    Adjust {
        /// The program.
        program: &'a ProgramId,
        /// The share; replaces the one before.
        percent: Percent,
    },
    /// Tell that it came true too often and rests until the next day.
    Rest {
        /// How often it may in a day.
        times_max: u32,
    },
}

/// What a person asks for in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunSet {
    /// Each valve shortly, one after another.
    Test,
    /// A set of runs once, as pipes have room for them.
    Once,
}

/// A pause of the farm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// It rained, or will: nothing starts by itself.
    Rain,
    /// Any other pause of what starts by itself: programs, soil and rules.
    Farm,
    /// Not of starts but of water: what runs stops, nothing opens, and the rest goes on afterwards. At most three hours.
    Water,
}

/// How old a reading was when it came in, and by whose word. Irrigation starts on it, so this must not be talked younger
/// by a clock that jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// So many milliseconds, counted on lines that never go back: the device's uptime beside the gateway's monotonic line,
    /// or the arrival of what is sent at once. Civil time has no say in it, and it comes in the order in which it was taken.
    Counted(u64),
    /// As old as its civil date says: the device dates by a clock of its own, and nothing else is known.
    Dated,
    /// Nobody knows: an earlier epoch of the node, a node that has not said Hello, a reading from before a restart.
    Unknown,
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A probe was read. What is late (taken no later than the probe's newest) changes nothing; what may be late or not, because
    /// nobody knows its age, puts the probe in doubt.
    Reading {
        /// The device.
        device: &'a NodeId,
        /// Which of its values.
        metric: &'a MetricName,
        /// When it was read.
        at: UnixMs,
        /// How old it was when it came in.
        age: Age,
        /// What it says in its unit, `None` where it gave nothing.
        level: Option<Level>,
        /// Whether device and ingest found nothing wrong with it.
        good: bool,
    },
    /// Somebody counted what a zone's soil lacks, or found that it cannot be counted.
    Lack {
        /// The zone.
        zone: &'a ZoneId,
        /// How old the count is: water that was measured before is in it.
        age_ms: u64,
        /// The count, or the code of what keeps it from being counted.
        lack: Result<Lack, &'a str>,
    },
    /// A gauge that some guard reads was read.
    Gauge {
        /// The device.
        device: &'a NodeId,
        /// Which of its values.
        metric: &'a MetricName,
        /// When it was read.
        at: UnixMs,
        /// How old it was when it came in.
        age: Age,
        /// Thousandths of the metric's unit; `None` where it gave nothing that device and ingest found good.
        milli: Option<i64>,
    },
    /// A node reported that a valve opened or closed.
    ValveState {
        /// The valve.
        valve: &'a ValveRef,
        /// Opened or closed.
        open: bool,
        /// The command that opened it; `None`: someone at the node.
        command: Option<CommandId>,
        /// On closing: why.
        closed_by: Option<CloseReason>,
        /// On closing: how long it was open.
        run_ms: u64,
        /// On closing: what flowed.
        volume: Option<Millilitres>,
        /// Whether this is news; an old record from a node's backlog is measured, but says nothing of the present.
        live: bool,
    },
    /// A node answered a command.
    Answer {
        /// The command.
        command: CommandId,
        /// Why the node refused it; `None`: accepted.
        refused: Option<RefusalReason>,
    },
    /// A node's session began, with the truth about its valves.
    NodeOnline {
        /// The node.
        node: &'a NodeId,
        /// Its valves: whether open, and by which command.
        valves: &'a [(ValveId, bool, Option<CommandId>)],
    },
    /// A node's session ended.
    NodeOffline {
        /// The node.
        node: &'a NodeId,
    },
    /// A person waters a zone.
    ManualStart {
        /// The zone.
        zone: &'a ZoneId,
        /// For how long, seconds; brought into 1 … the zone's longest run.
        run_s: u32,
        /// Who.
        by: &'a str,
    },
    /// A person makes the run of a zone that is under way longer; it stays within the zone's longest run.
    Extend {
        /// The zone.
        zone: &'a ZoneId,
        /// By how much, seconds.
        by_s: u32,
        /// Who.
        by: &'a str,
    },
    /// A person tells that a zone was watered otherwise: by hose, or by a valve that is turned by hand.
    Irrigated {
        /// The zone.
        zone: &'a ZoneId,
        /// For how long, seconds.
        run_s: u32,
        /// How much, as that person says.
        litres: u32,
        /// Who.
        by: &'a str,
    },
    /// A person stops a zone; its automatic watering rests for a while.
    ManualStop {
        /// The zone.
        zone: &'a ZoneId,
        /// Who.
        by: &'a str,
    },
    /// A person locks a zone.
    Lock {
        /// The zone.
        zone: &'a ZoneId,
        /// Who.
        by: &'a str,
        /// Why, in that person's words.
        note: &'a str,
    },
    /// A person takes the lock away.
    Unlock {
        /// The zone.
        zone: &'a ZoneId,
        /// Who.
        by: &'a str,
    },
    /// A person clears fault and quarantine of a zone.
    ClearFault {
        /// The zone.
        zone: &'a ZoneId,
        /// Who.
        by: &'a str,
    },
    /// A person asks for a set of runs.
    Runs {
        /// What for.
        set: RunSet,
        /// Zones and seconds; each brought into 1 … the zone's longest run.
        runs: &'a [(ZoneId, u32)],
        /// Who.
        by: &'a str,
    },
    /// A person clears fault and pause of a source's pump or master valve.
    ClearSource {
        /// The source.
        source: &'a SourceId,
        /// Who.
        by: &'a str,
    },
    /// A person wants something of a program.
    Program {
        /// The program.
        program: &'a ProgramId,
        /// What.
        wish: ProgramWish,
        /// Who.
        by: &'a str,
    },
    /// The farm is to be run by another plan, without a start of the gateway in between. What the plan has no place for is
    /// closed first; zones that keep their valve and the way of their water go on as they stand.
    Plan {
        /// Number of the farm's version.
        version: u32,
        /// The plan; one with a problem is refused.
        plan: &'a Plan,
    },
    /// A rule has come true.
    Rule {
        /// The rule.
        rule: &'a RuleId,
        /// What follows.
        wish: RuleWish<'a>,
        /// What it saw: names and numbers with units.
        values: &'a str,
    },
    /// A person pauses the farm, or goes on with it.
    Pause {
        /// Why: rain, or anything else.
        kind: Pause,
        /// Until when; `None`: no longer.
        until: Option<UnixMs>,
        /// Who.
        by: &'a str,
    },
    /// A person pauses what starts a zone by itself (programs, soil, rules), or goes on with it.
    SuspendZone {
        /// The zone.
        zone: &'a ZoneId,
        /// Until when; `None`: no longer.
        until: Option<UnixMs>,
        /// Who.
        by: &'a str,
    },
    /// A person stops everything; automatic watering rests for a while everywhere.
    StopAll {
        /// Who.
        by: &'a str,
    },
    /// The gateway stops: what runs ends, nothing starts any more.
    Shutdown,
    /// The time of [`Engine::poll_timeout`](crate::Engine::poll_timeout) is reached.
    Timeout,
}
