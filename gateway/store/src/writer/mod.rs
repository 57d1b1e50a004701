//! The writing side: a bounded queue, one thread that owns the writing connection, group commit.
//!
//! The thread takes whatever is queued, writes it in one transaction with one sync to disk, and only then tells the callers. A
//! transaction that fails for the machine's fault is tried again with growing pauses while its batches stay in memory; one that
//! fails for the data's fault is halved until the batch at fault stands alone. Between commits the thread writes what folding has packed
//! on its own thread (`fold`); only when the journal is as large as it may be do commits wait for that.
//!
//! Must not lose a caller: each batch taken is answered once, unless the thread dies, and then its [`Done`] is dropped.
//! Invariants: no `Ok` before the COMMIT that holds the batch returned; batches are committed in the order they were queued.

mod queue;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::backlog::{self, SinkPlaces, SinkWish};
use super::catalog::SharedCatalog;
use super::commit::{self, Group};
use super::diary;
use super::error::{Blame, CommitError, blame};
use super::fold::{self, Compaction, FoldError};
use super::log_room::LogRoom;
use super::open::{self, FolderLock};
use super::reader;
use super::types::Mark;
use super::upkeep::{Round, Rounds};

use self::queue::Waiting;
pub(super) use self::queue::{Asked, Message, Told};
pub use self::queue::{Done, QUEUE_BATCHES, Writer};

/// Batches of one commit: more would not be quicker, only later for the first of them.
const GROUP_BATCHES_MAX: usize = 4_096;

/// A group takes no further batch once it has this many readings.
const GROUP_SAMPLES_MAX: usize = 65_536;

/// Journal size at which folding begins.
const FOLD_BYTES: u64 = 4 << 20;

/// Journal rows at which folding begins: a reader looks at each of them.
const FOLD_ROWS: u64 = 8_192;

/// Journal size at which commits wait for folding, so that a flood ends in back-pressure and not in a full disk.
const JOURNAL_BYTES_MAX: u64 = 64 << 20;

/// What one job of folding covers: the more, the more samples of a series at once and the less work; half of the journal, so that
/// commits go on meanwhile.
const FOLD_BYTES_MAX: u64 = JOURNAL_BYTES_MAX / 2;

/// What a clean stop folds at most, so that it stays short.
const FOLD_BYTES_AT_CLOSE: u64 = 4 << 20;

/// Commits before folding is tried again after it failed.
const FOLD_PAUSE_COMMITS: u64 = 1_024;

/// A round of upkeep waits for a quiet moment for so many commits per step.
const ROUND_COMMITS: u32 = 64;

/// How often a store that was told to expect a batch looks for it before it sleeps again: a tenth of a millisecond on an idle machine.
const SOON_LOOKS: u32 = 256;

/// Commits of folding and upkeep after which a step of theirs waits for the disk; a step adds up to three.
const UNSYNCED_MAX: u32 = 8;

/// What writer and readers of one process share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) catalog: SharedCatalog,
    pub(super) sinks: Arc<SinkPlaces>,
    /// Commits that did not succeed at the first try.
    pub(super) n_retries: AtomicU64,
    /// Rounds of upkeep that have ended.
    pub(super) n_rounds: AtomicU64,
}

/// Everything the writing thread owns besides its connection.
#[derive(Debug)]
pub(super) struct Thread {
    /// The store's folder.
    pub(super) dir: PathBuf,
    /// Into the queue, from the folding thread; does not keep the queue open.
    pub(super) to_queue: mpsc::WeakSender<Message>,
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
    pub(super) fn run(self, mut conn: Connection) {
        let Self { dir, to_queue, mut queue, shared, lock, retry_waits, tell_within, sleeps } = self;
        let folding = Folding { dir, to_queue };
        let lag = Arc::new(Lag::default());
        if let Err(error) = Lag::follow(&lag, &mut conn) {
            tracing::error!(%error, "the store's writer could not start");
            return;
        }
        match Loop::new(&conn, &shared, &retry_waits, tell_within, &folding, lag) {
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

/// Whether commits wait for the disk, and what has not waited. Only folding and upkeep may do without; what has not waited may be on the
/// disk in any order when the power goes, and is bounded so that a bad place in the log before more commits is known for damage
/// (`log_look`).
#[derive(Debug)]
struct Lag {
    is_synced: AtomicBool,
    /// Commits since the last that waited.
    n_commits: AtomicU32,
}

impl Default for Lag {
    fn default() -> Self {
        Self { is_synced: AtomicBool::new(true), n_commits: AtomicU32::new(0) }
    }
}

impl Lag {
    /// Counts the commits of a connection.
    fn follow(lag: &Arc<Self>, conn: &mut Connection) -> rusqlite::Result<()> {
        let lag = Arc::clone(lag);
        conn.commit_hook(Some(move || {
            if lag.is_synced.load(Ordering::Relaxed) {
                lag.n_commits.store(0, Ordering::Relaxed);
            } else {
                lag.n_commits.fetch_add(1, Ordering::Relaxed);
            }
            // Does not turn it into a rollback.
            false
        }))
    }
}

/// What the folding thread is started with.
struct Folding {
    dir: PathBuf,
    to_queue: mpsc::WeakSender<Message>,
}

impl Folding {
    fn begin(&self, bytes_max: u64, sinks: &Arc<SinkPlaces>) -> Result<fold::Job, FoldError> {
        let to_queue = self.to_queue.clone();
        // Into a full queue it need not go: then the writer is awake.
        let wake = move || drop(to_queue.upgrade().map(|queue| queue.try_send(Message::Folded)));
        fold::Job::begin(&self.dir, bytes_max, sinks, wake)
    }
}

struct Loop<'c> {
    conn: &'c Connection,
    statements: commit::Statements<'c>,
    fold_statements: fold::Statements<'c>,
    shared: &'c Shared,
    retry_waits: &'c [Duration],
    tell_within: super::TellWithin,
    folding: &'c Folding,
    head: diary::Head,
    n_rows: u64,
    n_bytes: u64,
    job: Option<fold::Job>,
    n_commits_until_fold: u64,
    compaction: Option<(Compaction, Asked)>,
    rounds: Rounds,
    round: Option<Round>,
    /// Commits since the round began that no step of it has answered for.
    n_commits_of_round: u32,
    group: Group,
    log: LogRoom,
    lag: Arc<Lag>,
    /// The watermark of each node as it is on disk, or where the records of a new node begin.
    marks: BTreeMap<Arc<str>, (u32, u64)>,
}

impl<'c> Loop<'c> {
    fn new(
        conn: &'c Connection,
        shared: &'c Shared,
        retry_waits: &'c [Duration],
        tell_within: super::TellWithin,
        folding: &'c Folding,
        lag: Arc<Lag>,
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
            folding,
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
            lag,
            marks: reader::marks(conn)?.into_iter().map(|mark| (mark.node, (mark.epoch, mark.seq))).collect(),
        })
    }

    fn run(&mut self, queue: &mut mpsc::Receiver<Message>, sleeps: &AtomicBool) {
        let mut waiting = Vec::new();
        let mut next = None;
        loop {
            let has_work = self.has_work();
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
                Message::Soon | Message::Folded => {}
                Message::Batch(first) => {
                    waiting.push(first);
                    next = gather(queue, &mut waiting);
                    self.commit_all(&mut waiting);
                    self.log.keep(self.conn);
                    self.fold_between_commits();
                }
                Message::Fold(answer) => drop(answer.send(self.fold_all())),
                Message::Compact(answer) => self.begin_compaction(answer),
                Message::Tend(upkeep) => {
                    if self.round.is_none() {
                        let newest_us = self.shared.catalog.lock().newest_us();
                        self.n_commits_of_round = 0;
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
                Message::Soon | Message::Folded | Message::Tend(_) | Message::Close { .. } => {}
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
        for keyed in self.group.latest() {
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
        if self.lag.is_synced.load(Ordering::Relaxed) != waits {
            open::set_sync(self.conn, waits)?;
            self.lag.is_synced.store(waits, Ordering::Relaxed);
        }
        Ok(())
    }

    /// For a step that nobody is told about: it waits for the disk only so that not too much does.
    fn set_sync_for_step(&mut self) -> rusqlite::Result<()> {
        self.set_sync(self.lag.n_commits.load(Ordering::Relaxed) >= UNSYNCED_MAX)
    }

    fn wants_fold(&self) -> bool {
        self.n_commits_until_fold == 0 && (self.n_bytes >= FOLD_BYTES || self.n_rows >= FOLD_ROWS)
    }

    /// True while there is work that does not wait for a quiet moment.
    fn is_busy(&self) -> bool {
        self.job.is_some() || self.wants_fold() || self.compaction.is_some()
    }

    /// True when [`Self::work`] would do something; what is being packed beside comes with a message.
    fn has_work(&mut self) -> bool {
        match &mut self.job {
            Some(job) => job.is_ready(),
            None => self.is_busy() || self.round.is_some(),
        }
    }

    fn fold_between_commits(&mut self) {
        self.n_commits_of_round = self.n_commits_of_round.saturating_add(1);
        // While there is a job, chunks are its own; the steps that were due meanwhile follow, one between two commits.
        if self.n_commits_of_round >= ROUND_COMMITS
            && self.job.is_none()
            && let Some(round) = self.round.take()
        {
            // No quiet moment for long: a flood must not keep the store from making room.
            self.n_commits_of_round -= ROUND_COMMITS;
            self.round = self.round_step(round);
        } else if self.has_work() && self.is_busy() {
            self.work();
        }
        while self.n_bytes >= JOURNAL_BYTES_MAX && self.n_commits_until_fold == 0 {
            self.fold_step(FOLD_BYTES_MAX);
        }
    }

    /// Does one step of what there is to do besides commits; waits for what is being packed, so there should be some.
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
            .set_sync_for_step()
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
        match self.begin_job(u64::MAX) {
            Ok(_) => self.compaction = Some((Compaction::default(), answer)),
            Err(error) => {
                drop(answer.send(Told::End(Err(CommitError::Unavailable(error.to_string().into())))));
            }
        }
    }

    /// Goes on with a compaction; `None` when it has ended and its caller knows.
    fn compact_step(&mut self, mut compaction: Compaction, asked: Asked) -> Option<(Compaction, Asked)> {
        let step = self
            .set_sync_for_step()
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

    fn try_fold_step(&mut self, bytes_max: u64) -> Result<fold::Progress, FoldError> {
        self.set_sync_for_step()?;
        let Some(job) = &mut self.job else { return self.begin_job(bytes_max) };
        let freed_before = job.freed;
        let progress = job.step(self.conn, &mut self.fold_statements, &self.shared.catalog)?;
        self.n_rows = self.n_rows.saturating_sub(job.freed.n_rows - freed_before.n_rows);
        self.n_bytes = self.n_bytes.saturating_sub(job.freed.n_bytes - freed_before.n_bytes);
        if progress == fold::Progress::Done {
            self.job = None;
        }
        Ok(progress)
    }

    /// Begins a job if there is anything to fold.
    fn begin_job(&mut self, bytes_max: u64) -> Result<fold::Progress, FoldError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM journal)";
        if !self.conn.query_row(sql, [], |row| row.get::<_, bool>(0))? {
            // Whatever was counted.
            (self.n_rows, self.n_bytes) = (0, 0);
            return Ok(fold::Progress::Done);
        }
        self.job = Some(self.folding.begin(bytes_max, &self.shared.sinks)?);
        Ok(fold::Progress::Working)
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
            Ok(Message::Soon | Message::Folded) => {}
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
mod tests;
