//! What the node shows to [`crate::sleep`], and how it goes on after a deep sleep.

use super::Node;
use crate::sleep::{Carry, Woken};
use giot_shared::ids::Position;
use giot_shared::time::UptimeMs;

impl Node {
    /// Whether a valve needs the node awake.
    #[must_use]
    pub fn is_watering(&self) -> bool {
        self.drip.next_deadline().is_some() || self.pending.is_some() || !self.moves.is_empty()
    }

    /// Whether something is to be done, said or written at once.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let flash = self.keeping || self.unsaved || !self.records.is_empty();
        let said = self.hello_due || !self.answers.is_empty();
        let heard = self.welcome.is_some() || self.release.is_some() || self.restart.is_some();
        flash || said || heard || self.vitals_due || self.schedule.is_due()
    }

    /// When the node has something to do by itself. Looks at the supply do not count: they are for open valves, and
    /// each boot begins with one.
    #[must_use]
    pub fn rest_until(&self) -> Option<UptimeMs> {
        self.schedule.next_at()
    }

    /// What goes on after a sleep that begins at `now`; `last` is the last record made.
    #[must_use]
    pub fn carry(&self, now: UptimeMs, last: Position) -> Carry {
        let (health_in_ms, probes_in_ms) = self.schedule.rests(now);
        Carry {
            last,
            met: self.anchor.is_some(),
            uptime: now,
            metered_ul: self.metered_ul,
            low_power: self.low_power,
            health_in_ms,
            probes_in_ms,
            n_failed: 0,
            n_to_skip: 0,
        }
    }

    /// Goes on as it fell asleep: called once, before anything else.
    pub fn resume(&mut self, now: UptimeMs, woken: &Woken) {
        self.metered_ul = woken.metered_ul;
        self.low_power = woken.low_power;
        self.schedule.resume(now, woken.health_in_ms, &woken.probes_in_ms);
    }
}
