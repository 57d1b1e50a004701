//! What the console and the node know of each other: how many records wait, and whether somebody is at the console.

use crate::board::NodeStatus;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use embassy_time::Timer;

/// How long after the last byte somebody is still taken to be there, s: time to read an answer and to type the next line.
const ATTENDED_S: u32 = 60;
/// How long a boot for a person waits for a word, s: somebody who was called away forgets it, and nothing is watered meanwhile.
const DESERTED_S: u32 = 1800;
/// How often it is looked whether something came, s: by so much a silence is longer than it has to be.
const LOOK_S: u32 = 10;
/// More records than any flash holds: nobody has looked yet how many wait.
const UNKNOWN: u32 = u32::MAX;

/// Read and written by the console's task and the node's, or by one of them in a boot without a node.
#[derive(Debug)]
pub struct Desk {
    /// [`UNKNOWN`] at first.
    n_waiting: AtomicU32,
    /// How often something came.
    n_heard: AtomicU32,
    is_attended: AtomicBool,
}

impl Desk {
    /// Nobody knows what waits, and nobody is there.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            n_waiting: AtomicU32::new(UNKNOWN),
            n_heard: AtomicU32::new(0),
            is_attended: AtomicBool::new(false),
        }
    }

    /// The node has so many records that wait.
    pub fn note(&self, status: &NodeStatus) {
        self.note_waiting(status.waiting);
    }

    pub(super) fn note_waiting(&self, n_waiting: u32) {
        self.n_waiting.store(n_waiting, Ordering::Relaxed);
    }

    /// `None` until the node has looked.
    pub(super) fn n_waiting(&self) -> Option<u32> {
        Some(self.n_waiting.load(Ordering::Relaxed)).filter(|n_waiting| *n_waiting != UNKNOWN)
    }

    /// Something came. Only the console's task says so.
    pub(super) fn hear(&self) {
        self.n_heard.store(self.n_heard().wrapping_add(1), Ordering::Relaxed);
        self.is_attended.store(true, Ordering::Relaxed);
    }

    /// Whether somebody was at the console a moment ago, while [`Self::watch`] goes on.
    pub(super) fn is_attended(&self) -> bool {
        self.is_attended.load(Ordering::Relaxed)
    }

    /// Notices that somebody has gone; in the console's task.
    pub(super) async fn watch(&self) -> ! {
        loop {
            self.silence(ATTENDED_S).await;
            self.is_attended.store(false, Ordering::Relaxed);
        }
    }

    /// Waits until nobody has said a word for so long that nobody will.
    pub(super) async fn deserted(&self) {
        self.silence(DESERTED_S).await;
    }

    /// Waits until nothing has come for so long.
    async fn silence(&self, secs: u32) {
        let (mut n_heard, mut silent_s) = (self.n_heard(), 0);
        while silent_s < secs {
            Timer::after_secs(LOOK_S.into()).await;
            let n = self.n_heard();
            silent_s = if n == n_heard { silent_s + LOOK_S } else { 0 };
            n_heard = n;
        }
    }

    fn n_heard(&self) -> u32 {
        self.n_heard.load(Ordering::Relaxed)
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self::new()
    }
}
