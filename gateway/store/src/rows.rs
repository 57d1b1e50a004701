//! Walking over a table whose pages may be damaged: every row that can be read is met, and what cannot is told by its numbers.
//!
//! A bad page ends an ordinary statement. Here the walk looks for the next number from which rows can be read again: in growing steps,
//! then by halves, so that a bad leaf costs its own rows and a few dozen questions. Rows below a bad inner page are met only from the
//! next good one on.
//!
//! Must not write. Invariant: rows come in ascending order, none twice.

use std::ops::RangeInclusive;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};

/// Holes after which a table is given up: its file is not worth more questions.
const HOLES_MAX: usize = 10_000;

/// True for what a bad page or a bad sector causes; also for values of kinds that no store writes, as on a page cut short.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
    is_corrupt(error)
        || error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
        || matches!(error, InvalidColumnType(..) | FromSqlConversionFailure(..) | IntegralValueOutOfRange(..))
}

/// True for what a bad page causes, and for text that is none.
pub(super) fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::Utf8Error(..))
        || matches!(
            error.sqlite_error_code(),
            // No store writes what is too long to be read.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TooBig)
        )
}

/// A table with whole numbers as keys, and which of its columns are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'t> {
    pub(super) name: &'t str,
    /// Its key first.
    pub(super) columns: &'t str,
    pub(super) key: &'t str,
}

impl Table<'_> {
    fn rows_from(&self, limit: &str) -> String {
        let Self { name, columns, key } = self;
        format!("SELECT {columns} FROM {name} NOT INDEXED WHERE {key} >= ?1 ORDER BY {key} {limit}")
    }

    /// Hands every readable row over, and returns the ranges of keys in which rows may be missing.
    ///
    /// # Errors
    /// What is no damage: a missing table, a refusal of the system. An error of `each` is passed on if it is no damage.
    pub(super) fn walk(
        &self,
        conn: &Connection,
        mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<Vec<RangeInclusive<i64>>> {
        let mut holes = Vec::new();
        let mut from = i64::MIN;
        loop {
            let mut met = None;
            let Err(error) = self.read(conn, from, &mut met, &mut each) else { return Ok(holes) };
            if !is_damage(&error) {
                return Err(error);
            }
            let hole_from = met.map_or(from, |met: i64| met.saturating_add(1));
            let next = if holes.len() < HOLES_MAX { self.next_readable(conn, hole_from)? } else { None };
            let Some(next) = next else {
                holes.push(hole_from..=i64::MAX);
                return Ok(holes);
            };
            holes.push(hole_from..=next.saturating_sub(1));
            from = next;
        }
    }

    /// Reads rows in order; `met` is the key of the last that was read whole.
    fn read(
        &self,
        conn: &Connection,
        from: i64,
        met: &mut Option<i64>,
        each: &mut impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let mut rows = conn.prepare(&self.rows_from(""))?;
        let mut rows = rows.query([from])?;
        while let Some(row) = rows.next()? {
            let key = row.get(0)?;
            each(row)?;
            *met = Some(key);
        }
        Ok(())
    }

    /// The first key from which a row can be read, not before `from`; `None` when nothing follows.
    fn next_readable(&self, conn: &Connection, from: i64) -> rusqlite::Result<Option<i64>> {
        let mut bad = from;
        let mut step = 1_i64;
        let mut good = loop {
            let tried = bad.saturating_add(step);
            if let Some(answer) = self.key_from(conn, tried)? {
                match answer {
                    Some(key) => break key,
                    None if tried == i64::MAX => return Ok(None),
                    // Nothing behind: either the end, or the search has jumped over what is left.
                    None => {
                        let Some(last) = self.last_key(conn)? else { return Ok(None) };
                        if last <= bad {
                            return Ok(None);
                        }
                        break last;
                    }
                }
            }
            if tried == i64::MAX {
                return Ok(None);
            }
            bad = tried;
            step = step.saturating_mul(2);
        };
        while good.saturating_sub(bad) > 1 {
            let middle = bad.midpoint(good);
            match self.key_from(conn, middle)? {
                // Everything from the middle to that key is empty.
                Some(Some(_)) => good = middle,
                Some(None) | None => bad = middle,
            }
        }
        Ok(Some(good))
    }

    /// The first row from `from` on: `None` if it cannot be read, `Some(None)` if there is none.
    #[expect(clippy::option_option, reason = "unreadable and absent are two answers")]
    fn key_from(&self, conn: &Connection, from: i64) -> rusqlite::Result<Option<Option<i64>>> {
        let mut row = conn.prepare(&self.rows_from("LIMIT 1"))?;
        let read = row.query_row([from], |row| {
            // Also what lies on further pages.
            for idx in 0..row.as_ref().column_count() {
                row.get_ref(idx)?;
            }
            row.get::<_, i64>(0)
        });
        match read.optional() {
            Ok(key) => Ok(Some(key)),
            Err(error) if is_damage(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn last_key(&self, conn: &Connection) -> rusqlite::Result<Option<i64>> {
        let Self { name, key, .. } = self;
        let sql = format!("SELECT {key} FROM {name} NOT INDEXED ORDER BY {key} DESC LIMIT 1");
        match conn.query_row(&sql, [], |row| row.get(0)).optional() {
            Ok(key) => Ok(key),
            Err(error) if is_damage(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table<'_> = Table { name: "t", columns: "id, blob", key: "id" };

    /// A table of many pages, some of which are overwritten; the keys on the others.
    fn check(bad_leaves: &[usize], inner: bool) -> (Vec<i64>, Vec<RangeInclusive<i64>>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.sqlite");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch("PRAGMA page_size = 4096; CREATE TABLE t (id INTEGER PRIMARY KEY, blob BLOB)")
            .unwrap();
        for id in 1..2_000 {
            conn.execute("INSERT INTO t VALUES (?1, zeroblob(900))", [id * 3]).unwrap();
        }
        conn.close().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        // SQLite file format: a leaf of a table begins with 13, an inner page with 5.
        let wanted = if inner { 5 } else { 13 };
        let pages: Vec<usize> =
            (1..bytes.len() / 4_096).filter(|page| bytes[page * 4_096] == wanted).collect();
        for leaf in bad_leaves {
            bytes[pages[*leaf] * 4_096..][..64].fill(0xff);
        }
        std::fs::write(&path, bytes).unwrap();
        let conn = Connection::open(&path).unwrap();
        let mut keys = Vec::new();
        let holes = TABLE
            .walk(&conn, |row| {
                keys.push(row.get(0)?);
                Ok(())
            })
            .unwrap();
        assert!(keys.is_sorted_by(|a, b| a < b));
        for key in (1..2_000).map(|id| id * 3).filter(|key| !keys.contains(key)) {
            assert!(holes.iter().any(|hole| hole.contains(&key)), "{key} is missing and not told");
        }
        (keys, holes)
    }

    #[test]
    fn a_bad_leaf_costs_its_own_rows() {
        let (keys, holes) = check(&[], false);
        assert_eq!((keys.len(), holes.len()), (1_999, 0));
        for bad in [&[0][..], &[100], &[100, 101, 300], &[0, 1, 2], &[499]] {
            let (keys, _) = check(bad, false);
            // Four rows of 900 bytes to a page.
            assert!(keys.len() >= 1_999 - 4 * bad.len(), "{bad:?}: {} rows", keys.len());
            assert!(keys.len() < 1_999);
        }
    }

    #[test]
    fn a_bad_root_ends_the_walk_and_is_told() {
        let (keys, holes) = check(&[0], true);
        assert_eq!(holes.last().map(|hole| *hole.end()), Some(i64::MAX));
        assert!(keys.is_empty());
    }
}
