//! When a node may sleep, when it must not, and what it knows afterwards.

use super::*;
use giot_shared::ids::{Position, ProbeId};
use proptest::prelude::*;
use std::vec::Vec;

const PLAN: SleepPlan = SleepPlan { listen_ms: 3000, patience_ms: 30_000 };

/// Idle, next due in ten minutes, greeted, nothing waiting.
const IDLE: View =
    View { watering: false, busy: false, next_at: Some(UptimeMs(600_000)), welcomed: true, waiting: 0 };
const STRANGER: View = View { welcomed: false, waiting: 3, ..IDLE };
const SENDING: View = View { waiting: 3, ..IDLE };

/// Steps of (uptime, what is seen, verdict).
fn check(contact: bool, steps: &[(u64, View, Verdict)]) {
    let mut sleeper = Sleeper::new(PLAN, contact, UptimeMs(0));
    for (at, view, want) in steps {
        assert_eq!(sleeper.look(UptimeMs(*at), view), *want, "at {at}: {view:?}");
    }
}

fn stay(at: u64) -> Verdict {
    Verdict::Stay(Some(UptimeMs(at)))
}

fn sleep(until: u64) -> Verdict {
    Verdict::Sleep(UptimeMs(until))
}

#[test]
fn it_listens_for_orders_before_it_sleeps() {
    check(true, &[(5000, IDLE, stay(8000)), (7999, IDLE, stay(8000)), (8000, IDLE, sleep(600_000))]);
}

#[test]
fn an_open_valve_keeps_it_awake_and_it_listens_again_afterwards() {
    let busy = View { watering: true, ..IDLE };
    check(
        true,
        &[
            (5000, IDLE, stay(8000)),
            (7000, busy, Verdict::Stay(None)),
            (500_000, busy, Verdict::Stay(None)),
            (510_000, IDLE, stay(513_000)),
            (513_000, IDLE, sleep(600_000)),
        ],
    );
}

#[test]
fn a_sample_on_the_way_is_no_reason_to_sleep_and_none_to_be_more_patient() {
    let busy = |view: View| View { busy: true, ..view };
    check(
        true,
        &[
            (0, STRANGER, stay(30_000)),
            (29_000, busy(STRANGER), Verdict::Stay(None)),
            (31_000, busy(STRANGER), Verdict::Stay(None)),
            (31_000, STRANGER, sleep(600_000)),
        ],
    );
    // What was recorded after a long watch has its own time to be sent.
    let late = View { next_at: Some(UptimeMs(45_000)), ..IDLE };
    check(
        true,
        &[
            (40_000, late, stay(43_000)),
            (43_000, late, stay(45_000)),
            (45_000, busy(SENDING), Verdict::Stay(None)),
            (45_001, SENDING, stay(73_000)),
        ],
    );
}

#[test]
fn an_order_makes_it_listen_again() {
    let mut sleeper = Sleeper::new(PLAN, true, UptimeMs(0));
    assert_eq!(sleeper.look(UptimeMs(5000), &IDLE), stay(8000));
    sleeper.heard();
    assert_eq!(sleeper.look(UptimeMs(7900), &IDLE), stay(10_900));
}

#[test]
fn patience_ends_when_nobody_answers() {
    check(true, &[(0, STRANGER, stay(30_000)), (30_000, STRANGER, sleep(600_000))]);
    assert!(!{
        let mut sleeper = Sleeper::new(PLAN, true, UptimeMs(0));
        sleeper.look(UptimeMs(30_000), &STRANGER);
        sleeper.was_answered()
    });
}

#[test]
fn a_backlog_is_waited_for_while_it_shrinks() {
    let left = |waiting| View { waiting, ..IDLE };
    check(
        true,
        &[
            (0, left(900), stay(30_000)),
            (29_000, left(700), stay(59_000)),
            (58_000, left(10), stay(88_000)),
            (88_000, left(10), sleep(600_000)),
        ],
    );
    check(true, &[(0, SENDING, stay(30_000)), (20_000, IDLE, stay(23_000)), (23_000, IDLE, sleep(600_000))]);
}

#[test]
fn without_radio_it_sleeps_when_its_work_is_done() {
    let busy = View { busy: true, ..STRANGER };
    check(false, &[(0, busy, Verdict::Stay(None)), (900, STRANGER, sleep(600_000))]);
}

#[test]
fn a_sleep_is_neither_too_short_nor_too_long() {
    let due = |at| View { next_at: Some(UptimeMs(at)), ..STRANGER };
    check(false, &[(1000, due(20_999), stay(20_999)), (1000, due(21_000), sleep(21_000))]);
    check(false, &[(1000, due(9_000_000), sleep(3_601_000))]);
    check(false, &[(1000, View { next_at: None, ..STRANGER }, sleep(3_601_000))]);
    // Overdue: it is read first.
    check(false, &[(1000, due(10), stay(10))]);
}

fn carry() -> Carry {
    Carry {
        last: Position { epoch: 7, seq: 41 },
        met: false,
        uptime: UptimeMs(100_000),
        metered_ul: 5_000_000,
        slept_ms: 90_000,
        low_power: true,
        health_in_ms: 3_000_000,
        probes_in_ms: [(ProbeId(0), 600_000), (ProbeId(4), 60_000)].into_iter().collect(),
        n_failed: 2,
        n_to_skip: 1,
    }
}

#[test]
fn an_epoch_that_never_met_the_gateway_goes_on() {
    let woken = carry().wake(600_000);
    assert_eq!(woken.last, Some(Position { epoch: 7, seq: 41 }));
    assert_eq!((woken.uptime_base_ms, woken.metered_ul, woken.slept_ms), (700_000, 5_000_000, 690_000));
    assert_eq!(woken.health_in_ms, 2_400_000);
    assert_eq!(woken.probes_in_ms.as_slice(), [(ProbeId(0), 0), (ProbeId(4), 0)]);
    assert!(woken.low_power && !woken.contact);
}

#[test]
fn an_epoch_that_met_the_gateway_is_followed_by_another() {
    let woken = Carry { met: true, n_to_skip: 0, ..carry() }.wake(59_000);
    assert_eq!((woken.last, woken.uptime_base_ms, woken.metered_ul, woken.slept_ms), (None, 0, 0, 0));
    assert_eq!(woken.probes_in_ms.as_slice(), [(ProbeId(0), 541_000), (ProbeId(4), 1000)]);
    assert!(woken.contact);
}

#[test]
fn nobody_is_looked_for_more_and_more_rarely_and_at_once_again_after_an_answer() {
    let mut state = Carry { n_failed: 0, n_to_skip: 0, ..carry() };
    let mut attempts = Vec::new();
    for wake in 0..40 {
        let contact = state.clone().wake(0).contact;
        if contact {
            attempts.push(wake);
        }
        state.note_contact(contact, false);
    }
    assert_eq!(attempts, [0, 2, 6, 14, 22, 30, 38]);
    state.note_contact(true, true);
    assert_eq!((state.n_failed, state.wake(0).contact), (0, true));
}

#[test]
fn bytes_that_were_spoilt_are_no_carry() {
    let bytes = carry().encode();
    assert_eq!(Carry::decode(&bytes), Some(carry()));
    assert_eq!(Carry::decode(&[0; CARRY_LEN]), None);
    assert_eq!(Carry::decode(&[0xff; CARRY_LEN]), None);
    for bit in 0..8 * CARRY_LEN {
        let mut spoilt = bytes;
        spoilt[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Carry::decode(&spoilt), None, "bit {bit}");
    }
}

proptest! {
    #[test]
    fn any_carry_comes_back(
        epoch: u32, seq: u32, met: bool, low_power: bool, uptime: u64, metered_ul: u64, slept_ms: u64, health: u32,
        probes in proptest::collection::vec((any::<u8>(), any::<u32>()), 0..=crate::settings::PROBES_MAX),
        n_failed: u8, n_to_skip: u8,
    ) {
        let state = Carry {
            last: Position { epoch, seq },
            met,
            uptime: UptimeMs(uptime),
            metered_ul,
            slept_ms,
            low_power,
            health_in_ms: u64::from(health),
            probes_in_ms: probes.into_iter().map(|(probe, ms)| (ProbeId(probe), u64::from(ms))).collect(),
            n_failed,
            n_to_skip,
        };
        prop_assert_eq!(Carry::decode(&state.encode()), Some(state));
    }

    /// Whatever is seen in whatever order: no sleep while busy, none beyond the next sample or the longest sleep.
    #[test]
    fn no_sleep_breaks_a_rule(
        contact: bool,
        looks in proptest::collection::vec(
            (0_u64..60_000, any::<[bool; 3]>(), 0_u32..3, 0_u64..900_000), 1..60,
        ),
    ) {
        let mut sleeper = Sleeper::new(PLAN, contact, UptimeMs(0));
        let mut now = UptimeMs(0);
        for (step_ms, [watering, busy, welcomed], waiting, due_ms) in looks {
            now = now.plus_ms(step_ms);
            let next_at = now.plus_ms(due_ms);
            let view = View { watering, busy, next_at: Some(next_at), welcomed, waiting };
            let awake = watering || busy;
            match sleeper.look(now, &view) {
                Verdict::Sleep(until) => {
                    prop_assert!(!awake && until <= next_at);
                    prop_assert!(until.since_ms(now) >= SLEEP_MS_MIN && until.since_ms(now) <= SLEEP_MS_MAX);
                }
                Verdict::Stay(at) => prop_assert!(awake == at.is_none()),
            }
        }
    }
}
