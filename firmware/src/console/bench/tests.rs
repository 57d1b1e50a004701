//! A person at the console of a node that runs, and of a board without one.

use super::*;
use crate::board::{Drive, DriveFault};
use crate::hand_clock::{block_on, now_ms};
use crate::nor::{Nor, Power};
use crate::outbox::Outbox;
use crate::probe::modbus::{BAUDS, Parity};
use crate::settings::{InstallError, NodeConfig, Settings, Setup, Start, words};
use core::convert::Infallible;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embedded_io_async::ErrorType;
use giot_shared::ids::ValveId;
use giot_shared::time::UptimeMs;
use giot_shared::wire::{Body, Health, KEY_LEN, NodeKey, VALVES_MAX};
use std::cell::RefCell;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

fn installed() -> Installation {
    let mut made = Installation::new("v01".parse().expect("an id"), NodeKey([7; KEY_LEN]), "10.0.0.1:1883")
        .expect("short");
    words::set(&mut made, "valve.0", "latching,60,60").expect("known");
    made
}

/// What is typed, a line at a time as by somebody who waits for the answer; then the port is silent.
struct Typed(&'static [u8]);

impl ErrorType for Typed {
    type Error = Infallible;
}

impl Read for Typed {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        if self.0.is_empty() {
            return core::future::pending().await;
        }
        // Somebody waits for the end of a scan.
        if let Some(rest) = self.0.strip_prefix(b"~") {
            self.0 = rest;
            Timer::after_secs(200).await;
        }
        let end =
            self.0.iter().position(|byte| *byte == b'\n').map_or(self.0.len(), |at| at + 1).min(bytes.len());
        let (line, rest) = self.0.split_at(end);
        self.0 = rest;
        bytes[..line.len()].copy_from_slice(line);
        Ok(line.len())
    }
}

/// Everything that happened, in order.
#[derive(Clone, Debug, Default)]
struct Seen(Rc<RefCell<Vec<String>>>);

impl Seen {
    fn push(&self, what: String) {
        self.0.borrow_mut().push(what);
    }
}

impl fmt::Write for Seen {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut lines = self.0.borrow_mut();
        match lines.last_mut().filter(|line| line.starts_with('=') && !line.ends_with('\n')) {
            Some(line) => line.push_str(text),
            None => lines.push(text.into()),
        }
        Ok(())
    }
}

impl Outputs for Seen {
    fn has_coils(&self, _: ValveId) -> bool {
        true
    }

    async fn drive(&mut self, drive: Drive) -> Result<(), DriveFault> {
        assert!(!drive.open);
        self.push(std::format!("valve {} closes {} times", drive.valve.0, drive.times));
        Ok(())
    }
}

/// A line on which nobody is.
struct Lonely;

impl ErrorType for Lonely {
    type Error = Infallible;
}

impl Read for Lonely {
    async fn read(&mut self, _: &mut [u8]) -> Result<usize, Infallible> {
        core::future::pending().await
    }
}

impl Write for Lonely {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Format for Lonely {
    fn set_format(&mut self, _: u32, _: Parity) -> bool {
        true
    }
}

/// The partitions of a node that never ran.
fn flash() -> Partitions<Nor> {
    let nor = |n_pages| Nor::new(n_pages, &Power::default());
    Partitions { settings: nor(2), readings: nor(4), events: nor(4), installation: None }
}

/// A boot without a node: what happened until the board starts again, for setup or not, and when the watchdog was fed, ms.
fn set_up(typed: &'static [u8], line: Option<Line<Lonely>>) -> (Vec<String>, bool, Vec<u64>) {
    let (seen, mut fed, began_ms) = (Seen::default(), Vec::new(), now_ms());
    let bench = Bench {
        input: Typed(typed),
        output: seen.clone(),
        place: Nor::new(4, &Power::default()),
        flash: flash(),
        line,
        power: |on| seen.push(std::format!("power {on} at {}", now_ms() - began_ms)),
        feed: || fed.push(now_ms()),
        log: |_| {},
    };
    let for_setup = block_on(bench.set_up(Some(installed()), NoNode::Asked, &mut seen.clone()));
    let lines = seen.0.borrow().iter().map(|line| line.trim_end().into()).collect();
    (lines, for_setup, fed)
}

#[test]
fn a_boot_without_a_node_closes_before_it_says_anything() {
    let (seen, for_setup, _) = set_up(b"scan\nsetup\n", None);
    assert_eq!(
        seen,
        [
            "valve 0 closes 2 times",
            "=error the RS485 line cannot be opened",
            "=ok starting again without the node"
        ]
    );
    assert!(for_setup);
    assert!(!set_up(b"reboot\n", None).1);
    assert!(!set_up(b"factory-reset yes\n", None).1);
}

/// A scan of all speeds takes longer than the dog waits.
#[test]
fn the_watchdog_is_fed_while_a_scan_goes_on_and_no_valve_moves() {
    let (seen, _, fed) = set_up(b"scan\n~scan 9600\n~reboot\n", Some(Line::new(Lonely)));
    assert_eq!(seen[0], "valve 0 closes 2 times");
    assert!(!seen[1..].iter().any(|line| line.starts_with("valve")), "{seen:?}");
    let speeds = seen.iter().filter(|line| line.starts_with("= scanning at")).count();
    assert_eq!(speeds, BAUDS.len() + 1, "{seen:?}");
    assert_eq!(seen.iter().filter(|line| *line == "=ok").count(), 2);
    assert!(fed.len() > 20, "{fed:?}");
    assert!(fed.windows(2).all(|pair| pair[1] - pair[0] <= REST_S * 1000), "{fed:?}");
}

/// The probes may be on a rail that is off in a boot without a node; how long they warm up, somebody may have said.
#[test]
fn the_line_is_powered_for_the_whole_of_a_scan() {
    let check = |typed: &'static [u8], warm_ms: u64| {
        let (seen, ..) = set_up(typed, Some(Line::new(Lonely)));
        let at = |what: &str| {
            let times: Vec<u64> =
                seen.iter().filter_map(|line| line.strip_prefix(what)?.parse().ok()).collect();
            assert_eq!(times.len(), 1, "{seen:?}");
            times[0]
        };
        let place = |what: &str| seen.iter().position(|line| line.starts_with(what)).expect("it was said");
        let scanned_ms = at("power false at ") - at("power true at ") - warm_ms;
        // Two questions an address, each given up after 717 ms.
        assert!((14_000..15_000).contains(&scanned_ms), "{scanned_ms}");
        assert!(place("power true") < place("= scanning"), "{seen:?}");
        assert!(place("= scanning") < place("power false") && place("power false") < place("=ok starting"));
        // A scan finds also probes that the node would never feed.
        let is_told = seen.iter().any(|line| line.starts_with("= probe_warm_ms is not set"));
        assert_eq!(is_told, warm_ms == 3000, "{seen:?}");
    };
    check(b"scan 9600\n~reboot\n", 3000);
    check(b"set probe_warm_ms 500\nscan 9600\n~reboot\n", 500);
}

/// Somebody who was called away left a node that watered nothing.
#[test]
fn a_boot_for_a_person_ends_half_an_hour_after_his_last_word() {
    let check = |typed: &'static [u8], why: NoNode| {
        let (mut seen, began_ms) = (Seen::default(), now_ms());
        let bench = Bench {
            input: Typed(typed),
            output: seen.clone(),
            place: Nor::new(4, &Power::default()),
            flash: flash(),
            line: Some(Line::new(Lonely)),
            power: |_| {},
            feed: || {},
            log: |line| assert!(!line.as_str().is_some_and(str::is_empty)),
        };
        let patience = Timer::after_secs(24 * 3600);
        match block_on(select(bench.set_up(Some(installed()), why, &mut seen), patience)) {
            Either::First(for_setup) => {
                assert!(!for_setup);
                Some((now_ms() - began_ms) / 1000)
            }
            Either::Second(()) => None,
        }
    };
    assert_eq!(check(b"", NoNode::Asked), Some(1800));
    // 200 s of waiting before a word; a scan is none that is left alone.
    let ended = check(b"~show\n", NoNode::Asked).expect("it ends");
    assert!((2000..=2010).contains(&ended), "{ended}");
    let scan_s = 247 * 2 * 717 / 1000;
    let ended = check(b"scan 9600 1-247\n", NoNode::Asked).expect("it ends");
    assert!((1800 + scan_s..1810 + scan_s + 20).contains(&ended), "{ended}");
    // One that cannot run by its settings waits for ever.
    assert_eq!(check(b"", NoNode::Unfit("no such valve")), None);
}

/// It slept under somebody's hands.
#[test]
fn somebody_at_the_console_is_known_for_a_minute_after_the_last_byte() {
    let (ending, seen) = (Ending::<NoopRawMutex>::new(), Seen::default());
    assert!(!ending.is_attended(), "nobody has come yet");
    let console = Console::new(Some(installed())).expect("a console");
    let place = Nor::new(4, &Power::default());
    let attended = attend(console, Typed(b"x\n~y\n"), seen, place, &ending);
    let watched = async {
        let mut attended_s = 0;
        for _ in 0..400 {
            Timer::after_secs(1).await;
            attended_s += u32::from(ending.is_attended());
        }
        attended_s
    };
    // Two words that are 200 s apart.
    let Either::Second(attended_s) = block_on(select(attended, watched));
    assert!((118..=142).contains(&attended_s), "{attended_s}");
    assert!(!ending.is_attended());
}

#[test]
fn a_scan_that_is_ended_leaves_the_line_unpowered() {
    let (seen, ..) = set_up(b"scan 1-247\n~\x03reboot\n", Some(Line::new(Lonely)));
    let power: Vec<_> = seen.iter().filter(|line| line.starts_with("power")).collect();
    assert_eq!(power, ["power true at 0", "power false at 200000"]);
    assert!(seen.iter().any(|line| line.contains("ended before it was through")), "{seen:?}");
}

/// One of all addresses takes half an hour.
#[test]
fn a_scan_is_ended_by_whoever_has_seen_enough() {
    let ended = "=error the scan was ended before it was through";
    for enough in [
        &b"scan 1-247\r\n\x03show\nreboot\n"[..],
        b"scan 1-247\n\r\nreboot\n",
        b"scan 1-247\nsetup\nreboot\n",
    ] {
        let (seen, for_setup, _) = set_up(enough, Some(Line::new(Lonely)));
        assert_eq!(seen[1..4], ["power true at 0", "power false at 0", ended], "{seen:?}");
        assert_eq!(
            (seen.last().map(String::as_str), for_setup),
            (Some("=ok starting again"), false),
            "{seen:?}"
        );
    }
}

#[test]
fn a_running_node_is_ended_only_by_what_ends_it() {
    let check = |typed: &'static [u8], for_setup: Option<bool>, wanted: &[&str]| {
        let (ending, seen) = (Ending::<NoopRawMutex>::new(), Seen::default());
        let console = Console::new(Some(installed())).expect("a console");
        let place = Nor::new(4, &Power::default());
        let attended = attend(console, Typed(typed), seen.clone(), place, &ending);
        let patience = Timer::after_secs(60);
        let ended = block_on(select(select(attended, ending.wanted()), patience));
        let is_ended = matches!(ended, Either::First(_));
        assert_eq!(is_ended.then(|| ending.is_for_setup()), for_setup);
        let said: Vec<String> = seen.0.borrow().iter().map(|line| line.trim_end().into()).collect();
        assert_eq!(said, wanted);
    };
    check(b"scan\n", None, &["=error the node is running and uses the line: `setup` first"]);
    check(b"baud\n", None, &["=error no such command: `help` lists them"]);
    check(b"reboot\n", Some(false), &["=ok starting again"]);
    check(b"setup\n", Some(true), &["=ok starting again without the node"]);
    check(b"factory-reset yes\n", Some(false), &["=ok"]);
}

/// One record of n01 waits.
fn keep_a_record(flash: &Partitions<Nor>) {
    block_on(async {
        let mut settings = Settings::open(flash.settings.clone()).expect("a partition");
        settings.store_owner(&"n01".parse().expect("an id")).await.expect("stored");
        let tails = settings.lost_tails().await;
        let mut outbox =
            Outbox::open(flash.readings.clone(), flash.events.clone(), tails).await.expect("an outbox");
        outbox.begin_epoch(1);
        let body = Body::Health(Health { supply: None, waiting: 0, signal_dbm: None });
        outbox.push(&mut settings, UptimeMs(5), body).await.expect("kept");
    });
}

/// What n01 made between the word that made it n02 and the boot after it was thrown away.
#[test]
fn a_node_of_another_id_waits_until_its_records_are_told_or_given_up() {
    let (flash, place) = (flash(), Nor::new(4, &Power::default()));
    let start = || block_on(Setup::new(place.clone()).start(false, flash.clone(), |_| Ok(())));
    let runs_as = |id: &str| matches!(start(), Start::Node(made, ()) if made.config.id.as_str() == id);
    let store = |id: &str| {
        let config = NodeConfig { id: id.parse().expect("an id"), ..installed().config };
        block_on(Installation { config, ..installed() }.store(place.clone())).expect("stored");
    };
    let type_in = |typed: &'static [u8]| {
        let Start::Person(made, why) = start() else { panic!("it runs") };
        let (seen, closing) = (Seen::default(), Seen::default());
        let bench = Bench {
            input: Typed(typed),
            output: seen.clone(),
            place: place.clone(),
            flash: flash.clone(),
            line: None::<Line<Lonely>>,
            power: |_| {},
            feed: || {},
            log: |_| {},
        };
        block_on(bench.set_up(made, why, &mut closing.clone()));
        assert_eq!(*closing.0.borrow(), ["valve 0 closes 2 times"]);
        seen.0.borrow().concat()
    };
    store("n02");
    assert!(runs_as("n02"), "nothing waits");
    keep_a_record(&flash);
    let said = type_in(b"show\ncommit\nreboot\n");
    let why = "runs no: 1 records of n01 wait: be n01 again, with its key, until its gateway has them, or `commit give-up`";
    assert!(said.contains(why) && said.contains("=error 1 records of n01 wait for its gateway"), "{said}");
    type_in(b"node n01\ncommit\nreboot\n");
    assert!(runs_as("n01"));
    store("n02");
    type_in(b"commit give-up\nreboot\n");
    assert!(runs_as("n02"), "they are given up");
    // That word held for what was set up with it.
    store("n02");
    assert!(matches!(start(), Start::Person(Some(_), NoNode::Held(held)) if held.n_waiting == 1));
}

/// Settings were erased before the gateway had everything, and the next node sent it as its own.
#[test]
fn a_board_that_was_erased_knows_whose_records_wait() {
    let flash = flash();
    keep_a_record(&flash);
    let check = |typed: &'static [u8], wanted: &str| {
        let seen = Seen::default();
        let bench = Bench {
            input: Typed(typed),
            output: seen.clone(),
            place: Nor::new(4, &Power::default()),
            flash: flash.clone(),
            line: None::<Line<Lonely>>,
            power: |_| {},
            feed: || {},
            log: |_| {},
        };
        let absent = NoNode::Install(InstallError::Absent);
        block_on(bench.set_up(None, absent, &mut seen.clone()));
        assert!(seen.0.borrow().concat().contains(wanted), "{seen:?}");
    };
    const KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";
    let typed = |id: &str, commit: &str| {
        &*std::format!("node {id}\nkey {KEY}\nbroker 1.2.3.4:5\n{commit}\nreboot\n").leak()
    };
    check(typed("n02", "commit").as_bytes(), "=error 1 records of n01 wait for its gateway");
    check(typed("n02", "commit give-up").as_bytes(), "= 1 records of n01 are given up");
    check(typed("n01", "commit").as_bytes(), "=ok\r\n=ok written");
}

#[test]
fn a_boot_that_cannot_go_on_closes_every_valve_and_rests() {
    let (seen, before) = (Seen::default(), now_ms());
    let settings = Nor::new(2, &Power::default());
    block_on(close_and_rest(Some(&installed()), &mut seen.clone(), Some(settings), |_| {}));
    assert_eq!(*seen.0.borrow(), ["valve 0 closes 2 times"]);
    assert!(now_ms() - before >= REST_S * 1000);
    // Not even its flash is known.
    let seen = Seen::default();
    block_on(close_and_rest(None, &mut seen.clone(), None::<Nor>, |_| {}));
    let all: Vec<String> =
        (0..VALVES_MAX).map(|valve| std::format!("valve {valve} closes 2 times")).collect();
    assert_eq!(*seen.0.borrow(), all);
}
