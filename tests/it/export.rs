//! The history as files, opened by other people's programs: openpyxl, pyarrow, Python's csv; and a million readings in little memory.

use giot_tests::giot::{self, Giot, run, text};
use std::path::Path;
use std::process::Command;

const FROM: &str = "2026-02-01T00:00:00Z";

/// A history of four series of one device.
fn history(dir: &Path, minutes: u32) {
    let data = dir.to_str().unwrap();
    let minutes = minutes.to_string();
    let args =
        ["bench", "store", "--json", "--data", data, "--series", "4", "--minutes", &minutes, "--seed", "7"];
    let made = run(&args);
    assert!(made.status.success(), "{}", text(&made.stderr));
}

/// What an independent reader finds in a file, as JSON.
fn read(file: &Path) -> serde_json::Value {
    let python = std::env::var("GIOT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/read_export.py");
    let out = Command::new(python).arg(script).arg(file).output().expect("python3 is installed");
    assert!(out.status.success(), "{}", text(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("JSON")
}

fn export(dir: &Path, out: &str, more: &[&str]) -> std::path::PathBuf {
    let file = dir.join(out);
    let mut args = vec!["export", "--data", dir.to_str().unwrap(), "--out", file.to_str().unwrap()];
    args.extend(more);
    let done = run(&args);
    assert!(done.status.success(), "{args:?} {}", text(&done.stderr));
    assert!(!dir.join(format!("{out}.part")).exists());
    file
}

#[test]
fn files_say_the_same_to_other_programs() {
    let dir = tempfile::tempdir().unwrap();
    history(dir.path(), 3_000);
    let days = ["--all", "--bucket", "1d", "--tz", "Asia/Ho_Chi_Minh"];
    let csv = read(&export(dir.path(), "days.csv", &days));
    let excel = read(&export(dir.path(), "excel.csv", &[&days[..], &["--format", "csv-excel-vi"]].concat()));
    let xlsx = read(&export(dir.path(), "days.xlsx", &days));
    // Fifty hours from midnight UTC touch three days of a clock at +07:00.
    assert_eq!(csv["rows"].as_array().unwrap().len(), 3, "{csv}");
    assert_eq!(csv["titles"][0], "from (Asia/Ho_Chi_Minh)");
    assert_eq!(csv["titles"][2], "bench-00000/air_temperature mean (°C)");
    for other in [&excel, &xlsx] {
        assert_eq!(csv["titles"], other["titles"]);
        assert_eq!(csv["rows"], other["rows"]);
    }
    assert_eq!(excel["marks"], serde_json::json!({ "bom": true, "separator": ";" }));
    assert_eq!(xlsx["cells"], serde_json::json!(["date", "date", "number", "number"]));
    assert_eq!(csv["rows"][0][0], "2026-02-01 00:00:00");
}

#[test]
fn parquet_has_types_and_units() {
    let dir = tempfile::tempdir().unwrap();
    history(dir.path(), 3_000);
    let device = ["--device", "bench-00000", "--metric", "soil_moisture"];
    let csv = read(&export(dir.path(), "moisture.csv", &[&device[..], &["--format", "csv"]].concat()));
    let parquet = read(&export(dir.path(), "moisture.parquet", &device));
    assert_eq!(
        parquet["titles"],
        serde_json::json!(["time", "device", "metric", "unit", "value", "quality"])
    );
    assert_eq!(parquet["rows"].as_array().unwrap().len(), 3_000);
    assert_eq!(csv["rows"], parquet["rows"]);
    assert_eq!(parquet["types"]["time"], "timestamp[ms, tz=UTC]");
    assert_eq!(parquet["types"]["value"], "double");
    assert_eq!(parquet["facts"]["giot.time_zone"], "UTC");
}

#[test]
fn a_million_readings_need_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    history(dir.path(), 250_000);
    let python = std::env::var("GIOT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/peak_memory.py");
    let file = dir.path().join("all.csv");
    let out = Command::new(python)
        .arg(script)
        .arg(giot::program())
        .args(["export", "--all", "--format", "csv", "--data"])
        .arg(dir.path())
        .arg("--out")
        .arg(&file)
        .output()
        .expect("python3 is installed");
    assert!(out.status.success(), "{}", text(&out.stderr));
    let peak_mib: f64 = text(&out.stdout).trim().parse().unwrap();
    let n_rows = std::fs::read(&file).unwrap().iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(n_rows, 1_000_001);
    assert!(peak_mib < 64.0, "{peak_mib} MiB");
}

#[test]
fn the_api_answers_several_series_and_names_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    history(dir.path(), 3_000);
    let gateway = Giot::serve(dir.path(), &["--anonymous"]);
    let get = |path: &str| {
        let url = format!("http://{}/api/v1/history/{path}", gateway.http);
        let out = Command::new("python3").args(["-c", GET, &url]).output().expect("python3 is installed");
        assert!(out.status.success(), "{}", text(&out.stderr));
        let answer: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        answer
    };
    let from_ms = chrono_ms(FROM);
    let range = format!("from={from_ms}&to={}", from_ms + 3_000 * 60_000);
    let both = "series=bench-00000/soil_moisture,bench-00000/battery";
    let spans = get(&format!("spans?{both}&{range}&bucket=1d&tz=%2B07:00"));
    assert_eq!(spans["body"]["time_zone"], "+07:00");
    let rows = spans["body"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    let n = |row: usize, series: usize| rows[row][1][series][4].as_u64().unwrap();
    assert_eq!((n(0, 0), n(1, 0), n(2, 0), n(1, 1)), (17 * 60, 24 * 60, 9 * 60, 24 * 60));
    let chart = get(&format!("chart?{both}&{range}&points=100"));
    let points = chart["body"]["series"][0]["points"].as_array().unwrap();
    assert!(points.len() <= 100 && points.len() > 50, "{}", points.len());
    assert_eq!(chart["body"]["series"][0]["n"], 3_000);
    let export = get(&format!("export?{both}&{range}&bucket=1h&format=csv"));
    assert_eq!(export["disposition"], "attachment; filename=\"giot-history.csv\"");
    let text = export["body"].as_str().unwrap();
    assert_eq!(text.lines().count(), 51);
    for (question, field) in [
        (format!("chart?series=bench-00000/none&{range}"), "series"),
        (format!("chart?series=none&{range}"), "series"),
        (format!("chart?{both}&from=5&to=5"), "from"),
        (format!("chart?{both}&{range}&points=5"), "points"),
        (format!("spans?{both}&{range}&bucket=2x"), "bucket"),
        (format!("spans?{both}&from=0&to={from_ms}&bucket=1min"), "bucket"),
        (format!("spans?{both}&{range}&bucket=1h&tz=Saigon"), "tz"),
        (format!("export?{both}&{range}&format=xls"), "format"),
    ] {
        let refused = get(&question);
        assert_eq!(
            (&refused["status"], &refused["body"]["field"]),
            (&400.into(), &field.into()),
            "{refused}"
        );
        assert_eq!(refused["kind"], "application/problem+json");
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

fn chrono_ms(text: &str) -> i64 {
    assert_eq!(text, FROM);
    1_769_904_000_000
}

/// Prints status, type and body of an address.
const GET: &str = "
import json, sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen(sys.argv[1])
except urllib.error.HTTPError as error:
    answer = error
text, kind = answer.read().decode('utf-8'), answer.headers['content-type']
body = json.loads(text) if 'json' in kind else text
print(json.dumps({'status': answer.status, 'kind': kind, 'disposition': answer.headers['content-disposition'], 'body': body}))
";
