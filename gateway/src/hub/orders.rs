//! Signed messages to nodes, and the counters that make each order new.
//!
//! Counters are reserved on disk in blocks before they are used, so that no order waits for a commit and none is ever
//! given twice: a restart goes on behind the block.

use bytes::Bytes;
use giot_shared::ids::NodeId;
use giot_shared::wire::{Downlink, NodeKey, PAYLOAD_LEN_MAX, seal};

/// Numbers reserved at a time: a day of a large cooperative, and a commit every few hours.
const BLOCK: u64 = 1000;

/// A number that only rises, also over restarts.
#[derive(Debug)]
pub struct Counter {
    name: &'static str,
    next: u64,
    reserved: u64,
}

impl Counter {
    /// Goes on behind what the store has reserved under `name`; the caller commits [`Self::reservation`] before the
    /// first use.
    #[must_use]
    pub fn new(name: &'static str, reserved_before: i64) -> Self {
        let next = u64::try_from(reserved_before).unwrap_or(0).saturating_add(1);
        Self { name, next, reserved: next.saturating_add(BLOCK) }
    }

    /// The row that keeps the reservation.
    #[must_use]
    pub fn reservation(&self) -> (String, i64) {
        (self.name.to_owned(), i64::try_from(self.reserved).unwrap_or(i64::MAX))
    }

    /// The number that [`Self::take`] gives next.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// A new number; with the row to keep when half of the block is used.
    pub fn take(&mut self) -> (u64, Option<(String, i64)>) {
        let number = self.next;
        (number, self.skip_to(number.saturating_add(1)))
    }

    /// Goes on at `next` where that is higher: a node has seen a higher number than an older data folder knows.
    pub fn skip_to(&mut self, next: u64) -> Option<(String, i64)> {
        self.next = self.next.max(next);
        if self.next.saturating_add(BLOCK / 2) < self.reserved {
            return None;
        }
        self.reserved = self.next.saturating_add(BLOCK);
        Some(self.reservation())
    }
}

/// A downlink as it goes on the wire.
///
/// # Errors
/// When the message does not fit, which no message of this version does.
pub fn sealed(key: &NodeKey, node: &NodeId, message: &Downlink) -> anyhow::Result<Bytes> {
    let mut plain = [0; PAYLOAD_LEN_MAX];
    let mut envelope = [0; PAYLOAD_LEN_MAX];
    let plain = message.encode(&mut plain)?;
    Ok(Bytes::copy_from_slice(seal(key, node, plain, &mut envelope)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_over_restarts_and_stay_inside_the_reservation() {
        let mut on_disk = 0;
        let mut last = 0;
        for restart in 0..5 {
            let mut counter = Counter::new("order", on_disk);
            on_disk = counter.reservation().1;
            for _ in 0..restart * 700 {
                let (number, keep) = counter.take();
                assert!(number > last, "{number} after {last}");
                assert!(i64::try_from(number).expect("small") <= on_disk);
                last = number;
                if let Some((_, reserved)) = keep {
                    on_disk = reserved;
                }
            }
        }
    }

    #[test]
    fn a_nodes_higher_counter_is_overtaken() {
        let mut counter = Counter::new("order", 0);
        assert_eq!(counter.skip_to(5000), Some(("order".to_owned(), 6000)));
        assert_eq!(counter.take().0, 5000);
        assert_eq!(counter.skip_to(10), None);
    }
}
