//! Making compact and migrating: what stays, what shrinks, what is kept beside.

use rusqlite::Connection;

use super::super::open;
use super::*;

/// Small batches of several series, each folded for itself: many small chunks and a file full of holes.
fn scatter(store: &Store) -> Vec<(i64, Option<f64>)> {
    let value = |n: i64| Some(((n * 7_919 + 13) * 104_729 % 1_000_003 % 100) as f64 / 10.0);
    let points: Vec<_> = (0..6_000).map(|n| (T0 + n * MINUTE, value(n))).collect();
    for part in points.chunks(200) {
        for metric in ["soil", "air", "battery"] {
            store.writer().commit_blocking(readings("n01", metric, part.to_vec())).unwrap();
        }
        store.fold().unwrap();
    }
    points
}

#[test]
fn compacting_joins_chunks_gives_space_back_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let points = scatter(&store);
    store.writer().commit_blocking(readings("n01", "late", points.clone())).unwrap();
    let before = store.reader().stats().unwrap();
    store.compact().unwrap();
    let after = store.reader().stats().unwrap();
    assert!(after.n_chunks < before.n_chunks, "{before:?} {after:?}");
    assert_eq!((after.n_journal_rows, after.n_samples), (0, before.n_samples));
    // The log is in the database, and the database holds little but chunks.
    assert!(after.file_bytes < after.chunk_bytes + (136 << 10), "{after:?}");
    for metric in ["soil", "air", "battery", "late"] {
        let found: Vec<_> =
            samples(&store.reader(), "n01", metric).iter().map(|s| (s.at_us, s.value)).collect();
        assert!(found == points, "{metric}");
    }
    let again = store.reader().stats().unwrap();
    store.compact().unwrap();
    assert_eq!(store.reader().stats().unwrap().n_chunks, again.n_chunks, "nothing is left to do");
}

#[test]
fn commits_go_on_while_the_store_is_made_compact() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let points = scatter(&store);
    std::thread::scope(|scope| {
        let writer = store.writer();
        let compacting = scope.spawn(|| store.compact());
        for n in 0..50 {
            writer.commit_blocking(readings("n01", "soil", [(T0 - MINUTE * (n + 1), Some(1.0))])).unwrap();
        }
        compacting.join().unwrap().unwrap();
    });
    assert_eq!(samples(&store.reader(), "n01", "soil").len(), points.len() + 50);
}

#[test]
fn a_store_closed_while_it_is_made_compact_says_so_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let points = scatter(&store);
    // As a stop in the middle of it: the steps of another thread's compaction are never waited for.
    let (sender, receiver) = channel();
    store.writer.send(Message::Compact(sender)).unwrap();
    store.close().unwrap();
    assert!(receiver.iter().all(|told| !matches!(told, Told::End(Err(_)))), "ended or unanswered");
    assert_eq!(samples(&Reader::open(dir.path()).unwrap(), "n01", "air").len(), points.len());
}

#[test]
fn an_older_store_is_copied_migrated_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("giot.sqlite");
    let conn = Connection::open(&file).unwrap();
    conn.execute_batch(open::MIGRATIONS[0]).unwrap();
    conn.pragma_update(None, "application_id", 0x4769_6f74).unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
    // A chunk as version one wrote it (see chunk/tests.rs): 23.4, nothing, 23.5.
    let blob = "01030300401e18240a060001808ece1c020102020103d40302020400010402";
    let blob = chunk::tests::unhex(blob);
    let to_us = T0 + 180_000_000;
    let crc = chunk::checksum(1, T0, to_us, 3, &blob);
    conn.execute("INSERT INTO series (id, device, metric) VALUES (1, 'n01', 'soil')", []).unwrap();
    let chunk = rusqlite::params![T0, to_us, i64::try_from(blob.len()).unwrap(), crc, blob];
    conn.execute(
        "INSERT INTO chunk (series, from_us, to_us, n_samples, n_bytes, crc32, blob) VALUES (1, ?1, ?2, 3, ?3, ?4, ?5)",
        chunk,
    )
    .unwrap();
    conn.close().unwrap();
    let ours = open::schema_version();
    assert!(
        matches!(Reader::open(dir.path()), Err(OpenError::OlderSchema { found: 1, known }) if known == ours)
    );

    let store = Store::open(dir.path()).unwrap();
    let values = |reader: &Reader| samples(reader, "n01", "soil").iter().map(|s| s.value).collect::<Vec<_>>();
    assert_eq!(values(&store.reader()), [Some(23.4), None, Some(23.5)]);
    store.writer().commit_blocking(readings("n01", "soil", [(T0 + MINUTE, Some(9.5))])).unwrap();
    store.compact().unwrap();
    assert_eq!(values(&store.reader()), [Some(23.4), Some(9.5), Some(23.5)]);
    let copy = Connection::open(dir.path().join("giot-schema-1.sqlite")).unwrap();
    let version: u32 = copy.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    let n_chunks: u32 = copy.query_row("SELECT count(*) FROM chunk", [], |row| row.get(0)).unwrap();
    assert_eq!((version, n_chunks), (1, 1), "the copy is the store as it was");
    let modes: u32 =
        Connection::open(&file).unwrap().pragma_query_value(None, "auto_vacuum", |row| row.get(0)).unwrap();
    assert_eq!(modes, 2, "space can be given back");
}

#[test]
fn a_running_store_joins_its_chunks_by_itself_and_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    // Each portion less than half of the one before: folding leaves them apart.
    let mut points = Vec::new();
    for n in [1_000, 450, 200, 90, 40, 18, 8] {
        let from = i64::try_from(points.len()).unwrap();
        let value = |n: i64| Some(((n * 7_919 + 13) * 104_729 % 1_000_003 % 100) as f64 / 10.0);
        let part: Vec<_> = (from..from + n).map(|n| (T0 + n * MINUTE, value(n))).collect();
        for metric in ["soil", "air", "battery"] {
            store.writer().commit_blocking(readings("n01", metric, part.clone())).unwrap();
        }
        store.fold().unwrap();
        points.extend(part);
    }
    let rows = || {
        let conn = open::open_reader(dir.path()).unwrap();
        let mut ids = conn.prepare("SELECT id FROM chunk ORDER BY id").unwrap();
        ids.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect::<Vec<i64>>()
    };
    let before = rows();
    tend(&store, T0, None);
    let after = rows();
    assert!(before.len() >= 3 * 5 && after.len() <= 3 * 2, "{before:?} {after:?}");
    // A day later it looks again and finds nothing to do; within the day it does not even look.
    tend(&store, T0 + 1, None);
    tend(&store, T0 + 86_400_000_000, None);
    assert_eq!(rows(), after);
    for metric in ["soil", "air", "battery"] {
        let found: Vec<_> =
            samples(&store.reader(), "n01", metric).iter().map(|s| (s.at_us, s.value)).collect();
        assert!(found == points, "{metric}");
    }
    assert!(check::report(dir.path()).is_clean());
}

#[test]
fn no_number_of_a_journal_row_is_given_out_twice() {
    let dir = tempfile::tempdir().unwrap();
    let numbers = || {
        let conn = Connection::open(dir.path().join(open::FILE_NAME)).unwrap();
        let mut rows = conn.prepare("SELECT id FROM journal ORDER BY id").unwrap();
        let ids: Vec<i64> = rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        ids
    };
    let commit = |store: &Store, n: i64| {
        store.writer().commit_blocking(readings("n01", "soil", [(T0 + n, Some(1.0))])).unwrap();
    };
    let store = Store::open(dir.path()).unwrap();
    commit(&store, 1);
    commit(&store, 2);
    store.fold().unwrap();
    assert!(numbers().is_empty(), "all rows are folded");
    commit(&store, 3);
    assert_eq!(numbers(), [3]);
    store.close().unwrap();
    assert!(numbers().is_empty(), "a clean stop folds");
    let store = Store::open(dir.path()).unwrap();
    commit(&store, 4);
    assert_eq!(numbers(), [4]);
}
