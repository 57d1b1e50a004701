//! A weather and soil station that plays its history through the real node: rows go in as ready values at their own
//! times, as fast as the gateway acknowledges or at a chosen speed.
//!
//! The station's clock is battery-backed: the node's Hello carries the row's civil time, so that the gateway dates the
//! records in the row's year. Uptime jumps from row to row. Nothing is lost by haste: rows wait while a
//! thousand records are not acknowledged, which is far below what the flash holds.

use crate::board::stopped;
use crate::flash::FlashStore;
use crate::net::TcpConnector;
use crate::{NodeError, Random};
use giot_firmware::board::{Board, Drive, DriveFault, NodeStatus, Probes, Vitals, Wake};
use giot_firmware::probe::{ProbeFault, Sample};
use giot_firmware::run::{End, Memory, run};
use giot_firmware::settings::NodeConfig;
use giot_shared::ids::{Position, ProbeId};
use giot_shared::metric::Metric;
use giot_shared::time::{UnixMs, UptimeMs};
use giot_shared::wire::ResetCause;
use std::collections::VecDeque;
use std::iter::Peekable;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Records that may wait for their acknowledgement.
const WAITING_MAX: u32 = 1000;
/// Values that are fed before other tasks get a turn.
const FEED_MAX: u32 = 32;

/// One line of a station's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StationRow {
    /// When it was measured; rows come in rising order.
    pub unix: UnixMs,
    /// Values in the metric's decimal steps; `None`: missing, which is recorded as no answer.
    pub values: Vec<(ProbeId, Metric, Option<i32>)>,
}

/// How fast a history is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StationSpeed {
    /// As fast as it is acknowledged.
    Max,
    /// So many times as fast as it happened.
    Factor(f64),
}

/// How far a history is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StationProgress {
    /// Rows that were fed in.
    pub rows: u64,
    /// Values of these rows: each is one record.
    pub records: u64,
    /// Records that the gateway does not have yet.
    pub waiting: u32,
    /// Up to here the gateway has everything.
    pub released: Position,
    /// Whether a session stands.
    pub connected: bool,
    /// Time of the last row.
    pub at: UnixMs,
}

struct StationBoard<I: Iterator<Item = StationRow>, P> {
    rows: Peekable<I>,
    values: VecDeque<(ProbeId, Metric, Option<i32>)>,
    /// Time of the first row and when it was played: uptime 0.
    first: UnixMs,
    began: Instant,
    speed: StationSpeed,
    progress: StationProgress,
    tell: P,
    out_of_order: Option<UnixMs>,
    n_fed: u32,
    random: Random,
    stop: watch::Receiver<bool>,
}

impl<I: Iterator<Item = StationRow>, P: FnMut(StationProgress)> StationBoard<I, P> {
    fn new(rows: I, speed: StationSpeed, tell: P, stop: watch::Receiver<bool>) -> Self {
        let mut rows = rows.peekable();
        let first = rows.peek().map_or(UnixMs(0), |row| row.unix);
        Self {
            rows,
            values: VecDeque::new(),
            first,
            began: Instant::now(),
            speed,
            progress: StationProgress { at: first, ..StationProgress::default() },
            tell,
            out_of_order: None,
            n_fed: 0,
            random: Random::new(),
            stop,
        }
    }

    /// The same history goes on after a restart: uptime begins again at the row that was played last.
    fn reboot(&mut self) {
        let passed = self.progress.at.since_ms(self.first);
        self.began += self.real(passed);
        self.first = self.progress.at;
    }

    fn real(&self, ms: u64) -> Duration {
        match self.speed {
            StationSpeed::Factor(factor) if factor.is_finite() && factor > 0.0 => {
                #[expect(clippy::cast_precision_loss, reason = "2^53 ms are 285 000 years")]
                let secs = ms as f64 / 1000.0 / factor;
                Duration::try_from_secs_f64(secs).unwrap_or(Duration::from_secs(86_400))
            }
            StationSpeed::Factor(_) | StationSpeed::Max => Duration::ZERO,
        }
    }

    /// What the station does next, if it may do anything.
    async fn feed(&mut self) -> Wake {
        loop {
            if let Some((probe, metric, value)) = self.values.pop_front() {
                self.progress.records += 1;
                self.n_fed += 1;
                if self.n_fed >= FEED_MAX {
                    self.n_fed = 0;
                    // The value is in hand: the yield must not be a place to lose it.
                    self.values.push_front((probe, metric, value));
                    self.progress.records -= 1;
                    tokio::task::yield_now().await;
                    continue;
                }
                return Wake::Value(probe, metric, value);
            }
            if self.progress.waiting >= WAITING_MAX {
                std::future::pending::<()>().await;
            }
            let Some(next) = self.rows.peek().map(|row| row.unix) else {
                if self.progress.waiting == 0 {
                    return Wake::Stop;
                }
                return std::future::pending().await;
            };
            if next < self.progress.at {
                self.out_of_order = Some(next);
                return Wake::Stop;
            }
            let due = self.began + self.real(next.since_ms(self.first));
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
            }
            if let Some(row) = self.rows.next() {
                self.progress.at = row.unix;
                self.progress.rows += 1;
                self.values.extend(row.values);
            }
        }
    }
}

impl<I: Iterator<Item = StationRow>, P: FnMut(StationProgress)> Board for StationBoard<I, P> {
    fn uptime(&self) -> UptimeMs {
        UptimeMs(self.progress.at.since_ms(self.first))
    }

    fn civil_time(&self) -> Option<UnixMs> {
        Some(self.progress.at)
    }

    fn random(&mut self) -> u64 {
        self.random.next()
    }

    fn reset_cause(&self) -> ResetCause {
        ResetCause::PowerOn
    }

    async fn drive_valve(&mut self, _: Drive) -> Result<(), DriveFault> {
        Err(DriveFault)
    }

    async fn read_vitals(&mut self) -> Vitals {
        Vitals::default()
    }

    fn take_pulses(&mut self) -> u32 {
        0
    }

    fn feed_watchdog(&mut self) {}

    fn report(&mut self, status: &NodeStatus) {
        self.progress.waiting = status.waiting;
        self.progress.released = status.released;
        self.progress.connected = status.connected;
        (self.tell)(self.progress);
    }

    async fn wait(&mut self, until: Option<UptimeMs>) -> Wake {
        // Time stands still between rows: only what is due already is due.
        if until.is_some_and(|until| until <= self.uptime()) {
            return Wake::Timer;
        }
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            () = stopped(&mut stop) => Wake::Stop,
            wake = self.feed() => wake,
        }
    }
}

/// A station has no probe that is asked.
struct NoProbes;

impl Probes for NoProbes {
    async fn read_probe(&mut self, _: ProbeId) -> Result<Sample, ProbeFault> {
        Err(ProbeFault::NoAnswer)
    }
}

/// Plays a history through a node until every record is acknowledged, or until `shutdown`. Planned probes and valves of
/// `config` are not used; a restart on the same flash first delivers what was left.
///
/// # Errors
/// [`NodeError`] when flash or configuration do not carry a node, or a row is older than the one before it.
pub async fn run_station(
    config: NodeConfig,
    flash: FlashStore,
    broker: String,
    rows: impl Iterator<Item = StationRow> + Send,
    speed: StationSpeed,
    progress: impl FnMut(StationProgress) + Send,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<StationProgress, NodeError> {
    let config = NodeConfig {
        probes: heapless::Vec::new(),
        valves: heapless::Vec::new(),
        // In a time that jumps by hours these would fire at every row.
        health_interval_ms: u64::MAX,
        hello_interval_ms: u64::MAX,
        welcome_within_ms: u64::MAX,
        ..config
    };
    let mut connector = TcpConnector::new(broker);
    let (stop, stopping) = watch::channel(false);
    let mut board = StationBoard::new(rows, speed, progress, stopping);
    let (mut probes, mut memory) = (NoProbes, Box::new(Memory::new()));
    let node = async {
        loop {
            let end =
                run(config.clone(), &mut board, &mut probes, &mut connector, flash.partitions(), &mut memory);
            match Box::pin(end).await? {
                End::Stopped => return Ok::<_, NodeError>(()),
                End::Restart => board.reboot(),
            }
        }
    };
    let asked = async {
        shutdown.await;
        stop.send_replace(true);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = node => result?,
        () = asked => {}
    }
    match board.out_of_order {
        Some(at) => Err(NodeError::RowOutOfOrder(at)),
        None => Ok(board.progress),
    }
}
