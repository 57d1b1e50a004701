//! `giot backtest`: what a program would have done with a zone over the stored history.

use std::path::PathBuf;

use giot_engine::{ProgramId, ZoneId};
use giot_shared::time::UnixMs;
use indicatif::{ProgressBar, ProgressStyle};

use super::{DataFolder, UsageError, say, serve};
use crate::backtest::{DAYS_MAX, Report, Sum, backtest, to_json};
use crate::clock::Clock;
use crate::hub::codec::args_for_people;
use crate::why::day_of;
use crate::words::{Lang, Names, Words, number, percent, span};
use giot_store::Reader;

/// Try a zone's settings or one program on the stored history
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot backtest --zone man-1 --from 2026-02-01 --to 2026-04-30
  giot backtest --zone man-1 --program dem --from 2026-02-01 --to yesterday --config try.toml
  giot backtest --zone man-1 --from 2026-02-01 --to today --json

The engine that waters the farm decides again, over the readings and the weather of those days: with the soil as it was read, and
with the soil that its own water would have made, learned from how the soil answered to the water that was given. Without
--program the zone's thresholds and all its programs; with it that program alone. Nothing is watered and nothing is changed;
works while the gateway runs.

A stress day is drier than field capacity less the share of the available water that the crop takes without stress (FAO-56); where the
zone's soil is not known, drier than the start threshold in force: the same for every --config, so that trials can be compared.")]
pub(super) struct Args {
    #[command(flatten)]
    data: DataFolder,
    /// Configuration to try; without it DIR/giot.toml where it exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The zone
    #[arg(long, value_name = "ID")]
    zone: String,
    /// Only this program
    #[arg(long, value_name = "ID")]
    program: Option<String>,
    /// First day, by the farm's clock
    #[arg(long, value_name = "DAY")]
    from: String,
    /// Last day
    #[arg(long, value_name = "DAY")]
    to: String,
    /// Language of the answer: vi or en
    #[arg(long, value_name = "LANG", default_value = "vi")]
    lang: Lang,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let settings = serve::settings(args.config.as_deref(), &args.data.data)?;
    // What the farm is watered by judges what is tried; a farm that cannot be read judges nothing.
    let in_force = args.config.as_ref().map(|_| serve::settings(None, &args.data.data).unwrap_or_default());
    let plan = &settings.plan;
    let zone = args.zone.parse::<ZoneId>().ok().filter(|zone| plan.zones.contains_key(zone));
    let zone = zone.ok_or_else(|| {
        let known: Vec<&str> = plan.zones.keys().map(ZoneId::as_str).collect();
        UsageError(format!("--zone {}: the configuration has {}", args.zone, known.join(", ")))
    })?;
    let program = args.program.as_ref().map(|name| {
        let waters = |id: &ProgramId| {
            let steps = plan.programs.get(id).map(|program| &program.sequence.steps);
            steps.is_some_and(|steps| steps.iter().any(|step| step.zone == zone))
        };
        name.parse::<ProgramId>().ok().filter(waters).ok_or_else(|| {
            UsageError(format!("--program {name}: there is no such program that waters {zone}"))
        })
    });
    let program = program.transpose()?;
    let now = UnixMs(Clock::system(None).wall_unchecked().0);
    let day = |field: &str, text: &str| {
        day_of(field, text, now, plan.utc_offset_min).map_err(|error| UsageError(format!("--{error}")))
    };
    let (first, last) = (day("from", &args.from)?, day("to", &args.to)?);
    if first > last || last.days_since(first) >= DAYS_MAX {
        return Err(UsageError(format!(
            "--from, --to: from the earlier day to the later, at most {DAYS_MAX} days"
        ))
        .into());
    }
    let reader = Reader::open(&args.data.data)?;
    let bar =
        ProgressBar::new(1000).with_style(ProgressStyle::with_template("playing {wide_bar} {percent} %")?);
    let both = (&settings, Some(in_force.as_ref().unwrap_or(&settings)));
    let report =
        backtest(&reader, both, &zone, program.as_ref(), (first, last), &mut |n| bar.set_position(n))?;
    bar.finish_and_clear();
    if args.json {
        return say(&to_json(&report, &zone, (first, last)).to_string());
    }
    tell(&report, &Names::of(&settings), args.lang)
}

fn tell(report: &Report, names: &Names, lang: Lang) -> anyhow::Result<()> {
    let words = Words::default();
    let text = |id: &str, args: &[(&str, &str)]| words.message_or_id(lang, id, args);
    let line = |id: &str, sum: &Sum| {
        #[expect(clippy::cast_precision_loss, reason = "spans and volumes of a year are far below 2^53")]
        let (ms, m3) = (sum.run_s as f64 * 1000.0, sum.ml as f64 / 1e6);
        let stress = sum.stress_days.map_or_else(|| "–".to_owned(), |days| days.to_string());
        let (n, span, m3) = (sum.n_runs.to_string(), span(&words, lang, ms), number(lang, m3, 1));
        text(
            "backtest-sum",
            &[("what", &text(id, &[])), ("n", &n), ("span", &span), ("m3", &m3), ("stress", &stress)],
        )
    };
    say(&line("backtest-really", &report.really))?;
    say(&line("backtest-open", &report.open))?;
    if let Some(closed) = &report.closed {
        say(&line("backtest-closed", closed))?;
    }
    match &report.bucket {
        Ok(bucket) => {
            let (gain, taken) = (number(lang, bucket.per_m3, 2), percent(lang, bucket.taken));
            let over = percent(lang, bucket.over);
            let (delay, r2) = (number(lang, bucket.delay_h, 2), percent(lang, bucket.r2 * 100.0));
            let args =
                [("gain", gain.as_str()), ("taken", &taken), ("over", &over), ("delay", &delay), ("r2", &r2)];
            say(&text("backtest-bucket", &args))?;
        }
        Err(code) => say(&text(&format!("no-bucket-{}", code.replace('_', "-")), &[]))?,
    }
    for (code, skips) in &report.skips {
        // With the numbers of the last time.
        let why = words.reason(lang, names, code, &args_for_people(&skips.last));
        say(&format!("{} × {}", skips.n, why.unwrap_or_else(|| (*code).to_owned())))?;
    }
    for day in report.days.iter().filter(|day| day.really_ml != day.closed_ml.unwrap_or(day.open_ml)) {
        #[expect(clippy::cast_precision_loss, reason = "volumes of a day are far below 2^53 ml")]
        let m3 = |ml: u64| number(lang, ml as f64 / 1e6, 2);
        let (date, really) = (crate::words::date(lang, day.date), m3(day.really_ml));
        let trial = m3(day.closed_ml.unwrap_or(day.open_ml));
        say(&text("backtest-day", &[("date", &date), ("really", &really), ("trial", &trial)]))?;
    }
    for code in &report.assumed {
        say(&text(&format!("backtest-assumed-{}", code.replace('_', "-")), &[]))?;
    }
    Ok(())
}
