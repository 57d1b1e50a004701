//! Versions of the farm at work: a version is kept, then the engine takes it over, then everything else follows.
//!
//! The order is: version and diary entry are on the disk in one transaction; the engine closes what the version has no place
//! for and takes it over; only then names, rules, watched series and what pages see are the version's. The store counts it as
//! in force from that moment on, so that a gateway that is killed in between begins with the version that was in force.

use giot_engine::{Engine, Input, Reason, SourceId, ZoneId};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::oneshot;

use super::memory::memory_from_rows;
use super::rules::{Ruling, memory_from_rows as rule_memory};
use super::{Committed, Gauges, Hub, Watched, Wish, watched_series};
use crate::config::Settings;
use crate::farm::{Begin, needs_restart, saved};
use giot_store::{FarmRow, Reader};

/// A version that is to be kept and run by.
#[derive(Clone, Debug)]
pub struct Saving {
    /// As the store keeps it; its number follows that of the version it was made from.
    pub row: FarmRow,
    /// What it means.
    pub settings: Arc<Settings>,
    /// Lines that were added to, and removed from, the version it was made from.
    pub n_lines: (u32, u32),
}

/// Which version the gateway runs by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionView {
    /// The newest that is kept.
    pub newest: u32,
    /// The one that is in force; 0: none was ever saved.
    pub in_force: u32,
    /// Zones and sources whose valves and pumps the newest waits for; `None`: it is in force.
    pub awaited: Option<(Vec<ZoneId>, Vec<SourceId>)>,
}

/// The versions that the hub has to do with.
#[derive(Debug)]
pub(super) struct Versions {
    newest: u32,
    in_force: u32,
    /// Whether the store counts the one in force as such.
    is_kept_in_force: bool,
    /// The version that waits for the engine.
    next: Option<(u32, Arc<Settings>)>,
    /// A version is on its way to the disk.
    pub(super) is_saving: bool,
}

impl Versions {
    pub(super) fn at_start(begin: Begin) -> (Arc<Settings>, Self) {
        let Begin { settings, version, before, is_in_force } = begin;
        let settings = Arc::new(settings);
        let is_saving = false;
        match before {
            Some((in_force, before)) => {
                let next = Some((version, settings));
                let versions = Self { newest: version, in_force, is_kept_in_force: true, next, is_saving };
                (Arc::new(before), versions)
            }
            None => {
                let (newest, in_force) = (version, version);
                (settings, Self { newest, in_force, is_kept_in_force: is_in_force, next: None, is_saving })
            }
        }
    }

    pub(super) fn view(&self, engine: &Engine) -> VersionView {
        let awaited = self.next.as_ref().map(|_| engine.awaited().unwrap_or_default());
        VersionView { newest: self.newest, in_force: self.in_force, awaited }
    }
}

/// Whether a valve or pump may be open that one plan has and another does not: then the gateway begins with the one that
/// has it.
///
/// # Errors
/// The store cannot be read.
pub fn leaves_open(reader: &Reader, before: &Settings, after: &Settings) -> anyhow::Result<bool> {
    let memory = memory_from_rows(reader.memory()?);
    let zones = memory.zones.iter().filter(|(_, kept)| kept.open.is_some());
    let is_left = |id: &ZoneId| {
        let valve = |settings: &Settings| settings.plan.zones.get(id).map(|plan| plan.valve.clone());
        valve(before).is_some() && valve(before) != valve(after)
    };
    let sources = memory.sources.iter().filter(|(_, kept)| kept.open.is_some());
    let is_pump_left = |id: &SourceId| {
        let pump = |settings: &Settings| {
            settings.plan.sources.get(id).and_then(|plan| plan.pump.as_ref()).map(|pump| pump.valve.clone())
        };
        pump(before).is_some() && pump(before) != pump(after)
    };
    Ok(zones.map(|(id, _)| id).any(is_left) || sources.map(|(id, _)| id).any(is_pump_left))
}

impl Hub {
    /// Tells at the start which version is in force, and lets the engine go on to the newest.
    pub(super) fn begin_farm(&mut self) {
        if let Some((version, settings)) = self.farm.next.clone() {
            self.engine.handle(self.now(), Input::Plan { version, plan: &settings.plan });
        } else if !self.farm.is_kept_in_force && self.farm.in_force > 0 {
            let reason = Reason::FarmInForce { version: self.farm.in_force };
            let entry = crate::farm::entry(self.now(), self.clock.wall_us_unchecked(), None, reason);
            self.own.diary.push(entry);
            self.note_in_force();
        }
    }

    /// Keeps a version; the answer comes when it is on the disk, and the engine has heard of it.
    pub(super) fn save_farm(&mut self, wish: Wish, answer: oneshot::Sender<Result<(), Reason>>) {
        let Wish::Farm(saving) = wish else { return };
        let refused = self.farm_refusal(&saving);
        if refused.is_some() || self.waiting.is_some() {
            // Without a word: the store is behind, and whoever asked tries again.
            if let Some(reason) = refused {
                // Whoever asked may have gone.
                answer.send(Err(reason)).ok();
            }
            return;
        }
        self.farm.is_saving = true;
        let mut batch = std::mem::take(&mut self.own);
        batch.diary.push(saved(&saving.row, saving.n_lines, self.now(), self.clock.wall_us_unchecked()));
        batch.farm = Some(saving.row.clone());
        let committed = self.committed_tx.clone();
        let done = self.done(true, move |is_stored| {
            // The hub answers when it has gone on to it. Fails only when the hub is gone.
            let news = if is_stored { Committed::Farm(saving, answer) } else { Committed::FarmLost };
            committed.send(news).ok();
        });
        self.submit(batch, done);
    }

    fn farm_refusal(&self, saving: &Saving) -> Option<Reason> {
        if self.farm.is_saving || saving.row.version != self.farm.newest.saturating_add(1) {
            return Some(Reason::FarmConflict { version: self.farm.newest });
        }
        let keys = needs_restart(&self.settings, &saving.settings);
        (!keys.is_empty()).then(|| Reason::FarmNeedsRestart { keys: keys.join(", ") })
    }

    /// A version is on the disk: the engine goes on to it. Whoever saved it hears of it when the view says what is waited for.
    pub(super) fn farm_saved(&mut self, saving: Saving, answer: oneshot::Sender<Result<(), Reason>>) {
        let version = saving.row.version;
        self.farm.is_saving = false;
        self.farm.newest = version;
        self.engine.handle(self.now(), Input::Plan { version, plan: &saving.settings.plan });
        self.farm.next = Some((version, saving.settings));
        self.act(&mut None);
        self.show_at_once();
        // Whoever asked may have gone.
        answer.send(Ok(())).ok();
    }

    /// The engine has gone on to the next version: everything else follows. False where there was nothing to follow.
    pub(super) fn follow_farm(&mut self) -> bool {
        let is_taken = self.engine.awaited().is_none();
        let Some((version, settings)) = self.farm.next.take_if(|_| is_taken) else { return false };
        tracing::info!(version, "another version of the farm is in force");
        let before = std::mem::replace(&mut self.settings, settings);
        self.farm.in_force = version;
        self.note_in_force();
        if let Err(error) = self.follow_settings(&before) {
            tracing::error!(error = format!("{error:#}"), "what new zones had before is not shown");
        }
        self.show_at_once();
        true
    }

    fn follow_settings(&mut self, before: &Settings) -> anyhow::Result<()> {
        let now = self.now();
        let settings = Arc::clone(&self.settings);
        let kept = self.reader.memory().map(|rows| rule_memory(&rows));
        let utc_offset_min = settings.plan.utc_offset_min;
        let book = self.ruling.book.renewed(
            &settings.rules,
            kept.as_ref().cloned().unwrap_or_default(),
            utc_offset_min,
            now,
        );
        self.ruling = Ruling::new(book, &settings);
        let (watched, gauges) = watched_series(&settings);
        let new_watched = Watched::from_iter(watched.iter().map(|(device, probes)| {
            let known = self.watched.get(device);
            (device.clone(), only_new(probes, known))
        }));
        let new_gauges = Gauges::from_iter(gauges.iter().map(|(device, metrics)| {
            let known = self.gauges.get(device);
            (device.clone(), only_new(metrics, known))
        }));
        (self.watched, self.gauges) = (watched, gauges);
        let zones = settings.plan.zones.keys().filter(|zone| !before.plan.zones.contains_key(*zone));
        let zones: Vec<ZoneId> = zones.cloned().collect();
        self.earlier.retain(|zone, _| settings.plan.zones.contains_key(zone));
        if self.settings.plan.guards != before.plan.guards {
            self.recall_weather()?;
        }
        self.recall_series(new_watched, new_gauges)?;
        self.recall_entries(zones)?;
        if self.absent_at.is_none() && self.settings.broker.is_none() {
            self.tell_absent(now);
        }
        kept?;
        Ok(())
    }

    fn note_in_force(&mut self) {
        self.farm.is_kept_in_force = true;
        self.own.farm_in_force = Some((self.farm.in_force, self.clock.wall_us_unchecked()));
    }

    pub(super) fn show_at_once(&mut self) {
        self.is_view_old = true;
        self.show();
    }
}

fn only_new<T: Ord + Clone>(wanted: &BTreeSet<T>, known: Option<&BTreeSet<T>>) -> BTreeSet<T> {
    wanted.iter().filter(|one| known.is_none_or(|known| !known.contains(*one))).cloned().collect()
}
