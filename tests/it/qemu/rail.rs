//! The switched supply of the probes on the RS485 line: on for the readings and for scans, long enough before each question, and off
//! otherwise, whatever ends a boot. The devices here keep silent without it and talk nonsense before they are warm.

use super::{installation, node, said, until_open};
use crate::farm::{Farm, NODE};
use giot_firmware::settings::{Installation, words};
use giot_tests::giot::{self, wait_for};
use giot_tests::node::PATIENCE;
use giot_tests::qemu::{Bank, Chip, Fault, Partition, Pulses, image, is_powered};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// The least time between what the node was told and what the devices need, for a line that looks at their supply now and then.
const SLACK: Duration = Duration::from_millis(500);

/// The node of these tests, whose two probes are read together at this interval.
fn switched(farm: &Farm, warm: Duration, interval_s: u64) -> Installation {
    let mut made = installation(&farm.kit());
    words::set(&mut made, "probe_warm_ms", &warm.as_millis().to_string()).unwrap();
    for probe in &mut made.config.probes {
        (probe.interval_ms, probe.interval_running_ms) = (interval_s * 1000, interval_s * 1000);
    }
    made
}

/// A board for it, off, and what its outputs become.
fn board(image_name: &str, made: &Installation, warm: Duration) -> (Chip, Pulses) {
    let chip = Chip::new(image(image_name), 2500);
    chip.install(made);
    chip.soil.feed_from_board(warm - SLACK);
    let outputs = chip.watch_outputs();
    (chip, outputs)
}

/// When the supply went on or off.
fn switchings(outputs: &Pulses) -> Vec<(Duration, bool)> {
    let mut switchings: Vec<_> =
        outputs.changes().into_iter().map(|(at, out)| (at, is_powered(out))).collect();
    switchings.dedup_by_key(|(_, on)| *on);
    // The outputs are low before the first.
    if switchings.first().is_some_and(|(_, on)| !on) {
        switchings.remove(0);
    }
    switchings
}

/// Waits until the supply is on or off, and whoever watches the outputs has seen it.
fn until_powered(chip: &Chip, outputs: &Pulses, on: bool) {
    let what = if on { "the supply on" } else { "the supply off" };
    let seen = || outputs.changes().last().is_some_and(|(_, out)| is_powered(*out));
    let is_so = || chip.powers_probes() == on && seen() == on;
    let wait = AssertUnwindSafe(|| wait_for(what, PATIENCE, || is_so().then_some(())));
    assert!(catch_unwind(wait).is_ok(), "{}", chip.log());
}

#[test]
fn probes_are_powered_for_their_readings_and_every_reading_is_good() {
    const WARM: Duration = Duration::from_secs(2);
    const INTERVAL: Duration = Duration::from_secs(8);
    let farm = Farm::new("automatic = false");
    let (mut chip, outputs) = board("node", &switched(&farm, WARM, INTERVAL.as_secs()), WARM);
    chip.power_on();
    chip.until_welcomed(PATIENCE);
    wait_for("four rounds", PATIENCE, || (switchings(&outputs).len() >= 8).then_some(()));
    until_powered(&chip, &outputs, false);
    let switchings = switchings(&outputs);
    for pair in switchings.chunks_exact(2) {
        let on_for = pair[1].0 - pair[0].0;
        assert_eq!((pair[0].1, pair[1].1), (true, false), "{switchings:?}");
        assert!((WARM - SLACK..INTERVAL / 2).contains(&on_for), "on for {on_for:?}: {switchings:?}");
    }
    // A round is as long after the one before as it was told, without the warm-up on top.
    let rounds: Vec<Duration> =
        switchings.windows(3).step_by(2).map(|three| three[2].0 - three[0].0).collect();
    assert!(rounds[1..].iter().all(|round| *round < INTERVAL + WARM - SLACK), "{rounds:?}");
    assert_eq!(chip.soil.n_cold(), 0);
    let history = |metric: &str| {
        let rows = || giot::export(farm.dir.path(), NODE, metric);
        wait_for("the history", PATIENCE, || (rows().len() >= 4).then_some(()));
        rows()
    };
    for metric in ["soil_moisture", "soil_temperature_1"] {
        let rows = history(metric);
        assert!(rows.iter().all(|(.., quality)| quality == "good"), "{rows:?}");
    }
}

#[test]
fn a_valve_does_not_wait_for_the_warm_up() {
    const WARM: Duration = Duration::from_secs(6);
    let farm = Farm::new("automatic = false");
    let (mut chip, outputs) = board("node", &switched(&farm, WARM, 20), WARM);
    chip.power_on();
    chip.until_welcomed(PATIENCE);
    farm.until_idle();
    until_powered(&chip, &outputs, false);
    let n_before = outputs.changes().len();
    until_powered(&chip, &outputs, true);
    chip.press(1);
    until_open(&chip, true, PATIENCE);
    chip.press(0);
    // Longer than a bounce.
    std::thread::sleep(Duration::from_millis(300));
    chip.press(1);
    until_open(&chip, false, PATIENCE);
    chip.press(0);
    let changes = outputs.changes().split_off(n_before);
    let (on_at, closed_at) = (changes[0].0, changes[2].0);
    assert_eq!(changes.iter().map(|(_, out)| out & 1).collect::<Vec<_>>(), [0, 1, 0], "{changes:?}");
    assert!(changes.iter().all(|(_, out)| is_powered(*out)), "all of it while it warms up: {changes:?}");
    assert!(closed_at - on_at < WARM - SLACK, "{changes:?}");
    assert_eq!(farm.until_closing(0).closed_by.as_deref(), Some("local_button"));
    assert_eq!(chip.soil.n_cold(), 0);
}

#[test]
fn a_scan_powers_the_line_until_its_end() {
    let farm = Farm::new("automatic = false");
    let mut chip = Chip::new(image("node"), 2500);
    // What the node takes where nobody has said.
    chip.soil.feed_from_board(Duration::from_secs(3) - SLACK);
    let outputs = chip.watch_outputs();
    chip.power_on();
    chip.until_says("not set up", 1, PATIENCE);
    assert!(!chip.powers_probes());
    let port = chip.console().to_str().unwrap().to_owned();
    let found = node(&farm, &["provision", "--port", &port, "--scan", "baud=9600", "addresses=1-3"]);
    assert!(said(&found).contains("map A: soil_moisture"), "{}", said(&found));
    // It has been started for the scan and once more behind it; then it is at its console, where it says the same when it is asked.
    chip.until_says("boot by", 3, PATIENCE);
    let is_at_console =
        || chip.log().rsplit("boot by").next().is_some_and(|boot| boot.contains("not set up"));
    wait_for("its console", PATIENCE, || is_at_console().then_some(()));
    until_powered(&chip, &outputs, false);
    assert_eq!(switchings(&outputs).len(), 2, "{:?}", switchings(&outputs));
    // Whoever has seen enough ends it.
    chip.type_in(b"scan 9600 1-247\n");
    until_powered(&chip, &outputs, true);
    chip.type_in(b"\x03");
    until_powered(&chip, &outputs, false);
    assert_eq!((switchings(&outputs).len(), chip.soil.n_cold()), (4, 0));
}

#[test]
fn whatever_ends_a_boot_leaves_the_supply_off_and_the_next_one_warms_up_anew() {
    const WARM: Duration = Duration::from_secs(4);
    let farm = Farm::new("automatic = false");
    // It is on all the time.
    let made = switched(&farm, WARM, 2);
    let (mut chip, outputs) = board("node-faults", &made, WARM);
    chip.power_on();
    chip.until_welcomed(PATIENCE);
    type End = (&'static str, fn(&mut Chip));
    let ends: [End; 4] = [
        ("panic", |chip| chip.commit(Fault::Panic)),
        ("watchdog", |chip| chip.commit(Fault::Hang)),
        ("brown_out", |chip| chip.dip_supply()),
        ("power_on", |chip| {
            chip.cut_power();
            chip.power_on();
        }),
    ];
    for (number, (cause, end)) in (1..).zip(ends) {
        let n_asked = chip.soil.n_questions();
        wait_for("a reading", PATIENCE, || (chip.soil.n_questions() > n_asked).then_some(()));
        assert_eq!(switchings(&outputs).len(), 2 * number - 1, "{:?}", switchings(&outputs));
        end(&mut chip);
        let again = || (switchings(&outputs).len() == 2 * number + 1).then_some(());
        wait_for(&format!("it off and on after {cause}"), PATIENCE, again);
    }
    let n_asked = chip.soil.n_questions();
    wait_for("a reading", PATIENCE, || (chip.soil.n_questions() > n_asked).then_some(()));
    assert_eq!(chip.soil.n_cold(), 0);
    // A boot without a node leaves it off.
    chip.type_in(b"setup\n");
    chip.until_says("setup was asked for", 1, PATIENCE);
    assert!(!chip.powers_probes());
    chip.type_in(b"reboot\n");
    until_powered(&chip, &outputs, true);
    chip.cut_power();
    assert!(chip.powers_probes(), "the file remembers what it was");
    chip.write_flash(&Bank::empty(Partition::Installation));
    chip.power_on();
    chip.until_says("not set up", 1, PATIENCE);
    assert!(!chip.powers_probes());
}
