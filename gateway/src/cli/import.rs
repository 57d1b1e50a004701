//! `giot import`: the history of another program, checked as a whole before the first reading is kept.

use super::{DataFolder, UsageError, format_time, say};
use crate::clock::Clock;
use crate::config::parse_utc_offset;
use crate::import::{ImportError, LineError, Reading, Taker, line, query, table};
use anyhow::Context;
use giot_store::{Batch, DeviceSamples, MetricSample, Retention, Store, Writer};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Readings of one commit.
const BATCH_SAMPLES: usize = 8_192;

/// Faulty lines that are shown; a file with more is wrong as a whole.
const ERRORS_MAX: usize = 20;

/// Take in the history of another program: CSV files, InfluxDB exports
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Csv(CsvArgs),
    Influx(InfluxArgs),
}

/// Import a CSV file with a header
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot import csv history.csv                                       columns time,device,metric,value
  giot import csv n01.csv --device n01 --metric soil_moisture       columns time,value
  giot import csv logger.csv --device tram-1 --time \"Thời gian\" --map \"Độ ẩm=soil_moisture\" --map Pin=battery
  giot import csv logger.csv --device tram-1 --dry-run

Columns time, device, metric, value and quality are known by these names; without a column value every other column is a
metric. Separated by comma, semicolon or tab; with the latter two 23,5 is a number. The gateway must not be running.
The whole file is checked before anything is kept; importing it again doubles nothing.")]
pub(super) struct CsvArgs {
    #[command(flatten)]
    data: DataFolder,
    /// File to read
    file: PathBuf,
    /// Device of the whole file
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Metric of the column value
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// Column of the time
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// A column and the metric that it is; only such columns are read then
    #[arg(long, value_name = "COLUMN=METRIC", value_parser = parse_pair)]
    map: Vec<(String, String)>,
    /// Zone of times that name none
    #[arg(long, value_name = "±HH:MM", default_value = "+07:00", value_parser = parse_offset, allow_hyphen_values = true)]
    utc_offset: i32,
    /// Check the file and say what it holds, keep nothing
    #[arg(long)]
    dry_run: bool,
}

/// Import line protocol, or the CSV that InfluxDB answers a query with
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  influx_inspect export -database farm -datadir … -waldir … -out farm.lp && giot import influx farm.lp --device-tag host
  influx query 'from(bucket: \"farm\") |> range(start: -90d)' --raw > farm.csv && giot import influx farm.csv
  giot import influx farm.lp --precision ms --map weather_temp=air_temperature --dry-run

What a giot sink was sent comes back as it was. Of other lines each field with a number is a metric, named MEASUREMENT_FIELD, or
MEASUREMENT where the field is called value. The gateway must not be running. The whole file is checked before anything is kept;
importing it again doubles nothing.")]
pub(super) struct InfluxArgs {
    #[command(flatten)]
    data: DataFolder,
    /// File to read
    file: PathBuf,
    /// Device of the whole file
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Tag that names the device
    #[arg(long, value_name = "TAG", default_value = "device")]
    device_tag: String,
    /// Another name for a metric
    #[arg(long, value_name = "NAME=METRIC", value_parser = parse_pair)]
    map: Vec<(String, String)>,
    /// Unit of the times in line protocol: s, ms, us or ns
    #[arg(long, value_name = "UNIT", default_value = "ns", value_parser = parse_precision)]
    precision: u32,
    /// Check the file and say what it holds, keep nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Csv(args) => {
            let choices = table::Choices {
                device: args.device.clone(),
                metric: args.metric.clone(),
                time: args.time.clone(),
                map: args.map.iter().cloned().collect(),
                utc_offset_min: args.utc_offset,
            };
            import(&args.data, &args.file, args.dry_run, &|input, each| table::read(input, &choices, each))
        }
        Command::Influx(args) => {
            let choices = line::Choices {
                device: args.device.clone(),
                device_tag: args.device_tag.clone(),
                map: args.map.iter().cloned().collect(),
                digits: args.precision,
            };
            let mut first = String::new();
            open(&args.file)?.read_line(&mut first).ok();
            if query::is_query(&first) {
                import(&args.data, &args.file, args.dry_run, &|input, each| {
                    query::read(input, &choices, each)
                })
            } else {
                import(&args.data, &args.file, args.dry_run, &|input, each| line::read(input, &choices, each))
            }
        }
    }
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    text.rsplit_once('=')
        .filter(|(column, metric)| !column.is_empty() && !metric.is_empty())
        .map(|(column, metric)| (column.to_owned(), metric.to_owned()))
        .ok_or_else(|| "written as COLUMN=METRIC".to_owned())
}

fn parse_offset(text: &str) -> Result<i32, String> {
    parse_utc_offset(text).ok_or_else(|| "written as +07:00".to_owned())
}

fn parse_precision(text: &str) -> Result<u32, String> {
    match text {
        "s" => Ok(0),
        "ms" => Ok(3),
        "us" => Ok(6),
        "ns" => Ok(9),
        _ => Err("one of s, ms, us, ns".to_owned()),
    }
}

/// Reads a file with a reader of its form.
type Read<'r> = dyn Fn(BufReader<File>, &mut Taker<'_>) -> Result<(), ImportError> + 'r;

/// What a file holds.
#[derive(Default)]
struct Content {
    n_readings: u64,
    series: BTreeMap<(Arc<str>, Arc<str>), u64>,
    from_us: Option<i64>,
    to_us: Option<i64>,
    errors: Vec<LineError>,
    n_errors: u64,
    /// How many readings lie before a moment (µs) up to which single ones are given up.
    too_old: BTreeMap<i64, u64>,
}

impl Content {
    fn add(&mut self, reading: Reading, keeps: &Keeps) {
        let Reading { device, metric, at_us, .. } = reading;
        self.n_readings += 1;
        self.from_us = Some(self.from_us.map_or(at_us, |from_us| from_us.min(at_us)));
        self.to_us = Some(self.to_us.map_or(at_us, |to_us| to_us.max(at_us)));
        let limit_us = keeps.retention.readings_before_us(&metric, keeps.now_us);
        if let Some(limit_us) = limit_us.filter(|limit_us| at_us < *limit_us) {
            *self.too_old.entry(limit_us).or_default() += 1;
        }
        *self.series.entry((device, metric)).or_default() += 1;
    }

    /// What of it will not stay as it is, a line a limit.
    fn warnings(&self) -> impl Iterator<Item = String> {
        self.too_old.iter().map(|(limit_us, n)| {
            let limit = format_time(*limit_us);
            format!(
                "{n} readings are from before {limit}: a running gateway soon makes hours and days of them ([store] raw_days)"
            )
        })
    }
}

/// How long the farm keeps what.
struct Keeps {
    retention: Retention,
    now_us: i64,
}

fn import(data: &DataFolder, file: &Path, is_dry: bool, read: &Read<'_>) -> anyhow::Result<()> {
    let name = file.display().to_string();
    let n_bytes = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    // A farm that cannot be read is told by what starts it.
    let settings = super::serve::settings(None, &data.data).unwrap_or_default();
    let now_us = Clock::system(None).wall_us_unchecked();
    let content = check(file, &name, n_bytes, read, &Keeps { retention: settings.retention, now_us })?;
    if content.n_errors > 0 {
        let shown: Vec<String> =
            content.errors.iter().map(|error| format!("{name}:{}: {}", error.line, error.what)).collect();
        let more = content.n_errors - u64::try_from(content.errors.len())?;
        let more = if more == 0 { String::new() } else { format!("\n… and {more} more") };
        return Err(UsageError(format!("nothing was imported\n{}{more}", shown.join("\n"))).into());
    }
    for warning in content.warnings() {
        writeln!(std::io::stderr(), "giot: note: {name}: {warning}").ok();
    }
    let span = match (content.from_us, content.to_us) {
        (Some(from_us), Some(to_us)) => format!(", from {} to {}", format_time(from_us), format_time(to_us)),
        _ => String::new(),
    };
    let summary = format!("{} readings of {} series{span}", content.n_readings, content.series.len());
    if is_dry {
        for ((device, metric), n) in &content.series {
            say(&format!("{device} {metric}: {n}"))?;
        }
        return say(&format!("{name}: {summary}; nothing was kept"));
    }
    let store = Store::open(&data.data).context("open the store: an import needs the gateway stopped")?;
    let kept = keep(file, n_bytes, read, &store);
    store.close().context("close the store")?;
    let n_new =
        kept.with_context(|| format!("{name}: import it again, what is there already is not doubled"))?;
    let n_known = content.n_readings.saturating_sub(n_new);
    let known = match n_known {
        0 => String::new(),
        n_known => format!("; {n_known} of them were there already, or twice in the file"),
    };
    say(&format!("{name}: imported {summary}{known}"))
}

fn open(file: &Path) -> anyhow::Result<BufReader<File>> {
    let problem = |what: &dyn std::fmt::Display| UsageError(format!("{}: {what}", file.display()));
    let opened = File::open(file).map_err(|error| problem(&error))?;
    let is_file = opened.metadata().is_ok_and(|metadata| metadata.is_file());
    if !is_file {
        return Err(problem(&"no regular file, and it is read twice: keep it in one first").into());
    }
    let mut input = BufReader::with_capacity(1 << 16, opened);
    if input.fill_buf().map_err(|error| problem(&error))?.starts_with(&[0x1f, 0x8b]) {
        return Err(problem(&"compressed: unpack it first, as in gunzip FILE.gz").into());
    }
    Ok(input)
}

fn check(file: &Path, name: &str, n_bytes: u64, read: &Read<'_>, keeps: &Keeps) -> anyhow::Result<Content> {
    let bar = progress("checking", n_bytes)?;
    let mut content = Content::default();
    let done = read(open(file)?, &mut |_, upto, reading| {
        bar.set_position(upto);
        match reading {
            Ok(reading) => content.add(reading, keeps),
            Err(error) => {
                content.n_errors += 1;
                if content.errors.len() < ERRORS_MAX {
                    content.errors.push(error);
                }
            }
        }
        Ok(())
    });
    bar.finish_and_clear();
    match done {
        Ok(()) => Ok(content),
        Err(ImportError::Line(LineError { line, what })) => {
            Err(UsageError(format!("{name}:{line}: {what}")).into())
        }
        Err(error) => Err(anyhow::Error::new(error).context(name.to_owned())),
    }
}

/// Keeps every reading of a file; how many the store had not.
fn keep(file: &Path, n_bytes: u64, read: &Read<'_>, store: &Store) -> anyhow::Result<u64> {
    let bar = progress("importing", n_bytes)?;
    let n_before = n_stored(store)?;
    let writer = &store.writer();
    let mut waiting = BTreeMap::<Arc<str>, Vec<MetricSample>>::new();
    let mut n_waiting = 0;
    read(open(file)?, &mut |_, upto, reading| {
        let Reading { device, metric, at_us, value, quality } = reading?;
        waiting.entry(device).or_default().push(MetricSample {
            metric,
            at_us,
            value,
            quality: quality.byte(),
        });
        n_waiting += 1;
        if n_waiting >= BATCH_SAMPLES {
            bar.set_position(upto);
            commit(&mut waiting, writer)?;
            n_waiting = 0;
        }
        Ok(())
    })?;
    commit(&mut waiting, writer)?;
    bar.finish_and_clear();
    Ok(n_stored(store)?.saturating_sub(n_before))
}

/// Readings of the store; what was written twice is one only in chunks.
fn n_stored(store: &Store) -> anyhow::Result<u64> {
    store.fold()?;
    Ok(store.reader().stats()?.n_samples)
}

fn commit(waiting: &mut BTreeMap<Arc<str>, Vec<MetricSample>>, writer: &Writer) -> anyhow::Result<()> {
    let samples =
        std::mem::take(waiting).into_iter().map(|(device, samples)| DeviceSamples { device, samples });
    Ok(writer.commit_blocking(Batch { samples: samples.collect(), ..Batch::default() })?)
}

fn progress(what: &str, n_bytes: u64) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template(&format!("{what} {{wide_bar}} {{bytes}}/{{total_bytes}}"))?;
    Ok(ProgressBar::new(n_bytes).with_style(style))
}

#[cfg(test)]
mod tests {
    use super::*;
    use giot_store::Reader;
    use std::ops::ControlFlow;

    fn csv(dir: &Path, text: &str, is_dry: bool) -> anyhow::Result<()> {
        let file = dir.join("history.csv");
        std::fs::write(&file, text)?;
        let choices = table::Choices::default();
        let data = DataFolder { data: dir.join("data") };
        import(&data, &file, is_dry, &|input, each| table::read(input, &choices, each))
    }

    #[test]
    fn what_is_no_plain_file_is_refused_with_a_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let packed = dir.path().join("history.lp.gz");
        std::fs::write(&packed, [0x1f, 0x8b, 8, 0]).unwrap();
        for (file, want) in [(packed.as_path(), "unpack it first"), (dir.path(), "no regular file")] {
            let error = open(file).unwrap_err().to_string();
            assert!(error.contains(want) && error.contains(&file.display().to_string()), "{error}");
        }
    }

    #[test]
    fn a_file_is_imported_whole_or_not_at_all_and_twice_is_once() {
        let dir = tempfile::tempdir().unwrap();
        let good: String = std::iter::once("time,device,metric,value\n".to_owned())
            .chain((0..9_000).map(|n| format!("{},n01,t,{n}\n", 1_772_319_600 + n)))
            .collect();
        let bad = format!("{good}x,n01,t,1\n");
        let error = csv(dir.path(), &bad, false).unwrap_err();
        assert!(error.to_string().contains("history.csv:9002: time \"x\""), "{error}");
        assert!(Reader::open(&dir.path().join("data")).is_err(), "nothing was made");
        csv(dir.path(), &good, true).unwrap();
        assert!(Reader::open(&dir.path().join("data")).is_err(), "a dry run keeps nothing");
        let store = Store::open(&dir.path().join("data")).unwrap();
        let file = dir.path().join("history.csv");
        let choices = table::Choices::default();
        let read: &Read<'_> = &|input, each| table::read(input, &choices, each);
        let n_new = [0; 2].map(|_| keep(&file, 0, read, &store).unwrap());
        assert_eq!(n_new, [9_000, 0], "the second time everything is there");
        store.close().unwrap();
        for _ in 0..2 {
            csv(dir.path(), &good, false).unwrap();
            let reader = Reader::open(&dir.path().join("data")).unwrap();
            let mut sum = 0.0;
            let read = reader.samples("n01", "t", i64::MIN..i64::MAX, &mut |sample| {
                sum += sample.value.unwrap();
                ControlFlow::Continue(())
            });
            assert_eq!((read.unwrap().n_samples, sum), (9_000, 40_495_500.0));
        }
    }

    #[test]
    fn readings_that_will_not_stay_are_counted_by_their_limit() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("history.csv");
        let day = 86_400;
        let lines = (0..100).flat_map(|n| {
            ["soil_moisture", "battery"].map(|metric| format!("{},n01,{metric},1\n", 1_772_319_600 + n * day))
        });
        let text: String = std::iter::once("time,device,metric,value\n".to_owned()).chain(lines).collect();
        std::fs::write(&file, text).unwrap();
        let farm = "[store]\nraw_days = 40\n[[store.keep]]\nmetric = \"batt*\"\nraw_days = 90\n";
        let now_us = (1_772_319_600 + 100 * day) * 1_000_000;
        let choices = table::Choices::default();
        let too_old = |farm: &str| {
            let retention = crate::config::compile("farm.toml", farm).unwrap().retention;
            let keeps = Keeps { retention, now_us };
            let content =
                check(&file, "history.csv", 0, &|input, each| table::read(input, &choices, each), &keeps);
            content.unwrap()
        };
        let content = too_old(farm);
        let limit = |days: i64| now_us - days * day * 1_000_000;
        assert_eq!(content.too_old, BTreeMap::from([(limit(90), 10), (limit(40), 60)]));
        let told: Vec<String> = content.warnings().collect();
        assert!(told.len() == 2 && told[0].starts_with("10 readings are from before 2026-03-1"), "{told:?}");
        assert_eq!(too_old("[store]\nraw_days = 0\n").warnings().count(), 0);
        assert_eq!(too_old("").warnings().count(), 0, "three years are kept");
    }

    #[test]
    fn a_store_in_use_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let _store = Store::open(&dir.path().join("data")).unwrap();
        let error = csv(dir.path(), "time,device,metric,value\n1772319600,n01,t,1\n", false).unwrap_err();
        assert!(format!("{error:#}").contains("gateway stopped"), "{error:#}");
    }
}
