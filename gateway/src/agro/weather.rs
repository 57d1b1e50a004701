//! A station's days and hours as the engine takes them, and what an operator can do about a value that cannot be.

use super::sheet::{Cells, Found, Place, Sheet, read, read_each};
use crate::config::ConfigError;
use chrono::{Datelike, NaiveDate, NaiveDateTime};
use giot_engine::agro::{HourWeather, InputError, Weather};

/// Columns of a file of days.
pub const DAY_COLUMNS: [&str; 11] =
    ["date", "tmin_c", "tmax_c", "tdew_c", "ea_kpa", "rhmax", "rhmin", "rhmean", "rs_mj", "n_hours", "u_ms"];
/// Columns that a season's weather may have beside those.
pub const SEASON_COLUMNS: [&str; 2] = ["rain_mm", "et0_mm"];
/// Columns of a file of hours.
pub const HOUR_COLUMNS: [&str; 6] = ["time", "t_c", "rh", "ea_kpa", "rs_mj", "u_ms"];

/// A day of a station.
#[derive(Clone, Copy, Debug)]
pub struct StationDay {
    /// Line of the file.
    pub line: usize,
    /// Its date.
    pub date: NaiveDate,
    /// What was measured; the temperatures are not numbers where [`StationDay::has_extremes`] is false.
    pub weather: Weather,
    /// Whether both extremes of temperature were measured.
    pub has_extremes: bool,
    /// Rain, mm.
    pub rain_mm: Option<f64>,
    /// Reference evapotranspiration that somebody computed before, mm.
    pub et0_mm: Option<f64>,
}

/// An hour of a station.
#[derive(Clone, Copy, Debug)]
pub struct StationHour {
    /// Line of the file.
    pub line: usize,
    /// Its beginning, on the station's clock.
    pub time: NaiveDateTime,
    /// What was measured; what is missing is not a number.
    pub weather: HourWeather,
    /// The first column that is needed and has no value.
    pub missing: Option<&'static str>,
}

/// Reads a file of days; a row that something is wrong with says so in its place.
///
/// # Errors
/// What is wrong with the heading.
pub fn read_days(place: &Place, bytes: &[u8]) -> Result<Sheet<Found<StationDay>>, ConfigError> {
    read_each(place, bytes, &DAY_COLUMNS, &["date", "tmin_c", "tmax_c"], day)
}

/// Reads the weather of a season: rain in every row, and temperatures or a reference evapotranspiration.
///
/// # Errors
/// Every problem of the file.
pub fn read_season(place: &Place, bytes: &[u8]) -> Result<Sheet<StationDay>, ConfigError> {
    let known: Vec<_> = DAY_COLUMNS.into_iter().chain(SEASON_COLUMNS).collect();
    read(place, bytes, &known, &["date", "rain_mm"], |cells| {
        let rain_mm = cells.text("rain_mm").is_some();
        if !rain_mm {
            cells.wrong("rain_mm", "is needed: write 0 for a day without rain");
        }
        let day = day(cells)?;
        if day.et0_mm.is_none() && (cells.text("tmin_c").is_none() || cells.text("tmax_c").is_none()) {
            cells.wrong("tmin_c", "give tmin_c and tmax_c, or et0_mm");
        }
        Some(day).filter(|_| rain_mm)
    })
}

fn day(cells: &mut Cells<'_>) -> Option<StationDay> {
    let (tmin_c, tmax_c) = (cells.number("tmin_c"), cells.number("tmax_c"));
    let weather = Weather {
        doy: 0,
        tmin_c: tmin_c.unwrap_or(f64::NAN),
        tmax_c: tmax_c.unwrap_or(f64::NAN),
        tdew_c: cells.number("tdew_c"),
        ea_kpa: cells.number("ea_kpa"),
        rhmax: cells.number("rhmax"),
        rhmin: cells.number("rhmin"),
        rhmean: cells.number("rhmean"),
        rs_mj: cells.number("rs_mj"),
        n_hours: cells.number("n_hours"),
        u_ms: cells.number("u_ms"),
        soil_heat_mj: 0.0,
    };
    let (rain_mm, et0_mm) = (cells.number("rain_mm"), cells.number("et0_mm"));
    let date = cells.date("date")?;
    Some(StationDay {
        line: cells.line(),
        date,
        weather: Weather { doy: day_of_year(date), ..weather },
        has_extremes: tmin_c.is_some() && tmax_c.is_some(),
        rain_mm,
        et0_mm,
    })
}

/// Reads a file of hours; a row that something is wrong with says so in its place. `utc_offset_min` is the clock's distance from UTC.
///
/// # Errors
/// What is wrong with the heading.
pub fn read_hours(
    place: &Place,
    bytes: &[u8],
    longitude_deg: f64,
    utc_offset_min: i32,
) -> Result<Sheet<Found<StationHour>>, ConfigError> {
    read_each(place, bytes, &HOUR_COLUMNS, &["time", "t_c", "rs_mj"], |cells| {
        let (t_c, rs_mj) = (cells.number("t_c"), cells.number("rs_mj"));
        let (rh, ea_kpa, u_ms) = (cells.number("rh"), cells.number("ea_kpa"), cells.number("u_ms"));
        let text = cells.text("time").unwrap_or_default().to_owned();
        let time = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]
            .into_iter()
            .find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok());
        let Some(time) = time else {
            cells.wrong(
                "time",
                &format!("`{text}` is no time: write the beginning of the hour as 2026-03-01T06:00"),
            );
            return None;
        };
        let begin_hours = f64::from(chrono::Timelike::num_seconds_from_midnight(&time)) / 3600.0;
        Some(StationHour {
            line: cells.line(),
            time,
            weather: HourWeather {
                doy: day_of_year(time.date()),
                mid_utc_hours: begin_hours + 0.5 - f64::from(utc_offset_min) / 60.0,
                longitude_deg,
                t_c: t_c.unwrap_or(f64::NAN),
                rh,
                ea_kpa,
                rs_mj: rs_mj.unwrap_or(f64::NAN),
                u_ms,
            },
            missing: [("t_c", t_c), ("rs_mj", rs_mj)]
                .into_iter()
                .find_map(|(name, value)| value.is_none().then_some(name)),
        })
    })
}

fn day_of_year(date: NaiveDate) -> u16 {
    // At most 366.
    u16::try_from(date.ordinal()).unwrap_or(u16::MAX)
}

/// An error of the engine with what the operator can do about it.
#[must_use]
pub fn with_remedy(error: &InputError) -> String {
    if let InputError::Missing { field } = error {
        return if *field == "rh" {
            "rh or ea_kpa is missing".to_owned()
        } else {
            format!("{field} is missing")
        };
    }
    let remedy = match error.field() {
        "rs_mj" => {
            "give megajoules per m² in the whole period: 100 W/m² for a day are 8.64 MJ, for an hour 0.36 MJ"
        }
        "tmin_c" | "tmax_c" | "t_c" => "correct it or leave the row out",
        "latitude_deg" => "leave the days of the polar night out",
        "rhmax" | "rhmin" | "rhmean" | "rh" => {
            "give percent, or leave the cell empty where the sensor failed"
        }
        "u_ms" => "give metres per second, or leave the cell empty where the sensor failed",
        "rain_mm" => "give millimetres; 0 for a dry day",
        _ => "correct it, or leave the cell empty where the sensor failed",
    };
    format!("{error}: {remedy}")
}
