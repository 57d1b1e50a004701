//! `giot bench`: measures this machine with a made-up farm.

use super::{UsageError, say};
use crate::clock::monotonic;
use crate::rules::bench as rules_bench;
use anyhow::Context;
use giot_store::Store;
use giot_store::bench::{self, BenchPlan};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Measure this machine
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Store(StoreArgs),
    Ingest(super::bench_ingest::Args),
    Engine(EngineArgs),
    #[command(hide = true)]
    Floor(super::bench_ingest::FloorArgs),
}

/// Write a made-up farm's history, make it compact, ask for it, and say how fast and how small it was
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot bench store                                    a few seconds: 100 series, 10 days
  giot bench store --series 1000 --minutes 43200      30 days of 1000 series, 43.2 million readings
  giot bench store --jitter --seed 7 --json           readings up to 1 s behind their minute; one JSON line
  giot bench store --lines > farm.txt                 the same history for another store

Every batch holds 1000 readings and is on disk when it counts. Every answer is compared with what was written.
The same seed makes the same farm on every machine. Without --data a temporary folder is used and removed.")]
pub(super) struct StoreArgs {
    /// Series; each device has four
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    series: u32,
    /// Length of the history, one reading a minute and series
    #[arg(long, value_name = "N", default_value_t = 14_400, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    minutes: u32,
    /// Another seed makes another farm of the same kind
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Readings come up to a second behind their minute
    #[arg(long)]
    jitter: bool,
    /// Batches on their way to the disk at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    in_flight: u16,
    /// End with one JSON line
    #[arg(long)]
    json: bool,
    /// Empty folder to write to; it is kept
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print the history as InfluxDB line protocol (times in ms) and end
    #[arg(long, conflicts_with_all = ["json", "data", "in_flight"])]
    lines: bool,
}

/// Feed readings to engine and rules of a made-up farm, and say how long from a reading to what follows
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot bench engine                               10,000 series, 500 zones, 2,000 rules
  giot bench engine --rules 200 --rounds 30 --seed 7 --json

No disk, no network: from a reading to the last command and diary entry that follow from it. At the end the same readings
are fed beside 20 and beside 2,000 rules that do not read them. The same seed makes the same farm on every machine.")]
pub(super) struct EngineArgs {
    /// Series; the first three of each zone are its probes
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    series: u32,
    /// Zones
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    zones: u32,
    /// Rules
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(0..=5000))]
    rules: u32,
    /// How often every series is read
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Another seed makes another farm of the same kind
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// End with one JSON line
    #[arg(long)]
    json: bool,
}

fn engine(args: &EngineArgs) -> anyhow::Result<()> {
    let plan = rules_bench::BenchPlan {
        n_series: args.series,
        n_zones: args.zones,
        n_rules: args.rules,
        n_rounds: args.rounds,
        seed: args.seed,
    };
    if plan.n_zones * 3 > plan.n_series {
        return Err(UsageError(format!("--series: {} zones need {}", plan.n_zones, plan.n_zones * 3)).into());
    }
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} rounds")?);
    let report = rules_bench::measure(plan, &mut |n, n_all| {
        bar.set_length(n_all.into());
        bar.set_position(n.into());
    })?;
    bar.finish_and_clear();
    let us = |span: std::time::Duration| span.as_secs_f64() * 1e6;
    let ratio = us(report.mean_many) / us(report.mean_few).max(1e-9);
    say(&format!(
        "{} series, {} zones, {} rules: {} readings, {} with actions, {} commands, {} firings",
        args.series,
        args.zones,
        args.rules,
        report.n_readings,
        report.n_with_actions,
        report.n_commands,
        report.n_firings
    ))?;
    say(&format!(
        "a reading:               p50 {:8.1} µs  p99 {:8.1} µs  slowest {:8.1} µs",
        us(report.p50),
        us(report.p99),
        us(report.slowest)
    ))?;
    say(&format!(
        "reading → last action:   p50 {:8.1} µs  p99 {:8.1} µs",
        us(report.p50_with_actions),
        us(report.p99_with_actions)
    ))?;
    say(&format!(
        "beside rules that do not read it: 20 rules {:.2} µs, 2000 rules {:.2} µs a reading, ratio {ratio:.2}",
        us(report.mean_few),
        us(report.mean_many)
    ))?;
    if let Some(bytes) = report.memory_bytes {
        say(&format!("engine and rules take {:.1} MiB of memory", bytes as f64 / 1_048_576.0))?;
    }
    if args.json {
        let line = serde_json::json!({
            "series": args.series, "zones": args.zones, "rules": args.rules, "seed": args.seed,
            "readings": report.n_readings, "with_actions": report.n_with_actions, "commands": report.n_commands,
            "firings": report.n_firings, "p50_us": us(report.p50), "p99_us": us(report.p99),
            "slowest_us": us(report.slowest), "p50_action_us": us(report.p50_with_actions),
            "p99_action_us": us(report.p99_with_actions), "mean_20_rules_us": us(report.mean_few),
            "mean_2000_rules_us": us(report.mean_many), "ratio": ratio, "memory_bytes": report.memory_bytes,
        });
        say(&line.to_string())?;
    }
    Ok(())
}

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Store(args) => store(args),
        Command::Ingest(args) => super::bench_ingest::run(args),
        Command::Engine(args) => engine(args),
        Command::Floor(args) => super::bench_ingest::run_floor(args),
    }
}

fn store(args: &StoreArgs) -> anyhow::Result<()> {
    let plan = BenchPlan {
        n_series: args.series,
        n_minutes: args.minutes,
        seed: args.seed,
        jitter: args.jitter,
        n_in_flight: args.in_flight.into(),
    };
    if args.lines {
        let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
        bench::write_lines(&plan, &mut out)?;
        return Ok(out.flush()?);
    }
    let folder = Folder::new(args.data.as_deref())?;
    let figures = measure(&plan, &folder.path)?;
    say(&if args.json { figures.json(&plan) } else { figures.text(&plan) })
}

/// Where the bench writes; a temporary one goes with it.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    is_temporary: bool,
}

impl Folder {
    pub(super) fn new(named: Option<&Path>) -> anyhow::Result<Self> {
        let path = match named {
            Some(path) => path.to_owned(),
            None => std::env::temp_dir().join(format!("giot-bench-{}", std::process::id())),
        };
        std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        if std::fs::read_dir(&path)?.next().is_some() {
            return Err(UsageError(format!("{}: the bench wants an empty folder", path.display())).into());
        }
        Ok(Self { path, is_temporary: named.is_none() })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, folder = %self.path.display(), "the bench's folder could not be removed");
        }
    }
}

/// What was measured.
struct Figures {
    load: bench::BenchLoad,
    compact_s: f64,
    answers: bench::BenchAnswers,
    n_bytes: u64,
    rss_peak_mib: Option<f64>,
}

fn measure(plan: &BenchPlan, dir: &Path) -> anyhow::Result<Figures> {
    let started = monotonic();
    let now = move || monotonic().duration_since(started);
    // Hidden where nobody watches a terminal.
    let bar = ProgressBar::new(plan.n_samples());
    bar.set_style(ProgressStyle::with_template("{msg:10} {wide_bar} {human_pos}/{human_len} {eta}")?);
    bar.set_message("write");
    let store = Store::open(dir)?;
    let load = bench::load(&store.writer(), plan, &now, &|n| bar.set_position(n))?;
    bar.set_message("compact");
    let began = now();
    store.compact()?;
    let compact_s = now().saturating_sub(began).as_secs_f64();
    bar.set_message("ask");
    let n_kept = store.reader().stats()?.n_samples;
    anyhow::ensure!(n_kept == load.n_samples, "{n_kept} of {} readings are in the store", load.n_samples);
    let answers = bench::ask(&store.reader(), plan, &now)?;
    store.close()?;
    bar.finish_and_clear();
    Ok(Figures { load, compact_s, answers, n_bytes: folder_bytes(dir)?, rss_peak_mib: rss_peak_mib("self") })
}

impl Figures {
    fn bytes_per_sample(&self) -> f64 {
        ratio(self.n_bytes, self.load.n_samples)
    }

    fn insert_per_s(&self) -> f64 {
        self.load.elapsed.as_secs_f64().recip() * ratio(self.load.n_samples, 1)
    }

    fn json(&self, plan: &BenchPlan) -> String {
        let round = |value: f64| (value * 10_000.0).round() / 10_000.0;
        let ms = |time: std::time::Duration| round(time.as_secs_f64() * 1_000.0);
        serde_json::json!({
            "series": plan.n_series,
            "minutes": plan.n_minutes,
            "seed": plan.seed,
            "jitter": plan.jitter,
            "in_flight": plan.n_in_flight,
            "samples": self.load.n_samples,
            "bytes": self.n_bytes,
            "bytes_per_sample": round(self.bytes_per_sample()),
            "insert_s": round(self.load.elapsed.as_secs_f64()),
            "insert_per_s": self.insert_per_s().round(),
            "durable_p50_ms": ms(self.load.durable_p50),
            "durable_p99_ms": ms(self.load.durable_p99),
            "compact_s": round(self.compact_s),
            "raw_ms": ms(self.answers.raw),
            "hourly_ms": ms(self.answers.hourly),
            "last_ms": ms(self.answers.last),
            "rss_peak_mib": self.rss_peak_mib.map(round),
        })
        .to_string()
    }

    fn text(&self, plan: &BenchPlan) -> String {
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1_000.0;
        let rss =
            self.rss_peak_mib.map_or_else(String::new, |mib| format!("\nmemory at most   {mib:.0} MiB"));
        format!(
            "readings         {} ({} series, {} minutes, seed {})\nwritten durably  {:.0}/s ({:.1} s)\nmade compact in  {:.1} s\n\
             size             {} bytes, {:.3} a reading\nall of a series  {:.2} ms\nhour by hour     {:.2} ms\n\
             latest of all    {:.3} ms{rss}",
            self.load.n_samples,
            plan.n_series,
            plan.n_minutes,
            plan.seed,
            self.insert_per_s(),
            self.load.elapsed.as_secs_f64(),
            self.compact_s,
            self.n_bytes,
            self.bytes_per_sample(),
            ms(self.answers.raw),
            ms(self.answers.hourly),
            ms(self.answers.last),
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b as f64
}

fn folder_bytes(dir: &Path) -> anyhow::Result<u64> {
    let mut n_bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        n_bytes += entry?.metadata()?.len();
    }
    Ok(n_bytes)
}

/// The most memory a process held, where the system tells (Linux).
pub(super) fn rss_peak_mib(process: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u32 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(f64::from(kib) / 1_024.0)
}
