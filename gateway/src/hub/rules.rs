//! The hub's way between rules and engine: what rules see, and what they want. It decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use giot_engine::{Input, ProbeRef, RuleId, RuleWish, ZoneId};
use giot_shared::ids::NodeId;
use giot_shared::time::UnixMs;
use serde_json::{Value, json};

use super::Hub;
use crate::config::Settings;
use crate::ingest::Sample;
use crate::quality::Quality;
use crate::rules::{Effect, Output, RuleBook, RuleMemory};
use giot_store::Batch;

const RULE_ROW: &str = "rule/";

/// The rules, and what of the farm they look at.
#[derive(Debug)]
pub(super) struct Ruling {
    pub(super) book: RuleBook,
    /// Zones that rules read, by their probes.
    by_probe: BTreeMap<ProbeRef, Vec<ZoneId>>,
    zones: BTreeSet<ZoneId>,
    /// Zones that rules read and that may have changed.
    changed: BTreeSet<ZoneId>,
}

impl Ruling {
    pub(super) fn new(book: RuleBook, settings: &Settings) -> Self {
        let zones: BTreeSet<ZoneId> = book.zones().cloned().collect();
        let mut by_probe: BTreeMap<ProbeRef, Vec<ZoneId>> = BTreeMap::new();
        for (id, plan) in settings.plan.zones.iter().filter(|(id, _)| zones.contains(*id)) {
            for probe in &plan.probes {
                by_probe.entry(probe.clone()).or_default().push(id.clone());
            }
        }
        // At the start all are news.
        Self { book, by_probe, changed: zones.clone(), zones }
    }

    /// A zone may look different: the engine said something about it.
    pub(super) fn touch(&mut self, zone: &ZoneId) {
        if self.zones.contains(zone) {
            self.changed.insert(zone.clone());
        }
    }

    /// A probe has a new reading, and so have its zones.
    pub(super) fn touch_probe(&mut self, probe: &ProbeRef) {
        if let Some(zones) = self.by_probe.get(probe) {
            self.changed.extend(zones.iter().cloned());
        }
    }
}

impl Hub {
    /// Shows the rules every reading of a message; most are read by none. Readings of before the start are not shown: nobody
    /// knows how old they are.
    pub(super) fn feed_rules(&mut self, node: &NodeId, samples: &[Sample]) {
        let now = self.now();
        for Sample { metric, at_us, age, value, quality } in samples {
            let good = value.filter(|_| *quality == Quality::Good);
            let taken = (UnixMs(at_us.div_euclid(1000)), *age);
            self.ruling.book.handle_reading(now, (node.as_str(), metric), taken, good);
        }
    }

    /// Shows the rules what has become of zones and tells the engine what they want; `false` when there was nothing.
    pub(super) fn run_rules(&mut self, batch: &mut Option<&mut Batch>) -> bool {
        let now = self.now();
        for zone in std::mem::take(&mut self.ruling.changed) {
            if let Some(signs) = self.engine.zone_signs(&zone, now) {
                self.ruling.book.handle_zone(now, &zone, signs);
            }
        }
        let mut has_wished = false;
        while let Some(output) = self.ruling.book.poll_output() {
            self.is_view_old = true;
            match output {
                Output::Fired(firing) => {
                    has_wished = true;
                    for effect in &firing.then {
                        let (rule, wish) = (&firing.rule, wish_of(effect));
                        self.engine.handle(now, Input::Rule { rule, wish, values: &firing.values });
                    }
                }
                Output::Tired { rule, times_max } => {
                    has_wished = true;
                    let wish = RuleWish::Rest { times_max };
                    self.engine.handle(now, Input::Rule { rule: &rule, wish, values: "" });
                }
                Output::Remember { rule, memory } => {
                    let row = (format!("{RULE_ROW}{rule}"), to_json(&memory));
                    batch.as_deref_mut().unwrap_or(&mut self.own).memory.push(row);
                }
            }
        }
        has_wished
    }
}

fn wish_of(effect: &Effect) -> RuleWish<'_> {
    match effect {
        Effect::Notify { note } => RuleWish::Notify { note },
        Effect::Start { zone, run_s } => RuleWish::Start { zone, run_s: *run_s },
        Effect::Stop { zone } => RuleWish::Stop { zone },
        Effect::Lock { zone } => RuleWish::Lock { zone },
        Effect::Adjust { program, percent } => RuleWish::Adjust { program, percent: *percent },
    }
}

/// What was kept of rules; what cannot be read counts as never kept.
pub(super) fn memory_from_rows(rows: &BTreeMap<String, String>) -> BTreeMap<RuleId, RuleMemory> {
    let kept = |(name, text): (&String, &String)| {
        Some((name.strip_prefix(RULE_ROW)?.parse().ok()?, from_json(text)?))
    };
    rows.iter().filter_map(kept).collect()
}

fn to_json(memory: &RuleMemory) -> String {
    json!({
        "active": memory.is_active,
        "fired_at": memory.fired_at.map(|at| at.0),
        "n_fired": memory.n_fired,
        "day_ends_at": memory.day_ends_at.map(|at| at.0),
    })
    .to_string()
}

fn from_json(text: &str) -> Option<RuleMemory> {
    let value: Value = serde_json::from_str(text).ok()?;
    let unix = |key: &str| value.get(key).and_then(Value::as_i64).map(UnixMs);
    Some(RuleMemory {
        is_active: value.get("active")?.as_bool()?,
        fired_at: unix("fired_at"),
        n_fired: u32::try_from(value.get("n_fired")?.as_u64()?).ok()?,
        day_ends_at: unix("day_ends_at"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rules_memory_comes_back_whole() {
        let full = RuleMemory {
            is_active: true,
            fired_at: Some(UnixMs(5)),
            n_fired: 7,
            day_ends_at: Some(UnixMs(9)),
        };
        for memory in [full, RuleMemory::default()] {
            assert_eq!(from_json(&to_json(&memory)), Some(memory));
        }
        for bad in ["", "[]", "{}", "{\"active\":1,\"n_fired\":0}"] {
            assert_eq!(from_json(bad), None, "{bad}");
        }
        let rows = BTreeMap::from([
            ("rule/heat".to_owned(), to_json(&full)),
            ("program/heat".to_owned(), to_json(&full)),
            ("rule/A B".to_owned(), to_json(&full)),
        ]);
        assert_eq!(memory_from_rows(&rows), BTreeMap::from([("heat".parse().unwrap(), full)]));
    }
}
