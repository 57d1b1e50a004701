//! What holds water back for a while: an empty tank, wrong pressure, rain, wet soil, frost. Each remembers whether it holds, so that
//! a value that wavers about its limit does not switch valves.

use std::collections::VecDeque;

use giot_shared::time::MonoMs;

use crate::plan::{ContactGuard, FrostGuard, PressureGuard, RainGuard, TankGuard};

const HOUR_MS: u64 = 3_600_000;

/// Readings of rain that are kept: a fortnight of one every ten minutes; older ones are added to the oldest kept.
const RAIN_READINGS_MAX: usize = 2100;

/// A tank or well.
#[derive(Debug, Default)]
pub(crate) struct Tank {
    last: Option<(MonoMs, i64)>,
    is_low: bool,
}

impl Tank {
    pub(crate) fn read(&mut self, guard: &TankGuard, at: MonoMs, value: i64) {
        if self.last.is_some_and(|(last_at, _)| at < last_at) {
            return;
        }
        self.last = Some((at, value));
        self.is_low = if self.is_low { value < guard.resume_milli } else { value < guard.min_milli };
    }

    /// The level when it is too low.
    pub(crate) fn low(&self) -> Option<i64> {
        self.last.filter(|_| self.is_low).map(|(_, value)| value)
    }

    /// Whether the level is not known: nothing is drawn on a guess. After a start the gauge gets its time.
    pub(crate) fn is_unknown(&self, guard: &TankGuard, now: MonoMs, started_at: MonoMs) -> bool {
        let heard_at = self.last.map_or(started_at, |(at, _)| at);
        now.since_ms(heard_at) >= u64::from(guard.fresh_s) * 1000
    }

    /// When the last reading becomes too old.
    pub(crate) fn stale_at(&self, guard: &TankGuard, started_at: MonoMs) -> MonoMs {
        self.last.map_or(started_at, |(at, _)| at).plus_ms(u64::from(guard.fresh_s) * 1000)
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

/// Rain of the last hours.
#[derive(Debug, Default)]
pub(crate) struct Rain {
    readings: VecDeque<(MonoMs, i64)>,
}

impl Rain {
    pub(crate) fn read(&mut self, at: MonoMs, milli: i64) {
        if milli <= 0 {
            return;
        }
        // Doubled readings of one moment are one; late ones find their place.
        let place = self.readings.partition_point(|(kept_at, _)| *kept_at < at);
        if self.readings.get(place).is_some_and(|(kept_at, _)| *kept_at == at) {
            return;
        }
        self.readings.insert(place, (at, milli));
        if self.readings.len() > RAIN_READINGS_MAX
            && let Some((_, oldest)) = self.readings.pop_front()
            && let Some(next) = self.readings.front_mut()
        {
            next.1 = next.1.saturating_add(oldest);
        }
    }

    /// The rain that counts, and when less of it does.
    pub(crate) fn sum(&mut self, guard: &RainGuard, now: MonoMs) -> (i64, Option<MonoMs>) {
        let span_ms = u64::from(guard.hours) * HOUR_MS;
        while self.readings.front().is_some_and(|(at, _)| now.since_ms(*at) >= span_ms) {
            self.readings.pop_front();
        }
        let sum = self.readings.iter().fold(0_i64, |sum, (_, milli)| sum.saturating_add(*milli));
        (sum, self.readings.front().map(|(at, _)| at.plus_ms(span_ms)))
    }
}

/// A contact with delays.
#[derive(Debug, Default)]
pub(crate) struct Contact {
    is_closed: bool,
    /// Since when the contact is as it is.
    since: Option<MonoMs>,
    /// Whether it held water back when it was last looked at.
    pub(crate) holds: bool,
}

impl Contact {
    pub(crate) fn read(&mut self, at: MonoMs, is_closed: bool) {
        if self.since.is_none() || self.is_closed != is_closed {
            self.is_closed = is_closed;
            self.since = Some(at);
        }
    }

    /// Finds whether it holds water back at a moment; returns when that may change.
    pub(crate) fn look(&mut self, guard: &ContactGuard, now: MonoMs) -> Option<MonoMs> {
        let since = self.since?;
        let delay_s = if self.is_closed { guard.on_delay_s } else { guard.off_delay_s };
        let at = since.plus_ms(u64::from(delay_s) * 1000);
        if now >= at {
            self.holds = self.is_closed;
        }
        (at > now).then_some(at)
    }
}

/// Frost.
#[derive(Debug, Default)]
pub(crate) struct Frost {
    last: Option<(MonoMs, i64)>,
    is_cold: bool,
}

impl Frost {
    pub(crate) fn read(&mut self, guard: &FrostGuard, at: MonoMs, milli: i64) {
        if self.last.is_some_and(|(last_at, _)| at < last_at) {
            return;
        }
        self.last = Some((at, milli));
        self.is_cold = if self.is_cold { milli < guard.clear_milli } else { milli < guard.below_milli };
    }

    /// The temperature when it holds water back; one that is too old does not.
    pub(crate) fn look(&self, guard: &FrostGuard, now: MonoMs) -> Option<i64> {
        let (at, milli) = self.last.filter(|_| self.is_cold)?;
        (now.since_ms(at) < u64::from(guard.fresh_s) * 1000).then_some(milli)
    }

    /// When the last reading becomes too old.
    pub(crate) fn stale_at(&self, guard: &FrostGuard) -> Option<MonoMs> {
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

    #[test]
    fn a_tank_fills_to_its_upper_mark_before_it_gives_again() {
        let guard = TankGuard { gauge: gauge(), min_milli: 20_000, resume_milli: 40_000, fresh_s: 600 };
        let mut tank = Tank::default();
        assert!(!tank.is_unknown(&guard, at_s(599), at_s(0)) && tank.is_unknown(&guard, at_s(600), at_s(0)));
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
        assert_eq!(tank.stale_at(&guard, at_s(0)), at_s(605));
    }

    #[test]
    fn rain_counts_for_its_hours() {
        let guard = RainGuard { gauge: gauge(), limit_milli: 5000, hours: 1 };
        let mut rain = Rain::default();
        rain.read(at_s(0), 3000);
        rain.read(at_s(600), 2000);
        rain.read(at_s(600), 2000);
        rain.read(at_s(300), 500);
        assert_eq!(rain.sum(&guard, at_s(700)), (5500, Some(at_s(3600))), "a doubled reading counts once");
        assert_eq!(rain.sum(&guard, at_s(3600)), (2500, Some(at_s(3900))));
        assert_eq!(rain.sum(&guard, at_s(9000)), (0, None));
    }

    #[test]
    fn a_contact_counts_after_its_delays() {
        let guard = ContactGuard { gauge: gauge(), on_delay_s: 60, off_delay_s: 600 };
        let mut contact = Contact::default();
        assert_eq!((contact.look(&guard, at_s(0)), contact.holds), (None, false));
        contact.read(at_s(0), true);
        contact.read(at_s(30), true);
        assert_eq!((contact.look(&guard, at_s(59)), contact.holds), (Some(at_s(60)), false));
        assert_eq!((contact.look(&guard, at_s(60)), contact.holds), (None, true));
        contact.read(at_s(100), false);
        assert_eq!((contact.look(&guard, at_s(699)), contact.holds), (Some(at_s(700)), true));
        contact.read(at_s(650), true);
        contact.read(at_s(660), false);
        assert_eq!(
            (contact.look(&guard, at_s(700)), contact.holds),
            (Some(at_s(1260)), true),
            "it rained again"
        );
        assert_eq!((contact.look(&guard, at_s(1260)), contact.holds), (None, false));
    }

    #[test]
    fn frost_ends_when_it_is_warmer_or_nothing_is_known() {
        let guard = FrostGuard { gauge: gauge(), below_milli: 2000, clear_milli: 4000, fresh_s: 3600 };
        let mut frost = Frost::default();
        let mut look = |at: u64, milli: i64| {
            frost.read(&guard, at_s(at), milli);
            frost.look(&guard, at_s(at))
        };
        assert_eq!(
            [look(1, 2000), look(2, 1900), look(3, 3900), look(4, 4000)],
            [None, Some(1900), Some(3900), None]
        );
        assert_eq!(look(5, -500), Some(-500));
        assert_eq!(frost.look(&guard, at_s(3605)), None);
        assert_eq!(frost.stale_at(&guard), Some(at_s(3605)));
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
