//! Partitions of an emulated chip's flash bank in memory, so that the firmware's own code can write and read them.

use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use giot_firmware::settings::Installation;
use giot_shared::ids::Position;
use giot_shared::wire::Record;
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Erase block of the chips.
const BLOCK_LEN: u64 = 256 << 10;
/// What is used of each block.
const PAGE_LEN: usize = 4 << 10;

/// Where a partition lies: blocks, as in the board's own driver, `firmware/boards/qemu-riscv32/src/flash.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    /// What a person set up.
    Installation,
    /// Counters.
    Settings,
    /// Valve events.
    Events,
    /// Readings, of the image `node-faults`.
    Readings,
}

impl Partition {
    const fn blocks(self) -> Range<u64> {
        match self {
            Self::Installation => 0..8,
            Self::Settings => 8..16,
            Self::Events => 16..32,
            Self::Readings => 32..48,
        }
    }
}

/// One partition.
#[derive(Clone, Debug)]
pub struct Bank {
    partition: Partition,
    bytes: Vec<u8>,
}

impl Bank {
    /// A partition that was never written.
    #[must_use]
    pub fn empty(partition: Partition) -> Self {
        let n_pages = partition.blocks().map(|_| PAGE_LEN).sum();
        Self { partition, bytes: vec![0xff; n_pages] }
    }

    /// A partition in which nothing means anything.
    #[must_use]
    pub fn spoilt(partition: Partition) -> Self {
        let mut bank = Self::empty(partition);
        for (byte, index) in bank.bytes.iter_mut().zip(0_u32..) {
            let [low, ..] = (index * 37 + 11).to_le_bytes();
            *byte = low;
        }
        bank
    }

    /// The partition as an installer leaves it.
    ///
    /// # Panics
    /// When the installation does not fit.
    #[must_use]
    pub fn installed(installation: &Installation) -> Self {
        let mut bank = Self::empty(Partition::Installation);
        at_once(installation.store(&mut bank)).expect("an installation that fits");
        bank
    }

    /// Which one it is.
    #[must_use]
    pub const fn partition(&self) -> Partition {
        self.partition
    }

    /// The bytes that are still free behind what was written last in the page that is being filled; `None` between two pages.
    #[must_use]
    pub fn room(&self) -> Option<usize> {
        /// A page's first and last word say whether it is begun and full.
        const MARK_LEN: usize = 4;
        let is_blank = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0xff);
        let filling = self.bytes.chunks(PAGE_LEN).find(|page| {
            let (head, tail) = (&page[..MARK_LEN], &page[PAGE_LEN - MARK_LEN..]);
            !is_blank(head) && is_blank(tail)
        });
        filling.map(|page| page.iter().rev().take_while(|byte| **byte == 0xff).count() - MARK_LEN)
    }

    /// The records of a queue in this partition that nobody has taken out, read without the code that wrote them.
    ///
    /// | bytes of a page | content |
    /// |---|---|
    /// | 0..4, the last 4 | marks of the page |
    /// | item 0..4 | CRC-32C of its data with another beginning, 0 when it was taken out, u32 little endian |
    /// | item 4..6, 6..8 | length of its data, and a checksum of that |
    /// | item 8.. | data: its epoch, u32 little endian, and the record; up to the next whole word |
    #[must_use]
    pub fn records(&self) -> BTreeMap<Position, Record> {
        const WORD_LEN: usize = 4;
        const HEAD_LEN: usize = 8;
        const DATA_LEN_MAX: usize = 4 + Record::LEN_MAX;
        let mut records = BTreeMap::new();
        for page in self.bytes.chunks(PAGE_LEN) {
            let page = &page[..PAGE_LEN - WORD_LEN];
            let mut at = WORD_LEN;
            while let Some((head, rest)) = page[at..].split_first_chunk::<HEAD_LEN>() {
                let &[c0, c1, c2, c3, l0, l1, ..] = head;
                let len = usize::from(u16::from_le_bytes([l0, l1]));
                let data = rest.get(..len).filter(|data| {
                    data.len() <= DATA_LEN_MAX && u32::from_le_bytes([c0, c1, c2, c3]) == checksum(data)
                });
                let record =
                    data.and_then(|data| data.split_first_chunk::<4>()).and_then(|(epoch, bytes)| {
                        Some((u32::from_le_bytes(*epoch), Record::decode(bytes).ok()?))
                    });
                if let Some((epoch, record)) = record {
                    records.insert(Position { epoch, seq: record.last_seq() }, record);
                    at += HEAD_LEN + len.next_multiple_of(WORD_LEN);
                } else {
                    // Taken out, spoilt or nothing: the next one begins with some word after it.
                    at += WORD_LEN;
                }
            }
        }
        records
    }

    pub(super) fn read(partition: Partition, file: &File) -> Self {
        let mut bank = Self::empty(partition);
        for (block, page) in partition.blocks().zip(bank.bytes.chunks_mut(PAGE_LEN)) {
            file.read_exact_at(page, block * BLOCK_LEN).expect("readable");
        }
        bank
    }

    pub(super) fn write(&self, file: &File) {
        for (block, page) in self.partition.blocks().zip(self.bytes.chunks(PAGE_LEN)) {
            file.write_all_at(page, block * BLOCK_LEN).expect("written");
        }
    }
}

/// CRC-32C that begins elsewhere and is neither nothing nor like flash that is being written (sequential-storage, `item.rs`).
fn checksum(data: &[u8]) -> u32 {
    let crc = data.iter().fold(0xeeee_eeee_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    });
    match !crc {
        0 => 1,
        crc if matches!(crc & 0xff, 0 | 0xff) => crc ^ 1,
        crc => crc,
    }
}

/// A place outside of the partition.
#[derive(Debug)]
pub struct Beyond;

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
        bytes.copy_from_slice(self.bytes.get(start..start + bytes.len()).ok_or(Beyond)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for &mut Bank {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE_LEN;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Beyond> {
        let range = usize::try_from(from).map_err(|_| Beyond)?..usize::try_from(to).map_err(|_| Beyond)?;
        self.bytes.get_mut(range).ok_or(Beyond)?.fill(0xff);
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Beyond> {
        let start = usize::try_from(offset).map_err(|_| Beyond)?;
        let old = self.bytes.get_mut(start..start + bytes.len()).ok_or(Beyond)?;
        old.iter_mut().zip(bytes).for_each(|(old, new)| *old &= new);
        Ok(())
    }
}

impl MultiwriteNorFlash for &mut Bank {}

/// The output of a future that waits for nothing, as those of a flash in memory do.
///
/// # Panics
/// When it waits.
pub fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a flash in memory waits for nothing"),
    }
}
