//! What a rule may do to a zone. A start has to pass every guard of automatic watering (P6) and takes place at once or not
//! at all; a stop or a lock is always taken. Each gets an entry in the diary that names the rule and what it saw.

use super::soil::seconds_to;
use super::{Phase, RunKind, Turn, Zone};
use crate::diary::{By, Event};
use crate::ids::RuleId;
use crate::memory::Lock;
use crate::reason::Reason;

impl Zone {
    /// Why a rule cannot start the zone at this moment, apart from its source: the guards of `verdict`, in its order.
    pub(crate) fn rule_bar(&self, turn: &Turn<'_>) -> Option<Reason> {
        let now = turn.now;
        if let Some(barred) = self.kept_from_starting(now) {
            return Some(barred);
        }
        let Some(wall) = now.wall else { return Some(Reason::ClockUnset {}) };
        if !self.plan.probes.is_empty() {
            let soil = self.soil(now);
            if let Some(trouble) = self.soil_trouble(now, &soil) {
                return Some(trouble);
            }
            if let Some(level) = soil.level.filter(|level| self.plan.soil.is_wet(*level)) {
                return Some(self.plan.soil.wet(level));
            }
        }
        if now.mono < self.rest_until {
            let by = self.memory.rest.as_ref().map(|rest| rest.by.clone()).unwrap_or_default();
            return Some(Reason::RestAfterStop { by, remaining_s: seconds_to(now, self.rest_until) });
        }
        match &self.phase {
            Phase::Closed => {}
            Phase::Opening(_) | Phase::Open(_) | Phase::Local(_) => return Some(Reason::AlreadyRunning {}),
            Phase::Closing(closing) if closing.is_after_start => return Some(Reason::ValveUnknown {}),
            Phase::Closing(_) => return Some(Reason::ValveClosing {}),
        }
        if now.mono < self.off_until {
            return Some(Reason::MinimumOff { remaining_s: seconds_to(now, self.off_until) });
        }
        turn.rules.bar(&self.desk.id, wall)
    }

    /// Starts a run for a rule; the caller has checked [`Self::rule_bar`] and the source.
    pub(crate) fn rule_start(&mut self, turn: &mut Turn<'_>, rule: &RuleId, run_s: u32, values: &str) {
        let run_s = run_s.clamp(1, self.plan.run_max_s.max(1));
        let reason =
            Reason::RuleRun { rule: rule.clone(), run_s: u64::from(run_s), values: values.to_owned() };
        self.start(turn, RunKind::Rule, By::Rule(rule.clone()), reason, run_s);
    }

    /// Tells why a rule's start does not take place.
    pub(crate) fn rule_refuse(&mut self, turn: &mut Turn<'_>, rule: &RuleId, reason: Reason) {
        self.desk.tell(turn, Event::Skipped, By::Rule(rule.clone()), reason, None);
    }

    /// Ends what goes on at the valve; a zone that is not watered is left alone.
    pub(crate) fn rule_stop(&mut self, turn: &mut Turn<'_>, rule: &RuleId, values: &str) {
        let reason = Reason::RuleStop { rule: rule.clone(), values: values.to_owned() };
        self.stop(turn, reason, By::Rule(rule.clone()), false);
    }

    /// Locks the zone until a person unlocks it; a lock that is there already stays.
    pub(crate) fn rule_lock(&mut self, turn: &mut Turn<'_>, rule: &RuleId, values: &str) {
        if self.memory.lock.is_some() {
            return;
        }
        let lock = Lock { by: rule.to_string(), note: values.to_owned() };
        self.skip_told(lock.reason());
        self.memory.lock = Some(lock);
        self.is_memory_changed = true;
        let reason = Reason::RuleLock { rule: rule.clone(), values: values.to_owned() };
        self.desk.tell(turn, Event::Locked, By::Rule(rule.clone()), reason.clone(), None);
        self.end_due(turn, &reason, &By::Rule(rule.clone()));
    }
}
