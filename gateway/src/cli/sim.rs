//! `giot sim season`: seasons around the real engine in simulated time, judged by the promises.

use std::collections::BTreeMap;
use std::io::Write;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::say;
use crate::clock::Clock;
use crate::sim::{Options, Report, season};

/// Simulations
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Season(Args),
}

/// Live through simulated seasons with everything that goes wrong on a farm, and check the promises at every step
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot sim season                                    180 days of 50 zones
  giot sim season --seed 7 --days 30 --zones 12 --json
  giot sim season --seed 1 --seeds 100 --jobs 2      seeds 1 to 100, two at a time
  giot sim season --repeat                           each season twice: the same seed gives the same bits

Equal seeds give equal seasons. Each broken seed is printed at once; the first break of all at the end, with the events
before it. The exit code is then 1.")]
pub(super) struct Args {
    /// First seed
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How many seeds, counted up from the first
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Length of a season
    #[arg(long, value_name = "D", default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=3650))]
    days: u64,
    /// Zones of the farm
    #[arg(long, value_name = "Z", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    zones: u16,
    /// Seasons at a time, each on a core of its own
    #[arg(long, value_name = "J", default_value = "1")]
    jobs: NonZero<u16>,
    /// Live through each season twice and compare
    #[arg(long)]
    repeat: bool,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(Command::Season(args): &Command) -> anyhow::Result<()> {
    let n_lives = args.seeds * (1 + u64::from(args.repeat));
    let bar = ProgressBar::new(n_lives * args.days);
    bar.set_style(ProgressStyle::with_template(
        "{wide_bar} {pos}/{len} days, {per_sec}, {eta} left, {msg} seeds broken",
    )?);
    bar.set_message("0");
    let clock = Clock::system(None);
    let begun_at = clock.mono();
    let (next, tally) = (AtomicU64::new(0), Mutex::new(Tally::default()));
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..args.jobs.get()).map(|_| scope.spawn(|| live_seeds(args, &next, &tally, &bar))).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a season stopped by a broken invariant")))
        })
    })?;
    bar.finish_and_clear();
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seconds = clock.mono().since_ms(begun_at) as f64 / 1000.0;
    let days_per_s = (n_lives * args.days) as f64 / seconds.max(0.001);
    // In the order of the seeds, whichever worker was quicker.
    let mut sum = Report::default();
    tally.reports.into_values().for_each(|report| add(&mut sum, report));
    tell(args, &sum, &tally.broken)?;
    // What is printed of a seed is the same each time; how long it took is not. Nothing hears it when stderr is closed.
    writeln!(std::io::stderr(), "{days_per_s:.1} simulated days a second").ok();
    ensure!(
        sum.n_violations == 0,
        "{} promises were broken in {} of {} seeds",
        sum.n_violations,
        tally.broken.len(),
        args.seeds
    );
    Ok(())
}

/// What the workers have found so far.
#[derive(Default)]
struct Tally {
    /// By seed; the trails of broken ones but the first are left out.
    reports: BTreeMap<u64, Report>,
    /// By seed: the first break.
    broken: BTreeMap<u64, String>,
}

/// One worker: takes the next seed until there is none.
fn live_seeds(args: &Args, next: &AtomicU64, tally: &Mutex<Tally>, bar: &ProgressBar) -> anyhow::Result<()> {
    loop {
        let nth = next.fetch_add(1, Ordering::Relaxed);
        if nth >= args.seeds {
            return Ok(());
        }
        let seed = args.seed.saturating_add(nth);
        let options = Options { seed, n_days: args.days, n_zones: args.zones.into() };
        let mut report = season(options, &mut |_| bar.inc(1)).context("simulate a season")?;
        if args.repeat && season(options, &mut |_| bar.inc(1))?.actions_hash != report.actions_hash {
            report.n_violations += 1;
            report.first.get_or_insert_with(|| "P10: the second life of this seed differs".to_owned());
        }
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = &mut report.first {
            *first = format!("seed {seed}, {first}");
            bar.suspend(|| say(first))?;
            tally.broken.insert(seed, first.clone());
            bar.set_message(tally.broken.len().to_string());
        }
        tally.reports.insert(seed, report);
    }
}

/// Adds a season to the sum; of breaks the first is kept, with its way.
fn add(sum: &mut Report, report: Report) {
    sum.n_violations += report.n_violations;
    if sum.first.is_none() && report.first.is_some() {
        sum.first = report.first;
        sum.trail = report.trail;
    }
    sum.n_runs += report.n_runs;
    sum.n_pump_starts += report.n_pump_starts;
    sum.n_looks += report.n_looks;
    sum.n_dry_looks += report.n_dry_looks;
    sum.n_findings += report.n_findings;
    sum.n_doses += report.n_doses;
    sum.litres += report.litres;
    sum.mm += report.mm;
    sum.n_stress_days += report.n_stress_days;
    sum.n_records += report.n_records;
    sum.n_lost += report.n_lost;
    let merge = |sum: &mut BTreeMap<&'static str, u64>, more: BTreeMap<&'static str, u64>| {
        more.into_iter().for_each(|(kind, n)| *sum.entry(kind).or_default() += n);
    };
    merge(&mut sum.faults, report.faults);
    merge(&mut sum.skips, report.skips);
    merge(&mut sum.refusals, report.refusals);
    // One number for several seeds, in their order; of one seed its own.
    sum.actions_hash = sum.actions_hash.rotate_left(1) ^ report.actions_hash;
}

fn tell(args: &Args, sum: &Report, broken: &BTreeMap<u64, String>) -> anyhow::Result<()> {
    let row = |name: &str, n: u64| say(&format!("{name:<34} {n:>14}"));
    row("seasons", args.seeds)?;
    row("seasons without a broken promise", args.seeds - count(broken.len()))?;
    row("runs", sum.n_runs)?;
    row("starts of pumps", sum.n_pump_starts)?;
    row("looks at valves that are open", sum.n_looks)?;
    row("of them without their pump", sum.n_dry_looks)?;
    row("findings of water meters", sum.n_findings)?;
    row("runs ended by their volume", sum.n_doses)?;
    row("litres", sum.litres)?;
    row("mm", sum.mm)?;
    row("zone-days of water stress", sum.n_stress_days)?;
    row("records stored", sum.n_records)?;
    row("readings lost by full nodes", sum.n_lost)?;
    let tables = [("fault", &sum.faults), ("not watered", &sum.skips), ("order refused", &sum.refusals)];
    for (title, table) in tables {
        table.iter().try_for_each(|(kind, n)| row(&format!("{title}: {kind}"), *n))?;
    }
    row("violations", sum.n_violations)?;
    say(&format!("actions {:016x}", sum.actions_hash))?;
    sum.trail.iter().try_for_each(|line| say(&format!("  {line}")))?;
    if let Some(first) = &sum.first {
        say(first)?;
    }
    if args.json {
        let line = json!({
            "violations": sum.n_violations, "seed": args.seed, "seeds": args.seeds, "days": args.days,
            "zones": args.zones, "runs": sum.n_runs, "pump_starts": sum.n_pump_starts, "looks": sum.n_looks,
            "dry_looks": sum.n_dry_looks, "findings": sum.n_findings, "doses": sum.n_doses, "litres": sum.litres, "mm": sum.mm,
            "stress_days": sum.n_stress_days, "records": sum.n_records,
            "readings_lost": sum.n_lost,
            "actions_hash": format!("{:016x}", sum.actions_hash),
            "faults": sum.faults, "skips": sum.skips, "refusals": sum.refusals, "first": sum.first,
            "broken_seeds": broken.keys().collect::<Vec<_>>(),
        });
        say(&line.to_string())?;
    }
    Ok(())
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
