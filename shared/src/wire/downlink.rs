//! What a gateway says: Welcome, Ack, Open, Close, Settings. Always under the node's key (see [`super::open`], [`super::seal`]).

use super::{BufferFull, VERSION, WireError, check_version, decode_whole, encode_into};
use crate::ids::{CommandId, Position, ValveId};
use crate::time::UnixMs;
use crate::units::Millilitres;
use minicbor::{Decode, Encode, Encoder};

/// One message of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downlink {
    /// Answers a Hello.
    Welcome(Welcome),
    /// Everything up to here is on disk.
    Ack(Ack),
    /// Something that changes the node's world, with its counter.
    Order(u64, Order),
}

/// A command; the counter beside it rises with every order to this node and is accepted once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Open a valve for a bounded time.
    Open(Open),
    /// Close a valve, or all of them.
    Close(Close),
    /// Change what a person set up.
    Settings(Settings),
}

/// Gives the time. Bound to one Hello by its nonce, so that no old Welcome can set a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The nonce of the Hello that it answers.
    pub nonce: u64,
    /// Civil time; `None` when the gateway's own clock is not set, and the node stays without an anchor.
    pub unix: Option<UnixMs>,
    /// Up to here everything is on the gateway's disk.
    pub stored: Position,
}

/// Cumulative acknowledgement, sent only after the commit (P1). An old one repeated does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Up to here everything is on the gateway's disk.
    pub stored: Position,
}

/// Opens a valve. The lease is part of the command: the node closes without any further message (P3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// The gateway's number of this command.
    pub command: CommandId,
    /// Which valve.
    pub valve: ValveId,
    /// Lease, seconds from acceptance; an Open of an open valve starts it anew.
    pub run_s: u32,
    /// Close after this much water, where the node has a meter.
    pub volume: Option<Millilitres>,
    /// When the gateway decided.
    pub issued_at: UnixMs,
    /// Seconds after `issued_at` in which a node may still obey.
    pub ttl_s: u32,
    /// Whether its water ends in the field, so that valves that are open together share what the meter counts; a pump or a master
    /// valve has the water of all of them.
    pub is_outlet: bool,
}

/// Closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// The gateway's number of this command.
    pub command: CommandId,
    /// Which valve; `None` closes all.
    pub valve: Option<ValveId>,
}

/// Changes what a person set up. The node tries the new settings and goes back to the old ones when it cannot reach its
/// gateway with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The gateway's number of this command.
    pub command: CommandId,
    /// What is to change.
    pub text: SettingsText,
    /// When a person decided.
    pub issued_at: UnixMs,
    /// Seconds after `issued_at` in which a node may still obey.
    pub ttl_s: u32,
    /// Seconds in which the node must reach its gateway with them.
    pub within_s: u32,
}

/// Longest text of changed settings, bytes: two probes with their curves, or ten short settings.
pub const SETTINGS_LEN_MAX: usize = 176;

/// Lines of `KEY=VALUE`, kept in place so that a message can be copied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SettingsText {
    len: u8,
    bytes: [u8; SETTINGS_LEN_MAX],
}

impl SettingsText {
    /// The text; `None` when it is longer than [`SETTINGS_LEN_MAX`].
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; SETTINGS_LEN_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { len: u8::try_from(text.len()).ok()?, bytes })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only whole texts come in.
        self.bytes
            .get(..usize::from(self.len))
            .and_then(|bytes| core::str::from_utf8(bytes).ok())
            .unwrap_or("")
    }
}

impl core::fmt::Debug for SettingsText {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // A password may be in it.
        write!(f, "SettingsText({} bytes)", self.len)
    }
}

impl Downlink {
    /// Longest message without its envelope, bytes: settings of the longest text.
    pub const LEN_MAX: usize = 64 + SETTINGS_LEN_MAX;

    /// Writes the message, without its COSE envelope, into the head of `buffer`.
    ///
    /// # Errors
    /// [`BufferFull`]; [`Self::LEN_MAX`] is always enough.
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferFull> {
        encode_into(self, buffer)
    }

    /// Reads the payload of a COSE envelope whose tag was checked.
    ///
    /// # Errors
    /// [`WireError`] for anything that `giot.cddl` does not describe.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        check_version(bytes)?;
        let frame: Frame<'_> = decode_whole(bytes)?;
        match (frame.counter, frame.welcome, frame.ack, frame.open, frame.close, frame.settings) {
            (None, Some(w), None, None, None, None) => Ok(Self::Welcome(Welcome {
                nonce: w.nonce,
                unix: w.unix_ms.map(UnixMs),
                stored: Position { epoch: w.epoch, seq: w.seq },
            })),
            (None, None, Some(a), None, None, None) => {
                Ok(Self::Ack(Ack { stored: Position { epoch: a.epoch, seq: a.seq } }))
            }
            (Some(counter), None, None, Some(open), None, None) => {
                Ok(Self::Order(counter, Order::Open(open.into())))
            }
            (Some(counter), None, None, None, Some(close), None) => {
                let close = Close { command: CommandId(close.command), valve: close.valve.map(ValveId) };
                Ok(Self::Order(counter, Order::Close(close)))
            }
            (Some(counter), None, None, None, None, Some(form)) => {
                let text = SettingsText::new(form.text).ok_or(WireError::Malformed)?;
                let settings = Settings {
                    command: CommandId(form.command),
                    text,
                    issued_at: UnixMs(form.issued_at_ms),
                    ttl_s: form.ttl_s,
                    within_s: form.within_s,
                };
                Ok(Self::Order(counter, Order::Settings(settings)))
            }
            _ => Err(WireError::UnknownKind),
        }
    }
}

impl Order {
    /// The command that an answer names.
    #[must_use]
    pub const fn command(&self) -> CommandId {
        match self {
            Self::Open(open) => open.command,
            Self::Close(close) => close.command,
            Self::Settings(settings) => settings.command,
        }
    }
}

#[derive(Decode)]
#[cbor(map)]
struct Frame<'b> {
    #[n(1)]
    counter: Option<u64>,
    #[n(2)]
    welcome: Option<WelcomeForm>,
    #[n(3)]
    ack: Option<AckForm>,
    #[n(4)]
    open: Option<OpenForm>,
    #[n(5)]
    close: Option<CloseForm>,
    #[b(7)]
    settings: Option<SettingsForm<'b>>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WelcomeForm {
    #[n(0)]
    nonce: u64,
    #[n(1)]
    unix_ms: Option<i64>,
    #[n(2)]
    epoch: u32,
    #[n(3)]
    seq: u32,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct AckForm {
    #[n(0)]
    epoch: u32,
    #[n(1)]
    seq: u32,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct OpenForm {
    #[n(0)]
    command: u64,
    #[n(1)]
    valve: u8,
    #[n(2)]
    run_s: u32,
    #[n(3)]
    volume_ml: Option<u32>,
    #[n(4)]
    issued_at_ms: i64,
    #[n(5)]
    ttl_s: u32,
    #[n(6)]
    is_outlet: Option<bool>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct CloseForm {
    #[n(0)]
    command: u64,
    #[n(1)]
    valve: Option<u8>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct SettingsForm<'b> {
    #[n(0)]
    command: u64,
    #[b(1)]
    text: &'b str,
    #[n(2)]
    issued_at_ms: i64,
    #[n(3)]
    ttl_s: u32,
    #[n(4)]
    within_s: u32,
}

impl From<OpenForm> for Open {
    fn from(form: OpenForm) -> Self {
        Self {
            command: CommandId(form.command),
            valve: ValveId(form.valve),
            run_s: form.run_s,
            volume: form.volume_ml.map(Millilitres),
            issued_at: UnixMs(form.issued_at_ms),
            ttl_s: form.ttl_s,
            is_outlet: form.is_outlet.unwrap_or(false),
        }
    }
}

impl<C> Encode<C> for Downlink {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let entries = if matches!(self, Self::Order(..)) { 3 } else { 2 };
        e.map(entries)?.u8(0)?.u8(VERSION)?;
        match self {
            Self::Welcome(w) => e
                .u8(2)?
                .encode_with(
                    WelcomeForm {
                        nonce: w.nonce,
                        unix_ms: w.unix.map(|t| t.0),
                        epoch: w.stored.epoch,
                        seq: w.stored.seq,
                    },
                    ctx,
                )?
                .ok(),
            Self::Ack(a) => {
                e.u8(3)?.encode_with(AckForm { epoch: a.stored.epoch, seq: a.stored.seq }, ctx)?.ok()
            }
            Self::Order(counter, Order::Open(o)) => e
                .u8(1)?
                .u64(*counter)?
                .u8(4)?
                .encode_with(
                    OpenForm {
                        command: o.command.0,
                        valve: o.valve.0,
                        run_s: o.run_s,
                        volume_ml: o.volume.map(|v| v.0),
                        issued_at_ms: o.issued_at.0,
                        ttl_s: o.ttl_s,
                        is_outlet: o.is_outlet.then_some(true),
                    },
                    ctx,
                )?
                .ok(),
            Self::Order(counter, Order::Close(c)) => e
                .u8(1)?
                .u64(*counter)?
                .u8(5)?
                .encode_with(CloseForm { command: c.command.0, valve: c.valve.map(|v| v.0) }, ctx)?
                .ok(),
            Self::Order(counter, Order::Settings(s)) => e
                .u8(1)?
                .u64(*counter)?
                .u8(7)?
                .encode_with(
                    SettingsForm {
                        command: s.command.0,
                        text: s.text.as_str(),
                        issued_at_ms: s.issued_at.0,
                        ttl_s: s.ttl_s,
                        within_s: s.within_s,
                    },
                    ctx,
                )?
                .ok(),
        }
    }
}
