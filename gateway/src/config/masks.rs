//! Secrets in a configuration's text: taken out of it before it is kept or shown, and put back where it is used.
//!
//! Secrets are the `token` of a `[[sink]]`, and `token` and `url` of a `[[message]]`, whose address lets whoever knows it write there.
//! Passwords are in files of their own and never in the text.

use std::collections::BTreeMap;
use std::ops::Range;

use super::compile::{column_of, line_of};
use super::{Problem, raw, shape};

/// Stands where a secret was.
pub const MASK: &str = "***";

/// Secrets by where they belong: the name of a sink, or `message/NAME/KEY`.
pub type Secrets = BTreeMap<String, String>;

/// The text with masks where its secrets were, and those secrets; `None` where it has not the shape of a configuration.
#[must_use]
pub fn masked(text: &str) -> Option<(String, Secrets)> {
    let shape = shape::read(text);
    let is_sound = shape.problems.is_empty() && shape.is_readable;
    let tokens = is_sound.then(|| tokens(shape.file))?;
    let secrets = tokens.iter().filter(|token| token.value != MASK);
    let secrets = secrets.map(|token| (token.place.clone(), token.value.clone())).collect();
    let masks = tokens.into_iter().filter(|token| token.value != MASK);
    Some((replaced(text, masks.map(|token| (token.span, quoted(MASK)))), secrets))
}

/// The text with the secrets that are known where it has masks, and what is wrong with masks that stand for nothing.
#[must_use]
pub fn unmasked(text: &str, known: &Secrets) -> (String, Vec<Problem>) {
    let (mut put_back, mut problems) = (Vec::new(), Vec::new());
    for token in tokens(shape::read(text).file).into_iter().filter(|token| token.value == MASK) {
        let Some(value) = known.get(&token.place) else {
            problems.push(Problem {
                line: Some(line_of(text, token.span.start)),
                column: Some(column_of(text, token.span.start)),
                field: format!("{}[{}].{}", token.kind, token.idx, token.key),
                what: format!(
                    "no {} of a {} called {} is known: write it",
                    token.key, token.kind, token.name
                ),
            });
            continue;
        };
        put_back.push((token.span, quoted(value)));
    }
    (replaced(text, put_back.into_iter()), problems)
}

struct Secret {
    kind: &'static str,
    idx: usize,
    name: String,
    key: &'static str,
    /// The name under which it is kept.
    place: String,
    value: String,
    span: Range<usize>,
}

/// The tokens in the order of the text.
fn tokens(file: raw::File) -> Vec<Secret> {
    let of_sink = |(idx, sink): (usize, raw::Sink)| {
        let (name, token) = (sink.name.into_inner(), sink.token?);
        let (place, span) = (name.clone(), token.span());
        Some(Secret { kind: "sink", idx, name, key: "token", place, value: token.into_inner(), span })
    };
    let of_message = |(idx, message): (usize, raw::Message)| {
        let name = message.name.into_inner();
        [("url", message.url), ("token", message.token)].map(|(key, value)| {
            let value = value?;
            let (place, span) = (format!("message/{name}/{key}"), value.span());
            Some(Secret {
                kind: "message",
                idx,
                name: name.clone(),
                key,
                place,
                value: value.into_inner(),
                span,
            })
        })
    };
    let of_messages = file.message.into_iter().enumerate().flat_map(of_message).flatten();
    let of_sinks = file.sink.into_iter().enumerate().filter_map(of_sink);
    let mut tokens: Vec<_> = of_sinks.chain(of_messages).collect();
    tokens.sort_by_key(|token| token.span.start);
    tokens
}

fn quoted(value: &str) -> String {
    // What JSON escapes, TOML escapes in the same way.
    serde_json::Value::from(value).to_string()
}

fn replaced(text: &str, parts: impl Iterator<Item = (Range<usize>, String)>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (span, with) in parts {
        out.push_str(text.get(at..span.start).unwrap_or_default());
        out.push_str(&with);
        at = span.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "cooperative = \"Na Son\"\n[[sink]]\nname = \"a\"\nurl = \"http://h\"\nbucket = \"b\"\n\
         token = \"s3cret\" # of a\n[[sink]]\nname = \"b\"\nurl = \"http://h\"\nbucket = \"b\"\ntoken = 'raw\\x'\n";

    #[test]
    fn secrets_are_taken_out_and_come_back_where_they_were() {
        let (shown, secrets) = masked(TEXT).expect("a sound text");
        assert!(!shown.contains("s3cret") && !shown.contains("raw"), "{shown}");
        assert!(shown.contains("token = \"***\" # of a\n") && shown.contains("Na Son"), "{shown}");
        let (back, problems) = unmasked(&shown, &secrets);
        assert_eq!(problems, []);
        assert_eq!(back, TEXT.replace("'raw\\x'", &quoted("raw\\x")));
        assert_eq!(masked(&back), Some((shown.clone(), secrets)));
        assert_eq!(masked(&shown), Some((shown.clone(), Secrets::new())), "a mask is no secret");
    }

    #[test]
    fn the_address_of_a_message_is_a_secret_as_its_token_is() {
        let text = "[[message]]\nname = \"a\"\nurl = \"https://h/s3cret\"\ntoken = \"t0ken\"\n[[sink]]\nname = \"a\"\n\
                    url = \"http://h\"\nbucket = \"b\"\ntoken = \"other\"\n";
        let (shown, secrets) = masked(text).expect("a sound text");
        assert_eq!(shown.matches("= \"***\"").count(), 3, "{shown}");
        assert_eq!(unmasked(&shown, &secrets), (text.to_owned(), Vec::new()));
        let (_, problems) = unmasked(&shown.replacen("\"a\"", "\"b\"", 1), &secrets);
        let places: Vec<_> = problems.iter().map(|problem| (problem.line, problem.field.as_str())).collect();
        assert_eq!(places, [(Some(3), "message[0].url"), (Some(4), "message[0].token")]);
    }

    #[test]
    fn a_mask_that_stands_for_nothing_is_a_problem_with_its_line() {
        let (shown, secrets) = masked(TEXT).expect("a sound text");
        let other = shown.replace("name = \"b\"", "name = \"c\"");
        let (_, problems) = unmasked(&other, &secrets);
        let [problem] = problems.as_slice() else { panic!("no sink is called c: {problems:?}") };
        assert_eq!((problem.line, problem.column), (Some(11), Some(9)), "{problem:?}");
        assert_eq!(problem.field, "sink[1].token");
        assert_eq!(unmasked(&shown, &Secrets::new()).1.len(), 2);
        assert_eq!(masked("token ="), None);
        assert_eq!(unmasked("token =", &secrets), ("token =".to_owned(), Vec::new()));
    }
}
