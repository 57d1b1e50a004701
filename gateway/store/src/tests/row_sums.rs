//! Rows of small tables that no longer are what was written: found, named, set right where one bit has changed.

use rusqlite::Connection;

use super::super::loose::Loose;
use super::super::row_sums::{TABLES, Table, decides};
use super::check::report;
use super::*;

/// A closed store with a row in each table.
fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.writer().commit_blocking(full_batch()).unwrap();
    store.close().unwrap();
    dir
}

/// A connection that may write what it likes.
fn tool(dir: &Path) -> Connection {
    let conn = Connection::open(dir.join("giot.sqlite")).unwrap();
    conn.execute_batch("PRAGMA ignore_check_constraints = on; DROP TRIGGER IF EXISTS farm_keeps_words")
        .unwrap();
    conn
}

/// The columns of a table that a change must not hide in.
fn summed(table: &Table) -> Vec<String> {
    let whole = filled();
    let conn = tool(whole.path());
    let sql = format!("SELECT name FROM pragma_table_info('{}')", table.name);
    let mut columns = conn.prepare(&sql).unwrap();
    let columns = columns.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap);
    // What a series' latest reading was is no name; a valve event's number is none of its node's.
    let is_summed = |column: &String| {
        !column.starts_with("last_") && (table.name, column.as_str()) != ("valve_event", "id")
    };
    columns.filter(is_summed).collect()
}

/// Changes a bit of the last byte of a column in the last row of a table, or its sign; the row's key afterwards. `None` where there is
/// nothing to change.
fn flip(dir: &Path, table: &Table, column: &str, mask: u8) -> Option<Loose> {
    let Table { name, key, .. } = table;
    let conn = tool(dir);
    let last = |of: &str| format!("SELECT {of} FROM {name} ORDER BY {key} DESC LIMIT 1");
    let ask = |of: &str| conn.query_row(&last(of), [], |row| Ok(Loose::of(row.get_ref(0)?))).unwrap();
    let before = ask(column);
    let byte = if matches!(before, Loose::Text(_) | Loose::Blob(_)) { before.n_bytes() - 1 } else { 0 };
    let after =
        if mask == SIGN { before.with_other_signs().next()? } else { before.with_flipped(byte, mask)? };
    let set = format!("UPDATE {name} SET {column} = ?1 WHERE {key} = ({})", last(key));
    assert_eq!(conn.execute(&set, [&after]).unwrap(), 1);
    Some(if column == *key { after } else { ask(key) })
}

/// Instead of a bit of a byte: the highest that is stored of a whole number.
const SIGN: u8 = 0;

/// Bits to change: of text the second leaves none.
const MASKS: [u8; 3] = [8, 0x80, SIGN];

#[test]
fn a_changed_bit_in_any_column_is_found_named_and_set_right() {
    let mut n_flips = 0;
    for (table, mask) in TABLES.iter().flat_map(|table| MASKS.map(|mask| (table, mask))) {
        let name = table.name;
        for column in summed(table) {
            let dir = filled();
            let Some(key) = flip(dir.path(), table, &column, mask) else { continue };
            n_flips += 1;
            let found = report(dir.path());
            let is_named = |finding: &&Finding| match &key {
                Loose::Whole(id) => finding.row == Some(*id),
                Loose::Text(key) => {
                    finding.what.starts_with(&format!("{:?}: ", String::from_utf8_lossy(key)))
                }
                Loose::Null | Loose::Real(_) | Loose::Blob(_) => false,
            };
            let of_table = found.findings.iter().filter(|finding| finding.place == Place::Row(name));
            assert_eq!(of_table.filter(is_named).count(), 1, "{name}.{column}: {found:?}");
            assert_eq!(scrub_store(dir.path(), || true).unwrap().as_ref(), Some(&found));
            assert_eq!(Reader::open(dir.path()).unwrap().flawed_rows().unwrap().len(), 1);
            let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
            let what = format!("{name}.{column}: {mended:?}");
            assert!(
                mended.after.is_clean() && mended.lost.is_empty() && mended.as_they_read.is_empty(),
                "{what}"
            );
            assert_eq!((mended.n_set_right, mended.n_set_aside), (1, 0), "{what}");
            assert_full_batch(&Store::open(dir.path()).unwrap().reader());
        }
    }
    assert!(n_flips > 50, "{n_flips}");
}

#[test]
fn a_start_sets_a_changed_bit_right_in_what_decides_about_water() {
    let mut n_flips = 0;
    for (table, mask) in TABLES.iter().flat_map(|table| MASKS.map(|mask| (table, mask))) {
        for column in summed(table).iter().filter(|_| decides(table.name)) {
            let dir = filled();
            if flip(dir.path(), table, column, mask).is_none() {
                continue;
            }
            n_flips += 1;
            assert_full_batch(&Store::open(dir.path()).unwrap().reader());
            let report = report(dir.path());
            assert!(report.is_clean(), "{} {column}: {report:?}", table.name);
        }
    }
    assert!(n_flips > 25, "{n_flips}");
}

#[test]
fn a_start_does_not_obey_a_row_in_which_more_has_changed() {
    for (table, change) in [
        ("zone_memory", "json = '{\"locked\":true}'"),
        ("device", "key = x'00'"),
        ("farm_version", "text = 'cooperative = 1'"),
        ("zone_memory", "json = 'no memory'"),
    ] {
        let dir = filled();
        let conn = tool(dir.path());
        conn.execute_batch(&format!("UPDATE {table} SET {change}; PRAGMA wal_checkpoint(TRUNCATE)")).unwrap();
        drop(conn);
        let bytes = std::fs::read(dir.path().join("giot.sqlite")).unwrap();
        let open = || Store::open_mending(dir.path(), &StoreOptions::default(), "old.sqlite", T0).map(drop);
        for _ in 0..2 {
            let error = open().unwrap_err();
            let is_told =
                matches!(&error, OpenError::Damaged { table: told, is_past: false, .. } if *told == table);
            assert!(is_told, "{error:?}");
            let source = std::error::Error::source(&error).unwrap();
            assert!(is_corruption(source) && source.to_string().contains("checksum"), "{source:?}");
            assert!(std::fs::read(dir.path().join("giot.sqlite")).unwrap() == bytes, "{table}");
        }
        // A person has looked.
        let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
        // What is no memory is lost, and not said to be kept as well.
        let n_lost = usize::from(change.contains("no memory"));
        assert_eq!((mended.lost.len(), mended.as_they_read.len()), (n_lost, 1 - n_lost), "{mended:?}");
        assert!(mended.after.is_clean(), "{mended:?}");
        open().unwrap();
    }
}

#[test]
fn a_changed_memory_keeps_a_start_from_mending_the_past() {
    let dir = filled();
    let store = Store::open(dir.path()).unwrap();
    for n in 0..200 {
        store.writer().commit_blocking(readings("n08", "soil", [(T0 + n * MINUTE, Some(1.0))])).unwrap();
    }
    drop(store);
    let conn = tool(dir.path());
    let sql = "UPDATE zone_memory SET json = '{\"locked\":true}'; PRAGMA wal_checkpoint(TRUNCATE)";
    conn.execute_batch(sql).unwrap();
    let sql = "SELECT pageno FROM dbstat WHERE name = 'journal' AND pagetype = 'leaf' LIMIT 1 OFFSET 1";
    let page: i64 = conn.query_row(sql, [], |row| row.get(0)).unwrap();
    drop(conn);
    let path = dir.path().join("giot.sqlite");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[(usize::try_from(page).unwrap() - 1) * 4_096..][..4_096].fill(0x5a);
    std::fs::write(&path, &bytes).unwrap();
    assert!(Store::open_mending(dir.path(), &StoreOptions::default(), "old.sqlite", T0).is_err());
    assert!(std::fs::read(&path).unwrap() == bytes && !dir.path().join("old.sqlite").exists());
}

#[test]
fn names_of_series_that_are_no_text_are_set_right_or_told() {
    let series = TABLES.iter().find(|table| table.name == "series").unwrap();
    let open = |dir: &Path| Store::open_mending(dir, &StoreOptions::default(), "old.sqlite", T0);
    let dir = filled();
    flip(dir.path(), series, "metric", 0x80).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { table: "series", is_past: true, .. }), "{error:?}");
    assert_full_batch(&open(dir.path()).unwrap().reader());
    assert!(report(dir.path()).is_clean());
    // With two changed bits nobody knows the name any more.
    let dir = filled();
    flip(dir.path(), series, "metric", 0x82).unwrap();
    for _ in 0..2 {
        let error = open(dir.path()).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { table: "series", .. }), "{error:?}");
    }
    assert!(!report(dir.path()).is_clean());
    let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
    assert!(mended.after.is_clean() && mended.as_they_read.len() == 1, "{mended:?}");
    drop(open(dir.path()).unwrap());
}

/// A bit in a zone's name made it another's: that one's lock went to the first, and a repair lost one of the two.
#[test]
fn a_row_that_has_taken_anothers_name_goes_back_and_the_other_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let memory = [("man-1", r#"{"lock":{"by":"m"}}"#), ("man-2", "{}"), ("man-3", r#"{"failures":3}"#)];
    let device = |id: &str, byte| DeviceRow {
        id: id.into(),
        key: Some(vec![byte; 32]),
        ..full_batch().devices[0].clone()
    };
    let devices = vec![device("n01", 1), device("n11", 2)];
    let rows = memory.map(|(zone, json)| (zone.to_owned(), json.to_owned()));
    let batch = Batch {
        memory: rows.to_vec(),
        devices: devices.clone(),
        ..readings("n01", "soil", [(T0, Some(1.0))])
    };
    store.writer().commit_blocking(batch).unwrap();
    store.writer().commit_blocking(readings("n01", "soim", [(T0, Some(2.0))])).unwrap();
    store.close().unwrap();
    tool(dir.path()).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let whole = std::fs::read(dir.path().join("giot.sqlite")).unwrap();
    let places = |word: &[u8]| -> Vec<usize> {
        whole.windows(word.len()).enumerate().filter(|(_, found)| *found == word).map(|(at, _)| at).collect()
    };
    for (word, byte, mask) in
        [(&b"man-3{"[..], 4, 2), (b"man-1{", 4, 2), (b"n01", 1, 1), (b"n11", 1, 1), (b"soim", 3, 1)]
    {
        for at in places(word) {
            for is_start in [true, false] {
                let dir = tempfile::tempdir().unwrap();
                let mut bytes = whole.clone();
                bytes[at + byte] ^= mask;
                std::fs::write(dir.path().join("giot.sqlite"), &bytes).unwrap();
                let what = format!("{} at {at}, start {is_start}", String::from_utf8_lossy(word));
                if is_start {
                    let opened = Store::open_mending(dir.path(), &StoreOptions::default(), "old.sqlite", T0);
                    opened.unwrap_or_else(|error| panic!("{what}: {error:?}")).close().unwrap();
                }
                // Names of series are for a repair.
                let mended = repair(dir.path(), "older.sqlite", T0, &mut |_, _| {}).unwrap();
                assert!(mended.lost.is_empty() && mended.as_they_read.is_empty(), "{what}: {mended:?}");
                assert!(mended.after.is_clean() && !mended.doubts_memory(), "{what}: {mended:?}");
                let reader = Reader::open(dir.path()).unwrap();
                assert_eq!(reader.memory().unwrap(), rows.clone().into_iter().collect(), "{what}");
                assert_eq!(reader.devices().unwrap(), devices, "{what}");
                let n = |metric| samples(&reader, "n01", metric).len();
                assert_eq!((n("soil"), n("soim")), (1, 1), "{what}");
            }
        }
    }
}

#[test]
fn text_that_was_none_before_there_were_checksums_waits_for_a_person() {
    for (table, column) in [("series", "metric"), ("device", "label"), ("valve_event", "closed_by")] {
        let dir = filled();
        let conn = tool(dir.path());
        conn.execute_batch(NO_SUMS).unwrap();
        let spoil = format!(
            "UPDATE {table} SET {column} = CAST(x'62ff74' AS TEXT) WHERE id = (SELECT min(id) FROM {table}); PRAGMA user_version = 6"
        );
        conn.execute_batch(&format!("{spoil}; PRAGMA wal_checkpoint(TRUNCATE)")).unwrap();
        conn.close().unwrap();
        drop(Store::open_mending(dir.path(), &StoreOptions::default(), "first.sqlite", T0));
        let found = report(dir.path());
        let is_named = found.findings.iter().any(|finding| {
            matches!(finding.place, Place::Row(name) if name == table)
                && finding.what.ends_with("its text cannot be read")
        });
        assert!(is_named, "{table}: {found:?}");
        let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
        assert!(mended.after.is_clean() && mended.lost.is_empty(), "{table}: {mended:?}");
        drop(Store::open(dir.path()).unwrap());
    }
}

#[test]
fn a_bit_that_changes_in_the_file_is_found_and_set_right() {
    let written = [
        ("device", "Cảm biến vườn mận"),
        ("zone_memory", "{\"locked\":null}"),
        ("valve_event", "lease_ended"),
        ("farm_version", "cooperative = \"Na Sản\"\n"),
        ("series", "battery"),
    ];
    for ((table, written), mask) in written.iter().flat_map(|row| [4, 0x80].map(|mask| (row, mask))) {
        let dir = filled();
        let path = dir.path().join("giot.sqlite");
        let mut bytes = std::fs::read(&path).unwrap();
        let places: Vec<usize> =
            (0..bytes.len()).filter(|at| bytes[*at..].starts_with(written.as_bytes())).collect();
        // The names of a series are also in the index of its table.
        assert!(!places.is_empty(), "{table}");
        for at in &places {
            bytes[at + 2] ^= mask;
        }
        std::fs::write(&path, bytes).unwrap();
        let found = report(dir.path());
        assert!(
            found.findings.iter().any(|finding| finding.place == Place::Row(table)),
            "{table}: {found:?}"
        );
        let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
        assert!(
            mended.after.is_clean() && mended.n_set_right >= 1 && mended.lost.is_empty(),
            "{table}: {mended:?}"
        );
        assert_full_batch(&Store::open(dir.path()).unwrap().reader());
    }
}

#[test]
fn a_row_in_which_more_has_changed_waits_for_a_person() {
    let dir = filled();
    tool(dir.path()).execute_batch("UPDATE device SET label = 'another', created_us = 7").unwrap();
    // A backup is not made of it.
    let copy = dir.path().join("copy.sqlite");
    assert!(matches!(back_up(dir.path(), &copy, &mut |_, _, _| {}), Err(BackupError::Damaged { .. })));
    let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
    assert!(mended.after.is_clean() && mended.n_set_right == 0, "{mended:?}");
    let named: Vec<String> = mended.as_they_read.iter().map(ToString::to_string).collect();
    assert_eq!(named, ["device: \"n01\": its checksum does not hold"]);
    assert_eq!(Reader::open(dir.path()).unwrap().devices().unwrap()[0].label, "another");
    back_up(dir.path(), &copy, &mut |_, _, _| {}).unwrap();
    let other = tempfile::tempdir().unwrap();
    restore(&copy, other.path(), None, &mut |_, _, _| {}).unwrap();
    assert!(report(other.path()).is_clean());
}

#[test]
fn what_was_wrong_with_a_version_stays_known_when_it_comes_into_force() {
    let dir = filled();
    let in_force = Batch { farm_in_force: Some((1, T0)), ..Batch::default() };
    let store = Store::open(dir.path()).unwrap();
    tool(dir.path()).execute_batch("UPDATE farm_version SET text = 'cooperative = 1'").unwrap();
    store.writer().commit_blocking(in_force.clone()).unwrap();
    assert_eq!(store.reader().farm_in_force().unwrap().unwrap().version, 1);
    assert_eq!(store.reader().flawed_rows().unwrap().len(), 1);
    let whole = filled();
    let store = Store::open(whole.path()).unwrap();
    store.writer().commit_blocking(in_force).unwrap();
    assert!(report(whole.path()).is_clean());
}

#[test]
fn rows_written_again_have_their_new_checksum() {
    let dir = filled();
    let store = Store::open(dir.path()).unwrap();
    let mut batch = Batch { diary: Vec::new(), farm: None, ..full_batch() };
    batch.memory[0].1 = "{\"locked\":true}".to_owned();
    batch.devices[0].key = None;
    store.writer().commit_blocking(batch).unwrap();
    let device = DeviceRow { id: "n09".into(), ..full_batch().devices[0].clone() };
    let memory = ("node n09".to_owned(), "{}".to_owned());
    assert!(register_device(dir.path(), &device, Some(&memory)).unwrap());
    store.fold().unwrap();
    let report = report(dir.path());
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(store.reader().devices().unwrap().len(), 2);
}

#[test]
fn rows_of_an_older_store_get_their_checksums() {
    let dir = filled();
    let conn = tool(dir.path());
    conn.execute_batch(NO_SUMS).unwrap();
    conn.pragma_update(None, "user_version", 6).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    conn.close().unwrap();
    let other = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(dir.path()), Err(OpenError::OlderSchema { found: 6, .. })));
    assert_full_batch(&Store::open(dir.path()).unwrap().reader());
    assert!(report(dir.path()).is_clean());
    // The copy that was kept is the store as it was, and comes back with checksums too.
    restore(&dir.path().join("giot-schema-6.sqlite"), other.path(), None, &mut |_, _, _| {}).unwrap();
    for dir in [dir.path(), other.path()] {
        tool(dir).execute_batch("UPDATE valve_event SET run_ms = run_ms + 1").unwrap();
        let found = report(dir);
        assert!(found.n_findings == 1 && found.findings[0].place == Place::Row("valve_event"), "{found:?}");
    }
}

#[test]
fn an_older_store_with_bad_rows_or_pages_is_migrated_all_the_same() {
    let dir = filled();
    let store = Store::open(dir.path()).unwrap();
    let valve_events = (0..2_000).map(|seq| ValveEventRow { seq: seq + 100, ..valve_event() }).collect();
    store.writer().commit_blocking(Batch { valve_events, ..Batch::default() }).unwrap();
    store.close().unwrap();
    let conn = tool(dir.path());
    conn.execute_batch(NO_SUMS).unwrap();
    conn.execute_batch(
        "UPDATE zone_memory SET json = '{'; PRAGMA user_version = 6; PRAGMA wal_checkpoint(TRUNCATE)",
    )
    .unwrap();
    let sql = "SELECT pageno FROM dbstat WHERE name = 'valve_event' AND pagetype = 'leaf' LIMIT 1 OFFSET 5";
    let page: i64 = conn.query_row(sql, [], |row| row.get(0)).unwrap();
    drop(conn);
    let path = dir.path().join("giot.sqlite");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[(usize::try_from(page).unwrap() - 1) * 4_096..][..4_096].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.reader().devices().unwrap(), full_batch().devices);
    store.close().unwrap();
    let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
    assert!(mended.after.is_clean() && mended.as_they_read.is_empty(), "{mended:?}");
    let n_lost = mended.lost.iter().filter(|lost| lost.table == "valve_event").count();
    assert_eq!((n_lost, mended.lost.len()), (1, 2), "valve events and what is no JSON: {mended:?}");
    let conn = tool(dir.path());
    let n_without: u32 =
        conn.query_row("SELECT count(*) FROM valve_event WHERE crc32 = 0", [], |row| row.get(0)).unwrap();
    let n_kept: u32 = conn.query_row("SELECT count(*) FROM valve_event", [], |row| row.get(0)).unwrap();
    assert!(n_without == 0 && (1_800..2_000).contains(&n_kept), "{n_without} {n_kept}");
}

#[test]
fn rows_of_an_older_store_are_kept_when_the_page_that_leads_to_them_is_bad() {
    for table in ["series", "valve_event"] {
        let dir = filled();
        let store = Store::open(dir.path()).unwrap();
        let valve_events = (0..300).map(|seq| ValveEventRow { seq: seq + 100, ..valve_event() }).collect();
        store.writer().commit_blocking(Batch { valve_events, ..Batch::default() }).unwrap();
        for n in 0..300 {
            let batch = readings("n07", &format!("metric {n}"), [(T0, Some(1.0))]);
            store.writer().commit_blocking(batch).unwrap();
        }
        store.close().unwrap();
        let conn = tool(dir.path());
        let rows = |conn: &Connection| -> Vec<(i64, String)> {
            let column = if table == "series" { "metric" } else { "seq" };
            let sql = format!("SELECT id, CAST({column} AS TEXT) FROM {table} ORDER BY id");
            let mut rows = conn.prepare(&sql).unwrap();
            let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let before = rows(&conn);
        assert!(before.len() > 300, "{table}");
        // Rows of the schema before have no trailing column at all.
        conn.execute_batch(NO_SUMS).unwrap();
        conn.execute_batch("PRAGMA user_version = 6; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let sql = "SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'internal'";
        let root: i64 = conn.query_row(sql, [table], |row| row.get(0)).unwrap();
        drop(conn);
        let path = dir.path().join("giot.sqlite");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[(usize::try_from(root).unwrap() - 1) * 4_096..][..4_096].fill(0x5a);
        std::fs::write(&path, bytes).unwrap();
        // The first start migrates it, and needs a person for the names.
        assert_eq!(Store::open(dir.path()).is_ok(), table == "valve_event");
        let mended = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
        assert!(mended.after.is_clean() && mended.n_found > 300, "{table}: {mended:?}");
        let conn = tool(dir.path());
        assert_eq!(rows(&conn), before, "{table}");
        let sql = format!("SELECT count(*) FROM {table} WHERE crc32 = 0");
        assert_eq!(conn.query_row(&sql, [], |row| row.get::<_, u32>(0)).unwrap(), 0, "{table}");
        assert_eq!(Store::open(dir.path()).unwrap().reader().memory().unwrap().len(), 1);
    }
}
