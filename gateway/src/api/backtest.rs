//! A backtest of a zone over the stored history.

#![expect(unused_qualifications, reason = "the macro that describes a path spells its types out")]

use axum::extract::{Path, Query, State};
use axum::{Json, Router, routing::get};
use giot_engine::ProgramId;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::auth::SignedIn;
use super::error::Problem;
use super::{Api, ask, zones};
use crate::backtest::{DAYS_MAX, Unplayable, backtest, to_json};
use crate::why::day_of;

/// Which days, and what is tried.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct BacktestQuery {
    /// First day: `today`, `yesterday` or a date such as 2026-03-01, by the farm's clock.
    from: String,
    /// Last day; at most 366 days.
    to: String,
    /// Only this program; without it the zone's thresholds and all its programs.
    program: Option<String>,
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/v1/zones/{id}/backtest", get(zone_backtest))
}

/// What the present settings, or one program, would have done with a zone on past days: runs, litres and stress days with the soil
/// as it was read (`open`) and with the soil that the trial's water would have made (`closed`), beside what happened (`really`).
#[utoipa::path(get, path = "/api/v1/zones/{id}/backtest", params(("id" = String, Path), BacktestQuery), responses(
    (status = 200, body = Object), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem), (status = 503, body = Problem, description = "Too many long answers at once")
))]
pub(crate) async fn zone_backtest(
    _: SignedIn,
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(query): Query<BacktestQuery>,
) -> Result<Json<Value>, Problem> {
    let zone = zones::zone(&api, &id)?;
    let plan = &api.settings().plan;
    let now = api.clock.wall_unchecked();
    let day =
        |field: &str, text: &str| day_of(field, text, now, plan.utc_offset_min).map_err(Problem::bad_request);
    let (first, last) = (day("from", &query.from)?, day("to", &query.to)?);
    if first > last || last.days_since(first) >= DAYS_MAX {
        return Err(Problem::bad_request(format!(
            "from, to: the earlier day first, at most {DAYS_MAX} days"
        )));
    }
    let program = match &query.program {
        None => None,
        Some(name) => {
            let known = name.parse::<ProgramId>().ok().filter(|id| plan.programs.contains_key(id));
            Some(known.ok_or_else(|| Problem::not_found("such program"))?)
        }
    };
    let _place = api.places.take().await?;
    let settings = api.settings();
    let answer = ask(&api.reader, move |reader| {
        let report = match backtest(
            &reader,
            (&settings, Some(&settings)),
            &zone,
            program.as_ref(),
            (first, last),
            &mut |_| {},
        ) {
            Ok(report) => report,
            Err(error) => return error.downcast::<Unplayable>().map(Err),
        };
        Ok(Ok(to_json(&report, &zone, (first, last))))
    });
    answer.await?.map(Json).map_err(|unplayable| Problem::bad_request(unplayable.to_string()))
}
