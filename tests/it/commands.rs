//! P4: a stale, replayed, forged, expired or misaddressed command never opens a valve, and the node says why it refused.
//!
//! The attacker is as strong as a broker can be: it reads every message, publishes on every topic, and holds the key of
//! another node. Each test ends with an order that does open the valve, so that a node that obeys nobody would fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

use crate::farm::{Farm, ZONE};
use giot_gateway::clock::Clock;
use giot_shared::ids::{CommandId, NodeId, Position, ValveId};
use giot_shared::time::UnixMs;
use giot_shared::valve::RefusalReason;
use giot_shared::wire::{
    self, Answer, Close, Downlink, Hello, KEY_LEN, NodeKey, Open, Order, ResetCause, Uplink, Welcome,
};
use giot_tests::device::{Connect, Device, Packet, Version};
use giot_tests::node::{HARD_MAX_S, Kit, PATIENCE, VALVE, open, order, sealed};
use std::collections::VecDeque;

/// Above every counter that a gateway of these tests gives.
const NEW: u64 = 1_000_000;

/// Somebody on the broker who hears everything of one node and may say anything to it.
struct Attacker {
    device: Device,
    node: NodeId,
    next_id: u16,
    /// Heard while waiting for something else.
    waiting: VecDeque<Heard>,
}

/// What the attacker heard.
#[derive(Debug)]
enum Heard {
    Down(Vec<u8>),
    Up(Box<Uplink>),
}

impl Attacker {
    async fn new(mqtt: &str, node: &NodeId) -> Self {
        let port = mqtt.rsplit_once(':').unwrap().1.parse().unwrap();
        let name = format!("attacker-{node}");
        let options =
            Connect { version: Version::V5, client_id: &name, login: None, clean: true, will: None };
        let device = Device::connect(port, options).await.unwrap().expect("an open broker");
        let mut attacker = Self { device, node: node.clone(), next_id: 1, waiting: VecDeque::new() };
        for channel in ["up", "down"] {
            attacker.device.send_subscribe(&format!("giot/v1/{node}/{channel}")).await.unwrap();
            assert_eq!(
                attacker.reply().await,
                Packet::SubAck(1),
                "an open broker refuses nothing below the prefix"
            );
        }
        attacker
    }

    async fn hear(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.waiting.pop_front() {
                return heard;
            }
            self.take_packet().await;
        }
    }

    /// The broker's next reply to the attacker itself; what is heard meanwhile waits.
    async fn reply(&mut self) -> Packet {
        loop {
            if let Some(reply) = self.take_packet().await {
                return reply;
            }
        }
    }

    /// Takes one packet and gives back what is no message.
    async fn take_packet(&mut self) -> Option<Packet> {
        let packet = self.device.packet().await.unwrap().expect("the broker stays");
        let Packet::Publish { topic, payload, id, .. } = packet else { return Some(packet) };
        self.device.ack(id).await.unwrap();
        self.waiting.push_back(if topic.ends_with("/down") {
            Heard::Down(payload)
        } else {
            Heard::Up(Box::new(Uplink::decode(&payload).expect("a node speaks the protocol")))
        });
        None
    }

    async fn answer(&mut self) -> Answer {
        loop {
            if let Heard::Up(said) = self.hear().await
                && let Uplink::Answer(answer) = *said
            {
                return answer;
            }
        }
    }

    async fn hello(&mut self) -> Hello {
        loop {
            if let Heard::Up(said) = self.hear().await
                && let Uplink::Hello(hello) = *said
            {
                return hello;
            }
        }
    }

    /// Says something; the broker has it when this returns.
    async fn say(&mut self, bytes: &[u8]) {
        self.next_id += 1;
        let topic = format!("giot/v1/{}/down", self.node);
        self.device.publish(&topic, bytes, 1, self.next_id).await.unwrap();
        assert_eq!(self.reply().await, Packet::PubAck(self.next_id, 0));
    }

    /// Says something and waits for the node's answer.
    async fn ask(&mut self, bytes: &[u8]) -> (Option<CommandId>, Option<RefusalReason>) {
        self.say(bytes).await;
        let answer = self.answer().await;
        (answer.command, answer.refused)
    }
}

fn now() -> UnixMs {
    Clock::system(None).wall_unchecked()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_open_does_not_open_again() {
    let farm = Farm::new("lease_min = 2\nautomatic = false");
    let kit = farm.kit();
    let mut node = kit.boot(ResetCause::PowerOn);
    let mut attacker = Attacker::new(&farm.mqtt, &kit.id).await;
    node.until_welcomed().await;
    farm.until_idle();
    assert_eq!(farm.post(&format!("zones/{ZONE}/start"), r#"{"minutes":2}"#).0, 202);
    let mut downs = Vec::new();
    let opened = loop {
        let Heard::Down(bytes) = attacker.hear().await else { continue };
        let message = Downlink::decode(wire::open(&kit.key, &kit.id, &bytes).unwrap()).unwrap();
        downs.push(bytes);
        if let Downlink::Order(_, Order::Open(open)) = message {
            assert!(open.is_outlet, "a zone's water is its own");
            break open.command;
        }
    };
    assert!(node.until_move(1, PATIENCE).await.open);
    assert_eq!(farm.post(&format!("zones/{ZONE}/stop"), "").0, 202);
    assert!(!node.until_move(2, PATIENCE).await.open);
    farm.until_idle();
    let moves = node.moves();
    // Still within its time to live: only the counter stands between this message and the water.
    for bytes in &downs {
        attacker.say(bytes).await;
    }
    // A message behind them all is answered last.
    attacker.say(b"the end").await;
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    loop {
        match attacker.answer().await {
            Answer { refused: Some(RefusalReason::Malformed), .. } => break,
            Answer { command, refused: Some(reason), .. } => refused.push((command, reason)),
            Answer { command, refused: None, .. } => accepted.push(command),
        }
    }
    let n_opened = accepted.iter().filter(|command| **command == Some(opened)).count();
    assert_eq!(n_opened, 1, "{opened} in {accepted:?}");
    assert!(refused.contains(&(Some(opened), RefusalReason::Replayed)), "{opened} in {refused:?}");
    assert!(refused.iter().all(|(_, reason)| *reason == RefusalReason::Replayed), "{refused:?}");
    assert_eq!(node.moves(), moves, "the valve has not moved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_for_now_from_the_gateway_to_this_node_is_refused() {
    let farm = Farm::new("automatic = false");
    let (kit, other) = (farm.kit(), farm.add("v02"));
    let mut node = kit.boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    farm.until_idle();
    let mut attacker = Attacker::new(&farm.mqtt, &kit.id).await;
    let moves = node.moves();
    let good = |number| order(open(number, 60, now()));
    let mine = |message: &Downlink| sealed(&kit.key, &kit.id, message);
    // Untrusted messages name no command, because nothing in them can be believed.
    let cases = [
        (b"open sesame".to_vec(), None, RefusalReason::Malformed),
        (sealed(&NodeKey([0x55; KEY_LEN]), &kit.id, &good(NEW)), None, RefusalReason::BadMac),
        (sealed(&other.key, &kit.id, &good(NEW)), None, RefusalReason::BadMac),
        (sealed(&other.key, &other.id, &good(NEW)), None, RefusalReason::Misaddressed),
        (sealed(&kit.key, &other.id, &good(NEW)), None, RefusalReason::Misaddressed),
        (mine(&order(open(NEW, 60, now().minus_ms(3_600_000)))), Some(NEW), RefusalReason::Expired),
        (mine(&order(open(NEW + 1, 60, now().plus_ms(3_600_000)))), Some(NEW + 1), RefusalReason::Expired),
        (mine(&order(open(NEW + 2, HARD_MAX_S + 1, now()))), Some(NEW + 2), RefusalReason::LeaseTooLong),
        (mine(&order(open(NEW + 3, 0, now()))), Some(NEW + 3), RefusalReason::LeaseTooLong),
        (
            mine(&order(Open { valve: ValveId(1), ..open(NEW + 4, 60, now()) })),
            Some(NEW + 4),
            RefusalReason::UnknownValve,
        ),
        // A refused number is burnt: what was refused for its time cannot be kept for a better one.
        (mine(&good(NEW + 4)), Some(NEW + 4), RefusalReason::Replayed),
    ];
    for (bytes, command, reason) in cases {
        assert_eq!(attacker.ask(&bytes).await, (command.map(CommandId), Some(reason)), "{reason:?}");
        assert_eq!(node.moves(), moves, "{reason:?} moved the valve");
    }
    assert_eq!(attacker.ask(&mine(&good(NEW + 5))).await, (Some(CommandId(NEW + 5)), None));
    assert!(kit.has_opened(), "the right one opens");
}

/// Every message one bit away from one that would open the valve.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_flipped_bit_opens() {
    let farm = Farm::new("automatic = false");
    let kit = farm.kit();
    let mut node = kit.boot(ResetCause::PowerOn);
    node.until_welcomed().await;
    farm.until_idle();
    let mut attacker = Attacker::new(&farm.mqtt, &kit.id).await;
    let moves = node.moves();
    let good = sealed(&kit.key, &kit.id, &order(open(NEW + 1, 60, now())));
    for bit in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        attacker.say(&flipped).await;
    }
    // Answered behind all of them, and with a lower number than theirs.
    let close = Downlink::Order(NEW, Order::Close(Close { command: CommandId(NEW), valve: Some(VALVE) }));
    attacker.say(&sealed(&kit.key, &kit.id, &close)).await;
    loop {
        match attacker.answer().await {
            Answer { command: None, refused: Some(reason), .. } => {
                let right = [RefusalReason::BadMac, RefusalReason::Malformed, RefusalReason::Misaddressed]
                    .contains(&reason);
                assert!(right, "{reason:?}");
            }
            answer => {
                assert_eq!((answer.command, answer.refused), (Some(CommandId(NEW)), None));
                break;
            }
        }
    }
    assert_eq!(node.moves(), moves, "the valve has not moved");
    assert_eq!(attacker.ask(&good).await, (Some(CommandId(NEW + 1)), None));
    assert!(kit.has_opened(), "unharmed it opens");
}

/// A node that never met its gateway in this boot does not know the time, so that it cannot tell old from new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_time_nothing_opens() {
    let farm = Farm::new("automatic = false");
    // The gateway does not know this node and stays silent; the test has its key and speaks in its place.
    let kit = Kit::new("v09", NodeKey([9; KEY_LEN]), &farm.mqtt);
    let mut attacker = Attacker::new(&farm.mqtt, &kit.id).await;
    let mut node = kit.boot(ResetCause::PowerOn);
    node.until("a connection", |status| status.connected).await;
    let hello = attacker.hello().await;
    let moves = node.moves();
    let say = |message: &Downlink| sealed(&kit.key, &kit.id, message);
    let refused = |number| (Some(CommandId(number)), Some(RefusalReason::NotAnchored));
    assert_eq!(attacker.ask(&say(&order(open(1, 60, now())))).await, refused(1));
    let welcome =
        |nonce| Downlink::Welcome(Welcome { nonce, unix: Some(now()), stored: Position::default() });
    attacker.say(&say(&welcome(hello.nonce ^ 1))).await;
    assert_eq!(attacker.ask(&say(&order(open(2, 60, now())))).await, refused(2), "a Welcome for nobody");
    assert_eq!(node.moves(), moves);
    let right = say(&welcome(hello.nonce));
    attacker.say(&right).await;
    assert_eq!(attacker.ask(&say(&order(open(3, 60, now())))).await, (Some(CommandId(3)), None));
    assert!(kit.has_opened(), "with the time it opens");

    // After a reset the old Welcome is for nobody, too.
    let kit = node.cut_power().await;
    let mut node = kit.boot(ResetCause::Watchdog);
    node.until("a connection", |status| status.connected).await;
    assert_eq!(attacker.hello().await.epoch, hello.epoch + 1);
    assert!(!kit.is_open(), "closed at boot");
    attacker.say(&right).await;
    assert_eq!(attacker.ask(&say(&order(open(4, 60, now())))).await, refused(4), "a recorded Welcome");
    // The orders of before are burnt.
    let again = attacker.ask(&say(&order(open(3, 60, now())))).await;
    assert_eq!(again, (Some(CommandId(3)), Some(RefusalReason::Replayed)));
    assert!(!kit.is_open());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_do_not_take_each_others_orders() {
    let farm = Farm::new("automatic = false");
    let kits = [farm.kit(), farm.add("v02")];
    let mut nodes = kits.each_ref().map(|kit| kit.boot(ResetCause::PowerOn));
    for node in &mut nodes {
        node.until_welcomed().await;
    }
    farm.until_idle();
    let mut attackers =
        [Attacker::new(&farm.mqtt, &kits[0].id).await, Attacker::new(&farm.mqtt, &kits[1].id).await];
    let for_first = sealed(&kits[0].key, &kits[0].id, &order(open(NEW, 60, now())));
    assert_eq!(attackers[1].ask(&for_first).await, (None, Some(RefusalReason::Misaddressed)));
    assert!(!kits[0].has_opened() && !kits[1].has_opened());
    assert_eq!(attackers[0].ask(&for_first).await, (Some(CommandId(NEW)), None));
    assert!(kits[0].has_opened() && !kits[1].has_opened());
}
