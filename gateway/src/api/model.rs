//! Shapes of the API's JSON, and how they are made from the core's types. Numbers are in the units of people: % of volume,
//! litres, seconds, milliseconds since 1970.

use giot_engine::{Level, Reason as EngineReason, SoilRule, ZoneState, ZoneView};
use giot_shared::time::UnixMs;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::sources::{self, Source};
use crate::clock::Clock;
use crate::config::Settings;
use crate::hub::view::{DeviceState, FarmView};
use crate::hub::{codec, news};
use crate::sinks::sender::{SinkView, Views};
use giot_store::{DiaryEntry as StoredEntry, DiaryRow};

/// The farm at one look.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Overview {
    /// The gateway's clock.
    now: i64,
    /// Whether that clock can be believed; nothing is watered by schedule otherwise.
    clock_set: bool,
    /// Set when all this is simulated.
    demo: Option<Demo>,
    /// Version of the gateway.
    version: &'static str,
    /// Minutes east of UTC in which the farm counts its days.
    utc_offset_min: i32,
    /// Name of the cooperative.
    cooperative: String,
    /// Water sources.
    sources: Vec<Source>,
    /// Programs.
    programs: Vec<Named>,
    /// Zones by id.
    zones: Vec<Zone>,
    /// Devices by id.
    nodes: Vec<Node>,
    /// Stores outside that get the history.
    sinks: Vec<Sink>,
}

/// A time-series store outside.
#[derive(Debug, Serialize, ToSchema)]
struct Sink {
    name: String,
    /// new, ok, away, busy, forbidden, unknown or rejecting.
    state: &'static str,
    /// Since when.
    since: i64,
    /// When it last took something.
    taken_at: Option<i64>,
    /// Readings and diary entries that wait for it, about.
    waiting: u64,
    /// The earliest of them.
    oldest: Option<i64>,
    /// Lines that it refused for good.
    refused: u64,
}

/// A simulation's pace.
#[derive(Debug, Serialize, ToSchema)]
struct Demo {
    /// How many times as fast as the world time runs.
    speed: u32,
}

/// What people call a program.
#[derive(Debug, Serialize, ToSchema)]
struct Named {
    id: String,
    name: String,
}

/// One irrigation zone.
#[derive(Debug, Serialize, ToSchema)]
struct Zone {
    id: String,
    name: String,
    household: String,
    source: String,
    crop: Option<String>,
    /// The crop's variety.
    variety: Option<String>,
    /// The plot that it lies in.
    plot: Option<String>,
    /// The code of the planting area.
    planting_area_code: Option<String>,
    /// Programs leave it out before.
    suspended_until: Option<i64>,
    /// What the fresh, good probes say together; % of volume. Null where they read tension.
    moisture: Option<f64>,
    /// Time of the oldest reading behind `soil`.
    moisture_at: Option<i64>,
    /// How dry it is, in the unit of its probes.
    soil: Soil,
    /// Its water is counted, so that it has a balance.
    has_balance: bool,
    /// Older readings count as stale, seconds.
    fresh_s: u32,
    /// Starts by itself.
    automatic: bool,
    /// idle, waiting, sent, accepted, open, closing, unknown, fault or locked: what was last confirmed, never the wish.
    state: &'static str,
    /// Since when.
    since: Option<i64>,
    /// When the present run ends at the latest, its leases renewed.
    until: Option<i64>,
    /// A person started the present run.
    manual: bool,
    /// What it waits for.
    waiting_for: Option<Reason>,
    /// The last decision.
    last_reason: Option<Reason>,
    /// When that was.
    last_reason_at: Option<i64>,
    /// What kind it was.
    last_event: Option<String>,
    probes: Vec<Probe>,
    /// Longest manual run, minutes.
    run_minutes_max: f64,
    valve: Valve,
}

/// How dry a zone is, and when it is watered by that.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Soil {
    /// What the fresh, good probes say together.
    value: Option<f64>,
    /// % (of the soil's volume; dry is low) or kPa (tension; dry is high).
    unit: &'static str,
    /// It starts beyond.
    start: f64,
    /// It stops beyond.
    stop: f64,
    /// The same as shares of the soil's available water, where the zone goes by them.
    depletion: Option<DepletionOfZone>,
}

/// How much of the soil's available water is used up, %.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DepletionOfZone {
    value: Option<f64>,
    /// It starts above.
    start: f64,
    /// It stops below.
    stop: f64,
    /// % of the soil's volume.
    field_capacity: f64,
    /// % of the soil's volume.
    wilting_point: f64,
}

impl Soil {
    pub(super) fn of(rule: &SoilRule, level: Option<Level>) -> Self {
        let depletion = if let SoilRule::Depletion { soil, start_above, stop_below } = rule {
            Some(DepletionOfZone {
                value: level.and_then(Level::moisture).map(|moisture| soil.depletion(moisture).percent()),
                start: start_above.percent(),
                stop: stop_below.percent(),
                field_capacity: soil.field_capacity.percent(),
                wilting_point: soil.wilting_point.percent(),
            })
        } else {
            None
        };
        Self {
            value: level.map(Level::in_unit),
            unit: if rule.is_tension() { "kPa" } else { "%" },
            start: rule.start().in_unit(),
            stop: rule.stop().in_unit(),
            depletion,
        }
    }
}

/// Where a zone's valve is.
#[derive(Debug, Serialize, ToSchema)]
struct Valve {
    node: String,
    valve: u8,
}

/// One probe of a zone.
#[derive(Debug, Serialize, ToSchema)]
struct Probe {
    device: String,
    metric: String,
    depth_cm: Option<u16>,
    /// In the unit of the zone's `soil`.
    value: Option<f64>,
    /// When it was read.
    at: Option<i64>,
    /// What it is worth: the engine's word.
    quality: &'static str,
}

/// One device.
#[derive(Debug, Serialize, ToSchema)]
struct Node {
    id: String,
    label: String,
    /// node, station or json.
    kind: &'static str,
    online: bool,
    registered: bool,
    /// When it was last heard.
    last_seen: Option<i64>,
    battery_mv: Option<f64>,
    /// Its last boot that was no waking up from a sleep; null: not heard yet.
    restart: Option<Restart>,
    /// How often it began anew within the last day because something failed.
    n_failed_restarts: usize,
    /// Whether that is so often that somebody should look at it.
    restless: bool,
    /// The readings that its full memory gave up last.
    lost: Option<Lost>,
    /// All records that it ever gave up.
    n_lost: u64,
}

/// A boot of a node.
#[derive(Debug, Serialize, ToSchema)]
struct Restart {
    /// When, ms.
    at: i64,
    /// power_on, brown_out, watchdog, panic, software or unknown.
    cause: &'static str,
    /// Number of the boot.
    epoch: u32,
}

/// Readings that are lost.
#[derive(Debug, Serialize, ToSchema)]
struct Lost {
    n_records: u32,
    /// The record before them was made then, ms.
    from: i64,
    /// They were made before then, ms.
    to: i64,
}

/// Why: a stable code and its numbers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Reason {
    code: String,
    #[schema(value_type = Object)]
    args: Map<String, Value>,
}

/// One entry of the irrigation diary.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiaryEntry {
    /// Place in the chain, from 1 without gaps.
    id: i64,
    /// When; null while the gateway's clock was not set.
    at: Option<i64>,
    zone: Option<String>,
    /// What happened.
    event: String,
    /// engine, person or node.
    by: String,
    person: Option<String>,
    reason: Reason,
    /// How long water ran, as the node measured it.
    run_s: Option<f64>,
    /// How much, as the node measured it.
    litres: Option<f64>,
}

/// A reason for JSON.
pub(super) fn reason(reason: &EngineReason) -> Reason {
    Reason { code: reason.code().to_owned(), args: codec::args_for_people(reason) }
}

/// The reason of a stored entry.
pub(super) fn stored_reason(entry: &StoredEntry) -> Reason {
    let args = serde_json::from_str(&entry.args).unwrap_or_default();
    Reason { code: entry.reason.clone(), args }
}

/// A stored diary entry for JSON.
#[expect(clippy::cast_precision_loss, reason = "spans and volumes of one run are far below 2^53")]
pub(super) fn diary_entry(row: &DiaryRow) -> DiaryEntry {
    let entry = &row.entry;
    DiaryEntry {
        id: row.id,
        at: entry.at_us.map(|at_us| at_us.div_euclid(1000)),
        zone: entry.zone.clone(),
        event: entry.event.clone(),
        by: entry.by.clone(),
        person: entry.person.clone(),
        reason: stored_reason(entry),
        run_s: entry.run_ms.map(|run_ms| run_ms as f64 / 1000.0),
        litres: entry.volume_ml.map(|ml| ml as f64 / 1000.0),
    }
}

/// The farm for JSON.
pub(super) fn overview(view: &FarmView, settings: &Settings, clock: &Clock, sinks: &Views) -> Overview {
    Overview {
        now: view.now.0,
        clock_set: view.clock_set,
        demo: clock.is_demo().then(|| Demo { speed: clock.speed() }),
        version: env!("CARGO_PKG_VERSION"),
        utc_offset_min: settings.plan.utc_offset_min,
        cooperative: settings.cooperative.clone(),
        sources: sources::all(view, settings),
        programs: named(&settings.program_names),
        zones: view.zones.iter().filter_map(|zone_view| zone(zone_view, view, settings)).collect(),
        nodes: view.devices.iter().map(|device| node(device, view.now)).collect(),
        sinks: sinks.values().map(|sink| self::sink(&sink.borrow())).collect(),
    }
}

fn sink(sink: &SinkView) -> Sink {
    Sink {
        name: sink.name.clone(),
        state: sink.state,
        since: sink.since_ms,
        taken_at: sink.taken_ms,
        waiting: sink.n_waiting,
        oldest: sink.oldest_ms,
        refused: sink.n_parked,
    }
}

fn named<Id: ToString>(names: &BTreeMap<Id, String>) -> Vec<Named> {
    names.iter().map(|(id, name)| Named { id: id.to_string(), name: name.clone() }).collect()
}

fn zone(zone: &ZoneView, view: &FarmView, settings: &Settings) -> Option<Zone> {
    let plan = settings.plan.zones.get(&zone.zone)?;
    let label = settings.zone_labels.get(&zone.zone).cloned().unwrap_or_default();
    let probes = zone.probes.iter().map(|probe| Probe {
        device: probe.probe.device.to_string(),
        metric: probe.probe.metric.to_string(),
        depth_cm: label.depth_cm.get(&probe.probe).copied(),
        value: probe.value.map(Level::in_unit),
        at: probe.at.map(|at| at.0),
        quality: probe.quality.code(),
    });
    let (until, waiting_for) = match &zone.state {
        ZoneState::Open { until, .. } | ZoneState::Closing { until, .. } => (Some(view.date(*until).0), None),
        ZoneState::Unknown { until } => {
            (Some(view.date(*until).0), Some(reason(&giot_engine::Reason::ValveUnknown {})))
        }
        ZoneState::Waiting { why } | ZoneState::Fault { why } => (None, Some(reason(why))),
        ZoneState::Idle { .. }
        | ZoneState::Sent { .. }
        | ZoneState::Accepted { .. }
        | ZoneState::Locked { .. } => (None, None),
    };
    let suspended = view.farm.zones_suspended_until.get(&zone.zone).filter(|until| **until > view.now);
    let last = zone.last.as_ref();
    let earlier = view.earlier.get(&zone.zone).filter(|_| last.is_none());
    Some(Zone {
        id: zone.zone.to_string(),
        name: label.name,
        household: label.household,
        source: plan.source.to_string(),
        crop: label.crop,
        variety: label.variety,
        plot: label.plot,
        planting_area_code: label.planting_area_code,
        suspended_until: suspended.map(|until| until.0),
        moisture: zone.level.filter(|_| !plan.soil.is_tension()).map(Level::in_unit),
        moisture_at: zone.level_age_ms.map(|age_ms| view.now.minus_ms(age_ms).0),
        soil: Soil::of(&plan.soil, zone.level),
        has_balance: settings.balances.contains_key(&zone.zone),
        fresh_s: plan.fresh_s,
        automatic: plan.automatic,
        state: zone.state.code(),
        since: Some(view.date(zone.since).0),
        until,
        manual: zone.manual,
        waiting_for,
        last_reason: last.map(|last| reason(&last.reason)).or_else(|| earlier.map(stored_reason)),
        last_reason_at: last
            .map(|last| last.at.unwrap_or_else(|| view.date(last.mono)).0)
            .or_else(|| earlier.and_then(|entry| Some(entry.at_us?.div_euclid(1000)))),
        last_event: last
            .map(|last| last.event.code().to_owned())
            .or_else(|| earlier.map(|e| e.event.clone())),
        probes: probes.collect(),
        run_minutes_max: f64::from(plan.run_max_s) / 60.0,
        valve: Valve { node: plan.valve.node.to_string(), valve: plan.valve.valve.0 },
    })
}

fn node(device: &DeviceState, now: UnixMs) -> Node {
    let news = &device.news;
    let restart = |restart: news::Restart| Restart {
        at: restart.at.0,
        cause: restart.cause.code(),
        epoch: restart.epoch,
    };
    let lost = |loss: news::Loss| Lost { n_records: loss.n_records, from: loss.from.0, to: loss.to.0 };
    Node {
        id: device.id.to_string(),
        label: device.label.clone(),
        kind: device.kind,
        online: device.is_online,
        registered: device.is_registered,
        last_seen: device.heard_at.map(|UnixMs(at)| at),
        battery_mv: device.battery_mv,
        restart: news.restart.map(restart),
        n_failed_restarts: news.n_failed(now),
        restless: news.is_restless(now),
        lost: news.loss.map(lost),
        n_lost: news.n_lost,
    }
}
