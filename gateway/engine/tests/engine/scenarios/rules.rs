//! What rules may do: start like everything automatic or not at all, stop and lock always.

use giot_engine::{DayWindow, SoilRule};

use crate::farm::{farm, permyriad, program, zone_of};
use crate::script::play;

/// Moist enough that the soil alone starts nothing: 25 %.
#[test]
fn a_rule_waters_a_zone_and_the_soil_ends_it() {
    let script = "
        0 ready
        5 read p1 2500
        10 rule start z1 900
        > @10 open z1 #2 600s ttl 30s rule_run
        > @10 z1 started by rule heat: rule_run #2
        11 answer #2 ok
        12 opened v1 #2
        > @12 z1 confirmed by rule heat: rule_run #2
        20 rule start z1 900
        > @20 z1 skipped by rule heat: already_running
        60 read p1 3100
        > @60 z1 stopping by engine: soil_wet #2
        > @60 close z1 #3 soil_wet
        61 closed v1 #2 commanded 49
        > @61 z1 stopped by engine: soil_wet #2 49s 49L
        70 rule start z1 900
        > @70 z1 skipped by rule heat: soil_wet
        80 read p1 2600
        90 rule start z1 900
        > @90 z1 skipped by rule heat: minimum_off
    ";
    play(farm(1), script);
}

#[test]
fn a_rule_starts_nothing_past_any_guard() {
    // P6: no reading, a stale one, a lock, an unset clock, closed hours, an unreachable node; P5: a busy source.
    let mut plan = farm(2);
    zone_of(&mut plan, "z1").fresh_s = 60;
    zone_of(&mut plan, "z2").window = DayWindow::new(8 * 60, 9 * 60).unwrap();
    let script = "
        0 ready
        1 rule start z1 60
        > @1 z1 skipped by rule heat: no_reading
        2 read p1 2500
        70 rule start z1 60
        > @62 z1 skipped by engine: stale_reading
        > @70 z1 skipped by rule heat: stale_reading
        80 read p1 2500
        81 read p2 2500
        82 rule start z2 60
        > @82 z2 skipped by rule heat: outside_window
        83 lock z1
        > @83 z1 locked by Lan: locked
        84 rule start z1 60
        > @84 z1 skipped by rule heat: locked
        85 unlock z1
        > @85 z1 unlocked by Lan: unlocked
        86 offline v1
        87 rule start z1 60
        > @87 z1 skipped by rule heat: node_offline
        88 online v1 closed
        89 clock none
        > @89 z1 skipped by engine: clock_unset
        > @89 z2 skipped by engine: clock_unset
        90 rule start z1 60
        > @90 z1 skipped by rule heat: clock_unset
        91 clock 0
        92 start z2 60
        > @92 open z2 #3 60s ttl 30s manual_start
        > @92 z2 started by Lan: manual_start #3
        93 rule start z1 60
        > @93 z1 skipped by rule heat: source_busy
        94 rule start nowhere 60
        > @94 farm refused by rule heat: unknown_zone
    ";
    play(plan, script);
}

#[test]
fn a_rule_stops_and_locks_whoever_started() {
    let script = "
        0 ready
        5 read p1 2500
        10 start z1 600
        > @10 open z1 #2 600s ttl 30s manual_start
        > @10 z1 started by Lan: manual_start #2
        11 answer #2 ok
        12 opened v1 #2
        > @12 z1 confirmed by Lan: manual_start #2
        20 rule stop z1
        > @20 z1 stopping by rule heat: rule_stop #2
        > @20 close z1 #3 rule_stop
        21 closed v1 #2 commanded 9
        > @21 z1 stopped by rule heat: rule_stop #2 9s 9L
        22 answer #3 ok
        30 rule lock z1
        > @30 z1 locked by rule heat: rule_lock
        31 rule lock z1
        32 start z1 60
        > @32 z1 refused by Lan: locked
        40 rule stop z1
        50 rule notify
        > @50 farm notified by rule heat: rule_notice
    ";
    play(farm(1), script);
}

#[test]
fn a_rule_sets_the_share_of_a_program_and_never_compounds() {
    let mut plan = farm(1);
    zone_of(&mut plan, "z1").soil =
        SoilRule::Moisture { start_below: permyriad(500), stop_above: permyriad(3000) };
    plan.programs.insert("night".parse().unwrap(), program(&[("z1", 10)]));
    let script = "
        0 ready
        10 rule adjust night 50
        > @10 farm adjusted by rule heat: rule_adjusted_from
        11 rule adjust night 50
        > @11 farm adjusted by rule heat: rule_adjusted
        12 rule adjust none 50
        > @12 farm refused by rule heat: unknown_program
        600 wait
        > @600 farm scheduled by program night: program_start
        > @600 open z1 #2 300s ttl 30s program_run
        > @600 z1 started by program night: program_run #2
    ";
    play(plan, script);
}
