//! Errors of the store, grouped by who has to act: the operator (opening), the caller (a batch), the disk (a commit).
//!
//! Must not hide a cause: each keeps SQLite's or the system's own words.

use std::path::PathBuf;
use std::sync::Arc;

use super::backup::BackupError;
use super::rows;
use super::types::Batch;
use super::writer::Done;

/// The data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process writes to the folder.
    #[error("data folder {} is in use by another giot process: stop it, or name another folder with --data", dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// The file was written by a newer program.
    #[error("the store has schema {found}, this program knows {known}: use the newer giot that wrote it")]
    NewerSchema {
        /// Schema in the file.
        found: u32,
        /// Newest schema this program knows.
        known: u32,
    },
    /// The file is from an older program and this reader may not change it.
    #[error(
        "the store has schema {found}, this program needs {known}: start `giot serve` once to bring it up to date"
    )]
    OlderSchema {
        /// Schema in the file.
        found: u32,
        /// Schema this program needs.
        known: u32,
    },
    /// There is no store in the folder.
    #[error("no store in {}: name the gateway's folder with --data; `giot serve` makes one", dir.display())]
    NoStore {
        /// The folder.
        dir: PathBuf,
    },
    /// The file is an SQLite database of another program.
    #[error("{} is another program's database: move it away, or name another folder with --data; if it was giot's, its first page is damaged: giot store repair", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// What a start needs cannot be read.
    #[error("the store's table {table} is damaged")]
    Damaged {
        /// The table.
        table: &'static str,
        /// Whether only the past is concerned, or what can be set right: it may be mended without a person.
        is_past: bool,
        /// What SQLite met.
        #[source]
        source: rusqlite::Error,
    },
    /// Nothing of the store can be read: all of it was in its log.
    #[error(
        "nothing is left of the store but its damaged log {}: {what}: bring a backup back with giot restore; giot store repair takes the log away, so that giot serve begins anew", log.display()
    )]
    LogDamaged {
        /// The log.
        log: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The store is of an earlier schema, and no copy of it could be kept before migrating it: it is left as it is.
    #[error("keep a copy of the store as {} before migrating it", copy.display())]
    NoCopy {
        /// The copy.
        copy: PathBuf,
        /// Why it failed.
        #[source]
        source: Box<BackupError>,
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
        what: &'static str,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
}

/// A batch was not kept; nothing of it is on disk.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// The batch itself is at fault; sending it again cannot help.
    #[error("batch refused: {0}")]
    Refused(Arc<str>),
    /// The disk did not take it although tried several times; sending it again later may help.
    #[error("batch not stored: {0}")]
    Unavailable(Arc<str>),
}

/// A batch was not taken into the queue.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The queue is full: wait, or slow the sender.
    #[error("the store's queue is full")]
    Full(Box<(Batch, Done)>),
    /// The store is closed.
    #[error("the store is closed")]
    Closed(Box<(Batch, Done)>),
}

/// The store was closed before it could do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store is closed")]
pub struct Closed;

/// A question could not be answered. Damaged parts are no error: they are reported beside the answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// SQLite refused.
    #[error("read the store")]
    Sqlite(#[from] rusqlite::Error),
    /// The connection could not be opened.
    #[error("open the store for reading")]
    Open(#[from] OpenError),
}

/// Whether an error comes from a damaged file, which `giot store repair` may mend.
#[must_use]
pub fn is_corruption(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref().is_some_and(rows::is_corrupt)
}

/// An error with its causes, for the log.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What to do about a failed transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The data: split the group, find the batch.
    Data,
    /// The machine: the same again may succeed.
    Machine,
}

/// Whom SQLite blames.
pub(super) fn blame(error: &rusqlite::Error) -> Blame {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => Blame::Data,
        // Without a code rusqlite refused a value before SQLite saw it.
        None => Blame::Data,
        Some(_) => Blame::Machine,
    }
}
