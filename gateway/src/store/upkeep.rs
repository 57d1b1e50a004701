//! What the store does by itself while the gateway runs: one round after another, each in small steps at quiet moments.
//!
//! Responsible for the order of a round. Must not read a clock (the round is told the time) and must not hold up a commit: each step is
//! one short transaction, and the writer does one only while no batch waits. A round that fails is told and forgotten; the next begins
//! anew. Like folding it only moves what is durable already, so it need not wait for the disk.

use rusqlite::Connection;

use super::catalog::SharedCatalog;
use super::fold::{Compaction, Progress, Statements, Zeal};

/// How often chunks are looked at for joining, µs: a day, after which a usual series has some small ones.
const COMPACT_EVERY_US: u64 = 86_400 * 1_000_000;

/// What a round is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// The time, by whatever clock there is; only spans of it are used.
    pub now_us: i64,
}

/// A round on its way.
#[derive(Debug)]
pub(super) struct Round {
    compaction: Option<Compaction>,
}

/// What is remembered from round to round.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// When chunks were last joined.
    compacted_us: Option<i64>,
}

impl Rounds {
    /// Begins a round.
    pub(super) fn begin(&mut self, upkeep: &Upkeep) -> Round {
        let now_us = upkeep.now_us;
        // A clock that jumped counts as a day gone by.
        let is_due = self.compacted_us.is_none_or(|last_us| now_us.abs_diff(last_us) >= COMPACT_EVERY_US);
        if is_due {
            self.compacted_us = Some(now_us);
        }
        Round { compaction: is_due.then(|| Compaction::new(Zeal::Gentle)) }
    }
}

impl Round {
    /// Does one bounded part of the work in one transaction.
    pub(super) fn step(
        &mut self,
        conn: &Connection,
        statements: &mut Statements<'_>,
        catalog: &SharedCatalog,
    ) -> rusqlite::Result<Progress> {
        let Some(compaction) = &mut self.compaction else { return Ok(Progress::Done) };
        if compaction.step(conn, statements, catalog)? == Progress::Done {
            self.compaction = None;
        }
        Ok(Progress::Working)
    }
}
