//! Copies: one moment of a store under writers, proved, and back again.

use super::super::open;
use super::check::report;
use super::*;

fn quiet() -> impl FnMut(Stage, u64, u64) {
    |_, n_done, n_all| assert!(n_done <= n_all)
}

fn filled(dir: &Path) -> Store {
    let store = Store::open(dir).unwrap();
    store.writer().commit_blocking(full_batch()).unwrap();
    for n in 0..20 {
        let values = (0..600).map(|at| (T0 + (n * 600 + at) * MINUTE, Some((at as f64).sin())));
        store.writer().commit_blocking(readings("n05", "level", values)).unwrap();
    }
    store.fold().unwrap();
    store.writer().commit_blocking(readings("n05", "level", [(T0 - 1, Some(7.0))])).unwrap();
    store
}

#[test]
fn a_folder_is_no_backup_and_is_called_one() {
    let dir = tempfile::tempdir().unwrap();
    let error = restore(dir.path(), &dir.path().join("data"), None, &mut |_, _, _| {}).unwrap_err();
    let BackupError::Open(error) = error else { panic!("{error:?}") };
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.contains("is a folder"), "{why}");
}

#[test]
fn a_backup_under_writers_is_one_moment_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let to = dir.path().join("copy.sqlite");
    let mut n_written = 0;
    let mut stages = Vec::new();
    // A commit between any two steps of it.
    let proof = back_up(dir.path(), &to, &mut |stage, n_done, n_all| {
        assert!(n_done <= n_all);
        stages.push(stage);
        store.writer().commit_blocking(readings("n03", "soil", [(T0 + n_written, Some(1.0))])).unwrap();
        n_written += 1;
    })
    .unwrap();
    assert!(n_written > 10);
    stages.dedup();
    assert_eq!(stages, [Stage::Copy, Stage::Compare, Stage::Check]);
    assert!(proof.report.is_clean());
    assert_eq!(proof.n_bytes, std::fs::metadata(&to).unwrap().len());
    assert!(!dir.path().join("copy.sqlite-wal").exists() && !dir.path().join("copy.sqlite.part").exists());
    assert!(matches!(back_up(dir.path(), &to, &mut quiet()), Err(BackupError::Exists { .. })));

    let other = tempfile::tempdir().unwrap();
    let back = restore(&to, other.path(), None, &mut quiet()).unwrap();
    assert_eq!(back.tables, proof.tables);
    let reader = Reader::open(other.path()).unwrap();
    assert_full_batch(&reader);
    assert_eq!(samples(&reader, "n05", "level"), samples(&store.reader(), "n05", "level"));
    assert_eq!(samples(&reader, "n03", "soil"), [], "nothing of what came later");
    let store = Store::open(other.path()).unwrap();
    store.writer().commit_blocking(readings("n03", "soil", [(T0, Some(2.0))])).unwrap();
    store.close().unwrap();
    assert!(report(other.path()).is_clean());
}

#[test]
fn a_restore_replaces_only_when_told_and_keeps_what_it_replaces() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let to = dir.path().join("copy.sqlite");
    back_up(dir.path(), &to, &mut quiet()).unwrap();
    store.writer().commit_blocking(readings("n09", "new", [(T0, Some(1.0))])).unwrap();
    let in_use = restore(&to, dir.path(), Some("old.sqlite"), &mut quiet());
    assert!(matches!(in_use, Err(BackupError::Open(OpenError::InUse { .. }))));
    // As after a kill: with a log that holds the last commits.
    let killed = tempfile::tempdir().unwrap();
    copy_files(dir.path(), killed.path());
    drop(store);
    let dir = killed.path();
    assert!(dir.join("giot.sqlite-wal").exists());
    assert!(matches!(restore(&to, dir, None, &mut quiet()), Err(BackupError::Exists { .. })));
    assert_eq!(samples(&Reader::open(dir).unwrap(), "n09", "new").len(), 1);
    let proof = restore(&to, dir, Some("old.sqlite"), &mut quiet()).unwrap();
    assert_eq!(proof.replaced, Some(dir.join("old.sqlite")));
    assert_eq!(samples(&Reader::open(dir).unwrap(), "n09", "new"), []);
    assert!(report(dir).is_clean());
    // The old one whole, its last commit too.
    let elsewhere = tempfile::tempdir().unwrap();
    restore(&dir.join("old.sqlite"), elsewhere.path(), None, &mut quiet()).unwrap();
    assert_eq!(samples(&Reader::open(elsewhere.path()).unwrap(), "n09", "new").len(), 1);
}

#[test]
fn damaged_newer_and_foreign_copies_are_refused_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path()));
    let to = dir.path().join("copy.sqlite");
    back_up(dir.path(), &to, &mut quiet()).unwrap();
    let change = |sql: &str| {
        let changed = dir.path().join("changed.sqlite");
        std::fs::copy(&to, &changed).unwrap();
        rusqlite::Connection::open(&changed).unwrap().execute_batch(sql).unwrap();
        let other = tempfile::tempdir().unwrap();
        let error = restore(&changed, other.path(), None, &mut quiet()).unwrap_err();
        assert!(
            !other.path().join("giot.sqlite").exists() && !other.path().join("giot.sqlite.part").exists()
        );
        error
    };
    let flip =
        "UPDATE chunk SET blob = CAST(substr(blob, 1, 30) || x'ff' || substr(blob, 32) AS BLOB) WHERE id = 1";
    assert!(matches!(change(flip), BackupError::Damaged { .. }));
    let error = change("PRAGMA user_version = 99");
    assert!(matches!(error, BackupError::Open(OpenError::NewerSchema { found: 99, .. })), "{error}");
    let error = change("PRAGMA application_id = 7");
    assert!(matches!(error, BackupError::Open(OpenError::Foreign { .. })), "{error}");
    let nothing = dir.path().join("nothing.sqlite");
    let error = restore(&nothing, dir.path(), Some("old.sqlite"), &mut quiet()).unwrap_err();
    assert!(matches!(error, BackupError::Open(OpenError::Io { .. })), "{error}");
    std::fs::write(&nothing, b"not a database, but long enough to be looked at".repeat(100)).unwrap();
    let error = restore(&nothing, dir.path(), Some("old.sqlite"), &mut quiet()).unwrap_err();
    assert!(matches!(error, BackupError::Open(OpenError::Foreign { .. })), "{error}");
    assert_full_batch(&Reader::open(dir.path()).unwrap());
    // A damaged store is not backed up either.
    rusqlite::Connection::open(dir.path().join("giot.sqlite")).unwrap().execute_batch(flip).unwrap();
    let later = dir.path().join("later.sqlite");
    assert!(matches!(back_up(dir.path(), &later, &mut quiet()), Err(BackupError::Damaged { .. })));
    assert!(!later.exists() && !dir.path().join("later.sqlite.part").exists());
}

#[test]
fn a_migration_that_cannot_keep_its_copy_does_not_happen() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("giot.sqlite");
    let conn = rusqlite::Connection::open(&file).unwrap();
    conn.execute_batch(open::MIGRATIONS[0]).unwrap();
    conn.pragma_update(None, "application_id", 0x4769_6f74).unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
    conn.close().unwrap();
    // Where the copy is to be written there is a folder with something in it.
    let taken = dir.path().join("giot-schema-1.sqlite.part");
    std::fs::create_dir_all(taken.join("x")).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(OpenError::NoCopy { .. })));
    let version = |path: &Path| -> u32 {
        let conn = rusqlite::Connection::open(path).unwrap();
        conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    assert_eq!(version(&file), 1);
    std::fs::remove_dir_all(taken).unwrap();
    Store::open(dir.path()).unwrap().close().unwrap();
    assert_eq!(
        (version(&file), version(&dir.path().join("giot-schema-1.sqlite"))),
        (open::schema_version(), 1)
    );
}
