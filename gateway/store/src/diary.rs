//! The diary's hash chain: how an entry becomes bytes, how a row follows from the one before, and the proof.
//!
//! hash of row N = SHA-256(hash of row N-1 ‖ canonical bytes of row N); row 1 follows 32 zero bytes. Canonical bytes of a row,
//! numbers as 8 bytes little-endian, text as its length in bytes (8 bytes little-endian) and its UTF-8 bytes, an optional
//! field as one byte 0, or 1 and the field: form number 1, id, at_us?, recorded_us, zone?, event, command?, by, person?,
//! reason, args, run_ms?, volume_ml?. Unsigned numbers are written as the 64 bits they are.
//!
//! Must not rewrite rows. Invariant: ids run from 1 without gaps, so a row that was taken out is noticed even if the hashes
//! after it were recomputed by someone who forgot the ids.

use rusqlite::{Connection, OptionalExtension, Row, Statement, params};
use sha2::{Digest, Sha256};

use super::types::{DiaryEntry, DiaryFilter, DiaryProof, DiaryRow};

/// Number of the canonical form.
const FORM: u64 = 1;

/// Most rows of one answer.
const ROWS_MAX: u32 = 10_000;

const COLUMNS: &str =
    "id, at_us, recorded_us, zone, event, command, by, person, reason, args, run_ms, volume_ml, hash";

/// The end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) id: i64,
    pub(super) hash: [u8; 32],
}

/// Hash of the row with `id` and `entry` that follows `before`.
fn hash_row(before: &[u8; 32], id: i64, entry: &DiaryEntry) -> [u8; 32] {
    let mut canonical = Canonical(Sha256::new());
    canonical.0.update(before);
    canonical.number(FORM);
    canonical.number(id.cast_unsigned());
    canonical.optional(entry.at_us.map(i64::cast_unsigned));
    canonical.number(entry.recorded_us.cast_unsigned());
    canonical.optional_text(entry.zone.as_deref());
    canonical.text(&entry.event);
    canonical.optional(entry.command);
    canonical.text(&entry.by);
    canonical.optional_text(entry.person.as_deref());
    canonical.text(&entry.reason);
    canonical.text(&entry.args);
    canonical.optional(entry.run_ms);
    canonical.optional(entry.volume_ml);
    canonical.0.finalize().into()
}

/// Writes fields into the hash in the form of the module doc.
struct Canonical(Sha256);

impl Canonical {
    fn number(&mut self, value: u64) {
        self.0.update(value.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(u64::try_from(text.len()).unwrap_or(u64::MAX));
        self.0.update(text.as_bytes());
    }

    fn optional(&mut self, value: Option<u64>) {
        self.0.update([u8::from(value.is_some())]);
        if let Some(value) = value {
            self.number(value);
        }
    }

    fn optional_text(&mut self, text: Option<&str>) {
        self.0.update([u8::from(text.is_some())]);
        if let Some(text) = text {
            self.text(text);
        }
    }
}

/// Reads the end of the chain.
pub(super) fn head(conn: &Connection) -> rusqlite::Result<Head> {
    let head = conn
        .query_row("SELECT id, hash FROM diary ORDER BY id DESC LIMIT 1", [], |row| {
            Ok(Head { id: row.get(0)?, hash: row.get(1)? })
        })
        .optional()?;
    Ok(head.unwrap_or(Head { id: 0, hash: [0; 32] }))
}

/// Prepares the statement of [`append`].
pub(super) fn prepare_append(conn: &Connection) -> rusqlite::Result<Statement<'_>> {
    conn.prepare(&format!(
        "INSERT INTO diary ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
    ))
}

/// Writes one row after `head` and returns the new end.
pub(super) fn append(
    statement: &mut Statement<'_>,
    head: Head,
    entry: &DiaryEntry,
) -> rusqlite::Result<Head> {
    let id = head.id + 1;
    let hash = hash_row(&head.hash, id, entry);
    statement.execute(params![
        id,
        entry.at_us,
        entry.recorded_us,
        entry.zone,
        entry.event,
        entry.command.map(u64::cast_signed),
        entry.by,
        entry.person,
        entry.reason,
        entry.args,
        entry.run_ms.map(u64::cast_signed),
        entry.volume_ml.map(u64::cast_signed),
        hash,
    ])?;
    Ok(Head { id, hash })
}

fn row_of(row: &Row<'_>) -> rusqlite::Result<DiaryRow> {
    Ok(DiaryRow {
        id: row.get(0)?,
        entry: DiaryEntry {
            at_us: row.get(1)?,
            recorded_us: row.get(2)?,
            zone: row.get(3)?,
            event: row.get(4)?,
            command: row.get::<_, Option<i64>>(5)?.map(i64::cast_unsigned),
            by: row.get(6)?,
            person: row.get(7)?,
            reason: row.get(8)?,
            args: row.get(9)?,
            run_ms: row.get::<_, Option<i64>>(10)?.map(i64::cast_unsigned),
            volume_ml: row.get::<_, Option<i64>>(11)?.map(i64::cast_unsigned),
        },
        hash: row.get(12)?,
    })
}

/// Rows that match, newest first.
pub(super) fn read(conn: &Connection, filter: &DiaryFilter) -> rusqlite::Result<Vec<DiaryRow>> {
    // One plan with an index for "of this zone", one for all: a single text with `?1 IS NULL OR` would scan.
    let zone = if filter.zone.is_some() { "zone = ?1" } else { "?1 IS NULL" };
    let mut statement = conn.prepare(&format!(
        "SELECT {COLUMNS} FROM diary WHERE {zone} AND id < ?2 AND recorded_us >= ?3 AND recorded_us < ?4
         AND (?6 IS NULL OR event IN (SELECT value FROM json_each(?6))) ORDER BY id DESC LIMIT ?5"
    ))?;
    let events = (!filter.events.is_empty()).then(|| serde_json::json!(filter.events).to_string());
    let rows = statement.query_map(
        params![
            filter.zone,
            filter.before_id.unwrap_or(i64::MAX),
            filter.from_us.unwrap_or(i64::MIN),
            filter.to_us.unwrap_or(i64::MAX),
            filter.limit.min(ROWS_MAX),
            events
        ],
        row_of,
    )?;
    rows.collect()
}

/// Rows after one, oldest first.
pub(super) fn read_after(conn: &Connection, after: i64, limit: u32) -> rusqlite::Result<Vec<DiaryRow>> {
    let sql = format!("SELECT {COLUMNS} FROM diary WHERE id > ?1 ORDER BY id LIMIT ?2");
    conn.prepare(&sql)?.query_map(params![after, limit.min(ROWS_MAX)], row_of)?.collect()
}

/// Recomputes the whole chain.
pub(super) fn verify(conn: &Connection) -> rusqlite::Result<DiaryProof> {
    let mut statement = conn.prepare(&format!("SELECT {COLUMNS} FROM diary ORDER BY id"))?;
    let mut rows = statement.query([])?;
    let mut head = Head { id: 0, hash: [0; 32] };
    while let Some(row) = rows.next()? {
        let expected_id = head.id + 1;
        // A row whose columns no longer have their types was changed too.
        let Ok(row) = row_of(row) else { return Ok(DiaryProof::Broken { first_bad_id: expected_id }) };
        if row.id != expected_id || hash_row(&head.hash, row.id, &row.entry) != row.hash {
            return Ok(DiaryProof::Broken { first_bad_id: expected_id });
        }
        head = Head { id: row.id, hash: row.hash };
    }
    Ok(DiaryProof::Whole { n_rows: head.id.cast_unsigned(), head: head.hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form_stays_what_it_is() {
        // The expected hash was computed by a program of its own, from the module doc.
        let entry = DiaryEntry {
            at_us: Some(1_700_000_000_000_000),
            recorded_us: 1_700_000_000_000_001,
            zone: Some("man-1".to_owned()),
            event: "started".to_owned(),
            command: Some(7),
            by: "person".to_owned(),
            person: Some("Lò Văn Minh".to_owned()),
            reason: "manual_start".to_owned(),
            args: "{\"run_s\":600}".to_owned(),
            run_ms: None,
            volume_ml: Some(u64::MAX),
        };
        let hex: String = hash_row(&[0; 32], 1, &entry).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "edf53fb1f71cc12ee85c0c144e40906f74d70e91038c779d6757eb86f898830f");
    }

    #[test]
    fn text_cannot_move_between_fields() {
        let entry = |event: &str, by: &str| DiaryEntry {
            at_us: None,
            recorded_us: 0,
            zone: None,
            event: event.to_owned(),
            command: None,
            by: by.to_owned(),
            person: None,
            reason: String::new(),
            args: "{}".to_owned(),
            run_ms: None,
            volume_ml: None,
        };
        assert_ne!(hash_row(&[0; 32], 1, &entry("ab", "c")), hash_row(&[0; 32], 1, &entry("a", "bc")));
    }
}
