//! The whole hardware contract: what a board offers the node. No rule lives behind it, and no rule here.
//!
//! Three traits, because a connection attempt and a probe that keeps silent go on while valves are driven: [`Board`] is everything that
//! is done at once, [`Probes`] is what one waits for, [`Connector`] opens byte streams. Of a board without a node only the [`Outputs`]
//! are moved. A board's code is wiring: pins, channels, buses.

use crate::probe::{ProbeFault, Sample};
use crate::settings::ValveKind;
use crate::sleep::{Carry, Woken};
use core::future::Future;
use giot_shared::ids::{Position, ProbeId, ValveId};
use giot_shared::metric::Metric;
use giot_shared::time::{UnixMs, UptimeMs};
use giot_shared::units::Millivolts;
use giot_shared::wire::ResetCause;

/// What the node needs from its hardware.
pub trait Board {
    /// Milliseconds since this boot; never goes back, does not stop in any sleep.
    fn uptime(&self) -> UptimeMs;

    /// Civil time of a battery-backed clock, `None` where there is no such clock or it is not set.
    fn civil_time(&self) -> Option<UnixMs>;

    /// A random number that differs between boots and boards; used for nonces and jitter, not for keys.
    fn random(&mut self) -> u64;

    /// Why this boot happened.
    fn reset_cause(&self) -> ResetCause;

    /// How this boot goes on after a deep sleep; `None` on every other boot, and on boards that never sleep. From its
    /// [`Woken::uptime_base_ms`] on this boot's uptime counts.
    fn take_woken(&mut self) -> Option<Woken> {
        None
    }

    /// Sleeps until uptime `until` or until a button is pressed, with `carry` in memory that keeps its content: does not
    /// return, because waking up is a boot. A board without deep sleep, whose button is held so that it would wake at once, or at whose
    /// console somebody is, returns; the node stays awake and asks again later.
    fn sleep_deeply(&mut self, until: UptimeMs, carry: &Carry) -> impl Future<Output = ()> {
        let _awake = (until, carry);
        core::future::ready(())
    }

    /// Drives a valve and returns when that is done. A latching valve gets `times` pulses, one after the other and never
    /// two valves at once; a relay's level is set once.
    fn drive_valve(&mut self, drive: Drive) -> impl Future<Output = Result<(), DriveFault>>;

    /// Whether the outputs of a valve can be the coils of a latching one, wired as they are today: a closing pulse there must not
    /// open a relay.
    fn has_coils(&self, valve: ValveId) -> bool {
        let _any = valve;
        true
    }

    /// Switches the supply of the probes on the RS485 line. It is off after every reset and in deep sleep, by the board's own wiring. A
    /// board without such a switch refuses an installation that wants one, and is told only to switch off, at the end.
    fn power_probes(&mut self, on: bool) {
        let _stays = on;
    }

    /// Reads supply and radio.
    fn read_vitals(&mut self) -> impl Future<Output = Vitals>;

    /// Pulses of the water meter since the last call.
    fn take_pulses(&mut self) -> u32;

    /// Called once per turn of the loop: feeds the hardware watchdog. Whatever hangs the loop or a read ends in a reset.
    fn feed_watchdog(&mut self);

    /// Shows how the node is, for a lamp or a display; called when something may have changed.
    fn report(&mut self, status: &NodeStatus);

    /// Sleeps until uptime `until` (for ever when `None`), or returns earlier when something happens at the inputs. Must be
    /// cancel-safe: an input is not lost when the future is dropped.
    fn wait(&mut self, until: Option<UptimeMs>) -> impl Future<Output = Wake>;
}

/// The probes of a board.
pub trait Probes {
    /// Reads a probe; the warm-up of one that the board powers for itself is included. The node obeys orders meanwhile, and takes no notice of this while it drives a valve; nothing else
    /// is read before the end. Must come to one: a read that hangs ends in a reset.
    fn read_probe(&mut self, probe: ProbeId) -> impl Future<Output = Result<Sample, ProbeFault>>;
}

impl<P: Probes> Probes for &mut P {
    fn read_probe(&mut self, probe: ProbeId) -> impl Future<Output = Result<Sample, ProbeFault>> {
        (**self).read_probe(probe)
    }
}

/// The valves of a board in a boot without a node.
pub trait Outputs {
    /// As [`Board::has_coils`].
    fn has_coils(&self, valve: ValveId) -> bool;

    /// As [`Board::drive_valve`].
    fn drive(&mut self, drive: Drive) -> impl Future<Output = Result<(), DriveFault>>;
}

/// Opens byte streams to the broker.
pub trait Connector {
    /// An open stream; a read must stay pending while nothing arrives.
    type Transport: embedded_io_async::Read + embedded_io_async::Write;

    /// Opens a stream. The caller limits the time and drops the future then.
    fn connect(&mut self) -> impl Future<Output = Result<Self::Transport, ConnectFault>>;
}

/// One movement of a valve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drive {
    /// Which valve.
    pub valve: ValveId,
    /// How it is built.
    pub kind: ValveKind,
    /// Open, or close.
    pub open: bool,
    /// Pulses for a latching valve.
    pub times: u8,
}

/// A valve's drive reported that it did not move: no current, a short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriveFault;

/// No stream could be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectFault;

/// A board that leaves its radio off has no connector: the gateway is not looked for.
impl<C: Connector> Connector for Option<C> {
    type Transport = C::Transport;

    async fn connect(&mut self) -> Result<Self::Transport, ConnectFault> {
        match self {
            Some(connector) => connector.connect().await,
            None => core::future::pending().await,
        }
    }
}

/// Supply and radio at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Supply or battery, where the board measures it.
    pub supply: Option<Millivolts>,
    /// Radio signal in dBm, where there is one.
    pub signal_dbm: Option<i8>,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The time came.
    Timer,
    /// A person pressed the button of a valve; see [`crate::button`].
    Button(ValveId),
    /// An input delivered a ready value in the metric's decimal steps; `None`: it should have, and did not.
    Value(ProbeId, Metric, Option<i32>),
    /// The board wants a restart in good order.
    Stop,
    /// The board sleeps, with every valve closed: nothing more happens in this boot. For boards that only play the sleep; a chip wakes
    /// in a boot of its own.
    Asleep,
}

/// How the node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeStatus {
    /// Boot counter.
    pub epoch: u32,
    /// Whether an MQTT session stands.
    pub connected: bool,
    /// Whether the gateway answered in this session.
    pub welcomed: bool,
    /// Records waiting in the outbox.
    pub waiting: u32,
    /// The last record made.
    pub last: Position,
    /// Up to here the gateway has everything.
    pub released: Position,
    /// Records that an overfull outbox gave up in this epoch.
    pub lost: u32,
}
