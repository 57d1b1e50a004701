//! Giving readings up: what is older than it is to be kept becomes hours and days, step by step.
//!
//! A step takes the oldest chunks of one series that lie before the limit, sums the farm's whole days in them up, and writes sums and
//! what is left of the chunks in one transaction. Chunks go whole, so some readings stay longer than they must (a chunk never holds more
//! than 128 days). A reading that comes late, into an hour that was summed up before, is counted and dropped: its hour was complete when
//! it was told, and whether the reading is in it can no longer be known.
//!
//! Must not touch the diary. Invariant: no reading is dropped whose hour and day are not kept by the same transaction.

use std::ops::Range;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::buckets::Walk;
use super::fold::{Head, Statements, cut_off};
use super::summary::{self, DAY_US};
use super::tally::{HOUR_US, Tally};

/// Readings summed up in one step, if a day has not more.
const STEP_SAMPLES: usize = if cfg!(test) { 2_000 } else { 65_536 };

/// Longest stretch summed up in one step.
const STEP_DAYS: i64 = 400;

/// Days of the farm, by its distance from UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Days {
    pub(super) offset_us: i64,
}

impl Days {
    /// Beginning of the day that holds a moment.
    pub(super) fn floor(self, at_us: i64) -> i64 {
        let local = at_us.saturating_add(self.offset_us).div_euclid(DAY_US);
        local.saturating_mul(DAY_US).saturating_sub(self.offset_us)
    }
}

/// What a step gave up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Thinned {
    /// Readings that are sums now.
    pub(super) n_samples: u64,
    /// Of them, late ones whose hour was summed up before: dropped.
    pub(super) n_late: u64,
}

/// Gives up some of the readings of a series before `limit_us`; `None` when there are none.
pub(super) fn thin(
    conn: &Connection,
    statements: &mut Statements<'_>,
    series: u32,
    limit_us: i64,
    days: Days,
) -> rusqlite::Result<Option<Thinned>> {
    let Some((heads, range)) = stretch(conn, series, days.floor(limit_us), days)? else { return Ok(None) };
    let (hours, n_late) = sum_up(conn, series, &range, HOUR_US)?;
    let (whole_days, _) = sum_up(conn, series, &range, DAY_US)?;
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    let before: usize = heads.iter().map(|head| head.n_samples).sum();
    let after = cut_off(statements, series, &heads, range.end)?;
    summary::put(&tx, series, HOUR_US, &range, days.offset_us, hours)?;
    summary::put(&tx, series, DAY_US, &range, days.offset_us, whole_days)?;
    tx.commit()?;
    let n_samples = u64::try_from(before.saturating_sub(after)).unwrap_or(0);
    Ok(Some(Thinned { n_samples, n_late }))
}

/// The oldest chunks of a series before the limit, and the whole days that become sums.
fn stretch(
    conn: &Connection,
    series: u32,
    limit_us: i64,
    days: Days,
) -> rusqlite::Result<Option<(Vec<Head>, Range<i64>)>> {
    let mut rows = conn.prepare(
        "SELECT id, from_us, to_us, n_samples, n_bytes FROM chunk WHERE series = ?1 AND from_us < ?2 ORDER BY from_us",
    )?;
    let mut rows = rows.query(params![series, limit_us])?;
    let mut heads: Vec<Head> = Vec::new();
    let mut found = None;
    let mut n_samples = 0;
    while let Some(row) = rows.next()? {
        let head = Head::from_row(row)?;
        if let Some(last) = heads.last()
            && n_samples >= STEP_SAMPLES
            && let Some(range) = whole_days(&heads, last.to_us, Some(head.from_us), days)
        {
            found = Some(range);
            break;
        }
        if head.to_us >= limit_us {
            // Not old enough; its first day may be the last of the one before.
            found = heads.last().and_then(|last| whole_days(&heads, last.to_us, Some(head.from_us), days));
            break;
        }
        n_samples += head.n_samples;
        heads.push(head);
    }
    if found.is_none() {
        let mut next = conn.prepare("SELECT min(from_us) FROM chunk WHERE series = ?1 AND from_us > ?2")?;
        let Some(last) = heads.last() else { return Ok(None) };
        let next_us = next.query_row(params![series, last.from_us], |row| row.get::<_, Option<i64>>(0))?;
        found = whole_days(&heads, last.to_us, next_us, days);
    }
    let Some(mut range) = found else { return Ok(None) };
    range.end = range.end.min(range.start.saturating_add(STEP_DAYS * DAY_US));
    heads.retain(|head| head.from_us < range.end);
    Ok(Some((heads, range)))
}

/// The days that lie wholly in `heads`, given where the next chunk begins.
fn whole_days(heads: &[Head], to_us: i64, next_us: Option<i64>, days: Days) -> Option<Range<i64>> {
    let start = days.floor(heads.first()?.from_us);
    let last_day = days.floor(to_us);
    let after = last_day.saturating_add(DAY_US);
    let end = if next_us.is_some_and(|next_us| next_us < after) { last_day } else { after };
    (start < end).then_some(start..end)
}

/// What a series did in each span of a range, and how many readings came too late for theirs.
fn sum_up(
    conn: &Connection,
    series: u32,
    range: &Range<i64>,
    span_us: i64,
) -> rusqlite::Result<(Vec<Tally>, u64)> {
    let n_spans = range.end.saturating_sub(range.start) / span_us;
    let edges: Vec<i64> =
        (0..=n_spans).map(|n| range.start.saturating_add(n.saturating_mul(span_us))).collect();
    let Some(mut walk) = Walk::by_points(conn, series, &edges)? else { return Ok((Vec::new(), 0)) };
    while !walk.is_done() {
        let parts = walk.next_slice(conn)?;
        walk.add(parts);
    }
    Ok(walk.finish_tallies())
}
