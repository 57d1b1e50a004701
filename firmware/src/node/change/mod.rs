//! Settings from over the air: which are taken, and when a boot that tries them has succeeded or failed.
//!
//! The text itself and its place in flash are the caller's ([`crate::settings::Setup`]). Nothing is changed while a valve
//! is open or about to open: the restart that follows would cut its run.
//!
//! | | |
//! |---|---|
//! | taken | answered at once; restart after [`RESTART_MS`], so that the answer is on its way |
//! | tried | until a Welcome: confirmed; or until its time is over: given up, restart |
//! | over | the outcome is recorded, and stays in flash until its record is |

use super::{Action, Node};
use giot_shared::ids::CommandId;
use giot_shared::time::UptimeMs;
use giot_shared::valve::RefusalReason;
use giot_shared::wire::{Body, Settings, SettingsEvent, SettingsOutcome};

/// Time from the answer to the restart, ms: the answer's way through the link.
const RESTART_MS: u64 = 3000;
/// Bounds of the time in which the gateway must be reached, s: a connection with its retries, and what a farm can be
/// without this node.
const WITHIN_S: core::ops::RangeInclusive<u32> = 20..=3600;

/// Where the node stands with settings from over the air.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Change {
    /// Nothing is changed.
    #[default]
    None,
    /// These wait for the flash.
    Asked(Settings),
    /// They are in flash: restart then.
    Taken(UptimeMs),
    /// This boot tries them until then.
    Trying(CommandId, UptimeMs),
    /// The trial is over, and the flash is to know.
    Settling(CommandId, SettingsOutcome),
}

/// What settings from over the air mean for a boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether this board can keep settings at all.
    pub can_change: bool,
    /// The last command that brought some.
    pub last: Option<CommandId>,
    /// The settings on trial: in how many seconds the gateway must be reached.
    pub trying_s: Option<u32>,
    /// An outcome that has no record yet.
    pub news: Option<SettingsEvent>,
}

impl Change {
    /// How a boot begins.
    pub(super) fn new(standing: &Standing, now: UptimeMs) -> Self {
        match (standing.last, standing.trying_s) {
            (Some(command), Some(within_s)) => {
                let within_s = within_s.clamp(*WITHIN_S.start(), *WITHIN_S.end());
                Self::Trying(command, now.plus_ms(u64::from(within_s) * 1000))
            }
            (Some(_) | None, _) => Self::None,
        }
    }

    pub(super) const fn next_at(&self) -> Option<UptimeMs> {
        match self {
            Self::Taken(at) | Self::Trying(_, at) => Some(*at),
            Self::None | Self::Asked(_) | Self::Settling(..) => None,
        }
    }
}

impl Node {
    /// Settings came. What is refused is said; what is taken is answered when it is in flash.
    pub(super) fn handle_settings(
        &mut self,
        now: UptimeMs,
        settings: &Settings,
    ) -> Result<(), RefusalReason> {
        if !self.boot.standing.can_change {
            return Err(RefusalReason::Unsupported);
        }
        if self.boot.standing.last == Some(settings.command) {
            // Said again, because the answer was lost.
            self.answer(now, Some(settings.command), None);
            return Ok(());
        }
        self.check_time(now, settings.issued_at, settings.ttl_s)?;
        let is_still = self.drip.open_valves().next().is_none() && self.pending.is_none();
        if !is_still || !matches!(self.change, Change::None) {
            return Err(RefusalReason::Busy);
        }
        self.change = Change::Asked(*settings);
        Ok(())
    }

    /// What became of [`Action::Change`]: in flash, none that this firmware knows, or the flash failed.
    pub fn handle_changed(&mut self, now: UptimeMs, command: CommandId, refused: Option<RefusalReason>) {
        self.answer(now, Some(command), refused);
        self.change = match refused {
            None => {
                self.boot.standing.last = Some(command);
                Change::Taken(now.plus_ms(RESTART_MS))
            }
            Some(_) => Change::None,
        };
    }

    /// What became of [`Action::Settle`]; `false`: the flash failed, and the next boot decides.
    pub fn handle_settled(&mut self, now: UptimeMs, event: SettingsEvent, is_kept: bool) {
        self.change = Change::None;
        if is_kept && event.outcome == SettingsOutcome::Confirmed {
            self.record(now, Body::Settings(event));
        } else {
            self.restart = Some(self.boot.epoch);
        }
    }

    /// The gateway was reached.
    pub(super) fn confirm_change(&mut self) {
        if let Change::Trying(command, _) = self.change {
            self.change = Change::Settling(command, SettingsOutcome::Confirmed);
        }
    }

    pub(super) fn change_timeout(&mut self, now: UptimeMs) {
        match self.change {
            Change::Taken(at) if at <= now => {
                self.change = Change::None;
                self.restart = Some(self.boot.epoch);
            }
            Change::Trying(command, at) if at <= now => {
                self.change = Change::Settling(command, SettingsOutcome::Unreachable);
            }
            Change::None
            | Change::Asked(_)
            | Change::Taken(_)
            | Change::Trying(..)
            | Change::Settling(..) => {}
        }
    }

    /// What the caller must do about settings; each is given once.
    pub(super) fn poll_change(&mut self) -> Option<Action> {
        match self.change {
            Change::Asked(settings) => {
                // The answer waits for the flash; until then nothing else is taken.
                self.change = Change::Taken(UptimeMs(u64::MAX));
                Some(Action::Change(settings))
            }
            Change::Settling(command, outcome) => {
                self.change = Change::None;
                Some(Action::Settle(SettingsEvent { command, outcome }))
            }
            Change::None | Change::Taken(_) | Change::Trying(..) => None,
        }
    }
}

#[cfg(test)]
mod tests;
