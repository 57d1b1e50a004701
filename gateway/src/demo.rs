//! A simulated cooperative around a real gateway: the field of the host board, twelve real nodes over real MQTT, thirty
//! days of history. What the page shows is what a farm would show; only soil, weather and water are computed.
//!
//! Only the demo uses this. It writes the past straight into the store, since nobody wants to wait for thirty days of
//! messages, and everything from the start on goes the usual way.

use crate::config::Settings;
use crate::hub::codec;
use crate::hub::registry::Device;
use crate::ingest::series_name;
use crate::quality::Quality;
use giot_board_host::field::{Farm, FieldSeed, History, NodeSpec, PastRun, PastSample, RunEnd, ZoneSpec};
use giot_board_host::{BoardSetup, FlashStore, SimClock, run_node};
use giot_engine::program::Date;
use giot_engine::{By, Entry, Event, Reason, Timing};
use giot_firmware::probe::{ProbeFault, Sample};
use giot_firmware::settings::{MeterPlan, NodeConfig, ProbePlan, ValveKind, ValvePlan};
use giot_shared::ids::{CommandId, NodeId, ProbeId, ValveId};
use giot_shared::metric::Metric;
use giot_shared::time::{MonoMs, UnixMs};
use giot_shared::units::{Millilitres, Millivolts, MoisturePermyriad};
use giot_store::{Batch, DeviceSamples, MetricSample, ValveEventRow, Writer};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Days of history that the demo begins with.
pub const HISTORY_DAYS: u32 = 30;

/// The farm's valve on each node that has one.
const VALVE: ValveId = ValveId(0);
/// The soil probe of each node, and the water meter beside it.
const SOIL: ProbeId = ProbeId(0);
const METER: ProbeId = ProbeId(1);

/// One run of the demo's zones; their soil answers within an hour.
const RUN_MAX_S: u32 = 90 * 60;
const LEASE_S: u32 = 20 * 60;
const HARD_MAX_S: u32 = 2 * 3600;

/// What one household does by the calendar: its longan every third evening, 90 litres to a tree. That is what a tree draws
/// in three dry days of 3 mm from the 5 m² that its emitters wet, twice as much as elsewhere; it takes an hour and more.
const LONGAN_ZONE: &str = "nhan-1";
const LONGAN_PROGRAM: (&str, &str) = ("nhan-toi", "Nhãn buổi tối");
const LONGAN_EVERY_DAYS: u16 = 3;
const LONGAN_START: (u16, u16) = (18, 30);
const LONGAN_LITRES: u32 = 90;
const LONGAN_CATCH_UP_MIN: u16 = 60;

/// Samples of one batch: far below the store's bound, and one commit each.
const BATCH_SAMPLES: usize = 20_000;

/// The simulated farm, shared by its boards.
#[derive(Clone, Debug)]
pub struct Orchard {
    farm: Arc<Mutex<Farm>>,
    nodes: Vec<NodeSpec>,
}

impl Orchard {
    /// The farm at `start`, with its past.
    #[must_use]
    pub fn new(seed: u64, start: UnixMs) -> (Self, History) {
        let (farm, history) = Farm::demo_with_history(FieldSeed(seed), start, HISTORY_DAYS);
        let nodes = farm.nodes().to_vec();
        (Self { farm: Arc::new(Mutex::new(farm)), nodes }, history)
    }

    fn farm(&self) -> MutexGuard<'_, Farm> {
        self.farm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ids of its nodes.
    ///
    /// # Errors
    /// Never for the farm as it is.
    pub fn node_ids(&self) -> anyhow::Result<Vec<NodeId>> {
        self.nodes.iter().map(|node| Ok(node.id.parse()?)).collect()
    }

    /// The farm as a file: what a gateway of it runs by.
    ///
    /// # Errors
    /// A zone without a valve, which does not happen for the farm as it is.
    pub fn farm_file(&self) -> anyhow::Result<String> {
        let farm = self.farm();
        let source = farm.source();
        let mut text = format!(
            "# The demo's cooperative. Change it here: what is saved is in force at once.\n\
             cooperative = \"{}\"\n\n[[source]]\nid = \"{}\"\nname = \"{}\"\n",
            farm.cooperative(),
            source.id,
            source.name
        );
        for (zone_idx, zone) in farm.zones().iter().enumerate() {
            let nodes: Vec<&NodeSpec> = self.nodes.iter().filter(|node| node.zone_idx == zone_idx).collect();
            let valve = nodes.iter().find(|node| node.has_valve);
            let valve = valve.ok_or_else(|| anyhow::anyhow!("zone {} of the demo has no valve", zone.id))?;
            zone_text(&mut text, zone, source.id, valve, &nodes)?;
        }
        let today = Date::of(farm.now(), Settings::default().plan.utc_offset_min);
        let ((id, name), (hour, minute)) = (LONGAN_PROGRAM, LONGAN_START);
        write!(
            text,
            "\n[[program]]\nid = \"{id}\"\nname = \"{name}\"\n\
             days = {{ every_days = {LONGAN_EVERY_DAYS}, counted_from = \"{today}\" }}\n\
             starts = [\"{hour:02}:{minute:02}\"]\n\
             steps = [{{ zone = \"{LONGAN_ZONE}\", litres_per_plant = {LONGAN_LITRES} }}]\n\
             catch_up_min = {LONGAN_CATCH_UP_MIN}\n"
        )?;
        Ok(text)
    }

    /// Writes the past into the store.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn write_history(
        &self,
        history: &History,
        writer: &Writer,
        progress: impl Fn(usize),
    ) -> anyhow::Result<()> {
        for samples in history.samples.chunks(BATCH_SAMPLES) {
            let batch = Batch { samples: self.device_samples(samples), ..Batch::default() };
            writer.commit(batch).await?;
            progress(samples.len());
        }
        let mut batch = Batch::default();
        for (run_idx, run) in history.runs.iter().enumerate() {
            self.past_run(run_idx, run, &mut batch)?;
        }
        Ok(writer.commit(batch).await?)
    }

    fn device_samples(&self, past: &[PastSample]) -> Vec<DeviceSamples> {
        let mut devices: BTreeMap<usize, Vec<MetricSample>> = BTreeMap::new();
        let soil: Arc<str> = series_name(Metric::SoilMoisture, SOIL.0).into();
        let raw: Arc<str> = format!("{soil}_raw").into();
        let battery: Arc<str> = Metric::Battery.name().into();
        for sample in past {
            let at_us = sample.at.0.saturating_mul(1000);
            let mut push = |metric: &Arc<str>, value: Option<f64>, quality: Quality| {
                let row = MetricSample { metric: metric.clone(), at_us, value, quality: quality.byte() };
                devices.entry(sample.node_idx).or_default().push(row);
            };
            let quality = if sample.moisture.is_some() { Quality::Good } else { Quality::OutOfRange };
            push(&soil, sample.moisture.map(MoisturePermyriad::percent), quality);
            push(&raw, Some(f64::from(sample.probe.0)), quality);
            push(&battery, Some(f64::from(sample.battery.0)), Quality::Good);
        }
        let named = devices.into_iter().filter_map(|(node_idx, samples)| {
            Some(DeviceSamples { device: self.nodes.get(node_idx)?.id.into(), samples })
        });
        named.collect()
    }

    fn past_run(&self, run_idx: usize, run: &PastRun, batch: &mut Batch) -> anyhow::Result<()> {
        let farm = self.farm();
        let (Some(zone), Some(node)) = (
            farm.zones().get(run.zone_idx),
            self.nodes.iter().find(|node| node.zone_idx == run.zone_idx && node.has_valve),
        ) else {
            return Ok(());
        };
        // Epoch 0 is before every boot: the past of a simulation never meets a node's own records.
        let seq = u64::try_from(run_idx)?.saturating_mul(2);
        let command = seq.saturating_add(1);
        let run_ms = run.closed_at.since_ms(run.opened_at);
        let event = |at: UnixMs, open: bool| ValveEventRow {
            node: node.id.into(),
            valve: VALVE.0,
            at_us: at.0.saturating_mul(1000),
            uncertainty_us: 0,
            open,
            command: Some(command),
            closed_by: (!open).then(|| "commanded".to_owned()),
            run_ms: if open { 0 } else { run_ms },
            volume_ml: (!open).then_some(run.delivered_ml),
            epoch: 0,
            seq: if open { seq } else { command },
        };
        batch.valve_events.push(event(run.opened_at, true));
        batch.valve_events.push(event(run.closed_at, false));
        let (start_below, stop_above) = (zone.start_below(), zone.stop_above());
        let (stopped_by, stop) = match run.end {
            RunEnd::SoilWet => (By::Engine, Reason::SoilWet { moisture: run.moisture_after, stop_above }),
            RunEnd::RunTimeReached => (By::Engine, Reason::RunTimeReached { run_s: run_ms / 1000 }),
            RunEnd::Person => (By::Person(zone.household.to_owned()), Reason::ManualStop {}),
        };
        let start = Reason::SoilDry { moisture: run.moisture_before, start_below };
        let entry = |at: UnixMs, event: Event, by: By, reason: Reason| Entry {
            at: Some(at),
            mono: MonoMs(0),
            zone: zone.id.parse().ok(),
            event,
            command: Some(CommandId(command)),
            by,
            reason,
            run_ms: (event == Event::Stopped).then_some(run_ms),
            volume: (event == Event::Stopped)
                .then(|| Millilitres(u32::try_from(run.delivered_ml).unwrap_or(u32::MAX))),
        };
        for entry in [
            entry(run.opened_at, Event::Started, By::Engine, start),
            entry(run.closed_at, Event::Stopped, stopped_by, stop),
        ] {
            let recorded_us = entry.at.map_or(0, |at| at.0.saturating_mul(1000));
            batch.diary.push(codec::diary_entry(&entry, recorded_us));
        }
        Ok(())
    }

    /// Starts one task for each node; they end with `stop`.
    ///
    /// # Errors
    /// When a node's settings cannot be made, which does not happen for the farm as it is.
    pub fn start_nodes(
        &self,
        clock: &SimClock,
        broker: &str,
        devices: &BTreeMap<NodeId, Device>,
        stop: &tokio::sync::watch::Receiver<bool>,
    ) -> anyhow::Result<tokio::task::JoinSet<anyhow::Result<()>>> {
        let mut tasks = tokio::task::JoinSet::new();
        for (node_idx, node) in self.nodes.iter().enumerate() {
            let id: NodeId = node.id.parse()?;
            let device = devices.get(&id).ok_or_else(|| anyhow::anyhow!("node {id} has no key"))?;
            let config = self.node_config(node_idx, node, id, device)?;
            let setup = self.board(node_idx, node, *clock, broker);
            let mut stop = stop.clone();
            tasks.spawn(async move {
                let stopped = async move {
                    // An error means that the sender is gone, which is a stop as well.
                    stop.wait_for(|stop| *stop).await.ok();
                };
                run_node(config, setup, stopped).await.map_err(|error| anyhow::anyhow!("{error}"))
            });
        }
        Ok(tasks)
    }

    fn node_config(
        &self,
        node_idx: usize,
        node: &NodeSpec,
        id: NodeId,
        device: &Device,
    ) -> anyhow::Result<NodeConfig> {
        let farm = self.farm();
        let full = |_| anyhow::anyhow!("too many probes or valves on one node");
        let mut config = NodeConfig::new(id, device.key.clone());
        let mut probe = ProbePlan::new(SOIL, Metric::SoilMoisture);
        probe.calibration = Some(farm.calibration(node_idx)?);
        probe.valve = node.has_valve.then_some(VALVE);
        config.probes.push(probe).map_err(full)?;
        if node.has_valve {
            let valve = ValvePlan {
                valve: VALVE,
                hard_max_s: HARD_MAX_S,
                local_run_s: LEASE_S,
                kind: ValveKind::Relay,
            };
            config.valves.push(valve).map_err(|_| anyhow::anyhow!("too many valves on one node"))?;
            let microlitres_per_pulse = farm.pulse_ml().saturating_mul(1000);
            config.meter = Some(MeterPlan { probe: METER, microlitres_per_pulse });
        }
        Ok(config)
    }

    fn board(&self, node_idx: usize, node: &NodeSpec, clock: SimClock, broker: &str) -> BoardSetup {
        let mut setup = BoardSetup::new(clock, broker.to_owned(), FlashStore::memory());
        let orchard = self.clone();
        let read = move |at: UnixMs| {
            let mv = orchard.farm().read_probe_mv(node_idx, at).map_err(|_| ProbeFault::NoAnswer)?;
            Ok(Sample::Analog { raw: Millivolts(mv), spread_mv: 0 })
        };
        setup.probes.insert(SOIL, Box::new(read));
        let orchard = self.clone();
        setup.supply = Some(Box::new(move |at: UnixMs| {
            Millivolts(orchard.farm().battery_mv(node_idx, at).unwrap_or(0))
        }));
        if node.has_valve {
            let (orchard, zone_idx) = (self.clone(), node.zone_idx);
            let drive = move |at: UnixMs, open: bool| {
                if let Err(error) = orchard.farm().set_valve(zone_idx, open, at) {
                    tracing::error!(%error, "the simulated valve does not move");
                }
            };
            setup.valves.insert(VALVE, Box::new(drive));
            let orchard = self.clone();
            let mut seen = None;
            let pulses = move |at: UnixMs| {
                let total = orchard.farm().flow_pulses(node_idx, at).unwrap_or(0);
                let before = seen.replace(total).unwrap_or(total);
                u32::try_from(total.saturating_sub(before)).unwrap_or(u32::MAX)
            };
            setup.meter = Some(Box::new(pulses));
        }
        setup
    }
}

/// Time runs fast in a demo and messages do not: two minutes of it are two seconds of the machine.
pub const TIMING: Timing = Timing {
    answer_s: 120,
    confirm_s: 120,
    ttl_s: 120,
    margin_s: 60,
    retry_later_s: 30,
    quarantine_s: 300,
    quarantine_s_max: 6 * 3600,
    person_rest_s: 3600,
    patience_s: 1800,
    node_run_s_max: 8 * 3600,
};

/// A zone as a table of the farm's file.
fn zone_text(
    text: &mut String,
    zone: &ZoneSpec,
    source: &str,
    valve: &NodeSpec,
    nodes: &[&NodeSpec],
) -> anyhow::Result<()> {
    let (layout, metric) = (&zone.layout, series_name(Metric::SoilMoisture, SOIL.0));
    writeln!(
        text,
        "\n[[zone]]\nid = \"{}\"\nname = \"{}\"\nhousehold = \"{}\"\ncrop = \"{}\"\nsource = \"{source}\"\n\
         flow_l_per_h = {}\narea_m2 = {}\nplants = {}\nvalve = {{ node = \"{}\", valve = {} }}\nprobes = [",
        zone.id,
        zone.name,
        zone.household,
        zone.crop_name,
        layout.nominal_ml_h() / 1000,
        layout.area_m2,
        layout.n_plants,
        valve.id,
        VALVE.0
    )?;
    for node in nodes {
        let (id, depth_cm) = (&node.id, node.depth_cm);
        writeln!(text, "    {{ device = \"{id}\", metric = \"{metric}\", depth_cm = {depth_cm} }},")?;
    }
    writeln!(
        text,
        "]\nstart_below_percent = {:?}\nstop_above_percent = {:?}\nlease_min = {}\nrun_max_min = {}",
        zone.start_below().percent(),
        zone.stop_above().percent(),
        LEASE_S / 60,
        RUN_MAX_S / 60
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::compile;

    #[test]
    fn the_plan_is_sound_and_its_first_program_evening_is_today() {
        let start = Farm::demo_start(UnixMs(1_790_000_000_000));
        let (orchard, _) = Orchard::new(1, start);
        let settings = compile("demo", &orchard.farm_file().unwrap()).unwrap();
        assert_eq!((settings.plan.zones.len(), settings.zone_labels.len()), (6, 6));
        let program = settings.plan.programs.get(&LONGAN_PROGRAM.0.parse().unwrap()).unwrap();
        let today = Date::of(start, settings.plan.utc_offset_min);
        for (n_days, is_on) in [(0, true), (1, false), (2, false), (3, true)] {
            assert_eq!(program.days.contains(today.plus_days(n_days)), is_on, "day {n_days}");
        }
    }
}
