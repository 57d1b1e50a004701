//! How a valve's coils are fed: the two ways in which drip valves are built.
//!
//! Nothing is decided here; [`crate::node`] says which valve moves when. A board that gives its pins to these drives keeps
//! the promise that a latching coil gets pulses only, whatever else happens.

use crate::board::DriveFault;
use embassy_time::Timer;
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;

/// Length of a latching valve's pulse, ms: makers ask for 20 to 100.
pub const PULSE_MS: u64 = 50;
/// [`PULSE_MS`] for a delay that blocks.
const PULSE_BLOCKING_MS: u32 = 50;
/// Rest after a pulse, ms: the capacitor that feeds it fills again.
pub const REST_MS: u64 = 100;

/// A valve that is open while its coil is fed (24 VAC, normally closed).
#[derive(Debug)]
pub struct Relay<P>(P);

impl<P: OutputPin> Relay<P> {
    /// On the pin of its relay, high when on.
    pub const fn new(pin: P) -> Self {
        Self(pin)
    }

    /// Feeds the coil, or does not.
    ///
    /// # Errors
    /// [`DriveFault`] when the pin does not follow.
    pub fn drive(&mut self, open: bool) -> Result<(), DriveFault> {
        self.0.set_state(open.into()).map_err(|_| DriveFault)
    }
}

/// A valve that moves on a pulse and stays: one coil opens it, one closes it.
#[derive(Debug)]
pub struct Latching<O, C> {
    opening: O,
    closing: C,
}

impl<O: OutputPin, C: OutputPin> Latching<O, C> {
    /// On the pins of its two coils, high when fed.
    pub const fn new(opening: O, closing: C) -> Self {
        Self { opening, closing }
    }

    /// Gives `times` pulses, one after the other, each with its rest.
    ///
    /// # Errors
    /// [`DriveFault`] when a pin does not follow; both coils were told to be without current before it is returned.
    pub async fn drive(&mut self, open: bool, times: u8) -> Result<(), DriveFault> {
        for _ in 0..times {
            let fed = if open { self.opening.set_high().is_ok() } else { self.closing.set_high().is_ok() };
            if fed {
                Timer::after_millis(PULSE_MS).await;
            }
            // Both, whichever it was: a coil that stays fed burns.
            let off = self.opening.set_low().is_ok() & self.closing.set_low().is_ok();
            if !fed || !off {
                return Err(DriveFault);
            }
            Timer::after_millis(REST_MS).await;
        }
        Ok(())
    }

    /// One closing pulse that waits for nobody, for the moment in which the supply fails: the reserve of a capacitor is
    /// spent before anything else runs. Whatever coil was fed is without current first.
    ///
    /// # Errors
    /// [`DriveFault`] when a pin does not follow; both coils were told to be without current before it is returned.
    pub fn close_now(&mut self, delay: &mut impl DelayNs) -> Result<(), DriveFault> {
        const { assert!(PULSE_BLOCKING_MS as u64 == PULSE_MS) };
        let cleared = self.opening.set_low().is_ok();
        let fed = self.closing.set_high().is_ok();
        if fed {
            delay.delay_ms(PULSE_BLOCKING_MS);
        }
        let off = self.opening.set_low().is_ok() & self.closing.set_low().is_ok();
        if cleared && fed && off { Ok(()) } else { Err(DriveFault) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hand_clock::{block_on, now_ms};
    use embedded_hal_mock::eh1::MockError;
    use embedded_hal_mock::eh1::delay::CheckedDelay;
    use embedded_hal_mock::eh1::delay::Transaction as Wait;
    use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};
    use std::io::ErrorKind;
    use std::vec::Vec;

    fn high() -> Transaction {
        Transaction::set(State::High)
    }

    fn low() -> Transaction {
        Transaction::set(State::Low)
    }

    fn check(
        open: bool,
        times: u8,
        opening: &[Transaction],
        closing: &[Transaction],
        want: Result<(), DriveFault>,
    ) {
        let (mut a, mut b) = (Mock::new(opening), Mock::new(closing));
        assert_eq!(block_on(Latching::new(a.clone(), b.clone()).drive(open, times)), want);
        a.done();
        b.done();
    }

    #[test]
    fn a_relay_follows() {
        let mut pin = Mock::new(&[high(), low()]);
        let mut relay = Relay::new(pin.clone());
        assert_eq!(relay.drive(true), Ok(()));
        assert_eq!(relay.drive(false), Ok(()));
        pin.done();
    }

    #[test]
    fn a_pulse_goes_to_one_coil_and_ends() {
        check(true, 1, &[high(), low()], &[low()], Ok(()));
        check(false, 1, &[low()], &[high(), low()], Ok(()));
    }

    #[test]
    fn two_pulses_come_one_after_the_other() {
        let began_ms = now_ms();
        check(false, 2, &[low(), low()], &[high(), low(), high(), low()], Ok(()));
        assert_eq!(now_ms() - began_ms, 2 * (PULSE_MS + REST_MS));
        check(false, 0, &[], &[], Ok(()));
    }

    #[test]
    fn a_failing_supply_closes_with_one_pulse_after_the_open_coil_is_cut() {
        let check = |opening: &[Transaction], closing: &[Transaction], waits: &[Wait], want| {
            let (mut a, mut b) = (Mock::new(opening), Mock::new(closing));
            let mut delay = CheckedDelay::new(waits);
            assert_eq!(Latching::new(a.clone(), b.clone()).close_now(&mut delay), want);
            a.done();
            b.done();
            delay.done();
        };
        let pulse = [Wait::delay_ms(50)];
        check(&[low(), low()], &[high(), low()], &pulse, Ok(()));
        let error = MockError::Io(ErrorKind::Other);
        check(&[low(), low()], &[high().with_error(error.clone()), low()], &[], Err(DriveFault));
        check(&[low().with_error(error), low()], &[high(), low()], &pulse, Err(DriveFault));
    }

    #[test]
    fn no_coil_stays_fed_when_a_pin_fails() {
        let failing = |transaction: Transaction| transaction.with_error(MockError::Io(ErrorKind::Other));
        check(true, 2, &[failing(high()), low()], &[low()], Err(DriveFault));
        let stuck: Vec<Transaction> = [high(), failing(low())].into();
        check(true, 2, &stuck, &[low()], Err(DriveFault));
    }
}
