//! One probe as a zone sees it: is its last word fresh, plausible, alive?
//!
//! Only the newest reading speaks; a late one (taken no later than the newest) changes nothing. One that has no place in that
//! order, because nobody knows when it was taken or its date cannot be true, may be the newest: the probe is in doubt until a
//! reading comes that was surely taken after it. So neither it nor what was before it starts a run. Age counts on the
//! monotonic line: from the age that was counted when the reading came in, or, for devices that date by clocks of their
//! own, from its date, and then on the civil line too where that makes it older. So a clock that jumps can age a reading
//! but never make it young again; a reading whose age nobody knows is never used. Nor is one that is not known to be good.
//!
//! A clock that was set back makes every date look younger than it is by that much. A dated reading is then only believed
//! where its device keeps in step: what lay between this reading and the ones before it, by the device's own dates, also
//! passed on the monotonic line. A backlog comes in faster than it was taken: one of its readings can be in step by
//! chance, several in a row cannot.

use giot_shared::time::{MonoMs, UnixMs};
use giot_shared::units::MoisturePermyriad;

use crate::Now;
use crate::ids::ProbeRef;
use crate::input::Age;
use crate::plan::{Level, ZonePlan};
use crate::reason::Reason;

/// A reading dated further ahead than this has a wrong date: clocks that were set from each other differ by seconds.
const AHEAD_MS_MAX: u64 = 5 * 60 * 1000;

/// A clock that was set back by less casts no doubt on dates: a correction of a cheap quartz, well below what any plan calls
/// fresh.
const DOUBT_MS_MIN: u64 = 60_000;

/// So many readings in a row that are in step with one before them, and so long a span, show that a device keeps in step.
const STEPS_MIN: u8 = 3;
const STEP_MS_MIN: u64 = 30_000;

/// How far a device that keeps in step may be off: its way through the network, and 1/50 of the span for its clock.
const STEP_SLACK_MS: u64 = 5_000;

/// The span that the plan's largest change refers to.
const RATE_SPAN_MS: u64 = 5 * 60 * 1000;

/// So many readings in a row must agree with a new level before a jump counts as real.
const JUMP_CONFIRMATIONS: u8 = 3;

/// A probe that missed so many trials in a row is no longer believed: one or two can be a dripper beside it.
const TRIALS_MAX: u8 = 3;

/// What one probe is worth at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeQuality {
    /// Fresh and plausible: it may decide.
    Good,
    /// Nothing was heard of it.
    Missing,
    /// Its newest reading is faulty.
    Faulty,
    /// Its newest reading is too old.
    Stale {
        /// Age in seconds.
        age_s: u64,
    },
    /// Its newest reading is dated in the future.
    Ahead {
        /// How far, seconds.
        ahead_s: u64,
    },
    /// Nobody knows how old its newest reading is.
    AgeUnknown,
    /// Outside the plausible range.
    OutOfRange,
    /// Changed faster than soil does.
    Jump {
        /// Before.
        from: Level,
        /// After.
        to: Level,
    },
    /// The same value for too long.
    Stuck {
        /// For how long, seconds.
        same_s: u64,
    },
    /// It stays dry however often its zone is watered.
    NoResponse {
        /// How often in a row.
        times: u8,
    },
}

impl ProbeQuality {
    /// The stable code: snake_case.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Missing => "missing",
            Self::Faulty => "faulty",
            Self::Stale { .. } => "stale",
            Self::Ahead { .. } => "ahead",
            Self::AgeUnknown => "age_unknown",
            Self::OutOfRange => "out_of_range",
            Self::Jump { .. } => "jump",
            Self::Stuck { .. } => "stuck",
            Self::NoResponse { .. } => "no_response",
        }
    }
}

impl ProbeQuality {
    /// Whether it says what the soil is like there, right or wrong.
    pub(crate) const fn is_steady(self) -> bool {
        matches!(self, Self::Good | Self::NoResponse { .. })
    }
}

/// A reading as it comes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct News {
    pub(crate) at: UnixMs,
    pub(crate) age: Age,
    /// `None`: it is not known to be good.
    pub(crate) value: Option<Level>,
    /// How far the gateway's clock has been set back since its start.
    pub(crate) doubt_ms: u64,
}

/// The newest reading.
#[derive(Clone, Copy, Debug)]
struct Sample {
    taken: Taken,
    received_at: MonoMs,
    age: Age,
    /// Age when it was received; `None` when it had to be told by a clock that was unset.
    age_ms: Option<u64>,
    /// How far ahead of the clock it was dated, where that is too far.
    ahead_ms: Option<u64>,
    value: Option<Level>,
    step: Step,
}

/// Readings in a row whose device dates them as far apart as they came in.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// Receipt and date of the first.
    from: (MonoMs, UnixMs),
    /// How many came after it.
    n: u8,
}

/// What is known of the order in which two readings were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Later,
    Earlier,
    Unknown,
}

/// When a reading was taken.
#[derive(Clone, Copy, Debug)]
struct Taken {
    at: UnixMs,
    /// The same on the monotonic line, where that is known; negative before the gateway's start.
    mono_ms: Option<i64>,
}

impl Taken {
    /// The span since `earlier`, 0 if that lies ahead: by the monotonic line where both are on it.
    fn since_ms(self, earlier: Self) -> u64 {
        match (self.mono_ms, earlier.mono_ms) {
            (Some(later), Some(earlier)) => u64::try_from(later.saturating_sub(earlier)).unwrap_or(0),
            (None, _) | (_, None) => self.at.since_ms(earlier.at),
        }
    }
}

/// A change that was too fast and waits for readings that agree with it.
#[derive(Clone, Copy, Debug)]
struct Jump {
    from: Level,
    n_missing: u8,
}

/// How the probe answers to water.
#[derive(Clone, Copy, Debug, Default)]
struct Response {
    /// The driest level since it last got wetter.
    driest: Option<Level>,
    has_risen: bool,
    /// Trials in a row without an answer.
    n_missed: u8,
}

/// What is known of one probe of one zone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probe {
    /// The newest of those that stand in an order.
    last: Option<Sample>,
    /// What came in since and has no place in that order, until a reading comes that was surely taken after it.
    unplaced: Option<Sample>,
    /// The newest value inside the plausible range: what the next one is compared with.
    level: Option<(Taken, Level)>,
    /// Since when the value has been identical.
    same_since: Option<(Taken, Level)>,
    jump: Option<Jump>,
    response: Response,
}

impl Probe {
    /// Takes a reading; `is_wet` while watering may explain a fast change. Returns whether it was news.
    pub(crate) fn accept(&mut self, now: Now, news: News, is_wet: bool, plan: &ZonePlan) -> bool {
        let sample = Sample::new(now, news, self.last.as_ref());
        match sample.order(self.last.as_ref(), now) {
            Order::Later => {}
            Order::Earlier => return false,
            Order::Unknown => {
                self.unplaced = Some(sample);
                return true;
            }
        }
        self.unplaced = self.unplaced.filter(|unplaced| !sample.is_taken_after(unplaced));
        self.last = Some(sample);
        let (taken, Some(value)) = (sample.taken, news.value) else { return true };
        if self.same_since.is_none_or(|(since, same)| same != value || since.at > taken.at) {
            self.same_since = Some((taken, value));
        }
        if plan.is_plausible(value) {
            self.compare(taken, value, is_wet, plan.rate_max);
            self.level = Some((taken, value));
            self.response.hear(value, plan);
        }
        true
    }

    fn compare(&mut self, taken: Taken, value: Level, is_wet: bool, rate_max: Level) {
        let Some((before, level)) = self.level else { return };
        let rate = u64::from(rate_max.get());
        let allowed = rate.max(rate.saturating_mul(taken.since_ms(before)) / RATE_SPAN_MS);
        let is_steady = is_wet || rate == 0 || u64::from(value.get().abs_diff(level.get())) <= allowed;
        self.jump = match (self.jump, is_steady) {
            (None, true) => None,
            (None, false) => Some(Jump { from: level, n_missing: JUMP_CONFIRMATIONS }),
            (Some(jump), false) => Some(Jump { from: jump.from, n_missing: JUMP_CONFIRMATIONS }),
            (Some(jump), true) => match jump.n_missing.saturating_sub(1) {
                0 => None,
                n_missing => Some(Jump { n_missing, ..jump }),
            },
        };
    }

    /// Dates a reading that was received without a clock, once the clock is known. One that is ahead then stays so, and has
    /// no place in the order: time passing does not make its date true.
    pub(crate) fn date(&mut self, now: Now, doubt_ms: u64) {
        let Some(last) = self.last.as_mut().filter(|last| last.age_ms.is_none()) else { return };
        let Some(wall) = now.wall else { return };
        last.ahead_ms = last.ahead_ms(now);
        let age_ms = wall.since_ms(last.taken.at).saturating_sub(now.mono.since_ms(last.received_at));
        let doubt_ms = if doubt_ms >= DOUBT_MS_MIN { doubt_ms } else { 0 };
        last.age_ms = Some(age_ms.saturating_add(doubt_ms));
        let last = *last;
        if last.ahead_ms.is_some() {
            self.last = None;
            self.unplaced = self.unplaced.or(Some(last));
        } else {
            self.unplaced = self.unplaced.filter(|unplaced| !last.is_taken_after(unplaced));
        }
    }

    /// The reading that speaks.
    const fn newest(&self) -> Option<&Sample> {
        match &self.unplaced {
            Some(unplaced) => Some(unplaced),
            None => self.last.as_ref(),
        }
    }

    /// What the probe is worth, and its value where it has one.
    pub(crate) fn judge(&self, now: Now, plan: &ZonePlan) -> (ProbeQuality, Option<Level>) {
        let Some(last) = self.newest() else { return (ProbeQuality::Missing, None) };
        let age_ms = last.age_ms(now);
        let ahead_ms = last.ahead_ms(now);
        let Some(value) = last.value else { return (ProbeQuality::Faulty, None) };
        let quality = if let Some(ahead_ms) = ahead_ms {
            ProbeQuality::Ahead { ahead_s: ahead_ms / 1000 }
        } else if age_ms > fresh_ms(plan) {
            ProbeQuality::Stale { age_s: age_ms / 1000 }
        } else if self.unplaced.is_some() {
            ProbeQuality::AgeUnknown
        } else if !plan.is_plausible(value) {
            ProbeQuality::OutOfRange
        } else if let Some(jump) = self.jump {
            ProbeQuality::Jump { from: jump.from, to: value }
        } else {
            let same_ms = self.same_since.map_or(0, |(since, _)| last.taken.since_ms(since));
            if plan.stuck_s != 0 && same_ms > u64::from(plan.stuck_s) * 1000 {
                ProbeQuality::Stuck { same_s: same_ms / 1000 }
            } else if self.response.is_missing(plan) {
                ProbeQuality::NoResponse { times: self.response.n_missed }
            } else {
                ProbeQuality::Good
            }
        };
        (quality, Some(value))
    }

    /// Water begins to flow: the probe is to get wetter from now on.
    pub(crate) fn expect_rise(&mut self) {
        self.response.driest = self.level.map(|(_, level)| level);
        self.response.has_risen = false;
    }

    /// A trial is over. Whether this is the one after which the probe is no longer believed.
    pub(crate) const fn missed_rise(&mut self) -> bool {
        let n_missed = self.response.n_missed;
        self.response.n_missed = if self.response.has_risen { 0 } else { n_missed.saturating_add(1) };
        self.response.n_missed == TRIALS_MAX && n_missed < TRIALS_MAX
    }

    /// Believes the probe again; whether it was not believed.
    pub(crate) fn trust(&mut self, plan: &ZonePlan) -> bool {
        let was_missing = self.response.is_missing(plan);
        self.response.n_missed = 0;
        was_missing
    }

    /// Age of the newest reading, ms.
    pub(crate) fn age_ms(&self, now: Now) -> Option<u64> {
        self.newest().map(|newest| newest.age_ms(now))
    }

    /// Civil time of the newest reading.
    pub(crate) fn last_at(&self) -> Option<UnixMs> {
        self.newest().map(|newest| newest.taken.at)
    }

    /// When a probe that is fresh becomes stale, as the monotonic line tells.
    pub(crate) fn stale_at(&self, now: Now, plan: &ZonePlan) -> Option<MonoMs> {
        let age_ms = self.last?.age_ms(now);
        let left_ms = fresh_ms(plan).checked_sub(age_ms)?;
        Some(now.mono.plus_ms(left_ms.saturating_add(1)))
    }
}

impl Response {
    fn hear(&mut self, level: Level, plan: &ZonePlan) {
        let is_tension = plan.soil.is_tension();
        let driest = self
            .driest
            .map_or(level, |driest| if is_tension { driest.max(level) } else { driest.min(level) });
        let rise_min = plan.guards.response.rise_min.get();
        self.driest = Some(driest);
        if level.get().abs_diff(driest.get()) >= rise_min {
            *self = Self { driest: Some(level), has_risen: true, n_missed: 0 };
        }
    }

    fn is_missing(&self, plan: &ZonePlan) -> bool {
        plan.guards.response.rise_min.get() > 0 && self.n_missed >= TRIALS_MAX
    }
}

impl Sample {
    fn new(now: Now, news: News, before: Option<&Self>) -> Self {
        let News { at, age, value, doubt_ms } = news;
        let mono_ms =
            |age_ms: u64| i64::try_from(now.mono.0).unwrap_or(i64::MAX).saturating_sub_unsigned(age_ms);
        let counted_ms = if let Age::Counted(ms) = age { Some(ms) } else { None };
        let mut sample = Self {
            taken: Taken { at, mono_ms: counted_ms.map(mono_ms) },
            received_at: now.mono,
            age,
            age_ms: counted_ms,
            ahead_ms: None,
            value,
            step: Step { from: (now.mono, at), n: 0 },
        };
        if counted_ms.is_none() {
            if let Some(step) = before.and_then(|before| sample.step_after(before)) {
                sample.step = step;
            }
            let is_doubted = doubt_ms >= DOUBT_MS_MIN && !sample.keeps_in_step();
            let doubt_ms = if is_doubted { doubt_ms } else { 0 };
            sample.age_ms = now.wall.map(|wall| wall.since_ms(at).saturating_add(doubt_ms));
            sample.ahead_ms = now.wall.and_then(|wall| too_far_ahead_ms(wall, at));
        }
        sample
    }

    /// Whether it was taken later than `last`, the newest of those that stand in an order.
    fn order(&self, last: Option<&Self>, now: Now) -> Order {
        if self.age == Age::Unknown || self.ahead_ms.is_some() {
            return Order::Unknown;
        }
        let Some(last) = last else { return Order::Later };
        let is_dated_later = self.taken.at > last.taken.at;
        match (self.taken.mono_ms, last.taken.mono_ms) {
            // Dates of other epochs are no measure for one that was counted.
            (Some(_), None) => Order::Later,
            (Some(taken_ms), Some(last_ms)) if taken_ms > last_ms || is_dated_later => Order::Later,
            (Some(_), Some(_)) => Order::Earlier,
            // The gateway dated the one before, the device this one: two clocks.
            (None, Some(last_ms)) if self.on_mono_ms().is_some_and(|taken_ms| taken_ms > last_ms) => {
                Order::Later
            }
            (None, Some(_)) => Order::Unknown,
            (None, None) if is_dated_later => Order::Later,
            // A newest reading from the future is no measure: without this, one wrong date would silence the probe.
            (None, None) if now.wall.is_none_or(|wall| too_far_ahead_ms(wall, last.taken.at).is_none()) => {
                Order::Earlier
            }
            (None, None) if self.is_taken_after(last) => Order::Later,
            (None, None) => Order::Unknown,
        }
    }

    /// Whether it was surely taken after another had come in. What is counted comes in the order in which it was taken.
    fn is_taken_after(&self, other: &Self) -> bool {
        let received_ms = i64::try_from(other.received_at.0).unwrap_or(i64::MAX);
        self.taken.mono_ms.is_some() || self.on_mono_ms().is_some_and(|taken_ms| taken_ms >= received_ms)
    }

    /// When it was taken, on the monotonic line, by its date where it was not counted.
    fn on_mono_ms(&self) -> Option<i64> {
        let by_date = || {
            let age_ms = self.age_ms.filter(|_| self.ahead_ms.is_none())?;
            Some(i64::try_from(self.received_at.0).unwrap_or(i64::MAX).saturating_sub_unsigned(age_ms))
        };
        self.taken.mono_ms.or_else(by_date)
    }

    /// The row that `before` stands in, with this one after it: `None` where it is not in step with the first of them.
    fn step_after(&self, before: &Self) -> Option<Step> {
        let Step { from: (received_at, at), n } = before.step;
        let passed_ms = self.received_at.since_ms(received_at);
        let dated_ms = self.taken.at.since_ms(at);
        let is_in_step =
            before.age == Age::Dated && dated_ms.abs_diff(passed_ms) <= STEP_SLACK_MS + passed_ms / 50;
        is_in_step.then_some(Step { n: n.saturating_add(1), ..before.step })
    }

    fn keeps_in_step(&self) -> bool {
        self.step.n >= STEPS_MIN && self.received_at.since_ms(self.step.from.0) >= STEP_MS_MIN
    }

    fn age_ms(&self, now: Now) -> u64 {
        let by_mono = self.age_ms.unwrap_or(0).saturating_add(now.mono.since_ms(self.received_at));
        match (self.age, now.wall) {
            (Age::Dated | Age::Unknown, Some(wall)) => by_mono.max(wall.since_ms(self.taken.at)),
            (Age::Counted(_), _) | (_, None) => by_mono,
        }
    }

    /// How far ahead of the clock it is dated: judged at receipt, or when the clock was first known after it.
    fn ahead_ms(&self, now: Now) -> Option<u64> {
        if self.age_ms.is_some() {
            return self.ahead_ms;
        }
        too_far_ahead_ms(now.wall?, self.taken.at)
    }
}

/// How far ahead of the clock a date is, where that is too far.
fn too_far_ahead_ms(wall: UnixMs, at: UnixMs) -> Option<u64> {
    Some(at.since_ms(wall)).filter(|ms| *ms > AHEAD_MS_MAX)
}

fn fresh_ms(plan: &ZonePlan) -> u64 {
    u64::from(plan.fresh_s) * 1000
}

/// The reason that a probe's quality gives, `None` for a good one.
pub(crate) fn reason(
    quality: ProbeQuality,
    value: Option<Level>,
    probe: &ProbeRef,
    plan: &ZonePlan,
) -> Option<Reason> {
    let (device, metric) = (probe.device.clone(), probe.metric.clone());
    Some(match quality {
        ProbeQuality::Good => return None,
        ProbeQuality::Missing => Reason::NoReading { device, metric },
        ProbeQuality::Faulty => Reason::FaultyReading { device, metric },
        ProbeQuality::Stale { age_s } => {
            Reason::StaleReading { device, metric, age_s, fresh_s: u64::from(plan.fresh_s) }
        }
        ProbeQuality::Ahead { ahead_s } => Reason::ReadingAhead { device, metric, ahead_s },
        ProbeQuality::AgeUnknown => Reason::AgeUnknown { device, metric },
        ProbeQuality::NoResponse { times } => Reason::NoResponse { device, metric, times: u64::from(times) },
        ProbeQuality::OutOfRange if plan.soil.is_tension() => Reason::ImplausibleTension {
            device,
            metric,
            tension_kpa: value.unwrap_or_default(),
            least_kpa: plan.plausible.0,
            most_kpa: plan.plausible.1,
        },
        ProbeQuality::Jump { from, to } if plan.soil.is_tension() => {
            let rate_max_kpa = plan.rate_max;
            Reason::TensionJump { device, metric, from_kpa: from, to_kpa: to, rate_max_kpa }
        }
        ProbeQuality::OutOfRange => Reason::ImplausibleReading {
            device,
            metric,
            moisture: moisture(value.unwrap_or_default()),
            min: moisture(plan.plausible.0),
            max: moisture(plan.plausible.1),
        },
        ProbeQuality::Jump { from, to } => Reason::ProbeJump {
            device,
            metric,
            from: moisture(from),
            to: moisture(to),
            rate_max: moisture(plan.rate_max),
        },
        ProbeQuality::Stuck { same_s } => {
            Reason::ProbeStuck { device, metric, same_s, stuck_s: u64::from(plan.stuck_s) }
        }
    })
}

/// A level of a probe that reads moisture.
fn moisture(level: Level) -> MoisturePermyriad {
    level.moisture().unwrap_or(MoisturePermyriad::MAX)
}
