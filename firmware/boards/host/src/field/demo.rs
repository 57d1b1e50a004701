//! The made-up cooperative of the demonstration: three households, six zones, twelve nodes, one pump.
//!
//! Holds data only. Names are invented in the manner of the place and belong to nobody. Each zone has two nodes: the
//! first stands at 10 cm and drives valve and water meter, the second stands deeper.

use crate::field::farm::{NodeSpec, SourceSpec, ZoneSpec};
use crate::field::site::WaterSource;
use crate::field::soil::{N_LAYERS, SoilKind};
use crate::field::zone::{CropCurve, ZoneLayout};

/// Name of the cooperative.
pub(super) const COOPERATIVE: &str = "HTX Cây ăn quả Suối Giọt";

/// Water of one pulse of each zone's meter, mL: a turbine meter with ten pulses a litre.
pub(super) const PULSE_ML: u32 = 100;

/// Plum on bare ground: FAO-56 table 12 and 17 (stone fruit), stage lengths of table 11 for low latitudes; leaf-out
/// follows the blossom of January and February.
const PLUM: CropCurve = CropCurve {
    kc_ini: 0.55,
    kc_mid: 0.90,
    kc_end: 0.65,
    begins_day: 31.0,
    stage_days: [20.0, 70.0, 120.0, 60.0],
};

/// Dragon fruit: not in FAO-56; a placeholder near a pineapple with cover, flowering from April.
const DRAGON_FRUIT: CropCurve = CropCurve {
    kc_ini: 0.45,
    kc_mid: 0.50,
    kc_end: 0.45,
    begins_day: 60.0,
    stage_days: [30.0, 60.0, 150.0, 60.0],
};

/// Longan: not in FAO-56; a placeholder near citrus, evergreen.
const LONGAN: CropCurve = CropCurve {
    kc_ini: 0.70,
    kc_mid: 0.80,
    kc_end: 0.75,
    begins_day: 46.0,
    stage_days: [30.0, 60.0, 120.0, 60.0],
};

/// Fruit trees under drip root mainly in the upper half metre.
const TREE_ROOTS: [f64; N_LAYERS] = [0.13, 0.32, 0.27, 0.19, 0.09];

/// Dragon fruit roots mainly at 0–30 cm.
const SHALLOW_ROOTS: [f64; N_LAYERS] = [0.18, 0.37, 0.27, 0.13, 0.05];

const TREE_DEPTHS_CM: [u16; 2] = [10, 30];
const SHALLOW_DEPTHS_CM: [u16; 2] = [10, 20];

/// The pump gives a little more than the thirstiest zone takes, so that zones water one after another.
pub(super) fn source() -> SourceSpec {
    SourceSpec {
        id: "be-doi",
        name: "Bơm bể đồi",
        water: WaterSource {
            pump_ml_h: 7_500_000,
            refill_ml_h: 2_500_000,
            tank_ml: 40_000_000,
            // More than a minute of full flow, so that the float acts before the tank is empty.
            reserve_ml: 1_000_000,
        },
    }
}

/// The six zones.
pub(super) fn zones() -> Vec<ZoneSpec> {
    vec![
        ZoneSpec {
            id: "man-1",
            name: "Lô mận 1",
            household: "Hộ Lò Văn Minh",
            crop: "plum_bare",
            crop_name: "Mận hậu",
            mad_percent: 26,
            depths_cm: TREE_DEPTHS_CM,
            layout: plum(2_000, SoilKind::LOAM),
        },
        ZoneSpec {
            id: "man-2",
            name: "Lô mận 2",
            household: "Hộ Lò Văn Minh",
            crop: "plum_bare",
            crop_name: "Mận hậu",
            mad_percent: 26,
            depths_cm: TREE_DEPTHS_CM,
            layout: plum(1_600, SoilKind::LOAM),
        },
        ZoneSpec {
            id: "man-3",
            name: "Lô mận sườn đồi",
            household: "Hộ Quàng Thị Hoa",
            crop: "plum_bare",
            crop_name: "Mận hậu",
            mad_percent: 28,
            depths_cm: TREE_DEPTHS_CM,
            layout: plum(2_400, SoilKind::SANDY_LOAM),
        },
        ZoneSpec {
            id: "thanh-long-1",
            name: "Lô thanh long 1",
            household: "Hộ Quàng Thị Hoa",
            crop: "dragon_fruit",
            crop_name: "Thanh long",
            mad_percent: 28,
            depths_cm: SHALLOW_DEPTHS_CM,
            layout: dragon_fruit(1_800, SoilKind::SANDY_LOAM),
        },
        ZoneSpec {
            id: "thanh-long-2",
            name: "Lô thanh long 2",
            household: "Hộ Vì Văn Thắng",
            crop: "dragon_fruit",
            crop_name: "Thanh long",
            mad_percent: 26,
            depths_cm: SHALLOW_DEPTHS_CM,
            layout: dragon_fruit(2_250, SoilKind::LOAM),
        },
        ZoneSpec {
            id: "nhan-1",
            name: "Lô nhãn",
            household: "Hộ Vì Văn Thắng",
            crop: "longan",
            crop_name: "Nhãn",
            mad_percent: 26,
            depths_cm: TREE_DEPTHS_CM,
            layout: ZoneLayout {
                area_m2: 2_000,
                n_plants: 80,
                emitters_per_plant: 20,
                emitter_ml_h: 4_000,
                wetted_percent: 20,
                bulb_draw: 2.0,
                crop: LONGAN,
                soil: SoilKind::SILTY_CLAY_LOAM,
                root_share: TREE_ROOTS,
            },
        },
    ]
}

/// The twelve nodes, `n01` to `n12`, two for each zone in the zones' order.
pub(super) fn nodes() -> Vec<NodeSpec> {
    const IDS: [[&str; 2]; 6] =
        [["n01", "n02"], ["n03", "n04"], ["n05", "n06"], ["n07", "n08"], ["n09", "n10"], ["n11", "n12"]];
    let of_zone = |(zone_idx, (ids, zone)): (usize, ([&'static str; 2], ZoneSpec))| {
        let [shallow, deep] = ids;
        let [shallow_cm, deep_cm] = zone.depths_cm;
        [
            NodeSpec { id: shallow, zone_idx, depth_cm: shallow_cm, has_valve: true },
            NodeSpec { id: deep, zone_idx, depth_cm: deep_cm, has_valve: false },
        ]
    };
    IDS.into_iter().zip(zones()).enumerate().flat_map(of_zone).collect()
}

/// Young plums 4 m apart, each with a ring of twelve emitters of 4 L/h.
fn plum(area_m2: u32, soil: SoilKind) -> ZoneLayout {
    ZoneLayout {
        area_m2,
        n_plants: area_m2 / 16,
        emitters_per_plant: 12,
        emitter_ml_h: 4_000,
        wetted_percent: 20,
        bulb_draw: 2.2,
        crop: PLUM,
        soil,
        root_share: TREE_ROOTS,
    }
}

/// Pillars 3 m apart, each with six emitters of 4 L/h.
fn dragon_fruit(area_m2: u32, soil: SoilKind) -> ZoneLayout {
    ZoneLayout {
        area_m2,
        n_plants: area_m2 / 9,
        emitters_per_plant: 6,
        emitter_ml_h: 4_000,
        wetted_percent: 20,
        bulb_draw: 2.5,
        crop: DRAGON_FRUIT,
        soil,
        root_share: SHALLOW_ROOTS,
    }
}
