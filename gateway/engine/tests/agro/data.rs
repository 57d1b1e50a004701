//! Reads the numbers in `tests/data/agro`: a comment with their source, a heading, rows.

use std::collections::BTreeMap;

/// A table of numbers; an empty cell is no number.
#[derive(Debug)]
pub(crate) struct Table {
    /// The first line: where the numbers come from, and with which parameters.
    pub(crate) source: String,
    columns: BTreeMap<String, usize>,
    rows: Vec<Vec<String>>,
}

/// A row of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'t> {
    table: &'t Table,
    cells: &'t [String],
}

impl Table {
    pub(crate) fn read(name: &str) -> Self {
        let path = format!("{}/tests/data/agro/{name}.csv", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut lines = text.lines();
        let source = lines.next().expect("a source").trim_start_matches("# source: ").to_owned();
        let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
        let columns = cells(lines.next().expect("a heading")).into_iter().zip(0..).collect();
        Self { source, columns, rows: lines.map(cells).collect() }
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row { table: self, cells })
    }

    /// A number that the source line gives as `name=number`.
    pub(crate) fn parameter(&self, name: &str) -> f64 {
        let found = self
            .source
            .split([' ', '(', ',', ')', ';'])
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name} in {}", self.source))
    }
}

impl Row<'_> {
    pub(crate) fn text(&self, column: &str) -> &str {
        let idx = self.table.columns.get(column).unwrap_or_else(|| panic!("column {column}"));
        &self.cells[*idx]
    }

    pub(crate) fn number(&self, column: &str) -> f64 {
        self.optional(column).unwrap_or_else(|| panic!("{column} in {:?}", self.cells))
    }

    pub(crate) fn optional(&self, column: &str) -> Option<f64> {
        let text = self.text(column);
        (!text.is_empty()).then(|| text.parse().unwrap_or_else(|_| panic!("{column}: {text}")))
    }

    /// A day of the year.
    pub(crate) fn doy(&self) -> u16 {
        self.text("doy").parse().expect("a day of the year")
    }
}

/// Holds that `value` is within `tolerance` of `expected`.
#[track_caller]
pub(crate) fn near(what: &str, value: f64, expected: f64, tolerance: f64) {
    let difference = (value - expected).abs();
    assert!(
        difference <= tolerance,
        "{what}: {value} is {difference:e} from {expected}, more than {tolerance:e}"
    );
}

/// The day of the year of a date written as 2024-02-29.
pub(crate) fn day_of_year(date: &str) -> u16 {
    let mut parts = date.split('-').map(|part| part.parse::<u16>().expect("a date"));
    let (year, month, day) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let february = if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    lengths[..usize::from(month) - 1].iter().sum::<u16>() + day
}
