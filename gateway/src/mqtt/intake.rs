//! One connection's messages on their way from the embedded broker's library to ingest, and the acknowledgements back.
//!
//! The library asks a hook about each PUBLISH and sends the PUBACK when the hook returns. Waiting in the hook for the
//! store would hold up everything else of that connection, commands to its valves first of all. So the hook answers at
//! once with a message that needs no PUBACK, and when the [`Receipt`] is settled it puts a *marker* into the
//! connection's own packet queue: a PUBLISH with the original packet id, for which the hook says "handled", upon which
//! the library writes the PUBACK. A marker is known by the address of its payload, which no client can forge; a
//! refused message puts a DISCONNECT there instead.
//!
//! Invariants: a connection holds at most [`WINDOW`] units of unsettled messages, so neither a flood nor a stopped
//! store grows memory or holds up another connection; the packet queue has a place for each of them and is never full.

use super::{Ack, Delivery, Meter};
use bytes::Bytes;
use giot_shared::wire::Topic;
use mqtt5::QoS;
use mqtt5::broker::client_handler::ExternalInput;
use mqtt5::broker::router::MessageRouter;
use mqtt5::broker::{BrokerEventHandler, ClientPublishEvent, PublishAction};
use mqtt5::packet::Packet;
use mqtt5::packet::disconnect::DisconnectPacket;
use mqtt5::packet::publish::PublishPacket;
use mqtt5::protocol::v5::reason_codes::ReasonCode;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

/// Units of unsettled messages a connection may hold. A message costs one and one for each KiB of payload, so that a
/// connection holds 64 KiB at most; devices keep one to twenty small messages in flight.
pub(super) const WINDOW: usize = 64;

/// Topics of our own in-process messages begin with this; nobody may subscribe to them.
pub(super) const PRIVATE: &str = "$giot";
/// Topic of the markers.
pub(super) const MARKER_TOPIC: &str = "$giot/marker";
/// Where a message goes that must go nowhere.
const NOWHERE_TOPIC: &str = "$giot/nowhere";
/// A marker's payload is a piece of this very array; its length is the message's cost.
static MARKER: [u8; WINDOW] = [0; WINDOW];

/// What all connections share.
pub(super) struct Shared {
    pub(super) prefix: Box<str>,
    pub(super) router: Arc<MessageRouter>,
    pub(super) meter: Arc<Meter>,
    /// `None` once the broker stops: nothing new goes in.
    incoming: RwLock<Option<mpsc::Sender<Delivery>>>,
    unsettled: AtomicUsize,
    all_settled: Notify,
}

impl Shared {
    pub(super) fn new(
        prefix: Box<str>,
        router: Arc<MessageRouter>,
        meter: Arc<Meter>,
        incoming: mpsc::Sender<Delivery>,
    ) -> Self {
        Self {
            prefix,
            router,
            meter,
            incoming: RwLock::new(Some(incoming)),
            unsettled: AtomicUsize::new(0),
            all_settled: Notify::new(),
        }
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

    fn incoming(&self) -> Option<mpsc::Sender<Delivery>> {
        self.incoming.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("unsettled", &self.unsettled).finish_non_exhaustive()
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    shared: Arc<Shared>,
    /// Into the library's loop for this connection.
    packets: mpsc::Sender<ExternalInput>,
    window: Semaphore,
    backlog: Mutex<Backlog>,
}

/// Messages that found ingest's queue full; the window bounds them.
#[derive(Debug, Default)]
struct Backlog {
    waiting: VecDeque<Delivery>,
    /// A task is moving them on; newcomers must queue up behind.
    draining: bool,
}

impl Connection {
    /// A connection and the packet queue that its handler must read.
    pub(super) fn new(shared: Arc<Shared>) -> (Arc<Self>, mpsc::Receiver<ExternalInput>) {
        let (packets, queue) = mpsc::channel(WINDOW);
        let connection =
            Self { shared, packets, window: Semaphore::new(WINDOW), backlog: Mutex::new(Backlog::default()) };
        (Arc::new(connection), queue)
    }

    /// Takes one message for ingest and says what the library shall do with it.
    async fn take(self: &Arc<Self>, event: ClientPublishEvent) -> PublishAction {
        let cost = event.payload.len().div_euclid(1024).saturating_add(1).min(WINDOW);
        let Ok(permits) = self.window.acquire_many(u32::try_from(cost).unwrap_or(u32::MAX)).await else {
            return without_answer();
        };
        // Given back when the receipt is settled.
        permits.forget();
        let Some(incoming) = self.shared.incoming() else {
            return without_answer();
        };
        self.route(&event).await;
        let (answer, settled) = match (event.qos, event.packet_id) {
            (QoS::AtLeastOnce, Some(id)) => (Answer::PubAck(id), None),
            (QoS::ExactlyOnce, _) => {
                let (tell, told) = oneshot::channel();
                (Answer::Tell(tell), Some(told))
            }
            (QoS::AtMostOnce | QoS::AtLeastOnce, _) => (Answer::None, None),
        };
        self.shared.unsettled.fetch_add(1, Ordering::AcqRel);
        Meter::add(&self.shared.meter.received);
        let receipt = Receipt { connection: Arc::clone(self), answer, cost };
        let delivery = Delivery {
            topic: event.topic,
            payload: event.payload,
            retained: false,
            ack: Ack::embedded(receipt),
        };
        self.forward(&incoming, delivery);
        // QoS 2 is rare and its handshake cannot be marked: this connection waits.
        let accepted = match settled {
            Some(told) => told.await == Ok(true),
            None => false,
        };
        if accepted { PublishAction::Handled } else { without_answer() }
    }

    /// Passes the message to other subscribers; a slow one never holds up the publisher.
    async fn route(&self, event: &ClientPublishEvent) {
        let mut publish = PublishPacket::new(&*event.topic, event.payload.clone(), event.qos);
        publish.retain = event.retain;
        self.shared
            .router
            .route_message_with_deadline(&publish, Some(&event.client_id), Instant::now())
            .await;
    }

    /// Hands the message to ingest in order, without waiting.
    fn forward(self: &Arc<Self>, incoming: &mpsc::Sender<Delivery>, delivery: Delivery) {
        let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        if backlog.draining {
            backlog.waiting.push_back(delivery);
            return;
        }
        match incoming.try_send(delivery) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(delivery)) => {
                backlog.waiting.push_back(delivery);
                backlog.draining = true;
                tokio::spawn(drain(Arc::clone(self), incoming.clone()));
            }
            Err(mpsc::error::TrySendError::Closed(delivery)) => {
                // Settling locks nothing of ours, but the rule is to run foreign code without a lock.
                drop(backlog);
                drop(delivery);
            }
        }
    }

    fn put(&self, packet: Packet) {
        // Closed: the connection is gone and its client will send again. Full cannot be, see the module's invariants.
        self.packets.try_send(ExternalInput::Packet(packet, None, None)).ok();
    }
}

/// Moves a connection's backlog into ingest's queue as places become free.
async fn drain(connection: Arc<Connection>, incoming: mpsc::Sender<Delivery>) {
    loop {
        let place = incoming.reserve().await;
        let mut backlog = connection.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match place {
            Ok(place) => match backlog.waiting.pop_front() {
                Some(delivery) => {
                    place.send(delivery);
                    continue;
                }
                None => VecDeque::new(),
            },
            Err(_) => std::mem::take(&mut backlog.waiting),
        };
        backlog.draining = false;
        drop(backlog);
        drop(next);
        return;
    }
}

/// Whether a topic is some device's `up` or `json`. The device's name is judged by ingest, as with an external broker,
/// so that nothing is acknowledged here and then forgotten.
fn is_for_ingest(prefix: &str, topic: &str) -> bool {
    let levels = topic
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('/'))
        .and_then(|rest| rest.split_once('/'));
    levels.is_some_and(|(_, channel)| [Topic::Up.as_str(), Topic::Json.as_str()].contains(&channel))
}

/// The library's way of neither answering nor keeping a message: as QoS 0, to where nobody listens.
fn without_answer() -> PublishAction {
    PublishAction::Transform(PublishPacket::new(NOWHERE_TOPIC, Bytes::new(), QoS::AtMostOnce))
}

/// What is owed for one message that was handed to ingest.
pub(crate) struct Receipt {
    connection: Arc<Connection>,
    answer: Answer,
    cost: usize,
}

enum Answer {
    /// QoS 0: nobody waits.
    None,
    /// QoS 1: a PUBACK with this packet id.
    PubAck(u16),
    /// QoS 2: the hook itself waits.
    Tell(oneshot::Sender<bool>),
}

impl Receipt {
    /// Lets the acknowledgement go, or ends the connection so that its client sends the message again.
    pub(super) fn settle(self, accepted: bool) {
        let Self { connection, answer, cost } = self;
        let meter = &connection.shared.meter;
        Meter::add(if accepted { &meter.accepted } else { &meter.refused });
        match (answer, accepted) {
            (Answer::None, _) => connection.window.add_permits(cost),
            // The permits come back with the marker, after its place in the packet queue is free.
            (Answer::PubAck(id), true) => connection.put(marker(id, cost)),
            (Answer::Tell(tell), true) => {
                connection.window.add_permits(cost);
                // Fails only when the connection is gone.
                tell.send(true).ok();
            }
            (Answer::PubAck(_) | Answer::Tell(_), false) => {
                connection
                    .put(Packet::Disconnect(DisconnectPacket::new(ReasonCode::DisconnectWithWillMessage)));
            }
        }
        let shared = &connection.shared;
        if shared.unsettled.fetch_sub(1, Ordering::AcqRel) == 1 {
            shared.all_settled.notify_waiters();
        }
    }
}

fn marker(packet_id: u16, cost: usize) -> Packet {
    let payload = Bytes::from_static(MARKER.get(..cost).unwrap_or(&MARKER));
    let mut publish = PublishPacket::new(MARKER_TOPIC, payload, QoS::AtLeastOnce);
    publish.packet_id = Some(packet_id);
    Packet::Publish(publish)
}

/// The hook that the library calls for one connection.
pub(super) struct Hook(pub(super) Arc<Connection>);

impl BrokerEventHandler for Hook {
    fn on_client_publish<'a>(
        &'a self,
        event: ClientPublishEvent,
    ) -> Pin<Box<dyn Future<Output = PublishAction> + Send + 'a>> {
        Box::pin(async move {
            if &*event.topic == MARKER_TOPIC {
                if std::ptr::eq(event.payload.as_ptr(), MARKER.as_ptr()) {
                    self.0.window.add_permits(event.payload.len());
                }
                // A client's own message to this topic reaches nobody.
                return PublishAction::Handled;
            }
            if is_for_ingest(&self.0.shared.prefix, &event.topic) {
                self.0.take(event).await
            } else {
                // Status is among these: it arrives through a subscription, which sees wills as well.
                PublishAction::Continue
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ingest_gets_what_an_external_brokers_subscription_would_give_it() {
        let cases = [
            ("giot/v1/n1/up", true),
            ("giot/v1/n1/json", true),
            ("giot/v1/No Such Name/json", true),
            ("giot/v1//json", true),
            ("giot/v1/n1/status", false),
            ("giot/v1/n1/down", false),
            ("giot/v1/n1/x/up", false),
            ("giot/v1/up", false),
            ("giot/v1n1/up", false),
            ("other/n1/up", false),
        ];
        for (topic, expected) in cases {
            assert_eq!(is_for_ingest("giot/v1", topic), expected, "{topic}");
        }
    }

    #[test]
    fn a_marker_tells_its_cost_and_cannot_be_forged() {
        for cost in [1, 17, WINDOW, WINDOW + 1] {
            let Packet::Publish(publish) = marker(7, cost) else { panic!("not a publish") };
            assert_eq!((publish.packet_id, publish.payload.len()), (Some(7), cost.min(WINDOW)));
            assert!(std::ptr::eq(publish.payload.as_ptr(), MARKER.as_ptr()));
            let forged = Bytes::from(publish.payload.to_vec());
            assert!(!std::ptr::eq(forged.as_ptr(), MARKER.as_ptr()));
        }
    }
}
