//! What a season is computed from: soil, crop, start and rules, checked before the first day.
//!
//! Data without behaviour over time. [`SeasonPlan::check`] finds every problem at once and names each by the key that a
//! season's file has for it.

use core::fmt;

use super::RHMIN_DEFAULT;
use super::auto::Automatic;
use super::profile::Profile;
use crate::agro::kc;
use crate::agro::stages::{Clock, Curve, Stage, Stages};
use crate::agro::weather::WIND_DEFAULT_MS;

/// A soil under a crop.
#[derive(Clone, Debug, PartialEq)]
pub struct SoilPlan {
    /// What it holds.
    pub profile: Profile,
    /// Depth of the layer that dries by evaporation, m: 0.10–0.15.
    pub surface_layer_m: f64,
    /// Water that evaporates from it unhindered, mm.
    pub rew_mm: f64,
    /// Curve number for average wetness; `None`: all rain soaks in.
    pub curve_number: Option<f64>,
}

/// A crop over a season.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CropPlan {
    /// Basal coefficients (table 17).
    pub kcb: Curve,
    /// Single coefficients (table 12).
    pub kc: Option<Curve>,
    /// Lengths of the stages (table 11).
    pub stages: Stages,
    /// Height at first and when grown, m.
    pub height_m: (f64, f64),
    /// Depth of the roots at first and when grown, m.
    pub root_m: (f64, f64),
    /// Share of the available water that roots take without stress (table 22).
    pub p: f64,
}

/// How much water the root zone lacks at first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Depletion {
    /// By a water content, m³/m³ (87); above field capacity drains on the first day.
    Content(f64),
    /// By a depth, mm.
    Depth(f64),
    /// By the water content of each layer of the profile.
    Layers,
}

/// The state before the first day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StartState {
    /// Of the root zone.
    pub depletion: Depletion,
    /// Of the surface layer, mm; `None`: as dry as evaporation makes it (FAO-56 p. 153).
    pub surface_mm: Option<f64>,
    /// Share of the ground that was wetted last.
    pub wetted: f64,
    /// Days or degree days since the first stage began.
    pub progress: f64,
}

/// Which of the two methods of FAO-56 gives the crop's evapotranspiration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coefficients {
    /// One coefficient for plant and soil (58): enough for planning.
    Single,
    /// Plant and bare soil apart (69): right where water stands on part of the ground, as under drip.
    #[default]
    Dual,
}

/// When in a day the water comes. FAO-56 uses both orders; after a full refill they differ by one day's evapotranspiration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DayOrder {
    /// The day's evapotranspiration comes off before the surplus drains: equations 79 and 88 as written.
    #[default]
    DrainAfterEt,
    /// Rain and irrigation fill the soil and drain before the day begins: the tables of examples 35 and 38. Nearer to night
    /// and morning irrigation.
    RefillFirst,
}

/// How the share of ground under the canopy is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Canopy {
    /// By the coefficient (76), over the coefficient of bare soil; `None`: the initial basal one.
    ByCoefficient {
        /// Coefficient of dry bare soil, 0.15–0.20.
        kc_min: Option<f64>,
    },
    /// Measured once: right for an orchard, whose cover (76) takes for none at leaf-out.
    Fixed(f64),
}

/// Where the emitters stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drippers {
    /// What they wet lies in the sun, or the whole ground is wetted (75).
    #[default]
    InTheOpen,
    /// Under the canopy, which shades part of it (FAO-56 p. 147).
    UnderCanopy,
}

/// The curve from depletion to stress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StressCurve {
    /// Straight (84).
    #[default]
    Fao56,
    /// Bent, as in AquaCrop.
    AquaCrop,
}

/// Choices between the ways that FAO-56 leaves open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Single or dual coefficients.
    pub coefficients: Coefficients,
    /// When in a day the water comes.
    pub order: DayOrder,
    /// Whether p follows the day's evapotranspiration (FAO-56 p. 162).
    pub adjust_p: bool,
    /// The curve from depletion to stress.
    pub stress: StressCurve,
    /// Whether coefficients follow the climate of their stage (62, 65, 70).
    pub adjust_kc: bool,
    /// 1.2, or 1.1 where the ground is wetted every day or two (72); 1.0 for a tall reference without climate term.
    pub kc_max_base: f64,
    /// Whether that maximum follows the climate; not with a tall reference.
    pub kc_max_by_climate: bool,
    /// The canopy's share of the ground.
    pub canopy: Canopy,
    /// Where the emitters stand.
    pub drippers: Drippers,
    /// Rain alone of at least so much wets the whole ground, mm (FAO-56 p. 149).
    pub rain_wets_all_mm: f64,
    /// Rain below this share of the day's reference is ignored (FAO-56 p. 171 names 0.2); 0: all rain counts.
    pub rain_ignored_share: f64,
    /// Share of the zone's area whose soil holds water that roots use: less than 1 where drip alone waters in a dry season.
    pub wetted_share: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            coefficients: Coefficients::Dual,
            order: DayOrder::DrainAfterEt,
            adjust_p: true,
            stress: StressCurve::Fao56,
            adjust_kc: false,
            kc_max_base: 1.2,
            kc_max_by_climate: true,
            canopy: Canopy::ByCoefficient { kc_min: None },
            drippers: Drippers::InTheOpen,
            rain_wets_all_mm: 3.0,
            rain_ignored_share: 0.0,
            wetted_share: 1.0,
        }
    }
}

/// Everything that a season is computed from, besides its days.
#[derive(Clone, Debug, PartialEq)]
pub struct SeasonPlan {
    /// The soil.
    pub soil: SoilPlan,
    /// The crop.
    pub crop: CropPlan,
    /// The state before the first day.
    pub start: StartState,
    /// The choices.
    pub rules: Rules,
    /// Irrigation by depletion; `None`: only what the days bring.
    pub automatic: Option<Automatic>,
}

/// One thing that is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanProblem {
    /// The key, as `soil.rew_mm`.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub what: String,
}

impl fmt::Display for PlanProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.what)
    }
}

impl SeasonPlan {
    /// Water that can evaporate from the surface layer, mm (73).
    #[must_use]
    pub fn tew_mm(&self) -> f64 {
        self.soil.profile.evaporable_mm(self.soil.surface_layer_m)
    }

    /// Every problem of the plan, in the order of its parts.
    #[must_use]
    pub fn check(&self) -> Vec<PlanProblem> {
        let mut check = Check(Vec::new());
        self.check_soil(&mut check);
        self.check_crop(&mut check);
        self.check_start(&mut check);
        let rules = &self.rules;
        check.range("rules.kc_max", rules.kc_max_base, 0.5, 1.5);
        check.range("rules.rain_wets_all_mm", rules.rain_wets_all_mm, 0.0, 50.0);
        check.range("rules.rain_ignored_share", rules.rain_ignored_share, 0.0, 1.0);
        check.range("rules.wetted_share", rules.wetted_share, 0.05, 1.0);
        match rules.canopy {
            Canopy::Fixed(cover) => check.range("crop.canopy_cover", cover, 0.0, 0.99),
            Canopy::ByCoefficient { kc_min } => check.range("crop.kc_min", kc_min.unwrap_or(0.15), 0.0, 1.0),
        }
        if let Some(automatic) = &self.automatic {
            automatic.check(&mut check);
        }
        check.0
    }

    fn check_soil(&self, check: &mut Check) {
        let soil = &self.soil;
        let n_problems = check.0.len();
        soil.profile.check(self.crop.root_m.1, check);
        let is_plausible = check.0.len() == n_problems;
        check.range("soil.surface_layer_m", soil.surface_layer_m, 0.02, 0.5);
        check.range("soil.rew_mm", soil.rew_mm, 0.0, 50.0);
        check.rule(
            "soil.rew_mm",
            soil.rew_mm < self.tew_mm() || !is_plausible,
            &format!("below {:.2} mm, all that can evaporate from the surface layer", self.tew_mm()),
        );
        check.range("soil.curve_number", soil.curve_number.unwrap_or(70.0), 1.0, 100.0);
    }

    fn check_crop(&self, check: &mut Check) {
        let crop = &self.crop;
        let curves = [("crop.kcb", Some(crop.kcb)), ("crop.kc", crop.kc)];
        for (field, curve) in curves.into_iter().filter_map(|(field, curve)| Some((field, curve?))) {
            for value in [curve.ini, curve.mid, curve.end] {
                check.range(field, value, 0.0, 2.0);
            }
        }
        if self.rules.coefficients == Coefficients::Single {
            check.rule("crop.kc", crop.kc.is_some(), "three coefficients, as method = \"single\" needs them");
        }
        let lengths_field = match crop.stages.clock {
            Clock::Days => "crop.stage_days",
            Clock::DegreeDays { base_c, upper_c } => {
                check.range("crop.base_c", base_c, -10.0, 30.0);
                check.rule(
                    "crop.upper_c",
                    upper_c > base_c && upper_c <= 60.0,
                    "above crop.base_c, at most 60 °C",
                );
                "crop.stage_degree_days"
            }
        };
        for length in crop.stages.lengths {
            check.range(lengths_field, length, 0.0, 20_000.0);
        }
        let ranges = [("crop.height_m", crop.height_m, 0.0, 60.0), ("crop.root_m", crop.root_m, 0.01, 10.0)];
        for (field, (first, grown), low, high) in ranges {
            check.range(field, first, low, high);
            check.range(field, grown, low, high);
            check.rule(field, first <= grown, "[at first, grown]: the second not below the first");
        }
        check.range("crop.p", crop.p, 0.05, 0.95);
    }

    fn check_start(&self, check: &mut Check) {
        match self.start.depletion {
            Depletion::Content(content) => check.range("start.water_content", content, 0.0, 0.9),
            Depletion::Depth(depth_mm) => check.range("start.depletion_mm", depth_mm, 0.0, 5000.0),
            Depletion::Layers => {
                let has_layers = matches!(self.soil.profile, Profile::Layers(_));
                check.rule("start.water_content", has_layers, "needed where the soil has no layers");
            }
        }
        check.range(
            "start.surface_depletion_mm",
            self.start.surface_mm.unwrap_or(0.0),
            0.0,
            self.tew_mm().max(0.0),
        );
        check.range("start.wetted", self.start.wetted, 0.01, 1.0);
        check.range("start.progress", self.start.progress, 0.0, 20_000.0);
    }
}

/// Problems as they are found.
pub(super) struct Check(Vec<PlanProblem>);

impl Check {
    /// Notes a number outside its range; NaN is outside every range.
    pub(super) fn range(&mut self, field: &'static str, value: f64, low: f64, high: f64) {
        self.rule(field, (low..=high).contains(&value), &format!("{value} is not between {low} and {high}"));
    }

    /// Notes a broken rule.
    pub(super) fn rule(&mut self, field: &'static str, holds: bool, what: &str) {
        if !holds {
            self.0.push(PlanProblem { field, what: what.to_owned() });
        }
    }
}

impl CropPlan {
    /// The crop with the coefficients of mid-season and end made for the climate of their stages (62, 65, 70). `climate` gives
    /// each day's progress, wind at 2 m and lowest humidity, where they are known. Coefficients below 0.45 keep their own
    /// (FAO-56 p. 127).
    #[must_use]
    pub fn for_climate(mut self, climate: &[(f64, Option<f64>, Option<f64>)]) -> Self {
        let [a, b, c, d] = self.stages.lengths;
        // A stage begins with the day that starts at its first instant: the mid-season's first day still stands at the end of
        // the development on the curve.
        let mid_from = a + b;
        let term = |from: f64, to: f64| {
            let days = || climate.iter().filter(|(progress, ..)| (from..to).contains(progress));
            // Where neither is known, the tables' own climate holds: the term is 0.
            let u2_ms = mean(days().filter_map(|day| day.1)).unwrap_or(WIND_DEFAULT_MS);
            let rhmin = mean(days().filter_map(|day| day.2)).unwrap_or(RHMIN_DEFAULT);
            // The tables print two decimals; a third is all that the term can mean.
            libm::rint(kc::climate_term(u2_ms, rhmin, self.height_m.1) * 1000.0) / 1000.0
        };
        let (mid, end) = (term(mid_from, mid_from + c), term(mid_from + c, mid_from + c + d));
        let adjust = |value: f64, term: f64| if value >= 0.45 { value + term } else { value };
        for curve in [Some(&mut self.kcb), self.kc.as_mut()].into_iter().flatten() {
            curve.mid = adjust(curve.mid, mid);
            curve.end = adjust(curve.end, end);
        }
        self
    }

    /// Depth of the roots at a progress, m: they grow with the canopy until mid-season.
    #[must_use]
    pub fn root_at_m(&self, progress: f64) -> f64 {
        self.root_m.0 + (self.root_m.1 - self.root_m.0) * self.stages.growth(progress)
    }

    /// The stage at a progress.
    #[must_use]
    pub fn stage(&self, progress: f64) -> Stage {
        self.stages.stage(progress)
    }
}

/// Mean of what there is; `None` of nothing.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0_u32), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}
