//! One delivery: how many lines go together, and how the ones that a sink refuses are found by halving.
//!
//! Pure; lines are known by their place. Invariants: when the delivery is done, each line was taken, or set aside with the sink's
//! words; a refused line is asked for alone before it is set aside.

use std::ops::Range;

/// Most lines of one request.
pub const LINES_MAX: usize = 5_000;

/// Fewer lines are no help against "too large".
const LINES_MIN: usize = 1;

/// So many lines refused in a row, with none taken between, and it is asked whether the sink takes anything at all.
const REFUSED_IN_A_ROW_MAX: usize = 32;

/// What the sink is like beyond one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// Lines of one request; less after "too large".
    lines_max: usize,
    /// Lines refused since the last one taken.
    n_refused_in_a_row: usize,
}

impl Default for Manners {
    fn default() -> Self {
        Self { lines_max: LINES_MAX, n_refused_in_a_row: 0 }
    }
}

/// Lines on their way.
#[derive(Debug)]
pub struct Delivery {
    /// Parts not dealt with, the next one last.
    todo: Vec<Range<usize>>,
    /// Lines set aside, with the sink's words.
    refused: Vec<(usize, String)>,
    /// Lines set aside like others of their kind, without asking for each.
    n_refused_unasked: usize,
}

impl Delivery {
    /// Of `n` lines.
    #[must_use]
    pub fn new(n: usize) -> Self {
        // No empty part, so that no request is empty.
        Self {
            todo: (n > 0).then_some(0..n).into_iter().collect(),
            refused: Vec::new(),
            n_refused_unasked: 0,
        }
    }

    /// The lines that go next; `None` when all are dealt with.
    #[must_use]
    pub fn next(&self, manners: &Manners) -> Option<Range<usize>> {
        let part = self.todo.last()?;
        Some(part.start..part.end.min(part.start.saturating_add(manners.lines_max)))
    }

    /// The first `n` lines of the next part were taken.
    pub fn taken(&mut self, n: usize, manners: &mut Manners) {
        self.cut(n);
        if n > 0 {
            manners.n_refused_in_a_row = 0;
        }
    }

    /// The first `n` lines of the next part hold at least one that the sink refuses. `false`: it refused too many in a row, and this one
    /// is not set aside: either everything is refused, or a whole kind of lines (see [`Self::refuse_kind`]).
    #[must_use]
    pub fn bad(&mut self, n: usize, reason: &str, manners: &mut Manners) -> bool {
        let Some(part) = self.todo.last().cloned() else { return true };
        if n > 1 {
            self.halve(n);
            return true;
        }
        manners.n_refused_in_a_row += 1;
        if manners.n_refused_in_a_row > REFUSED_IN_A_ROW_MAX {
            return false;
        }
        self.refused.push((part.start, reason.to_owned()));
        self.cut(1);
        true
    }

    /// The first `n` lines of the next part are too much at once; a single line that is too large is refused.
    #[must_use]
    pub fn too_large(&mut self, n: usize, reason: &str, manners: &mut Manners) -> bool {
        if n > LINES_MIN {
            manners.lines_max = (n / 2).max(LINES_MIN);
            return true;
        }
        self.bad(n, reason, manners)
    }

    /// The first line of the next part cannot be written at all.
    pub fn unspeakable(&mut self, reason: &str) {
        if let Some(part) = self.todo.last() {
            self.refused.push((part.start, reason.to_owned()));
        }
        self.cut(1);
    }

    /// Sets aside what is left of a kind of lines that the sink refuses while it takes others.
    pub fn refuse_kind(&mut self, is_of_kind: impl Fn(usize) -> bool, manners: &mut Manners) {
        manners.n_refused_in_a_row = 0;
        let mut kept = Vec::new();
        for part in std::mem::take(&mut self.todo) {
            let mut from = part.start;
            // The parts stay in their order, the next one last.
            let mut pieces = Vec::new();
            for idx in part.clone() {
                if is_of_kind(idx) {
                    self.n_refused_unasked += 1;
                    pieces.push(from..idx);
                    from = idx + 1;
                }
            }
            pieces.push(from..part.end);
            kept.extend(pieces.into_iter().rev().filter(|piece| piece.start < piece.end));
        }
        self.todo = kept;
    }

    /// Lines set aside without asking for each.
    #[must_use]
    pub fn n_refused_unasked(&self) -> usize {
        self.n_refused_unasked
    }

    /// Lines set aside: place and reason.
    #[must_use]
    pub fn refused(&self) -> &[(usize, String)] {
        &self.refused
    }

    /// Takes `n` lines off the next part.
    fn cut(&mut self, n: usize) {
        if let Some(part) = self.todo.last_mut() {
            part.start = part.start.saturating_add(n).min(part.end);
            if part.start >= part.end {
                self.todo.pop();
            }
        }
    }

    /// Makes two parts of the first `n` lines of the next one.
    fn halve(&mut self, n: usize) {
        let Some(part) = self.todo.pop() else { return };
        let end = part.start.saturating_add(n).min(part.end);
        let middle = part.start + (end - part.start) / 2;
        let parts = [end..part.end, middle..end, part.start..middle];
        self.todo.extend(parts.into_iter().filter(|part| !part.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Delivers to a sink that refuses `bad` and more than `body_max` lines; what it has, how often it was asked, or `None` when given up.
    fn deliver(n: usize, bad: &BTreeSet<usize>, body_max: usize) -> Option<(Vec<usize>, Vec<usize>, usize)> {
        let (mut delivery, mut manners) = (Delivery::new(n), Manners::default());
        let (mut has, mut n_asked) = (Vec::new(), 0);
        while let Some(range) = delivery.next(&manners) {
            n_asked += 1;
            let n = range.len();
            assert!(n > 0 && n <= LINES_MAX);
            if n > body_max {
                assert!(delivery.too_large(n, "too large", &mut manners));
            } else if bad.range(range.clone()).next().is_some() {
                if !delivery.bad(n, "bad", &mut manners) {
                    return None;
                }
            } else {
                has.extend(range);
                delivery.taken(n, &mut manners);
            }
        }
        let refused = delivery.refused().iter().map(|(idx, _)| *idx).collect();
        Some((has, refused, n_asked))
    }

    #[test]
    fn one_bad_line_of_five_thousand_is_found_in_few_requests() {
        let (has, refused, n_asked) = deliver(5_000, &BTreeSet::from([1_234]), 5_000).unwrap();
        assert_eq!((has.len(), refused, n_asked), (4_999, vec![1_234], 27));
    }

    #[test]
    fn a_sink_that_refuses_everything_is_not_believed() {
        assert!(deliver(5_000, &(0..5_000).collect(), 5_000).is_none());
        assert!(deliver(10, &(0..10).collect(), 5_000).is_some(), "a few bad lines are believed");
    }

    #[test]
    fn a_kind_that_is_refused_does_not_hold_up_the_others() {
        let (mut delivery, mut manners) = (Delivery::new(1_000), Manners::default());
        let is_bad = |idx: usize| (100..900).contains(&idx) && idx != 500;
        let mut has = Vec::new();
        let mut n_asked = 0;
        while let Some(range) = delivery.next(&manners) {
            n_asked += 1;
            if range.clone().any(is_bad) {
                if !delivery.bad(range.len(), "bad", &mut manners) {
                    delivery.refuse_kind(is_bad, &mut manners);
                }
            } else {
                has.extend(range.clone());
                delivery.taken(range.len(), &mut manners);
            }
        }
        let expected: Vec<usize> = (0..1_000).filter(|idx| !is_bad(*idx)).collect();
        assert_eq!(has, expected);
        assert_eq!(delivery.refused().len() + delivery.n_refused_unasked(), 799);
        assert!(n_asked < 100, "{n_asked}");
    }

    #[test]
    fn a_line_that_is_too_large_alone_is_set_aside() {
        let (has, refused, _) = deliver(3, &BTreeSet::new(), 0).unwrap();
        assert!(has.is_empty());
        assert_eq!(refused, [0, 1, 2]);
    }

    #[test]
    fn nothing_asks_for_nothing() {
        assert_eq!(Delivery::new(0).next(&Manners::default()), None);
    }

    proptest! {
        #[test]
        fn each_line_is_taken_or_set_aside(
            n in 0_usize..12_000, bad in prop::collection::btree_set(0_usize..12_000, 0..20), body_max in 1_usize..6_000,
        ) {
            let bad: BTreeSet<usize> = bad.into_iter().filter(|idx| *idx < n).collect();
            let Some((mut has, refused, _)) = deliver(n, &bad, body_max) else { return Ok(()) };
            has.sort_unstable();
            let expected: Vec<usize> = (0..n).filter(|idx| !bad.contains(idx)).collect();
            prop_assert_eq!(has, expected);
            prop_assert_eq!(refused, bad.into_iter().collect::<Vec<_>>());
        }
    }
}
