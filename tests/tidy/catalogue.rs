//! Rules about the page's words: both languages say the same things, and every decision has words.

use std::collections::{BTreeMap, BTreeSet};

/// The variables that each message of a Fluent file uses, by message (`id` or `id.attribute`).
type Messages = BTreeMap<String, BTreeSet<String>>;

/// What differs between two files of one catalogue.
pub(crate) fn same_messages(name_a: &str, text_a: &str, name_b: &str, text_b: &str) -> Vec<String> {
    let (a, b) = (messages(text_a), messages(text_b));
    let mut found = Vec::new();
    for id in a.keys().filter(|id| !b.contains_key(*id)) {
        found.push(format!("{name_b}: `{id}` is missing"));
    }
    for id in b.keys().filter(|id| !a.contains_key(*id)) {
        found.push(format!("{name_a}: `{id}` is missing"));
    }
    for (id, variables) in &a {
        if let Some(others) = b.get(id)
            && others != variables
        {
            found.push(format!("{name_b}: `{id}` uses {others:?}, in {name_a} {variables:?}"));
        }
    }
    for (name, text) in [(name_a, text_a), (name_b, text_b)] {
        found.extend(doubled(text).into_iter().map(|id| format!("{name}: `{id}` stands twice")));
    }
    found
}

/// The codes that `text` has no message of a kind for: `reason-…` says a decision, `do-…` what a person can do, `metric-…` what is
/// measured.
pub(crate) fn codes_without_words(name: &str, text: &str, kind: &str, codes: &[&str]) -> Vec<String> {
    let messages = messages(text);
    codes
        .iter()
        .map(|code| format!("{kind}-{}", code.replace('_', "-")))
        .filter(|id| !messages.contains_key(id))
        .map(|id| format!("{name}: `{id}` is missing: it is said"))
        .collect()
}

/// The variables in `reason-…` messages that the decision does not carry: the page would show a hole. `names_of` gives
/// the numbers and names that a code carries.
pub(crate) fn words_without_numbers(
    name: &str,
    text: &str,
    codes: &[&str],
    names_of: impl Fn(&str) -> Option<&'static [&'static str]>,
) -> Vec<String> {
    let messages = messages(text);
    let mut found = Vec::new();
    for code in codes {
        let id = format!("reason-{}", code.replace('_', "-"));
        let carried = names_of(code).unwrap_or_default();
        for variable in messages.get(&id).into_iter().flatten() {
            if !carried.contains(&variable.as_str()) {
                found.push(format!("{name}: `{id}` uses ${variable}; the engine says {carried:?}"));
            }
        }
    }
    found
}

fn messages(text: &str) -> Messages {
    let mut messages = Messages::new();
    let mut id = String::new();
    let mut attribute = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(found) = message_id(line) {
            id = found.to_owned();
            attribute.clear();
        } else if let Some(found) = line.trim_start().strip_prefix('.').and_then(message_id) {
            attribute = format!(".{found}");
        }
        if !id.is_empty() {
            let variables = messages.entry(format!("{id}{attribute}")).or_default();
            for rest in line.split('$').skip(1) {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'));
                variables.insert(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default().to_owned());
            }
        }
    }
    messages
}

/// The identifier that a line begins a message (or term) with.
fn message_id(line: &str) -> Option<&str> {
    let (id, _) = line.split_once('=')?;
    let id = id.trim_end();
    let mut letters = id.strip_prefix('-').unwrap_or(id).chars();
    let is_id = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    is_id.then_some(id)
}

fn doubled(text: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    text.lines().filter_map(message_id).filter(|id| !seen.insert(*id)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_message_and_another_variable_are_found() {
        let vi = "# Trang\nzone = Lô\n    .title = Lô { $name }\nreason-soil-dry = Đất khô { $moisture }\nonly = x\n";
        let en =
            "zone = Plot\n    .title = Plot { $name }\nreason-soil-dry = Dry soil { $value }\nzone = Twice\n";
        let found = same_messages("vi.ftl", vi, "en.ftl", en);
        assert_eq!(
            found,
            [
                "en.ftl: `only` is missing",
                "en.ftl: `reason-soil-dry` uses {\"value\"}, in vi.ftl {\"moisture\"}",
                "en.ftl: `zone` stands twice",
            ]
        );
    }

    #[test]
    fn a_message_over_several_lines_is_one() {
        let text =
            "runs =\n    { $n ->\n        [one] { $n } run\n       *[other] { $n } runs by { $who }\n    }\n";
        assert_eq!(
            messages(text),
            BTreeMap::from([("runs".to_owned(), ["n", "who"].map(str::to_owned).into())])
        );
    }

    #[test]
    fn a_decision_without_words_is_found() {
        let found =
            codes_without_words("vi.ftl", "reason-soil-dry = x\n", "reason", &["soil_dry", "clock_unset"]);
        assert_eq!(found, ["vi.ftl: `reason-clock-unset` is missing: it is said"]);
    }

    #[test]
    fn a_variable_that_the_engine_does_not_say_is_found() {
        let text = "reason-soil-dry = Dry: { $moisture } of { $wanted }\n";
        let found = words_without_numbers("en.ftl", text, &["soil_dry"], |_| Some(&["moisture"]));
        assert_eq!(found, ["en.ftl: `reason-soil-dry` uses $wanted; the engine says [\"moisture\"]"]);
    }
}
