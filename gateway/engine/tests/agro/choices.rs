//! What the caller may choose or leave out: missing weather, methods, starts, resets, limits; and what is refused.

use crate::data::near;
use giot_engine::agro::drip::DripZone;
use giot_engine::agro::{
    Amount, Automatic, Balance, Canopy, Clock, Coefficients, CropPlan, Curve, DayInput, DayOrder, Depletion,
    Drippers, Et0Choice, HumidityFrom, InputError, Layer, Method, Profile, RadiationFrom, Rules, SeasonPlan,
    Site, SoilPlan, Stages, StartState, Surface, TemperatureOnly, Watering, Weather, WindFrom, degree_days,
    et0_day, runoff_mm,
};

fn site() -> Site {
    Site::new(21.3, 600.0, 2.0).unwrap()
}

fn bare_day() -> Weather {
    Weather { doy: 100, tmin_c: 18.0, tmax_c: 30.0, ..Weather::default() }
}

fn full_day() -> Weather {
    Weather {
        tdew_c: Some(17.0),
        ea_kpa: Some(1.9),
        rhmax: Some(90.0),
        rhmin: Some(45.0),
        rhmean: Some(70.0),
        rs_mj: Some(18.0),
        n_hours: Some(7.0),
        u_ms: Some(1.4),
        ..bare_day()
    }
}

fn method(weather: Weather) -> (HumidityFrom, RadiationFrom, WindFrom) {
    match et0_day(&site(), &weather, &Et0Choice::default()).unwrap().method {
        Method::PenmanMonteith { humidity, radiation, wind } => (humidity, radiation, wind),
        Method::Hargreaves => panic!("Penman–Monteith was asked for"),
    }
}

#[test]
fn the_best_measurement_that_there_is_is_used() {
    let mut day = full_day();
    let mut ways = Vec::new();
    for lose in [
        (|_| ()) as fn(&mut Weather),
        |day| day.ea_kpa = None,
        |day| day.tdew_c = None,
        |day| day.rhmin = None,
        |day| day.rhmax = None,
        |day| day.rhmean = None,
    ] {
        lose(&mut day);
        ways.push(method(day).0);
    }
    assert_eq!(
        ways,
        [
            HumidityFrom::Vapour,
            HumidityFrom::DewPoint,
            HumidityFrom::RhExtremes,
            HumidityFrom::RhMax,
            HumidityFrom::RhMean,
            HumidityFrom::LowestTemperature,
        ]
    );
    assert_eq!(method(Weather { rhmin: Some(45.0), ..bare_day() }).0, HumidityFrom::RhMin);
    assert_eq!(method(full_day()).1, RadiationFrom::Measured);
    assert_eq!(method(Weather { rs_mj: None, ..full_day() }).1, RadiationFrom::Sunshine);
    assert_eq!(
        method(Weather { rs_mj: None, n_hours: None, ..full_day() }).1,
        RadiationFrom::TemperatureRange
    );
    assert_eq!(method(Weather { u_ms: None, ..full_day() }).2, WindFrom::Default);
}

#[test]
fn a_method_reads_as_a_sentence_of_the_diary() {
    let text =
        |weather: Weather, choice: Et0Choice| et0_day(&site(), &weather, &choice).unwrap().method.to_string();
    assert_eq!(
        text(Weather { u_ms: None, ea_kpa: None, ..full_day() }, Et0Choice::default()),
        "penman-monteith humidity=dew_point radiation=measured wind=assumed_2_m/s"
    );
    let hargreaves = Et0Choice { temperature_only: TemperatureOnly::Hargreaves, ..Et0Choice::default() };
    assert_eq!(text(bare_day(), hargreaves), "hargreaves");
    // One sensor more than a thermometer, and the combination equation knows more than Hargreaves.
    assert!(text(Weather { u_ms: Some(1.0), ..bare_day() }, hargreaves).starts_with("penman-monteith"));
}

#[test]
fn the_wind_has_a_lower_bound_only_where_it_is_asked_for() {
    let calm = Weather { u_ms: Some(0.1), ..full_day() };
    let et0 = |wind_min_ms| {
        et0_day(&site(), &calm, &Et0Choice { wind_min_ms, ..Et0Choice::default() }).unwrap().et0_mm
    };
    assert!(et0(0.5) > et0(0.0));
    near("0.1 m/s", et0(0.0), et0(0.05), 1e-12);
}

#[test]
fn what_no_weather_has_is_refused_by_name() {
    let refused: [(&str, Weather); 14] = [
        ("tmin_c", Weather { tmin_c: f64::NAN, ..full_day() }),
        ("tmax_c", Weather { tmax_c: 300.0, ..full_day() }),
        ("tmax_c", Weather { tmax_c: 17.9, ..full_day() }),
        ("doy", Weather { doy: 0, ..full_day() }),
        ("doy", Weather { doy: 367, ..full_day() }),
        ("tdew_c", Weather { tdew_c: Some(31.0), ..full_day() }),
        ("ea_kpa", Weather { ea_kpa: Some(4.5), ..full_day() }),
        ("ea_kpa", Weather { ea_kpa: Some(-0.1), ..full_day() }),
        ("rhmax", Weather { rhmax: Some(120.0), ..full_day() }),
        ("rhmean", Weather { rhmean: Some(f64::INFINITY), ..full_day() }),
        // Watts per square metre in a column of megajoules.
        ("rs_mj", Weather { rs_mj: Some(208.0), ..full_day() }),
        ("rs_mj", Weather { rs_mj: Some(-1.0), ..full_day() }),
        ("n_hours", Weather { n_hours: Some(15.0), ..full_day() }),
        ("u_ms", Weather { u_ms: Some(-0.5), ..full_day() }),
    ];
    for (field, weather) in refused {
        let error = et0_day(&site(), &weather, &Et0Choice::default()).unwrap_err();
        assert_eq!(error.field(), field, "{error}");
        assert!(!error.to_string().is_empty());
    }
    let sites = [
        ("latitude_deg", 91.0, 0.0, 2.0),
        ("elevation_m", 0.0, 20_000.0, 2.0),
        ("wind_height_m", 0.0, 0.0, 0.05),
    ];
    for (field, latitude_deg, elevation_m, wind_height_m) in sites {
        assert_eq!(Site::new(latitude_deg, elevation_m, wind_height_m).unwrap_err().field(), field);
    }
}

#[test]
fn where_the_sun_does_not_rise_temperature_alone_gives_no_answer() {
    let svalbard = Site::new(78.2, 10.0, 2.0).unwrap();
    let winter = Weather { doy: 355, tmin_c: -20.0, tmax_c: -10.0, ..Weather::default() };
    assert_eq!(et0_day(&svalbard, &winter, &Et0Choice::default()), Err(InputError::PolarNight));
    let summer = Weather { doy: 172, tmin_c: 2.0, tmax_c: 8.0, ..Weather::default() };
    assert!(et0_day(&svalbard, &summer, &Et0Choice::default()).unwrap().et0_mm > 0.5);
}

/// 78.2° N, 21 December. Worked by hand from (6) with Rs = Rso = 0 and Rs/Rso taken as 0.5 (FAO-56 p. 75, a night in a humid region):
/// Rnl = 4.903e-9·((263.16)⁴ + (253.16)⁴)/2·(0.34 − 0.14·√0.15)·(1.35·0.5 − 0.35).
#[test]
fn in_the_polar_night_the_wind_and_the_dry_air_decide() {
    let svalbard = Site::new(78.2, 10.0, 2.0).unwrap();
    let night = Weather {
        doy: 355,
        tmin_c: -20.0,
        tmax_c: -10.0,
        ea_kpa: Some(0.15),
        u_ms: Some(4.0),
        ..Weather::default()
    };
    let es = |t_c: f64| 0.6108 * (17.27 * t_c / (t_c + 237.3)).exp();
    let slope = 4098.0 * es(-15.0) / (222.3_f64 * 222.3);
    let gamma = 0.665e-3 * 101.3 * ((293.0 - 0.0065 * 10.0) / 293.0_f64).powf(5.26);
    let mean_fourth = (263.16_f64.powi(4) + 253.16_f64.powi(4)) / 2.0;
    let lost = 4.903e-9 * mean_fourth * (0.34 - 0.14 * 0.15_f64.sqrt()) * (1.35 * 0.5 - 0.35);
    let deficit = (es(-20.0) + es(-10.0)) / 2.0 - 0.15;
    let u2 = 4.0 * 4.87 / (67.8 * 2.0 - 5.42_f64).ln();
    let wind = gamma * 900.0 / (-15.0 + 273.0) * u2 * deficit;
    let want = (0.408 * slope * -lost + wind) / (slope + gamma * (1.0 + 0.34 * u2));
    for (rs_mj, n_hours) in [(Some(0.0), None), (None, None), (None, Some(0.0))] {
        let weather = Weather { rs_mj, n_hours, ..night };
        let et0 = et0_day(&svalbard, &weather, &Et0Choice::default()).unwrap();
        assert!((et0.et0_mm - want).abs() < 1e-6, "{rs_mj:?} {n_hours:?}: {} {want}", et0.et0_mm);
        assert!(matches!(et0.method, Method::PenmanMonteith { .. }));
    }
}

#[test]
fn a_highest_humidity_below_the_lowest_is_refused() {
    let crossed = Weather { rhmax: Some(40.0), rhmin: Some(80.0), ..full_day() };
    let error = et0_day(&site(), &crossed, &Et0Choice::default()).unwrap_err();
    assert_eq!(error, InputError::RhmaxBelowRhmin { rhmin: 80.0, rhmax: 40.0 });
    assert_eq!(error.to_string(), "40 % is below the lowest relative humidity of the day, 80 %");
    let same = Weather { rhmax: Some(60.0), rhmin: Some(60.0), ..full_day() };
    assert!(et0_day(&site(), &same, &Et0Choice::default()).is_ok());
}

fn uniform(field_capacity: f64, wilting_point: f64, below_roots: Option<f64>) -> Profile {
    Profile::Uniform { field_capacity, wilting_point, below_roots }
}

fn plan() -> SeasonPlan {
    SeasonPlan {
        soil: SoilPlan {
            profile: uniform(0.30, 0.15, None),
            surface_layer_m: 0.1,
            rew_mm: 9.0,
            curve_number: None,
        },
        crop: CropPlan {
            kcb: Curve::new(0.15, 1.1, 0.5),
            kc: Some(Curve::new(0.5, 1.15, 0.7)),
            stages: Stages::days([20.0, 30.0, 40.0, 20.0]),
            height_m: (0.1, 0.6),
            root_m: (0.3, 0.8),
            p: 0.5,
        },
        start: StartState {
            depletion: Depletion::Content(0.25),
            surface_mm: None,
            wetted: 1.0,
            progress: 0.0,
        },
        rules: Rules::default(),
        automatic: None,
    }
}

fn dry_day() -> DayInput {
    DayInput { et0_mm: 5.0, ..DayInput::default() }
}

#[test]
fn a_probe_resets_the_balance() {
    let mut balance = Balance::new(plan()).unwrap();
    balance.pass(&dry_day(), &[]).unwrap();
    let before_mm = balance.depletion_mm();
    let row = balance.pass(&DayInput { water_content: Some(0.28), et0_mm: 0.0, ..dry_day() }, &[]).unwrap();
    near("Dr by (87)", row.root.dr_mm, 1000.0 * (0.30 - 0.28) * 0.3, 1e-9);
    near("change", row.reset_mm, row.root.dr_mm - before_mm, 1e-9);
    let flooded =
        balance.pass(&DayInput { water_content: Some(0.35), et0_mm: 0.0, ..dry_day() }, &[]).unwrap();
    near("surplus drains", flooded.root.percolation_mm, 1000.0 * 0.05 * 0.3, 1e-9);
    near("Dr", flooded.root.dr_mm, 0.0, 0.0);
}

#[test]
fn drip_wets_a_share_of_the_root_zone() {
    let mut plan = plan();
    plan.rules.wetted_share = 0.3;
    let mut balance = Balance::new(plan).unwrap();
    let row = balance.pass(&DayInput { et0_mm: 0.0, ..dry_day() }, &[]).unwrap();
    near("TAW", row.root.taw_mm, 0.3 * 1000.0 * 0.15 * 0.3, 1e-9);
    near("Dr", row.root.dr_mm, 0.3 * 1000.0 * 0.05 * 0.3, 1e-9);
}

#[test]
fn single_coefficients_need_no_surface_layer() {
    let mut plan = plan();
    plan.rules = Rules { coefficients: Coefficients::Single, adjust_p: false, ..Rules::default() };
    let mut balance = Balance::new(plan.clone()).unwrap();
    let row = balance.pass(&dry_day(), &[]).unwrap();
    assert_eq!(row.surface, None);
    near("ETc = Kc ETo", row.etc_mm, 0.5 * 5.0, 1e-12);
    near("Dr", row.root.dr_mm, 15.0 + 2.5, 1e-12);
    plan.crop.kc = None;
    assert_eq!(Balance::new(plan).unwrap_err()[0].field, "crop.kc");
}

#[test]
fn irrigation_in_the_morning_spares_the_plant_the_day_of_stress() {
    let mut stressed = plan();
    stressed.start.depletion = Depletion::Content(0.16);
    stressed.rules.adjust_p = false;
    let watered =
        DayInput { watering: Some(Watering { depth_mm: 40.0, wetted: 1.0, efficiency: 1.0 }), ..dry_day() };
    let mut ks = Vec::new();
    for order in [DayOrder::DrainAfterEt, DayOrder::RefillFirst] {
        stressed.rules.order = order;
        let row = Balance::new(stressed.clone()).unwrap().pass(&watered, &[]).unwrap();
        ks.push(row.root.ks);
    }
    assert!(ks[0] < 0.2 && ks[1] > 0.99, "{ks:?}");
}

#[test]
fn roots_that_grow_into_dry_soil_find_its_deficit() {
    let mut dry = plan();
    dry.soil.profile = uniform(0.30, 0.15, Some(0.20));
    dry.start.progress = 20.0;
    let mut balance = Balance::new(dry).unwrap();
    balance.pass(&dry_day(), &[]).unwrap();
    let row = balance.pass(&dry_day(), &[]).unwrap();
    near("deepening", row.growth_mm, 1000.0 * (0.30 - 0.20) * (0.8 - 0.3) / 30.0, 1e-9);
}

fn layered() -> SeasonPlan {
    let mut plan = plan();
    let layer = |bottom_m, field_capacity, wilting_point, water_content| Layer {
        bottom_m,
        field_capacity,
        wilting_point,
        water_content,
    };
    plan.soil.profile = Profile::Layers(vec![layer(0.25, 0.30, 0.15, 0.28), layer(1.0, 0.20, 0.10, 0.18)]);
    plan.start.depletion = Depletion::Layers;
    plan
}

#[test]
fn water_that_leaves_the_roots_waits_in_the_layers_below() {
    let mut balance = Balance::new(layered()).unwrap();
    // 0.3 m of roots in 0.25 m of the upper layer; (0.30 − 0.28)·250 + (0.20 − 0.18)·50 = 6 mm are lacking, 10 mm below.
    near("Dr", balance.depletion_mm(), 6.0, 1e-9);
    let rain = DayInput { rain_mm: 12.0, et0_mm: 0.0, ..dry_day() };
    let row = balance.pass(&rain, &[]).unwrap();
    near("TAW", row.root.taw_mm, 0.15 * 250.0 + 0.10 * 50.0, 1e-9);
    near("left the roots", row.root.percolation_mm, 6.0, 1e-9);
    near("lost", row.lost_mm(), 0.0, 0.0);
    near("whole", row.below.unwrap().whole_dr_mm, 4.0, 1e-9);
    near("lost when all is full", balance.pass(&rain, &[]).unwrap().lost_mm(), 8.0, 1e-9);
}

#[test]
fn layers_must_reach_below_the_roots_from_the_top_down() {
    let fields = |plan: SeasonPlan| -> Vec<_> {
        Balance::new(plan).map(|_| ()).unwrap_err().into_iter().map(|problem| problem.field).collect()
    };
    let mut deep = layered();
    deep.crop.root_m = (0.3, 1.5);
    assert_eq!(fields(deep), ["soil.layers"]);
    let mut upside_down = layered();
    if let Profile::Layers(layers) = &mut upside_down.soil.profile {
        layers.reverse();
    }
    assert!(fields(upside_down).contains(&"soil.layers"));
    let mut none = plan();
    none.start.depletion = Depletion::Layers;
    assert_eq!(fields(none), ["start.water_content"]);
}

#[test]
fn a_measured_canopy_goes_before_the_coefficient() {
    let mut orchard = plan();
    orchard.crop.kcb = Curve::new(0.45, 0.85, 0.60);
    let exposed = |canopy, drippers| {
        let mut plan = orchard.clone();
        plan.rules = Rules { canopy, drippers, ..plan.rules };
        plan.start.wetted = 0.35;
        Balance::new(plan).unwrap().pass(&dry_day(), &[]).unwrap()
    };
    let by_coefficient = exposed(Canopy::ByCoefficient { kc_min: None }, Drippers::InTheOpen);
    near("fc at leaf-out", by_coefficient.crop.cover, 0.0, 0.0);
    let by_bare_soil = exposed(Canopy::ByCoefficient { kc_min: Some(0.15) }, Drippers::InTheOpen);
    assert!(by_bare_soil.crop.cover > 0.2);
    let measured = exposed(Canopy::Fixed(0.45), Drippers::UnderCanopy);
    near("few under canopy", measured.water.exposed_wetted, 0.35 * (1.0 - 2.0 / 3.0 * 0.45), 1e-12);
}

#[test]
fn small_rain_is_ignored_where_it_is_asked_for() {
    let mut plan = plan();
    plan.rules.rain_ignored_share = 0.2;
    let mut balance = Balance::new(plan).unwrap();
    let row = balance.pass(&DayInput { rain_mm: 0.9, ..dry_day() }, &[]).unwrap();
    near("ignored", row.water.ignored_mm, 0.9, 0.0);
    let row = balance.pass(&DayInput { rain_mm: 1.1, ..dry_day() }, &[]).unwrap();
    near("counted", row.water.rain_soaked_mm(), 1.1, 0.0);
}

#[test]
fn warmth_that_is_one_degree_a_day_is_a_calendar() {
    near("cool", degree_days(5.0, 12.0, 10.0, 30.0), 1.0, 1e-12);
    near("hot", degree_days(24.0, 40.0, 10.0, 30.0), 17.0, 1e-12);
    near("cold", degree_days(-4.0, 3.0, 10.0, 30.0), 0.0, 0.0);
    let mut by_warmth = plan();
    by_warmth.crop.stages.clock = Clock::DegreeDays { base_c: 10.0, upper_c: 30.0 };
    let (mut days, mut warmth) = (Balance::new(plan()).unwrap(), Balance::new(by_warmth).unwrap());
    let day = DayInput { extremes_c: Some((5.0, 12.0)), ..dry_day() };
    for _ in 0..120 {
        let (by_days, by_warmth) = (days.pass(&day, &[]).unwrap(), warmth.pass(&day, &[]).unwrap());
        assert_eq!(by_days.crop.stage, by_warmth.crop.stage);
        near("Kcb", by_days.crop.kcb, by_warmth.crop.kcb, 1e-12);
        near("Dr", by_days.root.dr_mm, by_warmth.root.dr_mm, 1e-9);
    }
    assert_eq!(warmth.pass(&dry_day(), &[]), Err(InputError::Missing { field: "tmin_c" }));
}

#[test]
fn coefficients_follow_the_climate_of_their_stage() {
    let crop = plan().crop;
    let climate = |u2_ms, rhmin| (0..120).map(|day| (f64::from(day), u2_ms, rhmin)).collect::<Vec<_>>();
    let dry = crop.for_climate(&climate(Some(4.0), Some(20.0)));
    // (62): [0.04·(4 − 2) − 0.004·(20 − 45)] · (0.6/3)^0.3 = 0.111, over the mid-season and the end, not at first.
    near("mid", dry.kcb.mid - crop.kcb.mid, 0.111, 1e-9);
    near("end", dry.kc.unwrap().end - crop.kc.unwrap().end, 0.111, 1e-9);
    near("ini", dry.kcb.ini, crop.kcb.ini, 0.0);
    let low =
        CropPlan { kcb: Curve::new(0.15, 0.44, 0.30), ..crop }.for_climate(&climate(Some(4.0), Some(20.0)));
    assert_eq!(low.kcb, Curve::new(0.15, 0.44, 0.30));
    assert_eq!(crop.for_climate(&climate(None, None)), crop);
    near("no wind", crop.for_climate(&climate(None, Some(20.0))).kcb.mid - crop.kcb.mid, 0.062, 1e-9);
}

#[test]
fn a_plan_waters_by_stress_and_by_fixed_depths() {
    let automatic = Automatic {
        first_day: 0,
        last_day: 400,
        depletion_share: None,
        depletion_mm: None,
        ks_below: Some(1.0),
        n_days_between: 4,
        forecast: None,
        amount: Amount::Fixed(9.0),
        efficiency: 0.9,
        min_mm: 0.0,
        max_mm: 50.0,
        wetted: 0.35,
    };
    let mut balance = Balance::new(SeasonPlan { automatic: Some(automatic), ..plan() }).unwrap();
    let mut watered = Vec::new();
    for idx in 0..60 {
        let row = balance.pass(&dry_day(), &[]).unwrap();
        if row.water.irrigation_mm > 0.0 {
            near("gross", row.water.irrigation_mm, 10.0, 1e-12);
            near("loss", row.water.loss_mm, 1.0, 1e-12);
            watered.push(idx);
        }
    }
    assert!(watered.len() > 5 && watered[0] > 0, "{watered:?}");
    assert!(watered.windows(2).all(|pair| pair[1] - pair[0] >= 4), "{watered:?}");
}

#[test]
fn a_wet_surface_sheds_more_rain() {
    let surface = |de_mm| Surface { tew_mm: 22.0, rew_mm: 9.0, de_mm };
    let (wet, dry) =
        (runoff_mm(60.0, 75.0, Some(&surface(0.0))), runoff_mm(60.0, 75.0, Some(&surface(22.0))));
    let average = runoff_mm(60.0, 75.0, None);
    assert!(wet > average && average > dry && dry > 0.0, "{wet} {average} {dry}");
    near("little rain", runoff_mm(5.0, 75.0, None), 0.0, 0.0);
}

#[test]
fn every_problem_of_a_plan_is_found_at_once() {
    let mut bad = plan();
    bad.soil.profile = uniform(0.30, 0.0, None);
    bad.soil.rew_mm = 40.0;
    bad.soil.curve_number = Some(120.0);
    bad.crop.height_m = (2.0, 1.0);
    bad.crop.p = 1.2;
    bad.crop.stages.clock = Clock::DegreeDays { base_c: 10.0, upper_c: 5.0 };
    bad.start.depletion = Depletion::Content(f64::NAN);
    let fields: Vec<_> = Balance::new(bad).unwrap_err().into_iter().map(|problem| problem.field).collect();
    assert_eq!(
        fields,
        [
            "soil.rew_mm",
            "soil.curve_number",
            "crop.upper_c",
            "crop.height_m",
            "crop.p",
            "start.water_content",
        ]
    );
}

#[test]
fn a_refused_day_leaves_the_balance_as_it_was() {
    let mut balance = Balance::new(plan()).unwrap();
    let before = balance.clone();
    for (field, day) in [
        ("et0_mm", DayInput { et0_mm: f64::NAN, ..dry_day() }),
        ("rain_mm", DayInput { rain_mm: -1.0, ..dry_day() }),
        (
            "wetted",
            DayInput {
                watering: Some(Watering { depth_mm: 5.0, wetted: 0.0, efficiency: 1.0 }),
                ..dry_day()
            },
        ),
    ] {
        assert_eq!(balance.pass(&day, &[]).unwrap_err().field(), field);
    }
    assert_eq!(balance, before);
}

#[test]
fn a_zone_without_emitters_cannot_run() {
    let zone = DripZone {
        area_m2: 1e4,
        n_plants: 400,
        emitters_per_plant: 0,
        emitter_l_h: 2.0,
        efficiency: 0.9,
        wetted_share: 0.3,
        leaching: 0.0,
    };
    assert_eq!(zone.run(4.0).unwrap_err().field(), "emitters_per_plant");
    let run = DripZone { emitters_per_plant: 8, ..zone }.run(4.0).unwrap();
    near("domain example", run.minutes, 416.666_667, 1e-6);
    let washed = DripZone { emitters_per_plant: 8, leaching: 0.1, ..zone }.run(4.0).unwrap();
    near("leaching", washed.gross_mm, run.gross_mm / 0.9, 1e-12);
}
