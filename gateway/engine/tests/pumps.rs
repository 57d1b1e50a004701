//! What pumps and master valves mean for the runs that programs want of the zones below them.
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

use giot_engine::{Input, Plan, ProgramWish, PumpKind, PumpPlan, SourcePlan, ValveRef};
use giot_shared::ids::ValveId;
use giot_shared::units::LitresPerHour;

use farm::{at_hour, farm, node, program, zone, zone_of};
use field::Field;

const HOUR_S: u64 = 3600;

fn output(name: &str) -> ValveRef {
    ValveRef { node: node(name), valve: ValveId(0) }
}

/// Two zones of 1000 L/h that `day` waters one after another, ten minutes each, from 07:10 on, ten minutes after the test begins;
/// the second one lies behind a master valve.
fn behind_a_master() -> Plan {
    let mut plan = farm(2);
    plan.zones.values_mut().for_each(|zone| (zone.automatic, zone.flow) = (false, Some(LitresPerHour(1000))));
    let master = PumpPlan::new(PumpKind::Master, output("master"));
    let main =
        SourcePlan { fed_by: Some("pump".parse().unwrap()), pump: Some(master), ..SourcePlan::default() };
    plan.sources.insert("main".parse().unwrap(), main);
    plan.sources.entry("pump".parse().unwrap()).or_default().capacity = Some(LitresPerHour(2000));
    plan.sources.get_mut(&"main".parse().unwrap()).unwrap().capacity = Some(LitresPerHour(2000));
    zone_of(&mut plan, "z2").source = "main".parse().unwrap();
    plan.programs.insert("day".parse().unwrap(), program(&[("z1", 10), ("z2", 10)]));
    assert_eq!(plan.check(), []);
    plan
}

/// The first zone is made longer by a person: the second one waits for its turn, and its master valve with it.
#[test]
fn a_master_valve_stays_shut_while_its_zone_waits_for_its_turn() {
    for lead_s in [0, -10] {
        let mut plan = behind_a_master();
        let main = plan.sources.get_mut(&"main".parse().unwrap()).unwrap();
        main.pump.as_mut().unwrap().on_adjust_s = lead_s;
        let mut field = Field::new(plan);
        field.wait_s(700);
        field.feed(Input::Extend { zone: &zone("z1"), by_s: 1200, by: "Lan" });
        field.wait_s(2 * HOUR_S);
        let (second, master) = (field.seconds("open v2"), field.seconds("open master"));
        assert!(second.len() == 1 && (2300..2500).contains(&second[0]), "{:?}", field.log);
        assert!(master.len() == 1 && master[0] + 30 >= second[0], "{lead_s}: {master:?} {:?}", field.log);
    }
}

/// A pump that a person must clear is as a fault of its source: what is due is made up for within the program's time, no later.
#[test]
fn a_latched_pump_gives_up_what_is_due() {
    let mut plan = farm(1);
    zone_of(&mut plan, "z1").automatic = false;
    let source = plan.sources.entry("pump".parse().unwrap()).or_default();
    source.pump = Some(PumpPlan::new(PumpKind::Pump, output("motor")));
    let mut day = program(&[("z1", 10)]);
    (day.starts, day.catch_up_min) = (vec![at_hour(10, 0), at_hour(14, 0)], 30);
    plan.programs.insert("day".parse().unwrap(), day);
    let mut field = Field::new(plan.clone());
    field.deaf.insert(node("motor"));
    for _ in 0..6 {
        field.start("z1", 300);
        field.wait_s(1200);
    }
    let day = "day".parse().unwrap();
    assert!(field.has("z1 refused by Lan: source_fault"), "{:?}", field.log);
    field.feed(Input::Program { program: &day, wish: ProgramWish::Start, by: "Lan" });
    assert!(field.has("farm refused by Lan: source_fault"), "{:?}", field.log);
    let preview = field.engine().outlook(field.now()).unwrap().forecast(&plan, 1);
    let skips = format!("{:?}", preview.starts[0].outcome);
    assert!(skips.contains("SourceFault"), "{skips}");
    field.log.clear();
    // 10:00 is three hours after the test begins; at noon somebody clears the pump.
    field.wait_s(3 * HOUR_S);
    assert!(field.has("z1 skipped: source_fault"), "{:?}", field.log);
    field.deaf.clear();
    field.feed(Input::ClearSource { source: &"pump".parse().unwrap(), by: "Lan" });
    field.wait_s(1800);
    assert!(!field.has("open v1"), "{:?}", field.log);
    field.wait_s(3 * HOUR_S);
    field.check(&["farm cleared by Lan: source_cleared", "open v1", "open motor"]);
}
