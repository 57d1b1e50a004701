//! The promises, judged by what the simulation knows: counts what breaks, and keeps the way to the first break.

use std::collections::VecDeque;
use std::fmt::{self, Write};

/// Events that are told of the way to a break.
const TRAIL_MAX: usize = 60;

/// The judge of one season.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pub(super) n_violations: u64,
    pub(super) first: Option<String>,
    is_trailing: bool,
    trail: VecDeque<String>,
}

impl Checks {
    pub(super) fn new(is_trailing: bool) -> Self {
        Self { is_trailing, ..Self::default() }
    }

    /// Counts a break unless `is_kept`; `tell` says what broke.
    pub(super) fn demand(&mut self, is_kept: bool, now_ms: u64, tell: impl FnOnce() -> String) {
        if is_kept {
            return;
        }
        self.n_violations += 1;
        if self.first.is_none() {
            self.first = Some(format!("{}: {}", moment(now_ms), tell()));
        }
    }

    /// Notes an event of the way, up to the first break.
    pub(super) fn note(&mut self, now_ms: u64, tell: impl FnOnce() -> String) {
        if !self.is_trailing || self.first.is_some() {
            return;
        }
        if self.trail.len() == TRAIL_MAX {
            self.trail.pop_front();
        }
        self.trail.push_back(format!("{} {}", moment(now_ms), tell()));
    }

    pub(super) fn trail(self) -> Vec<String> {
        self.trail.into()
    }
}

/// Day and time of a season.
fn moment(now_ms: u64) -> String {
    let (s, ms) = (now_ms / 1000, now_ms % 1000);
    format!("day {} {:02}:{:02}:{:02}.{ms:03}", s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60)
}

/// A hash over text, FNV-1a with 64 bits: not for secrets, the same on every machine.
#[derive(Debug)]
pub(super) struct TextHash(pub(super) u64);

impl Default for TextHash {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Write for TextHash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        Ok(())
    }
}
