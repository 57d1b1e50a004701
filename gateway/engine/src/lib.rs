//! Every irrigation decision of Giọt, without I/O, clock, randomness or async: the same inputs give the same actions (P10).
//!
//! A shell feeds [`Engine::handle`] with what happened, drains [`Engine::poll_action`] and does what it says, and calls again
//! with [`Input::Timeout`] when [`Engine::poll_timeout`] is reached. Spurious timeouts are harmless. The shell holds no rule.
//!
//! What this layer promises:
//! - P3: no run goes beyond its plan's longest run, whatever is lost or late; every Open carries a lease.
//! - P4: command numbers only rise; every Open has a time to live.
//! - P5: the zones that may have water never take more than any source or pipe on their way carries, counted in the worst
//!   case: from the moment an Open is emitted until its valve is known to be closed, or its last possible lease is over.
//! - P6: an Open stands on fresh, plausible readings or on a person; what is not started has a [`Reason`].
//! - P7: what nodes measured appears in exactly one diary [`Entry`] each.
//!
//! Two time lines: deadlines and ages live on the monotonic one ([`Now::mono`]); civil time ([`Now::wall`]) may jump or
//! vanish and decides only about the time of day, and about the age of what devices date by their own clocks ([`Age`]),
//! where it can make things older, never younger.
//!
//! | module | holds |
//! |---|---|
//! | [`Plan`] (`plan`) | what the farm wants, and its problems |
//! | [`Input`] (`input`) | what the engine is told |
//! | `probe` | freshness, plausibility, jumps, stuck values |
//! | `flight` | which Opens may be in force, until when |
//! | `zone` | one zone: the soil's verdict, the valve's states |
//! | `network` | sources and pipes, what each carries, who holds them and who waits |
//! | `guard` | flow, tanks, pressure, rain and frost: what they find and what they hold back |
//! | `pump` | pumps and master valves: leases no longer than what is open for certain |
//! | [`program`] | programs by the calendar: starts, sequences, hours, preview |
//! | `forecast` | the next days of all programs through the network: what begins when, what finds no room |
//! | `schedule`, `rules` | the programs at work; what zones must know of them |
//! | [`Engine`] (`engine`) | dispatch of inputs, timers, the queue |
//! | [`Reason`], [`Entry`], [`ZoneMemory`], [`ZoneView`] | what is told, kept and shown |

pub mod agro;
mod diary;
mod engine;
mod flight;
mod forecast;
mod guard;
mod ids;
mod input;
mod memory;
mod network;
mod plan;
mod probe;
pub mod program;
mod pump;
mod reason;
mod rules;
mod schedule;
mod turns;
mod view;
mod zone;

pub use diary::{Action, By, Entry, Event, PumpAction};
pub use engine::{Engine, ZoneSigns};
pub use forecast::{Outlook, Shortfall, forecast, shortfalls};
pub use ids::{
    METRIC_LEN_MAX, MetricName, NameError, ProbeRef, ProgramId, RuleId, SLUG_LEN_MAX, SourceId, ValveRef,
    ZoneId,
};
pub use input::{Age, Input, Pause, ProgramWish, RuleWish, RunSet};
pub use memory::{GuardMemory, Lock, Memory, NodeRun, OpenMemory, Rest, RunMemory, SourceMemory, ZoneMemory};
pub use plan::{
    ADJUST_S_MAX, ContactGuard, DayWindow, Depletion, FarmGuards, FlowLimits, FrostGuard, GuardAction,
    GuardProblem, HYSTERESIS_CENTIKPA_MIN, HYSTERESIS_PERMYRIAD_MIN, HeldWater, Ignores, Level, Meter,
    MeterKind, Plan, PlanProblem, PressureGuard, ProblemKind, PumpKind, PumpPlan, PumpProblem, RUN_S_MAX,
    RainGuard, SoilRule, SourceGuards, SourcePlan, TankGuard, Timing, Twins, WaterResponse, ZoneGuards,
    ZonePlan,
};
pub use probe::ProbeQuality;
pub use reason::{Arg, ArgValue, Reason, Thousandths};
pub use view::{FlowView, LastDecision, ProbeView, ProgramView, PumpState, PumpView, ZoneState, ZoneView};
pub use zone::Errand;

use giot_shared::time::{MonoMs, UnixMs};

/// The moment of an input on both time lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic line: never goes back; every deadline lives here.
    pub mono: MonoMs,
    /// Civil time; `None` while the gateway's clock is unset.
    pub wall: Option<UnixMs>,
}
