//! What a day lost while the gateway was off: the diary has it on the day of the restart. Reads, decides nothing.
//!
//! A start that was missed is told when the gateway is back, and how late tells when it was due ([`Missed`]). A day of which
//! nothing at all was kept, and after which a restart comes first, was most likely slept through ([`slept_until`]).

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

use giot_engine::Event;
use giot_engine::program::MISSED_DAYS_MAX;
use giot_shared::time::UnixMs;
use serde_json::{Map, Value};

use super::LINES_MAX;
use giot_store::{DiaryEntry, DiaryFilter, ReadError, Reader};

/// Code of the reason of a start that was missed.
const MISSED: &str = "missed_start";

/// Reasons that only a start of the gateway gives.
const OF_A_RESTART: [&str; 3] = [MISSED, "gateway_restarted", "valve_unknown"];

/// How long after the first entry of a restart its others are still looked at: nodes are heard within minutes.
const RESTART_US: i64 = 3600 * 1_000_000;

/// Skips after a day that are looked through: a restart tells the starts of a week at once, and zones every hour that nothing
/// waters them.
const SKIPS_MAX: u32 = 10_000;

/// Entries of a restart that are looked through.
const ROWS_OF_RESTART_MAX: u32 = 1_000;

const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// A start that did not take place because nobody was there to decide about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The program.
    pub program: String,
    /// When it was due.
    pub due: UnixMs,
    /// When the diary got it.
    pub told: UnixMs,
    /// What the diary has.
    pub args: Map<String, Value>,
}

impl Missed {
    /// What an entry says of a missed start; `None` for other entries.
    #[must_use]
    pub fn of_entry(entry: &DiaryEntry) -> Option<Self> {
        let program = entry.person.clone().filter(|_| entry.reason == MISSED && entry.by == "program")?;
        let told = UnixMs(entry.at_us?.div_euclid(1000));
        let args: Map<String, Value> = serde_json::from_str(&entry.args).ok()?;
        let late_ms = args.get("late_s")?.as_u64()?.checked_mul(1000)?;
        // How late it is was cut to whole seconds, on which starts lie.
        let due = told.minus_ms(late_ms);
        let due = UnixMs(due.0.saturating_sub(due.0.rem_euclid(1000)));
        Some(Self { program, due, told, args })
    }

    /// Whether it was due in a span of time.
    #[must_use]
    pub fn is_within(&self, span_us: &Range<i64>) -> bool {
        span_us.contains(&self.due.0.saturating_mul(1000))
    }
}

/// The starts of these programs that were due in a day and missed, in the order in which they were due.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn missed(
    reader: &Reader,
    programs: &BTreeSet<String>,
    day_us: &Range<i64>,
) -> Result<Vec<Missed>, ReadError> {
    if programs.is_empty() {
        return Ok(Vec::new());
    }
    // Older starts are not told one by one.
    let told_until_us = day_us.end.saturating_add(DAY_US.saturating_mul(i64::from(MISSED_DAYS_MAX)));
    let skips = DiaryFilter {
        events: vec![Event::Skipped.code().to_owned()],
        from_us: Some(day_us.start),
        to_us: Some(told_until_us),
        limit: SKIPS_MAX,
        ..DiaryFilter::default()
    };
    let rows = reader.diary(&skips)?;
    // Newest first; of one moment in the order of the diary.
    let told = rows.iter().rev().filter_map(|row| Missed::of_entry(&row.entry));
    let mut missed: Vec<Missed> =
        told.filter(|missed| programs.contains(&missed.program) && missed.is_within(day_us)).collect();
    missed.sort_by_key(|missed| missed.due);
    missed.truncate(LINES_MAX);
    Ok(missed)
}

/// When the gateway was back, where it kept neither a reading nor an entry on the day and the next that it kept is that of a
/// restart.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn slept_until(reader: &Reader, day_us: &Range<i64>) -> anyhow::Result<Option<UnixMs>> {
    let of_day = DiaryFilter {
        from_us: Some(day_us.start),
        to_us: Some(day_us.end),
        limit: 1,
        ..DiaryFilter::default()
    };
    // Before its first entry there was no gateway to be off.
    let before = DiaryFilter { to_us: Some(day_us.start), limit: 1, ..DiaryFilter::default() };
    if !reader.diary(&of_day)?.is_empty() || reader.diary(&before)?.is_empty() {
        return Ok(None);
    }
    let rows = rows_after(reader, day_us.end)?;
    let Some(first) = rows.first() else { return Ok(None) };
    let until_us = first.recorded_us.saturating_add(RESTART_US);
    let mut of_start = rows.iter().take_while(|entry| entry.recorded_us < until_us);
    let is_restart = of_start.any(|entry| OF_A_RESTART.contains(&entry.reason.as_str()));
    if !is_restart || has_readings(reader, day_us)? {
        return Ok(None);
    }
    Ok(first.at_us.map(|at_us| UnixMs(at_us.div_euclid(1000))))
}

/// The first entries that were written at or after a moment, oldest first.
fn rows_after(reader: &Reader, from_us: i64) -> Result<Vec<DiaryEntry>, ReadError> {
    let before = DiaryFilter { to_us: Some(from_us), limit: 1, ..DiaryFilter::default() };
    let last_id = reader.diary(&before)?.first().map_or(0, |row| row.id);
    let rows = reader.diary_after(last_id, ROWS_OF_RESTART_MAX)?.rows;
    Ok(rows.into_iter().map(|row| row.entry).filter(|entry| entry.recorded_us >= from_us).collect())
}

/// Whether any device's reading of the day is kept.
fn has_readings(reader: &Reader, day_us: &Range<i64>) -> Result<bool, ReadError> {
    for series in reader.series()? {
        let mut has_any = false;
        reader.samples(&series.device, &series.metric, day_us.clone(), &mut |_| {
            has_any = true;
            ControlFlow::Break(())
        })?;
        if has_any {
            return Ok(true);
        }
    }
    Ok(false)
}
