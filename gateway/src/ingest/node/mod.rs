//! Giọt nodes: which records are due, which are repeats, and what time it was. One [`NodeState`] a node; pure.
//!
//! **Exactly once (P2).** Records come in runs that name the position before them. A run is taken only when everything
//! up to that position was received, and only what lies beyond is new; so a repeat, a resend or a doubled message adds
//! nothing, and a missing one shows as a gap instead of being jumped over. `received` runs ahead of `stored`, which moves
//! when the store has committed; only `stored` is ever acknowledged (P1).
//!
//! **True time.** An epoch is anchored by the Hello that met the gateway in it, or by the node's own battery-backed
//! clock where the registry trusts it. An epoch that never met anybody lies between its neighbours: it is placed in the middle of
//! where it can lie, or each of its records is where nobody knows how long it lasted, and says by how much it may be off (`dating`).
//!
//! **True age.** How old a reading is when it comes in is counted beside the date, on the node's uptime and the gateway's
//! monotonic line (`line`): a date hangs on clocks that may have been wrong or may jump. The age of a record of an earlier
//! epoch, or of a node that has not said Hello since the gateway's start, is not known.

mod dating;
mod line;

use crate::ingest::{Sample, series_name};
use crate::quality::Quality;
use dating::{CROWDED_MS, DRIFT_ASLEEP_PPM, DRIFT_PPM, HELLO_UNCERTAINTY_MS, Place};
use giot_engine::{Age, Input, ValveRef};
use giot_shared::ids::{CommandId, Position, ValveId};
use giot_shared::metric::Metric;
use giot_shared::time::{Anchor, MonoMs, UnixMs, UptimeMs};
use giot_shared::units::Millilitres;
use giot_shared::valve::CloseReason;
use giot_shared::wire::{Body, Health, Hello, Reading, Record, Records, ResetCause, SettingsEvent};
use line::UptimeLine;
use std::collections::BTreeMap;

pub use dating::{Dating, Fit, Whole};

/// Anchors kept per node: older epochs were released long ago.
const ANCHORS_MAX: usize = 64;

/// A valve event this old tells history, not the present state of the valve.
const LIVE_MAX_MS: u64 = 120_000;

/// Boots in a row that get such a room each.
const CROWDED_MAX: u32 = 64;

/// What the gateway knows of one node's records.
#[derive(Clone, Debug, Default)]
pub struct NodeState {
    /// The node's own clock dates its records.
    pub own_clock: bool,
    /// Registered then: no record is older.
    pub registered_at: UnixMs,
    /// Boot counter of the last Hello.
    pub epoch: Option<u32>,
    /// Everything up to here was handed to the store.
    pub received: Option<Position>,
    /// Everything up to here is on disk.
    pub stored: Option<Position>,
    /// Time of the newest record taken so far.
    pub newest: Option<UnixMs>,
    /// No record of a later epoch happened before this: the newest one, less what its time may be off.
    pub floor: Option<UnixMs>,
    datings: BTreeMap<u32, Dating>,
    /// How long earlier epochs lasted, as the node told at its last Hello.
    ended: BTreeMap<u32, UptimeMs>,
    /// Uptime at which an epoch was heard last other than by its records: it lasted no shorter.
    heard_at: BTreeMap<u32, UptimeMs>,
    /// It sleeps between samples, so that its boots count their time by a poor clock.
    sleeps: bool,
    /// Uptime of the last Hello: the present epoch was anchored no later.
    greeted_at: Option<UptimeMs>,
    /// The latest that the gateway's clock was heard to show.
    heard_until: Option<UnixMs>,
    /// Of the present epoch, once it was heard since the gateway's start.
    line: Option<UptimeLine>,
}

/// The moment at which a node was heard.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// Civil time; `None` while the gateway's clock is not set.
    pub wall: Option<UnixMs>,
    /// The monotonic line.
    pub mono: MonoMs,
}

/// What a Hello means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// Welcome; `dating` is new knowledge to keep.
    Welcome {
        /// Up to here everything is on disk.
        stored: Position,
        /// The epoch's dating, where it could be made.
        dating: Option<Dating>,
        /// The node released records that this gateway never stored (its data folder is older than the node).
        missing: bool,
    },
    /// The node counts epochs from anew: its flash was replaced, and its records would be taken for repeats.
    CounterWentBack {
        /// The highest epoch on disk.
        stored: Position,
    },
}

/// What to do with a run of records.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing new in it.
    Repeat,
    /// Records before it are missing: the node has to go back.
    Gap,
    /// Its epoch cannot be dated yet, because the gateway's own clock is not set.
    Undated,
    /// Broken rules of a run.
    Malformed,
    /// New records.
    Take(Taken),
}

/// The new records of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// Values of probes and of the node's own state.
    pub samples: Vec<Sample>,
    /// Valve events.
    pub valves: Vec<DatedValve>,
    /// Runs of lost readings.
    pub lost: Vec<LostRun>,
    /// The position before the first of them.
    pub after: Position,
    /// The position of the last of them.
    pub last: Position,
    /// The dating of an epoch that had none, made from its neighbours, or that says now that it may be off by more.
    pub new_dating: Option<Dating>,
    /// What became of settings that this gateway sent.
    pub settings: Vec<SettingsEvent>,
    /// Records that a newer firmware sent and this version does not know.
    pub n_unknown: usize,
}

/// Records that a node gave up because its memory was full, as far as they had not come already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostRun {
    /// The first of them.
    pub first: Position,
    /// The last of them.
    pub last: Position,
    /// When the newest record before them was made.
    pub after: UnixMs,
    /// They were made before then.
    pub before: UnixMs,
}

impl LostRun {
    /// How many they are.
    #[must_use]
    pub const fn n_records(&self) -> u32 {
        self.last.seq.saturating_sub(self.first.seq).saturating_add(1)
    }
}

/// A valve event with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatedValve {
    /// Position of the record.
    pub position: Position,
    /// When it happened.
    pub at: UnixMs,
    /// The true time lies within plus or minus this.
    pub uncertainty_ms: u64,
    /// Recent enough to tell the present state.
    pub live: bool,
    /// Which valve.
    pub valve: ValveId,
    /// Opened, or closed.
    pub open: bool,
    /// The command behind it.
    pub command: Option<CommandId>,
    /// On closing: why.
    pub closed_by: Option<CloseReason>,
    /// On closing: how long it was open.
    pub run_ms: u64,
    /// On closing: what the meter counted.
    pub volume: Option<Millilitres>,
    /// How many samples of the same run of records were made before it.
    pub n_samples_before: usize,
}

impl DatedValve {
    /// What the engine hears of it.
    #[must_use]
    pub fn input<'a>(&self, valve: &'a ValveRef) -> Input<'a> {
        let Self { open, command, closed_by, run_ms, volume, live, .. } = *self;
        Input::ValveState { valve, open, command, closed_by, run_ms, volume, live }
    }
}

impl Taken {
    /// The valve events in their order, each with the samples that were made since the one before; at last the samples after all.
    pub fn in_order(&self) -> impl Iterator<Item = (&[Sample], Option<&DatedValve>)> {
        let mut n_done = 0;
        self.valves.iter().map(Some).chain([None]).map(move |valve| {
            let n_before = valve.map_or(self.samples.len(), |valve| valve.n_samples_before);
            let between = self.samples.get(n_done..n_before).unwrap_or_default();
            n_done = n_before;
            (between, valve)
        })
    }
}

impl NodeState {
    /// Restores an epoch's dating from the store.
    pub fn restore_dating(&mut self, epoch: u32, dating: Dating) {
        if dating.is_sure() {
            // The newest epoch that met the gateway is the present one, also when only the gateway has restarted.
            self.epoch = self.epoch.max(Some(epoch));
        }
        self.datings.insert(epoch, dating);
        while self.datings.len() > ANCHORS_MAX {
            self.datings.pop_first();
        }
    }

    /// Restores that it sleeps between samples.
    pub const fn restore_sleep(&mut self) {
        self.sleeps = true;
    }

    /// Whether it sleeps between samples, as far as it has told.
    #[must_use]
    pub const fn sleeps(&self) -> bool {
        self.sleeps
    }

    /// Restores the time of the newest record that was taken, after everything else.
    pub fn restore_newest(&mut self, newest: UnixMs) {
        self.newest = Some(newest);
        // It is of the last stored epoch, which may have been dated by its neighbours.
        let epoch = self.stored.map_or(0, |stored| stored.epoch);
        let dating = self.datings.get(&epoch);
        let surely = dating.map(|dating| {
            let uptime = dating.uptime_of(newest);
            dating.earliest(uptime).minus_ms(self.drift_ms(epoch, *dating, uptime))
        });
        self.floor = Some(surely.unwrap_or(newest));
    }

    /// A node has connected.
    pub fn handle_hello(&mut self, hello: &Hello, heard: Heard) -> Greeting {
        if let Some(stored) = self.stored
            && hello.epoch < stored.epoch
        {
            return Greeting::CounterWentBack { stored };
        }
        let missing = self.stored.is_some_and(|stored| stored < hello.released);
        if missing || self.stored.is_none() {
            self.stored = Some(hello.released);
        }
        let stored = self.stored.unwrap_or_default();
        // What was in flight on the old connection comes again or is committed: both are told apart by position.
        if self.received.is_none_or(|received| received < stored) {
            self.received = Some(stored);
        }
        self.epoch = Some(hello.epoch);
        self.greeted_at = Some(hello.uptime);
        self.ended = hello.ended.iter().map(|one| (one.epoch, one.last)).collect();
        self.heard_until = self.heard_until.max(heard.wall);
        self.sleeps |= hello.reset == ResetCause::Sleep || hello.drift_ms > 0;
        self.hear(hello.epoch, hello.uptime);
        match &mut self.line {
            Some(line) if line.epoch == hello.epoch => line.hear(hello.uptime, heard.mono),
            line => *line = Some(UptimeLine::new(hello.epoch, hello.uptime, heard.mono)),
        }
        let source = if self.own_clock { hello.clock.or(heard.wall) } else { heard.wall };
        let dating = source.map(|now| Dating {
            anchor: Anchor::new(hello.uptime, now),
            uncertainty_ms: HELLO_UNCERTAINTY_MS + u64::from(hello.drift_ms),
            fit: None,
        });
        let known = self.datings.get(&hello.epoch).copied();
        // The first anchor of an epoch stays: records of one epoch must not change order when clocks drift.
        let dating = match (known, dating) {
            (Some(known), _) if known.is_sure() => None,
            (_, fresh) => fresh,
        };
        if let Some(dating) = dating {
            self.restore_dating(hello.epoch, dating);
        }
        Greeting::Welcome { stored, dating, missing }
    }

    /// Whether the age of what is read now would be known.
    #[must_use]
    pub const fn has_line(&self) -> bool {
        self.line.is_some()
    }

    /// The node answered, at this uptime of its present epoch, what it was asked since the gateway's start. Behind an
    /// external broker that may be the first word of a node that never noticed the gateway's restart.
    pub fn handle_uptime(&mut self, uptime: UptimeMs, mono: MonoMs) {
        if let Some(epoch) = self.line.map(|line| line.epoch).or(self.epoch) {
            self.hear(epoch, uptime);
        }
        match (&mut self.line, self.epoch) {
            (Some(line), _) => line.hear(uptime, mono),
            (line, Some(epoch)) => *line = Some(UptimeLine::new(epoch, uptime, mono)),
            (None, None) => {}
        }
    }

    /// The store has committed everything up to `position`; true when that is news.
    pub fn handle_stored(&mut self, position: Position) -> bool {
        let news = self.stored.is_none_or(|stored| stored < position);
        if news {
            self.stored = Some(position);
        }
        news
    }

    /// The store has given up a batch: what was received but not stored has to come again.
    pub fn handle_not_stored(&mut self) {
        self.received = self.stored;
    }

    /// Judges a run of records. The moment tells how old they are, and so a live valve event from history.
    pub fn handle_records(&mut self, records: &Records, heard: Heard) -> Verdict {
        if !records.is_contiguous() {
            return Verdict::Malformed;
        }
        let received = self.received.unwrap_or_default();
        if records.last() <= received {
            return Verdict::Repeat;
        }
        if received < records.after {
            return Verdict::Gap;
        }
        self.heard_until = self.heard_until.max(heard.wall);
        let first_new = records
            .records
            .iter()
            .find(|record| Position { epoch: records.epoch, seq: record.last_seq() } > received);
        let (Some(first_new), Some(last)) = (first_new, records.records.last()) else {
            return Verdict::Repeat;
        };
        let (mut dating, mut new_dating) = match self.datings.get(&records.epoch) {
            Some(known) => (*known, None),
            None => match self.date_by_neighbours(records.epoch, first_new.uptime) {
                Some(guess) => {
                    self.restore_dating(records.epoch, guess);
                    (guess, Some(guess))
                }
                None => return Verdict::Undated,
            },
        };
        if let Some(wider) = dating.outgrown(last.uptime, self.drift_of_ms(last.uptime)) {
            self.restore_dating(records.epoch, wider);
            (dating, new_dating) = (wider, Some(wider));
            // What was known of the time before is wrong, and leaves no room to the epochs that follow it.
            let next = records.epoch.checked_add(1).and_then(|next| self.datings.range(next..).next());
            self.floor = self.floor.max(next.map(|(_, next)| next.anchor.unix_at_boot));
        }
        if let Some(line) = self.line_of(records.epoch) {
            line.hear(last.uptime, heard.mono);
        }
        let mut taken = Taken {
            samples: Vec::with_capacity(records.records.len()),
            valves: Vec::new(),
            lost: Vec::new(),
            after: received.max(records.after),
            last: records.last(),
            new_dating,
            settings: Vec::new(),
            n_unknown: 0,
        };
        for record in &records.records {
            let position = Position { epoch: records.epoch, seq: record.last_seq() };
            if position > received {
                self.take(record, records.epoch, dating, heard, &mut taken);
            }
        }
        self.received = Some(taken.last);
        Verdict::Take(taken)
    }

    /// An epoch that never met the gateway lies after everything before it and before the next anchored epoch's boot.
    fn date_by_neighbours(&self, epoch: u32, first: UptimeMs) -> Option<Dating> {
        let (next_epoch, next) = self.datings.range(epoch.checked_add(1)?..).next()?;
        let (end, n_boots) = (next.anchor.unix_at_boot, next_epoch - epoch);
        let floor = self.floor_of(epoch);
        let before = self.datings.range(..epoch).next_back();
        let is_void = before.is_some_and(|(_, dating)| dating.fit.is_some_and(|fit| fit.is_void));
        let end_off_ms = next.uncertainty_ms.saturating_add(self.drift_ms(*next_epoch, *next, UptimeMs(0)));
        let error_ms = end_off_ms.max(HELLO_UNCERTAINTY_MS + 1).saturating_add(self.drift_of_ms(first));
        if let Some(last) = self.ended.get(&epoch).copied().filter(|last| *last >= first && !is_void) {
            let later = self.ended.range(epoch.checked_add(1)?..*next_epoch);
            let later_ms = later.fold(0_u64, |sum, (_, last)| sum.saturating_add(last.0));
            let lasted = UptimeMs(last.0.saturating_add(later_ms));
            let error_ms = end_off_ms.max(HELLO_UNCERTAINTY_MS + 1).saturating_add(self.drift_of_ms(lasted));
            // The one before may have run ahead into its room.
            let ahead_ms = before.map_or(0, |(before, dating)| {
                let heard_at = self.heard_at.get(before).copied().unwrap_or_default();
                self.drift_ms(*before, *dating, heard_at)
            });
            let error_ms = error_ms.saturating_add(ahead_ms);
            let place = Place { floor, newest: self.newest, end, first, last, later_ms, error_ms };
            if let Some(whole) = Dating::whole(&place) {
                return Some(whole);
            }
        }
        let play_ms = end.since_ms(floor).saturating_sub(first.0);
        if floor.plus_ms(first.0).since_ms(end) > error_ms || (is_void && play_ms == 0) {
            return Some(Self::crowded(n_boots, end, end_off_ms, first));
        }
        if play_ms < error_ms.saturating_mul(2) {
            return Some(Dating::tight(n_boots.min(CROWDED_MAX), end, first, error_ms));
        }
        Some(Dating::between(floor, first, play_ms, end_off_ms))
    }

    /// No record of an epoch was made before this.
    fn floor_of(&self, epoch: u32) -> UnixMs {
        // Of many boots before it one may have been dated by a clock that was ahead: only the nearest counts.
        let before = self.datings.range(..epoch).next_back().map(|(before, dating)| {
            let heard_at = self.heard_at.get(before).copied().unwrap_or_default();
            let off_ms = self.drift_ms(*before, *dating, heard_at);
            dating.earliest(heard_at).minus_ms(off_ms)
        });
        self.floor.max(before).unwrap_or(self.registered_at)
    }

    fn hear(&mut self, epoch: u32, uptime: UptimeMs) {
        let heard_at = self.heard_at.entry(epoch).or_default();
        *heard_at = uptime.max(*heard_at);
        while self.heard_at.len() > ANCHORS_MAX {
            self.heard_at.pop_first();
        }
    }

    /// An epoch that has no room between its neighbours: the clock was set back between them, and only the later one is to be
    /// believed. `n_boots` before `end`, each of which gets a room of its own: alike as they are, their records must not meet.
    fn crowded(n_boots: u32, end: UnixMs, end_off_ms: u64, first: UptimeMs) -> Dating {
        let n_rooms = n_boots.min(CROWDED_MAX);
        let back_ms = u64::from(n_rooms) * CROWDED_MS + u64::from(n_boots - n_rooms);
        Dating {
            anchor: Anchor { unix_at_boot: end.minus_ms(back_ms).minus_ms(first.0) },
            uncertainty_ms: back_ms.max(first.0).saturating_add(end_off_ms),
            fit: Some(Fit::crowded(first)),
        }
    }

    /// How far a record's date may be off because the node's crystal is: for the whole time between it and the moment at which
    /// its epoch was anchored, which is not kept and lies within the epoch. One that met nobody counts from its boot.
    fn drift_ms(&self, epoch: u32, dating: Dating, uptime: UptimeMs) -> u64 {
        if dating.fit.is_some() {
            return self.drift_of_ms(uptime);
        }
        let lasted_ms = if self.epoch == Some(epoch) {
            // Not greeted since the gateway's start: no later than now.
            let until_now = || self.heard_until.map_or(0, |now| now.since_ms(dating.anchor.unix_at_boot));
            self.greeted_at.map_or_else(until_now, |at| at.0)
        } else {
            let boot = |dating: &Dating| dating.anchor.unix_at_boot;
            let next = epoch.checked_add(1).and_then(|next| self.datings.range(next..).next());
            next.map_or(0, |(_, next)| boot(next).since_ms(boot(&dating)))
        };
        lasted_ms.max(uptime.0).saturating_mul(DRIFT_PPM) / 1_000_000
    }

    /// How far the time since a boot that met nobody may be off.
    fn drift_of_ms(&self, uptime: UptimeMs) -> u64 {
        let drift_ppm = if self.sleeps { DRIFT_ASLEEP_PPM } else { DRIFT_PPM };
        uptime.0.saturating_mul(drift_ppm) / 1_000_000
    }

    /// The first position of a record that had not come: a node says a loss again when it has grown.
    fn first_new(&self, epoch: u32, seq: u32) -> Position {
        let received = self.received.filter(|received| received.epoch == epoch);
        Position { epoch, seq: received.map_or(seq, |received| seq.max(received.seq.saturating_add(1))) }
    }

    /// How many boots right before this one nobody here heard of; `None`: this one was met before. Asked before its Hello is
    /// handled.
    #[must_use]
    pub fn n_unheard_before(&self, epoch: u32) -> Option<u32> {
        let dated = self.datings.last_key_value().map(|(dated, _)| *dated);
        let stored = self.stored.map(|stored| stored.epoch).filter(|stored| *stored > 0);
        let last = self.epoch.max(dated).max(stored);
        match last {
            Some(last) if last >= epoch => None,
            Some(last) => Some(epoch - last - 1),
            None => Some(0),
        }
    }

    fn line_of(&mut self, epoch: u32) -> Option<&mut UptimeLine> {
        self.line.as_mut().filter(|line| line.epoch == epoch)
    }

    fn take(&mut self, record: &Record, epoch: u32, dating: Dating, heard: Heard, taken: &mut Taken) {
        let at = dating.date(record.uptime);
        let newest_before = self.newest;
        self.newest = Some(self.newest.map_or(at, |newest| newest.max(at)));
        let drift_ms = self.drift_ms(epoch, dating, record.uptime);
        let uncertainty_ms = dating.uncertainty_at(record.uptime).saturating_add(drift_ms);
        let surely = dating.earliest(record.uptime).minus_ms(drift_ms);
        self.floor = Some(self.floor.map_or(surely, |floor| floor.max(surely)));
        let age_ms = self.line_of(epoch).map(|line| line.age_ms(record.uptime, heard.mono));
        let age = age_ms.map_or(Age::Unknown, Age::Counted);
        let moment = Moment { at, age, is_sure: dating.is_sure() };
        match &record.body {
            Body::Reading(reading) => take_reading(reading, moment, taken),
            Body::Health(health) => take_health(*health, moment, taken),
            Body::Lost(lost) => taken.lost.push(LostRun {
                first: self.first_new(epoch, record.seq),
                last: Position { epoch, seq: lost.to },
                after: newest_before.unwrap_or(self.registered_at).min(at),
                before: at,
            }),
            Body::Settings(event) => taken.settings.push(*event),
            Body::Unknown => taken.n_unknown += 1,
            Body::Valve(event) => taken.valves.push(DatedValve {
                position: Position { epoch, seq: record.seq },
                at,
                uncertainty_ms,
                live: match age_ms {
                    Some(age_ms) => age_ms <= LIVE_MAX_MS,
                    // A node that has not been heard otherwise since the gateway's start: its date must do.
                    None => {
                        self.epoch == Some(epoch)
                            && dating.is_sure()
                            && heard.wall.is_none_or(|now| now.since_ms(at) <= LIVE_MAX_MS)
                    }
                },
                valve: event.valve,
                open: event.open,
                command: event.command,
                closed_by: event.closed_by,
                run_ms: event.run_ms.unwrap_or(0),
                volume: event.volume,
                n_samples_before: taken.samples.len(),
            }),
        }
    }
}

/// When a record was made.
#[derive(Clone, Copy)]
struct Moment {
    at: UnixMs,
    age: Age,
    is_sure: bool,
}

fn take_reading(reading: &Reading, moment: Moment, taken: &mut Taken) {
    let Some(metric) = reading.known_metric() else {
        taken.n_unknown += 1;
        return;
    };
    let quality = match (reading.flaw, reading.value) {
        (_, None) => reading.flaw.map_or(Quality::Missing, Quality::from),
        (Some(flaw), Some(_)) => flaw.into(),
        (None, Some(value)) if !metric.is_possible(value) => Quality::OutOfRange,
        (None, Some(_)) if !moment.is_sure => Quality::UncertainTime,
        (None, Some(_)) => Quality::Good,
    };
    let name = series_name(metric, reading.probe);
    if let Some(raw) = reading.raw {
        taken.samples.push(sample(&format!("{name}_raw"), moment, Some(f64::from(raw)), quality));
    }
    taken.samples.push(sample(&name, moment, reading.value.map(|value| metric.to_f64(value)), quality));
}

fn take_health(health: Health, moment: Moment, taken: &mut Taken) {
    let quality = if moment.is_sure { Quality::Good } else { Quality::UncertainTime };
    if let Some(supply) = health.supply {
        taken.samples.push(sample(Metric::Battery.name(), moment, Some(f64::from(supply.0)), quality));
    }
    taken.samples.push(sample("outbox_waiting", moment, Some(f64::from(health.waiting)), quality));
    if let Some(signal) = health.signal_dbm {
        taken.samples.push(sample("signal", moment, Some(f64::from(signal)), quality));
    }
}

fn sample(metric: &str, moment: Moment, value: Option<f64>, quality: Quality) -> Sample {
    let Moment { at, age, .. } = moment;
    Sample { metric: metric.into(), at_us: at.0.saturating_mul(1000), age, value, quality }
}

#[cfg(test)]
mod tests;
