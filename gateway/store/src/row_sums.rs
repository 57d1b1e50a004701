//! Checksums of the rows of small tables: devices, names of series, valve events, zones' memories, versions of the farm.
//!
//! The column `crc32` of such a row holds the CRC-32 (IEEE 802.3) of its table's name and of its columns in the order of [`TABLES`]. A
//! value is one byte for its kind and then:
//!
//! | kind | bytes |
//! |---|---|
//! | 0 nothing | none |
//! | 1 whole number | 8, little-endian |
//! | 2 other number | the 8 of its IEEE 754 form, little-endian |
//! | 3 text, 4 bytes | their number as 8 bytes little-endian, then themselves |
//!
//! 0 is no checksum: that of a row whose table had a bad page when it was to get one.
//!
//! Statements write it with the SQL function `row_crc32`, which every connection that writes to these tables has. Of a row that differs
//! from its checksum in one bit, that bit is known: the remainders of all single bits differ (CRC-32 does so up to 2^32 - 1 bits).
//!
//! Must not decide what becomes of a damaged row (`repair` does).

use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, Statement, params, params_from_iter};

use super::error::ReadError;
use super::loose::Loose;
use super::mend::read_through;
use super::reader::Reader;
use super::rows::is_damage;

/// Version of the schema that brought them.
pub(super) const SINCE: u32 = 7;

/// What is said of a row that does not fit its checksum.
const FLAW: &str = "its checksum does not hold";
/// What is said of one that does, and was spoilt before it had one.
const NO_TEXT: &str = "its text cannot be read";

/// A table whose rows carry checksums.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    /// What is summed.
    columns: &'static [&'static str],
}

/// All of them. What a series' latest reading was is in its journal and chunks.
pub(super) const TABLES: [Table; 5] = [
    Table { name: "series", key: "id", columns: &["id", "device", "metric"] },
    Table { name: "device", key: "id", columns: &["id", "kind", "label", "key", "created_us"] },
    Table { name: "zone_memory", key: "zone", columns: &["zone", "json"] },
    Table {
        name: "valve_event",
        key: "id",
        columns: &[
            "node",
            "valve",
            "at_us",
            "uncertainty_us",
            "open",
            "command",
            "closed_by",
            "run_ms",
            "volume_ml",
            "epoch",
            "seq",
        ],
    },
    Table {
        name: "farm_version",
        key: "id",
        columns: &["id", "saved_us", "by", "origin", "file", "note", "text", "in_force_us"],
    },
];

/// Makes `row_crc32(table, column, …)` known to a connection.
pub(super) fn install(conn: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    conn.create_scalar_function("row_crc32", -1, flags, |values| {
        Ok(i64::from(hash((0..values.len()).map(|idx| values.get_raw(idx)))))
    })
}

fn put(bytes: &mut Vec<u8>, value: ValueRef<'_>) {
    let mut put_long = |kind: u8, long: &[u8]| {
        bytes.push(kind);
        bytes.extend_from_slice(&u64::try_from(long.len()).unwrap_or(u64::MAX).to_le_bytes());
        bytes.extend_from_slice(long);
    };
    match value {
        ValueRef::Text(text) => put_long(3, text),
        ValueRef::Blob(blob) => put_long(4, blob),
        ValueRef::Null => bytes.push(0),
        ValueRef::Integer(number) => {
            bytes.push(1);
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        ValueRef::Real(number) => {
            bytes.push(2);
            bytes.extend_from_slice(&number.to_bits().to_le_bytes());
        }
    }
}

/// A row that does not fit its checksum.
#[derive(Debug, Clone)]
pub(super) struct Flawed {
    pub(super) table: &'static Table,
    /// Of numbered rows.
    pub(super) id: Option<i64>,
    key: Loose,
    values: Vec<Loose>,
    /// Its checksum as it lies there.
    sum: Loose,
    said: i64,
    found: u32,
}

impl Flawed {
    /// The row's name, where it has no number, and what is wrong.
    pub(super) fn what(&self) -> String {
        let flaw = if holds(self.said, self.found) { NO_TEXT } else { FLAW };
        match &self.key {
            Loose::Text(key) => format!("{:?}: {flaw}", String::from_utf8_lossy(key)),
            Loose::Null | Loose::Whole(_) | Loose::Real(_) | Loose::Blob(_) => flaw.to_owned(),
        }
    }

    /// The column that differs in one bit, with the value it had; `None` when more has changed. Without a column it is the checksum.
    fn single_bit(&self) -> Option<Option<(&'static str, Loose)>> {
        let found = i64::from(self.found);
        let is_found = |said: Loose| said == Loose::Whole(found);
        if (self.said ^ found).count_ones() == 1 || Loose::Whole(self.said).with_other_signs().any(is_found) {
            return Some(None);
        }
        self.bit_of_a_byte().or_else(|| self.sign()).map(Some)
    }

    /// The column of which a single bit of a byte differs, with the value it had.
    fn bit_of_a_byte(&self) -> Option<(&'static str, Loose)> {
        let wanted = u32::try_from(self.said ^ i64::from(self.found)).ok()?;
        // The remainder that a changed bit of the last byte leaves, by bit; a byte further from the end is one step more.
        let mut remainders: [u32; 8] = std::array::from_fn(|bit| step(1 << bit));
        for (idx, value) in self.values.iter().enumerate().rev() {
            for byte in (0..value.n_bytes()).rev() {
                if let Some(bit) = remainders.iter().position(|remainder| *remainder == wanted) {
                    let column = self.table.columns.get(idx)?;
                    return Some((column, value.with_flipped(byte, 1 << bit)?));
                }
                remainders = remainders.map(step);
            }
            let n_before = match value {
                Loose::Blob(_) | Loose::Text(_) => 9,
                Loose::Null | Loose::Whole(_) | Loose::Real(_) => 1,
            };
            (0..n_before).for_each(|_| remainders = remainders.map(step));
        }
        None
    }

    /// The column of whole numbers of which the highest bit that is stored differs, with the value it had.
    fn sign(&self) -> Option<(&'static str, Loose)> {
        let fits = |idx: usize, other: &Loose| {
            let values = self.values.iter().enumerate();
            let values = values.map(|(at, value)| if at == idx { other } else { value });
            i64::from(sum(self.table.name, values.map(Loose::value))) == self.said
        };
        self.table.columns.iter().zip(&self.values).enumerate().find_map(|(idx, (column, value))| {
            Some((*column, value.with_other_signs().find(|other| fits(idx, other))?))
        })
    }

    /// Sets a single changed bit right; `false` when more has changed.
    pub(super) fn set_right(&self, conn: &Connection) -> rusqlite::Result<bool> {
        let Table { name, key, .. } = self.table;
        match self.single_bit() {
            None => Ok(false),
            Some(None) => self.keep(conn),
            Some(Some((column, value))) => {
                // A changed key may be that of another row, which fits its own checksum.
                let sql =
                    format!("UPDATE OR IGNORE {name} SET {column} = ?1 WHERE {key} = ?2 AND +crc32 IS ?3");
                Ok(conn.execute(&sql, params![value, self.key, self.sum])? == 1)
            }
        }
    }

    /// Lets the row stand as it reads; text that cannot be read gets marks where it is none. `false` when it is gone, or would be another's
    /// double then.
    pub(super) fn keep(&self, conn: &Connection) -> rusqlite::Result<bool> {
        let Table { name, key, columns } = self.table;
        let values: Vec<Loose> = self.values.iter().map(Loose::readable).collect();
        let crc = Loose::Whole(sum(name, values.iter().map(Loose::value)).into());
        let set = format!("{} = ?, crc32 = ?", columns.join(" = ?, "));
        let sql = format!("UPDATE OR IGNORE {name} SET {set} WHERE {key} = ? AND +crc32 IS ?");
        Ok(conn.execute(&sql, params_from_iter(values.iter().chain([&crc, &self.key, &self.sum])))? == 1)
    }

    /// Whose memory it is, if it is one.
    pub(super) fn memory_of(&self) -> Option<String> {
        let Loose::Text(name) = &self.key else { return None };
        (self.table.name == "zone_memory").then(|| String::from_utf8_lossy(name).into_owned())
    }

    /// Whether a single bit has changed.
    pub(super) fn is_single_bit(&self) -> bool {
        self.single_bit().is_some()
    }
}

/// Sets a single changed bit right in a row that is to be written somewhere else; whether there was one. There it may be another row's
/// double, so that nobody could see it any more.
pub(super) fn set_right_in(name: &str, columns: &[String], values: &mut [Loose]) -> bool {
    let Some(table) = TABLES.iter().find(|table| table.name == name) else { return false };
    let idx_of = |column: &str| columns.iter().position(|other| other == column);
    let Some(at_sum) = idx_of("crc32") else { return false };
    let summed: Option<Vec<usize>> = table.columns.iter().map(|column| idx_of(column)).collect();
    let Some(summed) = summed else { return false };
    let of_row: Option<Vec<&Loose>> = summed.iter().map(|idx| values.get(*idx)).collect();
    let (Some(of_row), Some(Loose::Whole(said))) = (of_row, values.get(at_sum)) else { return false };
    let (said, found) = (*said, sum(name, of_row.iter().map(|value| value.value())));
    if holds(said, found) {
        return false;
    }
    let key = idx_of(table.key).and_then(|idx| values.get(idx)).cloned().unwrap_or(Loose::Null);
    let of_row = of_row.into_iter().cloned().collect();
    let flawed = Flawed { table, id: None, key, values: of_row, sum: Loose::Whole(said), said, found };
    let (at, value) = match flawed.single_bit() {
        None => return false,
        Some(None) => (Some(at_sum), Loose::Whole(found.into())),
        Some(Some((column, value))) => (idx_of(column), value),
    };
    let place = at.and_then(|at| values.get_mut(at));
    place.map(|place| *place = value).is_some()
}

/// The number under which a row fits its checksum, if that is its own or differs from it in one bit. `columns` begin with the number.
pub(super) fn own_number(name: &str, columns: &[String], values: &[Loose]) -> Option<i64> {
    let table = TABLES.iter().find(|table| table.name == name)?;
    let of = |column: &str| values.get(columns.iter().position(|other| other == column)?);
    let Loose::Whole(id) = of(table.key)? else { return None };
    let Loose::Whole(said) = of("crc32")? else { return None };
    let ids = std::iter::once(*id).chain((0..63).map(|bit| id ^ 1 << bit));
    ids.into_iter().find(|id| {
        let number = Loose::Whole(*id);
        let summed: Option<Vec<&Loose>> = table
            .columns
            .iter()
            .map(|column| if *column == table.key { Some(&number) } else { of(column) })
            .collect();
        summed.is_some_and(|summed| i64::from(sum(name, summed.into_iter().map(Loose::value))) == *said)
    })
}

/// The remainder one byte further from the end (CRC-32, polynomial 0xEDB88320, reflected).
fn step(remainder: u32) -> u32 {
    (0..8).fold(remainder, |rest, _| if rest & 1 == 1 { rest >> 1 ^ 0xedb8_8320 } else { rest >> 1 })
}

/// The checksum of a row of a table.
fn sum<'v>(table: &'v str, values: impl Iterator<Item = ValueRef<'v>>) -> u32 {
    hash(std::iter::once(ValueRef::Text(table.as_bytes())).chain(values))
}

fn hash<'v>(values: impl Iterator<Item = ValueRef<'v>>) -> u32 {
    let mut bytes = Vec::new();
    values.for_each(|value| put(&mut bytes, value));
    crc32fast::hash(&bytes)
}

/// Whether a row fits the checksum it says, or has none.
fn holds(said: i64, found: u32) -> bool {
    said == 0 || said == i64::from(found)
}

impl Table {
    fn read(&'static self, row: &Row<'_>) -> rusqlite::Result<Option<Flawed>> {
        let values: rusqlite::Result<Vec<ValueRef<'_>>> =
            (2..).zip(self.columns).map(|(idx, _)| row.get_ref(idx)).collect();
        let values = values?;
        let found = sum(self.name, values.iter().copied());
        // What is no number fits no row.
        let said: i64 = row.get(1).unwrap_or(-1);
        // Text that was none before there were checksums has one that holds.
        let is_text = values.iter().all(|value| match value {
            ValueRef::Text(text) => std::str::from_utf8(text).is_ok(),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => true,
        });
        if is_text && holds(said, found) {
            return Ok(None);
        }
        let values = values.into_iter().map(Loose::of).collect();
        let (id, key, sum) = (row.get(0).ok(), Loose::of(row.get_ref(0)?), Loose::of(row.get_ref(1)?));
        Ok(Some(Flawed { table: self, id, key, values, sum, said, found }))
    }

    fn select<'c>(&self, conn: &'c Connection) -> rusqlite::Result<Statement<'c>> {
        let Self { name, key, columns } = self;
        let columns = columns.join(", ");
        conn.prepare(&format!("SELECT {key}, crc32, {columns} FROM {name} NOT INDEXED"))
    }

    fn each_flawed(&'static self, conn: &Connection, note: &mut dyn FnMut(Flawed)) -> rusqlite::Result<()> {
        let mut rows = self.select(conn)?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            self.read(row)?.into_iter().for_each(&mut *note);
        }
        Ok(())
    }
}

/// The tables that can be read to their end.
pub(super) fn readable(conn: &Connection) -> rusqlite::Result<Vec<&'static Table>> {
    let mut found = Vec::new();
    for table in &TABLES {
        match read_through(conn, table.name) {
            Ok(()) => found.push(table),
            Err(error) if is_damage(&error) => {
                tracing::warn!(table = table.name, %error, "rows of a damaged table get no checksums");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Gives every row that has no checksum the one of what it holds.
pub(super) fn seal(conn: &Connection, tables: &[&Table]) -> rusqlite::Result<()> {
    unlocked(conn, |conn| {
        for Table { name, columns, .. } in tables {
            let sum = format!("row_crc32('{name}', {})", columns.join(", "));
            conn.execute(&format!("UPDATE {name} SET crc32 = {sum} WHERE crc32 = 0"), [])?;
        }
        Ok(())
    })
}

/// Does something to rows that otherwise stay as they were written.
pub(super) fn unlocked<T>(
    conn: &Connection,
    change: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let sql = "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = 'farm_keeps_words'";
    let trigger: Option<String> = conn.query_row(sql, [], |row| row.get(0)).optional()?;
    conn.execute_batch("DROP TRIGGER IF EXISTS farm_keeps_words")?;
    let changed = change(conn)?;
    trigger.map_or(Ok(()), |trigger| conn.execute_batch(&trigger))?;
    Ok(changed)
}

/// Every row that does not fit its checksum. What lies on bad pages, or behind them, is left to the check of the pages.
pub(super) fn flawed(conn: &Connection) -> rusqlite::Result<Vec<Flawed>> {
    flawed_of(conn, TABLES.iter())
}

/// As [`flawed`], of those rows that decide about water.
pub(super) fn flawed_deciding(conn: &Connection) -> rusqlite::Result<Vec<Flawed>> {
    flawed_of(conn, TABLES.iter().filter(|table| decides(table.name)))
}

/// Whether what a row of a table says opens or closes a valve, or keeps somebody from it: locks, faults, keys, the farm itself.
pub(super) fn decides(table: &str) -> bool {
    ["zone_memory", "device", "farm_version"].contains(&table)
}

fn flawed_of(
    conn: &Connection,
    tables: impl Iterator<Item = &'static Table>,
) -> rusqlite::Result<Vec<Flawed>> {
    let mut all = Vec::new();
    for table in tables {
        match table.each_flawed(conn, &mut |flawed| all.push(flawed)) {
            Err(error) if !is_damage(&error) => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(all)
}

impl Reader {
    /// Rows of small tables whose checksum does not hold, named.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn flawed_rows(&self) -> Result<Vec<super::Finding>, ReadError> {
        Ok(self.with(flawed)?.iter().map(super::check::row_finding).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_one_of_the_module_doc() {
        let conn = Connection::open_in_memory().unwrap();
        install(&conn).unwrap();
        let sql = "SELECT row_crc32('device', 'n01', 'Vườn', x'01ff', -5, 1.5, NULL)";
        // By Python's struct and zlib.
        assert_eq!(conn.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap(), 3_905_620_276);
    }

    #[test]
    fn every_single_bit_is_found_and_two_are_not() {
        let conn = Connection::open_in_memory().unwrap();
        install(&conn).unwrap();
        conn.execute_batch(
            "CREATE TABLE device (id, kind, label, key, created_us, crc32);
             INSERT INTO device VALUES ('n01', 'node', 'Vườn mận', x'0102ff', 1700000000000000, 0);
             INSERT INTO device VALUES ('n02', '', '', NULL, -1.5, 0);
             UPDATE device SET crc32 = row_crc32('device', id, kind, label, key, created_us)",
        )
        .unwrap();
        let table: &'static Table = TABLES.iter().find(|table| table.name == "device").unwrap();
        let columns = table.columns.join(", ");
        let mut rows = conn.prepare(&format!("SELECT id, crc32, {columns} FROM device")).unwrap();
        let mut rows = rows.query([]).unwrap();
        let mut n_bits = 0;
        while let Some(row) = rows.next().unwrap() {
            assert!(table.read(row).unwrap().is_none());
            let whole: Vec<Loose> = (2..7).map(|idx| Loose::of(row.get_ref(idx).unwrap())).collect();
            let said = row.get(1).unwrap();
            let flawed = |values: Vec<Loose>| {
                let found = sum("device", values.iter().map(Loose::value));
                Flawed {
                    table,
                    id: None,
                    key: whole[0].clone(),
                    values,
                    sum: Loose::Whole(said),
                    said,
                    found,
                }
            };
            let bits = whole.iter().enumerate().flat_map(|(idx, value)| {
                (0..value.n_bytes()).flat_map(move |byte| (0..8).map(move |bit| (idx, byte, 1 << bit)))
            });
            let bits: Vec<(usize, usize, u8)> = bits.collect();
            let flip = |mut values: Vec<Loose>, (idx, byte, mask): (usize, usize, u8)| {
                values[idx] = values[idx].with_flipped(byte, mask).unwrap();
                values
            };
            for (at, bit) in bits.iter().copied().enumerate() {
                let one = flip(whole.clone(), bit);
                let told = flawed(one.clone()).single_bit();
                assert_eq!(told, Some(Some((table.columns[bit.0], whole[bit.0].clone()))), "{bit:?}");
                if let Some(other) = bits.get(at + 1) {
                    assert_eq!(flawed(flip(one, *other)).single_bit(), None, "{bit:?} {other:?}");
                }
            }
            n_bits += bits.len();
        }
        assert!(n_bits > 300, "{n_bits}");
    }
}
