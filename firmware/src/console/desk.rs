//! What the console and the node know of each other: how many records wait, and whether somebody is at the console.

use crate::board::NodeStatus;
use core::sync::atomic::{AtomicU32, Ordering};
use embassy_time::{Instant, Timer};

/// How long after the last byte somebody is still taken to be there, s: time to read an answer and to type the next line.
const ATTENDED_S: u32 = 60;
/// How long a boot for a person waits for a word, s: somebody who was called away forgets it, and nothing is watered meanwhile.
const DESERTED_S: u32 = 1800;

/// Read and written by the console's task and the node's, or by one of them in a boot without a node.
#[derive(Debug, Default)]
pub struct Desk {
    n_waiting: AtomicU32,
    /// When the last byte came, s since the boot and one; 0: none has.
    heard_at_s: AtomicU32,
}

impl Desk {
    /// Nothing waits, and nobody is there.
    #[must_use]
    pub const fn new() -> Self {
        Self { n_waiting: AtomicU32::new(0), heard_at_s: AtomicU32::new(0) }
    }

    /// The node has so many records that wait.
    pub fn note(&self, status: &NodeStatus) {
        self.note_waiting(status.waiting);
    }

    /// Whether somebody was at the console a moment ago.
    #[must_use]
    pub fn is_attended(&self) -> bool {
        self.silent_s().is_some_and(|silent_s| silent_s < ATTENDED_S)
    }

    pub(super) fn note_waiting(&self, n_waiting: u32) {
        self.n_waiting.store(n_waiting, Ordering::Relaxed);
    }

    pub(super) fn n_waiting(&self) -> u32 {
        self.n_waiting.load(Ordering::Relaxed)
    }

    /// A byte came.
    pub(super) fn hear(&self) {
        self.heard_at_s.store(now_s(), Ordering::Relaxed);
    }

    /// Waits until nobody has said a word for so long that nobody will.
    pub(super) async fn deserted(&self) {
        loop {
            let left_s = DESERTED_S.saturating_sub(self.silent_s().unwrap_or(0));
            if left_s == 0 {
                return;
            }
            Timer::after_secs(left_s.into()).await;
        }
    }

    /// How long ago the last byte came, s.
    fn silent_s(&self) -> Option<u32> {
        let heard_at_s = Some(self.heard_at_s.load(Ordering::Relaxed)).filter(|at_s| *at_s > 0);
        heard_at_s.map(|at_s| now_s().saturating_sub(at_s))
    }
}

/// Seconds since the boot, and one.
fn now_s() -> u32 {
    u32::try_from(Instant::now().as_secs()).unwrap_or(u32::MAX).saturating_add(1)
}
