//! What goes into the store and what comes out: plain rows without behaviour.
//!
//! Times are UTC microseconds since 1970 (`_us`) unless a name ends in `_ms`. These types are not serialised; the edges
//! (HTTP, export) convert. Must not touch SQLite.

use std::sync::Arc;

use super::farm::FarmRow;

/// One reading of one series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When it was true, not when it arrived.
    pub at_us: i64,
    /// `None`: the device reported, but without a usable number. A NaN handed in is kept as `None`.
    pub value: Option<f64>,
    /// 0 is good; other codes belong to ingest, the store keeps the byte.
    pub quality: u8,
}

/// One reading of a named metric, as ingest hands it over.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricSample {
    /// Name of the metric, for example `soil_moisture`.
    pub metric: Arc<str>,
    /// When it was true.
    pub at_us: i64,
    /// `None` for a faulty reading without a number.
    pub value: Option<f64>,
    /// 0 is good.
    pub quality: u8,
}

/// Readings of one device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceSamples {
    /// Id of the device.
    pub device: Arc<str>,
    /// Its readings in any order; of two with the same metric and time the later in the list wins.
    pub samples: Vec<MetricSample>,
}

/// The ingest watermark of a node: everything up to here is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Id of the node.
    pub node: Arc<str>,
    /// Boot counter of the node.
    pub epoch: u32,
    /// Record number within the node's sequence.
    pub seq: u64,
    /// Position (epoch, seq) that must be on disk already: the batch is refused otherwise, so that no watermark jumps over
    /// a batch that failed. `None`: whatever is on disk.
    pub after: Option<(u32, u64)>,
}

/// What one boot of a node knows about wall time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Id of the node.
    pub node: Arc<str>,
    /// Boot counter of the node.
    pub epoch: u32,
    /// Unix time, in milliseconds, at which the node's uptime was zero.
    pub unix_ms_at_uptime_zero: i64,
    /// Half width of what it may be wrong by, in milliseconds.
    pub uncertainty_ms: u64,
}

/// A registered device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// Its id, unique.
    pub id: Arc<str>,
    /// What it speaks, for example `node` or `json`.
    pub kind: String,
    /// What people call it.
    pub label: String,
    /// Its secret key, if it has one.
    pub key: Option<Vec<u8>>,
    /// When it was registered.
    pub created_us: i64,
}

/// A valve that opened or closed, as its node recorded it. (node, epoch, seq) names it: the first one kept stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValveEventRow {
    /// Id of the node.
    pub node: Arc<str>,
    /// Number of the valve on that node.
    pub valve: u8,
    /// When it happened.
    pub at_us: i64,
    /// Half width of what `at_us` may be wrong by.
    pub uncertainty_us: u64,
    /// True when it opened.
    pub open: bool,
    /// The command it obeyed, if any.
    pub command: Option<u64>,
    /// Code of what closed it.
    pub closed_by: Option<String>,
    /// How long it had been open, in milliseconds; 0 for an opening.
    pub run_ms: u64,
    /// What the meter counted, in millilitres.
    pub volume_ml: Option<u64>,
    /// Boot counter of the node.
    pub epoch: u32,
    /// Record number within the node's sequence.
    pub seq: u64,
}

/// One entry of the irrigation diary, before it has a place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiaryEntry {
    /// When it happened; `None` when the gateway's clock was unset.
    pub at_us: Option<i64>,
    /// When it was written, by whatever clock there was.
    pub recorded_us: i64,
    /// The zone it is about.
    pub zone: Option<String>,
    /// What happened, for example `started`.
    pub event: String,
    /// The command concerned.
    pub command: Option<u64>,
    /// Who decided: `engine`, `node` or `person`.
    pub by: String,
    /// Which person.
    pub person: Option<String>,
    /// Code of the reason.
    pub reason: String,
    /// Numbers of the reason, a JSON object.
    pub args: String,
    /// How long water ran, in milliseconds.
    pub run_ms: Option<u64>,
    /// How much water ran, in millilitres.
    pub volume_ml: Option<u64>,
}

/// A diary entry as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiaryRow {
    /// Place in the chain, from 1 without gaps.
    pub id: i64,
    /// What was written.
    pub entry: DiaryEntry,
    /// SHA-256 over the hash before and this entry.
    pub hash: [u8; 32],
}

/// Everything that must become durable together: all of it is kept, or none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Readings.
    pub samples: Vec<DeviceSamples>,
    /// Moves the watermark of a node forward; an older mark than the kept one changes nothing.
    pub mark: Option<Mark>,
    /// Valve events; one already kept is skipped.
    pub valve_events: Vec<ValveEventRow>,
    /// Diary entries, in order.
    pub diary: Vec<DiaryEntry>,
    /// Time anchors; a later one replaces the kept one of the same node and epoch.
    pub anchors: Vec<Anchor>,
    /// Memory of zones: (zone, JSON); replaces.
    pub memory: Vec<(String, String)>,
    /// Devices; replaces the one with the same id.
    pub devices: Vec<DeviceRow>,
    /// Counters: (name, value). A counter only rises: a smaller value changes nothing.
    pub counters: Vec<(String, i64)>,
    /// Settings of the gateway itself: (key, value); replaces.
    pub meta: Vec<(String, String)>,
    /// A version of the farm.
    pub farm: Option<FarmRow>,
    /// A version that is in force, and since when; of one that was before, nothing changes.
    pub farm_in_force: Option<(u32, i64)>,
}

impl Batch {
    /// How many readings it holds.
    #[must_use]
    pub fn n_samples(&self) -> usize {
        self.samples.iter().map(|device| device.samples.len()).sum()
    }
}

/// What is known about one series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesInfo {
    /// Id of the device.
    pub device: Arc<str>,
    /// Name of the metric.
    pub metric: Arc<str>,
    /// Samples kept; one that was sent again and not folded yet counts twice.
    pub n_samples: u64,
    /// Earliest sample.
    pub first_us: Option<i64>,
    /// Latest sample.
    pub last_us: Option<i64>,
}

/// The latest sample of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct LastValue {
    /// Id of the device.
    pub device: Arc<str>,
    /// Name of the metric.
    pub metric: Arc<str>,
    /// The sample with the greatest time.
    pub sample: Sample,
}

/// Part of the history that could not be read because its checksum does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// First time possibly missing.
    pub from_us: i64,
    /// Last time possibly missing.
    pub to_us: i64,
    /// How many samples the damaged part held; of a journal row, those of other series too; of a damaged page of the journal nobody
    /// knows, then 0.
    pub n_samples: u64,
    /// Whether it was found and set aside before.
    pub is_set_aside: bool,
}

/// What a read delivered and what it could not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadSummary {
    /// Samples delivered.
    pub n_samples: u64,
    /// Damaged chunks met.
    pub n_damaged_chunks: u64,
    /// Damaged journal rows met; what they held of this series is unknown.
    pub n_damaged_journal_rows: u64,
    /// How many of them were found and set aside before.
    pub n_set_aside: u64,
    /// Where, for the first damaged parts.
    pub gaps: Vec<Gap>,
    /// Readings of the range before this were given up: hours or days stand for them, and narrower spans are left out.
    pub coarse_until_us: Option<i64>,
    /// Hours or days that stand for readings given up and lie across the edges asked for, from the first of them to the end of the
    /// last: they are in no span.
    pub cut_us: Option<(i64, i64)>,
}

/// The range from the beginning of the first to the end of the last.
#[must_use]
pub fn join_ranges(a: Option<(i64, i64)>, b: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (one, other) => one.or(other),
    }
}

impl ReadSummary {
    /// Damaged parts of either kind.
    #[must_use]
    pub fn n_damaged(&self) -> u64 {
        self.n_damaged_chunks + self.n_damaged_journal_rows
    }
}

/// One step of a chart: the samples of a span drawn as one column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChartPoint {
    /// Time of the first sample with a number in the span.
    pub at_us: i64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Mean of the values.
    pub mean: f64,
    /// Latest value.
    pub last: f64,
    /// How many values.
    pub n_values: u32,
}

/// What a series did in a span of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Beginning of the span.
    pub from_us: i64,
    /// How many values; a span without any is left out.
    pub n_values: u64,
    /// How many of them have a quality other than 0; they count like the others.
    pub n_flagged: u64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Mean of the values.
    pub mean: f64,
    /// Latest value.
    pub last: f64,
    /// Mean over time: each value counts for as long as it held, until the next sample and at most for an hour; the one
    /// before the span holds into it.
    pub time_mean: f64,
    /// Of a counter, if asked for: what was added since the value before the span. A fall is a reset to zero or a wrap of 16 or 32
    /// bits.
    pub rise: Option<f64>,
}

/// Which diary rows are wanted, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiaryFilter {
    /// Only this zone.
    pub zone: Option<String>,
    /// Only these events; of any when empty.
    pub events: Vec<String>,
    /// Only written at or after.
    pub from_us: Option<i64>,
    /// Only written before.
    pub to_us: Option<i64>,
    /// Only older rows than this id: the next page.
    pub before_id: Option<i64>,
    /// How many at most; bounded by the store as well.
    pub limit: u32,
}

/// Which valve events are wanted, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValveEventFilter {
    /// Only this node.
    pub node: Option<String>,
    /// Only this valve number.
    pub valve: Option<u8>,
    /// Only at or after.
    pub from_us: Option<i64>,
    /// Only before.
    pub to_us: Option<i64>,
    /// How many at most; bounded by the store as well.
    pub limit: u32,
}

/// Result of recomputing the diary's hash chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiaryProof {
    /// Every row follows from the one before. `head` is the hash of the last row: kept elsewhere, it also proves later
    /// that no row was cut off the end.
    Whole {
        /// Rows checked.
        n_rows: u64,
        /// Hash of the last row, zeros for an empty diary.
        head: [u8; 32],
    },
    /// The row with this place is missing, changed or moved.
    Broken {
        /// Place in the chain.
        first_bad_id: i64,
    },
}

/// How full the store is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Commits not folded yet.
    pub n_journal_rows: u64,
    /// Their size in bytes.
    pub journal_bytes: u64,
    /// Sealed chunks.
    pub n_chunks: u64,
    /// Their size in bytes.
    pub chunk_bytes: u64,
    /// Samples in chunks and journal; one sent again and not folded yet counts twice.
    pub n_samples: u64,
    /// Series known.
    pub n_series: u64,
    /// Damaged parts set aside so far.
    pub n_damaged: u64,
    /// Size of the database file and its write-ahead log in bytes.
    pub file_bytes: u64,
}

/// What was given up because the store was larger than it may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoomNote {
    /// When.
    pub at_us: i64,
    /// Bytes in use afterwards.
    pub used_bytes: u64,
    /// Bytes allowed.
    pub bytes_max: u64,
    /// Readings before became hours and days.
    pub readings_before_us: Option<i64>,
    /// Hours before were given up; their days stay.
    pub hours_before_us: Option<i64>,
    /// It is still too large, and nothing is left that may be given up.
    pub is_over: bool,
}

impl RoomNote {
    /// As it is kept: its fields in order, absent ones as `-`.
    pub(super) fn text(&self) -> String {
        let optional = |at_us: Option<i64>| at_us.map_or_else(|| "-".to_owned(), |at_us| at_us.to_string());
        format!(
            "1 {} {} {} {} {} {}",
            self.at_us,
            self.used_bytes,
            self.bytes_max,
            optional(self.readings_before_us),
            optional(self.hours_before_us),
            u8::from(self.is_over)
        )
    }

    /// The other way round; `None` for another form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split(' ').collect();
        let &["1", at_us, used_bytes, bytes_max, readings_before_us, hours_before_us, is_over] =
            fields.as_slice()
        else {
            return None;
        };
        let optional = |text: &str| if text == "-" { Some(None) } else { text.parse().ok().map(Some) };
        Some(Self {
            at_us: at_us.parse().ok()?,
            used_bytes: used_bytes.parse().ok()?,
            bytes_max: bytes_max.parse().ok()?,
            readings_before_us: optional(readings_before_us)?,
            hours_before_us: optional(hours_before_us)?,
            is_over: is_over == "1",
        })
    }
}

/// A sample inside the store: fixed size, a missing value is NaN.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) at_us: i64,
    pub(super) value: f64,
    pub(super) quality: u8,
}

impl Point {
    /// The store's form of a reading.
    pub(super) fn new(at_us: i64, value: Option<f64>, quality: u8) -> Self {
        Self { at_us, value: value.unwrap_or(f64::NAN), quality }
    }

    /// True when there is no number.
    pub(super) fn is_missing(&self) -> bool {
        self.value.is_nan()
    }

    /// The caller's form.
    pub(super) fn sample(self) -> Sample {
        Sample {
            at_us: self.at_us,
            value: (!self.value.is_nan()).then_some(self.value),
            quality: self.quality,
        }
    }

    /// True when both say the same, bit for bit.
    #[cfg(test)]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.at_us == other.at_us
            && self.quality == other.quality
            && (self.value.to_bits() == other.value.to_bits() || self.is_missing() && other.is_missing())
    }
}

/// Sorts by time and keeps the later entry of two with one time.
pub(super) fn sort_latest_wins(points: &mut Vec<Point>) {
    points.sort_by_key(|point| point.at_us);
    keep_latest(points);
}

/// Of neighbours with one time keeps the last; `points` is sorted by time.
pub(super) fn keep_latest(points: &mut Vec<Point>) {
    // Overwrites the kept one with each follower of the same time, so that the last survives.
    points.dedup_by(|later, kept| {
        let is_same_time = later.at_us == kept.at_us;
        if is_same_time {
            *kept = *later;
        }
        is_same_time
    });
}
