//! `giot doctor`: looks at everything that can be looked at without touching it, and says what to do.

use super::{DataFolder, format_time, say};
use crate::clock::Clock;
use crate::config::{REFERENCE, Settings, compile};
use crate::farm;
use crate::hub::news;
use anyhow::Context;
use giot_engine::Timing;
use giot_store::{DISK_FREE_MIN, DiaryProof, DiskRoom, DiskState, Reader};
use indicatif::{ProgressBar, ProgressStyle};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Check the data folder, the diary's chain, the clock and the configuration
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot doctor
  giot doctor --data /var/lib/giot --config farm.toml
  giot doctor --print-config > farm.toml       a configuration with every key and its default

Changes nothing; works while the gateway runs. Exit code 1 when something needs attention.")]
pub(super) struct Args {
    #[command(flatten)]
    data: DataFolder,
    /// Configuration to check; without it DIR/giot.toml where it exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print a configuration with every key and its default, and end
    #[arg(long)]
    print_config: bool,
}

/// What was found so far.
#[derive(Default)]
struct Findings {
    n_bad: usize,
}

impl Findings {
    fn good(&self, what: &str) -> anyhow::Result<()> {
        say(&format!("ok    {what}"))
    }

    fn bad(&mut self, what: &str) -> anyhow::Result<()> {
        self.n_bad += 1;
        say(&format!("BAD   {what}"))
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if args.print_config {
        return say(REFERENCE.trim_end());
    }
    let mut findings = Findings::default();
    let settings = check_config(args, &mut findings)?;
    check_store(args, settings.as_ref(), &mut findings)?;
    anyhow::ensure!(findings.n_bad == 0, "{} finding(s) need attention", findings.n_bad);
    Ok(())
}

/// The settings that hold, where there are sound ones: of the farm that the store keeps, or of a file where it keeps none.
fn check_config(args: &Args, findings: &mut Findings) -> anyhow::Result<Option<Settings>> {
    let reader = Reader::open(&args.data.data).ok();
    let newest = reader.as_ref().map(Reader::farm_newest).transpose()?.flatten();
    let file = check_file(args, reader.as_ref(), findings)?;
    let Some(newest) = newest else {
        if file.is_none() {
            findings.good("no configuration: a gateway without zones (giot doctor --print-config)")?;
        }
        return Ok(file);
    };
    let in_force = reader.as_ref().map(Reader::farm_in_force).transpose()?.flatten();
    let in_force = in_force.map_or(0, |row| row.version);
    let by = format!("saved by {} on {} ({})", newest.by, format_time(newest.saved_us), newest.origin);
    let settings =
        match reader.as_ref().map(|reader| farm::compile_row(reader, &newest, Timing::default())).transpose()
        {
            Ok(settings) => settings.unwrap_or_default(),
            Err(error) => {
                findings.bad(&format!("{error}: giot farm export, mend it, giot farm import"))?;
                return Ok(None);
            }
        };
    let size = format!("{} zones on {} sources", settings.plan.zones.len(), settings.plan.sources.len());
    let version = newest.version;
    if in_force == version {
        findings.good(&format!("farm: version {version} is in force, {by}: {size}"))?;
    } else {
        findings.good(&format!(
            "farm: version {version}, {by}: {size}; not in force yet, version {in_force} is: giot serve, or its valves, are waited for"
        ))?;
    }
    Ok(Some(settings))
}

/// The settings of the file that `giot serve` would read, where there is a sound one.
fn check_file(
    args: &Args,
    reader: Option<&Reader>,
    findings: &mut Findings,
) -> anyhow::Result<Option<Settings>> {
    let file = match super::serve::file(args.config.as_deref(), &args.data.data) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(None),
        Err(error) => {
            findings.bad(&format!("{error:#}"))?;
            return Ok(None);
        }
    };
    let name = args.config.as_ref().map_or_else(|| file.name.clone(), |path| path.display().to_string());
    let settings = match compile(&name, &file.text) {
        Ok(settings) => settings,
        Err(error) => {
            findings.bad(&error.to_string())?;
            return Ok(None);
        }
    };
    let (n_zones, n_sources) = (settings.plan.zones.len(), settings.plan.sources.len());
    let from = reader.map(|reader| reader.farm_of_file(&file.name)).transpose()?.flatten();
    let is_known = reader.map(|reader| farm::is_known(reader, &file)).transpose()?.unwrap_or(false);
    let standing = match from {
        Some(row) if is_known => format!("; as version {} of the farm", row.version),
        Some(row) => format!(
            "; changed since it became version {}: giot serve takes it in when it starts",
            row.version
        ),
        None => "; giot serve takes it in when it starts".to_owned(),
    };
    findings.good(&format!("{name}: {n_zones} zones on {n_sources} sources{standing}"))?;
    Ok(Some(settings))
}

fn check_store(args: &Args, settings: Option<&Settings>, findings: &mut Findings) -> anyhow::Result<()> {
    let dir = &args.data.data;
    if let Some(finding) = giot_store::check_log(dir)? {
        findings
            .bad(&format!("store: {finding}: the next start keeps what is damaged and says what is lost"))?;
    }
    let reader = match Reader::open(dir) {
        Ok(reader) => reader,
        Err(error) => {
            let error = anyhow::Error::new(error);
            let is_damaged = error.chain().any(giot_store::is_corruption);
            let remedy = if is_damaged { ": damaged: giot store repair" } else { "" };
            return findings.bad(&format!("{}: {error:#}{remedy}", dir.display()));
        }
    };
    let stats = reader.stats()?;
    findings.good(&format!(
        "store: {} readings of {} series in {} chunks and {} journal rows, {:.1} MB",
        stats.n_samples,
        stats.n_series,
        stats.n_chunks,
        stats.n_journal_rows,
        mebibytes(stats.file_bytes)
    ))?;
    if stats.n_damaged > 0 {
        findings.bad(&format!(
            "store: {} damaged parts; what they held is lost, the rest is readable",
            stats.n_damaged
        ))?;
    }
    check_disk(&reader, settings, findings)?;
    check_mended(&reader, findings)?;
    check_room(&reader, findings)?;
    check_series(&reader, findings)?;
    for sink in reader.sinks()? {
        let what = super::sink::describe(&reader, &sink)?;
        if super::sink::needs_attention(&sink) {
            findings.bad(&format!("{what}: giot sink status"))?;
        } else {
            findings.good(&what)?;
        }
    }
    for message in settings.into_iter().flat_map(|settings| &settings.messages) {
        findings.good(&super::message::describe(&reader, &message.name)?)?;
    }
    for flawed in reader.flawed_rows()? {
        findings.bad(&format!("store: {flawed}: giot store repair sets it right if one bit has changed"))?;
    }
    match reader.verify_diary()? {
        DiaryProof::Whole { n_rows, .. } => {
            findings.good(&format!("diary: {n_rows} entries, the chain is whole"))?
        }
        DiaryProof::Broken { first_bad_id } => {
            findings
                .bad(&format!("diary: entry {first_bad_id} was changed or removed after it was written"))?;
        }
    }
    let devices = reader.devices()?;
    findings.good(&format!("devices: {} registered", devices.len()))?;
    let now = Clock::system(None).wall_unchecked();
    for (node, news) in news::from_rows(&reader.memory()?) {
        for warning in super::node::warnings(&news, now) {
            findings.bad(&format!("node {node}: {warning}"))?;
        }
    }
    for (zone, plan) in settings.into_iter().flat_map(|settings| &settings.plan.zones) {
        let node = plan.valve.node.as_str();
        if devices.iter().all(|device| device.id.as_ref() != node) {
            findings
                .bad(&format!("zone {zone}: its valve's node is not registered: giot node add {node}"))?;
        }
    }
    let newest = crate::newest(&reader)?;
    match (Clock::system(newest).wall(), newest) {
        (Some(now), _) => findings.good(&format!("clock: {}", format_time(now.0.saturating_mul(1000)))),
        (None, newest) => findings.bad(&format!(
            "clock: not set, or behind the last diary entry ({}): nothing is watered by schedule until it is right",
            newest.map_or_else(|| "none".to_owned(), |at| format_time(at.0.saturating_mul(1000)))
        )),
    }
}

/// Whether the disk has room for what may come.
fn check_disk(reader: &Reader, settings: Option<&Settings>, findings: &mut Findings) -> anyhow::Result<()> {
    let dir = reader.dir();
    let room = DiskRoom::of(dir).with_context(|| format!("ask for the room in {}", dir.display()))?;
    let free = room.free_bytes;
    let name = format!("disk of {}: {:.1} MiB free", dir.display(), mebibytes(free));
    match room.state {
        DiskState::Full => {
            return findings.bad(&format!(
                "{name}: full, nothing more is stored and nodes keep their readings; make room: giot-schema-*.sqlite and giot-damaged-*.sqlite are copies"
            ));
        }
        DiskState::Low => {
            let least = mebibytes(DISK_FREE_MIN);
            return findings.bad(&format!(
                "{name}, {least:.0} MiB may be needed at once: make room, or set store.disk_mib_max"
            ));
        }
        DiskState::Ok => {}
    }
    if let Some(bytes_max) = settings.and_then(|settings| settings.retention.bytes_max) {
        let used = reader.stats()?.file_bytes;
        if bytes_max > used.saturating_add(free) {
            return findings.bad(&format!(
                "{name}, but store.disk_mib_max lets the store grow by {:.1} MiB: it would be full before anything is given up",
                mebibytes(bytes_max.saturating_sub(used))
            ));
        }
    }
    findings.good(&name)
}

/// What was lost when the store was last mended; told until the damaged file is taken away.
fn check_mended(reader: &Reader, findings: &mut Findings) -> anyhow::Result<()> {
    let Some(note) = reader.mended()? else { return Ok(()) };
    let at = format_time(note.at_us);
    let kept = note.file.map(|name| reader.dir().join(name)).filter(|path| path.exists());
    let Some(kept) = kept else {
        return findings.good(&format!("store: mended on {at}, {} parts lost", note.n_lost));
    };
    findings.bad(&format!(
        "store: damaged and mended on {at}, {} parts lost; the damaged file is {}: copy it elsewhere, then remove it here; a backup may hold more (giot restore)",
        note.n_lost,
        kept.display()
    ))?;
    note.lost.iter().try_for_each(|lost| say(&format!("      lost {lost}")))
}

/// What was given up because the store was larger than it may be.
fn check_room(reader: &Reader, findings: &mut Findings) -> anyhow::Result<()> {
    let Some(room) = reader.room()? else { return Ok(()) };
    let (used, max) = (mebibytes(room.used_bytes), mebibytes(room.bytes_max));
    if room.is_over {
        findings.bad(&format!(
            "store: {used:.1} MiB in use, {max:.1} MiB allowed (store.disk_mib_max), and nothing is left that may be given up"
        ))?;
    }
    let at = format_time(room.at_us);
    if let Some(before_us) = room.readings_before_us {
        let before = format_time(before_us);
        findings.bad(&format!(
            "store: on {at} readings before {before} were given up for room (store.disk_mib_max); their hours and days stay"
        ))?;
    }
    if let Some(before_us) = room.hours_before_us {
        let before = format_time(before_us);
        findings
            .bad(&format!("store: on {at} hours before {before} were given up for room; their days stay"))?;
    }
    Ok(())
}

/// Reads every series to its end: only so damage shows that no one has met yet.
fn check_series(reader: &Reader, findings: &mut Findings) -> anyhow::Result<()> {
    let series = reader.series()?;
    let bar = ProgressBar::new(u64::try_from(series.len())?)
        .with_style(ProgressStyle::with_template("reading the history {wide_bar} {pos}/{len} series")?);
    let mut n_whole = 0_usize;
    for one in &series {
        let everything = i64::MIN..i64::MAX;
        let read =
            reader.samples(&one.device, &one.metric, everything, &mut |_| ControlFlow::Continue(()))?;
        let n_damaged = read.n_damaged_chunks + read.n_damaged_journal_rows;
        if n_damaged == 0 {
            n_whole += 1;
        } else {
            let (device, metric) = (&one.device, &one.metric);
            let from = read
                .gaps
                .first()
                .map_or_else(String::new, |gap| format!(", first at {}", format_time(gap.from_us)));
            bar.suspend(|| {
                findings.bad(&format!(
                    "history: {device} {metric}: {n_damaged} damaged parts{from}; the rest is readable"
                ))
            })?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    findings.good(&format!(
        "history: {n_whole} of {} series read to their end, every checksum holds",
        series.len()
    ))
}

#[expect(clippy::cast_precision_loss, reason = "a size for people")]
fn mebibytes(n_bytes: u64) -> f64 {
    n_bytes as f64 / 1_048_576.0
}
