//! Ten thousand frames at each input of the chip: on its RS485 line, from its broker, at its console. Nearly right ones, wrong ones
//! with a good checksum or under the right key, packets that are no MQTT, and anything at all. Nothing of it moves a valve, stops the
//! node or keeps it from work: a run that goes on meanwhile ends when its lease does, and afterwards a real order opens a valve.
//! `GIOT_SEED` repeats a failure.

use super::outage::{CALLS, LEASE, Outage};
use super::{LATE, chip_of, installation, until_open};
use crate::farm::{Farm, NODE};
use giot_firmware::settings::{Installation, Network, words};
use giot_shared::ids::{CommandId, Position, ValveId};
use giot_shared::time::UnixMs;
use giot_shared::valve::RefusalReason;
use giot_shared::wire::{
    Ack, Answer, Close, Downlink, NodeKey, Open, Order, Settings, SettingsText, Welcome,
};
use giot_tests::giot::wait_for;
use giot_tests::mqtt;
use giot_tests::node::{Kit, PATIENCE};
use giot_tests::noise::{self, Noise};
use giot_tests::qemu::peer::{Event, Peer};
use giot_tests::qemu::{Chip, HOST, Pulses, image};
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
    let pulses = outage.chip.watch_outputs();
    // The gateway gives it a lease that is shorter than the noise, and is gone.
    outage.run(|outage| outage.farm.start_run(30.0));
    outage.begin();
    let seed = noise::seed();
    println!("GIOT_SEED={seed}");
    outage.chip.soil.be_noisy(N_FRAMES, Noise::new(seed));
    outage.chip.be_impatient();
    wait_for("the end of the noise", FLOOD, || (outage.chip.soil.n_noise() == 0).then_some(()));
    outage.chip.hasten(false);
    check_unharmed(&outage.chip);
    let [(opened, 1), (closed, 0)] = pulses.changes()[..] else { panic!("{:?}", pulses.changes()) };
    let lasted = closed - opened;
    assert!(lasted > LEASE - LATE && lasted < LEASE + LATE, "it was open for {lasted:?}");
    assert!(closed + LATE < outage.chip.age(), "the noise goes on after it");
    outage.farm.restart_ahead(outage.chip.ahead(), "after-the-noise.log");
    outage.chip.plug_cable(true);
    // What it still waits for before it calls again passes at once.
    outage.chip.hasten_without_link();
    outage.chip.until_says("welcomed", 2, CALLS);
    outage.chip.hasten(false);
    check_unharmed(&outage.chip);
    let closing = outage.farm.until_closing(0);
    assert_eq!(closing.closed_by.as_deref(), Some("lease_ended"));
    let lease_ms = u64::try_from(LEASE.as_millis()).unwrap();
    assert!((lease_ms..lease_ms + 2500).contains(&closing.run_ms), "{closing:?}");
    outage.farm.start_run(5.0);
    assert!(outage.chip.is_open());
}

/// What a person set up for a chip whose gateway is in the test's hands.
fn installed(peer: &Peer, key: NodeKey) -> Installation {
    let kit = Kit::new(NODE, key, &format!("{HOST}:{}", peer.port()));
    let mut made = installation(&kit);
    made.network = Network::Static {
        address: "10.0.2.79".parse().unwrap(),
        prefix_len: 24,
        router: HOST.parse().unwrap(),
    };
    words::set(&mut made, "probe.0", "soil_moisture,modbus:1:A,60,60,0").unwrap();
    words::set(&mut made, "probe.1", "soil_temperature,modbus:1:A,60,60").unwrap();
    made
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

/// A gateway in the test's hands and its chip, whose valve has been open and is closed again.
struct Broker {
    peer: Peer,
    chip: Chip,
    made: Installation,
    noise: Noise,
    /// The last count of an order that the node has taken.
    counter: u64,
    /// An order to open that was obeyed.
    old: Vec<u8>,
    /// Boot of the chip.
    epoch: u32,
}

impl Broker {
    fn new(image_name: &str, seed: u64) -> Self {
        let key = NodeKey([7; 32]);
        let mut peer = Peer::start(NODE.parse().unwrap(), key.clone());
        let made = installed(&peer, key);
        let mut chip = Chip::new(image(image_name), 2500);
        chip.install(&made);
        chip.power_on();
        let epoch = until(&mut peer, "a Hello", |event| match event {
            Event::Hello(hello) => Some(hello.epoch),
            Event::Records | Event::Answer(_) | Event::Taken => None,
        });
        until(&mut peer, "records", |event| matches!(event, Event::Records).then_some(()));
        let mut broker =
            Self { peer, chip, made, noise: Noise::new(seed), counter: 0, old: Vec::new(), epoch };
        broker.open();
        let close = Close { command: CommandId(2), valve: None };
        let close = broker.peer.seal(&Downlink::Order(2, Order::Close(close)));
        broker.peer.send(&close);
        assert_eq!(answered(&mut broker.peer, CommandId(2)), None);
        broker.counter = 2;
        until_open(&broker.chip, false, PATIENCE);
        broker
    }

    /// A real order, which is obeyed.
    fn open(&mut self) {
        self.counter += 1;
        self.old = self.peer.seal(&opening(self.counter));
        self.peer.send(&self.old);
        assert_eq!(answered(&mut self.peer, CommandId(self.counter)), None);
        until_open(&self.chip, true, PATIENCE);
    }

    /// Order of settings that this node would take.
    fn settings(&mut self, text: &str) -> Downlink {
        self.counter += 1;
        let settings = Settings {
            command: CommandId(self.counter),
            text: SettingsText::new(text).unwrap(),
            issued_at: Peer::unix(),
            ttl_s: 30,
            within_s: 30,
        };
        Downlink::Order(self.counter, Order::Settings(settings))
    }

    /// Messages that must open nothing and change nothing, from whoever has the broker, and from a gateway that has gone mad or sends
    /// what was sent before.
    fn bad_message(&mut self) -> Vec<u8> {
        const CHANGES: [&str; 4] =
            ["health_s=60", "valve.0=relay,9,9", "probe.0=none", "broker=10.0.2.2:9\nnetwork=dhcp"];
        let fresh = opening(self.counter + 1000 + u64::from(self.noise.byte()));
        match self.noise.below(12) {
            0 | 1 => self.noise.spoil(&self.peer.seal(&fresh)),
            2 => self.old.clone(),
            3 => self.forged(&fresh),
            4 => {
                let stored = Position::default();
                let welcome = Welcome { nonce: self.noise.number(), unix: Some(UnixMs(0)), stored };
                self.peer.seal(&Downlink::Welcome(welcome))
            }
            5 => {
                let stored = Position { epoch: u32::MAX, seq: u32::from(self.noise.byte()) };
                self.peer.seal(&Downlink::Ack(Ack { stored }))
            }
            // Settings that are good, from somebody who has no key.
            6 | 7 => {
                let text = *self.noise.choose(&CHANGES);
                let good = self.settings(text);
                // Nobody has taken it.
                self.counter -= 1;
                if self.noise.below(2) == 0 {
                    self.forged(&good)
                } else {
                    self.noise.spoil(&self.peer.seal(&good))
                }
            }
            // Settings under the right key whose text is none.
            8 | 9 => {
                let text = self.noise.choose(&CHANGES).as_bytes();
                let spoilt = giot_tests::giot::text(&self.noise.spoil(text));
                let spoilt = if words::changed(&self.made, &spoilt).is_ok() { "probe.0=?" } else { &spoilt };
                let bad = self.settings(spoilt);
                self.peer.seal(&bad)
            }
            // Under the right key: what is not a message after all.
            _ => {
                let mut plain = [0; Downlink::LEN_MAX];
                let close = Downlink::Order(0, Order::Close(Close { command: CommandId(0), valve: None }));
                let change = self.settings(CHANGES[0]);
                self.counter -= 1;
                let good = [&fresh, &close, &change][self.noise.below(3)];
                let spoilt = self.noise.spoil(good.encode(&mut plain).unwrap());
                let is_message = Downlink::decode(&spoilt).is_ok();
                self.peer.seal_bytes(if is_message { &spoilt[..1] } else { &spoilt })
            }
        }
    }

    /// A good message with a bit of its tag turned.
    fn forged(&mut self, message: &Downlink) -> Vec<u8> {
        let mut sealed = self.peer.seal(message);
        let at = sealed.len() - 1 - self.noise.below(8);
        sealed[at] ^= 1 << self.noise.below(8);
        sealed
    }

    /// What the node says to noise: nothing, or no.
    fn check(&self, event: &Event) {
        match event {
            Event::Answer(Answer { refused, .. }) => {
                assert!(refused.is_some(), "{event:?}\n{}", self.chip.log())
            }
            Event::Hello(hello) => {
                assert_eq!(hello.epoch, self.epoch, "it started again\n{}", self.chip.log())
            }
            Event::Records | Event::Taken => {}
        }
    }

    /// Nothing has moved, and it works.
    fn finish(mut self, pulses: &Pulses) {
        assert_eq!((pulses.seen(), self.chip.outputs()), (vec![], 0));
        check_unharmed(&self.chip);
        self.open();
    }
}

fn opening(counter: u64) -> Downlink {
    let open = Open {
        command: CommandId(counter),
        valve: ValveId(0),
        run_s: 60,
        volume: None,
        issued_at: Peer::unix(),
        ttl_s: 30,
        is_outlet: true,
    };
    Downlink::Order(counter, Order::Open(open))
}

#[test]
fn noise_from_the_broker_moves_no_valve_and_stops_nothing() {
    /// Messages on their way at a time.
    const WINDOW: usize = 8;
    let seed = noise::seed();
    println!("GIOT_SEED={seed}");
    let mut broker = Broker::new("node", seed);
    let pulses = broker.chip.watch_outputs();
    let (mut n_sent, mut n_refused) = (0, 0);
    while n_sent < N_FRAMES || broker.peer.n_open > 0 {
        while n_sent < N_FRAMES && broker.peer.n_open < WINDOW {
            let bytes = broker.bad_message();
            assert!(broker.peer.send(&bytes), "the node left\n{}", broker.chip.log());
            n_sent += 1;
        }
        let event = broker.peer.next(PATIENCE);
        let event = event.unwrap_or_else(|| panic!("the node is silent\n{}", broker.chip.log()));
        assert!(!matches!(event, Event::Hello(_)), "the node came again: {event:?}\n{}", broker.chip.log());
        broker.check(&event);
        n_refused += u32::from(matches!(event, Event::Answer(_)));
    }
    // One of six is an order under the right key.
    assert!(n_refused > N_FRAMES / 8, "only {n_refused} refusals were told");
    broker.finish(&pulses);
}

#[test]
fn packets_that_are_no_mqtt_move_no_valve_and_stop_nothing() {
    /// Each ends with bytes that are no packet, which the node ends by itself, or waits for more until there is an end.
    const N_CONNECTIONS: u32 = 1000;
    /// Odd packets before those, at most.
    const ODD_MAX: usize = 16;
    /// Between two parts of a packet, so that they are two on the wire as well.
    const APART: Duration = Duration::from_millis(3);
    let seed = noise::seed();
    println!("GIOT_SEED={seed}");
    let mut broker = Broker::new("node-faults", seed);
    let pulses = broker.chip.watch_outputs();
    broker.chip.hasten_without_link();
    let topic = broker.peer.topic();
    let (mut n_odd, mut n_parts) = (0, 0);
    for _ in 0..N_CONNECTIONS {
        let order = broker.peer.seal(&opening(broker.counter + 1));
        for _ in 0..broker.noise.below(ODD_MAX) {
            let bytes = mqtt::odd(&mut broker.noise, &topic, &order);
            n_odd += u32::from(broker.peer.write(&bytes));
        }
        let good = broker.peer.publication(&broker.old.clone());
        let bytes = mqtt::broken(&mut broker.noise, &good, &topic);
        let n_split = if broker.noise.below(2) == 0 { broker.noise.below(bytes.len()) } else { 0 };
        let (first, rest) = bytes.split_at(n_split);
        broker.peer.write(first);
        if let (false, Some(event)) = (first.is_empty(), broker.peer.next(APART)) {
            broker.check(&event);
        }
        n_parts += u32::from(!first.is_empty() && broker.peer.write(rest));
        if first.is_empty() {
            broker.peer.write(rest);
        }
        broker.peer.say_no_more();
        // Some of the next connections do not even begin.
        if broker.noise.below(4) == 0 {
            let (kind, good) =
                *broker.noise.choose(&[(1, &[0x20, 3, 0, 0, 0][..]), (8, &[0x90, 4, 0, 1, 0, 1])]);
            let bytes = mqtt::greeting(&mut broker.noise, good);
            broker.peer.answer_next(kind, bytes);
        }
        loop {
            let event = broker.peer.next(PATIENCE);
            let event = event.unwrap_or_else(|| panic!("the node stays away\n{}", broker.chip.log()));
            broker.check(&event);
            if matches!(event, Event::Hello(_)) {
                break;
            }
        }
    }
    broker.chip.hasten(false);
    println!("{n_odd} odd packets and {N_CONNECTIONS} that are none, {n_parts} of them in two parts");
    assert!(n_odd > 4 * N_CONNECTIONS && n_parts > N_CONNECTIONS / 4, "{n_odd} odd ones, {n_parts} in parts");
    broker.finish(&pulses);
}

/// What ends the boot or writes the draft, for whoever has the cable.
const TAKEN: [&str; 4] = ["reboot", "setup", "commit", "factory-reset yes"];

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

/// A line that ends a boot or writes what was set up, every so often, and drafts that say so.
fn taken_line(noise: &mut Noise) -> Vec<u8> {
    /// Drafts worth a commit: of all kinds of valves, and such as no board can run.
    const DRAFTS: [&str; 6] = [
        "set valve.0 latching,60,60",
        "set valve.0 relay,60,60",
        "set valve.3 latching,60,60",
        "set valve.3 none",
        "set valve.200 latching,60,60",
        "set valve.200 none",
    ];
    let mut line = match noise.below(24) {
        0 => noise.choose(&TAKEN).as_bytes().to_vec(),
        1 => noise.choose(&DRAFTS).as_bytes().to_vec(),
        _ => return line(noise),
    };
    line.push(b'\n');
    line
}

/// Also what is meant: the node is ended, set up as something else, forgotten and set up again at random, and in all of that no coil opens
/// anything. Set up as before, it works as before.
#[test]
fn commands_that_end_the_node_amid_noise_open_no_valve() {
    const N_LINES: u32 = 2000;
    /// Every relay, and the opening coil of every latching valve.
    const OPENING: u32 = 0x5555_00ff;
    let seed = noise::seed();
    println!("GIOT_SEED={seed}");
    let mut noise = Noise::new(seed);
    let farm = Farm::new("automatic = false");
    let mut chip = chip_of(&farm, "node", 2500);
    farm.until_idle();
    let pulses = chip.watch_outputs();
    // Once each as it is meant, while there is a node: noise may forget it at once.
    chip.type_in(b"set valve.0 latching,60,60\ncommit\n");
    chip.until_says("=ok written", 1, PATIENCE);
    chip.type_in(b"setup\n");
    chip.until_says("setup was asked for", 1, PATIENCE);
    for _ in 0..N_LINES / 100 {
        // In set-up mode a scan takes its time, and is no noise.
        let lines = (0..100).map(|_| taken_line(&mut noise));
        let is_scan = |line: &Vec<u8>| giot_tests::giot::text(line).contains("scan");
        chip.type_in(&lines.filter(|line| !is_scan(line)).flatten().collect::<Vec<u8>>());
    }
    let said = |what: &str| chip.log().matches(what).count();
    let counts =
        ["boot by", "=ok written", "setup was asked for", "not set up", "drives valves 0 to 7"].map(said);
    println!("boots, commits, setups, forgotten, unfit: {counts:?}");
    assert!(counts[0] > 20 && counts[1..4].iter().all(|n| *n > 0), "{counts:?}\n{}", chip.log());
    assert!(!chip.log().contains("panic"), "{}", chip.log());
    let opened: Vec<u32> = pulses.seen().into_iter().filter(|outputs| outputs & OPENING != 0).collect();
    assert_eq!((opened, chip.outputs()), (vec![], 0));
    chip.cut_power();
    chip.install(&installation(&farm.kit()));
    chip.power_on();
    chip.until_welcomed(PATIENCE);
    farm.until_idle();
    farm.start_run(5.0);
    assert!(chip.is_open());
}
