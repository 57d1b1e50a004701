//! Cases of what fits into a network: zones by name, flows and capacities in litres per hour.

use super::*;
use crate::plan::{SourcePlan, ZonePlan};

/// `pump` (6000) feeds `east` (4000) and `west` (no capacity stated); `well` stands alone (no capacity stated).
fn network(zones: &[(&str, &str, Option<u32>)]) -> (Network, Vec<String>) {
    let source = |fed_by: Option<&str>, capacity: Option<u32>| SourcePlan {
        fed_by: fed_by.map(|id| id.parse().unwrap()),
        capacity: capacity.map(LitresPerHour),
        ..SourcePlan::default()
    };
    let sources = [
        ("pump", source(None, Some(6000))),
        ("east", source(Some("pump"), Some(4000))),
        ("west", source(Some("pump"), None)),
        ("well", source(None, None)),
    ];
    let mut plan = Plan::default();
    for (id, source) in sources {
        plan.sources.insert(id.parse().unwrap(), source);
    }
    for (id, source, flow) in zones {
        let flow = flow.map(LitresPerHour);
        let zone = ZonePlan { source: source.parse().unwrap(), flow, ..crate::plan::tests::sound_zone(id) };
        plan.zones.insert(id.parse().unwrap(), zone);
    }
    let names = plan.zones.keys().map(ToString::to_string).collect();
    (Network::new(&plan), names)
}

/// What stands in the way of `zone` while `held` hold, as a word.
fn barrier(zones: &[(&str, &str, Option<u32>)], held: &[&str], zone: &str) -> String {
    let (mut network, names) = network(zones);
    let idx = |name: &str| names.iter().position(|other| other == name).unwrap();
    for name in held {
        network.set_held(idx(name), true);
    }
    match network.barrier(idx(zone), MonoMs(0)) {
        None => "room".to_owned(),
        Some(Barrier::Busy { zone_idx }) => format!("busy {}", names[zone_idx]),
        Some(Barrier::Kept { zone_idx }) => format!("kept {}", names[zone_idx]),
        Some(Barrier::Full { source, in_use, wanted, capacity }) => {
            format!("{source} {}+{}>{}", in_use.0, wanted.0, capacity.0)
        }
        Some(Barrier::Staggered { source, .. }) => format!("staggered {source}"),
    }
}

#[test]
fn flows_add_up_to_the_capacity_of_every_branch_on_the_way() {
    let zones = [
        ("e1", "east", Some(2500)),
        ("e2", "east", Some(1500)),
        ("e3", "east", Some(1)),
        ("w1", "west", Some(2000)),
        ("w2", "west", Some(100)),
        ("p1", "pump", Some(1000)),
        ("x1", "well", None),
        ("x2", "well", Some(1)),
    ];
    let cases: &[(&[&str], &str, &str)] = &[
        (&[], "e1", "room"),
        (&["e1"], "e1", "room"),
        (&["e1"], "e2", "room"),
        (&["e1", "e2"], "e3", "east 4000+1>4000"),
        (&["e1", "e2"], "w1", "room"),
        (&["e1", "e2", "w1"], "p1", "pump 6000+1000>6000"),
        (&["e1", "w1"], "p1", "room"),
        (&["e1", "w1"], "e2", "room"),
        (&["e1", "w1", "p1"], "e2", "pump 5500+1500>6000"),
        (&["w1"], "w2", "busy w1"),
        (&["x1"], "x2", "busy x1"),
        (&["x2"], "x1", "busy x2"),
        (&["x2", "e1"], "e2", "room"),
    ];
    for (held, zone, want) in cases {
        assert_eq!(barrier(&zones, held, zone), *want, "{zone} beside {held:?}");
    }
}

#[test]
fn a_zone_without_a_stated_flow_is_watered_alone() {
    let zones = [("a", "east", None), ("b", "east", Some(10)), ("c", "pump", Some(10))];
    assert_eq!(barrier(&zones, &[], "a"), "room");
    assert_eq!(barrier(&zones, &["a"], "b"), "busy a");
    assert_eq!(barrier(&zones, &["a"], "c"), "busy a");
    assert_eq!(barrier(&zones, &["c"], "a"), "busy c");
    assert_eq!(barrier(&zones, &["b"], "c"), "room");
}

#[test]
fn a_branch_is_kept_until_its_zone_has_it_or_wants_it_no_more() {
    let (mut network, _) =
        network(&[("a", "pump", Some(6000)), ("b", "pump", Some(1000)), ("c", "pump", Some(1000))]);
    network.set_held(1, true);
    network.set_waiting(0, Some(MonoMs(5)));
    network.set_waiting(2, Some(MonoMs(6)));
    assert_eq!(network.take_waiting(1), [(0, MonoMs(5)), (2, MonoMs(6))]);
    assert_eq!(network.take_waiting(1), [], "nothing has changed since");
    network.keep_for(0);
    assert_eq!(network.barrier(2, MonoMs(0)), Some(Barrier::Kept { zone_idx: 0 }));
    network.set_waiting(0, Some(MonoMs(9)));
    network.set_held(1, false);
    assert_eq!(
        network.take_waiting(1),
        [(0, MonoMs(5)), (2, MonoMs(6))],
        "waiting counts from its beginning"
    );
    assert_eq!(network.barrier(2, MonoMs(0)), None, "what is kept is decided anew");
    network.set_held(1, true);
    network.keep_for(0);
    network.set_waiting(0, None);
    assert_eq!(network.barrier(2, MonoMs(0)), None);
}

#[test]
fn only_what_stays_counts_as_drawn() {
    let (mut network, _) =
        network(&[("a", "east", Some(3000)), ("b", "east", Some(1000)), ("c", "east", Some(1000))]);
    for idx in 0..3 {
        network.set_held(idx, true);
    }
    let holders = |network: &Network, gone: &[usize]| {
        network.overdrawn(0, |idx| !gone.contains(&idx)).map(Iterator::collect::<Vec<_>>)
    };
    assert_eq!(holders(&network, &[]), Some(vec![0, 1, 2]));
    assert_eq!(holders(&network, &[1]), None);
    assert_eq!(holders(&network, &[1, 2]), None);
}

#[test]
fn a_loop_of_sources_is_cut() {
    let mut plan = Plan::default();
    for (id, fed_by) in [("a", "b"), ("b", "a")] {
        let source = SourcePlan { fed_by: Some(fed_by.parse().unwrap()), ..SourcePlan::default() };
        plan.sources.insert(id.parse().unwrap(), source);
    }
    let path: Vec<String> = plan.path(&"a".parse().unwrap()).iter().map(ToString::to_string).collect();
    assert_eq!(path, ["a", "b"]);
}
