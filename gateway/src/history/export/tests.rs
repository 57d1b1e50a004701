//! Files as those who open them see them; other programs' eyes are in `tests/it/export.rs`.

use super::*;
use giot_store::{Batch, DeviceSamples, MetricSample, Store};

/// 2026-03-29T00:00:00+01:00, the first moment of Paris's day of 23 hours.
const T0: i64 = 1_774_738_800_000_000;
const HOUR: i64 = 3_600_000_000;

/// Two probes: hourly moisture, with a hole of a day and a fault; a battery every second hour.
fn farm() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let sample = |metric: &str, hour: i64, value: Option<f64>, quality: u8| MetricSample {
        metric: metric.into(),
        at_us: T0 + hour * HOUR,
        value,
        quality,
    };
    let number = |hour: i64| f64::from(i32::try_from(hour).unwrap());
    let mut samples: Vec<_> = (0..72)
        .filter(|hour| !(23..47).contains(hour))
        .map(|hour| {
            sample("soil_moisture", hour, (hour != 5).then(|| 20.5 + number(hour)), u8::from(hour == 5))
        })
        .collect();
    samples.extend((0..36).map(|n| sample("-volts", 2 * n, Some(number(n) - 3.5), 0)));
    let samples = vec![DeviceSamples { device: "n01".into(), samples }];
    store.writer().commit_blocking(Batch { samples, ..Batch::default() }).unwrap();
    (dir, store)
}

fn export(content: Content) -> Export {
    let series = ["n01/soil_moisture", "n01/-volts"].map(|name| name.parse().unwrap()).into();
    Export { series, zone: "Europe/Paris".parse().unwrap(), content }
}

fn days() -> Content {
    let length: SpanLength = "1d".parse().unwrap();
    let edges_us = length.edges(&(T0..T0 + 70 * HOUR), "Europe/Paris".parse().unwrap()).unwrap();
    Content::Spans { length, edges_us, rises: false }
}

fn lines(export: &Export, format: Format) -> Vec<String> {
    let (dir, store) = farm();
    let mut out = Vec::new();
    let outcome = export.write(&store.reader(), format, dir.path(), &mut out, &mut |_| {}).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    assert_eq!(usize::try_from(outcome.n_rows).unwrap() + 2, lines.len(), "titles, rows, a last line end");
    lines
}

#[test]
fn readings_stand_one_a_row_with_unit_and_zone() {
    let lines = lines(&export(Content::Readings(T0..T0 + 6 * HOUR)), Format::Csv);
    assert_eq!(
        lines,
        [
            "time (Europe/Paris),device,metric,unit,value,quality",
            "2026-03-29T00:00:00+01:00,n01,soil_moisture,%,20.5,good",
            "2026-03-29T01:00:00+01:00,n01,soil_moisture,%,21.5,good",
            "2026-03-29T03:00:00+02:00,n01,soil_moisture,%,22.5,good",
            "2026-03-29T04:00:00+02:00,n01,soil_moisture,%,23.5,good",
            "2026-03-29T05:00:00+02:00,n01,soil_moisture,%,24.5,good",
            "2026-03-29T06:00:00+02:00,n01,soil_moisture,%,,missing",
            "2026-03-29T00:00:00+01:00,n01,'-volts,,-3.5,good",
            "2026-03-29T03:00:00+02:00,n01,'-volts,,-2.5,good",
            "2026-03-29T05:00:00+02:00,n01,'-volts,,-1.5,good",
            "",
        ]
    );
}

#[test]
fn days_stand_side_by_side_and_a_hole_is_empty() {
    let lines = lines(&export(days()), Format::CsvExcel(Notation::Comma));
    assert_eq!(
        lines,
        [
            "\u{feff}from (Europe/Paris);to (Europe/Paris);n01/soil_moisture mean (%);n01/soil_moisture min (%);\
             n01/soil_moisture max (%);n01/soil_moisture last (%);n01/soil_moisture time_mean (%);n01/soil_moisture values;\
             n01/soil_moisture flagged;n01/-volts mean;n01/-volts min;n01/-volts max;n01/-volts last;n01/-volts time_mean;\
             n01/-volts values;n01/-volts flagged\r",
            // The day of 23 hours: 20.5 … 42.5 without hour 5; how long the last one held, nobody knows.
            "2026-03-29 00:00:00;2026-03-30 00:00:00;31,772727272727273;20,5;42,5;42,5;31,261904761904763;22;0;\
             2;-3,5;7,5;7,5;2;12;0\r",
            "2026-03-30 00:00:00;2026-03-31 00:00:00;;;;;;0;0;14;8,5;19,5;19,5;14;12;0\r",
            "2026-03-31 00:00:00;2026-04-01 00:00:00;79;67,5;90,5;90,5;79;24;0;26;20,5;31,5;31,5;26;12;0\r",
            "",
        ]
    );
}

#[test]
fn a_sheet_and_row_groups_may_be_many() {
    let (dir, store) = farm();
    let length: SpanLength = "1min".parse().unwrap();
    let edges_us = length.edges(&(T0..T0 + 50 * HOUR), TimeZone::UTC).unwrap();
    let export = export(Content::Spans { length, edges_us, rises: true });
    let mut heard = Vec::new();
    let mut out = Vec::new();
    let outcome =
        export.write(&store.reader(), Format::Xlsx, dir.path(), &mut out, &mut |n| heard.push(n)).unwrap();
    assert_eq!((outcome.n_rows, outcome.missing.n_damaged, heard.last()), (3_000, 0, Some(&3_000)));
    assert!(out.starts_with(b"PK"));
    // Four sheets of 999 rows below their titles: names of members stand in the archive's directory as text.
    let has = |name: &[u8]| out.windows(name.len()).any(|part| part == name);
    assert!(has(b"xl/worksheets/sheet4.xml") && !has(b"xl/worksheets/sheet5.xml"));
    let names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name.to_str().unwrap().contains("giot")), "{names:?}");
}

#[test]
fn a_full_disk_is_told() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (dir, store) = farm();
    for format in ["csv", "csv-excel", "xlsx", "parquet"] {
        let Ok(format) = format.parse() else { continue };
        let written = export(days()).write(&store.reader(), format, dir.path(), &mut Full, &mut |_| {});
        let error = written.expect_err("nothing can be written");
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        assert_eq!(kind, Some(std::io::ErrorKind::StorageFull), "{format}: {error:#}");
    }
}

#[test]
fn damage_is_passed_over_and_named_in_spans_as_in_readings() {
    let (dir, store) = farm();
    store.fold().unwrap();
    let tool = rusqlite::Connection::open(dir.path().join("giot.sqlite")).unwrap();
    let flip = "UPDATE chunk SET blob = CAST(substr(blob, 1, 20) || x'f7f6' || substr(blob, 23) AS BLOB)
         WHERE series = (SELECT id FROM series WHERE metric = 'soil_moisture')";
    assert_eq!(tool.execute(flip, []).unwrap(), 1);
    let minutes: SpanLength = "15min".parse().unwrap();
    let edges_us = minutes.edges(&(T0..T0 + 70 * HOUR), TimeZone::UTC).unwrap();
    let long = Content::Spans { length: minutes, edges_us, rises: true };
    for content in [Content::Readings(T0..T0 + 72 * HOUR), days(), long] {
        let export = export(content);
        for format in [Format::Csv, Format::Xlsx] {
            let mut out = Vec::new();
            let outcome =
                export.write(&store.reader(), format, dir.path(), &mut out, &mut |_| {}).unwrap().missing;
            assert_eq!((outcome.n_damaged, outcome.n_set_aside), (1, 0), "{outcome:?}");
            let named: Vec<String> = outcome.damaged.iter().map(|part| part.text(export.zone)).collect();
            let whole = "n01/soil_moisture from 2026-03-29T00:00:00+01:00 to 2026-04-01T00:00:00+02:00";
            assert_eq!(named, [whole]);
            // The other series is whole.
            let text = String::from_utf8_lossy(&out);
            assert!(format != Format::Csv || text.contains("-3.5"), "{text}");
        }
    }
}

#[test]
fn formats_are_read_and_written() {
    for text in ["csv", "csv-excel", "csv-excel-vi", "xlsx"] {
        assert_eq!(text.parse::<Format>().unwrap().to_string(), text);
    }
    assert_eq!("parquet".parse::<Format>().is_ok(), cfg!(feature = "parquet"));
    assert!("xls".parse::<Format>().is_err());
}
