//! The nearest of several names, for people who mistype one.

/// The candidate with the fewest changes of letters, if there are few enough for a slip of the finger; the first by name among equals.
#[must_use]
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 3).max(1);
    let ranked = candidates.into_iter().map(|candidate| (distance(name, candidate), candidate));
    ranked.filter(|(n_changes, _)| *n_changes <= most).min().map(|(_, candidate)| candidate)
}

/// Letters to be changed, put in or left out between two names (Levenshtein 1966).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (n, letter) in a.chars().enumerate() {
        let corner = std::mem::replace(&mut row, vec![n + 1]);
        for (idx, other) in b.iter().enumerate() {
            let swapped = corner.get(idx).copied().unwrap_or(0) + usize::from(letter != *other);
            let left = row.last().copied().unwrap_or(0) + 1;
            let above = corner.get(idx + 1).copied().unwrap_or(0) + 1;
            row.push(swapped.min(left).min(above));
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_found() {
        let names = ["n01/soil_moisture", "n02/soil_moisture", "man-1", "hour"];
        let check = |name, want| assert_eq!(nearest(name, names), want, "{name}");
        check("n01/soil_moistrue", Some("n01/soil_moisture"));
        check("man1", Some("man-1"));
        check("huor", None);
        check("hours", Some("hour"));
        check("elephant", None);
        assert_eq!((distance("", "abc"), distance("kitten", "sitting"), distance("ẩm", "am")), (3, 3, 1));
    }
}
