//! Ten thousand frames at each input of the chip: on its RS485 line, from its broker, at its console. Nearly right ones, wrong ones
//! with a good checksum or under the right key, and anything at all. Nothing of it moves a valve, stops the node or keeps it from
//! work: afterwards a real order opens a valve. `GIOT_SEED` repeats a failure.

use super::outage::{CALLS, Outage};
use super::{chip_of, installation, until_open};
use crate::farm::{Farm, NODE};
use giot_firmware::settings::{Network, words};
use giot_shared::ids::{CommandId, Position, ValveId};
use giot_shared::time::UnixMs;
use giot_shared::valve::RefusalReason;
use giot_shared::wire::{Ack, Close, Downlink, NodeKey, Open, Order, Welcome};
use giot_tests::giot::wait_for;
use giot_tests::node::{Kit, PATIENCE};
use giot_tests::noise::{self, Noise};
use giot_tests::qemu::peer::{Event, Peer};
use giot_tests::qemu::{Chip, HOST, image};
use std::time::Duration;

const N_FRAMES: u32 = 10_000;
/// What so many frames may take on a loaded machine.
const FLOOD: Duration = Duration::from_secs(180);

/// It has started once, and never failed.
fn check_unharmed(chip: &Chip) {
    assert_eq!(chip.log().matches("boot by").count(), 1, "{}", chip.log());
    assert!(!chip.log().contains("panic"), "{}", chip.log());
}

#[test]
fn noise_on_the_line_moves_no_valve_and_stops_nothing() {
    const METER: usize = 9;
    // Fifteen probes, each once a second, and no time between them.
    let others: Vec<(String, String)> = (1..16)
        .filter(|n| *n != METER)
        .map(|n| {
            (format!("probe.{n}"), format!("soil_moisture,modbus:1:{},1,1", ["A", "B", "C", "D"][n % 4]))
        })
        .collect();
    let mut settings = vec![("probe.0", "soil_moisture,modbus:1:A,1,1,0")];
    settings.extend(others.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let mut outage = Outage::new(&settings);
    outage.farm.until_idle();
    let pulses = outage.chip.watch_outputs();
    outage.begin();
    let seed = noise::seed();
    println!("GIOT_SEED={seed}");
    outage.chip.soil.be_noisy(N_FRAMES, Noise::new(seed));
    outage.chip.be_impatient();
    wait_for("the end of the noise", FLOOD, || (outage.chip.soil.n_noise() == 0).then_some(()));
    outage.chip.hasten(false);
    assert_eq!((pulses.seen(), outage.chip.outputs()), (vec![], 0));
    outage.farm.restart_ahead(outage.chip.ahead(), "after-the-noise.log");
    outage.chip.plug_cable(true);
    outage.chip.until_says("welcomed", 2, CALLS);
    check_unharmed(&outage.chip);
    outage.farm.start_run(5.0);
    assert!(outage.chip.is_open());
}

/// A chip whose gateway is in the test's hands.
fn chip_of_peer(peer: &Peer, key: NodeKey) -> Chip {
    let kit = Kit::new(NODE, key, &format!("{HOST}:{}", peer.port()));
    let mut made = installation(&kit);
    made.network = Network::Static {
        address: "10.0.2.79".parse().unwrap(),
        prefix_len: 24,
        router: HOST.parse().unwrap(),
    };
    words::set(&mut made, "probe.0", "soil_moisture,modbus:1:A,60,60,0").unwrap();
    words::set(&mut made, "probe.1", "soil_temperature,modbus:1:A,60,60").unwrap();
    let mut chip = Chip::new(image("node"), 2500);
    chip.install(&made);
    chip.power_on();
    chip
}

fn until<T>(peer: &mut Peer, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
    loop {
        let event = peer.next(PATIENCE).unwrap_or_else(|| panic!("waited in vain for {what}"));
        if let Some(found) = wanted(&event) {
            return found;
        }
    }
}

fn answered(peer: &mut Peer, command: CommandId) -> Option<RefusalReason> {
    until(peer, "an answer", |event| match event {
        Event::Answer(answer) if answer.command == Some(command) => Some(answer.refused),
        Event::Answer(_) | Event::Hello(_) | Event::Records | Event::Taken => None,
    })
}

fn opening(counter: u64, issued_at: UnixMs) -> Downlink {
    let open = Open {
        command: CommandId(counter),
        valve: ValveId(0),
        run_s: 60,
        volume: None,
        issued_at,
        ttl_s: 30,
    };
    Downlink::Order(counter, Order::Open(open))
}

/// Messages that must open nothing, from whoever has the broker, and from a gateway that has gone mad or sends what was sent
/// before. `old` was obeyed already.
fn bad_message(peer: &Peer, old: &[u8], noise: &mut Noise) -> Vec<u8> {
    let fresh = opening(1000 + u64::from(noise.byte()), Peer::unix());
    match noise.below(8) {
        0 | 1 => noise.spoil(&peer.seal(&fresh)),
        2 => old.to_vec(),
        3 => {
            let sealed = peer.seal(&fresh);
            let key_tag = sealed.len() - 1 - noise.below(8);
            let mut forged = sealed;
            forged[key_tag] ^= 1 << noise.below(8);
            forged
        }
        4 => {
            let welcome =
                Welcome { nonce: noise.number(), unix: Some(UnixMs(0)), stored: Position::default() };
            peer.seal(&Downlink::Welcome(welcome))
        }
        5 => {
            let stored = Position { epoch: u32::MAX, seq: u32::from(noise.byte()) };
            peer.seal(&Downlink::Ack(Ack { stored }))
        }
        // Under the right key: what is not a message after all.
        _ => {
            let mut plain = [0; Downlink::LEN_MAX];
            let close = Downlink::Order(0, Order::Close(Close { command: CommandId(0), valve: None }));
            let good = if noise.below(2) == 0 { &fresh } else { &close };
            let spoilt = noise.spoil(good.encode(&mut plain).unwrap());
            let is_message = Downlink::decode(&spoilt).is_ok();
            peer.seal_bytes(if is_message { &spoilt[..1] } else { &spoilt })
        }
    }
}

#[test]
fn noise_from_the_broker_moves_no_valve_and_stops_nothing() {
    /// Messages on their way at a time.
    const WINDOW: usize = 8;
    /// The node goes without its gateway after each.
    const N_PACKETS: usize = 6;
    let seed = noise::seed();
    println!("GIOT_SEED={seed}");
    let mut noise = Noise::new(seed);
    let key = NodeKey([7; 32]);
    let mut peer = Peer::start(NODE.parse().unwrap(), key.clone());
    let chip = chip_of_peer(&peer, key);
    until(&mut peer, "records", |event| matches!(event, Event::Records).then_some(()));
    let old = peer.seal(&opening(1, Peer::unix()));
    peer.send(&old);
    assert_eq!(answered(&mut peer, CommandId(1)), None);
    until_open(&chip, true, PATIENCE);
    let close = Close { command: CommandId(2), valve: None };
    let close = peer.seal(&Downlink::Order(2, Order::Close(close)));
    peer.send(&close);
    assert_eq!(answered(&mut peer, CommandId(2)), None);
    until_open(&chip, false, PATIENCE);
    let pulses = chip.watch_outputs();
    let (mut n_sent, mut n_refused) = (0, 0);
    while n_sent < N_FRAMES || peer.n_open > 0 {
        while n_sent < N_FRAMES && peer.n_open < WINDOW {
            let bytes = bad_message(&peer, &old, &mut noise);
            assert!(peer.send(&bytes), "the node left\n{}", chip.log());
            n_sent += 1;
        }
        match peer.next(PATIENCE).unwrap_or_else(|| panic!("the node is silent\n{}", chip.log())) {
            Event::Answer(answer) => {
                assert!(answer.refused.is_some(), "{answer:?}");
                n_refused += 1;
            }
            Event::Hello(hello) => panic!("the node came again: {hello:?}"),
            Event::Records | Event::Taken => {}
        }
    }
    assert!(n_refused >= 8, "only {n_refused} refusals were told");
    // After what is no MQTT either the node comes again.
    for _ in 0..N_PACKETS {
        let good = peer.publication(&old);
        let broken = noise.spoil(&good);
        peer.write(&broken);
        peer.hang_up();
        until(&mut peer, "a Hello", |event| matches!(event, Event::Hello(_)).then_some(()));
    }
    assert_eq!((pulses.seen(), chip.outputs()), (vec![], 0));
    check_unharmed(&chip);
    let real = peer.seal(&opening(1002, Peer::unix()));
    peer.send(&real);
    assert_eq!(answered(&mut peer, CommandId(1002)), None);
    until_open(&chip, true, PATIENCE);
}

/// Lines that are commands, in whole or nearly, and lines that are none.
fn line(noise: &mut Noise) -> Vec<u8> {
    const GOOD: [&str; 18] = [
        "help",
        "show",
        "scan",
        "node v01",
        "broker 10.0.2.2:1883",
        "wifi home correct-horse",
        "key 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        "code GIOT1-AAAA-BBBB-CCCC",
        "set valve.0 relay,7200,600",
        "set valve.7 latching,60,60",
        "set probe.0 soil_moisture,modbus:1:A,600,60,0",
        "set probe.3 rain,tips:0:200,60,60",
        "set curve.2 2700:0,1200:100,1100:100",
        "set battery lifepo4,4,300,100",
        "set sleep 3000,30000",
        "set network 10.0.2.15/24,10.0.2.2",
        "open 0",
        "factory-reset",
    ];
    /// What ends the boot or writes the draft, for whoever has the cable.
    const TAKEN: [&str; 4] = ["reboot", "setup", "commit", "factory-reset yes"];
    let good = noise.choose(&GOOD).as_bytes();
    let mut line = match noise.below(8) {
        0 => good.to_vec(),
        // Longer than a line may be.
        1 => good.repeat(1 + noise.below(12)),
        _ => noise.spoil(good),
    };
    let says = |line: &[u8]| {
        let text: String =
            giot_tests::giot::text(line).chars().filter(|letter| !letter.is_control()).collect();
        TAKEN.contains(&text.trim())
    };
    if line.split(|byte| matches!(byte, b'\r' | b'\n')).any(says) {
        line = b"open 0".to_vec();
    }
    line.push(*noise.choose(b"\n\r"));
    line
}

#[test]
fn noise_at_the_console_moves_no_valve_and_stops_nothing() {
    let seed = noise::seed();
    println!("GIOT_SEED={seed}");
    let mut noise = Noise::new(seed);
    let farm = Farm::new("automatic = false");
    let chip = chip_of(&farm, "node", 2500);
    farm.until_idle();
    let pulses = chip.watch_outputs();
    let lines: Vec<u8> = (0..N_FRAMES).flat_map(|_| line(&mut noise)).collect();
    chip.type_in(&lines);
    chip.type_in(b"\nshow\n");
    chip.until_says("=show key_digest", 1, PATIENCE);
    // It has answered every line that says something.
    let n_replies = chip.log().matches("=ok").count() + chip.log().matches("=error").count();
    assert!(n_replies > 9000, "{n_replies} replies to {N_FRAMES} lines");
    assert_eq!((pulses.seen(), chip.outputs()), (vec![], 0));
    check_unharmed(&chip);
    farm.start_run(5.0);
    assert!(chip.is_open());
}
