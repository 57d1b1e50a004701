//! A database whose first page or schema is bad, made readable: the schema is found on its own pages and led to by a new first page.
//!
//! The first page holds the header and, since the schema is longer than a page, only the way to the pages with the schema's rows. Those
//! rows say where each table begins, so with them everything else can be reached ("Database File Format", sections 1.3, 1.6 and 2.6). The
//! new first page and its schema come from an empty store whose rows are pointed at the tables found; they go to a copy, the schema's
//! pages behind its end. Where a page of the schema is bad too, its tables are looked for where an empty store has them.
//!
//! Must not change the damaged file. The copy is for reading only: its list of free pages is empty. Invariant: a table found at two places,
//! or not at all, makes the file unreadable rather than wrong.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::log_look::bring_into;
use super::loose::Loose;
use super::open;
use super::pages::{LEAF, PAGE, scan_all, u16_at, u32_at};

/// First byte of a table's page that leads to others.
const INNER: u8 = 5;

/// What a root is called where it is told who leads to a page.
const MAP_ROOT: u8 = 1;

/// Pages that a file may lack; a header that says more is none.
const PAGES_CUT_MAX: u64 = 1 << 20;

/// Where the header ends and the first page's own rows begin.
const HEADER: usize = 100;

/// The files of a copy, removed with it.
#[derive(Debug)]
pub(super) struct Graft {
    pub(super) path: PathBuf,
}

impl Drop for Graft {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            // What is left of it is overwritten by the next try.
            std::fs::remove_file(side(&self.path, end)).ok();
        }
    }
}

fn side(path: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", path.display()))
}

/// Copies a database with a new first page and schema; `None` when its tables cannot be found. Its log goes into the copy.
pub(super) fn graft(path: &Path, to: &Path) -> anyhow::Result<Option<Graft>> {
    let graft = Graft { path: to.to_owned() };
    let merged = Graft { path: side(to, ".merged") };
    std::fs::copy(path, &merged.path)?;
    let file = File::options().read(true).write(true).open(&merged.path)?;
    bring_into(&side(path, "-wal"), &file)?;
    let n_pages = n_pages(&file)?;
    file.set_len(n_pages * PAGE as u64)?;
    drop(file);
    drop(File::create(to)?);
    let template = {
        let mut conn = Connection::open(to)?;
        open::make_schema(&mut conn)?;
        // Nobody else knows this file, so that no lock is lost.
        let roots = roots(&conn, &std::fs::read(to)?, &merged.path)?;
        let Some(roots) = roots else { return Ok(None) };
        conn.execute_batch("PRAGMA writable_schema = on; BEGIN")?;
        for (name, root) in roots {
            conn.execute("UPDATE sqlite_schema SET rootpage = ?2 WHERE name = ?1", (name, root))?;
        }
        conn.execute_batch("COMMIT")?;
        conn.close().map_err(|(_, error)| error)?;
        std::fs::read(to)?
    };
    std::fs::rename(&merged.path, to)?;
    let mut file = File::options().write(true).open(to)?;
    let Some(pages) = transplant(&template, n_pages) else { return Ok(None) };
    let Some((first, rest)) = pages.split_first() else { return Ok(None) };
    file.write_all(first)?;
    file.seek(SeekFrom::Start(n_pages * PAGE as u64))?;
    rest.iter().try_for_each(|page| file.write_all(page))?;
    Ok(Some(graft))
}

/// True when the first page is that of a database whose header says what it is.
pub(super) fn has_header(path: &Path) -> bool {
    let mut first = [0; HEADER];
    File::open(path).is_ok_and(|file| file.read_exact_at(&mut first, 0).is_ok()) && is_header(&first)
}

fn is_header(first: &[u8]) -> bool {
    first.starts_with(b"SQLite format 3\0") && first.get(16..18) == Some(&[0x10, 0x00])
}

/// How many pages a file has; of one cut short, how many it had: what is missing must not be taken for what comes behind it.
fn n_pages(file: &File) -> std::io::Result<u64> {
    let there = file.metadata()?.len().div_ceil(PAGE as u64);
    let mut first = [0; HEADER];
    let is_read = file.read_exact_at(&mut first, 0).is_ok() && is_header(&first);
    let had = u32_at(&first, 28).filter(|_| is_read).map_or(0, u64::from);
    Ok(if had <= there + PAGES_CUT_MAX { there.max(had) } else { there })
}

/// Where each table and index of a store begins in a damaged file.
fn roots(template: &Connection, pages: &[u8], path: &Path) -> anyhow::Result<Option<BTreeMap<String, i64>>> {
    let wanted: BTreeMap<String, (Option<String>, i64)> = template
        .prepare("SELECT name, sql, rootpage FROM sqlite_schema WHERE rootpage > 0")?
        .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
        .collect::<rusqlite::Result<_>>()?;
    let mut found = BTreeMap::<String, i64>::new();
    let mut is_clear = true;
    scan_all(path, &mut |row| {
        let [Loose::Text(_), Loose::Text(name), Loose::Text(_), Loose::Whole(root), sql] =
            row.values.as_slice()
        else {
            return;
        };
        let Ok(name) = std::str::from_utf8(name) else { return };
        let sql = if let Loose::Text(sql) = sql { Some(sql.as_slice()) } else { None };
        // Rows of an earlier schema may lie on pages that were given back.
        if *root > 0 && wanted.get(name).is_some_and(|wanted| wanted.0.as_deref().map(str::as_bytes) == sql) {
            is_clear &= found.insert(name.to_owned(), *root).is_none_or(|other| other == *root);
        }
    })?;
    if !is_clear {
        return Ok(None);
    }
    // A page of the schema is bad as well. The tables of a file that can give pages back begin on its first pages, in the order in which
    // they were made: where those of an empty store do.
    let is_like = found.iter().all(|(name, root)| wanted.get(name).is_some_and(|(_, other)| other == root));
    if found.len() == wanted.len() {
        return Ok(Some(found));
    }
    if !is_like || found.is_empty() && !has_header(path) {
        return Ok(None);
    }
    let file = File::open(path)?;
    for (name, (_, root)) in &wanted {
        let at = usize::try_from(*root - 1)?.saturating_mul(PAGE);
        if !found.contains_key(name) && !may_begin(&file, *root, pages.get(at) == Some(&LEAF))? {
            return Ok(None);
        }
    }
    Ok(Some(wanted.into_iter().map(|(name, (_, root))| (name, root)).collect()))
}

/// Whether a table with numbers, or one without or an index, may begin on a page: nothing that can be read says otherwise.
fn may_begin(file: &File, root: i64, has_numbers: bool) -> std::io::Result<bool> {
    let mut kind = [0; 1];
    let (root, page) = (root.cast_unsigned(), PAGE as u64);
    // Behind the end there is nothing.
    if file.metadata()?.len() < root * page {
        return Ok(true);
    }
    file.read_exact_at(&mut kind, (root - 1) * page)?;
    // Who leads to pages is told on the second page and others like it: here only of those that it tells of ("Pointer Map Pages").
    let mut map = [0; PAGE];
    file.read_exact_at(&mut map, page)?;
    let entry = usize::try_from(root).ok().and_then(|root| root.checked_sub(3)?.checked_mul(5));
    let is_mapped = map.first() == Some(&MAP_ROOT);
    let is_root = !is_mapped || entry.and_then(|at| map.get(at)) == Some(&MAP_ROOT);
    let [kind] = kind;
    let is_other = if has_numbers { [2, 10].contains(&kind) } else { [INNER, LEAF].contains(&kind) };
    Ok(is_root && !is_other)
}

/// The first page, and the schema's pages behind a file of `n_pages`.
fn transplant(template: &[u8], n_pages: u64) -> Option<Vec<Vec<u8>>> {
    let page = |number: u32| {
        let from = usize::try_from(number.checked_sub(1)?).ok()?.checked_mul(PAGE)?;
        template.get(from..from.checked_add(PAGE)?).map(<[u8]>::to_vec)
    };
    let mut first = page(1)?;
    let mut pages = Vec::new();
    if first.get(HEADER) == Some(&INNER) {
        let n_cells = usize::from(u16_at(&first, HEADER + 3)?);
        let mut places = vec![HEADER + 8];
        for idx in 0..n_cells {
            places.push(u16_at(&first, HEADER + 12 + idx * 2)?.into());
        }
        for at in places {
            let leaf = page(u32_at(&first, at)?)?;
            if leaf.first() == Some(&INNER) {
                return None;
            }
            pages.push(leaf);
            let number = u32::try_from(n_pages.checked_add(u64::try_from(pages.len()).ok()?)?).ok()?;
            first.get_mut(at..at + 4)?.copy_from_slice(&number.to_be_bytes());
        }
    }
    let n_all = u32::try_from(n_pages.checked_add(u64::try_from(pages.len()).ok()?)?).ok()?;
    // Without a log.
    first.get_mut(18..20)?.fill(1);
    first.get_mut(28..32)?.copy_from_slice(&n_all.to_be_bytes());
    first.get_mut(32..40)?.fill(0);
    let counter: [u8; 4] = first.get(24..28)?.try_into().ok()?;
    first.get_mut(92..96)?.copy_from_slice(&counter);
    pages.insert(0, first);
    Some(pages)
}
