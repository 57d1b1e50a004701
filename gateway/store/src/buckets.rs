//! Reading one series span by span: hours and days where readings were given up, sealed hours where they do, points where they must.
//!
//! A span depends on the sample before it (which holds into it, and from which a counter rises) and on the one after it (until which its
//! last value holds), so a walk begins before the first edge and ends behind the last. Must not write. Memory is bounded as in `samples`,
//! and by the number of spans.

use rusqlite::{Connection, OptionalExtension, params};

use super::chunk::hours::Hours;
use super::samples::{Part, Position};
use super::summary::Summaries;
use super::tally::{HOLD_MAX_US, HOUR_US, Spans, Tallier, Tally};
use super::types::{Bucket, ReadSummary, join_ranges};

/// A read on its way.
#[derive(Debug)]
pub(super) struct Walk<'e> {
    edges: &'e [i64],
    rises: bool,
    position: Position,
    tallier: Tallier<'e>,
    summaries: Summaries,
    /// Points before are in a span that was counted.
    summed_us: i64,
    /// Points that are in such a span, and therefore not counted again.
    n_summed: u64,
    /// Spans that lie across an edge: from the first to the end of the last.
    cut_us: Option<(i64, i64)>,
    by_points: bool,
}

impl<'e> Walk<'e> {
    /// Before the first sample that counts; `None` when there is no span.
    pub(super) fn begin(
        conn: &Connection,
        series: u32,
        edges: &'e [i64],
        rises: bool,
    ) -> rusqlite::Result<Option<Self>> {
        let (Some(first), Some(last)) = (edges.first().copied(), edges.last().copied()) else {
            return Ok(None);
        };
        if first >= last {
            return Ok(None);
        }
        let mut from_us = first.saturating_sub(HOLD_MAX_US);
        from_us = chunk_before(conn, series, from_us.saturating_add(1))?.unwrap_or(from_us);
        while rises && !has_value(conn, series, from_us, first)? {
            from_us = match chunk_before(conn, series, from_us)? {
                Some(earlier) => earlier,
                None if from_us == i64::MIN => break,
                None => match span_row_before(conn, series, first)? {
                    // What was counted before readings were given up is in their spans; what came late is behind them, in the journal.
                    Some(row_us) => {
                        from_us = from_us.min(row_us);
                        break;
                    }
                    None => i64::MIN,
                },
            };
        }
        let to_us = last.saturating_add(HOLD_MAX_US).saturating_add(1);
        let position = Position::new(series, &(from_us..to_us));
        let tallier = Tallier::new(Spans::Edges(edges));
        let summaries = Summaries::before(conn, series, from_us)?;
        let by_points = false;
        Ok(Some(Self {
            edges,
            rises,
            position,
            tallier,
            summaries,
            summed_us: i64::MIN,
            n_summed: 0,
            cut_us: None,
            by_points,
        }))
    }

    /// As [`Self::begin`] with rises, but never by the hours of a chunk: for sums that are to be kept.
    pub(super) fn by_points(
        conn: &Connection,
        series: u32,
        edges: &'e [i64],
    ) -> rusqlite::Result<Option<Self>> {
        Ok(Self::begin(conn, series, edges, true)?.map(|walk| Self { by_points: true, ..walk }))
    }

    /// True when nothing follows.
    pub(super) fn is_done(&self) -> bool {
        self.position.is_done()
    }

    /// Collects the next slice.
    pub(super) fn next_slice(&mut self, conn: &Connection) -> rusqlite::Result<Vec<Part>> {
        let parts = self.position.next_slice(conn)?;
        self.summaries.read_until(conn, self.position.reached_us())?;
        Ok(parts)
    }

    /// Counts a slice.
    pub(super) fn add(&mut self, parts: Vec<Part>) {
        for part in parts {
            if self.add_hours(&part) {
                continue;
            }
            for point in self.position.open(part) {
                self.add_spans(point.at_us);
                if point.at_us < self.summed_us {
                    self.n_summed += 1;
                } else {
                    self.tallier.add(&point);
                }
            }
        }
        if self.is_done() {
            self.add_spans(i64::MAX);
        }
    }

    /// Counts the spans that begin up to a moment.
    fn add_spans(&mut self, upto_us: i64) {
        while let Some(span) = self.summaries.next_until(upto_us) {
            // Of spans that lie over each other, after a change of the farm's offset from UTC, the first counts.
            if span.tally.from_us >= self.summed_us {
                let is_merged = self.tallier.add_span(&span.tally, span.span_us);
                let is_asked_for = self.edges.first().is_some_and(|first| span.end_us() > *first)
                    && self.edges.last().is_some_and(|last| span.tally.from_us < *last);
                if !is_merged && is_asked_for && span.tally.n_values > 0 {
                    self.cut_us = join_ranges(self.cut_us, Some((span.tally.from_us, span.end_us())));
                }
                self.summed_us = span.end_us();
            }
        }
    }

    /// Counts a chunk by its hours; `false` when it must be unpacked.
    fn add_hours(&mut self, part: &Part) -> bool {
        let Part::Chunk(chunk) = part else { return false };
        if self.by_points {
            return false;
        }
        self.add_spans(chunk.from_us);
        if self.summed_us > chunk.from_us || self.summaries.begins_by(chunk.to_us) {
            return false;
        }
        if !self.are_hours_whole(chunk.from_us, chunk.to_us) {
            return false;
        }
        // A damaged chunk is noted when it is unpacked.
        let Ok(Some(hours)) = chunk.sealed(self.position.series).hours() else { return false };
        let is_whole = |hours: &Hours| hours.from_us == chunk.from_us && hours.to_us == chunk.to_us;
        is_whole(&hours) && (hours.is_counter || !self.rises) && self.tallier.add_hours(&hours)
    }

    /// True when no edge cuts an hour between two samples of a chunk.
    fn are_hours_whole(&self, from_us: i64, to_us: i64) -> bool {
        let within = self.edges.partition_point(|edge| *edge <= from_us)
            ..self.edges.partition_point(|edge| *edge <= to_us);
        let within = self.edges.get(within).unwrap_or_default();
        within.iter().all(|edge| edge.rem_euclid(HOUR_US) == 0)
    }

    /// The spans as they are to be kept, and how many points were in a span already.
    pub(super) fn finish_tallies(self) -> (Vec<Tally>, u64) {
        (self.tallier.finish_tallies(), self.n_summed)
    }

    /// The spans that hold a value.
    pub(super) fn finish(mut self) -> (Vec<Bucket>, ReadSummary) {
        for gap in std::mem::take(&mut self.summaries.gaps) {
            self.position.note_gap(true, gap);
        }
        let mut buckets = self.tallier.finish();
        if !self.rises {
            buckets.iter_mut().for_each(|bucket| bucket.rise = None);
        }
        let n_samples = buckets.iter().map(|bucket| bucket.n_values).sum();
        (buckets, ReadSummary { n_samples, cut_us: self.cut_us, ..self.position.into_summary() })
    }
}

/// Where the last chunk begins that begins before `at_us`.
fn chunk_before(conn: &Connection, series: u32, at_us: i64) -> rusqlite::Result<Option<i64>> {
    let mut found =
        conn.prepare_cached("SELECT max(from_us) FROM chunk WHERE series = ?1 AND from_us < ?2")?;
    Ok(found.query_row(params![series, at_us], |row| row.get(0)).optional()?.flatten())
}

/// Where the last row of spans begins that begins before a moment.
fn span_row_before(conn: &Connection, series: u32, at_us: i64) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT max(from_us) FROM summary WHERE series = ?1 AND from_us < ?2")?
        .query_row(params![series, at_us], |row| row.get(0))
}

/// True when the series has a value in a range.
fn has_value(conn: &Connection, series: u32, from_us: i64, to_us: i64) -> rusqlite::Result<bool> {
    let mut position = Position::new(series, &(from_us..to_us));
    while !position.is_done() {
        for part in position.next_slice(conn)? {
            // Hours are only kept where the first point has a value.
            if let Part::Chunk(chunk) = &part
                && chunk.from_us >= from_us
                && matches!(chunk.sealed(series).hours(), Ok(Some(_)))
            {
                return Ok(true);
            }
            let points = position.open(part);
            if points.iter().any(|point| (from_us..to_us).contains(&point.at_us) && !point.is_missing()) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
