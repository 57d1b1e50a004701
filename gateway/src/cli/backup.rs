//! `giot backup` and `giot restore`: the store as one file, and back.

use super::store::{bar, show};
use super::{DataFolder, UsageError, say};
use crate::clock::Clock;
use giot_store::{BackupError, Proof, Stage};
use indicatif::ProgressBar;
use std::path::{Path, PathBuf};

/// Copy the store to one file, also while the gateway runs, and prove that the copy is whole
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot backup /media/usb/giot.sqlite
  giot backup --data /var/lib/giot /media/usb/        a folder: the file is named by the time (UTC)
  giot backup --json /media/usb/ | jq -r .file

The copy is one moment of the store. It is compared with the store table by table (rows and SHA-256), checked like
`giot store check`, brought to the disk, and only then gets its name. It holds the nodes' keys: keep it safe.
It does not hold giot.toml and the admin secret. Nothing is overwritten; a damaged store is not backed up.")]
pub(super) struct BackupArgs {
    #[command(flatten)]
    data: DataFolder,
    /// File to write, or a folder to write it to
    #[arg(value_name = "FILE")]
    to: PathBuf,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
}

/// Bring a backup back as the store of a data folder, and prove that it is the same
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot restore /media/usb/giot.sqlite
  giot restore --data /var/lib/giot --force /media/usb/giot.sqlite

Only while no gateway runs on the folder (exit code 3 otherwise). A store that is there is not replaced without --force,
and with it is kept beside as giot-replaced-TIME.sqlite. Nodes go on where they are: what they had released after the
backup is told as missing, and their commands stay new.")]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    data: DataFolder,
    /// Backup to bring back
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// Replace a store that is there; it is kept under another name
    #[arg(long)]
    force: bool,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
}

/// The time for a file's name: 20260301T060000Z.
pub(crate) fn stamp() -> String {
    let at = chrono::DateTime::from_timestamp_micros(Clock::system(None).wall_us_unchecked());
    at.map_or_else(|| "undated".to_owned(), |at| at.format("%Y%m%dT%H%M%SZ").to_string())
}

pub(super) fn back_up(args: &BackupArgs) -> anyhow::Result<()> {
    let to =
        if args.to.is_dir() { args.to.join(format!("giot-{}.sqlite", stamp())) } else { args.to.clone() };
    let bar = bar("")?;
    let made = giot_store::back_up(&args.data.data, &to, &mut |stage, n_done, n_all| {
        tell(&bar, stage, n_done, n_all)
    });
    bar.finish_and_clear();
    let proof = made.map_err(|error| explained(error, "give another name"))?;
    say(&if args.json { json(&proof) } else { text(&proof, "backed up to") })
}

pub(super) fn restore(args: &RestoreArgs) -> anyhow::Result<()> {
    let replaced = args.force.then(|| format!("giot-replaced-{}.sqlite", stamp()));
    let bar = bar("")?;
    let made =
        giot_store::restore(&args.from, &args.data.data, replaced.as_deref(), &mut |stage, n_done, n_all| {
            tell(&bar, stage, n_done, n_all);
        });
    bar.finish_and_clear();
    let proof =
        made.map_err(|error| explained(error, "--force keeps it under another name and replaces it"))?;
    say(&if args.json { json(&proof) } else { text(&proof, "restored to") })
}

fn tell(bar: &ProgressBar, stage: Stage, n_done: u64, n_all: u64) {
    let name = match stage {
        Stage::Copy => "copying",
        Stage::Compare => "comparing",
        Stage::Check => "checking",
    };
    bar.set_message(name);
    show(bar, n_done, n_all);
}

/// A name that is taken is the operator's to choose otherwise; a store that cannot be opened decides the exit code itself.
fn explained(error: BackupError, remedy: &str) -> anyhow::Error {
    match error {
        BackupError::Exists { .. } => UsageError(format!("{error}: {remedy}")).into(),
        BackupError::Open(error) => error.into(),
        BackupError::Differs { .. }
        | BackupError::Damaged { .. }
        | BackupError::NeedsPerson { .. }
        | BackupError::Io { .. }
        | BackupError::Sqlite { .. } => error.into(),
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn json(proof: &Proof) -> String {
    let tables: serde_json::Map<String, serde_json::Value> = proof
        .tables
        .iter()
        .map(|table| {
            let value = serde_json::json!({ "rows": table.n_rows, "sha256": crate::hex(&table.sha256) });
            (table.name.clone(), value)
        })
        .collect();
    serde_json::json!({
        "file": name(&proof.path),
        "bytes": proof.n_bytes,
        "samples": proof.report.n_samples,
        "diary_rows": proof.report.n_diary_rows,
        "replaced": proof.replaced.as_deref().map(name),
        "tables": tables,
    })
    .to_string()
}

fn text(proof: &Proof, did: &str) -> String {
    let n_rows: u64 = proof.tables.iter().map(|table| table.n_rows).sum();
    let mut text = format!(
        "{did} {}: {} bytes, {} readings, {} diary entries; {} rows of {} tables are the same in both, every checksum holds",
        name(&proof.path),
        proof.n_bytes,
        proof.report.n_samples,
        proof.report.n_diary_rows,
        n_rows,
        proof.tables.len()
    );
    if let Some(replaced) = &proof.replaced {
        text += &format!("\nthe store that was there is {}", name(replaced));
    }
    text
}
