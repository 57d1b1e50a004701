//! A node as the wire promises it: it obeys in order and in time or refuses, closes by itself, closes at every loss of
//! power, and keeps every record until the gateway says that it is stored.
//!
//! Written from the contract, not from the firmware, so that it can judge the engine. It knows nothing of the link: what
//! it says, the season carries.

use std::collections::VecDeque;

use giot_shared::ids::{CommandId, Position, ValveId};
use giot_shared::time::{Anchor, UnixMs, UptimeMs};
use giot_shared::valve::{CloseReason, RefusalReason};
use giot_shared::wire::{
    Body, Hello, Lost, RECORDS_MAX, Record, Records, ResetCause, ValveEvent, ValveReport,
};

use super::field::millilitres;

/// How long a node keeps a zone's valve open at the most, whatever it is asked for: the default of the settings. The outputs of
/// pumps and master valves, which are on for as long as any zone is, are set to none.
const HARD_MAX_MS: u64 = 2 * 3600 * 1000;

/// The same where its owner set it so: longer than any run of the season.
const LONG_HARD_MAX_MS: u64 = 4 * 3600 * 1000;

/// How far ahead of the node's clock an order may be dated, ms.
const SKEW_MS: u64 = 60_000;

/// A Welcome that took longer sets no clock, ms.
const WELCOME_MS_MAX: u64 = 120_000;

/// Readings that its flash holds: about two days of the zones with the most probes.
const READINGS_MAX: usize = 300;

/// Batches that may be on their way at a time: what the firmware's link allows.
const WINDOW: usize = 4;

/// Readings that an overfull outbox gives up at a time, as a flash erases whole pages.
const READINGS_DROPPED: usize = 24;

/// An order on its way to a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) command: CommandId,
    pub(super) counter: u64,
    pub(super) line_idx: usize,
    /// Lease, seconds, time of issue and time to live, seconds; `None`: a Close.
    pub(super) open: Option<(u32, UnixMs, u32)>,
    /// With the water after which it closes, ml.
    pub(super) volume_ml: Option<u64>,
    /// When it was really sent.
    pub(super) sent_ms: u64,
    /// Whether the clock was right that dated it.
    pub(super) is_clock_right: bool,
}

/// The valve's run as the node has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) command: Option<CommandId>,
    pub(super) opened_ms: u64,
    pub(super) until_ms: u64,
    /// When its own maximum closes it.
    hard_ends_ms: u64,
    /// Since when it is open under a command.
    pub(super) commanded_ms: Option<u64>,
    /// What the meter had counted before.
    pub(super) meter_ml: u64,
    /// What it shows when the run has had enough.
    pub(super) enough_at_ml: Option<u64>,
}

impl Run {
    /// Why it ends at this moment, when its meter shows so much; `None`: it goes on.
    pub(super) fn ended_by(&self, now_ms: u64, meter_ml: u64) -> Option<CloseReason> {
        if self.enough_at_ml.is_some_and(|enough_ml| meter_ml >= enough_ml) {
            return Some(CloseReason::VolumeReached);
        }
        let why = if self.until_ms >= self.hard_ends_ms {
            CloseReason::HardMaximum
        } else {
            CloseReason::LeaseEnded
        };
        (self.until_ms <= now_ms).then_some(why)
    }
}

/// The node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) runs: Vec<Option<Run>>,
    pub(super) is_powered: bool,
    /// Whether its radio reaches the gateway's place.
    pub(super) is_linked: bool,
    /// The number of its connection; `None`: it has none.
    pub(super) session: Option<u32>,
    pub(super) epoch: u32,
    pub(super) boot_ms: u64,
    pub(super) outbox: VecDeque<(u32, Record)>,
    pub(super) released: Position,
    /// Readings that the outbox had to give up.
    pub(super) n_lost: u64,
    /// By valve: water of all closed runs that was measured and told.
    pub(super) told_ml: Vec<u64>,
    n_readings: usize,
    /// The last records of the batches in flight.
    in_flight: VecDeque<Position>,
    /// What is in flight is given up then.
    pub(super) sending_until_ms: Option<u64>,
    n_sessions: u32,
    next_seq: u32,
    counter: u64,
    anchor: Option<Anchor>,
    /// By how much the anchor may be behind: how long its Welcome can have been on its way.
    anchor_late_ms: u64,
    pub(super) hello_ms: u64,
    nonce: u64,
    is_welcomed: bool,
    /// Whether the time that it was told was right.
    pub(super) is_clock_right: bool,
    /// How long it keeps a valve open at the most.
    hard_max_ms: u64,
    /// How much its clock runs fast, 1/1 000 000.
    drift_ppm: i64,
    /// Runs that a loss of power cut short.
    cut: Vec<(usize, Option<CommandId>)>,
}

impl Node {
    pub(super) fn new(n_lines: usize, drift_ppm: i64, is_long: bool) -> Self {
        Self {
            hard_max_ms: if is_long { LONG_HARD_MAX_MS } else { HARD_MAX_MS },
            runs: vec![None; n_lines],
            is_powered: true,
            is_linked: true,
            session: None,
            epoch: 1,
            boot_ms: 0,
            outbox: VecDeque::new(),
            released: Position::default(),
            n_lost: 0,
            told_ml: vec![0; n_lines],
            n_readings: 0,
            in_flight: VecDeque::new(),
            sending_until_ms: None,
            n_sessions: 0,
            next_seq: 1,
            counter: 0,
            anchor: None,
            anchor_late_ms: 0,
            hello_ms: 0,
            nonce: 0,
            is_welcomed: false,
            is_clock_right: false,
            drift_ppm,
            cut: Vec::new(),
        }
    }

    pub(super) fn uptime(&self, now_ms: u64) -> UptimeMs {
        let true_ms = now_ms.saturating_sub(self.boot_ms);
        let drift_ms = i64::try_from(true_ms).unwrap_or(i64::MAX).saturating_mul(self.drift_ppm) / 1_000_000;
        UptimeMs(true_ms.saturating_add_signed(drift_ms))
    }

    /// When a record was really made, by the node's own clock.
    pub(super) fn true_ms(&self, uptime: UptimeMs) -> u64 {
        self.boot_ms.saturating_add(uptime.0)
    }

    pub(super) fn record(&mut self, now_ms: u64, body: Body) {
        if self.is_powered {
            self.n_readings += usize::from(matches!(body, Body::Reading(_)));
            let record = Record { seq: self.next_seq, uptime: self.uptime(now_ms), body };
            self.outbox.push_back((self.epoch, record));
            self.next_seq += 1;
            if self.n_readings > READINGS_MAX {
                self.drop_readings();
            }
        }
    }

    /// Gives up the oldest readings, never a valve event; what is gone stands as one record a gap.
    fn drop_readings(&mut self) {
        let mut n_left = READINGS_DROPPED;
        let mut kept: VecDeque<(u32, Record)> = VecDeque::with_capacity(self.outbox.len());
        for (epoch, mut record) in std::mem::take(&mut self.outbox) {
            if n_left > 0 && matches!(record.body, Body::Reading(_)) {
                n_left -= 1;
                self.n_readings -= 1;
                self.n_lost += 1;
                record.body = Body::Lost(Lost { to: record.seq });
            }
            match (kept.back_mut(), &record.body) {
                (Some((of, Record { body: Body::Lost(gap), .. })), Body::Lost(lost))
                    if *of == epoch && gap.to + 1 == record.seq =>
                {
                    gap.to = lost.to;
                }
                _ => kept.push_back((epoch, record)),
            }
        }
        self.outbox = kept;
    }

    /// The last record of the present epoch.
    pub(super) fn last_seq(&self) -> u32 {
        self.next_seq - 1
    }

    /// Power is lost: every valve closes, what only memory held is gone.
    pub(super) fn power_off(&mut self) {
        self.is_powered = false;
        self.session = None;
        self.anchor = None;
        self.is_welcomed = false;
        self.give_up_sending();
        for (line_idx, run) in self.runs.iter_mut().enumerate() {
            if let Some(run) = run.take() {
                self.cut.push((line_idx, run.command));
            }
        }
    }

    /// Power is back: a new epoch, all valves closed, and a record for each run that was cut short.
    pub(super) fn boot(&mut self, now_ms: u64) {
        self.is_powered = true;
        self.epoch += 1;
        self.boot_ms = now_ms;
        self.next_seq = 1;
        for (line_idx, command) in std::mem::take(&mut self.cut) {
            let event = ValveEvent {
                valve: valve_id(line_idx),
                open: false,
                command,
                closed_by: Some(CloseReason::Boot),
                run_ms: None,
                volume: None,
            };
            self.record(now_ms, Body::Valve(event));
        }
    }

    /// A connection begins with a Hello; with its number.
    pub(super) fn connect(&mut self, now_ms: u64) -> (Hello, u32) {
        self.n_sessions += 1;
        self.session = Some(self.n_sessions);
        self.is_welcomed = false;
        self.give_up_sending();
        (self.hello(now_ms), self.n_sessions)
    }

    pub(super) fn hello(&mut self, now_ms: u64) -> Hello {
        self.nonce += 1;
        self.hello_ms = now_ms;
        let report = |(line_idx, run): (usize, &Option<Run>)| ValveReport {
            valve: valve_id(line_idx),
            open: run.is_some(),
            command: run.and_then(|run| run.command),
            remaining_s: 0,
        };
        Hello {
            nonce: self.nonce,
            epoch: self.epoch,
            uptime: self.uptime(now_ms),
            released: self.released,
            counter: self.counter,
            reset: ResetCause::PowerOn,
            firmware: Default::default(),
            valves: self.runs.iter().enumerate().map(report).collect(),
            clock: None,
            drift_ms: 0,
            ended: Default::default(),
            unmet: Default::default(),
        }
    }

    pub(super) fn welcome(
        &mut self,
        now_ms: u64,
        nonce: u64,
        unix: Option<UnixMs>,
        stored: Position,
        is_clock_right: bool,
    ) {
        if nonce != self.nonce {
            return;
        }
        let late_ms = now_ms.saturating_sub(self.hello_ms);
        if let Some(unix) = unix.filter(|_| late_ms <= WELCOME_MS_MAX) {
            self.anchor = Some(Anchor::new(self.uptime(now_ms), unix));
            self.anchor_late_ms = late_ms;
            self.is_clock_right = is_clock_right;
        }
        self.is_welcomed = true;
        self.release(stored);
    }

    /// Whether this connection has been welcomed and the time is known.
    pub(super) fn knows_time(&self) -> bool {
        self.is_welcomed && self.anchor.is_some()
    }

    /// The gateway has stored everything up to here.
    pub(super) fn release(&mut self, stored: Position) {
        while let Some((epoch, record)) = self.outbox.front() {
            let position = Position { epoch: *epoch, seq: record.last_seq() };
            if position > stored {
                break;
            }
            self.released = position;
            self.n_readings -= usize::from(matches!(record.body, Body::Reading(_)));
            self.outbox.pop_front();
        }
        self.in_flight.retain(|last| *last > stored);
        if self.in_flight.is_empty() {
            self.sending_until_ms = None;
        }
    }

    /// What is in flight counts as lost.
    pub(super) fn give_up_sending(&mut self) {
        self.in_flight.clear();
        self.sending_until_ms = None;
    }

    /// The next batch of records, where there is one and room for it. Behind a batch in flight only a full one goes.
    pub(super) fn batch(&mut self, now_ms: u64) -> Option<Box<Records>> {
        if self.sending_until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
            self.give_up_sending();
        }
        if self.session.is_none() || !self.is_welcomed || self.in_flight.len() >= WINDOW {
            return None;
        }
        let after = self.in_flight.back().copied().unwrap_or(self.released);
        let position = |epoch: u32, record: &Record| Position { epoch, seq: record.last_seq() };
        let first = self.outbox.partition_point(|(epoch, record)| position(*epoch, record) <= after);
        let (epoch, _) = self.outbox.get(first)?;
        if !self.in_flight.is_empty() && self.outbox.len() - first < RECORDS_MAX {
            return None;
        }
        let of_epoch = self.outbox.iter().skip(first).take_while(|(of, _)| of == epoch).take(RECORDS_MAX);
        let mut batch = Box::new(Records { epoch: *epoch, after, records: Default::default() });
        // There is room: so many were taken.
        batch.records.extend(of_epoch.map(|(_, record)| record.clone()));
        self.in_flight.push_back(batch.last());
        Some(batch)
    }

    /// Why an order is refused, `None` when it is obeyed. A counter that is new is burnt whatever becomes of the order.
    pub(super) fn refusal(&mut self, now_ms: u64, order: &Order) -> Option<RefusalReason> {
        if order.counter <= self.counter {
            return Some(RefusalReason::Replayed);
        }
        self.counter = order.counter;
        let (_, issued_at, ttl_s) = order.open?;
        let Some(anchor) = self.anchor else { return Some(RefusalReason::NotAnchored) };
        let unix = anchor.date(self.uptime(now_ms));
        let is_early = unix < issued_at.minus_ms(SKEW_MS);
        let is_late = unix.plus_ms(self.anchor_late_ms) > issued_at.plus_ms(u64::from(ttl_s) * 1000);
        (is_early || is_late).then_some(RefusalReason::Expired)
    }

    /// Opens a valve under a command, or renews its lease; by hand without a command. `volume_ml` from here on are enough.
    pub(super) fn open(
        &mut self,
        now_ms: u64,
        line_idx: usize,
        command: Option<CommandId>,
        (run_s, volume_ml): (u32, Option<u64>),
        meter_ml: u64,
    ) {
        let until_ms = now_ms.saturating_add(u64::from(run_s) * 1000);
        let hard_ends_ms = now_ms.saturating_add(self.hard_max_ms);
        let Some(place) = self.runs.get_mut(line_idx) else { return };
        let run = place.get_or_insert(Run {
            command,
            opened_ms: now_ms,
            until_ms,
            hard_ends_ms,
            commanded_ms: None,
            meter_ml,
            enough_at_ml: None,
        });
        run.enough_at_ml = volume_ml.map(|volume_ml| meter_ml + volume_ml);
        run.until_ms = until_ms.min(run.hard_ends_ms);
        if command.is_some() {
            run.command = command;
            run.commanded_ms.get_or_insert(now_ms);
        }
        let event = ValveEvent {
            valve: valve_id(line_idx),
            open: true,
            command,
            closed_by: None,
            run_ms: None,
            volume: None,
        };
        self.record(now_ms, Body::Valve(event));
    }

    /// Closes a valve and tells what was measured; `None` when it was closed.
    pub(super) fn close(
        &mut self,
        now_ms: u64,
        line_idx: usize,
        why: CloseReason,
        meter_ml: u64,
    ) -> Option<Run> {
        let run = self.runs.get_mut(line_idx)?.take()?;
        let volume = millilitres(meter_ml.saturating_sub(run.meter_ml));
        if let Some(told_ml) = self.told_ml.get_mut(line_idx) {
            *told_ml += u64::from(volume.0);
        }
        let event = ValveEvent {
            valve: valve_id(line_idx),
            open: false,
            command: run.command,
            closed_by: Some(why),
            run_ms: Some(now_ms.saturating_sub(run.opened_ms)),
            volume: Some(volume),
        };
        self.record(now_ms, Body::Valve(event));
        Some(run)
    }
}

fn valve_id(line_idx: usize) -> ValveId {
    ValveId(u8::try_from(line_idx).unwrap_or(u8::MAX))
}
