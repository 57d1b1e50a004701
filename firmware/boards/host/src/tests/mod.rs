//! The whole node on its simulated board, over TCP, against a scripted peer.

mod peer;
mod rail;
mod sleep;

use crate::{
    BoardSetup, FlashStore, NodeError, NodeStatus, Sample, SimClock, StationRow, StationSpeed,
    run_installed_node, run_node, run_station,
};
use giot_firmware::run::{Memory, run};
use giot_firmware::settings::{Installation, NoNode, NodeConfig, ProbePlan, ValvePlan, words};
use giot_shared::ids::{CommandId, NodeId, ProbeId, ValveId};
use giot_shared::metric::Metric;
use giot_shared::time::UnixMs;
use giot_shared::valve::{CloseReason, RefusalReason};
use giot_shared::wire::{
    self, Body, Close, Downlink, Flaw, NodeKey, Open, Order, ResetCause, ValveEvent, broker_password,
};
use peer::{Peer, readings};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

const NOW: UnixMs = UnixMs(1_767_225_600_000);

fn id() -> NodeId {
    "n01".parse().expect("an id")
}

fn key() -> NodeKey {
    NodeKey([7; 32])
}

fn seal(message: Downlink) -> Vec<u8> {
    let (mut plain, mut sealed) = ([0; 128], [0; 256]);
    let payload = message.encode(&mut plain).expect("fits");
    wire::seal(&key(), &id(), payload, &mut sealed).expect("fits").to_vec()
}

fn open(counter: u64, run_s: u32, issued_at: UnixMs) -> Vec<u8> {
    let open = Open {
        command: CommandId(counter),
        valve: ValveId(0),
        run_s,
        volume: None,
        issued_at,
        ttl_s: 30,
        is_outlet: true,
    };
    seal(Downlink::Order(counter, Order::Open(open)))
}

/// A node with one probe and one valve whose movements are written down, at 60 times the speed of the world.
struct Farm {
    peer: Peer,
    flash: FlashStore,
    clock: SimClock,
    moves: Arc<Mutex<Vec<bool>>>,
}

impl Farm {
    async fn new() -> Self {
        let peer = Peer::start(&id(), &key()).await;
        let clock = SimClock::new(NOW, 60.0);
        Self { peer, flash: FlashStore::memory(), clock, moves: Arc::default() }
    }

    fn config() -> NodeConfig {
        let mut config = NodeConfig::new(id(), key());
        let mut plan = ProbePlan::new(ProbeId(0), Metric::SoilMoisture);
        plan.interval_ms = 10_000;
        config.probes.push(plan).expect("room");
        config.valves.push(ValvePlan::new(ValveId(0))).expect("room");
        config
    }

    fn setup(&self) -> BoardSetup {
        let mut setup = BoardSetup::new(self.clock, self.peer.address.clone(), self.flash.clone());
        let mut value = 2000;
        let probe = move |_: UnixMs| {
            value += 1;
            Ok(Sample::Value { value, raw: None })
        };
        setup.probes.insert(ProbeId(0), Box::new(probe));
        let moves = Arc::clone(&self.moves);
        let valve = move |_: UnixMs, open: bool| moves.lock().expect("no panic").push(open);
        setup.valves.insert(ValveId(0), Box::new(valve));
        setup
    }

    /// Starts the node; the sender stops it in good order, aborting the task cuts its power.
    fn start(&self, setup: BoardSetup) -> (oneshot::Sender<()>, JoinHandle<()>) {
        let (stop, stopped) = oneshot::channel();
        let node = run_node(Self::config(), setup, async {
            let _either_way = stopped.await;
        });
        let task = tokio::spawn(async { node.await.expect("the node runs") });
        (stop, task)
    }

    fn moves(&self) -> Vec<bool> {
        self.moves.lock().expect("no panic").clone()
    }
}

fn valve_events(peer: &Peer) -> Vec<ValveEvent> {
    let seen = peer.seen();
    let event = |body: &Body| match body {
        Body::Valve(event) => Some(*event),
        Body::Reading(_) | Body::Health(_) | Body::Lost(_) | Body::Settings(_) | Body::Unknown => None,
    };
    seen.records.iter().filter_map(|(_, record)| event(&record.body)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_says_who_it_is_and_delivers_readings() {
    let mut farm = Farm::new().await;
    farm.peer.seen().unix = Some(farm.clock.unix());
    let (stop, task) = farm.start(farm.setup());
    farm.peer.until("ten readings", |seen| readings(seen).len() >= 10).await;
    stop.send(()).expect("the node runs");
    task.await.expect("stopped");
    let seen = farm.peer.seen();
    assert_eq!(seen.user, "n01");
    assert_eq!(seen.password.as_bytes(), broker_password(&key()));
    assert!(seen.all_clean());
    assert_eq!(seen.statuses, ["online"]);
    let hello = seen.hellos.first().expect("a Hello");
    assert_eq!((hello.epoch, hello.counter, hello.reset), (1, 0, ResetCause::PowerOn));
    assert_eq!(hello.valves.len(), 1);
    let values: Vec<Option<i32>> = readings(&seen).iter().map(|(_, value)| *value).collect();
    let want: Vec<Option<i32>> = (1..=10).map(|n| Some(2000 + n)).collect();
    assert_eq!(values[..10], want);
    assert!(seen.records.iter().any(|(_, record)| matches!(record.body, Body::Health(_))));
    assert_eq!(seen.n_refused, 0);
}

/// It would read as missing for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_board_without_a_planned_probe_runs_no_node() {
    let farm = Farm::new().await;
    let mut made = Installation::new(id(), key(), "127.0.0.1:1").expect("short");
    for word in ["probe.0", "probe.1"] {
        words::set(&mut made, word, "soil_moisture,modbus:1:A,60,60").expect("known");
    }
    made.store(farm.flash.installation()).await.expect("stored");
    let ended = run_installed_node(farm.setup(), async {}).await;
    assert_eq!(ended, Err(NodeError::NoNode(NoNode::Unfit("this board has no such probe"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ends_without_a_gateway() {
    let mut farm = Farm::new().await;
    farm.peer.seen().unix = Some(farm.clock.unix());
    let (_stop, task) = farm.start(farm.setup());
    farm.peer.until("a Hello", |seen| !seen.hellos.is_empty()).await;
    farm.peer.until("a reading", |seen| !seen.records.is_empty()).await;
    farm.peer.send(&open(1, 120, farm.clock.unix()));
    farm.peer.until("the answer", |seen| seen.answers.len() == 1).await;
    assert_eq!(farm.peer.seen().answers[0].refused, None);
    assert_eq!(farm.moves(), [false, true], "closed at boot, then opened");
    // The peer forgets how to acknowledge: every message cuts the connection.
    farm.peer.seen().cut_every = Some(1);
    farm.clock.sleep_until(farm.clock.unix().plus_ms(125_000)).await;
    assert_eq!(farm.moves(), [false, true, false], "closed by itself");
    farm.peer.seen().cut_every = None;
    let closed = |record: &wire::Record| matches!(&record.body, Body::Valve(event) if event.closed_by == Some(CloseReason::LeaseEnded));
    farm.peer.until("the closing", |seen| seen.records.iter().any(|(_, r)| closed(r))).await;
    task.abort();
    let events = valve_events(&farm.peer);
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events.iter().all(|event| event.command == Some(CommandId(1))));
    let run_ms = events[1].run_ms.expect("a duration");
    assert!((120_000..123_000).contains(&run_ms), "{run_ms} ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_orders_are_refused_with_their_reason() {
    let mut farm = Farm::new().await;
    farm.peer.seen().unix = Some(farm.clock.unix());
    let (_stop, task) = farm.start(farm.setup());
    farm.peer.until("a record", |seen| !seen.records.is_empty()).await;
    let now = farm.clock.unix();
    let mut forged = open(5, 60, now);
    *forged.last_mut().expect("bytes") ^= 1;
    let other = {
        let (mut plain, mut sealed) = ([0; 128], [0; 256]);
        let close = Close { command: CommandId(5), valve: None };
        let payload = Downlink::Order(5, Order::Close(close)).encode(&mut plain).expect("fits").to_vec();
        wire::seal(&key(), &"n02".parse().expect("an id"), &payload, &mut sealed).expect("fits").to_vec()
    };
    let good = open(6, 60, now);
    let cases: Vec<(Vec<u8>, Option<RefusalReason>)> = vec![
        (b"nonsense".to_vec(), Some(RefusalReason::Malformed)),
        (other, Some(RefusalReason::Misaddressed)),
        (forged, Some(RefusalReason::BadMac)),
        (open(5, 60, now.minus_ms(3_600_000)), Some(RefusalReason::Expired)),
        (good.clone(), None),
        (good, Some(RefusalReason::Replayed)),
        (open(7, 7201, now), Some(RefusalReason::LeaseTooLong)),
    ];
    for (n, (bytes, want)) in cases.iter().enumerate() {
        farm.peer.send(bytes);
        farm.peer.until("an answer", |seen| seen.answers.len() > n).await;
        assert_eq!(farm.peer.seen().answers[n].refused, *want);
    }
    assert_eq!(farm.moves(), [false, true], "only the good one moved the valve");
    task.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_closes_the_valve_and_the_next_boot_says_so() {
    let mut farm = Farm::new().await;
    farm.peer.seen().unix = Some(farm.clock.unix());
    let (_stop, task) = farm.start(farm.setup());
    farm.peer.until("a record", |seen| !seen.records.is_empty()).await;
    farm.peer.send(&open(3, 3600, farm.clock.unix()));
    farm.peer.until("the answer", |seen| seen.answers.len() == 1).await;
    task.abort();
    let mut setup = farm.setup();
    setup.reset = ResetCause::BrownOut;
    let (_stop, task) = farm.start(setup);
    let cut = |seen: &peer::Seen| {
        let is_cut = |body: &Body| matches!(body, Body::Valve(event) if event.closed_by == Some(CloseReason::BrownOut));
        seen.records.iter().any(|(epoch, record)| *epoch == 2 && is_cut(&record.body))
    };
    farm.peer.until("the cut run", cut).await;
    assert_eq!(farm.moves(), [false, true, false]);
    let hello = farm.peer.seen().hellos.last().cloned().expect("a Hello");
    assert_eq!((hello.epoch, hello.counter, hello.reset), (2, 3, ResetCause::BrownOut));
    // The same order again, after the reset: its counter is burnt.
    farm.peer.send(&open(3, 3600, farm.clock.unix()));
    farm.peer.until("the refusal", |seen| seen.answers.len() == 2).await;
    assert_eq!(farm.peer.seen().answers[1].refused, Some(RefusalReason::Replayed));
    task.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_good_order_closes_and_records() {
    let mut farm = Farm::new().await;
    farm.peer.seen().unix = Some(farm.clock.unix());
    let (status, mut shown) = watch::channel(NodeStatus::default());
    let mut setup = farm.setup();
    setup.status = Some(status);
    let (stop, task) = farm.start(setup);
    shown.wait_for(|status| status.welcomed).await.expect("welcomed");
    farm.peer.send(&open(1, 3600, farm.clock.unix()));
    farm.peer.until("the answer", |seen| seen.answers.len() == 1).await;
    stop.send(()).expect("the node runs");
    task.await.expect("stopped");
    assert_eq!(farm.moves(), [false, true, false]);
    let (_stop, task) = farm.start(farm.setup());
    farm.peer.until("the next epoch", |seen| seen.stored.epoch == 2).await;
    task.abort();
    let events = valve_events(&farm.peer);
    assert_eq!(events.len(), 2, "closed once, not again at boot: {events:?}");
}

/// A broker that takes the connection and never says a word, and one that is not there at all: the button works, and the
/// run ends in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mute_broker_holds_up_no_valve() {
    let mute = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let gone_address = gone.local_addr().expect("an address");
    drop(gone);
    for broker in [mute.local_addr().expect("an address"), gone_address] {
        let mut farm = Farm::new().await;
        farm.peer.address = broker.to_string();
        let (press, buttons) = mpsc::channel(1);
        let mut setup = farm.setup();
        setup.buttons = Some(buttons);
        let mut config = Farm::config();
        config.valves[0].local_run_s = 60;
        let task = tokio::spawn(run_node(config, setup, std::future::pending()));
        press.send(ValveId(0)).await.expect("the node runs");
        let pressed_at = farm.clock.unix();
        while farm.moves().len() < 3 {
            farm.clock.sleep_until(farm.clock.unix().plus_ms(1000)).await;
            assert!(farm.clock.unix().since_ms(pressed_at) < 120_000, "{:?}", farm.moves());
        }
        assert_eq!(farm.moves(), [false, true, false]);
        assert!(farm.clock.unix().since_ms(pressed_at) >= 60_000);
        task.abort();
    }
}

/// What a chip must hold for the loop beside the link's [`Memory`]: a bound, so that growth is noticed.
#[tokio::test]
async fn the_loop_fits_a_small_chip() {
    let store = FlashStore::memory();
    let (_stop, stopping) = watch::channel(false);
    let mut setup = BoardSetup::new(SimClock::new(NOW, 1.0), String::new(), store.clone());
    let mut probes = crate::HostProbes::take(&mut setup);
    let mut board = crate::HostBoard::new(setup, stopping);
    let mut connector = crate::net::TcpConnector::new(String::new());
    let mut memory = Box::new(Memory::new());
    let partitions = store.partitions();
    let frame = run(Farm::config(), &mut board, &mut probes, &mut connector, partitions, &mut memory);
    let len = size_of_val(&frame);
    assert!(len < 33_000, "{len} bytes");
    assert!(size_of::<Memory>() < 10_000, "{} bytes", size_of::<Memory>());
}

/// Two years of hours in the small: values, missing ones and impossible ones.
fn history(n_rows: i64) -> Vec<StationRow> {
    let row = |n: i64| {
        let value = |salt: i64| i32::try_from((n * 37 + salt) % 10_000).expect("small");
        let missing = n % 11 == 0;
        StationRow {
            unix: UnixMs(1_640_995_200_000 + n * 3_600_000),
            values: vec![
                (ProbeId(0), Metric::SoilMoisture, Some(value(1))),
                (ProbeId(1), Metric::SoilVwc, (!missing).then(|| value(2))),
                (ProbeId(1), Metric::Rain, Some(if n == 5 { -1 } else { 0 })),
            ],
        }
    };
    (0..n_rows).map(row).collect()
}

async fn play(rows: &[StationRow], cut_every: Option<usize>) -> (Peer, crate::StationProgress) {
    let peer = Peer::start(&id(), &key()).await;
    peer.seen().cut_every = cut_every;
    let progress = run_station(
        NodeConfig::new(id(), key()),
        FlashStore::memory(),
        peer.address.clone(),
        rows.iter().cloned(),
        StationSpeed::Max,
        |_| {},
        std::future::pending(),
    );
    let progress = progress.await.expect("played");
    (peer, progress)
}

fn check_history(rows: &[StationRow], peer: &Peer) {
    let seen = peer.seen();
    let want: Vec<(u8, Option<i32>)> =
        rows.iter().flat_map(|row| &row.values).map(|(_, metric, value)| (metric.wire(), *value)).collect();
    assert_eq!(readings(&seen), want, "every value once and in order");
    let first = rows[0].unix;
    let hello = &seen.hellos[0];
    assert_eq!(hello.clock.map(|clock| clock.minus_ms(hello.uptime.0)), Some(first));
    let mut expected = rows.iter().flat_map(|row| row.values.iter().map(|(_, _, value)| (row.unix, value)));
    for (_, record) in &seen.records {
        if let Body::Reading(reading) = &record.body {
            let (unix, value) = expected.next().expect("as many");
            assert_eq!(first.plus_ms(record.uptime.0), unix);
            let flaw = match value {
                None => Some(Flaw::NoAnswer),
                Some(-1) => Some(Flaw::OutOfRange),
                Some(_) => None,
            };
            assert_eq!(reading.flaw, flaw);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_station_plays_its_history_exactly() {
    let rows = history(3000);
    let (peer, progress) = play(&rows, None).await;
    assert_eq!((progress.rows, progress.records, progress.waiting), (3000, 9000, 0));
    check_history(&rows, &peer);
    assert_eq!(peer.seen().n_again, 0, "nothing was sent twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_lose_and_double_nothing() {
    let rows = history(400);
    let (peer, _) = play(&rows, Some(9)).await;
    check_history(&rows, &peer);
    assert!(peer.seen().n_connections > 3, "the connection was cut");
}

#[tokio::test]
async fn rows_out_of_order_are_refused() {
    let mut rows = history(20);
    rows.swap(10, 11);
    let peer = Peer::start(&id(), &key()).await;
    let played = run_station(
        NodeConfig::new(id(), key()),
        FlashStore::memory(),
        peer.address.clone(),
        rows.into_iter(),
        StationSpeed::Max,
        |_| {},
        std::future::pending(),
    );
    assert!(matches!(played.await, Err(NodeError::RowOutOfOrder(_))));
}
