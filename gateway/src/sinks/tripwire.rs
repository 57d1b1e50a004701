//! The connection over which a sink is asked now and then whether it is there: when it was replaced without notice, the sink has
//! restarted, even if it is back before anything failed.
//!
//! Pure; a connection is known by the address on our side. An orderly end (`Connection: close` in the answer before) is no restart.
//! Nor is the end of each connection before it is asked over twice: such a server does not keep what is idle, and its restarts show only
//! where something fails.

use std::net::SocketAddr;

/// The connection.
#[derive(Debug, Default)]
pub struct Tripwire {
    kept: Option<Kept>,
    /// The last one that broke had been asked over once.
    drops_idle: bool,
}

#[derive(Debug)]
struct Kept {
    local: SocketAddr,
    n_asked: u32,
}

impl Tripwire {
    /// The sink answered over the connection from `local`, which stays open or not. True when the one before broke without notice.
    #[must_use]
    pub fn answered(&mut self, local: SocketAddr, stays: bool) -> bool {
        let before = self.kept.take();
        let mut n_asked = 1;
        let mut has_broken = false;
        match before {
            Some(kept) if kept.local == local => {
                n_asked = kept.n_asked.saturating_add(1);
                self.drops_idle = false;
            }
            Some(kept) => {
                let is_short = kept.n_asked == 1;
                has_broken = !(is_short && self.drops_idle);
                self.drops_idle = is_short;
            }
            None => {}
        }
        self.kept = stays.then_some(Kept { local, n_asked });
        has_broken
    }

    /// It did not answer.
    pub fn broke(&mut self) {
        self.kept = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ports of the connections that were asked over, each with whether it stays; what is seen.
    fn seen<const N: usize>(asked: [(u16, bool); N]) -> [bool; N] {
        let mut wire = Tripwire::default();
        asked.map(|(port, stays)| wire.answered(([127, 0, 0, 1], port).into(), stays))
    }

    #[test]
    fn a_break_without_notice_is_seen_once() {
        assert_eq!(seen([(1, true), (1, true), (2, true), (2, true)]), [false, false, true, false]);
        assert_eq!(seen([(1, true), (2, true), (2, true), (3, true)]), [false, true, false, true]);
    }

    #[test]
    fn an_orderly_end_is_no_break() {
        assert_eq!(seen([(1, true), (1, false), (2, true), (2, true)]), [false; 4]);
    }

    #[test]
    fn a_server_that_keeps_nothing_idle_does_not_restart_all_the_time() {
        assert_eq!(seen([(1, true), (2, true), (3, true), (4, true)]), [false, true, false, false]);
        assert_eq!(
            seen([(1, true), (2, true), (3, true), (3, true), (4, true)]),
            [false, true, false, false, true]
        );
    }

    #[test]
    fn no_answer_is_told_by_itself() {
        let mut wire = Tripwire::default();
        assert!(!wire.answered(([127, 0, 0, 1], 1).into(), true));
        wire.broke();
        assert!(!wire.answered(([127, 0, 0, 1], 2).into(), true));
    }
}
