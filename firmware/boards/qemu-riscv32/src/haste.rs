//! Idle time that passes at once, in images for tests only (feature `fault-injection`): days of a field in a minute.
//!
//! While the host's switch is on and nobody has anything to do, the clock goes on to the next alarm instead of waiting for it. No
//! alarm is jumped over, so that everything happens in the order and at the time at which it would. What waits for the world
//! waits in real time: nothing is skipped from a question on the RS485 line until its answer came or its time is over; an impatient
//! board, for noise on that line, waits a little for the rest of an answer and no longer. The network has such a
//! hold where the host says that there is one: while a connection stands or is made. Otherwise the switch is for a pulled cable, or
//! for the wait before a boot.
//!
//! The pins tell how much was skipped. A reset begins a new uptime, and so a new offset; what the pins tell goes on over it.

use crate::gpio;
use core::cell::Cell;
use critical_section::{CriticalSection, Mutex};
use embassy_futures::select::{Either, select};
use embassy_futures::yield_now;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Instant, Timer};
use embassy_time_driver::TICK_HZ;
use giot_firmware::link::tcp::Socket;

const TICKS_PER_US: u64 = TICK_HZ / 1_000_000;
/// How often the switch is looked at while it is off, ms.
const SWITCH_LOOK_MS: u64 = 20;
/// How often it is looked whether somebody still waits for the world, µs.
const HELD_LOOK_US: u64 = 200;
/// How long an impatient board waits for the rest of an answer, µs: bytes on a Unix socket follow each other at once.
const REST_US: u64 = 2000;
/// How often what changes outside is looked at while the switch is on, ms: a field of days has no time for fifty looks a second.
const LOOK_MS: u64 = 60_000;
/// Turns without a look at the clock after which nobody has anything to do: what was ready is served in the next turn, what that
/// made ready in the one after it. Whoever is served looks at the clock.
const QUIET_TURNS: u32 = 3;

#[derive(Clone, Copy)]
struct Clock {
    /// What was skipped since reset, in ticks.
    skipped: u64,
    /// The next alarm.
    alarm: u64,
    /// Looks at the clock, wrapping.
    n_looks: u32,
    /// Somebody waits for the world.
    is_held: bool,
    /// Count of the hart's timer at which the world last said something meanwhile.
    heard_at: Option<u64>,
}

static CLOCK: Mutex<Cell<Clock>> =
    Mutex::new(Cell::new(Clock { skipped: 0, alarm: u64::MAX, n_looks: 0, is_held: false, heard_at: None }));

/// Told when the switch goes off.
static ENDED: Signal<CriticalSectionRawMutex, ()> = Signal::new();

fn change<T>(change: impl FnOnce(CriticalSection<'_>, &mut Clock) -> T) -> T {
    critical_section::with(|section| {
        let cell = CLOCK.borrow(section);
        let mut clock = cell.get();
        let result = change(section, &mut clock);
        cell.set(clock);
        result
    })
}

/// The time at a count of the hart's timer, for somebody who has something to do.
pub(crate) fn time(count: u64) -> u64 {
    change(|_, clock| {
        clock.n_looks = clock.n_looks.wrapping_add(1);
        count + clock.skipped
    })
}

/// The count of the hart's timer at which the next alarm rings.
pub(crate) fn count_of_alarm(alarm: u64) -> u64 {
    change(|_, clock| {
        clock.alarm = alarm;
        if alarm == u64::MAX { alarm } else { alarm.saturating_sub(clock.skipped) }
    })
}

/// From here on somebody waits for the world.
pub(crate) fn hold() {
    change(|_, clock| (clock.is_held, clock.heard_at) = (true, None));
}

/// The world said something.
pub(crate) fn hear() {
    let count = crate::time::count();
    change(|_, clock| clock.heard_at = Some(count));
}

/// Whether somebody waits for the world.
fn is_held() -> bool {
    let (is_held, heard_at) = change(|_, clock| (clock.is_held, clock.heard_at));
    let is_over = heard_at.is_some_and(|at| crate::time::count().saturating_sub(at) > REST_US * TICKS_PER_US);
    is_held && !(is_over && gpio::is_impatient())
}

/// Nobody does any more.
pub(crate) fn release() {
    change(|_, clock| clock.is_held = false);
}

/// How often to look at what changes outside, where `usual_ms` is usual.
pub(crate) fn look_ms(usual_ms: u64) -> u64 {
    if gpio::is_hasty() { LOOK_MS } else { usual_ms }
}

/// Waits for a moment. Gives whether the haste ended before it: whoever looked seldom looks as usual from then on.
pub(crate) async fn until(at: Instant) -> bool {
    matches!(select(Timer::at(at), ENDED.wait()).await, Either::Second(()))
}

/// Skips what nobody uses, while the switch is on.
#[embassy_executor::task]
pub(crate) async fn attend(socket: &'static Socket) -> ! {
    let (mut n_quiet, mut n_seen, mut was_hasty) = (0, 0, false);
    loop {
        if !gpio::is_hasty() {
            if core::mem::take(&mut was_hasty) {
                ENDED.signal(());
            }
            Timer::after_millis(SWITCH_LOOK_MS).await;
            continue;
        }
        was_hasty = true;
        if is_held() || gpio::has_network() && socket.is_lent() {
            // The world needs the processor more than this loop.
            Timer::after_micros(HELD_LOOK_US).await;
            continue;
        }
        yield_now().await;
        let n_looks = change(|_, clock| clock.n_looks);
        n_quiet = if n_looks == n_seen { n_quiet + 1 } else { 0 };
        n_seen = n_looks;
        if n_quiet >= QUIET_TURNS {
            n_quiet = 0;
            skip();
        }
    }
}

/// Goes on to the next alarm.
fn skip() {
    let count = crate::time::count();
    let skipped_us = change(|_, clock| {
        if clock.alarm == u64::MAX {
            return 0;
        }
        // Up to the alarm or just beyond it, so that it need not be waited for.
        let rest_us = clock.alarm.saturating_sub(count + clock.skipped).div_ceil(TICKS_PER_US);
        clock.skipped += rest_us * TICKS_PER_US;
        rest_us
    });
    if skipped_us > 0 {
        gpio::tell_skipped(skipped_us);
        crate::time::ring();
    }
}
