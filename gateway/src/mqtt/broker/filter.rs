//! Topic names, filters, and who wants what (MQTT 5 section 4.7). Pure.
//!
//! [`Index`] finds the subscriptions that match a topic without looking at the others: a tree of levels. Its depth, and
//! so the depth of every walk, is bounded by [`TOPIC_LEN_MAX`].

use super::super::acl::TOPIC_LEN_MAX;
use super::codec::Quality;
use std::collections::BTreeMap;

/// Number of a client's session; never used twice.
pub(super) type ClientKey = u64;

/// What a client asked for along with a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) quality: Quality,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) id: Option<u32>,
}

/// Whether a filter is well-formed: wildcards fill whole levels and `#` is the last one.
pub(super) fn is_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').peekable();
    let mut is_fine = !filter.is_empty() && filter.len() <= TOPIC_LEN_MAX;
    while let Some(level) = levels.next() {
        is_fine &= match level {
            "+" => true,
            "#" => levels.peek().is_none(),
            _ => !level.contains(['+', '#']),
        };
    }
    is_fine
}

/// Whether a filter matches a topic. Wildcards do not begin with a server's own topics, those with `$`.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for part in filter.split('/') {
        match (part, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (exact, Some(level)) if exact == level => {}
            (_, Some(_) | None) => return false,
        }
    }
    levels.next().is_none()
}

/// The part of a filter before its first wildcard: every topic it matches begins so, but for the `/` before a `#`.
pub(super) fn literal_head(filter: &str) -> &str {
    let head = filter.split(['+', '#']).next().unwrap_or_default();
    if filter.ends_with("/#") && head.len() + 1 == filter.len() {
        head.strip_suffix('/').unwrap_or(head)
    } else {
        head
    }
}

/// Every subscription of every client.
#[derive(Debug, Default)]
pub(super) struct Index {
    root: Level,
}

#[derive(Debug, Default)]
struct Level {
    below: BTreeMap<Box<str>, Self>,
    here: BTreeMap<ClientKey, Subscription>,
}

impl Index {
    /// Puts a subscription in; returns whether it is new.
    pub(super) fn insert(&mut self, filter: &str, client: ClientKey, subscription: Subscription) -> bool {
        let mut level = &mut self.root;
        for part in filter.split('/') {
            level = level.below.entry(part.into()).or_default();
        }
        level.here.insert(client, subscription).is_none()
    }

    /// Takes a subscription out.
    pub(super) fn remove(&mut self, filter: &str, client: ClientKey) {
        remove(&mut self.root, Some(filter), client);
    }

    /// Hands over every subscription that matches a topic; a client may have several.
    pub(super) fn find(&self, topic: &str, each: &mut impl FnMut(ClientKey, Subscription)) {
        find(&self.root, Some(topic), !topic.starts_with('$'), each);
    }
}

fn remove(level: &mut Level, rest: Option<&str>, client: ClientKey) {
    let Some(rest) = rest else {
        level.here.remove(&client);
        return;
    };
    let (part, tail) = head_and_tail(rest);
    if let Some(below) = level.below.get_mut(part) {
        remove(below, tail, client);
        if below.below.is_empty() && below.here.is_empty() {
            level.below.remove(part);
        }
    }
}

fn find(level: &Level, rest: Option<&str>, wildcards: bool, each: &mut impl FnMut(ClientKey, Subscription)) {
    let mut hand_over = |level: &Level| level.here.iter().for_each(|(client, wish)| each(*client, *wish));
    if wildcards && let Some(all) = level.below.get("#") {
        hand_over(all);
    }
    let Some(rest) = rest else {
        hand_over(level);
        return;
    };
    let (part, tail) = head_and_tail(rest);
    if let Some(below) = level.below.get(part) {
        find(below, tail, true, each);
    }
    if wildcards && let Some(below) = level.below.get("+") {
        find(below, tail, true, each);
    }
}

fn head_and_tail(text: &str) -> (&str, Option<&str>) {
    text.split_once('/').map_or((text, None), |(head, tail)| (head, Some(tail)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wish() -> Subscription {
        Subscription { quality: Quality::AtLeastOnce, no_local: false, retain_as_published: false, id: None }
    }

    /// The examples of section 4.7.1 and 4.7.2.
    #[test]
    fn the_standards_examples() {
        for (filter, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "any/thing", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/x", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ] {
            assert!(is_filter(filter), "{filter}");
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
            let mut index = Index::default();
            index.insert(filter, 1, wish());
            let mut found = Vec::new();
            index.find(topic, &mut |client, _| found.push(client));
            assert_eq!(!found.is_empty(), expected, "{filter} {topic} in the tree");
        }
        for bad in ["", "sport/tennis#", "sport/tennis/#/ranking", "sport+", "a/+b", &"a".repeat(257)] {
            assert!(!is_filter(bad), "{bad}");
        }
    }

    #[test]
    fn an_emptied_index_holds_nothing() {
        let mut index = Index::default();
        assert!(index.insert("a/+/c", 1, wish()));
        assert!(!index.insert("a/+/c", 1, wish()), "the same again");
        index.insert("a/#", 2, wish());
        index.remove("a/+/c", 1);
        index.remove("a/#", 2);
        index.remove("never/there", 3);
        assert!(index.root.below.is_empty());
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_matches(
            filters in prop::collection::vec("(\\$s|a|b|\\+|)(/(a|b|\\+|)){0,3}(/#)?", 1..12),
            topic in "(\\$s|a|b|)(/(a|b|)){0,4}",
            gone in 0_usize..12,
        ) {
            let mut index = Index::default();
            let filters: Vec<_> = filters.into_iter().filter(|filter| is_filter(filter)).collect();
            for (key, filter) in filters.iter().enumerate() {
                index.insert(filter, key as u64, wish());
            }
            if let Some(filter) = filters.get(gone) {
                index.remove(filter, gone as u64);
            }
            let mut found = Vec::new();
            index.find(&topic, &mut |client, _| found.push(client));
            found.sort_unstable();
            let expected: Vec<u64> = filters.iter().enumerate()
                .filter(|(key, filter)| *key != gone && matches(filter, &topic))
                .map(|(key, _)| key as u64)
                .collect();
            prop_assert_eq!(found, expected);
            for filter in &filters {
                prop_assert!(!matches(filter, &topic) || topic.starts_with(literal_head(filter)), "{} {}", filter, topic);
            }
        }
    }
}
