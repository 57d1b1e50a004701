//! A node with one valve, one probe and one water meter on a simulated board. Every movement of its valve is written
//! down with its time, and the flash outlives it, so that a test can cut its power and start it again.
//!
//! Time runs as fast as the world unless a test asks otherwise: the gateways it talks to are processes of their own.

use giot_board_host::{BoardSetup, FlashStore, NodeStatus, Sample, SimClock, run_installed_node, run_node};
use giot_firmware::settings::{Installation, MeterPlan, NodeConfig, ProbePlan, ValvePlan, words};
use giot_gateway::clock::Clock;
use giot_shared::ids::{CommandId, NodeId, ProbeId, ValveId};
use giot_shared::metric::Metric;
use giot_shared::time::UnixMs;
use giot_shared::wire::{self, Downlink, KEY_LEN, NodeKey, Open, Order, ResetCause};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longest wait for anything that needs no lease to end; far above what a loaded machine needs.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// The one valve.
pub const VALVE: ValveId = ValveId(0);

/// Longest run that the node allows, s.
pub const HARD_MAX_S: u32 = 7200;

/// Water per pulse of the meter, µL; the meter gives one pulse every [`PULSE_MS`] while the valve is open.
const PULSE_UL: u32 = 10_000;
const PULSE_MS: u64 = 10;
const METER: ProbeId = ProbeId(9);

/// One movement of the valve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// When.
    pub at: UnixMs,
    /// Opened, or closed.
    pub open: bool,
}

/// Everything of a node that survives a reset.
#[derive(Clone, Debug)]
pub struct Kit {
    /// Its id.
    pub id: NodeId,
    /// Its secret.
    pub key: NodeKey,
    /// Its broker, `host:port`.
    pub broker: String,
    /// Its time.
    pub clock: SimClock,
    flash: FlashStore,
    moves: Arc<Mutex<Vec<Move>>>,
}

/// A running node. Dropped, its power is cut.
#[derive(Debug)]
pub struct FieldNode {
    kit: Kit,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    status: watch::Receiver<NodeStatus>,
}

/// A key as `giot node add` prints it.
///
/// # Panics
/// When it is not 64 hex digits.
#[must_use]
pub fn key_from_hex(hex: &str) -> NodeKey {
    assert_eq!(hex.len(), 2 * KEY_LEN, "a key");
    let mut key = [0; KEY_LEN];
    for (idx, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * idx..2 * idx + 2], 16).expect("hex digits");
    }
    NodeKey(key)
}

/// A message as a gateway would put it on the wire.
///
/// # Panics
/// When it does not fit, which no message of this version does.
#[must_use]
pub fn sealed(key: &NodeKey, node: &NodeId, message: &Downlink) -> Vec<u8> {
    let (mut plain, mut envelope) = ([0; 256], [0; 512]);
    let plain = message.encode(&mut plain).expect("a short message");
    wire::seal(key, node, plain, &mut envelope).expect("a short envelope").to_vec()
}

/// An Open of [`VALVE`] with the same number as counter and command.
#[must_use]
pub fn open(number: u64, run_s: u32, issued_at: UnixMs) -> Open {
    Open {
        command: CommandId(number),
        valve: VALVE,
        run_s,
        volume: None,
        issued_at,
        ttl_s: 30,
        is_outlet: true,
    }
}

/// An order around [`open`] or a variation of it.
#[must_use]
pub fn order(open: Open) -> Downlink {
    Downlink::Order(open.command.0, Order::Open(open))
}

impl Kit {
    /// A node fresh from the shop.
    ///
    /// # Panics
    /// When `id` is no id.
    #[must_use]
    pub fn new(id: &str, key: NodeKey, broker: &str) -> Self {
        Self {
            id: id.parse().expect("an id"),
            key,
            broker: broker.to_owned(),
            clock: SimClock::new(Clock::system(None).wall_unchecked(), 1.0),
            flash: FlashStore::memory(),
            moves: Arc::default(),
        }
    }

    /// Switches it on, in a tokio runtime.
    #[must_use]
    pub fn boot(&self, reset: ResetCause) -> FieldNode {
        let (stop, stopped) = oneshot::channel();
        let (sender, status) = watch::channel(NodeStatus::default());
        let mut setup = self.setup(reset);
        setup.status = Some(sender);
        let node = run_node(self.config(), setup, async {
            // Without a sender nobody stops it: only cutting its power does.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        let task = tokio::spawn(async { node.await.expect("the node runs") });
        FieldNode { kit: self.clone(), stop: Some(stop), task, status }
    }

    /// The same node with a clock that runs so many times faster.
    #[must_use]
    pub fn at_speed(mut self, speed: f64) -> Self {
        self.clock = SimClock::new(Clock::system(None).wall_unchecked(), speed);
        self
    }

    /// Writes into its flash what an installer would: one valve, one probe, and its broker.
    ///
    /// # Panics
    /// When it does not fit.
    pub async fn install(&self) {
        let mut made = Installation::new(self.id.clone(), self.key.clone(), &self.broker).expect("short");
        for (word, value) in [
            ("valve.0", "relay,7200,600"),
            ("probe.0", "soil_moisture,modbus:1:A,60,60"),
            ("meter", "9,10000"),
        ] {
            words::set(&mut made, word, value).expect(word);
        }
        made.store(self.flash.installation()).await.expect("stored");
    }

    /// What its flash says that it is.
    ///
    /// # Panics
    /// When it was never installed.
    pub async fn installed(&self) -> Installation {
        Installation::load(self.flash.installation()).await.expect("it is set up")
    }

    /// Switches it on as what its flash says, in a tokio runtime.
    #[must_use]
    pub fn boot_installed(&self, reset: ResetCause) -> FieldNode {
        let (stop, stopped) = oneshot::channel();
        let (sender, status) = watch::channel(NodeStatus::default());
        let mut setup = self.setup(reset);
        setup.status = Some(sender);
        let node = run_installed_node(setup, async {
            // Without a sender nobody stops it: only cutting its power does.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        let task = tokio::spawn(async { node.await.expect("the node runs") });
        FieldNode { kit: self.clone(), stop: Some(stop), task, status }
    }

    /// Every movement of the valve so far.
    #[must_use]
    pub fn moves(&self) -> Vec<Move> {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the valve was last driven open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.moves().last().is_some_and(|last| last.open)
    }

    /// Whether the valve was ever driven open.
    #[must_use]
    pub fn has_opened(&self) -> bool {
        self.moves().iter().any(|movement| movement.open)
    }

    fn config(&self) -> NodeConfig {
        let mut config = NodeConfig::new(self.id.clone(), self.key.clone());
        let mut valve = ValvePlan::new(VALVE);
        valve.hard_max_s = HARD_MAX_S;
        config.valves.push(valve).expect("room");
        config.probes.push(ProbePlan::new(ProbeId(0), Metric::SoilMoisture)).expect("room");
        config.meter = Some(MeterPlan { probe: METER, microlitres_per_pulse: PULSE_UL });
        config
    }

    fn setup(&self, reset: ResetCause) -> BoardSetup {
        let mut setup = BoardSetup::new(self.clock, self.broker.clone(), self.flash.clone());
        setup.reset = reset;
        let mut value = 2500;
        let probe = move |_: UnixMs| {
            value += 1;
            Ok(Sample::Value { value, raw: None })
        };
        setup.probes.insert(ProbeId(0), Box::new(probe));
        let moves = Arc::clone(&self.moves);
        let valve = move |at: UnixMs, open: bool| {
            moves.lock().unwrap_or_else(PoisonError::into_inner).push(Move { at, open });
        };
        setup.valves.insert(VALVE, Box::new(valve));
        let kit = self.clone();
        let mut n_seen = kit.n_pulses(self.clock.unix());
        setup.meter = Some(Box::new(move |at: UnixMs| {
            let n_pulses = kit.n_pulses(at);
            let n_new = n_pulses.saturating_sub(n_seen);
            n_seen = n_pulses;
            u32::try_from(n_new).unwrap_or(u32::MAX)
        }));
        setup
    }

    /// Pulses since the beginning: water flows while the valve is open.
    fn n_pulses(&self, at: UnixMs) -> u64 {
        self.open_ms(at) / PULSE_MS
    }

    /// How long the valve has been open in all, ms.
    #[must_use]
    pub fn open_ms(&self, at: UnixMs) -> u64 {
        let mut total_ms = 0;
        let mut open_since = None;
        for movement in self.moves() {
            match (open_since, movement.open) {
                (None, true) => open_since = Some(movement.at),
                (Some(since), false) => {
                    total_ms += movement.at.since_ms(since);
                    open_since = None;
                }
                (None, false) | (Some(_), true) => {}
            }
        }
        total_ms + open_since.map_or(0, |since| at.since_ms(since))
    }
}

impl FieldNode {
    /// What survives it.
    #[must_use]
    pub const fn kit(&self) -> &Kit {
        &self.kit
    }

    /// Every movement of the valve so far.
    #[must_use]
    pub fn moves(&self) -> Vec<Move> {
        self.kit.moves()
    }

    /// Waits until its state is as wanted.
    ///
    /// # Panics
    /// When it takes longer than [`PATIENCE`].
    pub async fn until(&mut self, what: &str, wanted: impl FnMut(&NodeStatus) -> bool) {
        let found = timeout(PATIENCE, self.status.wait_for(wanted)).await;
        let found = found.map(|state| state.map(|state| *state));
        assert!(matches!(found, Ok(Ok(_))), "{what}: {found:?}");
    }

    /// Waits until the gateway has greeted it.
    ///
    /// # Panics
    /// When it takes longer than [`PATIENCE`].
    pub async fn until_welcomed(&mut self) {
        self.until("a Welcome", |status| status.welcomed).await;
    }

    /// Waits until the valve was moved as wanted: the `n`th movement, counted from 0.
    ///
    /// # Panics
    /// When it takes longer than `limit`.
    pub async fn until_move(&self, n: usize, limit: Duration) -> Move {
        let moved = async {
            loop {
                if let Some(movement) = self.moves().get(n) {
                    return *movement;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let moved = timeout(limit, moved).await;
        moved.unwrap_or_else(|_| panic!("movement {n} within {limit:?}, only {:?}", self.moves()))
    }

    /// Stops it in good order: its valve is closed and the closing recorded.
    ///
    /// # Panics
    /// When it does not stop.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).expect("the node runs");
        }
        timeout(PATIENCE, &mut self.task).await.expect("the node stops").expect("it ended well");
    }

    /// Cuts its power; the valve of a simulated board stays as it was driven, as a latching one does.
    ///
    /// # Panics
    /// When its task cannot be ended.
    pub async fn cut_power(mut self) -> Kit {
        self.task.abort();
        let ended = timeout(PATIENCE, &mut self.task).await.expect("the task ends");
        assert!(ended.is_err_and(|error| error.is_cancelled()), "the node had ended before");
        self.kit.clone()
    }
}

impl Drop for FieldNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}
