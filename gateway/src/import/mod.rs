//! Histories of other programs, read line by line: CSV of any logger, InfluxDB's line protocol, and the CSV of its queries.
//!
//! | file | form |
//! |---|---|
//! | `table.rs` | CSV with a header: one value a line (`time,device,metric,value`), or one metric a column |
//! | `line.rs` | line protocol, as a sink is sent it or `influx_inspect export` writes it |
//! | `query.rs` | annotated CSV of InfluxDB 2, and the CSV of version 1's `/query` |
//!
//! Pure: text in, readings out. Must not touch the store or the disk. Invariants: memory is bounded by one line and the names in the file; a line that cannot be
//! read is an error that names it, never a guess.

pub mod line;
pub mod query;
pub mod table;

use std::io::BufRead;
use std::sync::Arc;

use giot_shared::ids::NodeId;

use crate::ingest::is_metric_name;
use crate::quality::Quality;

/// Longest line, bytes: a hundred columns of long names.
pub const LINE_MAX: usize = 64 * 1024;

/// Readings before this (2000-01-01) come from a clock that was never set.
const SINCE_US: i64 = 946_684_800_000_000;

/// Readings after this (2100-01-01) come from a wrong precision.
const UNTIL_US: i64 = 4_102_444_800_000_000;

/// One reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Device that it belongs to.
    pub device: Arc<str>,
    /// Its metric.
    pub metric: Arc<str>,
    /// Microseconds since 1970.
    pub at_us: i64,
    /// `None`: the probe gave none.
    pub value: Option<f64>,
    /// What is known against it.
    pub quality: Quality,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct LineError {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong and what would be right.
    pub what: String,
}

/// Why reading ended early.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is at fault.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The file cannot be read.
    #[error("read the file")]
    Io(#[from] std::io::Error),
    /// Whoever takes the readings cannot go on.
    #[error(transparent)]
    Taker(#[from] anyhow::Error),
}

/// Who takes readings: the number of the line, how many bytes were read so far, and what the line says.
pub type Taker<'t> = dyn FnMut(u64, u64, Result<Reading, LineError>) -> anyhow::Result<()> + 't;

/// Lines of a file with their number and the bytes up to their end.
pub(crate) struct Lines<R> {
    input: R,
    number: u64,
    n_bytes: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, number: 0, n_bytes: 0 }
    }

    /// The next line without its end, into `line`; false at the end of the file.
    pub(crate) fn next(&mut self, line: &mut String) -> Result<bool, ImportError> {
        line.clear();
        let mut bytes = Vec::new();
        let limit = u64::try_from(LINE_MAX).unwrap_or(u64::MAX);
        let n = std::io::Read::take(&mut self.input, limit).read_until(b'\n', &mut bytes)?;
        if n == 0 {
            return Ok(false);
        }
        self.number += 1;
        self.n_bytes += u64::try_from(n).unwrap_or(u64::MAX);
        if n == LINE_MAX && bytes.last() != Some(&b'\n') {
            return Err(self.error(format!("longer than {LINE_MAX} bytes: is it a text file?")).into());
        }
        let text =
            String::from_utf8(bytes).map_err(|_| self.error("no UTF-8 text: save the file as UTF-8"))?;
        // Spreadsheets begin a file with a byte order mark.
        let text = if self.number == 1 { text.trim_start_matches('\u{feff}') } else { text.as_str() };
        line.push_str(text.trim_end_matches(['\n', '\r']));
        Ok(true)
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    pub(crate) fn error(&self, what: impl Into<String>) -> LineError {
        LineError { line: self.number, what: what.into() }
    }
}

/// The cells of a line of CSV.
pub(crate) fn cells(line: &str, separator: u8) -> Result<Vec<String>, String> {
    if !line.contains('"') {
        return Ok(line.split(char::from(separator)).map(str::to_owned).collect());
    }
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).delimiter(separator).from_reader(line.as_bytes());
    match reader.records().next() {
        Some(Ok(record)) => Ok(record.iter().map(str::to_owned).collect()),
        Some(Err(error)) => Err(error.to_string()),
        None => Ok(Vec::new()),
    }
}

/// A device's id.
pub(crate) fn device(text: &str) -> Result<Arc<str>, String> {
    let id: Result<NodeId, _> = text.parse();
    id.map(|id| id.as_str().into())
        .map_err(|error| format!("device {text:?}: {error}; --device ID names one for the whole file"))
}

/// A metric's name.
pub(crate) fn metric(text: &str) -> Result<Arc<str>, String> {
    if is_metric_name(text) {
        return Ok(text.into());
    }
    Err(format!(
        "metric {text:?}: at most 48 letters, digits, '_', '-' or '.'; --map \"{text}=name\" gives it another name"
    ))
}

/// A time that can be one.
pub(crate) fn plausible(at_us: i64) -> Result<i64, String> {
    if (SINCE_US..UNTIL_US).contains(&at_us) {
        return Ok(at_us);
    }
    Err("a time before 2000 or after 2100: is the precision right?".to_owned())
}

/// A number, or nothing.
pub(crate) fn value(text: &str, has_decimal_comma: bool) -> Result<Option<f64>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let pointed = if has_decimal_comma { text.replace(',', ".") } else { text.to_owned() };
    match pointed.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Some(value)),
        _ => Err(format!("{text:?} is no number")),
    }
}

/// A quality as a word of an export or as the number that a sink is sent.
pub(crate) fn quality(text: &str) -> Result<Quality, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Quality::Good);
    }
    if let Ok(byte) = text.parse::<u8>() {
        return Ok(Quality::from_byte(byte));
    }
    let found = Quality::ALL.iter().copied().find(|quality| quality.code() == text);
    found.ok_or_else(|| {
        format!(
            "quality {text:?}: one of good, missing, out_of_range, unstable, uncalibrated, uncertain_time"
        )
    })
}

/// A time as people and programs write it; without a zone it is `utc_offset_min` east of UTC.
pub(crate) fn time(text: &str, utc_offset_min: i32) -> Result<i64, String> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        // Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by size.
        let factors = [(11, 1_000_000, 1), (14, 1_000, 1), (17, 1, 1), (20, 1, 1_000)];
        let n_digits = number.unsigned_abs().to_string().len();
        let found = factors.iter().find(|(digits, ..)| n_digits < *digits);
        return found
            .map(|(_, factor, divisor)| number.saturating_mul(*factor).div_euclid(*divisor))
            .ok_or_else(|| format!("time {text:?} is too large"))
            .and_then(plausible);
    }
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return plausible(time.timestamp_micros());
    }
    let forms = [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%d/%m/%Y %H:%M:%S",
        "%d/%m/%Y %H:%M",
    ];
    let local = forms.iter().find_map(|form| chrono::NaiveDateTime::parse_from_str(text, form).ok());
    let local = local.ok_or_else(|| {
        format!("time {text:?}: written as 2026-03-01T06:00:00+07:00, 2026-03-01 06:00, 01/03/2026 06:00, or a number since 1970")
    })?;
    plausible(local.and_utc().timestamp_micros() - i64::from(utc_offset_min) * 60_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_usual_form() {
        let at_us = 1_772_319_600_000_000;
        let forms = [
            "2026-02-28T23:00:00Z",
            "2026-03-01T06:00:00+07:00",
            "2026-03-01 06:00",
            "01/03/2026 06:00:00",
            "1772319600",
            "1772319600000",
            "1772319600000000",
            "1772319600000000000",
        ];
        for form in forms {
            assert_eq!(time(form, 420), Ok(at_us), "{form}");
        }
        for bad in ["", "yesterday", "12", "99999999999999999999", "2026-13-01 06:00", "1900-01-01T00:00:00Z"]
        {
            assert!(time(bad, 420).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_and_qualities() {
        assert_eq!(value("23,5", true), Ok(Some(23.5)));
        assert_eq!(value(" ", true), Ok(None));
        assert!(
            value("23,5", false).is_err() && value("NaN", false).is_err() && value("inf", false).is_err()
        );
        assert_eq!(quality("unstable"), Ok(Quality::Unstable));
        assert_eq!(quality("2"), Ok(Quality::OutOfRange));
        assert!(quality("fine").is_err());
    }
}
