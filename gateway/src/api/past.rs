//! The history of any series, side by side: the list of series, a chart's few points, and spans of the farm's calendar as rows.
//!
//! Responsible for the words of a question and what it may cost; what is answered is made in [`crate::history`]. Errors name the
//! parameter and what would be right.

#![expect(unused_qualifications, reason = "the macro that describes a path spells its types out")]

use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::ops::{ControlFlow, Range};
use utoipa::{IntoParams, ToSchema};

use super::auth::SignedIn;
use super::error::Problem;
use super::pieces::{self, Pieces};
use super::{Api, ask};
use crate::history::export::Format;
use crate::history::limits::{self, READINGS_MAX, TooMuch};
use crate::history::series::SeriesName;
use crate::history::spans::SpanLength;
use crate::history::table;
use crate::history::thin::{POINTS_MAX, POINTS_MIN, Thinner};
use crate::history::timezone::TimeZone;
use crate::quality::Quality;
use giot_store::{Bucket, Gap, Reader, Sample};

/// Points of one series without a wish.
const POINTS_DEFAULT: u32 = 600;

/// Which series, which part, how fine.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChartQuery {
    /// `device/metric`, several with a comma between them.
    series: String,
    /// First moment, ms.
    from: i64,
    /// End, ms.
    to: i64,
    /// Points per series: 600 without, 16 to 4000. Extremes are always among them.
    points: Option<u32>,
    /// Seconds without a value that break the line; without it, four usual steps, at least 45 minutes.
    hole_s: Option<u32>,
}

/// Which series, in which spans.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpansQuery {
    /// `device/metric`, several with a comma between them.
    series: String,
    /// A moment in the first span, ms; the span is whole.
    from: i64,
    /// End, ms; the span that holds it is whole.
    to: i64,
    /// Length of a span: `15min`, `1h`, `1d`, `1w`, `1month`, `1y` and the like.
    bucket: String,
    /// Whose days: `Asia/Ho_Chi_Minh`, `UTC`, `+07:00`; the farm's without it.
    tz: Option<String>,
    /// Also add up what counters counted, and what fell into rain gauges.
    #[serde(default)]
    rises: bool,
}

/// A series that the history has.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Known {
    device: String,
    metric: String,
    /// Unit of its values; empty where nobody knows.
    unit: &'static str,
    /// Time of the latest sample, ms.
    at: i64,
}

/// What can be asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Choice {
    /// The farm's clock.
    time_zone: String,
    /// What the history can be exported as.
    formats: Vec<String>,
    /// Every series of the history.
    series: Vec<Known>,
}

/// One series of a chart.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChartSeries {
    device: String,
    metric: String,
    unit: &'static str,
    /// Time (ms), value and, unless good, quality of readings; a null value breaks the line.
    points: Vec<(i64, Option<f64>, Option<&'static str>)>,
    /// How many readings had a value.
    n: u64,
    /// How many of them are not good.
    n_flagged: u64,
    /// Not every reading is a point.
    thinned: bool,
    /// Damaged parts of the history in this range.
    n_damaged: u64,
    /// The first of them: from when to when (ms).
    damaged: Vec<[i64; 2]>,
}

/// Readings for a chart.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Chart {
    series: Vec<ChartSeries>,
}

/// A column of a table of spans.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Column {
    device: String,
    metric: String,
    unit: &'static str,
}

/// What a series did in a span, as an array: mean, min, max, last, number of values, how many of those are not good and, if asked for,
/// what a counter counted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cell(f64, f64, f64, f64, u64, u64, Option<f64>);

/// A damaged part of a series.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DamagedPart {
    device: String,
    metric: String,
    /// First moment that may be missing, ms.
    from: i64,
    /// The last, ms.
    to: i64,
}

/// Several series in the same spans. Streamed; this is its shape.
#[cfg_attr(not(test), expect(dead_code, reason = "only the description shows it whole"))]
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpansTable {
    /// Whose calendar.
    time_zone: String,
    /// Length of a span.
    bucket: String,
    series: Vec<Column>,
    /// Beginning of the span (ms), then one cell a series; null where it had no value.
    rows: Vec<(i64, Vec<Option<Cell>>)>,
    /// End of the last span, ms.
    end: i64,
    /// Damaged parts of the history in this range; what they held is missing above.
    n_damaged: u64,
    /// The first of them.
    damaged: Vec<DamagedPart>,
    /// Hours or days that stand for readings given up and lie across the edges of the rows, from the first of them to the end of
    /// the last: they are in no row. Null: none.
    cut: Option<[i64; 2]>,
}

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/history/series", get(series))
        .route("/api/v1/history/chart", get(chart))
        .route("/api/v1/history/spans", get(spans))
}

/// Every series of the history, and what it can be exported as.
#[utoipa::path(get, path = "/api/v1/history/series", responses(
    (status = 200, body = Choice), (status = 401, body = Problem)
))]
pub(crate) async fn series(_: SignedIn, State(api): State<Api>) -> Result<Json<Choice>, Problem> {
    let values = ask(&api.reader, |reader| Ok(reader.last_values(None)?)).await?;
    let series = values.into_iter().map(|last| Known {
        device: last.device.as_ref().to_owned(),
        metric: last.metric.as_ref().to_owned(),
        unit: crate::history::series::unit(&last.metric),
        at: last.sample.at_us.div_euclid(1_000),
    });
    Ok(Json(Choice {
        time_zone: api.settings().time_zone.to_string(),
        formats: Format::available().map(|format| format.to_string()).collect(),
        series: series.collect(),
    }))
}

/// Readings of several series, thinned for a chart that hides no extreme.
#[utoipa::path(get, path = "/api/v1/history/chart", params(ChartQuery), responses(
    (status = 200, body = Chart), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 503, body = Problem)
))]
pub(crate) async fn chart(
    _: SignedIn,
    State(api): State<Api>,
    Query(query): Query<ChartQuery>,
) -> Result<Json<Chart>, Problem> {
    let names = series_names(&query.series)?;
    let range_us = range_us(query.from, query.to)?;
    let points = query.points.unwrap_or(POINTS_DEFAULT);
    if !(POINTS_MIN..=POINTS_MAX).contains(&points) {
        return Err(Problem::parameter("points", format!("{POINTS_MIN} to {POINTS_MAX}")));
    }
    let hole_us = query.hole_s.map(|hole_s| i64::from(hole_s) * 1_000_000);
    let _place = api.places.take().await?;
    let answer = ask(&api.reader, move |reader| {
        if let Err(problem) = check(&reader, &names, Some((&range_us, READINGS_MAX)))? {
            return Ok(Err(problem));
        }
        let mut series = Vec::with_capacity(names.len());
        for name in &names {
            let mut thinner = Thinner::new(range_us.clone(), points, hole_us);
            let summary = reader.samples(&name.device, &name.metric, range_us.clone(), &mut |sample| {
                thinner.add(sample);
                ControlFlow::Continue(())
            })?;
            let thinned = thinner.finish();
            series.push(ChartSeries {
                device: name.device.as_ref().to_owned(),
                metric: name.metric.as_ref().to_owned(),
                unit: name.unit(),
                points: thinned.points.iter().map(point).collect(),
                n: thinned.n_values,
                n_flagged: thinned.n_flagged,
                thinned: thinned.is_thinned,
                n_damaged: summary.n_damaged(),
                damaged: gaps_ms(&summary.gaps),
            });
        }
        Ok(Ok(Chart { series }))
    });
    Ok(Json(answer.await??))
}

fn point(sample: &Sample) -> (i64, Option<f64>, Option<&'static str>) {
    let quality = (sample.quality != 0).then(|| Quality::from_byte(sample.quality).code());
    (sample.at_us.div_euclid(1_000), sample.value, quality)
}

/// Several series in the same spans of the farm's calendar.
#[utoipa::path(get, path = "/api/v1/history/spans", params(SpansQuery), responses(
    (status = 200, body = SpansTable), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 503, body = Problem)
))]
pub(crate) async fn spans(
    _: SignedIn,
    State(api): State<Api>,
    Query(query): Query<SpansQuery>,
) -> Result<Response, Problem> {
    let names = series_names(&query.series)?;
    let range_us = range_us(query.from, query.to)?;
    let length: SpanLength = parameter("bucket", &query.bucket)?;
    let zone = time_zone(&api, query.tz.as_deref())?;
    let edges = edges(length, &range_us, zone, names.len())?;
    let names = ask(&api.reader, move |reader| Ok(check(&reader, &names, None)?.map(|()| names))).await??;
    let place = api.places.take().await?;
    let reader = api.reader;
    let question = Question { names, length, zone, edges, rises: query.rises };
    let body = pieces::body("a table of spans", move |pieces| {
        let _place = place;
        question.answer(&reader, pieces)
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

struct Question {
    names: Vec<SeriesName>,
    length: SpanLength,
    zone: TimeZone,
    edges: Vec<i64>,
    rises: bool,
}

impl Question {
    fn answer(&self, reader: &Reader, pieces: &mut Pieces) -> anyhow::Result<()> {
        let columns: Vec<Column> = self.names.iter().map(column).collect();
        let head = serde_json::json!({ "time_zone": self.zone.to_string(), "bucket": self.length.to_string(), "series": columns });
        let head = head.to_string();
        write!(pieces, "{},\"rows\":[", head.trim_end_matches('}'))?;
        let mut failed = None;
        let mut separator = "";
        let missing = table::rows(reader, &self.names, &self.edges, self.rises, &mut |row| {
            let written = write_row(pieces, separator, row);
            separator = ",";
            match written {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        let end = self.edges.last().map_or(0, |end_us| end_us.div_euclid(1_000));
        let (n_damaged, cut) = (missing.n_damaged, serde_json::json!(cut_ms(missing.cut_us)));
        let damaged: Vec<DamagedPart> = missing.damaged.iter().map(damaged_part).collect();
        let damaged = serde_json::json!(damaged);
        write!(pieces, "],\"end\":{end},\"n_damaged\":{n_damaged},\"damaged\":{damaged},\"cut\":{cut}}}")?;
        Ok(())
    }
}

fn damaged_part(part: &table::DamagedPart) -> DamagedPart {
    let table::DamagedPart { series, gap } = part;
    DamagedPart {
        device: series.device.as_ref().to_owned(),
        metric: series.metric.as_ref().to_owned(),
        from: gap.from_us.div_euclid(1_000),
        to: gap.to_us.div_euclid(1_000),
    }
}

fn column(name: &SeriesName) -> Column {
    Column {
        device: name.device.as_ref().to_owned(),
        metric: name.metric.as_ref().to_owned(),
        unit: name.unit(),
    }
}

fn write_row(pieces: &mut Pieces, separator: &str, row: table::Row<'_>) -> io::Result<()> {
    let cell = |bucket: &Option<Bucket>| -> Option<Cell> {
        let bucket = bucket.as_ref()?;
        Some(Cell(
            bucket.mean,
            bucket.min,
            bucket.max,
            bucket.last,
            bucket.n_values,
            bucket.n_flagged,
            bucket.rise,
        ))
    };
    let cells: Vec<Option<Cell>> = row.cells.iter().map(cell).collect();
    pieces.buffer().extend_from_slice(separator.as_bytes());
    serde_json::to_writer(pieces.buffer(), &(row.from_us.div_euclid(1_000), cells))?;
    pieces.pass_on()
}

/// Reads a parameter, or says what it should be.
pub(super) fn parameter<T: std::str::FromStr<Err: std::fmt::Display>>(
    field: &'static str,
    text: &str,
) -> Result<T, Problem> {
    text.parse().map_err(|error| Problem::parameter(field, format!("{text:?}: {error}")))
}

/// Series with commas between them, each once, in the order given.
pub(super) fn series_names(text: &str) -> Result<Vec<SeriesName>, Problem> {
    let mut names: Vec<SeriesName> = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let name = parameter("series", part)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Err(Problem::parameter("series", "at least one, as n01/soil_moisture,n02/soil_moisture"));
    }
    limits::check_series(&names, limits::SERIES_MAX)
        .map_err(|too_much| Problem::parameter("series", too_much))?;
    Ok(names)
}

/// A range in ms as one in µs.
pub(super) fn range_us(from: i64, to: i64) -> Result<Range<i64>, Problem> {
    if from >= to {
        return Err(Problem::parameter("from", "earlier than to, both in ms since 1970"));
    }
    Ok(from.saturating_mul(1_000)..to.saturating_mul(1_000))
}

/// What lies across edges, from its beginning to its end, ms.
pub(super) fn cut_ms(cut_us: Option<(i64, i64)>) -> Option<[i64; 2]> {
    cut_us.map(|(from_us, to_us)| [from_us, to_us].map(|at_us| at_us.div_euclid(1_000)))
}

/// Damaged parts, each from when to when, ms.
pub(super) fn gaps_ms(gaps: &[Gap]) -> Vec<[i64; 2]> {
    gaps.iter().map(|gap| [gap.from_us, gap.to_us].map(|at_us| at_us.div_euclid(1_000))).collect()
}

/// The named time zone, or the farm's.
pub(super) fn time_zone(api: &Api, text: Option<&str>) -> Result<TimeZone, Problem> {
    // A plus sign in a query means a space; nobody means a space here.
    text.map_or(Ok(api.settings().time_zone), |text| parameter("tz", &text.replace(' ', "+")))
}

/// The edges of a table that is not too large.
pub(super) fn edges(
    length: SpanLength,
    range_us: &Range<i64>,
    zone: TimeZone,
    n_series: usize,
) -> Result<Vec<i64>, Problem> {
    let edges = length.edges(range_us, zone).map_err(|error| Problem::parameter("bucket", error))?;
    limits::check_cells(edges.len().saturating_sub(1), n_series)
        .map_err(|too_much| Problem::parameter("bucket", too_much))?;
    Ok(edges)
}

/// Whether the history has every series, and in a range not too many readings.
pub(super) fn check(
    reader: &Reader,
    names: &[SeriesName],
    bound: Option<(&Range<i64>, u64)>,
) -> anyhow::Result<Result<(), Problem>> {
    for name in names {
        if !reader.knows(&name.device, &name.metric)? {
            let what = format!("{name}: nothing is stored of it; /api/v1/history/series lists what is");
            return Ok(Err(Problem::parameter("series", what)));
        }
    }
    let Some((range_us, max)) = bound else { return Ok(Ok(())) };
    let checked: Result<(), TooMuch> = limits::check_readings(reader, names, range_us, max)?;
    Ok(checked.map_err(|too_much| Problem::parameter("from", too_much)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_read_once_each_and_bounded() {
        let names = series_names("n01/a,n02/b,,n01/a").unwrap();
        assert_eq!(names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["n01/a", "n02/b"]);
        let many: Vec<String> = (0..33).map(|n| format!("n{n}/a")).collect();
        for bad in ["", ",", "n01", "n01/a b", &many.join(",")] {
            assert!(series_names(bad).is_err(), "{bad}");
        }
    }
}
