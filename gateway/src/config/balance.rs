//! The `[station]` that balances go by, and each `[zone.balance]`: crop, stages, roots and drip → the season that is counted.

use super::compile::{Compiler, parse_day_minute};
use super::raw;
use crate::balance::{BalancePlan, Station};
use giot_engine::HeldWater;
use giot_engine::agro::{
    Canopy, Clock, Crop, CropPlan, DayOrder, Depletion, Profile, Rules, SeasonPlan, Site, SoilPlan, Stages,
    StartState, crop,
};
use giot_shared::ids::NodeId;
use toml::Spanned;

/// Height of a farm station's anemometer, m: FAO-56 wants 2.
const WIND_HEIGHT_M_DEFAULT: f64 = 2.0;
/// Roots that drip wets, m; domain.md section 4: 0.4–0.6 whatever table 22 says.
const ROOT_M_DRIP: f64 = 0.6;
/// Drip; domain.md section 1.6: 0.85–0.95.
const EFFICIENCY_PERCENT_DEFAULT: f64 = 90.0;
/// Trickle (FAO-56 table 20: 0.3–0.4).
const WETTED_PERCENT_DEFAULT: f64 = 35.0;
/// Nobody knows what was missing at first: half of the available water, where most crops begin to want water.
const DEPLETED_PERCENT_DEFAULT: f64 = 50.0;
/// Depth that dries by evaporation (FAO-56 p. 144).
const SURFACE_LAYER_M: f64 = 0.1;
/// Part of what can evaporate that evaporates unhindered, where the soil is none of table 19 (its rows: 0.33–0.5).
const REW_SHARE: f64 = 0.4;

impl Compiler<'_> {
    /// The weather station.
    pub(super) fn station(
        &mut self,
        raw: &Spanned<raw::Station>,
        latitude_deg: Option<&Spanned<f64>>,
    ) -> Option<Station> {
        let station = raw.get_ref();
        let device = self.id::<NodeId>(&station.device, "station.device");
        if latitude_deg.is_none() && !self.is_spoilt("latitude_deg") {
            self.problem(
                raw.span(),
                "latitude_deg",
                "needed beside a [station]: the sun's way depends on it",
            );
        }
        // Each number is judged beside sound ones; the latitude itself is judged with the farm's place.
        let latitude_deg = latitude_deg.filter(|_| !self.is_spoilt("latitude_deg"));
        let latitude_deg = latitude_deg.map_or(0.0, |latitude| *latitude.get_ref());
        let elevation_m = *station.elevation_m.get_ref();
        if let Err(error) = Site::new(latitude_deg, elevation_m, WIND_HEIGHT_M_DEFAULT) {
            self.problem_at(&format!("station.{}", error.field()), error);
        }
        let wind_height_m =
            station.wind_height_m.as_ref().map_or(WIND_HEIGHT_M_DEFAULT, |height| *height.get_ref());
        if let Err(error) = Site::new(latitude_deg, 0.0, wind_height_m) {
            self.problem_at(&format!("station.{}", error.field()), error);
        }
        Some(Station { device: device?, site: Site::new(latitude_deg, elevation_m, wind_height_m).ok()? })
    }

    /// A zone's balance; `Some(None)`: there is one, and something is wrong with it.
    pub(super) fn balance(
        &mut self,
        zone: &raw::Zone,
        field: &str,
        has_station: bool,
    ) -> Option<Option<BalancePlan>> {
        let raw = zone.balance.as_ref()?;
        let field = format!("{field}.balance");
        if !has_station {
            self.problem(raw.span(), &field, "a [station] with the farm's weather is needed");
        }
        Some(self.balance_plan(zone, raw, &field).filter(|_| has_station))
    }

    fn balance_plan(
        &mut self,
        zone: &raw::Zone,
        spanned: &Spanned<raw::Balance>,
        field: &str,
    ) -> Option<BalancePlan> {
        let raw = spanned.get_ref();
        let row = self.crop_row(zone, spanned, field);
        // What is wrong with the soil's keys is told with the zone's thresholds.
        let of_zone = field.strip_suffix(".balance").unwrap_or(field);
        let held = self.held_water(zone, of_zone);
        if held == Some(None) {
            let what = "give the zone a soil (`giot agro soils`), or field_capacity_percent and wilting_point_percent";
            self.problem(spanned.span(), field, what);
        }
        let held = held.flatten();
        let since = self.month_day(&raw.since, &format!("{field}.since"));
        let shares = self.shares(raw, field);
        let reset_hour = match &raw.reset_at {
            None => Some(None),
            Some(text) => self.reset_hour(text, &format!("{field}.reset_at")).map(Some),
        };
        if (zone.area_m2.is_none() || zone.flow_l_per_h.is_none())
            && !self.is_any_spoilt(of_zone, &["area_m2", "flow_l_per_h"])
        {
            self.problem(
                spanned.span(),
                field,
                "the zone's area_m2 and flow_l_per_h are needed to turn mm into minutes",
            );
        }
        let stages = row.and_then(|row| self.stages(row, spanned, field));
        let (row, held, stages, shares) = (row?, held?, stages?, shares?);
        let root_m = raw.root_cm.as_ref().map(|root| *root.get_ref() / 100.0);
        let season = season(row, held, stages, root_m, &shares);
        // A season is judged as one: where a part of it is wrong already, nothing is said of the rest.
        let is_sound = !self.is_spoilt(field);
        for problem in season.check().into_iter().filter(|_| is_sound) {
            self.problem(spanned.span(), field, problem);
        }
        // A wrong area is told with the zone.
        let area_dm2 = zone.area_m2.as_ref().map(|area| *area.get_ref() * 100.0)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the zone's own check bounds it"
        )]
        let area_dm2 = area_dm2.clamp(1.0, 1e9) as u32;
        Some(BalancePlan {
            season,
            since: since?,
            area_dm2,
            efficiency: shares.efficiency,
            wetted: shares.wetted,
            reset_hour: reset_hour?,
        })
    }

    /// The shares of a balance.
    fn shares(&mut self, raw: &raw::Balance, field: &str) -> Option<Shares> {
        let mut share = |value: Option<&Spanned<f64>>, key: &str, default: f64, low: f64| {
            let Some(value) = value else { return Some(default / 100.0) };
            let is_good = (low..=100.0).contains(value.get_ref());
            if !is_good {
                self.problem(value.span(), &format!("{field}.{key}"), format!("between {low} and 100 %"));
            }
            is_good.then_some(*value.get_ref() / 100.0)
        };
        let efficiency =
            share(raw.efficiency_percent.as_ref(), "efficiency_percent", EFFICIENCY_PERCENT_DEFAULT, 10.0);
        let wetted = share(raw.wetted_percent.as_ref(), "wetted_percent", WETTED_PERCENT_DEFAULT, 1.0);
        let roots = share(raw.root_share_percent.as_ref(), "root_share_percent", 100.0, 5.0);
        let depleted =
            share(raw.depleted_percent.as_ref(), "depleted_percent", DEPLETED_PERCENT_DEFAULT, 0.0);
        let canopy = match &raw.canopy_percent {
            None => Some(None),
            Some(canopy) => share(Some(canopy), "canopy_percent", 0.0, 0.0).map(Some),
        };
        Some(Shares {
            efficiency: efficiency?,
            wetted: wetted?,
            roots: roots?,
            depleted: depleted?,
            canopy: canopy?,
        })
    }

    fn crop_row(
        &mut self,
        zone: &raw::Zone,
        raw: &Spanned<raw::Balance>,
        field: &str,
    ) -> Option<&'static Crop> {
        let row = zone.crop.as_ref().and_then(|id| crop(id.get_ref()));
        let of_zone = field.strip_suffix(".balance").unwrap_or(field);
        if row.is_none() && !self.is_any_spoilt(of_zone, &["crop"]) {
            let span = zone.crop.as_ref().map_or_else(|| raw.span(), Spanned::span);
            self.problem(
                span,
                &format!("{of_zone}.crop"),
                "the zone's crop must be a row of `giot agro crops`, for example \"plum_bare\"",
            );
        }
        row
    }

    /// The crop's stages: by warmth where the farm says so, else by days.
    fn stages(&mut self, row: &Crop, spanned: &Spanned<raw::Balance>, field: &str) -> Option<Stages> {
        let raw = spanned.get_ref();
        let limits = (raw.base_c.as_ref(), raw.upper_c.as_ref());
        match (&raw.stage_days, &raw.stage_degree_days, limits) {
            (Some(_), Some(warmth), _) => {
                self.problem(
                    warmth.span(),
                    &format!("{field}.stage_degree_days"),
                    "either this or stage_days",
                );
                None
            }
            (None, Some(warmth), (Some(base_c), Some(upper_c))) => {
                let (base_c, upper_c) = (*base_c.get_ref(), *upper_c.get_ref());
                Some(Stages { lengths: *warmth.get_ref(), clock: Clock::DegreeDays { base_c, upper_c } })
            }
            (None, Some(_), _) if self.is_any_spoilt(field, &["base_c", "upper_c"]) => None,
            (None, Some(warmth), _) => {
                let what = "needs base_c and upper_c, °C";
                self.problem(warmth.span(), &format!("{field}.stage_degree_days"), what);
                None
            }
            (_, None, _) if self.is_any_spoilt(field, &["stage_days", "stage_degree_days"]) => None,
            (_, None, (Some(limit), _) | (None, Some(limit))) => {
                let key = if raw.base_c.is_some() { "base_c" } else { "upper_c" };
                let what = "base_c and upper_c belong to stage_degree_days";
                self.problem(limit.span(), &format!("{field}.{key}"), what);
                None
            }
            (given, None, (None, None)) => {
                let lengths = given.as_ref().map(|lengths| *lengths.get_ref()).or(row.stage_days);
                if lengths.is_none() {
                    let what = format!("needed: days of the four stages; the table has none for {}", row.id);
                    self.problem(spanned.span(), &format!("{field}.stage_days"), what);
                }
                lengths.map(Stages::days)
            }
        }
    }

    /// `02-01`.
    fn month_day(&mut self, text: &Spanned<String>, field: &str) -> Option<(u8, u8)> {
        let parsed = text.get_ref().split_once('-').and_then(|(month, day)| {
            let (month, day): (u8, u8) = (month.parse().ok()?, day.parse().ok()?);
            giot_engine::program::Date::new(2000, month, day).map(|_| (month, day))
        });
        if parsed.is_none() {
            self.problem(text.span(), field, "month and day on which growth begins, written as 02-01");
        }
        parsed
    }

    fn reset_hour(&mut self, text: &Spanned<String>, field: &str) -> Option<u8> {
        let minute = parse_day_minute(text.get_ref()).filter(|minute| minute % 60 == 0);
        if minute.is_none() {
            self.problem(text.span(), field, "a full hour of the day, written as 06:00");
        }
        minute.and_then(|minute| u8::try_from(minute / 60).ok())
    }
}

/// Shares of a balance, each of its whole.
struct Shares {
    efficiency: f64,
    wetted: f64,
    roots: f64,
    depleted: f64,
    canopy: Option<f64>,
}

/// The season of a crop in a soil under drip; `root_m`: the farm's own depth of grown roots.
fn season(row: &Crop, held: HeldWater, stages: Stages, root_m: Option<f64>, shares: &Shares) -> SeasonPlan {
    let (field_capacity, wilting_point) =
        (held.field_capacity.percent() / 100.0, held.wilting_point.percent() / 100.0);
    let (first_m, grown_m) = row.season_root_m();
    let root_m = root_m.unwrap_or(grown_m.min(ROOT_M_DRIP));
    let profile = Profile::Uniform { field_capacity, wilting_point, below_roots: None };
    let tew_mm = profile.evaporable_mm(SURFACE_LAYER_M);
    let canopy = shares.canopy.map(|cover| Canopy::Fixed(cover.min(0.99)));
    SeasonPlan {
        soil: SoilPlan {
            rew_mm: tew_mm * REW_SHARE,
            profile,
            surface_layer_m: SURFACE_LAYER_M,
            curve_number: None,
        },
        crop: CropPlan {
            kcb: row.kcb,
            kc: Some(row.kc),
            stages,
            height_m: row.season_height_m(),
            root_m: (first_m.min(root_m), root_m),
            p: row.p,
        },
        start: StartState {
            depletion: Depletion::Content(
                field_capacity - shares.depleted * (field_capacity - wilting_point),
            ),
            surface_mm: None,
            wetted: shares.wetted,
            progress: 0.0,
        },
        rules: Rules {
            order: DayOrder::RefillFirst,
            canopy: canopy.unwrap_or(Canopy::ByCoefficient { kc_min: None }),
            wetted_share: shares.roots,
            ..Rules::default()
        },
        automatic: None,
    }
}
