//! Which topics a device may touch: its own channels upwards, everything below its own id downwards.
//!
//! Pure functions over text from outside; a refusal is the answer to everything odd. A device's name is its node id, so
//! that rights need no list.

use giot_shared::ids::NodeId;
use giot_shared::wire::Topic;

/// Longest topic or filter that is looked at, in bytes: the prefix, an id and a channel need 104.
pub(super) const TOPIC_LEN_MAX: usize = 256;

/// Whether `node` may publish to `topic`: its own `up`, `status` and `json`, nothing else.
#[must_use]
pub fn allows_publish(prefix: &str, node: &str, topic: &str) -> bool {
    match Topic::parse(prefix, topic) {
        Some((owner, Topic::Up | Topic::Status | Topic::Json)) => owner.as_str() == node,
        Some((_, Topic::Down)) | None => false,
    }
}

/// Whether `node` may subscribe to `filter`: any well-formed filter that cannot leave `{prefix}/{node}/`. Shared
/// subscriptions are refused, because a second member of the group would take messages away from the device.
#[must_use]
pub fn allows_subscribe(prefix: &str, node: &str, filter: &str) -> bool {
    if node.parse::<NodeId>().is_err() || filter.len() > TOPIC_LEN_MAX {
        return false;
    }
    let below = filter
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('/'))
        .and_then(|rest| rest.strip_prefix(node))
        .and_then(|rest| rest.strip_prefix('/'));
    below.is_some_and(is_filter)
}

/// Whether a text can be published to: not empty, not too long, no wildcard, no NUL.
pub(crate) fn is_topic_name(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= TOPIC_LEN_MAX && !topic.contains(['+', '#', '\0'])
}

/// Whether a text is a well-formed filter: wildcards fill whole levels and `#` is the last one.
fn is_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let fine = match level {
            "" => false,
            "+" => true,
            "#" => levels.peek().is_none(),
            _ => !level.contains(['+', '#', '\0']),
        };
        if !fine {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PREFIX: &str = "giot/v1";

    #[test]
    fn a_device_publishes_only_its_own_channels() {
        for topic in ["giot/v1/man-1/up", "giot/v1/man-1/status", "giot/v1/man-1/json"] {
            assert!(allows_publish(PREFIX, "man-1", topic), "{topic}");
        }
        for topic in [
            "giot/v1/man-1/down",
            "giot/v1/man-1/other",
            "giot/v1/man-1",
            "giot/v1/man-1/",
            "giot/v1/man-1/up/",
            "giot/v1/man-1/up/x",
            "giot/v1/man-1//up",
            "giot/v1//up",
            "giot/v1/+/up",
            "giot/v1/#",
            "giot/v1/man-10/up",
            "giot/v1/man-/up",
            "giot/v1/man-1/../man-2/up",
            "giot/v1/../v1/man-1/up",
            "/giot/v1/man-1/up",
            "giot/v1man-1/up",
            "giot/v2/man-1/up",
            "$SYS/broker",
            "$share/g/giot/v1/man-1/up",
            "GIOT/v1/man-1/up",
            "",
        ] {
            assert!(!allows_publish(PREFIX, "man-1", topic), "{topic}");
        }
    }

    #[test]
    fn a_name_that_is_no_node_id_owns_nothing() {
        for name in ["", "+", "#", "a/b", "man 1", "Man-1", "$SYS", "man-1\0"] {
            assert!(!allows_publish(PREFIX, name, &format!("giot/v1/{name}/up")), "{name:?}");
            assert!(!allows_subscribe(PREFIX, name, &format!("giot/v1/{name}/#")), "{name:?}");
        }
    }

    #[test]
    fn a_device_subscribes_only_below_its_own_id() {
        for filter in [
            "giot/v1/man-1/#",
            "giot/v1/man-1/down",
            "giot/v1/man-1/+",
            "giot/v1/man-1/a/+/b",
            "giot/v1/man-1/+/#",
        ] {
            assert!(allows_subscribe(PREFIX, "man-1", filter), "{filter}");
        }
        for filter in [
            "#",
            "+",
            "+/+/+/down",
            "giot/#",
            "giot/v1/#",
            "giot/v1/+/up",
            "giot/v1/+/#",
            "giot/+/man-1/down",
            "giot/v1/man-1",
            "giot/v1/man-1/",
            "giot/v1/man-10/#",
            "giot/v1/man-2/down",
            "giot/v1/man-1#",
            "giot/v1/man-1/a#",
            "giot/v1/man-1/#/x",
            "giot/v1/man-1/x+",
            "giot/v1/man-1//down",
            "giot/v1//man-1/down",
            "$SYS/#",
            "$share/g/giot/v1/man-2/#",
            "$share/g/giot/v1/man-1/#",
            "",
        ] {
            assert!(!allows_subscribe(PREFIX, "man-1", filter), "{filter}");
        }
        assert!(!allows_subscribe(PREFIX, "man-1", &format!("giot/v1/man-1/{}", "a".repeat(TOPIC_LEN_MAX))));
    }

    /// A filter's own meaning, as the specification has it.
    fn matches(filter: &str, topic: &str) -> bool {
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

    proptest! {
        #[test]
        fn an_allowed_filter_never_matches_another_node(
            filter in "(giot|\\+|#|)(/(v1|n1|n2|n|down|up|\\+|#|\\$share|)){0,6}",
            channel in "(up|down|status|json)",
            other in "(n2|n|n11)",
        ) {
            if allows_subscribe(PREFIX, "n1", &filter) {
                let foreign = format!("giot/v1/{other}/{channel}");
                prop_assert!(!matches(&filter, &foreign), "{} reaches {}", filter, foreign);
            }
        }
    }
}
