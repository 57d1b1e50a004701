//! Switches in the field: the float of a tank, a pressure switch. A change counts when it has lasted.
//!
//! Each change becomes a reading at once, and each planned reading tells the present state, so that a switch whose cable
//! was cut is not taken for one that never moves: both are seen in the history.

use crate::probe::{ProbeFault, Sample};
use crate::settings::{Input, PROBES_MAX, ProbePlan};
use giot_shared::ids::ProbeId;
use giot_shared::metric::Metric;
use giot_shared::time::UptimeMs;

/// A level that counts only after it has lasted.
#[derive(Clone, Copy, Debug)]
pub struct Debounce {
    level: bool,
    hold_ms: u64,
    /// Since when the other level stands.
    other_since: Option<UptimeMs>,
}

impl Debounce {
    /// An input at `level` whose changes must last for `hold_ms`.
    #[must_use]
    pub const fn new(level: bool, hold_ms: u64) -> Self {
        Self { level, hold_ms, other_since: None }
    }

    /// A look at the input. Gives the new level when it counts from now on.
    pub fn look(&mut self, now: UptimeMs, level: bool) -> Option<bool> {
        if level == self.level {
            self.other_since = None;
            return None;
        }
        let since = *self.other_since.get_or_insert(now);
        if now.since_ms(since) < self.hold_ms {
            return None;
        }
        self.level = level;
        self.other_since = None;
        Some(level)
    }

    /// The level that counts.
    #[must_use]
    pub const fn level(&self) -> bool {
        self.level
    }
}

/// The switches of one node.
#[derive(Clone, Debug, Default)]
pub struct Contacts {
    contacts: heapless::Vec<Contact, PROBES_MAX>,
}

#[derive(Clone, Debug)]
struct Contact {
    probe: ProbeId,
    metric: Metric,
    channel: u8,
    is_inverted: bool,
    debounce: Debounce,
}

impl Contacts {
    /// The planned probes that are switches, with the level that `is_closed` shows for their channel.
    #[must_use]
    pub fn new<'p>(
        plans: impl IntoIterator<Item = (&'p ProbePlan, Input)>,
        is_closed: impl Fn(u8) -> bool,
    ) -> Self {
        let contact = |(plan, input): (&ProbePlan, Input)| match input {
            Input::Contact { channel, is_inverted, hold_ms } => Some(Contact {
                probe: plan.probe,
                metric: plan.metric,
                channel,
                is_inverted,
                debounce: Debounce::new(is_closed(channel) != is_inverted, u64::from(hold_ms)),
            }),
            Input::Analog(_) | Input::Modbus { .. } | Input::Tips { .. } => None,
        };
        Self { contacts: plans.into_iter().filter_map(contact).take(PROBES_MAX).collect() }
    }

    /// A look at the inputs, at least every few tens of milliseconds. Gives one change; the others come at the next look.
    pub fn look(&mut self, now: UptimeMs, is_closed: impl Fn(u8) -> bool) -> Option<(ProbeId, Metric, i32)> {
        self.contacts.iter_mut().find_map(|contact| {
            let level = is_closed(contact.channel) != contact.is_inverted;
            let changed = contact.debounce.look(now, level)?;
            Some((contact.probe, contact.metric, i32::from(changed)))
        })
    }

    /// The present state of a switch as a planned reading.
    ///
    /// # Errors
    /// [`ProbeFault::NoAnswer`] for a probe that is no switch.
    pub fn sample(&self, probe: ProbeId) -> Result<Sample, ProbeFault> {
        let contact = self.contacts.iter().find(|contact| contact.probe == probe);
        let contact = contact.ok_or(ProbeFault::NoAnswer)?;
        Ok(Sample::Value { value: i32::from(contact.debounce.level()), raw: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::digital::InputPin;
    use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};
    use std::cell::RefCell;
    use std::vec::Vec;

    const FLOAT: ProbeId = ProbeId(3);
    const PRESSURE: ProbeId = ProbeId(4);

    fn contacts(is_closed: impl Fn(u8) -> bool) -> Contacts {
        let plans = [
            ProbePlan::new(FLOAT, Metric::TankFloat),
            ProbePlan::new(PRESSURE, Metric::PressureSwitch),
            ProbePlan::new(ProbeId(0), Metric::SoilMoisture),
        ];
        let inputs = [
            Input::Contact { channel: 0, is_inverted: false, hold_ms: 1000 },
            Input::Contact { channel: 1, is_inverted: true, hold_ms: 0 },
            Input::Tips { channel: 0, step: 200 },
        ];
        Contacts::new(plans.iter().zip(inputs), is_closed)
    }

    #[test]
    fn a_wave_in_the_tank_is_no_change() {
        // One look every 400 ms at the pins of the float: open, three waves, then water that stays.
        let looks = [0, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1]
            .map(|closed| Transaction::get(if closed == 1 { State::Low } else { State::High }));
        let mut pin = Mock::new(&looks);
        let reader = RefCell::new(pin.clone());
        let is_closed = |channel: u8| channel == 0 && reader.borrow_mut().is_low().expect("a level");
        let mut switches = contacts(is_closed);
        let mut changes = Vec::new();
        for look in 1..11_u64 {
            changes.extend(switches.look(UptimeMs(look * 400), is_closed).map(|change| (look, change)));
        }
        assert_eq!(changes, [(9, (FLOAT, Metric::TankFloat, 1))], "it has lasted since look 6");
        pin.done();
    }

    #[test]
    fn switches_are_told_one_by_one_and_may_be_inverted() {
        let mut switches = contacts(|_| false);
        let value = |switches: &Contacts, probe| switches.sample(probe);
        let is = |value| Ok(Sample::Value { value, raw: None });
        assert_eq!((value(&switches, FLOAT), value(&switches, PRESSURE)), (is(0), is(1)));
        assert_eq!(value(&switches, ProbeId(0)), Err(ProbeFault::NoAnswer), "no switch");
        assert_eq!(switches.look(UptimeMs(0), |_| true), Some((PRESSURE, Metric::PressureSwitch, 0)));
        assert_eq!(switches.look(UptimeMs(999), |_| true), None);
        assert_eq!(switches.look(UptimeMs(1000), |_| true), Some((FLOAT, Metric::TankFloat, 1)));
        assert_eq!(switches.look(UptimeMs(5000), |_| true), None);
        assert_eq!((value(&switches, FLOAT), value(&switches, PRESSURE)), (is(1), is(0)));
    }
}
