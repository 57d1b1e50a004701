//! Bringing points of one series into its chunks: what is to be written is prepared without writing, and written later in one go.
//!
//! Must not decide what is joined (`plan` does) nor where it is cut (`cut` does). Invariants: chunks of one series never overlap; a chunk
//! whose checksum does not hold is moved to the table `damaged`, told, and the rest goes on; what was prepared is written only over the
//! chunks that it was prepared from.

use rusqlite::{Connection, OptionalExtension, Statement, params};

use super::super::backlog;
use super::super::chunk::{Effort, Sealed, checksum};
use super::super::types::{Point, keep_latest};
use super::compact::Zeal;
use super::cut::{Piece, cut};
use super::plan::{Head, Segment, compact_segments, segments};

/// Small chunks before the first new sample that may be joined with it; more than a logarithmic number never exist.
const PREDECESSORS_MAX: i64 = 12;

/// Statements that look for what is to be rewritten, prepared once.
#[derive(Debug)]
pub(super) struct Finding<'c> {
    before: Statement<'c>,
    within: Statement<'c>,
    chunk: Statement<'c>,
}

impl<'c> Finding<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            before: conn.prepare(
                "SELECT id, from_us, to_us, n_samples, n_bytes FROM chunk WHERE series = ?1 AND from_us < ?2
                 ORDER BY from_us DESC LIMIT ?3",
            )?,
            within: conn.prepare(
                "SELECT id, from_us, to_us, n_samples, n_bytes FROM chunk WHERE series = ?1 AND from_us BETWEEN ?2 AND ?3
                 ORDER BY from_us",
            )?,
            chunk: conn.prepare("SELECT crc32, blob FROM chunk WHERE id = ?1")?,
        })
    }

    /// The chunk that begins last before `from_us` and small ones before it, ascending.
    fn before(&mut self, series: u32, from_us: i64) -> rusqlite::Result<Vec<Head>> {
        let heads = self.before.query_map(params![series, from_us, PREDECESSORS_MAX], Head::from_row)?;
        let mut heads = heads.collect::<rusqlite::Result<Vec<Head>>>()?;
        heads.reverse();
        Ok(heads)
    }

    /// Chunks that begin within a range, both ends included.
    fn within(&mut self, series: u32, from_us: i64, to_us: i64) -> rusqlite::Result<Vec<Head>> {
        self.within.query_map(params![series, from_us, to_us], Head::from_row)?.collect()
    }
}

/// Statements of the folding, prepared once.
#[derive(Debug)]
pub(in super::super) struct Statements<'c> {
    finding: Finding<'c>,
    drop_chunk: Statement<'c>,
    add_chunk: Statement<'c>,
    add_damaged: Statement<'c>,
    last: Statement<'c>,
    /// What sinks have not got.
    pub(super) leftovers: backlog::Statements<'c>,
}

impl<'c> Statements<'c> {
    pub(in super::super) fn prepare(conn: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            finding: Finding::prepare(conn)?,
            drop_chunk: conn.prepare("DELETE FROM chunk WHERE id = ?1")?,
            add_chunk: conn.prepare(
                "INSERT INTO chunk (series, from_us, to_us, n_samples, n_bytes, crc32, blob)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?,
            add_damaged: conn.prepare(
                "INSERT INTO damaged (kind, series, from_us, to_us, n_samples, reason, blob)
                 VALUES ('chunk', ?1, ?2, ?3, ?4, 'checksum', ?5)",
            )?,
            last: conn.prepare(
                "UPDATE series SET last_us = ?2, last_value = ?3, last_quality = ?4 WHERE id = ?1",
            )?,
            leftovers: backlog::Statements::prepare(conn)?,
        })
    }

    /// Keeps the latest sample of a series, as far as it is folded.
    pub(super) fn set_last(
        &mut self,
        series: u32,
        at_us: i64,
        value: Option<f64>,
        quality: u8,
    ) -> rusqlite::Result<()> {
        self.last.execute(params![series, at_us, value, quality]).map(drop)
    }

    /// Writes what was prepared. An error when a chunk that it takes the place of is gone: then the whole transaction is worth nothing.
    pub(super) fn write(&mut self, series: u32, change: &Change) -> rusqlite::Result<()> {
        for DamagedChunk { head, blob } in &change.damaged {
            let n_samples = u32::try_from(head.n_samples).unwrap_or(u32::MAX);
            self.add_damaged.execute(params![series, head.from_us, head.to_us, n_samples, blob])?;
            tracing::error!(
                series,
                from_us = head.from_us,
                to_us = head.to_us,
                "a chunk fails its checksum and was set aside"
            );
        }
        for id in &change.drops {
            if self.drop_chunk.execute([id])? != 1 {
                return Err(rusqlite::Error::StatementChangedRows(0));
            }
        }
        for chunk in &change.adds {
            let NewChunk { from_us, to_us, n_samples, crc, blob } = chunk;
            let n_bytes = i64::try_from(blob.len()).unwrap_or(i64::MAX);
            self.add_chunk.execute(params![series, from_us, to_us, n_samples, n_bytes, crc, blob])?;
        }
        Ok(())
    }
}

/// What is to be done to the chunks of one series.
#[derive(Debug, Default)]
pub(super) struct Change {
    drops: Vec<i64>,
    damaged: Vec<DamagedChunk>,
    adds: Vec<NewChunk>,
    /// Samples of the chunks that are written.
    pub(super) n_samples: usize,
}

#[derive(Debug)]
struct DamagedChunk {
    head: Head,
    blob: Vec<u8>,
}

#[derive(Debug)]
struct NewChunk {
    from_us: i64,
    to_us: i64,
    n_samples: u32,
    crc: u32,
    blob: Vec<u8>,
}

impl Change {
    fn add(&mut self, series: u32, points: &[Point], blob: Vec<u8>) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let (from_us, to_us) = (first.at_us, last.at_us);
        let n_samples = u32::try_from(points.len()).unwrap_or(u32::MAX);
        let crc = checksum(series, from_us, to_us, n_samples, &blob);
        self.adds.push(NewChunk { from_us, to_us, n_samples, crc, blob });
        self.n_samples += points.len();
    }

    /// Takes the place of a chunk and appends its points; a damaged one is set aside.
    fn take(
        &mut self,
        finding: &mut Finding<'_>,
        series: u32,
        head: &Head,
        points: &mut Vec<Point>,
    ) -> rusqlite::Result<()> {
        let found =
            finding.chunk.query_row([head.id], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, Vec<u8>>(1)?)));
        let Some((crc, blob)) = found.optional()? else { return Ok(()) };
        let n_samples = u32::try_from(head.n_samples).unwrap_or(u32::MAX);
        let Head { from_us, to_us, .. } = *head;
        match (Sealed { series, from_us, to_us, n_samples, crc, blob: &blob }).points() {
            Ok(decoded) => points.extend_from_slice(&decoded),
            Err(_) => self.damaged.push(DamagedChunk { head: *head, blob }),
        }
        self.drops.push(head.id);
        Ok(())
    }

    fn rewrite(
        &mut self,
        finding: &mut Finding<'_>,
        series: u32,
        heads: &[Head],
        points: &[Point],
        rest: Effort,
    ) -> rusqlite::Result<()> {
        let mut merged = Vec::with_capacity(points.len());
        for head in heads {
            self.take(finding, series, head, &mut merged)?;
        }
        merged.extend_from_slice(points);
        // Two ascending runs; the sort is stable, so of one time the new sample is the later one and wins.
        merged.sort_by_key(|point| point.at_us);
        keep_latest(&mut merged);
        for Piece { points, blob } in cut(&merged, rest) {
            self.add(series, points, blob);
        }
        Ok(())
    }
}

/// Prepares bringing new points of one series into its chunks.
pub(super) fn seal(finding: &mut Finding<'_>, series: u32, points: &[Point]) -> rusqlite::Result<Change> {
    let mut change = Change::default();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(change) };
    let mut heads = finding.before(series, first.at_us)?;
    heads.append(&mut finding.within(series, first.at_us, last.at_us)?);
    for segment in segments(&heads, points) {
        if segment.is_dirty() {
            let points = points.get(segment.points.clone()).unwrap_or_default();
            change.rewrite(finding, series, of(&segment, &heads), points, Effort::Quick)?;
        }
    }
    Ok(change)
}

fn of<'h>(segment: &Segment, heads: &'h [Head]) -> &'h [Head] {
    heads.get(segment.heads.clone()).unwrap_or_default()
}

/// Takes chunks away but for their points from a moment on; how many samples stay.
pub(in super::super) fn cut_off(
    statements: &mut Statements<'_>,
    series: u32,
    heads: &[Head],
    from_us: i64,
) -> rusqlite::Result<usize> {
    let mut change = Change::default();
    let mut points = Vec::new();
    for head in heads {
        change.take(&mut statements.finding, series, head, &mut points)?;
        points.retain(|point| point.at_us >= from_us);
    }
    for Piece { points, blob } in cut(&points, Effort::Thorough) {
        change.add(series, points, blob);
    }
    statements.write(series, &change)?;
    Ok(change.n_samples)
}

/// Joins the chunks of one series that are not full; how many samples were written.
pub(super) fn compact(statements: &mut Statements<'_>, series: u32, zeal: Zeal) -> rusqlite::Result<usize> {
    let heads = statements.finding.within(series, i64::MIN, i64::MAX)?;
    let mut n_samples = 0;
    for segment in compact_segments(&heads) {
        let is_wanted = match zeal {
            Zeal::Full => segment.is_dirty(),
            Zeal::Gentle => segment.pays(&heads),
        };
        if is_wanted {
            let mut change = Change::default();
            change.rewrite(&mut statements.finding, series, of(&segment, &heads), &[], Effort::Thorough)?;
            statements.write(series, &change)?;
            n_samples += change.n_samples;
        }
    }
    Ok(n_samples)
}
