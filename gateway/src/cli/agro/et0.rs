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
use std::io::Write;
use std::path::PathBuf;

/// Rows without a number that are named one by one.
const GAPS_SHOWN: usize = 10;

/// Compute the reference evapotranspiration of each day of a weather file
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot agro et0 weather.csv --latitude 21.33 --elevation 676
  giot agro et0 weather.csv --latitude 21.33 --elevation 676 --wind-height 10 > et0.csv
  giot agro et0 station.csv --latitude -33.4 --elevation 540 --temperature-only pm
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
range of temperature; u_ms, 2 m/s; where nothing but temperature is known, Hargreaves. The output has a row for each row of the file
and says which it was; where a day has no number et0_mm is empty, and method says why:
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
    /// What to do where nothing but temperature is known
    #[arg(long, value_name = "WAY", value_enum, default_value_t = Way::Hargreaves)]
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
        let missing = [("tmin_c", day.weather.tmin_c), ("tmax_c", day.weather.tmax_c)];
        if let Some((name, _)) = missing.iter().find(|(_, value)| value.is_nan()) {
            return Ok(Err(format!("{name} is missing")));
        }
        match et0_day(site, &day.weather, &choice) {
            Ok(et0) => Ok(Ok(et0)),
            Err(InputError::PolarNight) => Ok(Err("the sun does not rise".to_owned())),
            Err(error) => Err((day.line, error)),
        }
    })?;
    tell_gaps(place, results.iter().map(|(day, result)| (day.line, result.as_ref().err())));
    write_table(|out| {
        writeln!(out, "date,et0_mm,method")?;
        for (day, result) in results {
            match result {
                Ok(Et0 { et0_mm, method }) => writeln!(out, "{},{et0_mm:.N_DECIMALS$},{method}", day.date)?,
                Err(why) => writeln!(out, "{},,none: {why}", day.date)?,
            }
        }
        Ok(())
    })
}

/// Says which rows have no number, and why: the first few, and how many there are.
fn tell_gaps<'a>(place: &Place, rows: impl Iterator<Item = (usize, Option<&'a String>)>) {
    let mut gaps = rows.filter_map(|(line, why)| Some((line, why?)));
    let shown: Vec<_> = gaps.by_ref().take(GAPS_SHOWN).collect();
    let n_more = gaps.count();
    let mut err = std::io::stderr().lock();
    // Nothing is left to tell it to when stderr is closed.
    for (line, why) in shown {
        writeln!(err, "giot: {}:{line}: no number: {why}", place.file).ok();
    }
    if n_more > 0 {
        writeln!(err, "giot: {}: {n_more} more rows without a number", place.file).ok();
    }
}

fn hours(args: &Args, site: &Site, longitude_deg: f64, place: &Place, bytes: &[u8]) -> anyhow::Result<()> {
    let sheet = read_hours(place, bytes, longitude_deg, args.utc_offset)?;
    tell_unknown(&place.file, &sheet.unknown, &HOUR_COLUMNS);
    in_order(place, &sheet.rows)?;
    let mut night_ratio = NIGHT_RATIO_DEFAULT;
    let results = all(place, sheet.rows, |hour: &StationHour| {
        if let Some(name) = hour.missing {
            return Ok(Err(format!("{name} is missing")));
        }
        let result = et0_hour(site, &hour.weather, night_ratio).map_err(|error| (hour.line, error))?;
        night_ratio = result.night_ratio;
        Ok(Ok(result))
    })?;
    tell_gaps(place, results.iter().map(|(hour, result)| (hour.line, result.as_ref().err())));
    write_table(|out| {
        writeln!(out, "time,et0_mm,method")?;
        for (hour, result) in results {
            let time = hour.time.format("%Y-%m-%dT%H:%M");
            let HourEt0 { et0_mm, wind, .. } = match result {
                Ok(result) => result,
                Err(why) => {
                    writeln!(out, "{time},,none: {why}")?;
                    continue;
                }
            };
            let wind = match wind {
                WindFrom::Measured => "measured",
                WindFrom::Default => "assumed_2_m/s",
            };
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

/// Computes every row; when a value of one cannot be, says which and why, and gives no results: nobody knows what else is wrong.
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
