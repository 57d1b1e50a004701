//! A node that sleeps deeply between samples: what it must not lose by that, and when it must not.

use super::{Farm, NOW, open, valve_events};
use crate::{SimClock, run_node};
use giot_firmware::settings::{NodeConfig, SleepPlan, ValveKind};
use giot_shared::valve::CloseReason;
use giot_shared::wire::{Body, Hello, Record, ResetCause};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A second here is ten minutes there.
const SPEED: f64 = 600.0;
const INTERVAL_MS: u64 = 600_000;
/// Slow enough that an order does not expire on its way: a second is twenty.
const SPEED_OF_ORDERS: f64 = 20.0;

fn config(interval_ms: u64, sleep: SleepPlan) -> NodeConfig {
    let mut config = Farm::config();
    config.probes[0].interval_ms = interval_ms;
    config.valves[0].kind = ValveKind::Latching;
    config.health_interval_ms = 24 * 3_600_000;
    config.sleep = Some(sleep);
    config
}

async fn farm(speed: f64) -> Farm {
    let mut farm = Farm::new().await;
    farm.clock = SimClock::new(NOW, speed);
    farm.peer.seen().unix = Some(farm.clock.unix());
    farm
}

fn start(farm: &Farm, config: NodeConfig) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel();
    let node = run_node(config, farm.setup(), async {
        let _either_way = stopped.await;
    });
    let task = tokio::spawn(async { node.await.expect("the node runs") });
    (stop, task)
}

fn is_reading(body: &Body) -> bool {
    matches!(body, Body::Reading(reading) if reading.probe == 0)
}

/// Epoch and uptime of each reading of the probe.
fn readings(farm: &Farm) -> Vec<(u32, u64)> {
    let seen = farm.peer.seen();
    let records = seen.records.iter().filter(|(_, record)| is_reading(&record.body));
    records.map(|(epoch, record)| (*epoch, record.uptime.0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sample_is_a_boot_of_its_own_that_the_gateway_dates() {
    let mut farm = farm(SPEED).await;
    // Six seconds here: the network is no faster than the world.
    let plan = SleepPlan { listen_ms: 60_000, patience_ms: 3_600_000 };
    let (stop, task) = start(&farm, config(INTERVAL_MS, plan));
    let of_fourth = |(epoch, record): &(u32, Record)| *epoch >= 4 && is_reading(&record.body);
    farm.peer.until("a reading of the fourth boot", |seen| seen.records.iter().any(of_fourth)).await;
    // The first boot does not know the valve; the others know that it was closed when they fell asleep.
    assert_eq!(farm.moves(), [false]);
    stop.send(()).expect("the node runs");
    task.await.expect("stopped");
    let epochs: Vec<u32> = readings(&farm).into_iter().map(|(epoch, _)| epoch).collect();
    assert!(epochs.is_sorted(), "{epochs:?}");
    let seen = farm.peer.seen();
    assert!(seen.hellos.is_sorted_by_key(|hello| hello.epoch), "a met epoch is not used again");
    let is_wake = |hello: &Hello| (hello.reset == ResetCause::Sleep) == (hello.epoch > 1);
    assert!(seen.hellos.iter().all(is_wake), "each says why it boots");
    assert_eq!(seen.n_refused, 0, "no record is missing");
}

/// Whoever could publish on its topic could empty its battery.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_message_of_the_gateway_do_not_keep_it_awake() {
    let mut farm = farm(SPEED).await;
    farm.peer.make_noise();
    let plan = SleepPlan { listen_ms: 60_000, patience_ms: 3_600_000 };
    let (stop, task) = start(&farm, config(INTERVAL_MS, plan));
    farm.peer
        .until("the greeting of the third boot", |seen| seen.hellos.iter().any(|hello| hello.epoch >= 3))
        .await;
    assert!(!farm.peer.seen().answers.is_empty(), "it was heard");
    stop.send(()).expect("the node runs");
    task.await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_valve_keeps_it_awake_until_its_lease_ends() {
    let mut farm = farm(SPEED_OF_ORDERS).await;
    let plan = SleepPlan { listen_ms: 20_000, patience_ms: 600_000 };
    let (stop, task) = start(&farm, config(60_000, plan));
    farm.peer.until("a greeting", |seen| !seen.hellos.is_empty()).await;
    let unix = farm.peer.seen().unix.expect("set");
    farm.peer.send(&open(1, 60, unix));
    farm.peer.until("an answer", |seen| !seen.answers.is_empty()).await;
    let n_connections = farm.peer.seen().n_connections;
    let closed = |body: &Body| matches!(body, Body::Valve(event) if !event.open);
    farm.peer.until("the closing", |seen| seen.records.iter().any(|(_, record)| closed(&record.body))).await;
    assert_eq!(farm.peer.seen().n_connections, n_connections, "it did not sleep with an open valve");
    let closing = valve_events(&farm.peer).into_iter().find(|event| !event.open).expect("closed");
    assert_eq!(closing.closed_by, Some(CloseReason::LeaseEnded));
    assert!(closing.run_ms >= Some(60_000), "{closing:?}");
    farm.peer.until("the next greeting", |seen| seen.n_connections > n_connections).await;
    assert_eq!(farm.moves(), [false, true, false]);
    stop.send(()).expect("the node runs");
    task.await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nobody_answers_its_epoch_goes_on_and_no_record_is_lost() {
    let mut farm = farm(SPEED).await;
    farm.peer.seen().silent = true;
    let plan = SleepPlan { listen_ms: 60_000, patience_ms: 300_000 };
    let (stop, task) = start(&farm, config(INTERVAL_MS, plan));
    farm.peer.until("two vain attempts", |seen| seen.n_connections >= 2).await;
    farm.peer.seen().silent = false;
    farm.peer.until("the readings of the silence", |seen| seen.stored.seq >= 4).await;
    assert_eq!(farm.moves(), [false]);
    stop.send(()).expect("the node runs");
    task.await.expect("stopped");
    let all = readings(&farm);
    let first: Vec<u64> = all.iter().filter(|(epoch, _)| *epoch == 1).map(|(_, uptime)| *uptime).collect();
    assert!(first.len() >= 3, "one epoch for the whole silence: {all:?}");
    for pair in first.windows(2) {
        let step_ms = pair[1] - pair[0];
        assert!((INTERVAL_MS..3 * INTERVAL_MS).contains(&step_ms), "{first:?}");
    }
    let seen = farm.peer.seen();
    assert_eq!(seen.n_refused, 0, "no record is missing");
    let drifts: Vec<u32> = seen.hellos.iter().map(|hello| hello.drift_ms).collect();
    assert_eq!(drifts.first(), Some(&0), "nothing was slept yet");
    assert!(drifts.iter().any(|ms| *ms > 0), "what was slept is told: {drifts:?}");
}
