//! What holds water back for a while: an empty tank, wrong pressure, rain, wet soil, frost. Each remembers whether it holds, so that
//! a value that wavers about its limit does not switch valves.

use std::collections::VecDeque;

use giot_shared::time::{MonoMs, UnixMs};

use super::Line;
use crate::plan::{ContactGuard, FrostGuard, PressureGuard, RainGuard, TankGuard};

const HOUR_MS: u64 = 3_600_000;

/// Readings of rain that are kept: a fortnight of one every ten minutes; older ones are added to the oldest kept.
const RAIN_READINGS_MAX: usize = 2100;

/// A tank or well.
#[derive(Debug, Default)]
pub(crate) struct Tank {
    last: Option<(MonoMs, i64)>,
    /// The newest level while it is too low, since before this start where that is remembered.
    low: Option<i64>,
}

impl Tank {
    /// A tank of which it is remembered whether it was too low.
    pub(crate) const fn remembered(low: Option<i64>) -> Self {
        Self { last: None, low }
    }

    /// A reading of known age; whether it began or ended to be too low.
    pub(crate) fn read(&mut self, guard: &TankGuard, at: MonoMs, value: i64) -> bool {
        if self.last.is_some_and(|(last_at, _)| at < last_at) {
            return false;
        }
        self.last = Some((at, value));
        self.judge(guard)
    }

    /// Judges the newest reading by the guard's marks; whether it began or ended to be too low.
    pub(crate) fn judge(&mut self, guard: &TankGuard) -> bool {
        let Some((_, value)) = self.last else { return false };
        let was_low = self.low.is_some();
        let mark = if was_low { guard.resume_milli } else { guard.min_milli };
        self.low = (value < mark).then_some(value);
        was_low != self.low.is_some()
    }

    /// The level when it is too low.
    pub(crate) const fn low(&self) -> Option<i64> {
        self.low
    }

    /// Whether the level is not known: nothing is drawn on a guess, and before the first reading after a start all is one.
    pub(crate) fn is_unknown(&self, guard: &TankGuard, now: MonoMs) -> bool {
        self.last.is_none_or(|(at, _)| now.since_ms(at) >= u64::from(guard.fresh_s) * 1000)
    }

    /// When the last reading becomes too old.
    pub(crate) fn stale_at(&self, guard: &TankGuard) -> Option<MonoMs> {
        self.last.map(|(at, _)| at.plus_ms(u64::from(guard.fresh_s) * 1000))
    }
}

/// Pressure while water flows.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    low_since: Option<MonoMs>,
    high_since: Option<MonoMs>,
}

impl Pressure {
    /// A reading while water flows since `since` (`None`: it does not); whether it has been too low, or too high, for the
    /// guard's delay.
    pub(crate) fn read(
        &mut self,
        guard: &PressureGuard,
        since: Option<MonoMs>,
        at: MonoMs,
        value: i64,
    ) -> (bool, bool) {
        let Some(since) = since.filter(|since| at >= *since) else {
            *self = Self::default();
            return (false, false);
        };
        let delay_ms = u64::from(guard.delay_s) * 1000;
        let held = |began: &mut Option<MonoMs>, is_so: bool| {
            if is_so {
                at.since_ms(*began.get_or_insert(since.max(at))) >= delay_ms
            } else {
                *began = None;
                false
            }
        };
        let is_low = held(&mut self.low_since, guard.min_milli.is_some_and(|min| value < min));
        let is_high = held(&mut self.high_since, guard.max_milli.is_some_and(|max| value > max));
        (is_low, is_high)
    }
}

/// One reading of rain.
#[derive(Clone, Copy, Debug)]
struct Fallen {
    at: Line,
    /// By its own date: a reading that comes twice, from its device and from the store, has the same.
    taken: UnixMs,
    milli: i64,
}

/// Rain of the last hours.
#[derive(Debug, Default)]
pub(crate) struct Rain {
    readings: VecDeque<Fallen>,
}

impl Rain {
    pub(crate) fn read(&mut self, at: Line, taken: UnixMs, milli: i64) {
        if milli <= 0 || self.readings.iter().any(|kept| kept.taken == taken) {
            return;
        }
        // Late ones find their place.
        let place = self.readings.partition_point(|kept| kept.at < at);
        self.readings.insert(place, Fallen { at, taken, milli });
        if self.readings.len() > RAIN_READINGS_MAX
            && let Some(oldest) = self.readings.pop_front()
            && let Some(next) = self.readings.front_mut()
        {
            next.milli = next.milli.saturating_add(oldest.milli);
        }
    }

    /// The rain that counts, and when less of it does.
    pub(crate) fn sum(&mut self, guard: &RainGuard, now: Line) -> (i64, Option<Line>) {
        let span_ms = u64::from(guard.hours) * HOUR_MS;
        while self.readings.front().is_some_and(|oldest| oldest.at.plus_ms(span_ms) <= now) {
            self.readings.pop_front();
        }
        let sum = self.readings.iter().fold(0_i64, |sum, kept| sum.saturating_add(kept.milli));
        (sum, self.readings.front().map(|oldest| oldest.at.plus_ms(span_ms)))
    }

    /// When so much of it has passed out of the span that the rest no longer holds water back, if no more falls.
    pub(crate) fn holds_until(&self, guard: &RainGuard) -> Option<Line> {
        let span_ms = u64::from(guard.hours) * HOUR_MS;
        let mut left = self.readings.iter().fold(0_i64, |sum, kept| sum.saturating_add(kept.milli));
        let last = self.readings.iter().find(|kept| {
            left = left.saturating_sub(kept.milli);
            left < guard.limit_milli
        });
        last.map(|last| last.at.plus_ms(span_ms))
    }
}

/// A contact with delays.
#[derive(Debug, Default)]
pub(crate) struct Contact {
    is_closed: bool,
    /// Since when the contact is as it is.
    since: Option<Line>,
    /// Whether it held water back when it became so.
    held: bool,
    /// Whether it held water back when it was last looked at.
    pub(crate) holds: bool,
}

impl Contact {
    /// A reading; one from before the last change is old news.
    pub(crate) fn read(&mut self, guard: &ContactGuard, at: Line, is_closed: bool) {
        let Some(since) = self.since else {
            (self.is_closed, self.since) = (is_closed, Some(at));
            return;
        };
        if at >= since && is_closed != self.is_closed {
            self.held = self.judge(guard, since, at);
            (self.is_closed, self.since) = (is_closed, Some(at));
        }
    }

    fn judge(&self, guard: &ContactGuard, since: Line, at: Line) -> bool {
        if at >= self.over_at(guard, since) { self.is_closed } else { self.held }
    }

    /// When the contact has been as it is for its delay.
    fn over_at(&self, guard: &ContactGuard, since: Line) -> Line {
        let delay_s = if self.is_closed { guard.on_delay_s } else { guard.off_delay_s };
        since.plus_ms(u64::from(delay_s) * 1000)
    }

    /// Finds whether it holds water back at a moment; returns when that may change.
    pub(crate) fn look(&mut self, guard: &ContactGuard, now: Line) -> Option<Line> {
        let since = self.since?;
        self.holds = self.judge(guard, since, now);
        Some(self.over_at(guard, since)).filter(|at| *at > now)
    }
}

/// Frost.
#[derive(Debug, Default)]
pub(crate) struct Frost {
    last: Option<(Line, i64)>,
    is_cold: bool,
}

impl Frost {
    pub(crate) fn read(&mut self, guard: &FrostGuard, at: Line, milli: i64) {
        if self.last.is_some_and(|(last_at, _)| at < last_at) {
            return;
        }
        self.last = Some((at, milli));
        self.judge(guard);
    }

    /// Judges the newest reading by the guard's marks.
    pub(crate) fn judge(&mut self, guard: &FrostGuard) {
        let Some((_, milli)) = self.last else { return };
        self.is_cold = if self.is_cold { milli < guard.clear_milli } else { milli < guard.below_milli };
    }

    /// The temperature when it holds water back; one that is too old does not.
    pub(crate) fn look(&self, guard: &FrostGuard, now: Line) -> Option<i64> {
        let (_, milli) = self.last.filter(|_| self.is_cold)?;
        self.stale_at(guard).is_some_and(|at| now < at).then_some(milli)
    }

    /// When the last reading becomes too old.
    pub(crate) fn stale_at(&self, guard: &FrostGuard) -> Option<Line> {
        let (at, _) = self.last.filter(|_| self.is_cold)?;
        Some(at.plus_ms(u64::from(guard.fresh_s) * 1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ProbeRef;

    fn gauge() -> ProbeRef {
        ProbeRef { device: "st".parse().unwrap(), metric: "x".parse().unwrap() }
    }

    fn at_s(second: u64) -> MonoMs {
        MonoMs(second * 1000)
    }

    fn line_s(second: i64) -> Line {
        Line(second * 1000)
    }

    #[test]
    fn a_tank_fills_to_its_upper_mark_before_it_gives_again() {
        let guard = TankGuard { gauge: gauge(), min_milli: 20_000, resume_milli: 40_000, fresh_s: 600 };
        let mut tank = Tank::default();
        assert!(tank.is_unknown(&guard, at_s(0)), "nothing is drawn on a guess");
        let mut look = |at: u64, level: i64| {
            tank.read(&guard, at_s(at), level);
            tank.low()
        };
        assert_eq!([look(1, 50_000), look(2, 19_000), look(3, 39_000)], [None, Some(19_000), Some(39_000)]);
        assert_eq!(
            [look(4, 40_000), look(5, 20_000), look(3, 0)],
            [None, None, None],
            "a late reading is old news"
        );
        assert_eq!(tank.stale_at(&guard), Some(at_s(605)));
        assert!(!tank.is_unknown(&guard, at_s(604)) && tank.is_unknown(&guard, at_s(605)));
    }

    #[test]
    fn a_tank_that_is_remembered_as_low_stays_so_up_to_its_upper_mark() {
        let guard = TankGuard { gauge: gauge(), min_milli: 20_000, resume_milli: 40_000, fresh_s: 600 };
        let mut tank = Tank::remembered(Some(10_000));
        assert_eq!((tank.low(), tank.is_unknown(&guard, at_s(0))), (Some(10_000), true));
        assert!(!tank.read(&guard, at_s(1), 30_000), "nothing new to remember");
        assert_eq!(tank.low(), Some(30_000));
        assert!(tank.read(&guard, at_s(2), 40_000));
        assert_eq!(tank.low(), None);
        let higher = TankGuard { min_milli: 45_000, resume_milli: 50_000, ..guard };
        assert!(tank.judge(&higher));
        assert_eq!(tank.low(), Some(40_000), "by other marks");
    }

    #[test]
    fn rain_counts_for_its_hours() {
        let guard = RainGuard { gauge: gauge(), limit_milli: 5000, hours: 1 };
        let mut rain = Rain::default();
        let mut read = |second: i64, milli| rain.read(line_s(second), UnixMs(second * 1000), milli);
        [(0, 3000), (600, 2000), (600, 2000), (300, 500)].into_iter().for_each(|(at, milli)| read(at, milli));
        assert_eq!(
            rain.sum(&guard, line_s(700)),
            (5500, Some(line_s(3600))),
            "a doubled reading counts once"
        );
        assert_eq!(rain.sum(&guard, line_s(3600)), (2500, Some(line_s(3900))));
        assert_eq!(rain.sum(&guard, line_s(9000)), (0, None));
    }

    #[test]
    fn rain_from_before_the_start_counts_for_what_is_left_of_its_hours() {
        let guard = RainGuard { gauge: gauge(), limit_milli: 5000, hours: 1 };
        let mut rain = Rain::default();
        rain.read(line_s(-3000), UnixMs(1), 4000);
        rain.read(line_s(-1800), UnixMs(2), 6000);
        assert_eq!(rain.sum(&guard, line_s(5)), (10_000, Some(line_s(600))));
        assert_eq!(rain.sum(&guard, line_s(600)), (6000, Some(line_s(1800))));
        assert_eq!(rain.sum(&guard, line_s(1800)), (0, None));
    }

    #[test]
    fn a_contact_counts_after_its_delays() {
        let guard = ContactGuard { gauge: gauge(), on_delay_s: 60, off_delay_s: 600 };
        let mut contact = Contact::default();
        assert_eq!((contact.look(&guard, line_s(0)), contact.holds), (None, false));
        contact.read(&guard, line_s(0), true);
        contact.read(&guard, line_s(30), true);
        assert_eq!((contact.look(&guard, line_s(59)), contact.holds), (Some(line_s(60)), false));
        assert_eq!((contact.look(&guard, line_s(60)), contact.holds), (None, true));
        contact.read(&guard, line_s(100), false);
        assert_eq!((contact.look(&guard, line_s(699)), contact.holds), (Some(line_s(700)), true));
        contact.read(&guard, line_s(650), true);
        contact.read(&guard, line_s(660), false);
        assert_eq!(
            (contact.look(&guard, line_s(700)), contact.holds),
            (Some(line_s(1260)), true),
            "it rained again"
        );
        assert_eq!((contact.look(&guard, line_s(1260)), contact.holds), (None, false));
    }

    /// Read again after a start, all at one moment: what counts is when each was taken.
    #[test]
    fn a_contact_of_before_the_start_counts_as_it_did() {
        let guard = ContactGuard { gauge: gauge(), on_delay_s: 300, off_delay_s: 12 * 3600 };
        let check = |readings: &[(i64, bool)], holds: bool, change: Option<i64>| {
            let mut contact = Contact::default();
            for (hour, is_closed) in readings {
                contact.read(&guard, line_s(hour * 3600), *is_closed);
                contact.look(&guard, line_s(5));
            }
            let change_at = contact.look(&guard, line_s(5));
            assert_eq!((contact.holds, change_at), (holds, change.map(|hour| line_s(hour * 3600))));
        };
        check(&[(-5, true), (-2, false)], true, Some(10));
        check(&[(-20, true), (-13, false)], false, None);
        check(&[(-20, false), (-2, true)], true, None);
        let mut short = Contact::default();
        [(-600, true), (-500, false)].iter().for_each(|(at, closed)| {
            short.read(&guard, line_s(*at), *closed);
            short.look(&guard, line_s(5));
        });
        short.look(&guard, line_s(5));
        assert!(!short.holds, "a drizzle of two minutes");
    }

    #[test]
    fn frost_ends_when_it_is_warmer_or_nothing_is_known() {
        let guard = FrostGuard { gauge: gauge(), below_milli: 2000, clear_milli: 4000, fresh_s: 3600 };
        let mut frost = Frost::default();
        let mut look = |at: i64, milli: i64| {
            frost.read(&guard, line_s(at), milli);
            frost.look(&guard, line_s(at))
        };
        assert_eq!(
            [look(1, 2000), look(2, 1900), look(3, 3900), look(4, 4000)],
            [None, Some(1900), Some(3900), None]
        );
        assert_eq!(look(5, -500), Some(-500));
        assert_eq!(frost.look(&guard, line_s(3605)), None);
        assert_eq!(frost.stale_at(&guard), Some(line_s(3605)));
    }

    #[test]
    fn pressure_is_judged_while_water_flows() {
        let guard =
            PressureGuard { gauge: gauge(), min_milli: Some(70_000), max_milli: Some(300_000), delay_s: 30 };
        let mut pressure = Pressure::default();
        let mut read = |since: Option<u64>, at: u64, kpa: i64| {
            pressure.read(&guard, since.map(at_s), at_s(at), kpa * 1000)
        };
        assert_eq!(read(None, 0, 0), (false, false));
        assert_eq!(read(Some(10), 20, 50), (false, false));
        assert_eq!(read(Some(10), 50, 50), (true, false));
        assert_eq!(read(Some(10), 60, 100), (false, false));
        assert_eq!(read(Some(10), 70, 400), (false, false));
        assert_eq!(read(Some(10), 100, 400), (false, true));
    }
}
