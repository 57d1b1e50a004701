//! The store against a plain map: random writes, late data, resent samples, foldings, restarts and crashes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::backlog::SinkPlaces;
use super::super::fold::{Job, Progress, Statements};
use super::super::{catalog::SharedCatalog, open, reader};
use super::check::report;
use super::spans::assert_same_spans;
use super::*;

type Model = BTreeMap<(u8, i64), (Option<u64>, u8)>;

#[derive(Debug, Clone)]
enum Step {
    /// Samples of one series: (minute, value, quality).
    Write(u8, Vec<(i64, Option<f64>, u8)>),
    /// Many minutes in a row.
    Bulk(u8, i64, i64),
    Fold,
    Compact,
    /// A round of upkeep: chunks are joined where that pays.
    Tend,
    /// A copy, restored elsewhere, goes on as the store.
    Backup,
    Restart,
    Drop,
    /// The files as they are, in another folder, as after a power cut.
    Crash,
}

fn value() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        4 => (-5_000_i32..5_000, 0..5).prop_map(|(m, scale)| Some(f64::from(m) / 10_f64.powi(scale))),
        1 => any::<f64>().prop_map(|value| (!value.is_nan()).then_some(value)),
        1 => Just(Some(-0.0)),
        1 => Just(None),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let minute = prop_oneof![0_i64..200, 0_i64..60_000];
    let sample = (minute, value(), prop_oneof![3 => Just(0_u8), 1 => any::<u8>()]);
    prop_oneof![
        6 => (0_u8..5, prop::collection::vec(sample, 1..60)).prop_map(|(series, samples)| Step::Write(series, samples)),
        2 => (0_u8..5, 0_i64..50_000, 1_i64..5_000).prop_map(|(series, from, n)| Step::Bulk(series, from, n)),
        3 => Just(Step::Fold),
        1 => Just(Step::Compact),
        1 => Just(Step::Tend),
        1 => Just(Step::Backup),
        1 => Just(Step::Restart),
        1 => Just(Step::Drop),
        1 => Just(Step::Crash),
    ]
}

fn batch(series: u8, samples: &[(i64, Option<f64>, u8)]) -> Batch {
    let metric: Arc<str> = format!("m{series}").into();
    let samples = samples
        .iter()
        .map(|(minute, value, quality)| MetricSample {
            metric: metric.clone(),
            at_us: T0 + minute * MINUTE,
            value: *value,
            quality: *quality,
        })
        .collect();
    Batch { samples: vec![DeviceSamples { device: "n01".into(), samples }], ..Batch::default() }
}

fn note(model: &mut Model, series: u8, samples: &[(i64, Option<f64>, u8)]) {
    for (minute, value, quality) in samples {
        model.insert((series, T0 + minute * MINUTE), (value.map(f64::to_bits), *quality));
    }
}

fn assert_same(reader: &Reader, model: &Model) {
    for series in 0..5 {
        let metric = format!("m{series}");
        let expected: Vec<_> = model
            .range((series, i64::MIN)..=(series, i64::MAX))
            .map(|((_, at_us), kept)| (*at_us, kept.0, kept.1))
            .collect();
        let found: Vec<_> = samples(reader, "n01", &metric)
            .into_iter()
            .map(|sample| (sample.at_us, sample.value.map(f64::to_bits), sample.quality))
            .collect();
        assert_eq!(found.len(), expected.len(), "series {series}");
        assert!(found == expected, "series {series}");
        // One series a step: all take turns.
        if usize::from(series) == model.len() % 5 {
            let points =
                expected.iter().map(|(at_us, bits, quality)| (*at_us, bits.map(f64::from_bits), *quality));
            assert_same_spans(reader, "n01", &metric, &points.collect::<Vec<_>>());
        }
        let last = reader.last_values(Some("n01")).unwrap().into_iter().find(|last| *last.metric == *metric);
        let last = last.map(|last| (last.sample.at_us, last.sample.value, last.sample.quality));
        let expected =
            expected.last().map(|(at_us, bits, quality)| (*at_us, bits.map(f64::from_bits), *quality));
        assert_eq!(last, expected, "last of series {series}");
    }
}

/// Chunks of one series do not overlap and have bounded size.
pub(super) fn assert_chunks_apart(dir: &Path) {
    let conn = open::open_reader(dir).unwrap();
    let sql = "SELECT series, from_us, to_us, n_samples FROM chunk ORDER BY series, from_us";
    let mut statement = conn.prepare(sql).unwrap();
    let rows =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    let chunks: Vec<(i64, i64, i64, i64)> = rows.map(Result::unwrap).collect();
    for pair in chunks.windows(2) {
        assert!(pair[0].0 != pair[1].0 || pair[0].2 < pair[1].1, "{pair:?}");
    }
    assert!(chunks.iter().all(|chunk| chunk.1 <= chunk.2 && chunk.3 <= 32_768));
}

fn n_cases() -> u32 {
    std::env::var("GIOT_MODEL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(32)
}

proptest! {
    // GIOT_MODEL_CASES=N runs more; a failing case is printed with its seed.
    #![proptest_config(ProptestConfig { cases: n_cases(), ..ProptestConfig::default() })]
    #[test]
    fn the_store_is_a_map(steps in prop::collection::vec(step(), 1..20)) {
        let mut dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let mut model = Model::new();
        let mut day = 0;
        for step in steps {
            match step {
                Step::Write(series, samples) => {
                    store.writer().commit_blocking(batch(series, &samples)).unwrap();
                    note(&mut model, series, &samples);
                }
                Step::Bulk(series, from, n) => {
                    let samples: Vec<_> = (from..from + n).map(|at| (at, Some((at % 97) as f64 / 10.0), 0)).collect();
                    store.writer().commit_blocking(batch(series, &samples)).unwrap();
                    note(&mut model, series, &samples);
                }
                Step::Fold => {
                    store.fold().unwrap();
                    assert_chunks_apart(dir.path());
                    assert_eq!(store.reader().stats().unwrap().n_samples, u64::try_from(model.len()).unwrap());
                }
                Step::Compact => {
                    store.compact().unwrap();
                    assert_chunks_apart(dir.path());
                    assert_eq!(store.reader().stats().unwrap().n_journal_rows, 0);
                }
                Step::Tend => {
                    // A day later each time, so that it looks at the chunks.
                    day += 86_400_000_000;
                    tend(&store, T0 + day, None);
                    assert_chunks_apart(dir.path());
                    assert!(report(dir.path()).is_clean());
                }
                Step::Backup => {
                    let (copy, other) = (dir.path().join("copy.sqlite"), tempfile::tempdir().unwrap());
                    back_up(dir.path(), &copy, &mut |_, _, _| {}).unwrap();
                    restore(&copy, other.path(), None, &mut |_, _, _| {}).unwrap();
                    drop(store);
                    store = Store::open(other.path()).unwrap();
                    dir = other;
                }
                Step::Restart => {
                    store.close().unwrap();
                    store = Store::open(dir.path()).unwrap();
                }
                Step::Drop => {
                    drop(store);
                    store = Store::open(dir.path()).unwrap();
                }
                Step::Crash => {
                    let copy = tempfile::tempdir().unwrap();
                    copy_as_killed(dir.path(), copy.path());
                    drop(store);
                    store = Store::open(copy.path()).unwrap();
                    dir = copy;
                }
            }
            assert_same(&store.reader(), &model);
        }
        assert_same(&Reader::open(dir.path()).unwrap(), &model);
    }
}

#[test]
fn folding_that_ends_at_any_step_loses_and_doubles_nothing() {
    let mut n_steps = 0;
    loop {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut model = Model::new();
        for round in 0..4 {
            for series in 0..5 {
                let samples: Vec<_> =
                    (0..300).map(|n| (n * 2 + round, Some((n + round) as f64), 0)).collect();
                store.writer().commit_blocking(batch(series, &samples)).unwrap();
                note(&mut model, series, &samples);
            }
            if round == 1 {
                store.fold().unwrap();
            }
        }
        drop(store);
        let is_complete = fold_steps(dir.path(), n_steps);
        assert_same(&Reader::open(dir.path()).unwrap(), &model);
        let store = Store::open(dir.path()).unwrap();
        let late = [(1, Some(-1.0), 1), (599, None, 0)];
        store.writer().commit_blocking(batch(0, &late)).unwrap();
        note(&mut model, 0, &late);
        assert_same(&store.reader(), &model);
        store.fold().unwrap();
        assert_same(&store.reader(), &model);
        assert_chunks_apart(dir.path());
        if is_complete {
            break;
        }
        n_steps += 1;
    }
    assert!(n_steps > 5, "the job was cut into {n_steps} steps only");
}

/// Does some steps of a job and forgets it; true when it was done.
fn fold_steps(dir: &Path, n_steps: usize) -> bool {
    let conn = open::open_writer(dir, None).unwrap();
    let catalog = SharedCatalog::new(reader::load_catalog(&conn).unwrap());
    let mut statements = Statements::prepare(&conn).unwrap();
    let mut job = Job::begin(dir, u64::MAX, &Arc::new(SinkPlaces::default()), || ()).unwrap();
    (0..n_steps).any(|_| job.step(&conn, &mut statements, &catalog).unwrap() == Progress::Done)
}
