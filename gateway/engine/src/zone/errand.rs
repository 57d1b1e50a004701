//! What programs want of a zone: runs with a moment, that wait their turn.
//!
//! An errand begins at its moment or as soon after it as guards, pipes and hours let it; one that has waited for
//! [`WAIT_MS_MAX`] is dropped and told. Moments are civil: a program is about the time of day, and without a clock nothing
//! of it starts. Errands survive a restart with the zone's memory.

use std::cmp::Reverse;

use giot_shared::time::{MonoMs, UnixMs};

use super::soil::{Need, Verdict, seconds_to};
use super::{RunKind, Turn, Zone};
use crate::Now;
use crate::diary::{By, Event};
use crate::ids::ProgramId;
use crate::reason::Reason;
use crate::rules::{Fit, Rules};

/// What a busy network could not serve within six hours after its moment is the next start's business.
pub(crate) const WAIT_MS_MAX: u64 = 6 * 3600 * 1000;

/// One run hands over to the next within seconds, or a few minutes where commands are repeated: only a longer wait for water
/// is worth an entry in the diary.
const HANDOVER_MS_MAX: u64 = 5 * 60 * 1000;

/// Most errands of a zone: two starts of the longest timeline of one zone would be a day of one-minute runs each.
const ERRANDS_MAX: usize = 3000;

/// A run that a program wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// The program.
    pub program: ProgramId,
    /// Its moment.
    pub from: UnixMs,
    /// How long it is to be, seconds.
    pub run_s: u32,
    /// Which portion of the step's run it is, from 1.
    pub cycle: u32,
    /// How many portions there are.
    pub n_cycles: u32,
    /// Whether a person started the program: then hours and rests are not looked at.
    pub by_hand: bool,
}

impl Zone {
    /// Takes errands, in the order of their moments.
    pub(crate) fn add_errands(&mut self, errands: Vec<Errand>) {
        self.memory.errands.extend(errands);
        self.memory.errands.sort_by_key(|errand| errand.from);
        self.memory.errands.truncate(ERRANDS_MAX);
        self.is_memory_changed = true;
    }

    /// Forgets the errands that a person's word ends: all, or those of one program. Returns whether there were any.
    pub(crate) fn drop_errands(&mut self, program: Option<&ProgramId>) -> bool {
        let n_before = self.memory.errands.len();
        self.memory.errands.retain(|errand| program.is_some_and(|program| *program != errand.program));
        let is_changed = self.memory.errands.len() != n_before;
        self.is_memory_changed |= is_changed;
        is_changed
    }

    /// The errand whose moment has come.
    fn due(&self, now: Now) -> Option<&Errand> {
        let wall = now.wall?;
        self.memory.errands.first().filter(|errand| errand.from <= wall)
    }

    /// Whether a program's run has waited so shortly that nobody needs to be told.
    pub(crate) fn is_handing_over(&self, now: Now) -> bool {
        let late_ms = self.due(now).zip(now.wall).map(|(errand, wall)| wall.since_ms(errand.from));
        late_ms.is_some_and(|late_ms| late_ms < HANDOVER_MS_MAX)
    }

    /// What follows from the errand that is due; `None` when none is. The order of the guards is that of `verdict`; the
    /// soil's probes are not asked, so that a calendar works without any.
    pub(super) fn errand_verdict(&self, now: Now, rules: &Rules) -> Option<Verdict> {
        let errand = self.due(now)?;
        let wall = now.wall?;
        if let Some(barred) = self.barred(now) {
            return Some(Verdict::Blocked(barred));
        }
        if now.mono < self.rest_until && !errand.by_hand {
            let by = self.memory.rest.as_ref().map(|rest| rest.by.clone()).unwrap_or_default();
            let remaining_s = seconds_to(now, self.rest_until);
            return Some(Verdict::Blocked(Reason::RestAfterStop { by, remaining_s }));
        }
        if now.mono < self.off_until {
            // The soak between two portions is part of the plan, not news.
            return Some(Verdict::Content(Reason::MinimumOff {
                remaining_s: seconds_to(now, self.off_until),
            }));
        }
        let run_s = match self.fit(errand, wall, rules) {
            Fit::Runs { run_s } => run_s,
            Fit::Waits(reason) | Fit::Never(reason) => return Some(Verdict::Blocked(reason)),
        };
        Some(Verdict::Ready {
            need: Need::Errand(Reverse(errand.from)),
            reason: Reason::ProgramRun {
                program: errand.program.clone(),
                run_s: u64::from(run_s),
                cycle: errand.cycle,
                n_cycles: errand.n_cycles,
            },
            kind: RunKind::Program(errand.program.clone()),
            run_s,
        })
    }

    fn fit(&self, errand: &Errand, wall: UnixMs, rules: &Rules) -> Fit {
        if errand.by_hand {
            return Fit::Runs { run_s: errand.run_s };
        }
        rules.fit(&errand.program, &self.desk.id, wall, errand.run_s)
    }

    /// Drops the errands that came too late, that no hours are left for, or whose program is gone; each is told.
    pub(super) fn tick_errands(&mut self, turn: &mut Turn<'_>) {
        while let (Some(errand), Some(wall)) = (self.due(turn.now), turn.now.wall) {
            let is_known = turn.rules.programs.contains_key(&errand.program);
            let late_ms = wall.since_ms(errand.from);
            let reason = if !is_known {
                Reason::ProgramDisabled {}
            } else if late_ms > WAIT_MS_MAX {
                Reason::MissedStart { late_s: late_ms / 1000, catch_up_s: WAIT_MS_MAX / 1000 }
            } else if let Fit::Never(reason) = self.fit(errand, wall, turn.rules) {
                reason
            } else {
                return;
            };
            let errand = self.memory.errands.remove(0);
            self.is_memory_changed = true;
            self.desk.tell(turn, Event::Skipped, By::Program(errand.program), reason, None);
        }
    }

    /// The errand that is due is begun.
    pub(crate) fn take_errand(&mut self, now: Now) {
        if self.due(now).is_some() {
            self.memory.errands.remove(0);
            self.is_memory_changed = true;
        }
    }

    /// When time alone changes something about the errands of a closed zone.
    pub(super) fn deadline_errand(&self, turn: &Turn<'_>) -> Option<MonoMs> {
        let wall = turn.now.wall?;
        let first = self.memory.errands.first()?;
        if first.from > wall {
            return Some(turn.mono().plus_ms(first.from.since_ms(wall)));
        }
        let ahead = |at: MonoMs| (at > turn.mono()).then_some(at);
        let waits = [self.pause_until, self.rest_until, self.off_until].into_iter().filter_map(ahead);
        // Hours open and close on whole minutes of the day.
        let to_minute_ms = 60_000_u64.saturating_sub(u64::try_from(wall.0.rem_euclid(60_000)).unwrap_or(0));
        waits.chain([turn.mono().plus_ms(to_minute_ms)]).min()
    }
}
