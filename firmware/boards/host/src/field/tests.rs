//! The field as a whole: conservation, determinism, and the course of the demonstration.

use std::sync::OnceLock;

use giot_shared::time::UnixMs;
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::{prop_assert, prop_assert_eq};

use super::*;

/// 10 March 2026, 08:40 in UTC+7.
const MARCH: UnixMs = UnixMs(1_773_106_800_000);

const CROP: CropCurve = CropCurve {
    kc_ini: 0.6,
    kc_mid: 0.9,
    kc_end: 0.7,
    begins_day: 30.0,
    stage_days: [30.0, 60.0, 120.0, 60.0],
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn looking_often_changes_nothing(
        moves in prop::collection::vec((0_usize..3, any::<bool>(), 0_i64..HOUR_MS), 1..12),
        looks in prop::collection::vec(1_i64..HOUR_MS / 4, 0..40),
        seed: u64,
    ) {
        let mut seldom = small_site(seed, 9_000_000);
        let mut often = seldom.clone();
        let mut at_ms = MARCH.0;
        let mut looks = looks.into_iter().cycle();
        for (zone_idx, open, after_ms) in moves {
            at_ms += after_ms;
            while let Some(look_ms) = looks.next().filter(|look_ms| often.now_ms() + look_ms < at_ms) {
                let look_at_ms = often.now_ms() + look_ms;
                often.advance_to(look_at_ms);
            }
            prop_assert!(seldom.set_valve(zone_idx, open, at_ms));
            prop_assert!(often.set_valve(zone_idx, open, at_ms));
        }
        prop_assert_eq!(seldom, often);
    }

    #[test]
    fn the_tank_loses_what_the_meters_count(
        moves in prop::collection::vec((0_usize..3, any::<bool>(), 0_i64..HOUR_MS), 1..24),
        seed: u64,
    ) {
        let tank_ml = 9_000_000;
        let mut site = small_site(seed, tank_ml);
        let mut at_ms = MARCH.0;
        let mut refilled_ml = 0;
        for (zone_idx, open, after_ms) in moves {
            at_ms += after_ms;
            site.set_valve(zone_idx, open, at_ms);
            let flow_ml_h: u64 = site.zones().iter().map(FieldZone::flow_ml_h).sum();
            prop_assert!(flow_ml_h <= site.source().pump_ml_h);
            prop_assert!(site.tank_ml() <= tank_ml);
            refilled_ml = site.source().refill_ml_h * (at_ms - MARCH.0).unsigned_abs() / HOUR_MS.unsigned_abs();
        }
        let delivered_ml: u64 = site.zones().iter().map(FieldZone::delivered_ml).sum();
        // A full tank spills what the spring brings, so the balance is bounded, and exact but for rounded millilitres
        // when nothing spilled.
        prop_assert!(site.tank_ml() + delivered_ml <= tank_ml + refilled_ml + 4);
        prop_assert!(site.tank_ml() + delivered_ml + 4 >= tank_ml);
    }
}

#[test]
fn an_empty_tank_stops_the_pump_and_a_refilled_one_starts_it() {
    let mut site = small_site(1, 4_000_000);
    site.set_valve(0, true, MARCH.0);
    let mut states = vec![false];
    for minute in 0..600 {
        site.advance_to(MARCH.0 + minute * MINUTE_MS);
        if site.pump_dry() != states[states.len() - 1] {
            states.push(site.pump_dry());
        }
        assert_eq!(site.zones()[0].flow_ml_h() == 0, site.pump_dry());
    }
    assert!(states.len() >= 4, "dry, refilled, dry again: {states:?}");
}

#[test]
fn a_repeated_demonstration_is_the_same_and_another_seed_differs() {
    let (farm, history) = march();
    let (again, again_history) = Farm::demo_with_history(FieldSeed(1), MARCH, 30);
    assert_eq!(farm.site(), again.site());
    assert_eq!(history, &again_history);
    let (other, other_history) = Farm::demo_with_history(FieldSeed(2), MARCH, 7);
    assert_ne!(farm.site(), other.site());
    assert_eq!(other_history.samples.len(), 12 * 144 * 7);
    assert_ne!(&history.samples[history.samples.len() - 12 * 144 * 7..], &other_history.samples[..]);
}

#[test]
fn a_short_history_is_the_end_of_a_long_one() {
    let (farm, long) = march();
    let (short_farm, short) = Farm::demo_with_history(FieldSeed(1), MARCH, 2);
    assert_eq!(farm.site(), short_farm.site());
    assert_eq!(&long.samples[long.samples.len() - short.samples.len()..], &short.samples[..]);
    assert!(long.runs.ends_with(&short.runs));
}

#[test]
fn history_is_whole_and_believable() {
    let (farm, history) = march();
    assert_eq!(history.samples.len(), 12 * 144 * 30);
    assert_eq!(history.samples[0].at.0, MARCH.0 - 30 * DAY_MS);
    for (n, sample) in history.samples.iter().enumerate() {
        assert_eq!(sample.node_idx, n % 12);
        assert_eq!(
            sample.at.0,
            MARCH.0 - 30 * DAY_MS + i64::try_from(n / 12).expect("small") * 10 * MINUTE_MS
        );
        let moisture = sample.moisture.expect("healthy probes").get();
        assert!((1_000..=4_600).contains(&moisture), "{sample:?}");
        assert!((1_100..=2_900).contains(&sample.probe.0));
        assert!((3_700..=4_200).contains(&sample.battery.0));
        assert_eq!(sample.flow_l_h.is_some(), sample.node_idx % 2 == 0);
    }
    let mut closed_at = UnixMs(0);
    for run in &history.runs {
        assert!(run.opened_at >= closed_at, "one zone at a time: {run:?}");
        assert!(run.closed_at > run.opened_at && run.closed_at <= MARCH);
        closed_at = run.closed_at;
        let hours = run.closed_at.since_ms(run.opened_at) as f64 / 3_600_000.0;
        let nominal_ml = farm.zones()[run.zone_idx].layout.nominal_ml_h() as f64 * hours;
        assert!((run.delivered_ml as f64 / nominal_ml - 1.0).abs() < 0.05, "{run:?}");
        assert!(run.moisture_after > run.moisture_before);
    }
    for zone_idx in 0..6 {
        let runs: Vec<&PastRun> = history.runs.iter().filter(|run| run.zone_idx == zone_idx).collect();
        assert!((6..=30).contains(&runs.len()), "zone {zone_idx} ran {} times", runs.len());
        assert!(runs.iter().filter(|run| run.end == RunEnd::Person).count() <= 1);
        let by_rule = runs.iter().filter(|run| run.end == RunEnd::SoilWet);
        let minutes = by_rule.map(|run| run.closed_at.since_ms(run.opened_at) / 60_000);
        assert!(minutes.clone().count() >= 5);
        assert!(
            minutes.clone().all(|minutes| (15..=60).contains(&minutes)),
            "{:?}",
            minutes.collect::<Vec<_>>()
        );
    }
    let metered_ml: u64 = farm.site().zones().iter().map(FieldZone::delivered_ml).sum();
    let diary_ml: u64 = history.runs.iter().map(|run| run.delivered_ml).sum();
    assert!(diary_ml <= metered_ml, "the meters also counted the days before");
}

#[test]
fn history_ends_where_the_live_field_begins() {
    let (farm, history) = march();
    let mut farm = farm.clone();
    assert_eq!(farm.now(), MARCH);
    for node_idx in 0..12 {
        let last = history.samples[history.samples.len() - 12 + node_idx].moisture.expect("healthy").get();
        let live = reading(&mut farm, node_idx, MARCH);
        assert!(last.abs_diff(live) <= 30, "node {node_idx}: {last} then {live}");
        assert!(live.abs_diff(farm.moisture(node_idx).expect("a node").get()) <= 20);
    }
    assert!((0..6).all(|zone_idx| !farm.zone(zone_idx).expect("a zone").valve_open()));
}

/// The course of the demonstration as a gateway sees it: calibrated readings of the nodes, every ten minutes while a
/// zone rests and each minute while it runs.
#[test]
fn first_zone_gets_dry_is_watered_and_gets_wet_in_time() {
    for seed in [1, 2, 3] {
        let mut farm =
            if seed == 1 { march().0.clone() } else { Farm::demo_with_history(FieldSeed(seed), MARCH, 0).0 };
        let (start_below, stop_above) =
            (farm.zones()[0].start_below().get(), farm.zones()[0].stop_above().get());
        let mut at = MARCH;
        let mut before = control_reading(&mut farm, 0, at);
        while before >= start_below {
            at = at.plus_ms(5 * 60_000);
            before = control_reading(&mut farm, 0, at);
        }
        assert!(at.since_ms(MARCH) <= 15 * 60_000, "seed {seed}: dry after {} ms", at.since_ms(MARCH));
        let (shallow_before, deep_before) = (reading(&mut farm, 0, at), reading(&mut farm, 1, at));

        let opened_at = at;
        farm.set_valve(0, true, at).expect("zone 0");
        let mut risen_after_min = [None; 2];
        let mut after = before;
        while after <= stop_above {
            at = at.plus_ms(60_000);
            after = control_reading(&mut farm, 0, at);
            let minutes = at.since_ms(opened_at) / 60_000;
            assert!(minutes <= 45, "seed {seed}: {after} of {stop_above} after {minutes} min");
            let shallow_rise = reading(&mut farm, 0, at).saturating_sub(shallow_before);
            let deep_rise = reading(&mut farm, 1, at).saturating_sub(deep_before);
            for (risen, rise) in risen_after_min.iter_mut().zip([shallow_rise, deep_rise]) {
                if risen.is_none() && rise > 60 {
                    *risen = Some(minutes);
                }
            }
        }
        farm.set_valve(0, false, at).expect("zone 0");
        let minutes = at.since_ms(opened_at) / 60_000;
        assert!(minutes >= 20, "seed {seed}: only {minutes} min");
        assert!(after - before >= 200, "seed {seed}: rose by {}", after - before);
        let [shallow_min, deep_min] = risen_after_min;
        let shallow_min = shallow_min.expect("the shallow probe sees the water");
        assert!(deep_min.is_none_or(|deep_min| deep_min >= shallow_min + 10), "{risen_after_min:?}");
        let litres = farm.zone(0).expect("zone 0").delivered_ml();
        assert_eq!(farm.flow_pulses(0, at), Ok(litres / 100));

        let closed_at = at;
        while control_reading(&mut farm, 0, at) >= start_below {
            at = at.plus_ms(10 * 60_000);
        }
        let hours = at.since_ms(closed_at) / 3_600_000;
        assert!((6..=96).contains(&hours), "seed {seed}: dry again after {hours} h");
    }
}

#[test]
fn other_zones_get_dry_later_one_after_another() {
    let mut farm = march().0.clone();
    let mut dry_after_min = [None; 6];
    for minute in 0..3 * 1_440 {
        farm.advance_to(MARCH.plus_ms(minute * 60_000));
        for (zone_idx, dry) in dry_after_min.iter_mut().enumerate() {
            let spec = &farm.zones()[zone_idx];
            if dry.is_none() && farm.zone_moisture(zone_idx).expect("a zone") < spec.start_below() {
                *dry = Some(minute);
            }
        }
    }
    let dry_after_min = dry_after_min.map(|dry| dry.expect("three days are enough"));
    assert!(dry_after_min[0] <= 5, "{dry_after_min:?}");
    assert!(dry_after_min[1..].iter().all(|minute| *minute >= 60), "{dry_after_min:?}");
    assert!(dry_after_min.windows(2).filter(|pair| pair[0] < pair[1]).count() >= 4, "{dry_after_min:?}");
}

#[test]
fn any_moment_can_start_a_demonstration() {
    // Monsoon at noon, winter at night, an odd millisecond, a year without 29 February.
    for start in [1_784_265_000_000, 1_797_000_000_000, 1_740_000_001_234] {
        let (farm, _) = Farm::demo_with_history(FieldSeed(4), UnixMs(start), 0);
        assert_eq!(farm.now(), UnixMs(start));
        let (now, start_below) = (farm.zone_moisture(0).expect("a zone"), farm.zones()[0].start_below());
        assert!(now.get().abs_diff(start_below.get()) <= 5, "{start}: {now:?}, {start_below:?}");
        assert!(farm.site().zones().iter().all(|zone| !zone.valve_open() && zone.flow_ml_h() == 0));
    }
}

#[test]
fn demonstration_starts_on_a_march_morning() {
    fn check(now_ms: i64, want_ms: i64) {
        let start_ms = Farm::demo_start(UnixMs(now_ms)).0;
        assert!(start_ms.abs_diff(want_ms) <= DAY_MS.unsigned_abs(), "{start_ms}");
        assert!(start_ms <= now_ms);
        assert_eq!((start_ms + UTC_OFFSET_MS).rem_euclid(DAY_MS), 8 * HOUR_MS + 40 * MINUTE_MS);
    }
    check(1_795_000_000_000, MARCH.0); // November 2026
    check(1_767_250_000_000, MARCH.0 - 365 * DAY_MS); // 1 January 2026
    check(1_783_000_000_000, MARCH.0); // July 2026
    check(1_710_200_000_000, 1_710_034_800_000); // 12 March 2024 → 10 March 2024
}

#[test]
fn described_farm_is_consistent() {
    let farm = &march().0;
    assert_eq!((farm.zones().len(), farm.nodes().len()), (6, 12));
    let households: std::collections::BTreeSet<&str> =
        farm.zones().iter().map(|zone| zone.household).collect();
    assert_eq!(households.len(), 3);
    let two_smallest_ml_h = {
        let mut flows: Vec<u64> = farm.zones().iter().map(|zone| zone.layout.nominal_ml_h()).collect();
        flows.sort_unstable();
        assert!(flows[5] * 103 / 100 <= farm.source().water.pump_ml_h, "the pump carries the largest zone");
        flows[0] + flows[1]
    };
    assert!(two_smallest_ml_h > farm.source().water.pump_ml_h, "and never two zones");
    for (node_idx, node) in farm.nodes().iter().enumerate() {
        assert!(node.id.parse::<giot_shared::ids::NodeId>().is_ok());
        assert_eq!(node.zone_idx, node_idx / 2);
        assert!(farm.zones()[node.zone_idx].depths_cm.contains(&node.depth_cm));
        assert!(farm.calibration(node_idx).is_ok());
    }
    for zone in farm.zones() {
        assert!((zone.layout.root_share.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{}", zone.id);
        assert!((8.0..25.0).contains(&zone.layout.drip_mm_h()), "{}", zone.id);
    }
}

#[test]
fn faults_reach_the_readings() {
    let mut farm = march().0.clone();
    let at = MARCH.plus_ms(60_000);
    farm.set_probe_fault(0, ProbeFault::Disconnected { pulled_up: true }).expect("node 0");
    assert_eq!(farm.read_probe_mv(0, at), Ok(probe::SUPPLY_MV));
    farm.set_hydraulic_fault(0, HydraulicFault::StuckClosed).expect("zone 0");
    let before = farm.flow_pulses(0, at).expect("node 0");
    farm.set_valve(0, true, at).expect("zone 0");
    assert_eq!(farm.flow_pulses(0, at.plus_ms(600_000)), Ok(before));
    farm.set_hydraulic_fault(0, HydraulicFault::StuckOpen).expect("zone 0");
    farm.set_valve(0, false, at.plus_ms(600_000)).expect("zone 0");
    assert!(farm.flow_pulses(0, at.plus_ms(1_200_000)).expect("node 0") > before);
    assert_eq!(farm.flow_pulses(1, at), Ok(0), "a node without valve has no meter");
    let healthy_mv = farm.battery_mv(3, at).expect("node 3");
    farm.set_battery_weak_mv(3, 400).expect("node 3");
    assert_eq!(farm.battery_mv(3, at), Ok(healthy_mv - 400));
    assert_eq!(farm.set_valve(6, true, at), Err(FieldError::UnknownZone(6)));
    assert_eq!(farm.read_probe_mv(12, at), Err(FieldError::UnknownNode(12)));
}

/// The demonstration of March with its whole history, made once.
fn march() -> &'static (Farm, History) {
    static MADE: OnceLock<(Farm, History)> = OnceLock::new();
    MADE.get_or_init(|| Farm::demo_with_history(FieldSeed(1), MARCH, 30))
}

/// What a node would report: the calibrated median of nine conversions, 1/10 000.
fn reading(farm: &mut Farm, node_idx: usize, at: UnixMs) -> u16 {
    let mut voltages_mv: Vec<u16> =
        (0..9).map(|_| farm.read_probe_mv(node_idx, at).expect("a node")).collect();
    voltages_mv.sort_unstable();
    let calibration = farm.calibration(node_idx).expect("a node");
    calibration.moisture(giot_shared::units::Millivolts(voltages_mv[4])).expect("a healthy probe").get()
}

/// Mean of a zone's two reported readings, 1/10 000.
fn control_reading(farm: &mut Farm, zone_idx: usize, at: UnixMs) -> u16 {
    u16::midpoint(reading(farm, 2 * zone_idx, at), reading(farm, 2 * zone_idx + 1, at))
}

/// Three zones of 4.8 m³/h each on a pump of 6 m³/h.
fn small_site(seed: u64, tank_ml: u64) -> Site {
    let layout = ZoneLayout {
        area_m2: 1_600,
        n_plants: 100,
        emitters_per_plant: 12,
        emitter_ml_h: 4_000,
        wetted_percent: 20,
        bulb_draw: 2.0,
        crop: CROP,
        soil: SoilKind::LOAM,
        root_share: [0.13, 0.32, 0.27, 0.19, 0.09],
    };
    let zones = (0..3).map(|n| FieldZone::new(FieldSeed(seed).stream(n), layout, 0.24, 100)).collect();
    let source = WaterSource { pump_ml_h: 6_000_000, refill_ml_h: 2_000_000, tank_ml, reserve_ml: 500_000 };
    Site::new(Weather::new(FieldSeed(seed), Climate::son_la()), source, zones, MARCH.0)
}
