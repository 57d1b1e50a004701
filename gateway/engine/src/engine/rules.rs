//! Rules at work: what one that came true asks for, judged here, and what rules see of zones.
//!
//! Whether a rule is true is not decided here: the gateway evaluates the expressions. A start passes the guards of automatic
//! watering and the pipes (P5, P6) or is told as skipped; nothing of a rule passes over anything.

use super::Engine;
use crate::Now;
use crate::diary::{By, Event};
use crate::ids::{RuleId, ZoneId};
use crate::input::RuleWish;
use crate::plan::Level;
use crate::reason::Reason;
use crate::zone::{Phase, Turn, Zone};
use giot_shared::time::MonoMs;
use giot_shared::units::MoisturePermyriad;

/// What a rule can see of a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZoneSigns {
    /// What its good probes say together, where more than half of them are good.
    pub moisture: Option<MoisturePermyriad>,
    /// The same of a zone whose probes read tension, kPa.
    pub tension: Option<Level>,
    /// When the first of those probes grows too old: what they say holds no longer than until then.
    pub soil_until: Option<MonoMs>,
    /// Whether its valve was reported open.
    pub is_watering: bool,
    /// Whether it is locked.
    pub is_locked: bool,
    /// Whether a fault waits for a person.
    pub has_fault: bool,
}

impl Engine {
    /// What a rule can see of a zone at a moment; `None` for an unknown one.
    #[must_use]
    pub fn zone_signs(&self, zone: &ZoneId, now: Now) -> Option<ZoneSigns> {
        let zone = self.zones.get(*self.zone_idx.get(zone)?)?;
        let soil = zone.soil(now);
        let (level, is_tension) = (soil.level.filter(|_| soil.has_quorum), zone.plan.soil.is_tension());
        Some(ZoneSigns {
            moisture: level.filter(|_| !is_tension).and_then(Level::moisture),
            tension: level.filter(|_| is_tension),
            soil_until: soil.stale_at.filter(|_| soil.has_quorum),
            is_watering: matches!(zone.phase, Phase::Open(_) | Phase::Local(_)),
            is_locked: zone.memory.lock.is_some(),
            has_fault: zone.memory.fault.is_some(),
        })
    }

    pub(super) fn rule_wish(
        &mut self,
        now: Now,
        rule: &RuleId,
        wish: RuleWish<'_>,
        values: &str,
        touched: &mut Vec<usize>,
    ) {
        match wish {
            RuleWish::Notify { note } => {
                let (note, values) = (note.to_owned(), values.to_owned());
                let reason = Reason::RuleNotice { rule: rule.clone(), note, values };
                self.tell(now, None, Event::Notified, By::Rule(rule.clone()), reason);
            }
            RuleWish::Start { zone, run_s } => {
                let no_room = self.no_room_at_once(zone, now);
                let mut is_started = false;
                self.by_rule(now, rule, zone, touched, |zone, turn| match zone.rule_bar(turn).or(no_room) {
                    Some(reason) => zone.rule_refuse(turn, rule, reason),
                    None => {
                        zone.rule_start(turn, rule, run_s, values);
                        is_started = true;
                    }
                });
                if let Some(idx) = self.zone_idx.get(zone).filter(|_| is_started) {
                    self.network.note_start(*idx, now.mono);
                }
            }
            RuleWish::Stop { zone } => {
                self.by_rule(now, rule, zone, touched, |zone, turn| zone.rule_stop(turn, rule, values));
            }
            RuleWish::Lock { zone } => {
                self.by_rule(now, rule, zone, touched, |zone, turn| zone.rule_lock(turn, rule, values));
            }
            RuleWish::Adjust { program, percent } => {
                let by = By::Rule(rule.clone());
                let was = self.schedule.view(program).map(|(control, ..)| control.adjust);
                let Some(control) = self.schedule.change(program, |control| control.adjust = percent) else {
                    let reason = Reason::UnknownProgram { program: program.clone() };
                    self.tell(now, None, Event::Refused, by, reason);
                    return;
                };
                let (rule, program_id, values) = (rule.clone(), program.clone(), values.to_owned());
                let (program, percent) = (program_id.clone(), u32::from(percent.get()));
                let reason = match was.map(|was| u32::from(was.get())).filter(|was| *was != percent) {
                    Some(was_percent) => {
                        Reason::RuleAdjustedFrom { rule, program, percent, was_percent, values }
                    }
                    None => Reason::RuleAdjusted { rule, program, percent, values },
                };
                self.tell(now, None, Event::Adjusted, by, reason);
                self.remember(&program_id, control);
            }
            RuleWish::Rest { times_max } => {
                let reason = Reason::RuleTired { rule: rule.clone(), times_max };
                self.tell(now, None, Event::Skipped, By::Rule(rule.clone()), reason);
            }
        }
    }

    /// Lets a zone act for a rule; a zone that does not exist is told of.
    fn by_rule(
        &mut self,
        now: Now,
        rule: &RuleId,
        zone: &ZoneId,
        touched: &mut Vec<usize>,
        act: impl FnOnce(&mut Zone, &mut Turn<'_>),
    ) {
        let idx = self.zone_idx.get(zone).copied();
        if idx.is_none() {
            let reason = Reason::UnknownZone { zone: zone.clone() };
            self.tell(now, None, Event::Refused, By::Rule(rule.clone()), reason);
        }
        self.with(now, idx, touched, act);
    }
}
