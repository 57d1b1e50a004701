//! Pumps and master valves of a season: their outputs at their nodes, what goes wrong with them, whether water has a way, and
//! the judgement of that (P5).
//!
//! A pump must never run against closed valves. What the gateway cannot have known excuses it for as long as the news takes
//! and a lease lasts: a node that loses its power, a person who closes a valve at its button, a node whose run has had its volume. An order that was obeyed long
//! after its time, because a wrong clock dated it, excuses that run.

use std::collections::{BTreeMap, BTreeSet};

use giot_engine::{Event, PumpAction, PumpKind, PumpPlan, Reason, SourceId};
use giot_shared::ids::Position;
use giot_shared::time::UnixMs;

use super::farm::Branch;
use super::gateway::Row;
use super::node::Order;
use super::season::World;

/// Longest way of an order that was sent before the news of a failure came.
const WAY_MS_MAX: u64 = 45_000;

const HOUR_MS: u64 = 3_600_000;

/// A valve has had its pump for so long, or should have: both adjustments, and an answer that came late.
const SETTLED_MS: u64 = 120_000;

/// What is wrong with a pump or master valve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PumpTrouble {
    /// Its output is on as told, and no water comes.
    Dry,
    /// It accepts an Open and does not switch.
    DoesNotStart,
    /// Orders reach its node and nothing comes of them, not even an answer.
    Mute,
    /// It refuses to be switched on.
    Busy,
}

impl PumpTrouble {
    pub(super) const ALL: [Self; 4] = [Self::Dry, Self::DoesNotStart, Self::Mute, Self::Busy];

    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Dry => "pump_dry",
            Self::DoesNotStart => "pump_does_not_start",
            Self::Mute => "pump_mute",
            Self::Busy => "pump_busy",
        }
    }
}

/// What tells the gateway of a valve that closed unforeseen.
#[derive(Clone, Copy, Debug)]
enum News {
    /// The record of it.
    Record(Position),
    /// Its node is gone, or comes back with a later epoch.
    Boot(u32),
}

/// What the simulation knows of pumps, by node.
#[derive(Debug, Default)]
pub(super) struct Pumps {
    pub(super) troubles: BTreeMap<usize, PumpTrouble>,
    /// Valves closed there that the gateway had not asked for: by what it hears of that, and when it did.
    unforeseen: BTreeMap<usize, (News, Option<u64>)>,
    /// They were switched on by an order that was obeyed after its time.
    late: BTreeSet<usize>,
    /// By source: when it was started within the last hour.
    starts: BTreeMap<SourceId, Vec<u64>>,
    /// Sources whose pump has a fault.
    pub(super) faults: BTreeSet<SourceId>,
    gateway_started_ms: u64,
}

impl World {
    /// The pump or master valve at a node.
    pub(super) fn pump_at(&self, node_idx: usize) -> Option<&PumpPlan> {
        let source = self.farm.pump_source(node_idx)?;
        self.farm.plan.sources.get(source)?.pump.as_ref()
    }

    /// What the engine wants of a pump.
    pub(super) fn act_for_pump(&mut self, action: PumpAction) {
        match action {
            PumpAction::Open { command, source, run_s, ttl_s, .. } => {
                self.check_command(command);
                let lease_s = self.farm.plan.sources.get(&source).and_then(|source| source.pump.as_ref());
                let is_leased = lease_s.is_some_and(|pump| (1..=pump.lease_s).contains(&run_s));
                self.checks.demand(is_leased, self.now_ms, || format!("P3 lease: the pump of {source}"));
                let issued_at = self.issued_at();
                self.order_pump(&source, command, Some((run_s, issued_at, ttl_s)));
            }
            PumpAction::Close { command, source, .. } => {
                self.check_command(command);
                self.order_pump(&source, command, None);
            }
            PumpAction::Remember { source, memory } => {
                if memory.fault.is_some() {
                    self.pumps.faults.insert(source.clone());
                } else {
                    self.pumps.faults.remove(&source);
                }
                self.keep(Row::Source(source, Box::new(memory)));
            }
        }
    }

    fn order_pump(
        &mut self,
        source: &SourceId,
        command: giot_shared::ids::CommandId,
        open: Option<(u32, UnixMs, u32)>,
    ) {
        if let Some(node_idx) = self.farm.pump_node(source) {
            self.order((node_idx, 0), command, open, None);
        }
    }

    /// A gateway that has started is certain of nothing; what it remembers of sources holds.
    pub(super) fn restart_pumps(&mut self, faults: BTreeSet<SourceId>) {
        let now_ms = self.now_ms;
        self.pumps.faults = faults;
        self.pumps.gateway_started_ms = now_ms;
        for (_, heard_ms) in self.pumps.unforeseen.values_mut() {
            heard_ms.get_or_insert(now_ms);
        }
    }

    /// The limit of starts an hour holds over everything but a restart that lost the last of them.
    pub(super) fn note_pump_entry(&mut self, event: Event, reason: &Reason) {
        let (Event::Started, Reason::PumpStart { source }) = (event, reason) else { return };
        let now_ms = self.now_ms;
        self.report.n_pump_starts += 1;
        let starts = self.pumps.starts.entry(source.clone()).or_default();
        starts.retain(|at_ms| now_ms.saturating_sub(*at_ms) < HOUR_MS);
        starts.push(now_ms);
        let pump = self.farm.plan.sources.get(source).and_then(|source| source.pump.as_ref());
        let limit = pump.map_or(0, |pump| usize::try_from(pump.starts_per_hour_max).unwrap_or(0));
        let is_within = limit == 0
            || starts.len() <= limit
            || now_ms.saturating_sub(self.pumps.gateway_started_ms) < HOUR_MS;
        let n_starts = starts.len();
        self.checks.demand(is_within, now_ms, || {
            format!("P5: the pump of {source} starts {n_starts} times an hour")
        });
    }

    /// P6: no zone is opened below a source or pump that waits for a person.
    pub(super) fn is_source_in_order(&self, zone_idx: usize) -> bool {
        let is_fed = |branch: &&Branch| branch.zones.binary_search(&zone_idx).is_ok();
        let mut sources = self.farm.branches.iter().filter(is_fed).map(|branch| &branch.source);
        !sources.any(|source| self.pumps.faults.contains(source) || self.meters.shut.contains(source))
    }

    /// Whether a pump or master valve on a zone's way starts, or has its minimum run still: the zone then goes on although it is
    /// wet. A report of the start may be on its way.
    pub(super) fn is_kept_by_pump(&self, zone_idx: usize) -> bool {
        let pumps = self.farm.pumps_of_zone.get(zone_idx).into_iter().flatten();
        let is_kept = |node_idx: &usize| {
            let least_ms = self.pump_at(*node_idx).map_or(0, |pump| u64::from(pump.run_s_min) * 1000);
            let run = self.nodes.get(*node_idx).and_then(|node| *node.runs.first()?);
            run.is_none_or(|run| self.now_ms <= run.opened_ms + least_ms + WAY_MS_MAX)
        };
        pumps.into_iter().any(is_kept)
    }

    /// A node's valve closed, or may have, without the gateway's wish: by a record that it makes (`Some`), or with its power.
    pub(super) fn foresaw_not(&mut self, node_idx: usize, record: Option<Position>) {
        let Some(node) = self.nodes.get(node_idx) else { return };
        let news = record.map_or(News::Boot(node.epoch), News::Record);
        // A node that is known to be away is relied on for nothing.
        let is_known = self.is_offline(node_idx) || !self.is_gateway_up();
        self.pumps.unforeseen.insert(node_idx, (news, is_known.then_some(self.now_ms)));
    }

    /// The same by the record that a node made last.
    pub(super) fn foresaw_not_last(&mut self, node_idx: usize) {
        let last = self.nodes.get(node_idx).map(|node| Position { epoch: node.epoch, seq: node.last_seq() });
        self.foresaw_not(node_idx, last);
    }

    /// The gateway hears of a node: the records up to one, a later epoch, or that it is gone (`None`).
    pub(super) fn hears_of(&mut self, node_idx: usize, position: Option<Position>) {
        let now_ms = self.now_ms;
        let Some((news, heard_ms)) = self.pumps.unforeseen.get_mut(&node_idx) else { return };
        let is_heard = match (*news, position) {
            (News::Record(of), Some(up_to)) => up_to >= of,
            (News::Boot(epoch), Some(up_to)) => up_to.epoch > epoch,
            (News::Record(_) | News::Boot(_), None) => true,
        };
        if is_heard {
            heard_ms.get_or_insert(now_ms);
        }
    }

    /// A pump obeys an order that was sent so long before.
    pub(super) fn note_pump_order(&mut self, node_idx: usize, order: &Order, ttl_s: u32) {
        let late_ms = self.now_ms.saturating_sub(order.sent_ms);
        if late_ms > u64::from(ttl_s) * 1000 {
            self.pumps.late.insert(node_idx);
        }
    }

    /// Water of the zones below a pump comes or stays away: it was switched, or broke.
    pub(super) fn turn_water(&mut self, node_idx: usize) {
        let is_on = |idx: &usize| {
            let is_open = self.nodes.get(*idx).is_some_and(|node| node.runs.iter().any(Option::is_some));
            is_open && self.pumps.troubles.get(idx) != Some(&PumpTrouble::Dry)
        };
        let pumps_of = |zone_idx: usize| self.farm.pumps_of_zone.get(zone_idx).into_iter().flatten();
        let below = self.farm.zones_below(node_idx).iter();
        let fed: Vec<(usize, bool)> =
            below.map(|zone_idx| (*zone_idx, pumps_of(*zone_idx).all(is_on))).collect();
        for (zone_idx, is_fed) in fed {
            self.field.set_supply(zone_idx, is_fed, self.now_ms);
            self.plan_enough(zone_idx);
        }
        if self.nodes.get(node_idx).is_some_and(|node| node.runs.iter().all(Option::is_none)) {
            self.pumps.late.remove(&node_idx);
        }
    }

    /// P5: whatever a pump gives finds a way out, through an open zone and every master valve before it.
    pub(super) fn check_pumps(&mut self) {
        for node_idx in self.farm.pump_nodes() {
            let run = self.nodes.get(node_idx).and_then(|node| *node.runs.first()?);
            if run.is_none_or(|run| run.commanded_ms.is_none()) || self.pumps.late.contains(&node_idx) {
                continue;
            }
            if self.has_way(node_idx) {
                continue;
            }
            let Some(pump) = self.pump_at(node_idx).filter(|pump| pump.kind == PumpKind::Pump) else {
                continue;
            };
            let excuse_ms = WAY_MS_MAX + u64::from(pump.lease_s) * 1000 + 5000;
            if self.is_excused(node_idx, excuse_ms) {
                continue;
            }
            let source = self.farm.pump_source(node_idx).cloned();
            self.checks.demand(false, self.now_ms, || {
                format!("P5: the pump of {source:?} runs against closed valves")
            });
        }
    }

    /// Counts whether a zone that a command opened has water: a pump that goes off and on again would leave it dry.
    pub(super) fn look_at_way(&mut self, zone_idx: usize) {
        let Some(ground) = self.farm.grounds.get(zone_idx) else { return };
        let run_of = |node_idx: usize, line_idx: usize| *self.nodes.get(node_idx)?.runs.get(line_idx)?;
        let run = run_of(ground.node_idx, ground.line_idx);
        let is_settled = |since_ms: u64| self.now_ms.saturating_sub(since_ms) >= SETTLED_MS;
        if !run.and_then(|run| run.commanded_ms).is_some_and(is_settled) {
            return;
        }
        let mut above = self.farm.pumps_of_zone.get(zone_idx).into_iter().flatten();
        let is_dry = above.any(|pump_idx| run_of(*pump_idx, 0).is_none());
        self.report.n_looks += 1;
        self.report.n_dry_looks += u64::from(is_dry);
    }

    fn has_way(&self, pump_idx: usize) -> bool {
        let is_open = |node_idx: usize, line_idx: usize| {
            self.nodes.get(node_idx).is_some_and(|node| node.runs.get(line_idx).is_some_and(Option::is_some))
        };
        self.farm.zones_below(pump_idx).iter().any(|zone_idx| {
            let (ground, pumps) = (self.farm.grounds.get(*zone_idx), self.farm.pumps_of_zone.get(*zone_idx));
            ground.is_some_and(|ground| is_open(ground.node_idx, ground.line_idx))
                && pumps.into_iter().flatten().all(|idx| *idx == pump_idx || is_open(*idx, 0))
        })
    }

    /// Whether a valve below a pump closed of which the gateway cannot have known for long enough.
    fn is_excused(&self, pump_idx: usize, excuse_ms: u64) -> bool {
        let is_below = |node_idx: usize| {
            let of_zone = self.farm.grounds.iter().zip(&self.farm.pumps_of_zone);
            let mut below = of_zone.filter(|(_, pumps)| pumps.contains(&pump_idx));
            below.any(|(ground, pumps)| ground.node_idx == node_idx || pumps.contains(&node_idx))
        };
        self.pumps.unforeseen.iter().any(|(node_idx, (_, heard_ms))| {
            let is_fresh = heard_ms.is_none_or(|heard_ms| self.now_ms <= heard_ms + excuse_ms);
            is_fresh && is_below(*node_idx)
        })
    }
}
