//! What a new plan of the farm means for one zone: it leaves, or it goes on under the new plan as it stands.

use std::collections::BTreeMap;

use giot_shared::time::MonoMs;

use super::{Turn, Zone};
use crate::diary::By;
use crate::ids::ProgramId;
use crate::plan::ZonePlan;
use crate::reason::Reason;

impl Zone {
    /// A plan that is to take over has no place for the zone as it stands (`version`), or has after all (`None`). A leaving
    /// zone is closed and does not start; one that `is_gone` from the farm forgets what programs wanted of it.
    pub(crate) fn leave(&mut self, turn: &mut Turn<'_>, version: Option<u32>, is_gone: bool) {
        if self.leaving.is_some() && version.is_none() {
            self.unskip();
        }
        self.leaving = version;
        let Some(version) = version else { return };
        if is_gone {
            self.is_memory_changed |= self.memory.run.take().is_some();
            self.drop_errands(None);
        }
        self.stop(turn, Reason::FarmChanged { version }, By::Engine, false);
        // The change itself stands in the diary: not once more for each zone that would have started.
        self.skip_told(Reason::FarmChanged { version });
    }

    /// A program is gone from the farm: what it does here ends, what it wanted is forgotten.
    pub(crate) fn leave_program(&mut self, turn: &mut Turn<'_>, program: &ProgramId, version: u32) {
        self.drop_errands(Some(program));
        if self.is_run_of(program) {
            self.is_memory_changed |= self.memory.run.take().is_some();
            self.stop(turn, Reason::FarmChanged { version }, By::Engine, false);
        }
    }

    /// Goes on under another plan with the same valve: what is known of its probes, its valve, and what people said stays.
    pub(crate) fn take_plan(
        &mut self,
        idx: usize,
        plan: ZonePlan,
        invalid: Option<&'static str>,
        turn: &mut Turn<'_>,
    ) {
        let mut probes: BTreeMap<_, _> =
            self.plan.probes.iter().zip(std::mem::take(&mut self.probes)).collect();
        self.probes = plan.probes.iter().map(|probe| probes.remove(probe).unwrap_or_default()).collect();
        if self.leaving.take().is_some() || self.plan != plan {
            self.unskip();
        }
        self.desk.idx = idx;
        if self.plan.run_max_s != plan.run_max_s {
            // Whoever changes the longest run may have changed the node's too: it shows its own anew.
            self.is_memory_changed |= self.memory.node_run_s.take().is_some();
        }
        let off_ms = |plan: &ZonePlan| u64::from(plan.min_off_s) * 1000;
        if turn.mono() < self.off_until {
            // What rests does so as long as the new plan wants it to.
            self.off_until =
                MonoMs(self.off_until.0.saturating_add(off_ms(&plan)).saturating_sub(off_ms(&self.plan)));
        }
        for command in &self.desk.commands {
            turn.owners.insert(*command, idx);
        }
        self.invalid = invalid;
        self.plan = plan;
        // Its probes may have other places.
        self.trial = None;
        self.timer = None;
    }
}
