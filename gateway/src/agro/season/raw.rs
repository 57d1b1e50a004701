//! A season's file as it is written: keys, types and nothing else. Values keep their place in the text, so that a rule
//! broken later can name the line.

use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

pub(super) type Number = Option<Spanned<f64>>;
pub(super) type Date = Spanned<Datetime>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) season: Season,
    pub(super) site: Site,
    pub(super) crop: Crop,
    pub(super) soil: Soil,
    #[serde(default)]
    pub(super) start: Start,
    pub(super) weather: Spanned<Weather>,
    #[serde(default)]
    pub(super) irrigation: Vec<Irrigation>,
    #[serde(default)]
    pub(super) observed: Vec<Observed>,
    pub(super) automatic: Option<Spanned<Automatic>>,
    #[serde(default)]
    pub(super) rules: Rules,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Season {
    pub(super) first: Date,
    pub(super) last: Date,
    pub(super) planted: Option<Date>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Site {
    pub(super) latitude_deg: Spanned<f64>,
    pub(super) elevation_m: Spanned<f64>,
    pub(super) wind_height_m: Number,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Crop {
    pub(super) id: Option<Spanned<String>>,
    pub(super) kc: Option<Spanned<[f64; 3]>>,
    pub(super) kcb: Option<Spanned<[f64; 3]>>,
    pub(super) stage_days: Option<Spanned<[f64; 4]>>,
    pub(super) stage_degree_days: Option<Spanned<[f64; 4]>>,
    pub(super) base_c: Number,
    pub(super) upper_c: Number,
    pub(super) height_m: Option<Spanned<[f64; 2]>>,
    pub(super) root_m: Option<Spanned<[f64; 2]>>,
    pub(super) p: Number,
    pub(super) canopy_cover: Number,
    pub(super) kc_min: Number,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Soil {
    pub(super) id: Option<Spanned<String>>,
    pub(super) field_capacity: Number,
    pub(super) wilting_point: Number,
    pub(super) surface_layer_m: Number,
    pub(super) rew_mm: Number,
    pub(super) curve_number: Number,
    pub(super) below_roots: Number,
    pub(super) layers: Option<Spanned<Vec<Layer>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Layer {
    pub(super) bottom_m: f64,
    pub(super) field_capacity: f64,
    pub(super) wilting_point: f64,
    pub(super) water_content: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    pub(super) water_content: Number,
    pub(super) depletion_mm: Number,
    pub(super) surface_depletion_mm: Number,
    pub(super) wetted: Number,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Weather {
    pub(super) file: Option<Spanned<String>>,
    pub(super) csv: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Irrigation {
    pub(super) date: Date,
    pub(super) depth_mm: Spanned<f64>,
    pub(super) wetted: Spanned<f64>,
    pub(super) efficiency_percent: Number,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Observed {
    pub(super) date: Date,
    pub(super) water_content: Number,
    pub(super) kcb: Number,
    pub(super) height_m: Number,
    pub(super) canopy_cover: Number,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Automatic {
    pub(super) first: Option<Date>,
    pub(super) last: Option<Date>,
    pub(super) depletion_share: Number,
    pub(super) depletion_mm: Number,
    pub(super) ks_below: Number,
    pub(super) days_between: Option<Spanned<u16>>,
    pub(super) forecast_mm: Number,
    pub(super) forecast_days: Option<Spanned<u16>>,
    pub(super) forecast_action: Option<ForecastAction>,
    pub(super) leave_share: Number,
    pub(super) leave_mm: Number,
    pub(super) fixed_mm: Number,
    pub(super) efficiency_percent: Number,
    pub(super) min_mm: Number,
    pub(super) max_mm: Number,
    pub(super) wetted: Spanned<f64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ForecastAction {
    #[default]
    Cancel,
    Reduce,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rules {
    pub(super) reference: Reference,
    pub(super) temperature_only: TemperatureOnly,
    pub(super) wind_min_ms: Number,
    pub(super) coefficients: Coefficients,
    pub(super) order: Order,
    pub(super) p: Fraction,
    pub(super) stress: Stress,
    pub(super) adjust_kc: bool,
    pub(super) kc_max: Number,
    pub(super) drippers: Drippers,
    pub(super) rain_wets_all_mm: Number,
    pub(super) rain_ignored_share: Number,
    pub(super) wetted_share: Number,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reference {
    #[default]
    AsceShort,
    AsceTall,
    Fao56,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TemperatureOnly {
    PenmanMonteith,
    #[default]
    Hargreaves,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Coefficients {
    #[default]
    Dual,
    Single,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    #[default]
    DrainAfterEt,
    RefillFirst,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fraction {
    #[default]
    Adjusted,
    Constant,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stress {
    #[default]
    Fao56,
    Aquacrop,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Drippers {
    #[default]
    InTheOpen,
    UnderCanopy,
}
