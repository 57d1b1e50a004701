//! Whose turn it is: zones whose runs are under way, and zones that wait for the end of such a run.

use std::collections::{BTreeMap, BTreeSet};

use giot_shared::time::MonoMs;

/// Zones by their places.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    running: BTreeSet<usize>,
    /// With the moment at which the run that they wait for leaves them their turn; `None`: when it has really ended.
    waiting: BTreeMap<usize, Option<MonoMs>>,
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

    /// A zone waits for the run of another, until a moment that may be over.
    pub(crate) fn wait(&mut self, zone_idx: usize, until: MonoMs, now: MonoMs) {
        self.waiting.insert(zone_idx, Some(until).filter(|until| *until > now));
    }

    /// A zone waits no more; whether it did.
    pub(crate) fn leave(&mut self, zone_idx: usize) -> bool {
        self.waiting.remove(&zone_idx).is_some()
    }

    /// When the next moment comes that some zone waits for.
    pub(crate) fn wake_at(&self) -> Option<MonoMs> {
        self.waiting.values().copied().flatten().min()
    }

    /// Those whose wait may be over: all once a run has ended, else those whose moment has come.
    pub(crate) fn called(&mut self, now: MonoMs) -> Vec<usize> {
        let is_over = std::mem::take(&mut self.is_over);
        let called =
            self.waiting.extract_if(.., |_, until| is_over || until.is_some_and(|until| until <= now));
        called.map(|(zone_idx, _)| zone_idx).collect()
    }
}
