//! Which records are on their way, and from where to send again (promises P1 and P2 at this end).
//!
//! Records flow only after a Welcome, from the position that it names. At most [`WINDOW`] messages wait for their
//! acknowledgement. When none comes for [`PROGRESS_MS`], sending starts again from the released position: the gateway
//! takes what it knows as known.

use super::LinkMs;
use giot_shared::ids::Position;

/// Messages on their way at most: what the send buffer holds.
pub const WINDOW: usize = 4;
/// Records that fill a message of usual readings.
pub const FULL: u32 = 32;
/// Time without progress after which records are sent again, ms.
pub const PROGRESS_MS: u64 = 10_000;
/// Time after which an unanswered Hello is said again, ms; doubles up to [`HELLO_MS_MAX`].
pub const HELLO_MS: u64 = 10_000;
/// Longest time between unanswered Hellos, ms.
pub const HELLO_MS_MAX: u64 = 120_000;

/// The resend window of one node.
#[derive(Clone, Debug, Default)]
pub struct Window {
    state: State,
    released: Position,
}

#[derive(Clone, Debug, Default)]
enum State {
    /// No session.
    #[default]
    Down,
    /// A session in which the gateway has not spoken yet.
    Greeting { again_at: Option<LinkMs>, wait_ms: u64 },
    /// Records flow.
    Open { cursor: Position, sent: heapless::Deque<Position, WINDOW>, progress_at: LinkMs },
}

/// What a timeout asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Say Hello again.
    Hello,
    /// Nothing; records start again from the released position.
    Rewound,
}

impl Window {
    /// A session stands.
    pub fn connected(&mut self) {
        self.state = State::Greeting { again_at: None, wait_ms: HELLO_MS };
    }

    /// The session is gone.
    pub fn disconnected(&mut self) {
        self.state = State::Down;
    }

    /// A Hello went out.
    pub const fn hello_sent(&mut self, now: LinkMs) {
        if let State::Greeting { again_at, wait_ms } = &mut self.state {
            *again_at = Some(now.plus_ms(*wait_ms));
            let doubled = wait_ms.saturating_mul(2);
            *wait_ms = if doubled < HELLO_MS_MAX { doubled } else { HELLO_MS_MAX };
        }
    }

    /// The gateway greeted: records flow from `stored`. Within a session that flows already it is an acknowledgement.
    pub fn welcome(&mut self, now: LinkMs, stored: Position) {
        match self.state {
            State::Down => {}
            State::Greeting { .. } => {
                self.released = self.released.max(stored);
                self.state =
                    State::Open { cursor: self.released, sent: heapless::Deque::new(), progress_at: now };
            }
            State::Open { .. } => self.acknowledge(now, stored),
        }
    }

    /// The gateway has everything up to `stored`.
    pub fn acknowledge(&mut self, now: LinkMs, stored: Position) {
        if stored <= self.released {
            return;
        }
        self.released = stored;
        if let State::Open { cursor, sent, progress_at } = &mut self.state {
            *progress_at = now;
            *cursor = (*cursor).max(stored);
            while sent.front().is_some_and(|last| *last <= stored) {
                sent.pop_front();
            }
        }
    }

    /// The position after which the next message begins, when one may be sent; `last` is the last record there is.
    ///
    /// While something is on its way a message waits until it is full, so that a backlog costs few messages and a
    /// single reading no delay (Nagle's rule, RFC 896).
    #[must_use]
    pub fn next(&self, last: Position) -> Option<Position> {
        match &self.state {
            State::Open { cursor, sent, .. } if !sent.is_full() => {
                let full = last.epoch > cursor.epoch || last.seq.saturating_sub(cursor.seq) >= FULL;
                (sent.is_empty() || full).then_some(*cursor)
            }
            State::Open { .. } | State::Greeting { .. } | State::Down => None,
        }
    }

    /// A message up to `last` went out.
    pub fn sent(&mut self, now: LinkMs, last: Position) {
        if let State::Open { cursor, sent, progress_at } = &mut self.state {
            if sent.is_empty() {
                *progress_at = now;
            }
            *cursor = (*cursor).max(last);
            // `next` gave room for it.
            let _full = sent.push_back(last);
        }
    }

    /// Whether the gateway greeted this session.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// When [`Self::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<LinkMs> {
        match &self.state {
            State::Down => None,
            State::Greeting { again_at, .. } => *again_at,
            State::Open { sent, progress_at, .. } => {
                (!sent.is_empty()).then(|| progress_at.plus_ms(PROGRESS_MS))
            }
        }
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: LinkMs) -> Option<Due> {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return None;
        }
        match &mut self.state {
            State::Down => None,
            State::Greeting { again_at, .. } => {
                *again_at = None;
                Some(Due::Hello)
            }
            State::Open { cursor, sent, progress_at } => {
                sent.clear();
                *cursor = self.released;
                *progress_at = now;
                Some(Due::Rewound)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last record, far ahead.
    const BACKLOG: Position = at(1000);

    const fn at(seq: u32) -> Position {
        Position { epoch: 3, seq }
    }

    /// A window that was greeted at 0 with everything up to 10 stored.
    fn open() -> Window {
        let mut window = Window::default();
        window.connected();
        window.hello_sent(LinkMs(0));
        assert_eq!(window.next(BACKLOG), None, "nothing before the Welcome");
        window.welcome(LinkMs(0), at(10));
        window
    }

    #[test]
    fn four_messages_and_no_more_are_on_their_way() {
        let mut window = open();
        for n in 1..=4 {
            assert_eq!(window.next(BACKLOG), Some(at(n * 10)));
            window.sent(LinkMs(1), at(n * 10 + 10));
        }
        assert_eq!(window.next(BACKLOG), None);
        window.acknowledge(LinkMs(2), at(30));
        assert_eq!(window.next(BACKLOG), Some(at(50)), "two were acknowledged at once");
    }

    #[test]
    fn a_small_message_waits_for_the_one_before_it() {
        let mut window = open();
        assert_eq!(window.next(at(11)), Some(at(10)), "nothing is on its way");
        window.sent(LinkMs(1), at(11));
        assert_eq!(window.next(at(42)), None);
        assert_eq!(window.next(at(43)), Some(at(11)), "full");
        let next_epoch = Position { epoch: 4, seq: 1 };
        assert_eq!(window.next(next_epoch), Some(at(11)), "an epoch ends its message");
        window.acknowledge(LinkMs(2), at(11));
        assert_eq!(window.next(at(12)), Some(at(11)));
    }

    #[test]
    fn no_progress_starts_again_from_the_released_position() {
        let mut window = open();
        window.sent(LinkMs(100), at(20));
        window.sent(LinkMs(5000), at(30));
        assert_eq!(window.poll_timeout(), Some(LinkMs(10_100)), "counts from the first that waits");
        assert_eq!(window.handle_timeout(LinkMs(10_099)), None);
        window.acknowledge(LinkMs(10_099), at(20));
        assert_eq!(window.handle_timeout(LinkMs(10_100)), None, "an acknowledgement is progress");
        assert_eq!(window.handle_timeout(LinkMs(20_099)), Some(Due::Rewound));
        assert_eq!(window.next(BACKLOG), Some(at(20)));
        assert_eq!(window.poll_timeout(), None);
    }

    #[test]
    fn old_acknowledgements_change_nothing() {
        let mut window = open();
        window.sent(LinkMs(1), at(20));
        window.acknowledge(LinkMs(9000), at(9));
        window.acknowledge(LinkMs(9000), at(10));
        assert_eq!(window.poll_timeout(), Some(LinkMs(10_001)), "they are no progress");
    }

    #[test]
    fn an_unanswered_hello_is_said_again_less_and_less_often() {
        let mut window = Window::default();
        window.connected();
        let mut now = LinkMs(0);
        for wait_ms in [10_000, 20_000, 40_000, 80_000, 120_000, 120_000] {
            window.hello_sent(now);
            now = now.plus_ms(wait_ms);
            assert_eq!(window.handle_timeout(LinkMs(now.0 - 1)), None);
            assert_eq!(window.handle_timeout(now), Some(Due::Hello));
        }
    }

    #[test]
    fn a_new_session_sends_again_what_was_on_its_way() {
        let mut window = open();
        window.sent(LinkMs(1), at(20));
        window.disconnected();
        assert_eq!(window.next(BACKLOG), None);
        window.connected();
        window.welcome(LinkMs(50), at(15));
        assert_eq!(window.next(BACKLOG), Some(at(15)));
    }
}
