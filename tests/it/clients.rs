//! Anybody's MQTT client works with a device's credentials inside that device's topics, and nowhere else: Mosquitto's
//! command-line tools and Python's paho, in MQTT 3.1.1 and 5, against the embedded broker as `giot serve` runs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

use giot_tests::giot::{self, Credentials, Giot, text};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use tempfile::TempDir;

const OWN: &str = "bridge-1";
const FOREIGN: &str = "bridge-2";

/// A gateway with two devices.
struct Site {
    dir: TempDir,
    gateway: Giot,
    own: Credentials,
    foreign: Credentials,
}

impl Site {
    fn new() -> Self {
        let dir = TempDir::with_prefix("giot-clients-").unwrap();
        let own = giot::add_node(dir.path(), OWN, "json");
        let gateway = Giot::serve(dir.path(), &[]);
        // A running gateway knows a new device at its first login.
        let foreign = giot::add_node(dir.path(), FOREIGN, "json");
        Self { dir, gateway, own, foreign }
    }

    fn address(&self) -> (&str, &str) {
        self.gateway.mqtt.rsplit_once(':').unwrap()
    }

    /// One of Mosquitto's tools, logged in. `stdbuf` makes it print each line at once into a pipe.
    fn tool(&self, name: &str, version: &str, user: &str, password: &str) -> Command {
        let (host, port) = self.address();
        let mut command = Command::new("stdbuf");
        command.args([
            "-oL", name, "-h", host, "-p", port, "-V", version, "-u", user, "-P", password, "-q", "1",
        ]);
        command.stdin(Stdio::null());
        command
    }

    /// Whether the broker confirmed a message.
    fn publish(&self, version: &str, (user, password): (&str, &str), topic: &str, payload: &str) -> bool {
        let mut tool = self.tool("mosquitto_pub", version, user, password);
        let out = tool.args(["-t", topic, "-m", payload]).output().unwrap();
        out.status.success() && !text(&out.stderr).contains("Not authorized")
    }
}

/// A running `mosquitto_sub -d`, whose subscription was granted. Killed when dropped.
struct Subscriber {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Subscriber {
    fn new(mut tool: Command, filter: &str) -> Self {
        let mut child = tool
            .args(["-t", filter, "-W", "60", "-d"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_sub");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut subscriber = Self { child, lines };
        while subscriber.line() != "Subscribed (mid: 1): 1" {}
        subscriber
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("mosquitto_sub ended").unwrap()
    }

    /// The next payload.
    fn payload(&mut self) -> String {
        loop {
            let line = self.line();
            if line.starts_with('{') {
                return line;
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Whether the broker refused a subscription.
fn is_refused(mut tool: Command, filter: &str) -> bool {
    let out = tool.args(["-t", filter, "-W", "10"]).output().unwrap();
    text(&out.stderr).contains("All subscription requests were denied")
}

#[test]
fn a_device_under_the_client_id_of_another_does_not_keep_it_out() {
    let site = Site::new();
    let as_own = |user: &str, password: &str| {
        let mut tool = site.tool("mosquitto_sub", "mqttv5", user, password);
        tool.args(["-i", OWN]);
        tool
    };
    let mut foreign =
        Subscriber::new(as_own(FOREIGN, &site.foreign.password), &format!("giot/v1/{FOREIGN}/#"));
    let mut own = Subscriber::new(as_own(OWN, &site.own.password), &format!("giot/v1/{OWN}/#"));
    for (credentials, name, subscriber) in
        [(&site.own, OWN, &mut own), (&site.foreign, FOREIGN, &mut foreign)]
    {
        let topic = format!("giot/v1/{name}/json");
        assert!(site.publish(
            "mqttv5",
            (name, &credentials.password),
            &topic,
            "{\"ts\":1700000000,\"level\":1}"
        ));
        assert!(subscriber.payload().contains("level"), "{name} was pushed out");
    }
}

#[test]
fn a_message_that_cannot_be_used_is_confirmed_and_its_sender_told_where_mqtt_can() {
    let site = Site::new();
    let topic = format!("giot/v1/{OWN}/json");
    for (version, is_told) in [("mqttv311", false), ("mqttv5", true)] {
        for quality in ["1", "2"] {
            let send = |payload: &str| {
                let mut tool = site.tool("mosquitto_pub", version, OWN, &site.own.password);
                tool.args(["-t", &topic, "-m", payload, "-q", quality]).output().unwrap()
            };
            let out = send(r#"{"level":"high"}"#);
            let said = format!("{version}, QoS {quality}: {}", text(&out.stderr));
            assert!(out.status.success() || is_told, "{said}");
            assert_eq!(text(&out.stderr).contains("Payload format invalid"), is_told, "{said}");
            let out = send(r#"{"ts":1700000000,"level":1}"#);
            assert!(out.status.success() && out.stderr.is_empty(), "{version}: {}", text(&out.stderr));
        }
    }
    assert_eq!(metrics(site.dir.path(), OWN), ["level"]);
}

#[test]
fn mosquittos_tools_work_inside_and_are_refused_outside() {
    let site = Site::new();
    for (n, version) in ["mqttv311", "mqttv5"].into_iter().enumerate() {
        let sub = |user: &str, password: &str| site.tool("mosquitto_sub", version, user, password);
        let own_topic = format!("giot/v1/{OWN}/json");
        let mut own = Subscriber::new(sub(OWN, &site.own.password), &format!("giot/v1/{OWN}/#"));
        let mut foreign =
            Subscriber::new(sub(FOREIGN, &site.foreign.password), &format!("giot/v1/{FOREIGN}/#"));
        let payload = format!("{{\"ts\":{},\"level\":{n}}}", 1_700_000_000 + n);
        assert!(site.publish(version, (OWN, &site.own.password), &own_topic, &payload), "{version}: inside");
        assert_eq!(own.payload(), payload, "{version}");

        assert!(
            !site.publish(version, (OWN, "wrong"), &own_topic, r#"{"forged":1}"#),
            "{version}: wrong password"
        );
        for filter in ["#", "$SYS/#", "giot/v1/#", "giot/v1/+/json", &format!("giot/v1/{FOREIGN}/#")] {
            assert!(is_refused(sub(OWN, &site.own.password), filter), "{version}: {filter}");
        }
        // A 3.1.1 broker cannot say no to a publish; what counts is that it goes nowhere.
        for channel in ["json", "up", "down", "status"] {
            let topic = format!("giot/v1/{FOREIGN}/{channel}");
            let confirmed = site.publish(version, (OWN, &site.own.password), &topic, r#"{"forged":1}"#);
            assert!(!confirmed || version == "mqttv311", "{version}: {topic} was confirmed");
        }
        // Behind all of that, a message of the other device's own.
        let mark = format!("{{\"ts\":{},\"own\":{n}}}", 1_700_000_000 + n);
        let foreign_topic = format!("giot/v1/{FOREIGN}/json");
        assert!(site.publish(version, (FOREIGN, &site.foreign.password), &foreign_topic, &mark));
        assert_eq!(foreign.payload(), mark, "{version}: nothing forged came before it");
    }
    let values = |device, metric| -> Vec<String> {
        giot::export(site.dir.path(), device, metric).into_iter().map(|row| row.1).collect()
    };
    assert_eq!(values(OWN, "level"), ["0", "1"]);
    assert_eq!(values(FOREIGN, "own"), ["0", "1"]);
    assert_eq!(metrics(site.dir.path(), OWN), ["level"]);
    assert_eq!(metrics(site.dir.path(), FOREIGN), ["own"], "nothing forged is stored");
}

/// What is stored of a device.
fn metrics(data: &Path, device: &str) -> Vec<String> {
    let out = giot::run(&["export", "--data", data.to_str().unwrap(), "--device", device]);
    text(&out.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn pythons_paho_works_inside_and_is_refused_outside() {
    let site = Site::new();
    let python = std::env::var_os("GIOT_PYTHON").unwrap_or_else(|| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/paho_client.py");
    for version in ["311", "5"] {
        let (host, port) = site.address();
        let out = Command::new(&python)
            .arg(&script)
            .args([host, port, OWN, &site.own.password, version, OWN, FOREIGN])
            .output()
            .expect("a Python with paho-mqtt: set GIOT_PYTHON");
        assert!(out.status.success(), "{version}: {}", text(&out.stderr));
        let report: Value = serde_json::from_slice(&out.stdout).unwrap();
        let get = |question: &str| report[question].clone();
        assert_eq!(get("connect"), json!(0), "{report}");
        assert_eq!(get("subscribe_own"), json!(1), "{report}");
        assert_eq!(get("publish_own"), json!(0), "{report}");
        assert_ne!(get("connect_wrong"), json!(0), "{report}");
        for what in ["foreign", "all", "prefix", "any", "system"] {
            let code = get(&format!("subscribe_{what}"));
            assert!(
                code == "gone" || code.as_u64().is_some_and(|code| code >= 0x80),
                "{version} {what}: {report}"
            );
        }
        for what in ["foreign", "foreign_down", "own_down", "elsewhere"] {
            let code = get(&format!("publish_{what}"));
            let is_refused = code == "gone" || code.as_u64().is_some_and(|code| code >= 0x80);
            // MQTT 3.1.1 has no word for it in a PUBACK.
            assert!(is_refused || (version == "311" && code == 0), "{version} {what}: {report}");
        }
    }
    assert_eq!(metrics(site.dir.path(), OWN), ["paho"]);
    let rows = giot::export(site.dir.path(), OWN, "paho");
    let values: Vec<&str> = rows.iter().map(|row| row.1.as_str()).collect();
    assert_eq!(values, ["5", "311"]);
    assert!(metrics(site.dir.path(), FOREIGN).is_empty(), "nothing forged is stored");
}
