//! Where a new span of unsent or unsure times is joined to a known one, so that a month without a sink leaves a few rows a series.
//!
//! Must not read or write. Invariants: the joined span covers both; no series has more than [`SPANS_MAX`] unsent and
//! [`CLASS_MAX`] sent spans, whatever arrives. A span may cover times that the sink has: sending a reading twice is harmless, forgetting one is not.

/// Spans of one series that were never sent, or sent in one epoch: late data of several absences stay apart.
const SPANS_MAX: usize = 8;

/// Spans of one series that were sent, in whatever epochs; only a sink that restarts again and again comes near.
const CLASS_MAX: usize = 24;

/// Spans nearer than this (one day) become one: what lies between is at most a day of one series.
const GAP_MAX_US: u64 = 86_400 * 1_000_000;

/// Spans sent within this time of each other (ms) become one. It bounds how much longer than needed a span counts as unsure.
const TOGETHER_MS: i64 = 180_000;

/// Never sent.
pub(in super::super) const UNSENT: i64 = -1;

/// Times of a series, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Span {
    pub(in super::super) from_us: i64,
    pub(in super::super) to_us: i64,
    /// In which epoch it was sent; [`UNSENT`] if never.
    pub(in super::super) sent_epoch: i64,
    /// When in that epoch, on the sender's monotonic line.
    pub(in super::super) sent_ms: i64,
}

impl Span {
    /// Covers both.
    pub(in super::super) fn joined(self, other: Self) -> Self {
        Self {
            from_us: self.from_us.min(other.from_us),
            to_us: self.to_us.max(other.to_us),
            // The earlier epoch is sent again the sooner.
            sent_epoch: self.sent_epoch.min(other.sent_epoch),
            sent_ms: self.sent_ms.max(other.sent_ms),
        }
    }

    /// Times between two spans; 0 where they touch.
    fn gap_us(&self, other: &Self) -> u64 {
        let after = |a: &Self, b: &Self| if b.from_us > a.to_us { b.from_us.abs_diff(a.to_us) } else { 0 };
        after(self, other).max(after(other, self))
    }

    fn is_together(&self, other: &Self) -> bool {
        self.sent_epoch == UNSENT || self.sent_ms.abs_diff(other.sent_ms) <= TOGETHER_MS.unsigned_abs()
    }
}

/// Which of the known spans of a series takes `new` in; `None` when it stands alone.
pub(in super::super) fn place(known: &[Span], new: &Span) -> Option<usize> {
    let alike = || known.iter().enumerate().filter(|(_, span)| span.sent_epoch == new.sent_epoch);
    let nearest = |among: &mut dyn Iterator<Item = (usize, &Span)>| {
        among.min_by_key(|(_, span)| span.gap_us(new)).map(|(idx, span)| (idx, span.gap_us(new)))
    };
    let (idx, gap_us) = nearest(&mut alike().filter(|(_, span)| span.is_together(new))).unzip();
    if gap_us.is_some_and(|gap_us| gap_us <= GAP_MAX_US) {
        return idx;
    }
    let class = || {
        known.iter().enumerate().filter(|(_, span)| (span.sent_epoch == UNSENT) == (new.sent_epoch == UNSENT))
    };
    if alike().count() < SPANS_MAX && class().count() < CLASS_MAX {
        return None;
    }
    nearest(&mut alike()).or_else(|| nearest(&mut class())).map(|(idx, _)| idx)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400 * 1_000_000;

    fn unsent(from_us: i64, to_us: i64) -> Span {
        Span { from_us, to_us, sent_epoch: UNSENT, sent_ms: 0 }
    }

    #[test]
    fn neighbours_join_and_strangers_stay_apart_until_there_are_too_many() {
        assert_eq!(place(&[], &unsent(0, 9)), None);
        assert_eq!(place(&[unsent(0, 9)], &unsent(9 + DAY, 10 + DAY)), Some(0));
        assert_eq!(place(&[unsent(0, 9)], &unsent(10 + DAY, 11 + DAY)), None);
        assert_eq!(place(&[unsent(0, 9 * DAY)], &unsent(3, 4)), Some(0));
        let many: Vec<Span> = (0..8).map(|n| unsent(n * 3 * DAY, n * 3 * DAY + 1)).collect();
        assert_eq!(place(&many, &unsent(100 * DAY, 101 * DAY)), Some(7));
    }

    #[test]
    fn what_was_sent_at_another_time_expires_at_another_time() {
        let sent = |sent_ms| Span { sent_epoch: 4, sent_ms, ..unsent(0, 9) };
        assert_eq!(place(&[sent(0)], &sent(180_000)), Some(0));
        assert_eq!(place(&[sent(0)], &sent(180_001)), None);
        assert_eq!(place(&[unsent(0, 9)], &sent(0)), None);
        assert_eq!(place(&[Span { sent_epoch: 3, ..sent(0) }], &sent(0)), None);
    }

    proptest! {
        #[test]
        fn everything_stays_covered_in_bounded_rows(
            news in prop::collection::vec((0_i64..400, 0_i64..3, -1_i64..4, 0_i64..4_000), 1..200),
        ) {
            let mut known: Vec<Span> = Vec::new();
            for (day, length, sent_epoch, sent_s) in news {
                let sent_ms = if sent_epoch == UNSENT { 0 } else { sent_s * 1_000 };
                let new = Span { from_us: day * DAY, to_us: (day + length) * DAY, sent_epoch, sent_ms };
                match place(&known, &new) {
                    Some(idx) => known[idx] = known[idx].joined(new),
                    None => known.push(new),
                }
                let covers = |span: &Span| {
                    span.from_us <= new.from_us && span.to_us >= new.to_us
                        && span.sent_epoch <= new.sent_epoch && span.sent_ms >= new.sent_ms
                };
                prop_assert!(known.iter().any(covers));
                prop_assert!(known.len() <= SPANS_MAX + CLASS_MAX);
            }
        }
    }
}
