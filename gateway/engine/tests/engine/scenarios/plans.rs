//! Another plan for a running engine: what stays, what is closed first, what is remembered.

use giot_engine::{Plan, SoilRule, ZoneState};
use giot_shared::units::LitresPerHour;

use crate::farm::{at_hour, farm, permyriad, probe, program, zone, zone_of, zone_plan};
use crate::script::{now_at, play_plans};

fn without(mut plan: Plan, name: &str) -> Plan {
    plan.zones.remove(&zone(name));
    plan
}

/// Zones that may run together.
fn wide(n_zones: usize) -> Plan {
    let mut plan = farm(n_zones);
    plan.sources.values_mut().for_each(|source| source.capacity = Some(LitresPerHour(4000)));
    plan.zones.values_mut().for_each(|zone| zone.flow = Some(LitresPerHour(1000)));
    plan
}

#[test]
fn a_run_of_a_zone_that_stays_goes_on_and_ends_by_the_new_threshold() {
    let mut drier = without(wide(2), "z2");
    zone_of(&mut drier, "z1").soil =
        SoilRule::Moisture { start_below: permyriad(2000), stop_above: permyriad(2500) };
    play_plans(
        wide(2),
        [("drier", drier)],
        "0 ready
        10 read p1 1500
        > @10 open z1 #3 600s ttl 30s soil_dry
        > @10 z1 started by engine: soil_dry #3
        11 answer #3 ok
        12 opened v1 #3
        > @12 z1 confirmed by engine: soil_dry #3
        60 plan drier
        > @60 farm adjusted by engine: farm_in_force
        70 read p1 2600
        > @70 z1 stopping by engine: soil_wet #3
        > @70 close z1 #4 soil_wet
        71 closed v1 #4 commanded 59
        > @71 z1 stopped by engine: soil_wet #3 59s 59L
        ",
    );
}

#[test]
fn a_zone_that_is_gone_is_closed_before_the_plan_takes_over() {
    play_plans(
        wide(2),
        [("one", without(wide(2), "z2"))],
        "0 ready
        10 read p2 1500
        > @10 open z2 #3 600s ttl 30s soil_dry
        > @10 z2 started by engine: soil_dry #3
        11 answer #3 ok
        12 opened v2 #3
        > @12 z2 confirmed by engine: soil_dry #3
        60 plan one
        > @60 z2 stopping by engine: farm_changed #3
        > @60 close z2 #4 farm_changed
        61 start z1 60
        > @61 open z1 #5 60s ttl 30s manual_start
        > @61 z1 started by Lan: manual_start #5
        62 start z2 60
        > @62 z2 refused by Lan: farm_changed
        63 answer #4 ok
        64 closed v2 #4 commanded 51
        > @64 z2 stopped by engine: farm_changed #3 51s 51L
        > @64 farm adjusted by engine: farm_in_force
        70 start z2 60
        > @70 farm refused by Lan: unknown_zone
        ",
    );
}

#[test]
fn a_zone_whose_node_is_gone_is_waited_for_until_no_lease_can_hold() {
    play_plans(
        wide(2),
        [("one", without(wide(2), "z2"))],
        "0 ready
        10 read p2 1500
        > @10 open z2 #3 600s ttl 30s soil_dry
        > @10 z2 started by engine: soil_dry #3
        11 answer #3 ok
        12 opened v2 #3
        > @12 z2 confirmed by engine: soil_dry #3
        20 offline v2
        60 plan one
        > @60 z2 stopping by engine: farm_changed #3
        2000 wait
        > @628 z2 stopped by engine: farm_changed #3
        > @628 farm adjusted by engine: farm_in_force
        ",
    );
}

#[test]
fn a_valve_that_has_another_zone_is_closed_and_not_believed() {
    let mut renamed = without(wide(1), "z1");
    let mut plan = zone_plan(1);
    plan.flow = Some(LitresPerHour(1000));
    renamed.zones.insert(zone("z9"), plan);
    play_plans(
        wide(1),
        [("renamed", renamed)],
        "0 ready
        10 read p1 1500
        > @10 open z1 #2 600s ttl 30s soil_dry
        > @10 z1 started by engine: soil_dry #2
        11 answer #2 ok
        12 opened v1 #2
        > @12 z1 confirmed by engine: soil_dry #2
        60 plan renamed
        > @60 z1 stopping by engine: farm_changed #2
        > @60 close z1 #3 farm_changed
        61 answer #3 ok
        62 closed v1 #3 commanded 50
        > @62 z1 stopped by engine: farm_changed #2 50s 50L
        > @62 farm adjusted by engine: farm_in_force
        63 read p1 1490
        80 wait
        > @72 close z9 #4 gateway_restarted
        81 answer #4 ok
        > @81 open z9 #5 600s ttl 30s soil_dry
        > @81 z9 started by engine: soil_dry #5
        ",
    );
}

#[test]
fn a_lock_outlives_the_zone() {
    let engine = play_plans(
        farm(2),
        [("one", without(farm(2), "z2")), ("two", farm(2))],
        "0 ready
        10 lock z2
        > @10 z2 locked by Lan: locked
        20 plan one
        > @20 farm adjusted by engine: farm_in_force
        30 plan two
        > @30 farm adjusted by engine: farm_in_force
        40 read p2 1500
        > @40 close z2 #3 gateway_restarted
        41 answer #3 ok
        > @41 z2 skipped by engine: locked
        ",
    );
    let view = engine.zone_view(&zone("z2"), now_at(50)).expect("it is back");
    assert!(matches!(view.state, ZoneState::Locked { .. }), "{:?}", view.state);
}

#[test]
fn a_program_that_changes_has_not_missed_what_it_would_have_done() {
    let with = |hour, minute| {
        let mut plan = farm(1);
        plan.programs.insert("night".parse().unwrap(), program(&[("z1", 5)]));
        let program = plan.programs.values_mut().next().unwrap();
        program.starts = vec![at_hour(hour, minute)];
        program.catch_up_min = 60;
        plan
    };
    // The scripts begin at 07:00 by the farm's clock.
    play_plans(
        with(9, 0),
        [("earlier", with(7, 5)), ("later", with(7, 20))],
        "0 ready
        600 plan earlier
        > @600 farm adjusted by engine: farm_in_force
        660 plan later
        > @660 farm adjusted by engine: farm_in_force
        1201 wait
        > @1200 farm scheduled by program night: program_start
        > @1200 open z1 #2 300s ttl 30s program_run
        > @1200 z1 started by program night: program_run #2
        ",
    );
}

#[test]
fn a_program_that_is_gone_ends_what_it_does() {
    let mut before = farm(1);
    before.programs.insert("night".parse().unwrap(), program(&[("z1", 5)]));
    play_plans(
        before,
        [("none", farm(1))],
        "0 ready
        600 wait
        > @600 farm scheduled by program night: program_start
        > @600 open z1 #2 300s ttl 30s program_run
        > @600 z1 started by program night: program_run #2
        601 answer #2 ok
        602 opened v1 #2
        > @602 z1 confirmed by program night: program_run #2
        660 plan none
        > @660 z1 stopping by engine: farm_changed #2
        > @660 close z1 #3 farm_changed
        > @660 farm adjusted by engine: farm_in_force
        661 closed v1 #3 commanded 59
        > @661 z1 stopped by engine: farm_changed #2 59s 59L
        ",
    );
}

#[test]
fn a_plan_with_a_problem_is_refused() {
    let mut wrong = farm(2);
    zone_of(&mut wrong, "z2").probes = vec![probe("p2"), probe("p2")];
    play_plans(
        farm(2),
        [("wrong", wrong)],
        "0 ready
        10 plan wrong
        > @10 farm refused by engine: invalid_plan
        ",
    );
}
