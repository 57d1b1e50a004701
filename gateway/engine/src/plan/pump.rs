//! How a pump or a master valve is switched: when it follows its zones' valves, how often it may start, and what of that
//! cannot be right.
//!
//! Data without behaviour over time; what follows from it is `pump`'s.

use std::collections::BTreeMap;
use std::fmt;

use super::{Plan, PlanProblem, ProblemKind, Timing, ZonePlan};
use crate::ids::{SourceId, ValveRef};

/// Farthest that a pump or master valve may be moved against its zones' valves, seconds: the range of OpenSprinkler's
/// master stations.
pub const ADJUST_S_MAX: u32 = 600;

/// Longest span of a pump's other times, seconds: an hour; longer is a typing error.
const SPAN_S_MAX: u32 = 3600;

/// A shorter lease is not worth a start: a motor needs as long to come up.
pub(crate) const LEASE_S_MIN: u32 = 10;

/// Most starts an hour that can be counted; a pump that may start more often needs no limit.
const STARTS_MAX: u32 = 60;

/// A zone's lease is renewed when a quarter of it is left; a pump's lease and its delays must fit into that quarter, or the
/// pump would stop at each renewal.
const LEASE_QUARTERS: u32 = 4;

/// The part of a span by which a node's clock may be fast or slow.
pub(crate) const DRIFT_DIVISOR: u32 = 50;

/// Longest run of an output that a node's settings have where nobody says otherwise, seconds.
pub(crate) const NODE_RUN_S_DEFAULT: u32 = 7200;

/// A node that closes sooner is told something else than a longest run, seconds.
pub(crate) const NODE_RUN_S_MIN: u32 = 60;

/// Shortest and longest run of an output that can be stated, seconds: below ten minutes a motor would do nothing but start,
/// and beyond a day the settings of nodes do not go.
const RUN_S_MAX: std::ops::RangeInclusive<u32> = 600..=86_400;

/// What stands at the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PumpKind {
    /// A pump, or anything else that must not work against closed valves.
    #[default]
    Pump,
    /// A valve before the zones' valves, which closed valves do not harm.
    Master,
}

/// A pump or master valve: an output of a node, opened by leases like every valve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PumpPlan {
    /// What it is.
    pub kind: PumpKind,
    /// The output that switches it.
    pub valve: ValveRef,
    /// It starts so long after the first zone's valve is open, seconds; below zero, for a master valve: before.
    pub on_adjust_s: i32,
    /// It stops so long after the last zone's valve is closed, seconds; below zero: before. A pump never stops after.
    pub off_adjust_s: i32,
    /// Filling the mains takes so long after it started, seconds: flow says nothing of zones until then.
    pub fill_s: u32,
    /// Once started it runs at least so long, seconds, unless a person or a fault stops it.
    pub run_s_min: u32,
    /// Once stopped it rests at least so long, seconds.
    pub off_s_min: u32,
    /// So many starts within any hour; 0: no limit.
    pub starts_per_hour_max: u32,
    /// Its node keeps the output on at most so long at a time, seconds: it goes off shortly before, and on again.
    pub run_s_max: u32,
    /// Lease of one Open, seconds: the longest that it can go on when a zone's node fails unseen.
    pub lease_s: u32,
}

impl PumpPlan {
    /// A pump or master valve with the usual times.
    ///
    /// Sources: two hours are what nodes' settings have where nobody says otherwise; five seconds, and a minute for minimum run and rest, are the short ends of what drip systems use; six
    /// starts an hour are what makers of borehole motors allow at most.
    #[must_use]
    pub fn new(kind: PumpKind, valve: ValveRef) -> Self {
        let is_pump = kind == PumpKind::Pump;
        Self {
            kind,
            valve,
            on_adjust_s: if is_pump { 5 } else { 0 },
            off_adjust_s: 0,
            fill_s: 60,
            run_s_min: if is_pump { 60 } else { 0 },
            off_s_min: if is_pump { 60 } else { 0 },
            starts_per_hour_max: if is_pump { 6 } else { 0 },
            run_s_max: NODE_RUN_S_DEFAULT,
            lease_s: if is_pump { 60 } else { 180 },
        }
    }

    /// What its zones' leases must have left beyond its own, seconds: the way of the command, and both clocks.
    pub(crate) fn spare_s(&self, timing: &Timing) -> u32 {
        timing.ttl_s_for(self.lease_s) + 2 * timing.margin_s
    }

    /// So long before its zones' valves close, seconds.
    pub(crate) fn off_lead_s(&self) -> u32 {
        self.off_adjust_s.min(0).unsigned_abs()
    }

    /// Whether valves below must not close before it is off.
    pub(crate) fn is_guarded(&self) -> bool {
        self.kind == PumpKind::Pump || self.off_adjust_s < 0
    }
}

/// Something about a pump that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PumpProblem {
    /// A zone or another source has the same output.
    OutputShared,
    /// A pump would run before its zones' valves open, or after they closed.
    BeforeValves,
    /// An adjustment is beyond ten minutes.
    Adjust,
    /// A span is longer than an hour, or there are more than 60 starts an hour.
    Span,
    /// The longest run is shorter than ten minutes or twice the shortest, or longer than a day.
    LongestRun,
    /// The lease is shorter than three answers take.
    LeaseTooShort(u32),
    /// A master valve's lease is too short to carry that of a pump on the same way; the shortest that does, seconds.
    MasterLease(SourceId, u32),
    /// Another pump, or another master valve, is on the same way.
    Twice(SourceId),
    /// A zone's lease is too short to carry the pump's; the shortest that does, seconds.
    ZoneLease(SourceId, u32),
}

impl PumpProblem {
    /// The stable code: snake_case.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OutputShared => "pump_output_shared",
            Self::BeforeValves => "pump_before_valves",
            Self::Adjust => "pump_adjust",
            Self::Span => "pump_span",
            Self::LongestRun => "pump_longest_run",
            Self::LeaseTooShort(_) => "pump_lease_too_short",
            Self::MasterLease(..) => "pump_master_lease",
            Self::Twice(_) => "pump_twice",
            Self::ZoneLease(..) => "pump_zone_lease",
        }
    }

    /// The key of the table that it is about; `None`: the message says it.
    #[must_use]
    pub const fn key(&self) -> Option<&'static str> {
        match self {
            Self::ZoneLease(..) => Some("lease_min"),
            Self::LeaseTooShort(_) | Self::MasterLease(..) => Some("pump.lease_s"),
            Self::LongestRun => Some("pump.run_max_min"),
            Self::OutputShared => Some("pump.node"),
            Self::BeforeValves | Self::Adjust | Self::Span | Self::Twice(_) => Some("pump"),
        }
    }
}

impl fmt::Display for PumpProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutputShared => f.write_str("a zone or another source has the same output of the same node"),
            Self::BeforeValves => f.write_str(
                "a pump starts no earlier and stops no later than its zones' valves: on_adjust_s from 0, off_adjust_s up to 0; a master valve may",
            ),
            Self::Adjust => write!(f, "on_adjust_s and off_adjust_s lie between -{ADJUST_S_MAX} and {ADJUST_S_MAX}"),
            Self::Span => write!(f, "spans are at most {SPAN_S_MAX} s, starts at most {STARTS_MAX} an hour"),
            Self::LongestRun => f.write_str(
                "the longest run is what the node allows this output: 10 to 1440 minutes, and at least twice run_min_s",
            ),
            Self::LeaseTooShort(least_s) => {
                write!(f, "the lease must be at least {least_s} s, or a lost answer stops the pump")
            }
            Self::MasterLease(source, least_s) => {
                write!(f, "the lease must be at least {least_s} s, or the pump of {source} stops whenever it is renewed")
            }
            Self::Twice(other) => {
                write!(f, "source {other} on the same way has one already: a way has one pump and one master valve")
            }
            Self::ZoneLease(source, least_s) => write!(
                f,
                "the lease must be at least {} min, four times the {} s that the pump of {source} needs at once: its lease_s and the way of a command",
                least_s.div_ceil(60),
                least_s / LEASE_QUARTERS
            ),
        }
    }
}

impl Plan {
    /// What cannot be right about pumps and master valves.
    pub(super) fn check_pumps(&self) -> Vec<PlanProblem> {
        let mut problems = Vec::new();
        let mut outputs: BTreeMap<&ValveRef, u32> = BTreeMap::new();
        let of_pumps =
            self.sources.values().filter_map(|source| source.pump.as_ref().map(|pump| &pump.valve));
        for valve in self.zones.values().map(|zone| &zone.valve).chain(of_pumps) {
            *outputs.entry(valve).or_default() += 1;
        }
        for (id, source) in &self.sources {
            let Some(pump) = &source.pump else { continue };
            let mut found = pump.check(&self.timing);
            if outputs.get(&pump.valve).is_some_and(|n| *n > 1) {
                found.push(PumpProblem::OutputShared);
            }
            let above = self.path(id).into_iter().skip(1);
            let twin = above.filter(|other| {
                let other = self.sources.get(*other).and_then(|source| source.pump.as_ref());
                other.is_some_and(|other| other.kind == pump.kind)
            });
            found.extend(twin.take(1).cloned().map(PumpProblem::Twice));
            found.extend(self.check_master_lease(id, pump));
            problems.extend(found.into_iter().map(|problem| PlanProblem {
                zone: None,
                source: Some(id.clone()),
                program: None,
                kind: ProblemKind::Pump(problem),
            }));
        }
        for (id, zone) in &self.zones {
            let found = self.check_zone_lease(zone).map(|problem| PlanProblem {
                zone: Some(id.clone()),
                source: None,
                program: None,
                kind: ProblemKind::Pump(problem),
            });
            problems.extend(found);
        }
        problems
    }

    /// The pump on a master valve's way, above or below it, gets its leases from what is left of the valve's.
    fn check_master_lease(&self, id: &SourceId, master: &PumpPlan) -> Option<PumpProblem> {
        if master.kind != PumpKind::Master {
            return None;
        }
        self.sources.iter().find_map(|(other, source)| {
            let pump = source.pump.as_ref().filter(|pump| pump.kind == PumpKind::Pump)?;
            let is_on_the_way = self.path(id).contains(&other) || self.path(other).contains(&id);
            // Renewed at half of it, perhaps with the last attempt.
            let needed_s = pump.spare_s(&self.timing) + LEASE_S_MIN + 3 * self.timing.answer_s;
            let needed_s = needed_s.saturating_mul(2);
            (is_on_the_way && master.lease_s < needed_s)
                .then(|| PumpProblem::MasterLease(other.clone(), needed_s))
        })
    }

    fn check_zone_lease(&self, zone: &ZonePlan) -> Option<PumpProblem> {
        self.path(&zone.source).into_iter().find_map(|id| {
            // A master valve that closes last asks nothing of the zones' leases.
            let pump = self.sources.get(id)?.pump.as_ref().filter(|pump| pump.is_guarded())?;
            // A pump that stops before its zones' valves close needs them open for that long: their leases end by themselves.
            let needed_s = pump.lease_s.max(pump.off_lead_s()).saturating_add(pump.spare_s(&self.timing));
            let needed_s = needed_s.saturating_mul(LEASE_QUARTERS);
            (zone.lease_s < needed_s).then(|| PumpProblem::ZoneLease(id.clone(), needed_s))
        })
    }
}

impl PumpPlan {
    fn check(&self, timing: &Timing) -> Vec<PumpProblem> {
        let mut found = Vec::new();
        if self.kind == PumpKind::Pump && (self.on_adjust_s < 0 || self.off_adjust_s > 0) {
            found.push(PumpProblem::BeforeValves);
        }
        if [self.on_adjust_s, self.off_adjust_s].iter().any(|adjust| adjust.unsigned_abs() > ADJUST_S_MAX) {
            found.push(PumpProblem::Adjust);
        }
        let spans = [self.fill_s, self.run_s_min, self.off_s_min, self.lease_s];
        if spans.iter().any(|span_s| *span_s > SPAN_S_MAX) || self.starts_per_hour_max > STARTS_MAX {
            found.push(PumpProblem::Span);
        }
        if !RUN_S_MAX.contains(&self.run_s_max) || self.run_s_max / 2 < self.run_s_min {
            found.push(PumpProblem::LongestRun);
        }
        let least_s = timing.answer_s.saturating_mul(3);
        if self.lease_s < least_s {
            found.push(PumpProblem::LeaseTooShort(least_s));
        }
        found
    }
}
