//! The real firmware image on an emulated chip, with everything around it that a field has: an RS485 line with a soil
//! probe, pins in a file, a flash bank in a file, a network cable and a power switch.
//!
//! The soil gets dry by itself and wet while the first output is high; the water meter counts then. Nothing here plays
//! the gateway or the chip. A chip that is dropped loses its power.

mod bank;
mod neighbour;
pub mod peer;
mod pins;
mod soil;

pub use bank::{Bank, Partition, at_once};
pub use neighbour::{Manner, Neighbour};
pub use pins::Pulses;
pub use soil::{EC_MAX, PROBE_ADDRESS, PULSE_UL, Soil};

use crate::giot::wait_for;
use giot_firmware::settings::Installation;
use giot_gateway::clock::monotonic;
use giot_shared::ids::Position;
use pins::{
    COMES_BACK, FAULT, FIRST_CONTACT, HAS_FAILED, HASTE, INPUTS, MADE_EPOCH, MADE_SEQ, OUTPUTS, PROBES,
    PULSES, Pins, SUPPLY, TIPS, WORDS_LEFT,
};
use rustix::termios::{OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Address of this machine's 127.0.0.1 as the chip sees it.
pub const HOST: &str = "10.0.2.2";

const FLASH_LEN: usize = 32 << 20;

/// What goes wrong on request, in an image that was built for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A loop that never ends.
    Hang = 1,
    /// A broken invariant.
    Panic = 2,
}

/// A board with a chip, its surroundings and what it remembers.
#[derive(Debug)]
pub struct Chip {
    folder: TempDir,
    image: PathBuf,
    pins: Pins,
    power: Option<Child>,
    /// The terminal of its console.
    console: PathBuf,
    /// Length of the console's log when it was last switched on.
    booted_at: usize,
    /// Devices that it has lost.
    missing: Vec<&'static str>,
    /// The soil around its probe.
    pub soil: Soil,
}

/// The path of an image that the stage has built: `node`, or `node-faults`, which can be told to fail.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn image(name: &str) -> PathBuf {
    let folder = std::env::var_os("GIOT_QEMU_IMAGES").expect("GIOT_QEMU_IMAGES: run tests/run qemu");
    let path = PathBuf::from(folder).join(name);
    assert!(path.exists(), "{} is missing", path.display());
    path
}

impl Chip {
    /// A new board with an empty flash, switched off, in soil of `moisture` hundredths of a percent.
    ///
    /// # Panics
    /// When its files cannot be made.
    #[must_use]
    pub fn new(image: PathBuf, moisture: i32) -> Self {
        let folder = TempDir::with_prefix("giot-qemu-").expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("flash"), vec![0xff; FLASH_LEN]).expect("a flash bank");
        let pins = Pins::make(&path("pins"));
        let soil = Soil::start(&path("rs485"), pins.clone(), moisture);
        Self {
            image,
            pins,
            power: None,
            console: PathBuf::new(),
            booted_at: 0,
            missing: Vec::new(),
            soil,
            folder,
        }
    }

    /// Sets the node up as an installer would.
    ///
    /// # Panics
    /// When the installation does not fit.
    pub fn install(&self, installation: &Installation) {
        self.write_flash(&Bank::installed(installation));
    }

    /// Writes a partition of its flash, while it is off.
    ///
    /// # Panics
    /// When it is on.
    pub fn write_flash(&self, bank: &Bank) {
        assert!(self.power.is_none(), "it is on");
        bank.write(&OpenOptions::new().write(true).open(self.path("flash")).expect("the flash bank"));
    }

    /// What a partition of its flash holds.
    ///
    /// # Panics
    /// When its file cannot be read.
    #[must_use]
    pub fn read_flash(&self, partition: Partition) -> Bank {
        Bank::read(partition, &File::open(self.path("flash")).expect("the flash bank"))
    }

    /// Takes a device of QEMU out of the board, for good.
    pub fn take_out(&mut self, device: &'static str) {
        self.missing.push(device);
    }

    /// Switches it on.
    ///
    /// # Panics
    /// When QEMU does not start.
    pub fn power_on(&mut self) {
        assert!(self.power.is_none(), "it is on");
        let file = |name: &str| self.path(name).to_str().expect("a plain path").to_owned();
        let mut qemu = Command::new("qemu-system-riscv32");
        // With the second flash bank in use, an image must come as BIOS to be loaded at all.
        qemu.args(["-machine", "virt", "-m", "16M", "-bios"]).arg(&self.image);
        qemu.args(["-display", "none", "-nodefaults", "-action", "watchdog=reset"]);
        qemu.args(["-netdev", "user,id=cable"]);
        qemu.args(["-global", "virtio-mmio.force-legacy=false"]);
        // A terminal that a program can open; what is said goes into the file whether anybody listens or not.
        qemu.args(["-chardev", &format!("pty,id=console,logfile={},logappend=on", file("console"))]);
        qemu.args(["-serial", "chardev:console"]);
        qemu.args(["-monitor", &format!("unix:{},server=on,wait=off", file("monitor"))]);
        qemu.args(["-chardev", &format!("socket,id=rs485,path={}", file("rs485"))]);
        for (device, wired) in
            [("i6300esb", ""), ("virtio-net-device", ",netdev=cable"), ("pci-serial", ",chardev=rs485")]
        {
            if !self.missing.contains(&device) {
                qemu.args(["-device", &format!("{device}{wired}")]);
            }
        }
        qemu.args(["-drive", &format!("if=pflash,unit=1,format=raw,file={}", file("flash"))]);
        qemu.args([
            "-object",
            &format!("memory-backend-file,id=pins,size=1M,mem-path={},share=on", file("pins")),
            "-device",
            "ivshmem-plain,memdev=pins",
        ]);
        self.booted_at = self.log().len();
        let started = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut power = started.expect("qemu-system-riscv32 starts: apt-get install qemu-system-misc");
        // "char device redirected to /dev/pts/3 (label console)"
        let mut said = String::new();
        let stdout = power.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut said).expect("QEMU says where the terminal is");
        let port = said.split(' ').find(|word| word.starts_with("/dev/"));
        self.console = PathBuf::from(port.unwrap_or_else(|| panic!("no terminal in {said:?}")));
        self.power = Some(power);
    }

    /// The terminal of its console, until it is switched off.
    #[must_use]
    pub fn console(&self) -> &Path {
        &self.console
    }

    /// Types something at its console; what it says meanwhile is in [`Self::log`].
    ///
    /// # Panics
    /// When the terminal cannot be opened.
    pub fn type_in(&self, bytes: &[u8]) {
        let mut terminal = OpenOptions::new().read(true).write(true).open(&self.console).expect("a terminal");
        let mut mode = tcgetattr(&terminal).expect("a terminal");
        mode.make_raw();
        // A read gives what is there.
        mode.special_codes[SpecialCodeIndex::VMIN] = 0;
        mode.special_codes[SpecialCodeIndex::VTIME] = 1;
        tcsetattr(&terminal, OptionalActions::Now, &mode).expect("raw");
        let mut keys = terminal.try_clone().expect("a terminal");
        let goes_on = AtomicBool::new(true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                keys.write_all(bytes).expect("written");
                goes_on.store(false, Ordering::Release);
            });
            // Whoever has the terminal must listen, or the chip waits for him.
            let mut n_silent = 0;
            while n_silent < 20 {
                let is_typing = goes_on.load(Ordering::Acquire);
                let n_read = terminal.read(&mut [0; 4096]).expect("readable");
                n_silent = if n_read == 0 && !is_typing { n_silent + 1 } else { 0 };
            }
        });
    }

    /// Opens or closes its switches, by bits.
    pub fn close_contacts(&self, contacts: u32) {
        self.pins.write(INPUTS, contacts << FIRST_CONTACT);
    }

    /// Lets rain tip the gauge's bucket so many times.
    pub fn tip(&self, n_tips: u32) {
        self.pins.write(TIPS, self.pins.read(TIPS).wrapping_add(n_tips));
    }

    /// Moves the contact of its meter: each edge so many µs after the one before, and whether it is closed from then on.
    pub fn move_reed(&self, edges: impl IntoIterator<Item = (u32, bool)>) {
        edges.into_iter().for_each(|(after_us, is_closed)| self.pins.add_edge(after_us, is_closed));
    }

    /// Sets the counter of its meter, which goes on from there.
    pub fn set_meter(&self, n_pulses: u32) {
        self.pins.write(PULSES, n_pulses);
    }

    /// Cuts its power. The pins' file keeps its outputs, as latching valves would.
    ///
    /// # Panics
    /// When it is off, or QEMU ended by itself.
    pub fn cut_power(&mut self) {
        let mut power = self.power.take().expect("it is on");
        assert_eq!(power.try_wait().expect("a child"), None, "QEMU ended by itself\n{}", self.log());
        power.kill().expect("kill");
        power.wait().expect("wait");
    }

    /// Pulls its reset pin, as a supply that dips for a moment does.
    pub fn dip_supply(&self) {
        self.monitor("system_reset");
    }

    /// Plugs or pulls the network cable.
    pub fn plug_cable(&self, plugged: bool) {
        self.monitor(if plugged { "set_link cable on" } else { "set_link cable off" });
    }

    /// Whether the relay of the first valve is on.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.outputs() & 1 == 1
    }

    /// Whether the devices on its RS485 line have their supply.
    #[must_use]
    pub fn powers_probes(&self) -> bool {
        is_powered(self.outputs())
    }

    /// All outputs.
    #[must_use]
    pub fn outputs(&self) -> u32 {
        self.pins.read(OUTPUTS)
    }

    /// Writes down from here on what the outputs become.
    #[must_use]
    pub fn watch_outputs(&self) -> Pulses {
        Pulses::watch(self.pins.clone())
    }

    /// Presses or releases the buttons of valves, by bits.
    pub fn press(&self, buttons: u32) {
        self.pins.write(INPUTS, buttons);
    }

    /// Sets the supply, mV.
    pub fn set_supply(&self, millivolts: u32) {
        self.pins.write(SUPPLY, millivolts);
    }

    /// Makes it fail; needs the image `node-faults`.
    pub fn commit(&self, fault: Fault) {
        self.pins.write(FAULT, fault as u32);
    }

    /// Lets its power fail at the `n`th word that it writes to its flash from here on; needs the image `node-faults`. Then
    /// cuts it.
    ///
    /// # Panics
    /// When it takes longer than `limit`.
    pub fn fail_at_word(&mut self, n: u32, limit: Duration) {
        self.pins.write(HAS_FAILED, 0);
        self.pins.write(WORDS_LEFT, n);
        if self.power.is_none() {
            self.power_on();
        }
        let failed = || self.pins.read(HAS_FAILED) == 1;
        assert!(within(limit, failed), "not {n} words within {limit:?}\n{}", self.log());
        self.cut_power();
        self.pins.write(WORDS_LEFT, 0);
    }

    /// Lets its power fail at the `n`th step that its flash takes from here on: a word that is half written, or an erasure that has
    /// not begun, or is half done; needs the image `node-faults`. Until [`Self::let_come_back`] its flash is as the failure left it.
    /// 0: it does not fail.
    pub fn fail_at_step(&self, n: u32) {
        self.pins.write(HAS_FAILED, 0);
        self.pins.write(COMES_BACK, 0);
        [MADE_EPOCH, MADE_SEQ].into_iter().for_each(|word| self.pins.write(word, 0));
        self.pins.write(WORDS_LEFT, n);
    }

    /// Lets power that has failed come back.
    pub fn let_come_back(&self) {
        self.pins.write(COMES_BACK, 1);
    }

    /// The last record that it has made, as it says itself; needs the image `node-faults`.
    #[must_use]
    pub fn made(&self) -> Position {
        Position { epoch: self.pins.read(MADE_EPOCH), seq: self.pins.read(MADE_SEQ) }
    }

    /// Whether it has failed since it was told to, and how many steps are left otherwise.
    #[must_use]
    pub fn has_failed(&self) -> (bool, u32) {
        (self.pins.read(HAS_FAILED) == 1, self.pins.read(WORDS_LEFT))
    }

    /// Lets idle time pass at once until it boots.
    pub fn hasten_to_boot(&self) {
        self.pins.write(HASTE, 0b101);
    }

    /// Lets idle time pass at once, also in the middle of an answer on the RS485 line; `hasten` ends that.
    pub fn be_impatient(&self) {
        self.pins.write(HASTE, 0b11);
    }

    /// Lets idle time pass at once while it has no connection, and none that it waits for; `hasten` ends that.
    pub fn hasten_without_link(&self) {
        self.pins.write(HASTE, 0b1001);
    }

    /// Whether its idle time passes at once; needs the image `node-faults`, and a pulled cable.
    pub fn hasten(&self, hasty: bool) {
        self.pins.write(HASTE, u32::from(hasty));
    }

    /// Lets its idle time pass at once until it has lived for `span`.
    ///
    /// # Panics
    /// When that takes longer than `limit`.
    pub fn live(&self, span: Duration, limit: Duration) {
        let until = self.age() + span;
        self.hasten(true);
        let lived = || self.age() >= until;
        assert!(within(limit, lived), "not {span:?} within {limit:?}, but {:?}\n{}", self.age(), self.log());
        self.hasten(false);
    }

    /// Lets time pass while it is switched off.
    ///
    /// # Panics
    /// When it is on.
    pub fn lie(&self, span: Duration) {
        assert!(self.power.is_none(), "it is on");
        self.pins.skip(span);
    }

    /// How old the board is in the time that it lives in.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.pins.age()
    }

    /// By how much that time is ahead of the world's.
    #[must_use]
    pub fn ahead(&self) -> Duration {
        self.pins.skipped()
    }

    /// Everything that it has said on its console, over all boots.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(self.path("console")).map_or_else(|_| String::new(), |log| crate::giot::text(&log))
    }

    /// What it has said since it was last switched on.
    #[must_use]
    pub fn log_since_power_on(&self) -> String {
        self.log()[self.booted_at..].to_owned()
    }

    /// Waits until it has said `line` for the `n`th time.
    ///
    /// # Panics
    /// When it takes longer than `limit`.
    pub fn until_says(&self, line: &str, n: usize, limit: Duration) {
        let said = || self.log().matches(line).count() >= n;
        assert!(within(limit, said), "no {line:?} for time {n} within {limit:?}\n{}", self.log());
    }

    /// Waits until the gateway has greeted it since it was last switched on.
    ///
    /// # Panics
    /// When it takes longer than `limit`.
    pub fn until_welcomed(&self, limit: Duration) {
        let welcomed = || self.log()[self.booted_at..].contains("welcomed");
        assert!(within(limit, welcomed), "no Welcome within {limit:?}\n{}", self.log());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// One command of QEMU's monitor, waited for.
    fn monitor(&self, command: &str) {
        const PROMPT: &str = "(qemu) ";
        let connected = || UnixStream::connect(self.path("monitor")).ok();
        let mut socket = wait_for("the monitor", Duration::from_secs(20), connected);
        let until_prompt = |socket: &mut UnixStream| {
            let mut said = Vec::new();
            while !crate::giot::text(&said).ends_with(PROMPT) {
                let mut bytes = [0; 256];
                let n_read = socket.read(&mut bytes).expect("the monitor speaks");
                assert!(n_read > 0, "the monitor ended");
                said.extend(&bytes[..n_read]);
            }
        };
        until_prompt(&mut socket);
        writeln!(socket, "{command}").expect("the monitor listens");
        until_prompt(&mut socket);
    }
}

impl Drop for Chip {
    fn drop(&mut self) {
        if let Some(mut power) = self.power.take() {
            // Already gone is what is wanted.
            power.kill().ok();
            power.wait().ok();
        }
    }
}

/// Whether the devices on the RS485 line have their supply with these outputs.
#[must_use]
pub const fn is_powered(outputs: u32) -> bool {
    outputs & PROBES != 0
}

/// Whether `check` comes true within `limit`.
fn within(limit: Duration, mut check: impl FnMut() -> bool) -> bool {
    let began = monotonic();
    while !check() {
        if began.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}
