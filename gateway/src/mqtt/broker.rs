//! The embedded broker: MQTT 5 and 3.1.1 on one socket, for a farm without any other server.
//!
//! Built from the parts of the mqtt5 library (connection handler, router, sessions in memory) around an accept loop of
//! our own, because only so does each connection get its own hook and packet queue (see `intake`). It keeps nothing on
//! disk: what a device was told is stored is stored by ingest, and retained states come back with the devices.
//!
//! - `up` and `json` go to ingest and are acknowledged after [`Ack::accept`](super::Ack::accept).
//! - `status` goes to ingest through a subscription inside the process, which sees wills too; only the newest counts.
//! - All of them also reach other subscribers whose rights allow it.
//! - Commands go straight to the router and never wait for a store or behind a slow subscriber.
//!
//! Bounds: connections, packet length, sessions and their queues, retained messages ([`Limits`] and constants below),
//! unsettled messages of a connection (`intake`).

use super::gate::Gate;
use super::intake::{Connection, Hook, Shared};
use super::{
    Access, Ack, Delivery, Incoming, Link, Meter, OUTGOING_MAX, Outgoing, PAYLOAD_LEN_MAX, Qos, Running,
    Stop, ends, stop,
};
use anyhow::Context;
use bytes::Bytes;
use giot_shared::wire::Topic;
use mqtt5::QoS;
use mqtt5::broker::client_handler::ClientHandler;
use mqtt5::broker::router::{DeliveryLanes, LaneReceivers, MessageRouter, SubscriptionRequest};
use mqtt5::broker::storage::QueueLimits;
use mqtt5::broker::sys_topics::BrokerStats;
use mqtt5::broker::transport::BrokerTransport;
use mqtt5::broker::{
    BrokerConfig, DynamicStorage, MemoryBackend, ResourceLimits, ResourceMonitor, StorageBackend,
};
use mqtt5::packet::publish::PublishPacket;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Client id of the subscription inside the process; a client cannot have it because of the slash.
const OWN_CLIENT: &str = "giot/gateway";
/// How long a session outlives its connection: long enough for a weak link, short enough to forget a stranger.
const SESSION_KEPT: Duration = Duration::from_secs(3600);
/// Messages and bytes kept for a client that is away or slow.
const QUEUE_MAX: QueueLimits = QueueLimits { max_messages: 1000, max_bytes: 1024 * 1024 };
/// Messages of each lane between router and connection; more wait in the session's queue.
const LANE_MAX: usize = 256;
/// Retained messages: one state for each of ten thousand devices.
const RETAINED_MAX: usize = 10_000;
/// Longest retained payload in bytes.
const RETAINED_LEN_MAX: usize = 4096;
/// Filters a client may subscribe to.
const SUBSCRIPTIONS_MAX: usize = 64;
/// Packet header, topic and MQTT 5 properties around a payload.
const ENVELOPE_LEN_MAX: usize = 1024;
/// Sockets that may be open without having logged in yet, beside the logged-in ones.
const STRANGERS_MAX: usize = 256;
/// New connections a second; after a power cut a whole cooperative comes back at once.
const CONNECTIONS_PER_S: u32 = 2000;
/// How often expired sessions are looked for.
const UPKEEP_EVERY: Duration = Duration::from_secs(10);
/// Pause after a failed accept, which means that file descriptors are exhausted.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Longest wait at stop for ingest to settle what it was given.
const SETTLE_MAX: Duration = Duration::from_secs(5);
/// Pause at stop between the last command's hand-over and the closing of connections, for the sockets to take it.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Longest wait at stop for connections to say goodbye.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// How much strangers may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Clients logged in at the same time, from one address or many.
    pub connections_max: usize,
    /// Sessions kept for clients that asked for it, connected or not.
    pub sessions_max: usize,
    /// Longest packet in bytes; a longer one ends its connection.
    pub packet_len_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections_max: 4096, sessions_max: 4096, packet_len_max: PAYLOAD_LEN_MAX + ENVELOPE_LEN_MAX }
    }
}

/// A running embedded broker.
#[derive(Debug)]
pub struct Embedded {
    /// Sends to devices.
    pub link: Link,
    /// Messages of devices.
    pub incoming: Incoming,
    /// The socket's address, with the port the system chose when 0 was asked for.
    pub addr: SocketAddr,
    /// Its tasks.
    pub running: Running,
}

/// Binds `addr` and starts serving.
///
/// # Errors
/// When the address cannot be bound.
pub async fn start(
    addr: SocketAddr,
    access: Arc<dyn Access>,
    prefix: &str,
    limits: Limits,
) -> anyhow::Result<Embedded> {
    let listener = TcpListener::bind(addr).await.with_context(|| format!("bind MQTT address {addr}"))?;
    let addr = listener.local_addr().context("read the MQTT socket's address")?;
    let ends = ends();
    let broker = Broker::new(access, prefix, limits, &ends.meter, ends.incoming_tx.clone());
    let status = broker.subscribe_to_status().await.context("subscribe to device states")?;
    ends.up.send(true).ok();
    let (stop, stopped) = stop();
    let task = tokio::spawn(broker.run(listener, status, ends.incoming_tx, ends.outgoing, ends.up, stopped));
    Ok(Embedded { link: ends.link, incoming: ends.incoming, addr, running: Running { stop, task } })
}

struct Broker {
    config: BrokerConfig,
    limits: Limits,
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    storage: Arc<DynamicStorage>,
    stats: Arc<BrokerStats>,
    monitor: Arc<ResourceMonitor>,
    /// Tells every connection to end.
    goodbye: broadcast::Sender<()>,
    sockets: Arc<Semaphore>,
}

impl Broker {
    fn new(
        access: Arc<dyn Access>,
        prefix: &str,
        limits: Limits,
        meter: &Arc<Meter>,
        incoming: mpsc::Sender<Delivery>,
    ) -> Self {
        let storage = Arc::new(DynamicStorage::Memory(MemoryBackend::with_queue_limits(QUEUE_MAX)));
        let router = Arc::new(
            MessageRouter::with_storage(Arc::clone(&storage))
                .with_retained_limits(RETAINED_MAX, RETAINED_LEN_MAX),
        );
        // Everything not named here stays off: addresses, TLS, WebSocket, QUIC, bridges and files belong to the
        // library's own server, which is not used.
        let config = BrokerConfig::default()
            .with_sys_topics_enabled(false)
            .with_max_clients(limits.connections_max)
            .with_max_packet_size(limits.packet_len_max)
            .with_session_expiry(SESSION_KEPT)
            .with_max_retained_messages(RETAINED_MAX)
            .with_max_retained_message_size(RETAINED_LEN_MAX)
            .with_max_subscriptions_per_client(SUBSCRIPTIONS_MAX)
            .with_client_channel_capacity(LANE_MAX);
        let monitor = ResourceMonitor::new(ResourceLimits {
            max_connections: limits.connections_max,
            // Devices behind one router or one LoRaWAN bridge share an address.
            max_connections_per_ip: limits.connections_max,
            // The window of `intake` slows a flood down; dropping by rate would lose messages.
            max_message_rate_per_client: 0,
            max_bandwidth_per_client: 0,
            max_connection_rate: CONNECTIONS_PER_S,
            rate_limit_window: Duration::from_secs(1),
        });
        let (goodbye, _) = broadcast::channel(1);
        Self {
            config,
            limits,
            shared: Arc::new(Shared::new(prefix.into(), router, Arc::clone(meter), incoming)),
            gate: Arc::new(Gate::new(access, Arc::clone(&storage), limits.sessions_max)),
            storage,
            stats: Arc::new(BrokerStats::new()),
            monitor: Arc::new(monitor),
            goodbye,
            sockets: Arc::new(Semaphore::new(limits.connections_max.saturating_add(STRANGERS_MAX))),
        }
    }

    /// QoS 0, so that a full lane drops a state instead of holding up the connection that published it.
    async fn subscribe_to_status(&self) -> anyhow::Result<LaneReceivers> {
        let router = &self.shared.router;
        let (lanes, receivers) = DeliveryLanes::channel(OUTGOING_MAX);
        let (disconnect, _) = oneshot::channel();
        router
            .register_client(OWN_CLIENT.to_owned(), lanes, router.queue_handle(OWN_CLIENT), disconnect)
            .await;
        let filter = format!("{}/+/{}", self.shared.prefix, Topic::Status.as_str());
        router.subscribe(SubscriptionRequest::new(OWN_CLIENT, filter, QoS::AtMostOnce)).await?;
        Ok(receivers)
    }

    async fn run(
        self,
        listener: TcpListener,
        status: LaneReceivers,
        incoming: mpsc::Sender<Delivery>,
        outgoing: mpsc::Receiver<Outgoing>,
        up: watch::Sender<bool>,
        mut stopped: Stop,
    ) {
        let mut connections = JoinSet::new();
        let meter = Arc::clone(&self.shared.meter);
        let states = tokio::spawn(forward_states(status, incoming, stopped.clone(), Arc::clone(&meter)));
        let commands = tokio::spawn(send(outgoing, Arc::clone(&self.shared), stopped.clone()));
        let mut upkeep = tokio::time::interval(UPKEEP_EVERY);
        upkeep.reset();
        loop {
            tokio::select! {
                () = stopped.wished() => break,
                accepted = listener.accept() => match accepted {
                    Ok((socket, from)) => self.admit(socket, from, &mut connections).await,
                    Err(error) => {
                        tracing::warn!(%error, "an MQTT connection could not be accepted");
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                },
                Some(ended) = connections.join_next() => report(ended),
                _ = upkeep.tick() => self.upkeep().await,
            }
        }
        up.send(false).ok();
        drop(listener);
        self.finish(connections, states, commands).await;
    }

    /// The order of stopping is the order of the data; see [`Running::stop`].
    async fn finish(
        self,
        mut connections: JoinSet<()>,
        states: tokio::task::JoinHandle<()>,
        commands: tokio::task::JoinHandle<()>,
    ) {
        self.shared.close();
        for task in [states, commands] {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the MQTT broker failed");
            }
        }
        if timeout(SETTLE_MAX, self.shared.settled()).await.is_err() {
            tracing::warn!("stopping with messages that were not stored; their devices will send them again");
        }
        tokio::time::sleep(LAST_WORDS).await;
        // Fails only when nobody is connected.
        self.goodbye.send(()).ok();
        let all_gone = async {
            while let Some(ended) = connections.join_next().await {
                report(ended);
            }
        };
        if timeout(GOODBYE_MAX, all_gone).await.is_err() {
            tracing::warn!("some MQTT connections did not end in time");
        }
    }

    async fn admit(&self, socket: TcpStream, from: SocketAddr, connections: &mut JoinSet<()>) {
        let Ok(place) = Arc::clone(&self.sockets).try_acquire_owned() else {
            tracing::warn!(%from, limit = self.limits.connections_max, "MQTT connection refused: too many");
            return;
        };
        if !self.monitor.can_accept_connection(from.ip()).await {
            tracing::warn!(%from, limit = self.limits.connections_max, "MQTT connection refused: too many");
            return;
        }
        if let Err(error) = prepare(&socket) {
            tracing::debug!(%from, %error, "MQTT connection gone before it was served");
            return;
        }
        connections.spawn(self.serve(socket, from, place));
    }

    fn serve(
        &self,
        socket: TcpStream,
        from: SocketAddr,
        place: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (connection, packets) = Connection::new(Arc::clone(&self.shared));
        let config = self.config.clone().with_event_handler(Arc::new(Hook(connection)));
        let handler = ClientHandler::new_with_external_packets(
            BrokerTransport::tcp(socket),
            from,
            Arc::new(config),
            Arc::clone(&self.shared.router),
            Arc::<Gate>::clone(&self.gate),
            Some(Arc::clone(&self.storage)),
            Arc::clone(&self.stats),
            Arc::clone(&self.monitor),
            self.goodbye.subscribe(),
            Some(packets),
        );
        async move {
            if let Err(error) = Box::pin(handler.run()).await {
                if error.is_normal_disconnect() {
                    tracing::debug!(%from, "MQTT connection closed");
                } else {
                    tracing::info!(%from, %error, "MQTT connection ended");
                }
            }
            drop(place);
        }
    }

    async fn upkeep(&self) {
        self.monitor.cleanup_expired_windows().await;
        if let Err(error) = self.storage.cleanup_expired().await {
            tracing::warn!(%error, "expired MQTT sessions could not be removed");
        }
        self.shared.router.sweep_sessions().await;
        match self.storage.session_client_ids().await {
            Ok(sessions) => self.gate.count_sessions(sessions.len()),
            Err(error) => tracing::warn!(%error, "MQTT sessions could not be counted"),
        }
    }
}

/// Without this a command may wait 40 ms for an acknowledgement of the packet before it.
fn prepare(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an MQTT connection's task failed");
    }
}

/// Sends what the gateway publishes, in order, without waiting for any subscriber: a full lane spills into that
/// subscriber's own queue.
async fn send(mut outgoing: mpsc::Receiver<Outgoing>, shared: Arc<Shared>, mut stopped: Stop) {
    loop {
        let message = tokio::select! {
            message = outgoing.recv() => message,
            // What was queued before the stop still goes out; `recv` ends after it.
            () = stopped.wished(), if !outgoing.is_closed() => {
                outgoing.close();
                continue;
            }
        };
        let Some(message) = message else { return };
        let now = Instant::now();
        if message.expires_at.is_some_and(|at| at <= now) {
            Meter::add(&shared.meter.expired);
            continue;
        }
        let publish = packet(message, now);
        shared.router.route_message_with_deadline(&publish, None, now).await;
        Meter::add(&shared.meter.published);
    }
}

fn packet(message: Outgoing, now: Instant) -> PublishPacket {
    let qos = match message.qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    };
    let mut publish = PublishPacket::new(message.topic, message.payload, qos);
    publish.retain = message.retain;
    if let Some(at) = message.expires_at {
        let left_s = at.saturating_duration_since(now).as_secs().max(1);
        publish.properties.set_message_expiry_interval(u32::try_from(left_s).unwrap_or(u32::MAX));
    }
    publish
}

/// Passes device states on to ingest; of a device whose states come faster than ingest takes them, only the newest.
async fn forward_states(
    mut states: LaneReceivers,
    incoming: mpsc::Sender<Delivery>,
    mut stopped: Stop,
    meter: Arc<Meter>,
) {
    let mut newest: BTreeMap<Arc<str>, Bytes> = BTreeMap::new();
    loop {
        tokio::select! {
            biased;
            () = stopped.wished() => return,
            state = states.recv() => {
                let Some(state) = state else { return };
                let topic: Arc<str> = state.publish.topic_name.into();
                if newest.len() >= RETAINED_MAX && !newest.contains_key(&topic) {
                    Meter::add(&meter.dropped);
                    continue;
                }
                newest.insert(topic, state.publish.payload);
            }
            place = incoming.reserve(), if !newest.is_empty() => {
                let Ok(place) = place else { return };
                if let Some((topic, payload)) = newest.pop_first() {
                    Meter::add(&meter.received);
                    place.send(Delivery { topic, payload, retained: false, ack: Ack::none() });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_packets_leave_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, accepted) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (socket, _) = accepted.unwrap();
        socket.set_nodelay(false).unwrap();
        prepare(&socket).unwrap();
        assert!(socket.nodelay().unwrap());
        drop(client);
    }

    #[test]
    fn a_command_carries_the_rest_of_its_time() {
        let now = Instant::now();
        let message = |expires_at| Outgoing {
            topic: "t".into(),
            payload: Bytes::from_static(b"open"),
            qos: Qos::AtLeastOnce,
            retain: false,
            expires_at,
        };
        let expiry = |at: Option<Instant>| packet(message(at), now).properties.get_message_expiry_interval();
        assert_eq!(expiry(None), None);
        assert_eq!(expiry(Some(now + Duration::from_secs(30))), Some(30));
        assert_eq!(expiry(Some(now + Duration::from_millis(1))), Some(1), "zero would be dropped at once");
    }
}
