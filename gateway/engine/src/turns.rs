//! Whose turn it is: zones whose runs are under way, and zones that wait for the end of such a run.

use std::collections::BTreeMap;

use giot_shared::time::MonoMs;

use crate::ids::ProgramId;

/// Zones by their places.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// With the program whose run it is, if it is one's.
    running: BTreeMap<usize, Option<ProgramId>>,
    /// Which program's run in a zone ended last, and when.
    ended: BTreeMap<usize, (ProgramId, MonoMs)>,
    /// With the moment at which the run that they wait for leaves them their turn; `None`: when it has really ended.
    waiting: BTreeMap<usize, Option<MonoMs>>,
    is_over: bool,
}

impl Turns {
    /// Notes that a run of a zone is under way, and of which program.
    pub(crate) fn begin(&mut self, zone_idx: usize, program: Option<&ProgramId>) {
        self.running.entry(zone_idx).or_insert_with(|| program.cloned());
    }

    /// Notes that no run of a zone is under way.
    pub(crate) fn end(&mut self, zone_idx: usize, now: MonoMs) {
        let Some(program) = self.running.remove(&zone_idx) else { return };
        self.is_over = true;
        if let Some(program) = program {
            self.ended.insert(zone_idx, (program, now));
        }
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = usize> {
        self.running.keys().copied()
    }

    /// The zones in which a run of a program ended last, and when.
    pub(crate) fn ended(&self, program: &ProgramId) -> impl Iterator<Item = (usize, MonoMs)> {
        let of_program = self.ended.iter().filter(move |(_, (of, _))| of == program);
        of_program.map(|(zone_idx, (_, at))| (*zone_idx, *at))
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
