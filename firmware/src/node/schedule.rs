//! When which probe is read, and when the node reports on itself. Reads are handed out one at a time.
//!
//! Readings lie on a grid: each is due one interval after the last one was, however long that took or had to wait for others, so that
//! those of several devices fall together for ever. What a read that took too long has missed is left out.
//!
//! A probe whose valve is open is read at its running interval: opening and closing pulls the next reading forward or
//! pushes it back from the last one, so that a run always begins and ends between close readings.
//!
//! A device that keeps silent is waited for once a round: what else of it is due at that moment is missing too. What got no answer is
//! asked after everything else from then on, so that a device is tried with another value each time, and one register about which it
//! keeps silent does not speak for the others.

use crate::drip::Drip;
use crate::settings::{NodeConfig, PROBES_MAX, ProbePlan};
use crate::sleep::DueProbes;
use giot_shared::ids::{ProbeId, ValveId};
use giot_shared::time::UptimeMs;

/// Shortest interval that a plan is taken to mean, ms: a probe needs its warm-up.
const INTERVAL_MS_MIN: u64 = 1000;

/// The sampling plan in progress.
#[derive(Debug)]
pub(super) struct Schedule {
    /// In the order in which they are asked.
    probes: heapless::Vec<Entry, PROBES_MAX>,
    health_at: UptimeMs,
    health_due: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    probe: ProbeId,
    device: Option<u8>,
    /// When the last reading was due.
    last_at: Option<UptimeMs>,
    next_at: UptimeMs,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Due,
    Reading,
}

impl Schedule {
    /// Everything is due at once: a node that was reset in a dry field must not wait ten minutes to say so.
    pub(super) fn new(config: &NodeConfig, now: UptimeMs) -> Self {
        let entry = |plan: &ProbePlan| Entry {
            probe: plan.probe,
            device: plan.device,
            last_at: None,
            next_at: now,
            state: State::Due,
        };
        Self { probes: config.probes.iter().map(entry).collect(), health_at: now, health_due: true }
    }

    pub(super) fn handle_timeout(&mut self, now: UptimeMs) {
        for entry in &mut self.probes {
            if entry.state == State::Waiting && entry.next_at <= now {
                entry.state = State::Due;
            }
        }
        self.health_due |= self.health_at <= now;
    }

    /// The next probe to read, when none is being read; one on the line only where those can be read.
    pub(super) fn poll_probe(&mut self, line_is_ready: bool) -> Option<ProbeId> {
        if self.probes.iter().any(|entry| entry.state == State::Reading) {
            return None;
        }
        let is_next =
            |entry: &&mut Entry| entry.state == State::Due && (line_is_ready || entry.device.is_none());
        let entry = self.probes.iter_mut().find(is_next)?;
        entry.state = State::Reading;
        Some(entry.probe)
    }

    pub(super) fn probe_done(&mut self, config: &NodeConfig, drip: &Drip, probe: ProbeId, now: UptimeMs) {
        let Some(plan) = config.probes.iter().find(|plan| plan.probe == probe) else { return };
        let Some(entry) = self.probes.iter_mut().find(|entry| entry.probe == probe) else { return };
        entry.last_at = Some(entry.next_at);
        entry.next_at = next_after(entry.next_at, interval_ms(plan, drip), now);
        entry.state = State::Waiting;
    }

    /// The device of a probe kept silent: takes another one of it that is due, which need not be asked.
    pub(super) fn poll_missing(&mut self, silent: ProbeId) -> Option<ProbeId> {
        let device = self.probes.iter().find(|entry| entry.probe == silent)?.device?;
        let due = |entry: &&mut Entry| entry.state == State::Due && entry.device == Some(device);
        let entry = self.probes.iter_mut().find(due)?;
        entry.state = State::Reading;
        Some(entry.probe)
    }

    /// A probe is asked after all others from now on.
    pub(super) fn ask_last(&mut self, probe: ProbeId) {
        if let Some(idx) = self.probes.iter().position(|entry| entry.probe == probe) {
            let entry = self.probes.remove(idx);
            // Where one was taken away there is room.
            let _full = self.probes.push(entry);
        }
    }

    pub(super) fn valve_changed(&mut self, config: &NodeConfig, drip: &Drip, valve: ValveId, now: UptimeMs) {
        for plan in config.probes.iter().filter(|plan| plan.valve == Some(valve)) {
            let entry = self.probes.iter_mut().find(|entry| entry.probe == plan.probe);
            // What is due at this moment stays due.
            if let Some(entry) = entry
                && entry.state == State::Waiting
                && entry.next_at > now
            {
                let from = entry.last_at.unwrap_or(now);
                entry.next_at = from.plus_ms(interval_ms(plan, drip)).max(now);
            }
        }
    }

    /// Whether a probe is to be read, or the node's own record to be made, before anything else.
    pub(super) fn is_due(&self) -> bool {
        self.health_due || self.probes.iter().any(|entry| entry.state != State::Waiting)
    }

    /// Time until the node's own record and until each probe, ms; in the order in which they are asked.
    pub(super) fn rests(&self, now: UptimeMs) -> (u64, DueProbes) {
        let rest = |entry: &Entry| (entry.probe, entry.next_at.since_ms(now));
        (self.health_at.since_ms(now), self.probes.iter().map(rest).collect())
    }

    /// Goes on with the times and the order of [`Self::rests`]; a probe that was not among them is due at once.
    pub(super) fn resume(&mut self, now: UptimeMs, health_in_ms: u64, probes_in_ms: &DueProbes) {
        self.health_at = now.plus_ms(health_in_ms);
        self.health_due = health_in_ms == 0;
        for entry in &mut self.probes {
            let known = probes_in_ms.iter().find(|(probe, _)| *probe == entry.probe);
            let in_ms = known.map_or(0, |(_, in_ms)| *in_ms);
            entry.next_at = now.plus_ms(in_ms);
            entry.state = if in_ms == 0 { State::Due } else { State::Waiting };
        }
        for (probe, _) in probes_in_ms {
            self.ask_last(*probe);
        }
    }

    pub(super) const fn health_is_due(&self) -> bool {
        self.health_due
    }

    /// Whether the node's own record is to be made at this look.
    pub(super) fn health_done(&mut self, config: &NodeConfig, now: UptimeMs) -> bool {
        let due = core::mem::take(&mut self.health_due);
        if due {
            self.health_at = next_after(self.health_at, config.health_interval_ms.max(INTERVAL_MS_MIN), now);
        }
        due
    }

    /// When a probe on the line is to be read next; what is due or being read was to be read already.
    pub(super) fn line_at(&self) -> Option<UptimeMs> {
        self.probes.iter().filter(|entry| entry.device.is_some()).map(|entry| entry.next_at).min()
    }

    /// When something is due next.
    pub(super) fn next_at(&self) -> Option<UptimeMs> {
        let waiting = self.probes.iter().filter(|entry| entry.state == State::Waiting);
        waiting.map(|entry| entry.next_at).chain((!self.health_due).then_some(self.health_at)).min()
    }
}

/// The first moment of a grid that is to come.
fn next_after(due_at: UptimeMs, interval_ms: u64, now: UptimeMs) -> UptimeMs {
    let n_intervals = now.since_ms(due_at) / interval_ms + 1;
    due_at.plus_ms(n_intervals.saturating_mul(interval_ms))
}

fn interval_ms(plan: &ProbePlan, drip: &Drip) -> u64 {
    let running = plan.valve.is_some_and(|valve| drip.is_open(valve));
    let interval_ms = if running { plan.interval_running_ms } else { plan.interval_ms };
    interval_ms.max(INTERVAL_MS_MIN)
}
