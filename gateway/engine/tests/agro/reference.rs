//! Reference evapotranspiration and drip arithmetic against the numbers of other implementations.

use crate::data::{Row, Table, near};
use giot_engine::agro::drip::DripZone;
use giot_engine::agro::{
    Et0Choice, HourWeather, HumidityFrom, Method, NIGHT_RATIO_DEFAULT, RadiationFrom, Site, Standard,
    TemperatureOnly, Weather, WindFrom, et0_day, et0_hour,
};

fn site(row: &Row<'_>, wind_height_m: f64) -> Site {
    Site::new(row.number("lat_deg"), row.number("elev_m"), wind_height_m).unwrap()
}

fn weather(row: &Row<'_>) -> Weather {
    Weather {
        doy: row.doy(),
        tmin_c: row.number("tmin_c"),
        tmax_c: row.number("tmax_c"),
        ea_kpa: row.optional("ea_kpa"),
        rs_mj: row.optional("rs_mj"),
        u_ms: row.optional("u_ms"),
        ..Weather::default()
    }
}

#[test]
fn penman_monteith_agrees_with_other_implementations_on_240_days() {
    let table = Table::read("et0_daily");
    let measured = Method::PenmanMonteith {
        humidity: HumidityFrom::Vapour,
        radiation: RadiationFrom::Measured,
        wind: WindFrom::Measured,
    };
    for row in table.rows() {
        let (site, weather) = (site(&row, row.number("wind_height_m")), weather(&row));
        for (standard, column, tolerance) in [
            (Standard::Fao56, "eto_fao56", 1e-6),
            (Standard::AsceShort, "eto_asce", 5e-5),
            (Standard::AsceTall, "etr_asce", 5e-5),
        ] {
            let choice = Et0Choice { standard, ..Et0Choice::default() };
            let et0 = et0_day(&site, &weather, &choice).unwrap();
            near(column, et0.et0_mm, row.number(column), tolerance);
            assert_eq!(et0.method, measured);
        }
        near("Ra", site.sun(weather.doy).unwrap().extraterrestrial_mj(), row.number("ra_mj"), 1e-6);
    }
    assert_eq!(table.rows().count(), 240);
}

#[test]
fn hargreaves_agrees_on_240_days() {
    let choice = Et0Choice { temperature_only: TemperatureOnly::Hargreaves, ..Et0Choice::default() };
    for row in Table::read("et0_daily").rows() {
        let (doy, tmin_c, tmax_c) = (row.doy(), row.number("tmin_c"), row.number("tmax_c"));
        let weather = Weather { doy, tmin_c, tmax_c, ..Weather::default() };
        let et0 = et0_day(&site(&row, 2.0), &weather, &choice).unwrap();
        near("Hargreaves", et0.et0_mm, row.number("hargreaves"), 1e-6);
        assert_eq!(et0.method, Method::Hargreaves);
    }
}

#[test]
fn equation_53_agrees_on_12_days_hour_by_hour() {
    let table = Table::read("et0_hourly");
    let (mut case, mut night_ratio) = (String::new(), NIGHT_RATIO_DEFAULT);
    for row in table.rows() {
        if row.text("case") != case {
            row.text("case").clone_into(&mut case);
            night_ratio = NIGHT_RATIO_DEFAULT;
        }
        // The hours are those of one local day: in UTC the first of them lie before its midnight, or the last beyond it.
        let (local, utc) = (row.number("local_hour"), row.number("utc_hour"));
        let mid_utc_hours = local + (utc - local + 36.0).rem_euclid(24.0) - 12.0 + 0.5;
        let hour = HourWeather {
            doy: row.doy(),
            mid_utc_hours,
            longitude_deg: row.number("lon_deg"),
            t_c: row.number("t_c"),
            rh: None,
            ea_kpa: row.optional("ea_kpa"),
            rs_mj: row.number("rs_mj"),
            u_ms: row.optional("u_ms"),
        };
        let result = et0_hour(&site(&row, 2.0), &hour, Standard::Fao56, night_ratio).unwrap();
        night_ratio = result.night_ratio;
        // The table computed with the vapour pressure before it was printed with four decimals.
        near("Rn", result.net_mj, row.number("rn_mj"), 1e-5);
        // The table took the wind at 2 m as it is; (47) makes 0.02 % of it.
        near("ETo", result.et0_mm, row.number("eto_fao56"), 3e-5);
    }
    assert_eq!(table.rows().count(), 288);
}

#[test]
fn drip_arithmetic_agrees_to_the_printed_digits() {
    let table = Table::read("drip_runtime");
    for row in table.rows() {
        let zone = DripZone {
            area_m2: row.number("area_ha") * 1e4,
            n_plants: row.text("plants").parse().unwrap(),
            emitters_per_plant: row.text("emitters_per_plant").parse().unwrap(),
            emitter_l_h: row.number("q_l_per_h"),
            efficiency: row.number("ea"),
            wetted_share: row.number("pw"),
            leaching: 0.0,
        };
        let run = zone.run(row.number("net_mm")).unwrap();
        for (column, value) in [
            ("gross_mm", run.gross_mm),
            ("volume_m3", run.volume_m3),
            ("flow_m3_h", run.flow_m3_h),
            ("rate_mm_h", run.rate_mm_h),
            ("rate_on_wetted_mm_h", run.rate_wetted_mm_h),
            ("runtime_min", run.minutes),
            ("litres_per_plant", run.litres_per_plant),
            ("net_on_wetted_mm", run.net_wetted_mm),
        ] {
            near(column, value, row.number(column), 5.01e-7);
        }
    }
    assert_eq!(table.rows().count(), 60);
}
