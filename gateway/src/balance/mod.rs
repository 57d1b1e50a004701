//! What soils lack, for programs that refill them: gathered from the store, counted, and told to the engine.
//!
//! | module | holds |
//! |---|---|
//! | `weather` | the station's days |
//! | `count` | a season up to this moment, pure |
//!
//! Nothing is kept: a count is made anew from what was measured, at the start and every few minutes; water that was given since
//! comes off in the engine.
//! Must not decide about water: how much of a lack is given back, and when, is the engine's matter.

mod count;
mod weather;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use giot_engine::program::{Date, Lack};
use giot_engine::{ZoneId, ZonePlan};
use giot_shared::time::UnixMs;
use tokio::sync::{mpsc, oneshot, watch};

pub use count::{BalancePlan, Count, Counted, Facts, Given, SILENT_DAYS_MAX};
pub use weather::{Day, Et0From, Station, days};

use crate::clock::Clock;
use crate::config::Settings;
use crate::hub::{Request, Wish};
use crate::ingest;
use crate::store::{DiaryFilter, Reader};

/// How often everything is counted anew, in the gateway's time: rain and late readings come in meanwhile.
const EVERY: Duration = Duration::from_secs(600);
/// Water that was told within so long before a count may not be in it yet, ms: a commit and a queue take far less.
const MARGIN_MS: u64 = 60_000;
/// Entries of the diary that are read at a time.
const PAGE: u32 = 1000;
/// Pages of one zone's season at most: thousands of runs.
const PAGES_MAX: u32 = 50;

const HOUR_US: i64 = 3_600_000_000;

/// What is lacking in every zone with a balance, or in one of them.
///
/// # Errors
/// When the store cannot be read.
pub fn count_all(
    reader: &Reader,
    settings: &Settings,
    now: UnixMs,
    only: Option<&ZoneId>,
) -> anyhow::Result<BTreeMap<ZoneId, Count>> {
    let utc_offset_min = settings.plan.utc_offset_min;
    let today = Date::of(now, utc_offset_min);
    let wanted = || settings.balances.iter().filter(|(id, _)| only.is_none_or(|only| only == *id));
    let first = wanted().map(|(_, plan)| plan.first_day(today)).min();
    let weather = match (&settings.station, first) {
        (Some(station), Some(first)) => days(reader, station, first, today, utc_offset_min)?,
        _ => BTreeMap::new(),
    };
    let mut counts = BTreeMap::new();
    for (id, plan) in wanted() {
        let Some(zone) = settings.plan.zones.get(id) else { continue };
        let facts = facts_of(reader, id, zone, plan, (weather.clone(), today), utc_offset_min)?;
        counts.insert(id.clone(), plan.count(&facts, now, utc_offset_min));
    }
    Ok(counts)
}

/// The balance of a zone with everything that is known of its season up to the end of a day; `None`: it has none.
///
/// # Errors
/// When the store cannot be read.
pub fn facts(
    reader: &Reader,
    settings: &Settings,
    id: &ZoneId,
    last: Date,
) -> anyhow::Result<Option<(BalancePlan, Facts)>> {
    let (Some(plan), Some(zone)) = (settings.balances.get(id), settings.plan.zones.get(id)) else {
        return Ok(None);
    };
    let utc_offset_min = settings.plan.utc_offset_min;
    let weather = match &settings.station {
        Some(station) => days(reader, station, plan.first_day(last), last, utc_offset_min)?,
        None => BTreeMap::new(),
    };
    let facts = facts_of(reader, id, zone, plan, (weather, last), utc_offset_min)?;
    Ok(Some((plan.clone(), facts)))
}

fn facts_of(
    reader: &Reader,
    id: &ZoneId,
    zone: &ZonePlan,
    plan: &BalancePlan,
    (days, last): (BTreeMap<Date, Day>, Date),
    utc_offset_min: i32,
) -> anyhow::Result<Facts> {
    let first = plan.first_day(last);
    Ok(Facts {
        days,
        given: given(reader, id, zone, first.begins_at(utc_offset_min))?,
        contents: contents(reader, zone, plan, first, last, utc_offset_min)?,
    })
}

/// What nodes measured and people told of a zone's water since a moment, oldest first.
fn given(reader: &Reader, id: &ZoneId, zone: &ZonePlan, from: UnixMs) -> anyhow::Result<Vec<Given>> {
    let mut filter = DiaryFilter {
        zone: Some(id.to_string()),
        from_us: Some(from.0.saturating_mul(1000)),
        limit: PAGE,
        ..DiaryFilter::default()
    };
    let mut given = Vec::new();
    for _ in 0..PAGES_MAX {
        let rows = reader.diary(&filter)?;
        let oldest = rows.iter().map(|row| row.id).min();
        let n_rows = rows.len();
        for row in rows {
            let entry = row.entry;
            let by_flow = |run_ms| zone.flow.map(|flow| u64::from(flow.volume_in_ms(run_ms).0));
            let ml = entry.volume_ml.or_else(|| by_flow(entry.run_ms.filter(|run_ms| *run_ms > 0)?));
            let at = UnixMs(entry.at_us.unwrap_or(entry.recorded_us).div_euclid(1000));
            given.extend(ml.filter(|ml| *ml > 0).map(|ml| Given { at, ml }));
        }
        if n_rows < usize::try_from(PAGE).unwrap_or(usize::MAX) || oldest.is_none() {
            break;
        }
        filter.before_id = oldest;
    }
    given.sort_by_key(|given| given.at);
    Ok(given)
}

/// The water content that the zone's probes say together at the hour of the reset, by day, m³/m³.
fn contents(
    reader: &Reader,
    zone: &ZonePlan,
    plan: &BalancePlan,
    first: Date,
    last: Date,
    utc_offset_min: i32,
) -> anyhow::Result<BTreeMap<Date, f64>> {
    let mut by_day: BTreeMap<Date, Vec<f64>> = BTreeMap::new();
    let Some(hour) = plan.reset_hour.filter(|_| !zone.soil.is_tension()) else { return Ok(BTreeMap::new()) };
    let from_us = first.begins_at(utc_offset_min).0.saturating_mul(1000);
    let n_hours = i64::from(last.days_since(first) + 1) * 24;
    let edges: Vec<i64> = (0..=n_hours).map(|nth| from_us + nth * HOUR_US).collect();
    let (least, most) = (zone.plausible.0.in_unit(), zone.plausible.1.in_unit());
    for probe in &zone.probes {
        let (device, metric) = (probe.device.as_str(), probe.metric.as_str());
        for bucket in reader.buckets(device, metric, &edges, false)?.0 {
            let nth = (bucket.from_us - from_us).div_euclid(HOUR_US);
            let percent = ingest::as_moisture_percent(metric, bucket.mean);
            if nth % 24 == i64::from(hour) && bucket.n_flagged == 0 && (least..=most).contains(&percent) {
                let date = first.plus_days(i32::try_from(nth / 24).unwrap_or(i32::MAX));
                by_day.entry(date).or_default().push(percent / 100.0);
            }
        }
    }
    // As in the engine: more than half of the probes, and the middle of what they say.
    let quorum = zone.probes.len() / 2 + 1;
    Ok(by_day.into_iter().filter(|(_, values)| values.len() >= quorum).filter_map(middle).collect())
}

fn middle((date, mut values): (Date, Vec<f64>)) -> Option<(Date, f64)> {
    values.sort_by(f64::total_cmp);
    let (upper, lower) = (values.get(values.len() / 2)?, values.get((values.len() - 1) / 2)?);
    Some((date, f64::midpoint(*upper, *lower)))
}

/// Counts at the start and from time to time, and tells the hub.
///
/// # Errors
/// When the store cannot be read.
pub async fn run(
    reader: Reader,
    settings: Arc<Settings>,
    clock: Clock,
    hub: mpsc::Sender<Request>,
    mut stopping: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    if settings.balances.is_empty() {
        // An error means that the gateway is gone.
        stopping.wait_for(|stopping| *stopping).await.ok();
        return Ok(());
    }
    loop {
        if let Some(wall) = clock.wall() {
            let counted_at = clock.mono();
            let (reader, settings) = (reader.clone(), settings.clone());
            let counted = tokio::task::spawn_blocking(move || count_all(&reader, &settings, wall, None));
            let counts = counted.await.context("count what soils lack")?.context("count what soils lack")?;
            let lacks: Vec<(ZoneId, Result<Lack, &'static str>)> =
                counts.into_iter().map(|(zone, count)| (zone, count.lack)).collect();
            let age_ms = clock.mono().since_ms(counted_at).saturating_add(MARGIN_MS);
            let (answer, _) = oneshot::channel();
            let request = Request { wish: Wish::Lacks { age_ms, lacks }, by: "giot".to_owned(), answer };
            if hub.send(request).await.is_err() {
                return Ok(());
            }
        }
        tokio::select! {
            // An error means that the gateway is gone.
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
            () = tokio::time::sleep(clock.real(EVERY)) => {}
        }
    }
}
