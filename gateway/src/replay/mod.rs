//! A station's CSV as readings of nodes: the column map, the file, and the comparison of what came out at the other end.
//!
//! Pure but for the comparison, which reads the store. A value is taken only when a node can carry it exactly; anything
//! else is an error that names file, line and column, because a replay that rounds would prove nothing.

use crate::ingest::series_name;
use crate::quality::Quality;
use giot_shared::ids::{NodeId, ProbeId};
use giot_shared::metric::Metric;
use giot_shared::time::UnixMs;
use giot_store::Reader;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// The map that is used when the operator gives none; it knows the headings of common research stations.
pub const COLUMNS: &str = include_str!("columns.toml");

/// Why a file or its map cannot be replayed; always names the place.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}: {what}", line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct ReplayError {
    /// The file, as the operator named it.
    pub file: String,
    /// Line, from 1.
    pub line: Option<u64>,
    /// What is wrong and what would be right.
    pub what: String,
}

/// How columns become readings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMap {
    time: String,
    time_format: String,
    #[serde(default = "utc")]
    utc_offset: String,
    column: Vec<RawColumn>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumn {
    column: String,
    device: String,
    metric: String,
    #[serde(default)]
    probe: u8,
}

fn utc() -> String {
    "+00:00".to_owned()
}

/// One series of a node, and the column that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Heading in the file.
    pub heading: String,
    /// Which of the node's probes.
    pub probe: ProbeId,
    /// What it measures.
    pub metric: Metric,
}

/// One row of one node: its values in the order of the node's columns; `None` is a missing value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// When.
    pub at: UnixMs,
    /// In steps of the metrics' decimals.
    pub values: Vec<Option<i32>>,
}

/// One node of the station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Its series.
    pub columns: Vec<Column>,
    /// Its rows, in the order of time.
    pub rows: Vec<Row>,
}

/// A station's file as it is replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Station {
    /// Its nodes.
    pub tracks: BTreeMap<NodeId, Track>,
    /// Headings that the map does not name: their columns are not replayed.
    pub ignored: Vec<String>,
}

/// Reads a station's file by a column map.
///
/// # Errors
/// [`ReplayError`] at the first place that cannot be replayed exactly.
pub fn read(map_file: &str, map: &str, csv_file: &str, csv: &[u8]) -> Result<Station, ReplayError> {
    let map_error = |what: String| ReplayError { file: map_file.to_owned(), line: None, what };
    let map: RawMap =
        toml::from_str(map).map_err(|error| map_error(error.to_string().trim_end().to_owned()))?;
    let at = |line: u64, what: String| ReplayError { file: csv_file.to_owned(), line: Some(line), what };
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(csv);
    let headings = reader.headers().map_err(|error| at(1, unreadable(&error)))?.clone();
    let position = |heading: &str| headings.iter().position(|have| have.trim() == heading);
    let time_idx =
        position(&map.time).ok_or_else(|| at(1, format!("no column {:?} for the time", map.time)))?;
    let offset: chrono::FixedOffset = map
        .utc_offset
        .parse()
        .map_err(|_| map_error(format!("utc_offset {:?}: written as +07:00", map.utc_offset)))?;
    let mut tracks: BTreeMap<NodeId, Track> = BTreeMap::new();
    let mut places: Vec<(NodeId, usize)> = Vec::new();
    for raw in &map.column {
        let Some(idx) = position(&raw.column) else { continue };
        let device: NodeId =
            raw.device.parse().map_err(|error| map_error(format!("device {:?}: {error}", raw.device)))?;
        let metric = Metric::from_name(&raw.metric).ok_or_else(|| map_error(unknown_metric(&raw.metric)))?;
        let column = Column { heading: raw.column.clone(), probe: ProbeId(raw.probe), metric };
        let track = tracks.entry(device.clone()).or_insert_with(|| Track { columns: vec![], rows: vec![] });
        if track.columns.iter().any(|have| (have.probe, have.metric) == (column.probe, column.metric)) {
            return Err(map_error(format!(
                "column {:?}: {device} has this probe and metric already",
                raw.column
            )));
        }
        track.columns.push(column);
        places.push((device, idx));
    }
    if tracks.is_empty() {
        return Err(at(
            1,
            format!("no column that {map_file} maps; write a map of your own: giot help replay"),
        ));
    }
    let ignored = headings
        .iter()
        .enumerate()
        .filter(|(idx, _)| *idx != time_idx && places.iter().all(|(_, place)| place != idx))
        .map(|(_, heading)| heading.trim().to_owned())
        .collect();
    for record in reader.records() {
        let record = record
            .map_err(|error| at(error.position().map_or(0, csv::Position::line), unreadable(&error)))?;
        let line = record.position().map_or(0, csv::Position::line);
        let text = record.get(time_idx).unwrap_or_default();
        let moment = parse_time(text, &map.time_format, offset).ok_or_else(|| {
            at(line, format!("{}: {text:?} is not a time like {}", map.time, map.time_format))
        })?;
        for track in tracks.values_mut() {
            if track.rows.last().is_some_and(|last| last.at >= moment) {
                return Err(at(line, format!("{}: not later than the row before", map.time)));
            }
            track.rows.push(Row { at: moment, values: Vec::with_capacity(track.columns.len()) });
        }
        for (device, idx) in &places {
            let Some(track) = tracks.get_mut(device) else { continue };
            let Some(row) = track.rows.last_mut() else { continue };
            let Some(column) = track.columns.get(row.values.len()) else { continue };
            let cell = record.get(*idx).unwrap_or_default().trim();
            row.values.push(parse_value(cell, column).map_err(|what| at(line, what))?);
        }
    }
    if tracks.values().all(|track| track.rows.is_empty()) {
        return Err(at(1, "headings only: there is no row to replay".to_owned()));
    }
    Ok(Station { tracks, ignored })
}

/// What to do about a row that is none.
fn unreadable(error: &csv::Error) -> String {
    if let csv::ErrorKind::UnequalLengths { expected_len, len, .. } = error.kind() {
        let right = "one cell for each heading, and quotes around a cell with a comma";
        return format!("{len} cells where the headings are {expected_len}: {right}");
    }
    let is_text = !matches!(error.kind(), csv::ErrorKind::Utf8 { .. });
    if is_text { error.to_string() } else { "not UTF-8: save the file as CSV in UTF-8".to_owned() }
}

fn unknown_metric(name: &str) -> String {
    let known: Vec<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    format!("metric {name:?}: one of {}", known.join(", "))
}

fn parse_time(text: &str, format: &str, offset: chrono::FixedOffset) -> Option<UnixMs> {
    let local = chrono::NaiveDateTime::parse_from_str(text.trim(), format).ok()?;
    Some(UnixMs(local.and_local_timezone(offset).single()?.timestamp_millis()))
}

/// A cell as the node carries it; empty, `NA` and `NaN` are missing values.
fn parse_value(cell: &str, column: &Column) -> Result<Option<i32>, String> {
    if cell.is_empty() || cell.eq_ignore_ascii_case("na") || cell.eq_ignore_ascii_case("nan") {
        return Ok(None);
    }
    let number: f64 = cell.parse().map_err(|_| format!("{}: {cell:?} is not a number", column.heading))?;
    let carried = column.metric.from_f64(number).ok_or_else(|| {
        let (name, unit, decimals) = (column.metric.name(), column.metric.unit(), column.metric.decimals());
        format!("{}: {cell} does not fit {name} ({unit}, {decimals} decimals)", column.heading)
    })?;
    Ok(Some(carried))
}

/// What came out for one series, held against the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The series.
    pub series: String,
    /// Values in the file.
    pub n_values: usize,
    /// Rows of the file without a value.
    pub n_missing: usize,
    /// Values in the history that equal the file's, at the same time.
    pub n_equal: usize,
    /// Rows without a value that the history flags as missing, at the same time.
    pub n_flagged_missing: usize,
    /// Values that the history keeps and flags as impossible.
    pub n_flagged_impossible: usize,
    /// Anything in the history that the file does not have.
    pub n_strange: usize,
}

impl Comparison {
    /// Whether history and file say the same.
    #[must_use]
    pub const fn is_equal(&self) -> bool {
        self.n_equal == self.n_values && self.n_flagged_missing == self.n_missing && self.n_strange == 0
    }
}

/// Holds the history of a node against its rows.
///
/// # Errors
/// When the store cannot be read.
pub fn compare(reader: &Reader, device: &NodeId, track: &Track) -> anyhow::Result<Vec<Comparison>> {
    let mut comparisons = Vec::with_capacity(track.columns.len());
    for (column_idx, column) in track.columns.iter().enumerate() {
        let metric = series_name(column.metric, column.probe.0);
        let mut want: BTreeMap<i64, Option<f64>> = BTreeMap::new();
        for row in &track.rows {
            let value = row.values.get(column_idx).copied().flatten();
            want.insert(row.at.0.saturating_mul(1000), value.map(|value| column.metric.to_f64(value)));
        }
        let mut result = Comparison {
            series: format!("{device} {metric}"),
            n_values: want.values().flatten().count(),
            ..Comparison::default()
        };
        result.n_missing = want.len() - result.n_values;
        reader.samples(device.as_str(), &metric, i64::MIN..i64::MAX, &mut |sample| {
            let quality = Quality::from_byte(sample.quality);
            match (want.remove(&sample.at_us), sample.value) {
                (Some(Some(file)), Some(stored)) if file.to_bits() == stored.to_bits() => {
                    result.n_equal += 1;
                    result.n_flagged_impossible += usize::from(quality == Quality::OutOfRange);
                }
                (Some(None), None) if quality == Quality::Missing => result.n_flagged_missing += 1,
                _ => result.n_strange += 1,
            }
            ControlFlow::Continue(())
        })?;
        comparisons.push(result);
    }
    Ok(comparisons)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "time = \"t\"\ntime_format = \"%Y-%m-%d %H:%M\"\nutc_offset = \"+07:00\"\n\
        [[column]]\ncolumn = \"m\"\ndevice = \"a\"\nmetric = \"soil_vwc\"\n\
        [[column]]\ncolumn = \"r\"\ndevice = \"b\"\nmetric = \"rain\"\nprobe = 2\n\
        [[column]]\ncolumn = \"absent\"\ndevice = \"b\"\nmetric = \"rain\"\n";

    fn try_read(csv: &str) -> Result<BTreeMap<NodeId, Track>, ReplayError> {
        read("map.toml", MAP, "station.csv", csv.as_bytes()).map(|station| station.tracks)
    }

    fn error(csv: &str) -> String {
        try_read(csv).expect_err("a broken file").to_string()
    }

    #[test]
    fn columns_become_rows_of_nodes() {
        let tracks =
            try_read("t,m,x,r\n2022-01-01 07:00,0.257,9,\n2022-01-01 08:00,NA,9,0.254\n").expect("good");
        let rows: Vec<_> = tracks.values().map(|track| track.rows.clone()).collect();
        let row =
            |hour: i64, value| Row { at: UnixMs(1_640_995_200_000 + hour * 3_600_000), values: vec![value] };
        assert_eq!(rows, [vec![row(0, Some(2570)), row(1, None)], vec![row(0, None), row(1, Some(254))]]);
    }

    #[test]
    fn errors_name_file_line_and_field() {
        assert_eq!(error("t,m\n2022-01-01 07:00,abc\n"), "station.csv:2: m: \"abc\" is not a number");
        assert_eq!(
            error("t,m\n2022-01-01 07:00,0.12345\n"),
            "station.csv:2: m: 0.12345 does not fit soil_vwc (m3/m3, 4 decimals)"
        );
        assert!(error("t,m\nnoon,0.1\n").starts_with("station.csv:2: t: \"noon\" is not a time"));
        assert!(error("m\n0.1\n").starts_with("station.csv:1: no column \"t\""));
        assert!(error("t,z\n2022-01-01 07:00,1\n").contains("no column that map.toml maps"));
        assert!(
            error("t,m\n2022-01-01 07:00,0.1\n2022-01-01 07:00,0.1\n")
                .starts_with("station.csv:3: t: not later")
        );
        assert!(error("t,m\n2022-01-01 07:00\n").starts_with("station.csv:2: "));
    }

    #[test]
    fn the_built_in_map_is_valid() {
        let csv = "datetime,vwc_5cm,battv\n2022-01-01 00:00:00,0.257,8745.0\n";
        let tracks = read("columns.toml", COLUMNS, "s.csv", csv.as_bytes()).expect("good").tracks;
        assert_eq!(tracks.len(), 2);
    }
}
