//! What an external broker has not yet confirmed. Pure bookkeeping: no socket, no clock.
//!
//! The client library forgets publishes when the broker has lost the session, so a message counts as sent only when its
//! PUBACK is here, and everything else is sent again over the next connection, in the order in which it was asked for.
//! A message with a deadline is dropped instead, once the deadline has passed.
//!
//! A message is *queued*, then *handed* to the library, then *in flight* under a packet id, then gone.

use super::{Outgoing, Qos};
use std::collections::{BTreeMap, VecDeque};
use tokio::time::Instant;

#[derive(Debug)]
struct Entry {
    /// Order in which it was asked for.
    seq: u64,
    message: Outgoing,
}

/// The messages on their way out.
#[derive(Debug)]
pub(super) struct Outbox {
    len_max: usize,
    window: usize,
    next_seq: u64,
    queued: VecDeque<Entry>,
    handed: VecDeque<Entry>,
    in_flight: BTreeMap<u16, (Entry, Instant)>,
}

impl Outbox {
    /// Holds at most `len_max` messages, of which at most `window` are handed out or in flight.
    pub(super) fn new(len_max: usize, window: usize) -> Self {
        Self {
            len_max,
            window,
            next_seq: 0,
            queued: VecDeque::new(),
            handed: VecDeque::new(),
            in_flight: BTreeMap::new(),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.len() < self.len_max
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.queued.len().saturating_add(self.unconfirmed())
    }

    fn unconfirmed(&self) -> usize {
        self.handed.len().saturating_add(self.in_flight.len())
    }

    /// Queues a message. The caller asks [`Outbox::has_room`] first.
    pub(super) fn push(&mut self, message: Outgoing) {
        let seq = self.next_seq;
        self.next_seq = seq.wrapping_add(1);
        self.queued.push_back(Entry { seq, message });
    }

    /// Drops queued messages whose deadline has passed; returns how many.
    pub(super) fn expire(&mut self, now: Instant) -> usize {
        let before = self.queued.len();
        self.queued.retain(|entry| entry.message.expires_at.is_none_or(|at| at > now));
        before.saturating_sub(self.queued.len())
    }

    /// The next message for the library, while the window has room.
    pub(super) fn hand(&mut self) -> Option<Outgoing> {
        if self.unconfirmed() >= self.window {
            return None;
        }
        let entry = self.queued.pop_front()?;
        let message = entry.message.clone();
        self.handed.push_back(entry);
        Some(message)
    }

    /// The library has written the oldest handed message under this packet id (0: QoS 0). Returns whether it was known.
    pub(super) fn written(&mut self, packet_id: u16, now: Instant) -> bool {
        let Some(entry) = self.handed.pop_front() else { return false };
        if entry.message.qos == Qos::AtLeastOnce {
            self.in_flight.insert(packet_id, (entry, now));
        }
        true
    }

    /// The broker has confirmed a packet id. Returns whether it was awaited.
    pub(super) fn confirmed(&mut self, packet_id: u16) -> bool {
        self.in_flight.remove(&packet_id).is_some()
    }

    /// When the longest unconfirmed message was written.
    pub(super) fn unconfirmed_since(&self) -> Option<Instant> {
        self.in_flight.values().map(|(_, at)| *at).min()
    }

    /// The connection is gone: everything unconfirmed is queued again, before what came later.
    pub(super) fn connection_lost(&mut self) {
        let in_flight = std::mem::take(&mut self.in_flight).into_values().map(|(entry, _)| entry);
        let mut all: Vec<Entry> =
            in_flight.chain(self.handed.drain(..)).chain(self.queued.drain(..)).collect();
        all.sort_by_key(|entry| entry.seq);
        self.queued = all.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::time::Duration;

    fn message(text: &str, qos: Qos, expires_at: Option<Instant>) -> Outgoing {
        Outgoing { topic: text.into(), payload: Bytes::new(), qos, retain: false, expires_at }
    }

    fn handed(outbox: &mut Outbox) -> Vec<String> {
        std::iter::from_fn(|| outbox.hand()).map(|message| message.topic.into()).collect()
    }

    #[test]
    fn unconfirmed_messages_come_again_in_order() {
        let now = Instant::now();
        let mut outbox = Outbox::new(10, 3);
        for name in ["a", "b", "c", "d"] {
            outbox.push(message(name, Qos::AtLeastOnce, None));
        }
        assert_eq!(handed(&mut outbox), ["a", "b", "c"], "the window holds the fourth back");
        // Packet ids wrap around, so their order says nothing.
        assert!(outbox.written(20, now) && outbox.written(1, now));
        assert_eq!(outbox.unconfirmed_since(), Some(now));
        assert!(outbox.confirmed(20));
        assert!(!outbox.confirmed(20), "a second confirmation means nothing");
        outbox.connection_lost();
        assert_eq!(outbox.unconfirmed_since(), None);
        assert_eq!(handed(&mut outbox), ["b", "c", "d"]);
    }

    #[test]
    fn a_message_without_promise_is_done_when_written() {
        let mut outbox = Outbox::new(10, 3);
        outbox.push(message("a", Qos::AtMostOnce, None));
        assert_eq!(handed(&mut outbox), ["a"]);
        assert!(!outbox.is_empty());
        assert!(outbox.written(0, Instant::now()));
        assert!(outbox.is_empty());
        assert!(!outbox.written(0, Instant::now()), "nothing was handed out");
    }

    #[test]
    fn an_expired_message_is_dropped_even_after_it_was_in_flight() {
        let now = Instant::now();
        let later = now + Duration::from_secs(10);
        let mut outbox = Outbox::new(10, 3);
        outbox.push(message("open", Qos::AtLeastOnce, Some(later)));
        outbox.push(message("close", Qos::AtLeastOnce, None));
        assert_eq!(outbox.expire(now), 0);
        assert_eq!(handed(&mut outbox), ["open", "close"]);
        assert!(outbox.written(1, now) && outbox.written(2, now));
        assert_eq!(outbox.expire(later), 0, "what is in flight cannot be called back");
        outbox.connection_lost();
        assert_eq!(outbox.expire(later), 1);
        assert_eq!(handed(&mut outbox), ["close"]);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Push,
        Hand,
        Written,
        ConfirmOldest,
        Lose,
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_a_connection_keeps_the_order(steps in prop::collection::vec(
            prop_oneof![Just(Step::Push), Just(Step::Hand), Just(Step::Written), Just(Step::ConfirmOldest), Just(Step::Lose)],
            0..200,
        )) {
            let mut outbox = Outbox::new(1000, 4);
            let (mut pushed, mut done, mut next_id) = (0_u32, std::collections::BTreeSet::new(), 1_u16);
            let mut sent: VecDeque<(u16, u32)> = VecDeque::new();
            let mut out: VecDeque<u32> = VecDeque::new();
            let mut last_handed = None;
            for step in steps {
                match step {
                    Step::Push => {
                        outbox.push(message(&pushed.to_string(), Qos::AtLeastOnce, None));
                        pushed += 1;
                    }
                    Step::Hand => if let Some(message) = outbox.hand() {
                        let n: u32 = message.topic.parse().unwrap();
                        prop_assert!(last_handed < Some(n), "{n} after {last_handed:?}");
                        last_handed = Some(n);
                        out.push_back(n);
                    },
                    Step::Written => if let Some(n) = out.pop_front() {
                        prop_assert!(outbox.written(next_id, Instant::now()));
                        sent.push_back((next_id, n));
                        next_id += 1;
                    },
                    Step::ConfirmOldest => if let Some((id, n)) = sent.pop_front() {
                        prop_assert!(outbox.confirmed(id));
                        done.insert(n);
                    },
                    Step::Lose => {
                        outbox.connection_lost();
                        sent.clear();
                        out.clear();
                        last_handed = None;
                    }
                }
                prop_assert_eq!(outbox.len() + done.len(), usize::try_from(pushed).unwrap());
            }
        }
    }
}
