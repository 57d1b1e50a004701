//! The rules of a configuration: from [`super::raw`] to [`Settings`], collecting every problem before giving up.
//!
//! What is wrong is told once. Each part of the file goes on with a default or a stand-in for what was wrong, so that the rest is
//! judged too, and each rule over several keys looks first whether one of them was told already ([`Compiler::is_spoilt`]).

use super::{ConfigError, ExternalBroker, Problem, Settings, raw, shape};
use crate::history::timezone::TimeZone;
use giot_engine::program::Place;
use giot_engine::{DayWindow, ProgramId, SourceId, SourcePlan, Timing, ZoneId};
use giot_shared::units::LitresPerHour;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;
use toml::Spanned;
use toml::de::DeTable;

/// Việt Nam's time, UTC+7 all year.
pub(super) const UTC_OFFSET_MIN_DEFAULT: i32 = 420;
/// Beginnings of January and July 2026: one of them has winter time.
const HALVES_OF_YEAR_S: [i64; 2] = [1_767_225_600, 1_782_864_000];
/// What a name is that could not be read.
const STAND_IN: &str = "_unread";

/// Checks `text` and makes it the gateway's settings; `file` is only named in errors.
///
/// # Errors
/// [`ConfigError`] with every problem found: of the syntax, of keys and kinds of values, of rules, and of what only all of it together
/// shows. Where the syntax is so wrong that anything may be missing, only that and what of the keys and values could be read.
pub fn compile(file: &str, text: &str) -> Result<Settings, ConfigError> {
    compile_for(file, text, Timing::default())
}

/// The same for a gateway with its own waiting times towards nodes: leases are judged by them.
///
/// # Errors
/// Everything that is wrong with it.
pub fn compile_for(file: &str, text: &str, timing: Timing) -> Result<Settings, ConfigError> {
    let shape = shape::read(text);
    let spoilt = shape.mended.clone();
    let mut compiler = Compiler {
        text,
        table: shape.table,
        problems: shape.problems,
        mended: shape.mended,
        spoilt,
        forgiven: Forgiven::default(),
    };
    let settings = shape.is_readable.then(|| compiler.settings(shape.file, timing));
    let mut problems = compiler.problems;
    if let Some(settings) = settings.filter(|_| problems.is_empty()) {
        return Ok(settings);
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems.dedup();
    if problems.len() > shape::PROBLEMS_MAX {
        problems.truncate(shape::PROBLEMS_MAX);
        let what = format!("more than {} problems: the others are not told", shape::PROBLEMS_MAX);
        problems.push(Problem { line: None, column: None, field: "file".to_owned(), what });
    }
    Err(ConfigError { file: file.to_owned(), problems })
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

/// The fields of what has a name.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) sources: BTreeMap<SourceId, String>,
    pub(super) zones: BTreeMap<ZoneId, String>,
    pub(super) programs: BTreeMap<ProgramId, String>,
}

/// Names that nothing has, because something could not tell its name: whoever refers to them may mean it.
#[derive(Default)]
pub(super) struct Forgiven {
    pub(super) sources: BTreeSet<String>,
    pub(super) zones: BTreeSet<String>,
    pub(super) programs: BTreeSet<String>,
}

pub(super) struct Compiler<'t> {
    pub(super) text: &'t str,
    /// The file as it was mended, for the places of its keys.
    pub(super) table: DeTable<'t>,
    problems: Vec<Problem>,
    /// Fields whose shape was wrong: nothing more is to be said of them.
    mended: BTreeSet<String>,
    /// Fields of which something wrong was told.
    spoilt: BTreeSet<String>,
    pub(super) forgiven: Forgiven,
}

impl Compiler<'_> {
    pub(super) fn problem(&mut self, span: Range<usize>, field: &str, what: impl Display) {
        if is_part_of_any(field, &self.mended) || self.problems.len() > shape::PROBLEMS_MAX {
            return;
        }
        // A problem of a zone as a whole says nothing about each of its keys.
        if field.contains('.') || !field.ends_with(']') {
            self.spoilt.insert(field.to_owned());
        }
        self.problems.push(Problem {
            line: Some(line_of(self.text, span.start)),
            column: Some(column_of(self.text, span.start)),
            field: field.to_owned(),
            what: what.to_string(),
        });
    }

    /// Notes that a field has a stand-in.
    pub(super) fn spoil(&mut self, field: &str) {
        self.spoilt.insert(field.to_owned());
    }

    /// A problem at the key of a field, or where it would be.
    pub(super) fn problem_at(&mut self, field: &str, what: impl Display) {
        let (span, _) = shape::place_of(&self.table, field);
        let span = span.unwrap_or_default();
        self.problem(span, field, what);
    }

    /// Whether something wrong was told of a field, of a part of it, or of what it is a part of: what rests on it cannot be judged.
    pub(super) fn is_spoilt(&self, field: &str) -> bool {
        let begins = |with: String| {
            self.spoilt.range(with.clone()..).next().is_some_and(|spoilt| spoilt.starts_with(&with))
        };
        is_part_of_any(field, &self.spoilt) || begins(format!("{field}.")) || begins(format!("{field}["))
    }

    /// Whether something wrong was told of just this field.
    pub(super) fn is_told_of(&self, field: &str) -> bool {
        self.spoilt.contains(field)
    }

    /// Whether the shape of a field was wrong, or of what it is a part of.
    pub(super) fn is_mended(&self, field: &str) -> bool {
        is_part_of_any(field, &self.mended)
    }

    /// The keys of a table whose shape was wrong.
    pub(super) fn mended_below(&self, table: &str) -> Vec<String> {
        let with = format!("{table}.");
        self.mended.iter().filter_map(|field| Some(field.strip_prefix(&with)?.to_owned())).collect()
    }

    /// Whether one of some keys of a table is spoilt.
    pub(super) fn is_any_spoilt(&self, table: &str, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.is_spoilt(&format!("{table}.{key}")))
    }

    /// Whether a key is written.
    pub(super) fn is_written(&self, field: &str) -> bool {
        shape::place_of(&self.table, field).1
    }

    fn settings(&mut self, raw: raw::File, timing: Timing) -> Settings {
        let mut settings = Settings::default();
        settings.plan.timing = timing;
        self.forgiven = self.forgive(&raw);
        if let Some(name) = raw.cooperative {
            settings.cooperative = plain(&name);
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
        settings.plan.place = self.place(raw.latitude_deg.as_ref(), raw.longitude_deg.as_ref());
        settings.station =
            raw.station.as_ref().and_then(|station| self.station(station, raw.latitude_deg.as_ref()));
        let has_station = raw.station.is_some() || self.is_spoilt("station");
        let mut fields = Fields::default();
        for (idx, source) in raw.source.into_iter().enumerate() {
            self.source(source, idx, &mut settings, &mut fields);
        }
        let mut refillable = BTreeSet::new();
        for (idx, zone) in raw.zone.into_iter().enumerate() {
            let field = format!("zone[{idx}]");
            let Some(id) = self.own_id(&zone.id, "zone", idx, &fields.zones) else { continue };
            let balance = self.balance(&zone, &field, has_station);
            if balance.is_some() || self.is_spoilt(&format!("{field}.balance")) {
                refillable.insert(id.clone());
            }
            settings.balances.extend(balance.flatten().map(|balance| (id.clone(), balance)));
            settings.soils.extend(self.held_water(&zone, &field).flatten().map(|held| (id.clone(), held)));
            let Some((plan, label)) = self.zone(zone, &id, &field) else { continue };
            settings.plan.zones.insert(id.clone(), plan);
            settings.zone_labels.insert(id.clone(), label);
            fields.zones.insert(id, field);
        }
        self.programs(raw.program, &refillable, &mut settings, &mut fields);
        let scope = self.scope(&settings.plan, &raw.series, &raw.weather);
        settings.rules = self.rules(raw.rule, &settings.plan, &scope, &fields);
        self.tellers(raw.sink, raw.message, &mut settings);
        self.plan_problems(&settings.plan, &fields);
        self.senseless(&settings.plan, &fields);
        settings
    }

    fn source(&mut self, source: raw::Source, idx: usize, settings: &mut Settings, fields: &mut Fields) {
        let field = format!("source[{idx}]");
        let fed_by =
            source.fed_by.as_ref().and_then(|id| self.id::<SourceId>(id, &format!("{field}.fed_by")));
        let Some(id) = self.own_id(&source.id, "source", idx, &fields.sources) else { return };
        let capacity = source.capacity_l_per_h.map(LitresPerHour);
        let pump = source.pump.as_ref().and_then(|pump| self.pump(pump, &format!("{field}.pump"), idx));
        let stagger_s = source.stagger_s.unwrap_or(0);
        let guards = self.source_guards(&source, &field);
        let no_water = self.windows(&source.no_water, &format!("{field}.no_water"));
        let plan = SourcePlan { fed_by, capacity, pump, stagger_s, no_water, guards };
        settings.source_names.insert(id.clone(), name_or(source.name, &id));
        settings.plan.sources.insert(id.clone(), plan);
        fields.sources.insert(id, field);
    }

    /// What is told of the farm to stores and people outside.
    fn tellers(&mut self, sinks: Vec<raw::Sink>, messages: Vec<raw::Message>, settings: &mut Settings) {
        let mut names = BTreeSet::new();
        for (idx, sink) in sinks.into_iter().enumerate() {
            let field = format!("sink[{idx}]");
            if !names.insert(sink.name.get_ref().clone()) {
                let what = format!("a second sink is called {}", sink.name.get_ref());
                self.problem(sink.name.span(), &format!("{field}.name"), what);
            }
            settings.sinks.extend(self.sink(sink, &field));
        }
        let mut names = BTreeSet::new();
        for (idx, message) in messages.into_iter().enumerate() {
            if !names.insert(message.name.get_ref().clone()) {
                let what = format!("a second message is called {}", message.name.get_ref());
                self.problem(message.name.span(), &format!("message[{idx}].name"), what);
            }
            settings.messages.extend(self.message(message, &settings.plan, idx));
        }
    }

    /// The programs; `refillable`: zones with a balance, be it right or wrong.
    fn programs(
        &mut self,
        programs: Vec<raw::Program>,
        refillable: &BTreeSet<ZoneId>,
        settings: &mut Settings,
        fields: &mut Fields,
    ) {
        for (idx, program) in programs.into_iter().enumerate() {
            let field = format!("program[{idx}]");
            let Some(id) = self.own_id(&program.id, "program", idx, &fields.programs) else { continue };
            let Some((program, name)) = self.program(program, &id, &field) else { continue };
            for (step_idx, step) in program.sequence.steps.iter().enumerate() {
                let is_refill = matches!(step.target, giot_engine::program::Target::Refill { .. });
                let zone = &step.zone;
                if is_refill
                    && step.is_enabled
                    && settings.plan.zones.contains_key(zone)
                    && !refillable.contains(zone)
                {
                    let what =
                        format!("zone {zone} is to be refilled and has no balance: give its [zone.balance]");
                    self.problem_at(&format!("{field}.steps[{step_idx}].refill"), what);
                }
            }
            settings.program_names.insert(id.clone(), name);
            settings.plan.programs.insert(id.clone(), program);
            fields.programs.insert(id, field);
        }
    }

    fn prefix(&mut self, prefix: &Spanned<String>) -> String {
        let text = prefix.get_ref();
        if !giot_shared::wire::is_prefix(text) {
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
        if broker.user.is_none() && broker.password_file.is_some() && !self.is_spoilt("broker.user") {
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
        if offset_s != winter_s && offset_s != summer_s && !self.is_spoilt("utc_offset") {
            let [written, wanted] = [i64::from(utc_offset_min), winter_s / 60]
                .map(|min| TimeZone::fixed(i32::try_from(min).unwrap_or(0)));
            let what = format!("{zone} is never at utc_offset {written}, by which programs start: {wanted}?");
            self.problem(place.span(), "time_zone", what);
        }
        zone
    }

    /// Where the farm lies; both numbers or none.
    fn place(&mut self, latitude: Option<&Spanned<f64>>, longitude: Option<&Spanned<f64>>) -> Option<Place> {
        if let Some(latitude) = latitude.filter(|value| Place::new(*value.get_ref(), 0.0).is_none()) {
            self.problem(latitude.span(), "latitude_deg", "between -90 and 90 degrees, north is above zero");
        }
        if let Some(longitude) = longitude.filter(|value| Place::new(0.0, *value.get_ref()).is_none()) {
            self.problem(
                longitude.span(),
                "longitude_deg",
                "between -180 and 180 degrees, east is above zero",
            );
        }
        match (latitude, longitude) {
            (Some(latitude), Some(longitude)) => Place::new(*latitude.get_ref(), *longitude.get_ref()),
            (None, None) => None,
            (Some(given), None) | (None, Some(given)) => {
                if !self.is_spoilt("latitude_deg") && !self.is_spoilt("longitude_deg") {
                    let missing = if latitude.is_none() { "latitude_deg" } else { "longitude_deg" };
                    self.problem(given.span(), missing, "latitude_deg and longitude_deg go together");
                }
                None
            }
        }
    }

    /// A name that was written; `None`: it is none, which was told.
    pub(super) fn id<T: FromStr<Err: Display>>(&mut self, text: &Spanned<String>, field: &str) -> Option<T> {
        text.get_ref().parse().map_err(|error| self.problem(text.span(), field, error)).ok()
    }

    /// As [`Self::id`], with a stand-in for what is none.
    pub(super) fn id_or_stand_in<T: FromStr<Err: Display>>(
        &mut self,
        text: &Spanned<String>,
        field: &str,
        idx: usize,
    ) -> Option<T> {
        self.id(text, field).or_else(|| stand_in(idx))
    }

    /// The name by which a table is known; one that is no name, or that another has, is told, and a stand-in taken.
    pub(super) fn own_id<T: FromStr<Err: Display> + Ord + Display>(
        &mut self,
        text: &Spanned<String>,
        kind: &str,
        idx: usize,
        taken: &BTreeMap<T, String>,
    ) -> Option<T> {
        let field = format!("{kind}[{idx}].id");
        let id = self.id::<T>(text, &field);
        if let Some(id) = id.as_ref().filter(|id| taken.contains_key(*id)) {
            self.problem(text.span(), &field, format!("a second {kind} is called {id}"));
        }
        id.filter(|id| !taken.contains_key(id)).or_else(|| stand_in(idx))
    }

    /// Which names that nothing has are to be let pass: those of tables that could not tell theirs. More names than such tables cannot
    /// all be meant, and are told.
    fn forgive(&self, raw: &raw::File) -> Forgiven {
        let steps = raw.program.iter().flat_map(|program| &program.steps);
        let effects = || raw.rule.iter().flat_map(|rule| rule.then.get_ref()).map(Spanned::get_ref);
        let of_effects = effects().flat_map(|effect| [&effect.start, &effect.stop, &effect.lock]).flatten();
        let of_messages = raw.message.iter().filter_map(|message| message.zones.as_ref());
        let of_messages = of_messages.flat_map(|zones| zones.get_ref().iter().map(Spanned::get_ref));
        let zones = steps.map(|step| &step.get_ref().zone).chain(of_effects).chain(of_messages);
        let fed_by = raw.source.iter().filter_map(|source| source.fed_by.as_ref());
        let sources = raw.zone.iter().map(|zone| &zone.source).chain(fed_by).map(Spanned::get_ref);
        let programs = effects().filter_map(|effect| effect.adjust.as_ref());
        Forgiven {
            zones: self.meant("zone", raw.zone.iter().map(|zone| &zone.id), zones),
            sources: self.meant("source", raw.source.iter().map(|source| &source.id), sources),
            programs: self.meant("program", raw.program.iter().map(|program| &program.id), programs),
        }
    }

    fn meant<'a>(
        &self,
        kind: &str,
        ids: impl Iterator<Item = &'a Spanned<String>>,
        named: impl Iterator<Item = &'a String>,
    ) -> BTreeSet<String> {
        let ids: Vec<&String> = ids.map(Spanned::get_ref).collect();
        let is_unread = |idx: usize| is_part_of_any(&format!("{kind}[{idx}].id"), &self.mended);
        let n_unread = (0..ids.len()).filter(|idx| is_unread(*idx)).count();
        let unknown: BTreeSet<&String> =
            named.filter(|name| !name.is_empty() && !ids.contains(name)).collect();
        // Written as a name cannot be: "Mận 1" where others say "mận-1" or "m-n-1".
        let plain =
            |text: &str| -> String { text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect() };
        let crooked: BTreeSet<String> =
            ids.iter().filter(|id| id.parse::<ZoneId>().is_err()).map(|id| plain(id)).collect();
        let (mut meant, unknown): (BTreeSet<&String>, Vec<&String>) = (
            unknown.iter().copied().filter(|name| crooked.contains(&plain(name))).collect(),
            unknown.iter().copied().filter(|name| !crooked.contains(&plain(name))).collect(),
        );
        if self.mended.contains(kind) || unknown.len() <= n_unread {
            meant.extend(unknown);
        }
        meant.into_iter().cloned().collect()
    }

    pub(super) fn window(&mut self, window: Option<&Spanned<String>>, field: &str) -> DayWindow {
        let Some(window) = window else { return DayWindow::ALWAYS };
        parse_hours(window.get_ref()).unwrap_or_else(|| {
            self.problem(window.span(), field, "written as 20:00-06:00, in the farm's local time");
            DayWindow::ALWAYS
        })
    }

    pub(super) fn seconds(
        &mut self,
        minutes: Option<&Spanned<f64>>,
        field: &str,
        default_min: f64,
        max_min: f64,
    ) -> u32 {
        let value = minutes.map_or(default_min, |minutes| *minutes.get_ref());
        if let Some(minutes) = minutes.filter(|_| !(0.0..=max_min).contains(&value)) {
            self.problem(minutes.span(), field, format!("between 0 and {max_min} minutes"));
            return to_whole(default_min * 60.0);
        }
        to_whole(value * 60.0)
    }
}

/// Whether a field, or something that it is a part of, is among some.
fn is_part_of_any(field: &str, among: &BTreeSet<String>) -> bool {
    let ends = field.char_indices().filter(|(_, c)| matches!(c, '.' | '[')).map(|(end, _)| end);
    ends.chain([field.len()]).filter_map(|end| field.get(..end)).any(|part| among.contains(part))
}

/// A name for what has none, as no farm gives it.
pub(super) fn stand_in<T: FromStr>(idx: usize) -> Option<T> {
    format!("{STAND_IN}-{idx}").parse().ok()
}

/// Whether a name is a stand-in.
pub(super) fn is_stand_in(name: &str) -> bool {
    name.starts_with(STAND_IN)
}

/// Rounds a checked, non-negative number.
pub(super) fn to_whole(value: f64) -> u32 {
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

/// `20:00-06:00`.
pub(super) fn parse_hours(text: &str) -> Option<DayWindow> {
    let (from, to) = text.split_once('-')?;
    DayWindow::new(parse_day_minute(from)?, parse_day_minute(to)?)
}

/// `06:30` → 390.
pub(super) fn parse_day_minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |part: &str| if part.len() == 2 { part.parse::<u16>().ok() } else { None };
    let (hour, minute) = (number(hour)?, number(minute)?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// A name or a note in one line, without what a terminal or a page obeys instead of showing it: control characters, and those that turn
/// the direction of what follows.
#[must_use]
pub fn plain(words: &str) -> String {
    let turns = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let kept = words.chars().filter(|c| !turns(*c));
    let kept: String = kept.map(|c| if c.is_control() { ' ' } else { c }).collect();
    kept.trim().to_owned()
}

/// The name of something, or its id where it has none.
pub(super) fn name_or(name: Option<String>, id: &impl ToString) -> String {
    name.map(|name| plain(&name)).filter(|name| !name.is_empty()).unwrap_or_else(|| id.to_string())
}
