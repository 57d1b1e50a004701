//! Runs that are to give a volume, and a meter that sees what they give.
//!
//! Such a run ends when its volume has flowed: the engine ends it by the meter's readings, and each Open carries what is left
//! as the node's own limit. Slow water gets more time, as far as readings show that it flows and no more than half as much
//! again: whoever gives a third less than stated is the low-flow guard's matter. Without readings, or without a meter, the
//! time that the stated flow needs holds. What ends with less than was wanted says so.

use giot_shared::time::MonoMs;
use giot_shared::units::Millilitres;
use giot_shared::valve::CloseReason;

use super::open::Run;
use super::{Phase, RunKind, Turn, Zone};
use crate::diary::By;
use crate::plan::ZonePlan;
use crate::reason::Reason;

/// Longest time of a run by volume, in halves of its planned time. At two thirds of the stated flow it still gives all: half
/// clogged filters and lines show between 50 and 70 %, and below [`FlowLimits::low_percent`](crate::FlowLimits::low_percent)
/// somebody is told.
const TIME_HALVES_MAX: u32 = 3;

/// A run that gave this share of its volume, %, gave it: ISO 4064-1 lets a meter of class 2 be off by 2 %.
const ENOUGH_PERCENT: u64 = 98;

/// Readings that come at least so often end a run themselves.
const PAUSE_MS_MAX: u64 = 60_000;

/// What a run is to give.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dose {
    /// How much, ml.
    pub(super) wanted_ml: u64,
    /// How long that takes at the stated flow, seconds.
    pub(super) planned_s: u32,
    /// How long it may take, seconds.
    pub(super) most_s: u32,
}

impl Dose {
    /// A person gives it more time, and more water; a portion is at most `portion_s`.
    pub(super) fn extend(&mut self, wanted_ml: u64, more_s: u32, portion_s: u32) {
        self.wanted_ml = wanted_ml;
        self.planned_s = self.planned_s.saturating_add(more_s).min(portion_s).max(self.planned_s);
        self.most_s = self.most_s.saturating_add(more_s).min(portion_s).max(self.most_s);
    }

    /// What to say of a run that ended so, when it was to give more than it `had`: in ms, and in ml.
    pub(super) fn short(&self, reason: &Reason, had: (Option<u64>, Option<u64>)) -> Option<Reason> {
        let is_at_end = matches!(
            reason,
            Reason::RunTimeReached { .. }
                | Reason::VolumeReached { .. }
                | Reason::ClosedByNode { close: CloseReason::VolumeReached }
        );
        let (had_ms, Some(had_ml)) = had else { return None };
        let litres = |ml: u64| u32::try_from(ml / 1000).unwrap_or(u32::MAX);
        let is_short = had_ml.saturating_mul(100) < self.wanted_ml.saturating_mul(ENOUGH_PERCENT);
        (is_at_end && is_short).then(|| Reason::VolumeShort {
            wanted_l: litres(self.wanted_ml),
            had_l: litres(had_ml),
            run_s: had_ms.unwrap_or_default() / 1000,
        })
    }
}

impl Run {
    /// What its next Open limits it to.
    pub(super) fn volume_left(&self, plan: &ZonePlan, now: MonoMs) -> Option<Millilitres> {
        let measured_ml = self.measured.map(|(ml, _)| ml);
        // Without a reading it counts as what is stated: slower water ends by its time before such a limit does.
        let stated_ml = || plan.flow.map(|flow| u64::from(flow.volume_in_ms(self.open_ms(now)).0));
        // What the node refused gave nothing.
        let may_have = self.dose.is_some() && !self.flight.is_dry();
        let had_ml = measured_ml.or_else(|| stated_ml().filter(|_| may_have));
        volume_left(plan, self.dose.as_ref(), had_ml.unwrap_or(0))
    }
}

/// What is left of a run's volume and of the most that the zone may take; a node counts from each Open anew.
pub(super) fn volume_left(plan: &ZonePlan, dose: Option<&Dose>, had_ml: u64) -> Option<Millilitres> {
    // Another meter at the valve's node counts other water than the one that is stated.
    let wanted_ml = dose.filter(|_| plan.is_metered_by_its_node()).map(|dose| dose.wanted_ml);
    let most_ml = plan.guards.volume_max.map(|volume| u64::from(volume.0));
    let limit_ml = wanted_ml.into_iter().chain(most_ml).min()?;
    let left_ml = limit_ml.saturating_sub(had_ml).max(1);
    Some(Millilitres(u32::try_from(left_ml).unwrap_or(u32::MAX)))
}

impl Zone {
    /// What a run that begins is to give: the volume of the program's run that it is, where the zone has a meter.
    pub(super) fn dose(&self, turn: &Turn<'_>, kind: &RunKind, planned_s: u32) -> Option<Dose> {
        let (program, has_hours) = match kind {
            RunKind::Program(program) => (program, true),
            RunKind::ByHand(program) => (program, false),
            RunKind::Soil | RunKind::Manual | RunKind::Rule => return None,
        };
        self.plan.guards.meter.as_ref()?;
        let wanted_ml = u64::from(self.memory.run.as_ref()?.errand.volume?.0);
        let longer_s = (planned_s.saturating_mul(TIME_HALVES_MAX) / 2).min(self.plan.run_max_s);
        let open_s = turn.now.wall.filter(|_| has_hours).map(|wall| {
            let until = turn.rules.open_until(program, &self.desk.id, wall, u64::from(longer_s) * 1000);
            u32::try_from(until.since_ms(wall) / 1000).unwrap_or(u32::MAX)
        });
        let most_s = longer_s.min(open_s.unwrap_or(longer_s)).max(planned_s);
        Some(Dose { wanted_ml, planned_s, most_s })
    }

    /// The zone's meter was read: what the run under way has given up to now, ml. Ends the run when that is enough, and gives it
    /// more time when it is slow. Returns whether anything changed.
    pub(crate) fn measured(&mut self, turn: &mut Turn<'_>, had_ml: u64) -> bool {
        let now = turn.mono();
        let run = match &mut self.phase {
            Phase::Opening(opening) => &mut opening.run,
            Phase::Open(watering) => &mut watering.run,
            Phase::Closed | Phase::Closing(_) | Phase::Local(_) => return false,
        };
        let before = run.measured.replace((had_ml, now));
        let wanted_ml = run.dose.map(|dose| dose.wanted_ml);
        let most_ml = self.plan.guards.volume_max.map(|volume| u64::from(volume.0));
        if let Some(enough_ml) =
            wanted_ml.into_iter().chain(most_ml).min().filter(|enough_ml| had_ml >= *enough_ml)
        {
            let volume_l = u32::try_from(enough_ml / 1000).unwrap_or(u32::MAX);
            self.stop(turn, Reason::VolumeReached { volume_l }, By::Engine, false);
            return true;
        }
        let Some(dose) = run.dose else { return false };
        let open_ms = run.open_ms(now);
        // Where the next reading comes soon it is the one to end the run; seldom ones must not make it too long.
        let pause_ms = before.map_or(open_ms, |(_, at)| now.since_ms(at));
        let pause_ms = if pause_ms <= PAUSE_MS_MAX { pause_ms } else { 0 };
        let needed_ms = u128::from(open_ms) * u128::from(dose.wanted_ml) / u128::from(had_ml.max(1));
        let needed_s = (needed_ms + u128::from(pause_ms)).div_ceil(1000);
        let target_s = u32::try_from(needed_s).unwrap_or(u32::MAX).min(dose.most_s);
        if had_ml == 0 || target_s <= run.planned_s() {
            return false;
        }
        run.set_target_s(target_s);
        self.renew_for_longer(turn);
        true
    }
}
