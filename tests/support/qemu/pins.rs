//! The pins of an emulated chip: words in a file that the machine maps, and a witness of what its outputs did.
//!
//! The table of the words stands at the board's own driver, `firmware/boards/qemu-riscv32/src/gpio.rs`.

use giot_gateway::clock::monotonic;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const LEN: u64 = 1 << 20;

pub(super) const OUTPUTS: u64 = 0;
/// The output that switches the supply of the devices on the RS485 line.
pub(super) const PROBES: u32 = 1 << 15;
pub(super) const INPUTS: u64 = 4;
pub(super) const PULSES: u64 = 8;
pub(super) const SUPPLY: u64 = 12;
pub(super) const FAULT: u64 = 16;
pub(super) const TIPS: u64 = 20;
pub(super) const WORDS_LEFT: u64 = 24;
pub(super) const HAS_FAILED: u64 = 28;
pub(super) const HASTE: u64 = 32;
pub(super) const COMES_BACK: u64 = 44;
pub(super) const MADE_EPOCH: u64 = 48;
pub(super) const MADE_SEQ: u64 = 52;
const N_EDGES: u64 = 56;
const EDGES: u64 = 4096;
const EDGES_KEPT: u32 = 1024;
const SKIPPED_LOW: u64 = 36;
const SKIPPED_HIGH: u64 = 40;
/// The first input that is a switch.
pub(super) const FIRST_CONTACT: u32 = 8;

/// The file that the machine maps as its pins.
#[derive(Clone, Debug)]
pub(super) struct Pins {
    file: Arc<File>,
    made: Instant,
}

impl Pins {
    pub(super) fn make(path: &Path) -> Self {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).expect("a file");
        file.set_len(LEN).expect("room");
        Self { file: Arc::new(file), made: monotonic() }
    }

    pub(super) fn read(&self, word: u64) -> u32 {
        let mut bytes = [0; 4];
        self.file.read_exact_at(&mut bytes, word).expect("readable");
        u32::from_le_bytes(bytes)
    }

    pub(super) fn write(&self, word: u64, value: u32) {
        self.file.write_all_at(&value.to_le_bytes(), word).expect("writable");
    }

    /// Another edge of the meter's contact, so many µs after the one before.
    pub(super) fn add_edge(&self, after_us: u32, is_closed: bool) {
        let number = self.read(N_EDGES);
        self.write(EDGES + 4 * u64::from(number % EDGES_KEPT), after_us | u32::from(is_closed) << 31);
        self.write(N_EDGES, number.wrapping_add(1));
    }

    /// How much time was skipped, by the board or by [`Self::skip`].
    pub(super) fn skipped(&self) -> Duration {
        loop {
            let high = self.read(SKIPPED_HIGH);
            let low = self.read(SKIPPED_LOW);
            // The halves belong together when no carry came in between.
            if self.read(SKIPPED_HIGH) == high {
                return Duration::from_micros(u64::from(high) << 32 | u64::from(low));
            }
        }
    }

    /// Skips time while the board is off.
    pub(super) fn skip(&self, span: Duration) {
        let total = u64::try_from((self.skipped() + span).as_micros()).expect("no such age");
        let [h3, h2, h1, h0, l3, l2, l1, l0] = total.to_be_bytes();
        self.write(SKIPPED_HIGH, u32::from_be_bytes([h3, h2, h1, h0]));
        self.write(SKIPPED_LOW, u32::from_be_bytes([l3, l2, l1, l0]));
    }

    /// How old they are in the time that the board lives in.
    pub(super) fn age(&self) -> Duration {
        self.made.elapsed() + self.skipped()
    }
}

/// Pulses of the outputs, as a thread that looks every few milliseconds has seen them.
#[derive(Debug)]
pub struct Pulses {
    changes: Arc<Mutex<Vec<(Duration, u32)>>>,
    /// Dropped with this, which ends the thread.
    _alive: Arc<()>,
}

impl Pulses {
    pub(super) fn watch(pins: Pins) -> Self {
        let (changes, alive) = (Arc::new(Mutex::new(Vec::new())), Arc::new(()));
        let (written, watched) = (Arc::clone(&changes), Arc::downgrade(&alive));
        std::thread::spawn(move || {
            let mut last = pins.read(OUTPUTS);
            while watched.strong_count() > 0 {
                let outputs = pins.read(OUTPUTS);
                if outputs != last {
                    written.lock().unwrap_or_else(PoisonError::into_inner).push((pins.age(), outputs));
                }
                last = outputs;
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        Self { changes, _alive: alive }
    }

    /// All values other than 0, each time they changed.
    #[must_use]
    pub fn seen(&self) -> Vec<u32> {
        self.changes().into_iter().map(|(_, outputs)| outputs).filter(|outputs| *outputs != 0).collect()
    }

    /// What they became, each time they changed, and at which age of the board.
    #[must_use]
    pub fn changes(&self) -> Vec<(Duration, u32)> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
