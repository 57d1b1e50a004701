//! A CSV that a person or a station made: headings in any order and case, lines with `#` are comments, an empty cell is missing, and so
//! is one that holds what exports write for a missing value (`is_missing`).
//! Commas, semicolons or tabs separate cells, whichever the heading has most of; with the latter two a decimal comma is read too.
//!
//! Reads on after a problem: all are told at once, up to [`N_PROBLEMS_MAX`] ([`read`]), or each with its row ([`read_each`]). Knows
//! no meaning of a column.

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

/// A row by itself.
#[derive(Debug)]
pub struct Found<T> {
    /// Line of the file, from 1.
    pub line: usize,
    /// What stands in its first needed column.
    pub key: String,
    /// What it gives, or what is wrong with it: column and cause.
    pub row: Result<T, String>,
}

/// One row while it is read.
#[derive(Debug)]
pub struct Cells<'r> {
    record: &'r csv::StringRecord,
    columns: &'r BTreeMap<String, usize>,
    line: usize,
    has_decimal_comma: bool,
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
    row: impl FnMut(&mut Cells<'_>) -> Option<T>,
) -> Result<Sheet<T>, ConfigError> {
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    let unknown = rows_of(place, bytes, (known, needed), row, &mut |read| {
        rows.extend(read.row);
        problems.extend(read.problems);
    })?;
    if problems.is_empty() { Ok(Sheet { rows, unknown }) } else { Err(failed(place, problems)) }
}

/// Reads every row with `row`; one that something is wrong with says so in its place.
///
/// # Errors
/// What is wrong with the heading.
pub fn read_each<T>(
    place: &Place,
    bytes: &[u8],
    known: &[&str],
    needed: &[&str],
    row: impl FnMut(&mut Cells<'_>) -> Option<T>,
) -> Result<Sheet<Found<T>>, ConfigError> {
    let mut rows = Vec::new();
    let unknown = rows_of(place, bytes, (known, needed), row, &mut |read: RowRead<T>| {
        let wrong = read.problems.first().map(|problem| match problem.field.as_str() {
            "" => problem.what.clone(),
            field => format!("{field}: {}", problem.what),
        });
        let row = wrong.map_or_else(|| read.row.ok_or_else(|| "cannot be read".to_owned()), Err);
        rows.push(Found { line: read.line, key: read.key, row });
    })?;
    Ok(Sheet { rows, unknown })
}

/// A row with everything that is wrong with it.
struct RowRead<T> {
    line: usize,
    key: String,
    row: Option<T>,
    problems: Vec<Problem>,
}

/// Hands every row over; gives the headings that nobody knows.
fn rows_of<T>(
    place: &Place,
    bytes: &[u8],
    (known, needed): (&[&str], &[&str]),
    mut row: impl FnMut(&mut Cells<'_>) -> Option<T>,
    each: &mut dyn FnMut(RowRead<T>),
) -> Result<Vec<String>, ConfigError> {
    // Spreadsheets write a byte-order mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let separator = separator(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .has_headers(false)
        // A comment on the last line needs a line end, or the reader takes it for a row.
        .from_reader(bytes.chain(b"\n".as_slice()));
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
    let columns = columns(&heading, heading_line, (known, needed));
    let columns = columns.map_err(|problems| failed(place, problems))?;
    for record in records {
        let mut problems = Vec::new();
        let (line, key, found) = match record {
            Err(error) => {
                let problem = unreadable(place, bytes, &error);
                let line = problem.line.unwrap_or_default();
                problems.push(problem);
                (line, String::new(), None)
            }
            Ok(record) => {
                let line = line_of(place, bytes, record.position());
                let has_decimal_comma = separator != b',';
                let mut cells = Cells {
                    record: &record,
                    columns: &columns,
                    line,
                    has_decimal_comma,
                    problems: &mut problems,
                };
                let key = needed.first().and_then(|name| cells.text(name)).unwrap_or_default().to_owned();
                let (n, wanted) = (record.len(), heading.len());
                let found = if n == wanted {
                    row(&mut cells)
                } else {
                    let remedy = if n < wanted {
                        ": the rest of the row is lacking; leave cells empty where values are missing"
                    } else if has_decimal_comma {
                        ""
                    } else {
                        ": the decimal sign is a point"
                    };
                    cells.wrong("", &format!("has {n} cells, the heading has {wanted}{remedy}"));
                    None
                };
                (line, key, found)
            }
        };
        each(RowRead { line, key, row: found, problems });
    }
    let is_unknown = |name: &&str| !known.contains(&name.to_ascii_lowercase().as_str());
    Ok(heading.iter().filter(is_unknown).map(str::to_owned).collect())
}

/// The places of the columns by their names in small letters.
fn columns(
    heading: &csv::StringRecord,
    line: usize,
    (known, needed): (&[&str], &[&str]),
) -> Result<BTreeMap<String, usize>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut columns = BTreeMap::new();
    for (idx, name) in heading.iter().enumerate() {
        if columns.insert(name.to_ascii_lowercase(), idx).is_some() {
            problems.push(problem(Some(line), name, "stands twice in the heading: leave one out"));
        }
    }
    for name in needed.iter().filter(|name| !columns.contains_key(**name)) {
        let what = format!("no such column in the heading; columns giot knows: {}", known.join(", "));
        problems.push(problem(Some(line), name, &what));
    }
    if problems.is_empty() { Ok(columns) } else { Err(problems) }
}

/// What separates the cells: what the heading has most of, a comma where it has none.
fn separator(bytes: &[u8]) -> u8 {
    let lines = bytes.split(|byte| *byte == b'\n');
    let heading = lines.map(<[u8]>::trim_ascii).find(|line| !line.is_empty() && !line.starts_with(b"#"));
    let n_of = |separator: u8| heading.unwrap_or_default().iter().filter(|byte| **byte == separator).count();
    // Of those with the same count the last wins.
    [b'\t', b';', b','].into_iter().max_by_key(|separator| n_of(*separator)).unwrap_or(b',')
}

impl Cells<'_> {
    /// The line of the file that this row stands on, from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// What a cell holds; `None` when it is missing or there is no such column.
    #[must_use]
    pub fn text(&self, column: &str) -> Option<&str> {
        self.record.get(*self.columns.get(column)?).filter(|text| !is_missing(text))
    }

    /// A cell as a number; `None` when it is missing, or no number, which becomes a problem.
    pub fn number(&mut self, column: &str) -> Option<f64> {
        let text = self.text(column)?;
        let pointed = if self.has_decimal_comma { text.replace(',', ".") } else { text.to_owned() };
        match pointed.parse::<f64>() {
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

/// Whether a cell says that there is no value: empty, words and dashes of spreadsheets and of R, and the numbers that stations and
/// NASA POWER (-999) write, which no column can have.
fn is_missing(text: &str) -> bool {
    let is_zeros = |rest: &str| rest.bytes().all(|byte| byte == b'0');
    let whole =
        text.split_once(['.', ',']).filter(|(_, rest)| is_zeros(rest)).map_or(text, |(whole, _)| whole);
    let is_word = ["na", "n/a", "nan", "null"].iter().any(|word| text.eq_ignore_ascii_case(word));
    is_word || matches!(whole, "" | "-" | "–" | "—" | "-99" | "-999" | "-9999")
}

/// A date as 2026-03-01, or as 2026-060: year and day of the year; both also with midnight behind them, which exports write.
#[must_use]
pub fn parse_date(text: &str) -> Option<NaiveDate> {
    let (text, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    if !matches!(time.trim_end_matches('Z'), "00:00" | "00:00:00" | "00:00:00.000") {
        return None;
    }
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
            numbers("a,b\n1\nx,2\n3,4\ninf,0\n"),
            Err(vec![(Some(2), String::new()), (Some(3), "a".to_owned()), (Some(5), "a".to_owned())])
        );
        assert_eq!(numbers("b,b\n1,2\n"), Err(vec![(Some(1), "b".to_owned()), (Some(1), "a".to_owned())]));
        assert_eq!(numbers(""), Err(vec![(None, String::new())]));
    }

    #[test]
    fn spreadsheets_separate_by_semicolons_and_write_names_as_they_like() {
        assert_eq!(numbers("A;B\n1,5;2\n;3\n2.5;\n"), Ok(vec![(2, Some(1.5)), (3, None), (4, Some(2.5))]));
        assert_eq!(numbers("# x,y,z\nb\ta\n1\t-0,5\n"), Ok(vec![(3, Some(-0.5))]));
        assert_eq!(numbers("a;b\n1.234,5;2\n"), Err(vec![(Some(2), "a".to_owned())]));
        assert_eq!(numbers("a,A\n1,2\n"), Err(vec![(Some(1), "A".to_owned())]));
    }

    #[test]
    fn what_exports_write_for_a_missing_value_is_missing() {
        for missing in
            ["NA", "n/a", "nan", "NaN", "null", "-", "–", "—", "-999", "-9999", "-99", "-999.0", "-99.00"]
        {
            assert_eq!(numbers(&format!("a,b\n{missing},1\n")), Ok(vec![(2, None)]), "{missing}");
        }
        assert_eq!(numbers("a;b\n-999,00;1\n"), Ok(vec![(2, None)]));
        for (text, want) in [("-99.5", -99.5), ("-9", -9.0), ("99", 99.0), ("-9990", -9990.0)] {
            assert_eq!(numbers(&format!("a,b\n{text},1\n")), Ok(vec![(2, Some(want))]), "{text}");
        }
        assert!(numbers("a,b\nn.d.,1\n").is_err());
    }

    #[test]
    fn a_wrong_row_says_so_in_its_place() {
        let place = Place { file: "f.csv".to_owned(), n_lines_before: 0 };
        let text = b"b,a\n1,2\nx,NA\n3\n4,\n";
        let sheet = read_each(&place, text, &["a", "b"], &["b", "a"], |cells| {
            let both = (cells.number("b"), cells.number("a"));
            Some(both.0? + both.1.unwrap_or_default())
        });
        let rows: Vec<_> =
            sheet.unwrap().rows.into_iter().map(|found| (found.line, found.key, found.row)).collect();
        let [(2, _, Ok(three)), (3, key, Err(wrong)), (4, _, Err(short)), (5, _, Ok(four))] = rows.as_slice()
        else {
            panic!("{rows:?}")
        };
        assert!((three - 3.0).abs() < 1e-9 && (four - 4.0).abs() < 1e-9);
        assert!(key == "x" && wrong.starts_with("b: `x` is no number"), "{wrong}");
        assert!(short.contains("has 1 cells, the heading has 2: the rest of the row is lacking"), "{short}");
        assert!(!short.contains("decimal"), "{short}");
        let long = read_each(&place, b"a,b\n1,5,2\n", &["a", "b"], &["a"], |_| Some(()));
        let long = long.unwrap().rows.remove(0).row.unwrap_err();
        assert!(long.ends_with("the decimal sign is a point"), "{long}");
        assert!(read_each(&place, b"a\n1\n", &["a", "b"], &["b"], |_| Some(())).is_err());
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
        for midnight in
            ["2026-01-15T00:00:00", "2026-01-15 00:00", "2026-01-15T00:00:00.000Z", "2026-015 00:00:00"]
        {
            assert_eq!(parse_date(midnight), parse_date("2026-01-15"), "{midnight}");
        }
        for bad in [
            "2026-01-15T06:00",
            "2026-01-15 ",
            "2026-01-15T",
            "2023-02-29",
            "2023-366",
            "29/02/2024",
            "2024",
            "",
        ] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }
}
