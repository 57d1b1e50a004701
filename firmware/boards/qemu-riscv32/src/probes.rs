//! The probes of the node on this machine: devices on the RS485 line, switches and a rain gauge.

use crate::gpio::{CONTACTS, Gpio};
use crate::serial::Serial;
use core::cell::RefCell;
use giot_firmware::board::Probes;
use giot_firmware::probe::modbus::Line;
use giot_firmware::probe::{Contacts, ProbeFault, Sample, Tips};
use giot_firmware::settings::{Input, Installation, PROBES_MAX, ProbePlan};
use giot_shared::ids::ProbeId;
use giot_shared::metric::Metric;

/// A probe in the installation: its metric and how it is connected.
type ProbeInputs = heapless::Vec<(ProbeId, Metric, Input), PROBES_MAX>;

/// The switches, which the board looks at and a planned reading tells.
pub(crate) type Switches = RefCell<Contacts>;

/// Everything that is read as planned.
pub(crate) struct QemuProbes<'a> {
    gpio: &'a Gpio,
    rs485: Line<Serial>,
    probes: ProbeInputs,
    switches: &'a Switches,
    /// The rain gauge has one counter, so that there is one gauge.
    tips: Option<Tips>,
}

impl<'a> QemuProbes<'a> {
    /// Takes everything that is read.
    pub(crate) fn new(
        gpio: &'a Gpio,
        rs485: Line<Serial>,
        switches: &'a Switches,
        installation: &Installation,
    ) -> Self {
        let tips = plans(installation).find_map(|(_, input)| match input {
            Input::Tips { step, .. } => Some(Tips::new(step, gpio.tips())),
            Input::Analog(_) | Input::Modbus { .. } | Input::Contact { .. } => None,
        });
        let probes = plans(installation).map(|(plan, input)| (plan.probe, plan.metric, input)).collect();
        Self { gpio, rs485, probes, switches, tips }
    }
}

impl Probes for QemuProbes<'_> {
    async fn read_probe(&mut self, probe: ProbeId) -> Result<Sample, ProbeFault> {
        let known = self.probes.iter().find(|(number, _, _)| *number == probe);
        match known {
            Some(&(_, metric, Input::Modbus { address, preset })) => {
                let sample = self.rs485.sample(address, preset, metric).await;
                #[cfg(feature = "fault-injection")]
                crate::haste::release();
                sample
            }
            Some((_, _, Input::Contact { .. })) => self.switches.borrow().sample(probe),
            Some((_, _, Input::Tips { .. })) => {
                let count = self.gpio.tips();
                self.tips.as_mut().map(|tips| tips.take(count)).ok_or(ProbeFault::NoAnswer)
            }
            Some((_, _, Input::Analog(_))) | None => Err(ProbeFault::NoAnswer),
        }
    }
}

/// The switches of an installation.
pub(crate) fn switches(gpio: &Gpio, installation: &Installation) -> Switches {
    RefCell::new(Contacts::new(plans(installation), |channel| gpio.is_closed(channel)))
}

fn plans(installation: &Installation) -> impl Iterator<Item = (&ProbePlan, Input)> {
    let plans = installation.config.probes.iter();
    plans.filter_map(|plan| Some((plan, installation.input(plan.probe)?)))
}

/// What the board says to a plan with other probes.
pub(crate) const LACKS_INPUT: &str = "this board reads Modbus probes, switches 0 to 15 and one rain gauge";

/// Whether the board can read all of these probes.
pub(crate) fn has_inputs<'p>(inputs: impl IntoIterator<Item = &'p (ProbeId, Input)>) -> bool {
    let mut n_gauges = 0;
    inputs.into_iter().all(|(_, input)| match input {
        Input::Analog(_) => false,
        Input::Modbus { .. } => true,
        Input::Contact { channel, .. } => *channel < CONTACTS,
        Input::Tips { .. } => {
            n_gauges += 1;
            n_gauges == 1
        }
    })
}
