//! Words for people: the catalogues of `locales/`, and how a reason with its numbers becomes a sentence in Vietnamese and
//! English. The page does the same with the same files (`web/src/lib/words.ts`); here it serves the command line, the API's
//! plain answers and the table of all reasons.
//!
//! Pure: no clock, no machine language settings; the language and the names behind ids are arguments. A sentence whose
//! argument is missing is no sentence ([`Words::reason`] gives `None`), so that a hole is noticed and never shown.

mod numbers;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use giot_shared::time::UnixMs;
use serde_json::{Map, Value};
use unic_langid::LanguageIdentifier;

pub use numbers::{clock, date, exact, litres, moment, number, percent, span, time_of_day};
pub use table::reasons_table;

use crate::config::Settings;

/// The catalogues, as they are built in.
const VI: &str = include_str!("../../locales/vi.ftl");
const EN: &str = include_str!("../../locales/en.ftl");

/// Arguments that are shares of the soil's available water, in %.
const DEPLETION: [&str; 3] = ["depleted", "start_depleted", "stop_depleted"];

/// Arguments that are shown with all the decimals that they have: a limit of 2.5 is not 3, a level of 0.75 is not 0.8.
const EXACT: [&str; 8] =
    ["level", "least", "resume", "rain_mm", "limit_mm", "temperature_c", "below_c", "clear_c"];

/// Arguments that are moisture in % of the soil's volume.
const MOISTURE: [&str; 10] = [
    "moisture",
    "start_below",
    "stop_above",
    "min",
    "max",
    "from",
    "to",
    "rate_max",
    "other_moisture",
    "apart_max",
];

/// A language of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    /// Vietnamese.
    Vi,
    /// English.
    En,
}

impl Lang {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Vi, Self::En];

    /// The code of the language.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Vi => "vi",
            Self::En => "en",
        }
    }
}

impl FromStr for Lang {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|lang| lang.code() == text)
            .ok_or_else(|| "a language: vi or en".to_owned())
    }
}

/// What people call the things behind ids, and the clock that they go by; an id without a name stands for itself.
#[derive(Clone, Debug, Default)]
pub struct Names {
    utc_offset_min: i32,
    by_kind: BTreeMap<(&'static str, String), String>,
}

impl Names {
    /// The names that a configuration gives.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let zones = settings.zone_labels.iter().map(|(id, label)| ("zone", id.to_string(), &label.name));
        let sources = settings.source_names.iter().map(|(id, name)| ("source", id.to_string(), name));
        let programs = settings.program_names.iter().map(|(id, name)| ("program", id.to_string(), name));
        let rules = settings.rules.iter().map(|rule| ("rule", rule.id.to_string(), &rule.name));
        let all = zones.chain(sources).chain(programs).chain(rules).filter(|(_, _, name)| !name.is_empty());
        Self {
            utc_offset_min: settings.plan.utc_offset_min,
            by_kind: all.map(|(kind, id, name)| ((kind, id), name.clone())).collect(),
        }
    }

    /// What people call a thing of a kind: `zone`, `source`, `program` or `rule`.
    #[must_use]
    pub fn name<'a>(&'a self, kind: &'static str, id: &'a str) -> &'a str {
        self.by_kind.get(&(kind, id.to_owned())).map_or(id, String::as_str)
    }
}

/// Both catalogues, ready to speak.
pub struct Words {
    vi: FluentBundle<FluentResource>,
    en: FluentBundle<FluentResource>,
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Words").finish_non_exhaustive()
    }
}

impl Default for Words {
    fn default() -> Self {
        Self { vi: bundle(Lang::Vi, VI), en: bundle(Lang::En, EN) }
    }
}

fn bundle(lang: Lang, text: &str) -> FluentBundle<FluentResource> {
    let locales: Vec<LanguageIdentifier> = lang.code().parse().into_iter().collect();
    let mut bundle = FluentBundle::new_concurrent(locales);
    // Direction marks around arguments would end up in what programs compare and people copy.
    bundle.set_use_isolating(false);
    // A message that cannot be read is missing; a test reads both files whole.
    let resource = FluentResource::try_new(text.to_owned()).unwrap_or_else(|(resource, _)| resource);
    bundle.add_resource(resource).ok();
    bundle
}

/// A text as an argument: a plain count is a number, so that a message can tell one from many.
fn counted(text: &str) -> FluentValue<'_> {
    let is_count = text.len() < 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = is_count && (text == "0" || !text.starts_with('0'));
    if is_plain && !text.is_empty() { FluentValue::try_number(text) } else { FluentValue::from(text) }
}

impl Words {
    /// A message with its arguments, which are texts already; `None` when it or one of them is missing.
    #[must_use]
    pub fn message(&self, lang: Lang, id: &str, args: &[(&str, &str)]) -> Option<String> {
        let bundle = match lang {
            Lang::Vi => &self.vi,
            Lang::En => &self.en,
        };
        let pattern = bundle.get_message(id)?.value()?;
        let mut fluent_args = FluentArgs::with_capacity(args.len());
        args.iter().for_each(|(name, value)| fluent_args.set(*name, counted(value)));
        let mut errors = Vec::new();
        let text = bundle.format_pattern(pattern, Some(&fluent_args), &mut errors).into_owned();
        errors.is_empty().then_some(text)
    }

    /// A message, or its id where the catalogue has none.
    #[must_use]
    pub fn message_or_id(&self, lang: Lang, id: &str, args: &[(&str, &str)]) -> String {
        self.message(lang, id, args).unwrap_or_else(|| id.to_owned())
    }

    /// A word of an open set (event, crop, metric): its message, or the word itself.
    #[must_use]
    pub fn word(&self, lang: Lang, kind: &str, value: &str) -> String {
        self.message(lang, &message_id(kind, value), &[]).unwrap_or_else(|| value.to_owned())
    }

    /// A reason as a sentence; `None` when the catalogue does not know it or one of its arguments is missing. `args` are as
    /// the store and the API have them.
    #[must_use]
    pub fn reason(&self, lang: Lang, names: &Names, code: &str, args: &Map<String, Value>) -> Option<String> {
        let texts: Vec<(&str, String)> = args
            .iter()
            .map(|(name, value)| (name.as_str(), self.argument(lang, names, name, value)))
            .collect();
        let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
        self.message(lang, &message_id("reason", code), &texts)
    }

    /// What a person can do about a reason.
    #[must_use]
    pub fn remedy(&self, lang: Lang, code: &str) -> Option<String> {
        self.message(lang, &message_id("do", code), &[])
    }

    /// One argument of a reason with its unit; as in the engine, the name tells the unit.
    #[must_use]
    pub fn argument(&self, lang: Lang, names: &Names, name: &str, value: &Value) -> String {
        let Some(figure) = value.as_f64() else {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            return self.name_of(lang, names, name, text);
        };
        if name.ends_with("_s") {
            return span(self, lang, figure * 1000.0);
        }
        if name.ends_with("_ms") {
            return span(self, lang, figure);
        }
        if name.ends_with("_min") {
            return clock(figure);
        }
        if let Some(at) = value.as_i64().filter(|_| name.ends_with("_at")) {
            return moment(lang, UnixMs(at), names.utc_offset_min);
        }
        // Nobody waters by hand with none: the person did not say how much.
        if name == "litres" && figure <= 0.0 {
            return self.message(lang, "litres-unknown", &[]).unwrap_or_default();
        }
        if name == "litres" || name == "volume" {
            return litres(self, lang, figure);
        }
        if MOISTURE.contains(&name) || DEPLETION.contains(&name) {
            return percent(lang, figure);
        }
        if EXACT.contains(&name) {
            return exact(lang, figure);
        }
        number(lang, figure, if figure.fract() == 0.0 { 0 } else { 1 })
    }

    /// A text argument: a name, or the code of a word.
    fn name_of(&self, lang: Lang, names: &Names, name: &str, text: String) -> String {
        match name {
            "zone" => names.name("zone", &text).to_owned(),
            "source" => names.name("source", &text).to_owned(),
            "program" => names.name("program", &text).to_owned(),
            "rule" => names.name("rule", &text).to_owned(),
            "node" | "device" | "probe" | "other_probe" | "note" | "values" => text,
            "metric" => self.metric(lang, &text),
            // Right behind its number, or nothing.
            "unit" if text.is_empty() => text,
            "unit" => format!("\u{a0}{text}"),
            "by" => self.word(lang, "person", &text),
            _ => self.message(lang, &message_id(name, &text), &[]).unwrap_or(text),
        }
    }

    /// A metric in words; the second probe of a kind on one node is called `soil_moisture_1`.
    fn metric(&self, lang: Lang, name: &str) -> String {
        if let Some(word) = self.message(lang, &message_id("metric", name), &[]) {
            return word;
        }
        let numbered = name.rsplit_once('_').filter(|(_, n)| n.bytes().all(|b| b.is_ascii_digit()));
        let word =
            numbered.and_then(|(base, n)| Some((self.message(lang, &message_id("metric", base), &[])?, n)));
        word.map_or_else(|| name.to_owned(), |(word, n)| format!("{word} {n}"))
    }
}

/// The id of a message about a code.
fn message_id(kind: &str, code: &str) -> String {
    format!("{}-{}", kind.replace('_', "-"), code.replace('_', "-"))
}

#[cfg(test)]
mod tests;
