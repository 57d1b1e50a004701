//! A node that powers its probes for their readings only: each reading is one of a warm probe, also after sleeps and power cuts.

use super::{Farm, NOW, id, key};
use crate::{NodeError, Sample, SimClock, SimRail, run_installed_node, run_node};
use giot_firmware::settings::{Installation, NoNode, NodeConfig, SleepPlan, words};
use giot_shared::time::UnixMs;
use giot_shared::wire::{Body, Flaw};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// What the simulated probe needs, ms.
const WARM_MS: u16 = 3000;

/// A farm whose probe is on a line with a switched supply.
struct Line {
    farm: Farm,
    rail: SimRail,
    changes: Arc<Mutex<Vec<(UnixMs, bool)>>>,
}

impl Line {
    async fn new(speed: f64) -> Self {
        let mut farm = Farm::new().await;
        farm.clock = SimClock::new(NOW, speed);
        farm.peer.seen().unix = Some(farm.clock.unix());
        let changes = Arc::<Mutex<Vec<_>>>::default();
        let written = Arc::clone(&changes);
        let rail =
            SimRail::new(WARM_MS.into(), move |at, on| written.lock().expect("no panic").push((at, on)));
        Self { farm, rail, changes }
    }

    fn config(warm_ms: Option<u16>, interval_ms: u64) -> NodeConfig {
        let mut config = Farm::config();
        config.probe_warm_ms = warm_ms;
        config.probes[0].device = Some(1);
        config.probes[0].interval_ms = interval_ms;
        config
    }

    /// Switches a node on; to abort the task cuts its power.
    fn start(&self, config: NodeConfig) -> JoinHandle<()> {
        let mut setup = self.farm.setup();
        let probe = |_: UnixMs| Ok(Sample::Value { value: 2345, raw: None });
        setup.probes.insert(config.probes[0].probe, self.rail.feed(probe));
        setup.rail = Some(self.rail.clone());
        tokio::spawn(async { run_node(config, setup, std::future::pending()).await.expect("the node runs") })
    }

    /// Waits for so many readings of the probe.
    async fn readings(&mut self, n: usize) -> Vec<(Option<i32>, Option<Flaw>)> {
        let of = |body: &Body| match body {
            Body::Reading(reading) if reading.probe == 0 => Some((reading.value, reading.flaw)),
            Body::Reading(_) | Body::Valve(_) | Body::Health(_) => None,
            Body::Lost(_) | Body::Settings(_) | Body::Unknown => None,
        };
        let all = |seen: &super::peer::Seen| -> Vec<_> {
            seen.records.iter().filter_map(|(_, record)| of(&record.body)).collect()
        };
        self.farm.peer.until("readings", |seen| all(seen).len() >= n).await;
        all(&self.farm.peer.seen())
    }

    /// How long it was on, each time, ms; it goes on and off in turn.
    fn spans_ms(&self) -> Vec<u64> {
        let changes = self.changes.lock().expect("no panic").clone();
        assert!(changes.iter().zip([true, false].into_iter().cycle()).all(|((_, on), want)| *on == want));
        changes.chunks_exact(2).map(|pair| pair[1].0.since_ms(pair[0].0)).collect()
    }

    /// All readings are of a warm probe, and it was on for each of them only.
    #[track_caller]
    fn check_warm(&self, readings: &[(Option<i32>, Option<Flaw>)], interval_ms: u64) {
        assert!(readings.iter().all(|reading| *reading == (Some(2345), None)), "{readings:?}");
        let spans = self.spans_ms();
        assert!(spans.len() >= 3, "{spans:?}");
        // A busy machine may be late.
        assert!(spans.iter().all(|ms| (u64::from(WARM_MS)..interval_ms / 2).contains(ms)), "{spans:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reading_is_of_a_warm_probe_and_the_supply_is_off_between() {
    const INTERVAL_MS: u64 = 120_000;
    let mut line = Line::new(60.0).await;
    let task = line.start(Line::config(Some(WARM_MS), INTERVAL_MS));
    let readings = line.readings(4).await;
    task.abort();
    line.check_warm(&readings, INTERVAL_MS);
}

/// What the other tests would see.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_probe_gives_nonsense_and_an_unpowered_one_nothing() {
    let mut line = Line::new(60.0).await;
    let task = line.start(Line::config(Some(100), 30_000));
    let readings = line.readings(2).await;
    task.abort();
    assert!(readings.iter().any(|(_, flaw)| *flaw == Some(Flaw::OutOfRange)), "{readings:?}");

    let mut line = Line::new(60.0).await;
    let task = line.start(Line::config(None, 30_000));
    let readings = line.readings(2).await;
    task.abort();
    assert!(readings.iter().all(|reading| *reading == (None, Some(Flaw::NoAnswer))), "{readings:?}");
    assert_eq!(line.spans_ms(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sleeping_node_warms_its_probe_up_in_each_wake_up() {
    const INTERVAL_MS: u64 = 600_000;
    let mut line = Line::new(200.0).await;
    let mut config = Line::config(Some(WARM_MS), INTERVAL_MS);
    config.health_interval_ms = 24 * 3_600_000;
    config.sleep = Some(SleepPlan { listen_ms: 60_000, patience_ms: 3_600_000 });
    let task = line.start(config);
    let readings = line.readings(4).await;
    assert!(line.farm.peer.seen().hellos.len() >= 3, "it slept in between");
    task.abort();
    line.check_warm(&readings, INTERVAL_MS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_leaves_it_off_and_the_next_boot_warms_up_anew() {
    let mut line = Line::new(60.0).await;
    // On all the time.
    let config = Line::config(Some(WARM_MS), 1000);
    let task = line.start(config.clone());
    let n_before = line.readings(3).await.len();
    task.abort();
    // Gone when it has ended, however that is.
    let _aborted = task.await;
    let last = |line: &Line| line.changes.lock().expect("no panic").clone();
    assert_eq!(last(&line).iter().map(|(_, on)| *on).collect::<Vec<_>>(), [true], "nobody switched it off");
    let task = line.start(config);
    let readings = line.readings(n_before + 3).await;
    task.abort();
    assert!(readings.iter().all(|reading| *reading == (Some(2345), None)), "{readings:?}");
    assert_eq!(last(&line).iter().map(|(_, on)| *on).collect::<Vec<_>>(), [true, false, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_board_without_a_switch_runs_no_node_that_wants_one() {
    let farm = Farm::new().await;
    let mut made = Installation::new(id(), key(), "127.0.0.1:1").expect("short");
    words::set(&mut made, "probe.0", "soil_moisture,modbus:1:A,60,60").expect("known");
    words::set(&mut made, "probe_warm_ms", "2000").expect("known");
    made.store(farm.flash.installation()).await.expect("stored");
    let ended = run_installed_node(farm.setup(), async {}).await;
    let why = "this board cannot switch the supply of its probes: probe_warm_ms must be none";
    assert_eq!(ended, Err(NodeError::NoNode(NoNode::Unfit(why))));
    let mut setup = farm.setup();
    setup.rail = Some(SimRail::new(0, |_, _| {}));
    run_installed_node(setup, async {}).await.expect("it runs");
}
