//! P1, P9: a disk without room. It is told in the log, by the API and by `giot doctor`; nothing that was acknowledged is lost, nothing
//! else is acknowledged, and storing goes on by itself when there is room.

use giot_tests::device::{Connect, Device, Packet, Version};
use giot_tests::giot::{Giot, get, text};
use std::fs::File;
use std::io::Write;
use std::path::Path;

const DISK_KIB: u32 = 24 * 1024;
/// Far more messages than fit into the room that a store keeps for its next commits.
const MESSAGES_MAX: u32 = 5_000;

struct Farm {
    giot: Giot,
    data: String,
}

impl Farm {
    async fn connect(&self) -> Device {
        let port = self.giot.mqtt.rsplit_once(':').unwrap().1.parse().unwrap();
        let connect =
            Connect { version: Version::V311, client_id: "d0", login: None, clean: true, will: None };
        Device::connect(port, connect).await.unwrap().expect("an open broker")
    }

    /// Times of the readings that the store has.
    fn kept(&self) -> Vec<String> {
        let args = ["export", "--data", &self.data, "--device", "d0", "--metric", "n"];
        let out = self.giot.run_beside(&args);
        assert!(out.status.success(), "{}", text(&out.stderr));
        text(&out.stdout).lines().skip(1).map(|line| line.split(',').nth(1).unwrap().to_owned()).collect()
    }

    fn doctor(&self) -> (Option<i32>, String) {
        let out = self.giot.run_beside(&["doctor", "--data", &self.data]);
        (out.status.code(), text(&out.stdout))
    }

    fn disk(&self) -> String {
        get(&self.giot.http, "/api/v1/store")["disk"]["state"].as_str().unwrap().to_owned()
    }
}

/// Publishes number `n` and says whether it was acknowledged before the connection ended.
async fn publish(device: &mut Device, n: u32) -> bool {
    let payload = format!("{{\"ts\":{},\"n\":{n}}}", 1_750_000_000_000_u64 + u64::from(n) * 1_000);
    if device.publish("giot/v1/d0/json", payload.as_bytes(), 1, 1).await.is_err() {
        return false;
    }
    match device.packet().await {
        Ok(Some(packet)) => packet == Packet::PubAck(1, 0),
        // An end without a goodbye is one too.
        Ok(None) | Err(_) => false,
    }
}

fn fill(path: &Path) {
    let mut ballast = File::create(path).unwrap();
    while ballast.write(&[0; 1_024]).is_ok_and(|n| n == 1_024) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (data, log) = (dir.path().join("data"), dir.path().join("log"));
    std::fs::create_dir(&data).unwrap();
    let giot = Giot::serve_on_a_small_disk(&data, DISK_KIB, &log);
    let ballast = giot.folder(&data).join("ballast");
    let farm = Farm { giot, data: data.to_str().unwrap().to_owned() };
    let mut device = farm.connect().await;
    for n in 0..10 {
        assert!(publish(&mut device, n).await);
    }
    assert_eq!(farm.disk(), "low", "less than may be needed at once");
    assert!(farm.doctor().1.contains("MiB may be needed at once"), "{}", farm.doctor().1);

    fill(&ballast);
    let mut n_acked = 10;
    while publish(&mut device, n_acked).await {
        n_acked += 1;
        assert!(n_acked < MESSAGES_MAX, "the disk is full");
    }
    assert_eq!(farm.disk(), "full");
    let (code, said) = farm.doctor();
    assert_eq!(code, Some(1));
    assert!(said.contains("full, nothing more is stored"), "{said}");
    let logged = std::fs::read_to_string(&log).unwrap();
    let lines = |what: &str| logged.lines().filter(|line| line.contains(what)).count();
    assert_eq!(lines("batches were not stored"), 1, "once for all of them: {logged}");
    assert!(
        logged.lines().any(|line| line.contains("batches were not stored")
            && line.contains("full")
            && line.contains("n_batches=1")),
        "{logged}"
    );
    assert!(lines("a commit failed and is tried again") > 1, "{logged}");
    let numbers = |n: u32| (0..n).map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(farm.kept(), numbers(n_acked), "what was acknowledged, and nothing else");
    assert!(get(&farm.giot.http, "/api/v1/overview")["now"].is_number(), "people are served");

    std::fs::remove_file(&ballast).unwrap();
    assert_eq!(farm.disk(), "low");
    // Nobody does anything but the device, which sends again what was not acknowledged.
    let mut device = farm.connect().await;
    for n in n_acked..n_acked + 10 {
        assert!(publish(&mut device, n).await);
    }
    assert_eq!(farm.kept(), numbers(n_acked + 10));
    assert!(farm.doctor().1.contains("the chain is whole"));
}
