//! The civil calendar: dates, weekdays and sets of them, at a fixed offset from UTC.
//!
//! Arithmetic only: no clock, no zone database (the farm's offset does not change over the year), no words for people.
//! Years run from [`YEAR_MIN`] to [`YEAR_MAX`]; a moment beyond is given the nearest date inside, so that a clock that
//! went mad stops nothing. Months and days follow the Gregorian rule (ISO 8601).

use std::fmt;

use giot_shared::time::UnixMs;

use crate::plan::DAY_MS;

/// First year of the calendar: that of civil time itself.
pub const YEAR_MIN: i32 = 1970;

/// Last year of the calendar: one whole cycle of leap years and more.
pub const YEAR_MAX: i32 = 2399;

/// Days of a cycle of 400 years, after which leap years repeat.
const DAYS_A_CYCLE: i32 = 146_097;

/// Days from 0000-03-01 to 1970-01-01. Years are counted from March, so that a leap day is the last of its year.
const DAYS_TO_1970: i32 = 719_468;

/// A day of the civil calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// Since 1970-01-01.
    days: i32,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// A set of weekdays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weekdays(u32);

/// A set of months, January being 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Months(u32);

/// A set of days of the month; the last day, whichever it is, can be one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonthDays(u32);

impl Date {
    pub(super) const EPOCH: Self = Self { days: 0 };
    const LAST: Self = Self { days: days_to(YEAR_MAX, 12, 31) };

    /// The date of a year, a month from 1 and a day from 1; `None` for one that does not exist or is out of range.
    #[must_use]
    pub fn new(year: i32, month: u8, day: u8) -> Option<Self> {
        let exists = (YEAR_MIN..=YEAR_MAX).contains(&year) && (1..=days_in(year, month)).contains(&day);
        exists.then(|| Self { days: days_to(year, month, day) })
    }

    /// The local date of a moment.
    #[must_use]
    pub fn of(at: UnixMs, utc_offset_min: i32) -> Self {
        let local_ms = at.0.saturating_add(i64::from(utc_offset_min) * 60_000);
        let days = local_ms.div_euclid(DAY_MS).clamp(Self::EPOCH.days.into(), Self::LAST.days.into());
        i32::try_from(days).map_or(Self::EPOCH, |days| Self { days })
    }

    /// The moment at which the date begins.
    #[must_use]
    pub fn begins_at(self, utc_offset_min: i32) -> UnixMs {
        UnixMs(i64::from(self.days) * DAY_MS - i64::from(utc_offset_min) * 60_000)
    }

    /// The year.
    #[must_use]
    pub fn year(self) -> i32 {
        self.parts().0
    }

    /// The month, from 1.
    #[must_use]
    pub fn month(self) -> u8 {
        self.parts().1
    }

    /// The day of the month, from 1.
    #[must_use]
    pub fn day(self) -> u8 {
        self.parts().2
    }

    /// The day of the week.
    #[must_use]
    pub fn weekday(self) -> Weekday {
        // 1970-01-01 was a Thursday.
        match (self.days + 3).rem_euclid(7) {
            0 => Weekday::Monday,
            1 => Weekday::Tuesday,
            2 => Weekday::Wednesday,
            3 => Weekday::Thursday,
            4 => Weekday::Friday,
            5 => Weekday::Saturday,
            _ => Weekday::Sunday,
        }
    }

    /// Whether it is the last day of its month.
    #[must_use]
    pub fn is_last_of_month(self) -> bool {
        let (year, month, day) = self.parts();
        day == days_in(year, month)
    }

    /// This date moved by a number of days, within the range of the calendar.
    #[must_use]
    pub fn plus_days(self, n_days: i32) -> Self {
        Self { days: self.days.saturating_add(n_days).clamp(Self::EPOCH.days, Self::LAST.days) }
    }

    /// Days from `other` to this date, negative when `other` is later.
    #[must_use]
    pub fn days_since(self, other: Self) -> i32 {
        self.days - other.days
    }

    /// The dates from this one to `last`, both included.
    pub(super) fn through(self, last: Self) -> impl Iterator<Item = Self> {
        (self.days..=last.days).map(|days| Self { days })
    }

    /// Year, month and day.
    fn parts(self) -> (i32, u8, u8) {
        let days = self.days + DAYS_TO_1970;
        let (cycle, day_of_cycle) = (days.div_euclid(DAYS_A_CYCLE), days.rem_euclid(DAYS_A_CYCLE));
        // Every 4th year has a leap day, every 100th has not, the 400th has.
        let leap_days_before =
            day_of_cycle / 1460 - day_of_cycle / 36_524 + day_of_cycle / (DAYS_A_CYCLE - 1);
        let year_of_cycle = (day_of_cycle - leap_days_before) / 365;
        let day_of_year = day_of_cycle - days_before_year(year_of_cycle);
        // From March on, every five months have 153 days.
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - days_before_month(month_from_march) + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = cycle * 400 + year_of_cycle + i32::from(month <= 2);
        let small = |number: i32| u8::try_from(number).unwrap_or(1);
        (year, small(month), small(day))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.parts();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl Weekday {
    /// All seven, Monday first (ISO 8601).
    pub const ALL: [Self; 7] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl Weekdays {
    /// Every day of the week.
    pub const ALL: Self = Self(0x7f);

    /// The set of the days given.
    #[must_use]
    pub fn of(days: impl IntoIterator<Item = Weekday>) -> Self {
        Self(days.into_iter().fold(0, |bits, day| bits | day.bit()))
    }

    /// Whether a day is in the set.
    #[must_use]
    pub fn contains(self, day: Weekday) -> bool {
        self.0 & day.bit() != 0
    }

    /// Whether no day is.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Months {
    /// Every month.
    pub const ALL: Self = Self(0x1ffe);

    /// The set of the months given, from 1 to 12; `None` when one is no month.
    #[must_use]
    pub fn of(months: impl IntoIterator<Item = u8>) -> Option<Self> {
        bits_of(months, 12).map(Self)
    }

    /// Whether a month is in the set.
    #[must_use]
    pub fn contains(self, month: u8) -> bool {
        1_u32.checked_shl(month.into()).is_some_and(|bit| self.0 & bit != 0)
    }

    /// Whether no month is.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl MonthDays {
    /// Every day of every month.
    pub const ALL: Self = Self(0xffff_fffe);

    /// The last day of each month.
    pub const LAST: Self = Self(1);

    /// The set of the days given, from 1 to 31; `None` when one is no day of a month.
    #[must_use]
    pub fn of(days: impl IntoIterator<Item = u8>) -> Option<Self> {
        bits_of(days, 31).map(Self)
    }

    /// This set with another one's days, for instance [`Self::LAST`].
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a date's day of the month is in the set.
    #[must_use]
    pub fn contains(self, date: Date) -> bool {
        let is_listed = 1_u32.checked_shl(date.day().into()).is_some_and(|bit| self.0 & bit != 0);
        is_listed || (self.0 & Self::LAST.0 != 0 && date.is_last_of_month())
    }

    /// Whether no day is.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// One bit for each number from 1 to `max`, `None` when a number is beyond.
fn bits_of(numbers: impl IntoIterator<Item = u8>, max: u8) -> Option<u32> {
    numbers.into_iter().try_fold(0_u32, |bits, number| {
        let bit = 1_u32.checked_shl(number.into())?;
        (1..=max).contains(&number).then_some(bits | bit)
    })
}

const fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month, 0 for a month that does not exist.
pub(super) const fn days_in(year: i32, month: u8) -> u8 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 0,
    }
}

/// Days of a cycle before its nth year, both counted from March.
const fn days_before_year(year_of_cycle: i32) -> i32 {
    year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100
}

/// Days of a year before its nth month, both counted from March.
const fn days_before_month(month_from_march: i32) -> i32 {
    (153 * month_from_march + 2) / 5
}

/// Days from 1970-01-01 to an existing date.
const fn days_to(year: i32, month: u8, day: u8) -> i32 {
    let (month, day) = (month as i32, day as i32);
    let (year, month_from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (cycle, year_of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
    let days = cycle * DAYS_A_CYCLE + days_before_year(year_of_cycle) + days_before_month(month_from_march);
    days + day - 1 - DAYS_TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: i32, month: u8, day: u8) -> Date {
        Date::new(year, month, day).unwrap()
    }

    #[test]
    fn known_days_have_their_numbers_and_weekdays() {
        // Days since 1970 as `date -u -d … +%s` gives them, divided by 86 400.
        let cases = [
            (1970, 1, 1, 0, Weekday::Thursday),
            (1999, 12, 31, 10_956, Weekday::Friday),
            (2000, 2, 29, 11_016, Weekday::Tuesday),
            (2000, 3, 1, 11_017, Weekday::Wednesday),
            (2024, 2, 29, 19_782, Weekday::Thursday),
            (2026, 11, 24, 20_781, Weekday::Tuesday),
            (2100, 2, 28, 47_540, Weekday::Sunday),
            (2100, 3, 1, 47_541, Weekday::Monday),
            (2399, 12, 31, 157_053, Weekday::Friday),
        ];
        for (year, month, day, days, weekday) in cases {
            let date = date(year, month, day);
            assert_eq!((date.days, date.weekday()), (days, weekday), "{date}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut want = (1970, 1, 1);
        for date in Date::EPOCH.through(Date::LAST) {
            assert_eq!(date.parts(), want);
            assert_eq!(Date::new(want.0, want.1, want.2), Some(date));
            let (year, month, day) = want;
            want = if !date.is_last_of_month() {
                (year, month, day + 1)
            } else if month < 12 {
                (year, month + 1, 1)
            } else {
                (year + 1, 1, 1)
            };
        }
        assert_eq!(want, (2400, 1, 1));
    }

    #[test]
    fn dates_that_do_not_exist_are_refused() {
        for (year, month, day) in [
            (2026, 2, 29),
            (2100, 2, 29),
            (2026, 4, 31),
            (2026, 0, 1),
            (2026, 13, 1),
            (2026, 1, 0),
            (1969, 1, 1),
            (2400, 1, 1),
        ] {
            assert_eq!(Date::new(year, month, day), None, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn a_moment_belongs_to_its_local_day() {
        let midnight = date(2026, 11, 24).begins_at(420);
        assert_eq!(Date::of(midnight, 420).to_string(), "2026-11-24");
        assert_eq!(Date::of(midnight.minus_ms(1), 420).to_string(), "2026-11-23");
        assert_eq!(Date::of(midnight, 0).to_string(), "2026-11-23");
        assert_eq!(Date::of(UnixMs(i64::MAX), 840), Date::LAST);
        assert_eq!(Date::of(UnixMs(i64::MIN), -840), Date::EPOCH);
        assert_eq!(Date::LAST.plus_days(i32::MAX), Date::LAST);
        assert_eq!(date(2026, 3, 1).plus_days(-1).days_since(date(2026, 2, 1)), 27);
    }

    #[test]
    fn sets_hold_what_they_were_given() {
        let weekdays = Weekdays::of([Weekday::Monday, Weekday::Sunday]);
        let held: Vec<_> = Weekday::ALL.into_iter().filter(|day| weekdays.contains(*day)).collect();
        assert_eq!(held, [Weekday::Monday, Weekday::Sunday]);
        assert!(Weekday::ALL.into_iter().all(|day| Weekdays::ALL.contains(day)));
        assert!(Weekdays::of([]).is_empty());

        let months = Months::of([1, 12]).unwrap();
        let held: Vec<u8> = (0..=40).filter(|month| months.contains(*month)).collect();
        assert_eq!(held, [1, 12]);
        assert_eq!((Months::of([0]), Months::of([13]), Months::of([40])), (None, None, None));
        assert_eq!(Months::of(1..=12), Some(Months::ALL));

        let days = MonthDays::of([15]).unwrap().and(MonthDays::LAST);
        let held: Vec<String> = date(2026, 2, 1)
            .through(date(2026, 3, 31))
            .filter(|d| days.contains(*d))
            .map(|d| d.to_string())
            .collect();
        assert_eq!(held, ["2026-02-15", "2026-02-28", "2026-03-15", "2026-03-31"]);
        assert_eq!((MonthDays::of([0]), MonthDays::of([32])), (None, None));
        assert_eq!(MonthDays::of(1..=31), Some(MonthDays::ALL));
    }
}
