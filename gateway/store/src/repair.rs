//! Mending a damaged store: what can be read stays, what cannot is set aside and named, nothing is deleted.
//!
//! Damaged rows go to the table `damaged`; of small tables they stay, and a single changed bit is set right. Damaged pages cannot be
//! mended in their file: every row that can be read is copied into a new one, which takes the store's name when it has proved itself;
//! the old file keeps its content under another name. A break in the diary's chain stays a break: it is the proof that something is
//! missing, and no program may mend it.
//!
//! Must not run beside a writer. Invariants: at every moment the folder holds the old store or the mended one under its own name; what
//! is mended was checked before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Row, TransactionBehavior, params, params_from_iter,
};

use super::backup::{self, BackupError, io, sqlite};
use super::check::{
    CHUNKS, CheckReport, Finding, JOURNAL, Place, SUMMARIES, check, chunk_flaw, journal_flaw, row_finding,
    series_names, summary_flaw,
};
use super::chunk::{Effort, Sealed, checksum, encode};
use super::commit::PUT_META;
use super::error::OpenError;
use super::first_page::{Graft, graft, has_header};
use super::fold;
use super::log_damage::{self, LogNote};
use super::loose::Loose;
use super::lost::{self, Lost};
use super::mend::{self, MendNote, may_help};
use super::open::{self, FILE_NAME};
use super::pages::{Found, scan};
use super::row_sums;
use super::rows::{Table, is_damage};

/// Tables with whole numbers as keys, in the order in which they are copied, and what their columns hold: n the number itself, i a whole
/// number, t text, b bytes, `-` anything or nothing. No two are alike, so that a row found without its table tells which it is of.
const NUMBERED: [(&str, &str); 11] = [
    ("series", "ntt---i"),
    ("journal", "niiiib"),
    ("chunk", "niiiiiib"),
    ("summary", "niiiiiiib"),
    ("damaged", "nt-iiitb"),
    ("diary", "n-i-t-t-tt--b"),
    ("valve_event", "ntiiii--i-iii"),
    ("sink", "nttiiiiiiitt--"),
    ("sink_span", "niiiiiii"),
    ("sink_parked", "niitt"),
    ("farm_version", "nitt-tt-i"),
];

/// Those of them in which the number is no part of what a row says.
const FREELY_NUMBERED: [&str; 6] = ["journal", "chunk", "summary", "damaged", "valve_event", "sink_parked"];

/// Rows that are kept in mind because their number was taken; more are only named where they are missing.
const REFUSED_MAX: usize = 1_000;

/// The others, and their keys.
const NAMED: [(&str, &str); 6] = [
    ("meta", "key"),
    ("device", "id"),
    ("node_mark", "node"),
    ("node_anchor", "node, epoch"),
    ("counter", "name"),
    ("zone_memory", "zone"),
];

/// Key of the table `meta` under which a repair names the rows of zones' memories that stand as they read, as a JSON list: they may say
/// another thing than was written. Whoever has seen to them writes an empty list.
pub const MEMORY_DOUBT_KEY: &str = "memory_doubt";

/// Stands in that list for a memory that was lost, of whichever zone, program or source.
pub const LOST_MEMORY: &str = "?";

/// What a repair has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// What was wrong.
    pub before: CheckReport,
    /// What is wrong still: at most a break in the diary's chain and, where nobody asked for the repair, rows of small tables.
    pub after: CheckReport,
    /// Rows set aside in the table `damaged`.
    pub n_set_aside: u64,
    /// Chunks whose hours were summed up anew.
    pub n_summed_up: u64,
    /// Rows of small tables in which one bit had changed, and is as it was.
    pub n_set_right: u64,
    /// Rows in which more had changed: they stand as they read.
    pub as_they_read: Vec<Finding>,
    /// What could not be saved.
    pub lost: Vec<Lost>,
    /// Rows that no other page led to, found on their own.
    pub n_found: u64,
    /// The old file, when a new one was needed.
    pub replaced: Option<PathBuf>,
    /// Name under which a damaged log is kept in the folder.
    pub kept_log: Option<String>,
}

/// A damaged file and how it can be read.
#[derive(Debug)]
struct Source {
    conn: Connection,
    /// Why it cannot be opened in the ordinary way.
    flaw: Option<&'static str>,
    /// The copy with a new first page that is read in its place.
    graft: Option<Graft>,
}

impl Repair {
    /// Whether a zone's memory was lost or stands as it reads, so that the next start locks zones.
    #[must_use]
    pub fn doubts_memory(&self) -> bool {
        let kept = self.as_they_read.iter().any(|kept| kept.place == Place::Row("zone_memory"));
        kept || self.lost.iter().any(|lost| lost.table == "zone_memory")
    }
}

impl Source {
    /// One that opens in the ordinary way.
    fn ordinary(path: &Path) -> Result<Self, BackupError> {
        let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .map_err(sqlite(format!("open {}", path.display())))?;
        Ok(Self { conn, flaw: None, graft: None })
    }

    fn open(dir: &Path) -> Result<Self, BackupError> {
        let path = dir.join(FILE_NAME);
        let wanted = Connection::open_in_memory()
            .and_then(|mut conn| open::make_schema(&mut conn).and_then(|()| open::schema(&conn)))
            .map_err(sqlite("make an empty schema"))?;
        // A word of it may have become another, without an error.
        let is_whole = |conn: &Connection| open::schema(conn).is_ok_and(|schema| schema == wanted);
        let error = match open::open_reader(dir) {
            Ok(conn) if is_whole(&conn) => {
                drop(conn);
                return Self::ordinary(&path);
            }
            Ok(_) => mend::no_schema(),
            Err(error) => error,
        };
        if !may_help(&error) {
            return Err(error.into());
        }
        if let Ok(conn) = open::open_cut(&path)
            && is_whole(&conn)
        {
            return Ok(Self { conn, flaw: Some("the file is cut short"), graft: None });
        }
        let copy = dir.join(format!("{FILE_NAME}.first"));
        match graft(&path, &copy) {
            Ok(Some(graft)) => {
                let conn = open::open_cut(&graft.path)?;
                Ok(Self { conn, flaw: Some("its first page or its schema is bad"), graft: Some(graft) })
            }
            // Not a bad one then, but one that was made otherwise.
            Ok(None) => match open::open_reader(dir) {
                Ok(conn) if matches!(open::has_all_tables(&conn), Ok(true)) => {
                    drop(conn);
                    Self::ordinary(&path)
                }
                Ok(_) | Err(_) => Err(error.into()),
            },
            Err(why) => {
                tracing::warn!(error = %format!("{why:#}"), "the schema could not be looked for");
                Err(error.into())
            }
        }
    }
}

/// Mends the store in `dir`; a file that is replaced is kept as `old_name`, with the time `at_us`. Blocks.
///
/// # Errors
/// The folder is in use, the store is of another schema or cannot be opened at all, or the disk refuses; the store is then as it was.
pub fn repair(
    dir: &Path,
    old_name: &str,
    at_us: i64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Repair, BackupError> {
    run(dir, old_name, at_us, None, progress)
}

/// As [`repair`], but only if nothing but the past is lost.
///
/// # Errors
/// As [`repair`], and [`BackupError::NeedsPerson`].
pub(super) fn repair_past(
    dir: &Path,
    old_name: &str,
    at_us: i64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Repair, BackupError> {
    run(dir, old_name, at_us, Some(Lost::is_history), progress)
}

fn run(
    dir: &Path,
    old_name: &str,
    at_us: i64,
    may_lose: Option<fn(&Lost) -> bool>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Repair, BackupError> {
    let path = dir.join(FILE_NAME);
    if !path.exists() && !log_damage::log_of(&path).exists() {
        return Err(OpenError::NoStore { dir: dir.to_owned() }.into());
    }
    let lock = open::lock_folder(dir)?;
    let log = match log_damage::secure(dir, &lock) {
        Ok(log) => log,
        Err(OpenError::LogDamaged { what, .. }) => return put_away(dir, what),
        Err(error) => return Err(error.into()),
    };
    let mut source = Source::open(dir)?;
    let mut before = check(&source.conn, progress).map_err(sqlite("check the store"))?;
    log.iter().for_each(|log| before.note(log.finding()));
    if let Some(flaw) = source.flaw {
        before.note(Finding {
            place: Place::Pages,
            row: None,
            series: None,
            range_us: None,
            what: flaw.to_owned(),
        });
    }
    // The diary's chain is whole rows, however it is broken; the log was seen to.
    let is_unreadable = |place: Place, row: Option<i64>| match place {
        Place::Pages => true,
        Place::Diary | Place::Log | Place::Row(_) => false,
        Place::Chunk | Place::Summary | Place::Journal => row.is_none(),
    };
    let mut mended = Repair {
        after: before.clone(),
        before,
        n_set_aside: 0,
        n_summed_up: 0,
        n_set_right: 0,
        as_they_read: Vec::new(),
        lost: Vec::new(),
        n_found: 0,
        replaced: None,
        kept_log: log.as_ref().map(|log| log.file.clone()),
    };
    if mended.before.is_clean() {
        return Ok(mended);
    }
    let is_asked = may_lose.is_none();
    let needs_copy = source.flaw.is_some()
        || mended.before.findings.iter().any(|finding| is_unreadable(finding.place, finding.row));
    if needs_copy {
        let part = backup::part_of(&path);
        let copied = copy_readable(&source, (&path, &part), is_asked, &mut mended, progress).and_then(|()| {
            if let Some(lost) = mended.lost.iter().find(|lost| may_lose.is_some_and(|may| !may(lost))) {
                return Err(BackupError::NeedsPerson { what: lost.to_string() });
            }
            let decides =
                |finding: &&Finding| matches!(finding.place, Place::Row(table) if row_sums::decides(table));
            if let Some(left) = mended.after.findings.iter().find(decides).filter(|_| !is_asked) {
                return Err(BackupError::NeedsPerson { what: left.to_string() });
            }
            note(&part, at_us, old_name, &mended, log.as_ref())
        });
        source.conn.close().map_err(|(_, error)| error).map_err(sqlite("close the damaged store"))?;
        if let Err(error) = copied {
            // What is left of it is worth nothing; a file that cannot be removed is replaced by the next try.
            std::fs::remove_file(&part).ok();
            return Err(error);
        }
        mended.replaced = Some(backup::set_aside(dir, old_name)?);
        open::move_to_disk(&part, &path)
            .map_err(io(format!("move the mended store to {}", path.display())))?;
    } else {
        set_rows_aside(&mut source.conn, is_asked, &mut mended).map_err(sqlite("set damaged rows aside"))?;
        log.iter().for_each(|log| log.keep(&source.conn));
        mended.after = check(&source.conn, progress).map_err(sqlite("check the mended store"))?;
    }
    drop(lock);
    Ok(mended)
}

/// Takes a store away of which nothing can be read, so that the next start begins anew.
fn put_away(dir: &Path, what: String) -> Result<Repair, BackupError> {
    let kept = log_damage::put_away(dir).map_err(io(format!("take the log in {} away", dir.display())))?;
    let mut before = CheckReport::default();
    before.note(log_damage::finding(what));
    Ok(Repair {
        before,
        after: CheckReport::default(),
        n_set_aside: 0,
        n_summed_up: 0,
        n_set_right: 0,
        as_they_read: Vec::new(),
        lost: Vec::new(),
        n_found: 0,
        replaced: None,
        kept_log: kept.file_name().map(|name| name.to_string_lossy().into_owned()),
    })
}

/// Keeps with the new file what was lost, and brings it to the disk.
fn note(
    part: &Path,
    at_us: i64,
    old_name: &str,
    mended: &Repair,
    log: Option<&LogNote>,
) -> Result<(), BackupError> {
    let name = part.display();
    let conn = Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(sqlite(format!("open {name}")))?;
    MendNote::keep(&conn, at_us, old_name, mended, log).map_err(sqlite(format!("write {name}")))?;
    conn.close().map_err(|(_, error)| error).map_err(sqlite(format!("close {name}")))?;
    backup::sync(part)
}

/// Copies every row that can be read into a new file, sets damaged ones aside there, and brings it to the disk.
fn copy_readable(
    source: &Source,
    (path, part): (&Path, &Path),
    is_asked: bool,
    mended: &mut Repair,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), BackupError> {
    backup::make_part(part)?;
    let from = &source.conn;
    let name = part.display();
    let mut to = Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(sqlite(format!("open {name}")))?;
    // Cut short it is thrown away; it is brought to the disk as a whole below.
    to.execute_batch("PRAGMA synchronous = off").map_err(sqlite(format!("set up {name}")))?;
    open::make_schema(&mut to).map_err(sqlite(format!("set up {name}")))?;
    // Pages are looked at in the database itself, so what its log holds must be there; a log that cannot be copied has none of them.
    from.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).ok();
    // Which pages of a copy with a new first page were given back is not known: what lies on them is of the past of the past.
    let has_log = std::fs::metadata(log_damage::log_of(path)).is_ok_and(|log| log.len() > 0);
    let scanned = (source.graft.is_none() || has_header(path) && !has_log).then_some(path);
    let copied =
        copy_tables(from, scanned, &mut to, mended).and_then(|()| set_rows_aside(&mut to, is_asked, mended));
    copied.map_err(sqlite("copy what can be read"))?;
    mended.after = check(&to, progress).map_err(sqlite("check the mended store"))?;
    to.close().map_err(|(_, error)| error).map_err(sqlite(format!("close {name}")))?;
    backup::sync(part)
}

fn copy_tables(
    from: &Connection,
    path: Option<&Path>,
    to: &mut Connection,
    mended: &mut Repair,
) -> rusqlite::Result<()> {
    let tx = to.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (mut all_holes, mut all_refused) = (Vec::new(), Vec::new());
    for (name, _) in NUMBERED {
        let columns = columns(&tx, name)?;
        let mut insert = tx.prepare(&insert(name, &columns))?;
        let table = Table { name, columns: &columns.join(", "), key: "id" };
        let mut refused = Vec::new();
        let mut holes = table.walk(from, |row| {
            let mut values = values(row, columns.len())?;
            let is_set_right = row_sums::set_right_in(name, &columns, &mut values);
            if insert.execute(params_from_iter(&values))? == 1 {
                mended.n_set_right += u64::from(is_set_right);
            } else {
                let id: i64 = row.get(0)?;
                refused.push(id..=id);
                if all_refused.len() < REFUSED_MAX {
                    all_refused.push(Refused { table: name, id, values });
                }
            }
            Ok(())
        })?;
        // Values that break a rule of their table are none that a store wrote.
        holes.extend(refused);
        if !holes.is_empty() {
            all_holes.push((name, holes));
        }
    }
    if let Some(path) = path.filter(|_| !all_holes.is_empty()) {
        mended.n_found = u64::try_from(copy_scattered(path, &tx)?).unwrap_or(u64::MAX);
    }
    let taken = renumber(&tx, all_refused, mended)?;
    mended.lost = lost::name(from, &tx, &series_names(&tx)?, &all_holes)?;
    mended.lost.extend(taken);
    // A changed bit may break a rule of its table, and can be set right when its row is there.
    tx.execute_batch("PRAGMA ignore_check_constraints = on")?;
    for (name, key) in NAMED {
        let columns = columns(&tx, name)?;
        let mut insert = tx.prepare(&insert(name, &columns))?;
        let list = columns.join(", ");
        let backwards: Vec<String> = key.split(", ").map(|part| format!("{part} DESC")).collect();
        // From both ends towards the damage.
        for order in [key.to_owned(), backwards.join(", ")] {
            let mut n_refused = 0;
            let read = copy_in_order(from, &format!("SELECT {list} FROM {name} ORDER BY {order}"), |row| {
                let mut values = values(row, columns.len())?;
                let is_set_right = row_sums::set_right_in(name, &columns, &mut values);
                let n_kept = insert.execute(params_from_iter(values))?;
                mended.n_set_right += u64::from(is_set_right && n_kept == 1);
                n_refused += usize::from(n_kept == 0);
                Ok(())
            });
            let what = Lost { table: name, ..Lost::default() };
            match read {
                Ok(()) if n_refused == 0 || mended.lost.contains(&what) => break,
                Ok(()) => {
                    mended.lost.push(what);
                    break;
                }
                Err(error) if is_damage(&error) => {
                    if !mended.lost.contains(&what) {
                        mended.lost.push(what);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
    tx.execute_batch("PRAGMA ignore_check_constraints = off")?;
    row_sums::seal(&tx, &row_sums::TABLES.each_ref())?;
    // A cursor over the journal stays valid: no number is given out twice, also where the counters were lost.
    let seen: i64 =
        tx.query_row("SELECT ifnull(max(max(journal_id, journal_sent)), 0) FROM sink", [], |row| row.get(0))?;
    tx.execute(fold::NOTE_FOLDED, [seen])?;
    tx.commit()
}

/// A row that its table did not take.
struct Refused {
    table: &'static str,
    id: i64,
    values: Vec<Loose>,
}

/// Keeps rows whose number another row has, since a bit of one of the two has changed: under the number that fits their checksum, or a free
/// one where it is no part of what they say. Those that cannot be kept.
fn renumber(to: &Connection, refused: Vec<Refused>, mended: &mut Repair) -> rusqlite::Result<Vec<Lost>> {
    if refused.is_empty() {
        return Ok(Vec::new());
    }
    // Those that took the number of another go back to their own.
    row_sums::unlocked(to, |to| {
        for flawed in row_sums::flawed(to)? {
            mended.n_set_right += u64::from(flawed.set_right(to)?);
        }
        Ok(())
    })?;
    let mut lost = Vec::new();
    for Refused { table, id, mut values } in refused {
        let columns = columns(to, table)?;
        let number = if FREELY_NUMBERED.contains(&table) {
            Some(Loose::Null)
        } else {
            row_sums::own_number(table, &columns, &values).map(Loose::Whole)
        };
        if let (Some(first), Some(number)) = (values.first_mut(), number) {
            *first = number;
        }
        if to.execute(&insert(table, &columns), params_from_iter(&values))? == 0
            && to.prepare(&format!("SELECT 1 FROM {table} WHERE id = ?1"))?.exists([id])?
        {
            lost.push(Lost { table, rows: Some((id, id)), ..Lost::default() });
        }
    }
    Ok(lost)
}

/// Copies rows that are whole but cannot be reached by asking; how many were not there already.
fn copy_scattered(path: &Path, to: &Connection) -> rusqlite::Result<usize> {
    let mut inserts = Vec::new();
    for (name, shape) in NUMBERED {
        inserts.push((name, shape, to.prepare(&insert(name, &columns(to, name)?))?));
    }
    let (mut n_found, mut failed) = (0, None);
    let scanned = scan(path, &mut |Found { id, mut values }| {
        let fitting = inserts.iter_mut().find(|(name, shape, _)| fits(&mut values, name, shape));
        let Some((.., insert)) = fitting else { return };
        if let Some(first) = values.first_mut() {
            *first = Loose::Whole(id);
        }
        match insert.execute(params_from_iter(values)) {
            Ok(n) => n_found += n,
            Err(error) => failed = Some(error),
        }
    });
    if let Err(error) = scanned {
        // What was found until then is kept.
        tracing::warn!(%error, "the pages of the damaged store could not all be looked at");
    }
    failed.map_or(Ok(n_found), Err)
}

/// True when the columns are those of a table. SQLite leaves rows as they lie when their table gets a column: one written before there
/// were checksums ends without, and gets the 0 of none.
fn fits(values: &mut Vec<Loose>, name: &str, shape: &str) -> bool {
    let is_kind = |value: &Loose, kind: u8| match kind {
        b'n' => *value == Loose::Null,
        b'i' => matches!(value, Loose::Whole(_)),
        b't' => matches!(value, Loose::Text(_)),
        b'b' => matches!(value, Loose::Blob(_)),
        _ => true,
    };
    let is_short = values.len() + 1 == shape.len() && row_sums::TABLES.iter().any(|table| table.name == name);
    let is_like = (is_short || values.len() == shape.len())
        && values.iter().zip(shape.bytes()).all(|(value, kind)| is_kind(value, kind));
    if is_like && is_short {
        values.push(Loose::Whole(0));
    }
    is_like
}

fn copy_in_order(
    from: &Connection,
    sql: &str,
    mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut rows = from.prepare(sql)?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        each(row)?;
    }
    Ok(())
}

/// A table's columns, its key first.
fn columns(conn: &Connection, name: &str) -> rusqlite::Result<Vec<String>> {
    conn.prepare(&format!("SELECT name FROM pragma_table_info('{name}') ORDER BY cid"))?
        .query_map([], |row| row.get(0))?
        .collect()
}

fn insert(name: &str, columns: &[String]) -> String {
    let marks = vec!["?"; columns.len()].join(", ");
    // A row that meets one already copied, or that breaks a rule of its table, is none that a store wrote.
    format!("INSERT OR IGNORE INTO {name} ({}) VALUES ({marks})", columns.join(", "))
}

fn values(row: &Row<'_>, n: usize) -> rusqlite::Result<Vec<Loose>> {
    (0..n).map(|idx| Ok(Loose::of(row.get_ref(idx)?))).collect()
}

/// A row that is not what it should be.
struct Bad {
    kind: &'static str,
    id: i64,
    why: &'static str,
}

/// Sets single bits of small tables' rows right. Rows in which more has changed stand as they read when a person has asked for the repair;
/// otherwise they are left to one.
fn mend_rows(conn: &mut Connection, is_asked: bool, mended: &mut Repair) -> rusqlite::Result<()> {
    let flawed = row_sums::flawed(conn)?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut others = Vec::new();
    if !flawed.is_empty() {
        row_sums::unlocked(&tx, |tx| {
            for flawed in &flawed {
                if flawed.set_right(tx)? {
                    mended.n_set_right += 1;
                } else {
                    others.push(flawed);
                }
            }
            Ok(())
        })?;
    }
    // What is no JSON even so is none that a store wrote.
    if tx.execute("DELETE FROM zone_memory WHERE NOT json_valid(json)", [])? > 0 {
        mended.lost.push(Lost { table: "zone_memory", ..Lost::default() });
    }
    let mut doubt = BTreeSet::new();
    if is_asked && !others.is_empty() {
        row_sums::unlocked(&tx, |tx| {
            for flawed in others {
                if flawed.keep(tx)? {
                    doubt.extend(flawed.memory_of());
                    mended.as_they_read.push(row_finding(flawed));
                }
            }
            Ok(())
        })?;
    }
    if mended.lost.iter().any(|lost| lost.table == "zone_memory") {
        doubt.insert(LOST_MEMORY.to_owned());
    }
    note_doubt(&tx, doubt)?;
    tx.commit()
}

/// Remembers for the next start whose memory is doubtful: what is not known any more may have been a lock.
fn note_doubt(conn: &Connection, mut doubt: BTreeSet<String>) -> rusqlite::Result<()> {
    if doubt.is_empty() {
        return Ok(());
    }
    let known: Option<String> = conn
        .query_row("SELECT value FROM meta WHERE key = ?1", [MEMORY_DOUBT_KEY], |row| row.get(0))
        .optional()?;
    doubt
        .extend(known.and_then(|known| serde_json::from_str::<Vec<String>>(&known).ok()).unwrap_or_default());
    conn.execute(PUT_META, (MEMORY_DOUBT_KEY, serde_json::json!(doubt).to_string())).map(drop)
}

/// Moves damaged rows to the table `damaged`, and sums hours up anew where only they are wrong.
fn set_rows_aside(conn: &mut Connection, is_asked: bool, mended: &mut Repair) -> rusqlite::Result<()> {
    mend_rows(conn, is_asked, mended)?;
    let names = series_names(conn)?;
    let is_known = |row: &Row<'_>| row.get::<_, i64>(1).map(|series| names.contains_key(&series));
    let mut bad = Vec::new();
    CHUNKS.walk(conn, |row| {
        let flaw = chunk_flaw(row)?.err();
        let flaw = if is_known(row)? { flaw } else { flaw.or(Some("its series is unknown")) };
        bad.extend(flaw.map(|why| row.get(0).map(|id| Bad { kind: "chunk", id, why })).transpose()?);
        Ok(())
    })?;
    SUMMARIES.walk(conn, |row| {
        let flaw = summary_flaw(row)?;
        let flaw = if is_known(row)? { flaw } else { flaw.or(Some("its series is unknown")) };
        bad.extend(flaw.map(|why| row.get(0).map(|id| Bad { kind: "summary", id, why })).transpose()?);
        Ok(())
    })?;
    JOURNAL.walk(conn, |row| {
        let flaw = journal_flaw(row, &names)?.err();
        bad.extend(flaw.map(|why| row.get(0).map(|id| Bad { kind: "journal", id, why })).transpose()?);
        Ok(())
    })?;
    bad.extend(overlapping(conn)?);
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for Bad { kind, id, why } in bad {
        if kind == "chunk" && sum_up_anew(&tx, id)? {
            mended.n_summed_up += 1;
            continue;
        }
        let (series, n) = match kind {
            "chunk" => ("series", "n_samples"),
            "summary" => ("series", "n_spans"),
            _ => ("NULL", "n_samples"),
        };
        let n_moved = tx.execute(
            &format!(
                "INSERT INTO damaged (kind, series, from_us, to_us, n_samples, reason, blob)
                 SELECT ?1, {series}, from_us, to_us, max(0, {n}), ?2, CAST(blob AS BLOB) FROM {kind} WHERE id = ?3"
            ),
            params![kind, why, id],
        )?;
        tx.execute(&format!("DELETE FROM {kind} WHERE id = ?1"), [id])?;
        mended.n_set_aside += u64::try_from(n_moved).unwrap_or(0);
    }
    tx.commit()
}

/// Chunks that begin within the one before them.
fn overlapping(conn: &Connection) -> rusqlite::Result<Vec<Bad>> {
    let mut heads = conn.prepare("SELECT id, series, from_us, to_us FROM chunk ORDER BY series, from_us")?;
    let mut heads = heads.query([])?;
    let mut bad = Vec::new();
    let mut before: Option<(i64, i64)> = None;
    while let Some(row) = heads.next()? {
        let (id, series, from_us, to_us): (i64, i64, i64, i64) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        if before.is_some_and(|(other, end_us)| other == series && end_us >= from_us) {
            bad.push(Bad { kind: "chunk", id, why: "it overlaps the chunk before it" });
        } else {
            before = Some((series, to_us));
        }
    }
    Ok(bad)
}

/// Writes a chunk anew whose readings are whole and only its hours are not; `false` for any other.
fn sum_up_anew(conn: &Connection, id: i64) -> rusqlite::Result<bool> {
    let sql = "SELECT series, from_us, to_us, n_samples, crc32, blob FROM chunk WHERE id = ?1";
    let row = conn.query_row(sql, [id], |row| {
        Ok((
            row.get::<_, u32>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, i64>(2)?,
            row.get::<_, u32>(3)?,
            row.get::<_, u32>(4)?,
            row.get::<_, Vec<u8>>(5)?,
        ))
    });
    let Ok((series, from_us, to_us, n_samples, crc, blob)) = row else { return Ok(false) };
    let sealed = Sealed { series, from_us, to_us, n_samples, crc, blob: &blob };
    if !sealed.has_wrong_hours() {
        return Ok(false);
    }
    let Ok(points) = sealed.points() else { return Ok(false) };
    let blob = encode(&points, Effort::Thorough);
    let crc = checksum(series, from_us, to_us, n_samples, &blob);
    let n_bytes = i64::try_from(blob.len()).unwrap_or(i64::MAX);
    conn.execute(
        "UPDATE chunk SET n_bytes = ?2, crc32 = ?3, blob = ?4 WHERE id = ?1",
        params![id, n_bytes, crc, blob],
    )?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_copied_and_no_two_look_alike() {
        let mut conn = Connection::open_in_memory().unwrap();
        open::make_schema(&mut conn).unwrap();
        let mut tables: Vec<String> = conn
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        tables.sort();
        assert!(open::has_all_tables(&conn).unwrap());
        let sql = "SELECT count(*) FROM sqlite_schema WHERE rootpage > 0 AND name <> 'sqlite_sequence'";
        let n_roots = conn.query_row(sql, [], |row| row.get(0));
        assert_eq!(n_roots, Ok(open::N_ROOTS));
        let numbered = NUMBERED.iter().map(|(name, _)| *name);
        let mut known: Vec<&str> = numbered.chain(NAMED.iter().map(|(name, _)| *name)).collect();
        known.sort_unstable();
        assert_eq!(tables, known);
        for (idx, (name, shape)) in NUMBERED.iter().enumerate() {
            assert_eq!(columns(&conn, name).unwrap().len(), shape.len(), "{name}");
            // Also without the checksums, which older rows have not.
            let lengths = |name: &str, shape: &str| {
                let has_sums = row_sums::TABLES.iter().any(|table| table.name == name);
                shape.len() - usize::from(has_sums)..=shape.len()
            };
            let is_like = |other_name: &str, other: &str| {
                let differs = |(a, b)| a != b && a != b'-' && b != b'-';
                let mut both = lengths(name, shape).filter(|n| lengths(other_name, other).contains(n));
                both.any(|n| !shape.bytes().zip(other.bytes()).take(n).any(differs))
            };
            assert!(!NUMBERED.iter().skip(idx + 1).any(|(name, other)| is_like(name, other)), "{name}");
        }
    }
}
