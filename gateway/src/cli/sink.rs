//! `giot sink`: how the time-series stores outside do that get the history, also while the gateway runs.

use super::{DataFolder, UsageError, When, format_time, runtime, say};
use crate::config::{Settings, SinkPlan};
use crate::history::timezone::TimeZone;
use crate::sinks::verdict::{Answer, Verdict};
use crate::sinks::{self, sender};
use giot_store::{OpenError, Reader, SinkRow, forget_sink, resend_sink};
use std::path::PathBuf;

/// Refused lines that are shown.
const PARKED_SHOWN: u32 = 10;

/// Look after the stores outside that get the history (InfluxDB, VictoriaMetrics)
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Status(StatusArgs),
    Test(TestArgs),
    Resend(ResendArgs),
    Forget(ForgetArgs),
}

/// Say what each sink has got, what waits for it, and what it refused
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot sink status
  giot sink status --data /var/lib/giot

Works while the gateway runs; what it sent within the last minute may be missing. Exit code 1 when a sink needs attention.")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    data: DataFolder,
}

/// Try the sinks of a configuration: are they there, and do they let us write
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot sink test --config farm.toml
  giot sink test --config farm.toml tinh

Writes one point into each: measurement giot_test, field value. Exit code 1 when a sink does not take it.")]
pub(super) struct TestArgs {
    #[command(flatten)]
    data: DataFolder,
    /// Configuration; without it DIR/giot.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only this sink
    name: Option<String>,
}

/// Send everything since a time once more: nothing is there twice afterwards
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot sink resend tinh --from 2026-03-01
  giot sink resend tinh --from 2026-03-01T06:00:00+07:00

For a sink that lost its disk, or refused lines that it would take now. A running gateway begins within seconds.")]
pub(super) struct ResendArgs {
    #[command(flatten)]
    data: DataFolder,
    /// Name of the sink
    name: String,
    /// Readings and diary entries since then (RFC 3339 or a date in UTC)
    #[arg(long, value_name = "TIME")]
    from: When,
}

/// Forget what a sink has got and what waits for it: for one that will not come back
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot sink forget tinh

Only while no gateway runs on the folder (exit code 3 otherwise). A sink of that name is new afterwards and gets the whole history.")]
pub(super) struct ForgetArgs {
    #[command(flatten)]
    data: DataFolder,
    /// Name of the sink
    name: String,
}

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Status(args) => status(args),
        Command::Test(args) => test(args),
        Command::Resend(args) => resend(args),
        Command::Forget(args) => forget(args),
    }
}

fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let reader = Reader::open(&args.data.data)?;
    let sinks = reader.sinks()?;
    if sinks.is_empty() {
        return say("no sink has been started: a [[sink]] in the configuration, then giot serve");
    }
    let mut n_bad = 0;
    for sink in &sinks {
        let lines = describe(&reader, sink)?;
        say(&lines)?;
        n_bad += usize::from(needs_attention(sink));
        for line in reader.parked_lines(sink.id, PARKED_SHOWN)? {
            say(&format!("  refused {}: {}\n    {}", format_time(line.at_us), line.reason, line.line))?;
        }
    }
    anyhow::ensure!(n_bad == 0, "{n_bad} sink(s) need attention");
    Ok(())
}

/// Whether a person should look at a sink.
pub(super) fn needs_attention(sink: &SinkRow) -> bool {
    !matches!(sink.state.as_str(), "ok" | "new") || sink.n_parked > 0
}

/// A sink in a few words.
pub(super) fn describe(reader: &Reader, sink: &SinkRow) -> anyhow::Result<String> {
    let size = reader.backlog(sink)?;
    let since = sink.state_us.map_or_else(String::new, |at_us| format!(" since {}", format_time(at_us)));
    let detail = if sink.detail.is_empty() { String::new() } else { format!(" ({})", sink.detail) };
    let taken = sink.taken_us.map_or_else(|| "never".to_owned(), format_time);
    let oldest =
        size.oldest_us.map_or_else(String::new, |at_us| format!(", the oldest of {}", format_time(at_us)));
    Ok(format!(
        "sink {}: {}{since}{detail}; about {} readings and {} diary entries wait{oldest}; took {} lines, last {taken}; refused {}",
        sink.name, sink.state, size.n_readings, size.n_diary, sink.n_sent, sink.n_parked
    ))
}

fn test(args: &TestArgs) -> anyhow::Result<()> {
    let settings = super::serve::settings(args.config.as_deref(), &args.data.data)?;
    let wanted: Vec<&SinkPlan> = settings
        .sinks
        .iter()
        .filter(|sink| args.name.as_ref().is_none_or(|name| *name == sink.name))
        .collect();
    if wanted.is_empty() {
        let name = args.name.as_deref().unwrap_or_default();
        return Err(UsageError(format!("the farm has no [[sink]] {name}")).into());
    }
    let mut n_bad = 0;
    for sink in wanted {
        let line = format!("{} value=1 {}\n", test_point(&settings, sink)?, now_us());
        let door = sinks::open(sink)?;
        let answer = runtime()?.block_on(door.write(line.into_bytes(), false));
        let what = sender::text_of(&answer);
        let verdict = Verdict::of(&answer, false);
        if verdict == Verdict::Taken {
            say(&format!("ok    {} takes lines ({what})", sink.name))?;
        } else {
            n_bad += 1;
            say(&format!("BAD   {}: {what}: {}", sink.name, advice(verdict, &answer)))?;
        }
    }
    anyhow::ensure!(n_bad == 0, "{n_bad} sink(s) do not take lines");
    Ok(())
}

fn test_point(settings: &Settings, sink: &SinkPlan) -> anyhow::Result<String> {
    let mapping = sinks::mapping(settings, sink);
    Ok(mapping.series("giot", "giot_test")?)
}

fn now_us() -> i64 {
    crate::clock::Clock::system(None).wall_unchecked().0.saturating_mul(1000)
}

/// What a person can do.
fn advice(verdict: Verdict, answer: &Answer) -> &'static str {
    match verdict {
        Verdict::Taken | Verdict::Outdated => "nothing is to do",
        Verdict::BadLine | Verdict::TooLarge | Verdict::NoCompression => {
            "check url and bucket: is it a store for line protocol?"
        }
        Verdict::Forbidden => "check token or token_file, and that the token may write to the bucket",
        Verdict::Unknown => "check org and bucket, and that url is the store's root",
        Verdict::Busy if matches!(answer, Answer::Status(300..=399, _)) => {
            "it points elsewhere: put that address into url"
        }
        Verdict::Busy => "it is busy: try again later",
        Verdict::Away if matches!(answer, Answer::Status(200..=299, _)) => {
            "something else answers there: a page to log in to the network, or another service. Check url; the gateway keeps everything \
             meanwhile"
        }
        Verdict::Away => "check url and the network; the gateway keeps everything meanwhile",
    }
}

fn resend(args: &ResendArgs) -> anyhow::Result<()> {
    let from_us = args.from.at_us(TimeZone::UTC);
    let from_us = from_us.ok_or_else(|| UsageError(format!("--from {}: outside the calendar", args.from)))?;
    known(args.data.data.as_path(), &args.name, resend_sink(&args.data.data, &args.name, from_us))?;
    say(&format!("sink {}: everything since {} will be sent again", args.name, format_time(from_us)))
}

fn forget(args: &ForgetArgs) -> anyhow::Result<()> {
    known(args.data.data.as_path(), &args.name, forget_sink(&args.data.data, &args.name))?;
    say(&format!("sink {}: forgotten", args.name))
}

/// A name that the store does not know is wrong usage.
fn known(data: &std::path::Path, name: &str, found: Result<bool, OpenError>) -> anyhow::Result<()> {
    if found? {
        return Ok(());
    }
    let names: Vec<String> = Reader::open(data)?.sinks()?.into_iter().map(|sink| sink.name).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Err(UsageError(format!("{name}: no such sink; known are: {names}")).into())
}
