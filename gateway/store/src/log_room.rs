//! Room in the write-ahead log before it is needed: a commit that only overwrites what the file has already is on the disk as soon as
//! its pages are, while one that makes the file longer also waits for the file system's own journal.
//!
//! The room is zeros behind SQLite's last frame. A frame of zeros is none to SQLite (its page number must not be 0, and its salts and
//! checksum must fit the log's header: "WAL File Format", sections 2 and 4), so that recovery ends before it, as at the end of the file.
//!
//! Must be called on the writing thread, between transactions: nobody else makes this file longer. Invariant: writes behind the end of
//! the file only. A failure costs speed and nothing else.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rusqlite::Connection;

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

    /// Makes room if the last commit made the file longer.
    pub(super) fn keep(&mut self) {
        if let Err(error) = self.try_keep() {
            // Not again with this file; commits go on as without room.
            tracing::debug!(%error, "no room was made in the store's log");
            (self.path, self.file) = (None, None);
        }
    }

    fn try_keep(&mut self) -> std::io::Result<()> {
        if self.file.is_none() {
            let Some(path) = &self.path else { return Ok(()) };
            self.file = Some(OpenOptions::new().write(true).open(path)?);
        }
        let Some(file) = &self.file else { return Ok(()) };
        let len = file.metadata()?.len();
        if len > self.len && len < LOG_BYTES_MAX {
            let room = usize::try_from(STEP.min(LOG_BYTES_MAX - len)).unwrap_or(0);
            file.write_all_at(&vec![0; room], len)?;
            self.len = file.metadata()?.len();
        } else {
            self.len = len;
        }
        Ok(())
    }
}
