//! MQTT packets as bytes: 5, 3.1.1 and 3.1, as far as a server reads and writes them.
//!
//! Pure and total: any bytes give a packet or a [`Fault`], never a panic, and nothing is copied, since a packet borrows
//! from what was read. Knows no session, no rights and no socket. Section numbers are those of the OASIS standards
//! "MQTT Version 5.0" (2019) and "MQTT Version 3.1.1" (2014).
//!
//! | file | holds |
//! |---|---|
//! | `decode` | what clients send |
//! | `encode` | what the server sends |
//! | `properties` | the property lists of MQTT 5 |
//! | `reader` | bounds-checked reading of the primitive types |

mod decode;
mod encode;
mod properties;
mod reader;
#[cfg(test)]
mod tests;

pub use decode::{
    Acked, Connect, Disconnect, Filter, Packet, Publish, Subscribe, Unsubscribe, Will, decode, decode_connect,
};
pub use encode::{
    Accepted, Outbound, ack, connack, connack_refused, disconnect, pingresp, publish, publish_len, suback,
    unsuback,
};
pub use properties::forwarded;

/// Which rules a connection follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1, and 3.1, which differs in its protocol name only as far as a server can see.
    V3,
    /// MQTT 5.
    V5,
}

/// How hard a message is tried; ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Quality {
    /// Sent once.
    AtMostOnce = 0,
    /// Sent until confirmed.
    AtLeastOnce = 1,
    /// Confirmed in two steps, so that it is taken once.
    ExactlyOnce = 2,
}

impl Quality {
    /// The quality of two bits; three is none.
    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 3 {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// The reason codes this server gives (MQTT 5 section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Done.
    Success = 0x00,
    /// There was no such subscription.
    NoSubscriptionExisted = 0x11,
    /// The bytes are no packet.
    MalformedPacket = 0x81,
    /// A packet that may not come here or contradicts itself.
    ProtocolError = 0x82,
    /// The message could not be kept.
    ImplementationSpecificError = 0x83,
    /// Neither 3.1, 3.1.1 nor 5.
    UnsupportedProtocolVersion = 0x84,
    /// The client id cannot be used by this client.
    ClientIdentifierNotValid = 0x85,
    /// Wrong name or password.
    BadUserNameOrPassword = 0x86,
    /// No right to do that.
    NotAuthorized = 0x87,
    /// Cannot serve right now.
    ServerUnavailable = 0x88,
    /// The server stops.
    ServerShuttingDown = 0x8B,
    /// Extended authentication is not offered.
    BadAuthenticationMethod = 0x8C,
    /// Nothing was heard for one and a half times the keep-alive.
    KeepAliveTimeout = 0x8D,
    /// Another connection uses this client id.
    SessionTakenOver = 0x8E,
    /// No well-formed filter.
    TopicFilterInvalid = 0x8F,
    /// No well-formed topic.
    TopicNameInvalid = 0x90,
    /// The packet id belongs to an exchange under way.
    PacketIdentifierInUse = 0x91,
    /// No such exchange is under way.
    PacketIdentifierNotFound = 0x92,
    /// More messages in flight than the server allows.
    ReceiveMaximumExceeded = 0x93,
    /// This server takes no topic aliases.
    TopicAliasInvalid = 0x94,
    /// Longer than the server takes.
    PacketTooLarge = 0x95,
    /// More than a client may have.
    QuotaExceeded = 0x97,
    /// The payload is not what its topic holds.
    PayloadFormatInvalid = 0x99,
    /// This server has no shared subscriptions.
    SharedSubscriptionsNotSupported = 0x9E,
}

impl Reason {
    /// The byte of the standard.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Whether it says no.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        self.code() >= 0x80
    }

    /// The return code of a 3.1.1 CONNACK (section 3.2.2.3).
    #[must_use]
    pub fn return_code(self) -> u8 {
        const UNAVAILABLE: u8 = 3;
        let codes = [
            (Self::Success, 0),
            (Self::UnsupportedProtocolVersion, 1),
            (Self::ClientIdentifierNotValid, 2),
            (Self::BadUserNameOrPassword, 4),
            (Self::NotAuthorized, 5),
            (Self::BadAuthenticationMethod, 5),
        ];
        codes.into_iter().find(|(reason, _)| *reason == self).map_or(UNAVAILABLE, |(_, code)| code)
    }
}

/// Why bytes are no packet; ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client sent what MQTT does not allow: {0:?}")]
pub struct Fault(pub Reason);

pub(super) const MALFORMED: Fault = Fault(Reason::MalformedPacket);
pub(super) const PROTOCOL: Fault = Fault(Reason::ProtocolError);

/// A packet's first byte and everything behind its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Type and flags.
    pub first: u8,
    /// Variable header and payload.
    pub body: &'a [u8],
}

/// The first packet of `bytes` with its whole length; `None` while it is not all there.
///
/// # Errors
/// A length of more than four bytes is malformed; a packet of more than `len_max` bytes is too large, which is known
/// before it has come.
pub fn split(bytes: &[u8], len_max: usize) -> Result<Option<(Frame<'_>, usize)>, Fault> {
    let mut reader = reader::Reader::new(bytes);
    let Ok(first) = reader.byte() else { return Ok(None) };
    let body_len = match reader.varint() {
        Ok(len) => usize::try_from(len).map_err(|_| MALFORMED)?,
        // A length goes on for as long as its bytes have the top bit; four are the most.
        Err(_) if bytes.len() < 5 => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let head_len = bytes.len() - reader.rest().len();
    let len = head_len.saturating_add(body_len);
    if len > len_max {
        return Err(Fault(Reason::PacketTooLarge));
    }
    match reader.take(body_len) {
        Ok(body) => Ok(Some((Frame { first, body }, len))),
        Err(_) => Ok(None),
    }
}
