//! Room in the write-ahead log before it is needed: a commit that only overwrites what the file has already is on the disk as soon as
//! its pages are, while one that makes the file longer also waits for the file system's own journal.
//!
//! The room is zeros behind SQLite's last frame. A frame of zeros is none to SQLite (its page number must not be 0, and its salts and
//! checksum must fit the log's header: "WAL File Format", sections 2 and 4), so that recovery ends before it, as at the end of the file.
//!
//! Must be called between transactions. Invariants: writes behind the end of the file only, and only while nobody else can write the
//! log: a connection of another process (`giot sink resend`) may make it longer between a look at its length and the zeros, which
//! would then lie over what it committed. A failure costs speed and nothing else.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::open::CHECKPOINT_PAGES;

/// Room made at a time, bytes: about 60 small commits. A slow card writes it in a few hundredths of a second.
const STEP: u64 = 256 << 10;

/// Longest log that is made longer from here, bytes: after so many pages SQLite begins at its start again. Frames have a header of 24
/// bytes, the log one of 32.
const LOG_BYTES_MAX: u64 = 32 + CHECKPOINT_PAGES.cast_unsigned() * (24 + 4096);

/// The log of one writing connection.
#[derive(Debug)]
pub(super) struct LogRoom {
    path: Option<PathBuf>,
    file: Option<File>,
    /// Length of the file when room was last made.
    len: u64,
}

impl LogRoom {
    /// For the log of `conn`; makes no room yet.
    pub(super) fn new(conn: &Connection) -> Self {
        Self { path: conn.path().map(|path| format!("{path}-wal").into()), file: None, len: 0 }
    }

    /// Makes room if the last commit made the file longer; `conn` is the connection whose log it is.
    pub(super) fn keep(&mut self, conn: &Connection) {
        if let Err(error) = self.try_keep(conn) {
            // Not again with this file; commits go on as without room.
            tracing::debug!(%error, "no room was made in the store's log");
            (self.path, self.file) = (None, None);
        }
    }

    fn try_keep(&mut self, conn: &Connection) -> std::io::Result<()> {
        if self.file.is_none() {
            let Some(path) = &self.path else { return Ok(()) };
            self.file = Some(OpenOptions::new().write(true).open(path)?);
        }
        let Some(file) = &self.file else { return Ok(()) };
        let len = file.metadata()?.len();
        if len <= self.len || len >= LOG_BYTES_MAX {
            self.len = len;
            return Ok(());
        }
        // Keeps all others out of the log until it is dropped, and changes nothing. Who writes now is not waited for: the next commit
        // tries again.
        let Ok(_alone) = Transaction::new_unchecked(conn, TransactionBehavior::Immediate) else {
            return Ok(());
        };
        let len = file.metadata()?.len();
        let room = usize::try_from(STEP.min(LOG_BYTES_MAX.saturating_sub(len))).unwrap_or(0);
        file.write_all_at(&vec![0; room], len)?;
        self.len = file.metadata()?.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;

    use super::LogRoom;

    fn open(path: &std::path::Path) -> Connection {
        let conn = Connection::open(path).unwrap();
        conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
        conn
    }

    /// Zeros over what another process commits meanwhile would lose it, and leave pages that nobody can read.
    #[test]
    fn room_is_made_only_while_nobody_else_writes_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("giot.sqlite");
        let log = dir.path().join("giot.sqlite-wal");
        let len = || fs::metadata(&log).unwrap().len();
        let (ours, other) = (open(&path), open(&path));
        let mut room = LogRoom::new(&ours);
        ours.busy_timeout(std::time::Duration::ZERO).unwrap();
        ours.execute_batch("CREATE TABLE t (v INTEGER); INSERT INTO t VALUES (1)").unwrap();
        other.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (2)").unwrap();
        let before = len();
        room.keep(&ours);
        assert_eq!(len(), before, "the other may write behind the end");
        other.execute_batch("COMMIT").unwrap();
        room.keep(&ours);
        assert!(len() >= before + super::STEP, "room now");
        let sum: i64 = ours.query_row("SELECT sum(v) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(sum, 3);
        // Nothing is left held.
        other.execute_batch("INSERT INTO t VALUES (4)").unwrap();
    }
}
