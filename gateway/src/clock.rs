//! The only reader of wall time and of the monotonic clock.
//!
//! Everything else gets its time as an argument. Civil time may be unset (no RTC, no NTP yet) or jump; the monotonic
//! line never goes back. A demo's clock runs faster than the world, from a start of its own.

use giot_shared::time::{MonoMs, UnixMs};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Civil times before this are a clock that was never set: 2025-01-01T00:00:00Z, before the first line of Giọt.
const PLAUSIBLE_SINCE: UnixMs = UnixMs(1_735_689_600_000);

/// How far civil time may lie behind the newest stored record before it counts as unset: an hour covers a correction
/// by NTP after weeks on a cheap quartz.
const BEHIND_MAX_MS: u64 = 3_600_000;

/// The process's time. Cheap to copy; all copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    speed: u32,
    /// Fixed start of a demo's civil time; `None` follows the machine's clock.
    demo_start: Option<UnixMs>,
    /// Newest civil time found in the store: an earlier clock is wrong (design section 3).
    not_before: UnixMs,
}

impl Clock {
    /// The machine's own time; `not_before` is the newest moment already in the store.
    #[must_use]
    pub fn system(not_before: Option<UnixMs>) -> Self {
        let not_before = not_before.unwrap_or(PLAUSIBLE_SINCE).max(PLAUSIBLE_SINCE);
        Self { started: monotonic(), speed: 1, demo_start: None, not_before }
    }

    /// A clock that starts at `start` and runs `speed` times as fast as the world.
    #[must_use]
    pub fn demo(start: UnixMs, speed: u32) -> Self {
        Self {
            started: monotonic(),
            speed: speed.max(1),
            demo_start: Some(start),
            not_before: UnixMs(i64::MIN),
        }
    }

    /// How many times faster than the world this clock runs.
    #[must_use]
    pub const fn speed(&self) -> u32 {
        self.speed
    }

    /// Whether this is a demo's clock.
    #[must_use]
    pub const fn is_demo(&self) -> bool {
        self.demo_start.is_some()
    }

    /// The monotonic line: milliseconds of this clock since the process made it.
    #[must_use]
    pub fn mono(&self) -> MonoMs {
        MonoMs(millis(self.started.elapsed()).saturating_mul(u64::from(self.speed)))
    }

    /// Civil time, or `None` while the machine's clock is not set.
    #[must_use]
    pub fn wall(&self) -> Option<UnixMs> {
        match self.demo_start {
            Some(start) => Some(start.plus_ms(self.mono().0)),
            None => Some(system_time()).filter(|now| now.plus_ms(BEHIND_MAX_MS) >= self.not_before),
        }
    }

    /// Civil time as it reads, set or not: good enough for log lines, never for a decision.
    #[must_use]
    pub fn wall_unchecked(&self) -> UnixMs {
        self.demo_start.map_or_else(system_time, |start| start.plus_ms(self.mono().0))
    }

    /// Microseconds of civil time as it reads; the history's unit.
    #[must_use]
    pub fn wall_us_unchecked(&self) -> i64 {
        match self.demo_start {
            Some(_) => self.wall_unchecked().0.saturating_mul(1000),
            None => SystemTime::now_us(),
        }
    }

    /// Real time until the monotonic line reaches `at`.
    #[must_use]
    pub fn until(&self, at: MonoMs) -> Duration {
        let rest_ms = at.since_ms(self.mono());
        Duration::from_millis(rest_ms.div_ceil(u64::from(self.speed)))
    }

    /// A span of this clock as real time.
    #[must_use]
    pub fn real(&self, span: Duration) -> Duration {
        span / self.speed
    }
}

trait NowUs {
    fn now_us() -> i64;
}

impl NowUs for SystemTime {
    fn now_us() -> i64 {
        #[expect(clippy::disallowed_methods, reason = "this file is the only reader of the wall clock")]
        let now = Self::now();
        now.duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
    }
}

fn system_time() -> UnixMs {
    UnixMs(SystemTime::now_us() / 1000)
}

/// The monotonic clock, for spans of real time that are measured and shown.
#[must_use]
pub fn monotonic() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "this file is the only reader of the monotonic clock")]
    let now = Instant::now();
    now
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_behind_the_store_is_unset() {
        let today = system_time();
        assert!(Clock::system(None).wall().is_some(), "this machine's clock is set");
        assert!(Clock::system(Some(today)).wall().is_some());
        assert!(Clock::system(Some(today.plus_ms(BEHIND_MAX_MS * 2))).wall().is_none());
    }

    #[test]
    fn a_demo_starts_where_it_is_told() {
        let clock = Clock::demo(UnixMs(1_000_000), 60);
        let at = clock.wall().expect("a demo's clock is set");
        assert!(at >= UnixMs(1_000_000) && at < UnixMs(1_600_000));
        assert_eq!(clock.until(MonoMs(clock.mono().0.saturating_add(60_000))).as_secs(), 1);
    }
}
