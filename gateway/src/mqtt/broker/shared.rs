//! What all connections share: the core under its lock, the way to ingest, the device states on their way to the hub.

use super::codec::{Quality, Reason};
use super::connection::{Connection, End, OUTLET_LEN, Parts};
use super::core::{Bounds, Core, Entered, Entry, Farewell, Routed, Seat};
use super::filter::ClientKey;
use super::intake::Intake;
use super::message::{Message, RETAINED_MAX};
use crate::mqtt::{Access, Ack, Delivery, Meter, Outgoing, PublishError, Qos, Stop};
use giot_shared::wire::Topic;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// Shared by the connections, the accept loop and [`crate::mqtt::Link`].
pub(in crate::mqtt) struct Shared {
    pub(super) access: Arc<dyn Access>,
    pub(super) prefix: Box<str>,
    pub(super) packet_len_max: usize,
    pub(super) meter: Arc<Meter>,
    pub(super) intake: Intake,
    core: Mutex<Core<Arc<Connection>>>,
    /// [`Core::n_changes`], to be looked at without the lock.
    n_changes: AtomicU64,
    /// Counts [`super::TICK`].
    tick: AtomicU32,
    is_stopping: AtomicBool,
    states: Mutex<BTreeMap<Arc<str>, bytes::Bytes>>,
    new_state: Notify,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What a topic is to the gateway itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// Goes to ingest and is acknowledged after the commit.
    Ingest,
    /// Goes to ingest, the newest of each device.
    Status,
    /// Goes to subscribers only.
    Other,
}

/// The channel of a topic. The device's name is judged by ingest, as with an external broker, so that nothing is
/// acknowledged here and then forgotten.
pub(super) fn channel(prefix: &str, topic: &str) -> Channel {
    let levels = topic
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('/'))
        .and_then(|rest| rest.split_once('/'));
    match levels {
        Some((_, level)) if level == Topic::Up.as_str() || level == Topic::Json.as_str() => Channel::Ingest,
        Some((_, level)) if level == Topic::Status.as_str() => Channel::Status,
        Some(_) | None => Channel::Other,
    }
}

impl Shared {
    pub(super) fn new(
        access: Arc<dyn Access>,
        prefix: &str,
        packet_len_max: usize,
        bounds: Bounds,
        meter: Arc<Meter>,
        incoming: mpsc::Sender<Delivery>,
    ) -> Self {
        Self {
            access,
            prefix: prefix.into(),
            packet_len_max,
            meter,
            intake: Intake::new(incoming),
            core: Mutex::new(Core::new(bounds)),
            n_changes: AtomicU64::new(0),
            tick: AtomicU32::new(0),
            is_stopping: AtomicBool::new(false),
            states: Mutex::default(),
            new_state: Notify::new(),
        }
    }

    fn core(&self) -> MutexGuard<'_, Core<Arc<Connection>>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tick(&self) -> u32 {
        self.tick.load(Ordering::Relaxed)
    }

    /// Changes whenever somebody's subscriptions do.
    pub(super) fn n_changes(&self) -> u64 {
        self.n_changes.load(Ordering::Acquire)
    }

    fn note_changes(&self, core: &Core<Arc<Connection>>) {
        self.n_changes.store(core.n_changes(), Ordering::Release);
    }

    pub(super) fn is_wanted(&self, topic: &str) -> bool {
        self.core().is_wanted(topic)
    }

    /// Lets a client in; `greet` appends the CONNACK before anything else can be written.
    ///
    /// # Errors
    /// As [`Core::check`], with the socket for saying so.
    pub(super) fn enter(
        &self,
        entry: Entry<'_>,
        parts: Parts,
        greet: impl FnOnce(&Connection, &Entered<Arc<Connection>>),
    ) -> Result<Arc<Connection>, (TcpStream, Reason)> {
        let mut core = self.core();
        if let Err(reason) = core.check(&entry) {
            return Err((parts.socket, reason));
        }
        let (entered, connection) = core.enter(now(), entry, |seat| Connection::new(parts, seat));
        self.note_changes(&core);
        greet(&connection, &entered);
        self.fill(&mut core, &connection);
        drop(core);
        connection.write();
        if let Some(older) = entered.replaced {
            older.end(End::Ended(Reason::SessionTakenOver));
        }
        if let Some(will) = entered.will {
            self.publish(None, &will);
        }
        Ok(connection)
    }

    /// A connection has ended.
    pub(super) fn leave(&self, seat: Seat, farewell: Farewell) {
        let mut core = self.core();
        let will = core.leave(now(), seat, farewell);
        self.note_changes(&core);
        drop(core);
        if let Some(will) = will {
            self.publish(None, &will);
        }
    }

    /// One step of a connection's exchange; then writes what may go out because of it.
    pub(super) fn step<T>(
        &self,
        connection: &Arc<Connection>,
        step: impl FnOnce(&mut Core<Arc<Connection>>) -> T,
    ) -> T {
        let mut core = self.core();
        let result = step(&mut core);
        self.note_changes(&core);
        self.fill(&mut core, connection);
        result
    }

    /// Moves what waits in the session to the outlet.
    fn fill(&self, core: &mut Core<Arc<Connection>>, connection: &Connection) {
        connection.fill(|out| {
            let n_expired = core.poll_send(now(), connection.seat, out, OUTLET_LEN);
            self.meter.expired.fetch_add(n_expired, Ordering::Relaxed);
        });
    }

    /// A QoS 2 message of a connection was taken.
    pub(super) fn take(&self, seat: Seat, id: u16) -> Result<(), Reason> {
        // Of a connection that was replaced nobody waits for the answer.
        self.core().session(seat).map_or(Ok(()), |session| session.take(id))
    }

    /// Passes a message to everybody who wants it, and a device's state to ingest. A slow receiver never holds it up.
    pub(super) fn publish(&self, from: Option<ClientKey>, message: &Arc<Message>) {
        if channel(&self.prefix, &message.topic) == Channel::Status {
            self.state(message);
        }
        let mut core = self.core();
        let Routed { touched, slow, n_dropped } = core.publish(from, message);
        for connection in &touched {
            self.fill(&mut core, connection);
        }
        drop(core);
        touched.iter().for_each(|connection| connection.write());
        for connection in slow {
            tracing::warn!(client = %connection.client_id, from = %connection.from, "an MQTT client reads too slowly and is disconnected");
            connection.end(End::Ended(Reason::QuotaExceeded));
        }
        if n_dropped > 0 {
            tracing::warn!(topic = %message.topic, n_dropped, "there was no room to keep an MQTT message for somebody");
        }
    }

    /// Takes a message of the gateway itself.
    ///
    /// # Errors
    /// [`PublishError::Stopped`] once the broker stops.
    pub(in crate::mqtt) fn send(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        if self.is_stopping.load(Ordering::Acquire) {
            return Err(PublishError::Stopped);
        }
        let Outgoing { topic, payload, qos, retain, expires_at } = outgoing;
        let quality = match qos {
            Qos::AtMostOnce => Quality::AtMostOnce,
            Qos::AtLeastOnce => Quality::AtLeastOnce,
        };
        let expires_at = expires_at.map(Instant::into_std);
        let message =
            Message { topic: topic.into(), payload, quality, retain, expires_at, forwarded: Box::default() };
        if message.is_expired(now()) {
            Meter::add(&self.meter.expired);
            return Ok(());
        }
        self.publish(None, &Arc::new(message));
        Meter::add(&self.meter.published);
        Ok(())
    }

    fn state(&self, message: &Message) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if states.len() >= RETAINED_MAX && !states.contains_key(&message.topic) {
            Meter::add(&self.meter.dropped);
            return;
        }
        states.insert(Arc::clone(&message.topic), message.payload.clone());
        drop(states);
        self.new_state.notify_one();
    }

    /// Passes device states on to ingest; of a device whose states come faster than ingest takes them, only the newest.
    pub(super) async fn forward_states(&self, incoming: mpsc::Sender<Delivery>, mut stopped: Stop) {
        loop {
            tokio::select! {
                biased;
                () = stopped.wished() => return,
                () = self.new_state.notified() => {}
            }
            while !self.states.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                let place = tokio::select! {
                    biased;
                    () = stopped.wished() => return,
                    place = incoming.reserve() => place,
                };
                let Ok(place) = place else { return };
                let newest = self.states.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
                if let Some((topic, payload)) = newest {
                    Meter::add(&self.meter.received);
                    place.send(Delivery { topic, payload, retained: false, ack: Ack::none() });
                }
            }
        }
    }

    /// Time passes: ends silent connections and expired sessions, publishes wills that are due.
    pub(super) fn upkeep(&self) {
        let tick = self.tick.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let mut core = self.core();
        core.handles().for_each(|connection| connection.check_silence(tick));
        let wills = core.expire(now());
        self.note_changes(&core);
        drop(core);
        for will in wills {
            self.publish(None, &will);
        }
    }

    /// Nothing more comes in or is taken from [`crate::mqtt::Link`]; what was handed out can still be settled.
    pub(super) fn close(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.intake.close();
        self.core().handles().for_each(|connection| connection.wake());
    }

    /// Whether every connection has written what it had to.
    pub(super) fn is_drained(&self) -> bool {
        self.core().handles().all(|connection| connection.is_drained())
    }

    /// Ends every connection.
    pub(super) fn say_goodbye(&self) {
        self.core().handles().for_each(|connection| connection.end(End::Ended(Reason::ServerShuttingDown)));
    }
}

/// The core's time: the runtime's, which tests can pause.
pub(super) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ingest_gets_what_an_external_brokers_subscription_would_give_it() {
        for (topic, expected) in [
            ("giot/v1/n1/up", Channel::Ingest),
            ("giot/v1/n1/json", Channel::Ingest),
            ("giot/v1/No Such Name/json", Channel::Ingest),
            ("giot/v1//json", Channel::Ingest),
            ("giot/v1/n1/status", Channel::Status),
            ("giot/v1/n1/down", Channel::Other),
            ("giot/v1/n1/x/up", Channel::Other),
            ("giot/v1/up", Channel::Other),
            ("giot/v1n1/up", Channel::Other),
            ("other/n1/up", Channel::Other),
        ] {
            assert_eq!(channel("giot/v1", topic), expected, "{topic}");
        }
    }
}
