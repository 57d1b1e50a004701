//! The rules of a `[[program]]`: words of days, times and amounts → the engine's program. What only the engine can judge
//! (a start by the sun without a place, an amount without a flow) it judges with the whole plan.

use super::compile::{Compiler, name_or, parse_day_minute, parse_hours, stand_in};
use super::raw;
use giot_engine::program::{
    Anchor, Clock, Crossing, Date, DayRule, Direction, EveryDays, MinuteOfDay, MonthDays, Months, Order,
    OrderBy, Parity, Percent, Program, Repeat, Season, Sequence, StartRule, Step, SunOffset, Target, Weekday,
    Weekdays, Window, Windows, YearSpan,
};
use giot_engine::{DayWindow, Depletion, ProgramId, ZoneId};
use toml::Spanned;

/// A start that was missed by less is made up for: a power cut of an hour should cost no watering.
const CATCH_UP_MIN_DEFAULT: u16 = 60;

const WEEK_MIN: f64 = 10_080.0;

/// Keys of a step that say how much, or from when on.
const AMOUNTS: [&str; 7] =
    ["minutes", "litres", "m3", "litres_per_plant", "mm", "refill", "depleted_at_percent"];

pub(super) const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const WEEKDAYS_RIGHT: &str = "a list of \"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"";
const HOURS_RIGHT: &str = "written as 20:00-06:00, in the farm's local time";

impl Compiler<'_> {
    pub(super) fn program(
        &mut self,
        raw: raw::Program,
        id: &ProgramId,
        field: &str,
    ) -> Option<(Program, String)> {
        if raw.id.get_ref().starts_with('_') {
            let what = "names that begin with '_' are the gateway's own";
            self.problem(raw.id.span(), &format!("{field}.id"), what);
        }
        let days = self.days(&raw.days, &format!("{field}.days"));
        let starts = raw.starts.iter().enumerate();
        let starts: Vec<StartRule> =
            starts.filter_map(|(idx, start)| self.start(start, &format!("{field}.starts[{idx}]"))).collect();
        let steps = raw.steps.iter().enumerate();
        let steps: Vec<Step> =
            steps.filter_map(|(idx, step)| self.step(step, &format!("{field}.steps[{idx}]"), idx)).collect();
        let by = [("listed", OrderBy::Listed), ("name", OrderBy::Name), ("need", OrderBy::Need)];
        let by = self.word(raw.order.as_ref(), &format!("{field}.order"), &by);
        let direction = [
            ("forward", Direction::Forward),
            ("reversed", Direction::Reversed),
            ("alternating", Direction::Alternating),
        ];
        let direction = self.word(raw.direction.as_ref(), &format!("{field}.direction"), &direction);
        let crossing = [("cut", Crossing::Cut), ("move", Crossing::Move), ("skip", Crossing::Skip)];
        let crossing = self.word(raw.crossing.as_ref(), &format!("{field}.crossing"), &crossing);
        let season = self.season(raw.season_percent.as_ref(), &format!("{field}.season_percent"));
        let total_ms = self.total_ms(raw.total_min.as_ref(), &format!("{field}.total_min"));
        let allowed = self.windows(&raw.allowed, &format!("{field}.allowed"));
        let no_water = self.windows(&raw.no_water, &format!("{field}.no_water"));
        let sequence = Sequence {
            order: Order { by: by.unwrap_or_default(), direction: direction.unwrap_or_default() },
            rounds: raw.rounds.unwrap_or(1),
            delay_s: raw.delay_s.unwrap_or(0),
            ..Sequence::of(steps)
        };
        let program = Program {
            days,
            starts,
            sequence,
            total_ms,
            season: season.unwrap_or(Season::NONE),
            windows: Windows { allowed, no_water },
            crossing: crossing.unwrap_or(Crossing::Cut),
            catch_up_min: raw.catch_up_min.unwrap_or(CATCH_UP_MIN_DEFAULT),
        };
        Some((program, name_or(raw.name, &id)))
    }

    /// The value behind one of several words; the first is the default.
    pub(super) fn word<T: Copy>(
        &mut self,
        text: Option<&Spanned<String>>,
        field: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let Some(text) = text else { return words.first().map(|(_, value)| *value) };
        let found = words.iter().find(|(word, _)| word == text.get_ref()).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.problem(text.span(), field, format!("one of {}", words.join(", ")));
        }
        found
    }

    /// A value that a rule of its own makes, or a problem that says what would be right.
    fn made<T, V>(&mut self, text: &Spanned<T>, field: &str, value: Option<V>, right: &str) -> Option<V> {
        if value.is_none() {
            self.problem(text.span(), field, right);
        }
        value
    }

    fn days(&mut self, raw: &raw::Days, field: &str) -> DayRule {
        let mut days = DayRule::EVERY_DAY;
        if let Some(list) = &raw.weekdays {
            let listed = weekdays(list.get_ref());
            let found = self.made(list, &format!("{field}.weekdays"), listed, WEEKDAYS_RIGHT);
            days.weekdays = found.unwrap_or(days.weekdays);
        }
        if let Some(list) = &raw.month_days {
            let right = "a list of days from 1 to 31, or \"last\"";
            let found = self.made(list, &format!("{field}.month_days"), month_days(list.get_ref()), right);
            days.month_days = found.unwrap_or(days.month_days);
        }
        if let Some(list) = &raw.months {
            let months = Months::of(list.get_ref().iter().copied());
            let found = self.made(list, &format!("{field}.months"), months, "a list of months from 1 to 12");
            days.months = found.unwrap_or(days.months);
        }
        if let Some(text) = &raw.parity {
            let words = [("odd", Parity::Odd), ("even", Parity::Even)];
            days.parity = self.word(Some(text), &format!("{field}.parity"), &words);
        }
        days.every = self.every(raw, field);
        if let Some(text) = &raw.season {
            let right = "written as 11-15/04-30: month and day, both ends included; it may go over New Year";
            days.season = self.made(text, &format!("{field}.season"), parse_span(text.get_ref()), right);
        }
        if let Some(text) = &raw.once {
            let date = parse_date(text.get_ref());
            days.once = self.made(text, &format!("{field}.once"), date, "a date such as 2026-02-28");
        }
        days
    }

    /// Every so many days, counted from one of them.
    fn every(&mut self, raw: &raw::Days, field: &str) -> Option<EveryDays> {
        let [every_field, from_field] = ["every_days", "counted_from"].map(|key| format!("{field}.{key}"));
        let anchor = raw.counted_from.as_ref().and_then(|text| {
            let date = parse_date(text.get_ref());
            self.made(text, &from_field, date, "a date such as 2026-01-31, one of the days")
        });
        let any_day = Date::new(2026, 1, 31)?;
        match (&raw.every_days, &raw.counted_from) {
            (Some(every), _) => {
                let is_sound = EveryDays::new(*every.get_ref(), any_day).is_some();
                let has_anchor = raw.counted_from.is_some() || self.is_spoilt(&from_field);
                let right = "between 1 and 366, with counted_from = \"2026-01-31\" as one of the days";
                self.made(every, &every_field, (is_sound && has_anchor).then_some(()), right)?;
                EveryDays::new(*every.get_ref(), anchor?)
            }
            (None, Some(from)) if !self.is_spoilt(&every_field) => {
                self.problem(from.span(), &from_field, "belongs to every_days");
                None
            }
            (None, _) => None,
        }
    }

    /// A start; what is wrong of it gives way to midnight, so that none is missing where they are counted.
    fn start(&mut self, raw: &Spanned<raw::Start>, field: &str) -> Option<StartRule> {
        let midnight = StartRule::at(MinuteOfDay::new(0, 0)?);
        let right = "a time: \"05:30\", \"sunrise\", \"sunset+01:00\" (at most 6 hours off)";
        let table = match raw.get_ref() {
            raw::Start::At(at) => {
                let clock = self.made(raw, field, parse_clock(at), right);
                return Some(clock.map_or(midnight, |clock| StartRule { clock, ..midnight }));
            }
            raw::Start::Table(table) => table,
        };
        let rule = match (&table.at, &table.finish_by) {
            (Some(at), None) => {
                let clock = parse_clock(at);
                if clock.is_none() {
                    self.problem_at(&format!("{field}.at"), right);
                }
                clock.map(|clock| StartRule { clock, ..midnight })
            }
            (None, Some(by)) => {
                let clock = parse_clock(by);
                if clock.is_none() {
                    self.problem_at(&format!("{field}.finish_by"), right);
                }
                clock.map(|clock| StartRule { clock, anchor: Anchor::Finish, ..midnight })
            }
            (None, None) | (Some(_), Some(_)) => {
                if !self.is_any_spoilt(field, &["at", "finish_by"]) {
                    self.problem(raw.span(), field, "either at or finish_by, with a time");
                }
                None
            }
        };
        let repeat = match (table.every_min, table.times) {
            (Some(every_min), Some(times)) => {
                let repeat = Repeat::new(every_min, times);
                if repeat.is_none() {
                    let what = "every_min and times, the repeats after the first start: 1 to 287, the last within a day of the \
                                first";
                    self.problem_at(&format!("{field}.times"), what);
                }
                repeat
            }
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                if !self.is_any_spoilt(field, &["every_min", "times"]) {
                    self.problem(raw.span(), field, "every_min and times go together");
                }
                None
            }
        };
        Some(StartRule { repeat, ..rule.unwrap_or(midnight) })
    }

    /// A step; what is wrong of it gives way to a minute, so that none is missing where they are counted.
    fn step(&mut self, raw: &Spanned<raw::Step>, field: &str, idx: usize) -> Option<Step> {
        let step = raw.get_ref();
        let zone =
            step.zone.parse::<ZoneId>().map_err(|error| self.problem_at(&format!("{field}.zone"), error));
        let zone = zone.ok().or_else(|| stand_in(idx))?;
        let amounts = [
            step.minutes.map(|minutes| whole(minutes * 60_000.0).map(|run_ms| Target::Time { run_ms })),
            step.litres.map(|litres| whole(litres * 1e3).map(|volume_ml| Target::Volume { volume_ml })),
            step.m3.map(|m3| whole(m3 * 1e6).map(|volume_ml| Target::Volume { volume_ml })),
            step.litres_per_plant
                .map(|litres| whole(litres * 1e3).map(|volume_ml| Target::PerPlant { volume_ml })),
            step.mm.map(|mm| whole(mm * 1e3).map(|depth_um| Target::Depth { depth_um })),
            step.refill.map(|refill| refill_from(step.depleted_at_percent).filter(|_| refill)),
        ];
        let mut given = amounts.into_iter().flatten();
        let target = match (given.next(), given.next()) {
            (Some(target), None) => target,
            _ => None,
        };
        let right = "exactly one of minutes, litres, m3, litres_per_plant, mm, and more than nothing; or refill = true, with a \
                     depleted_at_percent from 0 to 100 if nothing is to be given before";
        let target = target.filter(|_| step.refill.is_some() || step.depleted_at_percent.is_none());
        if target.is_none() && !self.is_any_spoilt(field, &AMOUNTS) {
            self.problem(raw.span(), field, right);
        }
        Some(Step {
            repeats: step.repeats.unwrap_or(1),
            delay_s: step.delay_s.unwrap_or(0),
            is_enabled: step.enabled.unwrap_or(true),
            ..Step::of(zone, target.unwrap_or(Target::Time { run_ms: 60_000 }))
        })
    }

    /// What all runs of a start last together.
    fn total_ms(&mut self, total_min: Option<&Spanned<f64>>, field: &str) -> Option<u64> {
        let total_min = total_min?;
        let is_sound = (1.0..=WEEK_MIN).contains(total_min.get_ref());
        let total_ms = whole(*total_min.get_ref() * 60_000.0).filter(|_| is_sound);
        self.made(total_min, field, total_ms, "between 1 and 10080 minutes, all runs of a start together")
    }

    fn season(&mut self, raw: Option<&Spanned<raw::Season>>, field: &str) -> Option<Season> {
        let Some(raw) = raw else { return Some(Season::NONE) };
        let made = match raw.get_ref() {
            raw::Season::Whole(percent) => Percent::new(*percent).map(Season::Whole),
            raw::Season::ByMonth(months) => {
                let percents: Option<Vec<Percent>> =
                    months.iter().map(|percent| Percent::new(*percent)).collect();
                percents.and_then(|percents| percents.try_into().ok()).map(Season::ByMonth)
            }
        };
        self.made(raw, field, made, "a percentage from 0 to 250, or twelve of them, January first")
    }

    pub(super) fn windows(&mut self, raw: &[Spanned<raw::Hours>], field: &str) -> Vec<Window> {
        let hours = raw.iter().enumerate();
        hours.map(|(idx, hours)| self.hours(hours, &format!("{field}[{idx}]"))).collect()
    }

    /// Hours of every day, or of some days of the week: those on which they begin.
    fn hours(&mut self, raw: &Spanned<raw::Hours>, field: &str) -> Window {
        let table = match raw.get_ref() {
            raw::Hours::Daily(text) => {
                let span = self.made(raw, field, parse_hours(text), HOURS_RIGHT);
                return Window::daily(span.unwrap_or(DayWindow::ALWAYS));
            }
            raw::Hours::On(table) => table,
        };
        let span = parse_hours(&table.hours);
        if span.is_none() {
            self.problem_at(&format!("{field}.hours"), HOURS_RIGHT);
        }
        let weekdays = table.weekdays.as_ref().map(|list| weekdays(list));
        if weekdays.is_some_and(|weekdays| weekdays.is_none()) {
            self.problem_at(&format!("{field}.weekdays"), WEEKDAYS_RIGHT);
        }
        let weekdays = weekdays.flatten().unwrap_or(Weekdays::ALL);
        Window { span: span.unwrap_or(DayWindow::ALWAYS), weekdays }
    }
}

/// Days of the week by their words; `None` for a word that is none, or without any.
fn weekdays(list: &[String]) -> Option<Weekdays> {
    let of =
        |word: &String| WEEKDAYS.iter().position(|day| day == word).and_then(|idx| Weekday::ALL.get(idx));
    let listed: Option<Vec<Weekday>> = list.iter().map(|word| of(word).copied()).collect();
    listed.filter(|listed| !listed.is_empty()).map(Weekdays::of)
}

/// A refill from a share of the available water on; without one, of anything that is lacking.
fn refill_from(percent: Option<f64>) -> Option<Target> {
    let from_depleted = Depletion::from_percent(percent.unwrap_or(0.0))?.get();
    Some(Target::Refill { from_depleted })
}

fn month_days(list: &[raw::MonthDay]) -> Option<MonthDays> {
    let mut days = MonthDays::of([])?;
    for day in list {
        days = days.and(match day {
            raw::MonthDay::Number(day) => MonthDays::of([*day])?,
            raw::MonthDay::Word(word) if word == "last" => MonthDays::LAST,
            raw::MonthDay::Word(_) => return None,
        });
    }
    Some(days)
}

/// `2026-02-28`.
fn parse_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let is_plain = year.len() == 4 && month.len() == 2 && day.len() == 2 && parts.next().is_none();
    is_plain.then(|| Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)).flatten()
}

/// `11-15/04-30`.
fn parse_span(text: &str) -> Option<YearSpan> {
    let (from, until) = text.split_once('/')?;
    let day = |text: &str| {
        let (month, day) = text.split_once('-')?;
        (month.len() == 2 && day.len() == 2).then(|| Some((month.parse().ok()?, day.parse().ok()?))).flatten()
    };
    YearSpan::new(day(from)?, day(until)?)
}

/// `05:30`, `sunrise`, `sunset-00:20`.
fn parse_clock(text: &str) -> Option<Clock> {
    if let Some(offset) = text.strip_prefix("sunrise") {
        return parse_offset(offset).map(Clock::Sunrise);
    }
    if let Some(offset) = text.strip_prefix("sunset") {
        return parse_offset(offset).map(Clock::Sunset);
    }
    let minute = parse_day_minute(text)?;
    MinuteOfDay::new(minute / 60, minute % 60).map(Clock::At)
}

/// `+01:00`, `-00:20` or nothing.
fn parse_offset(text: &str) -> Option<SunOffset> {
    let minutes = |text: &str| i16::try_from(parse_day_minute(text)?).ok();
    let offset_min = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(later), _) => minutes(later)?,
        (_, Some(earlier)) => -minutes(earlier)?,
        _ if text.is_empty() => 0,
        _ => return None,
    };
    SunOffset::new(offset_min)
}

/// The nearest whole number of a positive amount; the engine bounds it.
fn whole(amount: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and far above any amount that the engine takes where it saturates"
    )]
    let rounded = amount.round() as u64;
    (amount.is_finite() && rounded > 0).then_some(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_time() {
        let at = |hour, minute| MinuteOfDay::new(hour, minute).map(Clock::At);
        let cases = [
            ("05:30", at(5, 30)),
            ("00:00", at(0, 0)),
            ("24:00", None),
            ("5:30", None),
            ("sunrise", SunOffset::new(0).map(Clock::Sunrise)),
            ("sunset-00:20", SunOffset::new(-20).map(Clock::Sunset)),
            ("sunset+06:00", SunOffset::new(360).map(Clock::Sunset)),
            ("sunset+06:01", None),
            ("sunset 20", None),
            ("noon", None),
        ];
        for (text, want) in cases {
            assert_eq!(parse_clock(text), want, "{text}");
        }
    }

    #[test]
    fn words_of_days() {
        assert_eq!(parse_date("2028-02-29"), Date::new(2028, 2, 29));
        for bad in ["2026-02-29", "26-02-28", "2026-2-28", "2026-02-28-01", "tomorrow"] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
        assert_eq!(parse_span("11-15/04-30"), YearSpan::new((11, 15), (4, 30)));
        for bad in ["11-15", "11-31/12-01", "1-15/2-1"] {
            assert_eq!(parse_span(bad), None, "{bad}");
        }
    }
}
