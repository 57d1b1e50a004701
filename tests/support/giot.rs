//! The gateway as its own process, as a farm runs it: started on free ports, read by its ready line, stopped or killed.

use giot_gateway::clock::monotonic;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long a gateway may take to become ready on a loaded machine.
const READY_MAX: Duration = Duration::from_secs(60);

/// The built program: `GIOT_BIN`, or the one beside this test.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn program() -> PathBuf {
    let path = std::env::var_os("GIOT_BIN").map_or_else(
        || {
            let test = std::env::current_exe().expect("the test's own path");
            test.ancestors().nth(2).expect("a target folder").join("giot")
        },
        PathBuf::from,
    );
    assert!(path.exists(), "{} is missing: cargo build -p giot-gateway", path.display());
    path
}

/// Runs a command of the program to its end.
///
/// # Panics
/// When it does not start.
#[must_use]
pub fn run(args: &[&str]) -> Output {
    Command::new(program()).args(args).stdin(Stdio::null()).output().expect("giot starts")
}

/// Text of an output stream.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A free address whose port the system gives to nobody by itself, as it does those from 32768: devices that knock while a
/// gateway is down would else take its port for themselves now and then.
fn lasting_address() -> String {
    static N_GIVEN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1000 {
        let n = N_GIVEN.fetch_add(1, Ordering::Relaxed);
        let address = format!("127.0.0.1:{}", 20_000 + (std::process::id() * 64 + n) % 12_000);
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
    panic!("no free port from 20000 to 31999");
}

/// The library that changes what a program is told of the time, as Debian installs it.
fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("/usr/lib").flatten();
    let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.exists()).expect("libfaketime: apt-get install faketime")
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n")
}

/// A running gateway; dropped, it is killed.
#[derive(Debug)]
pub struct Giot {
    child: Child,
    /// Where the page is.
    pub http: String,
    /// Where the broker is.
    pub mqtt: String,
}

impl Giot {
    /// `giot serve` on free ports; that of the broker stays free while the gateway is down.
    ///
    /// # Panics
    /// When no such port is found.
    #[must_use]
    pub fn serve(data: &Path, more: &[&str]) -> Self {
        Self::serve_at(data, &lasting_address(), more)
    }

    /// `giot serve` with the broker on a given address.
    #[must_use]
    pub fn serve_at(data: &Path, mqtt: &str, more: &[&str]) -> Self {
        let data = data.to_str().expect("a plain path");
        let mut args = vec!["serve", "--data", data, "--http", "127.0.0.1:0", "--mqtt", mqtt];
        args.extend(more);
        Self::start(&args)
    }

    /// Any command that prints a ready line.
    ///
    /// # Panics
    /// When it ends before, or prints something else.
    #[must_use]
    pub fn start(args: &[&str]) -> Self {
        Self::start_with(args, |command| command)
    }

    /// `giot serve` on a machine whose civil time is `ahead` of this one's; what it says goes into `log`. libfaketime changes
    /// what the program is told of the time of day, and leaves the monotonic line alone.
    ///
    /// # Panics
    /// When libfaketime is not installed.
    #[must_use]
    pub fn serve_ahead(data: &Path, mqtt: &str, more: &[&str], ahead: Duration, log: &Path) -> Self {
        let folder = data.to_str().expect("a plain path");
        let mut args = vec!["serve", "--data", folder, "--http", "127.0.0.1:0", "--mqtt", mqtt];
        args.extend(more);
        let log = File::create(log).expect("a log");
        Self::start_with(&args, |command| {
            let ahead = format!("+{}.{:06}", ahead.as_secs(), ahead.subsec_micros());
            command.env("LD_PRELOAD", faketime()).env("FAKETIME", ahead).env("NO_FAKE_STAT", "1");
            command
                .env("NO_COLOR", "1")
                .env("DONT_FAKE_MONOTONIC", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            command.stderr(log)
        })
    }

    /// `giot serve` with a data folder that is a disk of its own of so many KiB, which is gone with it; what it says goes into `log`.
    /// Others reach the folder by [`Self::folder`], and [`Self::run_beside`].
    ///
    /// # Panics
    /// When the system lets nobody make a disk.
    #[must_use]
    pub fn serve_on_a_small_disk(data: &Path, kib: u32, log: &Path) -> Self {
        let folder = data.to_str().expect("a plain path");
        let script = "mount -t tmpfs -o size=\"$1\"k tmpfs \"$2\" && shift 2 && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(if is_root() { &["-m"][..] } else { &["-r", "-m"] });
        command.args(["sh", "-c", script, "sh", &kib.to_string(), folder]).arg(program());
        command.args(["serve", "--data", folder, "--http", "127.0.0.1:0", "--mqtt", &lasting_address()]);
        command.args(["--anonymous"]).env("NO_COLOR", "1").stderr(File::create(log).expect("a log"));
        Self::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))
    }

    /// A path as this process finds what the gateway has there.
    #[must_use]
    pub fn folder(&self, path: &Path) -> PathBuf {
        let inside = path.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(self.pid().to_string()).join("root").join(inside)
    }

    /// Runs a command of the program where the gateway's disks are, to its end.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn run_beside(&self, args: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid().to_string(), "-m"]);
        if !is_root() {
            command.args(["-U", "--preserve-credentials"]);
        }
        command.arg(program()).args(args).stdin(Stdio::null()).output().expect("nsenter (util-linux)")
    }

    fn start_with(args: &[&str], change: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mut command = Command::new(program());
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        Self::spawn(change(&mut command))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("giot starts");
        let began = monotonic();
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        while !line.starts_with("ready ") {
            line.clear();
            let n_bytes = lines.read_line(&mut line).expect("readable output");
            assert!(n_bytes > 0, "{command:?} ended before it was ready");
            assert!(began.elapsed() < READY_MAX, "{command:?} was not ready in time");
        }
        // What follows must not fill the pipe.
        std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        let field = |name: &str| {
            let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_else(|| panic!("no {name} in {line:?}")).to_owned()
        };
        Self { http: field("http"), mqtt: field("mqtt"), child }
    }

    /// Ends it as a power cut would.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Ends it as a service manager would.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn stop(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        self.child.wait().expect("wait")
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Giot {
    fn drop(&mut self) {
        // Already gone is what is wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A key that `giot node add` has printed, and the password beside it.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// 64 hex digits.
    pub key: String,
    /// Password at the broker.
    pub password: String,
}

/// `giot node add` of a device that keeps its key.
///
/// # Panics
/// When it fails.
#[must_use]
pub fn add_node(data: &Path, id: &str, kind: &str) -> Credentials {
    let data = data.to_str().expect("a plain path");
    let out = run(&["node", "add", "--data", data, id, "--kind", kind, "--keep-key"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let printed = text(&out.stdout);
    let field = |name: &str| {
        let line = printed.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {printed}")).trim().to_owned()
    };
    Credentials { key: field("key"), password: field("password") }
}

/// `giot export` as rows of (time, value, quality).
///
/// # Panics
/// When it fails.
#[must_use]
pub fn export(data: &Path, device: &str, metric: &str) -> Vec<(String, String, String)> {
    exported(data, device, metric).unwrap_or_else(|told| panic!("{told}"))
}

/// As [`export`].
///
/// # Errors
/// What it says when it fails, as it does for a series that nobody has heard of yet.
///
/// # Panics
/// When it prints something else.
pub fn exported(data: &Path, device: &str, metric: &str) -> Result<Vec<(String, String, String)>, String> {
    let data = data.to_str().expect("a plain path");
    let out = run(&["export", "--data", data, "--device", device, "--metric", metric]);
    if !out.status.success() {
        return Err(text(&out.stderr));
    }
    let printed = text(&out.stdout);
    let mut lines = printed.lines();
    assert_eq!(lines.next(), Some("time,value,quality"));
    let row = |line: &str| {
        let mut cells = line.split(',').map(str::to_owned);
        let mut cell = || cells.next().expect("three cells");
        (cell(), cell(), cell())
    };
    Ok(lines.map(row).collect())
}

/// Waits until `check` gives something, looking ten times a second.
///
/// # Panics
/// When it takes longer than `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Option<T>) -> T {
    let began = monotonic();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// GET of a JSON path of the API.
///
/// # Panics
/// When the answer is no 200 or no JSON.
#[must_use]
pub fn get(http: &str, path: &str) -> serde_json::Value {
    let (status, body) = request(http, "GET", path, None);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).expect("JSON")
}

/// One HTTP/1.1 request without a client library: status and body.
///
/// # Panics
/// When the connection fails.
#[must_use]
pub fn request(http: &str, method: &str, path: &str, body: Option<&str>) -> (u16, String) {
    request_with(http, method, path, &[], body)
}

/// [`request`] with more headers.
///
/// # Panics
/// When the connection fails.
#[must_use]
pub fn request_with(
    http: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> (u16, String) {
    use std::io::Write;
    let mut socket = std::net::TcpStream::connect(http).expect("connect");
    let body = body.unwrap_or_default();
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(
        socket,
        "{method} {path} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("send");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("receive");
    let status = answer.split_whitespace().nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let (head, rest) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return (status, dechunk(rest));
    }
    let cookie = head.lines().find(|line| line.to_ascii_lowercase().starts_with("set-cookie:"));
    (status, if rest.is_empty() { cookie.unwrap_or_default().to_owned() } else { rest.to_owned() })
}

fn dechunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk size");
        if size == 0 {
            break;
        }
        body.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    body
}
