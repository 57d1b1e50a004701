//! Whether a zone wants water, may have it, and may keep it: the soil's verdict under the guards (P6).
//!
//! Pure: reads the zone, changes nothing but the note of what the diary was told. Every "no" is a [`Reason`].

use std::cmp::Reverse;

use giot_shared::time::{MonoMs, UnixMs};
use giot_shared::units::MoisturePermyriad;
use giot_shared::valve::RefusalReason;

use super::open::{Run, RunKind};
use super::{Gate, Turn, Zone, earliest};
use crate::Now;
use crate::diary::{By, Event};
use crate::plan::{Level, ZonePlan};
use crate::probe::{self, Probe, ProbeQuality};
use crate::reason::Reason;
use crate::rules::Rules;

/// What the probes of a zone say together.
#[derive(Debug)]
pub(crate) struct Soil {
    /// What the good probes say together.
    pub(crate) level: Option<Level>,
    /// Whether more than half of the probes, by their weights, are good.
    pub(crate) has_quorum: bool,
    /// When the first good probe becomes stale.
    pub(crate) stale_at: Option<MonoMs>,
    /// The first probe that is not good.
    bad: Option<usize>,
    /// Two good probes that contradict each other, the one with the lower number first.
    apart: Option<[(usize, Level); 2]>,
}

/// What follows for a zone whose valve is closed.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// No water is wanted.
    Content(Reason),
    /// Water is wanted, or cannot be judged, and must not flow.
    Blocked(Reason),
    /// Water is wanted and may flow as soon as the source is free.
    Ready {
        need: Need,
        reason: Reason,
        kind: RunKind,
        /// How long the run is to be.
        run_s: u32,
    },
}

impl Verdict {
    /// What would begin.
    pub(crate) fn kind(&self) -> Option<&RunKind> {
        match self {
            Self::Ready { kind, .. } => Some(kind),
            Self::Content(_) | Self::Blocked(_) => None,
        }
    }
}

/// Who comes first when water is short: what a program promised, by the end of the time in which it can be given, then by its
/// moment; then the driest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// How far the zone is beyond its start threshold, 1/10 000 of its band.
    Soil(u32),
    /// Until when a program's run must have had its water, and its moment.
    Errand(Reverse<(UnixMs, UnixMs)>),
}

impl Soil {
    pub(crate) fn look(now: Now, probes: &[Probe], plan: &ZonePlan) -> Self {
        let mut good = Vec::with_capacity(probes.len());
        let mut stale_at: Option<MonoMs> = None;
        let mut bad = None;
        for (idx, probe) in probes.iter().enumerate() {
            match probe.judge(now, plan) {
                (ProbeQuality::Good, Some(value)) => {
                    good.push((idx, value));
                    stale_at = earliest([stale_at, probe.stale_at(now, plan)]);
                }
                _ => bad = bad.or(Some(idx)),
            }
        }
        let (level, has_quorum) = plan.together(&good);
        Self { level, has_quorum, stale_at, bad, apart: apart(&good, plan) }
    }
}

/// Two good probes of one depth that differ by more than twins may. Of three and more the majority wins that agrees with their
/// median, which is then one of theirs; a weighted mean has the odd one in it too.
fn apart(good: &[(usize, Level)], plan: &ZonePlan) -> Option<[(usize, Level); 2]> {
    let twins = &plan.guards.twins;
    let apart_max = twins.apart_max.get();
    let is_apart = |a: Level, b: Level| a.get().abs_diff(b.get()) > apart_max;
    twins.groups.iter().filter(|_| apart_max > 0).find_map(|group| {
        let of_group = good.iter().filter(|(idx, _)| group.contains(idx));
        let mut levels: Vec<(Level, usize)> = of_group.map(|(idx, level)| (*level, *idx)).collect();
        levels.sort_unstable();
        let ((low, low_idx), (high, high_idx)) = (*levels.first()?, *levels.last()?);
        let (middle, _) = *levels.get(levels.len() / 2)?;
        let n_agree = levels.iter().filter(|(level, _)| !is_apart(*level, middle)).count();
        let is_outvoted = plan.weights.is_empty() && levels.len() > 2 && n_agree * 2 > levels.len();
        (is_apart(low, high) && !is_outvoted).then_some([(low_idx, low), (high_idx, high)])
    })
}

impl Zone {
    pub(crate) fn soil(&self, now: Now) -> Soil {
        Soil::look(now, &self.probes, &self.plan)
    }

    /// Why the probes cannot be relied on, `None` when they can.
    pub(super) fn soil_trouble(&self, now: Now, soil: &Soil) -> Option<Reason> {
        if soil.has_quorum {
            return None;
        }
        let found = soil.bad.and_then(|idx| {
            let (probe, name) = (self.probes.get(idx)?, self.plan.probes.get(idx)?);
            let (quality, value) = probe.judge(now, &self.plan);
            probe::reason(quality, value, name, &self.plan)
        });
        Some(found.unwrap_or(Reason::InvalidPlan { problem: "no_probe".to_owned() }))
    }

    /// Why probes that contradict each other start nothing, where one of them says that the soil is dry.
    fn contradiction(&self, soil: &Soil) -> Option<Reason> {
        let [(idx, level), (other_idx, other)] = soil.apart?;
        if !self.plan.soil.is_dry(level) && !self.plan.soil.is_dry(other) {
            return None;
        }
        let name = |idx: usize| {
            let probe = self.plan.probes.get(idx)?;
            Some(format!("{} {}", probe.device, probe.metric))
        };
        let (probe, other_probe) = (name(idx)?, name(other_idx)?);
        let apart_max = self.plan.guards.twins.apart_max;
        if self.plan.soil.is_tension() {
            return Some(Reason::TensionsDisagree {
                probe,
                tension_kpa: level,
                other_probe,
                other_kpa: other,
                apart_max_kpa: apart_max,
            });
        }
        let moisture = |level: Level| level.moisture().unwrap_or(MoisturePermyriad::MAX);
        Some(Reason::ProbesDisagree {
            probe,
            moisture: moisture(level),
            other_probe,
            other_moisture: moisture(other),
            apart_max: moisture(apart_max),
        })
    }

    /// What the zone should do while its valve is closed. The guards that a person can see first come first: clock and
    /// probes say whether water is wanted at all; then whatever forbids it.
    pub(crate) fn verdict(&self, now: Now, rules: &Rules) -> Verdict {
        if let Some(verdict) = self.errand_verdict(now, rules) {
            return verdict;
        }
        if !self.plan.automatic {
            return Verdict::Content(Reason::NotAutomatic {});
        }
        if let Some(problem) = self.invalid {
            return Verdict::Blocked(Reason::InvalidPlan { problem: problem.to_owned() });
        }
        let Some(wall) = now.wall else { return Verdict::Blocked(Reason::ClockUnset {}) };
        let soil = self.soil(now);
        if let Some(trouble) = self.soil_trouble(now, &soil) {
            return Verdict::Blocked(trouble);
        }
        if let Some(contradiction) = self.contradiction(&soil) {
            return Verdict::Blocked(contradiction);
        }
        // A quorum has a level.
        let level = soil.level.unwrap_or_else(|| self.plan.soil.stop());
        let (need, dry) = match self.plan.soil.need(level) {
            Some(need) => (need, self.plan.soil.dry(level)),
            None if self.is_refilled(now, level) => (0, Reason::SoilGoesOn {}),
            None => return Verdict::Content(self.plan.soil.content(level)),
        };
        if let Some(barred) = self.kept_from_starting(now) {
            return Verdict::Blocked(barred);
        }
        if now.mono < self.rest_until {
            let by = self.memory.rest.as_ref().map(|rest| rest.by.clone()).unwrap_or_default();
            return Verdict::Blocked(Reason::RestAfterStop {
                by,
                remaining_s: seconds_to(now, self.rest_until),
            });
        }
        if now.mono < self.off_until {
            return Verdict::Blocked(Reason::MinimumOff { remaining_s: seconds_to(now, self.off_until) });
        }
        if let Some(closed) = rules.bar(&self.desk.id, wall) {
            return Verdict::Blocked(closed);
        }
        Verdict::Ready {
            need: Need::Soil(need),
            reason: dry,
            kind: RunKind::Soil,
            run_s: self.plan.run_max_s,
        }
    }

    /// Whether a run by the soil goes on that a pause of water ended before it was wet enough.
    fn is_refilled(&self, now: Now, level: Level) -> bool {
        now.mono < self.refill_until && !self.plan.soil.is_wet(level)
    }

    /// What bars every start, a person's too: a plan that is to take over, the plan's problem, lock, fault, quarantine, a node without connection.
    pub(crate) fn barred(&self, now: Now) -> Option<Reason> {
        if let Some(version) = self.leaving {
            return Some(Reason::FarmChanged { version });
        }
        if let Some(problem) = self.invalid {
            return Some(Reason::InvalidPlan { problem: problem.to_owned() });
        }
        if let Some(lock) = &self.memory.lock {
            return Some(lock.reason());
        }
        if let Some(gate) = self.gate.as_ref().filter(|gate| gate.is_safety) {
            return Some(gate.reason_at(now));
        }
        if let Some(fault) = &self.memory.fault {
            return Some(Reason::UnresolvedFault { fault: fault.code().to_owned() });
        }
        if now.mono < self.pause_until && self.memory.failures == 0 {
            // Without a failure, only a lock at the node makes a pause.
            return Some(Reason::CommandRefused { refusal: RefusalReason::LockedLocally });
        }
        if now.mono < self.pause_until {
            let remaining_s = seconds_to(now, self.pause_until);
            return Some(Reason::Quarantined { failures: self.memory.failures, remaining_s });
        }
        (self.is_online == Some(false)).then(|| Reason::NodeOffline { node: self.plan.valve.node.clone() })
    }

    /// What guards hold back from everyone but people.
    pub(super) fn held_back(&self) -> Option<Reason> {
        self.gate.as_ref().map(|gate| gate.reason.clone())
    }

    /// Whether the zones of a source of its are tested one after another: then nothing but tests flows there, whoever wants it.
    pub(super) fn tested_beside(&self) -> Option<Reason> {
        self.gate.as_ref().filter(|gate| gate.is_diagnosis()).map(|gate| gate.reason.clone())
    }

    /// What keeps soil and rules from starting the zone, whatever its soil is like.
    pub(super) fn kept_from_starting(&self, now: Now) -> Option<Reason> {
        self.barred(now).or_else(|| self.held_back()).or_else(|| self.suspended(now))
    }

    /// Whose pause keeps soil and rules from starting the zone.
    pub(super) fn suspended(&self, now: Now) -> Option<Reason> {
        self.suspension.zip(now.wall).and_then(|(suspension, wall)| suspension.reason(wall))
    }

    /// Why an automatic run that is under way must end; a guard that holds for people ends theirs too.
    pub(super) fn stop_wanted(&self, turn: &Turn<'_>) -> Option<Reason> {
        let run = self.run()?;
        let is_by_person = run.is_by_person();
        let is_test = run.kind.is_test();
        let ends_this = |gate: &&Gate| gate.is_safety || !is_by_person || (gate.is_diagnosis() && !is_test);
        if let Some(gate) = self.gate.as_ref().filter(ends_this) {
            return Some(gate.reason_at(turn.now));
        }
        // A person's pause ends what began by itself.
        if let Some(pause) = self.suspended(turn.now).filter(|_| !is_by_person) {
            return Some(pause);
        }
        if run.is_manual() {
            return None;
        }
        let Some(wall) = turn.now.wall else { return Some(Reason::ClockUnset {}) };
        if !run.kind.is_watched() {
            return None;
        }
        let soil = self.soil(turn.now);
        // A zone without probes is watered by programs and rules alone.
        let trouble = self.soil_trouble(turn.now, &soil).filter(|_| !self.plan.probes.is_empty());
        if trouble.is_some() {
            return trouble;
        }
        let is_wet = |level: &Level| self.plan.soil.is_wet(*level);
        if let Some(level) = soil.level.filter(|level| is_wet(level) && turn.mono() >= self.keep_until) {
            return Some(self.plan.soil.wet(level));
        }
        turn.rules.bar(&self.desk.id, wall)
    }

    /// When time alone can end an automatic run.
    pub(super) fn deadline_run(&self, turn: &Turn<'_>, run: &Run) -> Option<MonoMs> {
        if !run.kind.is_watched() {
            return None;
        }
        let kept = (self.keep_until > turn.mono()).then_some(self.keep_until);
        earliest([self.soil(turn.now).stale_at, self.window_change_at(turn), kept])
    }

    /// When time alone can change the verdict on a closed zone.
    pub(super) fn deadline_closed(&self, turn: &Turn<'_>) -> Option<MonoMs> {
        earliest([self.deadline_errand(turn), self.deadline_soil(turn)])
    }

    fn deadline_soil(&self, turn: &Turn<'_>) -> Option<MonoMs> {
        if !self.plan.automatic || self.invalid.is_some() || turn.now.wall.is_none() {
            return None;
        }
        let soil = self.soil(turn.now);
        if !soil.has_quorum {
            let grace_end = self.grace_end(turn);
            return earliest([soil.stale_at, (grace_end > turn.mono()).then_some(grace_end)]);
        }
        let is_wanted = |level| self.plan.soil.is_dry(level) || self.is_refilled(turn.now, level);
        if !soil.level.is_some_and(is_wanted) {
            return soil.stale_at;
        }
        let ahead = |at: MonoMs| (at > turn.mono()).then_some(at);
        let suspended_ms = self.suspension.zip(turn.now.wall).map(|(pause, wall)| pause.until.since_ms(wall));
        earliest([
            suspended_ms.and_then(|span_ms| ahead(turn.mono().plus_ms(span_ms))),
            soil.stale_at,
            ahead(self.pause_until),
            ahead(self.rest_until),
            ahead(self.off_until),
            self.window_change_at(turn),
        ])
    }

    /// Notes why no water flows; the diary is told once per cause, and not at all while readings may still be on their
    /// way after a start.
    pub(crate) fn skip(&mut self, turn: &mut Turn<'_>, reason: Reason) {
        if self.told.as_ref().is_some_and(|told| told.is_same_cause(&reason)) {
            return;
        }
        let is_awaiting = matches!(
            &reason,
            Reason::NoReading { .. } | Reason::StaleReading { .. } | Reason::AgeUnknown { .. }
        );
        if is_awaiting && turn.mono() < self.grace_end(turn) {
            return;
        }
        self.told = Some(reason.clone());
        self.desk.tell(turn, Event::Skipped, By::Engine, reason, None);
    }

    /// No cause stands any more: the next one is news.
    pub(crate) fn unskip(&mut self) {
        self.told = None;
    }

    /// Records that a person's stop keeps the zone from starting, so that the same is not told again.
    pub(super) fn skip_told(&mut self, reason: Reason) {
        self.told = Some(reason);
    }

    fn grace_end(&self, turn: &Turn<'_>) -> MonoMs {
        turn.started_at.plus_ms(u64::from(self.plan.fresh_s) * 1000)
    }

    fn window_change_at(&self, turn: &Turn<'_>) -> Option<MonoMs> {
        let wall = turn.now.wall?;
        let edge = turn.rules.next_edge(&self.desk.id, wall)?;
        Some(turn.mono().plus_ms(edge.since_ms(wall)))
    }
}

/// Seconds until a moment, rounded up so that a wait never shows as zero.
pub(super) fn seconds_to(now: Now, at: MonoMs) -> u64 {
    at.since_ms(now.mono).div_ceil(1000)
}
