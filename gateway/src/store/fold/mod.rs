//! Folding: journal rows become chunks, oldest first, in steps small enough that commits go on between them.
//!
//! A job covers the journal rows that exist when it starts. It walks over their series; each step seals some series in one
//! transaction; when all are sealed the rows are deleted, oldest first. Until then a sample may be in the journal and in a
//! chunk, which readers and a repeated job take for one sample, so a crash at any point costs nothing but the repeated work.
//!
//! Folding need not wait for the disk: the log keeps the order of transactions, so a power cut leaves the journal or the chunks.
//!
//! What sinks have not got of the rows is noted with the series they are sealed into (see `backlog`).
//!
//! Must not decide when to fold (the writer does) and must not lose a blob: what fails its checksum is moved to the table
//! `damaged`, told, and the rest goes on.
//! Invariants: chunks of one series never overlap; memory is bounded by [`LOAD_SAMPLES_MAX`].

mod compact;
mod cut;
mod plan;
mod seal;

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use rusqlite::{Connection, Transaction, TransactionBehavior};

pub(super) use self::compact::{Compaction, Zeal, give_back};
pub(super) use self::plan::Head;
use self::seal::seal;
pub(super) use self::seal::{Statements, cut_off};
use super::backlog::{Leftovers, SinkPlaces};
use super::catalog::SharedCatalog;
use super::journal::Journal;
use super::types::Point;

/// Samples unpacked at once: 4 MiB. Small in tests, so that they meet the bound.
const LOAD_SAMPLES_MAX: usize = if cfg!(test) { 1_000 } else { 131_072 };

/// A step ends after this many samples were sealed …
const STEP_SAMPLES_MAX: usize = 32_768;

/// … or this many series touched: a few milliseconds of work.
const STEP_SERIES_MAX: usize = if cfg!(test) { 2 } else { 128 };

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
    pub(super) n_damaged: u64,
}

/// One pass over part of the journal.
#[derive(Debug)]
pub(super) struct Job {
    upto_id: i64,
    /// Series still to be unpacked, in portions that fit into memory, with the number of their samples.
    portions: VecDeque<(RangeInclusive<u32>, usize)>,
    /// The portion being sealed, sorted by series, then time; of one time only the latest.
    loaded: Vec<Loaded>,
    /// What of `loaded` is sealed.
    n_done: usize,
    /// What of `loaded` sinks have not got.
    leftovers: Leftovers,
    pub(super) freed: Freed,
}

/// A sample on its way from the journal into a chunk.
#[derive(Debug, Clone, Copy)]
struct Loaded {
    series: u32,
    /// Counts up in the order of the journal: of one time the latest counts. With it samples are sorted in place, where a sort
    /// that keeps the order of equals would take half as much memory again.
    order: u32,
    point: Point,
}

impl Job {
    /// Covers the oldest journal rows up to `bytes_max`; `None` when the journal is empty.
    pub(super) fn plan(conn: &Connection, bytes_max: u64) -> rusqlite::Result<Option<Self>> {
        let mut rows = conn.prepare("SELECT id, n_samples, n_bytes FROM journal ORDER BY id")?;
        let mut rows = rows.query([])?;
        let (mut upto_id, mut n_samples, mut n_bytes) = (None, 0_i64, 0_u64);
        while let Some(row) = rows.next()? {
            upto_id = Some(row.get(0)?);
            n_samples = n_samples.saturating_add(row.get::<_, i64>(1)?);
            n_bytes = n_bytes.saturating_add(row.get::<_, u32>(2)?.into());
            if n_bytes >= bytes_max {
                break;
            }
        }
        let Some(upto_id) = upto_id else { return Ok(None) };
        let fitting = usize::try_from(n_samples).ok().filter(|n_samples| *n_samples <= LOAD_SAMPLES_MAX);
        let portions = match fitting {
            Some(n_samples) => VecDeque::from([(0..=u32::MAX, n_samples)]),
            None => portions(conn, upto_id)?,
        };
        Ok(Some(Self {
            upto_id,
            portions,
            loaded: Vec::new(),
            n_done: 0,
            leftovers: Leftovers::default(),
            freed: Freed::default(),
        }))
    }

    /// Does one bounded part of the work in one transaction.
    pub(super) fn step(
        &mut self,
        conn: &Connection,
        statements: &mut Statements<'_>,
        catalog: &SharedCatalog,
        sinks: &SinkPlaces,
    ) -> rusqlite::Result<Progress> {
        if self.n_done == self.loaded.len() {
            let Some(portion) = self.portions.front() else { return self.delete_rows(conn) };
            self.leftovers = Leftovers::begin(conn, sinks)?;
            self.loaded = load(conn, self.upto_id, portion, &mut self.leftovers)?;
            self.n_done = 0;
            self.portions.pop_front();
        }
        let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        let (mut n_samples, mut n_series, mut n_done, mut n_damaged) = (0, 0, self.n_done, 0);
        let rest = self.loaded.get(self.n_done..).unwrap_or_default();
        for group in rest.chunk_by(|a, b| a.series == b.series) {
            let Some(first) = group.first() else { continue };
            let points: Vec<Point> = group.iter().map(|loaded| loaded.point).collect();
            let sealed = seal(statements, first.series, &points)?;
            self.leftovers.note(&mut statements.leftovers, first.series)?;
            if let Some(last) = catalog.lock().last(first.series) {
                let value = (!last.is_missing()).then_some(last.value);
                statements.set_last(first.series, last.at_us, value, last.quality)?;
            }
            n_damaged += sealed.n_damaged;
            n_samples += sealed.n_samples;
            n_series += 1;
            n_done += group.len();
            if n_samples >= STEP_SAMPLES_MAX || n_series >= STEP_SERIES_MAX {
                break;
            }
        }
        tx.commit()?;
        self.freed.n_damaged += n_damaged;
        self.n_done = n_done;
        if self.n_done == self.loaded.len() {
            self.loaded = Vec::new();
            self.n_done = 0;
        }
        Ok(Progress::Working)
    }

    /// Deletes sealed rows, oldest first: a repeated job must not see an older value without the newer one.
    fn delete_rows(&mut self, conn: &Connection) -> rusqlite::Result<Progress> {
        let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        let (mut upto_id, mut freed) = (None, Freed::default());
        {
            let mut rows = tx.prepare("SELECT id, n_bytes, blob FROM journal WHERE id <= ?1 ORDER BY id")?;
            let mut set_aside = tx.prepare(
                "INSERT INTO damaged (kind, series, from_us, to_us, n_samples, reason, blob)
                 SELECT 'journal', NULL, from_us, to_us, n_samples, 'checksum', blob FROM journal WHERE id = ?1",
            )?;
            let mut rows = rows.query([self.upto_id])?;
            let mut n_bytes = 0_i64;
            while let Some(row) = rows.next()? {
                let id: i64 = row.get(0)?;
                let row_bytes: u32 = row.get(1)?;
                if !is_whole(row.get_ref(2)?.as_blob()?) {
                    set_aside.execute([id])?;
                    freed.n_damaged += 1;
                    tracing::error!(journal_row = id, "a journal row fails its checksum and was set aside");
                }
                upto_id = Some(id);
                freed.n_rows += 1;
                freed.n_bytes += u64::from(row_bytes);
                n_bytes += i64::from(row_bytes);
                if n_bytes >= DELETE_BYTES_MAX {
                    break;
                }
            }
            if let Some(upto_id) = upto_id {
                tx.execute("DELETE FROM journal WHERE id <= ?1", [upto_id])?;
                tx.execute(NOTE_FOLDED, [upto_id])?;
            }
        }
        tx.commit()?;
        self.freed.n_rows += freed.n_rows;
        self.freed.n_bytes += freed.n_bytes;
        self.freed.n_damaged += freed.n_damaged;
        let is_done = upto_id.is_none_or(|upto_id| upto_id >= self.upto_id);
        Ok(if is_done { Progress::Done } else { Progress::Working })
    }
}

/// Keeps the highest number of a row that is gone, so that no number is given out twice and a cursor over the journal stays valid.
pub(super) const NOTE_FOLDED: &str = "INSERT INTO counter (name, value) VALUES ('journal_folded', ?1)
    ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)";

/// Hands every journal group up to `upto_id` over; rows that fail their checksum are passed by.
fn for_each_group(
    conn: &Connection,
    upto_id: i64,
    mut each: impl FnMut(i64, super::journal::Group<'_>),
) -> rusqlite::Result<()> {
    let mut rows = conn.prepare("SELECT blob, id FROM journal WHERE id <= ?1 ORDER BY id")?;
    let mut rows = rows.query([upto_id])?;
    while let Some(row) = rows.next()? {
        if let Ok(journal) = Journal::open(row.get_ref(0)?.as_blob()?) {
            let id = row.get(1)?;
            // A row that only breaks inside is told when it is deleted; what was readable is kept.
            let _readable_part = journal.groups(|group| each(id, group));
        }
    }
    Ok(())
}

/// True when every sample of a journal blob can be read.
fn is_whole(blob: &[u8]) -> bool {
    let Ok(journal) = Journal::open(blob) else { return false };
    let mut is_whole = true;
    let groups = journal.groups(|group| is_whole &= group.points(|_| ()).is_ok());
    groups.is_ok() && is_whole
}

/// Cuts the series into ranges whose samples fit into memory.
fn portions(conn: &Connection, upto_id: i64) -> rusqlite::Result<VecDeque<(RangeInclusive<u32>, usize)>> {
    let mut n_by_series = BTreeMap::<u32, usize>::new();
    for_each_group(conn, upto_id, |_, group| {
        *n_by_series.entry(group.series).or_default() += group.n_samples
    })?;
    let mut portions = VecDeque::new();
    let (mut from, mut n) = (0, 0);
    for (series, n_samples) in n_by_series {
        if n > 0 && n + n_samples > LOAD_SAMPLES_MAX {
            portions.push_back((from..=series - 1, n));
            (from, n) = (series, 0);
        }
        n += n_samples;
    }
    portions.push_back((from..=u32::MAX, n));
    Ok(portions)
}

fn load(
    conn: &Connection,
    upto_id: i64,
    (portion, n_samples): &(RangeInclusive<u32>, usize),
    leftovers: &mut Leftovers,
) -> rusqlite::Result<Vec<Loaded>> {
    // A vector that grows would take half as much again while it moves.
    let mut loaded = Vec::with_capacity((*n_samples).min(LOAD_SAMPLES_MAX));
    let mut order = 0;
    let is_wanted = !leftovers.needs_nothing(upto_id);
    for_each_group(conn, upto_id, |id, group| {
        if portion.contains(&group.series) {
            let series = group.series;
            let _readable_part = group.points(|point| {
                if is_wanted {
                    leftovers.add(id, series, point.at_us);
                }
                loaded.push(Loaded { series, order, point });
                order += 1;
            });
        }
    })?;
    loaded.sort_unstable_by_key(|loaded| (loaded.series, loaded.point.at_us, loaded.order));
    loaded.dedup_by(|later, kept| {
        let is_same = later.series == kept.series && later.point.at_us == kept.point.at_us;
        if is_same {
            *kept = *later;
        }
        is_same
    });
    Ok(loaded)
}
