//! Programs at work: what their starts ask of zones, what people say about them.
//!
//! A start hands its runs to the zones as errands; from there on the same guards, queue and leases hold as for every run.
//! A person's word about a program may pass over hours and rests, never over locks, faults, pipes or unreachable nodes.

use std::collections::{BTreeMap, BTreeSet};

use giot_shared::time::UnixMs;
use giot_shared::units::Millilitres;

use super::Engine;
use crate::Now;
use crate::diary::{Action, By, Event};
use crate::ids::{ProgramId, ZoneId};
use crate::input::{Pause, ProgramWish};
use crate::program::{Control, FarmState, LackState, Lacks, WATER_PAUSE_MS_MAX};
use crate::reason::Reason;
use crate::schedule::{Decision, Round};
use crate::view::ProgramView;

/// After the start so long is waited for the first count of what soils lack: it reads a season of weather.
const COUNT_WAIT_MS: u64 = 120_000;

impl Engine {
    /// What holds for the whole farm at this moment.
    #[must_use]
    pub fn farm_state(&self) -> FarmState {
        FarmState { lacks: self.lacks(), ..self.schedule.farm.clone() }
    }

    /// What a page shows of a program, `None` for an unknown one.
    #[must_use]
    pub fn program_view(&self, id: &ProgramId) -> Option<ProgramView> {
        let (control, next_start, invalid) = self.schedule.view(id)?;
        let invalid = invalid.map(str::to_owned);
        Some(ProgramView { program: id.clone(), control: control.clone(), next_start, invalid })
    }

    /// The programs, in the order of their names.
    pub fn program_ids(&self) -> impl Iterator<Item = &ProgramId> {
        self.out.rules.programs.keys()
    }

    /// Lets every program act whose start has come, and notes when the next one does.
    pub(super) fn run_programs(&mut self, now: Now) {
        let Some(wall) = now.wall else {
            self.schedule_at = None;
            return;
        };
        let uncounted = self.uncounted(now);
        if self.schedule.is_due(wall) {
            let needs = self.needs(now);
            self.schedule.farm.lacks = self.lacks();
            let mut zones = BTreeSet::new();
            for decision in self.schedule.decide(&self.out.rules, wall, needs, &uncounted) {
                let by = By::Program(decision.program.clone());
                zones.extend(self.carry_out(now, decision, by));
            }
            self.settle_errands(now, zones);
        }
        let next = self.schedule.next();
        let next_at = next.map(|next| now.mono.plus_ms(next.since_ms(wall).max(1)));
        let counted_at = (!uncounted.is_empty()).then(|| self.out.started_at.plus_ms(COUNT_WAIT_MS));
        self.schedule_at = next_at.into_iter().chain(counted_at).min();
    }

    pub(super) fn program_wish(
        &mut self,
        now: Now,
        id: &ProgramId,
        wish: ProgramWish,
        by: &str,
        touched: &mut Vec<usize>,
    ) {
        let program = id.clone();
        let reason = match wish {
            ProgramWish::Start => return self.start_by_hand(now, id, by),
            ProgramWish::Stop => Reason::ProgramStop { program },
            ProgramWish::SkipNext(n) => Reason::ProgramSkipping { program, left: n.into() },
            ProgramWish::Enable(true) => Reason::ProgramEnabled { program },
            ProgramWish::Enable(false) => Reason::ProgramSwitchedOff { program },
            ProgramWish::Adjust(percent) => {
                Reason::ProgramAdjusted { program, percent: percent.get().into() }
            }
            ProgramWish::SuspendUntil(until) => match remaining_s(until, now) {
                0 => Reason::ProgramResumed { program },
                remaining_s => Reason::ProgramPaused { program, remaining_s },
            },
        };
        // What a start still wants is over with these.
        let is_over = matches!(
            reason,
            Reason::ProgramStop { .. } | Reason::ProgramSwitchedOff { .. } | Reason::ProgramPaused { .. }
        );
        // Of a pause, what comes before its end.
        let before = if let ProgramWish::SuspendUntil(until) = wish { until } else { None };
        let goes_on =
            before.is_some_and(|before| self.zones.iter().any(|zone| zone.has_errand_from(id, before)));
        let was = self.schedule.view(id).map(|(control, ..)| control);
        let is_paused = |was: &Control| remaining_s(was.suspended_until, now) > 0;
        if matches!(reason, Reason::ProgramResumed { .. }) && was.is_some_and(|was| !is_paused(was)) {
            // Nothing was paused: nothing is told.
            return;
        }
        let told = was.and_then(|was| changed_from(id, wish, was, now)).unwrap_or_else(|| reason.clone());
        let control = self.schedule.change(id, |control| {
            match wish {
                ProgramWish::Start | ProgramWish::Stop => {}
                ProgramWish::SkipNext(n) => control.skip_next = n,
                ProgramWish::Enable(is_enabled) => control.is_enabled = is_enabled,
                ProgramWish::Adjust(percent) => control.adjust = percent,
                ProgramWish::SuspendUntil(until) => control.suspended_until = until,
            }
            control.busy_until = control.busy_until.filter(|_| !is_over || goes_on);
        });
        let Some(control) = control else {
            self.tell_farm(now, Event::Refused, Reason::UnknownProgram { program: id.clone() }, by);
            return;
        };
        let event = if wish == ProgramWish::Stop { Event::Stopping } else { Event::Adjusted };
        self.tell_farm(now, event, told, by);
        self.remember(id, control);
        for idx in (0..self.zones.len()).filter(|_| is_over) {
            self.with(now, Some(idx), touched, |zone, turn| {
                if wish == ProgramWish::Stop {
                    zone.stop_program(turn, id, by);
                } else {
                    zone.leave_out(turn, id, before, &reason, by);
                }
            });
        }
    }

    /// No program waits for the end of a start that somebody stopped with everything.
    pub(super) fn end_starts(&mut self) {
        let programs: Vec<_> = self.out.rules.programs.keys().cloned().collect();
        for id in programs {
            let is_busy = self.schedule.view(&id).is_some_and(|(control, ..)| control.busy_until.is_some());
            let control = is_busy.then(|| self.schedule.change(&id, |control| control.busy_until = None));
            if let Some(control) = control.flatten() {
                self.remember(&id, control);
            }
        }
    }

    pub(super) fn pause(&mut self, now: Now, kind: Pause, until: Option<UnixMs>, by: &str) {
        let farm = &mut self.schedule.farm;
        let (before, ended) = match kind {
            Pause::Rain => (farm.rain_delay_until, Reason::RainDelayEnded {}),
            Pause::Farm => (farm.suspended_until, Reason::PauseEnded {}),
            Pause::Water => (farm.water_paused_until, Reason::WaterPauseEnded {}),
        };
        let until = match kind {
            Pause::Rain => {
                farm.rain_delay_until = until;
                until
            }
            Pause::Farm => {
                farm.suspended_until = until;
                until
            }
            Pause::Water => match self.pause_water(now, until) {
                Ok(until) => until,
                Err(reason) => return self.tell_farm(now, Event::Refused, reason, by),
            },
        };
        self.schedule.forget_starts();
        let set = match kind {
            Pause::Rain => rain_delay(until, now),
            Pause::Farm => suspended(until, now),
            Pause::Water => water_paused(until, now),
        };
        match set {
            Some(reason) => self.tell_farm(now, Event::Adjusted, reason, by),
            None => self.tell_pause_end(now, None, before, ended, by),
        }
        self.out.actions.push_back(Action::RememberFarm { farm: Box::new(self.schedule.farm.clone()) });
        self.tell_suspensions(now);
    }

    /// Tells that a pause is over, if there was one, and which others still hold.
    fn tell_pause_end(
        &mut self,
        now: Now,
        zone: Option<ZoneId>,
        before: Option<UnixMs>,
        ended: Reason,
        by: &str,
    ) {
        // Without the time, nobody knows whether it was over.
        if before.is_none_or(|before| now.wall.is_some_and(|wall| before <= wall)) {
            return;
        }
        let farm = &self.schedule.farm;
        let of_zone = zone.as_ref().and_then(|zone| farm.zones_suspended_until.get(zone).copied());
        let others = [
            suspended(farm.suspended_until.max(of_zone), now),
            rain_delay(farm.rain_delay_until, now),
            water_paused(farm.water_paused_until, now),
        ];
        self.tell(now, zone.clone(), Event::Adjusted, By::Person(by.to_owned()), ended);
        for reason in others.into_iter().flatten() {
            // Nobody has set these now.
            self.tell(now, zone.clone(), Event::Notified, By::Engine, reason);
        }
    }

    /// Tells each zone the pause that holds for it; all of them before the first is looked at, which may let another start.
    fn tell_suspensions(&mut self, now: Now) {
        let farm = &self.schedule.farm;
        let is_changed = |zone: &mut crate::zone::Zone| zone.heed_pauses(farm);
        let zones = self.zones.iter_mut().enumerate();
        let changed: Vec<_> = zones.filter_map(|(idx, zone)| is_changed(zone).then_some(idx)).collect();
        for idx in changed {
            self.settle(idx, now);
        }
    }

    pub(super) fn suspend_zone(&mut self, now: Now, zone: &ZoneId, until: Option<UnixMs>, by: &str) {
        if !self.zone_idx.contains_key(zone) {
            return self.tell_farm(now, Event::Refused, Reason::UnknownZone { zone: zone.clone() }, by);
        }
        let (zones, known) = (&mut self.schedule.farm.zones_suspended_until, &self.zone_idx);
        let before = zones.get(zone).copied();
        // What is over, or of a zone that is gone, is not carried along.
        let is_ahead = |until: UnixMs| now.wall.is_none_or(|wall| until > wall);
        zones.retain(|other, until| other != zone && known.contains_key(other) && is_ahead(*until));
        zones.extend(until.filter(|until| is_ahead(*until)).map(|until| (zone.clone(), until)));
        self.schedule.forget_starts();
        match suspended(until, now) {
            Some(reason) => {
                self.tell(now, Some(zone.clone()), Event::Adjusted, By::Person(by.to_owned()), reason);
            }
            None => {
                self.tell_pause_end(now, Some(zone.clone()), before, Reason::ZonePauseEnded {}, by);
            }
        }
        self.out.actions.push_back(Action::RememberFarm { farm: Box::new(self.schedule.farm.clone()) });
        self.tell_suspensions(now);
    }

    /// Returns when the pause really ends; one that is set needs the clock.
    fn pause_water(&mut self, now: Now, until: Option<UnixMs>) -> Result<Option<UnixMs>, Reason> {
        let until = match (until, now.wall) {
            (None, _) => None,
            (Some(until), Some(wall)) => {
                Some(until.min(wall.plus_ms(WATER_PAUSE_MS_MAX))).filter(|until| *until > wall)
            }
            (Some(_), None) => return Err(Reason::ClockUnset {}),
        };
        self.schedule.farm.water_paused_until = until;
        self.guards.take_pause(&self.schedule.farm, now);
        if let Some(until) = until {
            self.end_tests();
            self.zones.iter_mut().for_each(|zone| zone.wait_out(until));
        }
        Ok(until)
    }

    fn start_by_hand(&mut self, now: Now, id: &ProgramId, by: &str) {
        let program = self.out.rules.programs.get(id);
        let zones = program.into_iter().flat_map(|program| &program.sequence.steps).map(|step| &step.zone);
        let bars: Vec<_> = zones.map(|zone| self.barred(now, zone)).collect();
        // Zones that cannot run leave the others their water; where none can, the wish is refused.
        let bar = bars.iter().all(Option::is_some).then(|| bars.into_iter().flatten().next()).flatten();
        let decision = match now.wall {
            Some(_) if bar.is_some() => Err(bar.unwrap_or(Reason::ClockUnset {})),
            Some(wall) => {
                self.schedule.farm.lacks = self.lacks();
                self.schedule.by_hand(&self.out.rules, id, wall)
            }
            None => Err(Reason::ClockUnset {}),
        };
        match decision {
            Ok(mut decision) => {
                self.leave_out_given_up(&mut decision);
                let zones = self.carry_out(now, decision, By::Person(by.to_owned()));
                self.settle_errands(now, zones);
            }
            Err(reason) => {
                // The reason comes last: it answers whoever asked.
                if !matches!(reason, Reason::UnknownProgram { .. }) {
                    let program = id.clone();
                    self.tell_farm(now, Event::Refused, Reason::ProgramNotStarted { program }, by);
                }
                self.tell_farm(now, Event::Refused, reason, by);
            }
        }
    }

    /// A start by hand is not told longer by the runs that their zones give up at once; their turns pass as planned.
    fn leave_out_given_up(&self, decision: &mut Decision) {
        let Some(round) = &mut decision.round else { return };
        let is_given_up = |zone: &ZoneId| {
            let zone = self.zone_idx.get(zone).and_then(|idx| self.zones.get(*idx));
            zone.is_some_and(crate::zone::Zone::gives_up_at_once)
        };
        let given_up = round.errands.iter().filter(|(zone, _)| is_given_up(zone));
        let given_up_s: u64 =
            given_up.flat_map(|(_, errands)| errands).map(|errand| u64::from(errand.run_s)).sum();
        round.run_s = round.run_s.saturating_sub(given_up_s);
    }

    /// Tells what a program decided, at its time or for a person, and hands its runs to the zones; which.
    fn carry_out(&mut self, now: Now, decision: Decision, by: By) -> BTreeSet<usize> {
        let Decision { program, skipped, round, control } = decision;
        for skip in skipped {
            self.tell(now, None, Event::Skipped, by.clone(), skip.reason);
        }
        self.remember(&program, control);
        let mut zones = BTreeSet::new();
        let Some(Round { errands, skips, notes, run_s }) = round else { return zones };
        let reason = Reason::ProgramStart { program: program.clone(), run_s };
        self.tell(now, None, Event::Scheduled, by.clone(), reason);
        for skip in skips {
            self.tell(now, Some(skip.zone), Event::Skipped, by.clone(), skip.reason);
        }
        for (zone, note) in notes {
            self.tell(now, Some(zone), Event::Scheduled, by.clone(), note);
        }
        for (zone, errands) in errands {
            let Some(idx) = self.zone_idx.get(&zone).copied() else { continue };
            if let Some(zone) = self.zones.get_mut(idx) {
                zone.add_errands(errands);
            }
            zones.insert(idx);
        }
        zones
    }

    /// Zones have new errands: all of all programs, before any is settled, so that the queue weighs them together.
    fn settle_errands(&mut self, now: Now, zones: BTreeSet<usize>) {
        for idx in zones.iter().copied() {
            self.queue(idx, now);
        }
        for idx in zones {
            self.settle(idx, now);
        }
    }

    pub(super) fn remember(&mut self, program: &ProgramId, control: Control) {
        self.out.actions.push_back(Action::RememberProgram { program: program.clone(), control });
    }

    /// Takes a count of what a zone lacks.
    pub(super) fn take_lack(&mut self, now: Now, zone: &ZoneId, age_ms: u64, state: LackState) {
        if let Some(zone) = self.zone_idx.get(zone).and_then(|idx| self.zones.get_mut(*idx)) {
            zone.take_lack(now, age_ms, state);
        }
    }

    /// Water that a person gave otherwise.
    pub(super) fn note_hand_water(&mut self, now: Now, zone: &ZoneId, run_s: u32, litres: u32) {
        if let Some(zone) = self.zone_idx.get(zone).and_then(|idx| self.zones.get_mut(*idx)) {
            let volume = Millilitres(litres.saturating_mul(1000));
            zone.note_water(now, u64::from(run_s) * 1000, Some(volume));
        }
    }

    /// What each zone lacks at this moment.
    fn lacks(&self) -> Lacks {
        let lack = |zone: &crate::zone::Zone| Some((zone.desk.id.clone(), zone.lack()?));
        self.zones.iter().filter_map(lack).collect()
    }

    /// Zones that some program refills and that have not been counted since the start, while a count may still be on its way.
    fn uncounted(&self, now: Now) -> BTreeSet<ZoneId> {
        if now.mono >= self.out.started_at.plus_ms(COUNT_WAIT_MS) {
            return BTreeSet::new();
        }
        let refilled = self.out.rules.programs.values().flat_map(crate::program::Program::refills);
        let is_counted = |zone: &ZoneId| {
            self.zone_idx
                .get(zone)
                .and_then(|idx| self.zones.get(*idx))
                .is_none_or(crate::zone::Zone::is_counted)
        };
        refilled.filter(|zone| !is_counted(zone)).cloned().collect()
    }

    /// How dry each zone is, for the order among them; zones that cannot be judged are left out.
    pub(super) fn needs(&self, now: Now) -> BTreeMap<ZoneId, u32> {
        let need = |zone: &crate::zone::Zone| {
            let dryness = zone.plan.soil.dryness(zone.soil(now).level?);
            Some((zone.desk.id.clone(), dryness))
        };
        self.zones.iter().filter_map(need).collect()
    }
}

/// A program's setting that a person changes, with what it was before; `None` where nothing changes, or the word says it all.
fn changed_from(id: &ProgramId, wish: ProgramWish, was: &Control, now: Now) -> Option<Reason> {
    let program = id.clone();
    match wish {
        ProgramWish::SkipNext(n) if n != was.skip_next => {
            let (left, was_left) = (n.into(), was.skip_next.into());
            Some(Reason::ProgramSkippingFrom { program, left, was_left })
        }
        ProgramWish::Adjust(percent) if percent != was.adjust => {
            let (percent, was_percent) = (percent.get().into(), was.adjust.get().into());
            Some(Reason::ProgramAdjustedFrom { program, percent, was_percent })
        }
        ProgramWish::SuspendUntil(until) => {
            match (remaining_s(until, now), remaining_s(was.suspended_until, now)) {
                (_, 0) => None,
                (0, was_s) => Some(Reason::ProgramResumedFrom { program, was_s }),
                (remaining_s, was_s) if remaining_s == was_s => None,
                (remaining_s, was_s) => Some(Reason::ProgramPausedFrom { program, remaining_s, was_s }),
            }
        }
        ProgramWish::Start
        | ProgramWish::Stop
        | ProgramWish::Enable(_)
        | ProgramWish::SkipNext(_)
        | ProgramWish::Adjust(_) => None,
    }
}

/// The farm's or a zone's pause in words; `None`: it is over.
fn suspended(until: Option<UnixMs>, now: Now) -> Option<Reason> {
    let remaining_s = remaining_s(until, now);
    (remaining_s > 0).then_some(Reason::Suspended { remaining_s })
}

/// The rain delay in words; `None`: it is over.
fn rain_delay(until: Option<UnixMs>, now: Now) -> Option<Reason> {
    let remaining_s = remaining_s(until, now);
    (remaining_s > 0).then_some(Reason::RainDelay { remaining_s })
}

/// The pause of all water in words; `None`: it is over.
fn water_paused(until: Option<UnixMs>, now: Now) -> Option<Reason> {
    let remaining_s = remaining_s(until, now);
    (remaining_s > 0).then_some(Reason::WaterPaused { remaining_s })
}

/// How long it is until then, s; 0 when it is over or nobody knows the time.
fn remaining_s(until: Option<UnixMs>, now: Now) -> u64 {
    until.zip(now.wall).map_or(0, |(until, wall)| until.since_ms(wall).div_ceil(1000))
}
