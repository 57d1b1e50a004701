//! When a program must start to be finished by a moment.
//!
//! Without hours it starts by its own length before: that of its runs as the farm's pipes and pumps let them follow each other
//! where nothing else runs, a day at most. With hours it starts so that its runs, as hours, pipes and pumps let them lie, are over by
//! then; no earlier than the program's allowed hours open in which the moment lies, or which come last before it. What has no room
//! between is cut or left out at the end, as anywhere else.
//!
//! Bounded: [`TRIES_MAX`] starts for each level and minute of the day or, where hours differ by weekday, of the week.

use std::collections::BTreeMap;

use giot_shared::time::UnixMs;

use super::{Calendar, FINISH_SPAN_MS_MAX};
use crate::ids::ZoneId;
use crate::network::{Flow, Led};
use crate::plan::DAY_MS;
use crate::program::civil::Date;
use crate::program::control::{Control, FarmState, Level};
use crate::program::sequence::Direction;
use crate::program::site::Group;
use crate::program::start::Start;
use crate::program::timeline::{Bars, PlannedRun, Timeline, timeline};
use crate::program::windows::{CLOSED_MS_MAX, Levels, Windows};
use crate::reason::Reason;

/// How many starts are tried; a program of ten zones with some hours closed needs about twenty.
const TRIES_MAX: u64 = 32;

/// What was found out already.
#[derive(Debug, Default)]
pub(super) struct Leads {
    /// The lengths as wished, ms, by level.
    spans: BTreeMap<Level, u64>,
    /// After so long hours are the same again, ms.
    period_ms: Option<i64>,
    /// How long before its anchor the program starts, ms, by level and time of that period.
    leads: BTreeMap<(Level, i64), u64>,
}

/// What became of a start that was tried.
#[derive(Clone, Debug)]
struct Tried {
    /// Its runs in each of the program's orders, and what pipes and pumps make of them.
    runs: Vec<(Timeline, Led)>,
    /// When its first run begins.
    begins_at: UnixMs,
    /// What is over too late or has no room, ms.
    missing_ms: u64,
}

/// An end of closed hours, or their beginning.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: UnixMs,
    closes: bool,
}

/// The search for a start of one day.
#[derive(Debug)]
struct Search<'a> {
    calendar: Calendar<'a>,
    finish_at: UnixMs,
    day: Date,
    /// All runs together without hours, ms, by order.
    wanted_ms: Vec<u64>,
    /// The farm's zones in their order.
    zones: Vec<&'a ZoneId>,
    /// When hours open or close, by zone.
    marks: BTreeMap<&'a ZoneId, Vec<Mark>>,
}

impl Search<'_> {
    fn runs(&self, at: UnixMs, n_runs: u64) -> (Timeline, Led) {
        let (calendar, farm) = (self.calendar, FarmState::default());
        let bars = Bars {
            windows: &calendar.program.windows,
            crossing: calendar.program.crossing,
            farm: &farm,
            opens_before: self.finish_at,
            ends_by: self.finish_at.max(at.plus_ms(FINISH_SPAN_MS_MAX)),
        };
        let conditions = Calendar { farm: &farm, ..calendar }.conditions(self.day, n_runs, Some(bars), None);
        let runs = timeline(&calendar.program.sequence, &conditions, at);
        let led = calendar.lead(&runs, Some(bars));
        (runs, led)
    }

    /// What a start at a moment misses, in the worst of the program's orders.
    fn tried(&self, at: UnixMs) -> Tried {
        let runs: Vec<_> = (0..self.calendar.n_orders()).map(|n_runs| self.runs(at, n_runs)).collect();
        let missing_ms = |((_, led), wanted_ms): (&(Timeline, Led), &u64)| {
            let over_ms = led.until.map_or(0, |until| until.since_ms(self.finish_at));
            over_ms + wanted_ms.saturating_sub(led.run_ms)
        };
        let missing_ms = runs.iter().zip(&self.wanted_ms).map(missing_ms).max().unwrap_or(0);
        let begins = runs.iter().filter_map(|(runs, _)| runs.runs.first()).map(|run| run.from);
        Tried { begins_at: begins.min().unwrap_or(at), missing_ms, runs }
    }

    /// How much earlier than at a moment a start may meet hours otherwise, or be over in time, ms; `None`: nothing of it moves
    /// towards that.
    fn next_ms(&self, at: UnixMs, tried: &Tried) -> Option<u64> {
        let orders = (0..self.calendar.n_orders()).zip(&tried.runs);
        orders.filter_map(|(n_runs, runs)| self.next_in_order_ms(at, n_runs, runs)).min()
    }

    fn next_in_order_ms(&self, at: UnixMs, n_runs: u64, (runs, led): &(Timeline, Led)) -> Option<u64> {
        let (earlier, earlier_led) = self.runs(at.minus_ms(1), n_runs);
        // What waits for its hours, and what follows it, does not move along.
        let turns = runs.turns.iter().zip(&earlier.turns);
        let wished = turns.filter(|(turn, earlier)| turn.zone != earlier.zone || turn.at > earlier.at);
        let wished = wished.map(|(turn, _)| (&turn.zone, turn.at, turn.run_ms));
        let turns = led.turns.iter().zip(&earlier_led.turns);
        let put_off =
            turns.filter(|(turn, earlier)| turn.zone_idx != earlier.zone_idx || turn.from > earlier.from);
        let zone = |idx: usize| self.zones.get(idx).copied();
        let put_off = put_off.filter_map(|(turn, _)| Some((zone(turn.zone_idx)?, turn.from, turn.run_ms)));
        let to_marks = wished.chain(put_off).filter_map(|(zone, at, run_ms)| {
            let ends_at = at.plus_ms(run_ms);
            let marks = self.marks.get(zone)?.iter();
            let to_mark_ms = |mark: &Mark| if mark.closes { ends_at } else { at }.since_ms(mark.at);
            marks.map(to_mark_ms).filter(|ms| *ms > 0).min()
        });
        let until = led.until.filter(|until| Some(*until) > earlier_led.until);
        let over_ms = until.map(|until| until.since_ms(self.finish_at)).filter(|ms| *ms > 0);
        to_marks.chain(over_ms).min()
    }
}

impl<'a> Calendar<'a> {
    /// From the first run's beginning to the last one's end at the scale of a day, ms; hours, pauses, pipes and pumps are not looked
    /// at, and a refill counts as its zone's longest run.
    ///
    /// An alternating order is counted at its longer side, so that the program is surely over at its anchor.
    #[must_use]
    pub fn span_ms(self, day: Date) -> u64 {
        let until_ms = |n_runs| self.plain(day, n_runs).until().map_or(0, |until| until.since_ms(UnixMs(0)));
        (0..self.n_orders()).map(until_ms).max().unwrap_or(0)
    }

    /// The same as pipes and pumps let its runs follow each other when nothing else runs.
    fn led_ms(self, day: Date) -> u64 {
        let led = (0..self.n_orders()).map(|n_runs| self.lead(&self.plain(day, n_runs), None));
        led.filter_map(|led| led.until).map(|until| until.since_ms(UnixMs(0))).max().unwrap_or(0)
    }

    /// What pipes and pumps make of some runs when nothing else runs; what they put off is fitted into the hours anew.
    fn lead(self, runs: &Timeline, bars: Option<Bars<'_>>) -> Led {
        let zones: Vec<_> = self.site.zones.iter().collect();
        let flow = |run: &PlannedRun| {
            let zone_idx = zones.binary_search_by_key(&&run.zone, |(id, _)| id).ok()?;
            let line = match zones.get(zone_idx)?.1.group {
                Group::Sequential(number) => usize::from(number),
                Group::Parallel => usize::from(u8::MAX) + 1 + zone_idx,
            };
            Some(Flow { line, zone_idx, from: run.from, run_ms: run.run_ms() })
        };
        let flows: Vec<Flow> = runs.runs.iter().filter_map(flow).collect();
        self.site.pipes.lead(&flows, &|flow, at| {
            let (Some(bars), Some((_, facts))) = (bars, zones.get(flow.zone_idx)) else {
                return Some((at, flow.run_ms));
            };
            let before = bars.opens_before.min(at.plus_ms(CLOSED_MS_MAX));
            let fitted = self.site.fit(bars.windows, bars.crossing, facts, at, flow.run_ms, before).ok()?;
            Some((fitted.from, fitted.run_ms))
        })
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
        let period_ms = *found.period_ms.get_or_insert_with(|| self.hours_period_ms());
        let key = (level, finish_at.0.rem_euclid(period_ms));
        let lead = || {
            if self.has_hours() {
                finish_at.since_ms(self.start_within_hours(finish_at, day, span_ms))
            } else {
                span_ms.max(self.led_ms(day)).min(FINISH_SPAN_MS_MAX)
            }
        };
        finish_at.minus_ms(*found.leads.entry(key).or_insert_with(lead))
    }

    /// Why a start cannot take place at all: the program has become longer than the day before its anchor.
    pub(super) fn too_long(self, start: &Start) -> Option<Reason> {
        let span_ms = start.finish_at.map_or(0, |_| self.span_ms(start.day));
        (span_ms > FINISH_SPAN_MS_MAX).then_some(Reason::FinishTooLong { needed_s: span_ms / 1000 })
    }

    /// After how long the hours of program, zones and sources are the same again, ms: a day or a week; where there are none they always
    /// are.
    fn hours_period_ms(self) -> i64 {
        if !self.has_hours() {
            return 1;
        }
        let zones = self.program.sequence.steps.iter().filter_map(|step| self.site.zones.get(&step.zone));
        let of_zones = zones.flat_map(|zone| [Some(&zone.windows), self.site.sources.get(&zone.source)]);
        let mut all = of_zones.flatten().chain([&self.program.windows]);
        if all.all(Windows::are_daily) { DAY_MS } else { 7 * DAY_MS }
    }

    /// Whether hours of program, zones or sources can be in the way.
    pub(super) fn has_hours(self) -> bool {
        let mut zones = self.program.sequence.steps.iter().filter_map(|step| self.site.zones.get(&step.zone));
        !self.program.windows.are_always() || zones.any(|zone| self.site.has_hours(zone))
    }

    /// The latest start from which all is given by `finish_at`; when there is none, the one from which most is.
    ///
    /// As a start is put earlier, its runs move along until one ends where its hours close, or begins where they open, or the
    /// last is over in time: only there can it begin to fit. So the search goes from one such moment to the one before it; after
    /// half of its tries evenly through what is left.
    fn start_within_hours(self, finish_at: UnixMs, day: Date, span_ms: u64) -> UnixMs {
        let earliest = self.opened_before(finish_at);
        let wanted_ms = (0..self.n_orders()).map(|n_runs| self.plain(day, n_runs).run_ms()).collect();
        let marks = self.marks(earliest, finish_at);
        let zones = self.site.zones.keys().collect();
        let search = Search { calendar: self, finish_at, day, wanted_ms, zones, marks };
        let mut at = finish_at.minus_ms(span_ms).max(earliest);
        let mut tried = search.tried(at);
        let (mut least_ms, mut begins_at, mut late_at) = (tried.missing_ms, tried.begins_at, None);
        for n_left in (1..TRIES_MAX).rev() {
            if least_ms == 0 || at <= earliest {
                break;
            }
            let is_even = n_left < TRIES_MAX / 2;
            let left_ms = at.since_ms(earliest);
            let step_ms =
                if is_even { left_ms / n_left } else { search.next_ms(at, &tried).unwrap_or(left_ms) };
            late_at = is_even.then_some(at);
            at = at.minus_ms(step_ms.max(1)).max(earliest);
            tried = search.tried(at);
            if tried.missing_ms < least_ms {
                (least_ms, begins_at) = (tried.missing_ms, tried.begins_at);
            }
        }
        // An even step may have passed the latest.
        if let Some(mut late_at) = late_at.filter(|_| least_ms == 0) {
            while late_at.since_ms(at) > 1000 {
                let middle = at.plus_ms(late_at.since_ms(at) / 2);
                let tried = search.tried(middle);
                if tried.missing_ms == 0 {
                    (at, begins_at) = (middle, tried.begins_at);
                } else {
                    late_at = middle;
                }
            }
        }
        begins_at
    }

    /// Where hours of the program's zones open or close that a start may meet.
    fn marks(self, earliest: UnixMs, finish_at: UnixMs) -> BTreeMap<&'a ZoneId, Vec<Mark>> {
        let (windows, until) = (&self.program.windows, finish_at.plus_ms(FINISH_SPAN_MS_MAX));
        let steps = self.program.sequence.steps.iter();
        let zones = steps.filter_map(|step| Some((&step.zone, self.site.zones.get(&step.zone)?)));
        let marks = zones.map(|(zone, facts)| {
            let edges = self.site.edges(windows, facts, earliest.minus_ms(1), until).into_iter();
            let mark = |at| Mark { at, closes: self.site.bar(windows, facts, at).is_some() };
            (zone, edges.map(mark).collect())
        });
        marks.collect()
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
