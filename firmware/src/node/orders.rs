//! Which message to believe and which order to obey (promise P4).
//!
//! | check | refusal | answered to |
//! |---|---|---|
//! | envelope | Malformed | nobody in particular |
//! | key id | Misaddressed | nobody in particular |
//! | tag | BadMac | nobody in particular |
//! | version | TooNew | nobody in particular |
//! | kind | Unsupported | nobody in particular |
//! | content | Malformed | nobody in particular |
//! | counter above the last | Replayed | the command |
//! | Open, Settings: time known | NotAnchored | the command |
//! | Open, Settings: issued_at − skew ≤ now, and at the latest that it may be, now ≤ issued_at + ttl | Expired, and the time is asked for again | the command |
//! | Open: valve, run, supply, room for events | UnknownValve, LeaseTooLong, LowPower, Busy | the command |
//! | Settings: the board keeps some; no valve open, no other change; known words | Unsupported, Busy, BadSetting | the command |
//!
//! The supply is read afresh when all else is well, before anything moves. Checks run in this order. An order with a good tag and a new counter burns that counter, refused or obeyed, so that it
//! cannot be kept and played later. Flash that fails keeps the counter in memory only: after a reset such an order is
//! believed once more, within its ttl. Close needs neither time nor ttl: closing is always safe.

use super::{Change, Node, Request};
use giot_shared::ids::Position;
use giot_shared::time::{Anchor, UnixMs, UptimeMs};
use giot_shared::valve::{CloseReason, RefusalReason};
use giot_shared::wire::{self, Close, Downlink, MacError, Open, Order, Welcome, WireError};

/// How far the gateway's clock may be ahead of the node's, ms: a node that heard the time six hours ago on a crystal of
/// 50 ppm is off by about a second; a minute leaves room for a slow link at the Welcome.
const SKEW_MS: u64 = 60_000;

/// Time until the next Hello after a Welcome that came too late, ms.
const HELLO_AGAIN_MS: u64 = 60_000;

/// Refusals that cost the sender nothing, answered in one burst.
const GARBAGE_BURST: u64 = 8;
/// Time after which one more of them is answered, ms.
const GARBAGE_MS: u64 = 1000;

/// Bounds the answers to messages that anybody could send, so that a hostile broker cannot keep the node talking.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    full_at: UptimeMs,
}

impl Bucket {
    /// A full bucket.
    pub(super) const fn new(now: UptimeMs) -> Self {
        Self { full_at: now }
    }

    fn take(&mut self, now: UptimeMs) -> bool {
        let next = self.full_at.max(now).plus_ms(GARBAGE_MS);
        let allowed = next.since_ms(now) <= GARBAGE_BURST * GARBAGE_MS;
        if allowed {
            self.full_at = next;
        }
        allowed
    }
}

impl Node {
    /// A message came down. Gives whether it is one of the gateway's.
    pub fn handle_downlink(&mut self, now: UptimeMs, bytes: &[u8]) -> bool {
        let opened = wire::open(&self.config.key, &self.config.id, bytes).map_err(|error| match error {
            MacError::Malformed => RefusalReason::Malformed,
            MacError::Misaddressed => RefusalReason::Misaddressed,
            MacError::BadMac => RefusalReason::BadMac,
        });
        let message = opened.and_then(|payload| {
            Downlink::decode(payload).map_err(|error| match error {
                WireError::TooNew(_) => RefusalReason::TooNew,
                WireError::UnknownKind => RefusalReason::Unsupported,
                WireError::TooLong | WireError::Malformed => RefusalReason::Malformed,
            })
        });
        let is_ours = message.is_ok();
        match message {
            Ok(Downlink::Welcome(welcome)) => self.handle_welcome(now, &welcome),
            Ok(Downlink::Ack(ack)) => self.handle_ack(ack.stored),
            Ok(Downlink::Order(counter, order)) => self.handle_order(now, counter, &order),
            Err(reason) => {
                if self.garbage.take(now) {
                    self.answer(now, None, Some(reason));
                }
            }
        }
        is_ours
    }

    fn handle_welcome(&mut self, now: UptimeMs, welcome: &Welcome) {
        if self.nonce != Some(welcome.nonce) {
            return;
        }
        let Some(hello_sent_at) = self.hello_sent_at else { return };
        let late_ms = now.since_ms(hello_sent_at);
        let in_time = late_ms <= self.config.welcome_within_ms;
        match welcome.unix {
            Some(unix) if in_time => {
                (self.anchor, self.anchor_late_ms) = (Some(Anchor::new(now, unix)), late_ms);
            }
            // Too late to set the clock by: ask again, but not in a circle with a link that is always late.
            Some(_) => self.hello_again_at = Some(now.plus_ms(HELLO_AGAIN_MS)),
            None => {}
        }
        if welcome.stored > self.level.last && welcome.stored.epoch >= self.boot.epoch {
            self.restart = Some(welcome.stored.epoch);
            return;
        }
        self.confirm_change();
        self.release_to(welcome.stored);
        self.welcome = Some(self.boot.released);
    }

    fn handle_ack(&mut self, stored: Position) {
        // An Ack of records that this node never made comes from before its flash was lost.
        if stored <= self.level.last && stored > self.boot.released {
            self.release_to(stored);
            self.release = Some(stored);
        }
    }

    fn release_to(&mut self, stored: Position) {
        self.boot.released = self.boot.released.max(stored);
    }

    fn handle_order(&mut self, now: UptimeMs, counter: u64, order: &Order) {
        let command = Some(order.command());
        if counter <= self.counter {
            if self.garbage.take(now) {
                self.answer(now, command, Some(RefusalReason::Replayed));
            }
            return;
        }
        self.counter = counter;
        self.unsaved = true;
        match order {
            Order::Open(open) => {
                if let Err(reason) = self.handle_open(now, open) {
                    self.answer(now, command, Some(reason));
                }
            }
            Order::Settings(settings) => {
                if let Err(reason) = self.handle_settings(now, settings) {
                    self.answer(now, command, Some(reason));
                }
            }
            Order::Close(close) => {
                let refused = self.handle_close(now, close).err();
                self.answer(now, command, refused);
            }
        }
    }

    /// Accepts an opening; it is carried out, and answered, when it is in flash.
    fn handle_open(&mut self, now: UptimeMs, open: &Open) -> Result<(), RefusalReason> {
        self.check_time(now, open.issued_at, open.ttl_s)?;
        // The restart that follows would cut the run.
        if matches!(self.change, Change::Asked(_) | Change::Taken(_)) {
            return Err(RefusalReason::Busy);
        }
        let request = Request {
            valve: open.valve,
            run_s: open.run_s,
            volume: open.volume,
            command: Some(open.command),
            is_outlet: open.is_outlet,
        };
        self.may_open(&request)?;
        self.prepare(request);
        Ok(())
    }

    /// Whether an order of that time may still be obeyed. A Welcome that was on its way for long has set the clock back by as
    /// much: an order must not live longer for that.
    pub(super) fn check_time(
        &mut self,
        now: UptimeMs,
        issued_at: UnixMs,
        ttl_s: u32,
    ) -> Result<(), RefusalReason> {
        let anchor = self.anchor.ok_or(RefusalReason::NotAnchored)?;
        let unix = anchor.date(now);
        let earliest = issued_at.minus_ms(SKEW_MS);
        let latest = issued_at.plus_ms(u64::from(ttl_s) * 1000);
        if unix < earliest || unix.plus_ms(self.anchor_late_ms) > latest {
            self.hello_due = self.connected;
            return Err(RefusalReason::Expired);
        }
        Ok(())
    }

    fn handle_close(&mut self, now: UptimeMs, close: &Close) -> Result<(), RefusalReason> {
        // An opening that still waits for the flash must not follow its own closing.
        let overtaken = self.pending.filter(|p| close.valve.is_none_or(|valve| valve == p.request.valve));
        if let Some(pending) = overtaken {
            self.pending = None;
            self.answer(now, pending.request.command, Some(RefusalReason::Busy));
        }
        match close.valve {
            None => self.close_all(now, CloseReason::Commanded),
            Some(valve) => {
                self.drip.plan(valve).ok_or(RefusalReason::UnknownValve)?;
                self.close(now, valve, CloseReason::Commanded);
            }
        }
        Ok(())
    }
}
