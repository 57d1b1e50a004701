//! A disk without room: told, nothing acknowledged lost, and mended by itself when there is room again.
//!
//! The child has a small disk of its own (a tmpfs in its own mount namespace, which goes with it).

use std::fs::File;

use super::*;

/// Size of the disk, KiB.
const DISK_KIB: u64 = 24_576;

/// Runs a test as a child on a small disk.
fn on_a_small_disk(test: &str) {
    let dir = tempfile::tempdir().unwrap();
    let child = child(test, dir.path());
    let is_root = output(Command::new("id").arg("-u")).stdout == b"0\n";
    let mut command = Command::new("unshare");
    command.args(if is_root { &["-m"][..] } else { &["-r", "-m"] });
    command.args(["sh", "-c", "mount -t tmpfs -o size=\"$1\"k tmpfs \"$2\" && shift 2 && exec \"$@\"", "sh"]);
    command.arg(DISK_KIB.to_string()).arg(dir.path()).arg(child.get_program()).args(child.get_args());
    command.envs(child.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let out = output(&mut command);
    assert!(
        out.status.success(),
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
}

/// A file that takes room.
struct Ballast(PathBuf);

impl Ballast {
    /// Takes all room but so many KiB.
    fn all_but(dir: &Path, kib: u64) -> Self {
        let path = dir.join("ballast");
        let mut file = File::create(&path).unwrap();
        while file.write(&[0; 1_024]).is_ok_and(|n| n == 1_024) {}
        let taken = file.metadata().unwrap().len();
        file.set_len(taken.saturating_sub(kib << 10)).unwrap();
        Self(path)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn impatient() -> StoreOptions {
    StoreOptions { retry_waits: vec![Duration::from_millis(1); 2], ..StoreOptions::default() }
}

/// Commits until the disk is full; how many batches there are then.
fn commit_until_full(store: &Store, from: i64) -> i64 {
    for n in from.. {
        match store.writer().commit_blocking(batch(n)) {
            Ok(()) => {}
            Err(CommitError::Unavailable(_)) => return n,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("a disk has an end")
}

#[test]
fn commits_folding_upkeep_and_compaction_on_a_full_disk() {
    let Some(dir) = child_dir() else {
        return on_a_small_disk("full::commits_folding_upkeep_and_compaction_on_a_full_disk");
    };
    let store = Store::open_with(&dir, &impatient()).unwrap();
    (0..100).for_each(|n| store.writer().commit_blocking(batch(n)).unwrap());
    let ballast = Ballast::all_but(&dir, 64);
    let n = commit_until_full(&store, 100);
    assert!(store.n_retries() > 0);
    assert_eq!(assert_whole(&store.reader(), n), n, "nothing of a refused batch");
    // Everything else is told or does without; reading goes on.
    for _ in 0..2 {
        assert!(matches!(store.fold(), Ok(()) | Err(CommitError::Unavailable(_))));
        assert!(matches!(store.compact(), Ok(()) | Err(CommitError::Unavailable(_))));
        let retention = Retention { raw_days: Some(1), ..Retention::default() };
        tend(&store, FROM + n * N_EACH * MINUTE, Some(&retention));
        assert_eq!(assert_whole(&store.reader(), n), n);
        assert_eq!(assert_whole(&Reader::open(&dir).unwrap(), n), n);
    }
    // Room again: nobody has to do anything.
    drop(ballast);
    (n..n + 20).for_each(|n| store.writer().commit_blocking(batch(n)).unwrap());
    let n = n + 20;
    // Full again, and killed: the files as they are.
    let ballast = Ballast::all_but(&dir, 32);
    let n = commit_until_full(&store, n);
    let copy = tempfile::tempdir().unwrap();
    copy_files(&dir, copy.path());
    assert_eq!(assert_recovers(copy.path(), n), n);
    // A start without room: what can be is read, and what cannot is told.
    drop(store);
    if let Ok(store) = Store::open_with(&dir, &impatient()) {
        assert_eq!(assert_whole(&store.reader(), n), n);
    }
    drop(ballast);
    let store = Store::open(&dir).unwrap();
    store.compact().unwrap();
    store.writer().commit_blocking(batch(n)).unwrap();
    assert_eq!(assert_whole(&store.reader(), n + 1), n + 1);
    assert!(report(&dir).is_clean());
}

#[test]
fn backup_and_migration_on_a_full_disk() {
    let Some(dir) = child_dir() else { return on_a_small_disk("full::backup_and_migration_on_a_full_disk") };
    let store = Store::open_with(&dir, &impatient()).unwrap();
    (0..100).for_each(|n| store.writer().commit_blocking(batch(n)).unwrap());
    store.compact().unwrap();
    let ballast = Ballast::all_but(&dir, 128);
    let copy = dir.join("copy.sqlite");
    let error = back_up(&dir, &copy, &mut |_, _, _| {}).unwrap_err();
    assert!(matches!(error, BackupError::Sqlite { .. } | BackupError::Io { .. }), "{error}");
    assert!(!copy.exists() && !dir.join("copy.sqlite.part").exists());
    // The store has its room back and goes on.
    store.writer().commit_blocking(batch(100)).unwrap();
    assert_eq!(assert_whole(&store.reader(), 101), 101);
    drop(ballast);
    back_up(&dir, &copy, &mut |_, _, _| {}).unwrap();
    std::fs::remove_file(&copy).unwrap();
    store.close().unwrap();

    let conn = rusqlite::Connection::open(dir.join("giot.sqlite")).unwrap();
    conn.execute_batch(NO_SUMS).unwrap();
    conn.execute_batch("DROP TABLE summary; DROP TABLE farm_version; PRAGMA user_version = 3; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    conn.close().unwrap();
    let ballast = Ballast::all_but(&dir, 128);
    assert!(matches!(Store::open(&dir), Err(OpenError::NoCopy { .. })));
    assert!(!dir.join("giot-schema-3.sqlite").exists() && !dir.join("giot-schema-3.sqlite.part").exists());
    drop(ballast);
    let store = Store::open(&dir).unwrap();
    assert_eq!(assert_whole(&store.reader(), 101), 101);
    assert!(dir.join("giot-schema-3.sqlite").exists() && report(&dir).is_clean());
}
