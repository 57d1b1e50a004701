//! Programs by the calendar at a real gateway with a real node: the clock starts them, people handle them, a kill forgets
//! nothing of what people set.

use crate::farm::{Farm, ZONE};
use giot_gateway::clock::Clock;
use giot_shared::wire::ResetCause;
use giot_store::DiaryEntry;
use giot_tests::giot::{self, wait_for};
use serde_json::{Value, json};
use std::time::Duration;

/// A zone that only programs water, and the program `dem` that gives it `seconds` at `start`.
fn farm(start: &str, seconds: f64) -> Farm {
    let minutes = seconds / 60.0;
    Farm::new(&format!(
        "lease_min = 0.1\nautomatic = false\n[[program]]\nid = \"dem\"\nname = \"Tưới đêm\"\nstarts = [\"{start}\"]\n\
         steps = [{{ zone = \"{ZONE}\", minutes = {minutes} }}]\n"
    ))
}

fn programs(farm: &Farm) -> Value {
    giot::get(&farm.gateway().http, "/api/v1/programs")
}

/// Who did what and why, as the diary has it.
fn told(farm: &Farm) -> Vec<String> {
    let rows = farm.diary().into_iter().map(|row| row.entry);
    rows.map(|entry| {
        let by = entry.person.map_or(entry.by.clone(), |name| format!("{} {name}", entry.by));
        format!("{} by {by}: {}", entry.event, entry.reason)
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_starts_a_program_and_the_diary_says_so() {
    // The first full minute that surely lies ahead when everything is ready; the farm's time is UTC+7.
    let now_ms = Clock::system(None).wall_unchecked().0;
    let start_ms = (now_ms + 20_000).div_euclid(60_000) * 60_000 + 60_000;
    let minute = (start_ms / 60_000 + 420).rem_euclid(1440);
    let farm = farm(&format!("{:02}:{:02}", minute / 60, minute % 60), 3.0);
    let mut node = farm.kit().boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    // What is not known to be closed holds its pipe in the preview.
    farm.until_idle();
    let next = wait_for("the next start", Duration::from_secs(5), || {
        programs(&farm)["programs"][0]["next_start"].as_i64()
    });
    assert_eq!(next, start_ms);
    let preview = giot::get(&farm.gateway().http, "/api/v1/programs/preview?days=2");
    assert_eq!(preview["starts"][0]["at"], json!(start_ms));
    assert_eq!(preview["starts"][1]["at"], json!(start_ms + 86_400_000));
    assert_eq!(preview["starts"][0]["runs"][0]["until"], json!(start_ms + 3000));

    let stopped = wait_for("the program's run", Duration::from_secs(90), || {
        farm.diary().into_iter().map(|row| row.entry).find(|entry| entry.event == "stopped")
    });
    let started_ms = farm.valve_events()[0].at_us / 1000;
    assert!((start_ms..start_ms + 2000).contains(&started_ms), "{} ms late", started_ms - start_ms);
    assert!((2900..4500).contains(&stopped.run_ms.unwrap()), "{stopped:?}");
    let told = told(&farm);
    let of_run: Vec<&str> = told.iter().map(String::as_str).filter(|line| line.contains("program")).collect();
    let want = [
        "scheduled by program dem: program_start",
        "started by program dem: program_run",
        "confirmed by program dem: program_run",
    ];
    assert_eq!(of_run, want, "{told:#?}");
    assert!(node.moves().len() >= 3, "{:?}", node.moves());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_handle_programs_and_a_kill_forgets_nothing() {
    let mut farm = farm("03:00", 120.0);
    let mut node = farm.kit().boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    farm.until_idle();
    let post = |farm: &Farm, path: &str, body: &str| farm.post(path, body).0;
    assert_eq!(post(&farm, "programs/dem/start", ""), 202);
    farm.until_state(&["open"]);
    let (status, body) = farm.post("programs/dem/start", "");
    assert_eq!(status, 409, "{body}");
    assert!(body.contains("program_busy"), "{body}");
    assert_eq!(post(&farm, "programs/dem/stop", ""), 202);
    let closing = farm.until_closing(0);
    assert_eq!(closing.closed_by.as_deref(), Some("commanded"));
    farm.until_idle();

    assert_eq!(post(&farm, "programs/none/start", ""), 404);
    assert_eq!(post(&farm, "programs/dem/adjust", "{\"percent\":251}"), 400);
    assert_eq!(post(&farm, "programs/dem/skip", "{\"starts\":101}"), 400);
    assert_eq!(giot::request(&farm.gateway().http, "GET", "/api/v1/programs/preview?days=32", None).0, 400);
    let until = Clock::system(None).wall_unchecked().0 + 3_600_000;
    for (path, body) in [
        ("programs/dem/adjust", "{\"percent\":50}".to_owned()),
        ("programs/dem/skip", "{\"starts\":2}".to_owned()),
        ("programs/dem/suspend", format!("{{\"until\":{until}}}")),
        ("programs/dem/enable", "{\"enabled\":false}".to_owned()),
        ("pause", format!("{{\"until\":{until},\"rain\":true}}")),
        ("pause", format!("{{\"until\":{until},\"water\":true}}")),
    ] {
        assert_eq!(post(&farm, path, &body), 202, "{path}");
    }
    // Who asks after the answer sees what came of it.
    assert_eq!(programs(&farm)["water_paused_until"], json!(until));
    wait_for("the diary of it", Duration::from_secs(10), || {
        (told(&farm).iter().filter(|line| line.starts_with("adjusted by person admin")).count() == 6)
            .then_some(())
    });
    farm.kill();
    farm.restart();
    let after = wait_for("the programs after the kill", Duration::from_secs(10), || {
        let programs = programs(&farm);
        programs["programs"][0]["id"].as_str().is_some().then_some(programs)
    });
    let dem = &after["programs"][0];
    assert_eq!(after["rain_delay_until"], json!(until));
    assert_eq!(after["water_paused_until"], json!(until));
    assert_eq!(post(&farm, "pause", "{\"until\":null,\"rain\":true,\"water\":true}"), 400);
    assert_eq!(dem["name"], json!("Tưới đêm"));
    assert_eq!((&dem["adjust_percent"], &dem["skip_next"]), (&json!(50), &json!(2)));
    assert_eq!((&dem["enabled"], &dem["suspended_until"]), (&json!(false), &json!(until)));
    assert!(dem["next_start"].as_i64().is_some());
}

/// Before the valves are known after a start, what people set going is taken, and the answer says what it waits for.
#[test]
fn runs_that_wait_for_valves_to_be_known_say_so() {
    let farm = farm("03:00", 120.0);
    let runs = json!({ "runs": [{ "zone": ZONE, "minutes": 1 }] }).to_string();
    for (path, body) in [("run-once", runs), ("test-valves", json!({ "seconds": 5 }).to_string())] {
        let (status, answer) = farm.post(path, &body);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let waiting = json!([{ "zone": ZONE, "reason": { "code": "valve_unknown", "args": {} } }]);
        assert_eq!((status, &answer["waiting"]), (202, &waiting), "{path}: {answer}");
    }
    let (_, answer) = farm.post("stop-all", "");
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["waiting"], json!([]));
}

/// Where something is under way a set waits for its end, which the answer says; of locked zones alone it is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_cannot_begin_at_once_say_why() {
    let farm = farm("03:00", 120.0);
    let mut node = farm.kit().boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    farm.until_idle();
    let runs = json!({ "runs": [{ "zone": ZONE, "minutes": 1 }] }).to_string();
    let why =
        |answer: &str| serde_json::from_str::<Value>(answer).unwrap()["waiting"][0]["reason"]["code"].clone();
    assert_eq!(farm.post(&format!("zones/{ZONE}/start"), &json!({ "minutes": 10 }).to_string()).0, 202);
    farm.until_state(&["open"]);
    assert_eq!(why(&farm.post("run-once", &runs).1), json!("already_running"));
    farm.post("stop-all", "");
    farm.until_idle();
    assert_eq!(farm.post(&format!("zones/{ZONE}/lock"), "").0, 202);
    let (status, refused) = farm.post("run-once", &runs);
    let code = serde_json::from_str::<Value>(&refused).unwrap()["code"].clone();
    assert_eq!((status, code), (409, json!("locked")), "nothing is left to do: {refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_that_cannot_be_right_is_refused_with_its_field() {
    let farm = farm("03:00", 120.0);
    let mut node = farm.kit().boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    farm.until_idle();
    let now = Clock::system(None).wall_unchecked().0;
    let refused = |path: &str, body: String, field: &str| {
        let (status, answer) = farm.post(path, &body);
        let problem: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, problem["field"].as_str()), (400, Some(field)), "{path} {body}: {answer}");
        assert!(problem["detail"].as_str().unwrap().starts_with(&format!("{field}: ")), "{answer}");
    };
    let hours = |n: i64| now + n * 3_600_000;
    refused("pause", json!({ "until": 5, "rain": true }).to_string(), "until");
    refused("pause", json!({ "until": hours(14), "water": true }).to_string(), "until");
    refused("pause", json!({ "until": hours(24 * 400) }).to_string(), "until");
    refused("programs/dem/suspend", json!({ "until": now - 60_000 }).to_string(), "until");
    let of_zone = |what: &str| format!("zones/{ZONE}/{what}");
    refused(&of_zone("suspend"), json!({ "until": now - 60_000 }).to_string(), "until");
    refused(&of_zone("suspend"), "{}".to_owned(), "until");
    refused("programs/dem/suspend", json!({ "until": null, "for_min": 5 }).to_string(), "for_min");
    refused("pause", json!({ "for_min": 181, "water": true }).to_string(), "for_min");
    refused(&of_zone("extend"), json!({ "minutes": 500 }).to_string(), "minutes");
    refused("run-once", json!({ "runs": [] }).to_string(), "runs");
    refused("run-once", json!({ "runs": [{ "zone": ZONE, "minutes": 1000 }] }).to_string(), "runs");
    refused("test-valves", json!({ "seconds": 5, "zones": [] }).to_string(), "zones");
    assert_eq!(programs(&farm)["rain_delay_until"], json!(null), "nothing was taken");

    // A zone that programs leave out.
    let preview = || giot::get(&farm.gateway().http, "/api/v1/programs/preview?days=2")["starts"][0].clone();
    assert_eq!(preview()["runs"].as_array().map(Vec::len), Some(1));
    assert_eq!(farm.post(&of_zone("suspend"), &json!({ "until": hours(48) }).to_string()).0, 202);
    let zone = || giot::get(&farm.gateway().http, "/api/v1/overview")["zones"][0].clone();
    assert_eq!(zone()["suspended_until"], json!(hours(48)));
    assert_eq!(preview()["skipped"][0]["reason"]["code"], json!("suspended"));
    assert_eq!(farm.post(&of_zone("suspend"), &json!({ "until": null }).to_string()).0, 202);
    assert_eq!(zone()["suspended_until"], json!(null));
    assert_eq!(preview()["runs"].as_array().map(Vec::len), Some(1));
    let told = wait_for("the diary of it", Duration::from_secs(10), || {
        let is_it = |entry: &DiaryEntry| entry.event == "adjusted" && entry.zone.is_some();
        let entries = farm.diary().into_iter().map(|row| row.entry).filter(is_it);
        let told: Vec<_> = entries.map(|entry| (entry.zone, entry.reason)).collect();
        (told.len() == 2).then_some(told)
    });
    let of_zone = |reason: &str| (Some(ZONE.to_owned()), reason.to_owned());
    assert_eq!(told, [of_zone("suspended"), of_zone("zone_pause_ended")]);

    // What nobody can have given is not noted.
    let irrigated = |litres: u32| {
        farm.post(&format!("zones/{ZONE}/irrigated"), &json!({ "minutes": 5, "litres": litres }).to_string())
    };
    let (status, answer) = irrigated(u32::MAX);
    let problem: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, problem["field"].as_str()), (400, Some("litres")), "{answer}");
    assert!(answer.contains("flow_l_per_h"), "the remedy: {answer}");
    assert_eq!(irrigated(10).0, 202);

    // A lock needs no note, and takes no characters that nobody writes.
    assert_eq!(farm.post(&format!("zones/{ZONE}/lock"), "").0, 202);
    assert_eq!(farm.post(&format!("zones/{ZONE}/lock"), "{\"note\":1}").0, 422);
    let hidden = json!({ "note": "vỡ\u{202e} \u{0}ống" }).to_string();
    assert_eq!(farm.post(&format!("zones/{ZONE}/lock"), &hidden).0, 202);
    // Why a wish is refused is a sentence.
    assert_eq!(farm.post(&format!("zones/{ZONE}/lock"), "{\"note\":\"vỡ ống\"}").0, 202);
    let (status, answer) = farm.post(&format!("zones/{ZONE}/start"), "{\"minutes\":1}");
    let problem: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, problem["code"].as_str()), (409, Some("locked")), "{answer}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains(" locked this zone.") && !detail.contains('{') && detail.contains("vỡ ống"),
        "{detail}"
    );
}
