//! The programs at work: which start is due, what it asks of the zones, what people said about it.
//!
//! The arithmetic of starts is [`program`](crate::program)'s. Here it meets the clock: each program keeps the moment of its
//! next start, so that nothing is computed in between.

use std::collections::{BTreeMap, BTreeSet};

use giot_shared::time::UnixMs;

use crate::ids::{ProgramId, ZoneId};
use crate::program::{Calendar, Control, FarmState, PlannedRun, SkippedRun, SkippedStart, Start, Timeline};
use crate::reason::Reason;
use crate::rules::Rules;
use crate::zone::{BY_HAND_WAIT_MS, Errand, latest, millilitres};

/// All programs of the farm.
#[derive(Debug)]
pub(crate) struct Schedule {
    programs: BTreeMap<ProgramId, Standing>,
    pub(crate) farm: FarmState,
}

/// How a program stands.
#[derive(Debug)]
struct Standing {
    control: Control,
    /// Its next start, `None` when there is none, or it is not known yet.
    next: Option<UnixMs>,
    is_known: bool,
    /// Why it must not start at all.
    invalid: Option<String>,
}

/// What one program does at a moment.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) program: ProgramId,
    /// The starts that do not take place.
    pub(crate) skipped: Vec<SkippedStart>,
    /// What the start that takes place asks for.
    pub(crate) round: Option<Round>,
    /// What must survive a restart.
    pub(crate) control: Control,
}

/// What a start asks for.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) errands: BTreeMap<ZoneId, Vec<Errand>>,
    pub(crate) skips: Vec<SkippedRun>,
    /// Runs that were changed, with the change.
    pub(crate) notes: Vec<(ZoneId, Reason)>,
    /// All runs together, seconds.
    pub(crate) run_s: u64,
}

/// What holds for all runs of a start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Its moment.
    pub(crate) start_at: UnixMs,
    /// When its program starts next.
    pub(crate) next: Option<UnixMs>,
    /// When the program is to be finished.
    pub(crate) finish_at: Option<UnixMs>,
    /// For so long a missed start is made up for.
    pub(crate) catch_up_ms: u64,
    /// Whether a person started it.
    pub(crate) by_hand: bool,
}

impl Terms {
    /// What a planned run asks of its zone.
    pub(crate) fn errand(&self, program: &ProgramId, run: &PlannedRun, run_s: u32) -> Errand {
        Errand {
            program: program.clone(),
            from: run.from,
            start_at: self.start_at,
            run_s,
            cycle: run.cycle,
            n_cycles: run.n_cycles,
            by_hand: self.by_hand,
            volume: run.volume_ml.and_then(millilitres),
            latest: if self.by_hand {
                run.from.plus_ms(BY_HAND_WAIT_MS)
            } else {
                latest(run.from, self.next, self.catch_up_ms)
            },
            finish_at: self.finish_at,
            asked_by: None,
        }
    }
}

impl Schedule {
    pub(crate) fn new(
        rules: &Rules,
        controls: &mut BTreeMap<ProgramId, Control>,
        farm: FarmState,
        invalid: &BTreeMap<ProgramId, String>,
    ) -> Self {
        let mut standing = |id: &ProgramId| Standing {
            control: controls.remove(id).unwrap_or_default(),
            next: None,
            is_known: false,
            invalid: invalid.get(id).cloned(),
        };
        let programs = rules.programs.keys().map(|id| (id.clone(), standing(id))).collect();
        Self { programs, farm }
    }

    /// What must survive: of each program, and of the farm.
    pub(crate) fn into_memory(self) -> (BTreeMap<ProgramId, Control>, FarmState) {
        (self.programs.into_iter().map(|(id, standing)| (id, standing.control)).collect(), self.farm)
    }

    /// Asks anew when every program starts: after a step of the clock, or a change for the whole farm.
    pub(crate) fn forget_starts(&mut self) {
        self.programs.values_mut().for_each(|standing| standing.is_known = false);
    }

    /// The moment of the next start, `None` when none is known.
    pub(crate) fn next(&self) -> Option<UnixMs> {
        self.programs.values().filter_map(|standing| standing.next).min()
    }

    /// Whether [`Self::decide`] has something to do.
    pub(crate) fn is_due(&self, wall: UnixMs) -> bool {
        // One that must not start is never asked, so it is never known either.
        let mut able = self.programs.values().filter(|standing| standing.invalid.is_none());
        able.any(|standing| !standing.is_known || standing.next.is_some_and(|next| next <= wall))
    }

    /// What the programs do at a moment; `needs`: how dry each zone is, `uncounted`: zones whose refills wait for a count.
    pub(crate) fn decide(
        &mut self,
        rules: &Rules,
        wall: UnixMs,
        needs: BTreeMap<ZoneId, u32>,
        uncounted: &BTreeSet<ZoneId>,
    ) -> Vec<Decision> {
        self.farm.needs = needs;
        let mut decisions = Vec::new();
        for (id, program) in &rules.programs {
            let Some(standing) = self.programs.get_mut(id).filter(|standing| standing.invalid.is_none())
            else {
                continue;
            };
            if standing.is_known && standing.next.is_none_or(|next| next > wall) {
                continue;
            }
            // One that is new has no start yet: it only notes from when on it has.
            let is_old = standing.control.handled_until.is_some();
            if is_old && program.refills().any(|zone| uncounted.contains(zone)) {
                (standing.is_known, standing.next) = (false, None);
                continue;
            }
            let calendar =
                Calendar { program, control: &standing.control, site: &rules.site, farm: &self.farm };
            let mut due = calendar.due(wall);
            let round = due.start.map(|start| {
                let timeline = calendar.timeline(&start, wall);
                due.control.busy_until = timeline.until();
                let after = Calendar { control: &due.control, ..calendar };
                let next = after.next_start(due.control.handled_until.unwrap_or(wall));
                let terms = Terms {
                    start_at: start.at,
                    next: next.map(|start| start.at),
                    finish_at: start.finish_at,
                    catch_up_ms: program.catch_up_ms(),
                    by_hand: false,
                };
                Round::of(id, timeline, &terms)
            });
            if round.is_some() || !due.skipped.is_empty() || standing.control.handled_until.is_none() {
                let control = due.control.clone();
                decisions.push(Decision { program: id.clone(), skipped: due.skipped, round, control });
            }
            standing.control = due.control;
            let calendar =
                Calendar { program, control: &standing.control, site: &rules.site, farm: &self.farm };
            standing.next =
                calendar.next_start(standing.control.handled_until.unwrap_or(wall)).map(|start| start.at);
            standing.is_known = true;
        }
        decisions
    }

    /// What a program asks for when a person starts it; `Err`: why it cannot.
    pub(crate) fn by_hand(
        &mut self,
        rules: &Rules,
        id: &ProgramId,
        wall: UnixMs,
    ) -> Result<Decision, Reason> {
        let unknown = || Reason::UnknownProgram { program: id.clone() };
        let program = rules.programs.get(id).ok_or_else(unknown)?;
        let standing = self.programs.get_mut(id).ok_or_else(unknown)?;
        if let Some(problem) = &standing.invalid {
            return Err(Reason::InvalidPlan { problem: problem.clone() });
        }
        if let Some(until) = standing.control.busy_until.filter(|until| *until > wall) {
            return Err(Reason::ProgramBusy { remaining_s: until.since_ms(wall).div_ceil(1000) });
        }
        let calendar = Calendar { program, control: &standing.control, site: &rules.site, farm: &self.farm };
        let start = Start::by_hand(wall, crate::program::Date::of(wall, rules.site.utc_offset_min));
        let timeline = calendar.timeline_by_hand(&start, wall);
        if timeline.runs.is_empty()
            && let Some(skip) = timeline.skips.first()
        {
            return Err(skip.reason.clone());
        }
        standing.control.busy_until = timeline.until();
        standing.control.n_runs = standing.control.n_runs.saturating_add(1);
        let terms = Terms { start_at: wall, next: None, finish_at: None, catch_up_ms: 0, by_hand: true };
        let round = Some(Round::of(id, timeline, &terms));
        Ok(Decision { program: id.clone(), skipped: Vec::new(), round, control: standing.control.clone() })
    }

    /// Changes a program's settings; what is to be kept of it afterwards, `None` for an unknown program.
    pub(crate) fn change(&mut self, id: &ProgramId, change: impl FnOnce(&mut Control)) -> Option<Control> {
        let standing = self.programs.get_mut(id)?;
        change(&mut standing.control);
        standing.is_known = false;
        Some(standing.control.clone())
    }

    /// The settings and the next start of a program.
    pub(crate) fn view(&self, id: &ProgramId) -> Option<(&Control, Option<UnixMs>, Option<&str>)> {
        self.programs.get(id).map(|standing| (&standing.control, standing.next, standing.invalid.as_deref()))
    }
}

impl Round {
    fn of(program: &ProgramId, timeline: Timeline, terms: &Terms) -> Self {
        let mut round = Self { skips: timeline.skips, ..Self::default() };
        for run in timeline.runs {
            let run_s = u32::try_from(run.run_ms() / 1000).unwrap_or(u32::MAX);
            round.run_s += u64::from(run_s);
            let errand = terms.errand(program, &run, run_s);
            round.notes.extend(run.notes.into_iter().map(|note| (run.zone.clone(), note)));
            if run_s > 0 {
                round.errands.entry(run.zone).or_default().push(errand);
            }
        }
        round
    }
}
