//! The promises under random orders of everything: readings, losses, doubled and late messages, reboots, restarts,
//! clocks that jump, people and buttons (P3, P4, P5, P6, P7, P10).

use giot_engine::program::{Cycle, Percent, Program, Repeat, StartRule};
use giot_engine::{
    DayWindow, Depletion, HeldWater, Level, Plan, ProgramWish, PumpKind, PumpPlan, SoilRule, SourcePlan,
    Timing, ValveRef,
};
use giot_shared::ids::ValveId;
use giot_shared::units::LitresPerHour;
use giot_shared::valve::RefusalReason;
use proptest::prelude::*;

use crate::farm::{at_hour, farm, node, permyriad, program, zone_of};
use crate::op::{Network, Op, Told};
use crate::plans::{SPARES, plan_change};
use crate::world::World;

const N_ZONES: usize = 4;

/// Three zones on the pump, one on the well; waiting times short enough for many cycles in a case.
fn small_farm() -> Plan {
    let mut plan = farm(N_ZONES);
    plan.sources.insert("well".parse().unwrap(), SourcePlan::default());
    plan.timing = Timing { node_run_s_max: 3600, person_rest_s: 900, ..Timing::default() };
    for (n, zone) in plan.zones.values_mut().enumerate() {
        zone.min_off_s = [0, 60, 600, 0][n];
        zone.lease_s = [120, 600, 60, 20][n];
        zone.run_max_s = [600, 600, 300, 90][n];
        zone.fresh_s = [900, 1800, 3600, 1200][n];
        zone.stuck_s = 0;
        if n == 3 {
            zone.source = "well".parse().unwrap();
        }
    }
    plan
}

/// The same zones on pipes with capacities: a main below the pump for two of them, one zone whose flow nobody stated.
fn piped_farm() -> Plan {
    let mut plan = small_farm();
    let pipe = |fed_by: Option<&str>, l_per_h| SourcePlan {
        fed_by: fed_by.map(|id| id.parse().unwrap()),
        capacity: Some(LitresPerHour(l_per_h)),
        ..SourcePlan::default()
    };
    plan.sources.insert("pump".parse().unwrap(), pipe(Some("well"), 3000));
    plan.sources.insert("main".parse().unwrap(), pipe(Some("pump"), 2000));
    plan.sources.insert("well".parse().unwrap(), pipe(None, 3500));
    plan.timing.patience_s = 300;
    for (n, zone) in plan.zones.values_mut().enumerate() {
        zone.source = ["main", "main", "pump", "well"][n].parse().unwrap();
        zone.flow = [Some(1200), Some(800), Some(1500), None][n].map(LitresPerHour);
    }
    // Their numbers are read as % by three of them, of which one goes by available water, and as kPa by the fourth.
    let soil = HeldWater { field_capacity: permyriad(3100), wilting_point: permyriad(900) };
    let share = |permyriad| Depletion::new(permyriad).unwrap();
    zone_of(&mut plan, "z2").soil =
        SoilRule::Depletion { soil, start_above: share(5000), stop_below: share(1000) };
    let kpa = |hundredths| Level::new(hundredths).unwrap();
    zone_of(&mut plan, "z4").soil = SoilRule::Tension { start_above: kpa(1400), stop_below: kpa(1100) };
    plan
}

/// The pipes with a pump at the well that must not run against closed valves, and a master valve before the main that opens
/// earlier and closes later than its zones.
fn pumped_farm() -> Plan {
    let mut plan = piped_farm();
    let output = |name: &str| ValveRef { node: node(name), valve: ValveId(0) };
    let well = plan.sources.get_mut(&"well".parse().unwrap()).unwrap();
    well.pump = Some(PumpPlan {
        on_adjust_s: 3,
        off_adjust_s: -4,
        run_s_min: 20,
        off_s_min: 15,
        starts_per_hour_max: 20,
        lease_s: 30,
        ..PumpPlan::new(PumpKind::Pump, output("motor"))
    });
    well.stagger_s = 7;
    let main = plan.sources.get_mut(&"main".parse().unwrap()).unwrap();
    main.pump = Some(PumpPlan {
        on_adjust_s: -20,
        off_adjust_s: 10,
        lease_s: 120,
        ..PumpPlan::new(PumpKind::Master, output("master"))
    });
    for (n, zone) in plan.zones.values_mut().enumerate() {
        zone.lease_s = [190, 600, 200, 240][n];
        zone.run_max_s = [600, 900, 300, 240][n];
    }
    assert_eq!(plan.check(), []);
    plan
}

/// A program for all zones that starts every half hour, over and over.
fn with_a_program(mut plan: Plan) -> Plan {
    let first = StartRule { repeat: Repeat::new(30, 47), ..at_hour(0, 5) };
    let steps = [("z1", 4), ("z2", 15), ("z3", 6), ("z4", 1)];
    plan.programs.insert("night".parse().unwrap(), Program { starts: vec![first], ..program(&steps) });
    zone_of(&mut plan, "z2").cycle = Cycle::new(300_000, 120_000);
    plan
}

fn moisture() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![
        6 => (1500_u16..2000).prop_map(Some),
        3 => (2000_u16..3400).prop_map(Some),
        1 => (0_u16..=10_000).prop_map(Some),
        1 => Just(None),
    ]
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        6 => prop_oneof![3 => Just(0_i64), 1 => -400_000..400_000_i64].prop_map(|off_s| Told::Counted { off_s }),
        3 => Just(Told::Dated),
        1 => (0..4000_u64).prop_map(|dated_s| Told::Unknown { dated_s }),
    ]
}

/// What a clock may do: right, ahead, behind by as much as a backlog is old, unset.
fn clock() -> impl Strategy<Value = Op> {
    let offset_s = prop_oneof![2 => Just(0_i64), 3 => -20_000..20_000_i64, 1 => -400_000..400_000_i64];
    prop_oneof![8 => offset_s.prop_map(Some), 1 => Just(None)].prop_map(|offset_s| Op::Clock { offset_s })
}

/// Dry soil, long ago.
fn old_and_dry() -> impl Strategy<Value = (usize, Option<u16>, u64)> {
    (0..N_ZONES, (1500_u16..1900).prop_map(Some), 3700..30_000_u64)
}

/// A backlog of nodes, and what is moist at this moment.
fn backlog() -> impl Strategy<Value = Op> {
    let told = prop_oneof![
        3 => (-40_000..40_000_i64).prop_map(|off_s| Told::Counted { off_s }),
        1 => (0..4000_u64).prop_map(|dated_s| Told::Unknown { dated_s }),
    ];
    let old =
        (old_and_dry(), told).prop_map(|((zone, value, age_s), told)| Op::Read { zone, value, age_s, told });
    let moist = (0..N_ZONES, 2100_u16..3400).prop_map(|(zone, value)| Op::Read {
        zone,
        value: Some(value),
        age_s: 0,
        told: Told::Counted { off_s: 0 },
    });
    let restart = any::<bool>().prop_map(|forgets_open| Op::Restart { forgets_open, reconnects: true });
    prop_oneof![
        8 => old, 2 => moist, 4 => clock(), 1 => restart,
        3 => (0_u64..2_000_000).prop_map(|ms| Op::Wait { ms }),
        1 => (0..N_ZONES).prop_map(|zone| Op::Connect { zone }),
    ]
}

/// A backlog of a device that dates by its own clock: a burst, faster than it was taken.
fn burst() -> impl Strategy<Value = Vec<Op>> {
    let zone = 0..N_ZONES;
    (zone, 1500_u16..1900, 3700..30_000_u64, prop::collection::vec((0_u64..20_000, 60..900_u64), 1..8))
        .prop_map(|(zone, value, first_s, steps)| {
            let mut age_s = first_s + 8 * 900;
            let mut ops = Vec::new();
            for (ms, step_s) in steps {
                age_s -= step_s;
                ops.push(Op::Wait { ms });
                ops.push(Op::Read { zone, value: Some(value), age_s, told: Told::DatedRightly });
            }
            ops
        })
}

fn network() -> impl Strategy<Value = Network> {
    let late_ms_max = prop_oneof![Just(0_u64), Just(500), Just(8_000), Just(45_000)];
    let percent = || prop_oneof![Just(0_u64), Just(20), Just(60)];
    (percent(), percent(), late_ms_max).prop_map(|(loss_percent, double_percent, late_ms_max)| Network {
        loss_percent,
        double_percent,
        late_ms_max,
    })
}

fn program_wish() -> impl Strategy<Value = ProgramWish> {
    prop_oneof![
        4 => Just(ProgramWish::Start),
        1 => Just(ProgramWish::Stop),
        1 => (0_u16..3).prop_map(ProgramWish::SkipNext),
        1 => any::<bool>().prop_map(ProgramWish::Enable),
        1 => (0_u16..=250).prop_map(|percent| ProgramWish::Adjust(Percent::new(percent).unwrap())),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let zone = 0..N_ZONES;
    let jump_s =
        prop_oneof![Just(Some(0)), Just(Some(7200)), Just(Some(-7200)), Just(Some(400_000)), Just(None)];
    prop_oneof![
        12 => (0_u64..120_000).prop_map(|ms| Op::Wait { ms }),
        4 => (0_u64..900_000).prop_map(|ms| Op::Wait { ms }),
        14 => (zone.clone(), moisture(), prop_oneof![4 => Just(0_u64), 1 => 0..4000_u64], told())
            .prop_map(|(zone, value, age_s, told)| Op::Read { zone, value, age_s, told }),
        6 => zone.clone().prop_map(|zone| Op::Connect { zone }),
        2 => zone.clone().prop_map(|zone| Op::Disconnect { zone }),
        1 => zone.clone().prop_map(|zone| Op::Reboot { zone }),
        1 => (zone.clone(), 1_u32..1200).prop_map(|(zone, run_s)| Op::Button { zone, run_s }),
        1 => (zone.clone(), proptest::sample::select(RefusalReason::ALL))
            .prop_map(|(zone, refusal)| Op::RefuseNext { zone, refusal }),
        2 => (zone.clone(), 0_u32..1000).prop_map(|(zone, run_s)| Op::Start { zone, run_s }),
        1 => zone.clone().prop_map(|zone| Op::Stop { zone }),
        1 => zone.clone().prop_map(|zone| Op::Lock { zone }),
        2 => zone.clone().prop_map(|zone| Op::Unlock { zone }),
        2 => zone.prop_map(|zone| Op::Clear { zone }),
        1 => Just(Op::StopAll),
        1 => prop_oneof![2 => (1_u64..4000).prop_map(Some), 1 => Just(None)].prop_map(|span_s| Op::Pause { span_s }),
        2 => program_wish().prop_map(Op::Program),
        1 => jump_s.prop_map(|offset_s| Op::Clock { offset_s }),
        2 => network().prop_map(Op::Network),
        1 => (any::<bool>(), any::<bool>())
            .prop_map(|(forgets_open, reconnects)| Op::Restart { forgets_open, reconnects }),
    ]
}

fn run(plan: Plan, ops: &[Op], seed: u64) -> World {
    let mut world = World::new(plan, seed);
    for zone in 0..world.n_nodes() {
        world.apply(&Op::Connect { zone });
    }
    for op in ops {
        world.apply(op);
    }
    world
}

/// What happens to a pump's node now and then, beside everything that happens to zones.
fn op_with_pumps() -> impl Strategy<Value = Op> {
    let pump = N_ZONES..N_ZONES + 2;
    prop_oneof![
        20 => op(),
        2 => pump.clone().prop_map(|zone| Op::Connect { zone }),
        1 => pump.clone().prop_map(|zone| Op::Disconnect { zone }),
        1 => pump.clone().prop_map(|zone| Op::Reboot { zone }),
        1 => (pump.clone(), 1_u32..300).prop_map(|(zone, run_s)| Op::Button { zone, run_s }),
        1 => (pump, proptest::sample::select(RefusalReason::ALL))
            .prop_map(|(zone, refusal)| Op::RefuseNext { zone, refusal }),
    ]
}

/// What happens to a farm that is changed while it runs.
fn op_with_plans() -> impl Strategy<Value = Op> {
    let spare = N_ZONES + 2..N_ZONES + 2 + SPARES.len();
    prop_oneof![
        30 => op_with_pumps(),
        4 => plan_change(N_ZONES).prop_map(Op::Plan),
        1 => spare.clone().prop_map(|zone| Op::Connect { zone }),
        1 => spare.prop_map(|zone| Op::Disconnect { zone }),
    ]
}

proptest! {
    #[test]
    fn the_promises_hold_whatever_happens(ops in prop::collection::vec(op(), 1..150), seed in any::<u64>()) {
        let mut world = run(small_farm(), &ops, seed);
        world.wait(7_200_000);
        world.check_diary();
        world.check_recovery();
        world.check_diary();
    }

    #[test]
    fn the_promises_hold_on_pipes_that_several_zones_share(
        ops in prop::collection::vec(op(), 1..150),
        seed in any::<u64>(),
    ) {
        let mut world = run(piped_farm(), &ops, seed);
        world.wait(7_200_000);
        world.check_diary();
        world.check_recovery();
        world.check_diary();
    }

    #[test]
    fn the_promises_hold_with_programs(ops in prop::collection::vec(op(), 1..150), seed in any::<u64>()) {
        let mut world = run(with_a_program(piped_farm()), &ops, seed);
        world.wait(7_200_000);
        world.check_diary();
        world.apply(&Op::Program(ProgramWish::Enable(false)));
        world.apply(&Op::Program(ProgramWish::Stop));
        world.check_recovery();
        world.check_diary();
    }

    #[test]
    fn a_backlog_opens_no_valve_whatever_the_clock_does(
        ops in prop::collection::vec(backlog(), 1..80),
        seed in any::<u64>(),
    ) {
        let world = run(small_farm(), &ops, seed);
        prop_assert_eq!(world.n_opens(), 0, "{}", world.trail());
    }

    #[test]
    fn a_dated_backlog_opens_no_valve_when_the_clock_is_set_back(
        steps in prop::collection::vec((clock(), burst()), 1..12),
        seed in any::<u64>(),
    ) {
        let ops: Vec<Op> = steps.into_iter().flat_map(|(clock, burst)| [vec![clock], burst].concat()).collect();
        let world = run(small_farm(), &ops, seed);
        prop_assert_eq!(world.n_opens(), 0, "{}", world.trail());
    }

    #[test]
    fn the_same_inputs_give_the_same_actions(ops in prop::collection::vec(op(), 1..60), seed in any::<u64>()) {
        let mut plan = with_a_program(small_farm());
        for zone in plan.zones.values_mut() {
            zone.window = DayWindow::new(7 * 60, 7 * 60 + 30).unwrap();
        }
        let (first, second) = (run(plan.clone(), &ops, seed), run(plan, &ops, seed));
        prop_assert_eq!(first.log, second.log);
    }
}

// A case lives through many starts of a pump and takes longer: PROPTEST_CASES counts for half.
proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 2, ..ProptestConfig::default() })]

    #[test]
    fn the_promises_hold_while_the_farm_is_changed(
        ops in prop::collection::vec(op_with_plans(), 1..150),
        seed in any::<u64>(),
    ) {
        let mut world = run(with_a_program(pumped_farm()), &ops, seed);
        world.wait(7_200_000);
        world.check_diary();
        world.check_recovery();
        world.check_diary();
    }

    #[test]
    fn a_pump_never_runs_against_closed_valves(
        ops in prop::collection::vec(op_with_pumps(), 1..150),
        seed in any::<u64>(),
    ) {
        let mut world = run(with_a_program(pumped_farm()), &ops, seed);
        world.wait(7_200_000);
        world.check_diary();
        world.apply(&Op::Program(ProgramWish::Enable(false)));
        world.apply(&Op::Program(ProgramWish::Stop));
        world.check_recovery();
        world.check_diary();
    }
}
