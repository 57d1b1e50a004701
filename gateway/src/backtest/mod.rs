//! What a program would have done with a zone over a stored history: the engine that waters the farm, fed with what was measured.
//!
//! | module | holds |
//! |---|---|
//! | `play` | the zone, the engine and a node that obeys, pure |
//! | `bucket` | how the soil answers to water, learned from the history, pure |
//! | `stress` | below which level plants suffer, whatever is tried |
//!
//! Two trials: with the soil as it was read (what the engine would have decided at each moment), and with the soil that the trial's
//! own water would have made. Nothing is watered, nothing is written. What is not simulated is said ([`Report::assumed`]).

mod bucket;
mod json;
mod play;
mod stress;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use anyhow::Context;
use giot_engine::program::Date;
use giot_engine::{Level, ProbeRef, ProgramId, ZoneId, ZonePlan};
use giot_shared::time::UnixMs;
use giot_shared::units::LitresPerHour;

pub use bucket::{Bucket, Difference, Hour};
pub use json::to_json;
pub use play::{History, Run, Skips, Trial, play, reduced};
pub use stress::{Stress, StressFrom};

use crate::balance;
use crate::config::{Settings, to_milli};
use crate::ingest;
use crate::quality::Quality;
use giot_store::Reader;

/// Longest backtest, days.
pub const DAYS_MAX: i32 = 366;
/// Most readings of one: a year of four probes a minute and some gauges, about 100 MB of memory.
const READINGS_MAX: usize = 3_000_000;
/// Thousands of the diary's entries at most.
const PAGES_MAX: u32 = 100;
/// A zone whose flow is not known is taken to give this: then only times count.
const FLOW_UNKNOWN: LitresPerHour = LitresPerHour(1000);

const HOUR_US: i64 = 3_600_000_000;

/// What happened or would have, in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sum {
    /// Runs.
    pub n_runs: usize,
    /// All of them, seconds.
    pub run_s: u64,
    /// Water, ml.
    pub ml: u64,
    /// Days on which plants suffered by the soil's mean ([`Report::stress`]); `None`: nothing was read, or nobody knows when they do.
    pub stress_days: Option<usize>,
    /// Thresholds started runs, and none of them ended because the soil was wet enough.
    pub stop_never_reached: bool,
}

/// A day beside itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DayRow {
    /// The day.
    pub date: Date,
    /// Water that was given, ml.
    pub really_ml: u64,
    /// Water of the trial with the soil as it was read.
    pub open_ml: u64,
    /// Water of the trial with its own soil.
    pub closed_ml: Option<u64>,
    /// Mean level that was read, in the unit of the probes.
    pub really_level: Option<f64>,
    /// Mean level of the trial with its own soil.
    pub closed_level: Option<f64>,
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What happened.
    pub really: Sum,
    /// With the soil as it was read.
    pub open: Sum,
    /// With the soil that the trial's water would have made.
    pub closed: Option<Sum>,
    /// How that soil answers, or the code of why it is not modelled.
    pub bucket: Result<Bucket, &'static str>,
    /// When plants suffer: the same for every setting that is tried.
    pub stress: Option<Stress>,
    /// Why nothing was given, by code, of the trial with its own soil if there is one.
    pub skips: BTreeMap<&'static str, Skips>,
    /// Day by day.
    pub days: Vec<DayRow>,
    /// What was assumed.
    pub assumed: Vec<&'static str>,
    /// Readings that were played.
    pub n_readings: usize,
}

/// Why what was asked for cannot be played, in words; whoever asks otherwise may have an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unplayable(pub String);

/// Plays a zone over the days from `first` to `last`, both included. `in_force`: the settings that water the farm, by which trials of
/// others are judged where the soil is not known. `each` hears how far it is, of 1000.
///
/// # Errors
/// When the store cannot be read; [`Unplayable`] where it holds nothing to play, or more readings than can be played at once.
pub fn backtest(
    reader: &Reader,
    (settings, in_force): (&Settings, Option<&Settings>),
    zone: &ZoneId,
    program: Option<&ProgramId>,
    (first, last): (Date, Date),
    each: &mut dyn FnMut(u64),
) -> anyhow::Result<Report> {
    let plan = reduced(&settings.plan, zone, program);
    let of_zone = plan.zones.get(zone).context("no such zone")?;
    let utc_offset_min = plan.utc_offset_min;
    let (from, to) = (first.begins_at(utc_offset_min), last.plus_days(1).begins_at(utc_offset_min));
    let history = gather(reader, settings, zone, of_zone, (first, last))?;
    let n_readings = history.readings.len();
    let has_weather = |(_, facts): &(_, balance::Facts)| facts.days.range(first..=last).next().is_some();
    let is_read = n_readings > 0 || history.balance.as_ref().is_some_and(has_weather);
    // What programs give by the calendar needs no reading.
    if !is_read && plan.programs.is_empty() {
        let (first, last) = (iso(first), iso(last));
        let what = "take days of the history, or a program that waters it";
        let why = format!("nothing was read of zone {zone} between {first} and {last}: {what}");
        return Err(Unplayable(why).into());
    }
    let mut assumed = vec!["node_obeys", "pipes_free"];
    if !is_read {
        assumed.push("nothing_read");
    }
    let flow = of_zone.flow.or_else(|| measured_flow(&history.runs)).unwrap_or_else(|| {
        assumed.push("flow_unknown");
        FLOW_UNKNOWN
    });
    let rain = settings.plan.guards.rain.as_ref().map(|rain| &rain.gauge);
    let hours = hours(&history, of_zone, rain, first, (from, to));
    let stress = Stress::of(settings, in_force, zone);
    assumed.push(stress.map_or("stress_unknown", |stress| stress.from.code()));
    let bucket = if of_zone.soil.is_tension() {
        Err("tension")
    } else {
        let field_capacity = settings.soils.get(zone).map(|held| held.field_capacity.percent());
        Bucket::learn(&hours, stress.as_ref(), field_capacity, mm_per_m3(of_zone, &history))
    };
    let span = to.since_ms(from).max(1);
    let n_trials = if bucket.is_ok() { 2 } else { 1 };
    let mut part = |trial: u64, at: UnixMs| each((at.since_ms(from) * 1000 / span + trial * 1000) / n_trials);
    let open = play(&plan, &history, (from, to), flow, None, &mut |at| part(0, at));
    let closed = bucket
        .ok()
        .map(|bucket| play(&plan, &history, (from, to), flow, Some(&bucket), &mut |at| part(1, at)));
    if closed.is_some() {
        assumed.push("soil_linear");
        if bucket.is_ok_and(|bucket| bucket.is_by_rain) {
            assumed.push("soil_by_rain");
        }
    }
    let told = closed.as_ref().unwrap_or(&open);
    if told.stop_never_reached() {
        assumed.push("stop_never_reached");
    }
    if history.runs.iter().any(|run| run.ml == 0) {
        assumed.push("litres_missing");
    }
    let within: Vec<Run> =
        history.runs.iter().filter(|run| run.from >= from && run.from < to).copied().collect();
    let days = days(&within, &open, closed.as_ref(), (first, last), utc_offset_min);
    let of_trial = |trial: &Trial, levels: &BTreeMap<Date, f64>| Sum {
        stop_never_reached: trial.stop_never_reached(),
        ..sum(&trial.runs, levels, stress.as_ref())
    };
    Ok(Report {
        really: sum(&within, &open.levels, stress.as_ref()),
        // The soil as it was read does not know the trial's water.
        open: of_trial(&open, &BTreeMap::new()),
        closed: closed.as_ref().map(|closed| of_trial(closed, &closed.levels)),
        bucket,
        stress,
        skips: told.skips.clone(),
        days,
        assumed,
        n_readings,
    })
}

fn sum(runs: &[Run], levels: &BTreeMap<Date, f64>, stress: Option<&Stress>) -> Sum {
    let stress = stress.filter(|_| !levels.is_empty());
    Sum {
        n_runs: runs.len(),
        run_s: runs.iter().map(|run| run.to.since_ms(run.from)).sum::<u64>() / 1000,
        ml: runs.iter().map(|run| run.ml).sum(),
        stress_days: stress.map(|stress| levels.values().filter(|level| stress.is_at(**level)).count()),
        stop_never_reached: false,
    }
}

fn days(
    really: &[Run],
    open: &Trial,
    closed: Option<&Trial>,
    (first, last): (Date, Date),
    utc_offset_min: i32,
) -> Vec<DayRow> {
    let on = |runs: &[Run], date: Date| {
        let runs = runs.iter().filter(|run| Date::of(run.from, utc_offset_min) == date);
        runs.map(|run| run.ml).sum()
    };
    let row = |nth| {
        let date = first.plus_days(nth);
        DayRow {
            date,
            really_ml: on(really, date),
            open_ml: on(&open.runs, date),
            closed_ml: closed.map(|closed| on(&closed.runs, date)),
            really_level: open.levels.get(&date).copied(),
            closed_level: closed.and_then(|closed| closed.levels.get(&date).copied()),
        }
    };
    (0..=last.days_since(first)).map(row).collect()
}

/// A day as 2026-03-01.
fn iso(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
}

/// What the zone gave by its meter while it was open.
fn measured_flow(runs: &[Run]) -> Option<LitresPerHour> {
    let measured: Vec<&Run> = runs.iter().filter(|run| run.ml > 0).collect();
    let run_ms: u64 = measured.iter().map(|run| run.to.since_ms(run.from)).sum();
    let ml: u64 = measured.iter().map(|run| run.ml).sum();
    let l_h = ml.saturating_mul(3600).checked_div(run_ms)?;
    u32::try_from(l_h).ok().filter(|l_h| *l_h > 0).map(LitresPerHour)
}

fn gather(
    reader: &Reader,
    settings: &Settings,
    id: &ZoneId,
    zone: &ZonePlan,
    (first, last): (Date, Date),
) -> anyhow::Result<History> {
    let utc_offset_min = settings.plan.utc_offset_min;
    let (from, to) = (first.begins_at(utc_offset_min), last.plus_days(1).begins_at(utc_offset_min));
    let range_us = from.0.saturating_mul(1000)..to.0.saturating_mul(1000);
    let mut history = History::default();
    for (idx, probe) in zone.probes.iter().enumerate() {
        let (device, metric) = (probe.device.as_str(), probe.metric.as_str());
        reader.samples(device, metric, range_us.clone(), &mut |sample| {
            let good = sample.value.filter(|_| Quality::from_byte(sample.quality) == Quality::Good);
            let level = good.and_then(|value| Level::from_unit(ingest::as_moisture_percent(metric, value)));
            history.readings.push((UnixMs(sample.at_us.div_euclid(1000)), idx, level));
            if history.readings.len() > READINGS_MAX {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
    }
    let guards = &settings.plan.guards;
    let gauges = [
        guards.rain.as_ref().map(|rain| &rain.gauge),
        guards.rain_contact.as_ref().map(|contact| &contact.gauge),
        guards.soil_contact.as_ref().map(|contact| &contact.gauge),
        guards.frost.as_ref().map(|frost| &frost.gauge),
    ];
    for gauge in gauges.into_iter().flatten() {
        let gauge: &ProbeRef = gauge;
        reader.samples(gauge.device.as_str(), gauge.metric.as_str(), range_us.clone(), &mut |sample| {
            let good = sample.value.filter(|_| Quality::from_byte(sample.quality) == Quality::Good);
            let at = UnixMs(sample.at_us.div_euclid(1000));
            history.gauges.push((at, gauge.clone(), good.and_then(to_milli)));
            if history.gauges.len() > READINGS_MAX {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
    }
    if history.readings.len() > READINGS_MAX || history.gauges.len() > READINGS_MAX {
        return Err(Unplayable(format!("more than {READINGS_MAX} readings: take fewer days")).into());
    }
    history.readings.sort_by_key(|(at, idx, _)| (*at, *idx));
    history.gauges.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    // A day more before: its water is still on its way to the probes.
    history.runs = runs(reader, id, zone, from.minus_ms(86_400_000), to)?;
    history.balance = balance::facts(reader, settings, id, last)?;
    Ok(history)
}

/// Runs as nodes measured them, oldest first.
fn runs(reader: &Reader, id: &ZoneId, zone: &ZonePlan, from: UnixMs, to: UnixMs) -> anyhow::Result<Vec<Run>> {
    let watered = balance::watered(reader, id, zone, (from, Some(to)), PAGES_MAX)?;
    let run = |watered: balance::Watered| {
        let (to, ml) = (watered.at, watered.ml.unwrap_or(0));
        Some(Run { from: to.minus_ms(watered.run_ms?), to, ml })
    };
    let mut runs: Vec<Run> = watered.into_iter().filter_map(run).collect();
    runs.sort_by_key(|run| run.from);
    Ok(runs)
}

/// What a cubic metre is on the ground that it wets, mm; `None`: nobody knows how much ground that is.
fn mm_per_m3(zone: &ZonePlan, history: &History) -> Option<f64> {
    let (area_dm2, wetted) = match &history.balance {
        Some((balance, _)) => (balance.area_dm2, balance.wetted),
        None => (zone.area_dm2?, 1.0),
    };
    let wetted_m2 = f64::from(area_dm2) / 100.0 * wetted;
    (wetted_m2 > 0.0).then(|| 1000.0 / wetted_m2)
}

/// The history by the hour, for the bucket; rain is that of the zone's balance, or of the gauge that holds water back.
#[expect(clippy::cast_precision_loss, reason = "volumes of an hour are far below 2^53 ml")]
fn hours(
    history: &History,
    zone: &ZonePlan,
    rain: Option<&ProbeRef>,
    first: Date,
    (from, to): (UnixMs, UnixMs),
) -> Vec<Hour> {
    let n_hours = to.since_ms(from) / 3_600_000;
    let mut hours = vec![Hour::default(); usize::try_from(n_hours).unwrap_or(0)];
    let mut sums: Vec<BTreeMap<usize, (f64, u32)>> = vec![BTreeMap::new(); hours.len()];
    let place = |at: UnixMs| usize::try_from((at.0 - from.0).div_euclid(HOUR_US / 1000)).ok();
    for (at, probe_idx, level) in &history.readings {
        let good = level.filter(|level| (zone.plausible.0..=zone.plausible.1).contains(level));
        if let (Some(level), Some(sums)) = (good, place(*at).and_then(|idx| sums.get_mut(idx))) {
            let sum = sums.entry(*probe_idx).or_default();
            *sum = (sum.0 + level.in_unit(), sum.1 + 1);
        }
    }
    for (hour, sums) in hours.iter_mut().zip(&sums) {
        // Hours with all probes only: one that is missing would look like a change.
        if !sums.is_empty() && sums.len() == zone.probes.len() {
            let means = sums.values().map(|(sum, n)| sum / f64::from(*n));
            hour.level = Some(means.sum::<f64>() / sums.len() as f64);
        }
    }
    for run in &history.runs {
        let whole_ms = run.to.since_ms(run.from).max(1);
        for idx in place(run.from).into_iter().flat_map(|first| first..=place(run.to).unwrap_or(first)) {
            let begin = from.plus_ms(u64::try_from(idx).unwrap_or(0) * 3_600_000);
            let part_ms = run.to.min(begin.plus_ms(3_600_000)).since_ms(run.from.max(begin));
            if let Some(hour) = hours.get_mut(idx) {
                hour.m3 += run.ml as f64 / 1e6 * part_ms as f64 / whole_ms as f64;
            }
        }
    }
    if let Some((_, facts)) = &history.balance {
        for (nth, hour) in hours.iter_mut().enumerate() {
            let date = first.plus_days(i32::try_from(nth / 24).unwrap_or(i32::MAX));
            let rain = facts.days.get(&date).and_then(|day| day.rain_mm.get(nth % 24).copied().flatten());
            hour.rain_mm = rain.unwrap_or(0.0);
        }
    } else {
        for (at, _, milli) in history.gauges.iter().filter(|(_, gauge, _)| Some(gauge) == rain) {
            if let Some(hour) = place(*at).and_then(|idx| hours.get_mut(idx)) {
                hour.rain_mm += milli.unwrap_or(0).max(0) as f64 / 1000.0;
            }
        }
    }
    hours
}

#[cfg(test)]
mod tests;
