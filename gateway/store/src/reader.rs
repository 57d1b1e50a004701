//! The reading side: connections that can only read, and the questions they answer.
//!
//! Readers never wait for the writer nor hold it up. All calls block: an async caller uses a blocking task. Must not write.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::buckets::Walk;
use super::catalog::{Catalog, Entry};
use super::diary;
use super::error::{OpenError, ReadError};
use super::history::Thinner;
use super::journal::Journal;
use super::open;
use super::rows::{Table, is_damage};
use super::samples::{Position, Rows, series_id};
use super::summary::coarse_until;
use super::types::{
    Anchor, Bucket, ChartPoint, DeviceRow, DiaryFilter, DiaryProof, DiaryRow, LastValue, Mark, Point,
    ReadSummary, RoomNote, Sample, SeriesInfo, StoreStats, ValveEventFilter, ValveEventRow,
};
use super::upkeep::ROOM_KEY;
use super::writer::Shared;

/// Connections kept for the next question; more exist only while more questions are asked at once.
const IDLE_CONNECTIONS_MAX: usize = 4;

/// Most valve events of one answer.
const VALVE_EVENTS_MAX: u32 = 100_000;

/// Asks the store. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Reader {
    dir: Arc<Path>,
    idle: Arc<Mutex<Vec<Connection>>>,
    /// Latest samples, known without asking when the writer is in this process.
    pub(super) shared: Option<Arc<Shared>>,
}

impl Reader {
    /// Reads the store in `dir` from outside the process that writes it.
    ///
    /// # Errors
    /// No store there, a store of another program or schema, or the system refuses.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let conn = open::open_reader(dir)?;
        Ok(Self { dir: dir.into(), idle: Arc::new(Mutex::new(vec![conn])), shared: None })
    }

    pub(super) fn inside(dir: PathBuf, shared: Arc<Shared>) -> Self {
        Self { dir: dir.into(), idle: Arc::default(), shared: Some(shared) }
    }

    /// Runs `ask` with a connection and keeps the connection for later.
    pub(super) fn with<T>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, ReadError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let conn = match kept {
            Some(conn) => conn,
            None => open::open_reader(&self.dir)?,
        };
        let answer = ask(&conn)?;
        let mut idle = idle();
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(conn);
        }
        Ok(answer)
    }

    /// All series, by device and metric.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn series(&self) -> Result<Vec<SeriesInfo>, ReadError> {
        self.with(series)
    }

    /// The data folder: temporary files of long work belong on its disk, because `/tmp` is memory on many small boards.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// True when the store has ever kept a sample of the series.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn knows(&self, device: &str, metric: &str) -> Result<bool, ReadError> {
        Ok(self.with(|conn| series_id(conn, device, metric))?.is_some())
    }

    /// About how many samples of a series lie in `range_us`, without reading them: chunks count whole, what is not in chunks yet
    /// is left out. Says what a question costs.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn n_samples_about(
        &self,
        device: &str,
        metric: &str,
        range_us: &Range<i64>,
    ) -> Result<u64, ReadError> {
        let sql = "SELECT ifnull(sum(n_samples), 0) FROM chunk
             WHERE series = (SELECT id FROM series WHERE device = ?1 AND metric = ?2) AND from_us < ?4 AND to_us >= ?3";
        let values = params![device, metric, range_us.start, range_us.end];
        self.with(|conn| Ok(conn.query_row(sql, values, |row| row.get::<_, i64>(0))?.cast_unsigned()))
    }

    /// Hands over the samples of a series in `range_us`, in time order, until `each` breaks. Memory does not grow with the
    /// range; what is written meanwhile may or may not be met.
    ///
    /// # Errors
    /// The database cannot be read. Damaged parts are no error: they are in the summary, the rest is delivered. An unknown
    /// series is an empty one.
    pub fn samples(
        &self,
        device: &str,
        metric: &str,
        range_us: Range<i64>,
        each: &mut dyn FnMut(Sample) -> ControlFlow<()>,
    ) -> Result<ReadSummary, ReadError> {
        let mut n_samples = 0;
        let summary = self.rows(device, metric, range_us, &mut |rows| {
            rows.each(&mut |sample| {
                n_samples += 1;
                each(sample)
            })
        })?;
        Ok(ReadSummary { n_samples, ..summary })
    }

    /// As [`Self::samples`], as they lie in the store and many at once: for who writes them down and computes nothing.
    ///
    /// # Errors
    /// As [`Self::samples`].
    pub fn rows(
        &self,
        device: &str,
        metric: &str,
        range_us: Range<i64>,
        each: &mut dyn FnMut(Rows<'_>) -> ControlFlow<()>,
    ) -> Result<ReadSummary, ReadError> {
        let Some(series) = self.with(|conn| series_id(conn, device, metric))? else {
            return Ok(ReadSummary::default());
        };
        let mut position = Position::new(series, &range_us);
        while !position.is_done() {
            for part in self.with(|conn| position.next_slice(conn))? {
                position.deliver(part, each);
            }
        }
        let coarse_until_us = self.with(|conn| coarse_until(conn, series, &range_us))?;
        Ok(ReadSummary { coarse_until_us, ..position.into_summary() })
    }

    /// What a series did between each two neighbours of `edges_us` (ascending); spans without a value are left out. Sealed hours are
    /// used where the edges are full UTC hours, so that a season costs little; a span's numbers do not depend on that nor on the other
    /// spans. With `rises` also what a counter counted.
    ///
    /// # Errors
    /// As [`Self::samples`].
    pub fn buckets(
        &self,
        device: &str,
        metric: &str,
        edges_us: &[i64],
        rises: bool,
    ) -> Result<(Vec<Bucket>, ReadSummary), ReadError> {
        let Some(series) = self.with(|conn| series_id(conn, device, metric))? else {
            return Ok((Vec::new(), ReadSummary::default()));
        };
        let Some(mut walk) = self.with(|conn| Walk::begin(conn, series, edges_us, rises))? else {
            return Ok((Vec::new(), ReadSummary::default()));
        };
        while !walk.is_done() {
            let parts = self.with(|conn| walk.next_slice(conn))?;
            walk.add(parts);
        }
        let (buckets, summary) = walk.finish();
        let range_us = edges_us.first().copied().unwrap_or(0)..edges_us.last().copied().unwrap_or(0);
        let coarse_until_us = self.with(|conn| coarse_until(conn, series, &range_us))?;
        Ok((buckets, ReadSummary { coarse_until_us, ..summary }))
    }

    /// At most `n_points` columns that draw a series; every extreme is kept.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn chart(
        &self,
        device: &str,
        metric: &str,
        range_us: Range<i64>,
        n_points: u32,
    ) -> Result<Vec<ChartPoint>, ReadError> {
        let mut thinner = Thinner::new(&range_us, n_points);
        self.samples(device, metric, range_us, &mut |sample| {
            thinner.add(sample);
            ControlFlow::Continue(())
        })?;
        Ok(thinner.finish())
    }

    /// The latest sample of each series of `device`, or of all.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn last_values(&self, device: Option<&str>) -> Result<Vec<LastValue>, ReadError> {
        if let Some(shared) = &self.shared {
            return Ok(shared.catalog.lock().last_values(device));
        }
        Ok(self.with(read_catalog)?.0.last_values(device))
    }

    /// All registered devices by id.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn devices(&self) -> Result<Vec<DeviceRow>, ReadError> {
        self.with(|conn| {
            collect(conn, "SELECT id, kind, label, key, created_us FROM device ORDER BY id", [], |row| {
                Ok(DeviceRow {
                    id: row.get(0)?,
                    kind: row.get(1)?,
                    label: row.get(2)?,
                    key: row.get(3)?,
                    created_us: row.get(4)?,
                })
            })
        })
    }

    /// The watermark of one node.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn mark(&self, node: &str) -> Result<Option<Mark>, ReadError> {
        self.with(|conn| {
            conn.query_row("SELECT node, epoch, seq FROM node_mark WHERE node = ?1", [node], mark_of)
                .optional()
        })
    }

    /// The watermarks of all nodes.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn marks(&self) -> Result<Vec<Mark>, ReadError> {
        self.with(marks)
    }

    /// The time anchors of one node, oldest epoch first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn anchors(&self, node: &str) -> Result<Vec<Anchor>, ReadError> {
        let sql = "SELECT node, epoch, unix_ms_at_uptime_zero, uncertainty_ms FROM node_anchor WHERE node = ?1 ORDER BY epoch";
        self.with(|conn| {
            collect(conn, sql, [node], |row| {
                Ok(Anchor {
                    node: row.get(0)?,
                    epoch: row.get(1)?,
                    unix_ms_at_uptime_zero: row.get(2)?,
                    uncertainty_ms: row.get::<_, i64>(3)?.cast_unsigned(),
                })
            })
        })
    }

    /// What the zones remember: (zone, JSON).
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn memory(&self) -> Result<BTreeMap<String, String>, ReadError> {
        self.with(|conn| {
            let rows = collect(conn, "SELECT zone, json FROM zone_memory", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
            Ok(rows.into_iter().collect())
        })
    }

    /// The value of a counter.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn counter(&self, name: &str) -> Result<Option<i64>, ReadError> {
        self.with(|conn| {
            conn.query_row("SELECT value FROM counter WHERE name = ?1", [name], |row| row.get(0)).optional()
        })
    }

    /// A setting of the gateway.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn meta(&self, key: &str) -> Result<Option<String>, ReadError> {
        self.with(|conn| {
            conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()
        })
    }

    /// What was last given up for room, if anything ever was.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn room(&self) -> Result<Option<RoomNote>, ReadError> {
        Ok(self.meta(ROOM_KEY)?.as_deref().and_then(RoomNote::parse))
    }

    /// Diary rows, newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn diary(&self, filter: &DiaryFilter) -> Result<Vec<DiaryRow>, ReadError> {
        self.with(|conn| diary::read(conn, filter))
    }

    /// Recomputes the diary's hash chain.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn verify_diary(&self) -> Result<DiaryProof, ReadError> {
        self.with(diary::verify)
    }

    /// Valve events, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn valve_events(&self, filter: &ValveEventFilter) -> Result<Vec<ValveEventRow>, ReadError> {
        let sql = "SELECT node, valve, at_us, uncertainty_us, open, command, closed_by, run_ms, volume_ml, epoch, seq
             FROM valve_event WHERE (?1 IS NULL OR node = ?1) AND (?2 IS NULL OR valve = ?2) AND at_us >= ?3 AND at_us < ?4
             ORDER BY at_us, node, epoch, seq LIMIT ?5";
        let values = params![
            filter.node,
            filter.valve,
            filter.from_us.unwrap_or(i64::MIN),
            filter.to_us.unwrap_or(i64::MAX),
            filter.limit.min(VALVE_EVENTS_MAX)
        ];
        self.with(|conn| collect(conn, sql, values, valve_event_of))
    }

    /// How full the store is.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn stats(&self) -> Result<StoreStats, ReadError> {
        let file_bytes = open::file_bytes(&self.dir);
        self.with(|conn| {
            let sums = |sql: &str| {
                conn.query_row(sql, [], |row| {
                    let number = |idx| row.get::<_, i64>(idx).map(i64::cast_unsigned);
                    Ok((number(0)?, number(1)?, number(2)?))
                })
            };
            let tx = conn.unchecked_transaction()?;
            let journal =
                sums("SELECT count(*), ifnull(sum(n_bytes), 0), ifnull(sum(n_samples), 0) FROM journal")?;
            let chunks =
                sums("SELECT count(*), ifnull(sum(n_bytes), 0), ifnull(sum(n_samples), 0) FROM chunk")?;
            let (n_series, n_damaged, _) =
                sums("SELECT (SELECT count(*) FROM series), (SELECT count(*) FROM damaged), 0")?;
            tx.commit()?;
            Ok(StoreStats {
                n_journal_rows: journal.0,
                journal_bytes: journal.1,
                n_chunks: chunks.0,
                chunk_bytes: chunks.1,
                n_samples: journal.2 + chunks.2,
                n_series,
                n_damaged,
                file_bytes,
            })
        })
    }
}

pub(super) fn collect<T>(
    conn: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    row_of: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    conn.prepare(sql)?.query_map(values, row_of)?.collect()
}

/// The watermarks of all nodes.
pub(super) fn marks(conn: &Connection) -> rusqlite::Result<Vec<Mark>> {
    collect(conn, "SELECT node, epoch, seq FROM node_mark ORDER BY node", [], mark_of)
}

fn mark_of(row: &Row<'_>) -> rusqlite::Result<Mark> {
    Ok(Mark {
        node: row.get(0)?,
        epoch: row.get(1)?,
        seq: row.get::<_, i64>(2)?.cast_unsigned(),
        after: None,
    })
}

fn valve_event_of(row: &Row<'_>) -> rusqlite::Result<ValveEventRow> {
    Ok(ValveEventRow {
        node: row.get(0)?,
        valve: row.get(1)?,
        at_us: row.get(2)?,
        uncertainty_us: row.get::<_, i64>(3)?.cast_unsigned(),
        open: row.get(4)?,
        command: row.get::<_, Option<i64>>(5)?.map(i64::cast_unsigned),
        closed_by: row.get(6)?,
        run_ms: row.get::<_, i64>(7)?.cast_unsigned(),
        volume_ml: row.get::<_, Option<i64>>(8)?.map(i64::cast_unsigned),
        epoch: row.get(9)?,
        seq: row.get::<_, i64>(10)?.cast_unsigned(),
    })
}

/// Every series with its latest sample: as of the last folding from the table, then what the journal adds. An error where not all of
/// the journal can be read: whoever writes must not go on from less.
pub(super) fn load_catalog(conn: &Connection) -> rusqlite::Result<Catalog> {
    match read_catalog(conn)? {
        (catalog, 0) => Ok(catalog),
        (_, n_holes) => {
            let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            let what = format!("{n_holes} parts of the journal cannot be read");
            Err(rusqlite::Error::SqliteFailure(corrupt, Some(what)))
        }
    }
}

/// As [`load_catalog`] from what can be read, with the number of parts of the journal that cannot.
fn read_catalog(conn: &Connection) -> rusqlite::Result<(Catalog, usize)> {
    let mut catalog = Catalog::default();
    let tx = conn.unchecked_transaction()?;
    let sql = "SELECT id, device, metric, last_us, last_value, last_quality FROM series ORDER BY id";
    let latest = |row: &Row<'_>| -> rusqlite::Result<Option<Point>> {
        let Some(at_us) = row.get::<_, Option<i64>>(3)? else { return Ok(None) };
        Ok(Some(Point::new(at_us, row.get(4)?, row.get::<_, Option<u8>>(5)?.unwrap_or(0))))
    };
    for entry in collect(&tx, sql, [], |row| {
        // A copy of what chunks have: no start fails for it, and the next reading brings another.
        let last = latest(row).or_else(|error| if is_damage(&error) { Ok(None) } else { Err(error) })?;
        Ok(Entry { id: row.get(0)?, device: row.get(1)?, metric: row.get(2)?, last })
    })? {
        catalog.load(entry);
    }
    let n_holes = for_each_journal_point(&tx, |series, point| catalog.note(series, point))?;
    // Nothing was written; after a bad page SQLite would refuse to commit even that.
    drop(tx);
    Ok((catalog, n_holes))
}

/// Hands over what can be read of the journal, and returns how many parts of it cannot.
fn for_each_journal_point(conn: &Connection, mut each: impl FnMut(u32, Point)) -> rusqlite::Result<usize> {
    let holes = Table { name: "journal", columns: "id, blob", key: "id" }.walk(conn, |row| {
        let mut is_whole = true;
        let read = Journal::open(row.get_ref(1)?.as_blob()?).and_then(|journal| {
            journal.groups(|group| is_whole &= group.points(|point| each(group.series, point)).is_ok())
        });
        if read.is_err() || !is_whole {
            tracing::warn!(journal_row = row.get::<_, i64>(0)?, "a journal row fails its checksum");
        }
        Ok(())
    })?;
    for hole in &holes {
        tracing::warn!(from = hole.start(), to = hole.end(), "rows of the journal cannot be read");
    }
    Ok(holes.len())
}

fn series(conn: &Connection) -> rusqlite::Result<Vec<SeriesInfo>> {
    let tx = conn.unchecked_transaction()?;
    let sql = "SELECT s.id, s.device, s.metric, ifnull(sum(c.n_samples), 0), min(c.from_us), max(c.to_us),
                      (SELECT min(from_us) FROM summary WHERE series = s.id),
                      (SELECT max(to_us) - 1 FROM summary WHERE series = s.id)
               FROM series s LEFT JOIN chunk c ON c.series = s.id GROUP BY s.id";
    let rows = collect(&tx, sql, [], |row| {
        let at = |column: usize| row.get::<_, Option<i64>>(column);
        let info = SeriesInfo {
            device: row.get(1)?,
            metric: row.get(2)?,
            n_samples: row.get::<_, i64>(3)?.cast_unsigned(),
            first_us: [at(4)?, at(6)?].into_iter().flatten().min(),
            last_us: [at(5)?, at(7)?].into_iter().flatten().max(),
        };
        Ok((row.get::<_, u32>(0)?, info))
    })?;
    let mut by_id: BTreeMap<u32, SeriesInfo> = rows.into_iter().collect();
    for_each_journal_point(&tx, |series, point| {
        if let Some(info) = by_id.get_mut(&series) {
            info.n_samples += 1;
            info.first_us = Some(info.first_us.map_or(point.at_us, |first_us| first_us.min(point.at_us)));
            info.last_us = Some(info.last_us.map_or(point.at_us, |last_us| last_us.max(point.at_us)));
        }
    })?;
    drop(tx);
    let mut all: Vec<SeriesInfo> = by_id.into_values().collect();
    all.sort_by(|a, b| (&a.device, &a.metric).cmp(&(&b.device, &b.metric)));
    Ok(all)
}
