//! What is watched beside the probes, and what follows from it: flow, tanks, pressure, rain, frost; every limit with its
//! default and the default's source.
//!
//! Data without behaviour over time; what follows from it is `guard`'s.
//!
//! | guard | finding | rule | default action | latch, clearing |
//! |---|---|---|---|---|
//! | flow of a zone or source | `high_flow` | above `high_percent` of the reference flow for `high_delay_s` | stop zone; of a source: stop source | fault; a person |
//! | | `low_flow` | below `low_percent` for `low_delay_s` | alert | none; the next good run |
//! | | `no_flow` | below `none_percent` for `none_delay_s` | stop zone; of a source: stop source | zone: failure with pauses, fault after three; a good run, a person. Source: fault; a person |
//! | | `unscheduled_flow` | above `leak_l_per_h` for `leak_delay_s` with all valves closed | Close again twice, then stop source | fault; a person |
//! | tank | `tank_low`, `tank_unknown` | below `min`, until `resume`; or nothing heard for `fresh_s`, or yet | stop source | none; the level |
//! | pressure | `pressure_low`, `pressure_high` | beyond a limit for `delay_s` while water flows | stop source | fault; a person |
//! | rain | `rained` | `limit` within `hours` | skip and stop zone | none; time |
//! | rain contact | `rain_contact` | closed for `on_delay_s`, until open for `off_delay_s` | skip and stop zone | none; the contact |
//! | soil contact | `soil_contact` | as the rain contact | skip and stop zone | none; the contact |
//! | frost | `frost` | below `below`, until `clear` | skip and stop zone | none; the temperature |
//!
//! A person's own start passes over rain, soil contact and frost, never over tank, pressure or a fault.

use std::fmt;

use giot_shared::units::{LitresPerHour, Millilitres};

use super::Level;
use crate::ids::ProbeRef;

/// Longest span that a guard may wait, seconds: a day.
const SPAN_S_MAX: u32 = 24 * 3600;

/// Longest time that rain counts, hours: a fortnight.
const RAIN_HOURS_MAX: u32 = 14 * 24;

/// What a water meter tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterKind {
    /// The flow of the moment, L/h.
    Flow,
    /// The volume since some beginning, mL.
    Volume,
}

/// A water meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meter {
    /// Device and metric.
    pub gauge: ProbeRef,
    /// What it tells.
    pub kind: MeterKind,
}

/// What a finding leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GuardAction {
    /// Only the diary is told.
    Alert,
    /// The zone stops. For a source: as [`Self::StopSource`].
    StopZone,
    /// Everything that the source feeds stops.
    StopSource,
}

/// When flow counts as wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowLimits {
    /// After opening, flow says nothing for so long, seconds: OpenSprinkler ignores the first 90 s of counts. The time in
    /// which mains fill comes on top.
    pub ignore_s: u32,
    /// High flow, % of the expected; Hunter's "Overflow" is set from 110 to 300 %, 130 is the cautious start.
    pub high_percent: u16,
    /// For so long, seconds; Toro waits one to six minutes.
    pub high_delay_s: u32,
    /// What high flow leads to.
    pub high: GuardAction,
    /// Low flow, % of the expected: half-clogged filters and lines show between 50 and 70 %.
    pub low_percent: u16,
    /// For so long, seconds.
    pub low_delay_s: u32,
    /// What low flow leads to: plants with little water are better off than with none.
    pub low: GuardAction,
    /// No flow, % of the expected: below a tenth a meter's noise is as large.
    pub none_percent: u16,
    /// For so long, seconds.
    pub none_delay_s: u32,
    /// What no flow leads to.
    pub none: GuardAction,
    /// More than that with all valves closed is a leak, L/h: above what drip lines drain and meters invent.
    pub leak_l_per_h: LitresPerHour,
    /// After closing, flow is no leak for so long, seconds: lines drain downhill.
    pub leak_ignore_s: u32,
    /// For so long, seconds.
    pub leak_delay_s: u32,
    /// What a leak leads to: makers close the master valve and shut the system down until somebody clears it.
    pub leak: GuardAction,
}

impl Default for FlowLimits {
    fn default() -> Self {
        Self {
            ignore_s: 90,
            high_percent: 130,
            high_delay_s: 120,
            high: GuardAction::StopZone,
            low_percent: 60,
            low_delay_s: 300,
            low: GuardAction::Alert,
            none_percent: 10,
            none_delay_s: 60,
            none: GuardAction::StopZone,
            leak_l_per_h: LitresPerHour(60),
            leak_ignore_s: 120,
            leak_delay_s: 300,
            leak: GuardAction::StopSource,
        }
    }
}

/// Which guards of the farm a zone does not heed: under a roof, or frost protection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignores {
    /// Rain that a gauge measured.
    pub rain: bool,
    /// The rain contact.
    pub rain_contact: bool,
    /// The soil contact.
    pub soil_contact: bool,
    /// Frost.
    pub frost: bool,
    /// The farm's rain delay.
    pub rain_delay: bool,
}

/// Probes that should say the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Twins {
    /// Probes at one depth, by their places in the plan.
    pub groups: Vec<Vec<usize>>,
    /// Those that differ by more contradict each other, in the unit of the zone's probes; zero: not looked at.
    pub apart_max: Level,
}

/// Probes that are to answer to water.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaterResponse {
    /// The upper ones, by their places in the plan: water reaches deeper ones late or not at all.
    pub probes: Vec<usize>,
    /// A dry one is to get wetter by so much, in the unit of the zone's probes; zero: not looked at.
    pub rise_min: Level,
}

/// What is watched of a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneGuards {
    /// The meter that sees this zone's water alone.
    pub meter: Option<Meter>,
    /// When its flow counts as wrong.
    pub flow: FlowLimits,
    /// What it does not heed.
    pub ignores: Ignores,
    /// No run takes more than that; the node ends it by itself where it has a meter.
    pub volume_max: Option<Millilitres>,
    /// Which of its probes should say the same.
    pub twins: Twins,
    /// Which of its probes are to answer to water.
    pub response: WaterResponse,
}

/// What is watched of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceGuards {
    /// The meter that sees all that it gives.
    pub meter: Option<Meter>,
    /// When its flow counts as wrong.
    pub flow: FlowLimits,
    /// Its tank or well.
    pub tank: Option<TankGuard>,
    /// The pressure behind it.
    pub pressure: Option<PressureGuard>,
}

/// A tank or well that must not be drawn empty. Values in thousandths of the gauge's unit; a float that closes when there
/// is water reads 1000 and 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TankGuard {
    /// Device and metric.
    pub gauge: ProbeRef,
    /// Nothing flows below.
    pub min_milli: i64,
    /// Once it was below, nothing flows before it is up here again.
    pub resume_milli: i64,
    /// An older reading counts as none, and then nothing flows, seconds.
    pub fresh_s: u32,
}

/// The pressure while water flows, in thousandths of the gauge's unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PressureGuard {
    /// Device and metric.
    pub gauge: ProbeRef,
    /// Lower is wrong; `None`: not watched.
    pub min_milli: Option<i64>,
    /// Higher is wrong; `None`: not watched.
    pub max_milli: Option<i64>,
    /// For so long, seconds; makers cut after 30 to 60.
    pub delay_s: u32,
}

/// Rain that a gauge measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RainGuard {
    /// Device and metric: rain since its last reading, mm.
    pub gauge: ProbeRef,
    /// So much keeps the farm from watering, 1/1000 mm.
    pub limit_milli: i64,
    /// Rain counts for so long, hours.
    pub hours: u32,
}

/// A contact that closes when it rains, or when the soil is wet, with the delays of OpenSprinkler's sensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactGuard {
    /// Device and metric: not 0 when it is wet.
    pub gauge: ProbeRef,
    /// It counts only when it has been closed for so long, seconds.
    pub on_delay_s: u32,
    /// It counts until it has been open for so long, seconds.
    pub off_delay_s: u32,
}

/// Cold that turns drops into ice, 1/1000 °C.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrostGuard {
    /// Device and metric.
    pub gauge: ProbeRef,
    /// Nothing is watered below.
    pub below_milli: i64,
    /// Once it was below, nothing before it is warmer than that.
    pub clear_milli: i64,
    /// An older reading counts as none, and then nothing is held back, seconds.
    pub fresh_s: u32,
}

/// What is watched of the whole farm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FarmGuards {
    /// Rain that a gauge measured.
    pub rain: Option<RainGuard>,
    /// The rain contact.
    pub rain_contact: Option<ContactGuard>,
    /// The soil contact.
    pub soil_contact: Option<ContactGuard>,
    /// Frost.
    pub frost: Option<FrostGuard>,
}

/// Something about a guard that cannot be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardProblem {
    /// The flow limits contradict each other.
    FlowLimits,
    /// A span is zero where it must not be, or longer than a day.
    Span,
    /// What ends a guard's hold lies before what begins it.
    Hysteresis,
    /// The most that a run may take is nothing.
    VolumeZero,
    /// The pressure has no limit, or its limits are crossed.
    Pressure,
    /// The rain's limit or its hours are out of range.
    Rain,
}

impl GuardProblem {
    /// The stable code: snake_case.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::FlowLimits => "guard_flow_limits",
            Self::Span => "guard_span",
            Self::Hysteresis => "guard_hysteresis",
            Self::VolumeZero => "guard_volume_zero",
            Self::Pressure => "guard_pressure",
            Self::Rain => "guard_rain",
        }
    }

    /// The key of the table that it is about; `None`: the message says it.
    #[must_use]
    pub const fn key(self) -> Option<&'static str> {
        match self {
            Self::FlowLimits => Some("flow"),
            Self::VolumeZero => Some("volume_max_l"),
            Self::Pressure => Some("pressure"),
            Self::Rain => Some("rain"),
            Self::Span | Self::Hysteresis => None,
        }
    }
}

impl fmt::Display for GuardProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FlowLimits => {
                "no flow must lie below low flow, low flow below 100 %, and high flow between 101 and 1000 %"
            }
            Self::Span => "a guard waits at most a day, and a reading is fresh for at least a second",
            Self::Hysteresis => "what ends the hold of a guard must lie beyond what begins it",
            Self::VolumeZero => "the most that a run may take must be at least a litre, or left out",
            Self::Pressure => "the pressure needs a limit, and the lower one must lie below the upper one",
            Self::Rain => "the rain's limit must be above zero, and its hours between 1 and 336",
        })
    }
}

impl FlowLimits {
    fn check(&self) -> Option<GuardProblem> {
        let spans = [
            self.ignore_s,
            self.high_delay_s,
            self.low_delay_s,
            self.none_delay_s,
            self.leak_ignore_s,
            self.leak_delay_s,
        ];
        let is_ordered = self.none_percent < self.low_percent
            && self.low_percent < 100
            && (101..=1000).contains(&self.high_percent);
        if !is_ordered {
            return Some(GuardProblem::FlowLimits);
        }
        spans.iter().any(|span_s| *span_s > SPAN_S_MAX).then_some(GuardProblem::Span)
    }
}

impl ZoneGuards {
    pub(super) fn check(&self) -> Vec<GuardProblem> {
        let is_nothing = self.volume_max.is_some_and(|volume| volume.0 < 1000);
        self.flow.check().into_iter().chain(is_nothing.then_some(GuardProblem::VolumeZero)).collect()
    }
}

impl SourceGuards {
    pub(super) fn check(&self) -> Vec<GuardProblem> {
        let mut found: Vec<_> = self.flow.check().into_iter().collect();
        if let Some(tank) = &self.tank {
            found.extend((tank.resume_milli < tank.min_milli).then_some(GuardProblem::Hysteresis));
            found.extend((!(1..=SPAN_S_MAX).contains(&tank.fresh_s)).then_some(GuardProblem::Span));
        }
        if let Some(pressure) = &self.pressure {
            let is_sound = match (pressure.min_milli, pressure.max_milli) {
                (Some(min), Some(max)) => min < max,
                (None, None) => false,
                (Some(_), None) | (None, Some(_)) => true,
            };
            found.extend((!is_sound).then_some(GuardProblem::Pressure));
            found.extend((pressure.delay_s > SPAN_S_MAX).then_some(GuardProblem::Span));
        }
        found
    }
}

impl FarmGuards {
    pub(super) fn check(&self) -> Vec<GuardProblem> {
        let mut found = Vec::new();
        if let Some(rain) = &self.rain {
            let is_sound = rain.limit_milli > 0 && (1..=RAIN_HOURS_MAX).contains(&rain.hours);
            found.extend((!is_sound).then_some(GuardProblem::Rain));
        }
        for contact in self.rain_contact.iter().chain(&self.soil_contact) {
            let is_long = contact.on_delay_s > SPAN_S_MAX || contact.off_delay_s > SPAN_S_MAX;
            found.extend(is_long.then_some(GuardProblem::Span));
        }
        if let Some(frost) = &self.frost {
            found.extend((frost.clear_milli < frost.below_milli).then_some(GuardProblem::Hysteresis));
            found.extend((!(1..=SPAN_S_MAX).contains(&frost.fresh_s)).then_some(GuardProblem::Span));
        }
        found
    }
}
