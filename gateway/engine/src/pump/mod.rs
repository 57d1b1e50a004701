//! One pump or master valve: the states of its output as the engine knows them, its rests, and what failures leave behind.
//!
//! | phase | the output | leaves by |
//! |---|---|---|
//! | [`Phase::Off`] | off for certain | `start` |
//! | [`Phase::Starting`] | an Open was sent | `confirm` → On; `stop` |
//! | [`Phase::On`] | reported on, under a lease | `stop`; the node's own closing |
//! | [`Phase::Stopping`] | perhaps on, wanted off; also everything after a restart | `finish` |
//!
//! Invariants (P5): no lease of a pump reaches, in the worst case, beyond the moment until which its [`Demand`] says that a
//! valve is open for certain; when nothing is certain any more, Close goes out at once. Its leases are short, so that what
//! nobody could foresee (a zone's node that fails) is over soon. Who depends on whom is not known here: the engine asks
//! zones and pumps, and holds back the Closes of valves while the pump above them is not off.
//!
//! `longest` rests an output before its node would, `words` takes in what nodes say.

mod longest;
mod words;

use std::collections::{BTreeMap, VecDeque};

use giot_shared::ids::CommandId;
use giot_shared::time::MonoMs;
use giot_shared::valve::CloseReason;

use crate::Now;
use crate::diary::{Action, By, Entry, Event, PumpAction};
use crate::flight::{Flight, SentOpen};
use crate::ids::SourceId;
use crate::memory::{OpenMemory, SourceMemory};
use crate::plan::{LEASE_S_MIN, PumpKind, PumpPlan, Timing};
use crate::reason::Reason;
use crate::view::{PumpState, PumpView};
use crate::zone::Measured;

/// One command and two repetitions, as for zones.
const ATTEMPTS_MAX: u32 = 3;

/// So many failures in a row wait for a person.
const FAILURES_MAX: u32 = 3;

/// Longest pause between two Closes, ms.
const CLOSE_PAUSE_MS_MAX: u64 = 60_000;

const HOUR_MS: u64 = 3_600_000;

/// What a pump may use while the engine handles one input.
pub(crate) struct PumpTurn<'a> {
    pub(crate) now: Now,
    pub(crate) timing: &'a Timing,
    pub(crate) next_command: &'a mut CommandId,
    pub(crate) actions: &'a mut VecDeque<Action>,
    /// Whose command a number is.
    pub(crate) owners: &'a mut BTreeMap<CommandId, usize>,
}

/// What its zones want of a pump at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// From when it should be on; `None`: it must not start.
    pub(crate) start_at: Option<MonoMs>,
    /// Until when a way out is open for certain; `None`: it must not be on.
    pub(crate) open_until: Option<MonoMs>,
    /// When time alone may change that.
    pub(crate) look_at: Option<MonoMs>,
    /// Why it goes off when nothing is open.
    pub(crate) end: Reason,
}

/// The output's state as far as the engine knows.
#[derive(Debug)]
enum Phase {
    Off,
    Starting(Starting),
    On(Running),
    Stopping(Stopping),
}

/// An Open is out.
#[derive(Debug)]
struct Starting {
    flight: Flight,
    name: CommandId,
    first_sent_at: MonoMs,
    n_sent: u32,
    /// When to send again, or to give up.
    next_at: MonoMs,
    accepted_at: Option<MonoMs>,
}

/// On under a lease.
#[derive(Debug)]
struct Running {
    flight: Flight,
    name: CommandId,
    since: MonoMs,
    /// When it is to rest, and from when its node may switch it off by its own maximum.
    rest_at: MonoMs,
    node_ends_at: MonoMs,
    lease_ends_at: MonoMs,
    renew_at: MonoMs,
    /// Renewals without answer: how many, and when the first was sent.
    renewal: Option<(u32, MonoMs)>,
}

/// Perhaps on, wanted off.
#[derive(Debug)]
struct Stopping {
    reason: Reason,
    by: By,
    name: Option<CommandId>,
    flight: Option<Flight>,
    hold_until: MonoMs,
    is_seen_open: bool,
    is_after_start: bool,
    is_told: bool,
    is_clean: bool,
    is_accepted: bool,
    first_close: Option<CommandId>,
    n_sent: u32,
    next_at: MonoMs,
}

/// One pump or master valve.
#[derive(Debug)]
pub(crate) struct Pump {
    idx: usize,
    pub(crate) source: SourceId,
    pub(crate) plan: PumpPlan,
    /// The plan's problem with it: it is then never started.
    is_invalid: bool,
    is_online: Option<bool>,
    phase: Phase,
    memory: SourceMemory,
    is_memory_changed: bool,
    pause_until: MonoMs,
    off_until: MonoMs,
    /// Off for certain since; meaningful while [`Self::is_off`].
    off_since: MonoMs,
    /// Starts within the last hour.
    starts: VecDeque<MonoMs>,
    /// Opens up to this number cannot be obeyed any more.
    dead_through: Option<CommandId>,
    /// No Close is sent before: another pump relies on this valve.
    close_from: MonoMs,
    /// When it wants to be looked at next; kept by the engine.
    pub(crate) wake_at: Option<MonoMs>,
}

impl PumpTurn<'_> {
    fn mono(&self) -> MonoMs {
        self.now.mono
    }

    fn after_s(&self, span_s: u32) -> MonoMs {
        self.now.mono.plus_ms(u64::from(span_s) * 1000)
    }

    fn command(&mut self, idx: usize) -> CommandId {
        let command = *self.next_command;
        *self.next_command = CommandId(command.0.saturating_add(1));
        self.owners.insert(command, idx);
        command
    }
}

impl Running {
    fn begin_lease(&mut self, sent: SentOpen, now: MonoMs) {
        let lease_ms = u64::from(sent.run_s) * 1000;
        self.lease_ends_at = now.plus_ms(lease_ms);
        self.renew_at = sent.sent_at.plus_ms(lease_ms / 2);
        self.renewal = None;
    }
}

impl Stopping {
    fn new(reason: Reason, by: By, now: MonoMs) -> Self {
        Self {
            reason,
            by,
            name: None,
            flight: None,
            hold_until: now,
            is_seen_open: false,
            is_after_start: false,
            is_told: false,
            is_clean: false,
            is_accepted: false,
            first_close: None,
            n_sent: 0,
            next_at: now,
        }
    }

    fn over_at(&self) -> MonoMs {
        self.flight.as_ref().map_or(self.hold_until, |flight| flight.over_at().max(self.hold_until))
    }

    /// Whether the output is off although its report is still on the way.
    fn is_off(&self) -> bool {
        self.is_accepted && !self.flight.as_ref().is_some_and(Flight::is_uncertain)
    }

    fn is_settled_by(&mut self, command: Option<CommandId>) -> bool {
        self.flight.as_mut().is_none_or(|flight| flight.is_settled_by(command, self.is_accepted))
    }
}

/// A time that lies after another by the farm's plan, ms; what lies before it is none.
pub(crate) fn lag_ms(adjust_s: i32) -> u64 {
    u64::from(adjust_s.max(0).unsigned_abs()) * 1000
}

impl Pump {
    /// A pump after a start: unknown until its node says that it is off, or its last possible lease has passed.
    pub(crate) fn after_start(
        idx: usize,
        source: SourceId,
        plan: PumpPlan,
        memory: SourceMemory,
        now: Now,
        timing: &Timing,
        next_command: CommandId,
    ) -> Self {
        let last_possible = CommandId(next_command.0.saturating_sub(1));
        let run_s = memory.open.map_or(0, |open| open.run_s).max(plan.lease_s);
        let sent = SentOpen { command: last_possible, sent_at: now.mono, run_s, ttl_s: timing.ttl_s };
        let answer_at = now.mono.plus_ms(u64::from(timing.answer_s) * 1000);
        let stopping = Stopping {
            name: memory.open.map(|open| open.command),
            flight: Some(Flight::new(sent, timing.margin_s)),
            is_after_start: true,
            is_told: memory.open.is_none(),
            next_at: if memory.open.is_some() { now.mono } else { answer_at },
            ..Stopping::new(Reason::GatewayRestarted {}, By::Engine, now.mono)
        };
        let pause_s = crate::zone::pause_s(memory.failures, timing);
        let starts = memory.starts.iter().filter_map(|at| {
            // A start that lies ahead, or cannot be compared, counts as one of this moment.
            let ago_ms = now.wall.map_or(0, |wall| wall.since_ms(*at));
            (ago_ms < HOUR_MS).then(|| MonoMs(now.mono.0.saturating_sub(ago_ms)))
        });
        Self {
            idx,
            is_invalid: false,
            is_online: None,
            phase: Phase::Stopping(stopping),
            is_memory_changed: false,
            pause_until: if memory.failures == 0 {
                now.mono
            } else {
                now.mono.plus_ms(u64::from(pause_s) * 1000)
            },
            off_until: now.mono.plus_ms(u64::from(plan.off_s_min) * 1000),
            off_since: now.mono,
            starts: starts.collect(),
            dead_through: None,
            close_from: now.mono,
            wake_at: None,
            source,
            plan,
            memory,
        }
    }

    /// The plan has a problem with it: it is never started.
    pub(crate) fn invalidate(&mut self) {
        self.is_invalid = true;
    }

    /// Goes on under a new plan that has it just so.
    pub(crate) fn move_to(&mut self, idx: usize) {
        self.idx = idx;
        self.is_invalid = false;
        self.wake_at = None;
    }

    pub(crate) fn memory(&self) -> &SourceMemory {
        &self.memory
    }

    /// What is known of its node's session.
    pub(crate) fn hear_session(&mut self, is_online: Option<bool>) {
        self.is_online = is_online;
    }

    /// Leaves the output to whoever else has it by the plan's mistake.
    pub(crate) fn mute(&mut self) {
        self.phase = Phase::Off;
    }

    /// Whether it is off for certain.
    pub(crate) fn is_off(&self) -> bool {
        match &self.phase {
            Phase::Off => true,
            Phase::Stopping(stopping) => stopping.is_off(),
            Phase::Starting(_) | Phase::On(_) => false,
        }
    }

    /// Its starts within the last hour.
    pub(crate) fn starts(&self) -> impl Iterator<Item = MonoMs> + '_ {
        self.starts.iter().copied()
    }

    pub(crate) fn off_since(&self) -> MonoMs {
        self.off_since
    }

    /// The moment from which it cannot be on any more, whatever becomes of the messages.
    pub(crate) fn over_at(&self) -> MonoMs {
        match &self.phase {
            Phase::Off => self.off_since,
            Phase::Starting(starting) => starting.flight.over_at(),
            Phase::On(running) => running.flight.over_at(),
            Phase::Stopping(stopping) => stopping.over_at(),
        }
    }

    /// Since when, and until when, a master valve is open for certain.
    pub(crate) fn certain(&self) -> Option<(MonoMs, MonoMs)> {
        let Phase::On(running) = &self.phase else { return None };
        if self.is_online == Some(false) {
            return None;
        }
        Some((running.since, running.flight.certain_until()?.min(running.node_ends_at)))
    }

    /// How long after its zones' valves it goes on by its plan, ms.
    pub(crate) fn on_lag_ms(&self) -> u64 {
        lag_ms(self.plan.on_adjust_s)
    }

    /// Since when it is on, as its node reported.
    pub(crate) fn on_since(&self) -> Option<MonoMs> {
        if let Phase::On(running) = &self.phase { Some(running.since) } else { None }
    }

    /// When its minimum run is over; `None` while it is not on.
    pub(crate) fn least_until(&self) -> Option<MonoMs> {
        Some(self.on_since()?.plus_ms(u64::from(self.plan.run_s_min) * 1000))
    }

    /// Until when its zones go on although they have enough: its minimum run. While it is being started that is not known.
    pub(crate) fn keep_until(&self) -> MonoMs {
        match &self.phase {
            Phase::Starting(_) => MonoMs(u64::MAX),
            Phase::On(_) => self.least_until().unwrap_or(MonoMs(0)),
            Phase::Off | Phase::Stopping(_) => MonoMs(0),
        }
    }

    /// What shuts it until a person clears it.
    pub(crate) fn fault(&self) -> Option<&Reason> {
        self.memory.fault.as_ref()
    }

    /// Why its zones can have no water at all: a fault, a pause after a failure, a node without connection.
    pub(crate) fn bar(&self, now: Now) -> Option<Reason> {
        let source = self.source.clone();
        if let Some(fault) = &self.memory.fault {
            return Some(Reason::SourceFault { source, fault: fault.code().to_owned() });
        }
        if now.mono < self.pause_until {
            let remaining_s = self.pause_until.since_ms(now.mono).div_ceil(1000);
            return Some(Reason::SourcePaused { source, failures: self.memory.failures, remaining_s });
        }
        (self.is_online == Some(false)).then(|| Reason::NodeOffline { node: self.plan.valve.node.clone() })
    }

    /// Why no further zone may open for it at this moment: it is on its way off, or must rest.
    pub(crate) fn rest(&self, now: Now) -> Option<Reason> {
        let source = self.source.clone();
        match &self.phase {
            Phase::Starting(_) | Phase::On(_) => None,
            Phase::Stopping(_) => Some(Reason::PumpStopping { source }),
            Phase::Off => {
                let remaining_s = |at: MonoMs| at.since_ms(now.mono).div_ceil(1000);
                if now.mono < self.off_until {
                    return Some(Reason::PumpResting { source, remaining_s: remaining_s(self.off_until) });
                }
                let at = self.starts_free_at(now.mono)?;
                let starts = self.plan.starts_per_hour_max;
                Some(Reason::PumpStartsUsed { source, starts, remaining_s: remaining_s(at) })
            }
        }
    }

    /// Why a zone waits for a master valve that opens before it.
    pub(crate) fn lead(&self, now: Now) -> Option<Reason> {
        if self.plan.on_adjust_s >= 0 {
            return None;
        }
        let lead_ms = u64::from(self.plan.on_adjust_s.unsigned_abs()) * 1000;
        let had_ms = self.on_since().map_or(0, |since| now.mono.since_ms(since));
        let left_ms = lead_ms.saturating_sub(had_ms);
        let source = self.source.clone();
        (left_ms > 0).then(|| Reason::PumpLead { source, remaining_s: left_ms.div_ceil(1000) })
    }

    /// When the limit of starts an hour lets it start again; `None`: it may.
    fn starts_free_at(&self, now: MonoMs) -> Option<MonoMs> {
        let limit = usize::try_from(self.plan.starts_per_hour_max).unwrap_or(usize::MAX);
        if limit == 0 {
            return None;
        }
        let oldest = self.starts.len().checked_sub(limit).and_then(|idx| self.starts.get(idx))?;
        let at = oldest.plus_ms(HOUR_MS);
        (at > now).then_some(at)
    }

    /// Does what its zones' demand and its own deadlines call for. Harmless at any time.
    pub(crate) fn drive(&mut self, turn: &mut PumpTurn<'_>, demand: &Demand) {
        let now = turn.mono();
        while self.starts.front().is_some_and(|at| now.since_ms(*at) >= HOUR_MS) {
            self.starts.pop_front();
        }
        let is_uncovered = demand.open_until.is_none();
        match &self.phase {
            Phase::Off => {
                let is_time = demand.start_at.is_some_and(|at| at <= now);
                if is_time
                    && !self.is_invalid
                    && self.bar(turn.now).is_none()
                    && self.rest(turn.now).is_none()
                {
                    self.start(turn, demand);
                }
            }
            Phase::Starting(_) | Phase::On(_) if is_uncovered => {
                self.stop(turn, demand.end.clone(), By::Engine, true);
            }
            Phase::Starting(_) => self.tick_starting(turn, demand),
            Phase::On(running) if now >= running.rest_at => self.stop(turn, self.longest(), By::Engine, true),
            Phase::On(_) => self.tick_on(turn, demand),
            Phase::Stopping(_) => self.tick_stopping(turn),
        }
    }

    /// When time alone calls for the next [`Self::drive`].
    pub(crate) fn deadline(&self, now: Now, demand: &Demand) -> Option<MonoMs> {
        let ahead = |at: MonoMs| (at > now.mono).then_some(at);
        let of_rest = [self.pause_until, self.off_until].into_iter().filter_map(ahead).min();
        let at = match &self.phase {
            Phase::Off => {
                let of_start = demand.start_at.and_then(ahead);
                [of_rest, self.starts_free_at(now.mono), of_start].into_iter().flatten().min()
            }
            Phase::Starting(starting) => Some(starting.next_at),
            Phase::On(running) => {
                let of_lead = running.since.plus_ms(u64::from(self.plan.on_adjust_s.unsigned_abs()) * 1000);
                let of_least = self.least_until().and_then(ahead);
                let of_lease = running.renew_at.min(running.lease_ends_at).min(running.rest_at);
                [Some(of_lease), ahead(of_lead), of_least].into_iter().flatten().min()
            }
            Phase::Stopping(stopping) => {
                let is_reachable = self.is_online != Some(false);
                let next_at = stopping.next_at.max(self.close_from);
                Some(if is_reachable { stopping.over_at().min(next_at) } else { stopping.over_at() })
            }
        };
        let at = [at, demand.look_at.and_then(ahead)].into_iter().flatten().min();
        at.map(|at| at.max(now.mono.plus_ms(1)))
    }

    /// The lease that can be given at this moment; `None`: none that is worth it.
    fn lease_s(&self, turn: &PumpTurn<'_>, demand: &Demand) -> Option<u32> {
        let open_ms = demand.open_until?.since_ms(turn.mono());
        let spare_ms = u64::from(self.plan.spare_s(turn.timing)) * 1000;
        // The node's clock may run slow by 1/50.
        let lease_s = open_ms.saturating_sub(spare_ms) / 51 * 50 / 1000;
        let lease_s = u32::try_from(lease_s).unwrap_or(u32::MAX).min(self.plan.lease_s);
        (lease_s >= LEASE_S_MIN.min(self.plan.lease_s)).then_some(lease_s)
    }

    fn send_open(&self, turn: &mut PumpTurn<'_>, run_s: u32, reason: Reason) -> SentOpen {
        let command = turn.command(self.idx);
        let ttl_s = turn.timing.ttl_s_for(self.plan.lease_s);
        let (source, valve) = (self.source.clone(), self.plan.valve.clone());
        turn.actions.push_back(Action::Pump(PumpAction::Open {
            command,
            source,
            valve,
            run_s,
            ttl_s,
            reason,
        }));
        SentOpen { command, sent_at: turn.mono(), run_s, ttl_s }
    }

    fn start(&mut self, turn: &mut PumpTurn<'_>, demand: &Demand) {
        let Some(run_s) = self.lease_s(turn, demand) else { return };
        let reason = Reason::PumpStart { source: self.source.clone() };
        let sent = self.send_open(turn, run_s, reason.clone());
        self.starts.push_back(turn.mono());
        // Bounded by what can be counted within an hour.
        while self.starts.len() > 64 {
            self.starts.pop_front();
        }
        self.memory.starts = self
            .starts
            .iter()
            .filter_map(|at| turn.now.wall.map(|wall| wall.minus_ms(turn.mono().since_ms(*at))))
            .collect();
        self.memory.open =
            Some(OpenMemory { command: sent.command, run_s: self.plan.lease_s, until: None, manual: false });
        self.is_memory_changed = true;
        self.phase = Phase::Starting(Starting {
            flight: Flight::new(sent, turn.timing.margin_s),
            name: sent.command,
            first_sent_at: turn.mono(),
            n_sent: 1,
            next_at: turn.after_s(turn.timing.answer_s),
            accepted_at: None,
        });
        self.tell(turn, Event::Started, By::Engine, reason, Some(sent.command));
    }

    fn tick_starting(&mut self, turn: &mut PumpTurn<'_>, demand: &Demand) {
        let Phase::Starting(starting) = &self.phase else { return };
        if turn.mono() < starting.next_at {
            return;
        }
        if let Some(accepted_at) = starting.accepted_at {
            let waited_s = turn.mono().since_ms(accepted_at) / 1000;
            return self.fail_and_stop(turn, Reason::ValveNotConfirmed { waited_s }, false);
        }
        let (n_sent, first_sent_at) = (starting.n_sent, starting.first_sent_at);
        if n_sent >= ATTEMPTS_MAX {
            let waited_s = turn.mono().since_ms(first_sent_at) / 1000;
            let reason = Reason::CommandUnanswered { waited_s, attempts: n_sent };
            return self.fail_and_stop(turn, reason, false);
        }
        let Some(run_s) = self.lease_s(turn, demand) else {
            return self.stop(turn, demand.end.clone(), By::Engine, true);
        };
        let sent = self.send_open(turn, run_s, Reason::PumpStart { source: self.source.clone() });
        let next_at = turn.after_s(turn.timing.answer_s);
        if let Phase::Starting(starting) = &mut self.phase {
            starting.flight.send(sent);
            starting.n_sent += 1;
            starting.next_at = next_at;
        }
    }

    fn tick_on(&mut self, turn: &mut PumpTurn<'_>, demand: &Demand) {
        let now = turn.mono();
        let Phase::On(running) = &self.phase else { return };
        if now >= running.lease_ends_at {
            let reason = match running.renewal {
                Some((attempts, first_at)) => {
                    Reason::CommandUnanswered { waited_s: now.since_ms(first_at) / 1000, attempts }
                }
                None => demand.end.clone(),
            };
            let is_failure = running.renewal.is_some();
            return if is_failure {
                self.fail_and_stop(turn, reason, false);
            } else {
                self.stop(turn, reason, By::Engine, true);
            };
        }
        if now < running.renew_at {
            return;
        }
        let renewal = running.renewal;
        let Some(run_s) = self.lease_s(turn, demand) else {
            return self.stop(turn, demand.end.clone(), By::Engine, true);
        };
        let sent = self.send_open(turn, run_s, Reason::LeaseRenewed { run_s: u64::from(run_s) });
        let again_at = turn.after_s(turn.timing.answer_s);
        if let Phase::On(running) = &mut self.phase {
            running.flight.send(sent);
            let (n_sent, first_at) = renewal.unwrap_or((0, now));
            running.renewal = Some((n_sent + 1, first_at));
            running.renew_at = if n_sent + 1 >= ATTEMPTS_MAX { running.lease_ends_at } else { again_at };
        }
    }

    /// Wants it off: Close is sent until that is certain.
    pub(crate) fn stop(&mut self, turn: &mut PumpTurn<'_>, reason: Reason, by: By, is_clean: bool) {
        let phase = std::mem::replace(&mut self.phase, Phase::Off);
        let (flight, name, is_seen_open) = match phase {
            Phase::Starting(starting) => (starting.flight, starting.name, false),
            Phase::On(running) => (running.flight, running.name, true),
            Phase::Off | Phase::Stopping(_) => {
                self.phase = phase;
                return;
            }
        };
        let stopping = Stopping {
            name: Some(name),
            flight: Some(flight),
            is_seen_open,
            is_clean,
            ..Stopping::new(reason.clone(), by.clone(), turn.mono())
        };
        self.phase = Phase::Stopping(stopping);
        self.tell(turn, Event::Stopping, by, reason, Some(name));
        self.tick_stopping(turn);
    }

    /// Flow says that something is open although everything was told to be closed: a pump that is off is switched off once more.
    pub(crate) fn repeat_close(&mut self, turn: &mut PumpTurn<'_>, reason: Reason) {
        if matches!(self.phase, Phase::Off) {
            let hold_until = turn.after_s(turn.timing.ttl_s);
            let stopping = Stopping::new(reason, By::Engine, turn.mono());
            self.phase = Phase::Stopping(Stopping { hold_until, is_told: true, ..stopping });
            self.tick_stopping(turn);
        }
    }

    fn tick_stopping(&mut self, turn: &mut PumpTurn<'_>) {
        let now = turn.mono();
        let Phase::Stopping(stopping) = &self.phase else { return };
        if now >= stopping.over_at() {
            self.finish(turn);
        } else if now >= stopping.next_at && now >= self.close_from {
            self.send_close(turn);
        }
    }

    fn send_close(&mut self, turn: &mut PumpTurn<'_>) {
        if self.is_online == Some(false) || turn.mono() < self.close_from {
            return;
        }
        let Phase::Stopping(stopping) = &mut self.phase else { return };
        let command = turn.command(self.idx);
        stopping.first_close.get_or_insert(command);
        let answer_ms = u64::from(turn.timing.answer_s) * 1000;
        let pause_ms = answer_ms << stopping.n_sent.min(16);
        stopping.next_at = turn.mono().plus_ms(pause_ms.min(CLOSE_PAUSE_MS_MAX.max(answer_ms)));
        stopping.n_sent += 1;
        let (source, valve, reason) = (self.source.clone(), self.plan.valve.clone(), stopping.reason.clone());
        turn.actions.push_back(Action::Pump(PumpAction::Close { command, source, valve, reason }));
    }

    /// It is off for certain.
    fn finish(&mut self, turn: &mut PumpTurn<'_>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Off);
        let Phase::Stopping(stopping) = phase else {
            self.phase = phase;
            return;
        };
        if !stopping.is_off() {
            self.off_since = turn.mono();
        }
        if !stopping.is_told {
            self.tell(turn, Event::Stopped, stopping.by, stopping.reason, stopping.name);
        }
        let last_open = stopping.flight.as_ref().map(Flight::last);
        self.dead_through = self.dead_through.max(last_open).max(stopping.first_close);
        self.off_until = turn.after_s(self.plan.off_s_min);
        if stopping.is_clean && self.memory.failures > 0 && self.memory.fault.is_none() {
            self.forget_failures(turn.now);
        }
        if self.memory.open.take().is_some() {
            self.is_memory_changed = true;
        }
        let idx = self.idx;
        turn.owners.retain(|_, owner| *owner != idx);
    }

    /// Counts a failure and wants it off.
    fn fail_and_stop(&mut self, turn: &mut PumpTurn<'_>, reason: Reason, is_fatal: bool) {
        self.fail(turn, reason.clone(), is_fatal);
        self.stop(turn, reason, By::Engine, false);
    }

    fn fail(&mut self, turn: &mut PumpTurn<'_>, reason: Reason, is_fatal: bool) {
        self.memory.failures = self.memory.failures.saturating_add(1);
        self.pause(turn, crate::zone::pause_s(self.memory.failures, turn.timing));
        if is_fatal || self.memory.failures >= FAILURES_MAX {
            self.memory.fault.get_or_insert_with(|| reason.clone());
        }
        self.tell(turn, Event::Fault, By::Engine, reason, None);
    }

    fn pause(&mut self, turn: &PumpTurn<'_>, span_s: u32) {
        self.pause_until = turn.after_s(span_s);
        self.is_memory_changed = true;
    }

    fn forget_failures(&mut self, now: Now) {
        self.memory.failures = 0;
        self.pause_until = now.mono;
        self.is_memory_changed = true;
    }

    /// A person clears fault and pause; without any nothing happens. `is_told`: the diary is to be told here.
    pub(crate) fn clear_fault(&mut self, turn: &mut PumpTurn<'_>, by: &str, is_told: bool) {
        if self.memory.fault.take().is_some() || self.memory.failures > 0 || turn.mono() < self.pause_until {
            self.forget_failures(turn.now);
            let reason = Reason::SourceCleared { source: self.source.clone() };
            if !is_told {
                return;
            }
            self.tell(turn, Event::Cleared, By::Person(by.to_owned()), reason, None);
        }
    }

    /// No Close before `at`; one that has waited goes out with the next [`Self::drive`].
    pub(crate) fn hold_close(&mut self, at: MonoMs) {
        self.close_from = at;
    }

    /// No Close is sent before.
    pub(crate) fn close_from(&self) -> MonoMs {
        self.close_from
    }

    pub(crate) fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping(_))
    }

    /// Whether a Close waits for [`Self::hold_close`].
    pub(crate) fn is_close_held(&self) -> bool {
        matches!(&self.phase, Phase::Stopping(stopping) if stopping.n_sent == 0 && !stopping.is_accepted)
    }

    /// The memory when it has changed since the last call.
    pub(crate) fn take_memory(&mut self) -> Option<SourceMemory> {
        std::mem::take(&mut self.is_memory_changed).then(|| self.memory.clone())
    }

    /// What a page shows of it.
    pub(crate) fn view(&self, now: Now) -> PumpView {
        let state = match &self.phase {
            Phase::Off => PumpState::Off,
            Phase::Starting(_) => PumpState::Starting,
            Phase::On(_) => PumpState::On,
            Phase::Stopping(stopping) if stopping.is_after_start && !stopping.is_seen_open => {
                PumpState::Unknown
            }
            Phase::Stopping(_) => PumpState::Stopping,
        };
        PumpView {
            kind: self.plan.kind,
            valve: self.plan.valve.clone(),
            state,
            on_since: self.on_since(),
            why_not: self.bar(now).or_else(|| self.rest(now)),
            fault: self.memory.fault.clone(),
        }
    }

    pub(crate) fn kind(&self) -> PumpKind {
        self.plan.kind
    }

    fn tell(
        &self,
        turn: &mut PumpTurn<'_>,
        event: Event,
        by: By,
        reason: Reason,
        command: Option<CommandId>,
    ) {
        self.tell_measured(turn, event, by, reason, command, Measured::default());
    }

    /// Entries of a pump name no zone: their first argument, or their command, names the source.
    fn tell_measured(
        &self,
        turn: &mut PumpTurn<'_>,
        event: Event,
        by: By,
        reason: Reason,
        command: Option<CommandId>,
        measured: Measured,
    ) {
        turn.actions.push_back(Action::Diary(Entry {
            at: turn.now.wall,
            mono: turn.now.mono,
            zone: None,
            event,
            command,
            by,
            reason,
            run_ms: measured.run_ms,
            volume: measured.volume,
        }));
    }
}

/// Whether a node's own closing means that something is wrong with it.
fn is_failure(close: CloseReason) -> bool {
    matches!(close, CloseReason::BrownOut | CloseReason::Watchdog | CloseReason::Panic | CloseReason::Fault)
}
