//! The farm of a season: three households on a tree of sources, zones by the soil and by the calendar. Data only.
//!
//! One lake feeds a pump a household; each pump feeds three sections: two with a capacity, one that carries a zone at a
//! time. A master valve stands before one section. Two zones share a node, each pump and master valve has its own. The plan is sound for every seed: a problem in it is an error of the simulation.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use giot_board_host::field::{CropCurve, SoilKind};
use giot_engine::program::{
    Clock, Crossing, Cycle, DayRule, Group, MinuteOfDay, Place, Program, Season, Sequence, StartRule, Step,
    SunOffset, Target, Window, Windows,
};
use giot_engine::{
    DayWindow, Depletion, HeldWater, Meter, MeterKind, Plan, ProbeRef, ProgramId, PumpKind, PumpPlan,
    SoilRule, SourceId, SourcePlan, Timing, ValveRef, WaterResponse, ZoneGuards, ZoneId, ZonePlan,
};
use giot_shared::ids::{NodeId, ValveId};
use giot_shared::metric::Metric;
use giot_shared::units::{LitresPerHour, Millilitres, MoisturePermyriad};

use super::dice::Dice;
use super::station::Station;
use crate::ingest::series_name;

/// Households of the cooperative.
const N_HOUSEHOLDS: usize = 3;

/// Zones on one node.
const ZONES_A_NODE: usize = 2;

/// Every so many zones, one has no probe at its node but a station, every second of which dates its readings.
const ZONES_A_STATION: usize = 6;

/// Of so many zones in a thousand a run may be longer than their node keeps a valve open at a time.
const LONG_PERMILLE: u64 = 120;

/// Of so many zones in a thousand a meter at their node sees their water; of the first always.
const METERED_PERMILLE: u64 = 250;

/// The pump whose electricity is dear in the evening.
const DEAR: &str = "pump-1";

/// Steps of one program: several hours of water.
const STEPS_A_PROGRAM: usize = 6;

/// Longest time that a node keeps a valve open on its own, seconds.
pub(super) const NODE_RUN_S_MAX: u32 = 4 * 3600;

/// A longer run than this is given by the calendar in its full length, seconds: the nodes close after two hours.
const LONG_RUN_S: u32 = 7200;

/// Plum on bare ground: FAO-56 tables 11, 12 and 17 (stone fruit).
const PLUM: CropCurve = CropCurve {
    kc_ini: 0.55,
    kc_mid: 0.90,
    kc_end: 0.65,
    begins_day: 31.0,
    stage_days: [20.0, 70.0, 120.0, 60.0],
};

/// What the ground below a zone is like.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    pub(super) node_idx: usize,
    /// Which of its node's valves.
    pub(super) line_idx: usize,
    pub(super) first_probe: u8,
    pub(super) n_probes: u8,
    pub(super) soil: SoilKind,
    pub(super) crop: CropCurve,
    pub(super) wetted_m2: u32,
    /// What its emitters really take at working pressure.
    pub(super) flow_l_h: u32,
    /// What the plan says that they take.
    pub(super) planned_l_h: Option<u32>,
    /// Water of one pulse of its meter, ml; `None`: it has none.
    pub(super) pulse_ml: Option<u32>,
}

/// A source, with the zones that it feeds through whatever pipes.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) source: SourceId,
    pub(super) capacity_l_h: Option<u32>,
    pub(super) zones: Vec<usize>,
}

/// The plan and the ground below it.
#[derive(Clone, Debug)]
pub(super) struct Farm {
    pub(super) plan: Plan,
    /// In the order of the plan's zones.
    pub(super) zone_ids: Vec<ZoneId>,
    pub(super) grounds: Vec<Ground>,
    pub(super) node_ids: Vec<NodeId>,
    /// By zone: the nodes of the pumps and master valves on its way.
    pub(super) pumps_of_zone: Vec<Vec<usize>>,
    /// Each source with the zones that it feeds.
    pub(super) branches: Vec<Branch>,
    /// By pump or master valve, in the order of their nodes: the zones below it.
    zones_of_pump: Vec<Vec<usize>>,
    /// The sources of pumps and master valves; their nodes stand behind those of the zones, in this order.
    pump_sources: Vec<SourceId>,
    /// Zones that a station measures, and whether it dates its readings.
    pub(super) stations: BTreeMap<usize, bool>,
}

impl Farm {
    /// A farm for a seed.
    ///
    /// # Errors
    /// When the plan has a problem, which is an error of this file.
    pub(super) fn new(n_zones: usize, dice: &mut Dice) -> anyhow::Result<Self> {
        let mut farm = Self {
            plan: Plan {
                utc_offset_min: 420,
                place: Place::new(21.33, 103.92),
                timing: Timing { node_run_s_max: NODE_RUN_S_MAX, ..Timing::default() },
                sources: sources(dice)?,
                ..Plan::default()
            },
            zone_ids: Vec::with_capacity(n_zones),
            grounds: Vec::with_capacity(n_zones),
            node_ids: Vec::new(),
            pumps_of_zone: Vec::new(),
            branches: Vec::new(),
            zones_of_pump: Vec::new(),
            pump_sources: Vec::new(),
            stations: BTreeMap::new(),
        };
        let mut by_calendar = BTreeMap::new();
        for idx in 0..n_zones {
            farm.add_zone(idx, &mut by_calendar, dice)?;
        }
        for (household, steps) in by_calendar {
            for (nth, steps) in steps.chunks(STEPS_A_PROGRAM).enumerate() {
                let id: ProgramId = format!("h{household}-{nth}").parse()?;
                farm.plan.programs.insert(id, program(steps, dice).context("a program")?);
            }
        }
        farm.add_pump_nodes();
        let problems = farm.plan.check();
        ensure!(problems.is_empty(), "the farm of the season is not sound: {problems:?}");
        Ok(farm)
    }

    /// The stations, in the order of their zones.
    pub(super) fn new_stations(&self) -> Vec<Station> {
        let station = |(zone_idx, has_clock): (&usize, &bool)| {
            Some(Station::new(station_id(*zone_idx).ok()?, *zone_idx, *has_clock))
        };
        self.stations.iter().filter_map(station).collect()
    }

    /// The zones of a node, in the order of its valves.
    pub(super) fn zones_of(&self, node_idx: usize) -> std::ops::Range<usize> {
        let first = node_idx.saturating_mul(ZONES_A_NODE);
        first..(first + ZONES_A_NODE).min(self.grounds.len())
    }

    /// The nodes of pumps and master valves.
    pub(super) fn pump_nodes(&self) -> std::ops::Range<usize> {
        self.node_ids.len() - self.pump_sources.len()..self.node_ids.len()
    }

    /// The source whose pump or master valve a node switches.
    pub(super) fn pump_source(&self, node_idx: usize) -> Option<&SourceId> {
        self.pump_sources.get(node_idx.checked_sub(self.pump_nodes().start)?)
    }

    /// The node of a source's pump or master valve.
    pub(super) fn pump_node(&self, source: &SourceId) -> Option<usize> {
        let nth = self.pump_sources.iter().position(|of| of == source)?;
        Some(self.pump_nodes().start + nth)
    }

    fn add_pump_nodes(&mut self) {
        for (source, plan) in &self.plan.sources {
            if let Some(pump) = &plan.pump {
                self.pump_sources.push(source.clone());
                self.node_ids.push(pump.valve.node.clone());
            }
        }
        for zone in self.plan.zones.values() {
            let mut pumps = Vec::new();
            let mut here = Some(&zone.source);
            while let Some(source) = here {
                pumps.extend(self.pump_node(source));
                here = self.plan.sources.get(source).and_then(|plan| plan.fed_by.as_ref());
            }
            self.pumps_of_zone.push(pumps);
        }
        let is_below = |node_idx: usize, zone_idx: &usize| {
            self.pumps_of_zone.get(*zone_idx).is_some_and(|pumps| pumps.contains(&node_idx))
        };
        let below =
            |node_idx| (0..self.zone_ids.len()).filter(|zone_idx| is_below(node_idx, zone_idx)).collect();
        self.zones_of_pump = self.pump_nodes().map(below).collect();
        let branch = |(source, plan): (&SourceId, &SourcePlan)| Branch {
            source: source.clone(),
            capacity_l_h: plan.capacity.map(|capacity| capacity.0),
            zones: (0..self.zone_ids.len()).filter(|zone_idx| self.is_fed_by(*zone_idx, source)).collect(),
        };
        self.branches = self.plan.sources.iter().map(branch).collect();
    }

    fn is_fed_by(&self, zone_idx: usize, source: &SourceId) -> bool {
        let plan = self.zone_ids.get(zone_idx).and_then(|id| self.plan.zones.get(id));
        let mut at = plan.map(|plan| &plan.source);
        while let Some(branch) = at {
            if branch == source {
                return true;
            }
            at = self.plan.sources.get(branch).and_then(|branch| branch.fed_by.as_ref());
        }
        false
    }

    /// The zones below the pump or master valve of a node.
    pub(super) fn zones_below(&self, node_idx: usize) -> &[usize] {
        let nth = node_idx.checked_sub(self.pump_nodes().start);
        nth.and_then(|nth| self.zones_of_pump.get(nth)).map_or(&[], Vec::as_slice)
    }

    fn add_zone(
        &mut self,
        idx: usize,
        by_calendar: &mut BTreeMap<usize, Vec<Step>>,
        dice: &mut Dice,
    ) -> anyhow::Result<()> {
        let id: ZoneId = format!("z{idx:03}").parse()?;
        let (node_idx, line_idx) = (idx / ZONES_A_NODE, idx % ZONES_A_NODE);
        let node: NodeId = format!("n{node_idx:03}").parse()?;
        if line_idx == 0 {
            self.node_ids.push(node.clone());
        }
        let n_probes = match dice.below(10) {
            0..6 => 1,
            6..8 => 2,
            _ => 3,
        };
        let first_probe = u8::try_from(line_idx * 4)?;
        let soils = [SoilKind::SANDY_LOAM, SoilKind::LOAM, SoilKind::SILTY_CLAY_LOAM];
        let soil = soils.get(dice.idx(soils.len())).copied().context("a soil")?;
        let flow_l_h = u32::try_from(dice.between(1500, 4500))?;
        // 10–14 mm/h on the wetted ground.
        let wetted_m2 = flow_l_h / u32::try_from(dice.between(10, 14))?;
        let mut ground = Ground {
            node_idx,
            line_idx,
            first_probe,
            n_probes,
            soil,
            crop: PLUM,
            wetted_m2,
            flow_l_h,
            planned_l_h: None,
            pulse_ml: (dice.permille(METERED_PERMILLE) || idx == 0)
                .then(|| if dice.permille(300) { 10_000 } else { 1000 }),
        };
        let household = idx * N_HOUSEHOLDS / self.zone_ids.capacity().max(1);
        let is_by_calendar = dice.permille(400);
        let is_automatic = !is_by_calendar || dice.permille(350);
        let mut plan = zone_plan(&ground, node, household, is_automatic, dice)?;
        ground.planned_l_h = plan.flow.map(|flow| flow.0);
        if idx % ZONES_A_STATION == ZONES_A_STATION - 1 {
            let metric = series_name(Metric::SoilMoisture, 0).parse()?;
            plan.probes = vec![ProbeRef { device: station_id(idx)?, metric }];
            self.stations.insert(idx, (idx / ZONES_A_STATION).is_multiple_of(2));
        }
        if is_by_calendar {
            let wanted = if plan.run_max_s > LONG_RUN_S {
                Target::minutes(plan.run_max_s / 60)
            } else {
                target(plan.flow.is_some(), dice)
            };
            let step = Step::of(id.clone(), wanted);
            by_calendar.entry(household).or_default().push(step);
        }
        self.plan.zones.insert(id.clone(), plan);
        self.zone_ids.push(id);
        self.grounds.push(ground);
        Ok(())
    }
}

/// The series of a zone's meter at its node.
pub(super) fn meter_name(ground: &Ground) -> String {
    series_name(Metric::WaterVolume, ground.first_probe)
}

fn station_id(zone_idx: usize) -> anyhow::Result<NodeId> {
    Ok(format!("j{zone_idx:03}").parse()?)
}

fn sources(dice: &mut Dice) -> anyhow::Result<BTreeMap<SourceId, SourcePlan>> {
    let mut sources = BTreeMap::new();
    let mut add = |id: String, fed_by: Option<&str>, capacity: Option<u32>, pump: Option<PumpPlan>| {
        let fed_by = fed_by.map(str::parse).transpose()?;
        let capacity = capacity.map(LitresPerHour);
        let no_water = if id == DEAR { vec![Window::daily(hours(17, 20)?)] } else { Vec::new() };
        sources.insert(id.parse()?, SourcePlan { fed_by, capacity, pump, no_water, ..SourcePlan::default() });
        anyhow::Ok(())
    };
    add("lake".to_owned(), None, Some(24_000), None)?;
    for household in 0..N_HOUSEHOLDS {
        let pump = format!("pump-{household}");
        add(pump.clone(), Some("lake"), Some(11_000), Some(pump_plan(household, dice)?))?;
        let master = (household == 0).then(master_plan).transpose()?;
        add(format!("main-{household}-0"), Some(&pump), Some(9_000), master)?;
        add(format!("main-{household}-1"), Some(&pump), Some(6_000), None)?;
        add(format!("main-{household}-2"), Some(&pump), None, None)?;
    }
    Ok(sources)
}

/// A pump: it follows its zones' valves, stops before them, and may start so often.
fn pump_plan(household: usize, dice: &mut Dice) -> anyhow::Result<PumpPlan> {
    let output = ValveRef { node: format!("p{household}").parse()?, valve: ValveId(0) };
    Ok(PumpPlan {
        on_adjust_s: i32::try_from(dice.between(0, 15))?,
        off_adjust_s: -i32::try_from(dice.between(0, 10))?,
        run_s_min: u32::try_from(dice.between(0, 120))?,
        off_s_min: u32::try_from(dice.between(10, 120))?,
        starts_per_hour_max: u32::try_from(dice.between(4, 12))?,
        // Four times this, with its time to live, fits into the shortest lease of a zone.
        lease_s: u32::try_from(dice.between(60, 110))?,
        ..PumpPlan::new(PumpKind::Pump, output)
    })
}

/// A master valve that opens before its zones and closes after them.
fn master_plan() -> anyhow::Result<PumpPlan> {
    let output = ValveRef { node: "m0".parse()?, valve: ValveId(0) };
    Ok(PumpPlan { on_adjust_s: -20, off_adjust_s: 10, ..PumpPlan::new(PumpKind::Master, output) })
}

fn zone_plan(
    ground: &Ground,
    node: NodeId,
    household: usize,
    automatic: bool,
    dice: &mut Dice,
) -> anyhow::Result<ZonePlan> {
    let section = [0, 0, 0, 1, 1, 2].get(dice.idx(6)).copied().unwrap_or(0);
    let probe = |nth: u8| -> anyhow::Result<ProbeRef> {
        let metric = series_name(Metric::SoilMoisture, ground.first_probe + nth).parse()?;
        Ok(ProbeRef { device: node.clone(), metric })
    };
    let moisture = |theta: f64| MoisturePermyriad::from_percent(theta * 100.0).context("a share of water");
    let (start_below, stop_above) =
        (moisture(ground.soil.at_depletion(0.42))?, moisture(ground.soil.at_depletion(0.15))?);
    // Every second line of a node goes by the available water that is used up.
    let soil = if ground.line_idx.is_multiple_of(2) {
        SoilRule::Moisture { start_below, stop_above }
    } else {
        let held = HeldWater {
            field_capacity: moisture(ground.soil.at_depletion(0.0))?,
            wilting_point: moisture(ground.soil.at_depletion(1.0))?,
        };
        let share = |percent| Depletion::from_percent(percent).context("a share of available water");
        SoilRule::Depletion { soil: held, start_above: share(42.0)?, stop_below: share(15.0)? }
    };
    let gauge = ProbeRef { device: node.clone(), metric: meter_name(ground).parse()? };
    let meter = ground.pulse_ml.map(|_| Meter { gauge, kind: MeterKind::Volume });
    // Every second metered zone may take what it gives in an hour and a quarter, which some runs would exceed.
    let volume_max =
        meter.as_ref().filter(|_| ground.line_idx == 0).map(|_| Millilitres(ground.flow_l_h * 1250));
    let window = if dice.permille(300) { DayWindow::new(17 * 60, 9 * 60) } else { Some(DayWindow::ALWAYS) };
    Ok(ZonePlan {
        source: format!("main-{household}-{section}").parse()?,
        flow: (!dice.permille(80)).then_some(LitresPerHour(ground.flow_l_h)),
        area_dm2: Some(ground.wetted_m2 * 500),
        n_plants: Some(ground.wetted_m2 / 3),
        cycle: dice.permille(300).then(|| Cycle::new(20 * 60_000, 30 * 60_000)).flatten(),
        group: if dice.permille(200) { Group::Parallel } else { Group::default() },
        valve: ValveRef { node: node.clone(), valve: ValveId(u8::try_from(ground.line_idx)?) },
        probes: (0..ground.n_probes).map(probe).collect::<anyhow::Result<_>>()?,
        weights: Vec::new(),
        soil,
        window: window.context("a window")?,
        no_water: if dice.permille(150) { vec![Window::daily(hours(12, 14)?)] } else { Vec::new() },
        lease_s: u32::try_from(dice.between(10, 30))? * 60,
        run_max_s: u32::try_from(if dice.permille(LONG_PERMILLE) {
            dice.between(130, 220)
        } else {
            dice.between(40, 90)
        })? * 60,
        skip_below_s: 0,
        run_least_s: 0,
        min_off_s: u32::try_from(dice.between(5, 60))? * 60,
        fresh_s: 5400,
        plausible: (moisture(0.03)?.into(), moisture(0.55)?.into()),
        rate_max: moisture(0.10)?.into(),
        stuck_s: 24 * 3600,
        automatic,
        guards: ZoneGuards {
            response: WaterResponse {
                probes: (0..usize::from(ground.n_probes)).collect(),
                rise_min: moisture(0.01)?.into(),
            },
            meter,
            volume_max,
            ..ZoneGuards::default()
        },
    })
}

fn hours(from: u16, to: u16) -> anyhow::Result<DayWindow> {
    DayWindow::new(from * 60, to * 60).context("hours of a day")
}

/// How much a step gives: any kind of amount where the flow is known, else a time.
fn target(has_flow: bool, dice: &mut Dice) -> Target {
    match dice.below(4) {
        0 if has_flow => Target::litres(1500),
        1 if has_flow => Target::millimetres(2),
        2 if has_flow => Target::litres_per_plant(12),
        _ => Target::minutes(25),
    }
}

fn program(steps: &[Step], dice: &mut Dice) -> Option<Program> {
    let sequence = Sequence::of(steps.to_vec());
    let by_clock = StartRule::at(MinuteOfDay::new(u16::try_from(dice.between(0, 23)).ok()?, 30)?);
    let by_sun = StartRule { clock: Clock::Sunrise(SunOffset::new(-60)?), ..by_clock };
    let hot_hours =
        Windows { no_water: vec![Window::daily(DayWindow::new(11 * 60, 14 * 60)?)], ..Windows::default() };
    Some(Program {
        days: DayRule::EVERY_DAY,
        starts: if dice.permille(500) { vec![by_clock] } else { vec![by_sun] },
        sequence,
        total_ms: None,
        season: Season::NONE,
        windows: if dice.permille(500) { hot_hours } else { Windows::default() },
        crossing: [Crossing::Cut, Crossing::Move, Crossing::Skip].get(dice.idx(3)).copied()?,
        catch_up_min: 60,
    })
}
