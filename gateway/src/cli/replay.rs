//! `giot replay`: plays a station's history through real nodes over MQTT, then proves that it all arrived.

use super::{UsageError, read_file, runtime, say, start_log};
use crate::farm::Farm;
use crate::hub::registry::{Device, DeviceKind};
use crate::replay::{self, Comparison, Station, Track};
use crate::{Gateway, Options};
use anyhow::Context;
use giot_board_host::FlashStore;
use giot_board_host::station::{StationRow, StationSpeed, run_station};
use giot_firmware::settings::NodeConfig;
use giot_shared::ids::NodeId;
use giot_store::{Reader, register_device};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use tokio::sync::watch;

/// Play a station's history (CSV) through real nodes over MQTT into the store, and compare
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot replay station.csv                             a gateway of its own in giot-replay/
  giot replay station.csv --map columns.toml --speed 86400
  giot replay station.csv --data giot-data --mqtt 127.0.0.1:1883
                                                      through a running gateway; its data folder gives the nodes' keys

The map says which column is which metric of which node:
  time = \"datetime\"
  time_format = \"%Y-%m-%d %H:%M:%S\"
  [[column]]
  column = \"vwc_5cm\"      # heading in the file
  device = \"depth-5cm\"    # node that reads it
  metric = \"soil_vwc\"     # m3/m3; giot knows soil_moisture, soil_vwc, soil_temperature, rain, battery, ...
Without --map the headings of common research stations are known. Nodes are registered where they are not.
At the end every series of the history is held against the file, value by value; exit code 1 when they differ.")]
pub(super) struct Args {
    /// The station's file, first line = headings
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
    /// Column map
    #[arg(long, value_name = "FILE.toml")]
    map: Option<PathBuf>,
    /// Data folder of the gateway
    #[arg(long, value_name = "DIR", default_value = "giot-replay")]
    data: PathBuf,
    /// Broker of a running gateway; without it one is started
    #[arg(long, value_name = "ADDR")]
    mqtt: Option<String>,
    /// How many times as fast as the station lived, or max
    #[arg(long, value_name = "N", default_value = "max", value_parser = parse_speed)]
    speed: StationSpeed,
}

fn parse_speed(text: &str) -> Result<StationSpeed, String> {
    if text == "max" {
        return Ok(StationSpeed::Max);
    }
    match text.parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(StationSpeed::Factor(factor)),
        _ => Err("a number above 0, or max".to_owned()),
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    start_log("warn");
    let csv_name = args.file.display().to_string();
    let csv = std::fs::read(&args.file).map_err(|error| UsageError(format!("{csv_name}: {error}")))?;
    let station = match &args.map {
        Some(map) => replay::read(&map.display().to_string(), &read_file(map)?, &csv_name, &csv),
        None => replay::read("the built-in map", replay::COLUMNS, &csv_name, &csv),
    };
    let Station { tracks, ignored } = station.map_err(|error| UsageError(error.to_string()))?;
    if !ignored.is_empty() {
        say(&format!("not replayed, because the map does not name them: {}", ignored.join(", ")))?;
    }
    std::fs::create_dir_all(&args.data).with_context(|| format!("make {}", args.data.display()))?;
    let devices = devices(&args.data, tracks.keys())?;
    let is_whole = runtime()?.block_on(play(args, &tracks, &devices))?;
    if !is_whole {
        anyhow::bail!("stopped before the end; the same command goes on and doubles nothing");
    }
    report(&args.data, &tracks)
}

/// The nodes' keys; nodes that are not registered are.
fn devices<'a>(
    data: &Path,
    nodes: impl Iterator<Item = &'a NodeId>,
) -> anyhow::Result<BTreeMap<NodeId, Device>> {
    let mut devices = BTreeMap::new();
    for id in nodes {
        // The station's past is older than its registration.
        let device = super::node::new_device(DeviceKind::Station, "replay", 0)?;
        register_device(data, &device.to_row(id), None).context("register a node")?;
        devices.insert(id.clone(), device);
    }
    let known = Reader::open(data)?.devices()?;
    for (id, device) in known.iter().filter_map(Device::from_row) {
        if let Some(mine) = devices.get_mut(&id) {
            if device.kind != DeviceKind::Station {
                let what =
                    format!("{id} is registered as {}: a replay needs kind station", device.kind.code());
                return Err(UsageError(what).into());
            }
            *mine = device;
        }
    }
    Ok(devices)
}

/// Runs one node a track until each has handed everything over; false when the operator stopped it.
async fn play(
    args: &Args,
    tracks: &BTreeMap<NodeId, Track>,
    devices: &BTreeMap<NodeId, Device>,
) -> anyhow::Result<bool> {
    let own = match &args.mqtt {
        Some(_) => None,
        None => Some(Gateway::start(own_gateway(args)).await?),
    };
    let broker = match (&args.mqtt, &own) {
        (Some(addr), _) => addr.clone(),
        (None, Some(gateway)) => gateway.mqtt.clone(),
        (None, None) => anyhow::bail!("no broker"),
    };
    let (stop, stopped) = watch::channel(false);
    let nodes = async {
        let result = run_nodes(args, &broker, tracks, devices, &stopped).await;
        // Fails only when the gateway is gone.
        stop.send(true).ok();
        result
    };
    let mut signals = super::Signals::listen()?;
    let interrupted = async {
        signals.asked_to_stop().await;
        stop.send(true).ok();
        std::future::pending::<()>().await;
    };
    let Some(gateway) = own else {
        return tokio::select! { result = nodes => result, () = interrupted => Ok(false) };
    };
    let mut stopped = stopped.clone();
    let until_done = async move {
        // An error means that the sender is gone, which is a stop as well.
        stopped.wait_for(|stop| *stop).await.ok();
    };
    let both = async { tokio::join!(gateway.run_until(until_done), nodes) };
    tokio::select! {
        (served, played) = both => {
            served?;
            played
        }
        () = interrupted => Ok(false),
    }
}

fn own_gateway(args: &Args) -> Options {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Options {
        data: args.data.clone(),
        http: loopback,
        mqtt: loopback,
        anonymous: false,
        farm: Farm::Given(Box::default()),
        demo_time: None,
    }
}

async fn run_nodes(
    args: &Args,
    broker: &str,
    tracks: &BTreeMap<NodeId, Track>,
    devices: &BTreeMap<NodeId, Device>,
    stopped: &watch::Receiver<bool>,
) -> anyhow::Result<bool> {
    let bars = MultiProgress::new();
    let style = ProgressStyle::with_template("{prefix:12} {wide_bar} {pos}/{len} rows, {msg}")?;
    let flash_dir = args.data.join("replay");
    std::fs::create_dir_all(&flash_dir).with_context(|| format!("make {}", flash_dir.display()))?;
    let mut tasks = tokio::task::JoinSet::new();
    for (id, track) in tracks {
        let Some(device) = devices.get(id) else { continue };
        let bar = bars.add(ProgressBar::new(u64::try_from(track.rows.len())?));
        bar.set_style(style.clone());
        bar.set_prefix(id.to_string());
        let flash = FlashStore::file(&flash_dir.join(format!("{id}.flash")), false)
            .with_context(|| format!("open the flash of {id}"))?;
        let config = NodeConfig::new(id.clone(), device.key.clone());
        let rows = rows(track);
        let (broker, speed, mut stopped) = (broker.to_owned(), args.speed, stopped.clone());
        let n_rows = u64::try_from(track.rows.len())?;
        tasks.spawn(async move {
            let progress = |progress: giot_board_host::station::StationProgress| {
                bar.set_position(progress.rows);
                let state = if progress.connected { "" } else { ", not connected" };
                bar.set_message(format!("{} waiting{state}", progress.waiting));
            };
            let shutdown = async move {
                // An error means that the sender is gone, which is a stop as well.
                stopped.wait_for(|stop| *stop).await.ok();
            };
            let end = run_station(config, flash, broker, rows.into_iter(), speed, progress, shutdown).await;
            end.map(|end| end.rows >= n_rows && end.waiting == 0).map_err(|error| anyhow::anyhow!("{error}"))
        });
    }
    let mut is_whole = true;
    while let Some(end) = tasks.join_next().await {
        is_whole &= end??;
    }
    Ok(is_whole)
}

fn rows(track: &Track) -> Vec<StationRow> {
    let with_columns = |values: &[Option<i32>]| {
        track
            .columns
            .iter()
            .zip(values)
            .map(|(column, value)| (column.probe, column.metric, *value))
            .collect()
    };
    track.rows.iter().map(|row| StationRow { unix: row.at, values: with_columns(&row.values) }).collect()
}

/// Holds the history against the file and prints what it found.
fn report(data: &Path, tracks: &BTreeMap<NodeId, Track>) -> anyhow::Result<()> {
    let reader = Reader::open(data)?;
    say(&format!(
        "{:40} {:>8} {:>8} {:>8} {:>8} {:>10}",
        "series", "values", "equal", "missing", "flagged", "impossible"
    ))?;
    let mut differing = Vec::new();
    for (device, track) in tracks {
        for comparison in replay::compare(&reader, device, track)? {
            let Comparison {
                series,
                n_values,
                n_equal,
                n_missing,
                n_flagged_missing,
                n_flagged_impossible,
                ..
            } = &comparison;
            say(&format!(
                "{series:40} {n_values:>8} {n_equal:>8} {n_missing:>8} {n_flagged_missing:>8} {n_flagged_impossible:>10}"
            ))?;
            if !comparison.is_equal() {
                differing.push(series.clone());
            }
        }
    }
    anyhow::ensure!(differing.is_empty(), "the history differs from the file: {}", differing.join(", "));
    say("every value and every gap of the file is in the history, exactly once")?;
    say(&format!("data folder: {} (giot export --data {0} --device … --metric …)", data.display()))
}
