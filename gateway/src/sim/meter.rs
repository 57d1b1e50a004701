//! Water meters of zones: what they show, what the engine must find in it, and whether that is told and followed (P7).
//!
//! What must be found is judged from the readings that were delivered, apart from the engine's own watch: a flow that is wrong by
//! more than any doubt, between readings that lie within a phase of the valve, for longer than the guard's delay and what dates may
//! be off. From the engine only the phase is taken: since when it holds the valve for open or closed. A zone whose pipes
//! never broke must never be told to burst or to leak.

use std::collections::{BTreeMap, BTreeSet};

use giot_board_host::field::HydraulicFault;
use giot_engine::{Age, Entry, Event, GuardMemory, Input, Reason, SourceId, ZoneId, ZoneState};
use giot_shared::metric::Metric;
use giot_shared::time::{UnixMs, UptimeMs};
use giot_shared::units::Millilitres;
use giot_shared::valve::CloseReason;
use giot_shared::wire::{Body, Reading};

use super::gateway::{DATE_MS_MAX, Newest, Row};
use super::season::{Happening, MINUTE_MS, World};
use crate::ingest::Sample;
use crate::quality::Quality;

const HOUR_MS: u64 = 60 * MINUTE_MS;

/// A run by volume may give so much time's flow more than it should: from one reading to the next, and an Open that was renewed by
/// the reading before, with their ways.
const OVERSHOOT_MS: u64 = 10 * MINUTE_MS;

/// Greatest flow through a burst line, % of what is usual.
const BURST_PERCENT: u64 = 310;

/// What is wrong with a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    High,
    Low,
    None,
    Leak,
}

/// What the engine takes a valve for, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Rests(u64),
    /// With when its water came.
    Flows(u64, u64),
    Unsure,
}

/// How long an order may be on its way, and a node's clock be off.
const ANSWERED_MS: u64 = 120_000;

/// A reading that was delivered: the node's epoch, when it was taken, what the meter showed, ml.
#[derive(Clone, Copy, Debug)]
struct Shown {
    epoch: u32,
    taken_ms: u64,
    ml: u64,
}

/// The meter of one zone, as the simulation judges it.
#[derive(Clone, Debug, Default)]
struct Meter {
    /// What it had counted when its node booted, ml.
    zero_ml: u64,
    /// What had flowed when the run under way began, and in all runs that ended, ml.
    began_ml: u64,
    given_ml: u64,
    n_runs: u64,
    /// How often its pipes broke.
    n_breaks: u64,
    shown: Option<Shown>,
    /// When its node told last what its valve had done long before.
    told_late_ms: u64,
    /// Since when, and in which phase of the valve.
    wrong: Option<(Wrong, u64, Standing)>,
    /// By reason: when the diary told it last.
    told_ms: BTreeMap<&'static str, u64>,
    /// What the run under way is to give at the most, ml.
    dose_ml: Option<u64>,
    is_called: bool,
}

/// The meters, by zone.
#[derive(Debug, Default)]
pub(super) struct Meters {
    zones: Vec<Meter>,
    /// Sources that guards have shut until a person clears them.
    pub(super) shut: BTreeSet<SourceId>,
    /// By zone: what a run that ended by its volume had, what it should have had, ml, and by when it must be told to have come short, ms.
    owed: BTreeMap<usize, (u64, u64, u64)>,
}

/// Where a person comes to.
#[derive(Clone, Debug)]
pub(super) enum Visit {
    /// Mends the pipes of a zone and clears its fault.
    Zone(usize),
    /// Clears what is wrong with a source.
    Source(SourceId),
}

impl Wrong {
    /// The reasons of which one tells it.
    const fn codes(self) -> &'static [&'static str] {
        match self {
            Self::High => &["high_flow"],
            Self::Low => &["low_flow"],
            Self::None => &["no_flow"],
            Self::Leak => &["leak_after_close", "valve_stuck_open"],
        }
    }

    /// The delay of its guard in the plan's defaults, ms.
    const fn delay_ms(self) -> u64 {
        match self {
            Self::High => 120_000,
            Self::None => 60_000,
            Self::Low | Self::Leak => 300_000,
        }
    }
}

impl Meters {
    pub(super) fn new(n_zones: usize) -> Self {
        Self { zones: vec![Meter::default(); n_zones], ..Self::default() }
    }

    /// A run begins at a node or goes on, when so much has flowed.
    pub(super) fn begin(&mut self, zone_idx: usize, given_ml: u64, is_first: bool) {
        if let Some(meter) = self.zones.get_mut(zone_idx).filter(|_| is_first) {
            meter.began_ml = given_ml;
        }
    }

    /// A run ends at a node and is told.
    pub(super) fn end(&mut self, zone_idx: usize, given_ml: u64) {
        if let Some(meter) = self.zones.get_mut(zone_idx) {
            meter.given_ml += given_ml - meter.began_ml;
            meter.n_runs += 1;
        }
    }

    /// A gateway starts: its engine has read nothing, and goes by what is remembered.
    pub(super) fn restart(&mut self, memory: &GuardMemory) {
        self.shut = memory.faults.keys().cloned().collect();
        self.owed.clear();
        for meter in &mut self.zones {
            (meter.shown, meter.wrong, meter.dose_ml) = (None, None, None);
        }
    }

    /// A node counts from anew.
    pub(super) fn zero(&mut self, zone_idx: usize, meter_ml: u64) {
        if let Some(meter) = self.zones.get_mut(zone_idx) {
            meter.zero_ml = meter_ml;
        }
    }
}

impl World {
    /// A run that is to end by its volume is looked at again when that has flowed.
    pub(super) fn plan_enough(&mut self, zone_idx: usize) {
        let Some(ground) = self.farm.grounds.get(zone_idx) else { return };
        let node_idx = ground.node_idx;
        let run = self.nodes.get(node_idx).and_then(|node| *node.runs.get(ground.line_idx)?);
        let enough_ml = run.and_then(|run| run.enough_at_ml);
        let in_ms = enough_ml.and_then(|enough_ml| self.field.reaches_in_ms(zone_idx, enough_ml));
        if let Some(in_ms) = in_ms {
            self.plan(in_ms, Happening::Lease { node_idx });
        }
    }

    /// Breaks or mends the pipes of a zone.
    pub(super) fn set_pipe(&mut self, zone_idx: usize, fault: HydraulicFault) {
        self.field.set_fault(zone_idx, fault, self.now_ms);
        self.plan_enough(zone_idx);
        if let Some(meter) = self.meters.zones.get_mut(zone_idx) {
            meter.n_breaks += u64::from(fault != HydraulicFault::None);
        }
    }

    /// A node reads the meter of a zone.
    pub(super) fn read_meter(&mut self, node_idx: usize, zone_idx: usize) {
        let Some(ground) = self.farm.grounds.get(zone_idx).filter(|ground| ground.pulse_ml.is_some()) else {
            return;
        };
        let zero_ml = self.meters.zones.get(zone_idx).map_or(0, |meter| meter.zero_ml);
        let value = i32::try_from(self.field.metered_ml(zone_idx) - zero_ml).ok();
        let metric = Metric::WaterVolume.wire();
        let reading = Reading { probe: ground.first_probe, metric, value, raw: None, flaw: None };
        if let Some(node) = self.nodes.get_mut(node_idx) {
            node.record(self.now_ms, Body::Reading(reading));
        }
    }

    /// Takes a reading that only guards read; false: it is a probe's.
    pub(super) fn take_gauge(
        &mut self,
        node_idx: usize,
        (epoch, uptime): (u32, UptimeMs),
        sample: &Sample,
    ) -> bool {
        if !sample.metric.starts_with(Metric::WaterVolume.name()) {
            return false;
        }
        let mut zones = self.farm.zones_of(node_idx);
        let is_its = |zone_idx: &usize| {
            let ground = self.farm.grounds.get(*zone_idx);
            ground.is_some_and(|ground| super::farm::meter_name(ground) == *sample.metric)
        };
        let (Some(zone_idx), Ok(metric)) = (zones.find(is_its), sample.metric.parse()) else { return true };
        let Some(device) = self.farm.node_ids.get(node_idx).cloned() else { return true };
        let good = sample.quality == Quality::Good;
        #[expect(clippy::cast_possible_truncation, reason = "a meter's whole millilitres, below 2^31")]
        let milli = sample.value.filter(|_| good).map(|ml| ml as i64 * 1000);
        let (at, age) = (UnixMs(sample.at_us.div_euclid(1000)), sample.age);
        let standing = self.standing(zone_idx);
        self.checks.note(self.now_ms, || {
            format!("the meter of zone {zone_idx} shows {milli:?}, {age:?}: {standing:?}")
        });
        self.check_age(node_idx, (epoch, uptime), age);
        self.feed(Input::Gauge { device: &device, metric: &metric, at, age, milli });
        let node = self.nodes.get(node_idx).filter(|node| node.epoch == epoch);
        let ml = milli.and_then(|milli| u64::try_from(milli / 1000).ok());
        if let (Some(node), Some(ml), Age::Counted(_)) = (node, ml, age) {
            let shown = Shown { epoch, taken_ms: node.true_ms(uptime), ml };
            self.check_shown(zone_idx, standing, shown);
        }
        let newest = Newest { at, level: None, good, milli };
        self.keep(Row::Newest { node_idx, metric, newest });
        true
    }

    fn standing(&self, zone_idx: usize) -> Standing {
        let (Some(engine), Some(id)) = (&self.gateway.engine, self.farm.zone_ids.get(zone_idx)) else {
            return Standing::Unsure;
        };
        let now = self.now();
        let Some(view) = engine.zone_view(id, now) else { return Standing::Unsure };
        match view.state {
            ZoneState::Open { command: Some(_), .. } => {
                let mut water_ms = view.since.0;
                for node_idx in self.farm.pumps_of_zone.get(zone_idx).into_iter().flatten() {
                    let source = self.farm.pump_source(*node_idx);
                    let pump = source.and_then(|source| engine.pump_view(source, now));
                    let Some(on_since) = pump.and_then(|pump| pump.on_since) else { return Standing::Unsure };
                    water_ms = water_ms.max(on_since.0);
                }
                Standing::Flows(view.since.0, water_ms)
            }
            ZoneState::Idle { .. }
            | ZoneState::Waiting { .. }
            | ZoneState::Fault { .. }
            | ZoneState::Locked { .. } => Standing::Rests(view.since.0),
            ZoneState::Open { command: None, .. }
            | ZoneState::Sent { .. }
            | ZoneState::Accepted { .. }
            | ZoneState::Closing { .. }
            | ZoneState::Unknown { .. } => Standing::Unsure,
        }
    }

    /// What is wrong beyond doubt with a flow, L/h. What was learned lies within the limits of what the plan states.
    fn wrong_with(&self, zone_idx: usize, l_h: u64, is_resting: bool) -> Option<Wrong> {
        if is_resting {
            return (l_h > 66).then_some(Wrong::Leak);
        }
        let planned = self.farm.grounds.get(zone_idx)?.planned_l_h.map(u64::from);
        let is_beyond = |percent: u64| planned.is_some_and(|planned| l_h * 100 > planned * percent);
        if l_h == 0 {
            Some(Wrong::None)
        } else if is_beyond(178) {
            Some(Wrong::High)
        } else {
            (planned.is_some() && is_beyond(14) && !is_beyond(55)).then_some(Wrong::Low)
        }
    }

    /// P7: what a meter shows is told when its delay is over, and acted upon.
    fn check_shown(&mut self, zone_idx: usize, standing: Standing, shown: Shown) {
        let Some(meter) = self.meters.zones.get_mut(zone_idx) else { return };
        let before = meter.shown.replace(shown).filter(|before| before.epoch == shown.epoch);
        let wrong_before = meter.wrong.take();
        let told_late_ms = meter.told_late_ms;
        let Some(before) = before.filter(|before| before.taken_ms + MINUTE_MS < shown.taken_ms) else {
            return;
        };
        let (since_ms, judged_ms) = match standing {
            // What was counted until a node that had been out of reach told of a run at its button may be of that.
            Standing::Rests(since_ms) => (since_ms, since_ms.max(told_late_ms) + 120_000),
            Standing::Flows(since_ms, water_ms) => (since_ms, water_ms + 90_000),
            Standing::Unsure => return,
        };
        if before.taken_ms < judged_ms + DATE_MS_MAX {
            return;
        }
        let l_h = (shown.ml - before.ml) * 3600 / (shown.taken_ms - before.taken_ms);
        let Some(wrong) = self.wrong_with(zone_idx, l_h, matches!(standing, Standing::Rests(_))) else {
            return;
        };
        let began = wrong_before.filter(|(kind, _, within)| (*kind, *within) == (wrong, standing));
        let began_ms = began.map_or(before.taken_ms, |(_, began_ms, _)| began_ms);
        if let Some(meter) = self.meters.zones.get_mut(zone_idx) {
            meter.wrong = Some((wrong, began_ms, standing));
        }
        if shown.taken_ms - began_ms > wrong.delay_ms() + DATE_MS_MAX {
            self.demand_told(zone_idx, wrong, since_ms, l_h);
            let is_over = wrong == Wrong::Low || !matches!(self.standing(zone_idx), Standing::Flows(..));
            self.checks.demand(is_over, self.now_ms, || {
                format!("P7: zone {zone_idx} goes on with {wrong:?} flow of {l_h} L/h")
            });
        }
    }

    /// A node tells of what its valve did when nobody heard it.
    pub(super) fn note_late(&mut self, zone_idx: usize) {
        if let Some(meter) = self.meters.zones.get_mut(zone_idx) {
            meter.told_late_ms = self.now_ms;
        }
    }

    fn demand_told(&mut self, zone_idx: usize, wrong: Wrong, since_ms: u64, l_h: u64) {
        self.report.n_findings += 1;
        let Some(meter) = self.meters.zones.get(zone_idx) else { return };
        let told_ms = wrong.codes().iter().filter_map(|code| meter.told_ms.get(code)).max();
        let has_fault = self.gateway.known.get(zone_idx).is_some_and(|known| known.has_fault);
        let is_told = told_ms.is_some_and(|told_ms| *told_ms >= since_ms);
        let is_known = is_told || has_fault || !self.is_source_in_order(zone_idx);
        self.checks.demand(is_known, self.now_ms, || {
            format!("P7: {wrong:?} flow of zone {zone_idx}, {l_h} L/h, is not told")
        });
    }

    /// P7: what a node measured of a whole run is judged too. Below a pump a run by hand may have had no water.
    pub(super) fn check_whole_run(
        &mut self,
        zone_idx: usize,
        run_ms: u64,
        volume: Millilitres,
        is_by_hand: bool,
    ) {
        let is_metered = self.farm.grounds.get(zone_idx).is_some_and(|ground| ground.pulse_ml.is_some());
        if !is_metered || run_ms < 270_000 {
            return;
        }
        let l_h = u64::from(volume.0) * 3600 / run_ms;
        let has_pump = self.farm.pumps_of_zone.get(zone_idx).is_some_and(|pumps| !pumps.is_empty());
        let wrong = self.wrong_with(zone_idx, l_h, false);
        if let Some(wrong) = wrong.filter(|wrong| *wrong == Wrong::High || !(is_by_hand && has_pump)) {
            self.demand_told(zone_idx, wrong, self.now_ms.saturating_sub(run_ms + HOUR_MS), l_h);
        }
    }

    /// P7: the litres of all runs of a zone are those that flowed, but for a pulse of each run.
    pub(super) fn check_given(&mut self, zone_idx: usize, told_ml: u64) {
        let pulse_ml =
            self.farm.grounds.get(zone_idx).and_then(|ground| ground.pulse_ml).map_or(1, u64::from);
        let Some(meter) = self.meters.zones.get(zone_idx) else { return };
        let (given_ml, n_runs) = (meter.given_ml, meter.n_runs);
        self.checks.demand(told_ml.abs_diff(given_ml) <= n_runs * pulse_ml, self.now_ms, || {
            format!("P7: zone {zone_idx} had {given_ml} ml in {n_runs} runs, the diary tells {told_ml} ml")
        });
    }

    /// What a run is to give at the most stands in its first Open; later ones have what is left of it.
    pub(super) fn note_dose(&mut self, zone_idx: usize, volume: Option<Millilitres>) {
        if let Some(meter) = self.meters.zones.get_mut(zone_idx) {
            meter.dose_ml = meter.dose_ml.max(volume.map(|volume| u64::from(volume.0)));
        }
    }

    /// What the diary tells of a zone's flow and of a run's volume.
    pub(super) fn note_meter_entry(&mut self, entry: &Entry) {
        let Some(zone_idx) = entry.zone.as_ref().and_then(|zone| self.zone_idx(zone)) else { return };
        let Some(meter) = self.meters.zones.get_mut(zone_idx) else { return };
        let code = entry.reason.code();
        if [Wrong::High, Wrong::Low, Wrong::None, Wrong::Leak]
            .iter()
            .any(|wrong| wrong.codes().contains(&code))
        {
            meter.told_ms.insert(code, self.now_ms);
        }
        let is_false = matches!(
            entry.reason,
            Reason::HighFlow { .. } | Reason::LeakAfterClose { .. } | Reason::ValveStuckOpen { .. }
        ) && meter.n_breaks == 0;
        self.checks.demand(!is_false, self.now_ms, || {
            format!("P7: zone {zone_idx}, whose pipes are whole, is told {:?}", entry.reason)
        });
        if matches!(entry.reason, Reason::VolumeShort { .. }) {
            self.meters.owed.remove(&zone_idx);
        }
        if entry.event == Event::Stopped {
            self.check_dose(zone_idx, entry);
        }
    }

    /// P7: a run by volume gives what it should, or says that it does not.
    fn check_dose(&mut self, zone_idx: usize, entry: &Entry) {
        let (Some(meter), Some(ground)) =
            (self.meters.zones.get_mut(zone_idx), self.farm.grounds.get(zone_idx))
        else {
            return;
        };
        let n_breaks = meter.n_breaks;
        let (Some(dose_ml), Some(volume)) = (meter.dose_ml.take(), entry.volume) else { return };
        let had_ml = u64::from(volume.0);
        let flow_l_h = u64::from(ground.flow_l_h) * if n_breaks == 0 { 100 } else { BURST_PERCENT } / 100;
        let pulse_ml = ground.pulse_ml.map_or(1, u64::from);
        let most_ml = dose_ml + pulse_ml + flow_l_h * OVERSHOOT_MS / 3600;
        self.checks.demand(had_ml <= most_ml, self.now_ms, || {
            format!("P7: zone {zone_idx} gave {had_ml} ml of {dose_ml} ml: {:?}", entry.reason)
        });
        let is_by_volume = matches!(
            entry.reason,
            Reason::VolumeReached { .. } | Reason::ClosedByNode { close: CloseReason::VolumeReached }
        );
        self.report.n_doses += u64::from(is_by_volume);
        // The most that a zone may take is a limit and no wish: whoever ends below it owes nothing.
        let plan = self.farm.zone_ids.get(zone_idx).and_then(|id| self.farm.plan.zones.get(id));
        let most_ml = plan.and_then(|plan| plan.guards.volume_max).map(|volume| u64::from(volume.0));
        if is_by_volume && most_ml != Some(dose_ml) && (had_ml + pulse_ml) * 100 < dose_ml * 98 {
            let lease_s = plan.map_or(0, |plan| u64::from(plan.lease_s));
            let told_by_ms = self.now_ms + lease_s * 1000 + ANSWERED_MS;
            self.meters.owed.insert(zone_idx, (had_ml, dose_ml, told_by_ms));
        }
    }

    /// P7: a run that ended by its volume with less than that is told to have come short, as soon as no lease of it can be in force.
    pub(super) fn check_owed(&mut self) {
        let now_ms = self.now_ms;
        let late = self.meters.owed.extract_if(.., |_, (.., told_by_ms)| *told_by_ms <= now_ms);
        for (zone_idx, (had_ml, dose_ml, _)) in late.collect::<Vec<_>>() {
            self.checks.demand(false, self.now_ms, || {
                format!("P7: zone {zone_idx} gave only {had_ml} ml of {dose_ml} ml, and that is not told")
            });
        }
    }

    /// A metered zone has a fault: somebody comes to mend it.
    pub(super) fn call_for_zone(&mut self, zone: &ZoneId) {
        let Some(zone_idx) = self.zone_idx(zone) else { return };
        let is_metered = self.farm.grounds.get(zone_idx).is_some_and(|ground| ground.pulse_ml.is_some());
        let Some(meter) = self.meters.zones.get_mut(zone_idx).filter(|meter| is_metered && !meter.is_called)
        else {
            return;
        };
        meter.is_called = true;
        self.send_for(Visit::Zone(zone_idx));
    }

    /// Guards have shut sources.
    pub(super) fn call_for_sources(&mut self, memory: &GuardMemory) {
        let shut: BTreeSet<SourceId> = memory.faults.keys().cloned().collect();
        let before = std::mem::replace(&mut self.meters.shut, shut.clone());
        for source in shut.difference(&before) {
            self.send_for(Visit::Source(source.clone()));
        }
    }

    fn send_for(&mut self, visit: Visit) {
        let in_ms = self.visit_dice.between(HOUR_MS, 36 * HOUR_MS);
        self.plan(in_ms, Happening::Visit(visit));
    }

    /// Somebody is there.
    pub(super) fn visit(&mut self, visit: &Visit) {
        if !self.is_gateway_up() {
            return self.plan(HOUR_MS, Happening::Visit(visit.clone()));
        }
        self.checks.note(self.now_ms, || format!("somebody comes to {visit:?}"));
        match visit {
            Visit::Zone(zone_idx) => {
                self.set_pipe(*zone_idx, HydraulicFault::None);
                if let Some(meter) = self.meters.zones.get_mut(*zone_idx) {
                    meter.is_called = false;
                }
                let Some(zone) = self.farm.zone_ids.get(*zone_idx).cloned() else { return };
                if self.forget_fault(*zone_idx) {
                    self.feed(Input::ClearFault { zone: &zone, by: "Hoa" });
                }
            }
            Visit::Source(source) => self.clear_source(source, "Hoa"),
        }
    }

    /// Somebody clears a source.
    pub(super) fn clear_source(&mut self, source: &SourceId, by: &str) {
        self.meters.shut.remove(source);
        self.pumps.faults.remove(source);
        self.feed(Input::ClearSource { source, by });
    }
}
