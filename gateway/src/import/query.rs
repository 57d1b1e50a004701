//! CSV that InfluxDB answers queries with: annotated CSV of version 2 (`from(bucket) |> range(…)` saved as raw data, tables of columns
//! `_time`, `_value`, `_field`, `_measurement` and tags, with `#datatype` rows before each), and version 1's `/query` with
//! `Accept: application/csv` (columns `name`, `tags`, `time` and one for each field).

use std::collections::BTreeMap;
use std::io::BufRead;

use crate::quality::Quality;

use super::line::{Choices, Point, reading};
use super::{ImportError, LineError, Lines, Reading, Taker, cells, time, value};

/// Whether a file's first line begins such a CSV.
#[must_use]
pub fn is_query(first: &str) -> bool {
    let first = first.trim_start_matches('\u{feff}');
    ["#group", "#datatype", "#default", ",result,", "result,table", "name,tags,time"]
        .iter()
        .any(|head| first.starts_with(head))
}

/// Hands every reading over. Empty and text values are skipped; fields `quality` of a sink's own points are not read, because they stand
/// in tables of their own.
///
/// # Errors
/// The file cannot be read, or `each` failed. Lines that cannot be read are handed over as errors.
pub fn read(input: impl BufRead, choices: &Choices, each: &mut Taker<'_>) -> Result<(), ImportError> {
    let mut lines = Lines::new(input);
    let mut line = String::new();
    let mut header: Option<Vec<String>> = None;
    let mut is_text = Vec::new();
    while lines.next(&mut line)? {
        if line.trim().is_empty() {
            // The next table has a header of its own.
            header = None;
            continue;
        }
        let (number, n_bytes) = (lines.number(), lines.n_bytes());
        let cells = cells(&line, b',').map_err(|what| lines.error(what))?;
        if line.starts_with('#') {
            if line.starts_with("#datatype") {
                is_text = cells.iter().map(|cell| cell == "string").collect();
            }
            header = None;
            continue;
        }
        let Some(columns) = &header else {
            if cells.iter().any(|cell| cell == "error") {
                return Err(lines.error("the file is an error message of the server").into());
            }
            header = Some(cells);
            continue;
        };
        let found = readings(columns, &cells, &is_text, choices);
        match found {
            Ok(readings) => {
                readings.into_iter().try_for_each(|reading| each(number, n_bytes, Ok(reading)))?
            }
            Err(what) => each(number, n_bytes, Err(LineError { line: number, what }))?,
        }
    }
    Ok(())
}

fn readings(
    columns: &[String],
    cells: &[String],
    is_text: &[bool],
    choices: &Choices,
) -> Result<Vec<Reading>, String> {
    if columns.len() != cells.len() {
        return Err(format!("{} cells, the header has {}", cells.len(), columns.len()));
    }
    let cell = |name: &str| columns.iter().position(|column| column == name).and_then(|idx| cells.get(idx));
    if let Some(at) = cell("_time") {
        return version_two(columns, cells, is_text, choices, at);
    }
    let (Some(measurement), Some(tags), Some(at)) = (cell("name"), cell("tags"), cell("time")) else {
        return Err("neither columns _time and _value nor name, tags and time".to_owned());
    };
    let tags: BTreeMap<String, String> = tags
        .split(',')
        .filter_map(|tag| tag.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let at_us = time(at, 0)?;
    let mut found = Vec::new();
    for (column, text) in columns.iter().zip(cells) {
        if ["name", "tags", "time", "quality"].contains(&column.as_str()) {
            continue;
        }
        // Text fields and empty cells are no readings.
        let Ok(Some(value)) = value(text, false) else { continue };
        let (field, quality) = (column.as_str(), Quality::Good);
        found.push(reading(
            &Point { measurement, tags: &tags, field, value: Some(value), at_us, quality },
            choices,
        )?);
    }
    Ok(found)
}

fn version_two(
    columns: &[String],
    cells: &[String],
    is_text: &[bool],
    choices: &Choices,
    at: &str,
) -> Result<Vec<Reading>, String> {
    let (mut field, mut measurement, mut text, mut is_number) = ("value", None, "", true);
    let mut tags = BTreeMap::new();
    for (idx, (column, cell)) in columns.iter().zip(cells).enumerate() {
        match column.as_str() {
            "_field" => field = cell,
            "_measurement" => measurement = Some(cell.as_str()),
            "_value" => {
                text = cell;
                is_number = !is_text.get(idx).copied().unwrap_or(false);
            }
            "" | "result" | "table" | "_time" | "_start" | "_stop" => {}
            _ => drop(tags.insert(column.clone(), cell.clone())),
        }
    }
    let measurement = measurement.ok_or("no column _measurement: save the query's raw data, not a pivot")?;
    if !is_number || field == "quality" {
        return Ok(Vec::new());
    }
    let at_us = time(at, 0)?;
    let Some(value) = value(text, false)? else { return Ok(Vec::new()) };
    let point = Point { measurement, tags: &tags, field, value: Some(value), at_us, quality: Quality::Good };
    Ok(vec![reading(&point, choices)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        read(text.as_bytes(), &Choices::default(), &mut |_, _, reading| {
            found.push(match reading {
                Ok(Reading { device, metric, at_us, value, .. }) => {
                    format!("{device} {metric} {} {value:?}", at_us / 1_000_000)
                }
                Err(error) => error.to_string(),
            });
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn annotated_tables_follow_each_other() {
        let text = "#group,false,false,true,true,false,false,true,true,true,true\r\n\
            #datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string\r\n\
            #default,_result,,,,,,,,,\r\n\
            ,result,table,_start,_stop,_time,_value,_field,_measurement,device,probe\r\n\
            ,,0,2026-01-01T00:00:00Z,2026-04-01T00:00:00Z,2026-02-28T23:00:00Z,23.5,value,soil_moisture,n01,1\r\n\
            ,,0,2026-01-01T00:00:00Z,2026-04-01T00:00:00Z,2026-02-28T23:10:00Z,,value,soil_moisture,n01,1\r\n\r\n\
            #datatype,string,long,dateTime:RFC3339,string,string,string,string\r\n\
            ,result,table,_time,_value,_field,_measurement,device\r\n\
            ,,1,2026-02-28T23:00:00Z,hello,note,weather,n01\r\n";
        assert!(is_query(text));
        assert_eq!(all(text), ["n01 soil_moisture_1 1772319600 Some(23.5)"]);
    }

    #[test]
    fn version_one_names_fields_in_columns() {
        let text = "name,tags,time,temp,value,note\nweather,device=n01,1772319600000000000,21.5,3,x\nweather,device=n 1,1772319600000000000,1,,\n";
        assert!(is_query(text));
        let got = all(text);
        assert_eq!(got[..2], ["n01 weather_temp 1772319600 Some(21.5)", "n01 weather 1772319600 Some(3.0)"]);
        assert!(got[2].starts_with("line 3: device \"n 1\""), "{}", got[2]);
    }

    #[test]
    fn an_error_saved_as_a_file_is_no_history() {
        let found = read(
            "error,reference\nbucket not found,897\n".as_bytes(),
            &Choices::default(),
            &mut |_, _, _| Ok(()),
        );
        assert!(found.unwrap_err().to_string().contains("error message"));
    }
}
