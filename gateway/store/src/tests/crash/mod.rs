//! Ends that nobody chose: killed at any moment, power cut at any sync, a disk without room.
//!
//! Each test runs this test program a second time as a child, with a folder in an environment variable, and does something to it. The
//! load is the same in all: batches of readings, one diary entry, one mark and one valve event each, in order, so that what a store holds
//! is told by one number: how many of them.
//!
//! `GIOT_FAULTS_LONG=1` runs the long forms; `GIOT_FAULTS_SEED=N` another seed.

mod full;
mod kill;
mod power;

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{PoisonError, RwLock};

use super::check::report;
use super::*;

const HOUR: i64 = 60 * MINUTE;
const SERIES: [&str; 3] = ["m0", "m1", "m2"];
/// Readings of each series in a batch, one a minute.
const N_EACH: i64 = 120;
/// Begins with an hour.
const FROM: i64 = (T0 / HOUR + 1) * HOUR;

/// Tenths of the value of reading `n` of a series: with noise, so that chunks are not empty.
fn tenths(n: i64) -> i64 {
    (n * 7_919 + 13) * 104_729 % 1_000_003 % 500
}

fn value(n: i64) -> f64 {
    tenths(n) as f64 / 10.0
}

fn batch(n: i64) -> Batch {
    let at_us = FROM + n * N_EACH * MINUTE;
    let samples = |metric: &&str| {
        let metric: Arc<str> = (*metric).into();
        let sample = move |i: i64| MetricSample {
            metric: metric.clone(),
            at_us: FROM + i * MINUTE,
            value: Some(value(i)),
            quality: 0,
        };
        (n * N_EACH..(n + 1) * N_EACH).map(sample)
    };
    let samples = SERIES.iter().flat_map(samples).collect();
    let seq = n.cast_unsigned() + 1;
    Batch {
        samples: vec![DeviceSamples { device: "n01".into(), samples }],
        mark: Some(Mark { node: "n01".into(), epoch: 1, seq, after: Some((1, seq - 1)) }),
        valve_events: vec![ValveEventRow { seq, at_us, epoch: 1, ..valve_event() }],
        diary: vec![entry(&format!("e{n}"), at_us)],
        counters: vec![("command".to_owned(), n)],
        ..Batch::default()
    }
}

/// How many batches the store holds: all of each or nothing, none missing before another, none twice, whatever became of their
/// readings since. At least `n_acknowledged`.
fn assert_whole(reader: &Reader, n_acknowledged: i64) -> i64 {
    let DiaryProof::Whole { n_rows, .. } = reader.verify_diary().unwrap() else { panic!("a broken diary") };
    let n = n_rows.cast_signed();
    assert!(n >= n_acknowledged, "{n} of {n_acknowledged} acknowledged");
    assert_eq!(reader.mark("n01").unwrap().map_or(0, |mark| mark.seq), n_rows);
    let events = ValveEventFilter { limit: u32::MAX, ..ValveEventFilter::default() };
    assert_eq!(reader.valve_events(&events).unwrap().len(), usize::try_from(n).unwrap());
    let n_readings = n * N_EACH;
    let edges: Vec<i64> = (0..=n_readings / 60 + 1).map(|hour| FROM + hour * HOUR).collect();
    for metric in SERIES {
        let (hours, summary) = reader.buckets("n01", metric, &edges, true).unwrap();
        assert_eq!((summary.n_damaged_chunks, summary.n_damaged_journal_rows), (0, 0));
        let mut n_found = 0;
        for hour in &hours {
            let from = (hour.from_us - FROM) / MINUTE;
            let within = from..(from + 60).min(n_readings);
            let values: Vec<f64> = within.clone().map(value).collect();
            assert_eq!(hour.n_values, u64::try_from(values.len()).unwrap(), "{metric} at {from}");
            let tenths: i64 = within.map(tenths).sum();
            assert!(
                (hour.mean * 10.0 * values.len() as f64 - tenths as f64).abs() < 1e-6,
                "{metric} at {from}"
            );
            assert_eq!(hour.last.to_bits(), values.last().unwrap().to_bits());
            n_found += hour.n_values.cast_signed();
        }
        assert_eq!(n_found, n_readings, "{metric}");
    }
    n
}

/// As [`assert_whole`] on the store of a folder that nobody has open: opened for writing, checked, and written to.
fn assert_recovers(dir: &Path, n_acknowledged: i64) -> i64 {
    let store = Store::open(dir).unwrap();
    let n = assert_whole(&store.reader(), n_acknowledged);
    let report = report(dir);
    assert!(report.is_clean(), "{report:?}");
    n
}

/// This test program once more, running one test with a folder.
fn child(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("tests::crash::{test}"), "--nocapture", "--test-threads=1"]);
    command.env("GIOT_CRASH_DIR", dir).stdin(Stdio::null());
    command
}

/// Held for reading while a store is open that is opened again at once, and for writing while a program starts: between its fork and its
/// exec it holds every lock of this one, and the store would be in use.
static OPEN: RwLock<()> = RwLock::new(());

/// Looks at stores that are opened one after another.
fn judging<T>(judge: impl FnOnce() -> T) -> T {
    let _nobody_starts = OPEN.read().unwrap_or_else(PoisonError::into_inner);
    judge()
}

/// Starts a program.
fn start(command: &mut Command) -> Child {
    let _nobody_judges = OPEN.write().unwrap_or_else(PoisonError::into_inner);
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Starts a program that says what it has to say until it ends.
fn output(command: &mut Command) -> Output {
    start(command.stdout(Stdio::piped()).stderr(Stdio::piped())).wait_with_output().unwrap()
}

/// The folder, in a child.
fn child_dir() -> Option<PathBuf> {
    std::env::var_os("GIOT_CRASH_DIR").map(Into::into)
}

fn is_long() -> bool {
    std::env::var_os("GIOT_FAULTS_LONG").is_some()
}

/// Small reproducible randomness (splitmix64).
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = std::env::var("GIOT_FAULTS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
        println!("seed {seed}");
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: u64) -> u64 {
        self.roll() % n.max(1)
    }
}
