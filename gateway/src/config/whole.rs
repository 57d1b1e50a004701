//! What only the whole plan shows, as the engine judges it, told at the keys of the file; what follows from something that was told
//! already is left out.

use giot_engine::program::ProgramProblemKind;
use giot_engine::{
    FarmGuards, FlowLimits, GuardProblem, Plan, PlanProblem, ProblemKind, PumpPlan, PumpProblem,
    SourceGuards, SourcePlan,
};

use super::compile::{Compiler, Fields, is_stand_in};

/// Keys that a zone's thresholds rest on.
const SOIL_KEYS: [&str; 11] = [
    "start_below_percent",
    "stop_above_percent",
    "soil",
    "field_capacity_percent",
    "wilting_point_percent",
    "start_depleted_percent",
    "stop_depleted_percent",
    "start_above_kpa",
    "stop_below_kpa",
    "plausible_percent",
    "plausible_kpa",
];

/// Keys of a step's amount.
pub(super) const AMOUNTS: [&str; 6] = ["minutes", "litres", "m3", "litres_per_plant", "mm", "refill"];

/// Longest span of a guard, seconds: the engine's.
const DAY_S: u32 = 86_400;

impl Compiler<'_> {
    /// What only the engine can judge about the plan as a whole.
    pub(super) fn plan_problems(&mut self, plan: &Plan, fields: &Fields) {
        for problem in plan.check() {
            if matches!(problem.kind, ProblemKind::Guard(_)) {
                continue;
            }
            let base = base_of(&problem, fields);
            if self.follows(&problem, plan, fields, &base) {
                continue;
            }
            let field = if let ProblemKind::Program(found) = &problem.kind {
                self.field_of_program(&base, &found.field)
            } else if let ProblemKind::Pump(found) = &problem.kind {
                let pump = problem.source.as_ref().and_then(|id| plan.sources.get(id)?.pump.as_ref());
                format!("{base}.{}", pump_key(found, pump))
            } else {
                self.first_written(&base, keys_of(&problem.kind))
            };
            let what = words(&problem, fields);
            self.problem_at(&field, what);
        }
        self.guard_problems(plan, fields);
    }

    /// The first key that is written, or else the first.
    fn first_written(&self, base: &str, keys: &[&str]) -> String {
        let key = keys.iter().find(|key| self.is_written(&format!("{base}.{key}")));
        match (key.or_else(|| keys.first()), base) {
            (None, base) => base.to_owned(),
            (Some(key), "") => (*key).to_owned(),
            (Some(key), base) => format!("{base}.{key}"),
        }
    }

    /// Whether a problem follows from one that was told.
    fn follows(&self, problem: &PlanProblem, plan: &Plan, fields: &Fields, base: &str) -> bool {
        let any = |keys: &[&str]| self.is_any_spoilt(base, keys);
        match &problem.kind {
            ProblemKind::UnknownSource(id) => any(&["source"]) || self.forgiven.sources.contains(id.as_str()),
            ProblemKind::UnknownFeeder(id) => any(&["fed_by"]) || self.forgiven.sources.contains(id.as_str()),
            ProblemKind::NoProbe => any(&["probes", "automatic"]),
            ProblemKind::Weights => any(&["probes"]),
            ProblemKind::ThresholdsCrossed
            | ProblemKind::HysteresisTooSmall(_)
            | ProblemKind::TensionsTooClose(_)
            | ProblemKind::HoldsNoWater
            | ProblemKind::ThresholdImplausible => any(&SOIL_KEYS),
            ProblemKind::LeaseAboveRun => any(&["lease_min", "run_max_min"]),
            ProblemKind::LeastAboveRun => any(&["run_least_min", "skip_below_min", "run_max_min"]),
            ProblemKind::StuckBelowFresh => any(&["stuck_hours", "fresh_min"]),
            ProblemKind::Pump(PumpProblem::ZoneLease(source, _)) => {
                let pump = fields.sources.get(source).map(|field| format!("{field}.pump"));
                any(&["lease_min", "source"]) || pump.is_some_and(|pump| self.is_spoilt(&pump))
            }
            ProblemKind::Pump(PumpProblem::MasterLease(other, _)) => {
                let pump = fields.sources.get(other).map(|field| format!("{field}.pump"));
                any(&["pump.kind", "pump.lease_s", "fed_by"])
                    || pump.is_some_and(|pump| self.is_spoilt(&pump))
            }
            ProblemKind::Pump(PumpProblem::BeforeValves) => {
                any(&["pump.kind", "pump.on_adjust_s", "pump.off_adjust_s"])
            }
            ProblemKind::Pump(PumpProblem::Twice(other)) => {
                let kind = fields.sources.get(other).map(|field| format!("{field}.pump.kind"));
                any(&["pump.kind"]) || kind.is_some_and(|kind| self.is_spoilt(&kind))
            }
            ProblemKind::Program(found) => {
                let program = problem.program.as_ref().and_then(|id| plan.programs.get(id));
                let steps = program.into_iter().flat_map(|program| &program.sequence.steps);
                let zones: Vec<_> =
                    steps.map(|step| fields.zones.get(&step.zone).map(String::as_str)).collect();
                self.follows_in_program(&found.field, &found.kind, base, &zones)
            }
            ProblemKind::SourceLoop
            | ProblemKind::CapacityZero
            | ProblemKind::FlowZero
            | ProblemKind::FlowAboveCapacity(..)
            | ProblemKind::ProbeTwice(_)
            | ProblemKind::ValveShared(_)
            | ProblemKind::MeterShared(_)
            | ProblemKind::LeaseZero
            | ProblemKind::RunTooLong
            | ProblemKind::FreshZero
            | ProblemKind::UtcOffset
            | ProblemKind::Timing
            | ProblemKind::StaggerTooLong
            | ProblemKind::Pump(_)
            | ProblemKind::Guard(_) => false,
        }
    }

    /// The same for a program; `zones`: the fields of the zones of its steps, as far as they are known.
    fn follows_in_program(
        &self,
        place: &str,
        kind: &ProgramProblemKind,
        base: &str,
        zones: &[Option<&str>],
    ) -> bool {
        let step = place.strip_prefix("sequence.").and_then(|place| place.split('.').next());
        let step = format!("{base}.{}", step.unwrap_or(place));
        match kind {
            ProgramProblemKind::Empty => self.is_spoilt(&step),
            ProgramProblemKind::UnknownZone(zone) => {
                // An amount that is wrong says nothing of the zone.
                is_stand_in(zone.as_str())
                    || self.is_told_of(&format!("{step}.zone"))
                    || self.forgiven.zones.contains(zone.as_str())
            }
            ProgramProblemKind::Amount(_) => {
                let idx = step.rsplit('[').next().and_then(|idx| idx.trim_end_matches(']').parse().ok());
                let zone = idx.and_then(|idx: usize| zones.get(idx).copied().flatten());
                self.is_spoilt(&step)
                    || zone.is_some_and(|zone| {
                        self.is_any_spoilt(zone, &["area_m2", "flow_l_per_h", "plants", "run_max_min"])
                    })
            }
            ProgramProblemKind::NoPlace => self.is_spoilt("latitude_deg") || self.is_spoilt("longitude_deg"),
            ProgramProblemKind::RefillInTotal => self.is_any_spoilt(base, &["steps", "total_min"]),
            ProgramProblemKind::RefillTwice => self.is_any_spoilt(base, &["steps", "rounds"]),
            ProgramProblemKind::TooLongToFinish => self.rests_on_spoilt(base, zones),
            ProgramProblemKind::TooMany { .. } if place == "sequence" => self.rests_on_spoilt(base, zones),
            ProgramProblemKind::TooMany { .. }
            | ProgramProblemKind::OutOfRange { .. }
            | ProgramProblemKind::LimitsCrossed => false,
        }
    }

    /// Whether the length of a program rests on something that is spoilt.
    fn rests_on_spoilt(&self, base: &str, zones: &[Option<&str>]) -> bool {
        let own = ["steps", "starts", "rounds", "delay_s", "total_min", "season_percent"];
        self.is_any_spoilt(base, &own) || zones.iter().flatten().any(|zone| self.is_spoilt(zone))
    }

    /// The field of the file for one of the engine's program.
    fn field_of_program(&self, base: &str, place: &str) -> String {
        match place {
            "sequence" => return format!("{base}.steps"),
            "total_ms" => return format!("{base}.total_min"),
            _ => {}
        }
        let place = place.strip_prefix("sequence.").unwrap_or(place);
        let place = place.strip_prefix("windows.").unwrap_or(place);
        let place = place.strip_suffix(".weekdays").filter(|_| !place.starts_with("days")).unwrap_or(place);
        if let Some(step) = place.strip_suffix(".target") {
            return self.first_written_or_whole(&format!("{base}.{step}"), &AMOUNTS);
        }
        if let Some(start) = place.strip_suffix(".clock") {
            return self.first_written_or_whole(&format!("{base}.{start}"), &["at", "finish_by"]);
        }
        format!("{base}.{place}")
    }

    pub(super) fn first_written_or_whole(&self, base: &str, keys: &[&str]) -> String {
        let fields = keys.iter().map(|key| format!("{base}.{key}"));
        fields.into_iter().find(|field| self.is_written(field)).unwrap_or_else(|| base.to_owned())
    }

    /// What is wrong with guards, each looked at alone, so that its table is known.
    fn guard_problems(&mut self, plan: &Plan, fields: &Fields) {
        let mut found: Vec<(String, GuardProblem)> = Vec::new();
        for (key, guards) in each_of_farm(&plan.guards) {
            let alone = Plan { guards, ..Plan::default() };
            found.extend(guards_of(&alone).map(|problem| (farm_key(&plan.guards, key, problem), problem)));
        }
        for (id, source) in &plan.sources {
            let Some(base) = fields.sources.get(id) else { continue };
            for (key, guards) in each_of_source(&source.guards) {
                let source = SourcePlan { guards, ..SourcePlan::default() };
                let alone = Plan { sources: [(id.clone(), source)].into(), ..Plan::default() };
                let of =
                    |problem| (format!("{base}.{}", source_key(&plan.sources, id, key, problem)), problem);
                found.extend(guards_of(&alone).map(of));
            }
        }
        for (id, zone) in &plan.zones {
            let Some(base) = fields.zones.get(id) else { continue };
            let alone = Plan { zones: [(id.clone(), zone.clone())].into(), ..Plan::default() };
            for problem in guards_of(&alone) {
                let key = match problem {
                    GuardProblem::VolumeZero => "volume_max_l".to_owned(),
                    GuardProblem::FlowLimits
                    | GuardProblem::Span
                    | GuardProblem::Hysteresis
                    | GuardProblem::Pressure
                    | GuardProblem::Rain => format!("flow.{}", flow_key(&zone.guards.flow, problem)),
                };
                found.push((format!("{base}.{key}"), problem));
            }
        }
        for (field, problem) in found {
            let table = field.rsplit_once('.').map_or("", |(table, _)| table);
            let rests_on: &[&str] = match problem {
                GuardProblem::FlowLimits => &["high_percent", "low_percent", "none_percent"],
                GuardProblem::Hysteresis => &["clear_c", "below_c", "resume", "min"],
                GuardProblem::Pressure => &["min_kpa", "max_kpa"],
                GuardProblem::Span | GuardProblem::Rain | GuardProblem::VolumeZero => &[],
            };
            if !self.is_any_spoilt(table, rests_on) {
                self.problem_at(&field, problem);
            }
        }
    }
}

/// The field of the table that a problem is about.
fn base_of(problem: &PlanProblem, fields: &Fields) -> String {
    let of_zone = problem.zone.as_ref().and_then(|id| fields.zones.get(id));
    let of_source = problem.source.as_ref().and_then(|id| fields.sources.get(id));
    let of_program = problem.program.as_ref().and_then(|id| fields.programs.get(id));
    of_zone.or(of_source).or(of_program).cloned().unwrap_or_default()
}

/// The keys that a problem is about, the likeliest first.
fn keys_of(kind: &ProblemKind) -> &'static [&'static str] {
    match kind {
        ProblemKind::UnknownSource(_) => &["source"],
        ProblemKind::SourceLoop | ProblemKind::UnknownFeeder(_) => &["fed_by"],
        ProblemKind::CapacityZero => &["capacity_l_per_h"],
        ProblemKind::FlowZero | ProblemKind::FlowAboveCapacity(..) => &["flow_l_per_h"],
        ProblemKind::NoProbe | ProblemKind::ProbeTwice(_) | ProblemKind::Weights => &["probes"],
        ProblemKind::HoldsNoWater => &["field_capacity_percent", "wilting_point_percent", "soil"],
        ProblemKind::ThresholdsCrossed
        | ProblemKind::HysteresisTooSmall(_)
        | ProblemKind::TensionsTooClose(_) => &[
            "stop_above_percent",
            "stop_depleted_percent",
            "stop_below_kpa",
            "start_depleted_percent",
            "soil",
            "field_capacity_percent",
        ],
        ProblemKind::ThresholdImplausible => &[
            "start_below_percent",
            "start_depleted_percent",
            "start_above_kpa",
            "soil",
            "field_capacity_percent",
        ],
        ProblemKind::ValveShared(_) => &["valve"],
        ProblemKind::MeterShared(_) => &["meter"],
        ProblemKind::LeaseZero => &["lease_min"],
        ProblemKind::LeaseAboveRun => &["lease_min", "run_max_min"],
        ProblemKind::LeastAboveRun => &["run_least_min", "skip_below_min", "run_max_min"],
        ProblemKind::RunTooLong => &["run_max_min"],
        ProblemKind::FreshZero => &["fresh_min"],
        ProblemKind::StuckBelowFresh => &["stuck_hours", "fresh_min"],
        ProblemKind::StaggerTooLong => &["stagger_s"],
        ProblemKind::UtcOffset => &["utc_offset"],
        ProblemKind::Timing | ProblemKind::Pump(_) | ProblemKind::Guard(_) | ProblemKind::Program(_) => &[],
    }
}

/// The key that a pump's problem is about.
fn pump_key(problem: &PumpProblem, pump: Option<&PumpPlan>) -> &'static str {
    let Some(pump) = pump else { return problem.key().unwrap_or("pump") };
    match problem {
        PumpProblem::BeforeValves if pump.on_adjust_s < 0 => "pump.on_adjust_s",
        PumpProblem::Adjust if pump.on_adjust_s.unsigned_abs() > giot_engine::ADJUST_S_MAX => {
            "pump.on_adjust_s"
        }
        PumpProblem::BeforeValves | PumpProblem::Adjust => "pump.off_adjust_s",
        PumpProblem::Span => {
            let spans = [
                ("pump.fill_s", pump.fill_s),
                ("pump.run_min_s", pump.run_s_min),
                ("pump.off_min_s", pump.off_s_min),
                ("pump.lease_s", pump.lease_s),
            ];
            spans.iter().find(|(_, s)| *s > 3600).map_or("pump.starts_per_hour_max", |(key, _)| key)
        }
        PumpProblem::OutputShared
        | PumpProblem::LongestRun
        | PumpProblem::LeaseTooShort(_)
        | PumpProblem::MasterLease(..)
        | PumpProblem::Twice(_)
        | PumpProblem::ZoneLease(..) => problem.key().unwrap_or("pump"),
    }
}

/// A problem in words: with the name of what has it, where it has one.
fn words(problem: &PlanProblem, fields: &Fields) -> String {
    let kind = if let ProblemKind::Program(found) = &problem.kind {
        found.kind.to_string()
    } else if let ProblemKind::ValveShared(other) = &problem.kind
        && is_stand_in(other.as_str())
    {
        let other = fields.zones.get(other).map_or("another zone", String::as_str);
        format!("{other} has the same valve")
    } else {
        problem.kind.to_string()
    };
    let names = [
        ("zone", problem.zone.as_ref().map(|id| id.as_str())),
        ("source", problem.source.as_ref().map(|id| id.as_str())),
        ("program", problem.program.as_ref().map(|id| id.as_str())),
    ];
    let named =
        names.into_iter().find_map(|(what, name)| Some((what, name.filter(|name| !is_stand_in(name))?)));
    named.map_or(kind.clone(), |(what, name)| format!("{what} {name}: {kind}"))
}

/// The problems of a plan's guards.
fn guards_of(plan: &Plan) -> impl Iterator<Item = GuardProblem> + use<> {
    plan.check().into_iter().filter_map(|problem| {
        if let ProblemKind::Guard(problem) = problem.kind { Some(problem) } else { None }
    })
}

/// Each guard of a farm alone, by its key.
fn each_of_farm(guards: &FarmGuards) -> [(&'static str, FarmGuards); 4] {
    let none = FarmGuards::default;
    [
        ("rain", FarmGuards { rain: guards.rain.clone(), ..none() }),
        ("rain_contact", FarmGuards { rain_contact: guards.rain_contact.clone(), ..none() }),
        ("soil_contact", FarmGuards { soil_contact: guards.soil_contact.clone(), ..none() }),
        ("frost", FarmGuards { frost: guards.frost.clone(), ..none() }),
    ]
}

/// Each guard of a source alone, by its key.
fn each_of_source(guards: &SourceGuards) -> [(&'static str, SourceGuards); 3] {
    let none = SourceGuards::default;
    [
        ("flow", SourceGuards { flow: guards.flow, ..none() }),
        ("tank", SourceGuards { tank: guards.tank.clone(), ..none() }),
        ("pressure", SourceGuards { pressure: guards.pressure.clone(), ..none() }),
    ]
}

fn farm_key(guards: &FarmGuards, key: &str, problem: GuardProblem) -> String {
    let has_limit = guards.rain.as_ref().is_some_and(|rain| rain.limit_milli > 0);
    let rest = match (key, problem) {
        ("rain", _) if has_limit => "hours",
        ("rain", _) => "limit_mm",
        ("frost", GuardProblem::Hysteresis) => "clear_c",
        ("frost", _) => "fresh_min",
        _ => "on_delay_min",
    };
    format!("guards.{key}.{rest}")
}

fn source_key(
    sources: &std::collections::BTreeMap<giot_engine::SourceId, SourcePlan>,
    id: &giot_engine::SourceId,
    key: &str,
    problem: GuardProblem,
) -> String {
    let flow = sources.get(id).map(|source| source.guards.flow).unwrap_or_default();
    let rest = match (key, problem) {
        ("flow", _) => flow_key(&flow, problem),
        ("tank", GuardProblem::Hysteresis) => "resume",
        ("tank", _) => "fresh_min",
        (_, GuardProblem::Span) => "delay_s",
        _ => "min_kpa",
    };
    format!("{key}.{rest}")
}

/// The key of a table of flow limits that a problem is about.
fn flow_key(flow: &FlowLimits, problem: GuardProblem) -> &'static str {
    if problem == GuardProblem::Span {
        let spans = [
            ("ignore_s", flow.ignore_s),
            ("high_delay_s", flow.high_delay_s),
            ("low_delay_s", flow.low_delay_s),
            ("none_delay_s", flow.none_delay_s),
            ("leak_ignore_s", flow.leak_ignore_s),
        ];
        return spans.iter().find(|(_, s)| *s > DAY_S).map_or("leak_delay_s", |(key, _)| key);
    }
    let usual = FlowLimits::default();
    if !(101..=1000).contains(&flow.high_percent) {
        "high_percent"
    } else if flow.low_percent >= 100 || flow.none_percent == usual.none_percent {
        "low_percent"
    } else {
        "none_percent"
    }
}
