//! Where a node's uptime lies on the gateway's monotonic line: how old a reading is, without any civil clock.
//!
//! Whatever the node says carries its uptime and arrives later than it was said, so `arrival − uptime` is never before the
//! node's boot, and the smallest of them is the best that is known. Each later word can only move the boot back and so make
//! readings older. A node's clock may run slow against the gateway's: the estimate may drift forward by as much as the
//! worst resonator would, and no faster.
//!
//! What is left: readings look younger than they are by the way of the quickest word of late. The Hello opens a connection
//! and is said again at most two minutes later while it waits for its Welcome, and no records flow before that.

use giot_shared::time::{MonoMs, UptimeMs};

/// A node's clock may run slow by 1/50: a resonator at the edge of its range, far worse than a crystal.
const DRIFT_DIVISOR: i64 = 50;

/// The line of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UptimeLine {
    pub(super) epoch: u32,
    /// The node's uptime zero on the monotonic line, no earlier than it was; negative before the gateway's start.
    boot_ms: i64,
    /// When that was judged last.
    at: MonoMs,
}

impl UptimeLine {
    /// The line of an epoch's first word.
    pub(super) fn new(epoch: u32, uptime: UptimeMs, now: MonoMs) -> Self {
        Self { epoch, boot_ms: minus(now, uptime), at: now }
    }

    /// A word of the epoch, said at `uptime` or later.
    pub(super) fn hear(&mut self, uptime: UptimeMs, now: MonoMs) {
        self.boot_ms = self.boot_ms_at(now).min(minus(now, uptime));
        self.at = self.at.max(now);
    }

    /// How old something is that happened at `uptime` of this epoch, ms.
    pub(super) fn age_ms(&self, uptime: UptimeMs, now: MonoMs) -> u64 {
        u64::try_from(minus(now, uptime).saturating_sub(self.boot_ms_at(now))).unwrap_or(0)
    }

    fn boot_ms_at(&self, now: MonoMs) -> i64 {
        let passed_ms = i64::try_from(now.since_ms(self.at)).unwrap_or(i64::MAX);
        self.boot_ms.saturating_add(passed_ms / DRIFT_DIVISOR)
    }
}

fn minus(now: MonoMs, uptime: UptimeMs) -> i64 {
    let now_ms = i64::try_from(now.0).unwrap_or(i64::MAX);
    now_ms.saturating_sub_unsigned(uptime.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    #[test]
    fn a_late_hello_is_put_right_by_a_quicker_word() {
        // Said at uptime 10 s, heard 30 s later: what happened at uptime 5 s is 35 s old and looks 5 s old.
        let mut line = UptimeLine::new(1, UptimeMs(10_000), MonoMs(1_040_000));
        assert_eq!(line.age_ms(UptimeMs(5_000), MonoMs(1_040_000)), 5_000);
        line.hear(UptimeMs(60_000), MonoMs(1_060_500));
        assert_eq!(line.age_ms(UptimeMs(5_000), MonoMs(1_060_500)), 55_000);
        // A slower one takes nothing back.
        line.hear(UptimeMs(1_000), MonoMs(1_060_500));
        assert_eq!(line.age_ms(UptimeMs(5_000), MonoMs(1_060_500)), 55_000);
    }

    #[test]
    fn a_node_that_was_up_before_the_gateway_has_its_line() {
        let line = UptimeLine::new(1, UptimeMs(100 * HOUR_MS), MonoMs(7_000));
        assert_eq!(line.age_ms(UptimeMs(95 * HOUR_MS), MonoMs(7_000)), 5 * HOUR_MS);
        assert_eq!(line.age_ms(UptimeMs(101 * HOUR_MS), MonoMs(7_000)), 0, "nothing is younger than now");
    }

    #[test]
    fn a_slow_clock_does_not_age_what_is_new() {
        // One percent slow over ten days, a word every half hour.
        let mut line = UptimeLine::new(1, UptimeMs(0), MonoMs(0));
        for n in 1..480_u64 {
            let (now, uptime) = (MonoMs(n * HOUR_MS / 2), UptimeMs(n * HOUR_MS / 200 * 99));
            line.hear(uptime, now);
            assert_eq!(line.age_ms(uptime, now), 0);
            let before = UptimeMs(uptime.0.saturating_sub(HOUR_MS / 2));
            assert!(line.age_ms(before, now) >= HOUR_MS / 2 / 100 * 98, "by the slack of one word at most");
        }
    }

    #[test]
    fn no_number_is_too_large() {
        let mut line = UptimeLine::new(1, UptimeMs(u64::MAX), MonoMs(0));
        line.hear(UptimeMs(0), MonoMs(u64::MAX));
        assert!(line.age_ms(UptimeMs(0), MonoMs(u64::MAX)) > 0);
    }
}
