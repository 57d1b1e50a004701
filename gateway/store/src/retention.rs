//! How long what is kept, and how large the store may become.
//!
//! | kind | kept | given up for room |
//! |---|---|---|
//! | every reading | `raw_days`, then its hour and day stay | first, oldest first, but not the last [`RAW_DAYS_MIN`] days |
//! | hours | `hourly_days` | when no readings can be given up, oldest first |
//! | days | `daily_days` | never |
//! | valve events | `valve_events_days` | never |
//! | diary | for ever | never |
//!
//! Rules only; `upkeep` carries them out. Must not read a clock.

use super::summary::DAY_US;

/// Readings of so many days are never given up for room: programs, guards and charts of the week need them.
pub const RAW_DAYS_MIN: u32 = 7;

/// How long the series whose metric matches are kept, where that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// Metric, or its beginning and `*`.
    pub metric: String,
    /// Every reading, days; `None`: for ever.
    pub raw_days: Option<u32>,
    /// Hours, days; `None`: for ever.
    pub hourly_days: Option<u32>,
}

impl Keep {
    fn matches(&self, metric: &str) -> bool {
        match self.metric.strip_suffix('*') {
            Some(beginning) => metric.starts_with(beginning),
            None => metric == self.metric,
        }
    }
}

/// What is kept for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Every reading, days; `None`: for ever.
    pub raw_days: Option<u32>,
    /// Hours, days.
    pub hourly_days: Option<u32>,
    /// Days, days.
    pub daily_days: Option<u32>,
    /// Valve events, days.
    pub valve_events_days: Option<u32>,
    /// Exceptions; the first that matches counts.
    pub keep: Vec<Keep>,
    /// The database's bytes, free pages not counted, above which it gives up what the table above says.
    pub bytes_max: Option<u64>,
    /// Minutes east of UTC in which the farm counts its days.
    pub utc_offset_min: i32,
}

impl Default for Retention {
    /// Everything, for ever.
    fn default() -> Self {
        Self {
            raw_days: None,
            hourly_days: None,
            daily_days: None,
            valve_events_days: None,
            keep: Vec::new(),
            bytes_max: None,
            utc_offset_min: 0,
        }
    }
}

/// Moments before which a series gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) raw_us: Option<i64>,
    pub(super) hourly_us: Option<i64>,
    pub(super) daily_us: Option<i64>,
}

impl Retention {
    /// What holds for a metric at a moment.
    pub(super) fn limits(&self, metric: &str, now_us: i64) -> Limits {
        let exception = self.keep.iter().find(|keep| keep.matches(metric));
        let (raw_days, hourly_days) =
            exception.map_or((self.raw_days, self.hourly_days), |keep| (keep.raw_days, keep.hourly_days));
        Limits {
            raw_us: before(now_us, raw_days),
            hourly_us: before(now_us, hourly_days),
            daily_us: before(now_us, self.daily_days),
        }
    }

    /// The moment before which single readings of a metric are given up; `None`: never.
    #[must_use]
    pub fn readings_before_us(&self, metric: &str, now_us: i64) -> Option<i64> {
        self.limits(metric, now_us).raw_us
    }

    /// The moment before which valve events are given up.
    pub(super) fn valve_events_us(&self, now_us: i64) -> Option<i64> {
        before(now_us, self.valve_events_days)
    }

    /// The farm's distance from UTC.
    pub(super) fn offset_us(&self) -> i64 {
        i64::from(self.utc_offset_min).saturating_mul(60_000_000)
    }
}

fn before(now_us: i64, days: Option<u32>) -> Option<i64> {
    days.map(|days| now_us.saturating_sub(i64::from(days).saturating_mul(DAY_US)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_exception_that_matches_counts() {
        let keep = |metric: &str, raw_days| Keep { metric: metric.to_owned(), raw_days, hourly_days: None };
        let retention = Retention {
            raw_days: Some(100),
            keep: vec![keep("battery", Some(10)), keep("soil_*", None), keep("*", Some(50))],
            ..Retention::default()
        };
        let now_us = 1_000 * DAY_US;
        let raw = |metric: &str| retention.readings_before_us(metric, now_us).map(|us| us / DAY_US);
        assert_eq!([raw("battery"), raw("soil_moisture"), raw("rain")], [Some(990), None, Some(950)]);
        let plain = Retention { keep: Vec::new(), ..retention };
        assert_eq!(plain.limits("rain", now_us).raw_us, Some(900 * DAY_US));
    }
}
