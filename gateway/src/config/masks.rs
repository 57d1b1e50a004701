//! Secrets in a configuration's text: hidden from those who read it, and put back where what they read is saved again.
//!
//! A secret is the `token` of a `[[sink]]`; passwords are in files of their own and never in the text.

use std::collections::BTreeMap;
use std::ops::Range;

use super::compile::{column_of, line_of};
use super::{Problem, raw, shape};

/// Stands where a secret was.
pub const MASK: &str = "***";

/// The text without its secrets; one that has not the shape of a configuration is shown not at all.
#[must_use]
pub fn masked(text: &str) -> String {
    let Some(tokens) = tokens(text) else { return String::new() };
    replaced(text, tokens.into_iter().map(|token| (token.span, quoted(MASK))))
}

/// The text with the secrets of `before` where it has masks, by the names of their sinks; as it is where it has not the shape
/// of a configuration, or no masks.
///
/// # Errors
/// A mask that stands for nothing.
pub fn unmasked(text: &str, before: &str) -> Result<String, Problem> {
    let known: BTreeMap<String, String> =
        tokens(before).unwrap_or_default().into_iter().map(|token| (token.sink, token.value)).collect();
    let mut put_back = Vec::new();
    for token in tokens(text).unwrap_or_default().into_iter().filter(|token| token.value == MASK) {
        let Some(value) = known.get(&token.sink).filter(|value| *value != MASK) else {
            return Err(Problem {
                line: Some(line_of(text, token.span.start)),
                column: Some(column_of(text, token.span.start)),
                field: "token".to_owned(),
                what: format!("no token of a sink called {} is known: write it", token.sink),
            });
        };
        put_back.push((token.span, quoted(value)));
    }
    Ok(replaced(text, put_back.into_iter()))
}

struct SinkToken {
    sink: String,
    value: String,
    span: Range<usize>,
}

/// The tokens in the order of the text; `None` where it has not the shape of a configuration.
fn tokens(text: &str) -> Option<Vec<SinkToken>> {
    let file = shape::read(text).ok()?;
    let token = |sink: raw::Sink| {
        let token = sink.token?;
        Some(SinkToken { sink: sink.name.into_inner(), span: token.span(), value: token.into_inner() })
    };
    let mut tokens: Vec<_> = file.sink.into_iter().filter_map(token).collect();
    tokens.sort_by_key(|token| token.span.start);
    Some(tokens)
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
    fn secrets_are_hidden_and_come_back_where_they_were() {
        let shown = masked(TEXT);
        assert!(!shown.contains("s3cret") && !shown.contains("raw"), "{shown}");
        assert!(shown.contains("token = \"***\" # of a\n") && shown.contains("Na Son"), "{shown}");
        let back = unmasked(&shown, TEXT).expect("known sinks");
        assert_eq!(back, TEXT.replace("'raw\\x'", &quoted("raw\\x")));
        assert_eq!(masked(&back), shown);
    }

    #[test]
    fn a_mask_that_stands_for_nothing_is_a_problem_with_its_line() {
        let shown = masked(TEXT).replace("name = \"b\"", "name = \"c\"");
        let problem = unmasked(&shown, TEXT).expect_err("no sink is called c");
        assert_eq!((problem.line, problem.column), (Some(11), Some(9)), "{problem:?}");
        assert!(unmasked(&masked(TEXT), "").is_err());
        assert_eq!(masked("token ="), "", "what cannot be read is not shown");
        assert_eq!(unmasked("token =", TEXT), Ok("token =".to_owned()));
    }
}
