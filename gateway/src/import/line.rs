//! Line protocol (InfluxDB reference, "line protocol"): `measurement,tag=value field=1.0,other=2i 1700000000000000000`.
//!
//! A sink's own lines come back as they were: tag `device`, tag `probe`, fields `value` and `quality`. Of other lines each field with a
//! number is a metric: named as the measurement if the field is `value`, else measurement and field. Text fields are skipped; `true` and
//! `false` are 1 and 0. Comments and the `CREATE DATABASE` of an export are skipped.

use std::collections::BTreeMap;
use std::io::BufRead;

use giot_shared::metric::Metric;

use crate::quality::Quality;

use super::{ImportError, LINE_MAX, LineError, Lines, Reading, Taker, device, metric, plausible, quality};

/// How lines are to be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choices {
    /// Device of the whole file; else the tag says it.
    pub device: Option<String>,
    /// Tag that names the device.
    pub device_tag: String,
    /// New names of metrics.
    pub map: BTreeMap<String, String>,
    /// Digits behind the second in the file's times: 9 for nanoseconds.
    pub digits: u32,
}

impl Default for Choices {
    fn default() -> Self {
        Self { device: None, device_tag: "device".to_owned(), map: BTreeMap::new(), digits: 9 }
    }
}

/// One value of one point, whatever form it came in.
#[derive(Debug)]
pub(super) struct Point<'p> {
    pub(super) measurement: &'p str,
    pub(super) tags: &'p BTreeMap<String, String>,
    pub(super) field: &'p str,
    pub(super) value: Option<f64>,
    pub(super) at_us: i64,
    pub(super) quality: Quality,
}

/// The reading of a point.
pub(super) fn reading(point: &Point<'_>, choices: &Choices) -> Result<Reading, String> {
    let Point { measurement, tags, field, value, at_us, quality } = *point;
    let named = match (&choices.device, tags.get(&choices.device_tag)) {
        (Some(fixed), _) => fixed,
        (None, Some(tag)) => tag,
        (None, None) => {
            return Err(format!("no tag {:?} for the device: --device-tag or --device", choices.device_tag));
        }
    };
    let base = if field == "value" { measurement.to_owned() } else { format!("{measurement}_{field}") };
    let name = choices.map.get(&base).cloned().unwrap_or_else(|| with_probe(&base, tags.get("probe")));
    Ok(Reading { device: device(named)?, metric: metric(&name)?, at_us: plausible(at_us)?, value, quality })
}

/// A node's series as the gateway calls it: `soil_moisture_raw` of probe 1 is `soil_moisture_1_raw`.
fn with_probe(name: &str, probe: Option<&String>) -> String {
    let (body, raw) = name.strip_suffix("_raw").map_or((name, ""), |body| (body, "_raw"));
    match probe {
        Some(probe) if probe != "0" && Metric::ALL.iter().any(|metric| metric.name() == body) => {
            format!("{body}_{probe}{raw}")
        }
        _ => name.to_owned(),
    }
}

/// Whether a line ends within the quoted text of a field. Quotes before the fields mean nothing.
fn is_in_text(line: &str) -> bool {
    let (mut is_escaped, mut is_past_tags, mut is_in_text) = (false, false, false);
    for byte in line.trim_start().bytes() {
        if std::mem::take(&mut is_escaped) {
            continue;
        }
        match byte {
            b'\\' => is_escaped = true,
            b' ' => is_past_tags = true,
            b'"' if is_past_tags => is_in_text = !is_in_text,
            _ => {}
        }
    }
    is_in_text
}

/// Hands every reading over.
///
/// # Errors
/// The file cannot be read, or `each` failed. Lines that cannot be read are handed over as errors.
pub fn read(input: impl BufRead, choices: &Choices, each: &mut Taker<'_>) -> Result<(), ImportError> {
    let mut lines = Lines::new(input);
    let mut line = String::new();
    let mut more = String::new();
    while lines.next(&mut line)? {
        let is_comment = |text: &str| text.starts_with('#') || text.starts_with("CREATE DATABASE");
        let number = lines.number();
        // A text field may have lines of its own.
        while !is_comment(line.trim())
            && is_in_text(&line)
            && line.len() < LINE_MAX
            && lines.next(&mut more)?
        {
            line.push('\n');
            line.push_str(&more);
        }
        let text = line.trim();
        if text.is_empty() || is_comment(text) {
            continue;
        }
        let n_bytes = lines.n_bytes();
        match readings(text, choices) {
            Ok(readings) => {
                readings.into_iter().try_for_each(|reading| each(number, n_bytes, Ok(reading)))?
            }
            Err(what) => each(number, n_bytes, Err(LineError { line: number, what }))?,
        }
    }
    Ok(())
}

fn readings(line: &str, choices: &Choices) -> Result<Vec<Reading>, String> {
    let missing = "not measurement,tags fields time: a time is needed";
    let (head, rest) = cut_at(line, ' ').ok_or(missing)?;
    let (fields, at) = rest.trim().rsplit_once(' ').ok_or(missing)?;
    let at: i64 = at.parse().map_err(|_| format!("time {at:?} is no whole number"))?;
    let at_us = if choices.digits > 6 {
        at.div_euclid(10_i64.pow(choices.digits - 6))
    } else {
        at.checked_mul(10_i64.pow(6 - choices.digits))
            .ok_or("a time that is too large: is the precision right?")?
    };
    let mut head = split(head, ',', false).into_iter();
    let measurement = unescape(head.next().unwrap_or_default());
    let tags = head.map(|tag| key_value(tag).map(|(key, value)| (key, unescape(value))));
    let tags: BTreeMap<String, String> = tags.collect::<Result<_, String>>()?;
    let mut numbers = Vec::new();
    let (mut found_quality, mut is_ours) = (Quality::Good, false);
    for field in split(fields.trim_end(), ',', true) {
        let (key, text) = key_value(field)?;
        if key == "quality" {
            found_quality = quality(text.trim_end_matches('i'))?;
            is_ours = true;
        } else if let Some(value) = number(text)? {
            numbers.push((key, value));
        }
    }
    if numbers.is_empty() && is_ours {
        // A reading without a value.
        let (field, value) = ("value", None);
        let point =
            Point { measurement: &measurement, tags: &tags, field, value, at_us, quality: found_quality };
        return Ok(vec![reading(&point, choices)?]);
    }
    let of = |(key, value): &(String, f64)| {
        let (field, value) = (key.as_str(), Some(*value));
        reading(
            &Point { measurement: &measurement, tags: &tags, field, value, at_us, quality: found_quality },
            choices,
        )
    };
    numbers.iter().map(of).collect()
}

/// Cuts at a separator that is not escaped and, where text may be quoted, not within quotes.
fn split(text: &str, separator: char, has_quotes: bool) -> Vec<&str> {
    let (mut parts, mut from) = (Vec::new(), 0);
    let (mut is_escaped, mut is_quoted) = (false, false);
    for (at, c) in text.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' {
            is_escaped = true;
        } else if c == '"' && has_quotes {
            is_quoted = !is_quoted;
        } else if c == separator && !is_quoted {
            parts.push(text.get(from..at).unwrap_or_default());
            from = at + c.len_utf8();
        }
    }
    parts.push(text.get(from..).unwrap_or_default());
    parts
}

/// What lies before and behind the first separator that is not escaped.
fn cut_at(text: &str, separator: char) -> Option<(&str, &str)> {
    let before = split(text, separator, false).first().copied()?;
    text.get(before.len() + separator.len_utf8()..).map(|behind| (before, behind))
}

fn key_value(text: &str) -> Result<(String, &str), String> {
    let found = cut_at(text, '=').filter(|(key, value)| !key.is_empty() && !value.is_empty());
    let (key, value) = found.ok_or_else(|| format!("{text:?} is not key=value"))?;
    Ok((unescape(key), value))
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(&next @ (',' | ' ' | '='))) => {
                out.push(next);
                chars.next();
            }
            _ => out.push(c),
        }
    }
    out
}

/// A field's number; `None` for text.
fn number(text: &str) -> Result<Option<f64>, String> {
    match text {
        "t" | "T" | "true" | "True" | "TRUE" => return Ok(Some(1.0)),
        "f" | "F" | "false" | "False" | "FALSE" => return Ok(Some(0.0)),
        _ if text.starts_with('"') => return Ok(None),
        _ => {}
    }
    let digits = text.strip_suffix(['i', 'u']).unwrap_or(text);
    match digits.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Some(value)),
        _ => Err(format!("{text:?} is no number")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sinks::line::{Mapping, push_sample};
    use giot_store::Sample;

    fn all(text: &str, choices: &Choices) -> Vec<String> {
        let mut found = Vec::new();
        read(text.as_bytes(), choices, &mut |_, _, reading| {
            found.push(match reading {
                Ok(Reading { device, metric, at_us, value, quality }) => {
                    format!("{device} {metric} {at_us} {value:?} {}", quality.code())
                }
                Err(error) => error.to_string(),
            });
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn a_text_field_may_have_lines_of_its_own() {
        let text = "note,host=a\\ \"b text=\"one \\\" two\nthree, four\",temp=1 1700000000000000000\n\
                    note,host=a temp=2 1700000060000000000\nnote,host=a text=\"never ends\n";
        let found = all(text, &Choices { device: Some("n01".to_owned()), ..Choices::default() });
        assert_eq!(
            found[..2],
            [
                "n01 note_temp 1700000000000000 Some(1.0) good",
                "n01 note_temp 1700000060000000 Some(2.0) good"
            ]
        );
        assert!(found.len() == 3 && found[2].contains("line 4"), "{found:?}");
    }

    #[test]
    fn lines_of_others_are_read_field_by_field() {
        let text = "# DDL\nCREATE DATABASE x\n\nweather,host=tram-1,loc=M\\ C temp=21.5,rain=3i,note=\"a b,c=\\\"d\\\"\",wet=t 1700000000000000000\n\
                    soil,host=tram-1 value=1e1 1700000000000000000\n";
        let choices = Choices {
            device_tag: "host".to_owned(),
            map: [("weather_temp".to_owned(), "air_temperature".to_owned())].into(),
            ..Choices::default()
        };
        let expected = [
            "tram-1 air_temperature 1700000000000000 Some(21.5) good",
            "tram-1 weather_rain 1700000000000000 Some(3.0) good",
            "tram-1 weather_wet 1700000000000000 Some(1.0) good",
            "tram-1 soil 1700000000000000 Some(10.0) good",
        ];
        assert_eq!(all(text, &choices), expected);
    }

    #[test]
    fn lines_that_cannot_be_read_are_named() {
        let cases = [
            ("m,device=a v=1", "line 1: not measurement"),
            ("m,device=a v 1700000000000000000", "line 1: \"v\" is not key=value"),
            ("m,device=a v=x 1700000000000000000", "line 1: \"x\" is no number"),
            ("m v=1 1700000000000000000", "line 1: no tag \"device\""),
            ("m,device=a v=1 17", "line 1: a time before 2000"),
            ("m,device=A! v=1 1700000000000000000", "line 1: device \"A!\""),
            ("m\\ x,device=a v=1 1700000000000000000", "line 1: metric \"m x_v\""),
        ];
        for (text, expected) in cases {
            let got = all(text, &Choices::default());
            assert!(got[0].starts_with(expected), "{text}: {got:?}");
        }
    }

    proptest! {
        #[test]
        fn what_a_sink_is_sent_comes_back(
            value in prop::option::of(any::<f64>().prop_filter("finite", |value| value.is_finite())), quality in 0_u8..6,
            metric in prop_oneof![Just("soil_moisture"), Just("soil_moisture_2"), Just("soil_moisture_1_raw"), Just("pm2_5")],
            cooperative in "[ -~ăâđêôơưỗ]{0,20}", at_ms in 1_000_000_000_000_i64..2_000_000_000_000,
        ) {
            let mapping = Mapping { cooperative, gateway: "g=,".to_owned(), ..Mapping::default() };
            let Ok(series) = mapping.series("n01", metric) else { return Ok(()) };
            let mut line = Vec::new();
            push_sample(&series, &Sample { at_us: at_ms * 1_000, value, quality }, &mut line);
            let got = all(&String::from_utf8(line).unwrap(), &Choices { digits: 6, ..Choices::default() });
            let code = Quality::from_byte(quality).code();
            prop_assert_eq!(got, [format!("n01 {metric} {} {value:?} {code}", at_ms * 1_000)]);
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,60}") {
            drop(all(&text, &Choices::default()));
        }
    }
}
