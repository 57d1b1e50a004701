//! The first packet of a connection: from CONNECT to CONNACK.

use super::TICKS_PER_S;
use super::codec::{self, Accepted, Connect, Reason, Version};
use super::connection::{Connection, Parts};
use super::core::{Entered, Entry, LastWill};
use super::gate::Gate;
use super::intake::WINDOW;
use super::message::Message;
use super::reader::Reader;
use super::session::Peer;
use super::shared::Shared;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Longest client id, bytes: the standard's 23 and then some.
const CLIENT_ID_LEN_MAX: usize = 128;

/// Reads until the CONNECT is whole, judges it and lets the client in. `None` when the connection has ended instead.
pub(super) async fn hello(
    socket: TcpStream,
    from: SocketAddr,
    shared: &Arc<Shared>,
    gate: &Gate,
) -> Option<Reader> {
    let mut read = Vec::new();
    let (frame, len) = loop {
        socket.readable().await.ok()?;
        let mut buffer = [0; 1024];
        match socket.try_read(&mut buffer) {
            Ok(0) => return None,
            Ok(n_bytes) => read.extend_from_slice(buffer.get(..n_bytes).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(_) => return None,
        }
        match codec::split(&read, shared.packet_len_max) {
            // Split again below: the packet borrows from what this loop fills.
            Ok(Some((_, len))) => break (codec::split(&read, shared.packet_len_max).ok()??.0, len),
            Ok(None) => {}
            Err(_) => return None,
        }
    };
    let connect = match codec::decode_connect(frame) {
        Ok(connect) => connect,
        Err(codec::Fault(reason)) => {
            tracing::info!(%from, ?reason, "a connection did not begin with a CONNECT that can be understood");
            if reason == Reason::UnsupportedProtocolVersion {
                refuse(&socket, Version::V3, reason);
            }
            return None;
        }
    };
    let rest = read.get(len..).unwrap_or_default().to_vec();
    let version = connect.version;
    // The socket is needed for a refusal as well as for the connection.
    match enter(socket, from, shared, gate, &connect).await {
        Ok(connection) => Some(Reader::new(connection, rest)),
        Err((socket, reason)) => {
            tracing::info!(client = connect.client_id, %from, ?reason, "an MQTT client was refused");
            refuse(&socket, version, reason);
            None
        }
    }
}

/// A new socket takes a few bytes at once; if not, its client sees the connection end.
fn refuse(socket: &TcpStream, version: Version, reason: Reason) {
    let mut out = Vec::new();
    codec::connack_refused(&mut out, version, reason);
    socket.try_write(&out).ok();
}

async fn enter(
    socket: TcpStream,
    from: SocketAddr,
    shared: &Arc<Shared>,
    gate: &Gate,
    connect: &Connect<'_>,
) -> Result<Arc<Connection>, (TcpStream, Reason)> {
    let judged = match check(connect) {
        Ok(()) => gate.judge(connect.client_id, connect.user, connect.password, from).await,
        Err(reason) => Err(reason),
    };
    let user = match judged {
        Ok(user) => user,
        Err(reason) => return Err((socket, reason)),
    };
    if connect.will.is_some_and(|will| !shared.access.may_publish(user.as_deref(), will.topic)) {
        return Err((socket, Reason::NotAuthorized));
    }
    let assigned = if connect.client_id.is_empty() {
        match random_id() {
            Some(id) => Some(id),
            None => return Err((socket, Reason::ServerUnavailable)),
        }
    } else {
        None
    };
    let client_id: Arc<str> = assigned.as_deref().unwrap_or(connect.client_id).into();
    let entry = Entry {
        client_id: &client_id,
        user: user.clone(),
        clean: connect.clean,
        session_expiry_s: connect.session_expiry_s,
        peer: Peer {
            version: connect.version,
            receive_max: connect.receive_max,
            packet_len_max: connect.packet_len_max,
        },
        will: connect.will.as_ref().map(|will| LastWill {
            message: Message::will(will),
            delay_s: will.delay_s,
            expiry_s: will.expiry_s,
        }),
    };
    let parts = Parts {
        shared: Arc::clone(shared),
        socket,
        from,
        version: connect.version,
        client_id: Arc::clone(&client_id),
        user,
        silence_max: silence_max(connect.keep_alive_s),
    };
    shared.enter(entry, parts, |connection, entered| {
        greet(connection, entered, connect, assigned.as_deref());
    })
}

/// What no login can make right.
fn check(connect: &Connect<'_>) -> Result<(), Reason> {
    let needs_id = connect.version == Version::V3 && !connect.clean;
    if connect.client_id.len() > CLIENT_ID_LEN_MAX || (connect.client_id.is_empty() && needs_id) {
        return Err(Reason::ClientIdentifierNotValid);
    }
    if connect.wants_auth {
        return Err(Reason::BadAuthenticationMethod);
    }
    let is_odd_will = |will: &codec::Will<'_>| will.topic.is_empty() || will.topic.contains(['+', '#']);
    if connect.will.as_ref().is_some_and(is_odd_will) {
        return Err(Reason::TopicNameInvalid);
    }
    Ok(())
}

/// Ticks in one and a half times the keep-alive, and one for the tick that was under way when the client was heard.
fn silence_max(keep_alive_s: u16) -> u32 {
    match u32::from(keep_alive_s) * TICKS_PER_S {
        0 => 0,
        ticks => ticks + ticks.div_ceil(2),
    }
}

fn greet(
    connection: &Connection,
    entered: &Entered<Arc<Connection>>,
    connect: &Connect<'_>,
    assigned_id: Option<&str>,
) {
    let kept_s = entered.session_expiry_s;
    let accepted = Accepted {
        session_present: entered.session_present,
        assigned_id,
        session_expiry_s: (kept_s != connect.session_expiry_s).then_some(kept_s),
        receive_max: u16::try_from(WINDOW).unwrap_or(u16::MAX),
        packet_len_max: u32::try_from(connection.shared.packet_len_max).unwrap_or(u32::MAX),
    };
    connection.append(|out| codec::connack(out, connection.version, accepted));
}

/// An id for a client without one.
fn random_id() -> Option<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).ok()?;
    Some(format!("auto-{:016x}", u64::from_be_bytes(bytes)))
}
