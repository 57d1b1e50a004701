//! Weather that a station sent becomes what a zone's soil lacks, and a program gives that back: over a real store and gateway.

use giot_engine::program::Date;
use giot_gateway::clock::Clock;
use giot_tests::giot::{self, Giot, run, text, wait_for};
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const OFFSET_MIN: i32 = 420;
const DAYS: i32 = 9;

/// A plum zone of 2 500 m² in loam with 0.6 m of roots: 78 mm available, of which half is missing on the first day.
fn farm(dir: &Path, first: Date) {
    let config = format!(
        "latitude_deg = 21.33\nlongitude_deg = 103.91\n[station]\ndevice = \"st01\"\nelevation_m = 676.0\n\
         [[source]]\nid = \"pump-1\"\n[[zone]]\nid = \"man-1\"\nsource = \"pump-1\"\ncrop = \"plum_bare\"\n\
         soil = \"loam\"\nautomatic = false\nvalve = {{ node = \"v01\" }}\nprobes = []\narea_m2 = 2500\n\
         flow_l_per_h = 16000\nrun_max_min = 1440\n[zone.balance]\nsince = \"{:02}-{:02}\"\ncanopy_percent = 60\n\
         [[program]]\nid = \"bu\"\nstarts = [{{ at = \"00:20\", every_min = 60, times = 23 }}]\n\
         steps = [{{ zone = \"man-1\", refill = true, depleted_at_percent = 20 }}]\n\
         [weather]\nair_c = \"st01/air_temperature\"\n[[rule]]\nid = \"hot\"\nwhen = \"weather.air_c > 29\"\n\
         fresh_min = 90\ncooldown_min = 600\nthen = [{{ notify = \"hot\" }}]\n",
        first.month(),
        first.day()
    );
    std::fs::write(dir.join("giot.toml"), config).unwrap();
}

/// Hours from the season's first midnight up to this moment, as a station would have sent them.
fn weather(dir: &Path, first: Date, now_ms: i64) {
    // On the second day the line to the gauge has a glitch: no hour has so much rain.
    let rain = |hour| if hour == 30 { 13_107 } else { 0 };
    let mut csv = "time,air_temperature,relative_humidity,wind_speed,rain\n".to_owned();
    let begin_ms = first.begins_at(OFFSET_MIN).0;
    for hour in 0..(now_ms - begin_ms) / 3_600_000 {
        let warm =
            [18, 17, 17, 16, 16, 16, 17, 19, 22, 24, 26, 28, 29, 30, 30, 29, 28, 26, 24, 22, 21, 20, 19, 19]
                [usize::try_from(hour % 24).unwrap()];
        let at_s = begin_ms / 1000 + hour * 3600 + 600;
        writeln!(csv, "{at_s},{warm},{},1.2,{}", 110 - warm * 2, rain(hour)).unwrap();
    }
    let file = dir.join("weather.csv");
    std::fs::write(&file, csv).unwrap();
    let args = ["import", "csv", "--data", dir.to_str().unwrap(), file.to_str().unwrap(), "--device", "st01"];
    let done = run(&args);
    assert!(done.status.success(), "{}", text(&done.stderr));
}

#[test]
fn a_program_gives_back_what_weather_took() {
    let now_ms = Clock::system(None).wall_unchecked().0;
    let today = Date::of(giot_shared::time::UnixMs(now_ms), OFFSET_MIN);
    let first = today.plus_days(-DAYS);
    let dir = TempDir::with_prefix("giot-balance-").unwrap();
    farm(dir.path(), first);
    weather(dir.path(), first, now_ms);
    let gateway = Giot::serve(dir.path(), &["--anonymous"]);
    let get = |path: &str| giot::get(&gateway.http, path);

    let balance = get("/api/v1/zones/man-1/balance");
    let days = balance["days"].as_array().unwrap();
    assert_eq!(days.len(), usize::try_from(DAYS).unwrap() + 1, "{balance}");
    let of = |day: &Value, key: &str| day[key].as_f64().unwrap();
    let whole = &days[..days.len() - 1];
    assert!(whole.iter().all(|day| day["et0_from"] == "penman_monteith"), "{balance}");
    assert!(whole.iter().all(|day| (2.0..7.0).contains(&of(day, "et0_mm"))), "{balance}");
    let taken: f64 = whole.iter().map(|day| of(day, "et_mm")).sum();
    let lack_mm = of(&balance, "lack_mm");
    assert!((lack_mm - 39.0 - taken).abs() < 0.1, "{lack_mm} {taken}");
    assert!(balance["n_guessed"] == 1 && days[1]["doubted"] == "rain_mm", "a glitch is told: {balance}");
    assert!(days.iter().all(|day| of(day, "rain_mm").to_bits() == 0));
    assert!((of(&balance, "available_mm") - 78.0).abs() < 0.1 && balance["crop_is_sourced"] == true);

    // Rules are rehearsed over days that are named: each of them was hot once. Half a wish is refused.
    let iso = |date: Date| format!("{}-{:02}-{:02}", date.year(), date.month(), date.day());
    let rehearsed = get(&format!("/api/v1/rules/test?from={}&to={}", iso(first), iso(today.plus_days(-1))));
    assert_eq!(rehearsed["n_firings"], DAYS, "{rehearsed}");
    assert_eq!(rehearsed["to"], today.begins_at(OFFSET_MIN).0);
    for bad in [
        "from=2026-03-01",
        "from=2026-03-02&to=2026-03-01",
        "from=2025-01-01&to=2025-03-01",
        "last=1d&from=2026-03-01&to=2026-03-02",
    ] {
        let (status, body) = giot::request(&gateway.http, "GET", &format!("/api/v1/rules/test?{bad}"), None);
        assert_eq!(status, 400, "{bad}: {body}");
    }

    // The next start is told with its depth; what later days will lack nobody knows.
    let refill = wait_for("the first count", Duration::from_secs(20), || {
        let preview = get("/api/v1/programs/preview?days=2");
        let notes = preview["starts"][0]["runs"][0]["notes"].as_array()?.clone();
        notes.into_iter().find(|note| note["code"] == "refill")
    });
    assert!((of(&refill["args"], "lack_mm") - lack_mm).abs() < 0.02, "{refill}");
    assert!((of(&refill["args"], "gross_mm") - lack_mm / 0.9).abs() < 0.02, "{refill}");
    let preview = get("/api/v1/programs/preview?days=2");
    let last = preview["starts"].as_array().unwrap().last().unwrap();
    assert_eq!(last["skipped"][0]["reason"]["code"], "balance_ahead", "{last}");

    // A person starts it: the diary has the depth, and once it waits it is not asked for a second time.
    let (status, body) = giot::request(&gateway.http, "POST", "/api/v1/programs/bu/start", Some("{}"));
    assert_eq!(status, 202, "{body}");
    wait_for("its entry in the diary", Duration::from_secs(10), || {
        get("/api/v1/diary?zone=man-1&limit=20").to_string().contains("\"refill\"").then_some(())
    });
}
