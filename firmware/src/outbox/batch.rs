//! Puts items together to one message: one epoch, no gaps, not longer than a payload.

use super::shelf::Item;
use crate::settings::LostTail;
use giot_shared::ids::Position;
use giot_shared::time::UptimeMs;
use giot_shared::wire::{Body, Lost, PAYLOAD_LEN_MAX, Record, Records};

/// A message in the making.
#[derive(Debug)]
pub(super) struct Builder {
    message: Records,
    cursor: Position,
    len: usize,
}

impl Builder {
    /// A message that goes on right after `cursor`.
    pub(super) const fn new(cursor: Position) -> Self {
        let message = Records { epoch: cursor.epoch, after: cursor, records: heapless::Vec::new() };
        Self { message, cursor, len: Records::HEAD_LEN_MAX }
    }

    /// The last position that the message covers.
    pub(super) const fn cursor(&self) -> Position {
        self.cursor
    }

    /// Adds an item, with the gap before it; `false` when the message is finished without it.
    pub(super) fn add(&mut self, item: &Item) -> bool {
        let Some(expected) = self.expected(item.epoch) else { return false };
        if item.record.seq > expected {
            let gap = lost(expected, item.record.seq - 1, item.record.uptime);
            if !self.append(item.epoch, gap) {
                return false;
            }
        }
        self.append(item.epoch, item.record.clone())
    }

    /// Adds the dropped end of an epoch; `false` when the message is finished without it.
    pub(super) fn add_tail(&mut self, tail: &LostTail) -> bool {
        let Some(expected) = self.expected(tail.epoch) else { return false };
        // Nobody knows when the dropped ones were made: not before what was sent last.
        let uptime = self.message.records.last().map_or(UptimeMs(0), |record| record.uptime);
        self.append(tail.epoch, lost(expected, tail.to, uptime))
    }

    /// The message, if it has any record.
    pub(super) fn finish(self) -> Option<Records> {
        (!self.message.records.is_empty()).then_some(self.message)
    }

    /// The count that comes next in `epoch`; `None` when the message already belongs to another one.
    fn expected(&self, epoch: u32) -> Option<u32> {
        if !self.message.records.is_empty() && self.message.epoch != epoch {
            return None;
        }
        if self.cursor.epoch == epoch { self.cursor.seq.checked_add(1) } else { Some(1) }
    }

    fn append(&mut self, epoch: u32, record: Record) -> bool {
        let mut buffer = [0; Record::LEN_MAX];
        let Ok(encoded) = record.encode(&mut buffer) else { return false };
        let len = self.len + encoded.len();
        if len > PAYLOAD_LEN_MAX {
            return false;
        }
        let seq = record.last_seq();
        if self.message.records.push(record).is_err() {
            return false;
        }
        self.len = len;
        self.message.epoch = epoch;
        self.cursor = Position { epoch, seq };
        true
    }
}

const fn lost(seq: u32, to: u32, uptime: UptimeMs) -> Record {
    Record { seq, uptime, body: Body::Lost(Lost { to }) }
}
