//! Rows of small tables that no longer are what was written: found, named, set right where one bit has changed.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::super::row_sums::{TABLES, Table};
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

/// The value of a column in the last row of a table with one bit changed; `None` where there is nothing to change.
fn flipped(conn: &Connection, table: &Table, column: &str) -> Option<Value> {
    let Table { name, key, .. } = table;
    let sql = format!("SELECT {column} FROM {name} ORDER BY {key} DESC LIMIT 1");
    let before: Value = conn.query_row(&sql, [], |row| row.get(0)).unwrap();
    let flip = |mut bytes: Vec<u8>| {
        *bytes.last_mut().unwrap() ^= 8;
        bytes
    };
    Some(match before {
        Value::Null => return None,
        Value::Integer(number) => Value::Integer(number ^ 8),
        Value::Real(number) => Value::Real(f64::from_bits(number.to_bits() ^ 8)),
        Value::Text(text) => Value::Text(String::from_utf8(flip(text.into_bytes())).unwrap()),
        Value::Blob(blob) => Value::Blob(flip(blob)),
    })
}

#[test]
fn a_changed_bit_in_any_column_is_found_named_and_set_right() {
    let mut n_flips = 0;
    for table in &TABLES {
        let name = table.name;
        let columns: Vec<String> = {
            let whole = filled();
            let conn = tool(whole.path());
            let mut columns = conn.prepare(&format!("SELECT name FROM pragma_table_info('{name}')")).unwrap();
            columns.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        // What a series' latest reading was is no name; a valve event's number is none of its node's.
        let is_summed = |column: &&String| {
            !column.starts_with("last_") && (name, column.as_str()) != ("valve_event", "id")
        };
        for column in columns.iter().filter(is_summed) {
            let dir = filled();
            let conn = tool(dir.path());
            let Some(after) = flipped(&conn, table, column) else { continue };
            let last = |of: &str| format!("SELECT {of} FROM {name} ORDER BY {} DESC LIMIT 1", table.key);
            let set = format!("UPDATE {name} SET {column} = ?1 WHERE {} = ({})", table.key, last(table.key));
            assert_eq!(conn.execute(&set, [&after]).unwrap(), 1);
            let by_key = || conn.query_row(&last(table.key), [], |row| row.get(0)).unwrap();
            let key: Value = if column == table.key { after } else { by_key() };
            drop(conn);
            n_flips += 1;
            let found = report(dir.path());
            let is_named = |finding: &&Finding| match &key {
                Value::Integer(id) => finding.row == Some(*id),
                Value::Text(key) => finding.what.starts_with(&format!("{key:?}: ")),
                Value::Null | Value::Real(_) | Value::Blob(_) => false,
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
    assert!(n_flips > 25, "{n_flips}");
}

#[test]
fn a_bit_that_changes_in_the_file_is_found_and_set_right() {
    for (table, written) in [
        ("device", "Cảm biến vườn mận"),
        ("zone_memory", "{\"locked\":null}"),
        ("valve_event", "lease_ended"),
        ("farm_version", "cooperative = \"Na Sản\"\n"),
        ("series", "battery"),
    ] {
        let dir = filled();
        let path = dir.path().join("giot.sqlite");
        let mut bytes = std::fs::read(&path).unwrap();
        let places: Vec<usize> =
            (0..bytes.len()).filter(|at| bytes[*at..].starts_with(written.as_bytes())).collect();
        // The names of a series are also in the index of its table.
        assert!(!places.is_empty(), "{table}");
        for at in &places {
            bytes[at + 2] ^= 4;
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
    // A gateway runs with it, and a backup is not made of it.
    let store = Store::open_mending(dir.path(), &StoreOptions::default(), "old.sqlite", T0).unwrap();
    assert_eq!(store.reader().flawed_rows().unwrap().len(), 1);
    store.close().unwrap();
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
