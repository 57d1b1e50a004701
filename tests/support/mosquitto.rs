//! A throw-away Mosquitto on loopback, set the way the gateway asks of an external broker: one user per device, rights
//! by topic pattern, everything confirmed saved within a second's grace. Can be killed and started again on its files.

use anyhow::{Context, bail};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The gateway's user at the broker.
pub const GATEWAY_USER: &str = "gateway";
/// Password of the gateway and of every device.
pub const PASSWORD: &str = "mua-nhe";

const READY_TRIES: u32 = 500;
const READY_PAUSE: Duration = Duration::from_millis(20);

/// A running broker. Killed when dropped.
#[derive(Debug)]
pub struct Mosquitto {
    dir: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Mosquitto {
    /// Starts a broker that knows the gateway and the named devices; topics begin with `prefix`.
    ///
    /// # Errors
    /// When the programs are missing or the broker does not come up; the error says what to do.
    pub fn start(prefix: &str, devices: &[&str]) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix("giot-mosquitto-").context("make a folder for mosquitto")?;
        let port = free_port()?;
        let path = |name: &str| dir.path().join(name);
        write_passwords(&path("passwords"), devices)?;
        let mut rights = format!("user {GATEWAY_USER}\ntopic readwrite {prefix}/#\n\n");
        for channel in ["up", "json", "status"] {
            writeln!(rights, "pattern write {prefix}/%u/{channel}")?;
        }
        writeln!(rights, "pattern read {prefix}/%u/#")?;
        std::fs::write(path("rights"), rights).context("write mosquitto's rights")?;
        let settings = format!(
            "user root\nper_listener_settings false\nlistener {port} 127.0.0.1\nallow_anonymous false\n\
             password_file {}\nacl_file {}\npersistence true\npersistence_location {}/\n\
             autosave_interval 1\nautosave_on_changes true\nset_tcp_nodelay true\n\
             max_queued_messages 100000\nlog_type error\nlog_type warning\n",
            path("passwords").display(),
            path("rights").display(),
            dir.path().display(),
        );
        std::fs::write(path("mosquitto.conf"), settings).context("write mosquitto's settings")?;
        let mut broker = Self { dir, port, child: None };
        broker.restart()?;
        Ok(broker)
    }

    /// The TCP port, the same over restarts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets another device in, with a password of its own, from the next start on.
    ///
    /// # Errors
    /// When `mosquitto_passwd` is missing or fails.
    pub fn add_device(&self, user: &str, password: &str) -> anyhow::Result<()> {
        write_password(&self.dir.path().join("passwords"), user, password)
    }

    /// Ends the broker as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only when it is gone already.
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Starts the broker again on its own files, or for the first time.
    ///
    /// # Errors
    /// When the program is missing or does not accept connections.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        let child = Command::new(program("mosquitto"))
            .arg("-c")
            .arg(self.dir.path().join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.dir.path().join("log")).context("create mosquitto's log")?)
            .spawn()
            .context("start mosquitto; install it with `apt-get install mosquitto mosquitto-clients`")?;
        let child = self.child.insert(child);
        for _ in 0..READY_TRIES {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(());
            }
            if let Some(status) = child.try_wait().context("look after mosquitto")? {
                let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                bail!("mosquitto ended with {status}: {log}");
            }
            std::thread::sleep(READY_PAUSE);
        }
        bail!("mosquitto does not accept connections on port {}", self.port)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

fn write_passwords(file: &Path, devices: &[&str]) -> anyhow::Result<()> {
    std::fs::write(file, "").context("create mosquitto's passwords")?;
    devices.iter().chain(&[GATEWAY_USER]).try_for_each(|user| write_password(file, user, PASSWORD))
}

fn write_password(file: &Path, user: &str, password: &str) -> anyhow::Result<()> {
    let status = Command::new(program("mosquitto_passwd"))
        .arg("-b")
        .arg(file)
        .args([user, password])
        .stderr(Stdio::null())
        .status()
        .context("run mosquitto_passwd; install it with `apt-get install mosquitto mosquitto-clients`")?;
    anyhow::ensure!(status.success(), "mosquitto_passwd ended with {status}");
    Ok(())
}

/// Debian keeps the broker where a user's path does not look.
fn program(name: &str) -> String {
    let system = format!("/usr/sbin/{name}");
    if Path::new(&system).exists() { system } else { name.to_owned() }
}

fn free_port() -> anyhow::Result<u16> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(probe.local_addr().context("read a free port")?.port())
}
