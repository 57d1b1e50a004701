//! Everything the node decides, without I/O: when to read what, which order to obey, what to record, when to close.
//!
//! The caller passes events and the time in (`handle_…`), then takes actions (`poll_action`) until there are none, and
//! calls [`Node::handle_timeout`] at [`Node::poll_timeout`]; a call too many does no harm. Two actions have an outcome
//! that decides what follows: after [`Action::Keep`] call [`Node::handle_kept`], after [`Action::Persist`] call
//! [`Node::handle_persisted`], before the next action is taken.
//!
//! Order of what is done: valves move before anything else; a valve event is in flash before the mark of its run is
//! cleared; counter and mark are in flash before a valve opens. So a reset at any moment leaves either a closed valve
//! or a mark from which the next boot records the cut run, unless it finds the run's event behind the mark.

mod change;
mod orders;
mod rail;
mod rest;
mod schedule;
mod valves;

pub use change::Standing;
pub use valves::{DriveReason, closing_of};

use crate::board::{Drive, Vitals};
use crate::drip::{Drip, Request};
use crate::outbox::{Ended, Level};
use crate::probe::{self, ProbeFault, Sample};
use crate::settings::{Kept, NodeConfig, Unmet};
use crate::sleep::DRIFT_OF_SLEEP;
use change::Change;
use giot_shared::ids::{CommandId, Position, ProbeId};
use giot_shared::metric::Metric;
use giot_shared::time::{Anchor, UptimeMs};
use giot_shared::valve::RefusalReason;
use giot_shared::wire::{
    Answer, Body, EndedEpoch, Health, Hello, ResetCause, Settings, SettingsEvent, VALVES_MAX,
};
use orders::Bucket;
use rail::Rail;
use schedule::Schedule;
use valves::{Move, Pending};

/// Firmware version as a Hello carries it.
pub const FIRMWARE: &str = env!("CARGO_PKG_VERSION");

/// Time until a valve event that the flash did not take is tried again, ms.
const KEEP_AGAIN_MS: u64 = 5000;
/// Records that may wait for the flash: an opening and a closing of every valve and the meter's total of each.
const RECORDS_MAX: usize = 3 * VALVES_MAX;
/// The number under which the battery's charge is told; its metric is its own.
const BATTERY_PROBE: ProbeId = ProbeId(0);
/// Answers that may wait for the link: as many as a burst of refusals is answered with.
const ANSWERS_MAX: usize = 8;

/// How this boot begins.
#[derive(Clone, Debug)]
pub struct Boot {
    /// Boot counter, already in flash.
    pub epoch: u32,
    /// Why this boot happened.
    pub reset: ResetCause,
    /// What the last boot left.
    pub kept: Kept,
    /// Up to here the gateway has everything.
    pub released: Position,
    /// Start of this boot's nonces.
    pub nonce_seed: u64,
    /// Where this boot stands with settings from over the air.
    pub standing: Standing,
    /// Earlier epochs of which records wait.
    pub ended: Ended,
    /// Earlier boots that met no gateway.
    pub unmet: Unmet,
}

/// What the caller must do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "lives on the stack for one step; a box would need a heap")]
pub enum Action {
    /// Move a valve; a failure goes to [`Node::handle_drive_fault`].
    Drive(Drive, DriveReason),
    /// Append to the outbox, then tell [`Node::handle_kept`].
    Keep(UptimeMs, Body),
    /// Write durably, then tell [`Node::handle_persisted`].
    Persist(Kept),
    /// Send at once, before any records.
    Answer(Answer),
    /// Send at once; the caller adds the time of a battery-backed clock.
    Hello(Hello),
    /// The gateway greeted this session and has everything up to here: records may flow from there.
    Welcome(Position),
    /// The gateway has everything up to here.
    Release(Position),
    /// Reset, with an epoch above this one: the gateway knows records that this node never made, because its flash was
    /// lost; or settings change.
    Restart(u32),
    /// Keep settings for the next boot, then tell [`Node::handle_changed`].
    Change(Settings),
    /// Keep what became of the settings on trial, then tell [`Node::handle_settled`].
    Settle(SettingsEvent),
    /// Switch the supply of the probes on the RS485 line on or off, then tell [`Node::handle_powered`].
    PowerProbes(bool),
    /// Begin to read a probe, and when it is read tell [`Node::handle_sample`]; other things are to be done meanwhile.
    ReadProbe(ProbeId),
    /// Read supply and radio, then tell [`Node::handle_vitals`].
    ReadVitals,
}

/// The node.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    boot: Boot,
    drip: Drip,
    schedule: Schedule,
    rail: Rail,
    counter: u64,
    anchor: Option<Anchor>,
    /// By how much the anchor may be behind: how long its Welcome can have been on its way, ms.
    anchor_late_ms: u64,
    nonce_state: u64,
    nonce: Option<u64>,
    hello_sent_at: Option<UptimeMs>,
    hello_again_at: Option<UptimeMs>,
    connected: bool,
    low_power: bool,
    supply_look_at: Option<UptimeMs>,
    level: Level,
    metered_ul: u64,
    /// Time of this epoch that a sleeping chip counted, ms.
    slept_ms: u64,
    garbage: Bucket,
    pending: Option<Pending>,
    moves: heapless::Vec<Move, VALVES_MAX>,
    records: heapless::Deque<(UptimeMs, Body), RECORDS_MAX>,
    keep_at: Option<UptimeMs>,
    keeping: bool,
    unsaved: bool,
    answers: heapless::Deque<Answer, ANSWERS_MAX>,
    hello_due: bool,
    welcome: Option<Position>,
    release: Option<Position>,
    restart: Option<u32>,
    change: Change,
    vitals_due: bool,
}

impl Node {
    /// A node whose valves were closed by [`closing_of`]. Runs that the last boot left open are recorded as cut.
    #[must_use]
    pub fn new(config: NodeConfig, boot: Boot, now: UptimeMs) -> Self {
        let drip = Drip::new(&config.valves);
        let schedule = Schedule::new(&config, now);
        let mut node = Self {
            counter: boot.kept.counter,
            nonce_state: boot.nonce_seed,
            nonce: None,
            drip,
            schedule,
            rail: Rail::new(config.probe_warm_ms),
            anchor: None,
            anchor_late_ms: 0,
            hello_sent_at: None,
            hello_again_at: None,
            connected: false,
            low_power: false,
            supply_look_at: None,
            level: Level::default(),
            metered_ul: 0,
            slept_ms: 0,
            garbage: Bucket::new(now),
            pending: None,
            moves: heapless::Vec::new(),
            records: heapless::Deque::new(),
            keep_at: None,
            keeping: false,
            unsaved: !boot.kept.running.is_empty(),
            answers: heapless::Deque::new(),
            hello_due: false,
            welcome: None,
            release: None,
            restart: None,
            change: Change::new(&boot.standing, now),
            vitals_due: true,
            config,
            boot,
        };
        node.record_cut_runs(now);
        if let Some(event) = node.boot.standing.news {
            node.record(now, Body::Settings(event));
        }
        node
    }

    /// The link stands: says Hello.
    pub fn handle_connected(&mut self, _now: UptimeMs) {
        self.connected = true;
        self.hello_due = true;
    }

    /// The link is gone: what was to be said on it is void.
    pub fn handle_disconnected(&mut self, _now: UptimeMs) {
        self.connected = false;
        self.hello_due = false;
        self.answers.clear();
        self.hello_sent_at = None;
        self.hello_again_at = None;
    }

    /// Says Hello again: the last one was not answered.
    pub const fn request_hello(&mut self) {
        self.hello_due = self.connected;
    }

    /// The supply of the probes on the RS485 line was switched: the warm-up counts from here.
    pub fn handle_powered(&mut self, now: UptimeMs) {
        self.rail.handle_powered(now);
    }

    /// A probe was read.
    pub fn handle_sample(&mut self, now: UptimeMs, probe: ProbeId, sample: Result<Sample, ProbeFault>) {
        self.take_sample(now, probe, sample);
        if sample == Err(ProbeFault::Silent) {
            // What became due while it was waited for belongs to the round.
            self.schedule.handle_timeout(now);
            while let Some(missing) = self.schedule.poll_missing(probe) {
                self.take_sample(now, missing, sample);
            }
            self.schedule.ask_last(probe);
        }
    }

    /// An input delivered a ready value by itself; `None`: it should have, and did not.
    pub fn handle_value(&mut self, now: UptimeMs, probe: ProbeId, metric: Metric, value: Option<i32>) {
        self.record(now, Body::Reading(probe::direct(probe, metric, value)));
    }

    /// Supply and radio were read: the brown-out close, and the node's own record when it is due.
    pub fn handle_vitals(&mut self, now: UptimeMs, vitals: Vitals) {
        if let (Some(supply), Some(plan)) = (vitals.supply, self.config.supply) {
            self.handle_supply(now, supply, plan.brown_out, plan.resume);
        }
        self.supply_is_read(now, vitals.supply.is_some());
        self.supply_look_at = None;
        self.plan_supply_look(now);
        if self.schedule.health_done(&self.config, now) {
            let health =
                Health { supply: vitals.supply, waiting: self.level.waiting, signal_dbm: vitals.signal_dbm };
            self.record(now, Body::Health(health));
            if let (Some(supply), Some(battery)) = (vitals.supply, self.config.battery) {
                let percent = i32::from(battery.charge_percent(supply));
                let reading = probe::direct(BATTERY_PROBE, Metric::BatteryCharge, Some(percent));
                self.record(now, Body::Reading(reading));
            }
            self.record_water(now);
        }
    }

    /// The meter counted.
    pub fn handle_pulses(&mut self, now: UptimeMs, pulses: u32) {
        let Some(meter) = self.config.meter else { return };
        let microlitres = u64::from(pulses).saturating_mul(u64::from(meter.microlitres_per_pulse));
        self.metered_ul = self.metered_ul.saturating_add(microlitres);
        self.drip.add_water(microlitres);
        self.close_due(now);
    }

    /// The outbox changed.
    pub const fn handle_outbox(&mut self, level: Level) {
        self.level = level;
    }

    /// What became of [`Action::Keep`]. A valve event is tried again; a reading that the flash did not take is lost and
    /// leaves a visible gap.
    pub fn handle_kept(&mut self, now: UptimeMs, kept: bool) {
        if !core::mem::take(&mut self.keeping) {
            return;
        }
        let is_event = matches!(self.records.front(), Some((_, Body::Valve(_))));
        if kept || !is_event {
            self.records.pop_front();
            self.keep_at = None;
        } else {
            self.keep_at = Some(now.plus_ms(KEEP_AGAIN_MS));
        }
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: UptimeMs) {
        self.close_due(now);
        if self.keep_at.is_some_and(|at| at <= now) {
            self.keep_at = None;
        }
        for movement in &mut self.moves {
            if movement.not_before.is_some_and(|at| at <= now) {
                movement.not_before = None;
            }
        }
        self.change_timeout(now);
        self.rail.handle_timeout(now);
        self.schedule.handle_timeout(now);
        if self.schedule.health_is_due() || self.supply_look_at.is_some_and(|at| at <= now) {
            self.supply_look_at = None;
            self.vitals_due = true;
        }
        if self.connected && self.hello_at().is_some_and(|at| at <= now) {
            self.hello_due = true;
        }
    }

    /// The next thing to do, valves first and probes last: one at a time.
    pub fn poll_action(&mut self, now: UptimeMs) -> Option<Action> {
        self.poll_urgent(now).or_else(|| match self.rail.poll(now, self.schedule.line_at()) {
            Some(on) => Some(Action::PowerProbes(on)),
            None => self.schedule.poll_probe(self.rail.is_ready()).map(Action::ReadProbe),
        })
    }

    fn poll_urgent(&mut self, now: UptimeMs) -> Option<Action> {
        if let Some(index) = self.moves.iter().position(|movement| movement.not_before.is_none()) {
            let movement = self.moves.remove(index);
            return Some(Action::Drive(movement.drive, movement.reason));
        }
        if self.keeping {
            return None;
        }
        if let Some(answer) = self.answers.pop_front() {
            return Some(Action::Answer(answer));
        }
        if self.keep_at.is_none()
            && let Some((at, body)) = self.records.front()
        {
            self.keeping = true;
            return Some(Action::Keep(*at, body.clone()));
        }
        if self.awaits_supply() && core::mem::take(&mut self.vitals_due) {
            return Some(Action::ReadVitals);
        }
        if self.may_persist() {
            self.unsaved = false;
            return Some(Action::Persist(self.to_keep()));
        }
        if let Some(epoch) = self.restart.take() {
            return Some(Action::Restart(epoch));
        }
        if let Some(action) = self.poll_change() {
            return Some(action);
        }
        if let Some(stored) = self.welcome.take() {
            return Some(Action::Welcome(stored));
        }
        if let Some(stored) = self.release.take() {
            return Some(Action::Release(stored));
        }
        if core::mem::take(&mut self.hello_due) {
            return Some(Action::Hello(self.hello(now)));
        }
        core::mem::take(&mut self.vitals_due).then_some(Action::ReadVitals)
    }

    /// When [`Self::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<UptimeMs> {
        let moves = self.moves.iter().filter_map(|movement| movement.not_before).min();
        let hello = self.hello_at().filter(|_| self.connected);
        let times = [
            self.drip.next_deadline(),
            moves,
            self.keep_at,
            self.supply_look_at,
            hello,
            self.change.next_at(),
            self.schedule.next_at(),
            self.rail.next_at(self.schedule.line_at()),
        ];
        times.into_iter().flatten().min()
    }

    /// The boot counter.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.boot.epoch
    }

    /// Up to here the gateway has everything.
    #[must_use]
    pub const fn released(&self) -> Position {
        self.boot.released
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &NodeConfig {
        &self.config
    }

    fn take_sample(&mut self, now: UptimeMs, probe: ProbeId, sample: Result<Sample, ProbeFault>) {
        let Some(plan) = self.config.probes.iter().find(|plan| plan.probe == probe) else { return };
        let reading = probe::reading(plan, sample);
        self.schedule.probe_done(&self.config, &self.drip, probe, now);
        self.record(now, Body::Reading(reading));
    }

    /// The meter's total, so that water outside of runs is accounted for too.
    fn record_water(&mut self, now: UptimeMs) {
        let Some(meter) = self.config.meter else { return };
        // From 0 again after 2^31 mL: whoever adds up sees a counter that began anew.
        let total = i32::try_from(self.metered_ul / 1000 % (1 << 31)).unwrap_or(0);
        let reading = probe::direct(meter.probe, Metric::WaterVolume, Some(total));
        self.record(now, Body::Reading(reading));
    }

    /// Queues a record. When the flash lags so far behind that the queue is full, readings are given up.
    fn record(&mut self, now: UptimeMs, body: Body) {
        if self.records.is_full() && matches!(body, Body::Valve(_)) {
            self.drop_queued_reading();
        }
        let _full = self.records.push_back((now, body));
    }

    fn drop_queued_reading(&mut self) {
        // The front may be on its way to the flash.
        let first = usize::from(self.keeping);
        let is_reading = |(_, body): &(UptimeMs, Body)| !matches!(body, Body::Valve(_));
        let Some(victim) = self.records.iter().skip(first).position(is_reading).map(|index| index + first)
        else {
            return;
        };
        for index in 0..self.records.len() {
            if let Some(entry) = self.records.pop_front()
                && index != victim
            {
                // Room was made by the pop.
                let _full = self.records.push_back(entry);
            }
        }
    }

    fn answer(&mut self, now: UptimeMs, command: Option<CommandId>, refused: Option<RefusalReason>) {
        // Bounded by the link: an answer that finds no room was one of a burst, and the gateway asks again.
        let _full = self.answers.push_back(Answer { command, refused, uptime: now });
    }

    fn hello_at(&self) -> Option<UptimeMs> {
        let usual = self.hello_sent_at.map(|at| at.plus_ms(self.config.hello_interval_ms));
        usual.into_iter().chain(self.hello_again_at).min()
    }

    /// The epochs before this one of which records wait still. After a deep sleep this one has records of before.
    fn ended(&self) -> Ended {
        let waits = |one: &&EndedEpoch| (self.boot.released.epoch..self.boot.epoch).contains(&one.epoch);
        self.boot.ended.iter().filter(waits).copied().collect()
    }

    fn hello(&mut self, now: UptimeMs) -> Hello {
        self.nonce_state = self.nonce_state.wrapping_add(NONCE_STEP);
        let nonce = mix(self.nonce_state);
        self.nonce = Some(nonce);
        self.hello_sent_at = Some(now);
        self.hello_again_at = None;
        Hello {
            nonce,
            epoch: self.boot.epoch,
            uptime: now,
            released: self.boot.released,
            counter: self.counter,
            reset: self.boot.reset,
            firmware: heapless::String::try_from(FIRMWARE).unwrap_or_default(),
            valves: self.drip.reports(now),
            clock: None,
            drift_ms: u32::try_from(self.slept_ms / DRIFT_OF_SLEEP).unwrap_or(u32::MAX),
            ended: self.ended(),
            unmet: self.boot.unmet.clone(),
        }
    }
}

/// Odd, so that the state runs through every value before one returns (Steele et al. 2014, SplitMix64).
const NONCE_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64: one-to-one, so that nonces do not repeat within an epoch. They need not be secret,
/// because the answer is authenticated.
const fn mix(state: u64) -> u64 {
    let x = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests;
