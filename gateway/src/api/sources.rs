//! Water sources: their pumps, what their guards found, and the clearing of their faults.

use axum::extract::{Path, State};
use axum::{Json, Router, routing::get, routing::post};
use giot_engine::{PumpKind, SourceId, SourcePlan};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::auth::SignedIn;
use super::error::Problem;
use super::model;
use super::zones::{Answer, wish};
use crate::config::Settings;
use crate::hub::Wish;
use crate::hub::view::FarmView;

/// One source.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Source {
    id: String,
    name: String,
    /// What it carries, L/h.
    capacity_l_per_h: Option<u32>,
    pump: Option<Pump>,
    /// The fault that waits for a person, found by its pump or its guards.
    fault: Option<model::Reason>,
}

/// A pump or master valve.
#[derive(Debug, Serialize, ToSchema)]
struct Pump {
    /// pump or master_valve.
    kind: &'static str,
    node: String,
    valve: u8,
    /// unknown, off, starting, on or stopping: what was last confirmed, never the wish.
    state: &'static str,
    /// Since when it is on, ms since 1970.
    on_since: Option<i64>,
    /// Why no zone can start with it.
    why_not: Option<model::Reason>,
}

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/sources", get(list))
        .route("/api/v1/sources/{id}/clear-fault", post(clear_fault))
}

/// The water sources with their pumps.
#[utoipa::path(get, path = "/api/v1/sources", responses(
    (status = 200, body = [Source]), (status = 401, body = Problem)
))]
pub(crate) async fn list(_: SignedIn, State(api): State<Api>) -> Json<Vec<Source>> {
    Json(all(&api.view.borrow().clone(), &api.settings()))
}

/// The sources of a farm, by id.
pub(super) fn all(view: &FarmView, settings: &Settings) -> Vec<Source> {
    let source = |(id, plan): (&SourceId, &SourcePlan)| {
        let pump = view.pumps.get(id);
        let fault = view.source_faults.get(id).or_else(|| pump.and_then(|pump| pump.fault.as_ref()));
        Source {
            id: id.to_string(),
            name: settings.source_names.get(id).cloned().unwrap_or_default(),
            capacity_l_per_h: plan.capacity.map(|capacity| capacity.0),
            pump: pump.map(|pump| Pump {
                kind: match pump.kind {
                    PumpKind::Pump => "pump",
                    PumpKind::Master => "master_valve",
                },
                node: pump.valve.node.to_string(),
                valve: pump.valve.valve.0,
                state: pump.state.code(),
                on_since: pump.on_since.map(|since| view.date(since).0),
                why_not: pump.why_not.as_ref().map(model::reason),
            }),
            fault: fault.map(model::reason),
        }
    };
    settings.plan.sources.iter().map(source).collect()
}

/// Clears the fault of a source.
#[utoipa::path(post, path = "/api/v1/sources/{id}/clear-fault", params(("id" = String, Path)), responses(
    (status = 202, body = super::zones::Accepted), (status = 401, body = Problem), (status = 404, body = Problem)
))]
pub(crate) async fn clear_fault(_: SignedIn, State(api): State<Api>, Path(id): Path<String>) -> Answer {
    let source =
        id.parse::<SourceId>().ok().filter(|source| api.settings().plan.sources.contains_key(source));
    let source = source.ok_or_else(|| Problem::not_found("such source"))?;
    wish(&api, Wish::ClearSource { source }).await
}
