//! One connection's way in: reads the socket, takes packets apart, and does what each asks for.
//!
//! All packets of one read are handled in one turn and their answers leave in one write. A turn reads into a buffer of
//! its thread; a connection keeps only the beginning of a packet that has not come whole, so that an idle one costs
//! next to nothing. What finds the window or ingest's queue full stays unread.
//!
//! Must not wait inside a turn, and must not judge rights itself ([`Access`](crate::mqtt::Access) does).

use super::codec::{self, Acked, Fault, Packet, Publish, Quality, Reason, Subscribe, Unsubscribe};
use super::connection::{Connection, End, Written};
use super::core::{Core, Farewell};
use super::filter::is_filter;
use super::intake::{Receipt, cost};
use super::message::Message;
use super::session::Session;
use super::shared::{Channel, channel, now};
use crate::mqtt::acl::TOPIC_LEN_MAX;
use crate::mqtt::{Ack, Delivery, Meter};
use bytes::Bytes;
use socket2::SockRef;
use std::cell::RefCell;
use std::future::Future;
use std::io::{ErrorKind, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, OwnedPermit, error::TrySendError};

/// What a thread reads at once at most: a full window of small messages and more.
const READ_LEN: usize = 32 * 1024;
/// Reads of one turn, after which others have theirs.
const READS_MAX: usize = 4;

thread_local! {
    static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The task's side of a connection.
pub(super) struct Reader {
    connection: Arc<Connection>,
    /// What was read and not handled: the beginning of a packet, or what found no room.
    rest: Vec<u8>,
    /// Why the rest is not handled now.
    held: Held,
    known: Option<Known>,
    farewell: Farewell,
}

enum Held {
    /// It is not: more bytes are wanted.
    No,
    /// The window was full.
    Window,
    /// The broker stops: nothing more is read, what was taken is still settled.
    Stopping,
    /// Ingest's queue was full; this message goes first.
    Queue(Option<Delivery>, Pin<Box<dyn Future<Output = Option<OwnedPermit<Delivery>>> + Send>>),
}

/// The topic of the last message: a device publishes to the same one again and again.
struct Known {
    topic: Arc<str>,
    channel: Channel,
    is_allowed: bool,
    /// Whether a subscriber wanted it when the subscriptions were last looked at.
    is_wanted: bool,
    n_changes: u64,
}

/// Why handling stopped before the end of the bytes.
enum Stopped {
    Full,
    Ended(End),
}

impl From<Fault> for Stopped {
    fn from(Fault(reason): Fault) -> Self {
        Self::Ended(End::Ended(reason))
    }
}

impl Reader {
    /// For a connection that is in; `rest` came behind its CONNECT.
    pub(super) fn new(connection: Arc<Connection>, rest: Vec<u8>) -> Self {
        let farewell = Farewell { is_lost: true, session_expiry_s: None };
        // The window is free: the first turn looks at the rest.
        Self { connection, rest, held: Held::Window, known: None, farewell }
    }

    /// Serves the connection until it ends; says how.
    pub(super) async fn run(&mut self) -> End {
        let end = std::future::poll_fn(|context| self.poll(context)).await;
        self.connection.close(end)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        loop {
            match self.connection.poll_write(context) {
                Poll::Ready(Ok(Written::All)) => {}
                Poll::Ready(Ok(Written::MoreWaits)) => {
                    self.step(|_| {});
                    continue;
                }
                Poll::Ready(Err(end)) => return Poll::Ready(end),
                Poll::Pending => return Poll::Pending,
            }
            let turn = self.poll_read(context);
            self.connection.write();
            match turn {
                Poll::Ready(Ok(())) => {
                    // More may wait in the socket, but others have their turn first.
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(Err(end)) => self.connection.end(end),
                Poll::Pending if self.connection.is_drained() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
    }

    /// Reads and handles; ready when others should have a turn or the connection ends.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        for _ in 0..READS_MAX {
            ready!(self.poll_held(context))?;
            if ready!(self.connection.socket.poll_read_ready(context)).is_err() {
                return Poll::Ready(Err(End::Lost));
            }
            if let Err(end) = READ.with_borrow_mut(|buffer| self.read(buffer)) {
                return Poll::Ready(Err(end));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Handles what was held back; ready when more can be read.
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        loop {
            match &mut self.held {
                Held::No => return Poll::Ready(Ok(())),
                Held::Stopping => return Poll::Pending,
                // Whoever makes room wakes this task.
                Held::Window if self.connection.window.is_awaited() => return Poll::Pending,
                Held::Window => {}
                Held::Queue(delivery, place) => {
                    if let (Some(place), Some(delivery)) =
                        (ready!(place.as_mut().poll(context)), delivery.take())
                    {
                        place.send(delivery);
                    }
                }
            }
            self.held = Held::No;
            let bytes = std::mem::take(&mut self.rest);
            if let Err(end) = self.consume(&bytes) {
                return Poll::Ready(Err(end));
            }
        }
    }

    fn read(&mut self, buffer: &mut Vec<u8>) -> Result<(), End> {
        buffer.resize(READ_LEN, 0);
        let n_bytes = match read_once(&self.connection.socket, buffer) {
            Ok(0) => return Err(End::Lost),
            Ok(n_bytes) => n_bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(End::Lost),
        };
        self.connection.heard();
        let read = buffer.get(..n_bytes).unwrap_or_default();
        if self.rest.is_empty() {
            self.consume(read)
        } else {
            let mut bytes = std::mem::take(&mut self.rest);
            bytes.extend_from_slice(read);
            self.consume(&bytes)
        }
    }

    /// Handles every whole packet of `bytes` and keeps what is left.
    fn consume(&mut self, bytes: &[u8]) -> Result<(), End> {
        let connection = Arc::clone(&self.connection);
        let shared = Arc::clone(&connection.shared);
        let intake = shared.intake.incoming();
        let Some(incoming) = intake.as_ref() else {
            self.held = Held::Stopping;
            return Ok(());
        };
        let mut rest = bytes;
        while let Some((frame, len)) = codec::split(rest, shared.packet_len_max).map_err(fault)? {
            let packet = codec::decode(connection.version, frame).map_err(fault)?;
            match self.handle(packet, incoming) {
                Ok(()) => rest = rest.get(len..).unwrap_or_default(),
                Err(Stopped::Full) => {
                    if matches!(self.held, Held::Queue(..)) {
                        // The message itself is held, not its bytes.
                        rest = rest.get(len..).unwrap_or_default();
                    }
                    break;
                }
                Err(Stopped::Ended(end)) => return Err(end),
            }
        }
        drop(intake);
        self.rest = rest.to_vec();
        Ok(())
    }

    fn handle(&mut self, packet: Packet<'_>, incoming: &mpsc::Sender<Delivery>) -> Result<(), Stopped> {
        match packet {
            Packet::Publish(publish) => return self.publish(&publish, incoming),
            Packet::PubAck(Acked { id, .. }) | Packet::PubComp(Acked { id, .. }) => {
                self.session(|session| session.handle_done(id));
            }
            Packet::PubRec(Acked { id, code }) => {
                if let Some(Some(reason)) = self.session(|session| session.handle_received(id, code)) {
                    self.answer(0x62, id, reason);
                }
            }
            Packet::PubRel(Acked { id, .. }) => {
                let reason = self.session(|session| session.release(id)).unwrap_or(Reason::Success);
                self.answer(0x70, id, reason);
            }
            Packet::Subscribe(subscribe) => self.subscribe(&subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(&unsubscribe),
            Packet::PingReq => self.connection.append(codec::pingresp),
            Packet::Disconnect(disconnect) => {
                // Code 4 asks for the will all the same.
                self.farewell =
                    Farewell { is_lost: disconnect.code != 0, session_expiry_s: disconnect.session_expiry_s };
                return Err(Stopped::Ended(End::Goodbye));
            }
            Packet::Auth => return Err(Stopped::Ended(End::Ended(Reason::BadAuthenticationMethod))),
            Packet::Connect(_) => return Err(Stopped::Ended(End::Ended(Reason::ProtocolError))),
        }
        Ok(())
    }

    fn step<T>(&self, step: impl FnOnce(&mut Core<Arc<Connection>>) -> T) -> T {
        self.connection.shared.step(&self.connection, step)
    }

    fn session<T>(&self, step: impl FnOnce(&mut Session) -> T) -> Option<T> {
        self.step(|core| core.session(self.connection.seat).map(step))
    }

    fn answer(&self, first: u8, id: u16, reason: Reason) {
        self.connection.append(|out| codec::ack(out, self.connection.version, first, id, reason));
    }

    fn publish(&mut self, publish: &Publish<'_>, incoming: &mpsc::Sender<Delivery>) -> Result<(), Stopped> {
        let first = match publish.quality {
            Quality::AtMostOnce => 0,
            Quality::AtLeastOnce => 0x40,
            Quality::ExactlyOnce => 0x50,
        };
        self.recognise(publish.topic);
        let Some(known) = &self.known else { return Ok(()) };
        if !known.is_allowed {
            // Topics with `$` are the server's: a message there reaches nobody, as one without subscribers.
            let reason = if publish.topic.starts_with('$') { Reason::Success } else { Reason::NotAuthorized };
            tracing::debug!(client = %self.connection.client_id, topic = publish.topic, "a message outside a client's rights was dropped");
            if first != 0 {
                self.answer(first, publish.id, reason);
            }
            return Ok(());
        }
        let is_twice = publish.quality == Quality::ExactlyOnce
            && self.session(|session| session.has_taken(publish.id)) == Some(true);
        if is_twice {
            self.answer(first, publish.id, Reason::Success);
            return Ok(());
        }
        if known.channel == Channel::Ingest {
            return self.hand_over(publish, incoming);
        }
        let topic = Arc::clone(&known.topic);
        if publish.quality == Quality::ExactlyOnce {
            let taken = self.session(|session| session.take(publish.id));
            taken.unwrap_or(Ok(())).map_err(|reason| Stopped::Ended(End::Ended(reason)))?;
        }
        self.route(publish, topic, Bytes::copy_from_slice(publish.payload));
        if first != 0 {
            self.answer(first, publish.id, Reason::Success);
        }
        Ok(())
    }

    /// Gives a message to ingest, which settles it, and to whoever else wants it.
    fn hand_over(&mut self, publish: &Publish<'_>, incoming: &mpsc::Sender<Delivery>) -> Result<(), Stopped> {
        let Some(known) = &self.known else { return Ok(()) };
        let cost = cost(publish.payload.len());
        if !self.connection.window.take(cost) {
            self.held = Held::Window;
            return Err(Stopped::Full);
        }
        let topic = Arc::clone(&known.topic);
        let payload = Bytes::copy_from_slice(publish.payload);
        if known.is_wanted || publish.retain {
            self.route(publish, Arc::clone(&topic), payload.clone());
        }
        Meter::add(&self.connection.shared.meter.received);
        let receipt = Receipt::new(&self.connection, publish.quality, publish.id, cost);
        let delivery = Delivery { topic, payload, retained: false, ack: Ack::embedded(receipt) };
        match incoming.try_send(delivery) {
            // Closed: ingest is gone, and dropping the message refuses it.
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
            Err(TrySendError::Full(delivery)) => {
                let place = incoming.clone().reserve_owned();
                self.held = Held::Queue(Some(delivery), Box::pin(async move { place.await.ok() }));
                Err(Stopped::Full)
            }
        }
    }

    fn route(&self, publish: &Publish<'_>, topic: Arc<str>, payload: Bytes) {
        let message = Arc::new(Message::published(publish, topic, payload, now()));
        self.connection.shared.publish(Some(self.connection.seat.client), &message);
    }

    /// Looks up what a topic is to this client, where that is not known from the message before.
    fn recognise(&mut self, topic: &str) {
        let Connection { shared, user, .. } = &*self.connection;
        // Read first: a change in between is noticed the next time.
        let n_changes = shared.n_changes();
        match &mut self.known {
            Some(known) if &*known.topic == topic => {
                if known.n_changes != n_changes {
                    known.n_changes = n_changes;
                    known.is_wanted = shared.is_wanted(topic);
                }
            }
            _ => {
                self.known = Some(Known {
                    topic: topic.into(),
                    channel: channel(&shared.prefix, topic),
                    is_allowed: topic.len() <= TOPIC_LEN_MAX
                        && !topic.starts_with('$')
                        && shared.access.may_publish(user.as_deref(), topic),
                    is_wanted: shared.is_wanted(topic),
                    n_changes,
                });
            }
        }
    }

    fn subscribe(&self, subscribe: &Subscribe<'_>) {
        let Connection { shared, user, seat, version, .. } = &*self.connection;
        let judge = |filter: &str| {
            if filter.starts_with("$share/") {
                Err(Reason::SharedSubscriptionsNotSupported)
            } else if !is_filter(filter) {
                Err(Reason::TopicFilterInvalid)
            } else if shared.access.may_subscribe(user.as_deref(), filter) {
                Ok(())
            } else {
                Err(Reason::NotAuthorized)
            }
        };
        let judged: Vec<_> = subscribe.filters.iter().map(|filter| (filter, judge(filter.filter))).collect();
        self.step(|core| {
            let mut codes = Vec::with_capacity(judged.len());
            for (filter, judged) in judged {
                let granted =
                    judged.and_then(|()| core.subscribe(now(), *seat, filter, subscribe.subscription_id));
                codes.push(granted.map_or_else(Reason::code, |quality| quality as u8));
            }
            // Before the retained messages that it brings.
            self.connection.append(|out| codec::suback(out, *version, subscribe.id, &codes));
        });
    }

    fn unsubscribe(&self, unsubscribe: &Unsubscribe<'_>) {
        let Connection { seat, version, .. } = &*self.connection;
        self.step(|core| {
            let filters = unsubscribe.filters.iter();
            let codes: Vec<u8> = filters.map(|filter| core.unsubscribe(*seat, filter).code()).collect();
            self.connection.append(|out| codec::unsuback(out, *version, unsubscribe.id, &codes));
        });
    }
}

/// Reads what a socket has, with one call to the system: fewer bytes than there was room for are all there were, so the socket
/// counts as empty without being asked again. A device with one message in flight would cost two calls a message.
fn read_once(socket: &TcpStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    let plain = SockRef::from(socket);
    let (mut n_read, len) = (None, buffer.len());
    let outcome = socket.try_io(Interest::READABLE, || {
        let n_bytes = (&*plain).read(buffer)?;
        n_read = Some(n_bytes);
        if n_bytes < len { Err(ErrorKind::WouldBlock.into()) } else { Ok(n_bytes) }
    });
    n_read.map_or(outcome, Ok)
}

impl Drop for Reader {
    /// However the task ends, its client has left.
    fn drop(&mut self) {
        self.connection.close(End::Lost);
        self.connection.shared.leave(self.connection.seat, self.farewell);
    }
}

fn fault(Fault(reason): Fault) -> End {
    End::Ended(reason)
}
