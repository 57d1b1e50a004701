//! The rules at work: which hold, since when, and what follows.
//!
//! A rule waits until its condition holds; it must go on holding for `for`, and the cooldown of the firing before must be
//! over; then it fires once. It is over when `until` holds (without it: when the condition is false), and only then can it
//! fire again, unless it repeats. A condition that cannot be judged breaks the waiting and changes nothing else.
//!
//! A sans-IO core: feed it, drain [`RuleBook::poll_output`], call [`RuleBook::handle_timeout`] when
//! [`RuleBook::poll_timeout`] is reached. The monotonic line carries every span; civil time is only read for `time`, for the
//! age of readings and to bridge a restart.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cel::{Context, ExecutionError, Value as CelValue};
use giot_engine::{Age, Now, RuleId, ZoneId, ZoneSigns};
use giot_shared::metric::Metric;
use giot_shared::time::{MonoMs, UnixMs};

use super::expr::{Condition, FINITE, Sign, Source};
use super::inputs::{Inputs, Sight, Value};
use super::{Effect, Rule};

/// What changes in a zone is looked at so much later: whatever a rule did to it is past then.
const SETTLE_MS: u64 = 1000;

const DAY_MS: u64 = 86_400_000;

/// Longest text of what a rule saw, bytes: it goes into the diary and onto small screens.
const VALUES_LEN_MAX: usize = 300;

/// A rule that came true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    /// The rule.
    pub rule: RuleId,
    /// What follows.
    pub then: Vec<Effect>,
    /// What it saw: names and numbers with units.
    pub values: String,
}

/// What the shell must do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Tell the engine what the rule wants.
    Fired(Firing),
    /// Tell that the rule may not fire any more for a day.
    Tired {
        /// The rule.
        rule: RuleId,
        /// How often it may.
        times_max: u32,
    },
    /// Keep this over a restart, in place of what was kept of this rule.
    Remember {
        /// The rule.
        rule: RuleId,
        /// All of it.
        memory: RuleMemory,
    },
}

/// What of a rule must survive a restart. That it has been waiting is not kept: it waits the whole time again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleMemory {
    /// It has fired and is not over.
    pub is_active: bool,
    /// When it last fired; `None`: never, or while the clock was unset.
    pub fired_at: Option<UnixMs>,
    /// How often within the day that is counted.
    pub n_fired: u32,
    /// When that day ends.
    pub day_ends_at: Option<UnixMs>,
}

/// How a rule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleState {
    /// The rule.
    pub rule: RuleId,
    /// Whether the condition holds; `None`: an input is missing or too old.
    pub holds: Option<bool>,
    /// The first input that is missing or too old.
    pub missing: Option<String>,
    /// It has fired and is not over.
    pub is_active: bool,
    /// It holds and will fire then, if it goes on.
    pub fires_at: Option<MonoMs>,
    /// When it last fired.
    pub fired_at: Option<UnixMs>,
    /// How often within a day.
    pub n_fired: u32,
    /// What it sees.
    pub values: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The condition does not hold.
    Idle,
    /// It holds.
    Waiting { since: MonoMs },
    /// It has fired and is not over.
    Active { again_at: Option<MonoMs> },
}

/// A rule with its state.
struct Standing {
    rule: Rule,
    /// Numbers of the inputs behind the places of `when` and `until`.
    when_inputs: Vec<usize>,
    until_inputs: Vec<usize>,
    phase: Phase,
    /// No firing before.
    cool_until: MonoMs,
    n_fired: u32,
    day_ends_at: MonoMs,
    memory: RuleMemory,
    timer: Option<MonoMs>,
}

/// All rules of a farm.
pub struct RuleBook {
    rules: Vec<Standing>,
    inputs: Inputs,
    root: Context<'static, 'static>,
    utc_offset_min: i32,
    timers: BTreeSet<(MonoMs, usize)>,
    minute_at: Option<MonoMs>,
    /// Rules that read a zone that changed, and when they are looked at.
    later: BTreeSet<usize>,
    later_at: Option<MonoMs>,
    outputs: VecDeque<Output>,
    last_mono: MonoMs,
    n_looks: u64,
}

impl std::fmt::Debug for RuleBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleBook").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

impl RuleBook {
    /// The rules at the start of the gateway, with what was kept of them. Rules that are switched off are left out.
    #[must_use]
    pub fn new(rules: &[Rule], memory: &BTreeMap<RuleId, RuleMemory>, utc_offset_min: i32, now: Now) -> Self {
        let mut book = Self {
            rules: Vec::with_capacity(rules.len()),
            inputs: Inputs::default(),
            root: root(),
            utc_offset_min,
            timers: BTreeSet::new(),
            minute_at: None,
            later: BTreeSet::new(),
            later_at: None,
            outputs: VecDeque::new(),
            last_mono: now.mono,
            n_looks: 0,
        };
        for rule in rules.iter().filter(|rule| rule.is_enabled) {
            let idx = book.rules.len();
            let mut places = |condition: &Condition| {
                condition.inputs.iter().map(|source| book.inputs.intern(source, idx)).collect::<Vec<_>>()
            };
            let when_inputs = places(&rule.when);
            let until_inputs = rule.until.as_ref().map(places).unwrap_or_default();
            let kept = memory.get(&rule.id).copied().unwrap_or_default();
            book.rules.push(Standing::after_start(rule.clone(), when_inputs, until_inputs, kept, now));
        }
        book.tick(now);
        book
    }

    /// The rules of another version of the farm in place of these. What is known of readings stays, and what a rule that reads
    /// and does the same has come to; `memory`: what was kept of rules that are not among these.
    #[must_use]
    pub fn renewed(
        &self,
        rules: &[Rule],
        mut memory: BTreeMap<RuleId, RuleMemory>,
        utc_offset_min: i32,
        now: Now,
    ) -> Self {
        memory.extend(self.rules.iter().map(|standing| (standing.rule.id.clone(), standing.memory)));
        let mut book = Self::new(rules, &memory, utc_offset_min, now);
        book.inputs.take_over(&self.inputs);
        for standing in &mut book.rules {
            if let Some(before) = self.rules.iter().find(|before| before.rule.is_same(&standing.rule)) {
                (standing.phase, standing.cool_until) = (before.phase, before.cool_until);
                (standing.n_fired, standing.day_ends_at) = (before.n_fired, before.day_ends_at);
            }
        }
        (0..book.rules.len()).for_each(|idx| book.look(idx, now));
        book
    }

    /// The zones that some rule reads.
    pub fn zones(&self) -> impl Iterator<Item = &ZoneId> {
        self.inputs.zones()
    }

    /// Device and metric of the series that some rule reads.
    pub fn series(&self) -> impl Iterator<Item = (&str, &str)> {
        self.inputs.series()
    }

    /// Takes a reading of any series, by device and metric, with when it was taken; `None` where it has no good value.
    pub fn handle_reading(
        &mut self,
        now: Now,
        (device, metric): (&str, &str),
        taken: (UnixMs, Age),
        value: Option<f64>,
    ) {
        let now = self.advance(now);
        let Some(changed) = self.inputs.take_reading(now, device, metric, taken, value) else { return };
        self.look_at_readers(changed, now);
    }

    /// Takes what a zone shows. Rules see it a second later, so that nothing that a rule did is seen within its moment.
    pub fn handle_zone(&mut self, now: Now, zone: &ZoneId, signs: ZoneSigns) {
        let now = self.advance(now);
        for changed in self.inputs.take_zone(zone, signs) {
            let readers = self.inputs.get(changed).map(|input| input.readers.as_slice()).unwrap_or_default();
            self.later.extend(readers);
        }
        if !self.later.is_empty() {
            self.later_at.get_or_insert(now.mono.plus_ms(SETTLE_MS));
        }
    }

    /// Does what is due; harmless at any time.
    pub fn handle_timeout(&mut self, now: Now) {
        self.advance(now);
    }

    /// The next thing to do; drain after every call.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The earliest moment at which [`Self::handle_timeout`] is wanted.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<MonoMs> {
        let of_rules = self.timers.first().map(|(at, _)| *at);
        [of_rules, self.minute_at, self.later_at].into_iter().flatten().min()
    }

    /// How every rule stands, in the order of their names.
    pub fn states(&self, now: Now) -> impl Iterator<Item = RuleState> {
        self.rules.iter().map(move |standing| self.state(standing, now))
    }

    /// How often a rule was looked at since the start: grows with what rules read and with nothing else.
    #[must_use]
    pub fn n_looks(&self) -> u64 {
        self.n_looks
    }

    fn state(&self, standing: &Standing, now: Now) -> RuleState {
        let fresh_ms = standing.rule.fresh_ms;
        let inputs = standing.when_inputs.iter().filter_map(|idx| self.inputs.get(*idx));
        let missing = inputs.clone().find(|input| input.known(now, fresh_ms).is_none());
        RuleState {
            rule: standing.rule.id.clone(),
            holds: self.truth(&standing.rule.when, &standing.when_inputs, fresh_ms, now),
            missing: missing.map(|input| input.source.to_string()),
            is_active: matches!(standing.phase, Phase::Active { .. }),
            fires_at: match standing.phase {
                Phase::Waiting { since } => Some(standing.ready_at(since)),
                Phase::Idle | Phase::Active { .. } => None,
            },
            fired_at: standing.memory.fired_at,
            n_fired: standing.n_fired.min(standing.rule.times_max),
            values: self.values(standing, now),
        }
    }

    /// The monotonic line never goes back; everything that is due by now is done first.
    fn advance(&mut self, now: Now) -> Now {
        let now = Now { mono: now.mono.max(self.last_mono), wall: now.wall };
        self.last_mono = now.mono;
        self.tick(now);
        now
    }

    fn tick(&mut self, now: Now) {
        for changed in self.inputs.take_time(now.wall, self.utc_offset_min) {
            self.look_at_readers(changed, now);
        }
        if self.minute_at.is_none_or(|at| at <= now.mono) {
            self.minute_at = self.inputs.minute_at(now);
        }
        if self.later_at.is_some_and(|at| at <= now.mono) {
            self.later_at = None;
            for idx in std::mem::take(&mut self.later) {
                self.look(idx, now);
            }
        }
        while let Some((at, idx)) = self.timers.first().copied().filter(|(at, _)| *at <= now.mono) {
            self.timers.remove(&(at, idx));
            if let Some(standing) = self.rules.get_mut(idx) {
                standing.timer = None;
            }
            self.look(idx, now);
        }
    }

    fn look_at_readers(&mut self, input_idx: usize, now: Now) {
        let n_readers = self.inputs.get(input_idx).map_or(0, |input| input.readers.len());
        for n in 0..n_readers {
            let reader = self.inputs.get(input_idx).and_then(|input| input.readers.get(n)).copied();
            if let Some(idx) = reader {
                self.look(idx, now);
            }
        }
    }

    /// Judges one rule and does what follows.
    fn look(&mut self, idx: usize, now: Now) {
        self.n_looks += 1;
        let Some(standing) = self.rules.get(idx) else { return };
        let fresh_ms = standing.rule.fresh_ms;
        let holds = self.truth(&standing.rule.when, &standing.when_inputs, fresh_ms, now);
        let is_over = match &standing.rule.until {
            Some(until) => self.truth(until, &standing.until_inputs, fresh_ms, now) == Some(true),
            None => holds == Some(false),
        };
        let (is_due, phase) = standing.next(holds, is_over, now);
        let values = if is_due { self.values(standing, now) } else { String::new() };
        let stale_at = match phase {
            Phase::Waiting { .. } => self.stale_at(standing, now),
            Phase::Idle | Phase::Active { .. } => None,
        };
        let Some(standing) = self.rules.get_mut(idx) else { return };
        let was_active = matches!(standing.phase, Phase::Active { .. });
        standing.phase = phase;
        if is_due {
            standing.fire(now, values, &mut self.outputs);
        } else if was_active && !matches!(phase, Phase::Active { .. }) {
            standing.remember(&mut self.outputs);
        }
        let timer = match standing.phase {
            Phase::Idle => None,
            Phase::Waiting { since } => Some(standing.ready_at(since)).into_iter().chain(stale_at).min(),
            // One whose time has passed while it did not hold is looked at when something changes.
            Phase::Active { again_at } => again_at.map(|at| at.max(standing.cool_until)),
        };
        // Strictly ahead: what was due has been done, and nothing stands still.
        let timer = timer.filter(|at| *at > now.mono);
        if standing.timer != timer {
            if let Some(old) = std::mem::replace(&mut standing.timer, timer) {
                self.timers.remove(&(old, idx));
            }
            self.timers.extend(timer.map(|at| (at, idx)));
        }
    }

    /// When the first reading behind a condition becomes too old.
    fn stale_at(&self, standing: &Standing, now: Now) -> Option<MonoMs> {
        let inputs = standing.when_inputs.iter().filter_map(|idx| self.inputs.get(*idx));
        inputs.filter_map(|input| input.stale_at(now, standing.rule.fresh_ms)).min()
    }

    /// Whether a condition holds; `None` when an input is missing or too old, or its numbers cannot be compared.
    fn truth(&self, condition: &Condition, inputs: &[usize], fresh_ms: u64, now: Now) -> Option<bool> {
        let known = |idx: &usize| self.inputs.get(*idx)?.known(now, fresh_ms);
        let sight = Sight { values: inputs.iter().map(known).collect::<Option<_>>()? };
        let mut scope = self.root.new_inner_scope();
        scope.set_variable_resolver(&sight);
        match CelValue::resolve(&condition.expr, &scope) {
            Ok(CelValue::Bool(holds)) => Some(holds),
            // What was divided by zero, or has become too great, is no number that can be compared; anything else was refused when it
            // was compiled.
            Ok(_) | Err(_) => None,
        }
    }

    /// What a rule sees, in the order of its text.
    fn values(&self, standing: &Standing, now: Now) -> String {
        let mut text = String::new();
        for input in standing.when_inputs.iter().filter_map(|idx| self.inputs.get(*idx)) {
            let value = match input.known(now, standing.rule.fresh_ms) {
                Some(Value::Number(number)) => {
                    let unit = unit(&input.source);
                    format!("{}{unit}", shown(*number.inner()))
                }
                Some(Value::Truth(truth)) => truth.inner().to_string(),
                None => "?".to_owned(),
            };
            let part = format!("{} = {value}", input.source);
            if text.len() + part.len() + 2 > VALUES_LEN_MAX {
                text.push_str(", …");
                break;
            }
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(&part);
        }
        text
    }
}

impl Standing {
    fn after_start(
        rule: Rule,
        when_inputs: Vec<usize>,
        until_inputs: Vec<usize>,
        memory: RuleMemory,
        now: Now,
    ) -> Self {
        // A civil time is believed only where it makes the wait no longer than the whole span, and only backwards.
        let left_of = |fired_at: Option<UnixMs>, span_ms: u64| match (fired_at, now.wall) {
            (Some(fired_at), Some(wall)) if wall >= fired_at => {
                span_ms.saturating_sub(wall.since_ms(fired_at))
            }
            _ => span_ms,
        };
        let has_fired = memory.fired_at.is_some() || memory.n_fired > 0;
        let cool_ms = if has_fired { left_of(memory.fired_at, rule.cooldown_ms) } else { 0 };
        let day_begins = memory.day_ends_at.map(|at| at.minus_ms(DAY_MS));
        let again_at = rule.repeat_ms.map(|span_ms| now.mono.plus_ms(left_of(memory.fired_at, span_ms)));
        Self {
            phase: if memory.is_active { Phase::Active { again_at } } else { Phase::Idle },
            cool_until: now.mono.plus_ms(cool_ms),
            n_fired: memory.n_fired,
            day_ends_at: now.mono.plus_ms(if memory.n_fired > 0 { left_of(day_begins, DAY_MS) } else { 0 }),
            rule,
            when_inputs,
            until_inputs,
            memory,
            timer: None,
        }
    }

    /// When a rule that holds since a moment may fire.
    fn ready_at(&self, since: MonoMs) -> MonoMs {
        since.plus_ms(self.rule.for_ms).max(self.cool_until)
    }

    /// Whether it fires, and the phase that follows.
    fn next(&self, holds: Option<bool>, is_over: bool, now: Now) -> (bool, Phase) {
        match self.phase {
            Phase::Active { .. } if is_over => (false, Phase::Idle),
            Phase::Active { again_at } => {
                let is_again = holds == Some(true) && again_at.is_some_and(|at| at <= now.mono);
                // One that does not hold at its time fires when it holds again.
                (is_again && self.cool_until <= now.mono, self.phase)
            }
            Phase::Idle | Phase::Waiting { .. } if holds != Some(true) => (false, Phase::Idle),
            Phase::Idle => self.waiting(now.mono, now),
            Phase::Waiting { since } => self.waiting(since, now),
        }
    }

    fn waiting(&self, since: MonoMs, now: Now) -> (bool, Phase) {
        (self.ready_at(since) <= now.mono, Phase::Waiting { since })
    }

    fn fire(&mut self, now: Now, values: String, outputs: &mut VecDeque<Output>) {
        if self.day_ends_at <= now.mono {
            self.n_fired = 0;
            self.day_ends_at = now.mono.plus_ms(DAY_MS);
            self.memory.day_ends_at = now.wall.map(|wall| wall.plus_ms(DAY_MS));
        }
        let again_at = self.rule.repeat_ms.map(|span_ms| now.mono.plus_ms(span_ms.max(1)));
        self.phase = Phase::Active { again_at };
        let rule = self.rule.id.clone();
        let times_max = self.rule.times_max;
        if self.n_fired >= times_max {
            // Told once: the count goes one beyond.
            if self.n_fired == times_max {
                outputs.push_back(Output::Tired { rule, times_max });
            }
            self.n_fired = times_max.saturating_add(1);
        } else {
            self.n_fired += 1;
            self.cool_until = now.mono.plus_ms(self.rule.cooldown_ms);
            self.memory.fired_at = now.wall;
            outputs.push_back(Output::Fired(Firing { rule, then: self.rule.then.clone(), values }));
        }
        self.remember(outputs);
    }

    fn remember(&mut self, outputs: &mut VecDeque<Output>) {
        self.memory.is_active = matches!(self.phase, Phase::Active { .. });
        self.memory.n_fired = self.n_fired;
        outputs.push_back(Output::Remember { rule: self.rule.id.clone(), memory: self.memory });
    }
}

/// A context with the language's functions, made once: an evaluation adds only a scope to it.
fn root() -> Context<'static, 'static> {
    let mut root = Context::default();
    // Fails only for a name that the language has already; a test evaluates each.
    root.add_function("abs", |number: f64| number.abs()).ok();
    root.add_function("min", |a: f64, b: f64| a.min(b)).ok();
    root.add_function("max", |a: f64, b: f64| a.max(b)).ok();
    let finite = |number: f64| {
        if number.is_finite() { Ok(number) } else { Err(ExecutionError::function_error(FINITE, "no number")) }
    };
    root.add_function(FINITE, finite).ok();
    root
}

/// A number without needless decimals.
fn shown(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn unit(source: &Source) -> String {
    match source {
        Source::Zone(_, Sign::Moisture) => " %".to_owned(),
        Source::Zone(_, Sign::Tension) => " kPa".to_owned(),
        Source::Zone(..) | Source::Time(_) => String::new(),
        Source::Series(series) => {
            let name = series.metric.as_str();
            let base = name.rsplit_once('_').filter(|(_, n)| n.bytes().all(|b| b.is_ascii_digit()));
            let base = base.map_or(name, |(base, _)| base);
            let metric = Metric::ALL.iter().find(|metric| metric.name() == base);
            metric.map_or_else(String::new, |metric| format!(" {}", metric.unit()))
        }
    }
}

#[cfg(test)]
mod tests;
