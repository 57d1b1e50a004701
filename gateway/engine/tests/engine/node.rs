//! A node with one valve as the wire promises it: it obeys in time and in order or refuses, it closes by itself, it tells
//! every change of its valve once and in order, and only its answers may get lost.

use giot_shared::ids::CommandId;
use giot_shared::valve::{CloseReason, RefusalReason};

/// A command on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) command: CommandId,
    /// Lease of an Open; `None`: a Close.
    pub(crate) run_s: Option<u32>,
    pub(crate) issued_ms: u64,
    pub(crate) ttl_s: u32,
}

/// What a node says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Word {
    Answer { command: CommandId, refused: Option<RefusalReason> },
    Opened { command: Option<CommandId>, at_ms: u64 },
    Closed { command: Option<CommandId>, at_ms: u64, run_ms: u64, by: CloseReason },
    Hello { open: bool, command: Option<CommandId> },
    Gone,
}

/// The valve's run as the node has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) command: Option<CommandId>,
    opened_ms: u64,
    until_ms: u64,
    /// Since when it is open under a command.
    pub(crate) commanded_ms: Option<u64>,
}

/// The node.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) is_connected: bool,
    pub(crate) run: Option<Run>,
    pub(crate) refuse_next: Option<RefusalReason>,
    /// Its clock minus the gateway's, ms.
    pub(crate) skew_ms: i64,
    counter: u64,
}

impl Node {
    pub(crate) fn obey(&mut self, now_ms: u64, order: Order, say: &mut Vec<Word>) {
        let command = order.command;
        let refused = self.refusal(now_ms, order);
        if refused.is_some() {
            say.push(Word::Answer { command, refused });
            return;
        }
        match order.run_s {
            Some(run_s) => {
                let until_ms = now_ms + u64::from(run_s) * 1000;
                let run = self.run.get_or_insert(Run {
                    command: None,
                    opened_ms: now_ms,
                    until_ms,
                    commanded_ms: None,
                });
                run.command = Some(command);
                run.until_ms = until_ms;
                run.commanded_ms.get_or_insert(now_ms);
                say.push(Word::Answer { command, refused: None });
                say.push(Word::Opened { command: Some(command), at_ms: now_ms });
            }
            None => {
                self.close(now_ms, CloseReason::Commanded, say);
                say.push(Word::Answer { command, refused: None });
            }
        }
    }

    /// In the order of the real checks: what cannot be read is refused first and burns nothing; a fresh counter is burnt
    /// whatever becomes of the order; a Close needs no time.
    fn refusal(&mut self, now_ms: u64, order: Order) -> Option<RefusalReason> {
        let unread = [
            RefusalReason::BadMac,
            RefusalReason::Misaddressed,
            RefusalReason::Malformed,
            RefusalReason::TooNew,
            RefusalReason::Replayed,
        ];
        if self.refuse_next.is_some_and(|refusal| unread.contains(&refusal)) {
            return self.refuse_next.take();
        }
        if order.command.0 <= self.counter {
            return Some(RefusalReason::Replayed);
        }
        self.counter = order.command.0;
        let own_ms = i64::try_from(now_ms).unwrap() + self.skew_ms;
        let issued_ms = i64::try_from(order.issued_ms).unwrap();
        let is_late = own_ms > issued_ms + i64::from(order.ttl_s) * 1000 || own_ms < issued_ms - 60_000;
        if order.run_s.is_some() && is_late {
            return Some(RefusalReason::Expired);
        }
        self.refuse_next.take()
    }

    pub(crate) fn close(&mut self, now_ms: u64, by: CloseReason, say: &mut Vec<Word>) {
        if let Some(run) = self.run.take() {
            let run_ms = now_ms - run.opened_ms;
            say.push(Word::Closed { command: run.command, at_ms: now_ms, run_ms, by });
        }
    }

    pub(crate) fn open_at_the_button(&mut self, now_ms: u64, run_s: u32, say: &mut Vec<Word>) {
        if self.run.is_none() {
            let until_ms = now_ms + u64::from(run_s) * 1000;
            self.run = Some(Run { command: None, opened_ms: now_ms, until_ms, commanded_ms: None });
            say.push(Word::Opened { command: None, at_ms: now_ms });
        }
    }

    /// When it closes by itself.
    pub(crate) fn until_ms(&self) -> Option<u64> {
        self.run.map(|run| run.until_ms)
    }

    pub(crate) fn hello(&self) -> Word {
        Word::Hello { open: self.run.is_some(), command: self.run.and_then(|run| run.command) }
    }
}
