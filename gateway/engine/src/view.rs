//! What a page shows of a zone: always the last confirmed state of the valve, never the wish.
//!
//! A reading of the engine's state at a moment; changes nothing. Moments on the monotonic line are the shell's to convert.

use giot_shared::ids::CommandId;
use giot_shared::time::{MonoMs, UnixMs};
use giot_shared::units::LitresPerHour;

use crate::Now;
use crate::diary::Event;
use crate::ids::{ProbeRef, ProgramId, ValveRef, ZoneId};
use crate::memory::Lock;
use crate::plan::{Level, PumpKind};
use crate::probe::ProbeQuality;
use crate::program::Control;
use crate::reason::Reason;
use crate::rules::Rules;
use crate::zone::{Phase, Verdict, Wait, Zone};

/// A zone at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneView {
    /// The zone.
    pub zone: ZoneId,
    /// What its good probes say together, in their unit.
    pub level: Option<Level>,
    /// Age of the oldest reading in it, ms.
    pub level_age_ms: Option<u64>,
    /// Its probes, in the plan's order.
    pub probes: Vec<ProbeView>,
    /// The state of valve and zone.
    pub state: ZoneState,
    /// When that state's phase of the valve began.
    pub since: MonoMs,
    /// Whether the run that is under way was started by a person here.
    pub manual: bool,
    /// The zone's lock, whatever else is the matter.
    pub lock: Option<Lock>,
    /// The zone's fault, whatever else is the matter.
    pub fault: Option<Reason>,
    /// What the diary was told last.
    pub last: Option<LastDecision>,
}

/// A program at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramView {
    /// The program.
    pub program: ProgramId,
    /// Its settings and memory.
    pub control: Control,
    /// When it starts next, pauses and skips not counted; `None`: never, or the clock is unset.
    pub next_start: Option<UnixMs>,
    /// Code of the plan's first problem with it: it is then never started.
    pub invalid: Option<String>,
}

/// What a zone's meter shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowView {
    /// The last flow.
    pub flow: LitresPerHour,
    /// When that was.
    pub at: MonoMs,
    /// What is expected while it waters: learned of its last good runs, or the plan's.
    pub expected: Option<LitresPerHour>,
    /// Whether the run that is under way has its flow: the valve is open indeed.
    pub is_confirmed: bool,
}

/// A pump or master valve at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PumpView {
    /// What it is.
    pub kind: PumpKind,
    /// The output that switches it.
    pub valve: ValveRef,
    /// As far as is known.
    pub state: PumpState,
    /// Since when it is on.
    pub on_since: Option<MonoMs>,
    /// Why no zone can start with it; `None`: nothing of it keeps them.
    pub why_not: Option<Reason>,
    /// The fault that waits for a person.
    pub fault: Option<Reason>,
}

/// The state of a pump's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PumpState {
    /// Nothing was heard of it since the gateway's start.
    Unknown,
    /// Off for certain.
    Off,
    /// An Open was sent.
    Starting,
    /// Its node reported it on.
    On,
    /// It is being switched off.
    Stopping,
}

impl PumpState {
    /// The stable code: snake_case.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Off => "off",
            Self::Starting => "starting",
            Self::On => "on",
            Self::Stopping => "stopping",
        }
    }
}

/// A probe at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeView {
    /// The probe.
    pub probe: ProbeRef,
    /// Its newest value, whatever it is worth.
    pub value: Option<Level>,
    /// When that was read.
    pub at: Option<UnixMs>,
    /// Its age, ms.
    pub age_ms: Option<u64>,
    /// What it is worth.
    pub quality: ProbeQuality,
}

/// The last thing that the diary was told of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastDecision {
    /// What.
    pub event: Event,
    /// Why.
    pub reason: Reason,
    /// When, `None` while the clock was unset.
    pub at: Option<UnixMs>,
    /// When, on the monotonic line.
    pub mono: MonoMs,
}

/// The state of a zone; an open or unknown valve comes before everything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneState {
    /// No water is wanted, or only people water.
    Idle {
        /// Why not.
        why: Reason,
    },
    /// Water is wanted, or cannot be judged, and is not given.
    Waiting {
        /// Why.
        why: Reason,
    },
    /// An Open was sent.
    Sent {
        /// The newest one.
        command: CommandId,
    },
    /// The node accepted an Open; its valve has not reported.
    Accepted {
        /// The newest one.
        command: CommandId,
    },
    /// The valve reported that it is open.
    Open {
        /// The run's newest Open; `None`: opened at the node.
        command: Option<CommandId>,
        /// When it was confirmed.
        confirmed_at: MonoMs,
        /// When it ends at the latest: the run's length, or the node's hard maximum.
        until: MonoMs,
        /// Why the run was started.
        why: Reason,
    },
    /// The valve is being closed.
    Closing {
        /// Why.
        why: Reason,
        /// When it is closed even if nothing is heard.
        until: MonoMs,
    },
    /// Nothing was heard of the valve since the gateway's start.
    Unknown {
        /// When it is closed even if nothing is heard.
        until: MonoMs,
    },
    /// A fault waits for a person.
    Fault {
        /// Which.
        why: Reason,
    },
    /// A person locked the zone.
    Locked {
        /// Who and why.
        lock: Lock,
    },
}

impl ZoneState {
    /// The stable code: snake_case.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Idle { .. } => "idle",
            Self::Waiting { .. } => "waiting",
            Self::Sent { .. } => "sent",
            Self::Accepted { .. } => "accepted",
            Self::Open { .. } => "open",
            Self::Closing { .. } => "closing",
            Self::Unknown { .. } => "unknown",
            Self::Fault { .. } => "fault",
            Self::Locked { .. } => "locked",
        }
    }
}

impl Zone {
    /// The zone's view; `no_room`: why the network has no water for it.
    pub(crate) fn view(&self, now: Now, rules: &Rules, no_room: Option<Reason>) -> ZoneView {
        let probes: Vec<ProbeView> = self
            .plan
            .probes
            .iter()
            .zip(&self.probes)
            .map(|(name, probe)| {
                let (quality, value) = probe.judge(now, &self.plan);
                let (at, age_ms) = (probe.last_at(), probe.age_ms(now));
                ProbeView { probe: name.clone(), value, at, age_ms, quality }
            })
            .collect();
        let good = probes.iter().filter(|probe| probe.quality == ProbeQuality::Good);
        let (state, manual) = self.state(now, rules, no_room);
        ZoneView {
            zone: self.desk.id.clone(),
            level: self.soil(now).level,
            level_age_ms: good.filter_map(|probe| probe.age_ms).max(),
            probes,
            state,
            since: self.since,
            manual,
            lock: self.memory.lock.clone(),
            fault: self.memory.fault.clone(),
            last: self.desk.last.clone(),
        }
    }

    fn state(&self, now: Now, rules: &Rules, no_room: Option<Reason>) -> (ZoneState, bool) {
        match &self.phase {
            Phase::Closed => (self.state_closed(now, rules, no_room), false),
            Phase::Opening(opening) => {
                let command = opening.run.flight.last();
                let state = match opening.wait {
                    Wait::Answer { .. } | Wait::Later { .. } => ZoneState::Sent { command },
                    Wait::Report { .. } => ZoneState::Accepted { command },
                };
                (state, opening.run.is_manual())
            }
            Phase::Open(watering) => {
                let run = &watering.run;
                let state = ZoneState::Open {
                    command: Some(run.flight.last()),
                    confirmed_at: self.since,
                    until: run.ends_at(),
                    why: run.reason.clone(),
                };
                (state, run.is_manual())
            }
            Phase::Local(local) => {
                let why = Reason::LocalRun {};
                (ZoneState::Open { command: None, confirmed_at: self.since, until: local.until, why }, false)
            }
            Phase::Closing(closing) if closing.is_after_start && !closing.is_seen_open => {
                (ZoneState::Unknown { until: closing.over_at() }, false)
            }
            Phase::Closing(closing) => {
                (ZoneState::Closing { why: closing.reason.clone(), until: closing.over_at() }, false)
            }
        }
    }

    fn state_closed(&self, now: Now, rules: &Rules, no_room: Option<Reason>) -> ZoneState {
        if let Some(lock) = &self.memory.lock {
            return ZoneState::Locked { lock: lock.clone() };
        }
        if let Some(why) = &self.memory.fault {
            return ZoneState::Fault { why: why.clone() };
        }
        match (self.verdict(now, rules), no_room) {
            (Verdict::Content(why), _) => ZoneState::Idle { why },
            (Verdict::Blocked(why), _) => ZoneState::Waiting { why },
            (Verdict::Ready { .. }, Some(why)) => ZoneState::Waiting { why },
            // The moment between two inputs: the next one starts it.
            (Verdict::Ready { reason, .. }, None) => ZoneState::Waiting { why: reason },
        }
    }
}
