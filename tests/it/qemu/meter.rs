//! The water meter of an emulated chip: a contact that bounces, spikes on its cable, and a counter that begins at 0 again. What the node
//! tells in the end is exact.

use super::{chip_with, installation};
use crate::farm::{Farm, NODE, ZONE};
use giot_firmware::settings::ValvePlan;
use giot_shared::ids::ValveId;
use giot_store::ValveEventRow;
use giot_tests::giot::wait_for;
use giot_tests::node::PATIENCE;
use giot_tests::noise::{self, Noise};
use giot_tests::qemu::{Chip, PULSE_UL};
use std::time::Duration;

/// Ends a run a while after its last pulse, and gives what the node tells of it.
fn stop(farm: &Farm, chip: &Chip) -> ValveEventRow {
    std::thread::sleep(Duration::from_millis(300));
    assert!(chip.is_open());
    assert_eq!(farm.post(&format!("zones/{ZONE}/stop"), "").0, 202);
    farm.until_closing(0)
}

/// Flickers of less than 5 ms, as a reed makes them before it rests at a level.
fn bounces(noise: &mut Noise, comes_to_rest: bool) -> Vec<(u32, bool)> {
    let mut us = || u32::from(noise.byte()) * 8 + 20;
    let mut edges = vec![(us(), comes_to_rest)];
    for _ in 0..3 {
        edges.extend([(us(), !comes_to_rest), (us(), comes_to_rest)]);
    }
    edges
}

#[test]
fn a_bouncing_contact_counts_each_pulse_once_and_no_spike() {
    const N_PULSES: u32 = 300;
    let seed = noise::seed();
    println!("GIOT_SEED={seed}");
    let mut noise = Noise::new(seed);
    let farm = Farm::new("lease_min = 10\nautomatic = false");
    let chip = chip_with(&installation(&farm.kit()), |chip| chip.soil.take_counter());
    farm.until_idle();
    // While no water is wanted: a meter that stands still on a cable that does not.
    chip.move_reed([(1_000_000, true), (300, false)]);
    farm.start_run(5.0);
    let mut n_edges = 0;
    for n in 0..N_PULSES {
        // Open for 20 ms and closed for 20, each with its bounces before it, and spikes in the pauses.
        let mut edges = vec![(20_000, true), (u32::from(noise.byte()) * 19, false)];
        edges.push((20_000, true));
        edges.extend(bounces(&mut noise, true));
        edges.push((20_000, false));
        edges.extend(bounces(&mut noise, false));
        n_edges += edges.len();
        chip.move_reed(edges);
        if n % 20 == 19 {
            // The board keeps the last thousand.
            std::thread::sleep(Duration::from_millis(300));
        }
    }
    let closing = stop(&farm, &chip);
    let millilitres = u64::from(N_PULSES * PULSE_UL / 1000);
    println!("{N_PULSES} pulses of {n_edges} edges: {closing:?}");
    assert_eq!(closing.volume_ml, Some(millilitres), "{closing:?}");
}

#[test]
fn a_counter_that_begins_at_0_again_loses_no_water() {
    const N_PULSES: u32 = 1000;
    const BEFORE_THE_END: u32 = 400;
    let farm = Farm::new("lease_min = 10\nautomatic = false");
    let chip = chip_with(&installation(&farm.kit()), |chip| {
        chip.soil.take_counter();
        chip.set_meter(u32::MAX - BEFORE_THE_END);
    });
    farm.until_idle();
    farm.start_run(5.0);
    for n in 1..=N_PULSES {
        chip.set_meter((u32::MAX - BEFORE_THE_END).wrapping_add(n));
        if n % 100 == 0 {
            std::thread::sleep(Duration::from_millis(60));
        }
    }
    let closing = stop(&farm, &chip);
    assert_eq!(closing.volume_ml, Some(u64::from(N_PULSES * PULSE_UL / 1000)), "{closing:?}");
}

/// Two zones and their pump are valves of one node, which has one meter: the zones share its water, the pump has all of it.
#[test]
fn water_of_two_zones_and_their_pump_is_told_once() {
    let zone = |valve: u8| {
        format!(
            "[[zone]]\nid = \"zone-{valve}\"\nsource = \"mains\"\nprobes = []\nflow_l_per_h = 1000\nlease_min = 10\n\
             valve = {{ node = \"{NODE}\", valve = {valve} }}\nmin_off_min = 0\nautomatic = false\n"
        )
    };
    let source = format!(
        "lease_min = 10\nautomatic = false\n[[source]]\nid = \"mains\"\ncapacity_l_per_h = 6000\n\
         [source.pump]\nnode = \"{NODE}\"\nvalve = 3\non_adjust_s = 0\nrun_min_s = 0\noff_min_s = 0\n"
    );
    let farm = Farm::new(&(source + &zone(1) + &zone(2)));
    let mut made = installation(&farm.kit());
    made.config.valves.extend((1..4).map(|valve| ValvePlan::new(ValveId(valve))));
    let chip = chip_with(&made, |chip| chip.soil.take_counter());
    farm.until_idle();
    for valve in [1, 2] {
        let (status, body) = farm.post(&format!("zones/zone-{valve}/start"), "{\"minutes\":5}");
        assert_eq!(status, 202, "{body}");
    }
    let until = |outputs: u32| {
        wait_for("the relays", PATIENCE, || (chip.outputs() == outputs).then_some(()));
    };
    // Longer than the node takes to see the meter.
    let flow = |n_pulses: u32| {
        chip.set_meter(n_pulses);
        std::thread::sleep(Duration::from_millis(500));
    };
    until(0b1110);
    flow(100);
    assert_eq!(farm.post("zones/zone-1/stop", "").0, 202);
    until(0b1100);
    flow(140);
    assert_eq!(farm.post("zones/zone-2/stop", "").0, 202);
    until(0);
    let ml = |n_pulses: u32| Some(u64::from(n_pulses * PULSE_UL / 1000));
    farm.until_closing(2);
    let closings = farm.valve_events().into_iter().filter(|event| !event.open);
    let mut told: Vec<_> = closings.map(|event| (event.valve, event.volume_ml)).collect();
    told.sort_unstable();
    assert_eq!(told, [(1, ml(50)), (2, ml(90)), (3, ml(140))]);
}
