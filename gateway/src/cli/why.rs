//! `giot why`: why a zone was watered on a day, or why not; reads the data folder, also while the gateway runs.

use std::path::PathBuf;

use giot_engine::ZoneId;
use giot_shared::time::UnixMs;
use serde_json::json;

use super::{DataFolder, UsageError, say, serve};
use crate::clock::Clock;
use crate::why::{Answer, day_of, explain, gather};
use crate::words::{Lang, Names, Words};
use giot_store::Reader;

/// Say why a zone was watered on a day, or why not
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot why --zone man-1                             why it was or was not watered today
  giot why --zone man-1 --day yesterday --lang en
  giot why --zone man-1 --day 2026-03-01 --json     codes, numbers and both languages

Answers from the diary and the readings, also while the gateway runs. The page asks the running gateway, which also
knows what a zone waits for at this moment. `giot reasons` lists every reason.")]
pub(super) struct Args {
    #[command(flatten)]
    data: DataFolder,
    /// Configuration with the zones; without it DIR/giot.toml where it exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The zone
    #[arg(long, value_name = "ID")]
    zone: String,
    /// today, yesterday or a date such as 2026-03-01, by the farm's clock
    #[arg(long, value_name = "DAY", default_value = "today")]
    day: String,
    /// Language of the answer: vi or en
    #[arg(long, value_name = "LANG", default_value = "vi")]
    lang: Lang,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let settings = serve::settings(args.config.as_deref(), &args.data.data)?;
    let zones = &settings.plan.zones;
    let zone = args.zone.parse::<ZoneId>().ok().filter(|zone| zones.contains_key(zone));
    let zone = zone.ok_or_else(|| {
        let known: Vec<&str> = zones.keys().map(ZoneId::as_str).collect();
        UsageError(match known.as_slice() {
            [] => "--zone: the configuration has no zones; name it with --config".to_owned(),
            _ => format!("--zone {}: the configuration has {}", args.zone, known.join(", ")),
        })
    })?;
    let now = UnixMs(Clock::system(None).wall_unchecked().0);
    let day = day_of("day", &args.day, now, settings.plan.utc_offset_min)
        .map_err(|error| UsageError(format!("--{error}")))?;
    let reader = Reader::open(&args.data.data)?;
    let facts = gather(&reader, &settings, &zone, day, now, None)?;
    let (words, names) = (Words::default(), Names::of(&settings));
    let answer = explain(&facts, &words, &names);
    if args.json {
        return say(&to_json(&answer).to_string());
    }
    say(answer.to_text(args.lang, &words, &names, settings.plan.utc_offset_min).trim_end())
}

fn to_json(answer: &Answer) -> serde_json::Value {
    let lines = answer.lines.iter().map(|line| {
        json!({
            "at": line.at, "before": line.is_before, "event": line.event, "code": line.code, "args": line.args,
            "vi": line.text.vi, "en": line.text.en,
        })
    });
    json!({
        "zone": answer.zone.to_string(), "vi": answer.headline.vi, "en": answer.headline.en,
        "runs": answer.n_runs, "run_s": answer.run_s, "litres": answer.litres,
        "lines": lines.collect::<Vec<_>>(), "cut": answer.is_cut,
    })
}
