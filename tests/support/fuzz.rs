//! What must hold for any bytes from outside, decoder by decoder: the bodies of the fuzz targets.
//!
//! `tests/fuzz` runs them under libFuzzer, the tests below over the committed corpus, so that an input once found keeps
//! being tried everywhere. A body returns when all is well and panics when a promise is broken. It must not depend on
//! anything but its bytes.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a body panics when a promise is broken: that is how a fuzzer sees it"
)]

use crate::modbus::framed;
use giot_firmware::probe::modbus::{FrameError, Function, Question};
use giot_gateway::ingest::json;
use giot_gateway::mqtt::broker::codec;
use giot_shared::ids::NodeId;
use giot_shared::wire::{
    self, Downlink, MacError, NodeKey, PAYLOAD_LEN_MAX, PREFIX_DEFAULT, Record, Topic, Uplink,
};

/// Room for a message that grows when it is written again; what is longer than a payload is not read back.
const ROOM: usize = 4 * PAYLOAD_LEN_MAX;

/// Key under which the corpus of [`downlink`] is sealed.
pub const KEY: NodeKey = NodeKey([0x5a; wire::KEY_LEN]);

/// Node to which the corpus of [`downlink`] is addressed.
pub const NODE: &str = "n01";

/// When the messages of [`json_ingest`] arrive, microseconds since 1970.
const NOW_US: i64 = 1_800_000_000_000_000;

/// A promise about any bytes: returns, or panics.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus folder.
pub const TARGETS: [(&str, Target); 7] = [
    ("uplink", uplink),
    ("record", record),
    ("downlink", downlink),
    ("topic", topic),
    ("json_ingest", json_ingest),
    ("modbus", modbus),
    ("mqtt_packet", mqtt_packet),
];

/// A payload of `…/up`: whatever is read, is the same after writing and reading it again.
pub fn uplink(bytes: &[u8]) {
    let Ok(message) = Uplink::decode(bytes) else { return };
    if let Uplink::Records(records) = &message {
        let last = records.last();
        assert!(
            !records.is_contiguous() || last.seq >= records.after.seq || last.epoch > records.after.epoch,
            "a run of records ends before it begins: {records:?}"
        );
    }
    let mut buffer = [0; ROOM];
    let written = message.encode(&mut buffer).expect("four payloads hold one message");
    if written.len() <= PAYLOAD_LEN_MAX {
        assert_eq!(Uplink::decode(written).as_ref(), Ok(&message));
    }
}

/// A record as the flash outbox keeps it: whatever is read, fits its slot and is the same when read again.
pub fn record(bytes: &[u8]) {
    let Ok(record) = Record::decode(bytes) else { return };
    let mut buffer = [0; Record::LEN_MAX];
    let written = record.encode(&mut buffer).expect("LEN_MAX is enough for every record");
    assert_eq!(Record::decode(written).as_ref(), Ok(&record));
}

/// A payload of `…/down`, sealed and bare: nothing is opened that does not carry the tag, nothing changes in between.
pub fn downlink(bytes: &[u8]) {
    let Ok(node) = NODE.parse::<NodeId>() else { return };
    match wire::open(&KEY, &node, bytes) {
        Ok(payload) => {
            // The same payload under another key is a forgery.
            assert_eq!(wire::open(&NodeKey([0xa5; wire::KEY_LEN]), &node, bytes), Err(MacError::BadMac));
            check_downlink(&node, payload);
        }
        Err(MacError::Malformed | MacError::Misaddressed | MacError::BadMac) => {}
    }
    check_downlink(&node, bytes);
}

fn check_downlink(node: &NodeId, payload: &[u8]) {
    let Ok(message) = Downlink::decode(payload) else { return };
    let mut buffer = [0; Downlink::LEN_MAX];
    let written = message.encode(&mut buffer).expect("LEN_MAX is always enough");
    assert_eq!(Downlink::decode(written).as_ref(), Ok(&message));
    let mut envelope = [0; Downlink::LEN_MAX + 64];
    let sealed = wire::seal(&KEY, node, written, &mut envelope).expect("an envelope takes 64 bytes at most");
    assert_eq!(wire::open(&KEY, node, sealed), Ok(written));
}

/// A topic: what is recognised, is built again from its parts.
pub fn topic(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    let Some((node, channel)) = Topic::parse(PREFIX_DEFAULT, text) else { return };
    let built = wire::topic(PREFIX_DEFAULT, &node, channel).expect("the default prefix is short");
    assert_eq!(built.as_str(), text);
}

/// A flat JSON object of any device: at most as many samples as keys, each with a name and a possible time.
pub fn json_ingest(bytes: &[u8]) {
    let mut names = json::Names::default();
    let Ok(decoded) = json::decode(bytes, NOW_US, &mut names) else { return };
    assert!(!decoded.samples.is_empty(), "a message without samples is an error");
    assert!(decoded.samples.len() + decoded.n_skipped <= json::KEYS_MAX, "more samples than keys");
    for sample in &decoded.samples {
        assert!(giot_gateway::ingest::is_metric_name(&sample.metric), "no name: {:?}", sample.metric);
        assert!(sample.value.is_none_or(f64::is_finite), "no number: {sample:?}");
        assert!(sample.at_us > 0, "before 1970: {sample:?}");
    }
}

/// What comes back on an RS485 line, with its true checksum, to a question for as many registers as the first byte says:
/// registers only from the device that was asked, and exactly as many.
pub fn modbus(bytes: &[u8]) {
    let Some((&count, head)) = bytes.split_first() else { return };
    let Some(question) = Question::new(1, Function::Holding, 0, count) else { return };
    let answer = framed(head);
    match question.decode(&answer) {
        Ok(words) => {
            assert_eq!((words.len(), question.full_len()), (usize::from(count), answer.len()));
            assert_eq!(head.first(), Some(&question.address()));
            let read: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            assert!(head.ends_with(&read), "{words:?}");
        }
        Err(FrameError::Crc) => panic!("the checksum fits"),
        Err(FrameError::Foreign | FrameError::Shape | FrameError::Exception(_)) => {}
    }
}

/// What a client may send to the embedded broker, by the rules of both versions: packets lie within their bytes, and a
/// message sent on is read as the same message.
pub fn mqtt_packet(bytes: &[u8]) {
    for version in [codec::Version::V3, codec::Version::V5] {
        let mut rest = bytes;
        while let Ok(Some((frame, len))) = codec::split(rest, 4096) {
            assert!(frame.body.len() < len && len <= rest.len().min(4096), "a packet beyond its bytes");
            if let Ok(codec::Packet::Publish(publish)) = codec::decode(version, frame) {
                check_publish(version, &publish);
            }
            rest = rest.get(len..).unwrap_or_default();
        }
    }
}

fn check_publish(version: codec::Version, publish: &codec::Publish<'_>) {
    let forwarded = codec::forwarded(publish.properties);
    let outbound = codec::Outbound {
        topic: publish.topic,
        payload: publish.payload,
        quality: publish.quality,
        retain: publish.retain,
        dup: publish.dup,
        id: publish.id,
        expiry_s: publish.expiry_s,
        subscription_ids: &[],
        forwarded: &forwarded,
    };
    let mut written = Vec::new();
    codec::publish(&mut written, version, &outbound);
    assert_eq!(written.len(), codec::publish_len(version, &outbound));
    let frame = codec::split(&written, usize::MAX).expect("what was written is whole");
    let again = frame.map(|(frame, _)| codec::decode(version, frame)).expect("what was written is there");
    let Ok(codec::Packet::Publish(again)) = again else {
        panic!("what was written is no PUBLISH: {again:?}")
    };
    assert_eq!(codec::forwarded(again.properties), forwarded);
    // The properties stand in another order when the expiry was not the first of them.
    assert_eq!(codec::Publish { properties: publish.properties, ..again }, *publish);
}

#[cfg(test)]
mod tests {
    use super::*;
    use giot_shared::wire::{Body, Order};
    use std::collections::BTreeSet;
    use std::path::Path;

    /// Random changes of each input, beside every truncation and every single flipped bit.
    const N_RANDOM: u64 = 500;

    fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let mut inputs: Vec<_> = std::fs::read_dir(&folder)
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
            .map(|entry| entry.unwrap())
            .map(|entry| {
                (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).unwrap())
            })
            .collect();
        inputs.sort();
        assert!(inputs.len() >= 5, "{name}: a corpus of {} inputs proves little", inputs.len());
        inputs
    }

    /// Runs the body on the inputs of its corpus and on their neighbours.
    fn replay(name: &str) {
        let (_, body) = TARGETS.iter().find(|(target, _)| *target == name).expect("a known target");
        let inputs = corpus(name);
        for (file, bytes) in &inputs {
            // Printed only when the body panics: which input it was.
            println!("{name}: {file}");
            body(bytes);
            for end in 0..bytes.len() {
                body(&bytes[..end]);
            }
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                body(&flipped);
            }
            for seed in 0..N_RANDOM {
                let mut state = seed;
                body(&changed(bytes, &inputs, &mut state));
            }
        }
    }

    /// One to four changes: a byte overwritten, removed or inserted, or the rest taken from another input.
    fn changed(bytes: &[u8], inputs: &[(String, Vec<u8>)], state: &mut u64) -> Vec<u8> {
        let mut out = bytes.to_vec();
        for _ in 0..=below(state, 4) {
            let at = below(state, out.len() + 1);
            match below(state, 4) {
                0 if at < out.len() => out[at] = below(state, 256).to_le_bytes()[0],
                1 if at < out.len() => drop(out.remove(at)),
                2 => out.insert(at, below(state, 256).to_le_bytes()[0]),
                _ => {
                    let other = &inputs[below(state, inputs.len())].1;
                    out.truncate(at);
                    out.extend_from_slice(&other[below(state, other.len() + 1)..]);
                }
            }
        }
        out
    }

    /// A number below `bound` (SplitMix64, Steele et al. 2014).
    fn below(state: &mut u64, bound: usize) -> usize {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    #[test]
    fn uplink_survives_the_corpus() {
        replay("uplink");
    }

    #[test]
    fn record_survives_the_corpus() {
        replay("record");
    }

    #[test]
    fn downlink_survives_the_corpus() {
        replay("downlink");
    }

    #[test]
    fn topic_survives_the_corpus() {
        replay("topic");
    }

    #[test]
    fn json_ingest_survives_the_corpus() {
        replay("json_ingest");
    }

    #[test]
    fn modbus_survives_the_corpus() {
        replay("modbus");
    }

    #[test]
    fn mqtt_packet_survives_the_corpus() {
        replay("mqtt_packet");
    }

    #[test]
    fn every_target_has_a_program_for_libfuzzer() {
        let manifest =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")).unwrap();
        for (name, _) in TARGETS {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is no [[bin]] of tests/fuzz");
        }
    }

    #[test]
    fn the_corpus_holds_every_kind_of_message() {
        let mut kinds = BTreeSet::new();
        for (file, bytes) in corpus("uplink") {
            match Uplink::decode(&bytes) {
                Ok(Uplink::Hello(_)) => drop(kinds.insert("hello")),
                Ok(Uplink::Answer(_)) => drop(kinds.insert("answer")),
                Ok(Uplink::Records(records)) => {
                    kinds.extend(records.records.iter().map(|record| match record.body {
                        Body::Reading(_) => "reading",
                        Body::Valve(_) => "valve",
                        Body::Health(_) => "health",
                        Body::Lost(_) => "lost",
                        Body::Settings(_) => "settings-event",
                        Body::Unknown => "unknown",
                    }))
                }
                Err(_) => assert!(file.starts_with("bad-"), "{file} is no message"),
            }
        }
        let node = NODE.parse().unwrap();
        for (file, bytes) in corpus("downlink") {
            let message = wire::open(&KEY, &node, &bytes).ok().map(Downlink::decode);
            match message {
                Some(Ok(Downlink::Welcome(_))) => drop(kinds.insert("welcome")),
                Some(Ok(Downlink::Ack(_))) => drop(kinds.insert("ack")),
                Some(Ok(Downlink::Order(_, Order::Open(_)))) => drop(kinds.insert("open")),
                Some(Ok(Downlink::Order(_, Order::Close(_)))) => drop(kinds.insert("close")),
                Some(Ok(Downlink::Order(_, Order::Settings(_)))) => drop(kinds.insert("settings")),
                Some(Err(_)) | None => assert!(file.starts_with("bad-"), "{file} is no message"),
            }
        }
        let told = ["answer", "health", "hello", "lost", "reading", "settings-event", "unknown", "valve"];
        let said = ["ack", "close", "open", "settings", "welcome"];
        assert_eq!(kinds, told.into_iter().chain(said).collect());
    }
}
