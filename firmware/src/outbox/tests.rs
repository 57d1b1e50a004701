//! The outbox against a model of its gateway: any order of calls, any overflow, and the power cut at every single word.

use super::*;
use crate::nor::{Nor, PAGE_LEN, Power, now_or_never};
use giot_shared::ids::ValveId;
use giot_shared::valve::CloseReason;
use giot_shared::wire::{Reading, Uplink, ValveEvent};
use proptest::prelude::{ProptestConfig, Strategy, prop, prop_assert_eq, prop_oneof, proptest};
use std::collections::BTreeMap;
use std::vec::Vec;

const READING_PAGES: usize = 3;

/// The flash of one node over its boots.
struct Chip<const PAGE: usize = PAGE_LEN> {
    power: Power,
    settings: Nor<PAGE>,
    readings: Nor<PAGE>,
    events: Nor<PAGE>,
}

impl Chip {
    fn new() -> Self {
        Self::with_pages()
    }
}

impl<const PAGE: usize> Chip<PAGE> {
    fn with_pages() -> Self {
        let power = Power::default();
        Self {
            settings: Nor::with_pages(2, &power),
            readings: Nor::with_pages(READING_PAGES, &power),
            events: Nor::with_pages(4, &power),
            power,
        }
    }

    /// Boots as the loop does.
    async fn boot(&self) -> Result<(Settings<Nor<PAGE>>, Outbox<Nor<PAGE>>), OutboxError> {
        let mut settings = Settings::open(self.settings.clone())?;
        let tails = settings.lost_tails().await;
        let mut outbox = Outbox::open(self.readings.clone(), self.events.clone(), tails).await?;
        let epoch = settings.next_epoch(outbox.last().epoch).await?;
        outbox.begin_epoch(epoch);
        Ok((settings, outbox))
    }
}

/// What a gateway does with messages.
#[derive(Default)]
struct Gateway {
    stored: Position,
    got: BTreeMap<Position, Body>,
}

impl Gateway {
    fn take(&mut self, records: &Records) {
        assert!(records.is_contiguous(), "{records:?}");
        assert!(records.after <= self.stored, "a gap nobody told of: {records:?} after {:?}", self.stored);
        let mut buffer = [0; giot_shared::wire::PAYLOAD_LEN_MAX];
        assert!(Uplink::Records(records.clone()).encode(&mut buffer).is_ok(), "too long for a payload");
        for record in &records.records {
            let at = Position { epoch: records.epoch, seq: record.last_seq() };
            if at > self.stored {
                self.stored = at;
                let first = Position { epoch: records.epoch, seq: record.seq };
                assert!(self.got.insert(first, record.body.clone()).is_none(), "{first:?} twice");
            }
        }
    }

    /// Takes everything and acknowledges it.
    async fn drain<const PAGE: usize>(
        &mut self,
        settings: &mut Settings<Nor<PAGE>>,
        outbox: &mut Outbox<Nor<PAGE>>,
    ) {
        while let Some(records) = outbox.batch(self.stored).await.expect("read") {
            self.take(&records);
        }
        outbox.release(settings, self.stored).await.expect("released");
        assert_eq!(outbox.level().waiting, 0);
        assert!(!outbox.has_after(self.stored));
    }

    /// Whether a position came, as itself or as told lost.
    fn knows(&self, at: Position) -> Option<&Body> {
        let (first, body) = self.got.range(..=at).next_back()?;
        let same_epoch = first.epoch == at.epoch;
        match body {
            Body::Lost(lost) => (same_epoch && at.seq <= lost.to).then_some(body),
            Body::Reading(_) | Body::Valve(_) | Body::Health(_) | Body::Settings(_) | Body::Unknown => {
                (*first == at).then_some(body)
            }
        }
    }
}

fn reading(value: i32) -> Body {
    Body::Reading(Reading { probe: 1, metric: 1, value: Some(value), raw: Some(1500), flaw: None })
}

fn event(run_ms: u64) -> Body {
    Body::Valve(ValveEvent {
        valve: ValveId(0),
        open: false,
        command: None,
        closed_by: Some(CloseReason::LeaseEnded),
        run_ms: Some(run_ms),
        volume: None,
    })
}

fn is_event(body: &Body) -> bool {
    matches!(body, Body::Valve(_))
}

#[test]
fn records_come_in_order_in_full_messages() {
    now_or_never(async {
        let chip = Chip::new();
        let (mut settings, mut outbox) = chip.boot().await.expect("booted");
        for n in 0..30_i32 {
            let body = if n % 5 == 0 { event(u64::from(n.unsigned_abs())) } else { reading(n) };
            outbox.push(&mut settings, UptimeMs(u64::from(n.unsigned_abs())), body).await.expect("room");
        }
        assert_eq!(outbox.level().waiting, 30);
        let first = outbox.batch(Position::default()).await.expect("read").expect("records");
        assert_eq!(first.after, Position::default());
        assert!(first.records.len() > 25, "a message is filled: {}", first.records.len());
        let seqs: Vec<u32> = first.records.iter().map(|record| record.seq).collect();
        let want: Vec<u32> = (1..).take(seqs.len()).collect();
        assert_eq!(seqs, want);
        // The same again until it is released.
        assert_eq!(outbox.batch(Position::default()).await, Ok(Some(first.clone())));
        outbox.release(&mut settings, first.last()).await.expect("released");
        let mut gateway = Gateway { stored: first.last(), got: BTreeMap::new() };
        gateway.drain(&mut settings, &mut outbox).await;
        assert_eq!(gateway.stored, Position { epoch: 1, seq: 30 });
    });
}

#[test]
fn an_overfull_outbox_gives_up_oldest_readings_and_says_so() {
    now_or_never(async {
        let chip = Chip::new();
        let (mut settings, mut outbox) = chip.boot().await.expect("booted");
        let mut events = Vec::new();
        for n in 1..=200_u32 {
            let body = if n % 40 == 0 { event(u64::from(n)) } else { reading(1) };
            let at = outbox.push(&mut settings, UptimeMs(u64::from(n)), body.clone()).await.expect("room");
            if is_event(&body) {
                events.push(at);
            }
        }
        let level = outbox.level();
        assert!(level.lost > 100, "{level:?}");
        assert_eq!(level.waiting + level.lost, 200);
        let mut gateway = Gateway::default();
        gateway.drain(&mut settings, &mut outbox).await;
        for seq in 1..=200 {
            assert!(gateway.knows(Position { epoch: 1, seq }).is_some(), "{seq} is silently gone");
        }
        for at in events {
            assert!(is_event(gateway.knows(at).expect("known")), "an event was given up");
        }
        let newest = gateway.knows(Position { epoch: 1, seq: 199 }).expect("known");
        assert!(matches!(newest, Body::Reading(_)), "the newest stay");
    });
}

/// A page of some NOR chips holds thousands of readings, and the end of an earlier boot behind many of them.
#[test]
fn pages_of_any_length_are_given_up_with_an_account_of_them() {
    const PAGE: usize = 48 << 10;
    const N_FIRST: u32 = 1100;
    const N_SECOND: u32 = 4000;
    now_or_never(async {
        let chip = Chip::<PAGE>::with_pages();
        let (mut settings, mut outbox) = chip.boot().await.expect("booted");
        for n in 1..=N_FIRST {
            outbox.push(&mut settings, UptimeMs(n.into()), reading(2)).await.expect("room");
        }
        let (mut settings, mut outbox) = chip.boot().await.expect("booted");
        for n in 1..=N_SECOND {
            outbox.push(&mut settings, UptimeMs(n.into()), reading(3)).await.expect("room");
        }
        let level = outbox.level();
        assert_eq!(level.waiting + level.lost, N_FIRST + N_SECOND, "{level:?}");
        let mut gateway = Gateway::default();
        gateway.drain(&mut settings, &mut outbox).await;
        let end = gateway.knows(Position { epoch: 1, seq: N_FIRST });
        assert!(matches!(end, Some(Body::Lost(_))), "the first boot's end: {end:?}");
        let n_got =
            (1..=N_SECOND).filter(|seq| gateway.knows(Position { epoch: 2, seq: *seq }) == Some(&reading(3)));
        let n_lost_of_second = level.lost - N_FIRST;
        assert_eq!(n_got.count(), usize::try_from(N_SECOND - n_lost_of_second).expect("small"));
    });
}

#[test]
fn the_dropped_end_of_an_earlier_boot_is_told_too() {
    now_or_never(async {
        let chip = Chip::new();
        for _ in 0..3 {
            let (mut settings, mut outbox) = chip.boot().await.expect("booted");
            for n in 1..=20 {
                outbox.push(&mut settings, UptimeMs(n), reading(2)).await.expect("room");
            }
        }
        let (mut settings, mut outbox) = chip.boot().await.expect("booted");
        outbox.push(&mut settings, UptimeMs(1), event(7)).await.expect("room");
        for n in 2..=150 {
            outbox.push(&mut settings, UptimeMs(n), reading(3)).await.expect("room");
        }
        let mut gateway = Gateway::default();
        gateway.drain(&mut settings, &mut outbox).await;
        for epoch in 1..=3 {
            for seq in 1..=20 {
                let known = gateway.knows(Position { epoch, seq });
                assert!(matches!(known, Some(Body::Lost(_))), "({epoch}, {seq}): {known:?}");
            }
        }
        assert!(is_event(gateway.knows(Position { epoch: 4, seq: 1 }).expect("known")));
    });
}

/// Of more than sixteen boots it was told what sixteen had lost.
#[test]
fn what_many_short_boots_lost_is_told_to_the_last_record() {
    for (n_boots, n_delivered) in [(10_u32, 0_u32), (16, 0), (17, 0), (40, 0), (40, 3), (40, 30)] {
        now_or_never(async {
            let chip = Chip::new();
            let mut gateway = Gateway::default();
            let (mut n_made, mut events) = (0_u32, Vec::new());
            for boot in 0..=n_boots {
                let (mut settings, mut outbox) = chip.boot().await.expect("booted");
                let n_records: u32 = if boot == n_boots { 1000 } else { 3 + boot % 5 };
                for n in 0..n_records {
                    // At the end, before others, all there is, or none.
                    let is_event =
                        boot < n_boots && (boot % 4 == 1 && n == 2 || boot % 4 == 2 && n + 1 == n_records);
                    let body = if is_event { event(u64::from(n)) } else { reading(1) };
                    let at = outbox.push(&mut settings, UptimeMs(u64::from(n)), body).await.expect("room");
                    events.extend(is_event.then_some(at));
                    n_made += 1;
                }
                // Some of it comes in between.
                if boot == n_delivered && boot > 0 {
                    let records = outbox.batch(gateway.stored).await.expect("read").expect("records");
                    gateway.take(&records);
                    outbox.release(&mut settings, gateway.stored).await.expect("released");
                }
            }
            let (mut settings, mut outbox) = chip.boot().await.expect("booted");
            gateway.drain(&mut settings, &mut outbox).await;
            let (mut n_got, mut n_lost) = (0, 0);
            for (at, body) in &gateway.got {
                if let Body::Lost(lost) = body { n_lost += lost.to - at.seq + 1 } else { n_got += 1 }
            }
            assert_eq!(n_got + n_lost, n_made, "{n_boots} boots, {n_delivered}");
            assert!(events.iter().all(|at| gateway.knows(*at) == Some(&event(u64::from(at.seq - 1)))));
            let (_, outbox) = chip.boot().await.expect("booted");
            assert!(!outbox.has_after(gateway.stored), "nothing is told again");
        });
    }
}

#[test]
fn events_fill_up_to_their_limit_and_not_beyond() {
    now_or_never(async {
        let chip = Chip::new();
        let (mut settings, mut outbox) = chip.boot().await.expect("booted");
        let room = outbox.level().events_room;
        assert!(room >= 12, "{room}");
        // However the ring lies: half a ring of events came and went before.
        for n in 0..9 {
            outbox.push(&mut settings, UptimeMs(n), event(u64::MAX)).await.expect("room");
        }
        outbox.release(&mut settings, outbox.last()).await.expect("released");
        for n in 0..room {
            assert_eq!(outbox.level().events_room, room - n);
            outbox.push(&mut settings, UptimeMs(u64::MAX), event(u64::MAX)).await.expect("promised room");
        }
        assert_eq!(outbox.level().events_room, 0);
        let mut n_more = 0;
        while outbox.push(&mut settings, UptimeMs(1), event(1)).await.is_ok() {
            n_more += 1;
            assert!(n_more < 200, "it ends");
        }
        assert_eq!(outbox.push(&mut settings, UptimeMs(1), event(1)).await, Err(OutboxError::Full));
        outbox.push(&mut settings, UptimeMs(1), reading(1)).await.expect("readings have their own room");
    });
}

#[test]
fn a_record_that_the_flash_did_not_take_leaves_a_visible_gap() {
    now_or_never(async {
        let chip = Chip::new();
        let (mut settings, mut outbox) = chip.boot().await.expect("booted");
        outbox.push(&mut settings, UptimeMs(1), reading(1)).await.expect("room");
        chip.power.cut_at(1);
        assert_eq!(outbox.push(&mut settings, UptimeMs(2), reading(2)).await, Err(OutboxError::Flash));
        chip.power.on();
        let mut gateway = Gateway::default();
        gateway.drain(&mut settings, &mut outbox).await;
        assert_eq!(gateway.stored.seq, 1, "nobody waits for what is not there");
        outbox.push(&mut settings, UptimeMs(3), reading(3)).await.expect("room");
        gateway.drain(&mut settings, &mut outbox).await;
        assert!(matches!(gateway.knows(Position { epoch: 1, seq: 2 }), Some(Body::Lost(_))));
        assert_eq!(gateway.knows(Position { epoch: 1, seq: 3 }), Some(&reading(3)));
    });
}

#[test]
fn a_spoilt_partition_is_begun_anew() {
    now_or_never(async {
        let chip = Chip::new();
        let (mut settings, mut outbox) = chip.boot().await.expect("booted");
        outbox.push(&mut settings, UptimeMs(1), reading(1)).await.expect("room");
        chip.readings.scramble();
        let (mut settings, mut outbox) = chip.boot().await.expect("booted again");
        assert_eq!(outbox.last(), Position { epoch: 2, seq: 0 });
        outbox.push(&mut settings, UptimeMs(1), reading(5)).await.expect("it takes records");
        let mut gateway = Gateway { stored: Position { epoch: 1, seq: 0 }, got: BTreeMap::new() };
        gateway.drain(&mut settings, &mut outbox).await;
        assert_eq!(gateway.got.get(&Position { epoch: 2, seq: 1 }), Some(&reading(5)));
    });
}

#[test]
fn small_partitions_are_refused() {
    now_or_never(async {
        let power = Power::default();
        for (readings, events) in [(1, 3), (2, 2), (0, 3)] {
            let (readings, events) = (Nor::new(readings, &power), Nor::new(events, &power));
            let opened = Outbox::open(readings, events, LostTails::new()).await;
            assert_eq!(opened.err(), Some(OutboxError::Partition));
        }
        assert_eq!(PAGE_LEN % 4, 0);
    });
}

/// One boot's work. Stops where the power does; what was confirmed before that is in `confirmed`.
async fn work(
    chip: &Chip,
    gateway: &mut Gateway,
    confirmed: &mut BTreeMap<Position, Body>,
    n_records: u64,
) -> Result<(), OutboxError> {
    let (mut settings, mut outbox) = chip.boot().await?;
    for n in 0..n_records {
        let body = if n % 6 == 5 { event(n) } else { reading(i32::try_from(n).expect("small")) };
        let at = outbox.push(&mut settings, UptimeMs(n), body.clone()).await?;
        assert!(confirmed.insert(at, body).is_none(), "{at:?} was used twice");
        if n % 45 == 44 {
            for _ in 0..2 {
                if let Some(records) = outbox.batch(gateway.stored).await? {
                    gateway.take(&records);
                    outbox.release(&mut settings, gateway.stored).await?;
                    settings.store_released(gateway.stored).await?;
                }
            }
        }
    }
    Ok(())
}

/// Two boots, the power cut in the second one at each single word that it writes, then a third one that delivers all.
#[test]
fn a_power_cut_at_any_word_loses_nothing_that_was_confirmed() {
    now_or_never(async {
        let mut cut_at = 1;
        loop {
            let chip = Chip::new();
            let mut gateway = Gateway::default();
            let mut confirmed = BTreeMap::new();
            work(&chip, &mut gateway, &mut confirmed, 30).await.expect("no cut yet");
            chip.power.cut_at(cut_at);
            let second = work(&chip, &mut gateway, &mut confirmed, 120).await;
            assert_eq!(second.is_err(), chip.power.is_cut(), "only a cut makes it fail: {cut_at}");
            let finished = second.is_ok();
            chip.power.on();
            let (mut settings, mut outbox) =
                chip.boot().await.unwrap_or_else(|error| panic!("cut at {cut_at}: {error}"));
            let used = confirmed.keys().next_back().expect("records").epoch;
            let at = outbox.push(&mut settings, UptimeMs(1), reading(9)).await.expect("room");
            assert!(at.epoch > used, "cut at {cut_at}: epoch {} again", at.epoch);
            confirmed.insert(at, reading(9));
            gateway.drain(&mut settings, &mut outbox).await;
            for (at, body) in &confirmed {
                match gateway.knows(*at) {
                    Some(Body::Lost(_)) => assert!(!is_event(body), "cut at {cut_at}: event {at:?} lost"),
                    known => assert_eq!(known, Some(body), "cut at {cut_at}: {at:?}"),
                }
            }
            if finished {
                let lost = gateway.got.values().any(|body| matches!(body, Body::Lost(_)));
                assert!(lost, "the work overflowed too");
                break;
            }
            cut_at += 1;
        }
        assert!(cut_at > 1000, "the sweep covered a whole boot: {cut_at} words");
    });
}

#[derive(Clone, Debug)]
enum Step {
    Readings(u8),
    Event,
    Deliver,
    DeliverTwice,
    Reboot,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order: the gateway gets each record once, in order, or is told that a reading is lost.
    #[test]
    fn nothing_is_silently_gone(steps in prop::collection::vec(prop_oneof![
        4 => (1..60_u8).prop_map(Step::Readings),
        2 => proptest::strategy::Just(Step::Event),
        2 => proptest::strategy::Just(Step::Deliver),
        1 => proptest::strategy::Just(Step::DeliverTwice),
        1 => proptest::strategy::Just(Step::Reboot),
    ], 1..40)) {
        now_or_never(async {
            let chip = Chip::new();
            let (mut settings, mut outbox) = chip.boot().await.expect("booted");
            let mut gateway = Gateway::default();
            let mut made: BTreeMap<Position, Body> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Readings(n) => for value in 0..n {
                        let body = reading(i32::from(value));
                        let at = outbox.push(&mut settings, UptimeMs(3), body.clone()).await.expect("room");
                        made.insert(at, body);
                    },
                    Step::Event => if outbox.level().events_room > 0 {
                        let at = outbox.push(&mut settings, UptimeMs(3), event(5)).await.expect("room");
                        made.insert(at, event(5));
                    },
                    Step::Deliver | Step::DeliverTwice => {
                        if let Some(records) = outbox.batch(gateway.stored).await.expect("read") {
                            gateway.take(&records);
                            if matches!(step, Step::DeliverTwice) {
                                gateway.take(&records);
                            }
                            outbox.release(&mut settings, gateway.stored).await.expect("released");
                        }
                    }
                    Step::Reboot => (settings, outbox) = chip.boot().await.expect("booted"),
                }
            }
            gateway.drain(&mut settings, &mut outbox).await;
            for (at, body) in &made {
                match gateway.knows(*at) {
                    Some(Body::Lost(_)) => assert!(!is_event(body), "event {at:?} lost"),
                    known => assert_eq!(known, Some(body), "{at:?}"),
                }
            }
            let n_real = gateway.got.values().filter(|body| !matches!(body, Body::Lost(_))).count();
            let n_lost = made.keys().filter(|at| matches!(gateway.knows(**at), Some(Body::Lost(_)))).count();
            prop_assert_eq!(n_real + n_lost, made.len());
            Ok(())
        })?;
    }
}

/// By what the gateway dates boots that it never met.
#[test]
fn how_long_earlier_boots_lasted_is_known_from_what_waits() {
    let chip = Chip::<PAGE_LEN>::new();
    let ended =
        |outbox: &Outbox<Nor>| outbox.ended().iter().map(|one| (one.epoch, one.last.0)).collect::<Vec<_>>();
    now_or_never(async {
        for (boot, lasted_ms) in [(1, 900), (2, 50), (3, 7000)] {
            let (mut settings, mut outbox) = chip.boot().await.expect("boots");
            outbox.push(&mut settings, UptimeMs(lasted_ms / 2), event(1)).await.expect("kept");
            outbox.push(&mut settings, UptimeMs(lasted_ms), reading(boot)).await.expect("kept");
            outbox.push(&mut settings, UptimeMs(lasted_ms - 1), reading(boot)).await.expect("kept");
        }
        let (mut settings, mut outbox) = chip.boot().await.expect("boots");
        assert_eq!(ended(&outbox), [(1, 900), (2, 50), (3, 7000)]);
        outbox.release(&mut settings, Position { epoch: 2, seq: 1 }).await.expect("released");
        let (_, outbox) = chip.boot().await.expect("boots");
        assert_eq!(ended(&outbox), [(2, 50), (3, 7000)], "what is released is known no more");
    });
}
