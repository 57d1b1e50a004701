//! Which valves a boot closes, by the plan that it can read and by what the settings remember.

use super::*;
use crate::board::DriveFault;
use crate::hand_clock::block_on;
use crate::nor::{Nor, Power};
use std::vec::Vec;

fn relay(valve: u8) -> ValvePlan {
    ValvePlan::new(ValveId(valve))
}

fn latching(valve: u8) -> ValvePlan {
    ValvePlan { kind: ValveKind::Latching, ..relay(valve) }
}

fn remembered(valves: &[u8]) -> Nor {
    let flash = Nor::new(2, &Power::default());
    let valves = valves.iter().copied().map(ValveId).collect();
    block_on(async { Settings::open(flash.clone())?.store_latching(&valves).await }).expect("stored");
    flash
}

/// A valve, its kind and its pulses.
type Driven = (u8, ValveKind, u8);

/// Outputs of which those of valve 7 do not follow.
struct Seen<C> {
    has_coils: C,
    driven: Vec<Driven>,
}

impl<C: Fn(ValveId) -> bool> Outputs for Seen<C> {
    fn has_coils(&self, valve: ValveId) -> bool {
        (self.has_coils)(valve)
    }

    async fn drive(&mut self, drive: Drive) -> Result<(), DriveFault> {
        assert!(!drive.open);
        self.driven.push((drive.valve.0, drive.kind, drive.times));
        if drive.valve == ValveId(7) { Err(DriveFault) } else { Ok(()) }
    }
}

/// What a boot without a node drives, and how many of it did not follow.
fn driven<'a>(
    plans: impl Into<Option<&'a [ValvePlan]>>,
    flash: &Nor,
    has_coils: impl Fn(ValveId) -> bool,
) -> (Vec<Driven>, usize) {
    let mut outputs = Seen { has_coils, driven: Vec::new() };
    let n_stuck = block_on(close_without_node(plans.into(), Some(flash.clone()), &mut outputs));
    (outputs.driven, n_stuck)
}

#[test]
fn a_boot_without_a_node_closes_what_is_planned_and_what_was() {
    use ValveKind::{Latching, Relay};
    let any = |_| true;
    let never_ran = Nor::new(2, &Power::default());
    assert_eq!(driven(&[][..], &never_ran, any), (Vec::new(), 0), "it has no valve");
    let plans = &[relay(0), latching(1)][..];
    assert_eq!(driven(plans, &never_ran, any).0, [(0, Relay, 1), (1, Latching, 2)]);
    // The installation is gone, or has another plan.
    let flash = remembered(&[1, 2]);
    assert_eq!(driven(None, &flash, any).0, [(1, Latching, 2), (2, Latching, 2)]);
    assert_eq!(driven(&[][..], &flash, any).0, [(1, Latching, 2), (2, Latching, 2)]);
    assert_eq!(driven(plans, &flash, any).0, [(0, Relay, 1), (1, Latching, 2), (2, Latching, 2)]);
    let relays = &[relay(1)][..];
    assert_eq!(driven(relays, &flash, any).0, [(1, Relay, 1), (1, Latching, 2), (2, Latching, 2)]);
    // A valve of yesterday on the output of a relay.
    assert_eq!(driven(relays, &flash, |valve| valve != ValveId(1)).0, [(1, Relay, 1), (2, Latching, 2)]);
    assert_eq!(driven(&[latching(7)][..], &flash, any).1, 1, "it did not follow");
}

#[test]
fn a_boot_that_can_read_neither_plan_nor_settings_closes_whatever_may_be_a_latching_valve() {
    use ValveKind::{Latching, Relay};
    let spoilt = remembered(&[1]);
    spoilt.scramble();
    let (never_ran, no_pages) = (Nor::new(2, &Power::default()), Nor::new(0, &Power::default()));
    let pairs = |valve: ValveId| valve.0 < 2;
    for flash in [&spoilt, &never_ran, &no_pages] {
        assert_eq!(driven(None, flash, pairs), ([(0, Latching, 2), (1, Latching, 2)].into(), 0));
        assert_eq!(driven(None, flash, |_| false), (Vec::new(), 0), "relays fall with their outputs");
    }
    // Only what an earlier plan had is not known.
    let plans = &[relay(4), latching(1)][..];
    assert_eq!(driven(plans, &no_pages, pairs).0, [(4, Relay, 1), (1, Latching, 2), (0, Latching, 2)]);
    // A node with relays alone ran here: it had none.
    assert_eq!(driven(None, &remembered(&[]), pairs).0, []);
}

#[test]
fn a_node_remembers_its_latching_valves_and_those_that_did_not_close() {
    let valves = |valves: &[u8]| valves.iter().copied().map(ValveId).collect::<Latching>();
    let plans = [relay(0), latching(3), latching(1)];
    assert_eq!(to_remember(&plans, &[]), valves(&[3, 1]));
    assert_eq!(to_remember(&plans, &[ValveId(1), ValveId(2)]), valves(&[3, 1, 2]));
    assert_eq!(to_remember(&[relay(0)], &[]), valves(&[]));
    let all: Vec<ValvePlan> = (0..8).map(latching).collect();
    assert_eq!(to_remember(&all, &[ValveId(9)]).len(), VALVES_MAX, "the plan comes first");
}
