//! What the server sends, appended to the bytes that wait for the socket.

use super::properties::{
    ASSIGNED_CLIENT_ID, MESSAGE_EXPIRY, PACKET_LEN_MAX, RECEIVE_MAXIMUM, SESSION_EXPIRY, SHARED_AVAILABLE,
    SUBSCRIPTION_ID,
};
use super::{Quality, Reason, Version};

/// What a CONNACK of MQTT 5 tells beside the yes.
#[derive(Clone, Copy, Debug)]
pub struct Accepted<'a> {
    /// Whether the session was there already.
    pub session_present: bool,
    /// The id of a client that came without one.
    pub assigned_id: Option<&'a str>,
    /// How long the session is kept, s, where that is less than was asked for.
    pub session_expiry_s: Option<u32>,
    /// Messages of QoS 1 and 2 that the client may have on their way.
    pub receive_max: u16,
    /// Longest packet that the server takes, bytes.
    pub packet_len_max: u32,
}

/// A message on its way to a client.
#[derive(Clone, Copy, Debug)]
pub struct Outbound<'a> {
    /// Where it was published.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// How hard.
    pub quality: Quality,
    /// Whether it was kept from earlier.
    pub retain: bool,
    /// Whether it was sent before.
    pub dup: bool,
    /// Packet id; not sent with QoS 0.
    pub id: u16,
    /// How much longer it is good for, s.
    pub expiry_s: Option<u32>,
    /// Numbers of the subscriptions it came by.
    pub subscription_ids: &'a [u32],
    /// Properties from [`super::forwarded`].
    pub forwarded: &'a [u8],
}

/// Accepts a connection.
pub fn connack(out: &mut Vec<u8>, version: Version, accepted: Accepted<'_>) {
    let Accepted { session_present, assigned_id, session_expiry_s, receive_max, packet_len_max } = accepted;
    let mut body = vec![u8::from(session_present), 0];
    if version == Version::V5 {
        // Topic aliases are left out: the default is none.
        let mut list = vec![RECEIVE_MAXIMUM];
        list.extend(receive_max.to_be_bytes());
        list.push(PACKET_LEN_MAX);
        list.extend(packet_len_max.to_be_bytes());
        list.extend([SHARED_AVAILABLE, 0]);
        if let Some(expiry_s) = session_expiry_s {
            list.push(SESSION_EXPIRY);
            list.extend(expiry_s.to_be_bytes());
        }
        if let Some(id) = assigned_id {
            list.push(ASSIGNED_CLIENT_ID);
            text(&mut list, id);
        }
        varint(&mut body, list.len());
        body.extend(list);
    }
    packet(out, 0x20, &body);
}

/// Refuses a connection.
pub fn connack_refused(out: &mut Vec<u8>, version: Version, reason: Reason) {
    match version {
        Version::V3 => packet(out, 0x20, &[0, reason.return_code()]),
        Version::V5 => packet(out, 0x20, &[0, reason.code(), 0]),
    }
}

/// Length of a message's packet, bytes.
#[must_use]
pub fn publish_len(version: Version, message: &Outbound<'_>) -> usize {
    let body_len = publish_body_len(version, message);
    1 + varint_len(body_len) + body_len
}

fn publish_body_len(version: Version, message: &Outbound<'_>) -> usize {
    let id_len = if message.quality == Quality::AtMostOnce { 0 } else { 2 };
    let list_len = match version {
        Version::V3 => 0,
        Version::V5 => {
            let len = list_len(message);
            len + varint_len(len)
        }
    };
    2 + message.topic.len() + id_len + list_len + message.payload.len()
}

fn list_len(message: &Outbound<'_>) -> usize {
    let ids = message.subscription_ids.iter().map(|id| 1 + varint_len(as_usize(*id)));
    message.forwarded.len() + message.expiry_s.map_or(0, |_| 5) + ids.sum::<usize>()
}

/// Sends a message.
pub fn publish(out: &mut Vec<u8>, version: Version, message: &Outbound<'_>) {
    let body_len = publish_body_len(version, message);
    out.reserve(body_len.saturating_add(5));
    let flags = u8::from(message.dup) << 3 | (message.quality as u8) << 1 | u8::from(message.retain);
    out.push(0x30 | flags);
    varint(out, body_len);
    text(out, message.topic);
    if message.quality != Quality::AtMostOnce {
        out.extend_from_slice(&message.id.to_be_bytes());
    }
    if version == Version::V5 {
        varint(out, list_len(message));
        if let Some(expiry_s) = message.expiry_s {
            out.push(MESSAGE_EXPIRY);
            out.extend_from_slice(&expiry_s.to_be_bytes());
        }
        for id in message.subscription_ids {
            out.push(SUBSCRIPTION_ID);
            varint(out, as_usize(*id));
        }
        out.extend_from_slice(message.forwarded);
    }
    out.extend_from_slice(message.payload);
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP, by its first byte. Before MQTT 5 there is no way to say no.
pub fn ack(out: &mut Vec<u8>, version: Version, first: u8, id: u16, reason: Reason) {
    let [high, low] = id.to_be_bytes();
    if version == Version::V3 || reason == Reason::Success {
        out.extend_from_slice(&[first, 2, high, low]);
    } else {
        out.extend_from_slice(&[first, 3, high, low, reason.code()]);
    }
}

/// Answers a SUBSCRIBE, one code a filter.
pub fn suback(out: &mut Vec<u8>, version: Version, id: u16, codes: &[u8]) {
    let mut body = id.to_be_bytes().to_vec();
    match version {
        // 3.1.1 knows one way to say no.
        Version::V3 => body.extend(codes.iter().map(|code| (*code).min(0x80))),
        Version::V5 => {
            body.push(0);
            body.extend_from_slice(codes);
        }
    }
    packet(out, 0x90, &body);
}

/// Answers an UNSUBSCRIBE, one code a filter.
pub fn unsuback(out: &mut Vec<u8>, version: Version, id: u16, codes: &[u8]) {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
        body.extend_from_slice(codes);
    }
    packet(out, 0xB0, &body);
}

/// Answers a ping.
pub fn pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xD0, 0]);
}

/// Says why the connection ends; before MQTT 5 it just ends.
pub fn disconnect(out: &mut Vec<u8>, version: Version, reason: Reason) {
    if version == Version::V5 {
        out.extend_from_slice(&[0xE0, 1, reason.code()]);
    }
}

fn packet(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    varint(out, body.len());
    out.extend_from_slice(body);
}

/// Texts here are topics and client ids, which are far shorter than 64 KiB.
fn text(out: &mut Vec<u8>, text: &str) {
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(text.as_bytes().get(..usize::from(len)).unwrap_or_default());
}

fn varint(out: &mut Vec<u8>, value: usize) {
    let mut rest = value;
    loop {
        let low = u8::try_from(rest & 0x7F).unwrap_or(0);
        rest >>= 7;
        if rest == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

const fn varint_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

fn as_usize(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
