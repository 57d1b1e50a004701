//! What people may do to a zone. The engine judges each wish; a refusal answers 409 with the engine's reason as code.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use giot_engine::{Reason, RunSet, ZoneId, ZoneState, ZoneView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::Api;
use super::auth::SignedIn;
use super::error::Problem;
use super::model;
use super::programs::{PAUSE_MS_MAX, Until};
use crate::config::plain;
use crate::hub::view::FarmView;
use crate::hub::{self, Wish};

/// Longest note of a lock, characters.
const NOTE_LEN_MAX: usize = 200;

/// Most runs of a set, as steps of a program.
const RUNS_MAX: usize = 64;

/// Longest set of runs together, seconds: a day, for which a run that was asked for waits at the most.
const RUNS_S_MAX: u64 = 24 * 3600;

/// Longest test of one valve, seconds: who walks along the zones needs no longer.
const TEST_S_MAX: u32 = 600;

/// Most litres that are kept of one watering: the diary counts millilitres.
const LITRES_MAX: u32 = u32::MAX / 1000;

/// Who acts while there is one account only.
pub(super) const PERSON: &str = "admin";

/// How long to water.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// Minutes; more than nothing, at most the zone's `run_minutes_max`.
    #[schema(minimum = 0.0, exclusive_minimum = 0.0)]
    minutes: f64,
}

/// What was watered otherwise.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Irrigated {
    /// Minutes; more than nothing, at most 1440.
    #[schema(minimum = 0.0, exclusive_minimum = 0.0, maximum = 1440.0)]
    minutes: f64,
    /// Litres, as the person says; 0: not known. At most 200 mm on the zone's area or a day of its flow.
    #[serde(default)]
    litres: u32,
}

/// Which valves are tested.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestValves {
    /// Each for so long, 1 to 600.
    #[schema(minimum = 1, maximum = 600)]
    seconds: u32,
    /// Ids of zones, in their order; all where it is left out.
    zones: Option<Vec<String>>,
}

/// A set of runs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunOnce {
    runs: Vec<OneRun>,
}

/// One of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OneRun {
    /// Id of the zone.
    zone: String,
    /// Minutes; more than nothing, at most 1440.
    #[schema(minimum = 0.0, exclusive_minimum = 0.0, maximum = 1440.0)]
    minutes: f64,
}

/// A body of JSON that may be left out.
pub(crate) struct Optional<T>(Option<T>);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Optional<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let bytes = Bytes::from_request(Request::from_parts(head.clone(), body), state).await;
        let bytes = bytes.map_err(IntoResponse::into_response)?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        let read = Json::from_request(Request::from_parts(head, Body::from(bytes)), state).await;
        read.map(|Json(body)| Self(Some(body))).map_err(IntoResponse::into_response)
    }
}

/// Why a zone is locked.
#[derive(Debug, Default, Deserialize, ToSchema)]
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
    /// Zones of a set or a test that do not begin yet, and what each waits for.
    waiting: Vec<Waits>,
}

/// A zone whose run was taken and waits.
#[derive(Debug, Serialize, ToSchema)]
struct Waits {
    /// Its id.
    zone: String,
    /// What for.
    reason: model::Reason,
}

pub(super) type Answer = Result<(StatusCode, Json<Accepted>), Problem>;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/zones/{id}/start", post(start))
        .route("/api/v1/zones/{id}/extend", post(extend))
        .route("/api/v1/zones/{id}/irrigated", post(irrigated))
        .route("/api/v1/zones/{id}/stop", post(stop))
        .route("/api/v1/zones/{id}/suspend", post(suspend))
        .route("/api/v1/zones/{id}/lock", post(lock))
        .route("/api/v1/zones/{id}/unlock", post(unlock))
        .route("/api/v1/zones/{id}/clear-fault", post(clear_fault))
        .route("/api/v1/stop-all", post(stop_all))
        .route("/api/v1/test-valves", post(test_valves))
        .route("/api/v1/run-once", post(run_once))
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
    let max_s = api.settings().plan.zones.get(&zone).map_or(0, |plan| plan.run_max_s);
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

/// Makes the run of a zone that is under way longer; it stays within the zone's longest run.
#[utoipa::path(post, path = "/api/v1/zones/{id}/extend", request_body = Start, params(("id" = String, Path)), responses(
    (status = 202, body = Accepted),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem, description = "Refused; `code` is the engine's reason")
))]
pub(crate) async fn extend(
    _: SignedIn,
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(body): Json<Start>,
) -> Answer {
    let zone = zone(&api, &id)?;
    let by_s = seconds(body.minutes)?;
    extension(&api, &zone, by_s)?;
    wish(&api, Wish::Extend { zone, by_s }).await
}

/// Notes in the diary that a zone was watered by hose, or by a valve that is turned by hand; it rests as after a run.
#[utoipa::path(post, path = "/api/v1/zones/{id}/irrigated", request_body = Irrigated, params(("id" = String, Path)), responses(
    (status = 202, body = Accepted),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem)
))]
pub(crate) async fn irrigated(
    _: SignedIn,
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(body): Json<Irrigated>,
) -> Answer {
    let zone = zone(&api, &id)?;
    let run_s = seconds(body.minutes)?;
    let settings = api.settings();
    let plan = settings.plan.zones.get(&zone);
    let most = litres_most(plan.and_then(|plan| plan.area_dm2), plan.and_then(|plan| Some(plan.flow?.0)));
    if body.litres > most {
        let what = format!(
            "at most {most} for this zone (200 mm on its area_m2, or a day of its flow_l_per_h): litres, not millilitres; 0 where nobody knows"
        );
        return Err(Problem::parameter("litres", what));
    }
    wish(&api, Wish::Irrigated { zone, run_s, litres: body.litres }).await
}

/// More than a person can have given a zone at once, litres: 200 mm on its whole area, or a day of its flow, whichever is more.
fn litres_most(area_dm2: Option<u32>, flow_l_per_h: Option<u32>) -> u32 {
    // 1 dm² × 200 mm = 2 L.
    let of_area = area_dm2.map(|area_dm2| area_dm2.saturating_mul(2));
    let of_flow = flow_l_per_h.map(|flow_l_per_h| flow_l_per_h.saturating_mul(24));
    of_area.max(of_flow).map_or(LITRES_MAX, |most| most.min(LITRES_MAX))
}

/// Checks that a run that is made longer stays within its zone's longest.
fn extension(api: &Api, zone: &ZoneId, by_s: u32) -> Result<(), Problem> {
    let most_s = api.settings().plan.zones.get(zone).map_or(0, |plan| plan.run_max_s);
    let view = api.view.borrow();
    let state = view.zones.iter().find(|view| view.zone == *zone);
    let planned_s = state.and_then(|view| {
        let ZoneState::Open { until, .. } = &view.state else { return None };
        Some(until.since_ms(view.since).div_ceil(1000))
    });
    let left_s = u64::from(most_s).saturating_sub(planned_s.unwrap_or(0));
    // A minute is let pass: the run is planned in seconds, and asked for in minutes.
    if u64::from(by_s) <= left_s + 60 && by_s <= most_s {
        return Ok(());
    }
    let (most, left) = (most_s / 60, left_s / 60);
    let what = format!(
        "a run of this zone lasts at most {most} minutes (run_max_min): {left} are left for this one"
    );
    Err(Problem::parameter("minutes", what))
}

/// Minutes of a wish as seconds: at least one, at most a day.
fn seconds(minutes: f64) -> Result<u32, Problem> {
    let seconds = minutes * 60.0;
    if !(1.0..=86_400.0).contains(&seconds) {
        return Err(Problem::bad_request("minutes: more than nothing and at most 1440"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range checked above")]
    let seconds = seconds.round() as u32;
    Ok(seconds)
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

/// Opens each valve shortly, one after another.
#[utoipa::path(post, path = "/api/v1/test-valves", request_body = TestValves, responses(
    (status = 202, body = Accepted), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem, description = "Refused; `code` is the engine's reason")
))]
pub(crate) async fn test_valves(_: SignedIn, State(api): State<Api>, Json(body): Json<TestValves>) -> Answer {
    if !(1..=TEST_S_MAX).contains(&body.seconds) {
        return Err(Problem::bad_request(format!("seconds: 1 to {TEST_S_MAX}")));
    }
    let zones = match body.zones {
        Some(ids) if ids.is_empty() => {
            return Err(Problem::parameter("zones", "at least one; leave it out for all of them"));
        }
        Some(ids) => ids.iter().map(|id| zone(&api, id)).collect::<Result<Vec<_>, _>>()?,
        None => api.settings().plan.zones.keys().cloned().collect(),
    };
    let runs = zones.into_iter().map(|zone| (zone, body.seconds)).collect();
    wish_runs(&api, RunSet::Test, runs).await
}

/// Waters a set of zones once, as far as pipes and pumps have room for them.
#[utoipa::path(post, path = "/api/v1/run-once", request_body = RunOnce, responses(
    (status = 202, body = Accepted), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem, description = "Refused; `code` is the engine's reason")
))]
pub(crate) async fn run_once(_: SignedIn, State(api): State<Api>, Json(body): Json<RunOnce>) -> Answer {
    if body.runs.is_empty() {
        return Err(Problem::parameter("runs", "at least one zone with its minutes"));
    }
    if body.runs.len() > RUNS_MAX {
        return Err(Problem::parameter("runs", format_args!("at most {RUNS_MAX} at a time")));
    }
    let settings = api.settings();
    let run = |run: &OneRun| -> Result<(ZoneId, u32), Problem> {
        let (zone, run_s) = (zone(&api, &run.zone)?, seconds(run.minutes)?);
        let most_s = settings.plan.zones.get(&zone).map_or(0, |plan| plan.run_max_s);
        if run_s > most_s {
            let most = f64::from(most_s) / 60.0;
            let what = format!("minutes of {zone}: at most {most}, its longest run (run_max_min)");
            return Err(Problem::parameter("runs", what));
        }
        Ok((zone, run_s))
    };
    let runs = body.runs.iter().map(run).collect::<Result<Vec<_>, Problem>>()?;
    let total_s: u64 = runs.iter().map(|(_, run_s)| u64::from(*run_s)).sum();
    if total_s > RUNS_S_MAX {
        let what = format_args!("at most {} hours together", RUNS_S_MAX / 3600);
        return Err(Problem::parameter("runs", what));
    }
    wish_runs(&api, RunSet::Once, runs).await
}

/// Pauses what starts a zone by itself until a moment or for some minutes; it survives a restart. People may still start it.
#[utoipa::path(post, path = "/api/v1/zones/{id}/suspend", request_body = Until, params(("id" = String, Path)), responses(
    (status = 202, body = Accepted), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem), (status = 503, body = Problem, description = "The gateway's clock is not set: give `until`")
))]
pub(crate) async fn suspend(
    _: SignedIn,
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(body): Json<Until>,
) -> Answer {
    let zone = zone(&api, &id)?;
    let until = body.end(&api, PAUSE_MS_MAX)?;
    wish(&api, Wish::SuspendZone { zone, until }).await
}

/// Locks a zone: nothing starts it until somebody unlocks it. A body is not needed.
#[utoipa::path(post, path = "/api/v1/zones/{id}/lock", request_body = Option<LockNote>, params(("id" = String, Path)), responses(
    (status = 202, body = Accepted), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem)
))]
pub(crate) async fn lock(
    _: SignedIn,
    State(api): State<Api>,
    Path(id): Path<String>,
    body: Optional<LockNote>,
) -> Answer {
    let zone = zone(&api, &id)?;
    let note = plain(&body.0.unwrap_or_default().note);
    if note.chars().count() > NOTE_LEN_MAX {
        return Err(Problem::parameter("note", format_args!("at most {NOTE_LEN_MAX} characters")));
    }
    wish(&api, Wish::Lock { zone, note }).await
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
    let zone = id.parse::<ZoneId>().ok().filter(|zone| api.settings().plan.zones.contains_key(zone));
    zone.ok_or_else(|| Problem::not_found("such zone"))
}

/// Hands a set of runs to the engine, and says which of them wait: after a start the valves have to be known first.
async fn wish_runs(api: &Api, set: RunSet, runs: Vec<(ZoneId, u32)>) -> Answer {
    let zones: Vec<ZoneId> = runs.iter().map(|(zone, _)| zone.clone()).collect();
    let is_busy = |zone: &&ZoneView| {
        matches!(
            zone.state,
            ZoneState::Sent { .. }
                | ZoneState::Accepted { .. }
                | ZoneState::Open { .. }
                | ZoneState::Closing { .. }
        )
    };
    let busy: Vec<ZoneId> =
        api.view.borrow().zones.iter().filter(is_busy).map(|zone| zone.zone.clone()).collect();
    let (status, Json(accepted)) = wish(api, Wish::Runs { set, runs }).await?;
    let waiting = waits(&api.view.borrow(), &zones, &busy);
    Ok((status, Json(Accepted { waiting, ..accepted })))
}

/// What zones wait for, or what keeps them from any run, in their order; `busy`: where something else was under way.
fn waits(view: &FarmView, zones: &[ZoneId], busy: &[ZoneId]) -> Vec<Waits> {
    let of_zone = |zone: &ZoneId| {
        let ZoneView { state, lock, .. } = view.zones.iter().find(|view| view.zone == *zone)?;
        let reason = match (state, lock) {
            (ZoneState::Locked { lock }, _) | (_, Some(lock)) => {
                model::reason(&Reason::Locked { by: lock.by.clone(), note: lock.note.clone() })
            }
            (ZoneState::Unknown { .. }, None) => model::reason(&Reason::ValveUnknown {}),
            (ZoneState::Waiting { why } | ZoneState::Fault { why }, None) => model::reason(why),
            (
                ZoneState::Sent { .. }
                | ZoneState::Accepted { .. }
                | ZoneState::Open { .. }
                | ZoneState::Closing { .. },
                None,
            ) if busy.contains(zone) => model::reason(&Reason::AlreadyRunning {}),
            (
                ZoneState::Idle { .. }
                | ZoneState::Sent { .. }
                | ZoneState::Accepted { .. }
                | ZoneState::Open { .. }
                | ZoneState::Closing { .. },
                None,
            ) => return None,
        };
        Some(Waits { zone: zone.to_string(), reason })
    };
    zones.iter().filter_map(of_zone).collect()
}

pub(super) async fn wish(api: &Api, wish: Wish) -> Answer {
    let (answer, answered) = oneshot::channel();
    let request = hub::Request { wish, by: PERSON.to_owned(), answer };
    api.requests.try_send(request).map_err(|_| Problem::unavailable())?;
    match answered.await {
        Ok(Ok(())) => Ok((StatusCode::ACCEPTED, Json(Accepted { accepted: true, waiting: Vec::new() }))),
        Ok(Err(reason)) => Err(Problem::refused(api, &reason)),
        Err(_) => Err(Problem::unavailable()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_a_zone_can_have_had() {
        assert_eq!(litres_most(None, None), LITRES_MAX);
        assert_eq!(litres_most(Some(250_000), None), 500_000, "2500 m² × 200 mm");
        assert_eq!(litres_most(None, Some(1600)), 38_400, "a day");
        assert_eq!(litres_most(Some(100), Some(1600)), 38_400);
        assert_eq!(litres_most(Some(u32::MAX), Some(u32::MAX)), LITRES_MAX);
        assert!(LITRES_MAX.checked_mul(1000).is_some(), "the diary holds it in millilitres");
    }
}
