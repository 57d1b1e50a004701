//! Faults on purpose, in images for tests only (feature `fault-injection`).

use crate::console::log;

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

/// The power fails: nothing runs any more until it is really cut.
pub(crate) fn die() -> ! {
    riscv::interrupt::disable();
    crate::gpio::tell_failed();
    loop {
        core::hint::spin_loop();
    }
}
