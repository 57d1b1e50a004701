//! The day ahead: at the farm's midnight, and when another plan takes over, what the programs want of the day is held against
//! pipes, hours and turns, and what finds no room is told before it is missed, once for each program and zone.
//!
//! Bounded: one forecast of two days a day.

use giot_shared::time::UnixMs;

use super::Engine;
use crate::Now;
use crate::diary::{Action, By, Event};
use crate::forecast::{Outlook, Shortfall, Stand, shortfalls};
use crate::ids::ProgramId;
use crate::program::{Control, Date, FarmState};
use crate::reason::Reason;
use crate::zone::{Phase, Zone, is_ad_hoc};

/// So much more must be missing by another plan than was told to be told again, s.
const SHORT_S_MIN: u64 = 60;

/// Within so long a node that is there has said that its valve is closed, ms.
const ANSWER_MS: u64 = 2 * 60_000;

impl Engine {
    /// Tells of a day that has begun, once. The first day of a start, or of a plan: a day of which nobody was told, because nothing ran at its beginning or had
    /// the time, is told of now; of a new plan is told at once what it lacks more than the one before.
    pub(super) fn begin_day(&mut self, now: Now, is_new_plan: bool) {
        let told_before = self.schedule.farm.day_told;
        let told = told_before.filter(|_| !is_new_plan);
        self.schedule.farm.day_told = told;
        if self.day_at.is_some_and(|at| now.mono < at) && told.is_some() {
            return;
        }
        let Some(wall) = now.wall else {
            self.day_at = None;
            return;
        };
        let utc_offset_min = self.out.rules.site.utc_offset_min;
        let today = Date::of(wall, utc_offset_min);
        let next = today.plus_days(1);
        let tomorrow = next.begins_at(utc_offset_min);
        self.day_at = Some(now.mono.plus_ms(tomorrow.since_ms(wall).max(1)));
        // A clock that is set back a little comes to a day again; one that was far ahead told of no day of ours.
        let is_told = told.is_some_and(|told| (today..=next).contains(&Date::of(told, utc_offset_min)));
        if !is_told {
            self.schedule.farm.day_told = Some(wall);
            if told_before.is_none_or(|told| Date::of(told, utc_offset_min) != today) {
                self.schedule.farm.day_short.clear();
            }
            if !self.out.rules.programs.is_empty() {
                self.tell_day(now, tomorrow);
                self.out
                    .actions
                    .push_back(Action::RememberFarm { farm: Box::new(self.schedule.farm.clone()) });
            }
        }
    }

    /// What the next days depend on, at this moment; `None` while nobody knows the time.
    #[must_use]
    pub fn outlook(&self, now: Now) -> Option<Outlook> {
        let wall = now.wall?;
        let control = |id: &ProgramId| {
            let (control, _, invalid) = self.schedule.view(id)?;
            // One that must not start is as good as switched off.
            Some((
                id.clone(),
                Control { is_enabled: control.is_enabled && invalid.is_none(), ..control.clone() },
            ))
        };
        // Rain passes out of its span; nobody knows how long any other weather lasts.
        let rain_until = self.guards.rain_until().map(|at| wall.plus_ms(at.since_ms(now.mono)));
        let stand = |(idx, zone): (usize, &Zone)| {
            let held_until = match &zone.phase {
                Phase::Closed => None,
                Phase::Opening(opening) => Some(opening.run.ends_at()),
                Phase::Open(watering) => Some(watering.run.ends_at()),
                Phase::Closing(closing) => Some(match zone.is_online() {
                    Some(false) => closing.over_at(),
                    _ => closing.over_at().min(now.mono.plus_ms(ANSWER_MS)),
                }),
                Phase::Local(local) => Some(local.until),
            };
            let held_until = held_until.map(|at| wall.plus_ms(at.since_ms(now.mono)));
            let is_open = matches!(zone.phase, Phase::Opening(_) | Phase::Open(_));
            let run = zone.memory.run.as_ref().filter(|run| is_open && !is_ad_hoc(&run.errand.program));
            // A clock that was set back meanwhile puts no beginning ahead.
            let open = run.map(|run| (run.errand.program.clone(), run.started_at.min(wall)));
            let stand = zone.stand(now, wall);
            let weather = stand.weather.map(|(reason, _)| {
                let until = rain_until.filter(|_| matches!(reason, Reason::Rained { .. }));
                (reason, until)
            });
            let ended = self.turns.ended_in(idx);
            let ended = ended.map(|(program, start_at, at)| {
                (program.clone(), *start_at, wall.minus_ms(now.mono.since_ms(*at)))
            });
            (zone.desk.id.clone(), Stand { held_until, open, ended, weather, ..stand })
        };
        Some(Outlook {
            from: wall,
            controls: self.program_ids().filter_map(control).collect(),
            farm: FarmState { needs: self.needs(now), ..self.farm_state() },
            stands: self.zones.iter().enumerate().map(stand).collect(),
            rests: self.pumps.rests(now, wall),
        })
    }

    fn tell_day(&mut self, now: Now, tomorrow: UnixMs) {
        let Some(outlook) = self.outlook(now) else { return };
        let network = self.network.emptied();
        let preview = outlook.play(&self.out.rules, network, self.out.timing.patience_s, 1);
        let short = shortfalls(&preview, &self.out.rules.site);
        let before = std::mem::take(&mut self.schedule.farm.day_short);
        for Shortfall { program, zone, short_s, short_l, .. } in
            short.into_iter().filter(|short| short.day < tomorrow)
        {
            let of = (program.clone(), zone.clone());
            let told_s = before.get(&of).copied();
            self.schedule.farm.day_short.insert(of, short_s);
            if told_s.is_some_and(|told_s| short_s <= told_s.saturating_add(SHORT_S_MIN)) {
                continue;
            }
            let short_l = short_l.unwrap_or(0);
            let reason = Reason::CannotFitToday { program: program.clone(), short_s, short_l };
            self.tell(now, Some(zone), Event::Notified, By::Program(program), reason);
        }
    }
}
