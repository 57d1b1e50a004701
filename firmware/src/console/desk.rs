//! What the console and the node know of each other.

use crate::board::NodeStatus;
use core::sync::atomic::{AtomicU32, Ordering};

/// Read and written by the console's task and the node's, or by one of them in a boot without a node.
#[derive(Debug, Default)]
pub struct Desk {
    n_waiting: AtomicU32,
}

impl Desk {
    /// Nothing waits.
    #[must_use]
    pub const fn new() -> Self {
        Self { n_waiting: AtomicU32::new(0) }
    }

    /// The node has so many records that wait.
    pub fn note(&self, status: &NodeStatus) {
        self.note_waiting(status.waiting);
    }

    pub(super) fn note_waiting(&self, n_waiting: u32) {
        self.n_waiting.store(n_waiting, Ordering::Relaxed);
    }

    pub(super) fn n_waiting(&self) -> u32 {
        self.n_waiting.load(Ordering::Relaxed)
    }
}
