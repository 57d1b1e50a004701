//! A message inside the broker, and the retained ones. Pure.

use super::codec::{self, Publish, Quality, Will};
use super::filter::{literal_head, matches};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Retained messages: one state for each of ten thousand devices.
pub(super) const RETAINED_MAX: usize = 10_000;
/// Longest retained message with its topic and properties, bytes; a longer one is not kept.
const RETAINED_LEN_MAX: usize = 4096;
/// What an entry costs beside its bytes.
const ENTRY_LEN: usize = 128;

/// A message; all its receivers share it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: Arc<str>,
    pub(super) payload: Bytes,
    pub(super) quality: Quality,
    pub(super) retain: bool,
    /// After this moment it is not sent any more.
    pub(super) expires_at: Option<Instant>,
    /// Properties for the receivers.
    pub(super) forwarded: Box<[u8]>,
}

impl Message {
    /// A client's message that came at `now`.
    pub(super) fn published(publish: &Publish<'_>, topic: Arc<str>, payload: Bytes, now: Instant) -> Self {
        Self {
            topic,
            payload,
            quality: publish.quality,
            retain: publish.retain,
            expires_at: publish.expiry_s.and_then(|expiry_s| after(now, expiry_s)),
            forwarded: codec::forwarded(publish.properties),
        }
    }

    /// A client's will. Its expiry counts from its publication, so it is not set yet.
    pub(super) fn will(will: &Will<'_>) -> Self {
        Self {
            topic: will.topic.into(),
            payload: Bytes::copy_from_slice(will.payload),
            quality: will.quality,
            retain: will.retain,
            expires_at: None,
            forwarded: codec::forwarded(will.properties),
        }
    }

    /// What it takes of a bound, bytes.
    pub(super) fn cost(&self) -> usize {
        self.topic.len() + self.payload.len() + self.forwarded.len() + ENTRY_LEN
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Whole seconds it is still good for, at least one while it is.
    pub(super) fn expiry_s(&self, now: Instant) -> Option<u32> {
        let left = self.expires_at?.saturating_duration_since(now);
        Some(u32::try_from(left.as_secs().max(1)).unwrap_or(u32::MAX))
    }
}

/// A moment some seconds later; `None` for one so late that no clock reaches it.
pub(super) fn after(now: Instant, seconds: u32) -> Option<Instant> {
    now.checked_add(Duration::from_secs(seconds.into()))
}

/// The newest retained message of each topic.
#[derive(Debug, Default)]
pub(super) struct Retained {
    messages: BTreeMap<Arc<str>, Arc<Message>>,
}

impl Retained {
    /// Keeps a message instead of the topic's older one; an empty one only removes that. Returns whether there was room.
    pub(super) fn keep(&mut self, message: &Arc<Message>) -> bool {
        if message.payload.is_empty() {
            self.messages.remove(&message.topic);
            return true;
        }
        let is_known = self.messages.contains_key(&message.topic);
        let has_room = is_known || self.messages.len() < RETAINED_MAX;
        if !has_room || message.cost() > RETAINED_LEN_MAX {
            // The older one is no longer true.
            self.messages.remove(&message.topic);
            return false;
        }
        self.messages.insert(Arc::clone(&message.topic), Arc::clone(message));
        true
    }

    /// Every kept message that a filter matches.
    pub(super) fn find(&self, filter: &str, now: Instant) -> impl Iterator<Item = &Arc<Message>> {
        let head = literal_head(filter);
        self.messages
            .range::<str, _>((Bound::Included(head), Bound::Unbounded))
            .take_while(move |(topic, _)| topic.starts_with(head))
            .filter(move |(topic, message)| matches(filter, topic) && !message.is_expired(now))
            .map(|(_, message)| message)
    }

    /// Forgets what has expired.
    pub(super) fn expire(&mut self, now: Instant) {
        self.messages.retain(|_, message| !message.is_expired(now));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A message without properties.
    pub(in super::super) fn message(topic: &str, payload: &[u8], quality: Quality) -> Arc<Message> {
        Arc::new(Message {
            topic: topic.into(),
            payload: Bytes::copy_from_slice(payload),
            quality,
            retain: true,
            expires_at: None,
            forwarded: Box::default(),
        })
    }

    #[test]
    fn the_newest_is_kept_until_an_empty_one_comes() {
        let now = crate::clock::monotonic();
        let mut retained = Retained::default();
        let found = |retained: &Retained, filter: &str| {
            retained.find(filter, now).map(|message| message.payload.to_vec()).collect::<Vec<_>>()
        };
        for (topic, payload) in [("a/1/s", b"x"), ("a/2/s", b"y"), ("a/1/s", b"z"), ("b", b"b")] {
            assert!(retained.keep(&message(topic, payload, Quality::AtLeastOnce)));
        }
        assert_eq!(found(&retained, "a/+/s"), [b"z", b"y"]);
        assert_eq!(found(&retained, "b/#"), [b"b"], "the level above a #");
        assert_eq!(found(&retained, "#").len(), 3);
        assert!(retained.keep(&message("a/1/s", b"", Quality::AtLeastOnce)));
        assert_eq!(found(&retained, "a/#"), [b"y"]);
        assert!(!retained.keep(&message("a/2/s", &[0; RETAINED_LEN_MAX], Quality::AtLeastOnce)));
        assert!(found(&retained, "a/#").is_empty(), "an outdated state is worse than none");
    }

    #[test]
    fn there_is_room_for_a_bounded_number() {
        let mut retained = Retained::default();
        for n in 0..RETAINED_MAX {
            assert!(retained.keep(&message(&n.to_string(), b"1", Quality::AtMostOnce)));
        }
        assert!(!retained.keep(&message("one more", b"1", Quality::AtMostOnce)));
        assert!(retained.keep(&message("5", b"2", Quality::AtMostOnce)));
    }
}
