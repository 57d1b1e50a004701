//! The hardware contract of the node on this board.

use crate::adc::Shared;
use crate::console::log;
use crate::inputs::{self, Event};
use crate::pins::{ActiveLow, Valves};
use crate::terminal::ENDING;
use crate::watchdog::Watchdog;
use crate::{reset, sleep, wifi};
use embassy_futures::select::{Either3, select3};
use embassy_time::{Duration, Instant, Timer};
use embedded_hal::digital::OutputPin;
use esp_hal::rng::Rng;
use giot_firmware::board::{Board, Drive, DriveFault, NodeStatus, Outputs, Vitals, Wake};
use giot_firmware::probe::{BatteryPlan, Feed, Wrapping};
use giot_firmware::sleep::{Carry, Woken};
use giot_shared::ids::ValveId;
use giot_shared::time::{UnixMs, UptimeMs};
use giot_shared::units::Millivolts;
use giot_shared::wire::ResetCause;

/// Longest sleep of the node's loop, ms: at its end the watchdog is fed.
const SLEEP_MS_MAX: u64 = 2000;

/// Two equal resistors in front of the battery channel, where the installation does not say otherwise.
const DIVIDER: u16 = 2;

/// What the node drives, and what it reads without waiting.
pub(crate) struct Parts<'a> {
    /// The valves' outputs.
    pub(crate) valves: Valves,
    /// The converter.
    pub(crate) converter: Shared<'a>,
    /// The supply of the probes on the RS485 line.
    pub(crate) supply: Feed<'a, ActiveLow>,
    /// The lamp.
    pub(crate) lamp: ActiveLow,
    /// The watchdog.
    pub(crate) watchdog: Watchdog,
}

/// The board.
pub(crate) struct FieldBoard<'a> {
    parts: Parts<'a>,
    battery: Option<BatteryPlan>,
    pulses: Wrapping,
    reset: ResetCause,
    woken: Option<Woken>,
    /// Whether the radio is on in this boot.
    has_radio: bool,
    uptime_base_ms: u64,
    told: Option<&'static str>,
}

impl<'a> FieldBoard<'a> {
    /// Takes everything that the node drives.
    pub(crate) fn new(
        parts: Parts<'a>,
        battery: Option<BatteryPlan>,
        reset: ResetCause,
        woken: Option<Woken>,
    ) -> Self {
        let uptime_base_ms = woken.as_ref().map_or(0, |woken| woken.uptime_base_ms);
        let has_radio = woken.as_ref().is_none_or(|woken| woken.contact);
        let pulses = Wrapping::new(32, inputs::pulses());
        Self { parts, battery, pulses, reset, woken, has_radio, uptime_base_ms, told: None }
    }

    /// The moment of this boot at which the uptime is `at`.
    fn moment(&self, at: UptimeMs) -> Instant {
        Instant::from_millis(at.0.saturating_sub(self.uptime_base_ms))
    }
}

impl Board for FieldBoard<'_> {
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
        if ENDING.is_attended() {
            return;
        }
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

    fn power_probes(&mut self, on: bool) {
        // The pins of this chip always follow.
        let _followed = self.parts.supply.set_state(on.into());
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
        ENDING.note(status);
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
