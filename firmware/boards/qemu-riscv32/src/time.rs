//! Time and timers on the hart's own timer (RISC-V Privileged Architecture §3.2.1), for embassy-time.
//!
//! The counter runs ten million a second and begins at 0 with every reset.

use crate::mmio::CLINT;
use core::cell::RefCell;
use core::task::Waker;
use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::{Driver, TICK_HZ};
use embassy_time_queue_utils::Queue;

const COMPARE_LOW: usize = 0x4000;
const COMPARE_HIGH: usize = 0x4004;
const NOW_LOW: usize = 0xbff8;
const NOW_HIGH: usize = 0xbffc;

struct HartTimer {
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static DRIVER: HartTimer = HartTimer { queue: Mutex::new(RefCell::new(Queue::new())) });

impl Driver for HartTimer {
    fn now(&self) -> u64 {
        const { assert!(TICK_HZ == 10_000_000) };
        let now = count();
        #[cfg(feature = "fault-injection")]
        let now = crate::haste::time(now);
        now
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|section| {
            if self.queue.borrow_ref_mut(section).schedule_wake(at, waker) {
                self.wake_due(section);
            }
        });
    }
}

impl HartTimer {
    /// Wakes what is due and sets the alarm for what is next; an alarm in the past rings at once.
    fn wake_due(&self, section: CriticalSection<'_>) {
        let next = self.queue.borrow_ref_mut(section).next_expiration(self.now());
        #[cfg(feature = "fault-injection")]
        let next = crate::haste::count_of_alarm(next);
        let [h3, h2, h1, h0, l3, l2, l1, l0] = next.to_be_bytes();
        // All ones first, so that no half-written moment rings.
        CLINT.write32(COMPARE_LOW, u32::MAX);
        CLINT.write32(COMPARE_HIGH, u32::from_be_bytes([h3, h2, h1, h0]));
        CLINT.write32(COMPARE_LOW, u32::from_be_bytes([l3, l2, l1, l0]));
    }
}

#[riscv_rt::core_interrupt(riscv::interrupt::Interrupt::MachineTimer)]
fn timer() {
    critical_section::with(|section| DRIVER.wake_due(section));
}

/// The timer's count.
pub(crate) fn count() -> u64 {
    loop {
        let high = CLINT.read32(NOW_HIGH);
        let low = CLINT.read32(NOW_LOW);
        // The halves belong together when no carry came in between.
        if CLINT.read32(NOW_HIGH) == high {
            return u64::from(high) << 32 | u64::from(low);
        }
    }
}

/// Wakes what is due, after time was skipped.
#[cfg(feature = "fault-injection")]
pub(crate) fn ring() {
    critical_section::with(|section| DRIVER.wake_due(section));
}

/// Lets the alarm interrupt.
pub(crate) fn start() {
    CLINT.write32(COMPARE_HIGH, u32::MAX);
    // SAFETY: the handler above takes the interrupt, and every shared state is behind critical sections.
    unsafe { riscv::register::mie::set_mtimer() };
}
