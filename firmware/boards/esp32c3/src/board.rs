//! The hardware contract of the node on this board.

use crate::adc::Converter;
use crate::console::log;
use crate::inputs::{self, Event};
use crate::pins::{ActiveLow, Valves};
use crate::serial::Serial;
use crate::terminal::ENDING;
use crate::watchdog::Watchdog;
use crate::{adc, reset, sleep, wifi};
use embassy_futures::select::{Either3, select3};
use embassy_time::{Duration, Instant, Timer, with_deadline};
use embedded_hal::digital::OutputPin;
use esp_hal::rng::Rng;
use giot_firmware::board::{Board, Drive, DriveFault, NodeStatus, Outputs, Vitals, Wake};
use giot_firmware::probe::modbus::Line;
use giot_firmware::probe::{Analog, BatteryPlan, ProbeFault, Sample, Wrapping};
use giot_firmware::settings::{Input, Installation, PROBES_MAX};
use giot_firmware::sleep::{Carry, Woken};
use giot_shared::ids::{ProbeId, ValveId};
use giot_shared::metric::Metric;
use giot_shared::time::{UnixMs, UptimeMs};
use giot_shared::units::Millivolts;
use giot_shared::wire::ResetCause;

/// Longest sleep of the node's loop, ms: at its end the watchdog is fed.
const SLEEP_MS_MAX: u64 = 2000;

/// Two equal resistors in front of the battery channel, where the installation does not say otherwise.
const DIVIDER: u16 = 2;

/// A probe in the installation: its metric and how it is connected.
type ProbeInputs = heapless::Vec<(ProbeId, Metric, Input), PROBES_MAX>;

/// What the node drives and reads.
pub(crate) struct Parts {
    /// The valves' outputs.
    pub(crate) valves: Valves,
    /// Power of the analog probes.
    pub(crate) probe_power: ActiveLow,
    /// The converter.
    pub(crate) converter: Converter,
    /// The RS485 line.
    pub(crate) rs485: Line<Serial>,
    /// The lamp.
    pub(crate) lamp: ActiveLow,
    /// The watchdog.
    pub(crate) watchdog: Watchdog,
}

/// The board.
pub(crate) struct FieldBoard {
    parts: Parts,
    probes: ProbeInputs,
    battery: Option<BatteryPlan>,
    pulses: Wrapping,
    reset: ResetCause,
    woken: Option<Woken>,
    /// Whether the radio is on in this boot.
    has_radio: bool,
    uptime_base_ms: u64,
    told: Option<&'static str>,
}

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

impl FieldBoard {
    /// Takes everything that the node drives.
    pub(crate) fn new(
        parts: Parts,
        installation: &Installation,
        reset: ResetCause,
        woken: Option<Woken>,
    ) -> Self {
        let uptime_base_ms = woken.as_ref().map_or(0, |woken| woken.uptime_base_ms);
        let has_radio = woken.as_ref().is_none_or(|woken| woken.contact);
        let plans = installation.config.probes.iter();
        let probes =
            plans.filter_map(|plan| Some((plan.probe, plan.metric, installation.input(plan.probe)?)));
        let probes = probes.collect();
        let (battery, pulses) = (installation.config.battery, Wrapping::new(32, inputs::pulses()));
        Self { parts, probes, battery, pulses, reset, woken, has_radio, uptime_base_ms, told: None }
    }

    /// The moment of this boot at which the uptime is `at`.
    fn moment(&self, at: UptimeMs) -> Instant {
        Instant::from_millis(at.0.saturating_sub(self.uptime_base_ms))
    }
}

impl Board for FieldBoard {
    fn uptime(&self) -> UptimeMs {
        UptimeMs(self.uptime_base_ms + Instant::now().as_millis())
    }

    fn civil_time(&self) -> Option<UnixMs> {
        // The chip's clock stops with its supply.
        None
    }

    fn random(&mut self) -> u64 {
        random()
    }

    fn reset_cause(&self) -> ResetCause {
        self.reset
    }

    fn take_woken(&mut self) -> Option<Woken> {
        self.woken.take()
    }

    async fn sleep_deeply(&mut self, until: UptimeMs, carry: &Carry) {
        if inputs::is_held() {
            if !self.has_radio {
                // Nobody would be told anything for as long as it is held.
                reset::restart(ResetCause::Software);
            }
            return;
        }
        wifi::stop().await;
        let Ok(()) = self.parts.lamp.set_low();
        sleep::sleep(carry, until.since_ms(self.uptime()));
        // The button went down at this very moment; without the radio only a boot goes on.
        reset::restart(ResetCause::Software)
    }

    async fn drive_valve(&mut self, drive: Drive) -> Result<(), DriveFault> {
        self.parts.valves.drive(drive).await
    }

    fn has_coils(&self, valve: ValveId) -> bool {
        self.parts.valves.has_coils(valve)
    }

    async fn read_probe(&mut self, probe: ProbeId, until: Option<UptimeMs>) -> Result<Sample, ProbeFault> {
        let known = self.probes.iter().find(|(number, _, _)| *number == probe);
        let Some(&(_, metric, input)) = known else { return Err(ProbeFault::NoAnswer) };
        let until = until.map(|at| self.moment(at));
        match input {
            Input::Analog(plan) => {
                Analog::new(&mut self.parts.probe_power, plan).read(&mut self.parts.converter, until).await
            }
            Input::Modbus { address, preset } => {
                let sample = self.parts.rs485.sample(address, preset, metric);
                let until = until.unwrap_or(Instant::MAX);
                with_deadline(until, sample).await.unwrap_or(Err(ProbeFault::Interrupted))
            }
            // Every contact of this board is a button or the meter.
            Input::Contact { .. } | Input::Tips { .. } => Err(ProbeFault::NoAnswer),
        }
    }

    async fn read_vitals(&mut self) -> Vitals {
        let behind = self.parts.converter.battery();
        let before = |behind: Millivolts| match self.battery {
            Some(plan) => plan.supply(behind),
            None => Millivolts(behind.0.saturating_mul(DIVIDER)),
        };
        Vitals { supply: behind.map(before), signal_dbm: wifi::signal_dbm() }
    }

    fn take_pulses(&mut self) -> u32 {
        self.pulses.advance(inputs::pulses())
    }

    fn feed_watchdog(&mut self) {
        self.parts.watchdog.feed();
    }

    fn report(&mut self, status: &NodeStatus) {
        // Lit while nobody answers: a lamp that is always on empties a battery.
        let Ok(()) = self.parts.lamp.set_state((!status.welcomed).into());
        wifi::note_gateway(status.welcomed);
        let link = match (status.connected, status.welcomed) {
            (_, true) => "welcomed",
            (true, false) => "connected",
            (false, false) => "no link",
        };
        // Every record changes the counts; worth a line is only what became of the link.
        if self.told.replace(link) != Some(link) {
            log!("epoch {}: {link}, {} waiting, {} lost", status.epoch, status.waiting, status.lost);
        }
    }

    async fn wait(&mut self, until: Option<UptimeMs>) -> Wake {
        let latest = Instant::now() + Duration::from_millis(SLEEP_MS_MAX);
        let end = until.map_or(latest, |at| self.moment(at).min(latest));
        match select3(inputs::next(), Timer::at(end), ENDING.wanted()).await {
            Either3::First(Event::Pressed(valve)) => Wake::Button(valve),
            Either3::First(Event::Flows) | Either3::Second(()) => Wake::Timer,
            Either3::Third(()) => Wake::Stop,
        }
    }
}

/// A number that differs between boots and boards.
pub(crate) fn random() -> u64 {
    let rng = Rng::new();
    u64::from(rng.random()) << 32 | u64::from(rng.random())
}
