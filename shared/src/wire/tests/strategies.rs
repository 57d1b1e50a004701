//! Random messages for property tests: every value that the types can hold and `giot.cddl` describes, extremes often.
//!
//! Names come from the module above, so that the tests of this package and those that hold the CDDL against it draw the
//! same messages. It must not check anything itself.

use super::{
    Ack, Answer, Body, Close, CloseReason, CommandId, Downlink, ENDED_MAX, EndedEpoch, Flaw, Health, Hello,
    Lost, Millilitres, Millivolts, NodeId, Open, Order, Position, RECORDS_MAX, Reading, Record, Records,
    RefusalReason, ResetCause, SETTINGS_LEN_MAX, Settings, SettingsEvent, SettingsOutcome, SettingsText,
    UNMET_MAX, UnixMs, UnmetBoot, Uplink, UptimeMs, VALVES_MAX, ValveEvent, ValveId, ValveReport, Welcome,
};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

/// Every kind of uplink, with up to [`RECORDS_MAX`] records, so that not each fits a payload.
pub(super) fn uplink() -> impl Strategy<Value = Uplink> {
    prop_oneof![
        1 => hello().prop_map(Uplink::Hello),
        3 => records().prop_map(Uplink::Records),
        1 => answer().prop_map(Uplink::Answer),
    ]
}

/// Every kind of downlink.
pub(super) fn downlink() -> impl Strategy<Value = Downlink> {
    prop_oneof![
        (number(), option::of(unix()), position())
            .prop_map(|(nonce, unix, stored)| Downlink::Welcome(Welcome { nonce, unix, stored })),
        position().prop_map(|stored| Downlink::Ack(Ack { stored })),
        (number(), open()).prop_map(|(counter, open)| Downlink::Order(counter, Order::Open(open))),
        (number(), number(), option::of(any::<u8>())).prop_map(|(counter, command, valve)| {
            let close = Close { command: CommandId(command), valve: valve.map(ValveId) };
            Downlink::Order(counter, Order::Close(close))
        }),
        (number(), settings()).prop_map(|(counter, s)| Downlink::Order(counter, Order::Settings(s))),
    ]
}

/// Every kind of record.
pub(super) fn record() -> impl Strategy<Value = Record> {
    let body = prop_oneof![
        6 => reading().prop_map(Body::Reading),
        3 => valve_event().prop_map(Body::Valve),
        1 => health().prop_map(Body::Health),
        1 => record_seq().prop_map(|to| Body::Lost(Lost { to })),
        1 => (number(), select(SettingsOutcome::ALL)).prop_map(|(command, outcome)| {
            Body::Settings(SettingsEvent { command: CommandId(command), outcome })
        }),
        1 => Just(Body::Unknown),
    ];
    (record_seq(), number(), body).prop_map(|(seq, uptime, body)| Record {
        seq,
        uptime: UptimeMs(uptime),
        body,
    })
}

/// Names of every allowed length.
pub(super) fn node_id() -> impl Strategy<Value = NodeId> {
    "[a-z0-9_-]{1,32}".prop_filter_map("a node id", |text| text.parse().ok())
}

fn hello() -> impl Strategy<Value = Hello> {
    let valve = (any::<u8>(), any::<bool>(), option::of(number()), small()).prop_map(
        |(valve, open, command, remaining_s)| ValveReport {
            valve: ValveId(valve),
            open,
            command: command.map(CommandId),
            remaining_s,
        },
    );
    let valves = proptest::collection::vec(valve, 0..=VALVES_MAX);
    let ended = proptest::collection::vec((small(), number()), 0..=ENDED_MAX);
    let unmet = proptest::collection::vec((small(), select(ResetCause::ALL)), 0..=UNMET_MAX);
    let firmware = "[ -~]{0,16}";
    (
        (number(), small(), number(), position(), number()),
        (select(ResetCause::ALL), firmware, valves, option::of(unix()), small(), ended, unmet),
    )
        .prop_filter_map(
            "a firmware version of at most 16 bytes",
            |(
                (nonce, epoch, uptime, released, counter),
                (reset, firmware, valves, clock, drift_ms, ended, unmet),
            )| {
                Some(Hello {
                    nonce,
                    epoch,
                    uptime: UptimeMs(uptime),
                    released,
                    counter,
                    reset,
                    firmware: firmware.parse().ok()?,
                    valves: valves.into_iter().collect(),
                    clock,
                    drift_ms,
                    ended: ended
                        .into_iter()
                        .map(|(epoch, last)| EndedEpoch { epoch, last: UptimeMs(last) })
                        .collect(),
                    unmet: unmet.into_iter().map(|(epoch, cause)| UnmetBoot { epoch, cause }).collect(),
                })
            },
        )
}

fn records() -> impl Strategy<Value = Records> {
    let list = proptest::collection::vec(record(), 1..=RECORDS_MAX);
    (small(), position(), list).prop_map(|(epoch, after, list)| Records {
        epoch,
        after,
        records: list.into_iter().collect(),
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    (option::of(number()), option::of(select(RefusalReason::ALL)), number()).prop_map(
        |(command, refused, uptime)| Answer {
            command: command.map(CommandId),
            refused,
            uptime: UptimeMs(uptime),
        },
    )
}

fn reading() -> impl Strategy<Value = Reading> {
    let value = || option::of(prop_oneof![any::<i32>(), -3000..3000_i32, Just(i32::MIN), Just(i32::MAX)]);
    (any::<u8>(), 1..=u8::MAX, value(), value(), option::of(select(Flaw::ALL)))
        .prop_map(|(probe, metric, value, raw, flaw)| Reading { probe, metric, value, raw, flaw })
}

fn valve_event() -> impl Strategy<Value = ValveEvent> {
    (
        any::<u8>(),
        any::<bool>(),
        option::of(number()),
        option::of(select(CloseReason::ALL)),
        option::of(number()),
        option::of(small()),
    )
        .prop_map(|(valve, open, command, closed_by, run_ms, volume)| ValveEvent {
            valve: ValveId(valve),
            open,
            command: command.map(CommandId),
            closed_by,
            run_ms,
            volume: volume.map(Millilitres),
        })
}

fn health() -> impl Strategy<Value = Health> {
    (option::of(any::<u16>()), small(), option::of(any::<i8>())).prop_map(|(supply, waiting, signal_dbm)| {
        Health { supply: supply.map(Millivolts), waiting, signal_dbm }
    })
}

fn open() -> impl Strategy<Value = Open> {
    (number(), any::<u8>(), small(), option::of(small()), unix(), small(), any::<bool>()).prop_map(
        |(command, valve, run_s, volume, issued_at, ttl_s, is_outlet)| Open {
            command: CommandId(command),
            valve: ValveId(valve),
            run_s,
            volume: volume.map(Millilitres),
            issued_at,
            ttl_s,
            is_outlet,
        },
    )
}

fn settings() -> impl Strategy<Value = Settings> {
    let text = proptest::collection::vec("[ -~\n]", 1..=SETTINGS_LEN_MAX);
    (number(), text, unix(), small(), small()).prop_filter_map(
        "a text that fits",
        |(command, text, issued_at, ttl_s, within_s)| {
            let text = SettingsText::new(&text.concat())?;
            Some(Settings { command: CommandId(command), text, issued_at, ttl_s, within_s })
        },
    )
}

fn position() -> impl Strategy<Value = Position> {
    (small(), small()).prop_map(|(epoch, seq)| Position { epoch, seq })
}

fn unix() -> impl Strategy<Value = UnixMs> {
    prop_oneof![-i64::MAX..=i64::MAX, 0..4_102_444_800_000_i64, Just(i64::MAX)].prop_map(UnixMs)
}

/// A 64-bit number of any encoded length.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), any::<u32>().prop_map(u64::from), 0..300_u64, Just(u64::MAX)]
}

/// A 32-bit number of any encoded length.
fn small() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), any::<u16>().prop_map(u32::from), 0..30_u32, Just(u32::MAX)]
}

fn record_seq() -> impl Strategy<Value = u32> {
    small().prop_map(|seq| seq.max(1))
}
