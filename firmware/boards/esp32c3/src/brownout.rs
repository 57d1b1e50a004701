//! What happens when the chip's supply falls: the detector interrupts, every coil loses its current, a latching valve gets
//! the closing pulse that the reserve capacitor holds, and the chip resets when it has been given.
//!
//! The node's own rule (`SupplyPlan`) closes valves earlier, at a voltage that a person chose; this is the last resort
//! for a supply that breaks away. The detector's threshold is left as the chip comes with it.

use crate::{pins, reset};
use esp_hal::delay::Delay;
use esp_hal::interrupt::Priority;
use esp_hal::peripherals::LPWR;
use esp_hal::rtc_cntl::Rtc;
use giot_shared::wire::ResetCause;
use portable_atomic::{AtomicBool, Ordering};

/// Cycles of the slow clock for which the supply must be low: a few microseconds, less than a spark of a relay lasts.
const INTERRUPT_WAIT: u16 = 1;

/// Longest wait at boot for the supply to recover, ms: the charging of a capacitor through a tired battery.
const RECOVERY_MS_MAX: u32 = 5000;

/// Whether the coils are those of a latching valve.
static LATCHING: AtomicBool = AtomicBool::new(false);

/// Lets the detector interrupt.
pub(crate) fn start(rtc: &mut Rtc<'static>) {
    rtc.set_interrupt_handler(on_brown_out);
    let regs = LPWR::regs();
    // While the supply is still low, every boot would spend what the capacitor gathers on another pulse.
    let delay = Delay::new();
    for _ in 0..RECOVERY_MS_MAX {
        if regs.brown_out().read().det().bit_is_clear() {
            break;
        }
        delay.delay_millis(1);
    }
    // The bootloader lets the detector reset the chip by itself, which goes before the interrupt: no coil would get its pulse.
    regs.brown_out().modify(|_, w| w.brown_out_ana_rst_en().clear_bit());
    // SAFETY: the wait is a count of ten bits, and every value of it is valid.
    regs.brown_out()
        .modify(|_, w| unsafe { w.brown_out_int_wait().bits(INTERRUPT_WAIT).brown_out_ena().set_bit() });
    regs.int_clr().write(|w| w.brown_out().clear_bit_by_one());
    regs.int_ena().modify(|_, w| w.brown_out().set_bit());
}

/// A latching valve is wired: it needs a pulse to close.
pub(crate) fn expect_latching() {
    LATCHING.store(true, Ordering::Relaxed);
}

#[esp_hal::handler(priority = Priority::Priority3)]
fn on_brown_out() {
    pins::close_outputs();
    reset::announce(ResetCause::BrownOut);
    if LATCHING.load(Ordering::Relaxed) {
        // The pins of this chip always follow.
        let _followed = pins::seize_pair().close_now(&mut Delay::new());
    }
    reset::restart(ResetCause::BrownOut)
}
