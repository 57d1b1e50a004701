//! Long lives of a store, step by step against plain maps: fresh and late readings, resent ones, foldings, compactions, retention by
//! age and by room, restarts, power cuts, copies that take over, and questions of every kind.
//!
//! | variable | means | otherwise |
//! |---|---|---|
//! | `GIOT_LIFE_SEED` | first seed | 1 |
//! | `GIOT_LIVES` | lives, each with the next seed | 1 |
//! | `GIOT_LIFE_STEPS` | steps of a life | 2000 |
//!
//! A life that fails prints its seed and step.

mod model;

use super::check::report;
use super::model::assert_chunks_apart;
use super::*;
use model::{DAY, HOUR, Kept, N_SERIES, Series, day_of, metric};

/// Every so many steps everything is compared.
const STEPS_BETWEEN_LOOKS: u64 = 16;
/// A page of the file, bytes.
const PAGE: u64 = 4_096;

/// Rows of a question about spans.
const ROWS_MAX: i64 = 12;

/// Numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    fn below(&mut self, n: i64) -> i64 {
        i64::try_from(self.roll() % u64::try_from(n.max(1)).unwrap()).unwrap()
    }

    fn series(&mut self) -> usize {
        usize::try_from(self.below(i64::try_from(N_SERIES).unwrap())).unwrap()
    }

    fn one_in(&mut self, n: i64) -> bool {
        self.below(n) == 0
    }
}

/// Says where a life was when it failed.
struct Where {
    seed: u64,
    step: u64,
    what: &'static str,
}

impl Drop for Where {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, step, what } = self;
            println!("life with GIOT_LIFE_SEED={seed} failed at step {step} ({what})");
        }
    }
}

struct Life {
    dice: Dice,
    dir: tempfile::TempDir,
    store: Option<Store>,
    model: Vec<Series>,
    now_us: i64,
    /// Told with a round of upkeep, so that each one looks at the chunks.
    told_us: i64,
    n_written: u64,
}

/// In memory where there is such a folder: what is tried here does not depend on the disk.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

impl Life {
    fn begin(seed: u64) -> Self {
        let dir = folder();
        let store = Some(Store::open(dir.path()).unwrap());
        let model = (0..N_SERIES).map(|_| Series::default()).collect();
        let now_us = day_of(T0) + DAY;
        Self { dice: Dice(seed), dir, store, model, now_us, told_us: now_us, n_written: 0 }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn step(&mut self) -> &'static str {
        match self.dice.below(100) {
            0..40 => self.fresh(),
            40..52 => self.late(),
            52..58 => self.again(),
            58..68 => self.ask_range(),
            68..78 => self.ask_spans(),
            78..85 => self.fold(),
            85..87 => self.compact(),
            87..92 => self.age(),
            92..94 => self.make_room(),
            94..96 => self.reopen(true),
            96..97 => self.reopen(false),
            97..99 => self.crash(),
            _ => self.back_up(),
        }
    }

    /// What a series reads at a time.
    fn reading(&mut self, idx: usize, at_us: i64) -> Kept {
        let minute = at_us.div_euclid(MINUTE);
        let noise = self.dice.below(20) as f64;
        let value = match idx {
            0 => 20.0 + noise / 10.0,
            // A counter of 16 bits.
            1 => (minute * 3).rem_euclid(65_536) as f64,
            2 => (minute as f64 * 1.7 + noise).sin(),
            3 => 3_700.0 - noise,
            4 => (minute as f64).sqrt(),
            _ => {
                [-0.0, 0.0, 1e9, -1e9, 0.1, 1.0 / 3.0, 65_535.0][usize::try_from(self.dice.below(7)).unwrap()]
            }
        };
        let is_missing = self.dice.one_in(if idx == 5 { 3 } else { 40 });
        let quality = if self.dice.one_in(20) { u8::try_from(self.dice.below(256)).unwrap() } else { 0 };
        ((!is_missing).then(|| value.to_bits()), quality)
    }

    fn write(&mut self, idx: usize, times: impl IntoIterator<Item = i64>) {
        let metric: Arc<str> = metric(idx).into();
        let mut samples = Vec::new();
        for at_us in times {
            if !self.model[idx].is_plain(at_us) {
                continue;
            }
            let (bits, quality) = self.reading(idx, at_us);
            samples.push(MetricSample {
                metric: metric.clone(),
                at_us,
                value: bits.map(f64::from_bits),
                quality,
            });
            self.model[idx].write(at_us, (bits, quality));
            self.n_written += 1;
        }
        let samples = vec![DeviceSamples { device: "n01".into(), samples }];
        self.store().writer().commit_blocking(Batch { samples, ..Batch::default() }).unwrap();
    }

    /// Time goes on, and the series that report do.
    fn fresh(&mut self) -> &'static str {
        let from_us = self.now_us;
        self.now_us += self.dice.below(6 * 60) * MINUTE + self.dice.below(MINUTE);
        for idx in 0..N_SERIES {
            // The last but one sleeps for weeks, the others now and then.
            if if idx == 4 { self.now_us.div_euclid(20 * DAY) % 2 == 0 } else { self.dice.one_in(8) } {
                continue;
            }
            let every_us = [5, 10, 7, 30, 60, 13][idx] * MINUTE;
            let jitter = if idx % 2 == 0 { 0 } else { self.dice.below(MINUTE) };
            let first = from_us.div_euclid(every_us) + 1;
            let times: Vec<i64> = (first..=self.now_us.div_euclid(every_us))
                .map(|n| n * every_us + jitter)
                .filter(|at_us| *at_us <= self.now_us)
                .collect();
            if !times.is_empty() {
                self.write(idx, times);
            }
        }
        "fresh"
    }

    /// A node that was away hands over what it kept.
    fn late(&mut self) -> &'static str {
        let idx = self.dice.series();
        let reach = if self.dice.one_in(3) { 60 * DAY } else { 2 * DAY };
        let from_us = self.now_us - self.dice.below(reach);
        let n_max = if self.dice.one_in(5) { 600 } else { 30 };
        let n = 1 + self.dice.below(n_max);
        let every_us = 1 + self.dice.below(15 * MINUTE);
        let times: Vec<i64> =
            (0..n).map(|n| from_us + n * every_us).filter(|at_us| *at_us <= self.now_us).collect();
        self.write(idx, times);
        "late"
    }

    /// Times that were written before, some with another value.
    fn again(&mut self) -> &'static str {
        let idx = self.dice.series();
        let from_us = self.now_us - self.dice.below(30 * DAY);
        let mut times: Vec<i64> =
            self.model[idx].raw.range(from_us..).map(|(at_us, _)| *at_us).take(50).collect();
        let turn = usize::try_from(self.dice.below(50)).unwrap().min(times.len());
        times.rotate_left(turn);
        self.write(idx, times);
        "again"
    }

    fn fold(&mut self) -> &'static str {
        self.store().fold().unwrap();
        self.model.iter_mut().for_each(Series::fold);
        "fold"
    }

    fn compact(&mut self) -> &'static str {
        self.store().compact().unwrap();
        self.model.iter_mut().for_each(Series::fold);
        assert_chunks_apart(self.dir.path());
        "compact"
    }

    /// A round of upkeep with these limits; what it gave up is held against them.
    fn tend(&mut self, retention: &Retention, limit_us: i64) {
        if self.model.iter().any(|series| series.is_unclear(limit_us)) {
            self.fold();
        }
        self.told_us = (self.told_us + DAY).max(self.now_us);
        tend(self.store(), self.told_us, Some(retention));
        let reader = self.store().reader();
        for (idx, series) in self.model.iter_mut().enumerate() {
            series.give_up(&model::read_all(&reader, idx), limit_us);
        }
        assert_chunks_apart(self.dir.path());
        let report = report(self.dir.path());
        assert!(report.is_clean(), "{report:?}");
    }

    fn newest_us(&self) -> i64 {
        let last = self.store().reader().last_values(None).unwrap();
        last.iter().map(|last| last.sample.at_us).max().unwrap_or(self.now_us)
    }

    fn age(&mut self) -> &'static str {
        let (raw_days, hourly_days) = (10 + self.dice.below(30), 60 + self.dice.below(60));
        let days = |n: i64| Some(u32::try_from(n).unwrap());
        let retention = Retention {
            raw_days: days(raw_days),
            hourly_days: days(hourly_days),
            utc_offset_min: 420,
            ..Retention::default()
        };
        let newest_us = self.newest_us();
        self.tend(&retention, newest_us - raw_days * DAY);
        self.model.iter_mut().for_each(|series| series.forget_hours(newest_us - hourly_days * DAY));
        "age"
    }

    fn make_room(&mut self) -> &'static str {
        // Not the file's length: a young store is still in its log.
        let used = |sizes: &Sizes| sizes.rooms.iter().map(|room| room.n_bytes).sum::<u64>();
        let bytes_max =
            used(&measure(self.dir.path()).unwrap()) * u64::try_from(70 + self.dice.below(40)).unwrap() / 100;
        let retention = Retention { bytes_max: Some(bytes_max), utc_offset_min: 420, ..Retention::default() };
        let newest_us = self.newest_us();
        self.tend(&retention, newest_us - i64::from(RAW_DAYS_MIN) * DAY);
        let sizes = measure(self.dir.path()).unwrap();
        let note = self.store().reader().room().unwrap();
        let is_over = note.is_some_and(|note| note.is_over);
        // What was judged to be enough is made compact in the same round, which may take a page more than it gave back.
        assert!(is_over || used(&sizes) <= bytes_max + PAGE, "{sizes:?} {bytes_max} {note:?}");
        if let Some(before_us) = note.and_then(|note| note.hours_before_us) {
            self.model.iter_mut().for_each(|series| series.forget_hours(before_us));
        }
        "make room"
    }

    fn reopen(&mut self, closes: bool) -> &'static str {
        let store = self.store.take().unwrap();
        if closes {
            store.close().unwrap();
            self.model.iter_mut().for_each(Series::fold);
        } else {
            drop(store);
        }
        self.store = Some(Store::open(self.dir.path()).unwrap());
        if closes { "close" } else { "drop" }
    }

    /// The files as they are, in another folder.
    fn crash(&mut self) -> &'static str {
        let other = folder();
        copy_as_killed(self.dir.path(), other.path());
        self.store = None;
        self.store = Some(Store::open(other.path()).unwrap());
        self.dir = other;
        "crash"
    }

    fn back_up(&mut self) -> &'static str {
        let (copy, other) = (self.dir.path().join("copy.sqlite"), folder());
        back_up(self.dir.path(), &copy, &mut |_, _, _| {}).unwrap();
        restore(&copy, other.path(), None, &mut |_, _, _| {}).unwrap();
        self.store = None;
        self.store = Some(Store::open(other.path()).unwrap());
        self.dir = other;
        "back up"
    }

    fn range(&mut self) -> std::ops::Range<i64> {
        let from_us = self.now_us - self.dice.below(50 * DAY);
        from_us..from_us + self.dice.below(10 * DAY)
    }

    fn ask_range(&mut self) -> &'static str {
        let (idx, range) = (self.dice.series(), self.range());
        let n_points = 1 + u32::try_from(self.dice.below(500)).unwrap();
        model::assert_range(&self.store().reader(), &self.model, idx, range, n_points);
        "ask for a range"
    }

    /// Hours, or days of the farm, side by side; also from before the beginning.
    fn ask_spans(&mut self) -> &'static str {
        let (step, first) = if self.dice.one_in(2) {
            let back = self.dice.below(self.now_us - T0 + 10 * DAY);
            (DAY * (1 + self.dice.below(9)), day_of(self.now_us - back))
        } else {
            let back = self.dice.below(50 * DAY);
            (HOUR * (1 + self.dice.below(5)), (self.now_us - back).div_euclid(HOUR) * HOUR)
        };
        let edges: Vec<i64> = (0..=ROWS_MAX).map(|n| first + n * step).collect();
        model::assert_spans(&self.store().reader(), &self.model, &edges);
        "ask for spans"
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect(name))
}

#[test]
fn a_long_life_of_a_store_is_that_of_a_map() {
    let (seed, n_steps) = (number("GIOT_LIFE_SEED", 1), number("GIOT_LIFE_STEPS", 2_000));
    for seed in seed..seed + number("GIOT_LIVES", 1) {
        let mut life = Life::begin(seed);
        let mut place = Where { seed, step: 0, what: "begin" };
        for step in 0..n_steps {
            (place.step, place.what) = (step, "before its word");
            place.what = life.step();
            if step % STEPS_BETWEEN_LOOKS == 0 {
                model::assert_whole(&life.store().reader(), &life.model);
            }
        }
        model::assert_whole(&Reader::open(life.dir.path()).unwrap(), &life.model);
        let days = (life.now_us - T0) / DAY;
        println!("seed {seed}: {n_steps} steps, {days} days, {} readings written", life.n_written);
    }
}
