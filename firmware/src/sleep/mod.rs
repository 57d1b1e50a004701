//! When a node on a small battery sleeps between samples, and what it takes along.
//!
//! In deep sleep a chip loses its memory; waking up is a boot. A core without I/O, [`Sleeper`], decides from what it is
//! shown; [`Carry`] is what goes on after the sleep, in a few bytes of memory that keeps its content.
//!
//! Invariants:
//! - never with a valve open or moving, nor with anything that is not in flash: [`View::watering`] and [`View::busy`] come
//!   first;
//! - records sent but not acknowledged are waited for, but only as long as they become fewer;
//! - a sleep ends before the next sample is due, and after [`SLEEP_MS_MAX`] at the latest.
//!
//! While nobody answers, the radio is left off for more and more wake-ups ([`SKIPS`]): samples go to flash as always, and
//! a battery outlasts a gateway that is under repair.

mod carry;
mod rest;

pub use carry::{CARRY_LEN, Carry, DueProbes, Woken};
pub(crate) use rest::{Rest, begin_epoch};

use crate::settings::SleepPlan;
use giot_shared::time::UptimeMs;

/// Shortest sleep, ms: waking up and finding the gateway costs a few seconds of radio.
pub const SLEEP_MS_MIN: u64 = 20_000;
/// Longest sleep, ms: a node that has nothing to sample still says that it lives.
pub const SLEEP_MS_MAX: u64 = 3_600_000;
/// One part in so many of the time that a sleeping chip counts may be wrong: two per cent. Its clock is an oscillator of
/// resistor and capacitor, measured against the crystal at each boot, and its pace changes with the weather. An estimate.
pub const DRIFT_OF_SLEEP: u64 = 50;
/// Wake-ups without radio after so many attempts in a row that found nobody.
pub const SKIPS: [u8; 4] = [0, 1, 3, 7];

/// What the decision is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// A valve is open, moves or is about to.
    pub watering: bool,
    /// Something is to be done, said or written at once.
    pub busy: bool,
    /// When the node has something to do next.
    pub next_at: Option<UptimeMs>,
    /// The gateway answered in this session.
    pub welcomed: bool,
    /// Records that the gateway has not acknowledged.
    pub waiting: u32,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Stay awake, and look again at this uptime at the latest.
    Stay(Option<UptimeMs>),
    /// Sleep until this uptime.
    Sleep(UptimeMs),
}

/// Decides when to sleep.
#[derive(Clone, Debug)]
pub struct Sleeper {
    plan: SleepPlan,
    /// Whether the radio is on in this wake-up.
    contact: bool,
    /// Since when everything is said and done.
    quiet_since: Option<UptimeMs>,
    /// When the number of waiting records last went down, or was nothing, or a valve closed.
    progress_at: UptimeMs,
    waiting: u32,
    answered: bool,
}

impl Sleeper {
    /// Awake since `now`; `contact` is whether the radio is on.
    #[must_use]
    pub const fn new(plan: SleepPlan, contact: bool, now: UptimeMs) -> Self {
        Self { plan, contact, quiet_since: None, progress_at: now, waiting: u32::MAX, answered: false }
    }

    /// Whether everything there was to say reached the gateway at some time of this wake-up.
    #[must_use]
    pub const fn was_answered(&self) -> bool {
        self.answered
    }

    /// A message of the gateway's came: who speaks may go on speaking.
    pub const fn heard(&mut self) {
        self.quiet_since = None;
    }

    /// Looks at the node.
    pub fn look(&mut self, now: UptimeMs, view: &View) -> Verdict {
        if view.watering {
            self.quiet_since = None;
            self.progress_at = now;
        }
        if view.watering || view.busy {
            return Verdict::Stay(None);
        }
        if view.waiting < self.waiting {
            self.progress_at = now;
        }
        self.waiting = view.waiting;
        let ready_at = if view.welcomed && view.waiting == 0 {
            self.answered = true;
            self.progress_at = now;
            self.quiet_since.get_or_insert(now).plus_ms(self.plan.listen_ms)
        } else if self.contact {
            self.quiet_since = None;
            self.progress_at.plus_ms(self.plan.patience_ms)
        } else {
            now
        };
        if now < ready_at {
            return Verdict::Stay(Some(ready_at));
        }
        let latest = now.plus_ms(SLEEP_MS_MAX);
        let until = view.next_at.map_or(latest, |at| at.min(latest));
        if until < now.plus_ms(SLEEP_MS_MIN) { Verdict::Stay(Some(until)) } else { Verdict::Sleep(until) }
    }
}

#[cfg(test)]
mod tests;
