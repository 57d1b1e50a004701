//! What the hub keeps of each device it has heard: its records' state, its connection, its last words.

use crate::ingest::node::{Dating, Fit, NodeState, Whole};
use giot_shared::ids::{CommandId, NodeId, Position};
use giot_shared::time::{Anchor, MonoMs, UnixMs, UptimeMs};
use giot_store::{Anchor as StoredAnchor, Batch, Reader};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::news::{self, News};
use super::registry::{Device, DeviceKind, Registry};

/// Before the device's id: the row, beside what zones must not forget, that holds how its last epoch that met nobody fits
/// between its neighbours.
const FIT_ROW: &str = "fit/";

/// How an epoch fits between its neighbours, with what it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeptFit {
    epoch: u32,
    /// Tells it from the fit of an epoch that was dated otherwise since.
    anchor: Anchor,
    fit: Fit,
}

/// Keeps an epoch's dating, so that what a restart cuts off of the epoch gets the times that it would have got without.
/// Epochs come one after another: the last that met nobody is the only one of which more can come.
pub(super) fn keep_dating(node: Arc<str>, epoch: u32, dating: &Dating, batch: &mut Batch) {
    let unix_ms_at_uptime_zero = dating.anchor.unix_at_boot.0;
    if let Some(fit) = dating.fit {
        let json = json!({
            "epoch": epoch,
            "unix_ms_at_uptime_zero": unix_ms_at_uptime_zero,
            "first_ms": fit.first.0,
            "half_ms": fit.half_ms,
            "tail_ms": fit.tail_ms,
            "is_void": fit.is_void,
            "told_ms": fit.whole.map(|whole| whole.told_ms),
            "drawn_ms": fit.whole.map(|whole| whole.drawn_ms),
        });
        batch.memory.push((format!("{FIT_ROW}{node}"), json.to_string()));
    }
    let uncertainty_ms = dating.uncertainty_ms;
    batch.anchors.push(StoredAnchor { node, epoch, unix_ms_at_uptime_zero, uncertainty_ms });
}

/// By device: what [`keep_dating`] kept of fits.
pub(super) fn fits_from_rows(rows: &BTreeMap<String, String>) -> BTreeMap<String, KeptFit> {
    let fit =
        |(row, json): (&String, &String)| Some((row.strip_prefix(FIT_ROW)?.to_owned(), from_json(json)?));
    rows.iter().filter_map(fit).collect()
}

fn from_json(text: &str) -> Option<KeptFit> {
    let value: Value = serde_json::from_str(text).ok()?;
    let half_ms = value.get("half_ms")?.as_u64()?;
    Some(KeptFit {
        epoch: value.get("epoch")?.as_u64()?.try_into().ok()?,
        anchor: Anchor { unix_at_boot: UnixMs(value.get("unix_ms_at_uptime_zero")?.as_i64()?) },
        fit: Fit {
            first: UptimeMs(value.get("first_ms")?.as_u64()?),
            half_ms,
            // An earlier version kept neither.
            tail_ms: value.get("tail_ms").and_then(Value::as_u64).unwrap_or(half_ms / 8),
            is_void: value.get("is_void").and_then(Value::as_bool).unwrap_or(false),
            whole: whole_from(&value),
        },
    })
}

fn whole_from(value: &Value) -> Option<Whole> {
    let number = |name: &str| value.get(name)?.as_u64();
    Some(Whole { told_ms: number("told_ms")?, drawn_ms: number("drawn_ms")? })
}

/// One device.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// Its id as the store and batches share it.
    pub(super) name: Arc<str>,
    /// Its records.
    pub(super) records: NodeState,
    /// Whether its status says online.
    pub(super) is_online: bool,
    /// When it was last heard.
    pub(super) heard_at: Option<UnixMs>,
    /// Supply, mV.
    pub(super) battery_mv: Option<f64>,
    /// What it told of itself.
    pub(super) news: News,
    /// The last order that was sent to it and is not answered, and when.
    pub(super) asked: Option<(CommandId, MonoMs)>,
}

impl Session {
    /// A device without a past.
    pub(super) fn new(id: &NodeId) -> Self {
        Self {
            name: id.as_str().into(),
            records: NodeState::default(),
            is_online: false,
            heard_at: None,
            battery_mv: None,
            news: News::default(),
            asked: None,
        }
    }

    /// What was kept of what it told of itself.
    pub(super) fn restore_news(&mut self, news: News) {
        if news.sleeps {
            self.records.restore_sleep();
        }
        self.news = news;
    }

    /// A registered device with what the store knows of it; `fit`: of [`fits_from_rows`]; `news`: what it told of itself.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn restore(
        id: &NodeId,
        device: &Device,
        reader: &Reader,
        fit: Option<&KeptFit>,
        news: News,
    ) -> anyhow::Result<Self> {
        let mut session = Self::new(id);
        session.restore_news(news);
        let records = &mut session.records;
        records.own_clock = device.kind == DeviceKind::Station;
        records.registered_at = UnixMs(device.created_us.div_euclid(1000));
        if let Some(mark) = reader.mark(id.as_str())? {
            let seq = u32::try_from(mark.seq)?;
            let stored = Position { epoch: mark.epoch, seq };
            (records.stored, records.received) = (Some(stored), Some(stored));
        }
        let anchors = reader.anchors(id.as_str())?;
        for StoredAnchor { epoch, unix_ms_at_uptime_zero, uncertainty_ms, .. } in &anchors {
            let anchor = Anchor { unix_at_boot: UnixMs(*unix_ms_at_uptime_zero) };
            let fit = fit.filter(|kept| kept.epoch == *epoch && kept.anchor == anchor).map(|kept| kept.fit);
            records.restore_dating(*epoch, Dating { anchor, uncertainty_ms: *uncertainty_ms, fit });
        }
        let newest = reader.last_values(Some(id.as_str()))?.iter().map(|value| value.sample.at_us).max();
        if let Some(newest) = newest.map(|at_us| UnixMs(at_us.div_euclid(1000))) {
            records.restore_newest(newest);
        }
        session.heard_at = session.records.newest;
        Ok(session)
    }
}

/// Every registered device with what the store knows of it; `rows`: what zones and nodes must not forget.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn restore_all(
    registry: &Registry,
    reader: &Reader,
    rows: &BTreeMap<String, String>,
) -> anyhow::Result<BTreeMap<NodeId, Session>> {
    let (fits, mut news) = (fits_from_rows(rows), news::from_rows(rows));
    let restore = |(id, device): (NodeId, Device)| {
        let news = news.remove(&id).unwrap_or_default();
        let session = Session::restore(&id, &device, reader, fits.get(id.as_str()), news)?;
        Ok((id, session))
    };
    registry.all().into_iter().map(restore).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::node::{Greeting, Heard, Verdict};
    use giot_shared::metric::Metric;
    use giot_store::{Mark, Store};

    use giot_shared::ids::ValveId;
    use giot_shared::valve::CloseReason;
    use giot_shared::wire::{
        Body, Hello, KEY_LEN, NodeKey, Reading, Record, Records, ResetCause, ValveEvent,
    };

    const DAY_MS: u64 = 86_400_000;
    const STEP_MS: u64 = 600_000;
    const T0: UnixMs = UnixMs(1_800_000_000_000);

    fn hello(epoch: u32) -> Hello {
        Hello {
            nonce: 1,
            epoch,
            uptime: UptimeMs(0),
            released: Position { epoch: 1, seq: 0 },
            counter: 0,
            reset: ResetCause::PowerOn,
            firmware: "0.1.0".try_into().expect("short"),
            valves: Default::default(),
            clock: None,
            drift_ms: 0,
            ended: Default::default(),
            unmet: Default::default(),
        }
    }

    /// Records of epoch 2 with these numbers, every ten minutes one; when they happened, and their batch.
    fn take(node: &mut NodeState, now: UnixMs, seqs: std::ops::RangeInclusive<u32>) -> (Vec<i64>, Batch) {
        let first = *seqs.start();
        let after =
            if first == 1 { Position { epoch: 1, seq: 0 } } else { Position { epoch: 2, seq: first - 1 } };
        let mut records = Records { epoch: 2, after, records: Default::default() };
        for seq in seqs {
            let metric = Metric::SoilMoisture.wire();
            let reading = Reading { probe: 0, metric, value: Some(2200), raw: None, flaw: None };
            let uptime = UptimeMs(u64::from(seq) * STEP_MS);
            records.records.push(Record { seq, uptime, body: Body::Reading(reading) }).expect("fits");
        }
        let verdict = node.handle_records(&records, Heard { wall: Some(now), mono: MonoMs(DAY_MS) });
        let Verdict::Take(taken) = verdict else { panic!("{verdict:?}") };
        let last = taken.last;
        let mut batch = Batch {
            mark: Some(Mark { node: "v01".into(), epoch: last.epoch, seq: last.seq.into(), after: None }),
            ..Batch::default()
        };
        if let Some(dating) = taken.new_dating {
            keep_dating("v01".into(), last.epoch, &dating, &mut batch);
        }
        (taken.samples.iter().map(|sample| sample.at_us).collect(), batch)
    }

    /// A restart in the middle of the backlog of an epoch that met nobody: the rest of it is dated as without.
    #[test]
    fn an_epoch_that_met_nobody_fits_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let id: NodeId = "v01".parse().unwrap();
        let key = NodeKey([7; KEY_LEN]);
        let device = Device { kind: DeviceKind::Node, label: String::new(), key, created_us: T0.0 * 1000 };
        let now = T0.plus_ms(DAY_MS);
        let mut node = NodeState::default();
        node.registered_at = T0;
        node.handle_hello(&hello(3), Heard { wall: Some(now), mono: MonoMs(DAY_MS) });
        let store = Store::open(dir.path()).unwrap();
        let mut greeted = Batch::default();
        let dating = Dating { anchor: Anchor::new(UptimeMs(0), now), uncertainty_ms: 1000, fit: None };
        keep_dating("v01".into(), 3, &dating, &mut greeted);
        store.writer().commit_blocking(greeted).unwrap();
        let (_, batch) = take(&mut node, now, 1..=8);
        store.writer().commit_blocking(batch).unwrap();

        let fits = fits_from_rows(&store.reader().memory().unwrap());
        let restored =
            Session::restore(&id, &device, &store.reader(), fits.get("v01"), News::default()).unwrap();
        let mut restored = restored.records;
        let mut last = None;
        for first in (9..137).step_by(8) {
            let without = take(&mut node, now, first..=first + 7).0;
            assert_eq!(take(&mut restored, now, first..=first + 7).0, without, "from record {first}");
            last = without.last().copied();
        }
        assert!(last.is_some_and(|at_us| at_us <= now.0 * 1000), "before the next boot");
        // What was anchored otherwise since is no guess any more.
        let fit = fits.get("v01").map(|kept| KeptFit { anchor: Anchor { unix_at_boot: T0 }, ..*kept });
        let other = Session::restore(&id, &device, &store.reader(), fit.as_ref(), News::default()).unwrap();
        let mut other = other.records;
        let dates: Vec<i64> =
            (9..137).step_by(8).flat_map(|first| take(&mut other, now, first..=first + 7).0).collect();
        let step_us = STEP_MS.cast_signed() * 1000;
        assert!(dates.windows(2).all(|pair| pair[1] - pair[0] == step_us), "at its own pace");
    }

    /// The weeks that a sleeping node met nobody state what its clock may be off, also when the gateway was started anew.
    #[test]
    fn that_a_node_sleeps_is_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let id: NodeId = "v01".parse().unwrap();
        let key = NodeKey([7; KEY_LEN]);
        let device = Device { kind: DeviceKind::Node, label: String::new(), key, created_us: T0.0 * 1000 };
        let heard = |at: UnixMs| Heard { wall: Some(at), mono: MonoMs(DAY_MS) };
        let mut node = NodeState::default();
        node.registered_at = T0;
        let woken = Hello { reset: ResetCause::Sleep, released: Position::default(), ..hello(1) };
        let Greeting::Welcome { dating: Some(dating), .. } = node.handle_hello(&woken, heard(T0)) else {
            panic!("not welcome");
        };
        let store = Store::open(dir.path()).unwrap();
        let mut greeted = Batch { memory: vec![News::of_sleeper().to_row(&id)], ..Batch::default() };
        keep_dating("v01".into(), 1, &dating, &mut greeted);
        store.writer().commit_blocking(greeted).unwrap();
        let restored = |with_news: bool| {
            let news = news::from_rows(&store.reader().memory().unwrap()).remove(&id).filter(|_| with_news);
            Session::restore(&id, &device, &store.reader(), None, news.unwrap_or_default()).unwrap().records
        };
        let (mut with, mut without) = (restored(true), restored(false));
        // Ten days of which it told nobody; then its battery was flat.
        let now = T0.plus_ms(20 * DAY_MS);
        let back = hello(3);
        let body = Body::Valve(ValveEvent {
            valve: ValveId(0),
            open: false,
            command: None,
            closed_by: Some(CloseReason::LeaseEnded),
            run_ms: Some(1),
            volume: None,
        });
        let record = Record { seq: 1, uptime: UptimeMs(10 * DAY_MS), body };
        let records = Records {
            epoch: 2,
            after: Position { epoch: 1, seq: 0 },
            records: [record].into_iter().collect(),
        };
        let dated = |node: &mut NodeState| {
            node.handle_hello(&back, heard(now));
            let verdict = node.handle_records(&records, heard(now));
            let Verdict::Take(taken) = verdict else { panic!("{verdict:?}") };
            taken.valves
        };
        let wanted = dated(&mut node);
        assert_eq!(dated(&mut with), wanted);
        assert!(dated(&mut without)[0].uncertainty_ms < wanted[0].uncertainty_ms, "the row decides");
    }
}
