//! What zones and programs must not forget, as the store keeps it: JSON under a name. Pure.
//!
//! One row a zone under its id, one a program under `program/ID`, one a source under `source/ID`, one for the farm under `farm/`; ids have no slash. What
//! cannot be read counts as never kept: the engine then waits the whole span again.

use giot_engine::program::{Control, FarmState, Percent};
use giot_engine::{
    ArgValue, Errand, GuardMemory, Lock, Memory, NodeRun, OpenMemory, Reason, Rest, RunMemory, SourceMemory,
    ZoneMemory,
};
use giot_shared::ids::CommandId;
use giot_shared::time::UnixMs;
use giot_shared::units::Millilitres;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The row of the farm.
pub(super) const FARM_ROW: &str = "farm/";
/// The row of the guards.
pub(super) const GUARDS_ROW: &str = "guards/";
const PROGRAM_ROW: &str = "program/";
/// How long a run waits for its turn that was kept without a latest moment.
const WAIT_MS: u64 = 6 * 3600 * 1000;
const SOURCE_ROW: &str = "source/";

/// The row of a source.
#[must_use]
pub(super) fn source_row(source: &giot_engine::SourceId) -> String {
    format!("{SOURCE_ROW}{source}")
}

/// The row of a program.
#[must_use]
pub(super) fn program_row(program: &giot_engine::ProgramId) -> String {
    format!("{PROGRAM_ROW}{program}")
}

/// Everything that the rows hold.
pub(crate) fn memory_from_rows(rows: impl IntoIterator<Item = (String, String)>) -> Memory {
    let mut memory = Memory::default();
    for (name, text) in rows {
        if name == FARM_ROW {
            memory.farm = farm_from_json(&text).unwrap_or_default();
        } else if name == GUARDS_ROW {
            memory.guards = guards_from_json(&text).unwrap_or_default();
        } else if let Some(program) = name.strip_prefix(PROGRAM_ROW).and_then(|id| id.parse().ok()) {
            memory.programs.extend(control_from_json(&text).map(|control| (program, control)));
        } else if let Some(source) = name.strip_prefix(SOURCE_ROW).and_then(|id| id.parse().ok()) {
            memory.sources.extend(source_from_json(&text).map(|kept| (source, kept)));
        } else if let Ok(zone) = name.parse() {
            memory.zones.extend(memory_from_json(&text).map(|kept| (zone, kept)));
        }
    }
    memory
}

/// A zone's memory as the store keeps it.
#[must_use]
pub(super) fn memory_to_json(memory: &ZoneMemory) -> String {
    let unix = |at: Option<UnixMs>| at.map(|at| at.0);
    json!({
        "lock": memory.lock.as_ref().map(|lock| json!({ "by": lock.by, "note": lock.note })),
        "fault": memory.fault.as_ref().map(reason_to_json),
        "failures": memory.failures,
        "paused_until": unix(memory.paused_until),
        "rest": memory.rest.as_ref().map(|rest| json!({ "by": rest.by, "until": unix(rest.until) })),
        "last_closed_at": unix(memory.last_closed_at),
        "last_was_set": memory.last_was_set,
        "open": memory.open.map(open_to_json),
        "errands": memory.errands.iter().map(errand_to_json).collect::<Vec<_>>(),
        "run": memory.run.as_ref().map(|run| {
            json!({ "errand": errand_to_json(&run.errand), "started_at": run.started_at.0 })
        }),
        "node_run_s": memory.node_run_s,
    })
    .to_string()
}

/// What [`memory_to_json`] wrote; `None` for anything else.
#[must_use]
fn memory_from_json(text: &str) -> Option<ZoneMemory> {
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
        // An earlier version did not keep it: then the zone rests.
        last_was_set: value.get("last_was_set").and_then(Value::as_bool).unwrap_or(true),
        open: match present("open") {
            Some(open) => Some(open_from_json(open)?),
            None => None,
        },
        // A memory from before there were programs has none.
        errands: match value.get("errands").and_then(Value::as_array) {
            Some(errands) => errands.iter().map(errand_from_json).collect::<Option<_>>()?,
            None => Vec::new(),
        },
        run: match present("run") {
            Some(run) => Some(RunMemory {
                errand: errand_from_json(run.get("errand")?)?,
                started_at: UnixMs(run.get("started_at")?.as_i64()?),
            }),
            None => None,
        },
        node_run_s: value
            .get("node_run_s")
            .and_then(Value::as_u64)
            .and_then(|run_s| u32::try_from(run_s).ok()),
    })
}

fn open_to_json(open: OpenMemory) -> Value {
    let until = open.until.map(|at| at.0);
    json!({ "command": open.command.0, "run_s": open.run_s, "until": until, "manual": open.manual })
}

fn open_from_json(value: &Value) -> Option<OpenMemory> {
    Some(OpenMemory {
        command: CommandId(value.get("command")?.as_u64()?),
        run_s: u32::try_from(value.get("run_s")?.as_u64()?).ok()?,
        until: value.get("until").and_then(Value::as_i64).map(UnixMs),
        manual: value.get("manual")?.as_bool()?,
    })
}

/// The memory of a source's pump as the store keeps it.
#[must_use]
pub(super) fn source_to_json(memory: &SourceMemory) -> String {
    json!({
        "fault": memory.fault.as_ref().map(reason_to_json),
        "failures": memory.failures,
        "open": memory.open.map(open_to_json),
        "starts": memory.starts.iter().map(|at| at.0).collect::<Vec<_>>(),
        "node_run": memory.node_run.map(|run| [run.seen_s, run.stated_s]),
    })
    .to_string()
}

/// What [`source_to_json`] wrote; `None` for anything else.
#[must_use]
fn source_from_json(text: &str) -> Option<SourceMemory> {
    let value: Value = serde_json::from_str(text).ok()?;
    let present = |key: &str| value.get(key).filter(|value| !value.is_null());
    Some(SourceMemory {
        fault: match present("fault") {
            Some(fault) => Some(reason_from_json(fault)?),
            None => None,
        },
        failures: u32::try_from(value.get("failures")?.as_u64()?).ok()?,
        open: match present("open") {
            Some(open) => Some(open_from_json(open)?),
            None => None,
        },
        starts: value
            .get("starts")?
            .as_array()?
            .iter()
            .map(|at| at.as_i64().map(UnixMs))
            .collect::<Option<_>>()?,
        node_run: match present("node_run") {
            Some(run) => {
                let [seen_s, stated_s] = <[u32; 2]>::deserialize(run).ok()?;
                Some(NodeRun { seen_s, stated_s })
            }
            None => None,
        },
    })
}

/// The memory of the guards as the store keeps it.
#[must_use]
pub(super) fn guards_to_json(memory: &GuardMemory) -> String {
    let learned: Map<String, Value> =
        memory.learned.iter().map(|(zone, runs)| (zone.to_string(), json!(runs))).collect();
    let faults: Map<String, Value> =
        memory.faults.iter().map(|(source, fault)| (source.to_string(), reason_to_json(fault))).collect();
    let references: Map<String, Value> =
        memory.references.iter().map(|(zone, flow)| (zone.to_string(), json!(flow))).collect();
    let low_tanks: Map<String, Value> =
        memory.low_tanks.iter().map(|(source, milli)| (source.to_string(), json!(milli))).collect();
    json!({
        "learned_l_per_h": learned,
        "reference_l_per_h": references,
        "faults": faults,
        "low_tanks": low_tanks,
    })
    .to_string()
}

/// What [`guards_to_json`] wrote; `None` for anything else.
#[must_use]
fn guards_from_json(text: &str) -> Option<GuardMemory> {
    let value: Value = serde_json::from_str(text).ok()?;
    let flow = |flow: &Value| flow.as_u64().and_then(|flow| u32::try_from(flow).ok());
    let runs = |runs: &Value| runs.as_array()?.iter().map(flow).collect::<Option<Vec<u32>>>();
    let learned = value.get("learned_l_per_h")?.as_object()?;
    let faults = value.get("faults")?.as_object()?;
    Some(GuardMemory {
        learned: learned
            .iter()
            .map(|(zone, kept)| Some((zone.parse().ok()?, runs(kept)?)))
            .collect::<Option<_>>()?,
        // A memory from before there were references, or tanks, has none.
        references: match value.get("reference_l_per_h").and_then(Value::as_object) {
            Some(references) => references
                .iter()
                .map(|(zone, kept)| Some((zone.parse().ok()?, flow(kept)?)))
                .collect::<Option<_>>()?,
            None => BTreeMap::new(),
        },
        faults: faults
            .iter()
            .map(|(source, fault)| Some((source.parse().ok()?, reason_from_json(fault)?)))
            .collect::<Option<_>>()?,
        low_tanks: match value.get("low_tanks").and_then(Value::as_object) {
            Some(low_tanks) => low_tanks
                .iter()
                .map(|(source, milli)| Some((source.parse().ok()?, milli.as_i64()?)))
                .collect::<Option<_>>()?,
            None => BTreeMap::new(),
        },
    })
}

fn errand_to_json(errand: &Errand) -> Value {
    json!({
        "program": errand.program.to_string(), "from": errand.from.0, "start_at": errand.start_at.0, "run_s": errand.run_s,
        "cycle": errand.cycle, "n_cycles": errand.n_cycles, "by_hand": errand.by_hand,
        "volume_ml": errand.volume.map(|volume| volume.0), "latest": errand.latest.0,
        "finish_at": errand.finish_at.map(|at| at.0), "asked_by": errand.asked_by,
    })
}

fn errand_from_json(value: &Value) -> Option<Errand> {
    let number = |key: &str| value.get(key)?.as_u64().and_then(|number| u32::try_from(number).ok());
    let unix = |key: &str| value.get(key).and_then(Value::as_i64).map(UnixMs);
    let from = unix("from")?;
    Some(Errand {
        program: value.get("program")?.as_str()?.parse().ok()?,
        from,
        // One from before it was kept counts as the first of its start.
        start_at: unix("start_at").unwrap_or(from),
        run_s: number("run_s")?,
        cycle: number("cycle")?,
        n_cycles: number("n_cycles")?,
        by_hand: value.get("by_hand")?.as_bool()?,
        volume: number("volume_ml").map(Millilitres),
        // One from before it was kept waits as long as it did.
        latest: unix("latest").unwrap_or(from.plus_ms(WAIT_MS)),
        finish_at: unix("finish_at"),
        asked_by: value.get("asked_by").and_then(Value::as_str).map(str::to_owned),
    })
}

/// A program's settings and memory as the store keeps them.
#[must_use]
pub(super) fn control_to_json(control: &Control) -> String {
    let unix = |at: Option<UnixMs>| at.map(|at| at.0);
    json!({
        "enabled": control.is_enabled,
        "suspended_until": unix(control.suspended_until),
        "skip_next": control.skip_next,
        "adjust_percent": control.adjust.get(),
        "n_runs": control.n_runs,
        "busy_until": unix(control.busy_until),
        "handled_until": unix(control.handled_until),
        "decided_until": unix(control.decided_until),
        "finished_until": unix(control.finished_until),
        "near_until": unix(control.near_until),
    })
    .to_string()
}

/// What [`control_to_json`] wrote; `None` for anything else.
#[must_use]
fn control_from_json(text: &str) -> Option<Control> {
    let value: Value = serde_json::from_str(text).ok()?;
    let number = |key: &str| value.get(key)?.as_u64();
    let unix = |key: &str| value.get(key).and_then(Value::as_i64).map(UnixMs);
    Some(Control {
        is_enabled: value.get("enabled")?.as_bool()?,
        suspended_until: unix("suspended_until"),
        skip_next: u16::try_from(number("skip_next")?).ok()?,
        adjust: Percent::new(u16::try_from(number("adjust_percent")?).ok()?)?,
        n_runs: number("n_runs")?,
        busy_until: unix("busy_until"),
        handled_until: unix("handled_until"),
        decided_until: unix("decided_until"),
        finished_until: unix("finished_until"),
        near_until: unix("near_until"),
    })
}

/// The farm's pauses as the store keeps them.
#[must_use]
pub(super) fn farm_to_json(farm: &FarmState) -> String {
    let unix = |at: Option<UnixMs>| at.map(|at| at.0);
    let zones: Map<String, Value> =
        farm.zones_suspended_until.iter().map(|(zone, until)| (zone.to_string(), json!(until.0))).collect();
    let short: Vec<Value> = (farm.day_short.iter())
        .map(|((program, zone), short_s)| json!([program.to_string(), zone.to_string(), short_s]))
        .collect();
    json!({
        "rain_delay_until": unix(farm.rain_delay_until),
        "suspended_until": unix(farm.suspended_until),
        "water_paused_until": unix(farm.water_paused_until),
        "zones_suspended_until": zones,
        "day_told": unix(farm.day_told),
        "day_short": short,
    })
    .to_string()
}

/// What [`farm_to_json`] wrote; `None` for anything else.
#[must_use]
fn farm_from_json(text: &str) -> Option<FarmState> {
    let value: Value = serde_json::from_str(text).ok()?;
    let unix = |key: &str| value.get(key).and_then(Value::as_i64).map(UnixMs);
    let zones = value.get("zones_suspended_until")?.as_object()?;
    let zone = |(zone, until): (&String, &Value)| Some((zone.parse().ok()?, UnixMs(until.as_i64()?)));
    let text = |value: &Value, idx: usize| value.get(idx).and_then(Value::as_str).map(str::to_owned);
    let short = |value: &Value| {
        let of = (text(value, 0)?.parse().ok()?, text(value, 1)?.parse().ok()?);
        Some((of, value.get(2)?.as_u64()?))
    };
    // Only what was told: without it, it is told again.
    let day_short = value.get("day_short").and_then(Value::as_array);
    let day_short = day_short.into_iter().flatten().filter_map(short).collect();
    Some(FarmState {
        rain_delay_until: unix("rain_delay_until"),
        suspended_until: unix("suspended_until"),
        water_paused_until: unix("water_paused_until"),
        zones_suspended_until: zones.iter().map(zone).collect::<Option<_>>()?,
        day_told: unix("day_told"),
        day_short,
        needs: BTreeMap::new(),
        lacks: BTreeMap::new(),
    })
}

/// Typed, so that the same reason comes back: `{"code": …, "args": {name: [kind, value]}}`.
fn reason_to_json(reason: &Reason) -> Value {
    let value = |value: ArgValue| match value {
        ArgValue::Int(int) => json!(["int", int]),
        ArgValue::Permyriad(permyriad) => json!(["permyriad", permyriad]),
        ArgValue::Hundredths(hundredths) => json!(["hundredths", hundredths]),
        ArgValue::Thousandths(thousandths) => json!(["thousandths", thousandths]),
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
            "hundredths" => u32::try_from(value.as_u64()?).ok().map(ArgValue::Hundredths),
            "thousandths" => value.as_i64().map(ArgValue::Thousandths),
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
        let errand = Errand {
            program: "dem".parse().expect("a name"),
            from: UnixMs(1_700_000_000_000),
            start_at: UnixMs(1_699_999_000_000),
            run_s: 600,
            cycle: 2,
            n_cycles: 3,
            by_hand: true,
            volume: Some(Millilitres(120_000)),
            latest: UnixMs(1_700_000_600_000),
            finish_at: Some(UnixMs(1_700_003_600_000)),
            asked_by: Some("Lan".to_owned()),
        };
        let full = ZoneMemory {
            run: Some(RunMemory { errand: errand.clone(), started_at: UnixMs(8) }),
            errands: vec![errand],
            lock: Some(Lock { by: "Minh".to_owned(), note: "thay van".to_owned() }),
            fault: Some(Reason::CommandUnanswered { waited_s: 30, attempts: 3 }),
            failures: 3,
            paused_until: Some(UnixMs(5)),
            rest: Some(Rest { by: "Hoa".to_owned(), until: None }),
            last_closed_at: Some(UnixMs(-1)),
            last_was_set: false,
            open: Some(OpenMemory {
                command: CommandId(77),
                run_s: 600,
                until: Some(UnixMs(9)),
                manual: true,
            }),
            node_run_s: Some(7200),
        };
        assert_eq!(memory_from_json(&memory_to_json(&full)), Some(full));
    }

    #[test]
    fn a_memory_from_before_there_were_programs_is_read() {
        let old = r#"{"lock":null,"fault":null,"failures":2,"paused_until":5,"rest":null,"last_closed_at":null,"open":null}"#;
        let want = ZoneMemory {
            failures: 2,
            paused_until: Some(UnixMs(5)),
            last_was_set: true,
            ..ZoneMemory::default()
        };
        assert_eq!(memory_from_json(old), Some(want));
    }

    #[test]
    fn programs_and_pauses_come_back_whole() {
        let control = Control {
            is_enabled: false,
            suspended_until: Some(UnixMs(1)),
            skip_next: 2,
            adjust: Percent::new(80).expect("in range"),
            n_runs: 3,
            busy_until: Some(UnixMs(4)),
            handled_until: Some(UnixMs(5)),
            decided_until: Some(UnixMs(6)),
            finished_until: None,
            near_until: None,
        };
        for control in [control, Control::default()] {
            assert_eq!(control_from_json(&control_to_json(&control)), Some(control));
        }
        let farm = FarmState {
            rain_delay_until: Some(UnixMs(7)),
            suspended_until: None,
            water_paused_until: Some(UnixMs(8)),
            zones_suspended_until: [("a".parse().expect("a name"), UnixMs(9))].into(),
            day_told: Some(UnixMs(10)),
            day_short: BTreeMap::from([(
                ("dem".parse().expect("a name"), "a".parse().expect("a name")),
                600,
            )]),
            needs: BTreeMap::new(),
            lacks: BTreeMap::new(),
        };
        for farm in [farm, FarmState::default()] {
            assert_eq!(farm_from_json(&farm_to_json(&farm)), Some(farm));
        }
        for bad in ["", "{}", "[]", "{\"enabled\":true,\"skip_next\":0,\"adjust_percent\":251,\"n_runs\":0}"]
        {
            assert_eq!(control_from_json(bad), None, "{bad}");
            assert_eq!(farm_from_json(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_pump_comes_back_whole() {
        let full = SourceMemory {
            fault: Some(Reason::ValveNotConfirmed { waited_s: 15 }),
            failures: 3,
            open: Some(OpenMemory { command: CommandId(9), run_s: 60, until: None, manual: false }),
            starts: vec![UnixMs(1), UnixMs(2)],
            node_run: Some(NodeRun { seen_s: 3600, stated_s: 7200 }),
        };
        for memory in [full, SourceMemory::default()] {
            let rows = [("source/well".to_owned(), source_to_json(&memory))];
            let back = memory_from_rows(rows).sources.into_values().next();
            assert_eq!(back, Some(memory));
        }
        assert_eq!(source_from_json("{\"failures\":0}"), None);
    }

    #[test]
    fn what_the_guards_learned_comes_back_whole() {
        let full = GuardMemory {
            learned: [("a".parse().expect("a name"), vec![700, 710])].into(),
            references: [("a".parse().expect("a name"), 720)].into(),
            faults: [("well".parse().expect("a name"), Reason::ClockUnset {})].into(),
            low_tanks: [("well".parse().expect("a name"), -1500)].into(),
        };
        for memory in [full, GuardMemory::default()] {
            let rows = [(GUARDS_ROW.to_owned(), guards_to_json(&memory))];
            assert_eq!(memory_from_rows(rows).guards, memory);
        }
        assert_eq!(guards_from_json("{}"), None);
    }

    #[test]
    fn what_is_no_memory_is_refused() {
        for bad in ["", "{}", "[]", "{\"failures\":-1}", "{\"failures\":1,\"lock\":{}}"] {
            assert_eq!(memory_from_json(bad), None, "{bad}");
        }
    }
}
