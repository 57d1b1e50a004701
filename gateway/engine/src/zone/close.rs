//! Closing a valve and believing that it is closed.
//!
//! A valve counts as closed when the node reported so and no Open of ours can be obeyed any more, when the node accepted a
//! Close (its counter makes every older Open void) of a valve that was not seen open, or when the last possible lease is
//! over. Until then Close is repeated with growing pauses. After a start every valve is in this state.

use giot_shared::ids::CommandId;
use giot_shared::time::MonoMs;
use giot_shared::valve::RefusalReason;

use super::dose::Dose;
use super::errand::{Errand, Had, is_ad_hoc};
use super::open::{Run, is_final};
use super::{Phase, RunKind, SETTLE_MS, Turn, Zone};
use crate::diary::{By, Event};
use crate::flight::{Flight, SentOpen};
use crate::memory::OpenMemory;
use crate::plan::ZonePlan;
use crate::reason::Reason;

/// Longest pause between two Closes: a node that comes back is asked within a minute, a dead one costs no traffic.
const CLOSE_PAUSE_MS_MAX: u64 = 60_000;

/// What a pause of water keeps of a run by the soil is worth something for so long: the longest pause, and an hour for the wait
/// behind what else goes on then.
const REFILL_MS_MAX: u64 = 4 * 3_600_000;

/// Perhaps open, wanted closed.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) reason: Reason,
    pub(super) by: By,
    /// Number of the run's first Open.
    pub(super) name: Option<CommandId>,
    /// The Opens that may still be in force; `None` when none of ours is.
    pub(super) flight: Option<Flight>,
    /// No earlier than this does silence mean closed.
    pub(super) hold_until: MonoMs,
    /// The node's last word was "open".
    pub(crate) is_seen_open: bool,
    /// Nothing was heard since the gateway's start.
    pub(crate) is_after_start: bool,
    /// The diary has the end of the run.
    pub(super) is_told: bool,
    /// Water flowed or may have: the minimum off time counts.
    pub(super) is_wet: bool,
    /// The valve was tried: nobody was watered, and what waits goes on without another rest.
    pub(super) is_test: bool,
    /// It was one of a person's set of runs.
    pub(super) is_of_set: bool,
    /// How long it was open as the node measured it, ms.
    pub(super) had_ms: Option<u64>,
    /// What flowed as the node or the zone's meter measured it, ml.
    pub(super) had_ml: Option<u64>,
    /// How long its pump was off meanwhile, ms.
    pub(super) dry_ms: u64,
    /// What the run was to give, where that is measured.
    pub(super) dose: Option<Dose>,
    /// The run was in order up to here.
    pub(super) is_clean: bool,
    pub(super) is_accepted: bool,
    pub(super) is_refusal_told: bool,
    pub(super) first_close: Option<CommandId>,
    pub(super) n_sent: u32,
    pub(super) next_at: MonoMs,
}

impl Closing {
    pub(super) fn of_run(
        run: Run,
        is_seen_open: bool,
        is_clean: bool,
        reason: Reason,
        by: By,
        now: MonoMs,
    ) -> Self {
        Self {
            name: Some(run.name),
            had_ml: run.measured.map(|(ml, _)| ml),
            dry_ms: run.dry.ms_until(now),
            dose: run.dose,
            is_wet: is_seen_open || !run.flight.is_dry(),
            is_test: run.kind.is_test(),
            is_of_set: run.kind.is_of_set(),
            flight: Some(run.flight),
            hold_until: now,
            is_seen_open,
            is_clean,
            ..Self::bare(reason, by, now)
        }
    }

    pub(super) fn bare(reason: Reason, by: By, now: MonoMs) -> Self {
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
            is_test: false,
            is_of_set: false,
            had_ms: None,
            had_ml: None,
            dry_ms: 0,
            dose: None,
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

    pub(super) fn is_uncertain(&self) -> bool {
        self.flight.as_ref().is_some_and(Flight::is_uncertain)
    }

    /// The node reported "closed" in connection with `command`: whether that settles it.
    pub(super) fn is_settled_by(&mut self, command: Option<CommandId>) -> bool {
        self.flight.as_mut().is_none_or(|flight| flight.is_settled_by(command, self.is_accepted))
    }
}

impl Zone {
    /// Ends what goes on at the valve: Close is sent until it is known to be closed.
    pub(super) fn stop(&mut self, turn: &mut Turn<'_>, reason: Reason, by: By, is_failure: bool) {
        let now = turn.mono();
        let is_by_soil = self.run().is_some_and(|run| run.kind == RunKind::Soil);
        let is_refilled_later = is_by_soil && matches!(reason, Reason::WaterPaused { .. });
        self.refill_until = if is_refilled_later { now.plus_ms(REFILL_MS_MAX) } else { now };
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
        if !self.leaves_rest(&closing.reason, closing.dry_ms) && self.memory.run.take().is_some() {
            // Whatever follows, a restart too: nobody wants the rest of it.
            self.is_memory_changed = true;
        }
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

    pub(super) fn send_close(&mut self, turn: &mut Turn<'_>) {
        let Phase::Closing(closing) = &mut self.phase else { return };
        if self.is_online == Some(false) {
            return;
        }
        if turn.mono() < self.close_from {
            // A pump relies on the valve: it goes off first.
            closing.next_at = self.close_from;
            return;
        }
        let command = self.desk.close(turn, closing.reason.clone());
        closing.first_close.get_or_insert(command);
        let pause_ms = (u64::from(turn.timing.answer_s) * 1000) << closing.n_sent.min(16);
        closing.next_at =
            turn.mono().plus_ms(pause_ms.min(CLOSE_PAUSE_MS_MAX.max(u64::from(turn.timing.answer_s) * 1000)));
        closing.n_sent += 1;
    }

    /// The valve is closed and its zone's meter says that water flows: Close is sent once more.
    pub(crate) fn close_again(&mut self, turn: &mut Turn<'_>, reason: Reason) {
        if matches!(self.phase, Phase::Closed) {
            self.desk.tell(turn, Event::Fault, By::Engine, reason.clone(), None);
            self.repeat_close(turn, reason);
        }
    }

    /// The valve is closed: Close is sent once more, by what the diary has already.
    pub(crate) fn repeat_close(&mut self, turn: &mut Turn<'_>, reason: Reason) {
        if !matches!(self.phase, Phase::Closed) {
            return;
        }
        let closing = Closing { is_told: true, ..Closing::bare(reason, By::Engine, turn.mono()) };
        let hold_until = turn.after_s(turn.timing.ttl_s);
        self.enter(turn, Phase::Closing(Closing { hold_until, ..closing }));
        self.send_close(turn);
    }

    /// No Close before `at`; one that has waited goes out with the next tick after it.
    pub(crate) fn hold_close(&mut self, at: MonoMs) {
        self.close_from = at;
        if let Phase::Closing(closing) = &mut self.phase
            && closing.n_sent == 0
        {
            closing.next_at = at;
        }
    }

    /// No Close is sent before.
    pub(crate) fn close_from(&self) -> MonoMs {
        self.close_from
    }

    /// Whether a Close waits for [`Self::hold_close`].
    pub(crate) fn is_close_held(&self) -> bool {
        matches!(&self.phase, Phase::Closing(closing) if closing.n_sent == 0)
    }

    /// Whether the Close of a run that was under way waits for a pump.
    pub(crate) fn is_close_owed(&self) -> bool {
        self.is_online != Some(false)
            && matches!(&self.phase, Phase::Closing(closing) if closing.n_sent == 0 && !closing.is_after_start)
    }

    /// Until when the valve stays open for certain although its run is complete, because its Close is held back. Whoever ended
    /// a run for another reason wants it closed now.
    pub(crate) fn lingers_until(&self) -> Option<MonoMs> {
        let Phase::Closing(closing) = &self.phase else { return None };
        let is_complete = matches!(
            closing.reason,
            Reason::RunTimeReached { .. }
                | Reason::VolumeReached { .. }
                | Reason::SoilWet { .. }
                | Reason::SoilRefilled { .. }
                | Reason::SoilRelaxed { .. }
        );
        let is_open = is_complete && closing.n_sent == 0 && closing.is_seen_open;
        closing.flight.as_ref().filter(|_| is_open && self.is_online != Some(false))?.certain_until()
    }

    /// Whether its node is there, as far as is known.
    pub(crate) fn is_online(&self) -> Option<bool> {
        self.is_online
    }

    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing(_))
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
    pub(super) fn finish(&mut self, turn: &mut Turn<'_>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Closed);
        let Phase::Closing(closing) = phase else {
            self.phase = phase;
            return;
        };
        let now = turn.now;
        let reason = closing.reason.clone();
        if !closing.is_told {
            self.desk.tell(turn, Event::Stopped, closing.by, closing.reason, closing.name);
        }
        // What was sent before cannot be obeyed any more: late reports of it are old news.
        let last_open = closing.flight.as_ref().map(Flight::last);
        self.dead_through = self.dead_through.max(last_open).max(closing.first_close);
        // After a restart only the memory knows.
        let errand = self.memory.run.as_ref().map(|run| &run.errand).filter(|_| closing.is_after_start);
        let was_test = closing.is_test || errand.is_some_and(Errand::is_test);
        let was_of_set = closing.is_of_set || errand.is_some_and(|errand| is_ad_hoc(&errand.program));
        let had_ms = if closing.is_wet { closing.had_ms } else { Some(0) };
        let had = Had { ms: had_ms, ml: closing.had_ml, dry_ms: closing.dry_ms };
        let has_rest = self.make_up(turn, &reason, &had);
        if let Some(short) =
            closing.dose.filter(|_| !has_rest).and_then(|dose| dose.short(&reason, (had_ms, closing.had_ml)))
        {
            self.desk.tell(turn, Event::Fault, By::Engine, short, closing.name);
        }
        if closing.is_wet {
            // What goes on after a pause is the same run: it needs no time off in between.
            let goes_on = has_rest || now.mono < self.refill_until;
            self.wet_until = now.mono.plus_ms(SETTLE_MS);
            if !(was_test || goes_on && matches!(reason, Reason::WaterPaused { .. })) {
                self.off_until = turn.after_s(self.plan.min_off_s);
                self.memory.last_closed_at = now.wall;
                self.memory.last_was_set = was_of_set;
                self.is_memory_changed = true;
            }
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
        // A node that has no such valve holds none open. Of one that was open before it may have lost the settings.
        let is_none = refusal == RefusalReason::UnknownValve
            && closing.is_after_start
            && !closing.is_seen_open
            && !closing.is_wet;
        self.desk.tell(turn, Event::Refused, By::Node, Reason::CommandRefused { refusal }, name);
        if is_none {
            self.finish(turn);
        }
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
}
