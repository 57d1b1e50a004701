//! When water may flow, and what becomes of a run that meets a time when it may not.
//!
//! Program, zone and source each have [`Windows`]; all of them must be open. A run is fitted by the program's [`Crossing`]
//! rule, and what the rule does to it has a [`Reason`].

use giot_shared::time::UnixMs;

use super::civil::{Date, Weekdays};
use crate::plan::{DAY_MS, DayWindow, MINUTES_A_DAY};
use crate::reason::Reason;

/// Most windows of one kind in one place.
pub const WINDOWS_MAX: usize = 8;

/// Longest wait of a run for a window: what cannot begin within a day is the next day's business.
pub const WAIT_MS_MAX: u64 = 24 * 3600 * 1000;

/// A span of the local day on some days of the week; one that crosses midnight belongs to the day that it begins on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The span.
    pub span: DayWindow,
    /// The days.
    pub weekdays: Weekdays,
}

/// When water may flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// Only within one of these; none: always.
    pub allowed: Vec<Window>,
    /// Never within one of these: a bylaw, a wedding, the hours of dear electricity.
    pub no_water: Vec<Window>,
}

/// For so long hours may be closed within a start that goes on afterwards, ms: hours without water within a night, not the
/// day between two nights. As long as the shortest wait for pipes.
pub const CLOSED_MS_MAX: u64 = 6 * 3600 * 1000;

/// By so much at most, ms, a run that is to lie within its hours as a whole may be shorter: the engine acts a moment late, and valves that
/// follow each other take seconds.
const OVERHANG_MS_MAX: u64 = 30_000;

/// What is left of a run before hours close is not worth an opening if they open again in time, ms: drip lines need about a
/// minute to fill.
const WORTH_MS_MIN: u64 = 60_000;

/// What becomes of a run that would not lie within the windows as a whole. One whose turn comes while they are closed waits
/// for the next ones: the first of a start until its program's next start, others for [`CLOSED_MS_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Crossing {
    /// It ends when the window does, what is lost is lost.
    #[default]
    Cut,
    /// It waits for the first window that holds it as a whole, up to [`WAIT_MS_MAX`], and is left out where it would last into its
    /// program's next start.
    Move,
    /// It is left out.
    Skip,
}

/// A run as it fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fitted {
    pub(crate) from: UnixMs,
    pub(crate) run_ms: u64,
    /// What the windows did to it.
    pub(crate) note: Option<Reason>,
}

/// The windows of everything that one run depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Levels<'a> {
    pub(super) windows: &'a [&'a Windows],
    pub(super) utc_offset_min: i32,
}

impl Window {
    /// Every day within a span.
    #[must_use]
    pub fn daily(span: DayWindow) -> Self {
        Self { span, weekdays: Weekdays::ALL }
    }

    /// Length and time since its last beginning at a moment (on any day), ms.
    fn phase_ms(&self, at: UnixMs, utc_offset_min: i32) -> (i64, i64) {
        let day_min = i64::from(MINUTES_A_DAY);
        let (from_min, to_min) = (i64::from(self.span.from_min()), i64::from(self.span.to_min()));
        let length_min = match (to_min - from_min).rem_euclid(day_min) {
            // Equal ends mean the whole day.
            0 => day_min,
            length_min => length_min,
        };
        let local_ms = at.0.saturating_add((i64::from(utc_offset_min) - from_min) * 60_000);
        (length_min * 60_000, local_ms.rem_euclid(DAY_MS))
    }

    fn contains(&self, at: UnixMs, utc_offset_min: i32) -> bool {
        let (length_ms, since_ms) = self.phase_ms(at, utc_offset_min);
        let began_at = UnixMs(at.0.saturating_sub(since_ms));
        since_ms < length_ms && self.weekdays.contains(Date::of(began_at, utc_offset_min).weekday())
    }

    /// The next moment after `at` at which it may begin or end.
    fn next_edge(&self, at: UnixMs, utc_offset_min: i32) -> UnixMs {
        let (length_ms, since_ms) = self.phase_ms(at, utc_offset_min);
        let edge_ms = if since_ms < length_ms { length_ms } else { DAY_MS };
        UnixMs(at.0.saturating_add(edge_ms - since_ms))
    }

    /// Its span as a reason tells it.
    fn minutes(&self) -> (u32, u32) {
        (self.span.from_min().into(), self.span.to_min().into())
    }
}

impl Windows {
    /// Whether water may flow at any time.
    pub(super) fn are_always(&self) -> bool {
        self.allowed.is_empty() && self.no_water.is_empty()
    }

    /// Whether every day has the same.
    pub(super) fn are_daily(&self) -> bool {
        self.allowed.iter().chain(&self.no_water).all(|window| window.weekdays == Weekdays::ALL)
    }

    /// Why water may not flow at a moment.
    fn bar(&self, at: UnixMs, utc_offset_min: i32) -> Option<Reason> {
        let is_in = |window: &&Window| window.contains(at, utc_offset_min);
        if let Some((from_min, to_min)) = self.no_water.iter().find(is_in).map(Window::minutes) {
            return Some(Reason::NoWaterWindow { from_min, to_min });
        }
        let (from_min, to_min) = self.allowed.first().map(Window::minutes)?;
        let is_allowed = self.allowed.iter().any(|window| is_in(&window));
        (!is_allowed).then_some(Reason::OutsideWindow { from_min, to_min })
    }
}

/// Whether hours hold a run as a whole: what clocks and valves take of its end is neither moved for nor left out.
fn is_whole(wanted_ms: u64, open_ms: u64) -> bool {
    wanted_ms.saturating_sub(open_ms) <= OVERHANG_MS_MAX.min(wanted_ms / 10)
}

/// What is told of a run that hours cut; whole seconds are given, so that less than one is no cut.
pub(super) fn run_cut(wanted_ms: u64, run_ms: u64) -> Option<Reason> {
    let is_cut = wanted_ms.saturating_sub(run_ms) >= 1000;
    is_cut.then_some(Reason::RunCut { wanted_s: wanted_ms / 1000, run_s: run_ms / 1000 })
}

impl Levels<'_> {
    /// Where a run of at most a day goes that is wanted at a moment.
    ///
    /// # Errors
    /// Why it is left out.
    pub(super) fn fit(&self, crossing: Crossing, at: UnixMs, run_ms: u64) -> Result<Fitted, Reason> {
        match (self.bar(at), crossing) {
            (Some(reason), Crossing::Cut | Crossing::Skip) => Err(reason),
            (_, Crossing::Move) => self.moved(at, run_ms),
            (None, Crossing::Cut) => {
                let open_ms = self.closes_at(at, run_ms).since_ms(at);
                Ok(Fitted { from: at, run_ms: open_ms.min(run_ms), note: run_cut(run_ms, open_ms) })
            }
            (None, Crossing::Skip) => {
                let closes_at = self.closes_at(at, run_ms);
                let open_ms = closes_at.since_ms(at);
                match self.bar(closes_at).filter(|_| !is_whole(run_ms, open_ms)) {
                    Some(reason) => Err(reason),
                    None => {
                        Ok(Fitted { from: at, run_ms: open_ms.min(run_ms), note: run_cut(run_ms, open_ms) })
                    }
                }
            }
        }
    }

    /// The same, but a run whose turn comes while the windows are closed, or so shortly before they close that it is not worth an
    /// opening, waits for windows that open before a moment. What is moved waits by its own rule.
    pub(super) fn fit_before(
        &self,
        crossing: Crossing,
        wanted_at: UnixMs,
        run_ms: u64,
        before: UnixMs,
    ) -> Result<Fitted, Reason> {
        let mut at = wanted_at;
        loop {
            let opens_at = (crossing != Crossing::Move).then(|| self.opens_at(at, before)).flatten();
            let fitted = self.fit(crossing, opens_at.unwrap_or(at), run_ms)?;
            let is_worth_it = fitted.run_ms >= run_ms.min(WORTH_MS_MIN) || crossing == Crossing::Move;
            match self.opens_at(fitted.from.plus_ms(fitted.run_ms), before).filter(|_| !is_worth_it) {
                Some(next) if next > at => at = next,
                _ => return Ok(fitted),
            }
        }
    }

    /// The first moment from `at` on, and before another, at which the windows are open.
    pub(super) fn opens_at(&self, at: UnixMs, before: UnixMs) -> Option<UnixMs> {
        let mut open_at = at;
        while self.bar(open_at).is_some() {
            open_at = self.next_edge(open_at).filter(|edge| *edge < before)?;
        }
        Some(open_at)
    }

    /// The run at the first moment from which it can flow to its end.
    fn moved(&self, wanted_at: UnixMs, run_ms: u64) -> Result<Fitted, Reason> {
        let mut at = wanted_at;
        while at <= wanted_at.plus_ms(WAIT_MS_MAX) {
            let closes_at = if self.bar(at).is_none() { self.closes_at(at, run_ms) } else { at };
            let open_ms = closes_at.since_ms(at);
            if is_whole(run_ms, open_ms) {
                let late_s = at.since_ms(wanted_at) / 1000;
                let note = (at > wanted_at).then_some(Reason::RunMoved { late_s });
                return Ok(Fitted { from: at, run_ms: open_ms.min(run_ms), note });
            }
            let Some(next) = self.next_edge(closes_at) else { break };
            at = next;
        }
        Err(Reason::WindowTooShort { wanted_s: run_ms / 1000 })
    }

    pub(super) fn bar(&self, at: UnixMs) -> Option<Reason> {
        self.windows.iter().find_map(|windows| windows.bar(at, self.utc_offset_min))
    }

    pub(super) fn next_edge(&self, at: UnixMs) -> Option<UnixMs> {
        let windows = self.windows.iter().flat_map(|windows| windows.allowed.iter().chain(&windows.no_water));
        // At the end of time no edge lies ahead.
        windows.map(|window| window.next_edge(at, self.utc_offset_min)).min().filter(|edge| *edge > at)
    }

    /// When the windows that are open at `at` close; no later than `run_ms` after it.
    pub(super) fn closes_at(&self, at: UnixMs, run_ms: u64) -> UnixMs {
        let until = at.plus_ms(run_ms);
        let mut open_until = at;
        while open_until < until {
            match self.next_edge(open_until) {
                None => return until,
                Some(edge) if edge >= until => return until,
                Some(edge) if self.bar(edge).is_some() => return edge,
                Some(edge) => open_until = edge,
            }
        }
        open_until
    }
}

#[cfg(test)]
mod tests {
    use super::super::civil::Weekday;
    use super::*;

    const MINUTE_MS: i64 = 60_000;

    fn span(from_hour: u16, to_hour: u16) -> DayWindow {
        DayWindow::new(from_hour * 60, to_hour * 60).unwrap()
    }

    fn allowed(spans: &[(u16, u16)]) -> Windows {
        Windows {
            allowed: spans.iter().map(|(a, b)| Window::daily(span(*a, *b))).collect(),
            no_water: vec![],
        }
    }

    fn no_water(spans: &[(u16, u16)]) -> Windows {
        Windows { no_water: allowed(spans).allowed, allowed: vec![] }
    }

    /// Fits a run wanted at a minute of Tuesday, 2026-11-24, UTC+7; from and length come back in minutes of that day.
    fn fit(
        windows: &[&Windows],
        crossing: Crossing,
        at_min: i64,
        run_min: u64,
    ) -> Result<(i64, u64), &'static str> {
        let midnight = Date::new(2026, 11, 24).unwrap().begins_at(420);
        let levels = Levels { windows, utc_offset_min: 420 };
        let fitted = levels.fit(crossing, UnixMs(midnight.0 + at_min * MINUTE_MS), run_min * 60_000);
        fitted
            .map(|fitted| {
                let (from_min, got_min) = ((fitted.from.0 - midnight.0) / MINUTE_MS, fitted.run_ms / 60_000);
                assert_eq!(fitted.note.is_some(), (from_min, got_min) != (at_min, run_min), "{fitted:?}");
                (from_min, got_min)
            })
            .map_err(|reason| reason.code())
    }

    #[test]
    fn without_windows_everything_fits() {
        for crossing in [Crossing::Cut, Crossing::Move, Crossing::Skip] {
            assert_eq!(fit(&[], crossing, 100, 3000), Ok((100, 3000)));
            assert_eq!(fit(&[&Windows::default()], crossing, 100, 3000), Ok((100, 3000)));
        }
    }

    #[test]
    fn a_run_that_fits_is_given_although_it_begins_a_moment_late() {
        let windows = allowed(&[(4, 6)]);
        let levels = Levels { windows: &[&windows], utc_offset_min: 0 };
        let wanted_ms = 2 * 3_600_000;
        for crossing in [Crossing::Cut, Crossing::Skip, Crossing::Move] {
            let fitted = |late_ms| levels.fit(crossing, UnixMs(4 * 3_600_000).plus_ms(late_ms), wanted_ms);
            let at = |late_ms| Fitted {
                from: UnixMs(4 * 3_600_000).plus_ms(late_ms),
                run_ms: wanted_ms - late_ms,
                note: None,
            };
            assert_eq!(fitted(700), Ok(at(700)), "{crossing:?}");
            let is_given = fitted(30_000).is_ok_and(|fitted| fitted.run_ms == wanted_ms - 30_000);
            assert!(is_given, "{crossing:?}: {:?}", fitted(30_000));
            let is_here = fitted(31_000).is_ok_and(|fitted| fitted.from == UnixMs(4 * 3_600_000 + 31_000));
            assert_eq!(is_here, crossing == Crossing::Cut, "{crossing:?}");
        }
    }

    #[test]
    fn a_run_that_leaves_its_window_is_cut_moved_or_skipped() {
        let windows = allowed(&[(4, 6), (18, 22)]);
        let cases = [
            // Wanted at and for, then cut, moved, skipped.
            (240, 120, Ok((240, 120)), Ok((240, 120)), Ok((240, 120))),
            (300, 90, Ok((300, 60)), Ok((1080, 90)), Err("outside_window")),
            (420, 90, Err("outside_window"), Ok((1080, 90)), Err("outside_window")),
            // The evening holds four hours, no more.
            (300, 240, Ok((300, 60)), Ok((1080, 240)), Err("outside_window")),
            (300, 241, Ok((300, 60)), Err("window_too_short"), Err("outside_window")),
            // At 21:00 too late for two hours: the next morning.
            (1260, 120, Ok((1260, 60)), Ok((1440 + 240, 120)), Err("outside_window")),
        ];
        for (at_min, run_min, cut, moved, skipped) in cases {
            assert_eq!(fit(&[&windows], Crossing::Cut, at_min, run_min), cut, "cut {at_min} {run_min}");
            assert_eq!(fit(&[&windows], Crossing::Move, at_min, run_min), moved, "moved {at_min} {run_min}");
            assert_eq!(
                fit(&[&windows], Crossing::Skip, at_min, run_min),
                skipped,
                "skipped {at_min} {run_min}"
            );
        }
    }

    #[test]
    fn no_water_wins_over_allowed_and_all_levels_count() {
        let (program, zone, source) = (allowed(&[(4, 12)]), no_water(&[(6, 7)]), no_water(&[(8, 9)]));
        let levels = [&program, &zone, &source];
        assert_eq!(fit(&levels, Crossing::Cut, 300, 180), Ok((300, 60)));
        assert_eq!(fit(&levels, Crossing::Cut, 380, 10), Err("no_water_window"));
        assert_eq!(fit(&levels, Crossing::Move, 300, 61), Ok((540, 61)));
        assert_eq!(fit(&levels, Crossing::Skip, 420, 60), Ok((420, 60)));
        assert_eq!(fit(&levels, Crossing::Skip, 420, 61), Err("no_water_window"));
    }

    #[test]
    fn windows_that_touch_are_one() {
        let windows = allowed(&[(4, 6), (6, 8), (22, 3)]);
        assert_eq!(fit(&[&windows], Crossing::Skip, 270, 210), Ok((270, 210)));
        assert_eq!(fit(&[&windows], Crossing::Cut, 23 * 60, 600), Ok((23 * 60, 240)));
    }

    #[test]
    fn a_window_over_midnight_belongs_to_its_first_day() {
        let tuesday_night = Window { span: span(22, 3), weekdays: Weekdays::of([Weekday::Tuesday]) };
        let windows = Windows { allowed: vec![tuesday_night], no_water: vec![] };
        assert_eq!(fit(&[&windows], Crossing::Cut, 60, 10), Err("outside_window"));
        assert_eq!(fit(&[&windows], Crossing::Cut, 1440 + 60, 600), Ok((1440 + 60, 120)));
        let tuesday = Window { span: DayWindow::ALWAYS, weekdays: Weekdays::of([Weekday::Tuesday]) };
        let windows = Windows { allowed: vec![], no_water: vec![tuesday] };
        assert_eq!(fit(&[&windows], Crossing::Move, 0, 60), Ok((1440, 60)));
        assert_eq!(fit(&[&windows], Crossing::Cut, -60, 90), Ok((-60, 60)));
    }

    #[test]
    fn the_end_of_time_ends_the_search() {
        let windows = allowed(&[(0, 12), (12, 24)]);
        let levels = Levels { windows: &[&windows], utc_offset_min: 420 };
        for at in [UnixMs(i64::MAX), UnixMs(i64::MAX - 1000), UnixMs(i64::MIN)] {
            for crossing in [Crossing::Cut, Crossing::Move, Crossing::Skip] {
                // No local day holds these moments: the answer may be either, but there is one.
                match levels.fit(crossing, at, WAIT_MS_MAX) {
                    Ok(fitted) => assert!(fitted.from >= at && fitted.run_ms <= WAIT_MS_MAX),
                    Err(reason) => assert!(["outside_window", "window_too_short"].contains(&reason.code())),
                }
            }
        }
    }
}
