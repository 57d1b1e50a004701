//! How long the history is kept: `[store]` → [`Retention`].

use super::compile::Compiler;
use super::raw;
use giot_store::{Keep, Retention};
use toml::Spanned;

/// Three years of every reading: last season and the one before, to the minute.
const RAW_DAYS: u32 = 1_096;
/// Ten years of hours and of valve events: as long as an orchard's books.
const HOURLY_DAYS: u32 = 3_653;
const VALVE_EVENTS_DAYS: u32 = 3_653;
/// Programs, guards and charts look a month back.
const RAW_DAYS_LEAST: u32 = 30;
/// Two years: what an auditor asks for.
const VALVE_EVENTS_DAYS_LEAST: u32 = 731;
/// A century.
const DAYS_MOST: u32 = 36_525;
/// Less would not hold a week of a small farm, its log and its diary.
const DISK_MIB_LEAST: u32 = 64;
/// Exceptions by metric.
const KEEP_MAX: usize = 64;
/// Longest name of a metric, bytes.
const METRIC_BYTES_MAX: usize = 128;

/// What holds where the configuration says nothing.
pub(super) fn default_retention(utc_offset_min: i32) -> Retention {
    Retention {
        raw_days: Some(RAW_DAYS),
        hourly_days: Some(HOURLY_DAYS),
        daily_days: None,
        valve_events_days: Some(VALVE_EVENTS_DAYS),
        keep: Vec::new(),
        bytes_max: None,
        utc_offset_min,
    }
}

impl Compiler<'_> {
    /// The rules of `[store]`.
    pub(super) fn store(&mut self, store: Option<raw::Store>, utc_offset_min: i32) -> Retention {
        let mut retention = default_retention(utc_offset_min);
        let Some(store) = store else { return retention };
        if let Some(days) = &store.raw_days {
            retention.raw_days = self.kept_days(*days.get_ref(), "store.raw_days", RAW_DAYS_LEAST);
        }
        if retention.raw_days.is_none() {
            retention.hourly_days = None;
        }
        let longer = "at least as long as what is finer: 0 (for ever) or more days than that";
        if let Some(days) = &store.hourly_days {
            retention.hourly_days = self.kept_days(*days.get_ref(), "store.hourly_days", RAW_DAYS_LEAST);
        }
        if is_shorter(retention.hourly_days, retention.raw_days)
            && !self.is_any_spoilt("store", &["raw_days", "hourly_days"])
        {
            let span = store.hourly_days.as_ref().or(store.raw_days.as_ref()).map_or(0..0, Spanned::span);
            self.problem(span, "store.hourly_days", longer);
        }
        if let Some(days) = &store.daily_days {
            retention.daily_days = self.kept_days(*days.get_ref(), "store.daily_days", RAW_DAYS_LEAST);
            if is_shorter(retention.daily_days, retention.hourly_days)
                && !self.is_any_spoilt("store", &["hourly_days", "daily_days"])
            {
                self.problem(days.span(), "store.daily_days", longer);
            }
        }
        if let Some(days) = &store.valve_events_days {
            retention.valve_events_days =
                self.kept_days(*days.get_ref(), "store.valve_events_days", VALVE_EVENTS_DAYS_LEAST);
        }
        if let Some(mib) = &store.disk_mib_max {
            retention.bytes_max = Some(u64::from(*mib.get_ref()) << 20);
            if *mib.get_ref() < DISK_MIB_LEAST {
                let what = format!("at least {DISK_MIB_LEAST} MiB");
                self.problem(mib.span(), "store.disk_mib_max", what);
            }
        }
        if store.keep.len() > KEEP_MAX {
            let span = store.keep.first().map_or(0..0, Spanned::span);
            self.problem(span, "store.keep", format!("at most {KEEP_MAX} exceptions"));
        }
        for (idx, keep) in store.keep.iter().enumerate() {
            let kept = self.keep(keep, &format!("store.keep[{idx}]"), &retention);
            retention.keep.push(kept);
        }
        retention
    }

    fn keep(&mut self, keep: &Spanned<raw::Keep>, field: &str, base: &Retention) -> Keep {
        let raw = keep.get_ref();
        let name = raw.metric.strip_suffix('*').unwrap_or(&raw.metric);
        if name.contains('*') || raw.metric.is_empty() || raw.metric.len() > METRIC_BYTES_MAX {
            let what = "a metric such as \"battery\", or its beginning such as \"soil_*\"";
            self.problem_at(&format!("{field}.metric"), what);
        }
        let mut days = |days: Option<u32>, key: &str, base: Option<u32>| match days {
            None => base,
            Some(days) => self.kept_days(days, &format!("{field}.{key}"), RAW_DAYS_LEAST),
        };
        let raw_days = days(raw.raw_days, "raw_days", base.raw_days);
        let hourly_days = days(raw.hourly_days, "hourly_days", base.hourly_days);
        // What is not written here is that of the whole store.
        let is_sound =
            [("raw_days", raw.raw_days), ("hourly_days", raw.hourly_days)].iter().all(|(key, days)| {
                !self.is_any_spoilt(field, &[key]) && (days.is_some() || !self.is_any_spoilt("store", &[key]))
            });
        if is_sound && is_shorter(hourly_days, raw_days) {
            self.problem_at(&format!("{field}.hourly_days"), "not shorter than raw_days; 0 is for ever");
        }
        Keep { metric: raw.metric.clone(), raw_days, hourly_days }
    }

    /// Days; 0 is for ever.
    fn kept_days(&mut self, value: u32, field: &str, least: u32) -> Option<u32> {
        if value != 0 && !(least..=DAYS_MOST).contains(&value) {
            let what = format!("0 (for ever), or {least} to {DAYS_MOST} days");
            self.problem_at(field, what);
        }
        (value != 0).then_some(value)
    }
}

/// True when one is kept less long than the other.
fn is_shorter(coarse: Option<u32>, fine: Option<u32>) -> bool {
    match (coarse, fine) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(coarse), Some(fine)) => coarse < fine,
    }
}
