//! The queue's other end: what can be asked of the writing thread, and who is told.
//!
//! Must not write. Invariant: what does not fit into the queue is given back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::super::backlog::{self, SinkRow, SinkWish};
use super::super::error::{Closed, CommitError, SubmitError};
use super::super::types::Batch;
use super::super::upkeep::Upkeep;

/// Batches waiting for the writer: four times the messages in flight of a large site, about 4 MB of usual batches.
pub const QUEUE_BATCHES: usize = 8_192;

/// Pause between tries to put a control message into a full queue.
const CONTROL_WAIT: Duration = Duration::from_millis(1);

/// Who is told what became of a batch. Called on the writer thread: must be quick and must not wait.
///
/// Dropped without a call only if the store's thread died: the batch is then not known to be kept.
pub enum Done {
    /// Nobody.
    Ignore,
    /// A waiting task.
    Oneshot(oneshot::Sender<Result<(), CommitError>>),
    /// Anything else.
    Call(Box<dyn FnOnce(Result<(), CommitError>) + Send>),
}

impl Done {
    /// Wraps a closure.
    pub fn call(call: impl FnOnce(Result<(), CommitError>) + Send + 'static) -> Self {
        Self::Call(Box::new(call))
    }

    pub(super) fn tell(self, result: Result<(), CommitError>) {
        match self {
            Self::Ignore => {}
            // A receiver that went away does not want to know.
            Self::Oneshot(sender) => drop(sender.send(result)),
            Self::Call(call) => call(result),
        }
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ignore => "Ignore",
            Self::Oneshot(_) => "Oneshot",
            Self::Call(_) => "Call",
        })
    }
}

/// A batch and who wants to know. In a box, because a flood has thousands of them, which move through the queue and into a group.
pub(super) type Waiting = Box<(Batch, Done)>;

/// What travels through the queue.
#[derive(Debug)]
pub(in super::super) enum Message {
    /// A batch and who wants to know.
    Batch(Waiting),
    /// A batch will follow in a moment: be awake then.
    Soon,
    /// Folding has something to write: be awake.
    Folded,
    /// Fold all there is, then answer.
    Fold(std::sync::mpsc::Sender<Result<(), CommitError>>),
    /// Fold all there is, join chunks, give space back; tells how it goes.
    Compact(Asked),
    /// Do a round of what the store does by itself; one that comes while another is on its way is left out.
    Tend(Upkeep),
    /// Keep what a sink has got, then answer.
    Sink(Box<SinkWish>, oneshot::Sender<backlog::Answer>),
    /// Commit what is queued, fold a little if asked, end.
    Close {
        /// Whether to fold.
        folds: bool,
    },
}

/// What whoever waits for a compaction hears.
#[derive(Debug)]
pub(in super::super) enum Told {
    /// So much is done.
    Step {
        /// Series done.
        n_done: u64,
        /// Series there are.
        n_series: u64,
    },
    /// It has ended.
    End(Result<(), CommitError>),
}

/// Who waits for a compaction.
pub(in super::super) type Asked = std::sync::mpsc::Sender<Told>;

/// A handle to the queue; clones share it.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: mpsc::Sender<Message>,
    /// The thread sleeps and nobody has woken it.
    sleeps: Arc<AtomicBool>,
}

impl Writer {
    pub(in super::super) fn new(queue: mpsc::Sender<Message>, sleeps: Arc<AtomicBool>) -> Self {
        Self { queue, sleeps }
    }

    /// Wakes a sleeping store because a batch will follow in a moment: waking up takes a thread about as long as a message takes to be
    /// understood. Nothing is lost without it, and little where none follows.
    pub fn expect_soon(&self) {
        if self.sleeps.swap(false, Ordering::Relaxed) {
            // A full queue keeps it awake anyway.
            self.queue.try_send(Message::Soon).ok();
        }
    }

    /// Queues a batch without waiting.
    ///
    /// # Errors
    /// Gives batch and `done` back when the queue is full or the store closed.
    pub fn try_submit(&self, batch: Batch, done: Done) -> Result<(), SubmitError> {
        self.queue.try_send(Message::Batch(Box::new((batch, done)))).map_err(|error| match error {
            mpsc::error::TrySendError::Full(message) => refused(message, SubmitError::Full),
            mpsc::error::TrySendError::Closed(message) => refused(message, SubmitError::Closed),
        })
    }

    /// Queues a batch, waiting for room. Cancel-safe: a call that was dropped has queued nothing.
    ///
    /// # Errors
    /// Gives batch and `done` back when the store is closed.
    pub async fn submit(&self, batch: Batch, done: Done) -> Result<(), SubmitError> {
        match self.queue.reserve().await {
            Ok(place) => {
                place.send(Message::Batch(Box::new((batch, done))));
                Ok(())
            }
            Err(_) => Err(SubmitError::Closed(Box::new((batch, done)))),
        }
    }

    /// Waits until [`Self::try_submit`] has room. Cancel-safe.
    ///
    /// # Errors
    /// [`Closed`] when the store is closed.
    pub async fn room(&self) -> Result<(), Closed> {
        self.queue.reserve().await.map(drop).map_err(|_| Closed)
    }

    /// Queues a batch and waits until it is on disk. Not cancel-safe: a dropped call may still be kept.
    ///
    /// # Errors
    /// [`CommitError`] as told by the writer; a closed store is [`CommitError::Unavailable`].
    pub async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        let (sender, receiver) = oneshot::channel();
        let closed = || CommitError::Unavailable(Closed.to_string().into());
        self.submit(batch, Done::Oneshot(sender)).await.map_err(|_| closed())?;
        receiver.await.map_err(|_| closed())?
    }

    /// Asks for something about a sink and waits until it is on disk. Not cancel-safe: a dropped call may still be kept.
    ///
    /// # Errors
    /// [`CommitError::Unavailable`] when the disk does not take it or the store is closed.
    pub async fn sink(&self, wish: SinkWish) -> Result<SinkRow, CommitError> {
        let closed = || CommitError::Unavailable(Closed.to_string().into());
        let (sender, receiver) = oneshot::channel();
        let message = Message::Sink(Box::new(wish), sender);
        self.queue.send(message).await.map_err(|_| closed())?;
        receiver.await.map_err(|_| closed())?
    }

    /// As [`Self::commit`] for a thread that may block; must not be called on an async task.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn commit_blocking(&self, batch: Batch) -> Result<(), CommitError> {
        let closed = || CommitError::Unavailable(Closed.to_string().into());
        let (sender, receiver) = std::sync::mpsc::channel();
        let done = Done::call(move |result| drop(sender.send(result)));
        self.send(Message::Batch(Box::new((batch, done)))).map_err(|Closed| closed())?;
        receiver.recv().map_err(|_| closed())?
    }

    /// Asks for a round of what the store does by itself, at quiet moments from now on. A full queue is none: then the round is left
    /// out, and `false` returned.
    ///
    /// # Errors
    /// [`Closed`] when the store is closed.
    pub fn tend(&self, upkeep: Upkeep) -> Result<bool, Closed> {
        match self.queue.try_send(Message::Tend(upkeep)) {
            Ok(()) => Ok(true),
            Err(mpsc::error::TrySendError::Full(_)) => Ok(false),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Closed),
        }
    }

    /// Puts a message into the queue from a thread that may block.
    pub(in super::super) fn send(&self, message: Message) -> Result<(), Closed> {
        let mut message = message;
        loop {
            match self.queue.try_send(message) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Closed(_)) => return Err(Closed),
                Err(mpsc::error::TrySendError::Full(back)) => message = back,
            }
            std::thread::sleep(CONTROL_WAIT);
        }
    }
}

fn refused(message: Message, why: impl Fn(Waiting) -> SubmitError) -> SubmitError {
    match message {
        Message::Batch(waiting) => why(waiting),
        Message::Soon
        | Message::Folded
        | Message::Fold(_)
        | Message::Compact(_)
        | Message::Tend(_)
        | Message::Sink(..)
        | Message::Close { .. } => why(Box::new((Batch::default(), Done::Ignore))),
    }
}
