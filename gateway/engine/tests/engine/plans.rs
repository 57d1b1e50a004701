//! How a plan is changed while the farm runs: zones leave and move, valves change their nodes, pumps their settings and their
//! place, sources their feeders.

use giot_engine::{Plan, PumpKind, SoilRule, SourceId, SourcePlan, ValveRef};
use giot_shared::ids::{NodeId, ValveId};
use giot_shared::units::LitresPerHour;
use proptest::prelude::*;

use crate::farm::{node, permyriad};

/// Nodes that no plan names at first.
pub(crate) const SPARES: [&str; 2] = ["spare-1", "spare-2"];

/// What fed what may become of the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tree {
    #[default]
    Same,
    /// The first source is fed by the last, whatever is between.
    Short,
    /// The first source has a root of its own.
    Apart,
    /// The middle source is a root.
    Cut,
}

/// What may become of the pumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PumpChange {
    #[default]
    Same,
    /// There is none any more.
    Gone,
    /// It follows its zones by other times.
    Slower,
    /// It stands at another source.
    Moved,
    /// The master valve is a pump, and a pump a master valve.
    OtherKind,
}

/// Another plan, made from the one that the farm began with.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlanChange {
    pub(crate) without: Option<usize>,
    pub(crate) is_thirsty: bool,
    pub(crate) is_narrow: bool,
    /// A zone and the source that it moves to.
    pub(crate) moved: Option<(usize, usize)>,
    /// Two nodes that change places.
    pub(crate) swapped: Option<(usize, usize)>,
    pub(crate) tree: Tree,
    pub(crate) pumps: PumpChange,
}

impl PlanChange {
    /// The plan that comes of it; not every one is sound.
    pub(crate) fn of(&self, whole: &Plan, nodes: &[NodeId]) -> Plan {
        let mut plan = whole.clone();
        self.change_tree(&mut plan);
        self.change_pumps(&mut plan);
        if let Some((zone, source)) = self.moved {
            let sources: Vec<SourceId> = plan.sources.keys().cloned().collect();
            if let Some(zone) = plan.zones.values_mut().nth(zone) {
                zone.source = sources[source % sources.len()].clone();
            }
        }
        if let Some((a, b)) = self.swapped {
            swap(&mut plan, &nodes[a % nodes.len()], &nodes[b % nodes.len()]);
        }
        if self.is_thirsty {
            for zone in plan.zones.values_mut() {
                if let SoilRule::Moisture { start_below, stop_above } = &mut zone.soil {
                    (*start_below, *stop_above) = (permyriad(1800), permyriad(2800));
                }
            }
        }
        if self.is_narrow {
            plan.sources.values_mut().for_each(|source| source.capacity = None);
        }
        if let Some(id) = self.without.and_then(|idx| whole.zones.keys().nth(idx)) {
            plan.zones.remove(id);
            plan.programs.clear();
        }
        plan
    }

    fn change_tree(&self, plan: &mut Plan) {
        let source = |name: &str| -> SourceId { name.parse().unwrap() };
        let fed_by = |plan: &mut Plan, name: &str, feeder: Option<&str>| {
            if let Some(found) = plan.sources.get_mut(&source(name)) {
                found.fed_by = feeder.map(source);
            }
        };
        match self.tree {
            Tree::Same => {}
            Tree::Short => fed_by(plan, "main", Some("well")),
            Tree::Apart => {
                let canal = SourcePlan { capacity: Some(LitresPerHour(2500)), ..SourcePlan::default() };
                plan.sources.insert(source("canal"), canal);
                fed_by(plan, "main", Some("canal"));
            }
            Tree::Cut => fed_by(plan, "pump", None),
        }
    }

    fn change_pumps(&self, plan: &mut Plan) {
        let pumps = plan.sources.values_mut().filter_map(|source| source.pump.as_mut());
        match self.pumps {
            PumpChange::Same => {}
            PumpChange::Gone => {
                let pumps = plan.sources.values_mut().map(|source| &mut source.pump);
                let is_pump = |pump: &PumpKind| *pump == PumpKind::Pump;
                pumps
                    .filter(|pump| pump.as_ref().is_some_and(|pump| is_pump(&pump.kind)))
                    .for_each(|pump| *pump = None);
            }
            PumpChange::Slower => pumps.for_each(|pump| pump.on_adjust_s += 2),
            PumpChange::Moved => {
                let well = plan.sources.get_mut(&"well".parse().unwrap());
                let pump = well.and_then(|well| well.pump.take());
                plan.sources.get_mut(&"pump".parse().unwrap()).unwrap().pump = pump;
            }
            PumpChange::OtherKind => pumps.for_each(|pump| {
                pump.kind = match pump.kind {
                    PumpKind::Pump => PumpKind::Master,
                    PumpKind::Master => PumpKind::Pump,
                };
                (pump.on_adjust_s, pump.off_adjust_s) = (pump.on_adjust_s.abs(), -pump.off_adjust_s.abs());
            }),
        }
    }
}

fn swap(plan: &mut Plan, a: &NodeId, b: &NodeId) {
    let of_zones = plan.zones.values_mut().map(|zone| &mut zone.valve);
    let of_pumps = plan.sources.values_mut().filter_map(|source| Some(&mut source.pump.as_mut()?.valve));
    for valve in of_zones.chain(of_pumps) {
        if valve.node == *a {
            valve.node = b.clone();
        } else if valve.node == *b {
            valve.node = a.clone();
        }
    }
}

/// The valves of a plan's zones, then those of its pumps.
pub(crate) fn outputs(plan: &Plan) -> impl Iterator<Item = &ValveRef> {
    let of_pumps = plan.sources.values().filter_map(|source| Some(&source.pump.as_ref()?.valve));
    plan.zones.values().map(|zone| &zone.valve).chain(of_pumps)
}

/// Every node that a plan made from this one may name: those of the zones, those of the pumps, those to spare.
pub(crate) fn nodes_of(plan: &Plan) -> Vec<NodeId> {
    assert!(outputs(plan).all(|valve| valve.valve == ValveId(0)), "a node has one valve");
    outputs(plan).map(|valve| valve.node.clone()).chain(SPARES.map(node)).collect()
}

/// A change, mostly of one thing.
pub(crate) fn plan_change(n_zones: usize) -> impl Strategy<Value = PlanChange> {
    let without = prop_oneof![2 => Just(None), 2 => (0..n_zones).prop_map(Some)];
    let moved = prop_oneof![2 => Just(None), 1 => (0..n_zones, 0..4_usize).prop_map(Some)];
    let swapped = prop_oneof![3 => Just(None), 1 => (0..n_zones + 4, 0..n_zones + 4).prop_map(Some)];
    let tree = prop_oneof![6 => Just(Tree::Same), 1 => Just(Tree::Short), 1 => Just(Tree::Apart), 1 => Just(Tree::Cut)];
    let pumps = prop_oneof![
        8 => Just(PumpChange::Same),
        1 => Just(PumpChange::Gone),
        1 => Just(PumpChange::Slower),
        1 => Just(PumpChange::Moved),
        1 => Just(PumpChange::OtherKind),
    ];
    (without, any::<bool>(), any::<bool>(), moved, swapped, tree, pumps).prop_map(
        |(without, is_thirsty, is_narrow, moved, swapped, tree, pumps)| PlanChange {
            without,
            is_thirsty,
            is_narrow,
            moved,
            swapped,
            tree,
            pumps,
        },
    )
}
