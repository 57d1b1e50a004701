//! What keeps valves closed: a node that is told to end, a supply that is too low.

use super::*;

#[test]
fn a_node_that_is_told_to_end_closes_every_valve_of_its_plan_and_opens_none() {
    let mut config = config();
    config.valves[1].kind = ValveKind::Latching;
    let mut rig = Rig::with(config, boot(ResetCause::PowerOn, Kept::default()));
    rig.node.handle_button(rig.now, ValveId(1));
    rig.drain();
    // An opening that waits for the flash.
    rig.node.handle_button(rig.now, ValveId(0));
    rig.moves.clear();
    rig.now = at(5);
    rig.node.shut(rig.now);
    let movement = rig.node.moves.iter().find(|movement| movement.drive.valve == ValveId(1));
    assert_eq!(movement.map(|movement| (movement.drive.open, movement.drive.times)), Some((false, 2)));
    rig.drain();
    let reason = DriveReason::Closing(CloseReason::Boot);
    rig.moves.sort_unstable_by_key(|(valve, ..)| *valve);
    assert_eq!(rig.moves, [(0, false, reason), (1, false, reason)]);
    assert_eq!(rig.open, [false; 2]);
    assert_eq!(rig.closed_by(), [Some(CloseReason::Boot)], "the run that watered");
    assert!(rig.kept.running.is_empty());
}

#[test]
fn a_falling_supply_closes_everything_and_opens_nothing() {
    let mut rig = Rig::anchored();
    rig.open(0, 3000);
    rig.open(1, 3000);
    rig.supply = Millivolts(3299);
    rig.go(at(5));
    assert_eq!(rig.open, [false, false]);
    assert_eq!(rig.closed_by(), [Some(CloseReason::BrownOut); 2]);
    rig.supply = Millivolts(3599);
    rig.go(at(10));
    rig.open(0, 60);
    assert_eq!(rig.last_answer().1, Some(RefusalReason::LowPower), "not before it has recovered");
    rig.supply = Millivolts(3600);
    rig.go(at(15));
    rig.open(0, 60);
    assert_eq!(rig.last_answer().1, None);
}

#[test]
fn nothing_opens_before_the_supply_was_looked_at_afresh() {
    let mut rig = Rig::anchored();
    // Since the last record of its own state the battery has run down.
    rig.supply = Millivolts(3200);
    rig.now = at(60);
    rig.node.handle_button(rig.now, ValveId(0));
    rig.drain();
    assert!(rig.moves.is_empty(), "by the button: {:?}", rig.moves);
    rig.supply = Millivolts(4000);
    rig.go(at(120));
    rig.open(0, 60);
    assert!(rig.open[0], "it has recovered");
    rig.close(None);
    rig.moves.clear();
    rig.supply = Millivolts(3200);
    rig.open(1, 60);
    assert!(rig.moves.is_empty(), "by a command: {:?}", rig.moves);
    assert_eq!(rig.last_answer().1, Some(RefusalReason::LowPower));
    assert!(rig.kept.running.is_empty());
}
