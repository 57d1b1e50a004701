//! Settings over the air on the simulated board: kept when the gateway is reached with them, given back when not, and told.

use crate::farm::{Farm, NODE};
use giot_shared::wire::ResetCause;
use giot_tests::giot::{self, wait_for};
use giot_tests::node::PATIENCE;
use std::process::Output;

/// The node's trial of 20 s takes two.
const SPEED: f64 = 10.0;

/// With time enough for a busy machine, or with the shortest there is.
fn set(farm: &Farm, settings: &[&str]) -> Output {
    set_within(farm, "400", settings)
}

fn set_within(farm: &Farm, within_s: &str, settings: &[&str]) -> Output {
    let data = farm.dir.path().to_str().unwrap();
    let http = farm.gateway().http.clone();
    giot::run(
        &[&["node", "set", NODE, "--data", data, "--http", &http, "--within", within_s], settings].concat(),
    )
}

fn said(out: &Output) -> String {
    giot::text(&out.stdout) + &giot::text(&out.stderr)
}

/// The line of the node in `giot node list`.
fn listed(farm: &Farm) -> String {
    let out = giot::run(&["node", "list", "--data", farm.dir.path().to_str().unwrap()]);
    said(&out).lines().find(|line| line.starts_with(NODE)).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_kept_or_given_back_and_told() {
    let mut farm = Farm::new("automatic = false");
    let kit = farm.kit().at_speed(SPEED);
    kit.install().await;
    let mut node = kit.boot_installed(ResetCause::PowerOn);
    node.until_welcomed().await;
    assert!(listed(&farm).contains(" - "), "{}", listed(&farm));

    let kept = set(&farm, &["health_s=60", "--wait"]);
    assert!(kept.status.success(), "{}", said(&kept));
    assert!(listed(&farm).contains("confirmed"), "{}", listed(&farm));

    // Nobody listens on port 9.
    let lost = set_within(&farm, "20", &["broker=127.0.0.1:9", "--wait"]);
    assert!(!lost.status.success() && said(&lost).contains("did not reach the gateway"), "{}", said(&lost));
    assert!(listed(&farm).contains("given_back (unreachable)"), "{}", listed(&farm));
    node.until_welcomed().await;

    let refused = set(&farm, &["curve.7=2700:0,1200:100", "--wait"]);
    assert!(said(&refused).contains("knows no such setting"), "{}", said(&refused));
    let nonsense = set(&farm, &["broker=giot.local:1883"]);
    assert_eq!(nonsense.status.code(), Some(2), "{}", said(&nonsense));
    assert!(said(&nonsense).contains("the value must be ADDRESS:PORT"), "{}", said(&nonsense));

    // What this board cannot run ends no node: it comes back as it was, and says so.
    let unfit = set(&farm, &["valve.5=latching,60,60", "--wait"]);
    assert!(!unfit.status.success() && said(&unfit).contains("board cannot run by them"), "{}", said(&unfit));
    assert!(listed(&farm).contains("given_back (not_kept)"), "{}", listed(&farm));
    node.until_welcomed().await;

    // What was sent while the node was away reaches it when it comes, also over a restart of the gateway.
    let kit = node.cut_power().await;
    assert!(set(&farm, &["health_s=120"]).status.success());
    assert!(listed(&farm).contains("waiting"), "{}", listed(&farm));
    // What waits is not lost to the next order without a word.
    let second = set(&farm, &["health_s=240"]);
    assert!(!second.status.success() && said(&second).contains("still wait"), "{}", said(&second));
    assert!(said(&second).contains("(health_s)") && said(&second).contains("--replace"), "{}", said(&second));
    assert!(set(&farm, &["health_s=180", "--replace"]).status.success());
    farm.stop();
    farm.restart();
    let _node = kit.boot_installed(ResetCause::PowerOn);
    wait_for("the settings", PATIENCE, || listed(&farm).contains("confirmed").then_some(()));
}
