//! Closing a valve and believing that it is closed; whatever nodes say about valves.
//!
//! A valve counts as closed when the node reported so and no Open of ours can be obeyed any more, when the node accepted a
//! Close (its counter makes every older Open void) of a valve that was not seen open, or when the last possible lease is
//! over. Until then Close is repeated with growing pauses. After a start every valve is in this state.

use giot_shared::ids::CommandId;
use giot_shared::time::MonoMs;
use giot_shared::valve::{CloseReason, RefusalReason};

use super::open::{Run, is_final};
use super::{Measured, Opening, Phase, SETTLE_MS, Turn, Watering, Zone};
use crate::diary::{By, Event};
use crate::flight::{Flight, SentOpen};
use crate::memory::OpenMemory;
use crate::plan::ZonePlan;
use crate::reason::Reason;

/// Longest pause between two Closes: a node that comes back is asked within a minute, a dead one costs no traffic.
const CLOSE_PAUSE_MS_MAX: u64 = 60_000;

/// What a node says of a valve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValveWord {
    pub(crate) is_open: bool,
    pub(crate) command: Option<CommandId>,
    pub(crate) closed_by: Option<CloseReason>,
    pub(crate) measured: Measured,
    pub(crate) is_live: bool,
}

/// Opened by someone at the node.
#[derive(Debug)]
pub(crate) struct Local {
    /// The node's hard maximum closes it by then.
    pub(crate) until: MonoMs,
    /// Opens of the time before a start that may still arrive.
    flight: Option<Flight>,
}

/// Perhaps open, wanted closed.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) reason: Reason,
    pub(super) by: By,
    /// Number of the run's first Open.
    pub(super) name: Option<CommandId>,
    /// The Opens that may still be in force; `None` when none of ours is.
    flight: Option<Flight>,
    /// No earlier than this does silence mean closed.
    hold_until: MonoMs,
    /// The node's last word was "open".
    pub(crate) is_seen_open: bool,
    /// Nothing was heard since the gateway's start.
    pub(crate) is_after_start: bool,
    /// The diary has the end of the run.
    is_told: bool,
    /// Water flowed or may have: the minimum off time counts.
    is_wet: bool,
    /// The run was in order up to here.
    is_clean: bool,
    is_accepted: bool,
    is_refusal_told: bool,
    first_close: Option<CommandId>,
    n_sent: u32,
    next_at: MonoMs,
}

impl Closing {
    fn of_run(run: Run, is_seen_open: bool, is_clean: bool, reason: Reason, by: By, now: MonoMs) -> Self {
        Self {
            name: Some(run.name),
            is_wet: is_seen_open || !run.flight.is_dry(),
            flight: Some(run.flight),
            hold_until: now,
            is_seen_open,
            is_clean,
            ..Self::bare(reason, by, now)
        }
    }

    fn bare(reason: Reason, by: By, now: MonoMs) -> Self {
        Self {
            reason,
            by,
            name: None,
            flight: None,
            hold_until: now,
            is_seen_open: false,
            is_after_start: false,
            is_told: false,
            is_wet: false,
            is_clean: false,
            is_accepted: false,
            is_refusal_told: false,
            first_close: None,
            n_sent: 0,
            next_at: now,
        }
    }

    /// Every valve after a start: an Open of the time before may be on its way or in force. When one is remembered its
    /// Close goes out at once; otherwise the nodes get a moment to report by themselves.
    pub(super) fn after_start(plan: &ZonePlan, open: Option<OpenMemory>, turn: &Turn<'_>) -> Self {
        let now = turn.mono();
        let last_possible = CommandId(turn.next_command.0.saturating_sub(1));
        let run_s = open.map_or(0, |open| open.run_s).max(plan.lease_s);
        let ttl_s = turn.timing.ttl_s;
        let sent = SentOpen { command: last_possible, sent_at: now, run_s, ttl_s };
        Self {
            name: open.map(|open| open.command),
            flight: Some(Flight::new(sent, turn.timing.margin_s)),
            is_after_start: true,
            is_told: open.is_none(),
            is_wet: open.is_some(),
            next_at: if open.is_some() { now } else { turn.after_s(turn.timing.answer_s) },
            ..Self::bare(Reason::GatewayRestarted {}, By::Engine, now)
        }
    }

    /// When the valve is closed even if nothing is heard.
    pub(crate) fn over_at(&self) -> MonoMs {
        self.flight.as_ref().map_or(self.hold_until, |flight| flight.over_at().max(self.hold_until))
    }

    pub(super) fn deadline(&self, is_reachable: bool) -> MonoMs {
        if is_reachable { self.over_at().min(self.next_at) } else { self.over_at() }
    }

    pub(super) fn open_obeyed(&mut self, command: CommandId, now: MonoMs) {
        if let Some(flight) = &mut self.flight {
            flight.obey(command, now);
        }
    }

    fn is_uncertain(&self) -> bool {
        self.flight.as_ref().is_some_and(Flight::is_uncertain)
    }

    /// The node reported "closed" in connection with `command`: whether that settles it.
    fn is_settled_by(&mut self, command: Option<CommandId>) -> bool {
        let Some(flight) = &mut self.flight else { return true };
        if let Some(command) = command {
            flight.kill_up_to(command);
        }
        // A report that names an older Open than the newest obeyed one may be of the time before that.
        let is_newest = flight.obeyed().is_none_or(|(sent, _)| command.is_some_and(|c| c >= sent.command));
        !flight.is_uncertain() && (is_newest || self.is_accepted)
    }
}

impl Zone {
    /// Ends what goes on at the valve: Close is sent until it is known to be closed.
    pub(super) fn stop(&mut self, turn: &mut Turn<'_>, reason: Reason, by: By, is_failure: bool) {
        let now = turn.mono();
        let phase = std::mem::replace(&mut self.phase, Phase::Closed);
        let closing = match phase {
            Phase::Opening(opening) => {
                Closing::of_run(opening.run, opening.is_seen_open, false, reason, by, now)
            }
            Phase::Open(watering) => Closing::of_run(watering.run, true, !is_failure, reason, by, now),
            Phase::Local(local) => Closing {
                flight: local.flight,
                hold_until: local.until,
                is_seen_open: true,
                is_wet: true,
                ..Closing::bare(reason, by, now)
            },
            Phase::Closed | Phase::Closing(_) => {
                self.phase = phase;
                return;
            }
        };
        let is_dry = !closing.is_wet;
        self.desk.tell(turn, Event::Stopping, closing.by.clone(), closing.reason.clone(), closing.name);
        self.enter(turn, Phase::Closing(closing));
        if is_dry { self.finish(turn) } else { self.send_close(turn) }
    }

    /// The run is over and the valve closed, without a measurement.
    pub(super) fn end(&mut self, turn: &mut Turn<'_>, reason: Reason, by: By) {
        let now = turn.mono();
        let phase = std::mem::replace(&mut self.phase, Phase::Closed);
        let closing = match phase {
            Phase::Opening(opening) => Closing::of_run(opening.run, true, false, reason, by, now),
            Phase::Open(watering) => Closing::of_run(watering.run, true, true, reason, by, now),
            Phase::Local(_) => Closing { is_wet: true, ..Closing::bare(reason, by, now) },
            Phase::Closing(closing) => closing,
            Phase::Closed => return,
        };
        self.enter(turn, Phase::Closing(closing));
        self.finish(turn);
    }

    fn send_close(&mut self, turn: &mut Turn<'_>) {
        let Phase::Closing(closing) = &mut self.phase else { return };
        if self.is_online == Some(false) {
            return;
        }
        let command = self.desk.close(turn, closing.reason.clone());
        closing.first_close.get_or_insert(command);
        let pause_ms = (u64::from(turn.timing.answer_s) * 1000) << closing.n_sent.min(16);
        closing.next_at =
            turn.mono().plus_ms(pause_ms.min(CLOSE_PAUSE_MS_MAX.max(u64::from(turn.timing.answer_s) * 1000)));
        closing.n_sent += 1;
    }

    pub(super) fn tick_closing(&mut self, turn: &mut Turn<'_>) {
        let Phase::Closing(closing) = &self.phase else { return };
        if turn.mono() >= closing.over_at() {
            let is_unheard =
                closing.n_sent > 0 && !closing.is_accepted && !closing.is_after_start && closing.is_clean;
            let waited_s = turn.mono().since_ms(self.since) / 1000;
            let reason = Reason::CommandUnanswered { waited_s, attempts: closing.n_sent };
            if is_unheard && self.is_online != Some(false) {
                if let Phase::Closing(closing) = &mut self.phase {
                    closing.is_clean = false;
                }
                self.fail(turn, reason, false);
            }
            self.finish(turn);
        } else if turn.mono() >= closing.next_at {
            self.send_close(turn);
        }
    }

    /// The valve is closed: the zone is free again.
    fn finish(&mut self, turn: &mut Turn<'_>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Closed);
        let Phase::Closing(closing) = phase else {
            self.phase = phase;
            return;
        };
        let now = turn.now;
        if !closing.is_told {
            self.desk.tell(turn, Event::Stopped, closing.by, closing.reason, closing.name);
        }
        // What was sent before can no longer be obeyed: late reports of it are old news.
        let last_open = closing.flight.as_ref().map(Flight::last);
        self.dead_through = self.dead_through.max(last_open).max(closing.first_close);
        if closing.is_wet {
            self.off_until = turn.after_s(self.plan.min_off_s);
            self.wet_until = now.mono.plus_ms(SETTLE_MS);
            self.memory.last_closed_at = now.wall;
            self.is_memory_changed = true;
        }
        if closing.is_clean && self.memory.failures > 0 && self.memory.fault.is_none() {
            self.forget_failures(turn);
        }
        if self.memory.open.take().is_some() {
            self.is_memory_changed = true;
        }
        self.desk.forget_commands(turn);
        self.since = now.mono;
    }

    /// A node answered a command of this zone.
    pub(crate) fn answer(&mut self, turn: &mut Turn<'_>, command: CommandId, refused: Option<RefusalReason>) {
        let is_close =
            matches!(&self.phase, Phase::Closing(c) if c.first_close.is_some_and(|first| command >= first));
        match (is_close, refused) {
            (true, None) => self.close_accepted(turn, command),
            (true, Some(refusal)) => self.close_refused(turn, refusal),
            (false, None) => self.open_accepted(turn, command),
            (false, Some(refusal)) if matches!(self.phase, Phase::Closing(_)) => {
                self.open_refused_while_closing(turn, command, refusal);
            }
            (false, Some(refusal)) => self.open_refused(turn, command, refusal),
        }
    }

    fn close_accepted(&mut self, turn: &mut Turn<'_>, command: CommandId) {
        let Phase::Closing(closing) = &mut self.phase else { return };
        closing.is_accepted = true;
        if let Some(flight) = &mut closing.flight {
            flight.kill_up_to(command);
        }
        self.dead_through = self.dead_through.max(Some(command));
        // A valve that was seen open has a report of its closing on the way; it carries the measurement.
        if !closing.is_seen_open {
            self.finish(turn);
        }
    }

    fn close_refused(&mut self, turn: &mut Turn<'_>, refusal: RefusalReason) {
        let Phase::Closing(closing) = &mut self.phase else { return };
        if std::mem::replace(&mut closing.is_refusal_told, true) {
            return;
        }
        let name = closing.name;
        self.desk.tell(turn, Event::Refused, By::Node, Reason::CommandRefused { refusal }, name);
    }

    fn open_refused_while_closing(
        &mut self,
        turn: &mut Turn<'_>,
        command: CommandId,
        refusal: RefusalReason,
    ) {
        let Phase::Closing(closing) = &mut self.phase else { return };
        let Some(flight) = closing.flight.as_mut().filter(|_| is_final(refusal)) else { return };
        flight.refuse(command);
        if flight.is_dry() && !closing.is_seen_open && !closing.is_after_start {
            closing.is_wet = false;
            self.finish(turn);
        }
    }

    /// A node reported a change of the valve.
    pub(crate) fn valve_word(&mut self, turn: &mut Turn<'_>, word: ValveWord) {
        if word.is_open {
            let is_old = word.command.is_some_and(|command| self.dead_through >= Some(command));
            if word.is_live && !is_old {
                self.found_open(turn, word.command, false);
            }
        } else if word.is_live {
            self.closed_word(turn, word);
        } else {
            self.report(turn, word);
        }
    }

    /// A node's session began; `valve` is what it says of this zone's valve.
    pub(crate) fn node_online(&mut self, turn: &mut Turn<'_>, valve: Option<(bool, Option<CommandId>)>) {
        self.is_online = Some(true);
        match valve {
            Some((true, command)) => self.found_open(turn, command, true),
            Some((false, _)) => self.found_closed(turn),
            None => {}
        }
    }

    /// The node's session ended: a valve that is under way to open is given up; an open one ends with its lease.
    pub(crate) fn node_offline(&mut self, turn: &mut Turn<'_>) {
        self.is_online = Some(false);
        if matches!(self.phase, Phase::Opening(_)) {
            let node = self.plan.valve.node.clone();
            self.stop(turn, Reason::NodeOffline { node }, By::Engine, false);
        }
    }

    /// The valve is open, by an event or, `is_truth`, by the node's list at the start of a session.
    fn found_open(&mut self, turn: &mut Turn<'_>, command: Option<CommandId>, is_truth: bool) {
        match (&mut self.phase, command) {
            (Phase::Closed, Some(command)) => self.close_unexpected(turn, command),
            (Phase::Closed, None) => self.open_locally(turn, None),
            (Phase::Opening(opening), None) => opening.is_seen_open = true,
            (Phase::Opening(opening), Some(command)) if opening.run.flight.knows(command) => {
                self.confirm(turn, command);
            }
            (Phase::Open(watering), Some(command)) if watering.run.flight.knows(command) => {
                self.open_accepted(turn, command);
            }
            (Phase::Open(_) | Phase::Local(_), None) => {}
            (Phase::Opening(_) | Phase::Open(_) | Phase::Local(_), Some(command)) => {
                self.stop(turn, Reason::UnexpectedOpen { command }, By::Engine, false);
                let hold_until = turn.after_s(turn.timing.node_run_s_max);
                if let Phase::Closing(closing) = &mut self.phase {
                    closing.hold_until = hold_until;
                    closing.is_seen_open = true;
                }
            }
            (Phase::Closing(_), command) => self.found_open_while_closing(turn, command, is_truth),
        }
    }

    fn found_open_while_closing(&mut self, turn: &mut Turn<'_>, command: Option<CommandId>, is_truth: bool) {
        let Phase::Closing(closing) = &mut self.phase else { return };
        let is_first_word = closing.is_after_start && !closing.is_seen_open;
        if is_first_word && command.is_none() && self.memory.lock.is_none() {
            let flight = closing.flight.take();
            self.open_locally(turn, flight);
            return;
        }
        closing.is_seen_open = true;
        closing.is_wet = true;
        if let (Some(flight), Some(command)) = (&mut closing.flight, command) {
            flight.obey(command, turn.now.mono);
        }
        if is_first_word {
            let is_remembered = command.is_some() && command == self.memory.open.map(|open| open.command);
            closing.is_told = false;
            closing.name = command.or(closing.name);
            if !is_remembered {
                closing.hold_until = turn.after_s(turn.timing.node_run_s_max);
            }
            let (by, reason, name) = (closing.by.clone(), closing.reason.clone(), closing.name);
            self.desk.tell(turn, Event::Stopping, by, reason, name);
        }
        let is_unasked = matches!(&self.phase, Phase::Closing(closing) if closing.n_sent == 0);
        if is_truth || is_unasked {
            self.send_close(turn);
        }
    }

    /// The node's list at the start of a session says "closed".
    fn found_closed(&mut self, turn: &mut Turn<'_>) {
        match &mut self.phase {
            Phase::Closed => {}
            // Not obeyed yet: the answer, or its absence, decides.
            Phase::Opening(opening) => {
                opening.is_seen_open = false;
                if opening.run.flight.obeyed().is_some() {
                    self.found_closed_in_run(turn);
                }
            }
            Phase::Open(_) => self.found_closed_in_run(turn),
            Phase::Local(_) => {
                let reason = Reason::ValveFoundClosed {};
                self.desk.tell(turn, Event::Stopped, By::Node, reason.clone(), None);
                self.local_over(turn, reason);
            }
            Phase::Closing(closing) => {
                closing.is_seen_open = false;
                if closing.is_uncertain() { self.send_close(turn) } else { self.finish(turn) }
            }
        }
    }

    fn found_closed_in_run(&mut self, turn: &mut Turn<'_>) {
        let (Phase::Opening(Opening { run, .. }) | Phase::Open(Watering { run, .. })) = &self.phase else {
            return;
        };
        if run.flight.is_uncertain() {
            self.stop(turn, Reason::ValveFoundClosed {}, By::Node, false);
            if let Phase::Closing(closing) = &mut self.phase {
                closing.is_seen_open = false;
            }
        } else {
            self.end(turn, Reason::ValveFoundClosed {}, By::Node);
        }
    }

    /// The node reported that the valve closed.
    fn closed_word(&mut self, turn: &mut Turn<'_>, word: ValveWord) {
        match &mut self.phase {
            Phase::Closed => self.report(turn, word),
            Phase::Opening(opening) => {
                opening.is_seen_open = false;
                let flight = &mut opening.run.flight;
                let is_ours = word.command.is_some_and(|command| flight.knows(command));
                if is_ours || (word.command.is_none() && flight.obeyed().is_some()) {
                    self.closed_in_run(turn, word);
                } else {
                    self.report(turn, word);
                }
            }
            Phase::Open(watering) => {
                if word.command.is_some_and(|command| watering.run.flight.is_older(command)) {
                    self.report(turn, word);
                } else {
                    self.closed_in_run(turn, word);
                }
            }
            Phase::Closing(closing) => {
                let is_older =
                    |command| closing.flight.as_ref().is_some_and(|flight| flight.is_older(command));
                if !closing.is_after_start && word.command.is_some_and(is_older) {
                    self.report(turn, word);
                    return;
                }
                closing.is_seen_open = false;
                let is_settled = closing.is_settled_by(word.command);
                let (is_told, by) = (std::mem::replace(&mut closing.is_told, true), closing.by.clone());
                let (reason, name) = (closing.reason.clone(), closing.name);
                if is_told {
                    self.report(turn, word);
                } else {
                    self.desk.tell_measured(turn, Event::Stopped, by, reason, name, word.measured);
                }
                if is_settled {
                    self.finish(turn);
                }
            }
            Phase::Local(_) => {
                self.desk.tell_measured(turn, Event::Stopped, By::Node, reason_of(word), None, word.measured);
                self.local_over(turn, reason_of(word));
            }
        }
    }

    /// The run that is under way was ended by the node.
    fn closed_in_run(&mut self, turn: &mut Turn<'_>, word: ValveWord) {
        let (run, is_last_lease) = match &self.phase {
            Phase::Opening(opening) => (&opening.run, false),
            Phase::Open(watering) => (&watering.run, watering.is_last_lease()),
            Phase::Closed | Phase::Closing(_) | Phase::Local(_) => return,
        };
        let name = run.name;
        let (by, reason) = if is_last_lease && word.closed_by == Some(CloseReason::LeaseEnded) {
            (By::Engine, Reason::RunTimeReached { run_s: u64::from(run.target_s) })
        } else {
            (By::Node, reason_of(word))
        };
        self.desk.tell_measured(turn, Event::Stopped, by, reason.clone(), Some(name), word.measured);
        let is_failure = word.closed_by.is_some_and(is_failure);
        let phase = std::mem::replace(&mut self.phase, Phase::Closed);
        let run = match phase {
            Phase::Opening(opening) => opening.run,
            Phase::Open(watering) => watering.run,
            Phase::Closed | Phase::Closing(_) | Phase::Local(_) => return,
        };
        let mut closing = Closing {
            is_told: true,
            is_wet: true,
            is_seen_open: false,
            ..Closing::of_run(run, true, !is_failure, reason.clone(), By::Node, turn.mono())
        };
        let is_settled = closing.is_settled_by(word.command);
        self.enter(turn, Phase::Closing(closing));
        if is_failure {
            self.fail(turn, reason, false);
        }
        if is_settled { self.finish(turn) } else { self.send_close(turn) }
    }

    /// A run at the node is over, and the diary has its end.
    fn local_over(&mut self, turn: &mut Turn<'_>, reason: Reason) {
        let phase = std::mem::replace(&mut self.phase, Phase::Closed);
        let Phase::Local(local) = phase else {
            self.phase = phase;
            return;
        };
        let is_settled = !local.flight.as_ref().is_some_and(Flight::is_uncertain);
        let bare = Closing::bare(reason, By::Node, turn.mono());
        let closing = Closing { flight: local.flight, is_told: true, is_wet: true, ..bare };
        self.enter(turn, Phase::Closing(closing));
        if is_settled { self.finish(turn) } else { self.send_close(turn) }
    }

    /// A measurement of a run that the diary has closed already, or knows nothing of.
    fn report(&mut self, turn: &mut Turn<'_>, word: ValveWord) {
        let last = self.desk.last.take();
        let reason = reason_of(word);
        self.desk.tell_measured(turn, Event::Reported, By::Node, reason, word.command, word.measured);
        // A late report explains nothing about the present.
        self.desk.last = last;
    }

    fn open_locally(&mut self, turn: &mut Turn<'_>, flight: Option<Flight>) {
        let until = turn.after_s(turn.timing.node_run_s_max);
        self.enter(turn, Phase::Local(Local { until, flight }));
        self.desk.tell(turn, Event::Started, By::Node, Reason::LocalRun {}, None);
        if let Some(lock) = &self.memory.lock {
            let reason = Reason::Locked { by: lock.by.clone() };
            self.stop(turn, reason, By::Engine, false);
        }
    }

    fn close_unexpected(&mut self, turn: &mut Turn<'_>, command: CommandId) {
        let reason = Reason::UnexpectedOpen { command };
        self.desk.tell(turn, Event::Fault, By::Engine, reason.clone(), Some(command));
        let closing = Closing {
            name: Some(command),
            hold_until: turn.after_s(turn.timing.node_run_s_max),
            is_seen_open: true,
            is_wet: true,
            ..Closing::bare(reason, By::Engine, turn.mono())
        };
        self.enter(turn, Phase::Closing(closing));
        self.send_close(turn);
    }
}

/// Whether a node's own closing means that something is wrong with it.
fn is_failure(close: CloseReason) -> bool {
    match close {
        CloseReason::BrownOut | CloseReason::Watchdog | CloseReason::Panic | CloseReason::Fault => true,
        CloseReason::LeaseEnded
        | CloseReason::VolumeReached
        | CloseReason::Commanded
        | CloseReason::HardMaximum
        | CloseReason::LocalButton
        | CloseReason::Boot => false,
    }
}

fn reason_of(word: ValveWord) -> Reason {
    word.closed_by.map_or(Reason::ValveFoundClosed {}, |close| Reason::ClosedByNode { close })
}
