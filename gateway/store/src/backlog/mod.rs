//! What has gone to sinks: a durable cursor for each, which survives that journal rows become chunks.
//!
//! A sink reads journal rows in the order of their commits, late data into sealed days among them. It is at three places at once:
//!
//! | rows of the journal | |
//! |---|---|
//! | up to `journal_id` | safe: sent, and so long ago that the sink has surely kept them |
//! | up to `journal_sent` | sent once; sent again if the sink seems to have restarted |
//! | after | not sent |
//!
//! Folding deletes rows. Before it does, it notes for each sink the times of each series in rows after `journal_id` as *spans*
//! (unsent, or sent in epoch E at time T), in the transaction that seals the series. A sink sends spans by reading the history. So a
//! month without a sink costs a few rows a series and no copy of the data.
//!
//! An *epoch* ends when the gateway starts and when the sink seems to have restarted. What was sent in an earlier epoch and is not safe
//! is sent again; what was sent in this epoch is forgotten after the sink's lag.
//!
//! Must not know what a sink is or speak to one, nor read a clock. Invariants: a committed sample is safe at the sink, in the
//! journal after `journal_id`, or in a span; everything here is written by the writing thread or in transactions of their own, and
//! waits for the disk where it lets go of something.

mod read;
pub(super) mod spans;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, Statement, Transaction, TransactionBehavior, params};

pub use self::read::{BacklogSize, DiaryPart, JournalPart, JournalSample, SeriesNames};
use self::spans::{Span, UNSENT, place};
use super::error::{CommitError, OpenError};
use super::log_damage;
use super::open::{self, FolderLock};

/// Refused lines that are kept of a sink; older ones go, and all are counted.
const PARKED_MAX: i64 = 1_000;

/// Longest text of a refused line and of its reason, bytes.
const PARKED_BYTES_MAX: usize = 2_048;

const COLUMNS: &str = "id, name, mapping, epoch, journal_id, journal_sent, diary_id, diary_sent, n_sent, n_parked, state, detail,
    state_us, taken_us";

/// A sink as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkRow {
    /// Its number.
    pub id: i64,
    /// Its name in the configuration.
    pub name: String,
    /// Fingerprint of the names and tags that it is sent.
    pub mapping: String,
    /// Counts starts of the gateway and presumed restarts of the sink.
    pub epoch: i64,
    /// Last journal row that is surely there.
    pub journal_id: i64,
    /// Last journal row that was sent.
    pub journal_sent: i64,
    /// Last diary entry that is surely there.
    pub diary_id: i64,
    /// Last diary entry that was sent.
    pub diary_sent: i64,
    /// Lines it took so far, repetitions included.
    pub n_sent: u64,
    /// Lines it refused for good so far.
    pub n_parked: u64,
    /// In one word, how it does.
    pub state: String,
    /// What it said last.
    pub detail: String,
    /// Since when it is in that state, µs since 1970.
    pub state_us: Option<i64>,
    /// When it last took something, µs since 1970.
    pub taken_us: Option<i64>,
}

/// A span that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueSpan {
    /// Its row.
    pub id: i64,
    /// Changes when the span is widened.
    pub stamp: i64,
    /// Number of the series.
    pub series: u32,
    /// First time.
    pub from_us: i64,
    /// Last time, included.
    pub to_us: i64,
}

/// Part of a span that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentSpan {
    /// The span as it was read.
    pub span: DueSpan,
    /// Times of the first and the last sample sent; `None` when there was none.
    pub sent_us: Option<(i64, i64)>,
    /// Nothing of the span lies behind.
    pub is_whole: bool,
}

/// A line that the sink refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedLine {
    /// When, µs since 1970.
    pub at_us: i64,
    /// The line.
    pub line: String,
    /// What the sink said.
    pub reason: String,
}

/// How a sink does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkState {
    /// One word.
    pub state: String,
    /// What the sink said.
    pub detail: String,
    /// Since when, µs since 1970.
    pub since_us: i64,
}

/// What a sink's sender wants to keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkSave {
    /// The sink.
    pub sink: i64,
    /// The epoch of this process.
    pub epoch: i64,
    /// Journal rows that are safe.
    pub journal_id: i64,
    /// Journal rows that were sent.
    pub journal_sent: i64,
    /// Diary entries that are safe: from what it was to what it is. Nothing changes when somebody else moved it.
    pub diary_id: (i64, i64),
    /// Diary entries that were sent.
    pub diary_sent: i64,
    /// Spans that were sent.
    pub spans: Vec<SentSpan>,
    /// The sender's monotonic time.
    pub now_ms: i64,
    /// What was sent before this is safe.
    pub safe_ms: i64,
    /// Lines taken since the last time.
    pub n_sent: u64,
    /// Lines refused since the last time.
    pub parked: Vec<ParkedLine>,
    /// Lines refused beside these, like others of their series.
    pub n_refused: u64,
    /// How it does, if that changed.
    pub state: Option<SinkState>,
    /// When it last took something, if it did.
    pub taken_us: Option<i64>,
}

/// What can be asked of the writing thread about sinks.
#[derive(Debug, Clone)]
pub enum SinkWish {
    /// Begin to keep a cursor, or go on with one; begins an epoch.
    Register {
        /// Name of the sink.
        name: String,
        /// Fingerprint of the names and tags. When it changes, what was sent is not sent again under other names.
        mapping: String,
        /// A new sink gets readings since then; `None`: all.
        since_us: Option<i64>,
    },
    /// Keep progress.
    Save(SinkSave),
    /// The sink seems to have restarted.
    NextEpoch(i64),
}

/// Where a sink's sender is, for the folding: kept in memory because it changes with every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkPlace {
    /// The epoch, kept on disk before it is told here.
    pub epoch: i64,
    /// Last journal row sent in it.
    pub journal_sent: i64,
    /// When that was, on the sender's monotonic line, or later.
    pub sent_ms: i64,
}

/// The places of all sinks of this process.
#[derive(Debug, Default)]
pub(super) struct SinkPlaces(Mutex<BTreeMap<i64, SinkPlace>>);

impl SinkPlaces {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<i64, SinkPlace>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, sink: i64, place: SinkPlace) {
        self.lock().insert(sink, place);
    }
}

/// What the folding must know of one sink.
#[derive(Debug, Clone, Copy)]
struct Follower {
    sink: i64,
    journal_id: i64,
    place: SinkPlace,
}

/// Spans that a portion of the journal leaves to the sinks, by series and sink; at most two of each: what was sent and what was not.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    followers: Vec<Follower>,
    spans: BTreeMap<(u32, i64, bool), Span>,
}

impl Leftovers {
    /// For the sinks as they are. They may send on meanwhile: what is noted is rather too much.
    pub(super) fn begin(conn: &Connection, places: &SinkPlaces) -> rusqlite::Result<Self> {
        let mut sinks = conn.prepare("SELECT id, journal_id FROM sink")?;
        let places = places.lock();
        let follower = |row: &Row<'_>| {
            let (sink, journal_id) = (row.get(0)?, row.get(1)?);
            let nothing_sent = SinkPlace { epoch: UNSENT, journal_sent: journal_id, sent_ms: 0 };
            Ok(Follower { sink, journal_id, place: places.get(&sink).copied().unwrap_or(nothing_sent) })
        };
        let followers = sinks.query_map([], follower)?.collect::<rusqlite::Result<_>>()?;
        Ok(Self { followers, spans: BTreeMap::new() })
    }

    /// True when no sink needs anything of rows up to `upto_id`.
    pub(super) fn needs_nothing(&self, upto_id: i64) -> bool {
        self.followers.iter().all(|follower| follower.journal_id >= upto_id)
    }

    /// Counts a sample of the journal row `journal_id`.
    pub(super) fn add(&mut self, journal_id: i64, series: u32, at_us: i64) {
        for follower in self.followers.iter().filter(|follower| follower.journal_id < journal_id) {
            let is_sent = journal_id <= follower.place.journal_sent;
            let (sent_epoch, sent_ms) =
                if is_sent { (follower.place.epoch, follower.place.sent_ms) } else { (UNSENT, 0) };
            let new = Span { from_us: at_us, to_us: at_us, sent_epoch, sent_ms };
            let key = (series, follower.sink, is_sent);
            self.spans.entry(key).and_modify(|span| *span = span.joined(new)).or_insert(new);
        }
    }

    /// What is left of one series, to be noted in the transaction that seals it.
    pub(super) fn of(&self, series: u32) -> Left {
        let spans = self.spans.range((series, i64::MIN, false)..=(series, i64::MAX, true));
        Left(spans.map(|((_, sink, _), span)| (*sink, *span)).collect())
    }
}

/// Spans of one series that a portion of the journal leaves, by sink.
#[derive(Debug, Clone, Default)]
pub(super) struct Left(Vec<(i64, Span)>);

impl Left {
    /// Notes them.
    pub(super) fn note(&self, statements: &mut Statements<'_>, series: u32) -> rusqlite::Result<()> {
        self.0.iter().try_for_each(|(sink, span)| statements.note(*sink, series, *span))
    }
}

/// Statements that note spans, prepared once.
#[derive(Debug)]
pub(super) struct Statements<'c> {
    known: Statement<'c>,
    widen: Statement<'c>,
    add: Statement<'c>,
}

impl<'c> Statements<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            known: conn.prepare(
                "SELECT id, from_us, to_us, sent_epoch, sent_ms FROM sink_span WHERE sink = ?1 AND series = ?2 ORDER BY id",
            )?,
            widen: conn.prepare(
                "UPDATE sink_span SET from_us = ?2, to_us = ?3, sent_epoch = ?4, sent_ms = ?5, stamp = stamp + 1 WHERE id = ?1",
            )?,
            add: conn.prepare(
                "INSERT INTO sink_span (sink, series, from_us, to_us, sent_epoch, sent_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?,
        })
    }

    /// Adds a span to those of a series.
    fn note(&mut self, sink: i64, series: u32, new: Span) -> rusqlite::Result<()> {
        let known = self.known.query_map(params![sink, series], |row| {
            let span = Span {
                from_us: row.get(1)?,
                to_us: row.get(2)?,
                sent_epoch: row.get(3)?,
                sent_ms: row.get(4)?,
            };
            Ok((row.get::<_, i64>(0)?, span))
        })?;
        let (ids, known): (Vec<i64>, Vec<Span>) =
            known.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().unzip();
        let at = place(&known, &new);
        match at.and_then(|idx| Some((ids.get(idx)?, known.get(idx)?))) {
            Some((id, span)) => {
                let Span { from_us, to_us, sent_epoch, sent_ms } = span.joined(new);
                self.widen.execute(params![id, from_us, to_us, sent_epoch, sent_ms])?;
            }
            None => {
                let Span { from_us, to_us, sent_epoch, sent_ms } = new;
                self.add.execute(params![sink, series, from_us, to_us, sent_epoch, sent_ms])?;
            }
        }
        Ok(())
    }
}

/// Does what was asked, in one transaction, and returns the sink as it is afterwards.
pub(super) fn fulfil(conn: &Connection, wish: &SinkWish) -> rusqlite::Result<SinkRow> {
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    let sink = match wish {
        SinkWish::Register { name, mapping, since_us } => register(&tx, name, mapping, *since_us)?,
        SinkWish::Save(save) => {
            keep(&tx, save)?;
            save.sink
        }
        SinkWish::NextEpoch(sink) => {
            tx.execute("UPDATE sink SET epoch = epoch + 1 WHERE id = ?1", [sink])?;
            *sink
        }
    };
    let row = tx.query_row(&format!("SELECT {COLUMNS} FROM sink WHERE id = ?1"), [sink], row_of)?;
    tx.commit()?;
    Ok(row)
}

fn register(conn: &Connection, name: &str, mapping: &str, since_us: Option<i64>) -> rusqlite::Result<i64> {
    let found = conn.query_row("SELECT id, mapping FROM sink WHERE name = ?1", [name], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    });
    let Some((sink, known_mapping)) = found.optional()? else { return begin(conn, name, mapping, since_us) };
    conn.execute("UPDATE sink SET epoch = epoch + 1, mapping = ?2 WHERE id = ?1", params![sink, mapping])?;
    if known_mapping != mapping {
        // Under other tags it would be there a second time, beside the first.
        conn.execute("DELETE FROM sink_span WHERE sink = ?1 AND sent_epoch > ?2", params![sink, UNSENT])?;
        conn.execute(
            "UPDATE sink SET journal_id = max(journal_id, journal_sent), diary_id = max(diary_id, diary_sent) WHERE id = ?1",
            [sink],
        )?;
    }
    Ok(sink)
}

fn begin(conn: &Connection, name: &str, mapping: &str, since_us: Option<i64>) -> rusqlite::Result<i64> {
    let journal_id: i64 = conn.query_row("SELECT ifnull(max(id), 0) FROM journal", [], |row| row.get(0))?;
    let from_us = since_us.unwrap_or(i64::MIN);
    let diary_id = diary_before(conn, from_us)?;
    conn.execute(
        "INSERT INTO sink (name, mapping, epoch, journal_id, journal_sent, diary_id, diary_sent)
         VALUES (?1, ?2, 1, ?3, ?3, ?4, ?4)",
        params![name, mapping, journal_id, diary_id],
    )?;
    let sink = conn.last_insert_rowid();
    everything_since(conn, sink, from_us)?;
    Ok(sink)
}

/// Notes all series from a time on.
fn everything_since(conn: &Connection, sink: i64, from_us: i64) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM sink_span WHERE sink = ?1 AND from_us >= ?2", params![sink, from_us])?;
    let series = conn
        .prepare("SELECT id FROM series ORDER BY id")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<u32>>>()?;
    let mut statements = Statements::prepare(conn)?;
    let span = Span { from_us, to_us: i64::MAX, sent_epoch: UNSENT, sent_ms: 0 };
    series.into_iter().try_for_each(|series| statements.note(sink, series, span))
}

/// The last diary entry before a time.
fn diary_before(conn: &Connection, from_us: i64) -> rusqlite::Result<i64> {
    conn.query_row("SELECT ifnull(min(id) - 1, (SELECT ifnull(max(id), 0) FROM diary)) FROM diary WHERE recorded_us >= ?1", [from_us], |row| row.get(0))
}

fn keep(conn: &Connection, save: &SinkSave) -> rusqlite::Result<()> {
    let SinkSave { sink, epoch, .. } = *save;
    let (diary_from, diary_to) = save.diary_id;
    let n_parked = park(conn, sink, &save.parked)?;
    conn.execute(
        "UPDATE sink SET journal_id = max(journal_id, ?2), journal_sent = ?3,
                diary_id = CASE WHEN diary_id = ?4 THEN ?5 ELSE diary_id END, diary_sent = ?6,
                n_sent = n_sent + ?7, n_parked = n_parked + ?8, taken_us = ifnull(?9, taken_us)
         WHERE id = ?1",
        params![
            sink,
            save.journal_id,
            save.journal_sent,
            diary_from,
            diary_to,
            save.diary_sent,
            save.n_sent.cast_signed(),
            n_parked.saturating_add_unsigned(save.n_refused),
            save.taken_us,
        ],
    )?;
    if let Some(SinkState { state, detail, since_us }) = &save.state {
        conn.execute(
            "UPDATE sink SET state = ?2, detail = ?3, state_us = ?4 WHERE id = ?1",
            params![sink, state, cut(detail), since_us],
        )?;
    }
    let mut statements = Statements::prepare(conn)?;
    for sent in &save.spans {
        let SentSpan { span, sent_us, is_whole } = *sent;
        let n_rows = if is_whole {
            conn.execute("DELETE FROM sink_span WHERE id = ?1 AND stamp = ?2", params![span.id, span.stamp])?
        } else {
            let upto_us = sent_us.map_or(span.from_us.saturating_sub(1), |(_, last_us)| last_us);
            conn.execute(
                "UPDATE sink_span SET from_us = ?3 WHERE id = ?1 AND stamp = ?2 AND from_us = ?4",
                params![span.id, span.stamp, upto_us.saturating_add(1), span.from_us],
            )?
        };
        // A span that was widened meanwhile stays as it is, and is sent once more.
        if n_rows == 1
            && let Some((from_us, to_us)) = sent_us
        {
            let span_sent = Span { from_us, to_us, sent_epoch: epoch, sent_ms: save.now_ms };
            statements.note(sink, span.series, span_sent)?;
        }
    }
    conn.execute(
        "DELETE FROM sink_span WHERE sink = ?1 AND sent_epoch = ?2 AND sent_ms < ?3",
        params![sink, epoch, save.safe_ms],
    )?;
    Ok(())
}

/// Keeps refused lines; how many are new. One that was sent again and refused again is the same line.
fn park(conn: &Connection, sink: i64, lines: &[ParkedLine]) -> rusqlite::Result<i64> {
    let mut n_new = 0;
    for ParkedLine { at_us, line, reason } in lines {
        let row = params![sink, at_us, cut(line), cut(reason)];
        let again = "UPDATE sink_parked SET at_us = ?2, reason = ?4 WHERE sink = ?1 AND line = ?3";
        if conn.execute(again, row)? == 0 {
            conn.execute("INSERT INTO sink_parked (sink, at_us, line, reason) VALUES (?1, ?2, ?3, ?4)", row)?;
            n_new += 1;
        }
    }
    if !lines.is_empty() {
        conn.execute(
            "DELETE FROM sink_parked WHERE sink = ?1 AND id <= (SELECT id FROM sink_parked WHERE sink = ?1
             ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            params![sink, PARKED_MAX],
        )?;
    }
    Ok(n_new)
}

/// The beginning of a text.
fn cut(text: &str) -> &str {
    let end = (0..=PARKED_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

fn row_of(row: &Row<'_>) -> rusqlite::Result<SinkRow> {
    Ok(SinkRow {
        id: row.get(0)?,
        name: row.get(1)?,
        mapping: row.get(2)?,
        epoch: row.get(3)?,
        journal_id: row.get(4)?,
        journal_sent: row.get(5)?,
        diary_id: row.get(6)?,
        diary_sent: row.get(7)?,
        n_sent: row.get::<_, i64>(8)?.cast_unsigned(),
        n_parked: row.get::<_, i64>(9)?.cast_unsigned(),
        state: row.get(10)?,
        detail: row.get(11)?,
        state_us: row.get(12)?,
        taken_us: row.get(13)?,
    })
}

/// Has a sink get everything from a time on once more, also while a gateway runs on the folder; `false` when the store knows no such
/// sink. Blocks.
///
/// # Errors
/// As [`super::Store::open`], except that a running gateway is no obstacle.
pub fn resend(dir: &Path, name: &str, from_us: i64) -> Result<bool, OpenError> {
    drop(open::open_reader(dir)?);
    // Only against another start; a running gateway has looked after its log already.
    let lock = match open::lock_folder(dir) {
        Ok(lock) => Some(lock),
        Err(OpenError::InUse { .. }) => None,
        Err(error) => return Err(error),
    };
    from_outside(dir, lock.as_ref(), "have a sink get its data again", |conn| {
        let found = conn.query_row("SELECT id FROM sink WHERE name = ?1", [name], |row| row.get::<_, i64>(0));
        let Some(sink) = found.optional()? else { return Ok(false) };
        everything_since(conn, sink, from_us)?;
        let diary_id = diary_before(conn, from_us)?;
        conn.execute("UPDATE sink SET diary_id = min(diary_id, ?2) WHERE id = ?1", params![sink, diary_id])?;
        Ok(true)
    })
}

/// Forgets a sink with its cursor, spans and refused lines; `false` when the store knows no such sink. Blocks.
///
/// # Errors
/// As [`super::Store::open`]: a gateway that runs on the folder may send to the sink and keep its place.
pub fn forget(dir: &Path, name: &str) -> Result<bool, OpenError> {
    drop(open::open_reader(dir)?);
    let lock = open::lock_folder(dir)?;
    from_outside(dir, Some(&lock), "forget a sink", |conn| {
        let id = "(SELECT id FROM sink WHERE name = ?1)";
        conn.execute(&format!("DELETE FROM sink_span WHERE sink = {id}"), [name])?;
        conn.execute(&format!("DELETE FROM sink_parked WHERE sink = {id}"), [name])?;
        Ok(conn.execute("DELETE FROM sink WHERE name = ?1", [name])? == 1)
    })
}

/// One transaction of another process, ordered with the running gateway's by SQLite.
fn from_outside<T>(
    dir: &Path,
    lock: Option<&FolderLock>,
    what: &'static str,
    change: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, OpenError> {
    let log = lock.map(|lock| log_damage::secure(dir, lock)).transpose()?.flatten();
    let conn = open::open_writer(dir, None)?;
    if let Some(log) = log {
        log.keep(&conn);
    }
    let changed = || {
        let tx = Transaction::new_unchecked(&conn, TransactionBehavior::Immediate)?;
        let done = change(&tx)?;
        tx.commit()?;
        Ok(done)
    };
    changed().map_err(|source| OpenError::Sqlite { what, source })
}

/// As the writing thread tells it.
pub(super) type Answer = Result<SinkRow, CommitError>;
