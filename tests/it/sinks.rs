//! P8, P9: what must go out waits on this machine's disk and arrives later, once, in real time-series stores that are away, refuse, are
//! killed or lose what they had taken.

use giot_gateway::clock::Clock;
use giot_store::Reader;
use giot_tests::giot::{Giot, get, run, text, wait_for};
use giot_tests::tsdb::{Influx, Series, TOKEN, pair, victoria, victoria_count, victoria_points};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(90);
const DAY_MS: i64 = 86_400_000;
/// Readings of a device arrive every ten minutes.
const STEP_MS: i64 = 600_000;

/// A midnight in UTC 35 days ago: stores refuse what lies in their future.
fn t0_ms() -> i64 {
    let now_ms = Clock::system(None).wall_unchecked().0;
    (now_ms / DAY_MS - 35) * DAY_MS
}

fn config(dir: &Path, url: &str, token: &str) -> String {
    let file = dir.join("farm.toml");
    let token_file = dir.join("token");
    std::fs::write(&token_file, format!("{token}\n")).unwrap();
    let text = format!(
        "cooperative = \"HTX Mận, hậu = ngon\"\n[[sink]]\nname = \"tinh\"\nurl = \"http://{url}\"\nbucket = \"htx\"\n\
         token_file = \"{}\"\ninterval_s = 1\n",
        token_file.display()
    );
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn serve(dir: &TempDir, config: &str) -> Giot {
    Giot::serve(&dir.path().join("data"), &["--anonymous", "--config", config])
}

fn data(dir: &TempDir) -> String {
    dir.path().join("data").to_str().unwrap().to_owned()
}

/// Publishes lines of JSON as one device and waits until all are acknowledged.
fn publish(mqtt: &str, device: &str, lines: &str) {
    use std::io::Write as _;
    let (host, port) = mqtt.rsplit_once(':').unwrap();
    let topic = format!("giot/v1/{device}/json");
    let mut child = Command::new("mosquitto_pub")
        .args(["-h", host, "-p", port, "-q", "1", "-i", device, "-t", &topic, "-l"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("mosquitto_pub; install it with `apt-get install mosquitto-clients`");
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Messages of a device between two moments, with so many values each.
fn messages(device: usize, from_ms: i64, to_ms: i64, n_values: usize) -> String {
    let mut lines = String::new();
    let mut at_ms = from_ms;
    while at_ms < to_ms {
        write!(lines, "{{\"ts\":{at_ms}").unwrap();
        for n in 0..n_values {
            let value = (at_ms / STEP_MS + i64::try_from(n * 7 + device).unwrap()) % 500;
            write!(lines, ",\"m{n:02}\":{}.{}", value / 10, value % 10).unwrap();
        }
        lines.push_str("}\n");
        at_ms += STEP_MS;
    }
    lines
}

/// Every value in the history: device, metric → times (ms) and values.
type Values = BTreeMap<(String, String), (Vec<i64>, Vec<f64>)>;

fn stored(data: &str) -> Values {
    let reader = Reader::open(Path::new(data)).unwrap();
    let mut all = Values::new();
    for series in reader.series().unwrap() {
        let (mut times, mut values) = (Vec::new(), Vec::new());
        reader
            .samples(&series.device, &series.metric, i64::MIN..i64::MAX, &mut |sample| {
                if let Some(value) = sample.value {
                    times.push(sample.at_us / 1000);
                    values.push(value);
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        all.insert((series.device.to_string(), series.metric.to_string()), (times, values));
    }
    all
}

/// The same of a VictoriaMetrics.
fn victoria_values(address: &str) -> Values {
    let series = victoria_points(address, ".%2B_value").into_iter().map(|series| {
        let Series { labels, times, values } = series;
        let label = |name: &str| labels[name].as_str().unwrap_or_default().to_owned();
        let metric = label("__name__").trim_end_matches("_value").to_owned();
        ((label("device"), metric), (times, values))
    });
    series.collect()
}

fn n_points(values: &Values) -> usize {
    values.values().map(|(times, _)| times.len()).sum()
}

/// Waits until a VictoriaMetrics has at least so many values, and compares them with the history, one by one.
fn assert_arrives(address: &str, data: &str, n: usize) {
    wait_for("all points in the store", PATIENCE, || (victoria_count(address) >= n).then_some(()));
    let has = victoria_values(address);
    let expected = stored(data);
    assert_eq!((n_points(&has), n_points(&expected)), (n, n));
    assert!(has == expected, "the same values at the same times");
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number")
}

fn state(giot: &Giot) -> String {
    get(&giot.http, "/api/v1/overview")["sinks"][0]["state"].as_str().unwrap().to_owned()
}

#[test]
fn thirty_days_without_a_sink_arrive_once_and_memory_stays_flat() {
    let n_devices: usize = std::env::var("GIOT_SINK_DEVICES").map_or(2, |n| n.parse().unwrap());
    let n_values = 20;
    let dir = TempDir::new().unwrap();
    let mut sink = victoria().unwrap();
    let config = config(dir.path(), &sink.address(), TOKEN);
    let giot = serve(&dir, &config);
    let day = |day: i64| {
        for device in 0..n_devices {
            let from_ms = t0_ms() + day * DAY_MS;
            publish(
                &giot.mqtt,
                &format!("d{device}"),
                &messages(device, from_ms, from_ms + DAY_MS, n_values),
            );
        }
        resident_kib(giot.pid())
    };
    let early_kib = (0..6).map(day).max().unwrap();
    let late_kib = (6..30).map(day).max().unwrap();
    // A device that comes back late, and one that repeats itself.
    publish(&giot.mqtt, "late", &messages(9, t0_ms() + 3 * DAY_MS, t0_ms() + 4 * DAY_MS, 1));
    publish(&giot.mqtt, "d0", &messages(0, t0_ms(), t0_ms() + DAY_MS, n_values));
    assert_eq!(state(&giot), "away");
    let status = run(&["sink", "status", "--data", &data(&dir)]);
    assert_eq!(status.status.code(), Some(1), "it needs attention");
    assert!(text(&status.stdout).contains("sink tinh: away"), "{}", text(&status.stdout));
    let n = n_devices * n_values * 30 * 144 + 144;
    assert!(giot.stop().success());

    sink.start().unwrap();
    let giot = serve(&dir, &config);
    assert_arrives(&sink.address(), &data(&dir), n);
    let sending_kib = resident_kib(giot.pid());
    println!(
        "{n} readings of 30 days; resident KiB: first days {early_kib}, later {late_kib}, sending {sending_kib}"
    );
    assert!(late_kib < early_kib + 12 * 1024, "{early_kib} KiB in the first days, later {late_kib}");
    assert!(sending_kib < early_kib + 24 * 1024, "{early_kib} KiB in the first days, sending {sending_kib}");
    // Late data into a day long sent.
    publish(&giot.mqtt, "late", &messages(9, t0_ms() + 2 * DAY_MS, t0_ms() + 3 * DAY_MS, 1));
    assert_arrives(&sink.address(), &data(&dir), n + 144);
    assert_eq!(state(&giot), "ok");
}

#[test]
fn what_a_killed_store_had_acknowledged_is_sent_again() {
    let dir = TempDir::new().unwrap();
    let mut sink = victoria().unwrap();
    sink.start().unwrap();
    let giot = serve(&dir, &config(dir.path(), &sink.address(), TOKEN));
    publish(&giot.mqtt, "d0", &messages(0, t0_ms(), t0_ms() + DAY_MS, 2));
    wait_for("taken", PATIENCE, || {
        let sinks = get(&giot.http, "/api/v1/overview")["sinks"][0]["taken_at"].as_i64();
        sinks.filter(|_| n_points(&stored(&data(&dir))) == 288)
    });
    sink.kill();
    publish(&giot.mqtt, "d0", &messages(0, t0_ms() + DAY_MS, t0_ms() + 2 * DAY_MS, 2));
    wait_for("noticed", PATIENCE, || (state(&giot) == "away").then_some(()));
    sink.start().unwrap();
    assert_arrives(&sink.address(), &data(&dir), 576);
}

#[test]
fn a_pair_of_stores_is_whole_after_one_and_its_feeder_were_killed() {
    let dir = TempDir::new().unwrap();
    let mut pair = pair().unwrap();
    let giot = serve(&dir, &config(dir.path(), &pair.front.address(), TOKEN));
    let day = |day: i64| {
        let from_ms = t0_ms() + day * DAY_MS;
        publish(&giot.mqtt, "d0", &messages(0, from_ms, from_ms + DAY_MS, 2));
    };
    day(0);
    assert_arrives(&pair.stores[0].address(), &data(&dir), 288);
    pair.stores[1].kill();
    day(1);
    assert_arrives(&pair.stores[0].address(), &data(&dir), 576);
    // What it keeps for the dead store is in its memory.
    pair.agent.kill();
    day(2);
    wait_for("noticed", PATIENCE, || (state(&giot) == "away").then_some(()));
    pair.stores[1].start().unwrap();
    pair.agent.start().unwrap();
    for store in &pair.stores {
        assert_arrives(&store.address(), &data(&dir), 864);
    }
}

#[test]
fn influxdb_gets_names_types_and_rights_right() {
    let dir = TempDir::new().unwrap();
    let mut influx = Influx::start("htx").unwrap();
    let wrong = config(dir.path(), &influx.front.address(), "wrong");
    let tried = run(&["sink", "test", "--data", &data(&dir), "--config", &wrong]);
    assert_eq!(tried.status.code(), Some(1));
    let said = text(&tried.stdout);
    assert!(
        said.contains("BAD   tinh: HTTP 401") && said.contains("token") && !said.contains("wrong"),
        "{said}"
    );

    let config = config(dir.path(), &influx.front.address(), TOKEN);
    let tried = run(&["sink", "test", "--data", &data(&dir), "--config", &config]);
    assert!(tried.status.success(), "{}", text(&tried.stdout));
    // The bucket holds text where this gateway has numbers.
    let text_line = format!("m01,device=x value=\"chữ\" {}", t0_ms() * 1_000_000);
    let path = "/write?db=htx";
    let (status, body) = giot_tests::giot::request(&influx.engine.address(), "POST", path, Some(&text_line));
    assert_eq!(status, 204, "{body}");
    let giot = serve(&dir, &config);
    publish(&giot.mqtt, "d0", &messages(0, t0_ms(), t0_ms() + DAY_MS, 2));
    let count = |influx: &Influx| {
        let answer = influx
            .ask("htx", "SELECT count(value), sum(value) FROM m00 WHERE device = 'd0' GROUP BY cooperative");
        let series = answer["results"][0]["series"][0].clone();
        let row = series["values"][0].clone();
        (row[1].as_u64().unwrap_or(0), row[2].as_f64().unwrap_or(0.0), series["tags"]["cooperative"].clone())
    };
    let sum: f64 = stored(&data(&dir))[&("d0".to_owned(), "m00".to_owned())].1.iter().sum();
    let has = wait_for("a day in InfluxDB", PATIENCE, || Some(count(&influx)).filter(|has| has.0 == 144));
    assert!((has.1 - sum).abs() < 1e-6, "{} {sum}", has.1);
    assert_eq!(has.2, "HTX Mận, hậu = ngon");
    let refused = wait_for("refused lines", PATIENCE, || {
        let refused = get(&giot.http, "/api/v1/overview")["sinks"][0]["refused"].as_u64();
        refused.filter(|refused| *refused >= 144)
    });
    assert_eq!(refused, 144, "the readings that meet text, and nothing else");

    influx.engine.kill();
    publish(&giot.mqtt, "d0", &messages(0, t0_ms() + 10 * DAY_MS, t0_ms() + 11 * DAY_MS, 1));
    wait_for("noticed", PATIENCE, || (state(&giot) == "away").then_some(()));
    influx.engine.start().unwrap();
    wait_for("two days in InfluxDB", PATIENCE, || (count(&influx).0 == 288).then_some(()));
    let status = run(&["sink", "status", "--data", &data(&dir)]);
    assert!(text(&status.stdout).contains("field type conflict"), "{}", text(&status.stdout));
}

/// A server over TLS that answers `/ping` on a port, or on any for 0; ended by dropping it, without a word to its clients.
struct TlsServer {
    child: std::process::Child,
    port: u16,
}

impl TlsServer {
    fn start(dir: &Path, port: u16) -> Self {
        use std::io::BufRead as _;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/tls_sink.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args([port.to_string().into(), dir.join("cert.pem"), dir.join("key.pem")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().expect("a port") }
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_restart_is_noticed_over_tls_too() {
    use giot_gateway::sinks::influx::{Influx, Target};
    use giot_gateway::sinks::verdict::Answer;
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name);
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    openssl.args(["-days", "2", "-subj", "/CN=giot test", "-addext", "subjectAltName=DNS:localhost"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]).arg(path("key.pem"));
    let made = openssl.arg("-out").arg(path("cert.pem")).output().expect("openssl");
    assert!(made.status.success(), "{}", text(&made.stderr));
    let server = TlsServer::start(dir.path(), 0);
    let port = server.port;
    let target = Target {
        url: format!("https://localhost:{port}"),
        org: String::new(),
        bucket: "htx".to_owned(),
        token: TOKEN.to_owned(),
        ca_pem: Some(std::fs::read(path("cert.pem")).unwrap()),
    };
    let influx = Influx::new(&target).unwrap();
    let there = Answer::Status(204, String::new());
    // As in a gateway not one directly after the other: meanwhile the client has its connection back.
    let ask = || async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        influx.ping().await
    };
    for _ in 0..2 {
        assert_eq!(ask().await, there);
    }
    drop(server);
    let _server = TlsServer::start(dir.path(), port);
    let after = ask().await;
    assert!(matches!(&after, Answer::None(why) if why.contains("restarted")), "{after:?}");
    assert_eq!(ask().await, there);
}
