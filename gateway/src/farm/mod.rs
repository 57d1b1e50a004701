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
//! beyond this farm (broker, topic prefix, sinks, messages) is taken in at a start only: it names files and addresses that the gateway
//! reads and reaches with its own rights. No version holds a secret: `***` stands in its text for each, and
//! what that is stands beside the versions.

pub mod diff;

use anyhow::Context;
use giot_engine::{By, Entry, Event, Now, Reason, Timing};
use sha2::{Digest, Sha256};
use std::fmt;

use crate::clock::Clock;
use crate::config::{ConfigError, Problem, Secrets, Settings, compile_for, masked, plain, unmasked};
use crate::hub::codec;
use crate::hub::farm::leaves_open;
use giot_store::{Batch, DiaryEntry, FarmRow, Reader, Writer, farm_secret};

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
    let mut newest = reader.farm_newest()?;
    let compiled = |row: &FarmRow| -> anyhow::Result<Settings> { compile_row(reader, row, timing) };
    if let Some(file) = file
        && !is_known(reader, &file)?
    {
        let draft = Draft::of(&file.name, &file.text, &reader.farm_secrets()?, timing)?;
        let kept = newest.as_ref().and_then(|row| Some((row.version, compiled(row).ok()?)));
        let removed = kept.map(|(version, kept)| (version, Removed::between(&kept, &draft.settings)));
        if let Some((version, removed)) = removed.filter(|(_, removed)| removed.all_zones) {
            // A file that was emptied by a slip or a bad card must not end the watering at the next start.
            tracing::error!(
                file = file.name,
                "not taken in, version {version} of the farm goes on: {}; giot farm import --remove-all FILE",
                removed.question()
            );
        } else {
            let author = Author { by: file.by, origin: "file", file: Some(file.name), note: String::new() };
            let (row, batch) = draft.batch(newest.as_ref(), author, clock);
            writer.commit(batch).await.context("keep the farm")?;
            tracing::info!(version = row.version, file = row.file, "took in a version of the farm");
            newest = Some(row);
        }
    }
    let Some(newest) = newest else {
        let mut settings = Settings::default();
        settings.plan.timing = timing;
        return Ok(Begin { settings, version: 0, is_in_force: true, before: None });
    };
    let settings = compiled(&newest).context(
        "this giot cannot use the farm that its data folder holds: giot farm export --out farm.toml, mend it, giot farm import farm.toml",
    )?;
    let is_in_force = newest.in_force_us.is_some();
    let before = reader.farm_in_force()?.filter(|_| !is_in_force);
    let before = before.and_then(|row| Some((row.version, compiled(&row).ok()?)));
    let before = match before {
        Some((version, mut before)) if leaves_open(reader, &before, &settings)? => {
            // What reaches beyond the farm is the newest version's from the start on.
            before.topic_prefix.clone_from(&settings.topic_prefix);
            before.broker.clone_from(&settings.broker);
            before.sinks.clone_from(&settings.sinks);
            before.messages.clone_from(&settings.messages);
            Some((version, before))
        }
        _ => None,
    };
    Ok(Begin { settings, version: newest.version, is_in_force, before })
}

/// Whether a file says what it said when a version last came from it, secrets included.
///
/// # Errors
/// The store cannot be read.
pub fn is_known(reader: &Reader, file: &FarmFile) -> anyhow::Result<bool> {
    let Some((row, (text, secrets))) = reader.farm_of_file(&file.name)?.zip(masked(&file.text)) else {
        return Ok(false);
    };
    Ok(row.text == text && are_known(&reader.farm_secrets()?, &secrets))
}

/// Whether all secrets are known just so.
#[must_use]
pub fn are_known(known: &Secrets, secrets: &Secrets) -> bool {
    secrets.iter().all(|(name, value)| known.get(name) == Some(value))
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
        ("message", in_force.messages != draft.messages),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

/// What a change takes away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Zones, in the order of their ids.
    pub zones: Vec<String>,
    /// Programs, likewise.
    pub programs: Vec<String>,
    /// Whether no zone stays that was there: a person says so before.
    pub all_zones: bool,
}

impl Removed {
    /// What `after` has no more of `before`.
    #[must_use]
    pub fn between(before: &Settings, after: &Settings) -> Self {
        let zones = before.plan.zones.keys().filter(|id| !after.plan.zones.contains_key(*id));
        let programs = before.plan.programs.keys().filter(|id| !after.plan.programs.contains_key(*id));
        let zones: Vec<String> = zones.map(ToString::to_string).collect();
        let all_zones = !zones.is_empty() && zones.len() == before.plan.zones.len();
        Self { zones, programs: programs.map(ToString::to_string).collect(), all_zones }
    }

    /// Why it is not done unless a person says so.
    #[must_use]
    pub fn question(&self) -> String {
        format!("this takes every zone away ({self}): say so if it is meant")
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [("zones", &self.zones), ("programs", &self.programs)];
        let named: Vec<_> = named.iter().filter(|(_, names)| !names.is_empty()).collect();
        for (idx, (kind, names)) in named.into_iter().enumerate() {
            let gap = if idx > 0 { "; " } else { "" };
            write!(f, "{gap}{kind} {}", names.join(", "))?;
        }
        Ok(())
    }
}

/// Who saves a version, by which way, and what is said about it.
#[derive(Clone, Debug)]
pub struct Author {
    /// Who.
    pub by: String,
    /// `page`, `command` or `file`.
    pub origin: &'static str,
    /// The file that it was read from, where it was one.
    pub file: Option<String>,
    /// What that person says about it.
    pub note: String,
}

/// A draft that can be saved.
#[derive(Debug)]
pub struct Draft {
    /// As it is to be kept, with masks for its secrets.
    pub text: String,
    /// What it means.
    pub settings: Settings,
    /// The secrets that were written in it.
    pub secrets: Secrets,
}

impl Draft {
    /// Judges a text called `name` by the gateway's waiting times; `known`: the secrets that its masks may stand for.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn of(name: &str, text: &str, known: &Secrets, timing: Timing) -> Result<Self, ConfigError> {
        let wrong = |problems| ConfigError { file: name.to_owned(), problems };
        if text.len() > TEXT_BYTES_MAX {
            let what = format!("{} bytes; a farm has at most {TEXT_BYTES_MAX}", text.len());
            let field = "file".to_owned();
            return Err(wrong(vec![Problem { line: None, column: None, field, what }]));
        }
        // Problems are those of the text as it was written: their places are its own.
        let (whole, unknown) = unmasked(text, known);
        let mut problems =
            compile_for(name, text, timing).err().map(|error| error.problems).unwrap_or_default();
        problems.extend(unknown);
        if !problems.is_empty() {
            problems.sort_by_key(|problem| (problem.line, problem.column));
            return Err(wrong(problems));
        }
        let settings = compile_for(name, &whole, timing)?;
        let (text, secrets) = masked(text).unwrap_or_default();
        Ok(Self { text, settings, secrets })
    }

    /// The version that follows `newest`, not in force yet.
    #[must_use]
    pub fn row(&self, newest: Option<&FarmRow>, author: Author, saved_us: i64) -> FarmRow {
        let Author { by, origin, file, note } = author;
        FarmRow {
            version: newest.map_or(0, |row| row.version).saturating_add(1),
            saved_us,
            by,
            origin: origin.to_owned(),
            file,
            note: plain(&note),
            text: self.text.clone(),
            in_force_us: None,
        }
    }

    /// All that the store keeps of the version that follows `newest`: the version, its secrets, and an entry of the diary.
    #[must_use]
    pub fn batch(&self, newest: Option<&FarmRow>, author: Author, clock: Clock) -> (FarmRow, Batch) {
        let row = self.row(newest, author, clock.wall_us_unchecked());
        let n_lines = diff::counts(&diff::lines(newest.map_or("", |row| row.text.as_str()), &row.text));
        let entry = saved(&row, n_lines, Now { mono: clock.mono(), wall: clock.wall() }, row.saved_us);
        let meta = self.secrets.iter().map(|(name, value)| farm_secret(name, value)).collect();
        let batch = Batch { diary: vec![entry], farm: Some(row.clone()), meta, ..Batch::default() };
        (row, batch)
    }
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
    reader.farm_newest()?.map(|row| compile_row(reader, &row, Timing::default())).transpose()
}

/// The settings of a version that is kept.
///
/// # Errors
/// The store cannot be read, or this program cannot use the version ([`ConfigError`]).
pub fn compile_row(reader: &Reader, row: &FarmRow, timing: Timing) -> anyhow::Result<Settings> {
    let name = name_of(row);
    let (text, problems) = unmasked(&row.text, &reader.farm_secrets()?);
    if !problems.is_empty() {
        return Err(ConfigError { file: name, problems }.into());
    }
    Ok(compile_for(&name, &text, timing)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_what_people_write() {
        assert_eq!(plain(" vỡ ống, \u{202e}gap\u{0}\u{1b}[31m\ntail\u{2066} "), "vỡ ống, gap  [31m tail");
        assert_eq!(plain("\u{feff}\u{7}"), "");
    }

    #[test]
    fn what_goes_is_named_and_a_whole_farm_is_asked_for() {
        let settings = |zones: &[&str]| {
            let zone = |id: &&str| {
                format!(
                    "[[zone]]\nid = \"{id}\"\nsource = \"s\"\nvalve = {{ node = \"{id}\" }}\nautomatic = false\n"
                )
            };
            let text: String = zones.iter().map(zone).collect();
            compile_for("farm", &format!("[[source]]\nid = \"s\"\n{text}"), Timing::default()).expect("sound")
        };
        let (none, one, two) = (settings(&[]), settings(&["a"]), settings(&["a", "b"]));
        let removed = Removed::between(&two, &one);
        assert_eq!((removed.to_string().as_str(), removed.all_zones), ("zones b", false));
        let removed = Removed::between(&two, &none);
        assert_eq!((removed.to_string().as_str(), removed.all_zones), ("zones a, b", true));
        assert!(Removed::between(&one, &settings(&["c"])).all_zones, "others in their place");
        assert_eq!(Removed::between(&none, &two), Removed::default());
        assert_eq!(Removed::between(&two, &two), Removed::default());
    }
}
