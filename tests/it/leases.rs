//! P3: no valve stays open past its lease, whatever becomes of gateway, broker, network or node.
//!
//! The node is the firmware itself on a simulated board, in real time; gateway and brokers are processes that are killed,
//! frozen or stopped while water flows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

use crate::farm::{Farm, NODE};
use giot_gateway::clock::Clock;
use giot_shared::wire::{ResetCause, broker_password};
use giot_tests::mosquitto::{GATEWAY_USER, Mosquitto, PASSWORD};
use giot_tests::node::{FieldNode, Move, PATIENCE};
use std::process::Command;
use std::time::Duration;

/// A short lease, so that the tests need not wait long; six seconds are renewed after 4.5 s.
const LEASE_KEYS: &str = "lease_min = 0.1\nautomatic = false";
const LEASE_MS: u64 = 6000;

/// How late a busy machine may be in noticing that a lease is over. A valve on a real node closes within milliseconds.
const LATE_MS: u64 = 1500;

/// Starts a long run and waits until its first lease was renewed: the gateway is at work.
async fn run_with_a_renewed_lease(farm: &Farm, node: &FieldNode) -> Vec<Move> {
    farm.start_run(5.0);
    node.until_move(2, PATIENCE).await;
    let moves = node.moves();
    assert_eq!(
        moves.iter().map(|m| m.open).collect::<Vec<_>>(),
        [false, true, true],
        "closed at boot, opened, renewed"
    );
    moves
}

/// Waits for the closing and checks that it came at the end of the last lease.
async fn closes_at_the_end_of_its_lease(node: &FieldNode) {
    let closed = loop {
        let moves = node.moves();
        if let Some(closed) = moves.iter().skip(1).find(|m| !m.open) {
            break *closed;
        }
        node.until_move(moves.len(), Duration::from_millis(LEASE_MS + LATE_MS) + PATIENCE).await;
    };
    let leased = node.moves().into_iter().rfind(|m| m.open).unwrap();
    let open_ms = closed.at.since_ms(leased.at);
    assert!(
        (LEASE_MS - 50..=LEASE_MS + LATE_MS).contains(&open_ms),
        "open for {open_ms} ms on a lease of {LEASE_MS} ms"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_is_killed() {
    let mut farm = Farm::new(LEASE_KEYS);
    let mut node = farm.kit().boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    run_with_a_renewed_lease(&farm, &node).await;
    farm.kill();
    assert!(node.kit().is_open(), "the lease outlives the gateway");
    closes_at_the_end_of_its_lease(&node).await;
    let n_moves = node.moves().len();
    // The next gateway hears of it and opens nothing by itself.
    farm.restart();
    let closing = farm.until_closing(0);
    assert_eq!(closing.closed_by.as_deref(), Some("lease_ended"));
    assert_eq!(closing.command, farm.valve_events()[0].command.map(|_| closing.command.unwrap()));
    farm.until_idle();
    assert_eq!(node.moves().len(), n_moves);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_hangs() {
    let farm = Farm::new(LEASE_KEYS);
    let mut node = farm.kit().boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    run_with_a_renewed_lease(&farm, &node).await;
    let signal = |name: &str| {
        let pid = farm.gateway().pid().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    signal("-STOP");
    closes_at_the_end_of_its_lease(&node).await;
    signal("-CONT");
    assert_eq!(farm.until_closing(0).closed_by.as_deref(), Some("lease_ended"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_external_broker_is_killed() {
    let mut broker = Mosquitto::start("giot/v1", &[]).unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), PASSWORD).unwrap();
    let table = format!(
        "[broker]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"{GATEWAY_USER}\"\npassword_file = \"{}\"\n",
        broker.port(),
        secret.path().display()
    );
    let farm = Farm::on_broker(LEASE_KEYS, &table);
    let kit = farm.kit();
    let password = String::from_utf8(broker_password(&kit.key).to_vec()).unwrap();
    broker.add_device(NODE, &password).unwrap();
    broker.restart().unwrap();
    let mut node = kit.boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    run_with_a_renewed_lease(&farm, &node).await;
    broker.kill();
    closes_at_the_end_of_its_lease(&node).await;
    let n_moves = node.moves().len();
    // A renewal that was sent meanwhile is good for five seconds. When the gateway has given the run up, it is void.
    farm.until_state(&["closing", "unknown", "idle", "waiting"]);
    broker.restart().unwrap();
    assert_eq!(farm.until_closing(0).closed_by.as_deref(), Some("lease_ended"));
    // Orders of the time without a broker are void: nothing opens when it comes back.
    farm.until_idle();
    assert_eq!(node.moves().len(), n_moves);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_is_reset() {
    let farm = Farm::new("lease_min = 10\nautomatic = false");
    let mut kit = farm.kit();
    // The last one is a failure of the node, after which the zone waits for a person.
    for (n, (reset, reason)) in
        [(ResetCause::PowerOn, "boot"), (ResetCause::Watchdog, "watchdog")].into_iter().enumerate()
    {
        let mut node = kit.boot(ResetCause::PowerOn);
        node.until_welcomed().await;
        farm.start_run(5.0);
        assert!(kit.is_open());
        kit = node.cut_power().await;
        assert!(kit.is_open(), "a latching valve stays as it is");
        let n_moves = kit.moves().len();
        let mut node = kit.boot(reset);
        let closed = node.until_move(n_moves, PATIENCE).await;
        assert!(!closed.open, "closed first of all");
        node.until_welcomed().await;
        let event = farm.until_closing(n);
        assert_eq!(event.closed_by.as_deref(), Some(reason));
        let opening = farm.valve_events().into_iter().rfind(|event| event.open).unwrap();
        assert_eq!(event.command, opening.command, "the run that was cut");
        assert!(event.epoch > opening.epoch);
        assert!(!kit.is_open());
        farm.until_idle();
        kit = node.cut_power().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_is_stopped_in_good_order() {
    let mut farm = Farm::new("lease_min = 10\nautomatic = false");
    let mut node = farm.kit().boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    farm.start_run(10.0);
    let stopped_at = Clock::system(None).wall_unchecked();
    assert_eq!(farm.stop().code(), Some(0));
    let closed = node.until_move(2, PATIENCE).await;
    assert!(!closed.open);
    let waited_ms = closed.at.since_ms(stopped_at);
    assert!(waited_ms < 5000, "closed {waited_ms} ms after the stop");
    farm.restart();
    assert_eq!(farm.until_closing(0).closed_by.as_deref(), Some("commanded"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_is_switched_off_in_good_order() {
    let farm = Farm::new("lease_min = 10\nautomatic = false");
    let kit = farm.kit();
    let mut node = kit.boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    farm.start_run(10.0);
    node.stop().await;
    assert!(!kit.is_open(), "closed before it went");
    let mut node = kit.boot(ResetCause::Software);
    node.until_welcomed().await;
    let closing = farm.until_closing(0);
    assert!(closing.run_ms > 0, "it had time to measure the run");
}
