//! Cases of the plan's checks and of the day window.

use giot_shared::units::MoisturePermyriad;

use super::*;

fn permyriad(value: u16) -> MoisturePermyriad {
    MoisturePermyriad::new(value).unwrap()
}

pub(crate) fn probe(name: &str) -> ProbeRef {
    ProbeRef { device: name.parse().unwrap(), metric: "soil_moisture".parse().unwrap() }
}

pub(crate) fn sound_zone(node: &str) -> ZonePlan {
    ZonePlan {
        source: "pump".parse().unwrap(),
        flow: None,
        area_dm2: None,
        n_plants: None,
        cycle: None,
        group: Group::default(),
        valve: ValveRef { node: node.parse().unwrap(), valve: giot_shared::ids::ValveId(0) },
        probes: vec![probe("p1")],
        weights: Vec::new(),
        soil: SoilRule::Moisture { start_below: permyriad(2000), stop_above: permyriad(3000) },
        window: DayWindow::ALWAYS,
        no_water: Vec::new(),
        lease_s: 600,
        run_max_s: 3600,
        skip_below_s: 0,
        run_least_s: 0,
        min_off_s: 600,
        fresh_s: 1800,
        plausible: (permyriad(100).into(), permyriad(6000).into()),
        rate_max: permyriad(1000).into(),
        stuck_s: 86_400,
        automatic: true,
        guards: ZoneGuards::default(),
    }
}

fn plan_of(zones: &[(&str, ZonePlan)]) -> Plan {
    Plan {
        zones: zones.iter().map(|(id, zone)| (id.parse().unwrap(), zone.clone())).collect(),
        sources: [("pump".parse().unwrap(), SourcePlan::default())].into(),
        utc_offset_min: 420,
        timing: Timing::default(),
        ..Plan::default()
    }
}

fn between(start_below: u16, stop_above: u16) -> SoilRule {
    SoilRule::Moisture { start_below: permyriad(start_below), stop_above: permyriad(stop_above) }
}

#[test]
fn a_sound_plan_has_no_problem() {
    assert_eq!(plan_of(&[("a", sound_zone("v1")), ("b", sound_zone("v2"))]).check(), []);
}

#[test]
fn each_problem_is_found_and_named() {
    type Spoil = fn(&mut ZonePlan);
    let cases: &[(Spoil, &[&str])] = &[
        (|z| z.source = "well".parse().unwrap(), &["unknown_source"]),
        (|z| z.probes.clear(), &["no_probe"]),
        (|z| z.probes.push(probe("p1")), &["probe_twice"]),
        (|z| z.soil = between(3000, 3000), &["thresholds_crossed"]),
        (|z| z.soil = between(2801, 3000), &["hysteresis_too_small"]),
        (|z| z.soil = between(2800, 3000), &[]),
        (|z| z.soil = between(2000, 6000), &["threshold_implausible"]),
        (|z| z.weights = vec![2], &[]),
        (|z| z.weights = vec![0], &["weights"]),
        (|z| z.weights = vec![1, 1], &["weights"]),
        (|z| z.lease_s = 0, &["lease_zero"]),
        (|z| z.lease_s = 3601, &["lease_above_run"]),
        (|z| z.run_max_s = 86_401, &["run_too_long"]),
        (|z| z.fresh_s = 0, &["fresh_zero"]),
        (|z| z.stuck_s = 1800, &["stuck_below_fresh"]),
        (
            |z| {
                z.lease_s = 0;
                z.fresh_s = 0;
                z.probes.clear();
            },
            &["no_probe", "lease_zero", "fresh_zero"],
        ),
        (
            |z| {
                z.automatic = false;
                z.probes.clear();
            },
            &[],
        ),
    ];
    for (spoil, want) in cases {
        let mut zone = sound_zone("v1");
        spoil(&mut zone);
        let found: Vec<_> = plan_of(&[("a", zone)]).check().iter().map(|p| p.kind.code()).collect();
        assert_eq!(&found, want);
    }
}

#[test]
fn the_second_zone_of_a_valve_is_the_problem() {
    let problems = plan_of(&[("a", sound_zone("v1")), ("b", sound_zone("v1"))]).check();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].to_string(), "zone b: zone a has the same valve");
    let metered = |valve, name: &str| {
        let gauge = ProbeRef { device: "m1".parse().unwrap(), metric: name.parse().unwrap() };
        let mut zone = sound_zone(valve);
        zone.guards.meter = Some(Meter { gauge, kind: MeterKind::Volume });
        zone
    };
    let zones =
        [("a", metered("v1", "volume")), ("b", metered("v2", "other")), ("c", metered("v3", "volume"))];
    let problems: Vec<_> = plan_of(&zones).check().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("zone c: zone a has the same meter"), "{problems:?}");
    let mut plan = plan_of(&[]);
    plan.utc_offset_min = 841;
    plan.timing.answer_s = 0;
    let found: Vec<_> = plan.check().iter().map(|p| p.kind.code()).collect();
    assert_eq!(found, ["utc_offset", "timing"]);
}

#[test]
fn windows_know_their_day() {
    const HOUR_MS: i64 = 3_600_000;
    // Local hours at UTC+7 of 1970-01-01, so UTC hour -7.
    let at = |local_hour: i64| UnixMs((local_hour - 7) * HOUR_MS);
    let cases = [
        (4 * 60, 8 * 60, 3, false),
        (4 * 60, 8 * 60, 4, true),
        (4 * 60, 8 * 60, 8, false),
        (20 * 60, 5 * 60, 23, true),
        (20 * 60, 5 * 60, 4, true),
        (20 * 60, 5 * 60, 5, false),
        (0, 0, 12, true),
        (0, 1440, 12, true),
        (22 * 60, 1440, 23, true),
        (22 * 60, 1440, 0, false),
    ];
    for (from, to, hour, inside) in cases {
        let window = DayWindow::new(from, to).unwrap();
        assert_eq!(window.contains(at(hour), 420), inside, "{from}-{to} at {hour}");
    }
    assert_eq!(DayWindow::new(0, 1441), None);
}

#[test]
fn a_short_lease_has_a_short_time_to_live() {
    let timing = Timing::default();
    for (lease_s, want) in [(1, 5), (20, 5), (60, 15), (120, 30), (3600, 30)] {
        assert_eq!(timing.ttl_s_for(lease_s), want);
    }
    let tight = Timing { ttl_s: 2, ..timing };
    assert_eq!(tight.ttl_s_for(3600), 2);
}

#[test]
fn problems_of_sources_are_found_and_keep_the_zones_on_the_way_closed() {
    let source = |fed_by: Option<&str>, capacity: Option<u32>| SourcePlan {
        fed_by: fed_by.map(|id| id.parse().unwrap()),
        capacity: capacity.map(LitresPerHour),
        ..SourcePlan::default()
    };
    let check = |sources: &[(&str, SourcePlan)], want: &[&str]| {
        let on = |id: &str, source: &str, flow: u32| ZonePlan {
            source: source.parse().unwrap(),
            flow: Some(LitresPerHour(flow)),
            ..sound_zone(id)
        };
        let mut plan = plan_of(&[("a", on("v1", "main", 3000)), ("b", on("v2", "pump", 500))]);
        plan.sources = sources.iter().map(|(id, source)| (id.parse().unwrap(), source.clone())).collect();
        let found: Vec<String> =
            plan.check().iter().map(|problem| format!("{} {problem}", problem.kind.code())).collect();
        let words: Vec<&str> = found.iter().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(words, want);
        plan.problems_by_zone().keys().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let (main, pump) = (source(Some("pump"), Some(3000)), source(None, Some(6000)));
    assert_eq!(check(&[("main", main.clone()), ("pump", pump.clone())], &[]), "");
    let narrow = source(None, Some(2999));
    assert_eq!(check(&[("main", main.clone()), ("pump", narrow)], &["flow_above_capacity zone a"]), "a");
    let empty = source(Some("pump"), Some(0));
    let want = ["capacity_zero source main", "flow_above_capacity zone a"];
    assert_eq!(check(&[("main", empty), ("pump", pump)], &want), "a");
    let looped = source(Some("main"), None);
    let want = ["source_loop source main", "source_loop source pump"];
    assert_eq!(check(&[("main", main.clone()), ("pump", looped)], &want), "a b");
    let lost = source(Some("river"), None);
    let want = ["unknown_feeder source pump"];
    assert_eq!(check(&[("main", main), ("pump", lost)], &want), "a b");
}

#[test]
fn pumps_and_guards_that_cannot_be_right_are_refused() {
    let check = |change: &dyn Fn(&mut Plan), want: &[&str]| {
        let mut plan = Plan::default();
        let zone =
            ZonePlan { source: "well".parse().unwrap(), lease_s: 600, run_max_s: 1800, ..sound_zone("v1") };
        plan.zones.insert("a".parse().unwrap(), zone);
        let valve = ValveRef { node: "motor".parse().unwrap(), valve: giot_shared::ids::ValveId(0) };
        let pump = Some(PumpPlan::new(PumpKind::Pump, valve));
        plan.sources.insert("well".parse().unwrap(), SourcePlan { pump, ..SourcePlan::default() });
        change(&mut plan);
        let codes: Vec<_> = plan.check().iter().map(|problem| problem.kind.code()).collect();
        assert_eq!(codes, want);
    };
    fn well(plan: &mut Plan) -> &mut SourcePlan {
        plan.sources.get_mut(&"well".parse().unwrap()).unwrap()
    }
    fn pump(plan: &mut Plan) -> &mut PumpPlan {
        well(plan).pump.as_mut().unwrap()
    }
    fn zone(plan: &mut Plan) -> &mut ZonePlan {
        plan.zones.get_mut(&"a".parse().unwrap()).unwrap()
    }
    check(&|_| {}, &[]);
    check(&|plan| pump(plan).off_adjust_s = 1, &["pump_before_valves"]);
    check(&|plan| pump(plan).on_adjust_s = 601, &["pump_adjust"]);
    check(&|plan| pump(plan).off_s_min = 3601, &["pump_span"]);
    check(&|plan| pump(plan).lease_s = 29, &["pump_lease_too_short"]);
    check(&|plan| pump(plan).run_s_max = 599, &["pump_longest_run"]);
    check(&|plan| pump(plan).run_s_max = 86_401, &["pump_longest_run"]);
    check(&|plan| (pump(plan).run_s_max, pump(plan).run_s_min) = (1200, 601), &["pump_longest_run"]);
    check(&|plan| pump(plan).lease_s = 120, &["pump_zone_lease"]);
    let with_master = |plan: &mut Plan, lease_s| {
        let valve = ValveRef { node: "gate".parse().unwrap(), valve: giot_shared::ids::ValveId(0) };
        let master = PumpPlan { lease_s, ..PumpPlan::new(PumpKind::Master, valve) };
        let main =
            SourcePlan { fed_by: Some("well".parse().unwrap()), pump: Some(master), ..SourcePlan::default() };
        plan.sources.insert("main".parse().unwrap(), main);
        zone(plan).source = "main".parse().unwrap();
    };
    check(&|plan| with_master(plan, 130), &[]);
    check(&|plan| with_master(plan, 129), &["pump_master_lease"]);
    check(&|plan| with_master(plan, 900), &[]);
    check(&|plan| pump(plan).valve = zone(plan).valve.clone(), &["pump_output_shared"]);
    check(&|plan| well(plan).stagger_s = 3601, &["stagger_too_long"]);
    check(&|plan| well(plan).guards.flow.low_percent = 5, &["guard_flow_limits"]);
    check(
        &|plan| zone(plan).guards.volume_max = Some(giot_shared::units::Millilitres(10)),
        &["guard_volume_zero"],
    );
    let above = |plan: &mut Plan| {
        let mut other = pump(plan).clone();
        other.valve.valve = giot_shared::ids::ValveId(1);
        well(plan).fed_by = Some("lake".parse().unwrap());
        plan.sources
            .insert("lake".parse().unwrap(), SourcePlan { pump: Some(other), ..SourcePlan::default() });
    };
    check(&above, &["pump_twice"]);
}
