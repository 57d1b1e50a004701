//! CSV with a header. The columns `time`, `device`, `metric`, `value`, `quality` make one reading a line; without `value` every other
//! column is a metric. Separators are commas, semicolons or tabs, whichever the header has most of; with the latter two a decimal comma
//! is read too.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::Arc;

use crate::config::parse_utc_offset;
use crate::quality::Quality;

use super::{ImportError, LineError, Lines, Reading, Taker, cells, device, metric, quality, time, value};

/// Names of a time column that are recognised.
const TIME_NAMES: [&str; 6] = ["time", "timestamp", "date", "datetime", "ts", "thời gian"];

/// How a file is to be understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Device of the whole file; needed without a column `device`.
    pub device: Option<String>,
    /// Metric of the whole file; needed for a column `value` without a column `metric`.
    pub metric: Option<String>,
    /// Column of the time, if it has another name.
    pub time: Option<String>,
    /// Columns that are metrics, and how they are called; none: all.
    pub map: BTreeMap<String, String>,
    /// Zone of times that name none, minutes east of UTC.
    pub utc_offset_min: i32,
}

/// What the columns are.
struct Header {
    separator: u8,
    n_columns: usize,
    time: usize,
    zone: Zone,
    device: Option<usize>,
    metric: Option<usize>,
    quality: Option<usize>,
    value: Option<usize>,
    /// Columns of metrics, in a wide file.
    metrics: Vec<(usize, Arc<str>)>,
}

/// Whose clock times are of that name no zone.
enum Zone {
    /// The one chosen.
    Chosen,
    /// What the head says, minutes east of UTC.
    Offset(i32),
    /// A place whose clock may jump; the head of an export.
    Named(String),
}

impl Zone {
    /// Of a time column's title, as `giot export` writes it: `time (+07:00)`.
    fn of(title: &str) -> Option<Self> {
        let zone = title.to_ascii_lowercase().strip_prefix("time (")?.strip_suffix(')')?.to_owned();
        let offset_min = if zone == "utc" { Some(0) } else { parse_utc_offset(&zone) };
        Some(offset_min.map_or_else(|| Self::Named(title.to_owned()), Self::Offset))
    }

    fn read(&self, text: &str, choices: &Choices) -> Result<i64, String> {
        match self {
            Self::Chosen => time(text, choices.utc_offset_min),
            Self::Offset(offset_min) => time(text, *offset_min),
            Self::Named(title) => {
                // Whatever the zone, a time that names its own is the same.
                let (east, west) = (time(text, 0)?, time(text, 60)?);
                (east == west).then_some(east).ok_or_else(|| {
                    format!("time {text:?} under {title:?}: export it with an offset, as in --tz +07:00")
                })
            }
        }
    }
}

/// Hands every reading over.
///
/// # Errors
/// The header cannot be used, the file cannot be read, or `each` failed. Lines that cannot be read are handed over as errors.
pub fn read(input: impl BufRead, choices: &Choices, each: &mut Taker<'_>) -> Result<(), ImportError> {
    let mut lines = Lines::new(input);
    let mut line = String::new();
    if !lines.next(&mut line)? {
        return Err(lines
            .error("the file is empty: a header is needed, such as time,device,metric,value")
            .into());
    }
    let header = header(&line, choices).map_err(|what| lines.error(what))?;
    let fixed = choices.device.as_deref().map(device).transpose().map_err(|what| lines.error(what))?;
    let mut names = Names::default();
    while lines.next(&mut line)? {
        if line.trim().is_empty() {
            continue;
        }
        let (number, n_bytes) = (lines.number(), lines.n_bytes());
        let found = cells(&line, header.separator)
            .and_then(|cells| readings(&header, &cells, choices, fixed.as_ref(), &mut names));
        match found {
            Ok(readings) => {
                readings.into_iter().try_for_each(|reading| each(number, n_bytes, Ok(reading)))?
            }
            Err(what) => each(number, n_bytes, Err(LineError { line: number, what }))?,
        }
    }
    Ok(())
}

/// What was met so far: names, so that each is checked and kept once, and the decimal mark.
#[derive(Default)]
struct Names {
    devices: BTreeMap<String, Arc<str>>,
    metrics: BTreeMap<String, Arc<str>>,
    mark: Option<char>,
}

impl Names {
    /// Where a comma may be a decimal one, a point may be one of thousands: a file has one of them.
    fn check_mark(&mut self, text: &str) -> Result<(), String> {
        let Some(mark) = text.chars().find(|c| matches!(c, ',' | '.')) else { return Ok(()) };
        let before = *self.mark.get_or_insert(mark);
        if before == mark {
            return Ok(());
        }
        Err(format!(
            "the value {text:?} has a {mark:?}, values before it a {before:?}: write all with the same decimal mark, and none for thousands"
        ))
    }

    fn value(&mut self, text: &str, has_decimal_comma: bool) -> Result<Option<f64>, String> {
        if has_decimal_comma {
            self.check_mark(text)?;
        }
        value(text, has_decimal_comma)
    }
}

fn checked(
    known: &mut BTreeMap<String, Arc<str>>,
    text: &str,
    check: fn(&str) -> Result<Arc<str>, String>,
) -> Result<Arc<str>, String> {
    if let Some(name) = known.get(text) {
        return Ok(Arc::clone(name));
    }
    let name = check(text)?;
    known.insert(text.to_owned(), Arc::clone(&name));
    Ok(name)
}

fn header(line: &str, choices: &Choices) -> Result<Header, String> {
    let count = |separator: u8| line.bytes().filter(|byte| *byte == separator).count();
    let separator = [b',', b';', b'\t']
        .into_iter()
        .max_by_key(|separator| (count(*separator), *separator == b','))
        .unwrap_or(b',');
    let columns: Vec<String> =
        cells(line, separator)?.into_iter().map(|cell| cell.trim().to_owned()).collect();
    let place = |name: &str| columns.iter().position(|column| column.eq_ignore_ascii_case(name));
    let time = match &choices.time {
        Some(name) => place(name),
        None => TIME_NAMES
            .iter()
            .find_map(|name| place(name))
            .or_else(|| columns.iter().position(|column| Zone::of(column).is_some())),
    };
    let time = time.ok_or_else(|| {
        format!("no column for the time among {}; --time COLUMN names it", columns.join(", "))
    })?;
    let zone = columns.get(time).and_then(|title| Zone::of(title)).unwrap_or(Zone::Chosen);
    let (device, metric_column, quality, value) =
        (place("device"), place("metric"), place("quality"), place("value"));
    if device.is_none() && choices.device.is_none() {
        return Err("no column device: --device ID names the device of the whole file".to_owned());
    }
    let used = [Some(time), device, metric_column, quality, value];
    for column in used.into_iter().flatten().filter_map(|idx| columns.get(idx)) {
        check_once(&columns, column)?;
    }
    let mut metrics: Vec<(usize, Arc<str>)> = Vec::new();
    if value.is_some() {
        if metric_column.is_none() && choices.metric.is_none() {
            return Err("a column value and no column metric: --metric NAME says what it is".to_owned());
        }
    } else {
        for (idx, column) in columns.iter().enumerate() {
            if Some(idx) == device || Some(idx) == quality || idx == time {
                continue;
            }
            let name = match (choices.map.get(column), choices.map.is_empty()) {
                (Some(name), _) => metric(name)?,
                (None, true) => metric(column)?,
                (None, false) => continue,
            };
            check_once(&columns, column)?;
            if metrics.iter().any(|(_, other)| *other == name) {
                return Err(format!("two columns are to become the metric {name}"));
            }
            metrics.push((idx, name));
        }
        if let Some(missing) = choices.map.keys().find(|name| !columns.contains(name)) {
            return Err(format!("no column {missing:?} among {}", columns.join(", ")));
        }
        if metrics.is_empty() {
            return Err("no column with values".to_owned());
        }
    }
    Ok(Header {
        separator,
        n_columns: columns.len(),
        time,
        zone,
        device,
        metric: metric_column,
        quality,
        value,
        metrics,
    })
}

/// Of two columns of one name nobody could say which is meant.
fn check_once(columns: &[String], name: &str) -> Result<(), String> {
    let n = columns.iter().filter(|column| column.eq_ignore_ascii_case(name)).count();
    if n > 1 { Err(format!("{n} columns are called {name:?}: give each a name of its own")) } else { Ok(()) }
}

fn readings(
    header: &Header,
    cells: &[String],
    choices: &Choices,
    fixed: Option<&Arc<str>>,
    names: &mut Names,
) -> Result<Vec<Reading>, String> {
    if cells.len() != header.n_columns {
        return Err(format!("{} cells, the header has {}", cells.len(), header.n_columns));
    }
    let cell = |idx: usize| cells.get(idx).map(String::as_str).unwrap_or_default();
    let at_us = header.zone.read(cell(header.time), choices)?;
    let device = match (fixed, header.device) {
        (Some(fixed), _) => Arc::clone(fixed),
        (None, Some(idx)) => checked(&mut names.devices, cell(idx), device)?,
        (None, None) => return Err("no device".to_owned()),
    };
    let quality = header.quality.map_or(Ok(Quality::Good), |idx| quality(cell(idx)))?;
    let has_decimal_comma = header.separator != b',';
    if let Some(idx) = header.value {
        let metric_name = header.metric.map(cell).or(choices.metric.as_deref()).unwrap_or_default();
        let renamed = choices.map.get(metric_name).map_or(metric_name, String::as_str);
        let metric = checked(&mut names.metrics, renamed, metric)?;
        let value = names.value(cell(idx), has_decimal_comma)?;
        let quality = if value.is_none() && quality == Quality::Good { Quality::Missing } else { quality };
        return Ok(vec![Reading { device, metric, at_us, value, quality }]);
    }
    let mut found = Vec::new();
    for (idx, metric) in &header.metrics {
        // An empty cell of a wide file is no reading: another column had one at this time.
        let Some(value) = names.value(cell(*idx), has_decimal_comma)? else { continue };
        let (device, metric) = (Arc::clone(&device), Arc::clone(metric));
        found.push(Reading { device, metric, at_us, value: Some(value), quality });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, choices: &Choices) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        let done = read(text.as_bytes(), choices, &mut |_, _, reading| {
            found.push(match reading {
                Ok(Reading { device, metric, at_us, value, quality }) => {
                    format!("{device} {metric} {} {value:?} {}", at_us / 1_000_000, quality.code())
                }
                Err(error) => error.to_string(),
            });
            Ok(())
        });
        done.map(|()| found).map_err(|error| error.to_string())
    }

    fn of(device: &str) -> Choices {
        Choices { device: Some(device.to_owned()), utc_offset_min: 420, ..Choices::default() }
    }

    #[test]
    fn our_own_export_comes_back() {
        let text = "time,value,quality\n2026-02-28T23:00:00Z,23.5,good\n2026-02-28T23:10:00Z,,missing\n";
        let choices = Choices { metric: Some("soil_moisture".to_owned()), ..of("n01") };
        let expected =
            ["n01 soil_moisture 1772319600 Some(23.5) good", "n01 soil_moisture 1772320200 None missing"];
        assert_eq!(all(text, &choices).unwrap(), expected);
    }

    #[test]
    fn every_form_of_our_export_of_many_series_comes_back() {
        let head = |zone: &str, mark: char| {
            format!("time ({zone}),device,metric,unit,value,quality\n").replace(',', &mark.to_string())
        };
        let expected = ["n01 soil_moisture 1772319600 Some(23.5) good"];
        let plain = "2026-03-01T06:00:00+07:00,n01,soil_moisture,%,23.5,good\n";
        for zone in ["+07:00", "UTC", "Asia/Ho_Chi_Minh"] {
            assert_eq!(all(&(head(zone, ',') + plain), &Choices::default()).unwrap(), expected, "{zone}");
        }
        let excel = "2026-03-01 06:00:00;n01;soil_moisture;%;23,5;good\r\n";
        assert_eq!(all(&(head("+07:00", ';') + excel), &Choices::default()).unwrap(), expected);
        let utc = all(&(head("UTC", ';') + &excel.replace("03-01 06", "02-28 23")), &Choices::default());
        assert_eq!(utc.unwrap(), expected);
        let unclear = all(&(head("Asia/Ho_Chi_Minh", ';') + excel), &Choices::default()).unwrap();
        assert!(unclear[0].contains("--tz +07:00"), "{unclear:?}");
    }

    #[test]
    fn a_loggers_wide_table_with_decimal_commas() {
        let text = "\u{feff}Thời gian;Độ ẩm;Pin;Ghi chú\r\n01/03/2026 06:00;23,5;3,71;x\r\n01/03/2026 06:10;;3,7;\r\n";
        let map = [("Độ ẩm", "soil_moisture"), ("Pin", "battery")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let choices = Choices { time: Some("Thời gian".to_owned()), map: map.into(), ..of("tram-1") };
        let expected = [
            "tram-1 soil_moisture 1772319600 Some(23.5) good",
            "tram-1 battery 1772319600 Some(3.71) good",
            "tram-1 battery 1772320200 Some(3.7) good",
        ];
        assert_eq!(all(text, &choices).unwrap(), expected);
    }

    #[test]
    fn long_tables_name_device_and_metric() {
        let text = "time,device,metric,value\n1772319600,n01,t,1\n1772319600,n02,t,x\n1772319600,N 3,t,1\n1772319600,n02,t\n";
        let got = all(text, &Choices::default()).unwrap();
        assert_eq!(got[0], "n01 t 1772319600 Some(1.0) good");
        assert_eq!(got[1], "line 3: \"x\" is no number");
        assert!(got[2].starts_with("line 4: device \"N 3\""), "{}", got[2]);
        assert_eq!(got[3], "line 5: 3 cells, the header has 4");
    }

    #[test]
    fn headers_that_cannot_be_used_say_what_is_missing() {
        let error = |text: &str, choices: &Choices| all(text, choices).unwrap_err();
        assert!(error("", &of("a")).contains("empty"));
        assert!(error("a,b\n", &of("a")).contains("--time"));
        assert!(error("time,b\n", &Choices::default()).contains("--device"));
        assert!(error("time,value\n", &of("a")).contains("--metric"));
        assert!(error("time,độ ẩm\n", &of("a")).contains("--map"));
        assert!(error("time\n", &of("a")).contains("no column with values"));
        let map = BTreeMap::from([("x".to_owned(), "y".to_owned())]);
        assert!(error("time,b\n", &Choices { map, ..of("a") }).contains("no column \"x\""));
    }

    #[test]
    fn two_columns_of_one_name_are_refused() {
        for text in ["time,temp,temp\n", "time,value,value\n", "time,Time,temp\n"] {
            let choices = Choices { metric: Some("soil_moisture".to_owned()), ..of("n01") };
            let problem = all(text, &choices).unwrap_err();
            assert!(problem.contains("2 columns are called"), "{text}: {problem}");
        }
        let map = ["a", "b"].map(|column| (column.to_owned(), "soil_moisture".to_owned()));
        let both = all("time,a,b\n", &Choices { map: map.into(), ..of("n01") }).unwrap_err();
        assert!(both.contains("two columns are to become the metric soil_moisture"), "{both}");
        // What nobody uses may be called as it likes.
        let map = [("a".to_owned(), "soil_moisture".to_owned())];
        let choices = Choices { map: map.into(), ..of("n01") };
        assert_eq!(all("time,a,x,x\n2026-03-01T00:00:00Z,1,2,3\n", &choices).unwrap().len(), 1);
    }

    #[test]
    fn points_and_commas_in_one_file_are_refused() {
        let text = |values: [&str; 2]| {
            format!("time;temp\n2026-03-01T00:00:00Z;{}\n2026-03-01T01:00:00Z;{}\n", values[0], values[1])
        };
        for values in [["20,5", "1.234"], ["1.234", "20,5"], ["20,5", "1.234,5"]] {
            let found = all(&text(values), &of("n01")).unwrap();
            assert!(
                found.iter().any(|line| line.contains("decimal mark") || line.contains("1.234,5")),
                "{found:?}"
            );
        }
        for values in [["20,5", "1234"], ["20.5", "1.234"], ["1", "2,25"]] {
            let found = all(&text(values), &of("n01")).unwrap();
            assert!(found.iter().all(|line| line.contains("Some(")), "{found:?}");
        }
    }
}
