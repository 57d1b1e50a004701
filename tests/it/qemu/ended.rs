//! Whatever ends a node while water flows through a latching valve, the valve is closed: by the node itself where a person ends it at
//! the console, and by the boot after that, whether a node runs in it or not, and whether its installation knows the valve or not.

use super::installation;
use crate::farm::Farm;
use giot_firmware::settings::{Installation, ValveKind};
use giot_tests::giot::wait_for;
use giot_tests::node::PATIENCE;
use giot_tests::qemu::{Bank, Chip, Partition, Pulses, image};
use std::time::Duration;

const OPENING: u32 = 1 << 16;
const CLOSING: u32 = 1 << 17;

/// A node whose latching valve was opened by its button.
struct Watering {
    farm: Farm,
    made: Installation,
    chip: Chip,
    outputs: Pulses,
}

impl Watering {
    fn new() -> Self {
        let farm = Farm::new("automatic = false");
        let mut made = installation(&farm.kit());
        made.config.valves[0].kind = ValveKind::Latching;
        let mut chip = Chip::new(image("node"), 2500);
        chip.install(&made);
        let outputs = chip.watch_outputs();
        chip.power_on();
        chip.until_welcomed(PATIENCE);
        farm.until_idle();
        chip.press(1);
        wait_for("the opening pulse", PATIENCE, || (outputs.seen().last() == Some(&OPENING)).then_some(()));
        chip.press(0);
        Self { farm, made, chip, outputs }
    }

    /// The pulses since the valve was opened, when there were so many and a while has passed.
    fn pulses(&self, n: usize) -> Vec<u32> {
        let since = || {
            let seen = self.outputs.seen();
            let opened = seen.iter().rposition(|outputs| *outputs == OPENING).unwrap();
            seen[opened + 1..].to_vec()
        };
        wait_for("the closing pulses", PATIENCE, || (since().len() >= n).then_some(()));
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(self.chip.outputs(), 0, "no coil stays fed");
        since()
    }
}

#[test]
fn setup_closes_first_and_the_boot_without_a_node_closes_again() {
    let watering = Watering::new();
    watering.chip.type_in(b"setup\n");
    watering.chip.until_says("setup was asked for", 1, PATIENCE);
    assert_eq!(watering.pulses(4), [CLOSING; 4]);
    // The run is told when there is a node again.
    watering.chip.type_in(b"reboot\n");
    assert_eq!(watering.farm.until_closing(0).closed_by.as_deref(), Some("boot"));
    assert_eq!(watering.pulses(6), [CLOSING; 6]);
}

#[test]
fn a_factory_reset_closes_first_and_the_next_boot_closes_what_it_knows_no_more() {
    let watering = Watering::new();
    watering.chip.type_in(b"factory-reset yes\n");
    watering.chip.until_says("not set up", 1, PATIENCE);
    assert_eq!(watering.pulses(4), [CLOSING; 4]);
}

#[test]
fn a_valve_that_is_taken_out_is_closed_by_the_old_plan_and_by_the_next_boot() {
    let watering = Watering::new();
    watering.chip.type_in(b"set valve.0 none\ncommit\nreboot\n");
    watering.chip.until_says("welcomed", 2, PATIENCE);
    assert_eq!(watering.pulses(4), [CLOSING; 4]);
    // Then it is forgotten.
    watering.chip.type_in(b"reboot\n");
    watering.chip.until_says("welcomed", 3, PATIENCE);
    assert_eq!(watering.pulses(4).len(), 4);
}

#[test]
fn a_power_cut_with_an_installation_that_is_lost_or_has_no_valve_closes() {
    let mut watering = Watering::new();
    watering.chip.cut_power();
    watering.chip.write_flash(&Bank::empty(Partition::Installation));
    watering.chip.power_on();
    watering.chip.until_says("not set up", 1, PATIENCE);
    assert_eq!(watering.pulses(2), [CLOSING; 2]);
    watering.chip.cut_power();
    let mut bare = watering.made.clone();
    bare.config.valves.clear();
    watering.chip.install(&bare);
    watering.chip.power_on();
    watering.chip.until_welcomed(PATIENCE);
    assert_eq!(watering.pulses(4), [CLOSING; 4]);
}

#[test]
fn a_power_cut_after_which_nothing_is_readable_closes_every_coil() {
    let mut watering = Watering::new();
    watering.chip.cut_power();
    for partition in [Partition::Installation, Partition::Settings] {
        watering.chip.write_flash(&Bank::spoilt(partition));
    }
    watering.chip.power_on();
    watering.chip.until_says("not set up", 1, PATIENCE);
    let all: Vec<u32> = (0..8).flat_map(|valve| [1 << (17 + 2 * valve); 2]).collect();
    assert_eq!(watering.pulses(all.len()), all);
}

#[test]
fn a_board_that_has_lost_a_device_closes_before_it_begins_anew() {
    for device in ["i6300esb", "pci-serial", "virtio-net-device"] {
        let mut watering = Watering::new();
        watering.chip.cut_power();
        watering.chip.take_out(device);
        watering.chip.power_on();
        watering.chip.until_says(device, 1, PATIENCE);
        assert_eq!(watering.pulses(2)[..2], [CLOSING; 2], "without {device}");
    }
}
