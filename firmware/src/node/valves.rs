//! What the node does with its valves: who may open one, what is in flash before it moves, what is recorded when it closes.
//!
//! [`crate::drip`] knows deadlines; here they meet flash, supply, drive faults and the records that account for each run.

use super::Node;
use crate::board::Drive;
use crate::drip::Request;
use crate::settings::{Kept, Running, ValveKind, ValvePlan};
use giot_shared::ids::{CommandId, ValveId};
use giot_shared::time::UptimeMs;
use giot_shared::units::Millivolts;
use giot_shared::valve::{CloseReason, RefusalReason};
use giot_shared::wire::{Body, ResetCause, VALVES_MAX, ValveEvent};

/// Time until a valve that did not close is driven again, ms: for ever, because an open valve is water at risk.
const DRIVE_AGAIN_MS: u64 = 1000;
/// Time between looks at the supply while a valve is open, ms: the closing must come while there is energy for it.
const SUPPLY_LOOK_MS: u64 = 5000;

/// Why a valve is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriveReason {
    /// A command.
    Ordered(CommandId),
    /// The button.
    Local,
    /// The run is over.
    Closing(CloseReason),
    /// The drive reported a fault at the last closing.
    Again,
}

/// An opening that waits until the supply was looked at, where there is a rule for it, and until counter and mark are in flash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) request: Request,
    /// The supply is to be read first: what was known of it is as old as the last record of the node's own state.
    pub(super) awaits_supply: bool,
}

/// A movement that is to be made: at once, or again later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub(super) drive: Drive,
    pub(super) reason: DriveReason,
    pub(super) not_before: Option<UptimeMs>,
}

/// The movement that closes a valve whatever its state: twice for a latching one, because nobody sees whether the first
/// pulse found enough energy. The first thing of every boot, before flash or network are touched, and the last of a node that is told to
/// end.
#[must_use]
pub const fn closing_of(plan: &ValvePlan) -> Drive {
    let times = match plan.kind {
        ValveKind::Relay => 1,
        ValveKind::Latching => 2,
    };
    Drive { valve: plan.valve, kind: plan.kind, open: false, times }
}

impl Node {
    /// A person pressed a valve's button: closes it, or opens it for its local run under the same lease rules.
    pub fn handle_button(&mut self, now: UptimeMs, valve: ValveId) {
        if self.drip.is_open(valve) {
            self.close(now, valve, CloseReason::LocalButton);
            return;
        }
        let Some(plan) = self.drip.plan(valve).copied() else { return };
        let run_s = plan.local_run_s.clamp(1, plan.hard_max_s.max(1));
        let request = Request { valve, run_s, volume: None, command: None, is_outlet: true };
        // Refused without a word: the lamp at the valve stays dark.
        if self.may_open(&request).is_ok() {
            self.prepare(request);
        }
    }

    /// A valve did not move. One that should open counts as closed and is driven closed; one that should close is driven
    /// again until it does.
    pub fn handle_drive_fault(&mut self, now: UptimeMs, drive: Drive) {
        if drive.open {
            self.close(now, drive.valve, CloseReason::Fault);
        } else {
            let again =
                Move { drive, reason: DriveReason::Again, not_before: Some(now.plus_ms(DRIVE_AGAIN_MS)) };
            self.plan_move(again);
        }
    }

    /// What became of [`super::Action::Persist`]: only when counter and mark are in flash, a waiting valve opens.
    pub fn handle_persisted(&mut self, now: UptimeMs, persisted: bool) {
        let Some(Pending { request, .. }) = self.pending.take_if(|pending| !pending.awaits_supply) else {
            // The mark of a closed run stays: the next boot knows its end while that is in flash, and records it a second time, as
            // cut, when the gateway has taken it.
            return;
        };
        let opened = if persisted {
            self.drip.open(now, &request, self.config.meter.is_some())
        } else {
            Err(RefusalReason::Busy)
        };
        match opened {
            Ok(event) => {
                let reason = request.command.map_or(DriveReason::Local, DriveReason::Ordered);
                self.drive(request.valve, true, reason);
                self.schedule.valve_changed(&self.config, &self.drip, request.valve, now);
                self.record(now, Body::Valve(event));
                self.plan_supply_look(now);
            }
            // The mark was written for nothing.
            Err(_) => self.unsaved = persisted,
        }
        if request.command.is_some() {
            self.answer(now, request.command, opened.err());
        }
    }

    /// Closes every valve, for a restart in good order; the runs are recorded.
    pub fn close_all(&mut self, now: UptimeMs, reason: CloseReason) {
        let open: heapless::Vec<ValveId, VALVES_MAX> = self.drip.open_valves().collect();
        for valve in open {
            self.close(now, valve, reason);
        }
    }

    /// Ends the node in good order: runs are recorded, an opening that still waits for the flash is given up, and every valve of the
    /// plan is driven closed whatever it is thought to be, because the next boot may be one without a node.
    pub fn shut(&mut self, now: UptimeMs) {
        if let Some(Pending { request, .. }) = self.pending.take()
            && request.command.is_some()
        {
            self.answer(now, request.command, Some(RefusalReason::Busy));
        }
        self.close_all(now, CloseReason::Boot);
        let plans: heapless::Vec<ValvePlan, VALVES_MAX> = self.config.valves.clone();
        for plan in &plans {
            let reason = DriveReason::Closing(CloseReason::Boot);
            self.plan_move(Move { drive: closing_of(plan), reason, not_before: None });
        }
    }

    pub(super) fn close_due(&mut self, now: UptimeMs) {
        while let Some(event) = self.drip.expire(now) {
            self.after_close(now, event);
        }
    }

    pub(super) fn close(&mut self, now: UptimeMs, valve: ValveId, reason: CloseReason) -> bool {
        let event = self.drip.close(now, valve, reason);
        if let Some(event) = event {
            self.after_close(now, event);
        }
        event.is_some()
    }

    pub(super) fn after_close(&mut self, now: UptimeMs, event: ValveEvent) {
        let reason = event.closed_by.map_or(DriveReason::Again, DriveReason::Closing);
        self.drive(event.valve, false, reason);
        self.schedule.valve_changed(&self.config, &self.drip, event.valve, now);
        self.record(now, Body::Valve(event));
        self.record_water(now);
        self.unsaved = true;
    }

    pub(super) fn drive(&mut self, valve: ValveId, open: bool, reason: DriveReason) {
        let Some(plan) = self.drip.plan(valve) else { return };
        // A brown-out leaves energy for little: the second pulse is for the case that the first one fell short.
        let short = reason == DriveReason::Closing(CloseReason::BrownOut);
        let times = if short && plan.kind == ValveKind::Latching { 2 } else { 1 };
        self.plan_move(Move {
            drive: Drive { valve, kind: plan.kind, open, times },
            reason,
            not_before: None,
        });
    }

    /// The newest movement of a valve replaces an older one that was not made.
    pub(super) fn plan_move(&mut self, movement: Move) {
        self.moves.retain(|known| known.drive.valve != movement.drive.valve);
        // One entry per valve: there is always room.
        let _full = self.moves.push(movement);
    }

    pub(super) fn handle_supply(
        &mut self,
        now: UptimeMs,
        supply: Millivolts,
        brown_out: Millivolts,
        resume: Millivolts,
    ) {
        if supply < brown_out {
            self.low_power = true;
            self.close_all(now, CloseReason::BrownOut);
        } else if supply >= resume {
            self.low_power = false;
        }
    }

    pub(super) fn awaits_supply(&self) -> bool {
        self.pending.is_some_and(|pending| pending.awaits_supply)
    }

    /// The supply was read, or could not be: an opening that waits for it goes on only when it suffices.
    pub(super) fn supply_is_read(&mut self, now: UptimeMs, is_known: bool) {
        let Some(pending) = self.pending.as_mut().filter(|pending| pending.awaits_supply) else { return };
        pending.awaits_supply = false;
        let command = pending.request.command;
        if self.low_power || !is_known {
            self.pending = None;
            if command.is_some() {
                self.answer(now, command, Some(RefusalReason::LowPower));
            }
        }
    }

    pub(super) fn plan_supply_look(&mut self, now: UptimeMs) {
        let needed = self.config.supply.is_some() && (self.low_power || self.drip.next_deadline().is_some());
        if needed && self.supply_look_at.is_none() {
            self.supply_look_at = Some(now.plus_ms(SUPPLY_LOOK_MS));
        }
    }

    /// Whether a valve may open at all at this moment, whoever asks.
    pub(super) fn may_open(&self, request: &Request) -> Result<ValvePlan, RefusalReason> {
        let plan = self.drip.check(request)?;
        if self.low_power {
            return Err(RefusalReason::LowPower);
        }
        // Two events of this run, and the closing of every run that goes on, must fit: an event is never given up.
        let reserved = 2 + u32::try_from(self.drip.open_valves().count()).unwrap_or(u32::MAX);
        let queued = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        let room = self.level.events_room >= reserved.saturating_add(queued);
        // An event that the flash does not take means that no run could be accounted for.
        if room && self.pending.is_none() && self.keep_at.is_none() {
            Ok(plan)
        } else {
            Err(RefusalReason::Busy)
        }
    }

    pub(super) fn prepare(&mut self, request: Request) {
        let awaits_supply = self.config.supply.is_some();
        self.vitals_due |= awaits_supply;
        self.pending = Some(Pending { request, awaits_supply });
        self.unsaved = true;
    }

    /// The mark of a closed run is cleared only when its event is in flash.
    pub(super) fn may_persist(&self) -> bool {
        self.unsaved && (self.records.is_empty() || self.pending.is_some()) && !self.awaits_supply()
    }

    pub(super) fn to_keep(&self) -> Kept {
        let mut running = self.drip.running();
        // While an event of a cut run waits for the flash, its mark stays.
        for (_, body) in &self.records {
            if let Body::Valve(ValveEvent { valve, open: false, command, .. }) = body {
                mark(&mut running, Running { valve: *valve, command: *command });
            }
        }
        if let Some(Pending { request, .. }) = self.pending {
            running.retain(|run| run.valve != request.valve);
            mark(&mut running, Running { valve: request.valve, command: request.command });
        }
        let made = (!running.is_empty()).then_some(self.level.last);
        Kept { counter: self.counter, running, made }
    }

    pub(super) fn record_cut_runs(&mut self, now: UptimeMs) {
        let reason = match self.boot.reset {
            ResetCause::PowerOn | ResetCause::Software | ResetCause::Sleep | ResetCause::Unknown => {
                CloseReason::Boot
            }
            ResetCause::BrownOut => CloseReason::BrownOut,
            ResetCause::Watchdog => CloseReason::Watchdog,
            ResetCause::Panic => CloseReason::Panic,
        };
        for run in &self.boot.kept.running {
            let event = ValveEvent {
                valve: run.valve,
                open: false,
                command: run.command,
                closed_by: Some(reason),
                run_ms: None,
                volume: None,
            };
            // There is room: at most one run per valve.
            let _full = self.records.push_back((now, Body::Valve(event)));
        }
    }
}

fn mark(running: &mut heapless::Vec<Running, VALVES_MAX>, run: Running) {
    if running.iter().all(|known| known.valve != run.valve) {
        // One entry per valve: there is always room.
        let _full = running.push(run);
    }
}
