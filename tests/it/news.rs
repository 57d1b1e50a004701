//! What a node tells of itself reaches people once: why it began anew, and what its full memory gave up.

use giot_shared::ids::Position;
use giot_shared::metric::Metric;
use giot_shared::time::UptimeMs;
use giot_shared::wire::{Body, Hello, Lost, Reading, Record, Records, ResetCause, UnmetBoot, Uplink};
use giot_store::{DiaryFilter, Reader};
use giot_tests::device::{Connect, Device, Packet, Version};
use giot_tests::giot::{self, Credentials, Giot};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

const NODE: &str = "v01";

/// A node by hand.
struct Node {
    device: Device,
    next_id: u16,
}

impl Node {
    async fn connect(gateway: &Giot, credentials: &Credentials) -> Self {
        let port = gateway.mqtt.rsplit(':').next().unwrap().parse().unwrap();
        let connect = Connect {
            version: Version::V311,
            client_id: NODE,
            login: Some((NODE, &credentials.password)),
            clean: true,
            will: None,
        };
        Self { device: Device::connect(port, connect).await.unwrap().unwrap(), next_id: 1 }
    }

    /// Says something and waits until the gateway has it for good.
    async fn say(&mut self, message: &Uplink) {
        let mut buffer = [0; 2048];
        let payload = message.encode(&mut buffer).unwrap();
        let id = self.next_id;
        self.next_id += 1;
        self.device.publish("giot/v1/v01/up", payload, 1, id).await.unwrap();
        while self.device.packet().await.unwrap() != Some(Packet::PubAck(id, 0)) {}
    }

    async fn boot(&mut self, epoch: u32, reset: ResetCause) {
        self.boot_after(&[], epoch, reset).await;
    }

    /// A boot after some that met nobody.
    async fn boot_after(&mut self, unmet: &[(u32, ResetCause)], epoch: u32, reset: ResetCause) {
        let hello = Hello {
            nonce: epoch.into(),
            epoch,
            uptime: UptimeMs(2000),
            released: Position::default(),
            counter: 0,
            reset,
            firmware: "0.1.0".try_into().unwrap(),
            valves: Default::default(),
            clock: None,
            drift_ms: 0,
            ended: Default::default(),
            unmet: unmet.iter().map(|&(epoch, cause)| UnmetBoot { epoch, cause }).collect(),
        };
        self.say(&Uplink::Hello(hello)).await;
    }

    /// Records of an epoch after a position: a reading, or a loss up to a count.
    async fn records(&mut self, epoch: u32, after: (u32, u32), records: &[(u32, Option<u32>)]) {
        let after = Position { epoch: after.0, seq: after.1 };
        let mut run = Records { epoch, after, records: Default::default() };
        for (seq, lost_to) in records {
            let reading = Reading {
                probe: 0,
                metric: Metric::SoilMoisture.wire(),
                value: Some(2500),
                raw: None,
                flaw: None,
            };
            let body = lost_to.map_or(Body::Reading(reading), |to| Body::Lost(Lost { to }));
            let uptime = UptimeMs(1000 + u64::from(*seq));
            run.records.push(Record { seq: *seq, uptime, body }).unwrap();
        }
        self.say(&Uplink::Records(run)).await;
    }
}

/// Reasons and arguments of the diary, oldest first, with their event.
fn diary(data: &Path) -> Vec<(String, String, Value)> {
    let filter = DiaryFilter { limit: 1000, ..DiaryFilter::default() };
    let mut rows = Reader::open(data).unwrap().diary(&filter).unwrap();
    rows.reverse();
    let told = |row: giot_store::DiaryRow| {
        assert_eq!(row.entry.by, "node");
        (row.entry.event, row.entry.reason, serde_json::from_str(&row.entry.args).unwrap())
    };
    rows.into_iter().map(told).collect()
}

fn codes(data: &Path) -> Vec<String> {
    diary(data).into_iter().map(|(_, reason, _)| reason).collect()
}

/// The node as the page sees it; the view is made anew within a moment.
fn view(gateway: &Giot, is_new: impl Fn(&Value) -> bool) -> Value {
    giot::wait_for("the node's news", giot_tests::node::PATIENCE, || {
        let node = giot::get(&gateway.http, "/api/v1/overview")["nodes"][0].clone();
        is_new(&node).then_some(node)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_a_node_began_anew_is_told_once() {
    let dir = TempDir::with_prefix("giot-news-").unwrap();
    let credentials = giot::add_node(dir.path(), NODE, "node");
    let data = dir.path().to_str().unwrap();
    let gateway = Giot::serve(dir.path(), &["--anonymous"]);
    let mut node = Node::connect(&gateway, &credentials).await;
    node.boot(3, ResetCause::PowerOn).await;
    node.boot(3, ResetCause::PowerOn).await;
    // A sleeping node boots every few minutes.
    node.boot(4, ResetCause::Sleep).await;
    node.boot(7, ResetCause::Watchdog).await;
    node.boot(8, ResetCause::BrownOut).await;
    let seen = view(&gateway, |node| node["restart"]["epoch"] == 8);
    assert_eq!((&seen["restart"]["cause"], &seen["restless"]), (&"brown_out".into(), &false.into()));
    assert!(gateway.stop().success());
    assert_eq!(codes(dir.path()), ["node_restarted"; 3]);
    let (event, _, args) = diary(dir.path()).remove(1);
    assert_eq!(
        (event.as_str(), &args["n_unheard"], &args["restart"]),
        ("node", &2.into(), &"watchdog".into())
    );

    // The node does not notice the gateway's restart, or says its Hello again.
    let gateway = Giot::serve(dir.path(), &["--anonymous"]);
    let mut node = Node::connect(&gateway, &credentials).await;
    node.boot(8, ResetCause::BrownOut).await;
    assert!(giot::text(&giot::run(&["doctor", "--data", data]).stdout).contains("devices: 1 registered"));
    node.boot(9, ResetCause::Panic).await;
    let seen = view(&gateway, |node| node["restless"] == true);
    assert_eq!(seen["n_failed_restarts"], 3);
    let listed = giot::text(&giot::run(&["node", "list", "--data", data]).stdout);
    assert!(listed.contains(" panic ") && listed.contains("3 restarts within a day"), "{listed}");
    let doctor = giot::run(&["doctor", "--data", data]);
    assert_eq!(doctor.status.code(), Some(1));
    assert!(
        giot::text(&doctor.stdout).contains("BAD   node v01: 3 restarts"),
        "{}",
        giot::text(&doctor.stdout)
    );
    assert!(gateway.stop().success());
    assert_eq!(codes(dir.path())[3..], ["node_restarted", "node_restless"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_boots_began_that_met_no_gateway_is_told_once() {
    let dir = TempDir::with_prefix("giot-news-").unwrap();
    let credentials = giot::add_node(dir.path(), NODE, "node");
    let gateway = Giot::serve(dir.path(), &["--anonymous"]);
    let mut node = Node::connect(&gateway, &credentials).await;
    node.boot(1, ResetCause::PowerOn).await;
    let unmet = [(3, ResetCause::Watchdog), (4, ResetCause::Panic), (5, ResetCause::BrownOut)];
    node.boot_after(&unmet, 6, ResetCause::PowerOn).await;
    node.boot_after(&unmet, 6, ResetCause::PowerOn).await;
    let seen = view(&gateway, |node| node["restart"]["epoch"] == 6);
    assert_eq!((&seen["restart"]["cause"], &seen["restless"]), (&"power_on".into(), &true.into()));
    assert!(gateway.stop().success());
    let told = diary(dir.path());
    let boots = told.iter().filter(|(_, reason, _)| reason == "node_restarted");
    let boots: Vec<_> =
        boots.map(|(_, _, args)| (&args["epoch"], &args["restart"], &args["n_unheard"])).collect();
    let told = |epoch: u32, restart: &str, n_unheard: u32| (epoch.into(), restart.into(), n_unheard.into());
    let wanted: [(Value, Value, Value); 5] = [
        told(1, "power_on", 0),
        told(3, "watchdog", 1),
        told(4, "panic", 0),
        told(5, "brown_out", 0),
        told(6, "power_on", 0),
    ];
    assert_eq!(boots, wanted.each_ref().map(|(epoch, restart, n)| (epoch, restart, n)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_full_memory_gave_up_is_told_once() {
    let dir = TempDir::with_prefix("giot-news-").unwrap();
    let credentials = giot::add_node(dir.path(), NODE, "node");
    let gateway = Giot::serve(dir.path(), &["--anonymous"]);
    let mut node = Node::connect(&gateway, &credentials).await;
    node.boot(1, ResetCause::PowerOn).await;
    node.records(1, (0, 0), &[(1, None)]).await;
    node.records(1, (1, 1), &[(2, Some(11)), (12, None), (13, Some(15))]).await;
    // The same again, as after a lost acknowledgement.
    node.records(1, (1, 1), &[(2, Some(11)), (12, None), (13, Some(15))]).await;
    let seen = view(&gateway, |node| node["n_lost"] == 13);
    assert_eq!(seen["lost"]["n_records"], 13);
    assert!(gateway.stop().success());

    let gateway = Giot::serve(dir.path(), &["--anonymous"]);
    let mut node = Node::connect(&gateway, &credentials).await;
    node.boot(1, ResetCause::PowerOn).await;
    // It lost more meanwhile, and tells all of it from where it was acknowledged.
    node.records(1, (1, 12), &[(13, Some(20))]).await;
    node.records(1, (1, 20), &[(21, None)]).await;
    node.records(1, (1, 21), &[(22, None)]).await;
    let seen = view(&gateway, |node| node["n_lost"] == 18);
    assert_eq!(seen["lost"]["n_records"], 18);
    assert!(gateway.stop().success());
    let told = diary(dir.path());
    assert_eq!(codes(dir.path()), ["node_restarted", "readings_lost"]);
    let (event, _, args) = &told[1];
    assert_eq!((event.as_str(), &args["n_records"]), ("notified", &18.into()));
    // Made after the first record, at 1001 ms of the boot, and before the last was lost.
    let span_ms = args["to_at"].as_i64().unwrap() - args["from_at"].as_i64().unwrap();
    assert_eq!(span_ms, 12, "{args}");
    let data = dir.path().to_str().unwrap();
    let doctor = giot::text(&giot::run(&["doctor", "--data", data]).stdout);
    assert!(doctor.contains("BAD   node v01: its memory was full: 18 readings"), "{doctor}");
}
