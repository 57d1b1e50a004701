//! What zones must know beside their own plan while the engine runs: the farm as programs see it, and the programs.
//!
//! Fixed for the life of an engine. Answers one question about a moment: may a program's run begin here, and how long.

use std::collections::BTreeMap;

use giot_shared::time::UnixMs;

use crate::ids::{ProgramId, SourceId, ZoneId};
use crate::network::Pipes;
use crate::plan::{DAY_MS, Plan, ZonePlan};
use crate::program::{CLOSED_MS_MAX, Crossing, Program, RunLimits, Site, Window, Windows, ZoneFacts};
use crate::reason::Reason;
use crate::zone::Errand;

/// Programs and what they depend on.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) site: Site,
    pub(crate) programs: BTreeMap<ProgramId, Program>,
}

/// What becomes of a program's run that could begin at a moment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It may run so long, seconds.
    Runs { run_s: u32 },
    /// Not yet: the hours are closed and its program lets it wait.
    Waits(Reason),
    /// Not any more: the hours are closed and its program does not let it wait.
    Never(Reason),
}

impl Rules {
    /// The programs of a plan; what [`Plan::check`] objects to in them is the caller's matter.
    pub(crate) fn new(plan: &Plan) -> Self {
        Self { site: plan.site(), programs: plan.programs.clone() }
    }

    /// Looks at the hours of program, zone and source at a moment: pipes and rests may have put the run off. It waits for hours
    /// that open before another moment.
    fn fit(&self, program: &ProgramId, zone: &ZoneId, at: UnixMs, run_s: u32, before: UnixMs) -> Fit {
        let (Some(program), Some(facts)) = (self.programs.get(program), self.site.zones.get(zone)) else {
            return Fit::Never(Reason::UnknownZone { zone: zone.clone() });
        };
        let run_ms = u64::from(run_s) * 1000;
        match self.site.fit(&program.windows, program.crossing, facts, at, run_ms, before) {
            Ok(fitted) if fitted.from > at => {
                let closed = self.site.bar(&program.windows, facts, at);
                let is_moved = program.crossing == Crossing::Move;
                let reason = if is_moved { fitted.note } else { closed };
                Fit::Waits(reason.unwrap_or(Reason::RunMoved { late_s: fitted.from.since_ms(at) / 1000 }))
            }
            Ok(fitted) => match u32::try_from(fitted.run_ms / 1000) {
                Ok(run_s) if run_s > 0 => Fit::Runs { run_s },
                _ => Fit::Never(Reason::WindowTooShort { wanted_s: u64::from(run_s) }),
            },
            Err(reason) if program.crossing == Crossing::Move => Fit::Waits(reason),
            Err(reason) => Fit::Never(reason),
        }
    }

    /// Looks at the hours of a run that waits; those that a person wants have none.
    pub(crate) fn fit_errand(&self, errand: &Errand, zone: &ZoneId, at: UnixMs) -> Fit {
        if errand.by_hand {
            return Fit::Runs { run_s: errand.run_s };
        }
        self.fit(&errand.program, zone, at, errand.run_s, waits_until(errand, at))
    }

    /// When the hours open that a run waits for, `None` when they are not known to within a day.
    pub(crate) fn opens_at(&self, errand: &Errand, zone: &ZoneId, at: UnixMs) -> Option<UnixMs> {
        let (program, facts) = (self.programs.get(&errand.program)?, self.site.zones.get(zone)?);
        let (run_ms, before) = (u64::from(errand.run_s) * 1000, waits_until(errand, at));
        let fitted = self.site.fit(&program.windows, program.crossing, facts, at, run_ms, before);
        fitted.ok().map(|fitted| fitted.from)
    }

    /// Why neither soil nor rule may water a zone at a moment: its hours or those of its sources.
    pub(crate) fn bar(&self, zone: &ZoneId, at: UnixMs) -> Option<Reason> {
        self.site.bar(&Windows::default(), self.site.zones.get(zone)?, at)
    }

    /// When that can be otherwise next.
    pub(crate) fn next_edge(&self, zone: &ZoneId, at: UnixMs) -> Option<UnixMs> {
        self.site.next_edge(self.site.zones.get(zone)?, at)
    }

    /// Until when a program's run may go on in a zone, at most so long after a moment.
    pub(crate) fn open_until(&self, program: &ProgramId, zone: &ZoneId, at: UnixMs, span_ms: u64) -> UnixMs {
        match (self.programs.get(program), self.site.zones.get(zone)) {
            (Some(program), Some(facts)) => self.site.closes_at(&program.windows, facts, at, span_ms),
            _ => at.plus_ms(span_ms),
        }
    }

    /// When the hours close in which a program's run that waits can still be given in a zone; `None`: not within a day, or
    /// it waits for other hours.
    pub(crate) fn closes_at(&self, program: &ProgramId, zone: &ZoneId, at: UnixMs) -> Option<UnixMs> {
        let day_ms = DAY_MS.unsigned_abs();
        let is_moved = self.programs.get(program).is_none_or(|program| program.crossing == Crossing::Move);
        let closes_at = (!is_moved).then(|| self.open_until(program, zone, at, day_ms))?;
        (closes_at < at.plus_ms(day_ms)).then_some(closes_at)
    }
}

/// A run that pipes and rests have put off into closed hours waits for those that open before its program is to be finished,
/// before its turn is over, and as soon as its program would wait.
fn waits_until(errand: &Errand, at: UnixMs) -> UnixMs {
    let most = errand.latest.min(at.plus_ms(CLOSED_MS_MAX));
    errand.finish_at.map_or(most, |finish_at| finish_at.min(most))
}

impl Plan {
    /// The farm as programs see it.
    #[must_use]
    pub fn site(&self) -> Site {
        Site {
            utc_offset_min: self.utc_offset_min,
            place: self.place,
            zones: self.zones.iter().map(|(id, zone)| (id.clone(), zone.facts())).collect(),
            sources: self.sources.keys().map(|id| (id.clone(), self.hours_of(id))).collect(),
            pipes: Pipes::new(self),
        }
    }

    /// The hours of a source: its own and those of all that feeds it.
    fn hours_of(&self, source: &SourceId) -> Windows {
        let branches = self.path(source).into_iter().filter_map(|id| self.sources.get(id));
        let no_water = branches.flat_map(|branch| branch.no_water.iter().copied()).collect();
        Windows { allowed: Vec::new(), no_water }
    }
}

impl ZonePlan {
    fn facts(&self) -> ZoneFacts {
        let always = self.window.from_min() == self.window.to_min();
        let windows = if always { Vec::new() } else { vec![Window::daily(self.window)] };
        ZoneFacts {
            source: self.source.clone(),
            flow_ml_h: self.flow.map(|flow| flow.0.saturating_mul(1000)),
            area_dm2: self.area_dm2,
            n_plants: self.n_plants,
            limits: RunLimits {
                skip_below_ms: u64::from(self.skip_below_s) * 1000,
                run_ms_min: u64::from(self.run_least_s) * 1000,
                run_ms_max: u64::from(self.run_max_s) * 1000,
            },
            rest_ms: u64::from(self.min_off_s) * 1000,
            cycle: self.cycle,
            group: self.group,
            windows: Windows { allowed: windows, no_water: self.no_water.clone() },
            ignores_rain_delay: self.guards.ignores.rain_delay,
        }
    }
}
