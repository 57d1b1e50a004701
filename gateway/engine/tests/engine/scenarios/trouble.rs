//! Silence, refusals, lost and late messages, nodes that go and come, restarts.

use crate::farm::farm;
use crate::script::play;

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
        3 answer #4 bad_mac
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
fn an_order_that_was_overtaken_is_given_again() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 answer #2 replayed
        > @1 z1 refused by node: command_refused #2
        > @1 open z1 #3 600s ttl 30s soil_dry
        2 answer #2 replayed
        > @2 z1 refused by node: command_refused #2
        3 answer #3 ok
        3 opened v1 #3
        > @3 z1 confirmed by engine: soil_dry #2
        4 answer #3 replayed
        40 read p1 3100
        > @40 z1 stopping by engine: soil_wet #2
        > @40 close z1 #4 soil_wet
        41 closed v1 #3 commanded 38
        > @41 z1 stopped by engine: soil_wet #2 38s 38L
    ";
    play(farm(1), script);
}

#[test]
fn a_node_that_refuses_every_counter_is_left_alone_for_a_while() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 answer #2 replayed
        > @1 z1 refused by node: command_refused #2
        > @1 open z1 #3 600s ttl 30s soil_dry
        2 answer #3 replayed
        > @2 z1 refused by node: command_refused #2
        > @2 open z1 #4 600s ttl 30s soil_dry
        3 answer #4 replayed
        > @3 z1 refused by node: command_refused #2
        > @3 z1 fault by engine: command_refused
        > @3 z1 stopping by engine: command_refused #2
        > @3 close z1 #5 command_refused
        4 answer #5 ok
        > @4 z1 stopped by engine: command_refused #2
        > @4 z1 skipped by engine: quarantined
    ";
    play(farm(1), script);
}

#[test]
fn a_backlog_starts_nothing_whatever_the_clock_shows() {
    let script = "
        0 ready
        100 clock -36000
        100 backlog p1 1900 36000
        4000 clock 36000
        > @3600 z1 skipped by engine: stale_reading
        4000 backlog p1 1900 3601
        4001 recall p1 1900 10
        > @4001 z1 skipped by engine: age_unknown
        4010 backlog p1 1900 20
        > @4010 open z1 #2 600s ttl 30s soil_dry
        > @4010 z1 started by engine: soil_dry #2
    ";
    play(farm(1), script);
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
        20 start z1 60
        > @20 open z1 #4 60s ttl 30s manual_start
        > @20 z1 started by Lan: manual_start #4
        21 opened v1 #4
        > @21 z1 confirmed by Lan: manual_start #4
        22 closed v1 #2 lease_ended 5
        > @22 z1 reported by node: closed_by_node #2 5s 5L
        80 closed v1 #4 lease_ended 60
        > @80 z1 stopped by engine: run_time_reached #4 60s 60L
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
fn a_faulty_reading_that_came_without_a_clock_keeps_the_older_good_one_from_starting_a_run() {
    let script = "
        0 ready
        20 read p1 1900
        > @20 open z1 #2 600s ttl 30s soil_dry
        > @20 z1 started by engine: soil_dry #2
        21 answer #2 ok
        22 opened v1 #2
        > @22 z1 confirmed by engine: soil_dry #2
        100 clock none
        > @100 z1 stopping by engine: clock_unset #2
        > @100 close z1 #3 clock_unset
        101 closed v1 #2 commanded 79
        > @101 z1 stopped by engine: clock_unset #2 79s 79L
        > @101 z1 skipped by engine: clock_unset
        600 undated p1 bad
        900 clock 0
        > @900 z1 skipped by engine: faulty_reading
        1500 wait
        1600 read p1 1890 1010
        1700 read p1 1900
        > @1700 open z1 #4 600s ttl 30s soil_dry
        > @1700 z1 started by engine: soil_dry #4
    ";
    play(farm(1), script);
}

#[test]
fn a_reading_that_cannot_be_dated_ends_a_run() {
    let script = "
        0 ready
        0 read p1 1900
        > @0 open z1 #2 600s ttl 30s soil_dry
        > @0 z1 started by engine: soil_dry #2
        1 answer #2 ok
        2 opened v1 #2
        > @2 z1 confirmed by engine: soil_dry #2
        100 undated p1 bad
        > @100 z1 stopping by engine: faulty_reading #2
        > @100 close z1 #3 faulty_reading
    ";
    play(farm(1), script);
}
