//! The history's file under an operator's hands: what `giot store` says, beside a running gateway and without one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail the test"
)]

use giot_tests::giot::{Giot, get, run, text};
use std::path::Path;
use std::process::Output;

/// Runs a command on a data folder and expects an exit code.
fn giot(data: &Path, args: &[&str], code: i32) -> Output {
    let data = data.to_str().expect("a plain path");
    let out = run(&[args, &["--data", data]].concat());
    assert_eq!(out.status.code(), Some(code), "{args:?}: {}{}", text(&out.stdout), text(&out.stderr));
    out
}

#[test]
fn stats_and_check_read_beside_a_gateway_and_compact_waits_for_its_end() {
    let dir = tempfile::tempdir().expect("a folder");
    for args in [["store", "stats"], ["store", "check"], ["store", "compact"]] {
        let out = giot(dir.path(), &args, 1);
        assert!(text(&out.stderr).contains("no store"), "{}", text(&out.stderr));
    }
    assert!(!dir.path().join("giot.sqlite").exists(), "looking makes nothing");
    let gateway = Giot::serve(dir.path(), &["--anonymous"]);
    let stats = giot(dir.path(), &["store", "stats", "--json"], 0);
    assert!(text(&stats.stdout).contains("\"bytes_per_sample\""), "{}", text(&stats.stdout));
    let check = giot(dir.path(), &["store", "check"], 0);
    assert!(text(&check.stdout).starts_with("ok"), "{}", text(&check.stdout));
    for args in [["store", "compact"], ["store", "repair"]] {
        let out = giot(dir.path(), &args, 3);
        assert!(text(&out.stderr).contains("in use"), "{}", text(&out.stderr));
    }
    assert_eq!(gateway.stop().code(), Some(0));
    giot(dir.path(), &["store", "compact"], 0);
    let repair = giot(dir.path(), &["store", "repair"], 0);
    assert!(text(&repair.stdout).contains("nothing is damaged"), "{}", text(&repair.stdout));
}

#[test]
fn a_backup_of_a_running_gateway_comes_back_and_is_not_written_over() {
    let dir = tempfile::tempdir().expect("a folder");
    let other = tempfile::tempdir().expect("a folder");
    let file = other.path().join("copy.sqlite");
    let file = file.to_str().expect("a plain path");
    let gateway = Giot::serve(dir.path(), &["--anonymous"]);
    giot(dir.path(), &["backup", file], 0);
    let again = giot(dir.path(), &["backup", file], 2);
    assert!(text(&again.stderr).contains("exists already"), "{}", text(&again.stderr));
    let in_folder = giot(dir.path(), &["backup", other.path().to_str().expect("a plain path"), "--json"], 0);
    assert!(text(&in_folder.stdout).contains("\"sha256\""), "{}", text(&in_folder.stdout));
    giot(dir.path(), &["restore", "--force", file], 3);
    assert_eq!(gateway.stop().code(), Some(0));
    let refused = giot(dir.path(), &["restore", file], 2);
    assert!(text(&refused.stderr).contains("--force"), "{}", text(&refused.stderr));
    let forced = giot(dir.path(), &["restore", "--force", file], 0);
    assert!(text(&forced.stdout).contains("giot-replaced-"), "{}", text(&forced.stdout));
    giot(dir.path(), &["store", "check"], 0);
    giot(&other.path().join("new"), &["restore", file], 0);
    let gateway = Giot::serve(&other.path().join("new"), &["--anonymous"]);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_gateway_starts_on_a_store_whose_first_page_is_bad_and_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let csv = dir.path().join("n01.csv");
    std::fs::write(&csv, "time,device,metric,value\n2026-03-01T06:00:00Z,n01,soil_moisture,23.5\n")
        .expect("a file");
    giot(dir.path(), &["import", "csv", csv.to_str().expect("a plain path")], 0);
    let file = dir.path().join("giot.sqlite");
    let mut bytes = std::fs::read(&file).expect("the store");
    bytes[..4_096].fill(0x5a);
    std::fs::write(&file, &bytes).expect("a spoiled store");
    let doctor = giot(dir.path(), &["doctor"], 1);
    assert!(text(&doctor.stdout).contains("giot store repair"), "{}", text(&doctor.stdout));
    let gateway = Giot::serve(dir.path(), &["--anonymous"]);
    let mended = get(&gateway.http, "/api/v1/store")["mended"].clone();
    let file = mended["file"].as_str().expect("a file").to_owned();
    assert!(file.starts_with("giot-damaged-") && dir.path().join(&file).exists(), "{mended}");
    assert_eq!(
        mended["lost"].as_u64(),
        mended["parts"].as_array().map(|parts| parts.len() as u64),
        "{mended}"
    );
    assert_eq!(gateway.stop().code(), Some(0));
    let export = giot(dir.path(), &["export", "--device", "n01", "--metric", "soil_moisture"], 0);
    assert!(text(&export.stdout).contains("2026-03-01T06:00:00Z,23.5,good"), "{}", text(&export.stdout));
    let names =
        || std::fs::read_dir(dir.path()).expect("the folder").map(|entry| entry.expect("an entry").path());
    let kept =
        names().find(|path| path.to_string_lossy().contains("giot-damaged-")).expect("the damaged file");
    assert!(std::fs::read(&kept).expect("the damaged file") == bytes, "kept as it was");
    let doctor = giot(dir.path(), &["doctor"], 1);
    assert!(text(&doctor.stdout).contains("damaged and mended on"), "{}", text(&doctor.stdout));
    std::fs::remove_file(kept).expect("taken away");
    let doctor = giot(dir.path(), &["doctor"], 0);
    assert!(text(&doctor.stdout).contains("ok    store: mended on"), "{}", text(&doctor.stdout));
    let gateway = Giot::serve(dir.path(), &["--anonymous"]);
    let mended = get(&gateway.http, "/api/v1/store")["mended"].clone();
    assert!(mended["at"].is_number() && mended["file"].is_null(), "{mended}");
}

#[test]
fn the_bench_of_ingest_finds_all_that_was_acknowledged() {
    let args = ["bench", "ingest", "--connections", "4", "--in-flight", "4", "--seconds", "1", "--json"];
    let out = run(&args);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let out = text(&out.stdout);
    let line: serde_json::Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
    for server in ["gateway", "floor", "mosquitto"] {
        let figures = &line[server];
        let number = |key: &str| figures[key].as_f64().expect(key);
        assert!(number("messages") >= 16.0 + 100.0 && number("msgs_per_s") > 0.0, "{line}");
        assert!(number("flood_p50_ms") <= number("flood_p99_ms") && number("first_stored_s") > 0.0, "{line}");
    }
    assert!(line["ratio_msgs_per_s_mosquitto"].as_f64().expect("a ratio") > 0.0, "{line}");
    assert!(line["bytes_per_reading_compact"].as_f64().expect("bytes") > 0.0, "{line}");
}
