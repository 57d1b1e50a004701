//! `giot agro balance`: the water of a season, day by day.

use super::super::{UsageError, read_file, say};
use super::{N_DECIMALS, tell_unknown, write_table};
use crate::agro::season::{self, EXAMPLE};
use crate::agro::weather::{DAY_COLUMNS, SEASON_COLUMNS};
use chrono::NaiveDate;
use giot_engine::agro::{DayRow, Stage};
use std::io::Write;
use std::path::PathBuf;

/// Compute the water balance of a season from its TOML file
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot agro balance --example > plum.toml     a season with every key and its meaning, that computes
  giot agro balance plum.toml > plum.csv
  giot agro balance plum.toml | cut -d, -f1,23,27,28

Columns of the output, one row a day, depths in mm over the whole area:
  date, stage                        stage: initial, development, mid, late, over
  ETref                              reference evapotranspiration
  Kcm, ETcm                          single crop coefficient and its evapotranspiration
  Kcb, h, Kcmax                      basal coefficient, height (m), maximum coefficient
  fc, fw, few                        shares of the ground: covered, wetted, both wetted and in the sun
  De, Kr, Ke, E, DPe                 surface layer: depletion, reduction, coefficient, evaporation, percolation
  Kc, ETc                            coefficient and evapotranspiration without stress
  TAW, Zr, p, RAW                    available water, root depth (m), share without stress, readily available
  Ks, Ka, ETa, T                     stress, coefficient with stress, actual evapotranspiration, transpiration
  DP, Dr, fDr, Ksend                 percolation, depletion in the evening, as a share of TAW, stress in the evening
  Irrig, IrrLoss, Rain, Runoff       irrigation (gross), what of it is lost, rain, what of it runs off
  Ignored, Reset, Growth, BelowWP    rain too little to count, change by a measurement, depletion of soil that roots
                                     grew into, evaporation from below the wilting point
  ToBelow, Drmax                     with layers: water that left the roots but stays in reach of their greatest depth, and
                                     the depletion down to there
Where coefficients follow the climate, a day without rhmin takes the vapour that is known best (ea_kpa, tdew_c, rhmax, rhmean, or tmin_c
as dew point) for its lowest humidity, at tmax_c: rhmax alone means the vapour at tmin_c.
With single coefficients the columns of the surface layer are empty. Every day
  Dr = Dr before + Reset + Growth - (Rain - Runoff - Ignored) - (Irrig - IrrLoss) + ETa + DP + ToBelow - BelowWP")]
pub(in crate::cli) struct Args {
    /// Season file
    #[arg(value_name = "SEASON.toml", required_unless_present = "example")]
    file: Option<PathBuf>,
    /// Print a season with every key and its meaning, and end
    #[arg(long)]
    example: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let Some(path) = args.file.as_ref().filter(|_| !args.example) else {
        return say(EXAMPLE.trim_end());
    };
    let folder = path.parent().map(PathBuf::from).unwrap_or_default();
    let season = season::read(&path.display().to_string(), &read_file(path)?, &mut |name| {
        let beside = folder.join(name);
        std::fs::read(&beside).map_err(|error| format!("{}: {error}", beside.display()))
    });
    let season = season.map_err(|error| UsageError(error.to_string()))?;
    let known: Vec<_> = DAY_COLUMNS.into_iter().chain(SEASON_COLUMNS).collect();
    tell_unknown("the weather", &season.unknown_columns, &known);
    let rows = season.rows()?;
    write_table(|out| {
        let heading: Vec<_> = COLUMNS.iter().map(|(name, _)| *name).collect();
        writeln!(out, "date,stage,{}", heading.join(","))?;
        rows.iter().try_for_each(|(date, row)| write_row(out, *date, row))
    })
}

fn write_row(out: &mut dyn Write, date: NaiveDate, row: &DayRow) -> anyhow::Result<()> {
    let stage = match row.crop.stage {
        Stage::Initial => "initial",
        Stage::Development => "development",
        Stage::Mid => "mid",
        Stage::Late => "late",
        Stage::Over => "over",
    };
    write!(out, "{date},{stage}")?;
    for (_, value) in COLUMNS {
        match value(row) {
            Some(value) => write!(out, ",{value:.N_DECIMALS$}")?,
            None => write!(out, ",")?,
        }
    }
    Ok(writeln!(out)?)
}

/// How a column is read from a row; `None` where the method has no such number.
type Value = fn(&DayRow) -> Option<f64>;

/// The columns of numbers, named as in FAO-56 and pyfao56.
const COLUMNS: [(&str, Value); 38] = [
    ("ETref", |row| Some(row.et0_mm)),
    ("Kcm", |row| row.crop.kc_single),
    ("ETcm", |row| row.crop.kc_single.map(|kc| kc * row.et0_mm)),
    ("Kcb", |row| Some(row.crop.kcb)),
    ("h", |row| Some(row.crop.height_m)),
    ("Kcmax", |row| Some(row.crop.kc_max)),
    ("fc", |row| Some(row.crop.cover)),
    ("fw", |row| Some(row.water.wetted)),
    ("few", |row| Some(row.water.exposed_wetted)),
    ("De", |row| row.surface.map(|surface| surface.de_mm)),
    ("Kr", |row| row.surface.map(|surface| surface.kr)),
    ("Ke", |row| row.surface.map(|surface| surface.ke)),
    ("E", |row| row.surface.map(|surface| surface.e_mm)),
    ("DPe", |row| row.surface.map(|surface| surface.percolation_mm)),
    ("Kc", |row| Some(row.kc)),
    ("ETc", |row| Some(row.etc_mm)),
    ("TAW", |row| Some(row.root.taw_mm)),
    ("Zr", |row| Some(row.crop.root_m)),
    ("p", |row| Some(row.root.p)),
    ("RAW", |row| Some(row.root.raw_mm)),
    ("Ks", |row| Some(row.root.ks)),
    ("Ka", |row| Some(row.kc_actual)),
    ("ETa", |row| Some(row.root.et_mm)),
    ("T", |row| Some(row.root.transpiration_mm)),
    ("DP", |row| Some(row.lost_mm())),
    ("Dr", |row| Some(row.root.dr_mm)),
    ("fDr", |row| Some(row.root.dr_mm / row.root.taw_mm)),
    ("Ksend", |row| Some(row.root.ks_evening)),
    ("Irrig", |row| Some(row.water.irrigation_mm)),
    ("IrrLoss", |row| Some(row.water.loss_mm)),
    ("Rain", |row| Some(row.water.rain_mm)),
    ("Runoff", |row| Some(row.water.runoff_mm)),
    ("Ignored", |row| Some(row.water.ignored_mm)),
    ("Reset", |row| Some(row.reset_mm)),
    ("Growth", |row| Some(row.growth_mm)),
    ("BelowWP", |row| Some(row.root.below_wilting_mm)),
    ("ToBelow", |row| Some(row.root.percolation_mm - row.lost_mm())),
    ("Drmax", |row| row.below.map(|below| below.whole_dr_mm)),
];
