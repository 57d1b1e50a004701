//! Below which level a zone's plants suffer: by what its soil holds and its crop, or else by the start threshold that the farm
//! waters by.
//!
//! Must not depend on the thresholds that are tried: two trials of the same days are judged by the same level, or their stress
//! days could not be compared.

use giot_engine::agro::crop;
use giot_engine::{HeldWater, SoilRule, ZoneId};

use crate::config::Settings;

/// Share of the available water that most crops take without stress (FAO-56 p. 162), where the zone's crop is not known.
const P_USUAL: f64 = 0.5;

/// What the level rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StressFrom {
    /// Field capacity, wilting point and the crop's share (FAO-56 equations 83 and 84).
    Soil,
    /// The same with the usual share: the crop is not known.
    SoilOfAnyCrop,
    /// The start threshold of the settings in force.
    Threshold,
}

impl StressFrom {
    /// What is assumed, by code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Soil => "stress_by_soil",
            Self::SoilOfAnyCrop => "stress_by_soil_of_any_crop",
            Self::Threshold => "stress_by_threshold",
        }
    }
}

/// When plants suffer, in the unit of the zone's probes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stress {
    /// They take less when it is drier than this.
    pub level: f64,
    /// They take nothing here.
    pub dry: f64,
    /// Dry is a high tension instead of a low water content.
    pub is_tension: bool,
    /// What it rests on.
    pub from: StressFrom,
}

impl Stress {
    /// Of a zone; `in_force`: the settings that water the farm, which need not be those that are tried. `None`: neither its soil
    /// nor a threshold in force is known.
    #[must_use]
    pub fn of(tried: &Settings, in_force: Option<&Settings>, zone: &ZoneId) -> Option<Self> {
        let is_tension = tried.plan.zones.get(zone)?.soil.is_tension();
        let both = [in_force, Some(tried)];
        let known = || both.into_iter().flatten();
        let held = known().find_map(|settings| settings.soils.get(zone)).filter(|_| !is_tension);
        if let Some(held) = held {
            let label = |settings: &'_ Settings| settings.zone_labels.get(zone)?.crop.clone();
            let p = known().filter_map(label).find_map(|id| crop(&id)).map(|crop| crop.p);
            return Some(Self::by_soil(*held, p));
        }
        let rule = &in_force?.plan.zones.get(zone)?.soil;
        (rule.is_tension() == is_tension).then(|| Self::by_threshold(rule))
    }

    fn by_soil(held: HeldWater, p: Option<f64>) -> Self {
        let (full, dry) = (held.field_capacity.percent(), held.wilting_point.percent());
        Self {
            level: full - p.unwrap_or(P_USUAL) * (full - dry),
            dry,
            is_tension: false,
            from: if p.is_some() { StressFrom::Soil } else { StressFrom::SoilOfAnyCrop },
        }
    }

    fn by_threshold(rule: &SoilRule) -> Self {
        let level = rule.start().in_unit();
        Self { level, dry: level / 2.0, is_tension: rule.is_tension(), from: StressFrom::Threshold }
    }

    /// Whether plants suffer at a level.
    #[must_use]
    pub fn is_at(&self, level: f64) -> bool {
        if self.is_tension { level > self.level } else { level < self.level }
    }
}
