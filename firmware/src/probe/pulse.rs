//! Pulses of a water meter or a rain gauge: what counts as one, and how a counter that wraps is read.
//!
//! Reed contacts bounce for some milliseconds when they close and when they open, and long cables catch spikes. A pulse
//! is a contact that stayed closed for a while, counted when it opens: neither a bounce nor a spike lasts that long.

use crate::probe::Sample;
use embedded_hal::digital::InputPin;

/// Shortest pulse of a reed meter or tipping bucket, µs: reeds bounce below 5 ms, and the contact of a meter with 100
/// pulses a second is closed for half of the time.
pub const PULSE_US_MIN: u32 = 5000;

/// Counts the pulses of one contact from its edges. The count wraps; [`Wrapping`] reads it.
#[derive(Clone, Copy, Debug)]
pub struct PulseFilter {
    us_min: u32,
    closed_at: Option<u64>,
    count: u32,
}

impl PulseFilter {
    /// A filter that takes a contact for closed from `us_min` on.
    #[must_use]
    pub const fn new(us_min: u32) -> Self {
        Self { us_min, closed_at: None, count: 0 }
    }

    /// The contact changed at `now_us`, which does not go back. A level that is told twice changes nothing.
    pub const fn edge(&mut self, now_us: u64, is_closed: bool) {
        match (self.closed_at, is_closed) {
            (None, true) => self.closed_at = Some(now_us),
            (Some(closed_at), false) => {
                self.closed_at = None;
                if now_us.saturating_sub(closed_at) >= self.us_min as u64 {
                    self.count = self.count.wrapping_add(1);
                }
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// Pulses since the filter was made, from 0 again after 2^32 of them.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }
}

/// A contact to ground on a pin that a pull-up keeps high, looked at rather than told by interrupts.
#[derive(Debug)]
pub struct PulsePin<P> {
    pin: P,
    filter: PulseFilter,
}

impl<P: InputPin> PulsePin<P> {
    /// On its pin; pulses must be longer than the time between two looks.
    pub const fn new(pin: P, us_min: u32) -> Self {
        Self { pin, filter: PulseFilter::new(us_min) }
    }

    /// Looks at the pin and gives the count. A pin that cannot be read counts as unchanged.
    pub fn look(&mut self, now_us: u64) -> u32 {
        if let Ok(is_closed) = self.pin.is_low() {
            self.filter.edge(now_us, is_closed);
        }
        self.filter.count()
    }
}

/// Reads a counter that begins at 0 again after `2^bits - 1`, in hardware or not.
#[derive(Clone, Copy, Debug)]
pub struct Wrapping {
    last: u32,
    mask: u32,
}

impl Wrapping {
    /// A counter of `bits` bits, 1 to 32, that shows `now` at this moment.
    #[must_use]
    pub const fn new(bits: u32, now: u32) -> Self {
        let mask = if bits >= 32 { u32::MAX } else { (1 << bits) - 1 };
        Self { last: now & mask, mask }
    }

    /// Counted since the last call; it must be called before the counter has gone round once.
    pub const fn advance(&mut self, now: u32) -> u32 {
        let n_new = now.wrapping_sub(self.last) & self.mask;
        self.last = now & self.mask;
        n_new
    }

    /// Whether the counter has moved since the last call of [`Self::advance`].
    #[must_use]
    pub const fn has_moved(&self, now: u32) -> bool {
        now & self.mask != self.last
    }
}

/// A tipping bucket: each tip is the same amount of rain.
#[derive(Clone, Copy, Debug)]
pub struct Tips {
    counter: Wrapping,
    /// Rain of one tip in the metric's steps.
    step: u16,
}

impl Tips {
    /// A gauge of `step` thousandths of a millimetre a tip, whose counter of 32 bits shows `now`.
    #[must_use]
    pub const fn new(step: u16, now: u32) -> Self {
        Self { counter: Wrapping::new(32, now), step }
    }

    /// The rain since the last call.
    pub fn take(&mut self, now: u32) -> Sample {
        let n_tips = i32::try_from(self.counter.advance(now)).unwrap_or(i32::MAX);
        Sample::Value { value: n_tips.saturating_mul(i32::from(self.step)), raw: Some(n_tips) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Looks at a pin every `step_us` and gives the last count.
    fn count(levels: &[State], step_us: u64, us_min: u32) -> u32 {
        let looks: Vec<Transaction> = levels.iter().map(|level| Transaction::get(*level)).collect();
        let mut pin = Mock::new(&looks);
        let mut pulses = PulsePin::new(pin.clone(), us_min);
        let mut n_counted = 0;
        for look in 0..levels.len() {
            n_counted = pulses.look(u64::try_from(look).expect("few") * step_us);
        }
        pin.done();
        n_counted
    }

    fn levels(text: &str) -> Vec<State> {
        text.chars().map(|level| if level == '_' { State::Low } else { State::High }).collect()
    }

    #[test]
    fn a_pulse_counts_once_however_it_bounces() {
        let check = |text: &str, want: u32| assert_eq!(count(&levels(text), 1000, 5000), want, "{text}");
        check("^^^______^^^", 1);
        check("^^^_^_^______^_^_^^^", 1);
        check("^^^______^^^______^^^", 2);
        // A spike, and a closed contact that has not opened yet.
        check("^^^_^^^", 0);
        check("^^^________", 0);
        check("________^^^", 1);
    }

    #[test]
    fn a_pin_that_cannot_be_read_changes_nothing() {
        use embedded_hal_mock::eh1::MockError;
        let fault = || Transaction::get(State::High).with_error(MockError::Io(std::io::ErrorKind::Other));
        let looks = [Transaction::get(State::Low), fault(), Transaction::get(State::High)];
        let mut pin = Mock::new(&looks);
        let mut pulses = PulsePin::new(pin.clone(), 5000);
        assert_eq!([0, 4000, 8000].map(|at| pulses.look(at)), [0, 0, 1]);
        pin.done();
    }

    #[test]
    fn counters_go_on_over_their_end() {
        let mut counter = Wrapping::new(16, 65_530);
        assert_eq!([65_535, 3, 3, 40_000].map(|now| counter.advance(now)), [5, 4, 0, 39_997]);
        assert!(counter.has_moved(40_001) && !counter.has_moved(40_000));
        let mut counter = Wrapping::new(32, u32::MAX);
        assert_eq!([u32::MAX, 0, 9].map(|now| counter.advance(now)), [0, 1, 9]);
        let mut filter = PulseFilter { us_min: 1, closed_at: None, count: u32::MAX };
        filter.edge(0, true);
        filter.edge(10, false);
        assert_eq!(filter.count(), 0);
    }

    #[test]
    fn tips_are_rain_since_the_last_reading() {
        let mut gauge = Tips::new(200, 7);
        assert_eq!(gauge.take(7), Sample::Value { value: 0, raw: Some(0) });
        assert_eq!(gauge.take(12), Sample::Value { value: 1000, raw: Some(5) });
        assert_eq!(gauge.take(6), Sample::Value { value: i32::MAX, raw: Some(i32::MAX) }, "a broken counter");
    }

    proptest! {
        #[test]
        fn no_water_is_counted_twice_or_forgotten(bits in 1..=32_u32, start: u32, steps: Vec<u16>) {
            let mut counter = Wrapping::new(bits, start);
            let mask = u32::MAX >> (32 - bits);
            let (mut shown, mut counted, mut flowed) = (start, 0_u64, 0_u64);
            for step in steps {
                let step = u32::from(step) & mask;
                shown = shown.wrapping_add(step);
                flowed += u64::from(step);
                counted += u64::from(counter.advance(shown & mask));
            }
            prop_assert_eq!(counted, flowed);
        }

        #[test]
        fn bounces_never_add_pulses(n_pulses in 0..20_u32, bounces in proptest::collection::vec(0..4999_u64, 0..40)) {
            let mut filter = PulseFilter::new(PULSE_US_MIN);
            let (mut now, mut bounce) = (0, bounces.into_iter().cycle());
            for _ in 0..n_pulses {
                for closing in [true, false] {
                    // A few short flickers, then the contact rests for 20 ms.
                    for _ in 0..3 {
                        filter.edge(now, closing);
                        now += bounce.next().unwrap_or(0) / 8;
                        filter.edge(now, !closing);
                        now += bounce.next().unwrap_or(0) / 8;
                    }
                    filter.edge(now, closing);
                    now += 20_000;
                }
            }
            prop_assert_eq!(filter.count(), n_pulses);
        }
    }
}
