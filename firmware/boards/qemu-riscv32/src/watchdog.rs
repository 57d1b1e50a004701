//! The hardware watchdog, an Intel 6300ESB on PCI: resets the machine when nobody feeds it.
//!
//! Source: Intel 6300ESB I/O Controller Hub datasheet, section 16. Two stages run one after the other; nothing is done
//! between them here.

use crate::mmio::Mmio;
use crate::pci::{Bus, Id};

const I6300ESB: Id = Id(0x25ab_8086);

/// Registers in the configuration space: how it counts and what it does; whether it runs. The first takes 16-bit
/// writes only, the second 8-bit ones.
const CONFIG: usize = 0x60;
const LOCK: usize = 0x68;
/// Count in milliseconds, reset at the end of the second stage, no interrupt after the first.
const CONFIG_RESETS: u16 = 0b11;
const LOCK_RUNS: u8 = 0b10;

const PRELOAD_1: usize = 0x00;
const PRELOAD_2: usize = 0x04;
const RELOAD: usize = 0x0c;
/// What must be written to [`RELOAD`] before each write to a register.
const UNLOCK: [u16; 2] = [0x80, 0x86];
const RELOAD_TIMER: u16 = 0x100;
/// The last reset was the watchdog's; written, it is forgotten.
const HAS_FIRED: u16 = 0x200;

/// Length of a stage, in steps of 2^15 cycles of 33 MHz, which is close to a millisecond: ten seconds in all. A flash
/// full of records takes one to look through, and a probe two not to answer.
const STAGE_STEPS: u32 = 5000;

/// The running watchdog.
#[derive(Debug)]
pub(crate) struct Watchdog {
    registers: Mmio,
}

impl Watchdog {
    /// Finds it and starts it. Gives whether it caused this boot.
    pub(crate) fn start(bus: &mut Bus) -> Option<(Self, bool)> {
        let device = bus.find(I6300ESB)?;
        let registers = bus.place_memory(device, 0);
        let mut watchdog = Self { registers };
        let has_fired = registers.read16(RELOAD) & HAS_FIRED != 0;
        watchdog.unlock();
        registers.write16(RELOAD, HAS_FIRED);
        for stage in [PRELOAD_1, PRELOAD_2] {
            watchdog.unlock();
            registers.write32(stage, STAGE_STEPS);
        }
        device.config().write16(CONFIG, CONFIG_RESETS);
        device.config().write8(LOCK, LOCK_RUNS);
        watchdog.feed();
        Some((watchdog, has_fired))
    }

    /// Begins the count anew.
    pub(crate) fn feed(&mut self) {
        self.unlock();
        self.registers.write16(RELOAD, RELOAD_TIMER);
    }

    fn unlock(&mut self) {
        for word in UNLOCK {
            self.registers.write16(RELOAD, word);
        }
    }
}
