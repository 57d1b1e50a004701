//! P1 and P2: a station's history arrives in the store whole and once, at its true times, whoever is killed meanwhile.
//!
//! The file is held against `giot export`, line by line, by code that shares nothing with the replay's own comparison.
//! Kills come at random points of the way; the seed is printed, and `GIOT_SEED` repeats it. `GIOT_STATION=FILE` takes a real
//! station's file in the place of a generated one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests fail the test"
)]

use giot_gateway::clock::Clock;
use giot_store::Reader;
use giot_tests::giot::{self, Giot, text, wait_for};
use giot_tests::mosquitto::{GATEWAY_USER, Mosquitto, PASSWORD};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Longest time for the whole generated file, with every kill on its way.
const LIMIT: Duration = Duration::from_secs(240);

/// Heading, device, metric, and the range outside of which a value is impossible.
const SERIES: [(&str, &str, &str, f64, f64); 14] = [
    ("vwc_5cm", "depth-5cm", "soil_vwc", 0.0, 1.0),
    ("soiltemp_5cm", "depth-5cm", "soil_temperature", -40.0, 80.0),
    ("vwc_20cm", "depth-20cm", "soil_vwc", 0.0, 1.0),
    ("soiltemp_20cm", "depth-20cm", "soil_temperature", -40.0, 80.0),
    ("vwc_40cm", "depth-40cm", "soil_vwc", 0.0, 1.0),
    ("soiltemp_40cm", "depth-40cm", "soil_temperature", -40.0, 80.0),
    ("prcp", "weather", "rain", 0.0, 500.0),
    ("battv", "weather", "battery", 0.0, 60_000.0),
    ("tavg", "weather", "air_temperature", -50.0, 60.0),
    ("rhavg", "weather", "relative_humidity", 0.0, 100.0),
    ("pressure", "weather", "air_pressure", 50.0, 115.0),
    ("srad", "weather", "solar_radiation", 0.0, 50.0),
    ("wspd", "weather", "wind_speed", 0.0, 90.0),
    ("vpd", "weather", "vapour_pressure_deficit", 0.0, 20.0),
];

/// A small generator (SplitMix64, Steele et al. 2014): the same seed, the same test.
struct Dice(u64);

impl Dice {
    /// A printed seed: `GIOT_SEED`, or a new one.
    fn new() -> Self {
        let seed = std::env::var("GIOT_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| Clock::system(None).wall_us_unchecked().unsigned_abs());
        println!("GIOT_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % end
    }
}

/// A station's hourly file with missing values, missing hours and impossible values.
fn station_csv(dice: &mut Dice, n_rows: u64) -> String {
    let mut csv = "datetime,vwc_5cm,soiltemp_5cm,vwc_20cm,prcp,battv,rhavg,wdir\n".to_owned();
    let mut hour = 0;
    for _ in 0..n_rows {
        // Sometimes the logger slept for up to a day.
        hour += if dice.below(50) == 0 { 1 + dice.below(24) } else { 1 };
        let (day, clock) = (hour / 24, hour % 24);
        // Years of twelve months of 28 days: every date exists.
        let (year, month, date) = (2020 + day / 336, 1 + day / 28 % 12, 1 + day % 28);
        write!(csv, "{year:04}-{month:02}-{date:02} {clock:02}:00:00").unwrap();
        // Decimals, lowest value and number of values, in steps of the last decimal.
        for (decimals, low, n_values) in [
            (3, 0, 600),
            (1, -300, 800),
            (3, 0, 600),
            (3, 0, 40_000),
            (1, 60_000, 70_000),
            (3, 90_000, 10_000),
        ] {
            let scale = 10_f64.powi(decimals);
            let value = match dice.below(40) {
                0 => None,
                // Below every possible value of these metrics.
                1 => Some(f64::from(-9999)),
                _ => Some(f64::from(low + i32::try_from(dice.below(n_values)).unwrap())),
            };
            match value {
                Some(value) => write!(csv, ",{}", value / scale).unwrap(),
                None => csv.push_str(if dice.below(2) == 0 { "," } else { ",NA" }),
            }
        }
        csv.push_str(",12\n");
    }
    csv
}

/// A line of an export: time, value, quality.
type Line = (String, Option<f64>, &'static str);

/// What the export of one series must be.
fn expected(csv: &str, heading: &str, possible: (f64, f64)) -> Option<Vec<Line>> {
    let mut lines = csv.lines();
    let column = lines.next()?.split(',').position(|have| have == heading)?;
    let line = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let value: Option<f64> = cells[column].parse().ok().filter(|value: &f64| value.is_finite());
        let quality = match value {
            None => "missing",
            Some(value) if value < possible.0 || value > possible.1 => "out_of_range",
            Some(_) => "good",
        };
        // Minus zero is zero.
        (format!("{}Z", cells[0].replace(' ', "T")), value.map(|value| value + 0.0), quality)
    };
    Some(lines.map(line).collect())
}

/// Holds the exports of every series against the file: count, times, values, flags.
fn exports_equal_the_file(data: &Path, csv: &str) {
    let (mut n_series, mut n_values, mut n_missing, mut n_impossible) = (0, 0, 0, 0);
    for (heading, device, metric, low, high) in SERIES {
        let Some(want) = expected(csv, heading, (low, high)) else { continue };
        let got = giot::export(data, device, metric);
        for (n, (got, want)) in got.iter().zip(&want).enumerate() {
            let value: Option<f64> = (!got.1.is_empty()).then(|| got.1.parse().unwrap());
            let same = value.map(f64::to_bits) == want.1.map(f64::to_bits);
            assert!(
                same && got.0 == want.0 && got.2 == want.2,
                "{heading}, row {n}: {got:?} instead of {want:?}"
            );
        }
        assert_eq!(got.len(), want.len(), "{heading}: {} lines, the file has {}", got.len(), want.len());
        n_series += 1;
        n_values += want.iter().filter(|line| line.1.is_some()).count();
        n_missing += want.iter().filter(|line| line.2 == "missing").count();
        n_impossible += want.iter().filter(|line| line.2 == "out_of_range").count();
    }
    println!(
        "{n_series} series: {n_values} values equal, {n_missing} missing and {n_impossible} impossible flagged"
    );
    assert!(n_series >= 6 && n_missing > 0 && n_impossible > 0, "the file tests too little");
    let doctor = giot::run(&["doctor", "--data", data.to_str().unwrap()]);
    assert!(doctor.status.success(), "{}", text(&doctor.stdout));
}

/// A file and a data folder.
struct Stage {
    dir: TempDir,
    csv: String,
    dice: Dice,
}

impl Stage {
    fn new(n_rows: u64) -> Self {
        let mut dice = Dice::new();
        let dir = TempDir::with_prefix("giot-replay-").unwrap();
        let csv = std::env::var_os("GIOT_STATION").map_or_else(
            || station_csv(&mut dice, n_rows),
            |file| {
                std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
            },
        );
        std::fs::write(dir.path().join("station.csv"), &csv).unwrap();
        Self { dir, csv, dice }
    }

    fn file(&self) -> String {
        self.dir.path().join("station.csv").to_str().unwrap().to_owned()
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn n_records(&self) -> u64 {
        let headings: Vec<&str> = self.csv.lines().next().unwrap().split(',').collect();
        let n_series = SERIES.iter().filter(|series| headings.contains(&series.0)).count();
        u64::try_from((self.csv.lines().count() - 1) * n_series).unwrap()
    }

    /// `giot replay` through a broker, as its own process.
    fn replay(&self, mqtt: &str) -> Replay {
        let data = self.data();
        let child = Command::new(giot::program())
            .args(["replay", &self.file(), "--data", data.to_str().unwrap(), "--mqtt", mqtt])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Replay(Some(child))
    }

    /// Records after which somebody is killed: one in each of `n` equal parts of the way, ends excluded.
    fn moments(&mut self, n: u64) -> Vec<u64> {
        let part = self.n_records() / (n + 1);
        (0..n).map(|idx| part / 2 + part * idx + self.dice.below(part)).collect()
    }

    /// Waits until the store has `n_wanted` samples, then a few milliseconds more.
    fn until_stored(&mut self, n_wanted: u64, replay: &mut Replay) {
        let data = self.data();
        wait_for(&format!("{n_wanted} samples stored"), LIMIT, || {
            let stats = Reader::open(&data).unwrap().stats().unwrap();
            (stats.n_samples >= n_wanted).then_some(())
        });
        std::thread::sleep(Duration::from_millis(self.dice.below(40)));
        let over = replay.0.as_mut().unwrap().try_wait().unwrap();
        assert!(
            over.is_none(),
            "the replay was over before {n_wanted} of {} records: {over:?}",
            self.n_records()
        );
    }
}

/// A running replay. Killed when dropped.
struct Replay(Option<Child>);

impl Replay {
    /// Waits for its end and its own verdict.
    fn finish(mut self) {
        let out = self.0.take().unwrap().wait_with_output().unwrap();
        let printed = text(&out.stdout);
        assert!(out.status.success(), "{}: {printed}", out.status);
        assert!(printed.contains("exactly once"), "{printed}");
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

#[test]
fn through_its_own_gateway_and_again() {
    let stage = Stage::new(400);
    let data = stage.data();
    let args = ["replay", &stage.file(), "--data", data.to_str().unwrap()];
    for _ in 0..2 {
        let out = giot::run(&args);
        assert!(out.status.success(), "{}{}", text(&out.stdout), text(&out.stderr));
        exports_equal_the_file(&data, &stage.csv);
    }
}

#[test]
fn the_gateway_is_killed_three_times() {
    let mut stage = Stage::new(3000);
    let mut gateway = Giot::serve(&stage.data(), &[]);
    let mqtt = gateway.mqtt.clone();
    let mut replay = stage.replay(&mqtt);
    for n_stored in stage.moments(3) {
        stage.until_stored(n_stored, &mut replay);
        gateway.kill();
        gateway = Giot::serve_at(&stage.data(), &mqtt, &[]);
    }
    replay.finish();
    exports_equal_the_file(&stage.data(), &stage.csv);
    assert_eq!(gateway.stop().code(), Some(0));
    exports_equal_the_file(&stage.data(), &stage.csv);
}

#[test]
fn mosquitto_is_killed_twice_and_the_gateway_once() {
    let mut stage = Stage::new(3000);
    let data = stage.data();
    std::fs::create_dir_all(&data).unwrap();
    let mut broker = Mosquitto::start("giot/v1", &[]).unwrap();
    for id in ["depth-5cm", "depth-20cm", "depth-40cm", "weather"] {
        broker.add_device(id, &giot::add_node(&data, id, "station").password).unwrap();
    }
    broker.restart().unwrap();
    let password = stage.dir.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let config = format!(
        "[broker]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"{GATEWAY_USER}\"\npassword_file = \"{}\"\n",
        broker.port(),
        password.display()
    );
    std::fs::write(data.join("giot.toml"), config).unwrap();
    let mut gateway = Giot::serve(&data, &[]);
    let mut replay = stage.replay(&format!("127.0.0.1:{}", broker.port()));
    for (n, n_stored) in stage.moments(3).into_iter().enumerate() {
        stage.until_stored(n_stored, &mut replay);
        if n == 1 {
            gateway.kill();
            gateway = Giot::serve(&data, &[]);
        } else {
            broker.kill();
            broker.restart().unwrap();
        }
    }
    replay.finish();
    exports_equal_the_file(&data, &stage.csv);
    assert_eq!(gateway.stop().code(), Some(0));
}

/// Two real years of a station, where the file lies beside the repository.
#[test]
fn two_years_of_a_real_station() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/kings_creek_2022_2023_hourly.csv");
    let Ok(csv) = std::fs::read_to_string(&file) else {
        println!("not there: {}", file.display());
        return;
    };
    let dir = TempDir::with_prefix("giot-replay-").unwrap();
    let out = giot::run(&["replay", file.to_str().unwrap(), "--data", dir.path().to_str().unwrap()]);
    assert!(out.status.success(), "{}{}", text(&out.stdout), text(&out.stderr));
    exports_equal_the_file(dir.path(), &csv);
}
