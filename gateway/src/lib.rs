//! The Giọt gateway: one process, one data folder, one way through.
//!
//! ```text
//! devices ─ MQTT ─▶ mqtt ─▶ hub ─▶ ingest (decode, date, deduplicate) ─▶ store (one commit a group) ─▶ acknowledgements
//!                            │
//!                            ├─▶ engine (only what changed) ─▶ signed commands ─▶ mqtt ─▶ valves
//!                            └─▶ view ─▶ api ─▶ page
//!                       store ─▶ sinks ─▶ time-series stores outside, when they can be reached
//! ```
//! The modules are shells around pure cores: rules about water are in `giot-engine`, rules about records in [`ingest`].
//! [`Gateway`] wires them and owns the order of stopping: sources first, then what they feed.

pub mod agro;
pub mod api;
pub mod backtest;
pub mod balance;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod farm;
pub mod history;
pub mod hub;
pub mod import;
pub mod ingest;
pub mod messages;
pub mod mqtt;
pub mod quality;
pub mod replay;
pub mod rules;
mod scrub;
pub mod sim;
pub mod sinks;
pub mod supervisor;
pub mod why;
pub mod words;

use anyhow::Context;
use clock::Clock;
use config::{ExternalBroker, Settings};
use farm::Farm;
use giot_engine::program::FarmState;
use giot_shared::time::UnixMs;
use giot_store::{Reader, Store, StoreOptions, Upkeep, Writer};
use hub::registry::{BrokerAccess, Registry};
use hub::view::FarmView;
use hub::{Hub, Parts, Request};
use mqtt::{Incoming, Link, Running};
use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use supervisor::Supervisor;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// File in the data folder that holds the admin secret.
pub(crate) const SECRET_FILE: &str = "admin-secret";

/// What a gateway is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of everything that is kept.
    pub data: PathBuf,
    /// Address of the page and the API; port 0 lets the system choose.
    pub http: SocketAddr,
    /// Address of the embedded broker; unused with an external one.
    pub mqtt: SocketAddr,
    /// Everybody may publish and nobody signs in: only on loopback, for a demo or a test.
    pub anonymous: bool,
    /// What it runs by.
    pub farm: Farm,
    /// A demo's time: start and speed.
    pub demo_time: Option<(UnixMs, u32)>,
}

/// A started gateway.
#[derive(Debug)]
pub struct Gateway {
    /// Where the page is.
    pub http: SocketAddr,
    /// Where the broker is, as `host:port`.
    pub mqtt: String,
    /// The gateway's time.
    pub clock: Clock,
    store: Store,
    link: Link,
    running: Running,
    requests: mpsc::Sender<Request>,
    tasks: Supervisor,
    stopping: watch::Sender<bool>,
}

impl Gateway {
    /// Opens the data folder, binds both addresses and starts every task; both accept when this returns.
    ///
    /// # Errors
    /// When the folder is in use or newer ([`giot_store::OpenError`]), an address cannot be bound, or the disk refuses.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let Options { data, http, mqtt, anonymous, farm, demo_time } = options;
        anyhow::ensure!(
            !anonymous || (http.ip().is_loopback() && mqtt.ip().is_loopback()),
            cli::UsageError(
                "--anonymous lets everybody in, so both addresses must be on this machine (127.0.0.1)"
                    .to_owned()
            )
        );
        std::fs::create_dir_all(&data).with_context(|| format!("make the data folder {}", data.display()))?;
        // The store tells of a group at once; its acknowledgements leave together.
        let choices = StoreOptions { tell_within: mqtt::broker::together, ..StoreOptions::default() };
        let store = open_store(&data, choices).await?;
        let reader = store.reader();
        let clock = start_clock(demo_time, &reader)?;
        let begin = farm::begin(farm, &reader, &store.writer(), clock).await?;
        let settings = begin.settings.clone();
        let registry = Registry::load(reader.clone())?;
        let auth = api::Auth::new(&admin_secret(&data)?, anonymous);
        let (listener, http) = listen(http).await?;
        let transport = match &settings.broker {
            None => embedded(mqtt, &registry, &settings, anonymous).await?,
            Some(broker) => external(broker, &settings, &data)?,
        };
        let (requests, requests_rx) = mpsc::channel(hub::REQUESTS_MAX);
        let (view, view_rx) = watch::channel(Arc::new(unseen(&clock, &settings)));
        let (diary, diary_rx) = watch::channel(0);
        let (stopping, stopping_rx) = watch::channel(false);
        let hub = Hub::new(Parts {
            clock,
            begin,
            anonymous,
            registry,
            reader: reader.clone(),
            writer: store.writer(),
            link: transport.link.clone(),
            incoming: transport.incoming,
            requests: requests_rx,
            view,
            diary,
        })
        .await?;
        let mut tasks = Supervisor::default();
        let around = sinks::Around {
            settings: &settings,
            reader: reader.clone(),
            writer: store.writer(),
            clock,
            stopping: stopping_rx.clone(),
        };
        let words = Arc::new(words::Words::default());
        let sinks = tell_others(&around, &view_rx, &diary_rx, &words, &mut tasks);
        let counting =
            balance::run(reader.clone(), view_rx.clone(), clock, requests.clone(), stopping.subscribe());
        let api = api::Api {
            auth,
            sinks: Arc::new(sinks),
            clock,
            view: view_rx.clone(),
            diary: diary_rx,
            requests: requests.clone(),
            reader,
            places: api::Places::default(),
            words,
            looked: scrub::start(data, clock, stopping.subscribe(), &mut tasks),
            stopping: stopping_rx,
        };
        tasks.spawn("hub", hub.run());
        tasks.spawn("balance", counting);
        tasks.spawn("http", api::serve(listener, api));
        tasks.spawn("upkeep", upkeep(store.writer(), view_rx, clock, stopping.subscribe()));
        let (link, running, mqtt) = (transport.link, transport.running, transport.address);
        Ok(Self { http, mqtt, clock, store, link, running, requests, tasks, stopping })
    }

    /// To the hub, for what people want.
    #[must_use]
    pub fn requests(&self) -> mpsc::Sender<Request> {
        self.requests.clone()
    }

    /// To the history.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.store.reader()
    }

    /// To the devices.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link.clone()
    }

    /// Runs until `shutdown`, then stops in the order of the data: valves are closed, the link takes nothing new, the hub
    /// hands over what came, the store commits and closes.
    ///
    /// # Errors
    /// When a task ended unasked, or something would not stop.
    pub async fn run_until(mut self, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        let failed = tokio::select! {
            () = shutdown => None,
            end = self.tasks.first_end() => end.err(),
            () = self.running.ended() => Some(anyhow::anyhow!("the MQTT link ended unasked")),
        };
        self.close_valves().await;
        // Fails only when nobody listens any more.
        self.stopping.send(true).ok();
        self.running.stop().await;
        drop(self.requests);
        let stopped = self.tasks.stop().await;
        let store = self.store;
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        if let Some(error) = failed {
            return Err(error);
        }
        stopped?;
        closed.context("close the store")?.context("close the store")
    }

    /// A stopped gateway cannot watch: what it had opened it closes, and the leases guard against what is lost.
    async fn close_valves(&self) {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let request = Request { wish: hub::Wish::Shutdown, by: "giot".to_owned(), answer };
        if self.requests.send(request).await.is_ok() {
            // An error means that the hub is gone: the nodes' leases close what is open.
            answered.await.ok();
        }
    }
}

/// Opens the store; one that is damaged is mended first where that is safe.
async fn open_store(data: &Path, choices: StoreOptions) -> anyhow::Result<Store> {
    let (data, at_us) = (data.to_owned(), Clock::system(None).wall_us_unchecked());
    let old_name = format!("giot-damaged-{}.sqlite", cli::stamp());
    let open = move || Store::open_mending(&data, &choices, &old_name, at_us);
    Ok(tokio::task::spawn_blocking(open).await.context("open the store")??)
}

/// The gateway's time, or a demo's.
fn start_clock(demo_time: Option<(UnixMs, u32)>, reader: &Reader) -> anyhow::Result<Clock> {
    let clock = match demo_time {
        Some((start, speed)) => Clock::demo(start, speed),
        None => Clock::system(newest(reader)?),
    };
    if clock.wall().is_none() {
        tracing::error!(
            "this machine's clock is not set: nothing is watered by schedule and no record is dated until it is"
        );
    }
    Ok(clock)
}

/// The farm before the first look.
fn unseen(clock: &Clock, settings: &Settings) -> FarmView {
    FarmView {
        now: clock.wall_unchecked(),
        settings: Arc::new(settings.clone()),
        version: hub::farm::VersionView::default(),
        mono: clock.mono(),
        clock_set: false,
        zones: vec![],
        pumps: BTreeMap::new(),
        source_faults: BTreeMap::new(),
        flows: BTreeMap::new(),
        programs: vec![],
        rules: vec![],
        farm: FarmState::default(),
        earlier: BTreeMap::new(),
        devices: vec![],
    }
}

struct Transport {
    link: Link,
    incoming: Incoming,
    running: Running,
    address: String,
}

/// Binds the page's address; the one bound has its port even where none was asked for.
async fn listen(http: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let bound = TcpListener::bind(http).await;
    let listener = bound.with_context(|| format!("bind HTTP address {http}; --http names another"))?;
    let http = listener.local_addr().context("read the HTTP socket's address")?;
    Ok((listener, http))
}

async fn embedded(
    addr: SocketAddr,
    registry: &Registry,
    settings: &Settings,
    anonymous: bool,
) -> anyhow::Result<Transport> {
    let access = BrokerAccess::new(registry.clone(), settings.topic_prefix.clone(), anonymous);
    let broker =
        mqtt::broker::start(addr, Arc::new(access), &settings.topic_prefix, mqtt::broker::Limits::default())
            .await?;
    Ok(Transport {
        link: broker.link,
        incoming: broker.incoming,
        running: broker.running,
        address: broker.addr.to_string(),
    })
}

fn external(broker: &ExternalBroker, settings: &Settings, data: &Path) -> anyhow::Result<Transport> {
    let credentials = match (&broker.user, &broker.password_file) {
        (Some(user), Some(file)) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| cli::UsageError(format!("broker.password_file {file}: {error}")))?;
            Some((user.clone(), text.lines().next().unwrap_or_default().to_owned()))
        }
        (Some(user), None) => Some((user.clone(), String::new())),
        (None, _) => None,
    };
    let settings = mqtt::client::Settings {
        host: broker.host.clone(),
        port: broker.port,
        credentials,
        prefix: settings.topic_prefix.clone(),
        client_id: client_id(data)?,
    };
    let address = format!("{}:{}", settings.host, settings.port);
    let external = mqtt::client::start(settings, || {
        let mut bytes = [0; 4];
        // Without randomness there is no jitter, which only makes a crowd come back in step.
        getrandom::fill(&mut bytes).ok();
        u32::from_ne_bytes(bytes)
    });
    Ok(Transport { link: external.link, incoming: external.incoming, running: external.running, address })
}

/// Name of this gateway's session at an external broker: made once, kept in the data folder.
fn client_id(data: &Path) -> anyhow::Result<String> {
    let id = secret_file(&data.join("broker-client-id"), 8)?;
    Ok(format!("giot-gateway-{id}"))
}

/// The cooperative's admin secret; made at the first start, readable by the owner of the data folder only.
fn admin_secret(data: &Path) -> anyhow::Result<String> {
    let path = data.join(SECRET_FILE);
    let is_new = !path.exists();
    let secret = secret_file(&path, 16)?;
    if is_new {
        tracing::info!(file = %path.display(), "made the admin secret; the page asks for it");
    }
    Ok(secret)
}

/// Reads a file of one random line, or makes it.
fn secret_file(path: &Path, n_bytes: usize) -> anyhow::Result<String> {
    if let Ok(text) = std::fs::read_to_string(path)
        && !text.trim().is_empty()
    {
        return Ok(text.trim().to_owned());
    }
    let mut bytes = vec![0; n_bytes];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("make a secret: {error}"))?;
    let secret = hex(&bytes);
    let write = || -> std::io::Result<()> {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        writeln!(file, "{secret}")?;
        file.sync_all()
    };
    write().with_context(|| format!("write {}", path.display()))?;
    Ok(secret)
}

/// The newest moment in the store: a clock behind it is wrong.
fn newest(reader: &Reader) -> anyhow::Result<Option<UnixMs>> {
    let diary = reader.diary(&giot_store::DiaryFilter { limit: 1, ..giot_store::DiaryFilter::default() })?;
    Ok(diary.iter().filter_map(|row| row.entry.at_us).max().map(|at_us| UnixMs(at_us.div_euclid(1000))))
}

/// Starts what carries the history to stores outside, and the diary to people.
fn tell_others(
    around: &sinks::Around<'_>,
    view: &watch::Receiver<Arc<FarmView>>,
    diary: &watch::Receiver<u64>,
    words: &Arc<words::Words>,
    tasks: &mut Supervisor,
) -> sinks::sender::Views {
    let sinks = sinks::start(around, tasks);
    let messages = messages::Around {
        reader: around.reader.clone(),
        writer: around.writer.clone(),
        view: view.clone(),
        diary: diary.clone(),
        words: Arc::clone(words),
        stopping: around.stopping.clone(),
    };
    messages::start(&around.settings.messages, &messages, tasks);
    sinks
}

/// Between two rounds of the store's upkeep.
const UPKEEP_EVERY: Duration = Duration::from_secs(600);

/// From the start to the first round: nodes that waited have then sent what they kept, and a gateway that the power leaves every few
/// minutes makes room too.
const UPKEEP_FIRST: Duration = Duration::from_secs(30);

/// Reminds the store, from time to time, of what it does by itself at quiet moments.
async fn upkeep(
    writer: Writer,
    view: watch::Receiver<Arc<FarmView>>,
    clock: Clock,
    mut stopping: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut pause = UPKEEP_FIRST;
    loop {
        tokio::select! {
            // An error means that the gateway is gone.
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
            () = tokio::time::sleep(clock.real(pause)) => {}
        }
        pause = UPKEEP_EVERY;
        // While the clock is not set, nothing has an age.
        let retention = clock.wall().map(|_| Arc::new(view.borrow().settings.retention.clone()));
        let upkeep = Upkeep { now_us: clock.wall_us_unchecked(), retention };
        // A store that is busy is reminded again the next time.
        writer.tend(upkeep).context("remind the store of its upkeep")?;
    }
}

/// Bytes as lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}
