//! The pins of the board: words in a file that the host shares with the machine (`ivshmem-plain`), little endian.
//!
//! | offset | written by | content |
//! |---|---|---|
//! | 0 | board | outputs: bit n is the relay of valve n, bits 16 + 2n and 17 + 2n its opening and closing coil |
//! | 4 | host | inputs: bit n is the button of valve n |
//! | 8 | host | pulses of the water meter since it was made |
//! | 12 | host | supply, mV; 0 where it is not measured |
//! | 16 | host | fault to commit, see `fault.rs` |
//!
//! A file remembers its outputs over a reset; the pins of a chip do not. So the first thing of every boot is [`Gpio::take`],
//! which makes them low as a chip's reset would.

use crate::mmio::Mmio;
use crate::pci::{Bus, Id};
use core::cell::Cell;
use core::convert::Infallible;
use critical_section::Mutex;
use embedded_hal::digital::{ErrorType, OutputPin};

const IVSHMEM: Id = Id(0x1110_1af4);
const SHARED_MEMORY_BAR: usize = 2;

const OUTPUTS: usize = 0;
const INPUTS: usize = 4;
const PULSES: usize = 8;
const SUPPLY: usize = 12;
#[cfg(feature = "fault-injection")]
const FAULT: usize = 16;

/// Where the outputs are, for whoever must close them without owning them.
static PINS: Mutex<Cell<Option<Mmio>>> = Mutex::new(Cell::new(None));

/// The pins.
#[derive(Debug)]
pub(crate) struct Gpio {
    pins: Mmio,
}

impl Gpio {
    /// Finds the pins and makes every output low.
    pub(crate) fn take(bus: &mut Bus) -> Option<Self> {
        let device = bus.find(IVSHMEM)?;
        let pins = bus.place_memory(device, SHARED_MEMORY_BAR);
        critical_section::with(|section| PINS.borrow(section).set(Some(pins)));
        close_outputs();
        Some(Self { pins })
    }

    /// Output `number`, which is below 32.
    pub(crate) fn output(&self, number: u8) -> Output {
        Output { pins: self.pins, bit: 1 << (number % 32) }
    }

    /// All inputs.
    pub(crate) fn inputs(&self) -> u32 {
        self.pins.read32(INPUTS)
    }

    /// The meter's count.
    pub(crate) fn pulses(&self) -> u32 {
        self.pins.read32(PULSES)
    }

    /// The supply in mV, 0 where it is not measured.
    pub(crate) fn supply_mv(&self) -> u32 {
        self.pins.read32(SUPPLY)
    }

    /// What is to go wrong.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn take_fault(&mut self) -> u32 {
        let fault = self.pins.read32(FAULT);
        self.pins.write32(FAULT, 0);
        fault
    }
}

/// One output.
#[derive(Debug)]
pub(crate) struct Output {
    pins: Mmio,
    bit: u32,
}

impl ErrorType for Output {
    type Error = Infallible;
}

impl OutputPin for Output {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.pins.write32(OUTPUTS, self.pins.read32(OUTPUTS) & !self.bit);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.pins.write32(OUTPUTS, self.pins.read32(OUTPUTS) | self.bit);
        Ok(())
    }
}

/// Makes every output low, whoever owns them: for the panic handler.
pub(crate) fn close_outputs() {
    if let Some(pins) = critical_section::with(|section| PINS.borrow(section).get()) {
        pins.write32(OUTPUTS, 0);
    }
}
