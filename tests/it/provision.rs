//! `giot node add` and `giot node provision`: a node behind a terminal is told what it is, and asked whether it took it.
//!
//! The node here is the library's console on the simulated flash; the emulated chip's own port is in `qemu.rs`.

use embedded_io_async::{ErrorType, Read};
use giot_board_host::FlashStore;
use giot_firmware::board::NodeStatus;
use giot_firmware::console::{Console, Desk, Ended, from_code, serve};
use giot_firmware::settings::{InstallError, Installation, NoNode};
use giot_tests::giot;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, Write as _};
use std::process::Output;
use tempfile::TempDir;

/// The node's end of a serial cable.
struct Cable(File);

impl ErrorType for Cable {
    type Error = io::Error;
}

impl Read for Cable {
    async fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut self.0, bytes)
    }
}

impl std::fmt::Write for Cable {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.write_all(text.as_bytes()).map_err(|_| std::fmt::Error)
    }
}

/// Plugs in a node with an empty flash; gives the port at the other end. The node lives as long as the process.
fn plug_in(flash: FlashStore, n_waiting: u32) -> String {
    let node = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&node).unwrap();
    unlockpt(&node).unwrap();
    let port = ptsname(&node, Vec::new()).unwrap().into_string().unwrap();
    // Kept open, so that the cable stays plugged while no program has the port.
    let held = File::options().read(true).write(true).open(&port).unwrap();
    // A serial cable has no echo.
    let mut mode = tcgetattr(&held).unwrap();
    mode.make_raw();
    tcsetattr(&held, OptionalActions::Now, &mode).unwrap();
    std::thread::spawn(move || {
        let _held = held;
        let mut cable = Cable(File::from(node));
        let mut out = Cable(cable.0.try_clone().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            loop {
                let installed = Installation::load(flash.installation()).await.ok();
                let name = installed.as_ref().map_or("nobody".to_owned(), |made| made.config.id.to_string());
                std::fmt::Write::write_fmt(&mut out, format_args!("     0.012 giot, boot of {name}\r\n"))
                    .unwrap();
                // As a board with a radio does.
                let node = match &installed {
                    Some(made) if made.wifi.is_some() => Ok(()),
                    Some(_) => Err(NoNode::Unfit("no wireless network is set")),
                    None => Err(NoNode::Install(InstallError::Absent)),
                };
                let mut console = Console::new(installed).unwrap().beside(node);
                let desk = Desk::new();
                desk.note(&NodeStatus { waiting: n_waiting, ..NodeStatus::default() });
                loop {
                    match serve(&mut console, &mut cable, &mut out, &mut flash.installation(), &desk).await {
                        Ended::Reboot | Ended::Setup => break,
                        Ended::Scan(wanted) => {
                            let why = format!("there is no line for {wanted:?}");
                            let why: &dyn std::fmt::Display = &why;
                            let mut say = |line: std::fmt::Arguments<'_>| {
                                std::fmt::Write::write_fmt(&mut out, format_args!("{line}\r\n"))
                            };
                            Console::end(Err(why), &mut say).unwrap();
                        }
                    }
                }
            }
        });
    });
    port
}

fn node(data: &TempDir, args: &[&str]) -> Output {
    giot::run(&[&["node", args[0], "--data", data.path().to_str().unwrap()], &args[1..]].concat())
}

fn said(out: &Output) -> String {
    giot::text(&out.stdout) + &giot::text(&out.stderr)
}

#[test]
fn a_node_is_set_up_by_its_one_time_code() {
    let data = TempDir::with_prefix("giot-provision-").unwrap();
    let added = said(&node(&data, &["add", "n01"]));
    let field = |name: &str| {
        let line =
            added.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{added}"));
        line.trim().to_owned()
    };
    let code = field("code");
    let (id, key) = from_code(&code).unwrap();
    assert_eq!(id.as_str(), "n01");
    assert_eq!(key.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), field("key"));
    // The picture: two rows of modules in a line, whole blocks at its quiet edge.
    let picture: Vec<&str> = added.lines().filter(|line| line.contains('\u{2588}')).collect();
    assert!(picture.len() > 15, "{added}");
    assert!(picture.iter().all(|line| line.chars().count() == picture[0].chars().count()), "{added}");

    let flash = FlashStore::memory();
    let port = plug_in(flash.clone(), 37);
    let broker = ["--broker", "192.168.1.5:1883"];
    let wrong = node(
        &data,
        &[&["provision", "--port", &port, "--code", &code[..code.len() - 1]], &broker[..]].concat(),
    );
    assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
    assert!(said(&wrong).contains("--code: "), "{}", said(&wrong));
    let told = node(
        &data,
        &[
            &[
                "provision",
                "--port",
                &port,
                "--code",
                &code,
                "--wifi",
                "HTX Moc Chau",
                "--wifi-password",
                "nuoc sach",
            ],
            &broker[..],
            &["valve.0=relay,7200,600", "probe.0=soil_moisture,modbus:1:A,600,60,0"],
        ]
        .concat(),
    );
    assert!(told.status.success(), "{}", said(&told));
    assert!(
        said(&told).contains("n01 is set up and runs; it looks for its gateway at 192.168.1.5:1883"),
        "{}",
        said(&told)
    );
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let installed = runtime.block_on(Installation::load(flash.installation())).unwrap();
    assert_eq!(installed.config.key.0, key.0);
    assert_eq!(
        installed.wifi.as_ref().map(|wifi| (wifi.ssid(), wifi.password())),
        Some(("HTX Moc Chau", "nuoc sach"))
    );
    assert_eq!((installed.config.valves.len(), installed.config.probes.len()), (1, 1));

    check_refusals(&data, &port);
    // A setting that the node does not take is named, with the node's own words; nothing is written.
    let refused = node(&data, &["provision", "--port", &port, "probe.1=soil_moisture,modbus:300:A,1,1"]);
    assert!(!refused.status.success());
    assert!(said(&refused).contains("tell the node `set probe.1 soil"), "{}", said(&refused));
    assert!(said(&refused).contains("the node says: the value must be"), "{}", said(&refused));
    check_scans(&data, &port);
    check_another_id(&data, &port);
    let shown = said(&node(&data, &["provision", "--port", &port, "--show"]));
    assert!(shown.contains("node=n02") && !shown.contains("nuoc sach"), "{shown}");
}

/// Of a node that has its settings and does not run by them, and of what is seen to be wrong before anybody is asked.
fn check_refusals(data: &TempDir, port: &str) {
    // One that waits at its console does not run.
    let unfit = node(data, &["provision", "--port", port, "wifi_ssid="]);
    assert!(!unfit.status.success(), "{}", said(&unfit));
    assert!(
        said(&unfit)
            .contains("n01 has kept what it was told, and does not run by it: no wireless network is set"),
        "{}",
        said(&unfit)
    );
    // What needs no node to be seen as wrong.
    for (args, why) in [
        (&["--wifi", "x", "--wifi-password", "1234567"][..], "--wifi-password 8 to 63 letters"),
        (&["--show", "--scan"], "cannot be used with"),
        (&["--show", "baud=9600"], "--show changes nothing"),
    ] {
        let refused = node(data, &[&["provision", "--port", port], args].concat());
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(said(&refused).contains(why), "{}", said(&refused));
    }
    let refused = node(data, &["provision", "--port", port, "prefix=a/#"]);
    assert!(
        said(&refused).contains("the node says: the value must be levels of letters"),
        "{}",
        said(&refused)
    );
}

/// Records that wait under the node's id are lost by another one: only where somebody says so, and with their number.
fn check_another_id(data: &TempDir, port: &str) {
    said(&node(data, &["add", "n02"]));
    let provision = ["provision", "--port", port, "--node", "n02"];
    let refused = node(data, &provision);
    assert!(!refused.status.success(), "{}", said(&refused));
    assert!(
        said(&refused).contains("the node says: 37 records of n01 wait for its gateway"),
        "{}",
        said(&refused)
    );
    assert!(
        said(&refused).contains("with --give-up-records the node loses what waits"),
        "{}",
        said(&refused)
    );
    let told = node(data, &[&provision[..], &["--give-up-records", "--wifi", "Vuon"]].concat());
    assert!(told.status.success(), "{}", said(&told));
    assert!(said(&told).contains("37 records of n01 are given up"), "{}", said(&told));
    assert!(said(&told).contains("n02 is set up and runs"), "{}", said(&told));
}

/// A scan is of every speed, or of the one that is given; without parity, and of the usual addresses.
fn check_scans(data: &TempDir, port: &str) {
    const NO_LINE: &str = "the node says: there is no line for Scan";
    for (settings, wanted) in [
        (&[][..], "{ baud: None, parity: None, addresses: 1..=10 }"),
        (&["baud=9600"], "{ baud: Some(9600), parity: None, addresses: 1..=10 }"),
        (&["parity=odd", "baud=4800"], "{ baud: Some(4800), parity: Odd, addresses: 1..=10 }"),
        (&["addresses=1-247", "parity=even"], "{ baud: None, parity: Even, addresses: 1..=247 }"),
        (&["addresses=17"], "{ baud: None, parity: None, addresses: 17..=17 }"),
        (
            &["baud=12"],
            "baud=12: --scan takes baud=9600, parity=none|even|odd and addresses=1-247, each once",
        ),
        (&["addresses=0-9"], "addresses=0-9: --scan takes"),
        (&["baud=even"], "baud=even: --scan takes"),
        (&["parity=even", "parity=odd"], "parity=even parity=odd: --scan takes"),
        (
            &["health_s=60"],
            "health_s=60: --scan takes baud=9600, parity=none|even|odd and addresses=1-247 alone",
        ),
    ] {
        let out = node(data, &[&["provision", "--port", port, "--scan"], settings].concat());
        let wanted = if wanted.starts_with('{') { format!("{NO_LINE} {wanted}") } else { wanted.to_owned() };
        assert!(!out.status.success() && said(&out).contains(&wanted), "{settings:?}: {}", said(&out));
    }
}

#[test]
fn a_port_that_is_none_is_named_with_a_remedy() {
    let data = TempDir::with_prefix("giot-provision-").unwrap();
    let missing = node(&data, &["provision", "--port", "/dev/ttyUSB77", "--show"]);
    assert_eq!(missing.status.code(), Some(2), "{}", said(&missing));
    assert!(
        said(&missing).contains("/dev/ttyUSB77: no such port: is the cable plugged in?"),
        "{}",
        said(&missing)
    );
    let file = data.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let no_port = node(&data, &["provision", "--port", file.to_str().unwrap(), "--show"]);
    assert!(said(&no_port).contains("this is no serial port"), "{}", said(&no_port));
    let nothing = node(&data, &["provision", "--port", file.to_str().unwrap()]);
    assert!(said(&nothing).contains("nothing to tell the node"), "{}", said(&nothing));
    let stranger = node(
        &data,
        &["provision", "--port", file.to_str().unwrap(), "--node", "n77", "--broker", "1.2.3.4:5"],
    );
    assert!(!stranger.status.success(), "{}", said(&stranger));
}
