//! The writing side: a bounded queue, one thread that owns the writing connection, group commit.
//!
//! The thread takes whatever is queued, writes it in one transaction with one sync to disk, and only then tells the callers. A
//! transaction that fails for the machine's fault is tried again with growing pauses while its batches stay in memory; one that
//! fails for the data's fault is halved until the batch at fault stands alone. Between commits the thread folds.
//!
//! Must not lose a caller: each batch taken is answered once, unless the thread dies, and then its [`Done`] is dropped.
//! Invariants: no `Ok` before the COMMIT that holds the batch returned; batches are committed in the order they were queued.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::backlog::{self, SinkPlaces, SinkRow, SinkWish};
use super::catalog::SharedCatalog;
use super::commit::{self, Group};
use super::diary;
use super::error::{Blame, Closed, CommitError, SubmitError, blame};
use super::fold::{self, Compaction};
use super::log_room::LogRoom;
use super::open::{self, FolderLock};
use super::reader;
use super::types::{Batch, Mark};
use super::upkeep::{Round, Rounds, Upkeep};

/// Batches waiting for the writer: four times the messages in flight of a large site, about 4 MB of usual batches.
pub const QUEUE_BATCHES: usize = 8_192;

/// Batches of one commit: more would not be quicker, only later for the first of them.
const GROUP_BATCHES_MAX: usize = 4_096;

/// A group takes no further batch once it has this many readings.
const GROUP_SAMPLES_MAX: usize = 65_536;

/// Journal size at which folding begins.
const FOLD_BYTES: u64 = 4 << 20;

/// Journal rows at which folding begins: a reader looks at each of them.
const FOLD_ROWS: u64 = 8_192;

/// Journal size at which commits wait for folding, so that a flood ends in back-pressure and not in a full disk. Until there,
/// a growing journal makes folding more efficient (more samples of a series at once).
const FOLD_BYTES_MAX: u64 = 64 << 20;

/// What a clean stop folds at most, so that it stays short.
const FOLD_BYTES_AT_CLOSE: u64 = 4 << 20;

/// Commits before folding is tried again after it failed.
const FOLD_PAUSE_COMMITS: u64 = 1_024;

/// A round of upkeep waits for a quiet moment for so many commits per step.
const ROUND_COMMITS: u32 = 64;

/// How often a store that was told to expect a batch looks for it before it sleeps again: a tenth of a millisecond on an idle machine.
const SOON_LOOKS: u32 = 256;

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

    fn tell(self, result: Result<(), CommitError>) {
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
type Waiting = Box<(Batch, Done)>;

/// What travels through the queue.
#[derive(Debug)]
pub(super) enum Message {
    /// A batch and who wants to know.
    Batch(Waiting),
    /// A batch will follow in a moment: be awake then.
    Soon,
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
pub(super) enum Told {
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
pub(super) type Asked = std::sync::mpsc::Sender<Told>;

/// A handle to the queue; clones share it.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: mpsc::Sender<Message>,
    /// The thread sleeps and nobody has woken it.
    sleeps: Arc<AtomicBool>,
}

impl Writer {
    pub(super) fn new(queue: mpsc::Sender<Message>, sleeps: Arc<AtomicBool>) -> Self {
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
    pub(super) fn send(&self, message: Message) -> Result<(), Closed> {
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
        | Message::Fold(_)
        | Message::Compact(_)
        | Message::Tend(_)
        | Message::Sink(..)
        | Message::Close { .. } => why(Box::new((Batch::default(), Done::Ignore))),
    }
}

/// What writer and readers of one process share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) catalog: SharedCatalog,
    pub(super) sinks: SinkPlaces,
    /// Commits that did not succeed at the first try.
    pub(super) n_retries: AtomicU64,
    /// Rounds of upkeep that have ended.
    pub(super) n_rounds: AtomicU64,
}

/// Everything the writing thread owns besides its connection.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) queue: mpsc::Receiver<Message>,
    pub(super) shared: Arc<Shared>,
    /// Held until the thread ends, so that nobody else writes before the last commit.
    pub(super) lock: FolderLock,
    /// Pauses before the tries after the first.
    pub(super) retry_waits: Vec<Duration>,
    /// See [`super::StoreOptions::tell_within`].
    pub(super) tell_within: super::TellWithin,
    /// See [`Writer::expect_soon`].
    pub(super) sleeps: Arc<AtomicBool>,
}

impl Thread {
    /// The thread's body: runs until told to close or until all writers are gone.
    pub(super) fn run(self, conn: Connection) {
        let Self { mut queue, shared, lock, retry_waits, tell_within, sleeps } = self;
        match Loop::new(&conn, &shared, &retry_waits, tell_within) {
            Ok(mut state) => state.run(&mut queue, &sleeps),
            Err(error) => tracing::error!(%error, "the store's writer could not start"),
        }
        drop(queue);
        if let Err(error) = conn.close() {
            tracing::warn!(error = %error.1, "the database did not close cleanly");
        }
        drop(lock);
    }
}

struct Loop<'c> {
    conn: &'c Connection,
    statements: commit::Statements<'c>,
    fold_statements: fold::Statements<'c>,
    shared: &'c Shared,
    retry_waits: &'c [Duration],
    tell_within: super::TellWithin,
    head: diary::Head,
    n_rows: u64,
    n_bytes: u64,
    job: Option<fold::Job>,
    n_commits_until_fold: u64,
    compaction: Option<(Compaction, Asked)>,
    rounds: Rounds,
    round: Option<Round>,
    /// Commits since a step of the round that none waited for.
    n_commits_of_round: u32,
    group: Group,
    log: LogRoom,
    /// Whether the connection waits for the disk; only folding may do without.
    is_synced: bool,
    /// The watermark of each node as it is on disk, or where the records of a new node begin.
    marks: BTreeMap<Arc<str>, (u32, u64)>,
}

impl<'c> Loop<'c> {
    fn new(
        conn: &'c Connection,
        shared: &'c Shared,
        retry_waits: &'c [Duration],
        tell_within: super::TellWithin,
    ) -> rusqlite::Result<Self> {
        let (n_rows, n_bytes) =
            conn.query_row("SELECT count(*), ifnull(sum(n_bytes), 0) FROM journal", [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })?;
        Ok(Self {
            conn,
            statements: commit::Statements::prepare(conn)?,
            fold_statements: fold::Statements::prepare(conn)?,
            shared,
            retry_waits,
            tell_within,
            head: diary::head(conn)?,
            n_rows: n_rows.cast_unsigned(),
            n_bytes: n_bytes.cast_unsigned(),
            job: None,
            n_commits_until_fold: 0,
            compaction: None,
            rounds: Rounds::default(),
            round: None,
            n_commits_of_round: 0,
            group: Group::default(),
            log: LogRoom::new(conn),
            is_synced: true,
            marks: reader::marks(conn)?.into_iter().map(|mark| (mark.node, (mark.epoch, mark.seq))).collect(),
        })
    }

    fn run(&mut self, queue: &mut mpsc::Receiver<Message>, sleeps: &AtomicBool) {
        let mut waiting = Vec::new();
        let mut next = None;
        loop {
            let has_work = self.is_busy() || self.round.is_some();
            let message = match next.take() {
                Some(message) => message,
                None if has_work => match queue.try_recv() {
                    Ok(message) => message,
                    Err(mpsc::error::TryRecvError::Empty) => {
                        self.work();
                        continue;
                    }
                    Err(mpsc::error::TryRecvError::Disconnected) => return,
                },
                None => match sleep(queue, sleeps) {
                    Some(message) => message,
                    None => return,
                },
            };
            match message {
                Message::Soon => {}
                Message::Batch(first) => {
                    waiting.push(first);
                    next = gather(queue, &mut waiting);
                    self.commit_all(&mut waiting);
                    self.log.keep();
                    self.fold_between_commits();
                }
                Message::Fold(answer) => drop(answer.send(self.fold_all())),
                Message::Compact(answer) => self.begin_compaction(answer),
                Message::Tend(upkeep) => {
                    if self.round.is_none() {
                        let newest_us = self.shared.catalog.lock().newest_us();
                        self.round = Some(self.rounds.begin(&upkeep, newest_us));
                    }
                }
                Message::Sink(wish, answer) => drop(answer.send(self.keep_for_sink(&wish))),
                Message::Close { folds } => {
                    queue.close();
                    self.drain(queue, &mut waiting);
                    if folds {
                        self.finish();
                    }
                    return;
                }
            }
        }
    }

    /// Commits what was queued before the queue was closed.
    fn drain(&mut self, queue: &mut mpsc::Receiver<Message>, waiting: &mut Vec<Waiting>) {
        let mut next = None;
        while let Some(message) = next.take().or_else(|| queue.blocking_recv()) {
            match message {
                Message::Batch(first) => {
                    waiting.push(first);
                    next = gather(queue, waiting);
                    self.commit_all(waiting);
                }
                Message::Fold(answer) => drop(answer.send(Ok(()))),
                Message::Compact(answer) => drop(answer.send(Told::End(Ok(())))),
                Message::Sink(wish, answer) => drop(answer.send(self.keep_for_sink(&wish))),
                Message::Soon | Message::Tend(_) | Message::Close { .. } => {}
            }
        }
    }

    /// Commits `waiting` in order, in as few transactions as its faults allow, and tells everybody.
    fn commit_all(&mut self, waiting: &mut Vec<Waiting>) {
        let refused = waiting.extract_if(.., |waiting| {
            let batch = &waiting.0;
            if let Some(Mark { node, after: Some(after), .. }) = &batch.mark
                && !self.marks.contains_key(node)
            {
                // The first of a node says where its records begin, also if it fails: the next may not jump over it.
                self.marks.insert(Arc::clone(node), *after);
            }
            commit::check(batch).is_err()
        });
        for refused in refused {
            let (batch, done) = *refused;
            if let Err(why) = commit::check(&batch) {
                done.tell(Err(CommitError::Refused(why)));
            }
        }
        let mut parts = VecDeque::from([std::mem::take(waiting)]);
        while let Some(mut part) = parts.pop_front() {
            match self.commit_part(&mut part) {
                Ok(()) => (self.tell_within)(&mut || part.drain(..).for_each(|one| one.1.tell(Ok(())))),
                Err((Blame::Data, _)) if part.len() > 1 => {
                    let second = part.split_off(part.len() / 2);
                    parts.push_front(second);
                    parts.push_front(part);
                }
                Err((blame, why)) => {
                    let error = match blame {
                        Blame::Data => CommitError::Refused(why.into()),
                        Blame::Machine => CommitError::Unavailable(why.into()),
                    };
                    tracing::error!(%error, n_batches = part.len(), "batches were not stored");
                    part.into_iter().for_each(|one| one.1.tell(Err(error.clone())));
                }
            }
        }
    }

    /// One transaction, tried again while the machine is at fault. Batches with too many series are answered and removed.
    fn commit_part(&mut self, part: &mut Vec<Waiting>) -> Result<(), (Blame, String)> {
        let (marks, new_series) = loop {
            self.group.clear();
            let marks = refuse_gaps(part, &self.marks);
            let mut catalog = self.shared.catalog.lock();
            let over_limit: Vec<Waiting> =
                part.extract_if(.., |one| !self.group.add(&one.0, &mut catalog)).collect();
            if over_limit.is_empty() {
                break (marks, catalog.unsaved());
            }
            drop(catalog);
            for one in over_limit {
                one.1.tell(Err(CommitError::Refused("the store has no room for more series".into())));
            }
            // What they would have stored is a gap for the batches behind them.
        };
        if part.is_empty() {
            return Ok(());
        }
        self.group.pack();
        let mut waits = self.retry_waits.iter();
        let committed = loop {
            let batches = part.iter().map(|one| &one.0);
            let committed = self.set_sync(true).and_then(|()| {
                self.group.commit(self.conn, &mut self.statements, &new_series, self.head, batches)
            });
            match committed {
                Ok(committed) => break committed,
                Err(error) if blame(&error) == Blame::Data => return Err((Blame::Data, error.to_string())),
                Err(error) => {
                    self.shared.n_retries.fetch_add(1, Ordering::Relaxed);
                    let Some(wait) = waits.next() else { return Err((Blame::Machine, error.to_string())) };
                    tracing::warn!(%error, wait_ms = wait.as_millis(), "a commit failed and is tried again");
                    std::thread::sleep(*wait);
                }
            }
        };
        self.head = committed.head;
        self.marks.extend(marks);
        if let Some(n_bytes) = committed.journal_bytes {
            self.n_rows += 1;
            self.n_bytes += n_bytes;
        }
        self.n_commits_until_fold = self.n_commits_until_fold.saturating_sub(1);
        let mut catalog = self.shared.catalog.lock();
        catalog.saved(new_series.len());
        for keyed in self.group.samples() {
            catalog.note(keyed.series, keyed.point);
        }
        Ok(())
    }

    /// What a sink has got is let go of only once that is on disk.
    fn keep_for_sink(&mut self, wish: &SinkWish) -> backlog::Answer {
        let kept = self.set_sync(true).and_then(|()| backlog::fulfil(self.conn, wish));
        kept.map_err(|error| CommitError::Unavailable(error.to_string().into()))
    }

    /// No commit that somebody is told about passes here without sync: a failure to switch fails the commit.
    fn set_sync(&mut self, waits: bool) -> rusqlite::Result<()> {
        if !self.conn.is_autocommit() {
            // A rollback that failed earlier; within a transaction nothing can be switched and none can begin.
            self.conn.execute_batch("ROLLBACK")?;
        }
        if self.is_synced != waits {
            open::set_sync(self.conn, waits)?;
            self.is_synced = waits;
        }
        Ok(())
    }

    fn wants_fold(&self) -> bool {
        self.n_commits_until_fold == 0 && (self.n_bytes >= FOLD_BYTES || self.n_rows >= FOLD_ROWS)
    }

    /// True while there is work that does not wait for a quiet moment.
    fn is_busy(&self) -> bool {
        self.job.is_some() || self.wants_fold() || self.compaction.is_some()
    }

    fn fold_between_commits(&mut self) {
        self.n_commits_of_round += 1;
        if self.n_commits_of_round >= ROUND_COMMITS
            && let Some(round) = self.round.take()
        {
            // No quiet moment for long: a flood must not keep the store from making room.
            self.n_commits_of_round = 0;
            self.round = self.round_step(round);
        }
        if !self.is_busy() {
            return;
        }
        self.work();
        while self.n_bytes >= FOLD_BYTES_MAX && self.n_commits_until_fold == 0 {
            self.fold_step(FOLD_BYTES_MAX);
        }
    }

    /// Does one step of what there is to do besides commits.
    fn work(&mut self) {
        if self.job.is_none()
            && let Some((compaction, asked)) = self.compaction.take()
        {
            self.compaction = self.compact_step(compaction, asked);
        } else if self.is_busy() {
            self.fold_step(FOLD_BYTES_MAX);
        } else if let Some(round) = self.round.take() {
            self.round = self.round_step(round);
        }
    }

    /// Goes on with a round; `None` when it has ended.
    fn round_step(&mut self, mut round: Round) -> Option<Round> {
        let step = self
            .set_sync(false)
            .and_then(|()| round.step(self.conn, &mut self.fold_statements, &self.shared.catalog));
        match step {
            Ok(fold::Progress::Working) => return Some(round),
            Ok(fold::Progress::Done) => {}
            Err(error) => tracing::warn!(%error, "the store's upkeep failed and is tried again later"),
        }
        self.shared.n_rounds.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// A job in progress is forgotten, which costs repeated work only: the next one covers all that is there.
    fn begin_compaction(&mut self, answer: Asked) {
        self.job = None;
        match self.try_fold_step(u64::MAX) {
            Ok(_) => self.compaction = Some((Compaction::default(), answer)),
            Err(error) => {
                drop(answer.send(Told::End(Err(CommitError::Unavailable(error.to_string().into())))));
            }
        }
    }

    /// Goes on with a compaction; `None` when it has ended and its caller knows.
    fn compact_step(&mut self, mut compaction: Compaction, asked: Asked) -> Option<(Compaction, Asked)> {
        let step = self
            .set_sync(false)
            .and_then(|()| compaction.step(self.conn, &mut self.fold_statements, &self.shared.catalog));
        let result = match step {
            Ok(fold::Progress::Working) => {
                let n_series = self.shared.catalog.lock().n_series();
                // Nobody waits for it any more when this fails; it goes on nevertheless.
                asked.send(Told::Step { n_done: compaction.n_series_done, n_series }).ok();
                return Some((compaction, asked));
            }
            Ok(fold::Progress::Done) => {
                self.checkpoint();
                Ok(())
            }
            Err(error) => Err(CommitError::Unavailable(error.to_string().into())),
        };
        // Nobody waits for it any more when this fails.
        drop(asked.send(Told::End(result)));
        None
    }

    /// Begins or continues a job; a failure ends the job and is told, the journal stays as it is.
    fn fold_step(&mut self, bytes_max: u64) {
        if let Err(error) = self.try_fold_step(bytes_max) {
            tracing::warn!(%error, "folding the journal failed and is tried again later");
            self.job = None;
            self.n_commits_until_fold = FOLD_PAUSE_COMMITS;
        }
    }

    fn try_fold_step(&mut self, bytes_max: u64) -> rusqlite::Result<fold::Progress> {
        self.set_sync(false)?;
        if self.job.is_none() {
            self.job = fold::Job::plan(self.conn, bytes_max)?;
        }
        let Some(job) = &mut self.job else {
            // The journal is empty, whatever was counted.
            (self.n_rows, self.n_bytes) = (0, 0);
            return Ok(fold::Progress::Done);
        };
        let freed_before = job.freed;
        let progress =
            job.step(self.conn, &mut self.fold_statements, &self.shared.catalog, &self.shared.sinks)?;
        self.n_rows = self.n_rows.saturating_sub(job.freed.n_rows - freed_before.n_rows);
        self.n_bytes = self.n_bytes.saturating_sub(job.freed.n_bytes - freed_before.n_bytes);
        if progress == fold::Progress::Done {
            self.job = None;
        }
        Ok(progress)
    }

    /// Folds until the journal is empty.
    fn fold_all(&mut self) -> Result<(), CommitError> {
        loop {
            let step = self.try_fold_step(FOLD_BYTES_MAX);
            if let Err(error) = step {
                self.job = None;
                return Err(CommitError::Unavailable(error.to_string().into()));
            }
            if self.job.is_none() && self.n_rows == 0 {
                return Ok(());
            }
        }
    }

    /// A clean stop: folds a bounded part and copies the log into the database.
    fn finish(&mut self) {
        loop {
            match self.try_fold_step(FOLD_BYTES_AT_CLOSE) {
                Ok(fold::Progress::Working) => {}
                Ok(fold::Progress::Done) => break,
                Err(error) => {
                    tracing::warn!(%error, "folding at the stop failed; the journal keeps the samples");
                    break;
                }
            }
        }
        self.checkpoint();
    }

    /// Copies the log into the database.
    fn checkpoint(&self) {
        if let Err(error) = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            tracing::warn!(%error, "a checkpoint failed; the next one repeats it");
        }
    }
}

/// Waits for a message; one that says that another follows in a moment is waited for awake, for a moment.
fn sleep(queue: &mut mpsc::Receiver<Message>, sleeps: &AtomicBool) -> Option<Message> {
    loop {
        sleeps.store(true, Ordering::Relaxed);
        let message = queue.blocking_recv();
        sleeps.store(false, Ordering::Relaxed);
        if !matches!(message, Some(Message::Soon)) {
            return message;
        }
        for _ in 0..SOON_LOOKS {
            match queue.try_recv() {
                Ok(message) => return Some(message),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
                // Whoever has something to do goes first: there may be one core.
                Err(mpsc::error::TryRecvError::Empty) => std::thread::yield_now(),
            }
        }
    }
}

/// Takes batches off the queue up to the bounds of a group; a message of another kind is handed back.
fn gather(queue: &mut mpsc::Receiver<Message>, waiting: &mut Vec<Waiting>) -> Option<Message> {
    let mut n_samples: usize = waiting.iter().map(|one| one.0.n_samples()).sum();
    while waiting.len() < GROUP_BATCHES_MAX && n_samples < GROUP_SAMPLES_MAX {
        match queue.try_recv() {
            Ok(Message::Batch(one)) => {
                n_samples += one.0.n_samples();
                waiting.push(one);
            }
            Ok(Message::Soon) => {}
            Ok(other) => return Some(other),
            Err(_) => return None,
        }
    }
    None
}

/// Answers and removes the batches whose mark would pass records that are not on disk, and returns the watermarks that the
/// others reach.
fn refuse_gaps(
    part: &mut Vec<Waiting>,
    on_disk: &BTreeMap<Arc<str>, (u32, u64)>,
) -> BTreeMap<Arc<str>, (u32, u64)> {
    let mut reached = BTreeMap::<Arc<str>, (u32, u64)>::new();
    let gaps = part.extract_if(.., |one| {
        let Some(mark) = &one.0.mark else { return false };
        let at = reached.get(&mark.node).or_else(|| on_disk.get(&mark.node)).copied();
        let is_gap = matches!((at, mark.after), (Some(at), Some(after)) if at < after);
        if !is_gap {
            let to = (mark.epoch, mark.seq);
            reached.insert(Arc::clone(&mark.node), at.map_or(to, |at| at.max(to)));
        }
        is_gap
    });
    for one in gaps {
        one.1.tell(Err(CommitError::Refused("records before these are not stored".into())));
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::super::tests::readings;
    use super::*;

    fn waiting(batch: Batch) -> Waiting {
        Box::new((batch, Done::Ignore))
    }

    #[test]
    fn only_folding_does_without_waiting_for_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let conn = open::open_writer(dir.path(), None).unwrap();
        let shared = Shared::default();
        let mut state = Loop::new(&conn, &shared, &[], |tell| tell()).unwrap();
        let waits = || conn.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0)).unwrap() == 2;
        for n in 0..3 {
            state.commit_all(&mut vec![waiting(readings("n01", "soil", [(n, Some(1.0))]))]);
            assert!(waits());
            state.fold_all().unwrap();
            assert!(!waits());
            // A transaction left open by a failed rollback is no way around either.
            conn.execute_batch("BEGIN").unwrap();
        }
        state.commit_all(&mut vec![waiting(readings("n01", "soil", [(9, Some(1.0))]))]);
        assert!(waits() && state.n_rows == 1);
    }
}
