//! What the engine does, told as scripts; each is one rule.

use giot_engine::{DayWindow, Plan, Reason, ZonePlan, ZoneState};

use crate::farm::{farm, permyriad, probe, zone};
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
fn a_person_waters_without_readings_or_clock() {
    let script = "
        0 ready
        5 clock none
        > @5 z1 skipped by engine: clock_unset
        10 start z1 300
        > @10 open z1 #2 300s ttl 30s manual_start
        > @10 z1 started by Lan: manual_start #2
        11 opened v1 #2
        > @11 z1 confirmed by Lan: manual_start #2
        311 closed v1 #2 lease_ended 300
        > @311 z1 stopped by engine: run_time_reached #2 300s 300L
        > @311 z1 skipped by engine: clock_unset
    ";
    play(farm(1), script);
}

#[test]
fn a_person_stops_and_automatic_watering_rests() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 opened v1 #2
        > @1 z1 confirmed by engine: soil_dry #2
        60 stop z1
        > @60 z1 stopping by Lan: manual_stop #2
        > @60 close z1 #3 manual_stop
        61 closed v1 #2 commanded 60
        > @61 z1 stopped by Lan: manual_stop #2 60s 60L
        700 read p1 1890
        3661 wait
        > @3660 open z1 #4 600s ttl 30s soil_dry
        > @3660 z1 started by engine: soil_dry #4
    ";
    play(farm(1), script);
}

#[test]
fn without_answer_a_command_is_sent_again_and_then_the_zone_rests() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        40 wait
        > @10 open z1 #3 600s ttl 30s soil_dry
        > @20 open z1 #4 600s ttl 30s soil_dry
        > @30 z1 fault by engine: command_unanswered
        > @30 z1 stopping by engine: command_unanswered #2
        > @30 close z1 #5 command_unanswered
        > @40 close z1 #6 command_unanswered
        100 wait
        > @60 close z1 #7 command_unanswered
        > @100 close z1 #8 command_unanswered
        700 wait
        > @160 close z1 #9 command_unanswered
        > @220 close z1 #10 command_unanswered
        > @280 close z1 #11 command_unanswered
        > @340 close z1 #12 command_unanswered
        > @400 close z1 #13 command_unanswered
        > @460 close z1 #14 command_unanswered
        > @520 close z1 #15 command_unanswered
        > @580 close z1 #16 command_unanswered
        > @640 close z1 #17 command_unanswered
        > @667 z1 stopped by engine: command_unanswered #2
        > @667 z1 skipped by engine: minimum_off
        1200 wait
        1400 wait
        > @1267 open z1 #18 600s ttl 30s soil_dry
        > @1267 z1 started by engine: soil_dry #18
        > @1277 open z1 #19 600s ttl 30s soil_dry
        > @1287 open z1 #20 600s ttl 30s soil_dry
        > @1297 z1 fault by engine: command_unanswered
        > @1297 z1 stopping by engine: command_unanswered #18
        > @1297 close z1 #21 command_unanswered
        > @1307 close z1 #22 command_unanswered
        > @1327 close z1 #23 command_unanswered
        > @1367 close z1 #24 command_unanswered
        3000 wait
        > @1427 close z1 #25 command_unanswered
        > @1487 close z1 #26 command_unanswered
        > @1547 close z1 #27 command_unanswered
        > @1607 close z1 #28 command_unanswered
        > @1667 close z1 #29 command_unanswered
        > @1727 close z1 #30 command_unanswered
        > @1787 close z1 #31 command_unanswered
        > @1847 close z1 #32 command_unanswered
        > @1907 close z1 #33 command_unanswered
        > @1934 z1 stopped by engine: command_unanswered #18
        > @1934 z1 skipped by engine: minimum_off
        > @2534 open z1 #34 600s ttl 30s soil_dry
        > @2534 z1 started by engine: soil_dry #34
        > @2544 open z1 #35 600s ttl 30s soil_dry
        > @2554 open z1 #36 600s ttl 30s soil_dry
        > @2564 z1 fault by engine: command_unanswered
        > @2564 z1 stopping by engine: command_unanswered #34
        > @2564 close z1 #37 command_unanswered
        > @2574 close z1 #38 command_unanswered
        > @2594 close z1 #39 command_unanswered
        > @2634 close z1 #40 command_unanswered
        > @2694 close z1 #41 command_unanswered
        > @2754 close z1 #42 command_unanswered
        > @2814 close z1 #43 command_unanswered
        > @2874 close z1 #44 command_unanswered
        > @2934 close z1 #45 command_unanswered
        > @2994 close z1 #46 command_unanswered
        3590 read p1 1800
        > @3054 close z1 #47 command_unanswered
        > @3114 close z1 #48 command_unanswered
        > @3174 close z1 #49 command_unanswered
        > @3201 z1 stopped by engine: command_unanswered #34
        > @3201 z1 skipped by engine: unresolved_fault
        3600 wait
    ";
    play(farm(1), script);
}

#[test]
fn a_third_failure_waits_for_a_person() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        30 answer #5 ok
        > @10 open z1 #3 600s ttl 30s soil_dry
        > @20 open z1 #4 600s ttl 30s soil_dry
        > @30 z1 fault by engine: command_unanswered
        > @30 z1 stopping by engine: command_unanswered #2
        > @30 close z1 #5 command_unanswered
        > @30 z1 stopped by engine: command_unanswered #2
        > @30 z1 skipped by engine: quarantined
        631 read p1 1890
        > @330 z1 skipped by engine: minimum_off
        > @630 open z1 #6 600s ttl 30s soil_dry
        > @630 z1 started by engine: soil_dry #6
        661 answer #9 ok
        > @640 open z1 #7 600s ttl 30s soil_dry
        > @650 open z1 #8 600s ttl 30s soil_dry
        > @660 z1 fault by engine: command_unanswered
        > @660 z1 stopping by engine: command_unanswered #6
        > @660 close z1 #9 command_unanswered
        > @661 z1 stopped by engine: command_unanswered #6
        > @661 z1 skipped by engine: quarantined
        1262 read p1 1880
        > @1260 z1 skipped by engine: minimum_off
        > @1261 open z1 #10 600s ttl 30s soil_dry
        > @1261 z1 started by engine: soil_dry #10
        1292 answer #13 ok
        > @1271 open z1 #11 600s ttl 30s soil_dry
        > @1281 open z1 #12 600s ttl 30s soil_dry
        > @1291 z1 fault by engine: command_unanswered
        > @1291 z1 stopping by engine: command_unanswered #10
        > @1291 close z1 #13 command_unanswered
        > @1292 z1 stopped by engine: command_unanswered #10
        > @1292 z1 skipped by engine: unresolved_fault
        2500 read p1 1870
        9000 start z1 60
        > @6100 z1 skipped by engine: stale_reading
        > @9000 z1 refused by Lan: unresolved_fault
        9001 clear z1
        > @9001 z1 cleared by Lan: fault_cleared
        > @9001 z1 skipped by engine: stale_reading
        9002 start z1 60
        > @9002 open z1 #14 60s ttl 30s manual_start
        > @9002 z1 started by Lan: manual_start #14
    ";
    play(farm(1), script);
}

#[test]
fn an_accepted_open_without_report_is_closed() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        2 answer #2 ok
        20 answer #3 ok
        > @17 z1 fault by engine: valve_not_confirmed
        > @17 z1 stopping by engine: valve_not_confirmed #2
        > @17 close z1 #3 valve_not_confirmed
        > @20 z1 stopped by engine: valve_not_confirmed #2
        > @20 z1 skipped by engine: quarantined
        21 wait
    ";
    play(farm(1), script);
}

#[test]
fn refusals_that_time_can_mend_are_tried_once_more() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 answer #2 not_anchored
        > @1 z1 refused by node: command_refused #2
        31 answer #3 ok
        > @31 open z1 #3 600s ttl 30s soil_dry
        32 opened v1 #3
        > @32 z1 confirmed by engine: soil_dry #2
        40 read p1 3100
        > @40 z1 stopping by engine: soil_wet #2
        > @40 close z1 #4 soil_wet
        41 closed v1 #3 commanded 9
        > @41 z1 stopped by engine: soil_wet #2 9s 9L
        2000 read p1 1900
        > @2000 open z1 #5 600s ttl 30s soil_dry
        > @2000 z1 started by engine: soil_dry #5
        2001 answer #5 busy
        > @2001 z1 refused by node: command_refused #5
        2031 answer #6 busy
        > @2031 open z1 #6 600s ttl 30s soil_dry
        > @2031 z1 refused by node: command_refused #5
        > @2031 z1 fault by engine: command_refused
        > @2031 z1 stopping by engine: command_refused #5
        > @2031 z1 stopped by engine: command_refused #5
        > @2031 z1 skipped by engine: quarantined
        2040 wait
    ";
    play(farm(1), script);
}

#[test]
fn a_forgery_or_a_missing_valve_waits_for_a_person() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #3 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #3
        1 answer #3 unknown_valve
        > @1 z1 refused by node: command_refused #3
        > @1 z1 fault by engine: command_refused
        > @1 z1 stopping by engine: command_refused #3
        > @1 z1 stopped by engine: command_refused #3
        > @1 z1 skipped by engine: unresolved_fault
        2 read p2 1900
        > @2 open z2 #4 600s ttl 30s soil_dry
        > @2 z2 started by engine: soil_dry #4
        3 answer #4 replayed
        > @3 z2 refused by node: command_refused #4
        > @3 z2 fault by engine: command_refused
        > @3 z2 stopping by engine: command_refused #4
        > @3 close z2 #5 command_refused
        4 answer #5 ok
        > @4 z2 stopped by engine: command_refused #4
        > @4 z2 skipped by engine: unresolved_fault
    ";
    play(farm(2), script);
}

#[test]
fn a_zone_locked_at_the_node_is_left_alone_for_a_while() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 answer #2 locked_locally
        > @1 z1 refused by node: command_refused #2
        > @1 z1 stopping by node: command_refused #2
        > @1 z1 stopped by node: command_refused #2
        > @1 z1 skipped by engine: command_refused
        301 answer #3 ok
        > @301 open z1 #3 600s ttl 30s soil_dry
        > @301 z1 started by engine: soil_dry #3
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

#[test]
fn a_silent_valve_holds_its_source_for_its_whole_lease() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #3 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #3
        1 read p2 1950
        > @1 z2 skipped by engine: source_busy
        2 offline v1
        > @2 z1 stopping by engine: node_offline #3
        500 wait
        700 wait
        > @647 z1 stopped by engine: node_offline #3
        > @647 z1 skipped by engine: node_offline
        > @647 open z2 #4 600s ttl 30s soil_dry
        > @647 z2 started by engine: soil_dry #4
        > @657 open z2 #5 600s ttl 30s soil_dry
        > @667 open z2 #6 600s ttl 30s soil_dry
        > @677 z2 fault by engine: command_unanswered
        > @677 z2 stopping by engine: command_unanswered #4
        > @677 close z2 #7 command_unanswered
        > @687 close z2 #8 command_unanswered
    ";
    play(farm(2), script);
}

#[test]
fn a_lock_stops_and_keeps_closed() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 opened v1 #2
        > @1 z1 confirmed by engine: soil_dry #2
        5 lock z1
        > @5 z1 locked by Lan: locked
        > @5 z1 stopping by Lan: locked #2
        > @5 close z1 #3 locked
        6 closed v1 #2 commanded 5
        > @6 z1 stopped by Lan: locked #2 5s 5L
        700 read p1 1880
        800 start z1 60
        > @800 z1 refused by Lan: locked
        900 unlock z1
        > @900 z1 unlocked by Lan: unlocked
        > @900 open z1 #4 600s ttl 30s soil_dry
        > @900 z1 started by engine: soil_dry #4
        901 unlock z1
    ";
    play(farm(1), script);
}

#[test]
fn stop_all_stops_all_and_starts_nothing() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #3 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #3
        1 read p2 1900
        > @1 z2 skipped by engine: source_busy
        2 opened v1 #3
        > @2 z1 confirmed by engine: soil_dry #3
        5 stopall
        > @5 farm stopping by Lan: stop_all
        > @5 z1 stopping by Lan: stop_all #3
        > @5 close z1 #4 stop_all
        6 closed v1 #3 commanded 4
        > @6 z1 stopped by Lan: stop_all #3 4s 4L
        3604 wait
        > @3600 z1 skipped by engine: stale_reading
        > @3601 z2 skipped by engine: stale_reading
        3606 wait
    ";
    play(farm(2), script);
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
fn a_node_that_closes_by_itself_ends_the_run() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 opened v1 #2
        > @1 z1 confirmed by engine: soil_dry #2
        60 closed v1 #2 local_button 59
        > @60 z1 stopped by node: closed_by_node #2 59s 59L
        > @60 z1 skipped by engine: minimum_off
        670 opened v1 #3
        > @660 open z1 #3 600s ttl 30s soil_dry
        > @660 z1 started by engine: soil_dry #3
        > @670 open z1 #4 600s ttl 30s soil_dry
        > @670 z1 confirmed by engine: soil_dry #3
        700 closed v1 #3 brown_out 30
        > @700 z1 stopped by node: closed_by_node #3 30s 30L
        > @700 z1 fault by engine: closed_by_node
        > @700 close z1 #5 closed_by_node
        1310 wait
        > @710 close z1 #6 closed_by_node
        > @730 close z1 #7 closed_by_node
        > @770 close z1 #8 closed_by_node
        > @830 close z1 #9 closed_by_node
        > @890 close z1 #10 closed_by_node
        > @950 close z1 #11 closed_by_node
        > @1010 close z1 #12 closed_by_node
        > @1070 close z1 #13 closed_by_node
        > @1130 close z1 #14 closed_by_node
        > @1190 close z1 #15 closed_by_node
        > @1250 close z1 #16 closed_by_node
        > @1310 close z1 #17 closed_by_node
    ";
    play(farm(1), script);
}

#[test]
fn a_node_that_comes_back_keeps_its_run() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 opened v1 #2
        > @1 z1 confirmed by engine: soil_dry #2
        100 offline v1
        460 online v1 #2
        > @460 open z1 #3 600s ttl 30s lease_renewed
        461 answer #3 ok
        500 offline v1
        1100 wait
        > @1066 z1 stopping by engine: node_offline #2
        > @1078 z1 stopped by engine: node_offline #2
        > @1078 z1 skipped by engine: node_offline
        2000 closed v1 #3 lease_ended 1061 old
        > @2000 z1 reported by node: closed_by_node #3 1061s 1061L
    ";
    play(farm(1), script);
}

#[test]
fn a_node_that_comes_back_closed_ends_the_run() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 opened v1 #2
        > @1 z1 confirmed by engine: soil_dry #2
        100 online v1 closed
        > @100 z1 stopped by node: valve_found_closed #2
        > @100 z1 skipped by engine: minimum_off
        110 closed v1 #2 boot 90 old
        > @110 z1 reported by node: closed_by_node #2 90s 90L
    ";
    play(farm(1), script);
}

#[test]
fn a_close_is_repeated_until_it_is_heard() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 opened v1 #2
        > @1 z1 confirmed by engine: soil_dry #2
        10 read p1 3100
        > @10 z1 stopping by engine: soil_wet #2
        > @10 close z1 #3 soil_wet
        100 wait
        > @20 close z1 #4 soil_wet
        > @40 close z1 #5 soil_wet
        > @80 close z1 #6 soil_wet
        101 answer #6 bad_mac
        > @101 z1 refused by node: command_refused #2
        200 wait
        > @140 close z1 #7 soil_wet
        > @200 close z1 #8 soil_wet
        201 closed v1 #2 lease_ended 200
        > @201 z1 stopped by engine: soil_wet #2 200s 200L
    ";
    play(farm(1), script);
}

#[test]
fn a_valve_opened_at_the_node_is_recorded_and_has_the_source() {
    let script = "
        0 ready
        0 read p2 1900
        > @0 open z2 #3 600s ttl 30s soil_dry
        > @0 z2 started by engine: soil_dry #3
        1 opened v2 #3
        > @1 z2 confirmed by engine: soil_dry #3
        10 opened v1 local
        > @10 z1 started by node: local_run
        > @10 z2 stopping by engine: source_busy #3
        > @10 close z2 #4 source_busy
        12 closed v2 #3 commanded 11
        > @12 z2 stopped by engine: source_busy #3 11s 11L
        > @12 z2 skipped by engine: minimum_off
        700 read p2 1890
        > @612 z2 skipped by engine: source_busy
        800 closed v1 local local_button 790
        > @800 z1 stopped by node: closed_by_node 790s 790L
        > @800 open z2 #5 600s ttl 30s soil_dry
        > @800 z2 started by engine: soil_dry #5
    ";
    play(farm(2), script);
}

#[test]
fn a_valve_opened_at_the_node_of_a_locked_zone_is_closed() {
    let script = "
        0 ready
        0 lock z1
        > @0 z1 locked by Lan: locked
        10 opened v1 local
        > @10 z1 started by node: local_run
        > @10 z1 stopping by engine: locked
        > @10 close z1 #2 locked
        11 answer #2 ok
        12 closed v1 local commanded 2
        > @12 z1 stopped by engine: locked 2s 2L
    ";
    play(farm(1), script);
}

#[test]
fn an_open_valve_that_nobody_opened_is_closed() {
    let script = "
        0 ready
        10 online v1 #77
        > @10 z1 fault by engine: unexpected_open #77
        > @10 close z1 #2 unexpected_open
        11 answer #2 ok
        12 closed v1 #77 commanded 100
        > @12 z1 stopped by engine: unexpected_open #77 100s 100L
        20 opened v1 #78
        > @20 z1 fault by engine: unexpected_open #78
        > @20 close z1 #3 unexpected_open
    ";
    play(farm(1), script);
}

#[test]
fn after_a_restart_an_open_valve_is_closed_and_nothing_starts_before() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #3 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #3
        1 opened v1 #3
        > @1 z1 confirmed by engine: soil_dry #3
        10 restart
        > @10 close z1 #4 gateway_restarted
        11 read p2 1900
        12 online v1 #3
        > @12 z1 stopping by engine: gateway_restarted #3
        > @12 close z1 #5 gateway_restarted
        13 answer #5 ok
        14 closed v1 #3 commanded 14
        > @14 z1 stopped by engine: gateway_restarted #3 14s 14L
        15 online v2 closed
        > @15 close z2 #6 gateway_restarted
        16 answer #6 ok
        > @16 open z2 #7 600s ttl 30s soil_dry
        > @16 z2 started by engine: soil_dry #7
    ";
    play(farm(2), script);
}

#[test]
fn after_a_restart_silence_means_the_longest_lease() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 opened v1 #2
        > @1 z1 confirmed by engine: soil_dry #2
        10 restart
        > @10 close z1 #3 gateway_restarted
        11 read p1 1900
        600 wait
        > @20 close z1 #4 gateway_restarted
        > @40 close z1 #5 gateway_restarted
        > @80 close z1 #6 gateway_restarted
        > @140 close z1 #7 gateway_restarted
        > @200 close z1 #8 gateway_restarted
        > @260 close z1 #9 gateway_restarted
        > @320 close z1 #10 gateway_restarted
        > @380 close z1 #11 gateway_restarted
        > @440 close z1 #12 gateway_restarted
        > @500 close z1 #13 gateway_restarted
        > @560 close z1 #14 gateway_restarted
        660 wait
        > @620 close z1 #15 gateway_restarted
        > @657 z1 stopped by engine: gateway_restarted #2
        > @657 z1 skipped by engine: minimum_off
        1300 wait
        > @1257 open z1 #16 600s ttl 30s soil_dry
        > @1257 z1 started by engine: soil_dry #16
        > @1267 open z1 #17 600s ttl 30s soil_dry
        > @1277 open z1 #18 600s ttl 30s soil_dry
        > @1287 z1 fault by engine: command_unanswered
        > @1287 z1 stopping by engine: command_unanswered #16
        > @1287 close z1 #19 command_unanswered
        > @1297 close z1 #20 command_unanswered
    ";
    play(farm(1), script);
}

#[test]
fn a_lock_and_a_fault_survive_a_restart() {
    let script = "
        0 ready
        0 lock z1
        > @0 z1 locked by Lan: locked
        1 read p1 1900
        2 restart
        3 online v1 closed
        > @3 close z1 #2 gateway_restarted
        4 answer #2 ok
        5 read p1 1890
        > @5 z1 skipped by engine: locked
        6 start z1 60
        > @6 z1 refused by Lan: locked
        7 unlock z1
        > @7 z1 unlocked by Lan: unlocked
        > @7 open z1 #3 600s ttl 30s soil_dry
        > @7 z1 started by engine: soil_dry #3
    ";
    play(farm(1), script);
}

#[test]
fn late_news_of_an_old_run_changes_nothing() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 opened v1 #2
        > @1 z1 confirmed by engine: soil_dry #2
        10 read p1 3100
        > @10 z1 stopping by engine: soil_wet #2
        > @10 close z1 #3 soil_wet
        11 closed v1 #2 commanded 10
        > @11 z1 stopped by engine: soil_wet #2 10s 10L
        12 opened v1 #2
        13 closed v1 #2 lease_ended 7
        > @13 z1 reported by node: closed_by_node #2 7s 7L
    ";
    play(farm(1), script);
}

#[test]
fn an_answer_that_was_lost_is_made_up_by_the_report() {
    let script = "
        0 ready
        0 start z1 60
        > @0 open z1 #2 60s ttl 30s manual_start
        > @0 z1 started by Lan: manual_start #2
        15 opened v1 #2
        > @10 open z1 #3 60s ttl 30s manual_start
        > @15 z1 confirmed by Lan: manual_start #2
        16 answer #3 ok
        76 closed v1 #2 lease_ended 60
        > @76 z1 stopped by engine: run_time_reached #2 60s 60L
        > @76 close z1 #4 run_time_reached
        77 answer #4 ok
    ";
    play(farm(1), script);
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
fn wishes_that_cannot_be_fulfilled_are_answered() {
    let script = "
        0 ready
        0 start z1 60
        > @0 open z1 #3 60s ttl 30s manual_start
        > @0 z1 started by Lan: manual_start #3
        1 start z1 60
        > @1 z1 refused by Lan: already_running
        2 start z2 60
        > @2 z2 refused by Lan: source_busy
        3 start z9 60
        > @3 farm refused by Lan: unknown_zone
        4 offline v2
        5 stop z1
        > @5 z1 stopping by Lan: manual_stop #3
        > @5 close z1 #4 manual_stop
        6 start z1 60
        > @6 z1 refused by Lan: valve_closing
        7 answer #4 ok
        > @7 z1 stopped by Lan: manual_stop #3
        8 start z2 60
        > @8 z2 refused by Lan: node_offline
    ";
    play(farm(2), script);
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
    assert_eq!(view.moisture, Some(permyriad(2500)));
    assert_eq!(view.moisture_age_ms, Some(68_000));
    let qualities: Vec<_> = view.probes.iter().map(|probe| probe.quality.code()).collect();
    assert_eq!(qualities, ["good", "good", "faulty"]);
    assert!(matches!(view.state, ZoneState::Idle { why: Reason::SoilMoist { .. } }));
    let later = engine.zone_view(&zone("z1"), now_at(3550)).unwrap();
    assert_eq!(later.moisture, Some(permyriad(2400)));
    assert!(matches!(later.state, ZoneState::Waiting { why: Reason::StaleReading { .. } }));
    assert!(engine.zone_view(&zone("z9"), now_at(10)).is_none());
}

fn zone_of<'a>(plan: &'a mut Plan, name: &str) -> &'a mut ZonePlan {
    plan.zones.get_mut(&zone(name)).unwrap()
}
