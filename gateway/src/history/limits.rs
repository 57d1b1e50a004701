//! How much one question may cost: bounds with their reasons, and the sentence that refuses.

use std::ops::Range;

use super::series::SeriesName;
use giot_store::{ReadError, Reader};

/// Series side by side: more lines than eyes can tell apart, and a screen of columns in a sheet.
pub const SERIES_MAX: usize = 32;

/// Spans of one answer: ten years of hours.
pub const SPANS_MAX: usize = 100_000;

/// Series of one file that a command writes: with their statistics they still fit the 16,384 columns of a sheet.
pub const FILE_SERIES_MAX: usize = 2000;

/// Spans of such a file: nineteen years of minutes, whose edges take 80 MB.
pub const FILE_SPANS_MAX: usize = 10_000_000;

/// Spans times series of one answer: a year of hours of every series that fits side by side.
pub const CELLS_MAX: usize = 300_000;

/// Readings of one download or chart: 32 series of one minute for a year are 17 million, which a gateway reads in seconds.
pub const READINGS_MAX: u64 = 20_000_000;

/// Rows of one spreadsheet file: two full sheets, which wait on disk as some 400 MB of text until they are packed, and which spreadsheet
/// programs open only with patience.
pub const SHEET_ROWS_MAX: u64 = 2_000_000;

/// A question that costs too much.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// Too many series at once.
    #[error("{n} series, at most {max} in one answer: ask for fewer, in several questions")]
    Series {
        /// How many.
        n: usize,
        /// How many there may be.
        max: usize,
    },
    /// Spans times series.
    #[error(
        "{n_spans} spans of {n_series} series, at most {CELLS_MAX} in all: choose a longer bucket, a shorter range or fewer series"
    )]
    Cells {
        /// Rows.
        n_spans: usize,
        /// Columns.
        n_series: usize,
    },
    /// Readings.
    #[error("about {n} readings, at most {max}: choose a bucket, a shorter range or fewer series")]
    Readings {
        /// How many there are.
        n: u64,
        /// How many there may be.
        max: u64,
    },
}

/// Checks how many series are asked for.
///
/// # Errors
/// More than `max`.
pub const fn check_series(series: &[SeriesName], max: usize) -> Result<(), TooMuch> {
    if series.len() > max { Err(TooMuch::Series { n: series.len(), max }) } else { Ok(()) }
}

/// Checks a table of spans.
///
/// # Errors
/// More than [`CELLS_MAX`] cells.
pub fn check_cells(n_spans: usize, n_series: usize) -> Result<(), TooMuch> {
    let is_small = n_spans.checked_mul(n_series).is_some_and(|n| n <= CELLS_MAX);
    if is_small { Ok(()) } else { Err(TooMuch::Cells { n_spans, n_series }) }
}

/// Checks how many readings a question would meet.
///
/// # Errors
/// The outer one when the history cannot be read, the inner one when there are more than `max`.
pub fn check_readings(
    reader: &Reader,
    series: &[SeriesName],
    range_us: &Range<i64>,
    max: u64,
) -> Result<Result<(), TooMuch>, ReadError> {
    let mut n = 0_u64;
    for name in series {
        n = n.saturating_add(reader.n_samples_about(&name.device, &name.metric, range_us)?);
    }
    Ok(if n > max { Err(TooMuch::Readings { n, max }) } else { Ok(()) })
}
