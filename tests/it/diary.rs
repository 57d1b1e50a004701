//! P7: every litre is accounted. The diary equals what the nodes measured, also for a run that ended while nobody was
//! there to see it, and a word changed in it afterwards is found.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

use crate::farm::{Farm, ZONE};
use giot_shared::wire::ResetCause;
use giot_tests::giot::{self, text, wait_for};
use giot_tests::node::PATIENCE;
use std::path::Path;
use std::process::Command;

/// Run time (ms) and water (mL).
type Sum = (u64, u64);

/// What nodes measured.
fn measured(farm: &Farm) -> Sum {
    let closings = farm.valve_events().into_iter().filter(|event| !event.open);
    closings.fold((0, 0), |sum, event| (sum.0 + event.run_ms, sum.1 + event.volume_ml.unwrap_or(0)))
}

/// What the diary says.
fn told(farm: &Farm) -> Sum {
    farm.diary().iter().fold((0, 0), |sum, row| {
        (sum.0 + row.entry.run_ms.unwrap_or(0), sum.1 + row.entry.volume_ml.unwrap_or(0))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_diary_equals_what_the_node_measured() {
    let mut farm = Farm::new("lease_min = 0.1\nautomatic = false");
    let kit = farm.kit();
    let mut node = kit.boot(ResetCause::PowerOn);
    node.until_welcomed().await;

    // One run that a person stops.
    farm.start_run(5.0);
    assert_eq!(farm.post(&format!("zones/{ZONE}/stop"), "").0, 202);
    farm.until_closing(0);
    // One that runs its time, on one lease.
    farm.start_run(0.1);
    farm.until_closing(1);
    // One during which the gateway is killed; the node closes by itself.
    farm.start_run(5.0);
    farm.kill();
    let n_moves = node.moves().len();
    assert!(!node.until_move(n_moves, PATIENCE).await.open);
    farm.restart();
    farm.until_closing(2);
    // One while the node cannot reach the gateway at its end, and is reset before it can.
    farm.until_idle();
    farm.start_run(0.1);
    farm.kill();
    let n_moves = node.moves().len();
    assert!(!node.until_move(n_moves, PATIENCE).await.open);
    let kit = {
        // What was measured is in flash, not only in memory.
        node.until("the closing in flash", |status| status.waiting > 0).await;
        node.cut_power().await
    };
    farm.restart();
    let mut node = kit.boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    farm.until_closing(3);
    farm.until_idle();

    let sum = measured(&farm);
    assert_eq!(told(&farm), sum, "{:#?}", farm.diary());
    let open_ms = kit.open_ms(kit.clock.unix());
    assert!(sum.0.abs_diff(open_ms) < 500, "the valve was open for {open_ms} ms, measured were {} ms", sum.0);
    assert!(sum.1.abs_diff(open_ms) < 2000, "one millilitre a millisecond: {} mL in {open_ms} ms", sum.1);
    let rows = farm.diary();
    let n_told = rows.iter().filter(|row| row.entry.run_ms.is_some_and(|run_ms| run_ms > 0)).count();
    assert_eq!(n_told, 4, "each run once: {rows:#?}");
    let why: Vec<&str> =
        rows.iter().filter(|row| row.entry.event == "started").map(|row| row.entry.reason.as_str()).collect();
    assert_eq!(why, ["manual_start"; 4]);
    assert!(rows.iter().filter(|row| row.entry.event == "started").all(|row| row.entry.person.is_some()));
    // Nothing of it is told twice when everybody meets again.
    node.stop().await;
    assert_eq!(farm.stop().code(), Some(0));
    farm.restart();
    let mut node = kit.boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    farm.until_idle();
    assert_eq!(told(&farm), sum);
}

/// OpenSprinkler keeps a log of runs, rain delays and sensors that is asked for by a range of days and by type.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opensprinkler_logs_by_range_and_type() {
    let farm = Farm::new("lease_min = 0.1\nautomatic = false");
    let mut node = farm.kit().boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    let posted = |path: &str, body: &str| {
        let (status, answer) = farm.post(path, body);
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
    };
    let unix_ms = gateway_ms(&farm);
    posted("pause", &format!("{{\"until\":{},\"rain\":true}}", unix_ms + 3_600_000));
    posted("pause", "{\"until\":null,\"rain\":true}");
    for n in 0..2 {
        farm.start_run(5.0);
        posted(&format!("zones/{ZONE}/stop"), "");
        farm.until_closing(n);
        farm.until_idle();
        posted(&format!("zones/{ZONE}/lock"), "{\"note\":\"sửa ống\"}");
        posted(&format!("zones/{ZONE}/unlock"), "");
    }
    // The overview may be ahead of the diary on the disk.
    let rows = wait_for("the diary", PATIENCE, || {
        let rows = farm.diary();
        (rows.iter().filter(|row| row.entry.event == "unlocked").count() == 2).then_some(rows)
    });
    let ask = |query: &str| -> Vec<i64> {
        let answer = giot::get(&farm.gateway().http, &format!("/api/v1/diary?limit=1000{query}"));
        answer["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_i64().unwrap()).collect()
    };
    // Every kind, between every two moments at which something was written.
    let mut moments: Vec<i64> = rows.iter().map(|row| row.entry.recorded_us.div_euclid(1000)).collect();
    moments.dedup();
    moments.push(moments.last().unwrap() + 1);
    assert!(moments.len() > 5, "{rows:#?}");
    for types in ["", "adjusted", "started,stopped", "locked", "locked,unlocked", "fault"] {
        let wanted: Vec<&str> = types.split(',').filter(|name| !name.is_empty()).collect();
        let mut n_found = 0;
        for from in &moments {
            for to in moments.iter().filter(|to| *to > from) {
                let is_meant = |row: &&giot_store::DiaryRow| {
                    (from * 1000..to * 1000).contains(&row.entry.recorded_us)
                        && (wanted.is_empty() || wanted.contains(&row.entry.event.as_str()))
                };
                let meant: Vec<i64> = rows.iter().rev().filter(is_meant).map(|row| row.id).collect();
                assert_eq!(ask(&format!("&event={types}&from={from}&to={to}")), meant, "{types} {from} {to}");
                n_found += meant.len();
            }
        }
        assert_eq!(n_found > 0, types != "fault", "{types}");
    }
    // By zone, and page by page.
    let of_zone = ask(&format!("&zone={ZONE}&event=adjusted,locked")).len();
    assert_eq!(of_zone, 2, "the rain delay is the farm's");
    let (all, mut paged) = (ask(""), Vec::new());
    loop {
        let before = paged.last().map(|id| format!("&before={id}")).unwrap_or_default();
        let query = format!("/api/v1/diary?limit=3{before}");
        let page = giot::get(&farm.gateway().http, &query)["entries"].as_array().unwrap().clone();
        paged.extend(page.iter().map(|entry| entry["id"].as_i64().unwrap()));
        if page.len() < 3 {
            break;
        }
    }
    assert_eq!(paged, all);
    let unknown = giot::request(&farm.gateway().http, "GET", "/api/v1/diary?event=watered", None);
    assert!(
        unknown.0 == 400 && unknown.1.contains("watered") && unknown.1.contains("started"),
        "{unknown:?}"
    );
    let nowhere = giot::request(&farm.gateway().http, "GET", "/api/v1/diary?zone=zone-x", None);
    assert!(nowhere.0 == 404 && nowhere.1.contains("zone-x"), "{nowhere:?}");
}

/// The gateway's clock.
fn gateway_ms(farm: &Farm) -> i64 {
    giot::get(&farm.gateway().http, "/api/v1/overview")["now"].as_i64().expect("the clock is set")
}

fn sqlite(data: &Path, statement: &str) {
    let out = Command::new("sqlite3")
        .arg(data.join("giot.sqlite"))
        .arg(statement)
        .output()
        .expect("sqlite3 is there: apt-get install sqlite3");
    assert!(out.status.success(), "{statement}: {}", text(&out.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_word_is_found() {
    let mut farm = Farm::new("lease_min = 10\nautomatic = false");
    let mut node = farm.kit().boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    for n in 0..2 {
        farm.start_run(5.0);
        assert_eq!(farm.post(&format!("zones/{ZONE}/stop"), "").0, 202);
        farm.until_closing(n);
    }
    farm.until_idle();
    assert_eq!(farm.stop().code(), Some(0));
    let rows = farm.diary();
    let dir = farm.dir.path().to_owned();
    let data = dir.to_str().unwrap();
    let original = std::fs::read(dir.join("giot.sqlite")).unwrap();
    let doctor = || giot::run(&["doctor", "--data", data]);
    assert!(doctor().status.success(), "{}", text(&doctor().stdout));
    let refused = Command::new("sqlite3")
        .arg(dir.join("giot.sqlite"))
        .arg("UPDATE diary SET volume_ml = 0 WHERE id = 2")
        .output()
        .unwrap();
    assert!(!refused.status.success(), "the file itself resists a slip");
    let stopped = rows.iter().find(|row| row.entry.volume_ml.is_some()).unwrap().id;
    let cases = [
        ("UPDATE diary SET volume_ml = volume_ml + 1 WHERE id = ", stopped),
        (
            "UPDATE diary SET person = 'somebody else' WHERE person IS NOT NULL AND id = ",
            first_by_person(&rows),
        ),
        ("UPDATE diary SET at_us = at_us - 3600000000 WHERE id = ", 1),
        ("DELETE FROM diary WHERE id = ", 2),
    ];
    for (statement, id) in cases {
        sqlite(
            &dir,
            &format!("DROP TRIGGER diary_keeps_rows; DROP TRIGGER diary_keeps_words; {statement}{id}"),
        );
        let out = doctor();
        assert_eq!(out.status.code(), Some(1), "{statement}: {}", text(&out.stdout));
        let says = format!("entry {id} was changed or removed");
        assert!(text(&out.stdout).contains(&says), "{statement}{id}: {}", text(&out.stdout));
        for rest in ["giot.sqlite-wal", "giot.sqlite-shm"] {
            // Usually gone already.
            std::fs::remove_file(dir.join(rest)).ok();
        }
        std::fs::write(dir.join("giot.sqlite"), &original).unwrap();
        assert!(doctor().status.success(), "as it was: {}", text(&doctor().stdout));
    }
}

fn first_by_person(rows: &[giot_store::DiaryRow]) -> i64 {
    rows.iter().find(|row| row.entry.person.is_some()).expect("a person started it").id
}
