//! What the store holds and where its bytes go. Must not write.

use std::path::Path;

use rusqlite::Connection;

use super::error::ReadError;
use super::open;

/// What takes room in the database file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Kind of data.
    pub kind: &'static str,
    /// Rows.
    pub n_rows: u64,
    /// Bytes of the pages it takes, its indexes included.
    pub n_bytes: u64,
}

/// The store in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    /// Version of the schema.
    pub schema: u32,
    /// Series known.
    pub n_series: u64,
    /// Readings; one sent again and not folded yet counts twice.
    pub n_samples: u64,
    /// Readings in sealed chunks.
    pub n_chunk_samples: u64,
    /// Bytes of those chunks.
    pub chunk_bytes: u64,
    /// Earliest reading.
    pub oldest_us: Option<i64>,
    /// Latest reading.
    pub newest_us: Option<i64>,
    /// Room by kind of data, in a fixed order; together with `free_bytes` the whole database.
    pub rooms: Vec<Room>,
    /// Pages that hold nothing.
    pub free_bytes: u64,
    /// The database file.
    pub file_bytes: u64,
    /// The log beside it.
    pub log_bytes: u64,
    /// Damaged parts set aside.
    pub n_set_aside: u64,
}

impl Sizes {
    /// Bytes of database and log to a reading.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub fn bytes_per_sample(&self) -> Option<f64> {
        (self.n_samples > 0).then(|| (self.file_bytes + self.log_bytes) as f64 / self.n_samples as f64)
    }
}

/// Kinds and the tables that belong to them; indexes go with their table.
const KINDS: [(&str, &[&str]); 9] = [
    ("readings in chunks", &["chunk"]),
    ("hours and days", &["summary"]),
    ("readings in the journal", &["journal"]),
    ("diary", &["diary"]),
    ("valve events", &["valve_event"]),
    ("damaged parts set aside", &["damaged"]),
    ("versions of the farm", &["farm_version"]),
    ("what sinks have not got", &["sink", "sink_span", "sink_parked"]),
    (
        "registry and memory",
        &["series", "device", "node_mark", "node_anchor", "counter", "zone_memory", "meta"],
    ),
];

/// Measures the store in `dir`, also while a gateway writes to it. Reads every page. Blocks.
///
/// # Errors
/// The store cannot be opened or read.
pub fn measure(dir: &Path) -> Result<Sizes, ReadError> {
    let conn = open::open_reader(dir)?;
    let (file_bytes, log_bytes) = open::file_bytes_apart(dir);
    Ok(Sizes { file_bytes, log_bytes, ..read(&conn)? })
}

fn read(conn: &Connection) -> rusqlite::Result<Sizes> {
    let tx = conn.unchecked_transaction()?;
    let number = |sql: &str| tx.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned);
    let mut rooms = Vec::new();
    for (kind, tables) in KINDS {
        let mut room = Room { kind, n_rows: 0, n_bytes: 0 };
        for table in tables {
            room.n_rows += number(&format!("SELECT count(*) FROM {table}"))?;
            room.n_bytes += tx
                .query_row(
                    "SELECT ifnull(sum(pgsize), 0) FROM dbstat WHERE aggregate = TRUE AND name IN
                     (SELECT name FROM sqlite_schema WHERE tbl_name = ?1)",
                    [table],
                    |row| row.get::<_, i64>(0),
                )?
                .cast_unsigned();
        }
        rooms.push(room);
    }
    let sums = "SELECT ifnull(sum(n_samples), 0), ifnull(sum(n_bytes), 0), min(from_us), max(to_us) FROM";
    let sums = |table: &str| {
        tx.query_row(&format!("{sums} {table}"), [], |row| {
            let number = |idx| row.get::<_, i64>(idx).map(i64::cast_unsigned);
            Ok((number(0)?, number(1)?, row.get::<_, Option<i64>>(2)?, row.get::<_, Option<i64>>(3)?))
        })
    };
    let (chunks, journal) = (sums("chunk")?, sums("journal")?);
    let sizes = Sizes {
        schema: open::schema_version(),
        n_series: number("SELECT count(*) FROM series")?,
        n_samples: chunks.0 + journal.0,
        n_chunk_samples: chunks.0,
        chunk_bytes: chunks.1,
        oldest_us: [chunks.2, journal.2].into_iter().flatten().min(),
        newest_us: [chunks.3, journal.3].into_iter().flatten().max(),
        rooms,
        free_bytes: number("PRAGMA freelist_count")? * number("PRAGMA page_size")?,
        file_bytes: 0,
        log_bytes: 0,
        n_set_aside: number("SELECT count(*) FROM damaged")?,
    };
    tx.commit()?;
    Ok(sizes)
}
