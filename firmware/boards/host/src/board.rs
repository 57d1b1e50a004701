//! A simulated board: probes, valves, meter and buttons are closures over a simulated field, time is simulated.
//!
//! The node on it is the firmware itself. Uptime counts simulated milliseconds since the simulated boot.

use crate::clock::SimClock;
use crate::flash::{FlashRegion, FlashStore};
use crate::net::TcpConnector;
use crate::rail::SimRail;
use crate::{NodeError, Random};
use giot_firmware::board::{Board, Drive, DriveFault, NodeStatus, Probes, Vitals, Wake};
use giot_firmware::probe::{ProbeFault, Sample};
use giot_firmware::run::{End, Memory, Partitions, run};
use giot_firmware::settings::{Installation, NodeConfig, Setup, Start};
use giot_firmware::sleep::{Carry, Woken};
use giot_shared::ids::{ProbeId, ValveId};
use giot_shared::time::{UnixMs, UptimeMs};
use giot_shared::units::Millivolts;
use giot_shared::wire::ResetCause;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use tokio::sync::{mpsc, watch};

/// A probe in a simulated field.
pub trait SimProbe: Send {
    /// What the probe gives at simulated time `at`.
    ///
    /// # Errors
    /// [`ProbeFault`] where the simulated probe is broken.
    fn sample(&mut self, at: UnixMs) -> Result<Sample, ProbeFault>;
}

impl<F: FnMut(UnixMs) -> Result<Sample, ProbeFault> + Send> SimProbe for F {
    fn sample(&mut self, at: UnixMs) -> Result<Sample, ProbeFault> {
        self(at)
    }
}

/// A valve in a simulated field.
pub trait SimValve: Send {
    /// The valve is driven at simulated time `at`; closing a closed one is usual.
    fn drive(&mut self, at: UnixMs, open: bool);
}

impl<F: FnMut(UnixMs, bool) + Send> SimValve for F {
    fn drive(&mut self, at: UnixMs, open: bool) {
        self(at, open);
    }
}

/// A water meter in a simulated field.
pub trait SimMeter: Send {
    /// Pulses since the last call.
    fn take_pulses(&mut self, at: UnixMs) -> u32;
}

impl<F: FnMut(UnixMs) -> u32 + Send> SimMeter for F {
    fn take_pulses(&mut self, at: UnixMs) -> u32 {
        self(at)
    }
}

/// What a simulated board consists of.
pub struct BoardSetup {
    /// Time.
    pub clock: SimClock,
    /// The broker, `host:port`.
    pub broker: String,
    /// The flash chip; the same one again is the same node after a reset.
    pub flash: FlashStore,
    /// Probes by number; a planned probe that is not here does not answer.
    pub probes: BTreeMap<ProbeId, Box<dyn SimProbe>>,
    /// The supply that the board switches for those that are fed by it.
    pub rail: Option<SimRail>,
    /// Valves by number.
    pub valves: BTreeMap<ValveId, Box<dyn SimValve>>,
    /// The water meter.
    pub meter: Option<Box<dyn SimMeter>>,
    /// The supply as the board measures it.
    pub supply: Option<Box<dyn FnMut(UnixMs) -> Millivolts + Send>>,
    /// Presses of valve buttons.
    pub buttons: Option<mpsc::Receiver<ValveId>>,
    /// Why this boot happened.
    pub reset: ResetCause,
    /// Whether the board has a battery-backed clock, which shows simulated time.
    pub real_clock: bool,
    /// Where the node's state is shown.
    pub status: Option<watch::Sender<NodeStatus>>,
}

impl BoardSetup {
    /// A board with nothing connected, switched on.
    #[must_use]
    pub const fn new(clock: SimClock, broker: String, flash: FlashStore) -> Self {
        Self {
            clock,
            broker,
            flash,
            probes: BTreeMap::new(),
            rail: None,
            valves: BTreeMap::new(),
            meter: None,
            supply: None,
            buttons: None,
            reset: ResetCause::PowerOn,
            real_clock: false,
            status: None,
        }
    }
}

impl fmt::Debug for BoardSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoardSetup")
            .field("broker", &self.broker)
            .field("n_probes", &self.probes.len())
            .field("n_valves", &self.valves.len())
            .finish_non_exhaustive()
    }
}

/// The board of a running node.
pub struct HostBoard {
    setup: BoardSetup,
    booted_at: UnixMs,
    random: Random,
    stop: watch::Receiver<bool>,
    asleep: Option<(UptimeMs, Carry)>,
    woken: Option<Woken>,
}

impl fmt::Debug for HostBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBoard")
            .field("setup", &self.setup)
            .field("booted_at", &self.booted_at)
            .finish_non_exhaustive()
    }
}

impl HostBoard {
    /// A board that boots at this moment and stops in good order when `stop` shows true.
    #[must_use]
    pub fn new(setup: BoardSetup, stop: watch::Receiver<bool>) -> Self {
        let booted_at = setup.clock.unix();
        if let Some(rail) = &setup.rail {
            rail.switch(booted_at, false);
        }
        Self { setup, booted_at, random: Random::new(), stop, asleep: None, woken: None }
    }

    /// Sleeps deeply, where the loop ended for that, and boots again. Gives whether it did.
    async fn sleep_if_asked(&mut self) -> bool {
        let Some((until, carry)) = self.asleep.take() else { return false };
        let fell_asleep_at = self.setup.clock.unix();
        tokio::select! {
            biased;
            () = stopped(&mut self.stop) => return false,
            () = self.setup.clock.sleep_until(self.booted_at.plus_ms(until.0)) => {}
        }
        // Through the bytes, as a chip does it.
        let woken_at = self.setup.clock.unix();
        let carry = Carry::decode(&carry.encode());
        self.woken = carry.map(|carry| carry.wake(woken_at.since_ms(fell_asleep_at)));
        let base_ms = self.woken.as_ref().map_or(0, |woken| woken.uptime_base_ms);
        self.booted_at = woken_at.minus_ms(base_ms);
        self.setup.reset = ResetCause::Sleep;
        true
    }

    fn reboot(&mut self, reset: ResetCause) {
        self.booted_at = self.setup.clock.unix();
        self.setup.reset = reset;
    }
}

impl Board for HostBoard {
    fn uptime(&self) -> UptimeMs {
        UptimeMs(self.setup.clock.unix().since_ms(self.booted_at))
    }

    fn civil_time(&self) -> Option<UnixMs> {
        self.setup.real_clock.then(|| self.setup.clock.unix())
    }

    fn random(&mut self) -> u64 {
        self.random.next()
    }

    fn reset_cause(&self) -> ResetCause {
        self.setup.reset
    }

    fn take_woken(&mut self) -> Option<Woken> {
        self.woken.take()
    }

    /// Ends the loop: whoever runs it sleeps and boots the board.
    async fn sleep_deeply(&mut self, until: UptimeMs, carry: &Carry) {
        self.asleep = Some((until, carry.clone()));
    }

    async fn drive_valve(&mut self, drive: Drive) -> Result<(), DriveFault> {
        let at = self.setup.clock.unix();
        self.setup.valves.get_mut(&drive.valve).ok_or(DriveFault)?.drive(at, drive.open);
        Ok(())
    }

    fn has_coils(&self, valve: ValveId) -> bool {
        self.setup.valves.contains_key(&valve)
    }

    fn power_probes(&mut self, on: bool) {
        if let Some(rail) = &self.setup.rail {
            rail.switch(self.setup.clock.unix(), on);
        }
    }

    async fn read_vitals(&mut self) -> Vitals {
        let at = self.setup.clock.unix();
        Vitals { supply: self.setup.supply.as_mut().map(|supply| supply(at)), signal_dbm: None }
    }

    fn take_pulses(&mut self) -> u32 {
        let at = self.setup.clock.unix();
        self.setup.meter.as_mut().map_or(0, |meter| meter.take_pulses(at))
    }

    fn feed_watchdog(&mut self) {}

    fn report(&mut self, status: &NodeStatus) {
        if let Some(sender) = &self.setup.status {
            sender.send_replace(*status);
        }
    }

    async fn wait(&mut self, until: Option<UptimeMs>) -> Wake {
        let Self { setup, booted_at, stop, asleep, .. } = self;
        if asleep.is_some() {
            return Wake::Asleep;
        }
        let timer = async {
            match until {
                Some(until) => setup.clock.sleep_until(booted_at.plus_ms(until.0)).await,
                None => std::future::pending().await,
            }
        };
        let button = async {
            let pressed = match &mut setup.buttons {
                Some(buttons) => buttons.recv().await,
                None => None,
            };
            match pressed {
                Some(valve) => valve,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stopped(stop) => Wake::Stop,
            valve = button => Wake::Button(valve),
            () = timer => Wake::Timer,
        }
    }
}

/// The probes of a running node.
pub struct HostProbes {
    clock: SimClock,
    probes: BTreeMap<ProbeId, Box<dyn SimProbe>>,
}

impl fmt::Debug for HostProbes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostProbes").field("n_probes", &self.probes.len()).finish_non_exhaustive()
    }
}

impl HostProbes {
    /// Takes them out of what a board consists of.
    #[must_use]
    pub fn take(setup: &mut BoardSetup) -> Self {
        Self { clock: setup.clock, probes: std::mem::take(&mut setup.probes) }
    }
}

impl Probes for HostProbes {
    async fn read_probe(&mut self, probe: ProbeId) -> Result<Sample, ProbeFault> {
        let at = self.clock.unix();
        self.probes.get_mut(&probe).ok_or(ProbeFault::NoAnswer)?.sample(at)
    }
}

/// Waits until the stop sign is given; for ever when nobody can give it any more.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending().await
    }
}

/// Runs a node on a simulated board until `shutdown`: then its valves are closed and recorded. Dropping the future is a
/// power cut.
///
/// The network is no faster than the world: the time in which a Welcome counts is stretched by the clock's speed.
///
/// # Errors
/// [`NodeError`] when flash or configuration do not carry a node.
pub async fn run_node(
    config: NodeConfig,
    setup: BoardSetup,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), NodeError> {
    let (flash, broker) = (setup.flash.clone(), setup.broker.clone());
    let boot = || async { Ok((config.clone(), broker.clone(), flash.partitions())) };
    run_boots(boot, setup, shutdown).await
}

/// As [`run_node`], for a node that is what its flash says: settings can be changed over the air. The broker of `setup`
/// is not used.
///
/// # Errors
/// [`NodeError`] when nobody set the node up or this board lacks one of its valves or probes, or flash or configuration do not carry it.
pub async fn run_installed_node(
    setup: BoardSetup,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), NodeError> {
    let flash = setup.flash.clone();
    let valves: BTreeSet<ValveId> = setup.valves.keys().copied().collect();
    let probes: BTreeSet<ProbeId> = setup.probes.keys().copied().collect();
    let has_rail = setup.rail.is_some();
    let fit = |made: &Installation| {
        if made.config.probe_warm_ms.is_some() && !has_rail {
            return Err("this board cannot switch the supply of its probes: probe_warm_ms must be none");
        }
        if !made.config.valves.iter().all(|plan| valves.contains(&plan.valve)) {
            return Err("this board has no such valve");
        }
        let has_all = made.config.probes.iter().all(|plan| probes.contains(&plan.probe));
        if has_all { Ok(()) } else { Err("this board has no such probe") }
    };
    let boot = || async {
        let installation = loop {
            match Setup::new(flash.installation()).start(false, flash.partitions(), fit).await {
                Start::Node(installation, ()) => break installation,
                Start::Person(_, why) => return Err(NodeError::NoNode(why)),
                Start::Again(_) => {}
            }
        };
        let partitions = Partitions { installation: Some(flash.installation()), ..flash.partitions() };
        Ok((installation.config, installation.broker.as_str().to_owned(), partitions))
    };
    run_boots(boot, setup, shutdown).await
}

/// Boots a node again and again; `boot` gives what it is, where its broker is, and its flash.
async fn run_boots<B: Future<Output = Result<(NodeConfig, String, Partitions<FlashRegion>), NodeError>>>(
    boot: impl Fn() -> B,
    mut setup: BoardSetup,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), NodeError> {
    let stretch = setup.clock.speed().max(1.0).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let stretch = stretch as u64;
    let (stop, stopping) = watch::channel(false);
    let mut probes = HostProbes::take(&mut setup);
    let mut board = HostBoard::new(setup, stopping);
    let mut memory = Box::new(Memory::new());
    let node = async {
        loop {
            let (mut config, broker, partitions) = boot().await?;
            config.welcome_within_ms = config.welcome_within_ms.saturating_mul(stretch);
            let radio_is_on = board.woken.as_ref().is_none_or(|woken| woken.contact);
            let mut connector = radio_is_on.then(|| TcpConnector::new(broker));
            let end = run(config, &mut board, &mut probes, &mut connector, partitions, &mut memory);
            match Box::pin(end).await? {
                End::Stopped if board.sleep_if_asked().await => {}
                End::Stopped => return Ok(()),
                End::Restart => board.reboot(ResetCause::Software),
            }
        }
    };
    let asked = async {
        shutdown.await;
        stop.send_replace(true);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = node => result,
        () = asked => Ok(()),
    }
}
