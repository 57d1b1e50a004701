//! What the page sees of the farm at one moment: plain data, made by the hub, turned into JSON by the API.

use giot_engine::program::FarmState;
use giot_engine::{FlowView, ProgramView, PumpView, Reason, SourceId, ZoneId, ZoneView};
use giot_shared::ids::NodeId;
use giot_shared::time::{MonoMs, UnixMs};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::farm::VersionView;
use super::news::News;

use crate::config::Settings;
use crate::rules::RuleState;
use giot_store::DiaryEntry;

/// The farm at one moment.
#[derive(Clone, Debug)]
pub struct FarmView {
    /// The gateway's clock as it reads.
    pub now: UnixMs,
    /// What the gateway runs by.
    pub settings: Arc<Settings>,
    /// Which version of the farm that is.
    pub version: VersionView,
    /// Whether that clock can be believed.
    pub clock_set: bool,
    /// Zones by id.
    pub zones: Vec<ZoneView>,
    /// Pumps and master valves by their source.
    pub pumps: BTreeMap<SourceId, PumpView>,
    /// Faults that the guards of sources found.
    pub source_faults: BTreeMap<SourceId, Reason>,
    /// Flow of the zones that have a meter.
    pub flows: BTreeMap<ZoneId, FlowView>,
    /// Programs by id.
    pub programs: Vec<ProgramView>,
    /// Rules by id, those that are switched on.
    pub rules: Vec<RuleState>,
    /// Pauses of the whole farm.
    pub farm: FarmState,
    /// The monotonic line at that moment: the zones' moments are on it.
    pub mono: MonoMs,
    /// The last diary entry of each zone from before this start, where the engine has not decided since.
    pub earlier: BTreeMap<ZoneId, DiaryEntry>,
    /// Devices by id: registered ones, and those heard of.
    pub devices: Vec<DeviceState>,
}

/// One device.
#[derive(Clone, Debug)]
pub struct DeviceState {
    /// Which.
    pub id: NodeId,
    /// What people call it.
    pub label: String,
    /// `node`, `station` or `json`.
    pub kind: &'static str,
    /// In the registry.
    pub is_registered: bool,
    /// Connected, as far as its status tells; JSON devices never say.
    pub is_online: bool,
    /// When it was last heard.
    pub heard_at: Option<UnixMs>,
    /// Supply as last reported.
    pub battery_mv: Option<f64>,
    /// What it told of itself.
    pub news: News,
}

impl FarmView {
    /// Civil time of a moment on the monotonic line, by the clocks of this view.
    #[must_use]
    pub fn date(&self, at: MonoMs) -> UnixMs {
        if at < self.mono {
            self.now.minus_ms(self.mono.since_ms(at))
        } else {
            self.now.plus_ms(at.since_ms(self.mono))
        }
    }
}
