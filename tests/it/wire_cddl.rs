//! The wire against its description: `shared/giot.cddl`, read by a validator that shares no code with ours.
//!
//! Every golden message and random messages of every kind are described by it; damaged ones are not, so that the check
//! can fail. The diagnostic notation beside each golden file is kept here as well.

#[path = "../../shared/src/wire/tests/strategies.rs"]
mod strategies;

use ciborium::Value;
use giot_shared::ids::{CommandId, NodeId, Position, ValveId};
use giot_shared::metric::Metric;
use giot_shared::time::{UnixMs, UptimeMs};
use giot_shared::units::{Millilitres, Millivolts};
use giot_shared::valve::{CloseReason, RefusalReason};
use giot_shared::wire::{
    Ack, Answer, Body, Close, Downlink, ENDED_MAX, EndedEpoch, Flaw, Health, Hello, Lost, NodeKey, Open,
    Order, PAYLOAD_LEN_MAX, RECORDS_MAX, Reading, Record, Records, ResetCause, SETTINGS_LEN_MAX, Settings,
    SettingsEvent, SettingsOutcome, SettingsText, UNMET_MAX, UnmetBoot, Uplink, VALVES_MAX, ValveEvent,
    ValveReport, Welcome, seal,
};
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

const CDDL: &str = include_str!("../../shared/giot.cddl");

/// What the first word of a golden file's name, or the one after `newer`, is in the CDDL.
const RULES: [(&str, &str); 4] =
    [("uplink", "uplink"), ("downlink", "downlink"), ("sealed", "sealed-downlink"), ("record", "record")];

/// The description, parsed once: names to rules.
struct Description(cddl_cat::context::BasicContext);

impl Description {
    fn read() -> anyhow::Result<Self> {
        let rules = cddl_cat::flatten::flatten_from_str(CDDL)?;
        Ok(Self(cddl_cat::context::BasicContext::new(rules)))
    }

    /// Whether the whole of `bytes` is one item that `rule` describes.
    fn check(&self, rule: &str, bytes: &[u8]) -> anyhow::Result<()> {
        self.check_value(rule, &whole(bytes)?)
    }

    fn check_value(&self, rule: &str, value: &Value) -> anyhow::Result<()> {
        let definition = self.0.rules.get(rule).ok_or_else(|| anyhow::anyhow!("no rule {rule}"))?;
        Ok(cddl_cat::cbor::validate_cbor(definition, value, &self.0)?)
    }
}

#[test]
fn every_golden_message_is_described() -> anyhow::Result<()> {
    let description = Description::read()?;
    let golden = golden()?;
    for (name, bytes) in &golden {
        let outcome = description.check(rule_of(name)?, bytes);
        if name.starts_with("toonew") {
            anyhow::ensure!(outcome.is_err(), "{name} is of a version that this description does not know");
        } else {
            anyhow::ensure!(outcome.is_ok(), "{name}: {outcome:?}");
        }
    }
    for (_, rule) in RULES {
        let n = golden.keys().filter(|name| rule_of(name).is_ok_and(|r| r == rule)).count();
        anyhow::ensure!(n >= 3, "only {n} golden files of {rule}");
    }
    Ok(())
}

#[test]
fn every_golden_message_is_readable() -> anyhow::Result<()> {
    for (name, bytes) in golden()? {
        let path = folder().join(format!("{name}.diag"));
        let text = diagnostic(&whole(&bytes)?)?;
        if !path.exists() && std::env::var_os("GIOT_BLESS").is_some() {
            std::fs::write(&path, &text)?;
        }
        let kept = std::fs::read_to_string(&path).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
        assert_eq!(kept, text, "{name}");
    }
    Ok(())
}

#[test]
fn random_messages_are_described() -> anyhow::Result<()> {
    let description = Description::read()?;
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let check = |rule, bytes: &[u8]| {
        let fail = |e: anyhow::Error| proptest::test_runner::TestCaseError::fail(format!("{rule}: {e}"));
        description.check(rule, bytes).map_err(fail)
    };
    let full = |_| proptest::test_runner::TestCaseError::reject("does not fit");
    runner.run(&strategies::uplink(), |message| {
        check("uplink", message.encode(&mut [0; 8 * PAYLOAD_LEN_MAX]).map_err(full)?)
    })?;
    runner.run(&strategies::record(), |record| {
        check("record", record.encode(&mut [0; Record::LEN_MAX]).map_err(full)?)
    })?;
    runner.run(&(strategies::downlink(), strategies::node_id()), |(message, node)| {
        let (mut inner, mut outer) = ([0; Downlink::LEN_MAX], [0; Downlink::LEN_MAX + 64]);
        let payload = message.encode(&mut inner).map_err(full)?;
        check("downlink", payload)?;
        check("sealed-downlink", seal(&NodeKey([7; 32]), &node, payload, &mut outer).map_err(full)?)
    })?;
    Ok(())
}

/// No number, text or flag of a message of this version may be a fraction.
#[test]
fn a_part_of_another_type_is_not_described() -> anyhow::Result<()> {
    let description = Description::read()?;
    let mut n_damaged = 0;
    for (name, bytes) in golden()? {
        // Unknown parts may be anything.
        if name.starts_with("newer") || name.starts_with("toonew") {
            continue;
        }
        let rule = rule_of(&name)?;
        let intact = whole(&bytes)?;
        for n in 0.. {
            let mut damaged = intact.clone();
            let mut countdown = n;
            if !replace_leaf(&mut damaged, &mut countdown) {
                break;
            }
            n_damaged += 1;
            let outcome = description.check_value(rule, &damaged);
            anyhow::ensure!(outcome.is_err(), "{name}: passed with {}", diagnostic(&damaged)?);
        }
    }
    anyhow::ensure!(n_damaged > 300, "only {n_damaged} damaged messages");
    Ok(())
}

#[test]
fn missing_doubled_and_foreign_parts_are_not_described() -> anyhow::Result<()> {
    let description = Description::read()?;
    let golden = golden()?;
    let whole_of = |name: &str| whole(golden.get(name).map_or(&[][..], Vec::as_slice));
    let check = |name: &str, change: &str, edit: &dyn Fn(&mut Value)| -> anyhow::Result<()> {
        let mut value = whole_of(name)?;
        let intact = value.clone();
        edit(&mut value);
        anyhow::ensure!(value != intact, "{name}: nothing was changed by: {change}");
        let outcome = description.check_value(rule_of(name)?, &value);
        anyhow::ensure!(outcome.is_err(), "{name} is still described after: {change}");
        Ok(())
    };
    for name in ["uplink-hello", "uplink-records", "uplink-answer-accepted", "downlink-ack", "downlink-open"]
    {
        check(name, "no version", &|v| remove(v, &[0]))?;
        check(name, "a newer version", &|v| insert(v, &[0], Value::from(2)))?;
        check(name, "a text key", &|v| {
            entries(v, &[]).into_iter().for_each(|m| m.push((Value::from("x"), Value::from(1))));
        })?;
        check(name, "a negative key", &|v| insert(v, &[-1], Value::from(1)))?;
    }
    for key in 0..9 {
        check("uplink-hello", "a required part is gone", &|v| remove(v, &[1, key]))?;
    }
    for key in 0..4 {
        check("uplink-records", "a required part is gone", &|v| remove(v, &[2, key]))?;
    }
    for key in [0, 1, 2, 4, 5] {
        check("downlink-open", "a required part is gone", &|v| remove(v, &[4, key]))?;
    }
    for key in [0, 2, 3] {
        check("downlink-welcome", "a required part is gone", &|v| remove(v, &[2, key]))?;
    }
    check("downlink-open", "an order without counter", &|v| remove(v, &[1]))?;
    check("downlink-ack", "an ack with counter", &|v| insert(v, &[1], Value::from(3)))?;
    let answer = whole_of("uplink-answer-accepted")?;
    check("uplink-hello", "two kinds", &|v| insert(v, &[3], child(&answer, 3)))?;
    check("uplink-hello", "one kind under the key of another", &|v| {
        let hello = child(v, 1);
        remove(v, &[1]);
        insert(v, &[2], hello);
    })?;
    check("record-reading", "two bodies", &|v| insert(v, &[5], Value::from(1050)))?;
    check("record-reading", "no body", &|v| remove(v, &[2]))?;
    check("record-reading", "count 0", &|v| insert(v, &[0], Value::from(0)))?;
    check("record-reading", "a flaw of two bytes", &|v| insert(v, &[2, 4], Value::from(256)))?;
    check("record-reading", "a fraction", &|v| insert(v, &[2, 2], Value::from(23.45)))?;
    check("record-reading", "a value of 33 bits", &|v| insert(v, &[2, 2], Value::from(1_i64 << 31)))?;
    check("record-valve-closed", "a reason of two bytes", &|v| insert(v, &[3, 3], Value::from(256)))?;
    check("uplink-records", "no record", &|v| insert(v, &[2, 3], Value::Array(vec![])))?;
    let record = whole_of("record-health")?;
    check("uplink-records", "one record too many", &|v| {
        insert(v, &[2, 3], Value::Array(vec![record.clone(); RECORDS_MAX + 1]));
    })?;
    check("uplink-hello", "firmware of 17 bytes", &|v| insert(v, &[1, 7], Value::from("0123456789abcdefg")))?;
    check("sealed-open", "a short tag", &|v| set_item(v, 3, Value::Bytes(vec![0; 7])))?;
    check("sealed-open", "an unprotected header", &|v| {
        set_item(v, 1, Value::Map(vec![(Value::from(4), Value::Bytes(b"n01".to_vec()))]));
    })?;
    // { 1: 5, 4: 'n01' }: HMAC 256/256. { 1: 4 }: no key id. Then a payload that is no downlink, and none.
    check("sealed-open", "another algorithm", &|v| {
        set_item(v, 0, Value::Bytes(b"\xa2\x01\x05\x04\x43n01".into()))
    })?;
    check("sealed-open", "no key id", &|v| set_item(v, 0, Value::Bytes(b"\xa1\x01\x04".into())))?;
    check("sealed-open", "another payload", &|v| set_item(v, 2, Value::Bytes(b"\xa1\x00\x01".into())))?;
    check("sealed-open", "no payload", &|v| set_item(v, 2, Value::Bytes(vec![])))?;
    check("sealed-open", "a payload outside its bytes", &|v| set_item(v, 2, Value::Map(vec![])))?;
    Ok(())
}

#[test]
fn every_code_has_its_name_in_the_description() {
    let metrics = Metric::ALL.iter().map(|m| (m.name(), m.wire()));
    let codes = metrics
        .chain(CloseReason::ALL.iter().map(|c| (c.code(), *c as u8)))
        .chain(RefusalReason::ALL.iter().map(|c| (c.code(), *c as u8)))
        .chain(Flaw::ALL.iter().map(|c| (c.code(), *c as u8)))
        .chain(SettingsOutcome::ALL.iter().map(|c| (c.code(), *c as u8)))
        .chain(ResetCause::ALL.iter().map(|c| (c.code(), *c as u8)));
    for (name, code) in codes {
        let line = format!("\n  {}: {code},", name.replace('_', "-"));
        assert!(CDDL.contains(&line), "giot.cddl lacks{line}");
    }
}

#[test]
fn messages_of_other_devices_are_described() -> anyhow::Result<()> {
    let check = |text: &str| cddl_cat::validate_json_str("device-message", CDDL, text);
    for text in [
        r#"{"soil_moisture": 23.4}"#,
        r#"{"ts": 1700000000, "battery": 3710, "soil_moisture": null}"#,
        r#"{"ts": 1700000000123.5, "temp-1.raw": -4, "door": true}"#,
    ] {
        check(text).map_err(|error| anyhow::anyhow!("{text}: {error}"))?;
    }
    for text in [
        "{}",
        r#"{"ts": 1700000000}"#,
        r#"{"ts": "now", "soil_moisture": 1}"#,
        r#"{"soil_moisture": "23.4"}"#,
        r#"{"soil": {"moisture": 23.4}}"#,
        r#"{"": 1}"#,
        "[23.4]",
        "23.4",
    ] {
        anyhow::ensure!(check(text).is_err(), "{text} is described");
    }
    Ok(())
}

// ---- golden files ----

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/wire")
}

fn golden() -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder())? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(name) = name.strip_suffix(".hex") else { continue };
        let text: String = std::fs::read_to_string(&path)?.split_whitespace().collect();
        let bytes = (0..text.len()).step_by(2).map(|at| {
            let pair = text.get(at..at + 2).ok_or_else(|| anyhow::anyhow!("{name}: half a byte"))?;
            Ok(u8::from_str_radix(pair, 16)?)
        });
        all.insert(name.to_owned(), bytes.collect::<anyhow::Result<_>>()?);
    }
    anyhow::ensure!(all.len() > 25, "only {} golden files", all.len());
    Ok(all)
}

fn rule_of(name: &str) -> anyhow::Result<&'static str> {
    let name = name.trim_start_matches("newer-").trim_start_matches("toonew-");
    let rule = RULES.into_iter().find(|(word, _)| name.split('-').next() == Some(word));
    rule.map(|(_, rule)| rule).ok_or_else(|| anyhow::anyhow!("{name}: of which kind?"))
}

fn whole(mut bytes: &[u8]) -> anyhow::Result<Value> {
    let value = ciborium::from_reader(&mut bytes)?;
    anyhow::ensure!(bytes.is_empty(), "{} bytes after the end", bytes.len());
    Ok(value)
}

// ---- damage ----

/// Gives the `countdown`-th leaf of a value a type that it never has here; `false` when there are fewer leaves.
fn replace_leaf(value: &mut Value, countdown: &mut usize) -> bool {
    if let Value::Array(items) = value {
        return items.iter_mut().any(|item| replace_leaf(item, countdown));
    }
    if let Value::Map(entries) = value {
        return entries.iter_mut().any(|(_, item)| replace_leaf(item, countdown));
    }
    let found = *countdown == 0;
    if found {
        *value = Value::Float(0.5);
    } else {
        *countdown -= 1;
    }
    found
}

/// The map under a path of integer keys.
fn entries<'v>(value: &'v mut Value, path: &[i64]) -> Option<&'v mut Vec<(Value, Value)>> {
    let map = value.as_map_mut()?;
    match path {
        [] => Some(map),
        [key, rest @ ..] => {
            let (_, inner) = map.iter_mut().find(|(k, _)| *k == Value::from(*key))?;
            entries(inner, rest)
        }
    }
}

fn child(value: &Value, key: i64) -> Value {
    let found = value.as_map().and_then(|map| map.iter().find(|(k, _)| *k == Value::from(key)));
    found.map_or(Value::Null, |(_, inner)| inner.clone())
}

fn remove(value: &mut Value, path: &[i64]) {
    if let [path @ .., key] = path
        && let Some(map) = entries(value, path)
    {
        map.retain(|(k, _)| *k != Value::from(*key));
    }
}

fn insert(value: &mut Value, path: &[i64], new: Value) {
    remove(value, path);
    if let [path @ .., key] = path
        && let Some(map) = entries(value, path)
    {
        map.push((Value::from(*key), new));
    }
}

fn set_item(value: &mut Value, idx: usize, new: Value) {
    if let Some(item) = value.as_array_mut().and_then(|items| items.get_mut(idx)) {
        *item = new;
    }
}

// ---- diagnostic notation (RFC 8949 section 8) ----

fn diagnostic(value: &Value) -> anyhow::Result<String> {
    let mut text = String::new();
    write_value(&mut text, value, 0)?;
    text.push('\n');
    Ok(text)
}

fn write_value(text: &mut String, value: &Value, depth: usize) -> anyhow::Result<()> {
    match value {
        Value::Integer(n) => write!(text, "{}", i128::from(*n))?,
        Value::Float(n) => write!(text, "{n:?}")?,
        Value::Bool(b) => write!(text, "{b}")?,
        Value::Null => text.push_str("null"),
        Value::Text(t) => write!(text, "{t:?}")?,
        Value::Bytes(bytes) => match embedded(bytes) {
            Some(inner) => {
                text.push_str("<< ");
                write_value(text, &inner, depth)?;
                text.push_str(" >>");
            }
            None => {
                text.push_str("h'");
                bytes.iter().try_for_each(|byte| write!(text, "{byte:02x}"))?;
                text.push('\'');
            }
        },
        Value::Tag(tag, inner) => {
            write!(text, "{tag}(")?;
            write_value(text, inner, depth)?;
            text.push(')');
        }
        Value::Array(items) => {
            write_items(text, ('[', ']'), items, depth, |text, item| write_value(text, item, depth + 1))?
        }
        Value::Map(map) => write_items(text, ('{', '}'), map, depth, |text, (key, item)| {
            write_value(text, key, depth + 1)?;
            text.push_str(": ");
            write_value(text, item, depth + 1)
        })?,
        other => anyhow::bail!("no notation for {other:?}"),
    }
    Ok(())
}

/// The map inside a byte string, where there is one: headers and payloads of an envelope.
fn embedded(bytes: &[u8]) -> Option<Value> {
    whole(bytes).ok().filter(Value::is_map)
}

fn write_items<T>(
    text: &mut String,
    (open, close): (char, char),
    items: &[T],
    depth: usize,
    mut write_item: impl FnMut(&mut String, &T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    text.push(open);
    for (idx, item) in items.iter().enumerate() {
        text.push_str(if idx == 0 { "\n" } else { ",\n" });
        text.push_str(&"  ".repeat(depth + 1));
        write_item(text, item)?;
    }
    if !items.is_empty() {
        text.push('\n');
        text.push_str(&"  ".repeat(depth));
    }
    text.push(close);
    Ok(())
}
