//! What people want, and what happens at the node itself.

use crate::farm::{farm, zone_of};
use crate::script::play;

#[test]
fn a_pause_of_water_does_not_go_by_a_clock_that_is_put_right() {
    let script = "
        0 ready
        10 water 1800
        > @10 farm adjusted by Lan: water_paused
        60 clock 3600
        70 start z1 300
        > @70 z1 refused by Lan: water_paused
        100 clock none
        110 start z1 300
        > @110 z1 refused by Lan: water_paused
        120 restart
        121 online v1 closed
        > @121 close z1 #2 gateway_restarted
        122 answer #2 ok
        130 start z1 300
        > @130 z1 refused by Lan: water_paused
        140 clock -7200
        150 start z1 300
        > @150 z1 refused by Lan: water_paused
        160 water 900
        > @160 farm adjusted by Lan: water_paused
        1059 start z1 300
        > @1059 z1 refused by Lan: water_paused
        1061 start z1 300
        > @1061 open z1 #3 300s ttl 30s manual_start
        > @1061 z1 started by Lan: manual_start #3
    ";
    let mut plan = farm(1);
    zone_of(&mut plan, "z1").automatic = false;
    play(plan, script);
}

#[test]
fn the_rest_of_a_run_by_hand_outlives_a_restart_within_the_pause() {
    let script = "
        0 ready
        10 start z1 600
        > @10 open z1 #2 600s ttl 30s manual_start
        > @10 z1 started by Lan: manual_start #2
        11 answer #2 ok
        11 opened v1 #2
        > @11 z1 confirmed by Lan: manual_start #2
        111 water 900
        > @111 farm adjusted by Lan: water_paused
        > @111 z1 stopping by engine: water_paused #2
        > @111 close z1 #3 water_paused
        112 restart
        > @112 close z1 #4 gateway_restarted
        113 closed v1 #4 commanded 102
        > @113 z1 stopped by engine: gateway_restarted #2 102s 102L
        > @113 z1 scheduled by Lan: run_rest
        > @113 z1 skipped by engine: water_paused
        1020 wait
        > @1011 open z1 #5 498s ttl 30s run_once
        > @1011 z1 started by Lan: run_once #5
        > @1011 z1 scheduled by Lan: started_late #5
    ";
    let mut plan = farm(1);
    zone_of(&mut plan, "z1").automatic = false;
    play(plan, script);
}

#[test]
fn a_pause_of_water_needs_the_clock() {
    let script = "
        0 ready
        5 clock none
        10 start z1 300
        > @10 open z1 #2 300s ttl 30s manual_start
        > @10 z1 started by Lan: manual_start #2
        11 opened v1 #2
        > @11 z1 confirmed by Lan: manual_start #2
        20 water 900
        > @20 farm refused by Lan: clock_unset
    ";
    let mut plan = farm(1);
    zone_of(&mut plan, "z1").automatic = false;
    play(plan, script);
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
