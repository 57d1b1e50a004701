//! The parts of a season's plan: soil, crop, start, rules and automatic irrigation, from the file or from the tables.

use super::compile::{Compiler, Span};
use super::raw;
use giot_engine::agro::{
    Amount, Automatic, Canopy, Clock, Coefficients, CropPlan, Curve, DayOrder, Depletion, Drippers,
    ForecastAction, Layer, Profile, RainForecast, Rules, SeasonPlan, Soil, SoilPlan, Stages, StartState,
    StressCurve, crop, crops, soil, soils,
};
use toml::Spanned;

/// What sums over layers may miss by, mm.
const ROUNDING_MM: f64 = 1e-6;

impl Compiler<'_> {
    /// Soil, crop, start and rules, with stand-ins where a number is missing, which is noted.
    pub(super) fn plan(&mut self, raw: &raw::File, span: Option<&Span>) -> SeasonPlan {
        let is_dual = matches!(raw.rules.coefficients, raw::Coefficients::Dual);
        let soil = self.soil(&raw.soil, is_dual);
        let crop = self.crop(&raw.crop, is_dual);
        let progress = self.progress(raw, span);
        let start = self.start(raw, progress);
        self.within_the_root_zone(raw, &soil.profile, &start, crop.root_at_m(progress));
        let mut rules = self.rules(&raw.rules);
        rules.canopy = match self.optional("crop.canopy_cover", raw.crop.canopy_cover.as_ref()) {
            Some(cover) => Canopy::Fixed(cover),
            None => Canopy::ByCoefficient { kc_min: self.optional("crop.kc_min", raw.crop.kc_min.as_ref()) },
        };
        let automatic = raw.automatic.as_ref().map(|automatic| self.automatic(automatic, span));
        SeasonPlan { soil, crop, start, rules, automatic }
    }

    /// How far the crop is on the first day. Degree days before the weather begins are not known.
    fn progress(&mut self, raw: &raw::File, span: Option<&Span>) -> f64 {
        let (Some(span), Some(planted)) = (span, &raw.season.planted) else { return 0.0 };
        self.spans.insert("start.progress", planted.span());
        let n_days = span.first.signed_duration_since(span.planted).num_days();
        if n_days > 0 && raw.crop.stage_degree_days.is_some() {
            self.problem(
                planted.span(),
                "season.planted",
                "with stage_degree_days the season begins at planting",
            );
        }
        f64::from(i32::try_from(n_days).unwrap_or(i32::MAX))
    }

    fn soil(&mut self, raw: &raw::Soil, is_dual: bool) -> SoilPlan {
        let table = raw.id.as_ref().and_then(|id| {
            let found = soil(id.get_ref());
            if found.is_none() {
                let ids: Vec<_> = soils().iter().map(|soil| soil.id).collect();
                self.problem(id.span(), "soil.id", format!("one of {} (giot agro soils)", ids.join(", ")));
            }
            found
        });
        let rew_mm = self.of_soil("soil.rew_mm", &raw.rew_mm, table.map(|soil| soil.rew_mm));
        // A single coefficient knows no surface layer.
        if rew_mm.is_none() && raw.id.is_none() && is_dual {
            self.needed("soil.rew_mm", "or name a texture by soil.id");
        }
        SoilPlan {
            profile: self.profile(raw, table),
            surface_layer_m: self
                .optional("soil.surface_layer_m", raw.surface_layer_m.as_ref())
                .unwrap_or(0.1),
            rew_mm: rew_mm.unwrap_or(0.0),
            curve_number: self.optional("soil.curve_number", raw.curve_number.as_ref()),
        }
    }

    /// A number of the soil: as given, or the middle of its texture's range.
    fn of_soil(
        &mut self,
        field: &'static str,
        value: &raw::Number,
        range: Option<(f64, f64)>,
    ) -> Option<f64> {
        self.optional(field, value.as_ref()).or(range.map(Soil::middle))
    }

    fn profile(&mut self, raw: &raw::Soil, table: Option<&Soil>) -> Profile {
        let field_capacity =
            self.of_soil("soil.field_capacity", &raw.field_capacity, table.map(|soil| soil.field_capacity));
        let wilting_point =
            self.of_soil("soil.wilting_point", &raw.wilting_point, table.map(|soil| soil.wilting_point));
        let below_roots = self.optional("soil.below_roots", raw.below_roots.as_ref());
        if let Some(layers) = &raw.layers {
            self.spans.insert("soil.layers", layers.span());
            if raw.field_capacity.is_some() || raw.wilting_point.is_some() || below_roots.is_some() {
                let what = "either layers, or field_capacity, wilting_point and below_roots";
                self.problem(layers.span(), "soil.layers", what);
            }
            return Profile::Layers(layers.get_ref().iter().map(layer).collect());
        }
        for (field, is_missing) in [
            ("soil.field_capacity", field_capacity.is_none()),
            ("soil.wilting_point", wilting_point.is_none()),
        ] {
            if is_missing && raw.id.is_none() {
                self.needed(field, "or name a texture by soil.id, or give soil.layers");
            }
        }
        Profile::Uniform {
            field_capacity: field_capacity.unwrap_or(0.9),
            wilting_point: wilting_point.unwrap_or(0.0),
            below_roots,
        }
    }

    fn needed(&mut self, field: &str, remedy: &str) {
        self.problem(None, field, format!("is needed, {remedy}"));
    }

    fn crop(&mut self, raw: &raw::Crop, is_dual: bool) -> CropPlan {
        let table = raw.id.as_ref().and_then(|id| {
            let found = crop(id.get_ref());
            if found.is_none() {
                let ids: Vec<_> = crops().iter().map(|crop| crop.id).collect();
                self.problem(id.span(), "crop.id", format!("one of {} (giot agro crops)", ids.join(", ")));
            }
            found
        });
        let curve = |[ini, mid, end]: [f64; 3]| Curve::new(ini, mid, end);
        let pair = |[first, grown]: [f64; 2]| (first, grown);
        let kcb = self.optional("crop.kcb", raw.kcb.as_ref()).map(curve).or(table.map(|crop| crop.kcb));
        let kc = self.optional("crop.kc", raw.kc.as_ref()).map(curve).or(table.map(|crop| crop.kc));
        let height_m = self
            .optional("crop.height_m", raw.height_m.as_ref())
            .map(pair)
            .or(table.map(|crop| crop.season_height_m()));
        let root_m = self
            .optional("crop.root_m", raw.root_m.as_ref())
            .map(pair)
            .or(table.map(|crop| crop.season_root_m()));
        let p = self.optional("crop.p", raw.p.as_ref()).or(table.map(|crop| crop.p));
        // A single coefficient knows neither basal part nor height; that it is there, the engine checks.
        for (field, is_missing) in [
            ("crop.kcb", is_dual && kcb.is_none()),
            ("crop.height_m", is_dual && height_m.is_none()),
            ("crop.root_m", root_m.is_none()),
            ("crop.p", p.is_none()),
        ] {
            if is_missing && raw.id.is_none() {
                self.needed(field, "or name a crop by crop.id");
            }
        }
        let stages = self.stages(raw, table.and_then(|crop| crop.stage_days));
        CropPlan {
            kcb: kcb.or(kc).unwrap_or(Curve::new(0.5, 0.5, 0.5)),
            kc,
            stages,
            height_m: height_m.unwrap_or((1.0, 1.0)),
            root_m: root_m.unwrap_or((1.0, 1.0)),
            p: p.unwrap_or(0.5),
        }
    }

    fn stages(&mut self, raw: &raw::Crop, from_table: Option<[f64; 4]>) -> Stages {
        let days = self.optional("crop.stage_days", raw.stage_days.as_ref());
        let warmth = self.optional("crop.stage_degree_days", raw.stage_degree_days.as_ref());
        let base_c = self.optional("crop.base_c", raw.base_c.as_ref());
        let upper_c = self.optional("crop.upper_c", raw.upper_c.as_ref());
        match (days, warmth, base_c, upper_c) {
            (Some(_), Some(_), ..) => {
                let span = raw.stage_degree_days.as_ref().map(Spanned::span);
                self.problem(span, "crop.stage_degree_days", "either this or stage_days");
            }
            (None, Some(_), None, _) | (None, Some(_), _, None) => {
                let span = raw.stage_degree_days.as_ref().map(Spanned::span);
                self.problem(span, "crop.stage_degree_days", "needs base_c and upper_c, °C");
            }
            (None, Some(lengths), Some(base_c), Some(upper_c)) => {
                return Stages { lengths, clock: Clock::DegreeDays { base_c, upper_c } };
            }
            (None, None, ..) if from_table.is_none() => {
                let span = raw.id.as_ref().map(Spanned::span);
                let what = "is needed: [initial, development, mid-season, late] in days; the table has none for this crop";
                self.problem(span, "crop.stage_days", what);
            }
            (_, None, ..) => {}
        }
        Stages::days(days.or(from_table).unwrap_or([1.0; 4]))
    }

    fn start(&mut self, raw: &raw::File, progress: f64) -> StartState {
        let start = &raw.start;
        let content = self.optional("start.water_content", start.water_content.as_ref());
        let depth_mm = self.optional("start.depletion_mm", start.depletion_mm.as_ref());
        let layers = raw.soil.layers.as_ref().map(|layers| layers.get_ref().iter());
        let by_layers = layers.is_some_and(|mut layers| layers.all(|layer| layer.water_content.is_some()));
        let depletion = match (content, depth_mm) {
            (Some(content), None) => Depletion::Content(content),
            (None, Some(depth_mm)) => Depletion::Depth(depth_mm),
            (None, None) if by_layers => Depletion::Layers,
            _ => {
                let what = "give water_content (m³/m³; field capacity after a soaking rain) or depletion_mm, not both";
                self.problem(start.depletion_mm.as_ref().map(Spanned::span), "start", what);
                Depletion::Content(0.2)
            }
        };
        StartState {
            depletion,
            surface_mm: self.optional("start.surface_depletion_mm", start.surface_depletion_mm.as_ref()),
            wetted: self.optional("start.wetted", start.wetted.as_ref()).unwrap_or(1.0),
            progress,
        }
    }

    /// A season begins at field capacity at the wettest: Dr,i is never below 0 (FAO-56 p. 170), what is above it has drained; and
    /// at the driest with nothing that plants can draw (TAW).
    fn within_the_root_zone(&mut self, raw: &raw::File, profile: &Profile, start: &StartState, root_m: f64) {
        let (lacking_mm, field, span) = match start.depletion {
            Depletion::Content(content) => {
                let span = raw.start.water_content.as_ref().map(Spanned::span);
                (profile.lacking_mm(content, root_m), "start.water_content", span)
            }
            Depletion::Layers => {
                let lacking_mm = profile.lacking_at_start_mm(root_m).unwrap_or_default();
                (lacking_mm, "soil.layers", raw.soil.layers.as_ref().map(Spanned::span))
            }
            // That it is not below 0, the engine checks.
            Depletion::Depth(depth_mm) => {
                let most_mm = profile.available_mm(root_m);
                if depth_mm > most_mm + ROUNDING_MM {
                    let span = raw.start.depletion_mm.as_ref().map(Spanned::span);
                    let what = format!(
                        "more than the {most_mm:.1} mm that the root zone holds between field capacity and wilting point at the start"
                    );
                    self.problem(span, "start.depletion_mm", what);
                }
                return;
            }
        };
        if lacking_mm < -ROUNDING_MM {
            let what = format!(
                "{:.1} mm more than field capacity in the root zone: that has drained; after a soaking rain give field capacity",
                -lacking_mm
            );
            self.problem(span, field, what);
        }
    }

    fn rules(&mut self, raw: &raw::Rules) -> Rules {
        let tall = matches!(raw.reference, raw::Reference::AsceTall);
        let default = Rules::default();
        Rules {
            coefficients: match raw.coefficients {
                raw::Coefficients::Dual => Coefficients::Dual,
                raw::Coefficients::Single => Coefficients::Single,
            },
            order: match raw.order {
                raw::Order::DrainAfterEt => DayOrder::DrainAfterEt,
                raw::Order::RefillFirst => DayOrder::RefillFirst,
            },
            adjust_p: matches!(raw.p, raw::Fraction::Adjusted),
            stress: match raw.stress {
                raw::Stress::Fao56 => StressCurve::Fao56,
                raw::Stress::Aquacrop => StressCurve::AquaCrop,
            },
            adjust_kc: raw.adjust_kc,
            // No crop takes more than the tall reference does: the maximum is the reference itself.
            kc_max_base: self.optional("rules.kc_max", raw.kc_max.as_ref()).unwrap_or(if tall {
                1.0
            } else {
                default.kc_max_base
            }),
            kc_max_by_climate: !tall,
            canopy: default.canopy,
            drippers: match raw.drippers {
                raw::Drippers::InTheOpen => Drippers::InTheOpen,
                raw::Drippers::UnderCanopy => Drippers::UnderCanopy,
            },
            rain_wets_all_mm: self
                .optional("rules.rain_wets_all_mm", raw.rain_wets_all_mm.as_ref())
                .unwrap_or(default.rain_wets_all_mm),
            rain_ignored_share: self
                .optional("rules.rain_ignored_share", raw.rain_ignored_share.as_ref())
                .unwrap_or(default.rain_ignored_share),
            wetted_share: self
                .optional("rules.wetted_share", raw.wetted_share.as_ref())
                .unwrap_or(default.wetted_share),
        }
    }

    fn automatic(&mut self, raw: &Spanned<raw::Automatic>, span: Option<&Span>) -> Automatic {
        let automatic = raw.get_ref();
        let mut day = |field: &'static str, date: Option<&raw::Date>, default: usize| {
            let Some(date) = date else { return default };
            self.spans.insert(field, date.span());
            let idx = self.date(field, date).zip(span).map(|(date, span)| usize::try_from(span.idx(date)));
            // Before the season's first day: from the first day on.
            idx.map_or(default, |idx| idx.unwrap_or(0))
        };
        let first_day = day("automatic.first", automatic.first.as_ref(), 0);
        let last_day = day("automatic.last", automatic.last.as_ref(), usize::MAX);
        let depletion_share = self.optional("automatic.depletion_share", automatic.depletion_share.as_ref());
        let depletion_mm = self.optional("automatic.depletion_mm", automatic.depletion_mm.as_ref());
        let ks_below = self.optional("automatic.ks_below", automatic.ks_below.as_ref());
        if depletion_share.is_none() && depletion_mm.is_none() && ks_below.is_none() {
            self.problem(raw.span(), "automatic", "needs one of depletion_share, depletion_mm, ks_below");
        }
        let efficiency = self.optional("automatic.efficiency_percent", automatic.efficiency_percent.as_ref());
        Automatic {
            first_day,
            last_day,
            depletion_share,
            depletion_mm,
            ks_below,
            n_days_between: automatic.days_between.as_ref().map_or(0, |days| usize::from(*days.get_ref())),
            forecast: self.forecast(automatic),
            amount: self.amount(raw),
            efficiency: efficiency.unwrap_or(100.0) / 100.0,
            min_mm: self.optional("automatic.min_mm", automatic.min_mm.as_ref()).unwrap_or(0.0),
            max_mm: self.optional("automatic.max_mm", automatic.max_mm.as_ref()).unwrap_or(1000.0),
            wetted: self.at("automatic.wetted", &automatic.wetted),
        }
    }

    fn forecast(&mut self, raw: &raw::Automatic) -> Option<RainForecast> {
        let rain_mm = self.optional("automatic.forecast_mm", raw.forecast_mm.as_ref())?;
        let n_days = self.optional("automatic.forecast_days", raw.forecast_days.as_ref()).unwrap_or(1);
        let action = match raw.forecast_action.unwrap_or_default() {
            raw::ForecastAction::Cancel => ForecastAction::Cancel,
            raw::ForecastAction::Reduce => ForecastAction::Reduce,
        };
        Some(RainForecast { rain_mm, n_days: usize::from(n_days), action })
    }

    fn amount(&mut self, raw: &Spanned<raw::Automatic>) -> Amount {
        let automatic = raw.get_ref();
        let leave_share = self.optional("automatic.leave_share", automatic.leave_share.as_ref());
        let leave_mm = self.optional("automatic.leave_mm", automatic.leave_mm.as_ref());
        let fixed_mm = self.optional("automatic.fixed_mm", automatic.fixed_mm.as_ref());
        match (leave_share, leave_mm, fixed_mm) {
            (None, None, None) => Amount::LeaveShare(0.0),
            (Some(share), None, None) => Amount::LeaveShare(share),
            (None, Some(depth_mm), None) => Amount::LeaveDepth(depth_mm),
            (None, None, Some(depth_mm)) => Amount::Fixed(depth_mm),
            _ => {
                self.problem(raw.span(), "automatic", "only one of leave_share, leave_mm, fixed_mm");
                Amount::LeaveShare(0.0)
            }
        }
    }
}

/// A layer as the engine has it; a water content that is not given is not used.
fn layer(raw: &raw::Layer) -> Layer {
    Layer {
        bottom_m: raw.bottom_m,
        field_capacity: raw.field_capacity,
        wilting_point: raw.wilting_point,
        water_content: raw.water_content.unwrap_or(raw.field_capacity),
    }
}
