//! What a program waters: steps, their order, their repetitions and the pauses between them.
//!
//! Data and its order only; `timeline` turns it into runs.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::amount::Target;
use crate::ids::ZoneId;

/// Most steps of a sequence.
pub const STEPS_MAX: usize = 64;

/// Most repetitions of a step, and of a sequence.
pub const REPEATS_MAX: u8 = 24;

/// Longest delay between two steps, and longest overlap, seconds: what is longer is a start of its own.
pub const DELAY_S_MAX: u32 = 3600;

/// A run ends some seconds after its planned end; the next one keeps its moment.
const DELAY_SLACK_MS: u64 = 30_000;

/// Steps that are watered together as one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The steps; a zone may appear in several.
    pub steps: Vec<Step>,
    /// The order in which they are taken.
    pub order: Order,
    /// How often the whole is run; 1 is once.
    pub rounds: u8,
    /// From the end of a run to the beginning of the next one of its group, seconds; negative: they overlap.
    pub delay_s: i32,
}

/// One step of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The zone.
    pub zone: ZoneId,
    /// How much it gets each time.
    pub target: Target,
    /// How often it is run in a row; 1 is once.
    pub repeats: u8,
    /// Added to the sequence's delay after this step, seconds; negative: the next one begins earlier.
    pub delay_s: i32,
    /// Whether it is run at all.
    pub is_enabled: bool,
}

/// In which order steps are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// What decides.
    pub by: OrderBy,
    /// Which end comes first.
    pub direction: Direction,
}

/// What decides about the order of steps; what is equal stays as listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrderBy {
    /// The list.
    #[default]
    Listed,
    /// The names of the zones.
    Name,
    /// The need of the zones at the start, the driest first.
    Need,
}

/// Which end of an order comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// The first.
    #[default]
    Forward,
    /// The last.
    Reversed,
    /// The first and the last in turn, from run to run, so that no zone is always the one that gets the low pressure.
    Alternating,
}

impl Sequence {
    /// Steps in the order of the list, once, one after another without pause.
    #[must_use]
    pub fn of(steps: Vec<Step>) -> Self {
        Self { steps, order: Order::default(), rounds: 1, delay_s: 0 }
    }

    /// By how much a run may begin before the one before it has ended, ms; 0 where all are apart.
    pub(crate) fn overlap_ms(&self) -> u64 {
        let delays_s = self.steps.iter().map(|step| self.delay_s.saturating_add(step.delay_s));
        delays_s
            .min()
            .filter(|delay_s| *delay_s < 0)
            .map_or(0, |delay_s| u64::from(delay_s.unsigned_abs()) * 1000)
    }

    /// How long after a late run of a zone the next one of its group waits, ms: as it is planned, less what runs last beyond their
    /// planned end anyway.
    pub(crate) fn delay_after_ms(&self, zone: &ZoneId) -> u64 {
        let steps = self.steps.iter().filter(|step| step.zone == *zone);
        let delay_s = steps.map(|step| self.delay_s.saturating_add(step.delay_s)).min();
        let delay_ms = delay_s.and_then(|delay_s| u64::try_from(delay_s).ok()).unwrap_or(0) * 1000;
        delay_ms.saturating_sub(DELAY_SLACK_MS.min(delay_ms / 4))
    }

    /// The steps with their places in the list, in the order of the nth run.
    pub(super) fn in_order(&self, needs: &BTreeMap<ZoneId, u32>, n_runs: u64) -> Vec<(usize, &Step)> {
        let mut steps: Vec<(usize, &Step)> = self.steps.iter().enumerate().collect();
        match self.order.by {
            OrderBy::Listed => {}
            OrderBy::Name => steps.sort_by_key(|(_, step)| &step.zone),
            OrderBy::Need => {
                steps.sort_by_key(|(_, step)| Reverse(needs.get(&step.zone).copied().unwrap_or(0)));
            }
        }
        let is_reversed = match self.order.direction {
            Direction::Forward => false,
            Direction::Reversed => true,
            Direction::Alternating => !n_runs.is_multiple_of(2),
        };
        if is_reversed {
            steps.reverse();
        }
        steps
    }
}

impl Step {
    /// A zone and an amount, once.
    #[must_use]
    pub fn of(zone: ZoneId, target: Target) -> Self {
        Self { zone, target, repeats: 1, delay_s: 0, is_enabled: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(by: OrderBy, direction: Direction, n_runs: u64, want: &[usize]) {
        let zone = |name: &str| name.parse::<ZoneId>().unwrap();
        let steps = ["c", "a", "b", "a"].map(|name| Step::of(zone(name), Target::minutes(1)));
        let sequence = Sequence { order: Order { by, direction }, ..Sequence::of(steps.to_vec()) };
        let needs = [(zone("b"), 9), (zone("a"), 3)].into();
        let found: Vec<usize> = sequence.in_order(&needs, n_runs).into_iter().map(|(idx, _)| idx).collect();
        assert_eq!(found, want, "{by:?} {direction:?} {n_runs}");
    }

    #[test]
    fn orders() {
        check(OrderBy::Listed, Direction::Forward, 1, &[0, 1, 2, 3]);
        check(OrderBy::Listed, Direction::Reversed, 0, &[3, 2, 1, 0]);
        check(OrderBy::Listed, Direction::Alternating, 0, &[0, 1, 2, 3]);
        check(OrderBy::Listed, Direction::Alternating, 7, &[3, 2, 1, 0]);
        check(OrderBy::Name, Direction::Forward, 0, &[1, 3, 2, 0]);
        check(OrderBy::Name, Direction::Alternating, 1, &[0, 2, 3, 1]);
        check(OrderBy::Need, Direction::Forward, 0, &[2, 1, 3, 0]);
    }
}
