//! Messages on their way from a connection to ingest, and what is owed for each of them.
//!
//! A connection holds at most [`WINDOW`] units of unsettled messages; then it is not read any further, so that neither a
//! flood nor a stopped store grows memory or holds up another connection.

use super::codec::{Quality, Reason, Version};
use super::connection::{Connection, End};
use crate::mqtt::{Delivery, Meter, Outcome};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::{Notify, mpsc};

/// Units of unsettled messages a connection may hold. A message costs one and one for each KiB of payload, so that a
/// connection holds 64 KiB at most; devices keep one to twenty small messages in flight.
pub(super) const WINDOW: usize = 64;

/// What a message takes of the window.
pub(super) fn cost(payload_len: usize) -> usize {
    payload_len.div_euclid(1024).saturating_add(1).min(WINDOW)
}

/// A connection's unsettled messages.
#[derive(Debug, Default)]
pub(super) struct Window {
    used: AtomicUsize,
    /// The connection waits for room.
    is_awaited: AtomicBool,
}

impl Window {
    /// Takes `cost` units; `false` when there is no room, and then whoever gives some back wakes the connection.
    pub(super) fn take(&self, cost: usize) -> bool {
        // Only the connection's own task takes; others give back.
        let has_room = || self.used.load(Ordering::SeqCst) + cost <= WINDOW;
        if !has_room() {
            self.is_awaited.store(true, Ordering::SeqCst);
            if !has_room() {
                return false;
            }
            self.is_awaited.store(false, Ordering::SeqCst);
        }
        self.used.fetch_add(cost, Ordering::SeqCst);
        true
    }

    /// Gives units back; `true` when the connection waits for them.
    fn give_back(&self, cost: usize) -> bool {
        self.used.fetch_sub(cost, Ordering::SeqCst);
        self.is_awaited.load(Ordering::SeqCst) && self.is_awaited.swap(false, Ordering::SeqCst)
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.is_awaited.load(Ordering::SeqCst)
    }
}

/// The way to ingest that all connections share.
#[derive(Debug)]
pub(super) struct Intake {
    /// `None` once the broker stops: nothing more goes in.
    incoming: RwLock<Option<mpsc::Sender<Delivery>>>,
    unsettled: AtomicUsize,
    all_settled: Notify,
}

impl Intake {
    pub(super) fn new(incoming: mpsc::Sender<Delivery>) -> Self {
        Self {
            incoming: RwLock::new(Some(incoming)),
            unsettled: AtomicUsize::new(0),
            all_settled: Notify::new(),
        }
    }

    /// Ingest's queue, for a moment without waiting.
    pub(super) fn incoming(&self) -> RwLockReadGuard<'_, Option<mpsc::Sender<Delivery>>> {
        self.incoming.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets nothing more in; what was handed out can still be settled.
    pub(super) fn close(&self) {
        self.incoming.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Waits until every message handed out is settled. Cancel-safe.
    pub(super) async fn settled(&self) {
        loop {
            let notified = self.all_settled.notified();
            if self.unsettled.load(Ordering::Acquire) == 0 {
                return;
            }
            notified.await;
        }
    }
}

/// What is owed for one message that was handed to ingest.
pub(crate) struct Receipt {
    connection: Arc<Connection>,
    quality: Quality,
    id: u16,
    cost: u32,
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Receipt {
    /// For a message whose `cost` was taken from the connection's window.
    pub(super) fn new(connection: &Arc<Connection>, quality: Quality, id: u16, cost: usize) -> Self {
        connection.shared.intake.unsettled.fetch_add(1, Ordering::AcqRel);
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        Self { connection: Arc::clone(connection), quality, id, cost }
    }

    /// Lets the acknowledgement go, or ends the connection so that its client sends the message again.
    pub(in crate::mqtt) fn settle(self, outcome: Outcome) {
        let Self { connection, quality, id, cost } = self;
        let shared = &connection.shared;
        let is_settled = outcome != Outcome::Refused;
        Meter::add(if is_settled { &shared.meter.accepted } else { &shared.meter.refused });
        let is_told = outcome == Outcome::Unusable && connection.version == Version::V5;
        let reason = if is_told { Reason::PayloadFormatInvalid } else { Reason::Success };
        match (quality, is_settled) {
            (Quality::AtMostOnce, _) => {}
            (Quality::AtLeastOnce, true) => connection.acknowledge(0x40, id, reason),
            // A PUBREC that says no is the end of its exchange (MQTT 5 section 4.3.3).
            (Quality::ExactlyOnce, true) if reason.is_failure() => connection.acknowledge(0x50, id, reason),
            (Quality::ExactlyOnce, true) => match shared.take(connection.seat, id) {
                Ok(()) => connection.acknowledge(0x50, id, reason),
                Err(reason) => connection.end(End::Ended(reason)),
            },
            (Quality::AtLeastOnce | Quality::ExactlyOnce, false) => {
                connection.end(End::Ended(Reason::ImplementationSpecificError));
            }
        }
        if connection.window.give_back(usize::try_from(cost).unwrap_or(WINDOW)) {
            connection.wake();
        }
        if shared.intake.unsettled.fetch_sub(1, Ordering::AcqRel) == 1 {
            shared.intake.all_settled.notify_waiters();
        }
    }
}
