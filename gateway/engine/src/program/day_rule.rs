//! On which days a program runs.
//!
//! A [`DayRule`] is a row of filters; a day counts when each of them lets it pass. One filter alone gives the usual rules
//! (weekly, every N days, monthly, one day), several together what a cron line says. It knows dates, never hours.

use super::civil::{Date, MonthDays, Months, Weekdays, days_in};

/// Longest interval of [`EveryDays`]: a year.
pub const EVERY_DAYS_MAX: u16 = 366;

/// The days of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayRule {
    /// Days of the week.
    pub weekdays: Weekdays,
    /// Days of the month.
    pub month_days: MonthDays,
    /// Months.
    pub months: Months,
    /// Odd or even days only.
    pub parity: Option<Parity>,
    /// Every so many days only.
    pub every: Option<EveryDays>,
    /// A part of the year only.
    pub season: Option<YearSpan>,
    /// One single day.
    pub once: Option<Date>,
}

/// Restriction to odd or even days of the month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// Odd days, but neither a 31st nor a 29 February: the next day is odd too, and two days in a row would be watered
    /// (the rule of OpenSprinkler and of the bylaws that it follows).
    Odd,
    /// Even days.
    Even,
}

/// Every so many days, counted from an anchor in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EveryDays {
    n_days: u16,
    anchor: Date,
}

/// A part of every year, from one month and day to another, both included; it may go over New Year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct YearSpan {
    from: (u8, u8),
    until: (u8, u8),
}

impl DayRule {
    /// Every day.
    pub const EVERY_DAY: Self = Self {
        weekdays: Weekdays::ALL,
        month_days: MonthDays::ALL,
        months: Months::ALL,
        parity: None,
        every: None,
        season: None,
        once: None,
    };

    /// Whether the program runs on a day.
    #[must_use]
    pub fn contains(&self, date: Date) -> bool {
        self.weekdays.contains(date.weekday())
            && self.month_days.contains(date)
            && self.months.contains(date.month())
            && self.parity.is_none_or(|parity| parity.contains(date))
            && self.every.is_none_or(|every| every.contains(date))
            && self.season.is_none_or(|season| season.contains(date))
            && self.once.is_none_or(|once| once == date)
    }
}

impl Default for DayRule {
    fn default() -> Self {
        Self::EVERY_DAY
    }
}

impl Parity {
    fn contains(self, date: Date) -> bool {
        let day = date.day();
        match self {
            Self::Even => day.is_multiple_of(2),
            Self::Odd => !day.is_multiple_of(2) && day != 31 && (date.month(), day) != (2, 29),
        }
    }
}

impl EveryDays {
    /// Every `n_days` days, one of them being `anchor`; `None` for 0 or more than [`EVERY_DAYS_MAX`].
    #[must_use]
    pub fn new(n_days: u16, anchor: Date) -> Option<Self> {
        (1..=EVERY_DAYS_MAX).contains(&n_days).then_some(Self { n_days, anchor })
    }

    fn contains(self, date: Date) -> bool {
        date.days_since(self.anchor).rem_euclid(self.n_days.into()) == 0
    }
}

impl YearSpan {
    /// From `(month, day)` to `(month, day)`; `None` when no year has one of them.
    #[must_use]
    pub fn new(from: (u8, u8), until: (u8, u8)) -> Option<Self> {
        // 2000 had every day that a year can have.
        let exists = |(month, day): (u8, u8)| (1..=days_in(2000, month)).contains(&day);
        (exists(from) && exists(until)).then_some(Self { from, until })
    }

    fn contains(self, date: Date) -> bool {
        let day = (date.month(), date.day());
        if self.from <= self.until {
            (self.from..=self.until).contains(&day)
        } else {
            day >= self.from || day <= self.until
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::civil::Weekday;
    use super::*;

    fn date(year: i32, month: u8, day: u8) -> Date {
        Date::new(year, month, day).unwrap()
    }

    /// The days from one date to another (both included) that a rule lets pass, as month and day.
    fn check(rule: DayRule, from: Date, until: Date, want: &[(u8, u8)]) {
        let found: Vec<_> = from
            .through(until)
            .filter(|day| rule.contains(*day))
            .map(|day| (day.month(), day.day()))
            .collect();
        assert_eq!(found, want);
    }

    #[test]
    fn each_filter_alone() {
        let every_day = DayRule::EVERY_DAY;
        check(every_day, date(2026, 2, 27), date(2026, 3, 1), &[(2, 27), (2, 28), (3, 1)]);
        let weekly = DayRule { weekdays: Weekdays::of([Weekday::Tuesday, Weekday::Sunday]), ..every_day };
        check(weekly, date(2026, 11, 22), date(2026, 11, 30), &[(11, 22), (11, 24), (11, 29)]);
        let monthly = DayRule { month_days: MonthDays::of([30]).unwrap().and(MonthDays::LAST), ..every_day };
        check(
            monthly,
            date(2026, 1, 1),
            date(2026, 4, 30),
            &[(1, 30), (1, 31), (2, 28), (3, 30), (3, 31), (4, 30)],
        );
        let months = DayRule { months: Months::of([3]).unwrap(), ..every_day };
        check(months, date(2026, 2, 27), date(2026, 3, 2), &[(3, 1), (3, 2)]);
        let once = DayRule { once: Some(date(2026, 3, 1)), ..every_day };
        check(once, date(2026, 1, 1), date(2027, 12, 31), &[(3, 1)]);
    }

    #[test]
    fn intervals_run_on_over_months_and_before_their_anchor() {
        let every = |n_days, anchor| DayRule { every: EveryDays::new(n_days, anchor), ..DayRule::EVERY_DAY };
        let rule = every(3, date(2026, 3, 1));
        check(rule, date(2026, 2, 22), date(2026, 3, 5), &[(2, 23), (2, 26), (3, 1), (3, 4)]);
        check(every(1, date(2026, 3, 1)), date(2026, 3, 1), date(2026, 3, 2), &[(3, 1), (3, 2)]);
        assert_eq!(EveryDays::new(0, date(2026, 1, 1)), None);
        assert_eq!(EveryDays::new(367, date(2026, 1, 1)), None);
    }

    #[test]
    fn odd_days_never_follow_each_other() {
        let odd = DayRule { parity: Some(Parity::Odd), ..DayRule::EVERY_DAY };
        check(odd, date(2026, 1, 28), date(2026, 2, 3), &[(1, 29), (2, 1), (2, 3)]);
        check(odd, date(2024, 2, 26), date(2024, 3, 2), &[(2, 27), (3, 1)]);
        let even = DayRule { parity: Some(Parity::Even), ..DayRule::EVERY_DAY };
        check(even, date(2026, 1, 28), date(2026, 2, 3), &[(1, 28), (1, 30), (2, 2)]);
        let mut last = None;
        for day in date(2024, 1, 1).through(date(2032, 12, 31)).filter(|day| odd.contains(*day)) {
            assert!(last.is_none_or(|last| day.days_since(last) >= 2), "{day}");
            last = Some(day);
        }
    }

    #[test]
    fn a_season_may_go_over_new_year() {
        let season = |from, until| DayRule { season: YearSpan::new(from, until), ..DayRule::EVERY_DAY };
        let dry = season((12, 30), (1, 2));
        check(dry, date(2026, 12, 1), date(2027, 1, 31), &[(12, 30), (12, 31), (1, 1), (1, 2)]);
        check(season((2, 27), (3, 1)), date(2026, 1, 1), date(2026, 12, 31), &[(2, 27), (2, 28), (3, 1)]);
        check(season((2, 29), (2, 29)), date(2026, 1, 1), date(2028, 12, 31), &[(2, 29)]);
        for (from, until) in [((2, 30), (3, 1)), ((1, 1), (13, 1)), ((0, 1), (1, 1)), ((1, 0), (1, 1))] {
            assert_eq!(YearSpan::new(from, until), None, "{from:?} {until:?}");
        }
    }

    #[test]
    fn filters_add_up_as_a_cron_line_does() {
        // `* * 1-7 3,4 1`: the first Mondays of March and April.
        let rule = DayRule {
            weekdays: Weekdays::of([Weekday::Monday]),
            month_days: MonthDays::of(1..=7).unwrap(),
            months: Months::of([3, 4]).unwrap(),
            ..DayRule::EVERY_DAY
        };
        check(rule, date(2026, 1, 1), date(2026, 12, 31), &[(3, 2), (4, 6)]);
    }
}
