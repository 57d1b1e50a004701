//! Making the store compact: chunks that are not full are joined, free pages go back to the file system.
//!
//! Folding joins chunks only while that is cheap. This does it at any price, or, while the gateway runs, where it pays: in steps small
//! enough that commits go on between them; it may end after any step. Must not fold (the writer does that first) and must not wait for
//! the disk: like folding it only moves what is durable already.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::seal::{Statements, compact};
use super::{Progress, STEP_SAMPLES_MAX, STEP_SERIES_MAX};
use crate::catalog::SharedCatalog;

/// Pages given back in one step: 8 MiB.
const STEP_PAGES: u32 = 2_048;

/// A running store keeps fewer free pages than this for what comes next (16 MiB) …
const SPARE_PAGES: u32 = 4_096;

/// … and fewer than one in so many.
const SPARE_SHARE: u32 = 8;

/// How far it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) enum Zeal {
    /// As small as it gets, whatever that costs.
    #[default]
    Full,
    /// Only where chunks become fewer, so that a second pass finds nothing to do.
    Gentle,
}

/// One pass over all series.
#[derive(Debug, Default)]
pub(in super::super) struct Compaction {
    zeal: Zeal,
    /// Series up to here are done.
    upto: u32,
    /// How many those are.
    pub(in super::super) n_series_done: u64,
    has_all: bool,
}

impl Compaction {
    /// Before the first series.
    pub(in super::super) fn new(zeal: Zeal) -> Self {
        Self { zeal, ..Self::default() }
    }

    /// Does one bounded part of the work in one transaction.
    pub(in super::super) fn step(
        &mut self,
        conn: &Connection,
        statements: &mut Statements<'_>,
        catalog: &SharedCatalog,
    ) -> rusqlite::Result<Progress> {
        if self.has_all {
            return give_back(conn, self.zeal, None);
        }
        let series = catalog.lock().ids_after(self.upto, STEP_SERIES_MAX);
        let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        let (mut upto, mut n_done, mut n_samples) = (self.upto, 0, 0);
        for id in &series {
            n_samples += compact(statements, *id, self.zeal)?;
            upto = *id;
            n_done += 1;
            if n_samples >= STEP_SAMPLES_MAX {
                break;
            }
        }
        tx.commit()?;
        self.upto = upto;
        self.n_series_done += n_done;
        self.has_all = series.last().is_none_or(|last| *last == upto) && series.len() < STEP_SERIES_MAX;
        Ok(Progress::Working)
    }
}

/// Cuts some free pages off the file; with `pages_max` until the file is no longer than that, if it can be.
pub(in super::super) fn give_back(
    conn: &Connection,
    zeal: Zeal,
    pages_max: Option<u32>,
) -> rusqlite::Result<Progress> {
    let number = |pragma: &str| conn.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
    let before = number("freelist_count")?;
    let n_pages = number("page_count")?;
    let spare = match zeal {
        Zeal::Full => 0,
        Zeal::Gentle => SPARE_PAGES.max(n_pages / SPARE_SHARE),
    };
    let spare = pages_max.map_or(spare, |max| spare.min(max.saturating_sub(n_pages - before)));
    if before <= spare {
        return Ok(Progress::Done);
    }
    // One row, and one page, a step of the statement.
    let n_now = STEP_PAGES.min(before - spare);
    let mut pages = conn.prepare(&format!("PRAGMA incremental_vacuum({n_now})"))?;
    let mut pages = pages.query([])?;
    while pages.next()?.is_some() {}
    // A file of an earlier schema that could not be rewritten keeps its free pages.
    let after = number("freelist_count")?;
    Ok(if after <= spare || after == before { Progress::Done } else { Progress::Working })
}
