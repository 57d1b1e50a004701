//! Interrupts of devices: which line belongs to which driver (Platform-Level Interrupt Controller 1.0).

use crate::mmio::PLIC;
use crate::{net, serial};

/// A line of the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line(u32);

impl Line {
    /// Of a virtio slot.
    pub(crate) const fn of_virtio(slot: u32) -> Self {
        Self(1 + slot)
    }

    /// Of pin A of a PCI device.
    pub(crate) const fn of_pci(device: u32) -> Self {
        Self(32 + device % 4)
    }

    fn word(self) -> usize {
        (self.0 / 32 * 4) as usize
    }
}

/// Enabled lines of hart 0 in machine mode: context 0.
const ENABLE: usize = 0x2000;
const THRESHOLD: usize = 0x20_0000;
/// Read: the line to be served, 0 for none. Written: it was.
const CLAIM: usize = 0x20_0004;

/// Lets a line interrupt.
pub(crate) fn enable(line: Line) {
    PLIC.write32(line.0 as usize * 4, 1);
    let enabled = PLIC.read32(ENABLE + line.word());
    PLIC.write32(ENABLE + line.word(), enabled | 1 << (line.0 % 32));
}

/// Lets devices interrupt, and with them everything that was enabled before.
pub(crate) fn start() {
    PLIC.write32(THRESHOLD, 0);
    // SAFETY: the handlers take every interrupt that is enabled, all shared state is behind critical sections, and none is
    // held here.
    unsafe {
        riscv::register::mie::set_mext();
        riscv::interrupt::enable();
    }
}

#[riscv_rt::core_interrupt(riscv::interrupt::Interrupt::MachineExternal)]
fn device() {
    loop {
        let line = PLIC.read32(CLAIM);
        if line == 0 {
            return;
        }
        // Lines may be shared, and each driver knows whether its device asked.
        net::on_interrupt();
        serial::on_interrupt();
        PLIC.write32(CLAIM, line);
    }
}
