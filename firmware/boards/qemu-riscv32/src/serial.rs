//! The RS485 port: a 16550 on PCI (`pci-serial`), received by interrupt into a queue, sent by looking.

use crate::interrupts::{self, Line};
use crate::mmio::{Mmio, PCI_PORTS};
use crate::pci::{Bus, Id};
use core::cell::RefCell;
use core::convert::Infallible;
use core::future::poll_fn;
use core::task::Poll;
use critical_section::Mutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::waitqueue::GenericAtomicWaker;
use embedded_io_async::{ErrorType, Read, Write};
use giot_firmware::probe::modbus::{Format, Parity};

const PCI_SERIAL: Id = Id(0x0002_1b36);
/// Any ports that nobody else has.
const PORT: u32 = 0x1000;

const DATA: usize = 0;
const INTERRUPT_ENABLE: usize = 1;
const FIFO_CONTROL: usize = 2;
const LINE_CONTROL: usize = 3;
const MODEM_CONTROL: usize = 4;
const LINE_STATUS: usize = 5;

const INTERRUPT_ON_DATA: u8 = 0x01;
const FIFO_ON_AND_CLEAR: u8 = 0x07;
const EIGHT_BITS: u8 = 0x03;
const WITH_PARITY: u8 = 0x08;
const EVEN: u8 = 0x10;
/// Makes the first two registers the divisor.
const DIVISOR_ACCESS: u8 = 0x80;
/// Lets the interrupt out of the chip.
const OUT_2: u8 = 0x08;
const DATA_READY: u8 = 0x01;
const TRANSMITTER_EMPTY: u8 = 0x20;
/// The divisor counts sixteenths of a bit of the 1.8432 MHz crystal.
const BAUD_BASE: u32 = 115_200;

/// Received bytes that wait for their reader: several answers of the longest kind; what comes then is lost, as noise is.
const RECEIVED_MAX: usize = 256;

struct Port {
    registers: Option<Mmio>,
    received: heapless::Deque<u8, RECEIVED_MAX>,
}

static PORT_STATE: Mutex<RefCell<Port>> =
    Mutex::new(RefCell::new(Port { registers: None, received: heapless::Deque::new() }));
static READER: GenericAtomicWaker<CriticalSectionRawMutex> =
    GenericAtomicWaker::new(CriticalSectionRawMutex::new());

/// The one user of the port.
#[derive(Debug)]
pub(crate) struct Serial {
    registers: Mmio,
}

impl Serial {
    /// Finds the port and opens it with 8 data bits, no parity, 1 stop bit.
    pub(crate) fn open(bus: &mut Bus, baud: u32) -> Option<Self> {
        let device = bus.find(PCI_SERIAL)?;
        bus.place_ports(device, 0, PORT);
        let registers = PCI_PORTS.at(PORT as usize);
        let mut serial = Self { registers };
        serial.set_format(baud, Parity::None);
        registers.write8(FIFO_CONTROL, FIFO_ON_AND_CLEAR);
        registers.write8(MODEM_CONTROL, OUT_2);
        critical_section::with(|section| PORT_STATE.borrow_ref_mut(section).registers = Some(registers));
        interrupts::enable(Line::of_pci(device.number));
        registers.write8(INTERRUPT_ENABLE, INTERRUPT_ON_DATA);
        Some(serial)
    }
}

impl Format for Serial {
    fn set_format(&mut self, baud: u32, parity: Parity) -> bool {
        let [_, _, high, low] = (BAUD_BASE / baud.clamp(300, BAUD_BASE)).to_be_bytes();
        let enabled = self.registers.read8(INTERRUPT_ENABLE);
        self.registers.write8(LINE_CONTROL, DIVISOR_ACCESS);
        self.registers.write8(DATA, low);
        self.registers.write8(INTERRUPT_ENABLE, high);
        let parity = match parity {
            Parity::None => 0,
            Parity::Even => WITH_PARITY | EVEN,
            Parity::Odd => WITH_PARITY,
        };
        self.registers.write8(LINE_CONTROL, EIGHT_BITS | parity);
        self.registers.write8(INTERRUPT_ENABLE, enabled);
        true
    }
}

/// Takes what has arrived.
pub(crate) fn on_interrupt() {
    critical_section::with(|section| {
        let mut port = PORT_STATE.borrow_ref_mut(section);
        let Some(registers) = port.registers else { return };
        while registers.read8(LINE_STATUS) & DATA_READY != 0 {
            let byte = registers.read8(DATA);
            // A full queue means that nobody reads: the master's checksum notices what is missing.
            let _full = port.received.push_back(byte);
        }
    });
    #[cfg(feature = "fault-injection")]
    crate::haste::hear();
    READER.wake();
}

impl ErrorType for Serial {
    type Error = Infallible;
}

impl Read for Serial {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        poll_fn(|context| {
            READER.register(context.waker());
            critical_section::with(|section| {
                let mut port = PORT_STATE.borrow_ref_mut(section);
                let mut n_read = 0;
                for byte in bytes.iter_mut() {
                    let Some(received) = port.received.pop_front() else { break };
                    *byte = received;
                    n_read += 1;
                }
                if n_read > 0 || bytes.is_empty() { Poll::Ready(Ok(n_read)) } else { Poll::Pending }
            })
        })
        .await
    }
}

impl Write for Serial {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        #[cfg(feature = "fault-injection")]
        crate::haste::hold();
        for byte in bytes {
            while self.registers.read8(LINE_STATUS) & TRANSMITTER_EMPTY == 0 {}
            self.registers.write8(DATA, *byte);
        }
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        while self.registers.read8(LINE_STATUS) & TRANSMITTER_EMPTY == 0 {}
        Ok(())
    }
}
