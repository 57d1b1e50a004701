//! What can be written but makes no sense: programs that never water, and steps that are cut short whenever they run.
//!
//! The engine takes all of it and leaves out or cuts what it must, so that nobody is harmed; but who writes it wants something else.
//! Looked at are the plan's own amounts: a person's share or a dry month may ask for more than a zone's longest run, which is then what
//! that limit is for.

use std::collections::BTreeMap;

use giot_engine::program::{
    Date, DayRule, FarmState, Outcome, Program, Season, Site, Step, Target, Weekdays, Window, Windows,
    next_days,
};
use giot_engine::{Plan, ProgramId, Reason, ZonePlan};

use super::compile::{Compiler, Fields};

/// Days among which one must come: weekdays and leap days fall together again after 28 years, but for 2100.
const DAYS_LOOKED_AT: i32 = 40 * 366;

/// The first of them: a leap year.
const YEAR_LOOKED_AT: i32 = 2024;

/// Starts and runs that are played to see whether anything of a program fits its hours; one that needs more is believed.
const PLAYED_MAX: usize = 20_000;

const MINUTES_A_DAY: u16 = 1440;

/// Filters of days, the likeliest to be wrong first.
const FILTERS: [&str; 7] = ["once", "month_days", "weekdays", "months", "parity", "every_days", "season"];

impl Compiler<'_> {
    /// What of a plan's programs makes no sense.
    pub(super) fn senseless(&mut self, plan: &Plan, fields: &Fields) {
        let site = plan.site();
        self.never_by_the_soil(plan, &site, fields);
        let mut n_played = 0;
        for (id, program) in &plan.programs {
            let Some(base) = fields.programs.get(id) else { continue };
            let zones = program.sequence.steps.iter().filter_map(|step| fields.zones.get(&step.zone));
            let is_sound = !self.is_spoilt(base) && zones.into_iter().all(|zone| !self.is_spoilt(zone));
            if is_sound && !self.never_an_hour(program, &site, base) && n_played < PLAYED_MAX {
                n_played += self.never_open(id, program, &site, base);
            }
            self.never_a_day(&program.days, &format!("{base}.days"));
            self.never_a_step(program, base);
            for (idx, step) in program.sequence.steps.iter().enumerate().filter(|(_, step)| step.is_enabled) {
                let (Some(zone), Some(zone_field)) =
                    (plan.zones.get(&step.zone), fields.zones.get(&step.zone))
                else {
                    continue;
                };
                let field = format!("{base}.steps[{idx}]");
                if self.is_spoilt(&field) || self.is_spoilt(&format!("{base}.season_percent")) {
                    continue;
                }
                if program.total_ms.is_none() && !self.is_written(&format!("{base}.total_min")) {
                    self.cut_by_its_zone(step, program.season, zone, &site, [&field, zone_field]);
                }
            }
        }
    }

    /// A zone that its own soil never waters, because its hours bar every minute.
    fn never_by_the_soil(&mut self, plan: &Plan, site: &Site, fields: &Fields) {
        for (id, zone) in plan.zones.iter().filter(|(_, zone)| zone.automatic) {
            let (Some(facts), Some(base)) = (site.zones.get(id), fields.zones.get(id)) else { continue };
            let source =
                site.sources.get(&zone.source).map_or_else(|| minutes_of(&Windows::default()), minutes_of);
            let is_open = minutes_of(&facts.windows).iter().zip(source).any(|(zone, source)| *zone && source);
            if is_open || self.is_any_spoilt(base, &["window", "no_water", "source"]) {
                continue;
            }
            let what = "window and no_water, with the no_water of its sources, leave no minute in which its soil may start it: \
                        \"00:00-00:00\", and any other with equal ends, is the whole day";
            let at = self.first_written_or_whole(base, &["no_water", "window", "source"]);
            self.problem_at(&at, what);
        }
    }

    /// Filters that no day passes.
    fn never_a_day(&mut self, days: &DayRule, field: &str) {
        if self.is_spoilt(field)
            || days.weekdays.is_empty()
            || days.month_days.is_empty()
            || days.months.is_empty()
        {
            return;
        }
        let written: Vec<&str> =
            FILTERS.into_iter().filter(|key| self.is_written(&format!("{field}.{key}"))).collect();
        let Some(first) = written.first() else { return };
        let others = written.get(1..).unwrap_or_default().join(", ");
        if let Some(once) = days.once {
            if !days.contains(once) {
                let what = format!(
                    "{once}, {}, does not pass {others}: another date, or leave out what bars it; a day counts when every filter \
                     lets it pass",
                    weekday(once)
                );
                self.problem_at(&format!("{field}.once"), what);
            }
            return;
        }
        let Some(from) = Date::new(YEAR_LOOKED_AT, 1, 1) else { return };
        if !(0..DAYS_LOOKED_AT).any(|n| days.contains(from.plus_days(n))) {
            let keys = written.join(", ");
            let what = format!(
                "no day of forty years passes {keys}: a day counts when every filter lets it pass; change one of them or leave \
                 it out"
            );
            self.problem_at(&format!("{field}.{first}"), what);
        }
    }

    /// Steps that are all switched off.
    fn never_a_step(&mut self, program: &Program, base: &str) {
        let steps = &program.sequence.steps;
        let field = format!("{base}.steps");
        if !steps.is_empty() && !self.is_spoilt(&field) && steps.iter().all(|step| !step.is_enabled) {
            let what = "every step is switched off (enabled = false), so that it waters nothing: leave one on, or take the \
                        program out";
            self.problem_at(&field, what);
        }
    }

    /// A step that asks for more than its zone gives at once.
    fn cut_by_its_zone(
        &mut self,
        step: &Step,
        season: Season,
        zone: &ZonePlan,
        site: &Site,
        [field, zone_field]: [&str; 2],
    ) {
        let Some(facts) = site.zones.get(&step.zone) else { return };
        let Ok(wanted_ms) = step.target.run_ms(facts) else { return };
        if matches!(step.target, Target::Refill { .. })
            || self
                .is_any_spoilt(zone_field, &["run_max_min", "flow_l_per_h", "area_m2", "plants", "cycle_min"])
        {
            return;
        }
        let share = share_percent(season);
        let at_share =
            |amount: u64| u64::try_from(u128::from(amount) * u128::from(share) / 100).unwrap_or(u64::MAX);
        let of_season = if share < 100 { format!(" at {share} % (season_percent)") } else { String::new() };
        let (run_ms, most_ms) = (at_share(wanted_ms), facts.limits.run_ms_max);
        let at = self.first_written_or_whole(field, &super::whole::AMOUNTS);
        let id = &step.zone;
        if run_ms > most_ms {
            let (takes, most) = (tenths(run_ms, 60_000), tenths(most_ms, 60_000));
            let what = format!(
                "it takes {takes} min{of_season}, and a run of zone {id} lasts at most {most} min (run_max_min): it would be cut \
                 short every time; ask for less, give it in parts with repeats, or raise run_max_min"
            );
            self.problem_at(&at, what);
            return;
        }
        let Some(most_ml) = zone.guards.volume_max.map(|volume| u64::from(volume.0)) else { return };
        // Each portion opens the valve anew. A millisecond less: amounts are rounded up to one.
        let portion_ms = facts.cycle.map_or(run_ms, |cycle| run_ms.min(cycle.on_ms_max()));
        let Some(portion_ml) = facts.volume_ml(portion_ms.saturating_sub(1)) else { return };
        if portion_ml > most_ml && !self.is_spoilt(&format!("{zone_field}.volume_max_l")) {
            let (takes, most) = (tenths(portion_ml, 1000), tenths(most_ml, 1000));
            let what = format!(
                "it takes {takes} l at once{of_season}, and a run of zone {id} takes at most {most} l (volume_max_l): it would be \
                 cut short every time; ask for less, give it in parts with repeats, or raise volume_max_l"
            );
            self.problem_at(&at, what);
        }
    }

    /// Hours of program and zone that have no minute in common.
    fn never_an_hour(&mut self, program: &Program, site: &Site, base: &str) -> bool {
        let own = minutes_of(&program.windows);
        if !own.contains(&true) {
            let what = "the program's hours leave no minute for water: \"00:00-00:00\", and any other with equal ends, is the whole \
                        day; shorten no_water or widen allowed";
            let whole = program.windows.no_water.iter().position(is_whole_day);
            let idx = whole.map_or_else(String::new, |idx| format!("[{idx}]"));
            self.problem_at(&format!("{base}.no_water{idx}"), what);
            return true;
        }
        let steps = program.sequence.steps.iter().enumerate().filter(|(_, step)| step.is_enabled);
        let mut is_any = false;
        for (idx, step) in steps {
            let Some(facts) = site.zones.get(&step.zone) else { continue };
            let of_zone = minutes_of(&facts.windows);
            let of_source = site.sources.get(&facts.source).map(minutes_of);
            let of_zone: Vec<bool> = match of_source {
                Some(of_source) => {
                    of_zone.iter().zip(of_source).map(|(zone, source)| *zone && source).collect()
                }
                None => of_zone,
            };
            if !own.iter().zip(&of_zone).any(|(own, of_zone)| *own && *of_zone) {
                let what = format!(
                    "zone {} takes water only within its window and outside its and its sources' no_water, of which the program's hours \
                     leave no minute: change one of them",
                    step.zone
                );
                self.problem_at(&format!("{base}.steps[{idx}].zone"), what);
                is_any = true;
            }
        }
        is_any
    }

    /// Runs of which none fits its hours, in any month. Returns how much was played.
    fn never_open(&mut self, id: &ProgramId, program: &Program, site: &Site, base: &str) -> usize {
        let every_day = Program { days: DayRule::EVERY_DAY, ..program.clone() };
        let programs = BTreeMap::from([(id.clone(), every_day)]);
        let mut n_played = 0;
        let mut is_any = false;
        for month in 1..=12 {
            let Some(day) = Date::new(YEAR_LOOKED_AT, month, 15) else { continue };
            let from = day.begins_at(site.utc_offset_min);
            let preview = next_days(&programs, &BTreeMap::new(), site, &FarmState::default(), from, 1);
            for start in &preview.starts {
                let Outcome::Runs(timeline) = &start.outcome else { return n_played };
                n_played += 1 + timeline.skips.len();
                is_any = true;
                let is_shut = |reason: &Reason| {
                    matches!(
                        reason,
                        Reason::OutsideWindow { .. }
                            | Reason::NoWaterWindow { .. }
                            | Reason::WindowTooShort { .. }
                    )
                };
                let all_shut =
                    timeline.runs.is_empty() && timeline.skips.iter().all(|skip| is_shut(&skip.reason));
                if !all_shut || timeline.skips.is_empty() || n_played > PLAYED_MAX {
                    return n_played;
                }
            }
        }
        if is_any {
            let what = "no run ever fits its hours, in no month: allowed, no_water and the zones' window bar every one; widen them, ask \
                        for less, or have runs cut to them with crossing = \"cut\"";
            self.problem_at(&format!("{base}.starts"), what);
        }
        n_played
    }
}

/// The highest share of its amounts that a program gives by the calendar alone, up to all of it, %.
fn share_percent(season: Season) -> u16 {
    let most = match season {
        Season::Whole(percent) => percent.get(),
        Season::ByMonth(months) => months.iter().map(|percent| percent.get()).max().unwrap_or(100),
    };
    most.min(100)
}

/// The minutes of a day in which windows let water flow on some day of the week.
fn minutes_of(windows: &Windows) -> Vec<bool> {
    let is_allowed = |minute: u16| {
        windows.allowed.is_empty() || windows.allowed.iter().any(|window| holds(window, minute))
    };
    let daily = || windows.no_water.iter().filter(|window| window.weekdays == Weekdays::ALL);
    let is_open = |minute: u16| is_allowed(minute) && !daily().any(|window| holds(window, minute));
    (0..MINUTES_A_DAY).map(is_open).collect()
}

fn holds(window: &Window, minute: u16) -> bool {
    let (from, to) = (window.span.from_min() % MINUTES_A_DAY, window.span.to_min() % MINUTES_A_DAY);
    if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
}

fn is_whole_day(window: &Window) -> bool {
    window.span.from_min() % MINUTES_A_DAY == window.span.to_min() % MINUTES_A_DAY
}

/// An amount in a larger unit, with a tenth where there is one; rounded up.
fn tenths(amount: u64, unit: u64) -> String {
    let tenths = (u128::from(amount) * 10).div_ceil(u128::from(unit.max(1)));
    let (whole, tenth) = (tenths / 10, tenths % 10);
    if tenth == 0 { whole.to_string() } else { format!("{whole}.{tenth}") }
}

/// The day of the week as it is written.
fn weekday(date: Date) -> &'static str {
    let all = giot_engine::program::Weekday::ALL;
    let idx = all.iter().position(|day| *day == date.weekday());
    idx.and_then(|idx| super::program::WEEKDAYS.get(idx)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::compile;

    /// A farm with a zone of 60 minutes and 1000 l at most, at 2000 l/h, and a program with these keys.
    fn farm(of_zone: &str, of_program: &str) -> String {
        let program = if of_program.contains("starts") { "" } else { "starts = [\"20:00\"]\n" };
        let steps =
            if of_program.contains("steps") { "" } else { "steps = [{ zone = \"a\", minutes = 20 }]\n" };
        format!(
            "[[source]]\nid = \"s\"\n[[zone]]\nid = \"a\"\nsource = \"s\"\nvalve = {{ node = \"v1\" }}\nprobes = []\n\
             automatic = false\nstart_below_percent = 22\nstop_above_percent = 30\nflow_l_per_h = 2000\nrun_max_min = 60\n\
             plants = 100\n{of_zone}\n[[program]]\nid = \"p\"\n{program}{steps}{of_program}\n"
        )
    }

    #[track_caller]
    fn sound(of_zone: &str, of_program: &str) {
        compile("f", &farm(of_zone, of_program))
            .unwrap_or_else(|error| panic!("{of_zone} {of_program}: {error}"));
    }

    /// One problem, at this field and the line that holds a text, with these words.
    #[track_caller]
    fn wrong(of_zone: &str, of_program: &str, field: &str, at: &str, words: &str) {
        let text = farm(of_zone, of_program);
        let error = compile("f", &text).expect_err("senseless");
        let line = text.lines().position(|line| line.contains(at)).map(|idx| idx + 1);
        let found: Vec<_> = error.problems.iter().map(|p| (p.line, p.field.as_str())).collect();
        assert_eq!(found, [(line, field)], "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn a_day_that_never_comes_is_told() {
        sound("", "days = { month_days = [31], months = [1, 2] }");
        sound("", "days = { month_days = [29], months = [2], weekdays = [\"mon\"] }");
        sound("", "days = { weekdays = [\"sat\"], once = \"2026-02-28\" }");
        sound("", "days = { once = \"2019-02-28\" }");
        let never = |days: &str, key: &str, words: &str| {
            wrong("", &format!("days = {{ {days} }}"), &format!("program[0].days.{key}"), "days =", words);
        };
        never("month_days = [31], months = [2]", "month_days", "passes month_days, months: ");
        never("month_days = [31], parity = \"odd\"", "month_days", "passes month_days, parity: ");
        never("months = [7], season = \"11-15/04-30\"", "months", "months, season");
        never(
            "weekdays = [\"mon\"], every_days = 7, counted_from = \"2026-02-28\"",
            "weekdays",
            "every_days",
        );
        never(
            "weekdays = [\"mon\"], once = \"2026-02-24\"",
            "once",
            "2026-02-24, tue, does not pass weekdays",
        );
    }

    #[test]
    fn a_program_that_finds_no_hour_is_told() {
        sound("", "no_water = [\"23:00-23:30\", \"00:00-12:00\"]");
        sound("", "no_water = [{ hours = \"00:00-00:00\", weekdays = [\"sun\"] }]");
        sound("no_water = [{ hours = \"00:00-00:00\", weekdays = [\"sun\"] }]", "");
        sound("window = \"19:00-06:00\"", "allowed = [\"18:00-22:00\"]");
        // A run that is wanted too early may wait, and a later repeat finds its hours.
        sound("", "starts = [\"12:00\"]\nallowed = [\"18:00-22:00\"]");
        sound("", "starts = [\"12:00\"]\nallowed = [\"18:00-22:00\"]\ncrossing = \"move\"");
        sound("", "allowed = [\"20:00-20:10\"]");
        sound("", "starts = [{ at = \"12:00\", every_min = 60, times = 8 }]\nallowed = [\"18:00-22:00\"]");
        sound("", "starts = [{ finish_by = \"06:00\" }]\nallowed = [\"05:00-06:00\"]");
        let p = "program[0]";
        wrong("", "no_water = [\"00:00-00:00\"]", &format!("{p}.no_water[0]"), "no_water", "is the whole");
        wrong(
            "",
            "allowed = [\"18:00-22:00\"]\nno_water = [\"17:00-22:00\"]",
            &format!("{p}.no_water"),
            "no_water",
            "no minute",
        );
        let zone = "window = \"06:00-09:00\"";
        wrong(zone, "allowed = [\"18:00-22:00\"]", &format!("{p}.steps[0].zone"), "steps", "window");
        let zone = "no_water = [\"17:00-23:00\"]";
        wrong(zone, "allowed = [\"18:00-22:00\"]", &format!("{p}.steps[0].zone"), "steps", "no_water");
        let short = "allowed = [\"20:00-20:10\"]\ncrossing = \"skip\"";
        wrong("", short, &format!("{p}.starts"), "starts", "widen");
        // What is wrong with its amounts besides does not hide it.
        let text = farm("", &format!("{short}\nsteps = [{{ zone = \"a\", minutes = 61 }}]"));
        let error = compile("f", &text).expect_err("senseless");
        let found: Vec<_> = error.problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(found, ["program[0].starts", "program[0].steps[0].minutes"]);
    }

    #[test]
    fn steps_that_are_all_switched_off_are_told() {
        let steps = |rest: &str| format!("steps = [{{ zone = \"a\", minutes = 5, enabled = false }}{rest}]");
        wrong("", &steps(""), "program[0].steps", "steps", "enabled = false");
        sound("", &steps(", { zone = \"a\", minutes = 5 }"));
    }

    #[test]
    fn a_step_that_its_zone_cuts_short_is_told() {
        let steps = |amount: &str| format!("steps = [{{ zone = \"a\", {amount} }}]");
        let field = |key: &str| format!("program[0].steps[0].{key}");
        sound("", &steps("minutes = 60"));
        sound("", &steps("litres = 2000"));
        sound("volume_max_l = 2000", &steps("litres = 2000"));
        sound("volume_max_l = 2000", &steps("litres_per_plant = 20"));
        wrong(
            "",
            &steps("minutes = 60.5"),
            &field("minutes"),
            "steps",
            "takes 60.5 min, and a run of zone a lasts at most 60 min",
        );
        wrong("", &steps("litres = 2100"), &field("litres"), "steps", "takes 63 min");
        wrong("", &steps("litres_per_plant = 21"), &field("litres_per_plant"), "steps", "run_max_min");
        let most = "volume_max_l = 500";
        wrong(most, &steps("litres = 600"), &field("litres"), "steps", "takes 600 l at once");
        wrong(most, &steps("minutes = 20"), &field("minutes"), "steps", "at most 500 l (volume_max_l)");
        sound(&format!("{most}\ncycle_min = 15\nsoak_min = 30"), &steps("litres = 600"));
    }

    #[test]
    fn what_only_some_days_or_people_ask_for_is_no_mistake() {
        let long = "steps = [{ zone = \"a\", minutes = 100 }]";
        sound("", &format!("{long}\nseason_percent = 60"));
        wrong(
            "",
            &format!("{long}\nseason_percent = 70"),
            "program[0].steps[0].minutes",
            "steps",
            "70 min at 70 %",
        );
        // More in a dry month than the zone gives at once: that is what its limit is for.
        sound("", "steps = [{ zone = \"a\", minutes = 50 }]\nseason_percent = 200");
        // Amounts that are shared out are a proportion.
        sound("", &format!("{long}\ntotal_min = 30"));
        // A switched-off step asks for nothing.
        sound(
            "",
            "steps = [{ zone = \"a\", minutes = 5 }, { zone = \"a\", minutes = 500, enabled = false }]",
        );
    }
}
