//! The one port to MQTT: messages come in with an acknowledge handle, messages go out through a bounded queue.
//!
//! Two adapters stand behind it and pass the same tests: [`broker`] (embedded, the default) and [`client`] (an external
//! broker). Nobody else may use their libraries. The port decides nothing about payloads and waits for no storage.
//!
//! Invariants:
//! - A QoS 1 or 2 message is acknowledged to its sender only after [`Ack::accept`]; an [`Ack`] dropped without it makes
//!   the sender (or the broker) send the message again. Consumers therefore see duplicates and must deduplicate.
//! - [`Link::publish`] never waits: it takes the message or says why not.
//! - Every queue here has a bound, written beside its constant.
//! - Messages of one sender arrive in the order in which they were sent, except `status`, of which only the newest counts.
//!
//! | file | holds |
//! |---|---|
//! | `acl` | which topics a device may touch |
//! | `broker` | embedded broker |
//! | `client`, `outbox` | external broker: connection and back-off, what is not yet acknowledged |

pub mod acl;
pub mod bench;
pub mod broker;
pub mod client;
mod outbox;

use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Messages that may wait for ingest: a tenth of a second at forty thousand a second, and at most 128 MiB because a
/// payload is at most [`PAYLOAD_LEN_MAX`].
pub const INCOMING_MAX: usize = 4096;

/// Messages that may wait to be sent: every valve of a large cooperative closed at once, twice.
pub const OUTGOING_MAX: usize = 1024;

/// Longest payload in bytes, either way: our own messages end at 1 KiB, third-party JSON at 16 KiB.
pub const PAYLOAD_LEN_MAX: usize = 32 * 1024;

/// What comes in: the receiving end that ingest owns. It closes when the adapter stops.
pub type Incoming = mpsc::Receiver<Delivery>;

/// One message from a device.
#[derive(Debug)]
pub struct Delivery {
    /// Full topic, `{prefix}/{device}/up`, `…/json` or `…/status`.
    pub topic: Arc<str>,
    /// The payload as sent; not checked.
    pub payload: Bytes,
    /// Whether the broker had kept it from earlier, so that it may be old.
    pub retained: bool,
    /// Says that the message is durably ours.
    pub ack: Ack,
}

/// The duty to say that a message is durably stored. Cheap to fulfil, from any thread.
///
/// Dropped without [`Ack::accept`] the message counts as lost by us: its sender is made to send it again.
#[must_use = "dropping an Ack refuses its message"]
pub struct Ack(Option<Token>);

enum Token {
    Embedded(broker::Receipt),
    External(client::Receipt),
    Call(Box<dyn FnOnce(Outcome) + Send>),
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is durably ours.
    Kept,
    /// Nobody can use it, and nobody could if it came again.
    Unusable,
    /// Not kept: it has to come again.
    Refused,
}

impl Ack {
    /// For a message that nobody waits for.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Calls `done` once.
    pub fn from_fn(done: impl FnOnce(Outcome) + Send + 'static) -> Self {
        Self(Some(Token::Call(Box::new(done))))
    }

    pub(crate) const fn embedded(receipt: broker::Receipt) -> Self {
        Self(Some(Token::Embedded(receipt)))
    }

    pub(crate) const fn external(receipt: client::Receipt) -> Self {
        Self(Some(Token::External(receipt)))
    }

    /// The message is durably ours: lets the acknowledgement go to its sender. Never blocks.
    pub fn accept(mut self) {
        settle(self.0.take(), Outcome::Kept);
    }

    /// Nobody can use the message: it leaves its sender's queue, and a sender of MQTT 5 to the embedded broker is told so
    /// (reason code 0x99). Never blocks.
    pub fn reject(mut self) {
        settle(self.0.take(), Outcome::Unusable);
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        settle(self.0.take(), Outcome::Refused);
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Ack(open)" } else { "Ack(none)" })
    }
}

fn settle(token: Option<Token>, outcome: Outcome) {
    match token {
        Some(Token::Embedded(receipt)) => receipt.settle(outcome),
        Some(Token::External(receipt)) => receipt.settle(outcome),
        Some(Token::Call(done)) => done(outcome),
        None => {}
    }
}

/// How hard the transport tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// Sent once, never confirmed.
    AtMostOnce,
    /// Sent until confirmed; may arrive twice.
    AtLeastOnce,
}

/// Why a message was not taken for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// [`OUTGOING_MAX`] messages wait already.
    #[error("the outgoing queue is full")]
    Full,
    /// The adapter has stopped.
    #[error("the MQTT link has stopped")]
    Stopped,
    /// More than [`PAYLOAD_LEN_MAX`] bytes.
    #[error("the payload is longer than the transport carries")]
    TooLong,
    /// Empty, too long, or with a wildcard.
    #[error("the topic cannot be published to")]
    Topic,
}

/// A message on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) topic: Box<str>,
    pub(crate) payload: Bytes,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// After this moment it is not sent any more.
    pub(crate) expires_at: Option<Instant>,
}

/// The sending end; cheap to clone, usable from any task or thread.
#[derive(Clone, Debug)]
pub struct Link {
    way: Way,
    up: watch::Receiver<bool>,
    meter: Arc<Meter>,
}

#[derive(Clone, Debug)]
enum Way {
    /// To the task that speaks with an external broker.
    Queue(mpsc::Sender<Outgoing>),
    /// Straight to the clients of the embedded one.
    Broker(Arc<broker::Shared>),
}

impl Link {
    /// Hands a message to the transport, which sends it at once or as soon as it is connected. With `ttl` the message
    /// is dropped instead of sent later than that; commands must have one, so that none opens a valve by surprise.
    ///
    /// # Errors
    /// [`PublishError`] when the message was not taken; nothing was sent then.
    pub fn publish(
        &self,
        topic: &str,
        payload: Bytes,
        qos: Qos,
        retain: bool,
        ttl: Option<Duration>,
    ) -> Result<(), PublishError> {
        if !acl::is_topic_name(topic) {
            return Err(PublishError::Topic);
        }
        if payload.len() > PAYLOAD_LEN_MAX {
            return Err(PublishError::TooLong);
        }
        let expires_at = ttl.and_then(|ttl| Instant::now().checked_add(ttl));
        let message = Outgoing { topic: topic.into(), payload, qos, retain, expires_at };
        match &self.way {
            Way::Broker(broker) => broker.send(message),
            Way::Queue(outgoing) => outgoing.try_send(message).map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => PublishError::Full,
                mpsc::error::TrySendError::Closed(_) => PublishError::Stopped,
            }),
        }
    }

    /// The same link with another way out.
    fn to_broker(&self, broker: Arc<broker::Shared>) -> Self {
        Self { way: Way::Broker(broker), up: self.up.clone(), meter: Arc::clone(&self.meter) }
    }

    /// Whether devices can be reached now: always for the embedded broker, after the subscription for an external one.
    #[must_use]
    pub fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    /// Tells when [`Link::is_up`] changes.
    #[must_use]
    pub fn up(&self) -> watch::Receiver<bool> {
        self.up.clone()
    }

    /// What passed through since the start.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.meter
    }
}

/// Counts since the start; each only grows.
#[derive(Debug, Default)]
pub struct Meter {
    received: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
    oversized: AtomicU64,
    published: AtomicU64,
    expired: AtomicU64,
    reconnects: AtomicU64,
}

/// Generates the readers, one for each count.
macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident)*) => { impl Meter { $(
        $(#[$doc])*
        #[must_use]
        pub fn $name(&self) -> u64 {
            self.$name.load(Ordering::Relaxed)
        }
    )* } };
}

counts! {
    /// Messages handed to ingest.
    received
    /// Messages accepted by their [`Ack`].
    accepted
    /// Messages whose [`Ack`] was dropped, so that they come again.
    refused
    /// Messages without delivery promise (QoS 0, status) given up because ingest was behind.
    dropped
    /// Messages thrown away because of their length.
    oversized
    /// Messages sent.
    published
    /// Messages not sent because their time to live had passed.
    expired
    /// Connections to an external broker built after the first.
    reconnects
}

impl Meter {
    fn add(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a login is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Unknown, wrong or missing credentials.
    Denied,
    /// Nobody in particular; only where anonymous access is on.
    Anonymous,
    /// A known user; a device's name is its node id.
    User(String),
}

/// Who may do what on the embedded broker. Asked for each login, publish and subscription; must not wait on I/O except
/// in [`Access::check_login`], which may take its time over a slow password hash.
pub trait Access: Send + Sync {
    /// Judges the credentials of a new connection.
    fn check_login(&self, client_id: &str, user: Option<&str>, password: Option<&[u8]>) -> Login;
    /// Whether the user (`None` is anonymous) may publish to a topic. See [`acl::allows_publish`]. The answer holds for as
    /// long as a connection goes on publishing to that topic alone.
    fn may_publish(&self, user: Option<&str>, topic: &str) -> bool;
    /// Whether the user (`None` is anonymous) may subscribe to a filter. See [`acl::allows_subscribe`].
    fn may_subscribe(&self, user: Option<&str>, filter: &str) -> bool;
}

/// A started adapter's tasks. Dropping it stops them without waiting.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Stops in the order of the data: takes nothing new in (so that [`Incoming`] ends), sends what is queued, lets
    /// acknowledgements of what was handed out go, then closes the connections. Takes a few seconds at most.
    pub async fn stop(mut self) {
        // Fails only when the task is gone already, which is what is wanted.
        self.stop.send(true).ok();
        self.ended().await;
    }

    /// Waits until the adapter has ended, asked or not. Cancel-safe.
    pub async fn ended(&mut self) {
        if self.task.is_finished() {
            return;
        }
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "the MQTT task failed");
        }
    }
}

/// Hears the wish to stop.
#[derive(Clone, Debug)]
struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Waits until stopping is wished, or nobody is left who could wish it. Cancel-safe.
    async fn wished(&mut self) {
        self.0.wait_for(|stop| *stop).await.ok();
    }

    fn is_wished(&self) -> bool {
        *self.0.borrow()
    }
}

fn stop() -> (watch::Sender<bool>, Stop) {
    let (tell, told) = watch::channel(false);
    (tell, Stop(told))
}

/// The two ends of the port and what an adapter needs to serve them.
struct Ends {
    link: Link,
    outgoing: mpsc::Receiver<Outgoing>,
    up: watch::Sender<bool>,
    meter: Arc<Meter>,
    incoming_tx: mpsc::Sender<Delivery>,
    incoming: Incoming,
}

fn ends() -> Ends {
    let (outgoing_tx, outgoing) = mpsc::channel(OUTGOING_MAX);
    let (incoming_tx, incoming) = mpsc::channel(INCOMING_MAX);
    let (up, up_rx) = watch::channel(false);
    let meter = Arc::new(Meter::default());
    let link = Link { way: Way::Queue(outgoing_tx), up: up_rx, meter: Arc::clone(&meter) };
    Ends { link, outgoing, up, meter, incoming_tx, incoming }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn an_ack_tells_once_what_became_of_its_message() {
        let (tell, told) = channel();
        let ack = || {
            let tell = tell.clone();
            Ack::from_fn(move |outcome| tell.send(outcome).unwrap())
        };
        ack().accept();
        ack().reject();
        drop(ack());
        drop(tell);
        assert_eq!(told.iter().collect::<Vec<_>>(), [Outcome::Kept, Outcome::Unusable, Outcome::Refused]);
    }

    #[test]
    fn publish_refuses_what_cannot_be_sent() {
        let mut ends = ends();
        let publish = |topic: &str, len: usize| {
            ends.link.publish(topic, Bytes::from(vec![0; len]), Qos::AtLeastOnce, false, None)
        };
        assert_eq!(publish("giot/v1/n1/down", 10), Ok(()));
        assert_eq!(publish("giot/v1/+/down", 10), Err(PublishError::Topic));
        assert_eq!(publish("", 10), Err(PublishError::Topic));
        assert_eq!(publish("a", PAYLOAD_LEN_MAX + 1), Err(PublishError::TooLong));
        for _ in 1..OUTGOING_MAX {
            assert_eq!(publish("a", 1), Ok(()));
        }
        assert_eq!(publish("a", 1), Err(PublishError::Full));
        ends.outgoing.close();
        assert_eq!(publish("a", 1), Err(PublishError::Stopped));
    }
}
