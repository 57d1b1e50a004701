//! Orders that are too old to be obeyed, by a clock that a slow link set.

use super::*;

#[test]
fn a_slow_welcome_lets_no_order_live_longer() {
    let refused = |way_s: u64, age_ms: u64| {
        let mut rig = Rig::new();
        rig.connect();
        rig.go(at(way_s));
        rig.welcome(Some(UNIX));
        let now = UNIX.plus_ms(rig.now.0);
        let order = Open { issued_at: now.minus_ms(age_ms), ..rig.opening(0, 600) };
        rig.order(Order::Open(order));
        let n_hellos = rig.hellos.len();
        (rig.last_answer().1, n_hellos)
    };
    assert_eq!(refused(0, 30_000), (None, 1));
    assert_eq!(refused(20, 10_000), (None, 1));
    assert_eq!(refused(20, 10_001), (Some(RefusalReason::Expired), 2), "and the time is asked for again");
    assert_eq!(refused(31, 0), (Some(RefusalReason::Expired), 2));
}

#[test]
fn an_expired_order_asks_for_the_time_again() {
    let mut rig = Rig::anchored();
    let order = Open { issued_at: UNIX.minus_ms(3_600_000), ..rig.opening(0, 60) };
    rig.order(Order::Open(order));
    assert_eq!(rig.hellos.len(), 2);
}
