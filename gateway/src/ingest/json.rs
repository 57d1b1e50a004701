//! Any device: one flat JSON object whose numbers are values; the key is the metric's name.
//!
//! ```json
//! {"ts": 1700000000, "soil_moisture": 23.4, "battery": 3.71}
//! ```
//! `ts` is optional civil time in s, ms, µs or ns since 1970, told apart by size; without it the arrival counts. `null`
//! is a reading that failed. Booleans count as 0 and 1. Text and nested values are skipped and counted, so that a chatty
//! device does not lose its numbers.

use super::{Sample, is_metric_name};
use crate::quality::Quality;
use giot_engine::Age;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Most keys of one message: above it a device is broken or hostile.
pub const KEYS_MAX: usize = 64;

/// Longest message, bytes.
pub const LEN_MAX: usize = 16 * 1024;

/// A `ts` further ahead of the gateway than this is a wrong clock: one day allows for a wrong time zone.
const AHEAD_MAX_US: i64 = 86_400_000_000;

/// A `ts` before this is a clock that was never set: 2000-01-01T00:00:00Z.
const SINCE_US: i64 = 946_684_800_000_000;

/// Most interned names: bounded against a device that invents keys (P9).
const NAMES_MAX: usize = 4096;

/// Why a message gives no samples at all.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// More than [`LEN_MAX`] bytes.
    #[error("longer than {LEN_MAX} bytes")]
    TooLong,
    /// No JSON object; the text says where.
    #[error("no flat JSON object: {0}")]
    Syntax(#[from] serde_json::Error),
    /// More than [`KEYS_MAX`] keys.
    #[error("more than {KEYS_MAX} keys")]
    TooManyKeys,
    /// No key with a number.
    #[error("no key with a number")]
    NoNumbers,
}

/// One decoded message.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// Every number of the message, in the order it came.
    pub samples: Vec<Sample>,
    /// Keys that were skipped: text, nested values, names that are no metric.
    pub n_skipped: usize,
}

/// Metric names seen so far, so that a busy device's keys are not allocated anew for every message.
#[derive(Debug, Default)]
pub struct Names {
    known: BTreeMap<Box<str>, Arc<str>>,
}

impl Names {
    /// The shared text of a name.
    pub fn intern(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        let shared: Arc<str> = name.into();
        if self.known.len() < NAMES_MAX {
            self.known.insert(name.into(), shared.clone());
        }
        shared
    }
}

/// Decodes a payload that arrived at `now_us`.
///
/// # Errors
/// [`JsonError`] when nothing of the message can be kept.
pub fn decode(payload: &[u8], now_us: i64, names: &mut Names) -> Result<Decoded, JsonError> {
    if payload.len() > LEN_MAX {
        return Err(JsonError::TooLong);
    }
    let Flat { numbers, ts, n_keys, mut n_skipped } = serde_json::from_slice(payload)?;
    if n_keys > KEYS_MAX {
        return Err(JsonError::TooManyKeys);
    }
    let ts = match ts {
        None => None,
        Some(Scalar::Number(ts)) => Some(to_us(ts)),
        Some(Scalar::Time(at_us)) => Some(Some(at_us)),
        Some(Scalar::Null | Scalar::Other) => Some(None),
    };
    let (at_us, age, time_is_sure) = match ts {
        None => (now_us, Age::Counted(0), true),
        Some(Some(ts)) if (SINCE_US..=now_us.saturating_add(AHEAD_MAX_US)).contains(&ts) => {
            (ts, Age::Dated, true)
        }
        Some(_) => (now_us, Age::Unknown, false),
    };
    let mut samples = Vec::with_capacity(numbers.len());
    for (key, value) in numbers {
        if !is_metric_name(&key) {
            n_skipped += 1;
            continue;
        }
        let quality = match (value, time_is_sure) {
            (None, _) => Quality::Missing,
            (Some(_), true) => Quality::Good,
            (Some(_), false) => Quality::UncertainTime,
        };
        samples.push(Sample { metric: names.intern(&key), at_us, age, value, quality });
    }
    if samples.is_empty() { Err(JsonError::NoNumbers) } else { Ok(Decoded { samples, n_skipped }) }
}

/// Seconds, milli-, micro- or nanoseconds by size: the ranges cover the years 1973 to 5138 without overlap.
fn to_us(ts: f64) -> Option<i64> {
    let us = match ts.abs() {
        size if size < 1e11 => ts * 1e6,
        size if size < 1e14 => ts * 1e3,
        size if size < 1e17 => ts,
        _ => ts / 1e3,
    };
    // A double holds microseconds exactly until the year 2255.
    #[expect(clippy::cast_possible_truncation, reason = "range checked")]
    (us.is_finite() && us.abs() < 9.0e15).then(|| us.round() as i64)
}

/// The numbers of a flat object, and what else was in it.
struct Flat<'p> {
    numbers: Vec<(Cow<'p, str>, Option<f64>)>,
    /// Whatever stands under `ts`.
    ts: Option<Scalar>,
    n_keys: usize,
    n_skipped: usize,
}

impl<'de> Deserialize<'de> for Flat<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FlatVisitor)
    }
}

struct FlatVisitor;

impl<'de> Visitor<'de> for FlatVisitor {
    type Value = Flat<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object of numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Flat<'de>, A::Error> {
        let mut flat = Flat { numbers: Vec::with_capacity(8), ts: None, n_keys: 0, n_skipped: 0 };
        while let Some(Key(key)) = map.next_key()? {
            flat.n_keys += 1;
            if flat.n_keys > KEYS_MAX {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            match (map.next_value::<Scalar>()?, &*key) {
                (ts, "ts") => flat.ts = Some(ts),
                (Scalar::Number(number), _) => flat.numbers.push((key, Some(number))),
                (Scalar::Time(_) | Scalar::Other, _) => flat.n_skipped += 1,
                (Scalar::Null, _) => flat.numbers.push((key, None)),
            }
        }
        Ok(flat)
    }
}

/// A key, borrowed from the payload where it has no escapes.
struct Key<'p>(Cow<'p, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

enum Scalar {
    Number(f64),
    /// A text that is a time by RFC 3339, in microseconds since 1970.
    Time(i64),
    Null,
    Other,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        Ok(if number.is_finite() { Scalar::Number(number) } else { Scalar::Null })
    }

    #[expect(clippy::cast_precision_loss, reason = "JSON numbers are doubles to most devices")]
    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "JSON numbers are doubles to most devices")]
    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number as f64))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Number(if value { 1.0 } else { 0.0 }))
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        let time = chrono::DateTime::parse_from_rfc3339(text);
        Ok(time.map_or(Scalar::Other, |time| Scalar::Time(time.timestamp_micros())))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_800_000_000_000_000;

    fn read(text: &str) -> Decoded {
        decode(text.as_bytes(), NOW_US, &mut Names::default()).expect("a good message")
    }

    #[test]
    fn a_time_is_a_number_or_a_text_by_rfc_3339_and_anything_else_is_uncertain() {
        let at = |text: &str| {
            let sample = &read(text).samples[0];
            (sample.at_us, sample.quality)
        };
        let sure = (1_700_000_005_000_000, Quality::Good);
        assert_eq!(at(r#"{"ts":1700000005,"q":3}"#), sure);
        assert_eq!(at(r#"{"ts":"2023-11-14T22:13:25Z","q":3}"#), sure);
        assert_eq!(at(r#"{"ts":"2023-11-15T05:13:25+07:00","q":3}"#), sure);
        for ts in [r#""yesterday""#, r#""1700000005""#, "null", "[1]", "{}", r#""2099-01-01T00:00:00Z""#] {
            assert_eq!(at(&format!(r#"{{"q":3,"ts":{ts}}}"#)), (NOW_US, Quality::UncertainTime), "{ts}");
        }
    }

    fn values(text: &str) -> Vec<(String, Option<f64>, Quality)> {
        read(text).samples.into_iter().map(|s| (s.metric.to_string(), s.value, s.quality)).collect()
    }

    #[test]
    fn numbers_become_samples() {
        assert_eq!(
            values(r#"{"soil_moisture":23.4,"valve":0,"on":true,"t":-1.5,"broken":null}"#),
            [
                ("soil_moisture".to_owned(), Some(23.4), Quality::Good),
                ("valve".to_owned(), Some(0.0), Quality::Good),
                ("on".to_owned(), Some(1.0), Quality::Good),
                ("t".to_owned(), Some(-1.5), Quality::Good),
                ("broken".to_owned(), None, Quality::Missing),
            ]
        );
    }

    #[test]
    fn times_are_told_apart_by_size() {
        for ts in ["1700000000", "1700000000000", "1700000000000000", "1700000000000000000", "1.7e9"] {
            let got = read(&format!("{{\"ts\":{ts},\"x\":1}}"));
            assert_eq!(got.samples.first().map(|s| s.at_us), Some(1_700_000_000_000_000), "{ts}");
        }
        assert_eq!(read(r#"{"x":1}"#).samples.first().map(|s| s.at_us), Some(NOW_US));
    }

    #[test]
    fn a_wrong_clock_keeps_the_value_at_its_arrival() {
        for ts in ["0", "-5", "1e300", "1900000000"] {
            let got = read(&format!("{{\"ts\":{ts},\"x\":1}}"));
            let sample = got.samples.first().expect("kept");
            assert_eq!((sample.at_us, sample.quality), (NOW_US, Quality::UncertainTime), "{ts}");
        }
    }

    #[test]
    fn what_is_no_number_is_skipped_and_counted() {
        let got = read(r#"{"x":1,"name":"abc","pos":[1,2],"in":{"a":1},"bad key":3,"esc\u0061ped":2}"#);
        assert_eq!(got.n_skipped, 4);
        assert_eq!(got.samples.iter().map(|s| &*s.metric).collect::<Vec<_>>(), ["x", "escaped"]);
    }

    #[test]
    fn nonsense_is_refused_without_panic() {
        let mut names = Names::default();
        for bad in ["", "[]", "1", "{", "{\"a\":}", "{}", "{\"a\":\"b\"}", "nul", "{\"a\":1}x", "\u{feff}{}"]
        {
            assert!(decode(bad.as_bytes(), NOW_US, &mut names).is_err(), "{bad:?}");
        }
        assert!(matches!(decode(&vec![b' '; LEN_MAX + 1], NOW_US, &mut names), Err(JsonError::TooLong)));
        let many: Vec<_> = (0..=KEYS_MAX).map(|i| format!("\"k{i}\":{i}")).collect();
        let many = format!("{{{}}}", many.join(","));
        assert!(matches!(decode(many.as_bytes(), NOW_US, &mut names), Err(JsonError::TooManyKeys)));
    }

    #[test]
    fn decimals_are_read_exactly() {
        let got = values(r#"{"a":0.1,"b":123456.789,"c":5e-324,"d":9007199254740993}"#);
        assert_eq!(got.first().map(|v| v.1), Some(Some(0.1)));
        assert_eq!(got.get(1).map(|v| v.1), Some(Some(123_456.789)));
        assert_eq!(got.get(2).map(|v| v.1), Some(Some(5e-324)));
    }
}
