//! The farm as one text with its history: what a start takes in, what a change may change, what is written about it.
//!
//! | origin | a version that |
//! |---|---|
//! | `file` | came from the file of `--config`, or DIR/giot.toml, when a gateway started |
//! | `command` | `giot farm import` or `restore` brought |
//! | `page` | somebody saved on the page |
//!
//! A file given at the start becomes a version when its text differs from the last one that came from that file; so a file that
//! nobody touched does not undo what was saved since. The newest version is the one that the gateway runs by. What reaches
//! beyond this farm (broker, topic prefix, sinks) is taken in at a start only: it names files and addresses that the gateway
//! reads and reaches with its own rights.

pub mod diff;

use std::sync::Arc;

use anyhow::Context;
use giot_engine::{By, Entry, Event, Now, Reason, Timing};
use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::config::{ConfigError, Problem, Settings, compile, masked, unmasked};
use crate::hub::codec;
use crate::hub::farm::leaves_open;
use crate::store::{Batch, DiaryEntry, FarmRow, Reader, Writer};

/// Longest text of a farm, bytes: five hundred zones take half of it.
pub const TEXT_BYTES_MAX: usize = 512 * 1024;

/// Longest note of a version, characters.
pub const NOTE_CHARS_MAX: usize = 200;

/// Where the farm of a gateway comes from.
#[derive(Clone, Debug)]
pub enum Farm {
    /// From the caller, and it is kept nowhere.
    Given(Box<Settings>),
    /// From the store, where a file does not say something new.
    Kept {
        /// The file that the operator named.
        file: Option<FarmFile>,
        /// Waiting times towards the nodes: those of a demo are others.
        timing: Timing,
    },
}

/// A farm's file.
#[derive(Clone, Debug)]
pub struct FarmFile {
    /// Its path: versions that come from it are known by it.
    pub name: String,
    /// What it holds.
    pub text: String,
    /// Who named it.
    pub by: String,
}

/// What a gateway begins with.
#[derive(Debug)]
pub struct Begin {
    /// The newest version.
    pub settings: Settings,
    /// Its number; 0: none was ever saved.
    pub version: u32,
    /// Whether the store counts it as in force already.
    pub is_in_force: bool,
    /// The version to begin with, where it may have left something open that the newest does not know.
    pub before: Option<(u32, Settings)>,
}

/// Takes in what the file says that is new, and says what to begin with.
///
/// # Errors
/// The file or the newest version cannot be used ([`ConfigError`]), or the store refuses.
pub async fn begin(farm: Farm, reader: &Reader, writer: &Writer, clock: Clock) -> anyhow::Result<Begin> {
    let (file, timing) = match farm {
        Farm::Given(settings) => {
            return Ok(Begin { settings: *settings, version: 0, is_in_force: true, before: None });
        }
        Farm::Kept { file, timing } => (file, timing),
    };
    let compiled = |name: &str, text: &str| -> Result<Settings, ConfigError> {
        let mut settings = compile(name, text)?;
        settings.plan.timing = timing;
        Ok(settings)
    };
    let mut newest = reader.farm_newest()?;
    if let Some(file) = file.filter(|file| !is_known(reader, file).unwrap_or(false)) {
        // What cannot be used is not taken in.
        compiled(&file.name, &file.text)?;
        let before = newest.as_ref().map_or("", |row| row.text.as_str());
        let n_lines = diff::counts(&diff::lines(before, &file.text));
        let row = FarmRow {
            version: newest.as_ref().map_or(0, |row| row.version) + 1,
            saved_us: clock.wall_us_unchecked(),
            by: file.by,
            origin: "file".to_owned(),
            file: Some(file.name),
            note: String::new(),
            text: file.text,
            in_force_us: None,
        };
        let now = Now { mono: clock.mono(), wall: clock.wall() };
        let entry = saved(&row, n_lines, now, row.saved_us);
        let batch = Batch { diary: vec![entry], farm: Some(row.clone()), ..Batch::default() };
        writer.commit(batch).await.context("keep the farm")?;
        tracing::info!(version = row.version, file = row.file, "took in a version of the farm");
        newest = Some(row);
    }
    let Some(newest) = newest else {
        let mut settings = Settings::default();
        settings.plan.timing = timing;
        return Ok(Begin { settings, version: 0, is_in_force: true, before: None });
    };
    let settings = compiled(&name_of(&newest), &newest.text).context(
        "this giot cannot use the farm that its data folder holds: giot farm export --out farm.toml, mend it, giot farm import farm.toml",
    )?;
    let is_in_force = newest.in_force_us.is_some();
    let before = reader.farm_in_force()?.filter(|_| !is_in_force);
    let before = before.and_then(|row| Some((row.version, compiled(&name_of(&row), &row.text).ok()?)));
    let before = match before {
        Some((version, mut before)) if leaves_open(reader, &before, &settings)? => {
            // What reaches beyond the farm is the newest version's from the start on.
            before.topic_prefix.clone_from(&settings.topic_prefix);
            before.broker.clone_from(&settings.broker);
            before.sinks.clone_from(&settings.sinks);
            Some((version, before))
        }
        _ => None,
    };
    Ok(Begin { settings, version: newest.version, is_in_force, before })
}

/// Whether the text of a file is the last that came from it.
///
/// # Errors
/// The store cannot be read.
pub fn is_known(reader: &Reader, file: &FarmFile) -> anyhow::Result<bool> {
    Ok(reader.farm_of_file(&file.name)?.is_some_and(|row| row.text == file.text))
}

/// What a version is called in messages.
#[must_use]
pub fn name_of(row: &FarmRow) -> String {
    format!("farm version {}", row.version)
}

/// Keys that differ and are taken in at a start only.
#[must_use]
pub fn needs_restart(in_force: &Settings, draft: &Settings) -> Vec<&'static str> {
    let differs = [
        ("topic_prefix", in_force.topic_prefix != draft.topic_prefix),
        ("broker", in_force.broker != draft.broker),
        ("sink", in_force.sinks != draft.sinks),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

/// A draft that can be saved.
#[derive(Debug)]
pub struct Draft {
    /// As it is to be kept, with its secrets.
    pub text: String,
    /// What it means.
    pub settings: Arc<Settings>,
}

/// Judges a draft that was made from the text `before`, for a gateway that runs by `in_force`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(draft: &str, before: &str, in_force: &Settings) -> Result<Draft, Vec<Problem>> {
    if draft.len() > TEXT_BYTES_MAX {
        let what = format!("{} bytes; a farm has at most {TEXT_BYTES_MAX}", draft.len());
        return Err(vec![Problem { line: None, column: None, field: String::new(), what }]);
    }
    // Problems of the text as it was written come first: their places are its own.
    compile("farm", draft).map_err(|error| error.problems)?;
    let text = unmasked(draft, before).map_err(|problem| vec![problem])?;
    let mut settings = compile("farm", &text).map_err(|error| error.problems)?;
    settings.plan.timing = in_force.plan.timing;
    Ok(Draft { text, settings: Arc::new(settings) })
}

/// The entry of the diary for a version that is saved.
#[must_use]
pub fn saved(row: &FarmRow, (n_added, n_removed): (u32, u32), now: Now, recorded_us: i64) -> DiaryEntry {
    let hash = crate::hex(&Sha256::digest(row.text.as_bytes())).chars().take(16).collect();
    let reason = Reason::FarmSaved { version: row.version, n_added, n_removed, hash, note: row.note.clone() };
    entry(now, recorded_us, Some(row.by.clone()), reason)
}

/// An entry about the farm's versions; `by`: the person, `None` for the gateway itself.
#[must_use]
pub fn entry(now: Now, recorded_us: i64, by: Option<String>, reason: Reason) -> DiaryEntry {
    let entry = Entry {
        at: now.wall,
        mono: now.mono,
        zone: None,
        event: Event::Adjusted,
        command: None,
        by: by.map_or(By::Engine, By::Person),
        reason,
        run_ms: None,
        volume: None,
    };
    codec::diary_entry(&entry, recorded_us)
}

/// The settings of the newest version that is kept; `None` where none is.
///
/// # Errors
/// The store cannot be read, or this program cannot use the version.
pub fn newest(reader: &Reader) -> anyhow::Result<Option<Settings>> {
    let row = reader.farm_newest()?;
    Ok(row.map(|row| compile(&name_of(&row), &row.text)).transpose()?)
}

/// A version's text for people who may see the farm and not its secrets.
#[must_use]
pub fn shown(row: &FarmRow) -> String {
    masked(&row.text)
}
