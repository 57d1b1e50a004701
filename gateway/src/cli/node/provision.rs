//! `giot node provision`: sets a node up over its serial console and checks that it took it.
//!
//! Speaks the commands of `giot_firmware::console`, one line at a time: nothing is sent before the last line was answered.
//! Lines of the node's log come in between and are kept for the error message.

use crate::cli::{DataFolder, UsageError, say};
use crate::clock::monotonic;
use crate::hub::registry::Device;
use anyhow::Context;
use giot_firmware::console::{digest, from_code};
use giot_firmware::settings::words::{self, scan_of};
use giot_firmware::settings::{Installation, Wifi};
use giot_shared::ids::NodeId;
use giot_shared::wire::{KEY_LEN, NodeKey};
use giot_store::Reader;
use rustix::termios::{self, ControlModes, OptionalActions, SpecialCodeIndex};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Speed of every board's console, baud.
const BAUD: u32 = 115_200;
/// Longest wait for the next line of an answer.
const ANSWER: Duration = Duration::from_secs(30);
/// The same of a scan: it says every ten addresses how far it is, which takes 14 s, and a minute where there is noise at each; it takes 36
/// to look at a slow probe that keeps silent about what it has not.
const SCAN_ANSWER: Duration = Duration::from_secs(180);
/// Longest wait for a node that starts.
const BOOT: Duration = Duration::from_secs(60);
/// What a scan can be told.
const SCAN_SETTINGS: &str = "baud=9600, parity=none|even|odd and addresses=1-247";
/// How often a silent port is asked again.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// Log lines that are kept for the error message.
const KEPT_LINES: usize = 5;
/// Longest line that a port may deliver, bytes; what is longer comes from no node.
const LINE_MAX: usize = 4096;

/// Set a node up over its serial cable
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot node add n01 --label \"Lô mận 1\"                       prints the code
  giot node provision --port /dev/ttyUSB0 --code GIOT1-… --broker 192.168.1.5:1883 \\
      --wifi \"HTX Mộc Châu\" --wifi-password matkhau123 \\
      valve.0=relay,7200,600 probe.0=soil_moisture,modbus:1:A,600,60,0 meter=9,10000
  giot node provision --port /dev/ttyACM0 --node n01 --broker 192.168.1.5:1883      key from the registry here
  giot node provision --port /dev/ttyUSB0 --show                                    what it is set up as
  giot node provision --port /dev/ttyUSB0 --scan                                    who is on its RS485 line
  giot node provision --port /dev/ttyUSB0 --scan baud=9600                          the same at one speed
  giot node provision --port /dev/ttyUSB0 --scan parity=even addresses=1-247        of other probes than the usual ones

The node is told, restarted, and asked what it is. Words: broker prefix network wifi_ssid wifi_password baud parity
meter supply battery sleep health_s probe_warm_ms valve.N probe.N curve.N; `help` at the console says more. The port is opened
at 115200 baud.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    data: DataFolder,
    /// Serial port of the node
    #[arg(long, value_name = "DEVICE")]
    port: PathBuf,
    /// The code that `giot node add` printed
    #[arg(long, conflicts_with = "node")]
    code: Option<String>,
    /// A node of this machine's registry instead of a code
    #[arg(long, value_name = "ID")]
    node: Option<NodeId>,
    /// Address of the gateway's broker as the node reaches it
    #[arg(long, value_name = "ADDRESS:PORT")]
    broker: Option<String>,
    /// Name of the wireless network
    #[arg(long, value_name = "SSID")]
    wifi: Option<String>,
    /// Its password
    #[arg(long, value_name = "PASSWORD", requires = "wifi")]
    wifi_password: Option<String>,
    /// Only show what the node is set up as
    #[arg(long, conflicts_with = "scan")]
    show: bool,
    /// Only ask who is on the node's RS485 line, at every usual speed or at one (baud=9600), without parity or with one (parity=even), at
    /// addresses 1 to 10 or others (addresses=1-247); restarts it twice. Ten addresses take 15 s a speed, all of them 6 minutes
    #[arg(long)]
    scan: bool,
    /// Lose the records that wait under the node's earlier id, where it is given another one
    #[arg(long)]
    give_up_records: bool,
    /// More settings
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let lines = if args.show || args.scan { Vec::new() } else { lines(args)? };
    if args.show && !args.settings.is_empty() {
        return Err(UsageError("--show changes nothing: leave the settings out".to_owned()).into());
    }
    let scan_line = args.scan.then(|| scan_line(&args.settings)).transpose()?;
    let mut port = Port::open(&args.port)?;
    port.wake(BOOT)?;
    if args.show {
        for (word, value) in port.show()? {
            say(&format!("{word}={value}"))?;
        }
        return Ok(());
    }
    if let Some(line) = scan_line {
        return scan(&mut port, &line);
    }
    let before = port.show()?;
    for line in &lines {
        port.ask(line).with_context(|| format!("tell the node `{}`", told(line)))?;
    }
    let is_held = before.get("runs").is_some_and(|why| advice(why) == HELD_ADVICE);
    for line in port.commit(args.give_up_records, is_held)? {
        say(&line)?;
    }
    port.ask("reboot")?;
    // It may say its last words meanwhile; `show` is answered by the one that has started.
    port.wake(BOOT).context("the node took the settings and does not come back")?;
    check(&before, &port.show()?, args)
}

/// The lines that tell the node what it is.
fn lines(args: &Args) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    match (&args.code, &args.node) {
        (Some(code), _) => {
            let (id, key) = from_code(code).map_err(|error| UsageError(format!("--code: {error}")))?;
            let data = &args.data.data;
            // On another machine than the gateway's nobody knows.
            if registered(data, &id).is_ok_and(|current| current != key) {
                return Err(UsageError(format!(
                    "--code: {id} has another key by now in {}, as after its first contact: give it that one by --node {id}; \
                     the code of another gateway needs its --data",
                    data.display()
                ))
                .into());
            }
            lines.push(format!("code {code}"));
        }
        (None, Some(node)) => {
            lines.push(format!("node {node}"));
            lines.push(format!("key {}", crate::hex(&registered(&args.data.data, node)?.0)));
        }
        // Settings of a node that has id and key already.
        (None, None) if args.settings.is_empty() && args.broker.is_none() && args.wifi.is_none() => {
            let what = "nothing to tell the node: give --code or --node, --broker, and KEY=VALUE";
            return Err(UsageError(what.to_owned()).into());
        }
        (None, None) => {}
    }
    if let Some(broker) = &args.broker {
        lines.push(format!("broker {broker}"));
    }
    if let Some(ssid) = &args.wifi {
        let password = args.wifi_password.as_deref().unwrap_or_default();
        if Wifi::new(ssid, password).is_none() {
            let limits = "--wifi has at most 32 bytes, and --wifi-password 8 to 63 letters, digits and signs without accents";
            return Err(UsageError(limits.to_owned()).into());
        }
        lines.push(format!("set wifi_ssid {ssid}"));
        lines.push(format!("set wifi_password {password}"));
    }
    for setting in &args.settings {
        let (word, value) = setting
            .split_once('=')
            .ok_or_else(|| UsageError(format!("{setting}: settings are written KEY=VALUE")))?;
        lines.push(format!("set {word} {value}"));
    }
    Ok(lines)
}

fn registered(data: &Path, node: &NodeId) -> anyhow::Result<NodeKey> {
    let rows = Reader::open(data)?.devices()?;
    let device = rows.iter().filter_map(Device::from_row).find(|(id, _)| id == node);
    let (_, device) =
        device.ok_or_else(|| UsageError(format!("{node}: no such node: giot node add {node}")))?;
    Ok(device.key)
}

/// What a node that was set up as `before` shows of these settings when it has taken them, `None` of what is none. Left out is what it
/// shows to nobody, and what it knows and this program does not.
fn expected(
    before: &BTreeMap<String, String>,
    settings: &[(&str, &str)],
) -> anyhow::Result<BTreeMap<String, Option<String>>> {
    let mut made =
        Installation::new("node".parse()?, NodeKey([0; KEY_LEN]), "").context("an empty installation")?;
    // A curve is for a probe that is there.
    let is_curve = |word: &str| word.starts_with("curve.");
    let (curves, others): (Vec<_>, Vec<_>) = before.iter().partition(|(word, _)| is_curve(word));
    for (word, value) in others.into_iter().chain(curves) {
        words::set(&mut made, word, value).ok();
    }
    let known: Vec<&str> = settings
        .iter()
        .filter(|(word, value)| words::set(&mut made, word, value).is_ok())
        .map(|(word, _)| *word)
        .collect();
    let mut shown = BTreeMap::new();
    words::show(&made, |word, value| {
        shown.insert(word.to_owned(), value.to_owned());
        anyhow::Ok(())
    })?;
    let told = known.into_iter().filter(|word| *word != "wifi_password");
    Ok(told.map(|word| (word.to_owned(), shown.get(word).cloned())).collect())
}

/// Holds what the node says that it is against what it was told.
fn check(
    before: &BTreeMap<String, String>,
    shown: &BTreeMap<String, String>,
    args: &Args,
) -> anyhow::Result<()> {
    let mut settings: Vec<(&str, &str)> = Vec::new();
    settings.extend(args.broker.as_deref().map(|broker| ("broker", broker)));
    settings.extend(args.wifi.as_deref().map(|ssid| ("wifi_ssid", ssid)));
    settings.extend(args.settings.iter().filter_map(|setting| setting.split_once('=')));
    let mut want = expected(before, &settings)?;
    let credentials = match (&args.code, &args.node) {
        (Some(code), _) => Some(from_code(code)?),
        (None, Some(node)) => Some((node.clone(), registered(&args.data.data, node)?)),
        (None, None) => None,
    };
    if let Some((id, key)) = credentials {
        want.insert("node".to_owned(), Some(id.to_string()));
        want.insert("key_digest".to_owned(), Some(digest(&key).to_string()));
    }
    compare(&want, shown)?;
    let name = shown.get("node").map_or("the node", String::as_str);
    let broker = shown.get("broker").map_or("nowhere", String::as_str);
    match shown.get("runs").map(String::as_str) {
        Some("yes") => say(&format!("{name} is set up and runs; it looks for its gateway at {broker}")),
        // Older firmware does not say.
        None => say(&format!("{name} is set up; its gateway is to be at {broker}")),
        Some(why) => anyhow::bail!(
            "{name} has kept what it was told, and does not run by it: {}. {}",
            why.trim_start_matches("no: "),
            advice(why)
        ),
    }
}

/// What helps a node on which another id's records wait.
const HELD_ADVICE: &str = "Give it the earlier id again, by --node or its code, until its gateway has them; or lose them with --give-up-records";

/// What makes a node run that gives this reason not to.
fn advice(why: &str) -> &'static str {
    // Another id's records wait on it.
    if why.contains("commit give-up") {
        HELD_ADVICE
    } else {
        "Set what is missing, or take out what its board does not have"
    }
}

/// Names the first setting that is not as it was told.
fn compare(want: &BTreeMap<String, Option<String>>, shown: &BTreeMap<String, String>) -> anyhow::Result<()> {
    for (word, value) in want {
        let (got, value) =
            [shown.get(word), value.as_ref()].map(|text| text.map_or("nothing", String::as_str)).into();
        anyhow::ensure!(got == value, "the node has not kept what it was told: {word} is {got}, not {value}");
    }
    Ok(())
}

/// The console's line for a scan with these settings.
fn scan_line(settings: &[String]) -> Result<String, UsageError> {
    let mut words = Vec::new();
    for setting in settings {
        let is_number = |value: &str| value.starts_with(|first: char| first.is_ascii_digit());
        words.push(match setting.split_once('=') {
            Some(("baud", value)) if is_number(value) && !value.contains('-') => value.to_owned(),
            Some(("parity", value)) if !is_number(value) => value.to_owned(),
            Some(("addresses", one)) if !one.contains('-') => format!("{one}-{one}"),
            Some(("addresses", several)) => several.to_owned(),
            _ => return Err(UsageError(format!("{setting}: --scan takes {SCAN_SETTINGS} alone"))),
        });
    }
    let words = words.join(" ");
    scan_of(&words).map_err(|_| {
        let given = settings.join(" ");
        UsageError(format!("{given}: --scan takes {SCAN_SETTINGS}, each once, with 300 to 115200 baud"))
    })?;
    Ok(format!("scan {words}").trim_end().to_owned())
}

fn scan(port: &mut Port, line: &str) -> anyhow::Result<()> {
    port.ask("setup")?;
    port.wake(BOOT)?;
    let mut n_found = 0;
    let scanned = port.ask_each(line, SCAN_ANSWER, |said| {
        n_found += usize::from(said.contains("address "));
        say(said)
    });
    // Whatever was found, the node goes back to work.
    let restarted = port.ask("reboot");
    scanned.context("scan the RS485 line")?;
    if n_found == 0 {
        say("nobody answers on the RS485 line: power, and A and B wires, are the usual reasons")?;
    }
    restarted.map(|_| ())
}

/// A line without its secret, for a message.
fn told(line: &str) -> &str {
    let word = line.strip_prefix("set ").unwrap_or(line).split(' ').next().unwrap_or(line);
    if matches!(word, "code" | "key" | "wifi_password") { word } else { line }
}

/// What is usual to be wrong with a port.
fn remedy(kind: ErrorKind) -> Option<&'static str> {
    if kind == ErrorKind::NotFound {
        Some("no such port: is the cable plugged in? `ls /dev/ttyUSB* /dev/ttyACM*`")
    } else if kind == ErrorKind::PermissionDenied {
        Some("not allowed: `sudo usermod -aG dialout $USER`, then log in again")
    } else {
        None
    }
}

/// The serial port, one line at a time.
struct Port {
    path: PathBuf,
    file: File,
    heard: Vec<u8>,
    log: VecDeque<String>,
}

impl Port {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let wrong = |why: String| UsageError(format!("{}: {why}", path.display()));
        // Not to wait for a modem's carrier, and not to become this process's terminal.
        let flags = rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).context("open flags")?;
        let opened = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
        let file = opened.map_err(|error| {
            wrong(match remedy(error.kind()) {
                Some(remedy) => remedy.to_owned(),
                None => error.to_string(),
            })
        })?;
        let mut mode = termios::tcgetattr(&file).map_err(|_| wrong("this is no serial port".to_owned()))?;
        mode.make_raw();
        mode.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
        mode.set_speed(BAUD).with_context(|| format!("{}: {BAUD} baud", path.display()))?;
        mode.special_codes[SpecialCodeIndex::VMIN] = 0;
        mode.special_codes[SpecialCodeIndex::VTIME] = 1;
        termios::tcsetattr(&file, OptionalActions::Now, &mode).context("set the port up")?;
        rustix::fs::fcntl_setfl(&file, rustix::fs::OFlags::empty()).context("set the port up")?;
        Ok(Self { path: path.to_owned(), file, heard: Vec::new(), log: VecDeque::new() })
    }

    /// Waits until the console answers.
    fn wake(&mut self, limit: Duration) -> anyhow::Result<()> {
        let began = monotonic();
        while began.elapsed() < limit {
            // The empty line ends whatever half a line was typed before.
            self.file.write_all(b"\nshow\n").context("write to the port")?;
            if let Some(reply) = self.reply(ASK_EVERY, |_| Ok(()))?
                && reply.is_ok()
            {
                // Answers to what was asked too often.
                while self.line(Duration::from_millis(500))?.is_some() {}
                return Ok(());
            }
        }
        anyhow::bail!(
            "{}: no answer within {} s: is this the node's console, is the node on, and has no other program the port open?{}",
            self.path.display(),
            limit.as_secs(),
            self.last_words()
        )
    }

    fn show(&mut self) -> anyhow::Result<BTreeMap<String, String>> {
        let lines = self.ask("show")?;
        let pair = |line: &String| {
            let (word, value) = line.strip_prefix("show ")?.split_once(' ')?;
            Some((word.to_owned(), value.to_owned()))
        };
        Ok(lines.iter().filter_map(pair).collect())
    }

    /// One command; gives the lines of its answer.
    fn ask(&mut self, line: &str) -> anyhow::Result<Vec<String>> {
        let mut lines = Vec::new();
        self.ask_each(line, ANSWER, |said| {
            lines.push(said.to_owned());
            Ok(())
        })?;
        Ok(lines)
    }

    /// Has the node keep what it was told; gives what it says of records that it loses by that.
    fn commit(&mut self, gives_up: bool, is_held: bool) -> anyhow::Result<Vec<String>> {
        // Nodes of before take both words for the same.
        let lines = self.ask(if gives_up { "commit give-up" } else { "commit" });
        lines.map_err(|error| match error.to_string().contains("commit give-up") {
            // Such a node speaks with no gateway.
            true if is_held => error.context(format!("nothing was changed. {HELD_ADVICE}")),
            true => error.context("nothing was changed; with --give-up-records the node loses what waits"),
            false => error,
        })
    }

    /// One command; each line of its answer as it comes.
    fn ask_each(
        &mut self,
        line: &str,
        limit: Duration,
        hear: impl FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.file.write_all(format!("{line}\n").as_bytes()).context("write to the port")?;
        match self.reply(limit, hear)? {
            Some(Ok(())) => Ok(()),
            Some(Err(why)) => anyhow::bail!("the node says: {why}"),
            None => anyhow::bail!("no answer within {} s{}", limit.as_secs(), self.last_words()),
        }
    }

    /// The lines up to the end of an answer, or its error; `None` when the next one does not come in time.
    fn reply(
        &mut self,
        limit: Duration,
        mut hear: impl FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<Result<(), String>>> {
        let mut began = monotonic();
        while let Some(rest) = limit.checked_sub(began.elapsed()) {
            let Some(line) = self.line(rest)? else { break };
            match line.strip_prefix('=') {
                Some(reply) if reply == "ok" || reply.starts_with("ok ") => return Ok(Some(Ok(()))),
                Some(reply) => match reply.strip_prefix("error ") {
                    Some(why) => return Ok(Some(Err(why.to_owned()))),
                    None => {
                        hear(reply.trim_start())?;
                        began = monotonic();
                    }
                },
                None => {
                    self.log.push_back(line);
                    if self.log.len() > KEPT_LINES {
                        self.log.pop_front();
                    }
                }
            }
        }
        Ok(None)
    }

    /// The next line that is not empty.
    fn line(&mut self, limit: Duration) -> anyhow::Result<Option<String>> {
        let began = monotonic();
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).trim().to_owned();
                if !line.is_empty() {
                    return Ok(Some(line));
                }
                continue;
            }
            anyhow::ensure!(
                self.heard.len() <= LINE_MAX,
                "{}: this is no node: no line ends",
                self.path.display()
            );
            if began.elapsed() >= limit {
                return Ok(None);
            }
            let mut bytes = [0; 256];
            match self.file.read(&mut bytes) {
                // Nothing within a tenth of a second.
                Ok(n_read) => self.heard.extend(bytes.get(..n_read).unwrap_or_default()),
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(error) => {
                    return Err(error).context(format!("{}: the port went away", self.path.display()));
                }
            }
        }
    }

    fn last_words(&self) -> String {
        if self.log.is_empty() {
            return String::new();
        }
        let lines: Vec<&str> = self.log.iter().map(String::as_str).collect();
        format!("\nlast heard:\n  {}", lines.join("\n  "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::registry::DeviceKind;
    use giot_firmware::run::Held;
    use giot_firmware::settings::NoNode;

    fn shown(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(word, value)| ((*word).to_owned(), (*value).to_owned())).collect()
    }

    const BEFORE: [(&str, &str); 4] = [
        ("probe.3", "soil_moisture,analog:1:300:8,600,60"),
        ("health_s", "3600"),
        ("meter", "9,10000"),
        ("newer", "1"),
    ];

    /// What the node says that differs from what it was told, after a node of [`BEFORE`] was told this.
    fn check(told: &[(&str, &str)], says: &[(&str, &str)], wrong: Option<&str>) {
        let want = expected(&shown(&BEFORE), told).unwrap();
        let compared = compare(&want, &shown(says)).map_err(|error| error.to_string());
        let wrong = wrong.map(|wrong| format!("the node has not kept what it was told: {wrong}"));
        assert_eq!(compared.err(), wrong, "{told:?}");
    }

    #[test]
    fn what_is_to_do_goes_by_why_the_node_does_not_run() {
        let held = Held { owner: Some("n01".parse().unwrap()), n_waiting: 3 };
        for (why, word) in [
            (NoNode::Held(held), "--give-up-records"),
            (NoNode::Unfit("no wireless network is set"), "Set what is missing"),
        ] {
            assert!(advice(&format!("no: {why}")).contains(word), "{why}");
        }
    }

    /// It was told to the node, which reported success and could not sign in.
    #[test]
    fn a_code_whose_key_was_replaced_is_refused_where_that_is_known() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let dir = tempfile::tempdir().unwrap();
        let id: NodeId = "n01".parse().unwrap();
        let device = |byte| Device {
            kind: DeviceKind::Node,
            label: String::new(),
            key: NodeKey([byte; KEY_LEN]),
            created_us: 0,
        };
        let told = |data: &Path, byte| {
            let code = giot_firmware::console::to_code(&id, &NodeKey([byte; KEY_LEN])).unwrap();
            let line = ["provision", "--port", "p", "--data", data.to_str().unwrap(), "--code", &code];
            lines(&<Line as clap::Parser>::parse_from(line).args).map_err(|error| error.to_string())
        };
        let store = giot_store::Store::open(dir.path()).unwrap();
        let devices = vec![device(7).to_row(&id)];
        store.writer().commit_blocking(giot_store::Batch { devices, ..Default::default() }).unwrap();
        store.close().unwrap();
        assert!(told(dir.path(), 7).is_ok());
        let error = told(dir.path(), 8).unwrap_err();
        assert!(error.contains("another key by now") && error.contains("--node n01"), "{error}");
        assert!(told(&dir.path().join("none"), 8).is_ok(), "nobody knows");
    }

    #[test]
    fn every_setting_that_was_told_is_compared() {
        check(&[("health_s", "60")], &[("health_s", "60"), ("meter", "9,10000")], None);
        check(&[("health_s", "60")], &[("health_s", "600")], Some("health_s is 600, not 60"));
        check(&[("valve.0", "relay,7200,600")], &[], Some("valve.0 is nothing, not relay,7200,600"));
        // As it is shown, whichever way it was said.
        let probe = ("probe.0", "soil_moisture,analog:0:300:8,600,60");
        let kept = probe.1.replace("analog:0:300:8", "analog:0");
        let analog = expected(&BTreeMap::new(), &[("probe.0", &kept)]).unwrap();
        let told = analog["probe.0"].clone().unwrap();
        check(&[("probe.0", &kept)], &[("probe.0", &told)], None);
        check(
            &[("probe.0", &kept)],
            &[probe, ("probe.0", "rain,tips:0:200,60,60")],
            Some(&format!("probe.0 is rain,tips:0:200,60,60, not {told}")),
        );
        // A curve is for a probe that the node had before.
        let curve = ("curve.3", "2700:0,1200:100");
        check(&[curve], &[("curve.3", "1200:100.00,2700:0.00")], None);
        check(
            &[curve],
            &[("curve.3", "1200:90.00,2700:0.00")],
            Some("curve.3 is 1200:90.00,2700:0.00, not 1200:100.00,2700:0.00"),
        );
        // Taken away, and said twice.
        check(&[("meter", "none"), ("baud", "4800"), ("baud", "9600")], &[("baud", "9600")], None);
        check(&[("meter", "none")], &[("meter", "9,10000")], Some("meter is 9,10000, not nothing"));
        // Secrets are not shown; what this program does not know the node judges.
        check(
            &[("wifi_ssid", "HTX"), ("wifi_password", "mat khau 1"), ("newer", "2")],
            &[("wifi_ssid", "HTX")],
            None,
        );
        check(&[("wifi_ssid", "HTX")], &[("wifi_ssid", "HTx")], Some("wifi_ssid is HTx, not HTX"));
    }
}
