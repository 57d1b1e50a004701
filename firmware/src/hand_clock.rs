//! A clock for tests of what waits: each thread has its own, and it stands still until nothing but time can go on.
//!
//! [`block_on`] polls a future and, when it waits, moves the clock to the next moment that something asked for. So a test
//! of seconds takes none, and the moments it sees are exact.

use core::pin::pin;
use core::task::{Context, Poll, Waker};
use embassy_time_driver::Driver;
use std::cell::Cell;

std::thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
    static NEXT: Cell<u64> = const { Cell::new(u64::MAX) };
}

struct HandClock;

embassy_time_driver::time_driver_impl!(static DRIVER: HandClock = HandClock);

impl Driver for HandClock {
    fn now(&self) -> u64 {
        NOW.get()
    }

    fn schedule_wake(&self, at: u64, _: &Waker) {
        NEXT.set(NEXT.get().min(at));
    }
}

/// Milliseconds since the thread began.
pub(crate) fn now_ms() -> u64 {
    embassy_time::Duration::from_ticks(NOW.get()).as_millis()
}

/// Runs a future to its end.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        NEXT.set(u64::MAX);
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        assert_ne!(NEXT.get(), u64::MAX, "it waits for nothing");
        NOW.set(NEXT.get().max(NOW.get()));
    }
}
