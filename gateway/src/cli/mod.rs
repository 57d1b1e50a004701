//! The command line: one file a command. Here: the words, the exit codes, and what commands share.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done, or stopped as asked |
//! | 1 | failed |
//! | 2 | wrong usage or configuration |
//! | 3 | the data folder is in use, or a newer giot wrote it |

mod agro;
mod backtest;
mod backup;
mod bench;
mod bench_ingest;
mod demo;
mod doctor;
mod export;
mod farm;
mod import;
mod message;
mod node;
mod reasons;
mod replay;
mod rules;
mod serve;
mod sim;
mod sink;
mod store;
mod why;

pub(crate) use self::backup::stamp;

use crate::config::ConfigError;
use crate::history::timezone::TimeZone;
use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use giot_store::OpenError;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Giọt: soil moisture, drip irrigation and an irrigation diary for a cooperative.
#[derive(Debug, Parser)]
#[command(name = "giot", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "Examples:
  giot demo                      a simulated cooperative: see what it is
  giot serve                     the gateway, with its data in ./giot-data
  giot node add v01              register a node
  giot help serve                options and examples of a command")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Demo(demo::Args),
    Replay(replay::Args),
    #[command(subcommand)]
    Node(node::Command),
    Export(export::Args),
    #[command(subcommand)]
    Farm(farm::Command),
    #[command(subcommand)]
    Import(import::Command),
    #[command(subcommand)]
    Agro(agro::Command),
    Doctor(doctor::Args),
    Why(why::Args),
    Backtest(backtest::Args),
    #[command(subcommand)]
    Rules(rules::Command),
    Reasons(reasons::Args),
    #[command(subcommand)]
    Bench(bench::Command),
    #[command(subcommand)]
    Sim(sim::Command),
    #[command(subcommand)]
    Sink(sink::Command),
    #[command(subcommand)]
    Message(message::Command),
    #[command(subcommand)]
    Store(store::Command),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
}

/// Wrong usage that the parser cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// Where the data live.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DataFolder {
    /// Folder that holds the history, the registry and the admin secret
    #[arg(long, value_name = "DIR", default_value = "giot-data")]
    pub(crate) data: PathBuf,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    // Usage errors end here with exit code 2, --help and --version with 0.
    let parsed = Args::from_arg_matches(&command_line().get_matches());
    let args = parsed.unwrap_or_else(|error| error.exit());
    match run(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell it to when stderr is closed.
            writeln!(std::io::stderr(), "giot: {error:#}").ok();
            if error.chain().any(giot_store::is_corruption) {
                let what = "the store is damaged: stop the gateway, keep a copy of its folder, then giot store repair";
                writeln!(std::io::stderr(), "giot: {what}").ok();
            }
            ExitCode::from(exit_code(&error))
        }
    }
}

/// The words of the command line; a group of commands shows the first example of each of its commands.
fn command_line() -> clap::Command {
    Args::command().mut_subcommands(|group| {
        let shown = group.get_subcommands().filter(|command| !command.is_hide_set());
        let firsts: Vec<String> = shown.filter_map(first_example).collect();
        if firsts.is_empty() { group } else { group.after_help(format!("Examples:\n{}", firsts.join("\n"))) }
    })
}

/// The line below "Examples:" in a command's help.
fn first_example(command: &clap::Command) -> Option<String> {
    let help = command.get_after_help()?.to_string();
    help.lines().nth(1).map(ToOwned::to_owned)
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Node(command) => quietly(node::run(&command)),
        Command::Farm(command) => quietly(farm::run(&command)),
        Command::Export(args) => quietly(export::run(&args)),
        Command::Import(command) => quietly(import::run(&command)),
        Command::Agro(command) => quietly(agro::run(&command)),
        Command::Rules(command) => quietly(rules::run(&command)),
        Command::Why(args) => quietly(why::run(&args)),
        Command::Backtest(args) => quietly(backtest::run(&args)),
        Command::Reasons(args) => quietly(reasons::run(&args)),
        Command::Doctor(args) => quietly(doctor::run(&args)),
        Command::Bench(command) => bench::run(&command),
        Command::Sim(command) => sim::run(&command),
        Command::Store(command) => quietly(store::run(&command)),
        Command::Backup(args) => quietly(backup::back_up(&args)),
        Command::Restore(args) => quietly(backup::restore(&args)),
        Command::Sink(command) => quietly(sink::run(&command)),
        Command::Message(command) => quietly(message::run(&command)),
    }
}

/// What a command that prints came to; whoever reads it may have enough before its end, as in `giot export … | head`.
fn quietly(printed: anyhow::Result<()>) -> anyhow::Result<()> {
    let is_enough = |error: &anyhow::Error| {
        error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    };
    match printed {
        Err(error) if is_enough(&error) => Ok(()),
        other => other,
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<ConfigError>() || cause.is::<UsageError>() {
            return 2;
        }
        match cause.downcast_ref() {
            Some(OpenError::InUse { .. } | OpenError::NewerSchema { .. }) => return 3,
            Some(
                OpenError::OlderSchema { .. }
                | OpenError::NoStore { .. }
                | OpenError::Foreign { .. }
                | OpenError::NoCopy { .. }
                | OpenError::LogDamaged { .. }
                | OpenError::Damaged { .. }
                | OpenError::Io { .. }
                | OpenError::Sqlite { .. },
            )
            | None => {}
        }
    }
    1
}

/// Logs to stderr; `GIOT_LOG` sets the level as `warn`, `debug` or `giot_gateway::hub=debug`.
fn start_log(default_level: &str) {
    let wanted = std::env::var("GIOT_LOG").ok();
    let parsed: Option<Result<Targets, _>> = wanted.as_ref().map(|text| text.parse());
    let (filter, bad) = match parsed {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (default_level.parse().unwrap_or_default(), Some(error)),
        None => (default_level.parse().unwrap_or_default(), None),
    };
    // Fails only when a log is set up already, as in tests that run several commands.
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false))
        .with(filter)
        .try_init()
        .ok();
    if let Some(error) = bad {
        tracing::warn!(
            %error,
            "GIOT_LOG is not understood and left aside: a level (error, warn, info, debug, trace) or MODULE=LEVEL, joined by commas"
        );
    }
}

/// A runtime for the shells: two threads, because a gateway's board has few cores and most work is one hub's.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    Ok(runtime?)
}

/// Hears SIGINT and SIGTERM from its making on: whoever says that it is ready has made one before.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let hear = |kind| signal(kind).context("hear signals");
        Ok(Self { interrupt: hear(SignalKind::interrupt())?, terminate: hear(SignalKind::terminate())? })
    }

    /// Resolves when the process is asked to end. Cancel-safe.
    async fn asked_to_stop(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        tracing::info!("stopping");
    }
}

/// Prints one line for a person or a program that waits for it.
fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// Reads a file that the operator named.
fn read_file(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).map_err(|error| UsageError(format!("{}: {error}", path.display())).into())
}

/// A point in time as the operator writes it: RFC 3339, or a date, which means its first moment by a clock that is said elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Microseconds since 1970.
    At(i64),
    Day(chrono::NaiveDate),
}

impl When {
    /// Microseconds since 1970; `None` outside the calendar.
    pub(crate) fn at_us(self, zone: TimeZone) -> Option<i64> {
        match self {
            Self::At(at_us) => Some(at_us),
            Self::Day(date) => zone.start_of_day(date),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(time.timestamp_micros()));
        }
        text.parse()
            .map(Self::Day)
            .map_err(|_| "written as 2026-03-01T06:00:00+07:00 or 2026-03-01".to_owned())
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(at_us) => f.write_str(&format_time(*at_us)),
            Self::Day(date) => write!(f, "{date}"),
        }
    }
}

/// Microseconds since 1970 as RFC 3339 in UTC, without a fraction where there is none.
pub(crate) fn format_time(at_us: i64) -> String {
    TimeZone::UTC.rfc3339(at_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_has_examples() {
        let mut whole = command_line();
        whole.build();
        whole.clone().debug_assert();
        let mut commands: Vec<&clap::Command> = vec![&whole];
        while let Some(command) = commands.pop() {
            let name = command.get_name();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let mut lines = help.lines();
            assert_eq!(lines.next(), Some("Examples:"), "{name}");
            assert!(lines.next().is_some_and(|line| line.contains("giot ")), "{name}: {help}");
            commands.extend(command.get_subcommands().filter(|sub| sub.get_name() != "help"));
        }
    }

    #[test]
    fn times_are_read_and_written() {
        let read = |text: &str| text.parse::<When>().map(|when| when.at_us(TimeZone::fixed(420)));
        assert_eq!(read("2022-01-01T00:00:00Z"), Ok(Some(1_640_995_200_000_000)));
        assert_eq!(read("2022-01-01T07:00:00+07:00"), Ok(Some(1_640_995_200_000_000)));
        assert_eq!(read("2022-01-01"), Ok(Some(1_640_970_000_000_000)), "by the clock that is meant");
        assert!(read("yesterday").is_err());
        assert_eq!(format_time(1_640_995_200_000_000), "2022-01-01T00:00:00Z");
        assert_eq!(format_time(1_640_995_200_000_001), "2022-01-01T00:00:00.000001Z");
    }

    #[test]
    fn exit_codes_follow_the_cause() {
        let usage = anyhow::Error::new(UsageError("x".to_owned())).context("serve");
        assert_eq!(exit_code(&usage), 2);
        let used = anyhow::Error::new(OpenError::InUse { dir: "d".into() }).context("open");
        assert_eq!(exit_code(&used), 3);
        assert_eq!(exit_code(&anyhow::anyhow!("else")), 1);
    }
}
