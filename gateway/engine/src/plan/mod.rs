//! What the farm wants: zones, sources, thresholds and times, checked before they are used.
//!
//! Data without behaviour over time. [`Plan::check`] finds every problem at once; a zone with a problem is kept but never
//! opened, so that one typing error does not dry out the rest of the farm.

mod guard;
mod pump;
mod soil;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use giot_shared::time::UnixMs;
use giot_shared::units::LitresPerHour;

use crate::ids::{ProbeRef, ProgramId, SourceId, ValveRef, ZoneId};
use crate::program::{Cycle, Group, Place, Program, ProgramProblem, Window};

pub use guard::{
    ContactGuard, FarmGuards, FlowLimits, FrostGuard, GuardAction, GuardProblem, Ignores, Meter, MeterKind,
    PressureGuard, RainGuard, SourceGuards, TankGuard, Twins, WaterResponse, ZoneGuards,
};
pub use pump::{ADJUST_S_MAX, PumpKind, PumpPlan, PumpProblem};
pub(crate) use pump::{DRIFT_DIVISOR, LEASE_S_MIN, NODE_RUN_S_DEFAULT, NODE_RUN_S_MIN};
pub use soil::{Depletion, HYSTERESIS_CENTIKPA_MIN, HeldWater, Level, SoilRule};

/// Smallest distance of stop and start threshold: 2 % of volume, about the noise and drift of a capacitive probe.
pub const HYSTERESIS_PERMYRIAD_MIN: u16 = 200;

/// Longest run that a plan may ask for: a day; longer is a typing error.
pub const RUN_S_MAX: u32 = 24 * 3600;

/// Longest time between two starts on one source, seconds.
const STAGGER_S_MAX: u32 = 3600;

pub(crate) const MINUTES_A_DAY: u16 = 24 * 60;
pub(crate) const DAY_MS: i64 = 24 * 3600 * 1000;

/// Everything that the engine is told about the farm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The zones.
    pub zones: BTreeMap<ZoneId, ZonePlan>,
    /// The sources that the zones name.
    pub sources: BTreeMap<SourceId, SourcePlan>,
    /// Local time minus UTC, minutes; Việt Nam: 420.
    pub utc_offset_min: i32,
    /// Where the farm lies, for starts by the sun; `None`: there are none.
    pub place: Option<Place>,
    /// What is watered by the calendar.
    pub programs: BTreeMap<ProgramId, Program>,
    /// Waiting times towards the nodes.
    pub timing: Timing,
    /// What is watched of the whole farm.
    pub guards: FarmGuards,
}

/// A branch of the water network: a source, a pump, a pipe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourcePlan {
    /// The branch that feeds it; `None`: it is a root.
    pub fed_by: Option<SourceId>,
    /// What it carries; `None`: one zone at a time, whatever that takes.
    pub capacity: Option<LitresPerHour>,
    /// Its pump or master valve; `None`: it has none, or none that is switched from here.
    pub pump: Option<PumpPlan>,
    /// Shortest time between the starts of two of its zones, seconds.
    pub stagger_s: u32,
    /// Hours in which neither soil, rules nor programs open what it feeds: dear electricity, water that is others'.
    pub no_water: Vec<Window>,
    /// What is watched of it.
    pub guards: SourceGuards,
}

/// How one zone is watered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZonePlan {
    /// The source that feeds it.
    pub source: SourceId,
    /// What its emitters take together; `None`: not known, so that it is watered alone.
    pub flow: Option<LitresPerHour>,
    /// Its whole area, dm²; `None`: not known, so that no depth of water can be asked for.
    pub area_dm2: Option<u32>,
    /// Its plants; `None`: not known, so that nothing can be asked for by the plant.
    pub n_plants: Option<u32>,
    /// How runs of programs are split; `None`: not at all.
    pub cycle: Option<Cycle>,
    /// Which zones of a program it may run beside.
    pub group: Group,
    /// Its valve.
    pub valve: ValveRef,
    /// Its probes; those that are fresh and good decide together.
    pub probes: Vec<ProbeRef>,
    /// How much each probe counts, in their order: their weighted mean decides; empty: their median.
    pub weights: Vec<u16>,
    /// When it is dry enough to start and wet enough to stop.
    pub soil: SoilRule,
    /// When an automatic run may take place.
    pub window: DayWindow,
    /// Hours in which no automatic run may take place, the window's too.
    pub no_water: Vec<Window>,
    /// Lease of one Open, seconds.
    pub lease_s: u32,
    /// Longest run, over all renewed leases, seconds.
    pub run_max_s: u32,
    /// A program's run that would be shorter is left out, seconds; 0: none is.
    pub skip_below_s: u32,
    /// A program's run is made at least so long, seconds.
    pub run_least_s: u32,
    /// Shortest time between the end of a run and the next automatic one, seconds.
    pub min_off_s: u32,
    /// Oldest reading that counts as fresh, seconds.
    pub fresh_s: u32,
    /// Lowest and highest level that this soil can have.
    pub plausible: (Level, Level),
    /// Largest plausible change within five minutes while nothing waters; 0 switches the check off.
    pub rate_max: Level,
    /// A value that stays identical for longer is stuck, seconds; 0 switches the check off.
    pub stuck_s: u32,
    /// Whether the engine waters by itself; otherwise by hand only.
    pub automatic: bool,
    /// What is watched of it beside the soil.
    pub guards: ZoneGuards,
}

/// Waiting times, seconds. The defaults suit nodes on a local network that stay connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Without an answer for so long, a command is sent again: far above a round trip, short for a person who waits.
    pub answer_s: u32,
    /// From the acceptance of an Open to the valve's report.
    pub confirm_s: u32,
    /// Longest time to live of a command; a short lease has a shorter one.
    pub ttl_s: u32,
    /// Added to every "surely over": transport and the difference of two clocks that were set alike.
    pub margin_s: u32,
    /// After a refusal that time can mend (not anchored, expired, busy), one more attempt after so long.
    pub retry_later_s: u32,
    /// Pause after the first failed cycle; each further one doubles it.
    pub quarantine_s: u32,
    /// Longest such pause.
    pub quarantine_s_max: u32,
    /// Automatic watering rests for so long after a person's stop.
    pub person_rest_s: u32,
    /// A zone that finds no room may be overtaken for so long by others that fit beside what runs; then its branch is kept
    /// for it.
    pub patience_s: u32,
    /// Longest time that a node keeps a valve open on its own (its hard maximum).
    pub node_run_s_max: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            answer_s: 10,
            confirm_s: 15,
            ttl_s: 30,
            margin_s: 5,
            retry_later_s: 30,
            quarantine_s: 300,
            quarantine_s_max: 6 * 3600,
            person_rest_s: 3600,
            patience_s: 1800,
            node_run_s_max: 8 * 3600,
        }
    }
}

/// A span of the local day; may cross midnight; equal ends mean the whole day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayWindow {
    from_min: u16,
    to_min: u16,
}

impl DayWindow {
    /// The whole day.
    pub const ALWAYS: Self = Self { from_min: 0, to_min: 0 };

    /// From one minute of the day (included) to another (excluded); 1440 stands for midnight. `None` above 1440.
    #[must_use]
    pub fn new(from_min: u16, to_min: u16) -> Option<Self> {
        if from_min > MINUTES_A_DAY || to_min > MINUTES_A_DAY {
            return None;
        }
        Some(Self { from_min: from_min % MINUTES_A_DAY, to_min: to_min % MINUTES_A_DAY })
    }

    /// First minute of the day.
    #[must_use]
    pub fn from_min(self) -> u16 {
        self.from_min
    }

    /// The minute of the day at which it is over.
    #[must_use]
    pub fn to_min(self) -> u16 {
        self.to_min
    }

    /// Whether a moment lies inside.
    #[must_use]
    pub fn contains(self, at: UnixMs, utc_offset_min: i32) -> bool {
        let minute = local_ms_of_day(at, utc_offset_min) / 60_000;
        let (from, to) = (i64::from(self.from_min), i64::from(self.to_min));
        if from == to {
            true
        } else if from < to {
            (from..to).contains(&minute)
        } else {
            minute >= from || minute < to
        }
    }
}

fn local_ms_of_day(at: UnixMs, utc_offset_min: i32) -> i64 {
    (at.0.rem_euclid(DAY_MS) + i64::from(utc_offset_min) * 60_000).rem_euclid(DAY_MS)
}

/// Something in a plan that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanProblem {
    /// The zone; `None`: a source, or the plan as a whole.
    pub zone: Option<ZoneId>,
    /// The source; `None`: a zone, a program, or the plan as a whole.
    pub source: Option<SourceId>,
    /// The program; `None`: a zone, a source, or the plan as a whole.
    pub program: Option<ProgramId>,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// The kinds of problems of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The zone names a source that is not there.
    UnknownSource(SourceId),
    /// The source is fed by one that is not there.
    UnknownFeeder(SourceId),
    /// The source is fed by itself, directly or over others.
    SourceLoop,
    /// The source carries nothing.
    CapacityZero,
    /// The zone's flow is zero.
    FlowZero,
    /// The zone takes more than a source on its way carries.
    FlowAboveCapacity(SourceId, LitresPerHour),
    /// The zone is to water by itself but has no probe.
    NoProbe,
    /// The same probe is named twice.
    ProbeTwice(ProbeRef),
    /// The start threshold is not below the stop threshold.
    ThresholdsCrossed,
    /// Stop is above start by less than [`HYSTERESIS_PERMYRIAD_MIN`].
    HysteresisTooSmall(u16),
    /// Both tensions are closer together than [`HYSTERESIS_CENTIKPA_MIN`].
    TensionsTooClose(Level),
    /// The soil's field capacity is not above its wilting point.
    HoldsNoWater,
    /// There is not one weight for each probe, or all of them are zero.
    Weights,
    /// A threshold lies outside the plausible range, so it can never be reached.
    ThresholdImplausible,
    /// Another zone has the same valve.
    ValveShared(ZoneId),
    /// Another zone has the same meter, which cannot tell whose water it counts.
    MeterShared(ZoneId),
    /// The lease is zero.
    LeaseZero,
    /// The lease is longer than the longest run.
    LeaseAboveRun,
    /// The longest run is longer than [`RUN_S_MAX`].
    RunTooLong,
    /// The shortest run of programs, or what is left out below, is above the longest run.
    LeastAboveRun,
    /// No reading can ever be fresh.
    FreshZero,
    /// A value counts as stuck before it counts as stale.
    StuckBelowFresh,
    /// The offset from UTC is beyond ±14 hours.
    UtcOffset,
    /// A waiting time is zero or longer than a day.
    Timing,
    /// Something of a program, or of what programs rest on.
    Program(ProgramProblem),
    /// The time between two starts is longer than an hour.
    StaggerTooLong,
    /// Something of a pump or master valve.
    Pump(PumpProblem),
    /// Something of what is watched beside the soil.
    Guard(GuardProblem),
}

impl ProblemKind {
    /// The stable code: snake_case.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownSource(_) => "unknown_source",
            Self::UnknownFeeder(_) => "unknown_feeder",
            Self::SourceLoop => "source_loop",
            Self::CapacityZero => "capacity_zero",
            Self::FlowZero => "flow_zero",
            Self::FlowAboveCapacity(..) => "flow_above_capacity",
            Self::NoProbe => "no_probe",
            Self::ProbeTwice(_) => "probe_twice",
            Self::ThresholdsCrossed => "thresholds_crossed",
            Self::HysteresisTooSmall(_) => "hysteresis_too_small",
            Self::TensionsTooClose(_) => "tensions_too_close",
            Self::HoldsNoWater => "holds_no_water",
            Self::Weights => "weights",
            Self::ThresholdImplausible => "threshold_implausible",
            Self::ValveShared(_) => "valve_shared",
            Self::MeterShared(_) => "meter_shared",
            Self::LeaseZero => "lease_zero",
            Self::LeaseAboveRun => "lease_above_run",
            Self::RunTooLong => "run_too_long",
            Self::LeastAboveRun => "limits_crossed",
            Self::FreshZero => "fresh_zero",
            Self::StuckBelowFresh => "stuck_below_fresh",
            Self::UtcOffset => "utc_offset",
            Self::Timing => "timing",
            Self::Program(problem) => problem.kind.code(),
            Self::StaggerTooLong => "stagger_too_long",
            Self::Pump(problem) => problem.code(),
            Self::Guard(problem) => problem.code(),
        }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSource(source) | Self::UnknownFeeder(source) => {
                write!(f, "source {source} is not defined: define it or name another")
            }
            Self::SourceLoop => f.write_str("the source feeds itself: take one fed_by out of the loop"),
            Self::CapacityZero => f.write_str(
                "the source carries nothing: state its litres per hour, or leave its capacity out",
            ),
            Self::FlowZero => f.write_str("the flow must be at least one litre per hour, or left out"),
            Self::FlowAboveCapacity(source, capacity) => write!(
                f,
                "the zone takes more than source {source} carries ({} L/h): split the zone or correct a number",
                capacity.0
            ),
            Self::NoProbe => f.write_str("an automatic zone needs at least one probe"),
            Self::ProbeTwice(probe) => write!(f, "probe {probe} is named twice"),
            Self::ThresholdsCrossed => f.write_str(
                "start must be drier than stop: start_below lower than stop_above, start_depleted and start_above_kpa higher",
            ),
            Self::HysteresisTooSmall(found) => write!(
                f,
                "start and stop are only {}.{:02} % of the soil's volume apart: at least 2 % is needed, or noise switches the valve",
                found / 100,
                found % 100
            ),
            Self::TensionsTooClose(found) => write!(
                f,
                "start and stop are only {found} kPa apart: at least 2 kPa is needed, or noise switches the valve"
            ),
            Self::HoldsNoWater => f.write_str("the field capacity must be above the wilting point"),
            Self::Weights => f.write_str("either no probe has a weight, or each, and not all of them zero"),
            Self::ThresholdImplausible => {
                f.write_str("both thresholds must lie inside the plausible range, or they are never reached")
            }
            Self::ValveShared(other) => write!(f, "zone {other} has the same valve"),
            Self::MeterShared(other) => {
                write!(f, "zone {other} has the same meter; one that sees the water of both belongs to their source")
            }
            Self::LeaseZero => f.write_str("the lease must be at least one second"),
            Self::LeaseAboveRun => f.write_str("the lease must not be longer than the longest run"),
            Self::RunTooLong => f.write_str("the longest run must not exceed 24 hours"),
            Self::LeastAboveRun => {
                f.write_str("the shortest run, and what is left out below, must not be above the longest run")
            }
            Self::FreshZero => f.write_str("a reading must count as fresh for at least one second"),
            Self::StuckBelowFresh => {
                f.write_str("a value must count as stuck later than as stale, or never (0)")
            }
            Self::UtcOffset => f.write_str("the offset from UTC must lie within 14 hours"),
            Self::Timing => f.write_str("every waiting time must lie between one second and a day"),
            // What a file calls a step is part of a sequence in here.
            Self::Program(ProgramProblem { field, kind }) => {
                write!(f, "{}: {kind}", field.strip_prefix("sequence.").unwrap_or(field))
            }
            Self::StaggerTooLong => f.write_str("the time between two starts must not exceed an hour"),
            Self::Pump(problem) => problem.fmt(f),
            Self::Guard(problem) => problem.fmt(f),
        }
    }
}

impl fmt::Display for PlanProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.zone, &self.source, &self.program) {
            (Some(zone), ..) => write!(f, "zone {zone}: {}", self.kind),
            (None, Some(source), _) => write!(f, "source {source}: {}", self.kind),
            (None, None, Some(program)) => write!(f, "program {program}: {}", self.kind),
            (None, None, None) => write!(f, "{}", self.kind),
        }
    }
}

impl Plan {
    /// Every problem of the plan, in the order of its zones.
    #[must_use]
    pub fn check(&self) -> Vec<PlanProblem> {
        let mut problems = Vec::new();
        let of_plan = |kind| PlanProblem { zone: None, source: None, program: None, kind };
        if self.utc_offset_min.unsigned_abs() > 14 * 60 {
            problems.push(of_plan(ProblemKind::UtcOffset));
        }
        if !self.timing.is_sound() {
            problems.push(of_plan(ProblemKind::Timing));
        }
        problems.extend(self.guards.check().into_iter().map(|problem| of_plan(ProblemKind::Guard(problem))));
        for (id, source) in &self.sources {
            let found = self.check_source(id, source).into_iter();
            problems.extend(found.map(|kind| PlanProblem { source: Some(id.clone()), ..of_plan(kind) }));
        }
        let mut valves: BTreeMap<&ValveRef, &ZoneId> = BTreeMap::new();
        let mut meters: BTreeMap<&ProbeRef, &ZoneId> = BTreeMap::new();
        for (id, zone) in &self.zones {
            let mut found = zone.check();
            if !self.sources.contains_key(&zone.source) {
                found.push(ProblemKind::UnknownSource(zone.source.clone()));
            }
            found.extend(self.too_narrow_for(zone));
            if let Some(other) = valves.get(&zone.valve) {
                found.push(ProblemKind::ValveShared((*other).clone()));
            } else {
                valves.insert(&zone.valve, id);
            }
            if let Some(meter) = &zone.guards.meter {
                let other = *meters.entry(&meter.gauge).or_insert(id);
                found.extend((other != id).then(|| ProblemKind::MeterShared(other.clone())));
            }
            let found = found.into_iter();
            problems.extend(found.map(|kind| PlanProblem { zone: Some(id.clone()), ..of_plan(kind) }));
        }
        problems.extend(self.check_pumps());
        let site = self.site();
        for (id, program) in &self.programs {
            let found = program.check(&site).into_iter().map(ProblemKind::Program);
            problems.extend(found.map(|kind| PlanProblem { program: Some(id.clone()), ..of_plan(kind) }));
        }
        problems
    }

    /// What keeps each zone from being opened: its own problems, those of the sources on its way, and the plan's.
    pub(crate) fn problems_by_zone(&self) -> BTreeMap<ZoneId, Vec<ProblemKind>> {
        let mut by_zone: BTreeMap<ZoneId, Vec<ProblemKind>> = BTreeMap::new();
        for problem in self.check().into_iter().filter(|problem| problem.program.is_none()) {
            for (id, zone) in &self.zones {
                let is_own = problem.zone.as_ref().is_none_or(|zone| zone == id);
                let is_on_way =
                    problem.source.as_ref().is_none_or(|source| self.path(&zone.source).contains(&source));
                if is_own && is_on_way {
                    by_zone.entry(id.clone()).or_default().push(problem.kind.clone());
                }
            }
        }
        by_zone
    }

    /// Every gauge that some guard reads.
    pub fn gauges(&self) -> impl Iterator<Item = &ProbeRef> {
        let of_zones = self.zones.values().filter_map(|zone| Some(&zone.guards.meter.as_ref()?.gauge));
        let of_sources = self.sources.values().flat_map(|source| {
            let guards = &source.guards;
            let meter = guards.meter.as_ref().map(|meter| &meter.gauge);
            let tank = guards.tank.as_ref().map(|tank| &tank.gauge);
            [meter, tank, guards.pressure.as_ref().map(|pressure| &pressure.gauge)]
        });
        let rain = self.guards.rain.as_ref().map(|rain| &rain.gauge);
        let contacts = [&self.guards.rain_contact, &self.guards.soil_contact];
        let contacts = contacts.map(|contact| contact.as_ref().map(|contact| &contact.gauge));
        let frost = self.guards.frost.as_ref().map(|frost| &frost.gauge);
        of_zones.chain(of_sources.chain([rain, frost]).chain(contacts).flatten())
    }

    /// What keeps each program from starting: the code of its first problem.
    pub(crate) fn problems_by_program(&self) -> BTreeMap<ProgramId, String> {
        let mut by_program = BTreeMap::new();
        for problem in self.check() {
            let Some(program) = problem.program else { continue };
            by_program.entry(program).or_insert_with(|| problem.kind.code().to_owned());
        }
        by_program
    }

    /// The sources on the way from `source` to its root, itself first; unknown ones end the way, a loop is cut.
    pub(crate) fn path<'a>(&'a self, source: &'a SourceId) -> Vec<&'a SourceId> {
        let mut path = vec![source];
        let mut here = source;
        while let Some(next) = self.sources.get(here).and_then(|plan| plan.fed_by.as_ref()) {
            if path.contains(&next) || !self.sources.contains_key(next) {
                break;
            }
            path.push(next);
            here = next;
        }
        path
    }

    /// The pumps and master valves, in the order of their sources.
    pub(crate) fn pumps(&self) -> impl Iterator<Item = (&SourceId, &PumpPlan)> {
        self.sources.iter().filter_map(|(id, source)| Some((id, source.pump.as_ref()?)))
    }

    /// Of each zone, in the order of their names: those of [`Self::pumps`] on its way, the nearest first.
    pub(crate) fn pumps_of_zones(&self) -> Vec<Arc<[usize]>> {
        let ids: Vec<_> = self.pumps().map(|(id, _)| id).collect();
        let on_way = |zone: &ZonePlan| {
            let way = self.path(&zone.source).into_iter();
            way.filter_map(|source| ids.binary_search(&source).ok()).collect()
        };
        self.zones.values().map(on_way).collect()
    }

    fn check_source(&self, id: &SourceId, source: &SourcePlan) -> Vec<ProblemKind> {
        let mut found = Vec::new();
        if source.capacity == Some(LitresPerHour(0)) {
            found.push(ProblemKind::CapacityZero);
        }
        if source.stagger_s > STAGGER_S_MAX {
            found.push(ProblemKind::StaggerTooLong);
        }
        found.extend(source.guards.check().into_iter().map(ProblemKind::Guard));
        let Some(fed_by) = &source.fed_by else { return found };
        if !self.sources.contains_key(fed_by) {
            found.push(ProblemKind::UnknownFeeder(fed_by.clone()));
        } else if self.path(fed_by).contains(&id) {
            found.push(ProblemKind::SourceLoop);
        }
        found
    }

    /// The first source that cannot carry a zone even alone.
    fn too_narrow_for(&self, zone: &ZonePlan) -> Option<ProblemKind> {
        let flow = zone.flow?;
        self.path(&zone.source).into_iter().find_map(|id| {
            let capacity = self.sources.get(id)?.capacity.filter(|capacity| *capacity < flow)?;
            Some(ProblemKind::FlowAboveCapacity(id.clone(), capacity))
        })
    }
}

impl ZonePlan {
    /// Whether the zone's meter is at the valve's own node, which then measures each run to its end.
    #[must_use]
    pub fn is_metered_by_its_node(&self) -> bool {
        self.guards.meter.as_ref().is_some_and(|meter| meter.gauge.device == self.valve.node)
    }

    fn check(&self) -> Vec<ProblemKind> {
        let mut found = Vec::new();
        let mut report = |is_wrong: bool, kind: ProblemKind| {
            if is_wrong {
                found.push(kind);
            }
        };
        report(self.automatic && self.probes.is_empty(), ProblemKind::NoProbe);
        let mut seen = BTreeSet::new();
        for probe in &self.probes {
            report(!seen.insert(probe), ProblemKind::ProbeTwice(probe.clone()));
        }
        let is_weighed =
            self.weights.len() == self.probes.len() && self.weights.iter().any(|weight| *weight > 0);
        report(!self.weights.is_empty() && !is_weighed, ProblemKind::Weights);
        report(self.flow == Some(LitresPerHour(0)), ProblemKind::FlowZero);
        report(self.lease_s == 0, ProblemKind::LeaseZero);
        report(self.lease_s > self.run_max_s, ProblemKind::LeaseAboveRun);
        report(self.run_max_s > RUN_S_MAX, ProblemKind::RunTooLong);
        report(self.skip_below_s.max(self.run_least_s) > self.run_max_s, ProblemKind::LeastAboveRun);
        report(self.fresh_s == 0, ProblemKind::FreshZero);
        report(self.stuck_s != 0 && self.stuck_s <= self.fresh_s, ProblemKind::StuckBelowFresh);
        found.extend(self.soil.check(self.plausible));
        found.extend(self.guards.check().into_iter().map(ProblemKind::Guard));
        found
    }
}

impl Timing {
    fn is_sound(&self) -> bool {
        [
            self.answer_s,
            self.confirm_s,
            self.ttl_s,
            self.margin_s,
            self.retry_later_s,
            self.quarantine_s,
            self.quarantine_s_max,
            self.person_rest_s,
            self.patience_s,
            self.node_run_s_max,
        ]
        .iter()
        .all(|span_s| (1..=RUN_S_MAX).contains(span_s))
    }

    /// Time to live of a command of a given lease: a quarter of it, between five seconds and the plan's maximum. The worst
    /// case of a renewed run counts one time to live, so that a short lease must not carry a long one.
    pub(crate) fn ttl_s_for(&self, lease_s: u32) -> u32 {
        (lease_s / 4).clamp(self.ttl_s.min(5), self.ttl_s)
    }
}

#[cfg(test)]
pub(crate) mod tests;
