//! The connection to an external broker, for a cooperative that runs one already or shares one among gateways.
//!
//! Speaks MQTT 3.1.1, because every broker and every cluster does (several clusters nothing else); nothing here needs
//! what 5 adds. What the library (rumqttc) leaves to its user is done here:
//!
//! | trap | what is done |
//! |---|---|
//! | it reconnects at once and for ever | a new library client for each connection, own back-off with jitter between |
//! | publishes vanish with a lost session | own `outbox`, done on PUBACK only |
//! | subscriptions vanish too | subscribed on each CONNACK, the SUBACK's codes checked, a missing SUBACK times out |
//! | it acknowledges what nobody stored | manual acknowledgements, sent by `Receipt` after the commit |
//! | acknowledgements of an old connection confuse the broker | they go to the old client, which is gone |
//! | PUBACKs may just stop | a watchdog ends the connection |
//! | polling must not be cut off midway | the poll future lives as long as its connection and awaits nothing of ours |
//! | a message over its packet limit ends each connection that meets it | the limit is far above ours; longer messages are acknowledged and dropped |
//!
//! The session at the broker is persistent: what devices publish while the gateway is away waits there and comes later.
//! For that to hold over a broker's power cut, the broker must be set to save what it confirms (for Mosquitto:
//! `persistence true`, `autosave_interval 1`, `autosave_on_changes true`, a large `max_queued_messages`).

use super::outbox::Outbox;
use super::{
    Ack, Delivery, INCOMING_MAX, Incoming, Link, Meter, OUTGOING_MAX, Outcome, Outgoing, PAYLOAD_LEN_MAX,
    Qos, Running, Stop, ends, stop,
};
use giot_shared::wire::Topic;
use rumqttc::{
    AsyncClient, ConnAck, ConnectionError, Event, EventLoop, MqttOptions, Packet, Publish, QoS, SubAck,
    SubscribeFilter, SubscribeReasonCode,
};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

/// Our publishes under way. The library stops sending anything, acknowledgements too, at its own limit, and meets
/// itself when packet ids wrap around at that limit; so ours is lower.
const WINDOW: usize = 16;
/// The library's limit of publishes under way.
const LIBRARY_WINDOW: u16 = 20;
/// Messages given to ingest and not settled; brokers send far fewer before they wait (Mosquitto 20, NATS 1,024).
const UNSETTLED_MAX: usize = INCOMING_MAX;
/// Places in the library's request queue: every acknowledgement, every publish, subscribe and disconnect.
const REQUESTS_MAX: usize = UNSETTLED_MAX + WINDOW + 8;
/// Longest packet taken from the broker; longer ones end the connection, so this is far above [`PAYLOAD_LEN_MAX`].
const PACKET_LEN_MAX: usize = 8 * 1024 * 1024;
/// Longest wait for TCP and CONNACK.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Longest wait for SUBACK: cold clusters were seen to need 2.5 s.
const SUBSCRIBE_MAX: Duration = Duration::from_secs(15);
/// Longest wait for a PUBACK before the connection counts as dead.
const CONFIRM_MAX: Duration = Duration::from_secs(10);
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(500);
/// A broker that is silent this long is pinged.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Shortest and longest pause between two connections, before jitter.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Longest wait at stop for queued messages and acknowledgements.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Where the broker is and who we are there.
#[derive(Clone)]
pub struct Settings {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// First levels of all topics.
    pub prefix: String,
    /// Name of the persistent session; must stay the same over restarts and be nobody else's.
    pub client_id: String,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, credentials, prefix, client_id } = self;
        let user = credentials.as_ref().map(|(user, _)| user);
        f.debug_struct("Settings")
            .field("host", host)
            .field("port", port)
            .field("user", &user)
            .field("prefix", prefix)
            .field("client_id", client_id)
            .finish()
    }
}

/// A running link to an external broker.
#[derive(Debug)]
pub struct External {
    /// Sends to devices.
    pub link: Link,
    /// Messages of devices.
    pub incoming: Incoming,
    /// Its tasks.
    pub running: Running,
}

/// Starts connecting, and keeps connecting until stopped. `jitter` gives random numbers over the whole range, so that
/// gateways do not come back in step after a broker's restart.
#[must_use]
pub fn start(settings: Settings, jitter: impl FnMut() -> u32 + Send + 'static) -> External {
    let ends = ends();
    let (stop, stopped) = stop();
    let shared = Shared {
        settings,
        meter: ends.meter,
        up: ends.up,
        incoming: Mutex::new(Some(ends.incoming_tx)),
        outbox: Mutex::new(Outbox::new(OUTGOING_MAX, WINDOW)),
    };
    let task = tokio::spawn(run(shared, ends.outgoing, stopped, Box::new(jitter)));
    External { link: ends.link, incoming: ends.incoming, running: Running { stop, task } }
}

/// What outlives a connection.
struct Shared {
    settings: Settings,
    meter: Arc<Meter>,
    up: watch::Sender<bool>,
    /// `None` once stopping: nothing new goes in.
    incoming: Mutex<Option<mpsc::Sender<Delivery>>>,
    outbox: Mutex<Outbox>,
}

impl Shared {
    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn incoming(&self) -> MutexGuard<'_, Option<mpsc::Sender<Delivery>>> {
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expire(&self) {
        let n_expired = self.outbox().expire(Instant::now());
        if n_expired > 0 {
            tracing::warn!(
                n_expired,
                "messages to devices were dropped: their time had passed before they could be sent"
            );
            self.meter.expired.fetch_add(u64::try_from(n_expired).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("{0}")]
    Lost(Box<ConnectionError>),
    #[error("the broker refused our subscription")]
    SubscriptionRefused,
    #[error("the broker did not answer our subscription")]
    SubscriptionUnanswered,
    #[error("the broker stopped confirming what we publish")]
    Unconfirmed,
    #[error("a message was not stored and must come again")]
    Refused,
    #[error("ingest is too far behind")]
    Behind,
    #[error("the library's request queue is closed or full")]
    Requests,
    #[error("stopped")]
    Stopped,
}

/// One connection, as its receipts know it.
struct Connection {
    client: AsyncClient,
    unsettled: AtomicUsize,
    /// A receipt was settled, or the outbox may have work.
    wake: Notify,
    /// A receipt was refused.
    refused: Notify,
    /// CONNACK and SUBACK are here.
    connected_at: Mutex<Option<Instant>>,
    subscribed: watch::Sender<bool>,
}

/// What is owed for one message that was handed to ingest.
pub(crate) struct Receipt {
    connection: Arc<Connection>,
    meter: Arc<Meter>,
    /// `None` for QoS 0.
    packet_id: Option<u16>,
}

impl Receipt {
    /// Sends the PUBACK, also for what nobody can use, since the broker would send that for ever; or has the connection rebuilt so that the broker sends the message again. On a connection that
    /// is gone neither does anything: the broker sends the message again by itself.
    pub(super) fn settle(self, outcome: Outcome) {
        let Self { connection, meter, packet_id } = self;
        let accepted = outcome != Outcome::Refused;
        Meter::add(if accepted { &meter.accepted } else { &meter.refused });
        let Some(packet_id) = packet_id else { return };
        if accepted {
            let mut publish = Publish::new("", QoS::AtLeastOnce, Vec::new());
            publish.pkid = packet_id;
            // Fails only when the connection is gone; the queue has a place for each unsettled message.
            connection.client.try_ack(&publish).ok();
        } else {
            connection.refused.notify_one();
        }
        connection.unsettled.fetch_sub(1, Ordering::AcqRel);
        connection.wake.notify_one();
    }
}

async fn run(
    shared: Shared,
    mut outgoing: mpsc::Receiver<Outgoing>,
    mut stopped: Stop,
    mut jitter: Box<dyn FnMut() -> u32 + Send>,
) {
    let mut n_failed: u32 = 0;
    loop {
        let (end, was_up) = connect(&shared, &mut outgoing, &mut stopped).await;
        shared.up.send_replace(false);
        shared.outbox().connection_lost();
        if matches!(end, End::Stopped) || stopped.is_wished() {
            break;
        }
        n_failed = if was_up { 0 } else { n_failed.saturating_add(1) };
        let pause = pause(n_failed, jitter());
        tracing::warn!(
            host = %shared.settings.host, port = shared.settings.port, reason = %end, pause_ms = pause.as_millis(),
            "no connection to the MQTT broker; trying again"
        );
        if wait(&shared, &mut outgoing, &mut stopped, pause).await {
            break;
        }
        Meter::add(&shared.meter.reconnects);
    }
    shared.incoming().take();
    let n_left = if shared.outbox().is_empty() { "none" } else { "some" };
    tracing::info!(unsent = n_left, "the link to the MQTT broker is closed");
}

/// Pauses between two connections, still taking in what is to be sent. Returns whether it was stopped.
async fn wait(
    shared: &Shared,
    outgoing: &mut mpsc::Receiver<Outgoing>,
    stopped: &mut Stop,
    pause: Duration,
) -> bool {
    let until = Instant::now().checked_add(pause).unwrap_or_else(Instant::now);
    let mut tick = tokio::time::interval(TICK);
    loop {
        let room = shared.outbox().has_room();
        tokio::select! {
            () = stopped.wished() => return true,
            () = tokio::time::sleep_until(until) => return false,
            _ = tick.tick() => shared.expire(),
            message = outgoing.recv(), if room && !outgoing.is_closed() => {
                if let Some(message) = message {
                    shared.outbox().push(message);
                }
            }
        }
    }
}

/// Doubles from [`PAUSE_MIN`] to [`PAUSE_MAX`]; jitter takes away up to half.
fn pause(n_failed: u32, jitter: u32) -> Duration {
    let doubled = PAUSE_MIN.saturating_mul(2_u32.saturating_pow(n_failed.min(16))).min(PAUSE_MAX);
    let half = doubled / 2;
    half + half.mul_f64(f64::from(jitter) / f64::from(u32::MAX))
}

/// One connection from TCP to its end. Returns also whether it got as far as being subscribed.
async fn connect(
    shared: &Shared,
    outgoing: &mut mpsc::Receiver<Outgoing>,
    stopped: &mut Stop,
) -> (End, bool) {
    let (client, events) = library_client(&shared.settings);
    let (subscribed, _) = watch::channel(false);
    let connection = Arc::new(Connection {
        client,
        unsettled: AtomicUsize::new(0),
        wake: Notify::new(),
        refused: Notify::new(),
        connected_at: Mutex::new(None),
        subscribed,
    });
    let end = tokio::select! {
        end = poll(shared, &connection, events) => end,
        end = feed(shared, &connection, outgoing, stopped) => end,
        () = connection.refused.notified() => End::Refused,
    };
    let was_up = *connection.subscribed.borrow();
    (end, was_up)
}

fn library_client(settings: &Settings) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(&settings.client_id, &settings.host, settings.port);
    options
        .set_clean_session(false)
        .set_manual_acks(true)
        .set_keep_alive(KEEP_ALIVE)
        .set_inflight(LIBRARY_WINDOW)
        .set_max_packet_size(PACKET_LEN_MAX, PACKET_LEN_MAX);
    if let Some((user, password)) = &settings.credentials {
        options.set_credentials(user, password);
    }
    let (client, mut events) = AsyncClient::new(options, REQUESTS_MAX);
    let mut network = events.network_options();
    // Without this a command may wait 40 ms for an acknowledgement of the packet before it.
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(CONNECT_MAX.as_secs());
    events.set_network_options(network);
    (client, events)
}

/// Drives the library. Awaits nothing else, so that pings and acknowledgements always go out.
async fn poll(shared: &Shared, connection: &Arc<Connection>, mut events: EventLoop) -> End {
    loop {
        let event = match events.poll().await {
            Ok(event) => event,
            Err(error) => return End::Lost(Box::new(error)),
        };
        if let Err(end) = handle(shared, connection, event) {
            return end;
        }
    }
}

fn handle(shared: &Shared, connection: &Arc<Connection>, event: Event) -> Result<(), End> {
    match event {
        Event::Incoming(packet) => handle_incoming(shared, connection, packet),
        Event::Outgoing(rumqttc::Outgoing::Publish(packet_id)) => {
            if shared.outbox().written(packet_id, Instant::now()) {
                Meter::add(&shared.meter.published);
            }
            connection.wake.notify_one();
            Ok(())
        }
        Event::Outgoing(rumqttc::Outgoing::Disconnect) => Err(End::Stopped),
        Event::Outgoing(
            rumqttc::Outgoing::Subscribe(_)
            | rumqttc::Outgoing::Unsubscribe(_)
            | rumqttc::Outgoing::PubAck(_)
            | rumqttc::Outgoing::PubRec(_)
            | rumqttc::Outgoing::PubRel(_)
            | rumqttc::Outgoing::PubComp(_)
            | rumqttc::Outgoing::PingReq
            | rumqttc::Outgoing::PingResp
            | rumqttc::Outgoing::AwaitAck(_),
        ) => Ok(()),
    }
}

fn handle_incoming(shared: &Shared, connection: &Arc<Connection>, packet: Packet) -> Result<(), End> {
    match packet {
        Packet::ConnAck(connack) => subscribe(shared, connection, connack),
        Packet::SubAck(suback) => subscribed(shared, connection, &suback),
        Packet::Publish(publish) => deliver(shared, connection, publish),
        Packet::PubAck(puback) => {
            if !shared.outbox().confirmed(puback.pkid) {
                tracing::debug!(packet_id = puback.pkid, "the MQTT broker confirmed what nobody sent");
            }
            connection.wake.notify_one();
            Ok(())
        }
        Packet::PingResp => Ok(()),
        other @ (Packet::Connect(_)
        | Packet::PubRec(_)
        | Packet::PubRel(_)
        | Packet::PubComp(_)
        | Packet::Subscribe(_)
        | Packet::Unsubscribe(_)
        | Packet::UnsubAck(_)
        | Packet::PingReq
        | Packet::Disconnect) => {
            tracing::debug!(packet = ?other, "the MQTT broker sent a packet that means nothing here");
            Ok(())
        }
    }
}

fn subscribe(shared: &Shared, connection: &Connection, connack: ConnAck) -> Result<(), End> {
    tracing::debug!(session_present = connack.session_present, "connected to the MQTT broker");
    *connection.connected_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    let filters = [Topic::Up, Topic::Json, Topic::Status].map(|channel| {
        SubscribeFilter::new(format!("{}/+/{}", shared.settings.prefix, channel.as_str()), QoS::AtLeastOnce)
    });
    connection.wake.notify_one();
    connection.client.try_subscribe_many(filters).map_err(|_| End::Requests)
}

fn subscribed(shared: &Shared, connection: &Connection, suback: &SubAck) -> Result<(), End> {
    let granted = |code: &SubscribeReasonCode| match code {
        SubscribeReasonCode::Success(QoS::AtLeastOnce | QoS::ExactlyOnce) => true,
        // A broker that grants QoS 0 only would lose messages silently.
        SubscribeReasonCode::Success(QoS::AtMostOnce) | SubscribeReasonCode::Failure => false,
    };
    if suback.return_codes.is_empty() || !suback.return_codes.iter().all(granted) {
        return Err(End::SubscriptionRefused);
    }
    tracing::info!(host = %shared.settings.host, port = shared.settings.port, "connected to the MQTT broker");
    connection.subscribed.send_replace(true);
    shared.up.send_replace(true);
    Ok(())
}

/// Hands a message to ingest without waiting.
fn deliver(shared: &Shared, connection: &Arc<Connection>, publish: Publish) -> Result<(), End> {
    let needs_ack = publish.qos != QoS::AtMostOnce;
    let receipt = Receipt {
        connection: Arc::clone(connection),
        meter: Arc::clone(&shared.meter),
        packet_id: needs_ack.then_some(publish.pkid),
    };
    if needs_ack && connection.unsettled.fetch_add(1, Ordering::AcqRel) >= UNSETTLED_MAX {
        return Err(End::Behind);
    }
    if publish.payload.len() > PAYLOAD_LEN_MAX {
        Meter::add(&shared.meter.oversized);
        tracing::warn!(topic = %publish.topic, len = publish.payload.len(), "message dropped: too long");
        // It will not become shorter: let the broker forget it.
        receipt.settle(Outcome::Kept);
        return Ok(());
    }
    let incoming = shared.incoming();
    let Some(incoming) = incoming.as_ref() else {
        // Stopping: unacknowledged, so it comes again at the next start.
        connection.unsettled.fetch_sub(usize::from(needs_ack), Ordering::AcqRel);
        return Ok(());
    };
    let place = match incoming.try_reserve() {
        Ok(place) => place,
        // Unacknowledged, so it comes again over the next connection.
        Err(_) if needs_ack => return Err(End::Behind),
        Err(_) => {
            Meter::add(&shared.meter.dropped);
            return Ok(());
        }
    };
    Meter::add(&shared.meter.received);
    place.send(Delivery {
        topic: publish.topic.into(),
        payload: publish.payload,
        retained: publish.retain,
        ack: Ack::external(receipt),
    });
    Ok(())
}

/// Gives the library what is to be sent, watches the deadlines, and ends the connection when asked to stop.
async fn feed(
    shared: &Shared,
    connection: &Connection,
    outgoing: &mut mpsc::Receiver<Outgoing>,
    stopped: &mut Stop,
) -> End {
    let mut tick = tokio::time::interval(TICK);
    let mut stop_until = None;
    loop {
        shared.expire();
        if let Err(end) = hand_over(shared, connection) {
            return end;
        }
        if let Err(end) = watch_deadlines(shared, connection) {
            return end;
        }
        if let Some(until) = stop_until
            && let Some(end) = say_goodbye(shared, connection, outgoing, until)
        {
            return end;
        }
        let room = shared.outbox().has_room();
        tokio::select! {
            message = outgoing.recv(), if room && !(outgoing.is_closed() && outgoing.is_empty()) => {
                if let Some(message) = message {
                    shared.outbox().push(message);
                }
            }
            () = connection.wake.notified() => {}
            _ = tick.tick() => {}
            () = stopped.wished(), if stop_until.is_none() => {
                stop_until = Some(Instant::now().checked_add(STOP_MAX).unwrap_or_else(Instant::now));
                outgoing.close();
                shared.incoming().take();
            }
        }
    }
}

/// Moves messages from the outbox to the library once connected.
fn hand_over(shared: &Shared, connection: &Connection) -> Result<(), End> {
    if connection.connected_at.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
        return Ok(());
    }
    loop {
        let Some(message) = shared.outbox().hand() else { return Ok(()) };
        let qos = match message.qos {
            Qos::AtMostOnce => QoS::AtMostOnce,
            Qos::AtLeastOnce => QoS::AtLeastOnce,
        };
        let sent = connection.client.try_publish(message.topic, qos, message.retain, message.payload);
        if sent.is_err() {
            return Err(End::Requests);
        }
    }
}

fn watch_deadlines(shared: &Shared, connection: &Connection) -> Result<(), End> {
    let now = Instant::now();
    let since = |at: Instant| now.saturating_duration_since(at);
    let connected_at = *connection.connected_at.lock().unwrap_or_else(PoisonError::into_inner);
    if !*connection.subscribed.borrow() && connected_at.is_some_and(|at| since(at) > SUBSCRIBE_MAX) {
        return Err(End::SubscriptionUnanswered);
    }
    if shared.outbox().unconfirmed_since().is_some_and(|at| since(at) > CONFIRM_MAX) {
        return Err(End::Unconfirmed);
    }
    Ok(())
}

/// While stopping: disconnects when everything is sent and settled. Returns the end when waiting longer is useless.
fn say_goodbye(
    shared: &Shared,
    connection: &Connection,
    outgoing: &mpsc::Receiver<Outgoing>,
    until: Instant,
) -> Option<End> {
    let sent = shared.outbox().is_empty() && outgoing.is_empty();
    let done = sent && connection.unsettled.load(Ordering::Acquire) == 0;
    let late = Instant::now() >= until;
    let connected = connection.connected_at.lock().unwrap_or_else(PoisonError::into_inner).is_some();
    if !connected && (sent || late) {
        return Some(End::Stopped);
    }
    if done && connection.client.try_disconnect().is_err() {
        return Some(End::Requests);
    }
    // The end comes with the DISCONNECT that was written, or at the deadline.
    late.then_some(End::Stopped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_are_never_zero() {
        let cases = [(0, 250), (1, 500), (2, 1000), (6, 16_000), (7, 30_000), (u32::MAX, 30_000)];
        for (n_failed, longest_ms) in cases {
            assert_eq!(pause(n_failed, u32::MAX), Duration::from_millis(longest_ms));
            assert_eq!(pause(n_failed, 0), Duration::from_millis(longest_ms) / 2);
        }
    }

    #[test]
    fn the_password_is_not_shown() {
        let settings = Settings {
            host: "broker".to_owned(),
            port: 1883,
            credentials: Some(("gateway".to_owned(), "hush".to_owned())),
            prefix: "giot/v1".to_owned(),
            client_id: "gw".to_owned(),
        };
        let shown = format!("{settings:?}");
        assert!(shown.contains("gateway") && !shown.contains("hush"), "{shown}");
    }
}
