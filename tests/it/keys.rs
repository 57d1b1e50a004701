//! What `giot node add` prints is good for one use: at its first contact a node is given a key that nobody has seen.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use giot_board_host::NodeStatus;
use giot_shared::wire::{NodeKey, ResetCause, broker_password};
use giot_store::Reader;
use giot_tests::device::{Connect, Device, Version};
use giot_tests::giot::{self, Giot, wait_for};
use giot_tests::node::{Kit, PATIENCE, key_from_hex};
use std::path::Path;
use tempfile::TempDir;

const NODE: &str = "n01";
/// The time that a node has to come back, five minutes, takes five seconds.
const SPEED: f64 = 60.0;

/// A gateway that lets nobody in without a password, and the node that it knows, set up with the printed key.
async fn joined(dir: &Path) -> (Giot, Kit) {
    let out = giot::run(&["node", "add", "--data", dir.to_str().unwrap(), NODE, "--no-qr"]);
    let printed = giot::text(&out.stdout);
    let key = printed.lines().find_map(|line| line.strip_prefix("key")).expect("a key").trim();
    let gateway = Giot::serve(dir, &[]);
    let kit = Kit::new(NODE, key_from_hex(key), &gateway.mqtt).at_speed(SPEED);
    kit.install().await;
    (gateway, kit)
}

/// Where the last settings of the node are.
fn settings(dir: &Path) -> String {
    giot::text(&giot::run(&["node", "list", "--data", dir.to_str().unwrap()]).stdout)
}

fn until_settings(dir: &Path, state: &str) {
    wait_for(state, PATIENCE, || settings(dir).contains(state).then_some(()));
}

fn registered(dir: &Path) -> NodeKey {
    let devices = Reader::open(dir).unwrap().devices().unwrap();
    NodeKey(devices.iter().find_map(|row| row.key.clone()).unwrap().try_into().unwrap())
}

/// Whether the broker lets somebody in with a key; as another client, so that the node's own session stays.
async fn lets_in(mqtt: &str, key: &NodeKey) -> bool {
    let password = String::from_utf8(broker_password(key).to_vec()).unwrap();
    let (_, port) = mqtt.rsplit_once(':').unwrap();
    let login = Some((NODE, password.as_str()));
    let options = Connect { version: Version::V5, client_id: "stranger", login, clean: true, will: None };
    Device::connect(port.parse().unwrap(), options).await.unwrap().is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_key_is_good_for_the_first_contact_only() {
    let dir = TempDir::with_prefix("giot-keys-").unwrap();
    let (gateway, kit) = joined(dir.path()).await;
    assert!(lets_in(&gateway.mqtt, &kit.key).await);
    let mut node = kit.boot_installed(ResetCause::PowerOn);
    node.until_welcomed().await;
    until_settings(dir.path(), "confirmed");
    let second = registered(dir.path());
    assert_ne!(second, kit.key);
    assert_eq!(kit.installed().await.config.key, second);
    assert!(!lets_in(&gateway.mqtt, &kit.key).await, "the printed key is good for nothing any more");
    assert!(lets_in(&gateway.mqtt, &second).await);

    // What is sealed with the second key opens, also after the gateway and the node were started anew.
    let kit = node.cut_power().await;
    let mqtt = gateway.mqtt.clone();
    gateway.kill();
    let _gateway = Giot::serve_at(dir.path(), &mqtt, &[]);
    let mut node = kit.boot_installed(ResetCause::PowerOn);
    node.until_welcomed().await;
    assert!(!lets_in(&mqtt, &kit.key).await);
    assert_eq!((registered(dir.path()), kit.installed().await.config.key), (second.clone(), second));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_come_back_with_the_second_key_keeps_the_first() {
    let dir = TempDir::with_prefix("giot-keys-").unwrap();
    let (gateway, kit) = joined(dir.path()).await;
    let kit = kit.at_speed(1.0);
    let mut node = kit.boot_installed(ResetCause::PowerOn);
    let (first, mut epoch) = (kit.key.clone(), 0);
    let is_welcome = |status: &NodeStatus| {
        epoch = status.epoch;
        status.welcomed
    };
    node.until("a Welcome", is_welcome).await;
    // It would restart three seconds later, and nobody is there when it tries the second key.
    until_settings(dir.path(), "accepted");
    let kit = node.cut_power().await.at_speed(SPEED);
    let mqtt = gateway.mqtt.clone();
    gateway.kill();
    let mut node = kit.boot_installed(ResetCause::PowerOn);
    node.until("the end of the trial", |status| status.epoch == epoch + 2).await;
    assert_eq!(kit.installed().await.config.key, first);
    let gateway = Giot::serve_at(dir.path(), &mqtt, &[]);
    until_settings(dir.path(), "given_back (unreachable)");
    assert_eq!(registered(dir.path()), first);
    assert!(lets_in(&gateway.mqtt, &first).await);
}

/// A folder from before the first contact, as a backup brings it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_the_folder_knows_the_second_key() {
    let dir = TempDir::with_prefix("giot-keys-").unwrap();
    let (gateway, kit) = joined(dir.path()).await;
    let copy = TempDir::with_prefix("giot-keys-").unwrap();
    let (from, to) = (dir.path().to_str().unwrap(), copy.path().join("copy"));
    let backup = giot::run(&["backup", "--data", from, to.to_str().unwrap()]);
    assert!(backup.status.success(), "{}", giot::text(&backup.stderr));
    let mut node = kit.boot_installed(ResetCause::PowerOn);
    node.until_welcomed().await;
    until_settings(dir.path(), "confirmed");
    let second = registered(dir.path());
    let (kit, mqtt) = (node.cut_power().await, gateway.mqtt.clone());
    gateway.kill();

    let restored = giot::run(&["restore", "--force", "--data", from, to.to_str().unwrap()]);
    assert!(restored.status.success(), "{}", giot::text(&restored.stderr));
    assert_eq!(registered(dir.path()), kit.key);
    let _gateway = Giot::serve_at(dir.path(), &mqtt, &[]);
    let mut node = kit.boot_installed(ResetCause::PowerOn);
    node.until_welcomed().await;
    wait_for("the second key in the registry", PATIENCE, || (registered(dir.path()) == second).then_some(()));
    assert!(!lets_in(&mqtt, &kit.key).await);
}
