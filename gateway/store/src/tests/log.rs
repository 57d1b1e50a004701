//! A log that was damaged while nobody had it open: seen before anything in it is overwritten, kept, told, and mended where it can be.

use rusqlite::Connection;

use super::check::report;
use super::*;

/// Commits of a store that was killed.
const N: i64 = 60;
/// A frame of the log, bytes.
const FRAME: usize = 24 + 4_096;

fn log(dir: &Path) -> PathBuf {
    dir.join("giot.sqlite-wal")
}

fn batch(n: i64) -> Batch {
    Batch {
        diary: vec![entry("started", T0 + n)],
        ..readings("n01", "soil", [(T0 + n * MINUTE, Some(n as f64))])
    }
}

/// A store as a kill leaves it, with commits in its log; a young one has got nothing into its database yet.
fn killed(is_young: bool) -> tempfile::TempDir {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = Store::open(dir.path()).unwrap();
    let write = |store: &Store, range: std::ops::Range<i64>| {
        range.for_each(|n| store.writer().commit_blocking(batch(n)).unwrap());
    };
    if !is_young {
        write(&store, 0..N / 3);
        store.close().unwrap();
        store = Store::open(dir.path()).unwrap();
        write(&store, N / 3..N);
    } else {
        write(&store, 0..N);
    }
    copy_files(dir.path(), copy.path());
    copy
}

/// How many commits a store holds: a beginning of them, all of each.
fn n_kept(reader: &Reader) -> i64 {
    let DiaryProof::Whole { n_rows, .. } = reader.verify_diary().unwrap() else { panic!("a broken diary") };
    let kept = samples(reader, "n01", "soil");
    assert_eq!(kept.len() as u64, n_rows);
    assert!(kept.iter().zip(0..).all(|(sample, n)| sample.value == Some(f64::from(n))));
    n_rows.cast_signed()
}

fn n_frames(dir: &Path) -> usize {
    (std::fs::read(log(dir)).unwrap().len() - 32) / FRAME
}

fn change(dir: &Path, at: usize, with: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut bytes = std::fs::read(log(dir)).unwrap();
    with(&mut bytes[at..]);
    std::fs::write(log(dir), &bytes).unwrap();
    bytes
}

/// Frames that hold something.
fn used(dir: &Path) -> usize {
    let bytes = std::fs::read(log(dir)).unwrap();
    (0..n_frames(dir)).filter(|n| bytes[32 + n * FRAME..][..4] != [0; 4]).count()
}

/// The kept copy of the log, and how much was lost.
fn told(dir: &Path) -> (Vec<u8>, u64) {
    let note = Reader::open(dir).unwrap().mended().unwrap().unwrap();
    let file = note.file.unwrap();
    assert!(file.starts_with("giot-damaged-") && file.ends_with(".sqlite-wal"), "{file}");
    assert!(dir.join(file.trim_end_matches("-wal")).exists());
    assert_eq!(note.lost.len(), usize::from(note.n_lost > 0));
    (std::fs::read(dir.join(file)).unwrap(), note.n_lost)
}

fn is_found(dir: &Path) -> bool {
    report(dir).findings.iter().any(|finding| finding.place == Place::Log)
}

#[test]
fn one_changed_bit_in_the_log_loses_nothing_or_is_told() {
    for is_young in [true, false] {
        let whole = killed(is_young);
        assert!(!is_found(whole.path()));
        let n_used = used(whole.path());
        // Header of the log; then number, salts, checksum and page of frames.
        let head = [0, 5, 9, 13, 17, 22, 25, 31];
        let frames = [0, 1, n_used / 2, n_used - 1];
        let frames =
            frames.iter().flat_map(|n| [3, 9, 17, 23, 24, 124, FRAME - 1].map(|at| 32 + n * FRAME + at));
        for (at, bit) in head.into_iter().chain(frames).zip([0, 3, 7].into_iter().cycle()) {
            let dir = tempfile::tempdir().unwrap();
            copy_files(whole.path(), dir.path());
            let damaged = change(dir.path(), at, |bytes| bytes[0] ^= 1 << bit);
            assert!(is_found(dir.path()), "{at}");
            assert!(back_up(dir.path(), &dir.path().join("b.sqlite"), &mut |_, _, _| {}).is_err());
            // The highest bits of a word, as a checksum sees it, and the very end of the log.
            let is_clear = at < 32 || ![3, 23, FRAME - 1].contains(&((at - 32) % FRAME));
            let store = match Store::open(dir.path()) {
                Err(OpenError::LogDamaged { .. }) if !is_clear && is_young => continue,
                store => store.unwrap(),
            };
            let n = n_kept(&store.reader());
            let (kept, n_lost) = told(dir.path());
            assert!(kept == damaged && (n == N || !is_clear), "young {is_young}, byte {at}: {n}");
            assert_eq!(n_lost > 0, n < N, "young {is_young}, byte {at}: {n}");
            if n < N {
                continue;
            }
            assert!(report(dir.path()).is_clean());
            store.writer().commit_blocking(batch(N)).unwrap();
            drop(store);
            assert_eq!(n_kept(&Store::open(dir.path()).unwrap().reader()), N + 1);
        }
    }
}

#[test]
fn a_bad_place_in_the_log_is_kept_and_told() {
    for is_young in [true, false] {
        for share in [30, 50, 60] {
            let dir = killed(is_young);
            let at = 32 + used(dir.path()) * share / 100 * FRAME + 600;
            let damaged = change(dir.path(), at, |bytes| bytes[..2_048].fill(0x5a));
            assert!(is_found(dir.path()), "{share}");
            let repaired =
                (share == 50).then(|| repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap());
            if let Some(repaired) = repaired {
                assert!(!repaired.before.is_clean() && repaired.after.is_clean(), "{repaired:?}");
                assert!(repaired.kept_log.is_some() && repaired.replaced.is_none(), "{repaired:?}");
            }
            let store = Store::open(dir.path()).unwrap();
            let n = n_kept(&store.reader());
            assert!((1..N).contains(&n), "{n} left");
            let (kept, n_lost) = told(dir.path());
            assert!(
                kept == damaged && n_lost > 0 && n_lost <= (N - n).cast_unsigned(),
                "{n_lost} of {}",
                N - n
            );
            assert!(report(dir.path()).is_clean());
            store.writer().commit_blocking(batch(n)).unwrap();
            drop(store);
            let store = Store::open(dir.path()).unwrap();
            assert_eq!((n_kept(&store.reader()), told(dir.path()).1), (n + 1, n_lost));
        }
    }
}

#[test]
fn a_store_that_was_all_in_a_damaged_log_is_not_begun_anew_without_a_person() {
    for bad in [0..32 + 600, 0..24 + 2 * FRAME, 32 + FRAME..32 + 3 * FRAME] {
        let dir = killed(true);
        let damaged = change(dir.path(), bad.start, |bytes| bytes[..bad.len()].fill(0x5a));
        assert!(is_found(dir.path()));
        let error = Store::open(dir.path()).unwrap_err();
        assert!(matches!(error, OpenError::LogDamaged { .. }), "{error:?}");
        assert!(register_device(dir.path(), &full_batch().devices[0], None).is_err());
        assert!(std::fs::read(log(dir.path())).unwrap() == damaged);
        // A person may begin anew.
        let repaired = repair(dir.path(), "old.sqlite", T0, &mut |_, _| {}).unwrap();
        assert!(!repaired.before.is_clean() && repaired.after.is_clean());
        assert!(std::fs::read(dir.path().join(repaired.kept_log.unwrap())).unwrap() == damaged);
        assert_eq!(n_kept(&Store::open(dir.path()).unwrap().reader()), 0);
    }
}

#[test]
fn a_log_without_a_header_costs_only_what_was_in_it() {
    let dir = killed(false);
    let damaged = change(dir.path(), 0, |bytes| bytes[..600].fill(0));
    assert!(is_found(dir.path()));
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(n_kept(&store.reader()), N / 3);
    let (kept, n_lost) = told(dir.path());
    assert!(kept == damaged && n_lost >= (N - N / 3).cast_unsigned(), "{n_lost}");
    assert!(report(dir.path()).is_clean());
}

#[test]
fn a_header_is_made_anew_from_the_first_frame() {
    for (is_young, bad) in [(true, 0..32), (false, 0..12), (false, 16..32)] {
        let dir = killed(is_young);
        let damaged = change(dir.path(), bad.start, |bytes| bytes[..bad.len()].fill(0x5a));
        assert!(is_found(dir.path()));
        assert_eq!(n_kept(&Store::open(dir.path()).unwrap().reader()), N);
        assert!(told(dir.path()) == (damaged, 0));
    }
}

#[test]
fn a_log_whose_database_is_gone_is_not_read_into_another() {
    for is_empty in [true, false] {
        let (dir, other) = (killed(false), tempfile::tempdir().unwrap());
        Store::open(other.path()).unwrap().writer().commit_blocking(batch(0)).unwrap();
        let copy = other.path().join("copy.sqlite");
        back_up(other.path(), &copy, &mut |_, _, _| {}).unwrap();
        std::fs::remove_file(dir.path().join("giot.sqlite")).unwrap();
        if is_empty {
            std::fs::write(dir.path().join("giot.sqlite"), []).unwrap();
        }
        assert!(is_found(dir.path()));
        assert!(matches!(Store::open(dir.path()), Err(OpenError::LogDamaged { .. })));
        let proof = restore(&copy, dir.path(), Some("old.sqlite"), &mut |_, _, _| {}).unwrap();
        assert_eq!(proof.tables.iter().find(|table| table.name == "diary").unwrap().n_rows, 1);
        assert_eq!(n_kept(&Store::open(dir.path()).unwrap().reader()), 1);
        assert!(report(dir.path()).is_clean());
    }
}

#[test]
fn what_earlier_rounds_and_unfinished_commits_leave_is_no_damage() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(dir.path()).unwrap();
    (0..N).for_each(|n| store.writer().commit_blocking(batch(n)).unwrap());
    let tool = Connection::open(dir.path().join("giot.sqlite")).unwrap();
    tool.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
    (N..N + 3).for_each(|n| store.writer().commit_blocking(batch(n)).unwrap());
    // Frames of a commit that did not come to its end.
    tool.execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN IMMEDIATE").unwrap();
    for key in 0..50 {
        let sql = "INSERT INTO meta (key, value) VALUES (?1, hex(zeroblob(1500)))";
        tool.execute(sql, [format!("k{key}")]).unwrap();
    }
    copy_files(dir.path(), copy.path());
    tool.execute_batch("ROLLBACK").unwrap();
    assert!(!is_found(copy.path()) && !is_found(dir.path()));
    let killed = Store::open(copy.path()).unwrap();
    assert_eq!(n_kept(&killed.reader()), N + 3);
    assert_eq!(killed.reader().mended().unwrap(), None);
}

#[test]
fn any_bytes_are_a_log_that_is_looked_at_without_harm() {
    let whole = killed(true);
    for round in 0..60_usize {
        let dir = tempfile::tempdir().unwrap();
        copy_files(whole.path(), dir.path());
        let len = std::fs::read(log(dir.path())).unwrap().len();
        for n in 0..=round % 5 {
            let at = (round * 7_919 + n * 104_729) * 31 % (len - 700);
            change(dir.path(), at, |bytes| {
                bytes[..1 + round * 11 % 700].fill(u8::try_from((round * 37 + n) % 256).unwrap())
            });
        }
        match Store::open(dir.path()) {
            Ok(store) => assert!(n_kept(&store.reader()) <= N),
            Err(error) => assert!(matches!(error, OpenError::LogDamaged { .. }), "{error:?}"),
        }
    }
}
