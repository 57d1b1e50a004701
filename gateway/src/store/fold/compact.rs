//! Making the store compact: chunks that are not full are joined, free pages go back to the file system.
//!
//! Folding joins chunks only while that is cheap. This does it at any price, in steps small enough that commits go on between them; it
//! may end after any step. Must not fold (the writer does that first) and must not wait for the disk: like folding it only moves what
//! is durable already.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::seal::{Statements, compact};
use super::{Progress, STEP_SAMPLES_MAX, STEP_SERIES_MAX};
use crate::store::catalog::SharedCatalog;

/// Pages given back in one step: 8 MiB.
const STEP_PAGES: u32 = 2_048;

/// One pass over all series.
#[derive(Debug, Default)]
pub(in super::super) struct Compaction {
    /// Series up to here are done.
    upto: u32,
    has_all: bool,
}

impl Compaction {
    /// Does one bounded part of the work in one transaction.
    pub(in super::super) fn step(
        &mut self,
        conn: &Connection,
        statements: &mut Statements<'_>,
        catalog: &SharedCatalog,
    ) -> rusqlite::Result<Progress> {
        if self.has_all {
            return give_back(conn);
        }
        let series = catalog.lock().ids_after(self.upto, STEP_SERIES_MAX);
        let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        let (mut upto, mut n_samples) = (self.upto, 0);
        for id in &series {
            n_samples += compact(statements, *id)?.n_samples;
            upto = *id;
            if n_samples >= STEP_SAMPLES_MAX {
                break;
            }
        }
        tx.commit()?;
        self.upto = upto;
        self.has_all = series.last().is_none_or(|last| *last == upto) && series.len() < STEP_SERIES_MAX;
        Ok(Progress::Working)
    }
}

/// Cuts some free pages off the file.
fn give_back(conn: &Connection) -> rusqlite::Result<Progress> {
    let n_free = || conn.pragma_query_value(None, "freelist_count", |row| row.get::<_, u32>(0));
    let before = n_free()?;
    // One row, and one page, a step of the statement.
    let mut pages = conn.prepare(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
    let mut pages = pages.query([])?;
    while pages.next()?.is_some() {}
    // A file of an earlier schema that could not be rewritten keeps its free pages.
    let is_stuck = n_free()? == before;
    Ok(if before <= STEP_PAGES || is_stuck { Progress::Done } else { Progress::Working })
}
