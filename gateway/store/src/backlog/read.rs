//! Questions of a sink's sender: what is new, what is due, how much waits. Must not write.
//!
//! Invariant: memory is bounded by what the caller asks for and one journal row.

use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::super::diary;
use super::super::error::ReadError;
use super::super::journal::Journal;
use super::super::reader::Reader;
use super::super::samples::Position;
use super::super::types::{DiaryRow, ReadSummary, Sample};
use super::{COLUMNS, DueSpan, ParkedLine, SinkPlace, SinkRow, row_of};

/// Most refused lines of one answer.
const PARKED_ROWS_MAX: u32 = 1_000;

/// One sample with the number of its series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JournalSample {
    /// Number of the series.
    pub series: u32,
    /// The sample.
    pub sample: Sample,
}

/// What was committed after some journal row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JournalPart {
    /// The last row of the part; the row asked after when nothing follows.
    pub upto_id: i64,
    /// Its samples in the order of their commits.
    pub samples: Vec<JournalSample>,
}

/// Diary entries in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiaryPart {
    /// The entries.
    pub rows: Vec<DiaryRow>,
}

/// What a series is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesNames {
    /// Id of the device.
    pub device: Arc<str>,
    /// Name of the metric.
    pub metric: Arc<str>,
}

/// How much waits for a sink; an estimate by whole commits and chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BacklogSize {
    /// Readings never sent, about.
    pub n_readings: u64,
    /// Diary entries never sent.
    pub n_diary: u64,
    /// The earliest of these readings, µs since 1970.
    pub oldest_us: Option<i64>,
    /// Rows that hold this backlog.
    pub n_spans: u64,
}

impl Reader {
    /// All sinks that the store keeps a cursor for.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn sinks(&self) -> Result<Vec<SinkRow>, ReadError> {
        let sql = format!("SELECT {COLUMNS} FROM sink ORDER BY name");
        self.with(|conn| conn.prepare(&sql)?.query_map([], row_of)?.collect())
    }

    /// Tells the folding where a sink's sender is, when the store's writer is in this process.
    pub fn set_sink_place(&self, sink: i64, place: SinkPlace) {
        if let Some(shared) = &self.shared {
            shared.sinks.set(sink, place);
        }
    }

    /// What was committed after the row `after`: whole rows until there are `n_samples` or more.
    ///
    /// # Errors
    /// The database cannot be read. A damaged row has no samples; folding tells of it.
    pub fn journal_after(&self, after: i64, n_samples: usize) -> Result<JournalPart, ReadError> {
        self.with(|conn| {
            let mut part = JournalPart { upto_id: after, samples: Vec::new() };
            let mut rows = conn.prepare("SELECT id, blob FROM journal WHERE id > ?1 ORDER BY id")?;
            let mut rows = rows.query([after])?;
            while part.samples.len() < n_samples
                && let Some(row) = rows.next()?
            {
                part.upto_id = row.get(0)?;
                let Ok(journal) = Journal::open(row.get_ref(1)?.as_blob()?) else { continue };
                let _readable_part = journal.groups(|group| {
                    let series = group.series;
                    let push = |point: super::super::types::Point| {
                        part.samples.push(JournalSample { series, sample: point.sample() });
                    };
                    let _readable_part = group.points(push);
                });
            }
            Ok(part)
        })
    }

    /// Spans that were never sent, or sent before this epoch, in that order.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn due_spans(&self, sink: i64, epoch: i64, limit: u32) -> Result<Vec<DueSpan>, ReadError> {
        self.with(|conn| {
            let mut spans = conn.prepare(
                "SELECT id, stamp, series, from_us, to_us FROM sink_span WHERE sink = ?1 AND sent_epoch < ?2
                 ORDER BY sent_epoch, sent_ms, id LIMIT ?3",
            )?;
            let spans = spans.query_map(params![sink, epoch, limit], |row| {
                Ok(DueSpan {
                    id: row.get(0)?,
                    stamp: row.get(1)?,
                    series: row.get(2)?,
                    from_us: row.get(3)?,
                    to_us: row.get(4)?,
                })
            })?;
            spans.collect()
        })
    }

    /// As [`Self::samples`], of a series by its number and with both ends included.
    ///
    /// # Errors
    /// As [`Self::samples`].
    pub fn span_samples(
        &self,
        series: u32,
        from_us: i64,
        to_us: i64,
        each: &mut dyn FnMut(Sample) -> ControlFlow<()>,
    ) -> Result<ReadSummary, ReadError> {
        let mut position = Position::new(series, &(from_us..to_us.saturating_add(1)));
        while !position.is_done() {
            for part in self.with(|conn| position.next_slice(conn))? {
                position.deliver(part, &mut |rows| rows.each(each));
            }
        }
        Ok(position.into_summary())
    }

    /// Device and metric of a series.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn series_names(&self, series: u32) -> Result<Option<SeriesNames>, ReadError> {
        self.with(|conn| {
            conn.query_row("SELECT device, metric FROM series WHERE id = ?1", [series], |row| {
                Ok(SeriesNames { device: row.get(0)?, metric: row.get(1)? })
            })
            .optional()
        })
    }

    /// Diary entries after one, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn diary_after(&self, after: i64, limit: u32) -> Result<DiaryPart, ReadError> {
        self.with(|conn| Ok(DiaryPart { rows: diary::read_after(conn, after, limit)? }))
    }

    /// How much waits for a sink.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn backlog(&self, sink: &SinkRow) -> Result<BacklogSize, ReadError> {
        self.with(|conn| {
            let tx = conn.unchecked_transaction()?;
            let journal = tx.query_row(
                "SELECT ifnull(sum(n_samples), 0), min(from_us) FROM journal WHERE id > ?1",
                [sink.journal_sent],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?)),
            )?;
            let spans = tx.query_row(
                "SELECT ifnull(sum(c.n_samples), 0), min(max(c.from_us, s.from_us)) FROM sink_span s JOIN chunk c
                 ON c.series = s.series AND c.from_us <= s.to_us AND c.to_us >= s.from_us
                 WHERE s.sink = ?1 AND s.sent_epoch = -1",
                [sink.id],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?)),
            )?;
            let count = |sql: &str, id: i64| tx.query_row(sql, [id], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned);
            let size = BacklogSize {
                n_readings: journal.0.cast_unsigned() + spans.0.cast_unsigned(),
                n_diary: count("SELECT count(*) FROM diary WHERE id > ?1", sink.diary_sent)?,
                oldest_us: journal.1.into_iter().chain(spans.1).min(),
                n_spans: count("SELECT count(*) FROM sink_span WHERE sink = ?1", sink.id)?,
            };
            tx.commit()?;
            Ok(size)
        })
    }

    /// Lines that a sink refused for good, newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn parked_lines(&self, sink: i64, limit: u32) -> Result<Vec<ParkedLine>, ReadError> {
        self.with(|conn| {
            let mut lines = conn.prepare(
                "SELECT at_us, line, reason FROM sink_parked WHERE sink = ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let lines = lines.query_map(params![sink, limit.min(PARKED_ROWS_MAX)], |row| {
                Ok(ParkedLine { at_us: row.get(0)?, line: row.get(1)?, reason: row.get(2)? })
            })?;
            lines.collect()
        })
    }
}
