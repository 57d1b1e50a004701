//! Reading one series: chunks and journal together, in time order, each time once.
//!
//! A read goes in slices. Each slice is one short transaction that collects a bounded number of samples; the caller gets them
//! after it ended, so that a slow caller neither holds back the write-ahead log nor a connection. Between two slices samples may
//! move from the journal into chunks; slices are cut by time, so none is missed or met twice.
//!
//! Must not write. Invariant: memory is bounded by [`SLICE_CHUNKS`] chunks and [`SLICE_JOURNAL`] journal samples, whatever the
//! range.

use std::ops::{ControlFlow, Range};

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::chunk::{Content, Sealed};
use super::decimal;
use super::journal::Journal;
use super::rows::{Table, is_damage};
use super::types::{Gap, Point, ReadSummary, Sample, sort_latest_wins};

/// Chunks of one slice. Small in tests, so that they meet the bound.
const SLICE_CHUNKS: usize = if cfg!(test) { 2 } else { 4 };

/// Journal samples of one slice.
const SLICE_JOURNAL: usize = if cfg!(test) { 1_000 } else { 65_536 };

/// Damaged parts that are named one by one; all are counted.
const GAPS_MAX: usize = 100;

/// The number of a series, if the store knows it.
pub(super) fn series_id(conn: &Connection, device: &str, metric: &str) -> rusqlite::Result<Option<u32>> {
    let mut series = conn.prepare_cached("SELECT id FROM series WHERE device = ?1 AND metric = ?2")?;
    series.query_row([device, metric], |row| row.get(0)).optional()
}

/// Consecutive samples of one series, ascending; there may be none. Decimals come some thousand at once at most.
#[derive(Debug, Clone, Copy)]
pub enum Rows<'r> {
    /// As they mostly lie in the store: every value there, good and a decimal.
    Decimals {
        /// Times, µs.
        at_us: &'r [i64],
        /// The values, one a time, as whole numbers of 10^-`scale`.
        mantissas: &'r [i64],
        /// Number of decimals, four at most.
        scale: u8,
    },
    /// Any others.
    Samples(&'r [Sample]),
}

impl Rows<'_> {
    /// Hands them over one by one.
    pub fn each(&self, each: &mut dyn FnMut(Sample) -> ControlFlow<()>) -> ControlFlow<()> {
        match *self {
            Self::Samples(samples) => samples.iter().try_for_each(|sample| each(*sample)),
            Self::Decimals { at_us, mantissas, scale } => {
                let Some(join) = decimal::joiner(scale) else { return ControlFlow::Continue(()) };
                at_us.iter().zip(mantissas).try_for_each(|(at_us, mantissa)| {
                    each(Sample { at_us: *at_us, value: Some(join(*mantissa)), quality: 0 })
                })
            }
        }
    }
}

fn len_of<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

/// Where a read is.
#[derive(Debug)]
pub(super) struct Position {
    pub(super) series: u32,
    range: Range<i64>,
    /// Everything before was delivered.
    from_us: i64,
    has_begun: bool,
    is_done: bool,
    is_stopped: bool,
    summary: ReadSummary,
}

impl Position {
    /// Before the first sample of `range`.
    pub(super) fn new(series: u32, range: &Range<i64>) -> Self {
        Self {
            series,
            range: range.clone(),
            from_us: range.start,
            has_begun: false,
            is_done: range.is_empty(),
            is_stopped: false,
            summary: ReadSummary::default(),
        }
    }

    /// True when there is no further slice.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Everything before was collected.
    pub(super) fn reached_us(&self) -> i64 {
        if self.is_done { self.range.end } else { self.from_us }
    }

    /// What was met so far.
    pub(super) fn into_summary(self) -> ReadSummary {
        self.summary
    }

    /// Hands a part over; stops for good when the caller breaks.
    pub(super) fn deliver(&mut self, part: Part, each: &mut dyn FnMut(Rows<'_>) -> ControlFlow<()>) {
        if self.is_stopped {
            return;
        }
        let content = match part {
            Part::Points(points) => Content::Points(points),
            Part::Chunk(chunk) => self.content(&chunk),
        };
        let range = &self.range;
        let flow = match content {
            Content::Decimals(decimals) => {
                let scale = decimals.scale;
                decimals.each_part(range, |at_us, mantissas| {
                    self.summary.n_samples += len_of(at_us);
                    each(Rows::Decimals { at_us, mantissas, scale })
                })
            }
            Content::Points(points) => {
                let inside = points.iter().filter(|point| range.contains(&point.at_us));
                let samples: Vec<Sample> = inside.map(|point| point.sample()).collect();
                self.summary.n_samples += len_of(&samples);
                each(Rows::Samples(&samples))
            }
        };
        if flow.is_break() {
            (self.is_stopped, self.is_done) = (true, true);
        }
    }

    /// What a chunk holds; a damaged one holds nothing and is noted.
    fn content(&mut self, chunk: &PackedChunk) -> Content {
        chunk.sealed(self.series).content().unwrap_or_else(|_| {
            self.note_gap(true, chunk.gap());
            Content::Points(Vec::new())
        })
    }

    /// The points of a part; a damaged chunk has none and is noted.
    pub(super) fn open(&mut self, part: Part) -> Vec<Point> {
        match part {
            Part::Points(points) => points,
            Part::Chunk(chunk) => chunk.sealed(self.series).points().unwrap_or_else(|_| {
                self.note_gap(true, chunk.gap());
                Vec::new()
            }),
        }
    }

    /// Collects the next slice in one transaction: parts in order of time that do not overlap. Chunks come whole, also where they reach
    /// out of the range.
    pub(super) fn next_slice(&mut self, conn: &Connection) -> rusqlite::Result<Vec<Part>> {
        let tx = conn.unchecked_transaction()?;
        let is_first = !self.has_begun;
        if is_first {
            self.count_set_aside(&tx)?;
            self.has_begun = true;
        }
        let mut slice = Slice { end_us: self.range.end, is_whole: true };
        let chunks = match self.read_chunks(&tx, &mut slice) {
            Err(error) if is_damage(&error) => {
                slice = Slice { end_us: self.range.end, is_whole: true };
                self.read_chunks_apart(&tx, &mut slice)?
            }
            read => read?,
        };
        let mut newer = Vec::new();
        match self.read_journal(&tx, &mut slice, &mut newer) {
            Err(error) if is_damage(&error) => {
                newer.clear();
                self.read_journal_apart(&tx, &mut slice, &mut newer)?;
            }
            read => read?,
        }
        // Nothing was written; after a bad page SQLite would refuse to commit even that.
        drop(tx);
        sort_latest_wins(&mut newer);
        newer.truncate(newer.partition_point(|point| point.at_us < slice.end_us));
        let parts = self.merge(chunks, newer, &slice, is_first);
        self.from_us = slice.end_us;
        self.is_done = slice.is_whole;
        Ok(parts)
    }

    /// Puts chunks and newer points in order; where they mix, the newer point of one time wins.
    fn merge(
        &mut self,
        chunks: Vec<PackedChunk>,
        newer: Vec<Point>,
        slice: &Slice,
        is_first: bool,
    ) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut newer = newer.as_slice();
        let mut take = |upto: &dyn Fn(&Point) -> bool| {
            let (taken, rest) = newer.split_at(newer.partition_point(upto));
            newer = rest;
            taken
        };
        for chunk in chunks {
            let before = take(&|point| point.at_us < chunk.from_us);
            if !before.is_empty() {
                parts.push(Part::Points(before.to_vec()));
            }
            let within = take(&|point| point.at_us <= chunk.to_us);
            let is_cut =
                !is_first && chunk.from_us < self.from_us || !slice.is_whole && chunk.to_us >= slice.end_us;
            if within.is_empty() && !is_cut {
                parts.push(Part::Chunk(chunk));
                continue;
            }
            let mut points = self.open(Part::Chunk(chunk));
            points.extend_from_slice(within);
            sort_latest_wins(&mut points);
            if is_cut {
                let range = self.from_us..slice.end_us;
                points.retain(|point| range.contains(&point.at_us));
            }
            parts.push(Part::Points(points));
        }
        if !newer.is_empty() {
            parts.push(Part::Points(newer.to_vec()));
        }
        parts
    }

    /// Damage found earlier, by the folding, that lies in the range.
    fn count_set_aside(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let mut found = conn.prepare_cached(
            "SELECT kind = 'chunk', from_us, to_us, n_samples FROM damaged
             WHERE (series = ?1 OR series IS NULL) AND to_us >= ?2 AND from_us < ?3 ORDER BY id",
        )?;
        let mut rows = found.query(params![self.series, self.range.start, self.range.end])?;
        while let Some(row) = rows.next()? {
            let gap = Gap {
                from_us: row.get(1)?,
                to_us: row.get(2)?,
                n_samples: row.get::<_, u32>(3)?.into(),
                is_set_aside: true,
            };
            self.note_gap(row.get(0)?, gap);
        }
        Ok(())
    }

    /// Counts a damaged part once, although it may reach over several slices.
    pub(super) fn note_gap(&mut self, is_chunk: bool, gap: Gap) {
        if self.summary.gaps.contains(&gap) {
            return;
        }
        self.summary.n_set_aside += u64::from(gap.is_set_aside);
        if is_chunk {
            self.summary.n_damaged_chunks += 1;
        } else {
            self.summary.n_damaged_journal_rows += 1;
        }
        if self.summary.gaps.len() < GAPS_MAX {
            self.summary.gaps.push(gap);
        }
    }

    fn read_chunks(&self, conn: &Connection, slice: &mut Slice) -> rusqlite::Result<Vec<PackedChunk>> {
        // Chunks do not overlap: the one that begins last before the range is the first that can reach into it.
        let mut chunks = conn.prepare_cached(
            "SELECT from_us, to_us, n_samples, crc32, blob FROM chunk WHERE series = ?1 AND from_us < ?3 AND to_us >= ?2
             AND from_us >= ifnull((SELECT max(from_us) FROM chunk WHERE series = ?1 AND from_us <= ?2), ?2)
             ORDER BY from_us",
        )?;
        let mut rows = chunks.query(params![self.series, self.from_us, self.range.end])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let from_us = row.get(0)?;
            if found.len() == SLICE_CHUNKS {
                slice.cut(from_us);
                break;
            }
            found.push(PackedChunk {
                from_us,
                to_us: row.get(1)?,
                n_samples: row.get(2)?,
                crc: row.get(3)?,
                blob: row.get(4)?,
            });
        }
        Ok(found)
    }

    /// As [`Self::read_chunks`] where a page is bad: the index by time leads to each chunk, and one that cannot be read is noted.
    fn read_chunks_apart(
        &mut self,
        conn: &Connection,
        slice: &mut Slice,
    ) -> rusqlite::Result<Vec<PackedChunk>> {
        let mut heads = conn.prepare(
            "SELECT id, from_us, to_us, n_samples FROM chunk INDEXED BY chunk_by_time
             WHERE series = ?1 AND from_us < ?3 AND to_us >= ?2 ORDER BY from_us",
        )?;
        let mut body = conn.prepare("SELECT crc32, blob FROM chunk WHERE id = ?1")?;
        let mut heads = heads.query(params![self.series, self.from_us, self.range.end])?;
        let mut found = Vec::new();
        while let Some(head) = heads.next()? {
            let (from_us, to_us, n_samples): (i64, i64, u32) = (head.get(1)?, head.get(2)?, head.get(3)?);
            if found.len() == SLICE_CHUNKS {
                slice.cut(from_us);
                break;
            }
            let read = body.query_row([head.get::<_, i64>(0)?], |row| Ok((row.get(0)?, row.get(1)?)));
            match read {
                Ok((crc, blob)) => found.push(PackedChunk { from_us, to_us, n_samples, crc, blob }),
                Err(error) if is_damage(&error) => {
                    let gap = Gap { from_us, to_us, n_samples: n_samples.into(), is_set_aside: false };
                    self.note_gap(true, gap);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn read_journal(
        &mut self,
        conn: &Connection,
        slice: &mut Slice,
        newer: &mut Vec<Point>,
    ) -> rusqlite::Result<()> {
        let mut journal =
            conn.prepare_cached("SELECT id, from_us, to_us, n_samples, blob FROM journal WHERE to_us >= ?1 AND from_us < ?2 ORDER BY id")?;
        let mut rows = journal.query(params![self.from_us, slice.end_us])?;
        while let Some(row) = rows.next()? {
            self.read_journal_row(row, slice, newer)?;
        }
        Ok(())
    }

    /// As [`Self::read_journal`] where a page is bad: what lies on it is noted by the times of the commits beside it.
    fn read_journal_apart(
        &mut self,
        conn: &Connection,
        slice: &mut Slice,
        newer: &mut Vec<Point>,
    ) -> rusqlite::Result<()> {
        let mut met: Vec<(i64, i64, i64)> = Vec::new();
        let table = Table { name: "journal", columns: "id, from_us, to_us, n_samples, blob", key: "id" };
        let holes = table.walk(conn, |row| {
            let (from_us, to_us): (i64, i64) = (row.get(1)?, row.get(2)?);
            met.push((row.get(0)?, from_us, to_us));
            if to_us < self.from_us || from_us >= slice.end_us {
                return Ok(());
            }
            self.read_journal_row(row, slice, newer)
        })?;
        for hole in holes {
            let before = met.iter().rev().find(|(id, _, _)| id < hole.start()).map(|(_, _, to_us)| *to_us);
            let after = met.iter().find(|(id, _, _)| id > hole.end()).map(|(_, from_us, _)| *from_us);
            // The same whatever range is asked for, unless nothing is left.
            let from_us = before.or(after).unwrap_or(self.range.start);
            let to_us = after.or(before).unwrap_or(self.range.end).max(from_us);
            self.note_gap(false, Gap { from_us, to_us, n_samples: 0, is_set_aside: false });
        }
        Ok(())
    }

    /// The points of a row (id, times, number of samples, blob) that lie in the slice.
    fn read_journal_row(
        &mut self,
        row: &Row<'_>,
        slice: &mut Slice,
        newer: &mut Vec<Point>,
    ) -> rusqlite::Result<()> {
        let mut is_whole = true;
        let range = self.from_us..slice.end_us;
        let read = Journal::open(row.get_ref(4)?.as_blob()?).and_then(|journal| {
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
            let n_samples = row.get::<_, u32>(3)?.into();
            let gap = Gap { from_us: row.get(1)?, to_us: row.get(2)?, n_samples, is_set_aside: false };
            self.note_gap(false, gap);
        }
        if newer.len() >= 2 * SLICE_JOURNAL {
            sort_latest_wins(newer);
            if let Some(point) = newer.get(SLICE_JOURNAL) {
                slice.cut(point.at_us);
                newer.truncate(SLICE_JOURNAL);
            }
        }
        Ok(())
    }
}

/// What a slice is made of.
#[derive(Debug)]
pub(super) enum Part {
    /// A chunk nothing newer lies within.
    Chunk(PackedChunk),
    /// Points, ascending.
    Points(Vec<Point>),
}

/// A chunk off the disk, nothing of it checked.
#[derive(Debug)]
pub(super) struct PackedChunk {
    pub(super) from_us: i64,
    pub(super) to_us: i64,
    n_samples: u32,
    crc: u32,
    blob: Vec<u8>,
}

impl PackedChunk {
    /// As the chunk of a series.
    pub(super) fn sealed(&self, series: u32) -> Sealed<'_> {
        let Self { from_us, to_us, n_samples, crc, blob } = self;
        Sealed { series, from_us: *from_us, to_us: *to_us, n_samples: *n_samples, crc: *crc, blob }
    }

    fn gap(&self) -> Gap {
        let Self { from_us, to_us, n_samples, .. } = *self;
        Gap { from_us, to_us, n_samples: n_samples.into(), is_set_aside: false }
    }
}

/// A part of the range.
struct Slice {
    /// Where it ends, exclusive.
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
