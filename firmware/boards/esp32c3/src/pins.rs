//! Which pin is what. The table with its wiring is in the README; this file is the only one that names pins.
//!
//! Everything that feeds a coil is low after a reset, while asleep and while the chip is without power: resistors on the
//! board pull it down. The switch of the probes' supply is off then in the same way.

use core::convert::Infallible;
use embedded_hal::digital::{ErrorType, OutputPin};
use esp_hal::gpio::{DriveMode, Input, InputConfig, Level, Output, OutputConfig, Pull, WakeupConfig};
use esp_hal::peripherals::{self, GPIO};
use giot_firmware::board::{Drive, DriveFault, Outputs};
use giot_firmware::coil::{Latching, Relay};
use giot_firmware::settings::{ValveKind, ValvePlan};
use giot_shared::ids::ValveId;

/// The switch of the probes' supply, on when low.
const PROBES: u8 = 2;
/// Relay of valve 0, or opening coil of the latching valve.
const COIL_A: u8 = 6;
/// Relay of valve 1, or closing coil of the latching valve.
const COIL_B: u8 = 7;

/// The chip's pins as the board uses them.
pub(crate) struct Pins {
    /// Relay of valve 0, or opening coil.
    pub(crate) coil_a: peripherals::GPIO6<'static>,
    /// Relay of valve 1, or closing coil.
    pub(crate) coil_b: peripherals::GPIO7<'static>,
}

/// What is wired to the two coil outputs. They cannot be a latching valve and a relay at once.
pub(crate) enum Valves {
    /// Relay valves.
    Relays([Relay<Output<'static>>; 2]),
    /// One latching valve, or what an earlier plan has left of one.
    Pair(Latching<Output<'static>, Output<'static>>),
}

impl Valves {
    /// The outputs as the installation has them, all low. Where it names a relay anywhere, no output is a coil.
    pub(crate) fn new(pins: Pins, plans: &[ValvePlan]) -> Self {
        let coil_a = Output::new(pins.coil_a, Level::Low, OutputConfig::default());
        let coil_b = Output::new(pins.coil_b, Level::Low, OutputConfig::default());
        if plans.iter().any(|plan| plan.kind == ValveKind::Relay) {
            Self::Relays([Relay::new(coil_a), Relay::new(coil_b)])
        } else {
            Self::Pair(Latching::new(coil_a, coil_b))
        }
    }

    /// Whether this board can drive such valves.
    ///
    /// # Errors
    /// A sentence about what it cannot.
    pub(crate) fn check(plans: &[ValvePlan]) -> Result<(), &'static str> {
        match plans {
            [ValvePlan { valve: ValveId(0), kind: ValveKind::Latching, .. }] => Ok(()),
            plans if plans.iter().all(|plan| plan.kind == ValveKind::Relay && plan.valve.0 < 2) => Ok(()),
            _ => Err("this board drives relay valves 0 and 1, or latching valve 0 alone"),
        }
    }

    /// The valve whose outputs are coils.
    const fn with_coils(&self) -> Option<ValveId> {
        match self {
            Self::Relays(_) => None,
            Self::Pair(_) => Some(ValveId(0)),
        }
    }
}

impl Outputs for Valves {
    fn has_coils(&self, valve: ValveId) -> bool {
        self.with_coils() == Some(valve)
    }

    /// [`DriveFault`] for a valve that these outputs are not wired for.
    async fn drive(&mut self, drive: Drive) -> Result<(), DriveFault> {
        match (self, drive.kind) {
            (Self::Relays(relays), ValveKind::Relay) => {
                relays.get_mut(usize::from(drive.valve.0)).ok_or(DriveFault)?.drive(drive.open)
            }
            (Self::Pair(pair), ValveKind::Latching) if drive.valve.0 == 0 => {
                pair.drive(drive.open, drive.times).await
            }
            (Self::Relays(_) | Self::Pair(_), ValveKind::Relay | ValveKind::Latching) => Err(DriveFault),
        }
    }
}

/// An output that is on when its pin is low.
#[derive(Debug)]
pub(crate) struct ActiveLow(Output<'static>);

impl ActiveLow {
    /// On this pin, off.
    pub(crate) fn new(pin: impl esp_hal::gpio::OutputPin + 'static) -> Self {
        Self(Output::new(pin, Level::High, OutputConfig::default()))
    }

    /// The same on a pin that somebody may pull to ground: it is not driven while it is off.
    pub(crate) fn floating(pin: impl esp_hal::gpio::OutputPin + 'static) -> Self {
        let config = OutputConfig::default().with_drive_mode(DriveMode::OpenDrain);
        Self(Output::new(pin, Level::High, config))
    }
}

impl ErrorType for ActiveLow {
    type Error = Infallible;
}

impl OutputPin for ActiveLow {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.set_high();
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.set_low();
        Ok(())
    }
}

/// An input whose contact pulls it to ground.
pub(crate) fn contact(pin: impl esp_hal::gpio::InputPin + 'static) -> Input<'static> {
    Input::new(pin, InputConfig::default().with_pull(Pull::Up))
}

/// An input that ends a deep sleep too; only pins 0 to 5 of this chip can.
pub(crate) fn waking(mut contact: Input<'static>) -> Input<'static> {
    contact.apply_wakeup_config(&WakeupConfig::default().with_low_power_path(true)).expect("a low-power pin");
    contact
}

/// An output for whoever must move it without owning it: the panic handler and a failing supply.
struct Seized(u32);

impl ErrorType for Seized {
    type Error = Infallible;
}

impl OutputPin for Seized {
    fn set_low(&mut self) -> Result<(), Infallible> {
        // SAFETY: the register clears the outputs whose bits are set and leaves the others; any value is valid.
        GPIO::regs().out_w1tc().write(|w| unsafe { w.bits(self.0) });
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        // SAFETY: as above, for setting.
        GPIO::regs().out_w1ts().write(|w| unsafe { w.bits(self.0) });
        Ok(())
    }
}

/// Takes the current from every coil and the supply from every probe, whoever owns them.
pub(crate) fn close_outputs() {
    let Ok(()) = Seized(1 << COIL_A | 1 << COIL_B).set_low();
    // What the supply still holds is for a closing pulse.
    let Ok(()) = Seized(1 << PROBES).set_high();
}

/// The latching valve's coils, whoever owns them.
pub(crate) fn seize_pair() -> Latching<impl OutputPin, impl OutputPin> {
    Latching::new(Seized(1 << COIL_A), Seized(1 << COIL_B))
}
