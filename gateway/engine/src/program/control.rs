//! What people and weather change between two starts: percentages, pauses, skips; and what a program remembers.
//!
//! A [`Control`] holds settings, never results: an adjustment is the one number last set and is applied to the program's
//! own amounts at each start, so that it cannot compound and does not reach back.

use std::collections::BTreeMap;

use giot_shared::time::UnixMs;

use super::civil::Date;
use super::refill::Lacks;
use super::start::Start;
use crate::ids::{ProgramId, ZoneId};
use crate::reason::Reason;

/// Largest percentage of an adjustment, and largest level of all together: as controllers of the trade allow.
pub const PERCENT_MAX: u16 = 250;

/// Most starts that can be skipped ahead.
pub const SKIPS_MAX: u16 = 100;

/// Longest pause of water. What waits longer than six hours in all is dropped, so that a rest left by a pause still has its turn.
pub const WATER_PAUSE_MS_MAX: u64 = 3 * 3600 * 1000;

/// A share of the planned amount, 0–250 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u16);

/// Seasonal adjustment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Season {
    /// The same all year.
    Whole(Percent),
    /// For each month, January first.
    ByMonth([Percent; 12]),
}

/// Everything that scales a start: season × adjustment, at most [`PERCENT_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u32);

/// The settings and memory of one program; all of it must survive a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Whether the program starts at all.
    pub is_enabled: bool,
    /// A person's pause.
    pub suspended_until: Option<UnixMs>,
    /// How many of the next starts are left out; at most [`SKIPS_MAX`] count.
    pub skip_next: u16,
    /// A person's or the weather's adjustment, on top of the season.
    pub adjust: Percent,
    /// How often the program has run: every other run of an alternating order is reversed.
    pub n_runs: u64,
    /// The runs of the last start go on until then; the caller sets it from the timeline that it really follows.
    pub busy_until: Option<UnixMs>,
    /// Every start before has been dealt with: decided, or told as missed.
    pub handled_until: Option<UnixMs>,
    /// Every start before has been decided, if it came in time.
    pub decided_until: Option<UnixMs>,
    /// The last finish-by anchor that has been dealt with. The start before an anchor moves with every adjustment; the
    /// anchor does not.
    pub finished_until: Option<UnixMs>,
    /// The last anchor of which it was told that the program is too long for it; one that becomes short enough before its start
    /// is served all the same.
    pub near_until: Option<UnixMs>,
}

/// What holds for the whole farm at the moment; it must survive a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FarmState {
    /// Nothing starts by itself before, because it rained or will.
    pub rain_delay_until: Option<UnixMs>,
    /// A person's pause of everything that starts by itself.
    pub suspended_until: Option<UnixMs>,
    /// Nothing opens before; what ran goes on then.
    pub water_paused_until: Option<UnixMs>,
    /// Pauses of single zones.
    pub zones_suspended_until: BTreeMap<ZoneId, UnixMs>,
    /// Of that moment's civil day people were last told what finds no room.
    pub day_told: Option<UnixMs>,
    /// How much of that day's water was told to find no room, by program and zone, s.
    pub day_short: BTreeMap<(ProgramId, ZoneId), u64>,
    /// How much each zone needs water, in any unit, more is drier; a zone that is missing needs none.
    pub needs: BTreeMap<ZoneId, u32>,
    /// What each zone's soil lacks; nothing is known of a zone that is missing.
    pub lacks: Lacks,
}

impl Percent {
    /// As planned.
    pub const FULL: Self = Self(100);

    /// A percentage; `None` above [`PERCENT_MAX`].
    #[must_use]
    pub fn new(percent: u16) -> Option<Self> {
        (percent <= PERCENT_MAX).then_some(Self(percent))
    }

    /// The percentage.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Season {
    /// No seasonal adjustment.
    pub const NONE: Self = Self::Whole(Percent::FULL);

    /// The percentage of a day.
    #[must_use]
    pub fn percent(self, date: Date) -> Percent {
        match self {
            Self::Whole(percent) => percent,
            Self::ByMonth(months) => {
                let month_idx = usize::from(date.month()).saturating_sub(1);
                months.get(month_idx).copied().unwrap_or(Percent::FULL)
            }
        }
    }
}

impl Level {
    /// As planned.
    pub const FULL: Self = Self(10_000);

    /// Season × adjustment.
    #[must_use]
    pub fn new(season: Percent, adjust: Percent) -> Self {
        let product = u32::from(season.0) * u32::from(adjust.0);
        Self(product.min(u32::from(PERCENT_MAX) * 100))
    }

    /// The level in 1/10 000.
    #[must_use]
    pub fn permyriad(self) -> u32 {
        self.0
    }
}

impl Default for Control {
    fn default() -> Self {
        Self {
            is_enabled: true,
            suspended_until: None,
            skip_next: 0,
            adjust: Percent::FULL,
            n_runs: 0,
            busy_until: None,
            handled_until: None,
            decided_until: None,
            finished_until: None,
            near_until: None,
        }
    }
}

/// Until a moment nothing is to start by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suspension {
    pub(crate) until: UnixMs,
    is_rain: bool,
}

impl Suspension {
    /// Why nothing starts at a moment; `None` once it is over.
    pub(crate) fn reason(self, at: UnixMs) -> Option<Reason> {
        let remaining_s = rest_s(Some(self.until), at)?;
        Some(if self.is_rain { Reason::RainDelay { remaining_s } } else { Reason::Suspended { remaining_s } })
    }
}

impl FarmState {
    /// What keeps soil and rules from starting a zone; of several the one that lasts longest.
    pub(crate) fn suspension(&self, zone: &ZoneId, ignores_rain_delay: bool) -> Option<Suspension> {
        let of_zone = self.zones_suspended_until.get(zone).copied();
        let rain = self.rain_delay_until.filter(|_| !ignores_rain_delay);
        let all = [(self.suspended_until, false), (of_zone, false), (rain, true)];
        let all = all.into_iter().filter_map(|(until, is_rain)| Some(Suspension { until: until?, is_rain }));
        all.max_by_key(|suspension| suspension.until)
    }

    /// How long nothing opens yet, ms; without a clock as long as a pause can be.
    pub(crate) fn water_paused_ms(&self, wall: Option<UnixMs>) -> u64 {
        let Some(until) = self.water_paused_until else { return 0 };
        wall.map_or(WATER_PAUSE_MS_MAX, |wall| until.since_ms(wall)).min(WATER_PAUSE_MS_MAX)
    }

    /// Why nothing of a program starts at a moment, whose zones heed a rain delay or not.
    fn bar(&self, at: UnixMs, heeds_rain_delay: bool) -> Option<Reason> {
        let rain = self.rain_delay(at).filter(|_| heeds_rain_delay);
        rain.or_else(|| rest_s(self.suspended_until, at).map(|remaining_s| Reason::Suspended { remaining_s }))
    }

    fn rain_delay(&self, at: UnixMs) -> Option<Reason> {
        rest_s(self.rain_delay_until, at).map(|remaining_s| Reason::RainDelay { remaining_s })
    }

    /// Why a zone is left out at a moment.
    pub(super) fn zone_bar(&self, zone: &ZoneId, at: UnixMs, ignores_rain_delay: bool) -> Option<Reason> {
        let until = self.zones_suspended_until.get(zone).copied();
        let of_zone = rest_s(until, at).map(|remaining_s| Reason::Suspended { remaining_s });
        of_zone.or_else(|| self.rain_delay(at).filter(|_| !ignores_rain_delay))
    }
}

impl Control {
    /// Decides about a start at its moment, `Err` with the reason why it is left out, and remembers what follows.
    ///
    /// A skip is used up only by a start that would have run. A rain delay leaves out the whole start where every zone heeds it,
    /// and else those that do.
    pub(super) fn take(
        &mut self,
        start: &Start,
        at: UnixMs,
        farm: &FarmState,
        heeds_rain_delay: bool,
    ) -> Result<(), Reason> {
        self.pass(start);
        let bar = (!self.is_enabled).then_some(Reason::ProgramDisabled {});
        let bar = bar.or_else(|| farm.bar(at, heeds_rain_delay));
        let bar = bar.or_else(|| {
            rest_s(self.suspended_until, at).map(|remaining_s| Reason::Suspended { remaining_s })
        });
        let bar = bar
            .or_else(|| rest_s(self.busy_until, at).map(|remaining_s| Reason::ProgramBusy { remaining_s }));
        if let Some(reason) = bar {
            return Err(reason);
        }
        if self.skip_next > 0 {
            self.skip_next = self.skip_next.min(SKIPS_MAX) - 1;
            return Err(Reason::SkippedByPerson { left: self.skip_next.into() });
        }
        self.n_runs = self.n_runs.saturating_add(1);
        Ok(())
    }

    /// Remembers that a start is decided.
    pub(super) fn pass(&mut self, start: &Start) {
        self.decided_until = self.decided_until.max(Some(start.at.plus_ms(1)));
        self.finished_until = self.finished_until.max(start.finish_at);
    }

    /// Whether the anchor that a start is to be finished by has been dealt with.
    pub(super) fn is_finished(&self, start: &Start) -> bool {
        start.finish_at.is_some_and(|finish_at| Some(finish_at) <= self.finished_until)
    }
}

/// Seconds from `at` to `until`, rounded up; `None` when it is over.
fn rest_s(until: Option<UnixMs>, at: UnixMs) -> Option<u64> {
    until.map(|until| until.since_ms(at).div_ceil(1000)).filter(|remaining_s| *remaining_s > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(value: u16) -> Percent {
        Percent::new(value).unwrap()
    }

    #[test]
    fn percentages_are_bounded_alone_and_together() {
        assert_eq!(Percent::new(251), None);
        assert_eq!(Level::new(percent(100), percent(100)), Level::FULL);
        for (season, adjust, permyriad) in
            [(0, 250, 0), (50, 50, 2500), (120, 110, 13_200), (250, 100, 25_000), (250, 250, 25_000)]
        {
            assert_eq!(Level::new(percent(season), percent(adjust)).permyriad(), permyriad);
        }
    }

    #[test]
    fn a_season_is_one_number_or_twelve() {
        let mut months = [Percent::FULL; 12];
        (months[1], months[11]) = (percent(40), percent(0));
        let by_month = Season::ByMonth(months);
        for (month, want) in [(1, 100), (2, 40), (12, 0)] {
            assert_eq!(by_month.percent(Date::new(2026, month, 28).unwrap()).get(), want);
        }
        assert_eq!(Season::Whole(percent(70)).percent(Date::EPOCH).get(), 70);
    }

    #[test]
    fn the_first_bar_is_told_and_a_skip_waits_for_a_start_that_would_run() {
        let at = UnixMs(1_000_000);
        let start = Start::by_hand(at, Date::EPOCH);
        let mut farm = FarmState {
            rain_delay_until: Some(at.plus_ms(1500)),
            suspended_until: Some(at.plus_ms(1)),
            ..FarmState::default()
        };
        let mut control = Control { skip_next: 1, ..Control::default() };
        let take = |control: &mut Control, farm: &FarmState| control.take(&start, at, farm, true);
        control.is_enabled = false;
        assert_eq!(take(&mut control, &farm), Err(Reason::ProgramDisabled {}));
        control.is_enabled = true;
        assert_eq!(take(&mut control, &farm), Err(Reason::RainDelay { remaining_s: 2 }));
        farm.rain_delay_until = Some(at);
        assert_eq!(take(&mut control, &farm), Err(Reason::Suspended { remaining_s: 1 }));
        farm.suspended_until = None;
        control.suspended_until = Some(at.plus_ms(60_000));
        assert_eq!(take(&mut control, &farm), Err(Reason::Suspended { remaining_s: 60 }));
        control.suspended_until = None;
        control.busy_until = Some(at.plus_ms(9000));
        assert_eq!(take(&mut control, &farm), Err(Reason::ProgramBusy { remaining_s: 9 }));
        control.busy_until = Some(at);
        assert_eq!((control.skip_next, control.n_runs), (1, 0));
        assert_eq!(take(&mut control, &farm), Err(Reason::SkippedByPerson { left: 0 }));
        assert_eq!(take(&mut control, &farm), Ok(()));
        assert_eq!((control.skip_next, control.n_runs), (0, 1));
    }
}
