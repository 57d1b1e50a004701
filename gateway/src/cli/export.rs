//! `giot export`: the history as CSV, XLSX or Parquet, also while the gateway runs.
//!
//! One series without further wishes is `time,value,quality` in UTC: a form that others script against and that never changes. Everything
//! else is written by [`crate::history::export`].

use super::{DataFolder, UsageError, When, format_time};
use crate::history::export::{Content, Export, Format};
use crate::history::limits;
use crate::history::series::SeriesName;
use crate::history::spans::SpanLength;
use crate::history::table::Missing;
use crate::history::timezone::TimeZone;
use crate::quality::Quality;
use anyhow::Context;
use giot_store::{ReadSummary, Reader, SeriesInfo};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

/// Write the history as CSV, XLSX or Parquet
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot export --device n01 --metric soil_moisture > moisture.csv
  giot export --data /var/lib/giot --device n01 --metric battery --from 2026-03-01 --to 2026-04-01
  giot export --device n01 --device n02 --metric soil_moisture --bucket 1d --tz Asia/Ho_Chi_Minh --out days.xlsx
  giot export --all --format csv-excel-vi --tz +07:00 --out history.csv
  giot export --all --out history.parquet

One series and none of --format, --bucket, --tz: time,value,quality with times in UTC (RFC 3339). A reading without a value has
an empty value and says why in `quality`: good, missing, out_of_range, unstable, uncalibrated, uncertain_time.
Otherwise readings are time, device, metric, unit, value, quality; buckets have mean, min, max, last, time_mean (each value counts
for as long as it held), values (how many) and flagged (how many of them are not good) of each series side by side, and are empty
where nothing was measured. csv-excel opens in Excel by a double click; csv-excel-vi is the same with semicolons and 23,4.
One --device and no --metric lists the device's metrics.")]
pub(super) struct Args {
    #[command(flatten)]
    data: DataFolder,
    /// Device, as it names itself in its topic; may be given several times
    #[arg(long, value_name = "ID", required_unless_present = "all")]
    device: Vec<String>,
    /// Metric; a JSON device's key; may be given several times
    #[arg(long, value_name = "NAME")]
    metric: Vec<String>,
    /// Every device
    #[arg(long, conflicts_with = "device")]
    all: bool,
    /// From this time on (RFC 3339, or a date by the clock of --tz)
    #[arg(long, value_name = "TIME")]
    from: Option<When>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    to: Option<When>,
    /// csv, csv-excel, csv-excel-vi, xlsx or parquet; without it, what the end of --out says
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Sum up spans of this length (15min, 1h, 1d, 1w, 1month, 1y …) instead of single readings
    #[arg(long, value_name = "LENGTH")]
    bucket: Option<SpanLength>,
    /// With --bucket: also what counters counted in each span, and what fell into rain gauges
    #[arg(long, requires = "bucket")]
    counted: bool,
    /// Clock of times and days: Asia/Ho_Chi_Minh, +07:00, UTC (default)
    #[arg(long, value_name = "ZONE")]
    tz: Option<TimeZone>,
    /// Write to this file, with a progress bar; it appears when it is whole
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if let (Some(from_us), Some(to_us)) = args.range_us()?
        && from_us >= to_us
    {
        let (from, to) = (format_time(from_us), format_time(to_us));
        return Err(UsageError(format!("--to {to}: nothing lies before it from {from} (--from) on")).into());
    }
    let reader = Reader::open(&args.data.data)?;
    let known = reader.series()?;
    if let ([device], [], false) = (args.device.as_slice(), args.metric.as_slice(), args.has_wishes()) {
        let metrics: Vec<&str> = metrics_of(&known, device)?;
        return super::say(&metrics.join("\n"));
    }
    let chosen = args.choose(&known)?;
    let plan = match (chosen.as_slice(), args.has_wishes()) {
        ([one], false) if args.device.len() == 1 && args.metric.len() == 1 => Plan::Contract(one.name()),
        _ => Plan::Full(args.export(&chosen)?, args.format()?),
    };
    let Some(path) = &args.out else {
        if plan.is_binary() && std::io::stdout().is_terminal() {
            return Err(
                UsageError("--out: name a file; a terminal cannot show this format".to_owned()).into()
            );
        }
        let mut out = BufWriter::new(std::io::stdout());
        return plan.write(&reader, args, &args.data.data, &mut out, &ProgressBar::hidden());
    };
    let bar = bar(plan.n_rows_about(&reader, args)?);
    let part = part_of(path)?;
    let file =
        File::create(&part).map_err(|error| UsageError(format!("--out {}: {error}", part.display())))?;
    let mut out = BufWriter::new(file);
    let work = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = plan.write(&reader, args, work, &mut out, &bar);
    bar.finish_and_clear();
    let whole = match written {
        Err(error) if error.is::<Damaged>() => Some(error),
        Err(error) => {
            // Its rest helps nobody; what went wrong is told.
            std::fs::remove_file(&part).ok();
            return Err(error);
        }
        Ok(()) => None,
    };
    let kept = out.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all());
    kept.and_then(|()| std::fs::rename(&part, path)).with_context(|| format!("keep {}", path.display()))?;
    whole.map_or(Ok(()), Err)
}

/// Everything readable was written.
#[derive(Debug, thiserror::Error)]
#[error("{0} damaged parts of the history could not be read; the rest is written")]
struct Damaged(u64);

/// Damaged parts that are named; more of them scroll away.
const NAMED_MAX: usize = 20;

impl Damaged {
    /// Parts that a repair has set aside are known and told; others are news.
    fn check(missing: &Missing, zone: TimeZone) -> anyhow::Result<()> {
        let Missing { n_damaged, n_set_aside, .. } = *missing;
        for part in missing.damaged.iter().take(NAMED_MAX) {
            writeln!(std::io::stderr(), "giot: note: damaged and missing: {}", part.text(zone)).ok();
        }
        if n_set_aside > 0 {
            let what = "damaged parts that were set aside are missing (giot store check)";
            writeln!(std::io::stderr(), "giot: note: {n_set_aside} {what}").ok();
        }
        let n_new = n_damaged.saturating_sub(n_set_aside);
        if n_new == 0 { Ok(()) } else { Err(Self(n_new).into()) }
    }
}

impl Args {
    /// Whether the lasting form of one series is not enough.
    fn has_wishes(&self) -> bool {
        self.format.is_some()
            || self.bucket.is_some()
            || self.tz.is_some()
            || self.out.as_deref().is_some_and(|path| format_of(path).is_some())
    }

    fn format(&self) -> anyhow::Result<Format> {
        let by_name = self.out.as_deref().and_then(format_of).transpose().map_err(UsageError)?;
        Ok(self.format.or(by_name).unwrap_or(Format::Csv))
    }

    /// The series that exist among those that were named.
    fn choose(&self, known: &[SeriesInfo]) -> anyhow::Result<Vec<Chosen>> {
        for device in &self.device {
            metrics_of(known, device)?;
        }
        let is_meant = |info: &&SeriesInfo| {
            (self.all || self.device.iter().any(|device| **device == *info.device))
                && (self.metric.is_empty() || self.metric.iter().any(|metric| **metric == *info.metric))
        };
        let chosen: Vec<Chosen> = known.iter().filter(is_meant).cloned().map(Chosen).collect();
        for metric in &self.metric {
            if !chosen.iter().any(|info| **metric == *info.0.metric) {
                let named =
                    known.iter().filter(|info| self.all || self.device.iter().any(|d| **d == *info.device));
                let mut metrics: Vec<&str> = named.map(|info| &*info.metric).collect();
                metrics.sort_unstable();
                metrics.dedup();
                let whose = if self.all { "the history".to_owned() } else { self.device.join(", ") };
                let what = format!("--metric {metric}: {whose} has {}", metrics.join(", "));
                return Err(UsageError(what).into());
            }
        }
        if chosen.is_empty() {
            return Err(UsageError("--all: nothing is stored yet".to_owned()).into());
        }
        Ok(chosen)
    }

    /// From when to when, µs, where that is said.
    fn range_us(&self) -> anyhow::Result<(Option<i64>, Option<i64>)> {
        let zone = self.zone();
        let at_us = |when: Option<When>, name: &str| {
            let at_us = when.map(|when| when.at_us(zone).ok_or(when)).transpose();
            at_us.map_err(|when| UsageError(format!("{name} {when}: outside the calendar")))
        };
        Ok((at_us(self.from, "--from")?, at_us(self.to, "--to")?))
    }

    /// All that is asked for, µs.
    fn whole_range_us(&self) -> anyhow::Result<Range<i64>> {
        let (from_us, to_us) = self.range_us()?;
        Ok(from_us.unwrap_or(i64::MIN)..to_us.unwrap_or(i64::MAX))
    }

    fn zone(&self) -> TimeZone {
        self.tz.unwrap_or(TimeZone::UTC)
    }

    fn export(&self, chosen: &[Chosen]) -> anyhow::Result<Export> {
        let series: Vec<SeriesName> = chosen.iter().map(Chosen::name).collect();
        let zone = self.zone();
        let Some(length) = self.bucket else {
            return Ok(Export { series, zone, content: Content::Readings(self.whole_range_us()?) });
        };
        if self.format()? != Format::Parquet {
            let checked = limits::check_series(&series, limits::FILE_SERIES_MAX);
            checked.map_err(|too_much| UsageError(format!("--device: {too_much}")))?;
        }
        let first_us = chosen.iter().filter_map(|info| info.0.first_us).min().unwrap_or(0);
        let last_us = chosen.iter().filter_map(|info| info.0.last_us).max().unwrap_or(0);
        let (from_us, to_us) = self.range_us()?;
        let range_us = from_us.unwrap_or(first_us)..to_us.unwrap_or(last_us.saturating_add(1));
        let edges_us = length
            .edges_up_to(limits::FILE_SPANS_MAX, &range_us, zone)
            .map_err(|error| UsageError(format!("--bucket {length}: {error}")))?;
        Ok(Export { series, zone, content: Content::Spans { length, edges_us, rises: self.counted } })
    }
}

#[derive(Debug, Clone)]
struct Chosen(SeriesInfo);

impl Chosen {
    fn name(&self) -> SeriesName {
        SeriesName { device: self.0.device.clone(), metric: self.0.metric.clone() }
    }
}

fn metrics_of<'k>(known: &'k [SeriesInfo], device: &str) -> anyhow::Result<Vec<&'k str>> {
    let metrics: Vec<&str> =
        known.iter().filter(|info| *info.device == *device).map(|info| &*info.metric).collect();
    if metrics.is_empty() {
        return Err(UsageError(format!("--device {device}: nothing is stored of it")).into());
    }
    Ok(metrics)
}

/// What the end of a file's name says; `None` for names that say nothing beyond the lasting form.
fn format_of(path: &Path) -> Option<Result<Format, String>> {
    let end = path.extension()?.to_str()?;
    let parsed = || end.parse().map_err(|error| format!("--out {}: {error}", path.display()));
    matches!(end, "xlsx" | "parquet").then(parsed)
}

/// Where a file grows until it is whole.
fn part_of(path: &Path) -> anyhow::Result<PathBuf> {
    let name =
        path.file_name().ok_or_else(|| UsageError(format!("--out {}: no file name", path.display())))?;
    let mut name = name.to_owned();
    name.push(".part");
    Ok(path.with_file_name(name))
}

fn bar(n_rows: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos} of about {len} rows, {elapsed} of {duration}");
    ProgressBar::new(n_rows).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

enum Plan {
    /// `time,value,quality`.
    Contract(SeriesName),
    Full(Export, Format),
}

impl Plan {
    fn is_binary(&self) -> bool {
        matches!(self, Self::Full(_, Format::Xlsx | Format::Parquet))
    }

    fn n_rows_about(&self, reader: &Reader, args: &Args) -> anyhow::Result<u64> {
        match self {
            Self::Contract(name) => {
                Ok(reader.n_samples_about(&name.device, &name.metric, &args.whole_range_us()?)?)
            }
            Self::Full(export, format) => export.n_rows_about(reader, *format),
        }
    }

    fn write(
        &self,
        reader: &Reader,
        args: &Args,
        work: &Path,
        out: &mut (dyn Write + Send),
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        match self {
            Self::Contract(name) => {
                let written = write_contract(reader, name, args.whole_range_us()?, out, bar);
                written.and_then(|summary| {
                    out.flush()?;
                    tell_coarse(summary.coarse_until_us);
                    let mut missing = Missing::default();
                    missing.note(name, summary.n_damaged(), summary.n_set_aside, &summary.gaps);
                    Damaged::check(&missing, TimeZone::UTC)
                })
            }
            Self::Full(export, format) => {
                let outcome =
                    export.write(reader, *format, work, out, &mut |n_rows| bar.set_position(n_rows))?;
                if let Some((from_us, to_us)) = outcome.missing.cut_us {
                    let (from, to) = (format_time(from_us), format_time(to_us));
                    writeln!(std::io::stderr(), "giot: note: {}", cut_note(&from, &to)).ok();
                }
                tell_coarse(outcome.missing.coarse_until_us);
                Damaged::check(&outcome.missing, export.zone)
            }
        }
    }
}

/// Single readings were asked for that are not kept any more.
fn tell_coarse(until_us: Option<i64>) {
    if let Some(until_us) = until_us {
        let until = format_time(until_us);
        let note = format!(
            "before {until} single readings were given up ([store] raw_days): hours and days are kept, --bucket 1h or 1d exports them"
        );
        writeln!(std::io::stderr(), "giot: note: {note}").ok();
    }
}

/// What to do about hours and days that fit no span.
fn cut_note(from: &str, to: &str) -> String {
    format!(
        "from {from} to {to} only hours and days of the farm are kept, and those that lie across the edges of these spans are left out: \
         ask for whole days by the farm's clock, as in --bucket 1d --tz +07:00"
    )
}

/// Rows between two steps of the bar.
const BAR_ROWS: u64 = 8_192;

fn write_contract(
    reader: &Reader,
    name: &SeriesName,
    range_us: Range<i64>,
    out: &mut dyn Write,
    bar: &ProgressBar,
) -> anyhow::Result<ReadSummary> {
    writeln!(out, "time,value,quality")?;
    let mut failed = None;
    let mut n_rows = 0_u64;
    let summary = reader.samples(&name.device, &name.metric, range_us, &mut |sample| {
        n_rows += 1;
        if n_rows.is_multiple_of(BAR_ROWS) {
            bar.set_position(n_rows);
        }
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
    Ok(summary)
}
