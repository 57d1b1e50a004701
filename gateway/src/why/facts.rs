//! What the diary, the history and the engine know about a zone and a day. Reads, decides nothing.

use std::collections::BTreeSet;

use anyhow::Context;
use giot_engine::program::{Date, YEAR_MAX, YEAR_MIN};
use giot_engine::{Event, ZoneId, ZonePlan, ZoneState};
use giot_shared::time::UnixMs;

use super::{Facts, LINES_MAX, outage};
use crate::config::Settings;
use crate::ingest;
use giot_store::{DiaryEntry, DiaryFilter, DiaryRow, Reader};

/// How far back a lock is looked for, entries: a locked zone tells little.
const LOCK_ROWS_MAX: u32 = 1000;

/// Entries of the whole farm that are looked through for a day; most concern other zones.
const FARM_ROWS_MAX: u32 = 10_000;

/// Reasons of entries about the whole farm.
const FOR_ALL: [&str; 7] = [
    "stop_all",
    "rain_delay",
    "suspended",
    "water_paused",
    "pause_ended",
    "rain_delay_ended",
    "water_pause_ended",
];

const HOUR_US: i64 = 3_600_000_000;

/// The day that a person means in a field: `today`, `yesterday`, or a date such as 2026-03-01.
///
/// # Errors
/// With the field and what would be right.
pub fn day_of(field: &str, text: &str, now: UnixMs, utc_offset_min: i32) -> Result<Date, String> {
    let today = Date::of(now, utc_offset_min);
    match text {
        "today" => return Ok(today),
        "yesterday" => return Ok(today.plus_days(-1)),
        _ => {}
    }
    let mut parts = text.split('-');
    let parsed = (|| {
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        let is_plain = year.len() == 4 && month.len() == 2 && day.len() == 2 && parts.next().is_none();
        is_plain.then(|| Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)).flatten()
    })();
    parsed.ok_or_else(|| {
        format!(
            "{field}: {text:?} is no day of the years {YEAR_MIN} to {YEAR_MAX}; today, yesterday or a date such as 2026-03-01"
        )
    })
}

/// Gathers what is known. `present`: the engine's state of the zone, where there is one and the day is today.
///
/// # Errors
/// When the zone is unknown or the store cannot be read.
pub fn gather(
    reader: &Reader,
    settings: &Settings,
    zone: &ZoneId,
    day: Date,
    now: UnixMs,
    present: Option<ZoneState>,
) -> anyhow::Result<Facts> {
    let plan = settings.plan.zones.get(zone).context("no such zone")?;
    let utc_offset_min = settings.plan.utc_offset_min;
    let from_us = day.begins_at(utc_offset_min).0.saturating_mul(1000);
    let to_us = day.plus_days(1).begins_at(utc_offset_min).0.saturating_mul(1000);
    let of_zone = |from_us, to_us, limit| DiaryFilter {
        zone: Some(zone.to_string()),
        from_us,
        to_us: Some(to_us),
        limit,
        ..DiaryFilter::default()
    };
    let n_wanted = u32::try_from(LINES_MAX).unwrap_or(u32::MAX).saturating_add(1);
    let mut rows = reader.diary(&of_zone(Some(from_us), to_us, n_wanted))?;
    let is_cut = rows.len() > LINES_MAX;
    rows.truncate(LINES_MAX);
    let programs = programs_of(settings, zone);
    let has_run = rows.iter().any(|row| row.entry.run_ms.is_some_and(|run_ms| run_ms > 0));
    // Why nothing was watered is the question: a day with a run has its answer.
    let asked = if has_run { &BTreeSet::new() } else { &programs };
    let missed = outage::missed(reader, asked, &(from_us..to_us))?;
    rows.extend(farm_rows(reader, &programs, from_us, to_us)?);
    rows.sort_by_key(|row| row.id);
    let mut earlier = reader.diary(&of_zone(None, from_us, LOCK_ROWS_MAX))?.into_iter();
    let before = earlier.next().map(|row| row.entry);
    let is_empty = rows.is_empty() && before.is_none();
    let ever = DiaryFilter { to_us: Some(to_us), limit: 1, ..DiaryFilter::default() };
    let is_before_all = is_empty && reader.diary(&ever)?.is_empty();
    let is_about_lock =
        |entry: &DiaryEntry| entry.event == Event::Locked.code() || entry.event == Event::Unlocked.code();
    let lock = before.clone().into_iter().chain(earlier.map(|row| row.entry)).find(is_about_lock);
    Ok(Facts {
        zone: zone.clone(),
        day,
        utc_offset_min,
        now,
        is_automatic: plan.automatic,
        soil: plan.soil,
        rows,
        is_cut,
        before,
        lock_before: lock.filter(|entry| entry.event == Event::Locked.code()),
        missed,
        is_before_all,
        slept_until: outage::slept_until(reader, &(from_us..to_us))?,
        levels: levels(reader, plan, from_us, to_us.min(now.0.saturating_mul(1000)))?,
        present: present.filter(|_| day == Date::of(now, utc_offset_min)),
    })
}

/// The programs that water a zone.
fn programs_of(settings: &Settings, zone: &ZoneId) -> BTreeSet<String> {
    let waters = |program: &giot_engine::program::Program| {
        program.sequence.steps.iter().any(|step| step.zone == *zone)
    };
    let programs = settings.plan.programs.iter().filter(|(_, program)| waters(program));
    programs.map(|(id, _)| id.to_string()).collect()
}

/// Entries of the whole farm that concern a zone: of programs that water it, and of pauses and stops for all.
fn farm_rows(
    reader: &Reader,
    programs: &BTreeSet<String>,
    from_us: i64,
    to_us: i64,
) -> anyhow::Result<Vec<DiaryRow>> {
    let filter = DiaryFilter {
        from_us: Some(from_us),
        to_us: Some(to_us),
        limit: FARM_ROWS_MAX,
        ..DiaryFilter::default()
    };
    let concerns = |row: &DiaryRow| {
        let entry = &row.entry;
        let by_program =
            entry.by == "program" && entry.person.as_ref().is_some_and(|id| programs.contains(id));
        let args: serde_json::Value = serde_json::from_str(&entry.args).unwrap_or_default();
        let about_program =
            args.get("program").and_then(|id| id.as_str()).is_some_and(|id| programs.contains(id));
        let about_all =
            matches!(entry.by.as_str(), "person" | "engine") && FOR_ALL.contains(&entry.reason.as_str());
        entry.zone.is_none() && (by_program || about_program || about_all)
    };
    Ok(reader.diary(&filter)?.into_iter().filter(concerns).take(LINES_MAX).collect())
}

/// Lowest and highest hourly level of the zone's probes, the median of them where there are several; what no soil can
/// hold is left out.
fn levels(reader: &Reader, plan: &ZonePlan, from_us: i64, to_us: i64) -> anyhow::Result<Option<(f64, f64)>> {
    let edges: Vec<i64> = (0..=24).map(|hour| from_us + hour * HOUR_US).filter(|at| *at <= to_us).collect();
    let mut hours: std::collections::BTreeMap<i64, Vec<f64>> = std::collections::BTreeMap::new();
    let (least, most) = (plan.plausible.0.in_unit(), plan.plausible.1.in_unit());
    for probe in &plan.probes {
        let (device, metric) = (probe.device.as_str(), probe.metric.as_str());
        for bucket in reader.buckets(device, metric, &edges, false)?.0 {
            let level = ingest::as_moisture_percent(metric, bucket.mean);
            if (least..=most).contains(&level) {
                hours.entry(bucket.from_us).or_default().push(level);
            }
        }
    }
    let medians: Vec<f64> = hours.into_values().filter_map(median).collect();
    let low = medians.iter().copied().reduce(f64::min);
    Ok(low.zip(medians.iter().copied().reduce(f64::max)))
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
