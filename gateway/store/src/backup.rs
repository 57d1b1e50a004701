//! Copies of the store that prove themselves: backup while a gateway writes, restore, and the copy before a migration.
//!
//! A copy is one moment of the source, page by page. It is written beside its place, held against the source table by table (counts and
//! SHA-256 over every value), checked like a store, brought to the disk, and only then takes its name: what has the name is whole.
//!
//! Must not write to the source and must not delete a store: one that is replaced keeps its content under another name. Invariants: a
//! copy cut short leaves no file with the wanted name; at every moment of a restore the folder holds the old store or the new one under
//! its own name, and no log of the other.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};

use super::check::{CheckReport, check};
use super::error::OpenError;
use super::log_damage::{self, check_log};
use super::open::{self, FILE_NAME};

/// Pages copied between two words about progress: 1 MiB.
const STEP_PAGES: i32 = 256;

/// A copy could not be made; what was there before is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A store cannot be used.
    #[error("open the store")]
    Open(#[from] OpenError),
    /// The wanted name is taken.
    #[error("{} exists already", path.display())]
    Exists {
        /// By what.
        path: PathBuf,
    },
    /// The copy is not what it was copied from.
    #[error("the copy differs from its source in {what}: it was not kept")]
    Differs {
        /// Where it differs.
        what: String,
    },
    /// What was copied is damaged.
    #[error("{} damage(s) in what was copied, the first: {first}", report.n_findings)]
    Damaged {
        /// All that was found.
        report: Box<CheckReport>,
        /// The first of it.
        first: String,
    },
    /// More than the past would be lost.
    #[error("more than the past would be lost, a person must decide: {what}")]
    NeedsPerson {
        /// The first that is not of the past.
        what: String,
    },
    /// The system refused.
    #[error("{what}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("{what}")]
    Sqlite {
        /// What was attempted.
        what: String,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
}

/// What a table holds, in a form that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableProof {
    /// The table.
    pub name: String,
    /// Its rows.
    pub n_rows: u64,
    /// SHA-256 over every value of every row, in order of the key.
    pub sha256: [u8; 32],
}

/// A copy that was made and proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub n_bytes: u64,
    /// What it holds, the same as its source.
    pub tables: Vec<TableProof>,
    /// What checking it has met.
    pub report: CheckReport,
    /// A store that was replaced, under its new name.
    pub replaced: Option<PathBuf>,
}

/// Which part of the work is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Pages are copied.
    Copy,
    /// Source and copy are compared.
    Compare,
    /// The copy is checked.
    Check,
}

/// Hears how many of how many steps of a stage are done.
pub(super) type Progress<'p> = &'p mut dyn FnMut(Stage, u64, u64);

pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> BackupError {
    let what = what.into();
    move |source| BackupError::Io { what, source }
}

pub(super) fn sqlite(what: impl Into<String>) -> impl FnOnce(rusqlite::Error) -> BackupError {
    let what = what.into();
    move |source| BackupError::Sqlite { what, source }
}

/// Copies the store in `dir` to the file `to`, also while a gateway writes to it. Blocks.
///
/// # Errors
/// [`BackupError`]; then there is no file `to`. A damaged store is not backed up: an older, whole backup is worth more.
pub fn back_up(dir: &Path, to: &Path, progress: Progress<'_>) -> Result<Proof, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists { path: to.to_owned() });
    }
    let source = open::open_reader(dir)?;
    if let Some(finding) = check_log(dir).map_err(io(format!("read the log in {}", dir.display())))? {
        let mut report = CheckReport::default();
        let first = finding.to_string();
        report.note(finding);
        return Err(BackupError::Damaged { report: Box::new(report), first });
    }
    let part = part_of(to);
    let made = copy_and_prove(&source, &part, progress).and_then(|(tables, report)| {
        open::move_to_disk(&part, to).map_err(io(format!("move the copy to {}", to.display())))?;
        Ok((tables, report))
    });
    finish(made, &part, to)
}

/// Brings a copy back as the store of `dir`. With `replaces`, a store that is there is kept beside under that name. Blocks.
///
/// # Errors
/// [`BackupError`]; then the folder is as it was.
pub fn restore(
    from: &Path,
    dir: &Path,
    replaces: Option<&str>,
    progress: Progress<'_>,
) -> Result<Proof, BackupError> {
    let source = open::open_file(from)?;
    let lock = open::lock_folder(dir)?;
    let to = dir.join(FILE_NAME);
    let is_there = to.exists();
    if is_there && replaces.is_none() {
        return Err(BackupError::Exists { path: to });
    }
    let part = part_of(&to);
    let mut replaced = None;
    let made = copy_and_prove(&source, &part, progress).and_then(|(tables, report)| {
        if let Some(name) = replaces.filter(|_| is_there) {
            match log_damage::secure(dir, &lock) {
                Ok(_) => replaced = Some(set_aside(dir, name)?),
                Err(OpenError::LogDamaged { .. }) => replaced = Some(put_away(dir)?),
                Err(error) => return Err(error.into()),
            }
        } else if log_damage::log_of(&to).exists() {
            // A log is read into whatever has its database's name.
            put_away(dir)?;
        }
        open::move_to_disk(&part, &to).map_err(io(format!("move the copy to {}", to.display())))?;
        Ok((tables, report))
    });
    drop(lock);
    Ok(Proof { replaced, ..finish(made, &part, &to)? })
}

fn put_away(dir: &Path) -> Result<PathBuf, BackupError> {
    log_damage::put_away(dir).map_err(io(format!("take the damaged log in {} away", dir.display())))
}

fn finish(
    made: Result<(Vec<TableProof>, CheckReport), BackupError>,
    part: &Path,
    to: &Path,
) -> Result<Proof, BackupError> {
    match made {
        Ok((tables, report)) => {
            let n_bytes = std::fs::metadata(to).map_err(io(format!("look at {}", to.display())))?.len();
            Ok(Proof { path: to.to_owned(), n_bytes, tables, report, replaced: None })
        }
        Err(error) => {
            // What is left of it is worth nothing; a file that cannot be removed is replaced by the next try.
            std::fs::remove_file(part).ok();
            Err(error)
        }
    }
}

/// The name of a copy that is not proved yet.
pub(super) fn part_of(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Gives the store of a folder another name. Its log is copied into it first; what cannot be is set aside with it.
pub(super) fn set_aside(dir: &Path, name: &str) -> Result<PathBuf, BackupError> {
    let (from, to) = (dir.join(FILE_NAME), dir.join(name));
    if to.exists() {
        return Err(BackupError::Exists { path: to });
    }
    let folded = Connection::open_with_flags(&from, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|conn| {
        conn.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
        conn.close().map_err(|(_, error)| error)
    });
    if let Err(error) = folded {
        tracing::warn!(%error, "the log of the store that is replaced could not be copied into it; it is kept beside");
    }
    // The name itself goes over to the copy in one step; until then it is the old store's.
    std::fs::hard_link(&from, &to).map_err(io(format!("keep the old store as {}", to.display())))?;
    for end in ["-wal", "-shm"] {
        let side = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
        match std::fs::rename(side(&from), side(&to)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io(format!("move {}", side(&from).display()))(error));
            }
            _ => {}
        }
    }
    open::sync_folder(dir).map_err(io(format!("bring {} to the disk", dir.display())))?;
    Ok(to)
}

/// Copies one moment of `source` to `part`, compares both and checks the copy.
fn copy_and_prove(
    source: &Connection,
    part: &Path,
    progress: Progress<'_>,
) -> Result<(Vec<TableProof>, CheckReport), BackupError> {
    let name = part.display();
    // Held until both are compared, so that writers go on and neither copy nor comparison sees what they write.
    let moment = source.unchecked_transaction().map_err(sqlite("begin to read the store"))?;
    moment
        .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .map_err(sqlite("read the store"))?;
    copy_pages(&moment, part, progress)?;
    // A copy of an earlier schema is brought up to date here, so that it can be checked; what it holds was compared before.
    let tables = {
        let copy = open::open_file(part)?;
        compare(&moment, &copy, progress)?
    };
    moment.commit().map_err(sqlite("end to read the store"))?;
    let mut copy = Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(sqlite(format!("open {name}")))?;
    open::migrate_copy(&mut copy).map_err(sqlite(format!("migrate {name}")))?;
    let report = check(&copy, &mut |n_done, n_all| progress(Stage::Check, n_done, n_all))
        .map_err(sqlite(format!("check {name}")))?;
    copy.close().map_err(|(_, error)| error).map_err(sqlite(format!("close {name}")))?;
    if let Some(first) = report.findings.first() {
        let first = first.to_string();
        return Err(BackupError::Damaged { report: Box::new(report), first });
    }
    Ok((tables, report))
}

/// Copies every page of `source` into a new file that is on the disk when this returns. Where others write to the source, the caller
/// holds a reading transaction on it: without, the copy begins anew after each of their commits.
pub(super) fn copy_pages(
    source: &Connection,
    part: &Path,
    progress: Progress<'_>,
) -> Result<(), BackupError> {
    let name = part.display();
    make_part(part)?;
    let mut copy = Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(sqlite(format!("open {name}")))?;
    // A copy cut short is thrown away, so it needs no journal of its own; it is brought to the disk as a whole below.
    copy.execute_batch("PRAGMA synchronous = off; PRAGMA journal_mode = off")
        .map_err(sqlite(format!("set up {name}")))?;
    {
        let backup = Backup::new(source, &mut copy).map_err(sqlite(format!("begin to write {name}")))?;
        loop {
            let step = backup.step(STEP_PAGES).map_err(sqlite(format!("write {name}")))?;
            let pages = backup.progress();
            let n_all = u64::try_from(pages.pagecount).unwrap_or(0);
            let n_left = u64::try_from(pages.remaining).unwrap_or(0);
            progress(Stage::Copy, n_all.saturating_sub(n_left), n_all);
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                // Nobody else knows the copy, and the source is ours to read.
                StepResult::Busy | StepResult::Locked | _ => {
                    let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                    return Err(sqlite(format!("write {name}"))(rusqlite::Error::SqliteFailure(busy, None)));
                }
            }
        }
    }
    // One file without a log of its own, whatever the source had.
    copy.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))
        .map_err(sqlite(format!("end to write {name}")))?;
    copy.close().map_err(|(_, error)| error).map_err(sqlite(format!("close {name}")))?;
    sync(part)
}

/// Makes an empty file for a copy, in place of what an earlier try left.
pub(super) fn make_part(part: &Path) -> Result<(), BackupError> {
    match std::fs::remove_file(part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io(format!("replace {}", part.display()))(error));
        }
        _ => {}
    }
    open::create_private(part).map_err(io(format!("create {}", part.display())))
}

/// Brings a file to the disk.
pub(super) fn sync(path: &Path) -> Result<(), BackupError> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(io(format!("bring {} to the disk", path.display())))
}

/// What both hold, if it is the same.
fn compare(
    source: &Connection,
    copy: &Connection,
    progress: Progress<'_>,
) -> Result<Vec<TableProof>, BackupError> {
    let names = |conn: &Connection| -> rusqlite::Result<Vec<String>> {
        conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?
            .query_map([], |row| row.get(0))?
            .collect()
    };
    let tables = names(source).map_err(sqlite("list the tables of the store"))?;
    if tables != names(copy).map_err(sqlite("list the tables of the copy"))? {
        return Err(BackupError::Differs { what: "its tables".to_owned() });
    }
    let n_all = u64::try_from(tables.len()).unwrap_or(0);
    let mut proofs = Vec::new();
    for (name, n_done) in tables.iter().zip(0..) {
        progress(Stage::Compare, n_done, n_all);
        let ours = prove(source, name).map_err(sqlite(format!("read {name} of the store")))?;
        let theirs = prove(copy, name).map_err(sqlite(format!("read {name} of the copy")))?;
        if ours != theirs {
            let (n_ours, n_theirs) = (ours.n_rows, theirs.n_rows);
            let what = format!("table {name}: {n_ours} rows in the source, {n_theirs} in the copy");
            return Err(BackupError::Differs { what });
        }
        proofs.push(theirs);
    }
    progress(Stage::Compare, n_all, n_all);
    Ok(proofs)
}

/// Counts a table's rows and hashes its values.
fn prove(conn: &Connection, name: &str) -> rusqlite::Result<TableProof> {
    let mut rows = conn.prepare(&format!("SELECT * FROM \"{name}\" NOT INDEXED"))?;
    let n_columns = rows.column_count();
    let mut rows = rows.query([])?;
    let mut hasher = Sha256::new();
    let mut n_rows = 0;
    while let Some(row) = rows.next()? {
        n_rows += 1;
        for idx in 0..n_columns {
            let (tag, bytes) = match row.get_ref(idx)? {
                ValueRef::Null => (0_u8, &[][..]),
                ValueRef::Integer(number) => {
                    hasher.update([1]);
                    hasher.update(number.to_le_bytes());
                    continue;
                }
                ValueRef::Real(number) => {
                    hasher.update([2]);
                    hasher.update(number.to_bits().to_le_bytes());
                    continue;
                }
                ValueRef::Text(text) => (3, text),
                ValueRef::Blob(blob) => (4, blob),
            };
            hasher.update([tag]);
            hasher.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(bytes);
        }
    }
    Ok(TableProof { name: name.to_owned(), n_rows, sha256: hasher.finalize().into() })
}
