//! Runs that a person asks for in one go, and the runs by which the engine finds out what is wrong: a test of valves, a set
//! of runs once, a diagnosis after an overflow.
//!
//! They are errands like those of a program that a person started: locks, faults, pipes, pumps and tanks hold for them.

use std::collections::BTreeSet;

use giot_shared::time::UnixMs;

use super::{CLOCK_STEP_MS, Engine, clock_offset_ms};
use crate::Now;
use crate::diary::{By, Event};
use crate::ids::ZoneId;
use crate::input::RunSet;
use crate::reason::Reason;
use crate::zone::{Errand, Zone};

/// Between two valves of a test: closing, and a pump's rest, take their time.
const GAP_S: u32 = 90;

impl Engine {
    /// Takes up a set of runs for a person.
    pub(super) fn run_set(&mut self, now: Now, set: RunSet, runs: &[(ZoneId, u32)], by: &str) {
        let Some(wall) = now.wall else {
            return self.tell_farm(now, Event::Refused, Reason::ClockUnset {}, by);
        };
        if let Some((zone, _)) = runs.iter().find(|(zone, _)| !self.zone_idx.contains_key(zone)) {
            return self.tell_farm(now, Event::Refused, Reason::UnknownZone { zone: zone.clone() }, by);
        }
        let is_free = |(zone, _): &&(ZoneId, u32)| self.barred(now, zone).is_none();
        let free: Vec<_> = runs.iter().filter(is_free).cloned().collect();
        // With nothing left to do the wish is refused as a whole; else the others go on.
        let event = if free.is_empty() { Event::Refused } else { Event::Skipped };
        for (zone, _) in runs {
            if let Some(reason) = self.barred(now, zone) {
                self.tell(now, Some(zone.clone()), event, By::Person(by.to_owned()), reason);
            }
        }
        if free.is_empty() && !runs.is_empty() {
            return;
        }
        let runs = free.as_slice();
        let run_s = runs.iter().map(|(_, run_s)| u64::from(*run_s)).sum();
        let zones: BTreeSet<_> = runs.iter().map(|(zone, _)| zone).collect();
        let n_zones = u32::try_from(zones.len()).unwrap_or(u32::MAX);
        let reason = match set {
            RunSet::Test => Reason::TestStarted { n_zones, run_s },
            RunSet::Once => Reason::OnceStarted { n_zones, run_s },
        };
        self.tell_farm(now, Event::Scheduled, reason, by);
        self.hand_out(now, wall, set, runs, Some(by));
    }

    /// A person who asked for water wants it as soon as may be, not by a clock: when that is set, the moments of such runs go with
    /// it. Else one that was asked for while the clock was days ahead would open days later.
    pub(super) fn keep_wishes(&mut self, now: Now) {
        let Some(offset_ms) = clock_offset_ms(now) else { return };
        let Some(known_ms) = self.clock_known_ms.replace(offset_ms) else { return };
        let shift_ms = offset_ms.saturating_sub(known_ms);
        if shift_ms.unsigned_abs() > CLOCK_STEP_MS {
            self.zones.iter_mut().for_each(|zone| zone.shift_wishes(shift_ms));
        }
    }

    /// What keeps everybody from starting a zone, a person too.
    pub(super) fn barred(&self, now: Now, zone: &ZoneId) -> Option<Reason> {
        self.zones.get(*self.zone_idx.get(zone)?)?.barred(now)
    }

    /// Tests zones one after another for the engine itself.
    pub(super) fn diagnose(&mut self, now: Now, reason: Reason, zones: &[usize], run_s: u32) -> bool {
        let Some(wall) = now.wall else { return false };
        self.tell(now, None, Event::Scheduled, By::Engine, reason);
        let id = |idx: &usize| self.zones.get(*idx).map(|zone| zone.desk.id.clone());
        let runs: Vec<_> = zones.iter().filter_map(id).map(|zone| (zone, run_s)).collect();
        self.hand_out(now, wall, RunSet::Test, &runs, None);
        true
    }

    /// Whether a valve of the same waters is being tested: what flows is to be one zone's.
    pub(super) fn is_testing_beside(&self, idx: usize) -> bool {
        let is_tested =
            |(other, zone): (usize, &Zone)| zone.is_under_test() && self.network.are_connected(other, idx);
        self.zones.iter().enumerate().any(is_tested)
    }

    fn hand_out(
        &mut self,
        now: Now,
        wall: UnixMs,
        set: RunSet,
        runs: &[(ZoneId, u32)],
        asked_by: Option<&str>,
    ) {
        let n_cycles = u32::try_from(runs.len()).unwrap_or(u32::MAX);
        let idxs = runs.iter().filter_map(|(zone, _)| self.zone_idx.get(zone));
        // Each may need a start of its pump.
        let starts_ms: u64 = idxs.map(|idx| self.pumps.start_gap_ms(*idx)).sum();
        let runs_ms: u64 = runs.iter().map(|(_, run_s)| u64::from(*run_s) * 1000).sum();
        let others_ms = runs_ms.saturating_add(starts_ms);
        // For a person the pump runs through; what is to be found out needs the lines at rest in between.
        let gap_s = if asked_by.is_some() { 0 } else { GAP_S };
        let mut from = wall;
        let mut indices = Vec::new();
        for (cycle, (zone, run_s)) in (1..).zip(runs) {
            let Some(idx) = self.zone_idx.get(zone).copied() else { continue };
            let Some(zone) = self.zones.get_mut(idx) else { continue };
            let run_s = (*run_s).clamp(1, zone.plan.run_max_s.max(1));
            zone.add_errands(vec![Errand {
                cycle,
                n_cycles,
                ..Errand::by_hand(set, from, run_s, others_ms, asked_by)
            }]);
            if set == RunSet::Test {
                // One after another: what flows is then one zone's.
                from = from.plus_ms(u64::from(run_s.saturating_add(gap_s)) * 1000);
            }
            indices.push(idx);
        }
        for idx in indices {
            self.settle(idx, now);
        }
    }
}
