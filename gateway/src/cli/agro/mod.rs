//! `giot agro …`: the agronomy from the command line, for an agronomist's files. It computes and keeps nothing.

mod balance;
mod drip;
mod et0;
mod tables;

use super::UsageError;
use clap::{Subcommand, ValueEnum};
use giot_engine::agro::Standard;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

/// Digits behind the point: a thousandth of what a rain gauge shows, and enough to compare programs.
const N_DECIMALS: usize = 6;

/// Evapotranspiration, soil water and run times by FAO-56, from files of weather, seasons and zones
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Et0(et0::Args),
    Balance(balance::Args),
    Drip(drip::Args),
    Crops(tables::CropsArgs),
    Soils(tables::SoilsArgs),
}

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Et0(args) => et0::run(args),
        Command::Balance(args) => balance::run(args),
        Command::Drip(args) => drip::run(args),
        Command::Crops(_) => tables::crops(),
        Command::Soils(_) => tables::soils(),
    }
}

/// Constants of the reference evapotranspiration
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Reference {
    /// FAO-56
    Fao56,
    /// ASCE-EWRI 2005, grass
    AsceShort,
    /// ASCE-EWRI 2005, alfalfa
    AsceTall,
}

impl From<Reference> for Standard {
    fn from(reference: Reference) -> Self {
        match reference {
            Reference::Fao56 => Self::Fao56,
            Reference::AsceShort => Self::AsceShort,
            Reference::AsceTall => Self::AsceTall,
        }
    }
}

/// The bytes of a file, or of standard input for `-`, and the name for errors.
fn read_bytes(path: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let named = |error: std::io::Error| UsageError(format!("{}: {error}", path.display()));
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(named)?;
        return Ok(("standard input".to_owned(), bytes));
    }
    Ok((path.display().to_string(), std::fs::read(path).map_err(named)?))
}

/// Says that columns of a file were not read; the results do not wait for it.
fn tell_unknown(file: &str, unknown: &[String], known: &[&str]) {
    if !unknown.is_empty() {
        let (unknown, known) = (unknown.join(", "), known.join(", "));
        // Nothing is left to tell it to when stderr is closed.
        writeln!(std::io::stderr(), "giot: {file}: columns not read: {unknown} (giot knows {known})").ok();
    }
}

/// Writes a table to standard output, buffered.
fn write_table(write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    write(&mut out)?;
    Ok(out.flush()?)
}
