//! What nodes say about valves by themselves: changes, the list at the start of a session, its end.
//!
//! News moves the zone's phase; what is old or of another run is measured for the diary and moves nothing. A valve that is
//! open without the engine's will is closed, unless someone opened it at the node.

use giot_shared::ids::CommandId;
use giot_shared::time::MonoMs;
use giot_shared::valve::CloseReason;

use super::{Closing, Measured, Opening, Phase, Turn, Watering, Zone};
use crate::diary::{By, Event};
use crate::flight::Flight;
use crate::reason::Reason;

/// What a node says of a valve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValveWord {
    pub(crate) is_open: bool,
    pub(crate) command: Option<CommandId>,
    pub(crate) closed_by: Option<CloseReason>,
    pub(crate) measured: Measured,
    pub(crate) is_live: bool,
}

impl ValveWord {
    /// How long the valve was open; a run that a reset cut short comes without its length.
    fn measured_run_ms(&self) -> Option<u64> {
        self.measured.run_ms.filter(|run_ms| *run_ms > 0)
    }

    /// What flowed.
    fn measured_ml(&self) -> Option<u64> {
        self.measured.volume.map(|volume| u64::from(volume.0))
    }
}

/// Opened by someone at the node.
#[derive(Debug)]
pub(crate) struct Local {
    /// The node's hard maximum closes it by then.
    pub(crate) until: MonoMs,
    /// Opens of the time before a start that may still arrive.
    pub(super) flight: Option<Flight>,
}

impl Zone {
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
        self.learn_node_run(word);
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
                closing.had_ms = word.measured_run_ms().or(closing.had_ms);
                closing.had_ml = word.measured_ml().or(closing.had_ml);
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
            (By::Engine, Reason::RunTimeReached { run_s: run.reached_s(turn.mono()) })
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
            had_ms: word.measured_run_ms(),
            is_seen_open: false,
            ..Closing::of_run(run, true, !is_failure, reason.clone(), By::Node, turn.mono())
        };
        closing.had_ml = word.measured_ml().or(closing.had_ml);
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
            let reason = lock.reason();
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
        CloseReason::BrownOut
        | CloseReason::Watchdog
        | CloseReason::Panic
        | CloseReason::Fault
        // A reason of later firmware: nobody here knows that it is harmless.
        | CloseReason::Unknown => true,
        CloseReason::LeaseEnded
        | CloseReason::VolumeReached
        | CloseReason::Commanded
        | CloseReason::HardMaximum
        | CloseReason::LocalButton
        | CloseReason::Boot => false,
    }
}

pub(crate) fn reason_of(word: ValveWord) -> Reason {
    word.closed_by.map_or(Reason::ValveFoundClosed {}, |close| Reason::ClosedByNode { close })
}
