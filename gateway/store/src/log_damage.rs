//! What is done about a damaged log before anything in it is overwritten: both files are kept aside, what can be set right is, and it is
//! told like an earlier mending (`mend`).
//!
//! SQLite goes on from the last commit that it can read. What was committed behind that is lost to the store; the copy that is kept
//! aside still holds it. A log that is all there is of a store is never begun anew: a person must decide.
//!
//! Must be used before a writer opens the files, and only under the folder's lock. Invariants: nothing is changed before it is kept
//! aside; the same damage met again after a crash is kept once.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::check::{Finding, Place};
use super::disk::{DISK_FREE_MIN, DiskRoom};
use super::error::OpenError;
use super::log_look::{LogState, look};
use super::mend::MendNote;
use super::open::{self, FILE_NAME, FolderLock, MIGRATIONS};

/// A database that has not got anything of its log yet is not longer, bytes.
const BARE_BYTES: u64 = 4_096;

/// Looks again, where a log changes while it is looked at.
const LOOKS: usize = 3;

/// A damaged log that was kept aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogNote {
    /// When the log was last written.
    at_us: i64,
    pub(super) file: String,
    pub(super) n_lost: u64,
    pub(super) what: String,
}

impl LogNote {
    /// Keeps it with the store, where doctor and page find it, and begins the log anew, so that what is left behind its end is not met
    /// again.
    pub(super) fn keep(&self, conn: &Connection) {
        let Self { at_us, file, n_lost, what } = self;
        let lost = if *n_lost > 0 { std::slice::from_ref(what) } else { &[] };
        let kept = MendNote::put(conn, *at_us, file, *n_lost, lost).and_then(|()| clear(conn));
        if let Err(error) = kept {
            tracing::warn!(%error, "the damage of the log could not be kept with the store");
        }
    }

    /// As a finding.
    pub(super) fn finding(&self) -> Finding {
        finding(self.what.clone())
    }
}

fn clear(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

pub(super) fn finding(what: String) -> Finding {
    Finding { place: Place::Log, row: None, series: None, range_us: None, what }
}

/// The log of a store's file.
pub(super) fn log_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", path.display()))
}

/// What is wrong with the log of the store in `dir`, if anything; also beside a running gateway. Says nothing about what is in the
/// database itself.
///
/// # Errors
/// The log cannot be read.
pub fn check_log(dir: &Path) -> io::Result<Option<Finding>> {
    let path = log_of(&dir.join(FILE_NAME));
    let mut before = None;
    // A gateway that writes meanwhile changes what is met; damage stays where it is.
    for _ in 0..LOOKS {
        let state = look(&path)?;
        if !state.is_told() && !is_orphan(dir, &state) {
            return Ok(None);
        }
        let place = (state.bad_at, state.fixes.clone());
        if before.as_ref() == Some(&place) {
            return Ok(Some(finding(describe(&state))));
        }
        before = Some(place);
    }
    Ok(None)
}

/// Commits in a log whose database is gone.
fn is_orphan(dir: &Path, state: &LogState) -> bool {
    let has_any = state.n_commits > 0 || state.n_commits_lost > 0;
    has_any && fs::metadata(dir.join(FILE_NAME)).map_or(0, |file| file.len()) == 0
}

fn describe(state: &LogState) -> String {
    let LogState { n_commits, n_frames_lost, n_commits_lost, bad_at, .. } = state;
    let n_fixes = state.fixes.len();
    let mut parts = Vec::new();
    if n_fixes > 0 {
        parts.push(format!("{n_fixes} changed places that can be set right"));
    }
    if state.has_bad_head {
        parts.push(format!(
            "its header cannot be read, and so none of its {n_frames_lost} pages ({n_commits_lost} commits)"
        ));
    } else if state.is_damaged {
        parts.push(format!(
            "{n_frames_lost} pages of {n_commits_lost} commits from byte {bad_at} on cannot be read; {n_commits} commits before them can"
        ));
    }
    if parts.is_empty() {
        parts.push(format!("{n_commits} commits in it belong to a database that is gone"));
    }
    parts.join("; ")
}

/// Keeps a damaged log and its database aside and sets right what can be; `None` when nothing is damaged.
///
/// # Errors
/// The files cannot be read or kept; or nothing would be left of the store. Then nothing was changed.
pub(super) fn secure(dir: &Path, _lock: &FolderLock) -> Result<Option<LogNote>, OpenError> {
    let file = dir.join(FILE_NAME);
    let log = log_of(&file);
    let io = |what: String| move |source| OpenError::Io { what, source };
    let state = look(&log).map_err(io(format!("read {}", log.display())))?;
    let what = describe(&state);
    let is_bare = fs::metadata(&file).map_or(0, |file| file.len()) <= BARE_BYTES;
    let has_little = state.n_commits <= MIGRATIONS.len() as u64;
    if is_orphan(dir, &state) || state.is_damaged && is_bare && has_little {
        return Err(OpenError::LogDamaged { log, what });
    }
    if !state.is_told() {
        if state.n_commits_lost > 0 {
            let (n_frames, n_commits) = (state.n_frames_lost, state.n_commits_lost);
            tracing::warn!(n_frames, n_commits, "the log's end was not on the disk, as after a power cut");
        }
        return Ok(None);
    }
    let (name, at_us) = keep_aside(&file, &log).map_err(io(format!("keep a copy of {}", log.display())))?;
    write_fixes(&log, &state).map_err(io(format!("mend {}", log.display())))?;
    tracing::error!(what, kept = name, "the store's log is damaged; giot doctor says what is lost");
    let n_lost = if state.is_damaged { state.n_commits_lost } else { 0 };
    Ok(Some(LogNote { at_us, file: name, n_lost, what: format!("log: {what}") }))
}

/// Takes files that are no store any more out of the way: a database without anything in it and its log. Their new name.
pub(super) fn put_away(dir: &Path) -> io::Result<PathBuf> {
    let file = dir.join(FILE_NAME);
    let (name, _) = name(&log_of(&file))?;
    let to = dir.join(&name);
    fs::rename(log_of(&file), &to)?;
    for (from, to) in [("", to.with_extension("sqlite")), ("-shm", dir.join(format!("{FILE_NAME}-shm.old")))]
    {
        match fs::rename(dir.join(format!("{FILE_NAME}{from}")), &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    open::sync_folder(dir)?;
    Ok(to)
}

/// The name under which a log is kept, by when it was last written, and that time.
fn name(log: &Path) -> io::Result<(String, i64)> {
    let written = fs::metadata(log)?.modified()?;
    let at = chrono::DateTime::<chrono::Utc>::from(written);
    let name = format!("giot-damaged-{}.sqlite-wal", at.format("%Y%m%dT%H%M%SZ"));
    Ok((name, at.timestamp_micros()))
}

/// Copies both files; the database only where there is room for it.
fn keep_aside(file: &Path, log: &Path) -> io::Result<(String, i64)> {
    let (name, at_us) = name(log)?;
    let to = file.with_file_name(&name);
    let dir = file.parent().unwrap_or(Path::new("."));
    let n_bytes = fs::metadata(file)?.len();
    if DiskRoom::of(dir)?.free_bytes > n_bytes.saturating_add(DISK_FREE_MIN) {
        copy(file, &to.with_extension("sqlite"))?;
    }
    copy(log, &to)?;
    open::sync_folder(dir)?;
    Ok((name, at_us))
}

/// One that is there already is of an earlier try.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if fs::metadata(to).is_ok_and(|copy| Some(copy.len()) == fs::metadata(from).ok().map(|file| file.len())) {
        return Ok(());
    }
    let part = PathBuf::from(format!("{}.part", to.display()));
    // Also with the rights of the original.
    fs::copy(from, &part)?;
    File::open(&part)?.sync_all()?;
    fs::rename(&part, to)
}

fn write_fixes(log: &Path, state: &LogState) -> io::Result<()> {
    if state.fixes.is_empty() {
        return Ok(());
    }
    let log = File::options().write(true).open(log)?;
    state.fixes.iter().try_for_each(|(at, bytes)| log.write_all_at(bytes, *at))?;
    log.sync_all()
}
