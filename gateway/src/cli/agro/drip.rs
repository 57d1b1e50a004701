//! `giot agro drip`: how long drip zones must run for a net depth, from a file of zones.

use super::{N_DECIMALS, read_bytes, tell_unknown, write_table};
use crate::agro::sheet::{Cells, Place, read};
use crate::agro::weather::with_remedy;
use giot_engine::agro::InputError;
use giot_engine::agro::drip::{DripRun, DripZone};
use std::path::PathBuf;

const COLUMNS: [&str; 8] =
    ["id", "area_ha", "plants", "emitters_per_plant", "q_l_per_h", "net_mm", "ea", "pw"];

/// Compute how long drip zones must run for a net depth, and what they give then
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot agro drip zones.csv
  giot agro drip zones.csv > runs.csv

Columns of the file, in any order, decimal point; lines with # are comments:
  area_ha             area of the zone, ha           plants     how many there are
  emitters_per_plant  emitters of each               q_l_per_h  flow of one emitter, L/h
  net_mm              depth that is to reach roots, mm over the whole area
  ea                  share of the water that reaches them: drip 0.85 to 0.95
  pw                  share of the ground that gets wet: drip 0.2 to 0.5
  id                  name of the zone               not needed
The output has a row for each row of the file: runtime_min is how long, gross_mm what to give, on_wetted what it is where soil gets wet.")]
pub(in crate::cli) struct Args {
    /// File of zones, or - for standard input
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (file, bytes) = read_bytes(&args.file)?;
    let place = Place { file, n_lines_before: 0 };
    let sheet = read(&place, &bytes, &COLUMNS, &COLUMNS[1..], zone)?;
    tell_unknown(&place.file, &sheet.unknown, &COLUMNS);
    write_table(|out| {
        writeln!(
            out,
            "id,gross_mm,volume_m3,flow_m3_h,rate_mm_h,rate_on_wetted_mm_h,runtime_min,litres_per_plant,net_on_wetted_mm"
        )?;
        for (id, run) in sheet.rows {
            let numbers = [
                run.gross_mm,
                run.volume_m3,
                run.flow_m3_h,
                run.rate_mm_h,
                run.rate_wetted_mm_h,
                run.minutes,
                run.litres_per_plant,
                run.net_wetted_mm,
            ];
            let numbers = numbers.map(|number| format!("{number:.N_DECIMALS$}")).join(",");
            writeln!(out, "{id},{numbers}")?;
        }
        Ok(())
    })
}

/// A zone of the file and its run.
fn zone(cells: &mut Cells<'_>) -> Option<(String, DripRun)> {
    let [area_ha, plants, emitters, flow, net_mm, efficiency, wetted] =
        ["area_ha", "plants", "emitters_per_plant", "q_l_per_h", "net_mm", "ea", "pw"]
            .map(|column| cells.needed(column));
    let n_plants = whole(cells, "plants", plants?)?;
    let emitters_per_plant = whole(cells, "emitters_per_plant", emitters?)?;
    let zone = DripZone {
        area_m2: area_ha? * 10_000.0,
        n_plants,
        emitters_per_plant,
        emitter_l_h: flow?,
        efficiency: efficiency?,
        wetted_share: wetted?,
        leaching: 0.0,
    };
    match zone.run(net_mm?) {
        Ok(run) => Some((cells.text("id").unwrap_or_default().to_owned(), run)),
        Err(error) => {
            cells.wrong(column_of(error), &with_remedy(&error));
            None
        }
    }
}

/// A number of things.
fn whole(cells: &mut Cells<'_>, column: &'static str, value: f64) -> Option<u32> {
    if value.fract() == 0.0 && (1.0..=1e6).contains(&value) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number up to a million"
        )]
        return Some(value as u32);
    }
    cells.wrong(column, &format!("{value} is no number of things: a whole number from 1 to 1000000"));
    None
}

/// The column that an error of the engine speaks of.
fn column_of(error: InputError) -> &'static str {
    match error.field() {
        "area_m2" => "area_ha",
        "emitter_l_h" => "q_l_per_h",
        "efficiency" => "ea",
        "wetted_share" => "pw",
        "n_plants" => "plants",
        field => field,
    }
}
