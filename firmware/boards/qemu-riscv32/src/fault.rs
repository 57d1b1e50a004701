//! Faults on purpose, in images for tests only (feature `fault-injection`).

use crate::console::log;
use crate::gpio;

const HANG: u32 = 1;
const PANIC: u32 = 2;

/// Commits the fault that the GPIO file asks for: 0 none, 1 a loop that never ends, 2 a broken invariant.
pub(crate) fn commit(fault: u32) {
    match fault {
        HANG => {
            log!("hangs on request");
            loop {
                core::hint::spin_loop();
            }
        }
        PANIC => panic!("panics on request"),
        _ => {}
    }
}

/// Which half of a page is still as it was when the power fails while it is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    /// The second half is erased.
    First,
    /// The first half is erased.
    Second,
}

/// Whether the power fails at the erasure of a page, which is three steps: before it, and in the middle of it either way.
pub(crate) fn erasure_fails() -> Option<Half> {
    if gpio::power_fails() {
        die();
    }
    [Half::First, Half::Second].into_iter().find(|_| gpio::power_fails())
}

/// The power fails: nothing runs any more until it is really cut, or the host lets it come back.
pub(crate) fn die() -> ! {
    riscv::interrupt::disable();
    gpio::tell_failed();
    while !gpio::comes_back() {
        core::hint::spin_loop();
    }
    crate::reset::come_on()
}
