//! When the supply of the probes on the RS485 line is on: their rail, where the installation says that the board switches it.
//!
//! Probes want their supply for a while before the first question, one to three seconds by their makers. So it comes on that long before
//! a reading is due, and at once where one is due already; until it has been on for so long none of them is read, while everything else
//! goes on. It stays on from one reading to the next where they are closer than that, and so over the whole of a round.

use crate::settings::PROBE_WARM_MS_MAX;
use crate::sleep::SLEEP_MS_MIN;
use giot_shared::time::UptimeMs;

/// How much further away than a warm-up a reading must be for the rail to go off, ms: a round with a pause in it is one round.
const LINGER_MS: u64 = 1000;

// A node that finds time to sleep has switched it off.
const _: () = assert!(PROBE_WARM_MS_MAX as u64 + LINGER_MS < SLEEP_MS_MIN);

/// The rail; off when a boot begins, as the board's outputs are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rail {
    /// `None`: the probes have a supply of their own, or that of the board for ever.
    warm_ms: Option<u64>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Off,
    Warming { until: UptimeMs },
    Warm,
}

impl Rail {
    pub(super) fn new(warm_ms: Option<u16>) -> Self {
        Self { warm_ms: warm_ms.map(|ms| u64::from(ms.min(PROBE_WARM_MS_MAX))), state: State::Off }
    }

    /// Whether probes on the line can be read.
    pub(super) fn is_ready(&self) -> bool {
        self.warm_ms.is_none() || self.state == State::Warm
    }

    /// It was switched at this moment, which may be later than that at which it was to be.
    pub(super) fn handle_powered(&mut self, now: UptimeMs) {
        if let (State::Warming { until }, Some(warm_ms)) = (&mut self.state, self.warm_ms) {
            *until = now.plus_ms(warm_ms);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: UptimeMs) {
        if matches!(self.state, State::Warming { until } if until <= now) {
            self.state = State::Warm;
        }
    }

    /// Whether to switch it on or off; `line_at` is when a probe on the line is to be read next, or was to be.
    pub(super) fn poll(&mut self, now: UptimeMs, line_at: Option<UptimeMs>) -> Option<bool> {
        let warm_ms = self.warm_ms?;
        let is_within = |ms| line_at.is_some_and(|at| at <= now.plus_ms(ms));
        match self.state {
            State::Off if is_within(warm_ms) => {
                self.state = State::Warming { until: now.plus_ms(warm_ms) };
                Some(true)
            }
            State::Warming { .. } | State::Warm if !is_within(warm_ms.saturating_add(LINGER_MS)) => {
                self.state = State::Off;
                Some(false)
            }
            State::Off | State::Warming { .. } | State::Warm => None,
        }
    }

    /// When [`Self::handle_timeout`] or [`Self::poll`] has something to do.
    pub(super) fn next_at(&self, line_at: Option<UptimeMs>) -> Option<UptimeMs> {
        match self.state {
            State::Off => Some(UptimeMs(line_at?.0.saturating_sub(self.warm_ms?))),
            State::Warming { until } => Some(until),
            State::Warm => None,
        }
    }
}
