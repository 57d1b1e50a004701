//! A database whose first page is bad, made readable: the schema is found on its own pages and led to by a new first page.
//!
//! The first page holds the header and, since the schema is longer than a page, only the way to the pages with the schema's rows. Those
//! rows say where each table begins, so with them everything else can be reached ("Database File Format", sections 1.3, 1.6 and 2.6). The
//! new first page and its schema come from an empty store whose rows are pointed at the tables found; they go to a copy, the schema's
//! pages behind its end.
//!
//! Must not change the damaged file. The copy is for reading only: its list of free pages is empty. Invariant: a table found at two places,
//! or not at all, makes the file unreadable rather than wrong.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::Value;

use super::open;
use super::pages::{PAGE, scan_all, u16_at, u32_at};

/// First byte of a table's page that leads to others.
const INNER: u8 = 5;

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

/// Copies a database with a new first page; `None` when its schema cannot be found.
pub(super) fn graft(path: &Path, to: &Path) -> anyhow::Result<Option<Graft>> {
    let graft = Graft { path: to.to_owned() };
    drop(File::create(to)?);
    let template = {
        let mut conn = Connection::open(to)?;
        open::make_schema(&mut conn)?;
        let roots = roots(&conn, path)?;
        let Some(roots) = roots else { return Ok(None) };
        conn.execute_batch("PRAGMA writable_schema = on; BEGIN")?;
        for (name, root) in roots {
            conn.execute("UPDATE sqlite_schema SET rootpage = ?2 WHERE name = ?1", (name, root))?;
        }
        conn.execute_batch("COMMIT")?;
        conn.close().map_err(|(_, error)| error)?;
        std::fs::read(to)?
    };
    std::fs::copy(path, to)?;
    let has_log = side(path, "-wal").exists();
    if has_log {
        std::fs::copy(side(path, "-wal"), side(to, "-wal"))?;
    }
    let mut file = File::options().write(true).open(to)?;
    let n_pages = file.metadata()?.len().div_ceil(PAGE as u64);
    let Some(pages) = transplant(&template, n_pages, has_log) else { return Ok(None) };
    let Some((first, rest)) = pages.split_first() else { return Ok(None) };
    file.write_all(first)?;
    file.seek(SeekFrom::Start(n_pages * PAGE as u64))?;
    rest.iter().try_for_each(|page| file.write_all(page))?;
    Ok(Some(graft))
}

/// Where each table and index of a store begins in a damaged file.
fn roots(template: &Connection, path: &Path) -> anyhow::Result<Option<BTreeMap<String, i64>>> {
    let wanted: BTreeMap<String, Option<String>> = template
        .prepare("SELECT name, sql FROM sqlite_schema WHERE rootpage > 0")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut found = BTreeMap::<String, i64>::new();
    let mut is_clear = true;
    scan_all(path, &mut |row| {
        let [Value::Text(_), Value::Text(name), Value::Text(_), Value::Integer(root), sql] =
            row.values.as_slice()
        else {
            return;
        };
        let sql = if let Value::Text(sql) = sql { Some(sql) } else { None };
        // Rows of an earlier schema may lie on pages that were given back.
        if *root > 0 && wanted.get(name).is_some_and(|wanted| wanted.as_ref() == sql) {
            is_clear &= found.insert(name.clone(), *root).is_none_or(|other| other == *root);
        }
    })?;
    Ok((is_clear && found.len() == wanted.len()).then_some(found))
}

/// The first page, and the schema's pages behind a file of `n_pages`.
fn transplant(template: &[u8], n_pages: u64, has_log: bool) -> Option<Vec<Vec<u8>>> {
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
    // A log is read only where the header says that there may be one.
    first.get_mut(18..20)?.fill(if has_log { 2 } else { 1 });
    first.get_mut(28..32)?.copy_from_slice(&n_all.to_be_bytes());
    first.get_mut(32..40)?.fill(0);
    let counter: [u8; 4] = first.get(24..28)?.try_into().ok()?;
    first.get_mut(92..96)?.copy_from_slice(&counter);
    pages.insert(0, first);
    Some(pages)
}
