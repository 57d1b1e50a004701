//! How long each epoch lasted of which records wait: its gateway dates them better by it.

use giot_shared::time::UptimeMs;
use giot_shared::wire::{ENDED_MAX, EndedEpoch};

/// Epochs in rising order, each with the uptime of its last record.
pub type Ended = heapless::Vec<EndedEpoch, ENDED_MAX>;

/// The same in the making.
#[derive(Debug, Default)]
pub(super) struct Ends {
    known: Ended,
    are_too_many: bool,
}

impl Ends {
    /// A record that waits.
    pub(super) fn note(&mut self, epoch: u32, uptime: UptimeMs) {
        if let Some(known) = self.known.iter_mut().find(|known| known.epoch == epoch) {
            known.last = known.last.max(uptime);
        } else {
            let at = self.known.iter().take_while(|known| known.epoch < epoch).count();
            self.are_too_many |= self.known.insert(at, EndedEpoch { epoch, last: uptime }).is_err();
        }
    }

    /// All of them or none: the time of one hangs on that of those after it.
    pub(super) fn told(mut self) -> Ended {
        if self.are_too_many {
            self.known.clear();
        }
        self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(noted: impl IntoIterator<Item = (u32, u64)>, told: &[(u32, u64)]) {
        let mut ends = Ends::default();
        noted.into_iter().for_each(|(epoch, ms)| ends.note(epoch, UptimeMs(ms)));
        let got: std::vec::Vec<_> = ends.told().iter().map(|one| (one.epoch, one.last.0)).collect();
        assert_eq!(got, told);
    }

    #[test]
    fn the_last_record_of_each_epoch_counts_in_whichever_queue_it_is() {
        check([], &[]);
        check([(2, 10), (2, 900), (4, 5), (2, 500), (3, 7), (4, 4)], &[(2, 900), (3, 7), (4, 5)]);
        let all: std::vec::Vec<_> = (1..=8).map(|epoch| (epoch, 1)).collect();
        check(all.iter().copied(), &all);
        check((1..=9).map(|epoch| (epoch, 1)), &[]);
    }
}
