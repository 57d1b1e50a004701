//! The probe that is being read while everything else goes on: a device that keeps silent holds up nobody.
//!
//! A read is never given up for something else, so that the answer to one question cannot be taken for that to the next. It lives in
//! the frame of the loop, which pins a place for it; whoever waits for it may stop to and wait again.

use crate::board::Probes;
use crate::link::LinkMs;
use crate::probe::{ProbeFault, Sample};
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use giot_shared::ids::ProbeId;

/// Longest read that is none that hangs, ms: the longest warm-up that can be set is 10 s, and a device on the slowest line that keeps
/// silent takes 3 s; an answer that may still come is waited for 1.5 s.
const READ_MS_MAX: u64 = 15_000;

/// What a probe gave.
pub(super) type Read = Result<Sample, ProbeFault>;

/// One read, which takes the probes and gives them back.
pub(super) async fn read_of<P: Probes>(mut probes: P, probe: ProbeId) -> (P, Read) {
    let read = probes.read_probe(probe).await;
    (probes, read)
}

/// What the loop needs of it, without the names of its parts.
pub(super) trait Reads {
    /// Begins to read; nothing is being read yet.
    fn begin(&mut self, probe: ProbeId, now: LinkMs);

    /// Whether something is being read.
    fn is_busy(&self) -> bool;

    /// Whether what is being read will never end.
    fn hangs(&self, now: LinkMs) -> bool;

    /// Goes on with what is being read.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<(ProbeId, Read)>;

    /// Waits for what is being read, for ever where that is nothing. Cancel-safe.
    fn done(&mut self) -> impl Future<Output = (ProbeId, Read)> {
        poll_fn(|context| self.poll(context))
    }
}

/// The one read at a time. `start` is [`read_of`], the place holds what it gives.
pub(super) struct Reader<'a, P, R> {
    start: fn(P, ProbeId) -> R,
    place: Pin<&'a mut Option<R>>,
    /// Here while nothing is being read.
    probes: Option<P>,
    reading: Option<(ProbeId, LinkMs)>,
}

impl<'a, P, R> Reader<'a, P, R> {
    pub(super) const fn new(probes: P, start: fn(P, ProbeId) -> R, place: Pin<&'a mut Option<R>>) -> Self {
        Self { start, place, probes: Some(probes), reading: None }
    }
}

impl<P, R: Future<Output = (P, Read)>> Reads for Reader<'_, P, R> {
    fn begin(&mut self, probe: ProbeId, now: LinkMs) {
        if let Some(probes) = self.probes.take() {
            self.place.set(Some((self.start)(probes, probe)));
            self.reading = Some((probe, now));
        }
    }

    fn is_busy(&self) -> bool {
        self.reading.is_some()
    }

    fn hangs(&self, now: LinkMs) -> bool {
        self.reading.is_some_and(|(_, since)| since.plus_ms(READ_MS_MAX) < now)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<(ProbeId, Read)> {
        let (Some((probe, _)), Some(read)) = (self.reading, self.place.as_mut().as_pin_mut()) else {
            return Poll::Pending;
        };
        let Poll::Ready((probes, read)) = read.poll(context) else { return Poll::Pending };
        self.place.set(None);
        self.probes = Some(probes);
        self.reading = None;
        Poll::Ready((probe, read))
    }
}
