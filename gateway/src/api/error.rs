//! Errors as RFC 9457 problem details: what the caller may know. What the operator should know goes to the log.

use std::borrow::Cow;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use giot_engine::Reason;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Api;
use super::rejection::{self, Rejection};
use crate::hub::codec;
use crate::words::{Lang, Names};

/// Languages of a request that are looked at.
const LANGUAGES_MAX: usize = 16;

/// Longest sentence of the library that is passed on, bytes.
const DETAIL_MAX: usize = 4096;

/// A refused or failed request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: `code` tells problems apart.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// HTTP status.
    status: u16,
    /// What is wrong and what would be right.
    #[schema(value_type = String)]
    detail: Box<str>,
    /// Stable word for programs; of a refused wish, the engine's reason code.
    #[schema(value_type = String)]
    code: Box<str>,
    /// The parameter to blame, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    field: Option<Cow<'static, str>>,
    /// The numbers of that reason, as in the diary.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    args: Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("error"),
            status: status.as_u16(),
            detail: detail.into().into_boxed_str(),
            code: code.into().into_boxed_str(),
            field: None,
            args: Map::new(),
        }
    }

    /// The engine refused a person's wish: why, as a sentence in the language of the request.
    pub(crate) fn refused(api: &Api, reason: &Reason) -> Self {
        let args = codec::args_for_people(reason);
        let lang = LANG.try_with(|lang| *lang).unwrap_or(Lang::En);
        let sentence = api.words.reason(lang, &Names::of(&api.settings()), reason.code(), &args);
        // The catalogue has a sentence for every reason, which a test checks.
        let detail = sentence.unwrap_or_else(|| reason.code().to_owned());
        Self { args, ..Self::new(StatusCode::CONFLICT, reason.code(), detail) }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// A parameter is wrong; `what` says what would be right.
    pub(crate) fn parameter(field: &'static str, what: impl std::fmt::Display) -> Self {
        Self { field: Some(field.into()), ..Self::bad_request(format!("{field}: {what}")) }
    }

    /// A person says first, with a field, that this is meant.
    pub(crate) fn unconfirmed(field: &'static str, code: &'static str, detail: String) -> Self {
        Self { field: Some(field.into()), ..Self::new(StatusCode::CONFLICT, code, detail) }
    }

    /// All places for long answers are taken.
    pub(crate) fn busy(n_at_once: usize) -> Self {
        let detail =
            format!("{n_at_once} long answers are being made, the most at once; try again in a minute");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail)
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what}"))
    }

    pub(crate) fn signed_out() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "signed_out", "sign in first: POST /api/v1/session")
    }

    /// Logs the cause in full and tells the caller only that it failed.
    pub(crate) fn internal(error: &anyhow::Error) -> Self {
        tracing::error!(error = format!("{error:#}"), "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the request failed; the gateway's log says why",
        )
    }

    /// What counts from now on cannot be counted yet.
    pub(crate) fn clock_unset() -> Self {
        let detail = "the gateway's clock is not set yet: say until when";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "clock_unset", detail)
    }

    /// The parameter to blame.
    #[cfg(test)]
    pub(crate) const fn blamed(&self) -> Option<&'static str> {
        match self.field {
            Some(Cow::Borrowed(field)) => Some(field),
            Some(Cow::Owned(_)) | None => None,
        }
    }

    /// The gateway is stopping, or its queue of requests is full.
    pub(crate) fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "the gateway is stopping or overloaded; try again",
        )
    }
}

tokio::task_local! {
    /// The language of the request that is being answered.
    static LANG: Lang;
}

/// Answers in the first of the languages that a request prefers and the catalogues have; else in English.
pub(super) async fn in_its_language(request: Request, next: Next) -> Response {
    let wanted = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    LANG.scope(preferred(wanted.unwrap_or_default()), next.run(request)).await
}

/// The language that `Accept-Language` (RFC 9110, 12.5.4) weighs most; among equals the first.
fn preferred(wanted: &str) -> Lang {
    let weighed = wanted.split(',').take(LANGUAGES_MAX).filter_map(|range| {
        let mut parts = range.split(';');
        let tag = parts.next()?.trim().to_ascii_lowercase();
        let lang = tag.split('-').next()?.parse::<Lang>().ok()?;
        let weight = parts.find_map(|part| part.trim().strip_prefix("q=")?.parse::<f32>().ok());
        Some((lang, weight.unwrap_or(1.0)))
    });
    let best = weighed
        .filter(|(_, weight)| *weight > 0.0)
        .reduce(|best, other| if other.1 > best.1 { other } else { best });
    best.map_or(Lang::En, |(lang, _)| lang)
}

/// What the library refuses by itself (a body or a query that it cannot read, a method that a path does not have) in the
/// form of every other problem.
pub(super) async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let is_text = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_none_or(|kind| kind.to_str().is_ok_and(|kind| kind.starts_with("text/plain")));
    if !status.is_client_error() || !is_text {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let body = axum::body::to_bytes(response.into_body(), DETAIL_MAX).await.unwrap_or_default();
    let detail = match std::str::from_utf8(&body) {
        Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => status.canonical_reason().unwrap_or("refused").to_owned(),
    };
    let Rejection { code, field, detail } = rejection::read(&detail);
    let field = field.map(|field| Cow::Owned(field.to_owned()));
    let mut problem = Problem { field, ..Problem::new(status, code, detail) }.into_response();
    if let Some(allow) = allow {
        problem.headers_mut().insert(header::ALLOW, allow);
    }
    problem
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        Self::internal(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_that_is_preferred_is_spoken() {
        let check = |wanted, want: Lang| assert_eq!(preferred(wanted), want, "{wanted}");
        check("", Lang::En);
        check("vi", Lang::Vi);
        check("vi-VN,vi;q=0.9,en;q=0.8", Lang::Vi);
        check("en-GB,vi;q=0.9", Lang::En);
        check("fr,en;q=0.3,vi;q=0.7", Lang::Vi);
        check("vi;q=0,en;q=0.1", Lang::En);
        check("de,*;q=0.5", Lang::En);
        check(";;q=,,", Lang::En);
    }
}
