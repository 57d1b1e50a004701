//! The second flash bank of the machine, two 16-bit chips side by side with Intel's command set (CFI 0x0001), as the
//! partitions of a node.
//!
//! The chips program a whole word and can only clear bits. QEMU's model would also set them, so what is written is what
//! real chips would hold: the old word AND the new one.
//!
//! | blocks of 256 KiB | partition |
//! |---|---|
//! | 0–1 | what a person set up |
//! | 2–3 | counters |
//! | 4–7 | valve events |
//! | 8–15 | readings; 8–9 in images with faults |
//! | 16–71, 72–127 | two firmware slots, for updates over the air; not used yet |

use crate::mmio::{FLASH, Mmio};
use core::ops::Range;
use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

const BLOCK_LEN: usize = 256 * 1024;
const WORD_LEN: usize = 4;
/// Words that are written in one go: the longest record and its header.
const ROW_WORDS: usize = 32;

/// Commands, the same for both chips.
const READ_ARRAY: u32 = 0x00ff_00ff;
const PROGRAM: u32 = 0x0040_0040;
const ERASE: u32 = 0x0020_0020;
const CONFIRM: u32 = 0x00d0_00d0;
const CLEAR_STATUS: u32 = 0x0050_0050;

/// Status bits: done; erase, program or voltage failed, or the block is locked.
const DONE: u32 = 0x0080_0080;
const FAILED: u32 = 0x003a_003a;

/// One partition.
#[derive(Debug)]
pub(crate) struct Partition {
    start: usize,
    len: usize,
}

impl Partition {
    /// What a person set up.
    pub(crate) const INSTALLATION: Range<usize> = 0..2;
    /// Counters.
    pub(crate) const SETTINGS: Range<usize> = 2..4;
    /// Valve events.
    pub(crate) const EVENTS: Range<usize> = 4..8;
    /// Readings.
    #[cfg(not(feature = "fault-injection"))]
    pub(crate) const READINGS: Range<usize> = 8..16;
    /// Readings: few enough that a test can fill it.
    #[cfg(feature = "fault-injection")]
    pub(crate) const READINGS: Range<usize> = 8..10;

    /// The partition of some blocks. Two of the same blocks would spoil each other's contents, nothing else.
    pub(crate) const fn new(blocks: Range<usize>) -> Self {
        Self { start: blocks.start * BLOCK_LEN, len: (blocks.end - blocks.start) * BLOCK_LEN }
    }

    /// Where `len` bytes at `offset` are, in whole multiples of `unit`.
    fn at(&self, offset: u32, len: usize, unit: usize) -> Result<Mmio, FlashError> {
        let offset = offset as usize;
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(FlashError::OutOfBounds);
        }
        if !offset.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            return Err(FlashError::NotAligned);
        }
        Ok(FLASH.at(self.start + offset))
    }
}

/// Why the flash did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlashError {
    /// Beyond the end of the partition.
    OutOfBounds,
    /// Not whole words, or not whole blocks.
    NotAligned,
    /// A chip reported that it failed.
    Chip,
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::Chip => NorFlashErrorKind::Other,
        }
    }
}

impl ErrorType for Partition {
    type Error = FlashError;
}

impl ReadNorFlash for Partition {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let source = self.at(offset, bytes.len(), Self::READ_SIZE)?;
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = source.read8(index);
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.len
    }
}

impl NorFlash for Partition {
    const WRITE_SIZE: usize = WORD_LEN;
    const ERASE_SIZE: usize = BLOCK_LEN;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let len = to.checked_sub(from).ok_or(FlashError::OutOfBounds)? as usize;
        let blocks = self.at(from, len, BLOCK_LEN)?;
        for block in (0..len).step_by(BLOCK_LEN) {
            let block = blocks.at(block);
            #[cfg(feature = "fault-injection")]
            if crate::gpio::power_fails() {
                crate::fault::die();
            }
            block.write32(0, ERASE);
            block.write32(0, CONFIRM);
            finish(block)?;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let mut target = self.at(offset, bytes.len(), WORD_LEN)?;
        for row in bytes.as_chunks::<WORD_LEN>().0.chunks(ROW_WORDS) {
            write_row(target, row)?;
            target = target.at(ROW_WORDS * WORD_LEN);
        }
        Ok(())
    }
}

/// Writes at most [`ROW_WORDS`] words. The chips show their contents before and after it: to change between contents and commands
/// at every word would be slow.
fn write_row(target: Mmio, row: &[[u8; WORD_LEN]]) -> Result<(), FlashError> {
    let mut old = [0; ROW_WORDS];
    for (index, old) in old.iter_mut().enumerate().take(row.len()) {
        *old = target.read32(index * WORD_LEN);
    }
    let mut written = None;
    for (index, (word, old)) in row.iter().zip(old).enumerate() {
        let place = target.at(index * WORD_LEN);
        let new = old & u32::from_le_bytes(*word);
        if new == old {
            continue;
        }
        written = Some(place);
        place.write32(0, PROGRAM);
        #[cfg(feature = "fault-injection")]
        if crate::gpio::power_fails() {
            // Half of the word's bits have fallen.
            place.write32(0, new | old & 0xffff_0000);
            let _failed_anyway = finish(place);
            crate::fault::die();
        }
        place.write32(0, new);
        // Whether a word failed is kept until it is asked for.
        while place.read32(0) & DONE != DONE {}
    }
    written.map_or(Ok(()), finish)
}

impl MultiwriteNorFlash for Partition {}

/// Waits for the chips and lets them be read again.
fn finish(place: Mmio) -> Result<(), FlashError> {
    let status = loop {
        let status = place.read32(0);
        if status & DONE == DONE {
            break status;
        }
    };
    place.write32(0, CLEAR_STATUS);
    place.write32(0, READ_ARRAY);
    if status & FAILED == 0 { Ok(()) } else { Err(FlashError::Chip) }
}
