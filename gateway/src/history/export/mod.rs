//! The history as a file to take away: readings one a row, or spans of the calendar with the series side by side.
//!
//! | file | what |
//! |---|---|
//! | [`text`] | CSV that spreadsheet programs and people read alike |
//! | [`xlsx`] | a spreadsheet with real numbers and dates |
//! | `parquet` | columns for analysis (feature `parquet`) |
//!
//! Responsible for the columns and their order; a [`Sink`] knows one format. Units and the time zone stand in the head. Must not hold a
//! series in memory. Invariant: a time without a value has an empty cell, never a number.

#[cfg(feature = "parquet")]
pub mod parquet;
pub mod text;
pub mod xlsx;

use anyhow::Context;
use std::fmt;
use std::io::Write;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::str::FromStr;

use super::limits::{READINGS_MAX, SHEET_ROWS_MAX};
use super::series::SeriesName;
use super::spans::SpanLength;
use super::table::{self, Missing};
use super::timezone::TimeZone;
use crate::quality::Quality;
use giot_store::{Bucket, Reader, Sample};

/// What is exported.
#[derive(Debug, Clone)]
pub struct Export {
    /// Which series, in this order.
    pub series: Vec<SeriesName>,
    /// Whose clock and calendar.
    pub zone: TimeZone,
    /// Readings or spans.
    pub content: Content,
}

/// Which rows.
#[derive(Debug, Clone)]
pub enum Content {
    /// Every reading in a range, series by series.
    Readings(Range<i64>),
    /// Every span between neighbouring edges.
    Spans {
        /// Their length.
        length: SpanLength,
        /// Beginnings and the end, µs.
        edges_us: Vec<i64>,
        /// Also what counters counted.
        rises: bool,
    },
}

/// Which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text with commas, times with their distance from UTC.
    Csv,
    /// Text that Excel opens by a double click, in this notation.
    CsvExcel(Notation),
    /// A spreadsheet.
    Xlsx,
    /// Columns for analysis.
    Parquet,
}

/// How a country writes numbers in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// 23.4, and commas between cells.
    Point,
    /// 23,4, and semicolons between cells, as Excel expects in Việt Nam.
    Comma,
}

/// A text that names no format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("csv, csv-excel (commas, 23.4), csv-excel-vi (semicolons, 23,4), xlsx{}", if cfg!(feature = "parquet") { " or parquet" } else { "; parquet is not in this build" })]
pub struct NoFormat;

impl FromStr for Format {
    type Err = NoFormat;

    fn from_str(text: &str) -> Result<Self, NoFormat> {
        Self::available().find(|format| format.to_string() == text).ok_or(NoFormat)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "csv",
            Self::CsvExcel(Notation::Point) => "csv-excel",
            Self::CsvExcel(Notation::Comma) => "csv-excel-vi",
            Self::Xlsx => "xlsx",
            Self::Parquet => "parquet",
        })
    }
}

impl Format {
    /// What this build can write.
    pub fn available() -> impl Iterator<Item = Self> {
        let excel = [Notation::Point, Notation::Comma].map(Self::CsvExcel);
        [Self::Csv]
            .into_iter()
            .chain(excel)
            .chain([Self::Xlsx])
            .chain(cfg!(feature = "parquet").then_some(Self::Parquet))
    }

    /// End of a file's name.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv | Self::CsvExcel(_) => "csv",
            Self::Xlsx => "xlsx",
            Self::Parquet => "parquet",
        }
    }

    /// Media type (IANA; Parquet's is registered since 2024).
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv | Self::CsvExcel(_) => "text/csv; charset=utf-8",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// Most readings of one file.
    #[must_use]
    pub fn rows_max(self) -> u64 {
        match self {
            Self::Csv | Self::CsvExcel(_) | Self::Parquet => READINGS_MAX,
            Self::Xlsx => SHEET_ROWS_MAX,
        }
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Moments.
    Time,
    /// Words.
    Text,
    /// Values.
    Number,
    /// How many.
    Count,
}

/// One column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name for programs.
    pub name: String,
    /// What people read above it, with unit or time zone.
    pub title: String,
    /// What it holds.
    pub kind: Kind,
}

impl Column {
    fn new(name: &str, title: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.to_owned(), title: title.into(), kind }
    }

    fn plain(name: &str, kind: Kind) -> Self {
        Self::new(name, name, kind)
    }
}

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'c> {
    /// Nothing was measured.
    Empty,
    /// A moment, µs.
    Time(i64),
    /// A word.
    Text(&'c str),
    /// A value.
    Number(f64),
    /// How many.
    Count(u64),
}

/// One format.
pub trait Sink {
    /// Takes a row: as many cells as there are columns.
    ///
    /// # Errors
    /// It cannot be written, or the format has no room for more rows.
    fn row(&mut self, cells: &[Cell<'_>]) -> anyhow::Result<()>;

    /// Writes what is left.
    ///
    /// # Errors
    /// It cannot be written.
    fn finish(self: Box<Self>) -> anyhow::Result<()>;
}

/// What came of an export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Rows written.
    pub n_rows: u64,
    /// What of the history is not in the file.
    pub missing: Missing,
}

/// Rows between two calls of `progress`.
const PROGRESS_ROWS: u64 = 8_192;

impl Export {
    /// Writes the file to `out`; `work` is a folder for temporary files, `progress` hears how many rows are written.
    ///
    /// # Errors
    /// The history cannot be read, `out` cannot be written, or the format has no room for so many rows.
    pub fn write<'o>(
        &self,
        reader: &Reader,
        format: Format,
        work: &Path,
        out: &'o mut (dyn Write + Send + 'o),
        progress: &mut dyn FnMut(u64),
    ) -> anyhow::Result<Outcome> {
        let is_long = format == Format::Parquet;
        let columns = self.columns(is_long);
        let mut sink: Box<dyn Sink + 'o> = match format {
            Format::Csv => Box::new(text::Csv::new(out, &columns, text::Style::plain(self.zone))?),
            Format::CsvExcel(notation) => {
                Box::new(text::Csv::new(out, &columns, text::Style::excel(self.zone, notation))?)
            }
            Format::Xlsx => Box::new(xlsx::Xlsx::new(out, columns, self.zone, work)?),
            #[cfg(feature = "parquet")]
            Format::Parquet => Box::new(parquet::Parquet::new(out, &columns, &self.facts())?),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => anyhow::bail!("{NoFormat}"),
        };
        let mut outcome = Outcome::default();
        let mut failed = None;
        let mut put = |sink: &mut dyn Sink, cells: &[Cell<'_>]| {
            outcome.n_rows += 1;
            if outcome.n_rows.is_multiple_of(PROGRESS_ROWS) {
                progress(outcome.n_rows);
            }
            match sink.row(cells) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        let missing = match &self.content {
            Content::Readings(range_us) => {
                self.readings(reader, range_us, &mut |cells| put(&mut *sink, cells))
            }
            Content::Spans { edges_us, rises, .. } if is_long => {
                self.long_spans(reader, edges_us, *rises, &mut |cells| put(&mut *sink, cells))
            }
            Content::Spans { edges_us, rises, .. } => {
                self.wide_spans(reader, edges_us, *rises, &mut |cells| put(&mut *sink, cells))
            }
        }
        .context("read the history")?;
        if let Some(error) = failed {
            return Err(error);
        }
        progress(outcome.n_rows);
        sink.finish()?;
        Ok(Outcome { missing, ..outcome })
    }

    /// How many rows there are to be, for a progress bar.
    ///
    /// # Errors
    /// The history cannot be read.
    pub fn n_rows_about(&self, reader: &Reader, format: Format) -> anyhow::Result<u64> {
        let mut n = 0_u64;
        match &self.content {
            Content::Readings(range_us) => {
                for name in &self.series {
                    n = n.saturating_add(reader.n_samples_about(&name.device, &name.metric, range_us)?);
                }
            }
            Content::Spans { edges_us, .. } => {
                let n_spans = u64::try_from(edges_us.len().saturating_sub(1))?;
                let n_series = u64::try_from(self.series.len())?;
                n = if format == Format::Parquet { n_spans.saturating_mul(n_series) } else { n_spans };
            }
        }
        Ok(n)
    }

    /// What a file says about itself where its format can.
    #[cfg(feature = "parquet")]
    fn facts(&self) -> Vec<(String, String)> {
        let mut facts = vec![("giot.time_zone".to_owned(), self.zone.to_string())];
        if let Content::Spans { length, .. } = &self.content {
            facts.push(("giot.bucket".to_owned(), length.to_string()));
        }
        facts
    }

    fn columns(&self, is_long: bool) -> Vec<Column> {
        let zone = self.zone;
        let identity = || {
            [("time", Kind::Time), ("device", Kind::Text), ("metric", Kind::Text), ("unit", Kind::Text)].map(
                |(name, kind)| {
                    let title = if kind == Kind::Time { format!("time ({zone})") } else { name.to_owned() };
                    Column::new(name, title, kind)
                },
            )
        };
        let Content::Spans { rises, .. } = &self.content else {
            let rest = [Column::plain("value", Kind::Number), Column::plain("quality", Kind::Text)];
            return identity().into_iter().chain(rest).collect();
        };
        let statistics = || {
            let all = [
                ("mean", Kind::Number),
                ("min", Kind::Number),
                ("max", Kind::Number),
                ("last", Kind::Number),
                ("time_mean", Kind::Number),
                ("values", Kind::Count),
                ("flagged", Kind::Count),
            ];
            all.into_iter().chain(rises.then_some(("counted", Kind::Number)))
        };
        if is_long {
            let rest = statistics().map(|(name, kind)| Column::plain(name, kind));
            return identity().into_iter().chain(rest).collect();
        }
        let ends = [
            Column::new("from", format!("from ({zone})"), Kind::Time),
            Column::new("to", format!("to ({zone})"), Kind::Time),
        ];
        let of_series = self.series.iter().flat_map(|name| {
            statistics().map(move |(statistic, kind)| {
                let unit = if kind == Kind::Number { name.unit() } else { "" };
                let unit = if unit.is_empty() { String::new() } else { format!(" ({unit})") };
                Column::new(&format!("{name} {statistic}"), format!("{name} {statistic}{unit}"), kind)
            })
        });
        ends.into_iter().chain(of_series).collect()
    }

    fn readings(
        &self,
        reader: &Reader,
        range_us: &Range<i64>,
        put: &mut dyn FnMut(&[Cell<'_>]) -> ControlFlow<()>,
    ) -> anyhow::Result<Missing> {
        let mut missing = Missing::default();
        for name in &self.series {
            let mut is_stopped = false;
            let summary = reader.samples(&name.device, &name.metric, range_us.clone(), &mut |sample| {
                let flow = put(&reading(name, sample));
                is_stopped = flow.is_break();
                flow
            })?;
            missing.note(name, summary.n_damaged(), summary.n_set_aside, &summary.gaps);
            missing.coarse_until_us = missing.coarse_until_us.max(summary.coarse_until_us);
            if is_stopped {
                break;
            }
        }
        Ok(missing)
    }

    fn wide_spans(
        &self,
        reader: &Reader,
        edges_us: &[i64],
        rises: bool,
        put: &mut dyn FnMut(&[Cell<'_>]) -> ControlFlow<()>,
    ) -> anyhow::Result<Missing> {
        let mut cells = Vec::new();
        let missing = table::rows(reader, &self.series, edges_us, rises, &mut |row| {
            cells.clear();
            cells.extend([Cell::Time(row.from_us), Cell::Time(row.to_us)]);
            for bucket in row.cells {
                add_statistics(bucket.as_ref(), rises, &mut cells);
            }
            put(&cells)
        })?;
        Ok(missing)
    }

    fn long_spans(
        &self,
        reader: &Reader,
        edges_us: &[i64],
        rises: bool,
        put: &mut dyn FnMut(&[Cell<'_>]) -> ControlFlow<()>,
    ) -> anyhow::Result<Missing> {
        let missing = table::rows(reader, &self.series, edges_us, rises, &mut |row| {
            for (name, bucket) in self.series.iter().zip(row.cells) {
                let mut cells = vec![
                    Cell::Time(row.from_us),
                    Cell::Text(&name.device),
                    Cell::Text(&name.metric),
                    Cell::Text(name.unit()),
                ];
                add_statistics(bucket.as_ref(), rises, &mut cells);
                put(&cells)?;
            }
            ControlFlow::Continue(())
        })?;
        Ok(missing)
    }
}

fn reading(name: &SeriesName, sample: Sample) -> [Cell<'_>; 6] {
    [
        Cell::Time(sample.at_us),
        Cell::Text(&name.device),
        Cell::Text(&name.metric),
        Cell::Text(name.unit()),
        sample.value.map_or(Cell::Empty, Cell::Number),
        Cell::Text(Quality::from_byte(sample.quality).code()),
    ]
}

fn add_statistics(bucket: Option<&Bucket>, rises: bool, cells: &mut Vec<Cell<'_>>) {
    let number = |of: fn(&Bucket) -> f64| bucket.map_or(Cell::Empty, |bucket| Cell::Number(of(bucket)));
    cells.extend([
        number(|bucket| bucket.mean),
        number(|bucket| bucket.min),
        number(|bucket| bucket.max),
        number(|bucket| bucket.last),
        number(|bucket| bucket.time_mean),
        Cell::Count(bucket.map_or(0, |bucket| bucket.n_values)),
        Cell::Count(bucket.map_or(0, |bucket| bucket.n_flagged)),
    ]);
    if rises {
        cells.push(bucket.and_then(|bucket| bucket.rise).map_or(Cell::Empty, Cell::Number));
    }
}

/// An error of a format's library: what the disk or the reader at the other end said is told apart by its kind.
fn library_error(error: impl std::error::Error + Send + Sync + 'static) -> anyhow::Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut kind = None;
    while let Some(inner) = cause {
        kind = kind.or_else(|| inner.downcast_ref::<std::io::Error>().map(std::io::Error::kind));
        cause = inner.source();
    }
    match kind {
        Some(kind) => std::io::Error::new(kind, error).into(),
        None => error.into(),
    }
}

#[cfg(test)]
mod tests;
