//! What people may do to a zone. The engine judges each wish; a refusal answers 409 with the engine's reason as code.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Json, Router, routing::post};
use giot_engine::ZoneId;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::Api;
use super::auth::SignedIn;
use super::error::Problem;
use crate::hub::{Request, Wish};

/// Longest note of a lock, characters.
const NOTE_LEN_MAX: usize = 200;

/// Who acts while there is one account only.
const PERSON: &str = "admin";

/// How long to water.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// Minutes; more than nothing, at most the zone's `run_minutes_max`.
    #[schema(minimum = 0.0, exclusive_minimum = 0.0)]
    minutes: f64,
}

/// Why a zone is locked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockNote {
    /// At most 200 characters.
    #[serde(default)]
    note: String,
}

/// The wish was taken; what became of it shows in the zone's state and in the diary.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    accepted: bool,
}

pub(super) type Answer = Result<(StatusCode, Json<Accepted>), Problem>;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/zones/{id}/start", post(start))
        .route("/api/v1/zones/{id}/stop", post(stop))
        .route("/api/v1/zones/{id}/lock", post(lock))
        .route("/api/v1/zones/{id}/unlock", post(unlock))
        .route("/api/v1/zones/{id}/clear-fault", post(clear_fault))
        .route("/api/v1/stop-all", post(stop_all))
}

/// Waters a zone for some minutes.
#[utoipa::path(post, path = "/api/v1/zones/{id}/start", request_body = Start, params(("id" = String, Path)), responses(
    (status = 202, body = Accepted),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem, description = "Refused; `code` is the engine's reason")
))]
pub(crate) async fn start(
    _: SignedIn,
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(body): Json<Start>,
) -> Answer {
    let zone = zone(&api, &id)?;
    let max_s = api.settings.plan.zones.get(&zone).map_or(0, |plan| plan.run_max_s);
    let run_s = body.minutes * 60.0;
    if !(run_s >= 1.0 && run_s <= f64::from(max_s)) {
        let most = f64::from(max_s) / 60.0;
        return Err(Problem::bad_request(format!(
            "minutes: more than nothing and at most {most} for this zone"
        )));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded above")]
    let run_s = run_s.round() as u32;
    wish(&api, Wish::Start { zone, run_s }).await
}

/// Stops a zone.
#[utoipa::path(post, path = "/api/v1/zones/{id}/stop", params(("id" = String, Path)), responses(
    (status = 202, body = Accepted), (status = 401, body = Problem), (status = 404, body = Problem)
))]
pub(crate) async fn stop(_: SignedIn, State(api): State<Api>, Path(id): Path<String>) -> Answer {
    let zone = zone(&api, &id)?;
    wish(&api, Wish::Stop { zone }).await
}

/// Stops every zone.
#[utoipa::path(post, path = "/api/v1/stop-all", responses(
    (status = 202, body = Accepted), (status = 401, body = Problem)
))]
pub(crate) async fn stop_all(_: SignedIn, State(api): State<Api>) -> Answer {
    wish(&api, Wish::StopAll).await
}

/// Locks a zone: nothing starts it until somebody unlocks it.
#[utoipa::path(post, path = "/api/v1/zones/{id}/lock", request_body = LockNote, params(("id" = String, Path)), responses(
    (status = 202, body = Accepted), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem)
))]
pub(crate) async fn lock(
    _: SignedIn,
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(body): Json<LockNote>,
) -> Answer {
    let zone = zone(&api, &id)?;
    if body.note.chars().count() > NOTE_LEN_MAX {
        return Err(Problem::bad_request(format!("note: at most {NOTE_LEN_MAX} characters")));
    }
    wish(&api, Wish::Lock { zone, note: body.note }).await
}

/// Takes a zone's lock away.
#[utoipa::path(post, path = "/api/v1/zones/{id}/unlock", params(("id" = String, Path)), responses(
    (status = 202, body = Accepted), (status = 401, body = Problem), (status = 404, body = Problem)
))]
pub(crate) async fn unlock(_: SignedIn, State(api): State<Api>, Path(id): Path<String>) -> Answer {
    let zone = zone(&api, &id)?;
    wish(&api, Wish::Unlock { zone }).await
}

/// Clears a zone's fault.
#[utoipa::path(post, path = "/api/v1/zones/{id}/clear-fault", params(("id" = String, Path)), responses(
    (status = 202, body = Accepted), (status = 401, body = Problem), (status = 404, body = Problem)
))]
pub(crate) async fn clear_fault(_: SignedIn, State(api): State<Api>, Path(id): Path<String>) -> Answer {
    let zone = zone(&api, &id)?;
    wish(&api, Wish::ClearFault { zone }).await
}

pub(super) fn zone(api: &Api, id: &str) -> Result<ZoneId, Problem> {
    let zone = id.parse::<ZoneId>().ok().filter(|zone| api.settings.plan.zones.contains_key(zone));
    zone.ok_or_else(|| Problem::not_found("such zone"))
}

pub(super) async fn wish(api: &Api, wish: Wish) -> Answer {
    let (answer, answered) = oneshot::channel();
    let request = Request { wish, by: PERSON.to_owned(), answer };
    api.requests.try_send(request).map_err(|_| Problem::unavailable())?;
    match answered.await {
        Ok(Ok(())) => Ok((StatusCode::ACCEPTED, Json(Accepted { accepted: true }))),
        Ok(Err(reason)) => Err(Problem::refused(&reason)),
        Err(_) => Err(Problem::unavailable()),
    }
}
