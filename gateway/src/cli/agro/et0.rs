//! `giot agro et0`: reference evapotranspiration of each day or hour of a file.

use super::super::UsageError;
use super::{N_DECIMALS, Reference, read_bytes, tell_unknown, write_table};
use crate::agro::sheet::{Place, failed};
use crate::agro::weather::{
    DAY_COLUMNS, HOUR_COLUMNS, StationDay, StationHour, read_days, read_hours, with_remedy,
};
use crate::config::{ConfigError, Problem, parse_utc_offset};
use clap::ValueEnum;
use giot_engine::agro::{
    Et0, Et0Choice, HourEt0, InputError, NIGHT_RATIO_DEFAULT, Site, TemperatureOnly, WindFrom, et0_day,
    et0_hour,
};
use std::path::PathBuf;

/// Compute the reference evapotranspiration of each day of a weather file
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot agro et0 weather.csv --latitude 21.33 --elevation 676
  giot agro et0 weather.csv --latitude 21.33 --elevation 676 --wind-height 10 > et0.csv
  giot agro et0 station.csv --latitude -33.4 --elevation 540 --temperature-only hargreaves
  giot agro et0 hours.csv --hourly --latitude 21.33 --elevation 676 --longitude 103.91 --utc-offset +07:00
  curl … | giot agro et0 - --latitude 21.33 --elevation 676

Columns of the file, in any order, decimal point, empty = missing; lines with # are comments:
  date     2026-03-01 (or 2026-060)     needed
  tmin_c   lowest temperature, °C       needed      tmax_c  highest temperature, °C    needed
  ea_kpa   vapour pressure, kPa                     tdew_c  dew point, °C
  rhmax    highest relative humidity, %             rhmin   lowest, %        rhmean  mean, %
  rs_mj    solar radiation, MJ/m² in the day        n_hours hours of bright sunshine
  u_ms     wind at --wind-height, m/s
What is used, best first: ea_kpa, tdew_c, rhmax+rhmin, rhmax, rhmean, rhmin, tmin_c as dew point; rs_mj, n_hours, the
range of temperature; u_ms, 2 m/s. The output says for each day which it was:
  date,et0_mm,method
With --hourly: columns time (beginning of the hour, 2026-03-01T06:00), t_c, rs_mj (in the hour), rh or ea_kpa, u_ms; hours
in order. Equation 53 of FAO-56 (0.34 day and night; ASCE takes 0.24 and 0.96). Output: time,et0_mm,method.")]
pub(in crate::cli) struct Args {
    /// Weather file, or - for standard input
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
    /// Latitude, degrees, north positive
    #[arg(long, value_name = "DEG", allow_negative_numbers = true)]
    latitude: f64,
    /// Height above the sea, m
    #[arg(long, value_name = "M", allow_negative_numbers = true)]
    elevation: f64,
    /// Height of the anemometer above the ground, m
    #[arg(long, value_name = "M", default_value_t = 2.0)]
    wind_height: f64,
    /// What to do where nothing but temperature is known; FAO-56 recommends pm
    #[arg(long, value_name = "WAY", value_enum, default_value_t = Way::Pm)]
    temperature_only: Way,
    /// Least wind at 2 m, m/s; FAO-56 recommends 0.5, reference computations take the wind as measured
    #[arg(long, value_name = "MS", default_value_t = 0.0)]
    wind_min: f64,
    /// Coefficient of radiation by temperature: 0.16 inland, 0.19 at the coast
    #[arg(long, value_name = "K", default_value_t = 0.16)]
    k_rs: f64,
    /// Constants of the equation
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Reference::Fao56)]
    reference: Reference,
    /// The file holds hours instead of days
    #[arg(long, requires = "longitude")]
    hourly: bool,
    /// Longitude, degrees, east positive (hours only)
    #[arg(long, value_name = "DEG", allow_negative_numbers = true, requires = "hourly")]
    longitude: Option<f64>,
    /// The file's clock (hours only)
    #[arg(long, value_name = "±HH:MM", default_value = "+07:00", value_parser = parse_offset, allow_hyphen_values = true)]
    utc_offset: i32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Way {
    /// Penman–Monteith with estimated humidity, radiation and wind
    Pm,
    /// Hargreaves
    Hargreaves,
}

fn parse_offset(text: &str) -> Result<i32, String> {
    parse_utc_offset(text).ok_or_else(|| "written as +07:00".to_owned())
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let site = Site::new(args.latitude, args.elevation, args.wind_height)
        .map_err(|error| UsageError(format!("--{}: {error}", option_of(&error))))?;
    for (option, value, high) in [("--wind-min", args.wind_min, 2.0), ("--k-rs", args.k_rs, 0.3)] {
        if !(0.0..=high).contains(&value) {
            return Err(UsageError(format!("{option}: {value} is not between 0 and {high}")).into());
        }
    }
    let (file, bytes) = read_bytes(&args.file)?;
    let place = Place { file, n_lines_before: 0 };
    match args.longitude {
        Some(longitude_deg) if args.hourly => hours(args, &site, longitude_deg, &place, &bytes),
        _ => days(args, &site, &place, &bytes),
    }
}

fn option_of(error: &InputError) -> &'static str {
    match error.field() {
        "latitude_deg" => "latitude",
        "elevation_m" => "elevation",
        _ => "wind-height",
    }
}

fn days(args: &Args, site: &Site, place: &Place, bytes: &[u8]) -> anyhow::Result<()> {
    let choice = Et0Choice {
        standard: args.reference.into(),
        temperature_only: match args.temperature_only {
            Way::Pm => TemperatureOnly::PenmanMonteith,
            Way::Hargreaves => TemperatureOnly::Hargreaves,
        },
        wind_min_ms: args.wind_min,
        k_rs: args.k_rs,
    };
    let sheet = read_days(place, bytes)?;
    tell_unknown(&place.file, &sheet.unknown, &DAY_COLUMNS);
    let results = all(place, sheet.rows, |day: &StationDay| {
        et0_day(site, &day.weather, &choice).map_err(|error| (day.line, error))
    })?;
    write_table(|out| {
        writeln!(out, "date,et0_mm,method")?;
        for (day, Et0 { et0_mm, method }) in results {
            writeln!(out, "{},{et0_mm:.N_DECIMALS$},{method}", day.date)?;
        }
        Ok(())
    })
}

fn hours(args: &Args, site: &Site, longitude_deg: f64, place: &Place, bytes: &[u8]) -> anyhow::Result<()> {
    let sheet = read_hours(place, bytes, longitude_deg, args.utc_offset)?;
    tell_unknown(&place.file, &sheet.unknown, &HOUR_COLUMNS);
    in_order(place, &sheet.rows)?;
    let mut night_ratio = NIGHT_RATIO_DEFAULT;
    let results = all(place, sheet.rows, |hour: &StationHour| {
        let result = et0_hour(site, &hour.weather, night_ratio).map_err(|error| (hour.line, error))?;
        night_ratio = result.night_ratio;
        Ok(result)
    })?;
    write_table(|out| {
        writeln!(out, "time,et0_mm,method")?;
        for (hour, HourEt0 { et0_mm, wind, .. }) in results {
            let wind = match wind {
                WindFrom::Measured => "measured",
                WindFrom::Default => "assumed_2_m/s",
            };
            let time = hour.time.format("%Y-%m-%dT%H:%M");
            writeln!(out, "{time},{et0_mm:.N_DECIMALS$},fao56-hourly wind={wind}")?;
        }
        Ok(())
    })
}

/// The clearness of a night is that of the afternoon before: hours must follow each other.
fn in_order(place: &Place, hours: &[StationHour]) -> Result<(), ConfigError> {
    let late = hours.iter().zip(hours.iter().skip(1)).filter(|(before, after)| after.time <= before.time);
    let problems: Vec<_> = late
        .map(|(before, after)| Problem {
            line: Some(after.line),
            column: None,
            field: "time".to_owned(),
            what: format!("not after {} on line {}: sort the file by time", before.time, before.line),
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(failed(place, problems)) }
}

/// Computes every row; when one cannot be, says which and why, and gives no results: half a table misleads.
fn all<T, R>(
    place: &Place,
    rows: Vec<T>,
    mut compute: impl FnMut(&T) -> Result<R, (usize, InputError)>,
) -> Result<Vec<(T, R)>, ConfigError> {
    let mut problems = Vec::new();
    let mut results = Vec::with_capacity(rows.len());
    for row in rows {
        match compute(&row) {
            Ok(result) => results.push((row, result)),
            Err((line, error)) => problems.push(Problem {
                line: Some(line),
                column: None,
                field: error.field().to_owned(),
                what: with_remedy(&error),
            }),
        }
    }
    if problems.is_empty() { Ok(results) } else { Err(failed(place, problems)) }
}
