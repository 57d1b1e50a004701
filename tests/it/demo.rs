//! The demo as a visitor sees it: within two minutes a zone gets dry, is watered by the engine, gets wet and stops, the
//! page's live events tell it, and the diary has the reasons and the litres.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

use giot_tests::giot::{self, Giot, wait_for};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

/// What the demo promises.
const PROMISED: Duration = Duration::from_secs(120);

/// One server-sent event.
struct Event {
    name: String,
    data: Value,
}

/// Reads `/api/v1/events` until the demo ends.
fn events(http: &str) -> mpsc::Receiver<Event> {
    let mut socket = TcpStream::connect(http).unwrap();
    write!(socket, "GET /api/v1/events HTTP/1.1\r\nHost: {http}\r\nAccept: text/event-stream\r\n\r\n")
        .unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut name = String::new();
        // Chunk sizes stand on lines of their own, which are no fields of an event.
        for line in BufReader::new(socket).lines().map_while(Result::ok) {
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data = serde_json::from_str(data).expect("an event is one line of JSON");
                if sender.send(Event { name: std::mem::take(&mut name), data }).is_err() {
                    return;
                }
            }
        }
    });
    receiver
}

/// The diary of a zone since `from`, oldest first: before the demo began stands a past that was made up.
fn diary(http: &str, zone: &str, from: i64) -> Vec<Value> {
    let answer = giot::get(http, &format!("/api/v1/diary?zone={zone}&limit=200"));
    let mut entries = answer["entries"].as_array().unwrap().clone();
    entries.retain(|entry| entry["at"].as_i64().is_some_and(|at| at >= from));
    entries.reverse();
    entries
}

/// The first whole automatic run among a zone's entries: started, confirmed, stopped.
fn whole_run(entries: &[Value]) -> Option<[Value; 3]> {
    let is = |entry: &Value, event: &str| entry["event"] == event;
    let start = entries.iter().position(|entry| {
        is(entry, "started") && entry["by"] == "engine" && entry["reason"]["code"] == "soil_dry"
    })?;
    let confirm = start + entries[start..].iter().position(|entry| is(entry, "confirmed"))?;
    let stop = confirm + entries[confirm..].iter().position(|entry| is(entry, "stopped"))?;
    Some([start, confirm, stop].map(|idx| entries[idx].clone()))
}

#[test]
fn a_zone_gets_dry_is_watered_and_stops_within_two_minutes() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("demo");
    let data = data.to_str().unwrap();
    let demo = Giot::start(&["demo", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--data", data]);
    let live = events(&demo.http);
    let first = giot::get(&demo.http, "/api/v1/overview");
    assert_eq!(first["demo"]["speed"], 60);
    let began = first["now"].as_i64().unwrap();
    let zones: Vec<String> = first["zones"]
        .as_array()
        .unwrap()
        .iter()
        .map(|zone| zone["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(zones.len(), 6);
    let (mut n_overviews, mut n_diary) = (0, 0);
    // What the page showed of each zone while it said "open": the entries' numbers are compared with it below.
    let mut shown_open: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let (zone, [started, confirmed, stopped]) = wait_for("a whole run", PROMISED, || {
        while let Ok(event) = live.try_recv() {
            n_overviews += u32::from(event.name == "overview");
            n_diary += u32::from(event.name == "diary");
            if event.name != "overview" {
                continue;
            }
            for zone in event.data["zones"].as_array().unwrap() {
                if zone["state"] == "open" {
                    assert!(zone["until"].as_i64().unwrap() >= event.data["now"].as_i64().unwrap() - 60_000);
                    let seen = shown_open.entry(zone["id"].as_str().unwrap().to_owned()).or_default();
                    seen.extend(zone["moisture"].as_f64());
                }
            }
        }
        // The page was told of it as it happened: start, confirmation and stop. Events may come a moment after the entry is there.
        if n_overviews < 5 || n_diary < 3 {
            return None;
        }
        zones.iter().find_map(|zone| Some((zone.clone(), whole_run(&diary(&demo.http, zone, began))?)))
    });
    let at = |entry: &Value| entry["at"].as_i64().unwrap();
    assert!(at(&started) <= at(&confirmed) && at(&confirmed) < at(&stopped));
    let (dry, below) = (&started["reason"]["args"]["moisture"], &started["reason"]["args"]["start_below"]);
    assert!(dry.as_f64().unwrap() < below.as_f64().unwrap(), "{started}");
    let why = stopped["reason"]["code"].as_str().unwrap();
    assert!(["soil_wet", "run_time_reached"].contains(&why), "{stopped}");
    let (litres, run_s) = (stopped["litres"].as_f64().unwrap(), stopped["run_s"].as_f64().unwrap());
    assert!(litres > 0.0 && run_s > 0.0, "{stopped}");
    let span_s = f64::from(i32::try_from(at(&stopped) - at(&confirmed)).unwrap()) / 1000.0;
    assert!((run_s - span_s).abs() < 300.0, "ran {run_s} s, the diary's times say {span_s} s");
    let seen = shown_open.get(&zone).expect("the page showed the valve open meanwhile");
    let wettest = seen.iter().copied().fold(0.0, f64::max);
    assert!(wettest > dry.as_f64().unwrap() + 1.0, "from {dry} to {wettest} %");
    let history = giot::get(
        &demo.http,
        &format!("/api/v1/zones/{zone}/history?from={}&to={}", at(&started) - 600_000, at(&stopped) + 60_000),
    );
    let run = history["runs"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(run["reason"]["code"], "soil_dry", "{run}");
    assert_eq!(
        run["litres"].as_f64().map(f64::to_bits),
        Some(litres.to_bits()),
        "the chart and the diary agree"
    );
    assert_eq!(demo.stop().code(), Some(0));
}
