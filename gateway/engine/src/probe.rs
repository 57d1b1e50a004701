//! One probe as a zone sees it: is its last word fresh, plausible, alive?
//!
//! Only the newest reading speaks; a late one (dated no later than the newest) changes nothing. Age counts on the
//! monotonic line from the moment of receipt, and on the civil line too where that makes the reading older, so that a
//! clock that jumps can age a reading but never make it young again. A reading that is not known to be good is never used.

use giot_shared::time::{MonoMs, UnixMs};
use giot_shared::units::MoisturePermyriad;

use crate::Now;
use crate::ids::ProbeRef;
use crate::plan::ZonePlan;
use crate::reason::Reason;

/// A reading dated further ahead than this has a wrong date: clocks that were set from each other differ by seconds.
const AHEAD_MS_MAX: u64 = 5 * 60 * 1000;

/// The span that the plan's largest change refers to.
const RATE_SPAN_MS: u64 = 5 * 60 * 1000;

/// So many readings in a row must agree with a new level before a jump counts as real.
const JUMP_CONFIRMATIONS: u8 = 3;

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
    /// Outside the plausible range.
    OutOfRange,
    /// Changed faster than soil does.
    Jump {
        /// Before.
        from: MoisturePermyriad,
        /// After.
        to: MoisturePermyriad,
    },
    /// The same value for too long.
    Stuck {
        /// For how long, seconds.
        same_s: u64,
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
            Self::OutOfRange => "out_of_range",
            Self::Jump { .. } => "jump",
            Self::Stuck { .. } => "stuck",
        }
    }
}

/// The newest reading.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: UnixMs,
    received_at: MonoMs,
    /// Age when it was received; `None` when the clock was unset.
    age_ms: Option<u64>,
    /// How far ahead of the clock it was dated, where that is too far.
    ahead_ms: Option<u64>,
    value: Option<MoisturePermyriad>,
}

/// A change that was too fast and waits for readings that agree with it.
#[derive(Clone, Copy, Debug)]
struct Jump {
    from: MoisturePermyriad,
    n_missing: u8,
}

/// What is known of one probe of one zone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probe {
    last: Option<Sample>,
    /// The newest value inside the plausible range: what the next one is compared with.
    level: Option<(UnixMs, MoisturePermyriad)>,
    /// Since when the value has been identical, by the readings' own dates.
    same_since: Option<(UnixMs, MoisturePermyriad)>,
    jump: Option<Jump>,
}

impl Probe {
    /// Takes a reading; `is_wet` while watering may explain a fast change. Returns whether it was news.
    pub(crate) fn accept(
        &mut self,
        now: Now,
        at: UnixMs,
        value: Option<MoisturePermyriad>,
        is_wet: bool,
        plan: &ZonePlan,
    ) -> bool {
        let ahead_of = |wall: UnixMs, at: UnixMs| Some(at.since_ms(wall)).filter(|ms| *ms > AHEAD_MS_MAX);
        if let Some(last) = self.last {
            // A newest reading from the future is no measure: without this, one wrong date would silence the probe.
            let is_last_wrong = now.wall.is_some_and(|wall| ahead_of(wall, last.at).is_some());
            if at <= last.at && !is_last_wrong {
                return false;
            }
        }
        self.last = Some(Sample {
            at,
            received_at: now.mono,
            age_ms: now.wall.map(|wall| wall.since_ms(at)),
            ahead_ms: now.wall.and_then(|wall| ahead_of(wall, at)),
            value,
        });
        let Some(value) = value else { return true };
        if self.same_since.is_none_or(|(since, same)| same != value || since > at) {
            self.same_since = Some((at, value));
        }
        if plan.is_plausible(value) {
            self.compare(at, value, is_wet, plan.rate_max);
            self.level = Some((at, value));
        }
        true
    }

    fn compare(&mut self, at: UnixMs, value: MoisturePermyriad, is_wet: bool, rate_max: MoisturePermyriad) {
        let Some((level_at, level)) = self.level else { return };
        let rate = u64::from(rate_max.get());
        let allowed = rate.max(rate.saturating_mul(at.since_ms(level_at)) / RATE_SPAN_MS);
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

    /// Dates a reading that was received without a clock, once the clock is known. One that is ahead then stays so: time
    /// passing does not make its date true.
    pub(crate) fn date(&mut self, now: Now) {
        let Some(last) = self.last.as_mut().filter(|last| last.age_ms.is_none()) else { return };
        let Some(wall) = now.wall else { return };
        last.ahead_ms = last.ahead_ms(now);
        last.age_ms = Some(wall.since_ms(last.at).saturating_sub(now.mono.since_ms(last.received_at)));
    }

    /// What the probe is worth, and its value where it has one.
    pub(crate) fn judge(&self, now: Now, plan: &ZonePlan) -> (ProbeQuality, Option<MoisturePermyriad>) {
        let Some(last) = self.last else { return (ProbeQuality::Missing, None) };
        let age_ms = last.age_ms(now);
        let ahead_ms = last.ahead_ms(now);
        let Some(value) = last.value else { return (ProbeQuality::Faulty, None) };
        let quality = if let Some(ahead_ms) = ahead_ms {
            ProbeQuality::Ahead { ahead_s: ahead_ms / 1000 }
        } else if age_ms > fresh_ms(plan) {
            ProbeQuality::Stale { age_s: age_ms / 1000 }
        } else if !plan.is_plausible(value) {
            ProbeQuality::OutOfRange
        } else if let Some(jump) = self.jump {
            ProbeQuality::Jump { from: jump.from, to: value }
        } else {
            let same_ms = self.same_since.map_or(0, |(since, _)| last.at.since_ms(since));
            if plan.stuck_s != 0 && same_ms > u64::from(plan.stuck_s) * 1000 {
                ProbeQuality::Stuck { same_s: same_ms / 1000 }
            } else {
                ProbeQuality::Good
            }
        };
        (quality, Some(value))
    }

    /// Age of the newest reading, ms.
    pub(crate) fn age_ms(&self, now: Now) -> Option<u64> {
        self.last.map(|last| last.age_ms(now))
    }

    /// Civil time of the newest reading.
    pub(crate) fn last_at(&self) -> Option<UnixMs> {
        self.last.map(|last| last.at)
    }

    /// When a probe that is fresh becomes stale, as the monotonic line tells.
    pub(crate) fn stale_at(&self, now: Now, plan: &ZonePlan) -> Option<MonoMs> {
        let age_ms = self.last?.age_ms(now);
        let left_ms = fresh_ms(plan).checked_sub(age_ms)?;
        Some(now.mono.plus_ms(left_ms.saturating_add(1)))
    }
}

impl Sample {
    fn age_ms(&self, now: Now) -> u64 {
        let by_mono = self.age_ms.unwrap_or(0).saturating_add(now.mono.since_ms(self.received_at));
        now.wall.map_or(by_mono, |wall| by_mono.max(wall.since_ms(self.at)))
    }

    /// How far ahead of the clock it is dated: judged at receipt, or when the clock was first known after it.
    fn ahead_ms(&self, now: Now) -> Option<u64> {
        if self.age_ms.is_some() {
            return self.ahead_ms;
        }
        let ahead_ms = self.at.since_ms(now.wall?);
        Some(ahead_ms).filter(|ms| *ms > AHEAD_MS_MAX)
    }
}

fn fresh_ms(plan: &ZonePlan) -> u64 {
    u64::from(plan.fresh_s) * 1000
}

/// The reason that a probe's quality gives, `None` for a good one.
pub(crate) fn reason(
    quality: ProbeQuality,
    value: Option<MoisturePermyriad>,
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
        ProbeQuality::OutOfRange => Reason::ImplausibleReading {
            device,
            metric,
            moisture: value.unwrap_or_default(),
            min: plan.plausible.0,
            max: plan.plausible.1,
        },
        ProbeQuality::Jump { from, to } => {
            Reason::ProbeJump { device, metric, from, to, rate_max: plan.rate_max }
        }
        ProbeQuality::Stuck { same_s } => {
            Reason::ProbeStuck { device, metric, same_s, stuck_s: u64::from(plan.stuck_s) }
        }
    })
}
