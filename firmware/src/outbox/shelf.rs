//! One flash queue of items in rising order of positions, with a count and a forward reader.
//!
//! It knows nothing of what an item means beyond its position, and decides nothing about what to give up.

use super::OutboxError;
use super::ends::Ends;
use crate::settings::{LOST_TAILS_MAX, LostTail, LostTails};
use core::fmt;
use embedded_storage_async::nor_flash::{MultiwriteNorFlash, NorFlash};
use giot_shared::ids::Position;
use giot_shared::wire::Record;
use sequential_storage::Error;
use sequential_storage::cache::page_pointers::ArrayPagePointers;
use sequential_storage::cache::page_states::ArrayPageStates;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::queue::{QueueConfig, QueueIterator, QueueStorage};

/// Bytes of the epoch before the record.
const EPOCH_LEN: usize = 4;
/// Longest item, bytes.
const ITEM_LEN_MAX: usize = EPOCH_LEN + Record::LEN_MAX;
/// Shortest item, bytes: its epoch, and a record of an array, two small numbers and a body.
const ITEM_LEN_MIN: u32 = 8;
/// Room to read one item, aligned for flash words of up to 32 bytes.
const BUFFER_LEN: usize = ITEM_LEN_MAX.next_multiple_of(32);

type QueueCache<const PAGES: usize> = Cache<ArrayPageStates<PAGES>, ArrayPagePointers<PAGES>, Uncached>;

/// A record with the epoch that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) epoch: u32,
    pub(super) record: Record,
}

impl Item {
    pub(super) const fn position(&self) -> Position {
        Position { epoch: self.epoch, seq: self.record.last_seq() }
    }

    fn encode<'b>(&self, buffer: &'b mut [u8; BUFFER_LEN]) -> Option<&'b [u8]> {
        let (epoch, rest) = buffer.split_first_chunk_mut::<EPOCH_LEN>()?;
        *epoch = self.epoch.to_le_bytes();
        let len = self.record.encode(rest).ok()?.len();
        buffer.get(..EPOCH_LEN + len)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (epoch, record) = bytes.split_first_chunk::<EPOCH_LEN>()?;
        Some(Self { epoch: u32::from_le_bytes(*epoch), record: Record::decode(record).ok()? })
    }
}

/// Why an item was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushError {
    /// No page is free.
    Full,
    /// The flash failed.
    Flash,
    /// The queue is damaged beyond its own repair.
    Damaged,
}

/// The oldest items.
#[derive(Debug)]
pub(super) struct Front {
    /// The last of them.
    pub(super) upto: Position,
    /// The last of them within each epoch.
    pub(super) last_of_epochs: LostTails,
    /// The first item that is not among them.
    pub(super) next: Option<Position>,
}

/// A queue on one partition.
pub(super) struct Shelf<F: NorFlash, const PAGES: usize> {
    queue: QueueStorage<F, QueueCache<PAGES>>,
    n_pages: u32,
    count: u32,
}

impl<F: NorFlash, const PAGES: usize> fmt::Debug for Shelf<F, PAGES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf")
            .field("n_pages", &self.n_pages)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl<F: MultiwriteNorFlash, const PAGES: usize> Shelf<F, PAGES> {
    pub(super) fn open(flash: F, pages_min: u32) -> Result<Self, OutboxError> {
        let len = crate::settings::used_len::<F>(&flash, PAGES).ok_or(OutboxError::Partition)?;
        let page_len = u32::try_from(F::ERASE_SIZE).map_err(|_| OutboxError::Partition)?;
        let n_pages = len / page_len;
        if n_pages < pages_min {
            return Err(OutboxError::Partition);
        }
        let config = QueueConfig::try_new(0..len).map_err(|_| OutboxError::Partition)?;
        let cache = Cache::new(ArrayPageStates::new(), ArrayPagePointers::new(), Uncached);
        Ok(Self { queue: QueueStorage::new(flash, config, cache), n_pages, count: 0 })
    }

    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// Items that fit however they lie: one page may hold a single item that waits, one may be the one being written.
    pub(super) fn item_limit(&self) -> u32 {
        let overhead = QueueStorage::<F, QueueCache<PAGES>>::item_overhead_size();
        let data = u32::try_from(ITEM_LEN_MAX.next_multiple_of(F::WRITE_SIZE.max(1))).unwrap_or(u32::MAX);
        let page = u32::try_from(F::ERASE_SIZE.saturating_sub(2 * F::WRITE_SIZE.max(1))).unwrap_or(0);
        (page / overhead.saturating_add(data)).saturating_mul(self.n_pages.saturating_sub(2))
    }

    /// Items of the shortest kind that fit a page.
    pub(super) fn page_items_max() -> u32 {
        let overhead = QueueStorage::<F, QueueCache<PAGES>>::item_overhead_size();
        let page = u32::try_from(F::ERASE_SIZE).unwrap_or(u32::MAX);
        page / overhead.saturating_add(ITEM_LEN_MIN).max(1)
    }

    /// Counts what waits, notes it in `ends` and gives the last position, or the default one. A damaged queue is begun anew.
    pub(super) async fn survey(&mut self, ends: &mut Ends) -> Result<Position, OutboxError> {
        match self.try_survey(ends).await {
            Ok((count, last)) => {
                self.count = count;
                Ok(last)
            }
            Err(PushError::Flash) => Err(OutboxError::Flash),
            Err(PushError::Full | PushError::Damaged) => {
                self.renew().await?;
                Ok(Position::default())
            }
        }
    }

    /// Appends an item; with `overwrite` at the price of the oldest page.
    pub(super) async fn push(&mut self, item: &Item, overwrite: bool) -> Result<(), PushError> {
        let mut buffer = [0; BUFFER_LEN];
        let bytes = item.encode(&mut buffer).ok_or(PushError::Flash)?;
        self.queue.push(bytes, overwrite).await.map_err(|error| push_error(&error))?;
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// Removes every item up to `upto`.
    pub(super) async fn release(&mut self, upto: Position) -> Result<(), OutboxError> {
        let mut buffer = [0; BUFFER_LEN];
        let mut items = self.queue.iter().await.map_err(|_| OutboxError::Flash)?;
        while let Some(entry) = items.next(&mut buffer).await.map_err(|_| OutboxError::Flash)? {
            // What cannot be read can never be sent: it goes with its neighbours.
            if Item::decode(&entry).is_some_and(|item| item.position() > upto) {
                break;
            }
            entry.pop().await.map_err(|_| OutboxError::Flash)?;
            self.count = self.count.saturating_sub(1);
        }
        Ok(())
    }

    /// Looks at the oldest `n` items, at least one.
    pub(super) async fn front(&mut self, n: u32) -> Result<Front, OutboxError> {
        let mut reader = self.reader(Position::default()).await?;
        let mut front = Front { upto: Position::default(), last_of_epochs: LostTails::new(), next: None };
        for _ in 0..n {
            let Some(at) = reader.peek().map(Item::position) else { break };
            let tail = LostTail { epoch: at.epoch, to: at.seq };
            match front.last_of_epochs.last_mut() {
                Some(last) if last.epoch == at.epoch => *last = tail,
                // More boots than can be remembered: the rest stays for the next round. One is left to join the oldest in, so that
                // what is dropped now never joins it, however often it is dropped.
                _ => {
                    if front.last_of_epochs.len() + 1 >= LOST_TAILS_MAX
                        || front.last_of_epochs.push(tail).is_err()
                    {
                        break;
                    }
                }
            }
            front.upto = at;
            reader.advance().await?;
        }
        front.next = reader.peek().map(Item::position);
        Ok(front)
    }

    /// Reads forward from the first item after `cursor`.
    pub(super) async fn reader(&mut self, cursor: Position) -> Result<Reader<'_, F, PAGES>, OutboxError> {
        let items = self.queue.iter().await.map_err(|_| OutboxError::Flash)?;
        let mut reader = Reader { items, cursor, next: None };
        reader.advance().await?;
        Ok(reader)
    }

    /// The last count of an epoch that is here, 0 where none is.
    pub(super) async fn last_of(&mut self, epoch: u32) -> Result<u32, OutboxError> {
        let mut reader = self.reader(Position { epoch, seq: 0 }).await?;
        let mut last = 0;
        while let Some(item) = reader.peek().filter(|item| item.epoch == epoch) {
            last = item.record.seq;
            reader.advance().await?;
        }
        Ok(last)
    }

    /// Erases the queue.
    pub(super) async fn renew(&mut self) -> Result<(), OutboxError> {
        self.count = 0;
        self.queue.erase_all().await.map_err(|_| OutboxError::Flash)
    }

    pub(super) fn close(self) -> F {
        self.queue.destroy().0
    }

    async fn try_survey(&mut self, ends: &mut Ends) -> Result<(u32, Position), PushError> {
        let mut buffer = [0; BUFFER_LEN];
        let mut count = 0_u32;
        let mut last = Position::default();
        let mut items = self.queue.iter().await.map_err(|error| push_error(&error))?;
        while let Some(entry) = items.next(&mut buffer).await.map_err(|error| push_error(&error))? {
            count = count.saturating_add(1);
            if let Some(item) = Item::decode(&entry) {
                last = last.max(item.position());
                ends.note(item.epoch, item.record.uptime);
            }
        }
        Ok((count, last))
    }
}

/// Walks a queue without changing it.
pub(super) struct Reader<'s, F: NorFlash, const PAGES: usize> {
    items: QueueIterator<'s, F, QueueCache<PAGES>>,
    cursor: Position,
    next: Option<Item>,
}

impl<F: NorFlash, const PAGES: usize> Reader<'_, F, PAGES> {
    /// The item that stands next.
    pub(super) const fn peek(&self) -> Option<&Item> {
        self.next.as_ref()
    }

    /// Goes on to the item after it.
    pub(super) async fn advance(&mut self) -> Result<(), OutboxError> {
        let mut buffer = [0; BUFFER_LEN];
        loop {
            let Some(entry) = self.items.next(&mut buffer).await.map_err(|_| OutboxError::Flash)? else {
                self.next = None;
                return Ok(());
            };
            let item = Item::decode(&entry).filter(|item| item.position() > self.cursor);
            if let Some(item) = item {
                self.cursor = item.position();
                self.next = Some(item);
                return Ok(());
            }
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the error type may grow; what is not known counts as damage"
)]
fn push_error<E>(error: &Error<E>) -> PushError {
    match error {
        Error::FullStorage => PushError::Full,
        Error::Storage { .. } => PushError::Flash,
        _ => PushError::Damaged,
    }
}
