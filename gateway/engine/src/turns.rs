//! Whose turn it is: zones whose runs are under way, and zones that wait for the end of such a run.

use std::collections::BTreeMap;

use giot_shared::time::{MonoMs, UnixMs};

use crate::ids::ProgramId;

/// Zones by their places.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// With the program whose run it is, and its start, if it is one's.
    running: BTreeMap<usize, Option<(ProgramId, UnixMs)>>,
    /// Which program's run in a zone ended last, of which start, and when.
    ended: BTreeMap<usize, (ProgramId, UnixMs, MonoMs)>,
    /// With the moment at which the run that they wait for leaves them their turn; `None`: when it has really ended.
    waiting: BTreeMap<usize, Option<MonoMs>>,
    is_over: bool,
}

impl Turns {
    /// Notes that a run of a zone is under way, and of which program's start.
    pub(crate) fn begin(&mut self, zone_idx: usize, start: Option<(&ProgramId, UnixMs)>) {
        let kept = || start.map(|(program, start_at)| (program.clone(), start_at));
        self.running.entry(zone_idx).or_insert_with(kept);
    }

    /// Notes that no run of a zone is under way.
    pub(crate) fn end(&mut self, zone_idx: usize, now: MonoMs) {
        let Some(start) = self.running.remove(&zone_idx) else { return };
        self.is_over = true;
        if let Some((program, start_at)) = start {
            self.ended.insert(zone_idx, (program, start_at, now));
        }
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = usize> {
        self.running.keys().copied()
    }

    /// The zones in which a run of a program's start ended last, and when.
    pub(crate) fn ended(
        &self,
        program: &ProgramId,
        start_at: UnixMs,
    ) -> impl Iterator<Item = (usize, MonoMs)> {
        let of_start = self.ended.iter().filter(move |(_, (of, at, _))| of == program && *at == start_at);
        of_start.map(|(zone_idx, (.., at))| (*zone_idx, *at))
    }

    /// The program's run that ended last in a zone: its program, its start, and when it ended.
    pub(crate) fn ended_in(&self, zone_idx: usize) -> Option<&(ProgramId, UnixMs, MonoMs)> {
        self.ended.get(&zone_idx)
    }

    /// A zone waits for the run of another, until a moment that may be over.
    pub(crate) fn wait(&mut self, zone_idx: usize, until: MonoMs, now: MonoMs) {
        self.waiting.insert(zone_idx, Some(until).filter(|until| *until > now));
    }

    /// A zone waits no more; whether it did.
    pub(crate) fn leave(&mut self, zone_idx: usize) -> bool {
        self.waiting.remove(&zone_idx).is_some()
    }

    /// When the next moment comes that some zone waits for.
    pub(crate) fn wake_at(&self) -> Option<MonoMs> {
        self.waiting.values().copied().flatten().min()
    }

    /// Those whose wait may be over: all once a run has ended, else those whose moment has come.
    pub(crate) fn called(&mut self, now: MonoMs) -> Vec<usize> {
        let is_over = std::mem::take(&mut self.is_over);
        let called =
            self.waiting.extract_if(.., |_, until| is_over || until.is_some_and(|until| until <= now));
        called.map(|(zone_idx, _)| zone_idx).collect()
    }
}
