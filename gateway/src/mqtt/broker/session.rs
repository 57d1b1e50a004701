//! What one client has still to get and to confirm. Pure: no socket, no clock.
//!
//! A message is *queued*, then *in flight* under a packet id until the client has confirmed it, then gone; with QoS 0 it
//! is gone when written. A new connection of the same session gets what is in flight again, first and in its order
//! (MQTT 5 section 4.4).
//!
//! Invariants: the queue holds at most [`QUEUE_LEN_MAX`] bytes; at most [`IN_FLIGHT_MAX`] messages are in flight; order
//! is kept within the messages of one topic and quality.

use super::codec::{self, Outbound, Quality, Reason, Version};
use super::message::Message;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// What a client that is away or slow may have waiting, bytes.
pub(super) const QUEUE_LEN_MAX: usize = 1024 * 1024;
/// Messages of QoS 1 and 2 on their way to a client, where it does not want fewer.
const IN_FLIGHT_MAX: usize = 64;
/// QoS 2 messages that a client may leave unreleased; a right one releases each at once.
const UNRELEASED_MAX: usize = 1024;

/// What the other end takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) version: Version,
    /// Messages of QoS 1 and 2 on their way.
    pub(super) receive_max: u16,
    /// Longest packet, bytes.
    pub(super) packet_len_max: u32,
}

/// A message for this client.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    pub(super) message: Arc<Message>,
    /// The lower one of message and subscription.
    pub(super) quality: Quality,
    pub(super) retain: bool,
    pub(super) subscription_ids: Box<[u32]>,
}

#[derive(Debug)]
struct InFlight {
    id: u16,
    step: Step,
    /// Whether this connection has seen it.
    is_sent: bool,
    queued: Queued,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Waits for PUBACK or PUBREC.
    Published,
    /// Waits for PUBCOMP.
    Released,
}

/// One client's side of the deliveries.
#[derive(Debug, Default)]
pub(super) struct Session {
    queue: VecDeque<Queued>,
    queue_len: usize,
    in_flight: VecDeque<InFlight>,
    last_id: u16,
    /// QoS 2 messages from the client that it has not released.
    unreleased: BTreeSet<u16>,
}

impl Session {
    /// Queues a message; `false` when there is no room for it.
    pub(super) fn offer(&mut self, queued: Queued) -> bool {
        let len = self.queue_len.saturating_add(queued.message.cost());
        if len > QUEUE_LEN_MAX {
            return false;
        }
        self.queue_len = len;
        self.queue.push_back(queued);
        true
    }

    /// Bytes waiting.
    pub(super) const fn queue_len(&self) -> usize {
        self.queue_len
    }

    /// A new connection: what is in flight goes out again.
    pub(super) fn resume(&mut self) {
        for in_flight in &mut self.in_flight {
            in_flight.is_sent = false;
        }
    }

    /// The connection is gone: what was promised to nobody is dropped.
    pub(super) fn pause(&mut self) {
        self.queue.retain(|queued| queued.quality > Quality::AtMostOnce);
        self.queue_len = self.queue.iter().map(|queued| queued.message.cost()).sum();
    }

    /// Writes what may go out now, until `out` holds `len_max` bytes. Returns how many messages had expired instead.
    pub(super) fn poll_send(&mut self, now: Instant, peer: &Peer, out: &mut Vec<u8>, len_max: usize) -> u64 {
        let n_before = self.in_flight.len();
        // What is late by now must not surprise anybody.
        self.in_flight
            .retain(|it| it.is_sent || it.step == Step::Released || !it.queued.message.is_expired(now));
        let mut n_expired = count(n_before - self.in_flight.len());
        for in_flight in self.in_flight.iter_mut().filter(|in_flight| !in_flight.is_sent) {
            if out.len() >= len_max {
                return n_expired;
            }
            in_flight.is_sent = true;
            match in_flight.step {
                Step::Published => write(out, peer, &in_flight.queued, in_flight.id, true, now),
                Step::Released => codec::ack(out, peer.version, 0x62, in_flight.id, Reason::Success),
            }
        }
        let window = IN_FLIGHT_MAX.min(usize::from(peer.receive_max));
        while out.len() < len_max {
            let needs_id = self.queue.front().is_some_and(|queued| queued.quality > Quality::AtMostOnce);
            if needs_id && self.in_flight.len() >= window {
                break;
            }
            let Some(queued) = self.queue.pop_front() else { break };
            self.queue_len = self.queue_len.saturating_sub(queued.message.cost());
            if queued.message.is_expired(now) {
                n_expired += 1;
                continue;
            }
            if !fits(peer, &queued, now) {
                // As if it had been delivered (MQTT 5 section 3.1.2.11.4).
                continue;
            }
            if !needs_id {
                write(out, peer, &queued, 0, false, now);
                continue;
            }
            let id = self.next_id();
            write(out, peer, &queued, id, false, now);
            self.in_flight.push_back(InFlight { id, step: Step::Published, is_sent: true, queued });
        }
        n_expired
    }

    fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.in_flight.iter().all(|in_flight| in_flight.id != self.last_id) {
                return self.last_id;
            }
        }
    }

    /// A PUBACK or PUBCOMP. Returns whether it was awaited.
    pub(super) fn handle_done(&mut self, id: u16) -> bool {
        let at = self.in_flight.iter().position(|in_flight| in_flight.id == id);
        at.and_then(|at| self.in_flight.remove(at)).is_some()
    }

    /// A PUBREC: the answer to give. A refusal by the client ends the exchange.
    pub(super) fn handle_received(&mut self, id: u16, code: u8) -> Option<Reason> {
        if code >= 0x80 {
            self.handle_done(id);
            return None;
        }
        let known = self.in_flight.iter_mut().find(|in_flight| in_flight.id == id);
        Some(known.map_or(Reason::PacketIdentifierNotFound, |in_flight| {
            in_flight.step = Step::Released;
            Reason::Success
        }))
    }

    /// Whether a QoS 2 message of the client was taken already.
    pub(super) fn has_taken(&self, id: u16) -> bool {
        self.unreleased.contains(&id)
    }

    /// A QoS 2 message of the client is taken.
    ///
    /// # Errors
    /// More are unreleased than may be.
    pub(super) fn take(&mut self, id: u16) -> Result<(), Reason> {
        if self.unreleased.len() >= UNRELEASED_MAX && !self.has_taken(id) {
            return Err(Reason::ReceiveMaximumExceeded);
        }
        self.unreleased.insert(id);
        Ok(())
    }

    /// The client releases a QoS 2 message: the answer to give.
    pub(super) fn release(&mut self, id: u16) -> Reason {
        if self.unreleased.remove(&id) { Reason::Success } else { Reason::PacketIdentifierNotFound }
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn outbound(queued: &Queued, id: u16, dup: bool, now: Instant) -> Outbound<'_> {
    Outbound {
        topic: &queued.message.topic,
        payload: &queued.message.payload,
        quality: queued.quality,
        retain: queued.retain,
        dup,
        id,
        expiry_s: queued.message.expiry_s(now),
        subscription_ids: &queued.subscription_ids,
        forwarded: &queued.message.forwarded,
    }
}

fn write(out: &mut Vec<u8>, peer: &Peer, queued: &Queued, id: u16, dup: bool, now: Instant) {
    codec::publish(out, peer.version, &outbound(queued, id, dup, now));
}

fn fits(peer: &Peer, queued: &Queued, now: Instant) -> bool {
    let len = codec::publish_len(peer.version, &outbound(queued, 0, false, now));
    u32::try_from(len).is_ok_and(|len| len <= peer.packet_len_max)
}
