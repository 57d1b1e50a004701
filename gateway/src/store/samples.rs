//! Reading one series: chunks and journal together, in time order, each time once.
//!
//! A read goes in slices. Each slice is one short transaction that collects a bounded number of samples; the caller gets them
//! after it ended, so that a slow caller neither holds back the write-ahead log nor a connection. Between two slices samples may
//! move from the journal into chunks; slices are cut by time, so none is missed or met twice.
//!
//! Must not write. Invariant: memory is bounded by [`SLICE_CHUNKS`] chunks and [`SLICE_JOURNAL`] journal samples, whatever the
//! range.

use std::ops::{ControlFlow, Range};

use rusqlite::{Connection, OptionalExtension, params};

use super::chunk;
use super::journal::Journal;
use super::types::{Gap, Point, ReadSummary, Sample, sort_latest_wins};

/// Chunks of one slice. Small in tests, so that they meet the bound.
const SLICE_CHUNKS: usize = if cfg!(test) { 2 } else { 8 };

/// Journal samples of one slice.
const SLICE_JOURNAL: usize = if cfg!(test) { 1_000 } else { 65_536 };

/// Damaged parts that are named one by one; all are counted.
const GAPS_MAX: usize = 100;

/// The number of a series, if the store knows it.
pub(super) fn series_id(conn: &Connection, device: &str, metric: &str) -> rusqlite::Result<Option<u32>> {
    conn.query_row("SELECT id FROM series WHERE device = ?1 AND metric = ?2", [device, metric], |row| {
        row.get(0)
    })
    .optional()
}

/// Where a read is.
#[derive(Debug)]
pub(super) struct Position {
    series: u32,
    from_us: i64,
    to_us: i64,
    is_done: bool,
    summary: ReadSummary,
}

impl Position {
    /// Before the first sample of `range`.
    pub(super) fn new(series: u32, range: &Range<i64>) -> Self {
        let summary = ReadSummary::default();
        Self { series, from_us: range.start, to_us: range.end, is_done: range.is_empty(), summary }
    }

    /// True when there is no further slice.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// What was met so far.
    pub(super) fn into_summary(self) -> ReadSummary {
        self.summary
    }

    /// Hands a slice over; stops for good when the caller breaks.
    pub(super) fn deliver(&mut self, points: Vec<Point>, each: &mut dyn FnMut(Sample) -> ControlFlow<()>) {
        for point in points {
            self.summary.n_samples += 1;
            if each(point.sample()).is_break() {
                self.is_done = true;
                return;
            }
        }
    }

    /// Collects the next slice in one transaction.
    pub(super) fn next_slice(&mut self, conn: &Connection) -> rusqlite::Result<Vec<Point>> {
        let tx = conn.unchecked_transaction()?;
        if self.summary == ReadSummary::default() {
            self.count_set_aside(&tx)?;
        }
        let mut slice = Slice { points: Vec::new(), end_us: self.to_us, is_whole: true };
        self.read_chunks(&tx, &mut slice)?;
        let mut newer = Vec::new();
        self.read_journal(&tx, &mut slice, &mut newer)?;
        tx.commit()?;
        let Slice { mut points, end_us, is_whole } = slice;
        // Behind the chunks' samples, so that of one time the journal's wins.
        points.append(&mut newer);
        sort_latest_wins(&mut points);
        points.truncate(points.partition_point(|point| point.at_us < end_us));
        self.from_us = end_us;
        self.is_done = is_whole;
        Ok(points)
    }

    /// Damage found earlier, by the folding, that lies in the range.
    fn count_set_aside(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let mut found = conn.prepare(
            "SELECT kind = 'chunk', from_us, to_us, n_samples FROM damaged
             WHERE (series = ?1 OR series IS NULL) AND to_us >= ?2 AND from_us < ?3 ORDER BY id",
        )?;
        let mut rows = found.query(params![self.series, self.from_us, self.to_us])?;
        while let Some(row) = rows.next()? {
            let gap =
                Gap { from_us: row.get(1)?, to_us: row.get(2)?, n_samples: row.get::<_, u32>(3)?.into() };
            self.note_gap(row.get(0)?, gap);
        }
        Ok(())
    }

    /// Counts a damaged part once, although it may reach over several slices.
    fn note_gap(&mut self, is_chunk: bool, gap: Gap) {
        if self.summary.gaps.contains(&gap) {
            return;
        }
        if is_chunk {
            self.summary.n_damaged_chunks += 1;
        } else {
            self.summary.n_damaged_journal_rows += 1;
        }
        if self.summary.gaps.len() < GAPS_MAX {
            self.summary.gaps.push(gap);
        }
    }

    fn read_chunks(&mut self, conn: &Connection, slice: &mut Slice) -> rusqlite::Result<()> {
        // Chunks do not overlap: the one that begins last before the range is the first that can reach into it.
        let mut chunks = conn.prepare(
            "SELECT from_us, to_us, n_samples, crc32, blob FROM chunk WHERE series = ?1 AND from_us < ?3 AND to_us >= ?2
             AND from_us >= ifnull((SELECT max(from_us) FROM chunk WHERE series = ?1 AND from_us <= ?2), ?2)
             ORDER BY from_us",
        )?;
        let mut rows = chunks.query(params![self.series, self.from_us, self.to_us])?;
        let mut n_chunks = 0;
        while let Some(row) = rows.next()? {
            let (from_us, to_us, n_samples): (i64, i64, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if n_chunks == SLICE_CHUNKS {
                slice.cut(from_us);
                break;
            }
            n_chunks += 1;
            let blob = row.get_ref(4)?.as_blob()?;
            match chunk::open(self.series, from_us, to_us, n_samples, row.get(3)?, blob) {
                Ok(points) => {
                    let range = self.from_us..self.to_us;
                    slice.points.extend(points.into_iter().filter(|point| range.contains(&point.at_us)));
                }
                Err(_) => self.note_gap(true, Gap { from_us, to_us, n_samples: n_samples.into() }),
            }
        }
        Ok(())
    }

    fn read_journal(
        &mut self,
        conn: &Connection,
        slice: &mut Slice,
        newer: &mut Vec<Point>,
    ) -> rusqlite::Result<()> {
        let mut journal =
            conn.prepare("SELECT from_us, to_us, n_samples, blob FROM journal WHERE to_us >= ?1 AND from_us < ?2 ORDER BY id")?;
        let mut rows = journal.query(params![self.from_us, slice.end_us])?;
        while let Some(row) = rows.next()? {
            let gap = || -> rusqlite::Result<Gap> {
                Ok(Gap { from_us: row.get(0)?, to_us: row.get(1)?, n_samples: row.get::<_, u32>(2)?.into() })
            };
            let mut is_whole = true;
            let range = self.from_us..slice.end_us;
            let read = Journal::open(row.get_ref(3)?.as_blob()?).and_then(|journal| {
                journal.groups(|group| {
                    if group.series == self.series {
                        let keep = |point: Point| {
                            if range.contains(&point.at_us) {
                                newer.push(point)
                            }
                        };
                        is_whole &= group.points(keep).is_ok();
                    }
                })
            });
            if read.is_err() || !is_whole {
                self.note_gap(false, gap()?);
            }
            if newer.len() >= 2 * SLICE_JOURNAL {
                sort_latest_wins(newer);
                if let Some(point) = newer.get(SLICE_JOURNAL) {
                    slice.cut(point.at_us);
                    newer.truncate(SLICE_JOURNAL);
                }
            }
        }
        Ok(())
    }
}

/// Samples of chunks in a part of the range.
struct Slice {
    points: Vec<Point>,
    /// Where the slice ends, exclusive.
    end_us: i64,
    /// Whether that is the end of the range.
    is_whole: bool,
}

impl Slice {
    /// Ends the slice earlier.
    fn cut(&mut self, end_us: i64) {
        self.end_us = end_us;
        self.is_whole = false;
    }
}
