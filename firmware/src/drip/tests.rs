//! The dead-man close by example and as a property over any order of calls (promise P3).

use super::*;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use std::collections::BTreeMap;
use std::vec::Vec;

const HARD_MAX_S: u32 = 1000;

fn drip() -> Drip {
    let plan = |n| ValvePlan { hard_max_s: HARD_MAX_S, ..ValvePlan::new(ValveId(n)) };
    Drip::new(&[plan(0), plan(1)])
}

fn request(valve: u8, run_s: u32, volume_ml: Option<u32>) -> Request {
    Request {
        valve: ValveId(valve),
        run_s,
        volume: volume_ml.map(Millilitres),
        command: Some(CommandId(7)),
        is_outlet: true,
    }
}

fn secs(s: u64) -> UptimeMs {
    UptimeMs(s * 1000)
}

fn opened(run_s: u32, volume_ml: Option<u32>) -> Drip {
    let mut drip = drip();
    drip.open(secs(100), &request(0, run_s, volume_ml), true).expect("granted");
    drip
}

#[test]
fn a_lease_ends_at_its_second_and_not_before() {
    let mut drip = opened(60, None);
    assert_eq!(drip.next_deadline(), Some(secs(160)));
    assert_eq!(drip.expire(UptimeMs(159_999)), None);
    let event = drip.expire(secs(160)).expect("due");
    assert_eq!((event.closed_by, event.run_ms), (Some(CloseReason::LeaseEnded), Some(60_000)));
    assert_eq!(event.command, Some(CommandId(7)));
    assert!(!drip.is_open(ValveId(0)));
    assert_eq!(drip.next_deadline(), None);
}

#[test]
fn renewing_moves_the_lease_but_not_the_hard_maximum() {
    let mut drip = opened(600, None);
    drip.open(secs(600), &request(0, 900, None), true).expect("renewed");
    assert_eq!(drip.next_deadline(), Some(secs(1100)), "hard maximum from the first opening");
    let event = drip.expire(secs(1100)).expect("due");
    assert_eq!(event.closed_by, Some(CloseReason::HardMaximum));
    assert_eq!(event.run_ms, Some(1_000_000));
}

#[test]
fn a_renewal_can_shorten_a_run() {
    let mut drip = opened(600, None);
    drip.open(secs(110), &request(0, 5, None), true).expect("renewed");
    assert_eq!(drip.next_deadline(), Some(secs(115)));
}

#[test]
fn water_ends_a_run() {
    let mut drip = opened(600, Some(10));
    drip.add_water(9_999);
    assert_eq!(drip.expire(secs(110)), None);
    drip.add_water(1);
    let event = drip.expire(secs(110)).expect("enough");
    assert_eq!((event.closed_by, event.volume), (Some(CloseReason::VolumeReached), Some(Millilitres(10))));
}

/// Closes a valve; gives what it was charged with, mL.
fn charged(drip: &mut Drip, valve: u8) -> Option<u32> {
    let event = drip.close(secs(200), ValveId(valve), CloseReason::Commanded)?;
    event.volume.map(|volume| volume.0)
}

#[test]
fn water_of_valves_that_are_open_together_is_told_once() {
    let mut drip = opened(600, None);
    drip.add_water(10_000);
    drip.open(secs(110), &request(1, 600, None), true).expect("granted");
    drip.add_water(7_000);
    drip.add_water(7_000);
    assert_eq!(charged(&mut drip, 0), Some(17));
    drip.add_water(2_000);
    assert_eq!(charged(&mut drip, 1), Some(9));
}

#[test]
fn a_valve_that_feeds_others_has_all_the_water_and_takes_none_of_theirs() {
    let mut drip = opened(600, None);
    drip.open(secs(110), &Request { is_outlet: false, ..request(1, 600, None) }, true).expect("granted");
    drip.add_water(9_000);
    assert_eq!((charged(&mut drip, 0), charged(&mut drip, 1)), (Some(9), Some(9)));
}

#[test]
fn a_volume_limit_goes_by_all_the_water() {
    let mut drip = opened(600, Some(10));
    drip.open(secs(110), &request(1, 600, None), true).expect("granted");
    drip.add_water(10_000);
    let event = drip.expire(secs(120)).expect("it may be its own");
    assert_eq!((event.closed_by, event.volume), (Some(CloseReason::VolumeReached), Some(Millilitres(5))));
}

#[test]
fn what_cannot_be_granted_is_refused() {
    let mut drip = drip();
    for (wish, want) in [
        (request(9, 60, None), RefusalReason::UnknownValve),
        (request(0, 0, None), RefusalReason::LeaseTooLong),
        (request(0, HARD_MAX_S + 1, None), RefusalReason::LeaseTooLong),
        (request(0, u32::MAX, None), RefusalReason::LeaseTooLong),
    ] {
        assert_eq!(drip.open(secs(1), &wish, false).err(), Some(want));
    }
    assert_eq!(drip.next_deadline(), None);
}

#[test]
fn closing_twice_is_one_event() {
    let mut drip = opened(60, None);
    assert!(drip.close(secs(101), ValveId(0), CloseReason::Commanded).is_some());
    assert_eq!(drip.close(secs(101), ValveId(0), CloseReason::Commanded), None);
}

#[derive(Clone, Debug)]
enum Step {
    Open(Request),
    Close(ValveId),
    Water(u32),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let open = (0..3_u8, prop_oneof![0..1200_u32, Just(u32::MAX)], any::<Option<u16>>())
        .prop_map(|(valve, run_s, volume)| Step::Open(request(valve, run_s, volume.map(u32::from))));
    prop_oneof![
        4 => open,
        1 => (0..3_u8).prop_map(|valve| Step::Close(ValveId(valve))),
        1 => any::<u32>().prop_map(Step::Water),
        4 => (0..2_000_000_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The model knows only when a valve was opened first and which leases it was given. A waking loop calls `expire` at
    /// each deadline that the drip names; after that no valve may be open past lease or hard maximum.
    #[test]
    fn no_valve_is_open_past_its_lease(steps in prop::collection::vec(step(), 1..60)) {
        let mut drip = drip();
        let mut now = secs(1);
        let mut began: BTreeMap<ValveId, (UptimeMs, UptimeMs)> = BTreeMap::new();
        for step in steps {
            let until = match step {
                Step::Wait(ms) => now.plus_ms(ms),
                Step::Open(_) | Step::Close(_) | Step::Water(_) => now,
            };
            loop {
                while let Some(event) = drip.expire(now) {
                    prop_assert!(began.remove(&event.valve).is_some(), "closed what was closed");
                }
                for valve in drip.open_valves() {
                    let &(first, lease) = began.get(&valve).expect("an open valve was opened");
                    prop_assert!(now < lease, "open past its lease");
                    prop_assert!(now.since_ms(first) < u64::from(HARD_MAX_S) * 1000, "open past its hard maximum");
                }
                match drip.next_deadline() {
                    Some(at) if at <= until => {
                        prop_assert!(at > now, "a deadline that passed is still there");
                        now = at;
                    }
                    _ => break,
                }
            }
            now = until;
            match step {
                Step::Open(request) => {
                    if drip.open(now, &request, true).is_ok() {
                        let lease = now.plus_ms(u64::from(request.run_s) * 1000);
                        began.entry(request.valve).or_insert((now, lease)).1 = lease;
                    }
                }
                Step::Close(valve) => {
                    let was_open = began.remove(&valve).is_some();
                    let event = drip.close(now, valve, CloseReason::Commanded);
                    prop_assert_eq!(event.is_some(), was_open);
                }
                Step::Water(ml) => drip.add_water(u64::from(ml)),
                Step::Wait(_) => {}
            }
            let open: Vec<ValveId> = drip.open_valves().collect();
            let expected: Vec<ValveId> = began.keys().copied().collect();
            prop_assert_eq!(open, expected);
        }
    }
}
