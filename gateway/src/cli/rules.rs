//! `giot rules`: lists rules, and tells when they would have fired.

use std::path::PathBuf;

use giot_engine::RuleId;
use giot_shared::time::UnixMs;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{DataFolder, UsageError, say, serve};
use crate::clock::Clock;
use crate::history::timezone::TimeZone;
use crate::rules::{
    DAYS_MAX, READINGS_MAX_AT_LENGTH, Rehearsal, chosen, parse_span_ms, rehearse_store, span_of,
};
use giot_store::Reader;

/// Rules: what follows when a condition holds
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    List(ListArgs),
    Test(TestArgs),
}

/// List the rules of a configuration, after checking every one of them
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot rules list
  giot rules list --config farm.toml

Wrong names and kinds are told with their line and column; exit code 2.")]
pub(super) struct ListArgs {
    #[command(flatten)]
    place: Place,
}

/// Tell when rules would have fired on the last days, or on those of a past season: the same rules over the stored history
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot rules test --last 7d
  giot rules test --last 36h --rule heat --config farm.toml
  giot rules test --last 30d --json                one JSON line at the end
  giot rules test --from 2022-06-01 --to 2022-08-31    days of an imported season, by the farm's clock

Nothing is watered and nothing is changed; works while the gateway runs. A start is shown as it would have been wanted:
whether a guard would have barred it is not simulated.")]
pub(super) struct TestArgs {
    #[command(flatten)]
    place: Place,
    /// How far back: a number of hours or days, as 36h or 7d
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = parse_span_ms, conflicts_with_all = ["from", "to"])]
    last: u64,
    /// First day: today, yesterday or a date, by the farm's clock; at most 366 days
    #[arg(long, value_name = "DAY", requires = "to")]
    from: Option<String>,
    /// Last day
    #[arg(long, value_name = "DAY", requires = "from")]
    to: Option<String>,
    /// Only this rule; also one that is switched off
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// End with one JSON line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Place {
    #[command(flatten)]
    data: DataFolder,
    /// Configuration with the rules; without it DIR/giot.toml where it exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::List(args) => list(args),
        Command::Test(args) => test(args),
    }
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let settings = serve::settings(args.place.config.as_deref(), &args.place.data.data)?;
    if settings.rules.is_empty() {
        return say("no rules; `giot doctor --print-config` shows how one is written");
    }
    for rule in &settings.rules {
        let off = if rule.is_enabled { "" } else { " (off)" };
        say(&format!("{}{off}  {}\n    when {}", rule.id, rule.name, rule.when_text))?;
    }
    Ok(())
}

fn test(args: &TestArgs) -> anyhow::Result<()> {
    let settings = serve::settings(args.place.config.as_deref(), &args.place.data.data)?;
    let rules = chosen(&settings, args.rule.as_deref()).map_err(UsageError)?;
    let reader = Reader::open(&args.place.data.data)?;
    let now = Clock::system(None).wall_unchecked();
    let days = args.from.as_deref().zip(args.to.as_deref());
    let span = span_of(days, args.last, now, settings.plan.utc_offset_min).map_err(UsageError)?;
    if span.1.since_ms(span.0) > DAYS_MAX * 86_400_000 {
        return Err(UsageError(format!("--from, --to: at most {DAYS_MAX} days")).into());
    }
    let bar =
        ProgressBar::new(1000).with_style(ProgressStyle::with_template("rehearsing {wide_bar} {percent} %")?);
    let rehearsal = rehearse_store(&reader, &settings, &rules, span, READINGS_MAX_AT_LENGTH, &mut |n| {
        bar.set_position(n);
    })?;
    bar.finish_and_clear();
    tell(&rehearsal, TimeZone::fixed(settings.plan.utc_offset_min))?;
    if args.json {
        say(&to_json(&rehearsal, span).to_string())?;
    }
    Ok(())
}

fn tell(rehearsal: &Rehearsal, clock: TimeZone) -> anyhow::Result<()> {
    for (at, firing) in &rehearsal.firings {
        let then: Vec<String> = firing.then.iter().map(ToString::to_string).collect();
        let time = clock.rfc3339(at.0.saturating_mul(1000));
        say(&format!("{time}  {}  {}  [{}]", firing.rule, then.join(", "), firing.values))?;
    }
    for rule in &rehearsal.held_throughout {
        say(&format!(
            "{rule} holds from beginning to end: a rule fires when it begins to hold, and that lies before"
        ))?;
    }
    say(&format!("{} firings; {} readings and events looked at", rehearsal.n_firings, rehearsal.n_happened))
}

fn to_json(rehearsal: &Rehearsal, (from, to): (UnixMs, UnixMs)) -> serde_json::Value {
    let mut by_rule: std::collections::BTreeMap<&RuleId, u64> = std::collections::BTreeMap::new();
    for (_, firing) in &rehearsal.firings {
        *by_rule.entry(&firing.rule).or_default() += 1;
    }
    let by_rule: serde_json::Map<String, serde_json::Value> =
        by_rule.into_iter().map(|(rule, n)| (rule.to_string(), json!(n))).collect();
    let firings = rehearsal
        .firings
        .iter()
        .map(|(at, firing)| json!({ "at": at.0, "rule": firing.rule.to_string(), "values": firing.values }));
    json!({
        "from": from.0, "to": to.0, "firings": rehearsal.n_firings, "by_rule": by_rule,
        "held_throughout": rehearsal.held_throughout.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "looked_at": rehearsal.n_happened, "list": firings.collect::<Vec<_>>(),
    })
}
