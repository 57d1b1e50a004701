//! Bytes that are no orders: nothing they do moves a valve.

use super::*;

/// Numbers that look like none, the same in every run.
fn noise(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn ten_thousand_frames_of_anything_move_no_valve() {
    let mut rig = Rig::anchored();
    let good = seal(&id(), &key(), Downlink::Order(rig.counter + 1, Order::Open(rig.opening(0, 60))));
    let n_moves = rig.moves.len();
    let mut state = 0x5eed;
    for number in 0..10_000_u32 {
        let mut frame = good.clone();
        let at = usize::try_from(noise(&mut state) >> 32).expect("32 bits") % frame.len();
        let byte = noise(&mut state).to_le_bytes()[3];
        match number % 4 {
            0 => frame = (0..at * 3).map(|_| noise(&mut state).to_le_bytes()[4]).collect(),
            1 => frame[at] ^= byte.max(1),
            2 => frame.truncate(at),
            _ => frame.insert(at, byte),
        }
        if frame != good {
            rig.down_bytes(&frame);
        }
    }
    assert_eq!((rig.moves.len(), rig.open[0]), (n_moves, false));
    rig.down_bytes(&good);
    assert!(rig.open[0], "unharmed it opens");
}
