//! Analog capacitive probe: powered only while it is read, median of several samples.
//!
//! Power first, then the warm-up (the board's sleep lies between the two calls), then samples, then power off on every
//! path: a probe that stays powered corrodes and heats the soil around it.

use super::{ProbeFault, Sample};
use embassy_time::Timer;
use embedded_hal::digital::OutputPin;
use giot_shared::units::Millivolts;

/// Most samples of one reading: the noise falls with the square root of their number, the battery with the number.
pub const SAMPLES_MAX: usize = 15;

/// One analog-to-digital converter; embedded-hal 1.0 has no trait for it.
pub trait Adc {
    /// Why a conversion failed.
    type Error;

    /// One conversion of `channel`, in millivolts.
    ///
    /// # Errors
    /// When the converter did not finish.
    fn read(&mut self, channel: u8) -> Result<Millivolts, Self::Error>;
}

/// How one probe is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnalogPlan {
    /// Converter channel.
    pub channel: u8,
    /// Time from power to the first sample, ms; to be measured for each make of probe.
    pub warm_up_ms: u16,
    /// Samples of one reading, 1 to [`SAMPLES_MAX`]; others are clamped.
    pub n_samples: u8,
}

impl AnalogPlan {
    /// Nine samples after 300 ms.
    #[must_use]
    pub const fn new(channel: u8) -> Self {
        Self { channel, warm_up_ms: 300, n_samples: 9 }
    }
}

/// A probe behind a power pin and a converter channel.
#[derive(Debug)]
pub struct Analog<P> {
    power: P,
    plan: AnalogPlan,
}

impl<P: OutputPin> Analog<P> {
    /// The probe, not powered yet.
    pub const fn new(power: P, plan: AnalogPlan) -> Self {
        Self { power, plan }
    }

    /// Powers the probe, lets it warm up, takes the samples and powers it off. A future that is dropped leaves it powered: the next
    /// read, or [`Self::power_off`], ends that.
    ///
    /// # Errors
    /// [`ProbeFault::NoAnswer`] when converter or pin failed.
    pub async fn read<A: Adc>(&mut self, adc: &mut A) -> Result<Sample, ProbeFault> {
        let warm_up_ms = match self.power_on() {
            Ok(warm_up_ms) => warm_up_ms,
            Err(fault) => {
                // Half a switch may have moved.
                self.power_off()?;
                return Err(fault);
            }
        };
        Timer::after_millis(u64::from(warm_up_ms)).await;
        self.sample(adc)
    }

    /// Powers the probe and returns the warm-up in ms that the caller sleeps before [`Self::sample`].
    ///
    /// # Errors
    /// [`ProbeFault::NoAnswer`] when the pin does not follow.
    pub fn power_on(&mut self) -> Result<u16, ProbeFault> {
        self.power.set_high().map_err(|_| ProbeFault::NoAnswer)?;
        Ok(self.plan.warm_up_ms)
    }

    /// Takes the power away, for a read that was given up.
    ///
    /// # Errors
    /// [`ProbeFault::NoAnswer`] when the pin does not follow.
    pub fn power_off(&mut self) -> Result<(), ProbeFault> {
        self.power.set_low().map_err(|_| ProbeFault::NoAnswer)
    }

    /// Takes the samples and powers the probe off.
    ///
    /// # Errors
    /// [`ProbeFault::NoAnswer`] when the converter or the pin failed.
    pub fn sample<A: Adc>(&mut self, adc: &mut A) -> Result<Sample, ProbeFault> {
        let sample = self.median(adc);
        self.power_off()?;
        sample
    }

    fn median<A: Adc>(&self, adc: &mut A) -> Result<Sample, ProbeFault> {
        let mut samples: heapless::Vec<Millivolts, SAMPLES_MAX> = heapless::Vec::new();
        let count = usize::from(self.plan.n_samples).clamp(1, SAMPLES_MAX);
        for _ in 0..count {
            let sample = adc.read(self.plan.channel).map_err(|_| ProbeFault::NoAnswer)?;
            samples.push(sample).map_err(|_| ProbeFault::NoAnswer)?;
        }
        samples.sort_unstable();
        match (samples.first(), samples.get(count / 2), samples.last()) {
            (Some(low), Some(&raw), Some(high)) => {
                Ok(Sample::Analog { raw, spread_mv: high.0.saturating_sub(low.0) })
            }
            _ => Err(ProbeFault::NoAnswer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hand_clock::{block_on, now_ms};
    use embedded_hal_mock::eh1::MockError;
    use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};
    use std::io::ErrorKind;
    use std::vec::Vec;

    /// Gives the listed voltages, then fails.
    struct Scripted(Vec<u16>);

    impl Adc for Scripted {
        type Error = ();
        fn read(&mut self, channel: u8) -> Result<Millivolts, ()> {
            assert_eq!(channel, 2);
            if self.0.is_empty() { Err(()) } else { Ok(Millivolts(self.0.remove(0))) }
        }
    }

    fn check(voltages: &[u16], want: Result<Sample, ProbeFault>) {
        let mut pin = Mock::new(&[Transaction::set(State::High), Transaction::set(State::Low)]);
        let plan = AnalogPlan { channel: 2, warm_up_ms: 200, n_samples: 5 };
        let mut probe = Analog::new(pin.clone(), plan);
        assert_eq!(probe.power_on(), Ok(200));
        assert_eq!(probe.sample(&mut Scripted(voltages.to_vec())), want, "{voltages:?}");
        pin.done();
    }

    #[test]
    fn one_spike_does_not_move_the_median() {
        check(&[1500, 3300, 1502, 1498, 1501], Ok(Sample::Analog { raw: Millivolts(1501), spread_mv: 1802 }));
    }

    #[test]
    fn power_goes_off_when_the_converter_fails() {
        check(&[1500, 1501], Err(ProbeFault::NoAnswer));
    }

    fn check_read(voltages: &[u16], want: Result<Sample, ProbeFault>) {
        let mut pin = Mock::new(&[Transaction::set(State::High), Transaction::set(State::Low)]);
        let plan = AnalogPlan { channel: 2, warm_up_ms: 200, n_samples: 3 };
        let mut probe = Analog::new(pin.clone(), plan);
        let mut adc = Scripted(voltages.to_vec());
        let began_ms = now_ms();
        assert_eq!(block_on(probe.read(&mut adc)), want);
        assert_eq!(now_ms() - began_ms, 200);
        pin.done();
    }

    #[test]
    fn a_read_warms_up_and_ends_with_the_power_off() {
        check_read(&[1500, 1499, 1501], Ok(Sample::Analog { raw: Millivolts(1500), spread_mv: 2 }));
        check_read(&[1500], Err(ProbeFault::NoAnswer));
    }

    #[test]
    fn a_switch_that_fails_is_told_to_be_off() {
        let failing = Transaction::set(State::High).with_error(MockError::Io(ErrorKind::Other));
        let mut pin = Mock::new(&[failing, Transaction::set(State::Low)]);
        let mut probe = Analog::new(pin.clone(), AnalogPlan::new(2));
        assert_eq!(block_on(probe.read(&mut Scripted(Vec::new()))), Err(ProbeFault::NoAnswer));
        pin.done();
    }

    #[test]
    fn sample_counts_are_clamped() {
        for (n_samples, used) in [(0, 1), (200, SAMPLES_MAX)] {
            let pin = Mock::new(&[Transaction::set(State::Low)]);
            let plan = AnalogPlan { channel: 2, warm_up_ms: 0, n_samples };
            let mut adc = Scripted(std::vec![1000; 20]);
            let mut probe = Analog::new(pin.clone(), plan);
            assert!(probe.sample(&mut adc).is_ok());
            assert_eq!(20 - adc.0.len(), used);
            let mut pin = pin;
            pin.done();
        }
    }
}
