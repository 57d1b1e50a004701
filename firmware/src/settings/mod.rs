//! What a node is told to be ([`Installation`], [`NodeConfig`]) and what it must not forget over a reset ([`Settings`]).
//!
//! Limits stand beside their type. Nothing is decided here.

mod install;
mod kept;
pub mod rekey;
mod wifi;
pub mod words;

pub(crate) use install::is_on_trial;
pub use install::{BAUD_DEFAULT, BROKER_LEN_MAX, Input, InstallError, Installation, Network};
pub use install::{NoNode, Setup, Start, Trial};
pub(crate) use kept::used_len;
pub use kept::{
    Kept, LOST_TAILS_MAX, Latching, LostTail, LostTails, Running, Settings, SettingsError, Unmet,
};
pub use wifi::{PASSWORD_LEN, SSID_LEN_MAX, Wifi};

use crate::probe::BatteryPlan;
use giot_shared::calibration::Calibration;
use giot_shared::ids::{NodeId, ProbeId, ValveId};
use giot_shared::metric::Metric;
use giot_shared::units::Millivolts;
use giot_shared::wire::{NodeKey, PREFIX_DEFAULT, VALVES_MAX};

/// Most planned probes of one node: sixteen, an RS485 line of usual length.
pub const PROBES_MAX: usize = 16;

/// Longest warm-up of the probes on the RS485 line, ms: more than three times what their makers ask for.
pub const PROBE_WARM_MS_MAX: u16 = 10_000;

/// Warm-up of probes of which nobody has said any, ms: the longest that their makers ask for.
pub const PROBE_WARM_MS_USUAL: u16 = 3000;

/// Longest topic prefix, bytes.
pub const PREFIX_LEN_MAX: usize = 64;

/// All that makes one node different from another.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Name; also MQTT client id and user.
    pub id: NodeId,
    /// Secret; commands are authenticated with it, the broker password is derived from it.
    pub key: NodeKey,
    /// First levels of every topic.
    pub prefix: heapless::String<PREFIX_LEN_MAX>,
    /// What is measured, and how often.
    pub probes: heapless::Vec<ProbePlan, PROBES_MAX>,
    /// How long the probes on the RS485 line are powered before the first question, ms, where the board switches their supply; `None`:
    /// they have it all the time.
    pub probe_warm_ms: Option<u16>,
    /// The valves that the node drives.
    pub valves: heapless::Vec<ValvePlan, VALVES_MAX>,
    /// The water meter, where there is one.
    pub meter: Option<MeterPlan>,
    /// When the supply is too low to drive a valve; `None` where the board cannot measure it.
    pub supply: Option<SupplyPlan>,
    /// The battery behind the supply, where there is one.
    pub battery: Option<BatteryPlan>,
    /// Time between records of the node's own state, ms.
    pub health_interval_ms: u64,
    /// Time between Hellos of a standing connection, ms: keeps the clock within a second a day of drift.
    pub hello_interval_ms: u64,
    /// When it sleeps between samples; `None`: never, as boards without deep sleep do anyway.
    pub sleep: Option<SleepPlan>,
    /// How long after its Hello a Welcome may still set the time, ms: a delayed one would set it back by the delay.
    pub welcome_within_ms: u64,
}

impl NodeConfig {
    /// A node without probes and valves, with the usual intervals.
    #[must_use]
    pub fn new(id: NodeId, key: NodeKey) -> Self {
        Self {
            id,
            key,
            prefix: heapless::String::try_from(PREFIX_DEFAULT).unwrap_or_default(),
            probes: heapless::Vec::new(),
            probe_warm_ms: None,
            valves: heapless::Vec::new(),
            meter: None,
            supply: None,
            battery: None,
            health_interval_ms: 3_600_000,
            hello_interval_ms: 6 * 3_600_000,
            sleep: None,
            welcome_within_ms: 120_000,
        }
    }
}

/// How one probe is used.
#[derive(Clone, Debug)]
pub struct ProbePlan {
    /// Which probe.
    pub probe: ProbeId,
    /// What it measures.
    pub metric: Metric,
    /// Its curve, for an analog probe.
    pub calibration: Option<Calibration>,
    /// Time between readings, ms.
    pub interval_ms: u64,
    /// Time between readings while its valve is open, ms.
    pub interval_running_ms: u64,
    /// The valve that waters the place where it stands.
    pub valve: Option<ValveId>,
    /// The device on a line that gives it, among others: while it keeps silent about one it does about all.
    pub device: Option<u8>,
}

impl ProbePlan {
    /// Every ten minutes, every minute while its valve is open.
    #[must_use]
    pub const fn new(probe: ProbeId, metric: Metric) -> Self {
        Self {
            probe,
            metric,
            calibration: None,
            interval_ms: 600_000,
            interval_running_ms: 60_000,
            valve: None,
            device: None,
        }
    }
}

/// How a valve is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValveKind {
    /// Open while its coil is fed (24 VAC, normally closed).
    Relay,
    /// Moves on a pulse and stays: needs a pulse to close.
    Latching,
}

/// One valve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValvePlan {
    /// Which valve.
    pub valve: ValveId,
    /// Longest run, s, whatever is commanded and however often it is renewed.
    pub hard_max_s: u32,
    /// Run of the button, s; at most `hard_max_s`.
    pub local_run_s: u32,
    /// How it is built.
    pub kind: ValveKind,
}

impl ValvePlan {
    /// A relay valve of at most two hours, ten minutes by its button.
    #[must_use]
    pub const fn new(valve: ValveId) -> Self {
        Self { valve, hard_max_s: 7200, local_run_s: 600, kind: ValveKind::Relay }
    }
}

/// A pulse water meter behind all valves of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterPlan {
    /// The number under which its total is reported.
    pub probe: ProbeId,
    /// Water per pulse, µL.
    pub microlitres_per_pulse: u32,
}

/// The supply voltages between which no valve is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupplyPlan {
    /// Below: every valve is closed while there is still energy to do it.
    pub brown_out: Millivolts,
    /// From here on valves may open again; above `brown_out`, because opening a valve pulls the supply down.
    pub resume: Millivolts,
}

/// How a node on a small battery sleeps. While it sleeps no command reaches it: valves that the gateway opens belong to
/// nodes that stay awake, or to farms that can wait for the next sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SleepPlan {
    /// How long it listens for orders after the gateway has everything, ms.
    pub listen_ms: u64,
    /// How long it looks for its gateway, or goes on with a backlog that does not shrink, ms.
    pub patience_ms: u64,
}

impl SleepPlan {
    /// Three seconds for orders, which a gateway gives at once; half a minute for a network that is slow to join.
    #[must_use]
    pub const fn new() -> Self {
        Self { listen_ms: 3000, patience_ms: 30_000 }
    }
}

impl Default for SleepPlan {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
