//! What a node says: Hello, Records, Answer.

use super::{
    BufferFull, ENDED_MAX, PAYLOAD_LEN_MAX, RECORDS_MAX, UNMET_MAX, VALVES_MAX, VERSION, WireError,
    check_version, decode_whole, encode_into,
};
use crate::ids::{CommandId, Position, ValveId};
use crate::metric::Metric;
use crate::time::{UnixMs, UptimeMs};
use crate::units::{Millilitres, Millivolts};
use crate::valve::{CloseReason, RefusalReason, codes};
use minicbor::{Decode, Decoder, Encode, Encoder};

/// One message of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "lives on the stack for one message; a box would need a heap")]
pub enum Uplink {
    /// Sent first on every connection: who I am, where I stand, what time is it.
    Hello(Hello),
    /// A run of records in the order they were made.
    Records(Records),
    /// The answer to one command.
    Answer(Answer),
}

codes! {
    /// Why the node booted.
    ResetCause {
        /// Power came on.
        PowerOn = 1, "power_on";
        /// The supply had dipped.
        BrownOut = 2, "brown_out";
        /// The hardware watchdog fired.
        Watchdog = 3, "watchdog";
        /// The firmware stopped itself on a broken invariant.
        Panic = 4, "panic";
        /// A wanted restart.
        Software = 5, "software";
        /// It woke up from a deep sleep.
        Sleep = 6, "sleep";
    }
}

codes! {
    /// What is wrong with a reading.
    Flaw {
        /// The probe did not answer, or its line is broken: there is no value.
        NoAnswer = 1, "no_answer";
        /// Outside what the probe or nature can give.
        OutOfRange = 2, "out_of_range";
        /// The samples of one reading differ too much.
        Unstable = 3, "unstable";
        /// The probe has no valid calibration: raw value only.
        Uncalibrated = 4, "uncalibrated";
    }
}

codes! {
    /// What became of settings that came over the air.
    SettingsOutcome {
        /// The node reached its gateway with them and keeps them.
        Confirmed = 1, "confirmed";
        /// It did not reach the gateway in time and went back to what it had.
        Unreachable = 2, "unreachable";
        /// It was reset before it had reached the gateway and went back to what it had.
        Reset = 3, "reset";
        /// Its board cannot run by them, or its memory could not take them: it has what it had.
        NotKept = 4, "not_kept";
    }
}

/// Opens a session. The nonce comes back in the Welcome, so that an old Welcome cannot set the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Fresh random number of this connection.
    pub nonce: u64,
    /// Boot counter.
    pub epoch: u32,
    /// Node time when this message was made.
    pub uptime: UptimeMs,
    /// Up to here every record was acknowledged and may be gone from the node.
    pub released: Position,
    /// Highest command counter that the node accepted; the gateway counts on from the higher of both.
    pub counter: u64,
    /// Why this epoch began.
    pub reset: ResetCause,
    /// Firmware version, at most 16 bytes.
    pub firmware: heapless::String<16>,
    /// Every valve with its present state.
    pub valves: heapless::Vec<ValveReport, VALVES_MAX>,
    /// The node's own civil time, where it has a battery-backed clock.
    pub clock: Option<UnixMs>,
    /// How far the times of this epoch may be off among each other, ms: a chip that slept counted the time by a poor clock.
    pub drift_ms: u32,
    /// Earlier epochs of which records wait, in rising order: so the gateway knows how long a boot lasted that met nobody. None where
    /// there are more than can be told.
    pub ended: heapless::Vec<EndedEpoch, ENDED_MAX>,
    /// Why epochs began that met no gateway, rising, at most the last ones; the present one is among them where it has slept since.
    pub unmet: heapless::Vec<UnmetBoot, UNMET_MAX>,
}

/// A boot of which the gateway did not hear while it lasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnmetBoot {
    /// Boot counter.
    pub epoch: u32,
    /// Why it began.
    pub cause: ResetCause,
}

/// An epoch that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedEpoch {
    /// Boot counter.
    pub epoch: u32,
    /// Uptime of its last record.
    pub last: UptimeMs,
}

/// State of one valve at the moment of the Hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValveReport {
    /// Which valve.
    pub valve: ValveId,
    /// Whether its drive is open.
    pub open: bool,
    /// The command that opened it.
    pub command: Option<CommandId>,
    /// Rest of its lease, seconds.
    pub remaining_s: u32,
}

/// Records of one epoch in rising order, without gaps: what the node lost stands as a [`Lost`] record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// Boot counter of all records of this message.
    pub epoch: u32,
    /// The position right before the first record: the gateway takes the message only when it has everything up to it.
    pub after: Position,
    /// The records, at least one.
    pub records: heapless::Vec<Record, RECORDS_MAX>,
}

/// One thing that happened at the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Count within the epoch, from 1.
    pub seq: u32,
    /// When it happened.
    pub uptime: UptimeMs,
    /// What happened.
    pub body: Body,
}

/// The kinds of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A probe was read.
    Reading(Reading),
    /// A valve opened or closed.
    Valve(ValveEvent),
    /// The node's own state.
    Health(Health),
    /// Records that the node had to drop.
    Lost(Lost),
    /// What became of settings that came over the air.
    Settings(SettingsEvent),
    /// A kind that this version does not know: it has its place in the count and nothing else.
    Unknown,
}

/// One value of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which of the node's probes, from 0.
    pub probe: u8,
    /// Code of the [`Metric`]; kept as a number so that a newer node's metric can be counted and skipped.
    pub metric: u8,
    /// The value in the metric's decimal steps; `None` when the probe gave none.
    pub value: Option<i32>,
    /// What the converter gave, before calibration.
    pub raw: Option<i32>,
    /// What is wrong with it, if anything.
    pub flaw: Option<Flaw>,
}

impl Reading {
    /// The metric, `None` when a newer firmware sent one that this version does not know.
    #[must_use]
    pub const fn known_metric(&self) -> Option<Metric> {
        Metric::from_wire(self.metric)
    }
}

/// A change of a valve's drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValveEvent {
    /// Which valve.
    pub valve: ValveId,
    /// Opened, or closed.
    pub open: bool,
    /// The command that opened it; `None` for a local run.
    pub command: Option<CommandId>,
    /// On closing: why.
    pub closed_by: Option<CloseReason>,
    /// On closing: how long it was open, ms.
    pub run_ms: Option<u64>,
    /// On closing: what the meter counted, where there is one.
    pub volume: Option<Millilitres>,
}

/// The node's own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Supply or battery.
    pub supply: Option<Millivolts>,
    /// Records waiting in the flash outbox.
    pub waiting: u32,
    /// Radio signal, dBm.
    pub signal_dbm: Option<i8>,
}

/// Readings that an overfull outbox gave up, oldest first: `seq` of the record … `to`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The last lost one.
    pub to: u32,
}

/// What became of settings that came over the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingsEvent {
    /// The command that brought them.
    pub command: CommandId,
    /// Kept, or not and why.
    pub outcome: SettingsOutcome,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The command; `None` when the message could not be trusted far enough to name one.
    pub command: Option<CommandId>,
    /// `None`: accepted.
    pub refused: Option<RefusalReason>,
    /// Node time of the answer.
    pub uptime: UptimeMs,
}

impl Uplink {
    /// Writes the message into the head of `buffer`.
    ///
    /// # Errors
    /// [`BufferFull`] when `buffer` is too short; [`PAYLOAD_LEN_MAX`] is enough for everything but a full Records.
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferFull> {
        encode_into(self, buffer)
    }

    /// Reads a payload of `…/up`.
    ///
    /// # Errors
    /// [`WireError`] for anything that `giot.cddl` does not describe; whether records follow each other is left to
    /// [`Records::is_contiguous`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        check_version(bytes)?;
        let frame: Frame = decode_whole(bytes)?;
        match (frame.hello, frame.records, frame.answer) {
            (Some(hello), None, None) => Ok(Self::Hello(hello.into())),
            (None, Some(records), None) => Ok(Self::Records(records)),
            (None, None, Some(answer)) => Ok(Self::Answer(answer.into())),
            _ => Err(WireError::UnknownKind),
        }
    }
}

impl Records {
    /// The position of the last record: what an Ack of this message names.
    #[must_use]
    pub fn last(&self) -> Position {
        let seq = self.records.last().map_or(self.after.seq, Record::last_seq);
        Position { epoch: self.epoch, seq }
    }

    /// Whether the rules of a run hold: at least one record, rising without gaps, directly after `after`.
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        if self.records.is_empty() || self.after.epoch > self.epoch {
            return false;
        }
        let mut next = if self.after.epoch == self.epoch { self.after.seq.checked_add(1) } else { Some(1) };
        for record in &self.records {
            if next != Some(record.seq) || record.last_seq() < record.seq {
                return false;
            }
            next = record.last_seq().checked_add(1);
        }
        true
    }

    /// Bytes that the message takes before its first record, at most.
    pub const HEAD_LEN_MAX: usize = 32;
}

impl Record {
    /// The last count that the record stands for: its own, or the end of a lost run.
    #[must_use]
    pub const fn last_seq(&self) -> u32 {
        match &self.body {
            Body::Lost(lost) => lost.to,
            Body::Reading(_) | Body::Valve(_) | Body::Health(_) | Body::Settings(_) | Body::Unknown => {
                self.seq
            }
        }
    }

    /// Longest encoding of one record, bytes: the close of a valve with every number at its largest.
    pub const LEN_MAX: usize = 52;

    /// Writes the record alone, as a flash outbox keeps it.
    ///
    /// # Errors
    /// [`BufferFull`] when `buffer` is shorter than the record; [`Self::LEN_MAX`] is always enough.
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferFull> {
        encode_into(self, buffer)
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`WireError::Malformed`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        decode_whole(bytes)
    }
}

// ---- CBOR forms. Integers as keys; the public types above stay free of encoding concerns. ----

#[derive(Decode)]
#[cbor(map)]
struct Frame {
    #[n(1)]
    hello: Option<HelloForm>,
    #[n(2)]
    records: Option<Records>,
    #[n(3)]
    answer: Option<AnswerForm>,
}

impl<C> Encode<C> for Uplink {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.map(2)?.u8(0)?.u8(VERSION)?;
        match self {
            Self::Hello(hello) => e.u8(1)?.encode_with(HelloForm::from(hello), ctx)?.ok(),
            Self::Records(records) => e.u8(2)?.encode_with(records, ctx)?.ok(),
            Self::Answer(answer) => e.u8(3)?.encode_with(AnswerForm::from(answer), ctx)?.ok(),
        }
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct HelloForm {
    #[n(0)]
    nonce: u64,
    #[n(1)]
    epoch: u32,
    #[n(2)]
    uptime: u64,
    #[n(3)]
    released_epoch: u32,
    #[n(4)]
    released_seq: u32,
    #[n(5)]
    counter: u64,
    #[n(6)]
    reset: ResetCause,
    #[n(7)]
    #[cbor(encode_with = "text::encode", decode_with = "text::decode")]
    firmware: heapless::String<16>,
    #[n(8)]
    #[cbor(encode_with = "list::encode", decode_with = "list::decode")]
    valves: heapless::Vec<ValveForm, VALVES_MAX>,
    #[n(9)]
    clock: Option<i64>,
    // 10 is in the golden file of a newer Hello.
    #[n(11)]
    drift_ms: Option<u32>,
    #[n(12)]
    ended: Option<SomeOf<EndedForm, ENDED_MAX>>,
    #[n(13)]
    unmet: Option<SomeOf<UnmetForm, UNMET_MAX>>,
}

/// A list that is left out when it is empty.
struct SomeOf<T, const N: usize>(heapless::Vec<T, N>);

impl<T, const N: usize> SomeOf<T, N> {
    fn of(items: impl ExactSizeIterator<Item = T>) -> Option<Self> {
        (items.len() > 0).then(|| Self(items.collect()))
    }

    fn items(list: Option<Self>) -> heapless::Vec<T, N> {
        list.map_or_else(heapless::Vec::new, |list| list.0)
    }
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct EndedForm {
    #[n(0)]
    epoch: u32,
    #[n(1)]
    last: u64,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct UnmetForm {
    #[n(0)]
    epoch: u32,
    #[n(1)]
    cause: ResetCause,
}

impl<C, T: Encode<C>, const N: usize> Encode<C> for SomeOf<T, N> {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        list::encode(&self.0, e, ctx)
    }
}

impl<'b, C, T: Decode<'b, C>, const N: usize> Decode<'b, C> for SomeOf<T, N> {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        list::decode(d, ctx).map(Self)
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct ValveForm {
    #[n(0)]
    valve: u8,
    #[n(1)]
    open: bool,
    #[n(2)]
    command: Option<u64>,
    #[n(3)]
    remaining_s: u32,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct AnswerForm {
    #[n(0)]
    command: Option<u64>,
    #[n(1)]
    refused: Option<RefusalReason>,
    #[n(2)]
    uptime: u64,
}

impl From<&Hello> for HelloForm {
    fn from(hello: &Hello) -> Self {
        Self {
            nonce: hello.nonce,
            epoch: hello.epoch,
            uptime: hello.uptime.0,
            released_epoch: hello.released.epoch,
            released_seq: hello.released.seq,
            counter: hello.counter,
            reset: hello.reset,
            firmware: hello.firmware.clone(),
            valves: hello
                .valves
                .iter()
                .map(|v| ValveForm {
                    valve: v.valve.0,
                    open: v.open,
                    command: v.command.map(|c| c.0),
                    remaining_s: v.remaining_s,
                })
                .collect(),
            clock: hello.clock.map(|c| c.0),
            drift_ms: Some(hello.drift_ms).filter(|ms| *ms > 0),
            ended: SomeOf::of(hello.ended.iter().map(|one| EndedForm { epoch: one.epoch, last: one.last.0 })),
            unmet: SomeOf::of(hello.unmet.iter().map(|one| UnmetForm { epoch: one.epoch, cause: one.cause })),
        }
    }
}

impl From<HelloForm> for Hello {
    fn from(form: HelloForm) -> Self {
        Self {
            nonce: form.nonce,
            epoch: form.epoch,
            uptime: UptimeMs(form.uptime),
            released: Position { epoch: form.released_epoch, seq: form.released_seq },
            counter: form.counter,
            reset: form.reset,
            firmware: form.firmware,
            valves: form
                .valves
                .iter()
                .map(|v| ValveReport {
                    valve: ValveId(v.valve),
                    open: v.open,
                    command: v.command.map(CommandId),
                    remaining_s: v.remaining_s,
                })
                .collect(),
            clock: form.clock.map(UnixMs),
            drift_ms: form.drift_ms.unwrap_or(0),
            ended: SomeOf::items(form.ended)
                .iter()
                .map(|one| EndedEpoch { epoch: one.epoch, last: UptimeMs(one.last) })
                .collect(),
            unmet: SomeOf::items(form.unmet)
                .iter()
                .map(|one| UnmetBoot { epoch: one.epoch, cause: one.cause })
                .collect(),
        }
    }
}

impl From<&Answer> for AnswerForm {
    fn from(answer: &Answer) -> Self {
        Self { command: answer.command.map(|c| c.0), refused: answer.refused, uptime: answer.uptime.0 }
    }
}

impl From<AnswerForm> for Answer {
    fn from(form: AnswerForm) -> Self {
        Self { command: form.command.map(CommandId), refused: form.refused, uptime: UptimeMs(form.uptime) }
    }
}

#[derive(Decode)]
#[cbor(map)]
struct RecordsForm {
    #[n(0)]
    epoch: u32,
    #[n(1)]
    after_epoch: u32,
    #[n(2)]
    after_seq: u32,
    #[n(3)]
    #[cbor(decode_with = "list::decode")]
    records: heapless::Vec<Record, RECORDS_MAX>,
}

impl<C> Encode<C> for Records {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.map(4)?.u8(0)?.u32(self.epoch)?.u8(1)?.u32(self.after.epoch)?.u8(2)?.u32(self.after.seq)?.u8(3)?;
        list::encode(&self.records, e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for Records {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let form = RecordsForm::decode(d, ctx)?;
        if form.records.is_empty() {
            return Err(minicbor::decode::Error::message("no record"));
        }
        Ok(Self {
            epoch: form.epoch,
            after: Position { epoch: form.after_epoch, seq: form.after_seq },
            records: form.records,
        })
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct RecordForm {
    #[n(0)]
    seq: u32,
    #[n(1)]
    uptime: u64,
    #[n(2)]
    reading: Option<ReadingForm>,
    #[n(3)]
    valve: Option<ValveEventForm>,
    #[n(4)]
    health: Option<HealthForm>,
    #[n(5)]
    lost: Option<u32>,
    #[n(7)]
    settings: Option<SettingsForm>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct ReadingForm {
    #[n(0)]
    probe: u8,
    #[n(1)]
    metric: u8,
    #[n(2)]
    value: Option<i32>,
    #[n(3)]
    raw: Option<i32>,
    #[n(4)]
    flaw: Option<Flaw>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct ValveEventForm {
    #[n(0)]
    valve: u8,
    #[n(1)]
    open: bool,
    #[n(2)]
    command: Option<u64>,
    #[n(3)]
    closed_by: Option<CloseReason>,
    #[n(4)]
    run_ms: Option<u64>,
    #[n(5)]
    volume_ml: Option<u32>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct SettingsForm {
    #[n(0)]
    command: u64,
    #[n(1)]
    outcome: SettingsOutcome,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct HealthForm {
    #[n(0)]
    supply_mv: Option<u16>,
    #[n(1)]
    waiting: u32,
    #[n(2)]
    signal_dbm: Option<i8>,
}

impl<C> Encode<C> for Record {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let mut form = RecordForm {
            seq: self.seq,
            uptime: self.uptime.0,
            reading: None,
            valve: None,
            health: None,
            lost: None,
            settings: None,
        };
        match &self.body {
            Body::Reading(r) => {
                form.reading = Some(ReadingForm {
                    probe: r.probe,
                    metric: r.metric,
                    value: r.value,
                    raw: r.raw,
                    flaw: r.flaw,
                });
            }
            Body::Valve(v) => {
                form.valve = Some(ValveEventForm {
                    valve: v.valve.0,
                    open: v.open,
                    command: v.command.map(|c| c.0),
                    closed_by: v.closed_by,
                    run_ms: v.run_ms,
                    volume_ml: v.volume.map(|v| v.0),
                });
            }
            Body::Health(h) => {
                form.health = Some(HealthForm {
                    supply_mv: h.supply.map(|v| v.0),
                    waiting: h.waiting,
                    signal_dbm: h.signal_dbm,
                });
            }
            Body::Lost(lost) => form.lost = Some(lost.to),
            Body::Settings(s) => {
                form.settings = Some(SettingsForm { command: s.command.0, outcome: s.outcome });
            }
            Body::Unknown => {
                // The place in the count, and a part that nobody knows.
                e.map(3)?.u8(0)?.u32(self.seq)?.u8(1)?.u64(self.uptime.0)?;
                return e.u16(UNKNOWN_BODY_KEY)?.null()?.ok();
            }
        }
        form.encode(e, ctx)
    }
}

/// Under this key a record whose kind was not known is written again; no kind will ever have it.
const UNKNOWN_BODY_KEY: u16 = u16::MAX;

impl<'b, C> Decode<'b, C> for Record {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        // Count, uptime and one part more: a kind that a newer node knows.
        let has_more = d.probe().map()?.is_some_and(|n_entries| n_entries > 2);
        let form = RecordForm::decode(d, ctx)?;
        let body = match (form.reading, form.valve, form.health, form.lost, form.settings) {
            (Some(r), None, None, None, None) => Body::Reading(Reading {
                probe: r.probe,
                metric: r.metric,
                value: r.value,
                raw: r.raw,
                flaw: r.flaw,
            }),
            (None, Some(v), None, None, None) => Body::Valve(ValveEvent {
                valve: ValveId(v.valve),
                open: v.open,
                command: v.command.map(CommandId),
                closed_by: v.closed_by,
                run_ms: v.run_ms,
                volume: v.volume_ml.map(Millilitres),
            }),
            (None, None, Some(h), None, None) => Body::Health(Health {
                supply: h.supply_mv.map(Millivolts),
                waiting: h.waiting,
                signal_dbm: h.signal_dbm,
            }),
            (None, None, None, Some(to), None) => Body::Lost(Lost { to }),
            (None, None, None, None, Some(s)) => {
                Body::Settings(SettingsEvent { command: CommandId(s.command), outcome: s.outcome })
            }
            (None, None, None, None, None) if has_more => Body::Unknown,
            _ => return Err(minicbor::decode::Error::message("a record has exactly one body")),
        };
        Ok(Self { seq: form.seq, uptime: UptimeMs(form.uptime), body })
    }
}

/// Fixed-capacity text as a CBOR text string.
mod text {
    use minicbor::{Decoder, Encoder};

    pub(super) fn encode<C, W: minicbor::encode::Write, const N: usize>(
        text: &heapless::String<N>,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(text)?.ok()
    }

    pub(super) fn decode<C, const N: usize>(
        d: &mut Decoder<'_>,
        _: &mut C,
    ) -> Result<heapless::String<N>, minicbor::decode::Error> {
        heapless::String::try_from(d.str()?).map_err(|_| minicbor::decode::Error::message("text too long"))
    }
}

/// Fixed-capacity list as a definite CBOR array.
mod list {
    use minicbor::{Decode, Decoder, Encode, Encoder};

    pub(super) fn encode<C, W: minicbor::encode::Write, T: Encode<C>, const N: usize>(
        items: &heapless::Vec<T, N>,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(items.len() as u64)?;
        for item in items {
            item.encode(e, ctx)?;
        }
        Ok(())
    }

    pub(super) fn decode<'b, C, T: Decode<'b, C>, const N: usize>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<heapless::Vec<T, N>, minicbor::decode::Error> {
        let count = d.array()?.ok_or_else(|| minicbor::decode::Error::message("array without length"))?;
        let mut items = heapless::Vec::new();
        for _ in 0..count {
            let item = T::decode(d, ctx)?;
            items.push(item).map_err(|_| minicbor::decode::Error::message("too many items"))?;
        }
        Ok(items)
    }
}

const _: () = assert!(PAYLOAD_LEN_MAX >= Records::HEAD_LEN_MAX + Record::LEN_MAX, "a message holds a record");
