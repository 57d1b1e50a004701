//! One switch that feeds two kinds of probes: it is on while either kind needs it.
//!
//! Chips are short of pins. What one kind gets because the other needs it costs a little energy and does no harm; what must not happen is
//! that the end of a reading of one takes the supply from the other while that warms up.

use core::cell::{Cell, RefCell};
use embedded_hal::digital::{Error, ErrorKind, ErrorType, OutputPin};

/// The switch, high when on.
#[derive(Debug)]
pub struct Supply<P> {
    pin: RefCell<P>,
    /// Whether the analog probes need it, and those on the line.
    needs: [Cell<bool>; 2],
}

impl<P: OutputPin> Supply<P> {
    /// On a pin that is off.
    pub const fn new(pin: P) -> Self {
        Self { pin: RefCell::new(pin), needs: [Cell::new(false), Cell::new(false)] }
    }

    /// As the analog probes have it.
    pub const fn analog(&self) -> Feed<'_, P> {
        let [need, _] = &self.needs;
        Feed { supply: self, need }
    }

    /// As the probes on the RS485 line have it.
    pub const fn line(&self) -> Feed<'_, P> {
        let [_, need] = &self.needs;
        Feed { supply: self, need }
    }
}

/// The switch as one kind of probes has it: off only means that these do not need it.
#[derive(Debug)]
pub struct Feed<'a, P> {
    supply: &'a Supply<P>,
    need: &'a Cell<bool>,
}

/// The pin did not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck;

impl Error for Stuck {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl<P> ErrorType for Feed<'_, P> {
    type Error = Stuck;
}

impl<P: OutputPin> OutputPin for Feed<'_, P> {
    fn set_high(&mut self) -> Result<(), Stuck> {
        self.need.set(true);
        self.drive()
    }

    fn set_low(&mut self) -> Result<(), Stuck> {
        self.need.set(false);
        self.drive()
    }
}

impl<P: OutputPin> Feed<'_, P> {
    fn drive(&self) -> Result<(), Stuck> {
        let on = self.supply.needs.iter().any(Cell::get);
        // Nobody keeps it for longer than this.
        let mut pin = self.supply.pin.try_borrow_mut().map_err(|_| Stuck)?;
        pin.set_state(on.into()).map_err(|_| Stuck)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hand_clock::block_on;
    use crate::probe::{Adc, Analog, AnalogPlan};
    use embedded_hal_mock::eh1::MockError;
    use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};
    use giot_shared::units::Millivolts;
    use std::io::ErrorKind as IoErrorKind;

    struct Steady;

    impl Adc for Steady {
        type Error = ();
        fn read(&mut self, _: u8) -> Result<Millivolts, ()> {
            Ok(Millivolts(1500))
        }
    }

    /// A reading of an analog probe; what the pin became, in order.
    fn check(line: &[bool], wanted: &[State]) {
        let wanted: std::vec::Vec<_> = wanted.iter().map(|state| Transaction::set(*state)).collect();
        let mut pin = Mock::new(&wanted);
        let supply = Supply::new(pin.clone());
        for on in line {
            supply.line().set_state((*on).into()).expect("it follows");
        }
        let read = block_on(Analog::new(supply.analog(), AnalogPlan::new(0)).read(&mut Steady));
        assert!(read.is_ok());
        pin.done();
    }

    #[test]
    fn the_end_of_a_reading_leaves_the_line_its_supply() {
        use State::{High, Low};
        check(&[], &[High, Low]);
        check(&[true], &[High, High, High]);
        check(&[true, false], &[High, Low, High, Low]);
    }

    #[test]
    fn a_switch_that_fails_is_told() {
        let failing = Transaction::set(State::High).with_error(MockError::Io(IoErrorKind::Other));
        let mut pin = Mock::new(&[failing]);
        assert_eq!(Supply::new(pin.clone()).line().set_high(), Err(Stuck));
        pin.done();
    }
}
