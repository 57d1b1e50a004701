//! The cursor against a plain log of what the sink was sent and when; the sink may lose the newest part of it.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::{Key, Points, Value, readings, stored, wait, write};
use crate::sinks::line::Mapping;
use crate::sinks::source::{Item, Source};
use crate::sinks::window::{Place, Window};
use giot_store::{SinkPlace, SinkRow, SinkSave, SinkWish, Store};

const LAG_MS: u64 = 60_000;

#[derive(Debug, Clone)]
enum Step {
    /// A reading a minute of one device: from this minute on, so many.
    Write(u8, i64, i64),
    Fold,
    /// One delivery.
    Send,
    /// One that breaks off after a share of its lines (percent).
    Break(usize),
    /// The sink restarts and loses what it took in the last milliseconds.
    SinkRestarts(u64),
    Wait(u64),
    /// The gateway restarts in order, or is killed.
    Restart,
    Kill,
    /// Someone wants everything again from a minute on.
    Resend(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let minute = prop_oneof![0_i64..300, 0_i64..100_000];
    prop_oneof![
        6 => (0_u8..4, minute.clone(), 1_i64..120).prop_map(|(device, from, n)| Step::Write(device, from, n)),
        3 => Just(Step::Fold),
        6 => Just(Step::Send),
        2 => (0_usize..100).prop_map(Step::Break),
        2 => (0..LAG_MS).prop_map(Step::SinkRestarts),
        3 => (0_u64..90_000).prop_map(Step::Wait),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
        1 => minute.prop_map(Step::Resend),
    ]
}

struct World {
    dir: TempDir,
    store: Option<Store>,
    source: Source,
    row: SinkRow,
    window: Window,
    /// The gateway's monotonic line, and the world's time, which goes on over restarts.
    now_ms: u64,
    world_ms: u64,
    /// What the sink took: when, which point.
    sink: Vec<(u64, Key, Value)>,
    n_written: i64,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, source, row, window) = open(&dir);
        Self {
            dir,
            store: Some(store),
            source,
            row,
            window,
            now_ms: 0,
            world_ms: 0,
            sink: Vec::new(),
            n_written: 0,
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        let (store, source, row, window) = open(&self.dir);
        assert!(row.epoch > self.row.epoch, "a start begins an epoch");
        (self.store, self.source, self.row, self.window, self.now_ms) = (Some(store), source, row, window, 0);
    }

    fn tell_folding(&self) {
        let place = SinkPlace {
            epoch: self.row.epoch,
            journal_sent: self.window.sent().journal,
            sent_ms: self.now_ms.cast_signed(),
        };
        self.store().reader().set_sink_place(self.row.id, place);
    }

    fn start_over(&mut self) {
        self.row = wait(self.store().writer().sink(SinkWish::NextEpoch(self.row.id))).unwrap();
        self.window.start_over();
        self.tell_folding();
    }

    /// Sends a delivery or the first part of it; false when there was none.
    fn send(&mut self, percent: usize) -> bool {
        let work = self.source.collect(self.row.epoch, self.window.sent()).unwrap();
        if work.items.is_empty() && work.spans.is_empty() {
            return false;
        }
        let n = if percent == 100 { work.items.len() } else { work.items.len() * percent / 100 };
        for item in &work.items[..n] {
            let Item::Sample { series, sample } = item else { panic!("no diary here") };
            self.sink.push((self.world_ms, (*series, sample.at_us), (sample.value, sample.quality)));
        }
        if n < work.items.len() {
            // Broken off: the sink may have restarted.
            self.start_over();
            return true;
        }
        self.window.note(self.now_ms, work.place);
        self.tell_folding();
        let (safe, sent) = (self.window.safe(), self.window.sent());
        let save = SinkSave {
            sink: self.row.id,
            epoch: self.row.epoch,
            journal_id: safe.journal,
            journal_sent: sent.journal,
            spans: work.spans,
            now_ms: self.now_ms.cast_signed(),
            safe_ms: self.now_ms.saturating_sub(LAG_MS).cast_signed(),
            ..SinkSave::default()
        };
        self.row = wait(self.store().writer().sink(SinkWish::Save(save))).unwrap();
        true
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Write(device, from, n) => {
                self.n_written += 1;
                let value = self.n_written as f64;
                let points: Vec<_> =
                    (from..from + n).map(|minute| (minute, value + minute as f64 / 10.0)).collect();
                write(self.store(), &format!("n{device}"), &points);
            }
            Step::Fold => self.store().fold().unwrap(),
            Step::Send => drop(self.send(100)),
            Step::Break(percent) => drop(self.send(percent)),
            Step::SinkRestarts(lost_ms) => {
                let world_ms = self.world_ms;
                self.sink.retain(|(at_ms, ..)| world_ms - at_ms >= lost_ms);
                self.start_over();
            }
            Step::Wait(ms) => {
                self.now_ms += ms;
                self.world_ms += ms;
            }
            Step::Restart => {
                self.store.take().unwrap().close().unwrap();
                self.reopen();
            }
            Step::Kill => {
                let copy = tempfile::tempdir().unwrap();
                copy_as_killed(self.dir.path(), copy.path());
                drop(self.store.take());
                self.dir = copy;
                self.reopen();
            }
            Step::Resend(minute) => {
                assert!(
                    giot_store::resend_sink(self.dir.path(), "s", super::T0 + minute * super::MINUTE)
                        .unwrap()
                );
            }
        }
    }

    /// Sends until nothing is due and compares; what a span that reaches into the future keeps is one row.
    fn finish(mut self) {
        let n_steps = (0..100_000).find(|_| !self.send(100)).expect("an end");
        let has: Points = self.sink.iter().map(|(_, key, point)| (*key, *point)).collect();
        assert_eq!(has, stored(&self.store().reader()), "after {n_steps} more deliveries");
        let size = self.store().reader().backlog(&self.row).unwrap();
        assert!(size.n_spans <= 4 * 32, "{size:?}");
    }
}

fn open(dir: &TempDir) -> (Store, Source, SinkRow, Window) {
    let store = Store::open(dir.path()).unwrap();
    let wish = SinkWish::Register { name: "s".to_owned(), mapping: "m".to_owned(), since_us: None };
    let row = wait(store.writer().sink(wish)).unwrap();
    let source = Source::new(store.reader(), row.id, Arc::new(Mapping::default()), Vec::new());
    let window = Window::new(LAG_MS, Place { journal: row.journal_id, diary: row.diary_id });
    (store, source, row, window)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_sink_has_what_the_store_has_whatever_happened(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.finish();
    }
}

/// The order that needs the stamp of a span: a late reading is folded into a span whose last part is on its way.
#[test]
fn a_span_that_was_widened_while_it_was_sent_is_sent_again() {
    let mut world = World::new();
    write(world.store(), "n0", &[(0, 1.0), (10, 2.0)]);
    world.store().fold().unwrap();
    let work = world.source.collect(world.row.epoch, world.window.sent()).unwrap();
    assert_eq!(work.items.len(), 2);
    world.store().writer().commit_blocking(readings("n0", "soil_moisture", &[(5, 3.0)])).unwrap();
    world.store().fold().unwrap();
    for item in &work.items {
        let Item::Sample { series, sample } = item else { panic!("no diary here") };
        world.sink.push((0, (*series, sample.at_us), (sample.value, sample.quality)));
    }
    let save =
        SinkSave { sink: world.row.id, epoch: world.row.epoch, spans: work.spans, ..SinkSave::default() };
    world.row = wait(world.store().writer().sink(SinkWish::Save(save))).unwrap();
    world.finish();
}

/// Other tags: what was sent under the old ones must not appear a second time beside itself.
#[test]
fn after_a_change_of_tags_only_what_was_never_sent_is_sent() {
    let mut world = World::new();
    write(world.store(), "n0", &[(0, 1.0)]);
    world.send(100);
    write(world.store(), "n0", &[(1, 2.0)]);
    world.store().fold().unwrap();
    let wish = SinkWish::Register { name: "s".to_owned(), mapping: "other".to_owned(), since_us: None };
    let row = wait(world.store().writer().sink(wish)).unwrap();
    let place = Place { journal: row.journal_id, diary: row.diary_id };
    let work = world.source.collect(row.epoch, place).unwrap();
    let times: Vec<i64> = work
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Sample { sample, .. } => Some((sample.at_us - super::T0) / super::MINUTE),
            Item::Diary(_) => None,
        })
        .collect();
    assert_eq!(times, [1]);
}

#[test]
fn a_new_sink_gets_the_past_from_a_time_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    write(&store, "n0", &[(0, 1.0), (10, 2.0)]);
    store.fold().unwrap();
    write(&store, "n1", &[(9, 3.0), (11, 4.0)]);
    let since_us = Some(super::T0 + 10 * super::MINUTE);
    let wish = SinkWish::Register { name: "s".to_owned(), mapping: "m".to_owned(), since_us };
    let row = wait(store.writer().sink(wish)).unwrap();
    let mut source = Source::new(store.reader(), row.id, Arc::new(Mapping::default()), Vec::new());
    let work = source.collect(row.epoch, Place { journal: row.journal_id, diary: 0 }).unwrap();
    let mut values: Vec<_> = work
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Sample { sample, .. } => sample.value,
            Item::Diary(_) => None,
        })
        .collect();
    values.sort_by(f64::total_cmp);
    assert_eq!(values, [2.0, 4.0]);
}

/// The files of a store at work as a kill would leave them. A snapshot is held meanwhile: without it a checkpoint between the two
/// copies could take pages out of the log that the copied database does not have yet, which no kill does.
fn copy_as_killed(from: &Path, to: &Path) {
    let conn = rusqlite::Connection::open(from.join("giot.sqlite")).unwrap();
    conn.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;").unwrap();
    for name in ["giot.sqlite", "giot.sqlite-wal"].into_iter().filter(|name| from.join(name).exists()) {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}
