//! Why this boot happened, and resets on purpose.
//!
//! The cause of a reset that the firmware makes itself is kept in memory that start-up does not clear; the watchdog keeps
//! its own. A reset that nobody announced, while the memory still knows that the node was running, is a supply that
//! dipped; memory without the mark means that power came on.

use crate::console::log;
use crate::gpio;
use crate::mmio::FINISHER;
use core::cell::Cell;
use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use critical_section::Mutex;
use giot_shared::wire::ResetCause;

/// Says that a cause follows: no memory has this by chance after power came on.
const MARK: u32 = 0x6769_6f74;
/// A node that is running has no cause yet.
const RUNNING: u8 = 0;
const FINISHER_RESET: u32 = 0x7777;

/// Two words that no start-up code clears, so that they outlive a reset.
#[unsafe(link_section = ".uninit.kept")]
static KEPT: Mutex<Cell<MaybeUninit<[u32; 2]>>> = Mutex::new(Cell::new(MaybeUninit::uninit()));

/// Asks for a boot without the node; no cause has this code.
const SETUP: u8 = 200;

/// Takes the cause of this boot, and whether it is one without the node; marks the node as running.
pub(crate) fn take_cause(watchdog_has_fired: bool) -> (ResetCause, bool) {
    let kept = critical_section::with(|section| KEPT.borrow(section).get());
    // SAFETY: the words lie in memory that exists, and any content of it is a valid pair of numbers.
    let [mark, code] = unsafe { kept.assume_init() };
    keep(RUNNING);
    let cause = if watchdog_has_fired {
        ResetCause::Watchdog
    } else if mark != MARK {
        ResetCause::PowerOn
    } else if code == u32::from(SETUP) {
        ResetCause::Software
    } else {
        u8::try_from(code).ok().and_then(ResetCause::from_wire).unwrap_or(ResetCause::BrownOut)
    };
    (cause, mark == MARK && code == u32::from(SETUP))
}

/// Resets the machine for a boot without the node.
pub(crate) fn restart_for_setup() -> ! {
    reset(SETUP)
}

/// Resets the machine and lets the next boot know why.
pub(crate) fn restart(cause: ResetCause) -> ! {
    reset(cause as u8)
}

/// Resets the machine as if power came on: the memory knows nothing, and the outputs are what they were.
#[cfg(feature = "fault-injection")]
pub(crate) fn come_on() -> ! {
    critical_section::with(|section| KEPT.borrow(section).set(MaybeUninit::new([0; 2])));
    finish()
}

fn reset(code: u8) -> ! {
    gpio::close_outputs();
    keep(code);
    finish()
}

fn finish() -> ! {
    FINISHER.write32(0, FINISHER_RESET);
    // The reset comes within the next instructions.
    loop {
        riscv::asm::wfi();
    }
}

fn keep(code: u8) {
    let words = MaybeUninit::new([MARK, u32::from(code)]);
    critical_section::with(|section| KEPT.borrow(section).set(words));
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // Valves first: whatever else is broken, nothing may stay open.
    gpio::close_outputs();
    log!("{info}");
    restart(ResetCause::Panic)
}
