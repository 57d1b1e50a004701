//! A file with everything wrong is told in one go: each fault at its line and field, and nothing that only follows from another.
//!
//! In the texts of these tests a line says behind `#!` what is to be told of it: `field | part of the sentence`, more than one with
//! `;;` between them.

use proptest::prelude::*;

use super::*;

/// Everything that was told, as `line field: what`, against what the text itself asks for.
#[track_caller]
fn check(text: &str) -> usize {
    let error = compile("farm.toml", text).expect_err("a broken configuration");
    let mut told: Vec<(usize, String, String)> = error
        .problems
        .iter()
        .map(|problem| (problem.line.unwrap_or(0), problem.field.clone(), problem.what.clone()))
        .collect();
    let mut missing = Vec::new();
    let mut n_wanted = 0;
    for (idx, line) in text.lines().enumerate() {
        let Some((_, wanted)) = line.split_once("#!") else { continue };
        for wanted in wanted.split(";;") {
            let (field, part) = wanted.split_once('|').map_or((wanted, ""), |(field, part)| (field, part));
            let (field, part) = (field.trim(), part.trim());
            n_wanted += 1;
            let is_it = |told: &(usize, String, String)| {
                told.0 == idx + 1 && told.1 == field && told.2.contains(part)
            };
            match told.iter().position(is_it) {
                Some(at) => {
                    told.remove(at);
                }
                None => missing.push(format!("{} {field}: {part}", idx + 1)),
            }
        }
    }
    assert!(
        missing.is_empty() && told.is_empty(),
        "not told: {missing:#?}\nnot asked for: {told:#?}\nall:\n{error}"
    );
    n_wanted
}

/// A fault of each kind.
const ALL_WRONG: &str = r#"
coperative = "HTX"                      #! coperative | did you mean "cooperative"?
utc_offset = 7                          #! utc_offset | a text in quotation marks is needed
time_zone = "Asia/Ho_Chi_Minh"
latitude_deg = 121.0                    #! latitude_deg | between -90 and 90
longitude_deg = 103.9
speed = 3                               #! speed | no such key

[station]                               #! station.device | needed
elevation_m = 99000                     #! station.elevation_m | between

[store]
raw_days = 400
hourly_days = 300                       #! store.hourly_days | at least as long
disk_mib_max = 1.5                      #! store.disk_mib_max | a whole number

[guards.rain]
gauge = { device = "St 1", metric = "rain" } #! guards.rain.gauge.device | consists of
limit_mm = 8.0
hours = 900                             #! guards.rain.hours | between 1 and 336

[guards.frost]
gauge = { device = "st01", metric = "air_temperature" }
below_c = 4.0
clear_c = 2.0                           #! guards.frost.clear_c | must lie beyond

[[source]]
id = "pump-1"
capacity_l_per_h = -5                   #! source[0].capacity_l_per_h | from 0 to 4294967295
fed_by = "main-a"                       #! source[0].fed_by | feeds itself
[source.pump]
node = "b01"
kind = "motor"                          #! source[0].pump.kind | one of "pump"
valve = 200                             #! source[0].pump.valve | outputs count from 0
lease_s = 5                             #! source[0].pump.lease_s | must be at least

[[source]]
id = "main-a"
fed_by = "pump-1"                       #! source[1].fed_by | feeds itself
stagger_s = 9000                        #! source[1].stagger_s | an hour

[[source]]
id = "main-a"                           #! source[2].id | a second source
fed_by = "well"                         #! source[2].fed_by | source well is not defined
flow = { low_percent = 120 }            #! source[2].flow.low_percent | below 100 %
tank = { gauge = { device = "b01", metric = "level" }, min = 40, resume = 20 } #! source[2].tank.resume | must lie beyond

[[zone]]
id = "a"
source = "pump-2"                       #! zone[0].source | source pump-2 is not defined
valve = { node = "v01" }
probes = [{ device = "n01", metric = "soil_moisture" }, { device = "n01", metric = "soil_moisture" }] #! zone[0].probes | named twice
start_below_percent = "dry"             #! zone[0].start_below_percent | take the quotation marks away
stop_above_percent = 130                #! zone[0].stop_above_percent | between 0 and 100
window = "8-9"                          #! zone[0].window | written as
lease_min = 500                         #! zone[0].lease_min | between 0 and 120
min_of_min = 10                         #! zone[0].min_of_min | did you mean "min_off_min"?
stuck_hours = 0.25                      #! zone[0].stuck_hours | later than as stale
plausible_percent = [60, 1]             #! zone[0].plausible_percent | [lowest, highest]
ignores = ["rain", "snow"]              #! zone[0].ignores[1] | a list of
cycle_min = 0.5                         #! zone[0].cycle_min | at least 1 minute
soak_min = 20

[[zone]]
id = "b"
source = "pump-1"
valve = { node = "v01", valve = 0 }     #! zone[1].valve | zone a has the same valve
probes = [{ device = "n02", metric = "soil moisture" }] #! zone[1].probes[0].metric | metric names of letters
start_below_percent = 30
stop_above_percent = 22                 #! zone[1].stop_above_percent | start must be drier
flow_l_per_h = 0                        #! zone[1].flow_l_per_h | at least one litre
plants = "hundred"                      #! zone[1].plants | a whole number
balance = { since = "spring" }          #! zone[1].balance.since | month and day ;; zone[1].balance | soil ;; zone[1].balance | area_m2 ;; zone[1].crop | giot agro crops

[[zone]]                                #! zone[2].source | needed ;; zone[2].valve | needed: a table ;; zone[2].probes | needed
id = "c"
start_above_kpa = 40                    #! zone[2].stop_below_kpa | beside the other threshold

[[program]]
id = "p"
days = { weekdays = ["mon", "funday"], every_days = 3, once = 2026-02-28 } #! program[0].days.weekdays | a list of ;; program[0].days.every_days | counted_from ;; program[0].days.once | put it in quotation marks
starts = ["25:00", "01:00", "02:00", "03:00", "04:00", "05:00", "06:00", "07:00", "08:00"] #! program[0].starts[0] | a time ;; program[0].starts | 8 at most
steps = [
    { zone = "a", minutes = 10, litres = 5 }, #! program[0].steps[0] | exactly one of
    { zone = "a", mm = 4 },             #! program[0].steps[1].mm | area must be known
    { zone = "d", minutes = 3 },        #! program[0].steps[2].zone | zone d is not defined
    { zone = "b", litres_per_plant = 4 },
    { zone = "a", minuts = 4 },         #! program[0].steps[4].minuts | did you mean "minutes"?
    { zone = "c", minutes = 4, repeats = 99 }, #! program[0].steps[5].repeats | between 1 and 24
]
order = "random"                        #! program[0].order | one of "listed"
delay_s = 9999                          #! program[0].delay_s | between -3600 and 3600
season_percent = [100, 100]             #! program[0].season_percent | 12 values
allowed = ["18:00-06:00", "8-9"]        #! program[0].allowed[1] | written as

[[rule]]
id = "r"
when = 'zone["d"].moisture < 20 && weather.air > 3' #! rule[0].when | there is no zone "d" ;; rule[0].when | weather has no "air"
then = [{ start = "d", minutes = 5 }, { adjust = "q", percent = 50 }, { notify = 5 }] #! rule[0].then[0].start | no zone "d" ;; rule[0].then[1].adjust | no program "q" ;; rule[0].then[2].notify | quotation marks

[[sink]]                                #! sink[0].url | needed
name = "Tinh"                           #! sink[0].name | 1 to 32
bucket = "b"
token = "a b"                           #! sink[0].token | printable

[[message]]
name = "to"                             #! message[0].url | an address is needed
zones = ["a", "z"]                      #! message[0].zones[1] | no zone is called z
language = "fr"                         #! message[0].language
"#;

#[test]
fn everything_wrong_is_told_at_once_and_nothing_else() {
    let n = check(ALL_WRONG);
    assert!(n > 60, "{n} faults");
}

#[test]
fn what_could_not_be_read_is_not_missed_elsewhere() {
    // The zone that steps, rules and messages name is there: only its name cannot be read.
    check(
        r#"
[[source]]
id = "s"
[[zone]]                                #! zone[0].id | needed
source = "s"
valve = { node = "v01" }
probes = [{ device = "n01", metric = "soil_moisture" }]
start_below_percent = 22
stop_above_percent = 30
[[program]]
id = "p"
starts = ["05:00"]
steps = [{ zone = "a", minutes = 4 }]
[[rule]]
id = "r"
when = 'zone["a"].moisture < 20'
then = [{ lock = "a" }]
"#,
    );
    check(
        r#"
[[source]]
idd = "s"                               #! source[0].idd | did you mean "id"?
[zone]                                  #! zone | [[zone]]
id = "a"
source = "s"
valve = { node = "v01", valve = "0" }   #! zone[0].valve.valve | a whole number
probes = [{ device = "n01", metric = 5 }] #! zone[0].probes[0].metric | quotation marks
start_below_percent = 22
stop_above_percent = 30
area_m2 = "2500"                        #! zone[0].area_m2 | quotation marks
flow_l_per_h = 100
[[program]]
id = "p"
starts = [{ at = "5" }]                 #! program[0].starts[0].at | a time
steps = [{ zone = "a", mm = 4 }]
[[rule]]
id = "r"
when = 'series["n01/soil"] < 20'
then = [{ lock = "a" }]
"#,
    );
}

#[test]
fn a_value_that_is_no_toml_does_not_hide_the_rest() {
    let text = "cooperative = HTX\nutc_offset = \"7\"\n[[source]]\nid = \"s\"\nname = \"Suối\n[[zone]]\nid = \"a\"\n\
                source = s\nvalve = { node = \"v01\" }\nprobes = []\nlease_min =\nstart_below_percent = 22\n\
                stop_above_percent = 20\n";
    let error = compile("farm.toml", text).expect_err("broken");
    let told: Vec<(usize, &str)> =
        error.problems.iter().map(|problem| (problem.line.unwrap_or(0), problem.field.as_str())).collect();
    let want = [
        (1, "cooperative"),
        (2, "utc_offset"),
        (5, "source[0].name"),
        (8, "zone[0].source"),
        (10, "zone[0].probes"),
        (11, "zone[0].lease_min"),
        (13, "zone[0].stop_above_percent"),
    ];
    assert_eq!(told, want, "{error}");
    // A header that is not closed: what follows may belong anywhere.
    let error = compile("farm.toml", "[[zone\nid = \"a\"\nspeed = 3\n").expect_err("broken");
    assert!(error.problems.iter().all(|problem| !problem.what.starts_with("needed")), "{error}");
}

/// Lines of the reference that hold one key and its value, by their place.
fn keys_of_reference() -> Vec<usize> {
    let is_key = |line: &str| {
        let (key, value) = line.split_once(" = ").unwrap_or_default();
        let is_plain =
            !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        is_plain && !value.trim_end().ends_with('[')
    };
    REFERENCE.lines().enumerate().filter(|(_, line)| is_key(line)).map(|(idx, _)| idx).collect()
}

/// The reference with some of its lines changed.
fn spoilt(change: impl Fn(usize, &str) -> Option<String>) -> String {
    let lines = REFERENCE.lines().enumerate();
    lines.map(|(idx, line)| change(idx, line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

fn lines_of(text: &str) -> Vec<usize> {
    let Err(error) = compile("reference.toml", text) else { return Vec::new() };
    let mut lines: Vec<usize> = error.problems.iter().filter_map(|problem| problem.line).collect();
    lines.dedup();
    lines
}

proptest! {
    /// A date is a value of no key: every line that has one is told, and no other.
    #[test]
    fn any_wrong_values_are_told_and_nothing_that_follows(picks in prop::collection::vec(any::<prop::sample::Index>(), 1..12)) {
        let keys = keys_of_reference();
        let picked: std::collections::BTreeSet<usize> = picks.iter().map(|pick| *pick.get(&keys)).collect();
        let text = spoilt(|idx, line| {
            let (key, _) = line.split_once(" = ").filter(|_| picked.contains(&idx))?;
            Some(format!("{key} = 1979-05-27"))
        });
        let want: Vec<usize> = picked.iter().map(|idx| idx + 1).collect();
        prop_assert_eq!(lines_of(&text), want, "{}", compile("r", &text).expect_err("spoilt"));
    }

    /// Keys that nothing is called like are told, each at its line.
    #[test]
    fn any_unknown_keys_are_told(picks in prop::collection::vec(any::<prop::sample::Index>(), 1..12)) {
        let keys = keys_of_reference();
        let picked: std::collections::BTreeSet<usize> = picks.iter().map(|pick| *pick.get(&keys)).collect();
        let names = ["tank_percent", "air_c"];
        let is_name = |line: &str| names.iter().any(|name| line.starts_with(name));
        let text = spoilt(|idx, line| {
            let is_picked = picked.contains(&idx) && !is_name(line);
            is_picked.then(|| format!("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz_{line}"))
        });
        let told = lines_of(&text);
        for idx in picked.iter().filter(|idx| !is_name(REFERENCE.lines().nth(**idx).unwrap_or_default())) {
            prop_assert!(told.contains(&(idx + 1)), "line {}: {:?}", idx + 1, told);
        }
    }

    /// Keys that are needed and missing are told at the head of their table.
    #[test]
    fn any_missing_keys_are_told(picks in prop::collection::vec(any::<prop::sample::Index>(), 1..8)) {
        let heads = |idx: usize| {
            let before = REFERENCE.lines().enumerate().take(idx + 1).filter(|(_, line)| line.starts_with('['));
            before.last().map_or(0, |(head, _)| head)
        };
        let needed = ["id", "source", "valve", "device", "elevation_m", "gauge", "limit_mm", "node", "min", "when", "steps", "starts", "then"];
        let has_one = |idx: &usize| {
            let line = REFERENCE.lines().nth(*idx).unwrap_or_default();
            let key = line.split(' ').next().unwrap_or_default();
            needed.contains(&key) && !REFERENCE.lines().nth(heads(*idx)).is_some_and(|head| key == "valve" && head == "[source.pump]")
        };
        let keys: Vec<usize> = keys_of_reference().into_iter().filter(has_one).collect();
        let picked: std::collections::BTreeSet<usize> = picks.iter().map(|pick| *pick.get(&keys)).collect();
        let text = spoilt(|idx, _| picked.contains(&idx).then(String::new));
        let mut want: Vec<usize> = picked.iter().map(|idx| heads(*idx) + 1).collect();
        want.dedup();
        prop_assert_eq!(lines_of(&text), want, "{}", compile("r", &text).expect_err("spoilt"));
    }

    /// Whatever is written is taken or refused, with places that are in the text.
    #[test]
    fn any_text_is_taken_or_refused(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), ".{0,6}"), 1..6)
    ) {
        let mut text = REFERENCE.to_owned();
        for (from, many, with) in cuts {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let from = from.index(places.len());
            let until = (from + many.index(40)).min(places.len() - 1);
            text.replace_range(places[from]..places[until], &with);
        }
        if let Err(error) = compile("farm.toml", &text) {
            let n_lines = text.lines().count() + 1;
            prop_assert!(!error.problems.is_empty());
            prop_assert!(error.problems.iter().all(|problem| problem.line.is_none_or(|line| (1..=n_lines).contains(&line))));
        }
    }
}
