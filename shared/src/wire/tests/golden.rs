//! Golden files of the wire: what each message is, byte for byte, in `tests/golden/wire`.
//!
//! `NAME.hex` holds the bytes; `NAME.diag` beside it the same in diagnostic notation, kept by the tests that hold the
//! files against `giot.cddl`. A message of the present version never changes its bytes. `GIOT_BLESS=1` writes files
//! that are not there yet; it does not touch those that are.

use super::{
    Ack, Answer, Body, Close, CloseReason, CommandId, Downlink, EndedEpoch, Flaw, Health, Hello, Lost,
    Metric, Millilitres, Millivolts, NodeId, NodeKey, Open, Order, Position, Reading, Record, Records,
    RefusalReason, ResetCause, Settings, SettingsEvent, SettingsOutcome, SettingsText, UnixMs, UnmetBoot,
    Uplink, UptimeMs, ValveEvent, ValveId, ValveReport, Welcome, WireError, open, seal,
};
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;
use std::{format, println, vec};

/// The key of every sealed golden file: 00 01 02 … 1f.
pub(super) const KEY: NodeKey = NodeKey([
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    29, 30, 31,
]);

/// The bytes of one golden file.
pub(super) fn bytes(name: &str) -> Vec<u8> {
    let path = folder().join(format!("{name}.hex"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| u8::try_from(c.to_digit(16).expect("a hexadecimal digit")).expect("below 16"))
        .collect();
    digits.chunks(2).map(|pair| (pair[0] << 4) | pair[1]).collect()
}

/// All uplinks whose bytes are fixed.
pub(super) fn uplinks() -> Vec<(&'static str, Uplink)> {
    vec![
        ("uplink-hello", Uplink::Hello(hello())),
        ("uplink-hello-first-boot", Uplink::Hello(hello_of_first_boot())),
        (
            "uplink-hello-longest",
            Uplink::Hello(Hello {
                drift_ms: 0,
                ended: Default::default(),
                unmet: Default::default(),
                ..super::longest_hello()
            }),
        ),
        ("uplink-hello-after-sleep", Uplink::Hello(Hello { drift_ms: 5_184_000, ..hello_of_first_boot() })),
        (
            "uplink-hello-after-boots",
            Uplink::Hello(Hello {
                ended: [(2, 86_400_000), (5, 1_000)]
                    .map(|(epoch, last)| EndedEpoch { epoch, last: UptimeMs(last) })
                    .into_iter()
                    .collect(),
                ..hello_of_first_boot()
            }),
        ),
        (
            "uplink-hello-after-unmet-boots",
            Uplink::Hello(Hello {
                unmet: [(2, ResetCause::Watchdog), (3, ResetCause::PowerOn)]
                    .map(|(epoch, cause)| UnmetBoot { epoch, cause })
                    .into_iter()
                    .collect(),
                ..hello_of_first_boot()
            }),
        ),
        ("uplink-records", Uplink::Records(records())),
        ("uplink-records-next-epoch", Uplink::Records(records_after_boot())),
        ("uplink-records-longest", Uplink::Records(super::run_of(19, &super::longest_record()))),
        (
            "uplink-answer-accepted",
            Uplink::Answer(Answer {
                command: Some(CommandId(4711)),
                refused: None,
                uptime: UptimeMs(3_605_123),
            }),
        ),
        (
            "uplink-answer-refused",
            Uplink::Answer(Answer {
                command: Some(CommandId(4711)),
                refused: Some(RefusalReason::Expired),
                uptime: UptimeMs(3_605_123),
            }),
        ),
        (
            "uplink-answer-forged",
            Uplink::Answer(Answer {
                command: None,
                refused: Some(RefusalReason::BadMac),
                uptime: UptimeMs(9),
            }),
        ),
    ]
}

/// All downlinks whose bytes are fixed.
pub(super) fn downlinks() -> Vec<(&'static str, Downlink)> {
    let stored = Position { epoch: 7, seq: 1042 };
    let close = |valve| Order::Close(Close { command: CommandId(4712), valve });
    vec![
        (
            "downlink-welcome",
            Downlink::Welcome(Welcome {
                nonce: 0x0123_4567_89ab_cdef,
                unix: Some(UnixMs(1_700_000_000_123)),
                stored,
            }),
        ),
        (
            "downlink-welcome-clock-unset",
            Downlink::Welcome(Welcome { nonce: 1, unix: None, stored: Position::default() }),
        ),
        ("downlink-ack", Downlink::Ack(Ack { stored })),
        ("downlink-open", Downlink::Order(12, Order::Open(order_to_open(None)))),
        ("downlink-open-volume", Downlink::Order(13, Order::Open(order_to_open(Some(Millilitres(25_000)))))),
        ("downlink-open-outlet", Downlink::Order(17, Order::Open(outlet()))),
        ("downlink-open-longest", super::longest_downlink()),
        ("downlink-close", Downlink::Order(14, close(Some(ValveId(3))))),
        ("downlink-close-all", Downlink::Order(15, close(None))),
        ("downlink-settings", Downlink::Order(16, Order::Settings(settings()))),
    ]
}

/// Sealed messages whose bytes are fixed: the name, for whom, what is inside.
pub(super) fn sealed() -> Vec<(&'static str, NodeId, Downlink)> {
    let node = |text: &str| text.parse().expect("a node id");
    let inside = |name: &str| {
        let mut all = downlinks().into_iter();
        all.find(|(n, _)| *n == name).map(|(_, message)| message).expect("a golden downlink")
    };
    vec![
        ("sealed-welcome", node("n01"), inside("downlink-welcome")),
        ("sealed-ack", node("n01"), inside("downlink-ack")),
        ("sealed-open", node("n01"), inside("downlink-open")),
        ("sealed-close-all", node("v"), inside("downlink-close-all")),
        ("sealed-settings", node("n01"), inside("downlink-settings")),
        ("sealed-open-longest", node("abcdefghijklmnopqrstuvwxyz-_0123"), inside("downlink-open-longest")),
    ]
}

/// Records as a node keeps them in flash: one of each kind.
pub(super) fn kept() -> Vec<(&'static str, Record)> {
    let names = ["record-reading", "record-reading-failed", "record-valve-opened", "record-valve-closed"];
    let more = ["record-health", "record-lost"];
    let settings = Record {
        seq: 1047,
        uptime: UptimeMs(628_200_000),
        body: Body::Settings(SettingsEvent {
            command: CommandId(4713),
            outcome: SettingsOutcome::Unreachable,
        }),
    };
    let all = names.into_iter().chain(more).zip(records().records);
    all.chain([("record-settings", settings)]).collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/wire")
}

fn hello() -> Hello {
    Hello {
        nonce: 0x0123_4567_89ab_cdef,
        epoch: 7,
        uptime: UptimeMs(3_600_000),
        released: Position { epoch: 6, seq: 99 },
        counter: 12,
        reset: ResetCause::BrownOut,
        firmware: "0.1.0".parse().expect("a version"),
        valves: [
            ValveReport { valve: ValveId(0), open: true, command: Some(CommandId(4711)), remaining_s: 412 },
            ValveReport { valve: ValveId(1), open: false, command: None, remaining_s: 0 },
        ]
        .into_iter()
        .collect(),
        clock: Some(UnixMs(1_700_000_000_000)),
        drift_ms: 0,
        ended: Default::default(),
        unmet: Default::default(),
    }
}

fn hello_of_first_boot() -> Hello {
    Hello {
        nonce: 1,
        epoch: 1,
        uptime: UptimeMs(950),
        released: Position::default(),
        counter: 0,
        reset: ResetCause::PowerOn,
        firmware: Default::default(),
        valves: Default::default(),
        clock: None,
        drift_ms: 0,
        ended: Default::default(),
        unmet: Default::default(),
    }
}

fn records() -> Records {
    let valve = ValveEvent {
        valve: ValveId(0),
        open: true,
        command: Some(CommandId(4711)),
        closed_by: None,
        run_ms: None,
        volume: None,
    };
    let closed = ValveEvent {
        open: false,
        closed_by: Some(CloseReason::LeaseEnded),
        run_ms: Some(600_012),
        volume: Some(Millilitres(25_000)),
        ..valve
    };
    let reading = Reading {
        probe: 0,
        metric: Metric::SoilMoisture.wire(),
        value: Some(2345),
        raw: Some(1823),
        flaw: None,
    };
    let failed = Reading {
        probe: 1,
        metric: Metric::SoilTemperature.wire(),
        value: None,
        raw: Some(-1),
        flaw: Some(Flaw::NoAnswer),
    };
    let health = Health { supply: Some(Millivolts(3712)), waiting: 130, signal_dbm: Some(-71) };
    let bodies = [
        Body::Reading(reading),
        Body::Reading(failed),
        Body::Valve(valve),
        Body::Valve(closed),
        Body::Health(health),
        Body::Lost(Lost { to: 1050 }),
    ];
    let seqs = 1041..;
    let records =
        seqs.zip(bodies).map(|(seq, body)| Record { seq, uptime: UptimeMs(u64::from(seq) * 600_000), body });
    Records { epoch: 7, after: Position { epoch: 7, seq: 1040 }, records: records.collect() }
}

fn records_after_boot() -> Records {
    let boot = ValveEvent {
        valve: ValveId(0),
        open: false,
        command: None,
        closed_by: Some(CloseReason::Boot),
        run_ms: None,
        volume: None,
    };
    let health = Health { supply: None, waiting: 0, signal_dbm: None };
    let bodies = [Body::Valve(boot), Body::Health(health)];
    let records = (1..).zip(bodies).map(|(seq, body)| Record { seq, uptime: UptimeMs(40), body });
    Records { epoch: 8, after: Position { epoch: 7, seq: 1050 }, records: records.collect() }
}

fn settings() -> Settings {
    Settings {
        command: CommandId(4713),
        text: SettingsText::new("broker=192.168.1.5:1883\nhealth_s=900").expect("short"),
        issued_at: UnixMs(1_700_000_000_000),
        ttl_s: 86_400,
        within_s: 600,
    }
}

fn order_to_open(volume: Option<Millilitres>) -> Open {
    Open {
        command: CommandId(4711),
        valve: ValveId(0),
        run_s: 600,
        volume,
        issued_at: UnixMs(1_700_000_000_000),
        ttl_s: 30,
        is_outlet: false,
    }
}

fn outlet() -> Open {
    Open { is_outlet: true, ..order_to_open(None) }
}

/// Compares `got` with the golden file, or writes it where it is missing and wanted.
fn check(name: &str, got: &[u8]) {
    let path = folder().join(format!("{name}.hex"));
    if !path.exists() && std::env::var_os("GIOT_BLESS").is_some() {
        let lines = got.chunks(32).map(|line| line.iter().map(|b| format!("{b:02x}")).collect::<String>());
        let text: String = lines.map(|line| line + "\n").collect();
        std::fs::write(&path, text).expect("write the golden file");
        println!("wrote {}", path.display());
    }
    assert_eq!(got, bytes(name), "{name}");
}

#[test]
fn encoding_gives_the_golden_bytes_and_decoding_the_value() {
    let mut buffer = [0; 1024];
    for (name, message) in uplinks() {
        check(name, message.encode(&mut buffer).expect("fits"));
        assert_eq!(Uplink::decode(&bytes(name)), Ok(message), "{name}");
    }
    for (name, message) in downlinks() {
        check(name, message.encode(&mut buffer).expect("fits"));
        assert_eq!(Downlink::decode(&bytes(name)), Ok(message), "{name}");
    }
    for (name, record) in kept() {
        check(name, record.encode(&mut buffer).expect("fits"));
        assert_eq!(Record::decode(&bytes(name)), Ok(record), "{name}");
    }
    for (name, node, message) in sealed() {
        let payload = message.encode(&mut buffer).expect("fits");
        let mut envelope = [0; 1024];
        check(name, seal(&KEY, &node, payload, &mut envelope).expect("fits"));
        let bytes = bytes(name);
        assert_eq!(Downlink::decode(open(&KEY, &node, &bytes).expect(name)), Ok(message), "{name}");
    }
}

#[test]
fn what_newer_firmware_adds_is_skipped() {
    let Uplink::Records(records) = Uplink::decode(&bytes("newer-uplink-records")).expect("decodes") else {
        panic!("the golden file holds records");
    };
    let readings: Vec<_> = records.records.iter().map(|record| record.body.clone()).collect();
    let soil = Reading { probe: 0, metric: 1, value: Some(2345), raw: None, flaw: None };
    let new = Reading { probe: 2, metric: 200, value: Some(-5), raw: None, flaw: None };
    assert_eq!(readings, [Body::Reading(soil), Body::Reading(new)]);
    assert_eq!(new.known_metric(), None);
    assert_eq!(soil.known_metric(), Some(Metric::SoilMoisture));

    let Uplink::Hello(hello) = Uplink::decode(&bytes("newer-uplink-hello")).expect("decodes") else {
        panic!("the golden file holds a hello");
    };
    assert_eq!(hello, hello_of_first_boot());
    let order = Downlink::Order(12, Order::Open(order_to_open(None)));
    assert_eq!(Downlink::decode(&bytes("newer-downlink-open")), Ok(order));
}

#[test]
fn new_words_and_kinds_of_newer_firmware_hold_up_no_message() {
    let name = "newer-uplink-unknown";
    let Uplink::Records(records) = Uplink::decode(&bytes(name)).expect("decodes") else {
        panic!("the golden file holds records");
    };
    assert!(records.is_contiguous(), "a record of an unknown kind keeps its place");
    let closed = ValveEvent {
        valve: ValveId(1),
        open: false,
        command: Some(CommandId(5)),
        closed_by: Some(CloseReason::Unknown),
        run_ms: Some(1000),
        volume: Some(Millilitres(77)),
    };
    let flawed = Reading { probe: 0, metric: 1, value: Some(2345), raw: None, flaw: Some(Flaw::Unknown) };
    let bodies: Vec<_> = records.records.iter().map(|record| record.body.clone()).collect();
    assert_eq!(bodies, [Body::Unknown, Body::Valve(closed), Body::Reading(flawed)]);
    let answer = bytes("newer-uplink-answer");
    let refused = Uplink::Answer(Answer {
        command: Some(CommandId(9)),
        refused: Some(RefusalReason::Unknown),
        uptime: UptimeMs(1),
    });
    assert_eq!(Uplink::decode(&answer), Ok(refused));
    // A record must be of one kind, whichever.
    assert_eq!(Record::decode(&[0xa2, 0x00, 0x01, 0x01, 0x02]), Err(WireError::Malformed));
}

#[test]
fn a_newer_version_is_told_from_a_broken_message() {
    assert_eq!(Uplink::decode(&bytes("toonew-uplink")), Err(WireError::TooNew(2)));
    assert_eq!(Downlink::decode(&bytes("toonew-downlink")), Err(WireError::TooNew(2)));
    // A kind that this version does not know, in a message of this version.
    assert_eq!(Uplink::decode(&[0xa2, 0x00, 0x01, 0x17, 0xa0]), Err(WireError::UnknownKind));
    assert_eq!(Uplink::decode(&[0xa1, 0x00, 0x00]), Err(WireError::Malformed));
}

#[test]
fn every_golden_file_is_checked() {
    let mut known: Vec<String> = ["newer-uplink-records", "newer-uplink-hello", "newer-downlink-open"]
        .into_iter()
        .chain(["newer-uplink-unknown", "newer-uplink-answer"])
        .chain(["toonew-uplink", "toonew-downlink"])
        .chain(uplinks().into_iter().map(|(name, _)| name))
        .chain(downlinks().into_iter().map(|(name, _)| name))
        .chain(kept().into_iter().map(|(name, _)| name))
        .chain(sealed().into_iter().map(|(name, _, _)| name))
        .map(|name| format!("{name}.hex"))
        .collect();
    let mut found: Vec<String> = std::fs::read_dir(folder())
        .expect("the golden folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a text name"))
        .filter(|name| name.ends_with(".hex"))
        .collect();
    known.sort();
    found.sort();
    assert_eq!(found, known);
}
