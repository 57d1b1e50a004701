//! Between the engine's plain types and the store's text: reasons, diary entries, valve events. Pure.

use giot_engine::{ArgValue, By, Entry, Reason};
use giot_shared::ids::NodeId;
use giot_store::{DiaryEntry, ValveEventRow};
use serde_json::{Map, Value, json};

use crate::ingest::node::DatedValve;

/// A reason's arguments as people read them: moisture in %, spans in s; the store keeps them so.
#[must_use]
pub fn args_for_people(reason: &Reason) -> Map<String, Value> {
    let value = |value: ArgValue| match value {
        ArgValue::Int(int) => json!(int),
        ArgValue::Permyriad(permyriad) => json!(f64::from(permyriad) / 100.0),
        ArgValue::Hundredths(hundredths) => json!(f64::from(hundredths) / 100.0),
        ArgValue::Thousandths(thousandths) => json!(in_units(thousandths)),
        ArgValue::Seconds(seconds) => json!(seconds),
        ArgValue::Text(text) => json!(text),
    };
    reason.args().into_iter().map(|arg| (arg.name.to_owned(), value(arg.value))).collect()
}

/// Thousandths as the number that they are; beyond nine million million, which no gauge of a farm says, as good as that.
fn in_units(thousandths: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a double holds more than any gauge says")]
    let number = thousandths as f64 / 1000.0;
    number
}

/// A diary entry as the store keeps it. `recorded_us` is the gateway's clock as it reads, set or not.
#[must_use]
pub fn diary_entry(entry: &Entry, recorded_us: i64) -> DiaryEntry {
    let (by, person) = match &entry.by {
        By::Engine => ("engine", None),
        By::Person(name) => ("person", Some(name.clone())),
        By::Node => ("node", None),
        By::Program(program) => ("program", Some(program.to_string())),
        By::Rule(rule) => ("rule", Some(rule.to_string())),
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

#[cfg(test)]
mod tests {
    use super::*;

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
