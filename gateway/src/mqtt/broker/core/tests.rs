//! The broker's rules without a socket: scenarios over made-up connections and made-up time.

use super::super::codec::{Packet, Version, decode, split};
use super::super::message::tests::message;
use super::*;
use crate::clock::monotonic;
use std::time::Duration;

const BOUNDS: Bounds = Bounds { connections_max: 4, sessions_max: 2 };

/// A connection is its client's name.
type Rules = Core<&'static str>;

fn entry(client_id: &'static str, clean: bool) -> Entry<'static> {
    let peer = Peer { version: Version::V5, receive_max: 2, packet_len_max: 1000 };
    let session_expiry_s = if clean { 0 } else { 60 };
    Entry { client_id, user: None, clean, session_expiry_s, peer, will: None }
}

fn will(delay_s: u32) -> LastWill {
    let message = Arc::into_inner(message("n1/status", b"offline", Quality::AtLeastOnce)).unwrap();
    LastWill { message, delay_s, expiry_s: Some(5) }
}

struct World {
    rules: Rules,
    start: Instant,
}

impl World {
    fn new() -> Self {
        Self { rules: Core::new(BOUNDS), start: monotonic() }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn enter(&mut self, seconds: u64, entry: Entry<'_>, name: &'static str) -> (Entered<&'static str>, Seat) {
        self.rules.check(&entry).unwrap();
        let mut seat = None;
        let (entered, _) = self.rules.enter(self.at(seconds), entry, |given| {
            seat = Some(given);
            name
        });
        (entered, seat.unwrap())
    }

    fn subscribe(&mut self, seat: Seat, filter: &str, quality: Quality, id: Option<u32>) {
        let filter =
            Filter { filter, quality, no_local: false, retain_as_published: false, retain_handling: 0 };
        assert_eq!(self.rules.subscribe(self.at(0), seat, &filter, id), Ok(quality));
    }

    /// Topic, payload, packet id, dup and retain of what a connection gets now.
    fn sent(&mut self, seconds: u64, seat: Seat) -> Vec<(String, Vec<u8>, u16, bool, bool)> {
        let mut out = Vec::new();
        self.rules.poll_send(self.at(seconds), seat, &mut out, usize::MAX);
        let mut rest = out.as_slice();
        let mut sent = Vec::new();
        while let Some((frame, len)) = split(rest, usize::MAX).unwrap() {
            // Subscription ids come from servers only, so a packet with some is not read here.
            if let Ok(Packet::Publish(it)) = decode(Version::V5, frame) {
                sent.push((it.topic.to_owned(), it.payload.to_vec(), it.id, it.dup, it.retain));
            }
            rest = &rest[len..];
        }
        sent
    }

    fn payloads(&mut self, seconds: u64, seat: Seat) -> Vec<Vec<u8>> {
        self.sent(seconds, seat).into_iter().map(|it| it.1).collect()
    }
}

const LOST: Farewell = Farewell { is_lost: true, session_expiry_s: None };
const GOODBYE: Farewell = Farewell { is_lost: false, session_expiry_s: None };

#[test]
fn a_kept_session_gets_what_it_missed_in_order_and_again_what_it_did_not_confirm() {
    let mut world = World::new();
    let (entered, seat) = world.enter(0, entry("n1", false), "first");
    assert!(!entered.session_present);
    world.subscribe(seat, "n1/#", Quality::AtLeastOnce, None);
    let publish = |world: &mut World, text: &[u8], quality| {
        let mut plain = Arc::into_inner(message("n1/down", text, quality)).unwrap();
        plain.retain = false;
        world.rules.publish(None, &Arc::new(plain))
    };
    for text in [b"1", b"2", b"3"] {
        assert_eq!(publish(&mut world, text, Quality::AtLeastOnce).touched, ["first"]);
    }
    assert_eq!(world.payloads(0, seat), [b"1", b"2"], "the client takes two at a time");
    assert!(world.rules.session(seat).unwrap().handle_done(1));
    assert!(!world.rules.session(seat).unwrap().handle_done(1), "confirmed once");
    assert_eq!(world.payloads(0, seat), [b"3"]);
    assert_eq!(world.rules.leave(world.at(1), seat, LOST), None);
    assert!(publish(&mut world, b"4", Quality::AtLeastOnce).touched.is_empty());
    assert_eq!(publish(&mut world, b"5", Quality::AtMostOnce).n_dropped, 0, "never promised");
    let (entered, seat) = world.enter(30, entry("n1", false), "second");
    assert!(entered.session_present && entered.replaced.is_none());
    let again = world.sent(30, seat);
    assert_eq!(
        again.iter().map(|it| (it.1.as_slice(), it.2, it.3)).collect::<Vec<_>>(),
        [(b"2".as_slice(), 2, true), (b"3".as_slice(), 3, true)]
    );
    for id in [2, 3] {
        assert!(world.rules.session(seat).unwrap().handle_done(id));
    }
    assert_eq!(world.payloads(30, seat), [b"4"]);
    world.rules.leave(world.at(40), seat, GOODBYE);
    world.rules.expire(world.at(101));
    assert!(!world.enter(102, entry("n1", false), "third").0.session_present, "forgotten after a minute");
    assert!(!world.rules.is_wanted("n1/down"));
}

#[test]
fn a_second_connection_takes_the_first_ones_place() {
    let mut world = World::new();
    let (_, old) = world.enter(0, Entry { will: Some(will(0)), ..entry("n1", false) }, "old");
    world.subscribe(old, "a", Quality::AtLeastOnce, None);
    let (entered, new) = world.enter(1, entry("n1", false), "new");
    assert_eq!((entered.replaced, entered.session_present), (Some("old"), true));
    assert_eq!(entered.will.unwrap().payload, b"offline"[..]);
    assert_eq!(world.rules.leave(world.at(2), old, LOST), None, "the old one has nothing to say any more");
    assert!(world.rules.session(old).is_none());
    assert_eq!(world.rules.publish(None, &message("a", b"1", Quality::AtLeastOnce)).touched, ["new"]);
    assert_eq!(world.payloads(2, new), [b"1"]);
}

#[test]
fn one_device_cannot_occupy_the_client_id_of_another() {
    let mut world = World::new();
    let of = |user: &str, clean| Entry { user: Some(user.into()), ..entry("n1", clean) };
    let (_, foreign) = world.enter(0, of("n2", false), "n2 under the id of n1");
    world.subscribe(foreign, "n2/down", Quality::AtLeastOnce, None);
    let (entered, own) = world.enter(1, of("n1", true), "n1");
    assert_eq!((entered.replaced, entered.session_present), (None, false), "it is nobody's but its user's");
    world.subscribe(own, "n1/down", Quality::AtLeastOnce, None);
    let touched = world.rules.publish(None, &message("n1/down", b"1", Quality::AtLeastOnce)).touched;
    assert_eq!(touched, ["n1"]);
    let (entered, _) = world.enter(2, of("n1", true), "n1 again");
    assert_eq!(entered.replaced, Some("n1"));
    assert!(world.rules.session(foreign).is_some());
}

#[test]
fn one_user_takes_half_of_the_places_at_most() {
    let mut world = World::new();
    let of = |user: &str, id| Entry { user: Some(user.into()), ..entry(id, true) };
    let kept = |user: &str, id| Entry { user: Some(user.into()), ..entry(id, false) };
    world.enter(0, kept("n1", "a"), "a");
    assert_eq!(world.rules.check(&kept("n1", "b")), Err(Reason::QuotaExceeded), "kept sessions");
    world.enter(0, of("n1", "b"), "b");
    assert_eq!(world.rules.check(&of("n1", "c")), Err(Reason::QuotaExceeded), "connections");
    assert_eq!(world.rules.check(&kept("n1", "a")), Ok(()), "whoever is in may come back");
    world.enter(0, kept("n2", "a"), "another");
}

#[test]
fn a_will_waits_for_its_delay_unless_the_client_comes_back_or_its_session_ends() {
    let mut world = World::new();
    let enter = |world: &mut World, at, clean| {
        world.enter(at, Entry { will: Some(will(10)), ..entry("n1", clean) }, "n1").1
    };
    let seat = enter(&mut world, 0, false);
    assert_eq!(world.rules.leave(world.at(0), seat, GOODBYE), None);
    assert!(world.rules.expire(world.at(50)).is_empty(), "a goodbye forgets the will");
    let seat = enter(&mut world, 50, false);
    assert_eq!(world.rules.leave(world.at(50), seat, LOST), None);
    assert!(world.rules.expire(world.at(59)).is_empty());
    let due = world.rules.expire(world.at(60));
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].expiry_s(world.at(60)), Some(5), "its expiry counts from here");
    let seat = enter(&mut world, 61, false);
    world.rules.leave(world.at(61), seat, LOST);
    let seat = enter(&mut world, 65, false);
    assert!(world.rules.expire(world.at(72)).is_empty(), "back in time");
    world.rules.leave(world.at(73), seat, LOST);
    let (entered, _) = world.enter(74, entry("n1", true), "n1");
    assert!(entered.will.is_some(), "a clean start ends the session");
    let seat = enter(&mut world, 80, true);
    assert!(world.rules.leave(world.at(80), seat, LOST).is_some(), "no session to wait for");
}

#[test]
fn retained_messages_come_with_a_subscription_as_it_wants_them() {
    let mut world = World::new();
    world.rules.publish(None, &message("a/1", b"kept", Quality::AtLeastOnce));
    let (_, seat) = world.enter(0, entry("n1", true), "n1");
    let subscribe = |world: &mut World, retain_handling| {
        let quality = Quality::AtMostOnce;
        let filter =
            Filter { filter: "a/+", quality, no_local: true, retain_as_published: true, retain_handling };
        world.rules.subscribe(world.at(0), seat, &filter, None).unwrap();
        world.sent(0, seat)
    };
    assert_eq!(subscribe(&mut world, 2), []);
    let kept = [("a/1".to_owned(), b"kept".to_vec(), 0, false, true)];
    assert_eq!(subscribe(&mut world, 0), kept);
    assert_eq!(subscribe(&mut world, 1), [], "the subscription is not new");
    assert_eq!(
        world.rules.publish(Some(seat.client), &message("a/2", b"own", Quality::AtLeastOnce)).touched.len(),
        0
    );
    world.rules.publish(None, &message("a/2", b"other", Quality::AtLeastOnce));
    assert_eq!(world.sent(0, seat).first().map(|it| it.4), Some(true), "as published");
    assert_eq!(world.rules.unsubscribe(seat, "a/+"), Reason::Success);
    assert_eq!(world.rules.unsubscribe(seat, "a/+"), Reason::NoSubscriptionExisted);
    assert!(!world.rules.is_wanted("a/1"));
}

#[test]
fn overlapping_subscriptions_give_one_copy_of_the_best_quality() {
    let mut world = World::new();
    let (_, seat) = world.enter(0, entry("n1", true), "n1");
    world.subscribe(seat, "a/#", Quality::AtMostOnce, None);
    world.subscribe(seat, "a/+", Quality::ExactlyOnce, None);
    world.rules.publish(None, &message("a/1", b"x", Quality::ExactlyOnce));
    let sent = world.sent(0, seat);
    assert_eq!(sent.iter().map(|it| it.2).collect::<Vec<_>>(), [1]);
    let session = world.rules.session(seat).unwrap();
    assert_eq!(session.handle_received(9, 0), Some(Reason::PacketIdentifierNotFound));
    assert_eq!(session.handle_received(1, 0), Some(Reason::Success));
    assert!(session.handle_done(1));
}

#[test]
fn what_is_too_late_or_too_long_for_a_client_is_left_out() {
    let mut world = World::new();
    let (_, seat) = world.enter(0, entry("n1", true), "n1");
    world.subscribe(seat, "a", Quality::AtLeastOnce, None);
    let mut late = Arc::into_inner(message("a", b"late", Quality::AtLeastOnce)).unwrap();
    late.expires_at = Some(world.at(5));
    world.rules.publish(None, &Arc::new(late));
    world.rules.publish(None, &message("a", &[0; 2000], Quality::AtLeastOnce));
    world.rules.publish(None, &message("a", b"good", Quality::AtLeastOnce));
    assert_eq!(world.payloads(5, seat), [b"good"]);
}

#[test]
fn everything_has_a_bound() {
    let mut world = World::new();
    let (_, first) = world.enter(0, entry("a", false), "a");
    world.enter(0, entry("b", false), "b");
    assert_eq!(world.rules.check(&entry("c", false)), Err(Reason::QuotaExceeded), "kept sessions");
    world.enter(0, entry("c", true), "c");
    world.enter(0, entry("d", true), "d");
    assert_eq!(world.rules.check(&entry("e", true)), Err(Reason::QuotaExceeded), "connections");
    assert_eq!(world.rules.check(&entry("a", false)), Ok(()), "whoever is in may come back");
    for n in 0..SUBSCRIPTIONS_MAX {
        world.subscribe(first, &n.to_string(), Quality::AtLeastOnce, None);
    }
    let filter = "one more";
    let one_more = Filter {
        filter,
        quality: Quality::AtMostOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: 0,
    };
    assert_eq!(world.rules.subscribe(world.at(0), first, &one_more, None), Err(Reason::QuotaExceeded));
    let big = message("1", &vec![0; 100_000], Quality::AtLeastOnce);
    let mut n_taken = 0;
    let routed = loop {
        let routed = world.rules.publish(None, &big);
        if routed.touched.is_empty() {
            break routed;
        }
        n_taken += 1;
    };
    assert_eq!((n_taken, routed.slow, routed.n_dropped), (10, vec!["a"], 2), "a slow reader is named");
    let session = world.rules.session(first).unwrap();
    for id in 1..=1024 {
        assert_eq!(session.take(id), Ok(()));
    }
    assert_eq!(session.take(1025), Err(Reason::ReceiveMaximumExceeded));
    assert_eq!((session.release(1), session.release(1)), (Reason::Success, Reason::PacketIdentifierNotFound));
}
