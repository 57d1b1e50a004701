//! Where an epoch lies in civil time, and how well that is known. Pure.
//!
//! An epoch that met nobody lies after the one before it and before the next one. Where its node tells how long it lasted, and how long
//! those lasted that lie between it and the next dated boot, it has a play: it is put into the middle of that, and its records keep their
//! distances.
//!
//! ```text
//! end of the one before                        those between, next boot
//! |-- half the play --|----- the epoch -----|-- half the play --|
//! ```
//!
//! An older node does not tell, and its epoch is dated while its records come in, before anybody knows how long it lasted; no date is
//! taken back. Of the record at uptime `u` two things are known then: the epoch began after the end of the one before, so the record was
//! made no earlier than `u` after that; and it ended before the next one began. The middle between both is off by the least:
//!
//! ```text
//! end of the one before                                     next boot
//! |------- u -------|------------ may lie here ------------|
//!                                  ^ dated here
//! ```
//!
//! So two records are drawn together to half of their distance, and the longer the epoch turns out to have been, the better its
//! records are known: one that fills all of its room ends at the next boot.

use giot_shared::time::{Anchor, UnixMs, UptimeMs};

/// How far a Hello's anchor may be off: its way through broker and queue.
pub(super) const HELLO_UNCERTAINTY_MS: u64 = 1_000;

/// How far a node's uptime may run from civil time, millionths: a crystal of 20 ppm, its age and the heat of a field (the
/// ESP32-C3's and any usual board's is within 50).
pub(super) const DRIFT_PPM: u64 = 50;

/// The same of a node that sleeps between samples: the two per cent of its firmware (`giot_firmware::sleep::DRIFT_OF_SLEEP`).
pub(super) const DRIFT_ASLEEP_PPM: u64 = 20_000;

/// Where the clocks leave an epoch that met nobody no room at all: the room that it gets before the next boot. Long, so that
/// months of its records stay apart in it.
pub(super) const CROWDED_MS: u64 = 86_400_000;

/// The end of the room that is left to records which the room cannot hold, at most: below the usual ten minutes between two
/// records.
const TAIL_MS: u64 = 300_000;

/// How far records of an epoch of known length are drawn together at most: those of a second keep a time of their own.
const DRAWN_MAX: u64 = 500;

/// Ties an epoch to civil time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dating {
    /// Civil time of the epoch's uptime zero.
    pub anchor: Anchor,
    /// The true time lies within plus or minus this; where the epoch's place is a guess, that of its first record.
    pub uncertainty_ms: u64,
    /// Where the epoch's place is a guess: how it fits between its neighbours.
    pub fit: Option<Fit>,
}

/// How the records of an epoch that met nobody fit between its neighbours, however long it turns out to have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Uptime of the first record.
    pub first: UptimeMs,
    /// From the guessed time of the first record to either end of where it may lie, ms.
    pub half_ms: u64,
    /// The end of that which is left to records that the room cannot hold, ms.
    pub tail_ms: u64,
    /// The clocks contradict each other, so that its length says nothing about its place.
    pub is_void: bool,
    /// Where the node told how long the epoch lasted.
    pub whole: Option<Whole>,
}

/// The length of an epoch after its first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    /// As its node told it, ms.
    pub told_ms: u64,
    /// The room that it has, ms: less than that by what the clocks are off against each other, and no less otherwise.
    pub drawn_ms: u64,
}

impl Fit {
    /// The fit of an epoch without room.
    pub(super) const fn crowded(first: UptimeMs) -> Self {
        Self { first, half_ms: CROWDED_MS, tail_ms: CROWDED_MS / 8, is_void: true, whole: None }
    }

    /// The time from the first record to one that was made `ms` after it: all of it where the epoch's length is known, otherwise half of
    /// it, less what the tail takes. No two records get one time: the store would take them for one. What the room cannot hold is there
    /// because a clock was set back: it is drawn together ever more, and nothing lies beyond the end.
    pub(super) fn squeeze(self, ms: u64) -> u64 {
        let (room_ms, drawn_ms) = self.shares();
        if ms <= room_ms {
            return share(drawn_ms, ms, room_ms);
        }
        let over_ms = ms - room_ms;
        drawn_ms.saturating_add(share(self.tail_ms, over_ms, over_ms.saturating_add(room_ms)))
    }

    /// What [`Self::squeeze`] was given, no more: when all that is known is the date that came of it.
    fn stretch(self, squeezed_ms: u64) -> u64 {
        let (room_ms, drawn_ms) = self.shares();
        share(room_ms, squeezed_ms.min(drawn_ms), drawn_ms)
    }

    /// A time after the first record, and the time that it gets.
    fn shares(self) -> (u64, u64) {
        match self.whole {
            Some(Whole { told_ms, drawn_ms }) => (told_ms, drawn_ms),
            None => (self.room_ms(), self.half_ms.saturating_sub(self.tail_ms)),
        }
    }

    /// The longest that the epoch can have lasted after its first record, as the clocks tell.
    fn room_ms(self) -> u64 {
        self.half_ms.saturating_mul(2).saturating_add(self.whole.map_or(0, |whole| whole.told_ms))
    }

    /// By how much less a record is off that was made `ms` after the first one.
    fn surer_by(self, ms: u64) -> u64 {
        if self.whole.is_some() { 0 } else { self.squeeze(ms) }
    }
}

/// Where an epoch of known length can lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// It did not begin before this.
    pub(super) floor: UnixMs,
    /// The newest record that has a date.
    pub(super) newest: Option<UnixMs>,
    /// When the next dated boot began.
    pub(super) end: UnixMs,
    /// Uptime of its first and its last record.
    pub(super) first: UptimeMs,
    pub(super) last: UptimeMs,
    /// How long those lasted that lie between it and that boot, ms.
    pub(super) later_ms: u64,
    /// What all of this may be off by together, ms.
    pub(super) error_ms: u64,
}

/// `part` of `whole` of `ms`.
fn share(ms: u64, part: u64, whole: u64) -> u64 {
    let share = u128::from(ms) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(ms)
}

impl Dating {
    /// Of an epoch whose first record was made at uptime `first`, no earlier than that after `floor`, and has `play_ms` to lie in
    /// before the next boot, which may be off by `end_off_ms`.
    pub(super) fn between(floor: UnixMs, first: UptimeMs, play_ms: u64, end_off_ms: u64) -> Self {
        let half_ms = play_ms / 2;
        // Never as sure as one that met the gateway.
        let end_off_ms = end_off_ms.max(HELLO_UNCERTAINTY_MS + 1);
        Self {
            anchor: Anchor { unix_at_boot: floor.plus_ms(half_ms) },
            uncertainty_ms: half_ms.saturating_add(end_off_ms),
            fit: Some(Fit { first, half_ms, tail_ms: TAIL_MS.min(half_ms / 8), is_void: false, whole: None }),
        }
    }

    /// Of an epoch of known length; `None` where the clocks contradict it.
    pub(super) fn whole(place: &Place) -> Option<Self> {
        let Place { floor, newest, end, first, last, later_ms, error_ms } = *place;
        let told_ms = last.since_ms(first);
        let (first_at, end) = (floor.plus_ms(first.0), end.minus_ms(later_ms));
        let play_ms = end.since_ms(first_at.plus_ms(told_ms));
        let least_ms = told_ms / DRAWN_MAX;
        // Not before what has a date already, though the clocks may let it.
        let begins = first_at.plus_ms(play_ms / 2).min(end.minus_ms(least_ms));
        let begins = begins.max(newest.map_or(begins, |newest| newest.plus_ms(1)));
        let drawn_ms = told_ms.min(end.since_ms(begins)).max(least_ms);
        // What the clocks must be off by against each other: its length, its end, its beginning.
        let lacking_ms = told_ms - drawn_ms;
        let past_ms = begins.plus_ms(drawn_ms).since_ms(end);
        let early_ms = first_at.since_ms(begins);
        if lacking_ms.max(past_ms).max(early_ms) > error_ms || (past_ms > 0 && later_ms == 0) {
            return None;
        }
        let half_ms = begins.since_ms(first_at);
        let off_ms = half_ms.max(early_ms).max(play_ms.saturating_sub(half_ms));
        let uncertainty_ms = off_ms.saturating_add(lacking_ms);
        Some(Self {
            anchor: Anchor { unix_at_boot: begins.minus_ms(first.0) },
            uncertainty_ms: uncertainty_ms.saturating_add(error_ms),
            fit: Some(Fit {
                first,
                half_ms,
                // What it told too little of.
                tail_ms: TAIL_MS.min(end.since_ms(begins.plus_ms(drawn_ms)) / 8),
                is_void: false,
                whole: Some(Whole { told_ms, drawn_ms }),
            }),
        })
    }

    /// Of an epoch that has less room before the next boot, `n_boots` after it, than the clocks may be off, `error_ms`: each gets as much,
    /// so that their records neither meet nor pass that boot.
    pub(super) fn tight(n_boots: u32, end: UnixMs, first: UptimeMs, error_ms: u64) -> Self {
        let back_ms = error_ms.saturating_mul(n_boots.into());
        Self {
            anchor: Anchor { unix_at_boot: end.minus_ms(back_ms).minus_ms(first.0) },
            uncertainty_ms: back_ms.saturating_add(error_ms),
            fit: Some(Fit {
                first,
                half_ms: error_ms,
                tail_ms: TAIL_MS.min(error_ms / 8),
                is_void: false,
                whole: None,
            }),
        }
    }

    /// When the record at an uptime was made.
    pub(super) fn date(&self, at: UptimeMs) -> UnixMs {
        match self.fit {
            Some(fit) if at > fit.first => {
                self.anchor.date(fit.first).plus_ms(fit.squeeze(at.since_ms(fit.first)))
            }
            Some(_) | None => self.anchor.date(at),
        }
    }

    /// The uptime of what was dated so; of several the earliest.
    pub(super) fn uptime_of(&self, date: UnixMs) -> UptimeMs {
        match self.fit {
            Some(fit) => fit.first.plus_ms(fit.stretch(date.since_ms(self.anchor.date(fit.first)))),
            None => UptimeMs(date.since_ms(self.anchor.unix_at_boot)),
        }
    }

    /// By how much that may be off, the node's crystal aside.
    pub(super) fn uncertainty_at(&self, at: UptimeMs) -> u64 {
        match self.fit.filter(|fit| !fit.is_void) {
            Some(fit) => self.uncertainty_ms.saturating_sub(fit.surer_by(at.since_ms(fit.first))),
            None => self.uncertainty_ms,
        }
    }

    /// The earliest moment at which an uptime of the epoch can have been, the node's crystal aside.
    pub(super) fn earliest(&self, at: UptimeMs) -> UnixMs {
        let off_ms = match self.fit.filter(|fit| !fit.is_void) {
            Some(fit) => fit.half_ms,
            None => self.uncertainty_ms,
        };
        self.anchor.date(at).minus_ms(off_ms)
    }

    /// The dating with what an epoch that has got to `at` may be off, where it lasted longer than the clocks leave room for:
    /// its time is known no better than by its own length. `drift_ms`: what the node's crystal may be off by then, which
    /// contradicts nobody.
    pub(super) fn outgrown(&self, at: UptimeMs, drift_ms: u64) -> Option<Self> {
        let fit = self.fit?;
        let slack_ms = self.uncertainty_ms.saturating_sub(fit.half_ms).saturating_add(drift_ms);
        let is_longer = fit.is_void || at.since_ms(fit.first) > fit.room_ms().saturating_add(slack_ms);
        let is_news = is_longer && (!fit.is_void || at.0 > self.uncertainty_ms);
        let uncertainty_ms = self.uncertainty_ms.max(at.0);
        is_news.then_some(Self { uncertainty_ms, fit: Some(Fit { is_void: true, ..fit }), ..*self })
    }

    /// Whether the epoch met the gateway or a good clock.
    pub(super) fn is_sure(&self) -> bool {
        self.uncertainty_ms <= HELLO_UNCERTAINTY_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever a node says of its uptime, its date is in order.
    #[test]
    fn a_fit_holds_any_uptime() {
        for half_ms in [0, 1, 2, 3, 9, 1000, CROWDED_MS, u64::MAX / 3, u64::MAX] {
            let fit = Dating::between(UnixMs(0), UptimeMs(0), half_ms.saturating_mul(2), 0).fit;
            let told = Whole { told_ms: half_ms, drawn_ms: half_ms - half_ms / 9 };
            let crowded = Fit { half_ms, ..Fit::crowded(UptimeMs(0)) };
            for fit in [fit.expect("a guess"), crowded, Fit { whole: Some(told), ..fit.expect("a guess") }] {
                let mut before = 0;
                for ms in (0..64).map(|bit| 1_u64 << bit).chain([u64::MAX]) {
                    let squeezed_ms = fit.squeeze(ms);
                    let most_ms = match fit.whole {
                        Some(whole) => whole.drawn_ms.saturating_add(fit.tail_ms),
                        None => half_ms.max(fit.tail_ms),
                    };
                    assert!(before <= squeezed_ms && squeezed_ms <= most_ms, "{ms} ms of {fit:?}");
                    before = squeezed_ms;
                    assert!(fit.stretch(squeezed_ms) <= ms, "{ms} ms of {fit:?}");
                }
            }
        }
    }
}
