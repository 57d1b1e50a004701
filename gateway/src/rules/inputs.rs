//! What conditions read: the newest value of each input, how old it is, and which rules read it.
//!
//! Age is that of the engine's probes: counted on lines that never go back where the device allows it; otherwise the greater of
//! what the monotonic line and the clock tell, so that a clock that is set back makes nothing younger. A reading of unknown
//! age, or from the future, is no reading; and as it may be the newest, neither is what was read before it came.

use std::collections::BTreeMap;

use cel::common::types::{CelBool, CelDouble};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use giot_engine::program::{Date, Weekday};
use giot_engine::{Age, Now, ZoneId, ZoneSigns};
use giot_shared::time::{MonoMs, UnixMs};

use super::expr::{Part, Sign, Source, place_of};

/// How far a reading may be ahead of the clock: nodes and gateway differ by seconds.
const AHEAD_MS_MAX: u64 = 300_000;

/// A value as the expression language takes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Number(CelDouble),
    Truth(CelBool),
}

/// When a value was read.
#[derive(Clone, Copy, Debug)]
struct Read {
    at: UnixMs,
    received_at: MonoMs,
    /// Age at receipt; 0 where the clock was unset.
    age_ms: u64,
    /// Civil time has no say in the age.
    is_counted: bool,
}

/// One input.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) source: Source,
    value: Option<Value>,
    /// Of a series only: the newest reading that was dated.
    read: Option<Read>,
    /// Of a series only: when a reading came that could not be dated, until one comes that was surely taken after it.
    doubt_since: Option<MonoMs>,
    /// Of a zone's moisture only: when its probes grow too old.
    until: Option<MonoMs>,
    /// The rules that read it, in their order.
    pub(super) readers: Vec<usize>,
}

/// All inputs of all rules.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    all: Vec<Input>,
    by_source: BTreeMap<Source, usize>,
    series: BTreeMap<String, BTreeMap<String, usize>>,
    zones: BTreeMap<ZoneId, Vec<usize>>,
    time: Vec<usize>,
    /// The minute that the parts of time were last set for.
    minute: Option<i64>,
}

impl Inputs {
    /// The number of an input; `reader` is noted as one of its readers.
    pub(super) fn intern(&mut self, source: &Source, reader: usize) -> usize {
        let idx = match self.by_source.get(source) {
            Some(idx) => *idx,
            None => self.add(source),
        };
        if let Some(input) = self.all.get_mut(idx).filter(|input| input.readers.last() != Some(&reader)) {
            input.readers.push(reader);
        }
        idx
    }

    fn add(&mut self, source: &Source) -> usize {
        let idx = self.all.len();
        self.all.push(Input {
            source: source.clone(),
            value: None,
            read: None,
            doubt_since: None,
            until: None,
            readers: Vec::new(),
        });
        self.by_source.insert(source.clone(), idx);
        match source {
            Source::Series(series) => {
                let metrics = self.series.entry(series.device.to_string()).or_default();
                metrics.insert(series.metric.to_string(), idx);
            }
            Source::Zone(zone, _) => self.zones.entry(zone.clone()).or_default().push(idx),
            Source::Time(_) => self.time.push(idx),
        }
        idx
    }

    /// Takes over what other inputs know of the same sources.
    pub(super) fn take_over(&mut self, before: &Self) {
        for input in &mut self.all {
            let known = before.by_source.get(&input.source).and_then(|idx| before.all.get(*idx));
            if let Some(known) = known {
                (input.value, input.read, input.until) = (known.value, known.read, known.until);
                input.doubt_since = known.doubt_since;
            }
        }
    }

    pub(super) fn get(&self, idx: usize) -> Option<&Input> {
        self.all.get(idx)
    }

    /// The zones that some rule reads.
    pub(super) fn zones(&self) -> impl Iterator<Item = &ZoneId> {
        self.zones.keys()
    }

    /// The series that some rule reads.
    pub(super) fn series(&self) -> impl Iterator<Item = (&str, &str)> {
        self.series.iter().flat_map(|(device, metrics)| {
            metrics.keys().map(move |metric| (device.as_str(), metric.as_str()))
        })
    }

    /// Takes a reading; the input that it changed, `None` when no rule reads it or it is old news.
    pub(super) fn take_reading(
        &mut self,
        now: Now,
        device: &str,
        metric: &str,
        (at, age): (UnixMs, Age),
        value: Option<f64>,
    ) -> Option<usize> {
        let idx = *self.series.get(device)?.get(metric)?;
        let input = self.all.get_mut(idx)?;
        let is_ahead = |at: UnixMs| now.wall.is_some_and(|wall| at.since_ms(wall) > AHEAD_MS_MAX);
        let (age_ms, is_counted) = match age {
            Age::Counted(age_ms) => (age_ms, true),
            Age::Dated | Age::Unknown => (now.wall.map_or(0, |wall| wall.since_ms(at)), false),
        };
        // What is counted comes in the order in which it was taken; a date says something only beside a clock.
        let is_after = |since: MonoMs| is_counted || now.wall.is_some() && now.mono.since_ms(since) >= age_ms;
        // Without a newest that is dated in the future for a measure, one wrong date would silence the series.
        let wrong = input.read.filter(|read| is_ahead(read.at));
        if age == Age::Unknown || is_ahead(at) || wrong.is_some_and(|read| !is_after(read.received_at)) {
            (input.value, input.doubt_since) = (None, Some(now.mono));
            return Some(idx);
        }
        if wrong.is_none() && input.read.is_some_and(|read| at <= read.at) {
            return None;
        }
        input.doubt_since = input.doubt_since.filter(|since| !is_after(*since));
        input.read = Some(Read { at, received_at: now.mono, age_ms, is_counted });
        let good = value.filter(|value| value.is_finite() && input.doubt_since.is_none());
        input.value = good.map(|value| Value::Number(value.into()));
        Some(idx)
    }

    /// Takes what a zone shows; the inputs that changed.
    pub(super) fn take_zone(&mut self, zone: &ZoneId, signs: ZoneSigns) -> Vec<usize> {
        let mut changed = Vec::new();
        for idx in self.zones.get(zone).into_iter().flatten() {
            let Some(input) = self.all.get_mut(*idx) else { continue };
            let Source::Zone(_, sign) = input.source else { continue };
            let value = match sign {
                Sign::Moisture => signs.moisture.map(|moisture| Value::Number(moisture.percent().into())),
                Sign::Tension => signs.tension.map(|tension| Value::Number(tension.in_unit().into())),
                Sign::Watering => Some(Value::Truth(signs.is_watering.into())),
                Sign::Locked => Some(Value::Truth(signs.is_locked.into())),
                Sign::Fault => Some(Value::Truth(signs.has_fault.into())),
            };
            let until = signs.soil_until.filter(|_| matches!(sign, Sign::Moisture | Sign::Tension));
            if input.value != value || input.until != until {
                (input.value, input.until) = (value, until);
                changed.push(*idx);
            }
        }
        changed
    }

    /// Takes the time; the inputs that changed.
    pub(super) fn take_time(&mut self, wall: Option<UnixMs>, utc_offset_min: i32) -> Vec<usize> {
        let minute = wall.map(|wall| wall.0.div_euclid(60_000));
        if self.time.is_empty() || self.minute == minute {
            return Vec::new();
        }
        self.minute = minute;
        let mut changed = Vec::new();
        for idx in &self.time {
            let Some(input) = self.all.get_mut(*idx) else { continue };
            let Source::Time(part) = input.source else { continue };
            let value = wall.map(|wall| Value::Number(f64::from(part_of(part, wall, utc_offset_min)).into()));
            if input.value != value {
                input.value = value;
                changed.push(*idx);
            }
        }
        changed
    }

    /// When the time must be taken again.
    pub(super) fn minute_at(&self, now: Now) -> Option<MonoMs> {
        let wall = now.wall.filter(|_| !self.time.is_empty())?;
        let left_ms = 60_000_u64.saturating_sub(wall.0.rem_euclid(60_000).cast_unsigned());
        Some(now.mono.plus_ms(left_ms))
    }
}

fn part_of(part: Part, wall: UnixMs, utc_offset_min: i32) -> u16 {
    let date = Date::of(wall, utc_offset_min);
    let minute = wall.0.div_euclid(60_000).saturating_add(utc_offset_min.into()).rem_euclid(1440);
    let minute = u16::try_from(minute).unwrap_or(0);
    let weekday = |day: Weekday| Weekday::ALL.iter().position(|known| *known == day).unwrap_or(0);
    match part {
        Part::Hour => minute / 60,
        Part::Minute => minute,
        Part::Weekday => u16::try_from(weekday(date.weekday())).unwrap_or(0) + 1,
        Part::Day => date.day().into(),
        Part::Month => date.month().into(),
    }
}

impl Input {
    /// The value, unless it is missing or too old.
    pub(super) fn known(&self, now: Now, fresh_ms: u64) -> Option<&Value> {
        let is_fresh = self.read.is_none_or(|read| read.age_ms(now) <= fresh_ms)
            && self.until.is_none_or(|until| now.mono < until);
        self.value.as_ref().filter(|_| is_fresh)
    }

    /// When a fresh value becomes too old, as the monotonic line tells.
    pub(super) fn stale_at(&self, now: Now, fresh_ms: u64) -> Option<MonoMs> {
        if self.until.is_some() {
            return self.until;
        }
        let left_ms = fresh_ms.checked_sub(self.read?.age_ms(now))?;
        Some(now.mono.plus_ms(left_ms.saturating_add(1)))
    }
}

impl Read {
    fn age_ms(&self, now: Now) -> u64 {
        let by_mono = self.age_ms.saturating_add(now.mono.since_ms(self.received_at));
        let wall = now.wall.filter(|_| !self.is_counted);
        wall.map_or(by_mono, |wall| by_mono.max(wall.since_ms(self.at)))
    }
}

impl Value {
    fn as_val(&self) -> &(dyn Val + 'static) {
        match self {
            Self::Number(number) => number,
            Self::Truth(truth) => truth,
        }
    }
}

/// What one condition sees: its inputs by their numbers, borrowed for one evaluation.
pub(super) struct Sight<'a> {
    pub(super) values: Vec<&'a Value>,
}

impl VariableResolver for Sight<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        self.values.get(place_of(variable)?).map(|value| CowVal::Borrowed(value.as_val()))
    }
}
