//! The history as a file: streamed while it is made, so that a season of every probe needs no memory.

#![expect(unused_qualifications, reason = "the macro that describes a path spells its types out")]

use axum::Router;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::SignedIn;
use super::error::Problem;
use super::{Api, ask, past, pieces};
use crate::history::export::{Content, Export, Format};
use crate::history::spans::SpanLength;
use crate::history::table::Missing;

/// What to take away.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportQuery {
    /// `device/metric`, several with a comma between them.
    series: String,
    /// First moment, ms.
    from: i64,
    /// End, ms.
    to: i64,
    /// `csv`, `csv-excel` (23.4), `csv-excel-vi` (23,4), `xlsx` or `parquet`.
    format: String,
    /// Sum up spans of this length: `15min`, `1h`, `1d`, `1w`, `1month`, `1y` and the like; single readings without it.
    bucket: Option<String>,
    /// Clock of times and days: `Asia/Ho_Chi_Minh`, `UTC`, `+07:00`; the farm's without it.
    tz: Option<String>,
    /// With a bucket: also what counters counted, and what fell into rain gauges.
    #[serde(default)]
    rises: bool,
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/v1/history/export", get(export))
}

/// Readings or spans of several series as a file.
#[utoipa::path(get, path = "/api/v1/history/export", params(ExportQuery), responses(
    (status = 200, description = "The file"), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 503, body = Problem)
))]
pub(crate) async fn export(
    _: SignedIn,
    State(api): State<Api>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let series = past::series_names(&query.series)?;
    let range_us = past::range_us(query.from, query.to)?;
    let format: Format = past::parameter("format", &query.format)?;
    let zone = past::time_zone(&api, query.tz.as_deref())?;
    let length: Option<SpanLength> =
        query.bucket.as_deref().map(|text| past::parameter("bucket", text)).transpose()?;
    let bound = length.is_none().then(|| (range_us.clone(), format.rows_max()));
    let content = match length {
        None => Content::Readings(range_us),
        Some(length) => {
            let edges_us = past::edges(length, &range_us, zone, series.len())?;
            Content::Spans { length, edges_us, rises: query.rises }
        }
    };
    let export = Export { series, zone, content };
    let export = ask(&api.reader, move |reader| {
        let bound = bound.as_ref().map(|(range_us, max)| (range_us, *max));
        Ok(past::check(&reader, &export.series, bound)?.map(|()| export))
    });
    let export = export.await??;
    let place = api.places.take().await?;
    let name = format!("attachment; filename=\"giot-history.{}\"", format.extension());
    let reader = api.reader;
    let body = pieces::body("an export", move |pieces| {
        let _place = place;
        let outcome = export.write(&reader, format, reader.dir(), pieces, &mut |_| {})?;
        let Missing { n_damaged, damaged, .. } = outcome.missing;
        if let Some(first) = damaged.first() {
            let first = first.text(export.zone);
            tracing::warn!(n_damaged, first, "an export lacks damaged parts of the history");
        }
        Ok(())
    });
    let headers =
        [(header::CONTENT_TYPE, format.media_type().to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, body).into_response())
}
