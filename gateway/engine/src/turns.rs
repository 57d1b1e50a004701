//! Whose turn it is: zones whose runs are under way, and zones that wait until such a run is over.

use std::collections::BTreeSet;

/// Zones by their places.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    running: BTreeSet<usize>,
    waiting: BTreeSet<usize>,
    is_over: bool,
}

impl Turns {
    /// Notes whether a run of a zone is under way.
    pub(crate) fn set_running(&mut self, zone_idx: usize, is_running: bool) {
        if is_running {
            self.running.insert(zone_idx);
        } else {
            self.is_over |= self.running.remove(&zone_idx);
        }
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = usize> {
        self.running.iter().copied()
    }

    /// A zone waits until a run of another is over.
    pub(crate) fn wait(&mut self, zone_idx: usize) {
        self.waiting.insert(zone_idx);
    }

    /// A zone waits no more; whether it did.
    pub(crate) fn leave(&mut self, zone_idx: usize) -> bool {
        self.waiting.remove(&zone_idx)
    }

    /// Those that waited, once a run is over.
    pub(crate) fn called(&mut self) -> BTreeSet<usize> {
        if std::mem::take(&mut self.is_over) { std::mem::take(&mut self.waiting) } else { BTreeSet::new() }
    }
}
