//! `giot serve`: the gateway.

use super::{DataFolder, Signals, UsageError, read_file, runtime, say, start_log};
use crate::config::{Settings, compile};
use crate::farm::{self, Farm, FarmFile};
use crate::{Gateway, Options};
use giot_engine::Timing;
use giot_store::Reader;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Run the gateway: broker, history, irrigation, page
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot serve
  giot serve --data /var/lib/giot --http 0.0.0.0:8080 --mqtt 0.0.0.0:1883 --config farm.toml
  giot serve --data /tmp/try --http 127.0.0.1:0 --mqtt 127.0.0.1:0 --anonymous

Prints one line `ready http=ADDR mqtt=ADDR` once both accept. The farm is kept in DIR with its history (giot farm log). A file
of --config, or DIR/giot.toml, becomes a new version of it when the file's text differs from the last one that came from it;
without a file the newest version is used, and
instead of a file that has lost every zone (giot farm import --remove-all means it). `giot doctor --print-config` writes a file with every key. The page asks for the secret in DIR/admin-secret.
Exit codes: 0 stopped as asked, 1 failed, 2 wrong usage or configuration, 3 data folder in use or written by a newer giot.
GIOT_LOG=debug says more.")]
pub(super) struct Args {
    #[command(flatten)]
    data: DataFolder,
    /// Address of the page and the API
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Address of the embedded MQTT broker
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:1883")]
    mqtt: SocketAddr,
    /// Let everybody publish and use the page; only on 127.0.0.1
    #[arg(long)]
    anonymous: bool,
    /// Zones, probes, valves, broker (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    // The broker's library tells of each connection; what matters of it, the gateway tells itself.
    start_log("info");
    let file = file(args.config.as_deref(), &args.data.data)?;
    if let Some(file) = &file {
        // Before the data folder is touched, and under the name that it was given.
        let name =
            args.config.as_deref().map_or_else(|| file.name.clone(), |path| path.display().to_string());
        compile(&name, &file.text)?;
    }
    if args.anonymous && !(args.http.ip().is_loopback() && args.mqtt.ip().is_loopback()) {
        let what = "--anonymous lets everybody in, so --http and --mqtt must be on 127.0.0.1";
        return Err(UsageError(what.to_owned()).into());
    }
    let options = Options {
        data: args.data.data.clone(),
        http: args.http,
        mqtt: args.mqtt,
        anonymous: args.anonymous,
        farm: Farm::Kept { file, timing: Timing::default() },
        demo_time: None,
    };
    runtime()?.block_on(async {
        let mut signals = Signals::listen()?;
        let gateway = Gateway::start(options).await?;
        let ready = format!("ready http={} mqtt={}", gateway.http, gateway.mqtt);
        let mut up = gateway.link().up();
        gateway
            .run_until(async move {
                tokio::select! {
                    () = signals.asked_to_stop() => return,
                    // At once for the embedded broker; an external one may be away. An error means that the link has ended.
                    _ = up.wait_for(|up| *up) => {}
                }
                if let Err(error) = say(&ready) {
                    tracing::error!(%error, "nobody hears that the gateway is ready");
                }
                signals.asked_to_stop().await;
            })
            .await
    })
}

/// The farm's file: of `--config`, or DIR/giot.toml where it is there.
pub(super) fn file(config: Option<&Path>, data: &Path) -> anyhow::Result<Option<FarmFile>> {
    let beside = data.join("giot.toml");
    let file = match config {
        Some(file) => file,
        None if beside.exists() => &beside,
        None => return Ok(None),
    };
    let text = read_file(file)?;
    // One file has one name, wherever the command is given.
    let name = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned()).display().to_string();
    Ok(Some(FarmFile { name, text, by: operator() }))
}

/// Who gives commands, as the system calls them.
pub(super) fn operator() -> String {
    let names = ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    names.into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| "command line".to_owned())
}

/// The settings for a command that looks back: of `--config`, else of the farm that the data folder holds, else of
/// DIR/giot.toml, or the defaults.
pub(super) fn settings(config: Option<&Path>, data: &Path) -> anyhow::Result<Settings> {
    if let Some(file) = config {
        return Ok(compile(&file.display().to_string(), &read_file(file)?)?);
    }
    if let Some(settings) = Reader::open(data).ok().map(|reader| farm::newest(&reader)).transpose()?.flatten()
    {
        return Ok(settings);
    }
    match file(None, data)? {
        Some(file) => Ok(compile(&file.name, &file.text)?),
        None => Ok(Settings::default()),
    }
}
