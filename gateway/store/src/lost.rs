//! What a repair could not save: by row, and by series and time as far as something readable still tells.
//!
//! Of chunks and sums the index by time knows series, times and numbers of readings of every row, whatever became of the row itself. Of
//! a commit, an entry of the diary or a valve event nothing but its place is known, and the rows beside it tell about when it was.
//!
//! Must not write. Invariant: what was saved in the end is not told as lost.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::check::FINDINGS_MAX;
use super::rows::is_damage;

/// Tables whose rows are the past: without some of them the gateway knows less of it, but decides no worse about water.
const HISTORY: [&str; 8] =
    ["journal", "chunk", "summary", "damaged", "valve_event", "sink", "sink_span", "sink_parked"];

/// Rows that could not be read, or a row of which only the place is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lost {
    /// Of which table.
    pub table: &'static str,
    /// First and last row that may be missing; `None` where rows have no numbers.
    pub rows: Option<(i64, i64)>,
    /// Device and metric, where they are known.
    pub series: Option<String>,
    /// Earliest time, or that of the row before.
    pub from_us: Option<i64>,
    /// Latest time, or that of the row after.
    pub to_us: Option<i64>,
    /// How many readings or spans, where that is known.
    pub n_samples: Option<u64>,
}

impl Lost {
    /// True when only the past is concerned.
    #[must_use]
    pub fn is_history(&self) -> bool {
        HISTORY.contains(&self.table)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.table)?;
        match self.rows {
            None => f.write_str("rows that could not be read")?,
            Some((from, to)) if from == to => write!(f, "row {from}")?,
            Some((i64::MIN, i64::MAX)) => f.write_str("all rows")?,
            Some((i64::MIN, to)) => write!(f, "rows up to {to}")?,
            Some((from, i64::MAX)) => write!(f, "rows from {from} on, if there were any")?,
            Some((from, to)) => write!(f, "rows {from} to {to}")?,
        }
        if let Some(n_samples) = self.n_samples {
            let what = if self.table == "summary" { "hours or days" } else { "readings" };
            write!(f, ", {n_samples} {what}")?;
        }
        if let Some(series) = &self.series {
            write!(f, " of {series}")?;
        }
        let time = |at_us: i64| {
            chrono::DateTime::from_timestamp_micros(at_us).map_or_else(
                || "an impossible time".to_owned(),
                |at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            )
        };
        match (self.from_us, self.to_us) {
            (Some(from_us), Some(to_us)) => write!(f, ", from {} to {}", time(from_us), time(to_us)),
            (Some(from_us), None) => write!(f, ", after {}", time(from_us)),
            (None, Some(to_us)) => write!(f, ", before {}", time(to_us)),
            (None, None) => Ok(()),
        }
    }
}

/// A table and where rows of it could not be read.
pub(super) type Holes = (&'static str, Vec<RangeInclusive<i64>>);

/// Names what of the holes in `from` did not come to `to`.
pub(super) fn name(
    from: &Connection,
    to: &Connection,
    names: &BTreeMap<i64, String>,
    holes: &[Holes],
) -> rusqlite::Result<Vec<Lost>> {
    let mut lost = Vec::new();
    for (table, holes) in holes {
        let is_indexed = match *table {
            "chunk" => by_index(from, to, ("chunk", "n_samples"), names, holes, &mut lost)?,
            "summary" => by_index(from, to, ("summary", "n_spans"), names, holes, &mut lost)?,
            _ => false,
        };
        if is_indexed {
            continue;
        }
        for hole in holes {
            for rows in missing(to, table, hole)? {
                if lost.len() < FINDINGS_MAX {
                    lost.push(Lost { rows: Some(rows), ..beside(to, table, rows)? });
                }
            }
        }
    }
    Ok(lost)
}

/// Looks lost rows up in the index by time; `false` when that cannot be read to its end either.
fn by_index(
    from: &Connection,
    to: &Connection,
    (table, n): (&'static str, &str),
    names: &BTreeMap<i64, String>,
    holes: &[RangeInclusive<i64>],
    lost: &mut Vec<Lost>,
) -> rusqlite::Result<bool> {
    let sql = format!("SELECT id, series, from_us, to_us, {n} FROM {table} INDEXED BY {table}_by_time");
    let mut is_there = to.prepare(&format!("SELECT 1 FROM {table} WHERE id = ?1"))?;
    let mut note = |row: &Row<'_>| -> rusqlite::Result<()> {
        let id: i64 = row.get(0)?;
        if holes.iter().any(|hole| hole.contains(&id)) && !is_there.exists([id])? && lost.len() < FINDINGS_MAX
        {
            lost.push(Lost {
                table,
                rows: Some((id, id)),
                series: names.get(&row.get(1)?).cloned(),
                from_us: Some(row.get(2)?),
                to_us: Some(row.get(3)?),
                n_samples: row.get::<_, i64>(4)?.try_into().ok(),
            });
        }
        Ok(())
    };
    let mut read = || -> rusqlite::Result<()> {
        let mut rows = from.prepare(&sql)?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            note(row)?;
        }
        Ok(())
    };
    match read() {
        Ok(()) => Ok(true),
        Err(error) if is_damage(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The parts of a hole in which `to` has no row.
fn missing(to: &Connection, table: &str, hole: &RangeInclusive<i64>) -> rusqlite::Result<Vec<(i64, i64)>> {
    let mut ids = to.prepare(&format!("SELECT id FROM {table} WHERE id BETWEEN ?1 AND ?2 ORDER BY id"))?;
    let mut ids = ids.query(params![hole.start(), hole.end()])?;
    let mut parts = Vec::new();
    let mut from = *hole.start();
    while let Some(row) = ids.next()? {
        let id: i64 = row.get(0)?;
        if from < id {
            parts.push((from, id - 1));
        }
        let Some(next) = id.checked_add(1) else { return Ok(parts) };
        from = next;
    }
    if from <= *hole.end() {
        parts.push((from, *hole.end()));
    }
    Ok(parts)
}

/// When lost rows were written, by the rows beside them.
fn beside(to: &Connection, table: &'static str, (from, upto): (i64, i64)) -> rusqlite::Result<Lost> {
    let columns = match table {
        "journal" => Some(("to_us", "from_us")),
        "diary" => Some(("recorded_us", "recorded_us")),
        "valve_event" => Some(("at_us", "at_us")),
        "farm_version" => Some(("saved_us", "saved_us")),
        _ => None,
    };
    let Some((before, after)) = columns else { return Ok(Lost { table, ..Lost::default() }) };
    let ask = |sql: String, id: i64| to.query_row(&sql, [id], |row| row.get(0)).optional();
    Ok(Lost {
        table,
        from_us: ask(format!("SELECT {before} FROM {table} WHERE id < ?1 ORDER BY id DESC LIMIT 1"), from)?,
        to_us: ask(format!("SELECT {after} FROM {table} WHERE id > ?1 ORDER BY id LIMIT 1"), upto)?,
        ..Lost::default()
    })
}
