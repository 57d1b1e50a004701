//! What clients send (chapter 3 of the standards).

use super::properties::{
    self, AUTH_METHOD, IN_ACK, IN_CONNECT, IN_DISCONNECT, IN_PUBLISH, IN_SUBSCRIBE, IN_UNSUBSCRIBE, IN_WILL,
    MESSAGE_EXPIRY, PACKET_LEN_MAX, RECEIVE_MAXIMUM, SESSION_EXPIRY, SUBSCRIPTION_ID, TOPIC_ALIAS,
    WILL_DELAY,
};
use super::reader::Reader;
use super::{Fault, Frame, MALFORMED, PROTOCOL, Quality, Reason, Version};

/// One packet of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A second CONNECT is in here too: to be refused.
    Connect(Box<Connect<'a>>),
    /// A message.
    Publish(Publish<'a>),
    /// Confirms a QoS 1 message.
    PubAck(Acked),
    /// First answer to a QoS 2 message.
    PubRec(Acked),
    /// Releases a QoS 2 message.
    PubRel(Acked),
    /// Last answer to a QoS 2 message.
    PubComp(Acked),
    /// Wants messages.
    Subscribe(Subscribe<'a>),
    /// Wants them no longer.
    Unsubscribe(Unsubscribe<'a>),
    /// Is there.
    PingReq,
    /// Goes.
    Disconnect(Disconnect),
    /// Extended authentication, which this server does not offer.
    Auth,
}

/// Opens a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The rules of this connection.
    pub version: Version,
    /// Who it is; empty for a client that wants to be given an id.
    pub client_id: &'a str,
    /// Whether an older session is forgotten.
    pub clean: bool,
    /// Longest silence, s; 0 for any.
    pub keep_alive_s: u16,
    /// How long the session outlives the connection, s; all ones for ever.
    pub session_expiry_s: u32,
    /// Messages of QoS 1 and 2 that may be on their way to the client.
    pub receive_max: u16,
    /// Longest packet that the client takes, bytes.
    pub packet_len_max: u32,
    /// Message to be published when the client is lost.
    pub will: Option<Will<'a>>,
    /// Name.
    pub user: Option<&'a str>,
    /// Password.
    pub password: Option<&'a [u8]>,
    /// Whether extended authentication is asked for.
    pub wants_auth: bool,
}

/// A message for the case that the client is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where to.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// How hard.
    pub quality: Quality,
    /// Whether it is kept for later subscribers.
    pub retain: bool,
    /// How long after the loss, s.
    pub delay_s: u32,
    /// How long it is good for once published, s.
    pub expiry_s: Option<u32>,
    /// Its property list, without the length.
    pub properties: &'a [u8],
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Where to.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// How hard.
    pub quality: Quality,
    /// Whether it is kept for later subscribers.
    pub retain: bool,
    /// Whether it was sent before.
    pub dup: bool,
    /// Packet id; 0 for QoS 0.
    pub id: u16,
    /// How long it is good for, s.
    pub expiry_s: Option<u32>,
    /// Its property list, without the length.
    pub properties: &'a [u8],
}

/// An answer to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked {
    /// Which.
    pub id: u16,
    /// Reason code; from 0x80 on a refusal.
    pub code: u8,
}

/// Wants messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Packet id.
    pub id: u16,
    /// Number that comes with the messages of these filters.
    pub subscription_id: Option<u32>,
    /// At least one.
    pub filters: Vec<Filter<'a>>,
}

/// One wish of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter<'a> {
    /// The filter's text; not judged.
    pub filter: &'a str,
    /// Highest quality wanted.
    pub quality: Quality,
    /// Not what the client itself publishes.
    pub no_local: bool,
    /// The retain flag comes as it was published.
    pub retain_as_published: bool,
    /// 0: retained messages now; 1: only if the subscription is new; 2: none.
    pub retain_handling: u8,
}

/// Wants them no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Packet id.
    pub id: u16,
    /// At least one.
    pub filters: Vec<&'a str>,
}

/// Goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// 0 forgets the will; 4 and others do not.
    pub code: u8,
    /// Another session expiry than at the beginning, s.
    pub session_expiry_s: Option<u32>,
}

/// Reads one packet of a connection whose rules are known.
///
/// # Errors
/// [`Fault`] for what the standard does not allow.
pub fn decode(version: Version, frame: Frame<'_>) -> Result<Packet<'_>, Fault> {
    let mut body = Reader::new(frame.body);
    let flags = frame.first & 0x0F;
    let kind = frame.first >> 4;
    // PUBLISH has flags of its own; SUBSCRIBE, UNSUBSCRIBE and PUBREL must have 0b0010, the rest none.
    let expected = if matches!(kind, 6 | 8 | 10) { 0b0010 } else { 0 };
    if kind != 3 && flags != expected {
        return Err(MALFORMED);
    }
    let packet = match kind {
        1 => return decode_connect(frame).map(|connect| Packet::Connect(Box::new(connect))),
        3 => return publish(version, flags, body).map(Packet::Publish),
        4 => Packet::PubAck(acked(version, &mut body)?),
        5 => Packet::PubRec(acked(version, &mut body)?),
        6 => Packet::PubRel(acked(version, &mut body)?),
        7 => Packet::PubComp(acked(version, &mut body)?),
        8 => Packet::Subscribe(subscribe(version, &mut body)?),
        10 => Packet::Unsubscribe(unsubscribe(version, &mut body)?),
        12 => Packet::PingReq,
        14 => Packet::Disconnect(disconnect(version, &mut body)?),
        15 if version == Version::V5 => return Ok(Packet::Auth),
        _ => return Err(PROTOCOL),
    };
    if body.is_empty() { Ok(packet) } else { Err(MALFORMED) }
}

/// Reads the packet that must be the first of a connection.
///
/// # Errors
/// [`Fault`] for anything but a CONNECT of a version that this server speaks.
pub fn decode_connect(frame: Frame<'_>) -> Result<Connect<'_>, Fault> {
    if frame.first != 0x10 {
        return Err(PROTOCOL);
    }
    let mut body = Reader::new(frame.body);
    let version = match (body.text()?, body.byte()?) {
        ("MQTT", 4) | ("MQIsdp", 3) => Version::V3,
        ("MQTT", 5) => Version::V5,
        ("MQTT" | "MQIsdp", _) => return Err(Fault(Reason::UnsupportedProtocolVersion)),
        _ => return Err(PROTOCOL),
    };
    let flags = body.byte()?;
    let has = |bit: u8| flags & bit != 0;
    let clean = has(0x02);
    let will_quality = Quality::from_bits(flags >> 3).ok_or(MALFORMED)?;
    let is_odd_will = !has(0x04) && flags & 0x38 != 0;
    let is_odd_password = version == Version::V3 && has(0x40) && !has(0x80);
    if has(0x01) || is_odd_will || is_odd_password {
        return Err(MALFORMED);
    }
    let mut connect = Connect {
        version,
        client_id: "",
        clean,
        keep_alive_s: body.two()?,
        session_expiry_s: if version == Version::V3 && !clean { u32::MAX } else { 0 },
        receive_max: u16::MAX,
        packet_len_max: u32::MAX,
        will: None,
        user: None,
        password: None,
        wants_auth: false,
    };
    if version == Version::V5 {
        properties::read(&mut body, IN_CONNECT, |property| match property.id {
            SESSION_EXPIRY => connect.session_expiry_s = property.number,
            RECEIVE_MAXIMUM => connect.receive_max = u16::try_from(property.number).unwrap_or(u16::MAX),
            PACKET_LEN_MAX => connect.packet_len_max = property.number,
            AUTH_METHOD => connect.wants_auth = true,
            _ => {}
        })?;
    }
    connect.client_id = body.text()?;
    if has(0x04) {
        connect.will = Some(will(version, will_quality, has(0x20), &mut body)?);
    }
    connect.user = if has(0x80) { Some(body.text()?) } else { None };
    connect.password = if has(0x40) { Some(body.binary()?) } else { None };
    if body.is_empty() { Ok(connect) } else { Err(MALFORMED) }
}

fn will<'a>(
    version: Version,
    quality: Quality,
    retain: bool,
    body: &mut Reader<'a>,
) -> Result<Will<'a>, Fault> {
    let (mut delay_s, mut expiry_s) = (0, None);
    let properties = match version {
        Version::V3 => &[],
        Version::V5 => properties::read(body, IN_WILL, |property| match property.id {
            WILL_DELAY => delay_s = property.number,
            MESSAGE_EXPIRY => expiry_s = Some(property.number),
            _ => {}
        })?,
    };
    let (topic, payload) = (body.text()?, body.binary()?);
    Ok(Will { topic, payload, quality, retain, delay_s, expiry_s, properties })
}

fn publish(version: Version, flags: u8, mut body: Reader<'_>) -> Result<Publish<'_>, Fault> {
    let quality = Quality::from_bits(flags >> 1).ok_or(MALFORMED)?;
    let dup = flags & 0x08 != 0;
    if dup && quality == Quality::AtMostOnce {
        return Err(MALFORMED);
    }
    let topic = body.text()?;
    let id = if quality == Quality::AtMostOnce { 0 } else { packet_id(&mut body)? };
    let (mut expiry_s, mut has_alias) = (None, false);
    let properties = match version {
        Version::V3 => &[],
        Version::V5 => properties::read(&mut body, IN_PUBLISH, |property| match property.id {
            MESSAGE_EXPIRY => expiry_s = Some(property.number),
            TOPIC_ALIAS => has_alias = true,
            _ => {}
        })?,
    };
    if has_alias {
        return Err(Fault(Reason::TopicAliasInvalid));
    }
    if topic.is_empty() || topic.contains(['+', '#']) {
        return Err(Fault(Reason::TopicNameInvalid));
    }
    Ok(Publish {
        topic,
        payload: body.rest(),
        quality,
        retain: flags & 1 != 0,
        dup,
        id,
        expiry_s,
        properties,
    })
}

/// A packet id is never 0 (section 2.2.1).
fn packet_id(body: &mut Reader<'_>) -> Result<u16, Fault> {
    match body.two()? {
        0 => Err(PROTOCOL),
        id => Ok(id),
    }
}

fn acked(version: Version, body: &mut Reader<'_>) -> Result<Acked, Fault> {
    let id = packet_id(body)?;
    // Code and properties may be left out when there is nothing to say.
    let code = if version == Version::V5 && !body.is_empty() { body.byte()? } else { 0 };
    if version == Version::V5 && !body.is_empty() {
        properties::read(body, IN_ACK, |_| {})?;
    }
    Ok(Acked { id, code })
}

fn subscribe<'a>(version: Version, body: &mut Reader<'a>) -> Result<Subscribe<'a>, Fault> {
    let id = packet_id(body)?;
    let mut subscription_id = None;
    if version == Version::V5 {
        properties::read(body, IN_SUBSCRIBE, |property| {
            if property.id == SUBSCRIPTION_ID {
                subscription_id = Some(property.number);
            }
        })?;
    }
    let mut filters = Vec::new();
    while !body.is_empty() {
        let filter = body.text()?;
        let options = body.byte()?;
        let reserved = if version == Version::V5 { 0xC0 } else { 0xFC };
        let quality = Quality::from_bits(options).filter(|_| options & reserved == 0).ok_or(MALFORMED)?;
        let (no_local, retain_handling) = (options & 0x04 != 0, (options >> 4) & 3);
        // A shared subscription may not exclude its own client (section 3.8.3.1).
        if retain_handling == 3 || (no_local && filter.starts_with("$share/")) {
            return Err(PROTOCOL);
        }
        let retain_as_published = options & 0x08 != 0;
        filters.push(Filter { filter, quality, no_local, retain_as_published, retain_handling });
    }
    if filters.is_empty() { Err(PROTOCOL) } else { Ok(Subscribe { id, subscription_id, filters }) }
}

fn unsubscribe<'a>(version: Version, body: &mut Reader<'a>) -> Result<Unsubscribe<'a>, Fault> {
    let id = packet_id(body)?;
    if version == Version::V5 {
        properties::read(body, IN_UNSUBSCRIBE, |_| {})?;
    }
    let mut filters = Vec::new();
    while !body.is_empty() {
        filters.push(body.text()?);
    }
    if filters.is_empty() { Err(PROTOCOL) } else { Ok(Unsubscribe { id, filters }) }
}

fn disconnect(version: Version, body: &mut Reader<'_>) -> Result<Disconnect, Fault> {
    let mut disconnect = Disconnect { code: 0, session_expiry_s: None };
    if version == Version::V5 && !body.is_empty() {
        disconnect.code = body.byte()?;
        if !body.is_empty() {
            properties::read(body, IN_DISCONNECT, |property| {
                if property.id == SESSION_EXPIRY {
                    disconnect.session_expiry_s = Some(property.number);
                }
            })?;
        }
    }
    Ok(disconnect)
}
