//! What happened on the farm, read from the store for a rehearsal. A shell: decides nothing.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use anyhow::ensure;
use giot_engine::{Event, Now, ProbeRef, ValveRef};
use giot_shared::ids::ValveId;
use giot_shared::time::{MonoMs, UnixMs};

use super::book::RuleBook;
use super::rehearse::Happened;
use super::{Rehearsal, Rule, rehearse};
use crate::config::Settings;
use crate::ingest;
use crate::quality::Quality;
use crate::store::{DiaryFilter, Reader, ValveEventFilter};

/// Most readings of one rehearsal: a month of a hundred series a minute; about 500 MB of memory.
const READINGS_MAX: usize = 4_500_000;

/// Most valve events and diary entries.
const ROWS_MAX: u32 = 10_000;

/// Longest rehearsal, days.
pub const DAYS_MAX: u64 = 366;

/// A day before the beginning, so that a zone has its readings when the first day begins.
const BEFORE_MS: u64 = 86_400_000;

/// Rules over the history from `from` to `to`, as they would have fired.
///
/// # Errors
/// When the store cannot be read, or holds more than `READINGS_MAX` readings that the rules ask for.
pub fn rehearse_store(
    reader: &Reader,
    settings: &Settings,
    rules: &[Rule],
    (from, to): (UnixMs, UnixMs),
    each: &mut dyn FnMut(u64, u64),
) -> anyhow::Result<Rehearsal> {
    let begin = from.minus_ms(BEFORE_MS);
    let happened = gather(reader, settings, rules, begin, to)?;
    let n_happened = u64::try_from(happened.len())?;
    let mut rehearsal = rehearse(rules, &settings.plan, &happened, (begin, to), &mut |n| each(n, n_happened));
    // The day before only sets the scene.
    let n_before = rehearsal.firings.len();
    rehearsal.firings.retain(|(at, _)| *at >= from);
    rehearsal.n_firings -= u64::try_from(n_before - rehearsal.firings.len())?;
    Ok(rehearsal)
}

/// The rules to rehearse, switched on.
///
/// # Errors
/// With what there is, when there is no such rule or none at all.
pub fn chosen(settings: &Settings, only: Option<&str>) -> Result<Vec<Rule>, String> {
    if settings.rules.is_empty() {
        return Err("the configuration has no rules".to_owned());
    }
    let Some(only) = only else {
        return Ok(settings.rules.iter().filter(|rule| rule.is_enabled).cloned().collect());
    };
    let found = settings.rules.iter().find(|rule| rule.id.as_str() == only).cloned();
    let found = found.ok_or_else(|| {
        let ids = settings.rules.iter().map(|rule| rule.id.as_str());
        format!("there is no rule \"{only}\"{}", super::did_you_mean(only, ids))
    })?;
    Ok(vec![Rule { is_enabled: true, ..found }])
}

fn gather(
    reader: &Reader,
    settings: &Settings,
    rules: &[Rule],
    from: UnixMs,
    to: UnixMs,
) -> anyhow::Result<Vec<(UnixMs, Happened)>> {
    let now = Now { mono: MonoMs(0), wall: Some(from) };
    let book = RuleBook::new(rules, &std::collections::BTreeMap::new(), settings.plan.utc_offset_min, now);
    let zones: Vec<_> = book.zones().cloned().collect();
    let plans = zones.iter().filter_map(|zone| settings.plan.zones.get(zone));
    let mut series: BTreeSet<ProbeRef> = plans.clone().flat_map(|plan| plan.probes.clone()).collect();
    for (device, metric) in book.series() {
        series.insert(ProbeRef { device: device.parse()?, metric: metric.parse()? });
    }
    let range_us = from.0.saturating_mul(1000)..to.0.saturating_mul(1000);
    let mut happened: Vec<(UnixMs, Happened)> = Vec::new();
    for series in &series {
        let (device, metric) = (series.device.as_str(), series.metric.as_str());
        reader.samples(device, metric, range_us.clone(), &mut |sample| {
            let good = sample.value.filter(|_| Quality::from_byte(sample.quality) == Quality::Good);
            let percent = good.map(|value| ingest::as_moisture_percent(metric, value));
            let reading = Happened::Reading { series: series.clone(), value: good, percent };
            happened.push((UnixMs(sample.at_us.div_euclid(1000)), reading));
            if happened.len() > READINGS_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        ensure!(
            happened.len() <= READINGS_MAX,
            "more than {READINGS_MAX} readings: rehearse fewer days, or one rule at a time"
        );
    }
    for plan in plans {
        let filter = ValveEventFilter {
            node: Some(plan.valve.node.to_string()),
            valve: Some(plan.valve.valve.0),
            from_us: Some(range_us.start),
            to_us: Some(range_us.end),
            limit: ROWS_MAX,
        };
        for event in reader.valve_events(&filter)? {
            let valve = ValveRef { node: event.node.parse()?, valve: ValveId(event.valve) };
            let at = UnixMs(event.at_us.div_euclid(1000));
            happened.push((at, Happened::Valve { valve, open: event.open }));
        }
    }
    for zone in zones {
        let filter = DiaryFilter {
            zone: Some(zone.to_string()),
            from_us: Some(range_us.start),
            to_us: Some(range_us.end),
            limit: ROWS_MAX,
            ..DiaryFilter::default()
        };
        for row in reader.diary(&filter)? {
            let at = UnixMs(row.entry.at_us.unwrap_or(row.entry.recorded_us).div_euclid(1000));
            let zone = zone.clone();
            let what = match Event::from_code(&row.entry.event) {
                Some(Event::Locked) => Happened::Lock { zone, locked: true },
                Some(Event::Unlocked) => Happened::Lock { zone, locked: false },
                Some(Event::Fault) => Happened::Fault { zone, fault: true },
                Some(Event::Cleared) => Happened::Fault { zone, fault: false },
                Some(_) | None => continue,
            };
            happened.push((at, what));
        }
    }
    // Stable: what the store has first comes first, and the series in the order of their names.
    happened.sort_by_key(|(at, _)| *at);
    Ok(happened)
}

/// `36h` or `7d` in milliseconds.
///
/// # Errors
/// With what would be right.
pub fn parse_span_ms(text: &str) -> Result<u64, String> {
    let wrong = || format!("a number of hours or days, as 36h or 7d; at most {DAYS_MAX}d");
    let (number, hours) = match (text.strip_suffix('h'), text.strip_suffix('d')) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 24),
        (None, None) => return Err(wrong()),
    };
    let hours = number.parse::<u64>().ok().and_then(|number| number.checked_mul(hours));
    let hours = hours.filter(|hours| (1..=DAYS_MAX * 24).contains(hours)).ok_or_else(wrong)?;
    Ok(hours * 3_600_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        assert_eq!(parse_span_ms("36h"), Ok(36 * 3_600_000));
        assert_eq!(parse_span_ms("7d"), Ok(7 * 86_400_000));
        for bad in ["", "7", "0d", "367d", "-1d", "d", "99999999999999999999h", "768614336404564651d"] {
            assert!(parse_span_ms(bad).is_err(), "{bad}");
        }
    }
}
