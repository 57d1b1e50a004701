//! Whole seasons against pyfao56: every row, every column, within 1e-4 mm.

use crate::data::{Row, Table, day_of_year, near};
use giot_engine::agro::{
    Amount, Automatic, Balance, CropPlan, Curve, DayInput, DayRow, Depletion, Et0Choice, ForecastAction,
    Layer, Observed, Profile, RainForecast, Rules, SeasonPlan, Site, SoilPlan, Stages, Standard, StartState,
    StressCurve, Watering, Weather, et0_day,
};

/// What a season's file does not say in numbers.
struct Case {
    name: &'static str,
    site: Site,
    standard: Standard,
    runoff: bool,
    rules: Rules,
    automatic: Option<Automatic>,
    /// Layers of the soil: lower edge in m, field capacity, wilting point, water content at the start.
    layers: &'static [(f64, f64, f64, f64)],
}

fn case(name: &'static str, (latitude_deg, elevation_m, wind_height_m): (f64, f64, f64)) -> Case {
    Case {
        name,
        site: Site::new(latitude_deg, elevation_m, wind_height_m).unwrap(),
        standard: Standard::AsceShort,
        runoff: false,
        rules: Rules::default(),
        automatic: None,
        layers: &[],
    }
}

fn profile(case: &Case, table: &Table) -> Profile {
    if case.layers.is_empty() {
        let (field_capacity, wilting_point) = (table.parameter("thetaFC"), table.parameter("thetaWP"));
        return Profile::Uniform { field_capacity, wilting_point, below_roots: None };
    }
    let layer = |&(bottom_m, field_capacity, wilting_point, water_content): &(f64, f64, f64, f64)| Layer {
        bottom_m,
        field_capacity,
        wilting_point,
        water_content,
    };
    Profile::Layers(case.layers.iter().map(layer).collect())
}

fn plan(case: &Case, table: &Table) -> SeasonPlan {
    let value = |name| table.parameter(name);
    let curve = |ini, mid, end| Curve::new(value(ini), value(mid), value(end));
    SeasonPlan {
        soil: SoilPlan {
            profile: profile(case, table),
            surface_layer_m: value("Ze"),
            rew_mm: value("REW"),
            curve_number: case.runoff.then(|| value("CN2")),
        },
        crop: CropPlan {
            kcb: curve("Kcbini", "Kcbmid", "Kcbend"),
            kc: Some(curve("Kcmini", "Kcmmid", "Kcmend")),
            stages: Stages::days(["Lini", "Ldev", "Lmid", "Lend"].map(value)),
            height_m: (value("hini"), value("hmax")),
            root_m: (value("Zrini"), value("Zrmax")),
            p: value("pbase"),
        },
        start: StartState {
            depletion: match case.layers {
                [] => Depletion::Content(value("theta0")),
                _ => Depletion::Layers,
            },
            surface_mm: None,
            wetted: 1.0,
            progress: 0.0,
        },
        rules: case.rules,
        automatic: case.automatic,
    }
}

fn day(case: &Case, row: &Row<'_>) -> DayInput {
    let weather = Weather {
        doy: day_of_year(row.text("date")),
        tmin_c: row.number("tmin_c"),
        tmax_c: row.number("tmax_c"),
        rhmax: row.optional("rhmax"),
        rhmin: row.optional("rhmin"),
        rs_mj: row.optional("rs_mj"),
        u_ms: row.optional("u_ms"),
        ..Weather::default()
    };
    let choice = Et0Choice { standard: case.standard, ..Et0Choice::default() };
    DayInput {
        et0_mm: et0_day(&case.site, &weather, &choice).unwrap().et0_mm,
        rain_mm: row.number("rain_mm"),
        u2_ms: weather.u_ms.map(|u_ms| case.site.wind(Some(u_ms)).unwrap().0),
        rhmin: weather.rhmin,
        extremes_c: Some((weather.tmin_c, weather.tmax_c)),
        watering: row.optional("irrigation_mm").map(|depth_mm| Watering {
            depth_mm,
            wetted: row.number("wetted"),
            efficiency: row.number("efficiency") / 100.0,
        }),
        water_content: None,
        observed: Observed {
            kcb: row.optional("seen_kcb"),
            height_m: row.optional("seen_height"),
            cover: row.optional("seen_cover"),
        },
    }
}

fn columns(row: &DayRow) -> Vec<(&'static str, f64)> {
    let surface = row.surface.expect("dual coefficients");
    vec![
        ("ETref", row.et0_mm),
        ("Kcm", row.crop.kc_single.expect("single coefficients as well")),
        ("Kcb", row.crop.kcb),
        ("h", row.crop.height_m),
        ("Kcmax", row.crop.kc_max),
        ("fc", row.crop.cover),
        ("fw", row.water.wetted),
        ("few", row.water.exposed_wetted),
        ("De", surface.de_mm),
        ("Ke", surface.ke),
        ("ETc", row.etc_mm),
        ("TAW", row.root.taw_mm),
        ("Zr", row.crop.root_m),
        ("p", row.root.p),
        ("Ks", row.root.ks),
        ("ETa", row.root.et_mm),
        ("DP", row.lost_mm()),
        ("Dr", row.root.dr_mm),
        ("Irrig", row.water.irrigation_mm),
        ("Runoff", row.water.runoff_mm),
    ]
}

/// Every day of a season.
fn run(case: &Case, table: &Table) -> Vec<DayRow> {
    let days: Vec<DayInput> = table.rows().map(|row| day(case, &row)).collect();
    let mut plan = plan(case, table);
    if case.rules.adjust_kc {
        let climate: Vec<_> =
            (0..).zip(&days).map(|(idx, day)| (f64::from(idx), day.u2_ms, day.rhmin)).collect();
        plan.crop = plan.crop.for_climate(&climate);
    }
    let rain_mm: Vec<f64> = days.iter().map(|day| day.rain_mm).collect();
    let n_days = table.rows().filter(|row| !row.text("ETref").is_empty()).count();
    let mut balance = Balance::new(plan).unwrap();
    (0..n_days).map(|idx| balance.pass(&days[idx], &rain_mm[idx + 1..]).unwrap()).collect()
}

/// Runs a season and holds every row against the file; says how many there were.
fn check(case: &Case) -> usize {
    let table = Table::read(case.name);
    let results = run(case, &table);
    for (result, row) in results.iter().zip(table.rows()) {
        let whole = result.below.map(|below| ("Drmax", below.whole_dr_mm));
        for (column, value) in columns(result).into_iter().chain(whole) {
            near(&format!("{} {} {column}", case.name, row.text("date")), value, row.number(column), 1e-6);
        }
    }
    results.len()
}

#[test]
fn a_season_has_the_same_bits_on_every_machine() {
    let case = case("season_plum_fixed", SON_LA);
    let rows = run(&case, &Table::read(case.name));
    // FNV-1a over the bits of every column of every day. Another value means another machine's arithmetic, or another libm:
    // then past decisions can no longer be replayed, and the change must say so.
    let hash = rows.iter().flat_map(columns).fold(0xcbf2_9ce4_8422_2325_u64, |hash, (_, value)| {
        value
            .to_bits()
            .to_le_bytes()
            .iter()
            .fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
    });
    assert_eq!(hash, 0x1ab2_34a9_2fe0_cd82, "{hash:#x}");
}

const SON_LA: (f64, f64, f64) = (21.05, 320.0, 2.0);

#[test]
fn a_rainfed_plum_season() {
    assert_eq!(check(&case("season_plum_rainfed", SON_LA)), 170);
}

#[test]
fn a_plum_season_with_drip_on_given_days() {
    assert_eq!(check(&case("season_plum_fixed", SON_LA)), 170);
}

#[test]
fn the_same_with_a_constant_depletion_fraction() {
    let constant = Rules { adjust_p: false, ..Rules::default() };
    assert_eq!(check(&Case { rules: constant, ..case("season_plum_fixed_const_p", SON_LA) }), 170);
}

#[test]
fn a_plum_season_that_waters_by_itself() {
    let automatic = Automatic {
        first_day: 2,
        last_day: 150,
        depletion_share: Some(0.4),
        depletion_mm: None,
        ks_below: None,
        n_days_between: 0,
        forecast: Some(RainForecast { rain_mm: 8.0, n_days: 2, action: ForecastAction::Cancel }),
        amount: Amount::LeaveShare(0.1),
        efficiency: 0.9,
        min_mm: 3.0,
        max_mm: 20.0,
        wetted: 0.35,
    };
    assert_eq!(check(&Case { automatic: Some(automatic), ..case("season_plum_auto", SON_LA) }), 170);
}

#[test]
fn maize_in_an_arid_climate_with_adjusted_coefficients_and_growing_roots() {
    let rules = Rules { adjust_kc: true, ..Rules::default() };
    assert_eq!(check(&Case { rules, ..case("season_maize_arid", (36.5, 120.0, 3.0)) }), 150);
}

#[test]
fn tomatoes_in_the_south_over_new_year_from_a_wet_start_by_depth_and_reduced_by_forecasts() {
    let automatic = Automatic {
        first_day: 3,
        last_day: 140,
        depletion_share: Some(0.35),
        depletion_mm: None,
        ks_below: None,
        n_days_between: 2,
        forecast: Some(RainForecast { rain_mm: 10.0, n_days: 3, action: ForecastAction::Reduce }),
        amount: Amount::LeaveDepth(2.0),
        efficiency: 0.88,
        min_mm: 4.0,
        max_mm: 18.0,
        wetted: 0.4,
    };
    let rules = Rules { adjust_p: false, ..Rules::default() };
    let case = Case {
        runoff: true,
        rules,
        automatic: Some(automatic),
        ..case("season_tomato_south", (-33.4, 540.0, 2.0))
    };
    assert_eq!(check(&case), 145);
}

#[test]
fn coffee_through_a_rainy_season_with_runoff_over_a_leap_year() {
    assert_eq!(check(&Case { runoff: true, ..case("season_coffee_humid", (12.6, 520.0, 10.0)) }), 366);
}

#[test]
fn potatoes_with_observed_cover_and_the_curve_of_aquacrop() {
    let rules = Rules { stress: StressCurve::AquaCrop, ..Rules::default() };
    assert_eq!(check(&Case { runoff: true, rules, ..case("season_potato_seen", (52.1, 30.0, 2.0)) }), 130);
}

#[test]
fn a_tall_reference_has_a_maximum_without_climate() {
    let rules = Rules { kc_max_base: 1.0, kc_max_by_climate: false, ..Rules::default() };
    let case =
        Case { standard: Standard::AsceTall, rules, ..case("season_alfalfa_tall", (40.4, 1400.0, 2.0)) };
    assert_eq!(check(&case), 90);
}

#[test]
fn maize_on_layered_soil_gets_back_what_drained_below_its_roots() {
    let layers = &[
        (0.15, 0.29, 0.145, 0.26),
        (0.45, 0.24, 0.12, 0.22),
        (0.75, 0.182, 0.091, 0.172),
        (1.05, 0.158, 0.079, 0.158),
        (1.35, 0.12, 0.06, 0.12),
    ];
    let rules = Rules { adjust_p: false, ..Rules::default() };
    assert_eq!(check(&Case { layers, rules, ..case("season_maize_layers", (40.4, 1430.0, 2.0)) }), 150);
}

#[test]
fn a_sown_crop_on_layered_soil_through_rain_and_drought() {
    let layers = &[(0.2, 0.33, 0.15, 0.2), (0.5, 0.28, 0.14, 0.28), (1.3, 0.22, 0.1, 0.12)];
    assert_eq!(check(&Case { layers, runoff: true, ..case("season_bean_layers", (17.5, 800.0, 2.0)) }), 120);
}
