//! Store-and-forward in flash: records wait here until the gateway has them on its disk (promises P1 and P2 at this end).
//!
//! Two queues over NOR flash: readings (with the node's own state) and valve events. An item of either is
//!
//! | bytes | content |
//! |---|---|
//! | 0..4 | epoch, u32 little endian |
//! | 4.. | the record as CBOR, [`Record::encode`] |
//!
//! Invariants:
//! - a record that [`Outbox::push`] took stays until [`Outbox::release`] covers it, over any reset, or until it is an
//!   oldest reading of an overfull queue; valve events are never given up;
//! - [`Outbox::batch`] gives records in order of (epoch, seq) without gaps: what is missing between two of them, or after
//!   the last one of an earlier epoch, stands as a [`giot_shared::wire::Lost`] record;
//! - an item whose checksum does not fit is skipped by the queue and so becomes part of a gap, never a wrong value.

mod batch;
mod ends;
mod shelf;

use crate::settings::{Kept, LostTail, LostTails, Settings, SettingsError};
pub use ends::Ended;

use batch::Builder;
use core::fmt;
use embedded_storage_async::nor_flash::{MultiwriteNorFlash, NorFlash};
use ends::Ends;
use giot_shared::ids::Position;
use giot_shared::time::UptimeMs;
use giot_shared::wire::{Body, Record, Records, ValveEvent};
use shelf::{Item, PushError, Shelf};

/// Most pages of the readings partition that are used: 256 KiB of 4 KiB pages, seven weeks of one probe.
pub const READING_PAGES_MAX: usize = 64;
/// Most pages of the events partition that are used.
pub const EVENT_PAGES_MAX: usize = 16;

/// Readings given up at a time: about half a page of 4 KiB, so that erasing such a page is earned by at most three rounds.
const DROP_COUNT: u32 = 64;

/// Why the outbox could not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxError {
    /// A partition is too small: readings need two pages, events three.
    Partition,
    /// The flash failed.
    Flash,
    /// No room for a valve event.
    Full,
}

impl fmt::Display for OutboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Partition => "the outbox needs two pages for readings and three for valve events",
            Self::Flash => "the outbox flash failed",
            Self::Full => "no room for a valve event",
        })
    }
}

impl core::error::Error for OutboxError {}

impl From<SettingsError> for OutboxError {
    fn from(_: SettingsError) -> Self {
        Self::Flash
    }
}

/// How full the outbox is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Records waiting.
    pub waiting: u32,
    /// Valve events that surely fit.
    pub events_room: u32,
    /// The last record made.
    pub last: Position,
    /// Readings given up since boot.
    pub lost: u32,
}

/// The records of one node that its gateway does not have yet.
#[derive(Debug)]
pub struct Outbox<F: NorFlash> {
    readings: Shelf<F, READING_PAGES_MAX>,
    events: Shelf<F, EVENT_PAGES_MAX>,
    tails: LostTails,
    /// The last record that is in flash.
    last: Position,
    /// The last count that was used, for a record that is in flash or for one that the flash did not take.
    seq: u32,
    lost: u32,
    ended: Ended,
}

impl<F: MultiwriteNorFlash> Outbox<F> {
    /// Opens both queues, each on a whole partition, and looks through them. Nothing can be pushed before
    /// [`Self::begin_epoch`].
    ///
    /// # Errors
    /// [`OutboxError::Partition`], [`OutboxError::Flash`].
    pub async fn open(readings: F, events: F, tails: LostTails) -> Result<Self, OutboxError> {
        let mut readings = Shelf::open(readings, 2)?;
        let mut events = Shelf::open(events, 3)?;
        let mut ended = Ends::default();
        let last = readings.survey(&mut ended).await?.max(events.survey(&mut ended).await?);
        let tail = tails.last().map_or(Position::default(), tail_position);
        Ok(Self { readings, events, tails, last: last.max(tail), seq: 0, lost: 0, ended: ended.told() })
    }

    /// The epochs whose records were in flash when it was opened, and how long each lasted; none where they are too many.
    #[must_use]
    pub fn ended(&self) -> Ended {
        self.ended.clone()
    }

    /// Gives up all that waits, records of another id, and counts it as lost, with `n_cut` ends of runs that nobody has told yet. The count of
    /// this boot goes on.
    ///
    /// # Errors
    /// [`OutboxError::Flash`]; some of it may wait still.
    pub async fn give_up(&mut self, n_cut: u32) -> Result<(), OutboxError> {
        self.lost = self.lost.saturating_add(self.level().waiting).saturating_add(n_cut);
        self.ended.clear();
        self.tails.clear();
        self.readings.renew().await?;
        self.events.renew().await
    }

    /// The last record that is known from flash, made or dropped.
    #[must_use]
    pub const fn last(&self) -> Position {
        self.last
    }

    /// Begins counting records of this boot; `epoch` is above that of [`Self::last`].
    pub fn begin_epoch(&mut self, epoch: u32) {
        self.last = Position { epoch, seq: 0 };
        self.seq = 0;
    }

    /// Goes on counting in an epoch that did not end with the last boot. Gives whether `last` can be its last record:
    /// otherwise a new epoch is needed.
    pub fn resume_epoch(&mut self, last: Position) -> bool {
        let fits = self.last <= last && last.seq < u32::MAX;
        if fits {
            self.last = last;
            self.seq = last.seq;
        }
        fits
    }

    /// How full it is.
    #[must_use]
    pub fn level(&self) -> Level {
        Level {
            waiting: self.readings.count().saturating_add(self.events.count()),
            events_room: self.events.item_limit().saturating_sub(self.events.count()),
            last: self.last,
            lost: self.lost,
        }
    }

    /// Whether there is anything to send after `cursor`.
    #[must_use]
    pub fn has_after(&self, cursor: Position) -> bool {
        self.last > cursor && (self.last.seq > 0 || self.level().waiting > 0 || self.has_tail_after(cursor))
    }

    /// Takes those of the last boot's runs out of `kept` whose end is in flash: the power failed before their mark was cleared, and
    /// they must not be told a second time, as cut. Gives whether there were any: the mark is to be cleared then, before anything
    /// is released.
    ///
    /// # Errors
    /// [`OutboxError::Flash`].
    pub async fn drop_told(&mut self, kept: &mut Kept) -> Result<bool, OutboxError> {
        let n_running = kept.running.len();
        let Some(made) = kept.made.filter(|_| n_running > 0) else { return Ok(false) };
        let mut events = self.events.reader(made).await?;
        while let Some(item) = events.peek() {
            if let Body::Valve(ValveEvent { valve, open: false, command, .. }) = item.record.body {
                kept.running.retain(|run| run.valve != valve || run.command != command);
            }
            events.advance().await?;
        }
        Ok(kept.running.len() < n_running)
    }

    /// Takes a record; durable when it returns. An overfull queue gives up its oldest readings for it, never an event.
    ///
    /// # Errors
    /// [`OutboxError::Full`] for a valve event only, [`OutboxError::Flash`]. The count of a failed record is not used
    /// again, so that a half-written one can never be mistaken for its successor.
    pub async fn push(
        &mut self,
        settings: &mut Settings<F>,
        uptime: UptimeMs,
        body: Body,
    ) -> Result<Position, OutboxError> {
        let seq = self.seq.checked_add(1).ok_or(OutboxError::Full)?;
        self.seq = seq;
        let epoch = self.last.epoch;
        let item = Item { epoch, record: Record { seq, uptime, body } };
        if matches!(item.record.body, Body::Valve(_)) {
            self.push_event(&item).await?;
        } else {
            self.push_reading(settings, &item).await?;
        }
        self.last.seq = seq;
        Ok(self.last)
    }

    /// The next message after `cursor`, as full as a message may be; `None` when nothing waits there.
    ///
    /// # Errors
    /// [`OutboxError::Flash`].
    pub async fn batch(&mut self, cursor: Position) -> Result<Option<Records>, OutboxError> {
        if !self.has_after(cursor) {
            return Ok(None);
        }
        let mut builder = Builder::new(cursor);
        let mut readings = self.readings.reader(cursor).await?;
        let mut events = self.events.reader(cursor).await?;
        loop {
            let (from_readings, next) = match (readings.peek(), events.peek()) {
                (Some(a), Some(b)) if a.position() > b.position() => (false, Some(b)),
                (Some(a), _) => (true, Some(a)),
                (None, b) => (false, b),
            };
            let at = builder.cursor();
            let tail = self
                .tails
                .iter()
                .find(|tail| tail_position(tail) > at && next.is_none_or(|item| tail.epoch < item.epoch));
            match (tail, next) {
                (Some(tail), _) => {
                    if !builder.add_tail(tail) {
                        break;
                    }
                }
                (None, Some(item)) => {
                    if !builder.add(item) {
                        break;
                    }
                    if from_readings { readings.advance().await? } else { events.advance().await? }
                }
                (None, None) => break,
            }
        }
        Ok(builder.finish())
    }

    /// Forgets everything up to `upto`, which the gateway has on disk.
    ///
    /// # Errors
    /// [`OutboxError::Flash`]; what was not forgotten is sent again and taken by the gateway as known.
    pub async fn release(&mut self, settings: &mut Settings<F>, upto: Position) -> Result<(), OutboxError> {
        self.readings.release(upto).await?;
        self.events.release(upto).await?;
        let n_tails = self.tails.len();
        self.tails.retain(|tail| tail_position(tail) > upto);
        if self.tails.len() != n_tails {
            settings.store_lost_tails(&self.tails).await?;
        }
        Ok(())
    }

    /// Gives the flash back: readings, events.
    #[must_use]
    pub fn close(self) -> (F, F) {
        (self.readings.close(), self.events.close())
    }

    async fn push_event(&mut self, item: &Item) -> Result<(), OutboxError> {
        match self.events.push(item, false).await {
            Ok(()) => Ok(()),
            Err(PushError::Full) => Err(OutboxError::Full),
            Err(PushError::Damaged) => {
                self.events.renew().await?;
                self.events.push(item, false).await.map_err(|_| OutboxError::Flash)
            }
            Err(PushError::Flash) => Err(OutboxError::Flash),
        }
    }

    async fn push_reading(&mut self, settings: &mut Settings<F>, item: &Item) -> Result<(), OutboxError> {
        // More than a page of the shortest items, however large the flash's pages are.
        let n_rounds_max = Shelf::<F, READING_PAGES_MAX>::page_items_max() / DROP_COUNT + 4;
        for round in 0..n_rounds_max {
            // What no round could free is a page of spoilt items: that one goes as it is.
            let overwrite = round + 1 == n_rounds_max;
            match self.readings.push(item, overwrite).await {
                Ok(()) => return Ok(()),
                Err(PushError::Full) => self.drop_oldest(settings).await?,
                Err(PushError::Damaged) => {
                    // The queue is beyond its own repair. An empty one serves; the gap shows up in the next batch.
                    self.lost = self.lost.saturating_add(self.readings.count());
                    self.readings.renew().await?;
                }
                Err(PushError::Flash) => return Err(OutboxError::Flash),
            }
        }
        Err(OutboxError::Flash)
    }

    /// Gives up some of the oldest readings. Where they were the last of their epoch nothing later shows the gap, so
    /// that is written down first.
    async fn drop_oldest(&mut self, settings: &mut Settings<F>) -> Result<(), OutboxError> {
        let front = self.readings.front(DROP_COUNT).await?;
        let mut changed = false;
        for tail in &front.last_of_epochs {
            if front.next.is_none_or(|next| next.epoch > tail.epoch) {
                self.remember_tail(*tail).await?;
                changed = true;
            }
        }
        if changed {
            settings.store_lost_tails(&self.tails).await?;
        }
        let before = self.readings.count();
        self.readings.release(front.upto).await?;
        self.lost = self.lost.saturating_add(before.saturating_sub(self.readings.count()));
        Ok(())
    }

    /// Keeps the ends in rising order of epochs. Of too many, the two oldest become one that tells as many records.
    async fn remember_tail(&mut self, tail: LostTail) -> Result<(), OutboxError> {
        if let Some(known) = self.tails.iter_mut().find(|known| known.epoch == tail.epoch) {
            known.to = known.to.max(tail.to);
            return Ok(());
        }
        if self.tails.is_full()
            && let [oldest, second, ..] = *self.tails.as_slice()
        {
            // What stands before a valve event is told as the gap before it.
            let told = self.events.last_of(second.epoch).await?;
            let from = oldest.to.max(self.events.last_of(oldest.epoch).await?);
            self.tails.remove(0);
            if let Some(merged) = self.tails.first_mut() {
                *merged = LostTail { to: from.saturating_add(second.to.saturating_sub(told)), ..oldest };
            }
        }
        let at = self.tails.iter().take_while(|known| known.epoch < tail.epoch).count();
        // Room was made above.
        let _full = self.tails.insert(at, tail);
        Ok(())
    }

    fn has_tail_after(&self, cursor: Position) -> bool {
        self.tails.iter().any(|tail| tail_position(tail) > cursor)
    }
}

const fn tail_position(tail: &LostTail) -> Position {
    Position { epoch: tail.epoch, seq: tail.to }
}

#[cfg(test)]
mod tests;
