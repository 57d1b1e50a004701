//! Between the engine's plain types and the store's text: reasons, memories, diary entries. Pure.

use crate::store::{DiaryEntry, ValveEventRow};
use giot_engine::{ArgValue, By, Entry, Lock, OpenMemory, Reason, Rest, ZoneMemory};
use giot_shared::ids::{CommandId, NodeId};
use giot_shared::time::UnixMs;
use serde_json::{Map, Value, json};

use crate::ingest::node::DatedValve;

/// A reason's arguments as people read them: moisture in %, spans in s; the store keeps them so.
#[must_use]
pub fn args_for_people(reason: &Reason) -> Map<String, Value> {
    let value = |value: ArgValue| match value {
        ArgValue::Int(int) => json!(int),
        ArgValue::Permyriad(permyriad) => json!(f64::from(permyriad) / 100.0),
        ArgValue::Seconds(seconds) => json!(seconds),
        ArgValue::Text(text) => json!(text),
    };
    reason.args().into_iter().map(|arg| (arg.name.to_owned(), value(arg.value))).collect()
}

/// A diary entry as the store keeps it. `recorded_us` is the gateway's clock as it reads, set or not.
#[must_use]
pub fn diary_entry(entry: &Entry, recorded_us: i64) -> DiaryEntry {
    let (by, person) = match &entry.by {
        By::Engine => ("engine", None),
        By::Person(name) => ("person", Some(name.clone())),
        By::Node => ("node", None),
    };
    DiaryEntry {
        at_us: entry.at.map(|at| at.0.saturating_mul(1000)),
        recorded_us,
        zone: entry.zone.as_ref().map(ToString::to_string),
        event: entry.event.code().to_owned(),
        command: entry.command.map(|command| command.0),
        by: by.to_owned(),
        person,
        reason: entry.reason.code().to_owned(),
        args: Value::Object(args_for_people(&entry.reason)).to_string(),
        run_ms: entry.run_ms,
        volume_ml: entry.volume.map(|volume| u64::from(volume.0)),
    }
}

/// A valve event as the store keeps it.
#[must_use]
pub fn valve_row(node: &NodeId, event: &DatedValve) -> ValveEventRow {
    ValveEventRow {
        node: node.as_str().into(),
        valve: event.valve.0,
        at_us: event.at.0.saturating_mul(1000),
        uncertainty_us: event.uncertainty_ms.saturating_mul(1000),
        open: event.open,
        command: event.command.map(|command| command.0),
        closed_by: event.closed_by.map(|reason| reason.code().to_owned()),
        run_ms: event.run_ms,
        volume_ml: event.volume.map(|volume| u64::from(volume.0)),
        epoch: event.position.epoch,
        seq: u64::from(event.position.seq),
    }
}

/// A zone's memory as the store keeps it.
#[must_use]
pub fn memory_to_json(memory: &ZoneMemory) -> String {
    let unix = |at: Option<UnixMs>| at.map(|at| at.0);
    json!({
        "lock": memory.lock.as_ref().map(|lock| json!({ "by": lock.by, "note": lock.note })),
        "fault": memory.fault.as_ref().map(reason_to_json),
        "failures": memory.failures,
        "paused_until": unix(memory.paused_until),
        "rest": memory.rest.as_ref().map(|rest| json!({ "by": rest.by, "until": unix(rest.until) })),
        "last_closed_at": unix(memory.last_closed_at),
        "open": memory.open.map(|open| json!({
            "command": open.command.0, "run_s": open.run_s, "until": unix(open.until), "manual": open.manual,
        })),
    })
    .to_string()
}

/// What [`memory_to_json`] wrote; `None` for anything else.
#[must_use]
pub fn memory_from_json(text: &str) -> Option<ZoneMemory> {
    let value: Value = serde_json::from_str(text).ok()?;
    let value = value.as_object()?;
    let unix = |value: Option<&Value>| value.and_then(Value::as_i64).map(UnixMs);
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let present = |key: &str| value.get(key).filter(|value| !value.is_null());
    Some(ZoneMemory {
        lock: match present("lock") {
            Some(lock) => Some(Lock { by: text(lock, "by")?, note: text(lock, "note")? }),
            None => None,
        },
        fault: match present("fault") {
            Some(fault) => Some(reason_from_json(fault)?),
            None => None,
        },
        failures: u32::try_from(value.get("failures")?.as_u64()?).ok()?,
        paused_until: unix(value.get("paused_until")),
        rest: match present("rest") {
            Some(rest) => Some(Rest { by: text(rest, "by")?, until: unix(rest.get("until")) }),
            None => None,
        },
        last_closed_at: unix(value.get("last_closed_at")),
        open: match present("open") {
            Some(open) => Some(OpenMemory {
                command: CommandId(open.get("command")?.as_u64()?),
                run_s: u32::try_from(open.get("run_s")?.as_u64()?).ok()?,
                until: unix(open.get("until")),
                manual: open.get("manual")?.as_bool()?,
            }),
            None => None,
        },
    })
}

/// Typed, so that the same reason comes back: `{"code": …, "args": {name: [kind, value]}}`.
fn reason_to_json(reason: &Reason) -> Value {
    let value = |value: ArgValue| match value {
        ArgValue::Int(int) => json!(["int", int]),
        ArgValue::Permyriad(permyriad) => json!(["permyriad", permyriad]),
        ArgValue::Seconds(seconds) => json!(["s", seconds]),
        ArgValue::Text(text) => json!(["text", text]),
    };
    let args: Map<_, _> =
        reason.args().into_iter().map(|arg| (arg.name.to_owned(), value(arg.value))).collect();
    json!({ "code": reason.code(), "args": args })
}

fn reason_from_json(value: &Value) -> Option<Reason> {
    let args = value.get("args")?.as_object()?;
    Reason::from_parts(value.get("code")?.as_str()?, |name| {
        let typed = args.get(name)?.as_array()?;
        let value = typed.get(1)?;
        match typed.first()?.as_str()? {
            "int" => value.as_i64().map(ArgValue::Int),
            "permyriad" => u16::try_from(value.as_u64()?).ok().map(ArgValue::Permyriad),
            "s" => value.as_u64().map(ArgValue::Seconds),
            "text" => value.as_str().map(|text| ArgValue::Text(text.to_owned())),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_comes_back_whole() {
        let empty = ZoneMemory::default();
        assert_eq!(memory_from_json(&memory_to_json(&empty)), Some(empty));
        let full = ZoneMemory {
            lock: Some(Lock { by: "Minh".to_owned(), note: "thay van".to_owned() }),
            fault: Some(Reason::CommandUnanswered { waited_s: 30, attempts: 3 }),
            failures: 3,
            paused_until: Some(UnixMs(5)),
            rest: Some(Rest { by: "Hoa".to_owned(), until: None }),
            last_closed_at: Some(UnixMs(-1)),
            open: Some(OpenMemory {
                command: CommandId(77),
                run_s: 600,
                until: Some(UnixMs(9)),
                manual: true,
            }),
        };
        assert_eq!(memory_from_json(&memory_to_json(&full)), Some(full));
    }

    #[test]
    fn what_is_no_memory_is_refused() {
        for bad in ["", "{}", "[]", "{\"failures\":-1}", "{\"failures\":1,\"lock\":{}}"] {
            assert_eq!(memory_from_json(bad), None, "{bad}");
        }
    }

    #[test]
    fn people_read_percent() {
        let moisture = |permyriad| giot_shared::units::MoisturePermyriad::new(permyriad).expect("in range");
        let reason = Reason::SoilDry { moisture: moisture(2195), start_below: moisture(2200) };
        assert_eq!(
            Value::Object(args_for_people(&reason)),
            json!({ "moisture": 21.95, "start_below": 22.0 })
        );
    }
}
