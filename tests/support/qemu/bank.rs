//! The first blocks of an emulated chip's flash bank in memory, so that the firmware's own code can write them.

use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use giot_firmware::settings::Installation;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Erase block of the bank.
const BLOCK_LEN: usize = 256 << 10;
/// What is used of each block.
const PAGE_LEN: usize = 4 << 10;
/// Pages of the partition that holds what a person set up.
const N_INSTALLATION_PAGES: usize = 8;

/// The partition at the beginning of the bank as an installer leaves it: pages and where each lies.
pub(super) fn installed(installation: &Installation) -> Vec<(u64, Vec<u8>)> {
    let mut bank = Bank(vec![0xff; N_INSTALLATION_PAGES * PAGE_LEN]);
    at_once(installation.store(&mut bank)).expect("an installation that fits");
    (0..).step_by(BLOCK_LEN).zip(bank.0.chunks(PAGE_LEN).map(Vec::from)).collect()
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
    const ERASE_SIZE: usize = PAGE_LEN;

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
