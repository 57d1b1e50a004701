//! Measures what a reading costs that decides nothing: `cargo run --release -p giot-engine --example readings`.
//!
//! A thousand zones with three probes each, all moist; the figure is the mean over a million readings, actions drained.

use std::hint::black_box;

use giot_engine::program::Group;
use giot_engine::{
    Age, DayWindow, Engine, Input, Level, Memory, MetricName, NameError, Now, Plan, ProbeRef, SoilRule,
    SourcePlan, Timing, ValveRef, ZonePlan,
};
use giot_shared::ids::{CommandId, IdError, NodeId, ValveId};
use giot_shared::time::{MonoMs, UnixMs};
use giot_shared::units::MoisturePermyriad;

const N_ZONES: usize = 1000;
const N_PROBES: usize = 3;
const N_ROUNDS: u64 = 334;
const WALL_MS: i64 = 1_767_225_600_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let metric: MetricName = "soil_moisture".parse()?;
    let devices = devices()?;
    let plan = plan(&devices, &metric)?;
    let now = |ms: u64| Now { mono: MonoMs(ms), wall: Some(UnixMs(WALL_MS.saturating_add_unsigned(ms))) };
    let mut engine = Engine::new(plan, Memory::default(), CommandId(1), now(0));
    let mut n_actions = 0_u64;
    let mut spent = std::time::Duration::ZERO;
    for round in 0..N_ROUNDS {
        for (n, device) in devices.iter().enumerate() {
            // All within ten minutes, as a farm that reads every ten minutes does.
            let at_ms = round * 600_000 + u64::try_from(n)? * 200;
            let level = Level::new(2500 + u32::try_from((round + u64::try_from(n)?) % 100)?);
            let now = now(at_ms);
            let at = now.wall.unwrap_or_default();
            #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
            let begin = std::time::Instant::now();
            engine.handle(
                now,
                Input::Reading { device, metric: &metric, at, age: Age::Dated, level, good: true },
            );
            while let Some(action) = engine.poll_action() {
                n_actions += 1;
                black_box(action);
            }
            spent += begin.elapsed();
        }
    }
    let n_readings = N_ROUNDS * u64::try_from(devices.len())?;
    let mean_ns = spent.as_nanos() / u128::from(n_readings);
    #[expect(clippy::print_stdout, reason = "the figure is the purpose")]
    {
        println!("{n_readings} readings, {N_ZONES} zones: {mean_ns} ns a reading, {n_actions} actions");
    }
    Ok(())
}

fn devices() -> Result<Vec<NodeId>, IdError> {
    (0..N_ZONES * N_PROBES).map(|n| format!("p{n}").parse()).collect()
}

fn plan(devices: &[NodeId], metric: &MetricName) -> Result<Plan, Box<dyn std::error::Error>> {
    let mut plan = Plan { utc_offset_min: 420, timing: Timing::default(), ..Plan::default() };
    let permyriad = |value: u16| MoisturePermyriad::new(value).ok_or(NameError::Length);
    for (n, own) in devices.chunks(N_PROBES).enumerate() {
        let source: giot_engine::SourceId = format!("s{}", n / 20).parse()?;
        plan.sources.insert(source.clone(), SourcePlan::default());
        let zone = ZonePlan {
            source,
            flow: None,
            area_dm2: None,
            n_plants: None,
            cycle: None,
            group: Group::default(),
            valve: ValveRef { node: format!("v{n}").parse()?, valve: ValveId(0) },
            probes: own
                .iter()
                .map(|device| ProbeRef { device: device.clone(), metric: metric.clone() })
                .collect(),
            weights: Vec::new(),
            soil: SoilRule::Moisture { start_below: permyriad(2000)?, stop_above: permyriad(3000)? },
            window: DayWindow::ALWAYS,
            no_water: Vec::new(),
            lease_s: 600,
            run_max_s: 1800,
            skip_below_s: 0,
            run_least_s: 0,
            min_off_s: 600,
            fresh_s: 3600,
            plausible: (permyriad(100)?.into(), permyriad(6000)?.into()),
            rate_max: permyriad(1000)?.into(),
            stuck_s: 86_400,
            automatic: true,
            guards: giot_engine::ZoneGuards::default(),
        };
        plan.zones.insert(format!("z{n}").parse()?, zone);
    }
    Ok(plan)
}
