//! Reaches the entry points of giot-shared: every decoder, encoder, unit and word.

use core::fmt::Write as _;
use core::hint::black_box;

use giot_shared::calibration::{Calibration, Point};
use giot_shared::ids::NodeId;
use giot_shared::metric::Metric;
use giot_shared::time::{Anchor, UnixMs, UptimeMs};
use giot_shared::units::{LitresPerHour, MoisturePermyriad};
use giot_shared::valve::{CloseReason, RefusalReason};
use giot_shared::wire::{self, Downlink, NodeKey, PREFIX_DEFAULT, Record, Topic, Uplink};

/// Uses `input` as a message, as text and as numbers; the sum depends on all of it.
pub fn reach(input: &[u8; 64]) -> u32 {
    let [a, b, c, d, ..] = *input;
    let number = u32::from_be_bytes([a, b, c, d]);
    messages(input) ^ numbers(number) ^ words(number)
}

fn messages(input: &[u8]) -> u32 {
    let mut buffer = [0; wire::PAYLOAD_LEN_MAX];
    let mut n_bytes = 0;
    let mut count = |written: Result<&[u8], wire::BufferFull>| {
        n_bytes += written.map_or(1, |bytes| black_box(bytes).len());
    };
    if let Ok(uplink) = Uplink::decode(input) {
        if let Uplink::Records(records) = &uplink {
            black_box((records.last(), records.is_contiguous()));
        }
        count(uplink.encode(&mut buffer));
    }
    if let Ok(record) = Record::decode(input) {
        count(record.encode(&mut buffer));
    }
    let key = NodeKey([7; wire::KEY_LEN]);
    if let Ok(node) = "n01".parse::<NodeId>() {
        if let Ok(payload) = wire::open(&key, &node, input)
            && let Ok(downlink) = Downlink::decode(payload)
        {
            count(downlink.encode(&mut buffer));
        }
        count(wire::seal(&key, &node, input, &mut buffer));
        if let Ok(topic) = wire::topic(PREFIX_DEFAULT, &node, Topic::Up) {
            black_box(Topic::parse(PREFIX_DEFAULT, &topic));
        }
    }
    u32::try_from(n_bytes).unwrap_or(u32::MAX)
}

fn numbers(number: u32) -> u32 {
    let [high, low, ..] = number.to_be_bytes();
    let voltage = giot_shared::units::Millivolts(u16::from_be_bytes([high, low]));
    let point = |voltage, moisture| Some(Point { voltage, moisture: MoisturePermyriad::new(moisture)? });
    let moisture = point(giot_shared::units::Millivolts(2600), 0)
        .zip(point(giot_shared::units::Millivolts(1200), 5000))
        .and_then(|(dry, wet)| Calibration::new(&[dry, wet]).ok())
        .and_then(|calibration| calibration.moisture(voltage));
    black_box(moisture.map(MoisturePermyriad::percent));
    let anchor = Anchor::new(UptimeMs(u64::from(number)), UnixMs(i64::from(number)));
    black_box(anchor.date(UptimeMs(1)));
    black_box(LitresPerHour(number).volume_in_ms(u64::from(number)).litres());
    moisture.map_or(0, |moisture| u32::from(moisture.get()))
}

fn words(number: u32) -> u32 {
    let [code, ..] = number.to_le_bytes();
    let mut text = heapless::String::<64>::new();
    let close = CloseReason::from_wire(code).map_or("", CloseReason::code);
    let refusal = RefusalReason::from_wire(code).map_or("", RefusalReason::code);
    let metric = Metric::from_wire(code).map_or("", Metric::name);
    // What does not fit is cut: only that it is formatted without a heap matters.
    let written = write!(text, "{close} {refusal} {metric} {}", wire::WireError::TooNew(code));
    u32::from(written.is_ok()) + u32::try_from(black_box(&text).len()).unwrap_or(0)
}
