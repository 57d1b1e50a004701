//! What holds for every program: ranges that are cut anywhere, runs that stay within their limits and hours, settings that
//! do not compound, clocks that jump.

use std::collections::{BTreeMap, BTreeSet};

use giot_shared::time::UnixMs;
use proptest::prelude::*;

use super::fixtures::{MINUTE_MS, OFFSET_MIN, at, date, minutes_of, program, site, zone};
use super::*;
use crate::plan::{DAY_MS, DayWindow};

const ZONES: [&str; 4] = ["a", "b", "c", "d"];

fn weekdays() -> impl Strategy<Value = Weekdays> {
    prop_oneof![
        2 => Just(Weekdays::ALL),
        1 => proptest::sample::subsequence(Weekday::ALL.to_vec(), 1..=7).prop_map(Weekdays::of),
    ]
}

fn day_rule() -> impl Strategy<Value = DayRule> {
    let parity = prop_oneof![3 => Just(None), 1 => Just(Some(Parity::Odd)), 1 => Just(Some(Parity::Even))];
    let every = proptest::option::of(
        (1_u16..10).prop_map(|n_days| EveryDays::new(n_days, date(2026, 11, 1)).unwrap()),
    );
    let season = prop_oneof![3 => Just(None), 1 => Just(YearSpan::new((11, 20), (1, 10)))];
    (weekdays(), parity, every, season).prop_map(|(weekdays, parity, every, season)| DayRule {
        weekdays,
        parity,
        every,
        season,
        ..DayRule::EVERY_DAY
    })
}

fn start_rule() -> impl Strategy<Value = StartRule> {
    let offset = || (-360_i16..=360).prop_map(|offset_min| SunOffset::new(offset_min).unwrap());
    let clock = prop_oneof![
        2 => (0_u16..24, 0_u16..60).prop_map(|(hour, minute)| Clock::At(MinuteOfDay::new(hour, minute).unwrap())),
        1 => offset().prop_map(Clock::Sunrise),
        1 => offset().prop_map(Clock::Sunset),
    ];
    let anchor = prop_oneof![3 => Just(Anchor::Start), 1 => Just(Anchor::Finish)];
    let repeat = (1_u16..1440, 1_u16..8).prop_map(|(every_min, times)| Repeat::new(every_min, times));
    (clock, anchor, repeat).prop_map(|(clock, anchor, repeat)| StartRule { clock, anchor, repeat })
}

fn sequence() -> impl Strategy<Value = Sequence> {
    let target = prop_oneof![
        (1_u32..40).prop_map(Target::minutes),
        (1_u32..60).prop_map(Target::litres),
        (1_u32..6).prop_map(Target::litres_per_plant),
        (1_u32..6).prop_map(Target::millimetres),
    ];
    let step = (proptest::sample::select(&ZONES), target, 1_u8..4, -600_i32..600).prop_map(
        |(name, target, repeats, delay_s)| Step { repeats, delay_s, ..Step::of(zone(name), target) },
    );
    let by = proptest::sample::select(vec![OrderBy::Listed, OrderBy::Name, OrderBy::Need]);
    let direction =
        proptest::sample::select(vec![Direction::Forward, Direction::Reversed, Direction::Alternating]);
    (prop::collection::vec(step, 1..8), by, direction, 1_u8..4, -300_i32..300).prop_map(
        |(steps, by, direction, rounds, delay_s)| Sequence {
            steps,
            order: Order { by, direction },
            rounds,
            delay_s,
        },
    )
}

fn farm_site() -> impl Strategy<Value = Site> {
    let cycle = proptest::option::of(
        (1_u64..20, 0_u64..40).prop_map(|(on, soak)| Cycle::new(on * MINUTE_MS, soak * MINUTE_MS).unwrap()),
    );
    let group = prop_oneof![3 => (0_u8..2).prop_map(Group::Sequential), 1 => Just(Group::Parallel)];
    let limits = (0_u64..8, 0_u64..10, 10_u64..60).prop_map(|(skip, min, max)| RunLimits {
        skip_below_ms: skip * MINUTE_MS,
        run_ms_min: min * MINUTE_MS,
        run_ms_max: max * MINUTE_MS,
    });
    prop::collection::vec((cycle, group, limits, 0_u64..30), ZONES.len()).prop_map(|facts| {
        let mut site = site();
        for (zone, (cycle, group, limits, rest_min)) in site.zones.values_mut().zip(facts) {
            (zone.cycle, zone.group, zone.limits) = (cycle, group, limits);
            zone.rest_ms = rest_min * MINUTE_MS;
        }
        site
    })
}

fn windows() -> impl Strategy<Value = Windows> {
    let window = || {
        (0_u16..1440, 0_u16..1440, weekdays()).prop_map(|(from_min, to_min, weekdays)| Window {
            span: DayWindow::new(from_min, to_min).unwrap(),
            weekdays,
        })
    };
    (prop::collection::vec(window(), 0..3), prop::collection::vec(window(), 0..2))
        .prop_map(|(allowed, no_water)| Windows { allowed, no_water })
}

fn any_program() -> impl Strategy<Value = Program> {
    let crossing = proptest::sample::select(vec![Crossing::Cut, Crossing::Move, Crossing::Skip]);
    let starts = prop::collection::vec(start_rule(), 1..=4);
    (day_rule(), starts, sequence(), windows(), crossing, 0_u16..120).prop_map(
        |(days, starts, sequence, windows, crossing, catch_up_min)| Program {
            days,
            starts,
            sequence,
            total_ms: None,
            season: Season::NONE,
            windows,
            crossing,
            catch_up_min,
        },
    )
}

fn percent() -> impl Strategy<Value = Percent> {
    (0..=PERCENT_MAX).prop_map(|percent| Percent::new(percent).unwrap())
}

/// A moment in the days after 24 November 2026.
fn moment() -> impl Strategy<Value = UnixMs> {
    (0_u64..10 * 24 * 60 * MINUTE_MS).prop_map(|ms| at(24, 0, 0).plus_ms(ms))
}

/// Runs without hours, at a level.
fn runs_of(sequence: &Sequence, site: &Site, scale: Scale) -> Timeline {
    let conditions = Conditions { site, needs: &BTreeMap::new(), lacks: None, scale, n_runs: 0, bars: None };
    timeline(sequence, &conditions, at(24, 6, 0))
}

/// Whether water may flow at a minute, found out by looking at each window by itself.
fn is_open(windows: &Windows, moment: UnixMs) -> bool {
    let holds = |window: &Window| {
        let (from_min, to_min) = (i64::from(window.span.from_min()), i64::from(window.span.to_min()));
        let length_min = if to_min > from_min { to_min - from_min } else { to_min - from_min + 1440 };
        (-1..=0).any(|back| {
            let day = Date::of(moment, OFFSET_MIN).plus_days(back);
            let begin = UnixMs(day.begins_at(OFFSET_MIN).0 + from_min * 60_000);
            let end = UnixMs(begin.0 + length_min * 60_000);
            window.weekdays.contains(day.weekday()) && (begin..end).contains(&moment)
        })
    };
    !windows.no_water.iter().any(holds) && (windows.allowed.is_empty() || windows.allowed.iter().any(holds))
}

proptest! {
    #[test]
    fn a_range_cut_anywhere_has_the_same_starts(
        program in any_program(), site in farm_site(), adjust in percent(),
        a in moment(), b in moment(), c in moment(),
    ) {
        let mut cuts = [a, b, c];
        cuts.sort();
        let control = Control { adjust, ..Control::default() };
        let farm = FarmState::default();
        let calendar = Calendar { program: &program, control: &control, site: &site, farm: &farm };
        let whole: Vec<Start> = calendar.starts(cuts[0], cuts[2]).collect();
        let parts: Vec<Start> =
            calendar.starts(cuts[0], cuts[1]).chain(calendar.starts(cuts[1], cuts[2])).collect();
        prop_assert_eq!(&whole, &parts);
        prop_assert!(whole.windows(2).all(|pair| pair[0].at < pair[1].at));
        prop_assert!(whole.iter().all(|start| program.days.contains(start.day)));
        let next = calendar.next_start(cuts[0]).filter(|next| next.at < cuts[2]);
        prop_assert_eq!(whole.first().copied(), next);
    }

    #[test]
    fn runs_keep_their_lines_their_rest_and_their_portions(mut sequence in sequence(), site in farm_site()) {
        for step in &mut sequence.steps {
            step.delay_s = step.delay_s.abs();
        }
        sequence.delay_s = sequence.delay_s.abs();
        let runs = runs_of(&sequence, &site, Scale::Level(Level::FULL)).runs;
        for (idx, first) in runs.iter().enumerate() {
            let facts = &site.zones[&first.zone];
            prop_assert!(first.run_ms() > 0);
            prop_assert!(facts.cycle.is_none_or(|cycle| first.run_ms() <= cycle.on_ms_max()));
            for second in &runs[idx + 1..] {
                if second.zone == first.zone {
                    let gap_ms = second.from.since_ms(first.until);
                    prop_assert!(gap_ms >= facts.cycle.map_or(1000, Cycle::soak_ms_min).max(1000));
                    // The portions of one run are parted by their soak alone.
                    let are_portions = second.step_idx == first.step_idx && second.cycle > first.cycle;
                    prop_assert!(are_portions || gap_ms >= facts.rest_ms, "{first:?} {second:?}");
                }
                let second_facts = &site.zones[&second.zone];
                if facts.group == second_facts.group && facts.group != Group::Parallel {
                    prop_assert!(second.from >= first.until, "{first:?} {second:?}");
                }
            }
        }
    }

    #[test]
    fn an_overlap_is_never_longer_than_asked_for(sequence in sequence(), site in farm_site()) {
        let runs = runs_of(&sequence, &site, Scale::Level(Level::FULL)).runs;
        let own_s = sequence.steps.iter().map(|step| step.delay_s).min().unwrap_or(0).min(0);
        let overlap_ms_max = u64::from((sequence.delay_s.min(0) + own_s).unsigned_abs()) * 1000;
        for (idx, first) in runs.iter().enumerate() {
            let group = site.zones[&first.zone].group;
            for second in runs[idx + 1..].iter().filter(|second| site.zones[&second.zone].group == group) {
                let overlap_ms = first.until.since_ms(second.from);
                prop_assert!(group == Group::Parallel || overlap_ms <= overlap_ms_max, "{first:?} {second:?}");
                prop_assert!(first.zone != second.zone || overlap_ms == 0);
            }
        }
    }

    #[test]
    fn every_step_gets_what_it_is_due(sequence in sequence(), site in farm_site(), season in percent(), adjust in percent()) {
        let level = Level::new(season, adjust);
        let timeline = runs_of(&sequence, &site, Scale::Level(level));
        // Portions beyond the bound are left out and told: `timeline`'s own tests.
        prop_assume!(timeline.runs.len() < RUNS_MAX);
        let mut sum_ms = 0;
        for (step_idx, step) in sequence.steps.iter().enumerate() {
            let facts = &site.zones[&step.zone];
            let had: u64 =
                timeline.runs.iter().filter(|run| run.step_idx == step_idx).map(PlannedRun::run_ms).sum();
            let wanted_ms = level.of(step.target.run_ms(facts).unwrap());
            let turn_ms = if wanted_ms == 0 || wanted_ms < facts.limits.skip_below_ms {
                prop_assert!(timeline.skips.iter().any(|skip| skip.step_idx == step_idx));
                0
            } else {
                wanted_ms.max(facts.limits.run_ms_min).min(facts.limits.run_ms_max)
            };
            prop_assert_eq!(had, turn_ms * u64::from(step.repeats) * u64::from(sequence.rounds));
            sum_ms += had;
        }
        prop_assert_eq!(timeline.run_ms(), sum_ms);
    }

    #[test]
    fn a_total_is_kept_where_limits_allow_it(sequence in sequence(), total_ms in 1_u64..100_000_000) {
        let mut site = site();
        site.zones.values_mut().for_each(|zone| zone.limits.run_ms_max = RUN_MS_MAX);
        let total = runs_of(&sequence, &site, Scale::TotalMs(total_ms));
        if total.skips.is_empty() && total.runs.iter().all(|run| run.notes.is_empty()) {
            prop_assert_eq!(total.run_ms(), total_ms);
        }
        prop_assert!(total.run_ms() <= total_ms);
    }

    #[test]
    fn water_flows_in_open_hours_only(
        mut program in any_program(), mut site in farm_site(), hours in prop::collection::vec(windows(), 2), begin in moment(),
    ) {
        site.zones.values_mut().for_each(|zone| zone.windows = hours[0].clone());
        site.sources.insert("pump".parse().unwrap(), hours[1].clone());
        program.sequence.rounds = 1;
        let farm = FarmState::default();
        let control = Control::default();
        let calendar = Calendar { program: &program, control: &control, site: &site, farm: &farm };
        let start = Start::by_hand(begin, Date::of(begin, OFFSET_MIN));
        for run in calendar.timeline(&start, begin).runs {
            prop_assert!(run.from >= begin && run.until > run.from);
            for ms in (0..run.run_ms()).step_by(60_000).chain([run.run_ms() - 1]) {
                let moment = run.from.plus_ms(ms);
                let levels = [&program.windows, &hours[0], &hours[1]];
                prop_assert!(levels.iter().all(|windows| is_open(windows, moment)), "{run:?} at {moment:?}");
            }
        }
    }

    #[test]
    fn adjustments_never_compound(settings in prop::collection::vec(percent(), 1..12)) {
        let (program, site, farm) = (program(&[("a", 30), ("b", 45)]), site(), FarmState::default());
        let mut control = Control::default();
        for (day, adjust) in (1_u8..).zip(settings) {
            control.adjust = adjust;
            let calendar = Calendar { program: &program, control: &control, site: &site, farm: &farm };
            let due = calendar.due(at(day, 6, 0));
            if let Some(start) = due.start {
                let level = Level::new(Percent::FULL, adjust);
                let runs = calendar.timeline(&start, start.at);
                prop_assert_eq!(runs.run_ms(), level.of(30 * MINUTE_MS) + level.of(45 * MINUTE_MS));
            }
            control = due.control;
        }
        prop_assert_eq!(minutes_of(&[("a", 30), ("b", 45)]), program.sequence);
    }

    #[test]
    fn each_start_is_dealt_with_once_whenever_one_asks(
        mut program in any_program(), site in farm_site(),
        waits_ms in prop::collection::vec(prop_oneof![4 => 0..90 * MINUTE_MS, 1 => 0..3 * 24 * 60 * MINUTE_MS], 1..40),
    ) {
        program.starts.iter_mut().for_each(|rule| rule.anchor = Anchor::Start);
        let farm = FarmState::default();
        let mut control = Control::default();
        let begin = at(20, 0, 0);
        let (mut now, mut dealt) = (begin, Vec::new());
        for wait_ms in std::iter::once(0).chain(waits_ms) {
            now = now.plus_ms(wait_ms);
            let due = Calendar { program: &program, control: &control, site: &site, farm: &farm }.due(now);
            dealt.extend(due.skipped.iter().map(|skip| skip.start.at));
            if let Some(start) = due.start {
                prop_assert!(now.since_ms(start.at) <= u64::from(program.catch_up_min) * MINUTE_MS);
                dealt.push(start.at);
            }
            control = due.control;
        }
        let calendar = Calendar { program: &program, control: &control, site: &site, farm: &farm };
        let all: Vec<UnixMs> = calendar.starts(begin, now.plus_ms(1)).map(|start| start.at).collect();
        prop_assert_eq!(dealt, all);
    }

    #[test]
    fn an_anchor_is_dealt_with_once_whatever_is_adjusted(
        mut program in any_program(), site in farm_site(),
        asks in prop::collection::vec((0..120 * MINUTE_MS, percent()), 1..60),
    ) {
        program.starts.truncate(1);
        program.starts[0].anchor = Anchor::Finish;
        let farm = FarmState::default();
        let (mut control, mut now) = (Control::default(), at(24, 0, 0));
        let (mut skipped, mut started) = (BTreeSet::new(), BTreeSet::new());
        for (wait_ms, adjust) in asks {
            now = now.plus_ms(wait_ms);
            control.adjust = adjust;
            let due = Calendar { program: &program, control: &control, site: &site, farm: &farm }.due(now);
            // What was told to be too long may be short enough again, and be started, but nothing follows a start.
            for start in due.skipped.iter().map(|skip| skip.start) {
                prop_assert!(skipped.insert(start.finish_at) && !started.contains(&start.finish_at), "{start:?}");
            }
            prop_assert!(due.start.is_none_or(|start| started.insert(start.finish_at)), "twice: {:?}", due.start);
            control = due.control;
        }
    }

    #[test]
    fn clocks_that_jump_start_nothing_in_a_burst(
        program in any_program(), site in farm_site(),
        jumps_ms in prop::collection::vec(-40 * DAY_MS..40 * DAY_MS, 1..20),
    ) {
        let farm = FarmState::default();
        let (mut control, mut now) = (Control::default(), at(24, 0, 0));
        for jump_ms in jumps_ms {
            now = UnixMs(now.0 + jump_ms);
            let due = Calendar { program: &program, control: &control, site: &site, farm: &farm }.due(now);
            control = due.control;
            let again = Calendar { program: &program, control: &control, site: &site, farm: &farm }.due(now);
            prop_assert_eq!((again.start, again.skipped.len()), (None, 0), "asked twice");
            // Whatever the clock did, the program is not held up longer than half a day.
            prop_assert!(control.handled_until.unwrap().since_ms(now) <= 12 * 3_600_000 + 1);
        }
    }

    #[test]
    fn a_preview_is_what_asking_at_every_start_gives(
        program in any_program(), site in farm_site(), skip_next in 0_u16..3, adjust in percent(),
    ) {
        let farm = FarmState { rain_delay_until: Some(at(24, 7, 0)), ..FarmState::default() };
        let (begin, end) = (at(24, 0, 0), at(27, 0, 0));
        let first = Control { skip_next, adjust, handled_until: Some(begin), ..Control::default() };
        let id: crate::ProgramId = "p".parse().unwrap();
        let programs = BTreeMap::from([(id.clone(), program.clone())]);
        let controls = BTreeMap::from([(id.clone(), first.clone())]);
        let mut preview = next_days(&programs, &controls, &site, &farm, begin, 3);
        preview.starts.iter_mut().for_each(|planned| planned.short_ms.clear());

        let mut lived = Vec::new();
        let mut control = first;
        let calendar = Calendar { program: &program, control: &control.clone(), site: &site, farm: &farm };
        let asks: Vec<UnixMs> = calendar.starts(begin, end).map(|start| start.at).collect();
        for now in std::iter::once(begin).chain(asks) {
            let calendar = Calendar { program: &program, control: &control, site: &site, farm: &farm };
            let due = calendar.due(now);
            let skips = due.skipped.into_iter().map(|skip| (skip.start, Outcome::Skipped(skip.reason)));
            let mut outcomes: Vec<_> = skips.collect();
            let runs = due.start.map(|start| (start, calendar.timeline(&start, now)));
            control = due.control;
            if let Some((start, runs)) = runs {
                control.busy_until = runs.until().or(control.busy_until);
                outcomes.push((start, Outcome::Runs(runs)));
            }
            lived.extend(outcomes.into_iter().map(|(start, outcome)| PlannedStart { program: id.clone(), start, outcome, short_ms: BTreeMap::new() }));
        }
        prop_assert_eq!(preview.starts, lived);
    }
}

#[test]
fn a_sound_program_has_no_problem() {
    assert_eq!(site().check(), []);
    assert_eq!(program(&[("a", 10), ("b", 20)]).check(&site()), []);
}
