//! Answers for days of every kind, in both languages.

use giot_engine::{Depletion, HeldWater};
use serde_json::json;

use super::*;

const OFFSET_MIN: i32 = 420;

pub(super) fn day() -> Date {
    Date::new(2026, 3, 5).unwrap()
}

pub(super) fn at(minute: i64) -> i64 {
    day().begins_at(OFFSET_MIN).0 + minute * 60_000
}

pub(super) fn entry(minute: i64, event: &str, by: &str, reason: &str, args: Value) -> DiaryEntry {
    DiaryEntry {
        at_us: Some(at(minute) * 1000),
        recorded_us: at(minute) * 1000,
        zone: Some("man-1".to_owned()),
        event: event.to_owned(),
        command: None,
        by: by.to_owned(),
        person: None,
        reason: reason.to_owned(),
        args: args.to_string(),
        run_ms: None,
        volume_ml: None,
    }
}

fn permyriad(value: u16) -> MoisturePermyriad {
    MoisturePermyriad::new(value).unwrap()
}

fn facts(entries: Vec<DiaryEntry>) -> Facts {
    let rows = entries.into_iter().zip(1..).map(|(entry, id)| DiaryRow { id, entry, hash: [0; 32] });
    Facts {
        zone: "man-1".parse().unwrap(),
        day: day(),
        utc_offset_min: OFFSET_MIN,
        now: UnixMs(at(2 * 1440)),
        is_automatic: true,
        soil: SoilRule::Moisture { start_below: permyriad(2200), stop_above: permyriad(3000) },
        rows: rows.collect(),
        is_cut: false,
        before: None,
        lock_before: None,
        missed: Vec::new(),
        is_before_all: false,
        slept_until: None,
        levels: None,
        present: None,
    }
}

fn check(facts: &Facts, vi: &str, en: &str) -> Answer {
    let answer = explain(facts, &Words::default(), &Names::default());
    assert_eq!((answer.headline.vi.as_str(), answer.headline.en.as_str()), (vi, en));
    answer
}

fn stale(minute: i64) -> DiaryEntry {
    let args = json!({ "device": "n01", "metric": "soil_moisture", "age_s": 1860, "fresh_s": 1800 });
    entry(minute, "skipped", "engine", "stale_reading", args)
}

#[test]
fn a_day_with_water_tells_how_much() {
    let stopped = |minute, run_ms, ml| DiaryEntry {
        run_ms: Some(run_ms),
        volume_ml: Some(ml),
        ..entry(minute, "stopped", "node", "closed_by_node", json!({ "close": "commanded" }))
    };
    let dry = json!({ "moisture": 19.95, "start_below": 22.0 });
    let entries = vec![
        entry(300, "started", "engine", "soil_dry", dry),
        entry(301, "confirmed", "node", "soil_dry", json!({ "moisture": 19.95, "start_below": 22.0 })),
        stopped(320, 1_200_000, 85_000),
        stopped(400, 300_000, 20_500),
    ];
    let answer = check(
        &facts(entries),
        "Đã tưới 2 lần, tổng cộng 25 phút, 106 lít.",
        "Watered 2 times, 25 min in all, 106 L.",
    );
    assert_eq!((answer.n_runs, answer.run_s, answer.litres), (2, 1500.0, Some(105.5)));
    let texts: Vec<&str> = answer.lines.iter().map(|line| line.text.vi.as_str()).collect();
    assert_eq!(texts.len(), 3, "a confirmation is no cause: {texts:?}");
    assert_eq!(texts[0], "Bắt đầu tưới: Đất khô: độ ẩm 19,95\u{a0}%, dưới ngưỡng 22,0\u{a0}%.");
    assert!(texts[1].ends_with("Đã tưới 20 phút, 85 lít."), "{}", texts[1]);
}

#[test]
fn a_day_without_water_tells_its_cause_and_what_to_do() {
    let answer = check(
        &facts(vec![stale(60)]),
        "Không tưới. Số đo của n01 (độ ẩm đất) quá cũ: đã 31 phút, chỉ tin trong 30 phút.",
        "Not watered. The reading of n01 (soil moisture) is too old: 31 min, trusted for 30 min.",
    );
    assert!(answer.remedy.vi.starts_with("Xem trạm còn điện"), "{:?}", answer.remedy);
}

#[test]
fn a_run_over_midnight_is_told_on_the_day_on_which_it_began() {
    let dry = || json!({ "moisture": 19.95, "start_below": 22.0 });
    let begun = vec![
        entry(600, "skipped", "engine", "source_busy", json!({ "zone": "man-2" })),
        entry(1437, "started", "engine", "soil_dry", dry()),
        entry(1438, "confirmed", "engine", "soil_dry", dry()),
    ];
    check(
        &facts(begun),
        "Bắt đầu tưới trong ngày này và tưới tiếp qua nửa đêm.",
        "Watering began on this day and went on after midnight.",
    );
}

#[test]
fn moist_soil_wanted_nothing_whatever_the_engine_told() {
    let moist = Facts { levels: Some((24.5, 31.0)), ..facts(vec![stale(60)]) };
    let vi =
        "Không tưới vì đất chưa khô: độ ẩm từ 24,5\u{a0}% đến 31,0\u{a0}%, chỉ tưới khi dưới 22,0\u{a0}%.";
    let en = "Not watered because the soil was not dry: moisture from 24.5\u{a0}% to 31.0\u{a0}%, watering begins below 22.0\u{a0}%.";
    check(&moist, vi, en);
    // What a program wanted and did not get says more than the soil.
    let rain = entry(300, "skipped", "program", "rain_delay", json!({ "remaining_s": 7200 }));
    let wanted = Facts { levels: Some((24.5, 31.0)), ..facts(vec![stale(60), rain]) };
    check(
        &wanted,
        "Không tưới. Hoãn tưới vì mưa, còn 2 giờ.",
        "Not watered. Delayed because of rain, 2 h to go.",
    );
}

#[test]
fn enough_water_is_told_in_the_unit_of_the_zone() {
    let soil = HeldWater { field_capacity: permyriad(2500), wilting_point: permyriad(1200) };
    let [start_above, stop_below] = [50.0, 10.0].map(|share| Depletion::from_percent(share).unwrap());
    let by_depletion = SoilRule::Depletion { soil, start_above, stop_below };
    check(
        &Facts { soil: by_depletion, levels: Some((19.8, 23.7)), ..facts(vec![]) },
        "Không tưới vì đất còn đủ nước: đã dùng từ 10,0\u{a0}% đến 40,0\u{a0}% lượng nước hữu hiệu, chỉ tưới khi quá 50,0\u{a0}%.",
        "Not watered because enough water was left: 10.0\u{a0}% to 40.0\u{a0}% of the soil's available water were used up, watering begins above 50.0\u{a0}%.",
    );
    let [start_above, stop_below] = [40.0, 15.0].map(|kpa| Level::from_unit(kpa).unwrap());
    let tension = Facts {
        soil: SoilRule::Tension { start_above, stop_below },
        levels: Some((12.0, 33.5)),
        ..facts(vec![])
    };
    check(
        &tension,
        "Không tưới vì đất chưa khô: lực giữ nước từ 12,0 đến 33,5 kPa, chỉ tưới khi trên 40,0 kPa.",
        "Not watered because the soil was not dry: tension from 12.0 to 33.5 kPa, watering begins above 40.0 kPa.",
    );
    let dry = Facts { levels: Some((12.0, 40.5)), ..tension };
    assert!(!explain(&dry, &Words::default(), &Names::default()).headline.en.contains("tension"));
}

#[test]
fn a_lock_holds_from_the_day_before() {
    let lock = entry(-600, "locked", "person", "locked", json!({ "by": "Minh", "note": "thay van" }));
    let locked = Facts { lock_before: Some(lock.clone()), before: Some(lock), ..facts(vec![]) };
    let answer = check(
        &locked,
        "Không tưới. Minh đã khoá khu này. thay van",
        "Not watered. Minh locked this zone. thay van",
    );
    assert_eq!(answer.lines.len(), 1, "told once: {:?}", answer.lines);
    assert!(answer.lines[0].is_before);
    let unlocked = entry(10, "unlocked", "person", "unlocked", json!({}));
    let open = Facts { lock_before: locked.lock_before, before: locked.before, ..facts(vec![unlocked]) };
    let answer = explain(&open, &Words::default(), &Names::default());
    assert!(!answer.headline.vi.contains("khoá"), "{:?}", answer.headline);
}

#[test]
fn a_cause_of_the_day_before_holds_until_something_else_is_told() {
    let kept = Facts { before: Some(stale(-30)), ..facts(vec![]) };
    let answer = explain(&kept, &Words::default(), &Names::default());
    assert!(answer.headline.en.starts_with("Not watered. The reading of n01"), "{:?}", answer.headline);
    assert!(answer.lines[0].is_before);
    let over = entry(-30, "stopped", "node", "run_time_reached", json!({ "run_s": 600 }));
    let quiet = Facts { before: Some(over), ..facts(vec![]) };
    let answer = explain(&quiet, &Words::default(), &Names::default());
    assert!(answer.headline.en.contains("no cause"), "{:?}", answer.headline);
}

#[test]
fn today_is_answered_by_the_engine_and_tomorrow_not_at_all() {
    let why = Reason::MinimumOff { remaining_s: 600 };
    let today =
        Facts { present: Some(ZoneState::Waiting { why }), now: UnixMs(at(60)), ..facts(vec![stale(5)]) };
    check(
        &today,
        "Không tưới. Đang trong thời gian nghỉ, còn 10 phút.",
        "Not watered. Resting between two runs, 10 min to go.",
    );
    let tomorrow = Facts { now: UnixMs(at(-1)), ..facts(vec![]) };
    check(&tomorrow, "Ngày này chưa đến.", "This day has not come yet.");
    let by_hand = Facts { is_automatic: false, ..facts(vec![]) };
    let answer = explain(&by_hand, &Words::default(), &Names::default());
    assert!(answer.headline.vi.contains("chỉ tưới theo lịch và bằng tay"), "{:?}", answer.headline);
}

#[test]
fn what_a_program_did_not_get_says_more_than_that_the_soil_starts_nothing() {
    let dropped = entry(300, "skipped", "program", "program_disabled", json!({}));
    let why = Reason::NotAutomatic {};
    let today = Facts {
        is_automatic: false,
        present: Some(ZoneState::Idle { why }),
        levels: Some((35.0, 36.0)),
        now: UnixMs(at(600)),
        ..facts(vec![dropped])
    };
    let answer = explain(&today, &Words::default(), &Names::default());
    assert_eq!(answer.headline.en, "Not watered. This program is switched off.");
    // Moist soil is no reason where the soil starts nothing.
    let nothing = Facts { rows: Vec::new(), ..today };
    let answer = explain(&nothing, &Words::default(), &Names::default());
    assert!(answer.headline.en.contains("programs and by hand only"), "{:?}", answer.headline);
}

#[test]
fn what_came_of_a_wish_for_no_water_is_no_cause() {
    let refused = |minute, code| entry(minute, "refused", "person", code, json!({ "run_s": 600 }));
    let stale_then = Facts { rows: facts(vec![stale(5), refused(10, "not_running")]).rows, ..facts(vec![]) };
    let answer = explain(&stale_then, &Words::default(), &Names::default());
    assert!(answer.headline.en.starts_with("Not watered. The reading of n01"), "{:?}", answer.headline);
    // A lock that is over, and a refusal before what went wrong then.
    let lock = entry(10, "locked", "person", "locked", json!({ "by": "Minh", "note": "" }));
    let unlocked = entry(20, "unlocked", "person", "unlocked", json!({}));
    let failed = json!({ "waited_s": 30, "attempts": 3 });
    let fault = entry(40, "fault", "engine", "command_unanswered", failed);
    let day = facts(vec![lock, unlocked, refused(30, "valve_unknown"), fault]);
    let answer = explain(&day, &Words::default(), &Names::default());
    assert!(answer.headline.en.contains("has not answered"), "{:?}", answer.headline);
    let before = Facts { rows: day.rows.into_iter().take(2).collect(), ..facts(vec![]) };
    let answer = explain(&before, &Words::default(), &Names::default());
    assert!(answer.headline.en.contains("no cause"), "{:?}", answer.headline);
}

#[test]
fn a_run_of_today_goes_on_and_a_day_before_everything_says_nothing() {
    let begun =
        entry(600, "started", "engine", "soil_dry", json!({ "moisture": 19.95, "start_below": 22.0 }));
    check(&Facts { now: UnixMs(at(610)), ..facts(vec![begun]) }, "Đang tưới.", "Watering now.");
    let by_hand = Facts { is_automatic: false, is_before_all: true, ..facts(vec![]) };
    let answer = explain(&by_hand, &Words::default(), &Names::default());
    assert!(answer.headline.en.contains("begins later") && answer.remedy.en.is_empty(), "{answer:?}");
    // Also with readings that were taken in from elsewhere: what was watered then is in nobody's diary.
    let imported = Facts { is_before_all: true, levels: Some((28.0, 29.0)), ..facts(vec![]) };
    let answer = explain(&imported, &Words::default(), &Names::default());
    assert!(answer.headline.en.contains("begins later"), "{:?}", answer.headline);
    let quiet = Facts { is_before_all: false, ..imported };
    let answer = explain(&quiet, &Words::default(), &Names::default());
    assert!(answer.headline.en.contains("was not dry"), "{:?}", answer.headline);
}

#[test]
fn a_valve_that_nobody_has_heard_of_since_the_start_is_the_reason() {
    let until = giot_shared::time::MonoMs(0);
    let present = Some(ZoneState::Unknown { until });
    let today = Facts { present, levels: Some((18.0, 19.0)), now: UnixMs(at(600)), ..facts(vec![]) };
    let answer = explain(&today, &Words::default(), &Names::default());
    assert!(answer.headline.en.contains("not known whether the valve is open"), "{:?}", answer.headline);
    assert!(!answer.remedy.en.is_empty());
}

#[test]
fn one_run_is_watered_once() {
    let run = DiaryEntry {
        run_ms: Some(1_200_000),
        ..entry(320, "stopped", "node", "closed_by_node", json!({ "close": "commanded" }))
    };
    check(&facts(vec![run]), "Đã tưới 1 lần, tổng cộng 20 phút.", "Watered once, 20 min in all.");
}

#[test]
fn a_code_of_a_newer_version_shows_itself() {
    let newer = entry(5, "skipped", "engine", "comet_strike", json!({ "n": 3 }));
    let answer = explain(&facts(vec![newer]), &Words::default(), &Names::default());
    assert_eq!(answer.headline.en, "Not watered. comet_strike {\"n\":3}");
}

#[test]
fn days_are_named() {
    let now = UnixMs(at(30));
    let check = |text, want| assert_eq!(day_of("day", text, now, OFFSET_MIN).ok(), want, "{text}");
    check("today", Some(day()));
    check("yesterday", Some(day().plus_days(-1)));
    check("2026-02-28", Date::new(2026, 2, 28));
    for bad in ["2026-02-29", "tomorrow", "", "26-2-1"] {
        check(bad, None);
    }
}
