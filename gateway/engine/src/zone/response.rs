//! Whether probes answer to water. One that says dry and goes on saying so while its zone is watered lies beside the wetted
//! soil, has lost contact or is broken: the soil would be watered by it for ever.
//!
//! A trial begins when water flows and a probe says dry; it is judged once it has had water and time enough.

use giot_shared::time::MonoMs;

use super::{Turn, Zone};
use crate::Now;
use crate::diary::{By, Event};
use crate::probe;

/// From the first water to the verdict: a wetting front passes the upper 30 cm of a clay loam in a few hours.
const WINDOW_MS: u64 = 6 * 3_600_000;

/// Less water in that time proves nothing.
const WATER_MS_MIN: u64 = 30 * 60_000;

/// Water that is to show at the probes that were dry when it began.
#[derive(Debug)]
pub(super) struct Trial {
    since: MonoMs,
    /// For how long it flowed before the run that is under way.
    water_ms: u64,
    open_since: Option<MonoMs>,
    /// Their places in the plan.
    probes: Vec<usize>,
}

impl Trial {
    fn water_ms(&self, now: MonoMs) -> u64 {
        self.water_ms + self.open_since.map_or(0, |since| now.since_ms(since))
    }
}

impl Zone {
    /// Water flows: what is dry is on trial from now on.
    pub(super) fn water_begins(&mut self, now: Now) {
        if let Some(trial) = &mut self.trial {
            trial.open_since.get_or_insert(now.mono);
            return;
        }
        let response = &self.plan.guards.response;
        let is_off = response.rise_min.get() == 0;
        let mut on_trial = Vec::new();
        for idx in response.probes.iter().copied().filter(|_| !is_off) {
            let Some(probe) = self.probes.get_mut(idx) else { continue };
            let (quality, level) = probe.judge(now, &self.plan);
            let is_dry = level.is_some_and(|level| self.plan.soil.is_dry(level));
            if is_dry && quality.is_steady() {
                probe.expect_rise();
                on_trial.push(idx);
            }
        }
        if !on_trial.is_empty() {
            self.trial =
                Some(Trial { since: now.mono, water_ms: 0, open_since: Some(now.mono), probes: on_trial });
        }
    }

    pub(super) fn water_ends(&mut self, now: MonoMs) {
        if let Some(trial) = &mut self.trial {
            trial.water_ms = trial.water_ms(now);
            trial.open_since = None;
        }
    }

    /// Judges a trial whose time has come, and tells of probes that have failed too many.
    pub(super) fn tick_trial(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        let is_due = |trial: &Trial| now.mono >= trial.since.plus_ms(WINDOW_MS);
        let Some(trial) = self.trial.take_if(|trial| is_due(trial)) else { return };
        if trial.water_ms(now.mono) >= WATER_MS_MIN {
            for idx in trial.probes {
                self.judge_response(turn, idx);
            }
        }
        if trial.open_since.is_some() {
            self.water_begins(now);
        }
    }

    fn judge_response(&mut self, turn: &mut Turn<'_>, idx: usize) {
        let Some(probe) = self.probes.get_mut(idx) else { return };
        let (quality, _) = probe.judge(turn.now, &self.plan);
        if !quality.is_steady() || !probe.missed_rise() {
            return;
        }
        let (quality, value) = probe.judge(turn.now, &self.plan);
        let name = self.plan.probes.get(idx);
        if let Some(reason) = name.and_then(|name| probe::reason(quality, value, name, &self.plan)) {
            self.desk.tell(turn, Event::Fault, By::Engine, reason, None);
        }
    }

    /// A person has seen to the probes; whether one of them had failed.
    pub(super) fn trust_probes(&mut self) -> bool {
        self.trial = None;
        let mut had_failed = false;
        for probe in &mut self.probes {
            had_failed |= probe.trust(&self.plan);
        }
        had_failed
    }
}
