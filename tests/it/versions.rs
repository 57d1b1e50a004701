//! The farm is changed while it runs: what did not change goes on, what is gone is closed first, who changed what is kept.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

use crate::farm::{Farm, ZONE};
use giot_shared::wire::ResetCause;
use giot_store::{DiaryProof, Reader};
use giot_tests::giot::{self, Giot, text, wait_for};
use giot_tests::node::PATIENCE;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

const FARM: &str = "/api/v1/farm";

fn read(http: &str) -> (u64, String) {
    let farm = giot::get(http, FARM);
    (farm["version"].as_u64().unwrap(), farm["text"].as_str().unwrap().to_owned())
}

fn save(http: &str, version: u64, text: &str, note: &str) -> (u16, Value) {
    post(http, &json!({ "text": text, "version": version, "note": note }))
}

fn post(http: &str, body: &Value) -> (u16, Value) {
    let (status, answer) = giot::request(http, "POST", FARM, Some(&body.to_string()));
    (status, serde_json::from_str(&answer).unwrap_or_default())
}

/// Saves a farm without zones, and says that this is meant.
fn save_without_zones(http: &str, version: u64, note: &str) -> (u16, Value) {
    let text = "[[source]]\nid = \"pump-1\"\n";
    post(http, &json!({ "text": text, "version": version, "note": note, "remove_all": true }))
}

fn until_in_force(http: &str, version: u64) {
    wait_for("the version in force", PATIENCE, || {
        (giot::get(http, FARM)["in_force"].as_u64() == Some(version)).then_some(())
    });
}

/// Reasons of the diary, oldest first, once one of them is there so many times: pages know a little before the diary does.
fn until_told(farm: &Farm, reason: &str, n_times: usize) -> Vec<String> {
    wait_for("the diary to tell it", PATIENCE, || {
        let reasons: Vec<String> = farm.diary().into_iter().map(|row| row.entry.reason).collect();
        (reasons.iter().filter(|told| *told == reason).count() >= n_times).then_some(reasons)
    })
}

/// The farm of a gateway once it says that a zone is waited for.
fn until_awaited(http: &str, zone: &str) -> Value {
    wait_for("a zone to be waited for", PATIENCE, || {
        Some(giot::get(http, FARM)).filter(|farm| farm["awaited_zones"] == json!([zone]))
    })
}

/// What `giot farm log` says once the newest version is in force on the disk too.
fn until_logged(data: &Path, version: u64) -> String {
    wait_for("the version in force in the store", PATIENCE, || {
        let (_, log) = command(data, &["log"]);
        let newest = log.lines().next().unwrap_or_default();
        (newest.starts_with(&format!("{version}  ")) && newest.contains("in force since")).then_some(log)
    })
}

/// Runs `giot farm …` on a data folder; what it prints, and whether it went well.
fn command(data: &Path, args: &[&str]) -> (bool, String) {
    let mut all = vec!["farm", args[0], "--data", data.to_str().unwrap()];
    all.extend(&args[1..]);
    let out = giot::run(&all);
    (out.status.success(), text(&out.stdout) + &text(&out.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_did_not_change_goes_on() {
    let farm = Farm::new("lease_min = 2\nautomatic = false");
    let mut node = farm.kit().boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    farm.start_run(5.0);
    let (http, moves) = (farm.gateway().http.clone(), node.moves());
    let (version, text) = read(&http);
    assert_eq!(version, 1, "the file of the first start");
    let more = text.replace("stop_above_percent = 30", "stop_above_percent = 33")
        + "\n[[zone]]\nid = \"b\"\nname = \"Nhãn\"\nsource = \"pump-1\"\nvalve = { node = \"v02\" }\n\
           probes = [{ device = \"v02\", metric = \"soil_moisture\" }]\nstart_below_percent = 20\nstop_above_percent = 30\n";
    let (status, answer) = save(&http, 1, &more, "a second zone");
    assert_eq!((status, &answer["version"]), (200, &json!(2)), "{answer}");
    until_in_force(&http, 2);
    let zones = giot::get(&http, "/api/v1/overview")["zones"].clone();
    let state = |n: usize| (zones[n]["id"].clone(), zones[n]["state"].clone());
    assert_eq!(state(0), (json!("b"), json!("unknown")), "a new valve is not believed to be closed");
    assert_eq!(state(1), (json!(ZONE), json!("open")));
    assert_eq!(zones[1]["soil"]["stop"], json!(33.0), "{}", zones[1]);
    assert_eq!(node.moves(), moves, "its valve was not moved");

    let history = giot::get(&http, "/api/v1/farm/versions/2");
    assert_eq!(
        (&history["by"], &history["origin"], &history["note"]),
        (&json!("admin"), &json!("page"), &json!("a second zone"))
    );
    let changed = |what: &str, line: &str| {
        history["diff"].as_array().unwrap().iter().any(|l| l["change"] == what && l["text"] == line)
    };
    assert!(
        changed("removed", "stop_above_percent = 30") && changed("added", "stop_above_percent = 33"),
        "{history}"
    );
    let reasons = until_told(&farm, "farm_in_force", 2);
    let tail: Vec<&str> = reasons.iter().rev().take(2).rev().map(String::as_str).collect();
    assert_eq!(tail, ["farm_saved", "farm_in_force"]);
    assert_eq!(farm.post(&format!("zones/{ZONE}/stop"), "").0, 202);
    farm.until_closing(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_is_closed_first() {
    let farm = Farm::new("lease_min = 2\nautomatic = false");
    let mut node = farm.kit().boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    farm.start_run(5.0);
    let http = farm.gateway().http.clone();
    let n_moves = node.moves().len();
    assert_eq!(save_without_zones(&http, 1, "the lot is sold").0, 200);
    assert!(!node.until_move(n_moves, PATIENCE).await.open, "the valve is closed");
    until_in_force(&http, 2);
    farm.until_closing(0);
    assert_eq!(giot::get(&http, "/api/v1/overview")["zones"], json!([]));
    until_told(&farm, "farm_in_force", 2);
    let diary = farm.diary();
    let stopped =
        diary.iter().find(|row| row.entry.event == "stopped").expect("the run has its end").entry.clone();
    assert_eq!((stopped.reason.as_str(), stopped.zone.as_deref()), ("farm_changed", Some(ZONE)));
    assert!(
        stopped.run_ms.unwrap_or(0) > 0 && stopped.run_ms == Some(farm.until_closing(0).run_ms),
        "{stopped:?}"
    );
    let order = |reason: &str| {
        diary.iter().position(|row| row.entry.reason == reason && row.entry.event != "stopping")
    };
    assert!(
        order("farm_saved") < order("farm_changed")
            && order("farm_changed") < diary.iter().rposition(|row| row.entry.reason == "farm_in_force")
    );
    assert!(matches!(farm.reader().verify_diary().unwrap(), DiaryProof::Whole { .. }));
}

/// P3: a gateway that is killed while it waits for a valve to close begins with the version that has this valve.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_a_valve_is_waited_for_forgets_no_valve() {
    let mut farm = Farm::new("lease_min = 2\nautomatic = false");
    {
        let mut node = farm.kit().boot(ResetCause::PowerOn);
        node.until_welcomed().await;
        farm.start_run(5.0);
        // Its power is cut with the valve open.
    }
    let http = farm.gateway().http.clone();
    assert_eq!(save_without_zones(&http, 1, "").0, 200);
    // Whoever is told that it is saved finds at once what it waits for.
    let waits = giot::get(&http, FARM);
    assert_eq!(
        (&waits["version"], &waits["in_force"], &waits["awaited_zones"]),
        (&json!(2), &json!(1), &json!([ZONE]))
    );
    farm.kill();
    farm.restart();
    let http = farm.gateway().http.clone();
    let waits = until_awaited(&http, ZONE);
    assert_eq!(waits["in_force"], json!(1), "{waits}");
    assert_eq!(giot::get(&http, "/api/v1/overview")["zones"][0]["id"], json!(ZONE));
    // Its power is back, its valve closed: that is certain as soon as it says so.
    let mut node = farm.kit().boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    until_in_force(&http, 2);
    assert_eq!(giot::get(&http, "/api/v1/overview")["zones"], json!([]));
}

#[test]
fn what_cannot_be_saved_is_said_with_its_place() {
    let dir = TempDir::with_prefix("giot-farm-").unwrap();
    let gateway = Giot::serve(dir.path(), &["--anonymous"]);
    let http = gateway.http.as_str();
    let wrong = "cooperative = 5\nspeed = 1\n[[zone]]\nid = \"a\"\n";
    let (status, answer) = save(http, 0, wrong, "");
    assert_eq!(status, 422, "{answer}");
    let places: Vec<(u64, u64)> = answer["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| (problem["line"].as_u64().unwrap(), problem["column"].as_u64().unwrap()))
        .collect();
    // A wrong kind, an unknown key, three keys that the zone lacks, and its thresholds.
    assert_eq!(places, [(1, 15), (2, 1), (3, 1), (3, 1), (3, 1), (4, 6)], "{answer}");
    let has_field = |problem: &Value| problem["field"].as_str().is_some_and(|field| !field.is_empty());
    assert!(answer["problems"].as_array().unwrap().iter().all(has_field), "{answer}");
    assert_eq!(giot::get(http, FARM)["version"], 0, "nothing was kept");

    let rules = "[[source]]\nid = \"s\"\n[[zone]]\nid = \"a\"\nsource = \"t\"\nvalve = { node = \"v\" }\nprobes = []\n\
                 start_below_percent = 30\nstop_above_percent = 20\n";
    let body = json!({ "text": rules }).to_string();
    let (status, answer) = giot::request(http, "POST", "/api/v1/farm/check", Some(&body));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(status, 200, "{answer}");
    assert!(answer["problems"].as_array().unwrap().len() >= 3, "every broken rule at once: {answer}");
    assert_eq!(answer["diff"].as_array().unwrap().len(), rules.lines().count());

    let (status, answer) = save(http, 0, "[broker]\nhost = \"example.vn\"\n", "");
    assert_eq!(
        (status, &answer["code"], &answer["args"]["keys"]),
        (409, &json!("farm_needs_restart"), &json!("broker"))
    );
    assert_eq!(save(http, 0, "cooperative = \"Na Sản\"\n", "").0, 200);
    let (status, answer) = save(http, 0, "cooperative = \"Mai Sơn\"\n", "");
    assert_eq!(
        (status, &answer["code"], &answer["args"]["version"]),
        (409, &json!("farm_conflict"), &json!(1))
    );
    let (status, answer) = save(http, 2, "cooperative = \"Mai Sơn\"\n", "");
    assert_eq!((status, &answer["code"]), (409, &json!("farm_conflict")), "of a version that is yet to come");
    let (status, answer) = save(http, 1, "", &"x".repeat(201));
    assert_eq!((status, &answer["field"]), (400, &json!("note")));
    let (status, _) = save(http, 1, &format!("# {}", "x".repeat(600 * 1024)), "");
    assert_eq!(status, 422, "too long");
    assert_eq!(giot::request(http, "GET", "/api/v1/farm/versions/9", None).0, 404);
}

#[test]
fn what_says_the_same_makes_no_version() {
    let dir = TempDir::with_prefix("giot-farm-").unwrap();
    let gateway = Giot::serve(dir.path(), &["--anonymous"]);
    let http = gateway.http.as_str();
    let text = "cooperative = \"Nà Sản\"\n";
    let (status, answer) = save(http, 0, text, "");
    assert_eq!(
        (status, &answer),
        (200, &json!({ "version": 1, "unchanged": false, "zones_removed": [], "programs_removed": [] }))
    );
    let (status, answer) = save(http, 1, text, "again");
    assert_eq!(
        (status, &answer),
        (200, &json!({ "version": 1, "unchanged": true, "zones_removed": [], "programs_removed": [] }))
    );
    let (status, answer) = save(http, 0, text, "again");
    assert_eq!((status, &answer["code"]), (409, &json!("farm_conflict")), "an old draft is an old draft");
    let versions = giot::get(http, "/api/v1/farm/versions");
    assert_eq!(versions["versions"].as_array().map(Vec::len), Some(1), "{versions}");
}

const TWO_ZONES: &str = "[[source]]\nid = \"s\"\n\
    [[zone]]\nid = \"a\"\nsource = \"s\"\nvalve = { node = \"v\", valve = 0 }\nautomatic = false\n\
    [[zone]]\nid = \"b\"\nsource = \"s\"\nvalve = { node = \"v\", valve = 1 }\nautomatic = false\n\
    [[program]]\nid = \"p\"\nstarts = [\"06:00\"]\nsteps = [{ zone = \"b\", minutes = 5 }]\n";

#[test]
fn a_whole_farm_is_taken_away_only_where_somebody_says_so() {
    let dir = TempDir::with_prefix("giot-farm-").unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("farm.toml"));
    let name = file.to_str().unwrap();
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write(TWO_ZONES);
    let (good, said) = command(&data, &["import", name]);
    assert!(good, "{said}");
    write("");
    let (good, said) = command(&data, &["import", name]);
    assert!(!good && said.contains("zones a, b; programs p") && said.contains("--remove-all"), "{said}");

    let gateway = Giot::serve(&data, &["--anonymous"]);
    let http = ["--http", gateway.http.as_str()];
    let (good, said) = command(&data, &["import", name, http[0], http[1]]);
    assert!(!good && said.contains("zones a, b; programs p") && said.contains("--remove-all"), "{said}");
    let (status, answer) = save(&gateway.http, 1, "", "");
    assert_eq!(
        (status, &answer["code"], &answer["field"]),
        (409, &json!("farm_removes_all"), &json!("remove_all")),
        "{answer}"
    );
    assert_eq!(read(&gateway.http).0, 1, "nothing was saved");
    // A file that was emptied meanwhile does not end the watering at the next start.
    assert!(gateway.stop().success());
    let gateway = Giot::serve(&data, &["--anonymous", "--config", name]);
    let http = ["--http", gateway.http.as_str()];
    assert_eq!(read(&gateway.http), (1, TWO_ZONES.to_owned()));
    // A part of it goes with a word.
    let cut = TWO_ZONES.find("[[zone]]\nid = \"b\"").unwrap();
    write(&TWO_ZONES[..cut]);
    let (good, said) = command(&data, &["import", name, http[0], http[1]]);
    assert!(good && said.contains("taken away: zones b; programs p"), "{said}");
    // The gateway's problems are told as the command's own: all of them, with their lines.
    let (status, answer) = save(&gateway.http, 2, "x = 1\ny = 2\n", "");
    assert_eq!((status, answer["problems"].as_array().map(Vec::len)), (422, Some(2)), "{answer}");
    write("");
    let (good, said) = command(&data, &["import", name, "--remove-all", http[0], http[1]]);
    assert!(good && said.contains("taken away: zones a"), "{said}");
}

#[test]
fn of_many_who_save_at_once_one_is_taken() {
    let dir = TempDir::with_prefix("giot-farm-").unwrap();
    let gateway = Giot::serve(dir.path(), &["--anonymous"]);
    let http = gateway.http.as_str();
    for version in 0..3 {
        let texts: Vec<String> = (0..6).map(|n| format!("cooperative = \"{version} of {n}\"\n")).collect();
        let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
            let saves: Vec<_> =
                texts.iter().map(|text| scope.spawn(move || save(http, version, text, ""))).collect();
            saves.into_iter().map(|save| save.join().unwrap()).collect()
        });
        let taken: Vec<usize> = (0..6).filter(|n| answers[*n].0 == 200).collect();
        assert_eq!(taken.len(), 1, "{answers:?}");
        assert!(
            answers.iter().all(|(status, answer)| *status == 200 || answer["code"] == "farm_conflict"),
            "{answers:?}"
        );
        assert_eq!(read(http), (version + 1, texts[taken[0]].clone()), "what was taken is what is kept");
    }
}

#[test]
fn nobody_reads_or_saves_the_farm_without_signing_in() {
    let dir = TempDir::with_prefix("giot-farm-").unwrap();
    let gateway = Giot::serve(dir.path(), &[]);
    for (method, path) in
        [("GET", FARM), ("POST", FARM), ("POST", "/api/v1/farm/check"), ("GET", "/api/v1/farm/versions")]
    {
        let body = (method == "POST").then_some("{\"text\":\"\",\"version\":0}");
        assert_eq!(giot::request(&gateway.http, method, path, body).0, 401, "{method} {path}");
    }
}

#[test]
fn tokens_are_not_shown_and_not_lost() {
    let dir = TempDir::with_prefix("giot-farm-").unwrap();
    let file = dir.path().join("farm.toml");
    let farm =
        "[[sink]]\nname = \"tinh\"\nurl = \"http://127.0.0.1:9\"\nbucket = \"b\"\ntoken = \"s3cret\"\n";
    std::fs::write(&file, farm).unwrap();
    let data = dir.path().join("data");
    let gateway = Giot::serve(&data, &["--anonymous", "--config", file.to_str().unwrap()]);
    let (version, shown) = read(&gateway.http);
    assert!(shown.contains("token = \"***\"") && !shown.contains("s3cret"), "{shown}");
    let (status, answer) = save(&gateway.http, version, &format!("cooperative = \"Na Sản\"\n{shown}"), "");
    assert_eq!(status, 200, "{answer}");
    for path in
        [FARM, "/api/v1/farm/versions", "/api/v1/farm/versions/2", "/api/v1/farm/versions/1?against=2"]
    {
        assert!(!giot::request(&gateway.http, "GET", path, None).1.contains("s3cret"), "{path}");
    }
    // Another token is another sink: not while the gateway runs.
    let (status, answer) = save(&gateway.http, 2, &farm.replace("s3cret", "other"), "");
    assert_eq!((status, &answer["code"]), (409, &json!("farm_needs_restart")), "{answer}");
    assert!(gateway.stop().success());
    let gateway = Giot::serve(&data, &["--anonymous", "--config", file.to_str().unwrap()]);
    assert_eq!(read(&gateway.http).0, 2, "the file says nothing new");
    assert!(gateway.stop().success());

    let (good, text) = command(&data, &["export"]);
    assert!(good && text.contains("cooperative = \"Na Sản\"") && text.contains("token = \"***\""), "{text}");
    for args in [&["log"][..], &["show", "1"], &["diff", "1", "--file", file.to_str().unwrap()]] {
        assert!(!command(&data, args).1.contains("s3cret"), "{args:?}");
    }
    // What was exported means what it was made from, where the token is known; elsewhere it is asked for.
    std::fs::write(&file, &text).unwrap();
    let (good, said) = command(&data, &["import", file.to_str().unwrap()]);
    assert!(good && said.contains("nothing new"), "{said}");
    let (good, said) = command(&dir.path().join("other"), &["import", file.to_str().unwrap()]);
    assert!(!good && said.contains("farm.toml:6: ") && said.contains("tinh"), "{said}");
    let reader = Reader::open(&data).unwrap();
    assert_eq!(reader.farm_secrets().unwrap().get("tinh").map(String::as_str), Some("s3cret"));
}

#[test]
fn a_file_that_nobody_touched_does_not_undo_what_was_saved() {
    let dir = TempDir::with_prefix("giot-farm-").unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("farm.toml"));
    let config = ["--anonymous", "--config", file.to_str().unwrap()];
    std::fs::write(&file, "cooperative = \"one\"\n").unwrap();
    let gateway = Giot::serve(&data, &config);
    assert_eq!(save(&gateway.http, 1, "cooperative = \"two\"\n", "").0, 200);
    assert!(gateway.stop().success());

    let gateway = Giot::serve(&data, &config);
    assert_eq!(read(&gateway.http), (2, "cooperative = \"two\"\n".to_owned()), "the file is as it was");
    assert_eq!(giot::get(&gateway.http, "/api/v1/overview")["cooperative"], json!("two"));
    assert!(gateway.stop().success());

    std::fs::write(&file, "cooperative = \"three\"\n").unwrap();
    let doctor = giot::run(&["doctor", "--data", data.to_str().unwrap(), "--config", file.to_str().unwrap()]);
    let said = text(&doctor.stdout);
    assert!(said.contains("version 2 is in force") && said.contains("giot serve takes it in"), "{said}");
    let gateway = Giot::serve(&data, &config);
    assert_eq!(read(&gateway.http), (3, "cooperative = \"three\"\n".to_owned()));
    assert!(gateway.stop().success());

    let gateway = Giot::serve(&data, &["--anonymous"]);
    assert_eq!(read(&gateway.http).0, 3, "without a file the newest");
    let versions = giot::get(&gateway.http, "/api/v1/farm/versions")["versions"].clone();
    let of = |n: usize| (versions[n]["version"].clone(), versions[n]["origin"].clone());
    assert_eq!(
        (of(0), of(1), of(2)),
        ((json!(3), json!("file")), (json!(2), json!("page")), (json!(1), json!("file")))
    );
}

#[test]
fn the_command_line_works_beside_a_gateway_and_without_one() {
    let dir = TempDir::with_prefix("giot-farm-").unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("farm.toml"));
    let name = file.to_str().unwrap();
    std::fs::write(&file, "cooperative = \"one\"\nspeed = 1\n").unwrap();
    let (good, said) = command(&data, &["import", name]);
    assert!(!good && said.contains("farm.toml:2: ") && said.contains("speed"), "{said}");
    std::fs::write(&file, "cooperative = \"one\"\n").unwrap();
    let (good, said) = command(&data, &["import", name, "--note", "first"]);
    assert!(good && said.contains("version 1 is kept"), "{said}");
    let (good, said) = command(&data, &["import", name]);
    assert!(good && said.contains("nothing new"), "{said}");

    let gateway = Giot::serve(&data, &["--anonymous"]);
    let http = ["--http", gateway.http.as_str()];
    std::fs::write(&file, "cooperative = \"two\"\n").unwrap();
    let (good, said) = command(&data, &["import", name, "--dry-run"]);
    assert!(
        good && said.contains("- cooperative = \"one\"") && said.contains("nothing was changed"),
        "{said}"
    );
    let (good, said) = command(&data, &["import", name, "--note", "second", http[0], http[1]]);
    assert!(good && said.contains("version 2 is in force"), "{said}");
    let (good, said) = command(&data, &["restore", "1", http[0], http[1]]);
    assert!(good && said.contains("version 3 is in force"), "{said}");
    let log = until_logged(&data, 3);
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(
        lines[0].starts_with("3  ")
            && lines[0].contains("admin")
            && lines[0].contains("in force since")
            && lines[0].contains("version 1 again"),
        "{log}"
    );
    assert!(
        lines[1].contains("was in force from") && lines[1].contains("+1 -1") && lines[1].contains("second"),
        "{log}"
    );
    assert!(lines[2].contains("first"), "{log}");
    let (_, diff) = command(&data, &["diff", "1", "2"]);
    assert_eq!(diff, "    1 - cooperative = \"one\"\n    1 + cooperative = \"two\"\n");
    let (_, show) = command(&data, &["show", "2"]);
    assert!(show.contains("second") && show.ends_with(&diff), "{show}");
    let (_, same) = command(&data, &["diff", "1", "3"]);
    assert_eq!(same, "");
    assert_eq!(command(&data, &["export", "2"]), (true, "cooperative = \"two\"\n".to_owned()));
    let (good, said) = command(&data, &["show", "9"]);
    assert!(!good && said.contains("giot farm log"), "{said}");
}
