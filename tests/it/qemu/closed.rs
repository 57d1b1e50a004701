//! Whatever fails while water flows: two relays and two latching valves are open together when the chip hangs, panics, loses its
//! supply for a moment, slowly or for good, or its leases end, each time with the network pulled. By the board alone every relay
//! falls and every latching valve gets its closing pulses, one coil at a time; the next boot says why, and the history and the
//! diary tell each run once, with that cause.

use super::{LATE, installation};
use crate::farm::{Farm, NODE, ZONE};
use giot_firmware::settings::{SupplyPlan, ValveKind, ValvePlan};
use giot_shared::ids::ValveId;
use giot_shared::units::Millivolts;
use giot_shared::wire::{Body, Record, ValveEvent};
use giot_store::{DiaryRow, ValveEventRow};
use giot_tests::giot::{self, wait_for};
use giot_tests::node::{HARD_MAX_S, PATIENCE};
use giot_tests::qemu::{Chip, Fault, Partition, Pulses, image};
use std::time::Duration;

/// The valves with a relay come first.
const N_RELAYS: u8 = 2;
const N_VALVES: u8 = 4;
const RELAYS: u32 = (1 << N_RELAYS) - 1;
/// Ten seconds of the watchdog and a boot.
const WATCHDOG: Duration = Duration::from_secs(30);
/// Longest lease that ends here.
const LEASE: Duration = Duration::from_secs(12);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// The loop hangs.
    Hang,
    /// An invariant breaks.
    Panic,
    /// The supply dips for a moment: the chip is reset.
    Dip,
    /// The supply falls while the chip still runs, and then it is reset.
    Fall,
    /// The power is cut and comes back.
    Cut,
    /// Nobody renews the leases.
    Lease,
}

impl Failure {
    const fn image(self) -> &'static str {
        match self {
            Self::Hang | Self::Panic => "node-faults",
            Self::Dip | Self::Fall | Self::Cut | Self::Lease => "node",
        }
    }

    /// What the records and the diary say.
    const fn closed_by(self) -> &'static str {
        match self {
            Self::Hang => "watchdog",
            Self::Panic => "panic",
            Self::Dip | Self::Fall => "brown_out",
            Self::Cut => "boot",
            Self::Lease => "lease_ended",
        }
    }

    /// What the next boot says.
    const fn boot_by(self) -> Option<&'static str> {
        match self {
            Self::Hang => Some("watchdog"),
            Self::Panic => Some("panic"),
            Self::Dip | Self::Fall => Some("brown_out"),
            Self::Cut => Some("power_on"),
            Self::Lease => None,
        }
    }

    /// Whether the node itself ends the runs, and knows how long they were.
    const fn is_measured(self) -> bool {
        matches!(self, Self::Fall | Self::Lease)
    }
}

/// A farm of four zones on one node.
struct Orchard {
    farm: Farm,
    chip: Chip,
    outputs: Pulses,
}

impl Orchard {
    fn new(failure: Failure) -> Self {
        let lease_min = if failure == Failure::Lease { LEASE.as_secs_f64() / 60.0 } else { 10.0 };
        let keys = format!("lease_min = {lease_min}\nautomatic = false\n");
        let more = (1..N_VALVES).map(|valve| {
            format!(
                "[[source]]\nid = \"source-{valve}\"\n[[zone]]\nid = \"{}\"\nsource = \"source-{valve}\"\nprobes = []\n\
                 valve = {{ node = \"{NODE}\", valve = {valve} }}\nstart_below_percent = 22\nstop_above_percent = 30\n\
                 min_off_min = 0\n{keys}",
                zone(valve)
            )
        });
        let farm = Farm::new(&(keys.clone() + &more.collect::<String>()));
        let mut made = installation(&farm.kit());
        for valve in 1..N_VALVES {
            let kind = if valve < N_RELAYS { ValveKind::Relay } else { ValveKind::Latching };
            let plan = ValvePlan { hard_max_s: HARD_MAX_S, kind, ..ValvePlan::new(ValveId(valve)) };
            made.config.valves.push(plan).unwrap();
        }
        made.config.supply = Some(SupplyPlan { brown_out: Millivolts(3300), resume: Millivolts(3500) });
        let mut chip = Chip::new(image(failure.image()), 2500);
        chip.install(&made);
        chip.set_supply(4000);
        let outputs = chip.watch_outputs();
        chip.power_on();
        chip.until_welcomed(PATIENCE);
        Self { farm, chip, outputs }
    }

    /// Opens every valve, as a person at the page would.
    fn open_all(&self) {
        self.until_all(&["idle", "waiting"]);
        for valve in 0..N_VALVES {
            let (status, body) = self.farm.post(&format!("zones/{}/start", zone(valve)), "{\"minutes\":5}");
            assert_eq!(status, 202, "{body}");
        }
        self.until_all(&["open"]);
        assert_eq!(self.chip.outputs(), RELAYS);
        let boot = closing_pulses(2);
        let coils = self.coils();
        assert_eq!(coils[..boot.len()], boot, "at boot");
        let mut opening = coils[boot.len()..].to_vec();
        opening.sort_unstable();
        assert_eq!(opening, latching().map(|valve| coil(valve, true)).collect::<Vec<_>>());
    }

    fn until_all(&self, states: &[&str]) {
        wait_for(&format!("four zones {states:?}"), PATIENCE, || {
            let overview = giot::get(&self.farm.gateway().http, "/api/v1/overview");
            let zones = overview["zones"].as_array().unwrap();
            assert_eq!(zones.len(), usize::from(N_VALVES));
            zones.iter().all(|zone| states.contains(&zone["state"].as_str().unwrap())).then_some(())
        });
    }

    /// The coils that were fed since the board was made, one after the other.
    fn coils(&self) -> Vec<u32> {
        let fed = self.outputs.seen().into_iter().map(|outputs| outputs & !RELAYS);
        let fed: Vec<u32> = fed.filter(|coils| *coils != 0).collect();
        assert!(fed.iter().all(|coils| coils.count_ones() == 1), "two coils at a time: {fed:x?}");
        fed
    }

    /// Waits until so many coils were fed after the first `n_before`, and gives them.
    fn coils_after(&self, n_before: usize, n: usize) -> Vec<u32> {
        let fed = || self.coils().get(n_before..).filter(|coils| coils.len() >= n).map(<[u32]>::to_vec);
        wait_for("the pulses of the coils", PATIENCE, fed)
    }

    /// Lets it fail, and sees every output closed.
    fn fail(&mut self, failure: Failure) {
        let n_before = self.coils().len();
        match failure {
            Failure::Hang => self.chip.commit(Fault::Hang),
            Failure::Panic => self.chip.commit(Fault::Panic),
            Failure::Dip => self.chip.dip_supply(),
            Failure::Fall => self.chip.set_supply(3200),
            Failure::Cut => {
                self.chip.cut_power();
                assert_eq!(self.chip.outputs(), RELAYS, "the pins' file remembers");
                self.chip.power_on();
            }
            Failure::Lease => {}
        }
        let limit = match failure {
            Failure::Hang => WATCHDOG,
            Failure::Lease => LEASE + LATE,
            // The supply is looked at every five seconds.
            Failure::Fall => 2 * LATE,
            Failure::Panic | Failure::Dip | Failure::Cut => LATE,
        };
        wait_for("the relays off", limit, || (self.chip.outputs() & RELAYS == 0).then_some(()));
        // Twice where nobody knows what is left of the supply.
        let wanted = closing_pulses(if failure == Failure::Lease { 1 } else { 2 });
        let mut coils = self.coils_after(n_before, wanted.len());
        if failure == Failure::Lease {
            coils.sort_unstable();
        }
        assert_eq!(coils, wanted);
        if failure == Failure::Fall {
            // A supply that falls faster than that costs the runs their litres.
            let is_end = |record: &Record| matches!(record.body, Body::Valve(ValveEvent { open: false, .. }));
            let n_ends =
                || self.chip.read_flash(Partition::Events).records().values().filter(|r| is_end(r)).count();
            wait_for("the ends in the flash", PATIENCE, || (n_ends() == usize::from(N_VALVES)).then_some(()));
            self.chip.dip_supply();
            assert_eq!(self.coils_after(n_before + wanted.len(), wanted.len()), wanted, "at boot");
        }
    }

    /// The history has one end of each run, with its cause, and so has the diary.
    fn check_told(&self, failure: Failure) {
        let closings = || -> Vec<ValveEventRow> {
            self.farm.valve_events().into_iter().filter(|event| !event.open).collect()
        };
        let is_told = || (closings().len() >= usize::from(N_VALVES)).then_some(());
        wait_for("an end of every run", PATIENCE, is_told);
        self.until_all(&["idle", "waiting", "locked", "fault"]);
        let events = self.farm.valve_events();
        let is_end = |row: &DiaryRow| row.entry.reason == "closed_by_node";
        let diary = wait_for("the ends in the diary", PATIENCE, || {
            let diary = self.farm.diary();
            (diary.iter().filter(|row| is_end(row)).count() >= usize::from(N_VALVES)).then_some(diary)
        });
        for valve in 0..N_VALVES {
            let of_valve = |event: &&ValveEventRow| event.valve == valve;
            let opening = events.iter().filter(of_valve).rfind(|event| event.open).unwrap();
            let closings: Vec<_> = events.iter().filter(of_valve).filter(|event| !event.open).collect();
            let [closing] = closings[..] else { panic!("{events:#?}") };
            assert_eq!(closing.closed_by.as_deref(), Some(failure.closed_by()), "{closing:?}");
            assert_eq!(closing.command, opening.command, "{closing:?}");
            let is_measured = failure.is_measured();
            assert_eq!(closing.epoch > opening.epoch, !is_measured, "{closing:?}");
            assert_eq!((closing.run_ms > 0, closing.volume_ml.is_some()), (is_measured, is_measured));

            let of_zone = diary.iter().map(|row| &row.entry).filter(|entry| entry.zone == Some(zone(valve)));
            let of_zone: Vec<_> = of_zone.collect();
            let n_stopped = of_zone.iter().filter(|entry| entry.event == "stopped").count();
            // After a reset the node's Hello comes before its records: the run is over, and then why.
            let ends: Vec<_> = of_zone.into_iter().filter(|entry| entry.reason == "closed_by_node").collect();
            let ([end], 1) = (&ends[..], n_stopped) else { panic!("{diary:#?}") };
            assert_eq!((end.by.as_str(), end.command), ("node", closing.command), "{end:?}");
            assert!(end.args.contains(failure.closed_by()), "{end:?}");
            assert_eq!(end.volume_ml, closing.volume_ml, "{end:?}");
        }
    }
}

/// The zone of a valve.
fn zone(valve: u8) -> String {
    if valve == 0 { ZONE.to_owned() } else { format!("zone-{valve}") }
}

fn latching() -> std::ops::Range<u8> {
    N_RELAYS..N_VALVES
}

/// The output that feeds a coil of a latching valve.
const fn coil(valve: u8, opens: bool) -> u32 {
    1 << (16 + 2 * valve + if opens { 0 } else { 1 })
}

/// So many closing pulses for each latching valve.
fn closing_pulses(n: usize) -> Vec<u32> {
    latching().flat_map(|valve| std::iter::repeat_n(coil(valve, false), n)).collect()
}

fn check(failure: Failure) {
    let mut orchard = Orchard::new(failure);
    orchard.open_all();
    // No gateway helps.
    orchard.chip.plug_cable(false);
    orchard.fail(failure);
    if let Some(cause) = failure.boot_by() {
        orchard.chip.until_says(&format!("boot by {cause}"), 1, PATIENCE);
    }
    orchard.chip.plug_cable(true);
    orchard.check_told(failure);
    assert_eq!(orchard.chip.outputs(), 0);
}

#[test]
fn a_hang_ends_in_a_reset_by_the_watchdog() {
    check(Failure::Hang);
}

#[test]
fn a_panic_closes_at_once() {
    check(Failure::Panic);
}

#[test]
fn a_supply_that_dips_closes_by_its_reset() {
    check(Failure::Dip);
}

#[test]
fn a_falling_supply_closes_before_it_is_too_late() {
    check(Failure::Fall);
}

#[test]
fn a_power_cut_while_water_flows_is_closed_and_told_at_the_next_boot() {
    check(Failure::Cut);
}

#[test]
fn leases_end_with_the_cable_pulled() {
    check(Failure::Lease);
}
