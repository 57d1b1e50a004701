//! The rests of pumps in played time: a pump from which nobody draws any more goes off, rests, and may start only so often
//! within an hour. It runs through where the next zone opens at the moment at which the one before has enough, and both have
//! room.

use std::collections::VecDeque;
use std::sync::Arc;

use giot_shared::time::UnixMs;

use crate::plan::{Plan, PumpPlan};

const HOUR_MS: u64 = 3_600_000;

/// The pumps and master valves of a farm.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rests {
    outputs: Vec<Output>,
    /// Of each zone: those on its way.
    of_zone: Vec<Arc<[usize]>>,
}

/// One pump or master valve.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Output {
    off_ms: u64,
    starts_max: usize,
    /// Zones that draw from it.
    n_drawing: usize,
    off_since: Option<UnixMs>,
    /// As many as count.
    starts: VecDeque<UnixMs>,
}

impl Output {
    /// One that is off, and may have been started before.
    pub(crate) fn new(plan: &PumpPlan, off_since: Option<UnixMs>, starts: VecDeque<UnixMs>) -> Self {
        Self {
            off_ms: u64::from(plan.off_s_min) * 1000,
            starts_max: usize::try_from(plan.starts_per_hour_max).unwrap_or(usize::MAX),
            n_drawing: 0,
            off_since,
            starts,
        }
    }

    /// When it may be started.
    fn free_at(&self) -> Option<UnixMs> {
        let rested_at = self.off_since.map(|at| at.plus_ms(self.off_ms));
        let nth = self.starts.len().checked_sub(self.starts_max).filter(|_| self.starts_max > 0);
        let counted_at = nth.and_then(|nth| self.starts.get(nth)).map(|at| at.plus_ms(HOUR_MS));
        rested_at.max(counted_at)
    }

    /// Whether a zone that opens at a moment has to start it: it is off, and is not handed over at that very moment.
    fn must_start(&self, at: UnixMs, is_handed_over: bool) -> bool {
        let runs_through = is_handed_over && self.off_since == Some(at);
        self.n_drawing == 0 && !runs_through
    }

    fn start(&mut self, at: UnixMs) {
        self.starts.push_back(at);
        if self.starts.len() > self.starts_max {
            self.starts.pop_front();
        }
    }
}

impl Rests {
    pub(crate) fn new(outputs: Vec<Output>, of_zone: Vec<Arc<[usize]>>) -> Self {
        Self { outputs, of_zone }
    }

    /// Those of a plan, which have all been off for long.
    pub(crate) fn of(plan: &Plan) -> Self {
        let outputs = plan.pumps().map(|(_, pump)| Output::new(pump, None, VecDeque::new()));
        Self { outputs: outputs.collect(), of_zone: plan.pumps_of_zones() }
    }

    fn on_way(&self, zone_idx: usize) -> Arc<[usize]> {
        self.of_zone.get(zone_idx).cloned().unwrap_or_default()
    }

    /// Whether a pump or master valve on a zone's way can have to rest.
    pub(crate) fn has_rest(&self, zone_idx: usize) -> bool {
        let on_way = self.on_way(zone_idx);
        let mut outputs = on_way.iter().filter_map(|idx| self.outputs.get(*idx));
        outputs.any(|output| output.off_ms > 0 || output.starts_max > 0)
    }

    /// When a zone that wants to open at a moment may, as far as its pumps are concerned; `is_handed_over`: another one has
    /// just enough, and both have room.
    pub(crate) fn free_at(&self, zone_idx: usize, at: UnixMs, is_handed_over: bool) -> UnixMs {
        let on_way = self.on_way(zone_idx);
        let outputs = on_way.iter().filter_map(|idx| self.outputs.get(*idx));
        let resting = outputs.filter(|output| output.must_start(at, is_handed_over));
        resting.filter_map(Output::free_at).fold(at, UnixMs::max)
    }

    /// A zone opens.
    pub(crate) fn open(&mut self, zone_idx: usize, at: UnixMs, is_handed_over: bool) {
        for idx in self.on_way(zone_idx).iter() {
            let Some(output) = self.outputs.get_mut(*idx) else { continue };
            if output.must_start(at, is_handed_over) {
                output.start(at);
            }
            output.n_drawing += 1;
        }
    }

    /// A zone is open already.
    pub(crate) fn is_open(&mut self, zone_idx: usize) {
        for idx in self.on_way(zone_idx).iter() {
            if let Some(output) = self.outputs.get_mut(*idx) {
                output.n_drawing += 1;
            }
        }
    }

    /// A zone has enough.
    pub(crate) fn close(&mut self, zone_idx: usize, at: UnixMs) {
        for idx in self.on_way(zone_idx).iter() {
            if let Some(output) = self.outputs.get_mut(*idx) {
                output.n_drawing = output.n_drawing.saturating_sub(1);
                if output.n_drawing == 0 {
                    output.off_since = Some(at);
                }
            }
        }
    }
}
