//! The farm's clock: a fixed distance from UTC, or a place of the IANA table whose clock jumps in spring and autumn.
//!
//! Must not read a clock. Invariant: a day begins at the first moment that has its date, also where midnight does not exist or comes
//! twice; so days are 23, 24 or 25 hours long and none overlaps another.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone as _, Utc};
use chrono_tz::Tz;
use std::fmt;
use std::str::FromStr;

use crate::config::parse_utc_offset;

const SECOND_US: i64 = 1_000_000;

/// No clock is further from UTC; a day of a place begins within this of the same date in UTC.
const OFFSET_MAX_S: i64 = 26 * 3_600;

/// How local time is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeZone(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fixed { offset_min: i32 },
    Named(Tz),
}

/// A text that names no time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a place such as Asia/Ho_Chi_Minh, UTC, or a distance from UTC such as +07:00")]
pub struct UnknownTimeZone;

impl FromStr for TimeZone {
    type Err = UnknownTimeZone;

    fn from_str(text: &str) -> Result<Self, UnknownTimeZone> {
        if let Some(offset_min) = parse_utc_offset(text) {
            return Ok(Self::fixed(offset_min));
        }
        match text {
            "UTC" | "Z" => Ok(Self::UTC),
            place => place.parse().map(|place| Self(Kind::Named(place))).map_err(|_| UnknownTimeZone),
        }
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Fixed { offset_min: 0 } => f.write_str("UTC"),
            Kind::Fixed { offset_min } => {
                let sign = if offset_min < 0 { '-' } else { '+' };
                let minutes = offset_min.unsigned_abs();
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
            Kind::Named(place) => f.write_str(place.name()),
        }
    }
}

impl TimeZone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(Kind::Fixed { offset_min: 0 });

    /// A clock that never jumps.
    #[must_use]
    pub const fn fixed(offset_min: i32) -> Self {
        Self(Kind::Fixed { offset_min })
    }

    /// Distance of local time from UTC at a moment, seconds east.
    #[must_use]
    pub fn offset_s(self, at_us: i64) -> i64 {
        match self.0 {
            Kind::Fixed { offset_min } => i64::from(offset_min) * 60,
            Kind::Named(place) => DateTime::from_timestamp_micros(at_us).map_or(0, |at| {
                place.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc().into()
            }),
        }
    }

    /// What a clock on the farm's wall showed; `None` for moments so far off that no calendar has them.
    #[must_use]
    pub fn local(self, at_us: i64) -> Option<NaiveDateTime> {
        let local_us = at_us.checked_add(self.offset_s(at_us).checked_mul(SECOND_US)?)?;
        Some(DateTime::from_timestamp_micros(local_us)?.naive_utc())
    }

    /// A moment as RFC 3339 with this clock's distance from UTC, without a fraction where there is none.
    #[must_use]
    pub fn rfc3339(self, at_us: i64) -> String {
        let offset = i32::try_from(self.offset_s(at_us)).ok().and_then(chrono::FixedOffset::east_opt);
        match (DateTime::from_timestamp_micros(at_us), offset) {
            (Some(at), Some(offset)) => {
                at.with_timezone(&offset).to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
            }
            _ => at_us.to_string(),
        }
    }

    /// The first moment of a date, µs; `None` for dates that no time stamp reaches.
    #[must_use]
    pub fn start_of_day(self, date: NaiveDate) -> Option<i64> {
        let midnight = date.and_time(NaiveTime::MIN);
        let place = match self.0 {
            Kind::Fixed { offset_min } => {
                let utc_us = midnight.and_utc().timestamp().checked_mul(SECOND_US)?;
                return utc_us.checked_sub(i64::from(offset_min) * 60 * SECOND_US);
            }
            Kind::Named(place) => place,
        };
        let start_s = match place.from_local_datetime(&midnight).earliest() {
            Some(start) => start.with_timezone(&Utc).timestamp(),
            None => self.first_after_gap(date)?,
        };
        start_s.checked_mul(SECOND_US)
    }

    /// The day after.
    pub(super) fn next_day(date: NaiveDate, n_days: u64) -> Option<NaiveDate> {
        date.checked_add_days(Days::new(n_days))
    }

    /// Where the clock jumped over midnight: the second at which the date became `date` or a later one.
    fn first_after_gap(self, date: NaiveDate) -> Option<i64> {
        let utc_s = date.and_time(NaiveTime::MIN).and_utc().timestamp();
        let is_reached = |at_s: i64| {
            let at_us = at_s.checked_mul(SECOND_US)?;
            Some(self.local(at_us)?.date() >= date)
        };
        let (mut before, mut reached) = (utc_s.checked_sub(OFFSET_MAX_S)?, utc_s.checked_add(OFFSET_MAX_S)?);
        while reached - before > 1 {
            let middle = before + (reached - before) / 2;
            if is_reached(middle)? { reached = middle } else { before = middle }
        }
        Some(reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(zone: &str, date: &str) -> String {
        let zone: TimeZone = zone.parse().unwrap();
        zone.rfc3339(zone.start_of_day(date.parse().unwrap()).unwrap())
    }

    #[test]
    fn a_day_begins_at_its_first_moment() {
        assert_eq!(start("+07:00", "2026-03-01"), "2026-03-01T00:00:00+07:00");
        assert_eq!(start("Asia/Ho_Chi_Minh", "2026-03-01"), "2026-03-01T00:00:00+07:00");
        // Clocks in Brazil jumped from 0 to 1 o'clock, in Cuba they go from 1 back to 0, on Newfoundland from 0:01 to 23:01.
        assert_eq!(start("America/Sao_Paulo", "2017-10-15"), "2017-10-15T01:00:00-02:00");
        assert_eq!(start("America/Havana", "2025-11-02"), "2025-11-02T00:00:00-04:00");
        assert_eq!(start("America/St_Johns", "2010-11-07"), "2010-11-07T00:00:00-02:30");
        // Samoa had no 30th of December: it begins, empty, with the day after.
        assert_eq!(start("Pacific/Apia", "2011-12-30"), "2011-12-31T00:00:00+14:00");
        assert_eq!(start("Pacific/Apia", "2011-12-31"), "2011-12-31T00:00:00+14:00");
    }

    #[test]
    fn zones_are_read_and_written() {
        for text in ["UTC", "+07:00", "-03:30", "Europe/Paris"] {
            assert_eq!(text.parse::<TimeZone>().unwrap().to_string(), text);
        }
        for text in ["", "Saigon", "+7", "+15:00", "asia/ho_chi_minh"] {
            assert_eq!(text.parse::<TimeZone>(), Err(UnknownTimeZone), "{text}");
        }
    }

    #[test]
    fn moments_without_a_calendar_are_told_as_numbers() {
        let paris: TimeZone = "Europe/Paris".parse().unwrap();
        assert_eq!(paris.rfc3339(i64::MAX), i64::MAX.to_string());
        assert_eq!(paris.local(i64::MIN), None);
        assert_eq!(paris.rfc3339(1_500), "1970-01-01T01:00:00.001500+01:00");
    }
}
