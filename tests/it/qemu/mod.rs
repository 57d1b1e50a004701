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

mod closed;
mod cuts;
mod ended;
mod families;
mod meter;
mod noise;
mod outage;
mod rail;

use crate::farm::{Farm, NODE, ZONE};
use giot_firmware::probe::modbus::Preset;
use giot_firmware::settings::{
    Input, Installation, MeterPlan, Network, ProbePlan, ValveKind, ValvePlan, words,
};
use giot_gateway::clock::monotonic;
use giot_gateway::quality::Quality;
use giot_shared::ids::{ProbeId, ValveId};
use giot_shared::metric::Metric;
use giot_shared::wire::NodeKey;
use giot_tests::giot::{self, wait_for};
use giot_tests::node::{HARD_MAX_S, Kit, PATIENCE};
use giot_tests::qemu::{Chip, HOST, Manner, Neighbour, PROBE_ADDRESS, PULSE_UL, image};
use std::time::Duration;

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

/// The same with other settings, and something done to the board before it is switched on.
fn chip_with(installation: &Installation, prepare: impl FnOnce(&Chip)) -> Chip {
    let mut chip = Chip::new(image("node"), 2500);
    chip.install(installation);
    prepare(&chip);
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

/// A probe on an input that the board does not have would be missing for ever.
#[test]
fn a_board_without_a_probes_input_says_so() {
    for input in ["analog:0", "contact:16:100"] {
        let mut made = Installation::new(NODE.parse().unwrap(), NodeKey([7; 32]), "10.0.2.2:1883").unwrap();
        let metric = if input == "analog:0" { "soil_moisture" } else { "tank_float" };
        words::set(&mut made, "probe.0", &format!("{metric},{input},600,60")).unwrap();
        let mut chip = Chip::new(image("node"), 2000);
        chip.install(&made);
        chip.power_on();
        chip.until_says("this board reads", 1, PATIENCE);
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(chip.log().matches("boot by").count(), 1, "{}", chip.log());
    }
}

#[test]
fn a_dry_zone_is_watered_until_the_soil_is_wet() {
    let farm = Farm::new("lease_min = 1");
    let chip = chip_of(&farm, "node", 2240);
    chip.soil.set_rates(-5, 100);
    until_open(&chip, true, PATIENCE);
    // The soil is getting wetter already.
    assert!(chip.soil.driest() < 2200, "it waited until the soil was dry: {}", chip.soil.driest());
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
    assert!(is_in_order(&rows), "{rows:?}");
}

/// Whether each has its own time, later than the one before. A whole second is written without decimals: the Z is no part of the order.
fn is_in_order(rows: &[(String, String, String)]) -> bool {
    rows.windows(2).all(|pair| pair[0].0.trim_end_matches('Z') < pair[1].0.trim_end_matches('Z'))
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
    assert!(is_in_order(&rows), "each once, in order: {rows:?}");
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

/// Eight devices that nobody has connected are asked all the time, one of them for each of its three values.
#[test]
fn orders_and_leases_do_not_wait_for_silent_devices_on_the_line() {
    const N_STOPS: u64 = 8;
    let farm = Farm::new("lease_min = 0.1\nautomatic = false");
    let mut made = installation(&farm.kit());
    let metrics = [Metric::SoilMoisture, Metric::SoilTemperature, Metric::SoilEc];
    let silent = (100..107).zip(metrics.into_iter().cycle()).chain(metrics.map(|metric| (107, metric)));
    for (number, (address, metric)) in (10..).zip(silent) {
        words::set(
            &mut made,
            &format!("probe.{number}"),
            &format!("{},modbus:{address}:A,1,1", metric.name()),
        )
        .unwrap();
    }
    let chip = chip_with(&made, |_| {});
    let outputs = chip.watch_outputs();
    let took: Vec<Duration> = (0..N_STOPS)
        .map(|stop| {
            farm.start_run(5.0);
            assert!(chip.is_open());
            // Somewhere in the two seconds that the line waits for one of them.
            std::thread::sleep(Duration::from_millis(1000 + 270 * stop));
            let asked_at = chip.age();
            assert_eq!(farm.post(&format!("zones/{ZONE}/stop"), "").0, 202);
            let closed_at = wait_for("the relay off", PATIENCE, || {
                let last = outputs.changes().last().copied();
                last.filter(|(_, outputs)| *outputs == 0).map(|(at, _)| at)
            });
            farm.until_idle();
            closed_at.saturating_sub(asked_at)
        })
        .collect();
    println!("stopped after {took:?}");
    assert!(took.iter().all(|took| *took < Duration::from_millis(1000)), "{took:?}");

    farm.start_run(5.0);
    chip.plug_cable(false);
    until_open(&chip, false, Duration::from_secs(6) + LATE);
    chip.plug_cable(true);
    let closing = farm.until_closing(usize::try_from(N_STOPS).unwrap());
    println!("ended by its lease after {} ms", closing.run_ms);
    assert_eq!(closing.closed_by.as_deref(), Some("lease_ended"));
    // Renewed once at most before the cable was pulled.
    assert!((6000..12_500).contains(&closing.run_ms), "{closing:?}");

    // All that is silent is missing, and the one device that answers is read in between.
    let reader = farm.reader();
    wait_for("what is missing", PATIENCE, || {
        let of = |metric: &str, number: usize| outage::rows(&reader, &format!("{metric}_{number}"));
        (of("soil_moisture", 17).len() > 1 && of("soil_ec", 19).len() > 1).then_some(())
    });
    let values = outage::rows(&reader, "soil_moisture");
    assert!(values.len() > 10 && values.iter().all(|(.., quality)| *quality == Quality::Good), "{values:?}");
}

/// `giot node …` in a farm's data folder.
fn node(farm: &Farm, args: &[&str]) -> std::process::Output {
    let data = farm.dir.path().to_str().unwrap();
    giot::run(&[&["node", args[0], "--data", data], &args[1..]].concat())
}

fn said(out: &std::process::Output) -> String {
    giot::text(&out.stdout) + &giot::text(&out.stderr)
}

#[test]
fn a_node_from_the_shop_is_set_up_over_its_cable_and_joins() {
    let farm = Farm::new("automatic = false");
    let mut chip = Chip::new(image("node"), 2500);
    chip.power_on();
    chip.until_says("not set up", 1, PATIENCE);
    let port = chip.console().to_str().unwrap().to_owned();
    families::connect_families(&chip, 2);
    // Who is on the line is known before anything is set up.
    let found = node(&farm, &["provision", "--port", &port, "--scan", "baud=9600"]);
    // The soil begins at 25 % and dries.
    let (full, drier) = ("map A: soil_moisture 25.00 %", "map A: soil_moisture 24.");
    assert!(said(&found).contains(full) || said(&found).contains(drier), "{}", said(&found));
    for line in [
        "scanning at 9600 baud",
        "9600 baud, address 3, map B: soil_moisture 4.50 %, soil_temperature -10.10",
        "address 3, function 3, from register 0x0010: 0000 0000 002D FF9B 0000 03E8 0000 0000",
        "address 5, function 3, from register 0x0000: 0292 FF9B 2710 0038 0089 002D 00D2 ----",
        "address 4, map C: soil_temperature -10.10",
        "address 5, map D: soil_moisture 65.80 %, soil_temperature -10.10",
    ] {
        assert!(said(&found).contains(line), "{line} in {}", said(&found));
    }
    // So is one beyond the usual addresses; this line carries no parity, and the port takes any.
    chip.soil.connect(Neighbour { address: 246, registers: (0, vec![512, 245, 30]), manner: Manner::Plain });
    let elsewhere = ["baud=9600", "parity=even", "addresses=244-247"];
    let found = node(&farm, &[&["provision", "--port", &port, "--scan"], &elsewhere[..]].concat());
    for line in ["scanning at 9600 baud, even parity", "9600 baud, address 246, map A: soil_moisture 51.20 %"]
    {
        assert!(said(&found).contains(line), "{line} in {}", said(&found));
    }
    assert!(!said(&found).contains("address 3"), "{}", said(&found));
    let (_, mqtt_port) = farm.mqtt.rsplit_once(':').unwrap();
    let broker = format!("{HOST}:{mqtt_port}");
    let settings = [
        "valve.0=relay,7200,600",
        "probe.0=soil_moisture,modbus:1:A,2,1,0",
        "probe.1=soil_temperature,modbus:1:A,2,1",
        "meter=9,10000",
        "parity=even",
    ];
    let wrong = node(&farm, &["provision", "--port", &port, "--node", NODE, "--broker", "giot.local:1883"]);
    assert!(said(&wrong).contains("the value must be ADDRESS:PORT"), "{}", said(&wrong));
    assert!(!wrong.status.success());
    let told = node(
        &farm,
        &[&["provision", "--port", &port, "--node", NODE, "--broker", &broker], &settings[..]].concat(),
    );
    assert!(told.status.success(), "{}\n{}", said(&told), chip.log());
    assert!(said(&told).contains("v01 is set up and runs"), "{}", said(&told));
    chip.until_welcomed(PATIENCE);
    let shown = node(&farm, &["provision", "--port", &port, "--show"]);
    for line in
        ["node=v01", "valve.0=relay,7200,600", "parity=even", &format!("broker={broker}"), "key_digest="]
    {
        assert!(said(&shown).contains(line), "{line} in {}", said(&shown));
    }
    assert!(!said(&shown).contains(&farm.kit().key.0.iter().map(|b| format!("{b:02x}")).collect::<String>()));
    // It works: a run is opened, metered and closed.
    farm.start_run(5.0);
    assert!(chip.is_open());
    // Time for the meter's first pulse.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(farm.post(&format!("zones/{ZONE}/stop"), "").0, 202);
    let closing = farm.until_closing(0);
    assert!(closing.volume_ml.unwrap() > 0, "{closing:?}");
    until_open(&chip, false, PATIENCE);
    // Forgotten again.
    let n_before = chip.log().matches("not set up").count();
    chip.type_in(b"factory-reset yes\n");
    chip.until_says("not set up", n_before + 1, PATIENCE);
}

/// The last settings of the node as `giot node list` shows them.
fn settings_of(farm: &Farm) -> String {
    let listed = said(&node(farm, &["list"]));
    listed.lines().find(|line| line.starts_with(NODE)).unwrap_or_default().to_owned()
}

#[test]
fn settings_over_the_air_are_kept_when_they_work_and_given_back_when_not() {
    let farm = Farm::new("automatic = false");
    let chip = chip_of(&farm, "node", 2500);
    let http = farm.gateway().http.clone();
    let set = |settings: &[&str]| {
        node(&farm, &[&["set", NODE, "--http", &http, "--within", "20"], settings].concat())
    };
    let kept = set(&["health_s=60", "probe.0=soil_moisture,modbus:1:A,1,1,0", "--wait"]);
    assert!(kept.status.success(), "{}\n{}", said(&kept), chip.log());
    assert!(settings_of(&farm).contains("confirmed"), "{}", settings_of(&farm));
    // A broker that is nobody: the node goes back by itself, and says so.
    let lost = set(&["broker=10.0.2.2:9", "--wait"]);
    assert!(said(&lost).contains("did not reach the gateway"), "{}\n{}", said(&lost), chip.log());
    assert!(settings_of(&farm).contains("given_back (unreachable)"), "{}", settings_of(&farm));
    // A reset in the middle of a trial ends it.
    let sent = set(&["broker=10.0.2.2:9"]);
    assert!(sent.status.success(), "{}", said(&sent));
    let n_boots = chip.log().matches("boot by software").count();
    chip.until_says("boot by software", n_boots + 1, PATIENCE);
    chip.until_says("broker 10.0.2.2:9", 2, PATIENCE);
    chip.dip_supply();
    wait_for("the outcome", PATIENCE, || settings_of(&farm).contains("given_back (reset)").then_some(()));
    // What this board cannot run ends no node and waits for nobody: it comes back as it was.
    let n_boots = chip.log().matches("boot by software").count();
    let unfit = set(&["valve.9=latching,60,60", "--wait"]);
    assert!(said(&unfit).contains("board cannot run by them"), "{}\n{}", said(&unfit), chip.log());
    assert!(settings_of(&farm).contains("given_back (not_kept)"), "{}", settings_of(&farm));
    assert!(
        chip.log().contains("this board drives valves 0 to 7: the settings from over the air are given back")
    );
    assert_eq!(chip.log().matches("boot by software").count(), n_boots + 2, "to try, and back");
    // What no node takes is said at once; what this node does not take, by the node.
    let nonsense = set(&["colour=red"]);
    assert!(said(&nonsense).contains("colour=red: no such setting"), "{}", said(&nonsense));
    let refused = set(&["curve.7=2700:0,1200:100", "--wait"]);
    assert!(said(&refused).contains("knows no such setting"), "{}", said(&refused));
    // Not while water flows: it is said again when the valve closes.
    farm.start_run(5.0);
    assert!(set(&["health_s=120"]).status.success());
    std::thread::sleep(Duration::from_secs(2));
    assert!(chip.is_open() && settings_of(&farm).contains("waiting"), "{}", settings_of(&farm));
    assert_eq!(farm.post(&format!("zones/{ZONE}/stop"), "").0, 202);
    wait_for("the settings", PATIENCE, || settings_of(&farm).contains("confirmed").then_some(()));
    // Everything is still told, each reading once.
    let rows = giot::export(farm.dir.path(), NODE, "soil_moisture");
    assert!(is_in_order(&rows), "{rows:?}");
}

#[test]
fn switches_a_rain_gauge_and_a_battery_are_in_the_history() {
    let farm = Farm::new("automatic = false");
    let mut installation = installation(&farm.kit());
    words::set(&mut installation, "probe.2", "tank_float,contact:0:200,3600,3600").unwrap();
    words::set(&mut installation, "probe.3", "pressure_switch,contact:3:0:inverted,3600,3600").unwrap();
    words::set(&mut installation, "probe.4", "rain,tips:0:200,2,2").unwrap();
    words::set(&mut installation, "battery", "lifepo4,4,300,100").unwrap();
    let mut chip = Chip::new(image("node"), 2500);
    chip.install(&installation);
    // A quarter of 13.2 V.
    chip.set_supply(3300);
    chip.power_on();
    chip.until_welcomed(PATIENCE);
    // Nothing of a series that has not come yet.
    let values = |metric: &str| -> Vec<f64> {
        let rows = giot::exported(farm.dir.path(), NODE, metric).unwrap_or_default();
        rows.iter().map(|(_, value, _)| value.parse().unwrap()).collect()
    };
    let until = |metric: &str, want: &[f64]| {
        wait_for(&format!("{metric} {want:?}"), PATIENCE, || (values(metric) == want).then_some(()));
    };
    until("tank_float_2", &[0.0]);
    until("pressure_switch_3", &[1.0]);
    chip.close_contacts(0b1001);
    until("tank_float_2", &[0.0, 1.0]);
    until("pressure_switch_3", &[1.0, 0.0]);
    chip.tip(5);
    let rain = || values("rain_4").iter().sum::<f64>();
    wait_for("five tips", PATIENCE, || (rain() > 0.99).then_some(()));
    assert!((rain() - 1.0).abs() < 1e-9, "five tips of 0.2 mm: {}", rain());
    assert_eq!(values("battery"), [13_200.0]);
    assert_eq!(values("battery_charge"), [60.0]);
}

/// The number that stands before `unit` in the last line of the log that holds `what`.
fn figure(chip: &Chip, what: &str, unit: &str) -> u64 {
    let log = chip.log();
    let line =
        log.lines().rev().find(|line| line.contains(what)).unwrap_or_else(|| panic!("no {what}: {log}"));
    let before = line.split(unit).next().unwrap();
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty());
    digits.unwrap_or_else(|| panic!("no number before {unit}: {line}")).parse().unwrap()
}

/// The most that any line of the log tells of the stack, bytes.
fn stack_peak(chip: &Chip) -> u64 {
    let log = chip.log();
    let told =
        log.lines().filter_map(|line| line.split_once("stack peak ")?.1.split_once(' ')?.0.parse().ok());
    told.max().unwrap_or_else(|| panic!("no stack peak: {log}"))
}

/// Prints what the README tells of the image, and holds the stack against its bound.
#[test]
fn figures_of_the_image() {
    /// A seventh of an ESP32-C3's 400 KiB of RAM.
    const STACK_MAX: u64 = 57 << 10;
    /// Ten times what a quiet machine needs for either.
    const DELIVERY_S_MAX: f64 = 3.0;
    const LATENCY_US_MAX: u64 = 200_000;
    let farm = Farm::new("automatic = false");
    let chip = chip_of(&farm, "node", 2500);
    chip.until_says("first record acknowledged", 1, PATIENCE);
    let log = chip.log();
    let acknowledged = log.lines().find(|line| line.contains("first record acknowledged")).unwrap();
    let since_power_on: f64 = acknowledged.trim().split(' ').next().unwrap().parse().unwrap();
    farm.start_run(5.0);
    chip.until_says("valve 0 opens", 1, PATIENCE);
    let latency_us = figure(&chip, "valve 0 opens", " us after");
    assert_eq!(farm.post(&format!("zones/{ZONE}/stop"), "").0, 202);
    farm.until_closing(0);
    // A change of settings and the trial of it go deepest.
    let http = farm.gateway().http.clone();
    let set = node(&farm, &["set", NODE, "--http", &http, "health_s=60", "--wait"]);
    assert!(set.status.success(), "{}\n{}", said(&set), chip.log());
    chip.until_says("first record acknowledged", 2, PATIENCE);
    let stack = stack_peak(&chip);
    let told = format!(
        "peak stack {stack} bytes of at most {STACK_MAX}; power-on to first acknowledged record {since_power_on:.3} s; \
         last packet of a command to its valve {latency_us} us"
    );
    println!("{told}");
    if let Some(file) = std::env::var_os("GIOT_QEMU_FIGURES") {
        std::fs::write(file, format!("{told}\n")).unwrap();
    }
    assert!(stack > 1000 && stack <= STACK_MAX, "{stack} bytes of stack");
    assert!(since_power_on < DELIVERY_S_MAX && latency_us < LATENCY_US_MAX, "{told}");
}

#[test]
fn power_that_fails_in_the_middle_of_a_flash_word_loses_nothing() {
    // In a boot before it has its epoch, while it takes it, at the first records, at later ones.
    const WORDS: [u32; 9] = [1, 2, 4, 7, 11, 18, 30, 47, 75];
    let farm = Farm::new("automatic = false");
    let mut chip = chip_of(&farm, "node-faults", 2500);
    chip.cut_power();
    for n in WORDS {
        chip.fail_at_word(n, PATIENCE);
        assert_eq!(chip.outputs(), 0);
    }
    chip.power_on();
    chip.until_welcomed(PATIENCE);
    check_history(&farm, &chip, WORDS.len() + 2);
    let epochs = epochs(&chip);
    assert!(epochs.windows(2).all(|pair| pair[0] < pair[1]), "{epochs:?}");
    assert!(!chip.log().contains("panic"), "{}", chip.log());
}
