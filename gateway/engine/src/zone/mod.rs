//! One zone: its probes, its valve's state, what people said about it.
//!
//! The states of a valve as the engine knows them; each owns what belongs to it, and each change is a named function:
//!
//! | phase | the valve | leaves by |
//! |---|---|---|
//! | [`Phase::Closed`] | closed for certain | `start`, `open_locally`, `close_unexpected` |
//! | [`Phase::Opening`] | an Open was sent | `confirm` → Open; `stop` |
//! | [`Phase::Open`] | reported open, under a lease | `stop`; the node's own closing |
//! | [`Phase::Closing`] | perhaps open, wanted closed; also everything after a restart | `finish` |
//! | [`Phase::Local`] | opened by someone at the node | the node's closing; `stop` |
//!
//! Invariant: in every phase but Closed the zone holds its source. A zone never looks at another zone.
//!
//! `change` takes a new plan, `soil` judges, `errand` holds what programs want, `dose` measures what runs give, `split` knows
//! how long a node waters at a time, `open` and `close` drive the valve, `words` takes in what nodes say, `people` holds wishes,
//! locks and faults.

mod change;
mod close;
mod dose;
mod dry;
mod errand;
mod lack;
mod open;
mod people;
mod response;
mod rule;
mod soil;
mod split;
mod words;

use std::collections::{BTreeMap, VecDeque};

use giot_shared::ids::CommandId;
use giot_shared::time::{MonoMs, UnixMs};
use giot_shared::units::Millilitres;

use crate::Now;
use crate::diary::{Action, By, Entry, Event};
use crate::flight::SentOpen;
use crate::ids::{ValveRef, ZoneId};
use crate::memory::{OpenMemory, ZoneMemory};
use crate::plan::{Timing, ZonePlan};
use crate::probe::{News, Probe};
use crate::program::{FarmState, Suspension};
use crate::reason::Reason;
use crate::rules::Rules;
use crate::view::LastDecision;

pub(crate) use close::Closing;
pub use errand::Errand;
pub(crate) use errand::{BY_HAND_WAIT_MS, ad_hoc, is_ad_hoc, latest, millilitres, passes_rest};
use lack::Lacking;
pub(crate) use open::{Opening, Remedy, RunKind, Wait, Watering, is_final, remedy};
pub(crate) use people::pause_s;
use response::Trial;
pub(crate) use soil::Verdict;
pub(crate) use words::{Local, ValveWord, reason_of};

/// After a run the soil still takes up water, so that a fast change is no fault: half an hour covers the front's passage
/// through the depths that probes are set at.
const SETTLE_MS: u64 = 30 * 60 * 1000;

/// What a zone may use while the engine handles one input.
pub(crate) struct Turn<'a> {
    pub(crate) now: Now,
    pub(crate) started_at: MonoMs,
    pub(crate) timing: &'a Timing,
    pub(crate) rules: &'a Rules,
    pub(crate) next_command: &'a mut CommandId,
    pub(crate) actions: &'a mut VecDeque<Action>,
    /// Whose command a number is, while an answer can matter.
    pub(crate) owners: &'a mut BTreeMap<CommandId, usize>,
}

/// What a node measured of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) run_ms: Option<u64>,
    pub(crate) volume: Option<Millilitres>,
}

/// A zone's way out: commands and diary entries leave through it.
#[derive(Debug)]
pub(crate) struct Desk {
    idx: usize,
    pub(crate) id: ZoneId,
    valve: ValveRef,
    /// Commands whose answers can still matter.
    commands: Vec<CommandId>,
    pub(crate) last: Option<LastDecision>,
}

/// The valve's state as far as the engine knows.
#[derive(Debug)]
pub(crate) enum Phase {
    Closed,
    Opening(Opening),
    Open(Watering),
    Closing(Closing),
    Local(Local),
}

/// One zone.
#[derive(Debug)]
pub(crate) struct Zone {
    pub(crate) desk: Desk,
    pub(crate) plan: ZonePlan,
    /// Code of the plan's first problem with this zone: it is then never opened.
    pub(crate) invalid: Option<&'static str>,
    pub(crate) probes: Vec<Probe>,
    /// What the node's session says; `None` before the first word.
    pub(crate) is_online: Option<bool>,
    pub(crate) phase: Phase,
    /// When the phase began.
    pub(crate) since: MonoMs,
    pub(crate) memory: ZoneMemory,
    pub(crate) is_memory_changed: bool,
    pause_until: MonoMs,
    rest_until: MonoMs,
    off_until: MonoMs,
    wet_until: MonoMs,
    /// Opens up to this number cannot be obeyed any more; a late report of one is old news.
    dead_through: Option<CommandId>,
    /// The cause of not watering that the diary has already.
    told: Option<Reason>,
    /// When the zone wants to be looked at next; kept by the engine.
    pub(crate) timer: Option<MonoMs>,
    /// No Close is sent before: a pump relies on the valve.
    close_from: MonoMs,
    /// The soil's "wet enough" ends no run before: a pump has its minimum run.
    keep_until: MonoMs,
    /// How much longer than its run the lease is to be, so that a pump can go off first, seconds.
    slack_s: u32,
    /// What a guard holds back.
    gate: Option<Gate>,
    /// A person's pause, for rain or not: neither soil nor rule starts the zone.
    suspension: Option<Suspension>,
    /// A pause of water ended a run by the soil before it was wet enough: until then that run goes on as soon as it may.
    refill_until: MonoMs,
    /// What its soil lacks.
    lacking: Lacking,
    /// Probes that are to answer to water.
    trial: Option<Trial>,
    /// The run under way is shorter than what was asked for, because its node keeps the valve open no longer.
    is_split: bool,
    /// The farm's version that has no place for the zone as it stands: it is to be closed, and nothing starts.
    leaving: Option<u32>,
}

/// Why a guard holds a zone's water back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gate {
    pub(crate) reason: Reason,
    /// It holds for people too.
    pub(crate) is_safety: bool,
    /// When a pause is over.
    pub(crate) until: Option<MonoMs>,
}

impl Gate {
    /// A person's pause of water.
    pub(crate) fn pause(until: MonoMs) -> Self {
        Self { reason: Reason::WaterPaused { remaining_s: 0 }, is_safety: true, until: Some(until) }
    }

    /// Whether weather keeps automatic water back.
    pub(crate) fn is_weather(&self) -> bool {
        matches!(
            self.reason,
            Reason::Rained { .. } | Reason::RainContact {} | Reason::SoilContact {} | Reason::Frost { .. }
        )
    }

    /// Whether zones of the same source are tested one after another.
    pub(crate) fn is_diagnosis(&self) -> bool {
        matches!(self.reason, Reason::Diagnosing { .. })
    }

    /// Whether a person's pause of water holds.
    pub(crate) fn is_pause(&self) -> bool {
        self.until.is_some()
    }

    /// The reason with the numbers of a moment.
    pub(crate) fn reason_at(&self, now: Now) -> Reason {
        let remaining_s = |until: MonoMs| until.since_ms(now.mono).div_ceil(1000);
        let paused = self.until.map(|until| Reason::WaterPaused { remaining_s: remaining_s(until) });
        paused.unwrap_or_else(|| self.reason.clone())
    }
}

impl Turn<'_> {
    fn mono(&self) -> MonoMs {
        self.now.mono
    }

    fn after_s(&self, span_s: u32) -> MonoMs {
        self.now.mono.plus_ms(u64::from(span_s) * 1000)
    }

    fn wall_after_s(&self, span_s: u32) -> Option<UnixMs> {
        self.now.wall.map(|wall| wall.plus_ms(u64::from(span_s) * 1000))
    }
}

impl Desk {
    fn command(&mut self, turn: &mut Turn<'_>) -> CommandId {
        let command = *turn.next_command;
        *turn.next_command = CommandId(command.0.saturating_add(1));
        turn.owners.insert(command, self.idx);
        self.commands.push(command);
        command
    }

    fn open(
        &mut self,
        turn: &mut Turn<'_>,
        (run_s, volume): (u32, Option<Millilitres>),
        ttl_s: u32,
        reason: Reason,
    ) -> SentOpen {
        let command = self.command(turn);
        let (zone, valve) = (self.id.clone(), self.valve.clone());
        turn.actions.push_back(Action::Open { command, zone, valve, run_s, volume, ttl_s, reason });
        SentOpen { command, sent_at: turn.mono(), run_s, ttl_s }
    }

    fn close(&mut self, turn: &mut Turn<'_>, reason: Reason) -> CommandId {
        let command = self.command(turn);
        let (zone, valve) = (self.id.clone(), self.valve.clone());
        turn.actions.push_back(Action::Close { command, zone, valve, reason });
        command
    }

    fn forget_commands(&mut self, turn: &mut Turn<'_>) {
        for command in self.commands.drain(..) {
            turn.owners.remove(&command);
        }
    }

    fn tell(
        &mut self,
        turn: &mut Turn<'_>,
        event: Event,
        by: By,
        reason: Reason,
        command: Option<CommandId>,
    ) {
        self.tell_measured(turn, event, by, reason, command, Measured::default());
    }

    fn tell_measured(
        &mut self,
        turn: &mut Turn<'_>,
        event: Event,
        by: By,
        reason: Reason,
        command: Option<CommandId>,
        measured: Measured,
    ) {
        let now = turn.now;
        self.last = Some(LastDecision { event, reason: reason.clone(), at: now.wall, mono: now.mono });
        turn.actions.push_back(Action::Diary(Entry {
            at: now.wall,
            mono: now.mono,
            zone: Some(self.id.clone()),
            event,
            command,
            by,
            reason,
            run_ms: measured.run_ms,
            volume: measured.volume,
        }));
    }
}

impl Zone {
    /// A zone after a start: what is remembered holds, and its valve is unknown.
    pub(crate) fn after_start(
        idx: usize,
        id: ZoneId,
        plan: ZonePlan,
        invalid: Option<&'static str>,
        memory: ZoneMemory,
        turn: &Turn<'_>,
    ) -> Self {
        let now = turn.now;
        // A civil time is believed only where it makes the wait no longer than the whole span, and only backwards.
        let left_of = |end: Option<UnixMs>, span_s: u32| {
            let span_ms = u64::from(span_s) * 1000;
            let left_ms = match (end, now.wall) {
                (Some(end), Some(wall)) if wall >= UnixMs(end.0.saturating_sub_unsigned(span_ms)) => {
                    end.since_ms(wall)
                }
                _ => span_ms,
            };
            now.mono.plus_ms(left_ms.min(span_ms))
        };
        let min_off_s = plan.min_off_s;
        let off_end = memory.last_closed_at.map(|at| at.plus_ms(u64::from(min_off_s) * 1000));
        let pause_s = pause_s(memory.failures, turn.timing);
        let rest_s = turn.timing.person_rest_s;
        Self {
            desk: Desk { idx, id, valve: plan.valve.clone(), commands: Vec::new(), last: None },
            invalid,
            probes: vec![Probe::default(); plan.probes.len()],
            is_online: None,
            phase: Phase::Closing(Closing::after_start(&plan, memory.open, turn)),
            since: now.mono,
            is_memory_changed: false,
            pause_until: if memory.failures == 0 { now.mono } else { left_of(memory.paused_until, pause_s) },
            rest_until: memory.rest.as_ref().map_or(now.mono, |rest| left_of(rest.until, rest_s)),
            off_until: off_end.map_or(now.mono, |end| left_of(Some(end), min_off_s)),
            wet_until: now.mono.plus_ms(SETTLE_MS),
            dead_through: None,
            told: None,
            timer: None,
            close_from: now.mono,
            keep_until: now.mono,
            slack_s: 0,
            gate: None,
            suspension: None,
            refill_until: now.mono,
            lacking: Lacking::default(),
            trial: None,
            is_split: false,
            leaving: None,
            memory,
            plan,
        }
    }

    /// Leaves the valve to another zone that has it by the plan's mistake: not even a Close goes out.
    pub(crate) fn mute(&mut self) {
        self.phase = Phase::Closed;
    }

    /// How much longer than its run the lease is to be, so that a pump can go off first.
    pub(crate) fn set_slack_s(&mut self, slack_s: u32) {
        self.slack_s = slack_s;
    }

    /// Takes in what guards hold back; returns whether that is another cause than before.
    pub(crate) fn set_gate(&mut self, gate: Option<Gate>) -> bool {
        let is_same = match (&self.gate, &gate) {
            (None, None) => true,
            (Some(a), Some(b)) => a.is_safety == b.is_safety && a.reason.is_same_cause(&b.reason),
            (None, Some(_)) | (Some(_), None) => false,
        };
        self.gate = gate;
        !is_same
    }

    /// Takes in the pauses that people have set; returns whether what holds for the zone is another than before.
    pub(crate) fn heed_pauses(&mut self, farm: &FarmState) -> bool {
        let suspension = farm.suspension(&self.desk.id, self.plan.guards.ignores.rain_delay);
        std::mem::replace(&mut self.suspension, suspension) != suspension
    }

    /// The soil's "wet enough" ends no run before `at`.
    pub(crate) fn keep_until(&mut self, at: MonoMs) {
        self.keep_until = at;
    }

    /// Whether the zone's source is, or may be, in use.
    pub(crate) fn holds_source(&self) -> bool {
        !matches!(self.phase, Phase::Closed)
    }

    /// Takes a reading of one of the zone's probes; returns whether it was news.
    pub(crate) fn accept_reading(&mut self, now: Now, probe_idx: usize, news: News) -> bool {
        let is_wet = self.holds_source() || now.mono < self.wet_until;
        let Some(probe) = self.probes.get_mut(probe_idx) else { return false };
        probe.accept(now, news, is_wet, &self.plan)
    }

    /// Dates readings that were received without a clock.
    pub(crate) fn date_readings(&mut self, now: Now, doubt_ms: u64) {
        self.probes.iter_mut().for_each(|probe| probe.date(now, doubt_ms));
    }

    /// Does everything whose time has come, and ends a run that must not go on. Harmless at any time.
    pub(crate) fn tick(&mut self, turn: &mut Turn<'_>) {
        self.tick_trial(turn);
        if let Some(reason) = self.stop_wanted(turn) {
            self.stop(turn, reason, By::Engine, false);
        }
        match &self.phase {
            Phase::Closed => self.tick_errands(turn),
            Phase::Opening(_) => self.tick_opening(turn),
            Phase::Open(_) => self.tick_open(turn),
            Phase::Closing(_) => self.tick_closing(turn),
            Phase::Local(local) => {
                if turn.mono() >= local.until {
                    let waited_s = turn.mono().since_ms(self.since) / 1000;
                    self.end(turn, Reason::ValveSilent { waited_s }, By::Engine);
                }
            }
        }
    }

    /// When the zone wants the next [`Self::tick`] if nothing happens until then.
    pub(crate) fn deadline(&self, turn: &Turn<'_>) -> Option<MonoMs> {
        let of_phase = match &self.phase {
            Phase::Closed => self.deadline_closed(turn),
            Phase::Opening(opening) => {
                let of_run = self.deadline_run(turn, &opening.run);
                earliest([Some(opening.deadline(turn.timing)), of_run])
            }
            Phase::Open(watering) => {
                let of_run = self.deadline_run(turn, &watering.run);
                let is_reachable = self.is_online != Some(false);
                earliest([Some(watering.deadline(turn.timing, is_reachable)), of_run])
            }
            Phase::Closing(closing) => Some(closing.deadline(self.is_online != Some(false))),
            Phase::Local(local) => Some(local.until),
        };
        // Strictly ahead: a deadline that has passed was served by the tick before.
        of_phase.map(|at| at.max(turn.mono().plus_ms(1)))
    }

    /// The memory when it has changed since the last call.
    pub(crate) fn take_memory(&mut self) -> Option<ZoneMemory> {
        std::mem::take(&mut self.is_memory_changed).then(|| self.memory.clone())
    }

    fn remember_open(&mut self, turn: &Turn<'_>, sent: SentOpen, is_manual: bool, over_at: MonoMs) {
        let until = turn.now.wall.map(|wall| wall.plus_ms(over_at.since_ms(turn.mono())));
        self.memory.open =
            Some(OpenMemory { command: sent.command, run_s: sent.run_s, until, manual: is_manual });
        self.is_memory_changed = true;
    }

    fn enter(&mut self, turn: &Turn<'_>, phase: Phase) {
        self.phase = phase;
        self.since = turn.mono();
        if matches!(self.phase, Phase::Open(_)) {
            self.water_begins(turn.now);
        } else {
            self.water_ends(turn.mono());
        }
    }
}

/// The first of several moments.
fn earliest<const N: usize>(moments: [Option<MonoMs>; N]) -> Option<MonoMs> {
    moments.into_iter().flatten().min()
}
