//! The loop on a board of memory, without a gateway: its power fails at every single word that runs at a button write to the flash, in
//! the boot after that as well, and each run that watered has exactly one end afterwards.

use super::*;
use crate::board::{ConnectFault, DriveFault, Vitals};
use crate::hand_clock::{block_on, now_ms};
use crate::nor::{Nor, Power, now_or_never};
use crate::probe::{ProbeFault, Sample};
use crate::settings::{Kept, MeterPlan, Running, ValveKind, ValvePlan};
use giot_shared::ids::{NodeId, ValveId};
use giot_shared::metric::Metric;
use giot_shared::time::UnixMs;
use giot_shared::wire::{NodeKey, ResetCause, ValveEvent};
use std::collections::VecDeque;
use std::vec::Vec;

const VALVE: ValveId = ValveId(0);
/// More steps than a boot takes.
const NEVER: u64 = 1 << 20;

/// Flash and power of a node over its boots.
struct Chip {
    power: Power,
    settings: Nor,
    readings: Nor,
    events: Nor,
}

/// A board whose one valve stays as it was until it is driven.
struct Bench<'a> {
    power: &'a Power,
    /// Presses of the button that are still to come; then the board stops.
    n_presses: usize,
    is_open: bool,
    n_asked: usize,
    n_opened: usize,
    /// Valve and times.
    closings: Vec<(u8, u8)>,
    has_coils: bool,
    follows: bool,
    /// When it was asked to sleep, ms since it began; it cannot.
    asked_to_sleep: Vec<u64>,
    began_ms: u64,
    /// How long it lasts without presses, ms.
    lasts_ms: u64,
    /// When the button is pressed, ms since it began, on a board that wakes when it is asked to.
    presses_at: Option<VecDeque<u64>>,
    /// How the valve moved, and when, ms since it began.
    moves: Vec<(bool, u64)>,
    /// How the supply of the probes was switched, and when, ms since it began.
    powered: Vec<(bool, u64)>,
    /// When the watchdog was fed last, ms since it began.
    fed_at: u64,
    /// Records that were told lost.
    lost: u32,
    /// How it has slept.
    woken: Option<crate::sleep::Woken>,
}

impl<'a> Bench<'a> {
    fn new(power: &'a Power, n_presses: usize) -> Self {
        Self {
            power,
            n_presses,
            is_open: false,
            n_asked: 0,
            n_opened: 0,
            closings: Vec::new(),
            has_coils: true,
            follows: true,
            asked_to_sleep: Vec::new(),
            began_ms: now_ms(),
            lasts_ms: 0,
            presses_at: None,
            moves: Vec::new(),
            powered: Vec::new(),
            fed_at: 0,
            lost: 0,
            woken: None,
        }
    }

    /// Waits as a chip does: to the moment, until the next press or until it is over.
    async fn wait_promptly(&mut self, until: Option<UptimeMs>) -> Wake {
        let presses_at = self.presses_at.iter_mut().flatten();
        let press_at = presses_at.min().map_or(u64::MAX, |at| self.began_ms + *at);
        let end_at = self.began_ms + self.lasts_ms;
        let at = until.map_or(u64::MAX, |until| until.0).min(press_at).min(end_at);
        Timer::at(Instant::from_millis(at.max(now_ms()))).await;
        if at == press_at {
            self.presses_at.as_mut().and_then(VecDeque::pop_front);
            Wake::Button(VALVE)
        } else if at == end_at {
            Wake::Stop
        } else {
            Wake::Timer
        }
    }
}

impl Board for Bench<'_> {
    fn uptime(&self) -> UptimeMs {
        UptimeMs(now_ms())
    }

    fn civil_time(&self) -> Option<UnixMs> {
        None
    }

    fn random(&mut self) -> u64 {
        7
    }

    fn reset_cause(&self) -> ResetCause {
        ResetCause::PowerOn
    }

    fn take_woken(&mut self) -> Option<crate::sleep::Woken> {
        self.woken.take()
    }

    async fn drive_valve(&mut self, drive: Drive) -> Result<(), DriveFault> {
        if !self.follows {
            return Err(DriveFault);
        }
        self.n_opened += usize::from(drive.open);
        if !drive.open {
            self.closings.push((drive.valve.0, drive.times));
        }
        self.is_open = drive.open;
        self.moves.push((drive.open, now_ms() - self.began_ms));
        Ok(())
    }

    async fn sleep_deeply(&mut self, _: UptimeMs, _: &crate::sleep::Carry) {
        self.asked_to_sleep.push(now_ms() - self.began_ms);
    }

    fn has_coils(&self, valve: ValveId) -> bool {
        self.has_coils && valve == VALVE
    }

    fn power_probes(&mut self, on: bool) {
        self.powered.push((on, now_ms() - self.began_ms));
    }

    async fn read_vitals(&mut self) -> Vitals {
        Vitals::default()
    }

    fn take_pulses(&mut self) -> u32 {
        u32::from(self.is_open)
    }

    fn feed_watchdog(&mut self) {
        self.fed_at = now_ms() - self.began_ms;
    }

    fn report(&mut self, status: &NodeStatus) {
        self.lost = status.lost;
    }

    async fn wait(&mut self, until: Option<UptimeMs>) -> Wake {
        if self.presses_at.is_some() {
            return self.wait_promptly(until).await;
        }
        Timer::after_millis(500).await;
        if self.power.is_cut() || self.n_presses == 0 {
            let is_over = self.power.is_cut() || now_ms() - self.began_ms >= self.lasts_ms;
            return if is_over { Wake::Stop } else { Wake::Timer };
        }
        self.n_presses -= 1;
        self.n_asked += usize::from(!self.is_open);
        Wake::Button(VALVE)
    }
}

/// Probes on a line, each read for so long, ms, before it is given up; and which were read when.
struct Slow {
    read_ms: u64,
    read: Vec<(u8, u64)>,
    fault: ProbeFault,
}

impl Slow {
    const fn new(read_ms: u64, fault: ProbeFault) -> Self {
        Self { read_ms, read: Vec::new(), fault }
    }
}

impl Probes for Slow {
    async fn read_probe(&mut self, probe: ProbeId) -> Result<Sample, ProbeFault> {
        self.read.push((probe.0, now_ms()));
        Timer::after_millis(self.read_ms).await;
        Err(self.fault)
    }
}

/// No network.
struct Nowhere;

impl Connector for Nowhere {
    type Transport = NoStream;

    async fn connect(&mut self) -> Result<NoStream, ConnectFault> {
        core::future::pending().await
    }
}

/// There is none.
enum NoStream {}

impl embedded_io_async::ErrorType for NoStream {
    type Error = core::convert::Infallible;
}

impl Read for NoStream {
    async fn read(&mut self, _: &mut [u8]) -> Result<usize, Self::Error> {
        match *self {}
    }
}

impl Write for NoStream {
    async fn write(&mut self, _: &[u8]) -> Result<usize, Self::Error> {
        match *self {}
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        match *self {}
    }
}

fn config(plans: &[ValvePlan]) -> NodeConfig {
    let mut config = NodeConfig::new("n01".parse::<NodeId>().expect("an id"), NodeKey([7; 32]));
    config.valves = plans.iter().copied().collect();
    config.meter = Some(MeterPlan { probe: ProbeId(9), microlitres_per_pulse: 500_000 });
    config
}

impl Chip {
    fn new() -> Self {
        let power = Power::default();
        Self {
            settings: Nor::new(2, &power),
            readings: Nor::new(4, &power),
            events: Nor::new(4, &power),
            power,
        }
    }

    /// A boot of a node with these valves.
    fn run(&self, board: &mut Bench<'_>, plans: &[ValvePlan]) -> Result<End, RunError> {
        self.run_as(board, config(plans))
    }

    fn run_as(&self, board: &mut Bench<'_>, config: NodeConfig) -> Result<End, RunError> {
        self.run_on(&mut Nowhere, board, &mut Slow::new(0, ProbeFault::NoAnswer), config)
    }

    fn run_on(
        &self,
        network: &mut impl Connector,
        board: &mut Bench<'_>,
        probes: &mut Slow,
        config: NodeConfig,
    ) -> Result<End, RunError> {
        block_on(run(config, board, probes, network, self.flash(), &mut Memory::new()))
    }

    fn flash(&self) -> Partitions<Nor> {
        Partitions {
            settings: self.settings.clone(),
            readings: self.readings.clone(),
            events: self.events.clone(),
            installation: None,
        }
    }

    /// A boot in which somebody presses the button so many times, and whose power fails at a word. Gives how often a run was asked
    /// for and how often the valve opened, and whether the power failed.
    fn boot(&self, n_presses: usize, cut_at: u64) -> (usize, usize, bool) {
        let mut board = Bench::new(&self.power, n_presses);
        self.power.cut_at(cut_at);
        let ended = self.run(&mut board, &[ValvePlan::new(VALVE)]);
        let is_cut = self.power.is_cut();
        assert!(is_cut || ended == Ok(End::Stopped), "{ended:?}");
        self.power.on();
        (board.n_asked, board.n_opened, is_cut)
    }

    /// The epoch of every message that waits.
    fn epochs(&self) -> Vec<u32> {
        now_or_never(async {
            let tails = crate::settings::LostTails::new();
            let outbox = Outbox::open(self.readings.clone(), self.events.clone(), tails).await;
            let (mut outbox, mut cursor, mut epochs) =
                (outbox.expect("an outbox"), Position::default(), Vec::new());
            outbox.begin_epoch(1000);
            while let Some(records) = outbox.batch(cursor).await.expect("readable") {
                cursor = records.last();
                epochs.push(records.epoch);
            }
            epochs
        })
    }

    /// Every closing that waits, as (length, water).
    fn closings(&self) -> Vec<ValveEvent> {
        now_or_never(async {
            let mut outbox =
                Outbox::open(self.readings.clone(), self.events.clone(), crate::settings::LostTails::new())
                    .await
                    .expect("an outbox");
            outbox.begin_epoch(1000);
            let (mut cursor, mut closings) = (Position::default(), Vec::new());
            while let Some(records) = outbox.batch(cursor).await.expect("readable") {
                cursor = records.last();
                closings.extend(records.records.iter().filter_map(|record| match record.body {
                    Body::Valve(event) if !event.open => Some(event),
                    Body::Valve(_)
                    | Body::Reading(_)
                    | Body::Health(_)
                    | Body::Lost(_)
                    | Body::Settings(_)
                    | Body::Unknown => None,
                }));
            }
            closings
        })
    }

    /// One end for each run that watered; one that was to open and never did may have one too.
    fn check(&self, n_asked: usize, n_opened: usize, what: &str) {
        let closings = self.closings();
        assert!(
            (n_opened..=n_asked).contains(&closings.len()),
            "{what}: {n_opened} of {n_asked} opened: {closings:#?}"
        );
        let n_cut = closings.iter().filter(|closing| closing.run_ms.is_none()).count();
        assert!(n_cut <= 1, "{what}: {closings:#?}");
        assert!(
            closings.iter().all(|closing| closing.run_ms.is_none() == closing.volume.is_none()),
            "{closings:#?}"
        );
    }
}

#[test]
fn a_run_is_told_once_wherever_the_power_fails() {
    // Two runs and one that goes on.
    const N_PRESSES: usize = 5;
    let mut n_twice = 0;
    for first in 1.. {
        let chip = Chip::new();
        let (n_asked, n_opened, is_cut) = chip.boot(N_PRESSES, first);
        if !is_cut {
            assert!(first > 100 && n_twice > 1000, "{first} words, {n_twice} double cuts");
            chip.check(n_asked, n_opened, "without a cut");
            assert_eq!(chip.closings().len(), 3);
            return;
        }
        chip.boot(0, NEVER);
        chip.check(n_asked, n_opened, &std::format!("cut at word {first}"));
        // And once more, in the boot after the first failure.
        for second in 1.. {
            let chip = Chip::new();
            let (n_asked, n_opened, _) = chip.boot(N_PRESSES, first);
            let (.., is_cut) = chip.boot(0, second);
            chip.boot(0, NEVER);
            chip.check(
                n_asked,
                n_opened,
                &std::format!("cut at word {first}, and at word {second} of the next boot"),
            );
            if !is_cut {
                break;
            }
            n_twice += 1;
        }
    }
}

/// A node that is called otherwise from its next boot on.
fn renamed(id: &str) -> NodeConfig {
    NodeConfig { id: id.parse().expect("an id"), ..config(&[ValvePlan::new(VALVE)]) }
}

/// The next boot under the new id took the mark of the run away, and nobody heard of its end.
#[test]
fn the_end_of_a_run_that_was_cut_waits_like_a_record() {
    let chip = Chip::new();
    chip.boot(1, NEVER);
    let n_records = now_or_never(held(chip.flash(), None)).n_waiting;
    now_or_never(async {
        let mut settings = Settings::open(chip.settings.clone()).expect("a partition");
        let running = [Running { valve: VALVE, command: None }].into_iter().collect();
        let kept = Kept { running, ..settings.kept().await };
        settings.store_kept(&kept).await.expect("stored");
    });
    let waiting = |unless: &str| now_or_never(held(chip.flash(), unless.parse().ok().as_ref())).n_waiting;
    assert_eq!((waiting("n02"), waiting("n01")), (n_records + 1, 0));
}

/// What waited went to the gateway under the new id.
#[test]
fn records_of_another_id_are_given_up_wherever_the_power_fails() {
    for step in 1.. {
        let chip = Chip::new();
        // A run is cut, and would be told by the next boot.
        chip.boot(3, 150);
        chip.boot(1, NEVER);
        let (owner, epoch) = now_or_never(async {
            let mut settings = Settings::open(chip.settings.clone()).expect("a partition");
            (settings.owner().await, settings.epoch().await)
        });
        assert_eq!(owner, Some("n01".parse().expect("an id")));
        let n_waiting = now_or_never(held(chip.flash(), None)).n_waiting;
        assert!(n_waiting > 5, "{n_waiting}");
        chip.power.cut_at(step);
        let mut board = Bench::new(&chip.power, 0);
        let ended = chip.run_as(&mut board, renamed("n02"));
        let is_cut = chip.power.is_cut();
        chip.power.on();
        if !is_cut {
            assert_eq!((ended, board.lost), (Ok(End::Stopped), n_waiting), "they are told");
            assert!(step > 20, "{step} steps");
        }
        assert_eq!(chip.run_as(&mut board, renamed("n02")), Ok(End::Stopped));
        assert!(
            chip.epochs().iter().all(|of| *of > epoch),
            "cut at {step}: {:?} after {epoch}",
            chip.epochs()
        );
        assert_eq!(chip.closings(), [], "cut at {step}");
        if !is_cut {
            assert_eq!(board.lost, 0);
            // And those of this id stay.
            let n_before = chip.epochs().len();
            assert_eq!(chip.run_as(&mut board, renamed("n02")), Ok(End::Stopped));
            assert_eq!((chip.epochs().len() > n_before, board.lost), (true, 0));
            return;
        }
    }
}

#[test]
fn a_latching_valve_that_is_planned_no_more_is_closed_by_what_is_remembered() {
    let chip = Chip::new();
    let boot = |board: &mut Bench<'_>, plans: &[ValvePlan]| {
        board.closings.clear();
        assert_eq!(chip.run(board, plans), Ok(End::Stopped));
    };
    let latching = ValvePlan { kind: ValveKind::Latching, ..ValvePlan::new(VALVE) };
    let mut board = Bench::new(&chip.power, 0);
    // Two pulses when it begins, and two when it ends, whether the valve was opened or not.
    boot(&mut board, &[latching]);
    assert_eq!(board.closings, [(0, 2), (0, 2)]);
    board.n_presses = 1;
    boot(&mut board, &[latching]);
    assert_eq!(board.closings, [(0, 2), (0, 2)]);
    assert!(!board.is_open);
    // Something has opened it, and the plan has gone; what does not follow is driven again at the next boot.
    (board.is_open, board.follows) = (true, false);
    boot(&mut board, &[]);
    assert!(board.is_open);
    board.follows = true;
    boot(&mut board, &[]);
    assert!(!board.is_open);
    assert_eq!(board.closings, [(0, 2)]);
    boot(&mut board, &[]);
    assert_eq!(board.closings, [], "it is closed, and forgotten");
    // A relay has its outputs today.
    boot(&mut board, &[latching]);
    (board.has_coils, board.is_open) = (false, true);
    boot(&mut board, &[ValvePlan::new(VALVE)]);
    assert_eq!(board.closings, [(0, 1), (0, 1)], "the relay, off");
}

/// A pulse that found too little energy left it open until the next reset, and so was one that was set up while the node slept.
#[test]
fn a_latching_valve_that_may_be_open_is_closed_when_the_node_wakes() {
    let latching = ValvePlan { kind: ValveKind::Latching, ..ValvePlan::new(VALVE) };
    let relay = ValvePlan::new(VALVE);
    let other = ValvePlan { kind: ValveKind::Latching, ..ValvePlan::new(ValveId(1)) };
    let check = |before: Option<&[ValvePlan]>, low_power: bool, plans: &[ValvePlan], at_wake: &[(u8, u8)]| {
        let chip = Chip::new();
        if let Some(before) = before {
            assert_eq!(chip.run(&mut Bench::new(&chip.power, 0), before), Ok(End::Stopped));
        }
        let carry = crate::sleep::Carry {
            last: Position::default(),
            met: true,
            uptime: UptimeMs(0),
            metered_ul: 0,
            slept_ms: 0,
            low_power,
            health_in_ms: 0,
            probes_in_ms: heapless::Vec::new(),
            n_failed: 0,
            n_to_skip: 0,
        };
        // What it is driven besides is the closing of a node that is told to end; what is remembered closes nothing more.
        let mut board = Bench { woken: Some(carry.wake(1000)), ..Bench::new(&chip.power, 0) };
        assert_eq!(chip.run(&mut board, plans), Ok(End::Stopped));
        let at_end = plans.iter().map(crate::node::closing_of).map(|drive| (drive.valve.0, drive.times));
        let wanted: Vec<(u8, u8)> = at_wake.iter().copied().chain(at_end).collect();
        assert_eq!(board.closings, wanted, "{before:?}, then {plans:?}");
        assert_eq!(board.n_opened, 0);
    };
    check(Some(&[latching]), false, &[latching], &[]);
    check(Some(&[latching]), true, &[latching], &[(0, 2)]);
    // The plan came at the console, without a boot of its own.
    check(Some(&[]), false, &[latching], &[(0, 2)]);
    check(Some(&[relay]), false, &[latching], &[(0, 2)]);
    check(Some(&[latching]), false, &[latching, other], &[(0, 2), (1, 2)]);
    check(None, false, &[latching], &[(0, 2)]);
    // A relay falls with the reset, and is told so at every boot.
    check(Some(&[relay]), false, &[relay], &[(0, 1)]);
}

#[test]
fn a_node_whose_flash_carries_no_settings_closes_before_it_gives_up() {
    let chip = Chip { settings: Nor::new(0, &Power::default()), ..Chip::new() };
    let mut board = Bench::new(&chip.power, 0);
    assert_eq!(chip.run(&mut board, &[]), Err(RunError::Settings(SettingsError::Partition)));
    assert_eq!(board.closings, [(0, 2)]);
}

/// Somebody holds the button that would end the sleep at once, or its cable is shorted.
#[test]
fn a_node_whose_board_cannot_sleep_stays_awake_and_asks_again() {
    let chip = Chip::new();
    let mut board = Bench { lasts_ms: 100_000, ..Bench::new(&chip.power, 0) };
    let plan = crate::settings::SleepPlan::default();
    let config = NodeConfig { sleep: Some(plan), ..config(&[ValvePlan::new(VALVE)]) };
    assert_eq!(chip.run_as(&mut board, config), Ok(End::Stopped));
    let asked = &board.asked_to_sleep;
    // After its patience with a gateway that is not there.
    assert!(asked.len() == 4 && (30_000..31_000).contains(&asked[0]), "{asked:?}");
    assert!(asked.windows(2).all(|pair| (20_000..21_000).contains(&(pair[1] - pair[0]))), "{asked:?}");
    assert_eq!(board.n_opened, 0);
}

/// A network that says at once that it is not there, and how often it was asked.
struct Refused(usize);

impl Connector for Refused {
    type Transport = NoStream;

    async fn connect(&mut self) -> Result<NoStream, ConnectFault> {
        self.0 += 1;
        Err(ConnectFault)
    }
}

/// As long as a device that keeps silent takes.
const SILENCE_MS: u64 = 2151;

/// A valve of five seconds, and so many probes on devices of their own, each due all the time.
fn config_with_probes(n_probes: u8) -> NodeConfig {
    let plan = |n| crate::settings::ProbePlan {
        interval_ms: 1000,
        device: Some(n),
        ..crate::settings::ProbePlan::new(ProbeId(n), Metric::SoilMoisture)
    };
    let valve = ValvePlan { local_run_s: 5, ..ValvePlan::new(VALVE) };
    NodeConfig { probes: (0..n_probes).map(plan).collect(), meter: None, ..config(&[valve]) }
}

#[test]
fn devices_that_keep_silent_hold_up_no_valve_and_are_asked_without_a_pause() {
    const LASTS_MS: u64 = 60_000;
    let (chip, mut probes) = (Chip::new(), Slow::new(SILENCE_MS, ProbeFault::Silent));
    let mut board = Bench {
        presses_at: Some([1000, 4000, 7000, 7001, 20_000].into()),
        lasts_ms: LASTS_MS,
        ..Bench::new(&chip.power, 0)
    };
    assert_eq!(chip.run_on(&mut Nowhere, &mut board, &mut probes, config_with_probes(16)), Ok(End::Stopped));
    // A press opens and the next one closes; the third run ends by itself; all to the millisecond.
    assert_eq!(
        board.moves,
        [
            (false, 0),
            (true, 1000),
            (false, 4000),
            (true, 7000),
            (false, 7001),
            (true, 20_000),
            (false, 25_000),
            (false, LASTS_MS)
        ]
    );
    assert!(board.fed_at > LASTS_MS - SILENCE_MS, "{}", board.fed_at);
    // One at a time, each when the one before has been given up, and in turn.
    let turns = (0..16).cycle().zip((board.began_ms..).step_by(usize::try_from(SILENCE_MS).expect("small")));
    let expected: Vec<_> = turns.take(probes.read.len()).collect();
    assert_eq!(probes.read, expected);
    assert_eq!(probes.read.len(), 28);
}

/// Each was asked two seconds later every time, and the readings of a node fell apart.
#[test]
fn devices_that_keep_silent_stay_on_their_grid() {
    let (chip, mut probes) = (Chip::new(), Slow::new(SILENCE_MS, ProbeFault::Silent));
    let presses_at = Some(VecDeque::new());
    let mut board = Bench { lasts_ms: 55_000, presses_at, ..Bench::new(&chip.power, 0) };
    let mut config = config_with_probes(2);
    config.probes.iter_mut().for_each(|plan| plan.interval_ms = 10_000);
    assert_eq!(chip.run_on(&mut Nowhere, &mut board, &mut probes, config), Ok(End::Stopped));
    let at = |ms: u64, probe: u8| (probe, board.began_ms + ms);
    let expected: Vec<_> =
        (0..55_000).step_by(10_000).flat_map(|ms| [at(ms, 0), at(ms + SILENCE_MS, 1)]).collect();
    assert_eq!(probes.read, expected);
}

#[test]
fn the_link_does_not_wait_for_probes_that_do_not_answer() {
    let tried = |n_probes| {
        let chip = Chip::new();
        let (mut probes, mut network) = (Slow::new(SILENCE_MS, ProbeFault::Silent), Refused(0));
        let presses_at = Some(VecDeque::new());
        let mut board = Bench { lasts_ms: 30_000, presses_at, ..Bench::new(&chip.power, 0) };
        let ended = chip.run_on(&mut network, &mut board, &mut probes, config_with_probes(n_probes));
        assert_eq!(ended, Ok(End::Stopped));
        (network.0, probes.read.len())
    };
    let (n_attempts, _) = tried(0);
    assert!(n_attempts > 3, "{n_attempts}");
    assert_eq!(tried(8), (n_attempts, 14));
}

/// A board resets then.
#[test]
fn a_read_that_never_ends_starves_the_watchdog_and_holds_up_no_valve() {
    let (chip, mut probes) = (Chip::new(), Slow::new(1 << 40, ProbeFault::Silent));
    let mut board =
        Bench { presses_at: Some([30_000, 31_000].into()), lasts_ms: 40_000, ..Bench::new(&chip.power, 0) };
    assert_eq!(chip.run_on(&mut Nowhere, &mut board, &mut probes, config_with_probes(1)), Ok(End::Stopped));
    assert!(board.fed_at <= 15_001, "{}", board.fed_at);
    assert_eq!(board.moves, [(false, 0), (true, 30_000), (false, 31_000), (false, 40_000)]);
    assert_eq!(probes.read.len(), 1);
}

#[test]
fn a_rail_that_warms_up_holds_up_no_valve_and_is_off_at_the_end() {
    let (chip, mut probes) = (Chip::new(), Slow::new(100, ProbeFault::NoAnswer));
    let mut board =
        Bench { presses_at: Some([1000, 1500, 4000].into()), lasts_ms: 8000, ..Bench::new(&chip.power, 0) };
    let mut config = config_with_probes(1);
    config.probe_warm_ms = Some(5000);
    assert_eq!(chip.run_on(&mut Nowhere, &mut board, &mut probes, config), Ok(End::Stopped));
    // While it warms up: opened, closed and opened again, until the node ends.
    assert_eq!(board.moves, [(false, 0), (true, 1000), (false, 1500), (true, 4000), (false, 8000)]);
    assert_eq!(board.powered, [(true, 0), (false, 8000)]);
    assert_eq!(probes.read.first(), Some(&(0, board.began_ms + 5000)));
    assert!(board.fed_at >= 7000, "{}", board.fed_at);
}
