//! The farm at one look.

use axum::extract::State;
use axum::{Json, Router, routing::get};

use super::Api;
use super::auth::SignedIn;
use super::error::Problem;
use super::model::{self, Overview};

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/v1/overview", get(overview))
}

/// Zones, sources and devices as they are.
#[utoipa::path(get, path = "/api/v1/overview", responses(
    (status = 200, body = Overview), (status = 401, body = Problem)
))]
pub(crate) async fn overview(_: SignedIn, State(api): State<Api>) -> Json<Overview> {
    let view = api.view.borrow().clone();
    Json(model::overview(&view, &api.settings(), &api.clock, &api.sinks))
}
