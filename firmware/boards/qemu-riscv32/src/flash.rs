//! The second flash bank of the machine, two 16-bit chips side by side with Intel's command set (CFI 0x0001), as the
//! partitions of a node.
//!
//! The chips program a whole word and can only clear bits. QEMU's model would also set them, so what is written is what
//! real chips would hold: the old word AND the new one.
//!
//! Pages are as long as those of the chip in the field, so that the node's queues turn as they do there: each is the beginning of an
//! erase block of its own, and the rest of the block is not used.
//!
//! | blocks of 256 KiB | partition |
//! |---|---|
//! | 0–7 | what a person set up |
//! | 8–15 | counters |
//! | 16–31 | valve events |
//! | 32–95 | readings; 32–47 in images with faults |
//! | 96–111, 112–127 | two firmware slots, for updates over the air; not used yet |

use crate::mmio::{FLASH, Mmio};
use core::ops::Range;
use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use giot_firmware::run::Partitions;

const BLOCK_LEN: usize = 256 * 1024;
const PAGE_LEN: usize = 4 * 1024;
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
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    blocks: Range<usize>,
}

impl Partition {
    /// What a person set up.
    pub(crate) const INSTALLATION: Range<usize> = 0..8;
    /// Counters.
    pub(crate) const SETTINGS: Range<usize> = 8..16;
    /// Valve events.
    pub(crate) const EVENTS: Range<usize> = 16..32;
    /// Readings.
    #[cfg(not(feature = "fault-injection"))]
    pub(crate) const READINGS: Range<usize> = 32..96;
    /// Readings: few enough that a test can fill it.
    #[cfg(feature = "fault-injection")]
    pub(crate) const READINGS: Range<usize> = 32..48;

    /// The partition of some blocks. Two of the same blocks would spoil each other's contents, nothing else.
    pub(crate) const fn new(blocks: Range<usize>) -> Self {
        Self { blocks }
    }

    /// All of them.
    pub(crate) fn all() -> Partitions<Self> {
        Partitions {
            settings: Self::new(Self::SETTINGS),
            readings: Self::new(Self::READINGS),
            events: Self::new(Self::EVENTS),
            installation: Some(Self::new(Self::INSTALLATION)),
        }
    }

    /// Checks that `len` bytes at `offset` are inside, in whole multiples of `unit`; gives the offset.
    fn check(&self, offset: u32, len: usize, unit: usize) -> Result<usize, FlashError> {
        let offset = offset as usize;
        if offset.checked_add(len).is_none_or(|end| end > self.capacity()) {
            return Err(FlashError::OutOfBounds);
        }
        if !offset.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            return Err(FlashError::NotAligned);
        }
        Ok(offset)
    }

    /// Where an offset lies, and how many bytes are left of its page.
    fn place(&self, offset: usize) -> (Mmio, usize) {
        let (page, within) = (offset / PAGE_LEN, offset % PAGE_LEN);
        (FLASH.at((self.blocks.start + page) * BLOCK_LEN + within), PAGE_LEN - within)
    }
}

/// Why the flash did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlashError {
    /// Beyond the end of the partition.
    OutOfBounds,
    /// Not whole words, or not whole pages.
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
        let mut offset = self.check(offset, bytes.len(), Self::READ_SIZE)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (source, left) = self.place(offset);
            let (piece, others) = rest.split_at_mut(left.min(rest.len()));
            for (index, byte) in piece.iter_mut().enumerate() {
                *byte = source.read8(index);
            }
            offset += piece.len();
            rest = others;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.blocks.len() * PAGE_LEN
    }
}

impl NorFlash for Partition {
    const WRITE_SIZE: usize = WORD_LEN;
    const ERASE_SIZE: usize = PAGE_LEN;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let len = to.checked_sub(from).ok_or(FlashError::OutOfBounds)? as usize;
        let first = self.check(from, len, PAGE_LEN)?;
        for offset in (first..first + len).step_by(PAGE_LEN) {
            let (block, _) = self.place(offset);
            #[cfg(feature = "fault-injection")]
            if let Some(half) = crate::fault::erasure_fails() {
                erase_half(block, half)?;
                crate::fault::die();
            }
            erase(block)?;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let mut offset = self.check(offset, bytes.len(), WORD_LEN)?;
        let mut rest = bytes.as_chunks::<WORD_LEN>().0;
        while !rest.is_empty() {
            let (target, left) = self.place(offset);
            let (row, others) = rest.split_at(ROW_WORDS.min(left / WORD_LEN).min(rest.len()));
            write_row(target, row)?;
            offset += row.len() * WORD_LEN;
            rest = others;
        }
        Ok(())
    }
}

fn erase(block: Mmio) -> Result<(), FlashError> {
    block.write32(0, ERASE);
    block.write32(0, CONFIRM);
    finish(block)
}

/// Leaves one half of a page as it was.
#[cfg(feature = "fault-injection")]
fn erase_half(block: Mmio, kept: crate::fault::Half) -> Result<(), FlashError> {
    const HALF_LEN: usize = PAGE_LEN / 2;
    let half = match kept {
        crate::fault::Half::First => block,
        crate::fault::Half::Second => block.at(HALF_LEN),
    };
    let mut words = [[0; WORD_LEN]; HALF_LEN / WORD_LEN];
    for (index, word) in words.iter_mut().enumerate() {
        *word = half.read32(index * WORD_LEN).to_le_bytes();
    }
    erase(block)?;
    for (index, row) in words.chunks(ROW_WORDS).enumerate() {
        write_row(half.at(index * ROW_WORDS * WORD_LEN), row)?;
    }
    Ok(())
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
