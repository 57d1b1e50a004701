//! The rules of a season's file: from [`super::raw`] to [`Season`], collecting every problem before giving up.
//!
//! Here what all parts share, the dates and the site; `plan` makes soil, crop and rules, `days` the weather and the water.

use super::{Season, SeasonError, raw};
use crate::config::{ConfigError, Problem, line_of};
use chrono::NaiveDate;
use giot_engine::agro::Site;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

/// A season of more days is a typing error in a year.
const N_DAYS_MAX: u64 = 4000;

/// Checks `text` and makes it a season. `file` is only named in errors; `read_file` reads the weather's file as the season names
/// it.
///
/// # Errors
/// [`SeasonError`] with every key that nobody knows or that has a value of the wrong kind, or else every problem of the season's file, or
/// else of the weather's; errors of syntax stop at the first.
pub fn read(
    file: &str,
    text: &str,
    read_file: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
) -> Result<Season, SeasonError> {
    let raw =
        shape(text).map_err(|problems| SeasonError(vec![ConfigError { file: file.to_owned(), problems }]))?;
    let mut compiler =
        Compiler { file, text, problems: Vec::new(), spans: BTreeMap::new(), other_files: Vec::new() };
    let season = compiler.season(&raw, read_file);
    compiler.problems.sort_by_key(|problem| problem.line);
    match season {
        Some(season) if compiler.problems.is_empty() && compiler.other_files.is_empty() => Ok(season),
        _ => {
            let mut errors = compiler.other_files;
            if !compiler.problems.is_empty() {
                errors.insert(0, ConfigError { file: file.to_owned(), problems: compiler.problems });
            }
            Err(SeasonError(errors))
        }
    }
}

/// The file as it is written, or every key that has no place in it or a value of the wrong kind: what such a key was meant for is
/// missing then, so that nothing more is judged.
fn shape(text: &str) -> Result<raw::File, Vec<Problem>> {
    let mut problems = Vec::new();
    let place = |error: &toml::de::Error, what: String| Problem {
        line: error.span().map(|span| line_of(text, span.start)),
        column: None,
        field: String::new(),
        what,
    };
    let mut table = DeTable::parse(text).map_err(|error| vec![place(&error, error.message().to_owned())])?;
    loop {
        let error = match raw::File::deserialize(Deserializer::from(table.clone())) {
            Ok(file) if problems.is_empty() => return Ok(file),
            Ok(_) => break,
            Err(error) => error,
        };
        let what = error.message();
        let is_missing = what.starts_with("missing field");
        let at = error.span().filter(|_| !is_missing).map(|span| span.start);
        let taken = at.and_then(|at| take_key(table.get_mut(), at));
        match &taken {
            // An unknown key is named by the parser itself.
            Some(key) if !what.starts_with("unknown field") => {
                problems.push(place(&error, format!("{key}: {what}")));
            }
            // What is missing may be what was taken out.
            None if is_missing && !problems.is_empty() => {}
            Some(_) | None => problems.push(place(&error, what.to_owned())),
        }
        if taken.is_none() {
            break;
        }
    }
    problems.sort_by_key(|problem| problem.line);
    Err(problems)
}

/// Takes out the innermost key that stands at a place of the text, or whose value does; which.
fn take_key(table: &mut DeTable<'_>, at: usize) -> Option<String> {
    let inner = table.iter_mut().find_map(|(_, value)| take_within(value.get_mut(), at));
    if inner.is_some() {
        return inner;
    }
    let is_at = |(key, value): &(&Spanned<_>, &Spanned<DeValue<'_>>)| {
        key.span().contains(&at) || (value.span().contains(&at) && !value.get_ref().is_table())
    };
    let key = table.iter().find(is_at).map(|(key, _)| key.clone())?;
    table.remove(&key).map(|_| key.get_ref().to_string())
}

fn take_within(value: &mut DeValue<'_>, at: usize) -> Option<String> {
    if let DeValue::Table(table) = value {
        return take_key(table, at);
    }
    let DeValue::Array(array) = value else { return None };
    array.iter_mut().find_map(|value| take_within(value.get_mut(), at))
}

pub(super) struct Compiler<'t> {
    pub(super) file: &'t str,
    pub(super) text: &'t str,
    problems: Vec<Problem>,
    /// Where each key that the engine may blame stands.
    pub(super) spans: BTreeMap<&'static str, Range<usize>>,
    pub(super) other_files: Vec<ConfigError>,
}

/// The first day of a season and the last, and the one on which the first stage begins.
pub(super) struct Span {
    pub(super) first: NaiveDate,
    pub(super) last: NaiveDate,
    pub(super) planted: NaiveDate,
}

impl Span {
    /// Days from the first.
    pub(super) fn idx(&self, date: NaiveDate) -> i64 {
        date.signed_duration_since(self.first).num_days()
    }
}

impl Compiler<'_> {
    /// Notes a problem; without a place it is the file's as a whole.
    pub(super) fn problem(&mut self, span: impl Into<Option<Range<usize>>>, field: &str, what: impl Display) {
        let line = span.into().map(|span| line_of(self.text, span.start));
        self.problems.push(Problem { line, column: None, field: field.to_owned(), what: what.to_string() });
    }

    /// Notes where a key stands and gives its value.
    pub(super) fn at<T: Copy>(&mut self, field: &'static str, value: &Spanned<T>) -> T {
        self.spans.insert(field, value.span());
        *value.get_ref()
    }

    pub(super) fn optional<T: Copy>(&mut self, field: &'static str, value: Option<&Spanned<T>>) -> Option<T> {
        value.map(|value| self.at(field, value))
    }

    pub(super) fn date(&mut self, field: &str, value: &raw::Date) -> Option<NaiveDate> {
        let date = value.get_ref().date.and_then(|date| {
            NaiveDate::from_ymd_opt(i32::from(date.year), u32::from(date.month), u32::from(date.day))
        });
        if date.is_none() || value.get_ref().time.is_some() {
            self.problem(value.span(), field, "a date without a time, written as 2026-03-01");
            return None;
        }
        date
    }

    fn season(
        &mut self,
        raw: &raw::File,
        read_file: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
    ) -> Option<Season> {
        let span = self.span(&raw.season);
        let site = self.site(&raw.site);
        let plan = self.plan(raw, span.as_ref());
        // Numbers that are not there were noted; stand-ins let the engine judge the rest.
        for problem in plan.check() {
            self.problem(self.spans.get(problem.field).cloned(), problem.field, problem.what);
        }
        let days = self.days(raw, span.as_ref(), site.as_ref(), read_file)?;
        let plan = if raw.rules.adjust_kc { days.adjust(plan) } else { plan };
        let n_days = days.n_days.min(days.inputs.len());
        let (within, after) = days.inputs.split_at(n_days);
        Some(Season {
            plan,
            days: span?.first.iter_days().zip(within.iter().copied()).collect(),
            rain_after_mm: after.iter().map(|day| day.rain_mm).collect(),
            unknown_columns: days.unknown_columns,
        })
    }

    fn span(&mut self, raw: &raw::Season) -> Option<Span> {
        let (first, last) = (self.date("season.first", &raw.first), self.date("season.last", &raw.last));
        let planted = raw.planted.as_ref().map(|planted| self.date("season.planted", planted));
        let (first, last) = (first?, last?);
        let span = Span { first, last, planted: planted.unwrap_or(Some(first))? };
        let n_days = span.idx(last);
        if n_days < 0 || n_days.unsigned_abs() > N_DAYS_MAX {
            let what = format!("not before season.first, and at most {N_DAYS_MAX} days after it");
            self.problem(raw.last.span(), "season.last", what);
            return None;
        }
        if span.planted > first {
            self.problem(raw.planted.as_ref().map(Spanned::span), "season.planted", "not after season.first");
            return None;
        }
        Some(span)
    }

    fn site(&mut self, raw: &raw::Site) -> Option<Site> {
        let height_m = raw.wind_height_m.as_ref();
        let site = Site::new(
            *raw.latitude_deg.get_ref(),
            *raw.elevation_m.get_ref(),
            height_m.map_or(2.0, |height_m| *height_m.get_ref()),
        );
        site.map_err(|error| {
            let span = match error.field() {
                "latitude_deg" => Some(raw.latitude_deg.span()),
                "elevation_m" => Some(raw.elevation_m.span()),
                _ => height_m.map(Spanned::span),
            };
            self.problem(span, &format!("site.{}", error.field()), error);
        })
        .ok()
    }
}
