//! Versions of the farm: its text as people wrote it, who saved it, and since when it has been in force.
//!
//! Must not know TOML. Invariants: numbers run from 1 without gaps; a version that is kept is never changed, only the moment
//! since which it has been in force is added; the newest version that is in force is the one that the gateway runs by. Secrets
//! are in no version: they are rows of `meta`, one a sink, and the last that was given of a name is the one that is known.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use super::error::ReadError;
use super::reader::{Reader, collect};

/// Most versions of one answer.
const ROWS_MAX: u32 = 200;

/// Rows of `meta` that hold secrets of the farm; the sink's name follows.
const SECRET_KEY: &str = "farm_secret:";

const COLUMNS: &str = "id, saved_us, by, origin, file, note, text, in_force_us";

/// One version of the farm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FarmRow {
    /// Its number, from 1.
    pub version: u32,
    /// When it was saved, by whatever clock there was.
    pub saved_us: i64,
    /// Who saved it.
    pub by: String,
    /// By which way it came: `page`, `command` or `file`.
    pub origin: String,
    /// The file that it was read from, where it was one.
    pub file: Option<String>,
    /// What that person says about it.
    pub note: String,
    /// All of it, as TOML, with masks for its secrets.
    pub text: String,
    /// Since when the gateway has been running by it; `None`: never yet.
    pub in_force_us: Option<i64>,
}

/// The row of `meta` that holds a secret of the farm.
#[must_use]
pub fn farm_secret(name: &str, value: &str) -> (String, String) {
    (format!("{SECRET_KEY}{name}"), value.to_owned())
}

pub(super) fn prepare_save(conn: &Connection) -> rusqlite::Result<Statement<'_>> {
    conn.prepare(&format!(
        "INSERT INTO farm_version ({COLUMNS}, crc32)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, row_crc32('farm_version', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8))"
    ))
}

pub(super) fn save(statement: &mut Statement<'_>, row: &FarmRow) -> rusqlite::Result<()> {
    let FarmRow { version, saved_us, by, origin, file, note, text, in_force_us } = row;
    statement.execute(params![version, saved_us, by, origin, file, note, text, in_force_us])?;
    Ok(())
}

/// The statement that says since when a version has been in force: (version, moment). A checksum that did not hold before does not hold
/// afterwards either.
pub(super) fn prepare_in_force(conn: &Connection) -> rusqlite::Result<Statement<'_>> {
    let before = COLUMNS.replace("in_force_us", "NULL");
    let after = COLUMNS.replace("in_force_us", "?2");
    conn.prepare(&format!(
        "UPDATE farm_version SET in_force_us = ?2,
             crc32 = iif(crc32 = row_crc32('farm_version', {before}), row_crc32('farm_version', {after}), crc32)
         WHERE id = ?1 AND in_force_us IS NULL"
    ))
}

fn row_of(row: &Row<'_>) -> rusqlite::Result<FarmRow> {
    Ok(FarmRow {
        version: row.get(0)?,
        saved_us: row.get(1)?,
        by: row.get(2)?,
        origin: row.get(3)?,
        file: row.get(4)?,
        note: row.get(5)?,
        text: row.get(6)?,
        in_force_us: row.get(7)?,
    })
}

impl Reader {
    /// One version of the farm; `None` where there is none of that number.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn farm_version(&self, version: u32) -> Result<Option<FarmRow>, ReadError> {
        self.farm_row("id = ?1", params![version])
    }

    /// The newest version of the farm.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn farm_newest(&self) -> Result<Option<FarmRow>, ReadError> {
        self.farm_row("true", params![])
    }

    /// The version that the gateway runs by, or ran by last.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn farm_in_force(&self) -> Result<Option<FarmRow>, ReadError> {
        self.farm_row("in_force_us IS NOT NULL", params![])
    }

    /// The newest version that was read from a file.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn farm_of_file(&self, file: &str) -> Result<Option<FarmRow>, ReadError> {
        self.farm_row("file = ?1", params![file])
    }

    /// Versions before `before`, newest first, at most `limit` and never more than 200.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn farm_versions(&self, before: Option<u32>, limit: u32) -> Result<Vec<FarmRow>, ReadError> {
        let sql = format!("SELECT {COLUMNS} FROM farm_version WHERE id < ?1 ORDER BY id DESC LIMIT ?2");
        let values = [before.map_or(i64::MAX, i64::from), limit.min(ROWS_MAX).into()];
        self.with(|conn| collect(conn, &sql, values, row_of))
    }

    /// The secrets of the farm, by name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn farm_secrets(&self) -> Result<BTreeMap<String, String>, ReadError> {
        let sql = "SELECT substr(key, length(?1) + 1), value FROM meta WHERE substr(key, 1, length(?1)) = ?1";
        let rows =
            self.with(|conn| collect(conn, sql, [SECRET_KEY], |row| Ok((row.get(0)?, row.get(1)?))))?;
        Ok(rows.into_iter().collect())
    }

    fn farm_row(&self, which: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Option<FarmRow>, ReadError> {
        let sql = format!("SELECT {COLUMNS} FROM farm_version WHERE {which} ORDER BY id DESC LIMIT 1");
        self.with(|conn| conn.query_row(&sql, values, row_of).optional())
    }
}
