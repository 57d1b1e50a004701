//! Versions of the farm: each is kept as it was written, and is in force once.

use super::*;
use crate::{FarmRow, farm_secret};

pub(super) fn row(version: u32, text: &str) -> FarmRow {
    FarmRow {
        version,
        saved_us: T0,
        by: "Hoa".to_owned(),
        origin: "file".to_owned(),
        file: Some("/etc/giot/farm.toml".to_owned()),
        note: "zone 4".to_owned(),
        text: text.to_owned(),
        in_force_us: None,
    }
}

fn save(store: &Store, row: FarmRow) -> Result<(), CommitError> {
    store.writer().commit_blocking(Batch { farm: Some(row), ..Batch::default() })
}

fn take_force(store: &Store, version: u32, since_us: i64) {
    let batch = Batch { farm_in_force: Some((version, since_us)), ..Batch::default() };
    store.writer().commit_blocking(batch).unwrap();
}

#[test]
fn versions_are_kept_and_the_newest_in_force_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.reader().farm_newest().unwrap(), None);
    for (version, text) in [(1, "a = 1"), (2, "a = 2"), (3, "a = 3")] {
        save(&store, row(version, text)).unwrap();
    }
    save(&store, FarmRow { file: None, origin: "page".to_owned(), ..row(4, "a = 4") }).unwrap();
    take_force(&store, 1, T0 + 1);
    take_force(&store, 3, T0 + 2);
    take_force(&store, 3, T0 + 3);
    drop(store);
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.farm_newest().unwrap().map(|row| row.version), Some(4));
    let in_force = reader.farm_in_force().unwrap().unwrap();
    assert_eq!((in_force.version, in_force.in_force_us), (3, Some(T0 + 2)), "once in force is since then");
    let of_file = reader.farm_of_file("/etc/giot/farm.toml").unwrap().unwrap();
    assert_eq!((of_file.version, of_file.text.as_str()), (3, "a = 3"));
    assert_eq!(reader.farm_version(2).unwrap(), Some(row(2, "a = 2")));
    assert_eq!(reader.farm_version(5).unwrap(), None);
    let numbers = |before, limit| {
        let rows = reader.farm_versions(before, limit).unwrap();
        rows.into_iter().map(|row| row.version).collect::<Vec<_>>()
    };
    assert_eq!(numbers(None, 10), [4, 3, 2, 1]);
    assert_eq!(numbers(Some(3), 1), [2]);
}

#[test]
fn a_version_cannot_be_changed_or_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    save(&store, row(1, "a = 1")).unwrap();
    take_force(&store, 1, T0);
    drop(store);
    let conn = rusqlite::Connection::open(dir.path().join("giot.sqlite")).unwrap();
    for change in [
        "DELETE FROM farm_version",
        "UPDATE farm_version SET text = 'a = 2'",
        "UPDATE farm_version SET by = 'Lan'",
        "UPDATE farm_version SET in_force_us = 5",
    ] {
        let error = conn.execute(change, []).expect_err(change).to_string();
        assert!(error.contains("are kept"), "{change}: {error}");
    }
}

#[test]
fn the_last_secret_of_a_name_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for meta in [vec![farm_secret("a", "1"), farm_secret("tỉnh", "2")], vec![farm_secret("a", "3")]] {
        let batch = Batch { meta, ..Batch::default() };
        store.writer().commit_blocking(batch).unwrap();
    }
    let known: Vec<_> = store.reader().farm_secrets().unwrap().into_iter().collect();
    assert_eq!(known, [("a".to_owned(), "3".to_owned()), ("tỉnh".to_owned(), "2".to_owned())]);
}
