//! When to try again: pauses that grow, with jitter, so that a hundred gateways do not come back in step. For ever: a sink may be away
//! for a month.
//!
//! Pure; time and randomness are arguments. Invariants: a pause is never shorter than half of [`FIRST_MS`]; it is longer than [`MAX_MS`]
//! only where the sink asks for it, and then never shorter than that nor longer than an eighth more than [`ASKED_MAX_MS`].

use super::verdict::Verdict;

/// First pause, before jitter.
pub const FIRST_MS: u64 = 1_000;

/// Longest pause while the sink is away or busy: a minute after it is back, everything flows.
pub const MAX_MS: u64 = 60_000;

/// Pause when only a person can help.
const PERSON_MS: u64 = 60_000;

/// Longest pause that a sink may ask for (`Retry-After`): one that says a day by mistake is asked again the same hour.
pub const ASKED_MAX_MS: u64 = 15 * 60_000;

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    n_failures: u32,
}

impl Pace {
    /// It went well.
    pub fn succeeded(&mut self) {
        self.n_failures = 0;
    }

    /// It did not: how long to wait. `random` is any number.
    #[must_use]
    pub fn failed(&mut self, why: Verdict, random: u32) -> u64 {
        let shift = self.n_failures.min(16);
        self.n_failures = self.n_failures.saturating_add(1);
        let full_ms = if why.needs_a_person() { PERSON_MS } else { (FIRST_MS << shift).min(MAX_MS) };
        let half_ms = full_ms / 2;
        half_ms + half_ms * u64::from(random) / u64::from(u32::MAX)
    }

    /// As [`Self::failed`] by a sink that may have asked for a pause.
    #[must_use]
    pub fn failed_asking(&mut self, why: Verdict, asked_ms: Option<u64>, random: u32) -> u64 {
        let own_ms = self.failed(why, random);
        let Some(asked_ms) = asked_ms.map(|asked_ms| asked_ms.min(ASKED_MAX_MS)) else { return own_ms };
        // Later than asked, never earlier, and not all at once.
        own_ms.max(asked_ms + asked_ms / 8 * u64::from(random) / u64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_begin_anew_after_a_success() {
        let mut pace = Pace::default();
        let pauses: Vec<u64> = (0..9).map(|_| pace.failed(Verdict::Away, u32::MAX)).collect();
        assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
        assert_eq!(pace.failed(Verdict::Busy, 0), 30_000);
        pace.succeeded();
        assert_eq!(pace.failed(Verdict::Busy, 0), 500);
        assert_eq!(Pace { n_failures: u32::MAX }.failed(Verdict::Away, u32::MAX / 2), 44_999);
    }

    #[test]
    fn a_sink_may_ask_for_a_longer_pause_but_not_for_ever() {
        let asked = |asked_ms, random| Pace::default().failed_asking(Verdict::Busy, asked_ms, random);
        assert_eq!(asked(None, 0), 500);
        assert_eq!(asked(Some(30_000), 0), 30_000);
        assert_eq!(asked(Some(32_000), u32::MAX), 36_000);
        assert_eq!(asked(Some(0), 0), 500, "not shorter than its own pause");
        assert_eq!(asked(Some(u64::MAX), 0), ASKED_MAX_MS);
    }

    #[test]
    fn what_only_a_person_can_mend_is_asked_once_a_minute() {
        let mut pace = Pace::default();
        for verdict in [Verdict::Forbidden, Verdict::Unknown, Verdict::BadLine] {
            assert_eq!(pace.failed(verdict, u32::MAX), 60_000);
        }
    }
}
