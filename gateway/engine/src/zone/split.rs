//! How long a node keeps a valve open at a time, and what becomes of a run that is to be longer.
//!
//! Nobody states a node's own maximum: the node shows it by closing. A zone behind a pump cannot wait for that, or the pump
//! would run against a closed valve: there the default of the nodes' settings counts until the node shows another, and the
//! plan's longest run has room for the pump's end too. From then
//! on the engine ends such a run itself, before the node does (a pump must go off before its valve), and what is left of it
//! follows as a further errand, after the zone's minimum time off and within the hours. What was learned is forgotten when
//! the plan's longest run changes.

use giot_shared::valve::CloseReason;

use super::errand::is_interruption;
use super::{ValveWord, Zone};
use crate::plan::{DRIFT_DIVISOR, NODE_RUN_S_DEFAULT, NODE_RUN_S_MIN, Timing};
use crate::reason::Reason;

impl Zone {
    /// Takes in how long the node kept the valve open when its own maximum closed it; a longer run shows that it has more.
    pub(super) fn learn_node_run(&mut self, word: ValveWord) {
        let run_s = word.measured.run_ms.and_then(|run_ms| u32::try_from(run_ms / 1000).ok());
        let Some(run_s) = run_s.filter(|run_s| *run_s >= NODE_RUN_S_MIN) else { return };
        let known = self.memory.node_run_s;
        let is_more = known.is_some_and(|known| run_s > known);
        if is_more || (word.closed_by == Some(CloseReason::HardMaximum) && known != Some(run_s)) {
            self.memory.node_run_s = Some(run_s);
            self.is_memory_changed = true;
        }
    }

    /// How long the node keeps the valve open at a time, seconds, as far as that is known or must be assumed.
    pub(super) fn node_run_s(&self) -> Option<u32> {
        let has_pump = self.slack_s > 0;
        self.memory.node_run_s.or(has_pump.then_some(NODE_RUN_S_DEFAULT))
    }

    /// How much of a run there is at a time, seconds, as the node and the plan allow; `None`: nothing is known of a maximum.
    pub(super) fn portion_max_s(&self, timing: &Timing) -> Option<u32> {
        self.node_portion_s(timing).into_iter().chain(self.plan_portion_s(timing)).min()
    }

    /// How much of a run the node gives at a time, seconds: its maximum less what a pump, the way of commands and its clock may
    /// need, or half of it where that is little.
    fn node_portion_s(&self, timing: &Timing) -> Option<u32> {
        let node_s = self.node_run_s()?;
        let way_s = self.slack_s.saturating_add(timing.margin_s);
        let reserve_s = way_s.saturating_add(node_s / DRIFT_DIVISOR);
        Some(node_s.saturating_sub(reserve_s).max(node_s / 2).max(1))
    }

    /// How much of a run below a pump fits into the plan's longest run, seconds: no lease reaches beyond that, and the pump goes
    /// off before its lease ends. Half of it where that is little.
    fn plan_portion_s(&self, timing: &Timing) -> Option<u32> {
        let longest_s = Some(self.plan.run_max_s).filter(|_| self.slack_s > 0)?;
        let way_s = timing.ttl_s_for(self.plan.lease_s).saturating_add(timing.margin_s);
        let reserve_s = self.slack_s.saturating_add(way_s);
        Some(longest_s.saturating_sub(reserve_s).max(longest_s / 2).max(1))
    }

    /// What to say of a run's rest that follows because only a portion of it was given at a time.
    pub(super) fn split_reason(&self, timing: &Timing, ended: &Reason, run_s: u64) -> Reason {
        let is_by_node = matches!(ended, Reason::ClosedByNode { .. });
        let (of_plan, of_node) = (self.plan_portion_s(timing), self.node_portion_s(timing));
        match of_plan {
            Some(of_plan) if !is_by_node && of_node.is_none_or(|of_node| of_plan < of_node) => {
                Reason::RunSplitByPlan { run_s, most_s: u64::from(self.plan.run_max_s) }
            }
            _ => Reason::RunSplit { run_s, most_s: self.node_run_s().map_or(0, u64::from) },
        }
    }

    /// As much of a run as the node gives at a time, seconds.
    pub(super) fn portion_s(&mut self, timing: &Timing, wanted_s: u32) -> u32 {
        let run_s = self.portion_max_s(timing).map_or(wanted_s, |portion_s| portion_s.min(wanted_s));
        self.is_split = run_s < wanted_s;
        run_s
    }

    /// Whether a run that ended so was only as much of it as the node gives at a time.
    pub(super) fn is_portion(&self, reason: &Reason) -> bool {
        let is_at_its_time = self.is_split && matches!(reason, Reason::RunTimeReached { .. });
        is_at_its_time || matches!(reason, Reason::ClosedByNode { close: CloseReason::HardMaximum })
    }

    /// Whether somebody still wants the rest of a run that ended so, after so long without water.
    pub(super) fn leaves_rest(&self, reason: &Reason, dry_ms: u64) -> bool {
        is_interruption(reason) || self.is_portion(reason) || Self::is_short_of_water(reason, dry_ms)
    }
}
