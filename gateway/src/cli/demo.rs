//! `giot demo`: everything at once on simulated soil, to look at and to try.

use super::{Signals, UsageError, runtime, say, start_log};
use crate::clock::Clock;
use crate::demo::{HISTORY_DAYS, Orchard, TIMING};
use crate::farm::{self, FarmFile};
use crate::hub::registry::DeviceKind;
use crate::{Gateway, Options};
use anyhow::Context;
use giot_board_host::SimClock;
use giot_board_host::field::Farm;
use giot_store::{Batch, Store};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::sync::watch;

/// Show everything on a simulated cooperative: 3 households, 6 zones, 12 nodes, one pump
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot demo
  giot demo --speed 600 --http 127.0.0.1:9000
  giot demo --data demo-data          keeps the data folder; without it the demo leaves nothing behind

Open the address that it prints. Thirty days of history are there already; time runs --speed times as fast as the
world. The nodes are real firmware on a simulated board, speaking MQTT to a real gateway; only soil, weather and
water are computed.")]
pub(super) struct Args {
    /// Address of the page and the API
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Address of the embedded MQTT broker; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    mqtt: SocketAddr,
    /// How many times as fast as the world time runs
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    speed: u32,
    /// Weather and soil of the same seed are the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// A new folder that is kept
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    start_log("warn");
    if !(args.http.ip().is_loopback() && args.mqtt.ip().is_loopback()) {
        let what = "everybody may use a demo, so --http and --mqtt must be on 127.0.0.1";
        return Err(UsageError(what.to_owned()).into());
    }
    let folder = Folder::new(args.data.as_deref())?;
    runtime()?.block_on(demo(args, &folder.path))
}

async fn demo(args: &Args, data: &Path) -> anyhow::Result<()> {
    let start = Farm::demo_start(Clock::system(None).wall_unchecked());
    let (orchard, history) = Orchard::new(args.seed, start);
    let bar = ProgressBar::new(u64::try_from(history.samples.len())?)
        .with_style(ProgressStyle::with_template("thirty days of history {wide_bar} {pos}/{len} readings")?);
    let mut devices = BTreeMap::new();
    {
        let store = Store::open(data)?;
        let writer = store.writer();
        let mut batch = Batch::default();
        let created_us = start.minus_ms(u64::from(HISTORY_DAYS) * 86_400_000).0.saturating_mul(1000);
        for id in orchard.node_ids()? {
            let device = super::node::new_device(DeviceKind::Node, "", created_us)?;
            batch.devices.push(device.to_row(&id));
            devices.insert(id, device);
        }
        writer.commit(batch).await?;
        orchard.write_history(&history, &writer, |n| bar.inc(n as u64)).await?;
        tokio::task::spawn_blocking(move || store.close()).await??;
    }
    bar.finish_and_clear();
    let file = FarmFile { name: "demo".to_owned(), text: orchard.farm_file()?, by: "giot demo".to_owned() };
    let options = Options {
        data: data.to_owned(),
        http: args.http,
        mqtt: args.mqtt,
        anonymous: true,
        farm: farm::Farm::Kept { file: Some(file), timing: TIMING },
        demo_time: Some((start, args.speed)),
    };
    let mut signals = Signals::listen()?;
    let gateway = Gateway::start(options).await?;
    let clock = SimClock::new(gateway.clock.wall_unchecked(), f64::from(args.speed));
    let (stop, stopped) = watch::channel(false);
    let mut nodes = orchard.start_nodes(&clock, &gateway.mqtt, &devices, &stopped)?;
    say(&format!("Giọt demo: http://{}  (time runs ×{}; Ctrl-C ends it)", gateway.http, args.speed))?;
    say(&format!("ready http={} mqtt={}", gateway.http, gateway.mqtt))?;
    let ended = gateway
        .run_until(async {
            tokio::select! {
                () = signals.asked_to_stop() => {}
                Some(end) = nodes.join_next() => tracing::error!(?end, "a simulated node has ended"),
            }
        })
        .await;
    // Fails only when every node has ended.
    stop.send(true).ok();
    nodes.shutdown().await;
    ended
}

/// The data folder: the operator's, or one that goes with the demo.
struct Folder {
    path: PathBuf,
    is_temporary: bool,
}

impl Folder {
    fn new(data: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = data {
            if path.join("giot.sqlite").exists() {
                let what =
                    format!("--data {}: holds a store already; a demo needs a new folder", path.display());
                return Err(UsageError(what).into());
            }
            return Ok(Self { path: path.to_owned(), is_temporary: false });
        }
        let path = std::env::temp_dir().join(format!("giot-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self { path, is_temporary: true })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, folder = %self.path.display(), "the demo's folder stays behind");
        }
    }
}
