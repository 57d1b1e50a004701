//! How long to wait before the next connection attempt: growing, with jitter, so that a hundred nodes do not return to a
//! restarted gateway in the same second.

/// First wait, ms: a gateway that was killed is back within a second.
const FIRST_MS: u64 = 500;
/// Longest wait, ms.
const LONGEST_MS: u64 = 60_000;

/// Attempts without success so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    n_failed: u32,
}

impl Backoff {
    /// The gateway answered: the next wait is short again. A broker that lets in and throws out does not count.
    pub const fn succeed(&mut self) {
        self.n_failed = 0;
    }

    /// The wait before the next attempt, ms: between half and all of a span that doubles.
    pub fn next_ms(&mut self, random: u64) -> u64 {
        let span_ms = FIRST_MS.saturating_mul(1 << self.n_failed.min(20)).min(LONGEST_MS);
        self.n_failed = self.n_failed.saturating_add(1);
        let half = span_ms / 2;
        half + random % (half + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_start_over() {
        let mut backoff = Backoff::default();
        for want in [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
            let mut same = backoff;
            assert_eq!(same.next_ms(0), want / 2, "shortest");
            assert_eq!(backoff.next_ms(want / 2), want, "longest");
        }
        for _ in 0..100 {
            assert!(backoff.next_ms(u64::MAX) <= LONGEST_MS);
        }
        backoff.succeed();
        assert_eq!(backoff.next_ms(0), FIRST_MS / 2);
    }
}
