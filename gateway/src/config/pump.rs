//! The rules of a `[source.pump]`: words and spans → the engine's pump. What only the whole plan can judge (an output that a
//! zone has too, a zone's lease that is too short) the engine judges.

use super::compile::{Compiler, stand_in};
use super::raw;
use giot_engine::{PumpKind, PumpPlan, ValveRef};
use giot_shared::ids::ValveId;
use giot_shared::wire::VALVES_MAX;

impl Compiler<'_> {
    /// The pump; an output that cannot be told gets a stand-in, so that no other seems to be the same.
    pub(super) fn pump(&mut self, raw: &raw::Pump, field: &str, idx: usize) -> Option<PumpPlan> {
        let node = self.id(&raw.node, &format!("{field}.node"));
        let valve = raw.valve.as_ref().map_or(0, |valve| *valve.get_ref());
        if let Some(valve) = raw.valve.as_ref().filter(|valve| usize::from(*valve.get_ref()) >= VALVES_MAX) {
            let what = format!("outputs count from 0 to {}: a node has no more", VALVES_MAX - 1);
            self.problem(valve.span(), &format!("{field}.valve"), what);
        }
        let kinds = [("pump", PumpKind::Pump), ("master_valve", PumpKind::Master)];
        let kind = self.word(raw.kind.as_ref(), &format!("{field}.kind"), &kinds).unwrap_or_default();
        let is_told = !self.is_any_spoilt(field, &["node", "valve"]);
        let node = node.filter(|_| is_told).or_else(|| stand_in(2 * idx + 1))?;
        let usual = PumpPlan::new(kind, ValveRef { node, valve: ValveId(valve) });
        Some(PumpPlan {
            on_adjust_s: raw.on_adjust_s.unwrap_or(usual.on_adjust_s),
            off_adjust_s: raw.off_adjust_s.unwrap_or(usual.off_adjust_s),
            fill_s: raw.fill_s.unwrap_or(usual.fill_s),
            run_s_min: raw.run_min_s.unwrap_or(usual.run_s_min),
            off_s_min: raw.off_min_s.unwrap_or(usual.off_s_min),
            starts_per_hour_max: raw.starts_per_hour_max.unwrap_or(usual.starts_per_hour_max),
            run_s_max: raw.run_max_min.map_or(usual.run_s_max, |minutes| minutes.saturating_mul(60)),
            lease_s: raw.lease_s.unwrap_or(usual.lease_s),
            ..usual
        })
    }
}
