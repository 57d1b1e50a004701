//! Opening: the folder's lock, connections with the right settings, numbered migrations.
//!
//! Must not read or write rows. While a connection is open nothing in this process may open the database file by other means:
//! closing such a handle would give up SQLite's POSIX locks.
//!
//! Before a migration a copy of the store is kept beside it (`giot-schema-N.sqlite`).
//!
//! Invariants: one writing process a folder; a file of a newer program or of another program is refused before anything in
//! it changes; each migration is one transaction together with its number; the file is for its owner only, since it holds the
//! nodes' keys.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::backup;
use super::error::OpenError;
use super::row_sums;

/// Name of the database in the data folder.
pub(super) const FILE_NAME: &str = "giot.sqlite";
const LOCK_NAME: &str = "giot.lock";

/// Marks the file as ours in SQLite's header: "Giot" in ASCII.
const APPLICATION_ID: i32 = 0x4769_6f74;

/// Every schema change so far, in order; number N brings version N-1 to N.
pub(super) const MIGRATIONS: [&str; 7] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_hours.sql"),
    include_str!("migrations/0003_sinks.sql"),
    include_str!("migrations/0004_summaries.sql"),
    include_str!("migrations/0005_journal_ids.sql"),
    include_str!("migrations/0006_farm.sql"),
    include_str!("migrations/0007_row_sums.sql"),
];

/// Files of an earlier schema cannot give pages back until they are rewritten once.
const VACUUM_SINCE: u32 = 2;

/// How long SQLite itself waits for a lock. Only a checkpoint or a foreign tool ever holds one against us.
const BUSY_WAIT: Duration = Duration::from_millis(250);

/// Write-ahead log pages (4 KiB) between checkpoints: 16 MiB, so that a burst is not slowed by copying.
pub(super) const CHECKPOINT_PAGES: i64 = 4_096;

/// The log file is cut to this size after a checkpoint (bytes).
const LOG_SIZE_MAX: i64 = 32 << 20;

/// Page cache of the writing connection (KiB): a flood is no quicker with four times as much, and holds it for ever.
const WRITER_CACHE_KIB: i64 = 1_024;

/// Page cache of a reading connection (KiB); a few of them may exist.
const READER_CACHE_KIB: i64 = 1_024;

/// Version of the schema this program writes.
pub(super) fn schema_version() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// The right to write to a folder; given back when dropped, also by the system when the process dies.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

/// Creates the folder if needed and takes its lock.
pub(super) fn lock_folder(dir: &Path) -> Result<FolderLock, OpenError> {
    let io = |what: String| move |source| OpenError::Io { what, source };
    std::fs::create_dir_all(dir).map_err(io(format!("create data folder {}", dir.display())))?;
    let path = dir.join(LOCK_NAME);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io(format!("open {}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(FolderLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io(format!("lock {}", path.display()))(source)),
    }
}

fn sqlite(what: &'static str) -> impl Fn(rusqlite::Error) -> OpenError {
    move |source| OpenError::Sqlite { what, source }
}

/// Opens the one writing connection, creating or migrating the file. `file_pages_max` bounds the file in 4 KiB pages.
pub(super) fn open_writer(dir: &Path, file_pages_max: Option<u32>) -> Result<Connection, OpenError> {
    let path = dir.join(FILE_NAME);
    create_private(&path)
        .map_err(|source| OpenError::Io { what: format!("create {}", path.display()), source })?;
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(&path, flags).map_err(sqlite("open the database"))?;
    conn.busy_timeout(BUSY_WAIT).map_err(sqlite("set the busy wait"))?;
    let found = check_identity(&conn, &path)?;
    set_up_writer(&conn, found).map_err(sqlite("set up the database"))?;
    if (1..schema_version()).contains(&found) {
        keep_copy(&conn, dir, found)?;
    }
    migrate(&mut conn, found).map_err(sqlite("migrate the database"))?;
    if let Some(pages) = file_pages_max {
        conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .map_err(sqlite("bound the database"))?;
    }
    Ok(conn)
}

/// Chooses whether a commit waits for the disk. Without, commits keep their order in the log and the next waiting one makes
/// them durable with it: what nobody was told about may do that.
pub(super) fn set_sync(conn: &Connection, waits: bool) -> rusqlite::Result<()> {
    conn.pragma_update(None, "synchronous", if waits { "full" } else { "normal" })
}

/// Creates an empty file that only its owner can read; SQLite gives its log the same rights. A file that exists is not
/// even opened (see the module doc).
pub(super) fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn set_up_writer(conn: &Connection, found: u32) -> rusqlite::Result<()> {
    if found == 0 {
        set_incremental(conn)?;
    }
    // WAL: readers never wait for the writer. FULL: a commit that returned is on the disk.
    conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    set_sync(conn, true)?;
    conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    conn.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT_PAGES, |_| Ok(()))?;
    conn.pragma_update_and_check(None, "journal_size_limit", LOG_SIZE_MAX, |_| Ok(()))
}

/// Lets free pages be given back in steps. Takes effect while the file is empty, or at the next VACUUM.
fn set_incremental(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "auto_vacuum", "incremental")
}

/// Keeps the store as it was beside the one that will be migrated. A copy that an earlier try left is replaced.
fn keep_copy(conn: &Connection, dir: &Path, found: u32) -> Result<(), OpenError> {
    let copy = dir.join(format!("giot-schema-{found}.sqlite"));
    let part = dir.join(format!("giot-schema-{found}.sqlite.part"));
    let kept = backup::copy_pages(conn, &part, &mut |_, _, _| {})
        .and_then(|()| move_to_disk(&part, &copy).map_err(backup::io(format!("move {}", part.display()))));
    if let Err(error) = kept {
        // What is left of it is worth nothing; a file that cannot be removed is replaced by the next try.
        std::fs::remove_file(&part).ok();
        return Err(OpenError::NoCopy { copy, source: Box::new(error) });
    }
    tracing::info!(copy = %copy.display(), schema = found, "kept a copy of the store before migrating it");
    Ok(())
}

/// Gives a file that is on the disk its name, replacing what had it, and brings the name to the disk.
pub(super) fn move_to_disk(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::rename(from, to)?;
    sync_folder(to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Brings the names in a folder to the disk.
pub(super) fn sync_folder(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Opens a store's file under any name for reading; one of an earlier schema too.
pub(super) fn open_file(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let is_file = File::open(path).and_then(|file| file.metadata()).and_then(|file| {
        let is_folder =
            || std::io::Error::new(std::io::ErrorKind::IsADirectory, "it is a folder: name the file in it");
        if file.is_dir() { Err(is_folder()) } else { Ok(()) }
    });
    if let Err(source) = is_file {
        return Err(OpenError::Io { what: format!("open {}", path.display()), source });
    }
    let conn = Connection::open_with_flags(path, flags).map_err(sqlite("open the copy for reading"))?;
    match check_identity(&conn, path)? {
        0 => Err(OpenError::Foreign { path: path.to_owned() }),
        _ => Ok(conn),
    }
}

/// Opens a store's file that may be cut short, to read what is there.
pub(super) fn open_cut(path: &Path) -> Result<Connection, OpenError> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(sqlite("open the damaged store"))?;
    // SQLite reads a file with fewer pages than its header says only so.
    conn.pragma_update(None, "writable_schema", "on").map_err(sqlite("open the damaged store"))?;
    match check_identity(&conn, path)? {
        0 => Err(OpenError::Foreign { path: path.to_owned() }),
        found if found < schema_version() => Err(OpenError::OlderSchema { found, known: schema_version() }),
        _ => Ok(conn),
    }
}

/// Tables and indices of a store, without SQLite's own, which depend on how old the file is.
pub(super) const N_ROOTS: i64 = 27;

/// What makes a store's tables and indices, by name.
pub(super) fn schema(conn: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut rows = conn
        .prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")?;
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Whether all tables and indices can be seen: a bad page of the schema may hide some without an error.
pub(super) fn has_all_tables(conn: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE rootpage > 0 AND name <> 'sqlite_sequence'";
    Ok(conn.query_row(sql, [], |row| row.get::<_, i64>(0))? >= N_ROOTS)
}

/// Makes the tables of a store in an empty file.
pub(super) fn make_schema(conn: &mut Connection) -> rusqlite::Result<()> {
    set_incremental(conn)?;
    migrate(conn, 0)
}

/// Brings a copy that nobody else knows up to date.
pub(super) fn migrate_copy(conn: &mut Connection) -> rusqlite::Result<()> {
    let found = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found < schema_version() { migrate(conn, found) } else { Ok(()) }
}

/// Refuses foreign and newer files; returns the schema version found, 0 for an empty file.
fn check_identity(conn: &Connection, path: &Path) -> Result<u32, OpenError> {
    let foreign = || OpenError::Foreign { path: path.to_owned() };
    let read = |name: &str| {
        conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(|source| {
            if source.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) {
                foreign()
            } else {
                OpenError::Sqlite { what: "read the database's header", source }
            }
        })
    };
    let application = read("application_id")?;
    let version = read("user_version")?;
    if application == 0 && version == 0 {
        let n_tables = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
        return if n_tables.map_err(sqlite("read the database's schema"))? == 0 {
            Ok(0)
        } else {
            Err(foreign())
        };
    }
    if application != i64::from(APPLICATION_ID) {
        return Err(foreign());
    }
    let found = u32::try_from(version).map_err(|_| foreign())?;
    if found > schema_version() {
        return Err(OpenError::NewerSchema { found, known: schema_version() });
    }
    Ok(found)
}

/// Makes what the statements of this program need known to the connection, and brings the schema up to date.
fn migrate(conn: &mut Connection, found: u32) -> rusqlite::Result<()> {
    row_sums::install(conn)?;
    for (version, sql) in (1_u32..).zip(MIGRATIONS) {
        if version <= found {
            continue;
        }
        let sums = if version == row_sums::SINCE { Some(row_sums::readable(conn)?) } else { None };
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // A bad page, or a rule that a changed bit breaks, is no reason not to start: whoever mends it makes the checksums.
        tx.execute_batch("PRAGMA ignore_check_constraints = on")?;
        tx.execute_batch(sql)?;
        sums.map_or(Ok(()), |tables| row_sums::seal(&tx, &tables))?;
        tx.execute_batch("PRAGMA ignore_check_constraints = off")?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", version)?;
        tx.commit()?;
    }
    if (1..VACUUM_SINCE).contains(&found) {
        set_incremental(conn)?;
        // Only space depends on it: on a disk too full for a second copy the store goes on as it is.
        if let Err(error) = conn.execute_batch("VACUUM") {
            tracing::warn!(%error, "the store could not be rewritten; it will not shrink");
        }
    }
    Ok(())
}

/// Opens a connection that can only read. Works beside a writing process and needs no lock.
pub(super) fn open_reader(dir: &Path) -> Result<Connection, OpenError> {
    let path = dir.join(FILE_NAME);
    // SQLite removes the log beside an empty file, also for a reader.
    if std::fs::metadata(&path).map_or(0, |file| file.len()) == 0 {
        return Err(OpenError::NoStore { dir: dir.to_owned() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(&path, flags).map_err(sqlite("open the database for reading"))?;
    conn.busy_timeout(BUSY_WAIT).map_err(sqlite("set the busy wait"))?;
    // Otherwise SQLite plans a kept statement anew whenever values are bound to it, in case they suggest another way.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(sqlite("set the planner"))?;
    let found = check_identity(&conn, &path)?;
    conn.pragma_update(None, "cache_size", -READER_CACHE_KIB).map_err(sqlite("set the cache size"))?;
    match found {
        0 => Err(OpenError::NoStore { dir: dir.to_owned() }),
        found if found < schema_version() => Err(OpenError::OlderSchema { found, known: schema_version() }),
        _ => Ok(conn),
    }
}

/// Size of the database and its log in bytes.
pub(super) fn file_bytes(dir: &Path) -> u64 {
    let (file, log) = file_bytes_apart(dir);
    file + log
}

/// Size of the database and of its log in bytes.
pub(super) fn file_bytes_apart(dir: &Path) -> (u64, u64) {
    let size = |path: PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    (size(dir.join(FILE_NAME)), size(dir.join(format!("{FILE_NAME}-wal"))))
}
