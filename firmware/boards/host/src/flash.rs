//! NOR flash on a PC: in memory, and in a file where the node shall survive the process.
//!
//! It behaves as the real thing where that matters: a write can only clear bits, pages of 4 KiB are erased as a whole,
//! words have four bytes. The content is kept in memory and written through to the file.
//!
//! | pages | partition |
//! |---|---|
//! | 0–1 | settings |
//! | 2–5 | valve events |
//! | 6–37 | readings: about 3 600 of them |
//! | 38–39 | what a person set up, where the node is told by that |

use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use giot_firmware::run::Partitions;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that are erased together.
pub const PAGE_LEN: usize = 4096;

const SETTINGS_PAGES: Range<usize> = 0..2;
const EVENT_PAGES: Range<usize> = 2..6;
const READING_PAGES: Range<usize> = 6..38;
const INSTALLATION_PAGES: Range<usize> = 38..40;
const LEN: usize = INSTALLATION_PAGES.end * PAGE_LEN;
/// A file from before there was a partition for what a person set up.
const OLDER_LEN: usize = READING_PAGES.end * PAGE_LEN;
const ERASED: u8 = 0xff;

/// The flash chip of one node; clones are the same chip.
#[derive(Clone, Debug)]
pub struct FlashStore {
    chip: Arc<Mutex<Chip>>,
}

#[derive(Debug)]
struct Chip {
    bytes: Vec<u8>,
    file: Option<File>,
    sync: bool,
}

impl FlashStore {
    /// An erased chip that lives as long as its clones.
    #[must_use]
    pub fn memory() -> Self {
        Self::with(Chip { bytes: vec![ERASED; LEN], file: None, sync: false })
    }

    /// The chip in a file, made when it is not there. With `sync` every write is on disk before it counts as done.
    ///
    /// # Errors
    /// When the file cannot be opened or has another size.
    pub fn file(path: &Path, sync: bool) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::with_capacity(LEN);
        Read::by_ref(&mut file).take(LEN as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.is_empty() || bytes.len() == OLDER_LEN {
            let n_known = bytes.len();
            bytes.resize(LEN, ERASED);
            file.write_all(bytes.get(n_known..).unwrap_or_default())?;
            file.sync_all()?;
        }
        if bytes.len() != LEN {
            let found = format!("a flash file has {LEN} bytes, this one {}", bytes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, found));
        }
        Ok(Self::with(Chip { bytes, file: Some(file), sync }))
    }

    /// The partitions of a node that is told by its caller what it is.
    #[must_use]
    pub fn partitions(&self) -> Partitions<FlashRegion> {
        Partitions {
            settings: self.region(SETTINGS_PAGES),
            readings: self.region(READING_PAGES),
            events: self.region(EVENT_PAGES),
            installation: None,
        }
    }

    /// The partition of what a person set up.
    #[must_use]
    pub fn installation(&self) -> FlashRegion {
        self.region(INSTALLATION_PAGES)
    }

    fn region(&self, pages: Range<usize>) -> FlashRegion {
        FlashRegion {
            chip: Arc::clone(&self.chip),
            start: pages.start * PAGE_LEN,
            len: pages.len() * PAGE_LEN,
        }
    }

    fn with(chip: Chip) -> Self {
        Self { chip: Arc::new(Mutex::new(chip)) }
    }
}

/// One partition.
#[derive(Debug)]
pub struct FlashRegion {
    chip: Arc<Mutex<Chip>>,
    start: usize,
    len: usize,
}

/// Why the flash did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// Beyond the end of the partition.
    OutOfBounds,
    /// Not whole words, or not whole pages.
    NotAligned,
    /// The file did not take it.
    File,
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::File => NorFlashErrorKind::Other,
        }
    }
}

impl ErrorType for FlashRegion {
    type Error = FlashError;
}

impl FlashRegion {
    /// The bytes of the chip that `len` bytes at `offset` of this partition are, in whole multiples of `unit`.
    fn range(&self, offset: u32, len: usize, unit: usize) -> Result<Range<usize>, FlashError> {
        let offset = usize::try_from(offset).map_err(|_| FlashError::OutOfBounds)?;
        let end = offset.checked_add(len).filter(|&end| end <= self.len).ok_or(FlashError::OutOfBounds)?;
        if !offset.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            return Err(FlashError::NotAligned);
        }
        Ok(self.start + offset..self.start + end)
    }

    /// Changes a range in memory, then in the file.
    fn change(&self, range: Range<usize>, change: impl FnOnce(&mut [u8])) -> Result<(), FlashError> {
        let mut chip = self.chip.lock().unwrap_or_else(PoisonError::into_inner);
        let Chip { bytes, file, sync } = &mut *chip;
        let start = range.start as u64;
        let bytes = bytes.get_mut(range).ok_or(FlashError::OutOfBounds)?;
        change(bytes);
        if let Some(file) = file {
            let written = file.seek(SeekFrom::Start(start)).and_then(|_| file.write_all(bytes));
            let durable = written.and_then(|()| if *sync { file.sync_data() } else { Ok(()) });
            durable.map_err(|_| FlashError::File)?;
        }
        Ok(())
    }
}

impl ReadNorFlash for FlashRegion {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let range = self.range(offset, bytes.len(), 1)?;
        let chip = self.chip.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.copy_from_slice(chip.bytes.get(range).ok_or(FlashError::OutOfBounds)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.len
    }
}

impl NorFlash for FlashRegion {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE_LEN;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let len = to.checked_sub(from).and_then(|len| usize::try_from(len).ok());
        let range = self.range(from, len.ok_or(FlashError::OutOfBounds)?, PAGE_LEN)?;
        self.change(range, |bytes| bytes.fill(ERASED))
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let range = self.range(offset, bytes.len(), Self::WRITE_SIZE)?;
        self.change(range, |old| old.iter_mut().zip(bytes).for_each(|(old, new)| *old &= new))
    }
}

impl MultiwriteNorFlash for FlashRegion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_behaves_like_nor_flash() {
        let store = FlashStore::memory();
        let mut flash = store.partitions().events;
        flash.write(4, &[0b1010_1111; 4]).await.expect("written");
        flash.write(4, &[0b1111_0000; 4]).await.expect("written");
        let mut bytes = [0; 12];
        flash.read(0, &mut bytes).await.expect("read");
        assert_eq!(bytes, [255, 255, 255, 255, 160, 160, 160, 160, 255, 255, 255, 255], "bits only fall");
        flash.erase(0, 4096).await.expect("erased");
        flash.read(0, &mut bytes).await.expect("read");
        assert_eq!(bytes, [255; 12]);
        assert_eq!(flash.write(2, &[0; 4]).await, Err(FlashError::NotAligned));
        assert_eq!(flash.write(0, &[0; 3]).await, Err(FlashError::NotAligned));
        assert_eq!(flash.erase(0, 100).await, Err(FlashError::NotAligned));
        assert_eq!(flash.write(4 * 4096, &[0; 4]).await, Err(FlashError::OutOfBounds));
        assert_eq!(flash.erase(4096, 0).await, Err(FlashError::OutOfBounds));
    }

    #[tokio::test]
    async fn partitions_do_not_touch_each_other() {
        let store = FlashStore::memory();
        let Partitions { mut settings, mut readings, mut events, .. } = store.partitions();
        let mut installed = store.installation();
        for (flash, mark) in [(&mut settings, 1), (&mut readings, 2), (&mut events, 3), (&mut installed, 4)] {
            let words = vec![mark; flash.capacity()];
            flash.write(0, &words).await.expect("written");
        }
        for (flash, mark) in [(&mut settings, 1), (&mut readings, 2), (&mut events, 3), (&mut installed, 4)] {
            let mut bytes = vec![0; flash.capacity()];
            flash.read(0, &mut bytes).await.expect("read");
            assert!(bytes.iter().all(|&byte| byte == mark));
        }
    }

    #[tokio::test]
    async fn a_file_keeps_the_content() {
        let path = std::env::temp_dir().join(format!("giot-flash-{}.bin", std::process::id()));
        let store = FlashStore::file(&path, true).expect("made");
        store.partitions().readings.write(8, &[7; 4]).await.expect("written");
        drop(store);
        let mut bytes = [0; 4];
        let store = FlashStore::file(&path, false).expect("opened");
        store.partitions().readings.read(8, &mut bytes).await.expect("read");
        std::fs::write(&path, [3; OLDER_LEN]).expect("written");
        let older = FlashStore::file(&path, false).expect("opened");
        let mut ends = [[0; 4]; 2];
        older.partitions().readings.read(0, &mut ends[0]).await.expect("read");
        older.installation().read(0, &mut ends[1]).await.expect("read");
        assert_eq!(ends, [[3; 4], [ERASED; 4]], "an older file grows");
        std::fs::write(&path, b"short").expect("written");
        let refused = FlashStore::file(&path, false).map(|_| ());
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(bytes, [7; 4]);
        assert_eq!(refused.expect_err("wrong size").kind(), io::ErrorKind::InvalidData);
    }
}
