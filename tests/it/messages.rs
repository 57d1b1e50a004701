//! What the diary says of faults, locks and rules reaches people by HTTP: once, in words, also after the Internet was away, and after a
//! restart.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use giot_shared::wire::ResetCause;
use giot_tests::giot;
use giot_tests::node::PATIENCE;
use serde_json::{Value, json};

use crate::farm::{Farm, ZONE};

/// What a service of messages was asked.
struct Asked {
    head: String,
    body: String,
}

/// A service that says yes to every message until it is told to be away.
struct Service {
    url: String,
    status: Sender<u16>,
    asked: Receiver<Asked>,
}

impl Service {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/vuon?key=k3y", listener.local_addr().unwrap());
        let (status, statuses) = channel();
        let (sender, asked) = channel();
        std::thread::spawn(move || {
            let mut status = 200;
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                // One that a killed gateway left half told is none.
                let Some(request) = read(&mut socket) else { continue };
                while let Ok(next) = statuses.try_recv() {
                    status = next;
                }
                let answer = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
                if socket.write_all(answer.as_bytes()).is_err() {
                    continue;
                }
                if sender.send(request).is_err() {
                    return;
                }
            }
        });
        Self { url, status, asked }
    }

    fn next(&self) -> Asked {
        self.asked.recv_timeout(PATIENCE).expect("a message arrives")
    }
}

fn read(socket: &mut TcpStream) -> Option<Asked> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        let n = socket.read(&mut piece).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        if body.len() >= length.parse().ok()? {
            return Some(Asked { head: head.clone(), body: body.to_owned() });
        }
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn command(args: &[&str]) -> (Option<i32>, String) {
    let out = giot::run(args);
    (out.status.code(), giot::text(&out.stdout) + &giot::text(&out.stderr))
}

/// Locks the zone with a note, or unlocks it.
fn lock(farm: &Farm, note: Option<&str>) {
    let way = if note.is_some() { "lock" } else { "unlock" };
    let body = note.map(|note| json!({ "note": note }).to_string());
    let path = format!("/api/v1/zones/{ZONE}/{way}");
    let (status, answer) = giot::request(&farm.gateway().http, "POST", &path, body.as_deref());
    assert!((200..300).contains(&status), "{status} {answer}");
}

#[test]
fn a_lock_is_told_in_words_once_and_what_waited_comes_in_one_message() {
    let (text, json) = (Service::start(), Service::start());
    let tables = format!(
        "cooperative = \"HTX Nà Sản\"\n[[message]]\nname = \"to\"\nurl = \"{}\"\ntoken = \"s3cret\"\nevents = [\"locked\"]\n\
         [[message]]\nname = \"html\"\nurl = \"{}\"\nevents = [\"locked\", \"unlocked\"]\nlanguage = \"en\"\n\
         fields = {{ chat_id = \"-100\" }}\nzones = [\"{ZONE}\"]\n",
        text.url, json.url
    );
    let mut farm = Farm::on_broker("", &tables);
    lock(&farm, Some("vỡ ống"));
    let told = text.next();
    assert!(told.head.starts_with("post /vuon?key=k3y http/1.1"), "{}", told.head);
    assert!(
        told.head.contains("authorization: bearer s3cret") && told.head.contains("text/plain; charset=utf-8")
    );
    let lines: Vec<&str> = told.body.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, "HTX Nà Sản"), "{}", told.body);
    assert!(lines[1].contains(&format!("{ZONE}: Đã khoá: ")) && lines[1].contains("vỡ ống"), "{}", told.body);
    let object: Value = serde_json::from_str(&json.next().body).expect("JSON");
    assert_eq!((object["chat_id"].as_str(), object["title"].as_str()), (Some("-100"), Some("HTX Nà Sản")));
    assert_eq!(object["entries"][0]["event"], "locked");
    assert!(object["text"].as_str().unwrap().contains(&format!("{ZONE}: Locked: ")), "{object}");

    // The service is away, then the gateway is killed: nothing is lost and nothing comes twice.
    text.status.send(503).unwrap();
    lock(&farm, None);
    lock(&farm, Some("tắc"));
    assert!(text.next().body.contains("tắc"), "it was tried");
    farm.kill();
    while text.asked.try_recv().is_ok() {}
    farm.restart();
    assert!(text.next().body.contains("tắc"), "it was tried again");
    text.status.send(200).unwrap();
    lock(&farm, None);
    lock(&farm, Some("rò"));
    let mut lines: Vec<String> = Vec::new();
    while lines.len() < 2 {
        let told = text.next();
        lines.extend(told.body.lines().skip(1).map(str::to_owned).collect::<Vec<_>>());
        // Tries that nobody took may stand before.
        lines.dedup();
    }
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("tắc") && lines[1].contains("rò"), "{lines:?}");
    assert!(text.asked.recv_timeout(Duration::from_secs(3)).is_err(), "told once");
    // What the kill came in between of is told again: entries are known by their place in the diary.
    let known: BTreeMap<i64, String> =
        std::iter::from_fn(|| json.asked.recv_timeout(Duration::from_secs(2)).ok())
            .flat_map(|told| {
                let object: Value = serde_json::from_str(&told.body).expect("JSON");
                let entries = object["entries"].as_array().unwrap().iter();
                entries
                    .map(|entry| (entry["id"].as_i64().unwrap(), text_of(&entry["event"])))
                    .collect::<Vec<_>>()
            })
            .collect();
    assert_eq!(known.into_values().collect::<Vec<_>>(), ["unlocked", "locked", "unlocked", "locked"]);
}

#[test]
fn a_message_is_tried_by_a_command_that_shows_no_address() {
    let service = Service::start();
    let tables = format!("[[message]]\nname = \"to\"\nurl = \"{}\"\n", service.url);
    let farm = Farm::on_broker("", &tables);
    let data = farm.dir.path().to_str().unwrap();
    let (code, out) = command(&["message", "test", "--data", data]);
    assert_eq!((code, out.contains("ok    to takes messages")), (Some(0), true), "{out}");
    assert!(service.next().body.contains("Tin nhắn thử"));
    service.status.send(403).unwrap();
    let (code, out) = command(&["message", "test", "--data", data, "to"]);
    assert_eq!((code, out.contains("token")), (Some(1), true), "{out}");
    let (_, shown) = command(&["farm", "show", "--data", data]);
    assert!(!shown.contains("k3y") && shown.contains("url = \"***\""), "{shown}");
    let (code, out) = command(&["message", "status", "--data", data]);
    assert_eq!((code, out.contains("message to: told up to entry")), (Some(0), true), "{out}");
}

/// OpenSprinkler notifies by kind: each service has asked for one kind of event, hears of every one of it and of no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opensprinkler_notifications_per_kind() {
    /// Kind, and the reasons that it comes with.
    const KINDS: [(&str, &[&str]); 9] = [
        ("started", &["manual_start"]),
        ("confirmed", &["manual_start"]),
        ("stopping", &["manual_stop"]),
        ("stopped", &["manual_stop"]),
        ("adjusted", &["rain_delay", "rain_delay_ended"]),
        ("reported", &["irrigated_by_hand"]),
        ("refused", &["locked"]),
        ("locked", &["locked"]),
        ("unlocked", &["unlocked"]),
    ];
    let services = KINDS.map(|_| Service::start());
    let table = |((kind, _), service): (&(&str, &[&str]), &Service)| {
        let url = &service.url;
        format!("[[message]]\nname = \"{kind}\"\nurl = \"{url}\"\nevents = [\"{kind}\"]\nformat = \"json\"\n")
    };
    let tables: String = KINDS.iter().zip(&services).map(table).collect();
    let farm = Farm::on_broker("lease_min = 0.1\nautomatic = false", &tables);
    let mut node = farm.kit().boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    let post = |path: &str, body: &str| {
        let (status, answer) = farm.post(path, body);
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
    };
    let now = giot::get(&farm.gateway().http, "/api/v1/overview")["now"].as_i64().unwrap();
    post("pause", &format!("{{\"until\":{},\"rain\":true}}", now + 3_600_000));
    post("pause", "{\"until\":null,\"rain\":true}");
    farm.start_run(5.0);
    post(&format!("zones/{ZONE}/stop"), "");
    farm.until_closing(0);
    farm.until_idle();
    post(&format!("zones/{ZONE}/irrigated"), "{\"minutes\":5,\"litres\":100}");
    lock(&farm, Some("sửa ống"));
    let (status, answer) = farm.post(&format!("zones/{ZONE}/start"), "{\"minutes\":1}");
    assert!(status == 202 || status == 409, "{status} {answer}");
    lock(&farm, None);
    for ((kind, reasons), service) in KINDS.iter().zip(&services) {
        let mut told: Vec<String> = Vec::new();
        while told.len() < reasons.len() {
            let letter: Value = serde_json::from_str(&service.next().body).expect("JSON");
            for entry in letter["entries"].as_array().unwrap() {
                assert_eq!(entry["event"], *kind, "{letter}");
                told.push(text_of(&entry["reason"]));
            }
        }
        assert_eq!(told, *reasons, "{kind}");
        assert!(service.asked.recv_timeout(Duration::from_millis(100)).is_err(), "{kind}: once");
    }
}
