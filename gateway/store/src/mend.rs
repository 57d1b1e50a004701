//! Starting on a damaged store: what may be mended without a person, and what is told of it.
//!
//! A farm must be watered although a page of its history is bad. So a gateway that cannot open its store mends it as `giot store repair`
//! does: what can be read goes to a new file, and the old one keeps its content under another name. It does so only when nothing but the
//! past is lost: readings, sums, valve events, what sinks have got. Lost keys, locks, faults, pauses, watermarks, command numbers,
//! versions of the farm or entries of the diary are no matter for a program: guessed wrongly they open a valve that somebody had locked,
//! or hide what was watered. Then the start fails, quickly and with the remedy, and the file is as it was. So it does when the checksum of
//! such a row does not hold, unless a single bit has changed: that is known, and set right.
//!
//! Must not decide what can be read (`repair` does). Invariant: the damaged file is never deleted.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::backup::BackupError;
use super::commit::PUT_META;
use super::error::{OpenError, ReadError};
use super::log_damage::LogNote;
use super::open;
use super::reader::Reader;
use super::repair::{Repair, repair_past};
use super::row_sums;
use super::rows::is_corrupt;

/// What a start reads besides the journal and what is in no table of [`PAST`].
const NEEDED: [&str; 9] = [
    "meta",
    "series",
    "device",
    "node_mark",
    "node_anchor",
    "counter",
    "zone_memory",
    "farm_version",
    "(SELECT * FROM diary ORDER BY id DESC LIMIT 1000)",
];

/// What it reads of the past.
const PAST: [&str; 3] = ["sink", "sink_span", "sink_parked"];

/// Key of the table `meta` under which the last mending is told.
const MENDED_KEY: &str = "store_mended";

/// Lost parts that are kept with the note; all are in the log.
const NAMED_MAX: usize = 50;

/// What the last mending came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MendNote {
    /// When.
    pub at_us: i64,
    /// Name of the damaged file, kept beside the store.
    pub file: Option<String>,
    /// How many parts were lost.
    pub n_lost: u64,
    /// The first of them.
    pub lost: Vec<String>,
}

impl MendNote {
    /// Of a repair.
    pub(super) fn keep(
        conn: &Connection,
        at_us: i64,
        old_name: &str,
        mended: &Repair,
        log: Option<&LogNote>,
    ) -> rusqlite::Result<()> {
        let mut lost: Vec<String> = mended.lost.iter().take(NAMED_MAX).map(ToString::to_string).collect();
        let log = log.filter(|log| log.n_lost > 0);
        lost.extend(log.map(|log| log.what.clone()));
        let n_lost = mended.lost.len() as u64 + log.map_or(0, |log| log.n_lost);
        Self::put(conn, at_us, old_name, n_lost, &lost)
    }

    /// Of any damage.
    pub(super) fn put(
        conn: &Connection,
        at_us: i64,
        file: &str,
        n_lost: u64,
        lost: &[String],
    ) -> rusqlite::Result<()> {
        let note = serde_json::json!({ "at_us": at_us, "file": file, "n_lost": n_lost, "lost": lost });
        conn.execute(PUT_META, [MENDED_KEY, &note.to_string()]).map(drop)
    }

    fn parse(text: &str) -> Option<Self> {
        let note: serde_json::Value = serde_json::from_str(text).ok()?;
        let lost = note.get("lost")?.as_array()?.iter();
        Some(Self {
            at_us: note.get("at_us")?.as_i64()?,
            file: note.get("file")?.as_str().map(str::to_owned),
            n_lost: note.get("n_lost")?.as_u64()?,
            lost: lost.filter_map(|lost| lost.as_str().map(str::to_owned)).collect(),
        })
    }
}

impl Reader {
    /// What the last mending of the store came to, if there ever was one with a new file.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn mended(&self) -> Result<Option<MendNote>, ReadError> {
        Ok(self.meta(MENDED_KEY)?.as_deref().and_then(MendNote::parse))
    }
}

/// Reads what a start needs, so that damage shows before anything is decided by half of it.
pub(super) fn probe(conn: &Connection) -> Result<(), OpenError> {
    match open::has_all_tables(conn) {
        Ok(true) => {}
        Ok(false) => return Err(no_schema()),
        Err(source) => return Err(failed("sqlite_schema", true, source)),
    }
    for (tables, is_past) in [(&NEEDED[..], false), (&PAST[..], true)] {
        for table in tables {
            if let Err(source) = read_through(conn, table) {
                let what = if table.contains("diary") { "diary" } else { table };
                return Err(failed(what, is_past, source));
            }
        }
    }
    Ok(())
}

/// Sets single changed bits of those rows right that decide about water. A row in which more has changed is not obeyed: a person must look.
pub(super) fn set_rows_right(conn: &mut Connection) -> Result<(), OpenError> {
    let flawed = row_sums::flawed_deciding(conn)
        .map_err(|source| OpenError::Sqlite { what: "look at the checksums of rows", source })?;
    if flawed.is_empty() {
        return Ok(());
    }
    let sqlite = |source| OpenError::Sqlite { what: "set a changed bit right", source };
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
    for flawed in &flawed {
        let (table, what) = (flawed.table.name, flawed.what());
        let set = row_sums::unlocked(&tx, |tx| flawed.set_right(tx));
        if !set.map_err(|source| failed(table, flawed.is_single_bit(), source))? {
            // A bit of a key may hide the row from its own table; in a new file it can be set right.
            return Err(OpenError::Damaged { table, is_past: flawed.is_single_bit(), source: corrupt(what) });
        }
        tracing::warn!(table, what, "one bit of a row had changed, and was set right");
    }
    tx.commit().map_err(sqlite)
}

/// A store of which not all tables can be seen.
pub(super) fn no_schema() -> OpenError {
    OpenError::Damaged {
        table: "sqlite_schema",
        is_past: true,
        source: corrupt("tables are missing".to_owned()),
    }
}

fn corrupt(what: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), Some(what))
}

/// The error of reading a table at the start.
pub(super) fn failed(table: &'static str, is_past: bool, source: rusqlite::Error) -> OpenError {
    if is_corrupt(&source) {
        OpenError::Damaged { table, is_past, source }
    } else {
        OpenError::Sqlite { what: "read the store", source }
    }
}

/// Reads a table to its end.
pub(super) fn read_through(conn: &Connection, table: &str) -> rusqlite::Result<()> {
    let mut rows = conn.prepare(&format!("SELECT * FROM {table}"))?;
    let n_columns = rows.column_count();
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        // Also what lies on further pages.
        (0..n_columns).try_for_each(|idx| row.get_ref(idx).map(drop))?;
    }
    Ok(())
}

/// Whether mending without a person may be tried after a failed start.
pub(super) fn may_help(error: &OpenError) -> bool {
    match error {
        OpenError::Damaged { is_past, .. } => *is_past,
        // The header or the schema: the file is cut short, or its first page is bad.
        OpenError::Sqlite { source, .. } => is_corrupt(source),
        // A header of other bytes; what holds no store of ours is left alone.
        OpenError::Foreign { .. } => true,
        OpenError::InUse { .. }
        | OpenError::NewerSchema { .. }
        | OpenError::OlderSchema { .. }
        | OpenError::NoStore { .. }
        | OpenError::NoCopy { .. }
        | OpenError::LogDamaged { .. }
        | OpenError::Io { .. } => false,
    }
}

/// Mends the store in `dir` if nothing but the past is lost; tells the log how it goes.
pub(super) fn mend(dir: &Path, old_name: &str, at_us: i64) -> Result<Repair, BackupError> {
    let mut tenth = 0;
    let mended = repair_past(dir, old_name, at_us, &mut |n_done, n_all| {
        let now = n_done.saturating_mul(10).checked_div(n_all).unwrap_or(0);
        if now > tenth {
            tracing::info!("mending the store: looked at {}0 %", now);
        }
        tenth = now;
    })?;
    for lost in &mended.lost {
        tracing::error!(%lost, "a part of the history could not be saved");
    }
    Ok(mended)
}
