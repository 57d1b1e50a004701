//! What is different between two texts, line by line. Pure.
//!
//! The shortest difference (Myers 1986, "An O(ND) difference algorithm and its variations", section 4), so that the work grows
//! with what differs and not with the length of a farm; texts that are too different for that are shown as one replaced by the
//! other, which is longer.

/// Most lines that differ: what is noted of so many takes 16 MB for a moment.
const ROUNDS_MAX: usize = 2000;

/// Lines around a difference that are shown with it.
const AROUND: usize = 3;

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is in both.
    Same,
    /// Only the later text has it.
    Added,
    /// Only the earlier text has it.
    Removed,
}

/// One line of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiffLine<'t> {
    /// What became of it.
    pub change: Change,
    /// Its number in the earlier text, from 1.
    pub before: Option<usize>,
    /// Its number in the later text, from 1.
    pub after: Option<usize>,
    /// The line.
    pub text: &'t str,
}

/// Every line of both texts, in order.
#[must_use]
pub fn lines<'t>(before: &'t str, after: &'t str) -> Vec<DiffLine<'t>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let n_head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - n_head;
    let n_tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let middle = |lines: &[&'t str]| lines.get(n_head..lines.len() - n_tail).unwrap_or_default().to_vec();
    let (old_middle, new_middle) = (middle(&old), middle(&new));
    let kept = common(&old_middle, &new_middle);
    let mut out = Vec::with_capacity(old.len() + new.len());
    let (mut at_old, mut at_new) = (0, 0);
    let kept = kept.into_iter().map(|(i, j)| (n_head + i, n_head + j));
    let tail = (0..n_tail).map(|n| (old.len() - n_tail + n, new.len() - n_tail + n));
    let same = (0..n_head).map(|n| (n, n)).chain(kept).chain(tail).chain([(old.len(), new.len())]);
    for (i, j) in same {
        let line = |change, before, after, text: &&'t str| DiffLine { change, before, after, text };
        out.extend((at_old..i).filter_map(|n| Some(line(Change::Removed, Some(n + 1), None, old.get(n)?))));
        out.extend((at_new..j).filter_map(|n| Some(line(Change::Added, None, Some(n + 1), new.get(n)?))));
        if let Some(text) = old.get(i) {
            out.push(line(Change::Same, Some(i + 1), Some(j + 1), text));
        }
        (at_old, at_new) = (i + 1, j + 1);
    }
    out
}

/// Of the lines of [`lines`] those that differ, each with a few around it.
#[must_use]
pub fn hunks(lines: Vec<DiffLine<'_>>) -> Vec<DiffLine<'_>> {
    let mut is_shown = vec![false; lines.len()];
    for idx in (0..lines.len()).filter(|idx| lines.get(*idx).is_some_and(|line| line.change != Change::Same))
    {
        let around = idx.saturating_sub(AROUND)..lines.len().min(idx + AROUND + 1);
        is_shown.get_mut(around).into_iter().flatten().for_each(|shown| *shown = true);
    }
    lines.into_iter().zip(is_shown).filter_map(|(line, is_shown)| is_shown.then_some(line)).collect()
}

/// How many lines were added and removed.
#[must_use]
pub fn counts(lines: &[DiffLine<'_>]) -> (u32, u32) {
    let count = |change| lines.iter().filter(|line| line.change == change).count();
    let whole = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (whole(count(Change::Added)), whole(count(Change::Removed)))
}

/// Pairs of equal lines, as many as there can be; none where the texts are too different for that.
fn common(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    // Of each round `d`, the number of lines that differ so far: how far into the old text one comes on each diagonal. The one
    // of number `i` is where `2 i - d` more lines of the old text than of the new have been passed.
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    for d in 0..=(old.len() + new.len()).min(ROUNDS_MAX) {
        let before = rounds.last().map_or(&[][..], Vec::as_slice);
        let (mut round, mut is_end) = (Vec::with_capacity(d + 1), false);
        for i in 0..=d {
            let (mut x, _) = step(before, i);
            let mut y = (x + d).saturating_sub(2 * i);
            while old.get(x).zip(new.get(y)).is_some_and(|(a, b)| a == b) {
                (x, y) = (x + 1, y + 1);
            }
            is_end |= x >= old.len() && y >= new.len();
            round.push(x);
        }
        rounds.push(round);
        if is_end {
            return way_back(rounds, old.len(), new.len());
        }
    }
    Vec::new()
}

/// Where a round begins on its diagonal `i`, and whether it came there by a line of the new text.
fn step(before: &[usize], i: usize) -> (usize, bool) {
    let by_new = before.get(i).copied();
    let by_old = i.checked_sub(1).and_then(|i| before.get(i)).map(|x| x + 1);
    match (by_new, by_old) {
        (Some(by_new), Some(by_old)) if by_old > by_new => (by_old, false),
        (Some(by_new), _) => (by_new, true),
        (None, Some(by_old)) => (by_old, false),
        (None, None) => (0, true),
    }
}

/// The equal lines on the way from the end, where the last round arrived, to the begin.
fn way_back(mut rounds: Vec<Vec<usize>>, mut x: usize, mut y: usize) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    while rounds.pop().is_some() {
        let d = rounds.len();
        let i = (x + d).saturating_sub(y) / 2;
        let (from, is_by_new) = step(rounds.last().map_or(&[][..], Vec::as_slice), i);
        while x > from && y > 0 {
            (x, y) = (x - 1, y - 1);
            pairs.push((x, y));
        }
        match is_by_new {
            true => y = y.saturating_sub(1),
            false => x = x.saturating_sub(1),
        }
    }
    pairs.reverse();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(before: &str, after: &str) -> String {
        let sign = |change| match change {
            Change::Same => ' ',
            Change::Added => '+',
            Change::Removed => '-',
        };
        lines(before, after).iter().map(|line| format!("{}{}\n", sign(line.change), line.text)).collect()
    }

    #[test]
    fn a_changed_line_stands_between_its_neighbours() {
        assert_eq!(shown("a\nb\nc\n", "a\nx\nc\nd\n"), " a\n-b\n+x\n c\n+d\n");
        assert_eq!(shown("", "a\n"), "+a\n");
        assert_eq!(shown("a\n", ""), "-a\n");
        assert_eq!(shown("a\na\n", "a\n"), " a\n-a\n");
        assert_eq!(counts(&lines("a\nb\nc", "a\nx\nc\nd")), (2, 1));
    }

    #[test]
    fn hunks_leave_out_what_is_far_from_a_difference() {
        let before: String = (0..40).map(|n| format!("line {n}\n")).collect();
        let after = before.replace("line 20\n", "line XX\n");
        let shown = hunks(lines(&before, &after));
        assert_eq!(shown.len(), 8);
        assert_eq!((shown[0].before, shown[7].after), (Some(18), Some(24)));
        assert!(hunks(lines(&before, &before)).is_empty());
    }

    #[test]
    fn a_long_farm_with_changes_at_both_ends_differs_in_those() {
        let before: String = (0..8000).map(|n| format!("line {n}\n")).collect();
        let after = before.replace("line 0\n", "first\n").replace("line 7999\n", "last\n") + "more\n";
        assert_eq!(counts(&lines(&before, &after)), (3, 2));
        let other: String = (0..8000).map(|n| format!("other {n}\n")).collect();
        assert_eq!(counts(&lines(&before, &other)), (8000, 8000), "too different: replaced");
    }

    /// Lines that two texts have in common, the slow way.
    fn n_common(old: &[String], new: &[String]) -> usize {
        let mut above = vec![0; new.len() + 1];
        for a in old {
            let mut row = vec![0];
            for (j, b) in new.iter().enumerate() {
                row.push(if a == b { above[j] + 1 } else { above[j + 1].max(row[j]) });
            }
            above = row;
        }
        above[new.len()]
    }

    proptest! {
        #[test]
        fn both_texts_can_be_read_out_of_their_difference(
            old in proptest::collection::vec("[abc]", 0..30), new in proptest::collection::vec("[abc]", 0..30),
        ) {
            let (before, after) = (old.join("\n"), new.join("\n"));
            let diff = lines(&before, &after);
            let of = |without| -> Vec<&str> {
                diff.iter().filter(|line| line.change != without).map(|line| line.text).collect()
            };
            prop_assert_eq!(of(Change::Added), before.lines().collect::<Vec<_>>());
            prop_assert_eq!(of(Change::Removed), after.lines().collect::<Vec<_>>());
            let n_same = diff.iter().filter(|line| line.change == Change::Same).count();
            prop_assert_eq!(n_same, n_common(&old, &new), "the shortest difference");
        }
    }
}
