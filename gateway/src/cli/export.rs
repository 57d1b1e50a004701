//! `giot export`: one series as CSV, also while the gateway runs.

use super::{DataFolder, UsageError, format_time, parse_time};
use crate::quality::Quality;
use crate::store::Reader;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;

/// Write one series of the history as CSV: time,value,quality
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot export --device n01 --metric soil_moisture > moisture.csv
  giot export --data /var/lib/giot --device n01 --metric battery --from 2026-03-01 --to 2026-04-01

Times are UTC (RFC 3339). A reading without a value has an empty value and says why in `quality`:
good, missing, out_of_range, unstable, uncalibrated, uncertain_time.
Without --metric, the device's metrics are listed.")]
pub(super) struct Args {
    #[command(flatten)]
    data: DataFolder,
    /// Device, as it names itself in its topic
    #[arg(long, value_name = "ID")]
    device: String,
    /// Metric; a JSON device's key
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// From this time on (RFC 3339 or a date in UTC)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<i64>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<i64>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let reader = Reader::open(&args.data.data)?;
    let known: Vec<_> =
        reader.series()?.into_iter().filter(|series| *series.device == *args.device).collect();
    if known.is_empty() {
        return Err(UsageError(format!("--device {}: nothing is stored of it", args.device)).into());
    }
    let names: Vec<&str> = known.iter().map(|series| &*series.metric).collect();
    let Some(metric) = &args.metric else {
        return super::say(&names.join("\n"));
    };
    if !names.contains(&metric.as_str()) {
        let what = format!("--metric {metric}: {} has {}", args.device, names.join(", "));
        return Err(UsageError(what).into());
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    write_csv(&reader, args, metric, &mut out).and_then(|()| Ok(out.flush()?))
}

fn write_csv(reader: &Reader, args: &Args, metric: &str, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "time,value,quality")?;
    let range = args.from.unwrap_or(i64::MIN)..args.to.unwrap_or(i64::MAX);
    let mut failed = None;
    let summary = reader.samples(&args.device, metric, range, &mut |sample| {
        let time = format_time(sample.at_us);
        let quality = Quality::from_byte(sample.quality).code();
        let written = match sample.value {
            Some(value) => writeln!(out, "{time},{value},{quality}"),
            None => writeln!(out, "{time},,{quality}"),
        };
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let n_damaged = summary.n_damaged_chunks + summary.n_damaged_journal_rows;
    anyhow::ensure!(
        n_damaged == 0,
        "{n_damaged} damaged parts of the history could not be read; the rest is above"
    );
    Ok(())
}
