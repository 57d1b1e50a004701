//! Syntax, keys and types of a configuration: text → [`raw::File`], with everything found that has not the right shape.
//!
//! The reader of a table stops at the first key that it does not know or cannot use. Here that entry is taken out of the table
//! and the rest is read again, so that all are found in one go. Rules are for `compile`, which gets what has the right shape.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer, Error};

use super::compile::{column_of, line_of};
use super::{Problem, raw};

/// Entries of a wrong shape that are looked for: whoever has more of them has another kind of file.
const WRONG_MAX: usize = 50;

/// Reads the shape of a file.
///
/// # Errors
/// Everything that has not the right shape, in the order of the text.
pub(super) fn read(text: &str) -> Result<raw::File, Vec<Problem>> {
    let (mut table, errors) = DeTable::parse_recoverable(text);
    let mut problems: Vec<Problem> =
        errors.iter().take(WRONG_MAX).map(|error| problem(text, error)).collect();
    while problems.len() < WRONG_MAX {
        let error = match raw::File::deserialize(Deserializer::from(table.clone())) {
            Ok(file) if problems.is_empty() => return Ok(file),
            Ok(_) => break,
            Err(error) => error,
        };
        // After an error of the syntax, what is missing may stand where nothing could be read.
        if errors.is_empty() || !error.message().starts_with("missing field") {
            problems.push(problem(text, &error));
        }
        let Some(span) = error.span().filter(|span| take_out(table.get_mut(), span)) else { break };
        debug_assert!(span.start <= text.len());
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems.dedup();
    Err(problems)
}

fn problem(text: &str, error: &Error) -> Problem {
    let start = error.span().map(|span| span.start);
    Problem {
        line: start.map(|start| line_of(text, start)),
        column: start.map(|start| column_of(text, start)),
        field: String::new(),
        what: error.message().to_owned(),
    }
}

/// Takes the entry out that a place in the text belongs to: the innermost that is named by just this place, or holds it;
/// false where there is none.
fn take_out(table: &mut DeTable<'_>, place: &Range<usize>) -> bool {
    let holds = |span: Range<usize>| span.start <= place.start && place.end <= span.end;
    let key = table.iter().find(|(key, value)| key.span() == *place || holds(value.span()));
    let key = key.or_else(|| {
        // The span of a table is its header; the spans of its entries lie behind it.
        table.iter().find(|(_, value)| reaches(value, place))
    });
    let Some(key) = key.map(|(key, _)| key.clone()) else { return false };
    let is_deeper =
        key.span() != *place && table.get_mut(&key).is_some_and(|value| take_out_of(value, place));
    is_deeper || table.remove(&key).is_some()
}

fn take_out_of(value: &mut Spanned<DeValue<'_>>, place: &Range<usize>) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => reaches_into(table, place) && take_out(table, place),
        DeValue::Array(array) => {
            let found = array.iter().position(|value| reaches(value, place));
            let Some(idx) = found else { return false };
            let is_deeper = array.get_mut(idx).is_some_and(|value| take_out_of(value, place));
            if !is_deeper {
                let rest = std::mem::replace(array, DeArray::new())
                    .into_iter()
                    .enumerate()
                    .filter(|(n, _)| *n != idx);
                *array = rest.map(|(_, value)| value).collect();
            }
            true
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => false,
    }
}

fn reaches(value: &Spanned<DeValue<'_>>, place: &Range<usize>) -> bool {
    let span = value.span();
    if span.start <= place.start && place.end <= span.end {
        return true;
    }
    match value.get_ref() {
        DeValue::Table(table) => reaches_into(table, place),
        DeValue::Array(array) => array.iter().any(|value| reaches(value, place)),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => false,
    }
}

fn reaches_into(table: &DeTable<'_>, place: &Range<usize>) -> bool {
    table.iter().any(|(key, value)| key.span() == *place || reaches(value, place))
}
