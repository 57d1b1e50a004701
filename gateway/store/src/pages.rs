//! Rows found page by page, where the pages that lead to them are bad.
//!
//! A table's rows lie on leaf pages; inner pages say where those are. When an inner page is bad, its leaves are whole and cannot be
//! reached by asking. This reads the database file itself (SQLite file format, "B-tree pages" and "Record format") and hands over every
//! row on a leaf that is in use; to which table it belongs, its columns tell the caller.
//!
//! Must not write, and must only be used while nobody else has the file open. Invariant: a bad page gives no row or fewer, never a panic.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::loose::Loose;

pub(super) const PAGE: usize = 4_096;
/// First byte of a leaf of a table.
pub(super) const LEAF: u8 = 13;
/// What a leaf keeps of a row before the rest goes to pages of its own: at most so much …
const LOCAL_MAX: usize = PAGE - 35;
/// … and then at least so much.
const LOCAL_MIN: usize = (PAGE - 12) * 32 / 255 - 23;
/// Largest row taken for one: a journal row of the largest commit.
const ROW_MAX: usize = 16 << 20;

/// A row with its number.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: i64,
    /// Its columns; the first is null where it is the number itself.
    pub(super) values: Vec<Loose>,
}

/// Hands over every row on every leaf that is in use.
pub(super) fn scan(path: &Path, each: &mut dyn FnMut(Found)) -> std::io::Result<()> {
    let mut pages = Pages::open(path)?;
    let Some(first) = pages.read(1)? else { return Ok(()) };
    if first.get(16..18) != Some(&[0x10, 0x00]) {
        return Ok(());
    }
    let free = pages.free(&first)?;
    pages.scan(&free, each)
}

/// As [`scan`] where the first page says nothing: also what lies on pages that were given back.
pub(super) fn scan_all(path: &Path, each: &mut dyn FnMut(Found)) -> std::io::Result<()> {
    Pages::open(path)?.scan(&BTreeSet::new(), each)
}

struct Pages {
    file: File,
    n_pages: u64,
}

impl Pages {
    fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        let n_pages = file.metadata()?.len() / PAGE as u64;
        Ok(Self { file, n_pages })
    }

    fn scan(&mut self, free: &BTreeSet<u64>, each: &mut dyn FnMut(Found)) -> std::io::Result<()> {
        for number in 2..=self.n_pages {
            if free.contains(&number) {
                continue;
            }
            let Some(page) = self.read(number)? else { continue };
            if page.first() != Some(&LEAF) {
                continue;
            }
            let n_cells = u16_at(&page, 3).unwrap_or(0);
            for idx in 0..usize::from(n_cells) {
                let Some(at) = u16_at(&page, 8 + idx * 2) else { break };
                if let Some(found) = self.row(&page, usize::from(at))? {
                    each(found);
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, number: u64) -> std::io::Result<Option<Vec<u8>>> {
        if number == 0 || number > self.n_pages {
            return Ok(None);
        }
        let mut page = vec![0; PAGE];
        self.file.seek(SeekFrom::Start((number - 1) * PAGE as u64))?;
        match self.file.read_exact(&mut page) {
            Ok(()) => Ok(Some(page)),
            // A bad sector.
            Err(_) => Ok(None),
        }
    }

    /// Pages that hold nothing any more, but may look as if.
    fn free(&mut self, first: &[u8]) -> std::io::Result<BTreeSet<u64>> {
        let mut free = BTreeSet::new();
        let mut trunk = u32_at(first, 32).map_or(0, u64::from);
        while trunk != 0 && free.insert(trunk) {
            let Some(page) = self.read(trunk)? else { break };
            let n = u32_at(&page, 4).unwrap_or(0);
            free.extend(
                (0..n).map_while(|idx| u32_at(&page, 8 + usize::try_from(idx).ok()? * 4)).map(u64::from),
            );
            trunk = u32_at(&page, 0).map_or(0, u64::from);
        }
        Ok(free)
    }

    /// The row of a cell.
    fn row(&mut self, page: &[u8], at: usize) -> std::io::Result<Option<Found>> {
        let mut cell = page.get(at..).unwrap_or_default();
        let (Some(n_bytes), Some(id)) = (varint(&mut cell), varint(&mut cell)) else { return Ok(None) };
        let Some(n_bytes) = usize::try_from(n_bytes).ok().filter(|n| *n <= ROW_MAX) else { return Ok(None) };
        let n_local = if n_bytes <= LOCAL_MAX {
            n_bytes
        } else {
            let wanted = LOCAL_MIN + (n_bytes - LOCAL_MIN) % (PAGE - 4);
            if wanted <= LOCAL_MAX { wanted } else { LOCAL_MIN }
        };
        let Some((local, rest)) = cell.split_at_checked(n_local) else { return Ok(None) };
        let mut payload = local.to_vec();
        let mut next = u32_at(rest, 0).unwrap_or(0);
        while payload.len() < n_bytes {
            let Some(more) = self.read(next.into())? else { return Ok(None) };
            let n = (n_bytes - payload.len()).min(PAGE - 4);
            payload.extend_from_slice(more.get(4..4 + n).unwrap_or_default());
            next = u32_at(&more, 0).unwrap_or(0);
        }
        Ok(record(&payload).map(|values| Found { id, values }))
    }
}

/// The columns of a record.
fn record(payload: &[u8]) -> Option<Vec<Loose>> {
    let mut cursor = payload;
    let n_head = usize::try_from(varint(&mut cursor)?).ok()?;
    let (head, mut body) = payload.split_at_checked(n_head)?;
    let mut types = head.get(payload.len() - cursor.len()..)?;
    let mut values = Vec::new();
    while !types.is_empty() {
        let kind = usize::try_from(varint(&mut types)?).ok()?;
        let n = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => (kind - 12) / 2,
        };
        let (bytes, rest) = body.split_at_checked(n)?;
        body = rest;
        values.push(match kind {
            0 => Loose::Null,
            1..=6 => Loose::Whole(whole(bytes)),
            7 => Loose::Real(f64::from_bits(whole(bytes).cast_unsigned())),
            8 => Loose::Whole(0),
            9 => Loose::Whole(1),
            _ if kind.is_multiple_of(2) => Loose::Blob(bytes.to_vec()),
            _ => Loose::Text(bytes.to_vec()),
        });
    }
    body.is_empty().then_some(values)
}

/// A big-endian whole number with its sign.
fn whole(bytes: &[u8]) -> i64 {
    let is_negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    bytes.iter().fold(if is_negative { -1 } else { 0 }, |number, byte| number << 8 | i64::from(*byte))
}

/// SQLite's number of one to nine bytes, highest first.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_i64;
    for idx in 0..9 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if idx == 8 {
            return Some(value << 8 | i64::from(*byte));
        }
        value = value << 7 | i64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn every_row_is_found_and_none_that_was_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.sqlite");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b REAL, c TEXT, d BLOB)").unwrap();
        let numbers = [0, 1, -1, 127, -128, 40_000, -9_000_000, 1 << 40, i64::MIN, i64::MAX];
        for n in 0..600_i64 {
            let a = numbers[usize::try_from(n).unwrap() % numbers.len()];
            let blob = vec![0x5a_u8; usize::try_from(n * n % 20_000).unwrap()];
            let c = (n % 3 > 0).then(|| "Lô mận".repeat(usize::try_from(n % 5).unwrap()));
            conn.execute(
                "INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5)",
                (n - 300, a, (n as f64 + 0.5) / 7.0, c, blob),
            )
            .unwrap();
        }
        conn.execute("DELETE FROM t WHERE id % 4 = 0", []).unwrap();
        let mut expected = Vec::new();
        let mut rows = conn.prepare("SELECT * FROM t ORDER BY id").unwrap();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<Loose> = (1..5).map(|idx| Loose::of(row.get_ref(idx).unwrap())).collect();
            expected.push((row.get::<_, i64>(0).unwrap(), values));
        }
        let mut found = Vec::new();
        scan(&path, &mut |row| {
            assert_eq!(row.values[0], Loose::Null);
            found.push((row.id, row.values[1..].to_vec()));
        })
        .unwrap();
        found.sort_by_key(|row| row.0);
        assert_eq!(found.len(), expected.len());
        assert!(found == expected);
    }

    #[test]
    fn foreign_bytes_are_no_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.sqlite");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, d BLOB)").unwrap();
        for n in 0..300 {
            conn.execute("INSERT INTO t VALUES (?1, zeroblob(?2))", (n, n * 37 % 9_000)).unwrap();
        }
        conn.close().unwrap();
        let whole = std::fs::read(&path).unwrap();
        for round in 0_usize..200 {
            let mut bytes = whole.clone();
            for n in 0..50 {
                let at = (round * 7_919 + n * 104_729) % (bytes.len() - 100) + 100;
                bytes[at] = u8::try_from((round * 31 + n * 17) % 256).unwrap();
            }
            std::fs::write(&path, bytes).unwrap();
            let mut n_rows = 0;
            scan(&path, &mut |_| n_rows += 1).unwrap();
            assert!(n_rows <= 3_000);
        }
    }
}
