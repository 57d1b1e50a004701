//! Checking the store: every page, every checksum, every sum kept beside its points, the diary's chain.
//!
//! Works on any connection, also beside a running gateway: what is looked at is one moment of the store. Must not write, and must not
//! stop at the first damage: whoever mends wants to know all of it. Invariant: findings are bounded by [`FINDINGS_MAX`]; all are counted.
//!
//! A gateway also looks by itself, unhurried ([`scrub_store`]): damage that shows only when somebody asks for that day shows too late.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, Row};

use super::chunk::Sealed;
use super::diary;
use super::error::{OpenError, ReadError};
use super::journal::Journal;
use super::log_damage::check_log;
use super::loose::shown;
use super::open;
use super::row_sums::{self, Flawed};
use super::rows::{Table, is_damage};
use super::summary::unpack;
use super::types::{DiaryProof, Point};

/// Damages named one by one.
pub const FINDINGS_MAX: usize = 1_000;

/// Pages that one finding names.
const LINES_MAX: usize = 3;

/// Steps of the machine of SQLite between two questions whether a look goes on: a few rows.
const SCRUB_STEPS: i32 = 50;

/// Rows between two words about progress.
const ROWS_BETWEEN_WORDS: u64 = 256;

pub(super) const CHUNKS: Table<'_> = Table {
    name: "chunk",
    columns: "id, series, from_us, to_us, n_samples, n_bytes, crc32, blob",
    key: "id",
};

pub(super) const JOURNAL: Table<'_> =
    Table { name: "journal", columns: "id, from_us, to_us, n_samples, n_bytes, blob", key: "id" };

pub(super) const SUMMARIES: Table<'_> = Table {
    name: "summary",
    columns: "id, series, from_us, to_us, n_spans, span_us, crc32, blob",
    key: "id",
};

/// Where a damage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The database's pages.
    Pages,
    /// A sealed chunk.
    Chunk,
    /// Hours or days of readings that were given up.
    Summary,
    /// A commit that is not folded yet.
    Journal,
    /// The diary.
    Diary,
    /// A row of this small table.
    Row(&'static str),
    /// The log beside the database.
    Log,
}

impl Place {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pages => "pages",
            Self::Chunk => "chunk",
            Self::Summary => "summary",
            Self::Journal => "journal",
            Self::Diary => "diary",
            Self::Row(table) => table,
            Self::Log => "log",
        }
    }
}

/// One damage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// The row, where it is one.
    pub row: Option<i64>,
    /// Device and metric, where they are known.
    pub series: Option<String>,
    /// First and last time it may concern.
    pub range_us: Option<(i64, i64)>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.place.name())?;
        if let Some(row) = self.row {
            write!(f, " {row}")?;
        }
        if let Some(series) = &self.series {
            write!(f, " of {series}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// What a check has met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Pages of the database.
    pub n_pages: u64,
    /// Chunks read.
    pub n_chunks: u64,
    /// Rows of hours and days read.
    pub n_summaries: u64,
    /// Journal rows read.
    pub n_journal_rows: u64,
    /// Readings in them; one sent again and not folded yet counts twice.
    pub n_samples: u64,
    /// Diary entries whose chain is whole.
    pub n_diary_rows: u64,
    /// Damaged parts that were set aside before: told again, but no new damage.
    pub n_set_aside: u64,
    /// How many damages there are.
    pub n_findings: u64,
    /// The first of them.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// True when nothing is damaged.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.n_findings == 0
    }

    pub(super) fn note(&mut self, finding: Finding) {
        self.n_findings += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

/// Checks the store in `dir`, also while a gateway writes to it. `progress` hears how many of how many steps are done. Blocks.
///
/// # Errors
/// The store cannot be opened, or the system refuses. Damage is no error: it is in the report.
pub fn check_store(dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<CheckReport, ReadError> {
    let in_log = check_log(dir).map_err(|source| {
        ReadError::Open(OpenError::Io { what: format!("read the log in {}", dir.display()), source })
    })?;
    let mut report = match open::open_reader(dir) {
        Ok(conn) => check(&conn, progress)?,
        // All there was of it was in the log.
        Err(OpenError::NoStore { .. }) if in_log.is_some() => CheckReport::default(),
        Err(error) => return Err(error.into()),
    };
    in_log.into_iter().for_each(|finding| report.note(finding));
    Ok(report)
}

/// As [`check_store`], for as long as `goes_on` says so: it is asked again and again, and may make pauses. `None` when it ended the look.
/// Meanwhile the log beside the store cannot begin anew: who takes long makes it long.
///
/// # Errors
/// As [`check_store`].
pub fn scrub_store(
    dir: &Path,
    mut goes_on: impl FnMut() -> bool + Send + 'static,
) -> Result<Option<CheckReport>, ReadError> {
    let mut conn = open::open_reader(dir)?;
    conn.progress_handler(SCRUB_STEPS, Some(move || !goes_on()))?;
    match check(&conn, &mut |_, _| {}) {
        Ok(report) => Ok(Some(report)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// As [`check_store`] on a connection.
pub(super) fn check(conn: &Connection, progress: &mut dyn FnMut(u64, u64)) -> rusqlite::Result<CheckReport> {
    // One moment of the store, whatever is written meanwhile.
    let tx = conn.unchecked_transaction()?;
    let mut report = CheckReport::default();
    let count = |sql: &str| match tx.query_row(sql, [], |row| row.get::<_, i64>(0)) {
        Ok(n) => Ok(n.cast_unsigned()),
        Err(error) if is_damage(&error) => Ok(0),
        Err(error) => Err(error),
    };
    report.n_pages = count("PRAGMA page_count")?;
    report.n_set_aside = count("SELECT count(*) FROM damaged")?;
    // A page takes about as long to look at as the row that lies on it.
    let n_rows = ["chunk", "summary", "journal"].iter().try_fold(0, |n, table| {
        Ok::<_, rusqlite::Error>(n + count(&format!("SELECT count(*) FROM {table}"))?)
    })?;
    let n_steps = report.n_pages + n_rows;
    check_pages(&tx, &mut report)?;
    let mut n_done = report.n_pages;
    progress(n_done, n_steps);
    let names = series_names(&tx)?;
    let mut step = || {
        n_done += 1;
        if n_done.is_multiple_of(ROWS_BETWEEN_WORDS) {
            progress(n_done, n_steps.max(n_done));
        }
    };
    check_chunks(&tx, &names, &mut report, &mut step)?;
    check_summaries(&tx, &names, &mut report, &mut step)?;
    check_journal(&tx, &names, &mut report, &mut step)?;
    check_diary(&tx, &mut report)?;
    row_sums::flawed(&tx)?.iter().for_each(|flawed| report.note(row_finding(flawed)));
    // Nothing was written; after a bad page SQLite would refuse to commit even that.
    drop(tx);
    progress(n_steps, n_steps);
    Ok(report)
}

fn check_pages(conn: &Connection, report: &mut CheckReport) -> rusqlite::Result<()> {
    let whole = |what: String| Finding { place: Place::Pages, row: None, series: None, range_us: None, what };
    let mut rows = conn.prepare("PRAGMA integrity_check(1000)")?;
    let mut rows = rows.query([])?;
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                let line: String = row.get(0)?;
                if line != "ok" {
                    report.note(whole(shorten(&line)));
                }
            }
            Ok(None) => return Ok(()),
            Err(error) if is_damage(&error) => {
                report.note(whole(error.to_string()));
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
}

/// One line of the first of what SQLite says of many pages at once.
fn shorten(lines: &str) -> String {
    let named: Vec<&str> = lines.lines().take(LINES_MAX).collect();
    let named = named.join("; ");
    match lines.lines().count().saturating_sub(LINES_MAX) {
        0 => named,
        n_more => format!("{named}; and {n_more} more"),
    }
}

/// Device and metric of each series, as far as they can be read.
pub(super) fn series_names(conn: &Connection) -> rusqlite::Result<BTreeMap<i64, String>> {
    let mut names = BTreeMap::new();
    let table = Table { name: "series", columns: "id, device, metric", key: "id" };
    table.walk(conn, |row| {
        let (device, metric) = (shown(row, 1)?, shown(row, 2)?);
        names.insert(row.get(0)?, format!("{device} {metric}"));
        Ok(())
    })?;
    Ok(names)
}

fn note_holes(report: &mut CheckReport, place: Place, holes: Vec<RangeInclusive<i64>>) {
    for hole in holes {
        let what = format!("rows {} to {} cannot be read", hole.start(), hole.end());
        report.note(Finding { place, row: None, series: None, range_us: None, what });
    }
}

/// Notes what is wrong with a row that begins with its number, its series and the times it reaches over.
fn note_row(
    report: &mut CheckReport,
    place: Place,
    row: &Row<'_>,
    names: &BTreeMap<i64, String>,
    flaw: &str,
) -> rusqlite::Result<()> {
    let (id, series): (i64, i64) = (row.get(0)?, row.get(1)?);
    report.note(Finding {
        place,
        row: Some(id),
        series: names.get(&series).cloned(),
        range_us: Some((row.get(2)?, row.get(3)?)),
        what: flaw.to_owned(),
    });
    Ok(())
}

fn check_chunks(
    conn: &Connection,
    names: &BTreeMap<i64, String>,
    report: &mut CheckReport,
    step: &mut dyn FnMut(),
) -> rusqlite::Result<()> {
    let holes = CHUNKS.walk(conn, |row| {
        step();
        report.n_chunks += 1;
        let series: i64 = row.get(1)?;
        let flaw = match chunk_flaw(row)? {
            Ok(n_samples) => {
                report.n_samples += n_samples;
                (!names.contains_key(&series)).then_some("its series is unknown")
            }
            Err(flaw) => Some(flaw),
        };
        flaw.map_or(Ok(()), |flaw| note_row(report, Place::Chunk, row, names, flaw))
    })?;
    note_holes(report, Place::Chunk, holes);
    check_overlaps(conn, names, report)
}

/// How many readings a row of chunks holds, or what is wrong with it.
pub(super) fn chunk_flaw(row: &Row<'_>) -> rusqlite::Result<Result<u64, &'static str>> {
    let (Ok(series), Ok(n_samples), Ok(crc), Ok(n_bytes)) =
        (row.get::<_, u32>(1), row.get::<_, u32>(4), row.get::<_, u32>(6), row.get::<_, i64>(5))
    else {
        return Ok(Err("its numbers are none that a store writes"));
    };
    let Ok(blob) = row.get_ref(7)?.as_blob() else { return Ok(Err("it holds no blob")) };
    let sealed = Sealed { series, from_us: row.get(2)?, to_us: row.get(3)?, n_samples, crc, blob };
    if i64::try_from(blob.len()) != Ok(n_bytes) {
        return Ok(Err("its size is not what its row says"));
    }
    Ok(sealed.flaw().map_or(Ok(n_samples.into()), Err))
}

/// A row of a small table that does not fit its checksum.
pub(super) fn row_finding(flawed: &Flawed) -> Finding {
    let (place, what) = (Place::Row(flawed.table.name), flawed.what());
    Finding { place, row: flawed.id, series: None, range_us: None, what }
}

/// Chunks of one series must not overlap.
fn check_overlaps(
    conn: &Connection,
    names: &BTreeMap<i64, String>,
    report: &mut CheckReport,
) -> rusqlite::Result<()> {
    let mut before: Option<(i64, i64)> = None;
    let mut heads = conn.prepare("SELECT id, series, from_us, to_us FROM chunk ORDER BY series, from_us")?;
    let mut heads = heads.query([])?;
    let mut look = || -> rusqlite::Result<()> {
        while let Some(row) = heads.next()? {
            let (series, from_us, to_us): (i64, i64, i64) = (row.get(1)?, row.get(2)?, row.get(3)?);
            if before.is_some_and(|(other, end_us)| other == series && end_us >= from_us) {
                note_row(report, Place::Chunk, row, names, "it overlaps the chunk before it")?;
            }
            before = Some((series, to_us));
        }
        Ok(())
    };
    // The check of the pages has told what the index does not have right.
    look().or_else(|error| if is_damage(&error) { Ok(()) } else { Err(error) })
}

fn check_summaries(
    conn: &Connection,
    names: &BTreeMap<i64, String>,
    report: &mut CheckReport,
    step: &mut dyn FnMut(),
) -> rusqlite::Result<()> {
    let holes = SUMMARIES.walk(conn, |row| {
        step();
        report.n_summaries += 1;
        let series: i64 = row.get(1)?;
        let flaw =
            summary_flaw(row)?.or_else(|| (!names.contains_key(&series)).then_some("its series is unknown"));
        flaw.map_or(Ok(()), |flaw| note_row(report, Place::Summary, row, names, flaw))
    })?;
    note_holes(report, Place::Summary, holes);
    Ok(())
}

/// What is wrong with a row of hours or days, if anything.
pub(super) fn summary_flaw(row: &Row<'_>) -> rusqlite::Result<Option<&'static str>> {
    let (Ok(series), Ok(n_spans), Ok(crc)) =
        (row.get::<_, u32>(1), row.get::<_, u32>(4), row.get::<_, u32>(6))
    else {
        return Ok(Some("its numbers are none that a store writes"));
    };
    let Ok(blob) = row.get_ref(7)?.as_blob() else { return Ok(Some("it holds no blob")) };
    Ok(unpack(series, row.get(5)?, row.get(2)?, row.get(3)?, n_spans, crc, blob).err())
}

fn check_journal(
    conn: &Connection,
    names: &BTreeMap<i64, String>,
    report: &mut CheckReport,
    step: &mut dyn FnMut(),
) -> rusqlite::Result<()> {
    let holes = JOURNAL.walk(conn, |row| {
        step();
        report.n_journal_rows += 1;
        match journal_flaw(row, names)? {
            Ok(n_samples) => report.n_samples += n_samples,
            Err(flaw) => report.note(Finding {
                place: Place::Journal,
                row: Some(row.get(0)?),
                series: None,
                range_us: Some((row.get(1)?, row.get(2)?)),
                what: flaw.to_owned(),
            }),
        }
        Ok(())
    })?;
    note_holes(report, Place::Journal, holes);
    Ok(())
}

/// How many readings a journal row holds, or what is wrong with it.
pub(super) fn journal_flaw(
    row: &Row<'_>,
    names: &BTreeMap<i64, String>,
) -> rusqlite::Result<Result<u64, &'static str>> {
    let (from_us, to_us): (i64, i64) = (row.get(1)?, row.get(2)?);
    let (said_samples, said_bytes): (i64, i64) = (row.get(3)?, row.get(4)?);
    let Ok(blob) = row.get_ref(5)?.as_blob() else { return Ok(Err("it holds no blob")) };
    let Ok(journal) = Journal::open(blob) else { return Ok(Err("its checksum does not hold")) };
    let (mut n_samples, mut is_whole, mut is_within, mut is_known) = (0_i64, true, true, true);
    let groups = journal.groups(|group| {
        is_known &= names.contains_key(&group.series.into());
        is_whole &= group
            .points(|point: Point| {
                n_samples += 1;
                is_within &= (from_us..=to_us).contains(&point.at_us);
            })
            .is_ok();
    });
    Ok(if groups.is_err() || !is_whole {
        Err("its readings cannot be unpacked")
    } else if n_samples != said_samples || !is_within || i64::try_from(blob.len()) != Ok(said_bytes) {
        Err("its readings are not what its row says")
    } else if !is_known {
        Err("one of its series is unknown")
    } else {
        Ok(n_samples.cast_unsigned())
    })
}

fn check_diary(conn: &Connection, report: &mut CheckReport) -> rusqlite::Result<()> {
    let (row, what) = match diary::verify(conn) {
        Ok(DiaryProof::Whole { n_rows, .. }) => {
            report.n_diary_rows = n_rows;
            return Ok(());
        }
        Ok(DiaryProof::Broken { first_bad_id }) => {
            report.n_diary_rows = u64::try_from(first_bad_id - 1).unwrap_or(0);
            (Some(first_bad_id), "it was changed or removed after it was written".to_owned())
        }
        Err(error) if is_damage(&error) => (None, format!("it cannot be read: {error}")),
        Err(error) => return Err(error),
    };
    report.note(Finding { place: Place::Diary, row, series: None, range_us: None, what });
    Ok(())
}
