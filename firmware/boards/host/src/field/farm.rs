//! A described cooperative over a [`Site`]: what it is called, which node stands where, and what each node measures.
//!
//! [`Farm::demo`] is the cooperative that the demonstration shows. The boards of the simulated nodes ask here for
//! millivolts, pulses and battery, and move valves here. Moments are civil time; a moment that is past counts as the
//! present one.

use giot_shared::calibration::Calibration;
use giot_shared::time::UnixMs;
use giot_shared::units::MoisturePermyriad;

use crate::field::battery::Battery;
use crate::field::history::{self, History};
use crate::field::probe::{ProbeFault, ProbeModel};
use crate::field::rng::FieldSeed;
use crate::field::site::{Site, WaterSource};
use crate::field::zone::{FieldZone, HydraulicFault, ZoneLayout};
use crate::field::{DAY_MS, HOUR_MS, MINUTE_MS, UTC_OFFSET_MS, demo, whole_i64, whole_u16};

/// A zone as the cooperative knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ZoneSpec {
    /// Id in lower-case letters, digits and hyphens.
    pub id: &'static str,
    /// Name on the page, in Vietnamese.
    pub name: &'static str,
    /// Household that owns the zone.
    pub household: &'static str,
    /// Id of the crop.
    pub crop: &'static str,
    /// Name of the crop, in Vietnamese.
    pub crop_name: &'static str,
    /// Share of the available water that may be used up before watering starts, %.
    pub mad_percent: u8,
    /// Depths of the two probes, cm.
    pub depths_cm: [u16; 2],
    /// Planting, emitters and soil.
    pub layout: ZoneLayout,
}

impl ZoneSpec {
    /// Moisture below which watering starts: field capacity less the allowed depletion.
    #[must_use]
    pub fn start_below(&self) -> MoisturePermyriad {
        permyriad(self.layout.soil.at_depletion(f64::from(self.mad_percent) / 100.0))
    }

    /// Moisture above which watering stops: a tenth of the available water under field capacity, so that the run
    /// itself does not drain below the roots.
    #[must_use]
    pub fn stop_above(&self) -> MoisturePermyriad {
        permyriad(self.layout.soil.at_depletion(0.1))
    }
}

/// The cooperative's pump and tank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSpec {
    /// Id in lower-case letters, digits and hyphens.
    pub id: &'static str,
    /// Name on the page, in Vietnamese.
    pub name: &'static str,
    /// What it gives.
    pub water: WaterSource,
}

/// A node and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Id of the node.
    pub id: &'static str,
    /// Its zone, counted from 0 in [`Farm::zones`].
    pub zone_idx: usize,
    /// Depth of its probe, cm.
    pub depth_cm: u16,
    /// Whether it drives the zone's valve (valve 0) and counts the zone's water meter.
    pub has_valve: bool,
}

/// A zone or node was named that the farm does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldError {
    /// No zone has this index.
    UnknownZone(usize),
    /// No node has this index.
    UnknownNode(usize),
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownZone(zone_idx) => write!(f, "the field has no zone {zone_idx}"),
            Self::UnknownNode(node_idx) => write!(f, "the field has no node {node_idx}"),
        }
    }
}

impl std::error::Error for FieldError {}

/// A simulated cooperative.
#[derive(Debug, Clone)]
pub struct Farm {
    source: SourceSpec,
    zones: Vec<ZoneSpec>,
    nodes: Vec<NodeSpec>,
    probes: Vec<ProbeModel>,
    batteries: Vec<Battery>,
    site: Site,
}

impl Farm {
    /// The demonstration at a moment: six zones in different states of dryness after 30 days of drip irrigation.
    ///
    /// The first zone falls below its start threshold within about a quarter of an hour of daylight, the others
    /// later, one after another; it stays dry for two days. Works for any moment, looks best from
    /// [`Farm::demo_start`]. Costs about a tenth of a second in a release build, ten
    /// times that without optimisation.
    #[must_use]
    pub fn demo(seed: FieldSeed, start: UnixMs) -> Self {
        Self::demo_with_history(seed, start, 0).0
    }

    /// [`Farm::demo`] with what its nodes recorded in the last `n_days` (at most 30) before `start`.
    ///
    /// The farm is in the same state whatever `n_days` is.
    #[must_use]
    pub fn demo_with_history(seed: FieldSeed, start: UnixMs, n_days: u32) -> (Self, History) {
        let zones = demo::zones();
        let nodes = demo::nodes();
        let probe_seed = seed.stream(20);
        let probes = labels(nodes.len()).map(|label| ProbeModel::new(probe_seed.stream(label))).collect();
        let battery_seed = seed.stream(21);
        let batteries = labels(nodes.len()).map(|label| Battery::new(battery_seed.stream(label))).collect();
        let site = history::site_before(seed, start.0, &zones, demo::source().water);
        let mut farm = Self { source: demo::source(), zones, nodes, probes, batteries, site };
        let history = history::live_through(&mut farm, start.0, n_days);
        (farm, history)
    }

    /// A good moment to start the demonstration: twenty to nine in the morning of a dry, warm day around the tenth
    /// of March, the latest one that is not after `now`. Plums swell, and rain is weeks away.
    #[must_use]
    pub fn demo_start(now: UnixMs) -> UnixMs {
        // Days from 1970 to the tenth of March of a year, counted by mean years.
        let of_year = |year: f64| {
            let day = whole_i64((year * 365.2425 + 68.0).floor());
            day.saturating_mul(DAY_MS) + 8 * HOUR_MS + 40 * MINUTE_MS - UTC_OFFSET_MS
        };
        let year = (now.0 as f64 / (365.2425 * DAY_MS as f64)).floor();
        let this_ms = of_year(year);
        UnixMs(if this_ms <= now.0 { this_ms } else { of_year(year - 1.0) })
    }

    /// Name of the cooperative, in Vietnamese.
    #[must_use]
    pub fn cooperative(&self) -> &'static str {
        demo::COOPERATIVE
    }

    /// The pump and the tank that all zones share.
    #[must_use]
    pub fn source(&self) -> &SourceSpec {
        &self.source
    }

    /// The zones.
    #[must_use]
    pub fn zones(&self) -> &[ZoneSpec] {
        &self.zones
    }

    /// The nodes; two for each zone.
    #[must_use]
    pub fn nodes(&self) -> &[NodeSpec] {
        &self.nodes
    }

    /// The field itself.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    pub(super) fn site_mut(&mut self) -> &mut Site {
        &mut self.site
    }

    /// The moment up to which the farm has lived.
    #[must_use]
    pub fn now(&self) -> UnixMs {
        UnixMs(self.site.now_ms())
    }

    /// Lets time pass up to a moment.
    pub fn advance_to(&mut self, at: UnixMs) {
        self.site.advance_to(at.0);
    }

    /// Opens or closes a zone's valve at a moment.
    ///
    /// # Errors
    /// [`FieldError::UnknownZone`].
    pub fn set_valve(&mut self, zone_idx: usize, open: bool, at: UnixMs) -> Result<(), FieldError> {
        if self.site.set_valve(zone_idx, open, at.0) {
            Ok(())
        } else {
            Err(FieldError::UnknownZone(zone_idx))
        }
    }

    /// A zone as it stands in the field at the present moment: flow, meter, valve, soil.
    ///
    /// # Errors
    /// [`FieldError::UnknownZone`].
    pub fn zone(&self, zone_idx: usize) -> Result<&FieldZone, FieldError> {
        self.site.zones().get(zone_idx).ok_or(FieldError::UnknownZone(zone_idx))
    }

    /// One conversion of a node's probe at a moment, mV.
    ///
    /// # Errors
    /// [`FieldError::UnknownNode`].
    pub fn read_probe_mv(&mut self, node_idx: usize, at: UnixMs) -> Result<u16, FieldError> {
        self.site.advance_to(at.0);
        let now_ms = self.site.now_ms();
        let theta = self.theta(node_idx)?;
        let probe = self.probes.get_mut(node_idx).ok_or(FieldError::UnknownNode(node_idx))?;
        Ok(probe.read_mv(theta, now_ms))
    }

    /// The true moisture around a node's probe at the present moment, without noise or fault.
    ///
    /// # Errors
    /// [`FieldError::UnknownNode`].
    pub fn moisture(&self, node_idx: usize) -> Result<MoisturePermyriad, FieldError> {
        self.theta(node_idx).map(permyriad)
    }

    /// Mean of the true moistures around a zone's two probes at the present moment.
    ///
    /// # Errors
    /// [`FieldError::UnknownZone`].
    pub fn zone_moisture(&self, zone_idx: usize) -> Result<MoisturePermyriad, FieldError> {
        let spec = self.zones.get(zone_idx).ok_or(FieldError::UnknownZone(zone_idx))?;
        Ok(permyriad(control_theta(self.zone(zone_idx)?, spec)))
    }

    /// All pulses that a node's water meter ever gave; 0 for a node without valve.
    ///
    /// # Errors
    /// [`FieldError::UnknownNode`].
    pub fn flow_pulses(&mut self, node_idx: usize, at: UnixMs) -> Result<u64, FieldError> {
        self.site.advance_to(at.0);
        let node = self.nodes.get(node_idx).ok_or(FieldError::UnknownNode(node_idx))?;
        let zone = self.site.zones().get(node.zone_idx).filter(|_| node.has_valve);
        Ok(zone.map_or(0, FieldZone::flow_pulses))
    }

    /// Water of one pulse of a zone's meter, mL.
    #[must_use]
    pub fn pulse_ml(&self) -> u32 {
        demo::PULSE_ML
    }

    /// Voltage of a node's battery at a moment, mV.
    ///
    /// # Errors
    /// [`FieldError::UnknownNode`].
    pub fn battery_mv(&self, node_idx: usize, at: UnixMs) -> Result<u16, FieldError> {
        let battery = self.batteries.get(node_idx).ok_or(FieldError::UnknownNode(node_idx))?;
        Ok(battery.voltage_mv(at.0))
    }

    /// The calibration with which a node reads its probe rightly.
    ///
    /// # Errors
    /// [`FieldError::UnknownNode`].
    pub fn calibration(&self, node_idx: usize) -> Result<Calibration, FieldError> {
        let unknown = FieldError::UnknownNode(node_idx);
        self.probes.get(node_idx).ok_or(unknown)?.calibration().map_err(|_| unknown)
    }

    /// A node's probe, to see its curve.
    ///
    /// # Errors
    /// [`FieldError::UnknownNode`].
    pub fn probe(&self, node_idx: usize) -> Result<&ProbeModel, FieldError> {
        self.probes.get(node_idx).ok_or(FieldError::UnknownNode(node_idx))
    }

    /// Breaks or repairs a node's probe.
    ///
    /// # Errors
    /// [`FieldError::UnknownNode`].
    pub fn set_probe_fault(&mut self, node_idx: usize, fault: ProbeFault) -> Result<(), FieldError> {
        self.probes.get_mut(node_idx).ok_or(FieldError::UnknownNode(node_idx))?.set_fault(fault);
        Ok(())
    }

    /// Breaks or repairs a zone's valve or pipes; takes effect with the next minute or move of a valve.
    ///
    /// # Errors
    /// [`FieldError::UnknownZone`].
    pub fn set_hydraulic_fault(&mut self, zone_idx: usize, fault: HydraulicFault) -> Result<(), FieldError> {
        self.site.zone_mut(zone_idx).ok_or(FieldError::UnknownZone(zone_idx))?.set_fault(fault);
        Ok(())
    }

    /// Lowers a node's battery by `weak_mv`.
    ///
    /// # Errors
    /// [`FieldError::UnknownNode`].
    pub fn set_battery_weak_mv(&mut self, node_idx: usize, weak_mv: u16) -> Result<(), FieldError> {
        self.batteries.get_mut(node_idx).ok_or(FieldError::UnknownNode(node_idx))?.set_weak_mv(weak_mv);
        Ok(())
    }

    pub(super) fn theta(&self, node_idx: usize) -> Result<f64, FieldError> {
        let node = self.nodes.get(node_idx).ok_or(FieldError::UnknownNode(node_idx))?;
        Ok(self.zone(node.zone_idx)?.soil().at_depth(node.depth_cm))
    }
}

/// Mean water content around a zone's two probes, m³/m³: what its thresholds are compared with.
pub(super) fn control_theta(zone: &FieldZone, spec: &ZoneSpec) -> f64 {
    let [shallow_cm, deep_cm] = spec.depths_cm;
    0.5 * (zone.soil().at_depth(shallow_cm) + zone.soil().at_depth(deep_cm))
}

/// A water content (m³/m³) in hundredths of a percent, held within what exists.
pub(super) fn permyriad(theta: f64) -> MoisturePermyriad {
    MoisturePermyriad::new(whole_u16(theta * 10_000.0)).unwrap_or(MoisturePermyriad::MAX)
}

/// Labels of the random streams of `n` like things.
pub(super) fn labels(n: usize) -> impl Iterator<Item = u64> {
    (0_u64..).take(n)
}
