//! The partitions of the node in the chip's flash, found by their names in the partition table (`partitions.csv`).
//!
//! All of them share the one driver; every access is short and none is held over an await.

use core::cell::RefCell;
use core::fmt;
use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use esp_bootloader_esp_idf::partitions::{PARTITION_TABLE_MAX_LEN, read_partition_table};
use esp_hal::peripherals::FLASH;
use esp_storage::{FlashStorage, FlashStorageError};
use giot_firmware::run::Partitions;
use static_cell::StaticCell;

/// What a person set up.
const INSTALLATION: &str = "installation";
/// Counters.
const SETTINGS: &str = "settings";
/// Valve events.
const EVENTS: &str = "events";
/// Readings.
const READINGS: &str = "readings";

type Shared = RefCell<FlashStorage<'static>>;

static DRIVER: StaticCell<Shared> = StaticCell::new();

/// One partition.
#[derive(Clone)]
pub(crate) struct Partition {
    driver: &'static Shared,
    start: u32,
    len: u32,
}

/// What is missing in the partition table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missing(&'static str);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no partition {}: flash the chip with this board's partitions.csv", self.0)
    }
}

/// The installation's partition and those of the loop.
pub(crate) fn partitions(flash: FLASH<'static>) -> Result<(Partition, Partitions<Partition>), Missing> {
    let mut driver = FlashStorage::new(flash);
    let mut bytes = [0; PARTITION_TABLE_MAX_LEN];
    let table = read_partition_table(&mut driver, &mut bytes).map_err(|_| Missing("any"))?;
    let place = |name: &'static str| {
        let entry = table.iter().find(|entry| entry.label_as_str() == name).ok_or(Missing(name))?;
        Ok((entry.offset(), entry.len()))
    };
    let (installation, settings) = (place(INSTALLATION)?, place(SETTINGS)?);
    let (events, readings) = (place(EVENTS)?, place(READINGS)?);
    let driver = DRIVER.init(RefCell::new(driver));
    let partition = |(start, len)| Partition { driver, start, len };
    let partitions = Partitions {
        settings: partition(settings),
        readings: partition(readings),
        events: partition(events),
        installation: Some(partition(installation)),
    };
    Ok((partition(installation), partitions))
}

impl Partition {
    /// Where `len` bytes at `offset` are.
    fn at(&self, offset: u32, len: usize) -> Result<u32, FlashError> {
        let end = u32::try_from(len).ok().and_then(|len| offset.checked_add(len));
        if end.is_some_and(|end| end <= self.len) {
            Ok(self.start + offset)
        } else {
            Err(FlashError(FlashStorageError::OutOfBounds))
        }
    }

    fn with<T>(
        &self,
        access: impl FnOnce(&mut FlashStorage<'static>) -> Result<T, FlashStorageError>,
    ) -> Result<T, FlashError> {
        access(&mut self.driver.borrow_mut()).map_err(FlashError)
    }
}

/// Why the flash did not do it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlashError(FlashStorageError);

impl NorFlashError for FlashError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what the library may say besides is no fault of the caller"
    )]
    fn kind(&self) -> NorFlashErrorKind {
        match self.0 {
            FlashStorageError::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            FlashStorageError::NotAligned => NorFlashErrorKind::NotAligned,
            _ => NorFlashErrorKind::Other,
        }
    }
}

impl ErrorType for Partition {
    type Error = FlashError;
}

impl ReadNorFlash for Partition {
    const READ_SIZE: usize = FlashStorage::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let at = self.at(offset, bytes.len())?;
        self.with(|driver| driver.read_nor(at, bytes))
    }

    fn capacity(&self) -> usize {
        self.len as usize
    }
}

impl NorFlash for Partition {
    const WRITE_SIZE: usize = FlashStorage::WRITE_SIZE;
    const ERASE_SIZE: usize = FlashStorage::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let len = to.checked_sub(from).ok_or(FlashError(FlashStorageError::OutOfBounds))?;
        let at = self.at(from, len as usize)?;
        self.with(|driver| driver.erase(at, at + len))
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let at = self.at(offset, bytes.len())?;
        self.with(|driver| driver.write_nor(at, bytes))
    }
}

// A word may be written again with fewer ones: the flash is not encrypted.
impl MultiwriteNorFlash for Partition {}
