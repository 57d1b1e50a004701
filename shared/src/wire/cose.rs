//! COSE_Mac0 (RFC 9052 §6.2) with HMAC 256/64 (RFC 9053 §3.1, algorithm 4): the envelope of every downlink.
//!
//! ```text
//! COSE_Mac0 = [ protected: bstr .cbor { 1: 4, 4: node id as bstr }, unprotected: {}, payload: bstr, tag: 8 bytes ]
//! tag       = first 8 bytes of HMAC-SHA-256(key, MAC_structure)
//! MAC_structure = [ "MAC0", protected, external_aad = h'', payload ]
//! ```
//! The key id names the node inside the protected header, so that a message for somebody else is told apart from a
//! forged one, and cannot be re-addressed.

use super::{BufferFull, PAYLOAD_LEN_MAX};
use crate::ids::NodeId;
use hmac::{Hmac, Mac};
use minicbor::encode::write::Cursor;
use minicbor::{Decoder, Encoder};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Length of a node's key, bytes.
pub const KEY_LEN: usize = 32;

const TAG_LEN: usize = 8;
const ALGORITHM_HMAC_256_64: i8 = 4;
/// Header map with the algorithm and a key id of the longest node id.
const PROTECTED_LEN_MAX: usize = 48;

/// A node's secret; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeKey(pub [u8; KEY_LEN]);

impl core::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("NodeKey(…)")
    }
}

/// Why an envelope was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacError {
    /// No COSE_Mac0 of this protocol.
    Malformed,
    /// For another node.
    Misaddressed,
    /// The tag does not fit the key.
    BadMac,
}

/// Wraps `payload` for `node` into the head of `buffer`.
///
/// # Errors
/// [`BufferFull`] when payload, header and tag (64 bytes at most) do not fit.
pub fn seal<'b>(
    key: &NodeKey,
    node: &NodeId,
    payload: &[u8],
    buffer: &'b mut [u8],
) -> Result<&'b [u8], BufferFull> {
    let mut header = [0; PROTECTED_LEN_MAX];
    let protected = protected(node, &mut header)?;
    let tag = tag(key, protected, payload);
    let room = buffer.len();
    let mut e = Encoder::new(Cursor::new(&mut *buffer));
    let written = (|| {
        e.array(4)?.bytes(protected)?.map(0)?.bytes(payload)?.bytes(&tag)?;
        Ok::<_, minicbor::encode::Error<minicbor::encode::write::EndOfSlice>>(e.writer().position())
    })()
    .map_err(|_| BufferFull)?;
    buffer.get(..written.min(room)).ok_or(BufferFull)
}

/// Checks an envelope against the node's own id and key and returns the payload inside.
///
/// # Errors
/// [`MacError`]; nothing of the message may be used then.
pub fn open<'b>(key: &NodeKey, node: &NodeId, bytes: &'b [u8]) -> Result<&'b [u8], MacError> {
    let envelope = Envelope::parse(bytes).map_err(|_| MacError::Malformed)?;
    if envelope.node != node.as_str().as_bytes() {
        return Err(MacError::Misaddressed);
    }
    let tag = tag(key, envelope.protected, envelope.payload);
    if bool::from(tag.ct_eq(envelope.tag)) { Ok(envelope.payload) } else { Err(MacError::BadMac) }
}

/// Length of a node's broker password, bytes of ASCII.
pub const BROKER_PASSWORD_LEN: usize = 32;

/// What a node shows the broker beside its id: the first 16 bytes of SHA-256("mqtt" ‖ key) in lower-case hexadecimal.
///
/// One secret per node is enough to provision; a broker that learns the password cannot compute the key from it, and so
/// cannot forge a command.
#[must_use]
pub fn broker_password(key: &NodeKey) -> [u8; BROKER_PASSWORD_LEN] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    let digest = Sha256::new().chain_update(b"mqtt").chain_update(key.0).finalize();
    let mut text = [b'0'; BROKER_PASSWORD_LEN];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(digest) {
        *pair = [digit(byte >> 4), digit(byte & 0x0f)];
    }
    text
}

/// Length of what makes one key into the next, bytes.
pub const SALT_LEN: usize = 16;

/// The key that follows a node's first one, which paper and screens have seen: HMAC-SHA-256(key, "giot key" ‖ salt).
///
/// The salt may be overheard: without the key before it, nothing follows from it.
#[must_use]
pub fn next_key(key: &NodeKey, salt: &[u8; SALT_LEN]) -> NodeKey {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    let mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes any key");
    NodeKey(mac.chain_update(b"giot key").chain_update(salt).finalize().into_bytes().into())
}

struct Envelope<'b> {
    protected: &'b [u8],
    node: &'b [u8],
    payload: &'b [u8],
    tag: &'b [u8],
}

impl<'b> Envelope<'b> {
    fn parse(bytes: &'b [u8]) -> Result<Self, minicbor::decode::Error> {
        let malformed = || minicbor::decode::Error::message("no COSE_Mac0");
        if bytes.len() > PAYLOAD_LEN_MAX {
            return Err(malformed());
        }
        let mut d = Decoder::new(bytes);
        if d.array()? != Some(4) {
            return Err(malformed());
        }
        let protected = d.bytes()?;
        if d.map()? != Some(0) {
            return Err(malformed());
        }
        let payload = d.bytes()?;
        let tag = d.bytes()?;
        let mut h = Decoder::new(protected);
        let algorithm_first = h.map()? == Some(2) && h.i8()? == 1 && h.i8()? == ALGORITHM_HMAC_256_64;
        if !algorithm_first || h.i8()? != 4 {
            return Err(malformed());
        }
        let node = h.bytes()?;
        let whole = d.position() == bytes.len() && h.position() == protected.len();
        if whole && tag.len() == TAG_LEN {
            Ok(Self { protected, node, payload, tag })
        } else {
            Err(malformed())
        }
    }
}

fn protected<'b>(node: &NodeId, buffer: &'b mut [u8; PROTECTED_LEN_MAX]) -> Result<&'b [u8], BufferFull> {
    let mut e = Encoder::new(Cursor::new(&mut buffer[..]));
    let written = (|| {
        e.map(2)?.i8(1)?.i8(ALGORITHM_HMAC_256_64)?.i8(4)?.bytes(node.as_str().as_bytes())?;
        Ok::<_, minicbor::encode::Error<minicbor::encode::write::EndOfSlice>>(e.writer().position())
    })()
    .map_err(|_| BufferFull)?;
    buffer.get(..written).ok_or(BufferFull)
}

pub(super) fn tag(key: &NodeKey, protected: &[u8], payload: &[u8]) -> [u8; TAG_LEN] {
    /// Feeds CBOR straight into the hash: the MAC_structure never stands in memory.
    struct Sink(Hmac<Sha256>);
    impl minicbor::encode::Write for Sink {
        type Error = core::convert::Infallible;
        fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
            self.0.update(bytes);
            Ok(())
        }
    }
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    let mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes any key");
    let mut e = Encoder::new(Sink(mac));
    let structure = (|| {
        e.array(4)?.str("MAC0")?.bytes(protected)?.bytes(&[])?.bytes(payload)?;
        Ok::<_, minicbor::encode::Error<core::convert::Infallible>>(())
    })();
    debug_assert!(structure.is_ok(), "writing into a hash cannot fail");
    let full = e.into_writer().0.finalize().into_bytes();
    let mut tag = [0; TAG_LEN];
    tag.copy_from_slice(full.get(..TAG_LEN).unwrap_or(&[0; TAG_LEN]));
    tag
}
