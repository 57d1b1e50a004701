//! The store as its callers see it: round trips, refusals, concurrency, limits.

mod backup;
mod check;
mod compact;
mod crash;
mod farm;
mod faults;
mod life;
mod log;
mod mend;
mod model;
mod pages;
mod retention;
mod row_sums;
mod spans;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::*;

pub(super) const T0: i64 = 1_700_000_000_000_000;
pub(super) const MINUTE: i64 = 60_000_000;

/// Takes the checksums of small tables' rows away, as before version 7 of the schema.
pub(super) const NO_SUMS: &str = "ALTER TABLE series DROP COLUMN crc32; ALTER TABLE device DROP COLUMN crc32;
    ALTER TABLE zone_memory DROP COLUMN crc32; ALTER TABLE valve_event DROP COLUMN crc32;
    DROP TRIGGER IF EXISTS farm_keeps_words; ALTER TABLE farm_version DROP COLUMN crc32;";

#[test]
fn everything_in_a_batch_comes_back_inside_outside_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.writer().commit_blocking(full_batch()).unwrap();
    assert_full_batch(&store.reader());
    assert_full_batch(&Reader::open(dir.path()).unwrap());
    store.fold().unwrap();
    assert_full_batch(&store.reader());
    store.close().unwrap();
    assert_full_batch(&Reader::open(dir.path()).unwrap());
    let store = Store::open(dir.path()).unwrap();
    assert_full_batch(&store.reader());
}

#[test]
fn a_killed_store_keeps_what_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.writer().commit_blocking(full_batch()).unwrap();
    copy_files(dir.path(), copy.path());
    assert_full_batch(&Store::open(copy.path()).unwrap().reader());
}

#[test]
fn redelivery_changes_nothing_but_the_later_value_of_one_time_wins() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let write = |batch: Batch| store.writer().commit_blocking(batch).unwrap();
    write(full_batch());
    let without_diary = Batch { diary: Vec::new(), farm: None, ..full_batch() };
    write(without_diary.clone());
    store.fold().unwrap();
    write(without_diary);
    assert_full_batch(&store.reader());
    write(readings("n01", "soil", [(T0, Some(9.0))]));
    assert_eq!(samples(&store.reader(), "n01", "soil")[0].value, Some(9.0));
    store.fold().unwrap();
    assert_eq!(samples(&store.reader(), "n01", "soil")[0].value, Some(9.0));
}

#[test]
fn marks_and_counters_never_go_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mark = |epoch, seq| Mark { node: "n01".into(), epoch, seq, after: None };
    let mut counts = Vec::new();
    for (epoch, seq, counter) in [(1, 5, 10), (1, 4, 5), (2, 0, 20), (1, 9, 1)] {
        let counters = vec![("command".to_owned(), counter)];
        let batch = Batch { mark: Some(mark(epoch, seq)), counters, ..Batch::default() };
        store.writer().commit_blocking(batch).unwrap();
        let kept = store.reader().mark("n01").unwrap().unwrap();
        counts.push((kept.epoch, kept.seq, store.reader().counter("command").unwrap().unwrap()));
    }
    assert_eq!(counts, [(1, 5, 10), (1, 5, 10), (2, 0, 20), (2, 0, 20)]);
    assert_eq!(store.reader().mark("n02").unwrap(), None);
    assert_eq!(store.reader().marks().unwrap(), [mark(2, 0)]);
}

#[test]
fn one_writer_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(OpenError::InUse { .. })));
    drop(store);
    assert!(Store::open(dir.path()).is_ok());
}

#[test]
fn newer_foreign_and_missing_stores_are_refused_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(dir.path()), Err(OpenError::NoStore { .. })));
    Store::open(dir.path()).unwrap().close().unwrap();
    let file = dir.path().join("giot.sqlite");
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = std::fs::read(&file).unwrap();
    let ours = open::schema_version();
    let newer = |error| matches!(error, OpenError::NewerSchema { found: 99, known } if known == ours);
    assert!(newer(Store::open(dir.path()).unwrap_err()));
    assert!(newer(Reader::open(dir.path()).unwrap_err()));
    assert_eq!(std::fs::read(&file).unwrap(), before);

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("giot.sqlite");
    std::fs::write(&file, [b'x'; 5_000]).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(OpenError::Foreign { .. })));
    std::fs::remove_file(&file).unwrap();
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(matches!(Store::open(dir.path()), Err(OpenError::Foreign { .. })));
    assert!(matches!(Reader::open(dir.path()), Err(OpenError::Foreign { .. })));
}

#[cfg(unix)]
#[test]
fn keys_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.writer().commit_blocking(full_batch()).unwrap();
    for name in ["giot.sqlite", "giot.sqlite-wal"] {
        let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn answers_come_in_order_and_a_closed_store_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let writer = store.writer();
    let (sender, receiver) = channel();
    for n in 0..500 {
        let sender = sender.clone();
        let done = Done::call(move |result| sender.send((n, result.is_ok())).unwrap());
        writer.try_submit(readings("n01", "soil", [(T0 + i64::from(n), Some(f64::from(n)))]), done).unwrap();
    }
    store.close().unwrap();
    let answers: Vec<(i32, bool)> = receiver.try_iter().collect();
    assert_eq!(answers, (0..500).map(|n| (n, true)).collect::<Vec<_>>());
    assert!(matches!(writer.try_submit(Batch::default(), Done::Ignore), Err(SubmitError::Closed(_))));
    assert!(matches!(writer.commit_blocking(Batch::default()), Err(CommitError::Unavailable(_))));
    assert_eq!(samples(&Reader::open(dir.path()).unwrap(), "n01", "soil").len(), 500);
}

#[test]
fn tasks_can_wait_for_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let writer = store.writer();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(async {
        writer.commit(readings("n01", "soil", [(T0, Some(1.0))])).await.unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        writer.submit(readings("n01", "soil", [(T0 + 1, Some(2.0))]), Done::Oneshot(sender)).await.unwrap();
        receiver.await.unwrap().unwrap();
        let refused = writer.commit(readings("", "soil", [(T0, None)])).await;
        assert!(matches!(refused, Err(CommitError::Refused(_))));
    });
    assert_eq!(samples(&store.reader(), "n01", "soil").len(), 2);
}

#[test]
fn a_reader_outside_sees_commits_while_the_writer_works() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let outside = Reader::open(dir.path()).unwrap();
    let values = |reader: &Reader| {
        let all = reader.last_values(None).unwrap();
        all.into_iter().map(|last| (last.device.to_string(), last.sample.value)).collect::<Vec<_>>()
    };
    for n in 1..4 {
        store.writer().commit_blocking(readings("n01", "soil", [(T0 + n, Some(n as f64))])).unwrap();
        assert_eq!(values(&outside), [("n01".to_owned(), Some(n as f64))]);
        if n == 2 {
            store.fold().unwrap();
        }
    }
    assert_eq!(values(&outside), values(&store.reader()));
    store.writer().commit_blocking(readings("n01", "soil", [(T0, Some(100.0))])).unwrap();
    assert_eq!(values(&store.reader()), [("n01".to_owned(), Some(3.0))], "an older sample is not the latest");
}

#[test]
fn ranges_are_half_open_and_a_reader_can_stop() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let minutes = (0..1_000).map(|n| (T0 + n * MINUTE, (n % 10 != 3).then_some(n as f64)));
    store.writer().commit_blocking(readings("n01", "soil", minutes)).unwrap();
    for folded in [false, true] {
        if folded {
            store.fold().unwrap();
        }
        let range = T0 + 10 * MINUTE..T0 + 20 * MINUTE;
        let mut times = Vec::new();
        let summary = store.reader().samples("n01", "soil", range, &mut |sample| {
            times.push((sample.at_us - T0) / MINUTE);
            ControlFlow::Continue(())
        });
        assert_eq!(times, (10..20).collect::<Vec<_>>());
        assert_eq!(summary.unwrap(), ReadSummary { n_samples: 10, ..ReadSummary::default() });
        let mut n = 0;
        let summary = store.reader().samples("n01", "soil", T0..i64::MAX, &mut |_| {
            n += 1;
            if n == 60 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((n, summary.unwrap().n_samples), (60, 60));
        let points = store.reader().chart("n01", "soil", T0..T0 + 1_000 * MINUTE, 10).unwrap();
        assert_eq!(points.len(), 10);
        assert_eq!((points[0].min, points[0].max, points[9].max, points[9].n_values), (0.0, 99.0, 999.0, 90));
    }
    let nothing = store.reader().samples("n01", "other", 0..i64::MAX, &mut |_| panic!("no such series"));
    assert_eq!(nothing.unwrap(), ReadSummary::default());
}

#[test]
fn series_and_statistics_count_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let write = |batch| store.writer().commit_blocking(batch).unwrap();
    write(readings("n02", "soil", (0..100).map(|n| (T0 + n * MINUTE, Some(1.0)))));
    store.fold().unwrap();
    write(readings("n02", "soil", [(T0 - MINUTE, Some(1.0)), (T0 + 200 * MINUTE, Some(1.0))]));
    write(readings("n01", "rain", [(T0, None)]));
    let info = |device: &str, metric: &str, n_samples, first_us, last_us| SeriesInfo {
        device: device.into(),
        metric: metric.into(),
        n_samples,
        first_us: Some(first_us),
        last_us: Some(last_us),
    };
    let expected = [info("n01", "rain", 1, T0, T0), info("n02", "soil", 102, T0 - MINUTE, T0 + 200 * MINUTE)];
    assert_eq!(store.reader().series().unwrap(), expected);
    let stats = store.reader().stats().unwrap();
    assert_eq!((stats.n_journal_rows, stats.n_chunks, stats.n_samples, stats.n_series), (2, 1, 103, 2));
    assert!(stats.file_bytes > 0 && stats.journal_bytes > 0 && stats.chunk_bytes > 0 && stats.n_damaged == 0);
}

#[test]
fn the_bench_load_is_kept_whole_and_its_questions_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let plan = bench::BenchPlan { n_series: 6, n_minutes: 420, seed: 7, jitter: true, n_in_flight: 3 };
    let ticks = std::sync::atomic::AtomicU64::new(0);
    let now = || Duration::from_micros(ticks.fetch_add(1, Ordering::Relaxed));
    let load = bench::load(&store.writer(), &plan, &now, &|_| ()).unwrap();
    assert_eq!(load.n_samples, 2_520);
    assert!(load.durable_p50 > Duration::ZERO && load.durable_p99 >= load.durable_p50);
    assert!(load.elapsed > load.durable_p99);
    for folds in [false, true] {
        if folds {
            store.fold().unwrap();
        }
        bench::ask(&store.reader(), &plan, &now).unwrap();
    }
    let other = bench::BenchPlan { seed: 8, ..plan };
    assert!(bench::ask(&store.reader(), &other, &now).is_err(), "wrong answers are noticed");
    let mut lines = Vec::new();
    bench::write_lines(&plan, &mut lines).unwrap();
    let lines = String::from_utf8(lines).unwrap();
    assert_eq!(lines.lines().count(), 840);
    assert!(lines.starts_with("farm,device=bench-00000 soil_moisture="), "{lines:.80}");
    assert_eq!(store.reader().stats().unwrap().n_samples, 2_520);
}

pub(super) fn readings(
    device: &str,
    metric: &str,
    samples: impl IntoIterator<Item = (i64, Option<f64>)>,
) -> Batch {
    let metric: Arc<str> = metric.into();
    let samples = samples
        .into_iter()
        .map(|(at_us, value)| MetricSample { metric: metric.clone(), at_us, value, quality: 0 })
        .collect();
    Batch { samples: vec![DeviceSamples { device: device.into(), samples }], ..Batch::default() }
}

/// Asks for a round of upkeep and waits for its end.
pub(super) fn tend(store: &Store, now_us: i64, retention: Option<&Retention>) {
    let before = store.n_rounds();
    let retention = retention.map(|retention| Arc::new(retention.clone()));
    assert!(store.writer().tend(Upkeep { now_us, retention }).unwrap());
    while store.n_rounds() == before {
        std::thread::yield_now();
    }
}

pub(super) fn samples(reader: &Reader, device: &str, metric: &str) -> Vec<Sample> {
    let mut samples = Vec::new();
    let summary = reader.samples(device, metric, i64::MIN..i64::MAX, &mut |sample| {
        samples.push(sample);
        ControlFlow::Continue(())
    });
    assert_eq!(usize::try_from(summary.unwrap().n_samples).unwrap(), samples.len());
    samples
}

pub(super) fn entry(event: &str, at_us: i64) -> DiaryEntry {
    DiaryEntry {
        at_us: Some(at_us),
        recorded_us: at_us,
        zone: Some("man-1".to_owned()),
        event: event.to_owned(),
        command: Some(3),
        by: "engine".to_owned(),
        person: None,
        reason: "soil_dry".to_owned(),
        args: r#"{"moisture":21.9}"#.to_owned(),
        run_ms: Some(600_000),
        volume_ml: None,
    }
}

/// The files of a store at work as a kill would leave them. A snapshot is held meanwhile: without it a checkpoint between the two
/// copies could take pages out of the log that the copied database does not have yet, which no kill does.
pub(crate) fn copy_as_killed(from: &Path, to: &Path) {
    let conn = rusqlite::Connection::open(from.join("giot.sqlite")).unwrap();
    conn.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;").unwrap();
    copy_files(from, to);
}

pub(super) fn copy_files(from: &Path, to: &Path) {
    for name in ["giot.sqlite", "giot.sqlite-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

fn valve_event() -> ValveEventRow {
    ValveEventRow {
        node: "n01".into(),
        valve: 2,
        at_us: T0,
        uncertainty_us: 500,
        open: false,
        command: Some(u64::MAX),
        closed_by: Some("lease_ended".to_owned()),
        run_ms: 600_000,
        volume_ml: Some(12_345),
        epoch: 1,
        seq: 7,
    }
}

fn full_batch() -> Batch {
    let sample =
        |metric: &str, at_us, value, quality| MetricSample { metric: metric.into(), at_us, value, quality };
    Batch {
        samples: vec![DeviceSamples {
            device: "n01".into(),
            samples: vec![
                sample("soil", T0, Some(23.45), 0),
                sample("soil", T0 + MINUTE, None, 4),
                sample("battery", T0, Some(1.0 / 3.0), 0),
                sample("odd", T0, Some(f64::NAN), 1),
            ],
        }],
        mark: Some(Mark { node: "n01".into(), epoch: 1, seq: 7, after: None }),
        valve_events: vec![valve_event()],
        diary: vec![entry("started", T0), entry("stopped", T0 + MINUTE)],
        anchors: vec![Anchor {
            node: "n01".into(),
            epoch: 1,
            unix_ms_at_uptime_zero: T0 / 1_000,
            uncertainty_ms: 20,
        }],
        memory: vec![("man-1".to_owned(), r#"{"locked":null}"#.to_owned())],
        devices: vec![DeviceRow {
            id: "n01".into(),
            kind: "node".to_owned(),
            label: "Cảm biến vườn mận".to_owned(),
            key: Some(vec![1, 2, 3]),
            created_us: T0,
        }],
        counters: vec![("command".to_owned(), 64)],
        meta: vec![("secret".to_owned(), "x".to_owned())],
        farm: Some(farm::row(1, "cooperative = \"Na Sản\"\n")),
        farm_in_force: None,
    }
}

fn assert_full_batch(reader: &Reader) {
    let batch = full_batch();
    let sample = |at_us, value, quality| Sample { at_us, value, quality };
    assert_eq!(samples(reader, "n01", "soil"), [sample(T0, Some(23.45), 0), sample(T0 + MINUTE, None, 4)]);
    assert_eq!(samples(reader, "n01", "battery"), [sample(T0, Some(1.0 / 3.0), 0)]);
    assert_eq!(samples(reader, "n01", "odd"), [sample(T0, None, 1)]);
    let last: Vec<_> =
        reader.last_values(Some("n01")).unwrap().into_iter().map(|last| (last.metric, last.sample)).collect();
    let expected = [
        ("battery".into(), sample(T0, Some(1.0 / 3.0), 0)),
        ("odd".into(), sample(T0, None, 1)),
        ("soil".into(), sample(T0 + MINUTE, None, 4)),
    ];
    assert_eq!(last, expected);
    assert_eq!(reader.last_values(Some("n02")).unwrap(), []);
    assert_eq!(reader.mark("n01").unwrap(), batch.mark);
    assert_eq!(reader.anchors("n01").unwrap(), batch.anchors);
    assert_eq!(reader.memory().unwrap().into_iter().collect::<Vec<_>>(), batch.memory);
    assert_eq!(reader.devices().unwrap(), batch.devices);
    assert_eq!(reader.counter("command").unwrap(), Some(64));
    assert_eq!(reader.meta("secret").unwrap().as_deref(), Some("x"));
    assert_eq!(reader.farm_newest().unwrap(), batch.farm);
    let events = ValveEventFilter {
        node: Some("n01".to_owned()),
        valve: Some(2),
        limit: 10,
        ..ValveEventFilter::default()
    };
    assert_eq!(reader.valve_events(&events).unwrap(), batch.valve_events);
    let other = ValveEventFilter { valve: Some(3), ..events.clone() };
    assert_eq!(reader.valve_events(&other).unwrap(), []);
    let earlier = ValveEventFilter { to_us: Some(T0), ..events };
    assert_eq!(reader.valve_events(&earlier).unwrap(), []);
    let mut diary = reader.diary(&DiaryFilter { limit: 10, ..DiaryFilter::default() }).unwrap();
    diary.reverse();
    assert_eq!(diary.into_iter().map(|row| row.entry).collect::<Vec<_>>(), batch.diary);
    assert!(matches!(reader.verify_diary().unwrap(), DiaryProof::Whole { n_rows: 2, .. }));
}

/// P1: a watermark never passes a batch that is not on disk.
#[test]
fn a_mark_is_refused_while_what_lies_before_it_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let commit = |seq, after| {
        let mark = Mark { node: "n01".into(), epoch: 1, seq, after };
        store.writer().commit_blocking(Batch { mark: Some(mark), ..Batch::default() })
    };
    commit(5, Some((1, 0))).unwrap();
    commit(9, Some((1, 5))).unwrap();
    assert!(matches!(commit(20, Some((1, 15))), Err(CommitError::Refused(_))), "10 to 15 never came");
    assert_eq!(store.reader().mark("n01").unwrap().map(|mark| mark.seq), Some(9));
    commit(15, Some((1, 9))).unwrap();
    commit(20, Some((1, 15))).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    let mark = Mark { node: "n01".into(), epoch: 2, seq: 3, after: Some((2, 1)) };
    let jump = store.writer().commit_blocking(Batch { mark: Some(mark), ..Batch::default() });
    assert!(matches!(jump, Err(CommitError::Refused(_))), "remembered over a restart");
}

#[test]
fn a_store_that_expects_a_batch_is_none_the_worse_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let writer = store.writer();
    for n in 0..100 {
        for _ in 0..n % 4 {
            writer.expect_soon();
        }
        if n % 3 != 0 {
            writer.commit_blocking(readings("n01", "soil", [(T0 + n, Some(1.0))])).unwrap();
        }
        writer.expect_soon();
    }
    assert_eq!(samples(&store.reader(), "n01", "soil").len(), 66);
    writer.expect_soon();
    store.close().unwrap();
    writer.expect_soon();
    assert_eq!(samples(&Reader::open(dir.path()).unwrap(), "n01", "soil").len(), 66);
}

#[test]
fn a_question_asked_again_is_not_planned_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let ask = |conn: &rusqlite::Connection, series: i64, from_us: i64| {
        let sql = "SELECT count(*) FROM chunk WHERE series = ?1 AND from_us >= ?2";
        let mut found = conn.prepare_cached(sql)?;
        found.query_row([series, from_us], |row| row.get::<_, i64>(0))?;
        Ok(found.get_status(rusqlite::StatementStatus::RePrepare))
    };
    for (series, from_us) in [(1, T0), (0, 1), (7, i64::MIN), (1, 0)] {
        assert_eq!(store.reader().with(|conn| ask(conn, series, from_us)).unwrap(), 0);
    }
}
