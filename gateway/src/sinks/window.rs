//! Which of what was sent is safe: a store that says "taken" may still lose it when it is killed within the next seconds.
//!
//! Pure; times are milliseconds of the caller's monotonic line. Invariants: `safe` never passes what was sent less than the lag ago,
//! nor `sent`; the number of marks is bounded.

use std::collections::VecDeque;

/// Marks kept within a lag: `safe` is late by a sixteenth of the lag at most.
const MARKS_PER_LAG: u64 = 16;

/// Places in journal and diary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Number of a journal row.
    pub journal: i64,
    /// Number of a diary entry.
    pub diary: i64,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    first_ms: u64,
    last_ms: u64,
    place: Place,
}

/// What is safe, what was sent, and when.
#[derive(Clone, Debug)]
pub struct Window {
    lag_ms: u64,
    safe: Place,
    sent: Place,
    marks: VecDeque<Mark>,
}

impl Window {
    /// Nothing was sent beyond what is safe.
    #[must_use]
    pub fn new(lag_ms: u64, safe: Place) -> Self {
        Self { lag_ms, safe, sent: safe, marks: VecDeque::new() }
    }

    /// Up to here it was sent.
    #[must_use]
    pub fn sent(&self) -> Place {
        self.sent
    }

    /// Up to here it is safe.
    #[must_use]
    pub fn safe(&self) -> Place {
        self.safe
    }

    /// The sink took everything up to `place`.
    pub fn note(&mut self, now_ms: u64, place: Place) {
        self.sent = place;
        let together_ms = self.lag_ms / MARKS_PER_LAG;
        match self.marks.back_mut() {
            Some(mark) if now_ms.saturating_sub(mark.first_ms) < together_ms => {
                mark.last_ms = now_ms;
                mark.place = place;
            }
            _ => self.marks.push_back(Mark { first_ms: now_ms, last_ms: now_ms, place }),
        }
        self.settle(now_ms);
    }

    /// Moves `safe` behind what was sent a lag ago.
    pub fn settle(&mut self, now_ms: u64) {
        while let Some(mark) = self.marks.front().copied()
            && mark.last_ms.saturating_add(self.lag_ms) <= now_ms
        {
            self.safe = mark.place;
            self.marks.pop_front();
        }
    }

    /// The sink may have lost what is not safe: it is sent again.
    pub fn start_over(&mut self) {
        self.sent = self.safe;
        self.marks.clear();
    }

    /// Somebody wants the diary again from an earlier entry on.
    pub fn rewind_diary(&mut self, diary: i64) {
        self.safe.diary = diary;
        self.sent.diary = diary;
        for mark in &mut self.marks {
            mark.place.diary = diary;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(journal: i64) -> Place {
        Place { journal, diary: 0 }
    }

    #[test]
    fn what_was_sent_is_safe_a_lag_later() {
        let mut window = Window::new(60_000, at(5));
        window.note(1_000, at(7));
        window.settle(60_999);
        assert_eq!((window.safe(), window.sent()), (at(5), at(7)));
        window.settle(61_000);
        assert_eq!(window.safe(), at(7));
    }

    #[test]
    fn a_restarted_sink_gets_everything_that_was_not_safe() {
        let mut window = Window::new(60_000, at(5));
        window.note(0, at(7));
        window.note(30_000, at(9));
        window.settle(60_000);
        window.start_over();
        assert_eq!((window.safe(), window.sent()), (at(7), at(7)));
        window.settle(200_000);
        assert_eq!(window.safe(), at(7));
    }

    proptest! {
        #[test]
        fn safe_is_what_was_sent_a_lag_ago_or_a_little_earlier(steps in prop::collection::vec((0_u64..20_000, 0_i64..9), 1..300)) {
            let lag_ms = 60_000;
            let mut window = Window::new(lag_ms, Place::default());
            let (mut now_ms, mut journal) = (0, 0);
            let mut sent = vec![(0_u64, 0_i64)];
            for (step_ms, n) in steps {
                now_ms += step_ms;
                journal += n;
                window.note(now_ms, at(journal));
                sent.push((now_ms, journal));
                let upto = |ms: u64| {
                    sent.iter().rev().find(|(at_ms, _)| *at_ms <= ms).map_or(0, |(_, journal)| *journal)
                };
                let safe = window.safe().journal;
                let exact = now_ms.checked_sub(lag_ms).map_or(0, upto);
                let late = now_ms.checked_sub(lag_ms + lag_ms / 16 + 20_000).map_or(0, upto);
                prop_assert!(late <= safe && safe <= exact, "{} {} {}", late, safe, exact);
                prop_assert!(window.marks.len() <= 18);
            }
        }
    }
}
