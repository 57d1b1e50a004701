//! The reading and packing half of folding, on a thread beside the writer: it goes through the journal's oldest rows and hands over what
//! is to be written, part by part, a bounded number of parts ahead.
//!
//! Its connection can only read, and no transaction of it lasts longer than one look at the journal, so that the log can begin anew.
//! While it works nobody else may change chunks: it prepares changes of the chunks that it sees.
//!
//! Must not write. Invariant: memory is bounded by [`LOAD_SAMPLES_MAX`], whatever the length of the journal.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;

use rusqlite::Connection;

use super::seal::{Change, Finding, seal};
use super::{LOAD_SAMPLES_MAX, STEP_SAMPLES_MAX, STEP_SERIES_MAX};
use crate::backlog::{Left, Leftovers, SinkPlaces};
use crate::journal::{Group, Journal};
use crate::types::{Point, sort_latest_wins};

/// What is handed over.
#[derive(Debug)]
pub(super) enum Part {
    /// Series that are written in one transaction.
    Series(Vec<SeriesChange>),
    /// Nothing follows.
    End(Folded),
    /// Reading failed, and nothing follows.
    Failed(String),
}

/// What one series becomes.
#[derive(Debug)]
pub(super) struct SeriesChange {
    pub(super) series: u32,
    pub(super) change: Change,
    /// What sinks have not got.
    pub(super) left: Left,
}

/// The journal rows that are in chunks once all parts are written.
#[derive(Debug, Default)]
pub(super) struct Folded {
    /// All up to here; `None`: the journal was empty.
    pub(super) upto_id: Option<i64>,
    /// Those that could not be read to their end.
    pub(super) damaged: BTreeSet<i64>,
}

/// Series and how many samples each has, ascending: as much as fits into memory.
type Portion = Vec<(u32, usize)>;

/// Goes through the oldest journal rows up to `bytes_max`, until `hand_over` breaks.
pub(super) fn prepare(
    conn: &Connection,
    bytes_max: u64,
    sinks: &SinkPlaces,
    hand_over: &mut dyn FnMut(Part) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    let mut folded = Folded { upto_id: last_row(conn, bytes_max)?, damaged: BTreeSet::new() };
    let Some(upto_id) = folded.upto_id else {
        let _nobody_waits = hand_over(Part::End(folded));
        return Ok(());
    };
    let mut finding = Finding::prepare(conn)?;
    for portion in portions(conn, upto_id, &mut folded.damaged)? {
        let mut leftovers = Leftovers::begin(conn, sinks)?;
        let mut loaded = Loaded::read(conn, upto_id, &portion, &mut leftovers, &mut folded.damaged)?;
        let (mut changes, mut n_samples) = (Vec::new(), 0);
        while let Some((series, points)) = loaded.next_series() {
            let change = seal(&mut finding, series, &points)?;
            n_samples += change.n_samples;
            changes.push(SeriesChange { series, change, left: leftovers.of(series) });
            if (n_samples >= STEP_SAMPLES_MAX || changes.len() >= STEP_SERIES_MAX)
                && hand_over(Part::Series(std::mem::take(&mut changes))).is_break()
            {
                return Ok(());
            }
            n_samples = if changes.is_empty() { 0 } else { n_samples };
        }
        if !changes.is_empty() && hand_over(Part::Series(changes)).is_break() {
            return Ok(());
        }
    }
    let _nobody_waits = hand_over(Part::End(folded));
    Ok(())
}

/// The last of the oldest rows up to `bytes_max`; `None` when the journal is empty.
fn last_row(conn: &Connection, bytes_max: u64) -> rusqlite::Result<Option<i64>> {
    let mut rows = conn.prepare("SELECT id, n_bytes FROM journal ORDER BY id")?;
    let mut rows = rows.query([])?;
    let (mut upto_id, mut n_bytes) = (None, 0_u64);
    while let Some(row) = rows.next()? {
        upto_id = Some(row.get(0)?);
        n_bytes = n_bytes.saturating_add(row.get::<_, u32>(1)?.into());
        if n_bytes >= bytes_max {
            break;
        }
    }
    Ok(upto_id)
}

/// Hands every journal group up to `upto_id` over, which says whether it is whole; notes the rows that are not.
fn for_each_group(
    conn: &Connection,
    upto_id: i64,
    damaged: &mut BTreeSet<i64>,
    mut each: impl FnMut(i64, Group<'_>) -> bool,
) -> rusqlite::Result<()> {
    let mut rows = conn.prepare("SELECT blob, id FROM journal WHERE id <= ?1 ORDER BY id")?;
    let mut rows = rows.query([upto_id])?;
    while let Some(row) = rows.next()? {
        let id = row.get(1)?;
        let mut is_whole = true;
        // Of a row that only breaks inside, what is readable is kept.
        let read = Journal::open(row.get_ref(0)?.as_blob()?)
            .and_then(|journal| journal.groups(|group| is_whole &= each(id, group)));
        if read.is_err() || !is_whole {
            damaged.insert(id);
        }
    }
    Ok(())
}

/// Cuts the series into portions whose samples fit into memory.
fn portions(
    conn: &Connection,
    upto_id: i64,
    damaged: &mut BTreeSet<i64>,
) -> rusqlite::Result<VecDeque<Portion>> {
    let mut n_by_series = BTreeMap::<u32, usize>::new();
    for_each_group(conn, upto_id, damaged, |_, group| {
        *n_by_series.entry(group.series).or_default() += group.n_samples;
        true
    })?;
    let mut portions = VecDeque::new();
    let (mut portion, mut n) = (Portion::new(), 0);
    for (series, n_samples) in n_by_series {
        if n > 0 && n + n_samples > LOAD_SAMPLES_MAX {
            portions.push_back(std::mem::take(&mut portion));
            n = 0;
        }
        n += n_samples;
        portion.push((series, n_samples));
    }
    portions.push_back(portion);
    Ok(portions)
}

/// The samples of a portion, series by series.
#[derive(Debug)]
struct Loaded {
    /// Each series' samples in the order of the journal, one series behind the other.
    points: Vec<Point>,
    series: VecDeque<Place>,
}

/// Where the samples of a series are.
#[derive(Debug, Clone, Copy)]
struct Place {
    series: u32,
    start: usize,
    /// End of what was read so far, and of its room.
    filled: usize,
    end: usize,
}

impl Loaded {
    fn read(
        conn: &Connection,
        upto_id: i64,
        portion: &Portion,
        leftovers: &mut Leftovers,
        damaged: &mut BTreeSet<i64>,
    ) -> rusqlite::Result<Self> {
        let mut places = Vec::with_capacity(portion.len());
        let mut n_all = 0;
        for (series, n_samples) in portion {
            places.push(Place { series: *series, start: n_all, filled: n_all, end: n_all + n_samples });
            n_all += n_samples;
        }
        let mut points = vec![Point::new(0, None, 0); n_all];
        let is_wanted = !leftovers.needs_nothing(upto_id);
        // Groups of a row ascend as the places do: each is looked for behind the one before.
        let (mut at, mut row) = (0, None);
        for_each_group(conn, upto_id, damaged, |id, group| {
            if row != Some(id) {
                (at, row) = (0, Some(id));
            }
            at += places.get(at..).unwrap_or_default().partition_point(|place| place.series < group.series);
            let Some(place) = places.get_mut(at).filter(|place| place.series == group.series) else {
                return true;
            };
            let mut room = points.get_mut(place.filled..place.end).unwrap_or_default().iter_mut();
            let mut n_read = 0;
            let is_whole = group.points(|point| {
                if is_wanted {
                    leftovers.add(id, group.series, point.at_us);
                }
                if let Some(free) = room.next() {
                    *free = point;
                    n_read += 1;
                }
            });
            place.filled += n_read;
            is_whole.is_ok()
        })?;
        Ok(Self { points, series: places.into() })
    }

    /// The next series, ascending in time; of one time only the latest.
    fn next_series(&mut self) -> Option<(u32, Vec<Point>)> {
        let place = self.series.pop_front()?;
        let mut points = self.points.get(place.start..place.filled).unwrap_or_default().to_vec();
        if !points.is_sorted_by(|a, b| a.at_us < b.at_us) {
            sort_latest_wins(&mut points);
        }
        Some((place.series, points))
    }
}
