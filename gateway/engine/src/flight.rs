//! The Opens of one valve that may still take effect, and until when water may flow in the worst case.
//!
//! Nothing is assumed about messages: an Open may be lost, doubled, or obeyed as late as its time to live allows, and its
//! answer may never come. What ends the doubt: an answer or event that names a command (a node's counter only rises, so no
//! older command can be obeyed any more), a refusal, or the worst case passing. A node ends a lease by itself (P3).

use giot_shared::ids::CommandId;
use giot_shared::time::MonoMs;

/// A node's clock may run slow by 1/50: a resonator at the edge of its range, far worse than a crystal.
const DRIFT_DIVISOR: u64 = 50;

/// An Open as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SentOpen {
    pub(crate) command: CommandId,
    pub(crate) sent_at: MonoMs,
    pub(crate) run_s: u32,
    pub(crate) ttl_s: u32,
}

/// The Opens of one run.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    /// Sent, and nothing was heard of them; in rising order of their numbers.
    open: Vec<SentOpen>,
    /// The first and the last command that were sent.
    first: CommandId,
    last: CommandId,
    /// The newest command that the node is known to have obeyed, and the latest moment of that.
    obeyed: Option<(SentOpen, MonoMs)>,
    /// The latest end of the lease of that command.
    leased_until: MonoMs,
    margin_ms: u64,
}

impl Flight {
    pub(crate) fn new(first: SentOpen, margin_s: u32) -> Self {
        Self {
            open: vec![first],
            first: first.command,
            last: first.command,
            obeyed: None,
            leased_until: MonoMs(0),
            margin_ms: u64::from(margin_s) * 1000,
        }
    }

    /// Adds a further Open of the same run.
    pub(crate) fn send(&mut self, sent: SentOpen) {
        self.last = sent.command;
        self.open.push(sent);
    }

    /// Whether a command is one of this run's Opens. Numbers are unique, and those between this valve's first and last
    /// that belong to other valves never come from this one.
    pub(crate) fn knows(&self, command: CommandId) -> bool {
        (self.first..=self.last).contains(&command)
    }

    pub(crate) fn is_older(&self, command: CommandId) -> bool {
        command < self.first
    }

    pub(crate) fn last(&self) -> CommandId {
        self.last
    }

    /// The newest Open that the node is known to have obeyed, and the latest moment of that.
    pub(crate) fn obeyed(&self) -> Option<(SentOpen, MonoMs)> {
        self.obeyed
    }

    /// Whether `command`, or a newer one, is known to have been obeyed.
    pub(crate) fn is_past(&self, command: CommandId) -> bool {
        self.obeyed.is_some_and(|(sent, _)| sent.command >= command)
    }

    /// The node is known to have obeyed `command`, at the latest now: its lease began, and older commands are dead.
    /// Returns the command's Open when this is news.
    pub(crate) fn obey(&mut self, command: CommandId, now: MonoMs) -> Option<SentOpen> {
        let sent = self.open.iter().find(|sent| sent.command == command).copied()?;
        self.begin(sent, now);
        Some(sent)
    }

    /// The node says that it obeyed an Open which was taken for dead: its lease counts from here.
    pub(crate) fn begin(&mut self, sent: SentOpen, now: MonoMs) {
        self.kill_up_to(sent.command);
        self.obeyed = Some((sent, now));
        self.leased_until = now.plus_ms(lease_ms_max(sent.run_s)).plus_ms(self.margin_ms);
    }

    /// The node refused `command` for good.
    pub(crate) fn refuse(&mut self, command: CommandId) {
        self.open.retain(|sent| sent.command != command);
    }

    /// No command up to this one can be obeyed any more.
    pub(crate) fn kill_up_to(&mut self, command: CommandId) {
        self.open.retain(|sent| sent.command > command);
    }

    /// Whether an Open was sent of which nothing is known.
    pub(crate) fn is_uncertain(&self) -> bool {
        !self.open.is_empty()
    }

    /// The node reported "closed" in connection with `command`: whether nothing of the run can be in force any more. A report
    /// that names an older Open than the newest obeyed one may be of the time before that, unless a Close was accepted since.
    pub(crate) fn is_settled_by(&mut self, command: Option<CommandId>, is_close_accepted: bool) -> bool {
        if let Some(command) = command {
            self.kill_up_to(command);
        }
        let is_newest = self.obeyed.is_none_or(|(sent, _)| command.is_some_and(|c| c >= sent.command));
        !self.is_uncertain() && (is_newest || is_close_accepted)
    }

    /// Whether no Open of the run can have been obeyed.
    pub(crate) fn is_dry(&self) -> bool {
        self.open.is_empty() && self.obeyed.is_none()
    }

    /// Until when the valve is open at least, whichever of the Opens the node obeyed last; `None` while none is known to be
    /// obeyed. The node's clock may run fast by 1/50; a lease begins no earlier than its Open was sent.
    pub(crate) fn certain_until(&self) -> Option<MonoMs> {
        let (obeyed, _) = self.obeyed?;
        let least_end = |sent: &SentOpen| {
            let lease_ms = u64::from(sent.run_s) * 1000;
            sent.sent_at.plus_ms(lease_ms - lease_ms / DRIFT_DIVISOR)
        };
        self.open.iter().chain([&obeyed]).map(least_end).min()
    }

    /// The moment from which no Open of the run can be in force, whatever became of the messages.
    pub(crate) fn over_at(&self) -> MonoMs {
        self.open
            .iter()
            .map(|sent| worst_end(sent.sent_at, sent.ttl_s, sent.run_s).plus_ms(self.margin_ms))
            .fold(self.leased_until, MonoMs::max)
    }
}

/// Latest end of a lease whose Open was sent at `sent_at`, without margin.
fn worst_end(sent_at: MonoMs, ttl_s: u32, run_s: u32) -> MonoMs {
    sent_at.plus_ms(u64::from(ttl_s) * 1000).plus_ms(lease_ms_max(run_s))
}

fn lease_ms_max(run_s: u32) -> u64 {
    let lease_ms = u64::from(run_s) * 1000;
    lease_ms + lease_ms / DRIFT_DIVISOR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(command: u64, at_s: u64) -> SentOpen {
        SentOpen { command: CommandId(command), sent_at: MonoMs(at_s * 1000), run_s: 100, ttl_s: 30 }
    }

    #[test]
    fn the_worst_case_counts_until_something_is_heard() {
        let mut flight = Flight::new(sent(5, 0), 5);
        assert_eq!(flight.over_at(), MonoMs((30 + 102 + 5) * 1000));
        flight.send(sent(9, 10));
        assert_eq!(flight.over_at(), MonoMs((10 + 30 + 102 + 5) * 1000));
        assert!(flight.obey(CommandId(9), MonoMs(12_000)).is_some());
        assert!(!flight.is_uncertain());
        assert_eq!(flight.over_at(), MonoMs((12 + 102 + 5) * 1000));
        assert!(flight.obey(CommandId(5), MonoMs(20_000)).is_none(), "an older command is dead");
        assert!(flight.obey(CommandId(9), MonoMs(20_000)).is_none(), "a doubled answer starts no new lease");
    }

    #[test]
    fn an_answer_to_the_older_one_leaves_the_newer_open() {
        let mut flight = Flight::new(sent(5, 0), 5);
        flight.send(sent(9, 10));
        assert!(flight.obey(CommandId(5), MonoMs(11_000)).is_some());
        assert!(flight.is_uncertain());
        assert_eq!(flight.over_at(), MonoMs((10 + 30 + 102 + 5) * 1000));
        flight.refuse(CommandId(9));
        assert!(!flight.is_uncertain() && !flight.is_dry());
        assert_eq!(flight.over_at(), MonoMs((11 + 102 + 5) * 1000));
    }

    #[test]
    fn what_is_open_for_certain_ends_with_the_earliest_lease_that_may_be_in_force() {
        let mut flight = Flight::new(sent(5, 0), 5);
        assert_eq!(flight.certain_until(), None, "nothing is known of it");
        flight.obey(CommandId(5), MonoMs(20_000));
        assert_eq!(flight.certain_until(), Some(MonoMs(98_000)), "it may have been obeyed when it was sent");
        flight.send(SentOpen { run_s: 10, ..sent(9, 60) });
        assert_eq!(flight.certain_until(), Some(MonoMs(69_800)), "a renewal may shorten the lease");
        flight.refuse(CommandId(9));
        assert_eq!(flight.certain_until(), Some(MonoMs(98_000)));
    }

    #[test]
    fn a_refused_only_command_is_dry() {
        let mut flight = Flight::new(sent(5, 0), 5);
        assert!(!flight.is_dry());
        flight.refuse(CommandId(5));
        assert!(flight.is_dry());
        assert!(flight.knows(CommandId(5)) && flight.is_older(CommandId(4)));
    }
}
