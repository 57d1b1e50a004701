//! The table `summary`: hours and days of readings that were given up, packed in rows of ten days of hours or 320 days.
//!
//! Where a span lies, readings of that time are not counted again, so that a reading that comes once more after its hour was summed up
//! changes nothing. Hours stand for their day as long as they are kept. Must not decide what is given up (`thin` does).

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use rusqlite::{Connection, params};

use super::chunk::{checksum, spans};
use super::rows::is_damage;
use super::tally::{HOUR_US, Tally};
use super::types::Gap;

pub(super) const DAY_US: i64 = 24 * HOUR_US;

/// What a row of this length of spans covers: whole days, some kilobytes.
const fn window_us(span_us: i64) -> i64 {
    if span_us < DAY_US { 10 * DAY_US } else { 320 * DAY_US }
}

/// A span with its length.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) tally: Tally,
    pub(super) span_us: i64,
}

impl Span {
    pub(super) fn end_us(&self) -> i64 {
        self.tally.from_us.saturating_add(self.span_us)
    }
}

/// The spans of a series in order of time, read as far as they are needed.
#[derive(Debug)]
pub(super) struct Summaries {
    series: u32,
    /// Everything before was read.
    next_us: i64,
    pending: VecDeque<Span>,
    /// Parts that could not be read.
    pub(super) gaps: Vec<Gap>,
}

impl Summaries {
    /// From one row before `from_us`, for what held or counted until then.
    pub(super) fn before(conn: &Connection, series: u32, from_us: i64) -> rusqlite::Result<Self> {
        let sql = "SELECT max(from_us) FROM summary WHERE series = ?1 AND span_us = ?2 AND from_us < ?3";
        let last = |span_us: i64| -> rusqlite::Result<Option<i64>> {
            conn.prepare(sql)?.query_row(params![series, span_us, from_us], |row| row.get(0))
        };
        // Hours are kept less long than days, so if there are any they are the later ones.
        let next_us = match last(HOUR_US)? {
            Some(next_us) => next_us,
            None => last(DAY_US)?.unwrap_or(from_us),
        };
        Ok(Self { series, next_us, pending: VecDeque::new(), gaps: Vec::new() })
    }

    /// Reads what begins before `upto_us`.
    pub(super) fn read_until(&mut self, conn: &Connection, upto_us: i64) -> rusqlite::Result<()> {
        let range = self.next_us..upto_us;
        if range.is_empty() {
            return Ok(());
        }
        // Hours of a day that begins before the end tell whether the day itself is needed.
        let wider = range.start..upto_us.saturating_add(DAY_US);
        let hours = read(conn, self.series, HOUR_US, &wider, &mut self.gaps)?;
        let days = read(conn, self.series, DAY_US, &range, &mut self.gaps)?;
        let mut hours = hours.into_iter().peekable();
        for day in days {
            while let Some(hour) = hours.next_if(|hour| hour.tally.from_us < day.tally.from_us) {
                self.pending.push_back(hour);
            }
            if hours.peek().is_none_or(|hour| hour.tally.from_us >= day.end_us()) {
                self.pending.push_back(day);
            }
        }
        self.pending.extend(hours.take_while(|hour| hour.tally.from_us < upto_us));
        self.next_us = upto_us;
        Ok(())
    }

    /// True when the next span begins at or before a moment.
    pub(super) fn begins_by(&self, at_us: i64) -> bool {
        self.pending.front().is_some_and(|span| span.tally.from_us <= at_us)
    }

    /// The next span, if it begins at or before a moment.
    pub(super) fn next_until(&mut self, at_us: i64) -> Option<Span> {
        if self.begins_by(at_us) { self.pending.pop_front() } else { None }
    }
}

/// The spans of one length that begin in a range.
fn read(
    conn: &Connection,
    series: u32,
    span_us: i64,
    range: &Range<i64>,
    gaps: &mut Vec<Gap>,
) -> rusqlite::Result<Vec<Span>> {
    let mut found = read_rows(conn, series, span_us, range, gaps)?;
    found.retain(|tally| range.contains(&tally.from_us));
    Ok(found.into_iter().map(|tally| Span { tally, span_us }).collect())
}

/// All spans of the rows that reach into a range; a row that cannot be read is noted.
fn read_rows(
    conn: &Connection,
    series: u32,
    span_us: i64,
    range: &Range<i64>,
    gaps: &mut Vec<Gap>,
) -> rusqlite::Result<Vec<Tally>> {
    let n_before = gaps.len();
    match read_rows_at_once(conn, series, span_us, range, gaps) {
        Err(error) if is_damage(&error) => {
            gaps.truncate(n_before);
            read_rows_apart(conn, series, span_us, range, gaps)
        }
        read => read,
    }
}

fn read_rows_at_once(
    conn: &Connection,
    series: u32,
    span_us: i64,
    range: &Range<i64>,
    gaps: &mut Vec<Gap>,
) -> rusqlite::Result<Vec<Tally>> {
    let mut rows = conn.prepare_cached(
        "SELECT from_us, to_us, n_spans, crc32, blob FROM summary
         WHERE series = ?1 AND span_us = ?2 AND from_us < ?4 AND to_us > ?3 ORDER BY from_us",
    )?;
    let mut rows = rows.query(params![series, span_us, range.start, range.end])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (from_us, to_us, n_spans): (i64, i64, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let blob = row.get_ref(4)?.as_blob().unwrap_or_default();
        match unpack(series, span_us, from_us, to_us, n_spans, row.get(3)?, blob) {
            Ok(tallies) => found.extend(tallies),
            Err(_) => gaps.push(Gap { from_us, to_us, n_samples: n_spans.into(), is_set_aside: false }),
        }
    }
    Ok(found)
}

/// As [`read_rows_at_once`] where a page is bad: the index by time leads to each row.
fn read_rows_apart(
    conn: &Connection,
    series: u32,
    span_us: i64,
    range: &Range<i64>,
    gaps: &mut Vec<Gap>,
) -> rusqlite::Result<Vec<Tally>> {
    let mut heads = conn.prepare(
        "SELECT id, from_us, to_us, n_spans FROM summary INDEXED BY summary_by_time
         WHERE series = ?1 AND span_us = ?2 AND from_us < ?4 AND to_us > ?3 ORDER BY from_us",
    )?;
    let mut body = conn.prepare("SELECT crc32, blob FROM summary WHERE id = ?1")?;
    let mut heads = heads.query(params![series, span_us, range.start, range.end])?;
    let mut found = Vec::new();
    while let Some(head) = heads.next()? {
        let (from_us, to_us, n_spans): (i64, i64, u32) = (head.get(1)?, head.get(2)?, head.get(3)?);
        let read = body.query_row([head.get::<_, i64>(0)?], |row| {
            let blob = row.get_ref(1)?.as_blob().unwrap_or_default();
            Ok(unpack(series, span_us, from_us, to_us, n_spans, row.get(0)?, blob))
        });
        match read {
            Ok(Ok(tallies)) => found.extend(tallies),
            Err(error) if !is_damage(&error) => return Err(error),
            Ok(Err(_)) | Err(_) => {
                gaps.push(Gap { from_us, to_us, n_samples: n_spans.into(), is_set_aside: false });
            }
        }
    }
    Ok(found)
}

/// The spans of a row, or what is wrong with it.
pub(super) fn unpack(
    series: u32,
    span_us: i64,
    from_us: i64,
    to_us: i64,
    n_spans: u32,
    crc: u32,
    blob: &[u8],
) -> Result<Vec<Tally>, &'static str> {
    if checksum(series, from_us, to_us, n_spans, blob) != crc {
        return Err("its checksum does not hold");
    }
    let Ok((tallies, length_us)) = spans::decode(blob) else { return Err("its spans cannot be unpacked") };
    let ends = tallies.first().zip(tallies.last());
    let ends = ends.map(|(first, last)| (first.from_us, last.from_us.saturating_add(span_us)));
    if length_us != span_us || ends != Some((from_us, to_us)) || u32::try_from(tallies.len()) != Ok(n_spans) {
        return Err("its spans are not what its row says");
    }
    Ok(tallies)
}

/// Replaces what a series has of one length of spans in `range` (whole days east of UTC by `offset_us`) by `spans`.
pub(super) fn put(
    conn: &Connection,
    series: u32,
    span_us: i64,
    range: &Range<i64>,
    offset_us: i64,
    spans: Vec<Tally>,
) -> rusqlite::Result<()> {
    let window = window_us(span_us);
    let floor = |at_us: i64| {
        at_us.saturating_add(offset_us).div_euclid(window).saturating_mul(window).saturating_sub(offset_us)
    };
    let touched = floor(range.start)..floor(range.end.saturating_sub(1)).saturating_add(window);
    let mut gaps = Vec::new();
    let around = read_rows(conn, series, span_us, &touched, &mut gaps)?;
    if !gaps.is_empty() {
        set_aside(conn, series, span_us, &gaps)?;
    }
    conn.prepare("DELETE FROM summary WHERE series = ?1 AND span_us = ?2 AND from_us < ?4 AND to_us > ?3")?
        .execute(params![series, span_us, touched.start, touched.end])?;
    let mut rows = BTreeMap::<(i64, i64), BTreeMap<i64, Tally>>::new();
    let kept = around.into_iter().filter(|tally| !range.contains(&tally.from_us));
    for tally in kept.chain(spans) {
        // Spans of a row lie whole lengths apart; after a change of the farm's offset they need not.
        let key = (floor(tally.from_us), tally.from_us.rem_euclid(span_us));
        rows.entry(key).or_default().insert(tally.from_us, tally);
    }
    let mut add = conn.prepare(
        "INSERT INTO summary (series, span_us, from_us, to_us, n_spans, n_bytes, crc32, blob)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for row in rows.into_values() {
        let spans: Vec<Tally> = row.into_values().collect();
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { continue };
        let (from_us, to_us) = (first.from_us, last.from_us.saturating_add(span_us));
        let n_spans = u32::try_from(spans.len()).unwrap_or(u32::MAX);
        let blob = spans::encode(&spans, span_us);
        let crc = checksum(series, from_us, to_us, n_spans, &blob);
        let n_bytes = i64::try_from(blob.len()).unwrap_or(i64::MAX);
        add.execute(params![series, span_us, from_us, to_us, n_spans, n_bytes, crc, blob])?;
    }
    Ok(())
}

/// Moves damaged rows to the table of what was set aside.
fn set_aside(conn: &Connection, series: u32, span_us: i64, gaps: &[Gap]) -> rusqlite::Result<()> {
    for gap in gaps {
        let row = params![series, span_us, gap.from_us];
        conn.execute(
            "INSERT INTO damaged (kind, series, from_us, to_us, n_samples, reason, blob)
             SELECT 'summary', series, from_us, to_us, n_spans, 'checksum', blob FROM summary
             WHERE series = ?1 AND span_us = ?2 AND from_us = ?3",
            row,
        )?;
        conn.execute("DELETE FROM summary WHERE series = ?1 AND span_us = ?2 AND from_us = ?3", row)?;
        tracing::error!(
            series,
            from_us = gap.from_us,
            to_us = gap.to_us,
            "sums fail their checksum and were set aside"
        );
    }
    Ok(())
}

/// The end of what a series has in spans only, within a range.
pub(super) fn coarse_until(
    conn: &Connection,
    series: u32,
    range: &Range<i64>,
) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT max(to_us) FROM summary WHERE series = ?1 AND from_us < ?3 AND to_us > ?2")?
        .query_row(params![series, range.start, range.end], |row| row.get(0))
}
