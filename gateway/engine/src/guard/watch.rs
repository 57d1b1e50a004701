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
    /// It should flow, since then, so much if that is known.
    Flows { since: MonoMs, expected: Option<Expected> },
}

/// The flows by which a flow is judged, L/h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// What the last good runs had; before there are enough, what the plan states.
    pub(crate) usual: u32,
    /// High is a share of it: of the reference. A filter that was cleaned brings the flow back to that, which is no burst.
    pub(crate) full: u32,
    /// Low is a share of it: of the greatest of reference, statement and usual flow. What clogs slowly is measured by how it
    /// began.
    pub(crate) most: u32,
}

impl Expected {
    /// All by one flow.
    pub(crate) const fn stated(flow: u32) -> Self {
        Self { usual: flow, full: flow, most: flow }
    }

    /// What both take together.
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            usual: self.usual.saturating_add(other.usual),
            full: self.full.saturating_add(other.full),
            most: self.most.saturating_add(other.most),
        }
    }
}

/// Flow of a zone's good runs, L/h: the last ones, and the reference that the first ones set.
///
/// The reference stays until a person clears a fault of the zone or the plan gets another meter or flow. What is learned stays
/// near it: otherwise a line that clogs by a few per cent a run would teach that this is right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signature {
    runs: Vec<u32>,
    reference: Option<u32>,
}

impl Signature {
    /// What is remembered, as far as it agrees with the flow that the plan states. One from before there were references takes the
    /// median of its runs.
    pub(crate) fn remembered(
        mut runs: Vec<u32>,
        reference: Option<u32>,
        nominal: Option<u32>,
        limits: &FlowLimits,
    ) -> Self {
        runs.truncate(RUNS_MAX);
        let fits = |flow: u32, of: Option<u32>| of.is_none_or(|of| is_near(flow, of, limits));
        let reference = reference.filter(|reference| fits(*reference, nominal));
        runs.retain(|flow| fits(*flow, nominal) && fits(*flow, reference));
        let mut signature = Self { runs, reference };
        signature.refer();
        signature
    }

    pub(crate) fn runs(&self) -> &[u32] {
        &self.runs
    }

    pub(crate) const fn reference(&self) -> Option<u32> {
        self.reference
    }

    fn refer(&mut self) {
        if self.reference.is_none() && self.runs.len() >= RUNS_MIN {
            self.reference = median(&self.runs);
        }
    }

    /// The flows to expect; `None` while too little is learned and the plan states none.
    pub(crate) fn expected(&self, nominal: Option<u32>) -> Option<Expected> {
        let learned = if self.runs.len() < RUNS_MIN { None } else { median(&self.runs) };
        let usual = learned.or(self.reference).or(nominal)?;
        let full = self.reference.or(nominal).unwrap_or(usual);
        let most = usual.max(full).max(nominal.unwrap_or_default());
        Some(Expected { usual, full, most })
    }

    /// A good run had this flow; whether it was near enough to what it should be to be learned.
    pub(crate) fn learn(&mut self, flow: u32, nominal: Option<u32>, limits: &FlowLimits) -> bool {
        if self.reference.iter().chain(&nominal).any(|of| !is_near(flow, *of, limits)) {
            return false;
        }
        if self.runs.len() >= RUNS_MAX {
            self.runs.remove(0);
        }
        self.runs.push(flow);
        self.refer();
        true
    }
}

/// Whether a flow is neither low nor high by the limits' shares of another.
fn is_near(flow: u32, of: u32, limits: &FlowLimits) -> bool {
    let (hundredfold, of) = (u64::from(flow) * 100, u64::from(of));
    (of * u64::from(limits.low_percent)..=of * u64::from(limits.high_percent)).contains(&hundredfold)
}

/// A flow while water should flow, by the limits' shares of what is expected.
#[derive(Clone, Copy, Debug)]
struct Judged {
    is_none: bool,
    is_low: bool,
    is_high: bool,
}

/// `least`: below it nothing flows where no flow is expected.
fn judge(flow: u32, expected: Option<Expected>, least: u32, limits: &FlowLimits) -> Judged {
    let flow = u64::from(flow);
    let share = |of: u32, percent: u16| u64::from(of) * u64::from(percent) / 100;
    let Some(Expected { usual, full, most }) = expected else {
        return Judged { is_none: flow < u64::from(least), is_low: false, is_high: false };
    };
    let is_none = flow < share(usual, limits.none_percent).max(1);
    let is_low = !is_none && flow < share(most, limits.low_percent);
    Judged { is_none, is_low, is_high: flow > share(full, limits.high_percent) }
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
    /// What was told of the run that is over: what its node measured of the whole of it comes afterwards.
    told_of_run: Vec<u8>,
    /// Readings of the run that is over were judged: they have taught what there was to learn of it.
    was_judged: bool,
}

impl Watch {
    /// Water begins to flow, or to rest: what was seen before says nothing of it. Returns the median flow of what ends, if
    /// nothing was wrong with it.
    pub(crate) fn turn(&mut self) -> Option<u32> {
        let is_good = self.told.iter().all(|code| *code == code_confirmed());
        let flow = median(&self.samples).filter(|_| is_good);
        let (last_volume, last) = (self.last_volume, self.last);
        let told = if self.told.is_empty() { &mut self.told_of_run } else { &mut self.told };
        let told_of_run = std::mem::take(told);
        let was_judged = self.has_samples();
        *self = Self { last_volume, last, told_of_run, was_judged, ..Self::default() };
        flow
    }

    /// A run begins.
    pub(crate) fn begin_run(&mut self) {
        self.told_of_run.clear();
        self.was_judged = false;
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
        (since, expected): (MonoMs, Option<Expected>),
        limits: &FlowLimits,
    ) -> Option<Finding> {
        if from < since.plus_ms(u64::from(limits.ignore_s) * 1000) {
            return None;
        }
        if self.samples.len() < SAMPLES_MAX {
            self.samples.push(flow);
        }
        let Judged { is_none, is_low, is_high } = judge(flow, expected, limits.leak_l_per_h.0, limits);
        let is_high_due = holds(&mut self.high_since, is_high, from, at, limits.high_delay_s);
        let is_low_due = holds(&mut self.low_since, is_low, from, at, limits.low_delay_s);
        let is_none_due = holds(&mut self.none_since, is_none, from, at, limits.none_delay_s);
        let (full, most) = expected.map_or((0, 0), |expected| (expected.full, expected.most));
        if is_high_due && self.is_news(1) {
            return Some(Finding::High { flow, expected: full });
        }
        if is_none_due && self.is_news(2) {
            return Some(Finding::None { flow, expected: expected.map(|expected| expected.usual) });
        }
        if is_low_due && self.is_news(3) {
            return Some(Finding::Low { flow, expected: most });
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
        expected: Option<Expected>,
        limits: &FlowLimits,
    ) -> Option<Finding> {
        let ignored_ms = u64::from(limits.ignore_s) * 1000;
        // A short run is mostly filling: it says nothing.
        if run_ms < ignored_ms.saturating_mul(3).max(HOUR_MS / 20) {
            return None;
        }
        let flow = u32::try_from(volume_ml.saturating_mul(3600) / run_ms).unwrap_or(u32::MAX);
        let Judged { is_none, is_low, is_high } = judge(flow, expected, 1, limits);
        let (full, most) = expected.map_or((0, 0), |expected| (expected.full, expected.most));
        Some(if is_none {
            Finding::None { flow, expected: expected.map(|expected| expected.usual) }
        } else if is_low {
            Finding::Low { flow, expected: most }
        } else if is_high {
            Finding::High { flow, expected: full }
        } else {
            Finding::Confirmed { flow }
        })
    }

    /// Whether readings of this run, or of the one that has just ended, were judged.
    pub(crate) fn has_samples(&self) -> bool {
        self.was_judged || !self.samples.is_empty()
    }

    /// Whether a finding was told in this run or rest before, or of the run that has just ended.
    pub(crate) fn is_told(&self, finding: Finding) -> bool {
        self.told.contains(&code(finding)) || self.told_of_run.contains(&code(finding))
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
        let water = Water::Flows { since: at_s(0), expected: Some(Expected::stated(1000)) };
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
    fn the_median_of_the_last_good_runs_is_usual() {
        let limits = FlowLimits::default();
        let mut signature = Signature::default();
        for (flow, want) in [
            (1000, None),
            (1010, None),
            (990, Some(1000)),
            (5000, Some(1000)),
            (1200, Some(1010)),
            (1005, Some(1005)),
        ] {
            signature.learn(flow, None, &limits);
            assert_eq!(signature.expected(None).map(|expected| expected.usual), want);
        }
        (0..20).for_each(|_| assert!(signature.learn(800, None, &limits)));
        let expected = Expected { usual: 800, full: 1000, most: 1000 };
        assert_eq!((signature.expected(None), signature.runs().len()), (Some(expected), RUNS_MAX));
    }

    /// Each run 8 % less, as a filter that clogs: the reference stays, and so does what the plan states.
    #[test]
    fn what_clogs_slowly_teaches_nothing_new() {
        let limits = FlowLimits::default();
        let check = |nominal: Option<u32>, n_learned: usize, want: Expected| {
            let mut signature = Signature::default();
            let flows = std::iter::successors(Some(1000_u32), |flow| Some(flow * 92 / 100)).take(20);
            let learned = flows.filter(|flow| signature.learn(*flow, nominal, &limits)).count();
            assert_eq!((learned, signature.expected(nominal)), (n_learned, Some(want)));
            assert!(!judge(1000, signature.expected(nominal), 60, &limits).is_high, "back to where it began");
            assert!(judge(540, signature.expected(nominal), 60, &limits).is_low);
            let runs = signature.runs().to_vec();
            assert_eq!(Signature::remembered(runs, signature.reference(), nominal, &limits), signature);
        };
        check(None, 8, Expected { usual: 715, full: 920, most: 920 });
        check(Some(1000), 7, Expected { usual: 778, full: 920, most: 1000 });
        let old = Signature::remembered(vec![222, 205, 188], None, Some(1000), &limits);
        assert_eq!(old.expected(Some(1000)), Some(Expected::stated(1000)), "of before there were references");
    }

    #[test]
    fn a_whole_run_is_judged_when_it_is_long_enough() {
        let (watch, limits) = (Watch::default(), FlowLimits::default());
        let judge = |minutes: u64, litres: u64| {
            watch.whole_run(minutes * 60_000, litres * 1000, Some(Expected::stated(1000)), &limits)
        };
        assert_eq!(judge(4, 0), None);
        assert_eq!(judge(30, 0), Some(Finding::None { flow: 0, expected: Some(1000) }));
        assert_eq!(judge(30, 200), Some(Finding::Low { flow: 400, expected: 1000 }));
        assert_eq!(judge(30, 480), Some(Finding::Confirmed { flow: 960 }));
        assert_eq!(judge(30, 900), Some(Finding::High { flow: 1800, expected: 1000 }));
    }
}
