//! The rules of a `[[program]]`: words of days, times and amounts → the engine's program. What only the engine can judge
//! (a start by the sun without a place, an amount without a flow) it judges with the whole plan.

use super::compile::{Compiler, parse_day_minute};
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

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Compiler<'_> {
    pub(super) fn program(&mut self, raw: raw::Program, field: &str) -> Option<(ProgramId, Program, String)> {
        let id: Option<ProgramId> = self.id(&raw.id, &format!("{field}.id"));
        let days = self.days(&raw.days, &format!("{field}.days"));
        let n_starts = raw.starts.len();
        let starts: Vec<StartRule> = raw
            .starts
            .iter()
            .enumerate()
            .filter_map(|(idx, start)| self.start(start, &format!("{field}.starts[{idx}]")))
            .collect();
        let n_steps = raw.steps.len();
        let steps: Vec<Step> = raw
            .steps
            .iter()
            .enumerate()
            .filter_map(|(idx, step)| self.step(step, &format!("{field}.steps[{idx}]")))
            .collect();
        let is_whole = starts.len() == n_starts && steps.len() == n_steps;
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
        let allowed = self.windows(&raw.allowed, &format!("{field}.allowed"));
        let no_water = self.windows(&raw.no_water, &format!("{field}.no_water"));
        let id = id?;
        if id.as_str().starts_with('_') {
            self.problem(
                raw.id.span(),
                &format!("{field}.id"),
                "names that begin with '_' are the gateway's own",
            );
        }
        let name = raw.name.unwrap_or_else(|| id.to_string());
        let sequence = Sequence {
            order: Order { by: by?, direction: direction? },
            rounds: raw.rounds.unwrap_or(1),
            delay_s: raw.delay_s.unwrap_or(0),
            ..Sequence::of(steps)
        };
        let program = Program {
            days: days?,
            starts,
            sequence,
            season: season?,
            windows: Windows { allowed: allowed?, no_water: no_water? },
            crossing: crossing?,
            catch_up_min: raw.catch_up_min.unwrap_or(CATCH_UP_MIN_DEFAULT),
        };
        is_whole.then_some((id, program, name))
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

    fn days(&mut self, raw: &raw::Days, field: &str) -> Option<DayRule> {
        let mut days = DayRule::EVERY_DAY;
        let mut is_sound = true;
        let mut take = |found: bool| is_sound &= found;
        if let Some(list) = &raw.weekdays {
            let of = |word: &String| {
                WEEKDAYS.iter().position(|day| day == word).and_then(|idx| Weekday::ALL.get(idx))
            };
            let listed: Option<Vec<Weekday>> = list.get_ref().iter().map(|word| of(word).copied()).collect();
            let right = "a list of \"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"";
            let found = self.made(list, &format!("{field}.weekdays"), listed, right).map(Weekdays::of);
            take(found.is_some());
            days.weekdays = found.unwrap_or(days.weekdays);
        }
        if let Some(list) = &raw.month_days {
            let right = "a list of days from 1 to 31, or \"last\"";
            let found = self.made(list, &format!("{field}.month_days"), month_days(list.get_ref()), right);
            take(found.is_some());
            days.month_days = found.unwrap_or(days.month_days);
        }
        if let Some(list) = &raw.months {
            let months = Months::of(list.get_ref().iter().copied());
            let found = self.made(list, &format!("{field}.months"), months, "a list of months from 1 to 12");
            take(found.is_some());
            days.months = found.unwrap_or(days.months);
        }
        if let Some(text) = &raw.parity {
            let words = [("odd", Parity::Odd), ("even", Parity::Even)];
            days.parity = self.word(Some(text), &format!("{field}.parity"), &words);
            take(days.parity.is_some());
        }
        if let Some(every) = &raw.every_days {
            let anchor = raw.counted_from.as_ref().and_then(|text| parse_date(text.get_ref()));
            let right = "between 1 and 366, with counted_from = \"2026-01-31\" as one of the days";
            let made = anchor.and_then(|anchor| EveryDays::new(*every.get_ref(), anchor));
            days.every = self.made(every, &format!("{field}.every_days"), made, right);
            take(days.every.is_some());
        }
        if let Some(text) = &raw.season {
            let right = "written as 11-15/04-30: month and day, both ends included; it may go over New Year";
            days.season = self.made(text, &format!("{field}.season"), parse_span(text.get_ref()), right);
            take(days.season.is_some());
        }
        if let Some(text) = &raw.once {
            let date = parse_date(text.get_ref());
            days.once = self.made(text, &format!("{field}.once"), date, "a date such as 2026-02-28");
            take(days.once.is_some());
        }
        is_sound.then_some(days)
    }

    fn start(&mut self, raw: &Spanned<raw::Start>, field: &str) -> Option<StartRule> {
        let plain =
            |at: &str| Some(StartRule { clock: parse_clock(at)?, anchor: Anchor::Start, repeat: None });
        let made = match raw.get_ref() {
            raw::Start::At(at) => plain(at),
            raw::Start::Table(table) => {
                let rule = match (&table.at, &table.finish_by) {
                    (Some(at), None) => plain(at),
                    (None, Some(by)) => plain(by).map(|rule| StartRule { anchor: Anchor::Finish, ..rule }),
                    _ => None,
                };
                match (table.every_min, table.times) {
                    (None, None) => rule,
                    (Some(every_min), Some(times)) => rule.and_then(|rule| {
                        Some(StartRule { repeat: Some(Repeat::new(every_min, times)?), ..rule })
                    }),
                    _ => None,
                }
            }
        };
        let right = "a time: \"05:30\", \"sunrise\", \"sunset+01:00\" (at most 6 hours off), or a table with `at` or \
                     `finish_by`, and `every_min` with `times` (the last within a day of the first)";
        self.made(raw, field, made, right)
    }

    fn step(&mut self, raw: &Spanned<raw::Step>, field: &str) -> Option<Step> {
        let step = raw.get_ref();
        let zone =
            step.zone.parse::<ZoneId>().map_err(|error| self.problem(raw.span(), field, error)).ok()?;
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
        let target = self.made(raw, field, target, right)?;
        Some(Step {
            repeats: step.repeats.unwrap_or(1),
            delay_s: step.delay_s.unwrap_or(0),
            is_enabled: step.enabled.unwrap_or(true),
            ..Step::of(zone, target)
        })
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

    fn windows(&mut self, raw: &[Spanned<String>], field: &str) -> Option<Vec<Window>> {
        let windows: Vec<Window> = raw
            .iter()
            .enumerate()
            .filter_map(|(idx, text)| self.window(Some(text), &format!("{field}[{idx}]")))
            .map(|span: DayWindow| Window::daily(span))
            .collect();
        (windows.len() == raw.len()).then_some(windows)
    }
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
