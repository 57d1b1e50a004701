//! The blob of summed-up spans of one series: what stays of readings that were given up.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | varint | number of spans |
//! | signed varint, varint | beginning of the first, µs; length of each, µs |
//! | section | from beginning to beginning, in lengths: varints |
//! | sections | values; flagged values (varints each); time from the last sample, if it had a value, to the end of its span, else 0 (differences from span to span, signed varints, µs) |
//! | values | smallest; largest; last (as in chunks; 0 where a span has no value) |
//! | section | time not held (signed varints, µs) |
//! | section, values, three times | sums, areas, rises: ten-thousandths (signed varints of 128 bits), then what is no decimal; of an area only what differs from sum × time held ÷ values |
//!
//! "Values" and sections are as in the chunk's blob; the row's CRC-32 covers them together with the row's series, range and count. A new
//! layout takes the next version number. Must not know SQLite. Invariants: numbers come back bit for bit; foreign bytes are an error
//! value, never a panic.

use super::super::bytes::{BadBytes, Cursor, put_signed, put_varint};
use super::super::tally::{Sum, Tally};
use super::values::{Learnt, as_decimals, put_values, take_packed};
use super::{Effort, put_len, put_section, take_section};

const VERSION: u8 = 1;

/// Most spans of a blob: ten days of hours, or most of a year of days, make a few kilobytes.
pub(in super::super) const SPANS_MAX: usize = 512;

/// Packs `spans`: ascending, at most [`SPANS_MAX`], each `span_us` long, beginning a whole number of lengths apart.
pub(in super::super) fn encode(spans: &[Tally], span_us: i64) -> Vec<u8> {
    let mut out = vec![VERSION];
    let first_us = spans.first().map_or(0, |span| span.from_us);
    put_len(&mut out, spans.len());
    put_signed(&mut out, first_us);
    put_varint(&mut out, span_us.unsigned_abs());
    let mut before_us = first_us;
    section(&mut out, spans, |out, span| {
        put_varint(out, (span.from_us - before_us).unsigned_abs() / span_us.unsigned_abs().max(1));
        before_us = span.from_us;
    });
    section(&mut out, spans, |out, span| put_varint(out, span.n_values));
    section(&mut out, spans, |out, span| put_varint(out, span.n_flagged));
    let mut open_us = 0;
    section(&mut out, spans, |out, span| {
        put_signed(out, span.open_us.wrapping_sub(open_us));
        open_us = span.open_us;
    });
    let has_value = |span: &Tally, value: f64| if span.n_values == 0 { 0.0 } else { value };
    column(&mut out, spans.iter().map(|span| has_value(span, span.min)).collect());
    column(&mut out, spans.iter().map(|span| has_value(span, span.max)).collect());
    column(&mut out, spans.iter().map(|span| has_value(span, span.last)).collect());
    section(&mut out, spans, |out, span| put_signed(out, span_us.wrapping_sub(span.held_us)));
    section(&mut out, spans, |out, span| put_wide(out, span.sum.exact));
    column(&mut out, spans.iter().map(|span| span.sum.rest).collect());
    section(&mut out, spans, |out, span| put_wide(out, span.area.exact.wrapping_sub(even_area(span))));
    column(&mut out, spans.iter().map(|span| span.area.rest).collect());
    section(&mut out, spans, |out, span| put_wide(out, span.rise.exact));
    column(&mut out, spans.iter().map(|span| span.rise.rest).collect());
    out
}

/// The area as if values did not depend on how long they held.
fn even_area(span: &Tally) -> i128 {
    let product = span.sum.exact.checked_mul(span.held_us.into()).unwrap_or(0);
    product.checked_div(span.n_values.into()).unwrap_or(0)
}

fn section(out: &mut Vec<u8>, spans: &[Tally], mut put: impl FnMut(&mut Vec<u8>, &Tally)) {
    let mut bytes = Vec::new();
    spans.iter().for_each(|span| put(&mut bytes, span));
    put_section(out, &bytes);
}

fn column(out: &mut Vec<u8>, values: Vec<f64>) {
    let decimals = as_decimals(&values);
    put_values(out, &values, decimals, Effort::Thorough, &mut Learnt::default());
}

/// A signed number of 128 bits: zigzag, seven bits a byte, lowest first.
fn put_wide(out: &mut Vec<u8>, value: i128) {
    let mut rest = (value << 1 ^ value >> 127).cast_unsigned();
    while rest > 0x7f {
        out.push(0x80 | u8::try_from(rest & 0x7f).unwrap_or(0));
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap_or(0));
}

fn take_wide(cursor: &mut Cursor<'_>) -> Result<i128, BadBytes> {
    let mut value = 0_u128;
    for shift in (0..133).step_by(7) {
        let byte = cursor.byte()?;
        let bits = u128::from(byte & 0x7f);
        let placed = bits.checked_shl(shift).unwrap_or(0);
        if placed >> shift != bits {
            return Err(BadBytes);
        }
        value |= placed;
        if byte & 0x80 == 0 {
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    Err(BadBytes)
}

/// Unpacks a blob: the spans and the length of each.
pub(in super::super) fn decode(blob: &[u8]) -> Result<(Vec<Tally>, i64), BadBytes> {
    let mut cursor = Cursor::new(blob);
    if cursor.byte()? != VERSION {
        return Err(BadBytes);
    }
    let n = cursor.len()?;
    let first_us = cursor.signed()?;
    let span_us = i64::try_from(cursor.varint()?).map_err(|_| BadBytes)?;
    if n == 0 || n > SPANS_MAX || span_us == 0 {
        return Err(BadBytes);
    }
    let mut spans = vec![Tally::new(first_us); n];
    let mut at_us = first_us;
    let mut is_first = true;
    each(&mut cursor, &mut spans, |bytes, span| {
        let step = i64::try_from(bytes.varint()?).map_err(|_| BadBytes)?;
        if (step == 0) != is_first {
            return Err(BadBytes);
        }
        is_first = false;
        at_us = step.checked_mul(span_us).and_then(|step_us| at_us.checked_add(step_us)).ok_or(BadBytes)?;
        span.from_us = at_us;
        Ok(())
    })?;
    at_us.checked_add(span_us).ok_or(BadBytes)?;
    each(&mut cursor, &mut spans, |bytes, span| bytes.varint().map(|n| span.n_values = n))?;
    each(&mut cursor, &mut spans, |bytes, span| bytes.varint().map(|n| span.n_flagged = n))?;
    let mut open_us = 0_i64;
    each(&mut cursor, &mut spans, |bytes, span| {
        open_us = open_us.wrapping_add(bytes.signed()?);
        span.open_us = open_us;
        Ok(())
    })?;
    let extremes: [fn(&mut Tally, f64); 3] =
        [|span, value| span.min = value, |span, value| span.max = value, |span, value| span.last = value];
    for set in extremes {
        let values = take_packed(&mut cursor)?.unpack(n)?;
        spans.iter_mut().zip(values).filter(|(span, _)| span.n_values > 0).for_each(|(span, value)| {
            set(span, value);
        });
    }
    each(&mut cursor, &mut spans, |bytes, span| {
        span.held_us = span_us.wrapping_sub(bytes.signed()?);
        Ok(())
    })?;
    let sums: [fn(&mut Tally) -> &mut Sum; 3] =
        [|span| &mut span.sum, |span| &mut span.area, |span| &mut span.rise];
    for (idx, sum) in sums.into_iter().enumerate() {
        each(&mut cursor, &mut spans, |bytes, span| {
            let foretold = if idx == 1 { even_area(span) } else { 0 };
            sum(span).exact = take_wide(bytes)?.wrapping_add(foretold);
            Ok(())
        })?;
        let rests = take_packed(&mut cursor)?.unpack(n)?;
        spans.iter_mut().zip(rests).for_each(|(span, rest)| sum(span).rest = rest);
    }
    if cursor.is_at_end() { Ok((spans, span_us)) } else { Err(BadBytes) }
}

/// Reads one section, a number or more for each span.
fn each(
    cursor: &mut Cursor<'_>,
    spans: &mut [Tally],
    mut take: impl FnMut(&mut Cursor<'_>, &mut Tally) -> Result<(), BadBytes>,
) -> Result<(), BadBytes> {
    let mut bytes = Cursor::new(take_section(cursor)?);
    for span in spans {
        take(&mut bytes, span)?;
    }
    if bytes.is_at_end() { Ok(()) } else { Err(BadBytes) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::tally::{HOUR_US, Spans, Tallier};
    use super::super::super::types::Point;
    use super::*;

    /// Hours of made-up points, as retention makes them.
    fn hours(points: &[(u32, Option<f64>, u8)]) -> Vec<Tally> {
        let mut tallier = Tallier::new(Spans::Hours);
        let mut at_us = 1_700_000_000_000_000;
        for (step_s, value, quality) in points {
            at_us += i64::from(*step_s) * 1_000_000;
            tallier.add(&Point::new(at_us, *value, *quality));
        }
        tallier.finish_tallies()
    }

    fn points() -> impl Strategy<Value = Vec<(u32, Option<f64>, u8)>> {
        let value = prop_oneof![
            3 => (-5_000_i32..5_000).prop_map(|m| Some(f64::from(m) / 10.0)),
            1 => any::<f64>().prop_map(|value| (!value.is_nan()).then_some(value)),
            1 => Just(None),
        ];
        let step_s = prop_oneof![4 => 1_u32..600, 1 => 1_u32..20_000];
        prop::collection::vec((step_s, value, prop_oneof![Just(0_u8), any::<u8>()]), 1..60)
    }

    proptest! {
        #[test]
        fn spans_come_back_bit_for_bit(points in points()) {
            let spans = hours(&points);
            // A missing reading alone is no hour.
            prop_assume!(!spans.is_empty());
            let (back, span_us) = decode(&encode(&spans, HOUR_US)).unwrap();
            prop_assert_eq!(span_us, HOUR_US);
            prop_assert_eq!(format!("{back:?}"), format!("{spans:?}"));
        }

        #[test]
        fn damage_is_an_error_not_a_panic(points in points(), at in any::<prop::sample::Index>(), bit in 0_u32..8) {
            let spans = hours(&points);
            prop_assume!(!spans.is_empty());
            let mut blob = encode(&spans, HOUR_US);
            for n in 0..blob.len() {
                prop_assert!(decode(&blob[..n]).is_err());
            }
            let at = at.index(blob.len());
            blob[at] ^= 1_u8 << bit;
            prop_assert!(decode(&blob).map_or(0, |(spans, _)| spans.len()) <= SPANS_MAX);
        }
    }

    #[test]
    fn wide_numbers_come_back() {
        for value in [0, 1, -1, 63, -64, 64, i128::MAX, i128::MIN, i128::from(i64::MAX) + 1] {
            let mut out = Vec::new();
            put_wide(&mut out, value);
            let mut cursor = Cursor::new(&out);
            assert_eq!(take_wide(&mut cursor), Ok(value));
            assert!(cursor.is_at_end());
            assert_eq!(take_wide(&mut Cursor::new(&out[..out.len() - 1])), Err(BadBytes));
        }
        assert_eq!(take_wide(&mut Cursor::new(&[0xff; 19])), Err(BadBytes));
    }

    #[test]
    fn an_hour_of_a_usual_series_takes_few_bytes() {
        let points: Vec<_> = (0..14_400_u32)
            .map(|n| (60, Some(f64::from(2_000 + n * 7_919 % 5 + n / 60 % 24) / 100.0), 0))
            .collect();
        let spans = hours(&points);
        let n_bytes = encode(&spans, HOUR_US).len();
        assert!(n_bytes < spans.len() * 24, "{n_bytes} bytes for {} hours", spans.len());
    }

    /// The layout of version 1: what old folders hold must stay readable.
    #[test]
    fn version_one_stays_what_it_is() {
        let spans =
            hours(&[(0, Some(20.5), 0), (60, Some(21.0), 4), (3_600, None, 4), (1_200, Some(7.25), 0)]);
        let hex: String = encode(&spans, HOUR_US).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, GOLDEN);
        assert_eq!(decode(&super::super::tests::unhex(GOLDEN)).unwrap().0.len(), spans.len());
    }

    const GOLDEN: &str = concat!(
        "010280e0f986fd88850680c8ceb40d0200010202010201000a80d488b514ffafb4f8080202048420d914020204e820bd",
        "15020204e820bd150a80a0f8fa0580d488b51406b0d432e8ec0802000200000e80e0f5f1fe85038090f59387e335020002000005904ee8ec080200020000"
    );
}
