//! The rules of a configuration: from [`super::raw`] to [`Settings`], collecting every problem before giving up.

use super::{ConfigError, ExternalBroker, Problem, Settings, ZoneLabel, raw, shape};
use crate::history::timezone::TimeZone;
use giot_engine::program::{Cycle, Group, Place};
use giot_engine::{
    DayWindow, MetricName, Plan, ProbeRef, ProblemKind, ProgramId, SourceId, SourcePlan, ValveRef, ZoneId,
    ZonePlan,
};
use giot_shared::ids::{NodeId, ValveId};
use giot_shared::units::LitresPerHour;
use giot_shared::wire::VALVES_MAX;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;
use toml::Spanned;
use toml::de::DeTable;

/// Việt Nam's time, UTC+7 all year.
pub(super) const UTC_OFFSET_MIN_DEFAULT: i32 = 420;
/// One Open command; domain.md section 3: 10–30 minutes.
const LEASE_MIN_DEFAULT: f64 = 20.0;
/// One run: a plum zone's 4 mm at 0.64 mm/h are six hours; two hours ask for a person's decision first.
const RUN_MAX_MIN_DEFAULT: f64 = 120.0;
/// Soak time; domain.md section 3: 10–30 minutes between cycles.
const MIN_OFF_MIN_DEFAULT: f64 = 30.0;
/// Three missed readings of the usual ten minutes; domain.md section 2.5 "dead".
const FRESH_MIN_DEFAULT: f64 = 30.0;
/// Identical for a day is stuck; domain.md section 2.5.
const STUCK_HOURS_DEFAULT: f64 = 24.0;
/// A lease longer than this is refused by every node.
const LEASE_MIN_MAX: f64 = 120.0;
/// Nobody waters one zone for longer in one run.
const RUN_MAX_MIN_MAX: f64 = 1440.0;
const WEEK_MIN: f64 = 10_080.0;
/// Beginnings of January and July 2026: one of them has winter time.
const HALVES_OF_YEAR_S: [i64; 2] = [1_767_225_600, 1_782_864_000];

/// Checks `text` and makes it the gateway's settings; `file` is only named in errors.
///
/// # Errors
/// [`ConfigError`] with every problem found: of the syntax and of keys and types first, and where those are sound, of rules.
pub fn compile(file: &str, text: &str) -> Result<Settings, ConfigError> {
    let raw = shape::read(text).map_err(|problems| ConfigError { file: file.to_owned(), problems })?;
    let mut compiler = Compiler { text, problems: Vec::new() };
    let settings = compiler.settings(raw);
    if compiler.problems.is_empty() {
        return Ok(settings);
    }
    compiler.problems.sort_by_key(|problem| (problem.line, problem.column));
    Err(ConfigError { file: file.to_owned(), problems: compiler.problems })
}

/// The line of a place in a text, from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

/// The place of a text's byte in its line, in characters from 1.
pub(super) fn column_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    let line = before.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(line).chars().count() + 1
}

/// Where things stand in the file, with their field.
#[derive(Default)]
struct Lines {
    sources: BTreeMap<SourceId, (Range<usize>, String)>,
    zones: BTreeMap<ZoneId, (Range<usize>, String)>,
    programs: BTreeMap<ProgramId, (Range<usize>, String)>,
    guards: Option<Range<usize>>,
}

pub(super) struct Compiler<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

impl Compiler<'_> {
    pub(super) fn problem(&mut self, span: Range<usize>, field: &str, what: impl Display) {
        self.problems.push(Problem {
            line: Some(line_of(self.text, span.start)),
            column: Some(column_of(self.text, span.start)),
            field: field.to_owned(),
            what: what.to_string(),
        });
    }

    fn settings(&mut self, raw: raw::File) -> Settings {
        let mut settings = Settings::default();
        if let Some(name) = raw.cooperative {
            settings.cooperative = name;
        }
        if let Some(prefix) = raw.topic_prefix {
            settings.topic_prefix = self.prefix(&prefix);
        }
        settings.broker = raw.broker.map(|broker| self.broker(broker));
        if let Some(offset) = raw.utc_offset {
            settings.plan.utc_offset_min = self.utc_offset(&offset);
        }
        settings.time_zone = self.time_zone(raw.time_zone.as_ref(), settings.plan.utc_offset_min);
        settings.retention = self.store(raw.store, settings.plan.utc_offset_min);
        settings.plan.guards =
            raw.guards.as_ref().map(|guards| self.farm_guards(guards.get_ref())).unwrap_or_default();
        let mut lines = Lines { guards: raw.guards.as_ref().map(Spanned::span), ..Lines::default() };
        settings.plan.place = self.place(raw.latitude_deg.as_ref(), raw.longitude_deg.as_ref());
        settings.station =
            raw.station.as_ref().and_then(|station| self.station(station, raw.latitude_deg.as_ref()));
        let has_station = raw.station.is_some();
        let mut refillable = BTreeSet::new();
        for (idx, source) in raw.source.into_iter().enumerate() {
            let field = format!("source[{idx}]");
            let fed_by = source.fed_by.as_ref().map(|id| self.id::<SourceId>(id, &format!("{field}.fed_by")));
            let Some(id) = self.id::<SourceId>(&source.id, &format!("{field}.id")) else { continue };
            let capacity = source.capacity_l_per_h.map(LitresPerHour);
            let pump = source.pump.as_ref().and_then(|pump| self.pump(pump, &format!("{field}.pump")));
            let stagger_s = source.stagger_s.unwrap_or(0);
            let guards = self.source_guards(&source, &field);
            let plan = SourcePlan { fed_by: fed_by.flatten(), capacity, pump, stagger_s, guards };
            lines.sources.insert(id.clone(), (source.id.span(), field.clone()));
            if settings.plan.sources.insert(id.clone(), plan).is_some() {
                let what = format!("a second source is called {id}");
                self.problem(source.id.span(), &format!("{field}.id"), what);
            }
            settings.source_names.insert(id.clone(), source.name.unwrap_or_else(|| id.to_string()));
        }
        for (idx, zone) in raw.zone.into_iter().enumerate() {
            let field = format!("zone[{idx}]");
            let span = zone.id.span();
            let balance = self.balance(&zone, &field, has_station);
            let Some((id, plan, label)) = self.zone(zone, &field) else { continue };
            if let Some(balance) = balance {
                refillable.insert(id.clone());
                settings.balances.extend(balance.map(|balance| (id.clone(), balance)));
            }
            lines.zones.insert(id.clone(), (span.clone(), field.clone()));
            if settings.plan.zones.insert(id.clone(), plan).is_some() {
                self.problem(span, &format!("{field}.id"), format!("a second zone is called {id}"));
            }
            settings.zone_labels.insert(id, label);
        }
        self.programs(raw.program, &refillable, &mut settings, &mut lines);
        let scope = self.scope(&settings.plan, &raw.series, &raw.weather);
        settings.rules = self.rules(raw.rule, &settings.plan, &scope);
        for (idx, sink) in raw.sink.into_iter().enumerate() {
            let field = format!("sink[{idx}]");
            let span = sink.name.span();
            let Some(sink) = self.sink(sink, &field) else { continue };
            if settings.sinks.iter().any(|other| other.name == sink.name) {
                self.problem(
                    span,
                    &format!("{field}.name"),
                    format!("a second sink is called {}", sink.name),
                );
            }
            settings.sinks.push(sink);
        }
        for (idx, message) in raw.message.into_iter().enumerate() {
            let span = message.name.span();
            let Some(message) = self.message(message, &settings.plan, idx) else { continue };
            if settings.messages.iter().any(|other| other.name == message.name) {
                let what = format!("a second message is called {}", message.name);
                self.problem(span, &format!("message[{idx}].name"), what);
            }
            settings.messages.push(message);
        }
        self.plan_problems(&settings.plan, &lines);
        settings
    }

    /// The programs; `refillable`: zones with a balance.
    fn programs(
        &mut self,
        programs: Vec<raw::Program>,
        refillable: &BTreeSet<ZoneId>,
        settings: &mut Settings,
        lines: &mut Lines,
    ) {
        for (idx, program) in programs.into_iter().enumerate() {
            let field = format!("program[{idx}]");
            let span = program.id.span();
            let Some((id, program, name)) = self.program(program, &field) else { continue };
            for zone in program.refills().filter(|zone| !refillable.contains(*zone)) {
                let what =
                    format!("zone {zone} is to be refilled and has no balance: give its [zone.balance]");
                self.problem(span.clone(), &format!("{field}.steps"), what);
            }
            lines.programs.insert(id.clone(), (span.clone(), field.clone()));
            settings.program_names.insert(id.clone(), name);
            if settings.plan.programs.insert(id.clone(), program).is_some() {
                self.problem(span, &format!("{field}.id"), format!("a second program is called {id}"));
            }
        }
    }

    /// What only the engine can judge about the plan as a whole.
    fn plan_problems(&mut self, plan: &Plan, lines: &Lines) {
        let problems = plan.check();
        if problems.is_empty() {
            return;
        }
        let (table, _) = DeTable::parse_recoverable(self.text);
        for problem in problems {
            let of_zone = problem.zone.as_ref().and_then(|id| lines.zones.get(id));
            let of_source = problem.source.as_ref().and_then(|id| lines.sources.get(id));
            let of_program = problem.program.as_ref().and_then(|id| lines.programs.get(id));
            let of_guards = lines.guards.as_ref().filter(|_| matches!(problem.kind, ProblemKind::Guard(_)));
            let of_guards = of_guards.map(|span| (span.clone(), "guards".to_owned()));
            let place = of_zone.or(of_source).or(of_program).or(of_guards.as_ref());
            match place {
                Some((span, field)) => {
                    let field = key_of(&problem.kind).map_or(field.clone(), |key| format!("{field}.{key}"));
                    let span = key_span(table.get_ref(), &field).unwrap_or_else(|| span.clone());
                    self.problem(span, &field, &problem);
                }
                None => self.problems.push(Problem {
                    line: None,
                    column: None,
                    field: String::new(),
                    what: problem.to_string(),
                }),
            }
        }
    }

    fn prefix(&mut self, prefix: &Spanned<String>) -> String {
        let text = prefix.get_ref();
        let good = |level: &str| {
            !level.is_empty() && level.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if text.len() > 64 || !text.split('/').all(good) {
            self.problem(
                prefix.span(),
                "topic_prefix",
                "at most 64 characters: levels of letters, digits, '-' or '_' with '/' between them",
            );
        }
        text.clone()
    }

    fn broker(&mut self, broker: raw::Broker) -> ExternalBroker {
        if broker.host.get_ref().is_empty() {
            self.problem(broker.host.span(), "broker.host", "a host name or address is needed");
        }
        if broker.user.is_none() && broker.password_file.is_some() {
            self.problem(broker.host.span(), "broker.user", "a password_file needs a user");
        }
        ExternalBroker {
            host: broker.host.into_inner(),
            port: broker.port.unwrap_or(1883),
            user: broker.user,
            password_file: broker.password_file,
        }
    }

    fn utc_offset(&mut self, offset: &Spanned<String>) -> i32 {
        parse_utc_offset(offset.get_ref()).unwrap_or_else(|| {
            self.problem(offset.span(), "utc_offset", "written as +07:00, between -12:00 and +14:00");
            UTC_OFFSET_MIN_DEFAULT
        })
    }

    /// The clock of the history; programs go by the distance from UTC alone, so both must be able to agree.
    fn time_zone(&mut self, place: Option<&Spanned<String>>, utc_offset_min: i32) -> TimeZone {
        let fixed = TimeZone::fixed(utc_offset_min);
        let Some(place) = place else { return fixed };
        let zone: TimeZone = match place.get_ref().parse() {
            Ok(zone) => zone,
            Err(error) => {
                self.problem(place.span(), "time_zone", error);
                return fixed;
            }
        };
        let offset_s = i64::from(utc_offset_min) * 60;
        let [winter_s, summer_s] = HALVES_OF_YEAR_S.map(|at_s| zone.offset_s(at_s * 1_000_000));
        if offset_s != winter_s && offset_s != summer_s {
            let [written, wanted] = [i64::from(utc_offset_min), winter_s / 60]
                .map(|min| TimeZone::fixed(i32::try_from(min).unwrap_or(0)));
            let what = format!("{zone} is never at utc_offset {written}, by which programs start: {wanted}?");
            self.problem(place.span(), "time_zone", what);
        }
        zone
    }

    /// Where the farm lies; both numbers or none.
    fn place(&mut self, latitude: Option<&Spanned<f64>>, longitude: Option<&Spanned<f64>>) -> Option<Place> {
        let place = match (latitude, longitude) {
            (Some(latitude), Some(longitude)) => Place::new(*latitude.get_ref(), *longitude.get_ref()),
            (None, None) => return None,
            (Some(_), None) | (None, Some(_)) => None,
        };
        if place.is_none() {
            let span = latitude.or(longitude).map_or(0..0, Spanned::span);
            let what = "latitude_deg between -90 and 90 and longitude_deg between -180 and 180, both or none";
            self.problem(span, "latitude_deg", what);
        }
        place
    }

    pub(super) fn id<T: FromStr<Err: Display>>(&mut self, text: &Spanned<String>, field: &str) -> Option<T> {
        text.get_ref().parse().map_err(|error| self.problem(text.span(), field, error)).ok()
    }

    fn zone(&mut self, zone: raw::Zone, field: &str) -> Option<(ZoneId, ZonePlan, ZoneLabel)> {
        let id: Option<ZoneId> = self.id(&zone.id, &format!("{field}.id"));
        let source: Option<SourceId> = self.id(&zone.source, &format!("{field}.source"));
        let node: Option<NodeId> = self.id(&zone.valve.get_ref().node, &format!("{field}.valve.node"));
        if usize::from(zone.valve.get_ref().valve) >= VALVES_MAX {
            let what = format!("valves count from 0 to {}: a node has no more", VALVES_MAX - 1);
            self.problem(zone.valve.span(), &format!("{field}.valve.valve"), what);
        }
        let mut depth_cm = BTreeMap::new();
        let mut probes = Vec::new();
        let mut weights = Vec::new();
        for (idx, probe) in zone.probes.get_ref().iter().enumerate() {
            let probe = probe.get_ref();
            let device = self.id::<NodeId>(&probe.device, &format!("{field}.probes[{idx}].device"));
            let metric = self.id::<MetricName>(&probe.metric, &format!("{field}.probes[{idx}].metric"));
            let (Some(device), Some(metric)) = (device, metric) else { continue };
            let probe_ref = ProbeRef { device, metric };
            if let Some(depth) = probe.depth_cm {
                depth_cm.insert(probe_ref.clone(), depth);
            }
            weights.push(probe.weight);
            probes.push(probe_ref);
        }
        let soil = self.soil_rule(&zone, field);
        let window = self.window(zone.window.as_ref(), &format!("{field}.window"));
        let mut minutes = |value: &Option<Spanned<f64>>, key: &str, default: f64, max: f64| {
            self.seconds(value.as_ref(), &format!("{field}.{key}"), default, max)
        };
        let lease_s = minutes(&zone.lease_min, "lease_min", LEASE_MIN_DEFAULT, LEASE_MIN_MAX);
        let run_max_s = minutes(&zone.run_max_min, "run_max_min", RUN_MAX_MIN_DEFAULT, RUN_MAX_MIN_MAX);
        let min_off_s = minutes(&zone.min_off_min, "min_off_min", MIN_OFF_MIN_DEFAULT, WEEK_MIN);
        let fresh_s = minutes(&zone.fresh_min, "fresh_min", FRESH_MIN_DEFAULT, WEEK_MIN);
        let stuck_s = zone.stuck_hours.as_ref().map_or(Some(STUCK_HOURS_DEFAULT), |hours| {
            let good = (0.0..=168.0).contains(hours.get_ref());
            if !good {
                self.problem(hours.span(), &format!("{field}.stuck_hours"), "between 0 (off) and 168 hours");
            }
            good.then_some(*hours.get_ref())
        });
        let area_dm2 = self.area_dm2(zone.area_m2.as_ref(), &format!("{field}.area_m2"));
        let cycle =
            self.cycle(zone.cycle_min.as_ref(), zone.soak_min.as_ref(), &format!("{field}.cycle_min"));
        let limits = soil.and_then(|soil| self.probe_limits(&zone, &soil, field));
        let guards = self.zone_guards(&zone, field);
        let id = id?;
        let label = ZoneLabel {
            name: zone.name.unwrap_or_else(|| id.to_string()),
            household: zone.household.unwrap_or_default(),
            crop: zone.crop.map(Spanned::into_inner),
            depth_cm,
        };
        let plan = ZonePlan {
            source: source?,
            flow: zone.flow_l_per_h.map(LitresPerHour),
            area_dm2: area_dm2?,
            n_plants: zone.plants,
            cycle: cycle?,
            group: zone.group.map_or_else(Group::default, Group::Sequential),
            valve: ValveRef { node: node?, valve: ValveId(zone.valve.get_ref().valve) },
            probes,
            weights: if weights.iter().any(Option::is_some) {
                weights.into_iter().map(|weight| weight.unwrap_or(1)).collect()
            } else {
                Vec::new()
            },
            soil: soil?,
            window: window?,
            lease_s: lease_s?,
            run_max_s: run_max_s?,
            min_off_s: min_off_s?,
            fresh_s: fresh_s?,
            plausible: limits?.0,
            rate_max: limits?.1,
            stuck_s: to_whole(stuck_s? * 3600.0),
            automatic: zone.automatic.unwrap_or(true),
            guards,
        };
        Some((id, plan, label))
    }

    /// Square metres; `Some(None)` when none are given.
    pub(super) fn area_dm2(&mut self, area_m2: Option<&Spanned<f64>>, field: &str) -> Option<Option<u32>> {
        let Some(area_m2) = area_m2 else { return Some(None) };
        let value = *area_m2.get_ref();
        if (1.0..=1e7).contains(&value) {
            return Some(Some(to_whole(value * 100.0)));
        }
        self.problem(area_m2.span(), field, "between 1 and 10,000,000 square metres");
        None
    }

    /// Portions and soak; `Some(None)` when none are given.
    fn cycle(
        &mut self,
        on_min: Option<&Spanned<f64>>,
        soak_min: Option<&Spanned<f64>>,
        field: &str,
    ) -> Option<Option<Cycle>> {
        let (Some(on_min), Some(soak_min)) = (on_min, soak_min) else {
            let Some(alone) = on_min.or(soak_min) else { return Some(None) };
            self.problem(alone.span(), field, "cycle_min and soak_min go together");
            return None;
        };
        let ms = |minutes: &Spanned<f64>| {
            u64::from(to_whole(minutes.get_ref().clamp(0.0, WEEK_MIN) * 60.0)) * 1000
        };
        let cycle = Cycle::new(ms(on_min), ms(soak_min));
        if cycle.is_none() {
            self.problem(
                on_min.span(),
                field,
                "portions of at least 1 minute, soaks of at most 1440 minutes",
            );
        }
        cycle.map(Some)
    }

    pub(super) fn window(&mut self, window: Option<&Spanned<String>>, field: &str) -> Option<DayWindow> {
        let Some(window) = window else { return Some(DayWindow::ALWAYS) };
        let parsed = window
            .get_ref()
            .split_once('-')
            .and_then(|(from, to)| DayWindow::new(parse_day_minute(from)?, parse_day_minute(to)?));
        if parsed.is_none() {
            self.problem(window.span(), field, "written as 20:00-06:00, in the farm's local time");
        }
        parsed
    }

    pub(super) fn seconds(
        &mut self,
        minutes: Option<&Spanned<f64>>,
        field: &str,
        default_min: f64,
        max_min: f64,
    ) -> Option<u32> {
        let Some(minutes) = minutes else { return Some(to_whole(default_min * 60.0)) };
        let value = *minutes.get_ref();
        if (0.0..=max_min).contains(&value) {
            return Some(to_whole(value * 60.0));
        }
        self.problem(minutes.span(), field, format!("between 0 and {max_min} minutes"));
        None
    }
}

/// Where the key of a field such as `zone[2].source` stands; `None`: it is not written, and a default is at fault, or it is a
/// whole entry of a list.
fn key_span(table: &DeTable<'_>, field: &str) -> Option<Range<usize>> {
    let (path, key) = field.rsplit_once('.').unwrap_or(("", field));
    let mut table = table;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (name, idx) = part.split_once('[').unwrap_or((part, ""));
        let value = table.get(name)?.get_ref();
        let value = match idx.strip_suffix(']') {
            Some(idx) => value.as_array()?.get(idx.parse::<usize>().ok()?)?.get_ref(),
            None => value,
        };
        table = value.as_table()?;
    }
    table.iter().find(|(have, _)| have.get_ref() == key).map(|(have, _)| have.span())
}

/// The key of the table that a problem is about; `None`: the message says it.
fn key_of(kind: &ProblemKind) -> Option<&'static str> {
    match kind {
        ProblemKind::UnknownSource(_) => Some("source"),
        ProblemKind::SourceLoop | ProblemKind::UnknownFeeder(_) => Some("fed_by"),
        ProblemKind::CapacityZero => Some("capacity_l_per_h"),
        ProblemKind::FlowZero | ProblemKind::FlowAboveCapacity(..) => Some("flow_l_per_h"),
        ProblemKind::NoProbe | ProblemKind::ProbeTwice(_) => Some("probes"),
        ProblemKind::HoldsNoWater => Some("field_capacity_percent"),
        ProblemKind::Weights => Some("probes"),
        // The message names the keys: they differ by unit.
        ProblemKind::ThresholdsCrossed
        | ProblemKind::HysteresisTooSmall(_)
        | ProblemKind::TensionsTooClose(_)
        | ProblemKind::ThresholdImplausible => None,
        ProblemKind::ValveShared(_) => Some("valve"),
        ProblemKind::LeaseZero | ProblemKind::LeaseAboveRun => Some("lease_min"),
        ProblemKind::RunTooLong => Some("run_max_min"),
        ProblemKind::FreshZero => Some("fresh_min"),
        ProblemKind::StuckBelowFresh => Some("stuck_hours"),
        ProblemKind::StaggerTooLong => Some("stagger_s"),
        ProblemKind::Pump(problem) => problem.key(),
        ProblemKind::Guard(problem) => problem.key(),
        ProblemKind::UtcOffset | ProblemKind::Timing | ProblemKind::Program(_) => None,
    }
}

/// Rounds a checked, non-negative number.
fn to_whole(value: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by the callers' ranges"
    )]
    let whole = value.round() as u32;
    whole
}

/// `+07:00` → 420.
pub(crate) fn parse_utc_offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let minutes = sign * i32::from(parse_day_minute(rest)?);
    (-720..=840).contains(&minutes).then_some(minutes)
}

/// `06:30` → 390.
pub(super) fn parse_day_minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |part: &str| if part.len() == 2 { part.parse::<u16>().ok() } else { None };
    let (hour, minute) = (number(hour)?, number(minute)?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}
