//! The network card (virtio-net) as a driver of embassy-net.
//!
//! Every buffer is in exactly one place: with the card, under the number that the card knows it by; free; or with the one
//! who fills or reads it. A token that is dropped puts its buffer back.

use crate::interrupts::{self, Line};
use crate::mmio::{Mmio, VIRTIO, VIRTIO_SLOT_LEN};
use core::cell::{Cell, RefCell};
use core::ptr::NonNull;
use core::task::Context;
use critical_section::Mutex;
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::waitqueue::GenericAtomicWaker;
use embassy_time::Instant;
use static_cell::ConstStaticCell;
use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

const SLOTS: u32 = 8;
const DEVICE_ID: usize = 0x008;
const DEVICE_ID_NET: u32 = 1;
const INTERRUPT_STATUS: usize = 0x060;
const INTERRUPT_ACKNOWLEDGE: usize = 0x064;

/// Descriptors of each queue, and so the most buffers in it.
const QUEUE_LEN: usize = 8;
/// Buffers that wait for packets, and buffers to send from.
const N_RECEIVE: usize = 6;
const N_SEND: usize = 4;
/// Longest Ethernet frame and the card's own header; the driver takes no shorter ones.
const BUFFER_LEN: usize = 1536;
const MTU: usize = 1514;
/// Pages of the two queues: descriptors and rings of each.
const DMA_PAGES: usize = 4;

type Buffer = [u8; BUFFER_LEN];
type Card = VirtIONetRaw<Memory, MmioTransport<'static>, QUEUE_LEN>;

static BUFFERS: ConstStaticCell<[Buffer; N_RECEIVE + N_SEND]> =
    ConstStaticCell::new([[0; BUFFER_LEN]; N_RECEIVE + N_SEND]);
static READY: GenericAtomicWaker<CriticalSectionRawMutex> =
    GenericAtomicWaker::new(CriticalSectionRawMutex::new());
static RECEIVED_AT: Mutex<Cell<Option<Instant>>> = Mutex::new(Cell::new(None));
static REGISTERS: Mutex<Cell<Option<Mmio>>> = Mutex::new(Cell::new(None));

/// The card and its buffers.
pub(crate) struct Net(RefCell<State>);

struct State {
    card: Card,
    receiving: [Option<&'static mut Buffer>; QUEUE_LEN],
    sending: [Option<(&'static mut Buffer, usize)>; QUEUE_LEN],
    free: heapless::Vec<&'static mut Buffer, N_SEND>,
}

impl Net {
    /// Finds the card and starts it.
    pub(crate) fn start() -> Option<Self> {
        let slot = |slot: u32| (slot, VIRTIO.at(slot as usize * VIRTIO_SLOT_LEN));
        let (slot, registers) =
            (0..SLOTS).map(slot).find(|(_, slot)| slot.read32(DEVICE_ID) == DEVICE_ID_NET)?;
        let header =
            NonNull::new(core::ptr::with_exposed_provenance_mut::<VirtIOHeader>(registers.address()))?;
        // SAFETY: the slot is a virtio device for as long as the machine runs. Beside this driver only the interrupt
        // handler touches it, and only the two registers that the driver leaves alone.
        let transport = unsafe { MmioTransport::new(header, VIRTIO_SLOT_LEN) }.ok()?;
        critical_section::with(|section| FREE_PAGES.borrow(section).set(Some(PAGES.take())));
        let mut state = State {
            card: Card::new(transport).ok()?,
            receiving: [const { None }; QUEUE_LEN],
            sending: [const { None }; QUEUE_LEN],
            free: heapless::Vec::new(),
        };
        for (index, buffer) in BUFFERS.take().iter_mut().enumerate() {
            if index < N_RECEIVE {
                state.receive_into(buffer);
            } else {
                // There is room for exactly these.
                let _full = state.free.push(buffer);
            }
        }
        critical_section::with(|section| REGISTERS.borrow(section).set(Some(registers)));
        interrupts::enable(Line::of_virtio(slot));
        Some(Self(RefCell::new(state)))
    }
}

/// The card has received or sent something.
pub(crate) fn on_interrupt() {
    let registers = critical_section::with(|section| REGISTERS.borrow(section).get());
    if let Some(registers) = registers {
        registers.write32(INTERRUPT_ACKNOWLEDGE, registers.read32(INTERRUPT_STATUS));
        READY.wake();
    }
}

/// When the last packet came, for the latency of commands.
pub(crate) fn last_received() -> Option<Instant> {
    critical_section::with(|section| RECEIVED_AT.borrow(section).get())
}

impl State {
    fn receive_into(&mut self, buffer: &'static mut Buffer) {
        // SAFETY: the buffer stays in `receiving` untouched until the card gives it back.
        if let Ok(token) = unsafe { self.card.receive_begin(buffer) }
            && let Some(place) = self.receiving.get_mut(usize::from(token))
        {
            *place = Some(buffer);
        }
    }

    /// A received packet: its buffer and where in it the packet is.
    fn received(&mut self) -> Option<(&'static mut Buffer, core::ops::Range<usize>)> {
        let token = self.card.poll_receive()?;
        let buffer = self.receiving.get_mut(usize::from(token))?.take()?;
        // SAFETY: it is the buffer that `receive_into` gave away under this token.
        let (start, len) = unsafe { self.card.receive_complete(token, buffer) }.unwrap_or_default();
        Some((buffer, start..start + len))
    }

    /// A buffer to send from, after those that were sent have come back.
    fn buffer(&mut self) -> Option<&'static mut Buffer> {
        while let Some(token) = self.card.poll_transmit() {
            let (buffer, len) = self.sending.get_mut(usize::from(token))?.take()?;
            let sent = buffer.get(..len)?;
            // SAFETY: it is the slice that `send` gave away under this token.
            let _length_of_nothing = unsafe { self.card.transmit_complete(token, sent) };
            // There is room for every buffer there is.
            let _full = self.free.push(buffer);
        }
        self.free.pop()
    }

    fn send(&mut self, buffer: &'static mut Buffer, len: usize) {
        // SAFETY: the buffer stays in `sending` untouched until the card gives it back.
        match buffer.get(..len).map(|bytes| unsafe { self.card.transmit_begin(bytes) }) {
            Some(Ok(token)) => {
                if let Some(place) = self.sending.get_mut(usize::from(token)) {
                    *place = Some((buffer, len));
                }
            }
            // Not sent: the protocol above notices and repeats.
            Some(Err(_)) | None => {
                let _full = self.free.push(buffer);
            }
        }
    }
}

impl Driver for Net {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Received<'_>, Sending<'_>)> {
        READY.register(context.waker());
        let mut state = self.0.borrow_mut();
        let to_send = state.buffer()?;
        let Some((buffer, packet)) = state.received() else {
            let _full = state.free.push(to_send);
            return None;
        };
        drop(state);
        critical_section::with(|section| RECEIVED_AT.borrow(section).set(Some(Instant::now())));
        let received = Received { net: &self.0, buffer: Some(buffer), packet };
        Some((received, Sending { net: &self.0, buffer: Some(to_send) }))
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<Sending<'_>> {
        READY.register(context.waker());
        let buffer = self.0.borrow_mut().buffer()?;
        Some(Sending { net: &self.0, buffer: Some(buffer) })
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        // The card does not say when its cable is pulled: the protocols above notice by silence.
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = MTU;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.0.borrow().card.mac_address())
    }
}

/// A packet that was received.
pub(crate) struct Received<'a> {
    net: &'a RefCell<State>,
    buffer: Option<&'static mut Buffer>,
    packet: core::ops::Range<usize>,
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, read: F) -> R {
        let packet = self.packet.clone();
        let bytes = self.buffer.as_mut().and_then(|buffer| buffer.get_mut(packet));
        read(bytes.unwrap_or_default())
    }
}

impl Drop for Received<'_> {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.net.borrow_mut().receive_into(buffer);
        }
    }
}

/// A packet to be sent.
pub(crate) struct Sending<'a> {
    net: &'a RefCell<State>,
    buffer: Option<&'static mut Buffer>,
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, len: usize, fill: F) -> R {
        let Some(buffer) = self.buffer.take() else { return fill(&mut []) };
        let start = self.net.borrow().card.fill_buffer_header(buffer).unwrap_or_default();
        let end = (start + len).min(BUFFER_LEN);
        let filled = fill(buffer.get_mut(start..end).unwrap_or_default());
        self.net.borrow_mut().send(buffer, end);
        filled
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            let _full = self.net.borrow_mut().free.push(buffer);
        }
    }
}

/// Memory that the card shares: addresses are the same on both sides.
pub(crate) struct Memory;

#[repr(align(4096))]
struct Page([u8; PAGE_SIZE]);

static PAGES: ConstStaticCell<[Page; DMA_PAGES]> =
    ConstStaticCell::new([const { Page([0; PAGE_SIZE]) }; DMA_PAGES]);
/// Those that the card does not have yet.
static FREE_PAGES: Mutex<Cell<Option<&'static mut [Page]>>> = Mutex::new(Cell::new(None));

// SAFETY: each page is part of a static, handed out once and never again, aligned and zeroed.
unsafe impl Hal for Memory {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        assert_eq!(pages, 1, "a queue of eight fits a page");
        let page = critical_section::with(|section| {
            let pages = FREE_PAGES.borrow(section);
            let (page, rest) = pages.take()?.split_first_mut()?;
            pages.set(Some(rest));
            Some(page)
        });
        let page = page.expect("a page for each part of two queues");
        let start = NonNull::from(&mut page.0).cast::<u8>();
        (start.as_ptr().expose_provenance() as PhysAddr, start)
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        // The card runs as long as the machine.
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        // Asked for by cards on PCI only.
        NonNull::dangling()
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr().expose_provenance() as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}
