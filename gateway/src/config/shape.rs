//! Syntax, keys and kinds of values of a configuration: text → [`raw::File`], with everything found that has not the right shape.
//!
//! What is wrong is told, and mended so that the rules can judge all the rest: a key without a place is taken out (or stands for the
//! one that it is nearly called), a value of a wrong kind gives way to its default, or where there is none to a stand-in. Lists keep
//! their length, so that numbers in fields are those of the text. Fields that were mended are remembered: what rests on them is
//! not to be told a second time.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeFloat, DeInteger, DeTable, DeValue, Deserializer};

use super::compile::{column_of, line_of};
use super::keys::{FILE, Key, Kind};
use super::{Problem, raw};
use crate::rules::{did_you_mean, nearest_name};

/// Problems that are told at most: whoever has more of them has another kind of file.
pub(super) const PROBLEMS_MAX: usize = 1000;

/// What a text has the shape of.
pub(super) struct Shape<'t> {
    /// The file, mended where it had to be.
    pub(super) file: raw::File,
    /// The same as a table, for the places of its keys.
    pub(super) table: DeTable<'t>,
    /// Everything that has not the right shape.
    pub(super) problems: Vec<Problem>,
    /// Fields that were mended.
    pub(super) mended: BTreeSet<String>,
    /// Whether the rest can be judged: after an error of the syntax, anything may be missing.
    pub(super) is_readable: bool,
}

/// Reads the shape of a file.
pub(super) fn read(text: &str) -> Shape<'_> {
    let (mut table, errors) = DeTable::parse_recoverable(text);
    let mut mender = Mender { text, is_readable: true, problems: Vec::new(), mended: BTreeSet::new() };
    for error in &errors {
        let span = error.span().unwrap_or_default();
        let line = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
        let key = key_in(table.get_ref(), &(line..span.start + 1));
        let field = key.as_ref().map(|key| key.field.clone());
        mender.problem(span, &field.unwrap_or_default(), error.message().to_owned());
        // One value alone is lost; after everything else anything may be missing.
        match key.filter(|key| key.is_alone) {
            Some(key) => {
                mender.mended.insert(key.field);
            }
            None => mender.is_readable = false,
        }
    }
    let span = table.span();
    mender.table(table.get_mut(), &span, &FILE, "");
    let Mender { mut problems, mended, is_readable, .. } = mender;
    let file = raw::File::deserialize(Deserializer::from(table.clone()));
    let (file, is_readable) = match file {
        Ok(file) => (file, is_readable),
        Err(error) => {
            // No kind of value is known to get here; it is refused in the library's words.
            let span = error.span().unwrap_or_default();
            let field = field_at(table.get_ref(), &span).unwrap_or_default();
            problems.push(place(text, span, &field, error.message().to_owned()));
            (raw::File::default(), false)
        }
    };
    Shape { file, table: table.into_inner(), problems, mended, is_readable }
}

/// Where the value of a field such as `zone[2].source` stands: at its key, an entry of a list at itself; what is not written
/// stands where the nearest thing does that holds it, which the flag tells.
pub(super) fn place_of(table: &DeTable<'_>, field: &str) -> (Option<Range<usize>>, bool) {
    let mut table = Some(table);
    let mut place = None;
    for part in field.split('.') {
        let mut names = part.split('[');
        let key = names.next().unwrap_or_default();
        let Some((found, value)) = table.and_then(|table| table.get_key_value(key)) else {
            return (place, false);
        };
        let mut value = value;
        place = Some(found.span());
        for idx in names {
            let idx = idx.trim_end_matches(']').parse::<usize>().ok();
            let item = value.get_ref().as_array().zip(idx).and_then(|(array, idx)| array.get(idx));
            let Some(item) = item else { return (place, false) };
            place = Some(item.span());
            value = item;
        }
        table = value.get_ref().as_table();
    }
    (place, true)
}

/// The field that stands at a place of the text.
fn field_at(table: &DeTable<'_>, place: &Range<usize>) -> Option<String> {
    let holds = |span: Range<usize>| span.start <= place.start && place.start < span.end.max(span.start + 1);
    table.iter().find_map(|(key, value)| {
        let deeper = match value.get_ref() {
            DeValue::Table(table) => field_at(table, place).map(|rest| format!("{}.{rest}", key.get_ref())),
            DeValue::Array(array) => array.iter().enumerate().find_map(|(idx, item)| {
                let name = format!("{}[{idx}]", key.get_ref());
                let rest = item.get_ref().as_table().and_then(|table| field_at(table, place));
                rest.map(|rest| format!("{name}.{rest}")).or_else(|| holds(item.span()).then_some(name))
            }),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => None,
        };
        deeper.or_else(|| (holds(key.span()) || holds(value.span())).then(|| key.get_ref().to_string()))
    })
}

/// A key and where it stands.
struct Found {
    field: String,
    at: usize,
    /// Its value is no list and no table.
    is_alone: bool,
}

/// The last key that begins in a part of the text.
fn key_in(table: &DeTable<'_>, part: &Range<usize>) -> Option<Found> {
    let keys = table.iter().filter_map(|(key, value)| {
        let name = key.get_ref();
        let below = |found: Option<Found>, name: &str| {
            found.map(|found| Found { field: format!("{name}.{}", found.field), ..found })
        };
        let deeper = match value.get_ref() {
            DeValue::Table(table) => below(key_in(table, part), name),
            DeValue::Array(array) => {
                let items = array.iter().enumerate().filter_map(|(idx, item)| {
                    below(key_in(item.get_ref().as_table()?, part), &format!("{name}[{idx}]"))
                });
                items.max_by_key(|found| found.at)
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => None,
        };
        let is_alone = !matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_));
        let own = Found { field: name.to_string(), at: key.span().start, is_alone };
        deeper.or_else(|| part.contains(&own.at).then_some(own))
    });
    keys.max_by_key(|found| found.at)
}

fn place(text: &str, span: Range<usize>, field: &str, what: String) -> Problem {
    Problem {
        line: Some(line_of(text, span.start)),
        column: Some(column_of(text, span.start)),
        field: field.to_owned(),
        what,
    }
}

struct Mender<'t> {
    text: &'t str,
    is_readable: bool,
    problems: Vec<Problem>,
    mended: BTreeSet<String>,
}

impl Mender<'_> {
    fn problem(&mut self, span: Range<usize>, field: &str, what: String) {
        if self.problems.len() <= PROBLEMS_MAX {
            self.problems.push(place(self.text, span, field, what));
        }
    }

    fn table(&mut self, table: &mut DeTable<'_>, span: &Range<usize>, keys: &'static [Key], path: &str) {
        let field = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let is_known = |name: &str| keys.iter().any(|key| key.name == name);
        let strange: Vec<_> = table.keys().filter(|key| !is_known(key.get_ref())).cloned().collect();
        for key in strange {
            let value = table.remove(&key);
            let free = keys.iter().map(|key| key.name).filter(|name| !table.contains_key(*name));
            let meant = nearest_name(key.get_ref(), free);
            let hint = did_you_mean(key.get_ref(), meant.into_iter().chain(keys.iter().map(|key| key.name)));
            self.problem(key.span(), &field(key.get_ref()), format!("there is no such key here{hint}"));
            if let (Some(meant), Some(value)) = (meant, value) {
                table.insert(Spanned::new(key.span(), meant.into()), value);
            }
        }
        for key in keys {
            let path = field(key.name);
            let is_lost = self.mended.contains(&path);
            let Some(value) = table.get_mut(key.name) else {
                if key.is_needed {
                    if self.is_readable {
                        self.problem(span.clone(), &path, format!("needed: {}", key.kind.words()));
                    }
                    table.insert(Spanned::new(span.clone(), key.name.into()), stand_in(&key.kind, span));
                    self.mended.insert(path);
                }
                continue;
            };
            if !is_lost && self.value(value, &key.kind, &path) {
                continue;
            }
            if key.is_needed {
                *value = stand_in(&key.kind, &value.span());
            } else {
                table.remove(key.name);
            }
            self.mended.insert(path);
        }
    }

    /// Whether a value is of its kind, mended inside where it has to be; what it is not has been told.
    fn value(&mut self, value: &mut Spanned<DeValue<'_>>, kind: &'static Kind, path: &str) -> bool {
        let span = value.span();
        match (kind, value.get_mut()) {
            (Kind::Text, DeValue::String(_)) | (Kind::Flag, DeValue::Boolean(_)) => return true,
            (Kind::Number, DeValue::Float(number)) if is_number(number) => return true,
            (Kind::Number, DeValue::Integer(number))
                if whole(number).is_some_and(|n| i64::try_from(n).is_ok()) =>
            {
                return true;
            }
            (Kind::Whole(least, most), DeValue::Integer(number))
                if whole(number).is_some_and(|n| (i128::from(*least)..=i128::from(*most)).contains(&n)) =>
            {
                return true;
            }
            (Kind::Row(kind, n), DeValue::Array(array)) if array.len() == *n => {
                self.items(array, kind, path);
                return true;
            }
            (Kind::List(kind), DeValue::Array(array)) => {
                self.items(array, kind, path);
                return true;
            }
            (Kind::List(of), DeValue::Table(_)) if keys_of(of).is_some() => {
                // One pair of brackets where there should be two: read as the only one.
                let key = path.rsplit('.').next().unwrap_or(path);
                self.problem(
                    span.clone(),
                    path,
                    format!("a list is needed, also for one: [[{key}]], or {key} = [{{ … }}]"),
                );
                let one = std::mem::replace(value.get_mut(), DeValue::Boolean(false));
                let mut array: DeArray<'_> = std::iter::once(Spanned::new(span, one)).collect();
                self.items(&mut array, of, path);
                *value.get_mut() = DeValue::Array(array);
                return true;
            }
            (Kind::Table(keys), DeValue::Table(table)) => {
                self.table(table, &span, keys, path);
                return true;
            }
            (Kind::Named(kind), DeValue::Table(table)) => {
                let names: Vec<_> = table.keys().cloned().collect();
                for name in names {
                    let path = format!("{path}.{}", name.get_ref());
                    if table.get_mut(&name).is_some_and(|value| !self.value(value, kind, &path)) {
                        table.remove(&name);
                        self.mended.insert(path);
                    }
                }
                return true;
            }
            (Kind::Either(one, other), found) => {
                let likely = [one, other].into_iter().find(|kind| is_alike(kind, found));
                if let Some(kind) = likely {
                    return self.value(value, kind, path);
                }
            }
            _ => {}
        }
        let (found, remedy) = found(value.get_ref(), kind);
        self.problem(span, path, format!("{} is needed, not {found}{remedy}", kind.words()));
        false
    }

    /// The entries of a list; a wrong one gives way to a stand-in.
    fn items(&mut self, array: &mut DeArray<'_>, kind: &'static Kind, path: &str) {
        for (idx, item) in array.iter_mut().enumerate() {
            let path = format!("{path}[{idx}]");
            if !self.value(item, kind, &path) {
                *item = stand_in(kind, &item.span());
                self.mended.insert(path);
            }
        }
    }
}

/// The keys of what is a table, or may be one.
fn keys_of(kind: &'static Kind) -> Option<&'static [Key]> {
    match kind {
        Kind::Table(keys) => Some(keys),
        Kind::Either(one, other) => keys_of(one).or_else(|| keys_of(other)),
        Kind::Text
        | Kind::Flag
        | Kind::Number
        | Kind::Whole(..)
        | Kind::Row(..)
        | Kind::List(_)
        | Kind::Named(_) => None,
    }
}

/// Whether a value looks like one of a kind, be it right or wrong inside.
fn is_alike(kind: &Kind, value: &DeValue<'_>) -> bool {
    matches!(
        (kind, value),
        (Kind::Text, DeValue::String(_))
            | (Kind::Flag, DeValue::Boolean(_))
            | (Kind::Number | Kind::Whole(..), DeValue::Integer(_) | DeValue::Float(_))
            | (Kind::Row(..) | Kind::List(_), DeValue::Array(_))
            | (Kind::Table(_) | Kind::Named(_), DeValue::Table(_))
    )
}

fn whole(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Whether a number is one that a computer can count with; infinity is for the rules to refuse.
fn is_number(number: &DeFloat<'_>) -> bool {
    number
        .as_str()
        .parse::<f64>()
        .is_ok_and(|value| value.is_finite() || number.as_str().contains(['i', 'n']))
}

/// What stands in for a value that cannot be used, at its place.
fn stand_in(kind: &Kind, span: &Range<usize>) -> Spanned<DeValue<'static>> {
    let value = match kind {
        Kind::Text => DeValue::String("".into()),
        Kind::Flag => DeValue::Boolean(false),
        Kind::Number => DeValue::Float(DeFloat::default()),
        Kind::Whole(..) => DeValue::Integer(DeInteger::default()),
        Kind::Row(kind, n) => DeValue::Array((0..*n).map(|_| stand_in(kind, span)).collect()),
        Kind::List(_) => DeValue::Array(DeArray::new()),
        Kind::Table(keys) => {
            let needed = keys.iter().filter(|key| key.is_needed);
            let all =
                needed.map(|key| (Spanned::new(span.clone(), key.name.into()), stand_in(&key.kind, span)));
            DeValue::Table(all.collect())
        }
        Kind::Named(_) => DeValue::Table(DeTable::new()),
        Kind::Either(kind, _) => return stand_in(kind, span),
    };
    Spanned::new(span.clone(), value)
}

/// What a value is instead, and what to do about it. Values are not repeated: one may be a secret at a wrong place.
fn found(value: &DeValue<'_>, kind: &Kind) -> (&'static str, &'static str) {
    let quoted = if matches!(kind, Kind::Text) { ": put it in quotation marks" } else { "" };
    match value {
        DeValue::String(_) => {
            let is_number = matches!(kind, Kind::Number | Kind::Whole(..) | Kind::Flag);
            ("a text", if is_number { ": take the quotation marks away" } else { "" })
        }
        DeValue::Integer(_) => ("this number", quoted),
        DeValue::Float(_) => ("a number with decimals", quoted),
        DeValue::Boolean(_) => ("true or false", quoted),
        DeValue::Datetime(_) => ("a date or time", quoted),
        DeValue::Array(_) => ("this list", ""),
        DeValue::Table(_) => ("a table", ""),
    }
}
