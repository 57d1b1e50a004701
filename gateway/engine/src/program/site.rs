//! What programs must know of the farm: its place and hours, its zones' flow, area, plants and limits.
//!
//! Facts only; what changes from hour to hour is `control`'s.

use std::collections::BTreeMap;

use giot_shared::time::UnixMs;

use super::sun::Place;
use super::windows::{Crossing, Fitted, Levels, Windows};
use crate::ids::{SourceId, ZoneId};
use crate::network::Pipes;
use crate::plan::RUN_S_MAX;
use crate::reason::Reason;

/// Longest run of any zone, ms.
pub const RUN_MS_MAX: u64 = RUN_S_MAX as u64 * 1000;

/// Shortest cycle of a [`Cycle`]: drip lines need about a minute to fill.
pub const CYCLE_MS_MIN: u64 = 60_000;

/// Longest soak or rest, ms: a day.
pub const SOAK_MS_MAX: u64 = 24 * 3600 * 1000;

/// The farm as programs see it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Site {
    /// Local time minus UTC, minutes; Việt Nam: 420.
    pub utc_offset_min: i32,
    /// Where the sun is looked at; `None`: no start can be by the sun.
    pub place: Option<Place>,
    /// The zones.
    pub zones: BTreeMap<ZoneId, ZoneFacts>,
    /// The hours of the sources, with those of what feeds them; a source that is not named here has no windows.
    pub sources: BTreeMap<SourceId, Windows>,
    /// What the water goes through: how many zones may have it at once, and which rests their pumps need.
    pub pipes: Pipes,
}

/// What programs must know of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneFacts {
    /// The source that feeds it.
    pub source: SourceId,
    /// What flows while its valve is open, ml/h; `None`: unknown, so that only times can be asked for.
    pub flow_ml_h: Option<u32>,
    /// Its whole area, as FAO-56 counts it, dm²; `None`: unknown, so that no depth can be asked for.
    pub area_dm2: Option<u32>,
    /// Its plants; `None`: unknown, so that nothing can be asked for by the plant.
    pub n_plants: Option<u32>,
    /// How long its runs may be.
    pub limits: RunLimits,
    /// Shortest time between two of its runs, ms; at least a second counts, because a valve that does not close in
    /// between has one run, not two.
    pub rest_ms: u64,
    /// How its runs are split; `None`: not at all.
    pub cycle: Option<Cycle>,
    /// Which zones it may run beside.
    pub group: Group,
    /// Its hours.
    pub windows: Windows,
    /// The farm's rain delay is not for it: it is under a roof.
    pub ignores_rain_delay: bool,
}

/// How long the runs of a zone may be, all cycles together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunLimits {
    /// What is shorter is left out, ms; 0: nothing is.
    pub skip_below_ms: u64,
    /// What is left is made at least this long, ms.
    pub run_ms_min: u64,
    /// What is longer is made this long, ms; never more than [`RUN_MS_MAX`].
    pub run_ms_max: u64,
}

/// Cycle and soak: water in portions, so that it sinks in instead of running off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cycle {
    on_ms_max: u64,
    soak_ms_min: u64,
}

/// Which zones run one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// One after another with the zones of the same number, beside those of other numbers.
    Sequential(u8),
    /// Beside all others.
    Parallel,
}

impl Group {
    /// Whether its zones take turns.
    pub(crate) fn is_in_turn(&self) -> bool {
        matches!(self, Self::Sequential(_))
    }
}

impl Default for Group {
    fn default() -> Self {
        Self::Sequential(0)
    }
}

impl Site {
    /// Where a run of a zone goes that is wanted at a moment, looking at the hours of program, zone and source; while they are
    /// closed it waits for hours that open before another moment.
    ///
    /// # Errors
    /// Why it is left out.
    pub(crate) fn fit(
        &self,
        windows: &Windows,
        crossing: Crossing,
        zone: &ZoneFacts,
        at: UnixMs,
        run_ms: u64,
        before: UnixMs,
    ) -> Result<Fitted, Reason> {
        self.with_hours(windows, zone, |levels| levels.fit_before(crossing, at, run_ms, before))
    }

    /// When the hours of program, zone and source close that are open at a moment; no later than `span_ms` after it.
    pub(crate) fn closes_at(&self, windows: &Windows, zone: &ZoneFacts, at: UnixMs, span_ms: u64) -> UnixMs {
        self.with_hours(windows, zone, |levels| levels.closes_at(at, span_ms))
    }

    /// When the hours of program, zone and source are open from a moment on; `None`: not before another one.
    pub(super) fn opens_at(
        &self,
        windows: &Windows,
        zone: &ZoneFacts,
        at: UnixMs,
        before: UnixMs,
    ) -> Option<UnixMs> {
        self.with_hours(windows, zone, |levels| levels.opens_at(at, before))
    }

    /// Why water may not flow in a zone at a moment, by the hours of program, zone and source.
    pub(crate) fn bar(&self, windows: &Windows, zone: &ZoneFacts, at: UnixMs) -> Option<Reason> {
        self.with_hours(windows, zone, |levels| levels.bar(at))
    }

    /// When the hours of zone or source can open or close next after a moment; `None`: never.
    pub(crate) fn next_edge(&self, zone: &ZoneFacts, at: UnixMs) -> Option<UnixMs> {
        self.with_hours(&Windows::default(), zone, |levels| levels.next_edge(at))
    }

    /// When the hours of program, zone and source can open or close between two moments, in their order.
    pub(super) fn edges(
        &self,
        windows: &Windows,
        zone: &ZoneFacts,
        from: UnixMs,
        until: UnixMs,
    ) -> Vec<UnixMs> {
        let next = |at: UnixMs| {
            self.with_hours(windows, zone, |levels| levels.next_edge(at)).filter(|edge| *edge <= until)
        };
        std::iter::successors(next(from), |at| next(*at)).collect()
    }

    /// Whether hours of zone or source can be in the way of a zone's runs.
    pub(super) fn has_hours(&self, zone: &ZoneFacts) -> bool {
        let of_source = self.sources.get(&zone.source);
        !zone.windows.are_always() || of_source.is_some_and(|windows| !windows.are_always())
    }

    fn with_hours<T>(&self, windows: &Windows, zone: &ZoneFacts, ask: impl FnOnce(Levels<'_>) -> T) -> T {
        let always = Windows::default();
        let source = self.sources.get(&zone.source).unwrap_or(&always);
        let windows = [windows, &zone.windows, source];
        ask(Levels { windows: &windows, utc_offset_min: self.utc_offset_min })
    }
}

impl Cycle {
    /// Portions of at most `on_ms_max` with at least `soak_ms_min` in between; `None` for a portion below
    /// [`CYCLE_MS_MIN`] or a soak above [`SOAK_MS_MAX`].
    #[must_use]
    pub fn new(on_ms_max: u64, soak_ms_min: u64) -> Option<Self> {
        (on_ms_max >= CYCLE_MS_MIN && soak_ms_min <= SOAK_MS_MAX).then_some(Self { on_ms_max, soak_ms_min })
    }

    /// Longest portion, ms.
    #[must_use]
    pub fn on_ms_max(self) -> u64 {
        self.on_ms_max
    }

    /// Shortest soak, ms.
    #[must_use]
    pub fn soak_ms_min(self) -> u64 {
        self.soak_ms_min
    }
}

impl ZoneFacts {
    /// What flows in a run, ml, rounded down; `None` when the flow is not known.
    #[must_use]
    pub fn volume_ml(&self, run_ms: u64) -> Option<u64> {
        let volume_ml = u128::from(self.flow_ml_h?) * u128::from(run_ms) / 3_600_000;
        u64::try_from(volume_ml).ok()
    }

    /// Shortest time between the end of a run and a further one, ms.
    fn rest_ms(&self) -> u64 {
        let soak_ms = self.cycle.map_or(0, Cycle::soak_ms_min);
        self.rest_ms.max(soak_ms).clamp(1000, SOAK_MS_MAX)
    }

    /// Shortest time before a portion, ms: between two portions of one run it is their soak alone, even where that is shorter
    /// than the rest between two runs.
    pub(crate) fn rest_before_ms(&self, cycle: u32) -> u64 {
        match self.cycle.filter(|_| cycle > 1) {
            Some(cycle) => cycle.soak_ms_min().clamp(1000, SOAK_MS_MAX),
            None => self.rest_ms(),
        }
    }

    /// In how many portions a run is given.
    pub(super) fn n_cycles(&self, run_ms: u64) -> u32 {
        let n_cycles = self.cycle.map_or(1, |cycle| run_ms.div_ceil(cycle.on_ms_max).max(1));
        u32::try_from(n_cycles).unwrap_or(u32::MAX)
    }
}
