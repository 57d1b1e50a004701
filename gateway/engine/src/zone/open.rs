//! Opening a valve and keeping it open: first Open, answer, report, renewed leases.
//!
//! Invariants: no lease reaches beyond the plan's longest run, counted from the first Open in the worst case; an Open is
//! repeated at most twice, as a new command; what is accepted but not reported open is closed again.

use giot_shared::ids::CommandId;
use giot_shared::time::MonoMs;
use giot_shared::valve::RefusalReason;

use super::dose::{Dose, volume_left};
use super::dry::Dry;
use super::{Phase, Turn, Zone};
use crate::diary::{By, Event};
use crate::flight::{Flight, SentOpen};
use crate::ids::{ProgramId, SourceId};
use crate::input::RunSet;
use crate::plan::{Timing, ZonePlan};
use crate::reason::Reason;

/// One command and two repetitions: a link that loses three in a row needs a person, not a fourth.
const ATTEMPTS_MAX: u32 = 3;

/// A run that ends so close to its time had it: a node's clock and the way of its words.
const NEAR_S: u64 = 30;

/// What began a run, and so what may end it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunKind {
    /// The soil: its probes and the zone's hours end it.
    Soil,
    /// A program: its length was fitted into the hours when it began.
    Program(ProgramId),
    /// A program that a person started.
    ByHand(ProgramId),
    /// A person.
    Manual,
    /// A rule: what ends a run of the soil ends this one too.
    Rule,
}

impl RunKind {
    /// Whether the zone's probes and hours end the run.
    pub(super) fn is_watched(&self) -> bool {
        matches!(self, Self::Soil | Self::Rule)
    }

    /// The program whose run it is.
    pub(crate) const fn program(&self) -> Option<&ProgramId> {
        match self {
            Self::Program(program) | Self::ByHand(program) => Some(program),
            Self::Soil | Self::Manual | Self::Rule => None,
        }
    }

    /// Whether it is one of a person's set of runs.
    pub(crate) fn is_of_set(&self) -> bool {
        matches!(self, Self::ByHand(program) if super::is_ad_hoc(program))
    }

    /// Whether a valve is tried, for a person or to find what is wrong.
    pub(crate) fn is_test(&self) -> bool {
        matches!(self, Self::ByHand(program) if *program == super::ad_hoc(RunSet::Test))
    }
}

/// One run of a zone, from its first Open to the end.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) kind: RunKind,
    pub(super) by: By,
    /// Why it was started.
    pub(crate) reason: Reason,
    pub(super) started_at: MonoMs,
    /// How long it is to be.
    pub(super) target_s: u32,
    /// How much longer its lease is to be: the engine ends such a run, after its pump.
    slack_s: u32,
    /// When the node first was known to have obeyed: the run's length counts from here.
    opened_at: Option<MonoMs>,
    pub(crate) flight: Flight,
    /// What it has given as far as the zone's meter tells, and when that was read.
    pub(super) measured: Option<(u64, MonoMs)>,
    /// What it is to give, where that is measured.
    pub(super) dose: Option<Dose>,
    /// How long its pump was off.
    pub(super) dry: Dry,
    /// Number of its first Open: the run's name in the diary.
    pub(super) name: CommandId,
}

impl Run {
    /// How long it is to be, seconds.
    pub(super) const fn planned_s(&self) -> u32 {
        self.target_s
    }
}

/// An Open is out.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) run: Run,
    pub(crate) wait: Wait,
    n_sent: u32,
    /// The node reported the valve open by somebody else while our Open was on its way.
    pub(super) is_seen_open: bool,
    is_retried_later: bool,
}

/// What an Opening waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// The node's answer.
    Answer { sent_at: MonoMs },
    /// The valve's report after the answer.
    Report { accepted_at: MonoMs },
    /// The moment for a second attempt after a refusal that time can mend.
    Later { at: MonoMs },
}

/// The valve is open under a lease.
#[derive(Debug)]
pub(crate) struct Watering {
    pub(crate) run: Run,
    /// End of the lease as far as is known.
    pub(crate) lease_ends_at: MonoMs,
    /// When to renew; `None`: the present lease is the last.
    renew_at: Option<MonoMs>,
    renewal: Option<Renewal>,
}

/// A renewal without answer.
#[derive(Clone, Copy, Debug)]
struct Renewal {
    first_sent_at: MonoMs,
    sent_at: MonoMs,
    n_sent: u32,
}

/// What a refusal of an Open calls for.
pub(crate) enum Remedy {
    /// Another order to the same node overtook this one: ask again at once.
    Again,
    /// Time may mend it: try once more later.
    Later,
    /// Someone at the node does not want it: leave the zone alone for a while.
    Leave,
    /// Count a failure.
    Fail,
    /// Nothing but a person can mend it.
    Latch,
}

pub(crate) fn remedy(refusal: RefusalReason) -> Remedy {
    match refusal {
        RefusalReason::NotAnchored | RefusalReason::Expired | RefusalReason::Busy => Remedy::Later,
        RefusalReason::LockedLocally => Remedy::Leave,
        RefusalReason::LowPower | RefusalReason::Unknown => Remedy::Fail,
        RefusalReason::Replayed => Remedy::Again,
        RefusalReason::BadMac
        | RefusalReason::Misaddressed
        | RefusalReason::UnknownValve
        | RefusalReason::LeaseTooLong
        | RefusalReason::Malformed
        | RefusalReason::TooNew
        // What only settings are refused with would be a node that confuses commands.
        | RefusalReason::BadSetting
        | RefusalReason::Unsupported => Remedy::Latch,
    }
}

/// Whether a refused command cannot be obeyed any more. A node burns the counter of what it refuses, so that a doubled
/// message is refused too; not so when it could not read the message, or had obeyed its twin before.
pub(crate) fn is_final(refusal: RefusalReason) -> bool {
    match refusal {
        RefusalReason::Expired
        | RefusalReason::NotAnchored
        | RefusalReason::UnknownValve
        | RefusalReason::LeaseTooLong
        | RefusalReason::Busy
        | RefusalReason::LowPower
        | RefusalReason::LockedLocally
        | RefusalReason::BadSetting => true,
        RefusalReason::BadMac
        | RefusalReason::Replayed
        | RefusalReason::Misaddressed
        | RefusalReason::Malformed
        | RefusalReason::TooNew
        | RefusalReason::Unsupported
        | RefusalReason::Unknown => false,
    }
}

impl Run {
    /// How long the valve has been open at a moment, ms.
    pub(super) fn open_ms(&self, now: MonoMs) -> u64 {
        now.since_ms(self.opened_at.unwrap_or(self.started_at))
    }

    /// How long it lasted when it ends at a moment, seconds: its time, but for what the longest run kept back.
    pub(super) fn reached_s(&self, at: MonoMs) -> u64 {
        let open_s = self.open_ms(at) / 1000;
        let target_s = u64::from(self.target_s);
        if open_s + NEAR_S < target_s { open_s } else { target_s }
    }

    /// It is to last so long.
    pub(super) const fn set_target_s(&mut self, target_s: u32) {
        self.target_s = target_s;
    }

    /// When it ends at the latest if nothing ends it before, renewals of its lease included.
    pub(crate) fn ends_at(&self) -> MonoMs {
        self.opened_at.unwrap_or(self.started_at).plus_ms(u64::from(self.target_s) * 1000)
    }

    pub(crate) fn is_manual(&self) -> bool {
        self.kind == RunKind::Manual
    }

    /// Whether a person's wish is behind it, directly or by a program.
    pub(crate) fn is_by_person(&self) -> bool {
        matches!(self.kind, RunKind::Manual | RunKind::ByHand(_))
    }

    /// Lease of a further Open of this run at `at`, `None` when no second is left. The worst case counts: obeyed at the
    /// end of its time to live, by a clock that differs by the margin.
    fn next_lease_s(&self, at: MonoMs, plan: &ZonePlan, timing: &Timing) -> Option<u32> {
        let to_ms = |span_s: u32| u64::from(span_s) * 1000;
        let had_ms = self.opened_at.map_or(0, |opened_at| at.since_ms(opened_at));
        let wanted_s =
            to_ms(self.target_s.saturating_add(self.slack_s)).saturating_sub(had_ms).div_ceil(1000);
        let late_ms = to_ms(timing.ttl_s_for(plan.lease_s)) + to_ms(timing.margin_s);
        let allowed_ms =
            to_ms(plan.run_max_s).saturating_sub(at.since_ms(self.started_at)).saturating_sub(late_ms);
        let lease_s = wanted_s.min(allowed_ms / 1000).min(u64::from(plan.lease_s));
        u32::try_from(lease_s).ok().filter(|lease_s| *lease_s > 0)
    }

    /// When the lease of `sent`, which ends at `ends_at`, is to be renewed: after three quarters, unless that gains less
    /// than five seconds (or a quarter of a short lease).
    fn renew_at(&self, sent: SentOpen, ends_at: MonoMs, plan: &ZonePlan, timing: &Timing) -> Option<MonoMs> {
        let lease_ms = u64::from(sent.run_s) * 1000;
        let at = sent.sent_at.plus_ms(lease_ms / 4 * 3);
        let next_s = self.next_lease_s(at, plan, timing)?;
        let gained_ms = at.plus_ms(u64::from(next_s) * 1000).since_ms(ends_at);
        (gained_ms > (lease_ms / 4).min(5000)).then_some(at)
    }
}

impl Opening {
    pub(super) fn deadline(&self, timing: &Timing) -> MonoMs {
        match self.wait {
            Wait::Answer { sent_at } => sent_at.plus_ms(u64::from(timing.answer_s) * 1000),
            Wait::Report { accepted_at } => accepted_at.plus_ms(u64::from(timing.confirm_s) * 1000),
            Wait::Later { at } => at,
        }
    }
}

impl Watering {
    pub(super) fn deadline(&self, timing: &Timing, is_reachable: bool) -> MonoMs {
        let silent_at = self.lease_ends_at.plus_ms(u64::from(timing.margin_s) * 1000);
        let silent_at = if self.run.slack_s > 0 { silent_at.min(self.run.ends_at()) } else { silent_at };
        let next = match self.renewal {
            Some(renewal) => Some(renewal.sent_at.plus_ms(u64::from(timing.answer_s) * 1000)),
            None => self.renew_at,
        };
        next.filter(|_| is_reachable).map_or(silent_at, |at| at.min(silent_at))
    }

    /// Whether the present lease was meant to be the last.
    pub(super) fn is_last_lease(&self) -> bool {
        self.renew_at.is_none() && self.renewal.is_none()
    }

    fn begin_lease(&mut self, sent: SentOpen, now: MonoMs, plan: &ZonePlan, timing: &Timing) {
        self.lease_ends_at = now.plus_ms(u64::from(sent.run_s) * 1000);
        self.renew_at = self.run.renew_at(sent, self.lease_ends_at, plan, timing);
        self.renewal = None;
    }
}

impl Zone {
    /// Since when, and until when, the valve is open for certain, whatever becomes of the messages; only the node itself
    /// can close it before.
    pub(crate) fn certain(&self) -> Option<(MonoMs, MonoMs)> {
        let Phase::Open(watering) = &self.phase else { return None };
        if self.is_online == Some(false) {
            return None;
        }
        Some((self.since, watering.run.flight.certain_until()?))
    }

    /// Whether an Open is out, and nothing is known of the valve yet.
    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Opening(_))
    }

    /// Sends the first Open of a run. The caller has checked every guard and that the source is free.
    pub(crate) fn start(
        &mut self,
        turn: &mut Turn<'_>,
        kind: RunKind,
        by: By,
        reason: Reason,
        target_s: u32,
    ) {
        let target_s = target_s.clamp(1, self.plan.run_max_s.max(1));
        let mut dose = self.dose(turn, &kind, target_s);
        let portion_s = self.portion_s(turn.timing, dose.map_or(target_s, |dose| dose.most_s));
        let target_s = target_s.min(portion_s);
        if let Some(dose) = &mut dose {
            (dose.planned_s, dose.most_s) = (target_s, portion_s);
        }
        let volume = volume_left(&self.plan, dose.as_ref(), 0);
        let ttl_s = turn.timing.ttl_s_for(self.plan.lease_s);
        let lease_s = target_s.saturating_add(self.slack_s).min(self.plan.run_max_s.max(1));
        let lease_s = lease_s.min(self.plan.lease_s.max(1));
        let sent = self.desk.open(turn, (lease_s, volume), ttl_s, reason.clone());
        let run = Run {
            kind,
            by: by.clone(),
            reason: reason.clone(),
            started_at: turn.mono(),
            target_s,
            slack_s: self.slack_s,
            opened_at: None,
            flight: Flight::new(sent, turn.timing.margin_s),
            measured: None,
            dose,
            dry: Dry::default(),
            name: sent.command,
        };
        self.remember_open(turn, sent, run.is_manual(), run.flight.over_at());
        let wait = Wait::Answer { sent_at: turn.mono() };
        let opening = Opening { run, wait, n_sent: 1, is_seen_open: false, is_retried_later: false };
        self.enter(turn, Phase::Opening(opening));
        self.unskip();
        self.desk.tell(turn, Event::Started, by, reason, Some(sent.command));
    }

    pub(super) fn tick_opening(&mut self, turn: &mut Turn<'_>) {
        let Phase::Opening(opening) = &self.phase else { return };
        if turn.mono() < opening.deadline(turn.timing) {
            return;
        }
        match opening.wait {
            Wait::Answer { .. } if opening.n_sent >= ATTEMPTS_MAX => self.give_up_unanswered(turn),
            Wait::Answer { .. } | Wait::Later { .. } => {
                if !self.send_again(turn) {
                    self.give_up_unanswered(turn);
                }
            }
            Wait::Report { accepted_at } => {
                let waited_s = turn.mono().since_ms(accepted_at) / 1000;
                self.fail_and_stop(turn, Reason::ValveNotConfirmed { waited_s }, false);
            }
        }
    }

    /// Sends the Open of an Opening once more, as a new command; false when the run has no second left for it.
    fn send_again(&mut self, turn: &mut Turn<'_>) -> bool {
        let Phase::Opening(opening) = &mut self.phase else { return false };
        let Some(run_s) = opening.run.next_lease_s(turn.mono(), &self.plan, turn.timing) else {
            return false;
        };
        let ttl_s = turn.timing.ttl_s_for(self.plan.lease_s);
        let volume = opening.run.volume_left(&self.plan, turn.mono());
        let sent = self.desk.open(turn, (run_s, volume), ttl_s, opening.run.reason.clone());
        opening.run.flight.send(sent);
        opening.wait = Wait::Answer { sent_at: turn.mono() };
        opening.n_sent += 1;
        let (is_manual, over_at) = (opening.run.is_manual(), opening.run.flight.over_at());
        self.remember_open(turn, sent, is_manual, over_at);
        true
    }

    /// Sends what was overtaken once more, as a new command; false when it was sent often enough. The node's counter makes
    /// the overtaken one void, or its twin was obeyed and the new one renews its lease.
    fn ask_again(&mut self, turn: &mut Turn<'_>) -> bool {
        match &self.phase {
            Phase::Opening(Opening { wait: Wait::Report { .. }, .. }) => true,
            Phase::Opening(opening) => opening.n_sent < ATTEMPTS_MAX && self.send_again(turn),
            // Nothing more was to be asked for: the lease that is under way ends the run.
            Phase::Open(Watering { renewal: None, .. }) => true,
            Phase::Open(Watering { renewal: Some(renewal), .. }) if renewal.n_sent < ATTEMPTS_MAX => {
                self.renew(turn);
                true
            }
            Phase::Open(_) | Phase::Closed | Phase::Closing(_) | Phase::Local(_) => false,
        }
    }

    fn give_up_unanswered(&mut self, turn: &mut Turn<'_>) {
        let Phase::Opening(opening) = &self.phase else { return };
        let waited_s = turn.mono().since_ms(opening.run.started_at) / 1000;
        let reason = Reason::CommandUnanswered { waited_s, attempts: opening.n_sent };
        self.fail_and_stop(turn, reason, false);
    }

    pub(super) fn tick_open(&mut self, turn: &mut Turn<'_>) {
        let is_reachable = self.is_online != Some(false);
        let Phase::Open(watering) = &self.phase else { return };
        if watering.run.slack_s > 0 && turn.mono() >= watering.run.ends_at() {
            let run_s = u64::from(watering.run.target_s);
            self.stop(turn, Reason::RunTimeReached { run_s }, By::Engine, false);
            return;
        }
        if turn.mono() >= watering.lease_ends_at.plus_ms(u64::from(turn.timing.margin_s) * 1000) {
            let reason = if watering.is_last_lease() {
                Reason::RunTimeReached { run_s: watering.run.reached_s(watering.lease_ends_at) }
            } else if is_reachable {
                Reason::ValveSilent { waited_s: turn.mono().since_ms(watering.lease_ends_at) / 1000 }
            } else {
                Reason::NodeOffline { node: self.plan.valve.node.clone() }
            };
            self.stop(turn, reason, By::Engine, false);
            return;
        }
        if !is_reachable || turn.mono() < watering.deadline(turn.timing, true) {
            return;
        }
        match watering.renewal {
            Some(renewal) if renewal.n_sent >= ATTEMPTS_MAX => {
                let waited_s = turn.mono().since_ms(renewal.first_sent_at) / 1000;
                let reason = Reason::CommandUnanswered { waited_s, attempts: renewal.n_sent };
                self.fail_and_stop(turn, reason, false);
            }
            _ => self.renew(turn),
        }
    }

    fn renew(&mut self, turn: &mut Turn<'_>) {
        let Phase::Open(watering) = &mut self.phase else { return };
        watering.renew_at = None;
        let now = turn.mono();
        let Some(run_s) = watering.run.next_lease_s(now, &self.plan, turn.timing) else {
            // Nothing is left to ask for: an unanswered renewal is not worth waiting for.
            watering.renewal = None;
            return;
        };
        let ttl_s = turn.timing.ttl_s_for(self.plan.lease_s);
        let volume = watering.run.volume_left(&self.plan, turn.mono());
        let reason = Reason::LeaseRenewed { run_s: u64::from(run_s) };
        let sent = self.desk.open(turn, (run_s, volume), ttl_s, reason);
        watering.run.flight.send(sent);
        watering.renewal = Some(match watering.renewal {
            Some(before) => Renewal { sent_at: now, n_sent: before.n_sent + 1, ..before },
            None => Renewal { first_sent_at: now, sent_at: now, n_sent: 1 },
        });
        let (is_manual, over_at) = (watering.run.is_manual(), watering.run.flight.over_at());
        self.remember_open(turn, sent, is_manual, over_at);
    }

    /// Tells something of the run that was just begun.
    pub(crate) fn tell_of_run(&mut self, turn: &mut Turn<'_>, by: By, reason: Reason) {
        let name = self.run().map(|run| run.name);
        self.desk.tell(turn, Event::Scheduled, by, reason, name);
    }

    /// Tells that the run that was just begun is longer than was wanted, for the sake of a pump.
    pub(crate) fn tell_longer(&mut self, turn: &mut Turn<'_>, by: By, source: SourceId, wanted_s: u32) {
        let Some((run_s, name)) = self.run().map(|run| (run.target_s, run.name)) else { return };
        // The zone's longest run, and what its node gives at a time, come first.
        if run_s > wanted_s {
            let (wanted_s, run_s) = (u64::from(wanted_s), u64::from(run_s));
            let reason = Reason::PumpLeastRun { source, wanted_s, run_s };
            self.desk.tell(turn, Event::Scheduled, by, reason, Some(name));
        }
    }

    /// A person makes the run longer; what its last lease does not reach is renewed.
    pub(crate) fn extend(&mut self, turn: &mut Turn<'_>, by_s: u32, by: &str) {
        let most_s = self.plan.run_max_s;
        let portion_s = self.portion_max_s(turn.timing).unwrap_or(most_s);
        let has_rest = self.memory.run.is_some();
        let run = match &mut self.phase {
            Phase::Opening(opening) => &mut opening.run,
            Phase::Open(watering) => &mut watering.run,
            Phase::Closed | Phase::Closing(_) | Phase::Local(_) => {
                return self.refuse(turn, Reason::NotRunning {}, by);
            }
        };
        let was_s = run.target_s;
        // What the node gives no longer at a time follows as a rest, where there is somebody to want one.
        let longest_s = if has_rest { most_s } else { most_s.min(portion_s) };
        if was_s >= longest_s {
            return self.refuse(turn, Reason::RunLongest { run_s: u64::from(longest_s) }, by);
        }
        let wanted_s = was_s.saturating_add(by_s).min(longest_s);
        run.target_s = wanted_s.min(portion_s).max(was_s);
        self.is_split |= run.target_s < wanted_s;
        let more_s = wanted_s - was_s;
        if let Some(kept) = &mut self.memory.run {
            kept.errand.extend(more_s);
            self.is_memory_changed = true;
            if let Some((dose, volume)) = run.dose.as_mut().zip(kept.errand.volume) {
                dose.extend(u64::from(volume.0), more_s, portion_s);
            }
        }
        let (name, run_s) = (run.name, u64::from(wanted_s));
        self.renew_for_longer(turn);
        let reason = Reason::RunExtended { by_s: u64::from(more_s), run_s };
        self.desk.tell(turn, Event::Adjusted, By::Person(by.to_owned()), reason, Some(name));
    }

    /// The run is to last longer: what its last lease does not reach is renewed.
    pub(super) fn renew_for_longer(&mut self, turn: &Turn<'_>) {
        if let Phase::Open(watering) = &mut self.phase
            && watering.renewal.is_none()
            && let Some((sent, _)) = watering.run.flight.obeyed()
        {
            let renew_at = watering.run.renew_at(sent, watering.lease_ends_at, &self.plan, turn.timing);
            watering.renew_at = renew_at.map(|at| at.max(turn.mono()));
        }
    }

    /// The node accepted an Open of the run that is under way.
    pub(super) fn open_accepted(&mut self, turn: &mut Turn<'_>, command: CommandId) {
        let now = turn.mono();
        match &mut self.phase {
            Phase::Opening(opening) => {
                if opening.run.flight.obey(command, now).is_none() {
                    return;
                }
                opening.run.opened_at.get_or_insert(now);
                if !matches!(opening.wait, Wait::Report { .. }) {
                    opening.wait = Wait::Report { accepted_at: now };
                }
                if opening.is_seen_open {
                    self.confirm(turn, command);
                }
            }
            Phase::Open(watering) => {
                if let Some(sent) = watering.run.flight.obey(command, now) {
                    watering.begin_lease(sent, now, &self.plan, turn.timing);
                }
            }
            Phase::Closing(closing) => closing.open_obeyed(command, now),
            Phase::Closed | Phase::Local(_) => {}
        }
    }

    /// The node reported the valve open under a command of the run.
    pub(super) fn confirm(&mut self, turn: &mut Turn<'_>, command: CommandId) {
        let now = turn.mono();
        let phase = std::mem::replace(&mut self.phase, Phase::Closed);
        let Phase::Opening(mut opening) = phase else {
            self.phase = phase;
            return;
        };
        let flight = &mut opening.run.flight;
        if flight.obey(command, now).is_none() && flight.obeyed().is_none() {
            flight.begin(SentOpen { command, sent_at: now, run_s: self.plan.lease_s, ttl_s: 0 }, now);
        }
        let lease = flight.obeyed();
        opening.run.opened_at.get_or_insert(now);
        let mut watering = Watering { run: opening.run, lease_ends_at: now, renew_at: None, renewal: None };
        if let Some((sent, obeyed_at)) = lease {
            watering.begin_lease(sent, obeyed_at, &self.plan, turn.timing);
        }
        let (by, reason, name) = (watering.run.by.clone(), watering.run.reason.clone(), watering.run.name);
        self.enter(turn, Phase::Open(watering));
        self.desk.tell(turn, Event::Confirmed, by, reason, Some(name));
    }

    /// The node refused an Open of the run that is under way.
    pub(super) fn open_refused(&mut self, turn: &mut Turn<'_>, command: CommandId, refusal: RefusalReason) {
        let (run, is_retried_later) = match &mut self.phase {
            Phase::Opening(opening) => (&mut opening.run, opening.is_retried_later),
            // A renewal's refusal ends the run: whatever a node refuses while it waters is no matter of waiting.
            Phase::Open(watering) => (&mut watering.run, true),
            Phase::Closed | Phase::Closing(_) | Phase::Local(_) => return,
        };
        if run.flight.is_past(command) {
            // A doubled message was refused after its twin was obeyed.
            return;
        }
        if is_final(refusal) {
            run.flight.refuse(command);
        }
        let (name, is_newest) = (run.name, run.flight.last() == command);
        let reason = Reason::CommandRefused { refusal };
        self.desk.tell(turn, Event::Refused, By::Node, reason.clone(), Some(name));
        match remedy(refusal) {
            // A newer command of the same run is on its way already.
            Remedy::Again if !is_newest => {}
            Remedy::Again => {
                if !self.ask_again(turn) {
                    self.fail_and_stop(turn, reason, false);
                }
            }
            Remedy::Later if !is_retried_later => {
                let at = turn.after_s(turn.timing.retry_later_s);
                if let Phase::Opening(opening) = &mut self.phase {
                    opening.is_retried_later = true;
                    if !matches!(opening.wait, Wait::Report { .. }) {
                        opening.wait = Wait::Later { at };
                    }
                }
            }
            Remedy::Later | Remedy::Fail => self.fail_and_stop(turn, reason, false),
            Remedy::Leave => {
                self.pause(turn, turn.timing.quarantine_s);
                self.stop(turn, reason, By::Node, false);
            }
            Remedy::Latch => self.fail_and_stop(turn, reason, true),
        }
    }
}
