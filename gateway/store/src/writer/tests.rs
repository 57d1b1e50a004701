//! The writing thread's loop, step by step.

use super::super::tests::readings;
use super::super::types::Batch;
use super::super::upkeep::Upkeep;
use super::*;

fn waiting(batch: Batch) -> Waiting {
    Box::new((batch, Done::Ignore))
}

#[test]
fn only_folding_does_without_waiting_for_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let conn = open::open_writer(dir.path(), None).unwrap();
    let shared = Shared::default();
    let (sender, _queue) = mpsc::channel(1);
    let folding = Folding { dir: dir.path().to_owned(), to_queue: sender.downgrade() };
    let mut state = Loop::new(&conn, &shared, &[], |tell| tell(), &folding, Arc::default()).unwrap();
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

/// A store's loop with some thousand readings in its journal, and what comes into its queue.
fn with_journal(dir: &std::path::Path, test: impl FnOnce(&mut Loop<'_>, mpsc::Receiver<Message>)) {
    let conn = open::open_writer(dir, None).unwrap();
    let shared = Shared::default();
    let (sender, queue) = mpsc::channel(QUEUE_BATCHES);
    let folding = Folding { dir: dir.to_owned(), to_queue: sender.downgrade() };
    let mut state = Loop::new(&conn, &shared, &[], |tell| tell(), &folding, Arc::default()).unwrap();
    for n in 0..20 {
        let metric = format!("m{n}");
        let values = (0..400).map(|minute| (minute, Some(f64::from(n))));
        state.commit_all(&mut vec![waiting(readings("n01", &metric, values))]);
    }
    test(&mut state, queue);
}

fn n_kept(conn: &Connection) -> (i64, i64) {
    let sum = |table| format!("SELECT ifnull(sum(n_samples), 0) FROM {table}");
    let one = |table| conn.query_row(&sum(table), [], |row| row.get(0)).unwrap();
    (one("journal"), one("chunk"))
}

#[test]
fn commits_go_on_while_the_journal_is_packed() {
    let dir = tempfile::tempdir().unwrap();
    with_journal(dir.path(), |state, mut queue| {
        state.begin_job(u64::MAX).unwrap();
        let mut n_later = 0;
        while state.job.is_some() {
            // What is being packed is not waited for: its message comes later.
            state.commit_all(&mut vec![waiting(readings("n02", "soil", [(n_later, Some(1.0))]))]);
            n_later += 1;
            if state.has_work() {
                state.work();
            } else {
                assert!(matches!(queue.blocking_recv(), Some(Message::Folded)));
            }
        }
        let (n_journal, n_chunk) = n_kept(state.conn);
        assert_eq!(n_journal + n_chunk, 8_000 + n_later);
        assert!(n_later > 10 && n_journal > 0 && n_chunk >= 8_000, "{n_later} {n_journal} {n_chunk}");
    });
}

#[test]
fn what_was_packed_from_other_chunks_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    with_journal(dir.path(), |state, _queue| {
        state.fold_all().unwrap();
        state.commit_all(&mut vec![waiting(readings("n01", "m7", [(7, Some(70.0))]))]);
        state.begin_job(u64::MAX).unwrap();
        while !state.has_work() {
            std::thread::yield_now();
        }
        // Somebody else's tool, since nobody here does it.
        state.conn.execute("UPDATE chunk SET id = id + 1000", []).unwrap();
        state.work();
        assert!(state.job.is_none(), "the job has failed");
        assert_eq!(n_kept(state.conn), (1, 8_000));
        state.n_commits_until_fold = 0;
        state.fold_all().unwrap();
        assert_eq!(n_kept(state.conn), (0, 8_000));
    });
}

#[test]
fn upkeep_and_compaction_leave_chunks_to_the_job_that_there_is() {
    let dir = tempfile::tempdir().unwrap();
    with_journal(dir.path(), |state, _queue| {
        state.round = Some(state.rounds.begin(&Upkeep { now_us: 1, retention: None }, Some(1)));
        state.n_commits_of_round = 10 * ROUND_COMMITS;
        let (asked, told) = std::sync::mpsc::channel();
        state.begin_compaction(asked);
        while state.job.is_some() {
            state.fold_between_commits();
            assert!(state.job.is_none() || state.n_commits_of_round >= 10 * ROUND_COMMITS);
            assert!(told.try_recv().is_err(), "no step of the compaction");
        }
        while state.compaction.is_some() {
            state.work();
        }
        assert!(matches!(told.iter().last(), Some(Told::End(Ok(())))));
        assert_eq!(n_kept(state.conn), (0, 8_000));
    });
}
