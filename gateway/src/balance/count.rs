//! What a zone's soil lacks: its season day by day from weather, water and probes, up to this moment (FAO-56 by the engine).
//!
//! Pure: the same season, days and water give the same count. Days are the farm's; evapotranspiration counts when its day is
//! over, rain and irrigation at once. A day without temperatures takes the mean of the days before it, and the warmth of the
//! last, and is told as guessed; after [`SILENT_DAYS_MAX`] such days in a row nothing is counted any more. Where stages go by
//! warmth, days of the season before the station's first were as warm as that one. A number that cannot be is left out, and its
//! day told as guessed: one glitch of a gauge does not end a season.

use std::collections::{BTreeMap, VecDeque};

use giot_engine::agro::{Balance, DayInput, Depletion, Profile, SeasonPlan, StartState, Watering};
use giot_engine::program::{Date, Lack, Millimetres};
use giot_shared::time::UnixMs;

use super::weather::{Day, Et0From};

/// Longest silence of the station that is bridged, days: weather changes within a week, and a root zone lasts longer.
pub const SILENT_DAYS_MAX: u32 = 3;
/// Days whose mean stands in for a silent one.
const MEAN_DAYS: usize = 7;
/// A count is made many times a day; one that is older than this has a silent gateway or store behind it.
const FRESH_MS: u64 = 6 * 3_600_000;

/// How a zone's balance is counted.
#[derive(Clone, Debug, PartialEq)]
pub struct BalancePlan {
    /// Soil, crop and choices; its start is that of the season's first day.
    pub season: SeasonPlan,
    /// Month and day on which the first stage begins, each year.
    pub since: (u8, u8),
    /// The zone's whole area, dm².
    pub area_dm2: u32,
    /// Share of the water given that reaches the roots.
    pub efficiency: f64,
    /// Share of the ground that it wets.
    pub wetted: f64,
    /// Hour of the day at which the probes reset the balance; `None`: never.
    pub reset_hour: Option<u8>,
}

/// Water that a zone was given, as its node measured it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Given {
    /// When it was told.
    pub at: UnixMs,
    /// How much.
    pub ml: u64,
}

/// A day as it was counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counted {
    /// The day.
    pub date: Date,
    /// Reference evapotranspiration, mm; `None`: the day is not over.
    pub et0_mm: Option<f64>,
    /// How that came about.
    pub et0_from: Option<Et0From>,
    /// Crop coefficient with its stress.
    pub kc: f64,
    /// Evapotranspiration of the crop, mm.
    pub et_mm: f64,
    /// Rain, mm.
    pub rain_mm: f64,
    /// Irrigation, gross, mm.
    pub irrigation_mm: f64,
    /// What the probes changed in the morning, mm.
    pub reset_mm: f64,
    /// Stress coefficient: 1 is none.
    pub ks: f64,
    /// What is lacking at its end, mm.
    pub lack_mm: f64,
    /// What the root zone holds for plants, mm.
    pub available_mm: f64,
    /// Part of that which roots take without stress, mm.
    pub ready_mm: f64,
    /// A number of the day that cannot be and was left out, by name with unit.
    pub doubted: Option<&'static str>,
}

/// What is known of the farm, by day.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The weather.
    pub days: BTreeMap<Date, Day>,
    /// What the zone was given, in order.
    pub given: Vec<Given>,
    /// Water content by the probes at the hour of the reset, m³/m³.
    pub contents: BTreeMap<Date, f64>,
}

/// A zone's count.
#[derive(Clone, Debug, PartialEq)]
pub struct Count {
    /// What is lacking, or the code of what keeps it from being counted.
    pub lack: Result<Lack, &'static str>,
    /// The days behind it, the present one last.
    pub days: Vec<Counted>,
}

impl BalancePlan {
    /// The first day of the season that `today` is in.
    #[must_use]
    pub fn first_day(&self, today: Date) -> Date {
        let (month, day) = self.since;
        let of_year = |year| Date::new(year, month, day).or_else(|| Date::new(year, month, 28));
        let this = of_year(today.year()).filter(|first| *first <= today);
        this.or_else(|| of_year(today.year() - 1)).unwrap_or(today)
    }

    /// Counts up to a moment.
    #[must_use]
    pub fn count(&self, facts: &Facts, now: UnixMs, utc_offset_min: i32) -> Count {
        let today = Date::of(now, utc_offset_min);
        let season_first = self.first_day(today);
        // What is before the first day with a number has nothing to guess from.
        let counts = |(date, day): &(&Date, &Day)| **date >= season_first && day.et0.is_some();
        let Some((first, warmth)) = facts.days.iter().find(counts).map(|(date, day)| (*date, day.extremes_c))
        else {
            return Count { lack: Err("no_weather"), days: Vec::new() };
        };
        let mut season = self.season.clone();
        let n_before = f64::from(first.days_since(season_first));
        let growth = season.crop.stages.clock.growth(warmth).unwrap_or(0.0);
        season.start = StartState { progress: n_before * growth, ..season.start };
        let start_mm = season.soil.profile.available_mm(season.crop.root_at_m(season.start.progress));
        if let (Depletion::Content(_), Some(content)) = (season.start.depletion, self.content(facts, first)) {
            season.start.depletion = Depletion::Content(content);
        }
        let Ok(mut balance) = Balance::new(season) else {
            return Count { lack: Err("invalid_season"), days: Vec::new() };
        };
        let (mut recent, mut warmth): (VecDeque<f64>, _) = (VecDeque::new(), warmth);
        let (mut n_guessed, mut n_silent, mut days) = (0, 0, Vec::new());
        for nth in 0..today.days_since(first) {
            let date = first.plus_days(nth);
            let weather = facts.days.get(&date).copied().unwrap_or_default();
            let Some((et0_mm, et0_from)) = et0_of(&weather, mean(recent.iter().copied())) else { continue };
            warmth = weather.extremes_c.or(warmth);
            let mut input = self.input(facts, date, (et0_mm, warmth), utc_offset_min);
            let wrong = sound(&mut input, &self.season.soil.profile, mean(recent.iter().copied()));
            let doubted = wrong.or_else(|| weather.is_rain_doubted.then_some("rain_mm"));
            let is_guessed = et0_from == Et0From::Guessed;
            n_guessed += u32::from(is_guessed || doubted.is_some());
            if is_guessed {
                n_silent += 1;
            } else {
                n_silent = 0;
                recent.push_back(input.et0_mm);
                recent.drain(..recent.len().saturating_sub(MEAN_DAYS));
            }
            let Ok(row) = balance.pass(&input, &[]) else {
                return Count { lack: Err("implausible_day"), days };
            };
            days.push(Counted {
                date,
                et0_mm: Some(input.et0_mm),
                et0_from: Some(et0_from),
                kc: row.kc_actual,
                et_mm: row.root.et_mm,
                rain_mm: if wrong == Some("rain_mm") { 0.0 } else { weather.rain_from(0) },
                irrigation_mm: self.depth_mm(facts, date, 0, utc_offset_min),
                reset_mm: row.reset_mm,
                ks: row.root.ks,
                lack_mm: row.root.dr_mm,
                available_mm: row.root.taw_mm,
                ready_mm: row.root.raw_mm,
                doubted,
            });
        }
        let last = days.last().copied();
        let present = self.present(facts, today, last, (balance.depletion_mm(), start_mm), utc_offset_min);
        n_guessed += u32::from(present.doubted.is_some());
        days.push(present);
        let lack = if last.is_none() {
            Err("no_weather")
        } else if n_silent > SILENT_DAYS_MAX {
            Err("station_silent")
        } else {
            Ok(Lack {
                counted_at: now,
                until: now.plus_ms(FRESH_MS),
                lack: Millimetres::nearest(present.lack_mm),
                available: Millimetres::nearest(present.available_mm),
                efficiency: permyriad(self.efficiency),
                n_guessed,
            })
        };
        Count { lack, days }
    }

    /// What the probes measured in the morning of a day; what no such soil can hold is no measurement.
    fn content(&self, facts: &Facts, date: Date) -> Option<f64> {
        let most = self.season.soil.profile.water_content_max();
        facts.contents.get(&date).copied().filter(|content| *content <= most)
    }

    /// A day that is over, as the balance meets it.
    fn input(
        &self,
        facts: &Facts,
        date: Date,
        (et0_mm, extremes_c): (f64, Option<(f64, f64)>),
        utc_offset_min: i32,
    ) -> DayInput {
        let weather = facts.days.get(&date).copied().unwrap_or_default();
        let water_content = facts.contents.get(&date).copied();
        // What fell or was given before the probes were read is in what they said.
        let hour = self.content(facts, date).and(self.reset_hour).unwrap_or(0);
        DayInput {
            et0_mm,
            rain_mm: weather.rain_from(usize::from(hour)),
            u2_ms: weather.u2_ms,
            rhmin: weather.rhmin,
            extremes_c,
            watering: self.watering(self.depth_mm(facts, date, hour, utc_offset_min)),
            water_content,
            ..DayInput::default()
        }
    }

    /// The day that is not over: what was lacking in the morning, less its rain and water.
    fn present(
        &self,
        facts: &Facts,
        today: Date,
        last: Option<Counted>,
        (before_mm, start_mm): (f64, f64),
        utc_offset_min: i32,
    ) -> Counted {
        let weather = facts.days.get(&today).copied().unwrap_or_default();
        let available_mm = last.map_or(start_mm, |last| last.available_mm);
        let content = self.content(facts, today);
        let hour = content.and(self.reset_hour).unwrap_or(0);
        let profile = &self.season.soil.profile;
        let root_m = self.season.crop.root_m.1;
        let measured_mm = content.map(|content| {
            (profile.lacking_mm(content, root_m) * self.season.rules.wetted_share).clamp(0.0, available_mm)
        });
        let morning_mm = measured_mm.unwrap_or(before_mm);
        let rain_mm = weather.rain_from(usize::from(hour));
        let irrigation_mm = self.depth_mm(facts, today, hour, utc_offset_min);
        let lack_mm = (morning_mm - rain_mm - irrigation_mm * self.efficiency).max(0.0);
        Counted {
            date: today,
            et0_mm: None,
            et0_from: None,
            kc: last.map_or(0.0, |last| last.kc),
            et_mm: 0.0,
            rain_mm,
            irrigation_mm,
            reset_mm: measured_mm.map_or(0.0, |measured_mm| measured_mm - before_mm),
            ks: last.map_or(1.0, |last| last.ks),
            lack_mm,
            available_mm,
            ready_mm: last.map_or(0.0, |last| last.ready_mm),
            doubted: weather.is_rain_doubted.then_some("rain_mm"),
        }
    }

    /// What was given on a day from an hour on, gross, mm.
    #[expect(clippy::cast_precision_loss, reason = "volumes of a day are far below 2^53 ml")]
    fn depth_mm(&self, facts: &Facts, date: Date, hour: u8, utc_offset_min: i32) -> f64 {
        let from = date.begins_at(utc_offset_min).plus_ms(u64::from(hour) * 3_600_000);
        let to = date.plus_days(1).begins_at(utc_offset_min);
        let given = facts.given.iter().filter(|given| given.at >= from && given.at < to);
        // 1 mm on 1 dm² is 10 ml.
        given.map(|given| given.ml).sum::<u64>() as f64 / 10.0 / f64::from(self.area_dm2.max(1))
    }

    fn watering(&self, depth_mm: f64) -> Option<Watering> {
        (depth_mm > 0.0).then_some(Watering { depth_mm, wetted: self.wetted, efficiency: self.efficiency })
    }
}

/// A day's evapotranspiration and how it came about; one without a number takes the mean of those before it.
fn et0_of(day: &Day, mean_mm: Option<f64>) -> Option<(f64, Et0From)> {
    match day.et0 {
        Some((et0_mm, true)) => Some((et0_mm, Et0From::Hargreaves)),
        Some((et0_mm, false)) => Some((et0_mm, Et0From::PenmanMonteith)),
        None => Some((mean_mm?, Et0From::Guessed)),
    }
}

/// Leaves out, one after the other, what of a day cannot be; names the first. `mean_mm` stands in for its evapotranspiration.
fn sound(input: &mut DayInput, profile: &Profile, mean_mm: Option<f64>) -> Option<&'static str> {
    let mut first = None;
    // Each number is mended once; what is wrong beyond that is the plan's.
    for _ in 0..6 {
        let Err(error) = input.check_in(profile) else { break };
        let field = error.field();
        match field {
            "et0_mm" => input.et0_mm = mean_mm.unwrap_or(0.0),
            "rain_mm" => input.rain_mm = 0.0,
            "u_ms" => input.u2_ms = None,
            "rhmin" => input.rhmin = None,
            "water_content" => input.water_content = None,
            "irrigation_mm" => input.watering = None,
            _ => break,
        }
        first = first.or(Some(field));
    }
    first
}

fn permyriad(share: f64) -> u16 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1 … 10 000")]
    let permyriad = (share * 10_000.0).round().clamp(1.0, 10_000.0) as u16;
    permyriad
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0_u32), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use giot_engine::agro::{Canopy, Clock, Coefficients, CropPlan, DayOrder, Rules, SoilPlan, Stages, crop};

    const OFFSET_MIN: i32 = 420;

    fn date(day: u8) -> Date {
        Date::new(2026, 3, day).expect("a date")
    }

    fn at(day: u8, hour: u64) -> UnixMs {
        date(day).begins_at(OFFSET_MIN).plus_ms(hour * 3_600_000)
    }

    /// Grown plums in loam, 0.6 m of roots: 78 mm available; half of it lacks on 1 March.
    fn plums() -> BalancePlan {
        let row = crop("plum_bare").expect("a crop");
        let profile = Profile::Uniform { field_capacity: 0.25, wilting_point: 0.12, below_roots: None };
        BalancePlan {
            season: SeasonPlan {
                soil: SoilPlan { profile, surface_layer_m: 0.1, rew_mm: 9.0, curve_number: None },
                crop: CropPlan {
                    kcb: row.kcb,
                    kc: Some(row.kc),
                    stages: Stages::days(row.stage_days.expect("lengths")),
                    height_m: (3.0, 3.0),
                    root_m: (0.6, 0.6),
                    p: row.p,
                },
                start: StartState {
                    depletion: Depletion::Depth(39.0),
                    surface_mm: None,
                    wetted: 0.35,
                    progress: 0.0,
                },
                rules: Rules {
                    coefficients: Coefficients::Dual,
                    order: DayOrder::RefillFirst,
                    canopy: Canopy::Fixed(0.6),
                    ..Rules::default()
                },
                automatic: None,
            },
            since: (3, 1),
            area_dm2: 250_000,
            efficiency: 0.9,
            wetted: 0.35,
            reset_hour: None,
        }
    }

    fn weather(et0_mm: f64) -> Day {
        Day { et0: Some((et0_mm, false)), rain_mm: [Some(0.0); 24], ..Day::default() }
    }

    fn season(n_days: u8) -> Facts {
        Facts { days: (1..=n_days).map(|day| (date(day), weather(4.0))).collect(), ..Facts::default() }
    }

    fn lack_mm(facts: &Facts, now: UnixMs) -> f64 {
        plums().count(facts, now, OFFSET_MIN).lack.expect("a count").lack.in_mm()
    }

    #[test]
    fn days_take_water_and_given_water_comes_back_net() {
        let facts = season(9);
        let before = lack_mm(&facts, at(10, 8));
        assert!(before > 39.0 + 9.0 * 4.0 * 0.3 && before < 78.0, "{before}");
        // 20 m³ on 2 500 m² are 8 mm gross, 7.2 net.
        let given = Facts { given: vec![Given { at: at(10, 6), ml: 20_000_000 }], ..facts.clone() };
        assert!((before - lack_mm(&given, at(10, 8)) - 7.2).abs() < 0.02);
        let mut rained = facts;
        let rain = Day { rain_mm: [Some(0.5); 24], ..weather(4.0) };
        rained.days.insert(date(10), rain);
        assert!((before - lack_mm(&rained, at(10, 23)) - 12.0).abs() < 0.02);
    }

    #[test]
    fn nothing_is_counted_beyond_field_capacity() {
        let flood = Facts { given: vec![Given { at: at(10, 6), ml: 500_000_000 }], ..season(9) };
        assert!(lack_mm(&flood, at(10, 8)) < 0.005);
    }

    #[test]
    fn a_silent_station_is_bridged_for_a_while_and_told() {
        let count = |n_days: u8, day: u8| plums().count(&season(n_days), at(day, 8), OFFSET_MIN);
        assert_eq!(count(9, 10).lack.map(|lack| lack.n_guessed), Ok(0));
        let bridged = count(7, 10);
        assert_eq!(bridged.lack.map(|lack| lack.n_guessed), Ok(2));
        let guessed: Vec<_> =
            bridged.days.iter().filter(|day| day.et0_from == Some(Et0From::Guessed)).collect();
        assert_eq!(guessed.len(), 2);
        assert!(guessed.iter().all(|day| day.et0_mm == Some(4.0)), "{guessed:?}");
        assert_eq!(count(5, 10).lack, Err("station_silent"));
        assert_eq!(plums().count(&Facts::default(), at(10, 8), OFFSET_MIN).lack, Err("no_weather"));
    }

    /// One day with numbers that cannot be: the season goes on without them, and tells it.
    #[test]
    fn a_glitch_does_not_end_the_season() {
        let sound = lack_mm(&season(9), at(10, 8));
        let broken = |day: Day| {
            let mut facts = season(9);
            facts.days.insert(date(5), day);
            plums().count(&facts, at(10, 8), OFFSET_MIN)
        };
        let mut rain_mm = [Some(0.0); 24];
        rain_mm[14] = Some(13_107.0);
        let days = [
            (Day { rain_mm, ..weather(4.0) }, "rain_mm"),
            (Day { is_rain_doubted: true, ..weather(4.0) }, "rain_mm"),
            (Day { u2_ms: Some(655.35), ..weather(4.0) }, "u_ms"),
            (Day { rhmin: Some(127.0), ..weather(4.0) }, "rhmin"),
            (weather(400.0), "et0_mm"),
        ];
        for (day, name) in days {
            let count = broken(day);
            let told = count.days.iter().filter_map(|day| Some((day.date, day.doubted?)));
            assert_eq!(told.collect::<Vec<_>>(), vec![(date(5), name)]);
            let lack = count.lack.expect("the season goes on");
            assert!((lack.lack.in_mm() - sound).abs() < 0.02 && lack.n_guessed == 1, "{name}: {lack:?}");
        }
        let mut facts = season(9);
        facts.given = vec![Given { at: at(5, 6), ml: u64::from(u32::MAX) * 1000 }];
        let count = plums().count(&facts, at(10, 8), OFFSET_MIN);
        assert!((count.lack.expect("the season goes on").lack.in_mm() - sound).abs() < 0.02);
    }

    /// Water before the probes are read is in what they say: it does not come off again in the evening.
    #[test]
    fn what_the_probes_have_seen_is_not_counted_twice() {
        let plan = BalancePlan { reset_hour: Some(6), ..plums() };
        let lack = |hour: u64| {
            let mut facts = season(9);
            facts.contents.insert(date(9), 0.20);
            facts.given = vec![Given { at: at(9, hour), ml: 20_000_000 }];
            let mut rain_mm = [Some(0.0); 24];
            rain_mm[usize::try_from(hour).expect("an hour")] = Some(5.0);
            facts.days.insert(date(9), Day { rain_mm, ..weather(4.0) });
            plan.count(&facts, at(10, 5), OFFSET_MIN).lack.expect("a count").lack.in_mm()
        };
        let (before, after) = (lack(5), lack(7));
        assert!(before > 30.0 && before - after > 9.0, "{before} {after}");
    }

    #[test]
    fn probes_reset_the_balance_and_only_later_water_counts() {
        let plan = BalancePlan { reset_hour: Some(6), ..plums() };
        let mut facts = season(9);
        facts.contents.insert(date(10), 0.20);
        let lack =
            |facts: &Facts| plan.count(facts, at(10, 12), OFFSET_MIN).lack.expect("a count").lack.in_mm();
        // 5 % of 0.6 m.
        assert!((lack(&facts) - 30.0).abs() < 0.02, "{}", lack(&facts));
        facts.given = vec![Given { at: at(10, 5), ml: 20_000_000 }, Given { at: at(10, 7), ml: 10_000_000 }];
        assert!((lack(&facts) - 26.4).abs() < 0.02, "{}", lack(&facts));
    }

    #[test]
    fn probes_that_tell_more_water_than_pores_reset_nothing() {
        let plan = BalancePlan { reset_hour: Some(6), ..plums() };
        let dry = season(9);
        let lack = |facts: &Facts, hour: u64| {
            plan.count(facts, at(10, hour), OFFSET_MIN).lack.expect("a count").lack.in_mm()
        };
        for day in [1, 9, 10] {
            let mut flooded = season(9);
            flooded.contents.insert(date(day), 0.9);
            assert!((lack(&flooded, 12) - lack(&dry, 12)).abs() < 1e-9, "{day}: {}", lack(&flooded, 12));
        }
    }

    #[test]
    fn stages_by_warmth_follow_the_station() {
        let by_days = BalancePlan { season: staged(Stages::days([3.0, 4.0, 5.0, 6.0])), ..plums() };
        let clock = Clock::DegreeDays { base_c: 8.0, upper_c: 30.0 };
        let lengths = [30.0, 40.0, 50.0, 60.0];
        let by_warmth = BalancePlan { season: staged(Stages { lengths, clock }), ..plums() };
        // 10 °C·d a day are one day of the other clock, also where a day's temperatures are missing or come first on the 3rd.
        let mut facts = season(14);
        facts.days.values_mut().for_each(|day| day.extremes_c = Some((12.0, 24.0)));
        facts.days.insert(date(6), Day { et0: None, extremes_c: None, ..weather(4.0) });
        facts.days.retain(|day, _| *day >= date(3));
        let count = |plan: &BalancePlan, facts: &Facts| plan.count(facts, at(15, 8), OFFSET_MIN);
        let kcs = |count: &Count| count.days.iter().map(|day| day.kc).collect::<Vec<_>>();
        let (days, warmth) = (count(&by_days, &facts), count(&by_warmth, &facts));
        assert_eq!(days.days.len(), warmth.days.len());
        let apart = kcs(&days).iter().zip(kcs(&warmth)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart < 1e-9, "{apart}: {:?} {:?}", kcs(&days), kcs(&warmth));
        // A warm spring is ahead: by the 7th it has come to mid-season.
        facts.days.values_mut().for_each(|day| day.extremes_c = Some((18.0, 38.0)));
        let ahead = kcs(&count(&by_warmth, &facts));
        assert!(ahead[3] > kcs(&warmth)[3] + 0.1, "{ahead:?}");
    }

    fn staged(stages: Stages) -> SeasonPlan {
        let season = plums().season;
        SeasonPlan { crop: CropPlan { stages, ..season.crop }, ..season }
    }

    #[test]
    fn a_season_begins_each_year_on_its_day() {
        let plan = BalancePlan { since: (11, 15), ..plums() };
        assert_eq!(plan.first_day(date(1)), Date::new(2025, 11, 15).expect("a date"));
        assert_eq!(plums().first_day(date(1)), date(1));
    }

    #[test]
    fn the_same_facts_give_the_same_count() {
        let (facts, now) = (season(20), at(21, 8));
        assert_eq!(plums().count(&facts, now, OFFSET_MIN), plums().count(&facts, now, OFFSET_MIN));
    }
}
