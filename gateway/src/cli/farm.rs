//! `giot farm`: the farm as one file, with its history.
//!
//! Reading needs no gateway and disturbs none. A new version goes through the running gateway where one has the data folder,
//! and into the folder itself where none has.

use super::serve::operator;
use super::{DataFolder, UsageError, format_time, read_file, say};
use crate::api::client::{Client, Refusal};
use crate::clock::Clock;
use crate::config::{ConfigError, Problem, Secrets, masked};
use crate::farm::diff::{self, Change};
use crate::farm::{Author, Draft, NOTE_CHARS_MAX, Removed, are_known, compile_row};
use anyhow::Context;
use clap::Subcommand;
use giot_engine::Timing;
use giot_store::{FarmRow, OpenError, Reader, Store};
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The farm as one readable file (TOML), with its history
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Export(ExportArgs),
    Import(ImportArgs),
    Log(LogArgs),
    Show(ShowArgs),
    Diff(DiffArgs),
    Restore(RestoreArgs),
}

/// Write the farm as a file
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot farm export > farm.toml
  giot farm export 3 --out farm-3.toml

The file holds everything but the tokens of sinks: *** stands for each, and giot farm import puts back the token that the data
folder knows. Works while the gateway runs.")]
pub(super) struct ExportArgs {
    #[command(flatten)]
    data: DataFolder,
    /// Which version; without it the newest
    #[arg(value_name = "N")]
    number: Option<u32>,
    /// File to write; without it the terminal
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Take in the farm from a file, as a new version
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot farm import farm.toml --note \"zone 4 has new emitters\"
  giot farm import farm.toml --dry-run          every problem with its line, and what would change

Through the running gateway at --http where one has the data folder: it goes on with what did not change, closes what is gone
first, and refuses what needs a start (broker, topic_prefix, sink). Without one, the next `giot serve` runs by it. A file that
keeps none of the farm's zones is refused unless --remove-all says that this is meant.
Exit codes: 0 taken in or nothing new, 1 failed or refused, 2 wrong usage or a file with problems.")]
pub(super) struct ImportArgs {
    #[command(flatten)]
    place: Place,
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Look only
    #[arg(long)]
    dry_run: bool,
}

/// List the versions of the farm, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot farm log
  giot farm log --limit 200

Each line: version, when and by whom it was saved, since when it has been in force, lines added and removed, how it came,
note. Works while the gateway runs.")]
pub(super) struct LogArgs {
    #[command(flatten)]
    data: DataFolder,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
}

/// Show one version: who, when, why, and what it changed
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot farm show 3
  giot farm show")]
pub(super) struct ShowArgs {
    #[command(flatten)]
    data: DataFolder,
    /// Which version; without it the newest
    #[arg(value_name = "N")]
    number: Option<u32>,
}

/// Compare two versions, or a version and a file
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot farm diff 3                 version 3 and the newest
  giot farm diff 3 5
  giot farm diff --file farm.toml  the newest and a file")]
pub(super) struct DiffArgs {
    #[command(flatten)]
    data: DataFolder,
    /// The earlier version; without it the newest
    #[arg(value_name = "N")]
    from: Option<u32>,
    /// The later version; without it the newest
    #[arg(value_name = "M", conflicts_with = "file")]
    to: Option<u32>,
    /// A file in place of the later version
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Save an earlier version as the newest
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot farm restore 3
  giot farm restore 3 --note \"the new pump is away for repair\"

History only grows: the restored text becomes a version of its own. Otherwise as giot farm import.")]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    place: Place,
    /// Which version
    #[arg(value_name = "N")]
    number: u32,
}

/// Where a version goes, and what is said about it.
#[derive(Debug, clap::Args)]
struct Place {
    #[command(flatten)]
    data: DataFolder,
    /// What it is about
    #[arg(long, default_value = "")]
    note: String,
    /// Address of the running gateway's page
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// That no zone stays of those that there are is meant
    #[arg(long)]
    remove_all: bool,
}

/// What is said in place of making a version.
const NOTHING_NEW: &str = "nothing new: the newest version is just so";

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Export(args) => export(args),
        Command::Import(args) => import(args),
        Command::Log(args) => log(args),
        Command::Show(args) => show(args),
        Command::Diff(args) => compare(args),
        Command::Restore(args) => restore(args),
    }
}

fn export(args: &ExportArgs) -> anyhow::Result<()> {
    let row = version(&Reader::open(&args.data.data)?, args.number)?;
    match &args.out {
        None => say(row.text.trim_end_matches('\n')),
        Some(out) => {
            std::fs::write(out, &row.text).with_context(|| format!("write {}", out.display()))?;
            say(&format!("version {} is in {}", row.version, out.display()))
        }
    }
}

fn import(args: &ImportArgs) -> anyhow::Result<()> {
    let text = read_file(&args.file)?;
    let (before, known) = newest(&args.place.data.data)?;
    let draft = Draft::of(&args.file.display().to_string(), &text, &known, Timing::default())?;
    if args.dry_run {
        print_diff(&before, &draft.text)?;
        return say(&format!(
            "{}: {} zones on {} sources, no problem; nothing was changed",
            args.file.display(),
            draft.settings.plan.zones.len(),
            draft.settings.plan.sources.len()
        ));
    }
    if draft.text == before && are_known(&known, &draft.secrets) {
        return say(NOTHING_NEW);
    }
    take_in(&args.place, &args.file.display().to_string(), draft, &text)
}

fn restore(args: &RestoreArgs) -> anyhow::Result<()> {
    let reader = Reader::open(&args.place.data.data)?;
    let row = version(&reader, Some(args.number))?;
    let is_newest = reader.farm_newest()?.is_some_and(|newest| newest.text == row.text);
    let settings = compile_row(&reader, &row, Timing::default())?;
    drop(reader);
    if is_newest {
        return say(NOTHING_NEW);
    }
    let note = if args.place.note.is_empty() {
        format!("version {} again", row.version)
    } else {
        args.place.note.clone()
    };
    let Place { data, http, remove_all, .. } = &args.place;
    let draft = Draft { text: row.text.clone(), settings, secrets: Secrets::new() };
    let place = Place { data: data.clone(), note, http: *http, remove_all: *remove_all };
    take_in(&place, &format!("version {}", row.version), draft, &row.text)
}

fn log(args: &LogArgs) -> anyhow::Result<()> {
    let reader = Reader::open(&args.data.data)?;
    // One more, for what the oldest of them changed.
    let rows = reader.farm_versions(None, args.limit.saturating_add(1))?;
    if rows.is_empty() {
        return say("no version yet: giot farm import FILE, or giot serve --config FILE");
    }
    let in_force = reader.farm_in_force()?.map(|row| row.version);
    let before = rows.iter().skip(1).map(|row| row.text.as_str()).chain([""]);
    for (row, before) in rows.iter().zip(before).take(args.limit as usize) {
        say(&line_of(row, before, in_force))?;
    }
    Ok(())
}

/// A version in one line.
fn line_of(row: &FarmRow, before: &str, in_force: Option<u32>) -> String {
    let (n_added, n_removed) = diff::counts(&diff::lines(before, &row.text));
    let since = match row.in_force_us {
        Some(at_us) if in_force == Some(row.version) => format!("in force since {}", format_time(at_us)),
        Some(at_us) => format!("was in force from {}", format_time(at_us)),
        None => "not yet in force".to_owned(),
    };
    let from = row.file.as_ref().map_or_else(String::new, |file| format!(" {file}"));
    let note = if row.note.is_empty() { String::new() } else { format!("  {}", row.note) };
    format!(
        "{}  {}  {}  {since}  +{n_added} -{n_removed}  {}{from}{note}",
        row.version,
        format_time(row.saved_us),
        row.by,
        row.origin
    )
}

fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let reader = Reader::open(&args.data.data)?;
    let row = version(&reader, args.number)?;
    let before = reader.farm_versions(Some(row.version), 1)?.pop().map(|row| row.text).unwrap_or_default();
    let in_force = reader.farm_in_force()?.map(|row| row.version);
    say(&line_of(&row, &before, in_force))?;
    print_diff(&before, &row.text)
}

fn compare(args: &DiffArgs) -> anyhow::Result<()> {
    let reader = Reader::open(&args.data.data)?;
    let from = version(&reader, args.from)?;
    let to = match &args.file {
        Some(file) => {
            let text = read_file(file)?;
            masked(&text).map_or(text, |(text, _)| text)
        }
        None => version(&reader, args.to)?.text,
    };
    print_diff(&from.text, &to)
}

fn print_diff(before: &str, after: &str) -> anyhow::Result<()> {
    let mut last = None;
    for line in diff::hunks(diff::lines(before, after)) {
        let number = line.after.or(line.before);
        if line.change == Change::Same && last.zip(number).is_some_and(|(last, number)| number > last + 1) {
            say("…")?;
        }
        last = line.after.or(last);
        let sign = match line.change {
            Change::Same => ' ',
            Change::Added => '+',
            Change::Removed => '-',
        };
        say(&format!("{:>5} {sign} {}", number.unwrap_or(0), line.text))?;
    }
    Ok(())
}

/// Keeps a draft called `name` as the newest version; `text`: as it was written.
fn take_in(place: &Place, name: &str, draft: Draft, text: &str) -> anyhow::Result<()> {
    if place.note.chars().count() > NOTE_CHARS_MAX {
        return Err(UsageError(format!("--note: at most {NOTE_CHARS_MAX} characters")).into());
    }
    match Store::open(&place.data.data) {
        Ok(store) => keep(place, &store, &draft),
        Err(OpenError::InUse { .. }) => send(place, name, text),
        Err(error) => Err(error.into()),
    }
}

/// Into the data folder that no gateway has.
fn keep(place: &Place, store: &Store, draft: &Draft) -> anyhow::Result<()> {
    let reader = store.reader();
    let newest = reader.farm_newest()?;
    // A version that this program cannot use is mended by what comes.
    let before = newest.as_ref().and_then(|row| compile_row(&reader, row, Timing::default()).ok());
    let removed = before.map(|before| Removed::between(&before, &draft.settings)).unwrap_or_default();
    if removed.all_zones && !place.remove_all {
        anyhow::bail!("{}: --remove-all", removed.question());
    }
    let author = Author { by: operator(), origin: "command", file: None, note: place.note.clone() };
    let (row, batch) = draft.batch(newest.as_ref(), author, Clock::system(None));
    store.writer().commit_blocking(batch)?;
    let version = row.version;
    say_removed(&removed)?;
    say(&format!("version {version} is kept; the next `giot serve` runs by it"))
}

/// Through the gateway that has the data folder.
fn send(place: &Place, name: &str, text: &str) -> anyhow::Result<()> {
    let secret = read_file(&place.data.data.join(crate::SECRET_FILE))?;
    let client = Client::sign_in(place.http, secret.trim()).with_context(|| {
        format!("a gateway has the data folder; reach it at {} (--http: the address of its page)", place.http)
    })?;
    let newest = client.get("/api/v1/farm")?;
    let version = newest.get("version").and_then(serde_json::Value::as_u64).context("the gateway's farm")?;
    let body = json!({
        "text": text, "version": version, "note": place.note, "origin": "command", "remove_all": place.remove_all
    });
    let answer = client.post("/api/v1/farm", &body).map_err(|error| with_problems(name, error))?;
    if answer.get("unchanged").and_then(serde_json::Value::as_bool) == Some(true) {
        return say(NOTHING_NEW);
    }
    let names = |key: &str| -> Vec<String> {
        let names = answer.get(key).and_then(serde_json::Value::as_array).into_iter().flatten();
        names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    say_removed(&Removed {
        zones: names("zones_removed"),
        programs: names("programs_removed"),
        all_zones: false,
    })?;
    let version = answer.get("version").and_then(serde_json::Value::as_u64).unwrap_or(version + 1);
    let farm = client.get("/api/v1/farm")?;
    say(&standing(&farm, version))
}

fn say_removed(removed: &Removed) -> anyhow::Result<()> {
    if removed.zones.is_empty() && removed.programs.is_empty() {
        return Ok(());
    }
    say(&format!("taken away: {removed}"))
}

/// A refusal of a file that the gateway finds problems in, as this command tells its own.
fn with_problems(name: &str, error: anyhow::Error) -> anyhow::Error {
    let Some(refusal) = error.downcast_ref::<Refusal>() else { return error };
    let problems = refusal.answer.get("problems").and_then(serde_json::Value::as_array);
    let problem = |problem: &serde_json::Value| {
        let number = |key: &str| problem.get(key)?.as_u64().and_then(|number| usize::try_from(number).ok());
        let text =
            |key: &str| problem.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        Problem { line: number("line"), column: number("column"), field: text("field"), what: text("what") }
    };
    let problems: Vec<_> = problems.into_iter().flatten().map(problem).collect();
    if problems.is_empty() {
        let is_unsaid =
            refusal.answer.get("code").and_then(serde_json::Value::as_str) == Some("farm_removes_all");
        return if is_unsaid { error.context("--remove-all says that it is meant") } else { error };
    }
    ConfigError { file: name.to_owned(), problems }.into()
}

/// What the gateway's farm says of a version that was just saved.
fn standing(farm: &serde_json::Value, version: u64) -> String {
    let number = |key: &str| farm.get(key).and_then(serde_json::Value::as_u64);
    if number("in_force") == Some(version) {
        return format!("version {version} is in force");
    }
    if let Some(newer) = number("version").filter(|newest| *newest > version) {
        return format!("version {version} is kept; version {newer} was saved meanwhile");
    }
    let names = |key: &str| farm.get(key).and_then(serde_json::Value::as_array).into_iter().flatten();
    let awaited: Vec<&str> =
        names("awaited_zones").chain(names("awaited_sources")).filter_map(|name| name.as_str()).collect();
    if awaited.is_empty() {
        return format!(
            "version {version} is kept and not yet in force: `giot farm log` says since when it is"
        );
    }
    format!("version {version} is kept; it takes over when these are closed: {}", awaited.join(", "))
}

/// The newest version's text, and the secrets that are known.
fn newest(data: &Path) -> anyhow::Result<(String, Secrets)> {
    match Reader::open(data) {
        Ok(reader) => {
            let text = reader.farm_newest()?.map(|row| row.text).unwrap_or_default();
            Ok((text, reader.farm_secrets()?))
        }
        // An older store is brought up to date when it is opened for writing.
        Err(OpenError::NoStore { .. } | OpenError::OlderSchema { .. }) => Ok(Default::default()),
        Err(error) => Err(error.into()),
    }
}

fn version(reader: &Reader, version: Option<u32>) -> anyhow::Result<FarmRow> {
    let row = match version {
        Some(version) => reader.farm_version(version)?,
        None => reader.farm_newest()?,
    };
    row.with_context(|| match version {
        Some(version) => format!("there is no version {version} of the farm: giot farm log lists them"),
        None => "no version of the farm is kept yet: giot farm import FILE".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_that_a_gateway_finds_is_told_with_its_line() {
        let problem = |line: Option<u32>, field: &str| json!({ "line": line, "column": null, "field": field, "what": "wrong" });
        let answer = json!({
            "detail": "2 problem(s); the first: line 3: a: wrong",
            "problems": [problem(Some(3), "a"), problem(None, "b")]
        });
        let told = with_problems("farm.toml", Refusal { status: 422, answer }.into());
        assert_eq!(told.to_string(), "farm.toml:3: a: wrong\nfarm.toml: b: wrong");
        let other =
            with_problems("farm.toml", Refusal { status: 409, answer: json!({ "detail": "no" }) }.into());
        assert_eq!(other.to_string(), "the gateway answers 409: no");
    }

    #[test]
    fn a_version_is_in_force_only_where_the_gateway_says_so() {
        let farm = |version: u64, in_force: u64, zones: &[&str], sources: &[&str]| json!({ "version": version, "in_force": in_force, "awaited_zones": zones, "awaited_sources": sources });
        for (farm, want) in [
            (farm(2, 2, &[], &[]), "version 2 is in force"),
            (
                farm(2, 1, &["a", "b"], &["p"]),
                "version 2 is kept; it takes over when these are closed: a, b, p",
            ),
            (
                farm(2, 1, &[], &[]),
                "version 2 is kept and not yet in force: `giot farm log` says since when it is",
            ),
            (farm(3, 1, &["a"], &[]), "version 2 is kept; version 3 was saved meanwhile"),
            (farm(3, 3, &[], &[]), "version 2 is kept; version 3 was saved meanwhile"),
        ] {
            assert_eq!(standing(&farm, 2), want);
        }
    }
}
