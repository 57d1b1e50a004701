//! Power cut at every sync: what was not synced may be gone, in part or as a whole, in any order.
//!
//! The child runs with a library before the C library that writes down what it does to its folder (`powercut.c`). From that log the
//! folder is built as it may look after a power cut just before each sync: files hold what was synced, names what their folder's sync
//! covered; of the rest nothing, or a random part (single sectors of 512 bytes, a beginning of the changes of names).

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use super::*;

const SHIM: &str = include_str!("powercut.c");
const SECTOR: usize = 512;

/// A record of the log.
struct Record {
    kind: u8,
    inode: u64,
    at: u64,
    bytes: Vec<u8>,
}

fn read_log(path: &Path) -> Vec<Record> {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = &bytes[..];
    let mut records = Vec::new();
    while let Some((head, after)) = rest.split_at_checked(25) {
        let number = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().unwrap());
        let (content, after) = after.split_at(usize::try_from(number(17)).unwrap());
        records.push(Record { kind: head[0], inode: number(1), at: number(9), bytes: content.to_vec() });
        rest = after;
    }
    assert!(rest.is_empty(), "the log is cut short");
    records
}

/// A change of one file's content.
#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => {
                content.resize(content.len().max(at + bytes.len()), 0);
                content[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Self::Cut(n) => content.resize(*n, 0),
        }
    }
}

#[derive(Clone, Default)]
struct File {
    synced: Vec<u8>,
    since: Vec<Change>,
}

#[derive(Clone)]
enum Naming {
    Set(String, usize),
    Rename(String, String),
    Remove(String),
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Set(name, file) => drop(names.insert(name.clone(), *file)),
            Self::Rename(from, to) => {
                let file = names.remove(from).unwrap();
                names.insert(to.clone(), file);
            }
            Self::Remove(name) => drop(names.remove(name)),
        }
    }
}

/// The disk as the log tells it.
#[derive(Default)]
struct Disk {
    files: Vec<File>,
    by_inode: BTreeMap<u64, usize>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    since: Vec<Naming>,
    n_acknowledged: i64,
}

impl Disk {
    /// A folder that was synced as it is.
    fn of(dir: &Path) -> Self {
        let mut disk = Self::default();
        for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let inode = entry.metadata().unwrap().ino();
            let synced = std::fs::read(entry.path()).unwrap();
            disk.by_inode.insert(inode, disk.files.len());
            disk.names.insert(entry.file_name().into_string().unwrap(), disk.files.len());
            disk.files.push(File { synced, since: Vec::new() });
        }
        disk.synced_names = disk.names.clone();
        disk
    }

    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.since.push(naming);
    }

    fn take(&mut self, record: &Record) {
        let text = || String::from_utf8(record.bytes.clone()).unwrap();
        let two = || text().split_once('\0').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let at = usize::try_from(record.at).unwrap();
        let file = self.by_inode.get(&record.inode).copied();
        match record.kind {
            b'C' => {
                let file = self.files.len();
                self.files.push(File::default());
                self.by_inode.insert(record.inode, file);
                self.name(Naming::Set(text(), file));
            }
            b'W' => self.files[file.unwrap()].since.push(Change::Write(at, record.bytes.clone())),
            b'T' => self.files[file.unwrap()].since.push(Change::Cut(at)),
            b'S' => {
                let file = &mut self.files[file.unwrap()];
                file.since.drain(..).for_each(|change| change.apply(&mut file.synced));
            }
            b'D' => {
                self.synced_names = self.names.clone();
                self.since.clear();
            }
            b'R' => {
                let (from, to) = two();
                self.name(Naming::Rename(from, to));
            }
            b'L' => {
                let (from, to) = two();
                let file = self.names[&from];
                self.name(Naming::Set(to, file));
            }
            b'U' => self.name(Naming::Remove(text())),
            b'A' => {
                let lines = text();
                self.n_acknowledged = lines.lines().last().unwrap().parse().unwrap();
            }
            kind => panic!("an unknown record {kind}"),
        }
    }

    /// Writes the folder as a power cut at this moment may leave it: with nothing that was not synced, or a part by chance.
    fn cut_power(&self, dir: &Path, mut dice: Option<&mut Dice>) {
        let mut names = self.synced_names.clone();
        if let Some(dice) = &mut dice {
            let n = dice.below(u64::try_from(self.since.len()).unwrap() + 1);
            self.since.iter().take(usize::try_from(n).unwrap()).for_each(|naming| naming.apply(&mut names));
        }
        for (name, file) in names {
            let file = &self.files[file];
            let mut content = file.synced.clone();
            if let Some(dice) = &mut dice {
                for change in &file.since {
                    apply_part(change, &mut content, dice);
                }
            }
            std::fs::write(dir.join(name), content).unwrap();
        }
    }
}

/// All of a change, nothing, or some of its sectors.
fn apply_part(change: &Change, content: &mut Vec<u8>, dice: &mut Dice) {
    match (dice.below(3), change) {
        (0, _) => {}
        (1, Change::Write(at, bytes)) => {
            for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                if dice.below(2) == 0 {
                    Change::Write(at + n * SECTOR, sector.to_vec()).apply(content);
                }
            }
        }
        _ => change.apply(content),
    }
}

/// Runs a test as a child that is written down, and hands every folder that a power cut may leave to `judge`, with what was
/// acknowledged until then.
fn for_every_cut(test: &str, dir: &Path, judge: impl Fn(&Path, i64)) {
    let tools = tempfile::tempdir().unwrap();
    let (source, library, log) =
        (tools.path().join("powercut.c"), tools.path().join("powercut.so"), tools.path().join("log"));
    std::fs::write(&source, SHIM).unwrap();
    let compiled =
        output(Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]));
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let dir = &dir.canonicalize().unwrap();
    let mut disk = Disk::of(dir);
    let mut child = child(test, dir);
    let out = output(child.env("LD_PRELOAD", &library).env("POWERCUT_DIR", dir).env("POWERCUT_LOG", &log));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let records = read_log(&log);
    let mut dice = Dice::new();
    let n_random = if is_long() { 20 } else { 1 };
    let mut n_cuts = 0;
    for (n, record) in records.iter().enumerate() {
        if matches!(record.kind, b'S' | b'D') || n + 1 == records.len() {
            for variant in 0..=n_random {
                let after = tempfile::tempdir().unwrap();
                disk.cut_power(after.path(), (variant > 0).then_some(&mut dice));
                let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    judging(|| judge(after.path(), disk.n_acknowledged));
                }));
                assert!(judged.is_ok(), "cut before record {n} of {}, variant {variant}", records.len());
                n_cuts += 1;
            }
        }
        disk.take(record);
    }
    println!("{n_cuts} power cuts at {} records", records.len());
    assert!(n_cuts >= 8, "{n_cuts} cuts only");
}

/// Tells the log what was acknowledged.
fn acknowledge(dir: &Path, n: i64) {
    let mut acks = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("acks")).unwrap();
    acks.write_all(format!("{n}\n").as_bytes()).unwrap();
}

/// A folder may be without a store as long as nothing was acknowledged.
fn judge_store(dir: &Path, n_acknowledged: i64) {
    assert_recovers(dir, n_acknowledged);
    // And once more, after the recovery was itself brought to the disk.
    assert_recovers(dir, n_acknowledged);
}

#[test]
fn power_cut_at_every_sync_of_commits_folding_compaction_and_retention() {
    if let Some(dir) = child_dir() {
        let store = Store::open(&dir).unwrap();
        let write = |range: std::ops::Range<i64>| {
            for n in range {
                store.writer().commit_blocking(batch(n)).unwrap();
                acknowledge(&dir, n + 1);
            }
        };
        write(0..4);
        store.fold().unwrap();
        write(4..14);
        store.compact().unwrap();
        write(14..48);
        // Readings of the first days become hours while their last hours are still in the journal.
        let retention = Retention { raw_days: Some(1), ..Retention::default() };
        tend(&store, FROM + 48 * N_EACH * MINUTE, Some(&retention));
        assert!(samples(&store.reader(), "n01", "m0").len() < 48 * 120, "readings were given up");
        store.fold().unwrap();
        write(48..52);
        tend(&store, FROM + 52 * N_EACH * MINUTE, Some(&retention));
        store.close().unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let test = "power::power_cut_at_every_sync_of_commits_folding_compaction_and_retention";
    for_every_cut(test, dir.path(), judge_store);
}

#[test]
fn power_cut_at_every_sync_of_a_backup_and_a_restore() {
    if let Some(dir) = child_dir() {
        back_up(&dir, &dir.join("copy.sqlite"), &mut |_, _, _| {}).unwrap();
        let store = Store::open(&dir).unwrap();
        for n in 40..44 {
            store.writer().commit_blocking(batch(n)).unwrap();
        }
        store.close().unwrap();
        restore(&dir.join("copy.sqlite"), &dir, Some("old.sqlite"), &mut |_, _, _| {}).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (0..40).for_each(|n| store.writer().commit_blocking(batch(n)).unwrap());
    store.close().unwrap();
    for_every_cut("power::power_cut_at_every_sync_of_a_backup_and_a_restore", dir.path(), |dir, _| {
        // The old store or the new one, never neither.
        assert!(dir.join("giot.sqlite").exists());
        assert_recovers(dir, 40);
        for name in ["copy.sqlite", "old.sqlite"] {
            // What has the name is whole.
            if dir.join(name).exists() {
                let other = tempfile::tempdir().unwrap();
                restore(&dir.join(name), other.path(), None, &mut |_, _, _| {}).unwrap();
                assert_whole(&Reader::open(other.path()).unwrap(), 40);
            }
        }
    });
}

#[test]
fn power_cut_at_every_sync_of_a_migration() {
    if let Some(dir) = child_dir() {
        Store::open(&dir).unwrap().close().unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (0..40).for_each(|n| store.writer().commit_blocking(batch(n)).unwrap());
    store.fold().unwrap();
    store.close().unwrap();
    // As a program of the schema before would have left it.
    let conn = rusqlite::Connection::open(dir.path().join("giot.sqlite")).unwrap();
    conn.execute_batch(NO_SUMS).unwrap();
    conn.execute_batch("DROP TABLE summary; DROP TABLE farm_version; PRAGMA user_version = 3; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    conn.close().unwrap();
    for_every_cut("power::power_cut_at_every_sync_of_a_migration", dir.path(), |dir, _| {
        assert_recovers(dir, 40);
        assert!(dir.join("giot-schema-3.sqlite").exists(), "a copy of the store as it was");
        let other = tempfile::tempdir().unwrap();
        restore(&dir.join("giot-schema-3.sqlite"), other.path(), None, &mut |_, _, _| {}).unwrap();
        assert_whole(&Reader::open(other.path()).unwrap(), 40);
    });
}
