//! The real firmware image on an emulated chip, with everything around it that a field has: an RS485 line with a soil
//! probe, pins in a file, a flash bank in a file, a network cable and a power switch.
//!
//! The soil gets dry by itself and wet while the first output is high; the water meter counts then. Nothing here plays
//! the gateway or the chip. A chip that is dropped loses its power.

use crate::giot::wait_for;
use crate::modbus::framed;
use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use giot_firmware::settings::Installation;
use giot_gateway::clock::monotonic;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// Address of this machine's 127.0.0.1 as the chip sees it.
pub const HOST: &str = "10.0.2.2";
/// Water per pulse of the meter, µL.
pub const PULSE_UL: u32 = 10_000;
/// Modbus address of the probe, which speaks preset A.
pub const PROBE_ADDRESS: u8 = 1;

const FLASH_LEN: usize = 32 << 20;
const BLOCK_LEN: usize = 256 << 10;
/// Blocks of the partition that holds what a person set up.
const N_INSTALLATION_BLOCKS: usize = 2;
const PINS_LEN: u64 = 1 << 20;

/// Words of the pins' file.
const OUTPUTS: u64 = 0;
const INPUTS: u64 = 4;
const PULSES: u64 = 8;
const SUPPLY: u64 = 12;
const FAULT: u64 = 16;

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
    /// Length of the console's log when it was last switched on.
    booted_at: usize,
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
        Self { image, pins, power: None, booted_at: 0, soil, folder }
    }

    /// Sets the node up as an installer would.
    ///
    /// # Panics
    /// When the installation does not fit.
    pub fn install(&self, installation: &Installation) {
        let mut bank = Bank(vec![0xff; N_INSTALLATION_BLOCKS * BLOCK_LEN]);
        at_once(installation.store(&mut bank)).expect("an installation that fits");
        let flash = OpenOptions::new().write(true).open(self.path("flash")).expect("the flash bank");
        flash.write_all_at(&bank.0, 0).expect("written");
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
        qemu.args(["-display", "none", "-nodefaults", "-action", "watchdog=reset", "-device", "i6300esb"]);
        qemu.args(["-netdev", "user,id=cable", "-device", "virtio-net-device,netdev=cable"]);
        qemu.args(["-global", "virtio-mmio.force-legacy=false"]);
        qemu.args(["-chardev", &format!("file,id=console,path={},append=on", file("console"))]);
        qemu.args(["-serial", "chardev:console"]);
        qemu.args(["-monitor", &format!("unix:{},server=on,wait=off", file("monitor"))]);
        qemu.args(["-chardev", &format!("socket,id=rs485,path={}", file("rs485"))]);
        qemu.args(["-device", "pci-serial,chardev=rs485"]);
        qemu.args(["-drive", &format!("if=pflash,unit=1,format=raw,file={}", file("flash"))]);
        qemu.args([
            "-object",
            &format!("memory-backend-file,id=pins,size=1M,mem-path={},share=on", file("pins")),
            "-device",
            "ivshmem-plain,memdev=pins",
        ]);
        self.booted_at = self.log().len();
        let started = qemu.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        self.power = Some(started.expect("qemu-system-riscv32 starts: apt-get install qemu-system-misc"));
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

    /// Everything that it has said on its console, over all boots.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(self.path("console")).map_or_else(|_| String::new(), |log| crate::giot::text(&log))
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

/// The file that the machine maps as its pins.
#[derive(Clone, Debug)]
struct Pins(Arc<File>);

impl Pins {
    fn make(path: &Path) -> Self {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).expect("a file");
        file.set_len(PINS_LEN).expect("room");
        Self(Arc::new(file))
    }

    fn read(&self, word: u64) -> u32 {
        let mut bytes = [0; 4];
        self.0.read_exact_at(&mut bytes, word).expect("readable");
        u32::from_le_bytes(bytes)
    }

    fn write(&self, word: u64, value: u32) {
        self.0.write_all_at(&value.to_le_bytes(), word).expect("writable");
    }
}

/// Pulses of the outputs, as a thread that looks every few milliseconds has seen them.
#[derive(Debug)]
pub struct Pulses {
    seen: Arc<Mutex<Vec<u32>>>,
    /// Dropped with this, which ends the thread.
    _alive: Arc<()>,
}

impl Pulses {
    fn watch(pins: Pins) -> Self {
        let (seen, alive) = (Arc::new(Mutex::new(Vec::new())), Arc::new(()));
        let (written, watched) = (Arc::clone(&seen), Arc::downgrade(&alive));
        std::thread::spawn(move || {
            let mut last = pins.read(OUTPUTS);
            while watched.strong_count() > 0 {
                let outputs = pins.read(OUTPUTS);
                if outputs != last && outputs != 0 {
                    written.lock().unwrap_or_else(PoisonError::into_inner).push(outputs);
                }
                last = outputs;
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        Self { seen, _alive: alive }
    }

    /// All values other than 0, each time they changed.
    #[must_use]
    pub fn seen(&self) -> Vec<u32> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The soil around the probe, and the probe on its line.
#[derive(Debug)]
pub struct Soil {
    state: Arc<SoilState>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct SoilState {
    /// Hundredths of a percent.
    moisture: AtomicI32,
    /// Change in hundredths of a percent each second, while dry and while watered.
    rates: Mutex<(i32, i32)>,
    n_questions: AtomicU32,
    ended: AtomicBool,
}

/// How often the soil is computed anew.
const STEP: Duration = Duration::from_millis(100);

impl Soil {
    /// Usual: nearly nothing while dry, 1 % a second while watered.
    fn start(socket: &Path, pins: Pins, moisture: i32) -> Self {
        let state = Arc::new(SoilState {
            moisture: AtomicI32::new(moisture),
            rates: Mutex::new((-2, 100)),
            n_questions: AtomicU32::new(0),
            ended: AtomicBool::new(false),
        });
        let listener = UnixListener::bind(socket).expect("a line");
        listener.set_nonblocking(true).expect("a socket");
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || shared.live(&listener, &pins));
        Self { state, thread: Some(thread) }
    }

    /// Moisture in hundredths of a percent.
    #[must_use]
    pub fn moisture(&self) -> i32 {
        self.state.moisture.load(Ordering::Relaxed)
    }

    /// Changes how fast it gets dry and wet, hundredths of a percent each second.
    pub fn set_rates(&self, dry: i32, wet: i32) {
        *self.state.rates.lock().unwrap_or_else(PoisonError::into_inner) = (dry, wet);
    }

    /// How often the probe was asked.
    #[must_use]
    pub fn n_questions(&self) -> u32 {
        self.state.n_questions.load(Ordering::Relaxed)
    }
}

impl Drop for Soil {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl SoilState {
    fn live(&self, listener: &UnixListener, pins: &Pins) {
        let mut line: Option<UnixStream> = None;
        let mut heard = Vec::new();
        let (mut last, mut fraction) = (monotonic(), 0.0);
        while !self.ended.load(Ordering::Relaxed) {
            if let Ok((socket, _)) = listener.accept() {
                socket.set_nonblocking(false).expect("a socket");
                socket.set_read_timeout(Some(STEP)).expect("a socket");
                heard.clear();
                line = Some(socket);
            }
            match &mut line {
                Some(socket) => {
                    if !self.hear(socket, &mut heard) {
                        line = None;
                    }
                }
                None => std::thread::sleep(STEP),
            }
            let elapsed = last.elapsed();
            if elapsed >= STEP {
                last = monotonic();
                self.pass(elapsed, &mut fraction, pins);
            }
        }
    }

    /// Time passes: water flows and sinks in, or the sun dries.
    fn pass(&self, elapsed: Duration, fraction: &mut f64, pins: &Pins) {
        let is_open = pins.read(OUTPUTS) & 1 == 1;
        let rates = *self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = if is_open { rates.1 } else { rates.0 };
        *fraction += f64::from(rate) * elapsed.as_secs_f64();
        let whole = fraction.trunc();
        *fraction -= whole;
        #[expect(clippy::cast_possible_truncation, reason = "some hundredths of a percent")]
        let moisture = (self.moisture.load(Ordering::Relaxed) + whole as i32).clamp(500, 4500);
        self.moisture.store(moisture, Ordering::Relaxed);
        if is_open {
            // One millilitre a millisecond.
            let n_new = u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX) * 1000 / PULSE_UL;
            pins.write(PULSES, pins.read(PULSES).wrapping_add(n_new));
        }
    }

    /// Listens for a moment and answers a whole question. Gives whether the line still stands.
    fn hear(&self, socket: &mut UnixStream, heard: &mut Vec<u8>) -> bool {
        let mut bytes = [0; 64];
        match socket.read(&mut bytes) {
            Ok(0) => return false,
            Ok(n_read) => heard.extend(&bytes[..n_read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                // Silence ends a frame.
                heard.clear();
            }
            Err(_) => return false,
        }
        if heard.len() < 8 {
            return true;
        }
        let question: Vec<u8> = std::mem::take(heard);
        self.n_questions.fetch_add(1, Ordering::Relaxed);
        self.answer(&question).is_none_or(|answer| socket.write_all(&answer).is_ok())
    }

    /// What the probe says; nothing to a question that is spoilt or meant for another.
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let &[address, function, high, low, _, count, _, _] = question else { return None };
        if address != PROBE_ADDRESS || framed(&question[..6]) != question {
            return None;
        }
        let moisture = u16::try_from(self.moisture.load(Ordering::Relaxed) / 10).ok()?;
        let registers = [moisture, 245, 310];
        let first = usize::from(u16::from_be_bytes([high, low]));
        let asked = registers.get(first..first + usize::from(count));
        let answer = match asked {
            Some(words) if function == 3 => {
                let mut answer = vec![address, function, 2 * count];
                answer.extend(words.iter().flat_map(|word| word.to_be_bytes()));
                answer
            }
            Some(_) => vec![address, function | 0x80, 1],
            None => vec![address, function | 0x80, 2],
        };
        Some(framed(&answer))
    }
}

/// The installation's partition before it goes into the bank's file.
struct Bank(Vec<u8>);

#[derive(Debug)]
struct Beyond;

impl NorFlashError for Beyond {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::OutOfBounds
    }
}

impl ErrorType for &mut Bank {
    type Error = Beyond;
}

impl ReadNorFlash for &mut Bank {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Beyond> {
        let start = usize::try_from(offset).map_err(|_| Beyond)?;
        bytes.copy_from_slice(self.0.get(start..start + bytes.len()).ok_or(Beyond)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for &mut Bank {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = BLOCK_LEN;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Beyond> {
        let range = usize::try_from(from).map_err(|_| Beyond)?..usize::try_from(to).map_err(|_| Beyond)?;
        self.0.get_mut(range).ok_or(Beyond)?.fill(0xff);
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Beyond> {
        let start = usize::try_from(offset).map_err(|_| Beyond)?;
        let old = self.0.get_mut(start..start + bytes.len()).ok_or(Beyond)?;
        old.iter_mut().zip(bytes).for_each(|(old, new)| *old &= new);
        Ok(())
    }
}

impl MultiwriteNorFlash for &mut Bank {}

/// The output of a future that waits for nothing.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a flash in memory waits for nothing"),
    }
}
