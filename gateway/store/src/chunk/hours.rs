//! The hours of a chunk, summed up, so that a season can be drawn without unpacking it.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | flags: 1 falls are listed, the chunk can be a counter's; 2 sums are foretold from two hours instead of one |
//! | 1 | number of decimals |
//! | varint | number of hours |
//! | signed varint | first hour, hours since 1970 |
//! | signed varint, varint | first value (mantissa); time of the last sample behind the first, µs |
//! | varint, varint | unit of times, µs; step when all are the same, else 0, in units |
//! | signed varint | values of a usual hour, 0 on an even grid |
//! | columns (`bits`) | hours left out; values; flagged values; sum; last value; ends above min; max above ends; time not held; area |
//! | varint, … | if flag 1: falls: hour (difference to the fall before), rise beyond the difference (signed varint) |
//!
//! Each column holds differences to what can be foretold from the columns before, which on an even grid leaves nothing of the last
//! two. Hours with few readings are not summed up: they are unpacked as quickly.
//!
//! Must not change a number: hours give the same bits as their points. Invariant: foreign bytes are an error value or numbers, never a
//! panic.

use super::super::bytes::{BadBytes, Cursor, put_signed, put_varint};
use super::super::decimal;
use super::super::tally::{HOLD_MAX_US, HOUR_US, Spans, Tallier, rise_beyond};
use super::super::types::Point;
use super::bits::{cost, put_column, take_column};
use super::put_len;
use super::times::{Rhythm, greatest_common_divisor};

/// Readings an hour, on average, below which hours are not summed up.
const READINGS_MIN: usize = 16;

/// A chunk with more falls than one in so many readings is no counter's.
const READINGS_PER_FALL: usize = 64;

/// Most hours of a chunk: the longest window (32 days) and a little.
const HOURS_MAX: usize = 1_024;

const FLAG_COUNTER: u8 = 1;
const FLAG_TREND: u8 = 2;

/// What the values of one hour did; values as mantissas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Hour {
    /// Hours since 1970.
    pub(in super::super) hour: i64,
    pub(in super::super) n_values: i64,
    pub(in super::super) n_flagged: i64,
    pub(in super::super) min: i64,
    pub(in super::super) max: i64,
    pub(in super::super) last: i64,
    pub(in super::super) sum: i64,
    /// Mantissa times the µs it held.
    pub(in super::super) area: i128,
    pub(in super::super) held_us: i64,
    /// What a counter's falls hide.
    pub(in super::super) rise_beyond: i64,
}

impl Hour {
    /// When it begins.
    pub(in super::super) fn starts_us(&self) -> i64 {
        self.hour.saturating_mul(HOUR_US)
    }
}

/// A chunk without its points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Hours {
    pub(in super::super) scale: u8,
    /// Falls are known: its rise can be told.
    pub(in super::super) is_counter: bool,
    pub(in super::super) from_us: i64,
    pub(in super::super) to_us: i64,
    /// First value.
    pub(in super::super) first: i64,
    /// Last value.
    pub(in super::super) last: i64,
    pub(in super::super) hours: Vec<Hour>,
}

/// The hours of `points`, all values of which are decimals of `scale`; `None` when they are not worth it or cannot be told.
pub(super) fn sum_up(points: &[Point], scale: u8) -> Option<Hours> {
    let (first, last) = (points.first()?, points.last()?);
    if first.is_missing() || last.is_missing() {
        return None;
    }
    let span_us = last.at_us.checked_sub(first.at_us)?;
    let n_hours = usize::try_from(span_us / HOUR_US).ok()? + 1;
    if points.len() < READINGS_MIN * n_hours || n_hours >= HOURS_MAX {
        return None;
    }
    let mut tallier = Tallier::new(Spans::Hours);
    points.iter().for_each(|point| tallier.add(point));
    let mut hours = tallier.finish_hours(scale)?;
    let is_counter = note_falls(points, scale, &mut hours);
    let mantissa = |point: &Point| decimal::mantissa_at(point.value, scale);
    Some(Hours {
        scale,
        is_counter,
        from_us: first.at_us,
        to_us: last.at_us,
        first: mantissa(first)?,
        last: mantissa(last)?,
        hours,
    })
}

/// Notes what falls hide; `false` and nothing noted when there are too many.
fn note_falls(points: &[Point], scale: u8, hours: &mut [Hour]) -> bool {
    let mut falls = Vec::new();
    let mut before = None;
    for point in points.iter().filter(|point| !point.is_missing()) {
        if let Some(before) = before
            && point.value < before
        {
            let Some(beyond) = decimal::mantissa_at(rise_beyond(before, point.value), scale) else {
                return false;
            };
            falls.push((point.at_us.div_euclid(HOUR_US), beyond));
            if falls.len() * READINGS_PER_FALL > points.len() {
                return false;
            }
        }
        before = Some(point.value);
    }
    for (hour, beyond) in falls {
        if let Ok(idx) = hours.binary_search_by_key(&hour, |found| found.hour)
            && let Some(found) = hours.get_mut(idx)
        {
            found.rise_beyond = found.rise_beyond.saturating_add(beyond);
        }
    }
    true
}

/// What neighbours foretell of an hour.
struct Foretold {
    unit_us: i64,
    /// Step of an even grid, µs; 0 for none.
    step_us: i64,
    /// Values of an hour where the grid does not tell.
    n_usual: i64,
    to_us: i64,
    from_us: i64,
}

impl Foretold {
    /// How many values an hour has; exact on an even grid.
    fn n_values(&self, hour: i64) -> i64 {
        if self.step_us == 0 {
            return self.n_usual;
        }
        // Samples before a moment.
        let n_before = |at_us: i64| {
            let at_us = at_us.clamp(self.from_us, self.to_us.saturating_add(1));
            (at_us.saturating_sub(self.from_us).saturating_add(self.step_us - 1)).div_euclid(self.step_us)
        };
        let start_us = hour.saturating_mul(HOUR_US);
        n_before(start_us.saturating_add(HOUR_US)) - n_before(start_us)
    }

    /// How far the last hold of an hour of an even grid reaches beyond the hour.
    fn overhang_us(&self, hour: i64) -> i64 {
        let end_us = hour.saturating_add(1).saturating_mul(HOUR_US);
        if self.to_us < end_us {
            // The last sample of the chunk holds nothing within it.
            return self.step_us;
        }
        let n_steps = end_us.saturating_sub(1).saturating_sub(self.from_us).div_euclid(self.step_us.max(1));
        let last_us = self.from_us.saturating_add(n_steps.saturating_mul(self.step_us));
        last_us.saturating_add(self.step_us).saturating_sub(end_us).clamp(0, self.step_us)
    }

    /// Time held and area of an hour, given the hour before; exact on an even grid.
    fn held_and_area(&self, hour: &Hour, before: Option<&Hour>) -> (i64, i128) {
        if self.step_us == 0 {
            return (HOUR_US, 0);
        }
        let overhang_us = self.overhang_us(hour.hour);
        let carry = before.map(|before| (self.overhang_us(before.hour), before.last)).unwrap_or_default();
        let held_us =
            hour.n_values.saturating_mul(self.step_us).saturating_sub(overhang_us).saturating_add(carry.0);
        let area = i128::from(hour.sum) * i128::from(self.step_us)
            - i128::from(hour.last) * i128::from(overhang_us)
            + i128::from(carry.1) * i128::from(carry.0);
        (held_us, area)
    }

    /// The area where the grid does not tell: as if values did not depend on how long they held.
    fn even_area(&self, hour: &Hour) -> i128 {
        let unit = i128::from(self.unit_us);
        i128::from(hour.sum) * (i128::from(hour.held_us) / unit) / i128::from(hour.n_values).max(1) * unit
    }
}

/// A sum as if the hour's mean followed from one hour before, or from two.
fn foretell_sum(n_values: i64, before: Option<&Hour>, before_that: Option<&Hour>, first: i64) -> i64 {
    let mean = |hour: &Hour| i128::from(hour.sum) * 64 / i128::from(hour.n_values).max(1);
    let expected = match (before, before_that) {
        (Some(before), Some(before_that)) => 2 * mean(before) - mean(before_that),
        (Some(before), None) => mean(before),
        (None, _) => i128::from(first) * 64,
    };
    i64::try_from(expected * i128::from(n_values) / 64).unwrap_or(0)
}

fn mean_floor(hour: &Hour) -> i64 {
    hour.sum.div_euclid(hour.n_values.max(1))
}

/// The last value as if the hour went on as its mean differs from the hour before.
fn foretell_last(hour: &Hour, before: Option<&Hour>) -> i64 {
    let mean = mean_floor(hour);
    mean.wrapping_add(mean.wrapping_sub(before.map_or(mean, mean_floor)) / 2)
}

/// The lower one of the values at both ends of an hour.
fn low_end(hour: &Hour, before: Option<&Hour>) -> i64 {
    hour.last.min(before.map_or(hour.last, |before| before.last))
}

/// The higher one of the values at both ends of an hour.
fn high_end(hour: &Hour, before: Option<&Hour>) -> i64 {
    hour.last.max(before.map_or(hour.last, |before| before.last))
}

/// Packs the hours of a chunk; `None` when a number does not fit, which only values near the ends of what there is can bring about.
pub(super) fn encode(hours: &Hours, rhythm: Rhythm) -> Option<Vec<u8>> {
    // Holds are cut at full hours.
    let phase_us = hours.from_us.rem_euclid(HOUR_US).cast_unsigned();
    let unit_us = i64::try_from(greatest_common_divisor(rhythm.unit_us, phase_us)).ok()?;
    let step_us =
        rhythm.even_us.and_then(|step| i64::try_from(step).ok()).filter(|step| *step <= HOLD_MAX_US);
    let n_values: i64 = hours.hours.iter().map(|hour| hour.n_values).sum();
    let span_us = hours.to_us - hours.from_us;
    // A grid with missing values is none for what holds.
    let step_us = step_us.filter(|step| *step > 0 && n_values == span_us / step + 1).unwrap_or(0);
    let usual = hours.hours.get(hours.hours.len() / 2).filter(|_| step_us == 0);
    let n_usual = usual.map_or(0, |hour| hour.n_values);
    let foretold = Foretold { unit_us, step_us, n_usual, to_us: hours.to_us, from_us: hours.from_us };
    let mut columns: [Vec<i64>; 9] = Default::default();
    let mut trend = Vec::new();
    let (mut before, mut before_that) = (None::<&Hour>, None::<&Hour>);
    for hour in &hours.hours {
        let (held_us, area) = foretold.held_and_area(hour, before);
        let area = if step_us == 0 { foretold.even_area(hour) } else { area };
        let difference = [
            before.map_or(0, |before| hour.hour - before.hour - 1),
            hour.n_values - foretold.n_values(hour.hour),
            hour.n_flagged,
            hour.sum.checked_sub(foretell_sum(hour.n_values, before, None, hours.first))?,
            hour.last.checked_sub(foretell_last(hour, before))?,
            low_end(hour, before).checked_sub(hour.min)?,
            hour.max.checked_sub(high_end(hour, before))?,
            (held_us - hour.held_us) / unit_us,
            i64::try_from((hour.area - area) / i128::from(unit_us)).ok()?,
        ];
        columns.iter_mut().zip(difference).for_each(|(column, number)| column.push(number));
        trend.push(hour.sum.checked_sub(foretell_sum(hour.n_values, before, before_that, hours.first))?);
        (before_that, before) = (before, Some(hour));
    }
    let mut flags = if hours.is_counter { FLAG_COUNTER } else { 0 };
    let [.., sums, _, _, _, _, _] = &mut columns;
    if cost(&trend) < cost(sums) {
        flags |= FLAG_TREND;
        *sums = trend;
    }
    let mut out = vec![flags, hours.scale];
    put_len(&mut out, hours.hours.len());
    put_signed(&mut out, hours.hours.first()?.hour);
    put_signed(&mut out, hours.first);
    put_varint(&mut out, span_us.cast_unsigned());
    put_varint(&mut out, unit_us.cast_unsigned());
    put_varint(&mut out, (step_us / unit_us).cast_unsigned());
    put_signed(&mut out, n_usual);
    columns.iter().for_each(|column| put_column(&mut out, column));
    if hours.is_counter {
        put_falls(&mut out, &hours.hours);
    }
    (decode(&out, hours.from_us).as_ref() == Ok(hours)).then_some(out)
}

fn put_falls(out: &mut Vec<u8>, hours: &[Hour]) {
    let falls = || hours.iter().enumerate().filter(|(_, hour)| hour.rise_beyond != 0);
    put_len(out, falls().count());
    let mut before = 0;
    for (idx, hour) in falls() {
        put_len(out, idx - before);
        put_signed(out, hour.rise_beyond);
        before = idx;
    }
}

/// Unpacks hours of a chunk that begins at `from_us`.
pub(super) fn decode(section: &[u8], from_us: i64) -> Result<Hours, BadBytes> {
    let mut cursor = Cursor::new(section);
    let (flags, scale) = (cursor.byte()?, cursor.byte()?);
    let n = cursor.len()?;
    if flags & !(FLAG_COUNTER | FLAG_TREND) != 0 || n == 0 || n > HOURS_MAX || scale > decimal::SCALE_MAX {
        return Err(BadBytes);
    }
    let (first_hour, first) = (cursor.signed()?, cursor.signed()?);
    let mut positive = || i64::try_from(cursor.varint()?).map_err(|_| BadBytes);
    let (span_us, unit_us, step) = (positive()?, positive()?, positive()?);
    let to_us = from_us.checked_add(span_us).ok_or(BadBytes)?;
    let step_us =
        step.checked_mul(unit_us).filter(|step_us| unit_us > 0 && *step_us <= HOLD_MAX_US).ok_or(BadBytes)?;
    let n_usual = cursor.signed()?;
    let foretold = Foretold { unit_us, step_us, n_usual, to_us, from_us };
    let mut columns = Vec::with_capacity(9);
    for _ in 0..9 {
        columns.push(take_column(&mut cursor, n)?);
    }
    let [left_out, n_values, n_flagged, sum, last, below, above, not_held, area] = columns.as_slice() else {
        return Err(BadBytes);
    };
    let mut hours: Vec<Hour> = Vec::with_capacity(n);
    for idx in 0..n {
        let at = |column: &[i64]| column.get(idx).copied().ok_or(BadBytes);
        let before = hours.last();
        let before_that = hours.len().checked_sub(2).and_then(|idx| hours.get(idx));
        let trend = before_that.filter(|_| flags & FLAG_TREND != 0);
        let hour = match before {
            Some(before) if at(left_out)? >= 0 => {
                before.hour.checked_add(at(left_out)?).and_then(|hour| hour.checked_add(1))
            }
            Some(_) => None,
            None => Some(first_hour),
        };
        let hour = hour.ok_or(BadBytes)?;
        let mut hour = Hour {
            hour,
            n_values: foretold.n_values(hour).wrapping_add(at(n_values)?),
            n_flagged: at(n_flagged)?,
            ..Hour::default()
        };
        if hour.n_values <= 0 || hour.n_values > HOUR_US {
            return Err(BadBytes);
        }
        hour.sum = foretell_sum(hour.n_values, before, trend, first).wrapping_add(at(sum)?);
        hour.last = foretell_last(&hour, before).wrapping_add(at(last)?);
        hour.min = low_end(&hour, before).wrapping_sub(at(below)?);
        hour.max = high_end(&hour, before).wrapping_add(at(above)?);
        let (held_us, even_area) = foretold.held_and_area(&hour, before);
        hour.held_us = held_us.wrapping_sub(at(not_held)?.wrapping_mul(unit_us));
        let even_area = if step_us == 0 { foretold.even_area(&hour) } else { even_area };
        hour.area = even_area.wrapping_add(i128::from(at(area)?) * i128::from(unit_us));
        hours.push(hour);
    }
    let is_counter = flags & FLAG_COUNTER != 0;
    if is_counter {
        take_falls(&mut cursor, &mut hours)?;
    }
    let last = hours.last().map_or(first, |hour| hour.last);
    if cursor.is_at_end() {
        Ok(Hours { scale, is_counter, from_us, to_us, first, last, hours })
    } else {
        Err(BadBytes)
    }
}

fn take_falls(cursor: &mut Cursor<'_>, hours: &mut [Hour]) -> Result<(), BadBytes> {
    let n_falls = cursor.len()?;
    let mut at = 0_usize;
    for _ in 0..n_falls {
        at = at.checked_add(cursor.len()?).ok_or(BadBytes)?;
        hours.get_mut(at).ok_or(BadBytes)?.rise_beyond = cursor.signed()?;
    }
    Ok(())
}
