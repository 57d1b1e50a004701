//! One zone under the engine over a history: recorded readings and gauges, a node that obeys at once, and soil that is either as
//! it was read or as the water of the trial would have made it.
//!
//! Deterministic: the same history, plan and soil give the same trial. The engine is the one that waters the farm; here its
//! commands open nothing.

use std::collections::BTreeMap;

use giot_engine::program::{Date, Lack};
use giot_engine::{
    Action, Age, Engine, Event, Input, Level, Memory, Now, Plan, ProbeRef, Reason, SourceGuards, ValveRef,
    WaterResponse, ZoneId, ZonePlan,
};
use giot_shared::ids::CommandId;
use giot_shared::time::{MonoMs, UnixMs};
use giot_shared::units::{LitresPerHour, Millilitres};
use giot_shared::valve::CloseReason;

use super::bucket::{Bucket, Difference};
use crate::balance::{BalancePlan, Facts, Given};

/// How often the water balance is counted anew.
const COUNT_EVERY_MS: u64 = 3_600_000;

/// Why soil starts a run.
const DRY: [&str; 3] = ["soil_dry", "soil_depleted", "soil_tense"];
/// Why it ends one.
const WET: [&str; 3] = ["soil_wet", "soil_refilled", "soil_relaxed"];

/// Water that flowed, or would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// From.
    pub from: UnixMs,
    /// Until.
    pub to: UnixMs,
    /// How much, ml.
    pub ml: u64,
}

/// What the store knows of a zone between two moments.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Readings of its probes (by their place in the plan), in the order of time.
    pub readings: Vec<(UnixMs, usize, Option<Level>)>,
    /// Readings of gauges that guards read, thousandths of their unit, in the order of time.
    pub gauges: Vec<(UnixMs, ProbeRef, Option<i64>)>,
    /// What was given.
    pub runs: Vec<Run>,
    /// Its water balance, where it has one.
    pub balance: Option<(BalancePlan, Facts)>,
}

/// What was skipped or failed for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skips {
    /// How often.
    pub n: u64,
    /// The reason with its numbers, the last time.
    pub last: Reason,
}

/// What happened, or would have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trial {
    /// Its runs.
    pub runs: Vec<Run>,
    /// What was skipped or failed, by the code of its reason.
    pub skips: BTreeMap<&'static str, Skips>,
    /// Mean level of each day.
    pub levels: BTreeMap<Date, f64>,
    /// Decisions of the engine: starts, ends, skips.
    pub n_decisions: u64,
    /// Runs that dry soil started.
    pub n_by_dry: u64,
    /// Runs that wet soil ended.
    pub n_by_wet: u64,
}

impl Trial {
    /// Thresholds started runs, and the soil never got wet enough to end one: the longest run, or the node, did.
    #[must_use]
    pub const fn stop_never_reached(&self) -> bool {
        self.n_by_dry > 0 && self.n_by_wet == 0
    }
}

/// The plan with one zone and nothing that is not simulated: no pump, no tank, no meter.
#[must_use]
pub fn reduced(plan: &Plan, zone: &ZoneId, program: Option<&giot_engine::ProgramId>) -> Plan {
    let mut plan = plan.clone();
    plan.zones.retain(|id, _| id == zone);
    for zone in plan.zones.values_mut() {
        zone.guards.meter = None;
        // What probes read in those days does not answer to water that was not given.
        zone.guards.response = WaterResponse::default();
        zone.automatic &= program.is_none();
    }
    for source in plan.sources.values_mut() {
        (source.pump, source.guards, source.stagger_s) = (None, SourceGuards::default(), 0);
    }
    plan.programs.retain(|id, _| program.is_none_or(|program| program == id));
    for program in plan.programs.values_mut() {
        program.sequence.steps.retain(|step| step.zone == *zone);
    }
    plan.programs.retain(|_, program| !program.sequence.steps.is_empty());
    plan
}

struct Open {
    command: CommandId,
    opened_at: UnixMs,
    until: UnixMs,
    volume: Option<Millilitres>,
}

struct Stage<'a> {
    zone: &'a ZonePlan,
    history: &'a History,
    from: UnixMs,
    utc_offset_min: i32,
    flow: LitresPerHour,
    engine: Engine,
    open: Option<Open>,
    difference: Option<Difference>,
    /// The next of the history's readings and gauges.
    next_reading: usize,
    next_gauge: usize,
    count_at: Option<UnixMs>,
    /// Water content at the hour of the reset as the trial's soil has it.
    contents: BTreeMap<Date, f64>,
    newest: Vec<Option<Level>>,
    /// The newest level of each probe as it was read.
    recorded: Vec<Option<f64>>,
    sums: BTreeMap<Date, (f64, u32)>,
    trial: Trial,
}

/// Plays the zone of a reduced plan. `flow`: what it gives while it is open. `bucket`: how its soil answers; `None`: it stays as it
/// was read. `each` hears the moment that the trial has reached.
pub fn play(
    plan: &Plan,
    history: &History,
    (from, to): (UnixMs, UnixMs),
    flow: LitresPerHour,
    bucket: Option<&Bucket>,
    each: &mut dyn FnMut(UnixMs),
) -> Trial {
    let Some(zone) = plan.zones.values().next() else { return Trial::default() };
    let engine = Engine::new(plan.clone(), Memory::default(), CommandId(1), moment(from, from));
    let mut stage = Stage {
        zone,
        history,
        from,
        utc_offset_min: plan.utc_offset_min,
        flow,
        engine,
        open: None,
        difference: bucket.map(|bucket| Difference::new(*bucket, from)),
        next_reading: 0,
        next_gauge: 0,
        count_at: history.balance.as_ref().map(|_| from),
        contents: BTreeMap::new(),
        newest: vec![None; zone.probes.len()],
        recorded: vec![None; zone.probes.len()],
        sums: BTreeMap::new(),
        trial: Trial::default(),
    };
    stage.begin();
    while let Some(at) = stage.next().filter(|at| *at < to) {
        stage.step(at);
        each(at);
    }
    stage.end(to)
}

fn moment(from: UnixMs, at: UnixMs) -> Now {
    Now { mono: MonoMs(at.since_ms(from)), wall: Some(at) }
}

impl Stage<'_> {
    fn feed(&mut self, at: UnixMs, input: Input<'_>) {
        self.engine.handle(moment(self.from, at), input);
    }

    /// The node is there, and its valve closed: the Closes of the start are answered.
    fn begin(&mut self) {
        let valve = self.zone.valve.clone();
        let at = self.from;
        self.feed(at, Input::NodeOnline { node: &valve.node, valves: &[(valve.valve, false, None)] });
        self.drain(at);
    }

    fn next(&self) -> Option<UnixMs> {
        let engine = self.engine.poll_timeout().map(|at| self.from.plus_ms(at.0));
        let reading = self.history.readings.get(self.next_reading).map(|(at, ..)| *at);
        let gauge = self.history.gauges.get(self.next_gauge).map(|(at, ..)| *at);
        [engine, reading, gauge, self.count_at, self.closes_at()].into_iter().flatten().min()
    }

    /// When the node closes by itself.
    fn closes_at(&self) -> Option<UnixMs> {
        let open = self.open.as_ref()?;
        let full = open.volume.map(|volume| {
            let ms = u64::from(volume.0).saturating_mul(3600) / u64::from(self.flow.0.max(1));
            open.opened_at.plus_ms(ms)
        });
        Some(full.map_or(open.until, |full| full.min(open.until)))
    }

    fn step(&mut self, at: UnixMs) {
        self.advance(at);
        if self.closes_at().is_some_and(|closes_at| closes_at <= at) {
            let is_full = self.open.as_ref().is_some_and(|open| open.until > at);
            self.close(at, if is_full { CloseReason::VolumeReached } else { CloseReason::LeaseEnded });
        }
        if self.count_at.is_some_and(|count_at| count_at <= at) {
            self.count(at);
        }
        while let Some((read_at, metric, milli)) = self.history.gauges.get(self.next_gauge) {
            if *read_at > at {
                break;
            }
            self.next_gauge += 1;
            let (device, metric) = (&metric.device, &metric.metric);
            self.feed(at, Input::Gauge { device, metric, at: *read_at, age: Age::Counted(0), milli: *milli });
        }
        while let Some((read_at, probe_idx, level)) = self.history.readings.get(self.next_reading).copied() {
            if read_at > at {
                break;
            }
            self.next_reading += 1;
            self.read(at, probe_idx, level);
        }
        self.feed(at, Input::Timeout);
        self.drain(at);
    }

    fn read(&mut self, at: UnixMs, probe_idx: usize, recorded: Option<Level>) {
        let by = self.difference.as_ref().map_or(0.0, Difference::now);
        let level =
            recorded.map(|level| Level::from_unit((level.in_unit() + by).clamp(0.0, 100.0)).unwrap_or(level));
        let level = if self.difference.is_some() { level } else { recorded };
        let is_plausible = |level: &Level| (self.zone.plausible.0..=self.zone.plausible.1).contains(level);
        if let Some(place) = self.recorded.get_mut(probe_idx) {
            *place = recorded.filter(is_plausible).map(Level::in_unit);
        }
        let Some(probe) = self.zone.probes.get(probe_idx) else { return };
        let (device, metric) = (&probe.device, &probe.metric);
        let good = level.is_some();
        self.engine.handle(
            moment(self.from, at),
            Input::Reading { device, metric, at, age: Age::Counted(0), level, good },
        );
        if let Some(place) = self.newest.get_mut(probe_idx) {
            *place = level.filter(is_plausible);
        }
        let there: Vec<f64> = self.newest.iter().flatten().map(|level| level.in_unit()).collect();
        if !there.is_empty() {
            let n = u32::try_from(there.len()).unwrap_or(u32::MAX);
            let mean = there.iter().sum::<f64>() / f64::from(n);
            let day = self.sums.entry(Date::of(at, self.utc_offset_min)).or_default();
            *day = (day.0 + mean, day.1 + 1);
        }
    }

    /// Lets the soil take what flows, up to a moment.
    fn advance(&mut self, at: UnixMs) {
        let given_from = self.open.as_ref().map(|open| open.opened_at);
        if let Some(difference) = &mut self.difference {
            let there: Vec<f64> = self.recorded.iter().flatten().copied().collect();
            let n = f64::from(u32::try_from(there.len()).unwrap_or(u32::MAX));
            let read = (!there.is_empty()).then(|| there.iter().sum::<f64>() / n);
            difference.advance(at, given_from.map(|from| (from, self.flow)), &self.history.runs, read);
        }
    }

    fn drain(&mut self, at: UnixMs) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Open { command, run_s, volume, .. } => self.obey_open(at, command, run_s, volume),
                Action::Close { command, .. } => {
                    self.feed(at, Input::Answer { command, refused: None });
                    self.close(at, CloseReason::Commanded);
                }
                Action::Diary(entry) => {
                    self.trial.n_decisions += 1;
                    let by = |codes: [&str; 3]| u64::from(codes.contains(&entry.reason.code()));
                    if entry.event == Event::Started {
                        self.trial.n_by_dry += by(DRY);
                    } else if entry.event == Event::Stopping {
                        self.trial.n_by_wet += by(WET);
                    }
                    if matches!(entry.event, Event::Skipped | Event::Refused | Event::Fault) {
                        let code = entry.reason.code();
                        let n = self.trial.skips.get(code).map_or(0, |skips| skips.n) + 1;
                        self.trial.skips.insert(code, Skips { n, last: entry.reason });
                    }
                }
                Action::Remember { .. }
                | Action::RememberProgram { .. }
                | Action::RememberFarm { .. }
                | Action::RememberGuards { .. }
                | Action::Pump(_) => {}
            }
        }
    }

    fn obey_open(&mut self, at: UnixMs, command: CommandId, run_s: u32, volume: Option<Millilitres>) {
        let until = at.plus_ms(u64::from(run_s) * 1000);
        // A renewed lease is still the same run.
        let opened_at = self.open.as_ref().map_or(at, |open| open.opened_at);
        self.open = Some(Open { command, opened_at, until, volume });
        self.feed(at, Input::Answer { command, refused: None });
        self.tell(at, true, Some(command), None, 0, None);
    }

    fn close(&mut self, at: UnixMs, why: CloseReason) {
        let Some(open) = self.open.take() else { return };
        let run_ms = at.since_ms(open.opened_at);
        let volume = self.flow.volume_in_ms(run_ms);
        self.trial.runs.push(Run { from: open.opened_at, to: at, ml: u64::from(volume.0) });
        let volume = self.zone.flow.is_some().then_some(volume);
        self.tell(at, false, Some(open.command), Some(why), run_ms, volume);
    }

    fn tell(
        &mut self,
        at: UnixMs,
        open: bool,
        command: Option<CommandId>,
        closed_by: Option<CloseReason>,
        run_ms: u64,
        volume: Option<Millilitres>,
    ) {
        let valve: &ValveRef = &self.zone.valve;
        let input = Input::ValveState { valve, open, command, closed_by, run_ms, volume, live: true };
        self.engine.handle(moment(self.from, at), input);
    }

    /// Counts what the soil lacks from what was known at that moment.
    fn count(&mut self, at: UnixMs) {
        self.count_at = Some(at.plus_ms(COUNT_EVERY_MS));
        let Some((plan, facts)) = &self.history.balance else { return };
        let today = Date::of(at, self.utc_offset_min);
        let hour = at.since_ms(today.begins_at(self.utc_offset_min)) / 3_600_000;
        let mut known = Facts { days: facts.days.clone(), ..Facts::default() };
        known.days.retain(|date, _| *date <= today);
        if let Some(day) = known.days.get_mut(&today) {
            day.rain_mm.iter_mut().skip(usize::try_from(hour).unwrap_or(24)).for_each(|rain| *rain = None);
        }
        // What was given before the trial counts for it too; from then on its own water alone.
        let really = || facts.given.iter().filter(|given| given.at <= at).copied();
        let trial = self.trial.runs.iter().map(|run| Given { at: run.to, ml: run.ml });
        known.given = really().filter(|given| given.at < self.from).chain(trial).collect();
        let before = facts.contents.range(..today).filter(|(date, _)| !self.sums.contains_key(*date));
        known.contents = before.map(|(date, content)| (*date, *content)).collect();
        known.contents.extend(&self.contents);
        if plan.reset_hour.is_some_and(|reset| hour >= u64::from(reset))
            && !self.contents.contains_key(&today)
            && let Some(content) = facts.contents.get(&today)
        {
            let by = self.difference.as_ref().map_or_else(
                || {
                    let contents = facts.contents.range(..today).map(|(date, content)| (*date, *content));
                    let really = Facts {
                        days: known.days.clone(),
                        given: really().collect(),
                        contents: contents.collect(),
                    };
                    self.wetter(plan, (&really, &known), at)
                },
                |difference| difference.now() / 100.0,
            );
            let content = (content + by).clamp(0.0, 1.0);
            self.contents.insert(today, content);
            known.contents.insert(today, content);
        }
        let lack: Result<Lack, &str> = plan.count(&known, at, self.utc_offset_min).lack;
        let Some(zone) = self.engine.zone_ids().next().cloned() else { return };
        self.feed(at, Input::Lack { zone: &zone, age_ms: 0, lack });
    }

    /// How much wetter the trial's own water has made the roots than they were read, by the balance, m³/m³: where nothing says how
    /// the soil answers to water, a probe that resets the count would forget it.
    fn wetter(&self, plan: &BalancePlan, (really, trial): (&Facts, &Facts), at: UnixMs) -> f64 {
        let lack_mm = |facts: &Facts| {
            let lack = plan.count(facts, at, self.utc_offset_min).lack;
            lack.ok().map(|lack| lack.lack.in_mm())
        };
        let depth_mm = plan.season.crop.root_m.1 * 1000.0 * plan.season.rules.wetted_share;
        match (lack_mm(really), lack_mm(trial)) {
            (Some(really_mm), Some(trial_mm)) if depth_mm > 0.0 => (really_mm - trial_mm) / depth_mm,
            _ => 0.0,
        }
    }

    fn end(mut self, to: UnixMs) -> Trial {
        self.advance(to);
        self.close(to, CloseReason::Commanded);
        let means = self.sums.iter().map(|(date, (sum, n))| (*date, sum / f64::from((*n).max(1))));
        self.trial.levels = means.collect();
        self.trial
    }
}
