//! Every problem of programs and of what they rest on, each with the field that it is in.
//!
//! Values that have a checked constructor cannot be wrong by themselves; here are counts, references, and what only the
//! whole can show. An unchecked program harms nobody: its functions end, and say why they leave something out.

use std::collections::BTreeMap;
use std::fmt;

use super::amount::AmountError;
use super::calendar::{CATCH_UP_MIN_MAX, Calendar, FINISH_SPAN_MS_MAX};
use super::civil::Date;
use super::control::{Control, FarmState};
use super::sequence::{DELAY_S_MAX, REPEATS_MAX, STEPS_MAX};
use super::site::{RUN_MS_MAX, SOAK_MS_MAX, Site};
use super::start::{Anchor, START_RULES_MAX};
use super::timeline::RUNS_MAX;
use super::windows::{WINDOWS_MAX, Windows};
use super::{Program, Season};
use crate::ids::{ProgramId, ZoneId};

/// Longest total of a program's runs, ms: a week of zones side by side.
const TOTAL_MS_MAX: u64 = 7 * 24 * 3600 * 1000;

/// Most programs of a farm.
pub const PROGRAMS_MAX: usize = 256;

/// Something in a program, or in what it rests on, that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramProblem {
    /// Where it is, such as `sequence.steps[2].zone`.
    pub field: String,
    /// What is wrong.
    pub kind: ProgramProblemKind,
}

/// The kinds of problems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramProblemKind {
    /// There is nothing where something must be.
    Empty,
    /// There is too much.
    TooMany {
        /// How many there may be.
        max: u64,
    },
    /// A number is out of its range.
    OutOfRange {
        /// Lowest value.
        min: i64,
        /// Highest value.
        max: i64,
    },
    /// The zone does not exist.
    UnknownZone(ZoneId),
    /// The amount has no run time in its zone.
    Amount(AmountError),
    /// A start by the sun needs the farm's place.
    NoPlace,
    /// With a finish-by anchor the program must not last longer than a day.
    TooLongToFinish,
    /// The shortest run is longer than the longest.
    LimitsCrossed,
    /// A refill is asked for more than once.
    RefillTwice,
    /// A refill gives what is lacking, and no share of a total.
    RefillInTotal,
}

impl ProgramProblemKind {
    /// The stable code: snake_case.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooMany { .. } => "too_many",
            Self::OutOfRange { .. } => "out_of_range",
            Self::UnknownZone(_) => "unknown_zone",
            Self::Amount(error) => error.code(),
            Self::NoPlace => "no_place",
            Self::TooLongToFinish => "too_long_to_finish",
            Self::LimitsCrossed => "limits_crossed",
            Self::RefillTwice => "refill_twice",
            Self::RefillInTotal => "refill_in_total",
        }
    }
}

impl fmt::Display for ProgramProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("must not be empty"),
            Self::TooMany { max } => write!(f, "must be {max} at most"),
            Self::OutOfRange { min, max } => write!(f, "must lie between {min} and {max}"),
            Self::UnknownZone(zone) => write!(f, "zone {zone} is not defined: define it or name another"),
            Self::Amount(error) => error.fmt(f),
            Self::NoPlace => {
                f.write_str("the farm's latitude and longitude are needed for a start by the sun")
            }
            Self::TooLongToFinish => {
                f.write_str("a program with a finish-by time must not last longer than a day: split it")
            }
            Self::LimitsCrossed => f.write_str("must not be above the longest run"),
            Self::RefillInTotal => {
                f.write_str("a refill gives what is lacking: leave the total out, or ask for another amount")
            }
            Self::RefillTwice => f.write_str(
                "a refill gives all that is lacking at once: its zone may have one such step, without repeats and rounds",
            ),
        }
    }
}

impl fmt::Display for ProgramProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.kind)
    }
}

/// Collects problems under a path.
struct Finder(Vec<ProgramProblem>);

impl Finder {
    fn report(&mut self, field: impl Into<String>, kind: ProgramProblemKind) {
        self.0.push(ProgramProblem { field: field.into(), kind });
    }

    fn range(&mut self, field: impl Into<String>, value: impl Into<i64>, min: i64, max: impl Into<i64>) {
        let max = max.into();
        if !(min..=max).contains(&value.into()) {
            self.report(field, ProgramProblemKind::OutOfRange { min, max });
        }
    }

    fn span(&mut self, field: String, value_ms: u64, min_ms: u64, max_ms: u64) {
        if !(min_ms..=max_ms).contains(&value_ms) {
            let bound = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
            self.report(field, ProgramProblemKind::OutOfRange { min: bound(min_ms), max: bound(max_ms) });
        }
    }

    fn count(&mut self, field: impl Into<String>, n: usize, min: usize, max: usize) {
        if n < min {
            self.report(field, ProgramProblemKind::Empty);
        } else if n > max {
            self.report(field, ProgramProblemKind::TooMany { max: u64::try_from(max).unwrap_or(u64::MAX) });
        }
    }

    fn windows(&mut self, at: &str, windows: &Windows) {
        for (name, list) in [("allowed", &windows.allowed), ("no_water", &windows.no_water)] {
            self.count(format!("{at}.{name}"), list.len(), 0, WINDOWS_MAX);
            for (idx, window) in list.iter().enumerate() {
                if window.weekdays.is_empty() {
                    self.report(format!("{at}.{name}[{idx}].weekdays"), ProgramProblemKind::Empty);
                }
            }
        }
    }
}

/// Every problem of a farm's programs, those of each under `programs.NAME`.
#[must_use]
pub fn check_programs(programs: &BTreeMap<ProgramId, Program>, site: &Site) -> Vec<ProgramProblem> {
    let mut finder = Finder(Vec::new());
    finder.count("programs", programs.len(), 0, PROGRAMS_MAX);
    finder.0.extend(site.check());
    for (id, program) in programs {
        let named = |problem: ProgramProblem| ProgramProblem {
            field: format!("programs.{id}.{}", problem.field),
            kind: problem.kind,
        };
        finder.0.extend(program.check(site).into_iter().map(named));
    }
    finder.0
}

impl Site {
    /// Every problem of what programs know of the farm.
    #[must_use]
    pub fn check(&self) -> Vec<ProgramProblem> {
        let mut finder = Finder(Vec::new());
        finder.range("utc_offset_min", self.utc_offset_min, -14 * 60, 14 * 60);
        for (id, zone) in &self.zones {
            let at = format!("zones.{id}");
            let limits = zone.limits;
            finder.span(format!("{at}.limits.run_ms_max"), limits.run_ms_max, 1000, RUN_MS_MAX);
            for (name, value_ms) in
                [("run_ms_min", limits.run_ms_min), ("skip_below_ms", limits.skip_below_ms)]
            {
                if value_ms > limits.run_ms_max {
                    finder.report(format!("{at}.limits.{name}"), ProgramProblemKind::LimitsCrossed);
                }
            }
            finder.span(format!("{at}.rest_ms"), zone.rest_ms, 0, SOAK_MS_MAX);
            finder.windows(&format!("{at}.windows"), &zone.windows);
        }
        for (id, windows) in &self.sources {
            finder.windows(&format!("sources.{id}"), windows);
        }
        finder.0
    }
}

impl Program {
    /// Every problem of the program on a farm, in the order of its fields.
    #[must_use]
    pub fn check(&self, site: &Site) -> Vec<ProgramProblem> {
        let mut finder = Finder(Vec::new());
        self.check_starts(&mut finder, site);
        self.check_steps(&mut finder, site);
        self.check_length(&mut finder, site);
        finder.windows("windows", &self.windows);
        if let Some(total_ms) = self.total_ms {
            finder.span("total_ms".to_owned(), total_ms, 60_000, TOTAL_MS_MAX);
            if self.refills().next().is_some() {
                finder.report("total_ms", ProgramProblemKind::RefillInTotal);
            }
        }
        finder.range("catch_up_min", self.catch_up_min, 0, CATCH_UP_MIN_MAX);
        finder.0
    }

    fn check_starts(&self, finder: &mut Finder, site: &Site) {
        for (field, is_empty) in [
            ("days.weekdays", self.days.weekdays.is_empty()),
            ("days.month_days", self.days.month_days.is_empty()),
            ("days.months", self.days.months.is_empty()),
        ] {
            if is_empty {
                finder.report(field, ProgramProblemKind::Empty);
            }
        }
        finder.count("starts", self.starts.len(), 1, START_RULES_MAX);
        for (idx, rule) in self.starts.iter().enumerate() {
            if rule.clock.needs_place() && site.place.is_none() {
                finder.report(format!("starts[{idx}].clock"), ProgramProblemKind::NoPlace);
            }
        }
    }

    fn check_steps(&self, finder: &mut Finder, site: &Site) {
        let sequence = &self.sequence;
        let delay_s_max = i64::from(DELAY_S_MAX);
        finder.count("sequence.steps", sequence.steps.len(), 1, STEPS_MAX);
        finder.range("sequence.rounds", sequence.rounds, 1, REPEATS_MAX);
        finder.range("sequence.delay_s", sequence.delay_s, -delay_s_max, delay_s_max);
        for (idx, step) in sequence.steps.iter().enumerate() {
            let at = format!("sequence.steps[{idx}]");
            match site.zones.get(&step.zone) {
                None => {
                    finder.report(format!("{at}.zone"), ProgramProblemKind::UnknownZone(step.zone.clone()));
                }
                Some(zone) => {
                    if let Err(error) = step.target.run_ms(zone) {
                        finder.report(format!("{at}.target"), ProgramProblemKind::Amount(error));
                    }
                }
            }
            let is_refill = |step: &super::Step| matches!(step.target, super::Target::Refill { .. });
            let earlier = sequence.steps.iter().take(idx);
            let is_second = earlier.filter(|other| is_refill(other)).any(|other| other.zone == step.zone);
            if is_refill(step) && (step.repeats > 1 || sequence.rounds > 1 || is_second) {
                finder.report(format!("{at}.target"), ProgramProblemKind::RefillTwice);
            }
            finder.range(format!("{at}.repeats"), step.repeats, 1, REPEATS_MAX);
            finder.range(format!("{at}.delay_s"), step.delay_s, -delay_s_max, delay_s_max);
        }
    }

    /// What only the runs together show.
    fn check_length(&self, finder: &mut Finder, site: &Site) {
        let (control, farm) = (Control::default(), FarmState::default());
        let n_runs: u64 = self.sequence.steps.iter().map(|step| self.n_runs_of(step, site)).sum();
        if n_runs > u64::try_from(RUNS_MAX).unwrap_or(u64::MAX) {
            let max = u64::try_from(RUNS_MAX).unwrap_or(u64::MAX);
            finder.report("sequence", ProgramProblemKind::TooMany { max });
            return;
        }
        let has_anchor = self.starts.iter().any(|rule| rule.anchor == Anchor::Finish);
        if has_anchor {
            // A season without its changes: every month at its own percentage is looked at.
            let calendar = Calendar { program: self, control: &control, site, farm: &farm };
            let months = match self.season {
                Season::Whole(_) => 1..=1,
                Season::ByMonth(_) => 1..=12,
            };
            let days = months.filter_map(|month| Date::new(2000, month, 1));
            if days.map(|day| calendar.span_ms(day)).any(|span_ms| span_ms > FINISH_SPAN_MS_MAX) {
                finder.report("sequence", ProgramProblemKind::TooLongToFinish);
            }
        }
    }

    /// Valve openings that a step needs at its full amount.
    fn n_runs_of(&self, step: &super::Step, site: &Site) -> u64 {
        let zone = site.zones.get(&step.zone);
        let cycles = zone.and_then(|zone| {
            let run_ms = step.target.run_ms(zone).ok()?;
            let (run_ms, _) = zone.limits.apply(run_ms).ok()?;
            Some(zone.n_cycles(run_ms))
        });
        u64::from(cycles.unwrap_or(0)) * u64::from(step.repeats) * u64::from(self.sequence.rounds)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{MINUTE_MS, at_hour, minutes_of, program, site, zone};
    use super::super::start::{Clock, StartRule, SunOffset};
    use super::super::{Cycle, DayRule, MonthDays, Months, Percent, Target, Weekdays, Window};
    use super::*;
    use crate::plan::DayWindow;

    type Spoil = fn(&mut Program, &mut Site);

    /// The problems of a sound farm with one sound program after something was spoilt, as `field: code`.
    fn check(spoil: Spoil, want: &[&str]) {
        let (mut program, mut site) = (program(&[("a", 10), ("b", 20)]), site());
        spoil(&mut program, &mut site);
        let problems = check_programs(&BTreeMap::from([("p".parse().unwrap(), program)]), &site);
        let found: Vec<_> =
            problems.iter().map(|problem| format!("{}: {}", problem.field, problem.kind.code())).collect();
        assert_eq!(found, want);
        assert!(problems.iter().all(|problem| problem.to_string().starts_with(&problem.field)));
    }

    #[test]
    fn a_sound_farm_has_no_problem() {
        check(|_, _| {}, &[]);
        check(|program, _| program.sequence.steps[0].is_enabled = false, &[]);
    }

    #[test]
    fn each_problem_names_its_field() {
        check(
            |program, _| {
                program.days = DayRule {
                    weekdays: Weekdays::of([]),
                    month_days: MonthDays::of([]).unwrap(),
                    months: Months::of([]).unwrap(),
                    ..DayRule::EVERY_DAY
                };
            },
            &[
                "programs.p.days.weekdays: empty",
                "programs.p.days.month_days: empty",
                "programs.p.days.months: empty",
            ],
        );
        check(|program, _| program.starts.clear(), &["programs.p.starts: empty"]);
        check(|program, _| program.starts = vec![at_hour(6, 0); 9], &["programs.p.starts: too_many"]);
        check(|program, _| program.catch_up_min = 1441, &["programs.p.catch_up_min: out_of_range"]);
        check(|program, _| program.total_ms = Some(59_999), &["programs.p.total_ms: out_of_range"]);
        check(
            |program, _| {
                program.total_ms = Some(3_600_000);
                let zone = program.sequence.steps[1].zone.clone();
                program.sequence.steps[1] = super::super::Step::of(zone, Target::Refill { from_depleted: 0 });
            },
            &["programs.p.total_ms: refill_in_total"],
        );
        check(
            |program, site| {
                let clock = Clock::Sunset(SunOffset::default());
                program.starts.push(StartRule { clock, ..at_hour(6, 0) });
                site.place = None;
            },
            &["programs.p.starts[1].clock: no_place"],
        );
        let too_many: Spoil =
            |program, _| program.windows.allowed = vec![Window::daily(DayWindow::ALWAYS); 9];
        check(too_many, &["programs.p.windows.allowed: too_many"]);
        check(
            |program, _| {
                let never = Window { span: DayWindow::ALWAYS, weekdays: Weekdays::of([]) };
                program.windows.no_water = vec![Window::daily(DayWindow::ALWAYS), never];
            },
            &["programs.p.windows.no_water[1].weekdays: empty"],
        );
    }

    #[test]
    fn each_problem_of_a_sequence_names_its_step() {
        check(|program, _| program.sequence.steps.clear(), &["programs.p.sequence.steps: empty"]);
        check(
            |program, _| program.sequence = minutes_of(&[("a", 1); 65]),
            &["programs.p.sequence.steps: too_many"],
        );
        check(
            |program, _| {
                program.sequence.rounds = 0;
                program.sequence.delay_s = -3601;
                program.sequence.steps[0].zone = zone("x");
                program.sequence.steps[1].target = Target::minutes(0);
                program.sequence.steps[1].repeats = 25;
                program.sequence.steps[1].delay_s = i32::MIN;
            },
            &[
                "programs.p.sequence.rounds: out_of_range",
                "programs.p.sequence.delay_s: out_of_range",
                "programs.p.sequence.steps[0].zone: unknown_zone",
                "programs.p.sequence.steps[1].target: amount_zero",
                "programs.p.sequence.steps[1].repeats: out_of_range",
                "programs.p.sequence.steps[1].delay_s: out_of_range",
            ],
        );
        check(
            |program, site| {
                program.sequence.steps[0].target = Target::millimetres(4);
                site.zones.get_mut(&zone("a")).unwrap().area_dm2 = None;
            },
            &["programs.p.sequence.steps[0].target: no_area"],
        );
    }

    #[test]
    fn what_only_the_whole_shows() {
        check(
            |program, site| {
                site.zones.get_mut(&zone("a")).unwrap().cycle = Cycle::new(MINUTE_MS, 0);
                program.sequence.steps[0].target = Target::minutes(61);
                program.sequence.rounds = 24;
            },
            &["programs.p.sequence: too_many"],
        );
        let in_july: Spoil = |program, _| {
            program.starts[0].anchor = Anchor::Finish;
            program.sequence.rounds = 12;
            program.sequence.steps[0].target = Target::minutes(100);
            let mut months = [Percent::FULL; 12];
            months[6] = Percent::new(110).unwrap();
            program.season = Season::ByMonth(months);
        };
        check(in_july, &["programs.p.sequence: too_long_to_finish"]);
    }

    #[test]
    fn each_problem_of_the_farm_names_its_zone() {
        check(
            |_, site| {
                site.utc_offset_min = 841;
                let zone = site.zones.get_mut(&zone("a")).unwrap();
                zone.limits.run_ms_min = zone.limits.run_ms_max + 1;
                zone.rest_ms = SOAK_MS_MAX + 1;
                let nothing = Window { span: DayWindow::ALWAYS, weekdays: Weekdays::of([]) };
                site.sources
                    .insert("pump".parse().unwrap(), Windows { allowed: vec![nothing], no_water: vec![] });
            },
            &[
                "utc_offset_min: out_of_range",
                "zones.a.limits.run_ms_min: limits_crossed",
                "zones.a.rest_ms: out_of_range",
                "sources.pump.allowed[0].weekdays: empty",
            ],
        );
        check(
            |_, site| site.zones.get_mut(&zone("c")).unwrap().limits.run_ms_max = 0,
            &["zones.c.limits.run_ms_max: out_of_range"],
        );
    }

    #[test]
    fn a_farm_has_so_many_programs_and_no_more() {
        let of = |n_programs: usize| -> BTreeMap<ProgramId, Program> {
            (0..n_programs).map(|n| (format!("p{n}").parse().unwrap(), program(&[("a", 1)]))).collect()
        };
        assert_eq!(check_programs(&of(PROGRAMS_MAX), &site()), []);
        let problems = check_programs(&of(PROGRAMS_MAX + 1), &site());
        assert_eq!(problems[0].to_string(), "programs: must be 256 at most");
    }
}
