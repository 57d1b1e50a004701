//! What the HTTP library says of a body or a query that it cannot read, in the words of every other problem.
//!
//! The library's sentence is `what it did: path: what serde found at line 1 column 14`; the path is left out where the whole is
//! to blame. A sentence of another form is passed on as it is.

use std::borrow::Cow;

/// A refusal in people's words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rejection<'t> {
    /// Stable word for programs.
    pub(super) code: &'static str,
    /// The field or parameter to blame, where it is one.
    pub(super) field: Option<&'t str>,
    /// What is wrong and what would be right.
    pub(super) detail: Cow<'t, str>,
}

/// Beginnings of the library's sentences, and whether what follows comes from a body of JSON.
const OF_VALUES: [(&str, bool); 2] = [
    ("Failed to deserialize the JSON body into the target type: ", true),
    ("Failed to deserialize query string: ", false),
];

const NO_JSON: &str = "Failed to parse the request body as JSON: ";
const NO_TYPE: &str = "Expected request with `Content-Type: application/json`";

/// Reads a sentence of the library.
pub(super) fn read(text: &str) -> Rejection<'_> {
    if let Some(what) = text.strip_prefix(NO_JSON) {
        // The field at which the text breaks off is not to blame.
        let (_, what) = split_path(what);
        let detail = format!("the body is no JSON: {what}").into();
        return Rejection { code: "bad_json", field: None, detail };
    }
    if text == NO_TYPE {
        let detail = "send the body as JSON, with the header Content-Type: application/json".into();
        return Rejection { code: "bad_content_type", field: None, detail };
    }
    let found = OF_VALUES.iter().find_map(|(begin, is_body)| Some((text.strip_prefix(begin)?, *is_body)));
    let Some((said, is_body)) = found else {
        return Rejection { code: "bad_request", field: None, detail: text.into() };
    };
    let said = without_place(said);
    let (path, what) = split_path(said);
    let (field, detail) = value(path, what);
    let kind = if is_body { "the body" } else { "the query" };
    let detail = match field {
        Some(field) => format!("{field}: {detail}"),
        None => format!("{kind}: {detail}"),
    };
    Rejection { code: "bad_value", field, detail: detail.into() }
}

/// Whether serde's own words begin here.
fn is_serde(text: &str) -> bool {
    ["missing field ", "unknown field ", "duplicate field ", "unknown variant ", "invalid "]
        .iter()
        .any(|begin| text.starts_with(begin))
}

/// What was found, without ` at line 1 column 14`: bodies are made by programs.
fn without_place(text: &str) -> &str {
    match text.rsplit_once(" at line ") {
        Some((what, place)) if place.contains(" column ") => what,
        _ => text,
    }
}

/// The path before what serde found; a path has no space.
fn split_path(text: &str) -> (Option<&str>, &str) {
    match text.split_once(": ") {
        Some((path, what)) if !is_serde(text) && !path.contains(' ') => (Some(path), what),
        _ => (None, text),
    }
}

/// The field to blame, and what would be right.
fn value<'t>(path: Option<&'t str>, what: &'t str) -> (Option<&'t str>, String) {
    if let Some(name) = named(what, "missing field ") {
        let detail = match path {
            Some(path) => format!("{path}.{name} is needed"),
            None => "is needed".to_owned(),
        };
        return (Some(path.unwrap_or(name)), detail);
    }
    if let Some(name) = named(what, "duplicate field ") {
        return (Some(name), "stands twice: leave one out".to_owned());
    }
    if let Some(name) = named(what, "unknown field ") {
        let known = what.split_once(", expected ").map_or("none", |(_, known)| known);
        return (path.or(Some(name)), format!("there is no such field; known: {}", listed(known)));
    }
    if let Some(name) = named(what, "unknown variant ") {
        let known = what.split_once(", expected ").map_or("nothing", |(_, known)| known);
        return (path, format!("{name} is unknown; possible: {}", listed(known)));
    }
    let invalid = what.strip_prefix("invalid type: ").or_else(|| what.strip_prefix("invalid value: "));
    if let Some((given, expected)) = invalid.and_then(|invalid| invalid.rsplit_once(", expected ")) {
        return (path, format!("{} is needed, not {given}", kind(expected)));
    }
    let needed = match what {
        "invalid digit found in string"
        | "cannot parse integer from empty string"
        | "number too large to fit in target type"
        | "number too small to fit in target type" => Some("a whole number within its range is needed"),
        "invalid float literal" | "cannot parse float from empty string" => Some("a number is needed"),
        "provided string was not `true` or `false`" => Some("true or false is needed"),
        _ => None,
    };
    (path, needed.unwrap_or(what).to_owned())
}

/// The name in backticks behind a beginning.
fn named<'t>(what: &'t str, begin: &str) -> Option<&'t str> {
    what.strip_prefix(begin)?.strip_prefix('`')?.split('`').next()
}

/// A list of names as people write it.
fn listed(names: &str) -> String {
    names.trim_start_matches("one of ").replace('`', "").replace(" or ", ", ")
}

/// What serde calls a kind of value, in the words of the interface.
fn kind(expected: &str) -> Cow<'_, str> {
    let known = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "a borrowed string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ => return expected.into(),
    };
    known.into()
}

#[cfg(test)]
mod tests {
    use axum::Json;
    use axum::body::Body;
    use axum::extract::{FromRequest, Query, Request};
    use axum::http::header;
    use axum::response::IntoResponse;
    use serde::Deserialize;
    use serde_json::Value;

    use super::super::error::as_problem;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wish {
        #[serde(rename = "minutes")]
        _minutes: u32,
        #[serde(rename = "steps", default)]
        _steps: Vec<Step>,
        #[serde(rename = "unit", default)]
        _unit: Option<Unit>,
    }

    #[derive(Debug, Deserialize)]
    struct Step {
        #[serde(rename = "zone")]
        _zone: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Unit {
        Litres,
        Minutes,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Ask {
        #[serde(rename = "limit")]
        _limit: u16,
        #[serde(rename = "is_raw", default)]
        _is_raw: bool,
    }

    async fn problem(response: axum::response::Response) -> (u16, Value) {
        let response = as_problem(response).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn check(
        response: axum::response::Response,
        status: u16,
        code: &str,
        field: Option<&str>,
        detail: &str,
    ) {
        let (found, problem) = problem(response).await;
        let words = (found, problem["code"].as_str().unwrap(), problem["field"].as_str());
        assert_eq!(words, (status, code, field), "{problem}");
        assert_eq!(problem["detail"], detail);
    }

    async fn of_body(body: &'static str) -> axum::response::Response {
        let request = Request::post("/").header(header::CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(body)).unwrap();
        Json::<Wish>::from_request(request, &()).await.unwrap_err().into_response()
    }

    async fn of_query(query: &str) -> axum::response::Response {
        let request = Request::get(format!("/?{query}")).body(Body::empty()).unwrap();
        Query::<Ask>::from_request(request, &()).await.unwrap_err().into_response()
    }

    #[tokio::test]
    async fn a_body_that_cannot_be_read_names_its_field() {
        let whole = "a whole number from 0 to 4294967295 is needed, not";
        for (body, field, detail) in [
            (r#"{"minutes":"ten"}"#, "minutes", format!("minutes: {whole} string \"ten\"")),
            (r#"{"minutes":-1}"#, "minutes", format!("minutes: {whole} integer `-1`")),
            (r#"{}"#, "minutes", "minutes: is needed".to_owned()),
            (
                r#"{"minutes":1,"minuts":2}"#,
                "minuts",
                "minuts: there is no such field; known: minutes, steps, unit".to_owned(),
            ),
            (
                r#"{"minutes":1,"steps":[{"zone":5}]}"#,
                "steps[0].zone",
                "steps[0].zone: a text is needed, not integer `5`".to_owned(),
            ),
            (r#"{"minutes":1,"steps":[{}]}"#, "steps[0]", "steps[0]: steps[0].zone is needed".to_owned()),
            (
                r#"{"minutes":1,"unit":"m3"}"#,
                "unit",
                "unit: m3 is unknown; possible: litres, minutes".to_owned(),
            ),
        ] {
            check(of_body(body).await, 422, "bad_value", Some(field), &detail).await;
        }
        let list = "the body: an object is needed, not integer `5`";
        check(of_body("5").await, 422, "bad_value", None, list).await;
        let broken = "the body is no JSON: EOF while parsing a value at line 1 column 11";
        check(of_body(r#"{"minutes":"#).await, 400, "bad_json", None, broken).await;
        let plain = Request::post("/").body(Body::from("{}")).unwrap();
        let plain = Json::<Wish>::from_request(plain, &()).await.unwrap_err().into_response();
        let detail = "send the body as JSON, with the header Content-Type: application/json";
        check(plain, 415, "bad_content_type", None, detail).await;
    }

    #[tokio::test]
    async fn a_query_that_cannot_be_read_names_its_parameter() {
        let whole = "limit: a whole number within its range is needed";
        for (query, field, detail) in [
            ("limit=many", "limit", whole),
            ("limit=", "limit", whole),
            ("limit=70000", "limit", whole),
            ("limit=5&is_raw=perhaps", "is_raw", "is_raw: true or false is needed"),
            ("", "limit", "limit: is needed"),
            ("limit=5&limits=5", "limits", "limits: there is no such field; known: limit, is_raw"),
        ] {
            check(of_query(query).await, 400, "bad_value", Some(field), detail).await;
        }
    }
}
