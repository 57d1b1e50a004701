//! Programs that give back what a soil lacks: once, never more, and never on a count that is old or missing. The scripts begin
//! at 07:00; a zone of 100 m² takes a litre a second, so that 0.9 mm net at 90 % are 100 s.

use giot_engine::program::{Program, Sequence, Step, Target};
use giot_engine::{Plan, SoilRule};
use giot_shared::units::LitresPerHour;

use crate::farm::{at_hour, farm, permyriad, program, zone, zone_of};
use crate::script::play;

/// `night` refills z1 at 07:10.
fn refilled_farm(from_depleted: u16) -> Plan {
    let mut plan = farm(1);
    let z1 = zone_of(&mut plan, "z1");
    (z1.automatic, z1.flow, z1.area_dm2, z1.min_off_s) = (false, Some(LitresPerHour(3600)), Some(10_000), 0);
    // The soil's own "wet enough" is not what this is about.
    z1.soil = SoilRule::Moisture { start_below: permyriad(2000), stop_above: permyriad(3000) };
    plan.programs.insert("night".parse().unwrap(), refill(from_depleted, 10));
    assert_eq!(plan.check(), []);
    plan
}

fn refill(from_depleted: u16, minute: u16) -> Program {
    let step = Step::of(zone("z1"), Target::Refill { from_depleted });
    Program { sequence: Sequence::of(vec![step]), starts: vec![at_hour(7, minute)], ..program(&[]) }
}

#[test]
fn what_is_lacking_is_given_once_and_two_programs_do_not_give_it_twice() {
    let mut plan = refilled_farm(0);
    // While the first one's run goes on, and after it.
    plan.programs.insert("same".parse().unwrap(), refill(0, 11));
    plan.programs.insert("later".parse().unwrap(), refill(0, 20));
    let script = "
        0 ready
        10 lack z1 1.80
        600 wait
        > @600 farm scheduled by program night: program_start
        > @600 z1 scheduled by program night: refill
        > @600 open z1 #2 200s ttl 30s program_run
        > @600 z1 started by program night: program_run #2
        601 answer #2 ok
        602 opened v1 #2
        > @602 z1 confirmed by program night: program_run #2
        802 closed v1 #2 lease_ended 200
        > @660 farm scheduled by program same: program_start
        > @660 z1 skipped by program same: enough_water
        > @802 z1 stopped by engine: run_time_reached #2 200s 200L
        1300 wait
        > @1200 farm scheduled by program later: program_start
        > @1200 z1 skipped by program later: enough_water
    ";
    play(plan, script);
}

#[test]
fn a_run_that_gave_less_leaves_the_rest_for_the_next_start() {
    let mut plan = refilled_farm(0);
    plan.programs.insert("later".parse().unwrap(), refill(0, 20));
    let script = "
        0 ready
        10 lack z1 1.80
        600 wait
        > @600 farm scheduled by program night: program_start
        > @600 z1 scheduled by program night: refill
        > @600 open z1 #2 200s ttl 30s program_run
        > @600 z1 started by program night: program_run #2
        601 answer #2 ok
        602 opened v1 #2
        > @602 z1 confirmed by program night: program_run #2
        660 stop z1
        > @660 z1 stopping by Lan: manual_stop #2
        > @660 close z1 #3 manual_stop
        661 closed v1 #2 commanded 50
        > @661 z1 stopped by Lan: manual_stop #2 50s 50L
        1201 wait
        > @1200 farm scheduled by program later: program_start
        > @1200 z1 scheduled by program later: refill
        > @1200 open z1 #4 150s ttl 30s program_run
        > @1200 z1 started by program later: program_run #4
    ";
    play(plan, script);
}

#[test]
fn too_little_an_old_count_and_no_count_give_nothing_and_say_so() {
    let skip = |from_depleted, count: &str, reason: &str| {
        let script = format!(
            "
            0 ready
            {count}
            700 wait
            > @600 farm scheduled by program night: program_start
            > @600 z1 skipped by program night: {reason}
            "
        );
        play(refilled_farm(from_depleted), &script);
    };
    // 1.8 of 60 mm are 3 %.
    skip(301, "10 lack z1 1.80", "enough_water");
    skip(0, "10 lack z1 0.00", "enough_water");
    skip(0, "10 lack z1 none", "balance_unknown");
    skip(0, "10 wait", "balance_unknown");
    skip(0, "10 lack z1 1.80 old", "balance_stale");
}

#[test]
fn after_a_start_the_first_count_is_waited_for() {
    let mut plan = refilled_farm(0);
    plan.programs.insert("night".parse().unwrap(), Program { catch_up_min: 60, ..refill(0, 1) });
    let script = "
        0 ready
        70 lack z1 0.90
        > @70 farm scheduled by program night: program_start
        > @70 z1 scheduled by program night: refill
        > @70 open z1 #2 100s ttl 30s program_run
        > @70 z1 started by program night: program_run #2
    ";
    play(plan.clone(), script);
    let script = "
        0 ready
        200 wait
        > @120 farm scheduled by program night: program_start
        > @120 z1 skipped by program night: balance_unknown
    ";
    play(plan, script);
}

#[test]
fn a_refill_stays_within_the_zones_longest_run() {
    let script = "
        0 ready
        10 lack z1 40.00
        601 wait
        > @600 farm scheduled by program night: program_start
        > @600 z1 scheduled by program night: refill
        > @600 z1 scheduled by program night: run_limited
        > @600 open z1 #2 600s ttl 30s program_run
        > @600 z1 started by program night: program_run #2
    ";
    play(refilled_farm(0), script);
}
