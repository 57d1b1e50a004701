//! Looks through the whole history once a day, so that damage is told while a backup still has what it hit, and not when somebody asks
//! for that day a year later.
//!
//! Rests after each few rows, for half a minute in all; a history that takes longer is read on without pauses, because the store's log
//! grows meanwhile. Must not mend: what to do is for people (`giot store check` and `repair`).

use crate::clock::Clock;
use crate::supervisor::Supervisor;
use giot_shared::time::UnixMs;
use giot_store::{CheckReport, Finding, ReadError, scrub_store};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// From the start to the first look: nodes that waited have then sent what they kept.
const FIRST: Duration = Duration::from_secs(15 * 60);
/// Between two looks.
const EVERY: Duration = Duration::from_secs(24 * 3600);
/// A pause after each few rows, which take a fraction of it, and how many pauses one look makes: half a minute of them.
const PAUSE: Duration = Duration::from_millis(1);
const PAUSES_MAX: u32 = 30_000;
/// Damages named in the log and over the API.
const NAMED_MAX: usize = 20;

/// What the last look came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// When it ended.
    pub(crate) at: UnixMs,
    /// Readings that were looked at.
    pub(crate) n_samples: u64,
    /// How many damages there are.
    pub(crate) n_damages: u64,
    /// The first of them.
    pub(crate) named: Vec<String>,
}

impl Look {
    fn of(report: &CheckReport, at: UnixMs) -> Self {
        let named = report.findings.iter().take(NAMED_MAX).map(Finding::to_string).collect();
        Self { at, n_samples: report.n_samples, n_damages: report.n_findings, named }
    }
}

/// Has the history in `dir` looked through until the gateway stops; where the last look is told.
pub(crate) fn start(
    dir: PathBuf,
    clock: Clock,
    stopping: watch::Receiver<bool>,
    tasks: &mut Supervisor,
) -> watch::Receiver<Option<Arc<Look>>> {
    let (last, looked) = watch::channel(None);
    tasks.spawn("scrub", run(dir, clock, last, stopping));
    looked
}

async fn run(
    dir: PathBuf,
    clock: Clock,
    last: watch::Sender<Option<Arc<Look>>>,
    mut stopping: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut pause = FIRST;
    loop {
        tokio::select! {
            // An error means that the gateway is gone.
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
        pause = EVERY;
        let ends = Arc::new(AtomicBool::new(false));
        let (of, ended) = (dir.clone(), Arc::clone(&ends));
        let look = tokio::task::spawn_blocking(move || look(&of, ended));
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => {
                ends.store(true, Ordering::Relaxed);
                return Ok(());
            }
            report = look => match report {
                Ok(Ok(Some(report))) => {
                    let look = Look::of(&report, clock.wall_unchecked());
                    tell(&look);
                    last.send_replace(Some(Arc::new(look)));
                }
                Ok(Ok(None)) => {}
                // The next look is tomorrow's.
                Ok(Err(error)) => tracing::warn!(%error, "the history could not be looked through"),
                Err(error) => tracing::error!(%error, "the look through the history failed"),
            },
        }
    }
}

/// One look, which ends early when `ends` is set.
fn look(dir: &Path, ends: Arc<AtomicBool>) -> Result<Option<CheckReport>, ReadError> {
    let mut n_pauses = 0;
    scrub_store(dir, move || {
        if n_pauses < PAUSES_MAX {
            n_pauses += 1;
            std::thread::sleep(PAUSE);
        }
        !ends.load(Ordering::Relaxed)
    })
}

fn tell(look: &Look) {
    let Look { n_samples, n_damages, named, .. } = look;
    if *n_damages == 0 {
        tracing::debug!(n_samples, "looked through the history: nothing is damaged");
        return;
    }
    tracing::error!(
        n_damages,
        "parts of the history are damaged; giot store check names them, giot store repair saves what can be read, a backup may hold more"
    );
    for what in named {
        tracing::error!(what, "damaged");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use giot_store::{Batch, DeviceSamples, MetricSample, Store};

    fn store(dir: &Path) -> Store {
        let store = Store::open(dir).unwrap();
        let sample = |n: i64| MetricSample {
            metric: "soil".into(),
            at_us: 1_700_000_000_000_000 + n * 60_000_000,
            value: Some(n as f64 / 8.0),
            quality: 0,
        };
        let samples = vec![DeviceSamples { device: "n01".into(), samples: (0..5_000).map(sample).collect() }];
        store.writer().commit_blocking(Batch { samples, ..Batch::default() }).unwrap();
        store.fold().unwrap();
        store
    }

    #[tokio::test(start_paused = true)]
    async fn damage_shows_within_a_day_without_being_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let _store = store(dir.path());
        let (last, mut seen) = watch::channel(None::<Arc<Look>>);
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(run(dir.path().to_owned(), Clock::system(None), last, stopping));
        seen.changed().await.unwrap();
        let first = seen.borrow_and_update().clone().unwrap();
        assert_eq!((first.n_samples, first.n_damages), (5_000, 0), "{first:?}");
        let tool = rusqlite::Connection::open(dir.path().join("giot.sqlite")).unwrap();
        tool.execute("UPDATE chunk SET to_us = to_us + 1", []).unwrap();
        let before = tokio::time::Instant::now();
        seen.changed().await.unwrap();
        assert!(before.elapsed() <= EVERY + FIRST, "{:?}", before.elapsed());
        let second = seen.borrow_and_update().clone().unwrap();
        assert!(second.n_damages > 0 && second.named[0].contains("n01 soil"), "{second:?}");
        stop.send(true).unwrap();
        task.await.unwrap().unwrap();
    }

    #[test]
    fn a_look_ends_when_the_gateway_stops() {
        let dir = tempfile::tempdir().unwrap();
        let _store = store(dir.path());
        assert!(look(dir.path(), Arc::new(AtomicBool::new(true))).unwrap().is_none());
        assert!(look(dir.path(), Arc::default()).unwrap().is_some());
    }
}
