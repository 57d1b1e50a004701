//! NOR flash for tests: counts what it does and can lose its power at any word.
//!
//! A write can only clear bits, word by word; an erase goes byte by byte through the page. When the power goes, the word
//! under way is half done, and nothing works until [`Nor::power_on`].

use core::cell::RefCell;
use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

/// Small pages make small tests go round the ring.
pub(crate) const PAGE_LEN: usize = 512;
const WORD_LEN: usize = 4;

/// The power failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PowerCut;

impl NorFlashError for PowerCut {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

/// The power of a node: all its partitions share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Power(Rc<RefCell<PowerState>>);

#[derive(Debug, Default)]
struct PowerState {
    n_steps: u64,
    cut_at: Option<u64>,
}

impl Power {
    /// Counts a step; fails from the step of the cut on.
    fn step(&self) -> Result<bool, PowerCut> {
        let mut state = self.0.borrow_mut();
        state.n_steps += 1;
        match state.cut_at {
            Some(at) if state.n_steps > at => Err(PowerCut),
            Some(at) => Ok(state.n_steps == at),
            None => Ok(false),
        }
    }

    /// Lets the power fail at the given step from here.
    pub(crate) fn cut_at(&self, step: u64) {
        *self.0.borrow_mut() = PowerState { n_steps: 0, cut_at: Some(step) };
    }

    /// Whether it failed.
    pub(crate) fn is_cut(&self) -> bool {
        let state = self.0.borrow();
        state.cut_at.is_some_and(|at| state.n_steps >= at)
    }

    /// Back again.
    pub(crate) fn on(&self) {
        self.0.borrow_mut().cut_at = None;
    }
}

/// One partition; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Nor<const PAGE: usize = PAGE_LEN> {
    bytes: Rc<RefCell<Vec<u8>>>,
    power: Power,
}

impl Nor {
    pub(crate) fn new(n_pages: usize, power: &Power) -> Self {
        Self::with_pages(n_pages, power)
    }
}

impl<const PAGE: usize> Nor<PAGE> {
    /// Of pages of another length.
    pub(crate) fn with_pages(n_pages: usize, power: &Power) -> Self {
        Self { bytes: Rc::new(RefCell::new(vec![0xff; n_pages * PAGE])), power: power.clone() }
    }

    /// Spoils the whole partition.
    pub(crate) fn scramble(&self) {
        for (index, byte) in self.bytes.borrow_mut().iter_mut().enumerate() {
            *byte = (index * 37 + 11).to_le_bytes()[0];
        }
    }
}

impl<const PAGE: usize> ErrorType for Nor<PAGE> {
    type Error = PowerCut;
}

impl<const PAGE: usize> ReadNorFlash for Nor<PAGE> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), PowerCut> {
        if self.power.is_cut() {
            return Err(PowerCut);
        }
        let start = usize::try_from(offset).expect("small");
        bytes.copy_from_slice(&self.bytes.borrow()[start..start + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.borrow().len()
    }
}

impl<const PAGE: usize> NorFlash for Nor<PAGE> {
    const WRITE_SIZE: usize = WORD_LEN;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerCut> {
        let range = usize::try_from(from).expect("small")..usize::try_from(to).expect("small");
        assert!(range.start.is_multiple_of(PAGE) && range.end.is_multiple_of(PAGE));
        let mut bytes = self.bytes.borrow_mut();
        for page in bytes[range].chunks_mut(PAGE) {
            if self.power.step()? {
                // Half a page is erased: where it lay is up to the chip.
                page[..PAGE / 2].fill(0xff);
                return Err(PowerCut);
            }
            page.fill(0xff);
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, words: &[u8]) -> Result<(), PowerCut> {
        let start = usize::try_from(offset).expect("small");
        assert!(start.is_multiple_of(WORD_LEN) && words.len().is_multiple_of(WORD_LEN));
        let mut bytes = self.bytes.borrow_mut();
        for (index, word) in words.chunks(WORD_LEN).enumerate() {
            let at = start + index * WORD_LEN;
            let cut = self.power.step()?;
            let len = if cut { WORD_LEN / 2 } else { WORD_LEN };
            for (old, new) in bytes[at..at + len].iter_mut().zip(word) {
                *old &= new;
            }
            if cut {
                return Err(PowerCut);
            }
        }
        Ok(())
    }
}

impl<const PAGE: usize> MultiwriteNorFlash for Nor<PAGE> {}

/// Runs a future that waits for nothing.
pub(crate) fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    embassy_futures::block_on(future)
}
