//! CSV (RFC 4180) for programs, and in the variants that Excel opens by a double click.
//!
//! | variant | marks |
//! |---|---|
//! | plain | UTF-8 without a mark, `,`, `23.4`, times as RFC 3339 with their distance from UTC |
//! | Excel | UTF-8 with a byte order mark, lines end in CR LF, times as Excel reads them; `;` and `23,4` where the country does so |
//!
//! Words that a spreadsheet program would take for a formula (OWASP, "CSV Injection") get an apostrophe in front, in every variant.

use super::super::timezone::TimeZone;
use super::{Cell, Column, Notation, Sink};
use std::borrow::Cow;
use std::io::Write;

/// How the text is written.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    zone: TimeZone,
    is_excel: bool,
    notation: Notation,
}

impl Style {
    /// For programs.
    #[must_use]
    pub fn plain(zone: TimeZone) -> Self {
        Self { zone, is_excel: false, notation: Notation::Point }
    }

    /// For Excel.
    #[must_use]
    pub fn excel(zone: TimeZone, notation: Notation) -> Self {
        Self { zone, is_excel: true, notation }
    }

    fn time(self, at_us: i64) -> String {
        if !self.is_excel {
            return self.zone.rfc3339(at_us);
        }
        let has_fraction = at_us.rem_euclid(1_000_000) != 0;
        let form = if has_fraction { "%Y-%m-%d %H:%M:%S%.3f" } else { "%Y-%m-%d %H:%M:%S" };
        self.zone.local(at_us).map_or_else(|| at_us.to_string(), |local| local.format(form).to_string())
    }

    fn number(self, value: f64) -> String {
        let text = value.to_string();
        match self.notation {
            Notation::Point => text,
            Notation::Comma => text.replace('.', ","),
        }
    }
}

/// A text with what makes it a formula taken from it.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    match text.as_bytes().first() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n') => Cow::Owned(format!("'{text}")),
        _ => Cow::Borrowed(text),
    }
}

/// Writes CSV.
pub struct Csv<W: Write> {
    out: csv::Writer<W>,
    style: Style,
}

impl<W: Write> std::fmt::Debug for Csv<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Csv").field("style", &self.style).finish_non_exhaustive()
    }
}

impl<W: Write> Csv<W> {
    /// Begins with the titles.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn new(mut out: W, columns: &[Column], style: Style) -> anyhow::Result<Self> {
        if style.is_excel {
            out.write_all("\u{feff}".as_bytes())?;
        }
        let mut builder = csv::WriterBuilder::new();
        if style.is_excel {
            builder.terminator(csv::Terminator::CRLF);
        }
        if style.notation == Notation::Comma {
            builder.delimiter(b';');
        }
        let mut out = builder.from_writer(out);
        out.write_record(columns.iter().map(|column| harmless(&column.title).into_owned()))
            .map_err(csv_error)?;
        Ok(Self { out, style })
    }
}

impl<W: Write> Sink for Csv<W> {
    fn row(&mut self, cells: &[Cell<'_>]) -> anyhow::Result<()> {
        for cell in cells {
            let text: Cow<'_, str> = match *cell {
                Cell::Empty => Cow::Borrowed(""),
                Cell::Time(at_us) => self.style.time(at_us).into(),
                Cell::Text(text) => harmless(text),
                Cell::Number(value) => self.style.number(value).into(),
                Cell::Count(n) => n.to_string().into(),
            };
            self.out.write_field(text.as_bytes()).map_err(csv_error)?;
        }
        self.out.write_record(None::<&[u8]>).map_err(csv_error)?;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }
}

/// The library hides the kind of what the disk said.
fn csv_error(error: csv::Error) -> anyhow::Error {
    let text = error.to_string();
    if let csv::ErrorKind::Io(error) = error.into_kind() { error.into() } else { anyhow::Error::msg(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_made_harmless_and_numbers_stay() {
        for text in ["=1+1", "+1", "-cmd", "@x", "\tx", "\rx"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        for text in ["", "n01", "a=b", "°C"] {
            assert_eq!(harmless(text), text);
        }
        assert_eq!(Style::plain(TimeZone::UTC).number(-1.5), "-1.5", "a negative number is no formula");
        assert_eq!(Style::excel(TimeZone::UTC, Notation::Comma).number(-1.5), "-1,5");
    }

    #[test]
    fn times_are_local_and_exact() {
        let plain = Style::plain(TimeZone::fixed(420));
        let excel = Style::excel(TimeZone::fixed(420), Notation::Point);
        assert_eq!(plain.time(1_000_000), "1970-01-01T07:00:01+07:00");
        assert_eq!(excel.time(1_000_000), "1970-01-01 07:00:01");
        assert_eq!(excel.time(1_250_000), "1970-01-01 07:00:01.250");
    }
}
