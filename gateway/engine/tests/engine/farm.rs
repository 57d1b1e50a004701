//! Farms for tests: zones `z1`, `z2`, … on source `pump`, each with probe `p1`, … and node `v1`, ….

use std::collections::BTreeMap;

use giot_engine::program::{
    Anchor, Clock, Crossing, DayRule, Group, MinuteOfDay, Program, Season, Sequence, StartRule, Step, Target,
    Windows,
};
use giot_engine::{
    DayWindow, MetricName, Plan, ProbeRef, SoilRule, SourcePlan, Timing, ValveRef, ZoneGuards, ZoneId,
    ZonePlan,
};
use giot_shared::ids::{NodeId, ValveId};
use giot_shared::units::MoisturePermyriad;

pub(crate) fn permyriad(value: u16) -> MoisturePermyriad {
    MoisturePermyriad::new(value).unwrap()
}

pub(crate) fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

pub(crate) fn zone(name: &str) -> ZoneId {
    name.parse().unwrap()
}

pub(crate) fn metric() -> MetricName {
    "soil_moisture".parse().unwrap()
}

pub(crate) fn probe(device: &str) -> ProbeRef {
    ProbeRef { device: node(device), metric: metric() }
}

/// Zone number `n` from 1: start below 20 %, stop above 30 %, leases of 10 minutes, runs of at most 30.
pub(crate) fn zone_plan(n: usize) -> ZonePlan {
    ZonePlan {
        source: "pump".parse().unwrap(),
        flow: None,
        area_dm2: None,
        n_plants: None,
        cycle: None,
        group: Group::default(),
        valve: ValveRef { node: node(&format!("v{n}")), valve: ValveId(0) },
        probes: vec![probe(&format!("p{n}"))],
        weights: Vec::new(),
        soil: SoilRule::Moisture { start_below: permyriad(2000), stop_above: permyriad(3000) },
        window: DayWindow::ALWAYS,
        no_water: Vec::new(),
        lease_s: 600,
        run_max_s: 1800,
        skip_below_s: 0,
        run_least_s: 0,
        min_off_s: 600,
        fresh_s: 3600,
        plausible: (permyriad(100).into(), permyriad(6000).into()),
        rate_max: permyriad(1000).into(),
        stuck_s: 86_400,
        automatic: true,
        guards: ZoneGuards::default(),
    }
}

pub(crate) fn farm(n_zones: usize) -> Plan {
    let zones: BTreeMap<ZoneId, ZonePlan> =
        (1..=n_zones).map(|n| (zone(&format!("z{n}")), zone_plan(n))).collect();
    Plan {
        zones,
        sources: [("pump".parse().unwrap(), SourcePlan::default())].into(),
        utc_offset_min: 420,
        timing: Timing::default(),
        ..Plan::default()
    }
}

/// A zone of a plan, to be changed.
pub(crate) fn zone_of<'a>(plan: &'a mut Plan, name: &str) -> &'a mut ZonePlan {
    plan.zones.get_mut(&zone(name)).unwrap()
}

/// Every day at a time, by the farm's clock.
pub(crate) fn at_hour(hour: u16, minute: u16) -> StartRule {
    StartRule {
        clock: Clock::At(MinuteOfDay::new(hour, minute).unwrap()),
        anchor: Anchor::Start,
        repeat: None,
    }
}

/// Zones and minutes, one after another, every day at 07:10, ten minutes after the scripts begin.
pub(crate) fn program(steps: &[(&str, u32)]) -> Program {
    let steps = steps.iter().map(|(name, minutes)| Step::of(zone(name), Target::minutes(*minutes))).collect();
    Program {
        days: DayRule::default(),
        starts: vec![at_hour(7, 10)],
        sequence: Sequence::of(steps),
        total_ms: None,
        season: Season::NONE,
        windows: Windows::default(),
        crossing: Crossing::Cut,
        catch_up_min: 0,
    }
}
