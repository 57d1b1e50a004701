//! A made-up farm that measures engine and rules: how long from a reading to what follows, and whether a reading costs more
//! when there are more rules that do not read it. Equal seeds make equal farms and equal readings.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use anyhow::Context;
use giot_engine::program::Group;
use giot_engine::{
    Action, Age, DayWindow, Engine, Input, Level, Memory, MetricName, Now, Plan, ProbeRef, RuleWish,
    SoilRule, SourcePlan, Timing, ValveRef, ZoneId, ZonePlan,
};
use giot_shared::ids::{CommandId, NodeId, ValveId};
use giot_shared::time::{MonoMs, UnixMs};
use giot_shared::units::MoisturePermyriad;
use giot_shared::valve::CloseReason;

use super::expr::{Scope, compile};
use super::{Effect, Output, Rule, RuleBook};
use crate::clock::monotonic;

/// Each zone has so many probes.
const PROBES: u32 = 3;

/// Zones on one source: they wait for each other.
const ZONES_ON_SOURCE: u32 = 10;

/// Everything is read once in so long.
const ROUND_MS: u64 = 600_000;

const WALL_MS: i64 = 1_767_225_600_000;

/// The few and the many rules that do not read what is measured.
const UNRELATED: [u32; 2] = [20, 2000];

/// How large the farm is.
#[derive(Clone, Copy, Debug)]
pub struct BenchPlan {
    /// Series; the first three of each zone are its probes.
    pub n_series: u32,
    /// Zones.
    pub n_zones: u32,
    /// Rules.
    pub n_rules: u32,
    /// How often every series is read.
    pub n_rounds: u32,
    /// Another seed makes another farm of the same kind.
    pub seed: u64,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct BenchReport {
    /// Readings fed.
    pub n_readings: u64,
    /// Those that something followed: a command, an entry of the diary.
    pub n_with_actions: u64,
    /// Commands that opened or closed.
    pub n_commands: u64,
    /// Rules that fired.
    pub n_firings: u64,
    /// Half of all readings took at most so long.
    pub p50: Duration,
    /// 99 of 100 did.
    pub p99: Duration,
    /// The slowest.
    pub slowest: Duration,
    /// Half of those with actions took at most so long, from the reading to the last action.
    pub p50_with_actions: Duration,
    /// 99 of 100 did.
    pub p99_with_actions: Duration,
    /// Mean cost of a reading of a zone beside 20 rules that do not read it.
    pub mean_few: Duration,
    /// The same beside 2,000 of them.
    pub mean_many: Duration,
    /// Resident memory that engine and rules took, bytes; `None` where the system does not tell.
    pub memory_bytes: Option<u64>,
}

/// Builds the farm and measures it; `each` hears of each round that is over, of so many.
///
/// # Errors
/// When the farm cannot be built: too few series for its zones.
pub fn measure(plan: BenchPlan, each: &mut dyn FnMut(u32, u32)) -> anyhow::Result<BenchReport> {
    anyhow::ensure!(
        plan.n_zones * PROBES <= plan.n_series,
        "{} zones need {} series for their probes",
        plan.n_zones,
        plan.n_zones * PROBES
    );
    let before = resident_bytes();
    let mut farm = Farm::new(plan, plan.n_rules, true)?;
    let memory_bytes = resident_bytes().zip(before).map(|(after, before)| after.saturating_sub(before));
    let n_all = plan.n_rounds * 2;
    let mut report = BenchReport { memory_bytes, ..BenchReport::default() };
    let mut all: Vec<Duration> = Vec::new();
    let mut acting: Vec<Duration> = Vec::new();
    for round in 0..plan.n_rounds {
        for series in 0..plan.n_series {
            let (spent, n_actions) = farm.read(round, series);
            all.push(spent);
            if n_actions > 0 {
                acting.push(spent);
            }
        }
        each(round + 1, n_all);
    }
    report.n_readings = u64::try_from(all.len())?;
    report.n_with_actions = u64::try_from(acting.len())?;
    (report.n_commands, report.n_firings) = (farm.n_commands, farm.n_firings);
    all.sort_unstable();
    acting.sort_unstable();
    (report.p50, report.p99) = (quantile(&all, 50), quantile(&all, 99));
    report.slowest = all.last().copied().unwrap_or_default();
    (report.p50_with_actions, report.p99_with_actions) = (quantile(&acting, 50), quantile(&acting, 99));
    drop(farm);
    let [few, many] = unrelated(plan, &mut |round| each(plan.n_rounds + round, n_all))?;
    (report.mean_few, report.mean_many) = (few, many);
    Ok(report)
}

/// The same readings of zones beside few and many rules that read other series; turn by turn, so that both meet the same
/// machine.
fn unrelated(plan: BenchPlan, each: &mut dyn FnMut(u32)) -> anyhow::Result<[Duration; 2]> {
    let mut farms = Vec::new();
    for n_rules in UNRELATED {
        farms.push((Farm::new(plan, n_rules, false)?, Vec::new()));
    }
    let n_read = plan.n_zones * PROBES;
    for round in 0..plan.n_rounds {
        for series in 0..n_read {
            for (farm, spent) in &mut farms {
                spent.push(farm.read(round, series).0);
            }
        }
        each(round + 1);
    }
    // The mean of the middle 98 of 100: what the machine did meanwhile would decide otherwise.
    let mean = |spent: &mut Vec<Duration>| {
        spent.sort_unstable();
        let cut = spent.len() / 100;
        let kept = spent.get(cut..spent.len() - cut).unwrap_or_default();
        kept.iter().sum::<Duration>() / u32::try_from(kept.len()).unwrap_or(1).max(1)
    };
    let means: Vec<Duration> = farms.iter_mut().map(|(_, spent)| mean(spent)).collect();
    means.try_into().map_err(|_| anyhow::anyhow!("two farms have two means"))
}

fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

struct Farm {
    engine: Engine,
    book: RuleBook,
    series: Vec<ProbeRef>,
    zone_of: BTreeMap<ProbeRef, ZoneId>,
    dice: u64,
    plan: BenchPlan,
    n_commands: u64,
    n_firings: u64,
    /// Nodes answer a moment later.
    answers: Vec<(ValveRef, CommandId, bool)>,
}

impl Farm {
    /// `is_reading`: the rules read series of the whole farm; otherwise only such as are never read here.
    fn new(plan: BenchPlan, n_rules: u32, is_reading: bool) -> anyhow::Result<Self> {
        let metric: MetricName = "soil_moisture".parse()?;
        let series: Vec<ProbeRef> = (0..plan.n_series)
            .map(|n| Ok(ProbeRef { device: format!("s{n}").parse()?, metric: metric.clone() }))
            .collect::<anyhow::Result<_>>()?;
        let (farm, zone_of) = farm_plan(plan, &series)?;
        let mut dice = plan.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let scope = Scope {
            series: series.iter().map(|probe| (probe.to_string(), probe.clone())).collect(),
            zones: farm.zones.keys().cloned().collect(),
            ..Scope::default()
        };
        let first = if is_reading { 0 } else { plan.n_zones * PROBES };
        let zones: Vec<&ZoneId> = farm.zones.keys().collect();
        let rules = (0..n_rules)
            .map(|n| rule(n, &scope, &series, first, &zones, is_reading, &mut dice))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let now = now(0);
        let book = RuleBook::new(&rules, &BTreeMap::new(), 420, now);
        let engine = Engine::new(farm, Memory::default(), CommandId(1), now);
        let mut made = Self {
            engine,
            book,
            series,
            zone_of,
            dice,
            plan,
            n_commands: 0,
            n_firings: 0,
            answers: Vec::new(),
        };
        made.drain(now);
        made.answer(now);
        made.n_commands = 0;
        Ok(made)
    }

    /// Feeds one reading; how long it took with all that followed, and how much that was.
    fn read(&mut self, round: u32, series: u32) -> (Duration, u64) {
        let turn_ms = ROUND_MS / u64::from(self.plan.n_series);
        let now = now(u64::from(round) * ROUND_MS + u64::from(series) * turn_ms.max(1) + 60_000);
        self.answer(now);
        // Every zone is dry in one round and moist in the next two; all readings of a zone agree.
        let group = if series < self.plan.n_zones * PROBES { series / PROBES } else { series };
        let dice = roll(&mut self.dice);
        let base = if (round + group).is_multiple_of(3) { 1900 } else { 3100 };
        let moisture = MoisturePermyriad::new(base + u16::try_from(dice % 50).unwrap_or(0));
        let Some(probe) = self.series.get(usize::try_from(series).unwrap_or(0)).cloned() else {
            return (Duration::ZERO, 0);
        };
        let (device, metric) = (&probe.device, &probe.metric);
        let at = now.wall.unwrap_or_default();
        let begin = monotonic();
        self.engine.handle(
            now,
            Input::Reading {
                device,
                metric,
                at,
                age: Age::Counted(0),
                level: moisture.map(Level::from),
                good: true,
            },
        );
        let value = moisture.map(MoisturePermyriad::percent);
        self.book.handle_reading(now, (device.as_str(), metric.as_str()), (at, Age::Counted(0)), value);
        if let Some(zone) = self.zone_of.get(&probe)
            && let Some(signs) = self.engine.zone_signs(zone, now)
        {
            self.book.handle_zone(now, zone, signs);
        }
        let n_actions = self.drain(now);
        (begin.elapsed(), n_actions)
    }

    /// Does what engine and rules want; how much that was.
    fn drain(&mut self, now: Now) -> u64 {
        let mut n_actions = 0;
        loop {
            while let Some(action) = self.engine.poll_action() {
                n_actions += 1;
                match black_box(action) {
                    Action::Open { command, valve, .. } => self.answers.push((valve, command, true)),
                    Action::Close { command, valve, .. } => self.answers.push((valve, command, false)),
                    Action::Diary(_)
                    | Action::Remember { .. }
                    | Action::RememberProgram { .. }
                    | Action::RememberFarm { .. }
                    | Action::RememberGuards { .. }
                    | Action::Pump(_) => {}
                }
            }
            let mut has_wished = false;
            while let Some(output) = self.book.poll_output() {
                let Output::Fired(firing) = output else { continue };
                self.n_firings += 1;
                has_wished = true;
                for effect in &firing.then {
                    let wish = match effect {
                        Effect::Start { zone, run_s } => RuleWish::Start { zone, run_s: *run_s },
                        Effect::Stop { zone } => RuleWish::Stop { zone },
                        Effect::Notify { note } => RuleWish::Notify { note },
                        Effect::Lock { .. } | Effect::Adjust { .. } => continue,
                    };
                    self.engine.handle(now, Input::Rule { rule: &firing.rule, wish, values: &firing.values });
                }
            }
            if !has_wished {
                return n_actions;
            }
        }
    }

    /// The nodes obey; not measured.
    fn answer(&mut self, now: Now) {
        while let Some((valve, command, open)) = self.answers.pop() {
            self.n_commands += 1;
            self.engine.handle(now, Input::Answer { command, refused: None });
            let state = Input::ValveState {
                valve: &valve,
                open,
                command: Some(command),
                closed_by: (!open).then_some(CloseReason::Commanded),
                run_ms: 60_000,
                volume: None,
                live: true,
            };
            self.engine.handle(now, state);
            self.drain(now);
        }
    }
}

fn now(ms: u64) -> Now {
    Now { mono: MonoMs(ms), wall: Some(UnixMs(WALL_MS).plus_ms(ms)) }
}

/// A number of a sequence that the seed decides (xorshift64, Marsaglia 2003).
fn roll(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn farm_plan(plan: BenchPlan, series: &[ProbeRef]) -> anyhow::Result<(Plan, BTreeMap<ProbeRef, ZoneId>)> {
    let permyriad = |value| MoisturePermyriad::new(value).context("a moisture");
    let mut farm = Plan { utc_offset_min: 420, timing: Timing::default(), ..Plan::default() };
    let mut zone_of = BTreeMap::new();
    for (n, probes) in (0..plan.n_zones).zip(series.chunks(usize::try_from(PROBES)?)) {
        let source: giot_engine::SourceId = format!("q{}", n / ZONES_ON_SOURCE).parse()?;
        farm.sources.insert(source.clone(), SourcePlan::default());
        let id: ZoneId = format!("z{n}").parse()?;
        zone_of.extend(probes.iter().map(|probe| (probe.clone(), id.clone())));
        let zone = ZonePlan {
            source,
            flow: None,
            area_dm2: None,
            n_plants: None,
            cycle: None,
            group: Group::default(),
            valve: ValveRef { node: format!("v{n}").parse::<NodeId>()?, valve: ValveId(0) },
            probes: probes.to_vec(),
            weights: Vec::new(),
            soil: SoilRule::Moisture { start_below: permyriad(2200)?, stop_above: permyriad(3000)? },
            window: DayWindow::ALWAYS,
            no_water: Vec::new(),
            lease_s: 600,
            run_max_s: 1800,
            skip_below_s: 0,
            run_least_s: 0,
            min_off_s: 60,
            fresh_s: 3600,
            plausible: (permyriad(100)?.into(), permyriad(6000)?.into()),
            rate_max: permyriad(6000)?.into(),
            stuck_s: 86_400,
            automatic: n % 2 == 0,
            guards: giot_engine::ZoneGuards::default(),
        };
        farm.zones.insert(id, zone);
    }
    Ok((farm, zone_of))
}

/// A rule that reads two series and the hour, or a zone; one in four starts a zone, one stops one, the others tell.
fn rule(
    n: u32,
    scope: &Scope,
    series: &[ProbeRef],
    first: u32,
    zones: &[&ZoneId],
    is_reading: bool,
    dice: &mut u64,
) -> anyhow::Result<Rule> {
    let n_choice = u64::from(u32::try_from(series.len())?.saturating_sub(first)).max(1);
    let mut pick = || -> anyhow::Result<&ProbeRef> {
        let idx = u64::from(first) + roll(dice) % n_choice;
        series.get(usize::try_from(idx)?).context("a series")
    };
    let (a, b) = (pick()?, pick()?);
    let zone = *zones.get(usize::try_from(roll(dice))? % zones.len().max(1)).context("a zone")?;
    let text = match n % 3 {
        0 if is_reading => format!("zone[\"{zone}\"].moisture < 20 && series[\"{a}\"] < 25"),
        1 => format!("series[\"{a}\"] < 20 && series[\"{b}\"] > 25 && time.hour < 23"),
        _ => format!("series[\"{a}\"] - series[\"{b}\"] > 5"),
    };
    let when = compile(&text, scope).map_err(|errors| anyhow::anyhow!("{text}: {errors:?}"))?;
    let effect = match n % 4 {
        0 => Effect::Start { zone: zone.clone(), run_s: 300 },
        1 => Effect::Stop { zone: zone.clone() },
        _ => Effect::Notify { note: "a notice".to_owned() },
    };
    Ok(Rule {
        id: format!("r{n}").parse()?,
        name: String::new(),
        when_text: text,
        when,
        until: None,
        for_ms: 0,
        cooldown_ms: 60_000,
        repeat_ms: None,
        fresh_ms: 1_800_000,
        times_max: 1000,
        then: vec![effect],
        is_enabled: true,
    })
}

/// What the process holds in memory, as Linux tells (proc_pid_statm(5), second field, pages of 4 KiB).
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_farm_acts_and_equal_seeds_act_equally() {
        let plan = BenchPlan { n_series: 120, n_zones: 20, n_rules: 40, n_rounds: 6, seed: 3 };
        let report = measure(plan, &mut |_, _| {}).unwrap();
        assert_eq!(report.n_readings, 720);
        assert!(report.n_commands > 10 && report.n_firings > 10, "{report:?}");
        let again = measure(plan, &mut |_, _| {}).unwrap();
        assert_eq!((again.n_commands, again.n_firings), (report.n_commands, report.n_firings), "P10");
        assert!(measure(BenchPlan { n_series: 10, ..plan }, &mut |_, _| {}).is_err());
    }
}
