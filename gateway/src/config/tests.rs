//! The configuration's promises: the reference file is valid, every problem names its line, typos are refused.

use super::*;

fn problems(text: &str) -> Vec<(Option<usize>, String)> {
    let error = compile("giot.toml", text).expect_err("a broken configuration");
    error.problems.into_iter().map(|p| (p.line, p.field)).collect()
}

#[test]
fn a_season_s_percentage_is_told_with_its_own_limits() {
    let program = "[[program]]\nid = \"p\"\nstarts = [\"05:00\"]\nsteps = [{ zone = \"a\", minutes = 10 }]\n";
    for wrong in ["-1", "[100, 251]", "[-1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]", "251"] {
        let text = format!("{GOOD_ZONE}{program}season_percent = {wrong}\n");
        let problems = compile("giot.toml", &text).expect_err("a broken configuration").problems;
        let [problem] = problems.as_slice() else { panic!("{wrong}: {problems:?}") };
        assert!(problem.field.starts_with("program[0].season_percent"), "{wrong}: {problem:?}");
        assert!(problem.what.contains("from 0 to 250"), "{wrong}: {problem:?}");
    }
}

/// The smallest farm with a zone.
pub(crate) const GOOD_ZONE: &str = r#"
[[source]]
id = "pump-1"
[[zone]]
id = "a"
source = "pump-1"
valve = { node = "v01" }
probes = [{ device = "n01", metric = "soil_moisture" }]
start_below_percent = 22
stop_above_percent = 30.5
"#;

#[test]
fn the_reference_file_is_valid_and_whole() {
    let settings = compile("reference.toml", REFERENCE).expect("the reference is valid");
    assert_eq!(settings.plan.zones.len(), 1);
    assert_eq!(settings.plan.utc_offset_min, 420);
    let label = settings.zone_labels.values().next().expect("one zone");
    assert_eq!(label.name, "Lô mận 1");
    assert_eq!(label.depth_cm.len(), 2);
}

/// A terminal obeyed them, and a page turned the words behind them around.
#[test]
fn names_are_one_line_that_shows_all_it_has() {
    let named = |name: &str| {
        let text = GOOD_ZONE.replacen("[[zone]]", &format!("[[zone]]\nname = \"{name}\""), 1);
        let settings = compile("giot.toml", &text).expect("valid");
        settings.zone_labels.into_values().next().expect("one zone").name
    };
    assert_eq!(named("Lô \\u0000\\u202e\\u001b[31mmận\\n"), "Lô   [31mmận");
    assert_eq!(named("\\u202e"), named(""));
    assert!(!named("").is_empty(), "its id");
}

#[test]
fn an_empty_file_is_a_gateway_without_zones() {
    let settings = compile("giot.toml", "").expect("nothing is needed");
    assert!(settings.plan.zones.is_empty());
    assert_eq!(settings.topic_prefix, "giot/v1");
}

#[test]
fn defaults_are_the_reference_files() {
    let short = compile("a", GOOD_ZONE).expect("valid").plan;
    let long = compile("b", REFERENCE).expect("valid").plan;
    let (short, long) =
        (short.zones.values().next().expect("zone"), long.zones.values().next().expect("zone"));
    assert_eq!(
        (short.lease_s, short.run_max_s, short.min_off_s, short.fresh_s, short.stuck_s),
        (long.lease_s, long.run_max_s, long.min_off_s, long.fresh_s, long.stuck_s)
    );
    assert_eq!((short.plausible, short.rate_max), (long.plausible, long.rate_max));
}

#[test]
fn every_problem_is_reported_at_once_with_its_line() {
    let text = GOOD_ZONE
        .replace("id = \"a\"", "id = \"A zone\"")
        .replace("= 22", "= 122")
        .replace("metric = \"soil_moisture\"", "metric = \"soil moisture\"")
        + "window = \"8-9\"\nlease_min = 500\n";
    assert_eq!(
        problems(&text),
        [
            (Some(5), "zone[0].id".to_owned()),
            (Some(8), "zone[0].probes[0].metric".to_owned()),
            (Some(9), "zone[0].start_below_percent".to_owned()),
            (Some(11), "zone[0].window".to_owned()),
            (Some(12), "zone[0].lease_min".to_owned()),
        ]
    );
}

#[test]
fn rules_across_fields_are_the_engines_and_name_the_zone() {
    let text = GOOD_ZONE.replace("source = \"pump-1\"", "source = \"pump-2\"").replace("30.5", "20");
    let found = problems(&text);
    assert!(found.len() >= 2, "{found:?}");
    // Each at the key that it is about.
    let line = |key: &str| text.lines().position(|line| line.starts_with(key)).map(|n| n + 1);
    let want = [("source =", "zone[0].source"), ("stop_above_percent", "zone[0].stop_above_percent")];
    let want = want.map(|(key, field)| (line(key), field.to_owned()));
    assert!(want.iter().all(|problem| found.contains(problem)), "{found:?}");
}

#[test]
fn a_source_that_cannot_be_right_names_its_own_line() {
    let text = "[[source]]\nid = \"a\"\nfed_by = \"b\"\n[[source]]\nid = \"b\"\nfed_by = \"a\"\ncapacity_l_per_h = 0\n";
    let want = [(3, "source[0].fed_by"), (6, "source[1].fed_by"), (7, "source[1].capacity_l_per_h")];
    assert_eq!(problems(text), want.map(|(line, field)| (Some(line), field.to_owned())));
    let sources = compile("reference.toml", REFERENCE).expect("valid").plan.sources;
    let capacities: Vec<_> =
        sources.values().map(|source| source.capacity.map(|capacity| capacity.0)).collect();
    assert_eq!(capacities, [Some(4000), Some(6000)]);
}

#[test]
fn a_pump_is_read_with_its_kinds_defaults() {
    use giot_engine::{PumpKind, PumpPlan, SourceId};
    let pump = |text: &str, id: &str| {
        let id: SourceId = id.parse().expect("an id");
        compile("f", text)
            .expect("valid")
            .plan
            .sources
            .remove(&id)
            .and_then(|source| source.pump)
            .expect("a pump")
    };
    let reference = pump(REFERENCE, "pump-1");
    assert_eq!(
        reference,
        PumpPlan::new(PumpKind::Pump, reference.valve.clone()),
        "the file shows the defaults"
    );
    let master =
        "[[source]]\nid = \"s\"\n[source.pump]\nnode = \"b1\"\nkind = \"master_valve\"\non_adjust_s = -30\n";
    let master = pump(master, "s");
    assert_eq!((master.kind, master.on_adjust_s, master.off_s_min), (PumpKind::Master, -30, 0));
}

#[test]
fn guards_are_read_with_their_defaults() {
    use giot_engine::{FlowLimits, MeterKind};
    let plan = compile("reference.toml", REFERENCE).expect("valid").plan;
    let source = plan.sources.get(&"pump-1".parse().expect("an id")).expect("the pump");
    assert_eq!(source.guards.flow, FlowLimits::default(), "the file shows the defaults");
    assert_eq!(source.guards.tank.as_ref().map(|tank| (tank.min_milli, tank.fresh_s)), Some((20_000, 1800)));
    let zone = plan.zones.values().next().expect("zone");
    assert_eq!(zone.guards.meter.as_ref().map(|meter| meter.kind), Some(MeterKind::Volume));
    assert_eq!(zone.guards.volume_max.map(|volume| volume.0), Some(2_000_000));
    let short = r#"
[guards]
rain = { gauge = { device = "st01", metric = "rain" }, limit_mm = 8 }
rain_contact = { gauge = { device = "st01", metric = "rain_contact" } }
soil_contact = { gauge = { device = "st01", metric = "soil_contact" } }
frost = { gauge = { device = "st01", metric = "air_temperature" } }
"#;
    assert_eq!(compile("f", short).expect("valid").plan.guards, plan.guards);
    assert_eq!(plan.gauges().count(), 8);
}

#[test]
fn a_guard_that_cannot_be_right_names_its_field() {
    let rain = "[guards.rain]\ngauge = { device = \"st\", metric = \"rain\" }\nlimit_mm = 0\n";
    assert_eq!(problems(rain), [(Some(3), "guards.rain.limit_mm".to_owned())]);
    let zone = |keys: &str| {
        let found = problems(&format!("{GOOD_ZONE}{keys}"));
        found.into_iter().map(|(_, field)| field).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(zone("meter = { device = \"m\", metric = \"rain\" }"), "zone[0].meter.metric");
    assert_eq!(zone("ignores = [\"snow\"]"), "zone[0].ignores[0]");
    assert_eq!(zone("flow = { high = \"explode\" }"), "zone[0].flow.high");
    assert_eq!(zone("flow = { low_percent = 5 }"), "zone[0].flow.low_percent");
    assert_eq!(zone("volume_max_l = 0"), "zone[0].volume_max_l");
}

#[test]
fn a_step_without_its_zone_says_so_beside_what_is_wrong_with_its_amount() {
    let program = "[[program]]\nid = \"p1\"\nstarts = [\"20:00\"]\nsteps = [{ zone = \"z9\", minutes = 10, litres = 5 }]\n";
    let found: Vec<_> =
        problems(&format!("{GOOD_ZONE}\n{program}")).into_iter().map(|(_, field)| field).collect();
    assert_eq!(found, ["program[0].steps[0]", "program[0].steps[0].zone"]);
}

#[test]
fn a_pump_that_cannot_be_right_names_its_table() {
    let pump = |keys: &str| {
        let head = GOOD_ZONE.replacen(
            "id = \"pump-1\"",
            &format!("id = \"pump-1\"\npump = {{ node = \"b1\", {keys} }}"),
            1,
        );
        let found = problems(&head);
        let fields: Vec<String> = found.into_iter().map(|(_, field)| field).collect();
        fields.join(" ")
    };
    assert_eq!(pump("valve = 200"), "source[0].pump.valve");
    assert_eq!(pump("kind = \"motor\""), "source[0].pump.kind");
    assert_eq!(pump("off_adjust_s = 5"), "source[0].pump.off_adjust_s");
    assert_eq!(pump("lease_s = 5"), "source[0].pump.lease_s");
    assert_eq!(pump("lease_s = 900"), "zone[0].lease_min");
}

#[test]
fn every_problem_of_a_program_is_reported_with_its_line() {
    let program = r#"
[[program]]
id = "p"
days = { weekdays = ["mon", "funday"], every_days = 3 }
starts = ["25:00", "sunset"]
steps = [
    { zone = "a", minutes = 10, litres = 5 },
    { zone = "a", mm = 4 },
    { zone = "b", minutes = 3 },
]
order = "random"
season_percent = 300
allowed = ["8-9"]
"#;
    let want = [
        (14, "program[0].days.weekdays"),
        (14, "program[0].days.every_days"),
        (15, "program[0].starts[0]"),
        (15, "program[0].starts[1]"),
        (17, "program[0].steps[0]"),
        (18, "program[0].steps[1].mm"),
        (19, "program[0].steps[2].zone"),
        (21, "program[0].order"),
        (22, "program[0].season_percent"),
        (23, "program[0].allowed[0]"),
    ];
    let found = problems(&format!("{GOOD_ZONE}{program}"));
    assert_eq!(found, want.map(|(line, field)| (Some(line), field.to_owned())));

    let sound = program
        .replace("\"mon\", \"funday\"], every_days = 3", "\"mon\"]")
        .replace("\"25:00\"", "\"05:00\"")
        .replace(", litres = 5", "")
        .replace("random", "need")
        .replace("300", "30")
        .replace("8-9", "08:00-09:00");
    // What is left: no place, no area, no zone b.
    let want =
        [(15, "program[0].starts[1]"), (18, "program[0].steps[1].mm"), (19, "program[0].steps[2].zone")];
    let found = problems(&format!("{GOOD_ZONE}{sound}"));
    assert_eq!(found, want.map(|(line, field)| (Some(line), field.to_owned())));
}

#[test]
fn typos_and_syntax_name_the_line() {
    assert_eq!(problems("coperative = \"x\"\n"), [(Some(1), "coperative".to_owned())]);
    assert_eq!(problems("\n\n[zone\n").first().and_then(|p| p.0), Some(3));
}

#[test]
fn offsets_and_prefixes_are_checked() {
    assert_eq!(compile("f", "utc_offset = \"-03:30\"").expect("valid").plan.utc_offset_min, -210);
    for bad in
        ["utc_offset = \"7\"", "utc_offset = \"+15:00\"", "topic_prefix = \"a/+/b\"", "topic_prefix = \"\""]
    {
        assert_eq!(problems(bad).len(), 1, "{bad}");
    }
}

#[test]
fn a_time_zone_agrees_with_the_distance_that_programs_go_by() {
    let zone = |text: &str| compile("f", text).map(|settings| settings.time_zone.to_string());
    assert_eq!(zone("").as_deref(), Ok("+07:00"));
    assert_eq!(zone("utc_offset = \"-03:30\"").as_deref(), Ok("-03:30"));
    assert_eq!(zone("time_zone = \"Asia/Ho_Chi_Minh\"").as_deref(), Ok("Asia/Ho_Chi_Minh"));
    for offset in ["+01:00", "+02:00"] {
        let text = format!("utc_offset = \"{offset}\"\ntime_zone = \"Europe/Paris\"");
        assert_eq!(zone(&text).as_deref(), Ok("Europe/Paris"), "winter or summer");
    }
    assert_eq!(
        zone("time_zone = \"Europe/Paris\"").expect_err("+07:00").to_string(),
        "f:1: time_zone: Europe/Paris is never at utc_offset +07:00, by which programs start: +01:00?"
    );
    assert_eq!(problems("\ntime_zone = \"Saigon\""), [(Some(2), "time_zone".to_owned())]);
}

#[test]
fn the_reference_rule_is_compiled() {
    let settings = compile("reference.toml", REFERENCE).expect("the reference is valid");
    let [rule] = settings.rules.as_slice() else { panic!("one rule") };
    assert_eq!((rule.for_ms, rule.cooldown_ms, rule.times_max), (600_000, 7_200_000, 20));
    assert_eq!(rule.when.inputs.len(), 3);
    assert_eq!(rule.then.len(), 2);
}

#[test]
fn everything_that_is_wrong_with_rules_is_told_at_once() {
    let text = format!(
        "{GOOD_ZONE}
[series]
tank = \"n09 tank\"
\"9 lives\" = \"n09/tank\"
[[rule]]
id = \"Heat\"
when = 'zone[\"b\"].moisture < 20 && zone[\"a\"].moisture'
then = [{{ start = \"aa\", minutes = 5 }}]
[[rule]]
id = \"x\"
when = 'series[\"n01/soil_moisture\"] < 20'
for_min = -1
times_max = 0
then = [{{ start = \"a\", minutes = 500 }}, {{ notify = \"\" }}, {{ adjust = \"dem\", percent = 300 }}, {{}}]
[[rule]]
id = \"x\"
when = 'time.hour > 5'
then = []
"
    );
    let error = compile("giot.toml", &text).expect_err("a broken configuration");
    let told: Vec<String> = error
        .problems
        .iter()
        .map(|problem| format!("{} {}: {}", problem.line.unwrap_or(0), problem.field, problem.what))
        .collect();
    let has =
        |part: &str| assert!(told.iter().any(|told| told.contains(part)), "{part}\n{}", told.join("\n"));
    has("13 series.tank: written as");
    has("14 series.9 lives: a name begins with a letter");
    has("16 rule[0].id");
    has("17 rule[0].when: line 1, column 10: there is no zone \"b\"");
    has("18 rule[0].then[0].start: there is no zone \"aa\"; did you mean \"a\"?");
    has("22 rule[1].for_min: between 0");
    has("23 rule[1].times_max");
    has("24 rule[1].then[0].minutes: start needs minutes");
    has("24 rule[1].then[1].notify: between 1");
    has("24 rule[1].then[2].adjust: there is no program \"dem\"");
    has("24 rule[1].then[2].percent: adjust needs percent");
    has("24 rule[1].then[3]: exactly one of");
    has("28 rule[2].then: between 1 and 10");
}

#[test]
fn the_history_is_kept_as_written_and_defaults_are_the_reference_files() {
    let short = compile("a", "").expect("valid").retention;
    let long = compile("b", REFERENCE).expect("valid").retention;
    let days = |r: &Retention| (r.raw_days, r.hourly_days, r.daily_days, r.valve_events_days);
    assert_eq!(days(&short), days(&long));
    assert_eq!((short.bytes_max, short.keep.len(), short.utc_offset_min), (None, 0, 420));
    assert_eq!((long.bytes_max, long.keep.len()), (Some(8 << 30), 2));
    assert_eq!((long.keep[0].raw_days, long.keep[0].hourly_days), (Some(365), Some(3_653)));
    let forever = compile("c", "[store]\nraw_days = 0\n").expect("valid").retention;
    assert_eq!((forever.raw_days, forever.hourly_days), (None, None));
}

#[test]
fn a_history_that_cannot_be_kept_so_names_its_line() {
    let text = "[store]\nraw_days = 3\nhourly_days = 40\ndaily_days = 30\nvalve_events_days = 100\ndisk_mib_max = 1\n\
                keep = [{ metric = \"a*b\" }, { metric = \"soil_*\", raw_days = 100 }, { metric = \"x\", raw_days = 7 }]\n";
    let want = [
        (2, "store.raw_days"),
        (4, "store.daily_days"),
        (5, "store.valve_events_days"),
        (6, "store.disk_mib_max"),
        (7, "store.keep[0].metric"),
        (7, "store.keep[1].hourly_days"),
        (7, "store.keep[2].raw_days"),
    ];
    assert_eq!(problems(text), want.map(|(line, field)| (Some(line), field.to_owned())));
    assert_eq!(problems("[store]\nraw_days = -1\n").first().and_then(|problem| problem.0), Some(2));
    let crossed = "[store]\nraw_days = 400\nhourly_days = 300\n";
    assert_eq!(problems(crossed), [(Some(3), "store.hourly_days".to_owned())]);
}

#[test]
fn every_wrong_key_and_type_is_found_at_once() {
    let text = GOOD_ZONE.replace("start_below_percent = 22", "start_below_percent = \"dry\"\nfrost = true")
        + "speed = 3\n[[zone]]\nid = \"b\"\n[guards.rain]\nlimit = 5\n";
    let error = compile("giot.toml", &text).expect_err("a broken configuration");
    let places: Vec<(Option<usize>, Option<usize>)> =
        error.problems.iter().map(|problem| (problem.line, problem.column)).collect();
    let lines: Vec<Option<usize>> = places.iter().map(|(line, _)| *line).collect();
    for line in [9, 10, 12, 13, 16] {
        assert!(lines.contains(&Some(line)), "line {line}: {error}");
    }
    assert!(places.contains(&(Some(9), Some(23))), "{places:?}");
    assert!(error.problems.iter().all(|problem| !problem.what.is_empty()), "{error}");
}

#[test]
fn errors_of_the_syntax_are_found_at_once() {
    let error = compile("giot.toml", "a = \nb = 1\nb = 2\n[x\n").expect_err("broken");
    let lines: Vec<Option<usize>> = error.problems.iter().map(|problem| problem.line).collect();
    assert!(lines.contains(&Some(1)) && lines.contains(&Some(3)) && lines.contains(&Some(4)), "{error}");
}

/// The runs that the next two days bring, as zone and seconds, and what is left out.
fn next_runs(text: &str) -> (Vec<(String, u64)>, Vec<&'static str>) {
    use giot_engine::program::{FarmState, Outcome, next_days};
    let plan = compile("farm.toml", text).unwrap_or_else(|error| panic!("{error}")).plan;
    let now = giot_shared::time::UnixMs(1_780_000_000_000);
    let preview = next_days(&plan.programs, &BTreeMap::new(), &plan.site(), &FarmState::default(), now, 1);
    let (mut runs, mut skips) = (Vec::new(), Vec::new());
    for start in preview.starts {
        let Outcome::Runs(timeline) = start.outcome else { continue };
        let run = |run: &giot_engine::program::PlannedRun| {
            (run.zone.to_string(), run.until.since_ms(run.from) / 1000)
        };
        runs.extend(timeline.runs.iter().map(run));
        skips.extend(timeline.skips.iter().map(|skip| skip.reason.code()));
    }
    (runs, skips)
}

const TWO_ZONES: &str = r#"
[[source]]
id = "s"
[[zone]]
id = "a"
source = "s"
valve = { node = "v01" }
probes = []
automatic = false
start_below_percent = 22
stop_above_percent = 30
run_max_min = 60
[[zone]]
id = "b"
source = "s"
valve = { node = "v02" }
probes = []
automatic = false
start_below_percent = 22
stop_above_percent = 30
#b
[[program]]
id = "p"
starts = ["20:00"]
steps = [{ zone = "a", minutes = 20 }, { zone = "b", minutes = 10 }]
#p
"#;

#[test]
fn runs_of_programs_keep_within_their_zones_limits() {
    let runs = |of_b: &str, of_p: &str| next_runs(&TWO_ZONES.replace("#b", of_b).replace("#p", of_p));
    let of = |a: u64, b: u64| vec![("a".to_owned(), a), ("b".to_owned(), b)];
    assert_eq!(runs("", ""), (of(1200, 600), vec![]));
    let half = "season_percent = 50";
    assert_eq!(runs("skip_below_min = 5", half), (of(600, 300), vec![]));
    assert_eq!(runs("skip_below_min = 6", half), (vec![("a".to_owned(), 600)], vec!["below_threshold"]));
    assert_eq!(runs("run_least_min = 8", half), (of(600, 480), vec![]));
    let crossed = TWO_ZONES.replace("#b", "run_least_min = 130");
    let line = crossed.lines().position(|line| line.starts_with("run_least_min")).map(|idx| idx + 1);
    assert_eq!(problems(&crossed), [(line, "zone[1].run_least_min".to_owned())]);
}

#[test]
fn a_total_is_shared_out_among_the_steps() {
    let runs = |of_p: &str| next_runs(&TWO_ZONES.replace("#p", of_p)).0;
    let of = |a: u64, b: u64| vec![("a".to_owned(), a), ("b".to_owned(), b)];
    assert_eq!(runs("total_min = 90"), of(3600, 1800));
    assert_eq!(runs("total_min = 90\nseason_percent = 50"), of(1800, 900));
    // The zone's longest run comes after.
    assert_eq!(runs("total_min = 120"), of(3600, 2400));
    let wrong = |of_p: &str| problems(&TWO_ZONES.replace("#p", of_p));
    assert_eq!(
        wrong("total_min = 0").first().map(|problem| problem.1.as_str()),
        Some("program[0].total_min")
    );
    assert_eq!(wrong("total_min = \"long\"").len(), 1);
}

#[test]
fn words_for_the_farms_records_are_kept_and_bounded() {
    let text = GOOD_ZONE.to_owned()
        + "variety = \"Mận hậu\"\nplot = \"Thửa 12\"\nplanting_area_code = \"VN-SLOR-0001\"\n";
    let label = compile("f", &text).expect("valid").zone_labels.into_values().next().expect("a zone");
    let words = [label.variety, label.plot, label.planting_area_code];
    assert_eq!(words, ["Mận hậu", "Thửa 12", "VN-SLOR-0001"].map(|word| Some(word.to_owned())));
    let long =
        format!("{GOOD_ZONE}variety = \"{}\"\nplot = \"\"\nplanting_area_code = \"a\\nb\"\n", "ậ".repeat(65));
    let want = ["variety", "plot", "planting_area_code"];
    let want: Vec<_> = (11..).zip(want).map(|(line, key)| (Some(line), format!("zone[0].{key}"))).collect();
    assert_eq!(problems(&long), want);
}

#[test]
fn times_of_a_start_counts_the_repeats_after_the_first() {
    let text = TWO_ZONES.replace("[\"20:00\"]", "[{ at = \"20:00\", every_min = 60, times = 3 }]");
    let (runs, _) = next_runs(&text);
    assert_eq!(runs.len(), 8, "four starts of two zones: {runs:?}");
}

#[test]
fn hours_of_some_weekdays_and_a_group_beside_all_others() {
    use giot_engine::program::{Group, Weekday, Weekdays};
    let program = r#"
group = "parallel"
[[program]]
id = "night"
starts = ["20:00"]
steps = [{ zone = "a", minutes = 5 }]
allowed = ["18:00-08:00", { hours = "10:00-11:00" }]
no_water = [{ hours = "17:00-20:30", weekdays = ["mon", "sat"] }]
"#;
    let text = format!("{GOOD_ZONE}{program}");
    let settings = compile("giot.toml", &text).expect("valid");
    let plan = &settings.plan;
    assert!(plan.zones.values().any(|zone| zone.group == Group::Parallel));
    let windows = &plan.programs.values().next().unwrap().windows;
    assert_eq!(windows.no_water[0].weekdays, Weekdays::of([Weekday::Monday, Weekday::Saturday]));
    assert_eq!(windows.no_water[0].span.to_min(), 20 * 60 + 30);
    assert!(windows.allowed.iter().all(|window| window.weekdays == Weekdays::ALL));
    for (wrong, field) in [("group = \"beside\"", "zone[0].group"), ("group = 256", "zone[0].group")] {
        let found = problems(&text.replace("group = \"parallel\"", wrong));
        assert!(found.iter().any(|(_, at)| at == field), "{found:?}");
    }
    for (right, wrong, field) in [
        ("17:00-20:30", "17-20", "program[0].no_water[0].hours"),
        ("\"sat\"", "\"sut\"", "program[0].no_water[0].weekdays"),
        ("[\"mon\", \"sat\"]", "[]", "program[0].no_water[0].weekdays"),
    ] {
        let found = problems(&text.replace(right, wrong));
        assert!(found.iter().any(|(_, at)| at == field), "{found:?}");
    }
}

#[test]
fn leases_are_judged_by_the_gateways_own_waiting_times() {
    let text = "[[source]]\nid = \"s\"\n[source.pump]\nnode = \"b\"\nlease_s = 60\n";
    assert!(compile("f", text).is_ok());
    let patient = giot_engine::Timing { answer_s: 30, ..giot_engine::Timing::default() };
    let error = compile_for("f", text, patient).expect_err("three answers take 90 s");
    let found: Vec<_> = error.problems.iter().map(|problem| (problem.line, problem.field.as_str())).collect();
    assert_eq!(found, [(Some(5), "source[0].pump.lease_s")]);
}
