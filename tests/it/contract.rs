//! The contract that others script against: ready line, exit codes, export while serving, JSON keys as metrics.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail the test"
)]

use giot_tests::giot::{self, Giot, run, text};
use std::process::Command;
use std::time::Duration;

fn publish(mqtt: &str, topic: &str, payload: &str) {
    let (host, port) = mqtt.rsplit_once(':').expect("host:port");
    let status = Command::new("mosquitto_pub")
        .args(["-h", host, "-p", port, "-q", "1", "-t", topic, "-m", payload])
        .status()
        .expect("mosquitto_pub is installed");
    assert!(status.success(), "{topic} {payload}");
}

#[test]
fn serve_takes_json_and_export_reads_it_meanwhile() {
    let dir = tempfile::tempdir().expect("a folder");
    let gateway = Giot::serve(dir.path(), &["--anonymous"]);
    publish(&gateway.mqtt, "giot/v1/d1/json", r#"{"ts":1700000000,"soil_moisture":23.4,"battery":3.71}"#);
    publish(&gateway.mqtt, "giot/v1/d1/json", r#"{"ts":1700000060000,"soil_moisture":23.5,"broken":null}"#);
    // The same again, as a broker may deliver it: once in the history.
    publish(&gateway.mqtt, "giot/v1/d1/json", r#"{"ts":1700000060,"soil_moisture":23.5}"#);
    let rows = giot::export(dir.path(), "d1", "soil_moisture");
    let want = [("2023-11-14T22:13:20Z", "23.4"), ("2023-11-14T22:14:20Z", "23.5")];
    let want: Vec<_> =
        want.map(|(time, value)| (time.to_owned(), value.to_owned(), "good".to_owned())).into();
    assert_eq!(rows, want);
    assert_eq!(
        giot::export(dir.path(), "d1", "broken"),
        [(want[1].0.clone(), String::new(), "missing".to_owned())]
    );
    let data = dir.path().to_str().expect("a plain path");
    let part = run(&[
        "export",
        "--data",
        data,
        "--device",
        "d1",
        "--metric",
        "soil_moisture",
        "--from",
        "2023-11-14T22:14:00Z",
    ]);
    assert_eq!(text(&part.stdout), "time,value,quality\n2023-11-14T22:14:20Z,23.5,good\n");
    assert_eq!(gateway.stop().code(), Some(0), "a clean stop");
    assert_eq!(giot::export(dir.path(), "d1", "battery").len(), 1, "the history outlives the gateway");
}

#[test]
fn exit_codes_tell_whose_fault_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().to_str().expect("a plain path");
    let config = dir.path().join("bad.toml");
    std::fs::write(&config, "[[zone]]\nid = \"A\"\n").expect("write");
    let config = config.to_str().expect("a plain path");
    let check = |args: &[&str], code: i32, says: &str| {
        let out = run(args);
        assert_eq!(out.status.code(), Some(code), "{args:?}: {}", text(&out.stderr));
        assert!(text(&out.stderr).contains(says), "{args:?}: {}", text(&out.stderr));
    };
    check(&["serve", "--nonsense"], 2, "--nonsense");
    check(&["serve", "--data", data, "--config", config], 2, "bad.toml:1");
    check(&["serve", "--data", data, "--http", "0.0.0.0:0", "--anonymous"], 2, "127.0.0.1");
    check(&["export", "--data", data, "--device", "x"], 1, "no store");
    let gateway = Giot::serve(dir.path(), &[]);
    check(&["serve", "--data", data, "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"], 3, "in use");
    check(
        &["serve", "--data", &format!("{data}2"), "--http", &gateway.http, "--mqtt", "127.0.0.1:0"],
        1,
        "bind",
    );
    check(&["export", "--data", data, "--device", "x"], 2, "nothing is stored");
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn help_has_examples_and_the_version_is_told() {
    for command in ["serve", "demo", "replay", "export", "doctor", "node", "store"] {
        let out = run(&["help", command]);
        assert!(out.status.success());
        assert!(text(&out.stdout).contains("Examples:"), "giot help {command}");
    }
    assert!(text(&run(&["--version"]).stdout).starts_with("giot "));
}

#[test]
fn doctor_finds_what_is_wrong() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().to_str().expect("a plain path");
    let empty = run(&["doctor", "--data", data]);
    assert_eq!(empty.status.code(), Some(1), "{}", text(&empty.stdout));
    let gateway = Giot::serve(dir.path(), &[]);
    let good = run(&["doctor", "--data", data]);
    assert!(good.status.success(), "{}", text(&good.stdout));
    assert_eq!(gateway.stop().code(), Some(0));
    let reference = run(&["doctor", "--print-config"]);
    std::fs::write(dir.path().join("giot.toml"), &reference.stdout).expect("write");
    let with_config = run(&["doctor", "--data", data]);
    let printed = text(&with_config.stdout);
    assert!(printed.contains("1 zones on 2 sources"), "{printed}");
    assert!(printed.contains("giot node add v01"), "{printed}");
    assert_eq!(with_config.status.code(), Some(1), "{printed}");
    assert!(!giot::add_node(dir.path(), "v01", "node").key.is_empty());
    let registered = run(&["doctor", "--data", data]);
    assert!(registered.status.success(), "{}", text(&registered.stdout));
}

#[test]
fn a_page_needs_the_secret_and_the_secret_opens_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let gateway = Giot::serve(dir.path(), &[]);
    let (status, body) = giot::request(&gateway.http, "GET", "/api/v1/overview", None);
    assert_eq!(status, 401, "{body}");
    let (status, _) = giot::request(&gateway.http, "POST", "/api/v1/session", Some(r#"{"secret":"guess"}"#));
    assert_eq!(status, 401);
    let secret = std::fs::read_to_string(dir.path().join("admin-secret")).expect("made at the first start");
    let body = format!("{{\"secret\":\"{}\"}}", secret.trim());
    let (status, cookie) = giot::request(&gateway.http, "POST", "/api/v1/session", Some(&body));
    assert_eq!(status, 204);
    let pair =
        cookie.split_once(':').expect("a header").1.split(';').next().expect("a cookie").trim().to_owned();
    let headers = [("Cookie", pair.as_str())];
    let (status, body) = giot::request_with(&gateway.http, "GET", "/api/v1/overview", &headers, None);
    assert_eq!(status, 200, "{body}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(dir.path().join("admin-secret")).expect("metadata").permissions(),
    );
    assert_eq!(mode & 0o077, 0, "nobody else may read it");
}

/// P1: what was acknowledged is on disk, whenever the power goes.
#[test]
fn kill_at_any_moment_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut n_acknowledged = 0_u32;
    for round in 0..5 {
        let gateway = Giot::serve(dir.path(), &["--anonymous"]);
        let (host, port) = gateway.mqtt.rsplit_once(':').expect("host:port");
        let mut publisher = Command::new("mosquitto_pub")
            .args(["-h", host, "-p", port, "-q", "1", "-t", "giot/v1/d1/json", "-l", "-d"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("mosquitto_pub is installed");
        let mut stdin = publisher.stdin.take().expect("a pipe");
        let base = 1_700_000_000 + round * 100_000;
        let writer = std::thread::spawn(move || {
            use std::io::Write;
            for n in 0..20_000 {
                if writeln!(stdin, "{{\"ts\":{},\"n\":{n}}}", base + n).is_err() {
                    break;
                }
            }
        });
        std::thread::sleep(Duration::from_millis(150 + u64::try_from(round).expect("small") * 170));
        gateway.kill();
        // -d prints each PUBACK that came: mosquitto_pub -l sends in order and waits for none, so count them.
        publisher.kill().ok();
        let out = publisher.wait_with_output().expect("its output");
        writer.join().expect("the writer ends");
        let acks = text(&out.stdout).lines().filter(|line| line.contains("received PUBACK")).count();
        if n_acknowledged == 0 && acks == 0 {
            // Killed before the first message: there may be nothing to export.
            continue;
        }
        let rows = {
            let gateway = Giot::serve(dir.path(), &["--anonymous"]);
            let rows = giot::export(dir.path(), "d1", "n");
            assert_eq!(gateway.stop().code(), Some(0));
            rows
        };
        let from = format!("{}", base);
        let mut got: Vec<u32> = Vec::new();
        for (time, value, _) in &rows {
            let at = chrono_seconds(time);
            if at >= from.parse::<i64>().expect("a number") {
                got.push(value.parse().expect("a number"));
            }
        }
        let n_prefix = got.iter().zip(0..).take_while(|(have, want)| **have == *want).count();
        assert!(n_prefix >= acks, "round {round}: {acks} acknowledged, {n_prefix} kept");
        n_acknowledged += u32::try_from(acks).expect("small");
    }
    assert!(n_acknowledged > 0, "the test saw no acknowledgement");
}

/// Seconds since 1970 of a UTC time as the export writes it.
fn chrono_seconds(time: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| time[range].parse::<i64>().expect("digits");
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days from civil, by counting leap days of the years before.
    let (y, m) = if month <= 2 { (year - 1, month + 12) } else { (year, month) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * (m - 3) + 2) / 5 + day - 1 - 719_468;
    days * 86_400 + number(11..13) * 3600 + number(14..16) * 60 + number(17..19)
}
