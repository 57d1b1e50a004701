//! Simulated civil time: runs a fixed factor faster than the world from a chosen start; one for all nodes of a farm.
//!
//! It follows tokio's clock, so that tests with paused time decide when time passes.

use giot_shared::time::UnixMs;
use std::time::Duration;
use tokio::time::Instant;

/// A handle to simulated time; clones show the same.
#[derive(Clone, Copy, Debug)]
pub struct SimClock {
    start: UnixMs,
    origin: Instant,
    speed: f64,
}

impl SimClock {
    /// A clock that shows `start` at this moment and runs `speed` times as fast as the world; speeds that are no
    /// positive number count as 1.
    #[must_use]
    pub fn new(start: UnixMs, speed: f64) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        Self { start, origin: Instant::now(), speed }
    }

    /// Simulated civil time.
    #[must_use]
    pub fn unix(&self) -> UnixMs {
        let ms = self.origin.elapsed().as_secs_f64() * 1000.0 * self.speed;
        self.start.plus_ms(whole_ms(ms))
    }

    /// How many times faster than the world it runs.
    #[must_use]
    pub const fn speed(&self) -> f64 {
        self.speed
    }

    /// Sleeps until simulated time `at`. Cancel-safe.
    pub async fn sleep_until(&self, at: UnixMs) {
        // A rounded sleep may end a moment early: look again.
        loop {
            let ms = at.since_ms(self.unix());
            if ms == 0 {
                return;
            }
            tokio::time::sleep(self.real(ms)).await;
        }
    }

    /// The real duration of simulated milliseconds; a year at most, so that it can be added to any moment.
    #[must_use]
    pub fn real(&self, ms: u64) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "2^53 ms are 285 000 years")]
        let secs = (ms as f64 / 1000.0 / self.speed).min(31_536_000.0);
        Duration::from_secs_f64(secs)
    }
}

/// The whole part of a span that is not negative; saturates.
fn whole_ms(ms: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and the part below a millisecond is not shown"
    )]
    let whole = ms as u64;
    whole
}
