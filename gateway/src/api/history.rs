//! A zone's past for a chart: its probes' moisture thinned to what a screen can show, its runs, its thresholds.

#![expect(unused_qualifications, reason = "the macro that describes a path spells its types out")]

use axum::extract::{Path, Query, State};
use axum::{Json, Router, routing::get};
use giot_engine::{ZoneId, ZonePlan};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::SignedIn;
use super::error::Problem;
use super::model::{self, Reason, Soil};
use super::{Api, ask, zones};
use crate::ingest;
use giot_store::{DiaryFilter, Reader, ValveEventFilter, ValveEventRow};
use std::collections::BTreeMap;

/// Points of one series at most: two per pixel of a large screen.
const POINTS_MAX: u32 = 4000;
const POINTS_DEFAULT: u32 = 600;

/// Valve events of one answer at most: a year of ten runs a day.
const EVENTS_MAX: u32 = 10_000;

/// Which part, and how fine.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryQuery {
    /// First moment, ms.
    from: i64,
    /// End, ms.
    to: i64,
    /// Points per series at most; 600 without, 4000 at most.
    points: Option<u32>,
}

/// A zone's past.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ZoneHistory {
    /// First moment, ms.
    from: i64,
    /// End, ms.
    to: i64,
    /// The zone's thresholds in the unit of its probes; `value` is null.
    soil: Soil,
    /// One per probe.
    series: Vec<Series>,
    /// Runs of the valve as its node measured them, oldest first.
    runs: Vec<Run>,
}

/// One probe's past.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Series {
    device: String,
    metric: String,
    /// Depth of the probe.
    depth_cm: Option<u16>,
    /// Time (ms), lowest, highest and mean level of each step, in the unit of the zone's `soil`.
    points: Vec<(i64, f64, f64, f64)>,
}

/// One run of the valve.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Run {
    /// Opened, ms.
    from: i64,
    /// Closed, ms; null while it is open.
    to: Option<i64>,
    /// What the meter counted.
    litres: Option<f64>,
    /// A person started it.
    manual: bool,
    /// Why it was started.
    reason: Option<Reason>,
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/v1/zones/{id}/history", get(zone_history))
}

/// A zone's moisture and runs for a chart.
#[utoipa::path(get, path = "/api/v1/zones/{id}/history", params(("id" = String, Path), HistoryQuery), responses(
    (status = 200, body = ZoneHistory), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem)
))]
pub(crate) async fn zone_history(
    _: SignedIn,
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<ZoneHistory>, Problem> {
    let zone = zones::zone(&api, &id)?;
    if query.from >= query.to {
        return Err(Problem::bad_request("from: earlier than to"));
    }
    let Some(plan) = api.settings().plan.zones.get(&zone).cloned() else {
        return Err(Problem::not_found("such zone"));
    };
    let label = api.settings().zone_labels.get(&zone).cloned().unwrap_or_default();
    let points = query.points.unwrap_or(POINTS_DEFAULT).clamp(2, POINTS_MAX);
    let history = ask(&api.reader, move |reader| {
        let range_us = query.from.saturating_mul(1000)..query.to.saturating_mul(1000);
        let mut series = Vec::with_capacity(plan.probes.len());
        for probe in &plan.probes {
            let (device, metric) = (probe.device.as_str(), probe.metric.as_str());
            let chart = reader.chart(device, metric, range_us.clone(), points)?;
            let percent = |value| ingest::as_moisture_percent(metric, value);
            series.push(Series {
                device: device.to_owned(),
                metric: metric.to_owned(),
                depth_cm: label.depth_cm.get(probe).copied(),
                points: chart
                    .iter()
                    .map(|p| (p.at_us / 1000, percent(p.min), percent(p.max), percent(p.mean)))
                    .collect(),
            });
        }
        let runs = runs(&reader, &zone, &plan, query.from, query.to)?;
        Ok(ZoneHistory { from: query.from, to: query.to, soil: Soil::of(&plan.soil, None), series, runs })
    })
    .await?;
    Ok(Json(history))
}

fn runs(reader: &Reader, zone: &ZoneId, plan: &ZonePlan, from: i64, to: i64) -> anyhow::Result<Vec<Run>> {
    let events = reader.valve_events(&ValveEventFilter {
        node: Some(plan.valve.node.to_string()),
        valve: Some(plan.valve.valve.0),
        from_us: Some(from.saturating_mul(1000)),
        to_us: Some(to.saturating_mul(1000)),
        limit: EVENTS_MAX,
    })?;
    let diary = reader.diary(&DiaryFilter {
        zone: Some(zone.to_string()),
        from_us: Some(from.saturating_mul(1000).saturating_sub(3_600_000_000)),
        to_us: Some(to.saturating_mul(1000)),
        limit: EVENTS_MAX,
        ..DiaryFilter::default()
    })?;
    let started: BTreeMap<u64, (Reason, bool)> = diary
        .iter()
        .filter(|row| row.entry.event == "started")
        .filter_map(|row| {
            Some((row.entry.command?, (model::stored_reason(&row.entry), row.entry.by == "person")))
        })
        .collect();
    Ok(pair(&events, &started))
}

/// Joins openings and closings; events are in order of time.
fn pair(events: &[ValveEventRow], started: &BTreeMap<u64, (Reason, bool)>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut is_open = false;
    for event in events {
        let at = event.at_us / 1000;
        if event.open {
            // A renewed lease reports the opening again: still the same run.
            if !is_open {
                let why = event.command.and_then(|command| started.get(&command));
                runs.push(Run {
                    from: at,
                    to: None,
                    litres: None,
                    manual: why.is_some_and(|(_, manual)| *manual) || event.command.is_none(),
                    reason: why.map(|(reason, _)| reason.clone()),
                });
            }
            is_open = true;
            continue;
        }
        let litres = event.volume_ml.and_then(|ml| u32::try_from(ml).ok()).map(|ml| f64::from(ml) / 1000.0);
        match runs.last_mut() {
            Some(run) if is_open => (run.to, run.litres) = (Some(at), litres),
            // Opened before the window, or the opening was never told: the length is in the closing.
            _ if event.run_ms > 0 => runs.push(Run {
                from: at.saturating_sub_unsigned(event.run_ms),
                to: Some(at),
                litres,
                manual: false,
                reason: None,
            }),
            _ => {}
        }
        is_open = false;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_s: i64, open: bool, run_ms: u64) -> ValveEventRow {
        ValveEventRow {
            node: "v01".into(),
            valve: 0,
            at_us: at_s * 1_000_000,
            uncertainty_us: 0,
            open,
            command: Some(7),
            closed_by: None,
            run_ms,
            volume_ml: (!open).then_some(12_500),
            epoch: 1,
            seq: 1,
        }
    }

    fn spans(events: &[ValveEventRow]) -> Vec<(i64, Option<i64>)> {
        pair(events, &BTreeMap::new())
            .iter()
            .map(|run| (run.from / 1000, run.to.map(|to| to / 1000)))
            .collect()
    }

    #[test]
    fn openings_and_closings_become_runs() {
        assert_eq!(spans(&[event(10, true, 0), event(70, false, 60_000)]), [(10, Some(70))]);
        let renewed = [event(10, true, 0), event(40, true, 0), event(70, false, 60_000)];
        assert_eq!(spans(&renewed), [(10, Some(70))]);
        assert_eq!(spans(&[event(70, false, 60_000), event(90, true, 0)]), [(10, Some(70)), (90, None)]);
        assert_eq!(spans(&[event(5, false, 0)]), [], "a closing at boot is no run");
    }

    #[test]
    fn litres_come_from_the_closing() {
        let runs = pair(&[event(10, true, 0), event(70, false, 60_000)], &BTreeMap::new());
        assert_eq!(runs.first().and_then(|run| run.litres), Some(12.5));
    }
}
