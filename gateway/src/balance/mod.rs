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
use crate::hub::view::FarmView;
use crate::hub::{Request, Wish};
use crate::ingest;
use giot_store::{DiaryFilter, Reader};

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
    let days = match (&settings.station, first) {
        (Some(station), Some(first)) => days(reader, station, first, today, utc_offset_min)?,
        _ => BTreeMap::new(),
    };
    let mut facts = Facts { days, ..Facts::default() };
    let mut counts = BTreeMap::new();
    for (id, plan) in wanted() {
        let Some(zone) = settings.plan.zones.get(id) else { continue };
        (facts.given, facts.contents) = water_of(reader, id, zone, plan, today, utc_offset_min)?;
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
    let days = match &settings.station {
        Some(station) => days(reader, station, plan.first_day(last), last, utc_offset_min)?,
        None => BTreeMap::new(),
    };
    let (given, contents) = water_of(reader, id, zone, plan, last, utc_offset_min)?;
    Ok(Some((plan.clone(), Facts { days, given, contents })))
}

/// What a zone was given in the season up to the end of a day, and what its probes said of it.
fn water_of(
    reader: &Reader,
    id: &ZoneId,
    zone: &ZonePlan,
    plan: &BalancePlan,
    last: Date,
    utc_offset_min: i32,
) -> anyhow::Result<(Vec<Given>, BTreeMap<Date, f64>)> {
    let first = plan.first_day(last);
    let given = given(reader, id, zone, first.begins_at(utc_offset_min))?;
    Ok((given, contents(reader, zone, plan, first, last, utc_offset_min)?))
}

/// What a zone was given since a moment, oldest first.
fn given(reader: &Reader, id: &ZoneId, zone: &ZonePlan, from: UnixMs) -> anyhow::Result<Vec<Given>> {
    let told = watered(reader, id, zone, (from, None), PAGES_MAX)?;
    let given = told.into_iter().filter_map(|told| Some(Given { at: told.at, ml: told.ml? }));
    Ok(given.filter(|given| given.ml > 0).collect())
}

/// Water of a zone as its diary has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Watered {
    /// When it was told: the end of a run.
    pub at: UnixMs,
    /// How long it flowed, ms.
    pub run_ms: Option<u64>,
    /// What was measured, or else what the plan's flow gives in that time, ml.
    pub ml: Option<u64>,
}

/// What nodes measured and people told of a zone's water from a moment to another, oldest first; of the newest
/// `pages_max` thousand entries.
///
/// # Errors
/// When the store cannot be read.
pub fn watered(
    reader: &Reader,
    id: &ZoneId,
    zone: &ZonePlan,
    (from, to): (UnixMs, Option<UnixMs>),
    pages_max: u32,
) -> anyhow::Result<Vec<Watered>> {
    let mut filter = DiaryFilter {
        zone: Some(id.to_string()),
        from_us: Some(from.0.saturating_mul(1000)),
        to_us: to.map(|to| to.0.saturating_mul(1000)),
        limit: PAGE,
        ..DiaryFilter::default()
    };
    let mut watered = Vec::new();
    for _ in 0..pages_max {
        let rows = reader.diary(&filter)?;
        filter.before_id = rows.iter().map(|row| row.id).min();
        let n_rows = rows.len();
        for entry in rows.into_iter().map(|row| row.entry) {
            let run_ms = entry.run_ms.filter(|run_ms| *run_ms > 0);
            let by_flow = || Some(u64::from(zone.flow?.volume_in_ms(run_ms?).0));
            let ml = entry.volume_ml.or_else(by_flow);
            if run_ms.is_some() || ml.is_some() {
                let at = UnixMs(entry.at_us.unwrap_or(entry.recorded_us).div_euclid(1000));
                watered.push(Watered { at, run_ms, ml });
            }
        }
        if n_rows < usize::try_from(PAGE).unwrap_or(usize::MAX) {
            break;
        }
    }
    watered.sort_by_key(|watered| watered.at);
    Ok(watered)
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

/// Counts at the start, from time to time and when the farm is changed, and tells the hub.
///
/// # Errors
/// When the store cannot be read.
pub async fn run(
    reader: Reader,
    mut view: watch::Receiver<Arc<FarmView>>,
    clock: Clock,
    hub: mpsc::Sender<Request>,
    mut stopping: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    loop {
        let settings = view.borrow_and_update().settings.clone();
        if let Some(wall) = clock.wall().filter(|_| !settings.balances.is_empty()) {
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
            _ = view.wait_for(|seen| !Arc::ptr_eq(&seen.settings, &settings)) => {}
            () = tokio::time::sleep(clock.real(EVERY)) => {}
        }
    }
}
