//! What a soil holds down to a depth: the same everywhere, or in layers.
//!
//! Layers are summed in whole millimetres, as pyfao56 does. Depletions of a profile are over the whole ground; a share of it is
//! the caller's.

use super::plan::Check;
use crate::agro::kc;

/// A layer of soil. Water contents are m³ of water per m³ of soil.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layer {
    /// Depth of its lower edge, m.
    pub bottom_m: f64,
    /// What it holds against gravity.
    pub field_capacity: f64,
    /// What roots cannot take from it.
    pub wilting_point: f64,
    /// What it holds at the start; used where the season starts by its layers.
    pub water_content: f64,
}

/// A soil from the surface down.
#[derive(Clone, Debug, PartialEq)]
pub enum Profile {
    /// The same at every depth. Water that leaves the roots is lost.
    Uniform {
        /// What it holds against gravity.
        field_capacity: f64,
        /// What roots cannot take.
        wilting_point: f64,
        /// Water content below the roots; `None`: at field capacity, so that growing roots find no deficit.
        below_roots: Option<f64>,
    },
    /// In layers from the top. Water that leaves the roots stays in reach down to their greatest depth.
    Layers(Vec<Layer>),
}

/// The pores of mineral soils take at most so much of their volume, m³/m³: well-aggregated clays have 0.6.
const PORES_MINERAL: f64 = 0.6;
/// The same of organic soils and substrates, m³/m³: fibrous peat has 0.95.
const PORES_ORGANIC: f64 = 0.95;
/// No mineral soil holds so much at field capacity, m³/m³: FAO-56 table 19 ends at 0.40, for clay.
const FIELD_CAPACITY_ORGANIC: f64 = 0.5;

/// The most water that a soil with such a field capacity can hold when all its pores are full, m³/m³.
#[must_use]
pub fn water_content_max(field_capacity: f64) -> f64 {
    if field_capacity > FIELD_CAPACITY_ORGANIC { PORES_ORGANIC } else { PORES_MINERAL }
}

impl Profile {
    /// The most water that its wettest layer can hold, m³/m³.
    #[must_use]
    pub fn water_content_max(&self) -> f64 {
        match self {
            Self::Uniform { field_capacity, .. } => water_content_max(*field_capacity),
            Self::Layers(layers) => {
                water_content_max(layers.iter().map(|layer| layer.field_capacity).fold(0.0, f64::max))
            }
        }
    }

    /// Water that roots can take down to a depth, mm (82).
    #[must_use]
    pub fn available_mm(&self, depth_m: f64) -> f64 {
        match self {
            Self::Uniform { field_capacity, wilting_point, .. } => {
                kc::available_mm(*field_capacity, *wilting_point, depth_m)
            }
            Self::Layers(layers) => {
                sum_mm(layers, depth_m, |layer| layer.field_capacity - layer.wilting_point)
            }
        }
    }

    /// Water that can evaporate down to a depth, mm (73).
    #[must_use]
    pub fn evaporable_mm(&self, depth_m: f64) -> f64 {
        match self {
            Self::Uniform { field_capacity, wilting_point, .. } => {
                kc::evaporable_mm(*field_capacity, *wilting_point, depth_m)
            }
            Self::Layers(layers) => {
                sum_mm(layers, depth_m, |layer| layer.field_capacity - 0.5 * layer.wilting_point)
            }
        }
    }

    /// What a water content that is the same down to a depth lacks of field capacity, mm (87).
    #[must_use]
    pub fn lacking_mm(&self, water_content: f64, depth_m: f64) -> f64 {
        match self {
            Self::Uniform { field_capacity, .. } => kc::available_mm(*field_capacity, water_content, depth_m),
            Self::Layers(layers) => sum_mm(layers, depth_m, |layer| layer.field_capacity - water_content),
        }
    }

    /// What the layers' own water contents lack down to a depth, mm; `None` without layers.
    #[must_use]
    pub fn lacking_at_start_mm(&self, depth_m: f64) -> Option<f64> {
        match self {
            Self::Uniform { .. } => None,
            Self::Layers(layers) => {
                Some(sum_mm(layers, depth_m, |layer| layer.field_capacity - layer.water_content))
            }
        }
    }

    /// Notes what is wrong with it for roots down to `root_m`.
    pub(super) fn check(&self, root_m: f64, check: &mut Check) {
        match self {
            Self::Uniform { field_capacity, wilting_point, below_roots } => {
                check.range("soil.field_capacity", *field_capacity, 0.02, 0.9);
                check.range("soil.wilting_point", *wilting_point, 0.0, 0.7);
                check.rule("soil.wilting_point", wilting_point < field_capacity, "below soil.field_capacity");
                check.range("soil.below_roots", below_roots.unwrap_or(0.2), 0.0, 0.9);
            }
            Self::Layers(layers) => {
                let mut top_m = 0.0;
                for layer in layers {
                    check.range("soil.layers", layer.field_capacity, 0.02, 0.9);
                    check.range("soil.layers", layer.wilting_point, 0.0, 0.7);
                    check.range("soil.layers", layer.water_content, 0.0, 0.9);
                    check.rule(
                        "soil.layers",
                        layer.wilting_point < layer.field_capacity,
                        "wilting_point below field_capacity",
                    );
                    check.rule(
                        "soil.layers",
                        layer.bottom_m > top_m && layer.bottom_m <= 20.0,
                        "from the top down",
                    );
                    top_m = layer.bottom_m;
                }
                check.rule("soil.layers", top_m >= root_m, "the deepest not above crop.root_m");
            }
        }
    }
}

/// The sum over every whole millimetre down to a depth.
fn sum_mm(layers: &[Layer], depth_m: f64, content: impl Fn(&Layer) -> f64) -> f64 {
    let depth_mm = libm::floor(depth_m * 1000.0);
    let (mut sum_mm, mut top_mm) = (0.0, 0.0);
    for layer in layers {
        let bottom_mm = libm::round(layer.bottom_m * 1000.0).min(depth_mm);
        sum_mm += (bottom_mm - top_mm).max(0.0) * content(layer);
        top_mm = bottom_mm.max(top_mm);
    }
    sum_mm
}
