//! Runs from start to stop: thresholds, leases, the window, the source's queue, what the page shows.

use giot_engine::{DayWindow, Reason, SourcePlan, ZoneState};
use giot_shared::units::LitresPerHour;

use crate::farm::{farm, permyriad, probe, zone, zone_of};
use crate::script::{now_at, play};

#[test]
fn a_dry_zone_is_watered_until_it_is_wet() {
    let script = "
        0 ready
        10 read p1 2000
        20 read p1 1999
        > @20 open z1 #2 600s ttl 30s soil_dry
        > @20 z1 started by engine: soil_dry #2
        21 answer #2 ok
        22 opened v1 #2
        > @22 z1 confirmed by engine: soil_dry #2
        320 read p1 2800
        400 read p1 3001
        > @400 z1 stopping by engine: soil_wet #2
        > @400 close z1 #3 soil_wet
        401 answer #3 ok
        402 closed v1 #2 commanded 380
        > @402 z1 stopped by engine: soil_wet #2 380s 380L
        500 read p1 2500
    ";
    play(farm(1), script);
}

#[test]
fn leases_are_renewed_up_to_the_longest_run() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 opened v1 #2
        > @1 z1 confirmed by engine: soil_dry #2
        450 answer #3 ok
        > @450 open z1 #3 600s ttl 30s lease_renewed
        900 answer #4 ok
        > @900 open z1 #4 600s ttl 30s lease_renewed
        1350 answer #5 ok
        > @1350 open z1 #5 415s ttl 30s lease_renewed
        1765 closed v1 #5 lease_ended 1764
        > @1765 z1 stopped by engine: run_time_reached #2 1764s 1764L
        > @1765 z1 skipped by engine: minimum_off
    ";
    play(farm(1), script);
}

#[test]
fn one_source_waters_one_zone_and_the_driest_is_next() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #4 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #4
        1 read p2 1950
        > @1 z2 skipped by engine: source_busy
        2 read p3 1800
        > @2 z3 skipped by engine: source_busy
        3 opened v1 #4
        > @3 z1 confirmed by engine: soil_dry #4
        10 read p1 3100
        > @10 z1 stopping by engine: soil_wet #4
        > @10 close z1 #5 soil_wet
        11 answer #5 ok
        12 closed v1 #4 commanded 9
        > @12 z1 stopped by engine: soil_wet #4 9s 9L
        > @12 open z3 #6 600s ttl 30s soil_dry
        > @12 z3 started by engine: soil_dry #6
        > @12 z2 skipped by engine: source_busy
        13 opened v3 #6
        > @13 z3 confirmed by engine: soil_dry #6
    ";
    play(farm(3), script);
}

/// Zones 1 to 4 take 1000, 2000, 3000 and 500 L/h of a pump that gives 3500.
fn piped_farm() -> giot_engine::Plan {
    let mut plan = farm(4);
    let pump = SourcePlan { capacity: Some(LitresPerHour(3500)), ..SourcePlan::default() };
    plan.sources.insert("pump".parse().unwrap(), pump);
    for (n, flow) in [1000, 2000, 3000, 500].into_iter().enumerate() {
        zone_of(&mut plan, &format!("z{}", n + 1)).flow = Some(LitresPerHour(flow));
    }
    plan
}

#[test]
fn zones_run_together_as_far_as_the_pump_carries_them() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #5 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #5
        1 read p2 1900
        > @1 open z2 #6 600s ttl 30s soil_dry
        > @1 z2 started by engine: soil_dry #6
        2 opened v1 #5
        > @2 z1 confirmed by engine: soil_dry #5
        3 opened v2 #6
        > @3 z2 confirmed by engine: soil_dry #6
        4 read p3 1500
        > @4 z3 skipped by engine: capacity_full
        5 read p4 1950
        > @5 open z4 #7 600s ttl 30s soil_dry
        > @5 z4 started by engine: soil_dry #7
    ";
    play(piped_farm(), script);
}

#[test]
fn a_zone_is_overtaken_only_while_its_patience_lasts() {
    let script = "
        0 ready
        0 read p2 1900
        > @0 open z2 #5 600s ttl 30s soil_dry
        > @0 z2 started by engine: soil_dry #5
        1 opened v2 #5
        > @1 z2 confirmed by engine: soil_dry #5
        2 read p3 1500
        > @2 z3 skipped by engine: capacity_full
        10 read p4 1900
        > @10 open z4 #6 600s ttl 30s soil_dry
        > @10 z4 started by engine: soil_dry #6
        11 opened v4 #6
        > @11 z4 confirmed by engine: soil_dry #6
        50 read p4 3100
        > @50 z4 stopping by engine: soil_wet #6
        > @50 close z4 #7 soil_wet
        51 answer #7 ok
        52 closed v4 #6 commanded 41
        > @52 z4 stopped by engine: soil_wet #6 41s 41L
        80 read p1 1900
        > @80 z1 skipped by engine: capacity_kept
        90 read p2 3100
        > @90 z2 stopping by engine: soil_wet #5
        > @90 close z2 #8 soil_wet
        91 answer #8 ok
        92 closed v2 #5 commanded 91
        > @92 z2 stopped by engine: soil_wet #5 91s 91L
        > @92 open z3 #9 600s ttl 30s soil_dry
        > @92 z3 started by engine: soil_dry #9
        > @92 z1 skipped by engine: capacity_full
    ";
    let mut plan = piped_farm();
    plan.timing.patience_s = 60;
    play(plan, script);
}

#[test]
fn unreliable_probes_stop_a_run() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 opened v1 #2
        > @1 z1 confirmed by engine: soil_dry #2
        60 read p1 bad
        > @60 z1 stopping by engine: faulty_reading #2
        > @60 close z1 #3 faulty_reading
        61 closed v1 #2 commanded 60
        > @61 z1 stopped by engine: faulty_reading #2 60s 60L
        > @61 z1 skipped by engine: faulty_reading
    ";
    play(farm(1), script);
}

#[test]
fn a_reading_that_ages_stops_a_run() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 opened v1 #2
        > @1 z1 confirmed by engine: soil_dry #2
        130 wait
        > @120 z1 stopping by engine: stale_reading #2
        > @120 close z1 #3 stale_reading
        131 closed v1 #2 commanded 120
        > @130 close z1 #4 stale_reading
        > @131 z1 stopped by engine: stale_reading #2 120s 120L
        > @131 z1 skipped by engine: stale_reading
    ";
    play(
        {
            let mut plan = farm(1);
            zone_of(&mut plan, "z1").fresh_s = 120;
            plan
        },
        script,
    );
}

#[test]
fn an_unset_clock_stops_and_starts_nothing() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 opened v1 #2
        > @1 z1 confirmed by engine: soil_dry #2
        60 clock none
        > @60 z1 stopping by engine: clock_unset #2
        > @60 close z1 #3 clock_unset
        61 closed v1 #2 commanded 60
        > @61 z1 stopped by engine: clock_unset #2 60s 60L
        > @61 z1 skipped by engine: clock_unset
        700 read p1 1900
        800 clock +0
        > @800 open z1 #4 600s ttl 30s soil_dry
        > @800 z1 started by engine: soil_dry #4
    ";
    play(farm(1), script);
}

#[test]
fn a_jumping_clock_ages_readings_but_never_renews_them() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 opened v1 #2
        > @1 z1 confirmed by engine: soil_dry #2
        10 clock +7200
        > @10 z1 stopping by engine: stale_reading #2
        > @10 close z1 #3 stale_reading
        11 closed v1 #2 commanded 10
        > @11 z1 stopped by engine: stale_reading #2 10s 10L
        700 clock +0
        > @700 open z1 #4 600s ttl 30s soil_dry
        > @700 z1 started by engine: soil_dry #4
        701 opened v1 #4
        > @701 z1 confirmed by engine: soil_dry #4
        702 lock z1
        > @702 z1 locked by Lan: locked
        > @702 z1 stopping by Lan: locked #4
        > @702 close z1 #5 locked
        703 closed v1 #4 commanded 2
        > @703 z1 stopped by Lan: locked #4 2s 2L
        1000 clock -7200
        3590 unlock z1
        > @3590 z1 unlocked by Lan: unlocked
        > @3590 open z1 #6 600s ttl 30s soil_dry
        > @3590 z1 started by engine: soil_dry #6
        3591 closed v1 #6 commanded 1
        > @3591 z1 stopped by node: closed_by_node #6 1s 1L
        > @3591 z1 skipped by engine: minimum_off
        3601 wait
        > @3600 z1 skipped by engine: stale_reading
    ";
    play(farm(1), script);
}

#[test]
fn the_window_opens_and_closes() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 z1 skipped by engine: outside_window
        600 wait
        > @600 open z1 #2 600s ttl 30s soil_dry
        > @600 z1 started by engine: soil_dry #2
        601 opened v1 #2
        > @601 z1 confirmed by engine: soil_dry #2
        1050 answer #3 ok
        > @1050 open z1 #3 600s ttl 30s lease_renewed
        1200 wait
        > @1200 z1 stopping by engine: outside_window #2
        > @1200 close z1 #4 outside_window
        1201 closed v1 #3 commanded 600
        > @1201 z1 stopped by engine: outside_window #2 600s 600L
        > @1201 z1 skipped by engine: minimum_off
    ";
    play(
        {
            let mut plan = farm(1);
            zone_of(&mut plan, "z1").window = DayWindow::new(7 * 60 + 10, 7 * 60 + 20).unwrap();
            plan
        },
        script,
    );
}

#[test]
fn a_window_may_cross_midnight() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 opened v1 #2
        > @1 z1 confirmed by engine: soil_dry #2
        61 wait
        > @60 z1 stopping by engine: outside_window #2
        > @60 close z1 #3 outside_window
    ";
    play(
        {
            let mut plan = farm(1);
            zone_of(&mut plan, "z1").window = DayWindow::new(22 * 60, 7 * 60 + 1).unwrap();
            plan
        },
        script,
    );
}

#[test]
fn a_zone_with_a_problem_in_its_plan_never_opens() {
    let script = "
        0 ready
        0 read p1 1900
        1 start z1 60
        > @1 z1 refused by Lan: invalid_plan
        2 read p2 1900
        > @2 open z2 #3 600s ttl 30s soil_dry
        > @2 z2 started by engine: soil_dry #3
    ";
    play(
        {
            let mut plan = farm(2);
            zone_of(&mut plan, "z1").lease_s = 3600;
            plan
        },
        script,
    );
}

#[test]
fn a_zone_that_shares_a_valve_keeps_its_hands_off() {
    let script = "
        0 ready
        0 start z2 60
        > @0 z2 refused by Lan: invalid_plan
        1 start z1 60
        > @1 open z1 #3 60s ttl 30s manual_start
        > @1 z1 started by Lan: manual_start #3
        2 opened v1 #3
        > @2 z1 confirmed by Lan: manual_start #3
    ";
    play(
        {
            let mut plan = farm(2);
            let valve = zone_of(&mut plan, "z1").valve.clone();
            zone_of(&mut plan, "z2").valve = valve;
            plan
        },
        script,
    );
}

#[test]
fn a_hand_watered_zone_waits_for_hands() {
    let script = "
        0 ready
        0 read p1 500
        10 start z1 99999
        > @10 open z1 #2 600s ttl 30s manual_start
        > @10 z1 started by Lan: manual_start #2
    ";
    play(
        {
            let mut plan = farm(1);
            zone_of(&mut plan, "z1").automatic = false;
            plan
        },
        script,
    );
}

#[test]
fn readings_on_their_way_after_a_start_are_no_news() {
    let script = "
        0 ready
        10 read p1 1900 3700
        3590 wait
        3601 wait
        > @3600 z1 skipped by engine: stale_reading
    ";
    play(farm(1), script);
}

#[test]
fn a_page_sees_the_last_confirmed_state_and_why() {
    let start = "
        0 ready
        0 read p1 1900
    ";
    let seen = |script: &str, want: &[&str], at_s: u64| {
        let engine = play(farm(2), script);
        let view = engine.zone_view(&zone("z1"), now_at(at_s)).unwrap();
        let why = match &view.state {
            ZoneState::Idle { why }
            | ZoneState::Waiting { why }
            | ZoneState::Open { why, .. }
            | ZoneState::Closing { why, .. }
            | ZoneState::Fault { why } => why.code(),
            ZoneState::Sent { .. }
            | ZoneState::Accepted { .. }
            | ZoneState::Unknown { .. }
            | ZoneState::Locked { .. } => "",
        };
        assert_eq!([view.state.code(), why], want, "{script}");
    };
    let lines = "
        > @0 open z1 #3 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #3
    ";
    let sent = format!("{start}{lines}");
    seen("0 wait", &["unknown", ""], 0);
    seen("0 ready", &["waiting", "no_reading"], 0);
    seen(
        "0 ready
5 read p1 2500",
        &["idle", "soil_moist"],
        5,
    );
    seen(
        "0 ready
5 read p1 2500",
        &["waiting", "stale_reading"],
        3606,
    );
    seen(&sent, &["sent", ""], 0);
    seen(&format!("{sent}1 answer #3 ok"), &["accepted", ""], 1);
    let open = format!(
        "{sent}1 opened v1 #3
> @1 z1 confirmed by engine: soil_dry #3
"
    );
    seen(&open, &["open", "soil_dry"], 1);
    let lock = "2 lock z1
        > @2 z1 locked by Lan: locked
        > @2 z1 stopping by Lan: locked #3
        > @2 close z1 #4 locked
    ";
    seen(&format!("{open}{lock}"), &["closing", "locked"], 2);
    let closed = "3 closed v1 #3 commanded 2
> @3 z1 stopped by Lan: locked #3 2s 2L
";
    seen(&format!("{open}{lock}{closed}"), &["locked", ""], 3);
}

#[test]
fn a_page_sees_each_probe_for_what_it_is_worth() {
    let mut plan = farm(1);
    zone_of(&mut plan, "z1").probes = vec![probe("p1"), probe("p2"), probe("p3")];
    let engine = play(
        plan,
        "
        0 ready
        1 read p1 2400
        2 read p2 2600 60
        3 read p3 bad
    ",
    );
    let view = engine.zone_view(&zone("z1"), now_at(10)).unwrap();
    assert_eq!(view.level, Some(permyriad(2500).into()));
    assert_eq!(view.level_age_ms, Some(68_000));
    let qualities: Vec<_> = view.probes.iter().map(|probe| probe.quality.code()).collect();
    assert_eq!(qualities, ["good", "good", "faulty"]);
    assert!(matches!(view.state, ZoneState::Idle { why: Reason::SoilMoist { .. } }));
    let later = engine.zone_view(&zone("z1"), now_at(3550)).unwrap();
    assert_eq!(later.level, Some(permyriad(2400).into()));
    assert!(matches!(later.state, ZoneState::Waiting { why: Reason::StaleReading { .. } }));
    assert!(engine.zone_view(&zone("z9"), now_at(10)).is_none());
}
