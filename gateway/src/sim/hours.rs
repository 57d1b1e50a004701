//! When water may begin, as the simulation judges it: by minutes of the local day, apart from the engine's own windows.

use giot_engine::program::{Window, Windows};
use giot_engine::{DayWindow, Plan, ZonePlan};
use giot_shared::time::UnixMs;

const DAY_MIN: i64 = 1440;

/// Whether a program's windows let a run begin at a moment. The season's windows hold on every day.
pub(super) fn may_begin(windows: &Windows, at: UnixMs, utc_offset_min: i32) -> bool {
    let is_in = |window: &Window| is_within(window.span, at, utc_offset_min);
    let is_allowed = windows.allowed.is_empty() || windows.allowed.iter().any(is_in);
    is_allowed && !windows.no_water.iter().any(is_in)
}

/// Whether hours without water of a zone or of what feeds it hold at a moment.
pub(super) fn is_without_water(plan: &Plan, zone: &ZonePlan, at: UnixMs) -> bool {
    let is_in = |window: &Window| is_within(window.span, at, plan.utc_offset_min);
    let mut branch = plan.sources.get(&zone.source);
    let mut holds = zone.no_water.iter().any(is_in);
    while let Some(source) = branch {
        holds |= source.no_water.iter().any(is_in);
        branch = source.fed_by.as_ref().and_then(|id| plan.sources.get(id));
    }
    holds
}

/// Whether a moment lies within a span of the day.
pub(super) fn is_within(span: DayWindow, at: UnixMs, utc_offset_min: i32) -> bool {
    let minute = (at.0.div_euclid(60_000) + i64::from(utc_offset_min)).rem_euclid(DAY_MIN);
    let (from, to) = (i64::from(span.from_min()), i64::from(span.to_min()));
    match from.cmp(&to) {
        std::cmp::Ordering::Less => (from..to).contains(&minute),
        std::cmp::Ordering::Equal => true,
        std::cmp::Ordering::Greater => minute >= from || minute < to,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_may_cross_midnight_and_equal_ends_mean_the_whole_day() {
        let span = |from, to| DayWindow::new(from, to).unwrap();
        // 06:59 and 07:00 at seven hours east.
        let (before, at) = (UnixMs(-60_000), UnixMs(0));
        assert!(!is_within(span(420, 480), before, 420) && is_within(span(420, 480), at, 420));
        assert!(is_within(span(1380, 420), before, 420) && !is_within(span(1380, 420), at, 420));
        assert!(is_within(span(0, 0), at, 420));
        let no_water = Windows { no_water: vec![Window::daily(span(420, 480))], ..Windows::default() };
        assert!(may_begin(&no_water, before, 420) && !may_begin(&no_water, at, 420));
    }
}
