//! Buttons of valves: which one a person has pressed.
//!
//! A press is the moment at which a button goes down after it was seen up. One that is held, stuck or whose cable is shorted is not
//! pressed again by a boot, by waking up or by the end of a run.

use giot_shared::ids::ValveId;

/// The buttons of one board, bit n for that of valve n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buttons {
    seen_down: u32,
}

impl Buttons {
    /// Buttons of which those in `down` were not seen up yet: all that are down when a boot begins, but for one that ended a deep sleep,
    /// which begins only while it is up.
    #[must_use]
    pub const fn new(down: u32) -> Self {
        Self { seen_down: down }
    }

    /// A look at the buttons; gives the valve of one that was pressed. One a look: the others come at the next.
    pub fn look(&mut self, down: u32) -> Option<ValveId> {
        let pressed = down & !self.seen_down;
        let first = pressed & pressed.wrapping_neg();
        self.seen_down = self.seen_down & down | first;
        (first != 0).then(|| ValveId(first.trailing_zeros().to_le_bytes()[0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at buttons as (those down, the valve whose button was pressed).
    fn check(at_boot: u32, looks: &[(u32, Option<u8>)]) {
        let mut buttons = Buttons::new(at_boot);
        for (at, (down, pressed)) in looks.iter().enumerate() {
            assert_eq!(buttons.look(*down), pressed.map(ValveId), "look {at}");
        }
    }

    #[test]
    fn a_press_is_told_once_however_long_it_lasts() {
        check(0, &[(0, None), (1, Some(0)), (1, None), (1, None), (0, None), (1, Some(0))]);
    }

    #[test]
    fn what_is_down_at_a_boot_counts_after_it_was_up() {
        check(0b101, &[(0b101, None), (0b111, Some(1)), (0b110, None), (0b111, Some(0))]);
        check(1, &[(0, None), (1, Some(0))]);
    }

    #[test]
    fn the_press_that_ended_a_sleep_counts() {
        check(0, &[(1, Some(0)), (1, None)]);
    }

    #[test]
    fn presses_at_the_same_time_come_one_a_look() {
        check(
            0,
            &[(1 << 31 | 0b110, Some(1)), (1 << 31 | 0b110, Some(2)), (1 << 31, Some(31)), (1 << 31, None)],
        );
    }
}
