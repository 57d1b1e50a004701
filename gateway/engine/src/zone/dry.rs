//! How long a run had no water although its valve was open: its pump rested, or had used up its starts of the hour.
//!
//! The valve stays open meanwhile, and its run ends at its time. What was missed then follows as a further errand, within the
//! hours, as after an interruption. The time by which the farm's plan has the pump go on after the valve, and the moments after it
//! went off for good, are part of every run and do not count.

use giot_shared::time::MonoMs;

use super::{Phase, Zone};
use crate::reason::Reason;

/// A shorter time without water is not worth another opening and another start of the pump: its usual rest is a minute.
const DRY_MS_MIN: u64 = 180_000;

/// The pump of a run, as far as the run has lasted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dry {
    has_flowed: bool,
    since: Option<MonoMs>,
    ms: u64,
}

impl Dry {
    /// The pumps on its way are all on, or not any more; at first they go on at `due_at`.
    fn note(&mut self, now: MonoMs, is_on: bool, due_at: MonoMs) {
        if is_on {
            self.ms = self.ms_until(now);
            (self.has_flowed, self.since) = (true, None);
        } else {
            self.since.get_or_insert(if self.has_flowed { now } else { now.max(due_at) });
        }
    }

    /// How long there was no water until a moment, ms.
    pub(super) fn ms_until(&self, at: MonoMs) -> u64 {
        self.ms.saturating_add(self.since.map_or(0, |since| at.since_ms(since)))
    }
}

impl Zone {
    /// The pumps on the zone's way are all on, or not any more. By their plans they go on so long after its valve.
    pub(crate) fn note_pumps(&mut self, now: MonoMs, is_on: bool, lag_ms: u64) {
        let due_at = self.since.plus_ms(lag_ms);
        if let Phase::Open(watering) = &mut self.phase {
            watering.run.dry.note(now, is_on, due_at);
        }
    }

    /// Whether a run that ended so, after so long without water, is to be made up for.
    pub(super) fn is_short_of_water(reason: &Reason, dry_ms: u64) -> bool {
        matches!(reason, Reason::RunTimeReached { .. }) && dry_ms >= DRY_MS_MIN
    }
}
