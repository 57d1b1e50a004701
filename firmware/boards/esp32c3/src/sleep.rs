//! Deep sleep: everything is off but the slow clock, the wake-up logic and a little memory; waking up is a boot.
//!
//! What the node takes along (`giot_firmware::sleep::Carry`) lies in that memory with the reading of the slow clock, from
//! which the next boot knows how long it slept. The clock is a resistor and a capacitor: each boot measures its period
//! against the crystal, and that period is taken for the sleep before it.

use esp_hal::delay::Delay;
use esp_hal::peripherals::{LPWR, RTC_TIMER};
use esp_hal::rtc_cntl::sleep::{LowPower, RtcSleepConfig};
use esp_hal::rtc_cntl::{Rtc, SocResetReason, reset_reason};
use esp_hal::system::Cpu;
use esp_hal::time::{Duration, Instant};
use giot_firmware::sleep::{CARRY_LEN, Carry, Woken};
use portable_atomic::{AtomicU32, Ordering};

/// Longer than one period of the slow clock, µs: it runs at 136 kHz, or 90 when it is cold and old.
const PERIOD_US: u32 = 12;
/// The carry, and the clock's reading in two halves.
const WORDS: usize = CARRY_LEN / 4 + 2;

#[esp_hal::ram(unstable(rtc_fast, persistent))]
static KEPT: [AtomicU32; WORDS] = [const { AtomicU32::new(0) }; WORDS];

/// How this boot goes on, when it ended a deep sleep. Once: what is read is forgotten.
pub(crate) fn take_woken(rtc: &Rtc<'static>) -> Option<Woken> {
    let words = KEPT.each_ref().map(|word| word.swap(0, Ordering::Relaxed));
    if reset_reason(Cpu::ProCpu) != Some(SocResetReason::CoreDeepSleep) {
        return None;
    }
    let [low, high, carried @ ..] = words;
    let mut bytes = [0; CARRY_LEN];
    for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(carried) {
        *place = word.to_le_bytes();
    }
    let slept = ticks().checked_sub(u64::from(high) << 32 | u64::from(low))?;
    Some(Carry::decode(&bytes)?.wake(span_ms(rtc, slept)))
}

/// Sleeps for `span_ms` or until the button of valve 0 is pressed. Returns when it is held at this moment.
pub(crate) fn sleep(carry: &Carry, span_ms: u64) {
    let begun = ticks();
    let [l0, l1, l2, l3, h0, h1, h2, h3] = begun.to_le_bytes();
    let clock = [u32::from_le_bytes([l0, l1, l2, l3]), u32::from_le_bytes([h0, h1, h2, h3])];
    let bytes = carry.encode();
    let carried = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
    for (place, word) in KEPT.iter().zip(clock.into_iter().chain(carried)) {
        place.store(word, Ordering::Relaxed);
    }
    // SAFETY: nobody else takes it, and the chip sleeps or resets after this.
    let mut power = LowPower::new(unsafe { LPWR::steal() });
    power.set_wakeup_deadline(Instant::now() + Duration::from_millis(span_ms));
    power.sleep_deep_with_rejection(RtcSleepConfig::deep());
}

/// The slow clock's reading, in its periods since power came on.
fn ticks() -> u64 {
    let regs = RTC_TIMER::regs();
    let delay = Delay::new();
    // The request has to stand for a whole period of the clock, or the last reading is given again.
    for _ in 0..PERIOD_US {
        regs.time_update().write(|w| w.time_update().set_bit());
        delay.delay_micros(1);
    }
    let high = u64::from(regs.time_high0().read().timer_value0_high().bits());
    let low = u64::from(regs.time_low0().read().timer_value0_low().bits());
    high << 32 | low
}

/// How long `n_ticks` are by the period that this boot measured.
fn span_ms(rtc: &Rtc<'static>, n_ticks: u64) -> u64 {
    let all = u128::from(ticks().max(1));
    let span_us = u128::from(n_ticks) * u128::from(rtc.time_since_power_up().as_micros()) / all;
    u64::try_from(span_us / 1000).unwrap_or(u64::MAX)
}
