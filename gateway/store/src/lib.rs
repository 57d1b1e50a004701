//! The store: keeps everything the gateway must not forget in one SQLite file of the data folder.
//!
//! | file | what |
//! |---|---|
//! | `types.rs` `error.rs` | rows and errors: the store's language |
//! | `open.rs` `migrations/` | folder lock, connections, schema |
//! | `writer/` `commit.rs` `log_room.rs` | queue, writing thread, group commit, retries; room in the log before it is needed |
//! | `journal.rs` `bytes.rs` `decimal.rs` | one blob a commit |
//! | `digits.rs`, `columns.rs` | numbers and samples as text |
//! | `fold/` `chunk/` | journal rows become compressed chunks that fill pages, with their hours beside them, packed on a thread of its own |
//! | `catalog.rs` | series numbers, latest samples |
//! | `reader.rs` `samples.rs` `history.rs` | questions, streaming, charts |
//! | `buckets.rs` `tally.rs` | spans of time: extremes, means, what a counter counted |
//! | `upkeep.rs` `retention.rs` | what a running store does by itself, at quiet moments; how long what is kept |
//! | `thin.rs` `summary.rs` | readings that are given up become hours and days |
//! | `check.rs` `rows.rs` `sizes.rs` | every checksum; tables with bad pages; where the bytes go |
//! | `row_sums.rs` `loose.rs` | checksums of the rows of small tables; values as they lie there |
//! | `backup.rs` | copies that prove themselves; restore |
//! | `repair.rs` `pages.rs` `first_page.rs` `lost.rs` | mending: what can be read stays, what cannot is set aside and named |
//! | `mend.rs` | starting on a damaged store |
//! | `log_look.rs` `log_damage.rs` | a damaged log is seen, kept aside and told before it is overwritten |
//! | `disk.rs` | how much room its disk has |
//! | `register.rs` | the one write from outside: a device's row |
//! | `backlog/` | what sinks have got, and what they have not |
//! | `farm.rs` | versions of the farm |
//! | `diary.rs` | hash chain of the irrigation diary |
//! | `bench/` | the load that measures it |
//!
//! Responsible for: durability before acknowledgement (P1), one sample a time and series (P2), a diary that shows changes (P7),
//! bounded memory and queues (P9). Must not know MQTT, the wire or the engine, nor read a clock: times are arguments. Only
//! files below this folder touch SQLite.
//!
//! Invariants: a batch is kept whole or not at all; [`Done`] hears `Ok` only after the commit is on disk; killing the process at
//! any instant loses nothing that was told `Ok`; damage is found by checksums, told, and costs at most the damaged part.

mod backlog;
mod backup;
pub mod bench;
mod buckets;
mod bytes;
mod catalog;
mod check;
mod chunk;
mod columns;
mod commit;
mod decimal;
mod diary;
mod digits;
mod disk;
mod error;
mod farm;
mod first_page;
mod fold;
mod history;
mod journal;
mod log_damage;
mod log_look;
mod log_room;
mod loose;
mod lost;
mod mend;
mod open;
mod pages;
mod reader;
mod register;
mod repair;
mod retention;
mod row_sums;
mod rows;
mod samples;
mod sizes;
mod summary;
mod tally;
mod thin;
mod types;
mod upkeep;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;

pub use self::backlog::{
    BacklogSize, DiaryPart, DueSpan, JournalPart, JournalSample, ParkedLine, SentSpan, SeriesNames,
    SinkPlace, SinkRow, SinkSave, SinkState, SinkWish, forget as forget_sink, resend as resend_sink,
};
pub use self::backup::{BackupError, Proof, Stage, TableProof, back_up, restore};
pub use self::check::{CheckReport, FINDINGS_MAX, Finding, Place, check_store, scrub_store};
pub use self::columns::Columns;
pub use self::commit::BATCH_SAMPLES_MAX;
pub use self::digits::{Digits, put_whole};
pub use self::disk::{DISK_FREE_MIN, DiskRoom, DiskState};
pub use self::error::{Closed, CommitError, OpenError, ReadError, SubmitError, is_corruption};
pub use self::farm::{FarmRow, farm_secret};
pub use self::history::CHART_POINTS_MAX;
pub use self::log_damage::check_log;
pub use self::lost::Lost;
pub use self::mend::MendNote;
pub use self::reader::Reader;
pub use self::register::register_device;
pub use self::repair::{LOST_MEMORY, MEMORY_DOUBT_KEY, Repair, repair};
pub use self::retention::{Keep, RAW_DAYS_MIN, Retention};
pub use self::samples::Rows;
pub use self::sizes::{Room, Sizes, measure};
pub use self::types::{
    Anchor, Batch, Bucket, ChartPoint, DeviceRow, DeviceSamples, DiaryEntry, DiaryFilter, DiaryProof,
    DiaryRow, Gap, LastValue, Mark, MetricSample, ReadSummary, RoomNote, Sample, SeriesInfo, StoreStats,
    ValveEventFilter, ValveEventRow, join_ranges,
};
pub use self::upkeep::Upkeep;
pub use self::writer::{Done, QUEUE_BATCHES, Writer};

use self::catalog::SharedCatalog;
use self::writer::{Message, Shared, Thread, Told};

/// Calls what it is given once.
pub type TellWithin = fn(&mut dyn FnMut());

/// What can be chosen when opening; the default is what a farm needs.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Pauses between tries of a commit that failed for the machine's fault. Their number bounds the tries, their sum how long
    /// a stop may take on a full disk.
    pub retry_waits: Vec<Duration>,
    /// The database file does not grow beyond this (bytes, rounded to 4 KiB); then commits fail as on a full disk.
    pub file_bytes_max: Option<u64>,
    /// Called around the telling of a commit's batches, so that those who are told can answer together.
    pub tell_within: TellWithin,
}

impl Default for StoreOptions {
    /// Eight further tries within five seconds: longer than a slow card's hiccup, shorter than a supervisor's patience.
    fn default() -> Self {
        let retry_waits = (0..8).map(|n| Duration::from_millis(20 << n)).collect();
        Self { retry_waits, file_bytes_max: None, tell_within: |tell| tell() }
    }
}

/// An open store: owns the writing thread. Dropping it commits what is queued and ends the thread; [`Store::close`] also
/// tidies up.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    writer: Writer,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens or creates the store in `dir` and starts its writer.
    ///
    /// # Errors
    /// The folder is in use, its store is newer or not ours, or the system refuses.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        Self::open_with(dir, &StoreOptions::default())
    }

    /// As [`Self::open`], with other than the usual choices.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(dir: &Path, options: &StoreOptions) -> Result<Self, OpenError> {
        let lock = open::lock_folder(dir)?;
        let pages_max =
            options.file_bytes_max.map(|n_bytes| u32::try_from(n_bytes / 4_096).unwrap_or(u32::MAX));
        let log = log_damage::secure(dir, &lock)?;
        let mut conn = open::open_writer(dir, pages_max)?;
        mend::probe(&conn)?;
        mend::set_rows_right(&mut conn)?;
        if let Some(log) = log {
            log.keep(&conn);
        }
        let catalog = reader::load_catalog(&conn).map_err(|source| {
            // That the series can be read the probe has seen; not whether their names are text.
            let is_name = matches!(source, rusqlite::Error::Utf8Error(..));
            mend::failed(if is_name { "series" } else { "journal" }, true, source)
        })?;
        let shared = Arc::new(Shared { catalog: SharedCatalog::new(catalog), ..Shared::default() });
        let (sender, queue) = mpsc::channel(QUEUE_BATCHES);
        let retry_waits = options.retry_waits.clone();
        let tell_within = options.tell_within;
        let sleeps = Arc::new(AtomicBool::new(false));
        let to_queue = sender.downgrade();
        let writer = Writer::new(sender, Arc::clone(&sleeps));
        let dir = dir.to_owned();
        let body = Thread {
            dir: dir.clone(),
            to_queue,
            queue,
            shared: Arc::clone(&shared),
            lock,
            retry_waits,
            tell_within,
            sleeps,
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || body.run(conn))
            .map_err(|source| OpenError::Io { what: "start the store's thread".to_owned(), source })?;
        Ok(Self { dir, writer, shared, thread: Some(thread) })
    }

    /// As [`Self::open_with`]; a store that is damaged is mended first if nothing but the past is lost (see `mend`). Its damaged file is
    /// kept in the folder as `old_name`, and what was lost is told to the log and kept for [`Reader::mended`]. `at_us` is the time.
    /// Blocks for as long as it takes to read the whole store twice.
    ///
    /// # Errors
    /// As [`Self::open`]; a store that is not mended is as it was.
    pub fn open_mending(
        dir: &Path,
        options: &StoreOptions,
        old_name: &str,
        at_us: i64,
    ) -> Result<Self, OpenError> {
        let error = match Self::open_with(dir, options) {
            Err(error) if mend::may_help(&error) => error,
            other => return other,
        };
        tracing::error!(error = %error::chain(&error), "the store is damaged; what can be read is copied to a new file");
        match mend::mend(dir, old_name, at_us) {
            Ok(mended) => {
                let (n_lost, n_set_aside) = (mended.lost.len(), mended.n_set_aside);
                let kept = mended.replaced.as_ref().map(|path| path.display().to_string());
                tracing::error!(
                    n_lost,
                    n_set_aside,
                    kept,
                    "the store was mended; giot doctor says what is lost"
                );
                Self::open_with(dir, options)
            }
            Err(refused) => {
                tracing::error!(error = %error::chain(&refused), "the store was not mended and is as it was");
                Err(error)
            }
        }
    }

    /// A handle for writing.
    #[must_use]
    pub fn writer(&self) -> Writer {
        self.writer.clone()
    }

    /// A handle for reading.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::inside(self.dir.clone(), Arc::clone(&self.shared))
    }

    /// How often a commit had to be tried again since the store was opened: a sign of a disk in trouble.
    #[must_use]
    pub fn n_retries(&self) -> u64 {
        self.shared.n_retries.load(Ordering::Relaxed)
    }

    /// How many rounds of upkeep have ended since the store was opened.
    #[must_use]
    pub fn n_rounds(&self) -> u64 {
        self.shared.n_rounds.load(Ordering::Relaxed)
    }

    /// Turns the whole journal into chunks and waits for it; commits wait meanwhile. Blocks.
    ///
    /// # Errors
    /// The disk refuses; the journal then keeps what is not in chunks.
    pub fn fold(&self) -> Result<(), CommitError> {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.writer.send(Message::Fold(sender)).map_err(|Closed| closed())?;
        receiver.recv().map_err(|_| closed())?
    }

    /// Makes the file as small as it gets: folds the journal, joins chunks until they are full, gives free pages back. Commits go on
    /// meanwhile. Blocks until done.
    ///
    /// # Errors
    /// The disk refuses, or the store is closed meanwhile; nothing is lost, and the next call goes on.
    pub fn compact(&self) -> Result<(), CommitError> {
        self.compact_and_tell(&mut |_, _| {})
    }

    /// As [`Self::compact`]; `progress` hears how many of how many series are done.
    ///
    /// # Errors
    /// As [`Self::compact`].
    pub fn compact_and_tell(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), CommitError> {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.writer.send(Message::Compact(sender)).map_err(|Closed| closed())?;
        loop {
            match receiver.recv().map_err(|_| closed())? {
                Told::Step { n_done, n_series } => progress(n_done, n_series),
                Told::End(result) => return result,
            }
        }
    }

    /// Commits what is queued, folds a bounded part of the journal, copies the log into the database and ends the thread.
    /// Blocks; writers that are still held hear that the store is closed.
    ///
    /// # Errors
    /// [`Closed`] when the writing thread had died before.
    pub fn close(mut self) -> Result<(), Closed> {
        self.stop(true)
    }

    fn stop(&mut self, folds: bool) -> Result<(), Closed> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let sent = self.writer.send(Message::Close { folds });
        thread.join().map_err(|_| Closed)?;
        sent
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.stop(false) == Err(Closed) {
            tracing::error!("the store's writing thread had died");
        }
    }
}

fn closed() -> CommitError {
    CommitError::Unavailable(Closed.to_string().into())
}

#[cfg(test)]
mod tests;
