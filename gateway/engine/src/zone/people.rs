//! What people want of a zone, and what failures leave behind for them.
//!
//! A person may water without thresholds, window, fresh readings or clock, but never past a lock, a fault, an unreachable
//! node or a busy source. Each wish gets an entry in the diary, fulfilled or refused.
//!
//! What each start passes over ("yes") and what stops it ("no"); a wish to stop is always fulfilled:
//!
//! | | the soil | the program | a program by hand | by hand |
//! |---|---|---|---|---|
//! | thresholds, fresh and plausible readings | no | yes | yes | yes |
//! | hours of the zone or the program | no | no | yes | yes |
//! | rest after a person's stop | no | no | yes | yes, and ends it |
//! | minimum time off | no | no | no | yes |
//! | an unset clock | no | no | no | yes |
//! | rain, rain contact, frost | no | no | yes | yes |
//! | rain delay, pause of farm or zone | no | no | yes | yes |
//! | pause of a program | yes | no | yes | yes |
//! | pause of water | no | no | no | no: whoever waters ends it |
//! | lead of a master valve | no | no | no | yes: it opens together with the zone |
//! | longest run | no | no | no | no |
//! | lock, fault, quarantine, plan with a problem | no | no | no | no |
//! | node of valve or pump without connection | no | no | no | no |
//! | capacity, time between two starts | no | no | no | no |
//! | rest, starts an hour, fault of a pump | no | no | no | no |
//! | tank, fault of a source (leak, burst, pressure) | no | no | no | no |
//! | test of a source's zones one by one after it gave too much | no | no | no | no |

use giot_shared::time::UnixMs;
use giot_shared::units::Millilitres;

use super::open::Run;
use super::soil::seconds_to;
use super::{Errand, Measured, Phase, RunKind, SETTLE_MS, Turn, Zone};
use crate::diary::{By, Event};
use crate::ids::{ProgramId, ZoneId};
use crate::memory::{Lock, Rest};
use crate::plan::Timing;
use crate::reason::Reason;

/// So many failed cycles in a row wait for a person: the pauses before were the machine's own attempts.
const FAILURES_MAX: u32 = 3;

/// Longest note of a lock that is kept, in characters: it goes into the memory and onto small screens.
const NOTE_CHARS_MAX: usize = 500;

/// Pause after the nth failure in a row.
pub(crate) fn pause_s(failures: u32, timing: &Timing) -> u32 {
    let doublings = failures.saturating_sub(1).min(16);
    timing.quarantine_s.saturating_mul(1 << doublings).min(timing.quarantine_s_max)
}

impl Zone {
    /// Why a person cannot start the zone at this moment, apart from its source.
    pub(crate) fn manual_bar(&self, turn: &Turn<'_>) -> Option<Reason> {
        if let Some(barred) = self.barred(turn.now).or_else(|| self.tested_beside()) {
            return Some(barred);
        }
        match &self.phase {
            Phase::Closed => None,
            Phase::Opening(_) | Phase::Open(_) | Phase::Local(_) => Some(Reason::AlreadyRunning {}),
            Phase::Closing(closing) if closing.is_after_start => Some(Reason::ValveUnknown {}),
            Phase::Closing(_) => Some(Reason::ValveClosing {}),
        }
    }

    /// Starts a run for a person; the caller has checked [`Self::manual_bar`] and the source.
    pub(crate) fn manual_start(&mut self, turn: &mut Turn<'_>, run_s: u32, by: &str) {
        self.memory.rest = None;
        self.rest_until = turn.mono();
        let run_s = run_s.clamp(1, self.plan.run_max_s.max(1));
        let reason = Reason::ManualStart { run_s: u64::from(run_s) };
        self.start(turn, RunKind::Manual, By::Person(by.to_owned()), reason, run_s);
        self.take_manual(turn.now, run_s, by);
    }

    /// A person watered the zone otherwise: it rests as after a run, and its soil may change as fast.
    pub(crate) fn irrigated(&mut self, turn: &mut Turn<'_>, run_s: u32, litres: u32, by: &str) {
        self.off_until = self.off_until.max(turn.after_s(self.plan.min_off_s));
        self.wet_until = self.wet_until.max(turn.mono().plus_ms(SETTLE_MS));
        self.memory.last_closed_at = turn.now.wall.or(self.memory.last_closed_at);
        self.memory.last_was_set = false;
        self.is_memory_changed = true;
        let reason = Reason::IrrigatedByHand { run_s: u64::from(run_s), litres };
        // It counts as the zone's water, as what a node measures.
        let volume = (litres > 0).then(|| Millilitres(litres.saturating_mul(1000)));
        let measured = Measured { run_ms: Some(u64::from(run_s) * 1000), volume };
        self.desk.tell_measured(turn, Event::Reported, By::Person(by.to_owned()), reason, None, measured);
    }

    /// The run of the engine's that is under way.
    pub(crate) fn run(&self) -> Option<&Run> {
        match &self.phase {
            Phase::Opening(opening) => Some(&opening.run),
            Phase::Open(watering) => Some(&watering.run),
            Phase::Closed | Phase::Closing(_) | Phase::Local(_) => None,
        }
    }

    /// Whether a run of the engine's is under way.
    pub(crate) fn is_running(&self) -> bool {
        self.run().is_some()
    }

    /// Ends the run because someone draws from the same source at a node.
    pub(crate) fn yield_to(&mut self, turn: &mut Turn<'_>, zone: ZoneId) {
        self.stop(turn, Reason::SourceBusy { zone }, By::Engine, false);
    }

    /// Ends the run because of what the zone hangs on.
    pub(crate) fn stop_for(&mut self, turn: &mut Turn<'_>, reason: Reason) {
        self.stop(turn, reason, By::Engine, false);
    }

    /// A guard found that water flows as it should.
    pub(crate) fn confirm_flow(&mut self, turn: &mut Turn<'_>, reason: Reason) {
        let name = match &self.phase {
            Phase::Open(watering) => Some(watering.run.name),
            Phase::Closed | Phase::Opening(_) | Phase::Closing(_) | Phase::Local(_) => None,
        };
        self.desk.tell(turn, Event::Confirmed, By::Engine, reason, name);
    }

    /// A guard found something that people should know.
    pub(crate) fn alert(&mut self, turn: &mut Turn<'_>, reason: Reason) {
        self.desk.tell(turn, Event::Fault, By::Engine, reason, None);
    }

    /// A guard found something for which the zone must stop: a failure, or at once a fault when it `is_fatal`.
    pub(crate) fn trouble(&mut self, turn: &mut Turn<'_>, reason: Reason, is_fatal: bool) {
        self.fail_and_stop(turn, reason, is_fatal);
    }

    /// Tells that a person's wish was not fulfilled.
    pub(crate) fn refuse(&mut self, turn: &mut Turn<'_>, reason: Reason, by: &str) {
        self.desk.tell(turn, Event::Refused, By::Person(by.to_owned()), reason, None);
    }

    /// A person stops the zone: its run ends, and automatic watering rests, or else a dry zone would start right again.
    pub(crate) fn manual_stop(&mut self, turn: &mut Turn<'_>, reason: Reason, by: &str) {
        let rest_s = turn.timing.person_rest_s;
        let is_about_zone = matches!(reason, Reason::ManualStop {});
        let is_running = matches!(self.phase, Phase::Opening(_) | Phase::Open(_) | Phase::Local(_));
        self.stop(turn, reason, By::Person(by.to_owned()), false);
        let had_errands = self.drop_errands(None);
        if !self.plan.automatic && !had_errands {
            return;
        }
        self.rest_until = turn.after_s(rest_s);
        self.memory.rest = Some(Rest { by: by.to_owned(), until: turn.wall_after_s(rest_s) });
        self.is_memory_changed = true;
        let reason =
            Reason::RestAfterStop { by: by.to_owned(), remaining_s: seconds_to(turn.now, self.rest_until) };
        if is_about_zone && !is_running {
            self.desk.tell(turn, Event::Skipped, By::Person(by.to_owned()), reason.clone(), None);
        }
        self.skip_told(reason);
    }

    /// A person locks the zone: what runs is stopped, nothing starts.
    pub(crate) fn set_lock(&mut self, turn: &mut Turn<'_>, by: &str, note: &str) {
        let note = note.chars().take(NOTE_CHARS_MAX).collect();
        let lock = Lock { by: by.to_owned(), note };
        let reason = lock.reason();
        self.memory.lock = Some(lock);
        self.is_memory_changed = true;
        self.desk.tell(turn, Event::Locked, By::Person(by.to_owned()), reason.clone(), None);
        self.end_due(turn, &reason, &By::Person(by.to_owned()));
        self.skip_told(reason);
    }

    /// Ends what runs and what is due; what comes later is looked at in its moment.
    pub(super) fn end_due(&mut self, turn: &mut Turn<'_>, reason: &Reason, by: &By) {
        self.stop(turn, reason.clone(), by.clone(), false);
        let wall = turn.now.wall;
        let is_later = |errand: &mut Errand| wall.is_none_or(|wall| errand.from > wall);
        let later = self.memory.errands.extract_if(.., is_later).collect();
        self.give_up_errands(turn, None, reason, by);
        self.add_errands(later);
    }

    /// A person ends what a program still wants here before a moment, or at all; what runs is finished, and not made up for when it
    /// is interrupted.
    pub(crate) fn leave_out(
        &mut self,
        turn: &mut Turn<'_>,
        program: &ProgramId,
        before: Option<UnixMs>,
        reason: &Reason,
        by: &str,
    ) {
        if self.is_run_of(program) {
            self.is_memory_changed |= self.memory.run.take().is_some();
        }
        let later = before.map(|before| self.take_errands_from(program, before)).unwrap_or_default();
        self.give_up_errands(turn, Some(program), reason, &By::Person(by.to_owned()));
        self.add_errands(later);
    }

    /// A person stops what a program does here.
    pub(crate) fn stop_program(&mut self, turn: &mut Turn<'_>, program: &ProgramId, by: &str) {
        self.drop_errands(Some(program));
        if self.is_run_of(program) {
            let reason = Reason::ProgramStop { program: program.clone() };
            self.stop(turn, reason, By::Person(by.to_owned()), false);
        }
    }

    /// A person takes the lock away; without a lock nothing happens.
    pub(crate) fn unlock(&mut self, turn: &mut Turn<'_>, by: &str) {
        if self.memory.lock.take().is_some() {
            self.is_memory_changed = true;
            self.unskip();
            self.desk.tell(turn, Event::Unlocked, By::Person(by.to_owned()), Reason::Unlocked {}, None);
        }
    }

    /// Whether clearing says that the flow is right as it is: of too much, or where nothing has failed.
    pub(crate) fn is_flow_in_question(&self) -> bool {
        let has_failed = self.memory.fault.is_some() || self.memory.failures > 0;
        !has_failed || matches!(self.memory.fault, Some(Reason::HighFlow { .. }))
    }

    /// A person clears fault, quarantine and count; without any nothing happens.
    pub(crate) fn clear_fault(&mut self, turn: &mut Turn<'_>, by: &str) {
        let is_failed =
            self.memory.fault.take().is_some() || self.memory.failures > 0 || turn.mono() < self.pause_until;
        if self.trust_probes() || is_failed {
            self.forget_failures(turn);
            self.unskip();
            self.desk.tell(turn, Event::Cleared, By::Person(by.to_owned()), Reason::FaultCleared {}, None);
        }
    }

    /// Counts a failure and ends the run.
    pub(super) fn fail_and_stop(&mut self, turn: &mut Turn<'_>, reason: Reason, is_fatal: bool) {
        self.fail(turn, reason.clone(), is_fatal);
        self.stop(turn, reason, By::Engine, true);
    }

    /// Counts a failure: a growing pause, and from the third one, or at once when `is_fatal`, a fault for a person.
    pub(super) fn fail(&mut self, turn: &mut Turn<'_>, reason: Reason, is_fatal: bool) {
        self.memory.failures = self.memory.failures.saturating_add(1);
        self.pause(turn, pause_s(self.memory.failures, turn.timing));
        if is_fatal || self.memory.failures >= FAILURES_MAX {
            self.memory.fault.get_or_insert_with(|| reason.clone());
        }
        self.desk.tell(turn, Event::Fault, By::Engine, reason, None);
    }

    pub(super) fn pause(&mut self, turn: &Turn<'_>, span_s: u32) {
        self.pause_until = turn.after_s(span_s);
        self.memory.paused_until = turn.wall_after_s(span_s);
        self.is_memory_changed = true;
    }

    pub(super) fn forget_failures(&mut self, turn: &Turn<'_>) {
        self.memory.failures = 0;
        self.memory.paused_until = None;
        self.pause_until = turn.mono();
        self.is_memory_changed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_maximum() {
        let timing = Timing::default();
        let pauses: Vec<u32> = [0, 1, 2, 3, 6, 7, 8, 99].iter().map(|n| pause_s(*n, &timing)).collect();
        assert_eq!(pauses, [300, 300, 600, 1200, 9600, 19_200, 21_600, 21_600]);
    }
}
