//! How much water may flow where: sources, pumps and pipes as trees of branches, what each carries, who waits for it (P5).
//!
//! A branch with a capacity carries every set of zones whose flows stay within it. A branch without one carries one zone at
//! a time, and so does every branch below a zone whose flow nobody stated: what is not known is taken for the whole. Holding
//! is counted in the worst case: a zone holds its branches from its first Open until its valve is closed for certain. After
//! a start, and when people open valves at the nodes, more may be held than is carried; then nothing further starts.
//!
//! Zones and branches are meant by their index. Nothing here knows what a zone is or when it wants water.

mod pipes;
mod rests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use giot_shared::time::MonoMs;
use giot_shared::units::LitresPerHour;

use crate::ids::SourceId;
use crate::plan::Plan;

pub use pipes::Pipes;
pub(crate) use pipes::{Flow, Led};
pub(crate) use rests::{Output, Rests};

/// All branches of the farm.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Network {
    branches: Vec<Branch>,
    trees: Vec<Tree>,
    /// Of each zone, in the order of the plan.
    taps: Arc<[Tap]>,
    /// Counts the changes of who holds, waits, is kept for or has just started.
    n_changes: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Branch {
    id: SourceId,
    capacity: Option<LitresPerHour>,
    holders: BTreeSet<usize>,
    /// The zone that has waited too long: nobody else starts here before it.
    kept_for: Option<usize>,
    /// Shortest time between two starts, ms.
    stagger_ms: u64,
    /// No start before.
    next_start_at: MonoMs,
}

/// Branches with one root.
#[derive(Clone, Debug, Default, PartialEq)]
struct Tree {
    /// Zones that wait, since when.
    waiting: BTreeMap<usize, MonoMs>,
    /// Something changed that may let a waiting zone start.
    is_changed: bool,
}

/// Where a zone hangs.
#[derive(Clone, Debug, PartialEq)]
struct Tap {
    /// Its branch, that which feeds it, and so on to the root.
    path: Vec<usize>,
    tree: usize,
    flow: Option<LitresPerHour>,
}

/// Why a zone may not have water from the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Barrier {
    /// A zone has a branch that carries only one at a time.
    Busy { zone_idx: usize },
    /// The zone would take more than a branch has left.
    Full { source: SourceId, in_use: LitresPerHour, wanted: LitresPerHour, capacity: LitresPerHour },
    /// A branch is kept for a zone that has waited too long.
    Kept { zone_idx: usize },
    /// Another zone of a branch has just started.
    Staggered { source: SourceId, remaining_ms: u64 },
}

impl Network {
    /// The branches of a plan. A loop among them is cut where it closes: the plan's own check reports it.
    pub(crate) fn new(plan: &Plan) -> Self {
        // Names that only zones know are branches too, so that such zones exclude each other.
        let mut names: BTreeSet<&SourceId> = plan.sources.keys().collect();
        names.extend(plan.zones.values().map(|zone| &zone.source));
        let idx_of: BTreeMap<&SourceId, usize> =
            names.iter().enumerate().map(|(idx, id)| (*id, idx)).collect();
        let branches = names.iter().map(|id| Branch {
            id: (*id).clone(),
            capacity: plan.sources.get(*id).and_then(|source| source.capacity),
            holders: BTreeSet::new(),
            kept_for: None,
            stagger_ms: plan.sources.get(*id).map_or(0, |source| u64::from(source.stagger_s) * 1000),
            next_start_at: MonoMs(0),
        });
        let mut network = Self { branches: branches.collect(), ..Self::default() };
        let mut tree_of_root: BTreeMap<usize, usize> = BTreeMap::new();
        let mut taps = Vec::new();
        for zone in plan.zones.values() {
            let path: Vec<usize> =
                plan.path(&zone.source).into_iter().filter_map(|id| idx_of.get(id).copied()).collect();
            let root = path.last().copied().unwrap_or_default();
            let n_trees = tree_of_root.len();
            let tree = *tree_of_root.entry(root).or_insert(n_trees);
            taps.push(Tap { path, tree, flow: zone.flow });
        }
        network.taps = taps.into();
        network.trees.resize_with(tree_of_root.len(), Tree::default);
        network
    }

    /// Whether two zones drink from the same root.
    pub(crate) fn are_connected(&self, a: usize, b: usize) -> bool {
        let tree = |idx: usize| self.taps.get(idx).map(|tap| tap.tree);
        tree(a) == tree(b)
    }

    /// The same branches with nobody on them.
    pub(crate) fn emptied(&self) -> Self {
        let branch = |branch: &Branch| Branch {
            id: branch.id.clone(),
            capacity: branch.capacity,
            holders: BTreeSet::new(),
            kept_for: None,
            stagger_ms: branch.stagger_ms,
            next_start_at: MonoMs(0),
        };
        let mut trees = Vec::new();
        trees.resize_with(self.trees.len(), Tree::default);
        Self {
            branches: self.branches.iter().map(branch).collect(),
            trees,
            taps: Arc::clone(&self.taps),
            n_changes: 0,
        }
    }

    /// Takes over when each branch may be started on again.
    pub(crate) fn take_over(&mut self, before: Self) {
        let starts: BTreeMap<SourceId, MonoMs> =
            before.branches.into_iter().map(|branch| (branch.id, branch.next_start_at)).collect();
        for branch in &mut self.branches {
            branch.next_start_at = starts.get(&branch.id).copied().unwrap_or(branch.next_start_at);
        }
    }

    /// Notes whether a zone holds its branches.
    pub(crate) fn set_held(&mut self, zone_idx: usize, is_held: bool) {
        let Some(tap) = self.taps.get(zone_idx) else { return };
        let mut is_freed = false;
        for branch_idx in &tap.path {
            let Some(branch) = self.branches.get_mut(*branch_idx) else { continue };
            if is_held {
                self.n_changes += u64::from(branch.holders.insert(zone_idx));
            } else {
                is_freed |= branch.holders.remove(&zone_idx);
            }
        }
        self.n_changes += u64::from(is_freed);
        let tree = tap.tree;
        self.touch(tree, is_freed);
        if is_held {
            self.set_waiting(zone_idx, None);
        }
    }

    /// Notes whether a zone is ready and waits, at the moment `now`.
    pub(crate) fn set_waiting(&mut self, zone_idx: usize, now: Option<MonoMs>) {
        let Some(tap) = self.taps.get(zone_idx) else { return };
        let Some(tree) = self.trees.get_mut(tap.tree) else { return };
        match now {
            Some(now) => {
                if let std::collections::btree_map::Entry::Vacant(place) = tree.waiting.entry(zone_idx) {
                    place.insert(now);
                    tree.is_changed = true;
                    self.n_changes += 1;
                }
            }
            None => {
                if tree.waiting.remove(&zone_idx).is_some() {
                    tree.is_changed = true;
                    self.n_changes += 1;
                }
                for branch_idx in &tap.path {
                    if let Some(branch) = self.branches.get_mut(*branch_idx)
                        && branch.kept_for == Some(zone_idx)
                    {
                        branch.kept_for = None;
                        self.n_changes += 1;
                    }
                }
            }
        }
    }

    /// Why a zone may not start, looking from its own branch to the root; `None` when there is room.
    pub(crate) fn barrier(&self, zone_idx: usize, now: MonoMs) -> Option<Barrier> {
        let of_room = self.limit(zone_idx).map(|(_, barrier)| barrier);
        of_room.or_else(|| {
            let path =
                self.taps.get(zone_idx)?.path.iter().filter_map(|branch_idx| self.branches.get(*branch_idx));
            path.filter(|branch| branch.next_start_at > now).max_by_key(|branch| branch.next_start_at).map(
                |branch| {
                    let remaining_ms = branch.next_start_at.since_ms(now);
                    Barrier::Staggered { source: branch.id.clone(), remaining_ms }
                },
            )
        })
    }

    /// Whether a zone has room also while others have not yet given theirs up.
    pub(crate) fn has_room_beside(&self, zone_idx: usize, others: &[usize]) -> bool {
        let path_of = |idx: usize| self.taps.get(idx).map_or(&[][..], |tap| &tap.path);
        path_of(zone_idx).iter().all(|branch_idx| {
            let Some(branch) = self.branches.get(*branch_idx) else { return true };
            let here = others.iter().copied().filter(|idx| path_of(*idx).contains(branch_idx));
            let all: BTreeSet<usize> = here.chain(branch.holders.iter().copied()).chain([zone_idx]).collect();
            let is_carried = |capacity| self.sum(all.iter().copied()).is_some_and(|sum| sum <= capacity);
            all.len() < 2 || branch.capacity.is_some_and(is_carried)
        })
    }

    /// A zone starts: its branches let the next one start after their time between two starts.
    pub(crate) fn note_start(&mut self, zone_idx: usize, now: MonoMs) {
        for branch_idx in self.taps.get(zone_idx).into_iter().flat_map(|tap| &tap.path) {
            if let Some(branch) = self.branches.get_mut(*branch_idx).filter(|branch| branch.stagger_ms > 0) {
                branch.next_start_at = now.plus_ms(branch.stagger_ms);
                self.n_changes += 1;
            }
        }
    }

    /// A number that changes with everything that [`Self::barrier`] and [`Self::is_waiting`] go by.
    pub(crate) fn n_changes(&self) -> u64 {
        self.n_changes
    }

    /// When the next time between two starts is over that has not been forgotten.
    pub(crate) fn stagger_over_at(&self) -> Option<MonoMs> {
        self.branches.iter().map(|branch| branch.next_start_at).filter(|at| *at > MonoMs(0)).min()
    }

    /// Whether there is a time between two starts anywhere.
    pub(crate) fn has_staggers(&self) -> bool {
        self.branches.iter().any(|branch| branch.stagger_ms > 0)
    }

    /// Forgets the times between two starts that are over.
    pub(crate) fn forget_staggers(&mut self, now: MonoMs) {
        for branch in self.branches.iter_mut().filter(|branch| branch.next_start_at <= now) {
            branch.next_start_at = MonoMs(0);
            self.n_changes += 1;
        }
    }

    /// Whether a zone is ready and waits.
    pub(crate) fn is_waiting(&self, zone_idx: usize) -> bool {
        let tree = self.taps.get(zone_idx).and_then(|tap| self.trees.get(tap.tree));
        tree.is_some_and(|tree| tree.waiting.contains_key(&zone_idx))
    }

    /// Something outside the network changed that may let a zone of this tree start.
    pub(crate) fn poke(&mut self, zone_idx: usize) {
        if let Some(tree) = self.taps.get(zone_idx).map(|tap| tap.tree) {
            self.touch(tree, true);
        }
    }

    /// A zone that waits in each tree in which some do.
    pub(crate) fn first_waiting(&self) -> Vec<usize> {
        self.trees.iter().filter_map(|tree| tree.waiting.keys().next().copied()).collect()
    }

    /// The zones that wait in the tree of `zone_idx`, with the moment since when, if anything changed there since the last
    /// call; what is kept free is forgotten, to be decided anew.
    pub(crate) fn take_waiting(&mut self, zone_idx: usize) -> Vec<(usize, MonoMs)> {
        let Some(tree) = self.taps.get(zone_idx).and_then(|tap| self.trees.get_mut(tap.tree)) else {
            return Vec::new();
        };
        if !std::mem::take(&mut tree.is_changed) {
            return Vec::new();
        }
        let waiting: Vec<(usize, MonoMs)> = tree.waiting.iter().map(|(idx, since)| (*idx, *since)).collect();
        self.n_changes += 1;
        for (waiting_idx, _) in &waiting {
            for branch_idx in self.taps.get(*waiting_idx).into_iter().flat_map(|tap| &tap.path) {
                if let Some(branch) = self.branches.get_mut(*branch_idx) {
                    branch.kept_for = None;
                }
            }
        }
        waiting
    }

    /// Keeps the branch that has no room for a zone from everyone else, until that zone has it.
    pub(crate) fn keep_for(&mut self, zone_idx: usize) {
        if let Some((branch_idx, _)) = self.limit(zone_idx)
            && let Some(branch) = self.branches.get_mut(branch_idx)
        {
            branch.kept_for.get_or_insert(zone_idx);
            self.n_changes += 1;
        }
    }

    /// The holders of the first branch of a zone that gives more than it carries, counting only those that stay; `None`
    /// when every branch has enough.
    pub(crate) fn overdrawn(
        &self,
        zone_idx: usize,
        is_staying: impl Fn(usize) -> bool,
    ) -> Option<impl Iterator<Item = usize> + '_> {
        let path = &self.taps.get(zone_idx)?.path;
        path.iter().filter_map(|branch_idx| self.branches.get(*branch_idx)).find_map(|branch| {
            let staying: Vec<usize> = branch.holders.iter().copied().filter(|idx| is_staying(*idx)).collect();
            let is_carried = match (staying.as_slice(), branch.capacity) {
                ([] | [_], _) => true,
                (_, None) => false,
                (several, Some(capacity)) => {
                    self.sum(several.iter().copied()).is_some_and(|sum| sum <= capacity)
                }
            };
            (!is_carried).then(|| branch.holders.iter().copied())
        })
    }

    fn touch(&mut self, tree: usize, is_changed: bool) {
        if let Some(tree) = self.trees.get_mut(tree) {
            tree.is_changed |= is_changed;
        }
    }

    fn limit(&self, zone_idx: usize) -> Option<(usize, Barrier)> {
        let tap = self.taps.get(zone_idx)?;
        tap.path.iter().find_map(|branch_idx| {
            let barrier = self.branches.get(*branch_idx)?.barrier(self, zone_idx, tap.flow)?;
            Some((*branch_idx, barrier))
        })
    }

    /// The flow of several zones together, `None` when one of them is not known. Beyond what a number holds it stays there:
    /// no branch carries that.
    fn sum(&self, mut zones: impl Iterator<Item = usize>) -> Option<LitresPerHour> {
        zones.try_fold(LitresPerHour(0), |sum, idx| {
            let flow = self.taps.get(idx)?.flow?;
            Some(LitresPerHour(sum.0.saturating_add(flow.0)))
        })
    }
}

impl Branch {
    fn barrier(&self, network: &Network, zone_idx: usize, wanted: Option<LitresPerHour>) -> Option<Barrier> {
        let others = || self.holders.iter().copied().filter(|idx| *idx != zone_idx);
        if let Some(first) = others().next() {
            let busy = Barrier::Busy { zone_idx: first };
            let (Some(capacity), Some(wanted)) = (self.capacity, wanted) else { return Some(busy) };
            let Some(in_use) = network.sum(others()) else { return Some(busy) };
            if in_use.0.saturating_add(wanted.0) > capacity.0 {
                return Some(Barrier::Full { source: self.id.clone(), in_use, wanted, capacity });
            }
        }
        self.kept_for.filter(|kept_for| *kept_for != zone_idx).map(|zone_idx| Barrier::Kept { zone_idx })
    }
}

#[cfg(test)]
mod tests;
