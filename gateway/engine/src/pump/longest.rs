//! How long an output stays on at a time: its node has a maximum of its own, and the output rests before that is reached.
//!
//! A master valve that its node closes would leave the pump above it against closed pipes until that is told. So the engine
//! ends the run itself, in order: nothing that stands above relies on the valve beyond the moment at which the node may
//! close it, and its Close waits until the pump is off. Where water is still wanted it goes on after its rest. What the plan
//! states counts; a node that closes sooner has shown less.

use giot_shared::time::MonoMs;
use giot_shared::valve::CloseReason;

use super::Pump;
use crate::memory::NodeRun;
use crate::plan::{DRIFT_DIVISOR, NODE_RUN_S_MIN, Timing};
use crate::reason::Reason;
use crate::zone::ValveWord;

impl Pump {
    /// How long its node keeps the output on at a time, seconds.
    fn node_run_s(&self) -> u32 {
        let stated_s = self.plan.run_s_max;
        let seen = self.memory.node_run.filter(|seen| seen.stated_s == stated_s);
        seen.map_or(stated_s, |seen| seen.seen_s.min(stated_s))
    }

    /// When an output that may be on since `from` is to rest, and from when its node may switch it off.
    pub(super) fn longest_until(&self, from: MonoMs, timing: &Timing) -> (MonoMs, MonoMs) {
        let node_s = self.node_run_s();
        let certain_s = node_s.saturating_sub(node_s / DRIFT_DIVISOR).saturating_sub(timing.margin_s);
        // What stands above needs a lease of its own, at most about as long as this one, to go off.
        let reserve_s = self.plan.lease_s.saturating_add(self.plan.spare_s(timing));
        let rest_s = certain_s.saturating_sub(reserve_s).max(node_s / 2);
        let after = |span_s: u32| from.plus_ms(u64::from(span_s) * 1000);
        (after(rest_s), after(certain_s))
    }

    /// Why it rests then.
    pub(super) fn longest(&self) -> Reason {
        Reason::PumpLongestRun { source: self.source.clone(), most_s: u64::from(self.node_run_s()) }
    }

    /// Takes in how long the node kept the output on when its own maximum ended it.
    pub(super) fn learn_node_run(&mut self, word: ValveWord) {
        let run_s = word.measured.run_ms.and_then(|run_ms| u32::try_from(run_ms / 1000).ok());
        let Some(seen_s) = run_s.filter(|run_s| *run_s >= NODE_RUN_S_MIN) else { return };
        let seen = NodeRun { seen_s, stated_s: self.plan.run_s_max };
        if word.closed_by == Some(CloseReason::HardMaximum) && self.memory.node_run != Some(seen) {
            self.memory.node_run = Some(seen);
            self.is_memory_changed = true;
        }
    }
}
