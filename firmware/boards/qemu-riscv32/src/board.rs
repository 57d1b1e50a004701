//! The hardware contract of the node on this machine.

use crate::console::log;
use crate::gpio::Gpio;
use crate::mmio::RTC;
use crate::probes::Switches;
use crate::terminal::ENDING;
use crate::watchdog::Watchdog;
use embassy_time::Instant;
use giot_firmware::board::{Board, Drive, DriveFault, NodeStatus, Outputs, Vitals, Wake};
use giot_firmware::button::Buttons;
use giot_firmware::coil::{Latching, Relay};
use giot_firmware::probe::{BatteryPlan, PULSE_US_MIN, PulseFilter, Wrapping};
use giot_firmware::settings::ValveKind;
use giot_shared::ids::ValveId;
use giot_shared::time::{UnixMs, UptimeMs};
use giot_shared::units::Millivolts;
use giot_shared::wire::ResetCause;

/// How often the inputs are looked at, ms: a press of a button is longer.
const LOOK_MS: u64 = 20;
/// Longest sleep of the node, ms: at its end the watchdog is fed.
const SLEEP_MS_MAX: u64 = 2000;
/// Valves that have outputs: a relay each, and two coils each from the first coil on.
const VALVES: u8 = 8;
const FIRST_COIL: u8 = 16;

/// The board.
pub(crate) struct QemuBoard<'a> {
    gpio: &'a Gpio,
    watchdog: Watchdog,
    switches: &'a Switches,
    battery: Option<BatteryPlan>,
    reset: ResetCause,
    buttons: Buttons,
    pulses: Wrapping,
    reed: Reed,
    told: Option<&'static str>,
    has_delivered: bool,
}

impl<'a> QemuBoard<'a> {
    /// Takes everything that the node drives.
    pub(crate) fn new(
        gpio: &'a Gpio,
        watchdog: Watchdog,
        switches: &'a Switches,
        battery: Option<BatteryPlan>,
        reset: ResetCause,
    ) -> Self {
        let reed = Reed::new(gpio);
        let (buttons, pulses) = (Buttons::new(gpio.buttons()), Wrapping::new(32, gpio.pulses()));
        Self {
            gpio,
            watchdog,
            switches,
            battery,
            reset,
            buttons,
            pulses,
            reed,
            told: None,
            has_delivered: false,
        }
    }

    /// What the meter has counted, by its own counter or by its contact.
    fn n_pulses(&mut self) -> u32 {
        self.gpio.pulses().wrapping_add(self.reed.look(self.gpio))
    }
}

impl Board for QemuBoard<'_> {
    fn uptime(&self) -> UptimeMs {
        UptimeMs(Instant::now().as_millis())
    }

    fn civil_time(&self) -> Option<UnixMs> {
        // The machine's clock is used for random numbers only: boards in the field have none.
        None
    }

    fn random(&mut self) -> u64 {
        random()
    }

    fn reset_cause(&self) -> ResetCause {
        self.reset
    }

    async fn drive_valve(&mut self, drive: Drive) -> Result<(), DriveFault> {
        if drive.open {
            let valve = drive.valve.0;
            let us = crate::net::last_received().map_or(0, |at| at.elapsed().as_micros());
            log!(
                "valve {valve} opens, {us} us after the last packet, stack peak {} bytes",
                crate::stack::peak()
            );
        }
        move_valve(self.gpio, drive).await
    }

    fn has_coils(&self, valve: ValveId) -> bool {
        has_outputs(valve)
    }

    fn power_probes(&mut self, on: bool) {
        self.gpio.power_probes(on);
    }

    async fn read_vitals(&mut self) -> Vitals {
        let measured = u16::try_from(self.gpio.supply_mv()).ok().filter(|mv| *mv > 0).map(Millivolts);
        let supply = measured.map(|mv| self.battery.map_or(mv, |battery| battery.supply(mv)));
        Vitals { supply, signal_dbm: None }
    }

    fn take_pulses(&mut self) -> u32 {
        let count = self.n_pulses();
        self.pulses.advance(count)
    }

    fn feed_watchdog(&mut self) {
        self.watchdog.feed();
    }

    fn report(&mut self, status: &NodeStatus) {
        ENDING.note(status);
        #[cfg(feature = "fault-injection")]
        self.gpio.tell_made(status.last);
        let link = match (status.connected, status.welcomed) {
            (_, true) => "welcomed",
            (true, false) => "connected",
            (false, false) => "no link",
        };
        // Every record changes the counts; worth a line is only what became of the link.
        if self.told.replace(link) != Some(link) {
            log!("epoch {}: {link}, {} waiting, {} lost", status.epoch, status.waiting, status.lost);
        }
        if !self.has_delivered && status.released.epoch == status.epoch && status.released.seq > 0 {
            self.has_delivered = true;
            log!("first record acknowledged, stack peak {} bytes", crate::stack::peak());
        }
    }

    async fn wait(&mut self, until: Option<UptimeMs>) -> Wake {
        let now_ms = Instant::now().as_millis();
        #[cfg(not(feature = "fault-injection"))]
        let (look_ms, sleep_ms) = (LOOK_MS, SLEEP_MS_MAX);
        #[cfg(feature = "fault-injection")]
        let (look_ms, sleep_ms) = (crate::haste::look_ms(LOOK_MS), crate::haste::look_ms(SLEEP_MS_MAX));
        let end_ms = until.map_or(u64::MAX, |at| at.0).min(now_ms + sleep_ms);
        loop {
            #[cfg(feature = "fault-injection")]
            crate::fault::commit(self.gpio.take_fault());
            if ENDING.is_wanted() {
                return Wake::Stop;
            }
            if let Some(valve) = self.buttons.look(self.gpio.buttons()) {
                return Wake::Button(valve);
            }
            let now_ms = Instant::now().as_millis();
            let is_closed = |channel| self.gpio.is_closed(channel);
            let changed = self.switches.borrow_mut().look(UptimeMs(now_ms), is_closed);
            if let Some((probe, metric, value)) = changed {
                return Wake::Value(probe, metric, Some(value));
            }
            // Water that flows may end a run.
            let n_pulses = self.n_pulses();
            if now_ms >= end_ms || self.pulses.has_moved(n_pulses) {
                return Wake::Timer;
            }
            let look_at = Instant::from_millis(end_ms.min(now_ms + look_ms));
            #[cfg(not(feature = "fault-injection"))]
            embassy_time::Timer::at(look_at).await;
            #[cfg(feature = "fault-injection")]
            if crate::haste::until(look_at).await {
                return Wake::Timer;
            }
        }
    }
}

/// The contact of a meter without a counter: its edges come with their times, as a timer's capture unit keeps them, so that no look is
/// too late for a bounce.
struct Reed {
    n_seen: u32,
    at_us: u64,
    filter: PulseFilter,
}

impl Reed {
    fn new(gpio: &Gpio) -> Self {
        Self { n_seen: gpio.n_edges(), at_us: 0, filter: PulseFilter::new(PULSE_US_MIN) }
    }

    /// Takes what has come since the last look; gives the pulses of this boot.
    fn look(&mut self, gpio: &Gpio) -> u32 {
        while self.n_seen != gpio.n_edges() {
            let (after_us, is_closed) = gpio.edge(self.n_seen);
            self.at_us += after_us;
            self.filter.edge(self.at_us, is_closed);
            self.n_seen = self.n_seen.wrapping_add(1);
        }
        self.filter.count()
    }
}

/// Moves a valve.
async fn move_valve(gpio: &Gpio, drive: Drive) -> Result<(), DriveFault> {
    let valve = drive.valve.0;
    match drive.kind {
        ValveKind::Relay if valve < VALVES => Relay::new(gpio.output(valve)).drive(drive.open),
        ValveKind::Latching if valve < VALVES => {
            let (opening, closing) = (FIRST_COIL + 2 * valve, FIRST_COIL + 2 * valve + 1);
            Latching::new(gpio.output(opening), gpio.output(closing)).drive(drive.open, drive.times).await
        }
        ValveKind::Relay | ValveKind::Latching => Err(DriveFault),
    }
}

/// What the board says to a plan with other valves.
pub(crate) const LACKS_VALVES: &str = "this board drives valves 0 to 7";

/// Whether a valve has outputs: a relay's, and coils of their own, whatever else is wired.
pub(crate) const fn has_outputs(valve: ValveId) -> bool {
    valve.0 < VALVES
}

/// The outputs in a boot without a node.
pub(crate) struct Coils<'a>(pub(crate) &'a Gpio);

impl Outputs for Coils<'_> {
    fn has_coils(&self, valve: ValveId) -> bool {
        has_outputs(valve)
    }

    async fn drive(&mut self, drive: Drive) -> Result<(), DriveFault> {
        move_valve(self.0, drive).await
    }
}

/// A number that differs between boots and boards: the nanoseconds of a clock that nobody sets, and those since reset.
pub(crate) fn random() -> u64 {
    const TIME_LOW: usize = 0;
    const TIME_HIGH: usize = 4;
    // Reading the low half first holds the high one (Goldfish RTC).
    let low = RTC.read32(TIME_LOW);
    let high = RTC.read32(TIME_HIGH);
    let nanos = u64::from(high) << 32 | u64::from(low);
    nanos.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ Instant::now().as_ticks().rotate_left(32)
}
