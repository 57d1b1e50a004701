//! Three time lines that must not be mixed: civil time, a node's uptime, and the gateway's monotonic line.
//!
//! No clock is read here: whoever owns one passes its value in. Civil time may jump in both directions; the other two
//! never go back within one boot.

/// Civil time: milliseconds since 1970-01-01T00:00:00Z (leap seconds as POSIX has them).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMs(pub i64);

/// A node's own time: milliseconds since its boot (its epoch).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UptimeMs(pub u64);

/// The gateway's monotonic line: milliseconds since an arbitrary moment before its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonoMs(pub u64);

impl UnixMs {
    /// This moment plus `ms`, at most the end of time.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add_unsigned(ms))
    }

    /// This moment minus `ms`, at least the beginning of time.
    #[must_use]
    pub fn minus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_sub_unsigned(ms))
    }

    /// Milliseconds since `earlier`, 0 if that lies ahead.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

impl UptimeMs {
    /// This moment plus `ms`, saturating.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`, 0 if that lies ahead.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl MonoMs {
    /// This moment plus `ms`, saturating.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`, 0 if that lies ahead.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Ties a node's uptime to civil time within one epoch: the civil time of its uptime zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Civil time at the node's uptime zero.
    pub unix_at_boot: UnixMs,
}

impl Anchor {
    /// The anchor that makes uptime `at` equal to civil time `unix`.
    #[must_use]
    pub fn new(at: UptimeMs, unix: UnixMs) -> Self {
        Self { unix_at_boot: unix.minus_ms(at.0) }
    }

    /// Civil time of an uptime of the same epoch.
    #[must_use]
    pub fn date(self, at: UptimeMs) -> UnixMs {
        self.unix_at_boot.plus_ms(at.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchor_dates_what_came_before_and_after_it() {
        let anchor = Anchor::new(UptimeMs(10_000), UnixMs(1_700_000_000_000));
        assert_eq!(anchor.date(UptimeMs(10_000)), UnixMs(1_700_000_000_000));
        assert_eq!(anchor.date(UptimeMs(0)), UnixMs(1_699_999_990_000));
        assert_eq!(anchor.date(UptimeMs(10_001)), UnixMs(1_700_000_000_001));
    }

    #[test]
    fn spans_never_underflow() {
        assert_eq!(UnixMs(5).since_ms(UnixMs(9)), 0);
        assert_eq!(UptimeMs(5).since_ms(UptimeMs(9)), 0);
        assert_eq!(MonoMs(9).since_ms(MonoMs(5)), 4);
        assert_eq!(UnixMs(i64::MAX).plus_ms(u64::MAX), UnixMs(i64::MAX));
    }
}
