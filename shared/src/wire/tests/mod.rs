//! Round trips, limits, truncation, bit flips, evolution and authenticity of the wire.

mod golden;
mod strategies;

use super::{
    Ack, Answer, Body, BufferFull, Close, Downlink, ENDED_MAX, EndedEpoch, Flaw, Health, Hello, Lost,
    MacError, NodeKey, Open, Order, PAYLOAD_LEN_MAX, RECORDS_MAX, Reading, Record, Records, ResetCause,
    SETTINGS_LEN_MAX, Settings, SettingsEvent, SettingsOutcome, SettingsText, UNMET_MAX, UnmetBoot, Uplink,
    VALVES_MAX, ValveEvent, ValveReport, Welcome, WireError, broker_password, cose, next_key, open, seal,
};
use crate::ids::{CommandId, NodeId, Position, ValveId};
use crate::metric::Metric;
use crate::time::{UnixMs, UptimeMs};
use crate::units::{Millilitres, Millivolts};
use crate::valve::{CloseReason, RefusalReason};
use proptest::prelude::{any, prop_assert, prop_assert_eq};
use proptest::proptest;
use std::vec::Vec;

const LARGEST: Position = Position { epoch: u32::MAX, seq: u32::MAX };

/// The record that takes most bytes.
fn longest_record() -> Record {
    Record {
        seq: u32::MAX,
        uptime: UptimeMs(u64::MAX),
        body: Body::Valve(ValveEvent {
            valve: ValveId(u8::MAX),
            open: false,
            command: Some(CommandId(u64::MAX)),
            closed_by: Some(CloseReason::Fault),
            run_ms: Some(u64::MAX),
            volume: Some(Millilitres(u32::MAX)),
        }),
    }
}

/// The hello that takes most bytes.
fn longest_hello() -> Hello {
    let valve = ValveReport {
        valve: ValveId(u8::MAX),
        open: true,
        command: Some(CommandId(u64::MAX)),
        remaining_s: u32::MAX,
    };
    Hello {
        nonce: u64::MAX,
        epoch: u32::MAX,
        uptime: UptimeMs(u64::MAX),
        released: LARGEST,
        counter: u64::MAX,
        reset: ResetCause::Software,
        firmware: "1234567890123456".parse().expect("16 bytes"),
        valves: [valve; VALVES_MAX].into_iter().collect(),
        clock: Some(UnixMs(i64::MAX)),
        drift_ms: u32::MAX,
        ended: [EndedEpoch { epoch: u32::MAX, last: UptimeMs(u64::MAX) }; ENDED_MAX].into_iter().collect(),
        unmet: [UnmetBoot { epoch: u32::MAX, cause: ResetCause::Unknown }; UNMET_MAX].into_iter().collect(),
    }
}

/// The downlink that takes most bytes.
fn longest_downlink() -> Downlink {
    Downlink::Order(
        u64::MAX,
        Order::Open(Open {
            command: CommandId(u64::MAX),
            valve: ValveId(u8::MAX),
            run_s: u32::MAX,
            volume: Some(Millilitres(u32::MAX)),
            issued_at: UnixMs(i64::MAX),
            ttl_s: u32::MAX,
            is_outlet: true,
        }),
    )
}

/// The settings that take most bytes.
fn longest_settings() -> Downlink {
    let text = core::str::from_utf8(&[b'x'; SETTINGS_LEN_MAX]).ok().and_then(SettingsText::new);
    Downlink::Order(
        u64::MAX,
        Order::Settings(Settings {
            command: CommandId(u64::MAX),
            text: text.expect("just fits"),
            issued_at: UnixMs(i64::MIN + 1),
            ttl_s: u32::MAX,
            within_s: u32::MAX,
        }),
    )
}

/// `n` times the same record under the longest head.
fn run_of(n: usize, record: &Record) -> Records {
    Records { epoch: u32::MAX, after: LARGEST, records: core::iter::repeat_n(record.clone(), n).collect() }
}

fn node(text: &str) -> NodeId {
    text.parse().expect("a node id")
}

// ---- limits ----

#[test]
fn the_longest_record_is_as_long_as_promised() {
    let mut buffer = [0; 128];
    assert_eq!(longest_record().encode(&mut buffer).map(<[u8]>::len), Ok(Record::LEN_MAX));
    // The other kinds are shorter.
    let reading = Reading {
        probe: u8::MAX,
        metric: u8::MAX,
        value: Some(i32::MIN),
        raw: Some(i32::MIN),
        flaw: Some(Flaw::Uncalibrated),
    };
    let health = Health { supply: Some(Millivolts(u16::MAX)), waiting: u32::MAX, signal_dbm: Some(i8::MIN) };
    let settings = SettingsEvent { command: CommandId(u64::MAX), outcome: SettingsOutcome::Unknown };
    let lost = Body::Lost(Lost { to: u32::MAX });
    let others =
        [Body::Reading(reading), Body::Health(health), lost, Body::Settings(settings), Body::Unknown];
    for body in others {
        let record = Record { seq: u32::MAX, uptime: UptimeMs(u64::MAX), body };
        let length = record.encode(&mut buffer).map(<[u8]>::len).expect("fits");
        assert!(length <= Record::LEN_MAX, "{length} bytes");
    }
}

#[test]
fn the_head_of_records_is_no_longer_than_promised() {
    let mut buffer = [0; 8192];
    for n in [1, RECORDS_MAX] {
        let length = Uplink::Records(run_of(n, &longest_record())).encode(&mut buffer).map(<[u8]>::len);
        let head = length.expect("fits") - n * Record::LEN_MAX;
        assert!(head <= Records::HEAD_LEN_MAX, "{head} bytes before {n} records");
    }
}

#[test]
fn a_payload_holds_what_the_sender_counts_on() {
    let mut buffer = [0; PAYLOAD_LEN_MAX];
    let by_bounds = (PAYLOAD_LEN_MAX - Records::HEAD_LEN_MAX) / Record::LEN_MAX;
    assert_eq!(by_bounds, 19);
    assert!(Uplink::Records(run_of(by_bounds, &longest_record())).encode(&mut buffer).is_ok());
    // Forty usual readings: counts of two bytes, an uptime of four, a value and a raw value of two each.
    let usual = Record {
        seq: u32::from(u16::MAX),
        uptime: UptimeMs(u64::from(u32::MAX)),
        body: Body::Reading(Reading {
            probe: 3,
            metric: Metric::SoilTemperature.wire(),
            value: Some(-4000),
            raw: Some(i32::from(i16::MAX)),
            flaw: None,
        }),
    };
    let full = Records {
        epoch: u32::from(u16::MAX),
        after: Position { epoch: u32::from(u16::MAX), seq: u32::from(u16::MAX) },
        records: core::iter::repeat_n(usual, RECORDS_MAX).collect(),
    };
    assert!(Uplink::Records(full).encode(&mut buffer).is_ok());
    assert!(Uplink::Hello(longest_hello()).encode(&mut buffer).is_ok());
}

#[test]
fn what_does_not_fit_is_refused_whole() {
    let mut large = [0; 8192];
    let message = Uplink::Records(run_of(RECORDS_MAX, &longest_record()));
    let length = message.encode(&mut large).map(<[u8]>::len).expect("fits 8 KiB");
    for room in 0..length {
        assert_eq!(message.encode(&mut large[..room]), Err(BufferFull), "{room} bytes");
    }
    let bytes = message.encode(&mut large).expect("fits 8 KiB");
    assert_eq!(Uplink::decode(bytes), Err(WireError::TooLong));
}

#[test]
fn the_longest_downlink_and_its_envelope_are_as_short_as_promised() {
    for message in [longest_downlink(), longest_settings()] {
        let mut buffer = [0; Downlink::LEN_MAX];
        let payload = message.encode(&mut buffer).expect("LEN_MAX is enough");
        let mut envelope = [0; Downlink::LEN_MAX + 64];
        let longest = node("abcdefghijklmnopqrstuvwxyz-_0123");
        let sealed = seal(&golden::KEY, &longest, payload, &mut envelope).expect("fits").len();
        assert!(sealed <= payload.len() + 64, "{sealed} bytes around {}", payload.len());
        for room in 0..sealed {
            assert_eq!(seal(&golden::KEY, &longest, payload, &mut envelope[..room]), Err(BufferFull));
        }
    }
    let too_long = core::str::from_utf8(&[b'x'; SETTINGS_LEN_MAX + 1]).ok().and_then(SettingsText::new);
    assert_eq!(too_long, None);
}

#[test]
fn lists_longer_than_promised_are_refused() {
    // Key 2 of an uplink: records with an array that claims 41, 2^32 and 2^64 - 1 of them.
    let head = [0xa2, 0x00, 0x01, 0x02, 0xa4, 0x00, 0x01, 0x01, 0x01, 0x02, 0x00, 0x03];
    let record = [0xa3, 0x00, 0x01, 0x01, 0x02, 0x05, 0x01];
    let claims: [&[u8]; 3] =
        [&[0x98, 41], &[0x9a, 0xff, 0xff, 0xff, 0xff], &[0x9b, 255, 255, 255, 255, 255, 255, 255, 255]];
    for claim in claims {
        let mut bytes = [&head[..], claim].concat();
        bytes.extend(record.repeat(RECORDS_MAX + 1));
        assert_eq!(Uplink::decode(&bytes), Err(WireError::Malformed));
    }
    let bytes = [&head[..], &[0x98, 40], &record.repeat(RECORDS_MAX)].concat();
    assert!(Uplink::decode(&bytes).is_ok());
    let none = [&head[..], &[0x80]].concat();
    assert_eq!(Uplink::decode(&none), Err(WireError::Malformed));
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    // An unknown key that holds a thousand arrays in each other.
    let mut bytes = std::vec![0xa2, 0x00, 0x01, 0x18, 99];
    bytes.resize(PAYLOAD_LEN_MAX - 1, 0x81);
    bytes.push(0x00);
    assert_eq!(Uplink::decode(&bytes), Err(WireError::UnknownKind));
    assert_eq!(Downlink::decode(&bytes), Err(WireError::UnknownKind));
}

#[test]
fn runs_of_records_are_contiguous_or_not() {
    fn check(epoch: u32, after: (u32, u32), seqs: &[(u32, Option<u32>)], want: bool) {
        let records = seqs.iter().map(|&(seq, lost_to)| Record {
            seq,
            uptime: UptimeMs(1),
            body: match lost_to {
                Some(to) => Body::Lost(Lost { to }),
                None => Body::Health(Health { supply: None, waiting: 0, signal_dbm: None }),
            },
        });
        let after = Position { epoch: after.0, seq: after.1 };
        let run = Records { epoch, after, records: records.collect() };
        assert_eq!(run.is_contiguous(), want, "{run:?}");
    }
    check(7, (7, 4), &[(5, None), (6, None)], true);
    check(7, (6, 900), &[(1, None), (2, None)], true);
    check(7, (7, 4), &[(5, Some(9)), (10, None)], true);
    check(7, (7, 0), &[(1, None)], true);
    check(7, (7, u32::MAX - 1), &[(u32::MAX, None)], true);
    check(7, (7, 4), &[], false);
    check(7, (7, 4), &[(6, None)], false);
    check(7, (7, 4), &[(5, None), (7, None)], false);
    check(7, (7, 4), &[(5, None), (5, None)], false);
    check(7, (6, 900), &[(901, None)], false);
    check(7, (8, 0), &[(1, None)], false);
    check(7, (7, 4), &[(5, Some(4))], false);
    check(7, (7, 4), &[(5, Some(9)), (6, None)], false);
    check(7, (7, u32::MAX), &[(0, None)], false);
    check(7, (7, u32::MAX - 1), &[(u32::MAX, None), (0, None)], false);
}

// ---- damage ----

#[test]
fn no_part_of_a_message_is_a_message() {
    for (name, _) in golden::uplinks() {
        each_head(&golden::bytes(name), |head| {
            assert!(Uplink::decode(head).is_err(), "{name} {}", head.len())
        });
    }
    for (name, _) in golden::downlinks() {
        each_head(&golden::bytes(name), |head| {
            assert!(Downlink::decode(head).is_err(), "{name} {}", head.len());
        });
    }
    for (name, _) in golden::kept() {
        each_head(&golden::bytes(name), |head| {
            assert!(Record::decode(head).is_err(), "{name} {}", head.len())
        });
    }
    for (name, node, _) in golden::sealed() {
        each_head(&golden::bytes(name), |head| {
            assert_eq!(open(&golden::KEY, &node, head), Err(MacError::Malformed), "{name} {}", head.len());
        });
    }
}

#[test]
fn a_message_ends_where_its_bytes_end() {
    let longer = |name: &str| [golden::bytes(name), std::vec![0]].concat();
    for (name, _) in golden::uplinks().into_iter().filter(|(name, _)| !name.ends_with("longest")) {
        assert_eq!(Uplink::decode(&longer(name)), Err(WireError::Malformed), "{name}");
    }
    for (name, _) in golden::downlinks() {
        assert_eq!(Downlink::decode(&longer(name)), Err(WireError::Malformed), "{name}");
    }
    for (name, _) in golden::kept() {
        assert_eq!(Record::decode(&longer(name)), Err(WireError::Malformed), "{name}");
    }
    for (name, node, _) in golden::sealed() {
        assert_eq!(open(&golden::KEY, &node, &longer(name)), Err(MacError::Malformed), "{name}");
    }
}

#[test]
fn a_flipped_bit_gives_an_error_or_another_whole_message() {
    let mut n_other = 0;
    for (name, message) in golden::uplinks() {
        each_flip(&golden::bytes(name), |bytes| {
            if let Ok(other) = Uplink::decode(bytes) {
                assert_whole(&other);
                n_other += usize::from(other != message);
            }
        });
    }
    for (name, _) in golden::downlinks() {
        each_flip(&golden::bytes(name), |bytes| {
            if let Ok(other) = Downlink::decode(bytes) {
                let mut buffer = [0; Downlink::LEN_MAX];
                assert_eq!(Downlink::decode(other.encode(&mut buffer).expect("LEN_MAX")), Ok(other));
            }
        });
    }
    for (name, _) in golden::kept() {
        each_flip(&golden::bytes(name), |bytes| {
            if let Ok(other) = Record::decode(bytes) {
                let mut buffer = [0; Record::LEN_MAX];
                assert_eq!(Record::decode(other.encode(&mut buffer).expect("LEN_MAX")), Ok(other));
            }
        });
    }
    // Uplinks carry no tag: a flip inside a number must be another message, or this test looks at nothing.
    assert!(n_other > 1000, "{n_other}");
}

#[test]
fn no_flipped_bit_of_a_sealed_message_is_accepted() {
    let mut seen = [0; 3];
    for (name, node, _) in golden::sealed() {
        each_flip(&golden::bytes(name), |bytes| {
            let error = open(&golden::KEY, &node, bytes).expect_err(name);
            seen[match error {
                MacError::Malformed => 0,
                MacError::Misaddressed => 1,
                MacError::BadMac => 2,
            }] += 1;
        });
    }
    assert!(seen.iter().all(|&n| n > 0), "each error occurs: {seen:?}");
}

// ---- authenticity ----

#[test]
fn tags_are_those_of_the_published_example() {
    // cose-wg/Examples hmac-examples/HMac-enc-05: HMAC 256/64, COSE_Mac0, empty external data.
    let key = NodeKey([
        0x84, 0x9b, 0x57, 0x21, 0x9d, 0xae, 0x48, 0xde, 0x64, 0x6d, 0x07, 0xdb, 0xb5, 0x33, 0x56, 0x6e, 0x97,
        0x66, 0x86, 0x45, 0x7c, 0x14, 0x91, 0xbe, 0x3a, 0x76, 0xdc, 0xea, 0x6c, 0x42, 0x71, 0x88,
    ]);
    let tag = cose::tag(&key, &[0xa1, 0x01, 0x04], b"This is the content.");
    assert_eq!(tag, [0x11, 0xf9, 0xe3, 0x57, 0x97, 0x5f, 0xb8, 0x49]);
}

#[test]
fn the_broker_password_is_the_documented_digest() {
    // printf 'mqtt\0\1…\37' | sha256sum, the first 32 digits.
    assert_eq!(&broker_password(&golden::KEY), b"cbcb8748fab809631c2f24f1f537ea49");
}

#[test]
fn the_next_key_is_the_documented_one() {
    // python3 -c 'import hmac; print(hmac.new(bytes(range(32)), b"giot key" + b"\7" * 16, "sha256").hexdigest())'
    let next = next_key(&golden::KEY, &[7; 16]);
    assert_eq!(next.0[..8], [0xd8, 0xbb, 0x1b, 0xf0, 0xa6, 0x4e, 0x2b, 0x37]);
    assert_ne!(next, next_key(&golden::KEY, &[8; 16]));
}

#[test]
fn only_the_right_key_and_name_open() {
    let bytes = golden::bytes("sealed-open");
    let mut other_key = golden::KEY;
    other_key.0[31] ^= 1;
    assert!(open(&golden::KEY, &node("n01"), &bytes).is_ok());
    assert_eq!(open(&other_key, &node("n01"), &bytes), Err(MacError::BadMac));
    assert_eq!(open(&golden::KEY, &node("n02"), &bytes), Err(MacError::Misaddressed));
    assert_eq!(open(&golden::KEY, &node("n0"), &bytes), Err(MacError::Misaddressed));
    // Re-addressed by somebody without the key.
    let mut readdressed = bytes.clone();
    let at = bytes.windows(3).position(|w| w == b"n01").expect("the name is in the header");
    readdressed[at + 2] = b'2';
    assert_eq!(open(&golden::KEY, &node("n02"), &readdressed), Err(MacError::BadMac));
    assert_eq!(open(&golden::KEY, &node("n01"), &[]), Err(MacError::Malformed));
    assert_eq!(open(&golden::KEY, &node("n01"), &[0x84; PAYLOAD_LEN_MAX + 1]), Err(MacError::Malformed));
}

proptest! {
    #[test]
    fn uplinks_come_back(message in strategies::uplink()) {
        let (mut buffer, mut payload) = ([0; 8192], [0; PAYLOAD_LEN_MAX]);
        let bytes = message.encode(&mut buffer).expect("8 KiB hold everything");
        if bytes.len() <= PAYLOAD_LEN_MAX {
            prop_assert_eq!(message.encode(&mut payload), Ok(bytes));
            prop_assert_eq!(Uplink::decode(bytes), Ok(message));
        } else {
            prop_assert_eq!(message.encode(&mut payload), Err(BufferFull));
            prop_assert_eq!(Uplink::decode(bytes), Err(WireError::TooLong));
        }
    }

    #[test]
    fn records_come_back(record in strategies::record()) {
        let mut buffer = [0; Record::LEN_MAX];
        let bytes = record.encode(&mut buffer).expect("LEN_MAX is enough");
        prop_assert_eq!(Record::decode(bytes), Ok(record));
    }

    #[test]
    fn sealed_downlinks_come_back(
        message in strategies::downlink(), node in strategies::node_id(), key in any::<[u8; 32]>(),
    ) {
        let key = NodeKey(key);
        let (mut inner, mut outer) = ([0; Downlink::LEN_MAX], [0; Downlink::LEN_MAX + 64]);
        let payload = message.encode(&mut inner).expect("LEN_MAX is enough");
        let bytes = seal(&key, &node, payload, &mut outer).expect("64 more are enough");
        let opened = open(&key, &node, bytes);
        prop_assert_eq!(opened, Ok(payload));
        prop_assert_eq!(Downlink::decode(payload), Ok(message));
    }

    #[test]
    fn any_bytes_are_decoded_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = Uplink::decode(&bytes) {
            assert_whole(&message);
        }
        // A tag of 64 bits is not met by chance.
        prop_assert!(open(&golden::KEY, &node("n01"), &bytes).is_err());
    }
}

/// What was decoded can be encoded and decoded again.
fn assert_whole(message: &Uplink) {
    let mut buffer = [0; 8192];
    let bytes = message.encode(&mut buffer).expect("8 KiB hold everything");
    if bytes.len() <= PAYLOAD_LEN_MAX {
        assert_eq!(Uplink::decode(bytes).as_ref(), Ok(message));
    }
}

fn each_head(bytes: &[u8], mut visit: impl FnMut(&[u8])) {
    for length in 0..bytes.len() {
        visit(&bytes[..length]);
    }
}

fn each_flip(bytes: &[u8], mut visit: impl FnMut(&[u8])) {
    let mut flipped: Vec<u8> = bytes.into();
    for bit in 0..bytes.len() * 8 {
        flipped[bit / 8] ^= 1 << (bit % 8);
        visit(&flipped);
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
}
