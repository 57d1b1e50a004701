//! `giot store`: the history's file as an operator sees it: how full, how sound, smaller.

use super::{DataFolder, format_time, say};
use giot_store::{CheckReport, Sizes, Store, check_store, measure};
use indicatif::{ProgressBar, ProgressStyle};

/// Look at the store, check it, make it small
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Stats(StatsArgs),
    Check(CheckArgs),
    Compact(CompactArgs),
    Repair(RepairArgs),
}

/// Say what the store holds and where its bytes go
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot store stats
  giot store stats --data /var/lib/giot --json      one JSON line; sizes in bytes, times in RFC 3339

Works while the gateway runs. Reads every page of the file.")]
pub(super) struct StatsArgs {
    #[command(flatten)]
    data: DataFolder,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
}

/// Check every page, every checksum and the diary's chain
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot store check
  giot store check --data /var/lib/giot --json | jq .findings

Changes nothing; works while the gateway runs. Exit code 1 when something is damaged: each damage is named with its
row, series and time; the rest stays readable. `giot restore` brings a backup back.")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    data: DataFolder,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
}

/// Make the store as small as it gets
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot store compact
  giot store compact --data /var/lib/giot

Only while no gateway runs on the folder (exit code 3 otherwise); a running gateway joins its chunks by itself at quiet
moments. Safe to interrupt: nothing is lost, and the next one goes on.")]
pub(super) struct CompactArgs {
    #[command(flatten)]
    data: DataFolder,
}

/// Set damaged parts aside, so that the rest is readable, and prove it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot store repair
  giot store repair --data /var/lib/giot --json

Only while no gateway runs on the folder (exit code 3 otherwise). Deletes nothing: damaged rows stay in the store's table
of damaged parts; where pages are damaged, all that can be read is copied to a new file, and the old one is kept as
giot-damaged-TIME.sqlite, also of one that is cut short or bad in its first page. A damaged log (giot.sqlite-wal) is kept as
giot-damaged-TIME.sqlite-wal, beside a copy of the database; single bits in it are set right. What is lost is named by series and time
as far as something still tells. `giot serve` does the same by itself where nothing but the past is lost. In devices, names of
series, valve events, zones' memories and versions of the farm a single changed bit is set right; a row in which more has changed is
named and stands as it reads. A break in the diary's chain stays: it proves that something is missing.
Exit code 1 when the check afterwards finds damage still. Where there is a recent backup, `giot restore` may save more.")]
pub(super) struct RepairArgs {
    #[command(flatten)]
    data: DataFolder,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Stats(args) => stats(args),
        Command::Check(args) => check(args),
        Command::Compact(args) => compact(args),
        Command::Repair(args) => repair(args),
    }
}

/// A bar that tells of a step `(done, all)`; hidden where nobody watches a terminal.
pub(super) fn bar(what: &str) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {eta}")?;
    Ok(ProgressBar::new(0).with_style(style).with_message(what.to_owned()))
}

/// Moves a bar.
pub(super) fn show(bar: &ProgressBar, n_done: u64, n_all: u64) {
    bar.set_length(n_all);
    bar.set_position(n_done);
}

fn stats(args: &StatsArgs) -> anyhow::Result<()> {
    let sizes = measure(&args.data.data)?;
    say(&if args.json { stats_json(&sizes) } else { stats_text(&sizes) })
}

fn stats_json(sizes: &Sizes) -> String {
    let rooms: serde_json::Map<String, serde_json::Value> = sizes
        .rooms
        .iter()
        .map(|room| {
            let key = room.kind.replace(' ', "_");
            (key, serde_json::json!({ "rows": room.n_rows, "bytes": room.n_bytes }))
        })
        .collect();
    serde_json::json!({
        "schema": sizes.schema,
        "series": sizes.n_series,
        "samples": sizes.n_samples,
        "oldest": sizes.oldest_us.map(format_time),
        "newest": sizes.newest_us.map(format_time),
        "bytes_per_sample": sizes.bytes_per_sample(),
        "file_bytes": sizes.file_bytes,
        "log_bytes": sizes.log_bytes,
        "free_bytes": sizes.free_bytes,
        "kinds": rooms,
        "damaged_set_aside": sizes.n_set_aside,
    })
    .to_string()
}

fn stats_text(sizes: &Sizes) -> String {
    let time = |at_us: Option<i64>| at_us.map_or_else(|| "none".to_owned(), format_time);
    let mut lines = vec![
        format!("{:25} {:>14}", "series", sizes.n_series),
        format!("{:25} {:>14}", "readings", sizes.n_samples),
        format!("{:25} {:>14}", "bytes a reading", ratio(sizes.bytes_per_sample())),
        format!("{:25} {} to {}", "from", time(sizes.oldest_us), time(sizes.newest_us)),
        format!("{:25} {:>14} bytes", "database file", sizes.file_bytes),
        format!("{:25} {:>14} bytes", "log beside it", sizes.log_bytes),
        format!("{:25} {:>14} bytes", "free within the file", sizes.free_bytes),
    ];
    for room in &sizes.rooms {
        lines.push(format!("{:25} {:>14} bytes in {} rows", room.kind, room.n_bytes, room.n_rows));
    }
    lines.join("\n")
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| format!("{value:.3}"))
}

fn check(args: &CheckArgs) -> anyhow::Result<()> {
    let bar = bar("checking")?;
    let report = check_store(&args.data.data, &mut |n_done, n_all| show(&bar, n_done, n_all))?;
    bar.finish_and_clear();
    say(&if args.json { report_json(&report) } else { report_text(&report) })?;
    verdict(&report)
}

/// An error when something is damaged.
pub(super) fn verdict(report: &CheckReport) -> anyhow::Result<()> {
    anyhow::ensure!(
        report.is_clean(),
        "{} damage(s) found; the rest is readable: keep a copy of the folder, or bring a backup back with `giot restore`",
        report.n_findings
    );
    Ok(())
}

pub(super) fn report_json(report: &CheckReport) -> String {
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| {
            serde_json::json!({
                "place": finding.place.name(),
                "row": finding.row,
                "series": finding.series,
                "from": finding.range_us.map(|range| format_time(range.0)),
                "to": finding.range_us.map(|range| format_time(range.1)),
                "what": finding.what,
            })
        })
        .collect();
    serde_json::json!({
        "clean": report.is_clean(),
        "pages": report.n_pages,
        "chunks": report.n_chunks,
        "summaries": report.n_summaries,
        "journal_rows": report.n_journal_rows,
        "samples": report.n_samples,
        "diary_rows": report.n_diary_rows,
        "damaged_set_aside": report.n_set_aside,
        "n_findings": report.n_findings,
        "findings": findings,
    })
    .to_string()
}

pub(super) fn report_text(report: &CheckReport) -> String {
    let mut lines: Vec<String> = report
        .findings
        .iter()
        .map(|finding| {
            let range = finding.range_us.map_or_else(String::new, |(from_us, to_us)| {
                format!(" ({} to {})", format_time(from_us), format_time(to_us))
            });
            format!("BAD   {finding}{range}")
        })
        .collect();
    let n_unnamed = report.n_findings - u64::try_from(report.findings.len()).unwrap_or(0);
    if n_unnamed > 0 {
        lines.push(format!("BAD   and {n_unnamed} more"));
    }
    lines.push(format!(
        "{}    {} pages, {} readings in {} chunks and {} journal rows, {} diary entries",
        if report.is_clean() { "ok " } else { "read" },
        report.n_pages,
        report.n_samples,
        report.n_chunks,
        report.n_journal_rows,
        report.n_diary_rows
    ));
    if report.n_set_aside > 0 {
        lines.push(format!("note  {} damaged parts were set aside before", report.n_set_aside));
    }
    lines.join("\n")
}

fn compact(args: &CompactArgs) -> anyhow::Result<()> {
    let dir = &args.data.data;
    // Says that there is no store instead of making one.
    let before = measure(dir)?;
    let store = Store::open(dir)?;
    let bar = bar("compacting")?;
    store.compact_and_tell(&mut |n_done, n_all| show(&bar, n_done, n_all))?;
    store.close()?;
    bar.finish_and_clear();
    let after = measure(dir)?;
    say(&format!(
        "{} readings: {} bytes became {} bytes, {} a reading",
        after.n_samples,
        before.file_bytes + before.log_bytes,
        after.file_bytes + after.log_bytes,
        ratio(after.bytes_per_sample())
    ))
}

fn repair(args: &RepairArgs) -> anyhow::Result<()> {
    let bar = bar("repairing")?;
    let old_name = format!("giot-damaged-{}.sqlite", super::backup::stamp());
    let at_us = crate::clock::Clock::system(None).wall_us_unchecked();
    let mended = giot_store::repair(&args.data.data, &old_name, at_us, &mut |n_done, n_all| {
        show(&bar, n_done, n_all)
    })?;
    bar.finish_and_clear();
    let lost: Vec<String> = mended.lost.iter().map(ToString::to_string).collect();
    let as_they_read: Vec<String> = mended.as_they_read.iter().map(ToString::to_string).collect();
    let replaced = mended.replaced.as_ref().map(|path| path.display().to_string());
    if args.json {
        say(&serde_json::json!({
            "was_clean": mended.before.is_clean(),
            "set_aside": mended.n_set_aside,
            "summed_up_anew": mended.n_summed_up,
            "set_right": mended.n_set_right,
            "as_they_read": as_they_read,
            "lost": lost,
            "found_apart": mended.n_found,
            "replaced": replaced,
            "kept_log": mended.kept_log,
            "n_findings_after": mended.after.n_findings,
        })
        .to_string())?;
    } else if mended.before.is_clean() {
        say("nothing is damaged")?;
    } else {
        say(&report_text(&mended.before))?;
        say(&format!(
            "{} damaged rows set aside, {} chunks summed up anew",
            mended.n_set_aside, mended.n_summed_up
        ))?;
        if mended.n_set_right > 0 {
            say(&format!("{} rows had one changed bit, which is set right", mended.n_set_right))?;
        }
        for row in &as_they_read {
            say(&format!("look  {row}: more than a bit has changed, it stands as it reads"))?;
        }
        if mended.doubts_memory() {
            say(
                "look  zones whose memory may be lost or wrong are locked at the next start: see whether they were before, then unlock them",
            )?;
        }
        if mended.n_found > 0 {
            say(&format!("{} rows that no page led to were found on their own and kept", mended.n_found))?;
        }
        for lost in &lost {
            say(&format!("lost  {lost}"))?;
        }
        if let Some(replaced) = replaced {
            say(&format!("what can be read is in a new file; the old one is {replaced}"))?;
        }
        if let Some(log) = &mended.kept_log {
            say(&format!("the damaged log is kept as {}", args.data.data.join(log).display()))?;
        }
        say("afterwards:")?;
        say(&report_text(&mended.after))?;
    }
    verdict(&mended.after)?;
    anyhow::ensure!(
        lost.is_empty(),
        "{} part(s) of the store could not be saved: a backup may hold them",
        lost.len()
    );
    Ok(())
}
