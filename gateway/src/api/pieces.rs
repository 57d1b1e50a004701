//! Long answers, piece by piece: whoever makes one blocks, whoever takes it is a socket.
//!
//! Responsible for: bounded memory however long the answer ([`PIECES_MAX`] pieces wait), a bound on how many long answers are made at
//! once ([`HEAVY_MAX`]), and callers that stop taking (after [`SLOW_S_MAX`] they are given up). A caller gets a broken answer instead of
//! a short one when making it fails.

use axum::body::{Body, Bytes};
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::wrappers::ReceiverStream;

use super::error::Problem;

/// Bytes collected before they are sent.
const PIECE_BYTES: usize = 64 * 1024;

/// Pieces that may wait for a slow caller; then making more waits.
const PIECES_MAX: usize = 4;

/// A caller that takes nothing for so long is gone, or wants to hold a place for ever.
const SLOW_S_MAX: u64 = 60;

/// Long answers that are made at once: more only take each other's disk and memory on a board with few cores.
const HEAVY_MAX: usize = 4;

/// How long a question waits for a place.
const PLACE_WAIT: Duration = Duration::from_secs(10);

/// Places for long answers. Clones share them.
#[derive(Clone, Debug)]
pub struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(HEAVY_MAX)))
    }
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// Waits a bounded time for a place. Cancel-safe.
    pub(super) async fn take(&self) -> Result<Place, Problem> {
        let place = tokio::time::timeout(PLACE_WAIT, Arc::clone(&self.0).acquire_owned()).await;
        match place {
            Ok(Ok(permit)) => Ok(Place { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(Problem::busy(HEAVY_MAX)),
        }
    }
}

/// Where an answer is written; sends what it holds whenever that is a piece.
#[derive(Debug)]
pub(super) struct Pieces {
    piece: Vec<u8>,
    sender: mpsc::Sender<io::Result<Bytes>>,
    runtime: Handle,
}

/// Runs `make` where it may block and gives the body that it writes.
pub(super) fn body(
    what: &'static str,
    make: impl FnOnce(&mut Pieces) -> anyhow::Result<()> + Send + 'static,
) -> Body {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces { piece: Vec::with_capacity(PIECE_BYTES + 256), sender, runtime };
        match make(&mut pieces).and_then(|()| Ok(pieces.send()?)) {
            Ok(()) => {}
            Err(error) if is_gone(&error) => tracing::debug!(what, "a long answer was not taken to its end"),
            Err(error) => {
                tracing::error!(
                    what,
                    error = format!("{error:#}"),
                    "a long answer could not be made to its end"
                );
                let broken = io::Error::other("the history could not be read");
                // Gone already when this fails.
                pieces.sender.blocking_send(Err(broken)).ok();
            }
        }
    });
    Body::from_stream(ReceiverStream::new(receiver))
}

fn is_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    })
}

impl Pieces {
    /// What was written and not sent; whoever writes here calls [`Self::pass_on`] now and then.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.piece
    }

    /// Sends what is a piece.
    ///
    /// # Errors
    /// `BrokenPipe`: nobody takes it any more.
    pub(super) fn pass_on(&mut self) -> io::Result<()> {
        if self.piece.len() < PIECE_BYTES { Ok(()) } else { self.send() }
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES + 256));
        let piece = match self.sender.try_send(Ok(piece.into())) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(piece)) => piece,
            Err(TrySendError::Closed(_)) => return Err(ErrorKind::BrokenPipe.into()),
        };
        let sending = self.sender.send(piece);
        let sent = self
            .runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(SLOW_S_MAX), sending).await });
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        self.pass_on()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_answer_comes_whole_and_a_failed_one_broken() {
        let whole = body("test", |pieces| Ok((0..200_000).try_for_each(|n| writeln!(pieces, "{n}"))?));
        let bytes = axum::body::to_bytes(whole, usize::MAX).await.unwrap();
        assert_eq!((bytes.len(), bytes.ends_with(b"\n199999\n")), (1_288_890, true));
        let failed = body("test", |pieces| {
            writeln!(pieces, "begun")?;
            anyhow::bail!("a disk")
        });
        assert!(axum::body::to_bytes(failed, usize::MAX).await.is_err());
    }

    #[tokio::test]
    async fn making_ends_when_nobody_takes_it() {
        let (tell, told) = tokio::sync::oneshot::channel();
        let endless = body("test", move |pieces| {
            let error = loop {
                if let Err(error) = writeln!(pieces, "more") {
                    break error;
                }
            };
            tell.send(error.kind()).unwrap();
            Err(error.into())
        });
        drop(endless);
        assert_eq!(told.await, Ok(ErrorKind::BrokenPipe));
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_bounded_and_come_back() {
        let places = Places::default();
        let mut taken = Vec::new();
        for _ in 0..HEAVY_MAX {
            taken.push(places.take().await.unwrap());
        }
        assert!(places.take().await.is_err());
        taken.pop();
        assert!(places.take().await.is_ok());
    }
}
