//! The probes of the node on this board: analog ones, powered while they are read, and devices on the RS485 line, which can have their
//! supply from the same switch.

use crate::adc::{self, Shared};
use crate::pins::ActiveLow;
use crate::serial::Serial;
use giot_firmware::board::Probes;
use giot_firmware::probe::modbus::Line;
use giot_firmware::probe::{Analog, Feed, ProbeFault, Sample};
use giot_firmware::settings::{Input, Installation, PROBES_MAX};
use giot_shared::ids::ProbeId;
use giot_shared::metric::Metric;

/// A probe in the installation: its metric and how it is connected.
type ProbeInputs = heapless::Vec<(ProbeId, Metric, Input), PROBES_MAX>;

/// What the board says to a plan with other probes.
pub(crate) const LACKS_INPUT: &str = "this board reads Modbus probes and the analog channels 0, 1 and 3";

/// Whether the board can read such a probe. Every contact of it is a button or the meter.
pub(crate) const fn has_input(input: Input) -> bool {
    match input {
        Input::Analog(plan) => adc::has_channel(plan.channel),
        Input::Modbus { .. } => true,
        Input::Contact { .. } | Input::Tips { .. } => false,
    }
}

/// Everything that is read as planned.
pub(crate) struct FieldProbes<'a> {
    power: Feed<'a, ActiveLow>,
    converter: Shared<'a>,
    rs485: Line<Serial>,
    probes: ProbeInputs,
}

impl<'a> FieldProbes<'a> {
    /// Takes everything that is read; `power` is that of the analog probes.
    pub(crate) fn new(
        power: Feed<'a, ActiveLow>,
        converter: Shared<'a>,
        rs485: Line<Serial>,
        installation: &Installation,
    ) -> Self {
        let plans = installation.config.probes.iter();
        let probes =
            plans.filter_map(|plan| Some((plan.probe, plan.metric, installation.input(plan.probe)?)));
        Self { power, converter, rs485, probes: probes.collect() }
    }
}

impl Probes for FieldProbes<'_> {
    async fn read_probe(&mut self, probe: ProbeId) -> Result<Sample, ProbeFault> {
        let known = self.probes.iter().find(|(number, _, _)| *number == probe);
        let Some(&(_, metric, input)) = known else { return Err(ProbeFault::NoAnswer) };
        match input {
            Input::Analog(plan) => Analog::new(&mut self.power, plan).read(&mut self.converter).await,
            Input::Modbus { address, preset } => self.rs485.sample(address, preset, metric).await,
            // Every contact of this board is a button or the meter.
            Input::Contact { .. } | Input::Tips { .. } => Err(ProbeFault::NoAnswer),
        }
    }
}
