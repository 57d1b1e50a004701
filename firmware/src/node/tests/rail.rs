//! The switched supply of the probes on the line: it is on for long enough before each reading, and off where none is near.

use super::*;
use crate::sleep::{Carry, Woken};

const WARM_MS: u16 = 2000;
/// How long an answer on the line takes, ms.
const READ_MS: u64 = 100;
/// How long a device that keeps silent is waited for, ms.
const SILENCE_MS: u64 = 2151;

/// A node with a valve, a device of two values beside it and an analog probe, all read every ten minutes.
fn plan() -> NodeConfig {
    let mut config = NodeConfig::new(id(), key());
    config.probe_warm_ms = Some(WARM_MS);
    config.valves.push(ValvePlan::new(ValveId(0))).expect("room");
    for (number, metric) in [(0, Metric::SoilMoisture), (1, Metric::SoilTemperature)] {
        let plan =
            ProbePlan { device: Some(1), valve: Some(ValveId(0)), ..ProbePlan::new(ProbeId(number), metric) };
        config.probes.push(plan).expect("room");
    }
    config.probes.push(ProbePlan::new(ProbeId(5), Metric::SoilMoisture)).expect("room");
    config
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    On,
    Off,
    /// The probe's reading begins.
    Asked(u8),
    /// A reading with this time.
    Dated(u8),
    Moved(bool),
}
use Event::{Asked, Dated, Moved, Off, On};

/// A node on a board whose probes take their time.
struct Field {
    node: Node,
    now: u64,
    /// The probe that is being read, and until when.
    reading: Option<(ProbeId, u64)>,
    is_silent: bool,
    seen: Vec<(u64, Event)>,
}

impl Field {
    fn new(config: NodeConfig, woken: Option<&Woken>) -> Self {
        let mut node = Node::new(config, boot(ResetCause::PowerOn, Kept::default()), at(0));
        node.handle_outbox(Level { events_room: 100, ..Level::default() });
        if let Some(woken) = woken {
            node.resume(at(0), woken);
        }
        Self { node, now: 0, reading: None, is_silent: false, seen: Vec::new() }
    }

    /// Does what the node wants, as the loop does.
    fn act(&mut self) {
        let now = UptimeMs(self.now);
        loop {
            if self.node.poll_timeout().is_some_and(|at| at <= now) {
                self.node.handle_timeout(now);
            }
            match self.node.poll_action(now) {
                Some(Action::PowerProbes(on)) => {
                    self.seen.push((self.now, if on { On } else { Off }));
                    self.node.handle_powered(now);
                }
                Some(Action::ReadProbe(probe)) => {
                    assert_eq!(self.reading, None, "one at a time");
                    self.seen.push((self.now, Asked(probe.0)));
                    let is_silent = self.is_silent && probe != ProbeId(5);
                    self.reading = Some((probe, self.now + if is_silent { SILENCE_MS } else { READ_MS }));
                }
                Some(Action::Keep(at, body)) => {
                    if let Body::Reading(reading) = body {
                        self.seen.push((at.0, Dated(reading.probe)));
                    }
                    self.node.handle_kept(now, true);
                }
                Some(Action::Drive(drive, _)) => self.seen.push((self.now, Moved(drive.open))),
                Some(Action::Persist(_)) => self.node.handle_persisted(now, true),
                Some(Action::ReadVitals) => self.node.handle_vitals(now, Vitals::default()),
                None => return,
                Some(other) => panic!("{other:?}"),
            }
        }
    }

    /// Goes on to this moment, waking as the loop does, and gives what happened.
    fn go(&mut self, to: u64) -> Vec<(u64, Event)> {
        self.act();
        loop {
            let read_at = self.reading.map(|(_, until)| until);
            let next = self.node.poll_timeout().map(|at| at.0).into_iter().chain(read_at).min();
            let Some(next) = next.filter(|next| *next <= to) else { break };
            assert!(next > self.now, "it would turn without an end at {next}");
            self.now = next;
            if let Some((probe, _)) = self.reading.take_if(|(_, until)| *until == next) {
                let good = Ok(Sample::Value { value: 2500, raw: None });
                let is_silent = self.is_silent && probe != ProbeId(5);
                self.node.handle_sample(
                    UptimeMs(next),
                    probe,
                    if is_silent { Err(ProbeFault::Silent) } else { good },
                );
            }
            self.act();
        }
        self.now = to;
        core::mem::take(&mut self.seen)
    }

    fn press(&mut self) {
        self.node.handle_button(UptimeMs(self.now), ValveId(0));
    }
}

#[test]
fn a_round_waits_for_the_warm_up_once_and_the_rail_goes_off_behind_it() {
    let mut field = Field::new(plan(), None);
    let first = [
        (0, On),
        // What is not on the line does not wait.
        (0, Asked(5)),
        (100, Dated(5)),
        (2000, Asked(0)),
        (2100, Dated(0)),
        (2100, Asked(1)),
        (2200, Dated(1)),
        (2200, Off),
    ];
    assert_eq!(field.go(500_000), first);
    // From then on it is warm when a reading is due: none is late by the warm-up.
    let second = [
        (598_000, On),
        (600_000, Asked(0)),
        (600_100, Dated(0)),
        (600_100, Asked(1)),
        (600_200, Dated(1)),
        (600_200, Off),
        (600_200, Asked(5)),
        (600_300, Dated(5)),
    ];
    assert_eq!(field.go(1_100_000), second);
}

#[test]
fn a_board_that_switches_nothing_is_told_nothing() {
    let mut field = Field::new(NodeConfig { probe_warm_ms: None, ..plan() }, None);
    let seen = field.go(1_000_000);
    assert!(seen.contains(&(0, Asked(0))), "{seen:?}");
    assert!(!seen.iter().any(|(_, event)| matches!(event, On | Off)), "{seen:?}");
    let mut config = plan();
    config.probes.retain(|plan| plan.device.is_none());
    let seen = Field::new(config, None).go(1_000_000);
    assert!(!seen.iter().any(|(_, event)| matches!(event, On | Off)), "no probe on the line: {seen:?}");
}

#[test]
fn a_silent_device_is_waited_for_with_the_rail_on() {
    let mut field = Field::new(plan(), None);
    field.is_silent = true;
    let seen = field.go(500_000);
    let rail: Vec<_> = seen.iter().filter(|(_, event)| matches!(event, On | Off)).copied().collect();
    assert_eq!(rail, [(0, On), (2000 + SILENCE_MS, Off)]);
}

#[test]
fn a_valve_moves_at_once_while_the_rail_warms_up() {
    let mut field = Field::new(plan(), None);
    field.go(1000);
    field.press();
    let seen = field.go(1500);
    assert!(seen.contains(&(1000, Moved(true))), "{seen:?}");
    field.press();
    let seen = field.go(1999);
    assert!(seen.contains(&(1500, Moved(false))), "{seen:?}");
    assert!(!seen.iter().any(|(_, event)| matches!(event, Asked(0 | 1))), "{seen:?}");
}

/// Something else was done first.
#[test]
fn the_warm_up_counts_from_when_the_supply_was_really_on() {
    let mut node = Node::new(plan(), boot(ResetCause::PowerOn, Kept::default()), at(0));
    let mut asked = Vec::new();
    for ms in (0..5000).step_by(100) {
        node.handle_timeout(UptimeMs(ms));
        loop {
            match node.poll_action(UptimeMs(ms)) {
                Some(Action::PowerProbes(true)) => node.handle_powered(UptimeMs(ms + 700)),
                Some(Action::ReadProbe(ProbeId(5))) => {
                    node.handle_sample(UptimeMs(ms), ProbeId(5), Err(ProbeFault::NoAnswer))
                }
                Some(Action::ReadProbe(_)) => asked.push(ms),
                Some(Action::Keep(..)) => node.handle_kept(UptimeMs(ms), true),
                Some(Action::ReadVitals) => node.handle_vitals(UptimeMs(ms), Vitals::default()),
                None => break,
                Some(other) => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(asked, [2700]);
}

#[test]
fn a_running_zone_switches_it_round_by_round() {
    let mut field = Field::new(plan(), None);
    field.go(300_000);
    // The last reading is older than the running interval: the next one is due at once, and warmed up for first.
    field.press();
    let seen = field.go(430_000);
    let of =
        |wanted: fn(&Event) -> bool| seen.iter().filter(move |(_, event)| wanted(event)).map(|(at, _)| *at);
    assert_eq!(of(|event| *event == On).collect::<Vec<_>>(), [300_000, 358_000, 418_000]);
    assert_eq!(of(|event| *event == Asked(0)).collect::<Vec<_>>(), [302_000, 360_000, 420_000]);
    assert_eq!(of(|event| *event == Off).collect::<Vec<_>>(), [302_200, 360_200, 420_200]);
}

#[test]
fn readings_that_are_closer_than_a_warm_up_leave_it_on() {
    let mut config = plan();
    for plan in &mut config.probes {
        plan.interval_ms = 2500;
    }
    let mut field = Field::new(config, None);
    let seen = field.go(60_000);
    let rail: Vec<_> = seen.iter().filter(|(_, event)| matches!(event, On | Off)).collect();
    assert_eq!(rail, [&(0, On)]);
    assert!(seen.iter().filter(|(_, event)| *event == Asked(0)).count() > 20, "{seen:?}");
}

#[test]
fn it_wakes_early_enough_to_warm_up_and_sleeps_with_the_rail_off() {
    // By nothing else than the probes on the line.
    let mut config = plan();
    config.probes.retain(|plan| plan.device.is_some());
    let mut field = Field::new(config.clone(), None);
    assert_eq!(field.go(10_000).last(), Some(&(2200, Off)));
    assert!(!field.node.is_busy());
    assert_eq!(field.node.rest_until(), Some(UptimeMs(598_000)));
    let carry = field.node.carry(UptimeMs(10_000), Position { epoch: 4, seq: 9 });
    let wake = |slept_ms| Carry::decode(&carry.encode()).expect("a carry").wake(slept_ms);
    // In time, and with a slow clock that was late.
    for (slept_ms, asked_at) in [(588_000, 2000), (605_000, 2000), (589_000, 2000)] {
        let mut field = Field::new(config.clone(), Some(&wake(slept_ms)));
        let seen = field.go(20_000);
        assert_eq!(seen.iter().find(|(_, event)| *event == On), Some(&(0, On)), "{seen:?}");
        assert!(seen.contains(&(asked_at, Asked(0))), "{slept_ms}: {seen:?}");
        assert!(seen.iter().any(|(_, event)| *event == Off), "{seen:?}");
    }
    // Something else woke it: no probe on the line is near.
    let mut field = Field::new(config, Some(&wake(100_000)));
    assert_eq!(field.go(20_000), []);
}

proptest! {
    /// Whatever the plan and whenever the button is pressed: each question finds a supply that has been on for the warm-up at least, and
    /// the rail is off whenever the node may sleep.
    #[test]
    fn no_probe_is_asked_before_it_is_warm(
        warm_ms in 100_u16..=10_000,
        intervals in prop::collection::vec((1_u64..200, 1_u64..30, any::<bool>()), 1..8),
        presses in prop::collection::vec(1_u64..60_000, 0..8),
        is_silent in any::<bool>(),
    ) {
        let mut config = plan();
        config.probe_warm_ms = Some(warm_ms);
        config.probes.clear();
        for (number, (interval_s, running_s, on_line)) in (0_u8..).zip(&intervals) {
            let mut plan = ProbePlan::new(ProbeId(number + 10), Metric::SoilMoisture);
            plan.interval_ms = interval_s * 1000;
            plan.interval_running_ms = running_s * 1000;
            plan.valve = Some(ValveId(0));
            plan.device = on_line.then_some(number);
            config.probes.push(plan).expect("room");
        }
        let on_line = |probe: u8| intervals[usize::from(probe) - 10].2;
        let mut field = Field::new(config, None);
        field.is_silent = is_silent;
        let mut on_since = None;
        let mut n_asked = 0;
        for press_after in presses.into_iter().chain([400_000]) {
            let to = field.now + press_after;
            for (at, event) in field.go(to) {
                match event {
                    On => {
                        prop_assert_eq!(on_since, None);
                        on_since = Some(at);
                    }
                    Off => prop_assert!(on_since.take().is_some()),
                    Asked(probe) if on_line(probe) => {
                        n_asked += 1;
                        prop_assert!(on_since.is_some_and(|since| at - since >= u64::from(warm_ms)));
                    }
                    Asked(_) | Dated(_) | Moved(_) => {}
                }
            }
            let now = UptimeMs(field.now);
            let rests = !field.node.is_busy() && field.node.rest_until().is_none_or(|at| at.since_ms(now) >= 20_000);
            prop_assert!(!rests || on_since.is_none());
            field.press();
        }
        prop_assert_eq!(n_asked > 0, intervals.iter().any(|(.., on_line)| *on_line));
    }
}
