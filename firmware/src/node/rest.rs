//! What the node shows to [`crate::sleep`], and how it goes on after a deep sleep.

use super::Node;
use super::change::Change;
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
        // Settings that are tried want the gateway within their time, and a boot would be another attempt.
        let changing = !matches!(self.change, Change::None);
        flash || said || changing || heard || self.vitals_due || self.schedule.is_due()
    }

    /// When the node has something to do by itself. Looks at the supply do not count: they are for open valves, and
    /// each boot begins with one.
    #[must_use]
    pub fn rest_until(&self) -> Option<UptimeMs> {
        let rail_at = self.rail.next_at(self.schedule.line_at());
        self.schedule.next_at().into_iter().chain(rail_at).min()
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
            slept_ms: self.slept_ms,
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
        self.slept_ms = woken.slept_ms;
        self.low_power = woken.low_power;
        self.schedule.resume(now, woken.health_in_ms, &woken.probes_in_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Vitals;
    use crate::node::{Action, Boot, Standing};
    use crate::settings::{Kept, NodeConfig};
    use giot_shared::ids::CommandId;
    use giot_shared::wire::{NodeKey, ResetCause};

    /// A node without probes and valves that did everything it wanted at boot.
    fn settled(standing: Standing) -> Node {
        let config = NodeConfig::new("n01".parse().expect("an id"), NodeKey([7; 32]));
        let reset = ResetCause::Software;
        let boot = Boot {
            epoch: 4,
            reset,
            kept: Kept::default(),
            released: Position::default(),
            nonce_seed: 1,
            standing,
            ended: Default::default(),
            unmet: Default::default(),
        };
        let now = UptimeMs(10);
        let mut node = Node::new(config, boot, now);
        assert!(node.is_busy(), "every boot looks at the supply");
        while let Some(action) = node.poll_action(now) {
            if matches!(action, Action::ReadVitals) {
                node.handle_vitals(now, Vitals::default());
            } else {
                assert!(matches!(action, Action::Keep(..)), "{action:?}");
                node.handle_kept(now, true);
            }
        }
        node
    }

    #[test]
    fn a_node_with_nothing_to_do_may_sleep() {
        let node = settled(Standing::default());
        assert!(!node.is_busy() && !node.is_watering());
        assert_eq!(node.rest_until(), Some(UptimeMs(3_600_010)), "its own record is due");
    }

    #[test]
    fn settings_on_trial_keep_it_awake() {
        let standing =
            Standing { can_change: true, last: Some(CommandId(5)), trying_s: Some(60), news: None };
        assert!(settled(standing).is_busy());
    }

    #[test]
    fn what_it_takes_along_is_what_it_finds_again() {
        let mut node = settled(Standing::default());
        node.handle_pulses(UptimeMs(20), 3);
        let last = Position { epoch: 4, seq: 9 };
        let carry = node.carry(UptimeMs(600_000), last);
        assert!(!carry.met && carry.last == last && carry.uptime == UptimeMs(600_000));
        assert_eq!(carry.health_in_ms, 3_000_010);
        let woken = carry.wake(3_000_000);
        let mut again = settled(Standing::default());
        again.resume(UptimeMs(woken.uptime_base_ms), &woken);
        assert_eq!(again.rest_until(), Some(UptimeMs(3_600_010)));
        assert!(!again.is_busy(), "due in ten milliseconds, not before");
    }
}
