//! Programs at work: starts, turns, hours, people. The scripts begin at 07:00 on a Thursday; `night` starts at 07:10.

use giot_engine::program::{Cycle, Window};
use giot_engine::{DayWindow, Plan};

use crate::farm::{farm, program, zone_of};
use crate::script::play;

/// Two zones without automatic watering, ten and five minutes of `night` each.
fn calendar_farm() -> Plan {
    let mut plan = farm(2);
    for name in ["z1", "z2"] {
        zone_of(&mut plan, name).automatic = false;
    }
    plan.programs.insert("night".parse().unwrap(), program(&[("z1", 5), ("z2", 10)]));
    plan
}

#[test]
fn a_program_waters_its_zones_one_after_another_without_a_probe() {
    let script = "
        0 ready
        600 wait
        > @600 farm scheduled by program night: program_start
        > @600 open z1 #3 300s ttl 30s program_run
        > @600 z1 started by program night: program_run #3
        601 answer #3 ok
        602 opened v1 #3
        > @602 z1 confirmed by program night: program_run #3
        901 closed v1 #3 lease_ended 300
        > @901 z1 stopped by engine: run_time_reached #3 300s 300L
        > @901 open z2 #4 600s ttl 30s program_run
        > @901 z2 started by program night: program_run #4
        902 answer #4 ok
        903 opened v2 #4
        > @903 z2 confirmed by program night: program_run #4
        1504 closed v2 #4 lease_ended 601
        > @1504 z2 stopped by engine: run_time_reached #4 601s 601L
        9000 wait
    ";
    play(calendar_farm(), script);
}

/// Somebody says "stop" after a pause has begun to close the valve, and before the node has answered.
#[test]
fn what_is_stopped_while_its_valve_closes_leaves_no_rest() {
    let mut plan = farm(1);
    zone_of(&mut plan, "z1").automatic = false;
    plan.programs.insert("night".parse().unwrap(), program(&[("z1", 5)]));
    let script = |wish: &str, told: &str| {
        format!(
            "
        0 ready
        600 wait
        > @600 farm scheduled by program night: program_start
        > @600 open z1 #2 300s ttl 30s program_run
        > @600 z1 started by program night: program_run #2
        601 answer #2 ok
        602 opened v1 #2
        > @602 z1 confirmed by program night: program_run #2
        700 water 900
        > @700 farm adjusted by Lan: water_paused
        > @700 z1 stopping by engine: water_paused #2
        > @700 close z1 #3 water_paused
        701 {wish}
        {told}
        702 answer #3 ok
        703 closed v1 #2 commanded 101
        > @703 z1 stopped by engine: water_paused #2 101s 101L
        9000 wait
        "
        )
    };
    play(plan.clone(), &script("program night stop", "> @701 farm stopping by Lan: program_stop"));
    play(plan.clone(), &script("lock z1", "> @701 z1 locked by Lan: locked"));
    play(plan, &script("stop z1", "> @701 z1 skipped by Lan: rest_after_stop"));
}

#[test]
fn guards_hold_for_programs_and_what_waits_comes_late() {
    let script = "
        0 ready
        10 lock z1
        > @10 z1 locked by Lan: locked
        20 offline v2
        600 wait
        > @600 farm scheduled by program night: program_start
        > @600 z1 skipped by program night: locked
        910 wait
        > @900 z2 skipped by engine: node_offline
        2000 unlock z1
        > @2000 z1 unlocked by Lan: unlocked
        2100 online v2 closed
        > @2100 open z2 #3 600s ttl 30s program_run
        > @2100 z2 started by program night: program_run #3
        > @2100 z2 scheduled by program night: started_late #3
    ";
    play(calendar_farm(), script);
}

#[test]
fn a_run_is_cut_by_the_hours_that_are_left_when_it_begins() {
    let mut plan = calendar_farm();
    let night = plan.programs.values_mut().next().unwrap();
    night.windows.allowed = vec![Window::daily(DayWindow::new(7 * 60, 7 * 60 + 20).unwrap())];
    let script = "
        0 ready
        500 start z2 380
        > @500 open z2 #3 380s ttl 30s manual_start
        > @500 z2 started by Lan: manual_start #3
        501 opened v2 #3
        > @501 z2 confirmed by Lan: manual_start #3
        502 answer #3 ok
        600 wait
        > @600 farm scheduled by program night: program_start
        > @600 z2 scheduled by program night: run_cut
        880 closed v2 #3 lease_ended 379
        > @880 z2 stopped by engine: run_time_reached #3 379s 379L
        > @880 open z1 #4 300s ttl 30s program_run
        > @880 z1 started by program night: program_run #4
        881 opened v1 #4
        > @881 z1 confirmed by program night: program_run #4
        882 answer #4 ok
        1181 closed v1 #4 lease_ended 300
        > @1181 z1 stopped by engine: run_time_reached #4 300s 300L
        > @1181 open z2 #5 19s ttl 30s program_run
        > @1181 z2 started by program night: program_run #5
        1182 wait
    ";
    zone_of(&mut plan, "z2").min_off_s = 60;
    play(plan, script);
}

#[test]
fn portions_soak_and_the_diary_does_not_tell_each_rest() {
    let mut plan = calendar_farm();
    plan.programs.insert("night".parse().unwrap(), program(&[("z2", 10)]));
    zone_of(&mut plan, "z2").cycle = Cycle::new(300_000, 900_000);
    let script = "
        0 ready
        600 wait
        > @600 farm scheduled by program night: program_start
        > @600 open z2 #3 300s ttl 30s program_run
        > @600 z2 started by program night: program_run #3
        601 answer #3 ok
        602 opened v2 #3
        > @602 z2 confirmed by program night: program_run #3
        903 closed v2 #3 lease_ended 301
        > @903 z2 stopped by engine: run_time_reached #3 301s 301L
        1801 answer #4 ok
        > @1800 open z2 #4 300s ttl 30s program_run
        > @1800 z2 started by program night: program_run #4
        1802 opened v2 #4
        > @1802 z2 confirmed by program night: program_run #4
        2103 closed v2 #4 lease_ended 301
        > @2103 z2 stopped by engine: run_time_reached #4 301s 301L
        9000 wait
    ";
    play(plan, script);
}

#[test]
fn people_start_stop_skip_and_switch_programs() {
    let script = "
        0 ready
        10 program night start
        > @10 farm scheduled by Lan: program_start
        > @10 open z1 #3 300s ttl 30s program_run
        > @10 z1 started by program night: program_run #3
        11 opened v1 #3
        > @11 z1 confirmed by program night: program_run #3
        12 answer #3 ok
        20 program night start
        > @20 farm refused by Lan: program_not_started
        > @20 farm refused by Lan: program_busy
        30 program night stop
        > @30 farm stopping by Lan: program_stop
        > @30 z1 stopping by Lan: program_stop #3
        > @30 close z1 #4 program_stop
        31 closed v1 #3 commanded 20
        > @31 z1 stopped by Lan: program_stop #3 20s 20L
        32 answer #4 ok
        40 program night skip=1
        > @40 farm adjusted by Lan: program_skipping_from
        600 wait
        > @600 farm skipped by program night: skipped_by_person
        700 program night off
        > @700 farm adjusted by Lan: program_switched_off
        701 program none on
        > @701 farm refused by Lan: unknown_program
        87000 wait
        > @87000 farm skipped by program night: program_disabled
        87010 program night on
        > @87010 farm adjusted by Lan: program_enabled
        87020 rain 86400
        > @87020 farm adjusted by Lan: rain_delay
        173400 wait
        > @173400 farm skipped by program night: rain_delay
    ";
    play(calendar_farm(), script);
}

#[test]
fn what_waits_and_what_was_set_survives_a_restart() {
    let script = "
        0 ready
        10 offline v1
        20 program night adjust=50
        > @20 farm adjusted by Lan: program_adjusted_from
        600 wait
        > @600 farm scheduled by program night: program_start
        > @600 z1 skipped by engine: node_offline
        610 restart
        611 online v1 closed
        > @611 close z1 #3 gateway_restarted
        612 online v2 closed
        > @612 close z2 #4 gateway_restarted
        613 answer #3 ok
        614 answer #4 ok
        > @614 open z1 #5 150s ttl 30s program_run
        > @614 z1 started by program night: program_run #5
    ";
    play(calendar_farm(), script);
}

#[test]
fn without_a_clock_no_program_starts_and_a_leap_of_it_makes_no_burst() {
    let script = "
        0 ready
        10 clock none
        700 program night start
        > @700 farm refused by Lan: program_not_started
        > @700 farm refused by Lan: clock_unset
        800 clock 259200
        > @800 farm skipped by program night: missed_start
        > @800 farm skipped by program night: missed_start
        > @800 farm skipped by program night: missed_start
        > @800 farm skipped by program night: missed_start
    ";
    play(calendar_farm(), script);
}
