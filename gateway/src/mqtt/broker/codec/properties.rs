//! The property lists of MQTT 5 (section 2.2.2): checked whole, of use in part.
//!
//! A property that does not belong to its packet, comes twice or has an impossible value is a fault; what only the peer
//! at the other end of a message needs is passed on as it came.

use super::reader::Reader;
use super::{Fault, MALFORMED, PROTOCOL};

pub(super) const PAYLOAD_FORMAT: u8 = 0x01;
pub(super) const MESSAGE_EXPIRY: u8 = 0x02;
pub(super) const CONTENT_TYPE: u8 = 0x03;
pub(super) const RESPONSE_TOPIC: u8 = 0x08;
pub(super) const CORRELATION: u8 = 0x09;
pub(super) const SUBSCRIPTION_ID: u8 = 0x0B;
pub(super) const SESSION_EXPIRY: u8 = 0x11;
pub(super) const ASSIGNED_CLIENT_ID: u8 = 0x12;
pub(super) const AUTH_METHOD: u8 = 0x15;
pub(super) const AUTH_DATA: u8 = 0x16;
pub(super) const REQUEST_PROBLEM: u8 = 0x17;
pub(super) const WILL_DELAY: u8 = 0x18;
pub(super) const REQUEST_RESPONSE: u8 = 0x19;
pub(super) const REASON_STRING: u8 = 0x1F;
pub(super) const RECEIVE_MAXIMUM: u8 = 0x21;
pub(super) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
pub(super) const TOPIC_ALIAS: u8 = 0x23;
pub(super) const USER: u8 = 0x26;
pub(super) const PACKET_LEN_MAX: u8 = 0x27;
pub(super) const SHARED_AVAILABLE: u8 = 0x2A;

/// The properties a client may send, by packet.
pub(super) const IN_CONNECT: &[u8] = &[
    SESSION_EXPIRY,
    AUTH_METHOD,
    AUTH_DATA,
    REQUEST_PROBLEM,
    REQUEST_RESPONSE,
    RECEIVE_MAXIMUM,
    TOPIC_ALIAS_MAXIMUM,
    USER,
    PACKET_LEN_MAX,
];
/// A message's own properties, which go to its receivers.
const FORWARDED: &[u8] = &[PAYLOAD_FORMAT, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION, USER];
pub(super) const IN_WILL: &[u8] =
    &[WILL_DELAY, PAYLOAD_FORMAT, MESSAGE_EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION, USER];
pub(super) const IN_PUBLISH: &[u8] =
    &[PAYLOAD_FORMAT, MESSAGE_EXPIRY, TOPIC_ALIAS, RESPONSE_TOPIC, CORRELATION, USER, CONTENT_TYPE];
pub(super) const IN_ACK: &[u8] = &[REASON_STRING, USER];
pub(super) const IN_SUBSCRIBE: &[u8] = &[SUBSCRIPTION_ID, USER];
pub(super) const IN_UNSUBSCRIBE: &[u8] = &[USER];
pub(super) const IN_DISCONNECT: &[u8] = &[SESSION_EXPIRY, REASON_STRING, USER];

/// A property's number, where it has one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Property<'a> {
    pub(super) id: u8,
    pub(super) number: u32,
    /// Identifier and value as they came.
    raw: &'a [u8],
}

/// Reads a list with its length, hands over each property, and returns the list without its length.
pub(super) fn read<'a>(
    packet: &mut Reader<'a>,
    allowed: &[u8],
    mut each: impl FnMut(Property<'a>),
) -> Result<&'a [u8], Fault> {
    let list = packet.list()?;
    let whole = list.rest();
    let mut reader = list;
    let mut seen = 0_u64;
    while !reader.is_empty() {
        let property = next(&mut reader)?;
        // Identifiers are below 64: `next` knows them.
        let bit = 1_u64 << (property.id & 63);
        let is_double = seen & bit != 0 && property.id != USER;
        if is_double || !allowed.contains(&property.id) {
            return Err(PROTOCOL);
        }
        seen |= bit;
        each(property);
    }
    Ok(whole)
}

fn next<'a>(reader: &mut Reader<'a>) -> Result<Property<'a>, Fault> {
    let before = reader.rest();
    // One byte in fact: no identifier needs more.
    let id = reader.byte()?;
    let number = match id {
        PAYLOAD_FORMAT | REQUEST_PROBLEM | REQUEST_RESPONSE => u32::from(reader.flag()?),
        TOPIC_ALIAS_MAXIMUM => u32::from(reader.two()?),
        RECEIVE_MAXIMUM | TOPIC_ALIAS => u32::from(not_zero(reader.two()?)?),
        MESSAGE_EXPIRY | SESSION_EXPIRY | WILL_DELAY => reader.four()?,
        PACKET_LEN_MAX => not_zero(reader.four()?)?,
        SUBSCRIPTION_ID => not_zero(reader.varint()?)?,
        CONTENT_TYPE | RESPONSE_TOPIC | AUTH_METHOD | REASON_STRING => {
            reader.text()?;
            0
        }
        CORRELATION | AUTH_DATA => {
            reader.binary()?;
            0
        }
        USER => {
            reader.text()?;
            reader.text()?;
            0
        }
        _ => return Err(MALFORMED),
    };
    let raw = before.get(..before.len() - reader.rest().len()).unwrap_or_default();
    Ok(Property { id, number, raw })
}

fn not_zero<T: Default + PartialEq>(value: T) -> Result<T, Fault> {
    if value == T::default() { Err(PROTOCOL) } else { Ok(value) }
}

/// The properties of a message or will that belong to its receivers, as they came and in their order. `list` is one
/// that was read before.
#[must_use]
pub fn forwarded(list: &[u8]) -> Box<[u8]> {
    let mut out = Vec::new();
    let mut reader = Reader::new(list);
    while let Ok(property) = next(&mut reader) {
        if FORWARDED.contains(&property.id) {
            out.extend_from_slice(property.raw);
        }
    }
    out.into()
}
