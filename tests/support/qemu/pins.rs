//! The pins of an emulated chip: words in a file that the machine maps, and a witness of what its outputs did.
//!
//! The table of the words stands at the board's own driver, `firmware/boards/qemu-riscv32/src/gpio.rs`.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const LEN: u64 = 1 << 20;

pub(super) const OUTPUTS: u64 = 0;
pub(super) const INPUTS: u64 = 4;
pub(super) const PULSES: u64 = 8;
pub(super) const SUPPLY: u64 = 12;
pub(super) const FAULT: u64 = 16;
pub(super) const TIPS: u64 = 20;
pub(super) const WORDS_LEFT: u64 = 24;
pub(super) const HAS_FAILED: u64 = 28;
/// The first input that is a switch.
pub(super) const FIRST_CONTACT: u32 = 8;

/// The file that the machine maps as its pins.
#[derive(Clone, Debug)]
pub(super) struct Pins(Arc<File>);

impl Pins {
    pub(super) fn make(path: &Path) -> Self {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).expect("a file");
        file.set_len(LEN).expect("room");
        Self(Arc::new(file))
    }

    pub(super) fn read(&self, word: u64) -> u32 {
        let mut bytes = [0; 4];
        self.0.read_exact_at(&mut bytes, word).expect("readable");
        u32::from_le_bytes(bytes)
    }

    pub(super) fn write(&self, word: u64, value: u32) {
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
    pub(super) fn watch(pins: Pins) -> Self {
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
