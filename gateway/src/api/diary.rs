//! The irrigation diary, newest first.

#![expect(unused_qualifications, reason = "the macro that describes a path spells its types out")]

use axum::extract::{Query, State};
use axum::{Json, Router, routing::get};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::SignedIn;
use super::error::Problem;
use super::model::{self, DiaryEntry};
use super::{Api, ask};
use giot_engine::Event;
use giot_store::DiaryFilter;

/// Entries of one answer at most.
const LIMIT_MAX: u32 = 1000;
const LIMIT_DEFAULT: u32 = 100;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiaryQuery {
    /// Only this zone.
    zone: Option<String>,
    /// Only these events, such as `started,stopped`.
    event: Option<String>,
    /// Only written at or after this moment, milliseconds since 1970-01-01T00:00:00Z.
    from: Option<i64>,
    /// Only written before this moment.
    to: Option<i64>,
    /// How many at most; 100 without, 1000 at most.
    limit: Option<u32>,
    /// Only older ones than this id: the next page.
    before: Option<i64>,
}

/// A page of the diary.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Diary {
    /// Newest first.
    entries: Vec<DiaryEntry>,
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/v1/diary", get(diary))
}

/// The irrigation diary, newest first.
#[utoipa::path(get, path = "/api/v1/diary", params(DiaryQuery), responses(
    (status = 200, body = Diary), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem, description = "The farm has no such zone, and never had")
))]
pub(crate) async fn diary(
    _: SignedIn,
    State(api): State<Api>,
    Query(query): Query<DiaryQuery>,
) -> Result<Json<Diary>, Problem> {
    let events = query.event.as_deref().unwrap_or_default();
    let events: Vec<String> = events.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if let Some(unknown) = events.iter().find(|name| Event::from_code(name).is_none()) {
        let known: Vec<_> = Event::ALL.iter().map(|event| event.code()).collect();
        return Err(Problem::bad_request(format!("event: {unknown:?} is none of {}", known.join(", "))));
    }
    let zone = query.zone;
    let is_of_farm = |zone: &str| api.view.borrow().zones.iter().any(|known| known.zone.as_str() == zone);
    let is_strange = zone.as_deref().is_some_and(|zone| !is_of_farm(zone));
    let filter = DiaryFilter {
        zone: zone.clone(),
        events,
        from_us: query.from.map(|at| at.saturating_mul(1000)),
        to_us: query.to.map(|at| at.saturating_mul(1000)),
        before_id: query.before,
        limit: query.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX),
    };
    let rows = ask(&api.reader, move |reader| {
        let rows = reader.diary(&filter)?;
        // A zone that the farm had once has its entries still.
        let ever = DiaryFilter { zone: filter.zone, limit: 1, ..DiaryFilter::default() };
        Ok(if rows.is_empty() && is_strange && reader.diary(&ever)?.is_empty() { None } else { Some(rows) })
    });
    let rows = rows.await?.ok_or_else(|| {
        Problem::not_found(&format!("zone {:?}, and the diary has never had one", zone.unwrap_or_default()))
    })?;
    Ok(Json(Diary { entries: rows.iter().map(model::diary_entry).collect() }))
}
