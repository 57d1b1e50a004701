//! Months of a simulated farm with everything that goes wrong, told to people: every entry of the diary, every zone every hour,
//! and every day of every zone has its sentence in both languages, with all its numbers and their units.

use std::collections::{BTreeMap, BTreeSet};

use giot_engine::Entry;

use super::*;
use crate::sim::{Options, Told, told};

const OFFSET_MIN: i32 = 420;
const N_DAYS: i32 = 30;

/// The unit that a number's name ends in, in Vietnamese and English.
const UNITS: [(&str, [&str; 2]); 8] = [
    ("_l_per_h", ["L/giờ", "L/h"]),
    ("_kpa", ["kPa", "kPa"]),
    ("_mm", ["mm", "mm"]),
    ("_c", ["°C", "°C"]),
    ("_l", ["L", "L"]),
    ("litres", ["lít", "L"]),
    ("hours", ["giờ", "h"]),
    ("percent", ["%", "%"]),
];

/// Reasons for which water may flow.
const CAUSES_OF_WATER: [&str; 11] = [
    "soil_dry",
    "soil_depleted",
    "soil_tense",
    "soil_goes_on",
    "program_run",
    "manual_start",
    "run_once",
    "valve_test",
    "rule_run",
    "local_run",
    "pump_start",
];

/// Seasons of which a month is told: between them they have every kind of event that a season has.
fn months() -> Vec<Told> {
    let n_days = u64::try_from(N_DAYS).unwrap();
    (5..=8).map(|seed| told(Options { seed, n_days, n_zones: 6 }).unwrap()).collect()
}

/// The sentence of a reason, whole: no hole, no id in place of a word, every number with its unit.
#[track_caller]
fn check_sentence(words: &Words, lang: Lang, reason: &Reason) -> String {
    let (names, args) = (Names::default(), codec::args_for_people(reason));
    let text = words.reason(lang, &names, reason.code(), &args);
    let text = text.unwrap_or_else(|| panic!("{lang:?} has no words for {reason:?}"));
    assert!(text.len() > 5 && !text.contains(['{', '}', '$', '_']), "{lang:?} {reason:?}: {text}");
    for (name, value) in args.iter().filter(|(_, value)| value.is_number()) {
        let shown = words.argument(lang, &names, name, value);
        let unit = UNITS.iter().find(|(end, _)| name.ends_with(end)).map(|(_, units)| units[lang as usize]);
        let Some(behind) = text.find(&shown).and_then(|at| text.get(at + shown.len()..)) else {
            panic!("{lang:?} {reason:?}: {name} = {shown} is not in: {text}");
        };
        assert!(
            unit.is_none_or(|unit| shown.contains(unit) || behind.contains(unit)),
            "{lang:?}: {name} = {shown} has no unit in: {text}"
        );
    }
    text
}

fn row(nth: usize, at: UnixMs, entry: &Entry) -> DiaryRow {
    let entry = DiaryEntry { at_us: Some(at.0 * 1000), ..codec::diary_entry(entry, at.0 * 1000) };
    DiaryRow { id: i64::try_from(nth).unwrap(), entry, hash: [0; 32] }
}

/// Each entry as people read it.
#[test]
fn every_entry_of_simulated_months_is_explained_in_both_languages() {
    let words = Words::default();
    let mut n_of: BTreeMap<&str, usize> = BTreeMap::new();
    let mut kinds = BTreeSet::new();
    for month in months() {
        for (nth, (at, entry)) in month.entries.iter().enumerate() {
            let (event, code) = (entry.event.code(), entry.reason.code());
            *n_of.entry(event).or_default() += 1;
            let line = line(&words, &Names::default(), &row(nth, *at, entry).entry, false);
            for lang in Lang::ALL {
                let why = check_sentence(&words, lang, &entry.reason);
                let word = words.word(lang, "event", event);
                assert_ne!(word, event, "{lang:?}");
                assert!(line.text.of(lang).starts_with(&format!("{word}: {why}")), "{line:?}");
                // What a person can do is said where something failed, or nothing needs to be done.
                let nothing = words.message(lang, "do-nothing", &[]).unwrap();
                let remedy = words.remedy(lang, code).unwrap_or_else(|| panic!("do-… of {code}"));
                assert!(remedy == nothing || line.remedy.of(lang) == remedy, "{line:?}");
            }
            if entry.event == Event::Started {
                assert!(CAUSES_OF_WATER.contains(&code), "a start for no cause of water: {entry:?}");
            }
            kinds.insert((event, code));
        }
    }
    let wanted = [
        Event::Started,
        Event::Confirmed,
        Event::Stopping,
        Event::Stopped,
        Event::Scheduled,
        Event::Adjusted,
        Event::Skipped,
        Event::Refused,
        Event::Fault,
        Event::Cleared,
        Event::Locked,
        Event::Unlocked,
    ];
    for event in wanted {
        assert!(n_of.contains_key(event.code()), "the months have no {event:?} to explain: {n_of:?}");
    }
    assert!(kinds.len() > 60, "the months are too uniform: {kinds:#?}");
}

/// A zone that does not water says why not, every hour, and so does every day without water.
#[test]
fn every_dry_hour_and_day_of_simulated_months_is_explained_in_both_languages() {
    let words = Words::default();
    let (mut n_days, mut n_dry_days, mut n_skips) = (0, 0, 0);
    for month in months() {
        for (_, view) in &month.views {
            if let ZoneState::Idle { why } | ZoneState::Waiting { why } | ZoneState::Fault { why } =
                &view.state
            {
                Lang::ALL.iter().for_each(|lang| drop(check_sentence(&words, *lang, why)));
            }
        }
        for (zone, plan) in &month.plan.zones {
            for nth_day in 0..N_DAYS {
                let facts = facts_of(&month, zone, plan.automatic, plan.soil, nth_day);
                n_skips += facts.rows.iter().filter(|row| row.entry.event == Event::Skipped.code()).count();
                let answer = explain(&facts, &words, &Names::default());
                n_days += 1;
                n_dry_days += usize::from(answer.n_runs == 0);
                for lang in Lang::ALL {
                    let quiet = words.message(lang, "why-quiet", &[]).unwrap();
                    let told = answer.headline.of(lang);
                    assert!(
                        told.len() > 5 && !told.contains(['{', '}', '$', '_']),
                        "{zone} {}: {told}",
                        answer.day
                    );
                    assert_ne!(told, quiet, "{zone} {nth_day}: {:#?}", facts.rows);
                    assert_eq!(answer.lines.iter().filter(|line| line.text.of(lang).is_empty()).count(), 0);
                }
            }
        }
    }
    assert!(n_days == 4 * 6 * N_DAYS && n_dry_days > 100 && n_skips > 500, "{n_days} {n_dry_days} {n_skips}");
}

/// What the gateway would know of a zone's day the day after.
fn facts_of(month: &Told, zone: &ZoneId, is_automatic: bool, soil: SoilRule, nth_day: i32) -> Facts {
    let day = Date::of(month.start, OFFSET_MIN).plus_days(nth_day);
    let (from, to) = (day.begins_at(OFFSET_MIN), day.plus_days(1).begins_at(OFFSET_MIN));
    let rows = month.entries.iter().enumerate().map(|(nth, (at, entry))| row(nth, *at, entry));
    let of_zone: Vec<DiaryRow> =
        rows.filter(|row| row.entry.zone.as_deref() == Some(zone.as_str())).collect();
    let at = |row: &DiaryRow| UnixMs(row.entry.recorded_us / 1000);
    let before = || of_zone.iter().rev().filter(|row| at(row) < from).map(|row| row.entry.clone());
    let is_about_lock =
        |entry: &DiaryEntry| is_event(entry, Event::Locked) || is_event(entry, Event::Unlocked);
    let of_day = month.views.iter().filter(|(at, view)| (from..to).contains(at) && view.zone == *zone);
    let levels: Vec<f64> = of_day.filter_map(|(_, view)| Some(view.level?.in_unit())).collect();
    let low = levels.iter().copied().reduce(f64::min);
    Facts {
        zone: zone.clone(),
        day,
        utc_offset_min: OFFSET_MIN,
        now: to.plus_ms(1),
        is_automatic,
        soil,
        rows: of_zone.iter().filter(|row| (from..to).contains(&at(row))).cloned().collect(),
        is_cut: false,
        before: before().next(),
        lock_before: before().find(is_about_lock).filter(|entry| is_event(entry, Event::Locked)),
        missed: Vec::new(),
        is_before_all: false,
        slept_until: None,
        levels: low.zip(levels.iter().copied().reduce(f64::max)),
        present: None,
    }
}
