//! Spans of time as people count them: seconds to hours from the farm's midnight, and days, weeks, months and years of its calendar.
//!
//! A span is whole: what is asked for is widened to the spans that hold its ends, so that the first day of a month's table is a day
//! and not what was left of it. Where a length does not divide the day, the last span of a day is shorter; where the clock jumps, a day
//! has 23 or 25 hours. Weeks begin on Monday (ISO 8601); several days, weeks, months or years together are counted from fixed dates,
//! so that the same moment lies in the same span whatever range was asked for.

use chrono::{Datelike, NaiveDate};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::limits::SPANS_MAX;
use super::timezone::TimeZone;

/// Length of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanLength {
    n: u32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Unit {
    const ALL: [(Self, &'static str, &'static str); 7] = [
        (Self::Second, "s", "second"),
        (Self::Minute, "min", "minute"),
        (Self::Hour, "h", "hour"),
        (Self::Day, "d", "day"),
        (Self::Week, "w", "week"),
        (Self::Month, "month", "month"),
        (Self::Year, "y", "year"),
    ];

    /// Length of those that are shorter than a day, seconds.
    fn seconds(self) -> Option<u32> {
        match self {
            Self::Second => Some(1),
            Self::Minute => Some(60),
            Self::Hour => Some(3_600),
            Self::Day | Self::Week | Self::Month | Self::Year => None,
        }
    }

    fn short(self) -> &'static str {
        Self::ALL.iter().find(|(unit, _, _)| *unit == self).map_or("", |(_, short, _)| short)
    }
}

const DAY_S: u32 = 86_400;

/// Longest counts: a century.
const N_DAYS_MAX: u32 = 36_525;
const N_MONTHS_MAX: u32 = 1_200;

/// A text that is no length of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "such as 10s, 15min, 1h, 6h, 1d, 1w, 1month or 1y (also hour, day, week, month, year); up to a day in s, min or h, up to a century"
)]
pub struct NoSpan;

/// Why a range has no spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpansError {
    /// More than a question may have.
    #[error("more than {max} spans: choose a longer bucket or a shorter range")]
    TooMany {
        /// How many there may be.
        max: usize,
    },
    /// Outside the calendar.
    #[error("before the year -9999 or after 9999")]
    OutOfCalendar,
}

impl FromStr for SpanLength {
    type Err = NoSpan;

    fn from_str(text: &str) -> Result<Self, NoSpan> {
        let n_digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, word) = text.split_at_checked(n_digits).ok_or(NoSpan)?;
        let found = Unit::ALL.into_iter().find(|(_, short, long)| word == *short || word == *long);
        let (unit, short, _) = found.ok_or(NoSpan)?;
        let n = match digits {
            // A bare letter is more likely a slip than one second.
            "" if word == short && word.len() < 3 => return Err(NoSpan),
            "" => 1,
            digits => digits.parse().map_err(|_| NoSpan)?,
        };
        let n_max = match unit {
            Unit::Second => DAY_S,
            Unit::Minute => DAY_S / 60,
            Unit::Hour => DAY_S / 3_600,
            Unit::Day => N_DAYS_MAX,
            Unit::Week => N_DAYS_MAX / 7,
            Unit::Month => N_MONTHS_MAX,
            Unit::Year => N_MONTHS_MAX / 12,
        };
        if (1..=n_max).contains(&n) { Ok(Self { n, unit }) } else { Err(NoSpan) }
    }
}

impl fmt::Display for SpanLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.n, self.unit.short())
    }
}

impl SpanLength {
    /// Beginnings of the whole spans that meet `range_us`, and the end of the last, in µs, ascending; empty for an empty range.
    ///
    /// # Errors
    /// More than [`SPANS_MAX`] spans, or times outside the calendar.
    pub fn edges(self, range_us: &Range<i64>, zone: TimeZone) -> Result<Vec<i64>, SpansError> {
        self.edges_up_to(SPANS_MAX, range_us, zone)
    }

    /// The same with a bound of one's own.
    ///
    /// # Errors
    /// More than `max` spans, or times outside the calendar.
    pub fn edges_up_to(
        self,
        max: usize,
        range_us: &Range<i64>,
        zone: TimeZone,
    ) -> Result<Vec<i64>, SpansError> {
        let mut edges = Vec::new();
        if range_us.is_empty() {
            return Ok(edges);
        }
        let mut date =
            self.first_date(zone.local(range_us.start).ok_or(SpansError::OutOfCalendar)?.date())?;
        let mut start_us = start_of(zone, date)?;
        loop {
            let next = self.next_date(date)?;
            let next_us = start_of(zone, next)?;
            self.cut_day((start_us, next_us), range_us, max, &mut edges)?;
            (date, start_us) = (next, next_us);
            if next_us >= range_us.end {
                edges.push(edges.last().map_or(next_us, |last| self.end_of(*last, next_us)));
                return Ok(edges);
            }
        }
    }

    /// Adds the spans between two dates that meet the range.
    fn cut_day(
        self,
        (start_us, next_us): (i64, i64),
        range_us: &Range<i64>,
        max: usize,
        edges: &mut Vec<i64>,
    ) -> Result<(), SpansError> {
        let mut at_us = start_us;
        if let Some(step_us) = self.step_us() {
            let n_before = range_us.start.saturating_sub(start_us).max(0) / step_us;
            at_us = start_us.saturating_add(n_before * step_us);
        }
        while at_us < next_us.min(range_us.end) {
            let end_us = self.end_of(at_us, next_us);
            if end_us > range_us.start {
                if edges.len() == max {
                    return Err(SpansError::TooMany { max });
                }
                edges.push(at_us);
            }
            at_us = end_us;
        }
        Ok(())
    }

    /// Where the span that begins at `at_us` ends, in a day that ends at `next_us`.
    fn end_of(self, at_us: i64, next_us: i64) -> i64 {
        self.step_us().map_or(next_us, |step_us| at_us.saturating_add(step_us).min(next_us))
    }

    fn step_us(self) -> Option<i64> {
        Some(i64::from(self.unit.seconds()?) * i64::from(self.n) * 1_000_000)
    }

    /// The date at which the span that holds `date` begins.
    fn first_date(self, date: NaiveDate) -> Result<NaiveDate, SpansError> {
        let n = i32::try_from(self.n).map_err(|_| SpansError::OutOfCalendar)?;
        let floor = |count: i32, n: i32| count.div_euclid(n).saturating_mul(n);
        let days_from = |zero: NaiveDate, n_days: i32| {
            let since = i32::try_from(date.signed_duration_since(zero).num_days()).ok()?;
            zero.checked_add_signed(chrono::Duration::days(floor(since, n_days).into()))
        };
        // The week of 1970-01-01 begins on Monday, 1969-12-29.
        let (day_zero, week_zero) =
            (NaiveDate::from_ymd_opt(1970, 1, 1), NaiveDate::from_ymd_opt(1969, 12, 29));
        let found = match self.unit {
            Unit::Second | Unit::Minute | Unit::Hour => Some(date),
            Unit::Day => day_zero.and_then(|zero| days_from(zero, n)),
            Unit::Week => week_zero.and_then(|zero| days_from(zero, n.saturating_mul(7))),
            Unit::Month | Unit::Year => {
                let n_months = n.saturating_mul(if self.unit == Unit::Year { 12 } else { 1 });
                first_of_month(floor(months_of(date), n_months))
            }
        };
        found.ok_or(SpansError::OutOfCalendar)
    }

    /// The date at which the next span begins; of those shorter than a day, the next day.
    fn next_date(self, date: NaiveDate) -> Result<NaiveDate, SpansError> {
        let next = match self.unit {
            Unit::Second | Unit::Minute | Unit::Hour => TimeZone::next_day(date, 1),
            Unit::Day => TimeZone::next_day(date, self.n.into()),
            Unit::Week => TimeZone::next_day(date, u64::from(self.n) * 7),
            Unit::Month => first_of_month(months_of(date).saturating_add_unsigned(self.n)),
            Unit::Year => first_of_month(months_of(date).saturating_add_unsigned(self.n.saturating_mul(12))),
        };
        next.filter(|date| date.year() <= 9_999).ok_or(SpansError::OutOfCalendar)
    }
}

fn start_of(zone: TimeZone, date: NaiveDate) -> Result<i64, SpansError> {
    zone.start_of_day(date).ok_or(SpansError::OutOfCalendar)
}

/// Months since the beginning of the year 0.
fn months_of(date: NaiveDate) -> i32 {
    let month = i32::try_from(date.month0()).unwrap_or(0);
    date.year().saturating_mul(12).saturating_add(month)
}

fn first_of_month(months: i32) -> Option<NaiveDate> {
    let month = u32::try_from(months.rem_euclid(12)).ok()? + 1;
    NaiveDate::from_ymd_opt(months.div_euclid(12), month, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The edges of a range, told by the zone's clock.
    fn edges(length: &str, from: &str, to: &str, zone: &str) -> Vec<String> {
        let zone: TimeZone = zone.parse().unwrap();
        let us = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros();
        let edges = length.parse::<SpanLength>().unwrap().edges(&(us(from)..us(to)), zone).unwrap();
        edges.into_iter().map(|at_us| zone.rfc3339(at_us)).collect()
    }

    /// Lengths in hours of the spans of a range.
    fn hours(length: &str, from: &str, to: &str, zone: &str) -> Vec<i64> {
        let us = |text: &String| chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp();
        let edges = edges(length, from, to, zone);
        edges.windows(2).map(|pair| (us(&pair[1]) - us(&pair[0])) / 3_600).collect()
    }

    #[test]
    fn days_follow_the_farms_midnight() {
        assert_eq!(
            edges("1d", "2026-03-01T10:00:00Z", "2026-03-02T17:00:00Z", "+07:00"),
            ["2026-03-01T00:00:00+07:00", "2026-03-02T00:00:00+07:00", "2026-03-03T00:00:00+07:00"]
        );
    }

    #[test]
    fn days_have_23_or_25_hours_where_the_clock_jumps() {
        let paris = "Europe/Paris";
        assert_eq!(hours("day", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", paris), [24, 23, 24]);
        assert_eq!(hours("day", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z", paris), [24, 25, 24]);
        assert_eq!(hours("1h", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", paris), [1; 23]);
        assert_eq!(hours("6h", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", paris), [6, 6, 6, 5]);
        assert_eq!(hours("6h", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", paris), [6, 6, 6, 6, 1]);
    }

    #[test]
    fn a_day_that_does_not_exist_is_empty_and_counted_once() {
        let apia = edges("1d", "2011-12-29T12:00:00Z", "2012-01-01T00:00:00Z", "Pacific/Apia");
        assert_eq!(
            apia,
            [
                "2011-12-29T00:00:00-10:00",
                "2011-12-31T00:00:00+14:00",
                "2012-01-01T00:00:00+14:00",
                "2012-01-02T00:00:00+14:00"
            ]
        );
    }

    #[test]
    fn weeks_months_and_years_are_those_of_the_calendar() {
        let first = |length, at: &str| {
            edges(length, at, "2026-05-20T00:00:00+07:00", "Asia/Ho_Chi_Minh").first().cloned().unwrap()
        };
        let at = "2026-05-14T23:30:00+07:00";
        assert_eq!(first("1w", at), "2026-05-11T00:00:00+07:00", "a Monday");
        assert_eq!(first("1month", at), "2026-05-01T00:00:00+07:00");
        assert_eq!(first("3month", at), "2026-04-01T00:00:00+07:00");
        assert_eq!(first("year", at), "2026-01-01T00:00:00+07:00");
        assert_eq!(hours("month", "2024-02-10T00:00:00Z", "2024-02-11T00:00:00Z", "UTC"), [29 * 24]);
    }

    #[test]
    fn a_moment_lies_in_the_same_span_whatever_was_asked_for() {
        for length in ["7min", "5h", "3d", "2w", "5month", "2y"] {
            let wide = edges(length, "2020-01-01T00:00:00Z", "2020-03-01T00:00:00Z", "Europe/Paris");
            let narrow = edges(length, "2020-02-20T13:00:00Z", "2020-02-20T13:00:01Z", "Europe/Paris");
            assert_eq!(narrow.len(), 2, "{length}");
            let at = wide.iter().position(|edge| *edge == narrow[0]);
            assert!(at.is_some_and(|at| wide[at + 1] == narrow[1]), "{length} {narrow:?}");
        }
    }

    #[test]
    fn lengths_are_read_and_written() {
        for (text, want) in [
            ("10s", "10s"),
            ("15min", "15min"),
            ("hour", "1h"),
            ("24h", "24h"),
            ("2day", "2d"),
            ("month", "1month"),
            ("1y", "1y"),
        ] {
            assert_eq!(text.parse::<SpanLength>().unwrap().to_string(), want);
        }
        for text in ["", "h", "s", "0h", "25h", "1440m", "1441min", "99999999999h", "-1h", "1 h", "101y", "é"]
        {
            assert_eq!(text.parse::<SpanLength>(), Err(NoSpan), "{text}");
        }
    }

    #[test]
    fn spans_are_bounded() {
        let second: SpanLength = "1s".parse().unwrap();
        assert_eq!(
            second.edges(&(0..1_000_000_000_000), TimeZone::UTC),
            Err(SpansError::TooMany { max: SPANS_MAX })
        );
        assert_eq!(second.edges_up_to(3, &(0..3_000_000), TimeZone::UTC).map(|edges| edges.len()), Ok(4));
        assert_eq!(
            second.edges_up_to(3, &(0..3_000_001), TimeZone::UTC),
            Err(SpansError::TooMany { max: 3 })
        );
        assert_eq!(second.edges(&(i64::MIN..0), TimeZone::UTC), Err(SpansError::OutOfCalendar));
        assert_eq!(second.edges(&(5..5), TimeZone::UTC), Ok(vec![]));
        let year: SpanLength = "1y".parse().unwrap();
        assert_eq!(year.edges(&(0..i64::MAX), TimeZone::UTC), Err(SpansError::OutOfCalendar));
    }
}
