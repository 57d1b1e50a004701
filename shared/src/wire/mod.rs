//! The messages between a node and its gateway, and nothing about when they are sent.
//!
//! Payload of `…/up`: one CBOR map (RFC 8949), [`Uplink`]. Payload of `…/down`: a COSE_Mac0 (RFC 9052 §6.2) under the
//! node's key around one CBOR map, [`Downlink`]. Both are described by `shared/giot.cddl` (RFC 8610).
//!
//! Rules that keep old and new firmware talking: keys are small integers and never change their meaning; an unknown key
//! is skipped, an unknown code reads as `Unknown`, a record of an unknown kind as [`Body::Unknown`]; a reader refuses a `version` above [`VERSION`], which only rises when an old reader would misunderstand.
//!
//! | limit | value | why |
//! |---|---|---|
//! | payload | [`PAYLOAD_LEN_MAX`] | fits the node's one send buffer and an MQTT packet of the smallest broker setting |
//! | records in a message | [`RECORDS_MAX`] | what fits a payload at the usual 25 bytes a record |

mod cose;
mod downlink;
mod topic;
mod uplink;

pub use cose::{
    BROKER_PASSWORD_LEN, KEY_LEN, MacError, NodeKey, SALT_LEN, broker_password, next_key, open, seal,
};
pub use downlink::{Ack, Close, Downlink, Open, Order, SETTINGS_LEN_MAX, Settings, SettingsText, Welcome};
pub use topic::{PREFIX_DEFAULT, TOPIC_LEN_MAX, Topic, TopicError, is_prefix, topic};
pub use uplink::{
    Answer, Body, EndedEpoch, Flaw, Health, Hello, Lost, Reading, Record, Records, ResetCause, SettingsEvent,
    SettingsOutcome, UnmetBoot, Uplink, ValveEvent, ValveReport,
};

/// Version of the messages that this code writes, and the newest it reads.
pub const VERSION: u8 = 1;

/// Longest payload in either direction, bytes.
pub const PAYLOAD_LEN_MAX: usize = 1024;

/// Most records in one message.
pub const RECORDS_MAX: usize = 40;

/// Most valves of one node, as reported in a Hello.
pub const VALVES_MAX: usize = 8;
/// Most earlier epochs that a Hello tells of: a week of a power cut a day, in a message that a small chip holds several times.
pub const ENDED_MAX: usize = 8;
/// Most boots without the gateway whose cause a Hello tells.
pub const UNMET_MAX: usize = 8;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// Longer than [`PAYLOAD_LEN_MAX`].
    TooLong,
    /// Not the CBOR that `giot.cddl` describes, or bytes after its end.
    Malformed,
    /// A newer protocol than this code knows; the number is the version found.
    TooNew(u8),
    /// None of the message kinds that this code knows, or several at once.
    UnknownKind,
}

impl core::fmt::Display for WireError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooLong => write!(f, "longer than {PAYLOAD_LEN_MAX} bytes"),
            Self::Malformed => f.write_str("no message of this protocol"),
            Self::TooNew(version) => write!(f, "protocol version {version} is newer than {VERSION}"),
            Self::UnknownKind => f.write_str("no known kind of message"),
        }
    }
}

impl core::error::Error for WireError {}

impl From<minicbor::decode::Error> for WireError {
    fn from(_: minicbor::decode::Error) -> Self {
        Self::Malformed
    }
}

/// A message that does not fit its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferFull;

impl core::fmt::Display for BufferFull {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the message does not fit its buffer")
    }
}

impl core::error::Error for BufferFull {}

/// Encodes `message` into the head of `buffer` and returns the bytes written.
fn encode_into<'b, T: minicbor::Encode<()>>(
    message: &T,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], BufferFull> {
    let room = buffer.len();
    let mut cursor = minicbor::encode::write::Cursor::new(&mut *buffer);
    minicbor::encode(message, &mut cursor).map_err(|_| BufferFull)?;
    let written = cursor.position().min(room);
    buffer.get(..written).ok_or(BufferFull)
}

/// Decodes all of `bytes` as one `T`: what follows its end makes the message malformed.
fn decode_whole<'b, T: minicbor::Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, WireError> {
    if bytes.len() > PAYLOAD_LEN_MAX {
        return Err(WireError::TooLong);
    }
    let mut decoder = minicbor::Decoder::new(bytes);
    let value = decoder.decode()?;
    if decoder.position() == bytes.len() { Ok(value) } else { Err(WireError::Malformed) }
}

/// The version alone, so that a newer message is told apart from a broken one.
#[derive(minicbor::Decode)]
#[cbor(map)]
struct VersionOnly {
    #[n(0)]
    version: u8,
}

fn check_version(bytes: &[u8]) -> Result<(), WireError> {
    if bytes.len() > PAYLOAD_LEN_MAX {
        return Err(WireError::TooLong);
    }
    let VersionOnly { version } = minicbor::decode(bytes)?;
    match version {
        0 => Err(WireError::Malformed),
        1..=VERSION => Ok(()),
        _ => Err(WireError::TooNew(version)),
    }
}

#[cfg(test)]
mod tests;
