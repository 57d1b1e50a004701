//! A future in a stack frame of its own.
//!
//! What only the beginning of a boot needs, whole installations that are moved about, would otherwise lie in the frame of the board's main
//! function below everything that the node does later: the compiler makes one function of a future and those that it alone awaits.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

/// Awaits `future` in a frame that is gone when it waits or is done.
pub const fn apart<F: Future>(future: Pin<&mut F>) -> Apart<'_, F> {
    Apart(future)
}

/// See [`apart`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Apart<'a, F>(Pin<&'a mut F>);

impl<F: Future> Future for Apart<'_, F> {
    type Output = F::Output;

    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.0.as_mut().poll(context)
    }
}
