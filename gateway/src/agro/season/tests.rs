//! A season's promises: the example computes what pyfao56 computed, every problem names its line, typos are refused.

use super::*;
use giot_engine::agro::{Amount, Canopy, Clock, Coefficients, DayOrder, Depletion, ForecastAction, Profile};
use proptest::prelude::*;

fn read_text(text: &str) -> Result<Season, SeasonError> {
    read("season.toml", text, &mut |name| Err(format!("{name}: no such file")))
}

/// Line and key of each problem.
fn problems(text: &str) -> Vec<(Option<usize>, String)> {
    let SeasonError(errors) = read_text(text).expect_err("a broken season");
    errors.into_iter().flat_map(|error| error.problems).map(|problem| (problem.line, problem.field)).collect()
}

/// The line on which `needle` stands in the example.
fn line_of(text: &str, needle: &str) -> usize {
    text.lines().position(|line| line.starts_with(needle)).expect(needle) + 1
}

/// The example with one line exchanged.
fn with(line: &str, other: &str) -> String {
    assert!(EXAMPLE.contains(line), "{line}");
    EXAMPLE.replacen(line, other, 1)
}

#[test]
fn the_example_computes_what_pyfao56_computed() {
    let season = read_text(EXAMPLE).expect("the example is valid");
    let rows = season.rows().expect("the example computes");
    let file = include_str!("../../../engine/tests/data/agro/season_plum_fixed.csv");
    let mut lines = file.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let heading = lines.next().expect("a heading");
    let expected: Vec<_> = lines.take(30).collect();
    assert_eq!(rows.len(), expected.len());
    for ((date, row), cells) in rows.iter().zip(expected) {
        let cell = |name: &str| cells[heading.iter().position(|head| *head == name).expect(name)];
        assert_eq!(date.to_string(), cell("date"));
        for (name, value) in [
            ("ETref", row.et0_mm),
            ("De", row.surface.expect("dual coefficients").de_mm),
            ("ETc", row.etc_mm),
            ("Ks", row.root.ks),
            ("Dr", row.root.dr_mm),
        ] {
            let wanted: f64 = cell(name).parse().expect("a number");
            assert!((value - wanted).abs() < 1e-6, "{date} {name}: {value}, {wanted}");
        }
    }
    assert_eq!(season.rain_after_mm.len(), 2);
}

#[test]
fn every_key_stands_in_the_example() {
    let mut n_keys = 0;
    for table in
        ["[season]", "[site]", "[crop]", "[soil]", "[start]", "[[irrigation]]", "[rules]", "[weather]"]
    {
        n_keys += keys_stand_in_example(&with(&format!("\n{table}\n"), &format!("\n{table}\nbogus = 1\n")));
    }
    n_keys += keys_stand_in_example(&format!("{EXAMPLE}\n[[observed]]\nbogus = 1\n"));
    n_keys += keys_stand_in_example(&format!("{EXAMPLE}\n[automatic]\nbogus = 1\n"));
    assert!(n_keys > 60, "{n_keys}");
}

/// Keys without a place and values of the wrong kind are told all at once, in nested tables and lists too.
#[test]
fn unknown_keys_are_told_together() {
    let crop = "[crop]\nheigt_m = [0.1, 0.2]\nkc_min = \"low\"";
    let text = with("[site]", "[site]\nbogus = 1").replacen("[crop]", crop, 1)
        + "\n[[irrigation]]\ndate = 2024-05-01\ndepth_mm = 5.0\nwetted = 1.0\nlitres = 3\n";
    let SeasonError(errors) = read_text(&text).expect_err("four mistakes");
    let told: Vec<_> = errors[0].problems.iter().map(|problem| problem.what.as_str()).collect();
    for key in ["`bogus`", "`heigt_m`", "kc_min: invalid type", "`litres`"] {
        assert!(told.iter().any(|what| what.contains(key)), "{key}: {told:?}");
    }
    assert!(errors[0].problems.is_sorted_by_key(|problem| problem.line), "{told:?}");
    assert_eq!(told.len(), 4, "{told:?}");
}

/// A refused key makes the parser name the keys that it knows.
fn keys_stand_in_example(text: &str) -> usize {
    let SeasonError(errors) = read_text(text).expect_err("an unknown key");
    let what = &errors[0].problems[0].what;
    let (_, known) = what.split_once("expected").expect(what);
    let keys: Vec<_> = known.split('`').skip(1).step_by(2).collect();
    assert!(!keys.is_empty(), "{what}");
    for key in &keys {
        assert!(
            EXAMPLE.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} ="))),
            "{key}"
        );
    }
    keys.len()
}

#[test]
fn crops_and_soils_come_from_the_tables() {
    let text = with("[soil]", "[soil]\nid = \"silty_clay\"")
        .replace("field_capacity = 0.32\n", "")
        .replace("rew_mm = 9.0 ", "# ");
    let plan = read_text(&text).expect("a soil by its id").plan;
    let uniform = Profile::Uniform { field_capacity: 0.36, wilting_point: 0.18, below_roots: None };
    assert_eq!((plan.soil.profile, plan.soil.rew_mm), (uniform, 10.0));
    let text = with("p = 0.50 ", "# ").replace("id = \"plum_bare\"", "id = \"strawberry\"");
    let plan = read_text(&text).expect("a crop by its id").plan;
    assert!((plan.crop.p - 0.20).abs() < f64::EPSILON);
}

#[test]
fn every_problem_is_reported_at_once_with_its_line() {
    let text = with("latitude_deg = 21.05", "latitude_deg = 121.05")
        .replace("id = \"plum_bare\"", "id = \"plumm\"")
        .replace("wilting_point = 0.18", "wilting_point = 0.48")
        .replace("water_content = 0.27", "water_content = -1")
        .replace("wind_min_ms = 0 ", "wind_min_ms = 7 ")
        .replace("date = 2025-02-05", "date = 2025-03-05")
        .replace("p = 0.50 ", "p = 5.0 ")
        .replace("2025-01-20,", "2025-01-20,x");
    let SeasonError(errors) = read_text(&text).expect_err("broken");
    let at = |needle: &str| Some(line_of(&text, needle));
    let found: Vec<_> =
        errors.iter().flat_map(|error| &error.problems).map(|p| (p.line, p.field.as_str())).collect();
    assert_eq!(
        found,
        [
            (at("latitude_deg"), "site.latitude_deg"),
            (at("id ="), "crop.id"),
            (at("p = 5.0"), "crop.p"),
            (at("wilting_point"), "soil.wilting_point"),
            (at("water_content"), "start.water_content"),
            (at("2025-01-20"), "tmin_c"),
        ]
    );
    let text = with("wind_min_ms = 0 ", "wind_min_ms = 7 ").replace("date = 2025-02-05", "date = 2025-03-05");
    let at = |needle: &str| Some(line_of(&text, needle));
    assert_eq!(
        problems(&text),
        [
            (at("date = 2025-03-05"), "irrigation[1].date".to_owned()),
            (at("wind_min_ms"), "rules.wind_min_ms".to_owned()),
        ]
    );
}

#[test]
fn a_wrong_irrigation_is_blamed_on_the_key_that_is_written() {
    for (line, wrong, key) in [
        ("depth_mm = 12.0                   # gross", "depth_mm = -1", "depth_mm"),
        (
            "efficiency_percent = 90           # default",
            "efficiency_percent = 0 # default",
            "efficiency_percent",
        ),
        (
            "efficiency_percent = 90           # default",
            "efficiency_percent = 101 # default",
            "efficiency_percent",
        ),
    ] {
        let text = with(line, wrong);
        let field = format!("irrigation[0].{key}");
        assert_eq!(problems(&text), [(Some(line_of(&text, wrong)), field)]);
    }
}

#[test]
fn a_value_of_the_weather_names_its_line_and_the_remedy() {
    let text = with("2025-01-15,", "2025-01-15,40,");
    let bad = problems(&text);
    assert_eq!(bad, [(Some(line_of(&text, "2025-01-15")), String::new())]);
    let line = EXAMPLE.lines().find(|line| line.starts_with("2025-01-15,")).expect("a day");
    let mut cells: Vec<_> = line.split(',').collect();
    cells[5] = "181";
    let text = with(line, &cells.join(","));
    let SeasonError(errors) = read_text(&text).expect_err("watts instead of megajoules");
    assert_eq!(errors[0].problems[0].field, "rs_mj");
    assert!(errors[0].to_string().contains("megajoules"), "{}", errors[0]);
}

#[test]
fn a_gap_a_double_and_a_dry_column_are_found() {
    let line = EXAMPLE.lines().find(|line| line.starts_with("2025-01-15,")).expect("a day");
    let SeasonError(errors) = read_text(&with(&format!("{line}\n"), "")).expect_err("a gap");
    assert!(errors[0].to_string().contains("2025-01-15 is missing"), "{}", errors[0]);
    let text = with(line, &format!("{line}\n{line}"));
    assert_eq!(problems(&text), [(Some(line_of(&text, "2025-01-15") + 1), "date".to_owned())]);
    assert_eq!(problems(&with(",rain_mm", ",rain")).len(), 1);
}

#[test]
fn the_weather_may_stand_beside_the_season() {
    let (head, csv) = EXAMPLE.split_once("csv = \"\"\"\n").expect("inline weather");
    let csv = csv.trim_end().trim_end_matches("\"\"\"");
    let text = format!("{head}file = \"w.csv\"\n");
    let season = read("s.toml", &text, &mut |name| {
        (name == "w.csv").then(|| csv.as_bytes().to_vec()).ok_or_else(String::new)
    });
    assert_eq!(season.expect("valid").days.len(), 30);
    assert_eq!(problems(&text), [(Some(line_of(&text, "file =")), "weather.file".to_owned())]);
}

#[test]
fn a_soil_may_have_layers_with_water_of_their_own() {
    let uncommented = EXAMPLE
        .replace("# layers = [", "layers = [")
        .replace("#     { bottom_m", "    { bottom_m")
        .replace("\n# ]\n", "\n]\n");
    let text = uncommented
        .replace("field_capacity = 0.32\nwilting_point = 0.18\n", "")
        .replace("water_content = 0.27  ", "# ");
    let season = read_text(&text).expect("a layered soil");
    assert_eq!(season.plan.start.depletion, Depletion::Layers);
    let rows = season.rows().expect("computes");
    assert!(rows.iter().all(|(_, row)| row.below.is_some()));
    assert_eq!(
        problems(&uncommented),
        [(Some(line_of(&uncommented, "layers = [")), "soil.layers".to_owned())]
    );
    let no_water = text.replacen(", water_content = 0.28", "", 1);
    assert_eq!(problems(&no_water), [(None, "start".to_owned())]);
}

#[test]
fn a_season_begins_at_field_capacity_at_the_wettest() {
    let wet = with("\nwater_content = 0.27", "\nwater_content = 0.33");
    assert_eq!(problems(&wet), [(Some(line_of(&wet, "water_content")), "start.water_content".to_owned())]);
    assert!(read_text(&with("\nwater_content = 0.27", "\nwater_content = 0.32")).is_ok());
}

#[test]
fn automatic_irrigation_reads_whole() {
    let text = format!(
        "{EXAMPLE}\n[automatic]\nfirst = 2025-01-12\nlast = 2025-02-01\ndepletion_share = 0.4\nforecast_mm = 8\nforecast_days = 2\n\
         forecast_action = \"reduce\"\nleave_mm = 5\nefficiency_percent = 90\nmin_mm = 3\nmax_mm = 20\nwetted = 0.35\n"
    );
    let automatic = read_text(&text).expect("valid").plan.automatic.expect("automatic");
    assert_eq!((automatic.first_day, automatic.last_day), (2, 22));
    assert_eq!(automatic.amount, Amount::LeaveDepth(5.0));
    assert_eq!(automatic.forecast.expect("a forecast").action, ForecastAction::Reduce);
    assert_eq!(problems(&format!("{EXAMPLE}\n[automatic]\nwetted = 0.35\n")).len(), 1);
    assert_eq!(problems(&text.replace("leave_mm = 5", "leave_mm = 5\nfixed_mm = 3")).len(), 1);
    let early = text.replace("last = 2025-02-01\ndepl", "last = 2025-01-11\ndepl");
    assert_eq!(problems(&early).first().map(|problem| problem.1.as_str()), Some("automatic.last"));
}

#[test]
fn the_other_choices_reach_the_plan() {
    let text = with("coefficients = \"dual\"", "coefficients = \"single\"")
        .replace("order = \"drain_after_et\"", "order = \"refill_first\"")
        .replace("# canopy_cover = 0.45 ", "canopy_cover = 0.45 ")
        .replace("water_content = 0.27 ", "depletion_mm = 30 ")
        .replace("stage_days = [20, 50, 70, 30] ", "# ")
        .replace("# stage_degree_days =", "stage_degree_days =")
        .replace("# base_c", "base_c")
        .replace("# upper_c", "upper_c");
    let season = read_text(&text).expect("valid");
    let plan = &season.plan;
    assert_eq!((plan.rules.coefficients, plan.rules.order), (Coefficients::Single, DayOrder::RefillFirst));
    assert_eq!((plan.rules.canopy, plan.start.depletion), (Canopy::Fixed(0.45), Depletion::Depth(30.0)));
    assert_eq!(plan.crop.stages.clock, Clock::DegreeDays { base_c: 7.0, upper_c: 32.0 });
    assert_eq!(season.rows().expect("computes").len(), 30);
}

#[test]
fn a_season_may_begin_after_planting_and_adjust_its_coefficients() {
    let later = read_text(&with("# planted = 2025-01-10", "planted = 2024-11-01")).expect("valid");
    assert!((later.plan.start.progress - 70.0).abs() < f64::EPSILON);
    let adjusted = read_text(
        &with("adjust_kc = false", "adjust_kc = true")
            .replace("stage_days = [20, 50, 70, 30]", "stage_days = [5, 5, 10, 10]"),
    );
    let kcb = adjusted.expect("valid").plan.crop.kcb;
    assert!((kcb.mid - 0.85).abs() > 0.01 && (kcb.mid - 0.85).abs() < 0.2, "{kcb:?}");
    assert_eq!(problems(&with("# planted = 2025-01-10", "planted = 2025-01-11")).len(), 1);
    assert_eq!(problems(&with("last = 2025-02-08", "last = 2024-02-08")).len(), 1);
}

#[test]
fn example_37_of_fao_56_is_a_short_season() {
    let mut text =
        "[season]\nfirst = 2025-06-01\nlast = 2025-06-10\n[site]\nlatitude_deg = 0\nelevation_m = 0\n\
        [crop]\nkc = [1.2, 1.2, 1.2]\nstage_days = [10, 10, 10, 10]\nroot_m = [0.8, 0.8]\np = 0.4\n\
        [soil]\nfield_capacity = 0.32\nwilting_point = 0.12\n[start]\ndepletion_mm = 55\n\
        [rules]\ncoefficients = \"single\"\np = \"constant\"\n[weather]\ncsv = \"\"\"\ndate,et0_mm,rain_mm\n"
            .to_owned();
    for day in 1..=10 {
        text.push_str(&format!("2025-06-{day:02},5,0\n"));
    }
    text.push_str("\"\"\"\n");
    let rows = read_text(&text).expect("valid").rows().expect("computes");
    let evening_mm: Vec<_> = rows.iter().map(|(_, row)| (row.root.dr_mm * 10.0).round() / 10.0).collect();
    assert_eq!(evening_mm, [61.0, 67.0, 72.8, 78.3, 83.4, 88.2, 92.6, 96.9, 100.8, 104.5]);
    // TAW is 160 mm.
    let dry = text.replace("depletion_mm = 55", "depletion_mm = 161");
    assert_eq!(problems(&dry).first().map(|problem| problem.1.as_str()), Some("start.depletion_mm"));
    let dual = text.replace("coefficients = \"single\"", "coefficients = \"dual\"");
    let fields: Vec<_> = problems(&dual).into_iter().map(|(_, field)| field).collect();
    assert_eq!(fields, ["soil.rew_mm", "crop.kcb", "crop.height_m"]);
}

#[test]
fn typos_and_syntax_name_the_line() {
    let text = with("rew_mm", "rev_mm");
    assert_eq!(problems(&text), [(Some(line_of(&text, "rev_mm")), String::new())]);
    let text = with("order = \"drain_after_et\"", "order = \"drain\"");
    assert_eq!(problems(&text), [(Some(line_of(&text, "order")), String::new())]);
    assert_eq!(
        problems(&with("[site]", "[site")).first().and_then(|p| p.0),
        Some(line_of(EXAMPLE, "[site]"))
    );
}

#[test]
fn a_season_cut_anywhere_is_an_error_or_a_season() {
    for (end, _) in EXAMPLE.char_indices().step_by(5) {
        if let Ok(season) = read_text(EXAMPLE.get(..end).expect("a boundary")) {
            assert!(season.rows().is_ok(), "cut at {end}");
        }
    }
}

proptest! {
    #[test]
    fn a_damaged_season_is_an_error_or_a_season(
        places in proptest::collection::vec((0..EXAMPLE.len(), "[ -~\n]{0,3}"), 1..6),
    ) {
        let mut text = EXAMPLE.to_owned();
        for (at, other) in places {
            let at = text.floor_char_boundary(at.min(text.len()));
            let end = text.ceil_char_boundary((at + 1).min(text.len()));
            text.replace_range(at..end, &other);
        }
        if let Ok(season) = read_text(&text) {
            prop_assert!(season.rows().is_ok());
        }
    }
}

#[test]
fn what_was_measured_fits_into_the_pores_of_the_soil() {
    let observed = |content: &str| format!("\n[[observed]]\ndate = 2025-01-28\nwater_content = {content}\n");
    let takes = |text: &str, content: &str| read_text(&format!("{text}{}", observed(content))).is_ok();
    let text = EXAMPLE;
    assert!(takes(text, "0.55"));
    let wet = format!("{text}{}", observed("0.9"));
    let line = line_of(&wet, "water_content = 0.9");
    assert_eq!(problems(&wet), [(Some(line), "observed[0].water_content".to_owned())]);
    let SeasonError(errors) = read_text(&wet).expect_err("more water than pores");
    let told: Vec<_> = errors.iter().flat_map(|error| &error.problems).map(|p| p.what.as_str()).collect();
    assert!(told[0].contains("0.9 m³/m³") && told[0].contains("share of saturation"), "{told:?}");
    // Peat holds more; a field capacity of 0.7 states that it is one.
    let peat = text.replace("field_capacity = 0.32", "field_capacity = 0.7");
    assert_ne!(peat, text);
    assert!(takes(&peat, "0.9") && !takes(&peat, "0.97"));
}
