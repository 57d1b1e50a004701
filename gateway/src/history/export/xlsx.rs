//! A spreadsheet (Office Open XML): real numbers and dates, so that sums and charts work at once.
//!
//! A sheet holds 1,048,576 rows; what is longer goes on in further sheets, each with the titles. Rows wait in a temporary file of the
//! work folder and are packed at the end, so that memory stays small. Dates have no zone in a spreadsheet: they show the farm's clock,
//! and the title says whose. Must not write words as formulas.

use super::super::timezone::TimeZone;
use super::{Cell, Column, Kind, Sink, library_error};
use crate::history::limits::SHEET_ROWS_MAX;
use anyhow::Context;
use rust_xlsxwriter::{Format, Workbook, XlsxError};
use std::io::Write;
use std::path::Path;

/// Rows of a sheet (ECMA-376, as Excel and LibreOffice have them), the titles among them. Small in tests, so that they meet it.
const SHEET_ROWS: u32 = if cfg!(test) { 1_000 } else { 1_048_576 };

/// Days from Excel's zero to 1970-01-01.
const EPOCH_DAYS: f64 = 25_569.0;

const DAY_US: i64 = 86_400_000_000;

/// Excel knows dates from 1900-03-01 (earlier ones are off by its leap-year mistake) to 9999-12-31.
const DATES_US: std::ops::RangeInclusive<i64> = -2_203_891_200_000_000..=253_402_300_799_000_000;

/// Writes a workbook.
pub struct Xlsx<W: Write + Send> {
    out: W,
    book: Workbook,
    columns: Vec<Column>,
    zone: TimeZone,
    date: Format,
    bold: Format,
    /// Of the sheet that is written; the next row.
    sheet: usize,
    row: u32,
    n_rows: u64,
}

impl<W: Write + Send> std::fmt::Debug for Xlsx<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Xlsx").field("sheet", &self.sheet).field("row", &self.row).finish_non_exhaustive()
    }
}

impl<W: Write + Send> Xlsx<W> {
    /// Begins the first sheet; rows wait in `work`.
    ///
    /// # Errors
    /// The folder takes no files.
    pub fn new(out: W, columns: Vec<Column>, zone: TimeZone, work: &Path) -> anyhow::Result<Self> {
        let mut book = Workbook::new();
        book.set_tempdir(work).with_context(|| format!("a temporary file in {}", work.display()))?;
        let mut xlsx = Self {
            out,
            book,
            columns,
            zone,
            date: Format::new().set_num_format("yyyy-mm-dd hh:mm:ss"),
            bold: Format::new().set_bold(),
            sheet: 0,
            row: 0,
            n_rows: 0,
        };
        xlsx.begin_sheet()?;
        Ok(xlsx)
    }

    fn begin_sheet(&mut self) -> Result<(), XlsxError> {
        let sheet = self.book.add_worksheet_with_constant_memory()?;
        sheet.set_freeze_panes(1, 0)?;
        for (idx, column) in (0_u16..).zip(&self.columns) {
            let width = match column.kind {
                Kind::Time => 20.0,
                Kind::Text | Kind::Number | Kind::Count => 14.0,
            };
            sheet.set_column_width(idx, width)?;
            sheet.write_string_with_format(0, idx, &column.title, &self.bold)?;
        }
        self.row = 1;
        Ok(())
    }
}

impl<W: Write + Send> Sink for Xlsx<W> {
    fn row(&mut self, cells: &[Cell<'_>]) -> anyhow::Result<()> {
        self.n_rows += 1;
        anyhow::ensure!(
            self.n_rows <= SHEET_ROWS_MAX,
            "more than {SHEET_ROWS_MAX} rows, too many for a spreadsheet: choose csv, a bucket or a shorter range"
        );
        if self.row == SHEET_ROWS {
            self.begin_sheet()?;
            self.sheet += 1;
        }
        let sheet = self.book.worksheet_from_index(self.sheet)?;
        for (idx, cell) in (0_u16..).zip(cells) {
            match *cell {
                Cell::Empty => {}
                Cell::Text(text) => {
                    sheet.write_string(self.row, idx, text)?;
                }
                // What is no finite number has no cell of its kind.
                Cell::Number(value) if !value.is_finite() => {
                    sheet.write_string(self.row, idx, value.to_string())?;
                }
                Cell::Number(value) => {
                    sheet.write_number(self.row, idx, value)?;
                }
                Cell::Count(n) => {
                    sheet.write_number(self.row, idx, n as f64)?;
                }
                Cell::Time(at_us) => match serial(self.zone, at_us) {
                    Some(serial) => {
                        sheet.write_number_with_format(self.row, idx, serial, &self.date)?;
                    }
                    None => {
                        sheet.write_string(self.row, idx, self.zone.rfc3339(at_us))?;
                    }
                },
            }
        }
        self.row += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        self.book.save_to_writer(&mut self.out).map_err(|error| {
            if let XlsxError::IoError(error) = error { error.into() } else { library_error(error) }
        })?;
        Ok(self.out.flush()?)
    }
}

/// A moment as the days that a spreadsheet counts, by the farm's clock.
fn serial(zone: TimeZone, at_us: i64) -> Option<f64> {
    if !DATES_US.contains(&at_us) {
        return None;
    }
    let local_us = at_us + zone.offset_s(at_us) * 1_000_000;
    let (days, rest_us) = (local_us.div_euclid(DAY_US), local_us.rem_euclid(DAY_US));
    Some(EPOCH_DAYS + days as f64 + rest_us as f64 / DAY_US as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_day_number_of_the_farms_clock() {
        let check = |at_us, want: f64| {
            let got = serial(TimeZone::fixed(420), at_us).unwrap();
            assert!((got - want).abs() < 1e-9, "{at_us} {got} {want}");
        };
        // 2026-03-01 06:00 +07:00 is day 46082.25 (LibreOffice 7.4).
        check(1_772_319_600_000_000, 46_082.25);
        check(0, 25_569.0 + 7.0 / 24.0);
        assert_eq!(serial(TimeZone::UTC, i64::MAX), None);
        assert_eq!(serial(TimeZone::UTC, -2_300_000_000_000_000), None);
    }
}
