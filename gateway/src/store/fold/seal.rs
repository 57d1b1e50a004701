//! Bringing points of one series into its chunks: reads and writes rows of the table `chunk`.
//!
//! Must not decide what is joined (`plan` does) nor where it is cut (`cut` does). Invariant: chunks of one series never overlap; a chunk
//! whose checksum does not hold is moved to the table `damaged`, told, and the rest goes on.

use rusqlite::{Connection, OptionalExtension, Statement, params};

use super::super::backlog;
use super::super::chunk::{Effort, Sealed, checksum};
use super::super::types::{Point, keep_latest};
use super::compact::Zeal;
use super::cut::{Piece, cut};
use super::plan::{Head, Segment, compact_segments, segments};

/// Small chunks before the first new sample that may be joined with it; more than a logarithmic number never exist.
const PREDECESSORS_MAX: i64 = 12;

/// Statements of the folding, prepared once.
#[derive(Debug)]
pub(in super::super) struct Statements<'c> {
    before: Statement<'c>,
    within: Statement<'c>,
    chunk: Statement<'c>,
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
            before: conn.prepare(
                "SELECT id, from_us, to_us, n_samples, n_bytes FROM chunk WHERE series = ?1 AND from_us < ?2
                 ORDER BY from_us DESC LIMIT ?3",
            )?,
            within: conn.prepare(
                "SELECT id, from_us, to_us, n_samples, n_bytes FROM chunk WHERE series = ?1 AND from_us BETWEEN ?2 AND ?3
                 ORDER BY from_us",
            )?,
            chunk: conn.prepare("SELECT crc32, blob FROM chunk WHERE id = ?1")?,
            drop_chunk: conn.prepare("DELETE FROM chunk WHERE id = ?1")?,
            add_chunk: conn.prepare(
                "INSERT INTO chunk (series, from_us, to_us, n_samples, n_bytes, crc32, blob)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?,
            add_damaged: conn.prepare(
                "INSERT INTO damaged (kind, series, from_us, to_us, n_samples, reason, blob)
                 VALUES ('chunk', ?1, ?2, ?3, ?4, 'checksum', ?5)",
            )?,
            last: conn.prepare("UPDATE series SET last_us = ?2, last_value = ?3, last_quality = ?4 WHERE id = ?1")?,
            leftovers: backlog::Statements::prepare(conn)?,
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

    fn add(&mut self, series: u32, points: &[Point], blob: &[u8]) -> rusqlite::Result<()> {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(()) };
        let n_samples = u32::try_from(points.len()).unwrap_or(u32::MAX);
        let n_bytes = i64::try_from(blob.len()).unwrap_or(i64::MAX);
        let crc = checksum(series, first.at_us, last.at_us, n_samples, blob);
        let values = params![series, first.at_us, last.at_us, n_samples, n_bytes, crc, blob];
        self.add_chunk.execute(values).map(drop)
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
}

/// What was done to chunks.
#[derive(Debug, Default)]
pub(in super::super) struct Written {
    pub(in super::super) n_samples: usize,
    pub(in super::super) n_damaged: u64,
}

/// Brings new points of one series into its chunks.
pub(super) fn seal(
    statements: &mut Statements<'_>,
    series: u32,
    points: &[Point],
) -> rusqlite::Result<Written> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(Written::default()) };
    let mut heads = statements.before(series, first.at_us)?;
    heads.append(&mut statements.within(series, first.at_us, last.at_us)?);
    let mut written = Written::default();
    for segment in segments(&heads, points) {
        if segment.is_dirty() {
            rewrite(statements, series, &heads, points, &segment, Effort::Quick, &mut written)?;
        }
    }
    Ok(written)
}

fn rewrite(
    statements: &mut Statements<'_>,
    series: u32,
    heads: &[Head],
    points: &[Point],
    segment: &Segment,
    rest: Effort,
    written: &mut Written,
) -> rusqlite::Result<()> {
    let mut merged = Vec::new();
    for head in heads.get(segment.heads.clone()).unwrap_or_default() {
        if !take_chunk(statements, series, head, &mut merged)? {
            written.n_damaged += 1;
        }
    }
    merged.extend_from_slice(points.get(segment.points.clone()).unwrap_or_default());
    // Two ascending runs; the sort is stable, so of one time the new sample is the later one and wins.
    merged.sort_by_key(|point| point.at_us);
    keep_latest(&mut merged);
    for Piece { points, blob } in cut(&merged, rest) {
        statements.add(series, points, &blob)?;
        written.n_samples += points.len();
    }
    Ok(())
}

/// Removes a chunk from the table and appends its points; a damaged one is set aside and `false` returned.
fn take_chunk(
    statements: &mut Statements<'_>,
    series: u32,
    head: &Head,
    points: &mut Vec<Point>,
) -> rusqlite::Result<bool> {
    let found =
        statements.chunk.query_row([head.id], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, Vec<u8>>(1)?)));
    let Some((crc, blob)) = found.optional()? else { return Ok(true) };
    let n_samples = u32::try_from(head.n_samples).unwrap_or(u32::MAX);
    let Head { from_us, to_us, .. } = *head;
    let decoded = Sealed { series, from_us, to_us, n_samples, crc, blob: &blob }.points();
    if let Ok(decoded) = &decoded {
        points.extend_from_slice(decoded);
    } else {
        statements.add_damaged.execute(params![series, head.from_us, head.to_us, n_samples, blob])?;
        tracing::error!(
            series,
            from_us = head.from_us,
            to_us = head.to_us,
            "a chunk fails its checksum and was set aside"
        );
    }
    statements.drop_chunk.execute([head.id])?;
    Ok(decoded.is_ok())
}

/// Takes chunks away but for their points from a moment on.
pub(in super::super) fn cut_off(
    statements: &mut Statements<'_>,
    series: u32,
    heads: &[Head],
    from_us: i64,
) -> rusqlite::Result<Written> {
    let mut written = Written::default();
    let mut points = Vec::new();
    for head in heads {
        if !take_chunk(statements, series, head, &mut points)? {
            written.n_damaged += 1;
        }
        points.retain(|point| point.at_us >= from_us);
    }
    for Piece { points, blob } in cut(&points, Effort::Thorough) {
        statements.add(series, points, &blob)?;
        written.n_samples += points.len();
    }
    Ok(written)
}

/// Joins the chunks of one series that are not full.
pub(super) fn compact(statements: &mut Statements<'_>, series: u32, zeal: Zeal) -> rusqlite::Result<Written> {
    let heads = statements.within(series, i64::MIN, i64::MAX)?;
    let mut written = Written::default();
    for segment in compact_segments(&heads) {
        let is_wanted = match zeal {
            Zeal::Full => segment.is_dirty(),
            Zeal::Gentle => segment.pays(&heads),
        };
        if is_wanted {
            rewrite(statements, series, &heads, &[], &segment, Effort::Thorough, &mut written)?;
        }
    }
    Ok(written)
}
