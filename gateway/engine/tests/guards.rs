//! What guards must not forget, and what they tell: restarts, drifts, contradictions, silence.
//!
//! Zones are those of `engine/farm.rs`: soil below 20 % starts them, above 30 % stops them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    reason = "a test stops at what it did not expect; helpers are shared with other tests"
)]

#[path = "engine/farm.rs"]
mod farm;
#[path = "engine/field.rs"]
mod field;

use giot_engine::program::{Program, Window};
use giot_engine::{
    Age, ContactGuard, DayWindow, FrostGuard, Input, Level, Meter, MeterKind, Plan, PressureGuard, ProbeRef,
    RainGuard, SoilRule, SourcePlan, TankGuard, Twins, WaterResponse,
};
use giot_shared::units::LitresPerHour;

use farm::{at_hour, farm, node, zone, zone_of};
use field::Field;

const HOUR_S: u64 = 3600;

fn gauge(device: &str, metric: &str) -> ProbeRef {
    ProbeRef { device: node(device), metric: metric.parse().unwrap() }
}

fn with_tank(min_milli: i64, resume_milli: i64) -> Plan {
    let mut plan = farm(1);
    let source = plan.sources.entry("pump".parse().unwrap()).or_default();
    source.guards.tank =
        Some(TankGuard { gauge: gauge("tank", "tank_level"), min_milli, resume_milli, fresh_s: 1800 });
    plan
}

fn with_rain(limit_milli: i64) -> Plan {
    let mut plan = farm(1);
    plan.guards.rain = Some(RainGuard { gauge: gauge("st", "rain"), limit_milli, hours: 24 });
    plan
}

/// What the store has from before a start: taken so long ago.
fn recalled(field: &mut Field, metric: &str, ago_s: u64, milli: i64) {
    let at = field.now().wall.unwrap().minus_ms(ago_s * 1000);
    let (device, metric) = (node("st"), metric.parse().unwrap());
    field.feed(Input::Gauge { device: &device, metric: &metric, at, age: Age::Dated, milli: Some(milli) });
}

#[test]
fn a_tank_that_was_low_is_low_after_a_restart_until_it_has_filled() {
    let mut field = Field::new(with_tank(20_000, 40_000));
    field.gauge("tank", "tank_level", 10_000);
    field.read(1, 1900);
    field.check(&["z1 skipped: tank_low"]);
    field.restart();
    field.read(1, 1899);
    field.wait_s(600);
    assert!(!field.is_open("v1"), "{:?}", field.log);
    field.gauge("tank", "tank_level", 39_000);
    field.read(1, 1898);
    assert!(!field.is_open("v1"), "above the lower mark only");
    field.restart();
    field.gauge("tank", "tank_level", 40_000);
    field.read(1, 1897);
    field.wait_s(600);
    assert!(field.is_open("v1"));
    assert!(!field.has("z1 skipped: tank_unknown"));
}

#[test]
fn a_tank_of_which_nothing_is_known_yet_gives_nothing() {
    let mut field = Field::new(with_tank(20_000, 40_000));
    field.read(1, 1900);
    field.wait_s(60);
    field.check(&["z1 skipped: tank_unknown"]);
    field.start("z1", 60);
    field.check(&["z1 refused by Lan: tank_unknown"]);
    field.gauge("tank", "tank_level", 30_000);
    field.wait_s(10);
    assert!(field.is_open("v1"), "its first reading opens it");
    field.restart();
    field.wait_s(600);
    field.read(1, 1899);
    assert!(!field.is_open("v1"), "and is forgotten at a restart");
}

#[test]
fn other_marks_of_a_tank_judge_the_same_water() {
    let mut field = Field::new(with_tank(20_000, 40_000));
    field.gauge("tank", "tank_level", 30_000);
    field.feed(Input::Plan { version: 2, plan: &with_tank(35_000, 50_000) });
    field.read(1, 1900);
    field.check(&["z1 skipped: tank_low"]);
    field.feed(Input::Plan { version: 3, plan: &with_tank(20_000, 30_000) });
    field.read(1, 1899);
    assert!(field.is_open("v1"), "{:?}", field.log);
}

#[test]
fn rain_of_before_the_start_holds_back_for_what_is_left_of_its_hours() {
    let mut field = Field::new(with_rain(5000));
    recalled(&mut field, "rain", 20 * HOUR_S, 4000);
    recalled(&mut field, "rain", 10 * HOUR_S, 6000);
    recalled(&mut field, "rain", 0, 0);
    field.read(1, 1900);
    field.check(&["z1 skipped: rained"]);
    field.wait_s(14 * HOUR_S - 10);
    field.read(1, 1899);
    assert!(!field.is_open("v1"), "{:?}", field.log);
    field.wait_s(11);
    field.read(1, 1898);
    assert!(field.is_open("v1"), "a day after it");
}

#[test]
fn another_limit_forgets_no_rain() {
    let mut field = Field::new(with_rain(9000));
    field.gauge("st", "rain", 4000);
    field.wait_s(600);
    field.gauge("st", "rain", 3000);
    field.feed(Input::Plan { version: 2, plan: &with_rain(5000) });
    field.read(1, 1900);
    field.check(&["z1 skipped: rained"]);
    // What the store then tells once more counts once.
    recalled(&mut field, "rain", 600, 4000);
    recalled(&mut field, "rain", 0, 3000);
    field.feed(Input::Plan { version: 3, plan: &with_rain(8000) });
    field.read(1, 1899);
    assert!(field.is_open("v1"), "7 mm of 8: {:?}", field.log);
}

#[test]
fn a_rain_contact_of_before_the_start_holds_back_for_its_hours() {
    let mut plan = farm(1);
    let contact =
        |off_delay_s| ContactGuard { gauge: gauge("st", "rain_contact"), on_delay_s: 300, off_delay_s };
    plan.guards.rain_contact = Some(contact(12 * 3600));
    let mut field = Field::new(plan.clone());
    recalled(&mut field, "rain_contact", 5 * HOUR_S, 1000);
    recalled(&mut field, "rain_contact", 2 * HOUR_S, 0);
    field.read(1, 1900);
    field.check(&["z1 skipped: rain_contact"]);
    plan.guards.rain_contact = Some(contact(11 * 3600));
    field.feed(Input::Plan { version: 2, plan: &plan });
    field.wait_s(9 * HOUR_S - 10);
    field.read(1, 1899);
    assert!(!field.is_open("v1"), "under another delay: {:?}", field.log);
    field.wait_s(11);
    field.read(1, 1898);
    assert!(field.is_open("v1"));
}

#[test]
fn frost_goes_on_under_other_limits() {
    let mut plan = farm(1);
    let frost = |below_milli, clear_milli| FrostGuard {
        gauge: gauge("st", "air_temperature"),
        below_milli,
        clear_milli,
        fresh_s: 7200,
    };
    plan.guards.frost = Some(frost(2000, 4000));
    let mut field = Field::new(plan.clone());
    recalled(&mut field, "air_temperature", 3 * HOUR_S, 1500);
    recalled(&mut field, "air_temperature", 600, 3000);
    plan.guards.frost = Some(frost(1000, 3500));
    field.feed(Input::Plan { version: 2, plan: &plan });
    field.read(1, 1900);
    field.check(&["z1 skipped: frost"]);
    assert!(!field.is_open("v1"));
}

#[test]
fn limits_are_told_as_they_are() {
    let plan = with_tank(800, 1500);
    let mut field = Field::new(plan);
    field.gauge("tank", "tank_level", 700);
    field.read(1, 1900);
    let zone = field.engine().zone_view(&zone("z1"), field.now()).unwrap();
    let told = format!("{zone:?}");
    for number in
        ["level: Thousandths(700)", "least: Thousandths(800)", "resume: Thousandths(1500)", "unit: \"%\""]
    {
        assert!(told.contains(number), "{number} is missing in {told}");
    }
}

/// One zone with a flow meter.
fn metered(flow: Option<u32>) -> Plan {
    let mut plan = farm(1);
    let z1 = zone_of(&mut plan, "z1");
    z1.flow = flow.map(LitresPerHour);
    z1.guards.meter = Some(Meter { gauge: gauge("m1", "flow"), kind: MeterKind::Flow });
    plan
}

/// A run of a quarter of an hour at a flow.
fn run(field: &mut Field, l_per_h: u32) {
    field.ml_per_s = u64::from(l_per_h) * 10 / 36;
    field.start("z1", 900);
    field.flow("m1", l_per_h.into(), 870);
    field.wait_s(60);
    field.gauge("m1", "flow", 0);
    field.wait_s(900);
}

#[test]
fn a_filter_that_clogs_slowly_is_told_and_cleaning_it_is_no_burst() {
    for stated in [Some(1000), None] {
        let mut field = Field::new(metered(stated));
        let mut flow = 1000;
        let mut first_low = None;
        while flow > 180 {
            field.log.clear();
            run(&mut field, flow);
            if field.has("z1 fault: low_flow") {
                first_low.get_or_insert(flow);
            } else {
                assert_eq!(first_low, None, "{flow} L/h: {:?}", field.log);
            }
            flow = flow * 92 / 100;
        }
        assert!(first_low.is_some_and(|flow| (500..600).contains(&flow)), "{stated:?}: {first_low:?}");
        field.restart();
        field.log.clear();
        run(&mut field, 1000);
        field.check(&["z1 confirmed: flow_confirmed"]);
        assert!(!field.has("z1 fault: high_flow"), "{:?}", field.log);
        field.log.clear();
        run(&mut field, 1400);
        field.check(&["z1 fault: high_flow"]);
    }
}

#[test]
fn a_burst_is_told_once_also_when_the_node_has_measured_the_run() {
    let mut field = Field::new(metered(Some(1000)));
    let mut burst = || {
        field.log.clear();
        field.ml_per_s = 600;
        field.start("z1", 1800);
        field.flow("m1", 1000, 600);
        field.flow("m1", 5000, 600);
        field.gauge("m1", "flow", 0);
        field.wait_s(900);
        assert_eq!(field.seconds("z1 fault: high_flow").len(), 1, "{:?}", field.log);
        field.feed(Input::ClearFault { zone: &zone("z1"), by: "Lan" });
    };
    burst();
    // The next one has its own.
    burst();
}

#[test]
fn clearing_a_burst_that_was_none_makes_the_new_flow_the_reference() {
    let mut field = Field::new(metered(None));
    (0..3).for_each(|_| run(&mut field, 700));
    run(&mut field, 1000);
    field.check(&["z1 fault: high_flow"]);
    field.feed(Input::ClearFault { zone: &zone("z1"), by: "Lan" });
    field.log.clear();
    (0..4).for_each(|_| run(&mut field, 1000));
    assert!(!field.has("z1 fault: high_flow"), "{:?}", field.log);
    field.restart();
    run(&mut field, 590);
    field.check(&["z1 fault: low_flow"]);
}

/// A zone with probes p1 to pN, all at one depth, that may be 20 % apart.
fn with_twins(n_probes: usize, weights: &[u16]) -> Plan {
    let mut plan = farm(1);
    let z1 = zone_of(&mut plan, "z1");
    let metric = z1.probes[0].metric.clone();
    z1.probes = (1..=n_probes).map(|n| gauge(&format!("p{n}"), metric.as_str())).collect();
    z1.weights = weights.to_vec();
    z1.guards.twins =
        Twins { groups: vec![(0..n_probes).collect()], apart_max: farm::permyriad(2000).into() };
    plan
}

#[test]
fn two_probes_that_contradict_each_other_start_nothing() {
    let mut plan = with_twins(2, &[]);
    plan.programs.insert("morning".parse().unwrap(), farm::program(&[("z1", 5)]));
    let mut field = Field::new(plan);
    field.read(1, 300);
    field.read(2, 3500);
    field.wait_s(60);
    assert!(!field.is_open("v1"), "the mean of both is 19 %: {:?}", field.log);
    field.read(1, 310);
    assert_eq!(field.seconds("z1 skipped: probes_disagree").len(), 1, "told once");
    field.wait_s(1000);
    assert!(field.has("z1 started: program_run"), "a program goes on: {:?}", field.log);
}

#[test]
fn of_three_probes_the_odd_one_is_outvoted_but_not_where_they_are_weighed() {
    for (weights, opens) in [(&[][..], true), (&[1, 1, 1], false)] {
        let mut field = Field::new(with_twins(3, weights));
        [(3, 5000), (1, 1500), (2, 1600)].into_iter().for_each(|(n, value)| field.read(n, value));
        field.wait_s(60);
        assert_eq!(field.is_open("v1"), opens, "{weights:?}: {:?}", field.log);
        assert!(field.has("z1 skipped: probes_disagree"), "while there were two");
    }
}

#[test]
fn a_run_goes_on_when_water_reaches_one_probe_first() {
    let mut field = Field::new(with_twins(2, &[]));
    field.read(1, 1800);
    field.read(2, 1900);
    field.wait_s(300);
    assert!(field.is_open("v1"));
    field.read(1, 3900);
    field.read(2, 1850);
    field.wait_s(60);
    assert!(field.is_open("v1"), "{:?}", field.log);
    field.read(2, 2500);
    field.check(&["z1 stopping: soil_wet"]);
}

#[test]
fn a_gauge_that_falls_silent_is_told_once_and_so_is_its_return() {
    let mut plan = farm(1);
    plan.guards.rain = Some(RainGuard { gauge: gauge("st", "rain"), limit_milli: 5000, hours: 24 });
    plan.guards.frost = Some(FrostGuard {
        gauge: gauge("st", "air_temperature"),
        below_milli: 2000,
        clear_milli: 4000,
        fresh_s: 7200,
    });
    let source = plan.sources.entry("pump".parse().unwrap()).or_default();
    source.guards.pressure = Some(PressureGuard {
        gauge: gauge("p", "pressure"),
        min_milli: Some(70_000),
        max_milli: None,
        delay_s: 30,
    });
    let mut field = Field::new(plan);
    field.gauge("st", "rain", 0);
    field.gauge("st", "air_temperature", 20_000);
    field.wait_s(24 * HOUR_S);
    assert_eq!(field.seconds("farm fault: gauge_silent"), [2 * HOUR_S], "frost");
    field.wait_s(24 * HOUR_S);
    assert_eq!(field.seconds("farm fault: gauge_silent"), [2 * HOUR_S, 25 * HOUR_S], "rain; each once");
    field.gauge("st", "rain", 0);
    assert_eq!(field.seconds("farm notified: gauge_speaks"), [48 * HOUR_S]);
    field.start("z1", 240);
    field.wait_s(3 * HOUR_S);
    assert_eq!(field.seconds("farm fault: gauge_silent").last(), Some(&(50 * HOUR_S)), "pressure");
}

#[test]
fn a_mute_meter_is_told_after_a_short_run() {
    let mut field = Field::new(metered(Some(1000)));
    field.ml_per_s = 278;
    field.wait_s(30 * HOUR_S);
    assert!(!field.has("z1 fault: meter_silent"), "without water nothing is awaited");
    field.log.clear();
    field.volume_is_measured = false;
    field.start("z1", 240);
    field.wait_s(HOUR_S);
    field.start("z1", 240);
    field.wait_s(5 * HOUR_S);
    assert_eq!(field.seconds("z1 fault: meter_silent"), [32 * HOUR_S], "{:?}", field.log);
    field.gauge("m1", "flow", 0);
    field.check(&["farm notified: gauge_speaks"]);
    // A meter of the valve's own node speaks with the end of each run.
    let mut plan = metered(Some(1000));
    let meter = zone_of(&mut plan, "z1").guards.meter.as_mut().unwrap();
    meter.gauge.device = node("v1");
    let mut field = Field::new(plan);
    field.ml_per_s = 278;
    field.start("z1", 240);
    field.wait_s(5 * HOUR_S);
    assert!(!field.has("z1 fault: meter_silent"), "the node measured the run: {:?}", field.log);
}

/// One zone whose probe is to rise by 1 % when it is watered.
fn with_response() -> Plan {
    let mut plan = farm(1);
    let z1 = zone_of(&mut plan, "z1");
    (z1.run_max_s, z1.min_off_s, z1.fresh_s, z1.stuck_s) = (2400, 1200, 3600, 0);
    z1.guards.response = WaterResponse { probes: vec![0], rise_min: farm::permyriad(100).into() };
    plan
}

/// Hours in which the probe reads these values in turn, three an hour.
fn hours(field: &mut Field, n: u64, values: &[u16]) {
    for value in values.iter().cycle().take(usize::try_from(3 * n).unwrap()) {
        field.read(1, *value);
        field.wait_s(1200);
    }
}

#[test]
fn a_probe_that_stays_dry_through_three_waterings_is_believed_no_more() {
    let mut plan = with_response();
    plan.programs.insert("morning".parse().unwrap(), farm::program(&[("z1", 5)]));
    let mut field = Field::new(plan);
    hours(&mut field, 17, &[1500, 1530]);
    assert!(!field.has("z1 fault: no_response"), "{:?}", field.log);
    hours(&mut field, 3, &[1500, 1530]);

    assert_eq!(field.seconds("z1 fault: no_response").len(), 1, "{:?}", field.log);
    assert!(!field.is_open("v1"));
    let n_dry = field.seconds("z1 started: soil_dry").len();
    let n_runs = field.seconds("z1 started: program_run").len();
    hours(&mut field, 24, &[1500, 1530]);
    assert_eq!(field.seconds("z1 started: soil_dry").len(), n_dry, "the soil starts nothing");
    assert_eq!(field.seconds("z1 started: program_run").len(), n_runs + 1, "programs go on");
    assert_eq!(field.seconds("z1 fault: no_response").len(), 1, "told once");
    // Rain reaches it, and it dries again.
    hours(&mut field, 1, &[1500, 1601, 1500]);
    assert_eq!(field.seconds("z1 started: soil_dry").len(), n_dry + 1, "{:?}", field.log);
}

#[test]
fn whoever_clears_a_zone_has_seen_to_its_probes() {
    let mut field = Field::new(with_response());
    hours(&mut field, 20, &[1500]);
    assert!(!field.is_open("v1"));
    field.feed(Input::ClearFault { zone: &zone("z1"), by: "Lan" });
    assert!(field.has("z1 cleared by Lan: fault_cleared"), "{:?}", field.log);
    field.read(1, 1500);
    assert!(field.is_open("v1"));
}

#[test]
fn a_probe_that_answers_or_had_little_water_stays_believed() {
    // The water of an hour lifts it by 1 %; plants take that back.
    let mut field = Field::new(with_response());
    hours(&mut field, 48, &[1500, 1550, 1600]);
    assert!(!field.has("z1 fault: no_response"));
    // A quarter of an hour in six is too little to tell.
    let mut plan = with_response();
    let z1 = zone_of(&mut plan, "z1");
    (z1.run_max_s, z1.min_off_s) = (900, 6 * 3600);
    let mut field = Field::new(plan);
    hours(&mut field, 48, &[1500]);
    assert!(!field.has("z1 fault: no_response"));
    // Wet soil need not get wetter.
    let mut plan = with_response();
    plan.programs.insert("all".parse().unwrap(), farm::program(&[("z1", 60)]));
    let mut field = Field::new(plan);
    hours(&mut field, 120, &[2900]);
    assert!(!field.has("z1 fault: no_response"));
}

/// Hours without water at seven and eight in the morning, for a zone or for a source: an hour after a test begins.
fn morning() -> Vec<Window> {
    vec![Window::daily(DayWindow::new(8 * 60, 9 * 60).unwrap())]
}

#[test]
fn no_water_hours_of_a_zone_or_a_source_hold_for_soil_rules_and_programs_but_not_for_people() {
    for level in ["zone", "source", "its feeder"] {
        let mut plan = farm(1);
        plan.programs.insert(
            "p".parse().unwrap(),
            Program { starts: vec![at_hour(8, 10)], ..farm::program(&[("z1", 5)]) },
        );
        (zone_of(&mut plan, "z1").run_max_s, zone_of(&mut plan, "z1").min_off_s) = (7200, 60);
        match level {
            "zone" => zone_of(&mut plan, "z1").no_water = morning(),
            "source" => plan.sources.get_mut(&"pump".parse().unwrap()).unwrap().no_water = morning(),
            _ => {
                let lake = SourcePlan { no_water: morning(), ..SourcePlan::default() };
                plan.sources.insert("lake".parse().unwrap(), lake);
                plan.sources.get_mut(&"pump".parse().unwrap()).unwrap().fed_by =
                    Some("lake".parse().unwrap());
            }
        }
        let mut field = Field::new(plan);
        field.read(1, 1500);
        field.wait_s(3500);
        field.read(1, 1500);
        assert!(field.is_open("v1"), "{level}: {:?}", field.log);
        field.wait_s(200);
        assert!(
            !field.is_open("v1") && field.has("z1 stopping: no_water_window"),
            "{level}: {:?}",
            field.log
        );
        field.read(1, 1500);
        field.wait_s(1200);
        assert!(!field.is_open("v1") && field.has("z1 skipped: no_water_window"), "{level}: {:?}", field.log);
        assert!(!field.has("z1 started: program_run"), "{level}: {:?}", field.log);
        field.start("z1", 60);
        assert!(field.is_open("v1"), "{level}: a person may");
        field.wait_s(600);
        field.read(1, 1500);
        assert!(!field.is_open("v1"));
        field.wait_s(1800);
        assert!(field.is_open("v1") || field.has("z1 started: program_run"), "{level}: {:?}", field.log);
    }
}

#[test]
fn a_tension_probe_answers_by_a_fall() {
    for (values, is_told) in [(&[5000, 4900, 5100], true), (&[5000, 4700, 4900], false)] {
        let mut plan = with_response();
        let z1 = zone_of(&mut plan, "z1");
        let kpa = |hundredths| Level::new(hundredths).unwrap();
        z1.soil = SoilRule::Tension { start_above: kpa(3000), stop_below: kpa(1000) };
        z1.plausible = (kpa(0), kpa(20_000));
        z1.guards.response.rise_min = kpa(250);
        let mut field = Field::new(plan);
        hours(&mut field, 24, values);
        assert_eq!(field.has("z1 fault: no_response"), is_told, "{values:?}: {:?}", field.log);
    }
}
