//! What goes wrong: full disks, locked files, bad batches, damaged blobs, changed diaries.

use std::sync::mpsc::Receiver;

use rusqlite::Connection;

use super::*;

/// A connection of somebody with a tool.
fn tool(dir: &Path) -> Connection {
    Connection::open(dir.join("giot.sqlite")).unwrap()
}

fn impatient() -> StoreOptions {
    StoreOptions { retry_waits: vec![Duration::from_millis(1); 2], ..StoreOptions::default() }
}

#[test]
fn a_full_disk_loses_nothing_acknowledged_and_keeps_nothing_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { file_bytes_max: Some(400 << 10), ..impatient() };
    let store = Store::open_with(dir.path(), &options).unwrap();
    let mut n_kept = 0;
    let error = loop {
        // Incompressible, so that the file fills up.
        let values = (0..500).map(|n| (T0 + n_kept * 1_000 + n, Some(((n_kept * 500 + n) as f64).sin())));
        match store.writer().commit_blocking(readings("n01", "soil", values)) {
            Ok(()) => n_kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, CommitError::Unavailable(_)), "{error}");
    assert!(n_kept > 10 && store.n_retries() >= 3);
    let kept = |reader: &Reader| i64::try_from(samples(reader, "n01", "soil").len()).unwrap();
    assert_eq!(kept(&store.reader()), n_kept * 500);
    // Folding has no room either: told, and nothing lost.
    assert!(matches!(store.fold(), Ok(()) | Err(CommitError::Unavailable(_))));
    assert_eq!(kept(&store.reader()), n_kept * 500);
    store.close().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(kept(&store.reader()), n_kept * 500);
    store.fold().unwrap();
    store.writer().commit_blocking(readings("n01", "soil", [(0, Some(1.0))])).unwrap();
    assert_eq!(kept(&store.reader()), n_kept * 500 + 1);
}

#[test]
fn a_commit_that_finds_the_file_locked_waits_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let other = tool(dir.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answers = submit_all(&store, [readings("n01", "soil", [(T0, Some(1.0))])]);
    while store.n_retries() == 0 {
        std::thread::yield_now();
    }
    assert!(answers.try_recv().is_err(), "answered before it was stored");
    other.execute_batch("ROLLBACK").unwrap();
    answers.recv().unwrap().1.unwrap();
    assert_eq!(samples(&store.reader(), "n01", "soil").len(), 1);
}

#[test]
fn a_machine_at_fault_for_good_is_told_and_the_next_batch_gets_its_chance() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_with(dir.path(), &impatient()).unwrap();
    let other = tool(dir.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let result = store.writer().commit_blocking(readings("n01", "soil", [(T0, Some(1.0))]));
    assert!(matches!(result, Err(CommitError::Unavailable(_))));
    other.execute_batch("ROLLBACK").unwrap();
    store.writer().commit_blocking(readings("n01", "soil", [(T0 + 1, Some(2.0))])).unwrap();
    let kept = samples(&store.reader(), "n01", "soil");
    assert_eq!(kept, [Sample { at_us: T0 + 1, value: Some(2.0), quality: 0 }]);
}

#[test]
fn a_bad_batch_does_not_harm_its_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let bad_json = |n| Batch {
        memory: vec![("man-1".to_owned(), "{".to_owned())],
        diary: vec![entry("started", T0)],
        ..readings("n01", "soil", [(T0 + n, Some(1.0))])
    };
    let good =
        |n| Batch { diary: vec![entry("stopped", T0)], ..readings("n01", "soil", [(T0 + n, Some(1.0))]) };
    let long_name = readings(&"n".repeat(129), "soil", [(T0, None)]);
    let too_much =
        readings("n01", "soil", (0..=i64::try_from(BATCH_SAMPLES_MAX).unwrap()).map(|n| (n, None)));
    // Held back until all are queued, so that they meet in one transaction.
    let other = tool(dir.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let batches = [good(0), good(1), bad_json(2), good(3), long_name, bad_json(5), too_much, good(7)];
    let answers = submit_all(&store, batches);
    other.execute_batch("ROLLBACK").unwrap();
    let mut refused = Vec::new();
    for _ in 0..8 {
        match answers.recv().unwrap() {
            (_, Ok(())) => {}
            (n, Err(CommitError::Refused(_))) => refused.push(n),
            (n, Err(error)) => panic!("{n}: {error}"),
        }
    }
    refused.sort_unstable();
    assert_eq!(refused, [2, 4, 5, 6]);
    let times: Vec<i64> =
        samples(&store.reader(), "n01", "soil").iter().map(|sample| sample.at_us - T0).collect();
    assert_eq!(times, [0, 1, 3, 7]);
    assert!(matches!(store.reader().verify_diary().unwrap(), DiaryProof::Whole { n_rows: 4, .. }));
}

/// P1: what fails at the head of a node's records holds back what follows, even if nothing of the node is on disk.
#[test]
fn no_mark_passes_a_batch_that_failed() {
    let marked = |seq: u64, batch: Batch| {
        let mark = Mark { node: "n01".into(), epoch: 1, seq, after: Some((1, seq - 1)) };
        Batch { mark: Some(mark), ..batch }
    };
    let good = || readings("n01", "soil", [(T0, Some(1.0))]);
    let inventive = DeviceSamples {
        device: "n01".into(),
        samples: (0..=catalog::N_SERIES_MAX)
            .map(|n| MetricSample { metric: format!("m{n}").into(), at_us: T0, value: None, quality: 0 })
            .collect(),
    };
    let bad = [
        readings("", "soil", [(T0, None)]),
        Batch { memory: vec![("man-1".to_owned(), "{".to_owned())], ..Batch::default() },
        Batch { samples: vec![inventive], ..Batch::default() },
    ];
    for bad in bad {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let writer = store.writer();
        // Both in one transaction, then the second in one of its own.
        let other = tool(dir.path());
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let answers = submit_all(&store, [marked(1, bad), marked(2, good())]);
        other.execute_batch("ROLLBACK").unwrap();
        for _ in 0..2 {
            assert!(matches!(answers.recv().unwrap().1, Err(CommitError::Refused(_))));
        }
        assert!(matches!(writer.commit_blocking(marked(2, good())), Err(CommitError::Refused(_))));
        assert_eq!(store.reader().mark("n01").unwrap(), None);
        // What is there of it, sent again.
        writer.commit_blocking(marked(1, Batch::default())).unwrap();
        assert_eq!(store.reader().mark("n01").unwrap().map(|mark| mark.seq), Some(1));
    }
}

#[test]
fn a_full_queue_gives_the_batch_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let other = tool(dir.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writer = store.writer();
    let mut n_taken = 0;
    let back = loop {
        match writer.try_submit(readings("n01", "soil", [(T0 + n_taken, Some(1.0))]), Done::Ignore) {
            Ok(()) => n_taken += 1,
            Err(SubmitError::Full(back)) => break *back,
            Err(error) => panic!("{error}"),
        }
        assert!(n_taken < 100_000);
    };
    assert_eq!(back.0.samples[0].samples[0].at_us, T0 + n_taken);
    other.execute_batch("ROLLBACK").unwrap();
    store.close().unwrap();
    let kept = samples(&Reader::open(dir.path()).unwrap(), "n01", "soil");
    assert_eq!(i64::try_from(kept.len()).unwrap(), n_taken);
}

#[test]
fn damaged_chunks_cost_only_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let day = |n: i64| {
        (0..1_440).map(move |minute| (T0 + (n * 2_000 + minute) * MINUTE, Some((minute % 50) as f64)))
    };
    // Far enough apart that no two share a chunk.
    for n in 0..3 {
        store.writer().commit_blocking(readings("n01", "soil", day(n * 100))).unwrap();
    }
    store.fold().unwrap();
    assert_eq!(store.reader().stats().unwrap().n_chunks, 3);
    let flip =
        "UPDATE chunk SET blob = CAST(substr(blob, 1, 30) || x'ff' || substr(blob, 32) AS BLOB) WHERE id = 2";
    assert_eq!(tool(dir.path()).execute(flip, []).unwrap(), 1);
    let lost = 200_000 * MINUTE + T0;
    let check = |reader: &Reader, n_kept: usize, is_set_aside: bool| {
        let mut n = 0;
        let summary = reader
            .samples("n01", "soil", i64::MIN..i64::MAX, &mut |_| {
                n += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!((n, summary.n_damaged_chunks, summary.n_damaged_journal_rows), (n_kept, 1, 0));
        let to_us = lost + 1_439 * MINUTE;
        assert_eq!(summary.gaps, [Gap { from_us: lost, to_us, n_samples: 1_440, is_set_aside }]);
        assert_eq!(summary.n_set_aside, u64::from(is_set_aside));
    };
    check(&store.reader(), 2_880, false);
    // A late sample into the damaged chunk: the chunk is set aside, the sample kept.
    store.writer().commit_blocking(readings("n01", "soil", [(lost + MINUTE / 2, Some(7.0))])).unwrap();
    check(&store.reader(), 2_881, false);
    store.fold().unwrap();
    check(&store.reader(), 2_881, true);
    check(&Reader::open(dir.path()).unwrap(), 2_881, true);
    assert_eq!(store.reader().stats().unwrap().n_damaged, 1);
}

#[test]
fn a_row_that_lies_about_its_blob_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.writer().commit_blocking(readings("n01", "soil", (0..99).map(|n| (T0 + n, Some(1.0))))).unwrap();
    store.writer().commit_blocking(readings("n02", "soil", (0..99).map(|n| (T0 + n, Some(2.0))))).unwrap();
    store.fold().unwrap();
    let swap = "UPDATE chunk SET series = series + 10; UPDATE chunk SET series = 13 - series";
    tool(dir.path()).execute_batch(swap).unwrap();
    for device in ["n01", "n02"] {
        let summary =
            store.reader().samples(device, "soil", 0..i64::MAX, &mut |_| panic!("a foreign sample")).unwrap();
        assert_eq!(summary.n_damaged_chunks, 1);
    }
}

#[test]
fn damaged_journal_rows_cost_only_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for n in 0..10 {
        store.writer().commit_blocking(readings("n01", "soil", [(T0 + n, Some(1.0))])).unwrap();
    }
    let flip = "UPDATE journal SET blob = CAST(substr(blob, 1, 12) || x'7f' || substr(blob, 14) AS BLOB) WHERE id = 4";
    assert_eq!(tool(dir.path()).execute(flip, []).unwrap(), 1);
    let check = |reader: &Reader, is_set_aside: bool| {
        let mut n = 0;
        let summary = reader.samples("n01", "soil", 0..i64::MAX, &mut |_| {
            n += 1;
            ControlFlow::Continue(())
        });
        let n_set_aside = u64::from(is_set_aside);
        let gaps = vec![Gap { from_us: T0 + 3, to_us: T0 + 3, n_samples: 1, is_set_aside }];
        let expected = ReadSummary {
            n_samples: 9,
            n_damaged_journal_rows: 1,
            n_set_aside,
            gaps,
            ..ReadSummary::default()
        };
        assert_eq!((n, summary.unwrap()), (9, expected));
    };
    check(&store.reader(), false);
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    check(&store.reader(), false);
    store.fold().unwrap();
    check(&store.reader(), true);
    let stats = store.reader().stats().unwrap();
    assert_eq!((stats.n_journal_rows, stats.n_damaged), (0, 1));
}

#[test]
fn every_change_to_the_diary_is_found() {
    let tamper: [(&str, i64); 6] = [
        ("UPDATE diary SET volume_ml = 5 WHERE id = 3", 3),
        ("UPDATE diary SET args = '{\"moisture\":1}' WHERE id = 1", 1),
        ("UPDATE diary SET at_us = NULL WHERE id = 10", 10),
        ("UPDATE diary SET hash = zeroblob(32) WHERE id = 7", 7),
        ("UPDATE diary SET event = 5.5 WHERE id = 8", 8),
        ("DELETE FROM diary WHERE id = 6", 6),
    ];
    for (sql, first_bad_id) in tamper {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for n in 0..10 {
            store
                .writer()
                .commit_blocking(Batch { diary: vec![entry("started", T0 + n)], ..Batch::default() })
                .unwrap();
        }
        let tool = tool(dir.path());
        assert!(tool.execute(sql, []).is_err(), "the table itself refuses: {sql}");
        assert!(matches!(store.reader().verify_diary().unwrap(), DiaryProof::Whole { n_rows: 10, .. }));
        tool.execute_batch("DROP TRIGGER diary_keeps_rows; DROP TRIGGER diary_keeps_words").unwrap();
        tool.execute(sql, []).unwrap();
        assert_eq!(store.reader().verify_diary().unwrap(), DiaryProof::Broken { first_bad_id }, "{sql}");
    }
}

#[test]
fn the_diary_chain_goes_on_after_restarts_and_pages_by_id() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..5 {
        let store = Store::open(dir.path()).unwrap();
        let other_zone = DiaryEntry { zone: None, ..entry("skipped", T0 + n) };
        let diary = vec![entry("started", T0 + n), other_zone];
        store.writer().commit_blocking(Batch { diary, ..Batch::default() }).unwrap();
    }
    let reader = Reader::open(dir.path()).unwrap();
    let DiaryProof::Whole { n_rows: 10, head } = reader.verify_diary().unwrap() else { panic!("broken") };
    let ids =
        |filter: DiaryFilter| reader.diary(&filter).unwrap().iter().map(|row| row.id).collect::<Vec<_>>();
    let all = DiaryFilter { limit: 4, ..DiaryFilter::default() };
    assert_eq!(reader.diary(&all).unwrap()[0].hash, head);
    assert_eq!(ids(all.clone()), [10, 9, 8, 7]);
    assert_eq!(ids(DiaryFilter { before_id: Some(7), ..all.clone() }), [6, 5, 4, 3]);
    assert_eq!(ids(DiaryFilter { zone: Some("man-1".to_owned()), ..all.clone() }), [9, 7, 5, 3]);
    let events = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(ids(DiaryFilter { events: events(&["skipped"]), ..all.clone() }), [10, 8, 6, 4]);
    assert_eq!(ids(DiaryFilter { events: events(&["skipped", "started"]), ..all.clone() }), [10, 9, 8, 7]);
    assert!(ids(DiaryFilter { events: events(&["fault"]), ..all.clone() }).is_empty());
    assert_eq!(ids(DiaryFilter { from_us: Some(T0 + 1), to_us: Some(T0 + 2), ..all }), [4, 3]);
}

/// Queues batches; the answers come with their numbers.
fn submit_all(
    store: &Store,
    batches: impl IntoIterator<Item = Batch>,
) -> Receiver<(usize, Result<(), CommitError>)> {
    let (sender, receiver) = channel();
    for (n, batch) in batches.into_iter().enumerate() {
        let sender = sender.clone();
        let done = Done::call(move |result| sender.send((n, result)).unwrap());
        store.writer().try_submit(batch, done).unwrap();
    }
    receiver
}
