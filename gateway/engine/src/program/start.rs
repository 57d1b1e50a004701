//! Starts, and the rules that say at which moments of its day a program starts or is to be finished.
//!
//! A moment belongs to the day that its rule was asked for, also where an offset or a repetition carries it over midnight.
//! How long the program takes, and so when a program with a finish-by anchor starts, is the calendar's to say.

use giot_shared::time::UnixMs;

use super::civil::Date;
use super::site::Site;
use crate::plan::MINUTES_A_DAY;

/// Most start rules of a program.
pub const START_RULES_MAX: usize = 8;

/// Largest distance of a start from sunrise or sunset: a quarter of a day.
pub const SUN_OFFSET_MIN_MAX: u16 = 360;

/// Most repetitions of a start: every five minutes around the clock.
pub const START_REPEATS_MAX: u16 = 287;

/// One start of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// When.
    pub at: UnixMs,
    /// The day that it belongs to, which need not be the day of `at`.
    pub day: Date,
    /// What it comes from.
    pub cause: Cause,
    /// The anchor that the program is to be finished by, where the rule has one.
    pub finish_at: Option<UnixMs>,
}

/// What a start comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// One of the program's rules.
    Rule {
        /// Which, from 0.
        rule_idx: usize,
        /// Which of its repetitions, 0 being the first moment.
        nth: u16,
    },
    /// A person.
    ByHand,
}

/// One rule for starts on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartRule {
    /// The first moment.
    pub clock: Clock,
    /// What is to happen at it.
    pub anchor: Anchor,
    /// Further moments after it.
    pub repeat: Option<Repeat>,
}

/// A moment of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// By the clock.
    At(MinuteOfDay),
    /// By sunrise; not at all on days without one.
    Sunrise(SunOffset),
    /// By sunset; not at all on days without one.
    Sunset(SunOffset),
}

/// What happens at the moment of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The program starts.
    Start,
    /// The program is to be finished, so that it starts by its own length earlier.
    Finish,
}

/// A minute of the local day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MinuteOfDay(u16);

/// Minutes after sunrise or sunset, negative before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SunOffset(i16);

/// Repetitions of a start, which may go over midnight; the last is less than a day after the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    every_min: u16,
    times: u16,
}

impl Start {
    /// A start by a person, for a program or for a sequence that runs once.
    #[must_use]
    pub fn by_hand(at: UnixMs, day: Date) -> Self {
        Self { at, day, cause: Cause::ByHand, finish_at: None }
    }
}

impl MinuteOfDay {
    /// The minute of a time like 05:30; `None` when no clock shows it.
    #[must_use]
    pub fn new(hour: u16, minute: u16) -> Option<Self> {
        (hour < 24 && minute < 60).then(|| Self(hour * 60 + minute))
    }

    /// Minutes since midnight.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl SunOffset {
    /// An offset in minutes; `None` beyond ±[`SUN_OFFSET_MIN_MAX`].
    #[must_use]
    pub fn new(offset_min: i16) -> Option<Self> {
        (offset_min.unsigned_abs() <= SUN_OFFSET_MIN_MAX).then_some(Self(offset_min))
    }

    /// The offset in minutes.
    #[must_use]
    pub fn get(self) -> i16 {
        self.0
    }
}

impl Repeat {
    /// `times` more starts after the first, `every_min` minutes apart; `None` when there are none, more than
    /// [`START_REPEATS_MAX`], or the last is a day or more after the first.
    #[must_use]
    pub fn new(every_min: u16, times: u16) -> Option<Self> {
        let span_min = u32::from(every_min) * u32::from(times);
        let is_sound =
            (1..=START_REPEATS_MAX).contains(&times) && (1..MINUTES_A_DAY.into()).contains(&span_min);
        is_sound.then_some(Self { every_min, times })
    }
}

impl StartRule {
    /// A start at a time by the clock, once a day.
    #[must_use]
    pub fn at(minute: MinuteOfDay) -> Self {
        Self { clock: Clock::At(minute), anchor: Anchor::Start, repeat: None }
    }

    /// The moments of the rule on a day, in their order, with their number among the repetitions.
    pub(super) fn moments(&self, day: Date, site: &Site) -> impl Iterator<Item = (u16, UnixMs)> + use<> {
        let midnight = day.begins_at(site.utc_offset_min);
        let (every_min, times) = self.repeat.map_or((0, 0), |repeat| (repeat.every_min, repeat.times));
        let first_min = self.clock.minute_of(day, site);
        (0..=times).filter_map(move |nth| {
            let minute = first_min? + i64::from(every_min) * i64::from(nth);
            Some((nth, UnixMs(midnight.0.saturating_add(minute * 60_000))))
        })
    }
}

impl Clock {
    /// Minutes after the midnight that a day begins with; may lie outside the day.
    fn minute_of(self, day: Date, site: &Site) -> Option<i64> {
        let sun = || site.place.map(|place| place.sun_times(day, site.utc_offset_min));
        match self {
            Self::At(minute) => Some(minute.0.into()),
            Self::Sunrise(offset) => Some(i64::from(sun()?.rise_min?) + i64::from(offset.0)),
            Self::Sunset(offset) => Some(i64::from(sun()?.set_min?) + i64::from(offset.0)),
        }
    }

    /// Whether the place must be known.
    pub(super) fn needs_place(self) -> bool {
        matches!(self, Self::Sunrise(_) | Self::Sunset(_))
    }
}

#[cfg(test)]
mod tests {
    use super::super::sun::Place;
    use super::*;

    fn site(latitude: f64) -> Site {
        Site { utc_offset_min: 420, place: Place::new(latitude, 103.92), ..Site::default() }
    }

    /// The moments of a rule on 2024-06-21 at Sơn La, in minutes since that day's midnight.
    fn minutes(rule: StartRule, latitude: f64) -> Vec<i64> {
        let day = Date::new(2024, 6, 21).unwrap();
        let midnight = day.begins_at(420);
        rule.moments(day, &site(latitude)).map(|(_, at)| (at.0 - midnight.0) / 60_000).collect()
    }

    #[test]
    fn moments_are_by_the_clock_or_by_the_sun() {
        let rule = StartRule::at(MinuteOfDay::new(5, 30).unwrap());
        assert_eq!(minutes(rule, 21.33), [330]);
        let by = |clock| StartRule { clock, ..rule };
        // Sunrise at 05:23 and sunset at 18:49 (PyEphem, see the tests of `sun`).
        assert_eq!(minutes(by(Clock::Sunrise(SunOffset::new(-30).unwrap())), 21.33), [5 * 60 + 23 - 30]);
        assert_eq!(minutes(by(Clock::Sunset(SunOffset::new(60).unwrap())), 21.33), [18 * 60 + 49 + 60]);
        assert_eq!(minutes(by(Clock::Sunrise(SunOffset::default())), 80.0), [0; 0]);
        assert_eq!(rule.moments(Date::new(2024, 6, 21).unwrap(), &Site::default()).count(), 1);
    }

    #[test]
    fn repetitions_go_over_midnight() {
        let rule =
            StartRule { repeat: Repeat::new(90, 3), ..StartRule::at(MinuteOfDay::new(22, 0).unwrap()) };
        assert_eq!(minutes(rule, 21.33), [1320, 1410, 1500, 1590]);
    }

    #[test]
    fn what_no_day_can_hold_is_refused() {
        assert_eq!((MinuteOfDay::new(24, 0), MinuteOfDay::new(0, 60)), (None, None));
        assert_eq!(MinuteOfDay::new(23, 59).map(MinuteOfDay::get), Some(1439));
        assert_eq!((SunOffset::new(361), SunOffset::new(i16::MIN)), (None, None));
        assert_eq!(SunOffset::new(-360).map(SunOffset::get), Some(-360));
        for (every_min, times) in [(0, 1), (1, 0), (720, 2), (1440, 1), (5, 288), (u16::MAX, u16::MAX)] {
            assert_eq!(Repeat::new(every_min, times), None, "{every_min} {times}");
        }
        assert!(Repeat::new(5, 287).is_some() && Repeat::new(719, 2).is_some());
    }
}
