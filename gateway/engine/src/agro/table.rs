//! Reads the tables of crops and soils: comma-separated text that is part of the program, with no quotes and no commas in cells.
//!
//! A row that does not read is left out; a test holds that every row reads.

/// Whether a row stands in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataStatus {
    /// Its numbers are printed in the source it names.
    Sourced,
    /// An analogue that waits for a source: not to be trusted without measurements.
    Placeholder,
}

impl DataStatus {
    /// The stable word.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Sourced => "sourced",
            Self::Placeholder => "placeholder",
        }
    }

    fn from_code(code: &str) -> Option<Self> {
        [Self::Sourced, Self::Placeholder].into_iter().find(|status| status.code() == code)
    }
}

/// The rows of a table below its comments and heading.
pub(super) fn rows(table: &'static str) -> impl Iterator<Item = Cells> {
    table.lines().filter(|line| !line.starts_with('#')).skip(1).map(|line| Cells(line.split(',')))
}

/// The cells of a row, from left to right.
pub(super) struct Cells(core::str::Split<'static, char>);

impl Cells {
    /// The next cell.
    pub(super) fn text(&mut self) -> Option<&'static str> {
        self.0.next()
    }

    /// The next cell as a number.
    pub(super) fn number(&mut self) -> Option<f64> {
        self.text()?.parse().ok()
    }

    /// The next two cells as a range.
    pub(super) fn range(&mut self) -> Option<(f64, f64)> {
        Some((self.number()?, self.number()?))
    }

    /// The next cell as a status.
    pub(super) fn status(&mut self) -> Option<DataStatus> {
        DataStatus::from_code(self.text()?)
    }
}
