//! The history's file under an operator's hands: what `giot store` says, beside a running gateway and without one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail the test"
)]

use giot_tests::giot::{Giot, run, text};
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
