//! The pins of the board: words in a file that the host shares with the machine (`ivshmem-plain`), little endian.
//!
//! | offset | written by | content |
//! |---|---|---|
//! | 0 | board | outputs: bit n is the relay of valve n, bit 15 the supply of the probes on the RS485 line, bits 16 + 2n and 17 + 2n its opening and closing coil |
//! | 4 | host | inputs: bit n is the button of valve n, bit 8 + n the switch of channel n |
//! | 8 | host | pulses of the water meter since it was made |
//! | 12 | host | supply, mV; 0 where it is not measured |
//! | 16 | host | fault to commit, see `fault.rs` |
//! | 20 | host | tips of the rain gauge since it was made |
//! | 24 | both | flash words to be written until the power fails, 0: it does not fail; see `fault.rs` |
//! | 28 | board | 1 when it has failed |
//! | 32 | both | bit 0: idle time passes at once, bit 1: it does also in the middle of an answer on the RS485 line, bit 2: only until the next boot, bit 3: only without a connection; see `haste.rs` |
//! | 36, 40 | board | time that was skipped since it was made, µs, low and high half |
//! | 44 | host | 1: power that failed comes back |
//! | 48, 52 | board | the last record made: epoch, count in it; in images for tests |
//! | 56 | host | edges of the meter's contact since it was made |
//! | 4096 … 8191 | host | its last 1024 edges, each at 4 × (its number modulo 1024): bits 0 to 30 µs since the edge before, bit 31 the contact is closed from it on |
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
const TIPS: usize = 20;
const N_EDGES: usize = 56;
const EDGES: usize = 4096;
const EDGES_KEPT: u32 = 1024;
const IS_CLOSED: u32 = 1 << 31;
/// The output that switches the supply of the probes on the RS485 line.
const PROBES: u8 = 15;
/// The first input that is a switch, and how many there are.
const FIRST_CONTACT: u8 = 8;
pub(crate) const CONTACTS: u8 = 16;
#[cfg(feature = "fault-injection")]
const FAULT: usize = 16;

#[cfg(feature = "fault-injection")]
const WORDS_LEFT: usize = 24;
#[cfg(feature = "fault-injection")]
const HAS_FAILED: usize = 28;
#[cfg(feature = "fault-injection")]
const HASTE: usize = 32;
#[cfg(feature = "fault-injection")]
const SKIPPED_LOW: usize = 36;
#[cfg(feature = "fault-injection")]
const SKIPPED_HIGH: usize = 40;
#[cfg(feature = "fault-injection")]
const COMES_BACK: usize = 44;
#[cfg(feature = "fault-injection")]
const MADE_EPOCH: usize = 48;
#[cfg(feature = "fault-injection")]
const MADE_SEQ: usize = 52;

#[cfg(feature = "fault-injection")]
const IS_HASTY: u32 = 1;
#[cfg(feature = "fault-injection")]
const IS_IMPATIENT: u32 = 2;
#[cfg(feature = "fault-injection")]
const UNTIL_BOOT: u32 = 4;
#[cfg(feature = "fault-injection")]
const HAS_NETWORK: u32 = 8;

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
        #[cfg(feature = "fault-injection")]
        if pins.read32(HASTE) & UNTIL_BOOT != 0 {
            pins.write32(HASTE, 0);
        }
        Some(Self { pins })
    }

    /// Output `number`, which is below 32.
    pub(crate) fn output(&self, number: u8) -> Output {
        Output { pins: self.pins, bit: 1 << (number % 32) }
    }

    /// The supply of the probes on the RS485 line.
    pub(crate) fn power_probes(&self, on: bool) {
        let Ok(()) = self.output(PROBES).set_state(on.into());
    }

    /// The buttons of all valves.
    pub(crate) fn buttons(&self) -> u32 {
        self.pins.read32(INPUTS) & ((1 << FIRST_CONTACT) - 1)
    }

    /// Whether the switch of a channel is closed.
    pub(crate) fn is_closed(&self, channel: u8) -> bool {
        self.pins.read32(INPUTS) >> (FIRST_CONTACT + channel % CONTACTS) & 1 == 1
    }

    /// The rain gauge's count.
    pub(crate) fn tips(&self) -> u32 {
        self.pins.read32(TIPS)
    }

    /// The meter's count.
    pub(crate) fn pulses(&self) -> u32 {
        self.pins.read32(PULSES)
    }

    /// Edges of the meter's contact so far.
    pub(crate) fn n_edges(&self) -> u32 {
        self.pins.read32(N_EDGES)
    }

    /// One of the last 1024 edges of the meter's contact: µs since the one before, and whether the contact is closed from it on.
    pub(crate) fn edge(&self, number: u32) -> (u64, bool) {
        let edge = self.pins.read32(EDGES + 4 * (number % EDGES_KEPT) as usize);
        (u64::from(edge & !IS_CLOSED), edge & IS_CLOSED != 0)
    }

    /// The supply in mV, 0 where it is not measured.
    pub(crate) fn supply_mv(&self) -> u32 {
        self.pins.read32(SUPPLY)
    }

    /// Tells which record was made last.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn tell_made(&self, last: giot_shared::ids::Position) {
        self.pins.write32(MADE_EPOCH, last.epoch);
        self.pins.write32(MADE_SEQ, last.seq);
    }

    /// What is to go wrong.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn take_fault(&self) -> u32 {
        let fault = self.pins.read32(FAULT);
        self.pins.write32(FAULT, 0);
        fault
    }
}

/// Whether the power fails at this word of the flash; counts down to it.
#[cfg(feature = "fault-injection")]
pub(crate) fn power_fails() -> bool {
    let Some(pins) = critical_section::with(|section| PINS.borrow(section).get()) else { return false };
    let n_left = pins.read32(WORDS_LEFT);
    pins.write32(WORDS_LEFT, n_left.saturating_sub(1));
    n_left == 1
}

/// Tells that the power has failed.
#[cfg(feature = "fault-injection")]
pub(crate) fn tell_failed() {
    if let Some(pins) = critical_section::with(|section| PINS.borrow(section).get()) {
        pins.write32(HAS_FAILED, 1);
    }
}

/// Whether power that failed comes back.
#[cfg(feature = "fault-injection")]
pub(crate) fn comes_back() -> bool {
    let pins = critical_section::with(|section| PINS.borrow(section).get());
    pins.is_some_and(|pins| pins.read32(COMES_BACK) != 0)
}

/// Whether idle time is to pass at once.
#[cfg(feature = "fault-injection")]
pub(crate) fn is_hasty() -> bool {
    haste() & IS_HASTY != 0
}

/// Whether it does so in the middle of an answer, too.
#[cfg(feature = "fault-injection")]
pub(crate) fn is_impatient() -> bool {
    haste() & IS_IMPATIENT != 0
}

/// Whether it does so only without a connection.
#[cfg(feature = "fault-injection")]
pub(crate) fn has_network() -> bool {
    haste() & HAS_NETWORK != 0
}

#[cfg(feature = "fault-injection")]
fn haste() -> u32 {
    critical_section::with(|section| PINS.borrow(section).get()).map_or(0, |pins| pins.read32(HASTE))
}

/// Tells how much more time was skipped.
#[cfg(feature = "fault-injection")]
pub(crate) fn tell_skipped(us: u64) {
    if let Some(pins) = critical_section::with(|section| PINS.borrow(section).get()) {
        let before = u64::from(pins.read32(SKIPPED_HIGH)) << 32 | u64::from(pins.read32(SKIPPED_LOW));
        let [h3, h2, h1, h0, l3, l2, l1, l0] = (before + us).to_be_bytes();
        pins.write32(SKIPPED_HIGH, u32::from_be_bytes([h3, h2, h1, h0]));
        pins.write32(SKIPPED_LOW, u32::from_be_bytes([l3, l2, l1, l0]));
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
