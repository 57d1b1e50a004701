//! What nodes say about a pump's output: answers, changes, the list at the start of a session, its end.
//!
//! News moves the phase; what is old or of another run is measured for the diary and moves nothing. An output that is on
//! without the engine's will is switched off, also one that somebody switched on at the node: nobody here knows which valve
//! is open for it.

use giot_shared::ids::CommandId;
use giot_shared::valve::RefusalReason;

use super::{ATTEMPTS_MAX, Phase, Pump, PumpTurn, Running, Starting, Stopping, is_failure};
use crate::diary::{By, Event};
use crate::flight::SentOpen;
use crate::reason::Reason;
use crate::zone::{Remedy, ValveWord, is_final, reason_of, remedy};

impl Pump {
    /// Its node answered a command.
    pub(crate) fn answer(
        &mut self,
        turn: &mut PumpTurn<'_>,
        command: CommandId,
        refused: Option<RefusalReason>,
    ) {
        let first_close = match &self.phase {
            Phase::Stopping(stopping) => stopping.first_close,
            Phase::Off | Phase::Starting(_) | Phase::On(_) => None,
        };
        let is_close = first_close.is_some_and(|first| command >= first);
        match (is_close, refused) {
            (true, None) => self.close_accepted(turn, command),
            (true, Some(refusal)) => {
                let (name, reason) = (Some(command), self.refused(refusal));
                let is_known = self.memory.fault.as_ref() == Some(&reason);
                if !is_known {
                    self.tell(turn, Event::Refused, By::Node, reason.clone(), name);
                }
                // An output that its node does not have is off only by name.
                if refusal == RefusalReason::UnknownValve && self.memory.fault.is_none() {
                    self.fail(turn, reason, true);
                }
            }
            (false, None) => self.open_accepted(turn, command),
            (false, Some(refusal)) => self.open_refused(turn, command, refusal),
        }
    }

    fn refused(&self, refusal: RefusalReason) -> Reason {
        Reason::PumpRefused { source: self.source.clone(), refusal }
    }

    fn close_accepted(&mut self, turn: &mut PumpTurn<'_>, command: CommandId) {
        let Phase::Stopping(stopping) = &mut self.phase else { return };
        let was_off = stopping.is_off();
        stopping.is_accepted = true;
        if let Some(flight) = &mut stopping.flight {
            flight.kill_up_to(command);
        }
        self.dead_through = self.dead_through.max(Some(command));
        if !was_off && stopping.is_off() {
            self.off_since = turn.mono();
        }
        // One that was seen on has a report of its stop on the way; it carries the measurement.
        if !stopping.is_seen_open && stopping.is_off() {
            self.finish(turn);
        }
    }

    fn open_accepted(&mut self, turn: &mut PumpTurn<'_>, command: CommandId) {
        let now = turn.mono();
        let confirm_at = turn.after_s(turn.timing.confirm_s);
        match &mut self.phase {
            Phase::Starting(starting) => {
                if starting.flight.obey(command, now).is_some() && starting.accepted_at.is_none() {
                    starting.accepted_at = Some(now);
                    starting.next_at = confirm_at;
                }
            }
            Phase::On(running) => {
                if let Some(sent) = running.flight.obey(command, now) {
                    running.begin_lease(sent, now);
                }
            }
            Phase::Stopping(stopping) => {
                if let Some(flight) = &mut stopping.flight {
                    flight.obey(command, now);
                }
            }
            Phase::Off => {}
        }
    }

    fn open_refused(&mut self, turn: &mut PumpTurn<'_>, command: CommandId, refusal: RefusalReason) {
        let (flight, name) = match &mut self.phase {
            Phase::Starting(starting) => (&mut starting.flight, starting.name),
            Phase::On(running) => (&mut running.flight, running.name),
            Phase::Stopping(stopping) => {
                if let Some(flight) = stopping.flight.as_mut().filter(|_| is_final(refusal)) {
                    flight.refuse(command);
                    if flight.is_dry() && !stopping.is_seen_open && !stopping.is_after_start {
                        self.finish(turn);
                    }
                }
                return;
            }
            Phase::Off => return,
        };
        if flight.is_past(command) {
            return;
        }
        if is_final(refusal) {
            flight.refuse(command);
        }
        let is_newest = flight.last() == command;
        let reason = self.refused(refusal);
        self.tell(turn, Event::Refused, By::Node, reason.clone(), Some(name));
        let retry_at = turn.after_s(turn.timing.retry_later_s);
        match (remedy(refusal), &mut self.phase) {
            // A newer command is on its way already, or nothing more was to be asked for.
            (Remedy::Again, _) if !is_newest => {}
            (Remedy::Again, Phase::On(Running { renewal: None, .. })) => {}
            // The next look sends it once more, or gives up when it was sent often enough.
            (Remedy::Again, Phase::Starting(starting)) if starting.accepted_at.is_none() => {
                starting.next_at = turn.mono();
            }
            (Remedy::Again, Phase::On(running)) => {
                let is_left = running.renewal.is_none_or(|(n_sent, _)| n_sent < ATTEMPTS_MAX);
                running.renew_at = if is_left { turn.mono() } else { running.lease_ends_at };
            }
            (Remedy::Again, _) => {}
            (Remedy::Later, Phase::Starting(starting)) if starting.accepted_at.is_none() => {
                starting.next_at = retry_at;
            }
            (Remedy::Later | Remedy::Fail, _) => self.fail_and_stop(turn, reason, false),
            (Remedy::Leave, _) => {
                self.pause(turn, turn.timing.quarantine_s);
                self.stop(turn, reason, By::Node, false);
            }
            (Remedy::Latch, _) => self.fail_and_stop(turn, reason, true),
        }
    }

    /// Its node reported a change.
    pub(crate) fn valve_word(&mut self, turn: &mut PumpTurn<'_>, word: ValveWord) {
        if word.is_open {
            let is_old = word.command.is_some_and(|command| self.dead_through >= Some(command));
            if word.is_live && !is_old {
                self.found_on(turn, word.command, false);
            }
        } else if word.is_live {
            self.closed_word(turn, word);
        } else {
            self.report(turn, word);
        }
    }

    /// Its node's session began; `output` is what it says of this output.
    pub(crate) fn node_online(&mut self, turn: &mut PumpTurn<'_>, output: Option<(bool, Option<CommandId>)>) {
        self.is_online = Some(true);
        match output {
            Some((true, command)) => self.found_on(turn, command, true),
            Some((false, _)) => self.found_off(turn),
            None => {}
        }
    }

    /// Its node's session ended: nothing is certain any more.
    pub(crate) fn node_offline(&mut self, turn: &mut PumpTurn<'_>) {
        self.is_online = Some(false);
        let node = self.plan.valve.node.clone();
        self.stop(turn, Reason::NodeOffline { node }, By::Engine, false);
    }

    /// It is on, by an event or, `is_truth`, by the node's list at the start of a session.
    fn found_on(&mut self, turn: &mut PumpTurn<'_>, command: Option<CommandId>, is_truth: bool) {
        let now = turn.mono();
        match (&mut self.phase, command) {
            (Phase::Starting(starting), Some(command)) if starting.flight.knows(command) => {
                self.confirm(turn, command);
            }
            (Phase::On(running), Some(command)) if running.flight.knows(command) => {
                if let Some(sent) = running.flight.obey(command, now) {
                    running.begin_lease(sent, now);
                }
            }
            (Phase::Stopping(stopping), command) => {
                let is_first_word = stopping.is_after_start && !stopping.is_seen_open;
                stopping.is_seen_open = true;
                stopping.is_accepted = false;
                if let (Some(flight), Some(command)) = (&mut stopping.flight, command) {
                    flight.obey(command, now);
                }
                if is_first_word {
                    stopping.is_told = false;
                    stopping.name = command.or(stopping.name);
                    let is_ours = command.is_some() && command == self.memory.open.map(|open| open.command);
                    if !is_ours {
                        stopping.hold_until = turn.after_s(turn.timing.node_run_s_max);
                    }
                }
                if is_truth || stopping.n_sent == 0 {
                    self.send_close(turn);
                }
            }
            // Switched on at the node before our Open arrived there; ours takes over.
            (Phase::Starting(_) | Phase::On(_), None) => {}
            (Phase::Off | Phase::Starting(_) | Phase::On(_), command) => {
                self.switch_off_stranger(turn, command)
            }
        }
    }

    /// On by nobody's will here.
    fn switch_off_stranger(&mut self, turn: &mut PumpTurn<'_>, command: Option<CommandId>) {
        let source = self.source.clone();
        let reason = match command {
            Some(command) => Reason::UnexpectedOpen { command },
            None => Reason::PumpStartedLocally { source },
        };
        self.tell(turn, Event::Fault, By::Engine, reason.clone(), command);
        self.stop(turn, reason.clone(), By::Engine, false);
        let hold_until = turn.after_s(turn.timing.node_run_s_max);
        if !matches!(self.phase, Phase::Stopping(_)) {
            let stopping = Stopping { name: command, ..Stopping::new(reason, By::Engine, turn.mono()) };
            self.phase = Phase::Stopping(stopping);
        }
        if let Phase::Stopping(stopping) = &mut self.phase {
            stopping.is_seen_open = true;
            stopping.hold_until = hold_until;
        }
        if self.is_close_held() {
            self.send_close(turn);
        }
    }

    fn confirm(&mut self, turn: &mut PumpTurn<'_>, command: CommandId) {
        let now = turn.mono();
        let phase = std::mem::replace(&mut self.phase, Phase::Off);
        let Phase::Starting(Starting { mut flight, name, first_sent_at, .. }) = phase else {
            self.phase = phase;
            return;
        };
        if flight.obey(command, now).is_none() && flight.obeyed().is_none() {
            flight.begin(SentOpen { command, sent_at: now, run_s: self.plan.lease_s, ttl_s: 0 }, now);
        }
        let lease = flight.obeyed();
        let (rest_at, node_ends_at) = self.longest_until(first_sent_at, turn.timing);
        let mut running = Running {
            flight,
            name,
            since: now,
            rest_at,
            node_ends_at,
            lease_ends_at: now,
            renew_at: now,
            renewal: None,
        };
        if let Some((sent, obeyed_at)) = lease {
            running.begin_lease(sent, obeyed_at);
        }
        self.phase = Phase::On(running);
        let reason = Reason::PumpStart { source: self.source.clone() };
        self.tell(turn, Event::Confirmed, By::Engine, reason, Some(name));
    }

    /// The node's list at the start of a session says "off".
    fn found_off(&mut self, turn: &mut PumpTurn<'_>) {
        match &mut self.phase {
            Phase::Off => {}
            Phase::Starting(starting) if starting.flight.obeyed().is_none() => {}
            Phase::Starting(_) | Phase::On(_) => {
                self.stop(turn, Reason::ValveFoundClosed {}, By::Node, false);
                self.found_off_stopping(turn);
            }
            Phase::Stopping(_) => self.found_off_stopping(turn),
        }
    }

    fn found_off_stopping(&mut self, turn: &mut PumpTurn<'_>) {
        let Phase::Stopping(stopping) = &mut self.phase else { return };
        stopping.is_seen_open = false;
        if stopping.flight.as_ref().is_some_and(crate::flight::Flight::is_uncertain) {
            self.send_close(turn);
        } else {
            self.finish(turn);
        }
    }

    fn closed_word(&mut self, turn: &mut PumpTurn<'_>, word: ValveWord) {
        match &mut self.phase {
            Phase::Off => self.report(turn, word),
            Phase::Starting(starting) => {
                let is_ours = word.command.is_some_and(|command| starting.flight.knows(command));
                if is_ours || (word.command.is_none() && starting.flight.obeyed().is_some()) {
                    self.closed_in_run(turn, word);
                } else {
                    self.report(turn, word);
                }
            }
            Phase::On(running) => {
                if word.command.is_some_and(|command| running.flight.is_older(command)) {
                    self.report(turn, word);
                } else {
                    self.closed_in_run(turn, word);
                }
            }
            Phase::Stopping(stopping) => {
                let flight = stopping.flight.as_ref();
                let is_older = |command| flight.is_some_and(|flight| flight.is_older(command));
                if !stopping.is_after_start && word.command.is_some_and(is_older) {
                    return self.report(turn, word);
                }
                stopping.is_seen_open = false;
                let is_settled = stopping.is_settled_by(word.command);
                let (by, reason, name) = (stopping.by.clone(), stopping.reason.clone(), stopping.name);
                if std::mem::replace(&mut stopping.is_told, true) {
                    self.report(turn, word);
                } else {
                    self.tell_measured(turn, Event::Stopped, by, reason, name, word.measured);
                }
                if is_settled {
                    self.finish(turn);
                }
            }
        }
    }

    /// The node ended the run that is under way.
    fn closed_in_run(&mut self, turn: &mut PumpTurn<'_>, word: ValveWord) {
        let phase = std::mem::replace(&mut self.phase, Phase::Off);
        let (flight, name) = match phase {
            Phase::Starting(starting) => (starting.flight, starting.name),
            Phase::On(running) => (running.flight, running.name),
            Phase::Off | Phase::Stopping(_) => {
                self.phase = phase;
                return;
            }
        };
        self.learn_node_run(word);
        let reason = reason_of(word);
        self.tell_measured(turn, Event::Stopped, By::Node, reason.clone(), Some(name), word.measured);
        let is_failed = word.closed_by.is_some_and(is_failure);
        let mut stopping = Stopping {
            name: Some(name),
            flight: Some(flight),
            is_told: true,
            is_clean: !is_failed,
            ..Stopping::new(reason.clone(), By::Node, turn.mono())
        };
        let is_settled = stopping.is_settled_by(word.command);
        self.phase = Phase::Stopping(stopping);
        if is_failed {
            self.fail(turn, reason, false);
        }
        if is_settled { self.finish(turn) } else { self.tick_stopping(turn) }
    }

    fn report(&self, turn: &mut PumpTurn<'_>, word: ValveWord) {
        self.tell_measured(turn, Event::Reported, By::Node, reason_of(word), word.command, word.measured);
    }
}
