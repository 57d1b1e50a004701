//! From the text of a condition to what is evaluated: parsed by `cel`, checked here, each input replaced by a place.
//!
//! The language is a part of CEL (the Common Expression Language): `&& || ! == != < <= > >= + - * /`, `a ? b : c`, brackets,
//! numbers, texts, `true`, `false`, and `abs`, `min`, `max`. All numbers are decimal numbers. Inputs are named as
//! `series["n01/soil_moisture"]` or `series.name`, `weather.name`, `zone["man-1"].moisture` and `time.hour`. There are no
//! loops, macros, lists or other functions, so that the cost of an evaluation is bounded by the length of its text.
//! Names and kinds are checked before anything runs; every problem is told with its line and column.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, SourceInfo, operators};
use cel::parser::Parser;
use giot_engine::{ProbeRef, ZoneId};

use super::nearest::nearest;

/// Longest text of a condition, bytes: four times what fits a screen's line.
pub const TEXT_LEN_MAX: usize = 500;

/// Deepest nesting: more than a person can read.
const DEPTH_MAX: u16 = 16;

/// Most parts of a condition (operators, inputs, numbers): an evaluation takes some microseconds at most.
const PARTS_MAX: usize = 100;

/// Most different inputs of a condition.
const INPUTS_MAX: usize = 16;

/// What a condition may name.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// `series.name`, and `series["device/metric"]` under that text.
    pub series: BTreeMap<String, ProbeRef>,
    /// `weather.name`.
    pub weather: BTreeMap<String, ProbeRef>,
    /// `zone["id"]`.
    pub zones: BTreeSet<ZoneId>,
    /// What is missing here.
    pub unread: Unread,
}

/// Names that are missing because what has them could not be read: an unknown one is let pass, so that the rest of a condition can
/// be judged. What is compiled so is not to be evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Of `series.name` and `weather.name`.
    pub names: bool,
    /// Of `series["device/metric"]`.
    pub probes: bool,
    /// Of `zone["id"]`.
    pub zones: bool,
}

/// Something that a condition reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The newest value of a series.
    Series(ProbeRef),
    /// A sign of a zone.
    Zone(ZoneId, Sign),
    /// A part of the farm's time.
    Time(Part),
}

/// Declares the words behind `zone["id"].` or `time.` with what they are.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every word.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// As it is written.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

words! {
    /// What a rule sees of a zone.
    Sign {
        /// Median of its good probes, % of volume.
        Moisture = "moisture",
        /// Tension at its good probes, kPa; of a zone whose probes read that.
        Tension = "tension",
        /// Whether its valve is open.
        Watering = "watering",
        /// Whether it is locked.
        Locked = "locked",
        /// Whether a fault waits for a person.
        Fault = "fault",
    }
}

words! {
    /// A part of the farm's time.
    Part {
        /// 0–23.
        Hour = "hour",
        /// Minutes since midnight, 0–1439.
        Minute = "minute",
        /// 1 is Monday, 7 Sunday.
        Weekday = "weekday",
        /// Day of the month, 1–31.
        Day = "day",
        /// 1–12.
        Month = "month",
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Series(series) => write!(f, "{series}"),
            Self::Zone(zone, sign) => write!(f, "{zone}.{}", sign.word()),
            Self::Time(part) => write!(f, "time.{}", part.word()),
        }
    }
}

/// What kind of value a part of a condition has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Truth,
    Text,
}

impl Kind {
    const fn what(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Truth => "true or false",
            Self::Text => "a text",
        }
    }
}

/// What is wrong with a condition, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprError {
    /// Line of the condition, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What is wrong and what would be right.
    pub what: String,
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

/// A condition ready to be evaluated: input number `n` is the variable `place(n)`.
#[derive(Clone, Debug)]
pub struct Condition {
    pub(super) expr: IdedExpr,
    /// What it reads, each once, in the order of its text.
    pub inputs: Vec<Source>,
}

/// The function that looks at a number before anything is made of it; no text of a person can name it.
pub(super) const FINITE: &str = "@finite";

/// The variable that stands for an input; no text of a person can name it.
fn place(n: usize) -> String {
    format!("@{n}")
}

/// The number of the input behind a variable.
pub(super) fn place_of(variable: &str) -> Option<usize> {
    variable.strip_prefix('@')?.parse().ok()
}

/// Parses and checks a condition.
///
/// # Errors
/// Everything that is wrong with it, at least one.
pub fn compile(text: &str, scope: &Scope) -> Result<Condition, Vec<ExprError>> {
    let at_start = |what: String| vec![ExprError { line: 1, column: 1, what }];
    if text.len() > TEXT_LEN_MAX {
        return Err(at_start(format!("{} bytes are too long, at most {TEXT_LEN_MAX}", text.len())));
    }
    // The parser's own bound of depth comes after its lexer and prediction, which recurse as well.
    let depth = nesting(text);
    if depth > usize::from(DEPTH_MAX) {
        return Err(at_start(format!("{depth} brackets within one another, at most {DEPTH_MAX}")));
    }
    let parsed = Parser::new().max_recursion_depth(DEPTH_MAX * 2).parse_with_source_info(text);
    let (mut expr, places) = parsed.map_err(|errors| {
        let error = |error: &cel::ParseError| ExprError {
            line: usize::try_from(error.pos.0).unwrap_or(1).max(1),
            column: usize::try_from(error.pos.1).unwrap_or(1).max(1),
            what: error.msg.clone(),
        };
        errors.errors.iter().map(error).collect::<Vec<_>>()
    })?;
    let mut checker =
        Checker { text, scope, places: &places, inputs: Vec::new(), errors: Vec::new(), n_parts: 0 };
    let kind = checker.check(&mut expr);
    if kind.is_some_and(|kind| kind != Kind::Truth) {
        checker
            .problem(expr.id, "the condition gives no true or false: compare it with something".to_owned());
    }
    if checker.inputs.is_empty() && checker.errors.is_empty() {
        checker.problem(expr.id, "the condition reads nothing, so it could never change".to_owned());
    }
    if checker.n_parts > PARTS_MAX {
        let what = format!("{} parts are too many, at most {PARTS_MAX}", checker.n_parts);
        checker.problem(expr.id, what);
    }
    if checker.inputs.len() > INPUTS_MAX {
        let what = format!("{} inputs are too many, at most {INPUTS_MAX}", checker.inputs.len());
        checker.problem(expr.id, what);
    }
    let Checker { inputs, errors, .. } = checker;
    if errors.is_empty() { Ok(Condition { expr, inputs }) } else { Err(errors) }
}

/// How many brackets and signs stand within one another at most.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut n_signs) = (0_usize, 0, 0_usize);
    for c in text.chars() {
        n_signs = if matches!(c, '!' | '-') {
            n_signs + 1
        } else if c == ' ' {
            n_signs
        } else {
            0
        };
        match c {
            '(' | '[' | '{' | '?' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth + n_signs);
    }
    deepest
}

struct Checker<'a> {
    text: &'a str,
    scope: &'a Scope,
    places: &'a SourceInfo,
    inputs: Vec<Source>,
    errors: Vec<ExprError>,
    n_parts: usize,
}

impl Checker<'_> {
    fn problem(&mut self, id: u64, what: String) {
        let offset = self.places.offset_for(id).map_or(0, |(start, _)| start);
        let offset = usize::try_from(offset).unwrap_or(0);
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        self.errors.push(ExprError { line, column, what });
    }

    /// The kind of a part; `None` where it has a problem, which has been told. Inputs become places, whole numbers decimal
    /// ones.
    fn check(&mut self, node: &mut IdedExpr) -> Option<Kind> {
        self.n_parts += 1;
        let id = node.id;
        if let Some(found) = self.source(node) {
            let source = found?;
            let kind = match &source {
                Source::Zone(_, Sign::Watering | Sign::Locked | Sign::Fault) => Kind::Truth,
                Source::Series(_) | Source::Zone(_, Sign::Moisture | Sign::Tension) | Source::Time(_) => {
                    Kind::Number
                }
            };
            let known = self.inputs.iter().position(|input| *input == source);
            let n = known.unwrap_or_else(|| {
                self.inputs.push(source);
                self.inputs.len() - 1
            });
            node.expr = Expr::Ident(place(n));
            return Some(kind);
        }
        match &mut node.expr {
            Expr::Literal(literal) => {
                let kind = Self::literal(literal);
                if kind.is_none() {
                    self.problem(id, "numbers, texts, true and false only".to_owned());
                }
                kind
            }
            Expr::Call(call) if call.target.is_none() => {
                let kinds: Vec<Option<Kind>> = call.args.iter_mut().map(|arg| self.check(arg)).collect();
                let kinds: Vec<Kind> = kinds.into_iter().collect::<Option<_>>()?;
                let name = call.func_name.clone();
                if name == operators::DIVIDE && call.args.get(1).is_some_and(is_zero) {
                    self.problem(id, "nothing is divided by 0".to_owned());
                    return None;
                }
                match result(&name, &kinds) {
                    Ok(kind) => {
                        if is_arithmetic(&name) {
                            guard(node);
                        }
                        Some(kind)
                    }
                    Err(what) => {
                        self.problem(id, what);
                        None
                    }
                }
            }
            Expr::Ident(name) => {
                let roots = ["series", "weather", "zone", "time"];
                let what = match name.as_str() {
                    "zone" | "series" | "weather" | "time" => {
                        format!("`{name}` alone is nothing: name what of it")
                    }
                    _ => format!("there is no `{name}`{}", hint(name, roots)),
                };
                self.problem(id, what);
                None
            }
            Expr::Select(_) => {
                self.problem(id, "only series, weather, zone and time have parts".to_owned());
                None
            }
            Expr::Call(_)
            | Expr::Comprehension(_)
            | Expr::List(_)
            | Expr::Map(_)
            | Expr::Struct(_)
            | Expr::Unspecified => {
                let what = "lists, maps, macros and methods are not part of a rule's language";
                self.problem(id, what.to_owned());
                None
            }
        }
    }

    fn literal(literal: &mut LiteralValue) -> Option<Kind> {
        #[expect(clippy::cast_precision_loss, reason = "a number that a person wrote")]
        let number = match literal {
            LiteralValue::Int(int) => *int.inner() as f64,
            LiteralValue::UInt(int) => *int.inner() as f64,
            LiteralValue::Double(double) => *double.inner(),
            LiteralValue::Boolean(_) => return Some(Kind::Truth),
            LiteralValue::String(_) => return Some(Kind::Text),
            LiteralValue::Bytes(_) | LiteralValue::Null => return None,
        };
        *literal = LiteralValue::Double(number.into());
        Some(Kind::Number)
    }

    /// What a part reads. `None`: it is no input; `Some(None)`: it is a wrong one, which has been told.
    fn source(&mut self, node: &IdedExpr) -> Option<Option<Source>> {
        let scope = self.scope;
        let (root, key, rest) = path(node)?;
        Some(match (root, rest) {
            ("series", None) => self.series(node.id, root, &scope.series, key),
            ("weather", None) => self.series(node.id, root, &scope.weather, key),
            ("time", None) => {
                let part = Part::ALL.iter().find(|part| part.word() == key);
                if part.is_none() {
                    let words = Part::ALL.iter().map(|part| part.word());
                    self.problem(node.id, format!("there is no time.{key}{}", hint(key, words)));
                }
                part.map(|part| Source::Time(*part))
            }
            ("zone", Some(word)) => {
                let zone = scope.zones.iter().find(|zone| zone.as_str() == key).cloned();
                let zone = zone.or_else(|| key.parse().ok().filter(|_| scope.unread.zones));
                if zone.is_none() {
                    let zones = scope.zones.iter().map(ZoneId::as_str);
                    self.problem(node.id, format!("there is no zone \"{key}\"{}", hint(key, zones)));
                }
                let sign = Sign::ALL.iter().find(|sign| sign.word() == word);
                if sign.is_none() {
                    let words = Sign::ALL.iter().map(|sign| sign.word());
                    self.problem(node.id, format!("a zone has no `{word}`{}", hint(word, words)));
                }
                zone.zip(sign).map(|(zone, sign)| Source::Zone(zone, *sign))
            }
            ("zone", None) => {
                let words: Vec<&str> = Sign::ALL.iter().map(|sign| sign.word()).collect();
                let what = format!("name what of the zone: .{}", words.join(", ."));
                self.problem(node.id, what);
                None
            }
            _ => return None,
        })
    }

    fn series(
        &mut self,
        id: u64,
        root: &str,
        known: &BTreeMap<String, ProbeRef>,
        key: &str,
    ) -> Option<Source> {
        let unread = || {
            let (device, metric) = key.split_once('/').unwrap_or(("unread", key));
            let is_let_pass =
                if key.contains('/') { self.scope.unread.probes } else { self.scope.unread.names };
            let series = ProbeRef { device: device.parse().ok()?, metric: metric.parse().ok()? };
            is_let_pass.then_some(series)
        };
        let series = known.get(key).cloned().or_else(unread);
        if series.is_none() {
            let what = format!("{root} has no \"{key}\"{}", hint(key, known.keys().map(String::as_str)));
            self.problem(id, format!("{what}; a [{root}] table in the configuration names more"));
        }
        series.map(Source::Series)
    }
}

/// `root.key`, `root["key"]`, `root.key.rest` or `root["key"].rest`.
fn path(node: &IdedExpr) -> Option<(&str, &str, Option<&str>)> {
    fn pair(node: &IdedExpr) -> Option<(&str, &str)> {
        let (root, key) = if let Expr::Select(select) = &node.expr {
            (&select.operand.expr, Some(select.field.as_str()).filter(|_| !select.test)?)
        } else if let Expr::Call(call) = &node.expr {
            let [root, key] = call.args.as_slice() else { return None };
            let Expr::Literal(LiteralValue::String(text)) = &key.expr else { return None };
            (&root.expr, Some(text.inner()).filter(|_| call.func_name == operators::INDEX)?)
        } else {
            return None;
        };
        let Expr::Ident(root) = root else { return None };
        matches!(root.as_str(), "series" | "weather" | "zone" | "time").then_some((root.as_str(), key))
    }
    if let Some((root, key)) = pair(node) {
        return Some((root, key, None));
    }
    let Expr::Select(select) = &node.expr else { return None };
    let (root, key) = pair(&select.operand).filter(|_| !select.test)?;
    Some((root, key, Some(&select.field)))
}

fn is_arithmetic(name: &str) -> bool {
    [operators::ADD, operators::SUBSTRACT, operators::MULTIPLY, operators::DIVIDE].contains(&name)
}

/// Has a sum or quotient looked at before anything is made of it: what is no finite number compares as nothing.
fn guard(node: &mut IdedExpr) {
    let expr = std::mem::replace(&mut node.expr, Expr::Unspecified);
    let args = vec![IdedExpr { id: node.id, expr }];
    node.expr = Expr::Call(CallExpr { func_name: FINITE.to_owned(), target: None, args });
}

/// Whether a part is the number 0, which has become a decimal one.
fn is_zero(part: &IdedExpr) -> bool {
    matches!(&part.expr, Expr::Literal(LiteralValue::Double(number)) if *number.inner() == 0.0)
}

/// The kind that an operator or function gives.
fn result(name: &str, kinds: &[Kind]) -> Result<Kind, String> {
    use Kind::{Number, Text, Truth};
    let shown = |kinds: &[Kind]| kinds.iter().map(|kind| kind.what()).collect::<Vec<_>>().join(" and ");
    let wants = |what: &str| Err(format!("{what}, not {}", shown(kinds)));
    match name {
        operators::LOGICAL_AND | operators::LOGICAL_OR => match kinds {
            [Truth, Truth] => Ok(Truth),
            _ => wants("&& and || join what is true or false"),
        },
        operators::LOGICAL_NOT => match kinds {
            [Truth] => Ok(Truth),
            _ => wants("! turns what is true or false"),
        },
        operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS => {
            match kinds {
                [Number, Number] => Ok(Truth),
                _ => wants("< and > compare numbers"),
            }
        }
        operators::EQUALS | operators::NOT_EQUALS => match kinds {
            [Number, Number] | [Truth, Truth] | [Text, Text] => Ok(Truth),
            _ => wants("== and != compare things of one kind"),
        },
        operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE => match kinds {
            [Number, Number] => Ok(Number),
            _ => wants("+ - * / take numbers"),
        },
        operators::NEGATE | "abs" => match kinds {
            [Number] => Ok(Number),
            _ => wants("- and abs take a number"),
        },
        "min" | "max" => match kinds {
            [Number, Number] => Ok(Number),
            _ => wants("min and max take two numbers"),
        },
        operators::CONDITIONAL => match kinds {
            [Truth, a, b] if a == b => Ok(*a),
            _ => wants("a ? b : c needs true or false, then two things of one kind"),
        },
        operators::INDEX => Err("[…] stands after series, weather or zone, with a text in it".to_owned()),
        operators::MODULO => Err("there is no %".to_owned()),
        _ => Err(format!("there is no function `{name}`{}", hint(name, ["abs", "min", "max"]))),
    }
}

/// `, did you mean …?` with the nearest name, or what there is at all.
pub(crate) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(near) = nearest(name, known.iter().copied()) {
        return format!("; did you mean \"{near}\"?");
    }
    match known.len() {
        0 => String::new(),
        1..=8 => format!("; there is {}", known.join(", ")),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
