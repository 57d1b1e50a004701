//! The embedded broker: MQTT 5, 3.1.1 and 3.1 on one socket, for a farm without any other server.
//!
//! Written for one thing above all: a PUBACK that means "on disk", for many small messages on a small board. It keeps
//! nothing on disk itself: what a device was told is stored is stored by ingest, and retained states come back with the
//! devices.
//!
//! - `up` and `json` go to ingest and are acknowledged after [`Ack::accept`](super::Ack::accept), by the thread that
//!   accepts.
//! - `status` goes to ingest too, wills included; only the newest of each device counts.
//! - All of them also reach other subscribers whose rights allow it.
//! - Commands are written by the thread that publishes them and wait for no store, task or slow subscriber.
//! - Not offered, and said so to clients of MQTT 5: shared subscriptions, topic aliases, extended authentication.
//!
//! | file | holds | kind |
//! |---|---|---|
//! | `codec/` | packets as bytes | pure |
//! | `filter` `message` `session` | who wants what, retained messages, one client's deliveries | pure |
//! | `core` | clients, takeover, wills, routing, bounds | pure |
//! | `shared` | the core under its lock | shell |
//! | `gate` `hello` | logins, CONNECT | shell |
//! | `reader` `connection` | one connection's way in and its way out | shell |
//! | `intake` `together` | messages under way to the store, and their acknowledgements | shell |
//!
//! Bounds: connections, sessions, packet length ([`Limits`]); strangers (`gate`); subscriptions and waiting messages
//! (`core`, `session`); retained messages (`message`); unsettled messages (`intake`); bytes for a socket (`connection`).

pub mod codec;
mod connection;
mod core;
mod filter;
mod gate;
mod hello;
mod intake;
mod message;
mod reader;
mod session;
mod shared;
mod together;

pub(super) use intake::Receipt;
pub(super) use shared::Shared;
pub use together::together;

use self::connection::End;
use self::core::Bounds;
use self::gate::{Gate, Place};
use super::{Access, Incoming, Link, PAYLOAD_LEN_MAX, Running, Stop, ends, stop};
use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, timeout};

/// Packet header, topic and MQTT 5 properties around a payload.
const ENVELOPE_LEN_MAX: usize = 1024;
/// Longest wait for a CONNECT and its judgement.
const HELLO_MAX: Duration = Duration::from_secs(10);
/// How often silence, sessions and wills are looked at, and how often that is in a second.
const TICK: Duration = Duration::from_millis(500);
const TICKS_PER_S: u32 = 2;
/// Pause after a failed accept, which means that file descriptors are exhausted.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Longest wait at stop for ingest to settle what it was given.
const SETTLE_MAX: Duration = Duration::from_secs(5);
/// Longest wait at stop for sockets to take the last commands, and how often they are looked at.
const LAST_WORDS_MAX: Duration = Duration::from_millis(500);
const LAST_WORDS_LOOK: Duration = Duration::from_millis(5);
/// Longest wait at stop for connections to end.
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
    let listener = TcpListener::bind(addr)
        .await
        .with_context(|| format!("bind MQTT address {addr}; --mqtt names another"))?;
    let addr = listener.local_addr().context("read the MQTT socket's address")?;
    let ends = ends();
    let Limits { connections_max, sessions_max, packet_len_max } = limits;
    let bounds = Bounds { connections_max, sessions_max };
    let (meter, incoming) = (Arc::clone(&ends.meter), ends.incoming_tx.clone());
    let shared = Arc::new(Shared::new(Arc::clone(&access), prefix, packet_len_max, bounds, meter, incoming));
    let (stop, stopped) = stop();
    let states = {
        let (shared, stopped) = (Arc::clone(&shared), stopped.clone());
        tokio::spawn(async move { shared.forward_states(ends.incoming_tx, stopped).await })
    };
    ends.up.send(true).ok();
    let link = ends.link.to_broker(Arc::clone(&shared));
    let broker = Broker { shared, gate: Arc::new(Gate::new(access)), stopped };
    let task = tokio::spawn(broker.run(listener, states, ends.up));
    Ok(Embedded { link, incoming: ends.incoming, addr, running: Running { stop, task } })
}

struct Broker {
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    stopped: Stop,
}

impl Broker {
    async fn run(self, listener: TcpListener, states: tokio::task::JoinHandle<()>, up: watch::Sender<bool>) {
        let mut stopped = self.stopped.clone();
        let mut connections = JoinSet::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopped.wished() => break,
                accepted = listener.accept() => match accepted {
                    Ok((socket, from)) => self.admit(socket, from, &mut connections),
                    Err(error) => {
                        tracing::warn!(%error, "an MQTT connection could not be accepted");
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                },
                Some(ended) = connections.join_next() => report(ended),
                _ = tick.tick() => self.shared.upkeep(),
            }
        }
        up.send(false).ok();
        drop(listener);
        self.finish(connections, states).await;
    }

    fn admit(&self, socket: TcpStream, from: SocketAddr, connections: &mut JoinSet<()>) {
        let Some(place) = self.gate.admit(from.ip()) else {
            tracing::warn!(%from, "MQTT connection refused: too many that have not logged in");
            return;
        };
        if let Err(error) = prepare(&socket) {
            tracing::debug!(%from, %error, "MQTT connection gone before it was served");
            return;
        }
        let (shared, gate) = (Arc::clone(&self.shared), Arc::clone(&self.gate));
        connections.spawn(serve(socket, from, place, shared, gate, self.stopped.clone()));
    }

    /// The order of stopping is the order of the data; see [`Running::stop`].
    async fn finish(self, mut connections: JoinSet<()>, states: tokio::task::JoinHandle<()>) {
        self.shared.close();
        if let Err(error) = states.await {
            tracing::error!(%error, "a task of the MQTT broker failed");
        }
        if timeout(SETTLE_MAX, self.shared.intake.settled()).await.is_err() {
            tracing::warn!("stopping with messages that were not stored; their devices will send them again");
        }
        let last_words = async {
            while !self.shared.is_drained() {
                tokio::time::sleep(LAST_WORDS_LOOK).await;
            }
        };
        if timeout(LAST_WORDS_MAX, last_words).await.is_err() {
            tracing::warn!("some MQTT clients did not take the last messages in time");
        }
        self.shared.say_goodbye();
        let all_gone = async {
            while let Some(ended) = connections.join_next().await {
                report(ended);
            }
        };
        if timeout(GOODBYE_MAX, all_gone).await.is_err() {
            tracing::warn!("some MQTT connections did not end in time");
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

/// One connection from its first byte to its end.
async fn serve(
    socket: TcpStream,
    from: SocketAddr,
    place: Place,
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    mut stopped: Stop,
) {
    // In a box of its own, which is gone when the client is in.
    let hello = Box::pin(async move {
        tokio::select! {
            () = stopped.wished() => Ok(None),
            entered = timeout(HELLO_MAX, hello::hello(socket, from, &shared, &gate)) => entered,
        }
    });
    let entered = hello.await;
    drop(place);
    match entered {
        Ok(Some(mut reader)) => match reader.run().await {
            End::Goodbye => tracing::debug!(%from, "MQTT connection closed"),
            end @ (End::Lost | End::Ended(_)) => tracing::info!(%from, ?end, "MQTT connection ended"),
        },
        Ok(None) => {}
        Err(_) => tracing::info!(%from, "MQTT connection ended: it did not log in in time"),
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
}
