//! Devices that give several values and keep silent: about all of them, or about one.

use super::*;
use crate::sleep::Carry;

const METRICS: [Metric; 3] = [Metric::SoilMoisture, Metric::SoilTemperature, Metric::SoilEc];

/// Two devices of three values each, every ten minutes: probes 0 to 2 and 10 to 12.
fn two_devices() -> NodeConfig {
    let mut config = NodeConfig::new(id(), key());
    for device in [0, 1] {
        for (metric, number) in METRICS.into_iter().zip(10 * device..) {
            let plan = ProbePlan { device: Some(device), ..ProbePlan::new(ProbeId(number), metric) };
            config.probes.push(plan).expect("room");
        }
    }
    config
}

/// A node whose probes take their time.
struct Line {
    node: Node,
    now: UptimeMs,
}

impl Line {
    fn new() -> Self {
        Self { node: Node::new(two_devices(), boot(ResetCause::PowerOn, Kept::default()), at(0)), now: at(0) }
    }

    /// Goes on to the next round and through it: the probes that were asked, and what was recorded of whom. Those that `is_silent` are
    /// waited for.
    fn round(&mut self, is_silent: impl Fn(u8) -> bool) -> (Vec<u8>, Vec<(u8, bool)>) {
        let (mut asked, mut told) = (Vec::new(), Vec::new());
        loop {
            match self.node.poll_action(self.now) {
                Some(Action::ReadProbe(probe)) => {
                    assert_eq!(self.node.poll_action(self.now), None, "one at a time");
                    let silent = is_silent(probe.0);
                    asked.push(probe.0);
                    self.now = self.now.plus_ms(if silent { 2151 } else { 100 });
                    let good = Ok(Sample::Value { value: 2500, raw: None });
                    let sample = if silent { Err(ProbeFault::Silent) } else { good };
                    self.node.handle_sample(self.now, probe, sample);
                }
                Some(Action::Keep(at, body)) => {
                    if let Body::Reading(reading) = body {
                        assert_eq!(at, self.now);
                        told.push((reading.probe, reading.value.is_some()));
                    }
                    self.node.handle_kept(self.now, true);
                }
                Some(Action::ReadVitals) => self.node.handle_vitals(self.now, Vitals::default()),
                Some(Action::Persist(_)) => self.node.handle_persisted(self.now, true),
                Some(other) => panic!("{other:?}"),
                None if told.is_empty() => {
                    self.now = self.node.poll_timeout().expect("a next round");
                    self.node.handle_timeout(self.now);
                }
                // What is due within a second belongs to the round.
                None => match self.node.poll_timeout() {
                    Some(next) if next.since_ms(self.now) < 30_000 => {
                        self.now = next;
                        self.node.handle_timeout(next);
                    }
                    _ => return (asked, told),
                },
            }
        }
    }
}

#[test]
fn a_silent_device_is_waited_for_once_a_round_and_all_its_values_are_missing() {
    let mut line = Line::new();
    let all = |is_there: fn(u8) -> bool| [0, 1, 2, 10, 11, 12].map(|probe| (probe, is_there(probe)));
    assert_eq!(line.round(|_| false), (vec![0, 1, 2, 10, 11, 12], all(|_| true).to_vec()));
    let first_gone = |probe| probe < 10;
    for first in [0, 1, 2, 0] {
        let before = line.now;
        let (mut asked, mut told) = line.round(first_gone);
        told.sort_unstable();
        assert_eq!(told, all(|probe| probe >= 10));
        assert!(line.now.since_ms(before) < 600_000 + 4000);
        // With another value each time, and after whoever answers.
        let tried = asked.iter().position(|probe| *probe < 10).expect("it is tried");
        assert_eq!(asked.remove(tried), first);
        assert_eq!(asked, [10, 11, 12]);
    }
    // It is there again: none of its values is missing, from the first one on.
    let (asked, mut told) = line.round(|_| false);
    told.sort_unstable();
    assert_eq!((asked.len(), told), (6, all(|_| true).to_vec()));
}

/// Some devices say nothing to a question for a register that they lack.
#[test]
fn a_value_about_which_a_device_keeps_silent_does_not_stand_for_the_others() {
    for n_mute in 1..6_u8 {
        // All patterns of one to five mute values, the second device's among them.
        for mute in (0..1_u8 << 6).filter(|mask| mask.count_ones() == u32::from(n_mute)) {
            let is_mute = |probe: u8| mute >> (probe % 10 + if probe < 10 { 0 } else { 3 }) & 1 == 1;
            let mut line = Line::new();
            // At most one round for each.
            for _ in 0..n_mute {
                line.round(is_mute);
            }
            for _ in 0..5 {
                let (_, told) = line.round(is_mute);
                assert_eq!(told.len(), 6, "{told:?}");
                assert!(
                    told.iter().all(|(probe, is_there)| *is_there != is_mute(*probe)),
                    "{mute:b}: {told:?}"
                );
            }
        }
    }
}

#[test]
fn the_order_of_asking_outlives_a_deep_sleep() {
    let mut line = Line::new();
    let silent = |probe| probe == 0;
    line.round(silent);
    let carry = line.node.carry(line.now, Position { epoch: 4, seq: 9 });
    let woken = Carry::decode(&carry.encode()).expect("a carry").wake(600_000);
    let mut line = Line::new();
    line.node.resume(at(0), &woken);
    let (asked, told) = line.round(silent);
    assert_eq!(asked, [1, 2, 10, 11, 12, 0]);
    assert_eq!(told.iter().filter(|(_, is_there)| !is_there).count(), 1, "{told:?}");
}
