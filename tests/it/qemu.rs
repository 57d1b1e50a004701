//! The node on an emulated chip against the real gateway: what the simulated boards promise, the firmware image keeps.
//!
//! Run by `tests/run qemu`, which builds the images. The chip's surroundings are in [`giot_tests::qemu`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

use crate::farm::{Farm, NODE, ZONE};
use giot_firmware::probe::modbus::Preset;
use giot_firmware::settings::{
    Input, Installation, MeterPlan, Network, ProbePlan, SupplyPlan, ValveKind, ValvePlan,
};
use giot_gateway::clock::monotonic;
use giot_shared::ids::{ProbeId, ValveId};
use giot_shared::metric::Metric;
use giot_shared::units::Millivolts;
use giot_shared::wire::NodeKey;
use giot_tests::giot::{self, wait_for};
use giot_tests::node::{HARD_MAX_S, Kit, PATIENCE};
use giot_tests::qemu::{Chip, Fault, HOST, PROBE_ADDRESS, PULSE_UL, image};
use std::time::Duration;

/// Ten seconds of the watchdog and a boot.
const WATCHDOG: Duration = Duration::from_secs(30);
/// How late a busy machine may be in noticing that a lease is over.
const LATE: Duration = Duration::from_secs(5);

/// A valve, a Modbus probe and a meter, as an installer would write them down.
fn installation(kit: &Kit) -> Installation {
    let (_, port) = kit.broker.rsplit_once(':').unwrap();
    let mut made = Installation::new(kit.id.clone(), kit.key.clone(), &format!("{HOST}:{port}")).unwrap();
    let mut valve = ValvePlan::new(ValveId(0));
    valve.hard_max_s = HARD_MAX_S;
    made.config.valves.push(valve).unwrap();
    for (number, metric) in [(0, Metric::SoilMoisture), (1, Metric::SoilTemperature)] {
        let mut probe = ProbePlan::new(ProbeId(number), metric);
        probe.valve = Some(ValveId(0));
        (probe.interval_ms, probe.interval_running_ms) = (2000, 1000);
        made.config.probes.push(probe).unwrap();
        let input = Input::Modbus { address: PROBE_ADDRESS, preset: Preset::A };
        made.inputs.push((ProbeId(number), input)).unwrap();
    }
    made.config.meter = Some(MeterPlan { probe: ProbeId(9), microlitres_per_pulse: PULSE_UL });
    made
}

/// A chip that is set up for the farm's node, on and greeted.
fn chip_of(farm: &Farm, image_name: &str, moisture: i32) -> Chip {
    let mut chip = Chip::new(image(image_name), moisture);
    chip.install(&installation(&farm.kit()));
    chip.power_on();
    chip.until_welcomed(PATIENCE);
    chip
}

fn until_open(chip: &Chip, open: bool, limit: Duration) {
    let what = if open { "the relay on" } else { "the relay off" };
    wait_for(what, limit, || (chip.is_open() == open).then_some(()));
}

#[test]
fn a_node_that_nobody_set_up_keeps_closed_and_says_so() {
    let mut chip = Chip::new(image("node"), 2000);
    chip.power_on();
    chip.until_says("not set up", 1, PATIENCE);
    chip.press(1);
    // Longer than the watchdog would wait: it is fed.
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(chip.outputs(), 0);
    assert_eq!(chip.log().matches("boot by").count(), 1, "{}", chip.log());
}

#[test]
fn a_broker_that_it_cannot_reach_by_name_is_told_once() {
    let made = Installation::new(NODE.parse().unwrap(), NodeKey([7; 32]), "giot.local:1883").unwrap();
    let mut chip = Chip::new(image("node"), 2000);
    chip.install(&made);
    chip.power_on();
    chip.until_says("no IPv4 address", 1, PATIENCE);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(chip.log().matches("boot by").count(), 1, "{}", chip.log());
}

#[test]
fn a_dry_zone_is_watered_until_the_soil_is_wet() {
    let farm = Farm::new("lease_min = 1");
    let chip = chip_of(&farm, "node", 2240);
    chip.soil.set_rates(-5, 100);
    until_open(&chip, true, PATIENCE);
    assert!(chip.soil.moisture() < 2200, "it waited until the soil was dry: {}", chip.soil.moisture());
    until_open(&chip, false, PATIENCE);
    let wet = chip.soil.moisture();
    assert!((3000..4500).contains(&wet), "watered to {wet}");

    let closing = farm.until_closing(0);
    assert_eq!(closing.closed_by.as_deref(), Some("commanded"));
    let litres = closing.volume_ml.unwrap();
    assert!(
        litres.abs_diff(closing.run_ms) < 1500,
        "one millilitre a millisecond: {litres} mL in {} ms",
        closing.run_ms
    );
    farm.until_idle();
    let rows = farm.diary();
    let of =
        |event: &str| rows.iter().find(|row| row.entry.event == event).unwrap_or_else(|| panic!("{rows:#?}"));
    assert_eq!(of("started").entry.reason, "soil_dry");
    assert_eq!(of("stopped").entry.reason, "soil_wet");
    assert_eq!(of("stopped").entry.volume_ml, closing.volume_ml, "{rows:#?}");

    // What the probe said is in the history, in both directions and on both metrics.
    let values: Vec<f64> = giot::export(farm.dir.path(), NODE, "soil_moisture")
        .iter()
        .map(|(_, value, quality)| {
            assert_eq!(quality, "good");
            value.parse().unwrap()
        })
        .collect();
    assert!(
        values.iter().any(|value| *value < 22.0) && values.iter().any(|value| *value > 30.0),
        "{values:?}"
    );
    assert_eq!(giot::export(farm.dir.path(), NODE, "soil_temperature_1")[0].1, "24.5");
}

#[test]
fn a_lease_ends_with_the_cable_pulled_and_nothing_is_lost() {
    let farm = Farm::new("lease_min = 0.1\nautomatic = false");
    let chip = chip_of(&farm, "node", 2500);
    farm.start_run(5.0);
    assert!(chip.is_open());
    chip.plug_cable(false);
    let pulled = monotonic();
    until_open(&chip, false, Duration::from_secs(6) + LATE);
    let n_rows = || giot::export(farm.dir.path(), NODE, "soil_moisture").len();
    let (n_before, n_asked) = (n_rows(), chip.soil.n_questions());
    std::thread::sleep(Duration::from_secs(12).saturating_sub(pulled.elapsed()));
    assert!(chip.soil.n_questions() > n_asked, "it goes on measuring");
    chip.plug_cable(true);
    let closing = farm.until_closing(0);
    assert_eq!(closing.closed_by.as_deref(), Some("lease_ended"));
    assert!(!chip.is_open());
    wait_for("what was measured meanwhile", PATIENCE, || (n_rows() > n_before + 3).then_some(()));
    // Each once: times rise, no two are the same.
    let rows = giot::export(farm.dir.path(), NODE, "soil_moisture");
    assert!(rows.windows(2).all(|pair| pair[0].0 < pair[1].0), "{rows:?}");
}

/// Rows of the probe's history: each at its own time, and none missing that the probe answered for, except what was being
/// read or written when a boot ended.
fn check_history(farm: &Farm, chip: &Chip, n_boots: usize) -> usize {
    let n_answered = usize::try_from(chip.soil.n_questions()).unwrap();
    let rows = || giot::export(farm.dir.path(), NODE, "soil_moisture");
    let temperatures = || giot::export(farm.dir.path(), NODE, "soil_temperature_1");
    let what = format!("{n_answered} answers of {n_boots} boots in the history");
    let wanted = n_answered.saturating_sub(n_boots);
    wait_for(&what, PATIENCE, || (rows().len() + temperatures().len() >= wanted).then_some(()));
    let rows = rows();
    assert!(rows.windows(2).all(|pair| pair[0].0 < pair[1].0), "each once, in order: {rows:?}");
    rows.len()
}

/// The epochs that the chip has told, one for each boot that got that far.
fn epochs(chip: &Chip) -> Vec<u32> {
    let log = chip.log();
    let told = log.lines().filter_map(|line| line.split_once("epoch ")?.1.split_once(':')?.0.parse().ok());
    let mut epochs: Vec<u32> = told.collect();
    epochs.dedup();
    epochs
}

#[test]
fn two_resets_without_a_network_lose_nothing() {
    let farm = Farm::new("automatic = false");
    let chip = chip_of(&farm, "node", 2500);
    chip.plug_cable(false);
    for boot in 2..=3 {
        std::thread::sleep(Duration::from_secs(5));
        chip.dip_supply();
        chip.until_says(&format!("epoch {boot}:"), 1, PATIENCE);
    }
    std::thread::sleep(Duration::from_secs(5));
    chip.plug_cable(true);
    chip.until_says("welcomed", 2, PATIENCE);
    let n_rows = check_history(&farm, &chip, 3);
    assert!(n_rows >= 6, "three boots of five seconds, a reading every two: {n_rows}");
    assert_eq!(epochs(&chip), [1, 2, 3]);
}

#[test]
fn power_cuts_at_any_moment_lose_nothing_and_reuse_no_epoch() {
    const N_CUTS: u64 = 6;
    let farm = Farm::new("automatic = false");
    let mut chip = chip_of(&farm, "node", 2500);
    for cut in 0..N_CUTS {
        // From in the middle of a boot to well after the Welcome.
        std::thread::sleep(Duration::from_millis(150 + cut * 450));
        chip.cut_power();
        chip.power_on();
    }
    chip.until_welcomed(PATIENCE);
    check_history(&farm, &chip, 7);
    let epochs = epochs(&chip);
    assert!(epochs.windows(2).all(|pair| pair[0] < pair[1]), "{epochs:?}");
    assert!(!chip.log().contains("panic"), "{}", chip.log());
}

/// Opens the valve, lets the chip fail, and checks that it comes back closed and says why.
fn fails_closed(fault: Fault, reason: &str, limit: Duration) {
    let farm = Farm::new("lease_min = 10\nautomatic = false");
    let chip = chip_of(&farm, "node-faults", 2500);
    farm.start_run(5.0);
    assert!(chip.is_open());
    chip.commit(fault);
    until_open(&chip, false, limit);
    chip.until_says(&format!("boot by {reason}"), 1, PATIENCE);
    chip.until_says("welcomed", 2, PATIENCE);
    assert_eq!(chip.outputs(), 0);
    let closing = farm.until_closing(0);
    assert_eq!(closing.closed_by.as_deref(), Some(reason));
    let opening = farm.valve_events().into_iter().find(|event| event.open).unwrap();
    assert_eq!(closing.command, opening.command, "the run that was cut");
    assert!(closing.epoch > opening.epoch);
}

#[test]
fn a_hang_ends_in_a_reset_by_the_watchdog() {
    fails_closed(Fault::Hang, "watchdog", WATCHDOG);
}

#[test]
fn a_panic_closes_at_once() {
    fails_closed(Fault::Panic, "panic", LATE);
}

#[test]
fn a_falling_supply_closes_before_it_is_too_late() {
    let farm = Farm::new("lease_min = 10\nautomatic = false");
    let mut installation = installation(&farm.kit());
    installation.config.supply = Some(SupplyPlan { brown_out: Millivolts(3300), resume: Millivolts(3500) });
    let mut chip = Chip::new(image("node"), 2500);
    chip.install(&installation);
    chip.set_supply(4000);
    chip.power_on();
    chip.until_welcomed(PATIENCE);
    farm.start_run(5.0);
    chip.set_supply(3200);
    until_open(&chip, false, PATIENCE);
    assert_eq!(farm.until_closing(0).closed_by.as_deref(), Some("brown_out"));
    chip.dip_supply();
    chip.until_says("boot by brown_out", 1, PATIENCE);
    chip.until_says("welcomed", 2, PATIENCE);
}

#[test]
fn a_power_cut_while_water_flows_is_closed_and_told_at_the_next_boot() {
    let farm = Farm::new("lease_min = 10\nautomatic = false");
    let mut chip = chip_of(&farm, "node", 2500);
    farm.start_run(5.0);
    chip.cut_power();
    assert!(chip.is_open(), "the pins' file remembers, as a latching valve would");
    chip.power_on();
    until_open(&chip, false, PATIENCE);
    chip.until_welcomed(PATIENCE);
    assert_eq!(chip.log().matches("boot by power_on").count(), 2, "{}", chip.log());
    assert_eq!(farm.until_closing(0).closed_by.as_deref(), Some("boot"));
}

#[test]
fn a_button_and_an_address_of_its_own_work() {
    let farm = Farm::new("automatic = false");
    let mut installation = installation(&farm.kit());
    installation.network = Network::Static {
        address: "10.0.2.77".parse().unwrap(),
        prefix_len: 24,
        router: HOST.parse().unwrap(),
    };
    let mut chip = Chip::new(image("node"), 2500);
    chip.install(&installation);
    chip.power_on();
    chip.until_welcomed(PATIENCE);
    // The gateway's Close of what it cannot account for after its start comes first.
    farm.until_idle();
    chip.press(1);
    until_open(&chip, true, PATIENCE);
    chip.press(0);
    std::thread::sleep(Duration::from_millis(500));
    assert!(chip.is_open(), "it stays open when the button is let go");
    chip.press(1);
    until_open(&chip, false, PATIENCE);
    assert_eq!(farm.until_closing(0).closed_by.as_deref(), Some("local_button"));
}

#[test]
fn a_latching_valve_gets_one_pulse_at_a_time_and_two_to_close_at_boot() {
    const OPENING: u32 = 1 << 16;
    const CLOSING: u32 = 1 << 17;
    let farm = Farm::new("lease_min = 10\nautomatic = false");
    let mut installation = installation(&farm.kit());
    installation.config.valves[0].kind = ValveKind::Latching;
    let mut chip = Chip::new(image("node"), 2500);
    chip.install(&installation);
    let pulses = chip.watch_outputs();
    chip.power_on();
    chip.until_welcomed(PATIENCE);
    assert_eq!(pulses.seen(), [CLOSING, CLOSING]);
    farm.start_run(5.0);
    wait_for("the opening pulse", PATIENCE, || (pulses.seen().len() == 3).then_some(()));
    assert_eq!(farm.post(&format!("zones/{ZONE}/stop"), "").0, 202);
    farm.until_closing(0);
    farm.until_idle();
    assert_eq!(pulses.seen(), [CLOSING, CLOSING, OPENING, CLOSING]);
    assert_eq!(chip.outputs(), 0, "no coil stays fed");
}
