//! Starting on a damaged store, and repairing one that is hardly a store any more.

use rusqlite::Connection;

use super::check::report;
use super::*;

/// A closed store with many commits in its journal, chunks of forty series, and a row in every table that a start needs.
fn filled(dir: &Path) {
    let store = Store::open(dir).unwrap();
    store.writer().commit_blocking(full_batch()).unwrap();
    for n in 0..40 {
        let values = (0..500).map(|at| (T0 + (n * 1_000 + at) * MINUTE, Some((at as f64).sin())));
        store.writer().commit_blocking(readings("n07", &format!("m{n}"), values)).unwrap();
    }
    store.fold().unwrap();
    for n in 0..60 {
        let from_us = T0 + (100_000 + n * 100) * MINUTE;
        let values = (0..100).map(|at| (from_us + at * MINUTE, Some((at as f64).cos())));
        store.writer().commit_blocking(readings("n08", "soil", values)).unwrap();
    }
    drop(store);
    // Into the database itself, without folding.
    let conn = Connection::open(dir.join("giot.sqlite")).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert!(conn.close().is_ok());
}

/// Pages of a table or index of one kind.
fn pages(dir: &Path, name: &str, kind: &str) -> Vec<usize> {
    let conn = Connection::open(dir.join("giot.sqlite")).unwrap();
    let mut found =
        conn.prepare("SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = ?2 ORDER BY pageno").unwrap();
    let found = found.query_map([name, kind], |row| row.get::<_, i64>(0)).unwrap();
    found.map(|page| usize::try_from(page.unwrap()).unwrap()).collect()
}

/// Overwrites a page; the file as it is then.
fn spoil(dir: &Path, page: usize) -> Vec<u8> {
    let file = dir.join("giot.sqlite");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[(page - 1) * 4_096..][..4_096].fill(0x5a);
    std::fs::write(&file, &bytes).unwrap();
    bytes
}

fn open_mending(dir: &Path) -> Result<Store, OpenError> {
    Store::open_mending(dir, &StoreOptions::default(), "old.sqlite", T0)
}

#[test]
fn a_bad_page_among_the_newest_readings_does_not_keep_the_gateway_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let leaves = pages(dir.path(), "journal", "leaf");
    let bytes = spoil(dir.path(), leaves[leaves.len() / 2]);
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { table: "journal", is_past: true, .. }), "{error:?}");
    let store = open_mending(dir.path()).unwrap();
    // But for the header, which says that there is no log any more.
    let kept = std::fs::read(dir.path().join("old.sqlite")).unwrap();
    assert!(kept[4_096..] == bytes[4_096..], "the damaged file is kept as it was");
    assert_full_batch(&store.reader());
    let n_kept = samples(&store.reader(), "n08", "soil").len();
    assert!((5_000..6_000).contains(&n_kept), "{n_kept}");
    let note = store.reader().mended().unwrap().unwrap();
    assert_eq!((note.at_us, note.file.as_deref()), (T0, Some("old.sqlite")));
    // Named by the times of the commits beside it.
    assert!(note.n_lost == 1 && note.lost[0].starts_with("journal: row"), "{note:?}");
    assert!(note.lost[0].contains(", from 2024-01-2") && note.lost[0].contains(" to 2024-01-2"), "{note:?}");
    store.writer().commit_blocking(readings("n08", "soil", [(T0, Some(1.0))])).unwrap();
    store.close().unwrap();
    assert!(report(dir.path()).is_clean());
    drop(open_mending(dir.path()).unwrap());
}

#[test]
fn what_decides_about_water_is_not_mended_without_a_person() {
    let tables = [
        "zone_memory",
        "device",
        "counter",
        "meta",
        "node_mark",
        "node_anchor",
        "farm_version",
        "series",
        "diary",
    ];
    for table in tables {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        let root = pages(dir.path(), table, "leaf");
        let bytes = spoil(dir.path(), root[0]);
        let error = open_mending(dir.path()).map(drop).unwrap_err();
        let is_told =
            matches!(&error, OpenError::Damaged { table: told, is_past: false, .. } if *told == table);
        assert!(is_told && error.to_string().contains(table), "{table}: {error:?}");
        assert_eq!(std::fs::read(dir.path().join("giot.sqlite")).unwrap(), bytes, "{table}");
        assert!(!dir.path().join("old.sqlite").exists() && !dir.path().join("giot.sqlite.part").exists());
        // A person can.
        let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
        assert!(mended.lost.iter().any(|lost| lost.table == table && !lost.is_history()), "{mended:?}");
        drop(Store::open(dir.path()).unwrap());
    }
}

#[test]
fn a_bad_first_page_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let before = report(dir.path());
    spoil(dir.path(), 1);
    assert!(Store::open(dir.path()).is_err() && Reader::open(dir.path()).is_err());
    let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
    assert!(mended.lost.is_empty() && mended.after.is_clean(), "{mended:?}");
    let after = report(dir.path());
    assert_eq!((after.n_samples, after.n_chunks, after.n_diary_rows), (before.n_samples, before.n_chunks, 2));
    assert_full_batch(&Store::open(dir.path()).unwrap().reader());
    let names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("first")), "{names:?}");
    // With all of the schema nobody knows any more whether it was a store.
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let schema = pages(dir.path(), "sqlite_schema", "leaf");
    schema.iter().for_each(|page| drop(spoil(dir.path(), *page)));
    let bytes = spoil(dir.path(), 1);
    assert!(repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).is_err());
    assert_eq!(std::fs::read(dir.path().join("giot.sqlite")).unwrap(), bytes);
}

#[test]
fn bad_pages_of_the_schema_cost_nothing() {
    for (fill, with_first, takes_all) in
        [(0, false, false), (0x5a, false, false), (0, false, true), (0x5a, false, true), (0, true, false)]
    {
        let whole = tempfile::tempdir().unwrap();
        filled(whole.path());
        let before = report(whole.path());
        let schema = pages(whole.path(), "sqlite_schema", "leaf");
        assert!(schema.len() > 1, "{schema:?}");
        for n in 0..if takes_all { 1 } else { schema.len() } {
            let dir = tempfile::tempdir().unwrap();
            copy_files(whole.path(), dir.path());
            let bad = if takes_all { &schema[..] } else { &schema[n..=n] };
            let path = dir.path().join("giot.sqlite");
            let mut bytes = std::fs::read(&path).unwrap();
            for page in bad.iter().copied().chain(with_first.then_some(1)) {
                bytes[(page - 1) * 4_096..][..4_096].fill(fill);
            }
            std::fs::write(&path, bytes).unwrap();
            let what = format!("page {bad:?} of {fill}");
            // A start mends it too, and loses nothing.
            if with_first || n == 0 {
                let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
                assert!(mended.lost.is_empty() && mended.after.is_clean(), "{what}: {mended:?}");
            } else {
                drop(open_mending(dir.path()).unwrap());
            }
            let after = report(dir.path());
            assert_eq!(
                (after.n_samples, after.n_chunks, after.n_diary_rows),
                (before.n_samples, before.n_chunks, before.n_diary_rows),
                "{what}"
            );
            assert_full_batch(&Store::open(dir.path()).unwrap().reader());
        }
    }
}

/// A repair found no such table, and ended.
#[test]
fn a_changed_bit_in_the_schema_costs_nothing() {
    let whole = tempfile::tempdir().unwrap();
    filled(whole.path());
    let mut n_replaced = 0;
    for page in pages(whole.path(), "sqlite_schema", "leaf") {
        for (n, at) in (0..4_096).step_by(61).enumerate() {
            let dir = tempfile::tempdir().unwrap();
            copy_files(whole.path(), dir.path());
            let path = dir.path().join("giot.sqlite");
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[(page - 1) * 4_096 + at] ^= 1 << (n % 8);
            std::fs::write(&path, bytes).unwrap();
            let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {});
            let mended = mended.unwrap_or_else(|error| panic!("page {page}, byte {at}: {error:?}"));
            assert!(mended.lost.is_empty() && mended.after.is_clean(), "page {page}, byte {at}: {mended:?}");
            n_replaced += usize::from(mended.replaced.is_some());
            assert_full_batch(&Store::open(dir.path()).unwrap().reader());
        }
    }
    assert!(n_replaced > 30, "{n_replaced}");
}

/// The walk for the next number that can be read counted beyond the numbers there are, and the index's order was read as it came.
#[test]
fn bytes_of_any_kind_in_small_tables_and_indices_end_no_repair() {
    let whole = tempfile::tempdir().unwrap();
    filled(whole.path());
    let mut state = 0x5eed_u64;
    let mut dice = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for table in ["series", "chunk_by_time", "device", "valve_event", "zone_memory", "diary"] {
        let page = *pages(whole.path(), table, "leaf").first().unwrap();
        for n in 0..40 {
            let dir = tempfile::tempdir().unwrap();
            copy_files(whole.path(), dir.path());
            let path = dir.path().join("giot.sqlite");
            let mut bytes = std::fs::read(&path).unwrap();
            let at = if n % 2 == 0 { dice(128) } else { dice(4_032) };
            for byte in &mut bytes[(page - 1) * 4_096 + at..][..1 + dice(64)] {
                *byte = u8::try_from(dice(256)).unwrap();
            }
            std::fs::write(&path, bytes).unwrap();
            let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {});
            let what = format!("{table}, try {n}: {mended:?}");
            let after = mended.unwrap_or_else(|_| panic!("{what}")).after;
            // A break in the diary's chain stays.
            let is_diary = |finding: &Finding| finding.place == Place::Diary;
            assert!(after.findings.iter().all(is_diary), "{what}");
            drop(Store::open(dir.path()).unwrap());
        }
    }
}

/// The store was whole by every check, and the gateway did not start.
#[test]
fn a_latest_reading_that_is_none_keeps_nobody_from_starting() {
    for change in ["last_value = 'x'", "last_us = 1.5", "last_quality = 999"] {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        let conn = Connection::open(dir.path().join("giot.sqlite")).unwrap();
        conn.execute(&format!("UPDATE series SET {change}"), []).unwrap();
        conn.close().unwrap();
        let store = Store::open(dir.path()).unwrap_or_else(|error| panic!("{change}: {error:?}"));
        store.writer().commit_blocking(readings("n01", "soil", [(T0 + 99 * MINUTE, Some(4.0))])).unwrap();
        let last = store.reader().last_values(Some("n01")).unwrap();
        let soil = last.iter().find(|last| &*last.metric == "soil").unwrap();
        assert_eq!(soil.sample.value, Some(4.0), "{change}");
    }
}

#[test]
fn a_file_cut_before_its_schema_keeps_what_is_there() {
    for n_bytes in [20_000, 60_683, 100_000] {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        let file = std::fs::File::options().write(true).open(dir.path().join("giot.sqlite")).unwrap();
        file.set_len(n_bytes).unwrap();
        assert!(open_mending(dir.path()).is_err(), "keys are lost");
        let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
        assert!(mended.after.is_clean() && !mended.lost.is_empty(), "{n_bytes}: {mended:?}");
        let store = Store::open(dir.path()).unwrap();
        // The tables on the first pages are short ones.
        assert_eq!(store.reader().devices().unwrap().len(), usize::from(n_bytes > 60_000), "{n_bytes}");
        store.writer().commit_blocking(readings("n08", "soil", [(T0, Some(1.0))])).unwrap();
    }
}

#[test]
fn a_file_cut_short_keeps_what_is_there() {
    for percent in [95, 80, 60] {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        let before = report(dir.path());
        let path = dir.path().join("giot.sqlite");
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let n_pages = file.metadata().unwrap().len() / 4_096;
        file.set_len(n_pages * percent / 100 * 4_096 + 100).unwrap();
        assert!(Store::open(dir.path()).is_err(), "{percent}");
        let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
        assert!(
            mended.after.is_clean() && mended.after.n_samples < before.n_samples,
            "{percent}: {mended:?}"
        );
        // Every chunk is there or named.
        let named = mended.lost.iter().filter(|lost| lost.table == "chunk" && lost.series.is_some());
        let n_chunks = mended.after.n_chunks + u64::try_from(named.count()).unwrap();
        assert_eq!(n_chunks, before.n_chunks, "{percent}: {mended:?}");
        let store = Store::open(dir.path()).unwrap();
        store.writer().commit_blocking(readings("n08", "soil", [(T0, Some(1.0))])).unwrap();
    }
}

#[test]
fn a_row_whose_number_has_become_that_of_another_is_kept_or_named() {
    for (table, is_kept) in [
        ("series", true),
        ("journal", true),
        ("chunk", true),
        ("valve_event", true),
        ("farm_version", true),
        ("diary", false),
    ] {
        // One takes the number of a row behind it, the other of one before it.
        for (number, mask) in [(4_u8, 2), (6, 2)] {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path()).unwrap();
            for n in 0..8 {
                let batch = full_batch();
                let farm = batch.farm.map(|row| FarmRow { version: n + 1, ..row });
                let valve_events = vec![ValveEventRow { seq: 7 + u64::from(n), ..valve_event() }];
                store.writer().commit_blocking(Batch { farm, valve_events, ..full_batch() }).unwrap();
                let values = (0..20).map(|at| (T0 + at * MINUTE, Some((at as f64).sin())));
                store.writer().commit_blocking(readings("n07", &format!("m{n}"), values)).unwrap();
                if n == 3 && table == "chunk" {
                    store.fold().unwrap();
                }
            }
            if table == "chunk" {
                store.fold().unwrap();
            }
            drop(store);
            let conn = Connection::open(dir.path().join("giot.sqlite")).unwrap();
            conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            conn.close().unwrap();
            let before = report(dir.path());
            assert!(before.is_clean(), "{before:?}");
            let n_rows = || -> i64 {
                let conn = Connection::open(dir.path().join("giot.sqlite")).unwrap();
                conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
            };
            let n_before = n_rows();
            flip_number(dir.path(), table, number, mask);
            assert!(!report(dir.path()).is_clean());
            let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
            let what = format!("{table} {number}: {mended:?}");
            assert_eq!(
                mended.lost.iter().filter(|lost| lost.table == table).count(),
                usize::from(!is_kept),
                "{what}"
            );
            assert_eq!(mended.lost.len(), usize::from(!is_kept), "{what}");
            assert_eq!(mended.after.is_clean(), is_kept, "{what}");
            assert_eq!(n_rows(), n_before - i64::from(!is_kept), "{what}");
            if is_kept {
                assert_eq!((mended.after.n_samples, mended.n_set_aside), (before.n_samples, 0), "{what}");
            }
        }
    }
}

/// Changes a bit of the number of a row in its page: of a table so short that it is one.
fn flip_number(dir: &Path, table: &str, number: u8, mask: u8) {
    let leaf = pages(dir, table, "leaf");
    let file = dir.join("giot.sqlite");
    let mut bytes = std::fs::read(&file).unwrap();
    let page = &mut bytes[(leaf[0] - 1) * 4_096..][..4_096];
    let cell =
        |page: &[u8], idx: usize| usize::from(u16::from_be_bytes([page[8 + idx * 2], page[9 + idx * 2]]));
    let n_cells = usize::from(u16::from_be_bytes([page[3], page[4]]));
    // Behind the length of the row, of one byte or two.
    let at = (0..n_cells).map(|idx| cell(page, idx)).map(|at| at + 1 + usize::from(page[at] & 0x80 != 0));
    let at =
        at.clone().find(|at| page[*at] == number).unwrap_or_else(|| panic!("{table} has no row {number}"));
    page[at] ^= mask;
    std::fs::write(&file, bytes).unwrap();
}
