//! Throw-away time-series stores on loopback: VictoriaMetrics, InfluxDB 1.6's engine behind a front that speaks version 2's write API, and
//! a pair of VictoriaMetrics fed by vmagent behind vmauth. Each can be killed and started again on its files.

use anyhow::{Context, bail};
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

use crate::giot::request_with;

/// The token that the fronts ask for.
pub const TOKEN: &str = "bi-mat-cua-vuon";

const READY_TRIES: u32 = 1_500;
const READY_PAUSE: Duration = Duration::from_millis(20);

/// A server process in a folder of its own, on a port that stays the same over restarts. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    dir: TempDir,
    port: u16,
    program: &'static str,
    package: &'static str,
    args: Vec<String>,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Server {
    /// Where it listens, `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only when it is gone already.
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Starts it on its own files, again or for the first time.
    ///
    /// # Errors
    /// When the program is missing or does not listen.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.kill();
        let log = File::create(self.dir.path().join("server.log")).context("create the server's log")?;
        let child = Command::new(program(self.program))
            .args(&self.args)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share the log")?)
            .stderr(log)
            .spawn()
            .with_context(|| {
                format!("start {}; install it with `apt-get install {}`", self.program, self.package)
            })?;
        let child = self.child.insert(child);
        for _ in 0..READY_TRIES {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(());
            }
            if let Some(status) = child.try_wait().context("look after the server")? {
                let log = std::fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default();
                bail!("{} ended with {status}: {log}", self.program);
            }
            std::thread::sleep(READY_PAUSE);
        }
        bail!("{} does not listen on port {}", self.program, self.port)
    }

    fn new(program: &'static str, package: &'static str) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix("giot-tsdb-").context("make a folder for a store")?;
        let (port, args, environment) = (free_port()?, Vec::new(), Vec::new());
        Ok(Self { dir, port, program, package, args, environment, child: None })
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A VictoriaMetrics of its own, not started yet. Two points of one time are one.
///
/// # Errors
/// When there is no folder or port for it.
pub fn victoria() -> anyhow::Result<Server> {
    let mut server = Server::new("victoria-metrics", "victoria-metrics")?;
    server.args = [
        format!("-storageDataPath={}", server.path("data")),
        format!("-httpListenAddr={}", server.address()),
        "-retentionPeriod=100y".to_owned(),
        "-dedup.minScrapeInterval=1ms".to_owned(),
        "-search.latencyOffset=0s".to_owned(),
        "-search.disableCache".to_owned(),
        "-search.maxUniqueTimeseries=1000000".to_owned(),
        "-memory.allowedBytes=256MB".to_owned(),
    ]
    .into();
    Ok(server)
}

/// A series as a store gives it back.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: serde_json::Value,
    /// Times, ms since 1970.
    pub times: Vec<i64>,
    /// Values, one for each time.
    pub values: Vec<f64>,
}

/// What a VictoriaMetrics holds of the metrics that match a regular expression.
///
/// # Panics
/// When it does not answer.
#[must_use]
pub fn victoria_points(address: &str, name_regex: &str) -> Vec<Series> {
    let (status, _) = request_with(address, "GET", "/internal/force_flush", &[], None);
    assert_eq!(status, 200, "flush");
    let path = format!("/api/v1/export?match[]={{__name__=~%22{name_regex}%22}}");
    let (status, body) = request_with(address, "GET", &path, &[], None);
    assert_eq!(status, 200, "{body}");
    let series = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let list = |key: &str| line[key].as_array().expect("a list").clone();
        let times = list("timestamps").iter().filter_map(serde_json::Value::as_i64).collect();
        let values = list("values").iter().filter_map(serde_json::Value::as_f64).collect();
        Series { labels: line["metric"].clone(), times, values }
    };
    body.lines().filter(|line| !line.is_empty()).map(series).collect()
}

/// How many points of the last sixty days a VictoriaMetrics holds in series whose names end in `_value`.
///
/// # Panics
/// When it does not answer.
#[must_use]
pub fn victoria_count(address: &str) -> usize {
    let (status, _) = request_with(address, "GET", "/internal/force_flush", &[], None);
    assert_eq!(status, 200, "flush");
    let query = "sum(count_over_time(%7B__name__%3D~%22.%2B_value%22%7D%5B60d%5D))";
    let (status, body) = request_with(address, "GET", &format!("/api/v1/query?query={query}"), &[], None);
    assert_eq!(status, 200, "{body}");
    let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let count = answer["data"]["result"][0]["value"][1].as_str();
    count.map_or(0, |count| count.parse().expect("a count"))
}

/// Two VictoriaMetrics that hold the same, and the way in.
#[derive(Debug)]
pub struct Pair {
    /// The stores.
    pub stores: [Server; 2],
    /// Copies to both, and keeps what one of them misses.
    pub agent: Server,
    /// In front of all; asks for [`TOKEN`].
    pub front: Server,
}

/// A running pair.
///
/// # Errors
/// When a program is missing or does not come up.
pub fn pair() -> anyhow::Result<Pair> {
    let mut stores = [victoria()?, victoria()?];
    for store in &mut stores {
        store.start()?;
    }
    let mut agent = Server::new("vmagent", "victoria-metrics")?;
    agent.args = vec![
        format!("-httpListenAddr={}", agent.address()),
        format!("-remoteWrite.tmpDataPath={}", agent.path("queue")),
    ];
    agent.args.extend(
        stores.iter().map(|store| format!("-remoteWrite.url=http://{}/api/v1/write", store.address())),
    );
    agent.start()?;
    let mut front = Server::new("vmauth", "victoria-metrics")?;
    let users =
        format!("users:\n- bearer_token: \"{TOKEN}\"\n  url_prefix: \"http://{}\"\n", agent.address());
    let file = front.path("auth.yml");
    std::fs::write(&file, users).context("write vmauth's users")?;
    front.args = vec![format!("-httpListenAddr={}", front.address()), format!("-auth.config={file}")];
    front.start()?;
    Ok(Pair { stores, agent, front })
}

/// InfluxDB 1.6's engine and the front that makes version 2's write API of it.
#[derive(Debug)]
pub struct Influx {
    /// The engine.
    pub engine: Server,
    /// The front.
    pub front: Server,
}

impl Influx {
    /// Both running, with a database.
    ///
    /// # Errors
    /// When a program is missing or does not come up.
    pub fn start(database: &str) -> anyhow::Result<Self> {
        let mut engine = Server::new("influxd", "influxdb")?;
        let config = engine.path("influx.conf");
        std::fs::write(&config, "[meta]\n").context("write influxd's settings")?;
        engine.args = vec!["-config".to_owned(), config];
        let rpc = format!("127.0.0.1:{}", free_port()?);
        let folder = |name: &str| engine.path(name);
        engine.environment = [
            ("HTTP_BIND_ADDRESS", engine.address()),
            ("BIND_ADDRESS", rpc),
            ("META_DIR", folder("meta")),
            ("DATA_DIR", folder("data")),
            ("DATA_WAL_DIR", folder("wal")),
            ("REPORTING_DISABLED", "true".to_owned()),
            ("MONITOR_STORE_ENABLED", "false".to_owned()),
            ("HTTP_LOG_ENABLED", "false".to_owned()),
            ("DATA_QUERY_LOG_ENABLED", "false".to_owned()),
        ]
        .map(|(key, value)| (format!("INFLUXDB_{key}"), value))
        .into();
        engine.start()?;
        let mut front = Server::new("nginx", "nginx-light")?;
        let config = front.path("nginx.conf");
        std::fs::write(&config, front_config(&front, &engine)).context("write nginx's settings")?;
        front.args = vec!["-c".to_owned(), config, "-e".to_owned(), front.path("error.log")];
        front.start()?;
        let influx = Self { engine, front };
        influx.query(&format!("CREATE DATABASE {database}"));
        Ok(influx)
    }

    /// Answer of the engine to a query of version 1.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn ask(&self, database: &str, query: &str) -> serde_json::Value {
        let encoded: String = query
            .bytes()
            .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect();
        let path = format!("/query?db={database}&epoch=ms&q={encoded}");
        let (status, body) = request_with(&self.engine.address(), "POST", &path, &[], None);
        assert_eq!(status, 200, "{query}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    fn query(&self, query: &str) {
        drop(self.ask("", query));
    }
}

fn front_config(front: &Server, engine: &Server) -> String {
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {};", front.path(name)))
        .join(" ");
    let (address, engine, pid) = (front.address(), engine.address(), front.path("pid"));
    let health = r#"{"name":"influxdb","message":"ok","status":"pass","checks":[]}"#;
    format!(
        "user root;\ndaemon off;\nworker_processes 1;\npid {pid};\nevents {{}}\nhttp {{\n access_log off;\n {temp}\n\
         client_max_body_size 20m;\n map $arg_precision $p {{ default n; us u; ms ms; s s; }}\n server {{\n listen {address};\n\
         location = /health {{ default_type application/json; return 200 '{health}'; }}\n\
         location = /ping {{ proxy_pass http://{engine}; }}\n location = /api/v2/write {{\n\
         if ($http_authorization != \"Token {TOKEN}\") {{ return 401; }}\n\
         proxy_pass http://{engine}/write?db=$arg_bucket&precision=$p;\n }}\n }}\n}}\n"
    )
}

/// Debian keeps some servers where a user's path does not look.
fn program(name: &str) -> String {
    let system = format!("/usr/sbin/{name}");
    if Path::new(&system).exists() { system } else { name.to_owned() }
}

fn free_port() -> anyhow::Result<u16> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(probe.local_addr().context("read a free port")?.port())
}
