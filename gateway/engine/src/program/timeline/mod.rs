//! The runs of one start: which valve would be open from when to when, and what is left out.
//!
//! Without hydraulics: a timeline is what the program wishes. Whoever knows pipes and pumps may put its runs later, and
//! keeps `PlannedRun::run_ms`.
//!
//! How runs are placed. Each group of zones has a line of its own, a parallel zone one for itself. Within a line steps are
//! taken in order, a run after the run before it has ended plus the delay (a negative delay lets it begin earlier, never
//! before the other's beginning). While a zone rests, its line waits; while a zone with cycles soaks, its line goes on with
//! what is ready: first with steps that have had no water, then with further portions. A round begins when every line of
//! the round before is through.
//!
//! Where hours close, a run ends, or is moved or left out as its program has it. A run whose turn comes while its hours are
//! closed waits for the next ones: the first as long as its start has time ([`Bars::opens_before`]), so that no start is lost
//! that has any hours, others for [`CLOSED_MS_MAX`]. Zones whose hours are open go on meanwhile. A line that has waited makes
//! room for the program's next start ([`Bars::ends_by`]).
//!
//! Invariants: runs of one zone never touch; a step gets what was asked for at the start's scale, within its zone's limits,
//! or a reason; no more than [`RUNS_MAX`] runs.

use std::collections::{BTreeMap, BTreeSet};

use giot_shared::time::UnixMs;

use super::amount::Target;
use super::control::{FarmState, Level};
use super::refill::{Lacks, refill};
use super::sequence::{Sequence, Step};
use super::site::{Group, Site, ZoneFacts};
use super::windows::{CLOSED_MS_MAX, Crossing, Fitted, Windows, run_cut};
use crate::ids::ZoneId;
use crate::reason::Reason;

/// Most runs of one start: a day of one-minute runs.
pub const RUNS_MAX: usize = 1440;

/// A program that is over so little later than it is to be is told nothing of it: valves and pumps take as long.
const FINISH_LATE_MS_MIN: u64 = 60_000;

/// What a timeline depends on besides the sequence.
#[derive(Clone, Copy, Debug)]
pub struct Conditions<'a> {
    /// The farm.
    pub site: &'a Site,
    /// How much each zone needs water; a zone that is missing needs none.
    pub needs: &'a BTreeMap<ZoneId, u32>,
    /// What each zone's soil lacks; `None`: nobody asks, so that a refill counts as the zone's longest run.
    pub lacks: Option<&'a Lacks>,
    /// How amounts are scaled.
    pub scale: Scale,
    /// How often the program has run before: decides an alternating order.
    pub n_runs: u64,
    /// What may be in the way; `None`: a person wants it now, so that neither hours nor pauses are looked at.
    pub bars: Option<Bars<'a>>,
}

/// What may be in the way of a run, apart from safety, which is not a program's matter.
#[derive(Clone, Copy, Debug)]
pub struct Bars<'a> {
    /// The program's hours; those of zone and source count too.
    pub windows: &'a Windows,
    /// What becomes of a run that meets closed hours.
    pub crossing: Crossing,
    /// Pauses of zones.
    pub farm: &'a FarmState,
    /// No run waits for hours that open later: till the program is to be finished, till its next start, or for a day.
    pub opens_before: UnixMs,
    /// What has waited is over by then: at the program's next start, or after a day.
    pub ends_by: UnixMs,
}

/// How the amounts of a sequence are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Each step by the same share.
    Level(Level),
    /// All runs together last so long, ms, shared out in the proportion of the steps; limits come after.
    TotalMs(u64),
}

/// The runs of one start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// The runs, by their beginning.
    pub runs: Vec<PlannedRun>,
    /// What is left out; the same once only.
    pub skips: Vec<SkippedRun>,
    /// When each portion could begin if no hours were closed, in the order in which they were placed or left out.
    pub(super) turns: Vec<Ready>,
}

/// A portion whose turn has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) zone: ZoneId,
    pub(super) at: UnixMs,
    pub(super) run_ms: u64,
}

/// One opening of a valve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRun {
    /// The zone.
    pub zone: ZoneId,
    /// Its step in the list of the sequence, from 0.
    pub step_idx: usize,
    /// When it begins.
    pub from: UnixMs,
    /// When it ends.
    pub until: UnixMs,
    /// Which portion of the step's run it is, from 1.
    pub cycle: u32,
    /// How many portions there are.
    pub n_cycles: u32,
    /// What it is to give, ml, whatever hours make of its time; `None`: what was asked for is a time.
    pub volume_ml: Option<u64>,
    /// What was counted or changed: a refill, limits, hours.
    pub notes: Vec<Reason>,
    /// What it gives less than was wanted, because of its zone's longest run or of hours, ms.
    pub short_ms: u64,
}

/// A run that does not take place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedRun {
    /// The zone.
    pub zone: ZoneId,
    /// Its step in the list of the sequence, from 0.
    pub step_idx: usize,
    /// Why.
    pub reason: Reason,
    /// What was wanted and finds no room, ms; 0 where nothing was to be given.
    pub short_ms: u64,
}

/// One turn of a step.
#[derive(Debug)]
struct Turn<'a> {
    step_idx: usize,
    step: &'a Step,
    facts: &'a ZoneFacts,
    round: u8,
    run_ms: u64,
    /// What its zone's longest run keeps from it, ms.
    limited_ms: u64,
    notes: Vec<Reason>,
}

/// A step that can get water.
struct Wanted<'a> {
    step_idx: usize,
    step: &'a Step,
    facts: &'a ZoneFacts,
    base_ms: u64,
    notes: Vec<Reason>,
}

/// A turn on its way through a line.
#[derive(Debug)]
struct Job<'a, 'b> {
    turn: &'b Turn<'a>,
    n_cycles: u32,
    n_done: u32,
}

/// A portion where it has room.
#[derive(Debug)]
struct Placed {
    from: UnixMs,
    run_ms: u64,
    /// What hours did to it.
    notes: Vec<Reason>,
}

/// What goes on next in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Next {
    /// When it can begin.
    at: UnixMs,
    n_done: u32,
    job_idx: usize,
    /// When it could if no hours were closed.
    ready_at: UnixMs,
}

/// What hours have done to a line.
#[derive(Clone, Copy, Debug, Default)]
struct Hours {
    has_waited: bool,
    /// Hours that close then have cost a run that had to lie within as a whole; those after it wait for the next hours.
    left_out_at: Option<UnixMs>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    Group(u8),
    Alone(usize),
}

struct Planner<'a> {
    sequence: &'a Sequence,
    conditions: &'a Conditions<'a>,
    /// When each zone has rested and soaked.
    rested_at: BTreeMap<&'a ZoneId, UnixMs>,
    out: Timeline,
}

/// The runs of a sequence that starts at `start`.
#[must_use]
pub fn timeline(sequence: &Sequence, conditions: &Conditions<'_>, start: UnixMs) -> Timeline {
    let mut planner = Planner { sequence, conditions, rested_at: BTreeMap::new(), out: Timeline::default() };
    let turns = planner.turns(start);
    let mut begin = start;
    for round in turns.chunk_by(|a, b| a.round == b.round) {
        begin = planner.round(round, begin);
    }
    planner.out.runs.sort_by_key(|run| run.from);
    planner.out
}

impl PlannedRun {
    /// How long it lasts, ms.
    #[must_use]
    pub fn run_ms(&self) -> u64 {
        self.until.since_ms(self.from)
    }

    /// Notes by how much it ends after its program is to be finished.
    pub(crate) fn note_finish(&mut self, finish_at: Option<UnixMs>) {
        self.notes.retain(|note| !matches!(note, Reason::FinishLate { .. }));
        let late_ms = finish_at.map_or(0, |finish_at| self.until.since_ms(finish_at));
        if late_ms >= FINISH_LATE_MS_MIN {
            self.notes.push(Reason::FinishLate { late_s: late_ms / 1000 });
        }
    }
}

impl Timeline {
    /// When the last run ends, `None` without runs.
    #[must_use]
    pub fn until(&self) -> Option<UnixMs> {
        self.runs.iter().map(|run| run.until).max()
    }

    /// All runs together, ms.
    #[must_use]
    pub fn run_ms(&self) -> u64 {
        self.runs.iter().map(PlannedRun::run_ms).sum()
    }

    fn skip(&mut self, step_idx: usize, step: &Step, reason: Reason, short_ms: u64) {
        let told = self.skips.iter_mut().find(|skip| skip.step_idx == step_idx && skip.reason == reason);
        match told {
            Some(skip) => skip.short_ms = skip.short_ms.saturating_add(short_ms),
            None => self.skips.push(SkippedRun { zone: step.zone.clone(), step_idx, reason, short_ms }),
        }
    }
}

impl<'a> Planner<'a> {
    /// Every turn of every step that gets water, round by round, in order.
    fn turns(&mut self, start: UnixMs) -> Vec<Turn<'a>> {
        let wanted = self.wanted(start);
        let mut turns = Vec::new();
        let in_order =
            (0..self.sequence.rounds).flat_map(|round| wanted.iter().map(move |step| (round, step)));
        for (round, Wanted { step_idx, step, facts, base_ms, notes }) in in_order {
            for _ in 0..step.repeats {
                if turns.len() >= RUNS_MAX {
                    self.out.skip(*step_idx, step, too_many(), *base_ms);
                    break;
                }
                let notes = notes.clone();
                turns.push(Turn {
                    step_idx: *step_idx,
                    step,
                    facts,
                    round,
                    run_ms: *base_ms,
                    limited_ms: 0,
                    notes,
                });
            }
        }
        self.scale(&mut turns);
        turns.retain_mut(|turn| match turn.facts.limits.apply(turn.run_ms) {
            Ok((run_ms, note)) => {
                turn.limited_ms = turn.run_ms.saturating_sub(run_ms);
                turn.run_ms = run_ms;
                turn.notes.extend(note);
                true
            }
            Err(reason) => {
                self.out.skip(turn.step_idx, turn.step, reason, 0);
                false
            }
        });
        turns
    }

    /// The steps that can get water, in order, with their unscaled run times.
    fn wanted(&mut self, start: UnixMs) -> Vec<Wanted<'a>> {
        let mut wanted = Vec::new();
        let steps = self.sequence.in_order(self.conditions.needs, self.conditions.n_runs);
        for (step_idx, step) in steps {
            let found = match self.conditions.site.zones.get(&step.zone) {
                _ if !step.is_enabled => Err(Reason::StepDisabled {}),
                None => Err(Reason::UnknownZone { zone: step.zone.clone() }),
                Some(facts) => {
                    let amount = self.amount(step, facts, start);
                    amount.map(|(base_ms, notes)| Wanted { step_idx, step, facts, base_ms, notes })
                }
            };
            match found {
                Ok(step) => wanted.push(step),
                Err(reason) => self.out.skip(step_idx, step, reason, 0),
            }
        }
        wanted
    }

    /// How long a step's run is before it is scaled, ms, and what people should know of that.
    fn amount(&self, step: &Step, facts: &ZoneFacts, start: UnixMs) -> Result<(u64, Vec<Reason>), Reason> {
        if let (Target::Refill { from_depleted }, Some(lacks)) = (step.target, self.conditions.lacks) {
            return refill(from_depleted, lacks.get(&step.zone), facts, start);
        }
        let base_ms = step.target.run_ms(facts);
        base_ms
            .map(|base_ms| (base_ms, Vec::new()))
            .map_err(|error| Reason::InvalidPlan { problem: error.code().to_owned() })
    }

    fn scale(&self, turns: &mut [Turn<'_>]) {
        match self.conditions.scale {
            Scale::Level(level) => turns.iter_mut().for_each(|turn| turn.run_ms = level.of(turn.run_ms)),
            Scale::TotalMs(total_ms) => share_out(total_ms, turns),
        }
    }

    /// Places the turns of a round; when the next round may begin.
    fn round(&mut self, turns: &[Turn<'a>], begin: UnixMs) -> UnixMs {
        let mut lines: BTreeMap<Line, Vec<Job<'a, '_>>> = BTreeMap::new();
        for (nth, turn) in turns.iter().enumerate() {
            let line = match turn.facts.group {
                Group::Sequential(number) => Line::Group(number),
                Group::Parallel => Line::Alone(nth),
            };
            let n_cycles = turn.facts.n_cycles(turn.run_ms);
            lines.entry(line).or_default().push(Job { turn, n_cycles, n_done: 0 });
        }
        lines.into_values().map(|jobs| self.line(jobs, begin)).max().unwrap_or(begin)
    }

    /// Places the jobs of a line; when it is through, its last delay included.
    fn line(&mut self, mut jobs: Vec<Job<'a, '_>>, begin: UnixMs) -> UnixMs {
        let (mut cursor, mut busy_until) = (begin, begin);
        let mut hours = Hours::default();
        while let Some(next) = self.next_of(&jobs, cursor) {
            let Some(job) = jobs.get_mut(next.job_idx) else { break };
            let turn = job.turn;
            let run_ms = job.take_cycle();
            let wanted_ms = run_ms.saturating_add(job.limited_ms());
            if self.out.runs.len() >= RUNS_MAX {
                self.out.skip(turn.step_idx, turn.step, too_many(), wanted_ms);
                continue;
            }
            let ready = Ready { zone: turn.step.zone.clone(), at: next.ready_at, run_ms };
            self.out.turns.push(ready);
            let placed = match self.fit(turn, next, run_ms, &mut hours) {
                Ok(placed) => placed,
                Err(reason) => {
                    // A person's pause is no want of room.
                    let is_paused = matches!(reason, Reason::Suspended { .. });
                    self.out.skip(turn.step_idx, turn.step, reason, if is_paused { 0 } else { wanted_ms });
                    continue;
                }
            };
            let until = placed.from.plus_ms(placed.run_ms);
            self.rested_at.insert(&turn.step.zone, until.plus_ms(job.rest_ms()));
            let own_delay_s = if job.n_done == job.n_cycles { turn.step.delay_s } else { 0 };
            let delay_ms = (i64::from(self.sequence.delay_s) + i64::from(own_delay_s)) * 1000;
            busy_until = busy_until.max(until);
            cursor = placed.from.max(UnixMs(busy_until.0.saturating_add(delay_ms)));
            self.out.runs.push(job.run(placed, until, run_ms));
        }
        cursor
    }

    /// The job that can go on first, and when.
    fn next_of(&self, jobs: &[Job<'_, '_>], cursor: UnixMs) -> Option<Next> {
        let mut zones = BTreeSet::new();
        let mut first: Option<Next> = None;
        for (job_idx, job) in jobs.iter().enumerate().filter(|(_, job)| job.n_done < job.n_cycles) {
            let (zone, facts) = (&job.turn.step.zone, job.turn.facts);
            // A zone's turns do not mix.
            if !zones.insert(zone) {
                continue;
            }
            let rested_at = self.rested_at.get(zone).copied().unwrap_or(cursor);
            let ready_at = cursor.max(rested_at);
            let at = self.opens_at(facts, ready_at);
            let candidate = Next { at, n_done: job.n_done, job_idx, ready_at };
            first = Some(first.map_or(candidate, |first| first.min(candidate)));
            let soaks = facts.cycle.is_some() && rested_at > cursor;
            if job.n_done == 0 && !soaks && at == ready_at {
                break;
            }
        }
        first
    }

    /// When a zone's hours are open that is ready at a moment; that moment itself where no hours open in time.
    fn opens_at(&self, facts: &ZoneFacts, ready_at: UnixMs) -> UnixMs {
        let bars = self.conditions.bars.filter(|bars| bars.crossing != Crossing::Move);
        let opens_at = bars.and_then(|bars| {
            let before = self.waits_until(&bars, ready_at);
            self.conditions.site.opens_at(bars.windows, facts, ready_at, before)
        });
        opens_at.unwrap_or(ready_at)
    }

    /// Before when hours must open that are waited for from a moment on.
    fn waits_until(&self, bars: &Bars<'_>, from: UnixMs) -> UnixMs {
        let is_first = self.out.runs.is_empty();
        if is_first { bars.opens_before } else { bars.opens_before.min(from.plus_ms(CLOSED_MS_MAX)) }
    }

    /// Fits a portion into the hours; what is cut below the zone's threshold is not worth opening the valve.
    fn fit(&self, turn: &Turn<'_>, next: Next, run_ms: u64, hours: &mut Hours) -> Result<Placed, Reason> {
        let Next { at, ready_at, .. } = next;
        let Some(bars) = self.conditions.bars else {
            return Ok(Placed { from: at, run_ms, notes: Vec::new() });
        };
        let mut fitted = self.fit_hours(&bars, turn.facts, at, run_ms, hours)?;
        let least_ms = turn.facts.limits.skip_below_ms.max(1);
        hours.has_waited |= fitted.from > ready_at;
        let room_ms = bars.ends_by.since_ms(fitted.from);
        if hours.has_waited && fitted.run_ms > room_ms {
            let wanted_s = run_ms / 1000;
            if room_ms < least_ms || bars.crossing != Crossing::Cut {
                return Err(Reason::WindowTooShort { wanted_s });
            }
            fitted.run_ms = room_ms;
            fitted.note = run_cut(run_ms, room_ms);
        }
        // Whole seconds are given.
        if fitted.run_ms.div_ceil(1000) < run_ms.min(least_ms).div_ceil(1000) {
            let (wanted_s, least_s) = (fitted.run_ms / 1000, least_ms / 1000);
            return Err(Reason::BelowThreshold { wanted_s, least_s });
        }
        if let Some(reason) = bars.farm.zone_bar(&turn.step.zone, fitted.from, turn.facts.ignores_rain_delay)
        {
            return Err(reason);
        }
        let late_s = fitted.from.since_ms(ready_at) / 1000;
        let moved = (late_s > 0 && bars.crossing != Crossing::Move).then_some(Reason::RunMoved { late_s });
        let notes = moved.into_iter().chain(fitted.note).collect();
        Ok(Placed { from: fitted.from, run_ms: fitted.run_ms, notes })
    }

    /// Fits a portion into the hours alone. Where a run must lie within as a whole, the end of hours costs one run, and those
    /// after it wait.
    fn fit_hours(
        &self,
        bars: &Bars<'_>,
        facts: &ZoneFacts,
        at: UnixMs,
        run_ms: u64,
        hours: &mut Hours,
    ) -> Result<Fitted, Reason> {
        let (site, before) = (self.conditions.site, self.waits_until(bars, at));
        let fit = |at| site.fit(bars.windows, bars.crossing, facts, at, run_ms, before);
        let mut fitted = fit(at);
        if bars.crossing == Crossing::Skip && fitted.is_err() && site.bar(bars.windows, facts, at).is_none() {
            let closes_at = site.closes_at(bars.windows, facts, at, run_ms);
            if hours.left_out_at.replace(closes_at) == Some(closes_at)
                && let Some(opens_at) = site.opens_at(bars.windows, facts, closes_at, before)
            {
                fitted = fit(opens_at);
            }
        }
        fitted
    }
}

impl Job<'_, '_> {
    /// Length of the next portion: all are equal to the millisecond, and together they are the whole.
    fn take_cycle(&mut self) -> u64 {
        let upto_ms =
            |nth: u32| u128::from(self.turn.run_ms) * u128::from(nth) / u128::from(self.n_cycles.max(1));
        let cycle_ms = upto_ms(self.n_done + 1) - upto_ms(self.n_done);
        self.n_done += 1;
        u64::try_from(cycle_ms).unwrap_or(u64::MAX)
    }

    /// Shortest time from the end of the portion that was taken last to the zone's next opening, ms.
    fn rest_ms(&self) -> u64 {
        let next = if self.n_done < self.n_cycles { self.n_done + 1 } else { 1 };
        self.turn.facts.rest_before_ms(next)
    }

    /// What the limits of its zone keep from the portion that was taken last, ms: the first bears it all.
    fn limited_ms(&self) -> u64 {
        if self.n_done == 1 { self.turn.limited_ms } else { 0 }
    }

    /// What a portion of that length is to give, ml; `None`: its step asks for a time.
    fn volume_ml(&self, cycle_ms: u64) -> Option<u64> {
        let is_by_time = matches!(self.turn.step.target, Target::Time { .. });
        if is_by_time { None } else { self.turn.facts.volume_ml(cycle_ms) }
    }

    /// The portion that was taken last, as it fits.
    fn run(&self, placed: Placed, until: UnixMs, cycle_ms: u64) -> PlannedRun {
        let of_amount = self.turn.notes.iter().filter(|_| self.n_done == 1).cloned();
        PlannedRun {
            zone: self.turn.step.zone.clone(),
            step_idx: self.turn.step_idx,
            from: placed.from,
            until,
            cycle: self.n_done,
            n_cycles: self.n_cycles,
            volume_ml: self.volume_ml(cycle_ms),
            notes: of_amount.chain(placed.notes).collect(),
            short_ms: cycle_ms.saturating_sub(placed.run_ms).saturating_add(self.limited_ms()),
        }
    }
}

/// Gives each turn its share of a total, in the proportion of their run times; the shares add up to the total.
fn share_out(total_ms: u64, turns: &mut [Turn<'_>]) {
    let sum_ms: u128 = turns.iter().map(|turn| u128::from(turn.run_ms)).sum();
    let (mut before_ms, mut given_ms) = (0_u128, 0_u128);
    for turn in turns {
        before_ms += u128::from(turn.run_ms);
        let upto_ms = (before_ms * u128::from(total_ms)).checked_div(sum_ms).unwrap_or(0);
        turn.run_ms = u64::try_from(upto_ms - given_ms).unwrap_or(u64::MAX);
        given_ms = upto_ms;
    }
}

fn too_many() -> Reason {
    Reason::InvalidPlan { problem: "too_many_runs".to_owned() }
}

#[cfg(test)]
mod tests;
