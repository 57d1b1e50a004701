//! When a program must start to be finished by a moment.
//!
//! Without hours it starts by its own length before. With hours it starts so that its runs, as hours let them lie, are over by
//! then; no earlier than the program's allowed hours open in which the moment lies, or which come last before it. What has no
//! room between is cut or left out at the end, as anywhere else.
//!
//! Bounded: [`TRIES_MAX`] timelines for each level and minute of the week, because hours are the same every week.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use giot_shared::time::UnixMs;

use super::{Calendar, FINISH_SPAN_MS_MAX};
use crate::plan::DAY_MS;
use crate::program::civil::Date;
use crate::program::control::{Control, FarmState, Level};
use crate::program::sequence::Direction;
use crate::program::start::Start;
use crate::program::timeline::{Bars, Timeline, timeline};
use crate::program::windows::{CLOSED_MS_MAX, Levels, Windows};
use crate::reason::Reason;

/// How often a start is put earlier by what had no room: each closing of hours can cost one try.
const TRIES_MAX: usize = 12;

/// What was found out already.
#[derive(Debug, Default)]
pub(super) struct Leads {
    /// The lengths, ms, by level.
    spans: BTreeMap<Level, u64>,
    /// How long before its anchor the program starts, ms, by level and time of the week.
    leads: BTreeMap<(Level, i64), u64>,
}

impl Calendar<'_> {
    /// From the first run's beginning to the last one's end at the scale of a day, ms; hours and pauses are not looked at, and
    /// a refill counts as its zone's longest run.
    ///
    /// An alternating order is counted at its longer side, so that the program is surely over at its anchor.
    #[must_use]
    pub fn span_ms(self, day: Date) -> u64 {
        let span_ms = |n_runs| self.plain(day, n_runs).until().map_or(0, |until| until.since_ms(UnixMs(0)));
        (0..self.n_orders()).map(span_ms).max().unwrap_or(0)
    }

    /// When the program starts that is to be finished by a moment of a day.
    pub(super) fn start_before(self, finish_at: UnixMs, day: Date, found: &mut Leads) -> UnixMs {
        let level = self.level(day);
        let span_ms = *found.spans.entry(level).or_insert_with(|| self.span_ms(day));
        if span_ms > FINISH_SPAN_MS_MAX {
            // Told when it would start without a person's share: till then that can still be changed.
            let control = Control::default();
            let planned_ms = Calendar { control: &control, ..self }.span_ms(day);
            return finish_at.minus_ms(planned_ms.min(FINISH_SPAN_MS_MAX));
        }
        if !self.has_hours() {
            return finish_at.minus_ms(span_ms);
        }
        let key = (level, finish_at.0.rem_euclid(7 * DAY_MS));
        let lead = |n_runs| finish_at.since_ms(self.start_within_hours(finish_at, day, n_runs, span_ms));
        let leads = || (0..self.n_orders()).map(lead).max().unwrap_or(span_ms);
        finish_at.minus_ms(*found.leads.entry(key).or_insert_with(leads))
    }

    /// Why a start cannot take place at all: the program has become longer than the day before its anchor.
    pub(super) fn too_long(self, start: &Start) -> Option<Reason> {
        let span_ms = start.finish_at.map_or(0, |_| self.span_ms(start.day));
        (span_ms > FINISH_SPAN_MS_MAX).then_some(Reason::FinishTooLong { needed_s: span_ms / 1000 })
    }

    /// Whether hours of program, zones or sources can be in the way.
    pub(super) fn has_hours(self) -> bool {
        let mut zones = self.program.sequence.steps.iter().filter_map(|step| self.site.zones.get(&step.zone));
        !self.program.windows.are_always() || zones.any(|zone| self.site.has_hours(zone))
    }

    /// The latest start from which all is given by `finish_at`; when there is none, the one from which most is.
    fn start_within_hours(self, finish_at: UnixMs, day: Date, n_runs: u64, span_ms: u64) -> UnixMs {
        let wanted_ms = self.plain(day, n_runs).run_ms();
        let earliest = self.opened_before(finish_at);
        let farm = FarmState::default();
        let mut at = finish_at.minus_ms(span_ms).max(earliest);
        let mut best = (u64::MAX, Reverse(at));
        for _ in 0..TRIES_MAX {
            let bars = Bars {
                windows: &self.program.windows,
                crossing: self.program.crossing,
                farm: &farm,
                opens_before: finish_at,
                ends_by: finish_at.max(at.plus_ms(FINISH_SPAN_MS_MAX)),
            };
            let conditions = Calendar { farm: &farm, ..self }.conditions(day, n_runs, Some(bars), None);
            let runs = timeline(&self.program.sequence, &conditions, at);
            let over_ms = runs.until().map_or(0, |until| until.since_ms(finish_at));
            let lost_ms = wanted_ms.saturating_sub(runs.run_ms());
            let begins_at = runs.runs.first().map_or(at, |run| run.from);
            best = best.min((over_ms + lost_ms, Reverse(begins_at)));
            if over_ms + lost_ms == 0 || at <= earliest {
                break;
            }
            at = at.minus_ms(over_ms.max(lost_ms)).max(earliest);
        }
        let (_, Reverse(begins_at)) = best;
        begins_at
    }

    /// When those allowed hours of the program opened that go on till a moment, or closed last before it, hours that are waited
    /// for in between included; at most [`FINISH_SPAN_MS_MAX`] before.
    fn opened_before(self, finish_at: UnixMs) -> UnixMs {
        let earliest = finish_at.minus_ms(FINISH_SPAN_MS_MAX);
        let allowed = Windows { allowed: self.program.windows.allowed.clone(), no_water: Vec::new() };
        let windows = [&allowed];
        let levels = Levels { windows: &windows, utc_offset_min: self.site.utc_offset_min };
        let (mut opened_at, mut at) = (earliest, earliest);
        while let Some(opens_at) = levels.opens_at(at, finish_at) {
            if at == earliest || opens_at.since_ms(at) > CLOSED_MS_MAX {
                opened_at = opens_at;
            }
            at = levels.closes_at(opens_at, finish_at.since_ms(opens_at));
            if at >= finish_at {
                break;
            }
        }
        opened_at
    }

    fn plain(self, day: Date, n_runs: u64) -> Timeline {
        timeline(&self.program.sequence, &self.conditions(day, n_runs, None, None), UnixMs(0))
    }

    fn n_orders(self) -> u64 {
        match self.program.sequence.order.direction {
            Direction::Alternating => 2,
            Direction::Forward | Direction::Reversed => 1,
        }
    }
}
