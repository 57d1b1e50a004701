//! The series known to the store and the latest sample of each, shared between the writer and the readers of one process.
//!
//! Names become small numbers here; the numbers are what journal and chunks hold. Must not read samples.
//! Invariants: a number is never given to another name; the latest samples change only after the commit that holds them;
//! the number of series is bounded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::types::{LastValue, Point};

/// Most series a store takes: ten thousand nodes with twenty metrics each. A device that invents names stops here and not
/// when the memory is full (about 200 bytes a series). Small in tests, so that they meet the bound.
pub(super) const N_SERIES_MAX: usize = if cfg!(test) { 1_000 } else { 200_000 };

/// Longest name of a device or metric in bytes.
pub(super) const NAME_BYTES_MAX: usize = 128;

/// One series.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: u32,
    pub(super) device: Arc<str>,
    pub(super) metric: Arc<str>,
    pub(super) last: Option<Point>,
}

/// All series by number and by name.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    by_id: BTreeMap<u32, Entry>,
    by_name: HashMap<Arc<str>, BTreeMap<Arc<str>, u32>>,
    /// The keys of `by_name` in order, so that nobody has to sort.
    devices: BTreeSet<Arc<str>>,
    /// Numbers given out whose rows are not committed yet.
    unsaved: Vec<u32>,
}

/// The catalog behind its lock, held for short sections only.
#[derive(Debug, Default)]
pub(super) struct SharedCatalog(Mutex<Catalog>);

impl SharedCatalog {
    pub(super) fn new(catalog: Catalog) -> Self {
        Self(Mutex::new(catalog))
    }

    /// Takes the lock; a panic of another holder leaves a catalog that is still whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, Catalog> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Catalog {
    /// Adds a series read from disk.
    pub(super) fn load(&mut self, entry: Entry) {
        let metrics = self.by_name.entry(entry.device.clone()).or_insert_with(|| {
            self.devices.insert(entry.device.clone());
            BTreeMap::new()
        });
        metrics.insert(entry.metric.clone(), entry.id);
        self.by_id.insert(entry.id, entry);
    }

    /// The numbers of a device's series by metric, if it has any.
    pub(super) fn metrics_of(&self, device: &str) -> Option<&BTreeMap<Arc<str>, u32>> {
        self.by_name.get(device)
    }

    /// The number of a series, a new one if it is unknown; `None` when there are too many.
    pub(super) fn id_of(&mut self, device: &Arc<str>, metric: &Arc<str>) -> Option<u32> {
        if let Some(id) = self.by_name.get(device).and_then(|metrics| metrics.get(metric)) {
            return Some(*id);
        }
        if self.by_id.len() >= N_SERIES_MAX {
            return None;
        }
        let id = self.by_id.last_key_value().map_or(Some(1), |(last, _)| last.checked_add(1))?;
        self.load(Entry { id, device: device.clone(), metric: metric.clone(), last: None });
        self.unsaved.push(id);
        Some(id)
    }

    /// Series whose rows must go into the next commit.
    pub(super) fn unsaved(&self) -> Vec<(u32, Arc<str>, Arc<str>)> {
        self.unsaved
            .iter()
            .filter_map(|id| self.by_id.get(id))
            .map(|entry| (entry.id, entry.device.clone(), entry.metric.clone()))
            .collect()
    }

    /// The rows of the first `n` unsaved series are committed.
    pub(super) fn saved(&mut self, n: usize) {
        self.unsaved.drain(..n.min(self.unsaved.len()));
    }

    /// Notes a committed sample; an older one than the latest changes nothing.
    pub(super) fn note(&mut self, series: u32, point: Point) {
        let Some(entry) = self.by_id.get_mut(&series) else { return };
        if entry.last.is_none_or(|last| point.at_us >= last.at_us) {
            entry.last = Some(point);
        }
    }

    /// Latest sample of one series.
    pub(super) fn last(&self, series: u32) -> Option<Point> {
        self.by_id.get(&series)?.last
    }

    /// How many series there are.
    pub(super) fn n_series(&self) -> u64 {
        u64::try_from(self.by_id.len()).unwrap_or(u64::MAX)
    }

    /// The first series numbers after one, at most `n`.
    pub(super) fn ids_after(&self, after: u32, n: usize) -> Vec<u32> {
        let later = self.by_id.range((Bound::Excluded(after), Bound::Unbounded));
        later.map(|(id, _)| *id).take(n).collect()
    }

    /// As [`Self::ids_after`], with the metric of each.
    pub(super) fn metrics_after(&self, after: u32, n: usize) -> Vec<(u32, Arc<str>)> {
        let later = self.by_id.range((Bound::Excluded(after), Bound::Unbounded));
        later.map(|(id, entry)| (*id, entry.metric.clone())).take(n).collect()
    }

    /// The latest moment of any sample.
    pub(super) fn newest_us(&self) -> Option<i64> {
        self.by_id.values().filter_map(|entry| entry.last).map(|last| last.at_us).max()
    }

    /// Latest samples of one device or of all, by device and metric.
    pub(super) fn last_values(&self, device: Option<&str>) -> Vec<LastValue> {
        let one = |id: &u32| {
            let entry = self.by_id.get(id)?;
            let sample = entry.last?.sample();
            Some(LastValue { device: entry.device.clone(), metric: entry.metric.clone(), sample })
        };
        if let Some(device) = device {
            return self.by_name.get(device).into_iter().flat_map(BTreeMap::values).filter_map(one).collect();
        }
        let devices = self.devices.iter().filter_map(|device| self.by_name.get(device));
        devices.flat_map(BTreeMap::values).filter_map(one).collect()
    }
}
