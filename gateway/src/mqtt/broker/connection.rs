//! One connection's way out: bytes that wait for its socket, written from whichever thread has them.
//!
//! The store's thread settles a message and writes its PUBACK by itself, the hub writes its command by itself; the
//! connection's own task is woken only when the socket is full or the connection must end. Bytes leave in the order in
//! which they were appended, because appending and writing happen under one lock.
//!
//! Lock order: the broker's core before an outlet, never the other way round.

use super::codec::{self, Reason, Version};
use super::core::Seat;
use super::intake::Window;
use super::shared::Shared;
use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::net::TcpStream;

/// Bytes waiting for a socket beyond which nothing more is put there: messages wait in their session, and what would need
/// an answer is not read.
pub(super) const OUTLET_LEN: usize = 16 * 1024;
/// An empty outlet keeps no more memory than this.
const KEPT_LEN: usize = 512;

/// A client's connection.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) socket: TcpStream,
    pub(super) from: SocketAddr,
    pub(super) version: Version,
    pub(super) client_id: Arc<str>,
    pub(super) user: Option<Arc<str>>,
    pub(super) seat: Seat,
    /// Ticks of silence after which it ends; 0 for any.
    pub(super) silence_max: u32,
    pub(super) heard_at: AtomicU32,
    pub(super) window: Window,
    outlet: Mutex<Outlet>,
}

#[derive(Debug, Default)]
struct Outlet {
    bytes: Vec<u8>,
    /// How many of them are written.
    n_written: usize,
    /// The socket took no more.
    is_blocked: bool,
    /// The session has more than there was room for.
    more_waits: bool,
    /// Waits for the end of [`together`].
    is_noted: bool,
    end: Option<End>,
    waker: Option<Waker>,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client said goodbye.
    Goodbye,
    /// The socket is closed or broken.
    Lost,
    /// The broker ends it.
    Ended(Reason),
}

/// What became of the bytes that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// They are written, and nothing else waits.
    All,
    /// They are written, and the session has more.
    MoreWaits,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// What a connection is made of.
pub(super) struct Parts {
    pub(super) shared: Arc<Shared>,
    pub(super) socket: TcpStream,
    pub(super) from: SocketAddr,
    pub(super) version: Version,
    pub(super) client_id: Arc<str>,
    pub(super) user: Option<Arc<str>>,
    pub(super) silence_max: u32,
}

impl Connection {
    pub(super) fn new(parts: Parts, seat: Seat) -> Arc<Self> {
        let Parts { shared, socket, from, version, client_id, user, silence_max } = parts;
        let heard_at = AtomicU32::new(shared.tick());
        Arc::new(Self {
            shared,
            socket,
            from,
            version,
            client_id,
            user,
            seat,
            silence_max,
            heard_at,
            window: Window::default(),
            outlet: Mutex::default(),
        })
    }

    fn outlet(&self) -> MutexGuard<'_, Outlet> {
        self.outlet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends bytes without writing them yet; [`Self::write`] follows.
    pub(super) fn append(&self, put: impl FnOnce(&mut Vec<u8>)) {
        let mut outlet = self.outlet();
        if outlet.end.is_none() {
            put(&mut outlet.bytes);
        }
    }

    /// Appends what `fill` finds for a connection that is not full; for the core, whose lock is held.
    pub(super) fn fill(&self, fill: impl FnOnce(&mut Vec<u8>)) {
        let mut outlet = self.outlet();
        if outlet.end.is_none() {
            if outlet.bytes.len() < OUTLET_LEN {
                fill(&mut outlet.bytes);
            }
            outlet.more_waits = outlet.bytes.len() >= OUTLET_LEN;
        }
    }

    /// Writes what waits, as far as the socket takes it; the rest is written by the connection's task.
    pub(super) fn write(&self) {
        self.outlet().write_or_wake(&self.socket);
    }

    /// Answers a message, at once or at the end of [`super::together`].
    pub(super) fn acknowledge(self: &Arc<Self>, first: u8, id: u16, reason: Reason) {
        let mut outlet = self.outlet();
        if outlet.end.is_some() {
            return;
        }
        codec::ack(&mut outlet.bytes, self.version, first, id, reason);
        if outlet.is_noted || outlet.is_blocked {
            return;
        }
        if super::together::note(self) {
            outlet.is_noted = true;
        } else {
            outlet.write_or_wake(&self.socket);
        }
    }

    /// Writes what was noted.
    pub(super) fn write_noted(&self) {
        let mut outlet = self.outlet();
        outlet.is_noted = false;
        outlet.write_or_wake(&self.socket);
    }

    /// Has the connection end.
    pub(super) fn end(&self, end: End) {
        let mut outlet = self.outlet();
        if outlet.end.is_none() {
            if let End::Ended(reason) = end {
                codec::disconnect(&mut outlet.bytes, self.version, reason);
            }
            outlet.end = Some(end);
            outlet.wake();
        }
    }

    /// Has the connection's task look again.
    pub(super) fn wake(&self) {
        self.outlet().wake();
    }

    /// Whether everything is written.
    pub(super) fn is_drained(&self) -> bool {
        let outlet = self.outlet();
        outlet.bytes.is_empty() || outlet.end.is_some()
    }

    /// For the connection's task: remembers whom to wake, writes what waits, and says whether the connection ends. Ready
    /// when nothing waits any more.
    pub(super) fn poll_write(&self, context: &mut Context<'_>) -> Poll<Result<Written, End>> {
        let mut outlet = self.outlet();
        if !outlet.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            outlet.waker = Some(context.waker().clone());
        }
        loop {
            outlet.write(&self.socket);
            if let Some(end) = outlet.end {
                return Poll::Ready(Err(end));
            }
            if !outlet.is_blocked {
                let written = if outlet.more_waits { Written::MoreWaits } else { Written::All };
                return Poll::Ready(Ok(written));
            }
            match self.socket.poll_write_ready(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(End::Lost)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Nothing is written or appended from here on.
    pub(super) fn close(&self, end: End) -> End {
        let mut outlet = self.outlet();
        outlet.waker = None;
        outlet.bytes = Vec::new();
        *outlet.end.get_or_insert(end)
    }

    /// Notes that the client was heard.
    pub(super) fn heard(&self) {
        self.heard_at.store(self.shared.tick(), Ordering::Relaxed);
    }

    /// Ends a connection that has been silent for too long. One that is not read for fullness cannot be heard.
    pub(super) fn check_silence(&self, tick: u32) {
        let silence = tick.wrapping_sub(self.heard_at.load(Ordering::Relaxed));
        if self.silence_max > 0 && silence > self.silence_max && !self.window.is_awaited() {
            self.end(End::Ended(Reason::KeepAliveTimeout));
        }
    }
}

impl Outlet {
    /// Writes from outside the connection's task, which waits for a full socket and sees a broken one.
    fn write_or_wake(&mut self, socket: &TcpStream) {
        if !self.is_blocked {
            self.write(socket);
            if self.is_blocked {
                self.wake();
            }
        }
    }

    fn write(&mut self, socket: &TcpStream) {
        self.is_blocked = false;
        while let Some(rest) = self.bytes.get(self.n_written..).filter(|rest| !rest.is_empty()) {
            match socket.try_write(rest) {
                Ok(n_bytes) => self.n_written += n_bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    if error.kind() != ErrorKind::WouldBlock {
                        self.end.get_or_insert(End::Lost);
                    }
                    self.is_blocked = true;
                    return;
                }
            }
        }
        self.n_written = 0;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_LEN);
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
