//! `giot bench ingest`: how many readings a second this machine takes in durably, over MQTT, beside the least that a durable
//! acknowledgement costs here and, where it is installed, beside Mosquitto.
//!
//! They are processes of their own, one after the other, so that processor time and memory are theirs alone; the load runs
//! in this one. Must not leave a process behind.

use super::bench::Folder;
use super::{runtime, say};
use crate::clock::{Clock, monotonic};
use crate::mqtt::bench::{Flood, Load, VALUES, flood, floor};
use anyhow::{Context, ensure};
use giot_store::{Store, measure};
use indicatif::{ProgressBar, ProgressStyle};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Rate of the quiet part: a large farm's.
const QUIET_PER_S: u32 = 200;

/// Devices of the quiet part, one message at a time each.
const QUIET_DEVICES: u32 = 20;

/// How long Mosquitto may take to listen, and how often it is looked at.
const START_MAX: Duration = Duration::from_secs(10);
const START_LOOK: Duration = Duration::from_millis(5);

/// Ticks of processor time in a second, as Linux tells them to programs (USER_HZ).
const TICKS_PER_S: f64 = 100.0;

/// Let devices publish to a gateway of this machine, and say how fast readings are durable, beside a floor and Mosquitto
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot bench ingest                                     100 devices, 20 messages in flight each, 10 seconds
  giot bench ingest --connections 1000 --in-flight 1 --seconds 30
  giot bench ingest --data /mnt/card/try --json         on the disk that counts; one JSON line

Starts a gateway on 127.0.0.1 with a folder of its own and floods it with messages of six readings (QoS 1), then sends 200 messages
a second. The floor does the same work without understanding a word: it appends each message to a file, brings it to the disk and
acknowledges. Where Mosquitto is installed (in PATH or /usr/sbin), it gets the same load, with its queue written once a second: it
acknowledges without waiting for the disk. Quote the ratios: the machine's load changes the rest. At the end it is checked that every reading that was
acknowledged is in the history. Without --data a temporary folder is used, which some systems keep in memory.")]
pub(super) struct Args {
    /// Devices, each with a connection of its own
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Messages of a device on their way at once
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    in_flight: u16,
    /// Length of the flood; the quiet part takes half as long
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// End with one JSON line
    #[arg(long)]
    json: bool,
    /// Empty folder to write to; it is kept
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// The floor of `giot bench ingest`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot bench floor --log floor.log      started by giot bench ingest

Prints `ready mqtt=ADDR` and serves until it is stopped.")]
pub(super) struct FloorArgs {
    /// File to append to
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
}

pub(super) fn run_floor(args: &FloorArgs) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("bind the floor")?;
        say(&format!("ready mqtt={}", listener.local_addr()?))?;
        floor(listener, &args.log).await
    })
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let folder = Folder::new(args.data.as_deref())?;
    let bar = ProgressBar::new(u64::from(args.seconds) * if mosquitto().is_some() { 45 } else { 30 });
    bar.set_style(ProgressStyle::with_template("{msg:18} {wide_bar} {elapsed}")?);
    let least = one(args, &folder.path, &Kind::Floor, &bar)?;
    let mosquitto = match mosquitto() {
        Some(program) => Some(one(args, &folder.path, &Kind::Mosquitto(program), &bar)?),
        None => None,
    };
    let gateway = one(args, &folder.path, &Kind::Gateway, &bar)?;
    bar.finish_and_clear();
    let size = size(&folder.path.join("gateway"), &gateway)?;
    say(&text(&least, mosquitto.as_ref(), &gateway, &size))?;
    if args.json {
        let line = serde_json::json!({
            "connections": args.connections, "in_flight": args.in_flight, "seconds": args.seconds,
            "gateway": gateway.json(), "floor": least.json(), "mosquitto": mosquitto.as_ref().map(Figures::json),
            "bytes_per_reading": size.as_stopped, "bytes_per_reading_compact": size.compact,
            "ratio_msgs_per_s": round(gateway.msgs_per_s() / least.msgs_per_s()),
            "ratio_quiet_p50": round(ratio(gateway.quiet.waits.percentile(50), least.quiet.waits.percentile(50))),
            "ratio_msgs_per_s_mosquitto":
                mosquitto.as_ref().map(|peer| round(gateway.msgs_per_s() / peer.msgs_per_s())),
            "ratio_cpu_mosquitto":
                mosquitto.as_ref().map(|peer| round(gateway.cpu_s_per_100k() / peer.cpu_s_per_100k().max(1e-9))),
        });
        say(&line.to_string())?;
    }
    Ok(())
}

enum Kind {
    Gateway,
    Floor,
    /// With the program's path.
    Mosquitto(PathBuf),
}

impl Kind {
    const fn name(&self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Floor => "floor",
            Self::Mosquitto(_) => "Mosquitto",
        }
    }
}

/// Where Mosquitto is, if it is installed. Debian puts it where only the administrator's PATH looks.
fn mosquitto() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("mosquitto")).find(|program| program.is_file())
}

/// A process that is measured; gone with this.
struct Server {
    child: Child,
    addr: SocketAddr,
}

impl Server {
    fn start(kind: &Kind, folder: &Path) -> anyhow::Result<Self> {
        let (words, kept): (&[&str], _) = match kind {
            Kind::Gateway => (
                &["serve", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--anonymous", "--data"],
                "gateway",
            ),
            Kind::Floor => (&["bench", "floor", "--log"], "floor.log"),
            Kind::Mosquitto(program) => return Self::start_mosquitto(program, folder),
        };
        let mut command = Command::new(std::env::current_exe().context("find this program")?);
        command.args(words).arg(folder.join(kept)).env("GIOT_LOG", "warn");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start a process to measure")?;
        let stdout = child.stdout.take().context("hear the process")?;
        let mut server = Self { child, addr: ([127, 0, 0, 1], 0).into() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let addr = line.split_whitespace().find_map(|word| word.strip_prefix("mqtt="));
        server.addr = addr.with_context(|| format!("it did not become ready: {line:?}"))?.parse()?;
        Ok(server)
    }

    /// With what it needs to keep messages over its own end, and without what would slow it for nothing.
    fn start_mosquitto(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        // It says nowhere which port the system chose: one that was free a moment ago.
        let addr = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr())?;
        let kept = folder.join("mosquitto");
        std::fs::create_dir_all(&kept).with_context(|| format!("make {}", kept.display()))?;
        let file = folder.join("mosquitto.conf");
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\nuser root\n\
             persistence true\npersistence_location {}/\nautosave_interval 1\n",
            addr.port(),
            kept.display()
        );
        std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Self { child: command.spawn().context("start Mosquitto")?, addr };
        let began = monotonic();
        while std::net::TcpStream::connect(addr).is_err() {
            ensure!(
                server.child.try_wait()?.is_none(),
                "Mosquitto ended at once: {} -c {}",
                program.display(),
                file.display()
            );
            ensure!(began.elapsed() < START_MAX, "Mosquitto did not become ready");
            std::thread::sleep(START_LOOK);
        }
        Ok(server)
    }

    /// User and system time used so far.
    fn cpu_s(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("read the process's times")?;
        let ticks = |idx: usize| fields.split_whitespace().nth(idx).and_then(|text| text.parse::<u32>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).context("read the process's times")?;
        Ok((f64::from(user) + f64::from(system)) / TICKS_PER_S)
    }

    fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process")?;
        kill_process(pid, Signal::TERM).context("stop the process")?;
        self.child.wait().map(drop).context("wait for the process")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails where it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What one server came to.
struct Figures {
    first_stored: Duration,
    flood: Flood,
    quiet: Flood,
    cpu_s: f64,
    rss_peak_mib: Option<f64>,
    n_acked: u64,
}

fn one(args: &Args, folder: &Path, kind: &Kind, bar: &ProgressBar) -> anyhow::Result<Figures> {
    bar.set_message(kind.name());
    let began = monotonic();
    let server = Server::start(kind, folder)?;
    // An hour ago, so that the newest is not of the future.
    let from_ms = Clock::system(None).wall_unchecked().0 - 3_600_000;
    let load = Load {
        addr: server.addr,
        n_connections: args.connections,
        n_in_flight: args.in_flight,
        span: Duration::from_secs(args.seconds.into()),
        rate_per_s: None,
        from_ms,
    };
    let hour = |n: i64| from_ms - n * 3_600_000;
    let first = Load { n_connections: 1, n_in_flight: 1, span: Duration::ZERO, from_ms: hour(1), ..load };
    let quiet = Load {
        n_connections: QUIET_DEVICES,
        rate_per_s: Some(QUIET_PER_S),
        span: load.span / 2,
        from_ms: hour(2),
        ..load
    };
    let n_acked = Arc::new(AtomicU64::new(0));
    let (first_stored, flooded, cpu_s, quieted) = runtime()?.block_on(async {
        let (done, mut is_done) = tokio::sync::oneshot::channel::<()>();
        let moving = async {
            // The bar moves with time; it ends with the load.
            while tokio::time::timeout(Duration::from_millis(100), &mut is_done).await.is_err() {
                bar.inc(1);
            }
        };
        let measuring = async {
            flood(first, &n_acked).await?;
            let first_stored = monotonic().duration_since(began);
            let before_s = server.cpu_s()?;
            let flooded = flood(load, &n_acked).await?;
            let cpu_s = server.cpu_s()? - before_s;
            let quieted = flood(quiet, &n_acked).await?;
            drop(done);
            anyhow::Ok((first_stored, flooded, cpu_s, quieted))
        };
        let (measured, ()) = tokio::join!(measuring, moving);
        measured
    })?;
    let rss_peak_mib = super::bench::rss_peak_mib(&server.child.id().to_string());
    server.stop()?;
    let n_acked = n_acked.load(Ordering::Relaxed);
    Ok(Figures { first_stored, flood: flooded, quiet: quieted, cpu_s, rss_peak_mib, n_acked })
}

impl Figures {
    fn msgs_per_s(&self) -> f64 {
        super::bench::ratio(self.flood.n_acked, 1) / self.flood.elapsed.as_secs_f64().max(1e-9)
    }

    fn cpu_s_per_100k(&self) -> f64 {
        self.cpu_s * 100_000.0 / super::bench::ratio(self.flood.n_acked.max(1), 1)
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "msgs_per_s": self.msgs_per_s().round(),
            "messages": self.n_acked,
            "cpu_s_per_100k": round(self.cpu_s_per_100k()),
            "flood_p50_ms": ms(self.flood.waits.percentile(50)),
            "flood_p99_ms": ms(self.flood.waits.percentile(99)),
            "quiet_p50_ms": ms(self.quiet.waits.percentile(50)),
            "quiet_p99_ms": ms(self.quiet.waits.percentile(99)),
            "rss_peak_mib": self.rss_peak_mib.map(round),
            "first_stored_s": round(self.first_stored.as_secs_f64()),
        })
    }
}

/// Bytes a reading takes.
struct Size {
    as_stopped: f64,
    compact: f64,
}

/// Measures what the gateway kept, and that it is all there.
fn size(dir: &Path, gateway: &Figures) -> anyhow::Result<Size> {
    let stopped = measure(dir)?;
    let n_readings = gateway.n_acked * VALUES;
    let per_reading = |n_bytes: u64| round(super::bench::ratio(n_bytes, n_readings.max(1)));
    let store = Store::open(dir)?;
    store.compact()?;
    let n_kept = store.reader().stats()?.n_samples;
    store.close()?;
    ensure!(n_kept == n_readings, "{n_readings} readings were acknowledged, {n_kept} are in the history");
    let compact = measure(dir)?;
    Ok(Size {
        as_stopped: per_reading(stopped.file_bytes + stopped.log_bytes),
        compact: per_reading(compact.file_bytes + compact.log_bytes),
    })
}

fn text(least: &Figures, mosquitto: Option<&Figures>, gateway: &Figures, size: &Size) -> String {
    let cell = |figure: Option<f64>, digits: usize| {
        figure.map_or_else(String::new, |figure| format!("{figure:>10.digits$}"))
    };
    let row = |what: &str, unit: &str, figure: &dyn Fn(&Figures) -> f64, digits: usize| {
        let ours = figure(gateway);
        let others = [Some(least), mosquitto].map(|other| other.map(figure));
        let [floor, peer] = others.map(|other| cell(other, digits));
        let [to_floor, to_peer] = others.map(|other| cell(other.map(|other| ours / other.max(1e-9)), 2));
        format!("{what:30} {ours:>10.digits$} {floor:>10} {peer:>10} {unit:14} {to_floor:>8} {to_peer:>11}")
    };
    let wait = |figures: &Flood, percent: u64| figures.waits.percentile(percent).as_secs_f64() * 1_000.0;
    let (peer, to_peer) = if mosquitto.is_some() { ("Mosquitto", ": Mosquitto") } else { ("", "") };
    [
        format!(
            "{:30} {:>10} {:>10} {peer:>10} {:14} {:>8} {to_peer:>11}",
            "", "gateway", "floor", "", ": floor"
        ),
        row("flood", "messages/s", &Figures::msgs_per_s, 0),
        row("processor", "s per 100,000", &Figures::cpu_s_per_100k, 3),
        row("publish to PUBACK, flood p50", "ms", &|of| wait(&of.flood, 50), 2),
        row("publish to PUBACK, flood p99", "ms", &|of| wait(&of.flood, 99), 2),
        row("publish to PUBACK, 200/s p50", "ms", &|of| wait(&of.quiet, 50), 2),
        row("publish to PUBACK, 200/s p99", "ms", &|of| wait(&of.quiet, 99), 2),
        row("start to first PUBACK", "s", &|of| of.first_stored.as_secs_f64(), 3),
        row("memory at most", "MiB", &|of| of.rss_peak_mib.unwrap_or(f64::NAN), 1),
        format!(
            "{:30} {:>10.3} bytes, {:.3} when compact",
            "a reading on the disk", size.as_stopped, size.compact
        ),
        format!(
            "{} messages of {VALUES} readings were acknowledged by the gateway, all are in the history",
            gateway.n_acked
        ),
        match mosquitto {
            Some(_) => {
                "Mosquitto acknowledges without waiting for the disk; gateway and floor wait".to_owned()
            }
            None => {
                "Mosquitto is not installed (apt-get install mosquitto): nothing to compare with".to_owned()
            }
        },
    ]
    .join("\n")
}

fn ms(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1_000.0)
}

fn ratio(ours: Duration, theirs: Duration) -> f64 {
    ours.as_secs_f64() / theirs.as_secs_f64().max(1e-9)
}

fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
