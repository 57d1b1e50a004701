//! What a series did in spans of time: one pass over its points, or over hours that were summed up before.
//!
//! | word | meaning |
//! |---|---|
//! | hold | a value counts until the next sample, one without a number too, but at most for [`HOLD_MAX_US`] |
//! | rise | of a counter: what was added since the value before; a fall is a reset to zero, or a wrap of 16 or 32 bits |
//! | exact | decimals are added as whole numbers, so that a sum is the same whatever was added first |
//!
//! Must not read anything. Invariant: the same points give the same bits, whether they come one by one or as sealed hours; a span
//! does not depend on which other spans were asked for.

use super::chunk::hours::{Hour, Hours};
use super::decimal;
use super::types::{Bucket, Point};

/// Longest time for which a value stands for the time after it: sensors that report more seldom say nothing about between.
pub(super) const HOLD_MAX_US: i64 = 3_600_000_000;

/// A sum of values: decimals exactly, in ten-thousandths, everything else in order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    /// Ten-thousandths.
    pub(super) exact: i128,
    pub(super) rest: f64,
}

impl Sum {
    fn add(&mut self, number: Number, times: i64) {
        match number.exact {
            Some(exact) => self.exact = self.exact.saturating_add(exact.saturating_mul(times.into())),
            None => self.rest += number.value * times as f64,
        }
    }

    fn merge(&mut self, other: Self) {
        self.exact = self.exact.saturating_add(other.exact);
        self.rest += other.rest;
    }

    fn total(&self) -> f64 {
        self.exact as f64 / EXACT_PER_UNIT + self.rest
    }
}

const EXACT_PER_UNIT: f64 = 10_000.0;

/// A value and, if it is a decimal, its ten-thousandths.
#[derive(Debug, Clone, Copy)]
struct Number {
    value: f64,
    exact: Option<i128>,
}

impl Number {
    fn new(value: f64) -> Self {
        Self { value, exact: decimal::split(value).map(|(mantissa, scale)| exact(mantissa, scale)) }
    }

    fn decimal(mantissa: i64, scale: u8) -> Option<Self> {
        Some(Self { value: decimal::join(mantissa, scale)?, exact: Some(exact(mantissa, scale)) })
    }
}

/// Ten-thousandths of a decimal.
fn exact(mantissa: i64, scale: u8) -> i128 {
    i128::from(mantissa) * 10_i128.pow(u32::from(decimal::SCALE_MAX.saturating_sub(scale)))
}

/// By how much a counter rose from `a` to `b` beyond their difference: 0 unless it fell.
pub(super) fn rise_beyond(a: f64, b: f64) -> f64 {
    if b >= a {
        return 0.0;
    }
    let wraps = |size: f64| a < size && a >= size * 0.75 && (0.0..=size * 0.25).contains(&b);
    [65_536.0, 4_294_967_296.0].into_iter().find(|size| wraps(*size)).unwrap_or(a)
}

/// One span.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    pub(super) from_us: i64,
    pub(super) n_values: u64,
    pub(super) n_flagged: u64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) last: f64,
    pub(super) sum: Sum,
    /// Value times the µs it held.
    pub(super) area: Sum,
    pub(super) held_us: i64,
    pub(super) rise: Sum,
    /// From the last sample to the end of the span, 0 if that sample had no value: so long it may hold beyond.
    pub(super) open_us: i64,
}

impl Tally {
    pub(super) fn new(from_us: i64) -> Self {
        Self {
            from_us,
            n_values: 0,
            n_flagged: 0,
            min: f64::NAN,
            max: f64::NAN,
            last: f64::NAN,
            sum: Sum::default(),
            area: Sum::default(),
            held_us: 0,
            rise: Sum::default(),
            open_us: 0,
        }
    }

    /// Adds what came later within the same span, or in a later part of it.
    pub(super) fn merge(&mut self, later: &Self) {
        if later.n_values > 0 {
            self.stretch(later.min, later.max);
            self.last = later.last;
        }
        self.n_values = self.n_values.saturating_add(later.n_values);
        self.n_flagged = self.n_flagged.saturating_add(later.n_flagged);
        self.sum.merge(later.sum);
        self.area.merge(later.area);
        self.rise.merge(later.rise);
        self.held_us = self.held_us.saturating_add(later.held_us);
        self.open_us = later.open_us;
    }

    fn stretch(&mut self, min: f64, max: f64) {
        if self.n_values == 0 || min.total_cmp(&self.min).is_lt() {
            self.min = min;
        }
        if self.n_values == 0 || max.total_cmp(&self.max).is_gt() {
            self.max = max;
        }
    }

    fn finish(self) -> Option<Bucket> {
        if self.n_values == 0 {
            return None;
        }
        let mean = self.sum.total() / self.n_values as f64;
        // Outside the extremes only by rounding; a mean that is no number stays none.
        let mean = if mean.is_nan() { mean } else { mean.max(self.min).min(self.max) };
        // What held into the span from before need not lie between its own extremes.
        let time_mean = if self.held_us > 0 { self.area.total() / self.held_us as f64 } else { mean };
        Some(Bucket {
            from_us: self.from_us,
            n_values: self.n_values,
            n_flagged: self.n_flagged,
            min: self.min,
            max: self.max,
            mean,
            last: self.last,
            time_mean,
            rise: Some(self.rise.total()),
        })
    }
}

/// Where spans begin and end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spans<'e> {
    /// Between neighbours of an ascending list; what lies outside is in no span.
    Edges(&'e [i64]),
    /// UTC hours.
    Hours,
}

pub(super) const HOUR_US: i64 = 3_600_000_000;

impl Spans<'_> {
    /// Beginning and end of the span that holds `at_us`.
    fn around(self, at_us: i64) -> Option<(i64, i64)> {
        match self {
            Self::Hours => {
                let from_us = at_us.div_euclid(HOUR_US).saturating_mul(HOUR_US);
                Some((from_us, from_us.saturating_add(HOUR_US)))
            }
            Self::Edges(edges) => {
                let idx = edges.partition_point(|edge| *edge <= at_us);
                Some((*edges.get(idx.checked_sub(1)?)?, *edges.get(idx)?))
            }
        }
    }
}

/// Takes points in order of time and gives spans.
#[derive(Debug)]
pub(super) struct Tallier<'e> {
    spans: Spans<'e>,
    current: Option<(Tally, i64)>,
    done: Vec<Tally>,
    /// The sample before, if it had a value: it holds until the next.
    held: Option<(i64, Number)>,
    /// The latest value, whatever came after.
    before: Option<Number>,
    /// Holds are counted up to here already.
    counted_us: i64,
}

impl<'e> Tallier<'e> {
    pub(super) fn new(spans: Spans<'e>) -> Self {
        Self { spans, current: None, done: Vec::new(), held: None, before: None, counted_us: i64::MIN }
    }

    /// The next point, later than all before.
    pub(super) fn add(&mut self, point: &Point) {
        if point.is_missing() {
            self.reach(point.at_us);
            self.note_open(point.at_us, false);
            self.held = None;
            return;
        }
        let number = Number::new(point.value);
        self.reach(point.at_us);
        self.rise_to(number);
        if let Some((tally, _)) = &mut self.current {
            tally.stretch(number.value, number.value);
            tally.n_values += 1;
            tally.n_flagged += u64::from(point.quality != 0);
            tally.last = number.value;
            tally.sum.add(number, 1);
        }
        self.note_open(point.at_us, true);
        self.held = Some((point.at_us, number));
        self.before = Some(number);
    }

    /// A whole chunk, summed up; later than all before. No edge of a span may lie within one of its hours. `false` when it cannot be
    /// used: its numbers are none a writer makes, and nothing was added.
    pub(super) fn add_hours(&mut self, chunk: &Hours) -> bool {
        let scale = chunk.scale;
        let number = |mantissa| Number::decimal(mantissa, scale);
        let (Some(first), Some(last)) = (number(chunk.first), number(chunk.last)) else { return false };
        let parts: Option<Vec<(Number, Number, Number)>> = chunk
            .hours
            .iter()
            .map(|hour| Some((number(hour.min)?, number(hour.max)?, number(hour.last)?)))
            .collect();
        let Some(parts) = parts else { return false };
        self.reach(chunk.from_us);
        self.rise_to(first);
        let mut before = first;
        for (hour, (min, max, last)) in chunk.hours.iter().zip(parts) {
            self.turn_to(hour.starts_us().max(chunk.from_us));
            if let Some((tally, _)) = &mut self.current {
                merge(tally, hour, scale, (min, max, last));
                tally.rise.add(last, 1);
                tally.rise.add(before, -1);
                tally.rise.exact = tally.rise.exact.saturating_add(exact(hour.rise_beyond, scale));
            }
            before = last;
        }
        self.note_open(chunk.to_us, true);
        self.held = Some((chunk.to_us, last));
        self.before = Some(last);
        true
    }

    /// A span that was summed up before, of this length; later than all before. One that lies in no span of this tally is passed by;
    /// returns whether it was counted.
    pub(super) fn add_span(&mut self, span: &Tally, length_us: i64) -> bool {
        let end_us = span.from_us.saturating_add(length_us);
        // What held into it is in its own sums.
        self.held = None;
        self.turn_to(span.from_us);
        let current = self.current.as_mut().filter(|(_, tally_end_us)| end_us <= *tally_end_us);
        let is_merged = current.map(|(tally, _)| tally.merge(span)).is_some();
        if span.n_values > 0 {
            let last = Number::new(span.last);
            self.before = Some(last);
            self.held = (span.open_us > 0).then(|| (end_us.saturating_sub(span.open_us), last));
        }
        self.counted_us = end_us;
        is_merged
    }

    /// The spans themselves, those too that only held a value from before.
    pub(super) fn finish_tallies(mut self) -> Vec<Tally> {
        self.close();
        self.done.into_iter().filter(|tally| tally.n_values > 0 || tally.held_us > 0).collect()
    }

    /// The spans that hold a value.
    pub(super) fn finish(mut self) -> Vec<Bucket> {
        self.close();
        self.done.into_iter().filter_map(Tally::finish).collect()
    }

    /// The spans that hold a value, as hours of a chunk whose decimals have `scale`; `None` when a number does not fit.
    pub(super) fn finish_hours(mut self, scale: u8) -> Option<Vec<Hour>> {
        self.close();
        let per_step = 10_i128.pow(u32::from(decimal::SCALE_MAX.saturating_sub(scale)));
        let steps = |exact: i128| exact / per_step;
        let mantissa = |value| decimal::mantissa_at(value, scale);
        let hours = self.done.into_iter().filter(|tally| tally.n_values > 0).map(|tally| {
            Some(Hour {
                hour: tally.from_us.div_euclid(HOUR_US),
                n_values: i64::try_from(tally.n_values).ok()?,
                n_flagged: i64::try_from(tally.n_flagged).ok()?,
                min: mantissa(tally.min)?,
                max: mantissa(tally.max)?,
                last: mantissa(tally.last)?,
                sum: i64::try_from(steps(tally.sum.exact)).ok()?,
                area: steps(tally.area.exact),
                held_us: tally.held_us,
                rise_beyond: 0,
            })
        });
        hours.collect()
    }

    fn close(&mut self) {
        self.done.extend(self.current.take().map(|(tally, _)| tally));
    }

    /// Time goes on to `at_us`, a sample's: what held until then is counted, the span that holds it is the current one.
    fn reach(&mut self, at_us: i64) {
        let held = self.held.filter(|(from_us, _)| at_us.saturating_sub(*from_us) <= HOLD_MAX_US);
        self.hold(held, at_us);
        if self.turn_to(at_us) {
            self.hold(held, at_us);
        }
    }

    /// Counts the part of a hold that lies in the current span.
    fn hold(&mut self, held: Option<(i64, Number)>, to_us: i64) {
        let (Some((tally, end_us)), Some((from_us, number))) = (&mut self.current, held) else { return };
        let span_us = to_us.min(*end_us).saturating_sub(from_us.max(tally.from_us).max(self.counted_us));
        if span_us > 0 {
            tally.held_us = tally.held_us.saturating_add(span_us);
            tally.area.add(number, span_us);
        }
    }

    /// Makes the span that holds `at_us` the current one; true when it is another.
    fn turn_to(&mut self, at_us: i64) -> bool {
        if self.current.as_ref().is_some_and(|(_, end_us)| at_us < *end_us) {
            return false;
        }
        self.close();
        self.current = self.spans.around(at_us).map(|(from_us, end_us)| (Tally::new(from_us), end_us));
        true
    }

    /// Notes the last sample of the current span.
    fn note_open(&mut self, at_us: i64, has_value: bool) {
        if let Some((tally, end_us)) = &mut self.current {
            tally.open_us = if has_value { end_us.saturating_sub(at_us) } else { 0 };
        }
    }

    fn rise_to(&mut self, number: Number) {
        let (Some((tally, _)), Some(before)) = (&mut self.current, self.before) else { return };
        tally.rise.add(number, 1);
        tally.rise.add(before, -1);
        let beyond = rise_beyond(before.value, number.value);
        if beyond.to_bits() != 0 {
            tally.rise.add(Number::new(beyond), 1);
        }
    }
}

fn merge(tally: &mut Tally, hour: &Hour, scale: u8, (min, max, last): (Number, Number, Number)) {
    tally.stretch(min.value, max.value);
    tally.n_values = tally.n_values.saturating_add_signed(hour.n_values);
    tally.n_flagged = tally.n_flagged.saturating_add_signed(hour.n_flagged);
    tally.last = last.value;
    tally.sum.exact = tally.sum.exact.saturating_add(exact(hour.sum, scale));
    tally.held_us = tally.held_us.saturating_add(hour.held_us);
    let per_step = exact(1, scale);
    tally.area.exact = tally.area.exact.saturating_add(hour.area.saturating_mul(per_step));
}
