//! The history as digits: a series as it was recorded, in spans of time, and the latest of all.
//!
//! A series is streamed while it is read, so that a year of it takes no more memory than a day. Must not convert: values have the unit
//! of their metric, as the device sent them.

#![expect(unused_qualifications, reason = "the macro that describes a path spells its types out")]

use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::ops::{ControlFlow, Range};
use utoipa::{IntoParams, ToSchema};

use super::auth::SignedIn;
use super::error::Problem;
use super::past::{cut_ms, gaps_ms};
use super::pieces::{self, Pieces};
use super::{Api, ask};
use crate::quality::Quality;
use giot_store::{Bucket, Columns, Digits, LastValue, ReadSummary, Reader, Rows, Sample, put_whole};

/// Spans of one answer at most: ten years of hours.
const SPANS_MAX: i64 = 100_000;

/// Samples that are written before it is looked whether they are a piece: some tens of kilobytes.
const ROWS_AT_ONCE: usize = 1_024;

/// What one latest sample takes as text, usually.
const LATEST_BYTES: usize = 128;

/// What one span takes as text, usually.
const SPAN_BYTES: usize = 192;

/// Which part of a series.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct SamplesQuery {
    /// First moment, ms.
    from: i64,
    /// End, ms.
    to: i64,
}

/// Which part of a series, in which spans.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpansQuery {
    /// Beginning of the first span, ms.
    from: i64,
    /// End, ms; the last span may be shorter.
    to: i64,
    /// Length of a span, seconds.
    step_s: u32,
    /// Also add up what a counter counted, or what fell into a rain gauge.
    #[serde(default)]
    rises: bool,
}

/// A series as it was recorded. Streamed; this is its shape.
#[cfg_attr(not(test), expect(dead_code, reason = "only the description shows it whole"))]
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Samples {
    /// Time (ms), value (null: none) and, unless good, quality.
    samples: Vec<(i64, Option<f64>, Option<String>)>,
    /// Damaged parts of the history in this range; what they held is missing above.
    n_damaged: u64,
    /// The first of them: from when to when (ms).
    damaged: Vec<[i64; 2]>,
}

/// What a series did in a span.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Span {
    /// Beginning, ms.
    at: i64,
    /// How many values.
    n: u64,
    /// How many of them are not good.
    n_flagged: u64,
    min: f64,
    max: f64,
    mean: f64,
    last: f64,
    /// Mean over time: each value counts for as long as it held.
    time_mean: f64,
    /// What a counter counted, or what fell into a rain gauge, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    rise: Option<f64>,
}

/// A series in spans of time.
#[cfg_attr(not(test), expect(dead_code, reason = "only the description and a test show it whole"))]
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Spans {
    /// Spans that hold a value.
    spans: Vec<Span>,
    /// Damaged parts of the history in this range.
    n_damaged: u64,
    /// The first of them: from when to when (ms).
    damaged: Vec<[i64; 2]>,
    /// Hours or days that stand for readings given up and lie across the edges of the spans, from the first of them to the end of
    /// the last: they are in no span. Null: none.
    cut: Option<[i64; 2]>,
}

/// The latest sample of a series.
#[cfg_attr(not(test), expect(dead_code, reason = "only the description and a test show it whole"))]
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Latest<'l> {
    device: &'l str,
    metric: &'l str,
    /// Time, ms.
    at: i64,
    value: Option<f64>,
    quality: &'static str,
}

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/latest", get(latest))
        .route("/api/v1/series/{device}/{metric}/samples", get(samples))
        .route("/api/v1/series/{device}/{metric}/spans", get(spans))
}

/// The latest sample of every series.
#[utoipa::path(get, path = "/api/v1/latest", responses(
    (status = 200, body = Vec<Latest<'static>>), (status = 401, body = Problem)
))]
pub(crate) async fn latest(_: SignedIn, State(api): State<Api>) -> Result<Response, Problem> {
    let body = ask(&api.reader, |reader| {
        let values = reader.last_values(None)?;
        let mut body = Vec::with_capacity(values.len() * LATEST_BYTES);
        let mut digits = Digits::default();
        put_list(&mut body, &values, |body, last| put_latest(&mut digits, body, last))?;
        Ok(body)
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], body.await?).into_response())
}

/// A series in spans of equal length.
#[utoipa::path(get, path = "/api/v1/series/{device}/{metric}/spans",
    params(("device" = String, Path), ("metric" = String, Path), SpansQuery),
    responses((status = 200, body = Spans), (status = 400, body = Problem), (status = 401, body = Problem))
)]
pub(crate) async fn spans(
    _: SignedIn,
    State(api): State<Api>,
    Path((device, metric)): Path<(String, String)>,
    Query(query): Query<SpansQuery>,
) -> Result<Response, Problem> {
    let edges = edges(&query)?;
    let body = ask(&api.reader, move |reader| {
        let (mut buckets, summary) = reader.buckets(&device, &metric, &edges, query.rises)?;
        if query.rises {
            crate::history::series::count(&metric, &mut buckets);
        }
        let mut body = Vec::with_capacity(buckets.len() * SPAN_BYTES + SPAN_BYTES);
        body.extend_from_slice(b"{\"spans\":");
        let mut digits = Digits::default();
        put_list(&mut body, &buckets, |body, bucket| put_span(&mut digits, body, bucket))?;
        put_damaged(&mut body, &summary)?;
        body.extend_from_slice(b",\"cut\":");
        serde_json::to_writer(&mut body, &cut_ms(summary.cut_us))?;
        body.push(b'}');
        Ok(body)
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], body.await?).into_response())
}

/// Appends how many damaged parts were met, and where the first of them are.
fn put_damaged(out: &mut dyn Write, summary: &ReadSummary) -> io::Result<()> {
    let damaged = serde_json::json!(gaps_ms(&summary.gaps));
    write!(out, ",\"n_damaged\":{},\"damaged\":{damaged}", summary.n_damaged())
}

/// Appends a JSON list.
fn put_list<T>(
    body: &mut Vec<u8>,
    items: &[T],
    mut put: impl FnMut(&mut Vec<u8>, &T) -> io::Result<()>,
) -> io::Result<()> {
    body.push(b'[');
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            body.push(b',');
        }
        put(body, item)?;
    }
    body.push(b']');
    Ok(())
}

/// Appends a [`Span`].
fn put_span(digits: &mut Digits, body: &mut Vec<u8>, bucket: &Bucket) -> io::Result<()> {
    put_whole(body, b"{\"at\":", bucket.from_us.div_euclid(1_000));
    put_whole(body, b",\"n\":", bucket.n_values.cast_signed());
    put_whole(body, b",\"n_flagged\":", bucket.n_flagged.cast_signed());
    digits.put_value(body, b",\"min\":", bucket.min)?;
    digits.put_value(body, b",\"max\":", bucket.max)?;
    digits.put_value(body, b",\"mean\":", bucket.mean)?;
    digits.put_value(body, b",\"last\":", bucket.last)?;
    digits.put_value(body, b",\"time_mean\":", bucket.time_mean)?;
    if let Some(rise) = bucket.rise {
        digits.put_value(body, b",\"rise\":", rise)?;
    }
    body.push(b'}');
    Ok(())
}

/// Appends a [`Latest`].
fn put_latest(digits: &mut Digits, body: &mut Vec<u8>, last: &LastValue) -> io::Result<()> {
    body.extend_from_slice(b"{\"device\":");
    serde_json::to_writer(&mut *body, &*last.device)?;
    body.extend_from_slice(b",\"metric\":");
    serde_json::to_writer(&mut *body, &*last.metric)?;
    put_whole(body, b",\"at\":", last.sample.at_us.div_euclid(1_000));
    match last.sample.value {
        Some(value) => digits.put_value(body, b",\"value\":", value)?,
        None => body.extend_from_slice(b",\"value\":null"),
    }
    body.extend_from_slice(b",\"quality\":");
    serde_json::to_writer(&mut *body, Quality::from_byte(last.sample.quality).code())?;
    body.push(b'}');
    Ok(())
}

/// Beginnings of the spans and the end, µs.
fn edges(query: &SpansQuery) -> Result<Vec<i64>, Problem> {
    let step = i64::from(query.step_s) * 1_000;
    if query.from >= query.to || step == 0 {
        return Err(Problem::bad_request("from: earlier than to; step_s: above 0"));
    }
    let n = query.to.saturating_sub(query.from).saturating_sub(1) / step + 1;
    if n > SPANS_MAX {
        return Err(Problem::bad_request(format!("step_s: {n} spans, {SPANS_MAX} at most")));
    }
    let starts = (0..n).map(|n| query.from.saturating_add(n * step));
    Ok(starts.chain([query.to]).map(|at| at.saturating_mul(1_000)).collect())
}

/// A series as it was recorded.
#[utoipa::path(get, path = "/api/v1/series/{device}/{metric}/samples",
    params(("device" = String, Path), ("metric" = String, Path), SamplesQuery),
    responses((status = 200, body = Samples), (status = 400, body = Problem), (status = 401, body = Problem))
)]
pub(crate) async fn samples(
    _: SignedIn,
    State(api): State<Api>,
    Path((device, metric)): Path<(String, String)>,
    Query(query): Query<SamplesQuery>,
) -> Result<Response, Problem> {
    if query.from >= query.to {
        return Err(Problem::bad_request("from: earlier than to"));
    }
    let range_us = query.from.saturating_mul(1_000)..query.to.saturating_mul(1_000);
    let reader = api.reader;
    let body = pieces::body("a series", move |pieces| stream(&reader, &device, &metric, range_us, pieces));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn stream(
    reader: &Reader,
    device: &str,
    metric: &str,
    range_us: Range<i64>,
    pieces: &mut Pieces,
) -> anyhow::Result<()> {
    pieces.buffer().extend_from_slice(b"{\"samples\":[");
    let mut failed = None;
    let mut writer = Writer { digits: Digits::default(), columns: Columns::default(), opening: b"[" };
    let summary = reader.rows(device, metric, range_us, &mut |rows| match writer.put(pieces, &rows) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    pieces.buffer().push(b']');
    put_damaged(pieces, &summary)?;
    pieces.buffer().push(b'}');
    Ok(())
}

/// Writes samples.
struct Writer {
    digits: Digits,
    columns: Columns,
    /// What the next one begins with.
    opening: &'static [u8],
}

impl Writer {
    fn put(&mut self, pieces: &mut Pieces, rows: &Rows<'_>) -> io::Result<()> {
        match rows {
            Rows::Samples(samples) => {
                for sample in *samples {
                    put_sample(&mut self.digits, pieces.buffer(), self.opening, *sample)?;
                    pieces.pass_on()?;
                    self.opening = b",[";
                }
            }
            Rows::Decimals { at_us, mantissas, scale } => {
                for (at_us, mantissas) in at_us.chunks(ROWS_AT_ONCE).zip(mantissas.chunks(ROWS_AT_ONCE)) {
                    self.columns.put(pieces.buffer(), self.opening, at_us, mantissas, *scale)?;
                    pieces.pass_on()?;
                    self.opening = b",[";
                }
            }
        }
        Ok(())
    }
}

fn put_sample(digits: &mut Digits, piece: &mut Vec<u8>, opening: &[u8], sample: Sample) -> io::Result<()> {
    let at = sample.at_us.div_euclid(1_000);
    if sample.quality == 0 {
        return digits.put_sample(piece, opening, at, sample.value, b']');
    }
    digits.put_sample(piece, opening, at, sample.value, b',')?;
    serde_json::to_writer(&mut *piece, Quality::from_byte(sample.quality).code())?;
    piece.push(b']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use giot_store::Gap;

    #[test]
    fn spans_cover_the_range_and_are_bounded() {
        let query = |from, to, step_s| SpansQuery { from, to, step_s, rises: false };
        assert_eq!(edges(&query(0, 2_500, 1)).ok(), Some(vec![0, 1_000_000, 2_000_000, 2_500_000]));
        assert_eq!(edges(&query(0, 2_000, 1)).ok(), Some(vec![0, 1_000_000, 2_000_000]));
        for (from, to, step_s) in [(5, 5, 1), (0, 1, 0), (i64::MIN, i64::MAX, 1), (0, 200_000_000, 1)] {
            assert!(edges(&query(from, to, step_s)).is_err(), "{from} {to} {step_s}");
        }
    }

    #[test]
    fn a_sample_is_a_short_row() {
        let mut piece = Vec::new();
        let mut digits = Digits::default();
        let mut put = |opening: &[u8], at_us, value, quality| {
            put_sample(&mut digits, &mut piece, opening, Sample { at_us, value, quality }).unwrap();
        };
        put(b"[", 1_500, Some(23.4), 0);
        put(b",[", 2_000, None, 1);
        assert_eq!(String::from_utf8(piece).unwrap(), "[1,23.4],[2,null,\"missing\"]");
    }

    #[test]
    fn damaged_parts_are_counted_and_dated() {
        let gap = Gap { from_us: 1_700_000, to_us: 2_900_000, n_samples: 3, is_set_aside: false };
        let summary = ReadSummary { n_damaged_chunks: 2, gaps: vec![gap], ..ReadSummary::default() };
        let mut body = b"{\"samples\":[]".to_vec();
        put_damaged(&mut body, &summary).unwrap();
        body.push(b'}');
        let shape = Samples { samples: Vec::new(), n_damaged: 2, damaged: vec![[1_700, 2_900]] };
        assert_eq!(String::from_utf8(body).unwrap(), serde_json::to_string(&shape).unwrap());
    }

    #[test]
    fn answers_have_the_shapes_that_are_described() {
        let mut digits = Digits::default();
        let device: std::sync::Arc<str> = "n\"1".into();
        for (value, quality) in [(Some(23.4), 0), (Some(-0.0), 0), (None, 1)] {
            let sample = Sample { at_us: -1_500, value, quality };
            let last = LastValue { device: device.clone(), metric: "battery".into(), sample };
            let shape = Latest {
                device: &device,
                metric: "battery",
                at: -2,
                value,
                quality: Quality::from_byte(quality).code(),
            };
            let mut body = Vec::new();
            put_latest(&mut digits, &mut body, &last).unwrap();
            assert_eq!(String::from_utf8(body).unwrap(), serde_json::to_string(&shape).unwrap());
        }
        for rise in [None, Some(0.1 + 0.2)] {
            let (min, max, mean, last, time_mean) = (-1.5, 20.0, 7.0 / 3.0, 1e300, 0.05);
            let (from_us, n_values, n_flagged) = (3_600_000_000, 60, 2);
            let bucket = Bucket { from_us, n_values, n_flagged, min, max, mean, last, time_mean, rise };
            let shape = Span { at: 3_600_000, n: 60, n_flagged, min, max, mean, last, time_mean, rise };
            let mut body = Vec::new();
            put_list(&mut body, &[bucket, bucket], |body, one| put_span(&mut digits, body, one)).unwrap();
            let expected = serde_json::to_string(&[&shape, &shape]).unwrap();
            assert_eq!(String::from_utf8(body).unwrap(), expected);
        }
    }
}
