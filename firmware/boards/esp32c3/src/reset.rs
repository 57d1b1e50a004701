//! Why this boot happened, and resets on purpose.
//!
//! The cause of a reset that the firmware makes itself is kept in memory that outlives it; all others are the chip's own
//! word (ESP32-C3 Technical Reference Manual, table of reset causes).

use crate::console::log;
use crate::pins;
use core::panic::PanicInfo;
use esp_hal::rtc_cntl::{SocResetReason, reset_reason};
use esp_hal::system::{Cpu, software_reset};
use giot_shared::wire::ResetCause;
use portable_atomic::{AtomicU32, Ordering};

/// With a cause's code added: no memory has this by chance after power came on.
const MARK: u32 = 0x6769_6f00;

#[esp_hal::ram(unstable(rtc_fast, persistent))]
static KEPT: AtomicU32 = AtomicU32::new(0);

/// Asks for a boot without the node; no cause has this code.
const SETUP: u32 = 200;

/// Takes the cause of this boot, and whether it is one without the node.
pub(crate) fn take_cause() -> (ResetCause, bool) {
    let kept = KEPT.swap(0, Ordering::Relaxed);
    let cause = cause_of(kept);
    (cause, cause == ResetCause::Software && kept == MARK + SETUP)
}

fn cause_of(kept: u32) -> ResetCause {
    let announced =
        kept.checked_sub(MARK).and_then(|code| u8::try_from(code).ok()).and_then(ResetCause::from_wire);
    // A supply that fails while its interrupt still runs looks like power that comes on.
    if announced == Some(ResetCause::BrownOut) {
        return ResetCause::BrownOut;
    }
    match reset_reason(Cpu::ProCpu) {
        Some(SocResetReason::CoreSw | SocResetReason::Cpu0Sw) => announced.unwrap_or(ResetCause::Software),
        // The port on USB resets the chip for whoever flashes it.
        Some(SocResetReason::CoreUsbUart | SocResetReason::CoreUsbJtag) => ResetCause::Software,
        Some(SocResetReason::CoreDeepSleep) => ResetCause::Sleep,
        Some(SocResetReason::SysBrownOut | SocResetReason::SysClkGlitch | SocResetReason::CorePwrGlitch) => {
            ResetCause::BrownOut
        }
        Some(
            SocResetReason::CoreMwdt0
            | SocResetReason::CoreMwdt1
            | SocResetReason::CoreRtcWdt
            | SocResetReason::Cpu0Mwdt0
            | SocResetReason::Cpu0RtcWdt
            | SocResetReason::SysRtcWdt
            | SocResetReason::Cpu0Mwdt1
            | SocResetReason::SysSuperWdt,
        ) => ResetCause::Watchdog,
        Some(SocResetReason::ChipPowerOn | SocResetReason::CoreEfuseCrc) | None => ResetCause::PowerOn,
    }
}

/// Lets the next boot know why it happens.
pub(crate) fn announce(cause: ResetCause) {
    KEPT.store(MARK + cause as u32, Ordering::Relaxed);
}

/// Resets the chip and lets the next boot know why.
pub(crate) fn restart(cause: ResetCause) -> ! {
    pins::close_outputs();
    announce(cause);
    software_reset()
}

/// Resets the chip for a boot without the node.
pub(crate) fn restart_for_setup() -> ! {
    pins::close_outputs();
    KEPT.store(MARK + SETUP, Ordering::Relaxed);
    software_reset()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // Valves first: whatever else is broken, nothing may stay open. A latching valve closes at the boot that follows.
    pins::close_outputs();
    log!("{info}");
    restart(ResetCause::Panic)
}
