//! What happened on the farm, read from the store for a rehearsal. A shell: decides nothing.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

use anyhow::ensure;
use giot_engine::{Event, Now, ProbeRef, ValveRef, ZoneId};
use giot_shared::ids::ValveId;
use giot_shared::time::{MonoMs, UnixMs};

use super::book::RuleBook;
use super::rehearse::{Happened, Stage};
use super::{Rehearsal, Rule};
use crate::config::Settings;
use crate::ingest;
use crate::quality::Quality;
use crate::why::day_of;
use giot_store::{DiaryFilter, Reader, ValveEventFilter};

/// Readings that are in memory at once: those of [`PIECE_MS`] of a hundred series ten times a minute; about 50 MB.
const PIECE_MAX: usize = 360_000;

/// So much of the history is read at a time.
const PIECE_MS: u64 = 6 * 3_600_000;

/// Most readings of one rehearsal over HTTP: a month of a hundred series a minute, some seconds of work.
pub const READINGS_MAX: u64 = 4_500_000;

/// Most readings of one on the command line, which shows how far it is: a year of a hundred series twice a minute.
pub const READINGS_MAX_AT_LENGTH: u64 = 100_000_000;

/// Most valve events and diary entries in that time.
const ROWS_MAX: u32 = 10_000;

/// Longest rehearsal, days.
pub const DAYS_MAX: u64 = 366;

/// A day before the beginning, so that a zone has its readings when the first day begins.
const BEFORE_MS: u64 = 86_400_000;

/// Rules over the history from `from` to `to`, as they would have fired. Memory does not grow with the time. `each` hears how far it is,
/// of 1000.
///
/// # Errors
/// When the store cannot be read, or holds more than `readings_max` readings that the rules ask for.
pub fn rehearse_store(
    reader: &Reader,
    settings: &Settings,
    rules: &[Rule],
    (from, to): (UnixMs, UnixMs),
    readings_max: u64,
    each: &mut dyn FnMut(u64),
) -> anyhow::Result<Rehearsal> {
    let begin = from.minus_ms(BEFORE_MS);
    let sources = Sources::of(settings, rules, begin)?;
    let mut stage = Stage::new(rules, &settings.plan, begin);
    let (mut at, mut n_readings) = (begin, 0);
    while at < to {
        let until = at.plus_ms(PIECE_MS).min(to);
        let happened = sources.read(reader, settings, at, until)?;
        n_readings += u64::try_from(happened.len())?;
        ensure!(
            n_readings <= readings_max,
            "more than {readings_max} readings: rehearse fewer days, or one rule at a time"
        );
        happened.iter().for_each(|(at, what)| stage.play(*at, what));
        at = until;
        each(at.since_ms(begin) * 1000 / to.since_ms(begin).max(1));
    }
    Ok(stage.end(from, to))
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

/// What rules read.
struct Sources {
    zones: Vec<ZoneId>,
    series: BTreeSet<ProbeRef>,
}

impl Sources {
    fn of(settings: &Settings, rules: &[Rule], from: UnixMs) -> anyhow::Result<Self> {
        let now = Now { mono: MonoMs(0), wall: Some(from) };
        let book =
            RuleBook::new(rules, &std::collections::BTreeMap::new(), settings.plan.utc_offset_min, now);
        let zones: Vec<ZoneId> = book.zones().cloned().collect();
        let plans = zones.iter().filter_map(|zone| settings.plan.zones.get(zone));
        let mut series: BTreeSet<ProbeRef> = plans.flat_map(|plan| plan.probes.clone()).collect();
        for (device, metric) in book.series() {
            series.insert(ProbeRef { device: device.parse()?, metric: metric.parse()? });
        }
        Ok(Self { zones, series })
    }

    /// What happened from `from` until before `to`, in the order of time.
    fn read(
        &self,
        reader: &Reader,
        settings: &Settings,
        from: UnixMs,
        to: UnixMs,
    ) -> anyhow::Result<Vec<(UnixMs, Happened)>> {
        let range_us = from.0.saturating_mul(1000)..to.0.saturating_mul(1000);
        let mut happened: Vec<(UnixMs, Happened)> = Vec::new();
        for series in &self.series {
            let (device, metric) = (series.device.as_str(), series.metric.as_str());
            reader.samples(device, metric, range_us.clone(), &mut |sample| {
                let good = sample.value.filter(|_| Quality::from_byte(sample.quality) == Quality::Good);
                let percent = good.map(|value| ingest::as_moisture_percent(metric, value));
                let reading = Happened::Reading { series: series.clone(), value: good, percent };
                happened.push((UnixMs(sample.at_us.div_euclid(1000)), reading));
                if happened.len() > PIECE_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            ensure!(
                happened.len() <= PIECE_MAX,
                "more than {PIECE_MAX} readings in six hours: rehearse one rule at a time"
            );
        }
        self.switched(reader, settings, &range_us, &mut happened)?;
        // Stable: what the store has first comes first, and the series in the order of their names.
        happened.sort_by_key(|(at, _)| *at);
        Ok(happened)
    }

    /// What happened to valves and zones.
    fn switched(
        &self,
        reader: &Reader,
        settings: &Settings,
        range_us: &Range<i64>,
        happened: &mut Vec<(UnixMs, Happened)>,
    ) -> anyhow::Result<()> {
        for plan in self.zones.iter().filter_map(|zone| settings.plan.zones.get(zone)) {
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
        for zone in &self.zones {
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
        Ok(())
    }
}

/// The days that are rehearsed: from a day to another, by the farm's clock and never beyond `now`, or else the last `last_ms`.
///
/// # Errors
/// With what would be right.
pub fn span_of(
    days: Option<(&str, &str)>,
    last_ms: u64,
    now: UnixMs,
    utc_offset_min: i32,
) -> Result<(UnixMs, UnixMs), String> {
    let Some((from, to)) = days else { return Ok((now.minus_ms(last_ms), now)) };
    let day = |field: &str, text: &str| day_of(field, text, now, utc_offset_min);
    let (first, last) = (day("from", from)?, day("to", to)?);
    let from = first.begins_at(utc_offset_min);
    if first > last || from >= now {
        return Err("from, to: from the earlier day to the later, and not from a day to come".to_owned());
    }
    Ok((from, last.plus_days(1).begins_at(utc_offset_min).min(now)))
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
    use crate::config::compile;
    use crate::rules::rehearse;
    use giot_store::{Batch, DeviceSamples, MetricSample, Store, StoreOptions};

    async fn write(store: &Store, series: &ProbeRef, readings: &[(UnixMs, f64)]) {
        let row = |(at, value): &(UnixMs, f64)| MetricSample {
            metric: series.metric.as_str().into(),
            at_us: at.0 * 1000,
            value: Some(*value),
            quality: Quality::Good.byte(),
        };
        let samples = readings.iter().map(row).collect();
        let samples = vec![DeviceSamples { device: series.device.as_str().into(), samples }];
        store.writer().commit(Batch { samples, ..Batch::default() }).await.unwrap();
    }

    #[test]
    fn days_of_a_past_season_can_be_named() {
        let now = UnixMs(1_790_000_000_000);
        let of = |from, to| span_of(Some((from, to)), 0, now, 420);
        let day = |text| day_of("from", text, now, 420).unwrap().begins_at(420);
        assert_eq!(of("2022-06-01", "2022-08-31"), Ok((day("2022-06-01"), day("2022-09-01"))));
        assert_eq!(
            of("yesterday", "today"),
            Ok((day("yesterday"), now)),
            "nothing is rehearsed that is to come"
        );
        assert_eq!(span_of(None, 3_600_000, now, 420), Ok((now.minus_ms(3_600_000), now)));
        for (from, to) in [("2022-06-02", "2022-06-01"), ("2099-01-01", "2099-01-02"), ("1 June", "today")] {
            assert!(of(from, to).is_err(), "{from} {to}");
        }
    }

    const FARM: &str = r#"
[weather]
air_c = "tram/air_temperature"
[[rule]]
id = "hot"
when = "weather.air_c > 35"
cooldown_min = 1
then = [{ notify = "hot" }]
"#;

    /// Pieces are no more than a way to read: a rule that waits across their edge fires as over the whole, and too much is refused.
    #[tokio::test]
    async fn a_long_history_is_played_piece_by_piece() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_with(dir.path(), &StoreOptions::default()).unwrap();
        let begin = UnixMs(1_780_000_000_000);
        let series = ProbeRef { device: "tram".parse().unwrap(), metric: "air_temperature".parse().unwrap() };
        // 36 °C for an hour out of each five: across the edges of pieces, wherever they are.
        let value = |minute: u64| if minute % 300 < 60 { 36.0 } else { 30.0 };
        let minutes = (0..3 * 1440).step_by(5);
        let readings: Vec<_> =
            minutes.clone().map(|minute| (begin.plus_ms(minute * 60_000), value(minute))).collect();
        write(&store, &series, &readings).await;
        let settings = compile("farm.toml", FARM).unwrap();
        let span = (begin.plus_ms(BEFORE_MS), begin.plus_ms(3 * 86_400_000));
        let play = |max| rehearse_store(&store.reader(), &settings, &settings.rules, span, max, &mut |_| {});
        let found = play(READINGS_MAX).unwrap();
        let whole: Vec<_> = readings
            .iter()
            .map(|(at, value)| {
                let reading =
                    Happened::Reading { series: series.clone(), value: Some(*value), percent: Some(*value) };
                (*at, reading)
            })
            .collect();
        let at_once = rehearse(&settings.rules, &settings.plan, &whole, (begin, span.1));
        let wanted: Vec<_> = at_once.firings.into_iter().filter(|(at, _)| *at >= span.0).collect();
        assert!(found.firings == wanted && wanted.len() >= 8, "{found:?} {wanted:?}");
        assert_eq!(found.n_happened, u64::try_from(readings.len()).unwrap());
        let refused = play(500).unwrap_err().to_string();
        assert!(refused.contains("more than 500 readings"), "{refused}");
    }

    #[test]
    fn spans_are_read() {
        assert_eq!(parse_span_ms("36h"), Ok(36 * 3_600_000));
        assert_eq!(parse_span_ms("7d"), Ok(7 * 86_400_000));
        for bad in ["", "7", "0d", "367d", "-1d", "d", "99999999999999999999h", "768614336404564651d"] {
            assert!(parse_span_ms(bad).is_err(), "{bad}");
        }
    }
}
