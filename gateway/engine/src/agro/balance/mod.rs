//! The water in soil and root zone over a season, day by day (FAO-56 chapters 7 and 8).
//!
//! One [`Balance`] is one zone's soil. It is given a day ([`DayInput`]) and answers with everything that happened
//! ([`DayRow`]); it keeps nothing but its state, so a season can be run from the past or lived day by day. It decides about
//! irrigation only where its plan has an [`Automatic`], and then in millimetres.
//!
//! The order of a day's steps is that of pyfao56 1.4.3 (K. Thorp, CC0), against whose seasons the tests hold it:
//! coefficients, height, roots → irrigation → runoff → wetted share → evaporation → available water, p, stress →
//! percolation and depletion.
//!
//! Invariant, checked by properties: the terms of a day add up,
//! `Dr = Dr before + reset + growth − (rain − runoff − ignored) − (irrigation − loss) + ET + percolation − below wilting`,
//! where percolation is what left the roots; with layers it is lost only below their greatest depth.

mod auto;
mod below;
mod day;
mod plan;
mod profile;
mod root_zone;
mod runoff;
mod surface;

pub use auto::{Amount, Automatic, ForecastAction, RainForecast};
pub use below::BelowRow;
pub use day::{CropRow, DayInput, DayRow, Observed, WaterRow, Watering};
pub use plan::{
    Canopy, Coefficients, CropPlan, DayOrder, Depletion, Drippers, PlanProblem, Rules, SeasonPlan, SoilPlan,
    StartState, StressCurve,
};
pub use profile::{Layer, Profile, water_content_max};
pub use root_zone::{RootInput, RootRow, RootZone};
pub use runoff::runoff_mm;
pub use surface::{Surface, SurfaceInput, SurfaceRow};

use super::error::InputError;
use super::kc;
use super::stages::Stage;
use super::weather::WIND_DEFAULT_MS;
use auto::Morning;
use below::Below;

/// Lowest humidity where none is known, %: that of the climate which the tables are made for.
const RHMIN_DEFAULT: f64 = 45.0;
/// Roots and stems are never nothing, m: keeps depths and powers finite.
const SIZE_MIN_M: f64 = 0.001;

/// One zone's soil over a season.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    plan: SeasonPlan,
    root_zone: RootZone,
    below: Option<Below>,
    surface: Surface,
    wetted: f64,
    progress: f64,
    day_idx: usize,
    height_m: f64,
    root_m: f64,
    /// Basal coefficient of the day before,
    kcb: f64,
    /// and what the curve said then, which differs where somebody observed the crop.
    curve_kcb: f64,
    kc_actual: f64,
    ks_evening: f64,
    last_irrigation_idx: Option<usize>,
}

impl Balance {
    /// The balance before its first day.
    ///
    /// # Errors
    /// Every problem of the plan.
    pub fn new(plan: SeasonPlan) -> Result<Self, Vec<PlanProblem>> {
        let problems = plan.check();
        if !problems.is_empty() {
            return Err(problems);
        }
        let (profile, crop, share) = (&plan.soil.profile, &plan.crop, plan.rules.wetted_share);
        let root_m = crop.root_at_m(plan.start.progress);
        let lacking_mm = |depth_m: f64| match plan.start.depletion {
            Depletion::Content(content) => profile.lacking_mm(content, depth_m) * share,
            Depletion::Depth(depth_mm) => depth_mm * depth_m / root_m,
            Depletion::Layers => profile.lacking_at_start_mm(depth_m).unwrap_or_default() * share,
        };
        let taw_mm = profile.available_mm(root_m) * share;
        let dr_mm = lacking_mm(root_m);
        let root_zone = RootZone { dr_mm, taw_mm };
        let below = Below::new(profile, crop.root_m.1, share, lacking_mm(crop.root_m.1), &root_zone);
        let tew_mm = plan.tew_mm();
        Ok(Self {
            root_zone,
            below,
            surface: Surface {
                tew_mm,
                rew_mm: plan.soil.rew_mm,
                de_mm: plan.start.surface_mm.unwrap_or(tew_mm),
            },
            wetted: plan.start.wetted,
            progress: plan.start.progress,
            day_idx: 0,
            height_m: crop.height_m.0,
            root_m,
            kcb: crop.kcb.ini,
            curve_kcb: crop.kcb.ini,
            kc_actual: crop.kc.map_or(crop.kcb.ini, |kc| kc.ini),
            ks_evening: kc::stress(dr_mm, taw_mm, crop.p * taw_mm),
            last_irrigation_idx: None,
            plan,
        })
    }

    /// What the root zone lacks, mm.
    #[must_use]
    pub const fn depletion_mm(&self) -> f64 {
        self.root_zone.dr_mm
    }

    /// Lets a day pass. `rain_after_mm` is the rain forecast for the days after it, for a plan that looks ahead.
    ///
    /// # Errors
    /// [`InputError`] names the number of the day that cannot be; the state is unchanged then.
    pub fn pass(&mut self, day: &DayInput, rain_after_mm: &[f64]) -> Result<DayRow, InputError> {
        day.check_in(&self.plan.soil.profile)?;
        let growth = self.growth_of(day)?;
        let rules = self.plan.rules;
        let reset_mm = self.reset(day.water_content);
        let watering = self.watering(day, rain_after_mm);
        let (crop, growth_mm) = self.grow(day);
        let water = self.water(day, watering, crop.cover);
        let surface = (rules.coefficients == Coefficients::Dual).then(|| {
            let input = SurfaceInput {
                water_mm: water.rain_soaked_mm() + water.irrigation_soaked_mm() / water.wetted,
                et0_mm: day.et0_mm,
                kcb: crop.kcb,
                kc_max: crop.kc_max,
                exposed_wetted: water.exposed_wetted,
            };
            self.surface.pass(rules.order, &input)
        });
        // The plan's check lets single coefficients through only where the crop has them.
        let kc_plant = if surface.is_some() { crop.kcb } else { crop.kc_single.unwrap_or(crop.kcb) };
        let ke = surface.map_or(0.0, |surface| surface.ke);
        let kc = kc_plant + ke;
        let etc_mm = kc * day.et0_mm;
        let p = self.plan.crop.p;
        let input = RootInput {
            water_mm: water.rain_soaked_mm() + water.irrigation_soaked_mm(),
            transpiration_mm: kc_plant * day.et0_mm,
            evaporation_mm: surface.map_or(0.0, |surface| surface.e_mm),
            growth_mm,
            p: if rules.adjust_p { kc::depletion_fraction(p, etc_mm) } else { p },
        };
        let root = self.root_zone.pass(rules.order, rules.stress, &input);
        let below =
            self.below.as_mut().map(|below| below.pass(rules.order, input.water_mm, root.et_mm, root.dr_mm));
        self.kc_actual = root.ks * kc_plant + ke;
        self.ks_evening = root.ks_evening;
        if water.irrigation_mm > 0.0 {
            self.last_irrigation_idx = Some(self.day_idx);
        }
        self.progress += growth;
        self.day_idx += 1;
        let kc_actual = self.kc_actual;
        Ok(DayRow {
            et0_mm: day.et0_mm,
            crop,
            water,
            surface,
            kc,
            etc_mm,
            kc_actual,
            root,
            below,
            reset_mm,
            growth_mm,
        })
    }

    /// How far the day brings the crop, in the units of its stages.
    fn growth_of(&self, day: &DayInput) -> Result<f64, InputError> {
        let growth = self.plan.crop.stages.clock.growth(day.extremes_c);
        growth.ok_or(InputError::Missing { field: "tmin_c" })
    }

    /// Sets the depletion by a measured water content (87); says by how much it changed.
    fn reset(&mut self, water_content: Option<f64>) -> f64 {
        let Some(content) = water_content else { return 0.0 };
        let before_mm = self.root_zone.dr_mm;
        let share = self.plan.rules.wetted_share;
        let measured_mm = self.plan.soil.profile.lacking_mm(content, self.root_m) * share;
        // Above field capacity the surplus drains within the day; below the wilting point nothing is counted.
        self.root_zone.dr_mm = measured_mm.min(self.root_zone.taw_mm);
        let change_mm = self.root_zone.dr_mm - before_mm;
        if let Some(below) = &mut self.below {
            below.reset(change_mm);
        }
        change_mm
    }

    /// The day's irrigation: what was given, or what the plan gives by itself.
    fn watering(&self, day: &DayInput, rain_after_mm: &[f64]) -> Option<Watering> {
        let given = day.watering.filter(|watering| watering.depth_mm > 0.0);
        let automatic = self.plan.automatic.filter(|_| given.is_none());
        given.or_else(|| {
            let automatic = automatic?;
            let depth_mm = automatic.decide(&Morning {
                day_idx: self.day_idx,
                dr_mm: self.root_zone.dr_mm,
                taw_mm: self.root_zone.taw_mm,
                ks: self.ks_evening,
                et_expected_mm: self.kc_actual * day.et0_mm,
                last_irrigation_idx: self.last_irrigation_idx,
                rain_today_mm: day.rain_mm,
                rain_after_mm,
            })?;
            Some(Watering { depth_mm, wetted: automatic.wetted, efficiency: automatic.efficiency })
        })
    }

    /// The crop on this day, and the depletion of the soil that its roots grew into.
    fn grow(&mut self, day: &DayInput) -> (CropRow, f64) {
        let (plan, rules) = (&self.plan.crop, &self.plan.rules);
        let curve_kcb = match self.day_idx {
            0 => plan.stages.value(plan.kcb, self.progress),
            _ => plan.stages.next_value(plan.kcb, self.curve_kcb, self.progress),
        };
        let stage = plan.stage(self.progress);
        let expected_kcb = match stage {
            // What was observed goes on along the slope of the curve, and is forgotten where the curve is level.
            Stage::Development | Stage::Late => self.kcb + (curve_kcb - self.curve_kcb),
            Stage::Initial | Stage::Mid | Stage::Over => curve_kcb,
        };
        let kcb = day.observed.kcb.unwrap_or(expected_kcb);
        (self.kcb, self.curve_kcb) = (kcb, curve_kcb);
        let height_m = self.grown(plan.height_m, kcb);
        let root_m = self.grown(plan.root_m, curve_kcb).min(plan.root_m.1);
        self.height_m = day.observed.height_m.unwrap_or(height_m.max(self.height_m)).max(SIZE_MIN_M);
        let climate = if rules.kc_max_by_climate {
            let (u2_ms, rhmin) = (day.u2_ms.unwrap_or(WIND_DEFAULT_MS), day.rhmin.unwrap_or(RHMIN_DEFAULT));
            kc::climate_term(u2_ms, rhmin, self.height_m)
        } else {
            0.0
        };
        let kc_max = kc::maximum(rules.kc_max_base, climate, kcb);
        let cover = day.observed.cover.unwrap_or_else(|| match rules.canopy {
            Canopy::Fixed(cover) => cover,
            Canopy::ByCoefficient { kc_min } => {
                kc::canopy_cover(kcb, kc_min.unwrap_or(plan.kcb.ini), kc_max, self.height_m)
            }
        });
        let kc_single = plan.kc.map(|kc| plan.stages.value(kc, self.progress));
        let growth_mm = self.grow_roots(root_m);
        let row =
            CropRow { stage, kc_single, kcb, height_m: self.height_m, root_m: self.root_m, kc_max, cover };
        (row, growth_mm)
    }

    /// A size between its first and its grown value: as far as the coefficient is on its way up, or where it does not rise,
    /// as far as the time is.
    fn grown(&self, (first, grown): (f64, f64), kcb: f64) -> f64 {
        let crop = &self.plan.crop;
        let rise = crop.kcb.mid - crop.kcb.ini;
        if rise.abs() > f64::EPSILON {
            first + (grown - first) * (kcb - crop.kcb.ini) / rise
        } else {
            first + (grown - first) * crop.stages.growth(self.progress)
        }
    }

    /// Lets the roots reach a depth; the depletion of the soil that they grew into.
    fn grow_roots(&mut self, root_m: f64) -> f64 {
        let (profile, share) = (&self.plan.soil.profile, self.plan.rules.wetted_share);
        let before_m = self.root_m;
        self.root_m = root_m.max(before_m).max(SIZE_MIN_M);
        self.root_zone.taw_mm = profile.available_mm(self.root_m) * share;
        match (&mut self.below, profile) {
            (Some(below), _) => below.give(self.root_zone.taw_mm),
            (None, Profile::Uniform { below_roots: Some(content), .. }) => {
                profile.lacking_mm(*content, self.root_m - before_m) * share
            }
            (None, _) => 0.0,
        }
    }

    /// What soaks in, and where the ground is wet.
    fn water(&mut self, day: &DayInput, watering: Option<Watering>, cover: f64) -> WaterRow {
        let rules = &self.plan.rules;
        let ignored_mm = if day.rain_mm < rules.rain_ignored_share * day.et0_mm { day.rain_mm } else { 0.0 };
        let rain_mm = day.rain_mm - ignored_mm;
        let surface = (rules.coefficients == Coefficients::Dual).then_some(&self.surface);
        let runoff_mm = self.plan.soil.curve_number.map_or(0.0, |number| runoff_mm(rain_mm, number, surface));
        self.wetted = match watering {
            Some(watering) => watering.wetted,
            None if rain_mm >= rules.rain_wets_all_mm => 1.0,
            None => self.wetted,
        };
        let exposed_wetted = match rules.drippers {
            // The canopy shades what drippers wet; rain wets the open ground as well.
            Drippers::UnderCanopy if self.wetted < 1.0 => kc::exposed_wetted_under_canopy(cover, self.wetted),
            Drippers::UnderCanopy | Drippers::InTheOpen => kc::exposed_wetted(cover, self.wetted),
        };
        WaterRow {
            irrigation_mm: watering.map_or(0.0, |watering| watering.depth_mm),
            loss_mm: watering.map_or(0.0, |watering| watering.depth_mm * (1.0 - watering.efficiency)),
            rain_mm: day.rain_mm,
            ignored_mm,
            runoff_mm,
            wetted: self.wetted,
            exposed_wetted,
        }
    }
}
