//! Days without a network, in simulated time: two resets, more readings than the flash holds, and runs at the button. What
//! comes in at the end came once, at its time or within what its time may be off; what is lost is said; no run is missing.

use giot_board_host::{BoardSetup, FlashStore, NodeStatus, Sample, SimClock, run_node};
use giot_engine::Timing;
use giot_firmware::settings::{MeterPlan, NodeConfig, ProbePlan, ValvePlan};
use giot_gateway::clock::Clock;
use giot_gateway::farm::{Farm, FarmFile};
use giot_gateway::quality::Quality;
use giot_gateway::{Gateway, Options};
use giot_shared::ids::{ProbeId, ValveId};
use giot_shared::metric::Metric;
use giot_shared::time::UnixMs;
use giot_shared::wire::ResetCause;
use giot_store::{Anchor, Reader, ValveEventFilter};
use giot_tests::giot;
use giot_tests::node::{PATIENCE, key_from_hex};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Twelve hours a second.
const SPEED: u32 = 43_200;
/// What half a second of a busy machine is in simulated time: the way of a Hello, and of a look at the clock.
const STRETCH_MS: u64 = 500 * SPEED as u64;
const NODE: &str = "v01";
const VALVE: ValveId = ValveId(0);

/// A gateway in this process whose time is simulated, and how to stop it.
struct Running {
    mqtt: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

async fn gateway(data: &Path, mqtt: &str, now: UnixMs) -> Running {
    let options = Options {
        data: data.to_owned(),
        http: "127.0.0.1:0".parse().unwrap(),
        mqtt: mqtt.parse().unwrap(),
        anonymous: true,
        farm: Farm::Given(Box::default()),
        demo_time: Some((now, SPEED)),
    };
    let gateway = Gateway::start(options).await.unwrap();
    let mqtt = gateway.mqtt.clone();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(gateway.run_until(async {
        stopped.await.ok();
    }));
    Running { mqtt, stop, task }
}

impl Running {
    async fn stop(self) {
        self.stop.send(()).ok();
        timeout(PATIENCE, self.task).await.expect("it stops").unwrap().unwrap();
    }
}

/// The node, its presses of the button, and its state.
struct Node {
    task: JoinHandle<()>,
    button: mpsc::Sender<ValveId>,
    status: watch::Receiver<NodeStatus>,
}

fn boot(
    key: &str,
    broker: &str,
    clock: SimClock,
    start: UnixMs,
    flash: FlashStore,
    reset: ResetCause,
) -> Node {
    let mut config = NodeConfig::new(NODE.parse().unwrap(), key_from_hex(key));
    config.valves.push(ValvePlan::new(VALVE)).unwrap();
    let mut probe = ProbePlan::new(ProbeId(0), Metric::WaterVolume);
    (probe.interval_ms, probe.interval_running_ms) = (60_000, 60_000);
    config.probes.push(probe).unwrap();
    config.meter = Some(MeterPlan { probe: ProbeId(9), microlitres_per_pulse: 10_000 });
    config.health_interval_ms = u64::MAX;
    let mut setup = BoardSetup::new(clock, broker.to_owned(), flash);
    setup.reset = reset;
    // Each reading says when it was made: seconds since the beginning.
    setup.probes.insert(
        ProbeId(0),
        Box::new(move |at: UnixMs| {
            let value = i32::try_from(at.since_ms(start) / 1000).unwrap();
            Ok(Sample::Value { value, raw: None })
        }),
    );
    setup.valves.insert(VALVE, Box::new(|_: UnixMs, _: bool| {}));
    let (button, buttons) = mpsc::channel(4);
    let (sender, status) = watch::channel(NodeStatus::default());
    (setup.buttons, setup.status) = (Some(buttons), Some(sender));
    let node = run_node(config, setup, std::future::pending());
    Node { task: tokio::spawn(async { node.await.expect("the node runs") }), button, status }
}

impl Node {
    async fn until(&mut self, what: &str, wanted: impl FnMut(&NodeStatus) -> bool) -> NodeStatus {
        let found = timeout(2 * PATIENCE, self.status.wait_for(wanted)).await;
        *found.unwrap_or_else(|_| panic!("{what}")).unwrap()
    }

    /// Opens the valve for its ten minutes, and waits until it is closed again.
    async fn run_at_button(&self, clock: SimClock) {
        self.button.send(VALVE).await.unwrap();
        clock.sleep_until(clock.unix().plus_ms(600_000 + STRETCH_MS)).await;
    }

    async fn cut_power(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()), "it had ended before");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_without_a_network_and_two_resets() {
    let data = TempDir::with_prefix("giot-outage-").unwrap();
    let key = giot::add_node(data.path(), NODE, "node").key;
    let start = Clock::system(None).wall_unchecked();
    let clock = SimClock::new(start, f64::from(SPEED));
    let first = gateway(data.path(), "127.0.0.1:0", clock.unix()).await;
    let (broker, flash) = (first.mqtt.clone(), FlashStore::memory());
    let boot = |reset| boot(&key, &broker, clock, start, flash.clone(), reset);

    let mut node = boot(ResetCause::PowerOn);
    node.until("everything of the first hours", |status| status.welcomed && status.released.seq > 20).await;
    first.stop().await;
    // A reading a minute for eight days is three times what the flash holds.
    let mut n_runs = 0;
    for (boot_idx, days) in [2, 3, 3].into_iter().enumerate() {
        if boot_idx > 0 {
            node.cut_power().await;
            node = boot(ResetCause::BrownOut);
        }
        node.run_at_button(clock).await;
        n_runs += 1;
        clock.sleep_until(clock.unix().plus_ms(days * 86_400_000)).await;
        node.run_at_button(clock).await;
        n_runs += 1;
    }
    let lost = node.until("a full flash", |status| status.lost > 0).await.lost;
    let again = gateway(data.path(), &broker, clock.unix()).await;
    node.until("everything told", |status| status.welcomed && status.waiting < 3).await;
    node.cut_power().await;
    again.stop().await;

    let reader = Reader::open(data.path()).unwrap();
    let anchors = reader.anchors(NODE).unwrap();
    assert_eq!(anchors.iter().map(|anchor| anchor.epoch).collect::<Vec<_>>(), [1, 2, 3]);
    let n_rows = check_readings(&reader, start, &anchors);
    assert!(n_rows > 1000 && lost > 100, "{n_rows} kept, {lost} lost in the last boot");
    // Every run at the button, its opening and its closing, in order, at least the ones that no reset cut.
    let filter = ValveEventFilter { limit: 1000, ..ValveEventFilter::default() };
    let events = reader.valve_events(&filter).unwrap();
    let closed: Vec<_> = events.iter().filter(|event| !event.open).collect();
    assert_eq!(closed.len(), n_runs, "{events:#?}");
    // A look at the clock takes its time: no run is shorter than its lease, and none much longer.
    let leases = 600_000..600_000 + STRETCH_MS;
    for event in closed {
        assert_eq!(event.closed_by.as_deref(), Some("lease_ended"), "{event:?}");
        assert!(leases.contains(&event.run_ms), "{event:?}");
    }
    let positions: BTreeSet<_> = events.iter().map(|event| (event.epoch, event.seq)).collect();
    assert_eq!(positions.len(), events.len(), "each once");
}

/// A zone whose node was never there: a person hears so, and nothing counts as its failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_ordered_from_a_node_that_has_not_come() {
    const FARM: &str = "[[source]]\nid = \"pump\"\n[[zone]]\nid = \"z1\"\nsource = \"pump\"\nautomatic = false\n\
                        valve = { node = \"v09\", valve = 0 }\n";
    let data = TempDir::with_prefix("giot-absent-").unwrap();
    let file = FarmFile { name: "farm.toml".to_owned(), text: FARM.to_owned(), by: "lan".to_owned() };
    let options = Options {
        data: data.path().to_owned(),
        http: "127.0.0.1:0".parse().unwrap(),
        mqtt: "127.0.0.1:0".parse().unwrap(),
        anonymous: true,
        farm: Farm::Kept { file: Some(file), timing: Timing::default() },
        demo_time: Some((Clock::system(None).wall_unchecked(), 3600)),
    };
    let gateway = Gateway::start(options).await.unwrap();
    let http = gateway.http.to_string();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(gateway.run_until(async {
        stopped.await.ok();
    }));
    let refused = timeout(PATIENCE, async {
        loop {
            let (status, body) =
                giot::request(&http, "POST", "/api/v1/zones/z1/start", Some(r#"{"minutes":3}"#));
            assert_eq!(status, 409, "{body}");
            // Until its last possible lease is over nobody knows the valve.
            if !body.contains("valve_unknown") {
                return body;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    let refused = refused.await.expect("the valve counts as closed");
    assert!(refused.contains("node_offline"), "{refused}");
    stop.send(()).ok();
    timeout(PATIENCE, task).await.expect("it stops").unwrap().unwrap();
}

/// Each reading once, and no further from its true time than its epoch's stated uncertainty.
fn check_readings(reader: &Reader, start: UnixMs, anchors: &[Anchor]) -> usize {
    let uncertain_ms = anchors.iter().map(|anchor| anchor.uncertainty_ms).max().unwrap();
    let mut samples = Vec::new();
    reader
        .samples(NODE, "water_volume", i64::MIN..i64::MAX, &mut |sample| {
            samples.push(sample);
            ControlFlow::Continue(())
        })
        .unwrap();
    let mut seen = BTreeSet::new();
    for sample in &samples {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole seconds")]
        let secs = sample.value.unwrap() as u64;
        let (truth, dated) = (start.plus_ms(secs * 1000), UnixMs(sample.at_us / 1000));
        assert!(seen.insert(secs), "the reading of second {secs} twice");
        let off_ms = truth.since_ms(dated).max(dated.since_ms(truth));
        let is_sure = Quality::from_byte(sample.quality) == Quality::Good;
        let allowed_ms = if is_sure { STRETCH_MS } else { uncertain_ms + STRETCH_MS };
        assert!(off_ms <= allowed_ms, "second {secs}: off by {off_ms} of {allowed_ms} ms, sure: {is_sure}");
    }
    samples.len()
}
