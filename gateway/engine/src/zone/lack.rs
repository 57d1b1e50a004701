//! What a zone's soil lacks: the count from outside, less what was given since, what runs and what waits to run.
//!
//! Nothing here survives a restart: the next count has the water that was measured before it.

use giot_shared::time::MonoMs;
use giot_shared::units::Millilitres;

use super::Zone;
use crate::Now;
use crate::program::{Lack, LackState};

/// Runs that are remembered apart: far more than a zone has between two counts. Further ones are added to the last.
const GIVEN_MAX: usize = 256;

/// The count of a zone and the water since.
#[derive(Debug, Default)]
pub(crate) struct Lacking {
    state: Option<LackState>,
    /// Ends of runs and what they gave, ml.
    given: Vec<(MonoMs, u64)>,
}

impl Zone {
    /// Takes a count that is `age_ms` old: what ended before is in it.
    pub(crate) fn take_lack(&mut self, now: Now, age_ms: u64, state: LackState) {
        let counted_at = now.mono.0.saturating_sub(age_ms);
        self.lacking.given.retain(|(ended_at, _)| ended_at.0 > counted_at);
        self.lacking.state = Some(state);
    }

    /// Whether a count has come since the start.
    pub(crate) fn is_counted(&self) -> bool {
        self.lacking.state.is_some()
    }

    /// Notes a run that is over: what its node measured, or else what the plan's flow gives in its time.
    pub(crate) fn note_water(&mut self, now: Now, run_ms: u64, volume: Option<Millilitres>) {
        let by_flow = || self.plan.flow.map(|flow| flow.volume_in_ms(run_ms));
        let ml = volume.or_else(by_flow).map_or(0, |volume| u64::from(volume.0));
        let given = &mut self.lacking.given;
        let is_full = given.len() >= GIVEN_MAX;
        match given.last_mut().filter(|_| is_full) {
            Some(last) => *last = (now.mono, last.1.saturating_add(ml)),
            None => given.push((now.mono, ml)),
        }
    }

    /// What is lacking at this moment; `None`: never counted.
    pub(crate) fn lack(&self) -> Option<LackState> {
        let state = self.lacking.state.as_ref()?;
        Some(match state {
            Ok(lack) => Ok(self.still_lacking(*lack)),
            Err(code) => Err(code.clone()),
        })
    }

    fn still_lacking(&self, lack: Lack) -> Lack {
        let waiting_s = self.memory.errands.iter().map(|errand| u64::from(errand.run_s)).sum::<u64>();
        let running_s = self.run().map_or(0, |run| u64::from(run.planned_s()));
        let to_come = self.plan.flow.map(|flow| flow.volume_in_ms((waiting_s + running_s) * 1000));
        let given = self.lacking.given.iter().map(|(_, ml)| *ml).sum::<u64>();
        let ml = given.saturating_add(to_come.map_or(0, |volume| u64::from(volume.0)));
        lack.after_ml(ml, self.plan.area_dm2.unwrap_or(0))
    }
}
