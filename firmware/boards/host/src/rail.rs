//! The switched supply of simulated probes on an RS485 line: what is not powered keeps silent, and what is asked before it is warm gives
//! nonsense, so that a node that asks too early or forgets to switch is seen in its readings.

use crate::board::SimProbe;
use giot_firmware::probe::{ProbeFault, Sample};
use giot_shared::time::UnixMs;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A word that no soil probe means.
const NONSENSE: i32 = 0x7fff;

/// The supply; a clone is the same one. It is off when it is made, and when a board boots.
#[derive(Clone)]
pub struct SimRail {
    warm_ms: u64,
    state: Arc<Mutex<State>>,
}

struct State {
    on_since: Option<UnixMs>,
    tell: Box<dyn FnMut(UnixMs, bool) + Send>,
}

impl fmt::Debug for SimRail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimRail").field("warm_ms", &self.warm_ms).finish_non_exhaustive()
    }
}

impl SimRail {
    /// A supply of probes that need it for so long before they measure, ms; `tell` hears when it goes on and off.
    #[must_use]
    pub fn new(warm_ms: u64, tell: impl FnMut(UnixMs, bool) + Send + 'static) -> Self {
        Self { warm_ms, state: Arc::new(Mutex::new(State { on_since: None, tell: Box::new(tell) })) }
    }

    /// A probe that has its supply from this.
    #[must_use]
    pub fn feed(&self, probe: impl SimProbe + 'static) -> Box<dyn SimProbe> {
        Box::new(Fed { rail: self.clone(), probe })
    }

    /// Switches it at simulated time `at`.
    pub(crate) fn switch(&self, at: UnixMs, on: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if on != state.on_since.is_some() {
            state.on_since = on.then_some(at);
            (state.tell)(at, on);
        }
    }

    fn on_since(&self) -> Option<UnixMs> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).on_since
    }
}

struct Fed<P> {
    rail: SimRail,
    probe: P,
}

impl<P: SimProbe> SimProbe for Fed<P> {
    fn sample(&mut self, at: UnixMs) -> Result<Sample, ProbeFault> {
        let since = self.rail.on_since().ok_or(ProbeFault::Silent)?;
        if at.since_ms(since) < self.rail.warm_ms {
            return Ok(Sample::Impossible { value: NONSENSE, raw: NONSENSE });
        }
        self.probe.sample(at)
    }
}
