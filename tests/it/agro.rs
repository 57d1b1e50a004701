//! The agronomy as an agronomist meets it: files in, files out, through the program itself. The numbers are those of the
//! engine's own tests, where their sources stand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

use giot_tests::giot::{self, text};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A table of text cells by column.
type Rows = Vec<BTreeMap<String, String>>;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/engine/tests/data/agro").join(name)
}

fn rows(csv: &str) -> Rows {
    let mut lines = csv.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(','));
    let heading: Vec<_> = lines.next().expect("a heading").map(str::to_owned).collect();
    lines.map(|cells| heading.iter().cloned().zip(cells.map(str::to_owned)).collect()).collect()
}

fn golden(name: &str) -> Rows {
    rows(&std::fs::read_to_string(data(name)).expect(name))
}

/// Runs a command that must succeed; what it printed.
fn succeeds(args: &[&str]) -> String {
    let output = giot::run(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs a command that must refuse its input; what it said.
fn refuses(args: &[&str]) -> String {
    let output = giot::run(args);
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    assert!(output.stdout.is_empty(), "half a table misleads");
    text(&output.stderr)
}

#[track_caller]
fn near(what: &str, value: &str, wanted: &str, tolerance: f64) {
    let number = |text: &str| text.parse::<f64>().unwrap_or_else(|_| panic!("{what}: `{text}`"));
    let difference = (number(value) - number(wanted)).abs();
    assert!(difference <= tolerance, "{what}: {value}, wanted {wanted}");
}

/// The date of a day of a year of 366 days, so that each has one.
fn date(doy: &str) -> String {
    let mut day: u32 = doy.parse().expect("a day of the year");
    for (month, length) in (1..).zip([31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
        if day <= length {
            return format!("2024-{month:02}-{day:02}");
        }
        day -= length;
    }
    panic!("{doy}");
}

#[test]
fn et0_of_days_agrees_with_other_implementations() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("day.csv");
    // Every sixth of the days that the engine's own tests hold: each has a site, and so a run, of its own.
    for row in golden("et0_daily.csv").iter().step_by(6) {
        let cell = |name: &str| row[name].as_str();
        let header = "tmax_c,tmin_c,date,ea_kpa,u_ms,rs_mj";
        let values =
            [cell("tmax_c"), cell("tmin_c"), &date(cell("doy")), cell("ea_kpa"), cell("u_ms"), cell("rs_mj")];
        std::fs::write(&file, format!("{header}\n{}\n", values.join(","))).unwrap();
        let et0 = |file: &Path, more: &[&str]| {
            let site = [
                "--latitude",
                cell("lat_deg"),
                "--elevation",
                cell("elev_m"),
                "--wind-height",
                cell("wind_height_m"),
            ];
            let args = ["agro", "et0", file.to_str().expect("a plain path")];
            rows(&succeeds(&[&args, &site[..], more].concat())).remove(0)
        };
        let measured = et0(&file, &[]);
        near("FAO-56", &measured["et0_mm"], cell("eto_fao56"), 1e-6);
        assert_eq!(
            measured["method"],
            "penman-monteith humidity=vapour_pressure radiation=measured wind=measured"
        );
        near("ASCE", &et0(&file, &["--reference", "asce-short"])["et0_mm"], cell("eto_asce"), 1e-4);
        std::fs::write(
            &file,
            format!("date,tmin_c,tmax_c\n{},{},{}\n", date(cell("doy")), values[1], values[0]),
        )
        .unwrap();
        let bare = et0(&file, &[]);
        near("Hargreaves", &bare["et0_mm"], cell("hargreaves"), 1e-6);
        assert_eq!(bare["method"], "hargreaves");
        let estimated = et0(&file, &["--temperature-only", "pm"]);
        assert!(estimated["method"].starts_with("penman-monteith humidity="), "{estimated:?}");
    }
}

#[test]
fn run_times_of_drip_zones_agree_with_the_reference_numbers() {
    let file = data("drip_runtime.csv");
    let path = file.to_str().expect("a plain path");
    let (results, wanted) = (rows(&succeeds(&["agro", "drip", path])), golden("drip_runtime.csv"));
    assert_eq!((results.len(), wanted.len()), (60, 60));
    for (result, wanted) in results.iter().zip(&wanted) {
        assert_eq!(result["id"], wanted["id"]);
        for (name, value) in result {
            near(name, value, &wanted[name], 1e-6);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("zones.csv");
    let heading = "id,area_ha,plants,emitters_per_plant,q_l_per_h,net_mm,ea,pw";
    std::fs::write(
        &bad,
        format!("{heading}\na,1,400,8,2,4,0.9,0.3\nb,1,400.5,8,2,4,0.9,0.3\nc,1,400,8,2,4,90,0.3\n"),
    )
    .unwrap();
    let said = refuses(&["agro", "drip", bad.to_str().expect("a plain path")]);
    assert!(said.contains(":3: plants: 400.5 is no number"), "{said}");
    assert!(said.contains(":4: ea: 90 is not between"), "{said}");
}

/// A row comes out for each that goes in: a gap stays a gap, and says why.
#[test]
fn et0_of_rows_without_a_number_is_empty_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gaps.csv");
    let path = file.to_str().expect("a plain path");
    let methods = |csv: &str, more: &[&str]| {
        std::fs::write(&file, csv).unwrap();
        let args = ["agro", "et0", path, "--elevation", "10"];
        let results = rows(&succeeds(&[&args, more].concat()));
        let method = |row: &BTreeMap<String, String>| (row["et0_mm"].is_empty(), row["method"].clone());
        results.iter().map(method).collect::<Vec<_>>()
    };
    let none = |why: &str| (true, format!("none: {why}"));
    let days = "date,tmin_c,tmax_c\n2025-12-20,-9,-3\n2025-06-21,,12\n2025-06-22,5,\n2025-06-23,5,12\n";
    let night = "the sun does not rise and nothing but temperature is known";
    let wanted = [none(night), none("tmin_c is missing"), none("tmax_c is missing")];
    assert_eq!(
        methods(days, &["--latitude", "70"]),
        [&wanted[..], &[(false, "hargreaves".to_owned())]].concat()
    );
    let polar =
        "date,tmin_c,tmax_c,rs_mj,ea_kpa,u_ms\n2025-12-20,-9,-3,0,0.3,4\n2025-12-21 00:00,-9,-3,-999,0.3,4\n";
    let methods_of_night = methods(polar, &["--latitude", "70"]);
    let starts = ["measured", "estimated_from_temperature"].map(|radiation| {
        (false, format!("penman-monteith humidity=vapour_pressure radiation={radiation} wind=measured"))
    });
    assert_eq!(methods_of_night, starts);
    let hours =
        "time,t_c,rs_mj,rh\n2025-06-21T10:00,25,,60\n2025-06-21T11:00,,2.1,60\n2025-06-21T12:00,26,2.2,60\n";
    let found = methods(hours, &["--latitude", "21", "--longitude", "104", "--hourly"]);
    assert_eq!(found[..2], [none("rs_mj is missing"), none("t_c is missing")]);
    assert!(!found[2].0, "{found:?}");
}

#[test]
fn et0_of_hours_agrees_with_equation_53() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hours.csv");
    let hours = golden("et0_hourly.csv");
    for day in hours.chunks(24) {
        let mut csv = "time,t_c,ea_kpa,rs_mj,u_ms\n".to_owned();
        for hour in day {
            let (date, clock) = (date(&hour["doy"]), &hour["local_hour"]);
            let values = ["t_c", "ea_kpa", "rs_mj", "u_ms"].map(|name| hour[name].as_str()).join(",");
            writeln!(csv, "{date}T{clock:0>2}:00,{values}").unwrap();
        }
        std::fs::write(&file, csv).unwrap();
        let offset = if day[0]["utc_hour"] == "17" { "+07:00" } else { "+00:00" };
        let cell = |name: &str| day[0][name].as_str();
        let results = rows(&succeeds(&[
            "agro",
            "et0",
            file.to_str().expect("a plain path"),
            "--hourly",
            "--latitude",
            cell("lat_deg"),
            "--elevation",
            cell("elev_m"),
            "--longitude",
            cell("lon_deg"),
            "--utc-offset",
            offset,
        ]));
        assert_eq!(results.len(), 24);
        for (result, hour) in results.iter().zip(day) {
            near("ETo", &result["et0_mm"], &hour["eto_fao56"], 5e-5);
        }
    }
    assert_eq!(hours.len(), 288);
}

/// One broken cell costs its own row: the others are computed, and the row says what is wrong with it and what to do.
#[test]
fn a_broken_cell_costs_its_row_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.csv");
    let path = file.to_str().expect("a plain path");
    let run = |csv: &str, more: &[&str]| {
        std::fs::write(&file, csv).unwrap();
        let args = ["agro", "et0", path, "--latitude", "21.3", "--elevation", "600"];
        let output = giot::run(&[&args, more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    };
    let days = "date,tmin_c,tmax_c,rs_mj,tdew_c\n2025-03-01,18,30,18,\n2025-03-02,18,12,,\n2025-03-03,18,30,99,\n\
                2025-03-04,18,30,n.d.,\n2025-03-05,18,-9999,,\n2025-03-06,18,30,18,31\n2025-13-01,18,30,18,\n18,30\n\
                2025-03-09,18,30,18,\n";
    let (table, said) = run(days, &[]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 10, "a row for each row: {table}");
    let causes = [
        (2, "2025-03-02,,\"none: tmax_c: 12 °C is below"),
        (3, "2025-03-03,,\"none: rs_mj: 99 is not between"),
        (4, "2025-03-04,,\"none: rs_mj: `n.d.` is no number"),
        (5, "2025-03-05,,none: tmax_c is missing"),
        (6, "2025-03-06,,\"none: tdew_c: means"),
        (7, "2025-13-01,,none: date: `2025-13-01` is no date"),
        (8, "18,,\"none: has 2 cells, the heading has 5"),
    ];
    for (line, cause) in causes {
        assert!(lines[line].starts_with(cause), "{}", lines[line]);
        assert!(said.contains(&format!(":{}: no number: ", line + 1)), "{said}");
    }
    let number = |line: &str| line.split(',').nth(1).and_then(|cell| cell.parse::<f64>().ok());
    assert!(number(lines[1]).is_some() && number(lines[9]) > number(lines[1]), "{table}");
    assert!(said.contains("megajoules") && said.contains("7 of 9 rows have no number"), "{said}");
    // As a spreadsheet of Việt Nam writes it.
    let (semicolons, _) = run("Date;TMIN_C;Tmax_c;rs_mj\n2025-03-01;18,0;30;18\n", &[]);
    assert_eq!(semicolons.lines().nth(1), Some(lines[1]));
    let hours = "time,t_c,rh,u_ms,rs_mj\n2025-10-01T02:00,28,,1.9,0\n2025-10-01T03:00,28,90,1.9,0\n";
    let (table, said) = run(hours, &["--hourly", "--longitude", "104"]);
    assert!(
        table.contains("2025-10-01T02:00,,none: rh or ea_kpa is missing\n") && said.contains("1 of 2"),
        "{table}"
    );
    // A logger whose clock was changed: the hour that comes twice has a row and no number the second time.
    let hours = "time,t_c,rh,u_ms,rs_mj\n2025-10-01T14:00,38,52,3.3,2.45\n2025-10-01T14:00,38,52,3.3,2.45\n2025-10-01T15:00,38,52,3.3,2.2\n";
    let (table, said) = run(hours, &["--hourly", "--longitude", "104", "--reference", "asce-tall"]);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines.len() == 4 && lines[2].contains("not after 2025-10-01T14:00 on line 2"), "{table}");
    assert!(lines[1].contains("asce-tall-hourly") && lines[3].contains("asce-tall-hourly"), "{table}");
    assert!(said.contains("1 of 3"), "{said}");
}

/// FAO-56 example 19: N'Diaye in Senegal, 1 October, 2:00 to 3:00 and 14:00 to 15:00; the night's clearness is 0.8.
#[test]
fn example_19_of_fao_56_comes_out_with_its_night_ratio() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ndiaye.csv");
    std::fs::write(
        &file,
        "time,t_c,rh,u_ms,rs_mj\n2025-10-01T02:00,28,90,1.9,0\n2025-10-01T14:00,38,52,3.3,2.450\n",
    )
    .unwrap();
    let path = file.to_str().expect("a plain path");
    let place =
        ["--latitude", "16.2167", "--elevation", "8", "--longitude", "-16.25", "--utc-offset", "-01:00"];
    let of = |more: &[&str]| {
        let found = rows(&succeeds(&[&["agro", "et0", path, "--hourly"][..], &place, more].concat()));
        found.iter().map(|row| row["et0_mm"].parse::<f64>().unwrap()).collect::<Vec<_>>()
    };
    let dry = of(&["--night-ratio", "0.8"]);
    assert!(dry[0].abs() < 0.005 && (dry[1] - 0.63).abs() < 0.005, "{dry:?}");
    assert!(of(&[])[0] > dry[0], "a cloudy night cools less");
    assert!(
        refuses(&[
            "agro",
            "et0",
            path,
            "--latitude",
            "16",
            "--elevation",
            "8",
            "--hourly",
            "--longitude",
            "-16",
            "--night-ratio",
            "1.5"
        ])
        .contains("--night-ratio")
    );
}

#[test]
fn a_broken_weather_file_is_refused_with_line_column_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.csv");
    let path = file.to_str().expect("a plain path");
    let et0 = ["agro", "et0", path, "--latitude", "21.3", "--elevation", "600"];
    std::fs::write(&file, "date,tmin,tmax_c\n").unwrap();
    assert!(refuses(&et0).contains(":1: tmin_c: no such column"));
    assert!(refuses(&["agro", "et0", path, "--latitude", "91", "--elevation", "600"]).contains("--latitude"));
}

#[test]
fn the_example_of_a_season_computes_and_the_tables_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("season.toml");
    std::fs::write(&file, succeeds(&["agro", "balance", "--example"])).unwrap();
    let computed = rows(&succeeds(&["agro", "balance", file.to_str().expect("a plain path")]));
    assert_eq!(computed.len(), 30);
    for (row, wanted) in computed.iter().zip(golden("season_plum_fixed.csv")) {
        near("Dr", &row["Dr"], &wanted["Dr"], 1e-6);
    }
    let crops = rows(&succeeds(&["agro", "crops"]));
    assert!(crops.iter().any(|crop| crop["id"] == "plum_bare" && crop["status"] == "sourced"));
    assert!(crops.iter().any(|crop| crop["id"] == "dragon_fruit" && crop["status"] == "placeholder"));
    assert_eq!(rows(&succeeds(&["agro", "soils"])).len(), 9);
}

/// A season's TOML from the parameters that its file of numbers names, with what it says in words in `more`.
fn season(name: &str, more: &str) -> String {
    let file = data(name);
    let source = std::fs::read_to_string(&file).expect(name);
    let parameter = |key: &str| -> String {
        let words = source.lines().next().expect("a source").split([' ', '(', ',', ')', ';']);
        words.filter_map(|word| word.strip_prefix(key)?.strip_prefix('=')).next().expect(key).to_owned()
    };
    let list = |keys: &[&str]| keys.iter().map(|key| parameter(key)).collect::<Vec<_>>().join(", ");
    let days: Vec<_> = golden(name).into_iter().filter(|row| !row["ETref"].is_empty()).collect();
    let (rules, more) = more.split_once("[more]").unwrap_or((more, ""));
    let mut toml = format!(
        "[season]\nfirst = {}\nlast = {}\n[crop]\nkc = [{}]\nkcb = [{}]\nstage_days = [{}]\nheight_m = [{}]\nroot_m = [{}]\np = {}\n\
         [start]\nwater_content = {}\n[weather]\nfile = {:?}\n[rules]\n{rules}\n\
         [soil]\nfield_capacity = {}\nwilting_point = {}\nsurface_layer_m = {}\nrew_mm = {}\n{more}\n",
        days[0]["date"],
        days[days.len() - 1]["date"],
        list(&["Kcmini", "Kcmmid", "Kcmend"]),
        list(&["Kcbini", "Kcbmid", "Kcbend"]),
        list(&["Lini", "Ldev", "Lmid", "Lend"]),
        list(&["hini", "hmax"]),
        list(&["Zrini", "Zrmax"]),
        parameter("pbase"),
        parameter("theta0"),
        file.to_str().expect("a plain path"),
        parameter("thetaFC"),
        parameter("thetaWP"),
        parameter("Ze"),
        parameter("REW"),
    );
    for row in days.iter().filter(|row| !row["irrigation_mm"].is_empty()) {
        let (date, depth, wetted, efficiency) =
            (&row["date"], &row["irrigation_mm"], &row["wetted"], &row["efficiency"]);
        writeln!(
            toml,
            "[[irrigation]]\ndate = {date}\ndepth_mm = {depth}\nwetted = {wetted}\nefficiency_percent = {efficiency}"
        )
        .unwrap();
    }
    toml
}

const SON_LA: &str = "[site]\nlatitude_deg = 21.05\nelevation_m = 320\n";

#[test]
fn seasons_agree_with_pyfao56_on_every_day() {
    let plum_auto = format!(
        "{SON_LA}[automatic]\nfirst = 2025-01-12\nlast = 2025-06-09\ndepletion_share = 0.4\nforecast_mm = 8\nforecast_days = 2\n\
         leave_share = 0.1\nefficiency_percent = 90\nmin_mm = 3\nmax_mm = 20\nwetted = 0.35\n"
    );
    let seasons = [
        ("season_plum_rainfed.csv", format!("[more]\n{SON_LA}"), 170),
        ("season_plum_fixed.csv", format!("[more]\n{SON_LA}"), 170),
        ("season_plum_fixed_const_p.csv", format!("p = \"constant\"\n[more]\n{SON_LA}"), 170),
        ("season_plum_auto.csv", format!("[more]\n{plum_auto}"), 170),
        (
            "season_maize_arid.csv",
            "adjust_kc = true\n[more]\n[site]\nlatitude_deg = 36.5\nelevation_m = 120\nwind_height_m = 3\n"
                .to_owned(),
            150,
        ),
        (
            "season_coffee_humid.csv",
            "[more]\ncurve_number = 82\n[site]\nlatitude_deg = 12.6\nelevation_m = 520\nwind_height_m = 10\n"
                .to_owned(),
            366,
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("season.toml");
    for (name, more, n_days) in seasons {
        std::fs::write(&file, season(name, &more)).unwrap();
        let computed = rows(&succeeds(&["agro", "balance", file.to_str().expect("a plain path")]));
        assert_eq!(computed.len(), n_days, "{name}");
        for (row, wanted) in computed.iter().zip(golden(name)) {
            assert_eq!(row["date"], wanted["date"]);
            for column in ["ETref", "De", "Ke", "ETc", "Ks", "ETa", "DP", "Dr", "Irrig", "Runoff"] {
                near(&format!("{name} {} {column}", row["date"]), &row[column], &wanted[column], 1e-4);
            }
        }
    }
}

#[test]
fn every_problem_of_a_season_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("season.toml");
    let path = file.to_str().expect("a plain path");
    let example = succeeds(&["agro", "balance", "--example"]);
    let broken = example
        .replace("rew_mm = 9.0", "rew_mm = 90.0")
        .replace("p = 0.50", "p = 50")
        .replace("= 2025-02-05", "= 2026-02-05");
    std::fs::write(&file, broken).unwrap();
    let said = refuses(&["agro", "balance", path]);
    for what in [": crop.p: 50 is not between", ": soil.rew_mm: ", ": irrigation[1].date: not between"] {
        let line = said.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {said}"));
        assert!(line.contains("season.toml:"), "{line}");
    }
    std::fs::write(&file, example.replace("csv = \"\"\"", "file = \"nowhere.csv\"\nx = \"\"\"")).unwrap();
    assert!(refuses(&["agro", "balance", path]).contains("unknown field `x`"));
}
