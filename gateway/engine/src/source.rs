//! Who holds a water source, and who waits for it.
//!
//! A source feeds one zone at a time. Holding is counted in the worst case: a zone holds from its first Open until its
//! valve is closed for certain. After a start, and when people open valves at the nodes, there may be several holders; the
//! source is free when there is none.

use std::collections::BTreeSet;

/// One source; zones are meant by their index.
#[derive(Debug, Default)]
pub(crate) struct Source {
    holders: BTreeSet<usize>,
    waiting: BTreeSet<usize>,
}

impl Source {
    /// Notes whether a zone holds the source.
    pub(crate) fn set_held(&mut self, zone_idx: usize, is_held: bool) {
        if is_held {
            self.holders.insert(zone_idx);
            self.waiting.remove(&zone_idx);
        } else {
            self.holders.remove(&zone_idx);
        }
    }

    /// Notes whether a zone is ready and waits.
    pub(crate) fn set_waiting(&mut self, zone_idx: usize, is_waiting: bool) {
        if is_waiting {
            self.waiting.insert(zone_idx);
        } else {
            self.waiting.remove(&zone_idx);
        }
    }

    /// The first zone that holds the source, `None` when it is free.
    pub(crate) fn holder(&self) -> Option<usize> {
        self.holders.first().copied()
    }

    pub(crate) fn holders(&self) -> impl Iterator<Item = usize> + '_ {
        self.holders.iter().copied()
    }

    pub(crate) fn waiting(&self) -> impl Iterator<Item = usize> + '_ {
        self.waiting.iter().copied()
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}
