//! Days on which the gateway was off, asked for after it came back.

use giot_engine::ZoneId;
use serde_json::json;

use super::*;
use crate::config::tests::GOOD_ZONE;
use crate::config::{Settings, compile};
use giot_store::{Batch, DeviceSamples, MetricSample, Store};

const PROGRAM: &str = r#"
[[program]]
id = "dem"
name = "Tưới đêm"
starts = ["05:30", "20:00"]
steps = [{ zone = "man-1", minutes = 10 }]
"#;

/// Two zones, one of them with a program.
fn farm() -> Settings {
    let (source, zone) = GOOD_ZONE.split_at(GOOD_ZONE.find("[[zone]]").unwrap());
    let zone = |id: &str, node: &str| zone.replace("\"a\"", id).replace("v01", node);
    let text = [source, &zone("\"man-1\"", "v01"), &zone("\"man-2\"", "v02"), PROGRAM].concat();
    compile("giot.toml", &text).unwrap()
}

fn day(nth: i32) -> Date {
    tests::day().plus_days(nth)
}

/// A minute of a day of the farm, counted from 5 March.
fn at_us(nth: i32, minute: i64) -> i64 {
    tests::at(i64::from(nth) * 1440 + minute) * 1000
}

fn entry(at_us: i64, zone: Option<&str>, by: &str, reason: &str, args: &Value) -> DiaryEntry {
    let event = if reason == "gateway_restarted" { "stopping" } else { "skipped" };
    DiaryEntry {
        at_us: Some(at_us),
        recorded_us: at_us,
        zone: zone.map(str::to_owned),
        person: (by == "program").then(|| "dem".to_owned()),
        ..tests::entry(0, event, by, reason, args.clone())
    }
}

/// When the gateway is back: 15:20 on 8 March, 17.9 s past the minute.
const BACK: (i32, i64) = (3, 920);

/// What is kept of a farm whose gateway was off from the evening of 4 March.
struct Kept {
    settings: Settings,
    store: Store,
    _dir: tempfile::TempDir,
}

impl Kept {
    fn new(more: Vec<DiaryEntry>, read_us: &[i64]) -> Self {
        let settings = farm();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let rest = json!({ "remaining_s": 600 });
        let mut diary = vec![
            entry(at_us(-1, 900), Some("man-2"), "engine", "minimum_off", &rest),
            entry(at_us(-1, 900), Some("man-1"), "engine", "minimum_off", &rest),
        ];
        diary.extend(more);
        let sample = |at_us: &i64| MetricSample {
            metric: "soil_moisture".into(),
            at_us: *at_us,
            value: Some(19.0),
            quality: 0,
        };
        let samples =
            vec![DeviceSamples { device: "n01".into(), samples: read_us.iter().map(sample).collect() }];
        store.writer().commit_blocking(Batch { samples, diary, ..Batch::default() }).unwrap();
        Self { settings, store, _dir: dir }
    }

    fn answer(&self, zone: &str, nth: i32) -> Answer {
        let zone: ZoneId = zone.parse().unwrap();
        let now = UnixMs(at_us(20, 0) / 1000);
        let facts = gather(&self.store.reader(), &self.settings, &zone, day(nth), now, None).unwrap();
        explain(&facts, &Words::default(), &Names::of(&self.settings))
    }
}

/// What the restart tells: the starts of 5, 6 and 7 March, and one of the 8th.
fn restart() -> Vec<DiaryEntry> {
    let back_us = at_us(BACK.0, BACK.1) + 17_900_000;
    let due = [(0, 330), (0, 1200), (1, 330), (1, 1200), (2, 330), (2, 1200), (3, 330)];
    let late = due.map(|(nth, minute)| (back_us - at_us(nth, minute)) / 1_000_000);
    let mut entries: Vec<DiaryEntry> = late
        .into_iter()
        .map(|late_s| {
            let args = json!({ "late_s": late_s, "catch_up_s": 3600 });
            entry(back_us, None, "program", "missed_start", &args)
        })
        .collect();
    entries.push(entry(back_us + 5_000_000, Some("man-1"), "engine", "gateway_restarted", &json!({})));
    entries
}

#[test]
fn the_day_that_missed_its_starts_says_so() {
    let kept = Kept::new(restart(), &[]);
    let answer = kept.answer("man-1", 0);
    assert_eq!(
        (answer.headline.vi.as_str(), answer.headline.en.as_str()),
        (
            "Không tưới. Lịch tưới Tưới đêm phải bắt đầu lúc 20:00, nhưng thiết bị trung tâm đã ngừng hoặc sai giờ đến 15:20 08/03/2026.",
            "Not watered. Program Tưới đêm was due at 20:00, but the gateway was off, or its clock not right, until 15:20 8\u{a0}Mar\u{a0}2026."
        )
    );
    assert!(answer.remedy.en.contains("why the gateway was off"), "{:?}", answer.remedy);
    let due: Vec<_> = answer.lines.iter().filter(|line| line.code == "missed_start").collect();
    assert_eq!(due.len(), 2, "{:?}", answer.lines);
    assert_eq!(due[0].at, Some((at_us(0, 330)) / 1000));
    assert!(due[0].text.en.contains("Tưới đêm") && due[0].text.en.contains("3 d"), "{:?}", due[0]);
}

#[test]
fn the_day_of_the_restart_answers_for_its_own_starts_only() {
    let kept = Kept::new(restart(), &[]);
    let answer = kept.answer("man-1", 3);
    assert!(answer.headline.en.contains("was due at 05:30, but"), "{:?}", answer.headline);
    assert!(answer.headline.en.ends_with("until 15:20."), "{:?}", answer.headline);
    assert_eq!(answer.lines.iter().filter(|line| line.code == "missed_start").count(), 7, "told that day");
    let earlier: Vec<DiaryEntry> =
        restart().into_iter().enumerate().filter(|(n, _)| *n != 6).map(|(_, e)| e).collect();
    let answer = Kept::new(earlier, &[]).answer("man-1", 3);
    assert!(!answer.headline.en.contains("start was missed"), "{:?}", answer.headline);
    assert!(!answer.headline.en.contains("was due"), "{:?}", answer.headline);
}

#[test]
fn a_zone_without_programs_says_that_the_gateway_was_off() {
    let kept = Kept::new(restart(), &[at_us(-1, 900), at_us(3, 930)]);
    let answer = kept.answer("man-2", 1);
    assert_eq!(
        (answer.headline.vi.as_str(), answer.headline.en.as_str()),
        (
            "Không tưới. Có lẽ thiết bị trung tâm đã ngừng: cả ngày không ghi gì, và sau đó là lần khởi động lại lúc 15:20 08/03/2026.",
            "Not watered. The gateway seems to have been off: nothing was kept on this day, and what it kept next was its restart at 15:20 8\u{a0}Mar\u{a0}2026."
        )
    );
    assert!(!answer.remedy.vi.is_empty());
    let is_off =
        |kept: &Kept, zone, nth| kept.answer(zone, nth).headline.en.contains("seems to have been off");
    assert!(!is_off(&kept, "man-2", -2), "before the first entry");
    assert!(!is_off(&kept, "man-2", -1) && !is_off(&kept, "man-2", 3), "days on which something was kept");
    // A reading of that day, another entry, or no restart: nobody can tell.
    assert!(!is_off(&Kept::new(restart(), &[at_us(1, 600)]), "man-2", 1));
    let other = entry(at_us(1, 600), Some("man-1"), "engine", "minimum_off", &json!({ "remaining_s": 60 }));
    let others = std::iter::once(other.clone()).chain(restart()).collect();
    assert!(!is_off(&Kept::new(others, &[]), "man-2", 1));
    assert!(!is_off(&Kept::new(vec![DiaryEntry { recorded_us: at_us(3, 930), ..other }], &[]), "man-2", 1));
    // Stale before: the silence was the probe's.
    let stale = json!({ "device": "n01", "metric": "soil_moisture", "age_s": 1860, "fresh_s": 1800 });
    let stale = entry(at_us(-1, 950), Some("man-2"), "engine", "stale_reading", &stale);
    let silent = Kept::new(std::iter::once(stale).chain(restart()).collect(), &[]);
    assert!(silent.answer("man-2", 1).headline.en.contains("too old"));
}

/// A busy farm: between the day and the restart the diary got more than is looked through.
#[test]
fn other_entries_do_not_hide_a_missed_start() {
    let stopping = |n: i64| DiaryEntry {
        event: "stopping".to_owned(),
        ..entry(at_us(0, 0) + n, Some("man-2"), "engine", "minimum_off", &json!({ "remaining_s": 60 }))
    };
    let kept = Kept::new((0..10_001).map(stopping).chain(restart()).collect(), &[]);
    assert!(kept.answer("man-1", 0).headline.en.contains("was due at 20:00"));
}

#[test]
fn a_day_with_a_run_tells_of_no_other_start() {
    let run = DiaryEntry {
        event: "stopped".to_owned(),
        run_ms: Some(600_000),
        ..entry(at_us(0, 340), Some("man-1"), "node", "run_time_reached", &json!({ "run_s": 600 }))
    };
    let answer = Kept::new(std::iter::once(run).chain(restart()).collect(), &[]).answer("man-1", 0);
    assert!(answer.headline.en.contains("10 min"), "{:?}", answer.headline);
    assert!(answer.lines.iter().all(|line| line.code != "missed_start"), "{:?}", answer.lines);
}
