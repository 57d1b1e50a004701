//! A CSV that a person or a station made: headings in any order, lines with `#` are comments, an empty cell is missing.
//!
//! Reads on after a problem, so that all are told at once, up to [`N_PROBLEMS_MAX`]. Knows no meaning of a column.

use crate::config::{ConfigError, Problem};
use chrono::NaiveDate;
use std::collections::BTreeMap;
use std::io::Read;

/// More problems than this are one problem: the wrong file.
pub const N_PROBLEMS_MAX: usize = 20;

/// Where a CSV stands: a file of its own, or lines within another.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file's name, as the operator gave it.
    pub file: String,
    /// Lines of the file before the CSV's first.
    pub n_lines_before: usize,
}

/// What was read.
#[derive(Debug)]
pub struct Sheet<T> {
    /// The rows, in the order of the file.
    pub rows: Vec<T>,
    /// Headings that nobody knows: their columns were not read.
    pub unknown: Vec<String>,
}

/// One row while it is read.
#[derive(Debug)]
pub struct Cells<'r> {
    record: &'r csv::StringRecord,
    columns: &'r BTreeMap<String, usize>,
    line: usize,
    problems: &'r mut Vec<Problem>,
}

/// Reads every row with `row`, which says `None` where it found a problem.
///
/// # Errors
/// Every problem of the file: unreadable lines, missing or doubled headings, and what `row` found.
pub fn read<T>(
    place: &Place,
    bytes: &[u8],
    known: &[&str],
    needed: &[&str],
    mut row: impl FnMut(&mut Cells<'_>) -> Option<T>,
) -> Result<Sheet<T>, ConfigError> {
    // Spreadsheets write a byte-order mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .has_headers(false)
        // A comment on the last line needs a line end, or the reader takes it for a row.
        .from_reader(bytes.chain(b"\n".as_slice()));
    let mut problems = Vec::new();
    let mut records = reader.records();
    let (heading, heading_line) = match records.next() {
        Some(Ok(record)) => {
            let line = line_of(place, bytes, record.position());
            (record, line)
        }
        Some(Err(error)) => return Err(failed(place, vec![unreadable(place, bytes, &error)])),
        None => {
            return Err(failed(place, vec![problem(None, "", "is empty: its first line names the columns")]));
        }
    };
    if heading.len() == 1 && heading.iter().any(|name| name.contains([';', '\t'])) {
        let what =
            "columns are separated by commas and numbers written with a point: save the file as such a CSV";
        return Err(failed(place, vec![problem(Some(heading_line), "", what)]));
    }
    let mut columns = BTreeMap::new();
    for (idx, name) in heading.iter().enumerate() {
        if columns.insert(name.to_owned(), idx).is_some() {
            problems.push(problem(Some(heading_line), name, "stands twice in the heading: leave one out"));
        }
    }
    for name in needed.iter().filter(|name| !columns.contains_key(**name)) {
        let what = format!("no such column in the heading; columns giot knows: {}", known.join(", "));
        problems.push(problem(Some(heading_line), name, &what));
    }
    let unknown: Vec<_> = heading.iter().filter(|name| !known.contains(name)).map(str::to_owned).collect();
    let mut rows = Vec::new();
    if problems.is_empty() {
        for record in records {
            match record {
                Err(error) => problems.push(unreadable(place, bytes, &error)),
                Ok(record) => {
                    let line = line_of(place, bytes, record.position());
                    if record.len() != heading.len() {
                        let (n, wanted) = (record.len(), heading.len());
                        let what =
                            format!("has {n} cells, the heading has {wanted}: the decimal sign is a point");
                        problems.push(problem(Some(line), "", &what));
                    } else {
                        rows.extend(row(&mut Cells {
                            record: &record,
                            columns: &columns,
                            line,
                            problems: &mut problems,
                        }));
                    }
                }
            }
        }
    }
    if problems.is_empty() { Ok(Sheet { rows, unknown }) } else { Err(failed(place, problems)) }
}

impl Cells<'_> {
    /// The line of the file that this row stands on, from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// What a cell holds; `None` when it is empty or there is no such column.
    #[must_use]
    pub fn text(&self, column: &str) -> Option<&str> {
        self.record.get(*self.columns.get(column)?).filter(|text| !text.is_empty())
    }

    /// A cell as a number; `None` when it is missing, or no number, which becomes a problem.
    pub fn number(&mut self, column: &str) -> Option<f64> {
        let text = self.text(column)?;
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Some(number),
            Ok(_) | Err(_) => {
                let what = format!(
                    "`{text}` is no number: write it as 12.5, or leave the cell empty where it is missing"
                );
                self.wrong(column, &what);
                None
            }
        }
    }

    /// A cell that must hold a number.
    pub fn needed(&mut self, column: &str) -> Option<f64> {
        if self.text(column).is_none() {
            self.wrong(column, "is needed: this row cannot be computed without it");
        }
        self.number(column)
    }

    /// A date as 2026-03-01, or as year and day of the year, 2026-060.
    pub fn date(&mut self, column: &str) -> Option<NaiveDate> {
        let text = self.text(column).unwrap_or_default();
        let date = parse_date(text);
        if date.is_none() {
            let what = format!("`{text}` is no date: write it as 2026-03-01");
            self.wrong(column, &what);
        }
        date
    }

    /// Notes a problem of this row.
    pub fn wrong(&mut self, column: &str, what: &str) {
        self.problems.push(problem(Some(self.line), column, what));
    }
}

/// A date as 2026-03-01, or as 2026-060: year and day of the year.
#[must_use]
pub fn parse_date(text: &str) -> Option<NaiveDate> {
    text.parse().ok().or_else(|| {
        let (year, day) = text.split_once('-')?;
        if year.len() == 4 && day.len() == 3 {
            NaiveDate::from_yo_opt(year.parse().ok()?, day.parse().ok()?)
        } else {
            None
        }
    })
}

fn problem(line: Option<usize>, field: &str, what: &str) -> Problem {
    Problem { line, column: None, field: field.to_owned(), what: what.to_owned() }
}

fn unreadable(place: &Place, bytes: &[u8], error: &csv::Error) -> Problem {
    let line = error.position().map(|position| line_of(place, bytes, Some(position)));
    problem(line, "", &format!("unreadable: {error}; save the file as CSV in UTF-8"))
}

/// The line of a record. The reader's position is behind the record before: comments and empty lines come first.
fn line_of(place: &Place, bytes: &[u8], position: Option<&csv::Position>) -> usize {
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let (begin, line) = position.map_or((0, 1), |position| (whole(position.byte()), whole(position.line())));
    let rest = bytes.get(begin..).unwrap_or_default();
    let is_skipped = |line: &&[u8]| line.is_empty() || *line == b"\r" || line.starts_with(b"#");
    let n_skipped = rest.split(|byte| *byte == b'\n').take_while(is_skipped).count();
    line.saturating_add(n_skipped).saturating_add(place.n_lines_before)
}

/// The error of a file with these problems, cut where it is surely the wrong file.
#[must_use]
pub fn failed(place: &Place, mut problems: Vec<Problem>) -> ConfigError {
    if let Some(n_more) = problems.len().checked_sub(N_PROBLEMS_MAX).filter(|n_more| *n_more > 0) {
        problems.truncate(N_PROBLEMS_MAX);
        problems.push(problem(None, "", &format!("{n_more} more problems of this kind")));
    }
    ConfigError { file: place.file.clone(), problems }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line and column of each problem.
    type Found = Vec<(Option<usize>, String)>;

    /// Line and number of each row.
    fn numbers(text: &str) -> Result<Vec<(usize, Option<f64>)>, Found> {
        let place = Place { file: "f.csv".to_owned(), n_lines_before: 0 };
        read(&place, text.as_bytes(), &["a", "b"], &["a"], |cells| Some((cells.line(), cells.number("a"))))
            .map(|sheet| sheet.rows)
            .map_err(|error| error.problems.into_iter().map(|p| (p.line, p.field)).collect())
    }

    #[test]
    fn columns_stand_in_any_order_and_empty_is_missing() {
        let text = "\u{feff}# a station\nb, a ,x\n1,2.5,y\n\n# night\n,,\n# the end";
        assert_eq!(numbers(text), Ok(vec![(3, Some(2.5)), (6, None)]));
    }

    #[test]
    fn every_problem_has_its_line() {
        assert_eq!(
            numbers("a,b\n1\nx,2\n3,4\nNaN,0\n"),
            Err(vec![(Some(2), String::new()), (Some(3), "a".to_owned()), (Some(5), "a".to_owned())])
        );
        assert_eq!(numbers("b,b\n1,2\n"), Err(vec![(Some(1), "b".to_owned()), (Some(1), "a".to_owned())]));
        assert_eq!(numbers(""), Err(vec![(None, String::new())]));
        assert_eq!(numbers("a;b\n1,5;2\n"), Err(vec![(Some(1), String::new())]));
    }

    #[test]
    fn the_wrong_file_does_not_fill_the_screen() {
        let text = format!("a\n{}", "x\n".repeat(500));
        let problems = numbers(&text).unwrap_err();
        assert_eq!(problems.len(), N_PROBLEMS_MAX + 1);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_rows_or_problems(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let place = Place { file: "f.csv".to_owned(), n_lines_before: 0 };
            let whole = [b"a,b\n".as_slice(), &bytes].concat();
            let n_lines = whole.split(|byte| *byte == b'\n').count();
            if let Err(error) = read(&place, &whole, &["a"], &[], |cells| cells.number("a")) {
                for problem in error.problems {
                    proptest::prop_assert!(problem.line.is_none_or(|line| (1..=n_lines).contains(&line)), "{problem:?}");
                }
            }
        }
    }

    #[test]
    fn dates_are_read_in_both_forms() {
        assert_eq!(parse_date("2024-060"), parse_date("2024-02-29"));
        assert!(parse_date("2024-02-29").is_some());
        for bad in ["2023-02-29", "2023-366", "29/02/2024", "2024", ""] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }
}
