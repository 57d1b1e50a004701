//! What the check finds, and that it finds nothing where nothing is wrong.

use rusqlite::Connection;

use super::super::chunk::{Effort, checksum, encode};
use super::super::types::Point;
use super::*;

/// The check's report on the store in a folder.
pub(super) fn report(dir: &Path) -> CheckReport {
    check_store(dir, &mut |n_done, n_all| assert!(n_done <= n_all)).unwrap()
}

/// A store with a bit of everything, in chunks and in the journal.
fn varied(dir: &Path) {
    let store = Store::open(dir).unwrap();
    store.writer().commit_blocking(full_batch()).unwrap();
    let steady = (0..3_000).map(|n| (T0 + n * MINUTE, Some((n % 50) as f64 / 10.0)));
    let odd = (0..3_000).map(|n| (T0 + n * n * MINUTE, (n % 9 > 0).then(|| (n as f64).sqrt())));
    store.writer().commit_blocking(readings("n01", "steady", steady)).unwrap();
    store.writer().commit_blocking(readings("n02", "odd", odd)).unwrap();
    store.fold().unwrap();
    store.writer().commit_blocking(readings("n02", "odd", [(T0 - 1, Some(7.0)), (T0 + 5, None)])).unwrap();
    drop(store);
}

fn tool(dir: &Path) -> Connection {
    Connection::open(dir.join("giot.sqlite")).unwrap()
}

#[test]
fn a_sound_store_is_clean_beside_its_writer_too() {
    let dir = tempfile::tempdir().unwrap();
    varied(dir.path());
    let alone = report(dir.path());
    assert!(alone.is_clean(), "{alone:?}");
    assert_eq!((alone.n_journal_rows, alone.n_diary_rows, alone.n_samples), (1, 2, 6_006));
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(report(dir.path()), alone);
    store.compact().unwrap();
    assert!(report(dir.path()).is_clean());
}

#[test]
fn a_look_that_may_pause_sees_the_same_and_ends_when_it_is_told() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    let dir = tempfile::tempdir().unwrap();
    varied(dir.path());
    let n_asked = Arc::new(AtomicU32::new(0));
    let look = |asked_max: u32| {
        n_asked.store(0, Ordering::Relaxed);
        let n_asked = Arc::clone(&n_asked);
        scrub_store(dir.path(), move || n_asked.fetch_add(1, Ordering::Relaxed) < asked_max).unwrap()
    };
    assert_eq!(look(u32::MAX), Some(report(dir.path())));
    let n_all = n_asked.load(Ordering::Relaxed);
    assert!(n_all > 3, "asked {n_all} times");
    for asked_max in 0..n_all {
        assert_eq!(look(asked_max), None, "ended after {asked_max} of {n_all}");
        assert_eq!(n_asked.load(Ordering::Relaxed), asked_max + 1, "and at once");
    }
    tool(dir.path()).execute("UPDATE chunk SET to_us = to_us + 1 WHERE id = 1", []).unwrap();
    let found = look(u32::MAX).unwrap();
    assert_eq!((found.n_findings, found.findings), (1, report(dir.path()).findings));
}

#[test]
fn every_kind_of_damage_is_found_and_named() {
    let flip = |table: &str, at: u32| {
        let (before, after) = (at - 1, at + 1);
        format!(
            "UPDATE {table} SET blob = CAST(substr(blob, 1, {before}) || x'f7' || substr(blob, {after}) AS BLOB)
             WHERE id = (SELECT max(id) FROM {table})"
        )
    };
    let cases = [
        (flip("chunk", 40), Place::Chunk, "checksum"),
        (flip("journal", 12), Place::Journal, "checksum"),
        ("UPDATE chunk SET to_us = to_us + 1 WHERE id = 1".to_owned(), Place::Chunk, "checksum"),
        ("UPDATE chunk SET n_bytes = n_bytes + 1 WHERE id = 1".to_owned(), Place::Chunk, "size"),
        ("UPDATE chunk SET n_samples = -3 WHERE id = 1".to_owned(), Place::Chunk, "numbers"),
        ("UPDATE chunk SET blob = 'text' WHERE id = 1".to_owned(), Place::Chunk, "no blob"),
        ("UPDATE journal SET n_samples = 7".to_owned(), Place::Journal, "what its row says"),
        ("UPDATE journal SET to_us = from_us".to_owned(), Place::Journal, "what its row says"),
        ("DELETE FROM series WHERE metric = 'steady'".to_owned(), Place::Chunk, "unknown"),
        ("DELETE FROM series WHERE metric = 'odd'".to_owned(), Place::Journal, "unknown"),
        (
            "DROP TRIGGER diary_keeps_words; UPDATE diary SET reason = 'rain' WHERE id = 2".to_owned(),
            Place::Diary,
            "changed or removed",
        ),
        (
            "INSERT INTO chunk (series, from_us, to_us, n_samples, n_bytes, crc32, blob)
             SELECT series, from_us + 1, to_us, n_samples, n_bytes, crc32, blob FROM chunk WHERE id = 1"
                .to_owned(),
            Place::Chunk,
            "overlaps",
        ),
    ];
    for (sql, place, what) in cases {
        let dir = tempfile::tempdir().unwrap();
        varied(dir.path());
        tool(dir.path()).execute_batch(&sql).unwrap();
        let report = report(dir.path());
        let is_told = |finding: &Finding| finding.place == place && finding.what.contains(what);
        assert!(report.findings.iter().any(is_told), "{sql}: {report:?}");
        assert!(!report.is_clean());
    }
}

#[test]
fn hours_that_are_not_those_of_their_readings_are_found() {
    let dir = tempfile::tempdir().unwrap();
    varied(dir.path());
    // The hours of one run of readings before the points of another: every checksum holds.
    let points = |value: f64| -> Vec<Point> {
        (0..600)
            .map(|n| Point { at_us: T0 + n * MINUTE, value: value + (n % 5) as f64, quality: 0 })
            .collect()
    };
    let (a, b) = (encode(&points(10.0), Effort::Thorough), encode(&points(20.0), Effort::Thorough));
    let hours_end = a.iter().zip(&b).rposition(|(a, b)| a != b).unwrap();
    let differs: Vec<usize> = (0..a.len()).filter(|at| a.get(*at) != b.get(*at)).collect();
    assert_eq!(a.len(), b.len(), "the same shape: {hours_end} {differs:?}");
    // The first half of the differences lies in the hours, the rest in the points.
    let mut mixed = b;
    mixed[differs[0]] = a[differs[0]];
    let to_us = T0 + 599 * MINUTE;
    let crc = checksum(1, T0, to_us, 600, &mixed);
    let n_bytes = i64::try_from(mixed.len()).unwrap();
    let conn = tool(dir.path());
    conn.execute("DELETE FROM chunk WHERE series = 1", []).unwrap();
    conn.execute(
        "INSERT INTO chunk (series, from_us, to_us, n_samples, n_bytes, crc32, blob) VALUES (1, ?1, ?2, 600, ?3, ?4, ?5)",
        rusqlite::params![T0, to_us, n_bytes, crc, mixed],
    )
    .unwrap();
    let report = report(dir.path());
    assert!(report.findings.iter().any(|finding| finding.what.contains("hours")), "{report:?}");
}

/// A closed store with five hundred readings of each.
fn forty_series() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for n in 0..40 {
        let values = (0..500).map(|at| (T0 + (n * 1_000 + at) * MINUTE, Some((at as f64).sin())));
        store.writer().commit_blocking(readings("n01", &format!("m{n}"), values)).unwrap();
    }
    store.fold().unwrap();
    store.close().unwrap();
    dir
}

#[test]
fn bad_pages_are_named_and_the_rest_is_still_checked() {
    let dir = forty_series();
    let file = dir.path().join("giot.sqlite");
    let page: usize = {
        let conn = tool(dir.path());
        conn.query_row(
            "SELECT pageno FROM dbstat WHERE name = 'chunk' AND pagetype = 'leaf' ORDER BY pageno LIMIT 1 OFFSET 3",
            [],
            |row| row.get::<_, i64>(0),
        )
        .unwrap()
        .try_into()
        .unwrap()
    };
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[(page - 1) * 4_096..][..4_096].fill(0x5a);
    std::fs::write(&file, bytes).unwrap();
    let report = report(dir.path());
    assert!(report.findings.iter().any(|finding| finding.place == Place::Pages), "{report:?}");
    assert!(report.findings.iter().any(|f| f.place == Place::Chunk && f.what.contains("cannot be read")));
    assert!((36..40).contains(&report.n_chunks), "{report:?}");
    // Each reading that can be read is, and what cannot is counted.
    let reader = Reader::open(dir.path()).unwrap();
    let (mut n_read, mut n_damaged) = (0, 0);
    for n in 0..40 {
        let all = i64::MIN..i64::MAX;
        let summary = reader.rows("n01", &format!("m{n}"), all, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(summary.n_samples + summary.gaps.iter().map(|gap| gap.n_samples).sum::<u64>(), 500, "{n}");
        n_read += summary.n_samples;
        n_damaged += summary.n_damaged();
    }
    assert_eq!((n_read, n_damaged), (report.n_samples, 40 - report.n_chunks));
}

#[test]
fn what_is_said_of_many_pages_is_one_short_line() {
    let dir = forty_series();
    let file = std::fs::File::options().write(true).open(dir.path().join("giot.sqlite")).unwrap();
    file.set_len(file.metadata().unwrap().len() / 4_096 * 6 / 10 * 4_096).unwrap();
    let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
    let longest = mended.before.findings.iter().map(|finding| finding.what.len()).max();
    assert!(longest.is_some_and(|longest| longest < 400), "{longest:?}");
}

#[test]
fn sizes_add_up_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    varied(dir.path());
    let store = Store::open(dir.path()).unwrap();
    store.compact().unwrap();
    let sizes = measure(dir.path()).unwrap();
    let rooms: u64 = sizes.rooms.iter().map(|room| room.n_bytes).sum();
    // What is in no table of ours: the schema and SQLite's own.
    let rest = sizes.file_bytes - rooms - sizes.free_bytes;
    assert!(rest <= 6 * 4_096, "{sizes:?}");
    assert_eq!((sizes.n_series, sizes.n_samples), (5, 6_006));
    assert_eq!((sizes.oldest_us, sizes.newest_us), (Some(T0 - 1), Some(T0 + 2_999 * 2_999 * MINUTE)));
    assert!(sizes.bytes_per_sample().unwrap() > 1.0);
}

#[test]
fn damaged_rows_are_set_aside_and_the_rest_is_clean() {
    let dir = tempfile::tempdir().unwrap();
    varied(dir.path());
    let flip = |table: &str| {
        format!(
            "UPDATE {table} SET blob = CAST(substr(blob, 1, 30) || x'f7f6' || substr(blob, 33) AS BLOB)
             WHERE id = (SELECT max(id) FROM {table});"
        )
    };
    tool(dir.path()).execute_batch(&(flip("chunk") + &flip("journal"))).unwrap();
    let before = report(dir.path());
    assert_eq!(before.n_findings, 2, "{before:?}");
    let store = Store::open(dir.path()).unwrap();
    let in_use = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {});
    assert!(matches!(in_use, Err(BackupError::Open(OpenError::InUse { .. }))));
    drop(store);
    let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
    assert!(mended.after.is_clean(), "{mended:?}");
    assert_eq!((mended.n_set_aside, mended.replaced, mended.lost.len()), (2, None, 0));
    let after = report(dir.path());
    assert_eq!((after.n_findings, after.n_set_aside), (0, 2));
    let reader = Reader::open(dir.path()).unwrap();
    let n = |metric: &str| samples(&reader, "n01", metric).len();
    assert_eq!((n("soil"), n("battery"), n("steady")), (2, 1, 3_000));
    assert!(
        repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap().before.is_clean(),
        "a second time there is nothing"
    );
}

#[test]
fn damaged_pages_cost_their_rows_and_the_old_file_is_kept() {
    for (table, kind) in [
        ("chunk", "leaf"),
        ("chunk", "internal"),
        ("chunk_by_time", "leaf"),
        ("diary", "leaf"),
        ("device", "leaf"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.writer().commit_blocking(full_batch()).unwrap();
        for n in 0..40 {
            let values = (0..500).map(|at| (T0 + (n * 1_000 + at) * MINUTE, Some((at as f64).sin())));
            let diary = (0..20).map(|_| entry("started", T0)).collect();
            let batch = Batch { diary, ..readings("n07", &format!("m{n}"), values) };
            store.writer().commit_blocking(batch).unwrap();
        }
        store.fold().unwrap();
        store.close().unwrap();
        let page: i64 = tool(dir.path())
            .query_row(
                "SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = ?2 ORDER BY pageno * ?3 LIMIT 1",
                // Of the diary the first: entries cut off its end are only missed by who kept the head's hash.
                rusqlite::params![table, kind, if table == "diary" { 1 } else { -1 }],
                |row| row.get(0),
            )
            .unwrap();
        let file = dir.path().join("giot.sqlite");
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[(usize::try_from(page).unwrap() - 1) * 4_096..][..4_096].fill(0x5a);
        std::fs::write(&file, &bytes).unwrap();
        let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
        let what = format!("{table} {kind}: {mended:?}");
        assert!(!mended.before.is_clean(), "{what}");
        assert_eq!(std::fs::read(dir.path().join("old.sqlite")).unwrap().len(), bytes.len(), "{what}");
        let after = report(dir.path());
        let is_diary = |finding: &Finding| finding.place == Place::Diary;
        assert!(after.findings.iter().all(is_diary) && after.is_clean() == (table != "diary"), "{what}");
        // What the page did not hold is there, and the store takes more.
        let n_chunks = if (table, kind) == ("chunk", "leaf") { 39..43 } else { 43..44 };
        assert!(n_chunks.contains(&after.n_chunks), "{} chunks, {what}", after.n_chunks);
        // Rows below a bad inner page are found on their own.
        assert_eq!(mended.n_found > 0, (table, kind) == ("chunk", "internal"), "{what}");
        let is_whole = table == "chunk_by_time" || mended.n_found > 0;
        assert_eq!(mended.lost.is_empty(), is_whole, "{what}");
        for lost in mended.lost.iter().filter(|lost| lost.table == "chunk") {
            // By series and time, though the row is gone.
            let metric: i64 = lost.series.as_ref().unwrap().strip_prefix("n07 m").unwrap().parse().unwrap();
            let from_us = T0 + metric * 1_000 * MINUTE;
            assert_eq!((lost.from_us, lost.to_us), (Some(from_us), Some(from_us + 499 * MINUTE)));
            assert_eq!(lost.n_samples, Some(500));
        }
        let store = Store::open(dir.path()).unwrap();
        store.writer().commit_blocking(readings("n07", "m0", [(T0 - MINUTE, Some(1.0))])).unwrap();
        store.fold().unwrap();
        assert_eq!(store.reader().devices().unwrap().len(), usize::from(table != "device"));
    }
}
