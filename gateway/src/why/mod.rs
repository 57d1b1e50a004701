//! Why a zone was watered on a day, or why not: the answer in both languages, with its numbers.
//!
//! [`Facts`] are gathered from the diary, the history and, for today, the engine's present state (`facts`, `outage`); [`explain`] is
//! pure and makes the [`Answer`]. The diary tells a cause once, when it begins to hold, so the last entry before the day
//! counts too, and a day without a cause is explained by the soil's moisture. Must not decide anything about water.

mod facts;
mod outage;

use std::collections::BTreeSet;

use giot_engine::program::Date;
use giot_engine::{Event, Level, Reason, SoilRule, ZoneId, ZoneState};
use giot_shared::time::UnixMs;
use giot_shared::units::MoisturePermyriad;
use serde_json::{Map, Value};

pub use facts::{day_of, gather};
pub use outage::Missed;

use crate::hub::codec;
use crate::words::{Lang, Names, Words, date, litres, number, percent, span, time_of_day};
use giot_store::{DiaryEntry, DiaryRow};

/// Entries of one answer at most: more than a busy zone has in a day.
pub const LINES_MAX: usize = 500;

/// Causes after which a zone has no readings and nothing more to tell.
const OF_SILENCE: [&str; 3] = ["no_reading", "stale_reading", "node_offline"];

/// Refusals of what nobody asks for without water: they say nothing of why none flowed.
const OF_RUNS: [&str; 2] = ["not_running", "run_longest"];

/// What is known about a zone and a day.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The zone.
    pub zone: ZoneId,
    /// The day on the farm.
    pub day: Date,
    /// Minutes east of UTC in which the farm counts its days.
    pub utc_offset_min: i32,
    /// The moment of the question.
    pub now: UnixMs,
    /// Whether the zone starts by itself.
    pub is_automatic: bool,
    /// When it is dry enough to start.
    pub soil: SoilRule,
    /// Entries of the zone, and those of the whole farm that concern it, oldest first.
    pub rows: Vec<DiaryRow>,
    /// Whether there are more than [`LINES_MAX`].
    pub is_cut: bool,
    /// The zone's last entry before the day.
    pub before: Option<DiaryEntry>,
    /// The lock that was set before the day and not taken away.
    pub lock_before: Option<DiaryEntry>,
    /// Starts of the zone's programs that were due on the day and missed, whenever the diary got them; by when they were due. None
    /// where the zone had a run.
    pub missed: Vec<Missed>,
    /// Whether nothing at all was kept until the end of the day: the gateway was not there yet.
    pub is_before_all: bool,
    /// When the gateway was back, where nothing was kept on the day and a restart comes next.
    pub slept_until: Option<UnixMs>,
    /// Lowest and highest hourly level of the day in the unit of its probes, % of volume or kPa.
    pub levels: Option<(f64, f64)>,
    /// The engine's state, for today only.
    pub present: Option<ZoneState>,
}

/// A sentence in both languages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentence {
    /// Vietnamese.
    pub vi: String,
    /// English.
    pub en: String,
}

impl Sentence {
    /// The sentence in one language.
    #[must_use]
    pub fn of(&self, lang: Lang) -> &str {
        match lang {
            Lang::Vi => &self.vi,
            Lang::En => &self.en,
        }
    }

    fn made(mut text: impl FnMut(Lang) -> String) -> Self {
        Self { vi: text(Lang::Vi), en: text(Lang::En) }
    }
}

/// One thing that happened, or kept on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When, ms; `None` while the gateway's clock was unset.
    pub at: Option<i64>,
    /// It began before the day and still held.
    pub is_before: bool,
    /// Code of the event.
    pub event: String,
    /// Code of the reason.
    pub code: String,
    /// Its numbers.
    pub args: Map<String, Value>,
    /// All of it in words.
    pub text: Sentence,
    /// What a person can do.
    pub remedy: Sentence,
}

/// Why.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The zone.
    pub zone: ZoneId,
    /// The day.
    pub day: Date,
    /// The answer in one sentence.
    pub headline: Sentence,
    /// What a person can do about it; empty where nothing needs to be done.
    pub remedy: Sentence,
    /// Runs that nodes measured.
    pub n_runs: usize,
    /// How long they were, seconds.
    pub run_s: f64,
    /// What flowed, where it was measured.
    pub litres: Option<f64>,
    /// What the diary has about it, oldest first.
    pub lines: Vec<Line>,
    /// Whether there is more in the diary.
    pub is_cut: bool,
}

/// A cause, as it was kept or as the engine has it.
struct Cause {
    code: String,
    args: Map<String, Value>,
}

impl Cause {
    fn of_entry(entry: &DiaryEntry) -> Self {
        let args = serde_json::from_str(&entry.args).unwrap_or_default();
        Self { code: entry.reason.clone(), args }
    }

    fn of_reason(reason: &Reason) -> Self {
        Self { code: reason.code().to_owned(), args: codec::args_for_people(reason) }
    }
}

/// Makes the answer.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "spans and volumes of a day are far below 2^53")]
pub fn explain(facts: &Facts, words: &Words, names: &Names) -> Answer {
    let teller = Teller { facts, words, names };
    let runs: Vec<&DiaryEntry> =
        facts.rows.iter().map(|row| &row.entry).filter(|e| e.run_ms.is_some_and(|ms| ms > 0)).collect();
    let run_s = runs.iter().filter_map(|run| run.run_ms).sum::<u64>() as f64 / 1000.0;
    let volumes: Vec<u64> = runs.iter().filter_map(|run| run.volume_ml).collect();
    let litres = (!volumes.is_empty()).then(|| volumes.iter().sum::<u64>() as f64 / 1000.0);
    let (headline, remedy) = teller.headline(runs.len(), run_s, litres);
    let before = facts.before.iter().filter(|_| runs.is_empty());
    let before = before.filter(|entry| is_cause(entry)).chain(&facts.lock_before);
    let mut seen = BTreeSet::new();
    let before = before.filter(|entry| seen.insert((entry.reason.clone(), entry.recorded_us)));
    let mut lines: Vec<Line> = before.map(|entry| teller.speaker().line(entry, true)).collect();
    let told = facts.rows.iter().map(|row| &row.entry).filter(|e| e.event != Event::Confirmed.code());
    lines.extend(told.map(|entry| teller.speaker().line(entry, false)));
    let filed_elsewhere =
        facts.missed.iter().filter(|missed| Date::of(missed.told, facts.utc_offset_min) != facts.day);
    lines.extend(filed_elsewhere.map(|missed| teller.missed_line(missed)));
    Answer {
        zone: facts.zone.clone(),
        day: facts.day,
        headline,
        remedy,
        n_runs: runs.len(),
        run_s,
        litres,
        lines,
        is_cut: facts.is_cut,
    }
}

/// Whether an entry says why no water flowed.
fn is_cause(entry: &DiaryEntry) -> bool {
    let causes = [Event::Skipped, Event::Refused, Event::Fault, Event::Locked];
    causes.iter().any(|cause| is_event(entry, *cause)) && !OF_RUNS.contains(&entry.reason.as_str())
}

/// The program by which something happened, where the reason does not name it.
fn program_of<'e>(entry: &'e DiaryEntry, cause: &Cause) -> Option<&'e str> {
    entry.person.as_deref().filter(|_| entry.by == "program" && !cause.args.contains_key("program"))
}

struct Teller<'a> {
    facts: &'a Facts,
    words: &'a Words,
    names: &'a Names,
}

/// An entry of the diary in words.
#[must_use]
pub fn line(words: &Words, names: &Names, entry: &DiaryEntry, is_before: bool) -> Line {
    let speaker = Speaker { words, names };
    speaker.line(entry, is_before)
}

/// What entries and reasons are called.
#[derive(Clone, Copy)]
struct Speaker<'a> {
    words: &'a Words,
    names: &'a Names,
}

impl Speaker<'_> {
    fn reason(&self, lang: Lang, cause: &Cause) -> String {
        let known = self.words.reason(lang, self.names, &cause.code, &cause.args);
        // A code of a newer version shows itself with its numbers rather than nothing.
        known.unwrap_or_else(|| format!("{} {}", cause.code, Value::Object(cause.args.clone())))
    }

    fn remedy(&self, code: &str) -> Sentence {
        let needs_nothing = |lang| self.words.message(lang, "do-nothing", &[]);
        Sentence::made(|lang| {
            let nothing = needs_nothing(lang);
            self.words.remedy(lang, code).filter(|text| Some(text) != nothing.as_ref()).unwrap_or_default()
        })
    }

    fn line(&self, entry: &DiaryEntry, is_before: bool) -> Line {
        let cause = Cause::of_entry(entry);
        #[expect(clippy::cast_precision_loss, reason = "one run is far below 2^53 ms")]
        let text = |lang| {
            let event = self.words.word(lang, "event", &entry.event);
            let mut text = format!("{event}: {}", self.reason(lang, &cause));
            if let Some(run_ms) = entry.run_ms.filter(|run_ms| *run_ms > 0) {
                let ran = span(self.words, lang, run_ms as f64);
                text.push_str(&format!(" {}", self.words.message_or_id(lang, "ran-for", &[("span", &ran)])));
                if let Some(ml) = entry.volume_ml {
                    text.push_str(&format!(", {}", litres(self.words, lang, ml as f64 / 1000.0)));
                }
                text.push('.');
            }
            if let Some(program) = program_of(entry, &cause) {
                let name = self.names.name("program", program);
                let by = self.words.message_or_id(lang, "by-program", &[("name", name)]);
                text.push_str(&format!(" ({by})"));
            }
            text
        };
        Line {
            at: entry.at_us.map(|at_us| at_us.div_euclid(1000)),
            is_before,
            event: entry.event.clone(),
            text: Sentence::made(text),
            remedy: self.remedy(&cause.code),
            code: cause.code,
            args: cause.args,
        }
    }
}

impl Teller<'_> {
    fn speaker(&self) -> Speaker<'_> {
        Speaker { words: self.words, names: self.names }
    }

    /// The answer in one sentence, and what to do about it.
    fn headline(&self, n_runs: usize, run_s: f64, volume: Option<f64>) -> (Sentence, Sentence) {
        let nothing = Sentence::default();
        let begins_at = self.facts.day.begins_at(self.facts.utc_offset_min);
        if begins_at > self.facts.now {
            return (self.plain("why-future", |_| Vec::new()), nothing);
        }
        if n_runs > 0 {
            let id = if volume.is_some() { "why-watered-litres" } else { "why-watered" };
            let args = |lang| {
                let mut args =
                    vec![("n", n_runs.to_string()), ("span", span(self.words, lang, run_s * 1000.0))];
                args.extend(volume.map(|volume| ("litres", litres(self.words, lang, volume))));
                args
            };
            let watered = self.plain(id, args);
            let begun = self.goes_over_midnight().then(|| self.plain("why-begun-too", |_| Vec::new()));
            let headline = match begun {
                Some(begun) => Sentence::made(|lang| format!("{} {}", watered.of(lang), begun.of(lang))),
                None => watered,
            };
            return (headline, nothing);
        }
        match self.cause() {
            Found::Cause(cause) => {
                let headline =
                    self.plain("why-not", |lang| vec![("why", self.speaker().reason(lang, &cause))]);
                (headline, self.speaker().remedy(&cause.code))
            }
            Found::Missed(missed) => (self.missed(missed), self.speaker().remedy("missed_start")),
            Found::Slept(until) => {
                let args = |lang| vec![("until", self.moment(lang, until))];
                (self.plain("why-slept", args), self.speaker().remedy("gateway_restarted"))
            }
            Found::Watering => (self.plain("why-watering", |_| Vec::new()), nothing),
            Found::Begun => (self.plain("why-begun", |_| Vec::new()), nothing),
            Found::Moist(low, high) => (self.moist(low, high), nothing),
            Found::BeforeAll => (self.plain("why-before-all", |_| Vec::new()), nothing),
            Found::Nothing => (self.plain("why-quiet", |_| Vec::new()), self.speaker().remedy("no_reading")),
        }
    }

    /// Whether a run has begun whose end the day does not have: what it gave stands there.
    fn is_begun(&self) -> bool {
        let mut entries = self.facts.rows.iter().map(|row| &row.entry);
        let last = entries.rfind(|entry| is_event(entry, Event::Started) || is_event(entry, Event::Stopped));
        last.is_some_and(|entry| is_event(entry, Event::Started))
    }

    fn is_today(&self) -> bool {
        Date::of(self.facts.now, self.facts.utc_offset_min) == self.facts.day
    }

    /// Whether a run of the day ends on another one.
    fn goes_over_midnight(&self) -> bool {
        self.is_begun() && !self.is_today()
    }

    /// A program's start that nobody decided about.
    fn missed(&self, missed: &Missed) -> Sentence {
        let program = self.names.name("program", &missed.program);
        self.plain("why-missed", |lang| {
            let (due, until) = (self.moment(lang, missed.due), self.moment(lang, missed.told));
            vec![("program", program.to_owned()), ("due", due), ("until", until)]
        })
    }

    /// The same among the day's entries, at the time at which it was due.
    fn missed_line(&self, missed: &Missed) -> Line {
        let cause = Cause { code: "missed_start".to_owned(), args: missed.args.clone() };
        let program = self.names.name("program", &missed.program);
        let text = |lang| {
            let event = self.words.word(lang, "event", Event::Skipped.code());
            format!("{event}: {program}. {}", self.speaker().reason(lang, &cause))
        };
        Line {
            at: Some(missed.due.0),
            is_before: false,
            event: Event::Skipped.code().to_owned(),
            text: Sentence::made(text),
            remedy: self.speaker().remedy(&cause.code),
            code: cause.code,
            args: cause.args,
        }
    }

    /// A time of day, with its date where that is another day's.
    fn moment(&self, lang: Lang, at: UnixMs) -> String {
        let offset_min = self.facts.utc_offset_min;
        let (time, day) = (time_of_day(at, offset_min), Date::of(at, offset_min));
        if day == self.facts.day { time } else { format!("{time} {}", date(lang, day)) }
    }

    /// The soil wanted no water all day: its range, in the unit that the zone's threshold is in.
    fn moist(&self, low: f64, high: f64) -> Sentence {
        let (id, [low, high], start) = match self.facts.soil {
            SoilRule::Moisture { start_below, .. } => ("why-moist", [low, high], start_below.percent()),
            SoilRule::Depletion { soil, start_above, .. } => {
                let depleted = |percent| {
                    let moisture = MoisturePermyriad::from_percent(percent).unwrap_or(MoisturePermyriad::MAX);
                    soil.depletion(moisture).percent()
                };
                ("why-not-depleted", [depleted(high), depleted(low)], start_above.percent())
            }
            SoilRule::Tension { start_above, .. } => {
                let args = |lang| {
                    let shown = |value| number(lang, value, 1);
                    vec![("low", shown(low)), ("high", shown(high)), ("start", shown(start_above.in_unit()))]
                };
                return self.plain("why-not-tense", args);
            }
        };
        self.plain(id, |lang| {
            let shown = |value| percent(lang, value);
            vec![("low", shown(low)), ("high", shown(high)), ("start", shown(start))]
        })
    }

    fn plain(&self, id: &str, args: impl Fn(Lang) -> Vec<(&'static str, String)>) -> Sentence {
        Sentence::made(|lang| {
            let args = args(lang);
            let args: Vec<(&str, &str)> = args.iter().map(|(name, text)| (*name, text.as_str())).collect();
            self.words.message_or_id(lang, id, &args)
        })
    }

    /// Why nothing was watered. What the engine says of the present comes first; then a lock; then what a program or a
    /// person wanted and did not get; then moist soil, that wanted nothing; then the other causes, of the day and of before.
    fn cause(&self) -> Found<'_> {
        let facts = self.facts;
        match &facts.present {
            Some(ZoneState::Open { .. }) => return Found::Watering,
            // What a program or a person wanted and did not get says more.
            Some(ZoneState::Idle { why: Reason::NotAutomatic {} }) => {}
            Some(ZoneState::Idle { why } | ZoneState::Waiting { why } | ZoneState::Fault { why }) => {
                return Found::Cause(Cause::of_reason(why));
            }
            Some(ZoneState::Closing { why, .. }) => return Found::Cause(Cause::of_reason(why)),
            Some(ZoneState::Locked { .. } | ZoneState::Unknown { .. }) => {}
            Some(ZoneState::Sent { .. } | ZoneState::Accepted { .. }) | None => {}
        }
        if facts.is_before_all && facts.present.is_none() {
            return Found::BeforeAll;
        }
        let entries = || facts.rows.iter().map(|row| &row.entry);
        if self.is_begun() {
            return if self.is_today() { Found::Watering } else { Found::Begun };
        }
        let lock =
            entries().rfind(|entry| is_event(entry, Event::Locked) || is_event(entry, Event::Unlocked));
        let lock = lock.or(facts.lock_before.as_ref()).filter(|entry| is_event(entry, Event::Locked));
        if let Some(lock) = lock {
            return Found::Cause(Cause::of_entry(lock));
        }
        if matches!(facts.present, Some(ZoneState::Unknown { .. })) {
            return Found::Cause(Cause::of_reason(&Reason::ValveUnknown {}));
        }
        // A start that was missed says nothing of the day on which the gateway came back.
        let is_kept_away = |entry: &&DiaryEntry| {
            // A lock that is over keeps nobody from water.
            is_cause(entry) && !is_event(entry, Event::Locked) && Missed::of_entry(entry).is_none()
        };
        let causes = || entries().filter(is_kept_away);
        let wanted = causes().rfind(|entry| entry.by != "engine");
        let missed = facts.missed.last().filter(|missed| {
            wanted.is_none_or(|wanted| wanted.recorded_us < missed.due.0.saturating_mul(1000))
        });
        if let Some(missed) = missed {
            return Found::Missed(missed);
        }
        if let Some(wanted) = wanted {
            let failed = causes().rfind(|entry| is_event(entry, Event::Fault));
            let failed = failed.filter(|failed| failed.recorded_us > wanted.recorded_us);
            return Found::Cause(Cause::of_entry(failed.unwrap_or(wanted)));
        }
        if let Some((low, high)) = facts.levels.filter(|_| facts.is_automatic) {
            let driest = Level::from_unit(if facts.soil.is_tension() { high } else { low });
            if driest.is_some_and(|level| !facts.soil.is_dry(level)) {
                return Found::Moist(low, high);
            }
        }
        // Without readings nothing was kept either, while the gateway was on.
        let was_silent =
            facts.before.as_ref().is_some_and(|entry| OF_SILENCE.contains(&entry.reason.as_str()));
        if let Some(until) = facts.slept_until.filter(|_| !was_silent) {
            return Found::Slept(until);
        }
        // It held until the zone told something else; what programs plan ends no cause.
        let is_planned =
            |entry: &DiaryEntry| is_event(entry, Event::Scheduled) || is_event(entry, Event::Notified);
        let is_silent = entries().all(|entry| entry.zone.is_none() || is_planned(entry));
        let before = facts.before.as_ref().filter(|entry| is_silent && is_cause(entry));
        if let Some(cause) = causes().next_back().or(before) {
            return Found::Cause(Cause::of_entry(cause));
        }
        // A run that hours or pipes put off to another day says so when it is planned.
        let planned = entries().rfind(|entry| entry.zone.is_some() && is_planned(entry));
        if let Some(planned) = planned {
            return Found::Cause(Cause::of_entry(planned));
        }
        if !facts.is_automatic {
            return Found::Cause(Cause::of_reason(&Reason::NotAutomatic {}));
        }
        Found::Nothing
    }
}

/// Why nothing was watered.
enum Found<'a> {
    /// The diary begins later.
    BeforeAll,
    Cause(Cause),
    Missed(&'a Missed),
    Slept(UnixMs),
    Moist(f64, f64),
    Watering,
    Begun,
    Nothing,
}

fn is_event(entry: &DiaryEntry, event: Event) -> bool {
    entry.event == event.code()
}

impl Answer {
    /// The answer as lines of text for a terminal.
    #[must_use]
    pub fn to_text(&self, lang: Lang, words: &Words, names: &Names, utc_offset_min: i32) -> String {
        let zone = names.name("zone", self.zone.as_str());
        let mut text = format!("{zone}, {}: {}\n", date(lang, self.day), self.headline.of(lang));
        if !self.remedy.of(lang).is_empty() {
            text.push_str(&format!("  → {}\n", self.remedy.of(lang)));
        }
        for line in &self.lines {
            let time = match line.at {
                Some(_) if line.is_before => words.message_or_id(lang, "why-before", &[]),
                Some(at) => time_of_day(UnixMs(at), utc_offset_min),
                None => words.message_or_id(lang, "time-unknown", &[]),
            };
            text.push_str(&format!("{time}  {}\n", line.text.of(lang)));
        }
        if self.is_cut {
            text.push_str("…\n");
        }
        text
    }
}

#[cfg(test)]
mod month;
#[cfg(test)]
mod outage_tests;
#[cfg(test)]
mod tests;
