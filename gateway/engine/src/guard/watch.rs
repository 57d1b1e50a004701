//! Whether the water that flows is the water that should: learned flow, and what is above, below and beside it.
//!
//! Flow is judged only between readings that lie wholly within watering, after the first seconds, or wholly within rest,
//! after the lines have drained. A finding must hold for its delay without a reading in between that contradicts it.

use giot_shared::time::MonoMs;

use crate::plan::FlowLimits;

/// Good runs that make the expected flow; the median of seven bears three odd ones.
const RUNS_MAX: usize = 7;

/// Fewer good runs than that teach nothing: then the plan's flow is expected.
const RUNS_MIN: usize = 3;

/// Readings of one run that are kept for its median: an hour of one a minute.
const SAMPLES_MAX: usize = 60;

const HOUR_MS: u64 = 3_600_000;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// More than expected.
    High { flow: u32, expected: u32 },
    /// Less than expected.
    Low { flow: u32, expected: u32 },
    /// Next to nothing.
    None { flow: u32, expected: Option<u32> },
    /// Flow with all valves closed.
    Leak { flow: u32 },
    /// Water flows as it should: the valve is open indeed.
    Confirmed { flow: u32 },
}

/// What the valves say about the water at a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Water {
    /// All are closed for certain, since then.
    Rests { since: MonoMs },
    /// Nothing certain.
    Changes,
    /// It should flow, since then, so much L/h if that is known.
    Flows { since: MonoMs, expected: Option<u32> },
}

/// Flow of a zone's last good runs, L/h.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signature {
    runs: Vec<u32>,
}

impl Signature {
    pub(crate) fn from_runs(mut runs: Vec<u32>) -> Self {
        runs.truncate(RUNS_MAX);
        Self { runs }
    }

    pub(crate) fn runs(&self) -> &[u32] {
        &self.runs
    }

    /// The flow to expect; `None` while too little is learned.
    pub(crate) fn expected(&self) -> Option<u32> {
        if self.runs.len() < RUNS_MIN { None } else { median(&self.runs) }
    }

    /// A good run had this flow.
    pub(crate) fn learn(&mut self, flow: u32) {
        if self.runs.len() >= RUNS_MAX {
            self.runs.remove(0);
        }
        self.runs.push(flow);
    }
}

/// The middle value.
pub(crate) fn median(values: &[u32]) -> Option<u32> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

/// One meter.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The counter's last value, mL, and its moment.
    last_volume: Option<(MonoMs, i64)>,
    /// The last flow, L/h, and its moment.
    pub(crate) last: Option<(MonoMs, u32)>,
    high_since: Option<MonoMs>,
    low_since: Option<MonoMs>,
    none_since: Option<MonoMs>,
    leak_since: Option<MonoMs>,
    /// Flow was as it should be in this run.
    pub(crate) is_confirmed: bool,
    /// Judged flows of this run.
    samples: Vec<u32>,
    /// What has been told of this run, or of this rest: once is enough.
    told: Vec<u8>,
}

impl Watch {
    /// Water begins to flow, or to rest: what was seen before says nothing of it. Returns the median flow of what ends, if
    /// nothing was wrong with it.
    pub(crate) fn turn(&mut self) -> Option<u32> {
        let is_good = self.told.iter().all(|code| *code == code_confirmed());
        let flow = median(&self.samples).filter(|_| is_good);
        let (last_volume, last) = (self.last_volume, self.last);
        *self = Self { last_volume, last, ..Self::default() };
        flow
    }

    /// A counter's value, mL: the flow since the one before, with the moment of that. `None` at first and after a reset.
    pub(crate) fn volume(&mut self, at: MonoMs, ml: i64) -> Option<(MonoMs, u32)> {
        let (before_at, before_ml) = self.last_volume.replace((at, ml))?;
        if at <= before_at {
            // An older reading that came late: the newer one stays.
            self.last_volume = Some((before_at, before_ml));
            return None;
        }
        let ml = u64::try_from(ml.checked_sub(before_ml)?).ok()?;
        // mL in ms → L/h: × 3600.
        let flow = ml.saturating_mul(3600) / at.since_ms(before_at).max(1);
        Some((before_at, u32::try_from(flow).unwrap_or(u32::MAX)))
    }

    /// A flow that held from `from` to `at`: what it means, once.
    pub(crate) fn flow(
        &mut self,
        from: MonoMs,
        at: MonoMs,
        flow: u32,
        water: Water,
        limits: &FlowLimits,
    ) -> Option<Finding> {
        if self.last.is_none_or(|(last_at, _)| at >= last_at) {
            self.last = Some((at, flow));
        }
        match water {
            Water::Changes => None,
            Water::Rests { since } => self.resting(from, at, flow, since, limits),
            Water::Flows { since, expected } => self.flowing(from, at, flow, (since, expected), limits),
        }
    }

    fn resting(
        &mut self,
        from: MonoMs,
        at: MonoMs,
        flow: u32,
        since: MonoMs,
        limits: &FlowLimits,
    ) -> Option<Finding> {
        if from < since.plus_ms(u64::from(limits.leak_ignore_s) * 1000) {
            return None;
        }
        let is_leak = flow > limits.leak_l_per_h.0;
        let is_due = holds(&mut self.leak_since, is_leak, from, at, limits.leak_delay_s);
        (is_due && self.is_news(0)).then_some(Finding::Leak { flow })
    }

    fn flowing(
        &mut self,
        from: MonoMs,
        at: MonoMs,
        flow: u32,
        (since, expected): (MonoMs, Option<u32>),
        limits: &FlowLimits,
    ) -> Option<Finding> {
        if from < since.plus_ms(u64::from(limits.ignore_s) * 1000) {
            return None;
        }
        if self.samples.len() < SAMPLES_MAX {
            self.samples.push(flow);
        }
        let share = |percent: u16| expected.map(|expected| u64::from(expected) * u64::from(percent) / 100);
        let none_below =
            share(limits.none_percent).map_or(u64::from(limits.leak_l_per_h.0), |least| least.max(1));
        let flow_l_h = u64::from(flow);
        let is_none = flow_l_h < none_below;
        let is_low = !is_none && share(limits.low_percent).is_some_and(|low| flow_l_h < low);
        let is_high = share(limits.high_percent).is_some_and(|high| flow_l_h > high);
        let is_high_due = holds(&mut self.high_since, is_high, from, at, limits.high_delay_s);
        let is_low_due = holds(&mut self.low_since, is_low, from, at, limits.low_delay_s);
        let is_none_due = holds(&mut self.none_since, is_none, from, at, limits.none_delay_s);
        let expected_flow = expected.unwrap_or_default();
        if is_high_due && self.is_news(1) {
            return Some(Finding::High { flow, expected: expected_flow });
        }
        if is_none_due && self.is_news(2) {
            return Some(Finding::None { flow, expected });
        }
        if is_low_due && self.is_news(3) {
            return Some(Finding::Low { flow, expected: expected_flow });
        }
        if !is_none && !is_low && !is_high && self.is_news(4) {
            self.is_confirmed = true;
            return Some(Finding::Confirmed { flow });
        }
        None
    }

    /// Judges a run by its whole: what the node measured from opening to closing.
    pub(crate) fn whole_run(
        &self,
        run_ms: u64,
        volume_ml: u64,
        expected: Option<u32>,
        limits: &FlowLimits,
    ) -> Option<Finding> {
        let ignored_ms = u64::from(limits.ignore_s) * 1000;
        // A short run is mostly filling: it says nothing.
        if run_ms < ignored_ms.saturating_mul(3).max(HOUR_MS / 20) {
            return None;
        }
        let flow = u32::try_from(volume_ml.saturating_mul(3600) / run_ms).unwrap_or(u32::MAX);
        let share = |percent: u16| expected.map(|expected| u64::from(expected) * u64::from(percent) / 100);
        let none_below = share(limits.none_percent).map_or(1, |least| least.max(1));
        let flow_l_h = u64::from(flow);
        let expected_flow = expected.unwrap_or_default();
        if flow_l_h < none_below {
            Some(Finding::None { flow, expected })
        } else if share(limits.low_percent).is_some_and(|low| flow_l_h < low) {
            Some(Finding::Low { flow, expected: expected_flow })
        } else if share(limits.high_percent).is_some_and(|high| flow_l_h > high) {
            Some(Finding::High { flow, expected: expected_flow })
        } else {
            Some(Finding::Confirmed { flow })
        }
    }

    /// Whether readings of this run were judged.
    pub(crate) fn has_samples(&self) -> bool {
        !self.samples.is_empty()
    }

    /// Whether a finding was told in this run or rest before.
    pub(crate) fn is_told(&self, finding: Finding) -> bool {
        self.told.contains(&code(finding))
    }

    fn is_news(&mut self, code: u8) -> bool {
        let is_news = !self.told.contains(&code);
        if is_news {
            self.told.push(code);
        }
        is_news
    }

    /// A leak may be told again: the valve was closed once more.
    pub(crate) fn forget_leak(&mut self) {
        self.leak_since = None;
        self.told.retain(|code| *code != 0);
    }
}

const fn code_confirmed() -> u8 {
    4
}

fn code(finding: Finding) -> u8 {
    match finding {
        Finding::Leak { .. } => 0,
        Finding::High { .. } => 1,
        Finding::None { .. } => 2,
        Finding::Low { .. } => 3,
        Finding::Confirmed { .. } => code_confirmed(),
    }
}

/// Whether a condition holds for its delay; `since` keeps when it began to.
fn holds(since: &mut Option<MonoMs>, is_so: bool, from: MonoMs, at: MonoMs, delay_s: u32) -> bool {
    if !is_so {
        *since = None;
        return false;
    }
    let began = *since.get_or_insert(from);
    at.since_ms(began) >= u64::from(delay_s) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_s(second: u64) -> MonoMs {
        MonoMs(second * 1000)
    }

    /// A zone of 1000 L/h that opened at second 0, read every 30 seconds: what is found, and when.
    fn run(flows: &[u32], limits: &FlowLimits) -> Vec<(u64, Finding)> {
        let mut watch = Watch::default();
        let water = Water::Flows { since: at_s(0), expected: Some(1000) };
        let readings = (1_u64..).zip(flows);
        let found = readings.filter_map(|(n, flow)| {
            let at = at_s(n * 30);
            Some((n * 30, watch.flow(at, at, *flow, water, limits)?))
        });
        found.collect()
    }

    #[test]
    fn flow_must_be_wrong_for_its_delay() {
        let limits = FlowLimits::default();
        let high = Finding::High { flow: 1400, expected: 1000 };
        assert_eq!(run(&[1400; 10], &limits), [(210, high)], "90 s are ignored, then two minutes pass");
        assert_eq!(
            run(&[1400, 1400, 1400, 1400, 1000, 1400, 1400], &limits).len(),
            1,
            "a good one in between"
        );
        assert_eq!(run(&[0; 6], &limits), [(150, Finding::None { flow: 0, expected: Some(1000) })]);
        assert_eq!(run(&[500; 14], &limits), [(390, Finding::Low { flow: 500, expected: 1000 })]);
        assert_eq!(run(&[1000; 6], &limits), [(90, Finding::Confirmed { flow: 1000 })]);
    }

    #[test]
    fn a_counter_gives_flow_between_two_readings_and_nothing_after_a_reset() {
        let mut watch = Watch::default();
        assert_eq!(watch.volume(at_s(0), 5_000), None);
        assert_eq!(watch.volume(at_s(60), 25_000), Some((at_s(0), 1200)));
        assert_eq!(watch.volume(at_s(30), 15_000), None, "late");
        assert_eq!(watch.volume(at_s(120), 1_000), None, "the node counts from anew");
        assert_eq!(watch.volume(at_s(180), 1_000), Some((at_s(120), 0)));
    }

    #[test]
    fn drained_lines_that_still_flow_are_a_leak() {
        let mut watch = Watch::default();
        let limits = FlowLimits::default();
        let water = Water::Rests { since: at_s(0) };
        let mut found = Vec::new();
        for n in 1..20 {
            let at = at_s(n * 60);
            found.extend(watch.flow(at, at, if n == 1 { 900 } else { 300 }, water, &limits).map(|f| (n, f)));
        }
        assert_eq!(found, [(7, Finding::Leak { flow: 300 })], "two minutes drain, five hold");
        watch.forget_leak();
        let at = at_s(60 * 60);
        assert_eq!(watch.flow(at, at, 300, water, &limits), None, "it must hold again");
        assert_eq!(
            watch.flow(at, at.plus_ms(301_000), 300, water, &limits),
            Some(Finding::Leak { flow: 300 })
        );
    }

    #[test]
    fn the_median_of_the_last_good_runs_is_expected() {
        let mut signature = Signature::default();
        for (flow, want) in
            [(1000, None), (1010, None), (990, Some(1000)), (5000, Some(1010)), (1005, Some(1005))]
        {
            signature.learn(flow);
            assert_eq!(signature.expected(), want);
        }
        (0..20).for_each(|_| signature.learn(800));
        assert_eq!((signature.expected(), signature.runs().len()), (Some(800), RUNS_MAX));
    }

    #[test]
    fn a_whole_run_is_judged_when_it_is_long_enough() {
        let (watch, limits) = (Watch::default(), FlowLimits::default());
        let judge =
            |minutes: u64, litres: u64| watch.whole_run(minutes * 60_000, litres * 1000, Some(1000), &limits);
        assert_eq!(judge(4, 0), None);
        assert_eq!(judge(30, 0), Some(Finding::None { flow: 0, expected: Some(1000) }));
        assert_eq!(judge(30, 200), Some(Finding::Low { flow: 400, expected: 1000 }));
        assert_eq!(judge(30, 480), Some(Finding::Confirmed { flow: 960 }));
        assert_eq!(judge(30, 900), Some(Finding::High { flow: 1800, expected: 1000 }));
    }
}
