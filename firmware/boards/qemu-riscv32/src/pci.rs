//! Devices on the PCI bus: finding them and giving them addresses, which on this machine no firmware does before.
//!
//! Every address is given once and in order, from fixed windows; bridges and 64-bit windows are not needed here.

use crate::mmio::{Mmio, PCI_CONFIG, PCI_MEMORY};

/// Offsets in a device's configuration space (PCI Local Bus Specification 3.0 §6.1).
const ID: usize = 0x00;
const COMMAND: usize = 0x04;
const FIRST_BAR: usize = 0x10;

const COMMAND_PORTS_AND_MEMORY: u16 = 0b11;
/// A BAR of I/O ports; otherwise of memory.
const BAR_IS_PORTS: u32 = 0b1;
/// A memory BAR of two words.
const BAR_IS_64_BIT: u32 = 0b100;
const DEVICES: u32 = 32;

/// Vendor and device number in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) u32);

/// A device that answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Device {
    /// Its place on the bus.
    pub(crate) number: u32,
    config: Mmio,
}

/// Where the next device gets its place.
#[derive(Debug)]
pub(crate) struct Bus {
    memory: usize,
}

impl Bus {
    /// The whole window is free.
    pub(crate) const fn new() -> Self {
        Self { memory: 0 }
    }

    /// Looks for a device.
    pub(crate) fn find(&self, id: Id) -> Option<Device> {
        let device = |number: u32| Device { number, config: PCI_CONFIG.at((number as usize) << 15) };
        (0..DEVICES).map(device).find(|device| device.config.read32(ID) == id.0)
    }

    /// Gives memory BAR `bar` of a device an address and returns it.
    pub(crate) fn place_memory(&mut self, device: Device, bar: usize) -> Mmio {
        let at = FIRST_BAR + bar * 4;
        let kind = device.config.read32(at);
        device.config.write32(at, u32::MAX);
        // The bits that stay 0 are those below its size.
        let len = (!(device.config.read32(at) & !0xf)).wrapping_add(1) as usize;
        self.memory = self.memory.next_multiple_of(len.max(1));
        let placed = PCI_MEMORY.at(self.memory);
        self.memory += len;
        #[expect(clippy::cast_possible_truncation, reason = "addresses of this machine have 32 bits")]
        device.config.write32(at, placed.address() as u32);
        if kind & BAR_IS_64_BIT != 0 {
            device.config.write32(at + 4, 0);
        }
        device.enable();
        placed
    }

    /// Gives port BAR `bar` of a device the ports from `port`.
    pub(crate) fn place_ports(&mut self, device: Device, bar: usize, port: u32) {
        device.config.write32(FIRST_BAR + bar * 4, port | BAR_IS_PORTS);
        device.enable();
    }
}

impl Device {
    /// A register of its own in the configuration space.
    pub(crate) const fn config(&self) -> Mmio {
        self.config
    }

    fn enable(&self) {
        let command = self.config.read16(COMMAND);
        self.config.write16(COMMAND, command | COMMAND_PORTS_AND_MEMORY);
    }
}
