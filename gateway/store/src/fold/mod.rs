//! Folding: journal rows become chunks, oldest first, in steps small enough that commits go on between them.
//!
//! A job covers the journal rows that exist when it starts. A thread of its own reads and packs them (`ahead`), series by series; the
//! writer writes what it hands over, some series in each transaction, and when all are written deletes the rows, oldest first. Until then
//! a sample may be in the journal and in a chunk, which readers and a repeated job take for one sample, so a crash at any point costs
//! nothing but the repeated work.
//!
//! Folding need not wait for the disk: the log keeps the order of transactions, so a power cut leaves the journal or the chunks.
//!
//! What sinks have not got of the rows is noted with the series they are sealed into (see `backlog`).
//!
//! Must not decide when to fold (the writer does) and must not lose a blob: what fails its checksum is moved to the table
//! `damaged`, told, and the rest goes on.
//! Invariants: chunks of one series never overlap; nobody else changes chunks while there is a job; memory is bounded by
//! [`LOAD_SAMPLES_MAX`] and [`PARTS_AHEAD`].

mod ahead;
mod compact;
mod cut;
mod plan;
mod seal;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use self::ahead::{Folded, Part, SeriesChange};
pub(super) use self::compact::{Compaction, Zeal, give_back};
pub(super) use self::plan::Head;
pub(super) use self::seal::{Statements, cut_off};
use super::backlog::SinkPlaces;
use super::catalog::SharedCatalog;
use super::error::OpenError;
use super::open;

/// Samples unpacked at once: 4.5 MiB. Small in tests, so that they meet the bound.
const LOAD_SAMPLES_MAX: usize = if cfg!(test) { 1_000 } else { 196_608 };

/// A step ends after this many samples were sealed …
const STEP_SAMPLES_MAX: usize = 32_768;

/// … or this many series touched: a few milliseconds of work.
const STEP_SERIES_MAX: usize = if cfg!(test) { 2 } else { 128 };

/// Parts that wait for the writer; then packing waits.
const PARTS_AHEAD: usize = 2;

/// Journal bytes deleted in one transaction.
const DELETE_BYTES_MAX: i64 = if cfg!(test) { 1_000 } else { 8 << 20 };

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is more to do.
    Working,
    /// The job is done.
    Done,
}

/// Journal rows that became chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Freed {
    pub(super) n_rows: u64,
    pub(super) n_bytes: u64,
}

/// Why a job ended before it was done.
#[derive(Debug, thiserror::Error)]
pub(super) enum FoldError {
    /// Writing failed.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The store could not be opened for reading.
    #[error("open the store for folding: {0}")]
    Open(#[from] OpenError),
    /// The thread beside could not be started.
    #[error("start the folding thread: {0}")]
    Thread(std::io::Error),
    /// The thread beside could not read on.
    #[error("read the journal: {0}")]
    Read(String),
    /// It died.
    #[error("the folding thread died")]
    Died,
}

/// One pass over part of the journal. Dropping it ends the pass and waits for its thread.
#[derive(Debug)]
pub(super) struct Job {
    /// `None` once it is being dropped.
    parts: Option<Receiver<Part>>,
    thread: Option<JoinHandle<()>>,
    /// Handed over and not yet written.
    next: Option<Part>,
    /// Everything is written; the rows may go.
    folded: Option<Folded>,
    pub(super) freed: Freed,
}

impl Job {
    /// Covers the oldest journal rows of the store in `dir` up to `bytes_max`. `wake` is called, on another thread, whenever there is
    /// something to write.
    pub(super) fn begin(
        dir: &Path,
        bytes_max: u64,
        sinks: &Arc<SinkPlaces>,
        wake: impl Fn() + Send + 'static,
    ) -> Result<Self, FoldError> {
        let conn = open::open_reader(dir)?;
        let sinks = Arc::clone(sinks);
        let (sender, parts) = sync_channel(PARTS_AHEAD);
        let body = move || {
            let mut hand_over = |part| match sender.send(part) {
                Ok(()) => {
                    wake();
                    ControlFlow::Continue(())
                }
                // Given up.
                Err(_) => ControlFlow::Break(()),
            };
            if let Err(error) = ahead::prepare(&conn, bytes_max, &sinks, &mut hand_over) {
                let _nobody_waits = hand_over(Part::Failed(error.to_string()));
            }
        };
        let thread = std::thread::Builder::new().name("fold".to_owned()).spawn(body);
        let thread = thread.map_err(FoldError::Thread)?;
        Ok(Self {
            parts: Some(parts),
            thread: Some(thread),
            next: None,
            folded: None,
            freed: Freed::default(),
        })
    }

    /// True when a step need not wait for the thread beside.
    pub(super) fn is_ready(&mut self) -> bool {
        if self.next.is_none()
            && self.folded.is_none()
            && let Some(parts) = &self.parts
        {
            match parts.try_recv() {
                Ok(part) => self.next = Some(part),
                Err(TryRecvError::Empty) => return false,
                // The step tells.
                Err(TryRecvError::Disconnected) => {}
            }
        }
        true
    }

    /// Does one bounded part of the work in one transaction; waits for the thread beside if it must.
    pub(super) fn step(
        &mut self,
        conn: &Connection,
        statements: &mut Statements<'_>,
        catalog: &SharedCatalog,
    ) -> Result<Progress, FoldError> {
        if let Some(folded) = &self.folded {
            return Ok(delete_rows(conn, folded, &mut self.freed)?);
        }
        let next = match (self.next.take(), &self.parts) {
            (Some(part), _) => part,
            (None, Some(parts)) => parts.recv().map_err(|RecvError| FoldError::Died)?,
            (None, None) => return Err(FoldError::Died),
        };
        match next {
            Part::Series(changes) => write(conn, statements, catalog, &changes)?,
            Part::End(folded) => self.folded = Some(folded),
            Part::Failed(why) => return Err(FoldError::Read(why)),
        }
        Ok(Progress::Working)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // Without a receiver the thread ends at its next part; its connection is closed then.
        self.parts = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the folding thread died");
        }
    }
}

fn write(
    conn: &Connection,
    statements: &mut Statements<'_>,
    catalog: &SharedCatalog,
    changes: &[SeriesChange],
) -> rusqlite::Result<()> {
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    for SeriesChange { series, change, left } in changes {
        statements.write(*series, change)?;
        left.note(&mut statements.leftovers, *series)?;
        let last = catalog.lock().last(*series);
        if let Some(last) = last {
            let value = (!last.is_missing()).then_some(last.value);
            statements.set_last(*series, last.at_us, value, last.quality)?;
        }
    }
    tx.commit()
}

/// Deletes sealed rows, oldest first: a repeated job must not see an older value without the newer one.
fn delete_rows(conn: &Connection, folded: &Folded, freed: &mut Freed) -> rusqlite::Result<Progress> {
    let Some(last_id) = folded.upto_id else { return Ok(Progress::Done) };
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    let (mut upto_id, mut now_freed) = (None, Freed::default());
    {
        let mut rows = tx.prepare("SELECT id, n_bytes FROM journal WHERE id <= ?1 ORDER BY id")?;
        let mut rows = rows.query([last_id])?;
        let mut n_bytes = 0_i64;
        while let Some(row) = rows.next()? {
            let row_bytes: u32 = row.get(1)?;
            upto_id = Some(row.get(0)?);
            now_freed.n_rows += 1;
            now_freed.n_bytes += u64::from(row_bytes);
            n_bytes += i64::from(row_bytes);
            if n_bytes >= DELETE_BYTES_MAX {
                break;
            }
        }
    }
    if let Some(upto_id) = upto_id {
        set_aside(&tx, &folded.damaged, upto_id)?;
        tx.execute("DELETE FROM journal WHERE id <= ?1", [upto_id])?;
        tx.execute(NOTE_FOLDED, [upto_id])?;
    }
    tx.commit()?;
    freed.n_rows += now_freed.n_rows;
    freed.n_bytes += now_freed.n_bytes;
    let is_done = upto_id.is_none_or(|upto_id| upto_id >= last_id);
    Ok(if is_done { Progress::Done } else { Progress::Working })
}

/// Moves the damaged rows up to `upto_id` that are still there.
fn set_aside(conn: &Connection, damaged: &BTreeSet<i64>, upto_id: i64) -> rusqlite::Result<()> {
    let mut set_aside = conn.prepare(
        "INSERT INTO damaged (kind, series, from_us, to_us, n_samples, reason, blob)
         SELECT 'journal', NULL, from_us, to_us, n_samples, 'checksum', blob FROM journal WHERE id = ?1",
    )?;
    for id in damaged.range(..=upto_id) {
        if set_aside.execute([id])? > 0 {
            tracing::error!(journal_row = id, "a journal row fails its checksum and was set aside");
        }
    }
    Ok(())
}

/// Keeps the highest number of a row that is gone, so that no number is given out twice and a cursor over the journal stays valid.
pub(super) const NOTE_FOLDED: &str = "INSERT INTO counter (name, value) VALUES ('journal_folded', ?1)
    ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)";
