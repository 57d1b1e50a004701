//! What programs want of a zone: runs with a moment, that wait their turn.
//!
//! An errand begins at its moment or as soon after it as guards, pipes and hours let it. One that has waited until its
//! program's next start (at least as long as its starts are made up for, a day at most), or until its hours are over, is
//! dropped and told. So is one whose moment comes while the zone is locked, while weather or a person's pause keeps automatic
//! water back, or that a fault has held for as long as starts are made up for: it must not open the valve at whatever
//! moment somebody unlocks or clears. Whose hours or whose program's finish come first goes first. Moments are civil: a
//! program is about the time of day, and without a clock nothing of it starts. Errands survive a restart with the zone's
//! memory.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use giot_shared::time::{MonoMs, UnixMs};
use giot_shared::units::Millilitres;
use giot_shared::valve::CloseReason;

use super::soil::{Need, Verdict, seconds_to};
use super::{Gate, Phase, RunKind, Turn, Zone};
use crate::Now;
use crate::diary::{By, Event};
use crate::forecast::Stand;
use crate::ids::{ProgramId, ZoneId};
use crate::input::RunSet;
use crate::memory::{Lock, RunMemory};
use crate::program::Program;
use crate::reason::Reason;
use crate::rules::{Fit, Rules};

/// For so long the next portion of a run waits for its turn, whatever its program does next.
const PORTION_WAIT_MS: u64 = 6 * 3600 * 1000;

/// For so long a run that a person asked for waits beyond its moment and what goes before it: they are still about.
pub(crate) const BY_HAND_WAIT_MS: u64 = 2 * 3600 * 1000;

/// For so long it waits at the most, until its program's next start: a day, as hours are waited for.
const WAIT_MS_MAX: u64 = 24 * 3600 * 1000;

/// One run hands over to the next within seconds, or a few minutes where commands are repeated: only a longer wait for water
/// is worth an entry in the diary.
const HANDOVER_MS_MAX: u64 = 5 * 60 * 1000;

/// A run that begins so much later than planned says so.
const LATE_MS_MIN: u64 = 10 * 60 * 1000;

/// A portion ends some seconds after its planned end; the next one keeps its moment.
const SOAK_SLACK_MS: u64 = 30_000;

/// A shorter rest of an interrupted run is not worth another opening.
const REST_S_MIN: u32 = 60;

/// Most errands of a zone: two starts of the longest timeline of one zone would be a day of one-minute runs each.
const ERRANDS_MAX: usize = 3000;

/// A volume as wires have it: what is more than four thousand cubic metres is that.
pub(crate) fn millilitres(ml: u64) -> Option<Millilitres> {
    Some(Millilitres(u32::try_from(ml).unwrap_or(u32::MAX))).filter(|volume| volume.0 > 0)
}

/// `of` as a part is to a whole.
fn share(of: u64, part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(of) * u128::from(part) / u128::from(whole.max(1))).unwrap_or(of)
}

/// Names under which runs stand that no program of the plan wants; names of programs do not begin so.
const AD_HOC: [(RunSet, &str); 2] = [(RunSet::Test, "_test"), (RunSet::Once, "_once")];

/// The name of a person's set of runs.
pub(crate) fn ad_hoc(set: RunSet) -> ProgramId {
    let name = AD_HOC.iter().find(|(of, _)| *of == set).map_or("_once", |(_, name)| *name);
    ProgramId::reserved(name)
}

/// Whether a name is that of a person's set of runs.
pub(crate) fn is_ad_hoc(program: &ProgramId) -> bool {
    program.as_str().starts_with('_')
}

/// A run that a program wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// The program.
    pub program: ProgramId,
    /// Its moment.
    pub from: UnixMs,
    /// The moment of the start to which it belongs.
    pub start_at: UnixMs,
    /// How long it is to be, seconds.
    pub run_s: u32,
    /// Which portion of the step's run it is, from 1.
    pub cycle: u32,
    /// How many portions there are.
    pub n_cycles: u32,
    /// Whether a person started the program: then hours and rests are not looked at.
    pub by_hand: bool,
    /// What it is to give; `None`: what was asked for is a time.
    pub volume: Option<Millilitres>,
    /// It is not begun any later: then the next start's run takes its place.
    pub latest: UnixMs,
    /// When its program is to be finished, if it is to be so at a time.
    pub finish_at: Option<UnixMs>,
    /// The person who asked for it by itself, not by a program; `None`: its program, or the engine, which tests valves too.
    pub asked_by: Option<String>,
}

/// Until when a run waits for its turn that was wanted at `from`: until its program's `next` start, at least for the time in
/// which the program's starts are made up for, at most a day.
pub(crate) fn latest(from: UnixMs, next: Option<UnixMs>, catch_up_ms: u64) -> UnixMs {
    let most = from.plus_ms(WAIT_MS_MAX);
    let least = from.plus_ms(catch_up_ms.min(WAIT_MS_MAX));
    next.map_or(most, |next| next.clamp(least, most))
}

impl Errand {
    /// When it must have had its water, or has it not: the end of its hours, of its program, or of its patience. What a person
    /// wants is wanted at once.
    pub(crate) fn deadline(&self, zone: &ZoneId, wall: UnixMs, rules: &Rules) -> UnixMs {
        if self.by_hand {
            return self.from;
        }
        let closes_at = rules.closes_at(&self.program, zone, wall);
        self.finish_at.into_iter().chain(closes_at).fold(self.latest, UnixMs::min)
    }

    /// Whose word its run is.
    pub(crate) fn by(&self) -> By {
        match &self.asked_by {
            Some(person) => By::Person(person.clone()),
            None if is_ad_hoc(&self.program) => By::Engine,
            None => By::Program(self.program.clone()),
        }
    }

    /// A run of a set that a person, or without one the engine, asked for; others of the set may go before it for so long.
    pub(crate) fn by_hand(
        set: RunSet,
        from: UnixMs,
        run_s: u32,
        others_ms: u64,
        asked_by: Option<&str>,
    ) -> Self {
        Self {
            program: ad_hoc(set),
            from,
            start_at: from,
            run_s,
            cycle: 1,
            n_cycles: 1,
            by_hand: true,
            volume: None,
            latest: from.plus_ms(others_ms.saturating_add(BY_HAND_WAIT_MS).min(WAIT_MS_MAX)),
            finish_at: None,
            asked_by: asked_by.map(str::to_owned),
        }
    }

    /// A person gives it more time, and as much more water as that gives.
    pub(super) fn extend(&mut self, more_s: u32) {
        let run_s = self.run_s.saturating_add(more_s);
        self.volume = self
            .volume
            .and_then(|volume| millilitres(share(u64::from(volume.0), run_s.into(), self.run_s.into())));
        self.run_s = run_s;
    }

    /// What is left of it, seconds and volume, after so much time and, where it was measured, water.
    fn rest(&self, had_ms: u64, had_ml: Option<u64>) -> (u64, Option<Millilitres>) {
        let run_s = u64::from(self.run_s);
        match (self.volume.map(|volume| u64::from(volume.0)), had_ml) {
            (Some(wanted_ml), Some(had_ml)) => {
                let rest_ml = wanted_ml.saturating_sub(had_ml);
                (share(run_s, rest_ml, wanted_ml), millilitres(rest_ml))
            }
            (wanted_ml, _) => {
                let rest_s = run_s.saturating_sub(had_ms / 1000);
                (rest_s, wanted_ml.and_then(|wanted_ml| millilitres(share(wanted_ml, rest_s, run_s))))
            }
        }
    }

    /// A test waters nobody: it needs no rest before.
    pub(super) fn is_test(&self) -> bool {
        self.program.as_str() == "_test"
    }

    /// Why its run is begun.
    fn reason(&self, run_s: u32) -> Reason {
        let (run_s, cycle, n_cycles) = (u64::from(run_s), self.cycle, self.n_cycles);
        match self.program.as_str() {
            "_test" => Reason::ValveTest { run_s, cycle, n_cycles },
            "_once" => Reason::RunOnce { run_s },
            _ => Reason::ProgramRun { program: self.program.clone(), run_s, cycle, n_cycles },
        }
    }
}

/// What a run had when it ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Had {
    /// How long its valve was open as its node measured it, ms; `None`: nobody knows.
    pub(super) ms: Option<u64>,
    /// What flowed, ml, where somebody measured it.
    pub(super) ml: Option<u64>,
    /// How long of it its pump was off, ms.
    pub(super) dry_ms: u64,
}

impl Zone {
    /// Whether a test of its valve waits or is under way.
    pub(crate) fn is_tested(&self) -> bool {
        self.memory.errands.iter().any(Errand::is_test) || self.is_under_test()
    }

    /// Whether the run under way is a test.
    pub(crate) fn is_under_test(&self) -> bool {
        self.run().is_some_and(|run| run.kind.is_test())
    }

    /// Whether the run under way is one of a program's.
    pub(crate) fn is_run_of(&self, program: &ProgramId) -> bool {
        self.run().is_some_and(|run| run.kind.program() == Some(program))
    }

    /// Which start of a program the run under way belongs to, if it is one's.
    pub(crate) fn start_of_run(&self) -> Option<(&ProgramId, UnixMs)> {
        let program = self.run()?.kind.program()?;
        let errand = &self.memory.run.as_ref()?.errand;
        (errand.program == *program).then_some((program, errand.start_at))
    }

    /// Which start of a program the run belongs to that waits first.
    pub(crate) fn start_waiting(&self, program: &ProgramId) -> Option<UnixMs> {
        self.memory.errands.iter().find(|errand| errand.program == *program).map(|errand| errand.start_at)
    }

    /// Takes errands, in the order of their moments.
    pub(crate) fn add_errands(&mut self, errands: Vec<Errand>) {
        self.memory.errands.extend(errands);
        self.memory.errands.sort_by_key(|errand| errand.from);
        self.memory.errands.truncate(ERRANDS_MAX);
        self.is_memory_changed = true;
    }

    /// Moves what a person asked for along with the clock.
    pub(crate) fn shift_wishes(&mut self, shift_ms: i64) {
        let shifted = |at: UnixMs| UnixMs(at.0.saturating_add(shift_ms));
        let mut run = self.memory.run.as_mut().filter(|run| run.errand.by_hand);
        if let Some(run) = &mut run {
            run.started_at = shifted(run.started_at);
        }
        let run = run.map(|run| &mut run.errand);
        let mut is_any = false;
        for errand in self.memory.errands.iter_mut().chain(run).filter(|errand| errand.by_hand) {
            (errand.from, errand.latest) = (shifted(errand.from), shifted(errand.latest));
            errand.finish_at = errand.finish_at.map(shifted);
            is_any = true;
        }
        if is_any {
            self.memory.errands.sort_by_key(|errand| errand.from);
            self.is_memory_changed = true;
        }
    }

    /// Takes out a program's errands whose moments come at or after a moment.
    pub(super) fn take_errands_from(&mut self, program: &ProgramId, at: UnixMs) -> Vec<Errand> {
        let is_later = |errand: &mut Errand| errand.program == *program && errand.from >= at;
        self.memory.errands.extract_if(.., is_later).collect()
    }

    /// Whether a program wants something here at or after a moment.
    pub(crate) fn has_errand_from(&self, program: &ProgramId, at: UnixMs) -> bool {
        self.memory.errands.iter().any(|errand| errand.program == *program && errand.from >= at)
    }

    /// Forgets the errands that a person's word ends: all, or those of one program; with them the rest of a run whose valve is
    /// still closing. Returns whether there were any.
    pub(crate) fn drop_errands(&mut self, program: Option<&ProgramId>) -> bool {
        let stays = |errand: &Errand| program.is_some_and(|program| *program != errand.program);
        let n_before = self.memory.errands.len();
        self.memory.errands.retain(stays);
        let is_over = matches!(self.phase, Phase::Closing(_));
        let rest = self.memory.run.take_if(|run| is_over && !stays(&run.errand));
        let is_changed = rest.is_some() || self.memory.errands.len() != n_before;
        self.is_memory_changed |= is_changed;
        is_changed
    }

    /// The same for something that is told: once for each program whose run waited.
    pub(crate) fn give_up_errands(
        &mut self,
        turn: &mut Turn<'_>,
        program: Option<&ProgramId>,
        reason: &Reason,
        by: &By,
    ) {
        let waited = self.memory.errands.iter().map(|errand| &errand.program);
        let waited: BTreeSet<_> = waited.filter(|of| program.is_none_or(|program| program == *of)).collect();
        let waited: Vec<_> = waited.into_iter().cloned().collect();
        self.drop_errands(program);
        for program in waited {
            let by = if is_ad_hoc(&program) { by.clone() } else { By::Program(program) };
            self.desk.tell(turn, Event::Skipped, by, reason.clone(), None);
        }
    }

    /// The errand whose moment has come; a test of the valve goes before what waits for it.
    fn due(&self, now: Now) -> Option<&Errand> {
        self.memory.errands.get(self.due_idx(now)?)
    }

    fn due_idx(&self, now: Now) -> Option<usize> {
        let wall = now.wall?;
        // They stand in the order of their moments.
        let is_due = |errand: &&Errand| errand.from <= wall;
        let n_due = self.memory.errands.iter().take_while(is_due).count();
        let mut due = self.memory.errands.iter().take(n_due);
        due.position(Errand::is_test).or((n_due > 0).then_some(0))
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
        if let Some(reason) = self.given_up(now, errand, wall, rules) {
            // The next tick drops it and tells so.
            return Some(Verdict::Content(reason));
        }
        let held_back = || match errand {
            errand if errand.is_test() => None,
            errand if errand.by_hand => self.tested_beside(),
            _ => self.held_back(),
        };
        if let Some(barred) = self.barred(now).or_else(held_back) {
            return Some(Verdict::Blocked(barred));
        }
        if now.mono < self.rest_until && !errand.by_hand {
            let by = self.memory.rest.as_ref().map(|rest| rest.by.clone()).unwrap_or_default();
            let remaining_s = seconds_to(now, self.rest_until);
            return Some(Verdict::Blocked(Reason::RestAfterStop { by, remaining_s }));
        }
        let off_until = self.off_until_for(errand, rules);
        if now.mono < off_until && !self.passes_rest(errand) {
            return Some(self.rests(now, seconds_to(now, off_until)));
        }
        if let Some(soaks_ms) = self.soaks_ms(errand, wall, rules) {
            return Some(self.rests(now, soaks_ms.div_ceil(1000)));
        }
        let run_s = match rules.fit_errand(errand, &self.desk.id, wall) {
            Fit::Runs { run_s } => run_s,
            Fit::Waits(reason) | Fit::Never(reason) => return Some(Verdict::Blocked(reason)),
        };
        Some(Verdict::Ready {
            need: Need::Errand(Reverse((errand.deadline(&self.desk.id, wall, rules), errand.from))),
            reason: errand.reason(run_s),
            kind: if errand.by_hand {
                RunKind::ByHand(errand.program.clone())
            } else {
                RunKind::Program(errand.program.clone())
            },
            run_s,
        })
    }

    /// A run that is due waits for its zone's time off: shortly it is part of the plan, as the soak between two portions is, and
    /// no news.
    fn rests(&self, now: Now, remaining_s: u64) -> Verdict {
        let reason = Reason::MinimumOff { remaining_s };
        if self.is_handing_over(now) { Verdict::Content(reason) } else { Verdict::Blocked(reason) }
    }

    /// Whether an errand need not wait for the least time off: tests, and runs of a person's set but after others of it.
    fn passes_rest(&self, errand: &Errand) -> bool {
        let closed = self.memory.last_closed_at.map(|at| (at, self.memory.last_was_set));
        closed.is_none_or(|closed| passes_rest(errand, closed)) && is_ad_hoc(&errand.program)
    }

    /// Until when the zone stays off before an errand: between two portions of one run it is their soak alone.
    fn off_until_for(&self, errand: &Errand, rules: &Rules) -> MonoMs {
        let facts = rules.site.zones.get(&self.desk.id).filter(|_| errand.cycle > 1);
        let off_ms = u64::from(self.plan.min_off_s) * 1000;
        let sooner_ms = facts.map_or(0, |facts| off_ms.saturating_sub(facts.rest_before_ms(errand.cycle)));
        MonoMs(self.off_until.0.saturating_sub(sooner_ms))
    }

    /// How long the zone still rests and soaks before a program's run, whatever has delayed the one before; `None`: no longer.
    fn soaks_ms(&self, errand: &Errand, wall: UnixMs, rules: &Rules) -> Option<u64> {
        let closed_at = self.memory.last_closed_at.filter(|at| *at <= wall && !is_ad_hoc(&errand.program))?;
        let rest_ms = rules.site.zones.get(&self.desk.id)?.rest_before_ms(errand.cycle);
        let soaked_at = closed_at.plus_ms(rest_ms.saturating_sub(SOAK_SLACK_MS));
        Some(soaked_at.since_ms(wall)).filter(|left_ms| *left_ms > 0)
    }

    /// How long a run that is due waits for a fault to be cleared.
    fn fault_wait_ms(errand: &Errand, rules: &Rules) -> u64 {
        let program = rules.programs.get(&errand.program).filter(|_| !errand.by_hand);
        program.map_or(0, Program::catch_up_ms)
    }

    /// What holds a run that is due until a person clears it.
    fn faulted(&self) -> Option<Reason> {
        let of_source = self.gate.as_ref().filter(|gate| matches!(gate.reason, Reason::SourceFault { .. }));
        let of_zone = self.memory.fault.as_ref();
        let of_zone = of_zone.map(|fault| Reason::UnresolvedFault { fault: fault.code().to_owned() });
        of_zone.or_else(|| of_source.map(|gate| gate.reason.clone()))
    }

    /// Whether a program's run that a person starts at this moment is given up as soon as it is due, as things stand.
    pub(crate) fn gives_up_at_once(&self) -> bool {
        self.memory.lock.is_some() || self.invalid.is_some() || self.faulted().is_some()
    }

    /// How the zone stands for what comes, beside what runs: its rests, and what bars it as things are.
    pub(crate) fn stand(&self, now: Now, wall: UnixMs) -> Stand {
        let dated = |at: MonoMs| Some(wall.plus_ms(at.since_ms(now.mono))).filter(|_| at > now.mono);
        let off_ms = u64::from(self.plan.min_off_s) * 1000;
        let rested_from = dated(self.off_until).map(|until| until.minus_ms(off_ms));
        let invalid = self.invalid.map(|problem| Reason::InvalidPlan { problem: problem.to_owned() });
        let lock = self.memory.lock.as_ref().map(Lock::reason);
        let weather = self.gate.as_ref().filter(|gate| gate.is_weather()).map(|gate| gate.reason.clone());
        Stand {
            held_until: None,
            open: None,
            turn: self.start_of_run().map(|(program, start_at)| (program.clone(), start_at)),
            ended: None,
            errands: self.memory.errands.clone(),
            closed_at: self.memory.last_closed_at.filter(|at| *at <= wall).max(rested_from),
            was_set: self.memory.last_was_set,
            paused_until: dated(self.pause_until),
            rests_until: dated(self.rest_until),
            bar: lock.or(invalid).or_else(|| self.faulted()),
            weather: weather.map(|reason| (reason, None)),
        }
    }

    /// Why a run that is due is not given any more, although its hours are open.
    fn given_up(&self, now: Now, errand: &Errand, wall: UnixMs, rules: &Rules) -> Option<Reason> {
        if let Some(lock) = &self.memory.lock {
            return Some(lock.reason());
        }
        if let Some(problem) = self.invalid {
            return Some(Reason::InvalidPlan { problem: problem.to_owned() });
        }
        let is_over = wall.since_ms(errand.from) >= Self::fault_wait_ms(errand, rules);
        if let Some(fault) = self.faulted().filter(|_| is_over) {
            return Some(fault);
        }
        if errand.by_hand {
            return None;
        }
        let weather = self.gate.as_ref().filter(|gate| gate.is_weather()).map(|gate| gate.reason.clone());
        weather.or_else(|| self.suspended(now))
    }

    /// Drops the errands that came too late, that no hours are left for, that are given up, or whose program is gone; each is
    /// told.
    pub(super) fn tick_errands(&mut self, turn: &mut Turn<'_>) {
        while let (Some(errand), Some(wall)) = (self.due(turn.now), turn.now.wall) {
            let is_known = is_ad_hoc(&errand.program) || turn.rules.programs.contains_key(&errand.program);
            let late_ms = wall.since_ms(errand.from);
            let reason = if !is_known {
                Reason::ProgramDisabled {}
            } else if wall > errand.latest {
                Reason::WaitedTooLong { late_s: late_ms / 1000, run_s: u64::from(errand.run_s) }
            } else if let Some(reason) = self.given_up(turn.now, errand, wall, turn.rules) {
                reason
            } else if let Fit::Never(reason) = turn.rules.fit_errand(errand, &self.desk.id, wall) {
                let is_late = late_ms >= HANDOVER_MS_MAX;
                let over = Reason::WindowOver { late_s: late_ms / 1000, run_s: u64::from(errand.run_s) };
                if is_late { over } else { reason }
            } else {
                return;
            };
            let Some(idx) = self.due_idx(turn.now) else { return };
            let errand = self.memory.errands.remove(idx);
            self.is_memory_changed = true;
            self.desk.tell(turn, Event::Skipped, errand.by(), reason, None);
        }
    }

    /// The errand that is due is begun; whose word it is, and how late where that is worth a word.
    pub(crate) fn take_errand(&mut self, now: Now) -> Option<(By, Option<Reason>)> {
        let (idx, started_at) = self.due_idx(now).zip(now.wall)?;
        let errand = self.memory.errands.remove(idx);
        let by = errand.by();
        let late_ms = started_at.since_ms(errand.from);
        let late = (late_ms >= LATE_MS_MIN).then_some(Reason::StartedLate { late_s: late_ms / 1000 });
        self.remember_run(errand, started_at);
        Some((by, late))
    }

    /// Nothing opens until a moment: what a person has asked for waits as long beyond it.
    pub(crate) fn wait_out(&mut self, until: UnixMs) {
        let latest = until.plus_ms(BY_HAND_WAIT_MS);
        for errand in self.memory.errands.iter_mut().filter(|errand| errand.by_hand) {
            self.is_memory_changed |= errand.latest < latest;
            errand.latest = errand.latest.max(latest);
        }
    }

    /// A person's run is begun: it leaves its rest to a pause like an errand of its own.
    pub(super) fn take_manual(&mut self, now: Now, run_s: u32, by: &str) {
        if let Some(from) = now.wall {
            self.remember_run(Errand::by_hand(RunSet::Once, from, run_s, 0, Some(by)), from);
        }
    }

    fn remember_run(&mut self, errand: Errand, started_at: UnixMs) {
        self.memory.run = Some(RunMemory { errand, started_at });
        self.is_memory_changed = true;
    }

    /// A run is over. What is left of a program's run that was interrupted becomes an errand again: of what the node
    /// measured, or else of the time that water may have flowed. It waits from now on, and no longer than before; its hours hold.
    /// What the node only gives in portions goes on for everyone who asked for it. Returns whether there is a rest.
    pub(super) fn make_up(&mut self, turn: &mut Turn<'_>, reason: &Reason, had: &Had) -> bool {
        let open_until = self.memory.open.and_then(|open| open.until);
        let Some(RunMemory { errand, started_at }) = self.memory.run.take() else { return false };
        self.is_memory_changed = true;
        // A set of runs that a person asked for is over with its interruption, save by a person's pause and by what guards found
        // at its source; a gateway that started anew within the pause has only its word for that.
        let is_in_pause = matches!(reason, Reason::GatewayRestarted {} | Reason::GatewayStopping {})
            && self.gate.as_ref().is_some_and(Gate::is_pause);
        let is_paused = is_in_pause || matches!(reason, Reason::WaterPaused { .. });
        let is_split = self.is_portion(reason);
        let is_dry = Self::is_short_of_water(reason, had.dry_ms);
        let is_guarded = is_for_source(reason);
        let is_asked_for = is_paused || is_split || is_dry || is_guarded || !is_ad_hoc(&errand.program);
        let is_wanted = self.leaves_rest(reason, had.dry_ms) && is_asked_for && !errand.is_test();
        let Some(wall) = turn.now.wall.filter(|_| is_wanted) else { return false };
        let at_most_ms = open_until.map_or(wall, |until| until.min(wall)).since_ms(started_at);
        let had_ml = had.ml.filter(|_| self.plan.guards.meter.is_some());
        let had_ms = had.ms.unwrap_or(at_most_ms).saturating_sub(had.dry_ms);
        let (rest_s, volume) = errand.rest(had_ms, had_ml);
        let Some(run_s) = u32::try_from(rest_s).ok().filter(|rest_s| *rest_s >= REST_S_MIN) else {
            return false;
        };
        let program = errand.program.clone();
        let by = errand.by();
        let rest = Errand { run_s, volume, ..errand };
        // It waits from now on; what the node makes of it is no lateness.
        let wait_ms = if rest.by_hand { BY_HAND_WAIT_MS } else { PORTION_WAIT_MS };
        let until = self.gate.as_ref().and_then(|gate| gate.until);
        let wait_ms = until.map_or(0, |until| until.since_ms(turn.mono())).saturating_add(wait_ms);
        let is_kept = (is_guarded && is_ad_hoc(&program)) || (is_paused && rest.by_hand);
        let is_put_off = is_split || is_dry || is_kept;
        let latest = if is_put_off { rest.latest.max(wall.plus_ms(wait_ms)) } else { rest.latest };
        // It goes on before what waits for the same zone already.
        let waiting = self.memory.errands.first().map(|errand| errand.from.minus_ms(1));
        let from = waiting.map_or(wall, |before| before.min(wall));
        self.add_errands(vec![Errand { from, latest, ..rest }]);
        let run_s = u64::from(run_s);
        let reason = if is_split {
            self.split_reason(turn.timing, reason, run_s)
        } else if is_ad_hoc(&program) {
            Reason::RunRest { run_s }
        } else {
            Reason::RunResumed { program, run_s }
        };
        self.desk.tell(turn, Event::Scheduled, by, reason, None);
        true
    }

    /// When time alone changes something about the errands of a closed zone.
    pub(super) fn deadline_errand(&self, turn: &Turn<'_>) -> Option<MonoMs> {
        let wall = turn.now.wall?;
        let first = self.memory.errands.first()?;
        if first.from > wall {
            return Some(turn.mono().plus_ms(first.from.since_ms(wall)));
        }
        let ahead = |at: MonoMs| (at > turn.mono()).then_some(at);
        let id = &self.desk.id;
        let due = self.due(turn.now)?;
        let off_until = self.off_until_for(due, turn.rules);
        let waits = [self.pause_until, self.rest_until, off_until].into_iter().filter_map(ahead);
        let hours_at = match turn.rules.fit_errand(due, id, wall) {
            Fit::Runs { .. } => turn.rules.closes_at(&due.program, id, wall),
            // Hours open on whole minutes of the day; those of a run that waits for others are looked for again in an hour.
            Fit::Waits(_) => turn.rules.opens_at(due, id, wall).or(Some(wall.plus_ms(3_600_000))),
            Fit::Never(_) => None,
        };
        let fault_at = self.faulted().map(|_| due.from.plus_ms(Self::fault_wait_ms(due, turn.rules)));
        let soaked_at = self.soaks_ms(due, wall, turn.rules).map(|left_ms| wall.plus_ms(left_ms));
        // From then on it is told that it waits.
        let told_at = due.from.plus_ms(HANDOVER_MS_MAX);
        // A test goes before what waits for it.
        let mut later = self.memory.errands.iter().filter(|errand| errand.from > wall);
        let test_at = later.find(|errand| errand.is_test()).map(|errand| errand.from);
        let over_at = [Some(due.latest.plus_ms(1)), Some(told_at), hours_at, fault_at, soaked_at, test_at];
        let over_at = over_at.into_iter().flatten().filter(|at| *at > wall).min();
        let over_at = over_at.map(|at| turn.mono().plus_ms(at.since_ms(wall).max(1)));
        waits.chain(over_at).min()
    }
}

/// Whether an errand need not wait for the least time off after its zone closed at a moment, after a run of a set or another one.
pub(crate) fn passes_rest(errand: &Errand, (closed_at, was_set): (UnixMs, bool)) -> bool {
    errand.is_test() || (is_ad_hoc(&errand.program) && (!was_set || errand.from > closed_at))
}

/// Whether a run was ended for its source's sake: its zone had nothing to do with it.
fn is_for_source(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::SourceFault { .. }
            | Reason::SourceHighFlow { .. }
            | Reason::Diagnosing { .. }
            | Reason::TankLow { .. }
            | Reason::TankUnknown { .. }
    )
}

/// Whether a run was ended by what nobody wanted, so that its rest is still wanted.
pub(super) fn is_interruption(reason: &Reason) -> bool {
    if let Reason::ClosedByNode { close } = reason {
        return matches!(
            close,
            CloseReason::LeaseEnded
                | CloseReason::Boot
                | CloseReason::BrownOut
                | CloseReason::Watchdog
                | CloseReason::Panic
                | CloseReason::Fault
        );
    }
    matches!(
        reason,
        Reason::GatewayRestarted {}
            | Reason::GatewayStopping {}
            | Reason::FarmChanged { .. }
            | Reason::NodeOffline { .. }
            | Reason::CommandUnanswered { .. }
            | Reason::ValveNotConfirmed { .. }
            | Reason::ValveSilent { .. }
            | Reason::ValveFoundClosed {}
            | Reason::ClockUnset {}
            | Reason::SourceBusy { .. }
            | Reason::SourcePaused { .. }
            | Reason::SourceFault { .. }
            | Reason::SourceHighFlow { .. }
            | Reason::Diagnosing { .. }
            | Reason::TankLow { .. }
            | Reason::TankUnknown { .. }
            | Reason::WaterPaused { .. }
    )
}
