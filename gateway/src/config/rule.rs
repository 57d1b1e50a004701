//! The rules of a `[[rule]]`: its conditions are compiled here, so that a wrong name or kind is told with its place in the
//! condition before anything runs.

use std::collections::BTreeMap;

use giot_engine::program::Percent;
use giot_engine::{MetricName, Plan, ProbeRef, ProgramId, RuleId, ZoneId};
use giot_shared::ids::NodeId;
use toml::Spanned;

use super::compile::{Compiler, Fields, is_stand_in, name_or, stand_in};
use super::raw;
use crate::rules::expr::{Condition, Scope, Unread, compile};
use crate::rules::{Effect, RULES_MAX, Rule, did_you_mean};

/// From one firing to the next: a rule that flutters should not wake people every minute.
const COOLDOWN_MIN_DEFAULT: f64 = 60.0;
/// Three missed readings of the usual ten minutes, as for zones.
const FRESH_MIN_DEFAULT: f64 = 30.0;
/// A rule that fires more often in a day is wrong.
const TIMES_MAX_DEFAULT: u32 = 20;
const TIMES_MAX_MAX: u32 = 1000;
const WEEK_MIN: f64 = 10_080.0;
/// Most effects of one rule.
const EFFECTS_MAX: usize = 10;
/// Longest notice, characters: it goes onto small screens.
const NOTE_CHARS_MAX: usize = 200;

impl Compiler<'_> {
    /// What conditions may name.
    pub(super) fn scope(
        &mut self,
        plan: &Plan,
        series: &BTreeMap<String, Spanned<String>>,
        weather: &BTreeMap<String, Spanned<String>>,
    ) -> Scope {
        let probes = plan.zones.values().flat_map(|zone| &zone.probes);
        let mut scope = Scope {
            series: probes.map(|probe| (probe.to_string(), probe.clone())).collect(),
            weather: self.series_table(weather, "weather"),
            zones: plan.zones.keys().cloned().collect(),
            unread: Unread::default(),
        };
        for (name, series) in self.series_table(series, "series") {
            scope.series.insert(series.to_string(), series.clone());
            scope.series.insert(name, series);
        }
        // What could not be read may be what a condition means.
        let unread = |idx: usize, key: &str| self.is_any_spoilt(&format!("zone[{idx}]"), &[key]);
        let n_zones = plan.zones.len();
        scope.zones.extend(self.forgiven.zones.iter().filter_map(|name| name.parse().ok()));
        scope.unread = Unread {
            names: self.is_mended("series") || self.is_mended("weather"),
            probes: (0..n_zones).any(|idx| unread(idx, "probes")),
            zones: (0..n_zones).any(|idx| self.is_mended(&format!("zone[{idx}].id")))
                || self.is_mended("zone"),
        };
        scope
    }

    fn series_table(
        &mut self,
        table: &BTreeMap<String, Spanned<String>>,
        field: &str,
    ) -> BTreeMap<String, ProbeRef> {
        let mut known = BTreeMap::new();
        for (name, text) in table {
            let is_word = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.len() <= 32
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !is_word {
                let what = "a name begins with a letter and has at most 32 letters, digits and '_'";
                self.problem(text.span(), &format!("{field}.{name}"), what);
            }
            let made = text.get_ref().split_once('/').and_then(|(device, metric)| {
                let (device, metric) = (device.parse::<NodeId>().ok()?, metric.parse::<MetricName>().ok()?);
                Some(ProbeRef { device, metric })
            });
            if made.is_none() {
                let what = "written as \"n01/soil_moisture\": a device and one of its metrics";
                self.problem(text.span(), &format!("{field}.{name}"), what);
            }
            known.extend(made.or_else(unread_series).map(|series| (name.clone(), series)));
        }
        let gone = self.mended_below(field);
        known.extend(gone.into_iter().filter_map(|name| Some((name, unread_series()?))));
        known
    }

    /// All rules, in the order of their names.
    pub(super) fn rules(
        &mut self,
        raw: Vec<raw::Rule>,
        plan: &Plan,
        scope: &Scope,
        fields: &Fields,
    ) -> Vec<Rule> {
        let mut rules: BTreeMap<RuleId, Rule> = BTreeMap::new();
        let mut taken: BTreeMap<RuleId, String> = BTreeMap::new();
        for (idx, raw) in raw.into_iter().enumerate() {
            let (field, span) = (format!("rule[{idx}]"), raw.id.span());
            if idx == RULES_MAX {
                self.problem(span, &field, format!("at most {RULES_MAX} rules"));
            }
            let Some(id) = self.own_id::<RuleId>(&raw.id, "rule", idx, &taken) else { continue };
            let rule = self.rule(raw, &id, &field, plan, scope, fields);
            rules.extend(rule.map(|rule| (id.clone(), rule)));
            taken.insert(id, field);
        }
        rules.into_values().collect()
    }

    fn rule(
        &mut self,
        raw: raw::Rule,
        id: &RuleId,
        field: &str,
        plan: &Plan,
        scope: &Scope,
        fields: &Fields,
    ) -> Option<Rule> {
        let when = self.condition(&raw.when, &format!("{field}.when"), scope);
        let until = raw.until.as_ref().map(|until| self.condition(until, &format!("{field}.until"), scope));
        let mut minutes = |value: &Option<Spanned<f64>>, key: &str, default: f64, least: f64| {
            self.minutes(value.as_ref(), &format!("{field}.{key}"), default, least)
        };
        let for_ms = minutes(&raw.for_min, "for_min", 0.0, 0.0);
        let cooldown_ms = minutes(&raw.cooldown_min, "cooldown_min", COOLDOWN_MIN_DEFAULT, 1.0);
        let fresh_ms = minutes(&raw.fresh_min, "fresh_min", FRESH_MIN_DEFAULT, 1.0);
        let repeat_ms = raw.repeat_min.is_some().then(|| minutes(&raw.repeat_min, "repeat_min", 1.0, 1.0));
        let times_max = raw.times_max.as_ref().map_or(TIMES_MAX_DEFAULT, |times| *times.get_ref());
        if let Some(times) = raw.times_max.as_ref().filter(|_| !(1..=TIMES_MAX_MAX).contains(&times_max)) {
            let what = format!("between 1 and {TIMES_MAX_MAX} in a day");
            self.problem(times.span(), &format!("{field}.times_max"), what);
        }
        let n_effects = raw.then.get_ref().len();
        if !(1..=EFFECTS_MAX).contains(&n_effects) && !self.is_spoilt(&format!("{field}.then")) {
            let what = format!("between 1 and {EFFECTS_MAX} things that follow");
            self.problem(raw.then.span(), &format!("{field}.then"), what);
        }
        let effects: Vec<Option<Effect>> = raw
            .then
            .get_ref()
            .iter()
            .enumerate()
            .map(|(idx, effect)| self.effect(effect, &format!("{field}.then[{idx}]"), plan, fields))
            .collect();
        Some(Rule {
            name: name_or(raw.name, &id),
            id: id.clone(),
            when_text: raw.when.get_ref().clone(),
            when: when?,
            until: match until {
                Some(until) => Some(until?),
                None => None,
            },
            for_ms: for_ms?,
            cooldown_ms: cooldown_ms?,
            repeat_ms: match repeat_ms {
                Some(repeat_ms) => Some(repeat_ms?),
                None => None,
            },
            fresh_ms: fresh_ms?,
            times_max,
            then: effects.into_iter().collect::<Option<_>>()?,
            is_enabled: raw.enabled.unwrap_or(true),
        })
    }

    fn condition(&mut self, text: &Spanned<String>, field: &str, scope: &Scope) -> Option<Condition> {
        match compile(text.get_ref(), scope) {
            Ok(condition) => Some(condition),
            Err(errors) => {
                for error in errors {
                    self.problem(text.span(), field, error);
                }
                None
            }
        }
    }

    /// Minutes as milliseconds.
    fn minutes(
        &mut self,
        value: Option<&Spanned<f64>>,
        field: &str,
        default: f64,
        least: f64,
    ) -> Option<u64> {
        let minutes = value.map_or(default, |value| *value.get_ref());
        if let Some(value) = value.filter(|_| !(least..=WEEK_MIN).contains(&minutes)) {
            self.problem(value.span(), field, format!("between {least} and {WEEK_MIN} minutes"));
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded above")]
        let ms = (minutes * 60_000.0).round() as u64;
        Some(ms)
    }

    fn effect(
        &mut self,
        raw: &Spanned<raw::Effect>,
        field: &str,
        plan: &Plan,
        fields: &Fields,
    ) -> Option<Effect> {
        let effect = raw.get_ref();
        let given = [&effect.notify, &effect.start, &effect.stop, &effect.lock, &effect.adjust];
        if given.iter().filter(|given| given.is_some()).count() != 1 {
            if !self.is_any_spoilt(field, &["notify", "start", "stop", "lock", "adjust"]) {
                self.problem(raw.span(), field, "exactly one of notify, start, stop, lock, adjust");
            }
            return None;
        }
        let mut stray = |has: bool, key: &str, with: &str| {
            if has {
                self.problem_at(&format!("{field}.{key}"), format!("{key} belongs to {with}"));
            }
        };
        stray(effect.minutes.is_some() && effect.start.is_none(), "minutes", "start");
        stray(effect.percent.is_some() && effect.adjust.is_none(), "percent", "adjust");
        if let Some(note) = &effect.notify {
            if note.is_empty() || note.chars().count() > NOTE_CHARS_MAX {
                let what = format!("between 1 and {NOTE_CHARS_MAX} characters");
                self.problem_at(&format!("{field}.notify"), what);
            }
            return Some(Effect::Notify { note: note.clone() });
        }
        if let Some(name) = &effect.adjust {
            return self.adjustment(effect, name, field, plan);
        }
        let of_zone = [("start", &effect.start), ("stop", &effect.stop), ("lock", &effect.lock)];
        let (key, name) = of_zone.into_iter().find_map(|(key, name)| Some((key, name.as_ref()?)))?;
        let zone = name.parse::<ZoneId>().ok().filter(|id| plan.zones.contains_key(id));
        if zone.is_none() && !self.forgiven.zones.contains(name) {
            let hint = did_you_mean(name, named(plan.zones.keys().map(ZoneId::as_str)));
            self.problem_at(&format!("{field}.{key}"), format!("there is no zone \"{name}\"{hint}"));
        }
        match (key, zone) {
            ("start", zone) => self.start_effect(effect, zone, field, plan, fields),
            ("stop", zone) => Some(Effect::Stop { zone: zone? }),
            (_, zone) => Some(Effect::Lock { zone: zone? }),
        }
    }

    /// The program whose amounts change, and to how much.
    fn adjustment(&mut self, effect: &raw::Effect, name: &str, field: &str, plan: &Plan) -> Option<Effect> {
        let program = name.parse::<ProgramId>().ok().filter(|id| plan.programs.contains_key(id));
        if program.is_none() && !self.forgiven.programs.contains(name) {
            let hint = did_you_mean(name, named(plan.programs.keys().map(ProgramId::as_str)));
            self.problem_at(&format!("{field}.adjust"), format!("there is no program \"{name}\"{hint}"));
        }
        let percent = effect.percent.and_then(Percent::new);
        if percent.is_none() {
            self.problem_at(&format!("{field}.percent"), "adjust needs percent, between 0 and 250");
        }
        Some(Effect::Adjust { program: program?, percent: percent? })
    }

    /// The start of a zone for some minutes; `zone`: `None` where there is no such zone.
    fn start_effect(
        &mut self,
        effect: &raw::Effect,
        zone: Option<ZoneId>,
        field: &str,
        plan: &Plan,
        fields: &Fields,
    ) -> Option<Effect> {
        let of_zone = zone.as_ref().and_then(|zone| fields.zones.get(zone));
        let is_known = of_zone.is_some_and(|of_zone| !self.is_any_spoilt(of_zone, &["run_max_min"]));
        // Of a zone that is not known, a day at most.
        let most_s = zone.as_ref().and_then(|zone| plan.zones.get(zone)).filter(|_| is_known);
        let most_s = most_s.map_or(86_400, |plan| plan.run_max_s);
        let run_s = effect.minutes.unwrap_or(0.0) * 60.0;
        if !(1.0..=f64::from(most_s)).contains(&run_s) {
            let most = f64::from(most_s) / 60.0;
            let what = format!("start needs minutes: more than nothing and at most {most} for this zone");
            self.problem_at(&format!("{field}.minutes"), what);
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded above")]
        let run_s = run_s.round() as u32;
        Some(Effect::Start { zone: zone?, run_s })
    }
}

/// Stands for a series that was named and could not be read.
fn unread_series() -> Option<ProbeRef> {
    Some(ProbeRef { device: stand_in(0)?, metric: stand_in(0)? })
}

/// Names that the farm gave.
fn named<'a>(names: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    names.filter(|name| !is_stand_in(name))
}
