//! Device registers: the one file that turns addresses into accesses, and where the devices of the machine are.
//!
//! The addresses are those of QEMU's `virt` machine (hw/riscv/virt.c). What sits on PCI gets its address at start, in
//! [`crate::pci`].

use core::ptr;

/// Test finisher: power off and reset.
pub(crate) const FINISHER: Mmio = fixed(0x0010_0000);
/// Clock that runs on over resets, in nanoseconds.
pub(crate) const RTC: Mmio = fixed(0x0010_1000);
/// Timer of the hart.
pub(crate) const CLINT: Mmio = fixed(0x0200_0000);
/// Window of PCI I/O ports.
pub(crate) const PCI_PORTS: Mmio = fixed(0x0300_0000);
/// Interrupt controller.
pub(crate) const PLIC: Mmio = fixed(0x0c00_0000);
/// The console's serial port.
pub(crate) const UART0: Mmio = fixed(0x1000_0000);
/// The first of eight virtio slots, each of [`VIRTIO_SLOT_LEN`] bytes.
pub(crate) const VIRTIO: Mmio = fixed(0x1000_1000);
/// Distance of virtio slots.
pub(crate) const VIRTIO_SLOT_LEN: usize = 0x1000;
/// The second flash bank.
pub(crate) const FLASH: Mmio = fixed(0x2200_0000);
/// Configuration space of PCI.
pub(crate) const PCI_CONFIG: Mmio = fixed(0x3000_0000);
/// Window in which PCI devices can be given addresses.
pub(crate) const PCI_MEMORY: Mmio = fixed(0x4000_0000);

/// A block of device registers, or memory that the compiler knows nothing of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mmio(usize);

const fn fixed(address: usize) -> Mmio {
    Mmio(address)
}

macro_rules! access {
    ($read:ident, $write:ident, $word:ty) => {
        /// Reads the register at `offset`.
        pub(crate) fn $read(self, offset: usize) -> $word {
            // SAFETY: a block lies outside of the memory that the linker gives to the program (memory.x), so that no
            // reference can point into it; device registers may be read at any time.
            unsafe { ptr::read_volatile(ptr::with_exposed_provenance::<$word>(self.0 + offset)) }
        }

        /// Writes the register at `offset`.
        pub(crate) fn $write(self, offset: usize, value: $word) {
            // SAFETY: as for reading; what a device does on a write is this driver's business, and no device but the
            // network card, which has its own driver, touches the program's memory.
            unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut::<$word>(self.0 + offset), value) }
        }
    };
}

impl Mmio {
    access!(read8, write8, u8);
    access!(read16, write16, u16);
    access!(read32, write32, u32);

    /// The block that begins `offset` bytes further on.
    pub(crate) const fn at(self, offset: usize) -> Self {
        Self(self.0 + offset)
    }

    /// Its address.
    pub(crate) const fn address(self) -> usize {
        self.0
    }
}
