//! What is different between two texts, line by line. Pure.
//!
//! The longest common subsequence of lines between equal ends; texts that are too different for that are shown as one replaced
//! by the other, which is as true and only longer.

/// Most cells of the table of common lines: 16 MB for a moment.
const CELLS_MAX: usize = 4_000_000;

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

/// The lines that differ, each with a few around it.
#[must_use]
pub fn hunks<'t>(before: &'t str, after: &'t str) -> Vec<DiffLine<'t>> {
    let lines = lines(before, after);
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

/// Pairs of equal lines, as many as there can be; none where the texts are too long for that.
fn common(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > CELLS_MAX {
        return Vec::new();
    }
    // Cell (i, j): how many lines old[i..] and new[j..] have in common.
    let mut table = vec![0_u32; (old.len() + 1) * width];
    let cell = |table: &[u32], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            let best = if a == b {
                cell(&table, i + 1, j + 1) + 1
            } else {
                cell(&table, i + 1, j).max(cell(&table, i, j + 1))
            };
            if let Some(place) = table.get_mut(i * width + j) {
                *place = best;
            }
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while let (Some(a), Some(b)) = (old.get(i), new.get(j)) {
        if a == b {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if cell(&table, i + 1, j) >= cell(&table, i, j + 1) {
            i += 1;
        } else {
            j += 1;
        }
    }
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
        let shown = hunks(&before, &after);
        assert_eq!(shown.len(), 8);
        assert_eq!((shown[0].before, shown[7].after), (Some(18), Some(24)));
        assert!(hunks(&before, &before).is_empty());
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
        }
    }
}
