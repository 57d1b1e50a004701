//! The power of the chip fails at every single step of its flash in a run: each word that it programs, each page that it erases, and
//! comes back at once. One life of the node is played for each step, from the same flash: it starts with records that wait, meets its
//! gateway, is told that they are stored, opens its valve and closes it, and changes its settings. Rings and maps are about to turn
//! their pages, so that each life erases some of every kind.
//!
//! Every life ends like the one without a failure: everything that was made arrived, once for each count, what the flash held when
//! the power failed and what the node said to have made by then; what has not arrived at the end waits; a run that began has one
//! end; no boot takes the epoch of another; an order that was obeyed is not obeyed again; the settings are the old ones or the new
//! ones, as the node says.

use super::installation;
use crate::farm::NODE;
use giot_firmware::outbox::Outbox;
use giot_firmware::settings::{Installation, Network, Settings as Counters, Setup, words};
use giot_gateway::clock::monotonic;
use giot_shared::ids::{CommandId, Position, ValveId};
use giot_shared::metric::Metric;
use giot_shared::time::{UnixMs, UptimeMs};
use giot_shared::valve::{CloseReason, RefusalReason};
use giot_shared::wire::{
    Answer, Body, Close, Downlink, Hello, NodeKey, Open, Order, Reading, Record, Settings, SettingsOutcome,
    SettingsText, ValveEvent,
};
use giot_tests::node::{Kit, PATIENCE};
use giot_tests::qemu::peer::{Event, Peer};
use giot_tests::qemu::{Bank, Chip, HOST, Partition, at_once, image};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Processors that QEMU may take.
const N_WORKERS: usize = 2;
/// Lives that end before the power fails until it is believed that no life has more steps: records that are told together take
/// fewer than those that are told apart.
const N_WHOLE: u32 = 3;
/// So many fewer a life may have than the first one.
const FEWER_MAX: u32 = 4;
/// More steps than any life has.
const NEVER: u32 = 1 << 20;
/// After so long without a word the node has nothing to say.
const SILENCE: Duration = Duration::from_millis(300);
/// How often it is looked whether the power has failed.
const LOOK: Duration = Duration::from_millis(10);
const KEY: NodeKey = NodeKey([7; 32]);
/// What is changed over the air.
const CHANGE: &str = "health_s=7200\nprobe.2=tank_float,contact:2:0,3600,3600\nbattery=lifepo4,4,300,100";
const CHANGE_COMMAND: CommandId = CommandId(1 << 63 | 77);

/// Flash as a life begins with it.
struct Past {
    banks: [Bank; 4],
    /// Up to here the gateway has everything.
    stored: Position,
    /// What waits.
    waiting: Vec<Position>,
    epoch: u32,
    /// The settings before and after the change.
    settings: [String; 2],
}

impl Past {
    /// Of a node whose gateway is not known yet.
    fn new() -> Self {
        let mut installed = Bank::installed(&lived_in(1));
        at_once(turn_installation(&mut installed));
        let mut counters = Bank::empty(Partition::Settings);
        let (mut readings, mut events) = (Bank::empty(Partition::Readings), Bank::empty(Partition::Events));
        let mut made = Made::default();
        at_once(made.live(&mut counters, &mut readings, &mut events));
        Self {
            stored: made.stored,
            waiting: made.waiting,
            epoch: made.last.epoch,
            settings: [String::new(), String::new()],
            banks: [installed, counters, readings, events],
        }
    }

    /// The same of a node whose gateway is at this port.
    fn with_port(&self, port: u16) -> Self {
        let (installed, mut banks) = (lived_in(port), self.banks.clone());
        at_once(come_near(&mut banks[0], &format!("broker={}", installed.broker)));
        let changed = words::changed(&installed, CHANGE).unwrap();
        Self {
            banks,
            stored: self.stored,
            waiting: self.waiting.clone(),
            epoch: self.epoch,
            settings: [shown(&installed), shown(&changed)],
        }
    }
}

/// What an installer wrote down. Switches: nothing of a life waits for the line.
fn lived_in(port: u16) -> Installation {
    let mut made = installation(&Kit::new(NODE, KEY, &format!("{HOST}:{port}")));
    made.network = Network::Static {
        address: "10.0.2.80".parse().unwrap(),
        prefix_len: 24,
        router: HOST.parse().unwrap(),
    };
    words::set(&mut made, "probe.0", "tank_float,contact:0:0,3600,3600,0").unwrap();
    words::set(&mut made, "probe.1", "pressure_switch,contact:1:0,3600,3600").unwrap();
    made
}

/// Tries settings and ends the trial.
async fn cycle(bank: &mut Bank, command: u64, text: &str, outcome: SettingsOutcome) {
    let mut setup = Setup::new(&mut *bank);
    let settings =
        Settings { text: SettingsText::new(text).unwrap(), ..change(CommandId(command), UnixMs(0)) };
    assert!(setup.begin(&settings, &NODE.parse().unwrap()).await.unwrap());
    setup.boot().await.unwrap();
    setup.settle(outcome).await.unwrap();
    setup.told().await.unwrap();
}

/// Changes settings and gives them up again until every page of the partition was used.
async fn turn_installation(bank: &mut Bank) {
    const N_CYCLES: u64 = 90;
    // The longest text that a change may have, nearly.
    let text = format!("{CHANGE}\nprobe.3=tank_float,contact:3:0,3600,3600\nmeter=none\nhealth_s=3600");
    for command in 1..=N_CYCLES {
        cycle(bank, command, &text, SettingsOutcome::Unreachable).await;
    }
}

/// Makes a change for good, and others not, until the page is so full that the life's change turns it.
async fn come_near(bank: &mut Bank, text: &str) {
    /// More than one of these takes, and less than the life's change.
    const NEAR: usize = 330;
    let mut command = 1000;
    cycle(bank, command, text, SettingsOutcome::Confirmed).await;
    while bank.room().is_none_or(|room| room > NEAR) {
        command += 1;
        cycle(bank, command, CHANGE, SettingsOutcome::Unreachable).await;
    }
}

/// What was made before the life.
#[derive(Default)]
struct Made {
    last: Position,
    stored: Position,
    waiting: Vec<Position>,
}

impl Made {
    /// Two boots with so many records that every page was used, the newest of which wait.
    async fn live(&mut self, counters: &mut Bank, readings: &mut Bank, events: &mut Bank) {
        /// More records of either kind than their pages hold.
        const N_RECORDS: u32 = 2600;
        /// What is left of a page of readings, events and counters for what waits, and then for the life, bytes: no less than one
        /// takes, and less than the life needs, so that each kind turns its page.
        const NEAR: [usize; 3] = [240, 240, 80];
        const FULL: [usize; 3] = [64, 56, 80];
        for epoch in 1..=2 {
            let mut map = Counters::open(&mut *counters).unwrap();
            let mut outbox =
                Outbox::open(&mut *readings, &mut *events, map.lost_tails().await).await.unwrap();
            self.last = Position { epoch: map.next_epoch(0).await.unwrap(), seq: 0 };
            assert_eq!(self.last.epoch, epoch);
            outbox.begin_epoch(epoch);
            for n in 0..N_RECORDS {
                self.last = outbox.push(&mut map, UptimeMs(u64::from(n) * 1000), body(n)).await.unwrap();
                if n % 40 == 39 {
                    outbox.release(&mut map, self.last).await.unwrap();
                    map.store_released(self.last).await.unwrap();
                    self.stored = self.last;
                }
            }
        }
        let mut is_near = false;
        for n in 0_u32.. {
            let is_far = |bank: &Bank, near: usize| bank.room().is_none_or(|room| room > near);
            let near = if is_near { FULL } else { NEAR };
            let far = [is_far(readings, near[0]), is_far(events, near[1]), is_far(counters, near[2])];
            if far == [false; 3] {
                if is_near {
                    return;
                }
                is_near = true;
                continue;
            }
            let mut map = Counters::open(&mut *counters).unwrap();
            let mut outbox =
                Outbox::open(&mut *readings, &mut *events, map.lost_tails().await).await.unwrap();
            assert!(outbox.resume_epoch(self.last));
            for kind in (0..2).filter(|kind| far[usize::from(kind % 2 == 1)]) {
                self.last = outbox.push(&mut map, UptimeMs(u64::from(n)), body(kind)).await.unwrap();
                if is_near {
                    self.waiting.push(self.last);
                }
            }
            if !is_near {
                outbox.release(&mut map, self.last).await.unwrap();
                map.store_released(self.last).await.unwrap();
                self.stored = self.last;
            }
        }
    }
}

/// A reading and a closing in turn.
fn body(n: u32) -> Body {
    if n.is_multiple_of(2) {
        let metric = Metric::TankFloat.wire();
        return Body::Reading(Reading {
            probe: 0,
            metric,
            value: Some(i32::from(n.is_multiple_of(3))),
            raw: None,
            flaw: None,
        });
    }
    Body::Valve(ValveEvent {
        valve: ValveId(0),
        open: false,
        command: Some(CommandId(1 << 40 | u64::from(n))),
        closed_by: Some(CloseReason::Commanded),
        run_ms: Some(60_000),
        volume: None,
    })
}

fn change(command: CommandId, issued_at: UnixMs) -> Settings {
    Settings { command, text: SettingsText::new(CHANGE).unwrap(), issued_at, ttl_s: 60, within_s: 60 }
}

fn shown(installation: &Installation) -> String {
    let mut shown = String::new();
    let told = words::show(installation, |word, value| {
        shown += &format!("{word}={value}\n");
        Ok::<(), ()>(())
    });
    told.unwrap();
    shown
}

/// Where the gateway is in its script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Takes what waits.
    Records,
    /// Has ordered a run.
    Opening(u64),
    /// Has ordered its end.
    Closing(u64),
    /// Has sent settings.
    Changing,
    /// Says again what was obeyed.
    Again,
}

/// The node at a moment.
struct Cut {
    /// Records in its flash.
    held: BTreeMap<Position, Record>,
    /// The last one that it has made, as it says; one more may be in flash.
    made: Position,
}

impl Cut {
    fn of(chip: &Chip) -> Self {
        let mut held = chip.read_flash(Partition::Readings).records();
        held.extend(chip.read_flash(Partition::Events).records());
        Self { held, made: chip.made() }
    }
}

/// One life.
struct Life<'a> {
    past: &'a Past,
    peer: &'a mut Peer,
    chip: &'a mut Chip,
    step: Step,
    counter: u64,
    epoch: u32,
    /// Whether records of this boot have come: what it has to say of the last one is among the first of them.
    is_fresh: bool,
    /// Whether the order of this step went to this boot.
    is_told: bool,
    /// Whether the power had failed before this boot.
    had_failed: bool,
    /// What there was when the power failed.
    cut: Option<Cut>,
    /// Every opening as it was sent.
    openings: BTreeMap<u64, Vec<u8>>,
    obeyed: BTreeSet<u64>,
    n_refused: usize,
}

impl Life<'_> {
    /// Plays it to its end.
    fn play(&mut self) {
        let began = monotonic();
        loop {
            let event = self.next();
            let is_silent = event.is_none();
            match event {
                Some(Event::Hello(hello)) => self.hear_hello(&hello),
                Some(Event::Answer(answer)) => self.hear_answer(&answer),
                Some(Event::Records) => self.is_fresh |= self.peer.stored.epoch == self.epoch,
                Some(Event::Taken) | None => {}
            }
            if self.is_fresh && self.go_on(is_silent) {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "stuck at {:?}\n{}",
                self.step,
                self.chip.log_since_power_on()
            );
        }
    }

    /// What the node does next; looks at its flash and lets its power come back when that has failed meanwhile.
    fn next(&mut self) -> Option<Event> {
        let began = monotonic();
        while began.elapsed() < SILENCE {
            if self.cut.is_none() && self.chip.has_failed().0 {
                self.cut = Some(Cut::of(self.chip));
                self.chip.let_come_back();
            }
            if let Some(event) = self.peer.next(LOOK) {
                return Some(event);
            }
        }
        None
    }

    fn hear_hello(&mut self, hello: &Hello) {
        assert!(hello.epoch > self.past.epoch && hello.epoch >= self.epoch, "{hello:?}");
        let obeyed = self.obeyed.last().copied().unwrap_or_default();
        assert!(hello.counter >= obeyed, "order {obeyed} was obeyed and is forgotten: {hello:?}");
        self.is_fresh &= hello.epoch == self.epoch;
        self.is_told &= hello.epoch == self.epoch;
        self.had_failed = self.chip.has_failed().0;
        self.epoch = hello.epoch;
        self.counter = self.counter.max(hello.counter);
    }

    fn hear_answer(&mut self, answer: &Answer) {
        match (answer.command, answer.refused) {
            // The restart need not be waited for, unless the power has failed meanwhile and there was one.
            (Some(CHANGE_COMMAND), None) => {
                self.chip.hasten_to_boot();
                if self.chip.has_failed().0 != self.had_failed {
                    self.chip.hasten(false);
                }
            }
            (Some(command), None) => {
                self.obeyed.insert(command.0);
            }
            (Some(command), Some(RefusalReason::Replayed)) if self.openings.contains_key(&command.0) => {
                self.n_refused += 1;
            }
            _ => panic!("{answer:?}"),
        }
    }

    /// Does what comes next. Gives whether it is over.
    fn go_on(&mut self, is_silent: bool) -> bool {
        match self.step {
            Step::Records => self.open(),
            Step::Opening(command) => match self.run_of(command) {
                (_, Some(_)) => self.change(),
                (Some(_), None) => {
                    self.step = Step::Closing(command);
                    let close = Close { command: CommandId(self.counter + 1), valve: Some(ValveId(0)) };
                    self.order(Order::Close(close));
                }
                (None, None) if !self.is_told => self.open(),
                (None, None) => {}
            },
            Step::Closing(command) => match self.run_of(command) {
                (_, Some(_)) => self.change(),
                (_, None) => assert!(self.is_told, "run {command} has no end"),
            },
            Step::Changing if self.outcome().is_some() => {
                self.step = Step::Again;
                self.say_again();
            }
            // It was lost with the last boot, unless that one was in the middle of it.
            Step::Changing if !self.is_told && is_silent => self.change(),
            Step::Changing => {}
            Step::Again if !self.is_told => self.say_again(),
            Step::Again => return self.n_refused == self.openings.len(),
        }
        false
    }

    fn order(&mut self, order: Order) -> Vec<u8> {
        self.counter += 1;
        let sealed = self.peer.seal(&Downlink::Order(self.counter, order));
        self.is_told = self.peer.send(&sealed);
        self.is_fresh &= self.is_told;
        sealed
    }

    fn open(&mut self) {
        let command = self.counter + 1;
        let open = Open {
            command: CommandId(command),
            valve: ValveId(0),
            run_s: 60,
            volume: None,
            issued_at: Peer::unix(),
            ttl_s: 30,
            is_outlet: true,
        };
        self.step = Step::Opening(command);
        let sealed = self.order(Order::Open(open));
        self.openings.insert(command, sealed);
    }

    fn change(&mut self) {
        self.step = Step::Changing;
        self.order(Order::Settings(change(CHANGE_COMMAND, Peer::unix())));
    }

    fn say_again(&mut self) {
        self.n_refused = 0;
        self.is_told = true;
        for sealed in self.openings.values() {
            self.is_told &= self.peer.send(sealed);
        }
        self.is_fresh &= self.is_told;
    }

    fn events(&self) -> impl Iterator<Item = &ValveEvent> {
        self.peer.records.values().filter_map(|record| match &record.body {
            Body::Valve(event) => Some(event),
            Body::Reading(_) | Body::Health(_) | Body::Lost(_) | Body::Settings(_) | Body::Unknown => None,
        })
    }

    /// The opening and the closing of a run.
    fn run_of(&self, command: u64) -> (Option<&ValveEvent>, Option<&ValveEvent>) {
        let of = |open| {
            self.events().find(|event| event.open == open && event.command == Some(CommandId(command)))
        };
        (of(true), of(false))
    }

    fn outcome(&self) -> Option<SettingsOutcome> {
        self.peer.records.values().find_map(|record| match &record.body {
            Body::Settings(event) => Some(event.outcome),
            Body::Reading(_) | Body::Valve(_) | Body::Health(_) | Body::Lost(_) | Body::Unknown => None,
        })
    }

    /// What must be true of every life when the chip is off.
    fn check(&self, has_failed: bool) {
        let log = self.chip.log_since_power_on();
        assert!(!log.contains("panic"), "{log}");
        assert_eq!(log.matches("boot by power_on").count(), 1 + usize::from(has_failed), "{log}");
        assert_eq!(self.chip.outputs(), 0, "{log}");
        check_epochs(self.past.epoch, &log);
        self.check_records(&log);
        for command in self.openings.keys() {
            let events = self.events().filter(|event| event.command == Some(CommandId(*command)));
            let (openings, closings): (Vec<&ValveEvent>, Vec<&ValveEvent>) =
                events.partition(|event| event.open);
            assert!(
                openings.len() <= closings.len() && closings.len() <= 1,
                "{openings:?} {closings:?}\n{log}"
            );
            assert!(
                !self.obeyed.contains(command) || !closings.is_empty(),
                "run {command} is not told of\n{log}"
            );
        }
        self.check_tails(&log);
        let installed = at_once(Installation::load(&mut self.chip.read_flash(Partition::Installation)));
        let wanted = usize::from(self.outcome() == Some(SettingsOutcome::Confirmed));
        assert_eq!(shown(&installed.unwrap()), self.past.settings[wanted], "{:?}", self.outcome());
        at_once(self.check_flash());
    }

    /// Everything that waited, and everything that the boots made, one by one.
    fn check_records(&self, log: &str) {
        let records = &self.peer.records;
        for position in &self.past.waiting {
            assert!(records.contains_key(position), "{position:?} is lost\n{log}");
        }
        let mut next = BTreeMap::new();
        for (position, record) in records.iter().filter(|(position, _)| position.epoch > self.past.epoch) {
            assert!(!matches!(record.body, Body::Lost(_) | Body::Unknown), "{position:?} {record:?}\n{log}");
            let next = next.entry(position.epoch).or_insert(1);
            assert_eq!(record.seq, *next, "in epoch {}\n{log}", position.epoch);
            *next += 1;
        }
    }

    /// Nothing is missing behind what came: neither of what there was when the power failed, nor of what the last boot has made.
    fn check_tails(&self, log: &str) {
        let came = &self.peer.records;
        if let Some(cut) = &self.cut {
            for (position, record) in cut.held.iter().filter(|(position, _)| **position > self.past.stored) {
                assert_eq!(
                    came.get(position),
                    Some(record),
                    "{position:?} was in flash when the power failed\n{log}"
                );
            }
            check_made(cut.made, |position| came.contains_key(&position), log);
        }
        let end = Cut::of(self.chip);
        check_made(
            end.made,
            |position| came.contains_key(&position) || end.held.contains_key(&position),
            log,
        );
    }

    /// The flash is in order, and what it still holds is known, or waits.
    async fn check_flash(&self) {
        let mut counters = self.chip.read_flash(Partition::Settings);
        let (mut readings, mut events) =
            (self.chip.read_flash(Partition::Readings), self.chip.read_flash(Partition::Events));
        let mut map = Counters::open(&mut counters).unwrap();
        assert_eq!(map.epoch().await, self.epoch);
        let tails = map.lost_tails().await;
        assert!(tails.is_empty(), "{tails:?}");
        let mut outbox = Outbox::open(&mut readings, &mut events, tails).await.unwrap();
        outbox.begin_epoch(self.epoch + 1);
        let mut left = BTreeMap::new();
        let mut cursor = self.past.stored;
        while let Some(records) = outbox.batch(cursor).await.unwrap() {
            cursor = records.last();
            let position = |record: &Record| Position { epoch: records.epoch, seq: record.seq };
            let records = records.records.iter().filter(|record| !matches!(record.body, Body::Lost(_)));
            left.extend(records.map(|record| (position(record), record.clone())));
        }
        for (position, record) in left.iter().filter(|(position, _)| **position <= self.peer.stored) {
            assert_eq!(self.peer.records.get(position), Some(record), "{position:?}");
        }
        let held = Cut::of(self.chip).held;
        for (position, record) in held.iter().filter(|(position, _)| **position > self.peer.stored) {
            assert_eq!(left.get(position), Some(record), "{position:?} is in flash and waits no more");
        }
    }
}

/// Of an epoch nothing up to `made` is missing.
fn check_made(made: Position, is_there: impl Fn(Position) -> bool, log: &str) {
    for seq in 1..=made.seq {
        let position = Position { epoch: made.epoch, seq };
        assert!(is_there(position), "{position:?} was made, up to {made:?}, and is lost\n{log}");
    }
}

/// No boot took the epoch of an earlier one.
fn check_epochs(mut last: u32, log: &str) {
    for boot in log.split("boot by").skip(1) {
        let told = boot.lines().find_map(|line| line.split_once("epoch ")?.1.split_once(':')?.0.parse().ok());
        if let Some(epoch) = told {
            assert!(epoch > last, "epoch {epoch} after {last}\n{log}");
            last = epoch;
        }
    }
}

/// A board that lives again and again.
struct Rig {
    past: Past,
    peer: Peer,
    chip: Chip,
}

impl Rig {
    fn new(past: &Past) -> Self {
        let peer = Peer::start(NODE.parse().unwrap(), KEY);
        Self { past: past.with_port(peer.port()), peer, chip: Chip::new(image("node-faults"), 2500) }
    }

    /// A life in which the power fails at a step of the flash. Gives whether it did, and how many steps were left otherwise.
    fn live(&mut self, fails_at: u32) -> (bool, u32) {
        for bank in &self.past.banks {
            self.chip.write_flash(bank);
        }
        self.peer.forget(self.past.stored);
        self.chip.fail_at_step(fails_at);
        self.chip.power_on();
        let mut life = Life {
            past: &self.past,
            peer: &mut self.peer,
            chip: &mut self.chip,
            step: Step::Records,
            counter: 0,
            epoch: 0,
            is_fresh: false,
            is_told: false,
            had_failed: false,
            cut: None,
            openings: BTreeMap::new(),
            obeyed: BTreeSet::new(),
            n_refused: 0,
        };
        life.play();
        let (has_failed, n_left) = life.chip.has_failed();
        life.chip.cut_power();
        life.check(has_failed);
        (has_failed, n_left)
    }
}

#[test]
fn power_that_fails_at_any_step_of_the_flash_loses_nothing() {
    let began = monotonic();
    let past = Past::new();
    let mut rig = Rig::new(&past);
    let (_, n_left) = rig.live(NEVER);
    let n_steps = NEVER - n_left;
    for before in &rig.past.banks {
        let after = rig.chip.read_flash(before.partition());
        assert!(after.room() > before.room(), "{:?} turned no page", before.partition());
    }
    println!("{n_steps} steps, {:?}", began.elapsed());
    assert!(n_steps > 200, "only {n_steps} steps of the flash");
    let (next, n_failed, n_whole) = (AtomicU32::new(1), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..N_WORKERS {
            scope.spawn(|| {
                let mut rig = Rig::new(&past);
                while n_whole.load(Ordering::Relaxed) < N_WHOLE {
                    let step = next.fetch_add(1, Ordering::Relaxed);
                    let began = monotonic();
                    let (has_failed, _) = rig.live(step);
                    println!("step {step} of {n_steps}: {:?}", began.elapsed());
                    assert!(
                        has_failed || step + FEWER_MAX > n_steps,
                        "step {step} of {n_steps} was not reached"
                    );
                    let count = if has_failed { &n_failed } else { &n_whole };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    println!("{} failures of the power, {:?}", n_failed.into_inner(), began.elapsed());
}
