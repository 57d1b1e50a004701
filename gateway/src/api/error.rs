//! Errors as RFC 9457 problem details: what the caller may know. What the operator should know goes to the log.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use giot_engine::Reason;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::hub::codec;

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
    code: String,
    /// The parameter to blame, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
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
            code: code.into(),
            field: None,
            args: Map::new(),
        }
    }

    /// The engine refused a person's wish.
    pub(crate) fn refused(reason: &Reason) -> Self {
        let args = codec::args_for_people(reason);
        let numbers =
            if args.is_empty() { String::new() } else { format!(" {}", Value::Object(args.clone())) };
        let detail = format!("{}{numbers}", reason.code());
        Self { args, ..Self::new(StatusCode::CONFLICT, reason.code(), detail) }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// A parameter is wrong; `what` says what would be right.
    pub(crate) fn parameter(field: &'static str, what: impl std::fmt::Display) -> Self {
        Self { field: Some(field), ..Self::bad_request(format!("{field}: {what}")) }
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

    /// The gateway is stopping, or its queue of requests is full.
    pub(crate) fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "the gateway is stopping or overloaded; try again",
        )
    }
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
    let mut problem = Problem::new(status, "bad_request", detail).into_response();
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
