//! The starts of one program: all of a range of time, and the one that is due.
//!
//! [`Calendar::starts`] is a function of the day alone: wherever a range is cut, each start appears once, and starts only
//! rise. A start with a finish-by anchor lies by the length of the program before the anchor, at the scale of the anchor's
//! day; where it would lie in the past, [`Calendar::due`] leaves it to the next day and says so.
//!
//! Clocks jump. What was missed while the gateway was away, or leapt over, is skipped with a reason; only the newest start
//! is made up for, and only within the program's catch-up time. After a step back, what was decided is not decided again,
//! and what was only leapt over gets its turn; after a step of more than [`STEP_BACK_MS_MAX`] the time before was another
//! day's, and is forgotten.

mod finish;

use giot_shared::time::UnixMs;

use self::finish::Leads;
use super::Program;
use super::civil::Date;
use super::control::{Control, FarmState, Level};
use super::refill::Lacks;
use super::site::Site;
use super::start::{Anchor, Cause, Start};
use super::timeline::{Bars, Conditions, Scale, Timeline, timeline};
use super::windows::Crossing;
use crate::plan::DAY_MS;
use crate::reason::Reason;

/// How far ahead starts are looked for, days: the next 29 February may be eight years away.
pub const LOOK_AHEAD_DAYS: i32 = 8 * 366;

/// How far back missed starts are told one by one, days.
pub const MISSED_DAYS_MAX: u16 = 7;

/// Longest time in which a missed start is made up for, minutes: a day.
pub const CATCH_UP_MIN_MAX: u16 = 24 * 60;

/// A clock set back by half a day at most (it ran on local time, say) comes to the same starts again; one that is set back
/// further comes to those of another day.
const STEP_BACK_MS_MAX: u64 = 12 * 3600 * 1000;

/// Longest program with a finish-by anchor, ms: a day, or two days' programs would overlap.
pub(super) const FINISH_SPAN_MS_MAX: u64 = DAY_MS.unsigned_abs();

/// How many days a start may lie from the day that it belongs to: 30 hours before its midnight (a finish by an offset
/// before midnight) to 54 hours after (an offset and repetitions).
const REACH_DAYS: i32 = 2;

/// A program with everything that its starts depend on.
#[derive(Clone, Copy, Debug)]
pub struct Calendar<'a> {
    /// The program.
    pub program: &'a Program,
    /// Its settings and memory.
    pub control: &'a Control,
    /// The farm.
    pub site: &'a Site,
    /// What holds for the whole farm.
    pub farm: &'a FarmState,
}

/// What is due at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The start that takes place.
    pub start: Option<Start>,
    /// The starts that do not, in their order.
    pub skipped: Vec<SkippedStart>,
    /// The program's memory afterwards; the caller keeps it and adds `busy_until`.
    pub control: Control,
}

/// A start that does not take place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedStart {
    /// The start.
    pub start: Start,
    /// Why.
    pub reason: Reason,
}

impl<'a> Calendar<'a> {
    /// The starts from `from` (included) to `to` (excluded), strictly rising; looks ahead [`LOOK_AHEAD_DAYS`] at most.
    ///
    /// Pauses and skips are not looked at: those are [`Self::due`]'s.
    pub fn starts(self, from: UnixMs, to: UnixMs) -> impl Iterator<Item = Start> + use<'a> {
        let offset_min = self.site.utc_offset_min;
        let first = Date::of(from, offset_min);
        let last = Date::of(to, offset_min).min(first.plus_days(LOOK_AHEAD_DAYS));
        let mut leads = Leads::default();
        let starts = first.through(last).flat_map(move |date| self.starts_on(date, &mut leads));
        starts.filter(move |start| (from..to).contains(&start.at))
    }

    /// The first start at or after a moment whose anchor was not dealt with before.
    #[must_use]
    pub fn next_start(self, from: UnixMs) -> Option<Start> {
        self.starts(from, UnixMs(i64::MAX)).find(|start| !self.control.is_finished(start))
    }

    /// Decides what happens at `now`; to be asked at every start, and as often as one likes in between.
    #[must_use]
    pub fn due(self, now: UnixMs) -> Due {
        let mut control = self.control.clone();
        control.rewind(now);
        let since = control.handled_until.unwrap_or(now);
        let missed_ms = u64::from(MISSED_DAYS_MAX) * DAY_MS.unsigned_abs();
        let look_from = since.max(now.minus_ms(missed_ms));
        let handled_until = now.plus_ms(1).max(since);

        let mut skipped = self.too_near(&control, look_from);
        let in_range = self.starts(look_from, handled_until);
        let mut missed: Vec<Start> = in_range.filter(|start| !control.is_finished(start)).collect();
        let catch_up_ms = self.program.catch_up_ms();
        let newest = missed.pop_if(|start| now.since_ms(start.at) <= catch_up_ms);
        // An anchor that lies ahead is given up for good with its start; others are behind all that is looked at.
        let finished = missed.iter().filter_map(|start| start.finish_at).filter(|finish_at| *finish_at > now);
        control.finished_until = control.finished_until.max(finished.max());
        let near_until = control.near_until;
        let is_told = |start: &Start| start.finish_at.is_some_and(|finish_at| Some(finish_at) <= near_until);
        missed.retain(|start| !is_told(start));
        skipped.extend(missed.into_iter().map(|start| {
            let late_s = now.since_ms(start.at) / 1000;
            SkippedStart { start, reason: Reason::MissedStart { late_s, catch_up_s: catch_up_ms / 1000 } }
        }));
        // That the program is too long for it is told once; whoever makes it shorter again in time has it started.
        let is_near = |skip: &&SkippedStart| skip.start.at < look_from;
        let ahead = skipped.iter().filter(is_near).filter_map(|skip| skip.start.finish_at);
        control.near_until = control.near_until.max(ahead.filter(|finish_at| *finish_at > now).max());

        let mut taken = None;
        if let Some(start) = newest {
            match self.take(&mut control, &start, now) {
                Ok(()) => taken = Some(start),
                Err(Reason::FinishTooLong { .. }) if is_told(&start) => {}
                Err(reason) => skipped.push(SkippedStart { start, reason }),
            }
        }
        control.handled_until = Some(handled_until);
        Due { start: taken, skipped, control }
    }

    /// Decides about a start at its moment, `Err` with the reason why it is left out; `control` remembers what follows.
    pub(super) fn take(self, control: &mut Control, start: &Start, at: UnixMs) -> Result<(), Reason> {
        if let Some(reason) = self.too_long(start) {
            control.pass(start);
            return Err(reason);
        }
        control.take(start, at, self.farm, self.heeds_rain_delay())
    }

    /// Whether every zone of the program does.
    fn heeds_rain_delay(self) -> bool {
        let mut steps = self.program.sequence.steps.iter();
        !steps.any(|step| self.site.zones.get(&step.zone).is_some_and(|zone| zone.ignores_rain_delay))
    }

    /// The runs of a start that begins at `begin`, with the settings of this moment; `self.control` is the one from before
    /// the start.
    #[must_use]
    pub fn timeline(self, start: &Start, begin: UnixMs) -> Timeline {
        let (bars, lacks) = (Some(self.bars(start, begin)), Some(&self.farm.lacks));
        let conditions = self.conditions(start.day, self.control.n_runs, bars, lacks);
        let mut runs = timeline(&self.program.sequence, &conditions, begin);
        runs.runs.iter_mut().for_each(|run| run.note_finish(start.finish_at));
        runs
    }

    /// The runs of a start that a person wants at once: neither hours nor pauses are looked at.
    #[must_use]
    pub fn timeline_by_hand(self, start: &Start, begin: UnixMs) -> Timeline {
        let conditions = self.conditions(start.day, self.control.n_runs, None, Some(&self.farm.lacks));
        timeline(&self.program.sequence, &conditions, begin)
    }

    /// What may be in the way of the runs of a start.
    fn bars(self, start: &Start, begin: UnixMs) -> Bars<'a> {
        let a_day_later = begin.plus_ms(DAY_MS.unsigned_abs());
        // Without hours nothing waits for them.
        // What is moved may begin a day later, and must not meet the next start either.
        let is_moved = self.program.crossing == Crossing::Move;
        let at_last = if is_moved { a_day_later.plus_ms(DAY_MS.unsigned_abs()) } else { a_day_later };
        let next = || self.starts(start.at.max(begin).plus_ms(1), at_last).next().map(|next| next.at);
        let ends_by = self.has_hours().then(next).flatten().unwrap_or(at_last);
        Bars {
            windows: &self.program.windows,
            crossing: self.program.crossing,
            farm: self.farm,
            opens_before: start.finish_at.map_or(ends_by, |finish_at| finish_at.min(ends_by)),
            ends_by,
        }
    }

    fn conditions(
        self,
        day: Date,
        n_runs: u64,
        bars: Option<Bars<'a>>,
        lacks: Option<&'a Lacks>,
    ) -> Conditions<'a> {
        let level = self.level(day);
        let total = self.program.total_ms.map(|total_ms| Scale::TotalMs(level.of(total_ms)));
        let scale = total.unwrap_or(Scale::Level(level));
        Conditions { site: self.site, needs: &self.farm.needs, lacks, scale, n_runs, bars }
    }

    pub(super) fn level(self, day: Date) -> Level {
        Level::new(self.program.season.percent(day), self.control.adjust)
    }

    /// The starts that fall on a civil day, whichever day they belong to. Of several at one moment one with an anchor
    /// counts, because anchors are remembered; else the earliest day's first rule.
    fn starts_on(self, date: Date, leads: &mut Leads) -> Vec<Start> {
        let offset_min = self.site.utc_offset_min;
        let (from, to) =
            (date.begins_at(offset_min), date.begins_at(offset_min).plus_ms(DAY_MS.unsigned_abs()));
        let days = date.plus_days(-REACH_DAYS).through(date.plus_days(REACH_DAYS));
        let mut starts: Vec<Start> = days
            .filter(|day| self.program.days.contains(*day))
            .flat_map(|day| self.starts_of(day, leads))
            .filter(|start| (from..to).contains(&start.at))
            .collect();
        starts.sort_by_key(|start| (start.at, start.finish_at.is_none(), start.day, start.cause));
        starts.dedup_by_key(|start| start.at);
        starts
    }

    /// The starts that belong to a day, in the order of the rules.
    fn starts_of(self, day: Date, leads: &mut Leads) -> Vec<Start> {
        let mut starts = Vec::new();
        for (rule_idx, rule) in self.program.starts.iter().enumerate() {
            for (nth, moment) in rule.moments(day, self.site) {
                let cause = Cause::Rule { rule_idx, nth };
                let finish_at = (rule.anchor == Anchor::Finish).then_some(moment);
                let at = finish_at.map_or(moment, |finish_at| self.start_before(finish_at, day, leads));
                starts.push(Start { at, day, cause, finish_at });
            }
        }
        starts
    }

    /// The starts before `look_from` whose anchors lie after it and were neither dealt with nor told of: the program is new, or has become
    /// longer, and cannot be over in time.
    fn too_near(self, control: &Control, look_from: UnixMs) -> Vec<SkippedStart> {
        if self.program.starts.iter().all(|rule| rule.anchor == Anchor::Start) {
            return Vec::new();
        }
        let before = self.starts(look_from.minus_ms(FINISH_SPAN_MS_MAX), look_from);
        let near = before.filter(|start| !control.is_finished(start)).filter_map(|start| {
            let finish_at = start.finish_at.filter(|finish_at| *finish_at > look_from)?;
            if Some(finish_at) <= control.near_until {
                return None;
            }
            let needed_s = finish_at.since_ms(start.at) / 1000;
            let left_s = finish_at.since_ms(look_from) / 1000;
            let reason = self.too_long(&start).unwrap_or(Reason::FinishTooNear { needed_s, left_s });
            Some(SkippedStart { start, reason })
        });
        near.collect()
    }
}

impl Control {
    /// Goes back with a clock that was set back.
    fn rewind(&mut self, now: UnixMs) {
        if self.handled_until.is_none_or(|handled_until| handled_until <= now.plus_ms(1)) {
            return;
        }
        let believable = now.plus_ms(STEP_BACK_MS_MAX);
        self.decided_until = self.decided_until.filter(|decided_until| *decided_until <= believable);
        if self.decided_until.is_none() {
            self.busy_until = None;
        }
        let anchor_max = believable.plus_ms(FINISH_SPAN_MS_MAX);
        self.finished_until = self.finished_until.filter(|finished_until| *finished_until <= anchor_max);
        self.near_until = self.near_until.filter(|near_until| *near_until <= anchor_max);
        self.handled_until = Some(self.decided_until.map_or(now, |decided_until| decided_until.max(now)));
    }
}

#[cfg(test)]
mod tests;
