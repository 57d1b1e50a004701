//! One transaction: what several batches hold becomes rows.
//!
//! Must not decide about retries or folding (the writer does) and must not tell anybody. Invariants: all of a group or
//! nothing; marks and counters never go back; the diary's chain continues only over rows that were committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, Statement, params};

use super::catalog::{Catalog, NAME_BYTES_MAX};
use super::diary;
use super::farm;
use super::journal::{self, Keyed};
use super::types::{Batch, DeviceRow, Mark, MetricSample, Point, ValveEventRow};

/// Most readings of one batch; a sender of more cuts it. Bounds what a commit holds in memory.
pub const BATCH_SAMPLES_MAX: usize = 65_536;

/// Boots of a node whose time anchors are kept: a record may be weeks late, but not a thousand boots.
const ANCHORS_MAX: u32 = 1_024;

/// Keeps a setting of the gateway itself: (key, value).
pub(super) const PUT_META: &str =
    "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// Keeps what a zone remembers: (zone, JSON).
pub(super) const PUT_MEMORY: &str = "INSERT INTO zone_memory (zone, json, crc32)
    VALUES (?1, ?2, row_crc32('zone_memory', ?1, ?2))
    ON CONFLICT (zone) DO UPDATE SET json = excluded.json, crc32 = excluded.crc32";

/// Statements of a commit, prepared once.
#[derive(Debug)]
pub(super) struct Statements<'c> {
    begin: Statement<'c>,
    end: Statement<'c>,
    series: Statement<'c>,
    journal: Statement<'c>,
    mark: Statement<'c>,
    valve_event: Statement<'c>,
    diary: Statement<'c>,
    anchor: Statement<'c>,
    old_anchors: Statement<'c>,
    memory: Statement<'c>,
    device: Statement<'c>,
    counter: Statement<'c>,
    meta: Statement<'c>,
    farm: Statement<'c>,
    farm_in_force: Statement<'c>,
}

impl<'c> Statements<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: conn.prepare("BEGIN IMMEDIATE")?,
            end: conn.prepare("COMMIT")?,
            series: conn.prepare(
                "INSERT INTO series (id, device, metric, crc32)
                 VALUES (?1, ?2, ?3, row_crc32('series', ?1, ?2, ?3))",
            )?,
            journal: conn.prepare(
                "INSERT INTO journal (id, from_us, to_us, n_samples, n_bytes, blob)
                 VALUES (1 + max(ifnull((SELECT max(id) FROM journal), 0),
                                 ifnull((SELECT value FROM counter WHERE name = 'journal_folded'), 0)),
                         ?1, ?2, ?3, ?4, ?5)",
            )?,
            mark: conn.prepare(
                "INSERT INTO node_mark (node, epoch, seq) VALUES (?1, ?2, ?3)
                 ON CONFLICT (node) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq
                 WHERE (excluded.epoch, excluded.seq) > (epoch, seq)",
            )?,
            valve_event: conn.prepare(
                "INSERT INTO valve_event (node, valve, at_us, uncertainty_us, open, command, closed_by, run_ms,
                                          volume_ml, epoch, seq, crc32)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,
                         row_crc32('valve_event', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11))
                 ON CONFLICT (node, epoch, seq) DO NOTHING",
            )?,
            diary: diary::prepare_append(conn)?,
            anchor: conn.prepare(
                "INSERT INTO node_anchor (node, epoch, unix_ms_at_uptime_zero, uncertainty_ms) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (node, epoch) DO UPDATE SET unix_ms_at_uptime_zero = excluded.unix_ms_at_uptime_zero,
                                                         uncertainty_ms = excluded.uncertainty_ms",
            )?,
            old_anchors: conn.prepare("DELETE FROM node_anchor WHERE node = ?1 AND epoch <= ?2")?,
            memory: conn.prepare(PUT_MEMORY)?,
            device: conn.prepare(
                "INSERT INTO device (id, kind, label, key, created_us, crc32)
                 VALUES (?1, ?2, ?3, ?4, ?5, row_crc32('device', ?1, ?2, ?3, ?4, ?5))
                 ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, label = excluded.label, key = excluded.key,
                                                created_us = excluded.created_us, crc32 = excluded.crc32",
            )?,
            counter: conn.prepare(
                "INSERT INTO counter (name, value) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > value",
            )?,
            meta: conn.prepare(PUT_META)?,
            farm: farm::prepare_save(conn)?,
            farm_in_force: farm::prepare_in_force(conn)?,
        })
    }
}

/// Says why a batch can never be kept, before it meets others.
pub(super) fn check(batch: &Batch) -> Result<(), Arc<str>> {
    if batch.n_samples() > BATCH_SAMPLES_MAX {
        return Err(format!("more than {BATCH_SAMPLES_MAX} readings in one batch").into());
    }
    let names = batch.samples.iter().flat_map(|device| {
        std::iter::once(&device.device).chain(device.samples.iter().map(|sample| &sample.metric))
    });
    if let Some(name) = names.into_iter().find(|name| name.is_empty() || name.len() > NAME_BYTES_MAX) {
        let length = name.len();
        return Err(
            format!("a device or metric name has {length} bytes, allowed are 1 to {NAME_BYTES_MAX}").into()
        );
    }
    let seqs = batch.mark.iter().map(|mark| mark.seq).chain(batch.valve_events.iter().map(|event| event.seq));
    if seqs.into_iter().any(|seq| i64::try_from(seq).is_err()) {
        return Err("a record number above 2^63 - 1".into());
    }
    Ok(())
}

/// What goes into one transaction.
#[derive(Debug, Default)]
pub(super) struct Group {
    samples: Vec<Keyed>,
    blob: Vec<u8>,
}

/// A group on disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Committed {
    /// Bytes of the journal row, if there was one.
    pub(super) journal_bytes: Option<u64>,
    /// New end of the diary.
    pub(super) head: diary::Head,
}

impl Group {
    /// Collects the readings of `batch` under their series; `false` (and nothing collected) when there are too many series.
    pub(super) fn add(&mut self, batch: &Batch, catalog: &mut Catalog) -> bool {
        let before = self.samples.len();
        for device in &batch.samples {
            let point = |sample: &MetricSample| Point::new(sample.at_us, sample.value, sample.quality);
            let n_known = match catalog.metrics_of(&device.device) {
                None => 0,
                Some(metrics) => {
                    let known = device.samples.iter().map_while(|sample| {
                        let series = *metrics.get(&sample.metric)?;
                        Some(Keyed { series, point: point(sample) })
                    });
                    let n_before = self.samples.len();
                    self.samples.extend(known);
                    self.samples.len() - n_before
                }
            };
            for sample in device.samples.get(n_known..).unwrap_or_default() {
                let Some(series) = catalog.id_of(&device.device, &sample.metric) else {
                    self.samples.truncate(before);
                    return false;
                };
                self.samples.push(Keyed { series, point: point(sample) });
            }
        }
        true
    }

    /// Packs what was collected; done once, also when the transaction is tried again.
    pub(super) fn pack(&mut self) {
        self.blob.clear();
        if !self.samples.is_empty() {
            journal::encode(&mut self.samples, &mut self.blob);
        }
    }

    /// Empties the group, keeping its memory.
    pub(super) fn clear(&mut self) {
        self.samples.clear();
        self.blob.clear();
    }

    /// The latest of the readings of each series, once they are packed.
    pub(super) fn latest(&self) -> impl Iterator<Item = &Keyed> {
        let by_series = self.samples.chunk_by(|a, b| a.series == b.series);
        // Of equals the last, as everywhere.
        by_series.filter_map(|of_one| of_one.iter().max_by_key(|keyed| keyed.point.at_us))
    }

    /// Writes the readings collected and everything else of `batches` in one transaction.
    pub(super) fn commit<'b>(
        &self,
        conn: &Connection,
        statements: &mut Statements<'_>,
        new_series: &[(u32, Arc<str>, Arc<str>)],
        head: diary::Head,
        batches: impl Iterator<Item = &'b Batch>,
    ) -> rusqlite::Result<Committed> {
        statements.begin.execute([])?;
        let committed = self.write(statements, new_series, head, batches).and_then(|committed| {
            statements.end.execute([])?;
            Ok(committed)
        });
        if committed.is_err() && !conn.is_autocommit() {
            // One that fails is repeated before the next commit.
            conn.execute_batch("ROLLBACK").ok();
        }
        committed
    }

    fn write<'b>(
        &self,
        statements: &mut Statements<'_>,
        new_series: &[(u32, Arc<str>, Arc<str>)],
        head: diary::Head,
        batches: impl Iterator<Item = &'b Batch>,
    ) -> rusqlite::Result<Committed> {
        for (id, device, metric) in new_series {
            statements.series.execute(params![id, device, metric])?;
        }
        let journal_bytes = self.write_journal(statements)?;
        let mut marks = BTreeMap::<&str, &Mark>::new();
        let mut head = head;
        for batch in batches {
            if let Some(mark) = &batch.mark {
                let latest = marks.entry(&mark.node).or_insert(mark);
                if (mark.epoch, mark.seq) > (latest.epoch, latest.seq) {
                    *latest = mark;
                }
            }
            head = write_rest(statements, head, batch)?;
        }
        for mark in marks.into_values() {
            statements.mark.execute(params![mark.node, mark.epoch, mark.seq.cast_signed()])?;
        }
        Ok(Committed { journal_bytes, head })
    }

    fn write_journal(&self, statements: &mut Statements<'_>) -> rusqlite::Result<Option<u64>> {
        let times = || self.samples.iter().map(|keyed| keyed.point.at_us);
        let (Some(from_us), Some(to_us)) = (times().min(), times().max()) else { return Ok(None) };
        let n_samples = i64::try_from(self.samples.len()).unwrap_or(i64::MAX);
        let n_bytes = u32::try_from(self.blob.len()).unwrap_or(u32::MAX);
        statements.journal.execute(params![from_us, to_us, n_samples, n_bytes, self.blob])?;
        Ok(Some(n_bytes.into()))
    }
}

/// Everything of a batch but readings and mark.
fn write_rest(
    statements: &mut Statements<'_>,
    head: diary::Head,
    batch: &Batch,
) -> rusqlite::Result<diary::Head> {
    for event in &batch.valve_events {
        write_valve_event(statements, event)?;
    }
    let mut head = head;
    for entry in &batch.diary {
        head = diary::append(&mut statements.diary, head, entry)?;
    }
    for anchor in &batch.anchors {
        let uncertainty_ms = i64::try_from(anchor.uncertainty_ms).unwrap_or(i64::MAX);
        statements.anchor.execute(params![
            anchor.node,
            anchor.epoch,
            anchor.unix_ms_at_uptime_zero,
            uncertainty_ms
        ])?;
        if let Some(too_old) = anchor.epoch.checked_sub(ANCHORS_MAX) {
            statements.old_anchors.execute(params![anchor.node, too_old])?;
        }
    }
    for (zone, json) in &batch.memory {
        statements.memory.execute(params![zone, json])?;
    }
    for DeviceRow { id, kind, label, key, created_us } in &batch.devices {
        statements.device.execute(params![id, kind, label, key, created_us])?;
    }
    for (name, value) in &batch.counters {
        statements.counter.execute(params![name, value])?;
    }
    for (key, value) in &batch.meta {
        statements.meta.execute(params![key, value])?;
    }
    if let Some(row) = &batch.farm {
        farm::save(&mut statements.farm, row)?;
    }
    if let Some((version, since_us)) = &batch.farm_in_force {
        statements.farm_in_force.execute(params![version, since_us])?;
    }
    Ok(head)
}

fn write_valve_event(statements: &mut Statements<'_>, event: &ValveEventRow) -> rusqlite::Result<usize> {
    statements.valve_event.execute(params![
        event.node,
        event.valve,
        event.at_us,
        event.uncertainty_us.cast_signed(),
        event.open,
        event.command.map(u64::cast_signed),
        event.closed_by,
        event.run_ms.cast_signed(),
        event.volume_ml.map(u64::cast_signed),
        event.epoch,
        event.seq.cast_signed(),
    ])
}
