//! Why a zone was watered on a day, or why not.

#![expect(unused_qualifications, reason = "the macro that describes a path spells its types out")]

use axum::extract::{Path, Query, State};
use axum::{Json, Router, routing::get};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::auth::SignedIn;
use super::error::Problem;
use super::{Api, ask, zones};
use crate::why::{Line, Sentence, day_of, explain, gather};
use crate::words::Names;

/// Which day.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhyQuery {
    /// `today` (also when left out), `yesterday` or a date such as 2026-03-01, by the farm's clock.
    day: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Why {
    zone: String,
    /// First moment of the day, ms.
    from: i64,
    /// End of the day, ms.
    to: i64,
    /// The answer in one sentence.
    headline: Text,
    /// What a person can do about it; empty where nothing needs to be done.
    remedy: Text,
    /// Runs that nodes measured.
    runs: usize,
    /// How long they were.
    run_s: f64,
    /// What flowed, where it was measured.
    litres: Option<f64>,
    /// What the diary has about it, oldest first.
    lines: Vec<WhyLine>,
    /// The day has more entries than these.
    cut: bool,
}

/// A sentence in both languages.
#[derive(Debug, Serialize, ToSchema)]
struct Text {
    vi: String,
    en: String,
}

/// One entry of the diary in words.
#[derive(Debug, Serialize, ToSchema)]
struct WhyLine {
    /// When; null while the gateway's clock was not set.
    at: Option<i64>,
    /// It began before the day and still held.
    before: bool,
    event: String,
    /// Code of the reason.
    code: String,
    /// The numbers of the reason, as in the diary.
    #[schema(value_type = Object)]
    args: Map<String, Value>,
    text: Text,
    /// What a person can do; empty where nothing needs to be done.
    remedy: Text,
}

impl From<Sentence> for Text {
    fn from(Sentence { vi, en }: Sentence) -> Self {
        Self { vi, en }
    }
}

impl From<Line> for WhyLine {
    fn from(line: Line) -> Self {
        Self {
            at: line.at,
            before: line.is_before,
            event: line.event,
            code: line.code,
            args: line.args,
            text: line.text.into(),
            remedy: line.remedy.into(),
        }
    }
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/v1/zones/{id}/why", get(why))
}

/// Why a zone was watered on a day, or why not, in Vietnamese and English.
#[utoipa::path(get, path = "/api/v1/zones/{id}/why", params(("id" = String, Path), WhyQuery), responses(
    (status = 200, body = Why), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem)
))]
pub(crate) async fn why(
    _: SignedIn,
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(query): Query<WhyQuery>,
) -> Result<Json<Why>, Problem> {
    let zone = zones::zone(&api, &id)?;
    let view = api.view.borrow().clone();
    let utc_offset_min = api.settings().plan.utc_offset_min;
    let day = day_of("day", query.day.as_deref().unwrap_or("today"), view.now, utc_offset_min)
        .map_err(Problem::bad_request)?;
    let present = view.zones.iter().find(|shown| shown.zone == zone).map(|shown| shown.state.clone());
    let (settings, words) = (api.settings(), api.words.clone());
    let answer = ask(&api.reader, move |reader| {
        let facts = gather(&reader, &settings, &zone, day, view.now, present)?;
        Ok(explain(&facts, &words, &Names::of(&settings)))
    })
    .await?;
    Ok(Json(Why {
        zone: id,
        from: day.begins_at(utc_offset_min).0,
        to: day.plus_days(1).begins_at(utc_offset_min).0,
        headline: answer.headline.into(),
        remedy: answer.remedy.into(),
        runs: answer.n_runs,
        run_s: answer.run_s,
        litres: answer.litres,
        lines: answer.lines.into_iter().map(WhyLine::from).collect(),
        cut: answer.is_cut,
    }))
}
