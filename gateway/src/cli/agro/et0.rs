//! `giot agro et0`: reference evapotranspiration of each day or hour of a file.

use super::super::UsageError;
use super::{N_DECIMALS, Reference, read_bytes, tell_unknown, write_table};
use crate::agro::sheet::Place;
use crate::agro::weather::{
    DAY_COLUMNS, HOUR_COLUMNS, StationDay, StationHour, read_days, read_hours, with_remedy,
};
use crate::config::parse_utc_offset;
use chrono::NaiveDateTime;
use clap::ValueEnum;
use giot_engine::agro::{
    Et0Choice, HourEt0, InputError, NIGHT_RATIO_DEFAULT, Site, Standard, TemperatureOnly, WindFrom, et0_day,
    et0_hour,
};
use std::io::Write;
use std::path::PathBuf;

/// Rows without a number that are named one by one.
const GAPS_SHOWN: usize = 10;

/// How the beginning of an hour is written.
const TIME: &str = "%Y-%m-%dT%H:%M";

/// Compute the reference evapotranspiration of each day of a weather file
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot agro et0 weather.csv --latitude 21.33 --elevation 676
  giot agro et0 weather.csv --latitude 21.33 --elevation 676 --wind-height 10 > et0.csv
  giot agro et0 station.csv --latitude -33.4 --elevation 540 --temperature-only pm
  giot agro et0 hours.csv --hourly --latitude 21.33 --elevation 676 --longitude 103.91 --utc-offset +07:00
  giot agro et0 night.csv --hourly --latitude 16.22 --elevation 8 --longitude -16.25 --utc-offset -01:00 --night-ratio 0.8
  curl … | giot agro et0 - --latitude 21.33 --elevation 676

Columns of the file, in any order and case; empty, NA, nan, null, - or -99, -999, -9999 = missing; commas between them and decimal points, or semicolons or tabs and
decimal commas; lines with # are comments:
  date     2026-03-01 (or 2026-060, or with 00:00 behind it)     needed
  tmin_c   lowest temperature, °C       needed      tmax_c  highest temperature, °C    needed
  ea_kpa   vapour pressure, kPa                     tdew_c  dew point, °C
  rhmax    highest relative humidity, %             rhmin   lowest, %        rhmean  mean, %
  rs_mj    solar radiation, MJ/m² in the day        n_hours hours of bright sunshine
  u_ms     wind at --wind-height, m/s
What is used, best first: ea_kpa, tdew_c, rhmax+rhmin, rhmax, rhmean, rhmin, tmin_c as dew point; rs_mj, n_hours, the
range of temperature; u_ms, 2 m/s; where nothing but temperature is known, Hargreaves. The output has a row for each row of the file
and says which it was; where a row has no number, because a value is missing or cannot be, et0_mm is empty, method says why, and
the first such rows are told on standard error:
  date,et0_mm,method
With --hourly: columns time (beginning of the hour, 2026-03-01T06:00), t_c, rs_mj (in the hour), rh or ea_kpa, u_ms; hours
in order. The clearness of the sky by night (measured over clear-sky radiation) is that of the afternoon before; until the file has one
it is --night-ratio. Equation 53 of FAO-56 (0.34 day and night) unless --reference is ASCE's (0.24 and 0.96 for grass). An hour that is not after
the one before has no number. Output: time,et0_mm,method.")]
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
    /// What to do where nothing but temperature is known (days only)
    #[arg(long, value_name = "WAY", value_enum, default_value_t = Way::Hargreaves, conflicts_with = "hourly")]
    temperature_only: Way,
    /// Least wind at 2 m, m/s; FAO-56 recommends 0.5, reference computations take the wind as measured
    /// (days only)
    #[arg(long, value_name = "MS", default_value_t = 0.0, conflicts_with = "hourly")]
    wind_min: f64,
    /// Coefficient of radiation by temperature: 0.16 inland, 0.19 at the coast (days only)
    #[arg(long, value_name = "K", default_value_t = 0.16, conflicts_with = "hourly")]
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
    /// Measured over clear-sky radiation of the nights before the file's first afternoon: 0.4 to 0.6 in humid, 0.7 to 0.8 in dry
    /// regions (hours only)
    #[arg(long, value_name = "SHARE", requires = "hourly", default_value_t = NIGHT_RATIO_DEFAULT)]
    night_ratio: f64,
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
    for (option, value, high) in [
        ("--wind-min", args.wind_min, 2.0),
        ("--k-rs", args.k_rs, 0.3),
        ("--night-ratio", args.night_ratio, 1.0),
    ] {
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
    let rows = sheet.rows.into_iter().map(|found| {
        let (date, result) = match found.row {
            Ok(day) => (day.date.to_string(), day_of(site, &day, &choice)),
            Err(why) => (found.key, Err(why)),
        };
        Row { line: found.line, key: date, result }
    });
    write_rows(place, "date", rows)
}

fn day_of(site: &Site, day: &StationDay, choice: &Et0Choice) -> Result<(f64, String), String> {
    let missing = [("tmin_c", day.weather.tmin_c), ("tmax_c", day.weather.tmax_c)];
    if let Some((name, _)) = missing.iter().find(|(_, value)| value.is_nan()) {
        return Err(format!("{name} is missing"));
    }
    match et0_day(site, &day.weather, choice) {
        Ok(et0) => Ok((et0.et0_mm, et0.method.to_string())),
        Err(error) => Err(cause(&error)),
    }
}

/// Why a row has no number.
fn cause(error: &InputError) -> String {
    match error {
        InputError::PolarNight => "the sun does not rise and nothing but temperature is known".to_owned(),
        InputError::Missing { .. } => with_remedy(error),
        InputError::OutOfRange { .. }
        | InputError::TmaxBelowTmin { .. }
        | InputError::AboveSaturation { .. }
        | InputError::RhmaxBelowRhmin { .. }
        | InputError::Supersaturated { .. } => {
            format!("{}: {}", error.field(), with_remedy(error))
        }
    }
}

/// A row of the output.
struct Row {
    line: usize,
    /// Its date or time.
    key: String,
    /// Depth and method, or why there is none.
    result: Result<(f64, String), String>,
}

/// Writes a row for each row of the file, then says on standard error which have no number: the first few, and how many there are.
fn write_rows(place: &Place, key: &str, rows: impl Iterator<Item = Row>) -> anyhow::Result<()> {
    let (mut n_rows, mut n_gaps, mut shown) = (0_u64, 0_u64, Vec::new());
    write_table(|out| {
        writeln!(out, "{key},et0_mm,method")?;
        for Row { line, key, result } in rows {
            n_rows += 1;
            match result {
                Ok((et0_mm, method)) => writeln!(out, "{key},{et0_mm:.N_DECIMALS$},{method}")?,
                Err(why) => {
                    writeln!(out, "{},,{}", quoted(&key), quoted(&format!("none: {why}")))?;
                    n_gaps += 1;
                    if shown.len() < GAPS_SHOWN {
                        shown.push((line, why));
                    }
                }
            }
        }
        Ok(())
    })?;
    let mut err = std::io::stderr().lock();
    // Nothing is left to tell it to when stderr is closed.
    for (line, why) in &shown {
        writeln!(err, "giot: {}:{line}: no number: {why}", place.file).ok();
    }
    if n_gaps > 0 {
        writeln!(err, "giot: {}: {n_gaps} of {n_rows} rows have no number", place.file).ok();
    }
    Ok(())
}

/// A cell as CSV has it: in quotes where it would be two otherwise.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn hours(args: &Args, site: &Site, longitude_deg: f64, place: &Place, bytes: &[u8]) -> anyhow::Result<()> {
    let sheet = read_hours(place, bytes, longitude_deg, args.utc_offset)?;
    tell_unknown(&place.file, &sheet.unknown, &HOUR_COLUMNS);
    let standard = args.reference.into();
    let (mut night_ratio, mut last) = (args.night_ratio, None);
    let rows = sheet.rows.into_iter().map(|found| {
        let (time, result) = match found.row {
            Ok(hour) => {
                let result = in_order(&hour, &mut last)
                    .and_then(|()| hour_of(site, &hour, standard, &mut night_ratio));
                (hour.time.format(TIME).to_string(), result)
            }
            Err(why) => (found.key, Err(why)),
        };
        Row { line: found.line, key: time, result }
    });
    write_rows(place, "time", rows)
}

fn hour_of(
    site: &Site,
    hour: &StationHour,
    standard: Standard,
    night_ratio: &mut f64,
) -> Result<(f64, String), String> {
    if let Some(name) = hour.missing {
        return Err(format!("{name} is missing"));
    }
    let HourEt0 { et0_mm, wind, night_ratio: next, .. } =
        et0_hour(site, &hour.weather, standard, *night_ratio).map_err(|error| cause(&error))?;
    *night_ratio = next;
    let wind = match wind {
        WindFrom::Measured => "measured",
        WindFrom::Default => "assumed_2_m/s",
    };
    let equation = match standard {
        Standard::Fao56 => "fao56-hourly",
        Standard::AsceShort => "asce-short-hourly",
        Standard::AsceTall => "asce-tall-hourly",
    };
    Ok((et0_mm, format!("{equation} wind={wind}")))
}

/// The clearness of a night is that of the afternoon before: hours must follow each other. One that does not is left out.
fn in_order(hour: &StationHour, last: &mut Option<(NaiveDateTime, usize)>) -> Result<(), String> {
    match *last {
        Some((time, line)) if hour.time <= time => {
            let time = time.format(TIME);
            Err(format!("not after {time} on line {line}: sort the file by time, each hour once"))
        }
        Some(_) | None => {
            *last = Some((hour.time, hour.line));
            Ok(())
        }
    }
}
