//! Which valve is open until when. The dead-man close: a valve is open only with a deadline, and closes at it without any
//! message, network or civil time (promise P3).
//!
//! Invariants, for any order of calls with a time that does not go back:
//! - a valve that [`Drip::expire`] was called for at `now` is closed when `now` reached its lease or its hard maximum;
//! - the hard maximum counts from the first opening of a run, renewals included;
//! - a run with a volume limit is over as soon as the meter counted it.
//!
//! Pulses carry no valve: while several valves are open, those whose water ends in the field have an equal share each, so that no water
//! is told twice, and one that feeds others has all of it. A volume limit goes by all the water of its run: it closes too early and
//! never too late.

use crate::settings::{Running, ValvePlan};
use giot_shared::ids::{CommandId, ValveId};
use giot_shared::time::UptimeMs;
use giot_shared::units::Millilitres;
use giot_shared::valve::{CloseReason, RefusalReason};
use giot_shared::wire::{VALVES_MAX, ValveEvent, ValveReport};

/// The valves of one node.
#[derive(Clone, Debug)]
pub struct Drip {
    lines: heapless::Vec<Line, VALVES_MAX>,
}

#[derive(Clone, Debug)]
struct Line {
    plan: ValvePlan,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Closed,
    Open(Run),
}

/// An open valve: there is none without its deadline.
#[derive(Clone, Copy, Debug)]
struct Run {
    command: Option<CommandId>,
    opened_at: UptimeMs,
    lease_ends_at: UptimeMs,
    hard_ends_at: UptimeMs,
    volume_max: Option<Millilitres>,
    /// Water of the whole node since it was opened, µL.
    flowed_ul: u64,
    /// What of that is its own, µL.
    own_ul: u64,
    is_outlet: bool,
    metered: bool,
}

/// A wish to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which valve.
    pub valve: ValveId,
    /// Lease, s.
    pub run_s: u32,
    /// Close after this much water.
    pub volume: Option<Millilitres>,
    /// The command; `None` for the button.
    pub command: Option<CommandId>,
    /// Whether its water ends in the field; otherwise it feeds other valves.
    pub is_outlet: bool,
}

impl Drip {
    /// All valves closed.
    #[must_use]
    pub fn new(plans: &[ValvePlan]) -> Self {
        let line = |plan: &ValvePlan| Line { plan: *plan, state: State::Closed };
        Self { lines: plans.iter().take(VALVES_MAX).map(line).collect() }
    }

    /// Whether `request` may be granted: the valve exists, the run is not zero and not above the hard maximum.
    ///
    /// # Errors
    /// [`RefusalReason::UnknownValve`], [`RefusalReason::LeaseTooLong`].
    pub fn check(&self, request: &Request) -> Result<ValvePlan, RefusalReason> {
        let line = self.line(request.valve).ok_or(RefusalReason::UnknownValve)?;
        let allowed = (1..=line.plan.hard_max_s).contains(&request.run_s);
        if allowed { Ok(line.plan) } else { Err(RefusalReason::LeaseTooLong) }
    }

    /// Starts a run at `now`, or renews the lease of the one going on.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn open(
        &mut self,
        now: UptimeMs,
        request: &Request,
        metered: bool,
    ) -> Result<ValveEvent, RefusalReason> {
        let plan = self.check(request)?;
        let line = self.line_mut(request.valve).ok_or(RefusalReason::UnknownValve)?;
        let lease_ends_at = now.plus_ms(u64::from(request.run_s) * 1000);
        let run = match line.state {
            // A renewed run keeps its beginning: its hard maximum, its duration and its water go on. A volume limit
            // holds for the water from here on.
            State::Open(run) => Run {
                command: request.command,
                lease_ends_at,
                volume_max: request.volume.map(|volume| Millilitres(volume.0.saturating_add(flowed(&run).0))),
                is_outlet: request.is_outlet,
                ..run
            },
            State::Closed => Run {
                command: request.command,
                opened_at: now,
                lease_ends_at,
                hard_ends_at: now.plus_ms(u64::from(plan.hard_max_s) * 1000),
                volume_max: request.volume,
                flowed_ul: 0,
                own_ul: 0,
                is_outlet: request.is_outlet,
                metered,
            },
        };
        line.state = State::Open(run);
        Ok(ValveEvent {
            valve: request.valve,
            open: true,
            command: request.command,
            closed_by: None,
            run_ms: None,
            volume: None,
        })
    }

    /// Closes one valve; `None` when it was closed.
    pub fn close(&mut self, now: UptimeMs, valve: ValveId, reason: CloseReason) -> Option<ValveEvent> {
        let line = self.line_mut(valve)?;
        let State::Open(run) = core::mem::replace(&mut line.state, State::Closed) else {
            return None;
        };
        Some(ValveEvent {
            valve,
            open: false,
            command: run.command,
            closed_by: Some(reason),
            run_ms: Some(now.since_ms(run.opened_at)),
            volume: run.metered.then(|| millilitres(run.own_ul)),
        })
    }

    /// Adds water that the meter counted; [`Self::expire`] then closes what has had enough.
    pub fn add_water(&mut self, microlitres: u64) {
        let is_outlet = |line: &&Line| matches!(&line.state, State::Open(run) if run.is_outlet);
        let mut n_outlets = self.lines.iter().filter(is_outlet).map(|_| 1).sum::<u64>();
        let mut left_ul = microlitres;
        for line in &mut self.lines {
            let State::Open(run) = &mut line.state else { continue };
            run.flowed_ul = run.flowed_ul.saturating_add(microlitres);
            // Whoever comes last has what the division leaves.
            let own_ul =
                if run.is_outlet { left_ul.checked_div(n_outlets).unwrap_or(0) } else { microlitres };
            if run.is_outlet {
                (left_ul, n_outlets) = (left_ul - own_ul, n_outlets - 1);
            }
            run.own_ul = run.own_ul.saturating_add(own_ul);
        }
    }

    /// Closes the first valve whose time or water is over; to be called until it gives `None`.
    pub fn expire(&mut self, now: UptimeMs) -> Option<ValveEvent> {
        let (valve, reason) = self.lines.iter().find_map(|line| match &line.state {
            State::Open(run) => end_of(run, now).map(|reason| (line.plan.valve, reason)),
            State::Closed => None,
        })?;
        self.close(now, valve, reason)
    }

    /// When the next valve is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<UptimeMs> {
        let deadline = |line: &Line| match &line.state {
            State::Open(run) => Some(run.lease_ends_at.min(run.hard_ends_at)),
            State::Closed => None,
        };
        self.lines.iter().filter_map(deadline).min()
    }

    /// Whether a valve is open.
    #[must_use]
    pub fn is_open(&self, valve: ValveId) -> bool {
        self.line(valve).is_some_and(|line| matches!(line.state, State::Open(_)))
    }

    /// The valves that are open.
    pub fn open_valves(&self) -> impl Iterator<Item = ValveId> {
        self.lines.iter().filter(|line| matches!(line.state, State::Open(_))).map(|line| line.plan.valve)
    }

    /// The plan of a valve.
    #[must_use]
    pub fn plan(&self, valve: ValveId) -> Option<&ValvePlan> {
        self.line(valve).map(|line| &line.plan)
    }

    /// Every valve as a Hello reports it.
    #[must_use]
    pub fn reports(&self, now: UptimeMs) -> heapless::Vec<ValveReport, VALVES_MAX> {
        let report = |line: &Line| match &line.state {
            State::Open(run) => {
                let rest_ms = run.lease_ends_at.min(run.hard_ends_at).since_ms(now);
                ValveReport {
                    valve: line.plan.valve,
                    open: true,
                    command: run.command,
                    remaining_s: u32::try_from(rest_ms / 1000).unwrap_or(u32::MAX),
                }
            }
            State::Closed => {
                ValveReport { valve: line.plan.valve, open: false, command: None, remaining_s: 0 }
            }
        };
        self.lines.iter().map(report).collect()
    }

    /// The runs that a reset at this moment would cut.
    #[must_use]
    pub fn running(&self) -> heapless::Vec<Running, VALVES_MAX> {
        let running = |line: &Line| match &line.state {
            State::Open(run) => Some(Running { valve: line.plan.valve, command: run.command }),
            State::Closed => None,
        };
        self.lines.iter().filter_map(running).collect()
    }

    fn line(&self, valve: ValveId) -> Option<&Line> {
        self.lines.iter().find(|line| line.plan.valve == valve)
    }

    fn line_mut(&mut self, valve: ValveId) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.plan.valve == valve)
    }
}

/// Why a run is over at `now`, if it is.
fn end_of(run: &Run, now: UptimeMs) -> Option<CloseReason> {
    if now >= run.hard_ends_at && run.hard_ends_at < run.lease_ends_at {
        return Some(CloseReason::HardMaximum);
    }
    if now >= run.lease_ends_at {
        return Some(CloseReason::LeaseEnded);
    }
    let enough = run.volume_max.is_some_and(|volume| flowed(run) >= volume);
    (run.metered && enough).then_some(CloseReason::VolumeReached)
}

fn flowed(run: &Run) -> Millilitres {
    millilitres(run.flowed_ul)
}

fn millilitres(ul: u64) -> Millilitres {
    Millilitres(u32::try_from(ul / 1000).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
